/* Who holds what: heads are compared, gaps are asked for (PROTOCOL.md "Catch-up"). */
#include "proto/core_state.h"

#include "proto/skew.h"

#include <string.h>

enum {
    GET_MAX = 256,
    ANSWER_MS = 5000,   /* of who has its turn to answer, for its first record */
    ANSWER_RECORDS = 8, /* so many that were news here buy as much time again */
    QUICK_MS = 1000,    /* who has answered all by then has kept nobody waiting */
    TURN_LEAST = 16,    /* records asked for within TURN_ASKED_MS: fewer come as soon without a turn */
    TURN_ASKED_MS = 1000,
    TURN_MOST_MS = 60000, /* for all of them */
    PASSED_MS =
        60000, /* who let it pass while others wanted it has none so long, and twice as long each time */
    PASSED_DOUBLINGS = 6,
    QUICK_DOUBLINGS = 3,
    TURN_RECORDS_MAX = 4 * GET_MAX,
    GET_BYTES_A_SECOND = 4 << 20,
    GET_FILLS_MS = 2000,
    FOUNDERS_BYTES = HEADS_ITEM_BYTES * CAP_STEWARDS,
    BRANCH_BYTES = HEADS_RADIX * 32,
    PATIENCE_MOST_MS = 16 * HEADS_MS, /* with the answers to a comparison */
};
_Static_assert((int)HEADS_ITEMS *HEADS_ITEM_BYTES <= 65520 && (int)FOUNDERS_BYTES <= 65520,
               "they fit their message");

/* --- In touch, and in time ---------------------------------------------------------------------------------------------- */

/* Three in a lease, so that a lost one is not taken for silence. */
static int64_t heads_every_ms(const struct charter *charter)
{
    int64_t third = charter->lease_ms / 3;
    return third > HEADS_MS ? HEADS_MS : third > TICK_MS ? third : TICK_MS;
}

/* After this long without a word from a custodian this node may have missed what it should know. */
static int64_t silence_ms(const struct charter *charter)
{
    int64_t least = 3 * heads_every_ms(charter);
    return charter->lease_ms > least ? charter->lease_ms : least;
}

static bool silent(const struct core *c, const struct charter *charter, const struct peer *p)
{
    return (c->now.ns - p->heard_ns) / 1000000 > silence_ms(charter);
}

bool core_in_touch(const struct core *c, struct node_id node, uint64_t *silent_ms)
{
    *silent_ms = 0;
    for (uint32_t i = 0; i < c->peer_count; i++) {
        const struct peer_view *p = &c->peer[i].view;
        if (!ID_EQUAL(p->node, node) || !p->up) continue;
        const int64_t ms = (c->now.ns - p->there_ns) / 1000000;
        *silent_ms = ms > 0 ? (uint64_t)ms : 0;
        return ms <= silence_ms(registry_charter_bytes(c->registry));
    }
    return false;
}

/* Are members too many to be all linked with each other, this node among them? */
static bool are_many(struct core *c)
{
    return c->dialling.members > VIEW_ALL && core_member(c, c->options.self, 0);
}

bool core_needs_custodians(struct core *c)
{
    return !are_many(c) || c->unshown || own_custodian(c) >= 0 ||
           core_member(c, c->options.self, ROLE_COMPUTE);
}

bool core_needs_link(struct core *c, struct node_id node)
{
    const struct charter *charter = registry_charter_bytes(c->registry);
    if (!are_many(c) || ID_EQUAL(node, c->options.self)) return true;
    if (charter_custodian(charter, node) >= 0 && !core_needs_custodians(c)) return false;
    return core_party(c, node);
}

bool core_cut_off(struct core *c)
{
    if (core_needs_custodians(c)) return c->unshown || core_isolated(c);
    for (uint32_t i = 0; i < c->peer_count; i++)
        if (c->peer[i].view.up && core_lasting(c, c->peer[i].view.node) != NULL) return false;
    return true;
}

