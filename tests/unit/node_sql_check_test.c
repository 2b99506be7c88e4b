/* sql_check: what passes and with which outputs, what is printed for it, and a table of hostile SQL. */
#include "node/sql_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Two inputs; the second's name could be a file's. One has columns with names that DuckDB gives a meaning of its own. */
static struct schema patients, visits;
static struct sql_table tables[2];
static struct parameter choices[2];
static struct parameters parameters;

static int setup(void **state)
{
    (void)state;
    const struct column of_patients[] = {
        {SPAN_LITERAL("id"), COLUMN_TEXT},   {SPAN_LITERAL("age"), COLUMN_INTEGER},
        {SPAN_LITERAL("x"), COLUMN_DECIMAL}, {SPAN_LITERAL("smoker"), COLUMN_BOOLEAN},
        {SPAN_LITERAL("born"), COLUMN_DATE}, {SPAN_LITERAL("user"), COLUMN_TEXT},
        {SPAN_LITERAL("a.b"), COLUMN_TEXT}};
    const struct column of_visits[] = {{SPAN_LITERAL("id"), COLUMN_TEXT},
                                       {SPAN_LITERAL("seen"), COLUMN_DATE},
                                       {SPAN_LITERAL("value"), COLUMN_DECIMAL}};
    memcpy(patients.column, of_patients, sizeof of_patients);
    patients.column_count = sizeof of_patients / sizeof *of_patients;
    memcpy(visits.column, of_visits, sizeof of_visits);
    visits.column_count = sizeof of_visits / sizeof *of_visits;
    tables[0] = (struct sql_table){SPAN_LITERAL("patients"), &patients};
    tables[1] = (struct sql_table){SPAN_LITERAL("visits.csv"), &visits};
    choices[0] =
        (struct parameter){.name = SPAN_LITERAL("least"), .type = PARAMETER_INTEGER, .lower = 0, .upper = 90};
    choices[1] = (struct parameter){.name = SPAN_LITERAL("who"),
                                    .type = PARAMETER_TEXT,
                                    .domain_count = 1,
                                    .domain = {SPAN_LITERAL("o'x")}};
    parameters = (struct parameters){2, choices};
    return 0;
}

static enum err check(struct sql_plan *plan, const char *sql, char why[512])
{
    return sql_check(plan, span_text(sql), tables, 2, &parameters, why, 512);
}

