#include "crypto/work.h"

#include "crypto/cocktail.h"
#include "crypto/evidence.h"
#include "crypto/kem.h"
#include "crypto/secret.h"
#include "proto/base/panic.h"

#include <stdlib.h>
#include <string.h>

/* --- Signatures, boxes, evidence ------------------------------------------------------------------------------------ */

static enum err sign(const struct work_keys *keys, struct buffer *out, const struct crypto_job *job)
{
    struct signature signature;
    TRY(identity_sign(&signature, keys->identity, job->hash));
    buffer_put(out, SPAN_OF(signature.bytes));
    return buffer_done(out);
}

static enum err verify_one(struct identity_keys *authors, struct node_id author, struct hash32 message,
                           const struct signature *signature)
{
    return authors != NULL ? identity_keys_verify(authors, author, message, signature)
                           : identity_verify(author, message, signature);
}

static enum err verify(struct identity_keys *authors, const struct crypto_job *job)
{
    struct cursor c = cursor_make(job->parts);
    for (uint32_t i = 0; i < job->part_count; i++) {
        struct node_id author;
        struct hash32 message;
        struct signature signature;
        TRY(cursor_copy(&c, author.bytes, 32));
        TRY(cursor_copy(&c, message.bytes, 32));
        TRY(cursor_copy(&c, signature.bytes, 64));
        TRY(verify_one(authors, author, message, &signature));
    }
    return cursor_end(&c);
}

static enum err open_box(const struct work_keys *keys, struct buffer *out, struct span box,
                         struct span context)
{
    if (box.len < KEM_OVERHEAD_BYTES || box.len - KEM_OVERHEAD_BYTES > out->cap) return ERR_TRUNCATED;
    TRY(kem_open(out->data, keys->kem, box, context));
    out->len = box.len - KEM_OVERHEAD_BYTES;
    return OK;
}

static enum err seal_into(uint8_t *box, const struct work_keys *keys, const struct crypto_job *job)
{
    struct kem_secret ephemeral;
    if (keys->entropy.fill == NULL) return kem_seal(box, &job->kem, job->box, job->context);
    keys->entropy.fill(keys->entropy.context, "ephemeral", ephemeral.bytes, sizeof ephemeral.bytes);
    enum err err = kem_seal_from(box, &job->kem, job->box, job->context, &ephemeral);
    secret_wipe(&ephemeral, sizeof ephemeral);
    return err;
}

static enum err seal_box(const struct work_keys *keys, struct buffer *out, const struct crypto_job *job)
{
    if (job->box.len + KEM_OVERHEAD_BYTES > out->cap) return ERR_TOO_LARGE;
    TRY(seal_into(out->data, keys, job));
    out->len = job->box.len + KEM_OVERHEAD_BYTES;
    return OK;
}

static enum err check_evidence(struct buffer *out, const struct crypto_job *job)
{
    const struct evidence_policy policy = evidence_policy_make(
        job->accept_simulated, job->need_gpu, job->age_max_ms, job->ahead_max_ms, job->measurements);
    struct evidence_result result;
    const char *field = NULL;
    enum err err = evidence_check(&result, &field, job->box, job->hash, job->now_ms, &policy);
    if (err != OK) {
        if (field != NULL) buffer_put_text(out, field);
        return err;
    }
    struct evidence_out facts;
    memset(&facts, 0, sizeof facts); /* what lies between its members is put out, too */
    facts.measurement = result.measurement;
    facts.platform = result.platform_id;
    facts.time_ms = result.time_ms;
    facts.simulated = result.kind == EVIDENCE_SIMULATED;
    facts.gpu_confidential = result.has_gpu && result.gpu_confidential;
    buffer_put(out, span_make(&facts, sizeof facts));
    return buffer_done(out);
}

/* --- Key generation -------------------------------------------------------------------------------------------------- */

static struct cocktail_session session_of(const struct crypto_job *job)
{
    const struct keygen_session *s = job->session;
    return cocktail_session_make(s->n, s->t, s->own, s->party, s->tag, SPAN_OF(s->extension));
}

static struct work_place place_of(const struct crypto_job *job, enum work_item item)
{
    return (struct work_place){item, job->session->epoch, job->session->purpose};
}

static enum err load_state(struct cocktail_secret *state, const struct work_keys *keys,
                           struct work_place place)
{
    return keys->keep.load(keys->keep.context, place, state->bytes, sizeof state->bytes);
}

