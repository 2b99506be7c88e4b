/* crypto/unlock: shares count when they are proven, once, and any t of them come to the same keys; a veto needs its half. */
#include "crypto/secret.h"
#include "crypto/unlock.h"
#include "tests/dealer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { N = 4, T = 3, INPUTS = 2, VETOED = 1, GIVEN_BYTES = SHARE_BYTES * (INPUTS + 1) };

static struct dealer_key a, b;
static struct unlock_terms terms;
static uint8_t given[N][GIVEN_BYTES];
static const uint8_t data_key[INPUTS][32] = {"the first one's", "the second one's"},
                     half[32] = "its owner's half";

static void put_share(struct buffer *out, const struct dec_share *s)
{
    buffer_put(out, SPAN_OF(s->d.bytes));
    buffer_put(out, SPAN_OF(s->e.bytes));
    buffer_put(out, SPAN_OF(s->f.bytes));
}

static void seal_input(uint32_t input)
{
    struct envelope e;
    uint8_t sealed[32];
    terms.part[input][0] = (uint8_t)(input + 1);
    terms.veto[input] = input == VETOED;
    const struct label label = label_of_ids(group_key_id(&a.key.y), terms.part[input]);
    for (uint32_t i = 0; i < 32; i++) sealed[i] = data_key[input][i] ^ (input == VETOED ? half[i] : 0);
    assert_int_equal(envelope_seal(&e, &a.key.y, &label, sealed), OK);
    memcpy(terms.part[input] + LABEL_IDS_BYTES, e.bytes, ENVELOPE_BYTES);
}

static void make_shares(uint32_t custodian)
{
    struct buffer out = BUFFER_OF(given[custodian]);
    struct dec_share share;
    for (uint32_t i = 0; i < INPUTS; i++) {
        struct envelope e;
        const struct label label = label_of_ids(group_key_id(&a.key.y), terms.part[i]);
        memcpy(e.bytes, terms.part[i] + LABEL_IDS_BYTES, ENVELOPE_BYTES);
        assert_int_equal(envelope_share(&share, &e, &a.key.y, &label, custodian + 1, &a.share[custodian]),
                         OK);
        put_share(&out, &share);
    }
    assert_int_equal(prf_share(&share, &b.key.y, terms.prf_input, custodian + 1, &b.share[custodian]), OK);
    put_share(&out, &share);
    assert_int_equal(buffer_done(&out), OK);
}

static int set_up(void **state)
{
    (void)state;
    if (crypto_init() != OK) return 1;
    a = dealer_make(N, T, 1);
    b = dealer_make(N, T, 2);
    terms =
        (struct unlock_terms){.key = {a.key, b.key}, .input_count = INPUTS, .prf_input = {{3}}, .run = {{4}}};
    for (uint32_t i = 0; i < INPUTS; i++) seal_input(i);
    for (uint32_t i = 0; i < N; i++) make_shares(i);
    return 0;
}

static enum err give(struct unlock *u, uint32_t party, struct span bytes)
{
    enum err err = unlock_take(u, party, bytes, INPUTS);
    return err == OK ? unlock_check(u, party, &terms) : err;
}

static void any_of_them_come_to_the_same(void **state)
{
    struct unlocked out[N];
    (void)state;
    for (uint32_t without = 0; without < N; without++) {
        struct unlock u = {0};
        assert_int_equal(give(&u, VETO_PARTY + VETOED, SPAN_OF(half)), OK);
        for (uint32_t i = 0; i < N; i++)
            if (i != without) assert_int_equal(give(&u, i, SPAN_OF(given[i])), OK);
        memset(&out[without], 0, sizeof out[without]);
        assert_int_equal(unlock_open(&u, &out[without], &terms), OK);
        assert_memory_equal(&out[without], &out[0], sizeof out[0]);
        unlock_wipe(&u);
    }
    assert_memory_equal(out[0].data_key, data_key, sizeof data_key);
}

static void what_is_not_proven_is_gone(void **state)
{
    struct unlock u = {0};
    uint8_t bad[GIVEN_BYTES];
    (void)state;
    for (size_t at = 0; at < sizeof bad; at += SHARE_BYTES) {
        memcpy(bad, given[0], sizeof bad);
        bad[at + 40] ^= 1;
        assert_int_equal(give(&u, 0, SPAN_OF(bad)), ERR_PROOF);
        assert_int_equal(unlock_check(&u, 0, &terms), ERR_NOT_READY); /* judged once */
    }
    assert_int_equal(give(&u, 1, SPAN_OF(given[0])), ERR_PROOF); /* another's */
    assert_int_equal(give(&u, N, SPAN_OF(given[0])), ERR_RANGE);
    assert_int_equal(give(&u, COMMITTEE_MAX, SPAN_OF(given[0])), ERR_RANGE);
    assert_int_equal(give(&u, VETO_PARTY + CAP_INPUTS, SPAN_OF(half)), ERR_RANGE);
    assert_int_equal(give(&u, VETO_PARTY, SPAN_OF(given[0])), ERR_RANGE);
    assert_int_equal(give(&u, 0, SPAN_OF(half)), ERR_RANGE);
    unlock_wipe(&u);
}

static void nothing_opens_before_all_is_there(void **state)
{
    struct unlock u = {0};
    struct unlocked out;
    (void)state;
    for (uint32_t i = 0; i < T - 1; i++) assert_int_equal(give(&u, i, SPAN_OF(given[i])), OK);
    assert_int_equal(give(&u, 0, SPAN_OF(given[0])), OK); /* the same one twice is one */
    assert_int_equal(unlock_open(&u, &out, &terms), ERR_NOT_READY);
    assert_int_equal(give(&u, T - 1, SPAN_OF(given[T - 1])), OK);
    assert_int_equal(unlock_open(&u, &out, &terms), ERR_NOT_READY); /* the owner's half */
    assert_int_equal(unlock_take(&u, VETO_PARTY + VETOED, SPAN_OF(half), INPUTS), OK);
    assert_int_equal(unlock_open(&u, &out, &terms), ERR_NOT_READY); /* not checked */
    assert_int_equal(unlock_check(&u, VETO_PARTY + VETOED, &terms), OK);
    assert_int_equal(unlock_open(&u, &out, &terms), OK);
    assert_int_equal(unlock_open(&u, &out, &terms), ERR_CONFLICT);
}

static void who_comes_late_leaves_nothing(void **state)
{
    struct unlock u = {0};
    struct unlocked out;
    (void)state;
    assert_int_equal(give(&u, VETO_PARTY + VETOED, SPAN_OF(half)), OK);
    for (uint32_t i = 0; i < T; i++) assert_int_equal(give(&u, i, SPAN_OF(given[i])), OK);
    assert_int_equal(unlock_open(&u, &out, &terms), OK);
    for (uint32_t i = 0; i < N; i++) assert_null(u.share[i]);
    assert_null(u.half[VETOED]);
    assert_int_equal(unlock_take(&u, T, SPAN_OF(given[T]), INPUTS), OK);
    assert_null(u.taken[T]);
    assert_int_equal(unlock_take(&u, T, SPAN_OF(half), INPUTS), ERR_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(any_of_them_come_to_the_same, set_up),
        cmocka_unit_test_setup(what_is_not_proven_is_gone, set_up),
        cmocka_unit_test_setup(nothing_opens_before_all_is_there, set_up),
        cmocka_unit_test_setup(who_comes_late_leaves_nothing, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
