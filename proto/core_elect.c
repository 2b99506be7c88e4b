/* Candidates: what each run is to this node, and asking custodians to elect it, in one term after another. */
#include "proto/core_state.h"

#include "proto/election.h"
#include "proto/enclave.h"
#include "proto/wire/pack.h"

#include <string.h>

/* --- Tracks --------------------------------------------------------------------------------------------------------------------------- */

struct run_track *track_find(struct core *c, struct run_id run)
{
    uint32_t row = index_find(&c->tracks, run.bytes);
    return row != INDEX_NONE ? &c->track[row] : NULL;
}

/* Has this node seen a commit to an output? It may leave whatever comes after: its node's silence, a later term, an enclave that
 * ended, a revocation. */
static bool was_committed(const struct run_track *t)
{
    return t->view.entered_ms[RUN_COMMITTED] != 0 || t->view.entered_ms[RUN_RELEASED] != 0;
}

void track_state(struct core *c, struct run_track *t, enum run_state state)
{
    t->heard_ms = c->wall_ms;
    if (state == RUN_REVOKED && was_committed(t)) state = RUN_FAILED; /* no end: a receipt may come */
    if (t->view.state == state && t->view.entered_ms[state] != 0) return;
    bool ended = t->view.state == RUN_SETTLED;
    if (ended) return;
    t->view.state = state;
    if (t->view.entered_ms[state] == 0) t->view.entered_ms[state] = c->wall_ms;
    happened(
        c, (struct happened){.type = HAPPENED_RUN, .run = t->view.run, .term = t->view.term, .state = state});
    history_moved(c, t);
}

void track_reason(struct run_track *t, struct verdict why)
{
    if (t->view.state != RUN_SETTLED) t->view.verdict = why;
}

void track_settled(struct core *c, struct run_track *t)
{
    const struct run_entry *run = registry_run(c->registry, t->view.run);
    const struct run_view before = t->view;
    struct certificate cert;
    size_t mark = arena_mark(&c->room->scratch);
    union body *b = arena_take(&c->room->scratch, 1, sizeof *b);
    ASSERT(b != NULL && run != NULL && run->receipt != NULL);
    enum err err = body_decode(b, KIND_RECEIPT, run->receipt->body);
    ASSERT(err == OK); /* it was kept because it reads */
    if (certificate_decode(&cert, b->RECEIPT.certificate) ==
        OK) { /* the very one that q custodians committed under */
        t->view.node = cert.node;
        t->view.term = cert.term;
    }
    arena_release(&c->room->scratch, mark);
    t->view.verdict = VERDICT_OK;
    track_state(c, t, RUN_SETTLED);
    bool same = ID_EQUAL(t->view.node, before.node) && t->view.term == before.term;
    if (!same || before.verdict.refusal != REFUSAL_NONE) history_moved(c, t);
}

void track_elected(struct core *c, struct run_track *t, struct node_id node, uint64_t term)
{
    bool again = !ID_IS_ZERO(t->view.node);
    if (t->view.state == RUN_SETTLED) return;
    t->view.node = node;
    t->view.term = term;
    t->cut_off = false;
    if (again) track_state(c, t, RUN_REQUESTED); /* a later term's begins anew */
    history_moved(c, t);
}

enum {
    RUNS_A_TICK = 1024,
    TRACKS_A_TICK = 64,
};

static void candidate_tick(struct core *c, struct run_track *t);

struct run_track *track_add(struct core *c, struct run_id run)
{
    struct run_track *t = track_find(c, run);
    if (t != NULL || c->track_count == CAP_RUNS) return t;
    t = &c->track[c->track_count];
    t->view.run = run;
    if (index_add(&c->tracks, t->view.run.bytes, c->track_count) != OK) return NULL;
    c->track_count++;
    t->term = t->view.term = 1;
    return t;
}

