/* tables: what a locked database refuses, what rows and grid values come out, and failures that say nothing. */
#include "node/grid.h"
#include "node/sql_check.h"
#include "node/tables.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MEMORY (UINT64_C(256) << 20)

static char why[1024];

static int file_of(const char *text)
{
    int fd = memfd_create("rows", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    return fd;
}

static void add_column(struct schema *schema, const char *name, enum column_type type)
{
    schema->column[schema->column_count].name = span_text(name);
    schema->column[schema->column_count++].type = type;
}

static const struct schema *people(void)
{
    static struct schema schema;
    schema.column_count = 0;
    add_column(&schema, "id", COLUMN_TEXT);
    add_column(&schema, "sex", COLUMN_TEXT);
    add_column(&schema, "age", COLUMN_INTEGER);
    add_column(&schema, "x", COLUMN_DECIMAL);
    add_column(&schema, "smoker", COLUMN_BOOLEAN);
    add_column(&schema, "seen", COLUMN_DATE);
    return &schema;
}

static struct tables_source csv_source(int fd, const struct schema *schema)
{
    return (struct tables_source){fd, TABLES_CSV, true, ',', SPAN_LITERAL("?"), schema};
}

static struct tables *locked(const struct tables_source *sources, uint32_t count)
{
    struct tables *t;
    assert_int_equal(tables_open(&t, 2, MEMORY, why, sizeof why), OK);
    for (uint32_t i = 0; i < count; i++) assert_int_equal(tables_add(t, &sources[i]), OK);
    enum err err = tables_lock(t, why, sizeof why);
    if (err != OK) print_message("%s\n", why);
    assert_int_equal(err, OK);
    return t;
}

static const char people_csv[] = "id,sex,age,x,smoker,seen\r\n"
                                 "ann,f,63,0.145,true,2020-01-02\r\n"
                                 "bob,m,?,-2.5,false,\r\n"
                                 "cid,?,7,1e30,?,2021-02-28\r\n"
                                 "\"d,\"\"e\",f,12,nan,true,2021-02-28\r\n"
                                 "?,f,1,1,true,2021-02-28\r\n";

/* --- The lock ------------------------------------------------------------------------------------------------------- */

static void locked_session_refuses(void **state)
{
    (void)state;
    struct duckdb_session s;
    char path[64], sql[256];
    int fd = file_of("a\n1\n"), other = file_of("secret\n");
    (void)snprintf(path, sizeof path, "'/proc/self/fd/%d'", fd);
    assert_int_equal(duckdb_session_open(&s, 2, MEMORY, why, sizeof why), OK);
    assert_int_equal(duckdb_session_lock(&s, path, why, sizeof why), OK);
    (void)snprintf(sql, sizeof sql, "SELECT * FROM read_csv(%s)", path);
    assert_int_equal(duckdb_session_run(&s, sql, why, sizeof why), OK); /* the lock is not just a wall */
    (void)snprintf(sql, sizeof sql, "SELECT * FROM read_text('/proc/self/fd/%d')", other);
    assert_int_equal(duckdb_session_run(&s, sql, why, sizeof why), ERR_SQL);
    static const char *const refused[] = {
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_blob('/proc/self/environ')",
        "SELECT * FROM read_text('/proc/self/fd/../environ')",
        "SELECT * FROM read_parquet('/proc/self/fd/../../../etc/passwd')",
        "SELECT * FROM read_json('/etc/passwd')",
        "SELECT * FROM glob('/proc/*')",
        "SELECT * FROM glob('/proc/self/fd/*')",
        "SELECT * FROM read_csv('/proc/self/fd/*')",
        "SELECT * FROM read_csv('https://example.org/x.csv')",
        "SELECT * FROM read_parquet('s3://bucket/x')",
        "SELECT * FROM sniff_csv('/etc/passwd')",
        "ATTACH '/tmp/perigee-tables-test.db'",
        "COPY (SELECT 1) TO '/tmp/perigee-tables-test.csv'",
        "COPY (SELECT 1) TO '/dev/stdout'",
        "EXPORT DATABASE '/tmp/perigee-tables-test'",
        "IMPORT DATABASE '/tmp/perigee-tables-test'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "LOAD '/tmp/x.duckdb_extension'",
        "PRAGMA threads = 1",
        "PRAGMA memory_limit = '1GB'",
        "SET threads = 1",
        "SET temp_directory = '/tmp'",
        "SET enable_external_access = true",
        "SET allowed_paths = ['/etc/passwd']",
        "SET allowed_directories = ['/']",
        "SET lock_configuration = false",
        "RESET lock_configuration",
        "SET disabled_optimizers = ''",
        "SET autoload_known_extensions = true",
        "SET log_query_path = '/tmp/perigee-tables-test.log'",
        "SET profiling_output = '/tmp/perigee-tables-test.json'",
        "CREATE SECRET s (TYPE s3)",
        "CREATE PERSISTENT SECRET s (TYPE http)",
        "SELECT getenv('HOME')",
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        enum err err = duckdb_session_run(&s, refused[i], why, sizeof why);
        if (err != ERR_SQL) print_message("%s passed\n", refused[i]);
        assert_int_equal(err, ERR_SQL);
    }
    assert_int_not_equal(access("/tmp/perigee-tables-test.db", F_OK), 0);
    assert_int_not_equal(access("/tmp/perigee-tables-test.csv", F_OK), 0);
    duckdb_session_close(&s);
    (void)close(fd);
    (void)close(other);
}

/* Sorting more than fits must fail, not spill. */
static void does_not_spill(void **state)
{
    (void)state;
    struct duckdb_session s;
    assert_int_equal(duckdb_session_open(&s, 1, UINT64_C(24) << 20, why, sizeof why), OK);
    assert_int_equal(duckdb_session_lock(&s, "", why, sizeof why), OK);
    assert_int_equal(
        duckdb_session_run(&s,
                           "SELECT * FROM (SELECT i::VARCHAR || 'padding padding padding' AS t, i FROM "
                           "range(4000000) r(i)) ORDER BY t DESC, i",
                           why, sizeof why),
        ERR_SQL);
    duckdb_session_close(&s);
    assert_int_not_equal(access(".tmp", F_OK), 0);
}

/* --- Checking a file ------------------------------------------------------------------------------------------------ */

static enum err check_csv(const char *text, uint64_t *row_count)
{
    int fd = file_of(text);
    struct tables_source source = csv_source(fd, people());
    struct tables *t = locked(&source, 1);
    enum err err = tables_check(t, 0, row_count, why, sizeof why);
    tables_close(t);
    (void)close(fd);
    return err;
}

static void checks_the_schema(void **state)
{
    (void)state;
    uint64_t rows = 0;
    assert_int_equal(check_csv(people_csv, &rows), OK);
    assert_int_equal(rows, 5);
    assert_int_equal(check_csv("id,sex,age,x,smoker,seen\na,f,old,1,true,2020-01-02\n", &rows), ERR_SQL);
    assert_non_null(strstr(why, "old")); /* the owner sees what is wrong */
    assert_int_equal(check_csv("id,sex,age,x,smoker,seen\na,f,1,1,true\n", &rows), ERR_SQL);
    assert_int_equal(check_csv("id,sex,age,x,smoker,seen\na,f,1,1,true,2020-13-02\n", &rows), ERR_SQL);
    assert_int_equal(check_csv("id,sex,age,x,smoker,seen\na,f,1,1,true,2020-12-02,7\n", &rows), ERR_SQL);
    assert_int_equal(check_csv("id,sex,age,x,smoker,seen\n", &rows), OK);
    assert_int_equal(rows, 0);
}

/* What a SELECT may copy of a row is bounded because its texts are. */
static void bounds_texts(void **state)
{
    (void)state;
    static char csv[TABLES_TEXT_BYTES_MAX + 128];
    uint64_t rows = 0;
    for (int more = 0; more < 2; more++) {
        int head = snprintf(csv, sizeof csv, "id,sex,age,x,smoker,seen\n?,f,1,1,true,2020-01-02\n");
        memset(csv + head, 'x', TABLES_TEXT_BYTES_MAX + (size_t)more);
        (void)snprintf(csv + head + TABLES_TEXT_BYTES_MAX + more, 64, ",f,1,1,true,2020-01-02\n");
        assert_int_equal(check_csv(csv, &rows), more == 0 ? OK : ERR_SQL);
    }
    assert_non_null(strstr(why, "found one of 4097"));
}

/* A table without texts has no longest one. */
static void counts_rows_without_texts(void **state)
{
    (void)state;
    static struct schema numbers;
    uint64_t rows = 0;
    numbers.column_count = 0;
    add_column(&numbers, "age", COLUMN_INTEGER);
    int fd = file_of("age\n1\n?\n3\n");
    const struct tables_source source = csv_source(fd, &numbers);
    struct tables *t = locked(&source, 1);
    assert_int_equal(tables_check(t, 0, &rows, why, sizeof why), OK);
    assert_int_equal(rows, 3);
    tables_close(t);
    (void)close(fd);
}

static void refuses_bad_sources(void **state)
{
    (void)state;
    struct tables *t;
    assert_int_equal(tables_open(&t, 1, MEMORY, why, sizeof why), OK);
    struct tables_source source = csv_source(-1, people());
    assert_int_equal(tables_add(t, &source), ERR_RANGE);
    source = csv_source(0, people());
    source.delimiter = '\n';
    assert_int_equal(tables_add(t, &source), ERR_RANGE);
    source.delimiter = '\'';
    assert_int_equal(tables_add(t, &source), ERR_RANGE);
    source = csv_source(0, people());
    for (int i = 0; i < CAP_INPUTS; i++) assert_int_equal(tables_add(t, &source), OK);
    assert_int_equal(tables_add(t, &source), ERR_FULL);
    tables_close(t);
}

/* --- Rows ----------------------------------------------------------------------------------------------------------- */

static struct step step_of(const char *select)
{
    struct step step = {
        .select = span_text(select), .group_count = 1, .statistic_count = 2, .rows_per_unit = 1};
    step.group[0] = (struct group_column){SPAN_LITERAL("g"), 2, {SPAN_LITERAL("f"), SPAN_LITERAL("m")}};
    step.cell_count = 2;
    step.statistic[0] =
        (struct statistic){.name = SPAN_LITERAL("n"), .kind = STATISTIC_COUNT, .column = SPAN_LITERAL("v")};
    step.statistic[1] = (struct statistic){.name = SPAN_LITERAL("s"),
                                           .kind = STATISTIC_SUM,
                                           .column = SPAN_LITERAL("v"),
                                           .places = 2,
                                           .lower = 0,
                                           .upper = 900};
    return step;
}

static enum err make(struct tables_select *select, const struct step *step, const char *unit)
{
    return tables_select_make(select, step, span_text(unit), people(), NULL, why, sizeof why);
}

/* What a scan gives of a few rows, in the order it came. */
enum { SEEN_MAX = 16 };

struct seen {
    struct tables_unit unit;
    uint32_t cell;
    int64_t value;
    uint32_t valid;
};

struct seen_rows {
    pthread_mutex_t lock;
    uint32_t count;
    struct seen row[SEEN_MAX];
};

static enum err see(void *context, const struct tables_chunk *chunk)
{
    struct seen_rows *rows = context;
    (void)pthread_mutex_lock(&rows->lock);
    for (uint32_t i = 0; i < chunk->row_count && rows->count < SEEN_MAX; i++) {
        struct seen *now = &rows->row[rows->count++];
        if (chunk->unit != NULL) now->unit = chunk->unit[i];
        now->cell = chunk->cell[i];
        now->value = duckdb_valid(chunk->valid[1], i) ? chunk->value[1][i] : 0;
        now->valid =
            (duckdb_valid(chunk->valid[1], i) ? 1u : 0) + (duckdb_valid(chunk->valid[0], i) ? 2u : 0);
    }
    (void)pthread_mutex_unlock(&rows->lock);
    return chunk->lane < 4 ? OK : ERR_CONFLICT;
}

static enum err see_rows(struct seen_rows *rows, struct tables *t, uint32_t input,
                         const struct tables_select *select, uint64_t *row_count)
{
    const struct tables_scan scan = {
        .input = input, .select = select, .rows_most = UINT64_MAX, .take = see, .context = rows};
    return tables_scan(t, row_count, &scan);
}

static void gives_units_cells_and_values(void **state)
{
    (void)state;
    int fd = file_of(people_csv);
    struct tables_source source = csv_source(fd, people());
    struct tables *t = locked(&source, 1);
    struct step step = step_of("SELECT id AS u, sex AS g, x AS v FROM input");
    struct tables_select select;
    struct seen_rows rows = {.lock = PTHREAD_MUTEX_INITIALIZER};
    uint64_t row_count;
    assert_int_equal(make(&select, &step, "u"), OK);
    assert_int_equal(select.unit_source, 0);
    assert_int_equal(see_rows(&rows, t, 0, &select, &row_count), OK);
    assert_int_equal(row_count, 5);
    assert_int_equal(rows.count, 5);
    static const uint32_t cells[] = {0, 1, TABLES_NO_CELL, 0,
                                     TABLES_NO_CELL}; /* cid has no sex, the last no unit */
    static const int64_t values[] = {15, -250, GRID_LIMIT, 0, 100};
    static const uint32_t valid[] = {3, 3, 3, 0, 3};
    for (int i = 0; i < 5; i++) {
        assert_int_equal(rows.row[i].cell, cells[i]);
        assert_int_equal(rows.row[i].value, values[i]);
        assert_int_equal(rows.row[i].valid, valid[i]);
    }
    static const uint8_t ann[16] = {0x49, 0x91, 0x5e, 0x0d, 0x7d, 0x4b, 0x40, 0x2e, 0x30,
                                    0x17, 0xd0, 0x10, 0xbc, 0x1c, 0x0e, 0x83}; /* printf ann | sha256sum */
    assert_memory_equal(rows.row[0].unit.bytes, ann, 16);
    assert_memory_not_equal(rows.row[0].unit.bytes, rows.row[1].unit.bytes, 16);
    tables_select_free(&select);
    tables_close(t);
    (void)close(fd);
}

static void names_what_an_output_lacks(void **state)
{
    (void)state;
    static const struct {
        const char *sql, *unit, *word;
    } cases[] = {
        {"SELECT id AS u, sex AS h, x AS v FROM input", "u", "group column 'g'"},
        {"SELECT id AS u, sex AS g, x AS w FROM input", "u", "statistic column 'v'"},
        {"SELECT sex AS g, x AS v FROM input", "u", "unit column 'u'"},
        {"SELECT id || sex AS u, sex AS g, x AS v FROM input", "u", "unit column 'u'"},
        {"SELECT id AS u, sex AS g, sex AS v FROM input", "u", "number"},
        {"SELECT id AS u, sex AS g, seen AS v FROM input", "u", "number"},
        {"SELECT id AS u, sex AS g, sum(x) AS v FROM input", "u", "sum"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct step step = step_of(cases[i].sql);
        struct tables_select select;
        assert_int_equal(make(&select, &step, cases[i].unit), ERR_SQL);
        if (strstr(why, cases[i].word) == NULL) print_message("%s: %s\n", cases[i].sql, why);
        assert_non_null(strstr(why, cases[i].word));
    }
}

/* The one value of statistic 1 on row 0 of a one-row table. */
static bool value_of(const char *expression, uint32_t places, int64_t *value)
{
    static const char text[] = "id,sex,age,x,smoker,seen\nann,f,9223372036854775807,1e308,true,2020-01-02\n";
    char sql[512];
    (void)snprintf(sql, sizeof sql, "SELECT 'f' AS g, %s AS v FROM input", expression);
    int fd = file_of(text);
    struct tables_source source = csv_source(fd, people());
    struct tables *t = locked(&source, 1);
    struct step step = step_of(sql);
    step.statistic[1].places = places;
    struct tables_select select;
    struct seen_rows rows = {.lock = PTHREAD_MUTEX_INITIALIZER};
    uint64_t row_count;
    enum err err = make(&select, &step, "");
    if (err != OK) print_message("%s: %s\n", expression, why);
    assert_int_equal(err, OK);
    assert_int_equal(see_rows(&rows, t, 0, &select, &row_count), OK);
    assert_int_equal(rows.count, 1);
    assert_int_equal(rows.row[0].cell, 0);
    *value = rows.row[0].value;
    tables_select_free(&select);
    tables_close(t);
    (void)close(fd);
    return (rows.row[0].valid & 1) != 0;
}

/* Whatever a row does to an expression, the query goes on. */
static void no_expression_fails(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        bool valid;
        int64_t value;
    } cases[] = {
        {"age + 1", false, 0},
        {"age * age", false, 0},
        {"-age - 2", false, 0},
        {"CAST(id AS INTEGER)", false, 0},
        {"coalesce(CAST(id AS INTEGER), 3)", true, 300},
        {"CASE WHEN id = 'ann' THEN CAST('x' AS INTEGER) ELSE 1 END", false, 0},
        {"age % 0", false, 0},
        {"age // 0", false, 0},
        {"1 / 0", true, GRID_LIMIT},
        {"-1 / 0", true, -GRID_LIMIT},
        {"0 / 0", false, 0},
        {"x * x", true, GRID_LIMIT},
        {"x", true, GRID_LIMIT},
        {"age", true, GRID_LIMIT},
        {"NULL", false, 0},
        {"CAST(x AS DECIMAL(18,2))", false, 0},
        {"CAST(0.145 AS DECIMAL(18,3))", true, 15},
        {"-0.145", true, -15},
        {"CAST('0.145' AS DOUBLE)", true, 15},
        {"CAST('0.144999999999999' AS DOUBLE)", true, 14},
        {"smoker", true, 100},
        {"NOT smoker", true, 0},
        {"year(seen)", true, 202000},
        {"seen - DATE '2020-01-01'", true, 100},
        {"length(id)", true, 300},
        {"CAST('2020-99-99' AS DATE) - seen", false, 0},
        {"CASE WHEN id IN (1, 2) THEN 1 ELSE 0 END", false, 0}, /* 'ann' to INTEGER */
        {"CAST(7 AS HUGEINT)", true, 700},
        {"CAST(7 AS TINYINT)", true, 700},
        {"CAST(7 AS FLOAT)", true, 700},
        {"CAST('-123456789012345678901234567890.5' AS DECIMAL(38,4))", true, -GRID_LIMIT},
        {"substring(id, age, 3) = 'a'", false, 0},
        {"round(x, 300)", true, GRID_LIMIT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t value;
        bool valid = value_of(cases[i].sql, 2, &value);
        if (valid != cases[i].valid || value != cases[i].value)
            print_message("%s: %d %lld\n", cases[i].sql, valid, (long long)value);
        assert_int_equal(valid, cases[i].valid);
        assert_int_equal(value, cases[i].value);
    }
}

/* --- Rows do not see each other ------------------------------------------------------------------------------------- */

enum { ALONE = 12 };

static const char *const lines[ALONE] = {
    "ann,f,63,0.145,true,2020-01-02\n",
    "bob,m,?,-2.5,false,?\n",
    "cid,?,9223372036854775807,1e308,?,2021-02-28\n",
    "1,f,1,nan,true,2021-02-28\n",
    "?,f,1,1,true,2021-02-28\n",
    "2,m,-9223372036854775808,inf,true,1900-01-01\n",
    "ann,m,0,-inf,false,9999-12-31\n",
    "ann,f,63,0.145,true,2020-01-02\n",
    "zed,f,50,50,?,?\n",
    "3,q,5,0.5,true,2020-01-02\n",
    "1e3,m,7,1000,false,2020-02-29\n",
    "bob,f,0,0,true,2020-01-02\n",
};

static int seen_order(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct seen));
}

