#include "proto/chain.h"

#include "proto/base/panic.h"

#include <string.h>

enum {
    /* What a revocation or removal takes at most. */
    NEGATIVE_BYTES = CAP_HEADER_BYTES + 128,
    POSITIVE_PLACES = CAP_AUTHOR_RECORDS - CAP_AUTHOR_RECORDS / 16,
};
/* Of one author: what may have its turn, what waits behind a hole, what acts at once, and the record that exceeds it all. */
#define PART_BYTES                                                                                           \
    ((size_t)CAP_AUTHOR_BYTES + CAP_AHEAD_BYTES + (size_t)NEGATIVE_BYTES * CAP_AUTHOR_RECORDS +              \
     CHAIN_RECORD_BYTES)
_Static_assert(PART_BYTES % 16 == 0 && (int)CHAIN_RECORD_BYTES <= (int)CAP_AHEAD_BYTES,
               "parts of one memory; any record waits");

static size_t heap_bytes(uint32_t records)
{
    return rows_bytes(CAP_AUTHORS, sizeof(struct author)) + rows_bytes(CAP_AUTHORS, sizeof(struct pair)) +
           rows_bytes(records, sizeof(struct chain_entry)) + index_bytes(CAP_AUTHORS) +
           2 * index_bytes(records);
}

size_t chain_bytes(uint32_t parts)
{
    const uint32_t records = parts * CAP_AUTHOR_RECORDS;
    return ARENA_BYTES(parts, PART_BYTES) + ARENA_BYTES(1, heap_bytes(records));
}

size_t chain_heap_bytes(uint32_t parts)
{
    return heap_bytes(parts * CAP_AUTHOR_RECORDS);
}

enum err chain_init(struct chain *c, struct arena *arena, uint32_t parts, struct node_id self, uint64_t salt)
{
    return chain_init_in(c, arena, NULL, parts, self, salt);
}

enum err chain_init_in(struct chain *c, struct arena *arena, struct arena *heap, uint32_t parts,
                       struct node_id self, uint64_t salt)
{
    const uint32_t records = parts * CAP_AUTHOR_RECORDS;
    uint8_t *memory = arena_take(arena, parts, PART_BYTES);
    ASSERT(parts > 1);
    *c = (struct chain){.self = self, .places_left = records - CAP_AUTHOR_RECORDS};
    if (heap == NULL) heap = arena_part(arena, &c->heap, heap_bytes(records));
    if (memory == NULL || heap == NULL) return ERR_NO_MEMORY;
    rows_init(&c->author.rows, heap, CAP_AUTHORS);
    rows_init(&c->pair.rows, heap, CAP_AUTHORS);
    rows_init(&c->entry.rows, heap, records);
    c->own = arena_make(memory, PART_BYTES);
    c->others = arena_make(memory + PART_BYTES, (parts - 1) * PART_BYTES);
    index_init_in(&c->authors, heap, CAP_AUTHORS, salt);
    index_init_in(&c->entries, heap, records, salt);
    index_init_in(&c->ids, heap, records, salt);
    return OK;
}

/* 24 bytes of the author and the seq: unique unless two authors share 192 bits. */
static void entry_key(uint8_t key[32], struct node_id author, uint64_t seq)
{
    memcpy(key, author.bytes, 24);
    store_u64(key + 24, seq);
}

static struct chain_entry *find_entry(const struct chain *c, struct node_id author, uint64_t seq)
{
    uint8_t key[32];
    entry_key(key, author, seq);
    uint32_t row = index_find(&c->entries, key);
    return row != INDEX_NONE ? &ROW(c->entry, row) : NULL;
}

static struct author *find_author(const struct chain *c, struct node_id node)
{
    uint32_t row = index_find(&c->authors, node.bytes);
    return row != INDEX_NONE ? &ROW(c->author, row) : NULL;
}

static void note_moved(struct chain *c, struct author *a)
{
    a->moved = c->moved = true;
}

/* One place is this node's own, before its first record too. */
static bool author_room(const struct chain *c, struct node_id node)
{
    bool own = ID_EQUAL(node, c->self) || find_author(c, c->self) != NULL;
    return c->author_count < (own ? CAP_AUTHORS : CAP_AUTHORS - 1);
}