/* Whoever may write records may write runs of recipes that do not name it: they are nothing to watch. */
void track_new(struct core *c, const struct run_entry *run)
{
    struct run_id id;
    memcpy(id.bytes, run->record->id.bytes, sizeof id.bytes);
    struct run_track *t = track_find(c, id);
    if ((t != NULL && t->phase != CANDIDATE_IDLE) || !registry_run_named(c->registry, run)) return;
    bool stored = t != NULL;
    if (!stored) t = track_add(c, id);
    if (t == NULL) return;
    if (run->receipt != NULL)
        track_settled(c, t);
    else
        track_state(c, t, t->view.state);
    if (!c->ready) return;
    t->phase = c->options.compute ? CANDIDATE_WAITING : CANDIDATE_DONE;
    t->term = t->view.term + (ID_IS_ZERO(t->view.node) ? 0 : 1);
    /* One from before the start may have a receipt here that is looked at first, and an enclave that is still at work. */
    t->next_ns = stored ? c->held_until_ns : c->now.ns;
    if (t->phase == CANDIDATE_WAITING) candidate_tick(c, t);
}

/* Runs whose recipe came later, some with each tick. */
static void find_new(struct core *c)
{
    for (uint32_t i = 0; i < RUNS_A_TICK && step_has_room(c); i++) {
        const struct run_entry *run = registry_run_at(c->registry, c->run_next);
        if (run != NULL) track_new(c, run);
        c->run_next = run != NULL ? c->run_next + 1 : 0;
        if (run == NULL) return;
    }
}

/* --- Candidate --------------------------------------------------------------------------------------------------------------------------- */

/* Of what is over, why it ended stays shown. */
static void waits_for(struct run_track *t, struct verdict why)
{
    if (track_open(t)) track_reason(t, why);
}

static uint32_t bits(uint32_t mask)
{
    return (uint32_t)__builtin_popcount(mask);
}

/* With a clock that is off, an election would be won for evidence that nobody takes: the term would pass for nothing. */
static void ask_custodians(struct core *c, struct run_track *t, enum kind kind)
{
    const struct charter *charter = registry_charter_bytes(c->registry);
    if (sync_clock_off(c)) {
        waits_for(t, verdict_refuse(REFUSAL_CLOCK, c->options.self.bytes));
        t->next_ns = c->now.ns + (int64_t)TICK_MS * 1000000;
        return;
    }
    struct body_PREVOTE_ASK body = {t->view.run, t->term};
    for (uint32_t i = 0; i < charter->custodian_count; i++)
        if (((t->answered | t->passed | t->lost) >> i & 1) == 0)
            author_statement(c, charter->member[charter->custodian[i]].node, kind, &body, NULL, NULL);
    t->next_ns = c->now.ns + (int64_t)PREVOTE_WAIT_MS * 1000000;
}

/* The first in rank asks at once, others hold back; before votes, too: two that waited for one and the same custodian have
 * their prevotes together, and would share the votes of the term. */
static void candidate_enter(struct core *c, struct run_track *t, const struct run_entry *run,
                            enum candidate_phase phase)
{
    const struct charter *charter = registry_charter_bytes(c->registry);
    uint32_t rank = election_rank(c->registry, &run->body, t->view.run, t->term, c->options.self);
    t->phase = phase;
    t->answered = t->passed = 0;
    t->next_ns = c->now.ns + (int64_t)rank * charter->rank_delay_ms * 1000000;
    if (rank == 0) ask_custodians(c, t, phase == CANDIDATE_VOTE ? KIND_VOTE_ASK : KIND_PREVOTE_ASK);
}

/* --- Later terms ---------------------------------------------------------------------------------------------------------------------- */

/* Of what the custodians that were heard have said, the q-th smallest: q of them say no more, whatever the others claim. With
 * fewer than q heard, the largest. */
static int64_t qth(const struct charter *charter, uint32_t heard, const int64_t value[CAP_CUSTODIANS])
{
    int64_t best = INT64_MAX, largest = 0;
    for (uint32_t i = 0; i < charter->custodian_count; i++) {
        uint32_t as_small = 0;
        if ((heard >> i & 1) == 0) continue;
        for (uint32_t j = 0; j < charter->custodian_count; j++)
            as_small += (heard >> j & 1) != 0 && value[j] <= value[i];
        if (as_small >= charter->q && value[i] < best) best = value[i];
        if (value[i] > largest) largest = value[i];
    }
    return best != INT64_MAX ? best : largest;
}

