/* Failover: the elected node or its enclave ends, stops or is cut off at every phase of a run, among production cores and
 * enclaves under virtual time. The run settles once, with one output, and no two enclaves hold leases at once: the cluster
 * asserts both with every step (DESIGN §13 one-certificate, one-output, live). */
#include "tests/cluster.h"
#include "tests/effort.h"
#include "tests/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct world *world;
static struct cluster *cluster;
static struct run_id run;

/* A consortium of four custodians and two compute nodes. */
static void found(uint64_t seed)
{
    struct cluster_options options = {.seed = seed, .enclaves = true, .compute_ms = 700};
    world_vetoes = (uint32_t)(seed % 4); /* no owner keeps a veto, one, the other, both */
    world = world_new();
    cluster = cluster_new(world, &options);
    cluster_run(cluster, 5000); /* custodians compare heads, adverts arrive */
}

/* And a run on its way. */
static void begin(uint64_t seed)
{
    found(seed);
    struct verdict v = cluster_request(cluster, 1, &run);
    assert_string_equal(refusal_name(v.refusal), "none");
}

static void end(void)
{
    cluster_free(cluster);
    world_free(world);
    world_vetoes = 0;
}

static const struct cluster_start *last_start(void)
{
    uint32_t count;
    const struct cluster_start *s = cluster_starts(cluster, &count);
    return count > 0 ? &s[count - 1] : NULL;
}

static uint32_t starts(void)
{
    uint32_t count;
    (void)cluster_starts(cluster, &count);
    return count;
}

static bool settled(struct cluster *c)
{
    struct run_view view;
    const struct core *requester = cluster_core(c, WORLD_REQUESTER);
    return requester != NULL && core_run(requester, run, &view) && view.state == RUN_SETTLED;
}

static enum run_state phase;
static bool in_phase(struct cluster *c)
{
    (void)c;
    const struct cluster_start *s = last_start();
    return s != NULL && !s->gone && s->state == phase;
}

static void reach(enum run_state wanted)
{
    phase = wanted;
    assert_true(cluster_until(cluster, in_phase, 20000));
}

static void settles(void)
{
    if (!cluster_until(cluster, settled, 60000)) {
        struct run_view view;
        assert_true(core_run(cluster_core(cluster, WORLD_REQUESTER), run, &view));
        fail_msg("%s, %s, term %u after %u starts", run_state_name(view.state),
                 refusal_name(view.verdict.refusal), (unsigned)view.term, (unsigned)starts());
    }
}

/* Whatever befell them, all show it settled by whom the receipt's certificate elected, in its term, and for no reason. */
static void all_show_the_receipt(void)
{
    struct run_view view;
    struct certificate cert;
    union body body;
    for (uint32_t i = 0; i < CLUSTER_NODES; i++) {
        if (cluster_core(cluster, i) == NULL) continue;
        const struct record *receipt = registry_run(core_registry(cluster_core(cluster, i)), run)->receipt;
        assert_non_null(receipt);
        assert_int_equal(body_decode(&body, KIND_RECEIPT, receipt->body), OK);
        assert_int_equal(certificate_decode(&cert, body.RECEIPT.certificate), OK);
        assert_true(core_run(cluster_core(cluster, i), run, &view));
        assert_string_equal(run_state_name(view.state), "settled");
        assert_string_equal(refusal_name(view.verdict.refusal), "none");
        assert_int_equal(view.term, cert.term);
        assert_memory_equal(view.node.bytes, cert.node.bytes, sizeof cert.node.bytes);
    }
}

static void test_undisturbed(void **state)
{
    (void)state;
    begin(1);
    settles();
    assert_int_equal(starts(), 1);
    cluster_run(cluster, 20000);
    assert_int_equal(starts(), 1); /* and nobody tries again */
    end();
}

/* --- Trying again ------------------------------------------------------------------------------------------------------------- */

static bool another_start(struct cluster *c)
{
    (void)c;
    return last_start() != NULL && !last_start()->gone;
}

/* One provider, whose enclaves do not live: it tries again and again, each time in a later term and after a longer pause. */
static void test_a_node_tries_again(void **state)
{
    (void)state;
    uint64_t pause_ms = 0;
    begin(3);
    cluster_crash(cluster, CLUSTER_SECOND);
    for (uint32_t i = 1; i <= 6; i++) {
        assert_true(cluster_until(cluster, another_start, 60000));
        assert_true(starts() == i && last_start()->term == i);
        uint64_t waited_ms = i > 1 ? last_start()->at_ms - (last_start() - 1)->at_ms : 0;
        if (i > 4) assert_true(waited_ms > pause_ms);
        pause_ms = waited_ms;
        cluster_run(cluster, 50);
        cluster_kill_enclave(cluster, i - 1);
    }
    assert_true(pause_ms >= 8000); /* leases are of a second: 1, 2, 4, 8 */
    settles();                     /* the first that lives */
    end();
}

