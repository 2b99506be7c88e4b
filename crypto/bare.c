#include "crypto/bare.h"

#include "crypto/body.h"
#include "proto/base/panic.h"

#include <openssl/evp.h>
#include <sodium.h>
#include <stdlib.h>

struct bare_cipher {
    EVP_CIPHER *cipher;
    EVP_CIPHER_CTX *context;
    int seals;
};

static const uint8_t bare_key[32], bare_nonce[12];

static enum err cipher_init(struct bare_cipher *c, uint16_t suite)
{
    const char *name = suite == BODY_SUITE_AES256GCM ? "AES-256-GCM" : "ChaCha20-Poly1305";
    c->cipher = EVP_CIPHER_fetch(NULL, name, NULL);
    if (c->cipher == NULL) return ERR_UNAVAILABLE;
    c->context = EVP_CIPHER_CTX_new();
    if (c->context == NULL) return ERR_NO_MEMORY;
    return EVP_CipherInit_ex2(c->context, c->cipher, bare_key, bare_nonce, c->seals, NULL) == 1
               ? OK
               : ERR_UNAVAILABLE;
}

enum err bare_cipher_new(struct bare_cipher **out, uint16_t suite, bool seals)
{
    *out = NULL;
    struct bare_cipher *c = calloc(1, sizeof *c);
    if (c == NULL) return ERR_NO_MEMORY;
    c->seals = seals;
    enum err err = cipher_init(c, suite);
    if (err == OK)
        *out = c;
    else
        bare_cipher_free(c);
    return err;
}

void bare_cipher_free(struct bare_cipher *c)
{
    if (c == NULL) return;
    EVP_CIPHER_CTX_free(c->context);
    EVP_CIPHER_free(c->cipher);
    free(c);
}

void bare_cipher_run(struct bare_cipher *c, uint8_t *out, struct span in)
{
    uint8_t tail[16];
    int written = 0, tail_len = 0;
    ASSERT(in.len <= INT32_MAX);
    ASSERT(EVP_CipherInit_ex2(c->context, NULL, NULL, bare_nonce, c->seals, NULL) == 1);
    ASSERT(EVP_CipherUpdate(c->context, out, &written, in.data, (int)in.len) == 1);
    /* Opening without a tag ends in an error after the whole work was done. */
    ASSERT(EVP_CipherFinal_ex(c->context, tail, &tail_len) == 1 || !c->seals);
}

void bare_link_seal(uint8_t *sealed, struct span plain)
{
    (void)crypto_aead_chacha20poly1305_ietf_encrypt(sealed, NULL, plain.data, plain.len, NULL, 0, NULL,
                                                    bare_nonce, bare_key);
}

void bare_link_open(uint8_t *plain, struct span sealed)
{
    ASSERT(crypto_aead_chacha20poly1305_ietf_decrypt(plain, NULL, NULL, sealed.data, sealed.len, NULL, 0,
                                                     bare_nonce, bare_key) == 0);
}
