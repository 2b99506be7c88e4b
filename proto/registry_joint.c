/* Joint decisions: enough distinct eligible authors of one kind and one body hash, and what each such kind puts in force. */
#include "proto/registry_state.h"

#include <string.h>

/* --- Tallies ----------------------------------------------------------------------------------------------------------- */

static bool tally_by_custodians(enum kind kind)
{
    return kind == KIND_COMMITTEE;
}

static bool eligible(const struct registry *r, enum kind kind, struct node_id author)
{
    return (tally_by_custodians(kind) ? charter_custodian(r->charter, author)
                                      : charter_steward(r->charter, author)) >= 0;
}

uint32_t tally_needed(const struct registry *r, const struct tally *t)
{
    if (r->charter == NULL) return UINT32_MAX;
    return tally_by_custodians(t->kind) ? r->charter->custodian_count - r->charter->f : r->charter->s;
}

uint32_t tally_count(const struct registry *r, const struct tally *t)
{
    uint32_t count = 0;
    if (r->charter == NULL) return 0;
    for (uint32_t i = 0; i < t->author_count; i++) {
        struct node_id author = t->vote[i]->header.author;
        bool counts =
            t->kind == KIND_REMOVAL ? standing_before_freeze(r, t->vote[i]) : registry_counts(r, t->vote[i]);
        if (counts && eligible(r, t->kind, author)) count++;
    }
    return count;
}

bool tally_decided(const struct registry *r, const struct tally *t)
{
    return tally_count(r, t) >= tally_needed(r, t);
}

bool tally_was_decided(const struct registry *r, const struct tally *t)
{
    uint32_t count = 0;
    for (uint32_t i = 0; r->charter != NULL && i < t->author_count; i++)
        if (eligible(r, t->kind, t->vote[i]->header.author)) count++;
    return count >= tally_needed(r, t);
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

const struct tally *registry_tally(const struct registry *r, enum kind kind, struct hash32 body_hash)
{
    struct hash32 key = tally_key(kind, body_hash);
    uint32_t row = index_find(&r->tallies, key.bytes);
    return row != INDEX_NONE ? &r->tally[row] : NULL;
}

static uint32_t seated_count(const struct charter *c)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < c->member_count; i++)
        if ((c->member[i].roles & (ROLE_STEWARD | ROLE_CUSTODIAN)) != 0) count++;
    return count;
}

/* One eligible author cannot fill the table against the others: each may open its part of it. */
static bool may_open_tally(const struct registry *r, struct node_id author)
{
    uint32_t opened = 0;
    if (r->tally_count == CAP_TALLIES) return false;
    if (r->charter == NULL) return true; /* a bundle: what it holds harms only itself */
    for (uint32_t i = 0; i < r->tally_count; i++)
        if (ID_EQUAL(r->tally[i].vote[0]->header.author, author)) opened++;
    return opened < CAP_TALLIES / seated_count(r->charter);
}

/* Add one eligible author's voice, once. *row is the tally. */
static struct verdict tally_add(struct registry *r, uint32_t *row, bool *fresh, const struct record *record)
{
    struct node_id author = record->header.author;
    struct hash32 key = tally_key(record->header.kind, record->header.body_hash);
    if (r->charter != NULL && !eligible(r, record->header.kind, author))
        return verdict_refuse(REFUSAL_NOT_MEMBER, author.bytes);
    *row = index_find(&r->tallies, key.bytes);
    *fresh = *row == INDEX_NONE;
    if (*fresh) {
        if (!may_open_tally(r, author)) return verdict_refuse(REFUSAL_FULL, NULL);
        *row = r->tally_count;
        struct tally *opened = &r->tally[*row];
        *opened = (struct tally){.kind = record->header.kind, .body_hash = record->header.body_hash};
        memcpy(opened->key, key.bytes, sizeof opened->key);
        if (index_add(&r->tallies, opened->key, *row) != OK) return verdict_refuse(REFUSAL_FULL, NULL);
        r->tally_count++;
    }
    struct tally *t = &r->tally[*row];
    for (uint32_t i = 0; i < t->author_count; i++) {
        if (!ID_EQUAL(t->vote[i]->header.author, author)) continue;
        /* Removals act out of turn: the earlier voice is the one a freeze may leave standing. */
        if (record->header.seq < t->vote[i]->header.seq) t->vote[i] = record;
        return VERDICT_OK;
    }
    if (t->author_count == CAP_STEWARDS) return verdict_refuse(REFUSAL_FULL, NULL);
    t->vote[t->author_count++] = record;
    return VERDICT_OK;
}

