/* A custodian's part in an election: whether it would vote, its one vote, and the leases that keep it from voting
 * (DESIGN §9 "Election", "Lease"). What must outlast a crash is promised durably; a lease is only remembered, and whoever
 * starts anew waits for the longest that it may have given. */
#include "proto/core_state.h"

#include "proto/election.h"

#include <string.h>

/* --- Leases --------------------------------------------------------------------------------------------------------------------------- */

/* An elected node has so many leases' time to bring its enclave to the first, and no less than that in all. */
enum { LEASES_TO_START = 3, START_MIN_MS = 3000 };

/* The enclave's clock may be slow and this one fast, each by the drift bound; two milliseconds for what division drops. */
static int64_t lease_ns(const struct charter *charter)
{
    const int64_t million = 1000000, drift = charter->drift_ppm;
    return (int64_t)charter->lease_ms * million / (million - drift) * (million + drift) + 2 * million;
}

static int64_t start_ns(const struct charter *charter)
{
    const int64_t leases = LEASES_TO_START * lease_ns(charter), least = (int64_t)START_MIN_MS * 1000000;
    return leases > least ? leases : least;
}

static void hold(struct core *c, struct run_track *t, uint64_t term, uint64_t rounds, int64_t ns)
{
    if (term < t->hold_term || (term == t->hold_term && rounds <= t->hold_rounds)) return;
    t->hold_term = (uint32_t)term;
    t->hold_rounds = rounds;
    t->hold_until_ns = c->now.ns + ns;
}

int64_t elect_lease_ns(const struct core *c)
{
    return lease_ns(registry_charter_bytes(c->registry));
}

bool elect_hold(struct core *c, struct run_id run, uint64_t term, uint64_t round)
{
    struct run_track *t = track_add(c, run);
    if (t != NULL) hold(c, t, term, round + 1, lease_ns(registry_charter_bytes(c->registry)));
    return t != NULL;
}

void elect_ready(struct core *c)
{
    const struct charter *charter = registry_charter_bytes(c->registry);
    c->held_until_ns = c->now.ns + (charter != NULL ? lease_ns(charter) : 0);
}

/* Whoever had the last vote, and came to nothing, gives way to others: for a lease, then two, four. No rule of safety. */
static int64_t behind_ns(const struct charter *charter, const struct run_track *t, struct node_id node)
{
    enum { DOUBLINGS_MAX = 16, BEHIND_MAX_MS = 10 * 60 * 1000 };
    uint32_t doublings = t->held_times < DOUBLINGS_MAX ? t->held_times : DOUBLINGS_MAX;
    int64_t ms =
        t->held_times == 0 || !ID_EQUAL(t->held_by, node) ? 0 : (int64_t)charter->lease_ms << (doublings - 1);
    return (ms < BEHIND_MAX_MS ? ms : BEHIND_MAX_MS) * 1000000;
}

/* Until when may an earlier term's lease run, as far as this custodian had a part in it, or has this node to wait? Until the next
 * look, as long as a receipt may have settled the run. */
static int64_t held_until(struct core *c, struct run_id run, uint64_t term, struct node_id node)
{
    const struct charter *charter = registry_charter_bytes(c->registry);
    const struct run_track *t = track_find(c, run);
    int64_t until = term > 1 ? c->held_until_ns : c->now.ns;
    if (t != NULL && t->receipts_awaited > 0 && until <= c->now.ns)
        until = c->now.ns + (int64_t)TICK_MS * 1000000;
    if (t == NULL || charter == NULL || term <= t->hold_term) return until;
    int64_t held = t->hold_until_ns + behind_ns(charter, t, node);
    return held > until ? held : until;
}

static void note_vote(struct run_track *t, struct node_id node, uint64_t term)
{
    if (term <= t->hold_term) return;
    t->held_times = ID_EQUAL(t->held_by, node) ? t->held_times + 1 : 1;
    t->held_by = node;
}

/* --- Voting --------------------------------------------------------------------------------------------------------------------------- */

static struct verdict decide(struct core *c, struct node_id node, struct run_id run, uint64_t term)
{
    const struct run_track *t = track_find(c, run);
    if (t != NULL && t->view.state == RUN_SETTLED) /* as its history says: the receipt may have been lost */
        return verdict_refuse(REFUSAL_SLOT_SPENT, run.bytes);
    struct election_ask ask = {.run = run,
                               .term = term,
                               .node = node,
                               .now_ms = c->wall_ms,
                               .standing = core_standing(c),
                               .held = held_until(c, run, term, node) > c->now.ns};
    struct verdict v = election_decide(c->registry, &c->promises, c->options.self, &ask);
    bool room = v.refusal != REFUSAL_NONE || track_add(c, run) != NULL; /* to remember its lease in */
    return room ? v : trouble(c, node, run, err_text(ERR_FULL));
}

/* With every no: the term that this custodian is bound by, and when it may be free for a later one. */
static uint64_t known_term(const struct core *c, struct run_id run)
{
    return promise_term(&c->promises, run);
}

