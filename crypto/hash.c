/* OpenSSL's low-level SHA calls: deprecated in name only, and the fastest at hand for the short inputs of
 * records. They use SHA instructions, need no fetch and no heap; EVP costs half as much again at 32 bytes,
 * libsodium's portable code four times as much. crypto_init compares them with libsodium's. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "crypto/hash.h"

#include "proto/base/panic.h"

#include <blake3.h>
#include <openssl/sha.h>

#include <string.h>

_Static_assert(sizeof(SHA256_CTX) <= sizeof(struct sha256_stream), "sha256_stream holds the library's state");
_Static_assert(_Alignof(SHA256_CTX) <= _Alignof(struct sha256_stream), "sha256_stream is aligned for it");

static SHA256_CTX *sha256_state(struct sha256_stream *s)
{
    return (SHA256_CTX *)(void *)s->state;
}

void sha256_begin(struct sha256_stream *s)
{
    (void)SHA256_Init(sha256_state(s));
}

void sha256_add(struct sha256_stream *s, struct span bytes)
{
    if (bytes.len > 0) (void)SHA256_Update(sha256_state(s), bytes.data, bytes.len);
}

struct hash32 sha256_end(struct sha256_stream *s)
{
    struct hash32 out;
    (void)SHA256_Final(out.bytes, sha256_state(s));
    return out;
}

struct hash32 sha256(struct span bytes)
{
    struct sha256_stream s;
    sha256_begin(&s);
    sha256_add(&s, bytes);
    return sha256_end(&s);
}

void sha512(uint8_t out[64], struct span bytes)
{
    SHA512_CTX state;
    (void)SHA512_Init(&state);
    if (bytes.len > 0) (void)SHA512_Update(&state, bytes.data, bytes.len);
    (void)SHA512_Final(out, &state);
}

static struct hash32 blake3_finish(blake3_hasher *hasher, struct span bytes)
{
    struct hash32 out;
    if (bytes.len > 0) blake3_hasher_update(hasher, bytes.data, bytes.len);
    blake3_hasher_finalize(hasher, out.bytes, sizeof out.bytes);
    return out;
}

struct hash32 blake3(struct span bytes)
{
    blake3_hasher hasher;
    blake3_hasher_init(&hasher);
    return blake3_finish(&hasher, bytes);
}

struct hash32 blake3_derive(const char *context, struct span bytes)
{
    blake3_hasher hasher;
    blake3_hasher_init_derive_key(&hasher, context);
    return blake3_finish(&hasher, bytes);
}

struct hash32 hash_framed(const char *label, const struct span *parts, uint32_t count)
{
    struct sha256_stream s;
    struct hash32 tag = sha256(span_text(label));
    ASSERT(parts != NULL || count == 0);
    sha256_begin(&s);
    sha256_add(&s, ID_SPAN(tag));
    sha256_add(&s, ID_SPAN(tag));
    for (uint32_t i = 0; i < count; i++) {
        uint8_t len[4];
        ASSERT(parts[i].len <= UINT32_MAX);
        store_u32(len, (uint32_t)parts[i].len);
        sha256_add(&s, SPAN_OF(len));
        sha256_add(&s, parts[i]);
    }
    return sha256_end(&s);
}
