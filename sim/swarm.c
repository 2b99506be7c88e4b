#include "sim/swarm.h"

#include "proto/charter.h"
#include "proto/core.h"
#include "sim/chance.h"
#include "sim/regions.h"

#include <string.h>

#define PPM(percent) ((percent)*10000u)

enum { BEGINNING_MS = 2000 }; /* when nodes join, make keys and publish */

/* --- Who takes part -------------------------------------------------------------------------------------------------------- */

static const char *const names[] = {"alder", "birch",   "cedar",  "elm",    "fir",
                                    "hazel", "juniper", "larch",  "maple",  "oak",
                                    "pine",  "rowan",   "spruce", "willow", "yew"};
enum { NAMES = sizeof names / sizeof names[0] };

static void add_party(struct scenario *s, struct chance *c, uint32_t roles, uint32_t rows)
{
    struct scenario_party *p = &s->party[s->party_count];
    const uint32_t region = (uint32_t)chance_below(c, REGIONS_COUNT);
    *p = (struct scenario_party){.name = span_text(names[s->party_count++]),
                                 .jurisdiction = span_text(regions_at(region)->jurisdiction),
                                 .region = region,
                                 .roles = roles,
                                 .rows = rows};
    if (chance_ppm(c, PPM(30)))
        p->drift_ppm = (int32_t)chance_within(c, 0, 2 * SCENARIO_DRIFT_PPM) - SCENARIO_DRIFT_PPM;
}

static uint32_t rows_of(struct chance *c)
{
    return (uint32_t)chance_within(c, 1, 40);
}

/* Custodians are stewards and most bring rows; then owners, nodes that compute, and who publishes and asks. */
static void draw_parties(struct scenario *s, struct chance *c)
{
    static const uint32_t sizes[] = {2, 3, 4, 4, 4, 5, 7};
    const uint32_t custodians = sizes[chance_below(c, sizeof sizes / sizeof sizes[0])];
    const uint32_t computes = (uint32_t)chance_within(c, 1, 3), seats = ROLE_CUSTODIAN | ROLE_STEWARD;
    for (uint32_t i = 0; i < custodians; i++) {
        const bool owner = i == 0 || chance_ppm(c, PPM(60));
        const bool compute = chance_ppm(c, PPM(10));
        add_party(s, c, seats | (owner ? ROLE_OWNER : 0) | (compute ? ROLE_COMPUTE : 0),
                  owner ? rows_of(c) : 0);
    }
    if (chance_ppm(c, PPM(30))) add_party(s, c, ROLE_OWNER, rows_of(c));
    for (uint32_t i = 0; i < computes; i++) add_party(s, c, ROLE_COMPUTE, 0);
    add_party(s, c, ROLE_ALGORITHM | ROLE_REQUESTER, 0);
    s->race = chance_ppm(c, PPM(25));
    if (s->race || chance_ppm(c, PPM(20))) add_party(s, c, ROLE_REQUESTER, 0);
}

/* Any thresholds under which quorums intersect. */
static void draw_charter(struct scenario *s, struct chance *c)
{
    const uint32_t n = scenario_count(s, ROLE_CUSTODIAN);
    s->f = (uint32_t)chance_within(c, 0, (n - 1) / 3);
    s->q = (uint32_t)chance_within(c, (n + s->f) / 2 + 1, n - s->f);
    const uint32_t apart = n + s->f - s->q + 1;
    s->t = (uint32_t)chance_within(c, apart > s->f ? apart : s->f + 1, n - s->f);
    s->s = scenario_count(s, ROLE_STEWARD) / 2 + 1;
    s->k = (uint32_t)chance_within(c, 1, scenario_willing(s));
    s->lease_ms = (uint32_t)chance_within(c, 1000, 6000);
    s->rank_delay_ms = (uint32_t)chance_within(c, 100, 1000);
    s->skew_max_ms = (uint32_t)chance_within(c, 2000, 20000);
}

static void draw_study(struct scenario *s, struct chance *c)
{
    s->epsilon_nano = chance_within(c, 1, 3) * 500000000;
    s->runs = (uint32_t)chance_within(c, 1, 4);
    s->every_ms = (uint32_t)chance_within(c, 100, 8000);
    s->compute_ms = (uint32_t)chance_within(c, 20, 6000);
    if (chance_ppm(c, PPM(25))) s->expires_ms = (uint32_t)chance_within(c, 1000, 12000);
    s->loss_ppm = chance_ppm(c, PPM(50)) ? 0 : (uint32_t)chance_below(c, PPM(2));
}

