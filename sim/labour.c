#include "sim/labour.h"

#include "proto/base/panic.h"

#include <string.h>

/* Fresh bytes: each call of one labour gets others. */
static void fill(void *context, const char *what, void *out, size_t len)
{
    struct labour *l = context;
    for (size_t at = 0; at < len; at += 32) {
        const struct hash32 h =
            cast_derive(l->cast->seed ^ (uint64_t)l->player->number << 32, what, l->entropy_used++, 0);
        memcpy((uint8_t *)out + at, h.bytes, len - at < 32 ? len - at : 32);
    }
}

static enum err sign(struct labour *l, struct buffer *out, const struct crypto_job *job)
{
    struct signature signature;
    TRY(notary_sign(l->cast->notary, &signature, &l->player->secret, job->hash));
    buffer_put(out, SPAN_OF(signature.bytes));
    return buffer_done(out);
}

static enum err verify(struct labour *l, const struct crypto_job *job)
{
    struct cursor c = cursor_make(job->parts);
    for (uint32_t i = 0; i < job->part_count; i++) {
        struct node_id author;
        struct hash32 message;
        struct signature signature;
        TRY(cursor_copy(&c, author.bytes, sizeof author.bytes));
        TRY(cursor_copy(&c, message.bytes, sizeof message.bytes));
        TRY(cursor_copy(&c, signature.bytes, sizeof signature.bytes));
        TRY(notary_verify(l->cast->notary, author, message, &signature));
    }
    return cursor_end(&c);
}

enum err labour_do(struct labour *l, struct buffer *out, const struct crypto_job *job)
{
    if (job->op == CRYPTO_SIGN) return sign(l, out, job);
    if (job->op == CRYPTO_VERIFY) return verify(l, job);
    const struct work_keys keys = {.kem = &l->player->kem_secret,
                                   .dkg = &l->player->dkg_secret,
                                   .keep =
                                       l->kept != NULL ? work_memory_keep(l->kept) : (struct work_keep){0},
                                   .entropy = {l, fill}};
    return work_do(&keys, out, job);
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