/* One that q custodians can vote in, as far as it is allowed yet. */
static uint64_t next_term(struct core *c, const struct charter *charter, const struct run_track *t)
{
    const struct run_entry *run = registry_run(c->registry, t->view.run);
    int64_t known[CAP_CUSTODIANS];
    for (uint32_t i = 0; i < charter->custodian_count; i++) known[i] = t->known[i];
    uint64_t next = (uint64_t)qth(charter, t->heard, known) + 1;
    uint64_t most = run == NULL ? 1 : election_term_max(charter, &run->record->header, c->wall_ms);
    return next < most ? next : most;
}

/* Nobody can win this asking any more, or somebody has won: the next begins when q custodians may be free for it, and soon
 * enough whatever they say, since who was not heard may be back. */
static void candidate_wait(struct core *c, struct run_track *t)
{
    const struct charter *charter = registry_charter_bytes(c->registry);
    enum { LEASES_MAX = 3 };
    int64_t soonest = c->now.ns + (int64_t)TICK_MS * 1000000, free = qth(charter, t->heard, t->free_ns);
    int64_t latest = soonest + LEASES_MAX * (int64_t)charter->lease_ms * 1000000;
    t->phase = CANDIDATE_WAITING;
    t->term = next_term(c, charter, t);
    t->next_ns = free < soonest ? soonest : free < latest ? free : latest;
}

/* What a custodian's answer says of this term and the next. */
static void take_answer(struct core *c, struct run_track *t, uint32_t custodian, uint64_t known,
                        uint64_t wait_ms)
{
    enum { WAIT_MAX_MS = 24 * 3600 * 1000 };
    int64_t wait = (int64_t)(wait_ms < WAIT_MAX_MS ? wait_ms : WAIT_MAX_MS);
    t->heard |= UINT32_C(1) << custodian;
    if (t->known[custodian] < known) t->known[custodian] = (uint32_t)known;
    t->free_ns[custodian] = c->now.ns + wait * 1000000;
}

/* At once the first time, then twice as long after each. */
static int64_t pause_ns(const struct charter *charter, uint32_t attempts)
{
    enum { DOUBLINGS_MAX = 20, PAUSE_MAX_MS = 10 * 60 * 1000 };
    uint32_t doublings = attempts - 2 < DOUBLINGS_MAX ? attempts - 2 : DOUBLINGS_MAX;
    int64_t pause_ms = attempts < 2 ? 0 : (int64_t)charter->lease_ms << doublings;
    return (pause_ms < PAUSE_MAX_MS ? pause_ms : PAUSE_MAX_MS) * 1000000;
}

void elect_again(struct core *c, struct run_track *t, bool possible)
{
    const struct charter *charter = registry_charter_bytes(c->registry);
    t->attempts++;
    t->phase = CANDIDATE_DONE;
    if (!possible) return;
    for (uint32_t i = 0; i < t->certificate.vote_count; i++)
        take_answer(c, t, t->certificate.custodian[i], t->term, 0);
    candidate_wait(c, t);
    int64_t pause = pause_ns(charter, t->attempts);
    if (t->next_ns < c->now.ns + pause) t->next_ns = c->now.ns + pause;
}

/* A promise is for ever, a lease for a while; other reasons pass, and who gave one is asked again. What other nodes say of
 * the run's progress proves nothing and ends no candidacy. */
static void candidate_refused(struct core *c, struct run_track *t, struct node_id from, enum refusal why)
{
    const struct charter *charter = registry_charter_bytes(c->registry);
    uint32_t bit = UINT32_C(1) << charter_custodian(charter, from);
    bool later = why == REFUSAL_VOTED || why == REFUSAL_TERM || why == REFUSAL_LEASE_HELD;
    if (!later) waits_for(t, verdict_refuse(why, from.bytes));
    if (later) t->passed |= bit;
    if (why == REFUSAL_SLOT_SPENT) t->lost |= bit;
    if (charter->custodian_count - bits(t->lost) < charter->q)
        t->phase = CANDIDATE_DONE;
    else if (charter->custodian_count - bits(t->lost | t->passed) < charter->q)
        candidate_wait(c, t);
}

