#include "node/worker_state.h"

#include "crypto/evidence.h"
#include "crypto/identity.h"
#include "crypto/kem.h"
#include "crypto/secret.h"
#include "crypto/work.h"
#include "proto/base/panic.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* --- Life ----------------------------------------------------------------------------------------------------------- */

enum err worker_new(struct worker **out, const struct worker_options *options)
{
    *out = NULL;
    if (options->threads == 0 || options->memory_bytes < (uint64_t)WORKER_MEMORY_MB_MIN << 20)
        return ERR_RANGE;
    struct worker *w = calloc(1, sizeof *w);
    if (w == NULL) return ERR_NO_MEMORY;
    w->options = *options;
    w->secret = secret_alloc(sizeof *w->secret);
    if (w->secret == NULL) {
        free(w);
        return ERR_NO_MEMORY;
    }
    *out = w;
    return OK;
}

static void wipe(struct worker *w)
{
    worker_input_wipe(w);
    unlock_wipe(&w->unlock);
    secret_wipe(w->secret, sizeof *w->secret);
    w->has_keys = w->unlock.done = false;
    w->wiped = true;
}

void worker_drop_secrets(struct worker *w)
{
    secret_wipe(w->secret, sizeof *w->secret);
}

void worker_free(struct worker *w)
{
    if (w == NULL) return;
    wipe(w);
    secret_free(w->secret);
    free(w);
}

/* --- Replies ---------------------------------------------------------------------------------------------------------- */

uint8_t *worker_reply_room(struct worker_reply *reply, size_t len)
{
    ASSERT(reply->bytes == NULL);
    reply->bytes = malloc(len > 0 ? len : 1);
    if (reply->bytes != NULL) reply->len = len;
    return reply->bytes;
}

void worker_reply_free(struct worker_reply *reply)
{
    if (reply->bytes != NULL) secret_wipe(reply->bytes, reply->len);
    free(reply->bytes);
    *reply = (struct worker_reply){.err = OK};
}

static enum err reply_with(struct worker_reply *reply, struct span bytes)
{
    uint8_t *room = worker_reply_room(reply, bytes.len);
    if (room == NULL) return ERR_NO_MEMORY;
    if (bytes.len > 0) memcpy(room, bytes.data, bytes.len);
    return OK;
}

/* --- Keys and evidence --------------------------------------------------------------------------------------------------- */

static enum err make_keys(struct worker *w, struct worker_reply *reply)
{
    struct node_id signing;
    struct kem_public kem;
    if (w->has_keys) return ERR_CONFLICT; /* the evidence speaks of one pair of keys */
    uint8_t *room = worker_reply_room(reply, 96);
    if (room == NULL) return ERR_NO_MEMORY;
    identity_generate(&w->secret->identity, &signing);
    kem_generate(&w->secret->kem, &kem);
    memcpy(room, signing.bytes, 32);
    memcpy(room + 32, kem.bytes, 32);
    random_fill(room + 64, 32);
    w->has_keys = true;
    return OK;
}

static uint64_t wall_ms(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0 || now.tv_sec < 0) return 0;
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* SIMULATED. The clock is the host's, as is everything this driver could state about its platform. */
static enum err make_evidence(const struct worker *w, struct worker_reply *reply, struct hash32 binding)
{
    uint8_t bytes[EVIDENCE_MAX];
    struct buffer out = BUFFER_OF(bytes);
    struct evidence_facts facts = {
        .measurement = w->options.measurement, .platform_id = w->options.platform, .time_ms = wall_ms()};
    TRY(evidence_simulate(&out, &facts, binding));
    return reply_with(reply, buffer_span(&out));
}

/* Its own, as others will. */
static enum err check_evidence(struct worker_reply *reply, const struct crypto_job *job)
{
    uint8_t bytes[sizeof(struct evidence_out)];
    struct buffer out = BUFFER_OF(bytes);
    const struct work_keys none = {0};
    TRY(work_do(&none, &out, job));
    return reply_with(reply, buffer_span(&out));
}

static enum err verify(struct worker_reply *reply, const struct signature_check *check, uint32_t count)
{
    uint8_t index[4];
    for (uint32_t i = 0; i < count; i++) {
        if (identity_verify(check[i].author, check[i].message, &check[i].signature) == OK) continue;
        store_u32(index, i);
        enum err err = reply_with(reply, SPAN_OF(index));
        return err == OK ? ERR_SIGNATURE : err;
    }
    return OK;
}

static enum err sign(const struct worker *w, struct worker_reply *reply, struct hash32 message)
{
    struct signature signature;
    if (!w->has_keys) return ERR_NOT_READY;
    TRY(identity_sign(&signature, &w->secret->identity, message));
    return reply_with(reply, SPAN_OF(signature.bytes));
}

static enum err seal(struct worker_reply *reply, const struct enclave_effect *effect)
{
    uint8_t *room = worker_reply_room(reply, effect->bytes.len + KEM_OVERHEAD_BYTES);
    if (room == NULL) return ERR_NO_MEMORY;
    return kem_seal(room, &effect->kem, effect->bytes, effect->context);
}

/* --- Shares -------------------------------------------------------------------------------------------------------------- */

