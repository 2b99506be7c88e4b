#include "node/share_cache.h"

#include "crypto/secret.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Two keys an epoch, and the epoch before while a committee changes. */
enum { SHARE_CACHE_PLACES = 4 };

struct place {
    bool taken;
    uint32_t epoch, purpose;
    uint8_t share[SHARE_CACHE_BYTES];
};

struct share_cache {
    pthread_mutex_t mutex;
    struct place *place; /* secret memory */
    uint32_t next;       /* the place that is given away next */
};

struct share_cache *share_cache_new(void)
{
    struct share_cache *c = calloc(1, sizeof *c);
    if (c == NULL) return NULL;
    c->place = secret_alloc(SHARE_CACHE_PLACES * sizeof *c->place);
    if (c->place == NULL || pthread_mutex_init(&c->mutex, NULL) != 0) {
        secret_free(c->place);
        free(c);
        return NULL;
    }
    memset(c->place, 0, SHARE_CACHE_PLACES * sizeof *c->place);
    return c;
}

static struct place *find(struct share_cache *c, uint32_t epoch, uint32_t purpose)
{
    for (uint32_t i = 0; i < SHARE_CACHE_PLACES; i++) {
        struct place *p = &c->place[i];
        if (p->taken && p->epoch == epoch && p->purpose == purpose) return p;
    }
    return NULL;
}

bool share_cache_get(struct share_cache *c, uint32_t epoch, uint32_t purpose, uint8_t out[SHARE_CACHE_BYTES])
{
    (void)pthread_mutex_lock(&c->mutex);
    const struct place *p = find(c, epoch, purpose);
    if (p != NULL) memcpy(out, p->share, SHARE_CACHE_BYTES);
    (void)pthread_mutex_unlock(&c->mutex);
    return p != NULL;
}

void share_cache_put(struct share_cache *c, uint32_t epoch, uint32_t purpose,
                     const uint8_t share[SHARE_CACHE_BYTES])
{
    (void)pthread_mutex_lock(&c->mutex);
    struct place *p = find(c, epoch, purpose);
    if (p == NULL) p = &c->place[c->next++ % SHARE_CACHE_PLACES];
    p->taken = true;
    p->epoch = epoch;
    p->purpose = purpose;
    memcpy(p->share, share, SHARE_CACHE_BYTES);
    (void)pthread_mutex_unlock(&c->mutex);
}

void share_cache_free(struct share_cache *c)
{
    if (c == NULL) return;
    secret_free(c->place);
    (void)pthread_mutex_destroy(&c->mutex);
    free(c);
}
