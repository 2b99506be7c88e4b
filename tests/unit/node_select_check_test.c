/* select_check: what passes, what is printed for it, and a table of hostile SQL. */
#include "node/select_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct schema schema;

static int setup(void **state)
{
    (void)state;
    const struct column columns[] = {
        {SPAN_LITERAL("id"), COLUMN_TEXT},   {SPAN_LITERAL("age"), COLUMN_INTEGER},
        {SPAN_LITERAL("x"), COLUMN_DECIMAL}, {SPAN_LITERAL("smoker"), COLUMN_BOOLEAN},
        {SPAN_LITERAL("seen"), COLUMN_DATE}, {SPAN_LITERAL("default.payment.next.month"), COLUMN_INTEGER},
        {SPAN_LITERAL("sex"), COLUMN_TEXT},
    };
    schema.column_count = sizeof columns / sizeof *columns;
    memcpy(schema.column, columns, sizeof columns);
    return 0;
}

static const char *const allowed[] = {
    "SELECT id, age AS v FROM input",
    "select input.id as unit, case when age >= 50 then 'old' else 'young' end as g, x * 2 + 1.5 as v from "
    "input",
    "SELECT CASE sex WHEN 'm' THEN 1 WHEN 'f' THEN 0 END AS g FROM input WHERE age BETWEEN 3 AND 90",
    "SELECT coalesce(x, 0) AS a, nullif(age, -9) AS b, x::DECIMAL(18,2) AS c, CAST(id AS INTEGER) AS d FROM "
    "input",
    "SELECT try_cast(id AS BIGINT) AS a, TRY(1 / age) AS b FROM input",
    "SELECT abs(x) AS a, floor(x) AS b, ceil(x) AS c, round(x, 2) AS d, sign(x) AS e, -x AS f, trunc(x) AS g "
    "FROM input",
    "SELECT least(age, 90) AS a, greatest(age, 18, 20) AS b, age % 10 AS c, age // 10 AS d, - - age AS e "
    "FROM input",
    "SELECT lower(trim(sex)) AS a, upper(sex) AS b, length(sex) AS c, substring(sex, 1, 2) AS d, id || '-' "
    "|| sex AS e, "
    "left(id, 2) AS f, right(id, 1) AS g, concat(id, sex) AS h FROM input",
    "SELECT year(seen) AS a, month(seen) AS b, day(seen) AS c, extract(year FROM seen) AS d, seen - DATE "
    "'2020-01-01' AS "
    "e, date_part('month', seen) AS f FROM input",
    "SELECT age FROM input WHERE id LIKE 'a%' AND sex NOT LIKE 'f' AND id LIKE '%b%' AND age IN (1, 2, 3) "
    "AND age NOT IN "
    "(7) AND x IS NOT NULL AND NOT smoker AND x IS DISTINCT FROM 3 OR age IS NULL",
    "SELECT \"default.payment.next.month\" AS y FROM input",
    "SELECT age AS v FROM input;",
    "SELECT age AS v -- a comment\n FROM /* another */ input",
    "SELECT 'it''s; DROP TABLE input --' AS v, NULL AS n, true AS t, 1e300 AS big, 0.1 AS small, -0.05 AS "
    "minus FROM input",
    "SELECT AGE AS v FROM INPUT",
    "SELECT age AS \"a \"\"quoted\"\" name\" FROM input",
    "FROM input SELECT age AS v",
};

