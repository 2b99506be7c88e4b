/* parameters: a run's values are one value for each declared parameter in one spelling, and nothing else is; what is
 * refused says where and what was expected; the longest choice that can be declared fits the record's field. */
#include "proto/parameters.h"
#include "proto/wire/body.h"
#include "tests/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct parameter declared[2] = {
    {.name = SPAN_STATIC("min_age"), .type = PARAMETER_INTEGER, .lower = -5, .upper = 90},
    {.name = SPAN_STATIC("site"),
     .type = PARAMETER_TEXT,
     .domain_count = 3,
     .domain = {SPAN_STATIC("north"), SPAN_STATIC("\"quoted\""), SPAN_STATIC("Z\xc3\xbcrich")}},
};
static const struct parameters both = {2, declared}, none = {0, NULL};

static enum err choose(struct parameter_choice *out, struct span bytes, struct json_fault *fault)
{
    struct arena *scratch = sample_arena();
    enum err err = parameters_choose(out, &both, scratch, bytes, fault);
    assert_int_equal(scratch->used, 0); /* lent, and given back */
    return err;
}

static void test_choices(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        int64_t min_age;
        uint32_t site;
    } choices[] = {
        {"{\"min_age\":-5,\"site\":\"north\"}", -5, 0},
        {"{\"min_age\":90,\"site\":\"\\\"quoted\\\"\"}", 90, 1},
        {"{\"min_age\":0,\"site\":\"Z\xc3\xbcrich\"}", 0, 2},
    };
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        struct parameter_choice c;
        assert_int_equal(choose(&c, span_text(choices[i].bytes), NULL), OK);
        assert_ptr_equal(c.of, &both);
        assert_true(c.value[0].integer == choices[i].min_age);
        /* It borrows from the declaration: the scratch is gone. */
        assert_ptr_equal(c.value[1].text.data, declared[1].domain[choices[i].site].data);
    }
    assert_int_equal(parameters_find(&both, SPAN_LITERAL("site")), 1);
    assert_int_equal(parameters_find(&both, SPAN_LITERAL("Site")), -1);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        enum err err;
        const char *path, *expected; /* begins with */
    } refusals[] = {
        {"", ERR_MISSING_FIELD, "min_age", "integer from -5 to 90"},
        {"{}", ERR_MISSING_FIELD, "min_age", "integer from -5 to 90"},
        {"{\"min_age\":1}", ERR_MISSING_FIELD, "site", ""},
        {"{\"site\":\"north\"}", ERR_MISSING_FIELD, "min_age", ""},
        {"{\"min_age\":-6,\"site\":\"north\"}", ERR_RANGE, "min_age", "integer from -5 to 90"},
        {"{\"min_age\":91,\"site\":\"north\"}", ERR_RANGE, "min_age", "integer from -5 to 90"},
        {"{\"min_age\":\"1\",\"site\":\"north\"}", ERR_TYPE, "min_age", "integer from"},
        {"{\"min_age\":null,\"site\":\"north\"}", ERR_TYPE, "min_age", "integer from"},
        {"{\"min_age\":1,\"site\":\"south\"}", ERR_RANGE, "site", "one of the values"},
        {"{\"min_age\":1,\"site\":\"North\"}", ERR_RANGE, "site", "one of the values"},
        {"{\"min_age\":1,\"site\":\"\"}", ERR_RANGE, "site", "one of the values"},
        {"{\"min_age\":1,\"site\":1}", ERR_TYPE, "site", ""},
        {"{\"min_age\":1,\"other\":1,\"site\":\"north\"}", ERR_UNKNOWN_FIELD, "other", ""},
        {"{\"min_age\":1,\"min_age\":1,\"site\":\"north\"}", ERR_DUPLICATE, "", ""},
        {"{\"site\":\"north\",\"min_age\":1}", ERR_NOT_CANONICAL, "", ""},
        {"{\"min_age\": 1,\"site\":\"north\"}", ERR_NOT_CANONICAL, "", ""},
        {"{\"min_age\":1,\"site\":\"n\\u006frth\"}", ERR_NOT_CANONICAL, "", ""},
        {"{\"min_age\":1.0,\"site\":\"north\"}", ERR_SYNTAX, "", ""},
        {"{\"min_age\":-0,\"site\":\"north\"}", ERR_NOT_CANONICAL, "", ""},
        {"[1,\"north\"]", ERR_TYPE, "", "an object"},
        {"{\"min_age\":1,\"site\":\"north\"}x", ERR_SYNTAX, "", ""},
    };
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct parameter_choice c;
        struct json_fault fault;
        enum err err = choose(&c, span_text(refusals[i].bytes), &fault);
        if (err != refusals[i].err)
            fail_msg("%s: %s, %s: %s", refusals[i].bytes, err_name(err), fault.path, fault.expected);
        if (refusals[i].path[0] != 0) assert_string_equal(fault.path, refusals[i].path);
        assert_memory_equal(fault.expected, refusals[i].expected, strlen(refusals[i].expected));
        assert_true(fault.expected[0] != 0);
        assert_int_equal(choose(&c, span_text(refusals[i].bytes), NULL), err);
    }
}

