/* The synthetic cohort: the same bytes everywhere, plausible, and with the difficulties a joint study meets. */
#include "crypto/hash.h"
#include "node/cohort.h"
#include "node/csv.h"
#include "node/file.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { ROWS = 10000, SILOS = 4 };

struct row {
    char id[COHORT_LINE_BYTES_MAX];
    int age, bp, egfr;
    double creatinine;
    bool male, has_bp, has_creatinine, has_egfr, diabetes, has_diabetes, outcome;
};
static struct row rows[SILOS][ROWS];

/* The next field of a line; the comma becomes its end. */
static const char *field(char **at)
{
    char *begin = *at, *end = begin + strcspn(begin, ",\n");
    assert_int_not_equal(*end, 0);
    *end = 0;
    *at = end + 1;
    return begin;
}

static int number(const char *text, bool *has)
{
    char *end = NULL;
    *has = strcmp(text, COHORT_MISSING) != 0;
    if (!*has) return 0;
    long value = strtol(text, &end, 10);
    assert_true(*text != 0 && *end == 0);
    return (int)value;
}

static void read_row(struct row *r, char *line)
{
    bool has = false;
    const char *id = field(&line);
    assert_true(strlen(id) < sizeof r->id);
    memcpy(r->id, id, strlen(id) + 1);
    r->age = number(field(&line), &has);
    assert_true(has);
    r->male = strcmp(field(&line), "m") == 0;
    r->bp = number(field(&line), &r->has_bp);
    const char *creatinine = field(&line);
    r->has_creatinine = strcmp(creatinine, COHORT_MISSING) != 0;
    r->creatinine = r->has_creatinine ? strtod(creatinine, NULL) : 0;
    r->egfr = number(field(&line), &r->has_egfr);
    r->diabetes = number(field(&line), &r->has_diabetes) == 1;
    r->outcome = number(field(&line), &has) == 1;
    assert_true(has);
    assert_int_equal(*line, 0);
}

static int make_rows(void **state)
{
    (void)state;
    for (uint32_t silo = 0; silo < SILOS; silo++) {
        struct cohort c;
        cohort_begin(&c, 1, silo);
        for (uint32_t i = 0; i < ROWS; i++) {
            char line[COHORT_LINE_BYTES_MAX];
            struct buffer out = BUFFER_OF(line);
            cohort_next(&c, &out);
            buffer_put_zero(&out);
            assert_false(out.overflow);
            read_row(&rows[silo][i], line);
        }
    }
    return 0;
}

/* --- Bytes -------------------------------------------------------------------------------------------------------- */

static void same_bytes_everywhere(void **state)
{
    char folder[] = "/tmp/perigee_cohort_XXXXXX", path[64], notice[72], hex[65], *text = NULL;
    size_t len = 0;
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/a.csv", folder);
    (void)snprintf(notice, sizeof notice, "%s.txt", path);
    assert_int_equal(cohort_write(path, 1, 2, 2000), OK);
    assert_int_equal(cohort_write(path, 1, 2, 2000), ERR_CONFLICT);
    assert_int_equal(file_read(&text, &len, path, 1 << 20), OK);
    struct hash32 hash = sha256(span_make(text, len));
    hex_encode(hex, hash.bytes, 32);
    assert_string_equal(hex, "a26d4a09f57b5f9e194b1e3d2de42db7488abc8d93b40b5b6405dd54e9b56bf1");
    assert_int_equal(
        strncmp(text, "patient_id,age,sex,systolic_bp,creatinine_umol_l,egfr,diabetes,outcome\np", 72), 0);
    free(text);
    assert_int_equal(file_read(&text, &len, notice, 1 << 16), OK);
    assert_non_null(strstr(text, "SYNTHETIC DATA"));
    free(text);
    (void)unlink(path);
    (void)unlink(notice);
    (void)rmdir(folder);
}

