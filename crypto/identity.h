/* identity: one secp256k1 key per node, BIP-340 signatures with zero auxiliary randomness (re-execution after a crash
 * gives the same bytes). What is signed is always a 32-byte tagged hash made by the caller (PROTOCOL.md "Signatures").
 * Key files: 0600, optionally encrypted under Argon2id. Source: BIP-340. Thread-safe after crypto_init. */
#ifndef PERIGEE_CRYPTO_IDENTITY_H
#define PERIGEE_CRYPTO_IDENTITY_H

#include "crypto/types.h"
#include "proto/base/ids.h"

#include <stdbool.h>

struct identity_secret;

void identity_generate(struct identity_secret *out, struct node_id *id);
MUST_USE enum err identity_public(struct node_id *out, const struct identity_secret *secret); /* ERR_KEY */
/* Is there a key of this id at all, the coordinate of a point of the curve? Most values are none. */
bool identity_is_key(struct node_id id);
MUST_USE enum err identity_sign(struct signature *out, const struct identity_secret *secret,
                                struct hash32 message);
MUST_USE enum err identity_verify(struct node_id author, struct hash32 message, const struct signature *sig);
/* The same by a thread that checks many signatures of few authors. A key's point is found by a square root, an eighth of a
 * check: here it is found once and remembered. One thread at a time; zeroed is empty. Who crafts ids that share a place
 * only brings the square roots back. */
enum { IDENTITY_KEYS_PLACES = 64 };
struct identity_keys {
    struct {
        struct node_id id;
        uint64_t point[8]; /* the library's own form */
        bool known;
    } place[IDENTITY_KEYS_PLACES];
};
MUST_USE enum err identity_keys_verify(struct identity_keys *keys, struct node_id author,
                                       struct hash32 message, const struct signature *sig);
/* BIP-340 over a message of any length (vectors only; the protocol always signs 32 bytes). */
MUST_USE enum err identity_verify_bytes(struct node_id author, struct span message,
                                        const struct signature *sig);

#endif