/* A statement and its outputs, as "name TYPE, ...". */
static const struct allowed {
    const char *sql, *outputs;
} allowed[] = {
    {"SELECT id FROM patients", "id VARCHAR"},
    {"SELECT * FROM \"visits.csv\";", "id VARCHAR, seen DATE, value DOUBLE"},
    {"SELECT p.*, v.seen FROM patients p JOIN \"visits.csv\" v ON p.id = v.id AND v.value > 3",
     "id VARCHAR, age BIGINT, x DOUBLE, smoker BOOLEAN, born DATE, user VARCHAR, a.b VARCHAR, seen DATE"},
    {"SELECT id, count(*) AS n, avg(value) AS m FROM patients LEFT JOIN \"visits.csv\" USING (id) GROUP BY "
     "id "
     "HAVING count(*) > 1 ORDER BY n DESC NULLS FIRST, 1 LIMIT 10 OFFSET 2",
     "id VARCHAR, n BIGINT, m DOUBLE"},
    {"SELECT p.id FROM patients p RIGHT JOIN \"visits.csv\" v USING (id) FULL JOIN patients q ON q.id = v.id",
     "id VARCHAR"},
    {"SELECT id FROM patients SEMI JOIN \"visits.csv\" v USING (id)", "id VARCHAR"},
    {"SELECT id FROM patients ANTI JOIN \"visits.csv\" v USING (id)", "id VARCHAR"},
    {"SELECT p.id AS a, v.id AS b FROM patients p, \"visits.csv\" v CROSS JOIN patients q",
     "a VARCHAR, b VARCHAR"},
    {"WITH o AS (SELECT id, max(seen) AS last FROM \"visits.csv\" GROUP BY 1), "
     "w(id, last) AS (SELECT * FROM o WHERE last > DATE '2020-01-01') SELECT w.last FROM w JOIN o USING (id)",
     "last DATE"},
    {"SELECT id FROM patients UNION SELECT id FROM \"visits.csv\" EXCEPT ALL SELECT \"user\".id FROM "
     "patients AS "
     "\"user\" ORDER BY id LIMIT 3",
     "id VARCHAR"},
    {"(SELECT id FROM patients ORDER BY age LIMIT 1) INTERSECT (SELECT id FROM \"visits.csv\")",
     "id VARCHAR"},
    {"SELECT age FROM patients UNION ALL SELECT value FROM \"visits.csv\"", "age DOUBLE"},
    {"SELECT DISTINCT id FROM patients WHERE age > (SELECT avg(age) FROM patients) AND EXISTS (SELECT 1 FROM "
     "\"visits.csv\" v WHERE v.id = patients.id) AND id IN (SELECT id FROM \"visits.csv\") AND id NOT IN "
     "(SELECT id "
     "FROM \"visits.csv\") AND x > ALL (SELECT value FROM \"visits.csv\") AND x < ANY (SELECT value FROM "
     "\"visits.csv\")",
     "id VARCHAR"},
    {"SELECT p.id, l.v FROM patients p, (SELECT max(value) AS v FROM \"visits.csv\" v WHERE v.id = p.id) l",
     "id VARCHAR, v DOUBLE"},
    {"SELECT s.q FROM (SELECT id, age FROM patients) AS s(p, q)", "q BIGINT"},
    {"SELECT id, row_number() OVER (PARTITION BY id ORDER BY seen) AS r, lag(value, 2, 0) OVER w AS l, "
     "sum(value) FILTER (WHERE value > 1) OVER (ORDER BY seen ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS "
     "s, "
     "count(*) OVER () AS n, ntile(4) OVER w AS q, nth_value(value, 2) OVER (w) AS t FROM \"visits.csv\" "
     "WINDOW w AS "
     "(ORDER BY seen, id)",
     "id VARCHAR, r BIGINT, l DOUBLE, s DOUBLE, n BIGINT, q BIGINT, t DOUBLE"},
    {"SELECT id FROM \"visits.csv\" QUALIFY rank() OVER (PARTITION BY id ORDER BY value DESC) = 1",
     "id VARCHAR"},
    {"SELECT string_agg(id, ',' ORDER BY age DESC) AS s, count(DISTINCT id) AS n, quantile_cont(x, 0.25) AS "
     "q, "
     "median(x) AS m, mode(id) AS o, corr(x, age) AS c, stddev(x) AS d, sum(age) AS t, bool_or(smoker) AS b, "
     "arg_max(id, x) AS a, first(x ORDER BY born) AS f FROM patients",
     "s VARCHAR, n BIGINT, q DOUBLE, m DOUBLE, o VARCHAR, c DOUBLE, d DOUBLE, t HUGEINT, b BOOLEAN, a "
     "VARCHAR, f "
     "DOUBLE"},
    {"SELECT regexp_matches(id, '^a') AS a, regexp_replace(id, 'a', 'b', 'g') AS b, sqrt(x) AS c, "
     "date_diff('day', born, "
     "DATE '2020-01-01') AS d, split_part(id, '-', 1) AS e, replace(id, 'a', 'b') AS f, id LIKE 'a%' AS g, "
     "CAST(x AS DECIMAL(10, 2)) AS h, NULL AS i FROM patients",
     "a BOOLEAN, b VARCHAR, c DOUBLE, d BIGINT, e VARCHAR, f VARCHAR, g BOOLEAN, h DECIMAL, i INTEGER"},
    {"SELECT patients.user, \"a.b\" FROM patients", "user VARCHAR, a.b VARCHAR"},
    {"SELECT id FROM PATIENTS WHERE age >= $least OR id = $who", "id VARCHAR"},
    {"SELECT $least AS least, count(*) AS n FROM patients", "least BIGINT, n BIGINT"},
    /* Names that mean something to the printer mean nothing in a statement. */
    {"WITH w_1 AS (SELECT id FROM patients), in_1 AS (SELECT id FROM w_1) SELECT chosen.id FROM in_1 AS "
     "chosen "
     "WHERE $least = 3",
     "id VARCHAR"},
    {"SELECT id AS \"a \"\"quoted\"\" name\" FROM patients AS \"p\"\" --\"", "a \"quoted\" name VARCHAR"},
    {"TABLE patients",
     "id VARCHAR, age BIGINT, x DOUBLE, smoker BOOLEAN, born DATE, user VARCHAR, a.b VARCHAR"},
    {"SELECT id FROM patients WHERE id = (WITH q AS (SELECT id FROM patients) SELECT max(id) FROM q) AND 1 "
     "IN (WITH q AS "
     "(SELECT age FROM patients) SELECT age FROM q)",
     "id VARCHAR"},
};