static void seeds_differ(void **state)
{
    char line[2][COHORT_LINE_BYTES_MAX];
    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        struct cohort c;
        struct buffer out = BUFFER_OF(line[i]);
        cohort_begin(&c, 1 + i, 0);
        cohort_next(&c, &out);
        buffer_put_zero(&out);
    }
    assert_string_not_equal(line[0], line[1]);
}

/* The strict reader takes every row under the declared columns. */
static void rows_fit_their_columns(void **state)
{
    static struct csv reader;
    const struct meta meta = {META_CSV, false, ',', COHORT_MISSING};
    struct schema schema = {.column_count = COHORT_COLUMN_COUNT};
    struct cohort c;
    uint64_t count = 0;
    (void)state;
    for (uint32_t i = 0; i < COHORT_COLUMN_COUNT; i++)
        schema.column[i] = (struct column){span_text(cohort_columns[i].name), cohort_columns[i].type};
    csv_begin(&reader, &schema, &meta);
    cohort_begin(&c, 9, 3);
    for (uint32_t i = 0; i < 5000; i++) {
        char line[COHORT_LINE_BYTES_MAX];
        struct buffer out = BUFFER_OF(line);
        cohort_next(&c, &out);
        assert_int_equal(csv_add(&reader, buffer_span(&out)), OK);
    }
    assert_int_equal(csv_end(&reader, &count), OK);
    assert_int_equal(count, 5000);
}

/* --- Plausibility ------------------------------------------------------------------------------------------------- */

/* CKD-EPI 2021 in floating point: the fixed-point one is never off by more than one. */
static void egfr_is_the_formula(void **state)
{
    (void)state;
    for (uint32_t silo = 0; silo < SILOS; silo++) {
        for (uint32_t i = 0; i < ROWS; i++) {
            const struct row *r = &rows[silo][i];
            assert_int_equal(r->has_egfr, r->has_creatinine);
            if (!r->has_egfr) continue;
            const double ratio = r->creatinine / 88.4 / (r->male ? 0.9 : 0.7);
            const double alpha = r->male ? -0.302 : -0.241;
            const double egfr = 142 * pow(fmin(ratio, 1), alpha) * pow(fmax(ratio, 1), -1.2) *
                                pow(0.9938, r->age) * (r->male ? 1 : 1.012);
            if (fabs(egfr - r->egfr) > 1) fail_msg("%s: %d, expected %.2f", r->id, r->egfr, egfr);
        }
    }
}

struct summary {
    double age, bp, creatinine, male, diabetes, outcome, missing;
};

static struct summary summarise(uint32_t silo)
{
    struct summary s = {0};
    uint32_t bp = 0, creatinine = 0;
    for (uint32_t i = 0; i < ROWS; i++) {
        const struct row *r = &rows[silo][i];
        assert_in_range(r->age, 18, 99);
        s.age += (double)r->age / ROWS;
        s.male += (double)r->male / ROWS;
        s.diabetes += (double)r->diabetes / ROWS;
        s.outcome += (double)r->outcome / ROWS;
        s.missing += (double)!r->has_creatinine / ROWS;
        if (r->has_bp) assert_in_range(r->bp, 80, 230);
        if (r->has_creatinine) assert_true(r->creatinine >= 30 && r->creatinine <= 600);
        bp += r->has_bp;
        creatinine += r->has_creatinine;
        s.bp += r->bp;
        s.creatinine += r->creatinine;
    }
    s.bp /= bp;
    s.creatinine /= creatinine;
    return s;
}

static void assert_between(double value, double low, double high)
{
    if (value < low || value > high) fail_msg("%f is not in %f..%f", value, low, high);
}

