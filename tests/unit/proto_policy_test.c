/* policy/1: what the sample says, what is refused, and the same bytes from the writer. */
#include "crypto/hash.h"
#include "proto/policy.h"
#include "tests/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static enum err parse(struct arena *arena, struct span bytes, struct json_fault *fault)
{
    struct policy *p = NULL;
    return policy_parse(&p, arena, bytes, fault);
}

static void test_fields(void **state)
{
    (void)state;
    struct policy *p = NULL;
    struct hash32 hash = sha256(span_text(sample_policy));
    assert_int_equal(policy_parse(&p, sample_arena(), span_text(sample_policy), NULL), OK);
    assert_memory_equal(p->hash.bytes, hash.bytes, 32);
    assert_int_equal(p->export_to, EXPORT_TO_ENCLAVE);
    assert_false(p->need_gpu);
    assert_true(p->owner_veto);
    assert_int_equal(p->jurisdiction_count, 2);
    assert_true(span_equal_text(p->jurisdiction[1], "CH"));
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct sample_refusal refusals[] = {
        {"policy/1", "policy/0", ERR_VERSION, "perigee", "policy/1"},
        {"to-enclave", "to-everyone", ERR_RANGE, "export", "one of none, to-enclave, any"},
        {"\"need_gpu\":false,", "", ERR_MISSING_FIELD, "need_gpu", ""},
        {"\"owner_veto\":true,", "", ERR_MISSING_FIELD, "owner_veto", ""},
        {"\"owner_veto\":true", "\"owner_veto\":1", ERR_TYPE, "owner_veto", "true or false"},
        {"\"EU\",\"CH\"", "\"EU\",\"EU\"", ERR_DUPLICATE, "jurisdictions[1]", ""},
        {"\"EU\",\"CH\"", "\"eu\"", ERR_SYNTAX, "jurisdictions[0]", "a jurisdiction"},
        {"\"EU\",\"CH\"", "\"US-\"", ERR_SYNTAX, "jurisdictions[0]", "a jurisdiction"},
        {"\"EU\",\"CH\"", "\"USA\"", ERR_SYNTAX, "jurisdictions[0]", "a jurisdiction"},
        {"\"EU\",\"CH\"", "\"US-CALI\"", ERR_SYNTAX, "jurisdictions[0]", "a jurisdiction"},
        {"\"EU\",\"CH\"", "\"US_CA\"", ERR_SYNTAX, "jurisdictions[0]", "a jurisdiction"},
        {"{\"export\"", "{\"extra\":{},\"export\"", ERR_NOT_CANONICAL, "byte", ""},
        {"\"jurisdictions\":[\"EU\",\"CH\"]", "\"extra\":{},\"jurisdictions\":[]", ERR_UNKNOWN_FIELD, "extra",
         ""},
    };
    sample_refused(sample_policy, parse, refusals, sizeof refusals / sizeof refusals[0]);
}

static void test_round_trip(void **state)
{
    (void)state;
    static uint8_t bytes[1024];
    struct policy *p = NULL;
    struct buffer out = BUFFER_OF(bytes);
    assert_int_equal(policy_parse(&p, sample_arena(), span_text(sample_policy), NULL), OK);
    assert_int_equal(policy_write(&out, p), OK);
    assert_true(span_equal_text(buffer_span(&out), sample_policy));
}

static void test_starved(void **state)
{
    (void)state;
    sample_starved(sample_policy, parse);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_starved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