static struct author *need_author(struct chain *c, struct node_id node)
{
    struct author *a = find_author(c, node);
    if (a != NULL) return a;
    if (!author_room(c, node)) return NULL;
    a = &ROW(c->author, c->author_count);
    a->node = node;
    note_moved(c, a);
    enum err err = index_add(&c->authors, a->node.bytes, c->author_count++);
    ASSERT(err == OK); /* as many places as authors */
    return a;
}

/* --- Room ---------------------------------------------------------------------------------------------------------------- */

static bool is_negative(enum kind kind)
{
    return kind == KIND_REVOCATION || kind == KIND_REMOVAL;
}

/* As the arena counts. */
static size_t memory_of(size_t header_len, size_t body_len)
{
    return (header_len + 15) / 16 * 16 + (body_len + 15) / 16 * 16;
}

static size_t memory_of_record(const struct record *r)
{
    return memory_of(r->header_bytes.len, r->body_known ? r->body.len : 0);
}

/* May a record that takes `bytes` have its turn as the next one? */
static bool fits(const struct author *a, enum kind kind, size_t bytes)
{
    uint64_t applied = a != NULL ? a->applied : 0;
    size_t before = a != NULL ? a->bytes : 0;
    if (is_negative(kind)) return applied < CAP_AUTHOR_RECORDS && bytes <= NEGATIVE_BYTES;
    return applied < POSITIVE_PLACES && before + bytes <= CAP_AUTHOR_BYTES;
}

/* Is there a place here, and memory, for a record of this author, however large? */
static bool held_here(const struct chain *c, struct node_id author)
{
    const bool own = ID_EQUAL(author, c->self);
    const struct arena *memory = own ? &c->own : &c->others;
    if (own && !c->restoring) return true;
    return (own || c->places_left > 0) && memory->cap - memory->used >= CHAIN_RECORD_BYTES + 64;
}

void chain_restore(struct chain *c, bool going_on)
{
    c->restoring = going_on;
}

bool chain_room(const struct chain *c, struct node_id author, enum kind kind, size_t header_len,
                size_t body_len)
{
    const struct author *a = find_author(c, author);
    return (a != NULL || author_room(c, author)) && held_here(c, author) &&
           fits(a, kind, memory_of(header_len, body_len));
}

bool chain_room_small(const struct chain *c, struct node_id author, size_t header_len, size_t body_len)
{
    const struct author *a = find_author(c, author);
    size_t used = a != NULL ? a->held : 0;
    return (a != NULL ? a->applied : 0) < CAP_SMALL_RECORDS &&
           used + memory_of(header_len, body_len) <= CAP_SMALL_BYTES;
}

/* Of a record that nobody holds here. */
static enum chain_offer offer_new(const struct chain *c, const struct record *r)
{
    const struct author *a = find_author(c, r->header.author);
    size_t bytes = memory_of_record(r);
    bool next = r->header.seq == (a != NULL ? a->applied : 0) + 1;
    if (r->header.seq > CAP_AUTHOR_RECORDS) return CHAIN_FULL;
    if (a == NULL && !author_room(c, r->header.author)) return CHAIN_FULL;
    if (!held_here(c, r->header.author)) return CHAIN_FULL;
    if (is_negative(r->header.kind)) return bytes <= NEGATIVE_BYTES ? CHAIN_NEW : CHAIN_FULL;
    if (next || c->restoring) return CHAIN_NEW; /* its turn may never come */
    return (a != NULL ? a->ahead : 0) + bytes <= CAP_AHEAD_BYTES ? CHAIN_NEW : CHAIN_TOO_FAR;
}

enum chain_offer chain_offer(const struct chain *c, const struct record *r)
{
    ASSERT(r->header.seq > 0);
    const struct chain_entry *held = find_entry(c, r->header.author, r->header.seq);
    if (held == NULL) return offer_new(c, r);
    return ID_EQUAL(held->record.id, r->id) ? CHAIN_HELD : CHAIN_RIVAL;
}

static enum err copy_bytes(struct arena *memory, struct record *out, const struct record *r)
{
    TRY(arena_copy(memory, &out->header_bytes, r->header_bytes));
    return arena_copy(memory, &out->body, r->body);
}

