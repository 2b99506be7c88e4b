/* Records and statements from outside: cheap checks first, then the signature, then their turn (PROTOCOL.md "Records"). */
#include "proto/core_state.h"

#include "proto/approval.h"

#include <string.h>

/* How far ahead of this clock a record may be dated to be held at all. */
enum { FUTURE_HOLD_MS = 15 * 60 * 1000 };

static void read_keys(struct core *c);
static void keep_pairs_again(struct core *c);

/* --- The second signature of approvals -------------------------------------------------------------------------------------- */

static void on_key_read(struct core *c, struct pending *p, const struct event *event)
{
    struct node_id key;
    uint32_t row = (uint32_t)p->number;
    memcpy(key.bytes, p->value, sizeof key.bytes);
    /* Another key may be in force, and asked about, by now. */
    if (ID_EQUAL(registry_approval_at(c->registry, row)->key, key))
        registry_approval_read(c->registry, row, key, event->err == OK ? KEY_RIGHT : KEY_WRONG);
    c->keys_asked--;
    pending_end(c, p);
    read_keys(c);
}

static bool ask_key(struct core *c, uint32_t row, struct node_id key)
{
    const struct approval *a = registry_approval_at(c->registry, row);
    const struct header *h = &a->record->header;
    struct pending *p =
        c->keys_asked < pending_part(c, KEYS_ASKED_16THS) ? pending_new(c, on_key_read) : NULL;
    if (p == NULL) return false;
    struct hash32 message = approval_sign_hash(c->options.consortium, h->author, &a->body, h->expires_ms);
    p->number = row;
    memcpy(p->value, key.bytes, sizeof p->value);
    registry_approval_read(c->registry, row, key, KEY_ASKED);
    ask_verify(c, p, on_key_read, key, message, &a->body.approval_signature);
    c->keys_asked++;
    return true;
}

/* False: it has to wait. */
static bool read_key(struct core *c, uint32_t row)
{
    struct node_id key;
    return !registry_approval_unread(c->registry, row, &key) || ask_key(c, row, key);
}

/* One round through all approvals, some at a time: a decision, or a steward frozen, may have put another key in force. Until it
 * is asked about under that, an approval does not count. */
static void read_keys(struct core *c)
{
    for (uint32_t i = 0; i < KEYS_A_STEP && c->keys_left > 0 && step_has_room(c); i++) {
        c->key_next = registry_approval_at(c->registry, c->key_next) != NULL ? c->key_next : 0;
        if (!read_key(c, c->key_next)) return;
        c->key_next++;
        c->keys_left--;
    }
}

void ingest_key_seen(struct core *c, const struct record *approval, const uint8_t key[32])
{
    struct node_id under;
    const uint32_t count = registry_approval_count(c->registry);
    if (count == 0 || !ID_EQUAL(registry_approval_at(c->registry, count - 1)->record->id, approval->id))
        return;
    memcpy(under.bytes, key, sizeof under.bytes);
    const struct member *m = registry_member(c->registry, approval->header.author);
    if (m != NULL && ID_EQUAL(m->approval, under)) /* another may be in force by now */
        registry_approval_read(c->registry, count - 1, under, KEY_RIGHT);
}

static void look_for_keys(struct core *c)
{
    c->keys_left = registry_approval_count(c->registry);
}

/* --- On the disk ----------------------------------------------------------------------------------------------------------- */

static void on_kept(struct core *c, struct pending *p, const struct event *event);

/* Until the disk has it no head shows it: others rely on what a node says that it holds. With one of its own goes the silence that it
 * has brought, if any: a restart that knew the record alone would not know why it must not sign. */
static void ask_disk(struct core *c, struct pending *p, const struct record *kept)
{
    struct buffer packed = scratch_buffer(c, record_bytes_max(kept));
    const bool silent = ID_EQUAL(kept->header.author, c->options.self) && !silence_kept(c);
    record_pack(&packed, kept);
    const struct keep item[2] = {{KEEP_RECORD, ID_SPAN(kept->id), buffer_span(&packed)}, silence_item(c)};
    p->number = chain_row(&c->chain, kept->id);
    chain_disk(&c->chain, (uint32_t)p->number, DISK_ASKED);
    ask_store(c, p, on_kept, item, silent ? 2 : 1);
}

