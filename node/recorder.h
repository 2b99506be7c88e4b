/* recorder: writes what a core is told into a file, as it is told (recording.h), until the file is as large as it may be.
 * A node does what it does whether this works or not: frames go into memory, from where a thread of its own writes them. When the
 * disk refuses one, or is so slow that RECORDER_BUFFER_BYTES wait for it, recording ends with one line in the log
 * (`recording.stopped`) and what is in the file stays. Only while the store is read back, before the node acts, is a slow disk
 * waited for, a second in all.
 * When the program stops at an assertion (defect.h), it waits until what it was told is in the file, for some seconds at most.
 * The file is one process's: what stands under its name when it is opened is kept as NAME.before, in place of what was so kept. But a
 * NAME.before that has no end may be how a node came to stop: it stays until somebody moves it, and NAME.again is what is replaced, if
 * it has one or what replaces it has none.
 * Mode 0600. Nothing is synced: after a power cut its end may be missing, which a reader sees.
 * Threads: one, the core's; any may stop the program. One recorder at a time. Ownership: borrows nothing after a call. Out of memory is the end of the program. */
#ifndef PERIGEE_NODE_RECORDER_H
#define PERIGEE_NODE_RECORDER_H

#include "proto/core.h"

enum { RECORDER_BUFFER_BYTES = 8 << 20, RECORDER_PATH_MAX = 4096 };

struct recorder;

/* ERR_TYPE: something that is no file has its name. Others as file_error's. */
MUST_USE enum err recorder_open(struct recorder **out, const char *path, uint64_t bytes_max,
                                const struct core_options *options);
/* Before each step; the clocks of the event are set. */
void recorder_event(struct recorder *r, struct core *core, const struct event *event);
/* After it, with what it asked for still there. */
void recorder_step(struct recorder *r, struct core *core);
/* The orderly end: what waits is written. Without a core it has no step to end with. Without a recorder nothing is done. */
void recorder_close(struct recorder *r, struct core *core);

#endif
