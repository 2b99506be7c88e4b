/* A custodian's core against a naive one, which is PROTOCOL.md's "Terms", "Leases" and "Promises" read aloud: it keeps a list of
 * all that was ever granted and looks through it. Random asks for prevotes, votes, shares, leases and commits of three runs, two of
 * which want one slot, from three candidates and two enclaves each; time that passes; a store that is slow or fails; kills, after
 * each of which a random part of what the store was asked is there. Whatever the two agree on: no later term is voted for
 * while a lease runs, by clocks that drift apart, no slot has two runs, no term two nodes or two enclaves, no run two
 * outputs, over all starts. PERIGEE_SEED=7: other asks. */
#include "proto/enclave.h"
#include "proto/promise.h"
#include "tests/puppet.h"
#include "tests/seed.h"
#include "tests/storage_place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROUNDS = 6, OPS = 500, RUNS = 3, NODES = 3, ENCLAVES = 2, OUTPUTS = 2, TERMS = 12, GRANTS_MAX = OPS };
enum { SELF = 0, DRIFT_PPM = 200, REASONS_MAX = 8 };
#define MS       INT64_C(1000000)
#define LEASE_MS ((int64_t)world_lease_ms)

enum what { PREVOTE, VOTE, SHARES, LEASE, COMMIT, WHATS };
struct ask {
    enum what what;
    uint32_t run, node; /* node: the candidate, or whom the certificate elects */
    uint64_t term, round;
    uint32_t enclave, output, bringer;
};
struct given {
    struct ask ask;
    int64_t at_ns;
    bool here;     /* by this process: leases are only remembered */
    bool kept;     /* durable, or nothing that has to be */
    bool sent;     /* its answer left, in this process */
    bool prolongs; /* shares, lease: the first of its round, and of no earlier one than others */
};
struct reasons {
    uint32_t count;
    enum refusal why[REASONS_MAX];
};

static struct world *world;
static struct puppet *core;
static struct run_id run_id[RUNS];
static uint64_t run_ms[RUNS], seed;
static const uint32_t slot_of[RUNS] = {1, 1, 2};
static struct node_id node_id[NODES];
static struct given given[GRANTS_MAX];
static uint32_t grants,
    waiting[PUPPET_BATCHES_MAX]; /* for each batch the store has not answered: its grant */
static uint32_t round_number;
static int64_t started_ns, greeted_ns;
static uint32_t seen_granted[WHATS], seen_refused[REFUSAL_COUNT], seen_repeated, seen_late, seen_lost;

/* --- The naive one -------------------------------------------------------------------------------------------------------- */

/* As long as the slowest clock may count a lease, by the fastest. */
static int64_t lease_ns(void)
{
    return LEASE_MS * MS * (1000000 + DRIFT_PPM) / (1000000 - DRIFT_PPM) + 2 * MS;
}

static bool binds(const struct given *g)
{
    return g->ask.what == VOTE || g->ask.what == SHARES;
}

static bool leases(const struct given *g)
{
    return g->ask.what == SHARES || g->ask.what == LEASE;
}

static uint64_t bound(uint32_t run)
{
    uint64_t term = 0;
    for (uint32_t i = 0; i < grants; i++)
        if (binds(&given[i]) && given[i].ask.run == run && given[i].ask.term > term) term = given[i].ask.term;
    return term;
}

static const struct given *granted(enum what what, uint32_t run, uint64_t term)
{
    for (uint32_t i = 0; i < grants; i++) {
        const struct ask *a = &given[i].ask;
        if (a->what == what && a->run == run && (a->term == term || what == COMMIT)) return &given[i];
    }
    return NULL;
}

static bool slot_is_anothers(uint32_t run)
{
    for (uint32_t i = 0; i < grants; i++) {
        const uint32_t other = given[i].ask.run;
        if (binds(&given[i]) && other != run && slot_of[other] == slot_of[run]) return true;
    }
    return false;
}

