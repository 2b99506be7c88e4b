/* disk: what one simulated node keeps, over the in-memory store that forgets what was not synced. A batch that was asked for is
 * on the disk when disk_sync is called, and its token is told then; a crash loses the rest.
 * The layout is not the daemon's: what is simulated is what may be lost, and when.
 * Single-threaded. */
#ifndef PERIGEE_SIM_DISK_H
#define PERIGEE_SIM_DISK_H

#include "proto/base/shelf.h"
#include "proto/event.h"

struct disk;

typedef void (*disk_told)(void *context, uint64_t token, enum err err);
/* Records lie on the shelf, once for all disks that have them; NULL: each has its own. */
MUST_USE enum err disk_new(struct disk **out, struct shelf *shelf, uint64_t bytes_max, disk_told told,
                           void *context);
void disk_free(struct disk *d);

/* Copies what it needs. False: refused at once, the token was told why. */
bool disk_keep(struct disk *d, uint64_t token, const struct keep *items, uint32_t count);
/* Full: nothing more is taken, what waits is still written. */
void disk_fill(struct disk *d, bool full);
void disk_put_blob(struct disk *d, const uint8_t cid[36], struct span bytes); /* at once, and durable */
void disk_sync(struct disk *d);
/* The power goes: the first `landed` batches of those that wait had reached it, nobody was told. */
void disk_crash(struct disk *d, uint32_t landed);
uint32_t disk_waiting(const struct disk *d);

/* At start: local values, promises, records in the order of (author, seq). `visit` gets events without times. */
MUST_USE enum err disk_restore(struct disk *d, void (*visit)(void *context, const struct event *event),
                               void *context);
/* ERR_NOT_FOUND. Appended to `out`. */
MUST_USE enum err disk_blob(struct disk *d, struct span cid, struct buffer *out);
/* Is this promise durable with this value? */
bool disk_promised(struct disk *d, struct span key, struct span value);
bool disk_has_record(struct disk *d, const struct record *r);
bool disk_has_place(struct disk *d, struct node_id author, uint64_t seq, struct record_id id); /* the same */

#endif
