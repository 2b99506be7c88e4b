#include "crypto/identity.h"

#include "crypto/secret.h"
#include "proto/base/panic.h"

#include <secp256k1.h>
#include <secp256k1_extrakeys.h>
#include <secp256k1_schnorrsig.h>

#include <pthread.h>
#include <string.h>

static pthread_once_t identity_once = PTHREAD_ONCE_INIT;
static secp256k1_context *identity_shared;

static void identity_start(void)
{
    uint8_t seed[32];
    identity_shared = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
    ASSERT(identity_shared != NULL);
    /* Blinds the secret-dependent point multiplication; the signatures stay the same. */
    random_fill(seed, sizeof seed);
    ASSERT(secp256k1_context_randomize(identity_shared, seed) == 1);
    secret_wipe(seed, sizeof seed);
}

/* One context for the process: after its start it is only read, which the library allows from any thread. */
static const secp256k1_context *identity_context(void)
{
    ASSERT(pthread_once(&identity_once, identity_start) == 0);
    return identity_shared;
}

static enum err identity_keypair(secp256k1_keypair *out, const struct identity_secret *secret)
{
    return secp256k1_keypair_create(identity_context(), out, secret->bytes) == 1 ? OK : ERR_KEY;
}

static void identity_of(struct node_id *out, const secp256k1_keypair *pair)
{
    const secp256k1_context *context = identity_context();
    secp256k1_xonly_pubkey key;
    ASSERT(secp256k1_keypair_xonly_pub(context, &key, NULL, pair) == 1);
    ASSERT(secp256k1_xonly_pubkey_serialize(context, out->bytes, &key) == 1);
}

void identity_generate(struct identity_secret *out, struct node_id *id)
{
    do random_fill(out->bytes, sizeof out->bytes);
    while (identity_public(id, out) != OK); /* zero or at least the order: once in 2^127 */
}

enum err identity_public(struct node_id *out, const struct identity_secret *secret)
{
    secp256k1_keypair pair;
    enum err err = identity_keypair(&pair, secret);
    if (err == OK) identity_of(out, &pair);
    secret_wipe(&pair, sizeof pair);
    return err;
}

/* Verified before it is returned, as BIP-340 advises: with a deterministic nonce, one faulty computation
 * beside a correct one would give the key away. */
static enum err identity_sign_checked(struct signature *out, const secp256k1_keypair *pair,
                                      struct hash32 message)
{
    static const uint8_t aux[32];
    struct node_id own;
    enum err err;
    ASSERT(secp256k1_schnorrsig_sign32(identity_context(), out->bytes, message.bytes, pair, aux) == 1);
    identity_of(&own, pair);
    err = identity_verify(own, message, out);
    if (err != OK) secret_wipe(out, sizeof *out);
    return err;
}

enum err identity_sign(struct signature *out, const struct identity_secret *secret, struct hash32 message)
{
    secp256k1_keypair pair;
    enum err err = identity_keypair(&pair, secret);
    if (err == OK) err = identity_sign_checked(out, &pair, message);
    secret_wipe(&pair, sizeof pair);
    return err;
}

static enum err verify_under(const secp256k1_xonly_pubkey *key, struct span message,
                             const struct signature *sig)
{
    bool holds =
        secp256k1_schnorrsig_verify(identity_context(), sig->bytes, message.data, message.len, key) == 1;
    return holds ? OK : ERR_SIGNATURE;
}

enum err identity_verify_bytes(struct node_id author, struct span message, const struct signature *sig)
{
    secp256k1_xonly_pubkey key;
    if (secp256k1_xonly_pubkey_parse(identity_context(), &key, author.bytes) != 1) return ERR_KEY;
    return verify_under(&key, message, sig);
}

bool identity_is_key(struct node_id id)
{
    secp256k1_xonly_pubkey key;
    return secp256k1_xonly_pubkey_parse(identity_context(), &key, id.bytes) == 1;
}

enum err identity_verify(struct node_id author, struct hash32 message, const struct signature *sig)
{
    return identity_verify_bytes(author, ID_SPAN(message), sig);
}

enum err identity_keys_verify(struct identity_keys *keys, struct node_id author, struct hash32 message,
                              const struct signature *sig)
{
    secp256k1_xonly_pubkey key;
    const size_t at = author.bytes[0] % IDENTITY_KEYS_PLACES;
    _Static_assert(sizeof key == sizeof keys->place[0].point, "a place holds the library's parsed key");
    if (keys->place[at].known && ID_EQUAL(keys->place[at].id, author)) {
        memcpy(&key, keys->place[at].point, sizeof key);
        return verify_under(&key, ID_SPAN(message), sig);
    }
    if (secp256k1_xonly_pubkey_parse(identity_context(), &key, author.bytes) != 1) return ERR_KEY;
    keys->place[at].id = author;
    memcpy(keys->place[at].point, &key, sizeof key);
    keys->place[at].known = true;
    return verify_under(&key, ID_SPAN(message), sig);
}
