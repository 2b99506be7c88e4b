/* P3: records from peers until they are on disk, on the daemon's own path (core_loop.h: core, keyed work on every core, store),
 * against bare signature verification of the same records on every core. The records come from seven members in turn, as
 * fast as the core takes them; what a link does with bytes and what an answer costs is not in it. */
#include "node/bench.h"

#include "crypto/cocktail.h"
#include "crypto/identity.h"
#include "crypto/kem.h"
#include "crypto/secret.h"
#include "node/core_loop.h"
#include "proto/base/panic.h"
#include "proto/chain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    INGEST_AUTHORS = 7,
    INGEST_RECORDS = 6000,
    INGEST_IN_FLIGHT = 256, /* being checked at once: what links hand over in one turn of the loop */
    INGEST_MESSAGE_BYTES = 4096,
};

/* A consortium, and what its members wrote: its charter, then revocations, which are the smallest decisions. */
struct ingest_author {
    struct identity_secret secret;
    struct node_id id;
    uint64_t seq;
    struct record_id head;
};
struct wire_record {
    uint8_t bytes[INGEST_MESSAGE_BYTES];
    size_t len;
    struct node_id author;
    struct hash32 signed_hash;
    struct signature signature;
};
struct ingest {
    struct ingest_author author[INGEST_AUTHORS]; /* in the order of their ids, as a charter lists them */
    struct consortium_id consortium;
    uint8_t charter_bytes[INGEST_MESSAGE_BYTES];
    struct span charter;
    struct wire_record *message;
    struct core_loop *core;
};

/* --- The authors ---------------------------------------------------------------------------------------------------- */

static int by_id(const void *a, const void *b)
{
    const struct ingest_author *x = a, *y = b;
    return memcmp(x->id.bytes, y->id.bytes, sizeof x->id.bytes);
}

static void fill_member(struct charter_member *m, char organisation[8], const struct ingest *g, uint32_t i)
{
    struct scalar_secret dkg_secret;
    struct kem_secret kem_secret;
    (void)snprintf(organisation, 8, "bench-%u", i);
    memset(m, 0, sizeof *m);
    m->node = m->approval = g->author[i].id;
    m->organisation = span_text(organisation);
    m->jurisdiction = SPAN_LITERAL("CH");
    m->roles = ROLE_OWNER;
    kem_generate(&kem_secret, &m->kem);
    if (i > 0) return;
    m->roles |= ROLE_CUSTODIAN | ROLE_STEWARD;
    cocktail_keypair(&dkg_secret, &m->dkg);
}

static enum err write_charter(struct ingest *g)
{
    char organisation[INGEST_AUTHORS][8];
    struct charter_member member[INGEST_AUTHORS];
    struct charter charter = {
        .name = SPAN_LITERAL("bench"), .member_count = INGEST_AUTHORS, .member = member};
    struct buffer out = BUFFER_OF(g->charter_bytes);
    for (uint32_t i = 0; i < INGEST_AUTHORS; i++) identity_generate(&g->author[i].secret, &g->author[i].id);
    qsort(g->author, INGEST_AUTHORS, sizeof g->author[0], by_id);
    for (uint32_t i = 0; i < INGEST_AUTHORS; i++) fill_member(&member[i], organisation[i], g, i);
    charter.version = charter.k = charter.q = charter.s = charter.t = 1;
    charter.accept_simulated = true;
    charter.evidence_age_max_ms = charter.lease_ms = 3000;
    charter.rank_delay_ms = charter.skew_max_ms = 1000;
    TRY(charter_write(&out, &charter));
    g->charter = buffer_span(&out);
    struct hash32 hash = sha256(g->charter);
    memcpy(g->consortium.bytes, hash.bytes, 32);
    return OK;
}

