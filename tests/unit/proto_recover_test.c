/* A key's place taken through whole cores: asked for with or without that key's word, decided by the stewards, claimed by the
 * successor when all that counts of the old chain is there, and the same everywhere, over restarts too. */
#include "crypto/identity.h"
#include "proto/approval.h"
#include "tests/cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { LOST = 0, AWAY = 3, HEIR = WORLD_COMPUTE };
static const struct cluster_options quiet = {.seed = 11};
static struct world *world;
static struct cluster *cluster;

static struct body_MEMBER request(bool consents, bool right)
{
    static struct signature consent;
    struct node_id heir = cluster_id(cluster, HEIR);
    struct hash32 message = succession_sign_hash(world->consortium, world->node[LOST].id, heir);
    message.bytes[0] ^= !right;
    assert_int_equal(identity_sign(&consent, &world->node[LOST].secret, message), OK);
    return (struct body_MEMBER){.node = heir,
                                .organisation = SPAN_LITERAL("north"),
                                .jurisdiction = SPAN_LITERAL("EU"),
                                .roles = ROLE_OWNER,
                                .kem = world->node[HEIR].kem,
                                .approval = heir,
                                .platforms = SPAN_NONE,
                                .replaces = world->node[LOST].id,
                                .consent = consents ? SPAN_OF(consent.bytes) : SPAN_NONE};
}

static void ask(const struct body_MEMBER *body)
{
    static uint8_t bytes[1024];
    struct buffer b = BUFFER_OF(bytes);
    body_encode(&b, KIND_JOIN, body);
    struct command command = {.type = COMMAND_JOIN, .kind = KIND_JOIN, .body = buffer_span(&b)};
    assert_int_equal(cluster_command(cluster, HEIR, &command, NULL).refusal, REFUSAL_NONE);
}

static bool requested(struct cluster *c)
{
    for (uint32_t i = 1; i < WORLD_CUSTODIANS; i++)
        if (core_join_at(cluster_core(c, i), 0) == NULL) return false;
    return true;
}

static void admit(uint64_t last_seq)
{
    struct body_MEMBER body = core_join_at(cluster_core(cluster, 1), 0)->body;
    body.last_seq = last_seq;
    for (uint32_t i = 1; i < WORLD_CUSTODIANS; i++)
        assert_int_equal(cluster_author(cluster, i, KIND_MEMBER, &body, 0, NULL).refusal, REFUSAL_NONE);
}

static bool has_heir(struct cluster *c, uint32_t node)
{
    struct node_id heir = registry_heir(core_registry(cluster_core(c, node)), world->node[LOST].id);
    struct node_id want = cluster_id(c, HEIR);
    return ID_EQUAL(heir, want);
}

/* With every member: who is none may not read what the old chain holds. */
static bool succeeded(struct cluster *c)
{
    for (uint32_t i = 0; i <= HEIR; i++) {
        if (cluster_core(c, i) == NULL) continue;
        if (!has_heir(c, i)) return false;
    }
    return true;
}

static bool succeeded_elsewhere(struct cluster *c)
{
    return has_heir(c, 1) && has_heir(c, 2) && has_heir(c, HEIR);
}

static void tell_claim(uint32_t node)
{
    static uint8_t bytes[2048];
    struct buffer b = BUFFER_OF(bytes);
    record_encode(&b, chain_get(core_chain(cluster_core(cluster, 1)), cluster_id(cluster, HEIR), 1));
    assert_int_equal(buffer_done(&b), OK);
    cluster_inject(cluster, HEIR, node, buffer_span(&b));
}

static bool is_member(struct cluster *c)
{
    return registry_member(core_registry(cluster_core(c, HEIR)), cluster_id(c, HEIR)) != NULL;
}

/* What the lost one said: so far all of it is held everywhere. */
static uint64_t said(void)
{
    const struct author *a = chain_author(core_chain(cluster_core(cluster, 1)), world->node[LOST].id);
    return a->applied;
}

static int begin(void **state)
{
    (void)state;
    cluster = cluster_new(world, &quiet);
    cluster_sign_charter(cluster);
    cluster_run(cluster, 3000);
    return 0;
}

static int finish(void **state)
{
    (void)state;
    cluster_free(cluster);
    return 0;
}

static void test_with_its_word(void **state)
{
    (void)state;
    cluster_crash(cluster, LOST);
    struct body_MEMBER body = request(true, true);
    ask(&body);
    assert_true(cluster_until(cluster, requested, 20000));
    assert_int_equal(core_join_at(cluster_core(cluster, 1), 0)->body.consent.len, 64);
    admit(said());
    assert_true(cluster_until(cluster, succeeded, 20000));
    cluster_crash(cluster, HEIR);
    cluster_restart(cluster, HEIR);
    assert_true(cluster_until(cluster, succeeded, 20000));
    const struct author *heir = chain_author(core_chain(cluster_core(cluster, 1)), cluster_id(cluster, HEIR));
    assert_int_equal(heir->applied, 1); /* it claims once */
}

/* A word that does not hold is none: nobody's inbox shows it. One that is not given is shown as that. */
static void test_without_its_word(void **state)
{
    (void)state;
    cluster_crash(cluster, LOST);
    struct body_MEMBER body = request(true, false);
    ask(&body);
    cluster_run(cluster, 5000);
    assert_null(core_join_at(cluster_core(cluster, 1), 0));
    body = request(false, false);
    ask(&body);
    assert_true(cluster_until(cluster, requested, 20000));
    assert_int_equal(core_join_at(cluster_core(cluster, 1), 0)->body.consent.len, 0);
    admit(said());
    assert_true(cluster_until(cluster, succeeded, 20000));
}

/* As long as something that counts of the old chain is missing there is no heir anywhere; when it comes, everywhere. */
static void test_it_waits_for_the_chain(void **state)
{
    (void)state;
    struct body_WORKERS spare = {SPAN_LITERAL("spare"), 1, SPAN_NONE};
    struct body_MEMBER body = request(false, false);
    ask(&body);
    assert_true(cluster_until(cluster, requested, 20000));
    cluster_part(cluster, 1u << LOST, true);
    const uint64_t before = said();
    assert_int_equal(cluster_author(cluster, LOST, KIND_WORKERS, &spare, 0, NULL).refusal, REFUSAL_NONE);
    admit(before + 1); /* the others have not heard that one */
    assert_true(cluster_until(cluster, is_member, 20000));
    cluster_run(cluster, 10000);
    assert_null(chain_author(core_chain(cluster_core(cluster, HEIR)), cluster_id(cluster, HEIR)));
    cluster_part(cluster, 1u << AWAY, true); /* it hears neither that record nor the claim */
    cluster_part(cluster, 1u << LOST | 1u << AWAY, false);
    cluster_part(cluster, 1u << AWAY, true);
    assert_true(cluster_until(cluster, succeeded_elsewhere, 20000));
    tell_claim(AWAY);
    cluster_run(cluster, 3000);
    const struct author *held =
        chain_author(core_chain(cluster_core(cluster, AWAY)), cluster_id(cluster, HEIR));
    assert_true(held != NULL && held->seen == 1 && held->applied == 0);
    assert_false(has_heir(cluster, AWAY));
    cluster_part(cluster, 1u << AWAY, false);
    assert_true(cluster_until(cluster, succeeded, 20000));
}

static int set_up(void **state)
{
    (void)state;
    world = world_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_free(world);
    return 0;
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, begin, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_with_its_word), TEST(test_without_its_word),
                                       TEST(test_it_waits_for_the_chain)};
    return cmocka_run_group_tests_name("proto_recover", tests, set_up, tear_down);
}
