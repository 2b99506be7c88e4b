/* workflow/1: the sample parses to what it says; every contradiction is refused with its place and reason; the writer
 * gives the same bytes; sensitivities hold against an enumeration of neighbouring tables. */
#include "crypto/hash.h"
#include "proto/workflow.h"
#include "tests/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static enum err parse(struct arena *arena, struct span bytes, struct json_fault *fault)
{
    struct workflow *w = NULL;
    return workflow_parse(&w, arena, bytes, fault);
}

static struct workflow *parse_sample(struct span bytes)
{
    struct workflow *w = NULL;
    struct json_fault fault;
    enum err err = workflow_parse(&w, sample_arena(), bytes, &fault);
    if (err != OK) fail_msg("%s: %s: %s", err_name(err), fault.path, fault.expected);
    return w;
}

static void test_fields(void **state)
{
    (void)state;
    struct workflow *w = parse_sample(span_text(sample_workflow));
    struct hash32 hash = sha256(span_text(sample_workflow));
    assert_memory_equal(w->hash.bytes, hash.bytes, 32);
    assert_true(span_equal_text(w->name, "heart-pressure"));
    assert_true(span_equal_text(w->engine, "int-gate/1"));
    assert_true(span_equal_text(w->workers, "default"));
    assert_int_equal(w->app_id.bytes[0], 0xf0);
    assert_int_equal(w->output, OUTPUT_AGGREGATE);
    assert_int_equal(w->output_bytes_max, 16384);
    assert_false(w->privacy_none);
    assert_int_equal(w->scope, SCOPE_PER_OWNER);
    assert_true(span_equal_text(w->unit_column, "patient_id"));
    assert_int_equal(w->epsilon_nano, 1500000000);
    assert_int_equal(w->owners_min, 2);
    assert_true(w->accept_simulated && w->accept_tdx);
    assert_false(w->accept_snp || w->need_gpu);
    assert_int_equal(w->requester_count, 1);
    assert_int_equal(w->requester[0].bytes[0], 0xa5);
    assert_int_equal(w->reader_count, 1);
    assert_int_equal(w->jurisdiction_count, 2);
    assert_non_null(w->extra);
}

static void test_inputs(void **state)
{
    (void)state;
    struct workflow *w = parse_sample(span_text(sample_workflow));
    assert_int_equal(w->input_count, 3);
    assert_int_equal(workflow_owner_count(w), 2);
    assert_true(span_equal_text(w->input[2].name, "cleveland-2"));
    assert_int_equal(w->input[2].owner.bytes[0], 0xa2);
    assert_int_equal(w->input[2].dt.bytes[0], 0xe3);
    assert_int_equal(w->input[2].schema.bytes[0], 0x5c);
}

static void test_step(void **state)
{
    (void)state;
    struct workflow *w = parse_sample(span_text(sample_workflow));
    const struct step *s = &w->step[0];
    assert_int_equal(w->step_count, 1);
    assert_int_equal(s->op.bytes[0], 0x0a);
    assert_int_equal(s->runtime, RUNTIME_SELECT);
    assert_int_equal(s->rows_per_unit, 2);
    assert_int_equal(s->group_count, 2);
    assert_int_equal(s->cell_count, 6);
    assert_true(span_equal_text(s->group[0].domain[2], "60+"));
    assert_int_equal(s->statistic_count, 3);
    assert_int_equal(s->statistic[0].column.len, 0);
    assert_int_equal(s->statistic[0].epsilon_nano, 500000000);
    assert_int_equal(s->statistic[2].kind, STATISTIC_SUM);
    assert_int_equal(s->statistic[2].places, 1);
    assert_int_equal(s->statistic[2].lower, 800);
    assert_int_equal(s->statistic[2].upper, 2005);
    assert_int_equal(s->derived_count, 2);
    assert_int_equal(step_statistic(s, SPAN_LITERAL("bp_sum")), 2);
    assert_int_equal(step_statistic(s, SPAN_LITERAL("bp_mean")), -1);
}

static void test_parameters(void **state)
{
    (void)state;
    const struct parameters *p = &parse_sample(span_text(sample_workflow))->parameters;
    assert_int_equal(p->count, 2);
    assert_true(span_equal_text(p->parameter[0].name, "min_age"));
    assert_int_equal(p->parameter[0].type, PARAMETER_INTEGER);
    assert_true(p->parameter[0].lower == 18 && p->parameter[0].upper == 90);
    assert_int_equal(p->parameter[1].type, PARAMETER_TEXT);
    assert_int_equal(p->parameter[1].domain_count, 2);
    assert_true(span_equal_text(p->parameter[1].domain[1], "south"));
    assert_int_equal(parse_sample(span_text(sample_workflow_rows))->parameters.count, 0);
}

