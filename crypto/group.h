/* group: ristretto255 arithmetic and the one framing of what gets hashed into it. For files of crypto/ only.
 * Source: RFC 9496. Scalars are 32 bytes little-endian below q; points are canonical encodings.
 * Rules: whatever comes from outside passes group_point_ok and group_scalar_ok first, because the library underneath
 * takes the identity for a valid point and scalars above q for their remainder. Products with a zero scalar, or of
 * something that is no point, are errors, so the identity never leaves group_mul. group_base, group_mul and the scalar
 * functions run in constant time over the scalar. Pure and thread-safe; nothing is allocated. */
#ifndef PERIGEE_CRYPTO_GROUP_H
#define PERIGEE_CRYPTO_GROUP_H

#include "crypto/types.h"
#include "proto/base/span.h"

bool group_point_ok(const struct point *p); /* canonical and not the identity */
bool group_point_is_identity(const struct point *p);
bool group_scalar_ok(const uint8_t scalar32[32]); /* below q; zero passes */

/* 64 uniform bytes to a scalar, with a bias below 2^-128. */
void group_reduce(uint8_t scalar32[32], const uint8_t wide64[64]);
/* out = a b + c mod q. */
void group_scalar_mul_add(uint8_t out32[32], const uint8_t a32[32], const uint8_t b32[32],
                          const uint8_t c32[32]);
void group_scalar_add(uint8_t out32[32], const uint8_t a32[32], const uint8_t b32[32]);
void group_scalar_from_u32(uint8_t out32[32], uint32_t value);
/* A uniform scalar that is not zero. */
void group_scalar_random(uint8_t out32[32]);

/* ERR_KEY for a zero scalar, and for a point that group_point_ok refuses. */
MUST_USE enum err group_base(struct point *out, const uint8_t scalar32[32]);
MUST_USE enum err group_mul(struct point *out, const uint8_t scalar32[32], const struct point *p);
/* Sums may be the identity, all zero bytes. ERR_KEY when an operand is no canonical encoding. */
MUST_USE enum err group_add(struct point *out, const struct point *a, const struct point *b);
MUST_USE enum err group_sub(struct point *out, const struct point *a, const struct point *b);
/* coefficient[0] + x coefficient[1] + ... + x^(count-1) coefficient[count-1], in the exponent; public values only. */
MUST_USE enum err group_evaluate(struct point *out, const struct point *coefficient, uint32_t count,
                                 uint32_t x);

/* Lagrange coefficients at zero for distinct non-zero indices, count <= THRESHOLD_MAX. ERR_DUPLICATE, ERR_RANGE. */
MUST_USE enum err group_lagrange(struct scalar *lambda, const uint32_t *index, uint32_t count);

/* Framing (PROTOCOL.md "Envelope"): one item is u32be length, then its bytes. A message is its items in order. */
void group_frame(struct buffer *out, struct span item);
void group_frame_text(struct buffer *out, const char *item);
void group_frame_u32(struct buffer *out, uint32_t item); /* four bytes, big-endian */
void group_hash(uint8_t out64[64], struct span framed);  /* SHA-512 */
void group_hash_to_scalar(uint8_t out32[32], struct span framed);
void group_hash_to_point(struct point *out, struct span framed);

#endif