/* The clocks of the other custodians that are in touch. */
static uint32_t clocks_in_touch(const struct core *c, const struct charter *charter,
                                int64_t clock[CAP_CUSTODIANS])
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < c->peer_count; i++) {
        const struct peer *p = &c->peer[i];
        if (!p->compared || silent(c, charter, p) || charter_custodian(charter, p->view.node) < 0) continue;
        ASSERT(count < CAP_CUSTODIANS);
        clock[count++] = p->clock_ms;
    }
    return count;
}

bool core_isolated(const struct core *c)
{
    const struct charter *charter = registry_charter_bytes(c->registry);
    int64_t clock[CAP_CUSTODIANS];
    return clocks_in_touch(c, charter, clock) + 1 < charter->q;
}

bool core_clock_offset(const struct core *c, int64_t *offset_ms)
{
    const struct charter *charter = registry_charter_bytes(c->registry);
    int64_t clock[CAP_CUSTODIANS + 1], own = skew_clock(c->wall_ms, c->now);
    uint32_t count = clocks_in_touch(c, charter, clock);
    if (own_custodian(c) >= 0) clock[count++] = own;
    if (count < charter->q) return false;
    *offset_ms = own - skew_median(clock, count);
    return true;
}

bool sync_clock_off(const struct core *c)
{
    int64_t offset_ms = 0, most = registry_charter_bytes(c->registry)->skew_max_ms;
    return core_clock_offset(c, &offset_ms) && (offset_ms > most || offset_ms < -most);
}

bool core_peer_clock_off(const struct core *c, struct node_id node, bool answers, int64_t *offset_ms)
{
    const struct charter *charter = registry_charter_bytes(c->registry);
    const int64_t most = answers ? charter->skew_max_ms : (int64_t)charter_ahead_max_ms(charter);
    int64_t own_ms;
    for (uint32_t i = 0; i < c->peer_count; i++) {
        const struct peer *p = &c->peer[i];
        if (!ID_EQUAL(p->view.node, node) || !p->view.up || p->heard_ns == 0) continue;
        if (!core_clock_offset(c, &own_ms)) return false;
        *offset_ms = p->clock_ms - (skew_clock(c->wall_ms, c->now) - own_ms);
        return *offset_ms > most || *offset_ms < -most;
    }
    return false;
}

bool sync_compared_with_quorum(const struct core *c)
{
    const struct charter *charter = registry_charter_bytes(c->registry);
    int64_t clock[CAP_CUSTODIANS];
    return clocks_in_touch(c, charter, clock) + (own_custodian(c) >= 0) >= charter->q;
}

enum refusal core_standing(const struct core *c)
{
    if (c->silence != SILENCE_NONE) return REFUSAL_SILENT;
    if (c->promise_lost) return REFUSAL_PROMISE_LOST;
    if (core_isolated(c)) return REFUSAL_ISOLATED;
    return sync_clock_off(c) ? REFUSAL_CLOCK : REFUSAL_NONE;
}

static void watch_clock(struct core *c)
{
    enum refusal standing = own_custodian(c) >= 0 ? core_standing(c) : REFUSAL_ISOLATED;
    bool off = standing == REFUSAL_CLOCK;
    if (standing == REFUSAL_ISOLATED || off == c->clock_off) return;
    c->clock_off = off;
    notice(c,
           off ? "the clock is too far from the other custodians': this node neither votes nor releases"
               : "the clock agrees with the other custodians' again",
           SPAN_NONE, NULL);
}

/* --- Heads --------------------------------------------------------------------------------------------------------------- */

/* One known equivocation with each heads message, in turn: whoever missed it learns of it. */
static void tell_next_pair(struct core *c, struct peer *p)
{
    if (!core_member(c, p->view.node, 0)) return;
    for (uint32_t i = 0; i < c->chain.author_count; i++) {
        const struct author *a = &ROW(c->chain.author, p->pair_next++ % c->chain.author_count);
        if (a->frozen == 0) continue;
        ingest_tell_pair(c, p->view.node, a);
        return;
    }
}

/* And one revocation or removal that heads do not show, since it stands behind a hole or the disk has not taken it: it must reach all.
 * Each time another author's, and of one author another one. */
