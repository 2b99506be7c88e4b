/* replay: steps a core by a recording (recording.h) and compares what it does with what the node did.
 * Effects are hashed and dropped; invariants are checked after every step. Completions come only for work that is in flight, clocks
 * do not go back, and what restores the store comes before all else: what else a file says that no node could have recorded is for
 * the core to stop at, so its user does this in a process of its own.
 * Ownership: replay_close frees. The file's bytes must stay until then. Threads: one. */
#ifndef PERIGEE_NODE_REPLAY_H
#define PERIGEE_NODE_REPLAY_H

#include "node/recording.h"
#include "proto/base/arena.h"

struct replay {
    struct recording_reader reader;
    struct recording_start start;
    struct core *core;
    void *memory;
    struct arena arena;
    struct recording_work work;
    struct sha256_stream effects;
    bool ready;

    uint64_t by_type[RECORDING_EVENT_TYPES];
    uint64_t checkpoints; /* that were the same */
    uint64_t first_wall_ms, last_wall_ms;
    struct instant first, last;
    struct recording_checkpoint now; /* of the steps so far; its hashes are those of the last comparison */
    /* The first checkpoint that says otherwise, if one does; then nothing is stepped any more. */
    bool differs;
    struct recording_checkpoint recorded;
    bool ended;    /* it has its last frame, which says why: `recorded.end` */
    size_t unread; /* bytes of a frame that is not whole: it was being written when the node ended */
};

/* `fault` gets one line: what was expected, what came. */
MUST_USE enum err replay_open(struct replay **out, struct span file, char *fault, size_t cap);
/* One frame more. *more: there is another one, perhaps. */
MUST_USE enum err replay_step(struct replay *r, bool *more, char *fault, size_t cap);
void replay_close(struct replay *r); /* NULL is fine */

#endif
