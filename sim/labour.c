#include "sim/labour.h"

#include "crypto/evidence.h"
#include "crypto/identity.h"
#include "crypto/kem.h"
#include "crypto/tdh2.h"
#include "proto/base/panic.h"

#include <string.h>

/* Fresh bytes: each call of one labour gets others. */
static void fresh(struct labour *l, const char *what, uint8_t *out, size_t len)
{
    for (size_t at = 0; at < len; at += 32) {
        const struct hash32 h =
            cast_derive(l->cast->seed ^ (uint64_t)l->player->number << 32, what, l->entropy_used++, 0);
        memcpy(out + at, h.bytes, len - at < 32 ? len - at : 32);
    }
}

/* --- Signatures and boxes ------------------------------------------------------------------------------------------------ */

static enum err sign(const struct labour *l, struct buffer *out, const struct crypto_job *job)
{
    struct signature signature;
    TRY(identity_sign(&signature, &l->player->secret, job->hash));
    buffer_put(out, SPAN_OF(signature.bytes));
    return OK;
}

static enum err verify(const struct crypto_job *job)
{
    struct cursor c = cursor_make(job->parts);
    for (uint32_t i = 0; i < job->part_count; i++) {
        struct node_id author;
        struct hash32 message;
        struct signature signature;
        TRY(cursor_copy(&c, author.bytes, 32));
        TRY(cursor_copy(&c, message.bytes, 32));
        TRY(cursor_copy(&c, signature.bytes, 64));
        TRY(identity_verify(author, message, &signature));
    }
    return cursor_end(&c);
}

static enum err open_box(const struct labour *l, struct buffer *out, const struct crypto_job *job)
{
    if (job->box.len < KEM_OVERHEAD_BYTES || job->box.len - KEM_OVERHEAD_BYTES > out->cap)
        return ERR_TRUNCATED;
    TRY(kem_open(out->data, &l->player->kem_secret, job->box, job->context));
    out->len = job->box.len - KEM_OVERHEAD_BYTES;
    return OK;
}

static enum err seal_box(struct labour *l, struct buffer *out, const struct crypto_job *job)
{
    struct kem_secret ephemeral;
    if (job->box.len + KEM_OVERHEAD_BYTES > out->cap) return ERR_TOO_LARGE;
    fresh(l, "ephemeral", ephemeral.bytes, sizeof ephemeral.bytes);
    TRY(kem_seal_from(out->data, &job->kem, job->box, job->context, &ephemeral));
    out->len = job->box.len + KEM_OVERHEAD_BYTES;
    return OK;
}

static enum err check_evidence(struct buffer *out, const struct crypto_job *job)
{
    const struct evidence_policy policy =
        evidence_policy_make(job->accept_simulated, job->need_gpu, job->age_max_ms, job->measurements);
    struct evidence_result result;
    const char *field = NULL;
    enum err err = evidence_check(&result, &field, job->box, job->hash, job->now_ms, &policy);
    if (err != OK) {
        if (field != NULL) buffer_put_text(out, field);
        return err;
    }
    struct evidence_out facts;
    memset(&facts, 0, sizeof facts); /* what lies between its members goes into the trace, too */
    facts.measurement = result.measurement;
    facts.platform = result.platform_id;
    facts.time_ms = result.time_ms;
    facts.simulated = result.kind == EVIDENCE_SIMULATED;
    facts.gpu_confidential = result.has_gpu && result.gpu_confidential;
    buffer_put(out, span_make(&facts, sizeof facts));
    return OK;
}

/* --- Key generation ------------------------------------------------------------------------------------------------------- */

static struct cocktail_session session_of(const struct keygen_session *s)
{
    return cocktail_session_make(s->n, s->t, s->own, s->party, s->tag, SPAN_OF(s->extension));
}

static enum err keygen_begin(struct labour *l, struct buffer *out, const struct crypto_job *job)
{
    uint8_t entropy[64 * (THRESHOLD_MAX + 1)];
    const struct cocktail_session session = session_of(job->session);
    const uint32_t which = job->session->purpose - 1;
    struct cocktail_round1 message;
    if (l->keygen_begun[which]) {
        TRY(cocktail_resume(&message, &l->keygen[which], &session));
    } else {
        const size_t len = 64 * ((size_t)session.t + 1);
        fresh(l, "keygen", entropy, len);
        TRY(cocktail_begin_from(&l->keygen[which], &message, &session, &l->player->dkg_secret,
                                span_make(entropy, len)));
    }
    l->keygen_begun[which] = true;
    cocktail_round1_write(out, &message, &session, COCKTAIL_WHOLE);
    return buffer_done(out);
}

static enum err name_culprit(struct buffer *out, enum err err, uint32_t culprit)
{
    if (err != OK && culprit != 0) buffer_put_u8(out, (uint8_t)culprit);
    return err;
}