static void tell_next_early(struct core *c, struct peer *p)
{
    const uint32_t count = c->chain.author_count;
    if (!core_member(c, p->view.node, 0)) return;
    for (uint32_t i = 0; i < count; i++, p->early_next++) {
        const struct author *a = &ROW(c->chain.author, p->early_next % count);
        const struct record *early = chain_early(&c->chain, a, p->early_next / count);
        if (early == NULL) continue;
        p->early_next++;
        mesh_send(c, p->view.node, early);
        return;
    }
}

static struct span encode(struct core *c, enum message code, const void *message, size_t most)
{
    struct buffer b = scratch_buffer(c, most + 128);
    message_encode(&b, code, message);
    return buffer_span(&b);
}

struct hash32 core_root(struct core *c)
{
    const struct heads_prefix all = {0, {{0}}};
    heads_update(&c->heads);
    return heads_hash(&c->heads, &all);
}

/* Who is no member is told of the founders only. */
static struct span founders_heads(struct core *c)
{
    const struct charter *charter = registry_charter_bytes(c->registry);
    struct buffer b = scratch_buffer(c, FOUNDERS_BYTES);
    for (uint32_t i = 0; i < charter->steward_count; i++) {
        struct record_id head;
        const struct author *a = chain_author(&c->chain, charter->member[charter->steward[i]].node);
        if (a == NULL) continue;
        buffer_put(&b, ID_SPAN(a->node));
        buffer_put_u64(&b, chain_shown(&c->chain, chain_author_row(&c->chain, a->node), &head));
        buffer_put(&b, ID_SPAN(head));
    }
    return buffer_span(&b);
}

/* What a peer is told of, and its hash: told again only in its turn. */
static struct span holdings(struct core *c, bool member, struct hash32 *hash)
{
    if (member) {
        const struct message_ROOT root = {c->wall_ms, core_root(c)};
        *hash = root.root;
        return encode(c, MESSAGE_ROOT_CODE, &root, 0);
    }
    const struct message_HEADS heads = {c->wall_ms, 0, 0, {{0}}, founders_heads(c)};
    *hash = sha256(heads.heads);
    return encode(c, MESSAGE_HEADS_CODE, &heads, heads.heads.len);
}

/* A member for which this node is none learns from the founders that it is one: their chains bring the rest. Before the root, which
 * says that this node takes it for a member. */
static void tell(struct core *c, struct peer *p)
{
    struct hash32 unused;
    const bool member = core_member(c, p->view.node, 0);
    if (member && p->a_stranger_to) send_message(c, p->view.node, holdings(c, false, &unused));
    send_message(c, p->view.node, holdings(c, member, &p->told));
    p->told_ns = c->now.ns;
    tell_next_pair(c, p);
    tell_next_early(c, p);
}

/* A place for a peer: strangers share a quarter of the table, devices another, and whoever is gone gives its place up; then
 * strangers do to all, and devices to other members. */
static struct peer *take_place(struct core *c, struct node_id node)
{
    enum tier own = core_tier(c, node);
    struct peer *gone = NULL, *least[TIER_MEMBER] = {NULL, NULL};
    uint32_t alike = 0;
    for (uint32_t i = 0; i < c->peer_count; i++) {
        struct peer *p = &c->peer[i];
        enum tier tier = core_tier(c, p->view.node);
        if (tier == own && p->view.up) alike++;
        if (tier < TIER_MEMBER && tier <= own && p->view.up) least[tier] = p;
        if (!p->view.up && (gone == NULL || tier == TIER_STRANGER)) gone = p;
    }
    if (own != TIER_MEMBER && alike >= c->options.caps->peers / 4) return NULL;
    struct peer *place = c->peer_count < c->options.caps->peers ? &c->peer[c->peer_count++]
                         : gone != NULL                         ? gone
                         : least[TIER_STRANGER] != NULL         ? least[TIER_STRANGER]
                                                                : least[TIER_DEVICE];
    if (place != NULL) place->view.up = false;
    if (place != NULL && place->link != 0) mesh_peer(c, place);
    if (place != NULL)
        *place = (struct peer){.view = {.node = node},
                               .serial = ++c->peer_serial,
                               .patience_ms = HEADS_MS,
                               .get_at_ns = c->now.ns - (int64_t)GET_FILLS_MS * 1000000};
    return place;
}

