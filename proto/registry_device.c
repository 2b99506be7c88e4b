/* Devices: members by their maker's word alone (PROTOCOL.md "Devices").
 * A member record whose roles are exactly `device` is a maker's admission, whoever signed it: what kind of decision a body is
 * does not depend on who its author turns out to be. Whether the word stands is found out when asked, from what is held:
 *  - its author is admitted by charter or stewards as a maker, is not removed, did not equivocate, and nothing of it is
 *    missing (that may be a revocation);
 *  - no later revocation of its author covers it;
 *  - its node is among the first that its author's chain names and has not revoked, as many as the charter says: a device
 *    that is revoked gives its place to the next, and to name it again before changes nothing;
 *  - the device is of its maker's organisation.
 * Where several stand for one node, the smallest record id does. Only what depends on the maker's own chain is kept in the
 * rows; it changes with that chain. */
#include "proto/registry_state.h"

#include "proto/base/panic.h"

#include <string.h>

bool registry_is_device(const struct body_MEMBER *b)
{
    return b->roles == ROLE_DEVICE;
}

static struct node_id maker_of(const struct device_row *d)
{
    return d->member.admission->header.author;
}

static bool covers(const struct revocation *v, const struct device_row *d)
{
    const struct record *admission = d->member.admission;
    bool named = v->body.target == REVOKE_DEVICE && ids_equal(v->body.subject.bytes, d->member.node.bytes);
    return ID_EQUAL(v->record->header.author, admission->header.author) &&
           v->record->header.seq > admission->header.seq && (named || v->body.target == REVOKE_ALL);
}

/* --- Places ------------------------------------------------------------------------------------------------------------ */

static uint32_t first_of(const struct registry *r, struct node_id node)
{
    uint32_t row = index_find(&r->devices, node.bytes);
    return row == INDEX_NONE ? 0 : row + 1;
}

/* The rows of one author are in the order of its chain. */
static void give_places(struct registry *r, struct node_id maker)
{
    uint32_t given = 0;
    for (uint32_t i = 0; i < r->device_count; i++) {
        struct device_row *d = &ROW(r->device, i);
        if (!ID_EQUAL(maker_of(d), maker)) continue;
        d->in_place = !d->over && given < r->charter->maker_devices;
        given += d->in_place;
    }
}

uint32_t registry_device_count(const struct registry *r, struct node_id maker)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < r->device_count; i++)
        count += ROW(r->device, i).in_place && ID_EQUAL(maker_of(&ROW(r->device, i)), maker);
    return count;
}

bool registry_names_device(const struct registry *r, struct node_id maker, struct node_id node)
{
    for (uint32_t next = first_of(r, node); next != 0; next = ROW(r->device, next - 1).next_plus_one) {
        const struct device_row *d = &ROW(r->device, next - 1);
        if (!d->over && ID_EQUAL(maker_of(d), maker)) return true;
    }
    return false;
}

/* Of the rows of one node the first stays listed; of the others those that are not over, which is one of each maker. */
static void list_row(struct registry *r, uint32_t at)
{
    uint32_t first = index_find(&r->devices, ROW(r->device, at).member.node.bytes);
    if (first != INDEX_NONE) {
        ROW(r->device, at).next_plus_one = ROW(r->device, first).next_plus_one;
        ROW(r->device, first).next_plus_one = at + 1;
        return;
    }
    enum err err = index_add(&r->devices, ROW(r->device, at).member.node.bytes, at);
    ASSERT(err == OK); /* as many places as rows */
}

static void unlist_row(struct registry *r, uint32_t at)
{
    for (uint32_t i = first_of(r, ROW(r->device, at).member.node); i != 0;
         i = ROW(r->device, i - 1).next_plus_one)
        if (ROW(r->device, i - 1).next_plus_one == at + 1)
            ROW(r->device, i - 1).next_plus_one = ROW(r->device, at).next_plus_one;
}

void device_revoke(struct registry *r, const struct revocation *v)
{
    bool any = false;
    for (uint32_t i = 0; i < r->device_count; i++) {
        if (ROW(r->device, i).over || !covers(v, &ROW(r->device, i))) continue;
        ROW(r->device, i).over = any = true;
        unlist_row(r, i);
    }
    if (any) give_places(r, v->record->header.author);
}

