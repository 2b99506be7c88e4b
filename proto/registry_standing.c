/* Who counts: members, freezes, gaps, removals and revocations. */
#include "proto/registry_state.h"

#include "proto/base/panic.h"

/* --- Freezes and gaps -------------------------------------------------------------------------------------------------- */

struct frozen *standing_frozen(const struct registry *r, struct node_id author)
{
    for (uint32_t i = 0; i < r->frozen_count; i++)
        if (ID_EQUAL(ROW(r->frozen, i).author, author)) return &ROW(r->frozen, i);
    return NULL;
}

void registry_freeze(struct registry *r, struct node_id author, uint64_t seq)
{
    struct frozen *f = standing_frozen(r, author);
    if (f == NULL) {
        ASSERT(r->frozen_count < CAP_WRITERS); /* only members are frozen, and there are no more of them */
        f = &ROW(r->frozen, r->frozen_count++);
        *f = (struct frozen){author, seq};
    }
    if (seq < f->seq) f->seq = seq;
    /* Versions from the frozen seq on never were; nor were successors that it alone made. */
    for (uint32_t i = 0; i < r->asset_count; i++)
        if (r->claim_count > 0 || ID_EQUAL(ROW(r->asset, i).owner, author))
            asset_refresh(r, &ROW(r->asset, i));
}

void registry_void(struct registry *r, struct node_id author)
{
    registry_freeze(r, author, UINT64_MAX);
}

static uint32_t find_gap(const struct registry *r, struct node_id author)
{
    uint32_t i = 0;
    while (i < r->gap_count && !ID_EQUAL(ROW(r->gap, i), author)) i++;
    return i;
}

bool standing_gap(const struct registry *r, struct node_id author)
{
    return find_gap(r, author) < r->gap_count;
}

void registry_gap(struct registry *r, struct node_id author, bool gap)
{
    uint32_t at = find_gap(r, author);
    if (gap == standing_gap(r, author)) return;
    ASSERT(!gap || r->gap_count < CAP_WRITERS);
    if (gap)
        ROW(r->gap, r->gap_count++) = author;
    else
        ROW(r->gap, at) = ROW(r->gap, --r->gap_count);
}

bool standing_before_freeze(const struct registry *r, const struct record *record)
{
    const struct frozen *f = standing_frozen(r, record->header.author);
    return f == NULL || record->header.seq < f->seq;
}

/* --- Members ----------------------------------------------------------------------------------------------------------- */

static const struct charter_member *charter_find(const struct charter *c, struct node_id node)
{
    for (uint32_t i = 0; c != NULL && i < c->member_count; i++)
        if (ID_EQUAL(c->member[i].node, node)) return &c->member[i];
    return NULL;
}

bool standing_founder(const struct registry *r, struct node_id node)
{
    return charter_find(r->charter, node) != NULL;
}

const struct member *standing_admitted(const struct registry *r, struct node_id node)
{
    const struct charter_member *named = charter_find(r->charter, node);
    if (named != NULL) return &ROW(r->founder, named - r->charter->member);
    const struct member *best = NULL;
    uint32_t row = index_find(&r->members, node.bytes);
    for (uint32_t next = row == INDEX_NONE ? 0 : row + 1; next != 0;
         next = ROW(r->member, next - 1).next_plus_one) {
        const struct member *m = &ROW(r->member, next - 1).member;
        if (!tally_decided(r, m->tally)) continue;
        if (best == NULL || tally_before(m->tally, best->tally)) best = m;
    }
    return best;
}

/* Charter and stewards go before makers. */
static const struct member *find_member(const struct registry *r, struct node_id node)
{
    const struct member *m = standing_admitted(r, node);
    return m != NULL ? m : device_find(r, node);
}

bool registry_admitted(const struct registry *r, struct node_id author)
{
    return standing_admitted(r, author) != NULL;
}

/* The lowest last seq of this member's decided removals; UINT64_MAX when there is none. */
uint64_t standing_last_seq(const struct registry *r, struct node_id node)
{
    uint64_t last = UINT64_MAX;
    if (joint_removed_by_lost(r, node)) return 0;
    uint32_t row = index_find(&r->removals, node.bytes);
    for (uint32_t next = row == INDEX_NONE ? 0 : row + 1; next != 0;
         next = ROW(r->removal, next - 1).next_plus_one) {
        const struct removal_row *removal = &ROW(r->removal, next - 1);
        if (removal->body.last_seq < last && tally_decided(r, removal->tally)) last = removal->body.last_seq;
    }
    return last;
}

