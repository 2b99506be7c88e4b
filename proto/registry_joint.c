/* Joint decisions: enough distinct eligible authors of one kind and one body hash, and what each such kind puts in force. */
#include "proto/registry_state.h"

#include "proto/base/panic.h"
#include "proto/field.h"

#include <string.h>

/* --- Tallies ----------------------------------------------------------------------------------------------------------- */

static bool tally_by_custodians(enum kind kind)
{
    return kind == KIND_COMMITTEE;
}

/* The number among those eligible for this kind, or -1. */
static int seat_of(const struct registry *r, enum kind kind, struct node_id author)
{
    return tally_by_custodians(kind) ? charter_custodian(r->charter, author)
                                     : charter_steward(r->charter, author);
}

static struct verdict refuse_voice(struct registry *r, enum kind kind, struct node_id author)
{
    enum refusal why = tally_by_custodians(kind) ? REFUSAL_NOT_CUSTODIAN : REFUSAL_NOT_STEWARD;
    return verdict_refuse(registry_member(r, author) != NULL ? why : REFUSAL_NOT_MEMBER, author.bytes);
}

uint32_t tally_needed(const struct registry *r, const struct tally *t)
{
    return tally_by_custodians(t->kind) ? r->charter->custodian_count - r->charter->f : r->charter->s;
}

/* Is a removal of this steward's missing from the table? Then it may be any. */
static bool voice_lost(const struct registry *r, uint32_t steward)
{
    return (r->removal_lost >> steward & 1) != 0;
}

static uint32_t lost_beside(const struct registry *r, const struct tally *t)
{
    uint32_t lost = r->removal_lost;
    for (uint32_t i = 0; i < t->author_count; i++)
        lost &= ~(UINT32_C(1) << charter_steward(r->charter, t->vote[i]->header.author));
    return (uint32_t)__builtin_popcount(lost);
}

uint32_t tally_count(const struct registry *r, const struct tally *t)
{
    uint32_t count = t->kind == KIND_REMOVAL ? lost_beside(r, t) : 0;
    for (uint32_t i = 0; i < t->author_count; i++) {
        const struct record *vote = t->vote[i];
        bool lost = t->kind == KIND_REMOVAL &&
                    voice_lost(r, (uint32_t)charter_steward(r->charter, vote->header.author));
        bool counts = t->kind == KIND_REMOVAL ? standing_before_freeze(r, vote) : registry_counts(r, vote);
        count += counts || lost;
    }
    return count;
}

bool tally_decided(const struct registry *r, const struct tally *t)
{
    return tally_count(r, t) >= tally_needed(r, t);
}

bool tally_before(const struct tally *a, const struct tally *b)
{
    return memcmp(a->body_hash.bytes, b->body_hash.bytes, 32) < 0;
}

static struct hash32 tally_key(enum kind kind, struct hash32 body_hash)
{
    uint8_t byte = (uint8_t)kind;
    return HASH_FRAMED("perigee/tally/v1", span_make(&byte, 1), ID_SPAN(body_hash));
}

static struct tally *tally_find(const struct registry *r, enum kind kind, struct hash32 body_hash)
{
    struct hash32 key = tally_key(kind, body_hash);
    uint32_t row = index_find(&r->tallies, key.bytes);
    return row != INDEX_NONE ? &ROW(r->tally, row) : NULL;
}

void tally_endorsement_key(uint8_t out[32], struct record_id job)
{
    uint8_t bytes[64];
    struct buffer b = BUFFER_OF(bytes);
    struct body_ENDORSEMENT body = {job};
    body_encode(&b, KIND_ENDORSEMENT, &body);
    struct hash32 key = tally_key(KIND_ENDORSEMENT, sha256(buffer_span(&b)));
    memcpy(out, key.bytes, sizeof key.bytes);
}

const struct tally *tally_at(const struct registry *r, const uint8_t key[32])
{
    uint32_t row = index_find(&r->tallies, key);
    return row != INDEX_NONE ? &ROW(r->tally, row) : NULL;
}