/* What must be refused, and a word its reason must hold. */
static const struct hostile {
    const char *sql, *word;
} hostile[] = {
    {"SELECT * FROM input", "STAR"},
    {"FROM input", "STAR"},
    {"SELECT input.* FROM input", "STAR"},
    {"SELECT COLUMNS('.*') FROM input", "STAR"},
    {"SELECT COLUMNS(*) + 1 FROM input", "STAR"},
    {"SELECT * EXCLUDE (id) FROM input", "STAR"},
    {"SELECT sum(x) AS v FROM input", "sum"},
    {"SELECT count(*) AS v FROM input", "count_star"},
    {"SELECT avg(x) AS v, id FROM input GROUP BY id", "GROUP BY"},
    {"SELECT id FROM input GROUP BY ALL", "GROUP BY"},
    {"SELECT id FROM input GROUP BY ROLLUP (id)", "GROUP BY"},
    {"SELECT id FROM input HAVING count(*) > 1", "HAVING"},
    {"SELECT string_agg(id, ',') AS v FROM input", "string_agg"},
    {"SELECT sum(x) FILTER (WHERE age > 1) AS v FROM input", "FILTER"},
    {"SELECT count(DISTINCT x) AS v FROM input", "DISTINCT"},
    {"SELECT list(x ORDER BY x) AS v FROM input", "list_sort"},
    {"SELECT sum(x ORDER BY x) AS v FROM input", "ORDER BY"},
    {"SELECT first(x) AS v FROM input", "first"},
    {"SELECT row_number() OVER () AS v FROM input", "WINDOW"},
    {"SELECT sum(x) OVER (PARTITION BY id) AS v FROM input", "WINDOW"},
    {"SELECT lag(x) OVER (ORDER BY id) AS v FROM input", "WINDOW"},
    {"SELECT id FROM input QUALIFY row_number() OVER () = 1", "QUALIFY"},
    {"SELECT (SELECT max(x) FROM input) AS v FROM input", "SUBQUERY"},
    {"SELECT id FROM input WHERE x > (SELECT avg(x) FROM input)", "SUBQUERY"},
    {"SELECT id FROM input WHERE EXISTS (SELECT 1 FROM input i WHERE i.x > 3)", "SUBQUERY"},
    {"SELECT id FROM input WHERE id IN (SELECT id FROM input)", "SUBQUERY"},
    {"SELECT id FROM input WHERE x > ALL (SELECT x FROM input)", "SUBQUERY"},
    {"SELECT ARRAY(SELECT x FROM input) AS v FROM input", "SUBQUERY"},
    {"SELECT id FROM (SELECT * FROM input)", "SUBQUERY"},
    {"SELECT a.id FROM input a", "alias"},
    {"SELECT id FROM input AS input(id, age)", "alias"},
    {"SELECT id FROM input, input AS other", "JOIN"},
    {"SELECT input.id FROM input JOIN input b ON input.id = b.id", "JOIN"},
    {"SELECT id FROM input POSITIONAL JOIN input b", "JOIN"},
    {"SELECT id FROM input CROSS JOIN range(10)", "JOIN"},
    {"SELECT id FROM other", "other"},
    {"SELECT id FROM main.input", "schema"},
    {"SELECT id FROM memory.main.input", "schema"},
    {"SELECT id FROM 'file.csv'", "file.csv"},
    {"SELECT content AS v FROM read_text('/etc/passwd')", "TABLE_FUNCTION"},
    {"SELECT file AS v FROM glob('/proc/*')", "TABLE_FUNCTION"},
    {"SELECT * FROM read_csv('/proc/self/environ')", "TABLE_FUNCTION"},
    {"SELECT name AS v FROM duckdb_settings()", "TABLE_FUNCTION"},
    {"SELECT range AS v FROM range(10)", "TABLE_FUNCTION"},
    {"SELECT id FROM pragma_version()", "TABLE_FUNCTION"},
    {"SELECT table_name AS v FROM information_schema.tables", "tables"},
    {"SELECT 1 AS v", "FROM"},
    {"VALUES (1)", "FROM"},
    {"SELECT v FROM (VALUES (1)) t(v)", "FROM"},
    {"WITH input AS (SELECT 1 AS id) SELECT id FROM input", "WITH"},
    {"WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT id FROM input", "WITH"},
    {"SELECT id FROM input UNION ALL SELECT id FROM input", "SET_OPERATION"},
    {"SELECT id FROM input EXCEPT SELECT id FROM input", "SET_OPERATION"},
    {"SELECT DISTINCT id FROM input", "DISTINCT"},
    {"SELECT DISTINCT ON (sex) id FROM input", "DISTINCT"},
    {"SELECT id FROM input ORDER BY id", "ORDER"},
    {"SELECT id FROM input LIMIT 1", "LIMIT"},
    {"SELECT id FROM input OFFSET 1", "LIMIT"},
    {"SELECT id FROM input LIMIT 10%", "LIMIT"},
    {"SELECT id FROM input USING SAMPLE 10", "SAMPLE"},
    {"SELECT id FROM input TABLESAMPLE 10%", "SAMPLE"},
    {"SELECT id FROM input AT (VERSION => 1)", "AT"},
    {"SELECT id FROM input WHERE id ILIKE 'a%'", "~~*"},
    {"SELECT id FROM input WHERE id LIKE sex", "LIKE"},
    {"SELECT id FROM input WHERE id LIKE (CASE WHEN id = 'a' THEN '%a%a%b' ELSE 'x' END)", "LIKE"},
    {"SELECT id FROM input WHERE id LIKE '%a%a%'", "LIKE"},
    {"SELECT id FROM input WHERE id NOT LIKE '_'", "LIKE"},
    {"SELECT id FROM input WHERE id LIKE NULL", "LIKE"},
    {"SELECT id FROM input WHERE id LIKE 'a' ESCAPE 'a'", "like_escape"},
    {"SELECT length(concat(id, id, id, id, id, id, id, id, id, id, id, id, id, id, id, id, id, id, id, id, "
     "id, id, id, id, id, id, id, id, id, id, id, id, id)) AS v FROM input",
     "32 times"},
    {"SELECT upper(upper(upper(upper(concat(id, id, id, id, id, id, id))))) AS v FROM input", "32 times"},
    {"SELECT random() AS v FROM input", "random"},
    {"SELECT uuid() AS v FROM input", "uuid"},
    {"SELECT now() AS v FROM input", "now"},
    {"SELECT current_date AS v FROM input", "current_date"},
    {"SELECT current_timestamp AS v FROM input", "current_timestamp"},
    {"SELECT today() AS v FROM input", "today"},
    {"SELECT nextval('s') AS v FROM input", "nextval"},
    {"SELECT current_setting('threads') AS v FROM input", "current_setting"},
    {"SELECT getenv('HOME') AS v FROM input", "getenv"},
    {"SELECT getvariable('a') AS v FROM input", "getvariable"},
    {"SELECT error('row ' || id) AS v FROM input", "error"},
    {"SELECT CASE WHEN id = 'ann' THEN error('here') END AS v FROM input", "error"},
    {"SELECT version() AS v FROM input", "version"},
    {"SELECT txid_current() AS v FROM input", "txid_current"},
    {"SELECT hash(id) AS v FROM input", "hash"},
    {"SELECT repeat(id, 1000000000) AS v FROM input", "repeat"},
    {"SELECT replace(id, 'a', 'aa') AS v FROM input", "replace"},
    {"SELECT rpad(id, 1000000000, 'x') AS v FROM input", "rpad"},
    {"SELECT pow(x, 2) AS v FROM input", "pow"},
    {"SELECT x ** 2 AS v FROM input", "**"},
    {"SELECT ln(x) AS v FROM input", "ln"},
    {"SELECT regexp_matches(id, '(a+)+$') AS v FROM input", "regexp"},
    {"SELECT id FROM input WHERE id SIMILAR TO 'a.*'", "regexp"},
    {"SELECT list_transform([1], lambda q: q + 1) AS v FROM input", "list_transform"},
    {"SELECT [x, 1] AS v FROM input", "list_value"},
    {"SELECT {'a': x} AS v FROM input", "struct_pack"},
    {"SELECT id[1] AS v FROM input", "ARRAY_EXTRACT"},
    {"SELECT unnest([1, 2]) AS v FROM input", "unnest"},
    {"SELECT CAST(x AS INTEGER[]) AS v FROM input", "type"},
    {"SELECT CAST(id AS TIMESTAMP) AS v FROM input", "type"},
    {"SELECT CAST(id AS JSON) AS v FROM input", "type"},
    {"SELECT CAST(id AS secret_type) AS v FROM input", "type"},
    {"SELECT id COLLATE nocase AS v FROM input", "COLLATE"},
    {"SELECT seen + INTERVAL 3 DAY AS v FROM input", "to_days"},
    {"SELECT $1 AS v FROM input", "parameter $1"},
    {"SELECT ? AS v FROM input", "parameter $1"},
    {"SELECT $name AS v FROM input", "parameter $name"},
    {"SELECT rowid AS v FROM input", "rowid"},
    {"SELECT filename AS v FROM input", "filename"},
    {"SELECT other.id AS v FROM input", "name"},
    {"SELECT main.input.id AS v FROM input", "name"},
    {"SELECT age + 1 AS w, w * 2 AS v FROM input", "name"},
    {"SELECT secret AS v FROM input", "secret"},
    {"SELECT age + 1 FROM input", "without a name"},
    {"SELECT id AS v, age AS V FROM input", "twice"},
    {"SELECT id, ID FROM input", "twice"},
    {"SELECT date_part(sex, seen) AS v FROM input", "date_part"},
    {"SELECT date_part('epoch', seen) AS v FROM input", "date_part"},
    {"SELECT other_schema.abs(x) AS v FROM input", "schema"},
    {"SELECT main.read_text('/etc/passwd') AS v FROM input", "read_text"},
    {"SELECT age AS v FROM input; SELECT id FROM input", "statements"},
    {"SELECT age AS v FROM input; DROP TABLE input", "parse"},
    {"DELETE FROM input", "parse"},
    {"COPY input TO '/tmp/out.csv'", "parse"},
    {"ATTACH 'x.db'", "parse"},
    {"PRAGMA threads = 1", "parse"},
    {"SET threads = 1", "parse"},
    {"INSTALL httpfs", "parse"},
    {"CREATE MACRO abs(a) AS 42", "parse"},
    {"EXPLAIN SELECT id FROM input", "parse"},
    {"PIVOT input ON sex USING sum(x)", ""},
    {"DESCRIBE input", ""},
    {"SUMMARIZE input", ""},
    {"SHOW TABLES", ""},
    {"SELECT id FROM input WHERE", "parse"},
    {"", ""},
    {"SELECT id + 1 AS v FROM input", "DuckDB refuses"},
    {"SELECT abs(sex) AS v FROM input", "DuckDB refuses"},
    {"SELECT id FROM input WHERE least(age, sex) = 1", "DuckDB refuses"},
    {"SELECT 99999999999999999999999999 AS v FROM input", "too big integer"},
};