static void ask_again(struct core *c, uint32_t most)
{
    const uint32_t again_max = pending_part(c, AGAIN_16THS);
    for (uint32_t n = 0; n < most && c->unkept > 0 && c->again < again_max && step_has_room(c); n++) {
        struct pending *p = pending_new(c, on_kept);
        if (p == NULL) return;
        p->again = true;
        c->again++;
        const uint32_t row = chain_unkept(&c->chain, &c->unkept_next);
        ASSERT(row != INDEX_NONE); /* they are counted */
        c->unkept--;
        ask_disk(c, p, chain_at(&c->chain, row));
    }
}

static void on_kept(struct core *c, struct pending *p, const struct event *event)
{
    const uint32_t row = (uint32_t)p->number;
    c->again -= p->again;
    pending_end(c, p);
    if (event->err == OK) {
        chain_disk(&c->chain, row, DISK_HAS);
        ask_again(c, 2); /* it goes again, for one and for another */
        return;
    }
    chain_disk(&c->chain, row, DISK_LACKS);
    c->unkept++;
    unkept_notice(c, err_text(event->err));
}

/* --- Effects of an applied record ----------------------------------------------------------------------------------------- */

static bool decides_members(enum kind kind)
{
    return kind == KIND_CHARTER || kind == KIND_MEMBER || kind == KIND_REMOVAL;
}

static void on_approval(struct core *c)
{
    uint32_t newest = registry_approval_count(c->registry) - 1;
    if (c->ready && !read_key(c, newest)) look_for_keys(c);
}

static void on_applied(struct core *c, const struct record *r)
{
    struct verdict v = registry_apply(c->registry, r);
    if (decides_members(r->header.kind)) look_for_keys(c);
    if (v.refusal != REFUSAL_NONE) {
        peer_notice(c, r->header.author, "record has no effect", ID_SPAN(r->id), refusal_name(v.refusal));
        return;
    }
    if (r->header.kind == KIND_RUN) {
        struct run_id run;
        memcpy(run.bytes, r->id.bytes, sizeof run.bytes);
        track_new(c, registry_run(c->registry, run));
    }
    struct happened what = {.type = HAPPENED_RECORD, .kind = r->header.kind};
    memcpy(what.id.bytes, r->id.bytes, sizeof what.id.bytes);
    happened(c, what);
    if (r->header.kind == KIND_APPROVAL) on_approval(c);
    if (r->header.kind == KIND_RUN || decides_members(r->header.kind)) host_look_for_receipts(c);
    if (r->header.kind == KIND_RECEIPT) host_receipt(c, r);
}

static bool takes_back(enum kind kind)
{
    return kind == KIND_REVOCATION || kind == KIND_REMOVAL;
}

/* What takes back, and what proves itself. */
static bool acts_on_receipt(enum kind kind)
{
    return takes_back(kind) || kind == KIND_RECEIPT;
}

/* A record dated further ahead than clocks may differ is held until then, with all behind it. Negative ones have acted. */
static bool is_time(const struct core *c, struct node_id author)
{
    const struct author *a = chain_author(&c->chain, author);
    const struct record *next = a != NULL ? chain_get(&c->chain, author, a->applied + 1) : NULL;
    uint64_t skew_ms = (uint64_t)registry_charter_bytes(c->registry)->skew_max_ms;
    return next == NULL || ID_EQUAL(author, c->options.self) || next->header.time_ms <= c->wall_ms + skew_ms;
}

/* A claim's turn comes when it is decided and the chain of the key that it replaces has had its turn, as far as that counts. */
static bool claim_waits(struct core *c, struct node_id author)
{
    const struct author *a = chain_author(&c->chain, author);
    const struct record *next = a != NULL ? chain_get(&c->chain, author, a->applied + 1) : NULL;
    struct body_MEMBER body;
    if (next == NULL || next->header.kind != KIND_MEMBER) return false;
    enum err err = body_decode(&body, KIND_MEMBER, next->body);
    ASSERT(err == OK); /* it was kept because it reads */
    if (!ID_EQUAL(body.node, author) || ID_IS_ZERO(body.replaces) || registry_is_device(&body)) return false;
    return !registry_claim_decided(c->registry, next) ||
           !chain_reached(&c->chain, body.replaces, body.last_seq);
}

/* Give every record its turn that has come, as far as this step and the author's places have room; until the rest follows the
 * author has a gap. False: none had its turn. */
