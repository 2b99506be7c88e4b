/* sql_check: any text over two tables, with two parameters. What is accepted is printed as SQL that reads nothing but those
 * tables and that the checker accepts again under the names it was printed with. Needs DuckDB; skipped without it. */
#include "node/sql_check.h"
#include "proto/base/panic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void schema_make(struct schema *schema)
{
    static const char *const names[] = {"id", "age", "x", "flag", "d"};
    static const enum column_type types[] = {COLUMN_TEXT, COLUMN_INTEGER, COLUMN_DECIMAL, COLUMN_BOOLEAN,
                                             COLUMN_DATE};
    schema->column_count = 5;
    for (int i = 0; i < 5; i++) schema->column[i] = (struct column){span_text(names[i]), types[i]};
}

/* Parameters back as they were given: (SELECT "chosen"."n" FROM "chosen") is $n. */
static void put_given(char *sql)
{
    static const char before[] = "(SELECT \"chosen\".", after[] = " FROM \"chosen\")";
    for (char *at = sql; (at = strstr(at, before)) != NULL;) {
        char *name = at + sizeof before - 1, *end = strstr(name, after);
        ASSERT(end != NULL);
        *at++ = '$';
        memmove(at, name, (size_t)(end - name));
        at += end - name;
        memmove(at, end + sizeof after - 1, strlen(end + sizeof after - 1) + 1);
    }
}

/* The printed text is longer and nests deeper, so it may meet a limit of size; nothing else. */
static void accepted_again(const struct sql_plan *plan, const struct schema *schema,
                           const struct parameters *parameters)
{
    const struct sql_table printed[] = {{SPAN_LITERAL("in_0"), schema}, {SPAN_LITERAL("in_1"), schema}};
    char why[512];
    struct sql_plan again;
    put_given(plan->text);
    enum err err = sql_check(&again, span_text(plan->text), printed, 2, parameters, why, sizeof why);
    bool limit = err == ERR_TOO_LARGE || strstr(why, "deeper") != NULL || strstr(why, "more than") != NULL;
    if (err != OK && !limit) (void)fprintf(stderr, "%s\n%s\n", plan->text, why);
    ASSERT(err == OK || limit);
    ASSERT(err != OK || again.column_count == plan->column_count);
    sql_plan_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static struct schema schema;
    static struct parameter parameter[] = {
        {.name = SPAN_STATIC("n"), .type = PARAMETER_INTEGER, .lower = -7, .upper = 1000},
        {.name = SPAN_STATIC("t"),
         .type = PARAMETER_TEXT,
         .domain_count = 1,
         .domain = {SPAN_STATIC("it's")}}};
    static const struct parameters parameters = {2, parameter};
    const struct sql_table tables[] = {{SPAN_LITERAL("input"), &schema}, {SPAN_LITERAL("b.csv"), &schema}};
    char why[512];
    struct sql_plan plan;
    schema_make(&schema);
    enum err err = sql_check(&plan, span_make(bytes, len), tables, 2, &parameters, why, sizeof why);
    if (err == ERR_UNAVAILABLE) {
        (void)printf("SKIPPED: %s\n", why);
        exit(77);
    }
    if (err == OK) accepted_again(&plan, &schema, &parameters);
    sql_plan_free(&plan);
    return 0;
}