static void test_rows(void **state)
{
    (void)state;
    struct workflow *w = parse_sample(span_text(sample_workflow_rows));
    assert_true(w->privacy_none);
    assert_int_equal(w->output, OUTPUT_ROWS);
    assert_int_equal(w->epsilon_nano, 0);
    assert_int_equal(w->step[0].runtime, RUNTIME_SQL);
    assert_int_equal(w->step[0].statistic_count, 0);
    assert_int_equal(w->step[0].rows_per_unit, 0);
}

#define N_STATISTIC "{\"column\":\"\",\"epsilon\":\"0.5\",\"kind\":\"count\",\"name\":\"n\"}"
#define DT(digits)  "dt:perigee:" SAMPLE_ID(digits)

static void test_refusals(void **state)
{
    (void)state;
    static const struct sample_refusal refusals[] = {
        {"workflow/1", "workflow/2", ERR_VERSION, "perigee", "workflow/1"},
        {"\"mode\":\"enclave\"", "\"mode\":\"mpc\"", ERR_REFUSED, "mode",
         "enclave: federated and mpc are reserved"},
        {"\"mode\":\"enclave\"", "\"mode\":\"federated\"", ERR_REFUSED, "mode", "enclave: federated and mpc"},
        {"\"mode\":\"enclave\"", "\"mode\":\"cloud\"", ERR_RANGE, "mode", "one of enclave"},
        {"\"mode\":\"enclave\"", "\"mode\":\"enclave\",\"model\":{}", ERR_REFUSED, "model",
         "nothing: this name is reserved"},
        {"\"mode\":\"enclave\"", "\"mode\":\"enclave\",\"mpc\":{}", ERR_REFUSED, "mpc",
         "nothing: this name is"},
        {"\"extra\":{\"ticket\":17}", "\"federated\":1", ERR_REFUSED, "federated",
         "nothing: this name is reserved"},
        {"int-gate/1", "int-gate/2", ERR_VERSION, "engine", "int-gate/1"},
        {"\"steps\":[", "\"step\":[],\"steps\":[", ERR_UNKNOWN_FIELD, "step", ""},
        /* inputs, quorum, requesters */
        {"\"name\":\"cleveland-2\"", "\"name\":\"cleveland\"", ERR_DUPLICATE, "inputs[2].name", ""},
        {DT("e3"), DT("e2"), ERR_DUPLICATE, "inputs[2].dt", "a dataset no other input has"},
        {DT("e3"), DT("f0"), ERR_REFUSED, "inputs[2].dt", "a dataset, not the app itself"},
        {"\"owners\":2", "\"owners\":3", ERR_RANGE, "quorum.owners", "at most the number of distinct owners"},
        {"\"owners\":2", "\"owners\":0", ERR_RANGE, "quorum.owners", "integer from 1"},
        {"\"requesters\":[\"" SAMPLE_ID("a5") "\"]", "\"requesters\":[]", ERR_RANGE, "requesters",
         "array of 1"},
        /* attestation, residency */
        {"[\"simulated\",\"tdx\"]", "[]", ERR_RANGE, "attestation.evidence", "array of 1"},
        {"[\"simulated\",\"tdx\"]", "[\"tdx\",\"simulated\"]", ERR_NOT_CANONICAL, "attestation.evidence", ""},
        {"[\"simulated\",\"tdx\"]", "[\"sgx\"]", ERR_SYNTAX, "attestation.evidence[0]",
         "simulated, snp or tdx"},
        {"\"gpu\":\"none\"", "\"gpu\":\"maybe\"", ERR_RANGE, "attestation.gpu", "one of none, required"},
        {"[\"EU\",\"CH\"]", "[\"EU\",\"Swiss\"]", ERR_SYNTAX, "residency.allow[1]", ""},
        /* privacy and output */
        {"\"type\":\"aggregate\"", "\"type\":\"rows\"", ERR_REFUSED, "output.type",
         "aggregate: output rows needs privacy \"none\""},
        {"\"max_bytes\":16384", "\"max_bytes\":10", ERR_RANGE, "output.max_bytes", ""},
        {"\"epsilon\":\"1.5\"", "\"epsilon\":\"1.6\"", ERR_CONFLICT, "privacy.epsilon", "exactly the sum"},
        {"\"epsilon\":\"1.5\"", "\"epsilon\":\"1.500000001\"", ERR_CONFLICT, "privacy.epsilon",
         "exactly the sum"},
        {"\"epsilon\":\"1.5\"", "\"epsilon\":\"0\"", ERR_RANGE, "privacy.epsilon", "decimal string"},
        {"\"delta\":\"0\"", "\"delta\":\"0.000001\"", ERR_RANGE, "privacy.delta",
         "decimal string from 0 to 0"},
        {"\"currency\":\"epsilon\"", "\"currency\":\"zcdp\"", ERR_REFUSED, "privacy.currency",
         "epsilon: zcdp is"},
        {"discrete-laplace", "discrete-gaussian", ERR_REFUSED, "privacy.mechanism",
         "discrete-laplace: discrete-g"},
        {"\"scope\":\"per-owner\"", "\"scope\":\"none\"", ERR_RANGE, "privacy.scope",
         "one of per-owner, global"},
        {"\"unit\":\"patient_id\"", "\"unit\":\"\"", ERR_RANGE, "steps[0].rows_per_unit",
         "1, because a row is a"},
        {"\"privacy\":{\"currency\":\"epsilon\",\"delta\":\"0\",\"epsilon\":\"1.5\",\"mechanism\":"
         "\"discrete-laplace\",\"scope\":\"per-owner\",\"unit\":\"patient_id\"}",
         "\"privacy\":\"some\"", ERR_TYPE, "privacy", "an object"},
        {"\"privacy\":{\"currency\":\"epsilon\",\"delta\":\"0\",\"epsilon\":\"1.5\",\"mechanism\":"
         "\"discrete-laplace\",\"scope\":\"per-owner\",\"unit\":\"patient_id\"}",
         "\"privacy\":\"none\"", ERR_RANGE, "steps[0].rows_per_unit", "1, because a row is a unit here"},
        /* steps */
        {"\"rows_per_unit\":2,", "", ERR_MISSING_FIELD, "steps[0].rows_per_unit", ""},
        {"\"runtime\":\"select\"", "\"runtime\":\"sql\"", ERR_REFUSED, "steps[0].runtime",
         "select: only output rows"},
        {"\"runtime\":\"select\"", "\"runtime\":\"oci\"", ERR_REFUSED, "steps[0].runtime",
         "select or sql: this name"},
        {"\"select\":\"SELECT patient_id", "\"select\":\"SELECT \t patient_id", ERR_SYNTAX, "byte", ""},
        {"\"select\":\"SELECT patient_id", "\"select\":\"SELECT \xe2\x80\xae patient_id", ERR_SYNTAX,
         "steps[0].select", "text without invisible characters"},
        {"\"domain\":[\"f\",\"m\"]", "\"domain\":[]", ERR_RANGE, "steps[0].groups[1].domain", "array of 1"},
        {"\"domain\":[\"f\",\"m\"]", "\"domain\":[\"f\",\"f\"]", ERR_DUPLICATE,
         "steps[0].groups[1].domain[1]", ""},
        {"\"domain\":[\"f\",\"m\"]", "\"domain\":[\"f\",\"\"]", ERR_SYNTAX, "steps[0].groups[1].domain[1]",
         ""},
        {"\"name\":\"sex\"", "\"name\":\"age_band\"", ERR_DUPLICATE, "steps[0].groups[1].name", ""},
        {"\"name\":\"sex\"", "\"name\":\"n\"", ERR_DUPLICATE, "steps[0].statistics[0].name",
         "a name used once"},
        {"\"name\":\"bp_sum\"", "\"name\":\"n\"", ERR_DUPLICATE, "steps[0].statistics[2].name", ""},
        {"\"name\":\"bp_mean\"", "\"name\":\"bp_sum\"", ERR_DUPLICATE, "steps[0].derived[1].name", ""},
        {"\"numerator\":\"positive\"", "\"numerator\":\"negative\"", ERR_NOT_FOUND,
         "steps[0].derived[0].numerator", ""},
        {"\"denominator\":\"n\"", "\"denominator\":\"bp_sum\"", ERR_NOT_FOUND,
         "steps[0].derived[0].denominator", "a count of this step"},
        {"\"lower\":\"80\"", "\"lower\":\"200.5\"", ERR_RANGE, "steps[0].statistics[2].upper",
         "a bound above lower"},
        {"\"lower\":\"80\"", "\"lower\":\"80.0\"", ERR_NOT_CANONICAL, "steps[0].statistics[2].lower", ""},
        {"\"lower\":\"80\"", "\"lower\":\"80.25\"", ERR_RANGE, "steps[0].statistics[2].lower",
         "decimal string"},
        {"\"lower\":\"80\"", "\"lower\":80", ERR_TYPE, "steps[0].statistics[2].lower", "decimal string"},
        {"\"places\":1", "\"places\":10", ERR_RANGE, "steps[0].statistics[2].places", "integer from 0 to 9"},
        {"\"column\":\"resting_bp\"", "\"column\":\"\"", ERR_RANGE, "steps[0].statistics[2].column",
         "the column to"},
        {"\"column\":\"positive\"", "\"column\":\"x;y\"", ERR_SYNTAX, "steps[0].statistics[1].column", ""},
        {"\"kind\":\"sum\"", "\"kind\":\"count\"", ERR_UNKNOWN_FIELD, "steps[0].statistics[2].lower", ""},
        {"\"kind\":\"sum\"", "\"kind\":\"max\"", ERR_RANGE, "steps[0].statistics[2].kind",
         "one of count, sum"},
        /* parameters */
        {"\"lower\":18,", "", ERR_MISSING_FIELD, "parameters[0].lower", "integer from -9007199254740992"},
        {"\"lower\":18", "\"lower\":\"18\"", ERR_TYPE, "parameters[0].lower", "integer from"},
        {"\"lower\":18", "\"lower\":91", ERR_RANGE, "parameters[0].upper", "a bound not below lower"},
        {"\"lower\":18", "\"domain\":[\"a\"],\"lower\":18", ERR_UNKNOWN_FIELD, "parameters[0].domain", ""},
        {"\"name\":\"min_age\"", "\"name\":\"1\"", ERR_SYNTAX, "parameters[0].name", "a lower-case letter"},
        {"\"name\":\"min_age\"", "\"name\":\"Age\"", ERR_SYNTAX, "parameters[0].name", "a lower-case letter"},
        {"\"name\":\"min_age\"", "\"name\":\"a-b\"", ERR_SYNTAX, "parameters[0].name", "a lower-case letter"},
        {"\"name\":\"min_age\"", "\"name\":\"\"", ERR_SYNTAX, "parameters[0].name", "a lower-case letter"},
        {"\"name\":\"min_age\"", "\"name\":\"site\"", ERR_NOT_CANONICAL, "parameters[1].name",
         "each name once, in the order"},
        {"\"name\":\"min_age\"", "\"name\":\"z\"", ERR_NOT_CANONICAL, "parameters[1].name",
         "each name once, in the order"},
        {"\"type\":\"integer\"", "\"type\":\"decimal\"", ERR_RANGE, "parameters[0].type",
         "one of integer, text"},
        {"\"type\":\"text\"", "\"type\":\"text\",\"upper\":1", ERR_UNKNOWN_FIELD, "parameters[1].upper", ""},
        {"[\"north\",\"south\"]", "[]", ERR_RANGE, "parameters[1].domain", "array of 1"},
        {"[\"north\",\"south\"]", "[\"north\",\"north\"]", ERR_DUPLICATE, "parameters[1].domain[1]", ""},
        {"[\"north\",\"south\"]", "[7]", ERR_TYPE, "parameters[1].domain[0]", "a string"},
        {"\"parameters\":[{\"lower\":18,\"name\":\"min_age\",\"type\":\"integer\",\"upper\":90},"
         "{\"domain\":[\"north\",\"south\"],\"name\":\"site\",\"type\":\"text\"}]",
         "\"parameters\":[]", ERR_RANGE, "parameters", "array of 1"},
        {N_STATISTIC ",", "", ERR_NOT_FOUND, "steps[0].derived[0].denominator", "a count of this step"},
        {"\"upper\":\"200.5\"", "\"upper\":\"9000000000000000\"", ERR_RANGE, "steps[0].statistics[2].epsilon",
         "a noise scale"},
    };
    sample_refused(sample_workflow, parse, refusals, sizeof refusals / sizeof refusals[0]);
}