const struct tally *registry_tally(const struct registry *r, enum kind kind, struct hash32 body_hash)
{
    return tally_find(r, kind, body_hash);
}

/* --- Places: every seat has its own -------------------------------------------------------------------------------------- */

static enum voice voice_of(enum kind kind)
{
    if (kind == KIND_COMMITTEE) return VOICE_COMMITTEE;
    return kind == KIND_REMOVAL ? VOICE_REMOVAL : VOICE_STEWARD;
}

static uint32_t voices_max(const struct registry *r, enum voice voice)
{
    if (voice == VOICE_COMMITTEE) return COMMITTEE_VOICES;
    return (voice == VOICE_REMOVAL ? CAP_REMOVALS : CAP_DECISIONS) / r->charter->steward_count;
}

/* Has this author spoken for it? Removals act out of turn: the earlier voice is the one a freeze may leave standing. */
static bool voice_given(struct tally *t, const struct record *record)
{
    for (uint32_t i = 0; i < t->author_count; i++) {
        if (!ID_EQUAL(t->vote[i]->header.author, record->header.author)) continue;
        if (record->header.seq < t->vote[i]->header.seq) t->vote[i] = record;
        return true;
    }
    return false;
}

static struct tally *tally_open(struct registry *r, enum kind kind, struct hash32 body_hash)
{
    struct tally *t = &ROW(r->tally, r->tally_count);
    struct hash32 key = tally_key(kind, body_hash);
    ASSERT(r->tally_count < TALLY_COUNT_MAX); /* no more than all voices together */
    *t = (struct tally){.kind = kind, .body_hash = body_hash};
    memcpy(t->key, key.bytes, sizeof t->key);
    enum err err = index_add(&r->tallies, t->key, r->tally_count++);
    ASSERT(err == OK);
    return t;
}

/* One eligible author's voice, once; NULL when `v` refuses it. What an author may still say depends on nothing but its own
 * chain. A removal beyond that is not forgotten: from then on its author is taken to have spoken for every removal. */
static struct tally *tally_add(struct registry *r, struct verdict *v, const struct record *record)
{
    enum kind kind = record->header.kind;
    enum voice voice = voice_of(kind);
    int seat = seat_of(r, kind, record->header.author);
    struct tally *t = tally_find(r, kind, record->header.body_hash);
    *v = seat < 0 ? refuse_voice(r, record->header.kind, record->header.author) : VERDICT_OK;
    if (seat < 0) return NULL;
    if (t != NULL && voice_given(t, record)) return t;
    if (r->voice_count[voice][seat] == voices_max(r, voice)) {
        if (kind == KIND_REMOVAL) r->removal_lost |= UINT32_C(1) << seat;
        *v = verdict_refuse(REFUSAL_FULL, record->header.author.bytes);
        return NULL;
    }
    if (t == NULL) t = tally_open(r, kind, record->header.body_hash);
    ASSERT(t->author_count < CAP_STEWARDS); /* as many as seats */
    t->vote[t->author_count++] = record;
    r->voice_count[voice][seat]++;
    return t;
}

/* --- What a body must be, whoever speaks for it -------------------------------------------------------------------------- */

static struct verdict check_charter(const struct registry *r, const struct body_CHARTER *b)
{
    struct hash32 hash = sha256(b->document);
    return ids_equal(hash.bytes, r->consortium.bytes) ? VERDICT_OK
                                                      : verdict_refuse(REFUSAL_CHARTER, hash.bytes);
}

/* Keys and the right to admit come from the charter only; a device has a maker, and no other role. */
static struct verdict check_admission(const struct body_MEMBER *b)
{
    return (b->roles & (ROLE_CUSTODIAN | ROLE_STEWARD | ROLE_DEVICE)) == 0
               ? VERDICT_OK
               : verdict_refuse(REFUSAL_MALFORMED, b->node.bytes);
}

