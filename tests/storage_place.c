#include "tests/storage_place.h"

#include "crypto/hash.h"
#include "proto/base/panic.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void storage_place_make(struct storage_place *place)
{
    storage_place_make_in(place, "/tmp");
}

void storage_place_make_in(struct storage_place *place, const char *folder)
{
    (void)snprintf(place->root, sizeof place->root, "%s/perigee-store-XXXXXX", folder);
    ASSERT(mkdtemp(place->root) != NULL);
    (void)snprintf(place->store, sizeof place->store, "%s/store", place->root);
    (void)snprintf(place->data, sizeof place->data, "%s/data.mdb", place->store);
}

void storage_place_remove(const struct storage_place *place)
{
    char lock[128];
    (void)snprintf(lock, sizeof lock, "%s/lock.mdb", place->store);
    (void)unlink(lock);
    (void)unlink(place->data);
    (void)rmdir(place->store);
    ASSERT(rmdir(place->root) == 0); /* a test that leaves something behind is wrong */
}

struct store *storage_place_open(const struct storage_place *place, uint64_t map_bytes)
{
    struct lmdb_options options = {.path = place->store, .map_bytes = map_bytes};
    struct store *s = NULL;
    ASSERT(lmdb_store_open(&s, &options) == OK);
    return s;
}

uint32_t storage_place_patch(const struct storage_place *place, struct span from, struct span to)
{
    ASSERT(from.len == to.len);
    int file = open(place->data, O_RDWR | O_CLOEXEC);
    struct stat is;
    ASSERT(file >= 0 && fstat(file, &is) == 0);
    size_t len = (size_t)is.st_size;
    uint8_t *map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    ASSERT(map != MAP_FAILED);
    uint32_t count = 0;
    for (uint8_t *at = map; (at = memmem(at, len - (size_t)(at - map), from.data, from.len));
         at += to.len, count++)
        memcpy(at, to.data, to.len);
    ASSERT(munmap(map, len) == 0);
    ASSERT(close(file) == 0);
    return count;
}

uint32_t storage_random(uint64_t *state, uint32_t below)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)((*state >> 20) % below);
}

struct storage_blob storage_blob_make(uint8_t code, struct span value)
{
    struct storage_blob blob = {{0x01, 0x55, code, 0x20}, value};
    struct hash32 digest = code == 0x12 ? sha256(value) : blake3(value);
    memcpy(blob.key + 4, digest.bytes, 32);
    return blob;
}

enum err storage_put(struct store *s, enum store_space space, struct span key, struct span value)
{
    struct store_write write = {STORE_PUT, space, key, value};
    return store_write_now(s, &write, 1);
}

enum err storage_expect(struct store *s, enum store_space space, struct span key, struct span value)
{
    struct buffer out = buffer_make(malloc(value.len + 1), value.len + 1);
    ASSERT(out.data != NULL);
    enum err err = store_read(s, space, key, &out);
    bool other = err == ERR_TOO_LARGE || (err == OK && !span_equal(buffer_span(&out), value));
    if (other) err = ERR_CONFLICT;
    free(out.data);
    return err;
}
