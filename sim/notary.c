#include "sim/notary.h"

#include "crypto/hash.h"
#include "crypto/identity.h"

#include <string.h>

/* Remembered; each has one place, where the next one takes it. Checks: of each who signs. */
enum { SIGNERS_LEAST = 1 << 6, SIGNERS_MOST = 1 << 12, CHECKS = 1 << 6, CHECKS_MOST = 1 << 15 };

struct signer {
    struct identity_secret secret;
    struct node_id id;
    bool known;
};
struct check {
    struct node_id author;
    struct hash32 message;
    struct signature signature;
    enum err found;
    bool known;
};
struct notary {
    enum scenario_crypto level;
    struct hash32 key;
    struct signer *signer;
    struct check *check;
    uint32_t signers, checks;
};

/* Places for so many, with enough between them. */
static uint32_t places(uint32_t count)
{
    uint32_t places = SIGNERS_LEAST;
    while (places < 4 * count && places < SIGNERS_MOST) places *= 2;
    return places;
}

enum err notary_new(struct notary **out, struct arena *arena, enum scenario_crypto level, uint64_t seed,
                    uint32_t signers)
{
    uint8_t number[8];
    const uint32_t seats = places(signers),
                   checks = seats * CHECKS < CHECKS_MOST ? seats * CHECKS : CHECKS_MOST;
    struct notary *n = ARENA_NEW(arena, struct notary);
    if (n == NULL) return ERR_NO_MEMORY;
    store_u64(number, seed);
    *n = (struct notary){.level = level,
                         .key = HASH_FRAMED("perigee/simulation-notary/v1", SPAN_OF(number)),
                         .signer = ARENA_ARRAY(arena, struct signer, seats),
                         .signers = seats,
                         .checks = checks};
    if (level == SCENARIO_CRYPTO_REAL) n->check = ARENA_ARRAY(arena, struct check, checks);
    *out = n;
    return n->signer != NULL && (n->check != NULL || level != SCENARIO_CRYPTO_REAL) ? OK : ERR_NO_MEMORY;
}

/* --- Modelled ------------------------------------------------------------------------------------------------------------- */

static void model(struct signature *out, const struct notary *n, struct node_id author, struct hash32 message)
{
    const struct hash32 low =
        HASH_FRAMED("perigee/simulation-signature/v1", ID_SPAN(n->key), ID_SPAN(author), ID_SPAN(message));
    const struct hash32 high = sha256(ID_SPAN(low));
    memcpy(out->bytes, low.bytes, 32);
    memcpy(out->bytes + 32, high.bytes, 32);
}

/* Whose secret it is: a point of a curve, which is found once. */
static enum err signer_of(struct notary *n, struct node_id *out, const struct identity_secret *secret)
{
    struct signer *s = &n->signer[load_u64(secret->bytes) % n->signers];
    if (!s->known || memcmp(s->secret.bytes, secret->bytes, sizeof s->secret.bytes) != 0) {
        s->known = false;
        TRY(identity_public(&s->id, secret));
        s->secret = *secret;
        s->known = true;
    }
    *out = s->id;
    return OK;
}

static enum err model_verify(const struct notary *n, struct node_id author, struct hash32 message,
                             const struct signature *signature)
{
    struct signature expected;
    model(&expected, n, author, message);
    return memcmp(expected.bytes, signature->bytes, sizeof expected.bytes) == 0 ? OK : ERR_SIGNATURE;
}

/* --- Both ------------------------------------------------------------------------------------------------------------------ */

enum err notary_sign(struct notary *n, struct signature *out, const struct identity_secret *secret,
                     struct hash32 message)
{
    struct node_id author;
    if (n->level == SCENARIO_CRYPTO_REAL) return identity_sign(out, secret, message);
    TRY(signer_of(n, &author, secret));
    model(out, n, author, message);
    return OK;
}

static bool is_that(const struct check *c, struct node_id author, struct hash32 message,
                    const struct signature *signature)
{
    return c->known && ID_EQUAL(c->author, author) && ID_EQUAL(c->message, message) &&
           memcmp(c->signature.bytes, signature->bytes, sizeof signature->bytes) == 0;
}

enum err notary_verify(struct notary *n, struct node_id author, struct hash32 message,
                       const struct signature *signature)
{
    if (n->level == SCENARIO_CRYPTO_MODELLED) return model_verify(n, author, message, signature);
    struct check *c = &n->check[load_u64(signature->bytes) % n->checks];
    if (!is_that(c, author, message, signature))
        *c = (struct check){author, message, *signature, identity_verify(author, message, signature), true};
    return c->found;
}
