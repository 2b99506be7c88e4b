/* storage_place: a temporary directory for one store, and raw access to its data file for tests that damage
 * it. Every failure here ends the test program. Single-threaded. */
#ifndef PERIGEE_TESTS_STORAGE_PLACE_H
#define PERIGEE_TESTS_STORAGE_PLACE_H

#include "storage/store.h"

struct storage_place {
    char root[64];  /* made here */
    char store[96]; /* inside root, not made yet */
    char data[128]; /* the store's data file */
};

void storage_place_make(struct storage_place *place); /* in /tmp */
void storage_place_make_in(struct storage_place *place, const char *folder);
void storage_place_remove(const struct storage_place *place); /* the store must be closed */

struct store *storage_place_open(const struct storage_place *place, uint64_t map_bytes);

/* Replace every occurrence of `from` in the data file; the store must be closed. Returns how many. */
uint32_t storage_place_patch(const struct storage_place *place, struct span from, struct span to);

/* The next of a seeded sequence, below `below`. The state must not be zero. */
uint32_t storage_random(uint64_t *state, uint32_t below);

/* A blob and its binary CID. */
struct storage_blob {
    uint8_t key[36];
    struct span value;
};
struct storage_blob storage_blob_make(uint8_t code, struct span value); /* 0x12 sha2-256, 0x1e blake3 */

MUST_USE enum err storage_put(struct store *s, enum store_space space, struct span key, struct span value);
/* OK if the stored value is exactly `value`, ERR_CONFLICT if it is another, else what the read said. */
MUST_USE enum err storage_expect(struct store *s, enum store_space space, struct span key, struct span value);

#endif