bool registry_removed(const struct registry *r, struct node_id node)
{
    return standing_last_seq(r, node) != UINT64_MAX || succession_last_seq(r, node) != UINT64_MAX;
}

const struct member *registry_member(const struct registry *r, struct node_id node)
{
    return registry_removed(r, node) ? NULL : find_member(r, node);
}

const struct member *registry_member_ever(const struct registry *r, struct node_id node)
{
    return find_member(r, node);
}

bool registry_platform_admitted(const struct registry *r, struct node_id node, struct hash32 platform)
{
    const struct member *m = registry_member(r, node);
    if (m == NULL) return false;
    for (size_t at = 0; at + 32 <= m->platforms.len; at += 32)
        if (ids_equal(m->platforms.data + at, platform.bytes)) return true;
    return m->platforms.len == 0;
}

struct verdict registry_check_role(const struct registry *r, struct node_id node, enum role role)
{
    const struct member *m = registry_member(r, node);
    if (m == NULL) return verdict_refuse(REFUSAL_NOT_MEMBER, node.bytes);
    return (m->roles & role) != 0 ? VERDICT_OK : verdict_refuse(REFUSAL_ROLE, node.bytes);
}

/* Who has a row was decided once: another steward's voice may make it a member again, and by then its revocations must be
 * held. A device whose maker's word stands no more has nothing that could count. */
bool registry_may_write(const struct registry *r, struct node_id author)
{
    return charter_find(r->charter, author) != NULL || index_find(&r->members, author.bytes) != INDEX_NONE ||
           device_find(r, author) != NULL;
}

/* Of charter, stewards and makers, in this order. */
static const struct member *member_row(const struct registry *r, uint32_t i)
{
    uint32_t founders = r->charter != NULL ? r->charter->member_count : 0;
    if (i < founders) return &ROW(r->founder, i);
    i -= founders;
    if (i < r->member_count) return &ROW(r->member, i).member;
    i -= r->member_count;
    return i < r->device_count ? &ROW(r->device, i).member : NULL;
}

const struct member *registry_member_next(const struct registry *r, uint32_t *at)
{
    for (const struct member *m; (m = member_row(r, *at)) != NULL;) {
        ++*at;
        if (registry_member(r, m->node) == m) return m;
    }
    return NULL;
}

/* --- What counts of an author ------------------------------------------------------------------------------------------ */

/* An owner of whom nothing can be used just now: why. */
struct verdict registry_check_author(const struct registry *r, struct node_id author)
{
    const struct frozen *f = standing_frozen(r, author);
    if (f != NULL)
        return verdict_refuse(f->seq != UINT64_MAX ? REFUSAL_FROZEN : REFUSAL_REVOKED, author.bytes);
    if (standing_gap(r, author)) return verdict_refuse(REFUSAL_GAP, author.bytes);
    return registry_member(r, author) != NULL ? VERDICT_OK : verdict_refuse(REFUSAL_NOT_MEMBER, author.bytes);
}

/* Asks for membership too: who is no member any more, because those who admitted it count no more, never was one. */
struct standing standing_of(const struct registry *r, struct node_id author)
{
    const struct frozen *f = standing_frozen(r, author);
    uint64_t last = standing_last_seq(r, author), passed = succession_last_seq(r, author);
    struct standing s = {.member = find_member(r, author) != NULL, .end = UINT64_MAX};
    s.voided = f != NULL || last != UINT64_MAX;
    if (f != NULL) s.end = f->seq;
    if (last < s.end) s.end = last + 1;
    if (passed < s.end) s.end = passed + 1;
    return s;
}

bool standing_counts(const struct standing *s, const struct record *record)
{
    return s->member && record->header.seq < s->end;
}

bool registry_counts(const struct registry *r, const struct record *record)
{
    const struct standing author = standing_of(r, record->header.author);
    return standing_counts(&author, record);
}

struct verdict registry_check_record(const struct registry *r, const struct record *record)
{
    return registry_counts(r, record) ? VERDICT_OK : registry_check_author(r, record->header.author);
}

bool registry_revoked(const struct registry *r, const struct approval *p)
{
    struct node_id author = p->record->header.author;
    return p->revoked || standing_of(r, author).voided || succession_last_seq(r, author) != UINT64_MAX;
}
