/* tdh2: labelled threshold encryption of data keys, and the threshold PRF, both over ristretto255.
 * TDH2: Shoup and Gennaro, "Securing Threshold Cryptosystems against Chosen Ciphertext Attack"; strong Fiat-Shamir;
 * the second generator is hashed from the public key, so nobody chooses it. PRF: Naor, Pinkas, Reingold with
 * Chaum-Pedersen proofs. Bytes in PROTOCOL.md "Envelope" and "Threshold PRF". Secret scalars are used in constant time.
 * Indices run from 1. Identity elements and non-canonical encodings are refused everywhere. */
#ifndef PERIGEE_CRYPTO_TDH2_H
#define PERIGEE_CRYPTO_TDH2_H

#include "crypto/types.h"
#include "proto/base/ids.h"

/* What a custodian holds of a group key. */
struct key_share {
    struct scalar_secret x;
    struct point y; /* the whole key's */
};

struct envelope {
    uint8_t bytes[ENVELOPE_BYTES];
};
struct label {
    uint8_t bytes[LABEL_BYTES];
};

/* A share of one envelope, or of one PRF value: D_i and its proof. */
struct dec_share {
    uint32_t index;
    struct point d;
    struct scalar e, f;
};

/* The hash that names a key in labels and committee records. */
struct hash32 group_key_id(const struct point *y);

/* L = suite (2 bytes, be 1) | root key id | app_id | compose_hash | owner_id | content_id | policy_hash. */
struct label label_make(struct hash32 root_key_id, struct dt app_id, struct compose_hash compose,
                        struct node_id owner, struct content_id content, struct hash32 policy);

/* The same of what follows the root key id, as keyed work gives it. */
struct label label_of_ids(struct hash32 root_key_id, const uint8_t ids[LABEL_IDS_BYTES]);

MUST_USE enum err envelope_seal(struct envelope *out, const struct point *y, const struct label *label,
                                const uint8_t data_key[32]);
/* The same from 64 uniform secret bytes of the caller's, used for nothing else: vectors and simulation. */
MUST_USE enum err envelope_seal_from(struct envelope *out, const struct point *y, const struct label *label,
                                     const uint8_t data_key[32], const uint8_t entropy64[64]);
MUST_USE enum err envelope_check(const struct envelope *e, const struct point *y,
                                 const struct label *label); /* ERR_PROOF */
/* Checks the envelope first: the secret never touches an unchecked one. */
MUST_USE enum err envelope_share(struct dec_share *out, const struct envelope *e, const struct point *y,
                                 const struct label *label, uint32_t index, const struct scalar_secret *x);
MUST_USE enum err envelope_share_check(const struct dec_share *s, const struct envelope *e,
                                       const struct group_key *key,
                                       const struct label *label); /* ERR_PROOF, ERR_RANGE */
/* Needs key->t distinct checked shares; ERR_NOT_READY with fewer, ERR_DUPLICATE, ERR_DECRYPT. */
MUST_USE enum err envelope_open(uint8_t data_key[32], const struct envelope *e, const struct group_key *key,
                                const struct label *label, const struct dec_share *shares, uint32_t count);

/* PRF input: the framed hash the protocol defines (noise: H("perigee/noise/v1", run id)). */
MUST_USE enum err prf_share(struct dec_share *out, const struct point *y, struct hash32 input, uint32_t index,
                            const struct scalar_secret *x);
MUST_USE enum err prf_share_check(const struct dec_share *s, const struct group_key *key,
                                  struct hash32 input);
MUST_USE enum err prf_combine(uint8_t out[32], const struct group_key *key, struct hash32 input,
                              const struct dec_share *shares, uint32_t count);

#endif