/* What takes part of the rows of inputs `from` up to `to`, sorted. */
static uint32_t collect(struct seen *out, struct tables *t, const struct tables_select *select, uint32_t from,
                        uint32_t to)
{
    uint32_t count = 0;
    memset(out, 0, ALONE * sizeof *out);
    for (uint32_t input = from; input < to; input++) {
        struct seen_rows rows = {.lock = PTHREAD_MUTEX_INITIALIZER};
        uint64_t row_count;
        assert_int_equal(see_rows(&rows, t, input, select, &row_count), OK);
        assert_int_equal(row_count, input == 0 ? ALONE : 1);
        for (uint32_t i = 0; i < rows.count; i++) {
            if (rows.row[i].cell == TABLES_NO_CELL) continue;
            assert_true(count < ALONE);
            out[count++] = rows.row[i];
        }
    }
    qsort(out, count, sizeof *out, seen_order);
    return count;
}

/* The rows of one file give together what each gives in a file of its own. */
static void rows_do_not_see_each_other(void **state)
{
    (void)state;
    static const char *const selects[] = {
        "SELECT id AS u, sex AS g, x AS v FROM input",
        "SELECT id AS u, sex AS g, CAST(id AS INTEGER) AS v FROM input",
        "SELECT id AS u, sex AS g, age + 1 AS v FROM input WHERE age + 1 > 0",
        "SELECT id AS u, sex AS g, (age + 1) * 2 AS v FROM input WHERE (age + 1) * 2 > 0 OR age + 1 < 5 OR "
        "smoker",
        "SELECT id AS u, sex AS g, CASE WHEN id IN (1, 2, 3) THEN 1 ELSE 0 END AS v FROM input",
        "SELECT id AS u, sex AS g, x / age AS v FROM input WHERE CAST(id AS DOUBLE) < 1e9 OR id LIKE 'a%'",
        "SELECT id AS u, sex AS g, coalesce(CAST(id AS INTEGER), CAST(sex AS INTEGER), age) AS v FROM input",
        "SELECT id AS u, sex AS g, abs(age) AS v FROM input WHERE abs(age) >= 0",
        "SELECT id AS u, left(sex, 1) AS g, seen - DATE '2020-01-01' AS v FROM input WHERE year(seen) > 0",
        "SELECT id AS u, CASE WHEN x > 0 THEN 'm' ELSE 'f' END AS g, CAST(x AS DECIMAL(18,2)) * 1000 AS v "
        "FROM input",
        "SELECT id AS u, sex AS g, CASE smoker WHEN CAST(id AS BOOLEAN) THEN 1 ELSE 2 END AS v FROM input",
        "SELECT id AS u, sex AS g, substring(id, age, 2) = 'a' AS v FROM input",
    };
    static char all[1024];
    struct tables_source source[1 + ALONE];
    struct buffer text = buffer_make(all, sizeof all);
    for (int i = 0; i < ALONE; i++) buffer_put_text(&text, lines[i]);
    buffer_put_zero(&text);
    for (int i = 0; i <= ALONE; i++) {
        source[i] = csv_source(file_of(i == 0 ? all : lines[i - 1]), people());
        source[i].header = false;
    }
    struct tables *t = locked(source, 1 + ALONE);
    for (size_t i = 0; i < sizeof selects / sizeof *selects; i++) {
        struct step step = step_of(selects[i]);
        struct tables_select select;
        struct seen together[ALONE], alone[ALONE];
        enum err err = make(&select, &step, "u");
        if (err != OK) print_message("%s: %s\n", selects[i], why);
        assert_int_equal(err, OK);
        uint32_t count = collect(together, t, &select, 0, 1);
        assert_true(count > 0);
        assert_int_equal(collect(alone, t, &select, 1, 1 + ALONE), count);
        assert_memory_equal(together, alone, sizeof alone);
        tables_select_free(&select);
    }
    tables_close(t);
    for (int i = 0; i <= ALONE; i++) (void)close(source[i].fd);
}

