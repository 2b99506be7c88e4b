#include "sim/disk.h"

#include "proto/base/panic.h"
#include "storage/store.h"

#include <stdlib.h>
#include <string.h>

/* The first byte of a row's key. */
enum row_kind { ROW_LOCAL = 'l', ROW_PROMISE = 'p', ROW_RECORD = 'r' };
enum { ROW_KEY_MAX = STORE_KEY_MAX, RECORD_BYTES_MAX = CAP_HEADER_BYTES + CAP_BODY_BYTES + 256 };

struct batch {
    struct batch *next;
    struct disk *disk;
    uint64_t token;
};
struct disk {
    struct store *store;
    struct shelf *shelf;
    disk_told told;
    void *context;
    struct batch *first, **last; /* not on the disk yet, in order */
    uint32_t waiting;
    bool full;
};
/* The value of a record that lies on the shelf: none is so short itself. */
struct shelved {
    const uint8_t *bytes;
    size_t len;
};
struct row {
    uint8_t key[ROW_KEY_MAX];
    struct shelved shelved;
};

enum err disk_new(struct disk **out, struct shelf *shelf, uint64_t bytes_max, disk_told told, void *context)
{
    struct disk *d = calloc(1, sizeof *d);
    if (d == NULL) return ERR_NO_MEMORY;
    *d = (struct disk){.shelf = shelf, .told = told, .context = context, .last = &d->first};
    enum err err = memory_store_open(&d->store, bytes_max);
    if (err == OK)
        *out = d;
    else
        free(d);
    return err;
}

void disk_free(struct disk *d)
{
    if (d == NULL) return;
    disk_crash(d, 0);
    store_close(d->store);
    free(d);
}

/* --- Writing ------------------------------------------------------------------------------------------------------------ */

static struct span row_key(struct row *row, enum row_kind kind, struct span a, struct span b, struct span c)
{
    struct buffer key = BUFFER_OF(row->key);
    buffer_put_u8(&key, (uint8_t)kind);
    buffer_put(&key, a);
    buffer_put(&key, b);
    buffer_put(&key, c);
    ASSERT(!key.overflow);
    return buffer_span(&key);
}

/* In the order of author and seq. */
static struct span place_key(struct row *row, struct node_id author, uint64_t seq, struct record_id id)
{
    uint8_t number[8];
    store_u64(number, seq);
    return row_key(row, ROW_RECORD, ID_SPAN(author), SPAN_OF(number), ID_SPAN(id));
}

static struct span record_key(struct row *row, const struct record *r)
{
    return place_key(row, r->header.author, r->header.seq, r->id);
}

static struct span shelve(struct shelf *shelf, struct row *row, struct record_id id, struct span value)
{
    const uint8_t *bytes = shelf_put(shelf, id.bytes, value, SPAN_NONE);
    ASSERT(value.len > sizeof row->shelved);
    if (bytes == NULL) return value;
    row->shelved = (struct shelved){bytes, value.len};
    return span_make((const uint8_t *)&row->shelved, sizeof row->shelved);
}

static struct span unshelve(struct span value)
{
    struct shelved s;
    if (value.len != sizeof s) return value;
    memcpy(&s, value.data, sizeof s);
    return span_make(s.bytes, s.len);
}

/* A promise is never written over by another one. */
static struct store_write write_of(struct shelf *shelf, struct row *row, const struct keep *k)
{
    struct record r;
    switch (k->space) {
    case KEEP_RECORD: {
        enum err err = record_unpack(&r, k->value);
        ASSERT(err == OK);
        return (struct store_write){STORE_PUT, STORE_LOCAL, record_key(row, &r),
                                    shelve(shelf, row, r.id, k->value)};
    }
    case KEEP_PROMISE:
        return (struct store_write){STORE_PUT_NEW, STORE_LOCAL,
                                    row_key(row, ROW_PROMISE, k->key, SPAN_NONE, SPAN_NONE), k->value};
    case KEEP_LOCAL:
        return (struct store_write){k->value.len > 0 ? STORE_PUT : STORE_DELETE, STORE_LOCAL,
                                    row_key(row, ROW_LOCAL, k->key, SPAN_NONE, SPAN_NONE), k->value};
    }
    UNREACHABLE();
}

