/* Study files: both of ours become documents that their parsers take and SELECTs that DuckDB runs; what a person may get
 * wrong is refused with the place; the four real hospitals' files are what heart.yaml says. */
#include "crypto/hash.h"
#include "node/cohort.h"
#include "node/csv.h"
#include "node/file.h"
#include "node/study.h"
#include "node/study_state.h"
#include "node/tables.h"
#include "tests/sample.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define CARDIO PERIGEE_SOURCE_DIR "/configs/studies/cardio-renal.yaml"
#define HEART  PERIGEE_SOURCE_DIR "/configs/studies/heart.yaml"

static char fault[1024], draft[] = "/tmp/perigee_study_XXXXXX";
static uint8_t document[CAP_DOCUMENT_BYTES];

static struct study *load(const char *path)
{
    struct study *s = NULL;
    enum err err = study_load(&s, path, fault, sizeof fault);
    if (err != OK) fail_msg("%s", fault);
    return s;
}

static struct study_parties parties(const struct study *s)
{
    struct study_parties p;
    memset(&p, 0, sizeof p);
    memset(p.app.bytes, 99, 32);
    for (unsigned i = 0; i < s->silos_count; i++) {
        memset(p.dataset[i].bytes, 10 + (int)i, 32);
        memset(p.owner[i].bytes, 20 + (int)i, 32);
    }
    memset(p.requester[0].bytes, 30, 32);
    memset(p.reader[0].bytes, 31, 32);
    p.requester_count = p.reader_count = 1;
    return p;
}

static struct workflow *make_workflow(const struct study *s)
{
    const struct study_parties p = parties(s);
    struct buffer out = BUFFER_OF(document);
    struct workflow *w = NULL;
    struct json_fault why;
    assert_int_equal(study_workflow_write(&out, s, &p), OK);
    enum err err = workflow_parse(&w, sample_arena(), buffer_span(&out), &why);
    if (err != OK) fail_msg("%s: expected %s", why.path, why.expected);
    return w;
}

/* --- Documents ---------------------------------------------------------------------------------------------------- */

static void documents_say_the_study(void **state)
{
    static const char *const paths[] = {CARDIO, HEART};
    (void)state;
    for (size_t k = 0; k < 2; k++) {
        struct study *s = load(paths[k]);
        const struct study_parties p = parties(s);
        struct workflow *w = make_workflow(s);
        struct schema schema;
        study_schema(&schema, s);
        assert_int_equal(w->input_count, 4);
        assert_int_equal(w->owners_min, 4);
        assert_int_equal(w->epsilon_nano, 1500000000);
        assert_int_equal(w->scope, SCOPE_PER_OWNER);
        assert_int_equal(w->requester_count, 1);
        assert_int_equal(w->reader_count, 1);
        for (unsigned i = 0; i < 4; i++) {
            assert_true(ID_EQUAL(w->input[i].owner, p.owner[i]));
            assert_true(ID_EQUAL(w->input[i].dt, p.dataset[i]));
            assert_true(ID_EQUAL(w->input[i].schema, schema.hash));
        }
        struct hash32 op_hash = study_op_hash(s, 0);
        assert_true(ID_EQUAL(w->step[0].op, op_hash));
        struct buffer out = BUFFER_OF(document);
        struct op *op = NULL;
        assert_int_equal(study_op_write(&out, s, 0), OK);
        assert_int_equal(op_parse(&op, sample_arena(), buffer_span(&out), NULL), OK);
        assert_true(ID_EQUAL(op->hash, op_hash));
        uint8_t code_bytes[CAP_CODE_BYTES];
        struct buffer code_out = BUFFER_OF(code_bytes);
        assert_int_equal(study_code_write(&code_out, s, 0), OK);
        struct hash32 code = sha256(buffer_span(&code_out));
        assert_true(ID_EQUAL(op->code, code));
        study_close(s);
    }
}