static bool advance(struct core *c, struct node_id author)
{
    const struct record *turn;
    bool moved = false;
    while (step_has_room(c) && !registry_waits(c->registry, author) && is_time(c, author) &&
           !claim_waits(c, author) && (turn = chain_next(&c->chain, author)) != NULL) {
        on_applied(c, turn);
        moved = true;
    }
    registry_gap(c->registry, author, !chain_whole(&c->chain, author));
    return moved;
}

static bool advance_all(struct core *c)
{
    bool moved = false;
    for (uint32_t i = 0; i < c->chain.author_count && step_has_room(c); i++)
        if (!chain_whole(&c->chain, ROW(c->chain.author, i).node))
            moved |= advance(c, ROW(c->chain.author, i).node);
    return moved;
}

void ingest_tick(struct core *c)
{
    (void)advance_all(c);
    read_keys(c);
    if (c->now.ns < c->unkept_ns) return;
    c->unkept_ns = c->now.ns + (int64_t)UNKEPT_MS * 1000000;
    silence_keep(c);
    ask_again(c, 1);
    keep_pairs_again(c);
}

static void act_early(struct core *c, const struct record *kept)
{
    const bool early =
        acts_on_receipt(kept->header.kind) && !registry_waits(c->registry, kept->header.author);
    if (early && chain_act_early(&c->chain, kept)) on_applied(c, kept);
}

/* Who was read before those who admitted it has its turn before anything is done, and what it has behind a hole acts, if that
 * acts on receipt: a run whose receipt had not had its turn would be worked on again. Nothing tells of these turns, so a step has
 * room for all. */
void ingest_ready(struct core *c)
{
    while (advance_all(c)) {
    }
    for (uint32_t i = 0; i < c->chain.entry_count; i++) act_early(c, &ROW(c->chain.entry, i).record);
    chain_restore(&c->chain, false);
    c->ready = true;
    look_for_keys(c);
    read_keys(c);
}

const struct record *ingest_accept(struct core *c, const struct record *r, struct pending *p)
{
    const struct record *kept = chain_insert(&c->chain, r);
    if (kept == NULL) return NULL;
    bool own = ID_EQUAL(kept->header.author, c->options.self);
    if (own && kept->header.time_ms > c->own_latest_ms) c->own_latest_ms = kept->header.time_ms;
    if (own && kept->header.kind == KIND_REVOCATION && kept->header.seq > c->taken_back_seq)
        c->taken_back_seq = kept->header.seq;
    if (p != NULL)
        ask_disk(c, p, kept);
    else
        chain_disk(&c->chain, chain_row(&c->chain, kept->id), DISK_HAS);
    act_early(c, kept);
    (void)advance(c, kept->header.author);
    if (c->ready) mesh_spread(c, kept, p == NULL);
    return kept;
}

/* Charter and members, and what ended its own membership, or its maker's: it would take itself for one otherwise. */
bool ingest_open(const struct core *c, const struct record *r, struct node_id to)
{
    union body b;
    enum kind kind = r->header.kind;
    if (kind == KIND_CHARTER || kind == KIND_MEMBER) return true;
    if (!takes_back(kind) || body_decode(&b, kind, r->body) != OK) return false;
    if (kind == KIND_REMOVAL)
        return ID_EQUAL(b.REMOVAL.node, to) || registry_names_device(c->registry, b.REMOVAL.node, to);
    return b.REVOCATION.target == REVOKE_DEVICE && ids_equal(b.REVOCATION.subject.bytes, to.bytes);
}

/* --- Equivocation ------------------------------------------------------------------------------------------------------------ */

void ingest_tell_pair(struct core *c, struct node_id to, const struct author *a)
{
    const struct record *pair = a->pair->half;
    struct message_EQUIVOCATION m = {pair[0].header_bytes, pair[0].signature, pair[1].header_bytes,
                                     pair[1].signature};
    struct buffer b = scratch_buffer(c, 2048);
    message_encode(&b, MESSAGE_EQUIVOCATION_CODE, &m);
    send_message(c, to, buffer_span(&b));
}

static void note_pair(struct core *c, struct author *a, bool unkept)
{
    c->unkept_pairs -= a->pair_unkept;
    a->pair_unkept = unkept;
    c->unkept_pairs += a->pair_unkept;
}

static void on_pair_kept(struct core *c, struct pending *p, const struct event *event)
{
    struct author *a = &ROW(c->chain.author, p->number);
    pending_end(c, p);
    a->pair_asked = false;
    if (event->err == OK) return;
    note_pair(c, a, true);
    unkept_notice(c, err_text(event->err));
}

