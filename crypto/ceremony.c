/* ceremony: see ceremony.h. */
#include "crypto/ceremony.h"

#include "crypto/group.h"
#include "crypto/hash.h"
#include "crypto/schnorr.h"
#include "crypto/secret.h"
#include "proto/base/panic.h"

#include <sodium.h>
#include <string.h>

static const char suite[] = "COCKTAIL(Ristretto255, SHA-512)";

enum { TAG_BYTES_MAX = 64, AEAD_TAG_BYTES = crypto_aead_xchacha20poly1305_ietf_ABYTES };
_Static_assert(COCKTAIL_SHARE_BYTES == 32 + (int)AEAD_TAG_BYTES, "a sealed share is a scalar and a tag");
_Static_assert(COCKTAIL_SIGNATURE_BYTES == (int)SCHNORR_BYTES, "one signature scheme");

/* The specification mixes both byte orders; span.h has the big-endian writers. */
static void put_u64_le(struct buffer *out, uint64_t value)
{
    uint8_t bytes[8];
    store_u64_le(bytes, value);
    buffer_put(out, SPAN_OF(bytes));
}

static void put_u32_le(struct buffer *out, uint32_t value)
{
    const uint8_t bytes[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16),
                              (uint8_t)(value >> 24)};
    buffer_put(out, SPAN_OF(bytes));
}

static struct span points(const struct point *first, uint32_t count)
{
    return span_make(first, sizeof *first * count);
}

static enum err parties_check(const struct point *party, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (!group_point_ok(&party[i])) return ERR_KEY;
        for (uint32_t j = 0; j < i; j++)
            if (memcmp(party[i].bytes, party[j].bytes, 32) == 0) return ERR_DUPLICATE;
    }
    return OK;
}

/* context = SHA-512("COCKTAIL-DKG-CONTEXT" | framed tag | framed suite | n | P_1 .. P_n). */
static void derive_context(struct ceremony *c, struct span tag)
{
    uint8_t bytes[128 + TAG_BYTES_MAX + COMMITTEE_MAX * 32];
    struct buffer out = BUFFER_OF(bytes);
    buffer_put_text(&out, "COCKTAIL-DKG-CONTEXT");
    buffer_put_u64(&out, tag.len);
    buffer_put(&out, tag);
    buffer_put_u64(&out, sizeof suite - 1);
    buffer_put_text(&out, suite);
    put_u32_le(&out, c->n);
    buffer_put(&out, points(c->party, c->n));
    ASSERT(!out.overflow);
    sha512(c->context, buffer_span(&out));
}

enum err ceremony_init(struct ceremony *c, uint32_t n, uint32_t t, uint32_t own, const struct point *party,
                       struct span tag, struct span extension)
{
    if (n == 0 || n > COMMITTEE_MAX || t == 0 || t > n || t > THRESHOLD_MAX || own > n) return ERR_RANGE;
    if (tag.len > TAG_BYTES_MAX || extension.len > COCKTAIL_EXTENSION_MAX) return ERR_TOO_LARGE;
    TRY(parties_check(party, n));
    *c = (struct ceremony){.n = n, .t = t, .own = own, .party = party, .extension = extension};
    derive_context(c, tag);
    return OK;
}

/* H6: 56 of its 64 bytes are key and nonce. */
static void derive_channel(struct ceremony_channel *out, const struct ceremony *c,
                           const struct point *shared_ephemeral, const struct point *shared_static,
                           const struct point *ephemeral, uint32_t from, uint32_t to)
{
    uint8_t bytes[64 + 5 * 32 + 8 + 64], wide[64];
    struct buffer in = BUFFER_OF(bytes);
    buffer_put_text(&in, "COCKTAIL-DKG-Ristretto255-SHA512-H6");
    buffer_put(&in, SPAN_OF(shared_ephemeral->bytes));
    buffer_put(&in, SPAN_OF(shared_static->bytes));
    buffer_put(&in, SPAN_OF(ephemeral->bytes));
    buffer_put(&in, SPAN_OF(c->party[from - 1].bytes));
    buffer_put(&in, SPAN_OF(c->party[to - 1].bytes));
    put_u64_le(&in, sizeof c->context);
    buffer_put(&in, SPAN_OF(c->context));
    ASSERT(!in.overflow);
    sha512(wide, buffer_span(&in));
    memcpy(out->key, wide, 32);
    memcpy(out->nonce, wide + 32, 24);
    secret_wipe(bytes, sizeof bytes);
    secret_wipe(wide, sizeof wide);
}