static void datasets_and_algorithm(void **state)
{
    struct study *s = load(HEART);
    const struct study_parties p = parties(s);
    (void)state;
    for (unsigned i = 0; i < s->silos_count; i++) {
        struct buffer out = BUFFER_OF(document);
        struct ddo *d = NULL;
        assert_int_equal(study_dataset_write(&out, s, i, p.dataset[i]), OK);
        assert_int_equal(ddo_parse(&d, sample_arena(), buffer_span(&out), NULL), OK);
        assert_int_equal(d->row_count, s->silos[i].rows);
        assert_int_equal(d->budget, INT64_C(9000000000));
        assert_int_equal(d->unit_column.len, 0);
        assert_true(span_equal_text(d->jurisdiction, s->silos[i].jurisdiction));
    }
    struct buffer out = BUFFER_OF(document);
    struct ddo *d = NULL;
    assert_int_equal(study_algorithm_write(&out, s, &p), OK);
    assert_int_equal(ddo_parse(&d, sample_arena(), buffer_span(&out), NULL), OK);
    assert_int_equal(d->type, ASSET_ALGORITHM);
    assert_int_equal(d->service[0].child_count, 4);
    out.len = 0;
    struct policy *policy = NULL;
    assert_int_equal(study_policy_write(&out, s), OK);
    assert_int_equal(policy_parse(&policy, sample_arena(), buffer_span(&out), NULL), OK);
    assert_int_equal(policy->jurisdiction_count, 2);
    assert_int_equal(policy->export_to, EXPORT_TO_ENCLAVE);
    study_close(s);
}

/* The same file gives the same compose hash: owners approve a hash. */
static void same_hash_again(void **state)
{
    struct study *s = load(CARDIO);
    struct compose_hash hash = make_workflow(s)->hash;
    (void)state;
    study_close(s);
    s = load(CARDIO);
    struct compose_hash again = make_workflow(s)->hash;
    assert_true(ID_EQUAL(again, hash));
    study_close(s);
}

static void small_buffers_are_refused(void **state)
{
    struct study *s = load(CARDIO);
    const struct study_parties p = parties(s);
    (void)state;
    for (size_t cap = 0; cap < 400; cap += 37) {
        struct buffer out = buffer_make(document, cap);
        assert_int_equal(study_workflow_write(&out, s, &p), ERR_TOO_LARGE);
        out = buffer_make(document, cap);
        if (cap < 100) assert_int_equal(study_op_write(&out, s, 0), ERR_TOO_LARGE);
    }
    study_close(s);
}

/* --- Rows --------------------------------------------------------------------------------------------------------- */

static bool have_duckdb(void)
{
    const struct duckdb *api;
    return duckdb_load(&api, NULL, 0) == OK;
}

struct totals {
    uint32_t of;
    uint64_t rows, outside, count[4096], sum_count;
    int64_t sum;
};

static enum err add_totals(void *context, const struct tables_chunk *chunk)
{
    struct totals *t = context;
    for (uint32_t i = 0; i < chunk->row_count; i++) {
        const bool valid = duckdb_valid(chunk->valid[t->of], i);
        t->rows++;
        if (chunk->cell[i] == TABLES_NO_CELL)
            t->outside++;
        else
            t->count[chunk->cell[i]]++;
        t->sum_count += valid;
        if (valid && chunk->value[t->of] != NULL) t->sum += chunk->value[t->of][i];
    }
    return OK;
}

/* Every row of one file through the study's SELECT: rows by cell, and the total of statistic `of`. */
static void run_select(struct totals *t, const struct study *s, const char *path, uint32_t of)
{
    struct workflow *w = make_workflow(s);
    struct schema schema;
    struct meta meta;
    struct tables *tables = NULL;
    struct tables_select select;
    uint64_t row_count;
    study_schema(&schema, s);
    study_meta(&meta, s);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    const struct tables_source source = {
        fd, TABLES_CSV, meta.header, meta.delimiter, span_text(meta.missing), &schema};
    assert_int_equal(tables_open(&tables, 1, UINT64_C(256) << 20, fault, sizeof fault), OK);
    assert_int_equal(tables_add(tables, &source), OK);
    assert_int_equal(tables_lock(tables, fault, sizeof fault), OK);
    struct parameter_choice choice = {.of = &w->parameters};
    choice.value[0].integer = 1; /* heart's: any degree of disease */
    enum err err = tables_select_make(&select, &w->step[0], w->unit_column, &schema, &w->parameters, fault,
                                      sizeof fault);
    if (err != OK) fail_msg("%s", fault);
    *t = (struct totals){.of = of};
    const struct tables_scan scan = {
        .select = &select, .choice = &choice, .rows_most = UINT64_MAX, .take = add_totals, .context = t};
    assert_int_equal(tables_scan(tables, &row_count, &scan), OK); /* one thread */
    assert_int_equal(row_count, t->rows);
    tables_select_free(&select);
    tables_close(tables);
    (void)close(fd);
}