void elect_prevote(struct core *c, struct node_id from, const struct body_PREVOTE *b)
{
    const struct charter *charter = registry_charter(c->registry);
    struct run_track *t = track_find(c, b->run);
    int custodian = charter != NULL ? charter_custodian(charter, from) : -1;
    if (t == NULL || custodian < 0 || t->phase != CANDIDATE_PREVOTE || b->term != t->term) return;
    if (!ID_EQUAL(b->node, c->options.self)) return; /* said to another candidate */
    if (b->refusal != REFUSAL_NONE) {
        take_answer(c, t, (uint32_t)custodian, b->known, b->wait_ms);
        candidate_refused(c, t, from, refusal_from(b->refusal));
        return;
    }
    take_answer(c, t, (uint32_t)custodian, t->term - 1, 0);
    t->answered |= UINT32_C(1) << custodian;
    if (bits(t->answered) < charter->q) return;
    track_reason(t, VERDICT_OK); /* of an end that was none */
    track_state(c, t, RUN_ELIGIBLE);
    const struct run_entry *run = registry_run(c->registry, b->run);
    t->certificate = elect_vote_of(c, run, t->term, c->options.self);
    candidate_enter(c, t, run, CANDIDATE_VOTE);
}

static void insert_vote(struct certificate *cert, uint32_t custodian, const struct signature *vote)
{
    uint32_t at = cert->vote_count;
    while (at > 0 && cert->custodian[at - 1] > custodian) at--;
    memmove(&cert->custodian[at + 1], &cert->custodian[at],
            (cert->vote_count - at) * sizeof cert->custodian[0]);
    memmove(&cert->vote[at + 1], &cert->vote[at], (cert->vote_count - at) * sizeof cert->vote[0]);
    cert->custodian[at] = custodian;
    cert->vote[at] = *vote;
    cert->vote_count++;
}

static void elected(struct core *c, struct run_track *t)
{
    struct buffer b = buffer_make(c->certificate[t - c->track], CERTIFICATE_BYTES_MAX);
    certificate_encode(&b, &t->certificate);
    ASSERT(!b.overflow); /* of at most CAP_CUSTODIANS votes */
    t->certificate_bytes = buffer_span(&b);
    t->phase = CANDIDATE_HOLDER;
    track_elected(c, t, c->options.self, t->term);
    track_reason(t, VERDICT_OK); /* what a custodian refused at first no longer matters */
    track_state(c, t, RUN_ELECTED);
    notice(c, "elected for run", ID_SPAN(t->view.run), NULL);
    host_start(c, t);
}

static void on_vote_checked(struct core *c, struct pending *p, const struct event *event)
{
    const struct charter *charter = registry_charter_bytes(c->registry);
    struct run_track *t = track_find(c, p->run);
    uint32_t custodian = (uint32_t)p->number;
    bool counts =
        event->err == OK && t != NULL && t->phase == CANDIDATE_VOTE && (t->answered >> custodian & 1) == 0;
    if (counts) {
        take_answer(c, t, custodian, t->term, 0);
        t->answered |= UINT32_C(1) << custodian;
        insert_vote(&t->certificate, custodian, &p->signature);
        if (t->certificate.vote_count >= charter->q) elected(c, t);
    }
    pending_end(c, p);
}

void elect_vote(struct core *c, struct node_id from, const struct body_VOTE *b)
{
    const struct charter *charter = registry_charter(c->registry);
    struct run_track *t = track_find(c, b->run);
    int custodian = charter != NULL ? charter_custodian(charter, from) : -1;
    if (t == NULL || custodian < 0 || t->phase != CANDIDATE_VOTE || b->term != t->term) return;
    if (!ID_EQUAL(b->node, c->options.self)) return; /* said to another candidate */
    if (b->refusal != REFUSAL_NONE) {
        take_answer(c, t, (uint32_t)custodian, b->known, b->wait_ms);
        candidate_refused(c, t, from, refusal_from(b->refusal));
        return;
    }
    struct pending *p = pending_new(c, on_vote_checked);
    if (p == NULL) return;
    p->run = b->run;
    p->number = (uint64_t)custodian;
    p->signature = b->vote;
    ask_verify(c, p, on_vote_checked, from, certificate_vote_hash(&t->certificate), &b->vote);
}

