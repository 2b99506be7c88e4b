#include "node/store_check.h"

#include "crypto/identity.h"
#include "node/kept.h"
#include "proto/base/panic.h"
#include "proto/promise.h"

#include <stdlib.h>
#include <string.h>

enum { CHAIN_KEY_BYTES = 32 + 8 + 32, BLOB_KEY_BYTES = 36, RIVALS_MAX = 8 };

#define DEFECT_NAME(symbol, name, text) name,
#define DEFECT_TEXT(symbol, name, text) text,
static const char *const defect_names[STORE_DEFECT_COUNT] = {STORE_DEFECT_TABLE(DEFECT_NAME)};
static const char *const defect_texts[STORE_DEFECT_COUNT] = {STORE_DEFECT_TABLE(DEFECT_TEXT)};

const char *store_defect_name(enum store_defect d)
{
    return defect_names[d];
}

const char *store_defect_text(enum store_defect d)
{
    return defect_texts[d];
}

uint64_t store_health_defects(const struct store_health *h)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < STORE_DEFECT_COUNT; i++) sum += h->defects[i];
    return sum;
}

struct check {
    struct store_health *health;
    struct store *store;
    store_found found;
    void *context;
    struct identity_keys keys;
    /* Of the chain being read: whose it is, and the records of its last place. */
    struct node_id author;
    uint64_t seq;
    uint32_t last_count, before_count;
    struct record_id last[RIVALS_MAX], before[RIVALS_MAX];
    struct hash32 *slot_run; /* the runs of all slot promises, sorted */
    uint64_t slot_count, slot_cap;
};

static void say(struct check *c, enum store_defect defect, struct span key)
{
    c->health->defects[defect]++;
    if (c->found != NULL) c->found(c->context, defect, key);
}

/* --- Records and chains --------------------------------------------------------------------------------------------- */

static bool names(const struct record_id *ids, uint32_t count, struct record_id id)
{
    for (uint32_t i = 0; i < count; i++)
        if (ID_EQUAL(ids[i], id)) return true;
    return false;
}

/* The store gives a chain in the order of its places. */
static void next_place(struct check *c, struct node_id author, uint64_t seq)
{
    if (!ID_EQUAL(author, c->author)) {
        c->author = author;
        c->seq = c->last_count = c->before_count = 0;
        c->health->authors++;
    }
    if (seq == c->seq) {
        c->health->rivals++;
        return;
    }
    const bool follows = seq == c->seq + 1;
    c->health->holes += !follows;
    memcpy(c->before, c->last, sizeof c->before);
    c->before_count = follows ? c->last_count : 0;
    c->last_count = 0;
    c->seq = seq;
}

/* Half of an equivocation's pair has no body. */
static void check_contents(struct check *c, const struct record *r, struct span key)
{
    static union body body;
    const struct hash32 message = record_sign_hash(r->header.kind, r->header_bytes);
    if (identity_keys_verify(&c->keys, r->header.author, message, &r->signature) != OK)
        say(c, STORE_DEFECT_SIGNATURE, key);
    if (r->body_known && body_decode(&body, r->header.kind, r->body) != OK) say(c, STORE_DEFECT_BODY, key);
}

static void check_link(struct check *c, const struct record *r, struct span key)
{
    const bool first = c->seq == 1;
    if (first ? !ID_IS_ZERO(r->header.prev)
              : c->before_count > 0 && !names(c->before, c->before_count, r->header.prev))
        say(c, STORE_DEFECT_LINK, key);
}