static enum err deal(struct cocktail_secret *state, struct cocktail_round1 *message,
                     const struct cocktail_session *session, const struct work_keys *keys)
{
    if (keys->entropy.fill == NULL) return cocktail_begin(state, message, session, keys->dkg);
    if (session->t > THRESHOLD_MAX) return ERR_RANGE;
    const size_t len = (size_t)64 * (session->t + 1);
    uint8_t *entropy = secret_alloc(len);
    if (entropy == NULL) return ERR_NO_MEMORY;
    keys->entropy.fill(keys->entropy.context, "keygen", entropy, len);
    enum err err = cocktail_begin_from(state, message, session, keys->dkg, span_make(entropy, len));
    secret_free(entropy);
    return err;
}

static enum err begin(struct cocktail_secret *state, struct cocktail_round1 *message,
                      const struct cocktail_session *session, const struct work_keys *keys,
                      struct work_place place)
{
    enum err err = load_state(state, keys, place);
    if (err == OK) return cocktail_resume(message, state, session); /* the same message again */
    if (err != ERR_NOT_FOUND) return err;
    TRY(deal(state, message, session, keys));
    return keys->keep.save(keys->keep.context, place, SPAN_OF(state->bytes));
}

static enum err keygen_begin(const struct work_keys *keys, struct buffer *out, const struct crypto_job *job)
{
    const struct cocktail_session session = session_of(job);
    struct cocktail_round1 message;
    struct cocktail_secret *state = secret_alloc(sizeof *state);
    if (state == NULL) return ERR_NO_MEMORY;
    enum err err = begin(state, &message, &session, keys, place_of(job, WORK_STATE));
    secret_free(state);
    if (err != OK) return err;
    cocktail_round1_write(out, &message, &session, COCKTAIL_WHOLE);
    return buffer_done(out);
}

_Static_assert(sizeof(struct key_share) == 64, "a share is kept as x 32 | Y 32");

static enum err load_share(struct key_share *out, const struct work_keys *keys, struct work_place place)
{
    return keys->keep.load(keys->keep.context, place, out, sizeof *out);
}

static enum err keep_share(const struct work_keys *keys, const struct key_share *share,
                           struct work_place place)
{
    struct key_share *kept = secret_alloc(sizeof *kept);
    if (kept == NULL) return ERR_NO_MEMORY;
    enum err err = load_share(kept, keys, place);
    if (err == OK)
        err = secret_equal(kept, share, sizeof *kept) ? OK : ERR_CONFLICT;
    else if (err == ERR_NOT_FOUND)
        err = keys->keep.save(keys->keep.context, place, span_make(share, sizeof *share));
    secret_free(kept);
    return err;
}

/* Whose part it is that does not hold, where that is known. */
static enum err name_culprit(struct buffer *out, enum err err, uint32_t culprit)
{
    if (err != OK && culprit != 0) buffer_put_u8(out, (uint8_t)culprit);
    return err;
}

struct finish_room {
    struct cocktail_secret state;
    struct key_share share;
};

static enum err finish(const struct work_keys *keys, struct buffer *out, const struct crypto_job *job,
                       struct finish_room *room, struct cocktail_round1 *round1)
{
    const struct cocktail_session session = session_of(job);
    struct group_key key;
    uint8_t transcript[64], signature[COCKTAIL_SIGNATURE_BYTES];
    uint32_t culprit = 0;
    TRY(cocktail_round1_read(round1, job->parts, &session, COCKTAIL_WHOLE));
    TRY(load_state(&room->state, keys, place_of(job, WORK_STATE)));
    enum err err = cocktail_finish(&room->share.x, &key, transcript, signature, &culprit, &room->state,
                                   &session, keys->dkg, round1);
    TRY(name_culprit(out, err, culprit));
    room->share.y = key.y;
    TRY(keep_share(keys, &room->share, place_of(job, WORK_SHARE)));
    cocktail_result_write(out, &key, transcript, signature);
    return buffer_done(out);
}

static enum err keygen_finish(const struct work_keys *keys, struct buffer *out, const struct crypto_job *job)
{
    struct cocktail_round1 *round1 = calloc(COMMITTEE_MAX, sizeof *round1);
    struct finish_room *room = secret_alloc(sizeof *room);
    enum err err = round1 == NULL || room == NULL ? ERR_NO_MEMORY : finish(keys, out, job, room, round1);
    secret_free(room);
    free(round1);
    return err;
}

