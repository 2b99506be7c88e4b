/* hash: SHA-256, SHA-512, BLAKE3 and the project's one framing of them. No keys, so proto/ and storage/ may use it.
 * Framing (PROTOCOL.md "Hash framing"): H(label, x1..xm) = SHA-256(SHA-256(label) | SHA-256(label) | u32be len(x1) | x1 | ...). */
#ifndef PERIGEE_CRYPTO_HASH_H
#define PERIGEE_CRYPTO_HASH_H

#include "proto/base/ids.h"
#include "proto/base/span.h"

struct hash32 sha256(struct span bytes);
void sha512(uint8_t out[64], struct span bytes);
struct hash32 blake3(struct span bytes);
/* BLAKE3 in derive-key mode: `context` is a fixed ASCII string of the caller's. */
struct hash32 blake3_derive(const char *context, struct span bytes);

/* H(label, parts[0..count-1]). */
struct hash32 hash_framed(const char *label, const struct span *parts, uint32_t count);
#define HASH_FRAMED(label, ...)                                                                              \
    hash_framed((label), (const struct span[]){__VA_ARGS__},                                                 \
                (uint32_t)(sizeof((const struct span[]){__VA_ARGS__}) / sizeof(struct span)))

/* Streaming SHA-256. The state is opaque and needs no cleanup. */
struct sha256_stream {
    uint64_t state[32];
};
void sha256_begin(struct sha256_stream *s);
void sha256_add(struct sha256_stream *s, struct span bytes);
struct hash32 sha256_end(struct sha256_stream *s);

#endif
