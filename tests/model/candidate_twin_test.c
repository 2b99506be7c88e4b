/* A candidate's core against a naive one, which is PROTOCOL.md's "Rank" and "Terms" read aloud: two runs, of which it has room
 * for one at a time, three custodians that keep their word and one that says anything, answers that come in any order, late,
 * twice or unasked, other candidates that win terms, owners that are away, workers that end, kills. After each step phase, term
 * and the time of the next ask are compared, and who was asked for what. Whatever the two agree on: an enclave is started
 * for q votes and in no term twice, no vote is asked for without q prevotes, and once all is well each run is elected.
 * PERIGEE_SEED=7: other answers. */
#include "proto/core_state.h"
#include "tests/puppet.h"
#include "tests/seed.h"
#include "tests/storage_place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROUNDS = 8, OPS = 800, RUNS = 2, NODES = 3, N = WORLD_CUSTODIANS, Q = 3, LIAR = 3 };
enum { LEASE_MS = 1000, RANK_MS = 50, TICK = 250, AGAIN_MS = 1500, ASKS_MAX = 64 };
#define MS INT64_C(1000000)

/* What a custodian has said in this asking, and of later terms. */
struct voice {
    bool yes, not_now, never, heard;
    uint64_t known;
    int64_t free_ns;
};
struct naive {
    enum candidate_phase phase;
    uint64_t term, elected; /* elected: the last term that it was, also before the start */
    int64_t next_ns;
    uint32_t ended; /* enclaves, since the start */
    struct voice voice[N];
};
struct asked {
    uint32_t run, custodian;
    enum kind kind;
    uint64_t term;
};
/* A custodian that keeps its word: the latest term it voted in, whether for this node, and how long it is not free. */
struct honest {
    uint64_t bound;
    bool ours;
    int64_t busy_ns;
};

static struct world *world;
static struct puppet *core;
static struct run_id run_id[RUNS];
static uint64_t run_ms[RUNS], seed;
static struct node_id node_id[NODES]; /* the first is this one */
static struct naive naive[RUNS];
static struct honest honest[RUNS][N];
static struct asked expected[ASKS_MAX], open_ask[ASKS_MAX];
static uint32_t expected_count, open_count;
static bool owner_up[2], slot_gone[RUNS], all_is_well;
static uint32_t seen_starts, seen_terms, seen_lost, seen_restarts, seen_liars_term;

/* --- The naive one ---------------------------------------------------------------------------------------------------------- */

static uint32_t rank(uint32_t run, uint64_t term)
{
    struct hash32 place[NODES];
    uint8_t number[8];
    uint32_t before = 0;
    store_u64(number, term);
    for (uint32_t i = 0; i < NODES; i++) {
        place[i] = HASH_FRAMED("perigee/rank/v1", ID_SPAN(run_id[run]), SPAN_OF(number), ID_SPAN(node_id[i]));
        before += memcmp(place[i].bytes, place[0].bytes, 32) < 0;
    }
    return before;
}

static uint32_t count(const struct naive *n, bool yes, bool not_now, bool never)
{
    uint32_t c = 0;
    for (uint32_t i = 0; i < N; i++) {
        const struct voice *v = &n->voice[i];
        c += (yes && v->yes) || (not_now && v->not_now) || (never && v->never);
    }
    return c;
}

