/* types: keys, signatures and sizes that cross folder borders as plain bytes. No functions.
 * `*_secret` must live in memory from secret.h and be wiped; everything else is public. */
#ifndef PERIGEE_CRYPTO_TYPES_H
#define PERIGEE_CRYPTO_TYPES_H

#include <stdint.h>

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
};

#endif
