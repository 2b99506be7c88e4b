/* prf: the threshold PRF declared in tdh2.h. Bytes: PROTOCOL.md "Threshold PRF".
 * Naor, Pinkas, Reingold, "Distributed Pseudo-Random Functions and KDCs": S = x HG(input), shared by x. */
#include "crypto/combine.h"
#include "crypto/dleq.h"
#include "crypto/group.h"
#include "crypto/secret.h"
#include "crypto/tdh2.h"
#include "proto/base/panic.h"

#include <string.h>

static const char suite[] = "perigee/prf/v1";

static void frame_head(struct buffer *out, const char *purpose, const struct point *y, struct hash32 input)
{
    group_frame_text(out, suite);
    group_frame_text(out, purpose);
    group_frame(out, SPAN_OF(y->bytes));
    group_frame(out, ID_SPAN(input));
}

/* HG: the key is hashed too, so two keys share no base point. */
static struct point input_point(const struct point *y, struct hash32 input)
{
    uint8_t bytes[160];
    struct buffer framed = BUFFER_OF(bytes);
    frame_head(&framed, "point", y, input);
    ASSERT(!framed.overflow);
    struct point point;
    group_hash_to_point(&point, buffer_span(&framed));
    return point;
}

static void share_statement(struct dleq_statement *s, struct buffer *context, const struct point *y,
                            struct hash32 input, uint32_t index, const struct point *y_i,
                            const struct point *d)
{
    frame_head(context, "share", y, input);
    group_frame_u32(context, index);
    ASSERT(!context->overflow);
    *s = (struct dleq_statement){buffer_span(context), *y_i, input_point(y, input), *d};
}

enum err prf_share(struct dec_share *out, const struct point *y, struct hash32 input, uint32_t index,
                   const struct scalar_secret *x)
{
    if (index == 0 || index > COMMITTEE_MAX) return ERR_RANGE;
    if (!group_scalar_ok(x->bytes) || !group_point_ok(y)) return ERR_KEY;
    uint8_t bytes[DLEQ_CONTEXT_MAX];
    struct buffer context = BUFFER_OF(bytes);
    struct dleq_statement statement;
    struct dec_share share = {.index = index};
    struct point y_i, base = input_point(y, input);
    TRY(group_base(&y_i, x->bytes));
    enum err err = group_mul(&share.d, x->bytes, &base);
    if (err == OK) {
        share_statement(&statement, &context, y, input, index, &y_i, &share.d);
        err = dleq_prove(&share.e, &share.f, &statement, x->bytes);
        secret_wipe(&statement, sizeof statement); /* it holds the share's point */
    }
    if (err == OK) *out = share;
    secret_wipe(&share, sizeof share);
    return err;
}

enum err prf_share_check(const struct dec_share *s, const struct group_key *key, struct hash32 input)
{
    TRY(combine_key_check(key));
    if (s->index == 0 || s->index > key->n) return ERR_RANGE;
    uint8_t bytes[DLEQ_CONTEXT_MAX];
    struct buffer context = BUFFER_OF(bytes);
    struct dleq_statement statement;
    share_statement(&statement, &context, &key->y, input, s->index, &key->share[s->index - 1], &s->d);
    enum err err = dleq_check(&statement, &s->e, &s->f);
    secret_wipe(&statement, sizeof statement);
    return err;
}

enum err prf_combine(uint8_t out[32], const struct group_key *key, struct hash32 input,
                     const struct dec_share *shares, uint32_t count)
{
    struct point value;
    uint8_t wide[64], bytes[256];
    struct buffer framed = BUFFER_OF(bytes);
    TRY(combine_shares(&value, key, shares, count));
    frame_head(&framed, "output", &key->y, input);
    group_frame(&framed, SPAN_OF(value.bytes));
    ASSERT(!framed.overflow);
    group_hash(wide, buffer_span(&framed));
    memcpy(out, wide, 32);
    secret_wipe(&value, sizeof value);
    secret_wipe(wide, sizeof wide);
    secret_wipe(bytes, sizeof bytes);
    return OK;
}
