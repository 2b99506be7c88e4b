/* The in-memory twin: a sorted array per space, and a queue of batches that are not on its "disk" yet.
 * It shares no code with the LMDB maker, so that each can be the other's oracle. Values are not hashed again
 * on reading: they were checked when they came, and memory is not doubted as a disk is. */
#include "storage/store_maker.h"

#include "proto/base/panic.h"

#include <stdlib.h>
#include <string.h>

enum { MEMORY_QUEUE_MAX = 4096, MEMORY_SPACE_FIRST = 8 };

struct memory_entry {
    uint32_t key_len, value_len;
    uint8_t bytes[];
};

struct memory_space {
    struct memory_entry **entries; /* by key, span_compare order */
    uint32_t count, cap;
};

struct memory_write {
    enum store_op op;
    enum store_space space;
    struct memory_entry *entry; /* of a delete: the key alone */
};

struct memory_batch {
    struct memory_batch *next;
    store_done done;
    void *context;
    uint32_t count;
    struct memory_write writes[];
};

struct memory_store {
    struct store base;
    struct memory_space spaces[STORE_SPACE_COUNT];
    struct memory_batch *head, **tail;
    uint32_t queued, scans;
    bool closing;
    uint64_t bytes, bytes_max, batches, syncs;
    struct hash32 incarnation;
};

static struct memory_store *memory_of(struct store *s);

/* --- entries and spaces -------------------------------------------------------------------------------- */

static struct span entry_key(const struct memory_entry *e)
{
    return span_make(e->bytes, e->key_len);
}

static struct span entry_value(const struct memory_entry *e)
{
    return span_make(e->bytes + e->key_len, e->value_len);
}

static uint64_t entry_bytes(const struct memory_entry *e)
{
    return e ? sizeof *e + e->key_len + e->value_len : 0;
}

static struct memory_entry *entry_make(struct span key, struct span value)
{
    struct memory_entry *e = malloc(sizeof *e + key.len + value.len);
    if (!e) return NULL;
    e->key_len = (uint32_t)key.len;
    e->value_len = (uint32_t)value.len;
    memcpy(e->bytes, key.data, key.len);
    if (value.len > 0) memcpy(e->bytes + key.len, value.data, value.len);
    return e;
}

