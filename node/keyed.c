#include "node/keyed.h"

#include "crypto/cocktail.h"
#include "crypto/evidence.h"
#include "crypto/identity.h"
#include "crypto/kem.h"
#include "crypto/keyfile.h"
#include "crypto/secret.h"
#include "node/key_shares.h"
#include "node/share_cache.h"
#include "proto/base/panic.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static struct span move_span(uint8_t **at, struct span bytes)
{
    struct span copy = {*at, bytes.len};
    if (bytes.len > 0) memcpy(*at, bytes.data, bytes.len);
    *at += bytes.len;
    return copy;
}

/* Signatures are by far the most frequent work and put out little or nothing. */
static size_t output_bytes(enum crypto_op op)
{
    if (op == CRYPTO_VERIFY) return 0;
    return op == CRYPTO_SIGN ? sizeof(struct signature) : (size_t)KEYED_OUTPUT_MAX;
}

struct keyed *keyed_copy(const struct crypto_job *job, const struct home *home)
{
    const size_t session = job->session != NULL ? sizeof *job->session : 0;
    const size_t asked = job->box.len + job->context.len + job->parts.len + job->measurements.len;
    const size_t memory = session + asked + output_bytes(job->op);
    struct keyed *k = malloc(sizeof *k + memory);
    if (k == NULL) return NULL;
    *k = (struct keyed){.job = *job, .home = home, .output_cap = output_bytes(job->op), .memory_len = memory};
    uint8_t *at = k->memory;
    if (session > 0) { /* first: it is the only one that needs its alignment */
        memcpy(at, job->session, session);
        k->job.session = (const struct keygen_session *)(const void *)at;
        at += session;
    }
    k->job.box = move_span(&at, job->box);
    k->job.context = move_span(&at, job->context);
    k->job.parts = move_span(&at, job->parts);
    k->job.measurements = move_span(&at, job->measurements);
    k->output = at;
    return k;
}

void keyed_free(struct keyed *k)
{
    if (k == NULL) return;
    secret_wipe(k->memory, k->memory_len);
    free(k);
}

static void put(struct keyed *k, const void *bytes, size_t len)
{
    ASSERT(len <= k->output_cap - k->output_len);
    memcpy(k->output + k->output_len, bytes, len);
    k->output_len += len;
}

/* --- Signatures, boxes, evidence ------------------------------------------------------------------------------------ */

static enum err sign(struct keyed *k)
{
    struct signature signature;
    TRY(identity_sign(&signature, k->home->identity, k->job.hash));
    put(k, signature.bytes, sizeof signature.bytes);
    return OK;
}

static enum err verify(const struct keyed *k, struct identity_keys *keys)
{
    struct cursor c = cursor_make(k->job.parts);
    for (uint32_t i = 0; i < k->job.part_count; i++) {
        struct node_id author;
        struct hash32 message;
        struct signature signature;
        TRY(cursor_copy(&c, author.bytes, 32));
        TRY(cursor_copy(&c, message.bytes, 32));
        TRY(cursor_copy(&c, signature.bytes, 64));
        TRY(identity_keys_verify(keys, author, message, &signature));
    }
    return cursor_end(&c);
}

static enum err open_box(struct keyed *k)
{
    if (k->job.box.len < KEM_OVERHEAD_BYTES || k->job.box.len > KEYED_OUTPUT_MAX) return ERR_TRUNCATED;
    TRY(kem_open(k->output, k->home->kem, k->job.box, k->job.context));
    k->output_len = k->job.box.len - KEM_OVERHEAD_BYTES;
    return OK;
}

static enum err seal_box(struct keyed *k)
{
    if (k->job.box.len + KEM_OVERHEAD_BYTES > KEYED_OUTPUT_MAX) return ERR_TOO_LARGE;
    TRY(kem_seal(k->output, &k->job.kem, k->job.box, k->job.context));
    k->output_len = k->job.box.len + KEM_OVERHEAD_BYTES;
    return OK;
}

static enum err check_evidence(struct keyed *k)
{
    struct evidence_policy policy = evidence_policy_make(k->job.accept_simulated, k->job.need_gpu,
                                                         k->job.age_max_ms, k->job.measurements);
    struct evidence_result result;
    struct evidence_out out = {0};
    const char *field = NULL;
    enum err err = evidence_check(&result, &field, k->job.box, k->job.hash, k->job.now_ms, &policy);
    if (err != OK) {
        if (field != NULL) put(k, field, strlen(field));
        return err;
    }
    out.measurement = result.measurement;
    out.platform = result.platform_id;
    out.time_ms = result.time_ms;
    out.simulated = result.kind == EVIDENCE_SIMULATED;
    out.gpu_confidential = result.has_gpu && result.gpu_confidential;
    put(k, &out, sizeof out);
    return OK;
}

