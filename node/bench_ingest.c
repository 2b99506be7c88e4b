/* P3: records from a peer until they are on disk: the production core and store, keyed work on every core, against bare
 * signature verification of the same records on every core. */
#include "node/bench.h"

#include "crypto/cocktail.h"
#include "crypto/identity.h"
#include "crypto/kem.h"
#include "crypto/secret.h"
#include "node/keyed.h"
#include "proto/base/panic.h"
#include "proto/chain.h"
#include "proto/pump.h"
#include "storage/store.h"

#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    INGEST_RECORDS = 3000,
    INGEST_IN_FLIGHT = 256, /* fed and not yet stored: as a link would hand them over */
    INGEST_THREADS_MAX = 64,
    INGEST_MESSAGE_BYTES = 1024,
    INGEST_ARENA_BYTES = 1 << 20,
    INGEST_QUEUE = 4096,
};

/* A consortium of one, and what it wrote: its charter, then revocations, which are the smallest decisions. */
struct ingest_author {
    struct identity_secret secret;
    struct node_id id;
    struct consortium_id consortium;
    uint8_t charter_bytes[4096];
    struct span charter;
    uint64_t seq;
    struct record_id head;
};
struct wire_record {
    uint8_t bytes[INGEST_MESSAGE_BYTES];
    size_t len;
    struct hash32 signed_hash;
    struct signature signature;
};

/* What other threads finished, for the thread that owns the core. */
struct finished {
    uint64_t token;
    enum event_type type;
    struct keyed *keyed;
    enum err err;
};
struct ingest {
    struct ingest_author author;
    struct wire_record *message;
    struct core *core;
    struct store *store;
    struct pump_executors executors;
    void *memory;
    uint64_t began_ms;
    uint32_t in_flight, stored;
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    struct finished jobs[INGEST_QUEUE], results[INGEST_QUEUE];
    uint32_t jobs_head, jobs_tail, results_head, results_tail;
    bool closing;
};

/* --- The author ----------------------------------------------------------------------------------------------------- */

static enum err write_charter(struct ingest_author *a)
{
    struct scalar_secret dkg_secret;
    struct kem_secret kem_secret;
    struct charter_member member;
    struct charter charter;
    struct buffer out = BUFFER_OF(a->charter_bytes);
    memset(&member, 0, sizeof member);
    memset(&charter, 0, sizeof charter);
    identity_generate(&a->secret, &a->id);
    member.node = member.approval = a->id;
    member.organisation = SPAN_LITERAL("bench");
    member.jurisdiction = SPAN_LITERAL("CH");
    member.roles = ROLE_OWNER | ROLE_CUSTODIAN | ROLE_STEWARD;
    kem_generate(&kem_secret, &member.kem);
    cocktail_keypair(&dkg_secret, &member.dkg);
    charter.name = SPAN_LITERAL("bench");
    charter.version = charter.k = charter.q = charter.s = charter.t = 1;
    charter.member_count = 1;
    charter.member = &member;
    charter.accept_simulated = true;
    charter.evidence_age_max_ms = charter.lease_ms = 3000;
    charter.rank_delay_ms = charter.skew_max_ms = 1000;
    TRY(charter_write(&out, &charter));
    a->charter = buffer_span(&out);
    struct hash32 hash = sha256(a->charter);
    memcpy(a->consortium.bytes, hash.bytes, 32);
    return OK;
}

static enum err write_record(struct wire_record *out, struct ingest_author *a, enum kind kind,
                             const void *body, uint64_t now_ms)
{
    uint8_t memory[CAP_HEADER_BYTES + 8192];
    struct buffer bytes = BUFFER_OF(memory), message = BUFFER_OF(out->bytes);
    size_t header_len = 0;
    struct header h = {.kind = kind,
                       .consortium = a->consortium,
                       .author = a->id,
                       .seq = a->seq + 1,
                       .prev = a->head,
                       .time_ms = now_ms};
    TRY(record_build(&bytes, &header_len, &h, body));
    const struct span header = span_make(memory, header_len),
                      rest = span_make(memory + header_len, bytes.len - header_len);
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
    struct body_CHARTER charter = {g->author.charter};
    struct body_REVOCATION revocation = {.target = REVOKE_DATASET};
    TRY(write_record(&g->message[0], &g->author, KIND_CHARTER, &charter, g->began_ms));
    for (uint32_t i = 1; i < INGEST_RECORDS; i++) {
        store_u32(revocation.subject.bytes, i);
        TRY(write_record(&g->message[i], &g->author, KIND_REVOCATION, &revocation, g->began_ms));
    }
    return OK;
}

/* --- Threads -------------------------------------------------------------------------------------------------------- */

static void finish(struct ingest *g, struct finished f)
{
    (void)pthread_mutex_lock(&g->lock);
    ASSERT(g->results_tail - g->results_head < INGEST_QUEUE);
    g->results[g->results_tail++ % INGEST_QUEUE] = f;
    (void)pthread_cond_signal(&g->done);
    (void)pthread_mutex_unlock(&g->lock);
}