/* The latest term of a run that this process had a part in. */
static uint64_t latest(uint32_t run)
{
    uint64_t term = 0;
    for (uint32_t i = 0; i < grants; i++) {
        const struct given *g = &given[i];
        bool part = g->here && g->ask.run == run && g->ask.what != COMMIT;
        if (part && g->ask.term > term) term = g->ask.term;
    }
    return term;
}

/* How often in a row had this node its vote, each in a term in which nothing was known here before? */
static uint32_t in_a_row(uint32_t run, uint32_t node)
{
    uint32_t count = 0;
    uint64_t term = 0;
    for (uint32_t i = 0; i < grants; i++) {
        const struct given *g = &given[i];
        bool part = g->here && g->ask.run == run && g->ask.what != COMMIT;
        if (!part || g->ask.term <= term) continue;
        term = g->ask.term;
        if (g->ask.what == VOTE) count = g->ask.node == node ? count + 1 : 0;
    }
    return count;
}

/* When the last lease of an earlier term ends that this process had a part in. A vote holds three, and three seconds at
 * least, once, until the elected has its first; and who had the last votes waits longer. */
static int64_t leases_end_ns(uint32_t run, uint64_t term, uint32_t node)
{
    const uint64_t last = latest(run);
    int64_t until = 0;
    bool served = false;
    if (last == 0 || term <= last) return 0;
    for (uint32_t i = 0; i < grants; i++) {
        const struct given *g = &given[i];
        if (!g->here || g->ask.run != run || !leases(g)) continue;
        served |= g->ask.term == last;
        if (g->prolongs && g->at_ns + lease_ns() > until) until = g->at_ns + lease_ns();
    }
    for (uint32_t i = grants; i-- > 0 && !served;) {
        const struct given *g = &given[i];
        bool vote = g->here && g->ask.run == run && g->ask.what == VOTE && g->ask.term == last;
        if (vote)
            until = g->at_ns + (3 * LEASE_MS > 3000 ? 3 * lease_ns() : 3000 * MS); /* down to the first */
    }
    const uint32_t times = in_a_row(run, node);
    return times == 0 ? until : until + (LEASE_MS << (times - 1)) * MS;
}

static int64_t free_ns(uint32_t run, uint64_t term, uint32_t node)
{
    const int64_t restart = term > 1 ? started_ns + lease_ns() : 0, until = leases_end_ns(run, term, node);
    return until > restart ? until : restart;
}

static void against(struct reasons *r, bool holds, enum refusal why)
{
    if (holds) r->why[r->count++] = why;
}

static void against_vote(struct reasons *r, const struct ask *a)
{
    const uint64_t elapsed_ms = puppet_wall_ms(core) - run_ms[a->run];
    const struct given *vote = granted(VOTE, a->run, a->term);
    against(r, a->term == 0 || a->term > 8 + 8 * (elapsed_ms / (uint64_t)LEASE_MS), REFUSAL_TERM);
    against(r, vote != NULL && vote->ask.node != a->node, REFUSAL_VOTED);
    against(r, free_ns(a->run, a->term, a->node) > core->now.ns, REFUSAL_LEASE_HELD);
}

/* Is the release that it depends on, in its term, on the disk? */
static bool kept(const struct ask *a)
{
    for (uint32_t i = 0; i < grants; i++) {
        const struct given *g = &given[i];
        if (g->kept && g->ask.what == SHARES && g->ask.run == a->run && g->ask.term == a->term) return true;
    }
    return false;
}

static void against_enclave(struct reasons *r, const struct ask *a)
{
    const struct given *shares = granted(SHARES, a->run, a->term), *commit = granted(COMMIT, a->run, 0);
    const bool other = shares != NULL && shares->ask.enclave != a->enclave;
    against(r, a->bringer != a->node, REFUSAL_CERTIFICATE);
    against(r, other && a->what == SHARES, REFUSAL_OTHER_KEY);
    against(r, (other || shares == NULL || !kept(a)) && a->what != SHARES, REFUSAL_NOT_RELEASED);
    against(r, a->what == COMMIT && commit != NULL && commit->ask.output != a->output,
            REFUSAL_COMMIT_CONFLICT);
}