/* Both halves are kept: a record held goes to the store with its body, by itself, the other without. One at a time of an author, who may
 * sign a lower one while the disk is slow. */
static void keep_pair(struct core *c, struct author *a)
{
    struct keep keep[2];
    uint32_t count = 0;
    for (uint32_t i = 0; i < 2; i++) {
        const struct record *held = chain_get(&c->chain, a->node, a->pair->half[i].header.seq);
        struct buffer packed = scratch_buffer(c, CAP_HEADER_BYTES + 128);
        if (held != NULL && ID_EQUAL(held->id, a->pair->half[i].id)) continue;
        record_pack(&packed, &a->pair->half[i]);
        keep[count++] = (struct keep){KEEP_RECORD, ID_SPAN(a->pair->half[i].id), buffer_span(&packed)};
    }
    struct pending *p = count > 0 && !a->pair_asked ? pending_new(c, on_pair_kept) : NULL;
    note_pair(c, a, count > 0 && p == NULL);
    if (p == NULL) return;
    a->pair_asked = true;
    p->number = chain_author_number(&c->chain, a->node);
    ask_store(c, p, on_pair_kept, keep, count);
}

static void keep_pairs_again(struct core *c)
{
    for (uint32_t i = 0; i < c->chain.author_count && c->unkept_pairs > 0 && step_has_room(c); i++)
        if (ROW(c->chain.author, i).pair_unkept) keep_pair(c, &ROW(c->chain.author, i));
}

/* Whoever signs pairs each lower than the last has every node tell all others of each, and look through what it holds: of one that is
 * frozen already only so many. What is left out comes again: pairs with roots, and what chains part in when heads differ (core_sync.c). */
static bool may_walk_down(struct core *c, struct node_id author)
{
    const struct author *a = chain_author(&c->chain, author);
    return a == NULL || a->frozen == 0 || !c->ready || mesh_may_hurry(c, author);
}

/* Two headers in one place: from there on nothing of the author counts. `except` sent the pair, so it knows; `from` holds
 * the other chain, and where that parts from ours may be further down. */
static void freeze(struct core *c, const struct record *one, const struct record *other,
                   struct node_id except, struct node_id from)
{
    struct node_id author = one->header.author;
    const struct author *before = chain_author(&c->chain, author);
    const bool known = before != NULL && before->frozen != 0;
    if (!may_walk_down(c, author) || !chain_freeze(&c->chain, one, other)) return;
    if (known && c->ready) mesh_hurried(c, author);
    registry_freeze(c->registry, author, one->header.seq);
    look_for_keys(c);
    host_look_for_receipts(c); /* a charter may be decided again */
    registry_gap(c->registry, author, !chain_whole(&c->chain, author));
    if (!known) notice(c, "equivocation: two records in one place by", ID_SPAN(author), NULL);
    if (!c->ready) return; /* it comes from the store */
    const struct author *a = chain_author(&c->chain, author);
    keep_pair(c, chain_author_row(&c->chain, a->node));
    for (uint32_t i = 0; i < c->peer_count; i++) {
        const struct peer_view *p = &c->peer[i].view;
        if (p->up && !ID_EQUAL(p->node, except) && core_member(c, p->node, 0))
            ingest_tell_pair(c, p->node, a);
    }
    bool part_lower = one->header.seq > 1 && !ID_EQUAL(one->header.prev, other->header.prev);
    if (part_lower && peer_find(c, from) != NULL) sync_walk_down(c, from, author, one->header.seq - 1);
}

/* A header without its body is in the store only as half of a pair. The store is read in the order of (author, seq). */
static void restore_half(struct core *c, const struct record *r)
{
    struct record half;
    struct node_id nobody = {{0}};
    struct span header = span_make(c->half_header, c->half_len);
    bool rivals = c->half_len > 0 && record_open(&half, header, &c->half_signature, SPAN_NONE) == OK &&
                  ID_EQUAL(half.header.author, r->header.author) && half.header.seq == r->header.seq &&
                  !ID_EQUAL(half.id, r->id);
    if (rivals) freeze(c, &half, r, nobody, nobody);
    if (r->body_known) return;
    memcpy(c->half_header, r->header_bytes.data, r->header_bytes.len);
    c->half_len = r->header_bytes.len;
    c->half_signature = r->signature;
}

