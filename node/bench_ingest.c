/* P3: records from peers until they are on disk, on the daemon's own path (core_loop.h: core, keyed work on every core, store),
 * against bare signature verification of the same records on every core. They come as fast as the core takes them; what a
 * link does with bytes and what an answer costs is not in it. */
#include "node/bench.h"

#include "crypto/identity.h"
#include "node/bench_records.h"
#include "node/keyed_pool.h"
#include "proto/base/panic.h"

#include <stdio.h>

enum { INGEST_RECORDS = 6000 };

/* --- The limit ------------------------------------------------------------------------------------------------------ */

static void verify_some(void *context, uint32_t index, uint32_t count)
{
    const struct bench_records *g = context;
    for (uint32_t i = index; i < INGEST_RECORDS; i += count)
        ASSERT(identity_verify(g->message[i].author, g->message[i].signed_hash, &g->message[i].signature) ==
               OK);
}

/* By as many threads as check and step: neighbours press both sides alike. */
static double verify_all(struct bench_records *g)
{
    return INGEST_RECORDS / bench_on_threads(keyed_pool_threads() + 1, verify_some, g);
}

/* --- All of it ------------------------------------------------------------------------------------------------------ */

static enum err all_rounds(struct bench_records *g, const char *dir, double *ingested, double *verified)
{
    char path[256];
    struct store *store;
    for (int i = 0; i < BENCH_ROUNDS; i++) {
        (void)snprintf(path, sizeof path, "%s/store-%d", dir, i);
        const struct lmdb_options options = {.path = path, .map_bytes = (uint64_t)1 << 30};
        TRY(lmdb_store_open(&store, &options));
        verified[i] = verify_all(g);
        TRY(bench_records_ingest(g, store, &ingested[i]));
    }
    return OK;
}

enum err bench_ingest(const struct bench *b)
{
    static struct bench_records g;
    double ingested[BENCH_ROUNDS], verified[BENCH_ROUNDS], ratio[BENCH_ROUNDS];
    char dir[BENCH_FOLDER_MAX], against[64];
    TRY(bench_folder_make(dir));
    enum err err = bench_records_make(&g, INGEST_RECORDS);
    if (err == OK) err = all_rounds(&g, dir, ingested, verified);
    bench_folder_remove(dir);
    bench_records_free(&g);
    if (err != OK) return err;
    for (int i = 0; i < BENCH_ROUNDS; i++) ratio[i] = ingested[i] / verified[i]; /* neighbours in time */
    (void)snprintf(against, sizeof against, "bare_verification_on_%u_cores", bench_cores());
    bench_print(b, "record_ingest", bench_median(ingested, BENCH_ROUNDS), "records/s",
                bench_median(ratio, BENCH_ROUNDS), against);
    return OK;
}
