#include "sim/guest.h"

#include "crypto/body.h"
#include "crypto/evidence.h"
#include "crypto/hash.h"
#include "crypto/identity.h"
#include "crypto/kem.h"
#include "crypto/secret.h"
#include "crypto/unlock.h"
#include "crypto/work.h"
#include "proto/base/panic.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    DUTIES_FIRST = 16,
    DUTIES_MAX = 4096,
    BOX_BYTES_MAX = 1 << 17,
    CHUNKS_MAX = 8,
    EVIDENCE_BYTES_MAX = 8192,
    ARENA_MB = 256,
    DUTY_NS = 100000, /* any but the costly ones */
};

/* What is done, and is told at its time; or a frame that came. */
struct duty {
    uint64_t ready_ns, order;
    enum enclave_effect_type type; /* ENCLAVE_FRAME: a frame */
    uint64_t token;
    enum err err;
    uint8_t *bytes;
    size_t len;
};

struct guest {
    struct guest_options options;
    struct arena arena;
    struct enclave *enclave;
    uint64_t now_ns, wall_ms, order, busy_ns[2]; /* busy: until then, by lane */
    bool gone;

    struct duty *duty;
    uint32_t duty_count, duty_cap;

    struct identity_secret signing;
    struct node_id id;
    struct kem_secret kem_secret;
    struct kem_public kem;
    uint64_t entropy_used;
    struct unlock unlock;
    struct unlocked run;
    struct body_key *key[CAP_INPUTS];
    uint8_t *plain[CAP_INPUTS];
    size_t plain_len[CAP_INPUTS];
    bool shown[CAP_INPUTS]; /* some of its rows are in plaintext */
};

static size_t arena_bytes(void)
{
    return core_registry_bytes() + ((size_t)ARENA_MB << 20);
}

/* --- What is done later --------------------------------------------------------------------------------------------------- */

static bool is_long(enum enclave_effect_type type)
{
    return type == ENCLAVE_INPUT_CHUNK || type == ENCLAVE_COMPUTE;
}

static uint64_t cost_of(const struct guest *g, const struct enclave_effect *f)
{
    switch (f->type) {
    case ENCLAVE_VERIFY: return UINT64_C(45000) * f->check_count;
    case ENCLAVE_CHECK_SHARES: return UINT64_C(500000) * (enclave_keys(g->enclave)->input_count + 1);
    case ENCLAVE_UNLOCK: return UINT64_C(800000) * (enclave_keys(g->enclave)->input_count + 1);
    case ENCLAVE_COMPUTE: return scenario_compute_ns(g->options.cast->scenario, g->options.host->party);
    default: return DUTY_NS;
    }
}

static void grow_duties(struct guest *g)
{
    ASSERT(g->duty_count < DUTIES_MAX);
    g->duty_cap = g->duty_cap == 0 ? DUTIES_FIRST : 2 * g->duty_cap;
    g->duty = realloc(g->duty, g->duty_cap * sizeof *g->duty);
    ASSERT(g->duty != NULL);
}

static void add_duty(struct guest *g, struct duty d, struct span bytes)
{
    if (g->duty_count == g->duty_cap) grow_duties(g);
    d.order = g->order++;
    d.len = bytes.len;
    d.bytes = bytes.len > 0 ? malloc(bytes.len) : NULL;
    ASSERT(bytes.len == 0 || d.bytes != NULL);
    if (bytes.len > 0) memcpy(d.bytes, bytes.data, bytes.len);
    g->duty[g->duty_count++] = d;
}

static void done(struct guest *g, const struct enclave_effect *f, enum err err, struct span bytes)
{
    uint64_t *busy_ns = &g->busy_ns[is_long(f->type)];
    if (*busy_ns < g->now_ns) *busy_ns = g->now_ns;
    *busy_ns += cost_of(g, f);
    add_duty(g, (struct duty){.ready_ns = *busy_ns, .type = f->type, .token = f->token, .err = err}, bytes);
}

static uint32_t first_duty(const struct guest *g)
{
    uint32_t first = 0;
    for (uint32_t i = 1; i < g->duty_count; i++) {
        const struct duty *a = &g->duty[i], *b = &g->duty[first];
        if (a->ready_ns < b->ready_ns || (a->ready_ns == b->ready_ns && a->order < b->order)) first = i;
    }
    return first;
}

/* --- Keys and evidence ------------------------------------------------------------------------------------------------------ */

static struct hash32 fresh(struct guest *g, const char *what)
{
    return cast_derive(g->options.cast->seed, what, g->options.number, g->entropy_used++);
}