void sync_peer_up(struct core *c, struct node_id node)
{
    struct peer *p = peer_find(c, node);
    if (p == NULL) p = take_place(c, node);
    if (p == NULL) return;
    p->view.up = true;
    p->view.there_ns = c->now.ns;
    mesh_peer(c, p);
    tell(c, p);
}

/* What a peer had shown may be old by the time it comes back. */
static void compare_anew(struct peer *p)
{
    p->compared = false;
    p->open = 0;
    p->patience_ms = HEADS_MS;
}

void sync_peer_down(struct core *c, struct node_id node)
{
    struct peer *p = peer_find(c, node);
    if (p == NULL) return;
    p->view.up = false;
    mesh_peer(c, p);
    compare_anew(p);
}

/* Of all peers that are no members one at a time may answer as fast as a member does, or who catches up from devices would take four
 * records a second. Whoever has that turn keeps it by news, and comes after others when it let it pass while they wanted it. */
static bool turn_taken(const struct core *c)
{
    return c->answerer.serial != 0 && c->now.ns < c->answerer.until_ns;
}

static void extend_turn(struct core *c)
{
    const int64_t more_ns = c->answerer.until_ns + (int64_t)ANSWER_MS * 1000000 / ANSWER_RECORDS,
                  next_ns = c->now.ns + (int64_t)ANSWER_MS * 1000000,
                  last_ns = c->answerer.since_ns + (int64_t)TURN_MOST_MS * 1000000,
                  end_ns = more_ns < next_ns ? more_ns : next_ns;
    c->answerer.until_ns = end_ns < last_ns ? end_ns : last_ns;
}

static void let_pass(struct core *c)
{
    const bool quick = c->answerer.awaited == 0 && c->now.ns - c->answerer.since_ns <= QUICK_MS * 1000000;
    const uint8_t most = quick ? QUICK_DOUBLINGS : PASSED_DOUBLINGS;
    for (uint32_t i = 0; i < c->peer_count; i++) {
        struct peer *p = &c->peer[i];
        if (p->serial != c->answerer.serial) continue;
        p->passed_ns = c->now.ns + ((int64_t)PASSED_MS << (p->passed < most ? p->passed : most)) * 1000000;
        if (p->passed < most) p->passed++;
    }
}

/* At most so many in all. */
static void more_records(uint32_t *sum, uint64_t count)
{
    const uint32_t room = TURN_RECORDS_MAX - *sum;
    *sum += count < room ? (uint32_t)count : room;
}

static bool asked_for_many(const struct core *c, struct peer *p, uint64_t count)
{
    if (c->now.ns - p->asked_ns >= TURN_ASKED_MS * INT64_C(1000000)) {
        p->asked = 0;
        p->asked_ns = c->now.ns;
    }
    more_records(&p->asked, count);
    return p->asked >= TURN_LEAST;
}

static void give_turn(struct core *c, struct node_id of, uint64_t count)
{
    struct peer *p = peer_find(c, of);
    if (p == NULL || core_tier(c, of) == TIER_MEMBER || core_lasting(c, of) == NULL) return;
    const bool many = asked_for_many(c, p, count);
    if (c->now.ns < p->passed_ns) return;
    if (turn_taken(c) && c->answerer.serial != p->serial) {
        c->answerer.wanted |= many;
    } else if (turn_taken(c)) {
        more_records(&c->answerer.awaited, count);
    } else if (many) {
        if (c->answerer.serial != 0 && c->answerer.wanted) let_pass(c); /* it said too little in its time */
        c->answerer.serial = 0;
        if (c->now.ns < p->passed_ns) return;
        c->answerer.serial = p->serial;
        c->answerer.awaited = c->answerer.answers = c->answerer.news = 0;
        c->answerer.wanted = false;
        c->answerer.since_ns = c->now.ns;
        c->answerer.until_ns = c->now.ns + (int64_t)ANSWER_MS * 1000000;
        more_records(&c->answerer.awaited, p->asked);
    }
}

