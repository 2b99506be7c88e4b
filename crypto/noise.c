#include "crypto/noise.h"

#include "crypto/secret.h"
#include "proto/base/panic.h"

#include <sodium.h>

#include <string.h>

/* Sections in comments are those of the Noise Protocol Framework, revision 34. */
enum { NOISE_HASH_BYTES = 64, NOISE_BLOCK_BYTES = 128, NOISE_DH_BYTES = 32, NOISE_KEY_BYTES = 32 };

enum noise_token { NOISE_NONE, NOISE_E, NOISE_S, NOISE_EE, NOISE_ES, NOISE_SE };

/* XX (§7.5). What a message adds to its payload: keys, and a tag for each thing sent under a key. */
static const struct noise_message {
    enum noise_token token[4];
    size_t overhead;
} noise_pattern[NOISE_HANDSHAKE_MESSAGES] = {
    {{NOISE_E}, NOISE_DH_BYTES},
    {{NOISE_E, NOISE_EE, NOISE_S, NOISE_ES}, 2 * NOISE_DH_BYTES + 2 * NOISE_TAG_BYTES},
    {{NOISE_S, NOISE_SE}, NOISE_DH_BYTES + 2 * NOISE_TAG_BYTES},
};

struct noise_cipher {
    uint64_t counter;
    bool keyed;
    uint8_t key[NOISE_KEY_BYTES];
};

struct noise {
    bool initiator;
    bool ephemeral_fixed;
    bool dead;     /* a handshake message failed: the transcript is spoilt, nothing works any more */
    uint32_t step; /* handshake messages done */
    uint8_t chain[NOISE_HASH_BYTES], hash[NOISE_HASH_BYTES];
    struct noise_cipher handshake, sending, receiving;
    struct kem_secret own_static, own_ephemeral;
    struct kem_public own_static_public, own_ephemeral_public;
    struct kem_public remote_static, remote_ephemeral;
};

static void noise_hmac(uint8_t out[NOISE_HASH_BYTES], const uint8_t key[NOISE_HASH_BYTES], struct span a,
                       struct span b)
{
    crypto_generichash_state state;
    uint8_t pad[NOISE_BLOCK_BYTES], inner[NOISE_HASH_BYTES];
    memset(pad, 0x36, sizeof pad);
    for (size_t i = 0; i < NOISE_HASH_BYTES; i++) pad[i] ^= key[i];
    (void)crypto_generichash_init(&state, NULL, 0, NOISE_HASH_BYTES);
    (void)crypto_generichash_update(&state, pad, sizeof pad);
    (void)crypto_generichash_update(&state, a.data, a.len);
    (void)crypto_generichash_update(&state, b.data, b.len);
    (void)crypto_generichash_final(&state, inner, sizeof inner);
    for (size_t i = 0; i < sizeof pad; i++) pad[i] ^= 0x36 ^ 0x5c;
    (void)crypto_generichash_init(&state, NULL, 0, NOISE_HASH_BYTES);
    (void)crypto_generichash_update(&state, pad, sizeof pad);
    (void)crypto_generichash_update(&state, inner, sizeof inner);
    (void)crypto_generichash_final(&state, out, NOISE_HASH_BYTES);
    secret_wipe(&state, sizeof state);
    secret_wipe(pad, sizeof pad);
    secret_wipe(inner, sizeof inner);
}

/* HKDF with two outputs (§4.3). `first` may be `chain`. */
static void noise_hkdf(uint8_t first[NOISE_HASH_BYTES], uint8_t second[NOISE_HASH_BYTES],
                       const uint8_t chain[NOISE_HASH_BYTES], struct span material)
{
    static const uint8_t one = 1, two = 2;
    uint8_t key[NOISE_HASH_BYTES];
    noise_hmac(key, chain, material, SPAN_NONE);
    noise_hmac(first, key, (struct span){&one, 1}, SPAN_NONE);
    noise_hmac(second, key, span_make(first, NOISE_HASH_BYTES), (struct span){&two, 1});
    secret_wipe(key, sizeof key);
}

