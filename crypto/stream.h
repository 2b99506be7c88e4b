/* stream: deterministic random bytes, the ChaCha20 keystream of RFC 8439 §2.4.
 * Block counter from 0, nonce of twelve zero bytes: a key must therefore have one use only, derived for it
 * (gpu/noise.h, "Noise streams" in PROTOCOL.md). Readers take consecutive bytes; how they are grouped into
 * calls never changes which bytes come next. One stream ends after 2^38 bytes (the block counter); reading on
 * is a programmer's error. One thread at a time. The struct holds the key: stream_close wipes it, on every
 * path. */
#ifndef PERIGEE_CRYPTO_STREAM_H
#define PERIGEE_CRYPTO_STREAM_H

#include <stddef.h>
#include <stdint.h>

enum { STREAM_BUFFER_BYTES = 256 };

struct stream {
    uint8_t key[32];
    uint8_t buffer[STREAM_BUFFER_BYTES];
    uint32_t used;    /* bytes of `buffer` already handed out */
    uint64_t counter; /* next block, at most 2^32 */
};

void stream_open(struct stream *s, const uint8_t key32[32]);
void stream_close(struct stream *s);
void stream_fill(struct stream *s, void *out, size_t len);
uint64_t stream_u64(struct stream *s); /* the next eight bytes, little-endian */

#endif
