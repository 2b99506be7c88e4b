#include "proto/view.h"

#include "proto/base/panic.h"

#include <string.h>

enum {
    NS_A_MS = 1000000,
    DIALS_A_TICK = 4,
    RESTORED_TRIES = 5,             /* in vain: about half an hour */
    ORGANISATION_PART = 4,          /* of the table: a quarter for one, where others want it */
    MESH_MAX = 4 * VIEW_LINKS_MOST, /* of which jurisdictions and organisations are looked at */
};

struct row {
    struct node_id node;
    uint64_t time_ms, expires_ms;
    int64_t up_ns;   /* since when its link stands, while it is dialled; 0: it does not */
    int64_t down_ns; /* since when it is dialled and has none; 0: it has */
    int64_t next_ns; /* not dialled before */
    int64_t seen_ns; /* an anchor: when its link was seen last */
    uint16_t packed_len;
    uint8_t address_len, failures;
    enum view_need need;
    bool dialled, party, anchor;
    bool served;   /* it was a party, and is dialled still: the first to be let go */
    bool restored; /* dialled before the last restart, and not linked since */
    bool moved;    /* since it was dialled */
    bool lost;     /* it had a link, and has none: it may have no place for this node any more */
    uint8_t address[CONTACT_ADDRESS_MAX];
    uint8_t packed[VIEW_PACKED_MAX];
};

struct view {
    struct view_holder holder;
    struct row *row;
    uint32_t count, cap;
    uint64_t random;
    int64_t turn_ns; /* when the oldest gives way */
    bool alone;      /* nobody is linked: whoever may be there is tried, however lately it was in vain */
};

size_t view_bytes(uint32_t contacts)
{
    return ARENA_BYTES(1, sizeof(struct view)) + ARENA_BYTES(contacts, sizeof(struct row));
}

enum err view_new(struct view **out, struct arena *arena, uint32_t contacts, uint64_t salt,
                  const struct view_holder *holder)
{
    struct view *v = ARENA_NEW(arena, struct view);
    struct row *row = ARENA_ARRAY(arena, struct row, contacts);
    if (v == NULL || row == NULL) return ERR_NO_MEMORY;
    *v = (struct view){.holder = *holder, .row = row, .cap = contacts, .random = salt != 0 ? salt : 1};
    *out = v;
    return OK;
}

/* xorshift64*, Vigna 2016. */
uint64_t view_chance(struct view *v, uint64_t below)
{
    ASSERT(below > 0);
    v->random ^= v->random >> 12;
    v->random ^= v->random << 25;
    v->random ^= v->random >> 27;
    return v->random * UINT64_C(0x2545f4914f6cdd1d) % below;
}

/* --- Contacts ------------------------------------------------------------------------------------------------------------ */

static struct row *find(const struct view *v, struct node_id node)
{
    for (uint32_t i = 0; i < v->count; i++)
        if (ID_EQUAL(v->row[i].node, node)) return &v->row[i];
    return NULL;
}

bool view_newer(const struct view *v, struct node_id node, uint64_t time_ms)
{
    const struct row *r = find(v, node);
    return r == NULL || time_ms >= r->time_ms + VIEW_NEWER_MS;
}

static bool is_linked(const struct view *v, const struct row *r)
{
    return v->holder.linked(v->holder.context, r->node);
}

static bool is_of(const struct view *v, const struct row *r, struct span organisation)
{
    struct view_member member;
    return v->holder.member(v->holder.context, r->node, &member) &&
           span_equal(member.organisation, organisation);
}

static bool gives_way(const struct view *v, const struct row *r, enum view_need to)
{
    return (r->need < to || r->need == VIEW_ANYBODY) && !r->dialled && !r->anchor && !r->restored &&
           !is_linked(v, r);
}

/* In a full table one that is of no use now gives its place up: another one of the same organisation, if that has a quarter of all and
 * this one is not needed. */
static struct row *place(struct view *v, const struct view_member *of)
{
    uint32_t alike = 0;
    if (v->count < v->cap) return &v->row[v->count++];
    for (uint32_t i = 0; i < v->cap; i++) alike += is_of(v, &v->row[i], of->organisation);
    const bool own = alike >= v->cap / ORGANISATION_PART && of->need != VIEW_NEEDED;
    const uint32_t from = (uint32_t)view_chance(v, v->cap);
    for (uint32_t i = 0; i < v->cap; i++) {
        struct row *r = &v->row[(from + i) % v->cap];
        if (gives_way(v, r, of->need) && (!own || is_of(v, r, of->organisation))) return r;
    }
    return NULL;
}

static void hang_up(struct view *v, struct row *r)
{
    v->holder.hang_up(v->holder.context, r->node);
    r->dialled = r->served = r->lost = false;
    r->up_ns = r->down_ns = 0;
}