static enum err check_chain_row(void *context, struct span key, struct span value)
{
    struct check *c = context;
    static uint8_t bytes[CAP_BODY_BYTES + 1024];
    struct buffer packed = BUFFER_OF(bytes);
    struct record r;
    struct node_id author;
    (void)value;
    if (key.len != CHAIN_KEY_BYTES) {
        say(c, STORE_DEFECT_PLACE, key);
        return OK;
    }
    memcpy(author.bytes, key.data, 32);
    next_place(c, author, load_u64(key.data + 32));
    c->health->records++;
    enum err err = kept_record(c->store, &packed, key);
    if (err == OK) err = record_unpack(&r, buffer_span(&packed));
    if (err == ERR_IO || err == ERR_NO_MEMORY) return err;
    if (err != OK) {
        say(c, STORE_DEFECT_RECORD, key);
        c->before_count = 0;
        return OK;
    }
    if (!ID_EQUAL(r.header.author, author) || r.header.seq != c->seq) say(c, STORE_DEFECT_PLACE, key);
    check_contents(c, &r, key);
    check_link(c, &r, key);
    if (c->last_count < RIVALS_MAX) c->last[c->last_count++] = r.id;
    return OK;
}

/* A header that reads leads to its place; its place leads back. One that does not read was told of by its place. */
static enum err check_record_row(void *context, struct span key, struct span value)
{
    struct check *c = context;
    uint8_t bytes[2 + CAP_HEADER_BYTES + 64], place[CHAIN_KEY_BYTES];
    struct buffer row = BUFFER_OF(bytes), at = BUFFER_OF(place);
    struct header h;
    (void)value;
    enum err err = store_read(c->store, STORE_RECORD, key, &row);
    if (err == ERR_CORRUPT || err == ERR_TOO_LARGE) {
        say(c, STORE_DEFECT_RECORD, key);
        return OK;
    }
    TRY(err);
    if (header_decode(&h, span_make(bytes + 2, load_u16(bytes))) != OK) {
        say(c, STORE_DEFECT_RECORD, key);
        return OK;
    }
    buffer_put(&at, ID_SPAN(h.author));
    buffer_put_u64(&at, h.seq);
    buffer_put(&at, key);
    if (store_has(c->store, STORE_CHAIN, buffer_span(&at)) != OK) say(c, STORE_DEFECT_ORPHAN, key);
    return OK;
}

static enum err check_body_row(void *context, struct span key, struct span value)
{
    struct check *c = context;
    (void)value;
    c->health->bodies++;
    if (store_has(c->store, STORE_RECORD, key) != OK) say(c, STORE_DEFECT_ORPHAN, key);
    return OK;
}

/* --- Blobs ---------------------------------------------------------------------------------------------------------- */

static enum err check_blob_row(void *context, struct span key, struct span value)
{
    struct check *c = context;
    static uint8_t bytes[BLOB_BYTES_MAX];
    struct buffer blob = BUFFER_OF(bytes);
    (void)value;
    c->health->blobs++;
    enum err err = store_read(c->store, STORE_BLOB, key, &blob);
    if (err == ERR_IO || err == ERR_NO_MEMORY) return err;
    if (err != OK) say(c, STORE_DEFECT_BLOB, key);
    return OK;
}

static enum err check_pin_row(void *context, struct span key, struct span value)
{
    struct check *c = context;
    (void)value;
    c->health->pins++;
    const bool sound = key.len > BLOB_KEY_BYTES &&
                       store_has(c->store, STORE_BLOB, span_make(key.data, BLOB_KEY_BYTES)) == OK;
    if (!sound) say(c, STORE_DEFECT_PIN, key);
    return OK;
}

/* --- Promises ------------------------------------------------------------------------------------------------------- */

static int compare_runs(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct hash32));
}

static enum err keep_slot_run(struct check *c, struct span run)
{
    if (c->slot_count == c->slot_cap) {
        const uint64_t cap = c->slot_cap > 0 ? 2 * c->slot_cap : 1024;
        struct hash32 *more = realloc(c->slot_run, cap * sizeof *more);
        if (more == NULL) return ERR_NO_MEMORY;
        c->slot_run = more;
        c->slot_cap = cap;
    }
    memcpy(c->slot_run[c->slot_count++].bytes, run.data, sizeof(struct hash32));
    return OK;
}

/* Those of kind 1 come first, and all that others go with is there by then. */
static enum err check_promise_row(void *context, struct span key, struct span value)
{
    struct check *c = context;
    struct span sound;
    const bool kind_known =
        key.len == PROMISE_KEY_BYTES && key.data[0] >= PROMISE_SLOT && key.data[0] <= PROMISE_WORKER;
    c->health->promises++;
    if (!kind_known || kept_promise(&sound, key, value) != OK || sound.len != PROMISE_VALUE_BYTES) {
        say(c, STORE_DEFECT_PROMISE, key);
        return OK;
    }
    return key.data[0] == PROMISE_SLOT ? keep_slot_run(c, sound) : OK;
}