/* --- Applying, kind by kind -------------------------------------------------------------------------------------------- */

static struct verdict apply_charter(struct registry *r, const struct record *record,
                                    const struct body_CHARTER *b)
{
    uint32_t row;
    bool fresh;
    struct hash32 hash = sha256(b->document);
    if (!ids_equal(hash.bytes, r->consortium.bytes)) return verdict_refuse(REFUSAL_CHARTER, hash.bytes);
    if (r->charter == NULL && registry_found(r, b->document) != OK)
        return verdict_refuse(REFUSAL_MALFORMED, NULL);
    struct verdict v = tally_add(r, &row, &fresh, record);
    if (v.refusal == REFUSAL_NONE) r->charter_tally_plus_one = row + 1;
    return v;
}

/* Keys and the right to admit come from the charter only. */
static struct verdict check_admission(const struct body_MEMBER *b)
{
    return (b->roles & (ROLE_CUSTODIAN | ROLE_STEWARD)) == 0
               ? VERDICT_OK
               : verdict_refuse(REFUSAL_MALFORMED, b->node.bytes);
}

static struct verdict apply_member(struct registry *r, const struct record *record,
                                   const struct body_MEMBER *b)
{
    uint32_t row;
    bool fresh;
    struct verdict v = check_admission(b);
    if (v.refusal == REFUSAL_NONE) v = tally_add(r, &row, &fresh, record);
    if (v.refusal != REFUSAL_NONE || !fresh) return v;
    if (r->member_count == CAP_MEMBERS) return verdict_refuse(REFUSAL_FULL, NULL);
    uint32_t at = r->member_count++;
    uint32_t first = index_find(&r->members, b->node.bytes);
    r->member[at].member = (struct member){b->node, b->organisation, b->jurisdiction, (uint32_t)b->roles,
                                           b->kem,  b->dkg,          b->approval,     &r->tally[row]};
    if (first != INDEX_NONE) {
        r->member[at].next_plus_one = r->member[first].next_plus_one;
        r->member[first].next_plus_one = at + 1;
        return VERDICT_OK;
    }
    enum err err = index_add(&r->members, r->member[at].member.node.bytes, at);
    return err == OK ? VERDICT_OK : verdict_refuse(REFUSAL_FULL, NULL);
}

static struct verdict apply_committee(struct registry *r, const struct record *record,
                                      const struct body_COMMITTEE *b)
{
    uint32_t row;
    bool fresh;
    struct verdict v = tally_add(r, &row, &fresh, record);
    if (v.refusal != REFUSAL_NONE || !fresh) return v;
    if (r->committee_count == CAP_COMMITTEES) return verdict_refuse(REFUSAL_FULL, NULL);
    r->committee[r->committee_count++] = (struct committee){&r->tally[row], *b};
    return VERDICT_OK;
}

static struct verdict apply_op(struct registry *r, const struct record *record, const struct body_OP *b)
{
    uint32_t row;
    bool fresh;
    struct op *op;
    size_t mark = arena_mark(r->arena);
    if (op_open(&op, r->arena, b->document, b->code, NULL) != OK)
        return verdict_refuse(REFUSAL_MALFORMED, NULL);
    struct verdict v = tally_add(r, &row, &fresh, record);
    if (v.refusal != REFUSAL_NONE || !fresh) {
        arena_release(r->arena, mark);
        return v;
    }
    if (r->op_count == CAP_OPS) return verdict_refuse(REFUSAL_FULL, NULL);
    r->op[r->op_count] = (struct op_row){op, row};
    enum err err = index_add(&r->ops, op->hash.bytes, r->op_count++);
    return err == OK ? VERDICT_OK : verdict_refuse(REFUSAL_FULL, NULL);
}