static void write_down(struct row *r, const struct view_contact *c)
{
    ASSERT(c->address.len <= sizeof r->address && c->packed.len <= sizeof r->packed);
    r->time_ms = c->time_ms;
    r->expires_ms = c->expires_ms;
    r->address_len = (uint8_t)c->address.len;
    r->packed_len = (uint16_t)c->packed.len;
    memcpy(r->address, c->address.data, c->address.len);
    memcpy(r->packed, c->packed.data, c->packed.len);
}

static void renew(struct row *r, const struct view_contact *c)
{
    const bool moved = !span_equal(span_make(r->address, r->address_len), c->address);
    r->moved |= moved && r->dialled;
    write_down(r, c);
}

bool view_learn(struct view *v, const struct view_contact *c)
{
    struct row *r = find(v, c->node);
    if (r != NULL) {
        if (view_newer(v, c->node, c->time_ms)) renew(r, c);
        return false;
    }
    struct view_member member = {.need = VIEW_ANYBODY}; /* restored, it may not be known yet */
    (void)v->holder.member(v->holder.context, c->node, &member);
    const bool more = v->count < v->cap;
    r = place(v, &member);
    if (r == NULL) return false;
    *r = (struct row){.node = c->node, .need = member.need};
    write_down(r, c);
    return more;
}

void view_restore(struct view *v, const struct view_contact *c)
{
    if (view_newer(v, c->node, c->time_ms) && (view_learn(v, c) || find(v, c->node) != NULL))
        find(v, c->node)->restored = true;
}

struct span view_packed(const struct view *v, struct node_id node)
{
    const struct row *r = find(v, node);
    return r != NULL ? span_make(r->packed, r->packed_len) : SPAN_NONE;
}

/* Algorithm R, Vitter 1985: rows stand as they came, and whoever sent many at once has them side by side. */
uint32_t view_draw(struct view *v, struct node_id but, struct span *out, uint32_t count)
{
    uint32_t seen = 0;
    for (uint32_t i = 0; i < v->count && count > 0; i++) {
        const struct row *r = &v->row[i];
        if (ID_EQUAL(r->node, but)) continue;
        const uint32_t at = seen < count ? seen : (uint32_t)view_chance(v, seen + 1);
        if (at < count) out[at] = span_make(r->packed, r->packed_len);
        seen++;
    }
    return seen < count ? seen : count;
}

void view_end(struct view *v)
{
    for (uint32_t i = 0; i < v->count; i++)
        if (v->row[i].dialled) hang_up(v, &v->row[i]);
}

/* --- Who is dialled --------------------------------------------------------------------------------------------------------- */

static void dial(struct view *v, struct row *r, int64_t now_ns)
{
    r->dialled = true;
    r->moved = false;
    r->up_ns = 0;
    r->down_ns = now_ns;
    v->holder.dial(v->holder.context, r->node, span_make(r->address, r->address_len));
}

/* In vain while nobody is linked, it may be for this node's own network. */
static void give_up(struct view *v, struct row *r, int64_t now_ns)
{
    int64_t ms = VIEW_AGAIN_MS;
    for (uint32_t i = 0; i < r->failures && ms < VIEW_AGAIN_MOST_MS; i++) ms *= 2;
    if (ms > VIEW_AGAIN_MOST_MS) ms = VIEW_AGAIN_MOST_MS;
    if (!v->alone && r->failures < UINT8_MAX) r->failures++;
    r->restored &= r->failures < RESTORED_TRIES;
    hang_up(v, r);
    r->next_ns = now_ns + ms * NS_A_MS;
}

/* Its link came or went. */
static void look_at_link(struct view *v, struct row *r, int64_t now_ns)
{
    if (is_linked(v, r)) {
        if (r->up_ns == 0) r->up_ns = now_ns;
        r->down_ns = 0;
        if (now_ns - r->up_ns >= (int64_t)VIEW_STEADY_MS * NS_A_MS) r->failures = 0;
        r->restored = r->lost = false;
        return;
    }
    r->lost |= r->up_ns != 0;
    r->up_ns = 0;
    if (r->down_ns == 0) r->down_ns = now_ns;
    const int64_t patience_ms = r->lost && !r->anchor && !r->party ? VIEW_LOST_MS : VIEW_TRY_MS;
    const bool in_vain = now_ns - r->down_ns >= patience_ms * NS_A_MS;
    if (in_vain && !r->party) give_up(v, r, now_ns);
    if (in_vain && r->party && r->moved) hang_up(v, r); /* and is dialled where it is now */
    if (r->dialled && in_vain) dial(v, r, now_ns);
}

static void forget(struct view *v, uint32_t at)
{
    if (v->row[at].dialled) hang_up(v, &v->row[at]);
    v->row[at] = v->row[--v->count];
}