static bool has_kind(const struct check *c, struct span key, enum promise_kind kind)
{
    uint8_t other[PROMISE_KEY_BYTES];
    memcpy(other, key.data, sizeof other);
    other[0] = (uint8_t)kind;
    return store_has(c->store, STORE_PROMISE, SPAN_OF(other)) == OK;
}

static bool has_slot(const struct check *c, struct span key)
{
    return c->slot_count > 0 &&
           bsearch(key.data + 1, c->slot_run, c->slot_count, sizeof *c->slot_run, compare_runs) != NULL;
}

static enum err stop_at_first(void *context, struct span key, struct span value)
{
    (void)context, (void)key, (void)value;
    return ERR_CONFLICT;
}

static bool has_release(const struct check *c, struct span key)
{
    uint8_t prefix[33];
    memcpy(prefix, key.data, sizeof prefix);
    prefix[0] = PROMISE_RELEASE;
    return store_scan_keys(c->store, STORE_PROMISE, SPAN_OF(prefix), stop_at_first, NULL) == ERR_CONFLICT;
}

/* A vote is made with its slot, a release with slot, host and worker, and nobody commits without having released. */
static enum err check_promise_company(void *context, struct span key, struct span value)
{
    struct check *c = context;
    (void)value;
    if (key.len != PROMISE_KEY_BYTES) return OK; /* told already */
    bool whole = true;
    if (key.data[0] == PROMISE_VOTE) whole = has_slot(c, key);
    if (key.data[0] == PROMISE_RELEASE || key.data[0] == PROMISE_HOST || key.data[0] == PROMISE_WORKER)
        whole = has_slot(c, key) && has_kind(c, key, PROMISE_RELEASE) && has_kind(c, key, PROMISE_HOST) &&
                has_kind(c, key, PROMISE_WORKER);
    if (key.data[0] == PROMISE_COMMIT) whole = has_release(c, key);
    if (!whole) say(c, STORE_DEFECT_CONTRADICTION, key);
    return OK;
}

static enum err check_promises(struct check *c)
{
    TRY(store_scan(c->store, STORE_PROMISE, SPAN_NONE, check_promise_row, c));
    if (c->slot_count > 0) qsort(c->slot_run, c->slot_count, sizeof *c->slot_run, compare_runs);
    return store_scan_keys(c->store, STORE_PROMISE, SPAN_NONE, check_promise_company, c);
}

/* --- All of it ------------------------------------------------------------------------------------------------------ */

static enum err count_row(void *context, struct span key, struct span value)
{
    struct check *c = context;
    (void)key, (void)value;
    c->health->locals++;
    return OK;
}

static enum err check_all(struct check *c)
{
    TRY(store_scan_keys(c->store, STORE_CHAIN, SPAN_NONE, check_chain_row, c));
    TRY(store_scan_keys(c->store, STORE_RECORD, SPAN_NONE, check_record_row, c));
    TRY(store_scan_keys(c->store, STORE_BODY, SPAN_NONE, check_body_row, c));
    TRY(store_scan_keys(c->store, STORE_BLOB, SPAN_NONE, check_blob_row, c));
    TRY(store_scan_keys(c->store, STORE_PIN, SPAN_NONE, check_pin_row, c));
    TRY(check_promises(c));
    return store_scan_keys(c->store, STORE_LOCAL, SPAN_NONE, count_row, c);
}

enum err store_check(struct store_health *out, struct store *store, store_found found, void *context)
{
    struct check *c = calloc(1, sizeof *c);
    if (c == NULL) return ERR_NO_MEMORY;
    *out = (struct store_health){0};
    c->health = out;
    c->store = store;
    c->found = found;
    c->context = context;
    enum err err = check_all(c);
    free(c->slot_run);
    free(c);
    return err;
}