static struct verdict apply_workers(struct registry *r, const struct record *record,
                                    const struct body_WORKERS *b)
{
    uint32_t row;
    bool fresh;
    struct verdict v = tally_add(r, &row, &fresh, record);
    if (v.refusal != REFUSAL_NONE || !fresh) return v;
    if (r->workers_count == CAP_WORKER_SETS) return verdict_refuse(REFUSAL_FULL, NULL);
    r->workers[r->workers_count++] = (struct workers_row){*b, row};
    return VERDICT_OK;
}

/* Whoever keeps keys or admits members leaves by another charter. */
static struct verdict check_removal(const struct registry *r, const struct body_REMOVAL *b)
{
    bool seated = r->charter != NULL &&
                  (charter_custodian(r->charter, b->node) >= 0 || charter_steward(r->charter, b->node) >= 0);
    return !seated ? VERDICT_OK : verdict_refuse(REFUSAL_CHARTER, b->node.bytes);
}

static struct verdict apply_removal(struct registry *r, const struct record *record,
                                    const struct body_REMOVAL *b)
{
    uint32_t row;
    bool fresh;
    struct verdict v = check_removal(r, b);
    if (r->removal_count == CAP_MEMBERS) v = verdict_refuse(REFUSAL_FULL, NULL);
    if (v.refusal == REFUSAL_NONE) v = tally_add(r, &row, &fresh, record);
    if (v.refusal == REFUSAL_NONE && fresh) r->removal[r->removal_count++] = (struct removal_row){*b, row};
    return v;
}

static struct verdict apply_tally_only(struct registry *r, const struct record *record)
{
    uint32_t row;
    bool fresh;
    return tally_add(r, &row, &fresh, record);
}

struct verdict joint_apply(struct registry *r, const struct record *record, const union body *b)
{
    enum kind kind = record->header.kind;
    if (kind == KIND_CHARTER) return apply_charter(r, record, &b->CHARTER);
    if (kind == KIND_MEMBER) return apply_member(r, record, &b->MEMBER);
    if (kind == KIND_COMMITTEE) return apply_committee(r, record, &b->COMMITTEE);
    if (kind == KIND_OP) return apply_op(r, record, &b->OP);
    if (kind == KIND_WORKERS) return apply_workers(r, record, &b->WORKERS);
    return kind == KIND_REMOVAL ? apply_removal(r, record, &b->REMOVAL) : apply_tally_only(r, record);
}

/* --- Previews of own records ------------------------------------------------------------------------------------------- */

static struct verdict preview_op(struct registry *r, const struct body_OP *b)
{
    struct op *op;
    size_t mark = arena_mark(r->arena);
    enum err err = op_open(&op, r->arena, b->document, b->code, NULL);
    arena_release(r->arena, mark);
    return err == OK ? VERDICT_OK : verdict_refuse(REFUSAL_MALFORMED, NULL);
}

struct verdict joint_preview(struct registry *r, struct node_id author, enum kind kind,
                             const union body *body)
{
    if (r->charter == NULL) return verdict_refuse(REFUSAL_CONSORTIUM_FORMING, NULL);
    if (!eligible(r, kind, author)) return verdict_refuse(REFUSAL_NOT_MEMBER, author.bytes);
    if (kind == KIND_MEMBER) return check_admission(&body->MEMBER);
    if (kind == KIND_REMOVAL) return check_removal(r, &body->REMOVAL);
    return kind == KIND_OP ? preview_op(r, &body->OP) : VERDICT_OK;
}