/* Many rows, several chunks: each row once, at every thread count; and a bad field far in is ERR_REFUSED without text. */
static char *many_rows(uint32_t count, bool broken)
{
    size_t cap = (size_t)count * 48 + 64, len = 0;
    char *text = malloc(cap);
    assert_non_null(text);
    len += (size_t)snprintf(text, cap, "id,sex,age,x,smoker,seen\n");
    for (uint32_t i = 0; i < count; i++)
        len += (size_t)snprintf(text + len, cap - len, "p%u,%s,%s,%u.25,true,2020-01-02\n", i,
                                i % 3 == 0 ? "f" : "m", broken && i == count - 5 ? "x" : "1", i);
    return text;
}

struct total {
    pthread_mutex_t lock;
    uint64_t count;
    int64_t sum;
};

static enum err add_up(void *context, const struct tables_chunk *chunk)
{
    struct total *total = context;
    (void)pthread_mutex_lock(&total->lock);
    total->count += chunk->row_count;
    for (uint32_t i = 0; i < chunk->row_count; i++) total->sum += chunk->value[1][i];
    (void)pthread_mutex_unlock(&total->lock);
    return OK;
}

static enum err scan_rows(struct total *total, struct tables *t, const struct tables_select *select,
                          uint64_t *row_count)
{
    const struct tables_scan scan = {
        .select = select, .rows_most = UINT64_MAX, .take = add_up, .context = total};
    *total = (struct total){.lock = PTHREAD_MUTEX_INITIALIZER};
    return tables_scan(t, row_count, &scan);
}

