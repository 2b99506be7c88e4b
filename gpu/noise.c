#include "gpu/noise.h"

#include "crypto/kdf.h"
#include "proto/base/divisor.h"
#include "proto/base/panic.h"
#include "proto/base/span.h"

#include <math.h>
#include <stdbool.h>

struct scale {
    uint64_t num;
    uint64_t den;
};

/* Equal rationals must give equal draws, so the sampler reduces and never trusts the caller to have done it.
 */
static enum err scale_reduce(struct scale *out, uint64_t num, uint64_t den)
{
    if (num == 0 || den == 0) return ERR_RANGE;
    uint64_t divisor = divisor_common(num, den);
    *out = (struct scale){num / divisor, den / divisor};
    if (out->num > NOISE_SCALE_MAX || out->den > NOISE_SCALE_MAX) return ERR_RANGE;
    return OK;
}

/* PROTOCOL.md "Noise streams": uniform(n). */
static uint64_t uniform(struct stream *s, uint64_t n)
{
    ASSERT(n > 0);
    if (n == 1) return 0;
    uint64_t excess = (0 - n) % n; /* 2^64 mod n */
    uint64_t draw;
    do {
        draw = stream_u64(s);
    } while (draw > UINT64_MAX - excess);
    return draw % n;
}

/* PROTOCOL.md "Noise streams": exp_minus(a, b). The sum 1 - x + x^2/2! - ... is what the parity of k
 * computes. */
static bool exp_minus(struct stream *s, uint64_t a, uint64_t b)
{
    ASSERT(a <= b);
    uint64_t k = 1;
    while (uniform(s, b) < a && uniform(s, k) == 0) k++;
    return k % 2 == 1;
}

/* The number of true coins of exp(-1) before the first false one. */
static uint64_t geometric(struct stream *s)
{
    enum { TRUE_MAX = 126 };
    uint64_t count = 0;
    while (exp_minus(s, 1, 1)) {
        ASSERT(count < TRUE_MAX);
        count++;
    }
    return count;
}

enum err noise_laplace(struct stream *s, int64_t *out, uint64_t scale_num, uint64_t scale_den)
{
    struct scale scale;
    TRY(scale_reduce(&scale, scale_num, scale_den));
    for (;;) {
        uint64_t u = uniform(s, scale.num);
        if (!exp_minus(s, u, scale.num)) continue;
        uint64_t x = u + scale.num * geometric(s);
        ASSERT(x <= INT64_MAX);
        int64_t y = (int64_t)(x / scale.den);
        bool negative = uniform(s, 2) == 1;
        if (negative && y == 0) continue; /* else zero would count twice */
        *out = negative ? -y : y;
        return OK;
    }
}

void noise_cell_key(uint8_t key32[32], const uint8_t seed32[32], uint32_t step, uint32_t measure,
                    uint32_t group)
{
    uint8_t bytes[64];
    struct buffer message = BUFFER_OF(bytes);
    buffer_put_text(&message, "perigee/noise-cell/v1");
    buffer_put_u32(&message, step);
    buffer_put_u32(&message, measure);
    buffer_put_u32(&message, group);
    ASSERT(!message.overflow);
    hkdf_sha256(key32, 32, span_make(NULL, 0), span_make(seed32, 32), buffer_span(&message));
}

/* P(|X| > m) = 2 a^(m+1) / (1 + a) with a = exp(-1/scale). */
static long double tail(const struct scale *scale, long double m)
{
    long double rate = (long double)scale->den / (long double)scale->num;
    return 2 * expl(-rate * (m + 1)) / (1 + expl(-rate));
}

enum err noise_laplace_bound(int64_t *out, uint64_t scale_num, uint64_t scale_den, double probability)
{
    struct scale scale;
    TRY(scale_reduce(&scale, scale_num, scale_den));
    if (!(probability > 0 && probability < 1)) return ERR_RANGE;
    long double outside = 1 - (long double)probability;
    long double rate = (long double)scale.den / (long double)scale.num;
    long double m = ceill(logl(2 / (outside * (1 + expl(-rate)))) / rate) - 1;
    if (m < 0) m = 0;
    /* The logarithm may land one beside the border: settle it with the tail itself. */
    while (m > 0 && tail(&scale, m - 1) <= outside) m--;
    while (tail(&scale, m) > outside) m++;
    *out = (int64_t)m;
    return OK;
}
