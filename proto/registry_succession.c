/* Successors (PROTOCOL.md "Successors"): who holds a token, and which records of one lineage count for it.
 * A lineage is a key's chain behind that of the key it replaced, up to its last record that counts, and so on. What it is
 * follows from claims, each in its author's own chain, and a claim's turn comes when the chain before it has had its turn: so
 * whatever an owner's own records decide (versions, folds, overlaps) is applied in the order of its lineage everywhere.
 * Whether a claim's decision stands is looked up when asked. */
#include "proto/registry_state.h"

#include "proto/base/panic.h"

#include <string.h>

/* --- Claims ------------------------------------------------------------------------------------------------------------ */

bool succession_is_claim(const struct header *h, const struct body_MEMBER *b)
{
    return ID_EQUAL(h->author, b->node) && !ID_IS_ZERO(b->replaces) && !registry_is_device(b);
}

static uint32_t first_of(const struct registry *r, struct node_id node)
{
    uint32_t row = index_find(&r->members, node.bytes);
    return row == INDEX_NONE ? 0 : row + 1;
}

/* The row that this node claimed by, or NULL. */
static const struct member_row *claimed(const struct registry *r, struct node_id node)
{
    for (uint32_t next = first_of(r, node); next != 0; next = ROW(r->member, next - 1).next_plus_one)
        if (ROW(r->member, next - 1).claim != NULL) return &ROW(r->member, next - 1);
    return NULL;
}

static struct member_row *claimable(const struct registry *r, const struct header *claim)
{
    for (uint32_t next = first_of(r, claim->author); next != 0; next = ROW(r->member, next - 1).next_plus_one)
        if (ID_EQUAL(ROW(r->member, next - 1).member.tally->body_hash, claim->body_hash))
            return &ROW(r->member, next - 1);
    return NULL;
}

bool registry_claim_decided(const struct registry *r, const struct record *claim)
{
    return claimable(r, &claim->header) != NULL;
}

const struct record *registry_claim_due(const struct registry *r, struct node_id node)
{
    if (claimed(r, node) != NULL || standing_founder(r, node)) return NULL;
    for (uint32_t next = first_of(r, node); next != 0; next = ROW(r->member, next - 1).next_plus_one) {
        const struct member_row *m = &ROW(r->member, next - 1);
        if (!ID_IS_ZERO(m->replaces) && tally_decided(r, m->member.tally)) return m->member.tally->vote[0];
    }
    return NULL;
}

const struct record *registry_claim(const struct registry *r, struct node_id node)
{
    const struct member_row *m = claimed(r, node);
    return m != NULL ? m->claim : NULL;
}

void succession_place(struct registry *r, uint32_t at, const struct body_MEMBER *b)
{
    struct member_row *m = &ROW(r->member, at);
    if (ID_IS_ZERO(b->replaces) || ID_EQUAL(b->replaces, b->node)) return;
    m->replaces = b->replaces;
    m->last_seq = b->last_seq;
    uint32_t first = index_find(&r->heirs, m->replaces.bytes);
    if (first != INDEX_NONE) {
        m->next_heir_plus_one = ROW(r->member, first).next_heir_plus_one;
        ROW(r->member, first).next_heir_plus_one = at + 1;
        return;
    }
    enum err err = index_add(&r->heirs, m->replaces.bytes, at);
    ASSERT(err == OK); /* as many places as rows */
}

static struct verdict check_claim(const struct registry *r, const struct header *h)
{
    const struct member_row *m = claimable(r, h);
    if (r->charter == NULL) return verdict_refuse(REFUSAL_CONSORTIUM_FORMING, NULL);
    if (m == NULL) return verdict_refuse(REFUSAL_NOT_MEMBER, h->author.bytes);
    if (standing_founder(r, h->author) || ID_IS_ZERO(m->replaces))
        return verdict_refuse(REFUSAL_MALFORMED, h->author.bytes);
    return claimed(r, h->author) == NULL ? VERDICT_OK : verdict_refuse(REFUSAL_EXISTS, h->author.bytes);
}

struct verdict succession_apply(struct registry *r, const struct record *record)
{
    struct verdict v = check_claim(r, &record->header);
    if (v.refusal != REFUSAL_NONE) return v;
    claimable(r, &record->header)->claim = record;
    r->claim_count++;
    succession_revocations(r, record->header.author);
    return v;
}

struct verdict succession_preview(const struct registry *r, const struct header *h)
{
    return check_claim(r, h);
}

/* --- Heirs ------------------------------------------------------------------------------------------------------------- */

/* Whether the stewards decided does not depend on who replaced one of them: their voices count up to a freeze. */
static bool decided(const struct registry *r, const struct tally *t)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < t->author_count; i++) count += standing_before_freeze(r, t->vote[i]);
    return count >= tally_needed(r, t);
}

static const struct member_row *heir_of(const struct registry *r, struct node_id node)
{
    const struct member_row *best = NULL;
    uint32_t row = r->claim_count > 0 ? index_find(&r->heirs, node.bytes) : INDEX_NONE;
    for (uint32_t next = row == INDEX_NONE ? 0 : row + 1; next != 0;
         next = ROW(r->member, next - 1).next_heir_plus_one) {
        const struct member_row *m = &ROW(r->member, next - 1);
        if (m->claim == NULL || !standing_before_freeze(r, m->claim) || !decided(r, m->member.tally))
            continue;
        if (best == NULL || tally_before(m->member.tally, best->member.tally)) best = m;
    }
    return best;
}

