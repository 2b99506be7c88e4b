#include "node/domain.h"

#include "proto/base/panic.h"

#include <string.h>

_Static_assert(CAP_DOMAIN < DOMAIN_SLOTS / 2, "an index has free slots");
_Static_assert(CAP_DOMAIN <= INT8_MAX, "a place is eight bits");
_Static_assert(sizeof(struct domain_key) == sizeof(union duckdb_string), "a key is a cell's bytes");
_Static_assert(sizeof((union duckdb_string *)0)->inside.inlined == DOMAIN_INLINED,
               "as long as its texts are");

static void masks_init(struct domain *d)
{
    for (uint32_t len = 0; len < DOMAIN_INLINED + 2; len++) {
        union duckdb_string ones;
        memset(&ones, 0, sizeof ones);
        ones.inside.length = UINT32_MAX;
        memset(ones.inside.inlined, 255, len <= DOMAIN_INLINED ? len : sizeof ones.outside.prefix);
        memcpy(&d->mask[len], &ones, sizeof ones);
    }
}

static inline struct domain_key key_of(const struct domain *d, const union duckdb_string *text)
{
    struct domain_key key;
    const uint32_t len = text->inside.length;
    const struct domain_key *mask = &d->mask[len <= DOMAIN_INLINED ? len : DOMAIN_INLINED + 1];
    memcpy(&key, text, sizeof key);
    return (struct domain_key){key.head & mask->head, key.rest & mask->rest};
}

static uint32_t slot_of(struct domain_key key)
{
    const uint64_t mixed = key.head * UINT64_C(0x9e3779b97f4a7c15) ^ key.rest * UINT64_C(0xc2b2ae3d27d4eb4f);
    return (uint32_t)(mixed >> 56);
}

_Static_assert(DOMAIN_SLOTS == 1 << 8, "a slot is eight bits");

static union duckdb_string cell_of(struct span text)
{
    union duckdb_string cell;
    memset(&cell, 0, sizeof cell);
    if (text.len <= DOMAIN_INLINED) {
        cell.inside.length = (uint32_t)text.len;
        if (text.len > 0) memcpy(cell.inside.inlined, text.data, text.len);
    } else {
        cell.outside.length = (uint32_t)text.len;
        memcpy(cell.outside.prefix, text.data, sizeof cell.outside.prefix);
        cell.outside.data = (const char *)text.data;
    }
    return cell;
}

void domain_init(struct domain *d, const struct group_column *group)
{
    ASSERT(group->domain_count <= CAP_DOMAIN);
    *d = (struct domain){.group = group};
    masks_init(d);
    for (uint32_t i = 0; i < group->domain_count; i++) {
        const union duckdb_string cell = cell_of(group->domain[i]);
        d->key[i] = key_of(d, &cell);
        uint32_t at = slot_of(d->key[i]);
        while (d->slot[at] != 0) at = (at + 1) % DOMAIN_SLOTS;
        d->slot[at] = (uint8_t)(i + 1);
    }
}

static inline int8_t find(const struct domain *d, const union duckdb_string *text)
{
    const struct domain_key key = key_of(d, text);
    for (uint32_t at = slot_of(key); d->slot[at] != 0; at = (at + 1) % DOMAIN_SLOTS) {
        const uint32_t i = d->slot[at] - 1u;
        if (d->key[i].head != key.head || d->key[i].rest != key.rest) continue;
        if (text->inside.length <= DOMAIN_INLINED ||
            span_equal(d->group->domain[i], duckdb_string_span(text)))
            return (int8_t)i;
    }
    return DOMAIN_NONE;
}

void domain_places(const struct domain *d, int8_t *place, const union duckdb_string *text,
                   const uint64_t *validity, uint32_t count)
{
    for (uint32_t row = 0; row < count; row++)
        place[row] = duckdb_valid(validity, row) ? find(d, &text[row]) : DOMAIN_NONE;
}
