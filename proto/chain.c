#include "proto/chain.h"

#include "proto/base/panic.h"

#include <string.h>

enum {
    RESERVED = CAP_RECORDS / 16, /* for revocations */
    AUTHOR_PLACES = CAP_RECORDS / 4
};

enum err chain_init(struct chain *c, struct arena *arena, uint64_t salt)
{
    *c = (struct chain){.arena = arena};
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

static struct author *need_author(struct chain *c, struct node_id node)
{
    struct author *a = find_author(c, node);
    if (a != NULL) return a;
    if (c->author_count == CAP_AUTHORS) return NULL;
    a = &c->author[c->author_count];
    a->node = node;
    if (index_add(&c->authors, a->node.bytes, c->author_count) != OK) return NULL;
    c->author_count++;
    return a;
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
    uint32_t places = r->header.kind == KIND_REVOCATION ? CAP_RECORDS : CAP_RECORDS - RESERVED;
    if (held != NULL) return ID_EQUAL(held->record.id, r->id) ? CHAIN_HELD : CHAIN_RIVAL;
    if (too_far(a, r->header.seq)) return CHAIN_TOO_FAR;
    if (a != NULL && a->held >= AUTHOR_PLACES) return CHAIN_FULL;
    if (c->entry_count >= places || (a == NULL && c->author_count == CAP_AUTHORS)) return CHAIN_FULL;
    return CHAIN_NEW;
}

static enum err keep(struct arena *arena, struct record *out, const struct record *r)
{
    *out = *r;
    TRY(arena_copy(arena, &out->header_bytes, r->header_bytes));
    TRY(arena_copy(arena, &out->body, r->body));
    return header_decode(&out->header, out->header_bytes);
}

const struct record *chain_insert(struct chain *c, const struct record *r)
{
    ASSERT(r->body_known);
    if (chain_offer(c, r) != CHAIN_NEW) return NULL;
    struct author *a = need_author(c, r->header.author);
    if (a == NULL) return NULL;
    struct chain_entry *e = &c->entry[c->entry_count];
    entry_key(e->key, r->header.author, r->header.seq);
    e->applied = false;
    if (keep(c->arena, &e->record, r) != OK) return NULL;
    if (index_add(&c->entries, e->key, c->entry_count) != OK) return NULL;
    c->entry_count++;
    a->held++;
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
