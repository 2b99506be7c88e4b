/* ddo/1: dataset and algorithm parse to what they say, contradictions are refused with their place, the writer gives
 * the same bytes, and a schema's hash is that of its canonical JSON array. */
#include "crypto/hash.h"
#include "proto/ddo.h"
#include "tests/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static enum err parse(struct arena *arena, struct span bytes, struct json_fault *fault)
{
    struct ddo *d = NULL;
    return ddo_parse(&d, arena, bytes, fault);
}

static struct ddo *parse_sample(struct span bytes)
{
    struct ddo *d = NULL;
    struct json_fault fault;
    enum err err = ddo_parse(&d, sample_arena(), bytes, &fault);
    if (err != OK) fail_msg("%s: %s: %s", err_name(err), fault.path, fault.expected);
    return d;
}

static void test_dataset(void **state)
{
    (void)state;
    struct ddo *d = parse_sample(span_text(sample_ddo));
    struct hash32 hash = sha256(span_text(sample_ddo));
    assert_memory_equal(d->hash.bytes, hash.bytes, 32);
    assert_int_equal(d->type, ASSET_DATASET);
    assert_int_equal(d->dt.bytes[0], 0xe1);
    assert_true(span_equal_text(d->jurisdiction, "CH"));
    assert_true(span_equal_text(d->unit_column, "patient_id"));
    assert_int_equal(d->currency, CURRENCY_EPSILON);
    assert_int_equal(d->budget, 8500000000);
    assert_int_equal(d->row_count, 303);
    assert_true(d->row_count_exact);
    assert_int_equal(d->service_count, 1);
    assert_int_equal(d->service[0].op_count, 1);
    assert_int_equal(d->service[0].child_count, 0);
    assert_int_equal(d->service[0].op[0].bytes[0], 0x0a);
    assert_true(span_equal_text(d->service[0].endpoint, "tcp://10.0.0.4:7000"));
}

static void test_schema(void **state)
{
    (void)state;
    static const char array[] =
        "[{\"name\":\"patient_id\",\"type\":\"integer\"},{\"name\":\"age\",\"type\":\"integer\"},"
        "{\"name\":\"trestbps\",\"type\":\"decimal\"},{\"name\":\"y\",\"type\":\"boolean\"}]";
    struct ddo *d = parse_sample(span_text(sample_ddo));
    struct hash32 hash = sha256(span_text(array));
    assert_memory_equal(d->schema.hash.bytes, hash.bytes, 32);
    assert_int_equal(d->schema.column_count, 4);
    assert_int_equal(d->schema.column[2].type, COLUMN_DECIMAL);
    assert_int_equal(schema_column(&d->schema, SPAN_LITERAL("Y")), 3);
    assert_int_equal(schema_column(&d->schema, SPAN_LITERAL("z")), -1);
}

static void test_schema_of_full_size(void **state)
{
    (void)state;
    static struct schema schema;
    static const char longest[] = "abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-0123456789";
    assert_int_equal(sizeof longest - 1, CAP_NAME);
    schema.column_count = CAP_COLUMNS;
    for (uint32_t i = 0; i < CAP_COLUMNS; i++) {
        schema.column[i] = (struct column){SPAN_LITERAL(longest), COLUMN_BOOLEAN};
    }
    schema_hash(&schema); /* asserts that it fits */
    assert_false(ID_IS_ZERO(schema.hash));
}