static enum err keygen_check(struct buffer *out, const struct crypto_job *job)
{
    const struct cocktail_session session = session_of(job);
    struct cocktail_round1 *round1 = calloc(COMMITTEE_MAX, sizeof *round1);
    uint32_t culprit = 0;
    if (round1 == NULL) return ERR_NO_MEMORY;
    enum err err = cocktail_certified(&culprit, round1, &session, job->box, job->parts, job->context);
    free(round1);
    return name_culprit(out, err, culprit);
}

/* --- Shares ---------------------------------------------------------------------------------------------------------- */

static void put_share(struct buffer *out, const struct dec_share *s)
{
    buffer_put(out, SPAN_OF(s->d.bytes));
    buffer_put(out, SPAN_OF(s->e.bytes));
    buffer_put(out, SPAN_OF(s->f.bytes));
}

/* This owner's half of a data key (PROTOCOL.md "Owner's veto"): sealed to its key, under the label it builds itself. */
static enum err half(const struct work_keys *keys, struct buffer *out, const struct crypto_job *job)
{
    if (job->box.len != VETO_BOX_BYTES || job->parts.len != LABEL_IDS_BYTES) return ERR_RANGE;
    const struct label label = label_of_ids(job->hash, job->parts.data);
    return open_box(keys, out, job->box, SPAN_OF(label.bytes));
}

static enum err share_of_part(struct buffer *out, const struct key_share *a, uint32_t index,
                              const uint8_t *part)
{
    struct envelope envelope;
    struct dec_share share;
    memcpy(envelope.bytes, part + LABEL_IDS_BYTES, ENVELOPE_BYTES);
    const struct label label = label_of_ids(group_key_id(&a->y), part);
    enum err err = envelope_share(&share, &envelope, &a->y, &label, index, &a->x);
    if (err == OK) put_share(out, &share);
    secret_wipe(&share, sizeof share);
    return err;
}

static enum err compute_shares(struct key_share held[KEYGEN_PURPOSES], const struct work_keys *keys,
                               struct buffer *out, const struct crypto_job *job)
{
    const struct key_share *a = &held[0], *b = &held[1];
    struct dec_share prf;
    for (uint32_t i = 0; i < KEYGEN_PURPOSES; i++)
        TRY(load_share(&held[i], keys, (struct work_place){WORK_SHARE, job->epoch, i + 1}));
    if (job->parts.len != (size_t)job->part_count * SHARE_PART_BYTES) return ERR_RANGE;
    for (uint32_t i = 0; i < job->part_count; i++)
        TRY(share_of_part(out, a, job->index, job->parts.data + (size_t)i * SHARE_PART_BYTES));
    enum err err = prf_share(&prf, &b->y, job->hash, job->index, &b->x);
    if (err == OK) put_share(out, &prf);
    secret_wipe(&prf, sizeof prf);
    return err != OK ? err : buffer_done(out);
}

static enum err shares(const struct work_keys *keys, struct buffer *out, const struct crypto_job *job)
{
    struct key_share *held = secret_alloc(KEYGEN_PURPOSES * sizeof *held);
    if (held == NULL) return ERR_NO_MEMORY;
    enum err err = compute_shares(held, keys, out, job);
    secret_free(held);
    return err;
}

/* --- Any ------------------------------------------------------------------------------------------------------------- */

static enum err do_job(const struct work_keys *keys, struct buffer *out, const struct crypto_job *job)
{
    switch (job->op) {
    case CRYPTO_SIGN: return sign(keys, out, job);
    case CRYPTO_VERIFY: return verify(keys->authors, job);
    case CRYPTO_OPEN: return open_box(keys, out, job->box, job->context);
    case CRYPTO_SEAL: return seal_box(keys, out, job);
    case CRYPTO_EVIDENCE: return check_evidence(out, job);
    case CRYPTO_KEYGEN_BEGIN: return keygen_begin(keys, out, job);
    case CRYPTO_KEYGEN_FINISH: return keygen_finish(keys, out, job);
    case CRYPTO_KEYGEN_CHECK: return keygen_check(out, job);
    case CRYPTO_HALF: return half(keys, out, job);
    case CRYPTO_SHARES: return shares(keys, out, job);
    }
    UNREACHABLE();
}

static bool says_why(enum crypto_op op)
{
    return op == CRYPTO_EVIDENCE || op == CRYPTO_KEYGEN_FINISH || op == CRYPTO_KEYGEN_CHECK;
}

enum err work_do(const struct work_keys *keys, struct buffer *out, const struct crypto_job *job)
{
    ASSERT(out->len == 0 && !out->overflow);
    enum err err = do_job(keys, out, job);
    if (err != OK && !says_why(job->op)) {
        secret_wipe(out->data, out->len);
        out->len = 0;
    }
    return err;
}
