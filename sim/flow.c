#include "sim/flow.h"

#include "crypto/secret.h"
#include "proto/base/panic.h"
#include "proto/wire/body.h"

#include <string.h>

const char *flow_name(enum flow_held held)
{
    static const char *const names[FLOW_COUNT] = {
#define FLOW_NAME(symbol, name) [symbol] = name,
        FLOW_TABLE(FLOW_NAME)
#undef FLOW_NAME
    };
    ASSERT(held < FLOW_COUNT);
    return names[held];
}

static uint32_t *times_of(struct flow *f, uint32_t party, uint32_t dataset, enum flow_held held)
{
    ASSERT(party < f->papers->cast->count && dataset < f->papers->dataset_count);
    return &f->times[party][dataset][held];
}

enum err flow_begin(struct flow *f, struct arena *arena, const struct papers *papers)
{
    *f = (struct flow){.papers = papers, .times = arena_take(arena, papers->cast->count, sizeof *f->times)};
    return f->times != NULL ? OK : ERR_NO_MEMORY;
}

/* --- Being told ---------------------------------------------------------------------------------------------------------- */

/* All rows of a dataset, as its owner has them; no two owners have one row in common. */
static bool has_rows(const struct dataset *d, struct span bytes)
{
    return bytes.len >= d->plain.len && memmem(bytes.data, bytes.len, d->plain.data, d->plain.len) != NULL;
}

/* A chunk of it: those are named by another hash than the documents about it. */
static bool is_chunk(const struct dataset *d, const struct message_BLOB *m)
{
    enum { CODE_AT = 2, CODE_BLAKE3 = 0x1e };
    for (uint32_t i = 0; i < d->blob_count; i++)
        if (d->blob[i].cid[CODE_AT] == CODE_BLAKE3 && m->cid.len == sizeof d->blob[i].cid &&
            memcmp(m->cid.data, d->blob[i].cid, m->cid.len) == 0 && span_equal(m->bytes, d->blob[i].bytes))
            return true;
    return false;
}

static const struct message_BLOB *blob_of(struct span message)
{
    static union message_body m;
    enum message code;
    if (message.len == 0 || message.data[0] != MESSAGE_BLOB_CODE) return NULL;
    return message_decode(&code, &m, message) == OK ? &m.BLOB : NULL;
}

void flow_arrived(struct flow *f, uint32_t from, uint32_t to, struct span message, uint64_t bytes)
{
    const struct cast *c = f->papers->cast;
    const struct message_BLOB *blob = blob_of(message);
    const bool abroad = !span_equal(c->player[from].party->jurisdiction, c->player[to].party->jurisdiction);
    for (uint32_t i = 0; i < f->papers->dataset_count; i++) {
        const struct dataset *d = &f->papers->dataset[i];
        const bool plaintext = has_rows(d, message), sealed = blob != NULL && is_chunk(d, blob);
        if (plaintext) ++*times_of(f, to, i, FLOW_PLAINTEXT);
        if (sealed) ++*times_of(f, to, i, FLOW_SEALED);
        if (abroad && plaintext) f->plaintext_abroad += bytes;
        if (abroad && sealed) f->sealed_abroad += bytes;
    }
}

void flow_opened(struct flow *f, uint32_t host, uint32_t dataset)
{
    ++*times_of(f, host, dataset, FLOW_ENCLAVE);
}

void flow_result(struct flow *f, uint32_t reader, struct dt dataset)
{
    for (uint32_t i = 0; i < f->papers->dataset_count; i++)
        if (ID_EQUAL(f->papers->dataset[i].dt, dataset)) ++*times_of(f, reader, i, FLOW_RESULT);
}

/* --- What it comes to ------------------------------------------------------------------------------------------------------- */

uint32_t flow_opened_times(const struct flow *f, uint32_t dataset)
{
    uint32_t times = 0;
    for (uint32_t i = 0; i < f->papers->cast->count; i++) times += f->times[i][dataset][FLOW_ENCLAVE];
    return times;
}

uint32_t flow_readable(const struct flow *f, uint32_t party, uint32_t dataset)
{
    const struct player *owner = f->papers->dataset[dataset].owner;
    const bool reads = owner->number != party && f->times[party][dataset][FLOW_PLAINTEXT] > 0;
    return reads ? owner->party->rows : 0;
}

uint32_t flow_readers(const struct flow *f)
{
    uint32_t readers = 0;
    for (uint32_t party = 0; party < f->papers->cast->count; party++) {
        uint32_t i = 0;
        while (i < f->papers->dataset_count && flow_readable(f, party, i) == 0) i++;
        readers += i < f->papers->dataset_count;
    }
    return readers;
}

/* As if so many were enough: the right key comes out, or none. */
static bool opens(const struct dataset *d, const struct point *y, const struct dec_share *part,
                  uint32_t count)
{
    const struct group_key key = {.y = *y, .n = COMMITTEE_MAX, .t = count};
    uint8_t data_key[32];
    const bool open = envelope_open(data_key, &d->envelope, &key, &d->label, part, count) == OK &&
                      memcmp(data_key, d->data_key, sizeof data_key) == 0;
    secret_wipe(data_key, sizeof data_key);
    return open;
}

uint32_t flow_together(const struct dataset *d, const struct flow_share *share, uint32_t count)
{
    struct dec_share part[COMMITTEE_MAX];
    ASSERT(count <= COMMITTEE_MAX);
    for (uint32_t i = 0; d->blob_count > 0 && i < count; i++) {
        const struct key_share *k = &share[i].key;
        if (envelope_share(&part[i], &d->envelope, &k->y, &d->label, share[i].index, &k->x) != OK) return 0;
        if (opens(d, &k->y, part, i + 1)) return i + 1;
    }
    return 0;
}