static enum err sum_rows(uint32_t threads, const char *text, struct total *total, uint64_t *row_count)
{
    int fd = file_of(text);
    struct tables_source source = csv_source(fd, people());
    struct tables *t;
    assert_int_equal(tables_open(&t, threads, MEMORY, why, sizeof why), OK);
    assert_int_equal(tables_lane_count(t), threads);
    assert_int_equal(tables_add(t, &source), OK);
    assert_int_equal(tables_lock(t, why, sizeof why), OK);
    struct step step = step_of("SELECT id AS u, sex AS g, x + age AS v FROM input WHERE age > 0");
    struct tables_select select;
    assert_int_equal(make(&select, &step, "u"), OK);
    enum err err = scan_rows(total, t, &select, row_count);
    tables_select_free(&select);
    tables_close(t);
    (void)close(fd);
    return err;
}

static void gives_every_row_once(void **state)
{
    (void)state;
    enum { ROWS = 30000 };
    char *good = many_rows(ROWS, false), *bad = many_rows(ROWS, true);
    uint64_t row_count;
    struct total total;
    for (uint32_t threads = 1; threads <= 4; threads++) {
        assert_int_equal(sum_rows(threads, good, &total, &row_count), OK);
        assert_int_equal(row_count, ROWS);
        assert_int_equal(total.count, ROWS);
        assert_int_equal(total.sum, (int64_t)ROWS * (ROWS - 1) / 2 * 100 + 125 * ROWS);
        why[0] = 0;
        assert_int_equal(sum_rows(threads, bad, &total, &row_count), ERR_REFUSED);
        assert_string_equal(why, "");
    }
    free(good);
    free(bad);
}