static void noise_cipher_set(struct noise_cipher *c, const uint8_t key[NOISE_HASH_BYTES])
{
    memcpy(c->key, key, NOISE_KEY_BYTES); /* §4.3: a longer output is cut to the key's length */
    c->counter = 0;
    c->keyed = true;
}

/* §12.3: 32 zero bits, then the counter little-endian. */
static void noise_nonce(uint8_t nonce[12], uint64_t counter)
{
    memset(nonce, 0, 4);
    store_u64_le(nonce + 4, counter);
}

static enum err noise_seal(struct noise_cipher *c, uint8_t *out, struct span ad, struct span plain)
{
    uint8_t nonce[12];
    if (c->counter == UINT64_MAX) return ERR_FULL; /* reserved (§5.1) */
    noise_nonce(nonce, c->counter++);
    (void)crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, plain.data, plain.len, ad.data, ad.len, NULL,
                                                    nonce, c->key);
    return OK;
}

static enum err noise_unseal(struct noise_cipher *c, uint8_t *out, struct span ad, struct span sealed)
{
    uint8_t nonce[12];
    if (c->counter == UINT64_MAX) return ERR_FULL;
    noise_nonce(nonce, c->counter);
    if (crypto_aead_chacha20poly1305_ietf_decrypt(out, NULL, NULL, sealed.data, sealed.len, ad.data, ad.len,
                                                  nonce, c->key) != 0)
        return ERR_DECRYPT;
    c->counter++;
    return OK;
}

static void noise_mix_hash(struct noise *n, struct span bytes)
{
    crypto_generichash_state state;
    (void)crypto_generichash_init(&state, NULL, 0, NOISE_HASH_BYTES);
    (void)crypto_generichash_update(&state, n->hash, sizeof n->hash);
    (void)crypto_generichash_update(&state, bytes.data, bytes.len);
    (void)crypto_generichash_final(&state, n->hash, sizeof n->hash);
}

/* A zero result is refused: it would let a peer force a key that everyone knows. */
static enum err noise_mix_dh(struct noise *n, const struct kem_secret *own, const struct kem_public *remote)
{
    uint8_t shared[NOISE_DH_BYTES], key[NOISE_HASH_BYTES];
    enum err err = crypto_scalarmult(shared, own->bytes, remote->bytes) == 0 ? OK : ERR_KEY;
    if (err == OK) {
        noise_hkdf(n->chain, key, n->chain, SPAN_OF(shared));
        noise_cipher_set(&n->handshake, key);
    }
    secret_wipe(shared, sizeof shared);
    secret_wipe(key, sizeof key);
    return err;
}

/* EncryptAndHash (§5.2). The caller has checked that `out` has room. */
static enum err noise_put(struct noise *n, struct buffer *out, struct span plain)
{
    uint8_t *at = out->data + out->len;
    size_t len = plain.len + (n->handshake.keyed ? NOISE_TAG_BYTES : 0);
    ASSERT(len <= out->cap - out->len);
    if (n->handshake.keyed)
        TRY(noise_seal(&n->handshake, at, SPAN_OF(n->hash), plain));
    else if (plain.len > 0)
        memcpy(at, plain.data, plain.len);
    out->len += len;
    noise_mix_hash(n, span_make(at, len));
    return OK;
}

/* DecryptAndHash. `out` holds sealed.len bytes less the tag, if there is one by now. */
static enum err noise_get(struct noise *n, uint8_t *out, struct span sealed)
{
    if (n->handshake.keyed)
        TRY(noise_unseal(&n->handshake, out, SPAN_OF(n->hash), sealed));
    else if (sealed.len > 0)
        memcpy(out, sealed.data, sealed.len);
    noise_mix_hash(n, sealed);
    return OK;
}