/* --- What goes wrong ---------------------------------------------------------------------------------------------------------- */

/* One of those with this role; all have some. */
static uint32_t one_of(const struct scenario *s, struct chance *c, uint32_t roles)
{
    uint64_t left = chance_below(c, scenario_count(s, roles));
    uint32_t i = 0;
    while ((s->party[i].roles & roles) == 0 || left-- > 0) i++;
    return i;
}

static struct scenario_fault *add_fault(struct scenario *s, struct chance *c, enum scenario_fault_kind kind)
{
    struct scenario_fault *f = &s->fault[s->fault_count++];
    *f = (struct scenario_fault){.kind = kind, .phase = RUN_STATE_COUNT};
    f->at_ms = (uint32_t)chance_below(c, chance_ppm(c, PPM(15)) ? BEGINNING_MS : SWARM_FAULTS_MS);
    const uint64_t left_ms = SWARM_FAULTS_MS - f->at_ms;
    const uint64_t most_ms = chance_ppm(c, PPM(50)) ? 2000 : 20000;
    f->for_ms = (uint32_t)chance_within(c, 1, left_ms < most_ms ? left_ms : most_ms);
    f->of.party = (uint32_t)chance_below(c, s->party_count);
    return f;
}

static void draw_fault(struct scenario *s, struct chance *c)
{
    static const enum scenario_fault_kind kinds[] = {FAULT_CRASH,   FAULT_CRASH, FAULT_CRASH, FAULT_PART,
                                                     FAULT_PART,    FAULT_SPLIT, FAULT_SPLIT, FAULT_ELECTED,
                                                     FAULT_ELECTED, FAULT_FULL,  FAULT_CLOCK};
    struct scenario_fault *f = add_fault(s, c, kinds[chance_below(c, sizeof kinds / sizeof kinds[0])]);
    const uint64_t others = s->party_count - 1, most_ms = 2 * (uint64_t)s->skew_max_ms;
    if (f->kind == FAULT_SPLIT)
        f->other.party = (f->of.party + 1 + (uint32_t)chance_below(c, others)) % s->party_count;
    if (f->kind == FAULT_FULL && chance_ppm(c, PPM(50))) f->of.party = one_of(s, c, ROLE_COMPUTE);
    if (f->kind == FAULT_CLOCK) f->by_ms = (int32_t)chance_within(c, 0, 2 * most_ms) - (int32_t)most_ms;
}

/* Custodians that restart at once, one after the other, while the first runs are computed: what they gave, they have forgotten. */
static void draw_restarts(struct scenario *s, struct chance *c)
{
    const uint64_t count = chance_within(c, 2, 6);
    for (uint64_t i = 0; i < count; i++) {
        struct scenario_fault *f = add_fault(s, c, FAULT_CRASH);
        f->of.party = one_of(s, c, ROLE_CUSTODIAN);
        f->at_ms = BEGINNING_MS + f->at_ms / 4;
        f->for_ms = (uint32_t)chance_within(c, 1, 300);
    }
}

static void draw_revocation(struct scenario *s, struct chance *c)
{
    static const enum run_state phases[] = {RUN_ATTESTED,  RUN_KEYED,     RUN_KEYED,
                                            RUN_COMPUTING, RUN_COMPUTING, RUN_COMMITTED};
    struct scenario_fault *f = add_fault(s, c, FAULT_REVOKE);
    uint64_t left = chance_below(c, scenario_willing(s));
    f->of.party = 0;
    while (s->party[f->of.party].rows == 0 || left-- > 0) f->of.party++;
    f->target = (enum scenario_target)chance_below(c, TARGET_COUNT);
    f->for_ms = 0;
    if (!chance_ppm(c, PPM(75))) return;
    f->phase = phases[chance_below(c, sizeof phases / sizeof phases[0])];
    f->at_ms = (uint32_t)chance_below(c, SWARM_FAULTS_MS / 4); /* of the first runs that come so far */
}

