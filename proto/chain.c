#include "proto/chain.h"

#include "proto/base/panic.h"

#include <string.h>

size_t chain_bytes(void)
{
    return ARENA_BYTES(1, CAP_CHAIN_BYTES) + ARENA_BYTES(CAP_AUTHORS, sizeof(struct author)) +
           ARENA_BYTES(CAP_RECORDS, sizeof(struct chain_entry)) + index_bytes(CAP_AUTHORS) +
           index_bytes(CAP_RECORDS);
}

enum err chain_init(struct chain *c, struct arena *arena, struct node_id self, uint64_t salt)
{
    uint8_t *memory = arena_take(arena, CAP_CHAIN_BYTES, 1);
    if (memory == NULL) return ERR_NO_MEMORY;
    *c = (struct chain){.self = self, .memory = arena_make(memory, CAP_CHAIN_BYTES)};
    c->author = ARENA_ARRAY(arena, struct author, CAP_AUTHORS);
    c->entry = ARENA_ARRAY(arena, struct chain_entry, CAP_RECORDS);
    if (c->author == NULL || c->entry == NULL) return ERR_NO_MEMORY;
    TRY(index_init(&c->authors, arena, CAP_AUTHORS, salt));
    return index_init(&c->entries, arena, CAP_RECORDS, salt);
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
    return row != INDEX_NONE ? &c->entry[row] : NULL;
}

static struct author *find_author(const struct chain *c, struct node_id node)
{
    uint32_t row = index_find(&c->authors, node.bytes);
    return row != INDEX_NONE ? &c->author[row] : NULL;
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
    a = &c->author[c->author_count];
    a->node = node;
    enum err err = index_add(&c->authors, a->node.bytes, c->author_count++);
    ASSERT(err == OK); /* as many places as authors */
    return a;
}

/* --- Room ---------------------------------------------------------------------------------------------------------------- */

/* What a sum of lengths may come to, of `all` there is: for one author, and for all others than this node. */
struct room {
    size_t author, others;
};

static struct room room_of(size_t all, enum kind kind)
{
    bool negative = kind == KIND_REVOCATION || kind == KIND_REMOVAL;
    size_t author = all / 4, others = all - author;
    return negative ? (struct room){author, others}
                    : (struct room){author - author / 16, others - others / 16};
}

static bool fits(struct room room, bool own, size_t of_author, size_t of_others, size_t more)
{
    return of_author + more <= room.author && (own || of_others + more <= room.others);
}

/* As the arena counts. */
static size_t memory_of(size_t header_len, size_t body_len)
{
    return (header_len + 15) / 16 * 16 + (body_len + 15) / 16 * 16;
}

bool chain_room(const struct chain *c, struct node_id author, enum kind kind, size_t header_len,
                size_t body_len)
{
    const struct author *a = find_author(c, author), *self = find_author(c, c->self);
    bool own = ID_EQUAL(author, c->self);
    uint32_t held = a != NULL ? a->held : 0, own_held = self != NULL ? self->held : 0;
    size_t bytes = a != NULL ? a->bytes : 0, own_bytes = self != NULL ? self->bytes : 0;
    if (a == NULL && !author_room(c, author)) return false;
    return fits(room_of(CAP_RECORDS, kind), own, held, c->entry_count - own_held, 1) &&
           fits(room_of(CAP_CHAIN_BYTES, kind), own, bytes, c->memory.used - own_bytes,
                memory_of(header_len, body_len));
}

bool chain_room_small(const struct chain *c, struct node_id author, size_t header_len, size_t body_len)
{
    const struct author *a = find_author(c, author);
    size_t held = a != NULL ? a->held : 0, bytes = a != NULL ? a->bytes : 0;
    return held < (CAP_RECORDS + SMALL_PART - 1) / SMALL_PART &&
           bytes + memory_of(header_len, body_len) <= CAP_CHAIN_BYTES / SMALL_PART;
}

static bool too_far(const struct author *a, uint64_t seq)
{
    return seq > (a != NULL ? a->applied : 0) + CAP_SEQ_AHEAD;
}

