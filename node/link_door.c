#include "node/link_door.h"

uint32_t link_bucket_draw(struct link_bucket *b, struct link_rate rate, uint64_t now_ms, uint32_t wanted)
{
    const uint64_t most = (uint64_t)rate.most * 1000;
    if (b->filled_ms == 0) *b = (struct link_bucket){most, now_ms};
    b->milli += (now_ms - b->filled_ms) * rate.a_second;
    if (b->milli > most) b->milli = most;
    b->filled_ms = now_ms;
    const uint32_t drawn = b->milli / 1000 < wanted ? (uint32_t)(b->milli / 1000) : wanted;
    b->milli -= (uint64_t)drawn * 1000;
    return drawn;
}

bool link_bucket_take(struct link_bucket *b, struct link_rate rate, uint64_t now_ms)
{
    return link_bucket_draw(b, rate, now_ms, 1) == 1;
}

bool link_door_opens(struct link_door *d, const struct link_rate *rate, struct hash32 who, uint64_t now_ms)
{
    const struct link_rate half = {(rate->a_second + 1) / 2, (rate->most + 1) / 2};
    uint32_t at = 0;
    for (uint32_t i = 0; i < LINK_DOOR_ROWS; i++) {
        if (d->row[i].bucket.filled_ms != 0 && ID_EQUAL(d->row[i].who, who)) {
            at = i;
            break;
        }
        if (d->row[i].bucket.filled_ms < d->row[at].bucket.filled_ms) at = i;
    }
    if (!ID_EQUAL(d->row[at].who, who)) {
        d->row[at].who = who;
        d->row[at].bucket = (struct link_bucket){0};
    }
    return link_bucket_take(&d->row[at].bucket, half, now_ms) && link_bucket_take(&d->all, *rate, now_ms);
}
