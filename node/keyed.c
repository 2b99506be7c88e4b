#include "node/keyed.h"

#include "crypto/secret.h"
#include "node/key_shares.h"
#include "node/share_cache.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static struct span move_span(uint8_t **at, struct span bytes)
{
    struct span copy = {*at, bytes.len};
    if (bytes.len > 0) memcpy(*at, bytes.data, bytes.len);
    *at += bytes.len;
    return copy;
}

/* Signatures are by far the most frequent work and put out little or nothing. */
static size_t output_bytes(enum crypto_op op)
{
    if (op == CRYPTO_VERIFY) return 0;
    return op == CRYPTO_SIGN ? sizeof(struct signature) : (size_t)WORK_OUTPUT_MAX;
}

struct keyed *keyed_copy(const struct crypto_job *job, const struct home *home)
{
    const size_t session = job->session != NULL ? sizeof *job->session : 0;
    const size_t asked = job->box.len + job->context.len + job->parts.len + job->measurements.len;
    const size_t memory = session + asked + output_bytes(job->op);
    struct keyed *k = malloc(sizeof *k + memory);
    if (k == NULL) return NULL;
    *k = (struct keyed){.job = *job, .home = home, .memory_len = memory};
    uint8_t *at = k->memory;
    if (session > 0) { /* first: it is the only one that needs its alignment */
        memcpy(at, job->session, session);
        k->job.session = (const struct keygen_session *)(const void *)at;
        at += session;
    }
    k->job.box = move_span(&at, job->box);
    k->job.context = move_span(&at, job->context);
    k->job.parts = move_span(&at, job->parts);
    k->job.measurements = move_span(&at, job->measurements);
    k->output = buffer_make(at, output_bytes(job->op));
    return k;
}

void keyed_free(struct keyed *k)
{
    if (k == NULL) return;
    secret_wipe(k->memory, k->memory_len);
    free(k);
}

/* --- Running --------------------------------------------------------------------------------------------------------- */

static_assert(sizeof(struct key_share) == SHARE_CACHE_BYTES, "what is remembered is a share");

/* Only for a release: key generation has to see the file itself, which must be there in the end. */
static struct share_cache *cache_for(const struct keyed *k)
{
    return k->job.op == CRYPTO_SHARES ? k->home->shares : NULL;
}

static enum err load(void *context, struct work_place place, void *out, size_t len)
{
    const struct keyed *k = context;
    struct share_cache *cache = cache_for(k);
    if (cache != NULL && share_cache_get(cache, place.epoch, place.purpose, out)) return OK;
    TRY(key_shares_load(k->home, place, out, len));
    if (cache != NULL) share_cache_put(cache, place.epoch, place.purpose, out);
    return OK;
}

static enum err save(void *context, struct work_place place, struct span secret)
{
    const struct keyed *k = context;
    return key_shares_save(k->home, place, secret);
}

void keyed_run(struct keyed *k, struct identity_keys *authors)
{
    static const struct home none;
    const struct home *h = k->home != NULL ? k->home : &none;
    const struct work_keys keys = {
        .identity = h->identity, .kem = h->kem, .dkg = h->dkg, .authors = authors, .keep = {k, load, save}};
    k->err = work_do(&keys, &k->output, &k->job);
}