/* Everything that stands against it now; nothing: it must be granted. */
static struct reasons judge(const struct ask *a)
{
    struct reasons r = {0};
    against(&r, core->now.ns - greeted_ns > LEASE_MS * MS, REFUSAL_ISOLATED);
    against(&r, slot_is_anothers(a->run), REFUSAL_SLOT_SPENT);
    against(&r, bound(a->run) > a->term, REFUSAL_TERM);
    if (a->what == PREVOTE || a->what == VOTE)
        against_vote(&r, a);
    else
        against_enclave(&r, a);
    return r;
}

/* An ask that was answered is answered again, by the same, while its release is the latest. */
static bool repeated(const struct ask *a)
{
    const struct given *shares = granted(SHARES, a->run, a->term);
    bool kept = false;
    for (uint32_t i = 0; i < grants; i++) {
        const struct given *g = &given[i];
        bool same = g->ask.what == a->what && g->ask.run == a->run && g->ask.term == a->term;
        if (g->ask.what == SHARES && g->ask.run == a->run && g->ask.term > a->term) return false;
        kept |= same && g->here && g->sent && g->ask.enclave == a->enclave;
    }
    bool boxed = a->what == SHARES || a->what == COMMIT;
    return boxed && kept && shares != NULL && shares->ask.node == a->bringer;
}

static bool prolongs(const struct ask *a)
{
    for (uint32_t i = 0; i < grants; i++) {
        const struct given *g = &given[i];
        bool same = g->here && leases(g) && g->ask.run == a->run && g->ask.term == a->term;
        if (same && g->ask.round >= a->round) return false;
    }
    return a->what == SHARES || a->what == LEASE;
}

/* What all this is for, over all that was ever said, whatever the two agree on. A vote in a term whose certificate of q others
 * was shown elects nobody: that term's election is over, and those q waited for their leases. */
static void nothing_twice(const struct given *g)
{
    for (uint32_t i = 0; i < grants; i++) {
        const struct given *o = &given[i];
        const bool one_run = o->ask.run == g->ask.run, one_term = one_run && o->ask.term == g->ask.term;
        if (binds(o) && binds(g)) assert_true(one_run || slot_of[o->ask.run] != slot_of[g->ask.run]);
        if (o->ask.what == VOTE && g->ask.what == VOTE && one_term)
            assert_int_equal(o->ask.node, g->ask.node);
        if (o->ask.what == SHARES && g->ask.what == SHARES && one_term)
            assert_int_equal(o->ask.enclave, g->ask.enclave);
        if (o->ask.what == COMMIT && g->ask.what == COMMIT && one_run)
            assert_int_equal(o->ask.output, g->ask.output);
        bool later = one_run && o->prolongs && g->ask.what == VOTE && g->ask.term > o->ask.term &&
                     granted(SHARES, g->ask.run, g->ask.term) == NULL;
        if (later)
            assert_true((g->at_ns - o->at_ns) * (1000000 - DRIFT_PPM) >=
                        LEASE_MS * MS * (1000000 + DRIFT_PPM));
    }
}

/* --- Asking the core -------------------------------------------------------------------------------------------------------- */

static struct node_id enclave_of(uint32_t number)
{
    struct node_id id = {{0xe0}};
    id.bytes[31] = (uint8_t)(number + 1);
    return id;
}

/* The word of the others, who elected this node. */
static struct span certificate(const struct ask *a)
{
    static uint8_t bytes[CERTIFICATE_BYTES_MAX];
    struct buffer b = BUFFER_OF(bytes);
    struct certificate c = {.consortium = world->consortium,
                            .epoch = 1,
                            .run = run_id[a->run],
                            .compose = world->compose,
                            .slot = slot_of[a->run],
                            .term = a->term,
                            .node = node_id[a->node],
                            .vote_count = 3,
                            .custodian = {1, 2, 3}};
    certificate_encode(&b, &c);
    return buffer_span(&b);
}

static void bring(const struct ask *a, enum kind kind, const void *body)
{
    struct span packed = puppet_pack(core, enclave_of(a->enclave), kind, body);
    struct message_RELAY m = {run_id[a->run], a->term, 0, SELF, packed};
    puppet_message(core, node_id[a->bringer], MESSAGE_RELAY_CODE, &m);
}

