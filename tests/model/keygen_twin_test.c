/* Key generation of a committee against what it is for, whatever happens meanwhile: messages that are lost, repeated and late,
 * custodians that are killed and cut off, and one, the last, that says other things besides: parts of wrong lengths, parts and
 * signatures that do not hold, to some or to all, before its own or after. At every moment nobody but that one is named as wrong,
 * an attempt that failed names it, and what is certified is one pair of keys. Once the network heals and failed attempts are begun
 * again, every custodian has it, with shares that fit: the certificate says so, and is checked here once more.
 * PERIGEE_SEED=7: other things happen. */
#include "tests/cluster.h"
#include "tests/seed.h"
#include "tests/storage_place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    ROUNDS = 10,
    STEPS = 24,
    HONEST = WORLD_CUSTODIANS - 1,
    LIAR = HONEST,
    ROUND1_BYTES = 96 + 32 * 3 + 48 * 4
};

static struct world *world;
static struct cluster *c;
static uint64_t seed;
static bool up[WORLD_CUSTODIANS];
static uint32_t seen_failed, seen_kills, seen_named;

static uint32_t pick(uint32_t below)
{
    return storage_random(&seed, below);
}

static const struct committee *keys_of(uint32_t node)
{
    return registry_committee(core_registry(cluster_core(c, node)));
}

/* Of all that is certified anywhere, one; and nobody is blamed but who lies. */
static void check(void)
{
    const struct committee *first = NULL;
    for (uint32_t i = 0; i < HONEST; i++) {
        uint32_t missing, wrong;
        if (!up[i]) continue;
        const enum keygen_phase phase = core_keygen(cluster_core(c, i), &missing, &wrong);
        assert_int_equal(wrong & ~(UINT32_C(1) << LIAR), 0);
        if (phase == KEYGEN_FAILED) assert_int_equal(wrong, UINT32_C(1) << LIAR);
        seen_failed += phase == KEYGEN_FAILED;
        seen_named += wrong != 0;
        if (keys_of(i) == NULL) continue;
        if (first == NULL) first = keys_of(i);
        assert_true(ID_EQUAL(first->body.key_a, keys_of(i)->body.key_a));
        assert_true(ID_EQUAL(first->body.key_b, keys_of(i)->body.key_b));
    }
}

/* --- What happens --------------------------------------------------------------------------------------------------------- */

static void begin(uint32_t node)
{
    struct command command = {.type = COMMAND_KEYGEN, .body = SPAN_NONE};
    if (up[node]) (void)cluster_command(c, node, &command, NULL);
}

/* It forges its own statements: every signature of it holds. */
static void lie(void)
{
    static uint8_t bytes[ROUND1_BYTES + 1];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)pick(256);
    const size_t len = pick(4) == 0 ? pick(sizeof bytes + 1) : ROUND1_BYTES;
    const struct body_KEYGEN_ROUND1 part = {1, 1 + pick(2), span_make(bytes, len)};
    struct body_KEYGEN_SIGN sign = {.epoch = 1, .purpose = 1 + pick(2), .transcript = span_make(bytes, 64)};
    memcpy(sign.signature.bytes, bytes + 64, 64);
    const bool signs = pick(2) == 0;
    const struct span message =
        cluster_forge(c, LIAR, 0, (struct record_id){{0}}, signs ? KIND_KEYGEN_SIGN : KIND_KEYGEN_ROUND1,
                      signs ? (const void *)&sign : &part);
    const uint32_t to = 1 + pick((1u << HONEST) - 1);
    for (uint32_t i = 0; i < HONEST; i++)
        if ((to >> i & 1) != 0 && up[i]) cluster_inject(c, LIAR, i, message);
}

static void kill_or_start(uint32_t node)
{
    if (up[node])
        cluster_crash(c, node);
    else
        cluster_restart(c, node);
    up[node] = !up[node];
    seen_kills += !up[node];
}

static void happen(void)
{
    switch (pick(6)) {
    case 0: begin(pick(WORLD_CUSTODIANS)); break;
    case 1: lie(); break;
    case 2: kill_or_start(pick(WORLD_CUSTODIANS)); break;
    case 3: cluster_part(c, 1u << pick(WORLD_CUSTODIANS), pick(2) == 0); break;
    default: break;
    }
    cluster_run(c, pick(1200));
    check();
}

/* --- All is well ---------------------------------------------------------------------------------------------------------- */

static bool all_have_keys(struct cluster *of)
{
    (void)of;
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++)
        if (keys_of(i) == NULL) return false;
    return true;
}

static void heal(void)
{
    cluster_noise(c, 0, 0);
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++) cluster_part(c, 1u << i, false);
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++)
        if (!up[i]) kill_or_start(i);
}

/* The operators see who was wrong, and begin again. */
static void all_come_to_one_pair(void)
{
    enum { ATTEMPTS = 20, ATTEMPT_MS = 10000 };
    heal();
    for (uint32_t i = 0; i < ATTEMPTS && !all_have_keys(c); i++) {
        for (uint32_t node = 0; node < WORLD_CUSTODIANS; node++) begin(node);
        (void)cluster_until(c, all_have_keys, ATTEMPT_MS);
        check();
    }
    assert_true(all_have_keys(c));
    const struct committee *k = keys_of(0);
    assert_true(k->body.shares_a.len == 32 * WORLD_CUSTODIANS &&
                k->body.shares_b.len == 32 * WORLD_CUSTODIANS);
    assert_false(ID_EQUAL(k->body.key_a, k->body.key_b));
}

static void test_one_pair_or_a_name(void **state)
{
    (void)state;
    seed = seed_or(0) + 1;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        const struct cluster_options options = {.seed = 1 + pick(1u << 30)};
        c = cluster_new(world, &options);
        cluster_sign_charter(c);
        cluster_admit(c);
        cluster_noise(c, pick(30), pick(30));
        for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++) up[i] = true;
        for (uint32_t i = 0; i < STEPS; i++) happen();
        all_come_to_one_pair();
        cluster_free(c);
    }
    if (!seed_is_own()) return;
    assert_true(seen_failed > 0 && seen_kills > 0 && seen_named > 0);
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

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_pair_or_a_name)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
