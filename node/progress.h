/* progress: how far a long command has come, on stderr: a bar on a terminal, a plain line every few seconds elsewhere, nothing where
 * stderr carries problems for programs (--json) and is no terminal.
 * Ownership: the caller's. Threads: one. */
#ifndef PERIGEE_NODE_PROGRESS_H
#define PERIGEE_NODE_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
    bool terminal, silent, shown;
    uint64_t begun_ms, next_ms;
};
struct progress_at {
    uint32_t done_ppm; /* of all there is to do, as far as that is known */
    uint64_t virtual_ms, events;
};

struct progress progress_begin(bool json);
/* Is it time to say something? Quick: made to be asked all the time. */
bool progress_due(struct progress *p);
void progress_show(struct progress *p, const struct progress_at *at);
void progress_end(struct progress *p); /* take the bar away */

/* The words: `took_ms` of real time so far. Without an end of line. */
void progress_words(char *out, size_t cap, const struct progress_at *at, uint64_t took_ms, bool bar);

#endif
