#include "crypto/body.h"

#include "crypto/hash.h"
#include "crypto/kdf.h"
#include "crypto/secret.h"
#include "proto/base/panic.h"

#include <openssl/evp.h>
#include <sodium.h>

#include <pthread.h>
#include <string.h>
#ifdef __aarch64__
#include <sys/auxv.h>
#endif

enum { BODY_NONCE_BYTES = 12, BODY_LEVELS_MAX = 32 };

struct body_key {
    uint8_t aead[32];
    uint8_t nonce[BODY_NONCE_BYTES];
    struct hash32 commitment;
    uint16_t suite;
};

struct body_meta_key {
    uint8_t aead[crypto_aead_xchacha20poly1305_ietf_KEYBYTES];
};
_Static_assert((int)BODY_META_NONCE_BYTES == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "of libsodium");

/* Looked up once: a fetch costs more than sealing a kilobyte. Read-only afterwards, so any thread may use
 * them. */
static pthread_once_t body_once = PTHREAD_ONCE_INIT;
static EVP_CIPHER *body_aes, *body_chacha;

static void body_fetch(void)
{
    body_aes = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    body_chacha = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
}

static const EVP_CIPHER *body_cipher(uint16_t suite)
{
    ASSERT(pthread_once(&body_once, body_fetch) == 0);
    return suite == BODY_SUITE_AES256GCM ? body_aes : body_chacha;
}

static bool body_suite_known(uint16_t suite)
{
    return suite == BODY_SUITE_AES256GCM || suite == BODY_SUITE_CHACHA20POLY1305;
}

uint16_t body_suite_best(void)
{
#ifdef __aarch64__
    bool aes = (getauxval(AT_HWCAP) & (1UL << 3)) != 0; /* HWCAP_AES; the kernel header is not everywhere */
#else
    bool aes = crypto_aead_aes256gcm_is_available() != 0;
#endif
    return aes ? BODY_SUITE_AES256GCM : BODY_SUITE_CHACHA20POLY1305;
}

/* PROTOCOL.md "Sealed body": key | base nonce | commitment. */
static enum err body_expand(struct body_key *key, const uint8_t data_key[32], struct hash32 salt)
{
    uint8_t info_bytes[15 + 2 + 32], expanded[32 + BODY_NONCE_BYTES + 32];
    struct buffer info = BUFFER_OF(info_bytes);
    struct cursor c = cursor_make(SPAN_OF(expanded));
    enum err err;
    buffer_put_text(&info, "perigee/body/v1");
    buffer_put_u16(&info, key->suite);
    buffer_put(&info, ID_SPAN(salt));
    TRY(buffer_done(&info));
    hkdf_expand_sha512(expanded, sizeof expanded, span_make(data_key, 32), buffer_span(&info));
    err = cursor_copy(&c, key->aead, sizeof key->aead);
    if (err == OK) err = cursor_copy(&c, key->nonce, sizeof key->nonce);
    if (err == OK) err = cursor_copy(&c, key->commitment.bytes, sizeof key->commitment.bytes);
    secret_wipe(expanded, sizeof expanded);
    return err;
}

enum err body_key_derive(struct body_key **out, const uint8_t data_key[32], uint16_t suite,
                         struct hash32 salt)
{
    struct body_key *key;
    enum err err;
    *out = NULL;
    if (!body_suite_known(suite)) return ERR_VERSION;
    if (body_cipher(suite) == NULL) return ERR_UNAVAILABLE; /* e.g. a FIPS-only OpenSSL */
    key = secret_alloc(sizeof *key);
    if (key == NULL) return ERR_NO_MEMORY;
    key->suite = suite;
    err = body_expand(key, data_key, salt);
    if (err != OK) {
        secret_free(key);
        return err;
    }
    *out = key;
    return OK;
}

struct hash32 body_key_commitment(const struct body_key *key)
{
    return key->commitment;
}

void body_key_free(struct body_key *key)
{
    secret_free(key);
}