static void test_refusals_of_rows(void **state)
{
    (void)state;
    static const struct sample_refusal refusals[] = {
        {"\"runtime\":\"sql\"", "\"rows_per_unit\":1,\"runtime\":\"sql\"", ERR_UNKNOWN_FIELD,
         "steps[0].rows_per_unit", ""},
        {"\"type\":\"rows\"", "\"type\":\"aggregate\"", ERR_MISSING_FIELD, "steps[0].rows_per_unit", ""},
    };
    sample_refused(sample_workflow_rows, parse, refusals, sizeof refusals / sizeof refusals[0]);
}

#define PLAIN_STEP                                                                                           \
    "{\"derived\":[],\"groups\":[],\"op\":\"" SAMPLE_ID(                                                     \
        "0b") "\",\"rows_per_unit\":1,\"runtime\":\"select\","                                               \
              "\"select\":\"SELECT y FROM input\",\"statistics\":[{\"column\":\"\","
#define SQL_STEP                                                                                             \
    "{\"op\":\"" SAMPLE_ID(                                                                                  \
        "0b") "\",\"runtime\":\"sql\","                                                                      \
              "\"select\":\"SELECT age, avg(trestbps) AS bp FROM cleveland GROUP BY age\"}"

/* Privacy none with the gate: the same statistics, exact and without epsilon. */
static void test_exact_aggregate(void **state)
{
    (void)state;
    static char text[8192];
    struct span bytes =
        sample_with(sample_workflow_rows, SQL_STEP, PLAIN_STEP "\"kind\":\"count\",\"name\":\"n\"}]}");
    memcpy(text, bytes.data, bytes.len + 1);
    bytes = sample_with(text, "\"type\":\"rows\"", "\"type\":\"aggregate\"");
    struct workflow *w = parse_sample(bytes);
    assert_int_equal(w->step[0].statistic[0].epsilon_nano, 0);
    assert_int_equal(w->step[0].cell_count, 1);
    bytes = sample_with(sample_workflow_rows, SQL_STEP,
                        PLAIN_STEP "\"epsilon\":\"1\",\"kind\":\"count\",\"name\":\"n\"}]}");
    memcpy(text, bytes.data, bytes.len + 1);
    static const struct sample_refusal costly = {"\"type\":\"rows\"", "\"type\":\"aggregate\"", ERR_REFUSED,
                                                 "steps[0].statistics[0].epsilon",
                                                 "nothing: privacy is none"};
    sample_refused(text, parse, &costly, 1);
}