/* The first scan of an input reads every field of every row, whatever the SELECT asks for. */
static enum err scan_once(const char *text, const char *sql, uint64_t *row_count)
{
    int fd = file_of(text);
    struct tables_source source = csv_source(fd, people());
    struct tables *t = locked(&source, 1);
    struct step step = step_of(sql);
    struct tables_select select;
    struct total total;
    assert_int_equal(make(&select, &step, ""), OK);
    enum err err = scan_rows(&total, t, &select, row_count);
    if (err == OK) {
        uint64_t again;
        const uint64_t count = total.count;
        assert_int_equal(scan_rows(&total, t, &select, &again), OK); /* the second reads what it needs */
        assert_int_equal(again, *row_count);
        assert_int_equal(total.count, count);
    }
    tables_select_free(&select);
    tables_close(t);
    (void)close(fd);
    return err;
}

static void the_first_scan_checks_every_field(void **state)
{
    (void)state;
    static const char *const selects[] = {
        "SELECT sex AS g, age AS v FROM input",
        "SELECT 'f' AS g, 1 AS v FROM input",
        "SELECT sex AS g, age AS v FROM input WHERE age > 1000",
        "SELECT concat(id, sex) AS g, 1 AS v FROM input WHERE sex = 'f' AND x > 0",
    };
    static const char header[] = "id,sex,age,x,smoker,seen\n";
    static char text[3 * TABLES_TEXT_BYTES_MAX];
    for (size_t i = 0; i < sizeof selects / sizeof *selects; i++) {
        uint64_t rows = 99;
        (void)snprintf(text, sizeof text, "%sann,m,1,1,true,2020-01-02\nbob,m,1,1,true,2020-01-02\n", header);
        assert_int_equal(scan_once(text, selects[i], &rows), OK);
        assert_int_equal(rows, 2);
        assert_int_equal(scan_once(header, selects[i], &rows), OK);
        assert_int_equal(rows, 0);
        (void)snprintf(text, sizeof text, "%sann,m,1,1,true,2020-01-02\nbob,m,1,1,true,2020-13-02\n", header);
        assert_int_equal(scan_once(text, selects[i], &rows), ERR_REFUSED);
        for (int more = 0; more < 2; more++) {
            char name[TABLES_TEXT_BYTES_MAX + 2];
            memset(name, 'x', sizeof name);
            name[TABLES_TEXT_BYTES_MAX + more] = 0;
            (void)snprintf(text, sizeof text, "%s%s,m,1,1,true,2020-01-02\n", header, name);
            assert_int_equal(scan_once(text, selects[i], &rows), more == 0 ? OK : ERR_REFUSED);
            (void)snprintf(text, sizeof text, "%sann,%s,1,1,true,2020-01-02\n", header, name);
            assert_int_equal(scan_once(text, selects[i], &rows), more == 0 ? OK : ERR_REFUSED);
        }
    }
}