static void do_keys(struct guest *g, const struct enclave_effect *f)
{
    uint8_t out[96];
    struct node_id id;
    const struct hash32 signing = fresh(g, "guest-signing"), kem = fresh(g, "guest-kem"),
                        challenge = fresh(g, "guest-challenge");
    memcpy(g->signing.bytes, signing.bytes, 32);
    memcpy(g->kem_secret.bytes, kem.bytes, 32);
    const enum err err = identity_public(&id, &g->signing);
    ASSERT(err == OK);
    kem_public_of(&g->kem, &g->kem_secret);
    g->id = id;
    memcpy(out, id.bytes, 32);
    memcpy(out + 32, g->kem.bytes, 32);
    memcpy(out + 64, challenge.bytes, 32);
    done(g, f, OK, SPAN_OF(out));
}

static void do_evidence(struct guest *g, const struct enclave_effect *f)
{
    uint8_t bytes[EVIDENCE_BYTES_MAX];
    struct buffer b = BUFFER_OF(bytes);
    struct evidence_facts facts = {.measurement = g->options.cast->measurement,
                                   .platform_id = g->options.host->platform,
                                   .time_ms = g->wall_ms};
    struct hash32 binding = f->hash;
    switch (g->options.evidence) {
    case GUEST_TRUE: break;
    case GUEST_STALE: facts.time_ms -= GUEST_STALE_MS; break;
    case GUEST_FAKE: facts.measurement = fresh(g, "guest-measurement"); break;
    case GUEST_RELAYED: binding = fresh(g, "guest-binding"); break;
    }
    const enum err err = evidence_simulate(&b, &facts, binding);
    done(g, f, err, buffer_span(&b));
}

static void do_check_evidence(struct guest *g, const struct enclave_effect *f)
{
    uint8_t bytes[sizeof(struct evidence_out)];
    struct buffer out = BUFFER_OF(bytes);
    const struct work_keys none = {0};
    const enum err err = work_do(&none, &out, f->job);
    done(g, f, err, err == OK ? buffer_span(&out) : SPAN_NONE);
}

static void do_verify(struct guest *g, const struct enclave_effect *f)
{
    uint8_t index[4];
    for (uint32_t i = 0; i < f->check_count; i++) {
        const struct signature *signature = &f->check[i].signature;
        if (notary_verify(g->options.cast->notary, f->check[i].author, f->check[i].message, signature) == OK)
            continue;
        store_u32(index, i);
        done(g, f, ERR_SIGNATURE, SPAN_OF(index));
        return;
    }
    done(g, f, OK, SPAN_NONE);
}

static void do_sign(struct guest *g, const struct enclave_effect *f)
{
    struct signature signature;
    const enum err err = notary_sign(g->options.cast->notary, &signature, &g->signing, f->hash);
    done(g, f, err, SPAN_OF(signature.bytes));
}

static void do_seal(struct guest *g, const struct enclave_effect *f)
{
    static uint8_t box[BOX_BYTES_MAX];
    struct kem_secret ephemeral;
    const struct hash32 secret = fresh(g, "guest-ephemeral");
    ASSERT(f->bytes.len + KEM_OVERHEAD_BYTES <= sizeof box);
    memcpy(ephemeral.bytes, secret.bytes, 32);
    const enum err err = kem_seal_from(box, &f->kem, f->bytes, f->context, &ephemeral);
    done(g, f, err, span_make(box, f->bytes.len + KEM_OVERHEAD_BYTES));
}

/* --- Shares ------------------------------------------------------------------------------------------------------------------- */

static void do_open(struct guest *g, const struct enclave_effect *f)
{
    static uint8_t plain[BOX_BYTES_MAX], view[ANSWER_BYTES_MAX];
    struct buffer b = BUFFER_OF(view);
    struct span shares = SPAN_NONE;
    const bool fits = f->bytes.len >= KEM_OVERHEAD_BYTES && f->bytes.len <= sizeof plain;
    enum err err = fits ? kem_open(plain, &g->kem_secret, f->bytes, f->context) : ERR_TRUNCATED;
    if (err == OK)
        err = enclave_answer_view(&b, &shares, span_make(plain, f->bytes.len - KEM_OVERHEAD_BYTES));
    if (err == OK && shares.len > 0)
        err = unlock_take(&g->unlock, f->party, shares, enclave_keys(g->enclave)->input_count);
    done(g, f, err, err == OK ? buffer_span(&b) : SPAN_NONE);
}

static enum err check_shares(struct guest *g, uint32_t party)
{
    struct unlock_terms terms;
    TRY(enclave_unlock_terms(&terms, enclave_keys(g->enclave)));
    return unlock_check(&g->unlock, party, &terms);
}

