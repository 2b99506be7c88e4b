#include "node/bench_records.h"

#include "crypto/cocktail.h"
#include "crypto/hash.h"
#include "crypto/identity.h"
#include "crypto/kem.h"
#include "node/bench.h"
#include "node/core_loop.h"
#include "proto/chain.h"
#include "proto/charter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Being checked, or on their way to the disk: a core takes no more than 1,024 of members at once. */
enum { RECORDS_IN_FLIGHT = 1000 };

/* --- The authors ---------------------------------------------------------------------------------------------------- */

static int by_id(const void *a, const void *b)
{
    const struct bench_author *x = a, *y = b;
    return memcmp(x->id.bytes, y->id.bytes, sizeof x->id.bytes);
}

static void fill_member(struct charter_member *m, char organisation[8], const struct bench_records *g,
                        uint32_t i)
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

static enum err write_charter(struct bench_records *g)
{
    char organisation[BENCH_AUTHORS][8];
    struct charter_member member[BENCH_AUTHORS];
    struct charter charter = {.name = SPAN_LITERAL("bench"), .member_count = BENCH_AUTHORS, .member = member};
    struct buffer out = BUFFER_OF(g->charter_bytes);
    for (uint32_t i = 0; i < BENCH_AUTHORS; i++) identity_generate(&g->author[i].secret, &g->author[i].id);
    qsort(g->author, BENCH_AUTHORS, sizeof g->author[0], by_id);
    for (uint32_t i = 0; i < BENCH_AUTHORS; i++) fill_member(&member[i], organisation[i], g, i);
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

static enum err write_record(struct bench_record *out, const struct bench_records *g, struct bench_author *a,
                             enum kind kind, const void *body)
{
    uint8_t memory[CAP_HEADER_BYTES + 2 * BENCH_MESSAGE_BYTES];
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

static enum err write_all(struct bench_records *g)
{
    struct body_CHARTER charter = {g->charter};
    struct body_REVOCATION revocation = {.target = REVOKE_DATASET};
    TRY(write_record(&g->message[0], g, &g->author[0], KIND_CHARTER, &charter));
    for (uint32_t i = 1; i < g->count; i++) {
        store_u32(revocation.subject.bytes, i);
        TRY(write_record(&g->message[i], g, &g->author[i % BENCH_AUTHORS], KIND_REVOCATION, &revocation));
    }
    return OK;
}

/* --- Executors: the daemon's for store and keyed work, nobody for the rest ------------------------------------------- */

static void x_store(void *context, uint64_t token, const struct keep *items, uint32_t count)
{
    core_loop_store(((struct bench_records *)context)->core, token, items, count);
}

static void x_crypto(void *context, uint64_t token, const struct crypto_job *job)
{
    core_loop_crypto(((struct bench_records *)context)->core, token, job);
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

static void x_dial(void *context, struct node_id peer, struct span address)
{
    (void)context, (void)peer, (void)address;
}

static void x_hang_up(void *context, struct node_id peer)
{
    (void)context, (void)peer;
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

static void feed_record(struct bench_records *g, const struct bench_record *m)
{
    core_loop_feed(
        g->core,
        &(struct event){.type = EVENT_MESSAGE, .peer = m->author, .bytes = span_make(m->bytes, m->len)});
}

/* Records per second until the last is on disk. */
static enum err ingest_all(struct bench_records *g, uv_loop_t *loop, struct store *store, double *rate)
{
    const double began = bench_now();
    for (uint32_t i = 0; i < g->count; i++) {
        while (core_loop_in_flight(g->core) >= RECORDS_IN_FLIGHT) (void)uv_run(loop, UV_RUN_ONCE);
        feed_record(g, &g->message[i]);
    }
    while (core_loop_in_flight(g->core) > 0) (void)uv_run(loop, UV_RUN_ONCE);
    TRY(store_write_now(store, NULL, 0)); /* done when all before it is */
    *rate = g->count / (bench_now() - began);
    return OK;
}

static enum err open_core(struct bench_records *g, uv_loop_t *loop, struct store *store)
{
    struct identity_secret nobody;
    struct core_options core = {.consortium = g->consortium, .charter = g->charter};
    const struct pump_executors executors = {g,        x_send,    x_offence, x_send_blob, x_store,
                                             x_crypto, x_run,     x_run,     x_run,       x_stop,
                                             x_dial,   x_hang_up, x_reply,   x_notice,    NULL};
    const struct core_loop_options options = {loop, NULL, store, &core, &executors, on_log, NULL};
    identity_generate(&nobody, &core.self);
    TRY(core_loop_open(&g->core, &options));
    core_loop_feed(g->core, &(struct event){.type = EVENT_READY});
    for (uint32_t i = 0; i < BENCH_AUTHORS; i++)
        core_loop_feed(g->core, &(struct event){.type = EVENT_PEER_UP, .peer = g->author[i].id});
    return OK;
}

static enum err all_there(const struct bench_records *g, struct store *store)
{
    struct store_status status;
    TRY(store_status(store, &status));
    return core_chain(core_loop_core(g->core))->entry_count == g->count &&
                   status.entries[STORE_RECORD] == g->count
               ? OK
               : ERR_CONFLICT;
}

enum err bench_records_ingest(struct bench_records *g, struct store *store, double *rate)
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

enum err bench_records_make(struct bench_records *g, uint32_t count)
{
    memset(g, 0, sizeof *g);
    g->count = count;
    g->message = calloc(count, sizeof *g->message);
    if (g->message == NULL) return ERR_NO_MEMORY;
    TRY(write_charter(g));
    return write_all(g);
}

void bench_records_free(struct bench_records *g)
{
    free(g->message);
    g->message = NULL;
}
