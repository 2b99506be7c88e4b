/* op/1: what the sample says, what is refused (reserved runtimes as reserved), and the same bytes from the writer. */
#include "crypto/hash.h"
#include "proto/op.h"
#include "tests/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static enum err parse(struct arena *arena, struct span bytes, struct json_fault *fault)
{
    struct op *op = NULL;
    return op_parse(&op, arena, bytes, fault);
}

static void test_fields(void **state)
{
    (void)state;
    struct op *op = NULL;
    struct hash32 hash = sha256(span_text(sample_op));
    assert_int_equal(op_parse(&op, sample_arena(), span_text(sample_op), NULL), OK);
    assert_memory_equal(op->hash.bytes, hash.bytes, 32);
    assert_int_equal(op->runtime, RUNTIME_SELECT);
    assert_true(span_equal_text(op->output, "aggregate"));
    assert_int_equal(op->code.bytes[0], 0x0c);
    assert_true(span_equal_text(op->name, "table"));
    assert_null(op->extra);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct sample_refusal refusals[] = {
        {"op/1", "op/2", ERR_VERSION, "perigee", "op/1"},
        {"\"select\"", "\"mpc\"", ERR_REFUSED, "runtime", "select or sql: this name is reserved"},
        {"\"select\"", "\"model\"", ERR_REFUSED, "runtime", "select or sql: this name is reserved"},
        {"\"select\"", "\"federated\"", ERR_REFUSED, "runtime", "select or sql: this name is reserved"},
        {"\"select\"", "\"bash\"", ERR_RANGE, "runtime", "one of select, sql"},
        {"\"select\"", "\"sql\"", ERR_REFUSED, "output", "rows: what sql emits"},
        {"\"aggregate\"", "\"anything\"", ERR_RANGE, "output", "one of aggregate, rows"},
        {SAMPLE_ID("0c"), SAMPLE_ID("0C"), ERR_SYNTAX, "code", "64 lower-case hex"},
        {"\"table\"", "\"\"", ERR_SYNTAX, "name", "1 to 64"},
    };
    sample_refused(sample_op, parse, refusals, sizeof refusals / sizeof refusals[0]);
}

static void test_round_trip(void **state)
{
    (void)state;
    static uint8_t bytes[1024];
    struct op *op = NULL;
    struct buffer out = BUFFER_OF(bytes);
    assert_int_equal(op_parse(&op, sample_arena(), span_text(sample_op), NULL), OK);
    assert_int_equal(op_write(&out, op), OK);
    assert_true(span_equal_text(buffer_span(&out), sample_op));
}

/* An op comes with the code its document names, and a select op's code for aggregates is a template. */
static void test_code(void **state)
{
    (void)state;
    static uint8_t bytes[1024];
    struct buffer out = BUFFER_OF(bytes);
    struct json_fault fault = {0};
    struct op *op = NULL;
    struct arena *arena = sample_arena();
    struct op document = {.name = SPAN_LITERAL("t"),
                          .description = SPAN_LITERAL(""),
                          .code = sha256(span_text(sample_template)),
                          .output = SPAN_LITERAL("aggregate")};
    assert_int_equal(op_write(&out, &document), OK);
    assert_int_equal(op_open(&op, arena, buffer_span(&out), span_text(sample_template), NULL), OK);
    assert_non_null(op->step);
    assert_true(span_equal_text(op->step->name, "table"));
    assert_int_equal(op_open(&op, arena, buffer_span(&out), SPAN_LITERAL("{}"), &fault), ERR_HASH);
    assert_string_equal(fault.path, "code");
    document.code = sha256(SPAN_LITERAL("{}"));
    out.len = 0;
    assert_int_equal(op_write(&out, &document), OK);
    assert_int_equal(op_open(&op, arena, buffer_span(&out), SPAN_LITERAL("{}"), &fault), ERR_MISSING_FIELD);
    document.output = SPAN_LITERAL("rows"); /* no template: this release has nothing that runs it */
    out.len = 0;
    assert_int_equal(op_write(&out, &document), OK);
    assert_int_equal(op_open(&op, arena, buffer_span(&out), SPAN_LITERAL("{}"), &fault), OK);
    assert_null(op->step);
}

static void test_starved(void **state)
{
    (void)state;
    sample_starved(sample_op, parse);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields), cmocka_unit_test(test_refusals), cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_code),   cmocka_unit_test(test_starved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