/* What must be refused, and a word its reason must hold. */
static const struct hostile {
    const char *sql, *word;
} hostile[] = {
    {"SELECT * FROM read_csv('/etc/passwd')", "TABLE_FUNCTION"},
    {"SELECT * FROM read_text('/proc/self/environ')", "TABLE_FUNCTION"},
    {"SELECT * FROM glob('/proc/*')", "TABLE_FUNCTION"},
    {"SELECT * FROM duckdb_settings()", "TABLE_FUNCTION"},
    {"SELECT * FROM pragma_version()", "TABLE_FUNCTION"},
    {"SELECT * FROM range(1000000000)", "TABLE_FUNCTION"},
    {"SELECT p.id FROM patients p, generate_series(1, 1000000000)", "TABLE_FUNCTION"},
    {"SELECT * FROM query('SELECT 1')", "TABLE_FUNCTION"},
    {"SELECT * FROM query_table('patients')", "TABLE_FUNCTION"},
    {"SELECT u FROM patients, unnest([1, 2]) t(u)", "TABLE_FUNCTION"},
    {"SELECT * FROM 'file.csv'", "file.csv"},
    {"SELECT * FROM '/etc/passwd'", "/etc/passwd"},
    {"SELECT * FROM visits", "this run's inputs patients visits.csv"},
    {"SELECT * FROM in_0", "in_0"},
    {"SELECT * FROM table_0", "table_0"},
    {"SELECT * FROM chosen", "chosen"},
    {"SELECT * FROM w_0", "w_0"},
    {"SELECT * FROM sqlite_master", "sqlite_master"},
    {"SELECT * FROM duckdb_columns", "duckdb_columns"},
    {"SELECT * FROM information_schema.tables", "schema"},
    {"SELECT * FROM main.patients", "schema"},
    {"SELECT * FROM memory.main.patients", "schema"},
    {"SELECT * FROM system.main.patients", "schema"},
    {"SELECT main.patients.id FROM patients", "3 parts"},
    {"WITH RECURSIVE r AS (SELECT 1 AS n FROM patients UNION ALL SELECT n + 1 FROM r) SELECT n FROM r",
     "RECURSIVE"},
    {"WITH RECURSIVE r(n) USING KEY (n) AS (SELECT 1 FROM patients UNION SELECT n FROM r) SELECT n FROM r",
     "USING KEY"},
    {"WITH x AS (SELECT id FROM x) SELECT id FROM x", "table 'x'"},
    {"WITH a AS (SELECT id FROM b), b AS (SELECT id FROM patients) SELECT id FROM a", "table 'b'"},
    {"WITH patients AS (SELECT id FROM \"visits.csv\") SELECT id FROM patients", "distinct"},
    {"WITH a AS (SELECT id FROM patients), A AS (SELECT id FROM patients) SELECT id FROM a", ""},
    {"WITH a AS (SELECT id FROM patients) SELECT id FROM (WITH a AS (SELECT id FROM patients) SELECT id FROM "
     "a)",
     "distinct"},
    {"SELECT id FROM (WITH a AS (SELECT id FROM patients) SELECT id FROM a) JOIN a USING (id)", "table 'a'"},
    {"VALUES (1)", "allowed"},
    {"SELECT v FROM (VALUES (1)) t(v)", "allowed"},
    {"SELECT 1 AS v", "EMPTY"},
    {"SELECT id FROM patients TABLESAMPLE 10%", "SAMPLE"},
    {"SELECT id FROM patients USING SAMPLE 10", "SAMPLE"},
    {"SELECT id FROM (SELECT id FROM patients) TABLESAMPLE 10%", "SAMPLE"},
    {"SELECT id FROM patients AT (VERSION => 1)", "AT"},
    {"SELECT patients.id FROM patients POSITIONAL JOIN \"visits.csv\"", "POSITIONAL"},
    {"SELECT patients.id FROM patients ASOF JOIN \"visits.csv\" v ON patients.born >= v.seen", "ASOF"},
    {"SELECT patients.id FROM patients NATURAL JOIN \"visits.csv\"", "NATURAL"},
    {"PIVOT patients ON id USING sum(x)", ""},
    {"UNPIVOT patients ON age INTO NAME n VALUE v", ""},
    {"DESCRIBE patients", ""},
    {"SUMMARIZE patients", ""},
    {"SHOW TABLES", ""},
    {"SELECT id FROM patients UNION BY NAME SELECT id FROM patients", "UNION_BY_NAME"},
    {"SELECT DISTINCT ON (id) id FROM patients", "DISTINCT ON"},
    {"SELECT id FROM patients GROUP BY ALL", "GROUP BY ALL"},
    {"SELECT id, count(*) AS n FROM patients GROUP BY ROLLUP (id)", "ROLLUP"},
    {"SELECT id, count(*) AS n FROM patients GROUP BY GROUPING SETS ((id), ())", "ROLLUP"},
    {"SELECT count(*) AS n FROM patients GROUP BY ()", "GROUP BY ()"},
    {"SELECT id FROM patients ORDER BY ALL", "STAR"},
    {"SELECT id FROM patients ORDER BY 'id'", "constant"},
    {"SELECT id FROM patients ORDER BY 0", "constant"},
    {"SELECT id FROM patients ORDER BY 2", "DuckDB refuses"},
    {"SELECT id FROM patients ORDER BY 1.0", "constant"},
    {"SELECT id FROM patients LIMIT 10%", "modifier"},
    {"SELECT id FROM patients LIMIT 1.5", "LIMIT"},
    {"SELECT id FROM patients LIMIT 1 + 1", "LIMIT"},
    {"SELECT id FROM patients LIMIT (SELECT 1 FROM patients)", "LIMIT"},
    {"SELECT id FROM patients LIMIT $least", "LIMIT"},
    {"SELECT #1 AS v FROM patients", "POSITIONAL_REFERENCE"},
    {"SELECT COLUMNS('.*') FROM patients", "COLUMNS"},
    {"SELECT * EXCLUDE (id) FROM patients", "EXCLUDE"},
    {"SELECT * REPLACE (1 AS id) FROM patients", "REPLACE"},
    {"SELECT * RENAME (id AS v) FROM patients", "RENAME"},
    {"SELECT sum(COLUMNS(*)) AS v FROM patients", "STAR"},
    {"SELECT random() AS v FROM patients", "random"},
    {"SELECT uuid() AS v FROM patients", "uuid"},
    {"SELECT now() AS v FROM patients", "now"},
    {"SELECT today() AS v FROM patients", "today"},
    {"SELECT age(born) AS v FROM patients", "age"},
    {"SELECT current_date AS v FROM patients", "bare name"},
    {"SELECT \"CURRENT_TIMESTAMP\" AS v FROM patients", "bare name"},
    {"SELECT localtime AS v FROM patients", "bare name"},
    {"SELECT user FROM patients", "bare name"},
    {"SELECT id FROM patients ORDER BY current_time", "bare name"},
    {"SELECT id FROM patients WHERE born < (SELECT max(current_date) FROM \"visits.csv\")", "bare name"},
    {"SELECT nextval('s') AS v FROM patients", "nextval"},
    {"SELECT current_setting('threads') AS v FROM patients", "current_setting"},
    {"SELECT getenv('HOME') AS v FROM patients", "getenv"},
    {"SELECT getvariable('a') AS v FROM patients", "getvariable"},
    {"SELECT version() AS v FROM patients", "version"},
    {"SELECT error('x') AS v FROM patients", "error"},
    {"SELECT read_text('/etc/passwd') AS v FROM patients", "read_text"},
    {"SELECT json_execute_serialized_sql('x') AS v FROM patients", "json_execute"},
    {"SELECT pow(x, 2) AS v FROM patients", "pow"},
    {"SELECT ln(x) AS v FROM patients", "ln"},
    {"SELECT kurtosis(x) AS v FROM patients", "kurtosis"},
    {"SELECT approx_count_distinct(x) AS v FROM patients", "approx_count_distinct"},
    {"SELECT reservoir_quantile(x, 0.5) AS v FROM patients", "reservoir_quantile"},
    {"SELECT list(x) AS v FROM patients", "list"},
    {"SELECT histogram(x) AS v FROM patients", "histogram"},
    {"SELECT repeat(id, 1000000000) AS v FROM patients", "repeat"},
    {"SELECT [x, 1] AS v FROM patients", "list_value"},
    {"SELECT {'a': x} AS v FROM patients", "struct_pack"},
    {"SELECT ARRAY(SELECT x FROM patients) AS v FROM patients", "allowed"},
    {"SELECT list_transform([1], lambda q: q + 1) AS v FROM patients", "list_transform"},
    {"SELECT hash(id) AS v FROM patients", "hash"},
    {"SELECT pg_catalog.abs(x) AS v FROM patients", "schema"},
    {"SELECT memory.main.sum(x) AS v FROM patients", "catalog"},
    {"SELECT mode() WITHIN GROUP (ORDER BY x) AS v FROM patients", "ORDER BY"},
    {"SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x) AS v FROM patients", "ORDER BY"},
    {"SELECT abs(DISTINCT x) AS v FROM patients", "DISTINCT"},
    {"SELECT sqrt(x) FILTER (WHERE smoker) AS v FROM patients", "FILTER"},
    {"SELECT sqrt(x) OVER () AS v FROM patients", "window function sqrt"},
    {"SELECT random() OVER () AS v FROM patients", "window function random"},
    {"SELECT first_value(x IGNORE NULLS) OVER (ORDER BY born) AS v FROM patients", "IGNORE NULLS"},
    {"SELECT count(DISTINCT x) OVER () AS v FROM patients", "DISTINCT"},
    {"SELECT sum(x ORDER BY born) OVER () AS v FROM patients", "ORDER BY"},
    {"SELECT sum(x) OVER (ORDER BY born GROUPS 1 PRECEDING) AS v FROM patients", "GROUPS"},
    {"SELECT sum(x) OVER (ORDER BY born ROWS UNBOUNDED PRECEDING EXCLUDE TIES) AS v FROM patients",
     "EXCLUDE"},
    {"SELECT CAST(id AS INTEGER[]) AS v FROM patients", "type"},
    {"SELECT CAST(id AS TIMESTAMP) AS v FROM patients", "type"},
    {"SELECT id COLLATE nocase AS v FROM patients", "COLLATE"},
    {"SELECT id FROM patients WHERE id ILIKE 'a%'", "ILIKE"},
    {"SELECT born + INTERVAL 3 DAY AS v FROM patients", "to_days"},
    {"SELECT patients AS v FROM patients", "another type"},
    {"SELECT max(patients) AS v FROM patients", "another type"},
    {"SELECT rowid AS v FROM patients", "DuckDB refuses"},
    {"SELECT filename AS v FROM patients", "DuckDB refuses"},
    {"SELECT $1 AS v FROM patients", "parameter"},
    {"SELECT ? AS v FROM patients", "parameter"},
    {"SELECT $other AS v FROM patients", "parameter $other"},
    {"SELECT count(*) FROM patients", "without a name"},
    {"SELECT age + 1 FROM patients UNION SELECT age AS v FROM patients", "without a name"},
    {"SELECT p.*, v.id FROM patients p JOIN \"visits.csv\" v USING (id)", "twice"},
    {"SELECT id AS v, age AS V FROM patients", "twice"},
    {"SELECT id AS \"a\x01\" FROM patients", "output name"},
    {"SELECT id FROM patients; SELECT id FROM patients", "statements"},
    {"SELECT id FROM patients; DROP TABLE patients", "parse"},
    {"", "0 bytes"},
    {"COPY patients TO '/tmp/out.csv'", "parse"},
    {"COPY (SELECT id FROM patients) TO '/tmp/out.csv'", "parse"},
    {"ATTACH 'x.db'", "parse"},
    {"PRAGMA threads = 1", "parse"},
    {"SET threads = 1", "parse"},
    {"SET VARIABLE a = 1", "parse"},
    {"CALL pragma_version()", "parse"},
    {"INSTALL httpfs", "parse"},
    {"CREATE TABLE t AS SELECT id FROM patients", "parse"},
    {"CREATE MACRO abs(a) AS 42", "parse"},
    {"DELETE FROM patients", "parse"},
    {"EXPLAIN SELECT id FROM patients", "parse"},
    {"EXPORT DATABASE '/tmp/x'", "parse"},
    {"SELECT id FROM patients WHERE nope", "DuckDB refuses"},
    {"SELECT id FROM patients GROUP BY age", "DuckDB refuses"},
};