/* An error of whoever takes the rows ends the scan, and is what it returns. */
static enum err take_none(void *context, const struct tables_chunk *chunk)
{
    (void)context;
    return chunk->row_count > 0 ? ERR_NO_MEMORY : OK;
}

static void a_taker_may_fail(void **state)
{
    (void)state;
    int fd = file_of(people_csv);
    struct tables_source source = csv_source(fd, people());
    struct tables *t = locked(&source, 1);
    struct step step = step_of("SELECT sex AS g, x AS v FROM input");
    struct tables_select select;
    struct total total;
    uint64_t row_count;
    assert_int_equal(make(&select, &step, ""), OK);
    const struct tables_scan scan = {.select = &select, .rows_most = UINT64_MAX, .take = take_none};
    assert_int_equal(tables_scan(t, &row_count, &scan), ERR_NO_MEMORY);
    assert_int_equal(scan_rows(&total, t, &select, &row_count), OK);
    assert_int_equal(total.count, 5);
    tables_select_free(&select);
    tables_close(t);
    (void)close(fd);
}

/* Rows beyond the number that there may be are handed to nobody. */
static void rows_are_bounded(void **state)
{
    (void)state;
    enum { ROWS = 30000 };
    static const char *const selects[] = {"SELECT sex AS g, age AS v FROM input",
                                          "SELECT sex AS g, age + 1 AS v FROM input WHERE x > 0"};
    char *text = many_rows(ROWS, false);
    for (size_t i = 0; i < sizeof selects / sizeof *selects; i++) {
        int fd = file_of(text);
        struct tables_source source = csv_source(fd, people());
        struct tables *t = locked(&source, 1);
        struct step step = step_of(selects[i]);
        struct tables_select select;
        struct total total = {.lock = PTHREAD_MUTEX_INITIALIZER};
        uint64_t row_count;
        assert_int_equal(make(&select, &step, ""), OK);
        struct tables_scan scan = {
            .select = &select, .rows_most = ROWS / 2, .take = add_up, .context = &total};
        assert_int_equal(tables_scan(t, &row_count, &scan), ERR_REFUSED);
        assert_in_range(total.count, 0, ROWS / 2);
        scan.rows_most = ROWS;
        assert_int_equal(tables_scan(t, &row_count, &scan), OK);
        assert_int_equal(row_count, ROWS);
        tables_select_free(&select);
        tables_close(t);
        (void)close(fd);
    }
    free(text);
}

