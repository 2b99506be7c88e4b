/* noise: exact discrete Laplace noise from a given stream (Canonne, Kamath, Steinke 2020, arXiv 2004.00010,
 * algorithms 1 and 2). P(X = x) is proportional to exp(-|x| / scale), to the last bit: integers and rationals
 * only, no float.
 *
 * Which stream bytes a draw consumes is part of the protocol (PROTOCOL.md "Noise streams"), because a run
 * that fails over must repeat the same noise. The rules, in full: u64             the next eight bytes of the
 * stream, little-endian. uniform(n)      n = 1: 0, nothing consumed. Else r = u64, repeated while r >= 2^64 -
 * (2^64 mod n); r mod n. exp_minus(a, b) for 0 <= a <= b, true with probability exp(-a/b): k = 1; repeat { if
 * uniform(b) >= a or else uniform(k) != 0, stop; k = k + 1 }; true when k is odd. The second draw is made
 * only if the first did not stop. (A coin of a/(b k) is thrown as the two coins a/b and 1/k, so no product
 * overflows.) laplace(t/s)    t/s in lowest terms. repeat { u = uniform(t); if not exp_minus(u, t) begin
 * again; v = 0; while exp_minus(1, 1): v = v + 1; y = floor((u + t v) / s); negative = uniform(2) == 1; if
 * negative and y = 0 begin again; give -y or y }. Bounds: t, s <= 2^56 and v <= 126, so u + t v < 2^63 and
 * every result fits an int64. v reaches 127 with probability exp(-127) < 2^-183; that would mean a broken
 * stream and stops the process.
 *
 * The time a draw takes depends on its result (Jin et al., arXiv 2112.05307): whoever can time the gate
 * learns about the noise. The gate releases on a fixed tick; this module doesn't hide it. Threads: no state
 * but the stream's. Ownership: none taken. Errors: ERR_RANGE for a scale out of bounds. */
#ifndef PERIGEE_GPU_NOISE_H
#define PERIGEE_GPU_NOISE_H

#include "crypto/stream.h"
#include "proto/base/err.h"

#include <stdint.h>

#define NOISE_SCALE_MAX (UINT64_C(1) << 56) /* each of numerator and denominator, in lowest terms */

/* Scale is scale_num / scale_den = sensitivity / epsilon, in grid units. On error *out is untouched and
 * nothing is consumed; the error depends on the (public) scale alone. */
MUST_USE enum err noise_laplace(struct stream *s, int64_t *out, uint64_t scale_num, uint64_t scale_den);

/* The key of one cell's stream: HKDF-SHA256 with empty salt, the run's noise seed as key material, and info =
 * "perigee/noise-cell/v1" | be32 step | be32 measure | be32 group. The result is secret; the caller wipes it.
 */
void noise_cell_key(uint8_t key32[32], const uint8_t seed32[32], uint32_t step, uint32_t measure,
                    uint32_t group);

/* Error bars, presentation only and never on the release path (long double): the smallest m with
 * P(|X| <= m) >= probability. ERR_RANGE when the scale is out of bounds or probability is not within (0, 1).
 */
MUST_USE enum err noise_laplace_bound(int64_t *out, uint64_t scale_num, uint64_t scale_den,
                                      double probability);

#endif