static void put_outputs(char text[1024], const struct sql_plan *plan)
{
    size_t len = 0;
    text[0] = 0;
    for (uint32_t i = 0; i < plan->column_count; i++)
        len += (size_t)snprintf(text + len, 1024 - len, "%s%s %s", i > 0 ? ", " : "", plan->column[i].name,
                                plan->column[i].type);
}

static void accepts_queries_over_the_inputs(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        struct sql_plan plan;
        char why[512], outputs[1024];
        enum err err = check(&plan, allowed[i].sql, why);
        if (err != OK) print_message("%s\n  %s: %s\n", allowed[i].sql, err_name(err), why);
        assert_int_equal(err, OK);
        put_outputs(outputs, &plan);
        assert_string_equal(outputs, allowed[i].outputs);
        sql_plan_free(&plan);
    }
}

static bool refused(const struct hostile *h)
{
    struct sql_plan plan;
    char why[512];
    enum err err = check(&plan, h->sql, why);
    bool good =
        err == ERR_SQL && strstr(why, h->word) != NULL && strstr(why, "allowed") != NULL && plan.text == NULL;
    if (!good) print_message("%s\n  wanted '%s', got %s: %s\n", h->sql, h->word, err_name(err), why);
    sql_plan_free(&plan);
    return good;
}