static void put(const struct ask *a)
{
    static const uint8_t envelopes[2 * ENVELOPE_BYTES];
    const struct run_id run = run_id[a->run];
    const struct body_PREVOTE_ASK vote = {run, a->term};
    const struct body_SHARE_ASK shares = {
        .run = run, .term = a->term, .certificate = certificate(a), .envelopes = SPAN_OF(envelopes)};
    const struct body_LEASE_ASK lease = {.run = run, .term = a->term, .round = a->round};
    const struct body_COMMIT_ASK commit = {
        .run = run, .term = a->term, .commitment = {{(uint8_t)(1 + a->output)}}};
    switch (a->what) {
    case PREVOTE: puppet_said(core, node_id[a->node], KIND_PREVOTE_ASK, &vote); break;
    case VOTE: puppet_said(core, node_id[a->node], KIND_VOTE_ASK, &vote); break;
    case SHARES: bring(a, KIND_SHARE_ASK, &shares); break;
    case LEASE: bring(a, KIND_LEASE_ASK, &lease); break;
    case COMMIT: bring(a, KIND_COMMIT_ASK, &commit); break;
    case WHATS: break;
    }
}

static enum refusal boxed(const struct ask *a, struct span box)
{
    union body body;
    struct record r;
    const struct span packed = span_make(box.data + 1, box.len - 1);
    if (box.data[0] == ANSWER_REFUSAL) {
        assert_int_equal(record_unpack(&r, packed), OK);
        assert_int_equal(body_decode(&body, KIND_REFUSAL, r.body), OK);
        return refusal_from(body.REFUSAL.refusal);
    }
    if (a->what != COMMIT) return REFUSAL_NONE;
    assert_int_equal(record_unpack(&r, packed), OK);
    assert_int_equal(body_decode(&body, KIND_COMMIT, r.body), OK);
    assert_int_equal(body.COMMIT.commitment.bytes[0], 1 + granted(COMMIT, a->run, 0)->ask.output);
    return REFUSAL_NONE;
}

/* With a no: the term it is bound by, and when the leases will have ended. */
static void check_hints(const struct ask *a, uint64_t known, uint64_t wait_ms)
{
    const uint64_t next = bound(a->run) + 1;
    const int64_t wait_ns = (int64_t)wait_ms * MS;
    const int64_t left_ns = free_ns(a->run, a->term > next ? a->term : next, a->node) - core->now.ns;
    assert_int_equal(known, bound(a->run));
    assert_true(left_ns <= wait_ns + 2 * MS && (wait_ns == 0 || left_ns + 2 * MS >= wait_ns));
}

/* What it answered since: REFUSAL_COUNT when nothing. */
static enum refusal answered(const struct ask *a)
{
    enum refusal why = REFUSAL_COUNT;
    for (uint32_t i = 0; i < core->sent_count; i++) {
        const struct puppet_sent *s = &core->sent[i];
        const bool record = s->code == MESSAGE_RECORD_CODE;
        const bool prevote = record && s->record.header.kind == KIND_PREVOTE;
        const bool vote = record && s->record.header.kind == KIND_VOTE;
        if (!prevote && !vote && s->code != MESSAGE_RELAY_CODE) continue;
        assert_int_equal(why, REFUSAL_COUNT); /* one answer */
        if (prevote) why = refusal_from(s->body.PREVOTE.refusal);
        if (prevote) check_hints(a, s->body.PREVOTE.known, s->body.PREVOTE.wait_ms);
        if (vote) why = refusal_from(s->body.VOTE.refusal);
        if (vote && why != REFUSAL_NONE) check_hints(a, s->body.VOTE.known, s->body.VOTE.wait_ms);
        if (!prevote && !vote) why = boxed(a, s->message.RELAY.box);
    }
    return why;
}