enum err ceremony_channel_send(struct ceremony_channel *out, const struct ceremony *c, uint32_t to,
                               const uint8_t ephemeral32[32], const struct point *ephemeral,
                               const uint8_t static32[32])
{
    struct point shared_ephemeral, shared_static;
    const struct point *peer = &c->party[to - 1];
    enum err err = group_mul(&shared_ephemeral, ephemeral32, peer);
    if (err == OK) err = group_mul(&shared_static, static32, peer);
    if (err == OK) derive_channel(out, c, &shared_ephemeral, &shared_static, ephemeral, c->own, to);
    secret_wipe(&shared_ephemeral, sizeof shared_ephemeral);
    secret_wipe(&shared_static, sizeof shared_static);
    return err;
}

enum err ceremony_channel_receive(struct ceremony_channel *out, const struct ceremony *c, uint32_t from,
                                  const struct point *ephemeral, const uint8_t static32[32])
{
    struct point shared_ephemeral, shared_static;
    enum err err = group_mul(&shared_ephemeral, static32, ephemeral);
    if (err == OK) err = group_mul(&shared_static, static32, &c->party[from - 1]);
    if (err == OK) derive_channel(out, c, &shared_ephemeral, &shared_static, ephemeral, from, c->own);
    secret_wipe(&shared_ephemeral, sizeof shared_ephemeral);
    secret_wipe(&shared_static, sizeof shared_static);
    return err;
}

void ceremony_seal(uint8_t *sealed, const struct ceremony_channel *channel, struct span plain)
{
    ASSERT(crypto_aead_xchacha20poly1305_ietf_encrypt(sealed, NULL, plain.data, plain.len, NULL, 0, NULL,
                                                      channel->nonce, channel->key) == 0);
}

enum err ceremony_open(uint8_t *plain, const struct ceremony_channel *channel, struct span sealed)
{
    if (sealed.len < COCKTAIL_SHARE_BYTES) return ERR_TRUNCATED;
    int failed = crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL, sealed.data, sealed.len, NULL,
                                                            0, channel->nonce, channel->key);
    return failed ? ERR_DECRYPT : OK;
}

/* --- Round 1 ------------------------------------------------------------------------------------------- */

/* The dealer's secrets, in guarded memory while they exist. */
struct dealer {
    uint8_t coefficient[THRESHOLD_MAX][32], ephemeral[32], share[32];
};

static void evaluate(uint8_t out32[32], const struct dealer *dealer, uint32_t t, uint32_t x)
{
    uint8_t factor[32];
    group_scalar_from_u32(factor, x);
    memcpy(out32, dealer->coefficient[t - 1], 32);
    for (uint32_t k = t - 1; k-- > 0;) group_scalar_mul_add(out32, out32, factor, dealer->coefficient[k]);
}

static enum err prove_possession(struct cocktail_round1 *out, const struct ceremony *c,
                                 const uint8_t secret32[32])
{
    const struct span message[3] = {SPAN_OF(c->context), points(out->commitment, c->t),
                                    SPAN_OF(out->ephemeral.bytes)};
    return schnorr_sign(out->pop, secret32, &out->commitment[0], message, 3);
}

static enum err deal_shares(struct cocktail_round1 *out, struct dealer *dealer, const struct ceremony *c,
                            const uint8_t static32[32])
{
    enum err err = OK;
    struct ceremony_channel channel;
    for (uint32_t to = 1; to <= c->n && err == OK; to++) {
        evaluate(dealer->share, dealer, c->t, to);
        err = ceremony_channel_send(&channel, c, to, dealer->ephemeral, &out->ephemeral, static32);
        if (err == OK) ceremony_seal(out->share[to - 1], &channel, SPAN_OF(dealer->share));
    }
    secret_wipe(&channel, sizeof channel);
    return err;
}

static enum err deal(struct cocktail_round1 *out, struct dealer *dealer, const struct ceremony *c,
                     const uint8_t static32[32], struct span entropy)
{
    for (uint32_t k = 0; k < c->t; k++) {
        group_reduce(dealer->coefficient[k], entropy.data + (size_t)64 * k);
        TRY(group_base(&out->commitment[k], dealer->coefficient[k]));
    }
    group_reduce(dealer->ephemeral, entropy.data + (size_t)64 * c->t);
    TRY(group_base(&out->ephemeral, dealer->ephemeral));
    TRY(prove_possession(out, c, dealer->coefficient[0]));
    return deal_shares(out, dealer, c, static32);
}

enum err ceremony_deal(struct cocktail_round1 *out, const struct ceremony *c, const uint8_t static32[32],
                       struct span entropy)
{
    struct point own;
    if (c->own == 0 || entropy.len != (size_t)64 * (c->t + 1)) return ERR_RANGE;
    if (!group_scalar_ok(static32)) return ERR_KEY;
    TRY(group_base(&own, static32));
    if (memcmp(own.bytes, c->party[c->own - 1].bytes, 32) != 0) return ERR_KEY;
    struct dealer *dealer = secret_alloc(sizeof *dealer);
    if (dealer == NULL) return ERR_NO_MEMORY;
    memset(out, 0, sizeof *out);
    enum err err = deal(out, dealer, c, static32, entropy);
    secret_free(dealer);
    return err;
}