bool sync_has_turn(const struct core *c, const struct peer *p)
{
    return c->answerer.serial == p->serial && c->answerer.awaited > 0 && c->now.ns < c->answerer.until_ns;
}

void sync_answered(struct core *c, struct node_id from, bool news)
{
    struct peer *p = peer_find(c, from);
    if (p != NULL && p->asked > 0) p->asked--;
    if (p == NULL || !sync_has_turn(c, p)) return;
    c->answerer.answers++;
    if (news) {
        c->answerer.news++;
        extend_turn(c);
    }
    if (--c->answerer.awaited > 0) return;
    if (c->answerer.news >= c->answerer.answers / 2 + c->answerer.answers % 2)
        p->passed = 0;
    else if (c->answerer.wanted)
        let_pass(c); /* what it brought is held: others may have more */
    c->answerer.serial = 0;
}

static void ask(struct core *c, struct node_id of, struct node_id author, uint64_t first, uint64_t last)
{
    give_turn(c, of, last - first + 1);
    struct message_GET get = {author, first, last};
    struct buffer b = scratch_buffer(c, 96);
    message_encode(&b, MESSAGE_GET_CODE, &get);
    send_message(c, of, buffer_span(&b));
}

/* Does the peer hold another record where we hold one? */
static bool another_head(const struct core *c, struct node_id author, uint64_t seq, const uint8_t head[32])
{
    const struct record *held = chain_get(&c->chain, author, seq);
    return held != NULL && memcmp(held->id.bytes, head, 32) != 0;
}

/* Is it known that two chains of the author differ there? */
static bool known_fork(const struct author *a, uint64_t seq)
{
    return a != NULL && a->frozen != 0 && a->frozen <= seq;
}

/* The halves of the pair name different predecessors, and the chain held here runs through one of them: what is known is not yet where
 * the chains part. (A half whose predecessor is none leads nowhere.) */
static bool parts_lower(const struct core *c, const struct author *a)
{
    const struct record *held = chain_get(&c->chain, a->node, a->frozen),
                        *before = chain_get(&c->chain, a->node, a->frozen - 1);
    return held != NULL && before != NULL && ID_EQUAL(held->header.prev, before->id) &&
           !ID_EQUAL(a->pair->half[0].header.prev, a->pair->half[1].header.prev);
}

/* Two chains of one author differ at `seq`: ask for the other one from there down, until where they part has been found
 * (freeze asks on while the two do not name one predecessor). */
void sync_walk_down(struct core *c, struct node_id of, struct node_id author, uint64_t seq)
{
    ask(c, of, author, seq > GET_MAX ? seq - GET_MAX + 1 : 1, seq);
}

/* Does a head ahead of what is held here mean that this node may have missed what counts? Whoever signs what cannot be had
 * would otherwise keep every custodian that hears of it from being in touch. So not
 *  - of an author known to have said two things in one place, once all below that is held: what acts from there on only settles or
 *    takes back;
 *  - of one whose next record is held and has no turn, nor of one without a place: nothing behind that has an effect, but
 *    what acts on receipt, and takes back what is suspended already;
 *  - of one known to have a gap: its approvals and grants are suspended until it is closed. A steward's voices are not. */
static bool may_matter(const struct core *c, struct node_id author, const struct author *a)
{
    struct record_id head;
    if (!chain_room(&c->chain, author, KIND_REVOCATION, 0, 0)) return false;
    if (a == NULL) return true;
    if (a->frozen != 0) return a->applied + 1 < a->frozen;
    if (chain_tip(&c->chain, a, &head) > a->applied) return false;
    bool steward = charter_steward(registry_charter_bytes(c->registry), author) >= 0;
    return steward || chain_whole(&c->chain, author);
}

/* The last of this author that need not be asked for. */
static uint64_t held_up_to(const struct core *c, const struct author *a)
{
    struct record_id head;
    if (a == NULL) return 0;
    const bool forked = a->frozen != 0 && a->applied + 1 >= a->frozen;
    return forked ? a->seen : chain_tip(&c->chain, a, &head);
}

/* As many records as may be looked at here at once, for one that answers. */
static uint64_t get_most(const struct core *c)
{
    const uint32_t share = pending_part(c, MEMBER_PENDING_16THS);
    return share < GET_MAX ? share : GET_MAX;
}