static void body_nonce(uint8_t nonce[BODY_NONCE_BYTES], const struct body_key *key, uint32_t index)
{
    memcpy(nonce, key->nonce, BODY_NONCE_BYTES);
    store_u32(nonce + 8, load_u32(nonce + 8) ^ index);
}

/* A context per chunk: its making is lost in the megabyte that follows, and sharing one would need a lock.
 * EVP_CIPHER_CTX_free wipes the key schedule. */
static EVP_CIPHER_CTX *body_context(const struct body_key *key, uint32_t index, int encrypt)
{
    uint8_t nonce[BODY_NONCE_BYTES];
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    if (context == NULL) return NULL;
    body_nonce(nonce, key, index);
    if (EVP_CipherInit_ex2(context, body_cipher(key->suite), key->aead, nonce, encrypt, NULL) != 1) {
        EVP_CIPHER_CTX_free(context);
        return NULL;
    }
    return context;
}

static bool body_update(EVP_CIPHER_CTX *context, uint8_t *out, struct span in)
{
    int written = 0;
    if (in.len == 0) return true; /* a NULL input would mean something else to EVP */
    return EVP_CipherUpdate(context, out, &written, in.data, (int)in.len) == 1 && (size_t)written == in.len;
}

enum err body_seal_chunk(uint8_t *sealed, const struct body_key *key, uint32_t index, struct span plain)
{
    EVP_CIPHER_CTX *context;
    uint8_t tail[BODY_TAG_BYTES];
    int tail_len = 0;
    bool ok;
    if (plain.len > BODY_CHUNK_BYTES) return ERR_TOO_LARGE;
    context = body_context(key, index, 1);
    if (context == NULL) return ERR_NO_MEMORY;
    ok = body_update(context, sealed, plain) && EVP_EncryptFinal_ex(context, tail, &tail_len) == 1 &&
         EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, BODY_TAG_BYTES, sealed + plain.len) == 1;
    EVP_CIPHER_CTX_free(context);
    ASSERT(ok && tail_len == 0); /* sealing well-formed input cannot fail */
    return OK;
}

enum err body_open_chunk(uint8_t *plain, const struct body_key *key, uint32_t index, struct span sealed)
{
    EVP_CIPHER_CTX *context;
    uint8_t tag[BODY_TAG_BYTES], tail[BODY_TAG_BYTES];
    struct span cipher;
    int tail_len = 0;
    bool ok;
    if (sealed.len < BODY_TAG_BYTES) return ERR_TRUNCATED;
    if (sealed.len > BODY_SEALED_MAX) return ERR_TOO_LARGE;
    cipher = (struct span){sealed.data, sealed.len - BODY_TAG_BYTES};
    memcpy(tag, sealed.data + cipher.len, BODY_TAG_BYTES); /* the library wants it writable */
    context = body_context(key, index, 0);
    if (context == NULL) return ERR_NO_MEMORY;
    ok = EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, BODY_TAG_BYTES, tag) == 1 &&
         body_update(context, plain, cipher) && EVP_DecryptFinal_ex(context, tail, &tail_len) == 1;
    EVP_CIPHER_CTX_free(context);
    if (ok) return OK;
    secret_wipe(plain, cipher.len);
    return ERR_DECRYPT;
}

static struct hash32 body_node(struct hash32 left, struct hash32 right)
{
    uint8_t pair[64];
    memcpy(pair, left.bytes, 32);
    memcpy(pair + 32, right.bytes, 32);
    return blake3_derive("perigee 2026 body node v1", SPAN_OF(pair));
}

/* RFC 6962 §2.1: the left subtree is the largest full one. Full subtrees pair up as a binary counter carries;
 * what is left at the end is folded from the right. */
struct hash32 body_root(const struct hash32 *leaves, uint32_t count)
{
    struct hash32 stack[BODY_LEVELS_MAX], root;
    uint32_t depth = 0;
    ASSERT(count > 0);
    for (uint32_t i = 0; i < count; i++) {
        struct hash32 node = leaves[i];
        for (uint32_t carry = i; (carry & 1) != 0; carry >>= 1) node = body_node(stack[--depth], node);
        ASSERT(depth < BODY_LEVELS_MAX);
        stack[depth++] = node;
    }
    root = stack[--depth];
    while (depth > 0) root = body_node(stack[--depth], root);
    return root;
}