/* Who is no member, or has not said for long where it is. */
static bool is_over(const struct view *v, const struct row *r, uint64_t wall_ms, struct view_member *member)
{
    return !v->holder.member(v->holder.context, r->node, member) ||
           (r->expires_ms <= wall_ms && !is_linked(v, r));
}

static void look_at_all(struct view *v, int64_t now_ns, uint64_t wall_ms)
{
    struct view_member member;
    for (uint32_t i = 0; i < v->count;) {
        struct row *r = &v->row[i];
        if (is_over(v, r, wall_ms, &member)) {
            forget(v, i);
            continue;
        }
        r->served = r->dialled && !r->anchor && !member.party && (r->party || r->served);
        r->party = member.party;
        r->need = member.need;
        if (r->dialled) look_at_link(v, r, now_ns);
        const bool wanted = r->party || (r->anchor && now_ns >= r->next_ns);
        if (wanted && !r->dialled && !is_linked(v, r)) dial(v, r, now_ns);
        i++;
    }
}

static bool in_mesh(const struct row *r)
{
    return r->dialled && !r->party;
}

static uint32_t mesh_count(const struct view *v)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < v->count; i++) count += in_mesh(&v->row[i]);
    return count;
}

/* --- Drawing another ----------------------------------------------------------------------------------------------------------- */

struct mesh {
    struct view_member member[MESH_MAX];
    uint32_t count, jurisdictions;
};

static bool has_jurisdiction(const struct mesh *m, struct span jurisdiction)
{
    for (uint32_t i = 0; i < m->count; i++)
        if (span_equal(m->member[i].jurisdiction, jurisdiction)) return true;
    return false;
}

static uint32_t of_organisation(const struct mesh *m, struct span organisation)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < m->count; i++) count += span_equal(m->member[i].organisation, organisation);
    return count;
}

static void mesh_look(const struct view *v, struct mesh *m)
{
    *m = (struct mesh){.count = 0};
    for (uint32_t i = 0; i < v->count && m->count < MESH_MAX; i++) {
        struct view_member member;
        if (!in_mesh(&v->row[i]) || !v->holder.member(v->holder.context, v->row[i].node, &member)) continue;
        m->jurisdictions += !has_jurisdiction(m, member.jurisdiction);
        m->member[m->count++] = member;
    }
}

enum { RANK_RESTORED, RANK_WANTED, RANK_SAME_PLACE, RANK_SAME_HOUSE = 4, RANK_NONE = 8 };

/* The least is dialled first. */
static uint32_t rank(const struct view *v, const struct row *r, const struct mesh *m, int64_t now_ns)
{
    struct view_member member;
    const bool lately = now_ns < r->next_ns;
    if (r->dialled || (lately && !v->alone) || is_linked(v, r) ||
        !v->holder.member(v->holder.context, r->node, &member))
        return RANK_NONE;
    if ((r->anchor || r->restored) && !lately)
        return RANK_RESTORED; /* they do not take all turns of others */
    const bool same_house = of_organisation(m, member.organisation) >= VIEW_OF_ORGANISATION,
               same_place = m->jurisdictions < VIEW_JURISDICTIONS && has_jurisdiction(m, member.jurisdiction);
    return RANK_WANTED + (same_place ? RANK_SAME_PLACE : 0) + (same_house ? RANK_SAME_HOUSE : 0);
}

/* One of the least rank, each as likely; NULL: there is none to dial. */
static struct row *another(struct view *v, int64_t now_ns)
{
    struct mesh mesh;
    struct row *found = NULL;
    uint32_t best = RANK_NONE, alike = 0;
    mesh_look(v, &mesh);
    for (uint32_t i = 0; i < v->count; i++) {
        const uint32_t own = rank(v, &v->row[i], &mesh, now_ns);
        if (own > best || own == RANK_NONE) continue;
        alike = own < best ? 1 : alike + 1;
        best = own;
        if (view_chance(v, alike) == 0) found = &v->row[i];
    }
    return found;
}

static bool wants_more(uint32_t mesh, uint32_t linked)
{
    return mesh < VIEW_DIALLED || (mesh < VIEW_LINKS && linked < VIEW_LINKS);
}

/* --- Letting go -------------------------------------------------------------------------------------------------------------- */

/* Dialled longest ago, but for anchors and those that were parties. */
static struct row *oldest(const struct view *v)
{
    struct row *found = NULL;
    for (uint32_t i = 0; i < v->count; i++) {
        struct row *r = &v->row[i];
        if (!in_mesh(r) || r->up_ns == 0 || r->anchor || r->served) continue;
        if (found == NULL || r->up_ns < found->up_ns) found = r;
    }
    return found;
}