static void cohort_through_its_select(void **state)
{
    char folder[] = "/tmp/perigee_study_XXXXXX", path[PATH_MAX], notice[PATH_MAX + 8];
    static struct totals t;
    (void)state;
    if (!have_duckdb()) skip();
    struct study *s = load(CARDIO);
    assert_non_null(mkdtemp(folder));
    s->synthetic->rows = 4000;
    assert_int_equal(study_make_files(s, folder, fault, sizeof fault), OK);
    assert_int_equal(study_make_files(s, folder, fault, sizeof fault), ERR_CONFLICT);
    for (unsigned i = 0; i < s->silos_count; i++) {
        assert_int_equal(study_file(path, s, i, folder), OK);
        run_select(&t, s, path, 5); /* creatinine, tenths */
        assert_int_equal(t.rows, 4000);
        assert_int_equal(t.outside, 0); /* every row has its cell */
        for (uint32_t cell = 0; cell < 10; cell++) assert_true(t.count[cell] > 40);
        assert_true(t.sum_count > 3500 && t.sum_count < 4000);
        assert_true(t.sum / (int64_t)t.sum_count > 750 && t.sum / (int64_t)t.sum_count < 1100);
        run_select(&t, s, path, 1); /* positives: counted where the outcome is true */
        assert_true(t.sum_count > 400 && t.sum_count < 1500);
        (void)snprintf(notice, sizeof notice, "%s.txt", path);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(unlink(notice), 0);
    }
    (void)rmdir(folder);
    study_close(s);
}

static const char *heart_folder(void)
{
    static const char folder[] = PERIGEE_SHARED_DIR "/data/heart";
    if (access(folder, R_OK) == 0) return folder;
    print_message("SKIPPED: the UCI heart disease files are not here\n");
    return NULL;
}

/* Published counts: rows 303 294 123 200, with disease 139 106 115 149; one pressure of 0 and 59 missing ones. */
static void heart_through_its_select(void **state)
{
    static const uint64_t positives[4] = {139, 106, 115, 149};
    static struct totals t;
    uint64_t pressures = 0, cell[6] = {0};
    (void)state;
    if (heart_folder() == NULL || !have_duckdb()) skip();
    struct study *s = load(HEART);
    for (unsigned i = 0; i < 4; i++) {
        char path[PATH_MAX];
        assert_int_equal(study_file(path, s, i, heart_folder()), OK);
        run_select(&t, s, path, 1);
        assert_int_equal(t.rows, s->silos[i].rows);
        assert_int_equal(t.outside, 0);
        assert_int_equal(t.sum_count, positives[i]);
        for (uint32_t c = 0; c < 6; c++) cell[c] += t.count[c];
        run_select(&t, s, path, 3);
        pressures += t.sum_count;
    }
    assert_int_equal(cell[0] + cell[2] + cell[4], 194); /* women */
    assert_int_equal(cell[1] + cell[3] + cell[5], 726);
    assert_int_equal(pressures, 920 - 60);
    study_close(s);
}

/* Without DuckDB the same files seal: the strict reader takes them. */
static void heart_without_duckdb(void **state)
{
    static struct csv reader;
    struct schema schema;
    struct meta meta;
    (void)state;
    if (heart_folder() == NULL) skip();
    struct study *s = load(HEART);
    study_schema(&schema, s);
    study_meta(&meta, s);
    for (unsigned i = 0; i < 4; i++) {
        char path[PATH_MAX], *text = NULL;
        size_t len = 0;
        uint64_t row_count = 0;
        assert_int_equal(study_file(path, s, i, heart_folder()), OK);
        assert_int_equal(file_read(&text, &len, path, 1 << 20), OK);
        csv_begin(&reader, &schema, &meta);
        if (csv_add(&reader, span_make(text, len)) != OK || csv_end(&reader, &row_count) != OK) {
            csv_fault(&reader, fault, sizeof fault);
            fail_msg("%s: %s", path, fault);
        }
        assert_int_equal(row_count, s->silos[i].rows);
        free(text);
    }
    study_close(s);
}

/* --- Refusals ----------------------------------------------------------------------------------------------------- */