void ingest_restore(struct core *c, struct span packed)
{
    struct record r;
    struct node_id nobody = {{0}};
    ASSERT(!c->ready);
    if (record_unpack(&r, packed) != OK || r.header.seq == 0) {
        notice(c, "a stored record was left out", SPAN_NONE, NULL);
        return;
    }
    enum chain_offer offer = chain_offer(&c->chain, &r);
    if (offer == CHAIN_FULL) notice(c, "no room for a stored record", SPAN_NONE, NULL);
    if (offer == CHAIN_RIVAL)
        freeze(c, chain_get(&c->chain, r.header.author, r.header.seq), &r, nobody, nobody);
    else
        restore_half(c, &r);
    if (offer != CHAIN_NEW || !r.body_known) return;
    const struct record *kept = ingest_accept(c, &r, NULL);
    ASSERT(kept != NULL);
}

static void on_pair_verified(struct core *c, struct pending *p, const struct event *event)
{
    struct message_EQUIVOCATION m;
    union message_body body;
    enum message code;
    struct record a, b;
    bool ok = event->err == OK && message_decode(&code, &body, span_make(p->block, p->len)) == OK;
    if (ok) {
        m = body.EQUIVOCATION;
        ok = record_open(&a, m.header_a, &m.signature_a, SPAN_NONE) == OK &&
             record_open(&b, m.header_b, &m.signature_b, SPAN_NONE) == OK;
    }
    if (ok)
        freeze(c, &a, &b, p->peer, p->peer);
    else
        offence(c, p->peer, "bad signature from");
    pending_end(c, p);
}

void ingest_equivocation(struct core *c, struct node_id from, const struct message_EQUIVOCATION *m)
{
    struct record a, b;
    if (record_open(&a, m->header_a, &m->signature_a, SPAN_NONE) != OK ||
        record_open(&b, m->header_b, &m->signature_b, SPAN_NONE) != OK) {
        offence(c, from, "malformed message from");
        return;
    }
    bool pair = ID_EQUAL(a.header.author, b.header.author) && a.header.seq == b.header.seq &&
                a.header.seq > 0 && ID_EQUAL(a.header.consortium, b.header.consortium) &&
                !ID_EQUAL(a.id, b.id);
    if (!pair || !ids_equal(a.header.consortium.bytes, c->options.consortium.bytes)) return;
    if (!chain_may_freeze(&c->chain, a.header.author, a.header.seq)) return;
    if (!may_walk_down(c, a.header.author)) return;
    if (!registry_may_write(c->registry, a.header.author)) return;
    struct pending *p = pending_for(c, from, on_pair_verified);
    struct buffer bytes = scratch_buffer(c, 2048), parts = scratch_buffer(c, 2 * VERIFY_PART_BYTES);
    message_encode(&bytes, MESSAGE_EQUIVOCATION_CODE, m);
    if (p == NULL) return;
    if (!pending_keep(c, p, buffer_span(&bytes))) {
        pending_end(c, p);
        return;
    }
    struct hash32 hash_a = record_sign_hash(a.header.kind, a.header_bytes);
    struct hash32 hash_b = record_sign_hash(b.header.kind, b.header_bytes);
    buffer_put(&parts, ID_SPAN(a.header.author));
    buffer_put(&parts, ID_SPAN(hash_a));
    buffer_put(&parts, SPAN_OF(a.signature.bytes));
    buffer_put(&parts, ID_SPAN(b.header.author));
    buffer_put(&parts, ID_SPAN(hash_b));
    buffer_put(&parts, SPAN_OF(b.signature.bytes));
    struct crypto_job *job = ask_crypto(c, p, CRYPTO_VERIFY, on_pair_verified);
    job->parts = buffer_span(&parts);
    job->part_count = 2;
}

/* --- Statements ---------------------------------------------------------------------------------------------------------------- */

static void drop_join(struct core *c, uint32_t i)
{
    uint32_t after = --c->join_count - i;
    pool_give(&c->pool, c->join_block[i]);
    memmove(c->join + i, c->join + i + 1, after * sizeof *c->join);
    memmove(c->join_block + i, c->join_block + i + 1, after * sizeof *c->join_block);
    memmove(c->join_from + i, c->join_from + i + 1, after * sizeof *c->join_from);
}

/* Whose wish is fulfilled keeps no place. */
static void drop_admitted(struct core *c)
{
    for (uint32_t i = c->join_count; i > 0; i--)
        if (core_member(c, c->join[i - 1].author, 0)) drop_join(c, i - 1);
}