static enum err write_record(struct wire_record *out, const struct ingest *g, struct ingest_author *a,
                             enum kind kind, const void *body)
{
    uint8_t memory[CAP_HEADER_BYTES + 2 * INGEST_MESSAGE_BYTES];
    struct buffer bytes = BUFFER_OF(memory), message = BUFFER_OF(out->bytes);
    size_t header_len = 0;
    struct header h = {.kind = kind,
                       .consortium = g->consortium,
                       .author = a->id,
                       .seq = a->seq + 1,
                       .prev = a->head,
                       .time_ms = core_loop_wall_ms()};
    TRY(record_build(&bytes, &header_len, &h, body));
    const struct span header = span_make(memory, header_len),
                      rest = span_make(memory + header_len, bytes.len - header_len);
    out->author = a->id;
    out->signed_hash = record_sign_hash(kind, header);
    TRY(identity_sign(&out->signature, &a->secret, out->signed_hash));
    const struct message_RECORD m = {header, out->signature, rest};
    message_encode(&message, MESSAGE_RECORD_CODE, &m);
    out->len = message.len;
    a->seq++;
    a->head = record_id_of(header);
    return buffer_done(&message);
}

static enum err write_all(struct ingest *g)
{
    struct body_CHARTER charter = {g->charter};
    struct body_REVOCATION revocation = {.target = REVOKE_DATASET};
    TRY(write_record(&g->message[0], g, &g->author[0], KIND_CHARTER, &charter));
    for (uint32_t i = 1; i < INGEST_RECORDS; i++) {
        store_u32(revocation.subject.bytes, i);
        TRY(write_record(&g->message[i], g, &g->author[i % INGEST_AUTHORS], KIND_REVOCATION, &revocation));
    }
    return OK;
}

/* --- Executors: the daemon's for store and keyed work, nobody for the rest ------------------------------------------- */

static void x_store(void *context, uint64_t token, const struct keep *items, uint32_t count)
{
    core_loop_store(((struct ingest *)context)->core, token, items, count);
}

static void x_crypto(void *context, uint64_t token, const struct crypto_job *job)
{
    core_loop_crypto(((struct ingest *)context)->core, token, job);
}

static void x_send(void *context, struct node_id peer, struct span bytes)
{
    (void)context;
    (void)peer;
    (void)bytes;
}

static void x_offence(void *context, struct node_id peer)
{
    x_send(context, peer, SPAN_NONE);
}

static void x_send_blob(void *context, struct node_id peer, struct span cid, struct span manifests)
{
    (void)cid;
    x_send(context, peer, manifests);
}

static void x_run(void *context, struct run_id run, struct span bytes)
{
    (void)context;
    (void)run;
    (void)bytes;
}

static void x_stop(void *context, struct run_id run)
{
    (void)context;
    (void)run;
}

static void x_reply(void *context, uint64_t token, struct verdict verdict, struct hash32 id)
{
    (void)context;
    (void)token;
    (void)verdict;
    (void)id;
}

static void x_notice(void *context, struct span line)
{
    (void)context;
    (void)line;
}

static void on_log(void *context, const char *line)
{
    (void)context;
    (void)fprintf(stderr, "perigee bench: %s\n", line);
}

/* --- One round ------------------------------------------------------------------------------------------------------ */

static void feed_record(struct ingest *g, const struct wire_record *m)
{
    core_loop_feed(
        g->core,
        &(struct event){.type = EVENT_MESSAGE, .peer = m->author, .bytes = span_make(m->bytes, m->len)});
}

/* Records per second until the last is on disk. */
static enum err ingest_all(struct ingest *g, uv_loop_t *loop, struct store *store, double *rate)
{
    const double began = bench_now();
    for (uint32_t i = 0; i < INGEST_RECORDS; i++) {
        while (core_loop_keyed_in_flight(g->core) >= INGEST_IN_FLIGHT) (void)uv_run(loop, UV_RUN_ONCE);
        feed_record(g, &g->message[i]);
    }
    while (core_loop_in_flight(g->core) > 0) (void)uv_run(loop, UV_RUN_ONCE);
    TRY(store_write_now(store, NULL, 0)); /* done when all before it is */
    *rate = INGEST_RECORDS / (bench_now() - began);
    return OK;
}