/* The file at `path` with the first `find` replaced, into the draft. */
static void put_changed(const char *path, const char *find, const char *replace)
{
    static char changed[64 * 1024];
    char *text = NULL;
    size_t len = 0;
    assert_int_equal(file_read(&text, &len, path, 32 * 1024), OK);
    const char *at = strstr(text, find);
    if (at == NULL) fail_msg("\"%s\" is not in %s", find, path);
    (void)snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - text), text, replace, at + strlen(find));
    free(text);
    assert_int_equal(file_write(draft, span_text(changed), 0600, true), OK);
}

static void mistakes_are_refused(void **state)
{
    static const struct {
        const char *path, *find, *replace, *said;
    } bad[] = {
        {CARDIO, "perigee: study/1", "perigee: study/2", "study/1"},
        {CARDIO, "unit: patient_id", "units: patient_id", "units"},
        {CARDIO, "unit: patient_id", "unit: patient", "unit_column"},
        {CARDIO, "type: boolean }", "type: bool }", "bool"},
        {CARDIO, "name: eu-north, organisation: eu-north-hospital", "name: eu-west, organisation: x",
         "silos.name"},
        {CARDIO, "eu-north-hospital", "eu-west-hospital",
         "silos[1].organisation: expected each organisation once, got \"eu-west-hospital\""},
        {CARDIO, "nordic-compute", "us-hospital",
         "compute[1].organisation: expected each organisation once, got \"us-hospital\""},
        {CARDIO, "eu-north-hospital", "EU North",
         "silos[1].organisation: expected 1 to 64 of a-z 0-9 . _ -, got \"EU North\""},
        {CARDIO, "nordic-compute", "Nordic", "compute[1].organisation"},
        {CARDIO, "renal-research", "../renal", "provider.organisation"},
        {CARDIO, "renal-research, jurisdiction: EU", "renal-research, jurisdiction: e",
         "provider.jurisdiction"},
        {CARDIO, "residency: [CH, EU]", "residency: [US]",
         "workflow.residency: expected one where a compute provider is (CH, EU), got US"},
        {CARDIO, "budget: \"9\"", "budget: \"5.99\"",
         "budget: expected at least workflow.epsilon 1.5 for each of 5 slots"},
        {CARDIO, "slots: 5", "slots: 6", "budget"},
        {CARDIO, "slots: 5", "slots: 0", "slots: expected 1 to 1000, got 0"},
        {CARDIO, "jurisdiction: EU }", "jurisdiction: Europe }", "jurisdiction"},
        {CARDIO, "jurisdiction: EU }", "jurisdiction: eu }", "jurisdiction"},
        {CARDIO, "name: eu-west,", "name: EU West,", "name"},
        {CARDIO, "epsilon: \"1.5\"", "epsilon: \"1.4\"", "privacy.epsilon"},
        {CARDIO, "epsilon: \"1.5\"", "epsilon: \"1,5\"", "workflow.epsilon: expected a decimal"},
        {CARDIO, "epsilon: \"1.5\"", "epsilon: \"-1.5\"", "range"},
        {CARDIO, "lower: \"80\", upper: \"200\"", "lower: \"200\", upper: \"80\"", "statistics"},
        {CARDIO, "lower: \"80\", upper: \"200\"", "lower: \"80\"", "lower and upper for a sum"},
        {CARDIO, "lower: \"80\"", "lower: \"80.5\"", "statistics.lower"},
        {CARDIO, "kind: count, epsilon: \"0.3\"", "kind: count, lower: \"1\", epsilon: \"0.3\"",
         "for a count"},
        {CARDIO, "rows_per_unit: 2", "rows_per_unit: 5000", "rows_per_unit"},
        {CARDIO, "owners: 4", "owners: 5", "owners"},
        {CARDIO, "residency: [CH, EU]", "residency: [CH, Mars]", "residency"},
        {CARDIO, "op: table-by-group", "op: table", "workflow.steps.op"},
        {CARDIO, "numerator: positives", "numerator: negatives", "derived"},
        {CARDIO, "FROM input", "FROM input -- all", "SQL without --"},
        {CARDIO, "missing: NA", "missing: \"?\"", "synthetic"},
        {CARDIO, "name: egfr, type: integer", "name: egfr, type: decimal", "synthetic"},
        {CARDIO, "rows: 10000", "rows: 0", "synthetic.rows"},
        {CARDIO, "slots: 5", "slots: 2000", "slots"},
        {CARDIO, "delimiter: \",\"", "delimiter: \"a\"", "delimiter"},
        {CARDIO, "delimiter: \",\"", "delimiter: \",,\"", "delimiter"},
        {CARDIO, "budget: \"9\"", "budget: \"six\"", "budget: expected a decimal"},
        {CARDIO, "workflow:", "workflows:", "workflows"},
        {HEART, "file: processed.cleveland.data", "file: ../processed.cleveland.data",
         "inside the data folder"},
        {HEART, "file: processed.cleveland.data", "file: /etc/passwd", "inside the data folder"},
        {HEART, "file: processed.cleveland.data", "file: a/../../b", "inside the data folder"},
        {HEART, ", rows: 303", "", "silos.rows"},
        {HEART, "file: processed.cleveland.data, ", "", "silos.file"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct study *s = NULL;
        put_changed(bad[i].path, bad[i].find, bad[i].replace);
        enum err err = study_load(&s, draft, fault, sizeof fault);
        if (err == OK) fail_msg("accepted: \"%s\"", bad[i].replace);
        assert_null(s);
        assert_non_null(strstr(fault, draft));
        if (strstr(fault, bad[i].said) == NULL)
            fail_msg("%zu: \"%s\" does not say \"%s\"", i, fault, bad[i].said);
    }
    struct study *s = NULL;
    assert_int_equal(file_write(draft, SPAN_NONE, 0600, true), OK);
    assert_int_equal(study_load(&s, draft, fault, sizeof fault), ERR_RANGE);
    assert_int_equal(study_load(&s, "/nowhere.yaml", fault, sizeof fault), ERR_NOT_FOUND);
}

static void variants_are_taken(void **state)
{
    struct study *s = NULL;
    struct meta meta;
    (void)state;
    put_changed(HEART, "delimiter: \",\"", "delimiter: tab");
    s = load(draft);
    study_meta(&meta, s);
    assert_int_equal(meta.delimiter, '\t');
    assert_false(meta.header);
    study_close(s);
    put_changed(HEART, "format: csv", "format: parquet");
    s = load(draft);
    study_meta(&meta, s);
    assert_int_equal(meta.format, META_PARQUET);
    assert_int_equal(study_make_files(s, "/tmp", fault, sizeof fault), ERR_USAGE);
    study_close(s);
    put_changed(HEART, "slots: 5\n", "");
    s = load(draft);
    assert_int_equal(s->slots, 1);
    study_close(s);
}

static void decimals(void **state)
{
    static const struct {
        const char *text;
        uint32_t places;
        enum err err;
        int64_t value;
    } cases[] = {
        {"1.5", 9, OK, 1500000000},
        {"-0.25", 2, OK, -25},
        {"7", 0, OK, 7},
        {"0.30", 2, OK, 30},
        {"1.", 2, ERR_SYNTAX, 0},
        {".5", 2, ERR_SYNTAX, 0},
        {"", 2, ERR_SYNTAX, 0},
        {"-", 2, ERR_SYNTAX, 0},
        {"1.5", 0, ERR_RANGE, 0},
        {"1e3", 2, ERR_SYNTAX, 0},
        {"+1", 2, ERR_SYNTAX, 0},
        {"1.2.3", 4, ERR_SYNTAX, 0},
        {"9223372036854775808", 0, ERR_RANGE, 0},
        {"9223372036854775807", 1, ERR_RANGE, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t value = 0;
        assert_int_equal(study_decimal(&value, cases[i].text, cases[i].places), cases[i].err);
        assert_int_equal(value, cases[i].value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_say_the_study),   cmocka_unit_test(datasets_and_algorithm),
        cmocka_unit_test(same_hash_again),           cmocka_unit_test(small_buffers_are_refused),
        cmocka_unit_test(cohort_through_its_select), cmocka_unit_test(heart_through_its_select),
        cmocka_unit_test(heart_without_duckdb),      cmocka_unit_test(mistakes_are_refused),
        cmocka_unit_test(variants_are_taken),        cmocka_unit_test(decimals),
    };
    int fd = mkstemp(draft);
    if (fd < 0) return 1;
    (void)close(fd);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(draft);
    return failed;
}
