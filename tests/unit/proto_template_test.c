/* template/1: what it says, what is refused, and which steps go beyond it, part by part. */
#include "crypto/hash.h"
#include "proto/workflow.h"
#include "tests/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static enum err parse(struct arena *arena, struct span bytes, struct json_fault *fault)
{
    struct step_template *t = NULL;
    return template_parse(&t, arena, bytes, fault);
}

static struct step_template *shipped(const char *name)
{
    static uint8_t bytes[1024];
    struct buffer out = BUFFER_OF(bytes);
    struct step_template *t = NULL;
    assert_non_null(template_shipped_find(span_text(name)));
    assert_int_equal(template_shipped_write(&out, template_shipped_find(span_text(name))), OK);
    assert_int_equal(template_parse(&t, sample_arena(), buffer_span(&out), NULL), OK);
    return t;
}

static void test_fields(void **state)
{
    (void)state;
    struct step_template *t = NULL;
    struct hash32 hash = sha256(span_text(sample_template));
    assert_int_equal(template_parse(&t, sample_arena(), span_text(sample_template), NULL), OK);
    assert_memory_equal(t->hash.bytes, hash.bytes, 32);
    assert_true(span_equal_text(t->name, "table"));
    assert_int_equal(t->bound[TEMPLATE_GROUPS].least, 1);
    assert_int_equal(t->bound[TEMPLATE_GROUPS].most, CAP_GROUPS);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct sample_refusal refusals[] = {
        {"template/1", "template/2", ERR_VERSION, "perigee", "template/1"},
        {"\"groups\":{\"least\":1,\"most\":4}", "\"groups\":{\"least\":1,\"most\":5}", ERR_RANGE,
         "groups.most", ""},
        {"\"groups\":{\"least\":1,\"most\":4}", "\"groups\":{\"least\":3,\"most\":2}", ERR_RANGE,
         "groups.most", ""},
        {"\"counts\":{\"least\":1", "\"counts\":{\"least\":-1", ERR_RANGE, "counts.least", ""},
        {"\"sums\":{\"least\":0", "\"sums\":{\"lest\":0", ERR_MISSING_FIELD, "sums.least", ""},
        {"\"table\"", "\"Table\"", ERR_SYNTAX, "name", ""},
        {"\"most\":16}}", "\"most\":16},\"x\":1}", ERR_UNKNOWN_FIELD, "x", ""},
    };
    sample_refused(sample_template, parse, refusals, sizeof refusals / sizeof refusals[0]);
}

/* The three that ship are told apart by name and hash, and `table` is the sample, byte for byte. */
static void test_shipped(void **state)
{
    (void)state;
    static uint8_t bytes[1024];
    struct hash32 hash[3];
    const char *const names[] = {"count", "mean", "table"};
    for (uint32_t i = 0; i < 3; i++) {
        struct buffer out = BUFFER_OF(bytes);
        assert_string_equal(template_shipped_at(i)->name, names[i]);
        assert_int_equal(template_shipped_write(&out, template_shipped_at(i)), OK);
        hash[i] = sha256(buffer_span(&out));
        if (i == 2) assert_true(span_equal_text(buffer_span(&out), sample_template));
    }
    assert_null(template_shipped_at(3));
    assert_null(template_shipped_find(SPAN_LITERAL("median")));
    assert_memory_not_equal(hash[0].bytes, hash[1].bytes, 32);
    assert_memory_not_equal(hash[1].bytes, hash[2].bytes, 32);
}

struct fit {
    uint32_t counts, sums, groups, derived;
    const char *template_name;
    enum template_part misfit;
};

static void test_steps(void **state)
{
    (void)state;
    static const struct fit fits[] = {
        {1, 0, 0, 0, "count", TEMPLATE_PART_COUNT}, {16, 0, 0, 16, "count", TEMPLATE_PART_COUNT},
        {0, 0, 0, 0, "count", TEMPLATE_COUNTS},     {1, 1, 0, 0, "count", TEMPLATE_SUMS},
        {1, 0, 1, 0, "count", TEMPLATE_GROUPS},     {1, 1, 0, 1, "mean", TEMPLATE_PART_COUNT},
        {1, 0, 0, 1, "mean", TEMPLATE_SUMS},        {1, 1, 0, 0, "mean", TEMPLATE_DERIVED},
        {0, 1, 0, 1, "mean", TEMPLATE_COUNTS},      {1, 1, 1, 1, "mean", TEMPLATE_GROUPS},
        {1, 0, 1, 0, "table", TEMPLATE_PART_COUNT}, {8, 8, 4, 16, "table", TEMPLATE_PART_COUNT},
        {1, 0, 0, 0, "table", TEMPLATE_GROUPS},     {0, 1, 1, 0, "table", TEMPLATE_COUNTS},
    };
    static struct step s;
    for (size_t i = 0; i < sizeof fits / sizeof fits[0]; i++) {
        const struct fit *f = &fits[i];
        memset(&s, 0, sizeof s);
        s.statistic_count = f->counts + f->sums;
        for (uint32_t k = 0; k < s.statistic_count; k++)
            s.statistic[k].kind = k < f->counts ? STATISTIC_COUNT : STATISTIC_SUM;
        s.group_count = f->groups;
        s.derived_count = f->derived;
        assert_int_equal(template_misfit(shipped(f->template_name), &s), f->misfit);
    }
}

static void test_starved(void **state)
{
    (void)state;
    sample_starved(sample_template, parse);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields), cmocka_unit_test(test_refusals), cmocka_unit_test(test_shipped),
        cmocka_unit_test(test_steps),  cmocka_unit_test(test_starved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