/* There is room for it, and it counts as if it lay there. */
static void keep(struct chain *c, struct arena *memory, struct record *out, const struct record *r)
{
    *out = *r;
    enum err err = OK;
    const uint8_t *shared = shelf_put(c->shelf, r->id.bytes, r->header_bytes, r->body);
    if (shared != NULL) {
        memory->used += memory_of_record(r);
        out->header_bytes.data = shared;
        out->body.data = shared + r->header_bytes.len;
    } else {
        err = copy_bytes(memory, out, r);
    }
    if (err == OK) err = header_decode(&out->header, out->header_bytes);
    ASSERT(err == OK);
}

const struct record *chain_insert(struct chain *c, const struct record *r)
{
    ASSERT(r->body_known);
    if (chain_offer(c, r) != CHAIN_NEW) return NULL;
    struct author *a = need_author(c, r->header.author);
    struct chain_entry *e = &ROW(c->entry, c->entry_count);
    ASSERT(a != NULL);
    entry_key(e->key, r->header.author, r->header.seq);
    bool own = ID_EQUAL(r->header.author, c->self);
    keep(c, own ? &c->own : &c->others, &e->record, r);
    c->places_left -= !own;
    a->held += memory_of_record(r);
    enum err err = index_add(&c->entries, e->key, c->entry_count);
    if (err == OK) err = index_add(&c->ids, e->record.id.bytes, c->entry_count++);
    ASSERT(err == OK); /* as many places as records */
    if (!is_negative(r->header.kind)) a->ahead += memory_of_record(r);
    if (r->header.seq > a->seen) a->seen = r->header.seq;
    note_moved(c, a);
    return &e->record;
}

bool chain_may_freeze(const struct chain *c, struct node_id author, uint64_t seq)
{
    const struct author *a = find_author(c, author);
    return seq <= CAP_AUTHOR_RECORDS && (a == NULL || a->frozen == 0 || seq < a->frozen);
}

static void keep_half(struct pair *pair, uint32_t i, const struct record *half)
{
    struct record *kept = &pair->half[i];
    struct buffer b = buffer_make(pair->header[i], sizeof pair->header[i]);
    *kept = *half;
    buffer_put(&b, half->header_bytes);
    kept->header_bytes = buffer_span(&b);
    kept->body = SPAN_NONE;
    kept->body_known = false;
    enum err err = header_decode(&kept->header, kept->header_bytes);
    ASSERT(err == OK); /* it was decoded from the same bytes */
}

bool chain_freeze(struct chain *c, const struct record *a, const struct record *b)
{
    ASSERT(ID_EQUAL(a->header.author, b->header.author) && a->header.seq == b->header.seq &&
           a->header.seq > 0);
    ASSERT(!ID_EQUAL(a->id, b->id));
    struct node_id node = a->header.author;
    struct author *author = chain_may_freeze(c, node, a->header.seq) ? need_author(c, node) : NULL;
    if (author == NULL) return false;
    if (author->pair == NULL) author->pair = &ROW(c->pair, c->pair_count++);
    keep_half(author->pair, 0, a);
    keep_half(author->pair, 1, b);
    author->frozen = a->header.seq;
    return true;
}

bool chain_miss(struct chain *c, struct node_id author, uint64_t seq)
{
    struct author *a = need_author(c, author);
    if (a != NULL && seq > a->missing) a->missing = seq;
    return a != NULL;
}

bool chain_whole(const struct chain *c, struct node_id author)
{
    const struct author *a = find_author(c, author);
    if (a == NULL) return true;
    return a->frozen != 0 ? a->applied + 1 >= a->frozen : a->applied == a->seen && a->applied >= a->missing;
}

bool chain_reached(const struct chain *c, struct node_id author, uint64_t seq)
{
    const struct author *a = find_author(c, author);
    const uint64_t applied = a != NULL ? a->applied : 0;
    const bool forked = a != NULL && a->frozen != 0 && a->frozen <= seq;
    return applied >= (forked ? a->frozen - 1 : seq);
}

uint64_t chain_tip(const struct chain *c, const struct author *a, struct record_id *head)
{
    const struct chain_entry *next = find_entry(c, a->node, a->applied + 1);
    const bool follows = next != NULL && ID_EQUAL(next->record.header.prev, a->head);
    *head = follows ? next->record.id : a->head;
    return a->applied + follows;
}