enum err body_summary_check(const struct body_summary *summary)
{
    if (!body_suite_known(summary->suite)) return ERR_VERSION;
    if (summary->plain_len >= BODY_PLAIN_MAX) return ERR_TOO_LARGE;
    if (summary->chunk_count != summary->plain_len / BODY_CHUNK_BYTES + 1) return ERR_RANGE;
    return OK;
}

uint32_t body_plain_bytes(const struct body_summary *summary, uint32_t index)
{
    ASSERT(index < summary->chunk_count);
    return index + 1 < summary->chunk_count ? BODY_CHUNK_BYTES
                                            : (uint32_t)(summary->plain_len % BODY_CHUNK_BYTES);
}

struct content_id body_content_id(const struct body_summary *summary)
{
    uint8_t suite[2], chunk[4], len[8];
    struct content_id id;
    struct hash32 hash;
    store_u16(suite, summary->suite);
    store_u32(chunk, BODY_CHUNK_BYTES);
    store_u64(len, summary->plain_len);
    hash = HASH_FRAMED("perigee/content/v1", SPAN_OF(suite), SPAN_OF(chunk), SPAN_OF(len),
                       ID_SPAN(summary->salt), ID_SPAN(summary->commitment), ID_SPAN(summary->root));
    memcpy(id.bytes, hash.bytes, 32);
    return id;
}

static enum err body_meta_key(struct body_meta_key *out, const uint8_t data_key[32], struct hash32 salt)
{
    uint8_t info_bytes[15 + 32];
    struct buffer info = BUFFER_OF(info_bytes);
    buffer_put_text(&info, "perigee/meta/v1");
    buffer_put(&info, ID_SPAN(salt));
    TRY(buffer_done(&info));
    hkdf_expand_sha512(out->aead, sizeof out->aead, span_make(data_key, 32), buffer_span(&info));
    return OK;
}

/* The manifest may be written again for the same body, so the nonce cannot come from the key: it is random.
 */
enum err body_seal_meta(uint8_t *sealed, const uint8_t data_key[32], struct hash32 salt, struct span plain)
{
    uint8_t nonce[BODY_META_NONCE_BYTES];
    random_fill(nonce, sizeof nonce);
    return body_seal_meta_from(sealed, data_key, salt, plain, nonce);
}

enum err body_seal_meta_from(uint8_t *sealed, const uint8_t data_key[32], struct hash32 salt,
                             struct span plain, const uint8_t *nonce)
{
    struct body_meta_key key;
    TRY(body_meta_key(&key, data_key, salt));
    memcpy(sealed, nonce, BODY_META_NONCE_BYTES);
    (void)crypto_aead_xchacha20poly1305_ietf_encrypt(sealed + BODY_META_NONCE_BYTES, NULL, plain.data,
                                                     plain.len, NULL, 0, NULL, sealed, key.aead);
    secret_wipe(&key, sizeof key);
    return OK;
}

enum err body_open_meta(uint8_t *plain, const uint8_t data_key[32], struct hash32 salt, struct span sealed)
{
    struct body_meta_key key;
    int failed;
    if (sealed.len < BODY_META_OVERHEAD_BYTES) return ERR_TRUNCATED;
    TRY(body_meta_key(&key, data_key, salt));
    failed = crypto_aead_xchacha20poly1305_ietf_decrypt(
        plain, NULL, NULL, sealed.data + BODY_META_NONCE_BYTES, sealed.len - BODY_META_NONCE_BYTES, NULL, 0,
        sealed.data, key.aead);
    secret_wipe(&key, sizeof key);
    if (failed == 0) return OK;
    secret_wipe(plain, sealed.len - BODY_META_OVERHEAD_BYTES);
    return ERR_DECRYPT;
}