/* --- Key generation -------------------------------------------------------------------------------------------------- */

static struct cocktail_session session_of(const struct keyed *k)
{
    const struct keygen_session *s = k->job.session;
    return cocktail_session_make(s->n, s->t, s->own, s->party, s->tag, SPAN_OF(s->extension));
}

static enum err load_state(struct cocktail_secret *state, const struct keyed *k)
{
    char path[PATH_MAX];
    size_t len = 0;
    key_shares_path(path, k->home, k->job.session->epoch, k->job.session->purpose, "state");
    TRY(keyfile_read(path, "keygen-state", state->bytes, &len, home_keygen_passphrase(k->home)));
    return len == sizeof state->bytes ? OK : ERR_CORRUPT;
}

static enum err keygen_begin(struct keyed *k)
{
    struct cocktail_session session = session_of(k);
    struct cocktail_round1 message;
    char path[PATH_MAX];
    struct cocktail_secret *state = secret_alloc(sizeof *state);
    if (state == NULL) return ERR_NO_MEMORY;
    key_shares_path(path, k->home, k->job.session->epoch, k->job.session->purpose, "state");
    enum err err = load_state(state, k);
    if (err == OK) {
        err = cocktail_resume(&message, state, &session); /* after a restart: the same message again */
    } else if (err == ERR_NOT_FOUND) {
        err = cocktail_begin(state, &message, &session, k->home->dkg);
        if (err == OK)
            err = keyfile_write(path, "keygen-state", SPAN_OF(state->bytes), home_keygen_passphrase(k->home));
    }
    secret_free(state);
    if (err != OK) return err;
    struct buffer out = buffer_make(k->output, k->output_cap);
    cocktail_round1_write(&out, &message, &session, COCKTAIL_WHOLE);
    k->output_len = out.len;
    return buffer_done(&out);
}

/* The share file: x 32 | Y 32. An identical one may already be there after a restart. */
static enum err save_share(const struct keyed *k, const struct scalar_secret *x, const struct point *y)
{
    char path[PATH_MAX];
    uint8_t *bytes = secret_alloc(KEYFILE_SECRET_MAX);
    size_t len = 0;
    if (bytes == NULL) return ERR_NO_MEMORY;
    key_shares_path(path, k->home, k->job.session->epoch, k->job.session->purpose, "share");
    enum err err = keyfile_read(path, "keygen-share", bytes, &len, home_keygen_passphrase(k->home));
    if (err == OK) {
        bool same = len == 64 && secret_equal(bytes, x->bytes, 32) && memcmp(bytes + 32, y->bytes, 32) == 0;
        err = same ? OK : ERR_CONFLICT;
    } else if (err == ERR_NOT_FOUND) {
        memcpy(bytes, x->bytes, 32);
        memcpy(bytes + 32, y->bytes, 32);
        err = keyfile_write(path, "keygen-share", span_make(bytes, 64), home_keygen_passphrase(k->home));
    }
    secret_free(bytes);
    return err;
}

/* Whose part it is that does not hold, where that is known. */
static void put_culprit(struct keyed *k, enum err err, uint32_t culprit)
{
    const uint8_t byte = (uint8_t)culprit;
    if (err != OK && culprit != 0) put(k, &byte, 1);
}

static enum err finish(struct keyed *k, struct cocktail_round1 *round1, struct cocktail_secret *state,
                       struct scalar_secret *x)
{
    struct cocktail_session session = session_of(k);
    struct group_key key;
    uint8_t transcript[64], sig[COCKTAIL_SIGNATURE_BYTES];
    uint32_t culprit = 0;
    TRY(cocktail_round1_read(round1, k->job.parts, &session, COCKTAIL_WHOLE));
    TRY(load_state(state, k));
    enum err err = cocktail_finish(x, &key, transcript, sig, &culprit, state, &session, k->home->dkg, round1);
    put_culprit(k, err, culprit);
    TRY(err);
    TRY(save_share(k, x, &key.y));
    struct buffer out = buffer_make(k->output, k->output_cap);
    cocktail_result_write(&out, &key, transcript, sig);
    k->output_len = out.len;
    return buffer_done(&out);
}

static enum err keygen_finish(struct keyed *k)
{
    struct cocktail_round1 *round1 = calloc(COMMITTEE_MAX, sizeof *round1);
    struct cocktail_secret *state = secret_alloc(sizeof *state);
    struct scalar_secret *x = secret_alloc(sizeof *x);
    enum err err = round1 == NULL || state == NULL || x == NULL ? ERR_NO_MEMORY : finish(k, round1, state, x);
    secret_free(x);
    secret_free(state);
    free(round1);
    return err;
}