void chain_disk(struct chain *c, uint32_t row, enum chain_disk disk)
{
    ASSERT(row < c->entry_count);
    ROW(c->entry, row).disk = disk;
    if (disk == DISK_HAS) note_moved(c, find_author(c, ROW(c->entry, row).record.header.author));
}

uint32_t chain_unkept(const struct chain *c, uint32_t *at)
{
    for (uint32_t n = 0; n < c->entry_count; n++) {
        const uint32_t row = (*at)++ % c->entry_count;
        if (ROW(c->entry, row).disk == DISK_LACKS) return row;
    }
    return INDEX_NONE;
}

uint64_t chain_shown(struct chain *c, struct author *a, struct record_id *head)
{
    const uint64_t tip = chain_tip(c, a, head);
    while (a->shown < tip) {
        const struct chain_entry *next = find_entry(c, a->node, a->shown + 1);
        if (next == NULL || next->disk != DISK_HAS) break;
        a->shown++;
        a->shown_head = next->record.id;
    }
    *head = a->shown_head;
    return a->shown;
}

/* Its turn has come. */
static void take_turn(struct author *a, const struct record *r)
{
    size_t bytes = is_negative(r->header.kind) ? 0 : memory_of_record(r);
    a->applied++;
    a->head = r->id;
    a->ahead -= bytes;
    a->bytes += bytes;
}

const struct record *chain_next(struct chain *c, struct node_id author)
{
    struct author *a = find_author(c, author);
    if (a == NULL) return NULL;
    for (;;) {
        struct chain_entry *e = find_entry(c, author, a->applied + 1);
        if (e == NULL || !ID_EQUAL(e->record.header.prev, a->head)) return NULL;
        if (!fits(a, e->record.header.kind, memory_of_record(&e->record))) return NULL;
        take_turn(a, &e->record);
        note_moved(c, a);
        if (e->applied) continue; /* acted on receipt */
        e->applied = true;
        return &e->record;
    }
}

void chain_examined(struct chain *c, const struct record *kept, bool yes)
{
    struct chain_entry *e = find_entry(c, kept->header.author, kept->header.seq);
    ASSERT(e != NULL);
    e->examined = yes;
}

bool chain_act_early(struct chain *c, const struct record *kept)
{
    struct chain_entry *e = find_entry(c, kept->header.author, kept->header.seq);
    ASSERT(e != NULL);
    bool fresh = !e->applied;
    e->applied = true;
    return fresh;
}

/* Multiples of the golden ratio lie evenly, however many they are (Knuth, The Art of Computer Programming 3, 6.4). */
const struct record *chain_early(const struct chain *c, const struct author *a, uint64_t turn)
{
    const uint64_t places = a->seen > a->shown ? a->seen - a->shown : 0,
                   from = (uint32_t)(turn * 2654435769) * places >> 32;
    for (uint64_t n = 0; n < places && n < CHAIN_LOOKED_AT; n++) {
        const struct chain_entry *e = find_entry(c, a->node, a->shown + 1 + (from + n) % places);
        if (e != NULL && e->applied && is_negative(e->record.header.kind)) return &e->record;
    }
    return NULL;
}

uint32_t chain_author_number(const struct chain *c, struct node_id node)
{
    return index_find(&c->authors, node.bytes);
}

struct author *chain_author_row(struct chain *c, struct node_id node)
{
    return find_author(c, node);
}

const struct author *chain_author(const struct chain *c, struct node_id author)
{
    return find_author(c, author);
}

const struct record *chain_get(const struct chain *c, struct node_id author, uint64_t seq)
{
    const struct chain_entry *e = find_entry(c, author, seq);
    return e != NULL ? &e->record : NULL;
}

uint32_t chain_row(const struct chain *c, struct record_id id)
{
    return index_find(&c->ids, id.bytes);
}

const struct record *chain_at(const struct chain *c, uint32_t row)
{
    ASSERT(row < c->entry_count);
    return &ROW(c->entry, row).record;
}

const struct record *chain_find(const struct chain *c, struct node_id author, struct record_id id)
{
    const uint32_t row = chain_row(c, id);
    const struct record *r = row != INDEX_NONE ? chain_at(c, row) : NULL;
    return r != NULL && ID_EQUAL(r->header.author, author) ? r : NULL;
}