/* 16 * 16 * 16 * 2 groups are more than 4096. */
static void test_cells(void **state)
{
    (void)state;
    char groups[1024];
    struct buffer out = BUFFER_OF(groups);
    for (int i = 0; i < 4; i++) {
        buffer_put_text(&out, i == 0 ? "\"groups\":[{\"domain\":[" : ",{\"domain\":[");
        for (int j = 0; j < (i == 3 ? 2 : 16); j++) {
            buffer_put_text(&out, j == 0 ? "\"" : ",\"");
            buffer_put_decimal(&out, j);
            buffer_put_u8(&out, '"');
        }
        buffer_put_text(&out, "],\"name\":\"g");
        buffer_put_decimal(&out, i);
        buffer_put_text(&out, "\"}");
    }
    buffer_put_text(&out, "],\"op\":\"" SAMPLE_ID("0a"));
    buffer_put_zero(&out);
    assert_false(out.overflow);
    const struct sample_refusal refusal = {
        "\"groups\":[{\"domain\":[\"<50\",\"50-59\",\"60+\"],\"name\":\"age_band\"},"
        "{\"domain\":[\"f\",\"m\"],\"name\":\"sex\"}],\"op\":\"" SAMPLE_ID("0a"),
        groups, ERR_TOO_LARGE, "steps[0].groups[3].domain", "at most 4096 groups"};
    sample_refused(sample_workflow, parse, &refusal, 1);
}