/* One host cheats; who forges may end its own candidacy for good, so another is there. */
static void draw_cheat(struct scenario *s, struct chance *c)
{
    static const enum scenario_fault_kind kinds[] = {FAULT_ROGUE, FAULT_TWIN, FAULT_FORGE};
    const bool others = scenario_count(s, ROLE_COMPUTE) > 1;
    struct scenario_fault *f = add_fault(s, c, kinds[chance_below(c, others ? 3 : 2)]);
    f->of.party = one_of(s, c, ROLE_COMPUTE);
    f->at_ms /= 4;
    f->for_ms = SWARM_FAULTS_MS - f->at_ms;
}

/* Members that break the protocol in what they send, or vote for whoever asks: of custodians no more than quorums bear. */
static void draw_members(struct scenario *s, struct chance *c)
{
    static const enum scenario_fault_kind kinds[] = {FAULT_WITHHOLD, FAULT_REPLAY, FAULT_FLOOD};
    const uint64_t liars = chance_within(c, 1, 2);
    for (uint64_t i = 0; i < liars; i++)
        (void)add_fault(s, c, kinds[chance_below(c, sizeof kinds / sizeof kinds[0])]);
    if (s->f > 0 && chance_ppm(c, PPM(50)))
        add_fault(s, c, FAULT_DOUBLE)->of.party = one_of(s, c, ROLE_CUSTODIAN);
    if (chance_ppm(c, PPM(20))) add_fault(s, c, FAULT_RETYPE)->for_ms = 0;
}

/* Owners that keep half of their key: all, or some. */
static void draw_vetoes(struct scenario *s, struct chance *c)
{
    const bool all = chance_ppm(c, PPM(30));
    for (uint32_t i = 0; i < s->party_count; i++)
        s->party[i].veto = s->party[i].rows > 0 && (all || chance_ppm(c, PPM(50)));
}

/* Whoever may: an owner without a seat, a node that computes, who asks. */
static void draw_equivocation(struct scenario *s, struct chance *c)
{
    struct scenario_fault *f = add_fault(s, c, FAULT_EQUIVOCATE);
    f->for_ms = 0;
    while (!scenario_befalls(s, f, f->of.party)) f->of.party = (f->of.party + 1) % s->party_count;
}

/* Hosts that lie about their enclaves, as long as another computes, or give them nothing; owners that serve nothing, or other bytes;
 * a custodian that gives to whoever asks, the same that votes so if one does. */
static void draw_liars(struct scenario *s, struct chance *c)
{
    static const enum scenario_fault_kind hosts[] = {FAULT_STALL, FAULT_STALE, FAULT_FAKE, FAULT_RELAY};
    const bool others = scenario_count(s, ROLE_COMPUTE) > 1;
    if (chance_ppm(c, PPM(50)))
        add_fault(s, c, hosts[chance_below(c, others ? 4 : 1)])->of.party = one_of(s, c, ROLE_COMPUTE);
    if (chance_ppm(c, PPM(50))) {
        struct scenario_fault *f = add_fault(s, c, chance_ppm(c, PPM(50)) ? FAULT_GARBLE : FAULT_STARVE);
        while (!scenario_befalls(s, f, f->of.party)) f->of.party = (f->of.party + 1) % s->party_count;
    }
    if (s->f == 0 || !chance_ppm(c, PPM(60))) return;
    struct scenario_fault *lax = add_fault(s, c, FAULT_LAX);
    lax->of.party = one_of(s, c, ROLE_CUSTODIAN);
    for (uint32_t i = 0; i < s->fault_count; i++)
        if (s->fault[i].kind == FAULT_DOUBLE) lax->of.party = s->fault[i].of.party;
}

/* People who sign round their node, where there are such: who asks has a node that signs nothing of its own accord. */
static void draw_bypass(struct scenario *s, struct chance *c)
{
    static const enum scenario_fault_kind kinds[] = {FAULT_PROBE, FAULT_SPOIL};
    struct scenario_fault *f = add_fault(s, c, kinds[chance_below(c, sizeof kinds / sizeof kinds[0])]);
    while (!scenario_befalls(s, f, f->of.party)) f->of.party = (f->of.party + 1) % s->party_count;
    f->at_ms /= 4;
    f->for_ms = SWARM_FAULTS_MS - f->at_ms;
}