/* An owner that is away, as everybody's data is needed: the run waits for it, and no term passes. */
static void test_an_owner_is_away(void **state)
{
    (void)state;
    struct run_view view;
    struct cluster_options options = {.seed = 6, .enclaves = true, .compute_ms = 100};
    world = world_new();
    cluster = cluster_new(world, &options);
    cluster_run(cluster, 5000);
    cluster_crash(cluster, 1); /* owns the second dataset; three custodians are enough */
    cluster_run(cluster, 2000);
    struct verdict v = cluster_request(cluster, 1, &run);
    assert_string_equal(refusal_name(v.refusal), "none");
    cluster_run(cluster, 20000);
    assert_int_equal(starts(), 0);
    struct node_id owner = cluster_id(cluster, 1);
    assert_true(core_run(cluster_core(cluster, WORLD_COMPUTE), run, &view));
    assert_int_equal(view.verdict.refusal, REFUSAL_INPUT_MISSING);
    assert_memory_equal(view.verdict.subject.bytes, owner.bytes, 32);
    cluster_restart(cluster, 1);
    settles();
    assert_int_equal(starts(), 1);
    end();
}

/* A slot that has a receipt is not computed again, whoever asks. */
static void test_a_settled_run_has_no_later_term(void **state)
{
    (void)state;
    begin(4);
    settles();
    cluster_run(cluster, 10000);
    uint32_t votes = 0;
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++) votes += cluster_votes_sent(cluster, i);
    union body ask = {.VOTE_ASK = {run, 2}};
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++)
        cluster_inject(
            cluster, CLUSTER_SECOND, i,
            cluster_forge(cluster, CLUSTER_SECOND, 0, (struct record_id){{0}}, KIND_VOTE_ASK, &ask));
    cluster_run(cluster, 5000);
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++) votes -= cluster_votes_sent(cluster, i);
    assert_int_equal(votes, 0);
    end();
}

/* A custodian that names the highest term, and an eternity, when asked: the others' word decides, and at worst a term is passed
 * over. */
static void test_a_liar_names_no_term(void **state)
{
    (void)state;
    begin(5);
    reach(RUN_COMPUTING);
    uint32_t first = last_start()->node;
    cluster_crash(cluster, first);
    uint32_t other = first == WORLD_COMPUTE ? CLUSTER_SECOND : WORLD_COMPUTE;
    for (uint32_t i = 0; i < 200 && !settled(cluster); i++) {
        union body lie = {.PREVOTE = {.run = run,
                                      .term = 2,
                                      .node = cluster_id(cluster, other),
                                      .refusal = REFUSAL_LEASE_HELD,
                                      .known = UINT32_MAX,
                                      .wait_ms = UINT32_MAX}};
        cluster_inject(cluster, 3, other,
                       cluster_forge(cluster, 3, 0, (struct record_id){{0}}, KIND_PREVOTE, &lie));
        cluster_run(cluster, 100);
    }
    settles();
    assert_true(last_start()->term > 1);
    end();
}

/* A custodian is away, so that every one of the others is needed, whatever they were bound by. */
static void test_with_a_custodian_away(void **state)
{
    (void)state;
    for (uint64_t seed = 40; seed < 46; seed++) {
        begin(seed);
        cluster_crash(cluster, 3);
        union body ask = {.VOTE_ASK = {run, 8}}; /* one is bound by a high term that nobody else knows */
        if (seed % 2 == 0)
            cluster_inject(
                cluster, CLUSTER_SECOND, 2,
                cluster_forge(cluster, CLUSTER_SECOND, 0, (struct record_id){{0}}, KIND_VOTE_ASK, &ask));
        assert_true(cluster_until(cluster, another_start, 60000));
        cluster_run(cluster, 100 + 300 * (seed - 40));
        cluster_crash(cluster, last_start()->node);
        settles();
        end();
    }
}

/* Clocks may be skew_max from the custodians', either way: the one that is needed is behind, and who computes is before it. */
static void test_clocks_that_may_differ(void **state)
{
    (void)state;
    begin(47);
    cluster_crash(cluster, 3);
    cluster_set_clock(cluster, 2, -55000);
    cluster_set_clock(cluster, WORLD_COMPUTE, 4000);
    settles();
    assert_int_equal(starts(), 1);
    end();
}