static void accepts_rows_of_one_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        struct select_plan plan;
        char why[512];
        enum err err = select_check(&plan, span_text(allowed[i]), &schema, NULL, why, sizeof why);
        if (err != OK) print_message("%s\n  %s: %s\n", allowed[i], err_name(err), why);
        assert_int_equal(err, OK);
        assert_true(plan.column_count > 0);
        select_plan_free(&plan);
    }
}

static bool refused(const struct hostile *h, const struct parameters *allowed_names)
{
    struct select_plan plan;
    char why[512];
    enum err err = select_check(&plan, span_text(h->sql), &schema, allowed_names, why, sizeof why);
    bool good =
        err == ERR_SQL && strstr(why, h->word) != NULL && strstr(why, "allowed") != NULL && plan.list == NULL;
    if (!good) print_message("%s\n  wanted '%s', got %s: %s\n", h->sql, h->word, err_name(err), why);
    select_plan_free(&plan);
    return good;
}

static void refuses_everything_else(void **state)
{
    (void)state;
    size_t count = sizeof hostile / sizeof *hostile, wrong = 0;
    assert_true(count >= 60);
    for (size_t i = 0; i < count; i++) wrong += refused(&hostile[i], NULL) ? 0 : 1;
    assert_int_equal(wrong, 0);
}