/* What a scan calls is no function that a recipe may call. */
static void its_functions_are_not_for_recipes(void **state)
{
    (void)state;
    static const char *const selects[] = {
        "SELECT sex AS g, perigee_rows(x) AS v FROM input",
        "SELECT sex AS g, x AS v FROM input WHERE perigee_fields(id, sex)",
        "SELECT sex AS g, CASE WHEN perigee_short(id) THEN x ELSE age END AS v FROM input",
        "SELECT sex AS g, perigee_value(0, x) AS v FROM input",
        "SELECT sex AS g, perigee_place(0, sex) AS v FROM input",
    };
    for (size_t i = 0; i < sizeof selects / sizeof *selects; i++) {
        struct step step = step_of(selects[i]);
        struct tables_select select;
        assert_int_equal(make(&select, &step, ""), ERR_SQL);
        assert_non_null(strstr(why, "perigee_"));
        const struct sql_table table = {SPAN_LITERAL("input"), people()};
        struct sql_plan plan;
        assert_int_equal(sql_check(&plan, span_text(selects[i]), &table, 1, NULL, why, sizeof why), ERR_SQL);
        assert_non_null(strstr(why, "perigee_"));
    }
}

static void reads_parquet(void **state)
{
    (void)state;
    char path[] = "/tmp/perigee-tables-XXXXXX", sql[512];
    int made = mkstemp(path);
    assert_true(made >= 0);
    struct duckdb_session s;
    assert_int_equal(duckdb_session_open(&s, 1, MEMORY, why, sizeof why), OK);
    (void)snprintf(
        sql, sizeof sql,
        "COPY (SELECT 'p' || i AS id, 'f' AS sex, i::INTEGER AS age, (i * 0.5)::DECIMAL(9,3) AS x, true AS "
        "smoker, DATE '2020-01-01' AS seen, 'hidden' AS extra FROM range(5000) r(i)) TO '%s' (FORMAT "
        "parquet)",
        path);
    assert_int_equal(duckdb_session_run(&s, sql, why, sizeof why), OK);
    duckdb_session_close(&s);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    struct tables_source source = {fd, TABLES_PARQUET, false, ',', SPAN_NONE, people()};
    struct tables *t = locked(&source, 1);
    uint64_t rows;
    assert_int_equal(tables_check(t, 0, &rows, why, sizeof why), OK);
    assert_int_equal(rows, 5000);
    struct step step = step_of("SELECT id AS u, sex AS g, x AS v FROM input");
    struct tables_select select;
    struct total total;
    assert_int_equal(make(&select, &step, "u"), OK);
    assert_int_equal(scan_rows(&total, t, &select, &rows), OK);
    assert_int_equal(rows, 5000);
    assert_int_equal(total.sum, 50LL * 5000 * 4999 / 2);
    tables_select_free(&select);
    tables_close(t);
    (void)close(fd);
    (void)close(made);
    (void)unlink(path);
}

/* --- The grid ------------------------------------------------------------------------------------------------------- */