static enum err noise_mix_token(struct noise *n, enum noise_token token)
{
    bool own_static = n->initiator == (token == NOISE_SE); /* the first letter is the initiator's key */
    if (token == NOISE_EE) return noise_mix_dh(n, &n->own_ephemeral, &n->remote_ephemeral);
    if (own_static) return noise_mix_dh(n, &n->own_static, &n->remote_ephemeral);
    return noise_mix_dh(n, &n->own_ephemeral, &n->remote_static);
}

static enum err noise_write_token(struct noise *n, struct buffer *out, enum noise_token token)
{
    switch (token) {
    case NOISE_NONE: return OK;
    case NOISE_E:
        if (!n->ephemeral_fixed) random_fill(n->own_ephemeral.bytes, sizeof n->own_ephemeral.bytes);
        (void)crypto_scalarmult_base(n->own_ephemeral_public.bytes, n->own_ephemeral.bytes);
        buffer_put(out, SPAN_OF(n->own_ephemeral_public.bytes));
        noise_mix_hash(n, SPAN_OF(n->own_ephemeral_public.bytes));
        return OK;
    case NOISE_S: return noise_put(n, out, SPAN_OF(n->own_static_public.bytes));
    case NOISE_EE:
    case NOISE_ES:
    case NOISE_SE: return noise_mix_token(n, token);
    }
    UNREACHABLE();
}

static enum err noise_read_token(struct noise *n, struct cursor *c, enum noise_token token)
{
    struct span sealed;
    switch (token) {
    case NOISE_NONE: return OK;
    case NOISE_E:
        TRY(cursor_copy(c, n->remote_ephemeral.bytes, sizeof n->remote_ephemeral.bytes));
        noise_mix_hash(n, SPAN_OF(n->remote_ephemeral.bytes));
        return OK;
    case NOISE_S:
        TRY(cursor_take(c, &sealed, NOISE_DH_BYTES + NOISE_TAG_BYTES));
        return noise_get(n, n->remote_static.bytes, sealed);
    case NOISE_EE:
    case NOISE_ES:
    case NOISE_SE: return noise_mix_token(n, token);
    }
    UNREACHABLE();
}

/* Split (§5.2): the first key is the initiator's to send with. What the handshake needed is wiped. */
static void noise_split(struct noise *n)
{
    uint8_t first[NOISE_HASH_BYTES], second[NOISE_HASH_BYTES];
    noise_hkdf(first, second, n->chain, SPAN_NONE);
    noise_cipher_set(n->initiator ? &n->sending : &n->receiving, first);
    noise_cipher_set(n->initiator ? &n->receiving : &n->sending, second);
    secret_wipe(first, sizeof first);
    secret_wipe(second, sizeof second);
    secret_wipe(n->chain, sizeof n->chain);
    secret_wipe(&n->handshake, sizeof n->handshake);
    secret_wipe(&n->own_ephemeral, sizeof n->own_ephemeral);
    secret_wipe(&n->own_static, sizeof n->own_static);
}

enum err noise_new(struct noise **out, bool initiator, const struct kem_secret *own_static,
                   struct span prologue)
{
    static const char name[] = "Noise_XX_25519_ChaChaPoly_BLAKE2b";
    struct noise *n = secret_alloc(sizeof *n);
    *out = n;
    if (n == NULL) return ERR_NO_MEMORY;
    n->initiator = initiator;
    n->own_static = *own_static;
    (void)crypto_scalarmult_base(n->own_static_public.bytes, own_static->bytes);
    memcpy(n->hash, name, sizeof name - 1); /* shorter than the hash: padded with zeros, not hashed (§5.2) */
    memcpy(n->chain, n->hash, sizeof n->chain);
    noise_mix_hash(n, prologue);
    return OK;
}

void noise_free(struct noise *n)
{
    secret_free(n);
}

void noise_set_ephemeral(struct noise *n, const struct kem_secret *ephemeral)
{
    ASSERT(n->step <= (n->initiator ? 0U : 1U)); /* nothing written yet */
    n->own_ephemeral = *ephemeral;
    n->ephemeral_fixed = true;
}