/* Those whose links have stood longest; one that has none is waited for, for some minutes. */
static void choose_anchors(struct view *v, int64_t now_ns)
{
    uint32_t anchors = 0;
    for (uint32_t i = 0; i < v->count; i++) {
        struct row *r = &v->row[i];
        if (r->anchor && in_mesh(r) && r->up_ns != 0) r->seen_ns = now_ns;
        if (now_ns - r->seen_ns >= (int64_t)VIEW_STEADY_MS * NS_A_MS) r->anchor = false;
        anchors += r->anchor;
    }
    for (struct row *r; anchors < VIEW_ANCHORS && (r = oldest(v)) != NULL; anchors++) {
        r->anchor = true;
        r->seen_ns = now_ns;
    }
}

/* Who was a party, or else was dialled longest ago. */
static struct row *least_wanted(const struct view *v)
{
    for (uint32_t i = 0; i < v->count; i++)
        if (v->row[i].served && v->row[i].up_ns != 0) return &v->row[i];
    return oldest(v);
}

static int64_t next_turn_ns(struct view *v)
{
    return ((int64_t)VIEW_TURN_MS / 2 + (int64_t)view_chance(v, VIEW_TURN_MS)) * NS_A_MS;
}

static void take_turn(struct view *v, int64_t now_ns)
{
    if (v->turn_ns == 0) v->turn_ns = now_ns + next_turn_ns(v);
    if (now_ns < v->turn_ns) return;
    v->turn_ns = now_ns + next_turn_ns(v);
    struct row *leaves = least_wanted(v), *comes = another(v, now_ns);
    if (leaves == NULL || comes == NULL) return;
    hang_up(v, leaves);
    leaves->next_ns = now_ns + (int64_t)VIEW_AGAIN_MS * NS_A_MS;
    dial(v, comes, now_ns);
}

static void let_surplus_go(struct view *v, uint32_t linked)
{
    struct row *leaves = linked > VIEW_LINKS_MOST && mesh_count(v) > VIEW_DIALLED ? least_wanted(v) : NULL;
    if (leaves != NULL) hang_up(v, leaves);
}

void view_tick(struct view *v, int64_t now_ns, uint64_t wall_ms, uint32_t linked)
{
    v->alone = linked == 0;
    look_at_all(v, now_ns, wall_ms);
    choose_anchors(v, now_ns);
    take_turn(v, now_ns);
    let_surplus_go(v, linked);
    for (uint32_t n = 0; n < DIALS_A_TICK && wants_more(mesh_count(v), linked); n++) {
        struct row *r = another(v, now_ns);
        if (r == NULL) return;
        dial(v, r, now_ns);
    }
}

/* --- What is told of it ---------------------------------------------------------------------------------------------------------- */

enum { KEPT_ANCHORS, KEPT_LINKED, KEPT_RESTORED, KEPT_TRIED, KEPT_PARTIES, KEPT_ROUNDS };

static int kept_in(const struct row *r)
{
    if (r->anchor) return KEPT_ANCHORS;
    if (in_mesh(r) && r->up_ns != 0) return KEPT_LINKED;
    if (r->restored) return KEPT_RESTORED;
    return r->party ? KEPT_PARTIES : KEPT_TRIED;
}

static bool is_kept(const struct row *r)
{
    return r->dialled || r->anchor || r->restored;
}

uint32_t view_kept(const struct view *v, struct span *out)
{
    uint32_t count = 0;
    for (int round = KEPT_ANCHORS; round < KEPT_ROUNDS; round++)
        for (uint32_t i = 0; i < v->count && count < VIEW_KEPT_MAX; i++)
            if (is_kept(&v->row[i]) && kept_in(&v->row[i]) == round)
                out[count++] = span_make(v->row[i].packed, v->row[i].packed_len);
    return count;
}

struct view_counts view_count(const struct view *v)
{
    struct view_counts counts = {.known = v->count};
    for (uint32_t i = 0; i < v->count; i++) {
        counts.dialled += v->row[i].dialled;
        counts.parties += v->row[i].dialled && v->row[i].party;
    }
    return counts;
}

static void check_row(const struct row *r)
{
    ASSERT(r->address_len <= sizeof r->address && r->packed_len <= sizeof r->packed);
    ASSERT(r->dialled || (r->up_ns == 0 && r->down_ns == 0 && !r->lost));
    ASSERT(r->up_ns == 0 || (r->down_ns == 0 && !r->lost && !r->restored));
    ASSERT(!r->restored || r->failures < RESTORED_TRIES);
}

void view_check(const struct view *v)
{
    uint32_t anchors = 0;
    ASSERT(v->count <= v->cap);
    for (uint32_t i = 0; i < v->count; i++) {
        check_row(&v->row[i]);
        ASSERT(find(v, v->row[i].node) == &v->row[i]); /* each node once */
        anchors += v->row[i].anchor;
    }
    ASSERT(anchors <= VIEW_ANCHORS);
}