/* Requests are repeated, so one may make place: of a peer that has its share the oldest of its own; otherwise the oldest of
 * a peer that is gone. Keys are had for nothing, links are not: whoever stays linked keeps its place. */
static bool join_place(struct core *c, struct node_id from)
{
    const uint32_t most = c->options.caps->joins;
    uint32_t own = 0, oldest = most, gone = most;
    if (c->join_count == most) drop_admitted(c);
    for (uint32_t i = c->join_count; i > 0; i--) {
        const struct peer *p = peer_find(c, c->join_from[i - 1]);
        bool same = ID_EQUAL(c->join_from[i - 1], from);
        if (same) own++;
        if (same) oldest = i - 1;
        if (p == NULL || !p->view.up) gone = i - 1;
    }
    if (own >= JOINS_A_PEER)
        drop_join(c, oldest);
    else if (c->join_count == most && gone != most)
        drop_join(c, gone);
    return c->join_count < most;
}

static bool wrong_replacement(const struct body_JOIN *b)
{
    if (ID_IS_ZERO(b->replaces)) return b->last_seq != 0 || b->consent.len != 0;
    return ID_EQUAL(b->replaces, b->node) || b->last_seq != 0 || b->roles == ROLE_DEVICE ||
           (b->consent.len != 0 && b->consent.len != sizeof(struct signature));
}

/* The first request of an applicant stands until it is admitted. How much of the key that it replaces counts is the stewards'
 * to say. */
static void on_join(struct core *c, const struct record *r, const struct body_JOIN *b, struct node_id from)
{
    if (!ID_EQUAL(b->node, r->header.author) || core_member(c, b->node, 0) || wrong_replacement(b)) return;
    if (registry_removed(c->registry, b->node)) return; /* nothing would come of it */
    if ((b->roles & (ROLE_CUSTODIAN | ROLE_STEWARD)) != 0) return;
    if ((b->roles & ROLE_DEVICE) != 0 && b->roles != ROLE_DEVICE) return; /* nobody could admit it */
    for (uint32_t i = 0; i < c->join_count; i++)
        if (ID_EQUAL(c->join[i].author, r->header.author)) return;
    uint8_t *block = join_place(c, from) ? pool_take(&c->pool, r->body.len) : NULL;
    if (block == NULL) return;
    struct join_request *j = &c->join[c->join_count];
    memcpy(block, r->body.data, r->body.len);
    enum err err = body_decode(&j->body, KIND_MEMBER, span_make(block, r->body.len));
    ASSERT(err == OK); /* ingest_record saw the same bytes */
    j->author = r->header.author;
    c->join_from[c->join_count] = from;
    c->join_block[c->join_count++] = block;
    stranger_notice(c, "join request from", j->author);
}

static void on_consent(struct core *c, struct pending *p, const struct event *event)
{
    struct record r;
    union body *b = arena_take(&c->room->scratch, 1, sizeof *b);
    ASSERT(b != NULL);
    enum err err = record_unpack(&r, span_make(p->block, p->len));
    if (err == OK) err = body_decode(b, KIND_JOIN, r.body);
    ASSERT(err == OK); /* on_verified had the same bytes */
    if (event->err == OK)
        on_join(c, &r, &b->JOIN, p->peer);
    else
        stranger_notice(c, "a request to replace a key comes with a wrong consent, from", r.header.author);
    pending_end(c, p);
}

/* With the word of the key to be replaced, where there is one: it must hold. */
static void ask_consent(struct core *c, const struct record *r, const struct body_JOIN *b,
                        struct node_id from)
{
    struct signature consent;
    struct hash32 message = succession_sign_hash(c->options.consortium, b->replaces, b->node);
    struct pending *p = pending_for(c, from, on_consent);
    struct buffer packed = scratch_buffer(c, record_bytes_max(r));
    record_pack(&packed, r);
    if (p == NULL) return; /* requests are repeated */
    if (!pending_keep(c, p, buffer_span(&packed))) {
        pending_end(c, p);
        return;
    }
    memcpy(consent.bytes, b->consent.data, sizeof consent.bytes);
    ask_verify(c, p, on_consent, b->replaces, message, &consent);
}