static enum err unlock(struct guest *g)
{
    struct unlock_terms terms;
    TRY(enclave_unlock_terms(&terms, enclave_keys(g->enclave)));
    return unlock_open(&g->unlock, &g->run, &terms);
}

/* --- Inputs, the computation --------------------------------------------------------------------------------------------------- */

static enum err begin_input(struct guest *g, const struct enclave_effect *f)
{
    const struct manifest *m = f->manifest;
    struct hash32 leaf[CHUNKS_MAX];
    if (f->bytes.len > sizeof leaf || m->chunk_count > CHUNKS_MAX) return ERR_TOO_LARGE;
    memcpy(leaf, f->bytes.data, f->bytes.len);
    TRY(body_key_derive(&g->key[f->input], g->run.data_key[f->input], m->suite, m->salt));
    const struct hash32 commitment = body_key_commitment(g->key[f->input]),
                        root = body_root(leaf, m->chunk_count);
    if (!ID_EQUAL(commitment, m->commitment) || !ID_EQUAL(root, m->root)) return ERR_HASH;
    g->plain_len[f->input] = (size_t)m->plain_len;
    g->plain[f->input] = calloc(1, (size_t)m->plain_len + 1);
    return g->plain[f->input] != NULL ? OK : ERR_NO_MEMORY;
}

static enum err open_chunk(struct guest *g, const struct enclave_effect *f)
{
    const struct hash32 hash = blake3(f->bytes);
    const size_t begin = (size_t)f->chunk * BODY_CHUNK_BYTES;
    uint8_t *at = g->plain[f->input] + begin;
    if (begin + f->bytes.len > g->plain_len[f->input] + BODY_TAG_BYTES) return ERR_TOO_LARGE;
    if (!ID_EQUAL(hash, f->hash)) return ERR_HASH;
    TRY(body_open_chunk(at, g->key[f->input], f->chunk, f->bytes));
    if (!g->shown[f->input])
        g->options.opened(g->options.context, enclave_keys(g->enclave)->manifest[f->input]->dt);
    g->shown[f->input] = true;
    return OK;
}

static void do_compute(struct guest *g, const struct enclave_effect *f)
{
    char output[160], hex[65];
    const struct enclave_keys *k = enclave_keys(g->enclave);
    struct sha256_stream digest;
    struct buffer b = BUFFER_OF(output);
    sha256_begin(&digest);
    sha256_add(&digest, SPAN_OF(g->run.seed));
    for (uint32_t i = 0; i < k->input_count; i++)
        sha256_add(&digest, span_make(g->plain[i], g->plain_len[i]));
    const struct hash32 value = sha256_end(&digest);
    hex_encode(hex, value.bytes, 32);
    buffer_put_text(&b, "{\"pad\":\"\",\"perigee\":\"output/1\",\"value\":\"");
    buffer_put_text(&b, hex);
    buffer_put_text(&b, "\"}");
    done(g, f, OK, buffer_span(&b));
}

static void do_content_id(struct guest *g, const struct enclave_effect *f)
{
    const struct manifest *m = f->manifest;
    const struct body_summary s = {m->suite, m->plain_len, m->salt, m->commitment, m->root, m->chunk_count};
    struct content_id id = {{0}};
    const enum err err = body_summary_check(&s);
    if (err == OK) id = body_content_id(&s);
    done(g, f, err, ID_SPAN(id));
}

static void wipe(struct guest *g)
{
    for (uint32_t i = 0; i < CAP_INPUTS; i++) {
        if (g->key[i] != NULL) body_key_free(g->key[i]);
        free(g->plain[i]);
        g->key[i] = NULL;
        g->plain[i] = NULL;
    }
    unlock_wipe(&g->unlock);
    secret_wipe(&g->run, sizeof g->run);
    secret_wipe(&g->signing, sizeof g->signing);
    secret_wipe(&g->kem_secret, sizeof g->kem_secret);
}

/* --- Driving ---------------------------------------------------------------------------------------------------------------------- */