static uint64_t wait_ms(struct core *c, struct run_id run, uint64_t asked, struct node_id node)
{
    uint64_t next = known_term(c, run) + 1;
    int64_t until_ns = held_until(c, run, asked > next ? asked : next, node);
    return until_ns > c->now.ns ? (uint64_t)(until_ns - c->now.ns) / 1000000 + 1 : 0;
}

void elect_prevote_ask(struct core *c, struct node_id from, const struct body_PREVOTE_ASK *b)
{
    struct verdict v = decide(c, from, b->run, b->term);
    struct body_PREVOTE body = {
        b->run, b->term, from, v.refusal, known_term(c, b->run), wait_ms(c, b->run, b->term, from)};
    author_statement(c, from, KIND_PREVOTE, &body, NULL, NULL);
}

struct certificate elect_vote_of(const struct core *c, const struct run_entry *run, uint64_t term,
                                 struct node_id node)
{
    struct certificate vote = {.consortium = c->options.consortium,
                               .epoch = run->body.epoch,
                               .compose = run->body.compose,
                               .slot = run->body.slot,
                               .term = term,
                               .node = node};
    memcpy(vote.run.bytes, run->record->id.bytes, sizeof vote.run.bytes);
    return vote;
}

static void on_vote_stored(struct core *c, struct pending *p, const struct event *event)
{
    if (event->err == OK) {
        struct body_VOTE body = {.run = p->run,
                                 .term = p->term,
                                 .node = p->peer,
                                 .refusal = REFUSAL_NONE,
                                 .known = p->term,
                                 .vote = p->signature};
        answered(c, ASK_VOTE, p->run, VERDICT_OK);
        author_statement(c, p->peer, KIND_VOTE, &body, NULL, NULL);
    } else {
        notice(c, "a vote could not be stored and is not sent", SPAN_NONE, err_text(event->err));
    }
    pending_end(c, p);
}

/* Slot and term in one batch: one durable vote for both. The table in memory was set when the decision was taken. */
static void on_vote_signed(struct core *c, struct pending *p, const struct event *event)
{
    const struct run_entry *run = registry_run(c->registry, p->run);
    if (event->err != OK || event->bytes.len != 64 || run == NULL) {
        pending_end(c, p);
        return;
    }
    memcpy(p->signature.bytes, event->bytes.data, 64);
    uint8_t *slot = scratch_buffer(c, PROMISE_KEY_BYTES).data,
            *vote = scratch_buffer(c, PROMISE_KEY_BYTES).data;
    promise_key(slot, PROMISE_SLOT, run->body.compose.bytes, run->body.slot);
    promise_key(vote, PROMISE_VOTE, p->run.bytes, p->term);
    struct keep items[2] = {
        {KEEP_PROMISE, span_make(slot, PROMISE_KEY_BYTES), scratch_copy(c, ID_SPAN(p->run))},
        {KEEP_PROMISE, span_make(vote, PROMISE_KEY_BYTES), scratch_copy(c, ID_SPAN(p->peer))},
    };
    ask_store(c, p, on_vote_stored, items, 2);
}

static enum err promise_vote(struct core *c, const struct run_entry *run, struct run_id id, uint64_t term,
                             struct node_id node)
{
    uint8_t key[PROMISE_KEY_BYTES];
    promise_key(key, PROMISE_SLOT, run->body.compose.bytes, run->body.slot);
    TRY(promise_set(&c->promises, key, id.bytes));
    promise_key(key, PROMISE_VOTE, id.bytes, term);
    return promise_set(&c->promises, key, node.bytes);
}

static void refuse_vote(struct core *c, struct node_id to, const struct body_VOTE_ASK *b, enum refusal why)
{
    struct body_VOTE body = {.run = b->run,
                             .term = b->term,
                             .node = to,
                             .refusal = why,
                             .known = known_term(c, b->run),
                             .wait_ms = wait_ms(c, b->run, b->term, to)};
    answered(c, ASK_VOTE, b->run, verdict_refuse(why, NULL));
    author_statement(c, to, KIND_VOTE, &body, NULL, NULL);
}

void elect_vote_ask(struct core *c, struct node_id from, const struct body_VOTE_ASK *b)
{
    struct verdict v = decide(c, from, b->run, b->term);
    const struct run_entry *run = registry_run(c->registry, b->run);
    enum err err = v.refusal == REFUSAL_NONE ? promise_vote(c, run, b->run, b->term, from) : OK;
    if (err != OK)
        v = err == ERR_CONFLICT ? verdict_refuse(REFUSAL_VOTED, NULL)
                                : trouble(c, from, b->run, err_text(err));
    if (v.refusal != REFUSAL_NONE) {
        refuse_vote(c, from, b, v.refusal);
        return;
    }
    note_vote(track_find(c, b->run), from, b->term);
    hold(c, track_find(c, b->run), b->term, 0, start_ns(registry_charter_bytes(c->registry)));
    struct pending *p = pending_new(c, on_vote_signed);
    if (p == NULL) return;
    pending_charge(c, p, from);
    struct certificate vote = elect_vote_of(c, run, b->term, from);
    p->run = b->run;
    p->term = b->term;
    p->peer = from;
    ask_crypto(c, p, CRYPTO_SIGN, on_vote_signed)->hash = certificate_vote_hash(&vote);
}
