/* group: see group.h. */
#include "crypto/group.h"

#include "crypto/secret.h"
#include "proto/base/panic.h"

#include <sodium.h>
#include <string.h>

/* q = 2^252 + 27742317777372353535851937790883648493, little-endian. */
static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
                                  0xa2, 0xde, 0xf9, 0xde, 0x14, 0,    0,    0,    0,    0,    0,
                                  0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10};

bool group_point_is_identity(const struct point *p)
{
    return sodium_is_zero(p->bytes, sizeof p->bytes) == 1;
}

bool group_point_ok(const struct point *p)
{
    return !group_point_is_identity(p) && crypto_core_ristretto255_is_valid_point(p->bytes) == 1;
}

/* Subtract q byte by byte; the final borrow says "below". Secrets come through here, so there is no early
 * exit. */
bool group_scalar_ok(const uint8_t scalar32[32])
{
    uint32_t borrow = 0;
    for (size_t i = 0; i < 32; i++) borrow = ((uint32_t)scalar32[i] - order[i] - borrow) >> 31;
    return borrow == 1;
}

void group_reduce(uint8_t scalar32[32], const uint8_t wide64[64])
{
    crypto_core_ristretto255_scalar_reduce(scalar32, wide64);
}

void group_scalar_mul_add(uint8_t out32[32], const uint8_t a32[32], const uint8_t b32[32],
                          const uint8_t c32[32])
{
    uint8_t product[32];
    crypto_core_ristretto255_scalar_mul(product, a32, b32);
    crypto_core_ristretto255_scalar_add(out32, product, c32);
    secret_wipe(product, sizeof product);
}

void group_scalar_add(uint8_t out32[32], const uint8_t a32[32], const uint8_t b32[32])
{
    crypto_core_ristretto255_scalar_add(out32, a32, b32);
}

void group_scalar_from_u32(uint8_t out32[32], uint32_t value)
{
    memset(out32, 0, 32);
    for (size_t i = 0; i < 4; i++) out32[i] = (uint8_t)(value >> (8 * i));
}

void group_scalar_random(uint8_t out32[32])
{
    uint8_t wide[64];
    do {
        random_fill(wide, sizeof wide);
        group_reduce(out32, wide);
    } while (sodium_is_zero(out32, 32) == 1);
    secret_wipe(wide, sizeof wide);
}

enum err group_base(struct point *out, const uint8_t scalar32[32])
{
    return crypto_scalarmult_ristretto255_base(out->bytes, scalar32) == 0 ? OK : ERR_KEY;
}

enum err group_mul(struct point *out, const uint8_t scalar32[32], const struct point *p)
{
    if (group_point_is_identity(p)) return ERR_KEY;
    return crypto_scalarmult_ristretto255(out->bytes, scalar32, p->bytes) == 0 ? OK : ERR_KEY;
}

enum err group_add(struct point *out, const struct point *a, const struct point *b)
{
    return crypto_core_ristretto255_add(out->bytes, a->bytes, b->bytes) == 0 ? OK : ERR_KEY;
}

enum err group_sub(struct point *out, const struct point *a, const struct point *b)
{
    return crypto_core_ristretto255_sub(out->bytes, a->bytes, b->bytes) == 0 ? OK : ERR_KEY;
}

/* Horner. An intermediate sum may be the identity by a dealer's choice, and zero times x is zero. */
enum err group_evaluate(struct point *out, const struct point *coefficient, uint32_t count, uint32_t x)
{
    ASSERT(count >= 1 && x != 0);
    uint8_t factor[32];
    group_scalar_from_u32(factor, x);
    struct point sum = coefficient[count - 1];
    for (uint32_t k = count - 1; k-- > 0;) {
        struct point product = sum;
        if (!group_point_is_identity(&sum)) TRY(group_mul(&product, factor, &sum));
        TRY(group_add(&sum, &product, &coefficient[k]));
    }
    *out = sum;
    return OK;
}

/* numerator = product of the other indices; denominator = product of (other - own). */
static void lagrange_fraction(struct scalar *numerator, struct scalar *denominator, const uint32_t *index,
                              uint32_t count, uint32_t own)
{
    uint8_t mine[32];
    group_scalar_from_u32(mine, index[own]);
    group_scalar_from_u32(numerator->bytes, 1);
    group_scalar_from_u32(denominator->bytes, 1);
    for (uint32_t j = 0; j < count; j++) {
        if (j == own) continue;
        uint8_t other[32], difference[32];
        group_scalar_from_u32(other, index[j]);
        crypto_core_ristretto255_scalar_sub(difference, other, mine);
        crypto_core_ristretto255_scalar_mul(numerator->bytes, numerator->bytes, other);
        crypto_core_ristretto255_scalar_mul(denominator->bytes, denominator->bytes, difference);
    }
}

static enum err lagrange_check(const uint32_t *index, uint32_t count)
{
    if (count == 0 || count > THRESHOLD_MAX) return ERR_RANGE;
    for (uint32_t i = 0; i < count; i++) {
        if (index[i] == 0) return ERR_RANGE;
        for (uint32_t j = 0; j < i; j++)
            if (index[i] == index[j]) return ERR_DUPLICATE;
    }
    return OK;
}

/* One inversion for all denominators: prefix[i] = d_0 ... d_(i-1), then peel from the end. */
enum err group_lagrange(struct scalar *lambda, const uint32_t *index, uint32_t count)
{
    TRY(lagrange_check(index, count));
    struct scalar numerator[THRESHOLD_MAX], denominator[THRESHOLD_MAX], prefix[THRESHOLD_MAX];
    struct scalar product, inverse;
    group_scalar_from_u32(product.bytes, 1);
    for (uint32_t i = 0; i < count; i++) {
        lagrange_fraction(&numerator[i], &denominator[i], index, count, i);
        prefix[i] = product;
        crypto_core_ristretto255_scalar_mul(product.bytes, product.bytes, denominator[i].bytes);
    }
    if (crypto_core_ristretto255_scalar_invert(inverse.bytes, product.bytes) != 0) return ERR_RANGE;
    for (uint32_t i = count; i-- > 0;) {
        struct scalar own;
        crypto_core_ristretto255_scalar_mul(own.bytes, inverse.bytes, prefix[i].bytes);
        crypto_core_ristretto255_scalar_mul(lambda[i].bytes, own.bytes, numerator[i].bytes);
        crypto_core_ristretto255_scalar_mul(inverse.bytes, inverse.bytes, denominator[i].bytes);
    }
    return OK;
}

void group_frame(struct buffer *out, struct span item)
{
    ASSERT(item.len <= UINT32_MAX);
    buffer_put_u32(out, (uint32_t)item.len);
    buffer_put(out, item);
}

void group_frame_text(struct buffer *out, const char *item)
{
    group_frame(out, span_text(item));
}

void group_frame_u32(struct buffer *out, uint32_t item)
{
    buffer_put_u32(out, 4);
    buffer_put_u32(out, item);
}

void group_hash(uint8_t out64[64], struct span framed)
{
    crypto_hash_sha512(out64, framed.data, framed.len);
}

void group_hash_to_scalar(uint8_t out32[32], struct span framed)
{
    uint8_t wide[64];
    group_hash(wide, framed);
    group_reduce(out32, wide);
    secret_wipe(wide, sizeof wide);
}

void group_hash_to_point(struct point *out, struct span framed)
{
    uint8_t wide[64];
    group_hash(wide, framed);
    ASSERT(crypto_core_ristretto255_from_hash(out->bytes, wide) == 0);
}
