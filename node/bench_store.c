/* P2: blobs put and got through the store, which checks each by its hash both ways, against bare LMDB and the same hash: the
 * same blobs, as many to a transaction, one sync each. And what group commit gives: small durable writes of many callers,
 * against one sync for each. */
#include "node/bench.h"

#include "crypto/cid.h"
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "proto/base/panic.h"
#include "storage/bare.h"
#include "storage/store.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    STORE_MIB = 64, /* of blobs in a round */
    STORE_LARGE = 1 << 20,
    STORE_SMALL = 4096,
    STORE_BLOBS_MAX = (STORE_MIB << 20) / STORE_SMALL,
    STORE_LARGE_BATCH = 8, /* as sealing puts them */
    STORE_SMALL_BATCH = STORE_BATCH_MAX,
    STORE_GROUPED = 4000,
    STORE_ALONE = 50,
    STORE_WRITE_BYTES = 256,
};

struct stored {
    char dir[BENCH_FOLDER_MAX];
    struct store *store;
    struct bare_lmdb *bare;
    uint8_t *bytes, *copy; /* of all blobs of a round; of one */
    uint32_t blob_bytes, blob_count, batch;
    struct cid cid[STORE_BLOBS_MAX];
    uint32_t round;
};

static uint8_t *blob_of(const struct stored *s, uint32_t i)
{
    return s->bytes + (size_t)i * s->blob_bytes;
}

/* New blobs, and so new names: the same bytes again would cost the store nothing. */
static void renew(struct stored *s)
{
    s->round++;
    for (uint32_t i = 0; i < s->blob_count; i++) {
        store_u32(blob_of(s, i), s->round);
        store_u32(blob_of(s, i) + 4, i);
        s->cid[i] = cid_make(CID_BLAKE3, blake3(span_make(blob_of(s, i), s->blob_bytes)));
    }
}

static uint32_t fill_batch(struct store_write *write, const struct stored *s, uint32_t first)
{
    const uint32_t left = s->blob_count - first, count = left < s->batch ? left : s->batch;
    for (uint32_t i = 0; i < count; i++)
        write[i] = (struct store_write){STORE_PUT, STORE_BLOB, SPAN_OF(s->cid[first + i].bytes),
                                        span_make(blob_of(s, first + i), s->blob_bytes)};
    return count;
}

static enum err put_ours(double *seconds, const struct stored *s)
{
    struct store_write write[STORE_BATCH_MAX];
    const double began = bench_now();
    for (uint32_t first = 0; first < s->blob_count; first += s->batch)
        TRY(store_write_now(s->store, write, fill_batch(write, s, first)));
    *seconds = bench_now() - began;
    return OK;
}

static enum err put_bare(double *seconds, const struct stored *s)
{
    struct store_write write[STORE_BATCH_MAX];
    const double began = bench_now();
    for (uint32_t first = 0; first < s->blob_count; first += s->batch) {
        const uint32_t count = fill_batch(write, s, first);
        for (uint32_t i = 0; i < count; i++) {
            const struct cid cid = cid_make(CID_BLAKE3, blake3(write[i].value));
            ASSERT(ID_EQUAL(cid, s->cid[first + i]));
        }
        TRY(bare_put(s->bare, write, count));
    }
    *seconds = bench_now() - began;
    return OK;
}

static enum err get_ours(double *seconds, const struct stored *s)
{
    const double began = bench_now();
    for (uint32_t i = 0; i < s->blob_count; i++) {
        struct buffer out = buffer_make(s->copy, s->blob_bytes);
        TRY(store_read(s->store, STORE_BLOB, SPAN_OF(s->cid[i].bytes), &out));
    }
    *seconds = bench_now() - began;
    return OK;
}

static enum err get_bare(double *seconds, const struct stored *s)
{
    struct span value;
    const double began = bench_now();
    for (uint32_t i = 0; i < s->blob_count; i++) {
        TRY(bare_get(s->bare, SPAN_OF(s->cid[i].bytes), &value));
        const struct cid cid = cid_make(CID_BLAKE3, blake3(value));
        bare_got(s->bare);
        ASSERT(ID_EQUAL(cid, s->cid[i]));
    }
    *seconds = bench_now() - began;
    return OK;
}

static void print_one(const struct bench *b, const struct stored *s, const char *name, double *ours,
                      double *bare)
{
    double ratio[BENCH_ROUNDS];
    for (int i = 0; i < BENCH_ROUNDS; i++) ratio[i] = bare[i] / ours[i];
    bench_print(b, name, s->blob_count / bench_median(ours, BENCH_ROUNDS), "blobs/s",
                bench_median(ratio, BENCH_ROUNDS), "bare_lmdb_and_the_hash");
}

