#include "crypto/work_memory.h"

#include "proto/base/panic.h"

#include <string.h>

static struct work_memory_item *item_of(struct work_memory *m, struct work_place place)
{
    ASSERT(place.purpose - 1 < KEYGEN_PURPOSES);
    return place.item == WORK_STATE ? &m->state[place.purpose - 1] : &m->share[place.purpose - 1];
}

static enum err load(void *context, struct work_place place, void *out, size_t len)
{
    const struct work_memory_item *item = item_of(context, place);
    if (item->len == 0 || item->epoch != place.epoch) return ERR_NOT_FOUND;
    if (item->len != len) return ERR_CORRUPT;
    memcpy(out, item->bytes, len);
    return OK;
}

static enum err save(void *context, struct work_place place, struct span secret)
{
    struct work_memory_item *item = item_of(context, place);
    if (item->len != 0) return ERR_CONFLICT;
    ASSERT(secret.len > 0 && secret.len <= sizeof item->bytes);
    memcpy(item->bytes, secret.data, secret.len);
    item->epoch = place.epoch;
    item->len = secret.len;
    return OK;
}

struct work_keep work_memory_keep(struct work_memory *m)
{
    return (struct work_keep){m, load, save};
}