static void refuses_everything_else(void **state)
{
    (void)state;
    size_t wrong = 0;
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) wrong += refused(&hostile[i]) ? 0 : 1;
    assert_int_equal(wrong, 0);
}

/* The exact text that runs, and that it is run with its outputs as text. */
static void prints_what_it_understood(void **state)
{
    (void)state;
    struct sql_plan plan;
    char why[512];
    uint8_t room[4096];
    struct buffer query = BUFFER_OF(room);
    assert_int_equal(
        check(&plan,
              "WITH o AS (SELECT id FROM \"visits.csv\" WHERE value::INTEGER > $least) SELECT p.id, "
              "count(*) n FROM patients p JOIN o USING (id) GROUP BY 1 ORDER BY n DESC LIMIT 3",
              why),
        OK);
    assert_string_equal(
        plan.text,
        "WITH w_0 AS (SELECT \"id\" FROM in_1 AS \"visits.csv\" WHERE (TRY_CAST(\"value\" AS INTEGER) > "
        "(SELECT \"chosen\".\"least\" FROM \"chosen\"))) SELECT \"p\".\"id\", count(*) AS \"n\" FROM "
        "(in_0 AS \"p\" JOIN w_0 AS \"o\" USING (\"id\")) GROUP BY 1 ORDER BY \"n\" DESC LIMIT 3");
    sql_plan_put(&query, &plan);
    assert_int_equal(buffer_done(&query), OK);
    assert_memory_equal(room, "SELECT CAST(c0 AS VARCHAR), CAST(c1 AS VARCHAR) FROM (WITH w_0", 62);
    assert_non_null(strstr((const char *)room, "DESC LIMIT 3) AS outputs(c0, c1)"));
    sql_plan_free(&plan);
}

