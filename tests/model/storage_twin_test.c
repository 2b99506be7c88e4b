/* Both makers against a twin so simple that it cannot be wrong: an unordered array of what is stored, and a list of
 * batches that wait. Random puts, put_new, deletes, reads, scans, refusals, reopenings and crashes; after each step the
 * whole world is compared. A failure prints seed and step. */
#include "crypto/hash.h"
#include "proto/base/panic.h"
#include "storage/store.h"
#include "tests/storage_place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { KEYS = 24, VALUES = 4, ITEMS_MAX = 512, WRITES_MAX = 5, QUEUE_MAX = 8, MAP_BYTES = 8 << 20 };

/* --- the naive twin --- */

struct item {
    bool present;
    enum store_space space;
    struct span key, value; /* into the world's tables: those never move */
};

struct plan {
    uint32_t count;
    struct store_write writes[WRITES_MAX];
    enum err want; /* what the twin says when its turn comes */
    enum err have; /* what the store said */
    bool told;
};

struct twin {
    struct item items[ITEMS_MAX];
};

static struct item *twin_find(struct twin *t, enum store_space space, struct span key)
{
    for (int i = 0; i < ITEMS_MAX; i++) {
        struct item *item = &t->items[i];
        if (item->present && item->space == space && span_equal(item->key, key)) return item;
    }
    return NULL;
}

static void twin_set(struct twin *t, const struct store_write *w)
{
    struct item *item = twin_find(t, w->space, w->key);
    for (int i = 0; !item; i++) {
        ASSERT(i < ITEMS_MAX);
        if (!t->items[i].present) item = &t->items[i];
    }
    *item = (struct item){true, w->space, w->key, w->value};
}

static enum err twin_apply(struct twin *t, const struct plan *plan)
{
    struct twin before = *t;
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct store_write *w = &plan->writes[i];
        struct item *item = twin_find(t, w->space, w->key);
        if (w->op == STORE_DELETE) {
            if (item) item->present = false;
        } else if (w->op == STORE_PUT_NEW && item && !span_equal(item->value, w->value)) {
            *t = before;
            return ERR_CONFLICT;
        } else {
            twin_set(t, w);
        }
    }
    return OK;
}

/* --- the world of a run --- */

struct world {
    uint64_t seed, random;
    uint32_t step;
    bool lmdb;
    struct storage_place place;
    struct store *store;
    struct twin twin;
    struct plan queue[QUEUE_MAX];
    uint32_t queued;
    uint8_t keys[KEYS][8];
    size_t key_lens[KEYS];
    uint8_t values[VALUES][6000]; /* the longest need overflow pages */
    size_t value_lens[VALUES];
    struct storage_blob blobs[VALUES];
};

static uint32_t roll(struct world *w, uint32_t below)
{
    return storage_random(&w->random, below);
}

#define CHECK(w, condition)                                                                                  \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            (void)fprintf(stderr, "%s: seed %llu step %u: %s\n", (w)->lmdb ? "lmdb" : "memory",              \
                          (unsigned long long)(w)->seed, (w)->step, #condition);                             \
            fail();                                                                                          \
        }                                                                                                    \
    } while (0)

/* Few letters and zero bytes, so that keys are often equal, often prefixes of one another. */
static void world_fill(struct world *w)
{
    for (int i = 0; i < KEYS; i++) {
        w->key_lens[i] = 1 + roll(w, sizeof w->keys[i]);
        for (size_t j = 0; j < w->key_lens[i]; j++) w->keys[i][j] = (uint8_t)(roll(w, 3) * 127);
    }
    for (int i = 0; i < VALUES; i++) {
        w->value_lens[i] = i == 0 ? 0 : roll(w, sizeof w->values[i]);
        for (size_t j = 0; j < w->value_lens[i]; j++) w->values[i][j] = (uint8_t)roll(w, 256);
        w->blobs[i] = storage_blob_make(i % 2 ? 0x12 : 0x1e, span_make(w->values[i], w->value_lens[i]));
    }
}

static struct span world_key(struct world *w)
{
    uint32_t i = roll(w, KEYS);
    return span_make(w->keys[i], w->key_lens[i]);
}

static struct store_write world_write(struct world *w)
{
    const struct storage_blob *blob = &w->blobs[roll(w, VALUES)];
    enum store_op op = (enum store_op)roll(w, 3);
    if (roll(w, 4) == 0) return (struct store_write){op, STORE_BLOB, SPAN_OF(blob->key), blob->value};
    enum store_space space = roll(w, 2) ? STORE_PROMISE : STORE_LOCAL;
    return (struct store_write){op, space, world_key(w), blob->value};
}

static void world_told(void *context, enum err err)
{
    struct plan *plan = context;
    ASSERT(!plan->told);
    plan->told = true;
    plan->have = err;
}

static void world_submit(struct world *w)
{
    if (w->queued == QUEUE_MAX) return;
    struct plan *plan = &w->queue[w->queued++];
    *plan = (struct plan){.count = roll(w, WRITES_MAX + 1)};
    for (uint32_t i = 0; i < plan->count; i++) plan->writes[i] = world_write(w);
    CHECK(w, store_submit(w->store, plan->writes, plan->count, world_told, plan) == OK);
}

/* A batch with one bad write is refused at once, and nothing of it shows later. */
static void world_submit_wrong(struct world *w)
{
    struct store_write writes[2] = {world_write(w),
                                    {STORE_PUT, STORE_BLOB, SPAN_OF(w->blobs[1].key), SPAN_NONE}};
    CHECK(w, w->value_lens[1] == 0 || store_submit(w->store, writes, 2, NULL, NULL) == ERR_HASH);
}