/* What it says of one author, in a comparison or unasked: asks for what is missing here. Is something that may matter? */
static bool is_ahead(struct core *c, struct node_id from, const uint8_t item[HEADS_ITEM_BYTES], bool compared)
{
    struct node_id author;
    memcpy(author.bytes, item, 32);
    uint64_t theirs = load_u64(item + 32);
    const struct author *a = chain_author(&c->chain, author);
    uint64_t ours = held_up_to(c, a);
    if (theirs > UINT_TIME || !registry_may_write(c->registry, author)) return false;
    const bool other = another_head(c, author, theirs, item + 40), known = known_fork(a, theirs),
               fork = other && !known;
    if (compared && other && known && parts_lower(c, a) && mesh_may_walk(c, author))
        sync_walk_down(c, from, author, a->frozen - 1);
    if (theirs <= ours && !fork) return false;
    if (fork)
        sync_walk_down(c, from, author, theirs);
    else if (ours < CAP_AUTHOR_RECORDS) /* more would not be kept */
        ask(c, from, author, ours + 1, theirs < ours + get_most(c) ? theirs : ours + get_most(c));
    return may_matter(c, author, a);
}

/* How much of this node's own chain does it hold? */
static void note_own(struct core *c, struct peer *p, const uint8_t item[HEADS_ITEM_BYTES])
{
    const struct record *held = chain_get(&c->chain, c->options.self, load_u64(item + 32));
    bool own = ids_equal(item, c->options.self.bytes);
    if (own && held != NULL && memcmp(held->id.bytes, item + 40, 32) == 0) p->view.own_seq = held->header.seq;
}

/* It is there, and this is its clock. */
static void note_presence(struct core *c, struct peer *p, uint64_t time_ms)
{
    if (silent(c, registry_charter_bytes(c->registry), p)) compare_anew(p);
    p->heard_ns = p->view.there_ns = c->now.ns;
    p->clock_ms = skew_clock(time_ms, c->now);
}

/* --- Comparing: root, branches, heads ------------------------------------------------------------------------------------ */

static void ask_branch(struct core *c, struct peer *p, const struct heads_prefix *prefix)
{
    const struct message_BRANCH_GET m = {p->turn, prefix->depth, prefix->bits};
    p->open++;
    send_message(c, p->view.node, encode(c, MESSAGE_BRANCH_GET_CODE, &m, 0));
}

/* A peer has compared once all that it holds otherwise has shown nothing that is not held here. */
static void branch_seen(struct core *c, struct peer *p, bool behind)
{
    p->behind |= behind;
    p->answer_ns = c->now.ns;
    if (--p->open == 0 && !p->behind) p->compared = true;
    if (p->open == 0) p->patience_ms = HEADS_MS;
    silence_shown(c);
}

/* All of this node's own chain. */
static void holds_own(struct core *c, struct peer *p)
{
    struct record_id head;
    const struct author *own = chain_author(&c->chain, c->options.self);
    if (own != NULL) p->view.own_seq = chain_shown(&c->chain, chain_author_row(&c->chain, own->node), &head);
}

static void same_root(struct core *c, struct peer *p)
{
    p->open = 0;
    p->patience_ms = HEADS_MS;
    p->compared = true;
    holds_own(c, p);
    silence_shown(c);
}

/* An answer may be lost, or not come for want of room: then it is compared from the root again, and waited for longer, since what is
 * far away may only be slow. */
static void compare_from_root(struct core *c, struct peer *p)
{
    const struct heads_prefix all = {0, {{0}}};
    if (p->open > 0 && p->patience_ms < PATIENCE_MOST_MS) p->patience_ms *= 2;
    p->open = 0;
    p->behind = false;
    p->turn = p->turn == UINT32_MAX ? 1 : p->turn + 1;
    p->answer_ns = c->now.ns;
    ask_branch(c, p, &all);
}