static void *run_jobs(void *context)
{
    struct ingest *g = context;
    for (;;) {
        (void)pthread_mutex_lock(&g->lock);
        while (g->jobs_head == g->jobs_tail && !g->closing) (void)pthread_cond_wait(&g->work, &g->lock);
        if (g->jobs_head == g->jobs_tail) break;
        struct finished f = g->jobs[g->jobs_head++ % INGEST_QUEUE];
        (void)pthread_mutex_unlock(&g->lock);
        keyed_run(f.keyed);
        finish(g, f);
    }
    (void)pthread_mutex_unlock(&g->lock);
    return NULL;
}

/* --- Executors, as the daemon's ------------------------------------------------------------------------------------------ */

static void x_send(void *context, struct node_id peer, struct span bytes)
{
    (void)context;
    (void)peer;
    (void)bytes;
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

static void x_crypto(void *context, uint64_t token, const struct crypto_job *job)
{
    struct ingest *g = context;
    const struct finished f = {token, EVENT_CRYPTO, keyed_copy(job, NULL), OK};
    ASSERT(f.keyed != NULL && job->op == CRYPTO_VERIFY); /* this core signs nothing */
    (void)pthread_mutex_lock(&g->lock);
    ASSERT(g->jobs_tail - g->jobs_head < INGEST_QUEUE);
    g->jobs[g->jobs_tail++ % INGEST_QUEUE] = f;
    (void)pthread_cond_signal(&g->work);
    (void)pthread_mutex_unlock(&g->lock);
}

static void on_stored(void *context, enum err err)
{
    finish(context, (struct finished){0, EVENT_STORED, NULL, err});
}

static void x_store(void *context, uint64_t token, const struct keep *items, uint32_t count)
{
    struct ingest *g = context;
    uint8_t value[2 + CAP_HEADER_BYTES + 64], chain[32 + 8 + 32];
    struct buffer v = BUFFER_OF(value), c = BUFFER_OF(chain);
    struct record r;
    ASSERT(token == 0 && count == 1 && items[0].space == KEEP_RECORD &&
           record_unpack(&r, items[0].value) == OK);
    buffer_put_u16(&v, (uint16_t)r.header_bytes.len);
    buffer_put(&v, r.header_bytes);
    buffer_put(&v, SPAN_OF(r.signature.bytes));
    buffer_put(&c, ID_SPAN(r.header.author));
    buffer_put_u64(&c, r.header.seq);
    buffer_put(&c, ID_SPAN(r.id));
    const struct store_write writes[] = {{STORE_PUT, STORE_RECORD, ID_SPAN(r.id), buffer_span(&v)},
                                         {STORE_PUT, STORE_BODY, ID_SPAN(r.id), r.body},
                                         {STORE_PUT, STORE_CHAIN, buffer_span(&c), SPAN_NONE}};
    ASSERT(store_submit(g->store, writes, 3, on_stored, g) == OK);
}

/* --- One round ------------------------------------------------------------------------------------------------------ */

static void feed(struct ingest *g, struct event event)
{
    event.now.ns = (int64_t)(bench_now() * 1e9);
    event.wall_ms = g->began_ms;
    pump_event(g->core, &g->executors, &event);
}

/* Take what is finished; wait for something when `wait`. */
static void take_results(struct ingest *g, bool wait)
{
    (void)pthread_mutex_lock(&g->lock);
    while (wait && g->results_head == g->results_tail) (void)pthread_cond_wait(&g->done, &g->lock);
    while (g->results_head != g->results_tail) {
        const struct finished f = g->results[g->results_head++ % INGEST_QUEUE];
        (void)pthread_mutex_unlock(&g->lock);
        if (f.keyed != NULL) {
            feed(g, (struct event){.type = EVENT_CRYPTO,
                                   .token = f.token,
                                   .err = f.keyed->err,
                                   .bytes = span_make(f.keyed->output, f.keyed->output_len)});
            keyed_free(f.keyed);
        } else {
            ASSERT(f.err == OK);
            g->stored++;
            g->in_flight--;
        }
        (void)pthread_mutex_lock(&g->lock);
    }
    (void)pthread_mutex_unlock(&g->lock);
}

static double ingest_all(struct ingest *g)
{
    const double began = bench_now();
    for (uint32_t i = 0; i < INGEST_RECORDS; i++) {
        while (g->in_flight >= INGEST_IN_FLIGHT) take_results(g, true);
        g->in_flight++;
        feed(g, (struct event){.type = EVENT_MESSAGE,
                               .peer = g->author.id,
                               .bytes = span_make(g->message[i].bytes, g->message[i].len)});
        take_results(g, false);
    }
    while (g->stored < INGEST_RECORDS) take_results(g, true);
    return INGEST_RECORDS / (bench_now() - began);
}

static enum err open_core(struct ingest *g)
{
    struct arena arena;
    struct identity_secret nobody;
    struct core_options options = {.consortium = g->author.consortium, .charter = g->author.charter};
    identity_generate(&nobody, &options.self);
    g->memory = mmap(NULL, core_arena_bytes(), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (g->memory == MAP_FAILED) return ERR_NO_MEMORY;
    arena = arena_make(g->memory, core_arena_bytes());
    struct arena *kept = ARENA_NEW(&arena, struct arena); /* the core keeps a pointer to its arena */
    *kept = arena;
    TRY(core_new(&g->core, kept, &options));
    g->executors = (struct pump_executors){g,     x_send, x_send_blob, x_store, x_crypto, x_run,
                                           x_run, x_run,  x_stop,      x_reply, x_notice};
    feed(g, (struct event){.type = EVENT_READY});
    feed(g, (struct event){.type = EVENT_PEER_UP, .peer = g->author.id});
    return OK;
}

static enum err ingest_round(struct ingest *g, double *rate)
{
    pthread_t thread[INGEST_THREADS_MAX];
    const uint32_t threads = bench_cores();
    g->in_flight = g->stored = 0;
    g->jobs_head = g->jobs_tail = g->results_head = g->results_tail = 0;
    g->closing = false;
    TRY(open_core(g));
    for (uint32_t i = 0; i < threads; i++) ASSERT(pthread_create(&thread[i], NULL, run_jobs, g) == 0);
    *rate = ingest_all(g);
    (void)pthread_mutex_lock(&g->lock);
    g->closing = true;
    (void)pthread_cond_broadcast(&g->work);
    (void)pthread_mutex_unlock(&g->lock);
    for (uint32_t i = 0; i < threads; i++) (void)pthread_join(thread[i], NULL);
    bool all = core_chain(g->core)->entry_count == INGEST_RECORDS;
    (void)munmap(g->memory, core_arena_bytes());
    return all ? OK : ERR_CONFLICT;
}

/* --- The limit ------------------------------------------------------------------------------------------------------ */

struct bare {
    const struct ingest *ingest;
    uint32_t from, step;
};

static void *verify_some(void *context)
{
    const struct bare *b = context;
    for (uint32_t i = b->from; i < INGEST_RECORDS; i += b->step)
        ASSERT(identity_verify(b->ingest->author.id, b->ingest->message[i].signed_hash,
                               &b->ingest->message[i].signature) == OK);
    return NULL;
}

static double verify_all(const struct ingest *g)
{
    pthread_t thread[INGEST_THREADS_MAX];
    struct bare part[INGEST_THREADS_MAX];
    const uint32_t threads = bench_cores();
    const double began = bench_now();
    for (uint32_t i = 0; i < threads; i++) {
        part[i] = (struct bare){g, i, threads};
        ASSERT(pthread_create(&thread[i], NULL, verify_some, &part[i]) == 0);
    }
    for (uint32_t i = 0; i < threads; i++) (void)pthread_join(thread[i], NULL);
    return INGEST_RECORDS / (bench_now() - began);
}

/* --- All of it ------------------------------------------------------------------------------------------------------ */

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

static enum err all_rounds(struct ingest *g, const char *dir, double *ingested, double *verified)
{
    char path[256];
    for (int i = 0; i < BENCH_ROUNDS; i++) {
        (void)snprintf(path, sizeof path, "%s/store-%d", dir, i);
        const struct lmdb_options options = {path, (uint64_t)1 << 30, false};
        TRY(lmdb_store_open(&g->store, &options));
        verified[i] = verify_all(g);
        enum err err = ingest_round(g, &ingested[i]);
        store_close(g->store);
        TRY(err);
    }
    return OK;
}

enum err bench_ingest(const struct bench *b)
{
    static struct ingest g;
    double ingested[BENCH_ROUNDS], verified[BENCH_ROUNDS];
    char dir[] = "/tmp/perigee-bench.XXXXXX", against[64];
    memset(&g, 0, sizeof g);
    g.began_ms = UINT64_C(1767225600000);
    g.message = calloc(INGEST_RECORDS, sizeof *g.message);
    if (g.message == NULL) return ERR_NO_MEMORY;
    (void)pthread_mutex_init(&g.lock, NULL);
    (void)pthread_cond_init(&g.work, NULL);
    (void)pthread_cond_init(&g.done, NULL);
    enum err err = mkdtemp(dir) != NULL ? write_charter(&g.author) : ERR_IO;
    if (err == OK) err = write_all(&g);
    if (err == OK) err = all_rounds(&g, dir, ingested, verified);
    (void)nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(g.message);
    if (err != OK) return err;
    const double rate = bench_median(ingested, BENCH_ROUNDS), bare = bench_median(verified, BENCH_ROUNDS);
    (void)snprintf(against, sizeof against, "bare_verification_on_%u_cores", bench_cores());
    bench_print(b, "record_ingest", rate, "records/s", rate / bare, against);
    return OK;
}