/* Batches are done in their order. */
static uint64_t forget_first(struct disk *d)
{
    struct batch *b = d->first;
    const uint64_t token = b->token;
    d->first = b->next;
    if (d->first == NULL) d->last = &d->first;
    d->waiting--;
    free(b);
    return token;
}

static void on_done(void *context, enum err err)
{
    struct batch *b = context;
    struct disk *d = b->disk;
    ASSERT(d->first == b);
    const uint64_t token = forget_first(d);
    if (token != 0) d->told(d->context, token, err);
}

bool disk_keep(struct disk *d, uint64_t token, const struct keep *items, uint32_t count)
{
    struct store_write write[KEEP_MAX];
    struct row row[KEEP_MAX];
    struct batch *b = malloc(sizeof *b);
    enum err err = b == NULL ? ERR_NO_MEMORY : d->full ? ERR_FULL : OK;
    ASSERT(count <= KEEP_MAX);
    if (err == OK) {
        *b = (struct batch){NULL, d, token};
        for (uint32_t i = 0; i < count; i++) write[i] = write_of(d->shelf, &row[i], &items[i]);
        err = store_submit(d->store, write, count, on_done, b);
    }
    if (err == OK) {
        *d->last = b;
        d->last = &b->next;
        d->waiting++;
        return true;
    }
    free(b);
    if (token != 0) d->told(d->context, token, err);
    return false;
}

void disk_fill(struct disk *d, bool full)
{
    d->full = full;
}

void disk_put_blob(struct disk *d, const uint8_t cid[36], struct span bytes)
{
    const struct store_write write = {STORE_PUT, STORE_BLOB, span_make(cid, 36), bytes};
    enum err err = store_write_now(d->store, &write, 1);
    ASSERT(err == OK || err == ERR_FULL);
}

void disk_sync(struct disk *d)
{
    memory_store_sync(d->store);
}

uint32_t disk_waiting(const struct disk *d)
{
    return d->waiting;
}

void disk_crash(struct disk *d, uint32_t landed)
{
    memory_store_crash_torn(d->store, landed);
    while (d->first != NULL) (void)forget_first(d);
}

/* --- Reading ------------------------------------------------------------------------------------------------------------ */

struct visitor {
    void (*visit)(void *context, const struct event *event);
    void *context;
};

static enum err visit_row(void *context, struct span key, struct span value)
{
    const struct visitor *v = context;
    struct event event = {.key = span_make(key.data + 1, key.len - 1), .bytes = value};
    if (key.data[0] == ROW_LOCAL) event.type = EVENT_RESTORE_LOCAL;
    if (key.data[0] == ROW_PROMISE) event.type = EVENT_RESTORE_PROMISE;
    if (key.data[0] == ROW_RECORD) event.type = EVENT_RESTORE_RECORD;
    if (key.data[0] == ROW_RECORD) event.bytes = unshelve(value);
    v->visit(v->context, &event);
    return OK;
}

enum err disk_restore(struct disk *d, void (*visit)(void *context, const struct event *event), void *context)
{
    struct visitor v = {visit, context};
    return store_scan(d->store, STORE_LOCAL, SPAN_NONE, visit_row, &v); /* l, p, r: in this order */
}

enum err disk_blob(struct disk *d, struct span cid, struct buffer *out)
{
    return store_read(d->store, STORE_BLOB, cid, out);
}

bool disk_promised(struct disk *d, struct span key, struct span value)
{
    uint8_t bytes[256];
    struct row row;
    struct buffer out = BUFFER_OF(bytes);
    const struct span name = row_key(&row, ROW_PROMISE, key, SPAN_NONE, SPAN_NONE);
    return store_read(d->store, STORE_LOCAL, name, &out) == OK && span_equal(buffer_span(&out), value);
}

bool disk_has_place(struct disk *d, struct node_id author, uint64_t seq, struct record_id id)
{
    struct row row;
    return store_has(d->store, STORE_LOCAL, place_key(&row, author, seq, id)) == OK;
}

bool disk_has_record(struct disk *d, const struct record *r)
{
    return disk_has_place(d, r->header.author, r->header.seq, r->id);
}