static void execute(struct guest *g, const struct enclave_effect *f)
{
    switch (f->type) {
    case ENCLAVE_FRAME: g->options.frame(g->options.context, f->bytes); break;
    case ENCLAVE_KEYS: do_keys(g, f); break;
    case ENCLAVE_EVIDENCE: do_evidence(g, f); break;
    case ENCLAVE_VERIFY: do_verify(g, f); break;
    case ENCLAVE_SIGN: do_sign(g, f); break;
    case ENCLAVE_SEAL: do_seal(g, f); break;
    case ENCLAVE_OPEN: do_open(g, f); break;
    case ENCLAVE_CONTENT_ID: do_content_id(g, f); break;
    case ENCLAVE_CHECK_EVIDENCE: do_check_evidence(g, f); break;
    case ENCLAVE_CHECK_SHARES: done(g, f, check_shares(g, f->party), SPAN_NONE); break;
    case ENCLAVE_UNLOCK: {
        const enum err err = unlock(g);
        done(g, f, err, err == OK ? ID_SPAN(g->run.salt) : SPAN_NONE);
        break;
    }
    case ENCLAVE_INPUT_BEGIN: done(g, f, begin_input(g, f), SPAN_NONE); break;
    case ENCLAVE_INPUT_CHUNK: done(g, f, open_chunk(g, f), SPAN_NONE); break;
    case ENCLAVE_COMPUTE: do_compute(g, f); break;
    case ENCLAVE_COMMITMENT: {
        const struct hash32 commitment = enclave_commitment(g->run.salt, f->bytes);
        done(g, f, OK, ID_SPAN(commitment));
        break;
    }
    case ENCLAVE_WIPE: wipe(g); break;
    case ENCLAVE_EXIT: g->gone = true; break;
    }
}

static void step(struct guest *g, const struct enclave_event *event)
{
    uint32_t count;
    enclave_step(g->enclave, event);
    const struct enclave_effect *effects = enclave_effects(g->enclave, &count);
    for (uint32_t i = 0; i < count; i++) execute(g, &effects[i]);
}

static struct instant instant_of(uint64_t ns)
{
    return (struct instant){(int64_t)ns};
}

static void take(struct guest *g, uint32_t at)
{
    const struct duty d = g->duty[at];
    g->duty[at] = g->duty[--g->duty_count];
    step(g,
         &(struct enclave_event){.type = d.type == ENCLAVE_FRAME ? ENCLAVE_EVENT_FRAME : ENCLAVE_EVENT_DONE,
                                 .now = instant_of(g->now_ns),
                                 .wall_ms = g->wall_ms,
                                 .err = d.err,
                                 .bytes = span_make(d.bytes, d.len),
                                 .token = d.token});
    free(d.bytes);
}

void guest_frame(struct guest *g, struct span frame, uint64_t now_ns)
{
    add_duty(g, (struct duty){.ready_ns = now_ns, .type = ENCLAVE_FRAME}, frame);
}

void guest_turn(struct guest *g, uint64_t now_ns, uint64_t wall_ms)
{
    g->now_ns = now_ns;
    g->wall_ms = wall_ms;
    while (!g->gone && g->duty_count > 0) {
        const uint32_t first = first_duty(g);
        if (g->duty[first].ready_ns > now_ns) break;
        take(g, first);
    }
    const int64_t due_ns = enclave_deadline(g->enclave).ns;
    if (!g->gone && due_ns != INT64_MAX && (uint64_t)due_ns <= now_ns)
        step(g, &(struct enclave_event){
                    .type = ENCLAVE_EVENT_TICK, .now = instant_of(now_ns), .wall_ms = wall_ms});
}

uint64_t guest_due(const struct guest *g)
{
    const int64_t deadline_ns = enclave_deadline(g->enclave).ns;
    uint64_t due_ns = deadline_ns == INT64_MAX ? UINT64_MAX : (uint64_t)deadline_ns;
    for (uint32_t i = 0; i < g->duty_count; i++)
        if (g->duty[i].ready_ns < due_ns) due_ns = g->duty[i].ready_ns;
    return due_ns;
}

struct node_id guest_id(const struct guest *g)
{
    return g->id;
}

bool guest_gone(const struct guest *g)
{
    return g->gone;
}

bool guest_leased(const struct guest *g, uint64_t now_ns)
{
    return !g->gone && enclave_leased(g->enclave, instant_of(now_ns));
}

enum err guest_new(struct guest **out, const struct guest_options *options)
{
    struct guest *g = calloc(1, sizeof *g);
    if (g == NULL) return ERR_NO_MEMORY;
    g->options = *options;
    void *memory =
        mmap(NULL, arena_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        free(g);
        return ERR_NO_MEMORY;
    }
    g->arena = arena_make(memory, arena_bytes());
    const enum err err = enclave_new(&g->enclave, &g->arena);
    if (err == OK)
        *out = g;
    else
        guest_free(g);
    return err;
}

void guest_free(struct guest *g)
{
    if (g == NULL) return;
    wipe(g);
    while (g->duty_count > 0) free(g->duty[--g->duty_count].bytes);
    free(g->duty);
    (void)munmap(g->arena.data, arena_bytes());
    secret_wipe(g, sizeof *g);
    free(g);
}