void sync_root(struct core *c, struct node_id from, const struct message_ROOT *m)
{
    const struct hash32 own = core_root(c);
    struct peer *p = peer_find(c, from);
    if (p == NULL) return;
    note_presence(c, p, m->time);
    p->a_stranger_to = false;
    if (core_lasting(c, from) == NULL) return;
    if (ID_EQUAL(m->root, own))
        same_root(c, p);
    else if (p->open == 0 || c->now.ns - p->answer_ns >= (int64_t)p->patience_ms * 1000000)
        compare_from_root(c, p);
}

void sync_branch(struct core *c, struct node_id from, const struct message_BRANCH *m)
{
    const struct heads_prefix prefix = {(uint32_t)m->depth, m->prefix};
    struct peer *p = peer_find(c, from);
    if (!heads_prefix_valid(&prefix) || m->hashes.len != BRANCH_BYTES) {
        offence(c, from, "malformed message from");
        return;
    }
    if (p == NULL || p->open == 0 || m->turn != p->turn || core_lasting(c, from) == NULL) return;
    heads_update(&c->heads);
    p->behind |= !step_has_room(c); /* what is not asked for now was not seen */
    for (uint32_t i = 0; i < HEADS_RADIX && step_has_room(c); i++) {
        const struct heads_prefix child = heads_child(&prefix, i);
        const struct hash32 own = heads_hash(&c->heads, &child);
        struct hash32 theirs;
        memcpy(theirs.bytes, m->hashes.data + 32 * (size_t)i, 32);
        if (!ID_IS_ZERO(theirs) && !ID_EQUAL(theirs, own)) ask_branch(c, p, &child);
        if (ID_EQUAL(theirs, own) && heads_under(&child, c->options.self)) holds_own(c, p);
    }
    branch_seen(c, p, false);
}

/* Asked for, or of a member to who is none: all that it tells of. */
void sync_heads(struct core *c, struct node_id from, const struct message_HEADS *m)
{
    const struct heads_prefix prefix = {(uint32_t)m->depth, m->prefix};
    struct peer *p = peer_find(c, from);
    bool behind = false;
    if (m->heads.len % HEADS_ITEM_BYTES != 0 || !heads_prefix_valid(&prefix)) {
        offence(c, from, "malformed message from");
        return;
    }
    if (p != NULL) note_presence(c, p, m->time);
    const bool compared = p != NULL && p->open > 0 && m->turn == p->turn && core_lasting(c, from) != NULL;
    for (size_t at = 0; at < m->heads.len; at += HEADS_ITEM_BYTES) {
        if (p != NULL) note_own(c, p, m->heads.data + at);
        behind |= is_ahead(c, from, m->heads.data + at, compared);
    }
    if (p == NULL) return;
    const bool unasked = m->turn == 0 && m->depth == 0;
    if (unasked) p->a_stranger_to = true;
    if (unasked && p->open == 0 && !core_member(c, c->options.self, 0)) { /* it is told of no more */
        p->open = 1;
        p->behind = false;
        branch_seen(c, p, behind);
    } else if (p->open > 0 && m->turn == p->turn) {
        branch_seen(c, p, behind);
    }
}

/* A question of sixty bytes has an answer of up to 256 records. What a peer may be sent so fills up again with time; what
 * it is not sent now it asks for again. */
static void refill(const struct core *c, struct peer *p, bool member)
{
    uint64_t a_second = member ? GET_BYTES_A_SECOND : GET_BYTES_A_SECOND / 16,
             most = a_second * GET_FILLS_MS / 1000;
    uint64_t past_ms = (uint64_t)(c->now.ns - p->get_at_ns) / 1000000;
    p->get_bytes = past_ms >= GET_FILLS_MS ? most : p->get_bytes + past_ms * a_second / 1000;
    if (p->get_bytes > most) p->get_bytes = most;
    p->get_at_ns += (int64_t)past_ms * 1000000; /* what is left of a millisecond counts the next time */
}

bool sync_afford(struct core *c, struct peer *p, size_t bytes)
{
    refill(c, p, core_tier(c, p->view.node) == TIER_MEMBER);
    if (bytes > p->get_bytes) return false;
    p->get_bytes -= bytes;
    return true;
}