static void test_round_trip(void **state)
{
    (void)state;
    static uint8_t bytes[8192];
    const char *const samples[] = {sample_workflow, sample_workflow_rows};
    for (int i = 0; i < 2; i++) {
        struct buffer out = BUFFER_OF(bytes);
        assert_int_equal(workflow_write(&out, parse_sample(span_text(samples[i]))), OK);
        assert_true(span_equal_text(buffer_span(&out), samples[i]));
    }
}

/* What one released integer vector (two cells) can change by, found by trying: a unit has up to `rows` rows, each in
 * cell 0 or 1 with a value on the grid from lower to upper (or NULL), and is replaced by any other such unit. */
static void contribution(int64_t cell[2], const struct statistic *s, uint32_t code, uint32_t rows)
{
    const uint32_t values = (uint32_t)(s->upper - s->lower) + 2; /* the grid, and NULL */
    cell[0] = cell[1] = 0;
    for (uint32_t i = 0; i < rows; i++, code /= 2 * values + 1) {
        uint32_t choice = code % (2 * values + 1); /* the last: no row */
        if (choice == 2 * values) continue;
        int64_t value = s->lower + choice / 2;
        bool is_null = value > s->upper;
        if (s->kind == STATISTIC_COUNT) cell[choice % 2] += !is_null;
        if (s->kind == STATISTIC_SUM && !is_null) cell[choice % 2] += 2 * value - (s->lower + s->upper);
    }
}

