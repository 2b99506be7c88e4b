/* body: the bulk half of a sealed dataset (DESIGN §8, PROTOCOL.md "Sealed body").
 * Plaintext chunks of exactly 1 MiB, the final one shorter and possibly empty, each sealed with AES-256-GCM (suite 1)
 * or ChaCha20-Poly1305 (suite 2, machines without AES instructions). key | base nonce | commitment come from
 * HKDF-Expand-SHA-512(data key, "perigee/body/v1" | suite | salt). nonce_i = base nonce xor be96(i).
 * Leaves of the tree are the BLAKE3 digests of sealed chunks (the digest in the chunk's CID); inner nodes are BLAKE3
 * derive-key "perigee 2026 body node v1" over left | right, RFC 6962 shape. Chunk functions are thread-safe. */
#ifndef PERIGEE_CRYPTO_BODY_H
#define PERIGEE_CRYPTO_BODY_H

#include "proto/base/ids.h"

enum {
    BODY_CHUNK_BYTES = 1 << 20,
    BODY_TAG_BYTES = 16,
    BODY_SEALED_MAX = BODY_CHUNK_BYTES + BODY_TAG_BYTES,
    BODY_META_NONCE_BYTES = 24,
    BODY_META_OVERHEAD_BYTES = BODY_META_NONCE_BYTES + 16, /* nonce, tag */
    BODY_SUITE_AES256GCM = 1,
    BODY_SUITE_CHACHA20POLY1305 = 2,
};

#define BODY_PLAIN_MAX ((uint64_t)BODY_CHUNK_BYTES * UINT32_MAX) /* exclusive: the chunk count fits 32 bits */

struct body_key; /* expanded keys, in secret memory */

/* Everything public about a body; content_id is a hash over all of it. */
struct body_summary {
    uint16_t suite;
    uint64_t plain_len;
    struct hash32 salt;
    struct hash32 commitment;
    struct hash32 root;
    uint32_t chunk_count; /* plain_len / BODY_CHUNK_BYTES + 1 */
};

MUST_USE enum err body_key_derive(struct body_key **out, const uint8_t data_key[32], uint16_t suite,
                                  struct hash32 salt);
struct hash32 body_key_commitment(const struct body_key *key);
void body_key_free(struct body_key *key);
uint16_t body_suite_best(void); /* the suite this machine seals with */

/* sealed: plain.len + BODY_TAG_BYTES bytes. */
MUST_USE enum err body_seal_chunk(uint8_t *sealed, const struct body_key *key, uint32_t index,
                                  struct span plain);
/* plain: sealed.len - BODY_TAG_BYTES bytes; wiped on ERR_DECRYPT. */
MUST_USE enum err body_open_chunk(uint8_t *plain, const struct body_key *key, uint32_t index,
                                  struct span sealed);
/* A body as somebody states it: ERR_VERSION unknown suite, ERR_TOO_LARGE, ERR_RANGE chunk_count does not follow from
 * plain_len. Check before using chunk_count or asking for the id. */
MUST_USE enum err body_summary_check(const struct body_summary *summary);
/* Plaintext bytes of chunk `index`, an opener refuses any other length: BODY_CHUNK_BYTES, the final one always less. */
uint32_t body_plain_bytes(const struct body_summary *summary, uint32_t index);
/* count >= 1. */
struct hash32 body_root(const struct hash32 *leaves, uint32_t count);
struct content_id body_content_id(const struct body_summary *summary);
/* The manifest's encrypted metadata: XChaCha20-Poly1305 under a key from the data key ("perigee/meta/v1"), random
 * nonce in front. sealed: plain.len + BODY_META_OVERHEAD_BYTES. ERR_TRUNCATED, ERR_DECRYPT (plain is wiped). */
MUST_USE enum err body_seal_meta(uint8_t *sealed, const uint8_t data_key[32], struct hash32 salt,
                                 struct span plain);
/* The same with this nonce, BODY_META_NONCE_BYTES: for simulations, which must repeat. Never twice under one key. */
MUST_USE enum err body_seal_meta_from(uint8_t *sealed, const uint8_t data_key[32], struct hash32 salt,
                                      struct span plain, const uint8_t *nonce);
MUST_USE enum err body_open_meta(uint8_t *plain, const uint8_t data_key[32], struct hash32 salt,
                                 struct span sealed);

#endif
