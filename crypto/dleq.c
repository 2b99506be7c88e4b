/* dleq: see dleq.h. */
#include "crypto/dleq.h"

#include "crypto/group.h"
#include "crypto/secret.h"
#include "proto/base/panic.h"

#include <string.h>

/* The context, five framed points, and for the nonce two framed texts and the framed secret. */
enum { MESSAGE_MAX = DLEQ_CONTEXT_MAX + 8 * (4 + 32) };

static void put_statement(struct buffer *message, const struct dleq_statement *s)
{
    ASSERT(s->context.len <= DLEQ_CONTEXT_MAX);
    buffer_put(message, s->context);
    group_frame(message, SPAN_OF(s->a.bytes));
    group_frame(message, SPAN_OF(s->base.bytes));
    group_frame(message, SPAN_OF(s->d.bytes));
}

static void challenge(struct scalar *e, const struct dleq_statement *s, const struct point *w,
                      const struct point *w_base)
{
    uint8_t bytes[MESSAGE_MAX];
    struct buffer message = BUFFER_OF(bytes);
    put_statement(&message, s);
    group_frame(&message, SPAN_OF(w->bytes));
    group_frame(&message, SPAN_OF(w_base->bytes));
    ASSERT(!message.overflow);
    group_hash_to_scalar(e->bytes, buffer_span(&message));
    secret_wipe(bytes, sizeof bytes); /* the proven point is a key share's, often */
}

static void derive_nonce(uint8_t nonce32[32], const struct dleq_statement *s, const uint8_t x32[32])
{
    uint8_t bytes[MESSAGE_MAX];
    struct buffer message = BUFFER_OF(bytes);
    group_frame_text(&message, "perigee/dleq/v1");
    group_frame_text(&message, "nonce");
    group_frame(&message, span_make(x32, 32));
    put_statement(&message, s);
    ASSERT(!message.overflow);
    group_hash_to_scalar(nonce32, buffer_span(&message));
    secret_wipe(bytes, sizeof bytes);
}

enum err dleq_prove(struct scalar *e, struct scalar *f, const struct dleq_statement *s, const uint8_t x32[32])
{
    uint8_t nonce[32];
    struct point w, w_base;
    derive_nonce(nonce, s, x32);
    enum err err = group_base(&w, nonce);
    if (err == OK) err = group_mul(&w_base, nonce, &s->base);
    if (err == OK) {
        challenge(e, s, &w, &w_base);
        group_scalar_mul_add(f->bytes, x32, e->bytes, nonce);
    }
    secret_wipe(nonce, sizeof nonce);
    return err;
}

/* w = f base - e d, where base NULL stands for B. The products refuse bad points, and e or f that is zero. */
static enum err commitment(struct point *w, const struct point *base, const struct point *d,
                           const struct scalar *e, const struct scalar *f)
{
    struct point fx, ed;
    TRY(base == NULL ? group_base(&fx, f->bytes) : group_mul(&fx, f->bytes, base));
    TRY(group_mul(&ed, e->bytes, d));
    return group_sub(w, &fx, &ed);
}

enum err dleq_check(const struct dleq_statement *s, const struct scalar *e, const struct scalar *f)
{
    if (!group_scalar_ok(e->bytes) || !group_scalar_ok(f->bytes)) return ERR_PROOF;
    struct point w, w_base;
    struct scalar expected;
    if (commitment(&w, NULL, &s->a, e, f) != OK) return ERR_PROOF;
    if (commitment(&w_base, &s->base, &s->d, e, f) != OK) return ERR_PROOF;
    challenge(&expected, s, &w, &w_base);
    return memcmp(expected.bytes, e->bytes, 32) == 0 ? OK : ERR_PROOF;
}