/* Of those with this role some fall for good, so many at most; who brings rows, or asks, is needed. */
static void draw_losses(struct scenario *s, struct chance *c, uint32_t role, uint64_t most)
{
    const uint32_t needed =
        ROLE_REQUESTER | ROLE_ALGORITHM | (role == ROLE_COMPUTE ? ROLE_CUSTODIAN : ROLE_COMPUTE);
    for (uint32_t i = 0; i < s->party_count && most > 0; i++) {
        const struct scenario_party *p = &s->party[i];
        if ((p->roles & role) == 0 || (p->roles & needed) != 0 || p->rows > 0 || !chance_ppm(c, PPM(50)))
            continue;
        struct scenario_fault *f = add_fault(s, c, FAULT_LOSE);
        f->of.party = i;
        f->for_ms = 0;
        most--;
    }
}

/* A core is left, which makes progress without the others: as many custodians as quorums and thresholds need, beside one that lies if there is
 * one, and one that computes. */
static void draw_core(struct scenario *s, struct chance *c)
{
    const uint32_t n = scenario_count(s, ROLE_CUSTODIAN), most = s->q > s->t ? s->q : s->t;
    uint32_t liars = 0;
    bool lies = false; /* a host, after which it may stand for no run any more */
    for (uint32_t i = 0; i < s->fault_count; i++) {
        const enum scenario_fault_kind kind = s->fault[i].kind;
        const bool liar = kind == FAULT_DOUBLE || kind == FAULT_LAX;
        liars |= liar;
        lies |= liar &&
                (s->party[s->fault[i].of.party].roles & ROLE_COMPUTE) != 0; /* its key is silent for good */
        lies |= kind == FAULT_FORGE || kind == FAULT_STALE || kind == FAULT_FAKE || kind == FAULT_RELAY ||
                kind == FAULT_EQUIVOCATE;
    }
    if (n > most + liars) draw_losses(s, c, ROLE_CUSTODIAN, n - most - liars);
    if (!lies) draw_losses(s, c, ROLE_COMPUTE, scenario_count(s, ROLE_COMPUTE) - 1);
}

/* As far apart as the bound lets them be: whoever holds a lease slow and whoever gave it fast, or each at one end or the other. */
static void draw_clocks(struct scenario *s, struct chance *c)
{
    const bool worst = chance_ppm(c, PPM(50));
    for (uint32_t i = 0; i < s->party_count; i++) {
        const bool slow = worst ? (s->party[i].roles & ROLE_COMPUTE) != 0 : chance_ppm(c, PPM(50));
        s->party[i].drift_ppm = slow ? -SCENARIO_DRIFT_PPM : SCENARIO_DRIFT_PPM;
    }
}

void swarm_draw(struct scenario *out, struct swarm_room *room, uint64_t seed)
{
    struct chance c = chance_stream(seed, "swarm", 0);
    *out = (struct scenario){.name = SPAN_LITERAL("swarm"),
                             .description = SPAN_LITERAL(""),
                             .consortia = 1,
                             .party = room->party,
                             .fault = room->fault,
                             .for_ms = SWARM_FAULTS_MS + SWARM_HEALED_MS};
    _Static_assert((int)NAMES >= 7 + 1 + 3 + 2, "a name for everybody");
    draw_parties(out, &c);
    draw_charter(out, &c);
    draw_study(out, &c);
    const uint64_t faults = chance_below(&c, 11);
    for (uint64_t i = 0; i < faults; i++) draw_fault(out, &c);
    if (chance_ppm(&c, PPM(30))) draw_restarts(out, &c);
    if (chance_ppm(&c, PPM(50))) draw_revocation(out, &c);
    if (chance_ppm(&c, PPM(50))) draw_cheat(out, &c);
    if (chance_ppm(&c, PPM(40))) draw_members(out, &c);
    if (chance_ppm(&c, PPM(25))) draw_vetoes(out, &c);
    if (chance_ppm(&c, PPM(15))) draw_equivocation(out, &c);
    if (chance_ppm(&c, PPM(30))) draw_liars(out, &c);
    if (chance_ppm(&c, PPM(25))) draw_bypass(out, &c);
    if (chance_ppm(&c, PPM(30))) draw_core(out, &c);
    if (chance_ppm(&c, PPM(15))) draw_clocks(out, &c);
}

/* --- Smaller ----------------------------------------------------------------------------------------------------------------------- */

struct shrinking {
    struct scenario *s;
    struct scenario before;
    struct swarm_room *room, kept;
    swarm_breaks *breaks;
    void *context;
    uint32_t tries_left;
};

