#include "crypto/stream.h"

#include "crypto/secret.h"
#include "proto/base/panic.h"
#include "proto/base/span.h"

#include <sodium.h>
#include <string.h>

enum { BLOCK_BYTES = 64, BUFFER_BLOCKS = STREAM_BUFFER_BYTES / BLOCK_BYTES };

void stream_open(struct stream *s, const uint8_t key32[32])
{
    memcpy(s->key, key32, sizeof s->key);
    s->used = STREAM_BUFFER_BYTES;
    s->counter = 0;
}

void stream_close(struct stream *s)
{
    secret_wipe(s, sizeof *s);
}

static void refill(struct stream *s)
{
    static const uint8_t nonce[crypto_stream_chacha20_ietf_NONCEBYTES];
    ASSERT(s->counter + BUFFER_BLOCKS <= UINT64_C(1) << 32);
    memset(s->buffer, 0, sizeof s->buffer);
    (void)crypto_stream_chacha20_ietf_xor_ic(s->buffer, s->buffer, sizeof s->buffer, nonce,
                                             (uint32_t)s->counter, s->key);
    s->counter += BUFFER_BLOCKS;
    s->used = 0;
}

void stream_fill(struct stream *s, void *out, size_t len)
{
    uint8_t *to = out;
    ASSERT(s->used <= STREAM_BUFFER_BYTES);
    while (len > 0) {
        if (s->used == STREAM_BUFFER_BYTES) refill(s);
        size_t take = STREAM_BUFFER_BYTES - s->used;
        if (take > len) take = len;
        memcpy(to, s->buffer + s->used, take);
        s->used += (uint32_t)take;
        to += take;
        len -= take;
    }
}

uint64_t stream_u64(struct stream *s)
{
    uint8_t bytes[8];
    stream_fill(s, bytes, sizeof bytes);
    return load_u64_le(bytes);
}