static void dispatch_statement(struct core *c, const struct record *r, struct node_id from)
{
    union body *b = arena_take(&c->room->scratch, 1, sizeof *b);
    struct node_id author = r->header.author;
    ASSERT(b != NULL);
    enum err err = body_decode(b, r->header.kind, r->body);
    ASSERT(err == OK); /* ingest_record saw it */
    enum kind kind = r->header.kind;
    bool custodian = charter_custodian(registry_charter_bytes(c->registry), author) >= 0;
    bool compute = core_member(c, author, ROLE_COMPUTE);
    bool silent = c->silence != SILENCE_NONE; /* it answers nothing, as if it were not there */
    if (kind == KIND_JOIN && b->JOIN.consent.len == sizeof(struct signature))
        ask_consent(c, r, &b->JOIN, from);
    else if (kind == KIND_JOIN)
        on_join(c, r, &b->JOIN, from);
    if (kind == KIND_ADVERT && compute) elect_advert(c, r, &b->ADVERT);
    if (kind == KIND_PROGRESS && compute) host_progress(c, r, &b->PROGRESS);
    if (kind == KIND_CONTACT) contacts_said(c, r, &b->CONTACT);
    if (kind == KIND_KEYGEN_ROUND1 && custodian && !silent) keygen_round1(c, author, &b->KEYGEN_ROUND1);
    if (kind == KIND_KEYGEN_SIGN && custodian && !silent) keygen_sign(c, author, &b->KEYGEN_SIGN);
    if (kind == KIND_PREVOTE_ASK && compute && !silent) elect_prevote_ask(c, author, &b->PREVOTE_ASK);
    if (kind == KIND_VOTE_ASK && compute && !silent) elect_vote_ask(c, author, &b->VOTE_ASK);
    if (kind == KIND_PREVOTE && custodian) elect_prevote(c, author, &b->PREVOTE);
    if (kind == KIND_VOTE && custodian) elect_vote(c, author, &b->VOTE);
    if (kind == KIND_REFUSAL) host_refusal(c, author, &b->REFUSAL);
}

/* --- Records --------------------------------------------------------------------------------------------------------------------- */

/* What would inserting it mean, at once or when its turn has come? Of who has small places only the next record is kept: what
 * is held of it is the beginning of its chain, so that nodes do not come to hold different parts for ever. */
static enum chain_offer offer_of(const struct core *c, const struct record *r, bool at_once)
{
    struct node_id author = r->header.author;
    enum chain_offer offer = chain_offer(&c->chain, r);
    if (offer != CHAIN_NEW || registry_admitted(c->registry, author)) return offer;
    const struct author *a = chain_author(&c->chain, author);
    bool next = r->header.seq == (a != NULL ? a->applied : 0) + 1;
    bool room = chain_room_small(&c->chain, author, r->header_bytes.len, r->body.len);
    return room && (next || !at_once) ? CHAIN_NEW : CHAIN_FULL;
}

/* Will more of this author find a place, with time or once it is admitted? */
static bool comes_again(const struct core *c, const struct record *r, enum chain_offer offer)
{
    return offer == CHAIN_TOO_FAR ||
           (offer == CHAIN_FULL && !registry_admitted(c->registry, r->header.author));
}

/* An approval or grant may outlive neither its revocation nor the lack of a place for one. A revocation that comes again in
 * its turn: until then the author has a gap. */
static void no_room(struct core *c, const struct record *r, enum chain_offer offer)
{
    struct node_id author = r->header.author;
    peer_notice(c, author, "no room for record", ID_SPAN(r->id), NULL);
    if (r->header.kind != KIND_REVOCATION) return;
    if (comes_again(c, r, offer) && chain_miss(&c->chain, author, r->header.seq)) {
        registry_gap(c->registry, author, !chain_whole(&c->chain, author));
        return;
    }
    registry_void(c->registry, author);
    look_for_keys(c);
}