static enum err one_size(const struct bench *b, struct stored *s, const char *put_name, const char *get_name)
{
    double put[BENCH_ROUNDS], get[BENCH_ROUNDS], bare_put_[BENCH_ROUNDS], bare_get_[BENCH_ROUNDS];
    for (int i = 0; i < BENCH_ROUNDS; i++) {
        renew(s);
        TRY(put_bare(&bare_put_[i], s));
        TRY(put_ours(&put[i], s));
        TRY(get_ours(&get[i], s));
        TRY(get_bare(&bare_get_[i], s));
    }
    print_one(b, s, put_name, put, bare_put_);
    print_one(b, s, get_name, get, bare_get_);
    return OK;
}

/* --- Group commit ----------------------------------------------------------------------------------------------------- */

struct grouped {
    pthread_mutex_t lock;
    pthread_cond_t all;
    uint32_t left;
    enum err err;
};

static void on_done(void *context, enum err err)
{
    struct grouped *g = context;
    (void)pthread_mutex_lock(&g->lock);
    if (err != OK) g->err = err;
    if (--g->left == 0) (void)pthread_cond_signal(&g->all);
    (void)pthread_mutex_unlock(&g->lock);
}

static struct store_write small_write(uint8_t key[8], const uint8_t *value, uint32_t round, uint32_t i)
{
    store_u32(key, round);
    store_u32(key + 4, i);
    return (struct store_write){STORE_PUT, STORE_LOCAL, span_make(key, 8),
                                span_make(value, STORE_WRITE_BYTES)};
}

/* Writes per second of callers who each wait for their own, all at once. */
static enum err rate_grouped(double *rate, struct stored *s)
{
    uint8_t key[8];
    struct grouped g = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, STORE_GROUPED, OK};
    const double began = bench_now();
    for (uint32_t i = 0; i < STORE_GROUPED; i++) {
        const struct store_write write = small_write(key, s->bytes, s->round, i);
        enum err err = store_submit(s->store, &write, 1, on_done, &g);
        if (err != OK) on_done(&g, err);
    }
    (void)pthread_mutex_lock(&g.lock);
    while (g.left > 0) (void)pthread_cond_wait(&g.all, &g.lock);
    (void)pthread_mutex_unlock(&g.lock);
    *rate = STORE_GROUPED / (bench_now() - began);
    return g.err;
}

static enum err rate_alone(double *rate, const struct stored *s)
{
    uint8_t key[8];
    const double began = bench_now();
    for (uint32_t i = 0; i < STORE_ALONE; i++) {
        const struct store_write write = small_write(key, s->bytes, s->round, i);
        TRY(bare_put(s->bare, &write, 1));
    }
    *rate = STORE_ALONE / (bench_now() - began);
    return OK;
}

static enum err group_commit(const struct bench *b, struct stored *s)
{
    double grouped[BENCH_ROUNDS], alone[BENCH_ROUNDS], ratio[BENCH_ROUNDS];
    for (int i = 0; i < BENCH_ROUNDS; i++, s->round++) {
        TRY(rate_alone(&alone[i], s));
        TRY(rate_grouped(&grouped[i], s));
        ratio[i] = grouped[i] / alone[i];
    }
    bench_print(b, "group_commit", bench_median(grouped, BENCH_ROUNDS), "writes/s",
                bench_median(ratio, BENCH_ROUNDS), "bare_lmdb_one_sync_each");
    return OK;
}

/* --- All of it -------------------------------------------------------------------------------------------------------- */

static enum err stored_init(struct stored *s)
{
    char path[PATH_MAX];
    memset(s, 0, sizeof *s);
    s->bytes = calloc(1, (size_t)STORE_MIB << 20);
    s->copy = malloc(STORE_LARGE);
    if (s->bytes == NULL || s->copy == NULL) return ERR_NO_MEMORY;
    TRY(bench_folder_make(s->dir));
    (void)snprintf(path, sizeof path, "%s/store", s->dir);
    const struct lmdb_options options = {.path = path, .map_bytes = (uint64_t)4 << 30};
    TRY(lmdb_store_open(&s->store, &options));
    (void)snprintf(path, sizeof path, "%s/bare", s->dir);
    return bare_open(&s->bare, path, (uint64_t)4 << 30);
}

static void set_size(struct stored *s, uint32_t blob_bytes, uint32_t batch)
{
    s->blob_bytes = blob_bytes;
    s->blob_count = (STORE_MIB << 20) / blob_bytes;
    s->batch = batch;
}

static enum err all_sizes(const struct bench *b, struct stored *s)
{
    set_size(s, STORE_LARGE, STORE_LARGE_BATCH);
    TRY(one_size(b, s, "blob_put_1MiB", "blob_get_1MiB"));
    set_size(s, STORE_SMALL, STORE_SMALL_BATCH);
    TRY(one_size(b, s, "blob_put_4KiB", "blob_get_4KiB"));
    return group_commit(b, s);
}

enum err bench_store(const struct bench *b)
{
    static struct stored s;
    enum err err = stored_init(&s);
    if (err == OK) err = all_sizes(b, &s);
    store_close(s.store);
    bare_close(s.bare);
    if (s.dir[0] != 0) bench_folder_remove(s.dir);
    free(s.bytes);
    free(s.copy);
    return err;
}