static enum err open_core(struct ingest *g, uv_loop_t *loop, struct store *store)
{
    struct identity_secret nobody;
    struct core_options core = {.consortium = g->consortium, .charter = g->charter};
    const struct pump_executors executors = {g,     x_send, x_offence, x_send_blob, x_store,  x_crypto, x_run,
                                             x_run, x_run,  x_stop,    x_reply,     x_notice, NULL};
    const struct core_loop_options options = {loop, NULL, store, &core, &executors, on_log};
    identity_generate(&nobody, &core.self);
    TRY(core_loop_open(&g->core, &options));
    core_loop_feed(g->core, &(struct event){.type = EVENT_READY});
    for (uint32_t i = 0; i < INGEST_AUTHORS; i++)
        core_loop_feed(g->core, &(struct event){.type = EVENT_PEER_UP, .peer = g->author[i].id});
    return OK;
}

static enum err all_there(const struct ingest *g, struct store *store)
{
    struct store_status status;
    TRY(store_status(store, &status));
    return core_chain(core_loop_core(g->core))->entry_count == INGEST_RECORDS &&
                   status.entries[STORE_RECORD] == INGEST_RECORDS
               ? OK
               : ERR_CONFLICT;
}

/* Closes the store. */
static enum err ingest_round(struct ingest *g, struct store *store, double *rate)
{
    uv_loop_t loop;
    if (uv_loop_init(&loop) != 0) return ERR_NO_MEMORY;
    g->core = NULL;
    enum err err = open_core(g, &loop, store);
    if (err == OK) err = ingest_all(g, &loop, store, rate);
    if (err == OK) err = all_there(g, store);
    store_close(store);
    if (g->core != NULL) core_loop_close(g->core);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&loop);
    return err;
}

/* --- The limit ------------------------------------------------------------------------------------------------------ */

static void verify_some(void *context, uint32_t index, uint32_t count)
{
    const struct ingest *g = context;
    for (uint32_t i = index; i < INGEST_RECORDS; i += count)
        ASSERT(identity_verify(g->message[i].author, g->message[i].signed_hash, &g->message[i].signature) ==
               OK);
}

/* By as many threads as check and step: neighbours press both sides alike. */
static double verify_all(struct ingest *g)
{
    return INGEST_RECORDS / bench_on_threads(keyed_pool_threads() + 1, verify_some, g);
}

/* --- All of it ------------------------------------------------------------------------------------------------------ */

static enum err all_rounds(struct ingest *g, const char *dir, double *ingested, double *verified)
{
    char path[256];
    struct store *store;
    for (int i = 0; i < BENCH_ROUNDS; i++) {
        (void)snprintf(path, sizeof path, "%s/store-%d", dir, i);
        const struct lmdb_options options = {.path = path, .map_bytes = (uint64_t)1 << 30};
        TRY(lmdb_store_open(&store, &options));
        verified[i] = verify_all(g);
        TRY(ingest_round(g, store, &ingested[i]));
    }
    return OK;
}

enum err bench_ingest(const struct bench *b)
{
    static struct ingest g;
    double ingested[BENCH_ROUNDS], verified[BENCH_ROUNDS], ratio[BENCH_ROUNDS];
    char dir[BENCH_FOLDER_MAX], against[64];
    memset(&g, 0, sizeof g);
    g.message = calloc(INGEST_RECORDS, sizeof *g.message);
    if (g.message == NULL) return ERR_NO_MEMORY;
    enum err err = bench_folder_make(dir);
    if (err == OK) err = write_charter(&g);
    if (err == OK) err = write_all(&g);
    if (err == OK) err = all_rounds(&g, dir, ingested, verified);
    bench_folder_remove(dir);
    free(g.message);
    if (err != OK) return err;
    for (int i = 0; i < BENCH_ROUNDS; i++) ratio[i] = ingested[i] / verified[i]; /* neighbours in time */
    (void)snprintf(against, sizeof against, "bare_verification_on_%u_cores", bench_cores());
    bench_print(b, "record_ingest", bench_median(ingested, BENCH_ROUNDS), "records/s",
                bench_median(ratio, BENCH_ROUNDS), against);
    return OK;
}