/* A run may have fewer inputs than its workflow: what is not there cannot be named. */
static void names_only_what_the_run_reads(void **state)
{
    (void)state;
    struct sql_plan plan;
    char why[512];
    static const char sql[] = "SELECT v.id FROM patients JOIN \"visits.csv\" v USING (id)";
    assert_int_equal(sql_check(&plan, SPAN_LITERAL(sql), tables, 1, NULL, why, sizeof why), ERR_SQL);
    assert_non_null(strstr(
        why, "found the table 'visits.csv'; allowed: what WITH names, and this run's inputs patients"));
    assert_int_equal(sql_check(&plan, SPAN_LITERAL("SELECT id FROM patients WHERE age > $least"), tables, 1,
                               NULL, why, sizeof why),
                     ERR_SQL);
}

static bool prepares(struct duckdb_session *s, const char *sql)
{
    duckdb_statement statement = NULL;
    bool ok = s->api->prepare(s->connection, sql, &statement) == DUCKDB_SUCCESS;
    s->api->destroy_prepare(&statement);
    return ok;
}

/* Is a bare name that DuckDB takes for a call, which is no column here, refused? */
static bool call_is_refused(struct duckdb_session *s, struct span name)
{
    struct sql_plan plan;
    char why[512], sql[300];
    (void)snprintf(sql, sizeof sql, "SELECT \"%.*s\" AS v FROM nothing", (int)name.len,
                   (const char *)name.data);
    if (!prepares(s, sql)) return true;
    (void)snprintf(sql, sizeof sql, "SELECT \"%.*s\" AS v FROM \"visits.csv\"", (int)name.len,
                   (const char *)name.data);
    enum err err = check(&plan, sql, why);
    sql_plan_free(&plan);
    return err == ERR_SQL && strstr(why, "bare name") != NULL;
}