/* The exact text that runs. */
static void prints_qualified_and_guarded(void **state)
{
    (void)state;
    struct select_plan plan;
    char why[512];
    static const char sql[] =
        "SELECT id AS unit, CAST(sex AS INTEGER) + 0.5 AS \"v\" FROM input WHERE age > 3";
    assert_int_equal(select_check(&plan, SPAN_LITERAL(sql), &schema, NULL, why, sizeof why), OK);
    assert_string_equal(plan.list,
                        "TRY(\"input\".\"id\") AS c0, TRY((TRY_CAST(\"input\".\"sex\" AS INTEGER) + "
                        "CAST('0.5' AS DECIMAL(2,1)))) AS c1");
    assert_string_equal(plan.condition,
                        "TRY(TRY_CAST((\"input\".\"age\" > CAST('3' AS INTEGER)) AS BOOLEAN))");
    assert_int_equal(plan.column[0].source, 0);
    assert_int_equal(plan.column[1].source, -1);
    assert_int_equal(plan.column[0].type, DUCKDB_VARCHAR);
    assert_int_equal(select_plan_find(&plan, SPAN_LITERAL("V")), 1);
    assert_int_equal(select_plan_find(&plan, SPAN_LITERAL("w")), -1);
    select_plan_free(&plan);
}

