/* cells: pieces of work that know nothing of each other, each done by a process of its own, as many at once as there are jobs.
 * Rules: what a piece of work has to say is one answer of at most CELLS_ANSWER_MAX bytes; the process ends when it has said it. One that
 * stops before is told by its status. They end with the process that started them, and on Ctrl-C. Nothing of the order in which
 * they end is promised.
 * Ownership: the caller's; {.jobs = n} is an empty one. Threads: one. */
#ifndef PERIGEE_NODE_CELLS_H
#define PERIGEE_NODE_CELLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* An answer is written at once, into a pipe that nobody reads yet: PIPE_BUF. */
enum { CELLS_JOBS_MAX = 256, CELLS_ANSWER_MAX = 4096 };

struct cells {
    uint32_t jobs; /* at most CELLS_JOBS_MAX */
    struct cells_slot {
        pid_t pid; /* 0: none */
        int pipe;
        uint64_t cell;
    } slot[CELLS_JOBS_MAX];
};
struct cells_work {
    size_t (*run)(const void *context, uint64_t cell, uint8_t answer[CELLS_ANSWER_MAX]); /* its length */
    const void *context;
};
struct cells_end {
    uint64_t cell;
    int status; /* as of waitpid */
    size_t len; /* 0: it stopped without an answer */
    uint8_t answer[CELLS_ANSWER_MAX];
};

uint32_t cells_jobs_on(long cores); /* as many, as far as there are places */
uint32_t cells_jobs_here(void);     /* on this machine's */
uint32_t cells_running(const struct cells *c);
/* False: all jobs are busy, or no process could be started. */
bool cells_start(struct cells *c, const struct cells_work *work, uint64_t cell);
/* One that has ended. False: none did within timeout_ms (negative: any time), or a signal came. */
bool cells_wait(struct cells *c, struct cells_end *out, int timeout_ms);
/* Did it stop by itself, at an assertion or the like, and not because somebody ended it? The same work would stop again. */
bool cells_panicked(const struct cells_end *end);
/* "its process stopped, with signal 6" */
void cells_say_stopped(char *out, size_t cap, const struct cells_end *end);

#endif
