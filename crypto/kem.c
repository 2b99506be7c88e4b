#include "crypto/kem.h"

#include "crypto/hash.h"
#include "crypto/kdf.h"
#include "crypto/secret.h"

#include <sodium.h>

#include <string.h>

enum { KEM_TAG_BYTES = crypto_aead_xchacha20poly1305_ietf_ABYTES };
_Static_assert(KEM_TAG_BYTES + 32 == KEM_OVERHEAD_BYTES, "ephemeral key and tag");

struct kem_keys {
    uint8_t key[crypto_aead_xchacha20poly1305_ietf_KEYBYTES];
    uint8_t nonce[crypto_aead_xchacha20poly1305_ietf_NPUBBYTES];
};

void kem_public_of(struct kem_public *out, const struct kem_secret *secret)
{
    (void)crypto_scalarmult_base(out->bytes, secret->bytes); /* clamps, so the result is never zero */
}

void kem_generate(struct kem_secret *secret, struct kem_public *out)
{
    random_fill(secret->bytes, sizeof secret->bytes);
    kem_public_of(out, secret);
}

/* PROTOCOL.md "Sealed messages": key | nonce = HKDF(shared, "perigee/kem/v1" | ephemeral | to |
 * SHA-256(context)). A fresh ephemeral key makes the pair fresh, so the nonce need not be sent. */
static enum err kem_derive(struct kem_keys *out, const struct kem_secret *secret,
                           const struct kem_public *peer, const struct kem_public *ephemeral,
                           const struct kem_public *to, struct span context)
{
    uint8_t shared[32], info_bytes[14 + 32 * 3];
    struct buffer info = BUFFER_OF(info_bytes);
    struct hash32 context_hash = sha256(context);
    enum err err = crypto_scalarmult(shared, secret->bytes, peer->bytes) == 0 ? OK : ERR_KEY;
    buffer_put_text(&info, "perigee/kem/v1");
    buffer_put(&info, SPAN_OF(ephemeral->bytes));
    buffer_put(&info, SPAN_OF(to->bytes));
    buffer_put(&info, ID_SPAN(context_hash));
    if (err == OK) err = buffer_done(&info);
    if (err == OK) hkdf_sha256(out, sizeof *out, SPAN_NONE, SPAN_OF(shared), buffer_span(&info));
    secret_wipe(shared, sizeof shared);
    return err;
}

static enum err seal_by(uint8_t *box, const struct kem_public *to, struct span plaintext, struct span context,
                        const struct kem_secret *secret, const struct kem_public *ephemeral)
{
    struct kem_keys keys;
    TRY(kem_derive(&keys, secret, to, ephemeral, to, context));
    memcpy(box, ephemeral->bytes, sizeof ephemeral->bytes);
    (void)crypto_aead_xchacha20poly1305_ietf_encrypt(box + 32, NULL, plaintext.data, plaintext.len,
                                                     context.data, context.len, NULL, keys.nonce, keys.key);
    secret_wipe(&keys, sizeof keys);
    return OK;
}

enum err kem_seal(uint8_t *box, const struct kem_public *to, struct span plaintext, struct span context)
{
    struct kem_secret secret;
    struct kem_public ephemeral;
    kem_generate(&secret, &ephemeral);
    enum err err = seal_by(box, to, plaintext, context, &secret, &ephemeral);
    secret_wipe(&secret, sizeof secret);
    return err;
}

enum err kem_seal_from(uint8_t *box, const struct kem_public *to, struct span plaintext, struct span context,
                       const struct kem_secret *secret)
{
    struct kem_public ephemeral;
    kem_public_of(&ephemeral, secret);
    return seal_by(box, to, plaintext, context, secret, &ephemeral);
}

enum err kem_open(uint8_t *plaintext, const struct kem_secret *own, struct span box, struct span context)
{
    struct kem_public ephemeral, own_public;
    struct kem_keys keys;
    enum err err;
    if (box.len < KEM_OVERHEAD_BYTES) return ERR_TRUNCATED;
    memcpy(ephemeral.bytes, box.data, sizeof ephemeral.bytes);
    kem_public_of(&own_public, own);
    err = kem_derive(&keys, own, &ephemeral, &ephemeral, &own_public, context);
    if (err == OK &&
        crypto_aead_xchacha20poly1305_ietf_decrypt(plaintext, NULL, NULL, box.data + 32, box.len - 32,
                                                   context.data, context.len, keys.nonce, keys.key) != 0)
        err = ERR_DECRYPT;
    secret_wipe(&keys, sizeof keys);
    if (err != OK) secret_wipe(plaintext, box.len - KEM_OVERHEAD_BYTES);
    return err;
}