static void remember(struct shrinking *g)
{
    g->before = *g->s;
    g->kept = *g->room;
}

/* What was changed since stays if it still breaks. */
static bool stays(struct shrinking *g)
{
    if (g->tries_left > 0) {
        g->tries_left--;
        if (g->breaks(g->context, g->s)) return true;
    }
    *g->s = g->before;
    *g->room = g->kept;
    return false;
}

static bool without_faults(struct shrinking *g, uint32_t first, uint32_t count)
{
    struct scenario *s = g->s;
    remember(g);
    memmove(s->fault + first, s->fault + first + count, (s->fault_count - first - count) * sizeof *s->fault);
    s->fault_count -= count;
    return stays(g);
}

static void shrink_faults(struct shrinking *g)
{
    for (uint32_t size = g->s->fault_count; size > 0; size /= 2)
        for (uint32_t at = 0; at + size <= g->s->fault_count;)
            if (!without_faults(g, at, size)) at += size;
}

/* Thresholds that n custodians have by default. */
static void settle_thresholds(struct scenario *s)
{
    const uint32_t n = scenario_count(s, ROLE_CUSTODIAN), inputs = scenario_willing(s);
    s->f = (n - 1) / 3;
    s->q = s->t = n - s->f;
    s->s = scenario_count(s, ROLE_STEWARD) / 2 + 1;
    if (s->k > inputs) s->k = inputs;
}

static bool needs(const struct scenario *s, uint32_t party)
{
    for (uint32_t i = 0; i < s->fault_count; i++) {
        const struct scenario_fault *f = &s->fault[i];
        const enum scenario_fault_whom whom = scenario_fault_whom(f->kind);
        if (whom != FAULT_OF_NONE && scenario_has(s, &f->of, party)) return true;
        if (whom == FAULT_OF_PAIR && scenario_has(s, &f->other, party)) return true;
    }
    for (uint32_t role = 1; role < ROLE_ALL; role <<= 1)
        if ((s->party[party].roles & role) != 0 && scenario_count(s, role) == 1) return true;
    return s->party[party].devices > 0 || (s->party[party].rows > 0 && scenario_willing(s) == 1);
}

static void side_without(struct scenario_side *side, uint32_t party)
{
    if (side->party > party)
        side->party--;
    else if (side->more > 0 && party - side->party <= side->more)
        side->more--;
}

static void shrink_parties(struct shrinking *g)
{
    for (uint32_t at = g->s->party_count; at-- > 0;) {
        struct scenario *s = g->s;
        if (needs(s, at)) continue;
        remember(g);
        memmove(s->party + at, s->party + at + 1, (s->party_count - at - 1) * sizeof *s->party);
        s->party_count--;
        for (uint32_t i = 0; i < s->fault_count; i++) {
            side_without(&s->fault[i].of, at);
            side_without(&s->fault[i].other, at);
        }
        for (uint32_t i = 0; i < s->party_count; i++) s->party[i].maker -= s->party[i].maker > at;
        settle_thresholds(s);
        (void)stays(g);
    }
}

static void shrink_sizes(struct shrinking *g)
{
    struct scenario *s = g->s;
    remember(g);
    for (uint32_t i = 0; i < s->party_count; i++) {
        if (s->party[i].rows > 0) s->party[i].rows = 1;
        s->party[i].drift_ppm = 0;
    }
    s->loss_ppm = 0;
    (void)stays(g);
    remember(g);
    for (uint32_t i = 0; i < s->party_count; i++) s->party[i].veto = false;
    (void)stays(g);
    remember(g);
    s->race = false;
    (void)stays(g);
    remember(g);
    s->expires_ms = 0;
    (void)stays(g);
    for (bool less = true; less && s->runs > 1;) {
        remember(g);
        s->runs--;
        less = stays(g);
    }
}

void swarm_shrink(struct scenario *s, struct swarm_room *room, swarm_breaks *breaks, void *context,
                  uint32_t tries_max)
{
    struct shrinking g = {
        .s = s, .room = room, .breaks = breaks, .context = context, .tries_left = tries_max};
    shrink_faults(&g);
    shrink_sizes(&g);
    shrink_parties(&g);
    shrink_faults(&g); /* what one party less makes needless */
}