static uint64_t largest_change(const struct statistic *s, uint32_t rows)
{
    uint32_t codes = 1;
    uint64_t largest = 0;
    for (uint32_t i = 0; i < rows; i++) codes *= 2 * ((uint32_t)(s->upper - s->lower) + 2) + 1;
    for (uint32_t a = 0; a < codes; a++) {
        for (uint32_t b = 0; b < codes; b++) {
            int64_t before[2], after[2];
            contribution(before, s, a, rows);
            contribution(after, s, b, rows);
            uint64_t change = (uint64_t)(llabs(before[0] - after[0]) + llabs(before[1] - after[1]));
            if (change > largest) largest = change;
        }
    }
    return largest;
}

static void test_sensitivity(void **state)
{
    (void)state;
    static const int64_t bounds[][2] = {{0, 1}, {-3, 2}, {5, 9}};
    for (uint32_t rows = 1; rows <= 2; rows++) {
        for (int i = 0; i < 3; i++) {
            struct statistic s = {.kind = STATISTIC_COUNT, .lower = bounds[i][0], .upper = bounds[i][1]};
            assert_int_equal(statistic_sensitivity(&s, rows), largest_change(&s, rows));
            s.kind = STATISTIC_SUM;
            assert_int_equal(statistic_sensitivity(&s, rows), largest_change(&s, rows));
        }
    }
}

static void test_scale(void **state)
{
    (void)state;
    uint64_t numerator = 0, denominator = 0;
    struct statistic s = {.kind = STATISTIC_COUNT, .epsilon_nano = 250000000};
    assert_int_equal(statistic_scale(&s, 1, &numerator, &denominator), OK);
    assert_int_equal(numerator, 8); /* 2 / 0.25 */
    assert_int_equal(denominator, 1);
    s = (struct statistic){.kind = STATISTIC_SUM, .lower = 800, .upper = 2005, .epsilon_nano = 750000000};
    assert_int_equal(statistic_scale(&s, 2, &numerator, &denominator), OK);
    assert_int_equal(numerator, 19280); /* 2 * 2 * 1205 / 0.75 = 6426 2/3 */
    assert_int_equal(denominator, 3);
    s.epsilon_nano = 0;
    assert_int_equal(statistic_scale(&s, 2, &numerator, &denominator), ERR_RANGE);
    s = (struct statistic){
        .kind = STATISTIC_SUM, .lower = 0, .upper = INT64_C(1) << 55, .epsilon_nano = 1000000000};
    assert_int_equal(statistic_scale(&s, 1, &numerator, &denominator), OK);
    assert_true(numerator == UINT64_C(1) << 56 && denominator == 1);
    s.upper++;
    assert_int_equal(statistic_scale(&s, 1, &numerator, &denominator), ERR_RANGE);
    s.epsilon_nano = 999999999; /* coprime to everything: 2^56 * 10^9 does not fit */
    assert_int_equal(statistic_scale(&s, 1, &numerator, &denominator), ERR_RANGE);
}

static void test_starved(void **state)
{
    (void)state;
    sample_starved(sample_workflow, parse);
    sample_starved(sample_workflow_rows, parse);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_inputs),
        cmocka_unit_test(test_step),
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_refusals_of_rows),
        cmocka_unit_test(test_exact_aggregate),
        cmocka_unit_test(test_cells),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_sensitivity),
        cmocka_unit_test(test_scale),
        cmocka_unit_test(test_starved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
