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

__extension__ typedef unsigned __int128 two_limbs;

static const uint64_t order_limb[4] = {0x5812631a5cf5d3ed, 0x14def9dea2f79cd6, 0, 0x1000000000000000};

static void scalar_put_limb(uint8_t out32[32], int limb, uint64_t value)
{
    for (int i = 0; i < 8; i++) out32[8 * limb + i] = (uint8_t)(value >> (8 * i));
}

/* a^-1 mod m for coprime a < m below 2^62: Euclid's algorithm with one cofactor. Public values only. */
static uint64_t inverse_u64(uint64_t a, uint64_t m)
{
    int64_t r0 = (int64_t)m, r1 = (int64_t)a, t0 = 0, t1 = 1; /* r = t a mod m, |t| <= m */
    while (r1 != 0) {
        const int64_t quotient = r0 / r1, r = r0 - quotient * r1, t = t0 - quotient * t1;
        r0 = r1;
        r1 = r;
        t0 = t1;
        t1 = t;
    }
    ASSERT(r0 == 1);
    return (uint64_t)(t0 < 0 ? t0 + (int64_t)m : t0);
}

/* limb / a, the remainder of the limbs above in `rest` and then of this one. */
static uint64_t divide_limb(uint64_t *rest, uint64_t limb, uint64_t a)
{
    const two_limbs part = ((two_limbs)*rest << 64) | limb;
    *rest = (uint64_t)(part % a);
    return (uint64_t)(part / a);
}

/* 1/a mod q for a public a below 2^62: with u = -1/q mod a, for which 64-bit numbers are enough, a divides u q + 1, and the
 * quotient is it. The library's inversion is an exponentiation and costs as much as the product of a point. */
static void scalar_inverse_u64(uint8_t out32[32], uint64_t a)
{
    uint64_t product[5], rest = 0;
    for (int i = 3; i >= 0; i--) (void)divide_limb(&rest, order_limb[i], a);
    const uint64_t u = a == 1 ? 0 : a - inverse_u64(rest, a);
    two_limbs carry = 1;
    for (int i = 0; i < 4; i++, carry >>= 64) {
        carry += (two_limbs)u * order_limb[i];
        product[i] = (uint64_t)carry;
    }
    product[4] = (uint64_t)carry;
    rest = product[4]; /* below a, as u is */
    for (int i = 3; i >= 0; i--) scalar_put_limb(out32, i, divide_limb(&rest, product[i], a));
    ASSERT(rest == 0);
}

/* A fraction of indices, as 64-bit numbers while they fit and beyond that in `out`. */
struct fraction {
    struct scalar *out;
    uint64_t numerator, denominator;
};

static void fraction_fold(struct fraction *f)
{
    uint8_t factor[32] = {0};
    scalar_put_limb(factor, 0, f->numerator);
    crypto_core_ristretto255_scalar_mul(f->out->bytes, f->out->bytes, factor);
    scalar_inverse_u64(factor, f->denominator);
    crypto_core_ristretto255_scalar_mul(f->out->bytes, f->out->bytes, factor);
    f->numerator = f->denominator = 1;
}

/* Product over the others of other / (other - own). */
static void lagrange_one(struct scalar *out, const uint32_t *index, uint32_t count, uint32_t own)
{
    struct fraction f = {out, 1, 1};
    bool negative = false;
    group_scalar_from_u32(out->bytes, 1);
    for (uint32_t j = 0; j < count; j++) {
        if (j == own) continue;
        const uint64_t other = index[j], mine = index[own];
        if (f.numerator >> 30 != 0 || f.denominator >> 30 != 0) fraction_fold(&f);
        f.numerator *= other;
        f.denominator *= other > mine ? other - mine : mine - other;
        negative ^= other < mine;
    }
    fraction_fold(&f);
    if (negative) crypto_core_ristretto255_scalar_negate(out->bytes, out->bytes);
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

enum err group_lagrange(struct scalar *lambda, const uint32_t *index, uint32_t count)
{
    TRY(lagrange_check(index, count));
    for (uint32_t i = 0; i < count; i++) lagrange_one(&lambda[i], index, count, i);
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