static void expect(const struct reasons *r, enum refusal why)
{
    bool named = r->count == 0 && why == REFUSAL_NONE;
    for (uint32_t i = 0; i < r->count; i++) named |= r->why[i] == why;
    if (!named)
        fail_msg("%s is no reason of %u, first %s", refusal_name(why), r->count,
                 r->count > 0 ? refusal_name(r->why[0]) : "none");
    seen_refused[why]++;
}

/* --- Operations -------------------------------------------------------------------------------------------------------------- */

static void pass(int64_t ns)
{
    core->now.ns += ns;
    if (storage_random(&seed, 8) != 0) {
        puppet_greet(core);
        greeted_ns = core->now.ns;
    }
    puppet_event(core, (struct event){.type = EVENT_TICK});
}

/* Divisions drop a millisecond of what a custodian holds; nothing is asked in it. */
static void leave_the_edge(const struct ask *a)
{
    const uint64_t next = bound(a->run) + 1;
    for (uint32_t i = 0; i < 2; i++) {
        const int64_t left = free_ns(a->run, i == 0 ? a->term : next, a->node) - core->now.ns;
        if (left > -2 * MS && left < 2 * MS) core->now.ns += 5 * MS;
    }
}

static struct ask some_ask(void)
{
    const uint32_t kind = storage_random(&seed, 16);
    struct ask a = {.what = kind < 3    ? PREVOTE
                            : kind < 7  ? VOTE
                            : kind < 11 ? SHARES
                            : kind < 14 ? LEASE
                                        : COMMIT,
                    .run = storage_random(&seed, RUNS),
                    .node = storage_random(&seed, NODES),
                    .round = 1 + storage_random(&seed, 5),
                    .enclave = storage_random(&seed, 4) == 0,
                    .output = storage_random(&seed, 4) == 0};
    const uint64_t near = bound(a.run) + storage_random(&seed, 3);
    a.term = storage_random(&seed, 16) == 0 ? storage_random(&seed, TERMS) : near;
    a.bringer = a.node;
    if (a.what == PREVOTE || a.what == VOTE) return a;
    /* One run of a slot, and one node of a term, that the others have elected. */
    if (slot_of[a.run] == 1) a.run = round_number % 2;
    if (a.term == 0) a.term = 1;
    a.node = (uint32_t)(a.run + a.term * 3 + a.term / 2 + round_number) % NODES;
    a.bringer = storage_random(&seed, 8) == 0 ? (a.node + 1) % NODES : a.node;
    if (a.what == SHARES) a.round = 0;
    return a;
}

static void note(const struct ask *a)
{
    assert_true(grants < GRANTS_MAX);
    const bool stored = a->what != LEASE;
    given[grants] = (struct given){
        .ask = *a, .at_ns = core->now.ns, .here = true, .kept = !stored, .prolongs = prolongs(a)};
    if (stored) waiting[core->batch_count - 1] = grants;
    nothing_twice(&given[grants]);
    grants++;
}

static void ask_one(void)
{
    const struct ask a = some_ask();
    leave_the_edge(&a);
    const struct reasons r = judge(&a);
    const uint32_t batches = core->batch_count;
    const bool again = repeated(&a);
    put(&a);
    const enum refusal why = answered(&a);
    if (again) {
        assert_int_equal(why, REFUSAL_NONE);
        seen_repeated++;
    } else if (r.count == 0 && a.what != PREVOTE) {
        if (why != (a.what == LEASE ? REFUSAL_NONE : REFUSAL_COUNT))
            fail_msg("ask %d of run %u, term %u: %s", a.what, a.run, (uint32_t)a.term, refusal_name(why));
        assert_int_equal(core->batch_count, batches + (a.what != LEASE)); /* durable, then sent */
        note(&a);
        seen_granted[a.what]++;
    } else {
        expect(&r, why);
    }
}

/* The store answers: a vote leaves, shares and a commit are judged once more. */
static void store_one(void)
{
    if (core->batch_count == 0) return;
    struct given *g = &given[waiting[0]];
    const enum err err = storage_random(&seed, 8) == 0 ? ERR_IO : OK;
    const struct reasons r = g->ask.what == VOTE ? (struct reasons){0} : judge(&g->ask);
    memmove(waiting, waiting + 1, sizeof waiting - sizeof waiting[0]);
    puppet_stored(core, err);
    const enum refusal why = answered(&g->ask);
    if (err != OK) {
        assert_int_equal(why, REFUSAL_COUNT);
        return;
    }
    g->kept = true;
    expect(&r, why);
    g->sent = why == REFUSAL_NONE;
    seen_late += why != REFUSAL_NONE;
}