/* No function of this release can be called by its bare name, nor any of the standard's that are not listed as functions. */
static void bare_names_call_nothing(void **state)
{
    (void)state;
    static const char *const standard[] = {"current_time", "current_timestamp", "localtime", "localtimestamp",
                                           "user"};
    struct duckdb_session s;
    struct duckdb_result result = {0};
    char why[512];
    uint32_t count = 0;
    assert_int_equal(duckdb_session_open(&s, 1, UINT64_C(256) << 20, why, sizeof why), OK);
    assert_int_equal(duckdb_session_run(&s, "CREATE TABLE nothing(none INTEGER)", why, sizeof why), OK);
    assert_int_equal(
        s.api->query(s.connection, "SELECT DISTINCT function_name FROM duckdb_functions()", &result),
        DUCKDB_SUCCESS);
    for (duckdb_chunk chunk; (chunk = s.api->fetch_chunk(result)) != NULL;) {
        const union duckdb_string *cell = s.api->vector_get_data(s.api->data_chunk_get_vector(chunk, 0));
        for (uint64_t i = 0; i < s.api->data_chunk_get_size(chunk); i++, count++)
            assert_true(call_is_refused(&s, duckdb_string_span(&cell[i])));
        s.api->destroy_data_chunk(&chunk);
    }
    assert_true(count > 500);
    for (size_t i = 0; i < sizeof standard / sizeof *standard; i++)
        assert_true(call_is_refused(&s, span_text(standard[i])));
    s.api->destroy_result(&result);
    duckdb_session_close(&s);
}