static void test_algorithm(void **state)
{
    (void)state;
    struct ddo *d = parse_sample(span_text(sample_algorithm));
    assert_int_equal(d->type, ASSET_ALGORITHM);
    assert_int_equal(d->service[0].child_count, 2);
    assert_int_equal(d->service[0].child[1].bytes[0], 0xe2);
    assert_null(d->extra);
    assert_int_equal(d->schema.column_count, 0);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct sample_refusal refusals[] = {
        {"ddo/1", "ddo/9", ERR_VERSION, "perigee", "ddo/1"},
        {"\"8.5\"", "\"8.50\"", ERR_NOT_CANONICAL, "dataset.budget", "a decimal without needless zeros"},
        {"\"8.5\"", "8", ERR_TYPE, "dataset.budget", "decimal string"},
        {"\"8.5\"", "\"-1\"", ERR_RANGE, "dataset.budget", "decimal string"},
        {"\"8.5\"", "\"0.0000000001\"", ERR_RANGE, "dataset.budget", "decimal string"},
        {"\"8.5\",\"currency\":\"epsilon\"", "\"8\",\"currency\":\"zcdp\"", ERR_REFUSED, "dataset.currency",
         "epsilon: zcdp is"},
        {"\"currency\":\"epsilon\"", "\"currency\":\"rho\"", ERR_RANGE, "dataset.currency", ""},
        {"\"row_count\":303", "\"row_count\":-1", ERR_RANGE, "dataset.row_count", ""},
        {"\"unit_column\":\"patient_id\"", "\"unit_column\":\"pid\"", ERR_NOT_FOUND, "dataset.unit_column",
         ""},
        {"\"name\":\"age\"", "\"name\":\"\"", ERR_SYNTAX, "dataset.schema[1].name", "a column name"},
        {"\"name\":\"age\"", "\"name\":\"a\\\"b\"", ERR_SYNTAX, "dataset.schema[1].name", "a column name"},
        {"\"name\":\"age\"", "\"name\":\"a b\"", ERR_SYNTAX, "dataset.schema[1].name", "a column name"},
        {"\"name\":\"age\"", "\"name\":\"Patient_ID\"", ERR_DUPLICATE, "dataset.schema[1].name",
         "each column once"},
        {"\"type\":\"decimal\"", "\"type\":\"float\"", ERR_RANGE, "dataset.schema[2].type", "one of text"},
        {"Z\xc3\xbcrich", "Z\xe2\x80\xaerich", ERR_SYNTAX, "description", "text without invisible"},
        {"Z\xc3\xbcrich", "Z\xe2\x80\x8brich", ERR_SYNTAX, "description", "text without invisible"},
        {"dt:perigee:", "dt:ownership:", ERR_SYNTAX, "dt", "dt:perigee:"},
        {SAMPLE_ID("e1"), "0000000000000000000000000000000000000000000000000000000000000000", ERR_SYNTAX,
         "dt", "dt:perigee:"},
        {"\"child_dts\":[]", "\"child_dts\":[\"dt:perigee:" SAMPLE_ID("e2") "\"]", ERR_REFUSED,
         "services[0].child_dts", "none: a leaf has no children"},
        {"\"type\":\"dataset\"", "\"type\":\"model\"", ERR_RANGE, "type", "one of dataset"},
        {"\"type\":\"dataset\"", "\"type\":\"compute\"", ERR_UNKNOWN_FIELD, "dataset", ""},
        {"\"type\":\"dataset\"", "\"type\":\"composite\"", ERR_REFUSED, "services[0].child_dts",
         "at least one"},
        {"\"type\":\"aggregate\"}]",
         "\"type\":\"aggregate\"},{\"child_dts\":[],\"endpoint\":\"\",\"supported_ops\":[],"
         "\"type\":\"aggregate\"}]",
         ERR_DUPLICATE, "services[1].type", "each service type once"},
        {"[\"" SAMPLE_ID("0a") "\"]", "[\"" SAMPLE_ID("0a") "\",\"" SAMPLE_ID("0a") "\"]", ERR_DUPLICATE,
         "services[0].supported_ops[1]", "every value once"},
    };
    sample_refused(sample_ddo, parse, refusals, sizeof refusals / sizeof refusals[0]);
}