static int ascending(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* Of what those heard have said, the q-th smallest; of fewer the largest. */
static int64_t of_heard(const struct naive *n, bool known)
{
    int64_t value[N];
    uint32_t heard = 0;
    for (uint32_t i = 0; i < N; i++)
        if (n->voice[i].heard) value[heard++] = known ? (int64_t)n->voice[i].known : n->voice[i].free_ns;
    if (heard == 0) return 0;
    qsort(value, heard, sizeof value[0], ascending);
    return value[heard < Q ? heard - 1 : Q - 1];
}

static int64_t between(int64_t low, int64_t value, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* Nobody can win this asking any more: on to the next term. */
static void go_on(uint32_t run)
{
    struct naive *n = &naive[run];
    const int64_t soon = core->now.ns + TICK * MS;
    const uint64_t most = 8 + 8 * ((puppet_wall_ms(core) - run_ms[run]) / LEASE_MS);
    const uint64_t next = (uint64_t)of_heard(n, true) + 1;
    n->phase = CANDIDATE_WAITING;
    n->term = next < most ? next : most;
    n->next_ns = between(soon, of_heard(n, false), soon + 3 * LEASE_MS * MS);
    seen_terms++;
}

static void ask_who_is_silent(uint32_t run)
{
    struct naive *n = &naive[run];
    n->next_ns = core->now.ns + AGAIN_MS * MS;
    for (uint32_t i = 0; i < N; i++) {
        const struct voice *v = &n->voice[i];
        if (v->yes || v->not_now || v->never) continue;
        assert_true(expected_count < ASKS_MAX);
        expected[expected_count++] =
            (struct asked){run, i, n->phase == CANDIDATE_VOTE ? KIND_VOTE_ASK : KIND_PREVOTE_ASK, n->term};
    }
}

static void begin(uint32_t run, enum candidate_phase phase)
{
    struct naive *n = &naive[run];
    const uint32_t before = rank(run, n->term);
    n->phase = phase;
    for (uint32_t i = 0; i < N; i++) n->voice[i].yes = n->voice[i].not_now = false;
    n->next_ns = core->now.ns + before * RANK_MS * MS;
    if (before == 0) ask_who_is_silent(run);
}

static bool asking(const struct naive *n)
{
    return n->phase == CANDIDATE_PREVOTE || n->phase == CANDIDATE_VOTE;
}

static void naive_tick(uint32_t run)
{
    struct naive *n = &naive[run];
    if (core->now.ns < n->next_ns) return;
    if (!owner_up[0] || !owner_up[1]) {
        n->phase = CANDIDATE_WAITING;
        n->next_ns = core->now.ns + TICK * MS;
    } else if (n->phase == CANDIDATE_WAITING) {
        const struct naive *other = &naive[1 - run];
        n->next_ns = core->now.ns + TICK * MS;
        if (!asking(other) && other->phase != CANDIDATE_HOLDER) begin(run, CANDIDATE_PREVOTE);
    } else if (count(n, false, true, false) > 0) {
        go_on(run);
    } else {
        ask_who_is_silent(run);
    }
}

static void hear(struct voice *v, uint64_t known, int64_t free_ns)
{
    v->heard = true;
    if (v->known < known) v->known = known;
    v->free_ns = free_ns;
}

static void naive_no(uint32_t run, uint32_t custodian, enum refusal why, uint64_t known, uint64_t wait_ms)
{
    struct naive *n = &naive[run];
    struct voice *v = &n->voice[custodian];
    hear(v, known, core->now.ns + (int64_t)wait_ms * MS);
    v->not_now |= why == REFUSAL_VOTED || why == REFUSAL_TERM || why == REFUSAL_LEASE_HELD;
    v->never |= why == REFUSAL_SLOT_SPENT;
    if (N - count(n, false, false, true) < Q)
        n->phase = CANDIDATE_DONE;
    else if (N - count(n, false, true, true) < Q)
        go_on(run);
}

static void naive_yes(uint32_t run, uint32_t custodian)
{
    struct naive *n = &naive[run];
    struct voice *v = &n->voice[custodian];
    const bool vote = n->phase == CANDIDATE_VOTE;
    if (vote && v->yes) return;
    hear(v, vote ? n->term : n->term - 1, core->now.ns);
    v->yes = true;
    if (count(n, true, false, false) < Q) return;
    if (!vote) {
        begin(run, CANDIDATE_VOTE);
        return;
    }
    assert_true(n->term > n->elected); /* no term twice */
    n->phase = CANDIDATE_HOLDER;
    n->elected = n->term;
}

/* Its enclave ended: at once, then after a lease, two, four, up to ten minutes; or not at all. */
static void naive_ended(uint32_t run, bool again)
{
    struct naive *n = &naive[run];
    int64_t pause_ms = LEASE_MS;
    n->ended++;
    n->phase = CANDIDATE_DONE;
    if (!again) return;
    for (uint32_t i = 0; i < N; i++)
        if (n->voice[i].yes) hear(&n->voice[i], n->term, core->now.ns);
    go_on(run);
    for (uint32_t i = 2; i < n->ended; i++) pause_ms = between(0, 2 * pause_ms, INT64_C(600000));
    const int64_t rested = core->now.ns + (n->ended > 1 ? pause_ms * MS : 0);
    if (n->next_ns < rested) n->next_ns = rested;
}

/* --- The core -------------------------------------------------------------------------------------------------------------- */

static uint32_t run_number(struct run_id run)
{
    return ID_EQUAL(run, run_id[0]) ? 0 : 1;
}

static uint32_t custodian_number(struct node_id node)
{
    for (uint32_t i = 0; i < N; i++)
        if (ID_EQUAL(world->node[i].id, node)) return i;
    fail_msg("it asked who is no custodian");
    return N;
}

/* Who was asked for what since puppet_forget: exactly what is expected, in any order. */
static void compare_asks(void)
{
    uint32_t came = 0;
    for (uint32_t i = 0; i < core->sent_count; i++) {
        const struct puppet_sent *s = &core->sent[i];
        const enum kind kind = s->record.header.kind;
        if (s->code != MESSAGE_RECORD_CODE || (kind != KIND_PREVOTE_ASK && kind != KIND_VOTE_ASK)) continue;
        const struct body_PREVOTE_ASK *b = &s->body.PREVOTE_ASK;
        const struct asked ask = {run_number(b->run), custodian_number(s->to), kind, b->term};
        bool found = false;
        for (uint32_t j = 0; j < expected_count; j++) {
            const struct asked *e = &expected[j];
            found |=
                e->run == ask.run && e->custodian == ask.custodian && e->kind == kind && e->term == ask.term;
        }
        assert_true(found);
        came++;
        open_ask[open_count++ % ASKS_MAX] = ask;
    }
    assert_int_equal(came, expected_count);
    expected_count = 0;
}

static void compare(void)
{
    static const char *const phases[] = {"idle", "waiting", "prevote", "vote", "holder", "done"};
    compare_asks();
    for (uint32_t run = 0; run < RUNS; run++) {
        const struct run_track *t = track_find(core->core, run_id[run]);
        const struct naive *n = &naive[run];
        assert_string_equal(phases[t->phase], phases[n->phase]);
        if (n->phase == CANDIDATE_DONE) continue;
        assert_int_equal(t->term, n->term);
        if (n->phase == CANDIDATE_HOLDER) assert_int_equal(t->certificate.vote_count, Q);
        if (n->phase != CANDIDATE_HOLDER) assert_int_equal(t->next_ns, n->next_ns);
    }
}

/* An early one does nothing. */
static void tick(void)
{
    const bool due = core->now.ns >= core->core->tick_ns;
    puppet_event(core, (struct event){.type = EVENT_TICK});
    if (!due) return;
    for (uint32_t run = 0; run < RUNS; run++)
        if (asking(&naive[run])) naive_tick(run);
    for (uint32_t i = 0; i < RUNS; i++) { /* in the order in which it heard of them */
        const uint32_t run = run_number(core->core->track[i].view.run);
        if (naive[run].phase == CANDIDATE_WAITING) naive_tick(run);
    }
    compare();
}

/* --- Custodians ------------------------------------------------------------------------------------------------------------- */

struct word {
    enum refusal why;
    uint64_t known, wait_ms;
};

static struct word honest_word(const struct asked *a)
{
    struct honest *h = &honest[a->run][a->custodian];
    struct word w = {REFUSAL_NONE, h->bound, 0};
    const int64_t left = h->busy_ns - core->now.ns;
    if (slot_gone[a->run])
        w.why = REFUSAL_SLOT_SPENT;
    else if (h->bound > a->term)
        w.why = REFUSAL_TERM;
    else if (h->bound == a->term && !h->ours)
        w.why = REFUSAL_VOTED;
    else if (h->bound < a->term && left > 0)
        w.why = REFUSAL_LEASE_HELD;
    else if (!all_is_well && storage_random(&seed, 12) == 0)
        w.why = REFUSAL_ISOLATED;
    if (left > 0) w.wait_ms = (uint64_t)(left / MS) + 1;
    if (w.why != REFUSAL_NONE || a->kind == KIND_PREVOTE_ASK) return w;
    if (h->bound < a->term) h->busy_ns = core->now.ns + (int64_t)storage_random(&seed, 3000) * MS;
    h->bound = a->term;
    h->ours = true;
    return w;
}

static struct word lie(const struct asked *a)
{
    static const enum refusal says[] = {REFUSAL_NONE,       REFUSAL_NONE,       REFUSAL_VOTED,
                                        REFUSAL_LEASE_HELD, REFUSAL_SLOT_SPENT, REFUSAL_ISOLATED};
    const uint64_t known[] = {0, a->term, a->term + 3, UINT32_MAX};
    return (struct word){says[storage_random(&seed, 6)], known[storage_random(&seed, 4)],
                         storage_random(&seed, 8) == 0 ? UINT32_MAX : storage_random(&seed, 4000)};
}

static void say(const struct asked *a, const struct word *w)
{
    const struct naive *n = &naive[a->run];
    const struct run_id run = run_id[a->run];
    const struct node_id from = world->node[a->custodian].id;
    const struct body_PREVOTE prevote = {run, a->term, node_id[0], w->why, w->known, w->wait_ms};
    struct body_VOTE vote = {
        .run = run, .term = a->term, .node = node_id[0], .refusal = w->why, .known = w->known};
    const bool prevoted = a->kind == KIND_PREVOTE_ASK;
    const enum candidate_phase phase = prevoted ? CANDIDATE_PREVOTE : CANDIDATE_VOTE;
    const bool counts = n->phase == phase && n->term == a->term;
    vote.wait_ms = w->wait_ms;
    puppet_said(core, from, prevoted ? KIND_PREVOTE : KIND_VOTE, prevoted ? (const void *)&prevote : &vote);
    if (counts && w->why == REFUSAL_NONE)
        naive_yes(a->run, a->custodian);
    else if (counts)
        naive_no(a->run, a->custodian, w->why, w->known, w->wait_ms < 86400000 ? w->wait_ms : 86400000);
    const bool elected = counts && n->phase == CANDIDATE_HOLDER;
    assert_int_equal(core->started, elected);
    if (elected) assert_true(ID_EQUAL(core->started_run, run));
    seen_starts += elected;
    seen_lost += counts && n->phase == CANDIDATE_DONE;
    compare();
}

/* To one of the latest asks, perhaps again. */
static void answer(void)
{
    const uint32_t most = open_count < ASKS_MAX ? open_count : ASKS_MAX;
    if (most == 0) return;
    const uint32_t near = storage_random(&seed, 8) == 0 || most < 8 ? most : 8;
    const struct asked a = open_ask[(open_count - 1 - storage_random(&seed, near)) % ASKS_MAX];
    const struct word w = a.custodian == LIAR ? lie(&a) : honest_word(&a);
    seen_liars_term += w.known == UINT32_MAX;
    say(&a, &w);
}

static void another_is_elected(void)
{
    const uint32_t run = storage_random(&seed, RUNS);
    uint64_t term = 0;
    slot_gone[run] |= storage_random(&seed, 32) == 0; /* by another run */
    for (uint32_t i = 0; i < N; i++)
        if (honest[run][i].bound > term) term = honest[run][i].bound;
    if (term + 1 > 8 + 8 * ((puppet_wall_ms(core) - run_ms[run]) / LEASE_MS)) return;
    for (uint32_t i = 0; i < N; i++)
        honest[run][i] = (struct honest){term + 1, false, core->now.ns + 3 * LEASE_MS * MS};
}

/* --- Operations -------------------------------------------------------------------------------------------------------------- */

static void worker_ends(bool again)
{
    const uint8_t failed[] = {FRAME_FAILED, REFUSAL_COMPUTATION, 0};
    for (uint32_t run = 0; run < RUNS; run++) {
        if (naive[run].phase != CANDIDATE_HOLDER) continue;
        puppet_event(core, (struct event){.type = EVENT_ENCLAVE,
                                          .run = run_id[run],
                                          .bytes = again ? SPAN_NONE : SPAN_OF(failed)});
        naive_ended(run, again);
    }
    compare();
}

static void owner_comes_or_goes(uint32_t i)
{
    owner_up[i] = !owner_up[i];
    puppet_event(core, (struct event){.type = owner_up[i] ? EVENT_PEER_UP : EVENT_PEER_DOWN,
                                      .peer = world->node[i].id});
    compare();
}

/* An own enclave of before may be at work, and a receipt not looked at: it waits for a lease. */
static void start(void)
{
    const int64_t lease_ns = LEASE_MS * MS * 1000200 / 999800 + 2 * MS;
    puppet_start(core, &seed);
    owner_up[0] = owner_up[1] = false;
    puppet_event(core, (struct event){.type = EVENT_TICK});
    for (uint32_t run = 0; run < RUNS; run++) {
        const int64_t next_ns = track_find(core->core, run_id[run])->next_ns;
        const uint64_t elected = naive[run].elected;
        assert_in_range(next_ns - core->now.ns, lease_ns - 2 * MS, lease_ns);
        naive[run] = (struct naive){
            .phase = CANDIDATE_WAITING, .term = elected + 1, .elected = elected, .next_ns = next_ns};
    }
    compare();
    for (uint32_t i = 0; i < 2; i++) owner_comes_or_goes(i);
}

static void crash(void)
{
    bool kept[PUPPET_BATCHES_MAX];
    puppet_crash(core, &seed, kept);
    core->now.ns += storage_random(&seed, 3000) * MS;
    puppet_forget(core);
    start();
    seen_restarts++;
}

/* Some time, or until something is due. */
static void pass(void)
{
    int64_t due = INT64_MAX;
    for (uint32_t run = 0; run < RUNS; run++) {
        bool waits = asking(&naive[run]) || naive[run].phase == CANDIDATE_WAITING;
        if (waits && naive[run].next_ns < due) due = naive[run].next_ns;
    }
    if (due != INT64_MAX && due > core->now.ns && storage_random(&seed, 3) == 0)
        core->now.ns = due - storage_random(&seed, 2);
    else
        core->now.ns += (int64_t)storage_random(&seed, 300) * MS;
    tick();
}

static void operate(void)
{
    const uint32_t what = storage_random(&seed, 100);
    puppet_forget(core);
    if (what < 50)
        answer();
    else if (what < 88)
        pass();
    else if (what < 90)
        another_is_elected();
    else if (what < 93)
        owner_comes_or_goes(storage_random(&seed, 2));
    else if (what < 99)
        worker_ends(storage_random(&seed, 16) != 0);
    else
        crash();
}

/* Owners are there, honest custodians answer, nobody else wins: each run that can be is elected in so many steps. */
static void all_runs_are_elected(void)
{
    enum { STEPS = 2000 };
    all_is_well = true;
    puppet_forget(core);
    for (uint32_t i = 0; i < 2; i++)
        if (!owner_up[i]) owner_comes_or_goes(i);
    for (uint32_t run = 0; run < RUNS; run++) {
        for (uint32_t step = 0; naive[run].phase != CANDIDATE_HOLDER && naive[run].phase != CANDIDATE_DONE;
             step++) {
            assert_true(step < STEPS);
            puppet_forget(core);
            if (naive[1 - run].phase == CANDIDATE_HOLDER) worker_ends(true);
            pass();
            for (uint32_t i = 0; i < 8; i++) {
                puppet_forget(core);
                answer();
            }
        }
        worker_ends(false);
    }
    all_is_well = false;
}

static void make_world(void)
{
    union body body;
    world = world_new();
    node_id[0] = world->node[WORLD_COMPUTE].id;
    for (uint32_t i = 1; i < NODES; i++) node_id[i] = puppet_admit(world, i);
    for (uint32_t i = 0; i < RUNS; i++) {
        const struct record *r =
            i == 0 ? world_first(world, KIND_RUN, WORLD_REQUESTER, &body) : puppet_request(world, 2);
        memcpy(run_id[i].bytes, r->id.bytes, 32);
        run_ms[i] = r->header.time_ms;
    }
}

static void begin_round(void)
{
    memset(naive, 0, sizeof naive);
    memset(honest, 0, sizeof honest);
    memset(slot_gone, 0, sizeof slot_gone);
    open_count = expected_count = 0;
    core = puppet_new(world, WORLD_COMPUTE);
    core->options.compute = true;
    core->options.platform = world->platform;
    core->options.engine = SPAN_LITERAL("engine");
    core->options.gpu = SPAN_LITERAL("");
    core->options.enclaves_max = 1;
    start();
}

static void test_against_custodians(void **state)
{
    (void)state;
    seed = seed_or(0) + 1;
    make_world();
    for (uint32_t round = 0; round < ROUNDS; round++) {
        begin_round();
        for (uint32_t i = 0; i < OPS; i++) operate();
        all_runs_are_elected();
        puppet_free(core);
    }
    world_free(world);
    assert_true(seen_starts > ROUNDS && seen_terms > ROUNDS && seen_restarts > ROUNDS);
    if (!seed_is_own()) return;
    assert_true(seen_liars_term > 0 && seen_lost > 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_custodians)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
