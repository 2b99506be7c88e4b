/* Signatures of a simulated world hold at both levels for the author, message and bytes that they were made of, and for nothing else, whatever
 * was asked before. */
#include "crypto/identity.h"
#include "crypto/secret.h"
#include "sim/notary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint8_t memory[16 << 20];
static struct arena arena;
static const struct identity_secret mine = {{1, 2, 3}}, other = {{3, 2, 1}};
static const struct hash32 message = {{7}};

static int begin(void **state)
{
    (void)state;
    memset(memory, 0, sizeof memory);
    arena = arena_make(memory, sizeof memory);
    return crypto_init() == OK ? 0 : -1;
}

static struct notary *notary(enum scenario_crypto level, uint64_t seed)
{
    struct notary *n;
    assert_int_equal(notary_new(&n, &arena, level, seed, 8), OK);
    return n;
}

static struct node_id id_of(const struct identity_secret *secret)
{
    struct node_id id;
    assert_int_equal(identity_public(&id, secret), OK);
    return id;
}

static void holds_for_that_alone(struct notary *n)
{
    struct signature signature, again, others;
    const struct node_id id = id_of(&mine), another = id_of(&other);
    assert_int_equal(notary_sign(n, &signature, &mine, message), OK);
    assert_int_equal(notary_sign(n, &again, &mine, message), OK);
    assert_memory_equal(again.bytes, signature.bytes, sizeof again.bytes);
    assert_int_equal(notary_sign(n, &others, &other, message), OK);
    assert_memory_not_equal(others.bytes, signature.bytes, sizeof others.bytes);
    for (uint32_t time = 0; time < 2; time++) {
        assert_int_equal(notary_verify(n, id, message, &signature), OK);
        assert_int_equal(notary_verify(n, another, message, &others), OK);
        assert_int_not_equal(notary_verify(n, another, message, &signature), OK);
        assert_int_not_equal(notary_verify(n, id, message, &others), OK);
        for (size_t i = 0; i < sizeof message.bytes; i++) {
            struct hash32 wrong = message;
            wrong.bytes[i] ^= 1;
            assert_int_not_equal(notary_verify(n, id, wrong, &signature), OK);
        }
        for (size_t i = 0; i < sizeof signature.bytes; i++) {
            struct signature wrong = signature;
            wrong.bytes[i] ^= 0x80;
            assert_int_not_equal(notary_verify(n, id, message, &wrong), OK);
        }
    }
    assert_int_equal(notary_verify(n, id, message, &signature), OK);
}

static void at_both_levels(void **state)
{
    (void)state;
    holds_for_that_alone(notary(SCENARIO_CRYPTO_REAL, 1));
    holds_for_that_alone(notary(SCENARIO_CRYPTO_MODELLED, 1));
}

static void what_real_is(void **state)
{
    struct signature signature, expected;
    (void)state;
    assert_int_equal(notary_sign(notary(SCENARIO_CRYPTO_REAL, 1), &signature, &mine, message), OK);
    assert_int_equal(identity_sign(&expected, &mine, message), OK);
    assert_memory_equal(signature.bytes, expected.bytes, sizeof expected.bytes);
}

/* Of another level, or of another world, which has another key. */
static void not_elsewhere(void **state)
{
    struct signature real, modelled;
    struct notary *world = notary(SCENARIO_CRYPTO_MODELLED, 1);
    const struct node_id id = id_of(&mine);
    (void)state;
    assert_int_equal(identity_sign(&real, &mine, message), OK);
    assert_int_equal(notary_sign(world, &modelled, &mine, message), OK);
    assert_int_equal(notary_verify(world, id, message, &modelled), OK);
    assert_int_not_equal(notary_verify(world, id, message, &real), OK);
    assert_int_not_equal(notary_verify(notary(SCENARIO_CRYPTO_REAL, 1), id, message, &modelled), OK);
    assert_int_not_equal(notary_verify(notary(SCENARIO_CRYPTO_MODELLED, 2), id, message, &modelled), OK);
}

/* Who is no key signs nothing, before and after others that share its place. */
static void no_key(void **state)
{
    struct signature signature;
    const struct identity_secret zero = {{0}};
    struct notary *n = notary(SCENARIO_CRYPTO_MODELLED, 1);
    (void)state;
    assert_int_not_equal(notary_sign(n, &signature, &zero, message), OK);
    for (uint32_t i = 1; i < 10000; i++) {
        struct identity_secret secret = {{0}};
        store_u32(secret.bytes, i);
        if (i % 100 != 0) secret.bytes[31] = 1;
        assert_int_equal(notary_sign(n, &signature, &secret, message), OK);
        assert_int_equal(notary_verify(n, id_of(&secret), message, &signature), OK);
    }
    assert_int_not_equal(notary_sign(n, &signature, &zero, message), OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(at_both_levels, begin), cmocka_unit_test_setup(what_real_is, begin),
        cmocka_unit_test_setup(not_elsewhere, begin), cmocka_unit_test_setup(no_key, begin)};
    return cmocka_run_group_tests_name("sim_notary", tests, NULL, NULL);
}