/* LIKE by what it means, and never DuckDB's matcher. */
static void prints_like(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"id LIKE 'a''b%'", "prefix(\"input\".\"id\", 'a''b')"},
        {"id LIKE '%ab'", "suffix(\"input\".\"id\", 'ab')"},
        {"id LIKE '%ab%'", "contains(\"input\".\"id\", 'ab')"},
        {"id LIKE 'ab'", "\"input\".\"id\" = 'ab'"},
        {"id LIKE '%'", "suffix(\"input\".\"id\", '')"},
        {"id LIKE '%%'", "contains(\"input\".\"id\", '')"},
        {"id LIKE ''", "\"input\".\"id\" = ''"},
        {"id NOT LIKE 'a%'", "NOT prefix(\"input\".\"id\", 'a')"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct select_plan plan;
        char why[512], sql[256], expected[256];
        (void)snprintf(sql, sizeof sql, "SELECT id FROM input WHERE %s", cases[i][0]);
        (void)snprintf(expected, sizeof expected, "TRY(TRY_CAST((%s) AS BOOLEAN))", cases[i][1]);
        assert_int_equal(select_check(&plan, span_text(sql), &schema, NULL, why, sizeof why), OK);
        assert_string_equal(plan.condition, expected);
        select_plan_free(&plan);
    }
}

/* --- Parameters ----------------------------------------------------------------------------------------------------- */

static struct parameter declared[] = {
    {.name = SPAN_STATIC("n"), .type = PARAMETER_INTEGER, .lower = -JSON_INT_MAX, .upper = JSON_INT_MAX},
    {.name = SPAN_STATIC("t"),
     .type = PARAMETER_TEXT,
     .domain_count = 2,
     .domain = {SPAN_STATIC("a"), SPAN_STATIC("it's; DROP TABLE input --")}},
};
static const struct parameters parameters = {2, declared};

/* The text that runs is the same for every value; values stand in a table of one row, typed. */
static void prints_parameters_as_columns(void **state)
{
    (void)state;
    struct select_plan plan;
    struct parameter_choice c = {.of = &parameters};
    char why[512], text[512];
    struct buffer out = BUFFER_OF(text);
    static const char sql[] = "SELECT age + $n AS v, $n AS w FROM input WHERE sex = $t";
    assert_int_equal(select_check(&plan, SPAN_LITERAL(sql), &schema, &parameters, why, sizeof why), OK);
    assert_string_equal(plan.list,
                        "TRY((\"input\".\"age\" + \"chosen\".\"n\")) AS c0, TRY(\"chosen\".\"n\") AS c1");
    assert_string_equal(plan.condition, "TRY(TRY_CAST((\"input\".\"sex\" = \"chosen\".\"t\") AS BOOLEAN))");
    assert_int_equal(plan.column[0].type, DUCKDB_BIGINT);
    assert_int_equal(plan.column[1].source, -1); /* no column of the dataset: never a unit */
    select_plan_free(&plan);
    c.value[0].integer = -JSON_INT_MAX;
    c.value[1].text = declared[1].domain[1];
    select_put_chosen(&out, &parameters, &c);
    assert_true(span_equal_text(buffer_span(&out),
                                ", (SELECT CAST('-9007199254740992' AS BIGINT) AS \"n\", CAST('it''s; DROP "
                                "TABLE input --' AS VARCHAR) AS \"t\") AS \"chosen\""));
    out.len = 0;
    select_put_chosen(&out, NULL, NULL);
    assert_int_equal(out.len, 0);
}

