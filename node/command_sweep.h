/* command_sweep: perigee sim --sweep FILE: a scenario with every choice of a grid's values and every seed, each cell in a process of its
 * own (cells.h), and on every rank of an mpirun (ranks.h).
 * Rules: what comes of a cell is that cell's, however many run at once and wherever: the tables are the same bytes. Cells that are done
 * are kept at once (partial.h), and not run again by the same command. A cell that breaks a property is told, with the command that
 * shows it again, and the others go on. A cell whose process was ended by somebody else has no result. Rank 0 gives cells out one by
 * one, writes, and speaks; the others work. Threads: one. */
#ifndef PERIGEE_NODE_COMMAND_SWEEP_H
#define PERIGEE_NODE_COMMAND_SWEEP_H

#include "node/client.h"
#include "node/simulator.h"

struct sweep_wish {
    const char *file;
    const char *
        out; /* NAME of NAME.csv, NAME.jsonl and NAME.partial; NULL: the sweep's file, without folder and ending */
    uint64_t jobs; /* 0: as many as there are cores; one on each rank of an mpirun */
};

int command_sweep(const struct client *c, const struct simulator *s, const struct sweep_wish *wish);
/* Of one cell, from 1: its scenario, from malloc, and its seed. */
int command_sweep_cell(const struct client *c, const struct simulator *s, char **scenario, uint64_t *seed,
                       const char *file, uint64_t cell);

#endif