/* Runs that have or may soon have an enclave here, or whose result waits in a place that the next would need. */
static uint32_t busy(const struct core *c)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < c->track_count; i++) {
        enum candidate_phase phase = c->track[i].phase;
        bool runs = phase == CANDIDATE_PREVOTE || phase == CANDIDATE_VOTE || phase == CANDIDATE_HOLDER;
        if (runs || c->track[i].result.len > 0) count++;
    }
    return count;
}

/* Its enclave would ask them in vain, and the term pass for nothing: who is away comes back, and a clock is set. */
static struct verdict check_holders(struct core *c, const struct run_entry *run)
{
    for (uint32_t i = 0; i < run_input_count(&run->body); i++) {
        const struct asset *a = registry_asset(c->registry, run_input_at(&run->body, i).dt);
        const struct node_id holder = a != NULL ? registry_holder(c->registry, a->owner) : c->options.self;
        if (ID_EQUAL(holder, c->options.self)) continue;
        const struct peer *owner = peer_find(c, holder);
        const bool half = registry_vetoed(c->registry, &run->body, i); /* it gives its own */
        int64_t off_ms;
        if (owner == NULL || !owner->view.up || core_peer_clock_off(c, holder, half, &off_ms))
            return verdict_refuse(REFUSAL_INPUT_MISSING, holder.bytes);
    }
    return VERDICT_OK;
}

/* May this node still be a candidate? An approval may be revoked or expire, the requester be frozen, while it asks. */
static struct verdict check_candidacy(struct core *c, const struct run_entry *run)
{
    struct verdict v = registry_check_record(c->registry, run->record);
    if (v.refusal == REFUSAL_NONE)
        v = registry_check_run(c->registry, &run->body, run->record->header.author, c->wall_ms);
    if (v.refusal == REFUSAL_NONE) v = registry_check_node(c->registry, &run->body, c->options.self);
    bool admitted = registry_platform_admitted(c->registry, c->options.self, c->options.platform);
    if (v.refusal == REFUSAL_NONE && !admitted) /* nobody would release to it: the slot is left to others */
        v = verdict_refuse(REFUSAL_PLATFORM, c->options.platform.bytes);
    if (v.refusal == REFUSAL_NONE)
        v = verdict_refuse(core_authoring(c), c->options.self.bytes); /* who will publish its receipt? */
    return v.refusal == REFUSAL_NONE ? check_holders(c, run) : v;
}

/* A waiting candidate holds back by its rank. What it will need room for is looked at before the slot is spent. */
static void candidate_begin(struct core *c, struct run_track *t, const struct run_entry *run)
{
    struct verdict v = bundle_check_room(c->registry, &run->body, run->record->header.author);
    waits_for(t, v);
    if (v.refusal != REFUSAL_NONE || busy(c) >= c->options.enclaves_max) return;
    candidate_enter(c, t, run, CANDIDATE_PREVOTE);
}

/* It gives way for good once the run has a receipt, and for as long as the run may not be: another has its place then. */
static void candidate_tick(struct core *c, struct run_track *t)
{
    const struct run_entry *run = registry_run(c->registry, t->view.run);
    if (registry_charter(c->registry) == NULL || run == NULL || c->now.ns < t->next_ns) return;
    const bool settled = run->receipt != NULL || t->view.state == RUN_SETTLED; /* as its history says */
    if (settled || record_run_end_ms(&run->record->header) <= c->wall_ms) {
        t->phase = CANDIDATE_DONE;
        return;
    }
    struct verdict v = check_candidacy(c, run);
    if (v.refusal == REFUSAL_NONE && !step_has_room(c)) return; /* in the next step */
    t->next_ns = c->now.ns + (int64_t)TICK_MS * 1000000;
    if (v.refusal != REFUSAL_NONE) {
        t->phase = CANDIDATE_WAITING;
        waits_for(t, v);
    } else if (t->phase == CANDIDATE_WAITING) {
        candidate_begin(c, t, run);
    } else if (t->passed != 0) {
        candidate_wait(c,
                       t); /* who is silent may be so for ever, and who said no says it of this term only */
    } else {
        ask_custodians(c, t, t->phase == CANDIDATE_VOTE ? KIND_VOTE_ASK : KIND_PREVOTE_ASK);
    }
}