void sync_get(struct core *c, struct node_id from, const struct message_GET *m)
{
    struct peer *p = peer_find(c, from);
    bool member = core_member(c, from, 0);
    if (p == NULL) return;
    refill(c, p, core_tier(c, from) == TIER_MEMBER);
    uint64_t last = m->to < m->from + GET_MAX ? m->to : m->from + GET_MAX - 1;
    for (uint64_t seq = m->from; seq <= last && step_has_room(c); seq++) {
        const struct record *r = chain_get(&c->chain, m->author, seq);
        if (r == NULL || r->body.len + CAP_HEADER_BYTES > p->get_bytes) break;
        if (!member && !ingest_open(c, r, from)) continue;
        struct buffer b = scratch_buffer(c, r->body.len + CAP_HEADER_BYTES + 160);
        record_encode(&b, r);
        send_message(c, from, buffer_span(&b));
        p->get_bytes -= r->body.len + CAP_HEADER_BYTES;
    }
}

/* Branches as long as there are many heads under them. Who is no member is told of the founders, and asks for nothing else. */
void sync_branch_get(struct core *c, struct node_id from, const struct message_BRANCH_GET *m)
{
    const struct heads_prefix prefix = {(uint32_t)m->depth, m->prefix};
    struct peer *p = peer_find(c, from);
    if (!heads_prefix_valid(&prefix)) {
        offence(c, from, "malformed message from");
        return;
    }
    if (p == NULL || !core_member(c, from, 0)) return;
    heads_update(&c->heads);
    const uint32_t count = heads_count(&c->heads, &prefix);
    const size_t bytes = count <= HEADS_ITEMS ? (size_t)count * HEADS_ITEM_BYTES : BRANCH_BYTES;
    if (!sync_afford(c, p, bytes + CAP_HEADER_BYTES)) return;
    struct buffer b = scratch_buffer(c, bytes);
    if (count <= HEADS_ITEMS) {
        heads_put(&c->heads, &b, &prefix);
        const struct message_HEADS heads = {c->wall_ms, m->turn, prefix.depth, prefix.bits, buffer_span(&b)};
        send_message(c, from, encode(c, MESSAGE_HEADS_CODE, &heads, bytes));
        return;
    }
    for (uint32_t i = 0; i < HEADS_RADIX; i++) {
        const struct heads_prefix child = heads_child(&prefix, i);
        const struct hash32 hash = heads_hash(&c->heads, &child);
        buffer_put(&b, ID_SPAN(hash));
    }
    const struct message_BRANCH branch = {m->turn, prefix.depth, prefix.bits, buffer_span(&b)};
    send_message(c, from, encode(c, MESSAGE_BRANCH_CODE, &branch, bytes));
}

/* When it changed, and now and then. */
static void tell_peer(struct core *c, struct peer *p, int64_t every_ms)
{
    const int64_t ms = (c->now.ns - p->told_ns) / 1000000;
    struct hash32 hash;
    if (ms < TICK_MS && ms >= 0) return;
    (void)holdings(c, core_member(c, p->view.node, 0), &hash);
    if (ms >= every_ms || !ID_EQUAL(hash, p->told)) tell(c, p);
}

/* Do fewer custodians show that they hold the last own revocation than make it final? */
static bool takes_back(const struct core *c)
{
    const struct charter *charter = registry_charter_bytes(c->registry);
    const uint32_t keys = charter_stops(charter, charter->t), output = charter_stops(charter, charter->q);
    uint32_t heard = own_custodian(c) >= 0;
    if (c->taken_back_seq == 0) return false;
    for (uint32_t i = 0; i < c->peer_count; i++) {
        const struct peer_view *p = &c->peer[i].view;
        heard += p->own_seq >= c->taken_back_seq && charter_custodian(charter, p->node) >= 0;
    }
    return heard < (keys > output ? keys : output);
}

void sync_tick(struct core *c)
{
    int64_t every_ms = heads_every_ms(registry_charter_bytes(c->registry));
    c->takes_back = takes_back(c);
    watch_clock(c);
    mesh_peers(c);
    for (uint32_t i = 0; i < c->peer_count && step_has_room(c); i++)
        if (c->peer[i].view.up) tell_peer(c, &c->peer[i], every_ms);
}