static enum err keygen_finish(struct labour *l, struct buffer *out, const struct crypto_job *job)
{
    static struct cocktail_round1 round1[COMMITTEE_MAX];
    const struct cocktail_session session = session_of(job->session);
    const uint32_t which = job->session->purpose - 1;
    struct group_key key;
    uint8_t transcript[64], signature[COCKTAIL_SIGNATURE_BYTES];
    uint32_t culprit = 0;
    TRY(cocktail_round1_read(round1, job->parts, &session, COCKTAIL_WHOLE));
    TRY(name_culprit(out,
                     cocktail_finish(&l->share[which], &key, transcript, signature, &culprit,
                                     &l->keygen[which], &session, &l->player->dkg_secret, round1),
                     culprit));
    l->share_known[which] = true;
    l->group[which] = key.y;
    cocktail_result_write(out, &key, transcript, signature);
    return buffer_done(out);
}

static enum err keygen_check(struct buffer *out, const struct crypto_job *job)
{
    static struct cocktail_round1 round1[COMMITTEE_MAX];
    const struct cocktail_session session = session_of(job->session);
    uint32_t culprit = 0;
    enum err err = cocktail_certified(&culprit, round1, &session, job->box, job->parts, job->context);
    return name_culprit(out, err, culprit);
}

/* --- Shares ---------------------------------------------------------------------------------------------------------------- */

static void put_share(struct buffer *out, const struct dec_share *s)
{
    buffer_put(out, SPAN_OF(s->d.bytes));
    buffer_put(out, SPAN_OF(s->e.bytes));
    buffer_put(out, SPAN_OF(s->f.bytes));
}

static enum err shares(const struct labour *l, struct buffer *out, const struct crypto_job *job)
{
    struct dec_share share;
    if (!l->share_known[0] || !l->share_known[1]) return ERR_NOT_FOUND;
    if (job->parts.len != (size_t)job->part_count * SHARE_PART_BYTES) return ERR_RANGE;
    for (uint32_t i = 0; i < job->part_count; i++) {
        const uint8_t *part = job->parts.data + (size_t)i * SHARE_PART_BYTES;
        struct envelope envelope;
        memcpy(envelope.bytes, part + LABEL_PART_BYTES, ENVELOPE_BYTES);
        const struct label label = label_of_ids(group_key_id(&l->group[0]), part);
        TRY(envelope_share(&share, &envelope, &l->group[0], &label, job->index, &l->share[0]));
        put_share(out, &share);
    }
    TRY(prf_share(&share, &l->group[1], job->hash, job->index, &l->share[1]));
    put_share(out, &share);
    return buffer_done(out);
}

static enum err half(const struct labour *l, struct buffer *out, const struct crypto_job *job)
{
    if (job->box.len != VETO_BOX_BYTES || job->parts.len != LABEL_PART_BYTES) return ERR_RANGE;
    const struct label label = label_of_ids(job->hash, job->parts.data);
    TRY(kem_open(out->data, &l->player->kem_secret, job->box, SPAN_OF(label.bytes)));
    out->len = 32;
    return OK;
}

enum err labour_do(struct labour *l, struct buffer *out, const struct crypto_job *job)
{
    switch (job->op) {
    case CRYPTO_SIGN: return sign(l, out, job);
    case CRYPTO_VERIFY: return verify(job);
    case CRYPTO_OPEN: return open_box(l, out, job);
    case CRYPTO_SEAL: return seal_box(l, out, job);
    case CRYPTO_EVIDENCE: return check_evidence(out, job);
    case CRYPTO_KEYGEN_BEGIN: return keygen_begin(l, out, job);
    case CRYPTO_KEYGEN_FINISH: return keygen_finish(l, out, job);
    case CRYPTO_KEYGEN_CHECK: return keygen_check(out, job);
    case CRYPTO_HALF: return half(l, out, job);
    case CRYPTO_SHARES: return shares(l, out, job);
    }
    UNREACHABLE();
}

uint64_t labour_cost_ns(const struct crypto_job *job)
{
    enum { SIGN = 30000, VERIFY = 45000, BOX = 90000, POINT = 65000 };
    switch (job->op) {
    case CRYPTO_SIGN: return SIGN;
    case CRYPTO_VERIFY: return (uint64_t)VERIFY * job->part_count;
    case CRYPTO_OPEN:
    case CRYPTO_SEAL:
    case CRYPTO_HALF: return BOX;
    case CRYPTO_EVIDENCE: return 2 * VERIFY;
    case CRYPTO_KEYGEN_BEGIN:
    case CRYPTO_KEYGEN_FINISH:
    case CRYPTO_KEYGEN_CHECK: return (uint64_t)POINT * job->session->n * (job->session->t + 2);
    case CRYPTO_SHARES: return (uint64_t)POINT * 8 * (job->part_count + 1);
    }
    UNREACHABLE();
}