/* --- Admissions -------------------------------------------------------------------------------------------------------- */

/* Whoever speaks for it. */
static struct verdict check(const struct registry *r)
{
    if (r->charter == NULL) return verdict_refuse(REFUSAL_CONSORTIUM_FORMING, NULL);
    if (r->charter->maker_devices == 0) return verdict_refuse(REFUSAL_DEVICES, r->charter->hash.bytes);
    return r->device_count < CAP_DEVICES ? VERDICT_OK : verdict_refuse(REFUSAL_FULL, NULL);
}

struct verdict device_apply(struct registry *r, const struct record *record, const struct body_MEMBER *b)
{
    struct verdict v = check(r);
    if (v.refusal != REFUSAL_NONE) return v;
    uint32_t at = r->device_count++;
    struct device_row *d = &ROW(r->device, at);
    *d = (struct device_row){.member = {.node = b->node,
                                        .organisation = b->organisation,
                                        .jurisdiction = b->jurisdiction,
                                        .roles = ROLE_DEVICE,
                                        .kem = b->kem,
                                        .dkg = b->dkg,
                                        .approval = b->approval,
                                        .platforms = b->platforms,
                                        .admission = record}};
    d->over = registry_names_device(r, maker_of(d), b->node); /* said before, it stands as it was said */
    for (uint32_t i = 0; i < r->revocation_count; i++) d->over |= covers(&ROW(r->revocation, i), d);
    if (d->over) return VERDICT_OK;
    list_row(r, at);
    give_places(r, record->header.author);
    return VERDICT_OK;
}

/* --- Who is one -------------------------------------------------------------------------------------------------------- */

/* But for what may be missing of it here. */
static bool answers_for(const struct registry *r, struct node_id maker, struct span organisation)
{
    const struct member *m = standing_admitted(r, maker);
    return m != NULL && (m->roles & ROLE_MAKER) != 0 && standing_last_seq(r, maker) == UINT64_MAX &&
           succession_last_seq(r, maker) == UINT64_MAX && standing_frozen(r, maker) == NULL &&
           span_equal(m->organisation, organisation);
}

static bool may_admit(const struct registry *r, struct node_id maker, struct span organisation)
{
    return answers_for(r, maker, organisation) && !standing_gap(r, maker);
}

const struct member *registry_device_word(const struct registry *r, struct node_id node)
{
    for (uint32_t next = first_of(r, node); next != 0; next = ROW(r->device, next - 1).next_plus_one) {
        const struct device_row *d = &ROW(r->device, next - 1);
        if (d->in_place && answers_for(r, maker_of(d), d->member.organisation)) return &d->member;
    }
    return NULL;
}

const struct member *device_find(const struct registry *r, struct node_id node)
{
    const struct member *best = NULL;
    for (uint32_t next = first_of(r, node); next != 0; next = ROW(r->device, next - 1).next_plus_one) {
        const struct device_row *d = &ROW(r->device, next - 1);
        if (!d->in_place || !may_admit(r, maker_of(d), d->member.organisation)) continue;
        if (best == NULL || memcmp(d->member.admission->id.bytes, best->admission->id.bytes, 32) < 0)
            best = &d->member;
    }
    return best;
}

struct verdict device_preview(const struct registry *r, struct node_id author, const struct body_MEMBER *b)
{
    struct verdict v = check(r);
    if (v.refusal == REFUSAL_NONE) v = registry_check_author(r, author);
    if (v.refusal == REFUSAL_NONE) v = registry_check_role(r, author, ROLE_MAKER);
    if (v.refusal != REFUSAL_NONE) return v;
    if (registry_member(r, b->node) != NULL) return verdict_refuse(REFUSAL_EXISTS, b->node.bytes);
    bool more = registry_device_count(r, author) < r->charter->maker_devices;
    return more && may_admit(r, author, b->organisation) ? VERDICT_OK
                                                         : verdict_refuse(REFUSAL_DEVICES, author.bytes);
}