static void on_verified(struct core *c, struct pending *p, const struct event *event)
{
    struct record r;
    struct record_id id;
    memcpy(id.bytes, p->value, sizeof id.bytes);
    if (event->err != OK) { /* who passes a record on has checked it */
        mesh_dropped(c, id, true);
        offence(c, p->peer, "bad signature from");
        pending_end(c, p);
        return;
    }
    enum err err = record_unpack_known(&r, span_make(p->block, p->len), id);
    ASSERT(err == OK);
    if (kind_class(r.header.kind) != CLASS_CHAINED) {
        dispatch_statement(c, &r, p->peer);
    } else {
        enum chain_offer offer = offer_of(c, &r, true);
        struct node_id nobody = {{0}}; /* the sender has one half only, perhaps */
        bool outside = !ID_EQUAL(p->peer, nobody) && !ID_EQUAL(p->peer, c->options.self);
        if (outside && ID_EQUAL(r.header.author, c->options.self)) silence_own_record(c, &r);
        if (offer == CHAIN_RIVAL)
            freeze(c, chain_get(&c->chain, r.header.author, r.header.seq), &r, nobody, p->peer);
        else if (offer == CHAIN_NEW && ingest_accept(c, &r, p) != NULL)
            return; /* its work goes on */
        else if (offer != CHAIN_HELD)
            no_room(c, &r, offer);
        mesh_dropped(c, id, false);
    }
    pending_end(c, p);
}

/* What cannot be read can have no effect, and is not kept. Half of a pair may come without its body. */
static bool reads(struct core *c, const struct record *r)
{
    if (!r->body_known) return true;
    size_t mark = arena_mark(&c->room->scratch);
    union body *body = arena_take(&c->room->scratch, 1, sizeof *body);
    ASSERT(body != NULL);
    enum err err = body_decode(body, r->header.kind, r->body);
    arena_release(&c->room->scratch, mark);
    return err == OK;
}

/* What can be said before any signature is checked: size, consortium, author, time, position, duplicate, body. */
static bool worth_checking(struct core *c, const struct record *r)
{
    enum record_class class = kind_class(r->header.kind);
    if (class == CLASS_ENCLAVE || r->header.kind == KIND_SHARE_ANSWER)
        return false; /* these travel in boxes only */
    if (!r->body_known || !ids_equal(r->header.consortium.bytes, c->options.consortium.bytes)) return false;
    if (r->header.time_ms > c->wall_ms + FUTURE_HOLD_MS) return false;
    if (class == CLASS_STATEMENT)
        return r->header.kind == KIND_JOIN || registry_may_write(c->registry, r->header.author);
    if (r->header.kind == KIND_CONTACT && !contacts_want(c, r)) return false;
    if (class == CLASS_EPHEMERAL)
        return registry_may_write(c->registry, r->header.author) &&
               (r->header.expires_ms == 0 || r->header.expires_ms > c->wall_ms);
    if (!registry_may_write(c->registry, r->header.author)) return false;
    enum chain_offer offer = offer_of(c, r, false);
    const struct author *a = chain_author(&c->chain, r->header.author);
    if (comes_again(c, r, offer)) /* no_room acts on it, once */
        return r->header.kind == KIND_REVOCATION && (a == NULL || r->header.seq > a->missing);
    if (r->header.kind == KIND_REVOCATION && offer == CHAIN_FULL) return true; /* and on this one */
    return offer == CHAIN_NEW || (offer == CHAIN_RIVAL && may_walk_down(c, r->header.author));
}

void ingest_record(struct core *c, struct node_id from, const struct message_RECORD *m)
{
    struct record r;
    if (record_open(&r, m->header, &m->signature, m->body) != OK || !reads(c, &r)) {
        offence(c, from, "malformed message from");
        return;
    }
    const bool chained = kind_class(r.header.kind) == CLASS_CHAINED;
    if (!worth_checking(c, &r)) {
        if (chained && r.body_known) mesh_seen(c, from, r.id);
        if (chained) sync_answered(c, from, false); /* another may have brought it first */
        return;
    }
    if (chained && !mesh_arrived(c, from, r.id)) {
        sync_answered(c, from, false);
        return;
    }
    struct pending *p = (takes_back(r.header.kind) ? pending_urgent : pending_for)(c, from, on_verified);
    if (chained) sync_answered(c, from, p != NULL);
    if (p == NULL) { /* full: the sender's heads will offer it again */
        if (chained) mesh_dropped(c, r.id, true);
        return;
    }
    struct buffer packed = scratch_buffer(c, record_bytes_max(&r));
    record_pack(&packed, &r);
    if (!pending_keep(c, p, buffer_span(&packed))) {
        if (chained) mesh_dropped(c, r.id, true);
        pending_end(c, p);
        return;
    }
    memcpy(p->value, r.id.bytes, sizeof p->value);
    struct hash32 message = record_sign_hash(r.header.kind, r.header_bytes);
    ask_verify(c, p, on_verified, r.header.author, message, &r.signature);
}