/* --- Adverts ------------------------------------------------------------------------------------------------------------------------------- */

enum { ADVERT_EVERY_MS = 2000, ADVERT_LIFE_MS = 90000, ADVERTS_MISSED = 5, SLOTS_FREE_MAX = 1024 };

const struct advert *advert_find(const struct core *c, struct node_id node)
{
    for (uint32_t i = 0; i < c->advert_count; i++)
        if (ID_EQUAL(c->advert[i].node, node)) return &c->advert[i];
    return NULL;
}

static bool is_silent(const struct core *c, const struct advert *a)
{
    return c->now.ns - a->heard_ns > (int64_t)ADVERTS_MISSED * ADVERT_EVERY_MS * 1000000;
}

bool core_advertised(const struct core *c, struct node_id node, struct hash32 *platform)
{
    const struct advert *a = advert_find(c, node);
    if (a == NULL || is_silent(c, a)) return false;
    *platform = a->platform;
    return true;
}

/* A free place, or that of one that says nothing any more; or NULL. */
static struct advert *advert_place(struct core *c)
{
    if (c->advert_count < c->options.caps->adverts) return &c->advert[c->advert_count++];
    for (uint32_t i = 0; i < c->advert_count; i++)
        if (is_silent(c, &c->advert[i])) return &c->advert[i];
    return NULL;
}

/* Any says that it is there; of what it says the newest counts, by its author's clock, which may have been ahead. */
static void advert_keep(struct core *c, struct advert said)
{
    struct advert *known = (struct advert *)advert_find(c, said.node);
    struct advert *a = known != NULL ? known : advert_place(c);
    if (a == NULL) return;
    if (known == NULL || a->time_ms <= said.time_ms || a->time_ms > c->wall_ms)
        *a = said;
    else
        a->heard_ns = said.heard_ns;
}

void elect_advert(struct core *c, const struct record *r, const struct body_ADVERT *b)
{
    advert_keep(c, (struct advert){r->header.author, r->header.time_ms, c->now.ns, b->platform});
}

/* What it says to others it knows, too: it may be a party to the keys that its own enclave asks for, and is no peer of its own. */
static void advert_tick(struct core *c)
{
    if (!c->options.compute || c->now.ns < c->advert_next_ns ||
        !core_member(c, c->options.self, ROLE_COMPUTE))
        return;
    uint32_t most = c->options.enclaves_max < SLOTS_FREE_MAX ? c->options.enclaves_max : SLOTS_FREE_MAX;
    uint32_t running = c->enclaves_running;
    struct body_ADVERT body = {c->options.platform, c->options.engine, c->options.gpu,
                               running < most ? most - running : 0, SPAN_NONE};
    c->advert_next_ns = c->now.ns + (int64_t)ADVERT_EVERY_MS * 1000000;
    advert_keep(c, (struct advert){c->options.self, c->wall_ms, c->now.ns, c->options.platform});
    author_ephemeral(c, KIND_ADVERT, &body, c->wall_ms + ADVERT_LIFE_MS);
}

/* Notes since when it is, as far as this node knows: a lease from before may last so much longer. */
static struct verdict taken_back(struct core *c, struct run_track *t)
{
    const struct run_entry *run = registry_run(c->registry, t->view.run);
    const struct verdict back = run != NULL ? registry_run_taken_back(c->registry, run) : VERDICT_OK;
    if (back.refusal == REFUSAL_NONE)
        t->revoked_ns = 0;
    else if (t->revoked_ns == 0)
        t->revoked_ns = c->now.ns;
    return back;
}