/* The first `count` of the queue have landed; the twin follows, and what was reported must agree. */
static void world_landed(struct world *w, uint32_t count, bool told)
{
    ASSERT(count <= w->queued);
    for (uint32_t i = 0; i < count; i++) {
        struct plan *plan = &w->queue[i];
        plan->want = twin_apply(&w->twin, plan);
        CHECK(w, plan->told == told);
        CHECK(w, !told || plan->have == plan->want);
    }
}

static void world_sync(struct world *w)
{
    if (w->lmdb)
        CHECK(w, store_write_now(w->store, NULL, 0) == OK);
    else
        memory_store_sync(w->store);
    world_landed(w, w->queued, true);
    w->queued = 0;
}

/* LMDB: close and open again. Memory: the power goes at a random moment. */
static void world_restart(struct world *w)
{
    if (w->lmdb) {
        store_close(w->store);
        world_landed(w, w->queued, true);
        w->store = storage_place_open(&w->place, MAP_BYTES);
    } else {
        uint32_t landed = roll(w, w->queued + 1);
        bool told = roll(w, 2);
        if (told) memory_store_sync_first(w->store, landed);
        memory_store_crash_torn(w->store, told ? 0 : landed);
        world_landed(w, landed, told);
        for (uint32_t i = landed; i < w->queued; i++) CHECK(w, !w->queue[i].told);
    }
    w->queued = 0;
}

/* --- comparing --- */

struct listing {
    struct world *world;
    enum store_space space;
    uint32_t count;
    uint32_t stop_after; /* 0: never */
    uint8_t last[STORE_KEY_MAX];
    size_t last_len;
};

static enum err list_visit(void *context, struct span key, struct span value)
{
    struct listing *listing = context;
    struct world *w = listing->world;
    struct item *item = twin_find(&w->twin, listing->space, key);
    CHECK(w, item && span_equal(item->value, value));
    struct span last = span_make(listing->last, listing->last_len);
    CHECK(w, listing->count == 0 || span_compare(last, key) < 0);
    memcpy(listing->last, key.data, key.len);
    listing->last_len = key.len;
    listing->count++;
    return listing->count == listing->stop_after ? ERR_CANCELLED : OK;
}

static uint32_t twin_count(const struct twin *t, enum store_space space, struct span prefix)
{
    uint32_t count = 0;
    for (int i = 0; i < ITEMS_MAX; i++) {
        const struct item *item = &t->items[i];
        if (!item->present || item->space != space || item->key.len < prefix.len) continue;
        count += span_equal(span_make(item->key.data, prefix.len), prefix);
    }
    return count;
}

static void compare_scan(struct world *w, enum store_space space, struct span prefix)
{
    struct listing listing = {.world = w, .space = space, .stop_after = roll(w, 8)};
    uint32_t want = twin_count(&w->twin, space, prefix);
    bool stops = listing.stop_after != 0 && listing.stop_after <= want;
    enum err err = store_scan(w->store, space, prefix, list_visit, &listing);
    CHECK(w, err == (stops ? ERR_CANCELLED : OK));
    CHECK(w, listing.count == (stops ? listing.stop_after : want));
}

static void compare_read(struct world *w, enum store_space space, struct span key)
{
    const struct item *item = twin_find(&w->twin, space, key);
    enum err want = item ? OK : ERR_NOT_FOUND;
    CHECK(w, store_has(w->store, space, key) == want);
    CHECK(w, storage_expect(w->store, space, key, item ? item->value : SPAN_NONE) == want);
}

static void compare_counts(struct world *w)
{
    struct store_status status;
    CHECK(w, store_status(w->store, &status) == OK);
    for (int i = 0; i < STORE_SPACE_COUNT; i++)
        CHECK(w, status.entries[i] == twin_count(&w->twin, (enum store_space)i, SPAN_NONE));
    CHECK(w, status.quarantined == 0);
}

/* Only between syncs: an LMDB batch lands when it likes. */
static void world_compare(struct world *w)
{
    if (w->lmdb) world_sync(w);
    compare_read(w, roll(w, 2) ? STORE_PROMISE : STORE_LOCAL, world_key(w));
    compare_read(w, STORE_BLOB, SPAN_OF(w->blobs[roll(w, VALUES)].key));
    struct span key = world_key(w);
    compare_scan(w, roll(w, 2) ? STORE_PROMISE : STORE_LOCAL,
                 span_make(key.data, roll(w, 3) % (uint32_t)(key.len + 1)));
    compare_scan(w, STORE_BLOB, SPAN_NONE);
    compare_counts(w);
}

static void world_run(uint64_t seed, bool lmdb, uint32_t steps)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->seed = seed;
    w->random = seed * 0x9e3779b97f4a7c15u;
    w->lmdb = lmdb;
    world_fill(w);
    storage_place_make(&w->place);
    if (lmdb)
        w->store = storage_place_open(&w->place, MAP_BYTES);
    else
        assert_int_equal(memory_store_open(&w->store, MAP_BYTES), OK);
    for (w->step = 0; w->step < steps; w->step++) {
        uint32_t what = roll(w, 100);
        if (what < 55)
            world_submit(w);
        else if (what < 60)
            world_submit_wrong(w);
        else if (what < 75)
            world_sync(w);
        else if (what < (lmdb ? 76 : 85))
            world_restart(w);
        else
            world_compare(w);
    }
    world_sync(w);
    world_compare(w);
    store_close(w->store);
    storage_place_remove(&w->place);
    free(w);
}

static void test_memory_store_agrees(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) world_run(seed, false, 2000);
}

static void test_lmdb_store_agrees(void **state)
{
    (void)state;
    for (uint64_t seed = 101; seed <= 104; seed++) world_run(seed, true, 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_store_agrees),
        cmocka_unit_test(test_lmdb_store_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
