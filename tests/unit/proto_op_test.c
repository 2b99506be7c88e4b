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

static void test_starved(void **state)
{
    (void)state;
    sample_starved(sample_op, parse);
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