/* What the machine may see goes into the reply, shares and halves are taken. */
static enum err open_into(struct worker *w, uint8_t *plain, struct worker_reply *reply,
                          const struct enclave_effect *effect, uint32_t input_count)
{
    size_t len = effect->bytes.len - KEM_OVERHEAD_BYTES;
    struct span shares = SPAN_NONE;
    TRY(kem_open(plain, &w->secret->kem, effect->bytes, effect->context));
    uint8_t *room =
        worker_reply_room(reply, len + 32); /* a hash takes the place of shares: never more than this */
    if (room == NULL) return ERR_NO_MEMORY;
    struct buffer view = buffer_make(room, reply->len);
    TRY(enclave_answer_view(&view, &shares, span_make(plain, len)));
    reply->len = view.len;
    return shares.len > 0 ? unlock_take(&w->unlock, effect->party, shares, input_count) : OK;
}

static enum err open_answer(struct worker *w, struct worker_reply *reply, const struct enclave_effect *effect,
                            const struct enclave_keys *keys)
{
    if (!w->has_keys || keys == NULL) return ERR_NOT_READY;
    if (!unlock_is_party(effect->party)) return ERR_RANGE;
    if (effect->bytes.len <= KEM_OVERHEAD_BYTES) return ERR_TRUNCATED;
    if (effect->bytes.len > KEM_OVERHEAD_BYTES + ANSWER_BYTES_MAX) return ERR_TOO_LARGE;
    uint8_t *plain = secret_alloc(effect->bytes.len - KEM_OVERHEAD_BYTES);
    if (plain == NULL) return ERR_NO_MEMORY;
    enum err err = open_into(w, plain, reply, effect, keys->input_count);
    secret_free(plain);
    return err;
}

static enum err check_shares(struct worker *w, uint32_t party, const struct enclave_keys *keys)
{
    struct unlock_terms terms;
    TRY(enclave_unlock_terms(&terms, keys));
    return unlock_check(&w->unlock, party, &terms);
}

static enum err unlock(struct worker *w, struct worker_reply *reply, const struct enclave_keys *keys)
{
    struct unlock_terms terms;
    TRY(enclave_unlock_terms(&terms, keys));
    TRY(unlock_open(&w->unlock, &w->secret->run, &terms));
    return reply_with(reply, ID_SPAN(w->secret->run.salt));
}

/* --- Facts of inputs and output --------------------------------------------------------------------------------------------- */

struct body_summary worker_summary(const struct manifest *m)
{
    return (struct body_summary){m->suite, m->plain_len, m->salt, m->commitment, m->root, m->chunk_count};
}

static enum err content(struct worker_reply *reply, const struct manifest *m)
{
    struct body_summary summary = worker_summary(m);
    TRY(body_summary_check(&summary));
    struct content_id id = body_content_id(&summary);
    return reply_with(reply, ID_SPAN(id));
}

static enum err commit_to(const struct worker *w, struct worker_reply *reply, struct span output)
{
    if (!w->unlock.done) return ERR_NOT_READY;
    struct hash32 commitment = enclave_commitment(w->secret->run.salt, output);
    return reply_with(reply, ID_SPAN(commitment));
}

/* --- Dispatch ------------------------------------------------------------------------------------------------------------------- */

static enum err execute(struct worker *w, struct worker_reply *reply, const struct enclave_effect *effect,
                        const struct enclave_keys *keys)
{
    switch (effect->type) {
    case ENCLAVE_KEYS: return make_keys(w, reply);
    case ENCLAVE_EVIDENCE: return make_evidence(w, reply, effect->hash);
    case ENCLAVE_VERIFY: return verify(reply, effect->check, effect->check_count);
    case ENCLAVE_SIGN: return sign(w, reply, effect->hash);
    case ENCLAVE_SEAL: return seal(reply, effect);
    case ENCLAVE_OPEN: return open_answer(w, reply, effect, keys);
    case ENCLAVE_CONTENT_ID: return content(reply, effect->manifest);
    case ENCLAVE_CHECK_EVIDENCE: return check_evidence(reply, effect->job);
    case ENCLAVE_CHECK_SHARES: return check_shares(w, effect->party, keys);
    case ENCLAVE_UNLOCK: return unlock(w, reply, keys);
    case ENCLAVE_INPUT_BEGIN: return worker_input_begin(w, effect, keys);
    case ENCLAVE_INPUT_CHUNK: return worker_input_chunk(w, effect);
    case ENCLAVE_COMPUTE: return worker_compute(w, reply, effect->workflow, keys);
    case ENCLAVE_COMMITMENT: return commit_to(w, reply, effect->bytes);
    case ENCLAVE_FRAME:
    case ENCLAVE_WIPE:
    case ENCLAVE_EXIT: break;
    }
    UNREACHABLE();
}

void worker_execute(struct worker *w, struct worker_reply *reply, const struct enclave_effect *effect,
                    const struct enclave_keys *keys)
{
    *reply = (struct worker_reply){.err = OK};
    if (effect->type == ENCLAVE_WIPE) {
        wipe(w);
        return;
    }
    enum err err = w->wiped ? ERR_CANCELLED : execute(w, reply, effect, keys);
    if (err != OK && err != ERR_SIGNATURE) worker_reply_free(reply); /* only a bad signature says which one */
    reply->err = err;
}
