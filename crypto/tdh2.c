/* tdh2: envelopes, see tdh2.h. Bytes: PROTOCOL.md "Envelope". The threshold PRF is in prf.c. */
#include "crypto/tdh2.h"

#include "crypto/combine.h"
#include "crypto/dleq.h"
#include "crypto/group.h"
#include "crypto/hash.h"
#include "crypto/kdf.h"
#include "crypto/secret.h"
#include "proto/base/panic.h"

#include <sodium.h>
#include <string.h>

static const char suite[] = "perigee/tdh2/v1";

/* The envelope's fields in order: R, R', e, f, wrapped data key. */
enum { WRAPPED_BYTES = 32 + crypto_aead_chacha20poly1305_ietf_ABYTES };
struct fields {
    struct point r, r_gamma;
    struct scalar e, f;
    uint8_t wrapped[WRAPPED_BYTES];
};
_Static_assert(sizeof(struct fields) == ENVELOPE_BYTES, "an envelope is its five fields without gaps");
_Static_assert(LABEL_BYTES == 194, "label layout");

static struct fields fields_of(const struct envelope *e)
{
    struct fields fields;
    memcpy(&fields, e->bytes, sizeof fields);
    return fields;
}

struct hash32 group_key_id(const struct point *y)
{
    return HASH_FRAMED("perigee/group-key/v1", SPAN_OF(y->bytes));
}

struct label label_make(struct hash32 root_key_id, struct dt app_id, struct compose_hash compose,
                        struct node_id owner, struct content_id content, struct hash32 policy)
{
    struct label label;
    struct buffer out = BUFFER_OF(label.bytes);
    buffer_put_u16(&out, 1);
    buffer_put(&out, ID_SPAN(root_key_id));
    buffer_put(&out, ID_SPAN(app_id));
    buffer_put(&out, ID_SPAN(compose));
    buffer_put(&out, ID_SPAN(owner));
    buffer_put(&out, ID_SPAN(content));
    buffer_put(&out, ID_SPAN(policy));
    ASSERT(!out.overflow && out.len == LABEL_BYTES);
    return label;
}

struct label label_of_ids(struct hash32 root_key_id, const uint8_t ids[LABEL_IDS_BYTES])
{
    struct dt app;
    struct compose_hash compose;
    struct node_id owner;
    struct content_id content;
    struct hash32 policy;
    memcpy(app.bytes, ids, 32);
    memcpy(compose.bytes, ids + 32, 32);
    memcpy(owner.bytes, ids + 64, 32);
    memcpy(content.bytes, ids + 96, 32);
    memcpy(policy.bytes, ids + 128, 32);
    return label_make(root_key_id, app, compose, owner, content, policy);
}

/* The second generator: nobody knows its logarithm, and everybody computes it. */
static struct point gamma_of(const struct point *y)
{
    uint8_t bytes[128];
    struct buffer framed = BUFFER_OF(bytes);
    group_frame_text(&framed, suite);
    group_frame_text(&framed, "gamma");
    group_frame(&framed, SPAN_OF(y->bytes));
    ASSERT(!framed.overflow);
    struct point gamma;
    group_hash_to_point(&gamma, buffer_span(&framed));
    return gamma;
}

/* TDH2's H1: the shared point r Y = x R becomes the key that wraps the data key, in the context Y, R and
 * label. */
static void wrap_key(uint8_t key32[32], const struct point *shared, const struct point *y,
                     const struct point *r, const struct label *label)
{
    uint8_t bytes[320];
    struct buffer info = BUFFER_OF(bytes);
    group_frame_text(&info, "wrap");
    group_frame(&info, SPAN_OF(y->bytes));
    group_frame(&info, SPAN_OF(r->bytes));
    group_frame(&info, SPAN_OF(label->bytes));
    ASSERT(!info.overflow);
    hkdf_sha256(key32, 32, span_text(suite), SPAN_OF(shared->bytes), buffer_span(&info));
}

/* The key serves one message, so the nonce is constant. */
static const uint8_t wrap_nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];

static void wrap(uint8_t wrapped[WRAPPED_BYTES], const uint8_t data_key[32], const uint8_t key32[32],
                 const struct label *label)
{
    ASSERT(crypto_aead_chacha20poly1305_ietf_encrypt(wrapped, NULL, data_key, 32, label->bytes, LABEL_BYTES,
                                                     NULL, wrap_nonce, key32) == 0);
}

static enum err unwrap(uint8_t data_key[32], const uint8_t wrapped[WRAPPED_BYTES], const uint8_t key32[32],
                       const struct label *label)
{
    int failed = crypto_aead_chacha20poly1305_ietf_decrypt(data_key, NULL, NULL, wrapped, WRAPPED_BYTES,
                                                           label->bytes, LABEL_BYTES, wrap_nonce, key32);
    if (failed) secret_wipe(data_key, 32);
    return failed ? ERR_DECRYPT : OK;
}

/* TDH2's H2 hashes c, L, R, R' and the commitments; Y, Gamma and the suite are added, and dleq adds the
 * points. */
static void seal_statement(struct dleq_statement *s, struct buffer *context, const struct fields *fields,
                           const struct point *y, const struct label *label)
{
    group_frame_text(context, suite);
    group_frame_text(context, "seal");
    group_frame(context, SPAN_OF(y->bytes));
    group_frame(context, SPAN_OF(fields->wrapped));
    group_frame(context, SPAN_OF(label->bytes));
    ASSERT(!context->overflow);
    *s = (struct dleq_statement){buffer_span(context), fields->r, gamma_of(y), fields->r_gamma};
}

