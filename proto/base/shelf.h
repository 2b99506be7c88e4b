/* shelf: bytes that several cores hold alike, once, and what they read from them. Who steps many cores of one consortium may lend them one.
 * Rules: what is put there never changes, and stays as long as the shelf, which outlives who looks at it. Bytes are the same only when
 * they are: under one id others find no place. Whoever finds none keeps its own. Memory is taken at the start (sparse), and touched
 * as far as it fills. Single-threaded. Pure. */
#ifndef PERIGEE_PROTO_BASE_SHELF_H
#define PERIGEE_PROTO_BASE_SHELF_H

#include "proto/base/index.h"

struct shelf_row {
    uint8_t key[32];
    const void *held; /* bytes, or what was read from some; NULL: nothing yet */
    size_t len;
};
struct shelf {
    struct arena heap, bytes, documents; /* heap: of the table and its index */
    ROWS(struct shelf_row) row;
    struct index index;
    uint32_t count, most;
};

size_t
shelf_bytes(uint32_t most,
            size_t bytes); /* that it takes, for so many rows and so many bytes, and as many of documents */
MUST_USE enum err shelf_init(struct shelf *s, struct arena *arena, uint32_t most, size_t bytes);
/* Where these two stand one behind the other under this id, put there now if nothing was. NULL: there is no shelf, no room, or something
 * else there. */
const uint8_t *shelf_put(struct shelf *s, const uint8_t id[32], struct span first, struct span second);
/* Where to note what was read from bytes on the shelf, as a document of this kind, that lies in s->documents: NULL until
 * then. NULL itself: there is no shelf, no room, or the bytes lie elsewhere. */
const void **shelf_document(struct shelf *s, struct span bytes, uint32_t kind);

#endif