/* The first index whose key is not below `key`. */
static uint32_t space_seek(const struct memory_space *space, struct span key)
{
    uint32_t low = 0, high = space->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (span_compare(entry_key(space->entries[middle]), key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct memory_entry *space_find(const struct memory_space *space, struct span key)
{
    uint32_t at = space_seek(space, key);
    if (at == space->count || !span_equal(entry_key(space->entries[at]), key)) return NULL;
    return space->entries[at];
}

/* Room for one more, so that the swap that follows cannot fail. */
static enum err space_reserve(struct memory_space *space)
{
    if (space->count < space->cap) return OK;
    uint32_t cap = space->cap ? space->cap * 2 : MEMORY_SPACE_FIRST;
    struct memory_entry **grown = realloc(space->entries, cap * sizeof *grown);
    if (!grown) return ERR_NO_MEMORY;
    space->entries = grown;
    space->cap = cap;
    return OK;
}

/* What stands under `key` becomes `next` (NULL: nothing); returns what stood there before. */
static struct memory_entry *space_swap(struct memory_space *space, struct span key, struct memory_entry *next)
{
    uint32_t at = space_seek(space, key);
    struct memory_entry **slot = space->entries + at;
    bool found = at < space->count && span_equal(entry_key(*slot), key);
    struct memory_entry *before = found ? *slot : NULL;
    if (found && next) {
        *slot = next;
    } else if (found) {
        memmove(slot, slot + 1, (--space->count - at) * sizeof *slot);
    } else if (next) {
        ASSERT(space->count < space->cap);
        memmove(slot + 1, slot, (space->count++ - at) * sizeof *slot);
        *slot = next;
    }
    return before;
}

/* --- batches ------------------------------------------------------------------------------------------- */

static void batch_free(struct memory_batch *b, bool with_entries)
{
    for (uint32_t i = 0; with_entries && i < b->count; i++) free(b->writes[i].entry);
    free(b);
}

static struct memory_batch *batch_make(const struct store_write *writes, uint32_t count)
{
    struct memory_batch *b = calloc(1, sizeof *b + count * sizeof b->writes[0]);
    if (!b) return NULL;
    for (; b->count < count; b->count++) {
        const struct store_write *w = &writes[b->count];
        struct memory_entry *e = entry_make(w->key, w->op == STORE_DELETE ? SPAN_NONE : w->value);
        b->writes[b->count] = (struct memory_write){w->op, w->space, e};
        if (!e) {
            batch_free(b, true);
            return NULL;
        }
    }
    return b;
}

static enum err write_apply(struct memory_store *m, const struct memory_write *w,
                            struct memory_entry **before)
{
    struct memory_space *space = &m->spaces[w->space];
    struct span key = entry_key(w->entry);
    if (w->op == STORE_PUT_NEW) {
        struct memory_entry *old = space_find(space, key);
        if (old && !span_equal(entry_value(old), entry_value(w->entry))) return ERR_CONFLICT;
    }
    TRY(space_reserve(space));
    struct memory_entry *next = w->op == STORE_DELETE ? NULL : w->entry;
    *before = space_swap(space, key, next);
    m->bytes = m->bytes - entry_bytes(*before) + entry_bytes(next);
    return OK;
}

static void write_undo(struct memory_store *m, const struct memory_write *w, struct memory_entry *before)
{
    struct memory_entry *after = space_swap(&m->spaces[w->space], entry_key(w->entry), before);
    m->bytes = m->bytes - entry_bytes(after) + entry_bytes(before);
}

/* All or nothing: what was replaced is kept until the whole batch is known to stand. */
static enum err batch_apply(struct memory_store *m, struct memory_batch *b)
{
    struct memory_entry *before[STORE_BATCH_MAX];
    uint64_t bytes_before = m->bytes;
    enum err err = OK;
    uint32_t applied = 0;
    for (; err == OK && applied < b->count; applied += err == OK)
        err = write_apply(m, &b->writes[applied], &before[applied]);
    if (err == OK && m->bytes > m->bytes_max && m->bytes > bytes_before) err = ERR_FULL;
    if (err != OK) {
        while (applied-- > 0) write_undo(m, &b->writes[applied], before[applied]);
        return err;
    }
    for (uint32_t i = 0; i < b->count; i++) {
        free(before[i]);
        if (b->writes[i].op == STORE_DELETE) free(b->writes[i].entry);
    }
    return OK;
}

static struct memory_batch *queue_pop(struct memory_store *m)
{
    struct memory_batch *b = m->head;
    m->head = b->next;
    if (!m->head) m->tail = &m->head;
    m->queued--;
    return b;
}

/* The first `batches` of the queue reach the disk; whether anyone is told is the caller's choice. */
static void queue_land(struct memory_store *m, uint32_t batches, bool tell)
{
    ASSERT(m->scans == 0);
    bool wrote = false;
    for (; batches > 0 && m->head; batches--) {
        struct memory_batch *b = queue_pop(m);
        enum err err = batch_apply(m, b);
        store_done done = tell ? b->done : NULL;
        void *context = b->context;
        batch_free(b, err != OK);
        m->batches++;
        wrote = true;
        if (done) done(context, err);
    }
    if (wrote) m->syncs++;
}

/* --- the maker ----------------------------------------------------------------------------------------- */

static enum err memory_submit(struct store *s, const struct store_write *writes, uint32_t count,
                              store_done done, void *context)
{
    struct memory_store *m = memory_of(s);
    if (m->closing) return ERR_CANCELLED;
    if (m->queued == MEMORY_QUEUE_MAX) return ERR_FULL;
    struct memory_batch *b = batch_make(writes, count);
    if (!b) return ERR_NO_MEMORY;
    b->done = done;
    b->context = context;
    *m->tail = b;
    m->tail = &b->next;
    m->queued++;
    return OK;
}

static void memory_note(void *context, enum err err)
{
    *(enum err *)context = err;
}

static enum err memory_write_now(struct store *s, const struct store_write *writes, uint32_t count)
{
    enum err err = ERR_CANCELLED;
    memory_store_sync(s); /* the queue may be full */
    TRY(memory_submit(s, writes, count, memory_note, &err));
    memory_store_sync(s);
    return err;
}

static enum err memory_read(struct store *s, enum store_space space, struct span key, struct buffer *out)
{
    struct memory_entry *e = space_find(&memory_of(s)->spaces[space], key);
    return e ? store_copy_out(out, entry_value(e)) : ERR_NOT_FOUND;
}

static enum err memory_has(struct store *s, enum store_space space, struct span key)
{
    return space_find(&memory_of(s)->spaces[space], key) ? OK : ERR_NOT_FOUND;
}

static enum err memory_scan(struct store *s, enum store_space space, struct span prefix, bool with_values,
                            store_visit visit, void *context)
{
    struct memory_store *m = memory_of(s);
    const struct memory_space *in = &m->spaces[space];
    enum err err = OK;
    m->scans++;
    for (uint32_t i = space_seek(in, prefix); err == OK && i < in->count; i++) {
        struct span key = entry_key(in->entries[i]);
        if (key.len < prefix.len || !span_equal(span_make(key.data, prefix.len), prefix)) break;
        err = visit(context, key, with_values ? entry_value(in->entries[i]) : SPAN_NONE);
    }
    m->scans--;
    return err;
}

static enum err memory_status(struct store *s, struct store_status *out)
{
    const struct memory_store *m = memory_of(s);
    for (uint32_t i = 0; i < STORE_SPACE_COUNT; i++) out->entries[i] = m->spaces[i].count;
    out->incarnation = m->incarnation;
    out->used_bytes = m->bytes;
    out->map_bytes = m->bytes_max;
    out->batches = m->batches;
    out->syncs = m->syncs;
    return OK;
}

static void memory_close(struct store *s)
{
    struct memory_store *m = memory_of(s);
    m->closing = true;
    memory_store_sync(s);
    for (uint32_t i = 0; i < STORE_SPACE_COUNT; i++) {
        for (uint32_t j = 0; j < m->spaces[i].count; j++) free(m->spaces[i].entries[j]);
        free(m->spaces[i].entries);
    }
    free(m);
}

static const struct store_maker memory_maker = {
    .submit = memory_submit,
    .submit_patient = memory_submit, /* here every batch waits until it is told */
    .write_now = memory_write_now,
    .read = memory_read,
    .has = memory_has,
    .scan = memory_scan,
    .status = memory_status,
    .close = memory_close,
};

static struct memory_store *memory_of(struct store *s)
{
    ASSERT(s->maker == &memory_maker);
    return (struct memory_store *)s;
}

enum err memory_store_open(struct store **out, uint64_t bytes_max)
{
    *out = NULL;
    struct memory_store *m = calloc(1, sizeof *m);
    if (!m) return ERR_NO_MEMORY;
    m->base.maker = &memory_maker;
    m->tail = &m->head;
    m->bytes_max = bytes_max;
    *out = &m->base;
    return OK;
}

void memory_store_set_incarnation(struct store *s, struct hash32 incarnation)
{
    memory_of(s)->incarnation = incarnation;
}

void memory_store_sync(struct store *s)
{
    struct memory_store *m = memory_of(s);
    queue_land(m, m->queued, true); /* not what a `done` submits meanwhile: that is a later moment */
}

void memory_store_sync_first(struct store *s, uint32_t batches)
{
    queue_land(memory_of(s), batches, true);
}

void memory_store_crash_torn(struct store *s, uint32_t batches)
{
    struct memory_store *m = memory_of(s);
    queue_land(m, batches, false);
    while (m->head) batch_free(queue_pop(m), true);
}

void memory_store_crash(struct store *s)
{
    memory_store_crash_torn(s, 0);
}