/* R = r B, R' = r Gamma, and the data key wrapped under r Y. */
static enum err seal_points(struct fields *fields, const struct point *y, const struct label *label,
                            const uint8_t data_key[32], const uint8_t r32[32])
{
    struct point gamma = gamma_of(y), shared;
    uint8_t key[32];
    TRY(group_base(&fields->r, r32));
    TRY(group_mul(&fields->r_gamma, r32, &gamma));
    TRY(group_mul(&shared, r32, y));
    wrap_key(key, &shared, y, &fields->r, label);
    wrap(fields->wrapped, data_key, key, label);
    secret_wipe(&shared, sizeof shared);
    secret_wipe(key, sizeof key);
    return OK;
}

enum err envelope_seal_from(struct envelope *out, const struct point *y, const struct label *label,
                            const uint8_t data_key[32], const uint8_t entropy64[64])
{
    if (!group_point_ok(y)) return ERR_KEY;
    uint8_t r[32], bytes[DLEQ_CONTEXT_MAX];
    struct buffer context = BUFFER_OF(bytes);
    struct dleq_statement statement;
    struct fields fields;
    group_reduce(r, entropy64);
    enum err err = seal_points(&fields, y, label, data_key, r);
    if (err == OK) {
        seal_statement(&statement, &context, &fields, y, label);
        err = dleq_prove(&fields.e, &fields.f, &statement, r);
    }
    if (err == OK) memcpy(out->bytes, &fields, sizeof fields);
    secret_wipe(r, sizeof r);
    return err;
}

enum err envelope_seal(struct envelope *out, const struct point *y, const struct label *label,
                       const uint8_t data_key[32])
{
    uint8_t entropy[64];
    random_fill(entropy, sizeof entropy);
    enum err err = envelope_seal_from(out, y, label, data_key, entropy);
    secret_wipe(entropy, sizeof entropy);
    return err;
}

enum err envelope_check(const struct envelope *e, const struct point *y, const struct label *label)
{
    if (!group_point_ok(y)) return ERR_PROOF;
    uint8_t bytes[DLEQ_CONTEXT_MAX];
    struct buffer context = BUFFER_OF(bytes);
    struct dleq_statement statement;
    struct fields fields = fields_of(e);
    seal_statement(&statement, &context, &fields, y, label);
    return dleq_check(&statement, &fields.e, &fields.f);
}

/* A share's proof is tied to key, index, the whole envelope and its label: it fits nowhere else. */
static void share_statement(struct dleq_statement *s, struct buffer *context, const struct envelope *e,
                            const struct point *y, const struct label *label, uint32_t index,
                            const struct point *y_i, const struct point *d)
{
    group_frame_text(context, suite);
    group_frame_text(context, "share");
    group_frame(context, SPAN_OF(y->bytes));
    group_frame_u32(context, index);
    group_frame(context, SPAN_OF(e->bytes));
    group_frame(context, SPAN_OF(label->bytes));
    ASSERT(!context->overflow);
    *s = (struct dleq_statement){buffer_span(context), *y_i, fields_of(e).r, *d};
}

enum err envelope_share(struct dec_share *out, const struct envelope *e, const struct point *y,
                        const struct label *label, uint32_t index, const struct scalar_secret *x)
{
    if (index == 0 || index > COMMITTEE_MAX) return ERR_RANGE;
    if (!group_scalar_ok(x->bytes)) return ERR_KEY;
    TRY(envelope_check(e, y, label));
    uint8_t bytes[DLEQ_CONTEXT_MAX];
    struct buffer context = BUFFER_OF(bytes);
    struct dleq_statement statement;
    struct dec_share share = {.index = index};
    struct fields fields = fields_of(e);
    struct point y_i;
    TRY(group_base(&y_i, x->bytes));
    enum err err = group_mul(&share.d, x->bytes, &fields.r);
    if (err == OK) {
        share_statement(&statement, &context, e, y, label, index, &y_i, &share.d);
        err = dleq_prove(&share.e, &share.f, &statement, x->bytes);
        secret_wipe(&statement, sizeof statement); /* it holds the share's point */
    }
    if (err == OK) *out = share;
    secret_wipe(&share, sizeof share);
    return err;
}

enum err envelope_share_check(const struct dec_share *s, const struct envelope *e,
                              const struct group_key *key, const struct label *label)
{
    TRY(combine_key_check(key));
    if (s->index == 0 || s->index > key->n) return ERR_RANGE;
    uint8_t bytes[DLEQ_CONTEXT_MAX];
    struct buffer context = BUFFER_OF(bytes);
    struct dleq_statement statement;
    share_statement(&statement, &context, e, &key->y, label, s->index, &key->share[s->index - 1], &s->d);
    enum err err = dleq_check(&statement, &s->e, &s->f);
    secret_wipe(&statement, sizeof statement);
    return err;
}

enum err envelope_open(uint8_t data_key[32], const struct envelope *e, const struct group_key *key,
                       const struct label *label, const struct dec_share *shares, uint32_t count)
{
    struct point shared;
    struct fields fields = fields_of(e);
    uint8_t wrapping[32];
    TRY(combine_shares(&shared, key, shares, count));
    wrap_key(wrapping, &shared, &key->y, &fields.r, label);
    enum err err = unwrap(data_key, fields.wrapped, wrapping, label);
    secret_wipe(&shared, sizeof shared);
    secret_wipe(wrapping, sizeof wrapping);
    return err;
}