/* --- Round 2 ------------------------------------------------------------------------------------------- */

/* A longer commitment would raise the threshold behind everybody's back, so what follows the t points is
 * zero. */
static bool tail_is_zero(const struct ceremony *c, const struct cocktail_round1 *message)
{
    for (uint32_t k = c->t; k < THRESHOLD_MAX; k++)
        if (!group_point_is_identity(&message->commitment[k])) return false;
    size_t used = (size_t)COCKTAIL_SHARE_BYTES * c->n;
    return sodium_is_zero((const uint8_t *)message->share + used, sizeof message->share - used) == 1;
}

enum err ceremony_check(const struct ceremony *c, const struct cocktail_round1 *message)
{
    if (!tail_is_zero(c, message) || !group_point_ok(&message->ephemeral)) return ERR_PROOF;
    for (uint32_t k = 0; k < c->t; k++)
        if (!group_point_ok(&message->commitment[k])) return ERR_PROOF;
    const struct span proven[3] = {SPAN_OF(c->context), points(message->commitment, c->t),
                                   SPAN_OF(message->ephemeral.bytes)};
    return schnorr_check(message->pop, &message->commitment[0], proven, 3) == OK ? OK : ERR_PROOF;
}

/* share B against the dealer's polynomial at our index. A zero share is as good as any other. */
static enum err share_check(const struct ceremony *c, const uint8_t share32[32],
                            const struct cocktail_round1 *message)
{
    struct point left = {{0}}, right;
    if (!group_scalar_ok(share32)) return ERR_PROOF;
    if (sodium_is_zero(share32, 32) == 0 && group_base(&left, share32) != OK) return ERR_PROOF;
    if (group_evaluate(&right, message->commitment, c->t, c->own) != OK) return ERR_PROOF;
    return memcmp(left.bytes, right.bytes, 32) == 0 ? OK : ERR_PROOF;
}

enum err ceremony_receive(uint8_t share32[32], const struct ceremony *c, uint32_t from,
                          const struct cocktail_round1 *message, const uint8_t static32[32])
{
    struct ceremony_channel channel;
    ASSERT(c->own != 0);
    enum err err = ceremony_channel_receive(&channel, c, from, &message->ephemeral, static32);
    if (err == OK) err = ceremony_open(share32, &channel, SPAN_OF(message->share[c->own - 1]));
    if (err == OK) err = share_check(c, share32, message);
    if (err != OK) secret_wipe(share32, 32);
    secret_wipe(&channel, sizeof channel);
    return err == ERR_KEY ? ERR_PROOF : err;
}

enum err ceremony_key(struct group_key *key, const struct ceremony *c, const struct cocktail_round1 *round1)
{
    struct point total[THRESHOLD_MAX];
    for (uint32_t k = 0; k < c->t; k++) {
        total[k] = round1[0].commitment[k];
        for (uint32_t j = 1; j < c->n; j++)
            if (group_add(&total[k], &total[k], &round1[j].commitment[k]) != OK) return ERR_PROOF;
    }
    memset(key, 0, sizeof *key);
    key->n = c->n;
    key->t = c->t;
    key->y = total[0];
    if (!group_point_ok(&key->y)) return ERR_PROOF;
    for (uint32_t i = 1; i <= c->n; i++) {
        if (group_evaluate(&key->share[i - 1], total, c->t, i) != OK) return ERR_PROOF;
        if (!group_point_ok(&key->share[i - 1])) return ERR_PROOF;
    }
    return OK;
}

/* --- Round 3 ------------------------------------------------------------------------------------------- */

void ceremony_transcribe(struct ceremony_transcript *out, const struct ceremony *c,
                         const struct cocktail_round1 *round1)
{
    struct buffer t = BUFFER_OF(out->bytes);
    put_u64_le(&t, sizeof suite - 1);
    buffer_put_text(&t, suite);
    put_u64_le(&t, sizeof c->context);
    buffer_put(&t, SPAN_OF(c->context));
    put_u32_le(&t, c->n);
    put_u32_le(&t, c->t);
    buffer_put(&t, points(c->party, c->n));
    for (uint32_t j = 0; j < c->n; j++) buffer_put(&t, points(round1[j].commitment, c->t));
    for (uint32_t j = 0; j < c->n; j++) buffer_put(&t, SPAN_OF(round1[j].pop));
    for (uint32_t j = 0; j < c->n; j++) buffer_put(&t, SPAN_OF(round1[j].ephemeral.bytes));
    put_u64_le(&t, c->extension.len);
    buffer_put(&t, c->extension);
    ASSERT(!t.overflow);
    out->len = t.len;
}