static void hospitals_are_plausible_and_differ(void **state)
{
    static const double missing[SILOS] = {0.04, 0.06, 0.03, 0.09};
    struct summary s[SILOS];
    (void)state;
    for (uint32_t silo = 0; silo < SILOS; silo++) {
        s[silo] = summarise(silo);
        assert_between(s[silo].age, 55, 68);
        assert_between(s[silo].bp, 125, 142);
        assert_between(s[silo].creatinine, 75, 105);
        assert_between(s[silo].male, 0.48, 0.6);
        assert_between(s[silo].outcome, 0.12, 0.35);
        assert_between(s[silo].missing, missing[silo] - 0.01, missing[silo] + 0.01);
    }
    assert_true(s[1].age > s[0].age + 2 && s[0].age > s[3].age + 2);
    assert_true(s[3].diabetes > s[2].diabetes + 0.08);
    assert_true(s[3].bp > s[2].bp + 4);
}

/* What the study looks for is there: more events with age and with worse kidneys. */
static void outcome_depends(void **state)
{
    double events[2][2] = {{0}}, count[2][2] = {{0}};
    (void)state;
    for (uint32_t silo = 0; silo < SILOS; silo++) {
        for (uint32_t i = 0; i < ROWS; i++) {
            const struct row *r = &rows[silo][i];
            count[0][r->age >= 65] += 1;
            events[0][r->age >= 65] += r->outcome;
            if (!r->has_egfr) continue;
            count[1][r->egfr < 60] += 1;
            events[1][r->egfr < 60] += r->outcome;
        }
    }
    assert_true(events[0][1] / count[0][1] > 1.5 * events[0][0] / count[0][0]);
    assert_true(events[1][1] / count[1][1] > 1.3 * events[1][0] / count[1][0]);
}

/* --- Visits, and patients of two hospitals ------------------------------------------------------------------------ */

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct row *)a)->id, ((const struct row *)b)->id);
}

/* Patients of a hospital, each once, sorted; returns how many. */
static uint32_t patients(struct row *out, uint32_t silo, uint32_t *several)
{
    uint32_t count = 0, visits = 0;
    *several = 0;
    for (uint32_t i = 0; i < ROWS; i++) {
        if (count > 0 && strcmp(out[count - 1].id, rows[silo][i].id) == 0) {
            *several += ++visits == 2;
            assert_int_equal(out[count - 1].outcome, rows[silo][i].outcome);
            assert_int_equal(out[count - 1].male, rows[silo][i].male);
            assert_true(visits <= 3);
            continue;
        }
        out[count++] = rows[silo][i];
        visits = 1;
    }
    qsort(out, count, sizeof out[0], by_id);
    for (uint32_t i = 1; i < count; i++) assert_string_not_equal(out[i - 1].id, out[i].id);
    return count;
}

static void visits_and_shared_patients(void **state)
{
    static struct row own[SILOS][ROWS];
    uint32_t count[SILOS], several = 0;
    (void)state;
    for (uint32_t silo = 0; silo < SILOS; silo++) {
        count[silo] = patients(own[silo], silo, &several);
        assert_between((double)several / count[silo], 0.18, 0.22);
    }
    for (uint32_t a = 0; a < SILOS; a++) {
        uint32_t shared = 0;
        for (uint32_t b = 0; b < SILOS; b++) {
            for (uint32_t i = 0; b != a && i < count[b]; i++) {
                const struct row *same = bsearch(&own[b][i], own[a], count[a], sizeof own[a][0], by_id);
                if (same == NULL) continue;
                shared++;
                assert_int_equal(same->outcome, own[b][i].outcome); /* the same person */
                assert_int_equal(same->male, own[b][i].male);
            }
        }
        assert_between((double)shared / count[a], 0.02, 0.04);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bytes_everywhere),
        cmocka_unit_test(seeds_differ),
        cmocka_unit_test(rows_fit_their_columns),
        cmocka_unit_test(egfr_is_the_formula),
        cmocka_unit_test(hospitals_are_plausible_and_differ),
        cmocka_unit_test(outcome_depends),
        cmocka_unit_test(visits_and_shared_patients),
    };
    return cmocka_run_group_tests(tests, make_rows, NULL);
}
