/* types: keys, signatures, sizes and keyed work that cross folder borders as plain values. No functions.
 * `*_secret` must live in memory from secret.h and be wiped; everything else is public.
 * proto/ asks for keyed work by its words here (event.h), crypto/work.h does it. */
#ifndef PERIGEE_CRYPTO_TYPES_H
#define PERIGEE_CRYPTO_TYPES_H

#include "proto/base/caps.h"
#include "proto/base/ids.h"

struct signature {
    uint8_t bytes[64];
}; /* BIP-340, zero auxiliary randomness */
struct kem_public {
    uint8_t bytes[32];
}; /* X25519 */
struct kem_secret {
    uint8_t bytes[32];
};
struct link_public {
    uint8_t bytes[32];
}; /* X25519, Noise static */
struct point {
    uint8_t bytes[32];
}; /* ristretto255 element, canonical encoding */
struct scalar {
    uint8_t bytes[32];
}; /* ristretto255 scalar, little-endian, canonical; public use */
struct scalar_secret {
    uint8_t bytes[32];
};
struct identity_secret {
    uint8_t bytes[32];
}; /* secp256k1 */

enum {
    COMMITTEE_MAX = 32, /* custodians of one consortium */
    THRESHOLD_MAX = 32,
    KEM_OVERHEAD_BYTES = 48, /* ephemeral key 32 + tag 16: see "Sealed messages" in PROTOCOL.md */
    ENVELOPE_BYTES =
        32 * 4 + 48, /* TDH2 R, R', e, f, then the AEAD-wrapped data key (32 + 16), which is TDH2's c */
    VETO_BOX_BYTES = KEM_OVERHEAD_BYTES + 32, /* half a data key, for its owner's node */
    LABEL_BYTES = 2 + 6 * 32,
    LABEL_IDS_BYTES = 5 * 32, /* app 32 | compose 32 | owner 32 | content 32 | policy 32 */
};

/* One of the consortium's two keys, as the committee record states it. */
struct group_key {
    struct point y;                    /* public key */
    uint32_t n, t;                     /* n <= COMMITTEE_MAX, 1 <= t <= n */
    struct point share[COMMITTEE_MAX]; /* Y_i = x_i B, i = index + 1 */
};

/* --- Keyed work -------------------------------------------------------------------------------------------------------- */
enum crypto_op {
    CRYPTO_SIGN,   /* hash -> 64-byte BIP-340 signature by this node's identity */
    CRYPTO_VERIFY, /* parts of VERIFY_PART_BYTES -> ok, or ERR_SIGNATURE or ERR_KEY if any fails: for good */
    CRYPTO_OPEN,   /* box, context -> plaintext, with this node's X25519 key */
    CRYPTO_SEAL,   /* kem, plaintext (box), context -> box */
    CRYPTO_EVIDENCE, /* evidence (box), binding (hash), policy below -> evidence_out, or an error and detail */
    CRYPTO_KEYGEN_BEGIN, /* session -> round-1 message: ephemeral 32 | t x 32 | pop 64 | n x 48; the secret state is durable before this completes */
    CRYPTO_KEYGEN_FINISH, /* session, all round-1 messages (parts) -> keygen_out; the share is durable first */
    CRYPTO_KEYGEN_CHECK, /* session, box = n public round-1 messages, n signatures (parts), context = group key | n
                          * verification shares -> ok; or an error, with the byte 1..n of whose signature does not hold */
    CRYPTO_HALF, /* box, parts = LABEL_IDS_BYTES, hash = id of key A -> the half sealed to this node under that label */
    CRYPTO_SHARES, /* parts of SHARE_PART_BYTES, hash = PRF input, epoch -> SHARE_BYTES per part, then the
                                    * PRF's; ERR_PROOF when an envelope is not under its label */
};

/* One signature to verify: author 32 | hash 32 | signature 64. */
enum { VERIFY_PART_BYTES = 128 };
/* One input for CRYPTO_SHARES: what follows the root key id in its label, then its envelope. A share: d | e | f. */
enum { SHARE_PART_BYTES = LABEL_IDS_BYTES + ENVELOPE_BYTES, SHARE_BYTES = 3 * 32 };

/* Key A, and key B. */
enum { KEYGEN_PURPOSE_ENVELOPES = 1, KEYGEN_PURPOSE_PRF = 2, KEYGEN_PURPOSES = 2 };

struct keygen_session {
    uint32_t epoch, purpose;
    uint32_t n, t, own; /* own: 1..n */
    struct point party[COMMITTEE_MAX];
    struct hash32 tag, extension[2]; /* tag; charter hash | H(purpose) */
};

struct crypto_job {
    enum crypto_op op;
    struct hash32 hash; /* signed message; evidence binding; PRF input */
    struct kem_public kem;
    struct span box, context;
    struct span parts; /* concatenated fixed-size items, see the op */
    uint32_t part_count;
    uint32_t epoch, index; /* CRYPTO_SHARES: epoch of the share, its index 1..n */
    const struct keygen_session *session;
    bool accept_simulated, need_gpu;
    struct span measurements;                  /* CRYPTO_EVIDENCE: accepted, 32 bytes each */
    uint64_t age_max_ms, ahead_max_ms, now_ms; /* CRYPTO_EVIDENCE */
};
/* Output of CRYPTO_EVIDENCE. */
struct evidence_out {
    struct hash32 measurement, platform;
    uint64_t time_ms;
    bool simulated, gpu_confidential; /* a GPU is shown, in confidential mode */
};
/* Output of CRYPTO_KEYGEN_FINISH: cocktail_result_write (crypto/cocktail.h). */

/* --- What opens the data of a run (unlock.h) --------------------------------------------------------------------------- */
/* A party to the keys: a custodian, by its index in the charter; or, from here on, the owner of the input of that number, who
 * keeps a veto. */
enum { VETO_PARTY = 128 };

struct unlock_terms {
    struct group_key key[KEYGEN_PURPOSES];
    uint32_t input_count;
    uint8_t part[CAP_INPUTS][SHARE_PART_BYTES]; /* as CRYPTO_SHARES has them */
    bool veto[CAP_INPUTS];                      /* its envelope holds one half of the data key */
    struct hash32 prf_input;
    struct run_id run;
};

#endif