static void start(void)
{
    static const struct body_ADVERT blank;
    struct body_ADVERT advert = blank;
    advert.platform = world->platform;
    advert.engine = SPAN_LITERAL("engine");
    advert.gpu = SPAN_LITERAL("");
    puppet_start(core, &seed);
    started_ns = core->now.ns;
    greeted_ns = INT64_MIN / 2;
    for (uint32_t i = 0; i < NODES; i++) {
        puppet_event(core, (struct event){.type = EVENT_PEER_UP, .peer = node_id[i]});
        puppet_said(core, node_id[i], KIND_ADVERT, &advert);
    }
}

static void crash(void)
{
    bool kept[PUPPET_BATCHES_MAX];
    const uint32_t count = core->batch_count;
    puppet_crash(core, &seed, kept);
    for (uint32_t i = 0; i < count; i++) given[waiting[i]].kept |= kept[i];
    uint32_t left = 0;
    for (uint32_t i = 0; i < grants; i++) {
        given[i].here = given[i].sent = false;
        if (given[i].kept) given[left++] = given[i];
    }
    seen_lost += grants - left;
    grants = left;
    core->now.ns += storage_random(&seed, 1500) * LEASE_MS / 1000 * MS;
    start();
}

static void operate(void)
{
    puppet_forget(core);
    const uint32_t what = storage_random(&seed, 100);
    if (what < 60)
        ask_one();
    else if (what < 80)
        store_one();
    else if (what < 98)
        pass(storage_random(&seed, storage_random(&seed, 4) == 0 ? 1500 : 300) * LEASE_MS / 1000 * MS);
    else
        crash();
}

/* --- The world --------------------------------------------------------------------------------------------------------------- */

static void make_world(void)
{
    union body body;
    world = world_new();
    node_id[0] = world->node[WORLD_COMPUTE].id;
    for (uint32_t i = 1; i < NODES; i++) node_id[i] = puppet_admit(world, i);
    for (uint32_t i = 0; i < RUNS; i++) {
        const struct record *r =
            i == 0 ? world_first(world, KIND_RUN, WORLD_REQUESTER, &body) : puppet_request(world, slot_of[i]);
        memcpy(run_id[i].bytes, r->id.bytes, 32);
        run_ms[i] = r->header.time_ms;
    }
}

static void against_a_list(uint32_t lease_ms)
{
    seed = seed_or(0) + 1;
    world_lease_ms = lease_ms;
    make_world();
    for (round_number = 0; round_number < ROUNDS; round_number++) {
        core = puppet_new(world, SELF);
        grants = 0;
        start();
        for (uint32_t i = 0; i < OPS; i++) operate();
        puppet_free(core);
    }
    world_free(world);
}

/* So short that three are less than an enclave is given to start, and so long that the drift counts. */
static void test_against_a_list(void **state)
{
    (void)state;
    against_a_list(900);
    against_a_list(60000);
    if (!seed_is_own()) return;
    for (enum what what = VOTE; what < WHATS; what++) assert_in_range(seen_granted[what], ROUNDS, UINT32_MAX);
    static const enum refusal all[] = {REFUSAL_NONE,           REFUSAL_ISOLATED,     REFUSAL_SLOT_SPENT,
                                       REFUSAL_TERM,           REFUSAL_VOTED,        REFUSAL_LEASE_HELD,
                                       REFUSAL_CERTIFICATE,    REFUSAL_NOT_RELEASED, REFUSAL_OTHER_KEY,
                                       REFUSAL_COMMIT_CONFLICT};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (seen_refused[all[i]] == 0) fail_msg("never %s", refusal_name(all[i]));
    }
    assert_true(seen_repeated > 0 && seen_late > 0 && seen_lost > 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_a_list)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