/* Custodians who hear of a revocation renew no lease and commit to nothing. An enclave that is at work may have one from just
 * before, and is given its time to say itself how it ends. What is committed to may leave: while its node says so it is waited for. */
struct verdict track_revoked(struct core *c, struct run_track *t)
{
    const enum run_state state = t->view.state;
    const bool works = (state >= RUN_ELECTED && state < RUN_COMMITTED) || state == RUN_FAILED;
    const bool awaited =
        state == RUN_COMMITTED || state == RUN_RELEASED || (state == RUN_FAILED && was_committed(t));
    const struct verdict back = awaited ? VERDICT_OK : taken_back(c, t);
    return works && c->now.ns < t->revoked_ns + elect_lease_ns(c) ? VERDICT_OK : back;
}

struct verdict track_taken_back(struct core *c, struct run_track *t)
{
    return was_committed(t) ? VERDICT_OK : taken_back(c, t);
}

bool track_open(const struct run_track *t)
{
    const struct run_view *v = &t->view;
    bool silent =
        v->state == RUN_FAILED && v->verdict.refusal != REFUSAL_COMPUTATION; /* the one that is an end */
    return v->state < RUN_SETTLED || silent;
}

/* Nobody waits for ever: a run whose slot went to another is refused, one that was taken back revoked, one past its end expired, and one
 * whose node fell silent failed. Views only; a receipt that still comes settles it. */
static void seen_tick(struct core *c, struct run_track *t)
{
    const struct run_entry *run = registry_run(c->registry, t->view.run);
    if (run == NULL) return;
    const bool over = record_run_end_ms(&run->record->header) <= c->wall_ms;
    const bool unknown = over && t->revoked_ns == 0; /* what is taken back after its end has expired */
    const struct verdict back = unknown ? VERDICT_OK : over ? track_taken_back(c, t) : track_revoked(c, t);
    const struct run_entry *holder = registry_slot_holder(c->registry, run->body.compose, run->body.slot);
    if (holder != NULL && holder != run) {
        track_reason(t, verdict_refuse(REFUSAL_SLOT_SPENT, holder->record->id.bytes));
        track_state(c, t, RUN_REFUSED);
    } else if (back.refusal != REFUSAL_NONE) {
        track_reason(t, back);
        track_state(c, t, RUN_REVOKED);
    } else if (over) {
        track_reason(t, verdict_refuse(REFUSAL_RUN_EXPIRED, NULL));
        track_state(c, t, RUN_EXPIRED);
    } else if (t->view.state >= RUN_ELECTED && t->view.state < RUN_SETTLED &&
               c->wall_ms > t->heard_ms + RUN_SILENCE_MS) {
        track_reason(t, verdict_refuse(REFUSAL_TIMEOUT, t->view.node.bytes));
        track_state(c, t, RUN_FAILED);
    }
}

/* True when there was more to do than to see that there is nothing. */
static bool track_tick(struct core *c, struct run_track *t)
{
    bool waits = t->phase == CANDIDATE_WAITING && c->now.ns >= t->next_ns;
    bool open = track_open(t) && t->phase != CANDIDATE_HOLDER && t->result.len == 0;
    if (open) seen_tick(c, t);
    if (waits) candidate_tick(c, t);
    return open || waits;
}

/* However many runs there are, a tick looks at so many of them, and at all that this node asks votes for. */
void elect_tick(struct core *c)
{
    advert_tick(c);
    find_new(c);
    for (uint32_t i = 0; i < c->track_count; i++) {
        struct run_track *t = &c->track[i];
        if (t->phase == CANDIDATE_PREVOTE || t->phase == CANDIDATE_VOTE) candidate_tick(c, t);
    }
    uint32_t looked_at = 0;
    for (uint32_t i = 0; i < c->track_count && looked_at < TRACKS_A_TICK; i++) {
        struct run_track *t = &c->track[c->track_next++ % c->track_count];
        looked_at += track_tick(c, t);
    }
}