static enum err keygen_check(struct keyed *k)
{
    struct cocktail_session session = session_of(k);
    struct cocktail_round1 *round1 = calloc(COMMITTEE_MAX, sizeof *round1);
    uint32_t culprit = 0;
    if (round1 == NULL) return ERR_NO_MEMORY;
    enum err err = cocktail_certified(&culprit, round1, &session, k->job.box, k->job.parts, k->job.context);
    free(round1);
    put_culprit(k, err, culprit);
    return err;
}

/* --- Shares ---------------------------------------------------------------------------------------------------------- */

static_assert(sizeof(struct key_share) == SHARE_CACHE_BYTES, "a share file holds x and Y");

static enum err load_share(struct key_share *out, const struct keyed *k, uint32_t purpose)
{
    struct share_cache *cache = k->home->shares;
    if (cache != NULL && share_cache_get(cache, k->job.epoch, purpose, (uint8_t *)out)) return OK;
    enum err err = key_shares_read(out, k->home, k->job.epoch, purpose);
    if (err == OK && cache != NULL) share_cache_put(cache, k->job.epoch, purpose, (const uint8_t *)out);
    return err;
}

static void put_share(struct keyed *k, const struct dec_share *s)
{
    put(k, s->d.bytes, 32);
    put(k, s->e.bytes, 32);
    put(k, s->f.bytes, 32);
}

/* This owner's half of a data key (PROTOCOL.md "Owner's veto"): sealed to its key, under the label it builds itself. */
static enum err half(struct keyed *k)
{
    if (k->job.box.len != VETO_BOX_BYTES || k->job.parts.len != LABEL_PART_BYTES) return ERR_RANGE;
    struct label label = label_of_ids(k->job.hash, k->job.parts.data);
    TRY(kem_open(k->output, k->home->kem, k->job.box, SPAN_OF(label.bytes)));
    k->output_len = k->job.box.len - KEM_OVERHEAD_BYTES;
    return OK;
}

static enum err share_of_part(struct keyed *k, const struct key_share *a, const uint8_t *part)
{
    struct envelope envelope;
    struct dec_share share;
    memcpy(envelope.bytes, part + LABEL_PART_BYTES, ENVELOPE_BYTES);
    struct label label = label_of_ids(group_key_id(&a->y), part);
    enum err err = envelope_share(&share, &envelope, &a->y, &label, k->job.index, &a->x);
    if (err == OK) put_share(k, &share);
    secret_wipe(&share, sizeof share);
    return err;
}

static enum err compute_shares(struct keyed *k, struct key_share *held)
{
    struct dec_share prf;
    TRY(load_share(&held[0], k, 1));
    TRY(load_share(&held[1], k, 2));
    if (k->job.parts.len != (size_t)k->job.part_count * SHARE_PART_BYTES) return ERR_RANGE;
    for (uint32_t i = 0; i < k->job.part_count; i++)
        TRY(share_of_part(k, &held[0], k->job.parts.data + (size_t)i * SHARE_PART_BYTES));
    enum err err = prf_share(&prf, &held[1].y, k->job.hash, k->job.index, &held[1].x);
    if (err == OK) put_share(k, &prf);
    secret_wipe(&prf, sizeof prf);
    return err;
}

static enum err shares(struct keyed *k)
{
    struct key_share *held = secret_alloc(2 * sizeof *held);
    if (held == NULL) return ERR_NO_MEMORY;
    enum err err = compute_shares(k, held);
    secret_free(held);
    return err;
}

void keyed_run(struct keyed *k, struct identity_keys *keys)
{
    k->output_len = 0;
    switch (k->job.op) {
    case CRYPTO_SIGN: k->err = sign(k); break;
    case CRYPTO_VERIFY: k->err = verify(k, keys); break;
    case CRYPTO_OPEN: k->err = open_box(k); break;
    case CRYPTO_SEAL: k->err = seal_box(k); break;
    case CRYPTO_EVIDENCE: k->err = check_evidence(k); break;
    case CRYPTO_KEYGEN_BEGIN: k->err = keygen_begin(k); break;
    case CRYPTO_KEYGEN_FINISH: k->err = keygen_finish(k); break;
    case CRYPTO_KEYGEN_CHECK: k->err = keygen_check(k); break;
    case CRYPTO_HALF: k->err = half(k); break;
    case CRYPTO_SHARES: k->err = shares(k); break;
    }
    bool diagnosis = k->job.op == CRYPTO_EVIDENCE || k->job.op == CRYPTO_KEYGEN_FINISH ||
                     k->job.op == CRYPTO_KEYGEN_CHECK; /* says what failed */
    if (k->err != OK && !diagnosis) k->output_len = 0;
}