static const char *const with_parameters[] = {
    "SELECT id, $n AS a, $t AS b, -$n AS c, age - $n AS e, x * $n AS f FROM input WHERE $n > 3",
    "SELECT age // $n AS a, least(age, $n) AS d, nullif($n, age) AS e FROM input "
    "WHERE age BETWEEN $n AND 9 OR age IN ($n, 3) OR CASE WHEN smoker THEN $n END = $n",
    "SELECT CAST(x AS DECIMAL(18,2)) * $n AS a, CAST($n AS DECIMAL(18,3)) AS c, round(x, CAST($n AS "
    "INTEGER)) AS d, "
    "CAST(x AS DECIMAL(9,4)) + CAST($n AS DECIMAL(9,1)) AS f FROM input",
    "SELECT $t || id AS a, concat($t, $n) AS b, left(id, $n) AS e, CAST($t AS DATE) AS g, coalesce($t, id) "
    "AS d, "
    "CASE WHEN smoker THEN $t ELSE sex END AS h FROM input",
    "SELECT starts_with(id, $t) AS a, $t LIKE 'a%' AS b, contains(id, $t) AS c, seen + CAST($n AS INTEGER) "
    "AS d FROM "
    "input WHERE sex IN ($t, 'f') OR seen >= CAST($t AS DATE)",
};

static void accepts_parameters(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof with_parameters / sizeof *with_parameters; i++) {
        struct select_plan plan;
        char why[512];
        if (select_check(&plan, span_text(with_parameters[i]), &schema, &parameters, why, sizeof why) != OK)
            fail_msg("%s: %s", with_parameters[i], why);
        select_plan_free(&plan);
    }
}

static const struct hostile parameters_misused[] = {
    {"SELECT $other AS v FROM input", "parameter $other"},
    {"SELECT $N AS v FROM input", "parameter $N"},
    {"SELECT $1 AS v FROM input", "parameter $1"},
    {"SELECT ? AS v FROM input", "parameter $1"},
    {"SELECT $n FROM input", "without a name"},
    {"SELECT n AS v FROM input", "name"},
    {"SELECT chosen.n AS v FROM input", "name"},
    {"SELECT $t.a AS v FROM input", "STRUCT_EXTRACT"},
    {"SELECT x AS v FROM input LIMIT $n", "LIMIT"},
    {"SELECT x AS v FROM input WHERE x = (SELECT $n)", "SUBQUERY"},
    {"SELECT date_part($t, seen) AS v FROM input", "date_part"},
    {"SELECT round(x, $n) AS v FROM input", "DuckDB refuses"}, /* places are an INTEGER */
    {"SELECT round(CAST(x AS DECIMAL(9,4)), CAST($n AS INTEGER)) AS v FROM input", "DuckDB refuses"},
    {"SELECT id FROM input, (SELECT 1) AS chosen", "JOIN"},
    {"SELECT id FROM input WHERE id LIKE $t", "LIKE with another pattern"},
    {"SELECT concat($t, $t, $t, $t, $t, $t, $t, $t, $t, $t, $t, $t, $t, $t, $t, $t, $t) || concat($t, $t, "
     "$t, $t, "
     "$t, $t, $t, $t, $t, $t) AS v FROM input",
     "copy columns"},
};

static void refuses_parameters_elsewhere(void **state)
{
    (void)state;
    uint32_t wrong = 0;
    for (size_t i = 0; i < sizeof parameters_misused / sizeof *parameters_misused; i++)
        wrong += refused(&parameters_misused[i], &parameters) ? 0 : 1;
    assert_int_equal(wrong, 0);
}

