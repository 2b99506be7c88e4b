/* events: what happened here of late, for whoever follows (server-sent events, HTML Living Standard §9.2). A ring of the last
 * EVENTS_KEPT; every reader has its own place in it and takes what it has not seen when it can.
 * Rules: nothing is buffered for a reader: one that the ring overtakes is lost, and has to begin anew. Ids are
 * "<8 hex digits of this process>-<number>"; a reader that comes again with its last id goes on behind it, or, when that is
 * no longer in the ring or is of an earlier process, is told `reset` and goes on from now: what it knows it must read again.
 * Threads: the loop's. Pure but for the random id. */
#ifndef PERIGEE_NODE_EVENTS_H
#define PERIGEE_NODE_EVENTS_H

#include "proto/base/ids.h"

enum { EVENTS_KEPT = 1024, EVENTS_TYPE_MAX = 16, EVENTS_DATA_MAX = 400, EVENTS_ID_MAX = 40 };
/* The least room that events_read needs. */
enum { EVENTS_ROOM = EVENTS_TYPE_MAX + EVENTS_DATA_MAX + EVENTS_ID_MAX + 64 };

struct events;
struct events_reader {
    uint64_t next; /* number of the next event to look at */
    bool of_run;   /* only those of `run` */
    struct run_id run;
    bool begun, reset; /* it has its first id; it is to be told `reset` */
    bool ping;         /* say something, so that what stands between sees life */
    bool lost;
};

struct events *events_new(void); /* NULL: no memory */
void events_free(struct events *e);
/* `run` may be NULL. `data` is JSON in one line, at most EVENTS_DATA_MAX - 1 bytes. */
void events_put(struct events *e, const char *type, const struct run_id *run, const char *data);
/* `last_id`: SPAN_NONE for who comes the first time. `run` may be NULL. */
void events_begin(const struct events *e, struct events_reader *r, struct span last_id,
                  const struct run_id *run);
/* Whole events as far as `cap` (at least EVENTS_ROOM) has room; 0: nothing new, or r->lost. */
size_t events_read(const struct events *e, struct events_reader *r, uint8_t *out, size_t cap);
uint64_t events_count(const struct events *e); /* so far */

#endif