/* No parameters: no bytes, not even an empty object; and no memory is asked for. */
static void test_none(void **state)
{
    (void)state;
    struct parameter_choice c;
    struct json_fault fault;
    struct arena empty = {NULL, 0, 0};
    assert_int_equal(parameters_choose(&c, &none, &empty, SPAN_NONE, &fault), OK);
    assert_int_equal(parameters_choose(&c, &none, &empty, SPAN_LITERAL("{}"), &fault), ERR_UNKNOWN_FIELD);
    assert_string_equal(fault.expected, "nothing: this workflow has no parameters");
}

/* A judge without room says so, and nothing about the bytes. */
static void test_no_room(void **state)
{
    (void)state;
    static _Alignas(16) uint8_t memory[PARAMETERS_SCRATCH_BYTES - 16];
    struct arena small = arena_make(memory, sizeof memory);
    struct parameter_choice c;
    assert_int_equal(parameters_choose(&c, &both, &small, SPAN_LITERAL("{}"), NULL), ERR_NO_MEMORY);
    assert_int_equal(small.used, 0);
}

static char names[CAP_PARAMETERS][CAP_NAME], label[CAP_NAME];

/* Names and labels of 64 bytes, where every byte of a label is escaped. */
static void declare_the_longest(struct parameter *p)
{
    memset(label, '"', sizeof label);
    for (uint32_t i = 0; i < CAP_PARAMETERS; i++) {
        memset(names[i], 'a' + (int)i, CAP_NAME);
        p[i] = (struct parameter){
            .name = span_make(names[i], CAP_NAME), .type = PARAMETER_TEXT, .domain_count = 1};
        p[i].domain[0] = span_make(label, sizeof label);
    }
}

static void test_the_longest_fits(void **state)
{
    (void)state;
    static struct parameter p[CAP_PARAMETERS];
    static uint8_t bytes[PARAMETERS_BYTES_MAX + 1];
    const struct parameters all = {CAP_PARAMETERS, p};
    struct buffer out = buffer_make(bytes, PARAMETERS_BYTES_MAX);
    struct json_writer writer;
    struct parameter_choice c;
    declare_the_longest(p);
    json_writer_init(&writer, &out);
    json_begin_object(&writer);
    for (uint32_t i = 0; i < CAP_PARAMETERS; i++) {
        json_key_span(&writer, p[i].name);
        json_put_text(&writer, p[i].domain[0]);
    }
    json_end_object(&writer);
    assert_int_equal(buffer_done(&out), OK);
    assert_int_equal(parameters_choose(&c, &all, sample_arena(), buffer_span(&out), NULL), OK);
    memset(bytes, ' ', sizeof bytes);
    assert_int_equal(parameters_choose(&c, &all, sample_arena(), SPAN_OF(bytes), NULL), ERR_TOO_LARGE);
    struct body_RUN run = {.engine = SPAN_LITERAL("e"), .parameters = buffer_span(&out), .inputs = SPAN_NONE};
    static uint8_t body[CAP_BODY_BYTES];
    struct buffer record = BUFFER_OF(body);
    union body again;
    body_encode(&record, KIND_RUN, &run);
    assert_int_equal(buffer_done(&record), OK);
    assert_int_equal(body_decode(&again, KIND_RUN, buffer_span(&record)), OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choices), cmocka_unit_test(test_refusals),         cmocka_unit_test(test_none),
        cmocka_unit_test(test_no_room), cmocka_unit_test(test_the_longest_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