static struct verdict check_committee(const struct charter *c, const struct body_COMMITTEE *b)
{
    uint32_t n = c->custodian_count;
    bool shape = b->shares_a.len == 32 * n && b->shares_b.len == 32 * n &&
                 b->round1_a.len == n * (96 + 32 * c->t) && b->round1_b.len == b->round1_a.len &&
                 b->signatures_a.len == 64 * n && b->signatures_b.len == 64 * n;
    if (b->epoch != 1 || !ID_EQUAL(b->charter, c->hash))
        return verdict_refuse(REFUSAL_CHARTER, b->charter.bytes);
    return shape ? VERDICT_OK : verdict_refuse(REFUSAL_MALFORMED, NULL);
}

static struct verdict check_op(struct registry *r, const struct body_OP *b)
{
    struct op *op;
    size_t mark = arena_mark(r->scratch);
    enum err err = op_open(&op, r->scratch, b->document, b->code, NULL);
    arena_release(r->scratch, mark);
    return err == OK ? VERDICT_OK : verdict_refuse(REFUSAL_MALFORMED, NULL);
}

static struct verdict check_workers(const struct body_WORKERS *b)
{
    struct span name;
    return field_is_name(b->name, &name) && b->version > 0 ? VERDICT_OK
                                                           : verdict_refuse(REFUSAL_MALFORMED, NULL);
}

/* Whoever keeps keys or admits members leaves by another charter. */
static bool seated(const struct charter *c, struct node_id node)
{
    return charter_custodian(c, node) >= 0 || charter_steward(c, node) >= 0;
}

static struct verdict check_body(struct registry *r, enum kind kind, const union body *b)
{
    if (kind == KIND_CHARTER) return check_charter(r, &b->CHARTER);
    if (r->charter == NULL) return verdict_refuse(REFUSAL_CONSORTIUM_FORMING, NULL);
    if (kind == KIND_MEMBER) return check_admission(&b->MEMBER);
    if (kind == KIND_COMMITTEE) return check_committee(r->charter, &b->COMMITTEE);
    if (kind == KIND_OP) return check_op(r, &b->OP);
    if (kind == KIND_WORKERS) return check_workers(&b->WORKERS);
    if (kind == KIND_REMOVAL && seated(r->charter, b->REMOVAL.node))
        return verdict_refuse(REFUSAL_CHARTER, b->REMOVAL.node.bytes);
    return VERDICT_OK;
}

/* --- Rows: for what enough of the eligible have said --------------------------------------------------------------------- */

static void place_member(struct registry *r, const struct tally *t, const struct body_MEMBER *b)
{
    uint32_t at = r->member_count++, first = index_find(&r->members, b->node.bytes);
    ROW(r->member, at).member = (struct member){b->node,
                                                b->organisation,
                                                b->jurisdiction,
                                                (uint32_t)b->roles,
                                                b->kem,
                                                b->dkg,
                                                b->approval,
                                                b->platforms,
                                                t,
                                                NULL};
    succession_place(r, at, b);
    if (first != INDEX_NONE) {
        ROW(r->member, at).next_plus_one = ROW(r->member, first).next_plus_one;
        ROW(r->member, first).next_plus_one = at + 1;
        return;
    }
    enum err err = index_add(&r->members, ROW(r->member, at).member.node.bytes, at);
    ASSERT(err == OK);
}

static void place_op(struct registry *r, const struct tally *t, const struct body_OP *b)
{
    struct op *op;
    struct op_row *row = &ROW(r->op, r->op_count);
    size_t mark = arena_mark(r->scratch);
    enum err err = op_open(&op, r->scratch, b->document, b->code, NULL);
    ASSERT(err == OK); /* check_body has opened it */
    row->tally = t;
    op_keep(&row->kept, op, b->document, b->code);
    arena_release(r->scratch, mark);
    err = index_add(&r->ops, row->kept.op.hash.bytes, r->op_count++);
    ASSERT(err == OK);
}