/* An owner by whose clock all is over, or has not begun, serves nothing: nobody asks it in vain until the clock is right. */
static void test_an_owner_with_a_wrong_clock(void **state)
{
    static const int64_t ahead_ms[] = {-3600000, 25 * 3600000};
    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        found(48);
        cluster_set_clock(cluster, 0, ahead_ms[i]);
        cluster_run(cluster, 3000);
        struct verdict v = cluster_request(cluster, 1, &run);
        assert_string_equal(refusal_name(v.refusal), "none");
        cluster_run(cluster, 30000);
        assert_int_equal(starts(), 0);
        cluster_set_clock(cluster, 0, 0);
        settles();
        assert_int_equal(starts(), 1);
        end();
    }
}

/* Between one and two skew_max an owner still serves, but answers nothing: without its half a term would pass for nothing. */
static void test_a_vetoing_owner_with_a_wrong_clock(void **state)
{
    (void)state;
    for (uint32_t vetoes = 0; vetoes < 2; vetoes++) {
        found(48 + vetoes);
        cluster_set_clock(cluster, 0, 90000);
        cluster_run(cluster, 3000);
        struct verdict v = cluster_request(cluster, 1, &run);
        assert_string_equal(refusal_name(v.refusal), "none");
        cluster_run(cluster, 30000);
        assert_int_equal(starts(), 1 - vetoes);
        cluster_set_clock(cluster, 0, 0);
        settles();
        assert_int_equal(starts(), 1);
        end();
    }
}

/* Stopped until the others have settled it without: then its own enclave ends, for a reason that is no longer the run's. */
static void test_stopped_until_it_is_settled(void **state)
{
    (void)state;
    begin(8);
    reach(RUN_REQUESTED);
    uint32_t first = last_start()->node;
    cluster_pause(cluster, first, true);
    settles();
    assert_true(last_start()->node != first && last_start()->term > 1);
    cluster_pause(cluster, first, false);
    cluster_run(cluster, 10000);
    all_show_the_receipt();
    end();
}

/* A custodian is elected itself, and each one's shares are needed, its own, too; it may be an owner with a veto besides. */
static void test_a_custodian_computes(void **state)
{
    (void)state;
    world_computes = 1u << 0;
    for (uint64_t seed = 60; seed < 62; seed++) { /* without a veto of its own, and with one */
        begin(seed);
        cluster_crash(cluster, 3);
        cluster_crash(cluster, WORLD_COMPUTE);
        cluster_crash(cluster, CLUSTER_SECOND);
        settles();
        assert_int_equal(starts(), 1);
        end();
    }
    world_computes = 0;
}

/* One that asks for every vote the moment it can be had, and computes nothing: others have their turn. */
static void test_a_node_that_never_computes(void **state)
{
    (void)state;
    struct cluster_options options = {.seed = 50, .enclaves = true, .compute_ms = 100};
    world = world_new();
    cluster = cluster_new(world, &options);
    cluster_run(cluster, 5000);
    cluster_crash(cluster, CLUSTER_SECOND);
    cluster_crash(cluster, WORLD_COMPUTE);
    struct verdict v = cluster_request(cluster, 1, &run);
    assert_string_equal(refusal_name(v.refusal), "none");
    for (uint64_t i = 0; i < 3000 && !settled(cluster); i++) {
        union body ask = {.VOTE_ASK = {run, 1 + i / 8}}; /* above any so far, and allowed */
        for (uint32_t j = 0; j < WORLD_CUSTODIANS; j++)
            cluster_inject(
                cluster, CLUSTER_SECOND, j,
                cluster_forge(cluster, CLUSTER_SECOND, 0, (struct record_id){{0}}, KIND_VOTE_ASK, &ask));
        cluster_run(cluster, 20);
        if (i == 50) cluster_restart(cluster, WORLD_COMPUTE);
    }
    assert_true(settled(cluster));
    assert_true(last_start()->term > 1);
    end();
}

/* --- What happens to who holds the run, at each phase ------------------------------------------------------------------------- */

static uint32_t holder_node, holder_start;

static void kill_node(void)
{
    cluster_crash(cluster, holder_node);
}
static void kill_and_restart_node(void)
{
    cluster_crash(cluster, holder_node);
    cluster_restart(cluster, holder_node);
}
static void kill_enclave(void)
{
    cluster_kill_enclave(cluster, holder_start);
}
static void part_node(void)
{
    cluster_part(cluster, 1u << holder_node, true);
}
static void pause_node(void)
{
    cluster_pause(cluster, holder_node, true);
}
static void pause_enclave(void)
{
    cluster_pause_enclave(cluster, holder_start, true);
}
static void pause_both(void)
{
    pause_node();
    pause_enclave();
}