/* `before` as often as there is room, `middle`, `after` as often. */
static const char *nested(const char *before, const char *middle, const char *after)
{
    static uint8_t room[SQL_STATEMENT_BYTES_MAX + 1];
    struct buffer text = BUFFER_OF(room);
    size_t depth = (SQL_STATEMENT_BYTES_MAX - strlen(middle)) / (strlen(before) + strlen(after));
    for (size_t i = 0; i < depth; i++) buffer_put_text(&text, before);
    buffer_put_text(&text, middle);
    for (size_t i = 0; i < depth; i++) buffer_put_text(&text, after);
    buffer_put_zero(&text);
    assert_int_equal(buffer_done(&text), OK);
    return (const char *)room;
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    struct sql_plan plan;
    char why[512];
    static const char *const nests[][3] = {
        {"SELECT id FROM (", "SELECT id FROM patients", ")"},
        {"(", "SELECT id FROM patients", ")"},
        {"SELECT id FROM patients WHERE id IN (", "SELECT id FROM patients", ")"},
        {"SELECT id FROM patients EXCEPT ", "SELECT id FROM patients", ""},
        {"WITH a AS (", "SELECT id FROM patients", ") SELECT id FROM a"},
        {"", "SELECT id FROM patients", " JOIN patients USING (id)"},
        {"", "SELECT id FROM patients", ", patients"},
        {"SELECT (", "SELECT max(id) FROM patients", ") AS v FROM patients"},
    };
    for (size_t i = 0; i < sizeof nests / sizeof *nests; i++) {
        const char *sql = nested(nests[i][0], nests[i][1], nests[i][2]);
        enum err err = check(&plan, sql, why);
        if ((err == OK) != (i == 1)) print_message("%.60s: %s\n", sql, err_name(err));
        assert_int_equal(err, i == 1 ? OK : ERR_SQL); /* parentheses alone are no nesting to DuckDB */
        sql_plan_free(&plan);
    }
    char *large = malloc(1 << 20);
    memset(large, '(', 1 << 20);
    assert_int_equal(sql_check(&plan, span_make(large, 1 << 20), tables, 2, NULL, why, sizeof why),
                     ERR_TOO_LARGE);
    free(large);
    assert_int_equal(
        sql_check(&plan, SPAN_LITERAL("SELECT id\0 FROM patients"), tables, 2, NULL, why, sizeof why),
        ERR_SQL);
}

/* Chains of WITH that would multiply if they were copied into each other are bound in no time and never run here. */
static void binding_runs_nothing(void **state)
{
    (void)state;
    struct sql_plan plan;
    char why[512], sql[SQL_STATEMENT_BYTES_MAX];
    size_t len = (size_t)snprintf(
        sql, sizeof sql,
        "WITH c0 AS (SELECT count(*) AS n FROM patients UNION ALL SELECT count(*) FROM patients)");
    for (int i = 1; i < 30; i++)
        len += (size_t)snprintf(sql + len, sizeof sql - len, ", c%d AS (SELECT a.n FROM c%d a, c%d b)", i,
                                i - 1, i - 1);
    (void)snprintf(sql + len, sizeof sql - len, " SELECT count(*) AS n FROM c29"); /* of 2^(2^29) rows */
    assert_int_equal(check(&plan, sql, why), OK);
    sql_plan_free(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_queries_over_the_inputs),
        cmocka_unit_test(refuses_everything_else),
        cmocka_unit_test(prints_what_it_understood),
        cmocka_unit_test(names_only_what_the_run_reads),
        cmocka_unit_test(bare_names_call_nothing),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(binding_runs_nothing),
    };
    const struct duckdb *api;
    char why[512];
    if (duckdb_load(&api, why, sizeof why) != OK) {
        print_message("SKIPPED: %s\n", why);
        return 77;
    }
    return cmocka_run_group_tests(tests, setup, NULL);
}