static void place_removal(struct registry *r, const struct tally *t, const struct body_REMOVAL *b)
{
    uint32_t at = r->removal_count++, first = index_find(&r->removals, b->node.bytes);
    ROW(r->removal, at) = (struct removal_row){*b, t, 0};
    if (first != INDEX_NONE) {
        ROW(r->removal, at).next_plus_one = ROW(r->removal, first).next_plus_one;
        ROW(r->removal, first).next_plus_one = at + 1;
        return;
    }
    enum err err = index_add(&r->removals, ROW(r->removal, at).body.node.bytes, at);
    ASSERT(err == OK);
}

/* There are as many rows as there can be tallies. */
static void place(struct registry *r, const struct tally *t, const union body *b)
{
    if (t->kind == KIND_CHARTER) r->charter_tally = t;
    if (t->kind == KIND_MEMBER) place_member(r, t, &b->MEMBER);
    if (t->kind == KIND_COMMITTEE)
        ROW(r->committee, r->committee_count++) = (struct committee){t, b->COMMITTEE};
    if (t->kind == KIND_WORKERS) ROW(r->workers, r->workers_count++) = (struct worker_set){t, b->WORKERS};
    if (t->kind == KIND_REMOVAL) place_removal(r, t, &b->REMOVAL);
    if (t->kind == KIND_OP) place_op(r, t, &b->OP);
}

struct verdict joint_apply(struct registry *r, const struct record *record, const union body *b)
{
    enum kind kind = record->header.kind;
    struct verdict v = check_body(r, kind, b);
    if (v.refusal != REFUSAL_NONE) return v;
    if (r->charter == NULL && registry_found(r, b->CHARTER.document) != OK)
        return verdict_refuse(REFUSAL_MALFORMED, NULL);
    struct tally *t = tally_add(r, &v, record);
    if (t == NULL || t->placed) return v;
    /* A removal has its row from the first voice on: those of lost ones may decide it at any time. */
    if (kind != KIND_REMOVAL && t->author_count < tally_needed(r, t)) return v;
    place(r, t, b);
    t->placed = true;
    return v;
}

/* Did so many removals find no place that whatever they said may be decided? */
bool joint_removed_by_lost(const struct registry *r, struct node_id node)
{
    return r->removal_lost != 0 && (uint32_t)__builtin_popcount(r->removal_lost) >= r->charter->s &&
           !seated(r->charter, node);
}

/* --- Previews of own records ------------------------------------------------------------------------------------------- */

/* A steward gives a key one heir: what another has allotted since would be in nobody's fold. And not its own: with that heir its
 * voice is gone. */
static struct verdict check_heir(const struct registry *r, struct node_id author, const struct body_MEMBER *b)
{
    if (ID_EQUAL(author, b->replaces)) return verdict_refuse(REFUSAL_NOT_STEWARD, author.bytes);
    const struct node_id heir = registry_heir(r, b->replaces);
    bool other = !ID_IS_ZERO(b->replaces) && !ID_IS_ZERO(heir) && !ID_EQUAL(heir, b->node);
    return other ? verdict_refuse(REFUSAL_EXISTS, heir.bytes) : VERDICT_OK;
}

struct verdict joint_preview(struct registry *r, struct node_id author, enum kind kind,
                             const union body *body)
{
    if (r->charter == NULL) return verdict_refuse(REFUSAL_CONSORTIUM_FORMING, NULL);
    int seat = seat_of(r, kind, author);
    if (seat < 0) return refuse_voice(r, kind, author);
    struct verdict v = check_body(r, kind, body);
    if (v.refusal == REFUSAL_NONE && kind == KIND_MEMBER) v = check_heir(r, author, &body->MEMBER);
    if (v.refusal != REFUSAL_NONE) return v;
    bool full = r->voice_count[voice_of(kind)][seat] == voices_max(r, voice_of(kind));
    return full ? verdict_refuse(REFUSAL_FULL, author.bytes) : VERDICT_OK;
}