bool noise_done(const struct noise *n)
{
    return !n->dead && n->step == NOISE_HANDSHAKE_MESSAGES;
}

bool noise_writes_next(const struct noise *n)
{
    return !n->dead && n->step < NOISE_HANDSHAKE_MESSAGES && n->initiator == (n->step % 2 == 0);
}

static bool noise_reads_next(const struct noise *n)
{
    return !n->dead && n->step < NOISE_HANDSHAKE_MESSAGES && n->initiator != (n->step % 2 == 0);
}

static enum err noise_finish(struct noise *n, enum err err)
{
    if (err != OK) {
        n->dead = true;
        return err;
    }
    n->step++;
    if (n->step == NOISE_HANDSHAKE_MESSAGES) noise_split(n);
    return OK;
}

enum err noise_write(struct noise *n, struct buffer *out, struct span payload)
{
    size_t before = out->len;
    const struct noise_message *message;
    enum err err = OK;
    if (n->dead) return ERR_REFUSED;
    ASSERT(noise_writes_next(n));
    message = &noise_pattern[n->step];
    if (payload.len > NOISE_MESSAGE_MAX - message->overhead) return ERR_TOO_LARGE;
    if (out->overflow || message->overhead + payload.len > out->cap - out->len) return ERR_TOO_LARGE;
    for (size_t i = 0; i < 4 && err == OK; i++) err = noise_write_token(n, out, message->token[i]);
    if (err == OK) err = noise_put(n, out, payload);
    if (err != OK) out->len = before;
    return noise_finish(n, err);
}

enum err noise_read(struct noise *n, struct buffer *payload, struct span message)
{
    struct cursor c = cursor_make(message);
    const struct noise_message *expected;
    enum err err = OK;
    size_t len;
    if (!noise_reads_next(n)) return ERR_REFUSED; /* a peer that speaks out of turn */
    expected = &noise_pattern[n->step];
    if (message.len > NOISE_MESSAGE_MAX) return ERR_TOO_LARGE;
    if (message.len < expected->overhead) return ERR_TRUNCATED;
    len = message.len - expected->overhead;
    if (payload->overflow || len > payload->cap - payload->len) return ERR_TOO_LARGE;
    for (size_t i = 0; i < 4 && err == OK; i++) err = noise_read_token(n, &c, expected->token[i]);
    if (err == OK) err = noise_get(n, payload->data + payload->len, (struct span){c.at, cursor_left(&c)});
    if (err == OK) payload->len += len;
    return noise_finish(n, err);
}

struct link_public noise_remote(const struct noise *n)
{
    struct link_public remote;
    /* The responder's key arrives in message 2, the initiator's in message 3. */
    ASSERT(!n->dead && n->step >= (n->initiator ? 2U : 3U));
    memcpy(remote.bytes, n->remote_static.bytes, sizeof remote.bytes);
    return remote;
}

void noise_hash(uint8_t out[64], const struct noise *n)
{
    ASSERT(noise_done(n));
    memcpy(out, n->hash, NOISE_HASH_BYTES);
}

enum err noise_encrypt(struct noise *n, uint8_t *out, struct span plain)
{
    ASSERT(noise_done(n));
    if (plain.len > NOISE_MESSAGE_MAX - NOISE_TAG_BYTES) return ERR_TOO_LARGE;
    return noise_seal(&n->sending, out, SPAN_NONE, plain);
}

enum err noise_decrypt(struct noise *n, uint8_t *out, struct span sealed)
{
    ASSERT(noise_done(n));
    if (sealed.len > NOISE_MESSAGE_MAX) return ERR_TOO_LARGE;
    if (sealed.len < NOISE_TAG_BYTES) return ERR_TRUNCATED;
    return noise_unseal(&n->receiving, out, SPAN_NONE, sealed);
}
