/* dealer: a trusted dealer for tests: one group key and all its shares from a seed. The product has no such thing. */
#ifndef PERIGEE_TESTS_DEALER_H
#define PERIGEE_TESTS_DEALER_H

#include "crypto/group.h"
#include "crypto/hash.h"
#include "crypto/tdh2.h"
#include "proto/base/panic.h"

#include <string.h>

struct dealer_key {
    struct group_key key;
    struct scalar_secret x, share[COMMITTEE_MAX];
};

/* SHA-512 of (seed, counter): the only randomness of a deterministic test. */
static inline void dealer_bytes(uint8_t out64[64], uint64_t seed, uint64_t counter)
{
    uint8_t in[16];
    store_u64(in, seed);
    store_u64(in + 8, counter);
    sha512(out64, SPAN_OF(in));
}

static inline struct dealer_key dealer_make(uint32_t n, uint32_t t, uint64_t seed)
{
    struct dealer_key out;
    uint8_t coefficient[THRESHOLD_MAX][32], wide[64], index[32];
    memset(&out, 0, sizeof out);
    out.key.n = n;
    out.key.t = t;
    for (uint32_t k = 0; k < t; k++) {
        dealer_bytes(wide, seed, k);
        group_reduce(coefficient[k], wide);
    }
    memcpy(out.x.bytes, coefficient[0], 32);
    ASSERT(group_base(&out.key.y, out.x.bytes) == OK);
    for (uint32_t i = 1; i <= n; i++) {
        uint8_t *share = out.share[i - 1].bytes;
        group_scalar_from_u32(index, i);
        memcpy(share, coefficient[t - 1], 32);
        for (uint32_t k = t - 1; k-- > 0;) group_scalar_mul_add(share, share, index, coefficient[k]);
        ASSERT(group_base(&out.key.share[i - 1], share) == OK);
    }
    return out;
}

/* The scalar's second encoding, s + q, which must be refused; only for s below 2^256 - q, which all are. */
static inline void dealer_add_order(uint8_t scalar32[32])
{
    static const uint8_t q[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,       0xd6,
                                  0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, [31] = 0x10};
    uint32_t carry = 0;
    for (size_t i = 0; i < 32; i++) {
        carry += (uint32_t)scalar32[i] + q[i];
        scalar32[i] = (uint8_t)carry;
        carry >>= 8;
    }
}

#endif