uint64_t succession_last_seq(const struct registry *r, struct node_id node)
{
    const struct member_row *heir = heir_of(r, node);
    return heir != NULL ? heir->last_seq : UINT64_MAX;
}

struct node_id registry_heir(const struct registry *r, struct node_id node)
{
    const struct member_row *heir = heir_of(r, node);
    return heir != NULL ? heir->member.node : (struct node_id){{0}};
}

/* Has this key signed two records in one place that its heir takes over? What the heir said was judged by one of them, and which
 * one hung on what arrived first. */
static bool torn(const struct registry *r, struct node_id node, const struct member_row *heir)
{
    const struct frozen *f = standing_frozen(r, node);
    return f != NULL && f->seq <= heir->last_seq;
}

struct node_id registry_holder(const struct registry *r, struct node_id owner)
{
    const struct node_id nobody = {{0}};
    struct node_id holder = owner;
    struct lineage l;
    for (uint32_t i = 0; i <= HEIRS_MAX; i++) {
        const struct member_row *heir = heir_of(r, holder);
        if (heir == NULL) {
            lineage_of(r, &l, holder);
            return lineage_has(&l, owner) ? holder : nobody;
        }
        if (torn(r, holder, heir)) return nobody;
        holder = heir->member.node;
    }
    return nobody;
}

bool succession_passes(const struct registry *r, struct node_id owner, struct node_id node)
{
    const struct member_row *heir;
    for (uint32_t i = 0; i <= HEIRS_MAX && !ID_EQUAL(owner, node); i++) {
        if ((heir = heir_of(r, owner)) == NULL) return false;
        owner = heir->member.node;
    }
    return ID_EQUAL(owner, node);
}

bool registry_holds(const struct registry *r, const struct asset *a, struct node_id node)
{
    const struct node_id holder = a != NULL ? registry_holder(r, a->owner) : (struct node_id){{0}};
    return a != NULL && ID_EQUAL(holder, node);
}

/* A node that is no member any more is sent the stewards' words, and may miss the claim. */
static const struct member_row *admitted_for(const struct registry *r, struct node_id node)
{
    uint32_t row = index_find(&r->heirs, node.bytes);
    for (uint32_t next = row == INDEX_NONE ? 0 : row + 1; next != 0;
         next = ROW(r->member, next - 1).next_heir_plus_one)
        if (decided(r, ROW(r->member, next - 1).member.tally)) return &ROW(r->member, next - 1);
    return NULL;
}

const struct record *registry_replacement(const struct registry *r, struct node_id node, struct node_id *heir)
{
    const struct member_row *m = heir_of(r, node);
    if (m == NULL) m = admitted_for(r, node);
    if (m == NULL) return NULL;
    *heir = m->member.node;
    return m->claim != NULL ? m->claim : m->member.tally->vote[0];
}

/* --- Lineages ---------------------------------------------------------------------------------------------------------- */

void lineage_of(const struct registry *r, struct lineage *l, struct node_id last)
{
    struct node_id node = last;
    uint64_t end = UINT64_MAX;
    l->count = 0;
    for (;;) {
        l->step[l->count++] = (struct lineage_step){node, end};
        const struct member_row *m = r->claim_count > 0 ? claimed(r, node) : NULL;
        if (m == NULL || m->claim->header.seq >= end || l->count > HEIRS_MAX) return;
        node = m->replaces;
        end = m->last_seq + 1;
    }
}

bool lineage_has(const struct lineage *l, struct node_id node)
{
    for (uint32_t i = 0; i < l->count; i++)
        if (ID_EQUAL(l->step[i].node, node)) return true;
    return false;
}

static const struct lineage_step *step_of(const struct lineage *l, const struct record *record)
{
    for (uint32_t i = 0; i < l->count; i++)
        if (ID_EQUAL(l->step[i].node, record->header.author))
            return record->header.seq < l->step[i].end ? &l->step[i] : NULL;
    return NULL;
}

bool lineage_covers(const struct lineage *l, const struct record *record)
{
    return step_of(l, record) != NULL;
}

void holding_of(const struct registry *r, struct holding *h, struct node_id owner)
{
    h->holder = registry_holder(r, owner);
    lineage_of(r, &h->lineage, h->holder);
    for (uint32_t i = 0; i < h->lineage.count; i++) h->standing[i] = standing_of(r, h->lineage.step[i].node);
}

bool holding_counts(const struct holding *h, const struct record *record)
{
    const struct lineage_step *step = step_of(&h->lineage, record);
    return step != NULL && standing_counts(&h->standing[step - h->lineage.step], record);
}

bool holding_voided(const struct holding *h, const struct record *record)
{
    const struct lineage_step *step = step_of(&h->lineage, record);
    return step == NULL || h->standing[step - h->lineage.step].voided;
}

bool registry_counts_for(const struct registry *r, const struct asset *a, const struct record *record)
{
    struct holding h;
    holding_of(r, &h, a->owner);
    return holding_counts(&h, record);
}

struct verdict succession_speaks(const struct registry *r, struct node_id author, const struct asset *a)
{
    struct lineage l;
    if (a == NULL) return verdict_refuse(REFUSAL_NOT_OWNER, NULL);
    lineage_of(r, &l, author);
    return lineage_covers(&l, a->first) ? VERDICT_OK : verdict_refuse(REFUSAL_NOT_OWNER, a->dt.bytes);
}