/* Whose word the lease is forget that they gave it. With the holder cut off, others ask them at once. */
static void restart_custodians(void)
{
    part_node();
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++) {
        cluster_crash(cluster, i);
        cluster_restart(cluster, i);
    }
}

static void heal(void)
{
    cluster_part(cluster, 1u << holder_node, false);
    cluster_pause_enclave(cluster, holder_start, false);
    cluster_pause(cluster, holder_node, false);
    if (cluster_core(cluster, holder_node) == NULL) cluster_restart(cluster, holder_node);
}

struct blow {
    const char *name;
    void (*hit)(void);
};
static const struct blow blows[] = {
    {"node killed", kill_node},       {"node killed and started again", kill_and_restart_node},
    {"enclave killed", kill_enclave}, {"node cut off", part_node},
    {"node stopped", pause_node},     {"enclave stopped", pause_enclave},
    {"both stopped", pause_both},     {"custodians started again", restart_custodians},
};
enum { BLOWS = sizeof blows / sizeof blows[0] };
static const enum run_state phases[] = {RUN_REQUESTED, RUN_ATTESTED, RUN_KEYED, RUN_COMPUTING, RUN_COMMITTED};
enum { PHASES = sizeof phases / sizeof phases[0] };

static void take_holder(void)
{
    holder_start = starts() - 1;
    holder_node = last_start()->node;
}

/* The blow lasts until after a lease; whoever had the run goes on with what came meanwhile, and gains nothing. */
static void strike(uint64_t seed, enum run_state at, const struct blow *blow)
{
    begin(seed);
    reach(at);
    take_holder();
    blow->hit();
    cluster_run(cluster, 6000);
    heal();
    settles();
    cluster_run(cluster, 10000);
    all_show_the_receipt();
    end();
}

static void test_every_blow_at_every_phase(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < PHASES; i++)
        for (uint32_t j = 0; j < BLOWS; j++) strike(1 + i, phases[i], &blows[j]);
}

static uint64_t random_state;
static uint32_t below(uint32_t limit)
{
    uint64_t z = (random_state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)((z ^ (z >> 31)) % limit);
}

/* PERIGEE_FAILOVERS=200 PERIGEE_SEED=7: more of them, from that seed. */
static void test_failovers_at_random(void **state)
{
    (void)state;
    const char *many = getenv("PERIGEE_FAILOVERS");
    uint64_t first = seed_or(100), count = many != NULL ? strtoull(many, NULL, 10) : EFFORT(20);
    uint32_t hit[PHASES] = {0};
    for (uint64_t seed = first; seed < first + count; seed++) {
        random_state = seed;
        begin(seed);
        for (uint32_t blow = 0; blow < 2 && !settled(cluster); blow++) {
            uint32_t at = below(PHASES);
            phase = phases[at];
            if (!cluster_until(cluster, in_phase, 20000)) break; /* it has settled */
            hit[at]++;
            take_holder();
            cluster_run(cluster, below(phases[at] == RUN_COMPUTING ? 700 : 10));
            blows[below(BLOWS)].hit();
            cluster_run(cluster, below(6000));
            heal();
        }
        settles();
        end();
    }
    for (uint32_t i = 0; i < PHASES; i++) {
        const char *name = phases[i] == RUN_REQUESTED ? "elected" : run_state_name(phases[i]);
        (void)printf("%u blows at %s\n", (unsigned)hit[i], name);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_undisturbed),
        cmocka_unit_test(test_a_node_tries_again),
        cmocka_unit_test(test_an_owner_is_away),
        cmocka_unit_test(test_a_settled_run_has_no_later_term),
        cmocka_unit_test(test_a_liar_names_no_term),
        cmocka_unit_test(test_every_blow_at_every_phase),
        cmocka_unit_test(test_clocks_that_may_differ),
        cmocka_unit_test(test_an_owner_with_a_wrong_clock),
        cmocka_unit_test(test_a_vetoing_owner_with_a_wrong_clock),
        cmocka_unit_test(test_with_a_custodian_away),
        cmocka_unit_test(test_a_node_that_never_computes),
        cmocka_unit_test(test_stopped_until_it_is_settled),
        cmocka_unit_test(test_a_custodian_computes),
        cmocka_unit_test(test_failovers_at_random),
    };
    return cmocka_run_group_tests_name("proto_failover", tests, NULL, NULL);
}