static void test_refusals_of_algorithms(void **state)
{
    (void)state;
    static const struct sample_refusal refusals[] = {
        {SAMPLE_ID("e2"), SAMPLE_ID("f0"), ERR_REFUSED, "services[0].child_dts",
         "other assets than this one"},
        {SAMPLE_ID("e2"), SAMPLE_ID("e1"), ERR_DUPLICATE, "services[0].child_dts[1]", ""},
        {"\"type\":\"study\"}]",
         "\"type\":\"study\"},{\"child_dts\":[],\"endpoint\":\"\",\"supported_ops\":[],"
         "\"type\":\"two\"}]",
         ERR_RANGE, "services", "array of 0 to 1"},
        {"\"type\":\"algorithm\"", "\"type\":\"dataset\"", ERR_REFUSED, "services[0].child_dts", "none"},
    };
    sample_refused(sample_algorithm, parse, refusals, sizeof refusals / sizeof refusals[0]);
    struct span dataset = sample_with(sample_ddo, "\"dataset\":{", "\"dataset\":{}, \"x\":{");
    assert_int_equal(parse(sample_arena(), dataset, NULL), ERR_NOT_CANONICAL);
}

static void test_composite(void **state)
{
    (void)state;
    struct ddo *d = parse_sample(span_text(sample_composite));
    const struct service_workflow *x = &d->service[0].workflow[0];
    assert_int_equal(d->service[0].workflow_count, 1);
    assert_int_equal(d->service[0].child[0].bytes[0], 0xe2); /* children keep the document's order */
    assert_int_equal(x->op[0].bytes[0], 0x0c);
    assert_int_equal(x->op[1].bytes[0], 0x0b);
    assert_true(x->has_self);
    assert_int_equal(x->self_op.bytes[0], 0x0a);
    assert_int_equal(x->configs->count, 3); /* 0, false and "" are values */
}

static void test_refusals_of_composites(void **state)
{
    (void)state;
    static const struct sample_refusal refusals[] = {
        {"\"self\":\"" SAMPLE_ID("0a"), "\"self\":\"" SAMPLE_ID("0b"), ERR_NOT_FOUND,
         "services[0].workflows[0].set_ops.self", "one of this service's supported_ops"},
        {"\"dt:perigee:" SAMPLE_ID("e1") "\":\"" SAMPLE_ID("0b") "\",", "", ERR_MISSING_FIELD,
         "services[0].workflows[0].set_ops.dt:perigee:" SAMPLE_ID("e1"), "64 lower-case hex digits"},
        {"\"self\":\"" SAMPLE_ID("0a") "\"", "\"self\":\"" SAMPLE_ID("0a") "\",\"x\":1", ERR_UNKNOWN_FIELD,
         "services[0].workflows[0].set_ops.x", ""},
        {"\"eps\":0", "\"eps\":null", ERR_TYPE, "services[0].workflows[0].configs",
         "integers, booleans and strings"},
        {"\"eps\":0", "\"eps\":[0]", ERR_TYPE, "services[0].workflows[0].configs",
         "integers, booleans and strings"},
        {"\"allow_raw\"", "\"Allow raw\"", ERR_SYNTAX, "services[0].workflows[0].configs", "names of a-z"},
        {"\"child_dts\":[\"dt:perigee:" SAMPLE_ID("e2") "\",\"dt:perigee:" SAMPLE_ID("e1") "\"]",
         "\"child_dts\":[]", ERR_REFUSED, "services[0].child_dts", "at least one: a composite"},
    };
    sample_refused(sample_composite, parse, refusals, sizeof refusals / sizeof refusals[0]);
}

static void test_round_trip(void **state)
{
    (void)state;
    static uint8_t bytes[4096];
    const char *const samples[] = {sample_ddo, sample_algorithm, sample_composite};
    for (int i = 0; i < 3; i++) {
        struct buffer out = BUFFER_OF(bytes);
        assert_int_equal(ddo_write(&out, parse_sample(span_text(samples[i]))), OK);
        assert_true(span_equal_text(buffer_span(&out), samples[i]));
    }
}

static void test_starved(void **state)
{
    (void)state;
    sample_starved(sample_ddo, parse);
    sample_starved(sample_algorithm, parse);
    sample_starved(sample_composite, parse);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dataset),
        cmocka_unit_test(test_schema),
        cmocka_unit_test(test_schema_of_full_size),
        cmocka_unit_test(test_algorithm),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_refusals_of_algorithms),
        cmocka_unit_test(test_composite),
        cmocka_unit_test(test_refusals_of_composites),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_starved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