static void grid_rounds_half_away(void **state)
{
    (void)state;
    static const struct {
        double value;
        uint32_t places;
        int64_t grid;
    } cases[] = {
        {0.5, 0, 1},
        {-0.5, 0, -1},
        {1.5, 0, 2},
        {2.5, 0, 3},
        {0.49999999999999994, 0, 0},
        {0.145, 2, 15},
        {0.285, 2, 29},
        {1.005, 2, 101},
        {2.675, 2, 268},
        {-1.005, 2, -101},
        {0.045, 2, 5},
        {8.345, 2, 835},
        {1e-320, 2, 0},
        {0.0, 5, 0},
        {-0.0, 5, 0},
        {123456789.5, 0, 123456790},
        {9007199254740993.0, 0, 9007199254740992},
        {4503599627370497.5, 0, 4503599627370498},
        {INFINITY, 2, GRID_LIMIT},
        {-INFINITY, 2, -GRID_LIMIT},
        {1e18, 0, GRID_LIMIT},
        {1e16, 2, GRID_LIMIT},
        {0.1, 18, 100000000000000006},
        {1.0, 18, GRID_LIMIT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t grid;
        assert_true(grid_from_double(&grid, cases[i].value, cases[i].places));
        if (grid != cases[i].grid) print_message("%.17g: %lld\n", cases[i].value, (long long)grid);
        assert_int_equal(grid, cases[i].grid);
    }
    int64_t grid;
    assert_false(grid_from_double(&grid, NAN, 2));
    assert_int_equal(grid_from_decimal(145, 3, 2), 15);
    assert_int_equal(grid_from_decimal(-145, 3, 2), -15);
    assert_int_equal(grid_from_decimal(144, 3, 2), 14);
    assert_int_equal(grid_from_decimal(7, 0, 2), 700);
    assert_int_equal(grid_from_decimal(((grid_wide)1 << 126), 38, 0), 1); /* 0.85 */
    assert_int_equal(grid_from_decimal(((grid_wide)1 << 126), 0, 0), GRID_LIMIT);
    assert_int_equal(grid_from_decimal(-((grid_wide)1 << 126) * 2, 38, 18), -GRID_LIMIT);
}

/* Every decimal text of up to 9 digits, read as a double, lands where the text does. */
static void grid_agrees_with_the_text(void **state)
{
    (void)state;
    uint64_t seed = 0x9e3779b97f4a7c15u;
    for (int i = 0; i < 200000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint32_t scale = (uint32_t)(seed >> 60) % 7, places = (uint32_t)(seed >> 56) % 5;
        int64_t digits = (int64_t)((seed >> 20) % 1000000000u) - 500000000;
        if (i % 2 == 0) digits = digits / 10 * 10 + (digits < 0 ? -5 : 5); /* ties */
        double value = (double)digits / pow(10, scale);
        int64_t grid;
        assert_true(grid_from_double(&grid, value, places));
        assert_int_equal(grid, grid_from_decimal(digits, scale, places));
    }
}

/* A column at once gives what one value after another does. */
static void grid_columns_agree(void **state)
{
    (void)state;
    enum { COUNT = 4096 };
    static const int64_t edges[] = {0,          1,           -1,
                                    GRID_LIMIT, -GRID_LIMIT, GRID_LIMIT + 1,
                                    INT64_MAX,  INT64_MIN,   INT64_MIN + 1,
                                    5,          -5,          999999999999999995};
    static double reals[COUNT];
    static int64_t out[COUNT], integers[COUNT];
    static uint64_t valid[COUNT / 64];
    uint64_t seed = 0x2545f4914f6cdd1du;
    for (uint32_t places = 0; places <= GRID_PLACES_MAX; places++) {
        for (uint32_t i = 0; i < COUNT; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            const uint64_t bits = seed ^ seed >> 29;
            const double tie = ((double)((bits >> 20) % 200000) + 0.5) / pow(10, places);
            memcpy(&reals[i], &bits, sizeof bits); /* of any exponent, and NaN */
            if (i % 4 == 1) reals[i] = (double)(int64_t)(bits >> 8) / pow(2, (double)(bits % 70));
            if (i % 4 == 2) reals[i] = tie;
            if (i % 4 == 3)
                reals[i] =
                    nextafter(bits % 8 == 0 ? 0x1p40 / pow(10, places) : tie, bits % 2 == 0 ? 0 : 1e30);
            if (i % 64 == 9) reals[i] = (double[]){INFINITY, -INFINITY, NAN, -0.0}[bits % 4];
            if (bits % 3 == 0) reals[i] = -reals[i];
            integers[i] = i % 3 == 0 ? edges[bits % 12] : (int64_t)bits >> (bits % 60);
        }
        memset(valid, 255, sizeof valid);
        uint32_t nans = grid_from_doubles(out, valid, reals, COUNT, places);
        for (uint32_t i = 0; i < COUNT; i++) {
            int64_t one = 0;
            const bool is = grid_from_double(&one, reals[i], places);
            if (out[i] != one) print_message("%a at %u: %lld\n", reals[i], places, (long long)out[i]);
            assert_int_equal(out[i], one);
            assert_int_equal(duckdb_valid(valid, i), is);
            nans -= !is;
        }
        assert_int_equal(nans, 0);
        for (uint32_t scale = 0; scale <= 18; scale++) {
            memcpy(out, integers, sizeof out);
            grid_from_integers(out, COUNT, scale, places);
            for (uint32_t i = 0; i < COUNT; i++)
                assert_int_equal(out[i], grid_from_decimal(integers[i], scale, places));
        }
    }
}

static int without_library(void)
{
    pid_t child = fork();
    if (child == 0) {
        struct tables *t;
        (void)setenv("PERIGEE_DUCKDB", "/nonexistent/libduckdb.so", 1);
        enum err err = tables_open(&t, 1, MEMORY, why, sizeof why);
        _exit(err == ERR_UNAVAILABLE && t == NULL && strstr(why, "/nonexistent/libduckdb.so") != NULL ? 0
                                                                                                      : 1);
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
    if (status == 0 && duckdb_load(&api, why, sizeof why) != OK) {
        print_message("SKIPPED: %s\n", why);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(says_when_the_library_is_absent, &status),
        cmocka_unit_test(locked_session_refuses),
        cmocka_unit_test(does_not_spill),
        cmocka_unit_test(bounds_texts),
        cmocka_unit_test(counts_rows_without_texts),
        cmocka_unit_test(checks_the_schema),
        cmocka_unit_test(refuses_bad_sources),
        cmocka_unit_test(gives_units_cells_and_values),
        cmocka_unit_test(names_what_an_output_lacks),
        cmocka_unit_test(no_expression_fails),
        cmocka_unit_test(rows_do_not_see_each_other),
        cmocka_unit_test(gives_every_row_once),
        cmocka_unit_test(the_first_scan_checks_every_field),
        cmocka_unit_test(a_taker_may_fail),
        cmocka_unit_test(rows_are_bounded),
        cmocka_unit_test(its_functions_are_not_for_recipes),
        cmocka_unit_test(reads_parquet),
        cmocka_unit_test(grid_rounds_half_away),
        cmocka_unit_test(grid_agrees_with_the_text),
        cmocka_unit_test(grid_columns_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