enum chain_offer chain_offer(const struct chain *c, const struct record *r)
{
    ASSERT(r->header.seq > 0);
    const struct chain_entry *held = find_entry(c, r->header.author, r->header.seq);
    const struct author *a = find_author(c, r->header.author);
    if (held != NULL) return ID_EQUAL(held->record.id, r->id) ? CHAIN_HELD : CHAIN_RIVAL;
    if (too_far(a, r->header.seq)) return CHAIN_TOO_FAR;
    bool room =
        chain_room(c, r->header.author, r->header.kind, r->header_bytes.len, r->body_known ? r->body.len : 0);
    return room ? CHAIN_NEW : CHAIN_FULL;
}

/* There is room for it. */
static void keep(struct arena *memory, struct record *out, const struct record *r)
{
    *out = *r;
    enum err err = arena_copy(memory, &out->header_bytes, r->header_bytes);
    if (err == OK) err = arena_copy(memory, &out->body, r->body);
    if (err == OK) err = header_decode(&out->header, out->header_bytes);
    ASSERT(err == OK);
}

const struct record *chain_insert(struct chain *c, const struct record *r)
{
    ASSERT(r->body_known);
    if (chain_offer(c, r) != CHAIN_NEW) return NULL;
    struct author *a = need_author(c, r->header.author);
    struct chain_entry *e = &c->entry[c->entry_count];
    ASSERT(a != NULL);
    entry_key(e->key, r->header.author, r->header.seq);
    keep(&c->memory, &e->record, r);
    enum err err = index_add(&c->entries, e->key, c->entry_count++);
    ASSERT(err == OK); /* as many places as records */
    a->held++;
    a->bytes += memory_of(r->header_bytes.len, r->body.len);
    if (r->header.seq > a->seen) a->seen = r->header.seq;
    return &e->record;
}

bool chain_may_freeze(const struct chain *c, struct node_id author, uint64_t seq)
{
    const struct author *a = find_author(c, author);
    return !too_far(a, seq) && (a == NULL || a->frozen == 0 || seq < a->frozen);
}

static void keep_half(struct author *author, uint32_t i, const struct record *half)
{
    struct record *kept = &author->pair[i];
    struct buffer b = buffer_make(author->pair_header[i], sizeof author->pair_header[i]);
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
    keep_half(author, 0, a);
    keep_half(author, 1, b);
    author->frozen = a->header.seq;
    return true;
}

bool chain_miss(struct chain *c, const struct record *r)
{
    struct author *a = need_author(c, r->header.author);
    if (a != NULL && r->header.seq > a->missing) a->missing = r->header.seq;
    return a != NULL;
}

bool chain_whole(const struct chain *c, struct node_id author)
{
    const struct author *a = find_author(c, author);
    if (a == NULL) return true;
    return a->frozen != 0 ? a->applied + 1 >= a->frozen : a->applied == a->seen && a->applied >= a->missing;
}

const struct record *chain_next(struct chain *c, struct node_id author)
{
    struct author *a = find_author(c, author);
    if (a == NULL) return NULL;
    for (;;) {
        struct chain_entry *e = find_entry(c, author, a->applied + 1);
        if (e == NULL || !ID_EQUAL(e->record.header.prev, a->head)) return NULL;
        a->applied++;
        a->head = e->record.id;
        if (e->applied) continue; /* acted on receipt */
        e->applied = true;
        return &e->record;
    }
}

void chain_examined(struct chain *c, const struct record *kept, bool examined)
{
    struct chain_entry *e = find_entry(c, kept->header.author, kept->header.seq);
    ASSERT(e != NULL);
    e->examined = examined;
}

bool chain_act_early(struct chain *c, const struct record *kept)
{
    struct chain_entry *e = find_entry(c, kept->header.author, kept->header.seq);
    ASSERT(e != NULL);
    bool fresh = !e->applied;
    e->applied = true;
    return fresh;
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

const struct record *chain_find(const struct chain *c, struct node_id author, struct record_id id)
{
    const struct author *a = find_author(c, author);
    for (uint64_t seq = a != NULL ? a->seen : 0; seq > 0; seq--) {
        const struct chain_entry *e = find_entry(c, author, seq);
        if (e != NULL && ID_EQUAL(e->record.id, id)) return &e->record;
    }
    return NULL;
}