/* An output named like a column must not capture it. */
static void alias_cannot_stand_for_a_column(void **state)
{
    (void)state;
    struct select_plan plan;
    char why[512];
    assert_int_equal(select_check(&plan,
                                  SPAN_LITERAL("SELECT age AS id, id AS unit, id FROM input WHERE id = 'a'"),
                                  &schema, NULL, why, sizeof why),
                     ERR_SQL); /* id is an output twice */
    assert_int_equal(select_check(&plan, SPAN_LITERAL("SELECT age AS sex, sex AS unit FROM input"), &schema,
                                  NULL, why, sizeof why),
                     OK);
    assert_string_equal(plan.list, "TRY(\"input\".\"age\") AS c0, TRY(\"input\".\"sex\") AS c1");
    assert_int_equal(plan.column[1].source, 6);
    select_plan_free(&plan);
}

/* abs(abs(... x)) in static memory. */
static const char *nested(size_t depth)
{
    static uint8_t text[SQL_STATEMENT_BYTES_MAX];
    struct buffer sql = BUFFER_OF(text);
    buffer_put_text(&sql, "SELECT ");
    for (size_t i = 0; i < depth; i++) buffer_put_text(&sql, "abs(");
    buffer_put_text(&sql, "x");
    for (size_t i = 0; i < depth; i++) buffer_put_text(&sql, ")");
    buffer_put_text(&sql, " AS v FROM input");
    buffer_put_zero(&sql);
    assert_int_equal(buffer_done(&sql), OK);
    return (const char *)text;
}

static void bounds_depth_and_length(void **state)
{
    (void)state;
    struct select_plan plan;
    char why[512];
    const char *sql = nested(SQL_DEPTH_MAX - 1);
    assert_int_equal(select_check(&plan, span_text(sql), &schema, NULL, why, sizeof why), OK);
    select_plan_free(&plan);
    sql = nested(SQL_DEPTH_MAX);
    assert_int_equal(select_check(&plan, span_text(sql), &schema, NULL, why, sizeof why), ERR_SQL);
    sql = nested(1500); /* DuckDB's own limit is 1000 */
    assert_int_equal(select_check(&plan, span_text(sql), &schema, NULL, why, sizeof why), ERR_SQL);
    char *large = malloc(SQL_STATEMENT_BYTES_MAX + 1);
    memset(large, ' ', SQL_STATEMENT_BYTES_MAX + 1);
    assert_int_equal(
        select_check(&plan, span_make(large, SQL_STATEMENT_BYTES_MAX + 1), &schema, NULL, why, sizeof why),
        ERR_TOO_LARGE);
    free(large);
    assert_int_equal(
        select_check(&plan, SPAN_LITERAL("SELECT x\0 FROM input"), &schema, NULL, why, sizeof why), ERR_SQL);
    assert_int_equal(select_check(&plan, SPAN_LITERAL("SELECT '\xff\xfe' AS v FROM input"), &schema, NULL,
                                  why, sizeof why),
                     ERR_SQL);
}

/* In a process of its own, because the library is looked for once. */
static int without_library(void)
{
    pid_t child = fork();
    if (child == 0) {
        struct select_plan plan;
        char why[256] = "";
        (void)setenv("PERIGEE_DUCKDB", "/nonexistent/libduckdb.so", 1);
        enum err err =
            select_check(&plan, SPAN_LITERAL("SELECT x FROM input"), &schema, NULL, why, sizeof why);
        _exit(err == ERR_UNAVAILABLE && strstr(why, "/nonexistent/libduckdb.so") != NULL ? 0 : 1);
    }
    int status = -1;
    (void)waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void says_when_the_library_is_absent(void **state)
{
    assert_int_equal(*(int *)*state, 0);
}

int main(void)
{
    int status = without_library();
    const struct duckdb *api;
    char why[256];
    if (status == 0 && duckdb_load(&api, why, sizeof why) != OK) {
        print_message("SKIPPED: %s\n", why);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(says_when_the_library_is_absent, &status),
        cmocka_unit_test(accepts_rows_of_one_table),
        cmocka_unit_test(refuses_everything_else),
        cmocka_unit_test(prints_like),
        cmocka_unit_test(prints_qualified_and_guarded),
        cmocka_unit_test(prints_parameters_as_columns),
        cmocka_unit_test(accepts_parameters),
        cmocka_unit_test(refuses_parameters_elsewhere),
        cmocka_unit_test(alias_cannot_stand_for_a_column),
        cmocka_unit_test(bounds_depth_and_length),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
