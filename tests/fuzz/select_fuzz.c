/* select_check: any text, with two parameters. What is accepted is printed as SQL that the checker accepts again: the printer says nothing
 * that its own allow-list would refuse. Needs DuckDB; skipped without it. */
#include "node/select_check.h"
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

/* Parameters back as they were given: "chosen"."n" is $n. */
static void put_given(char *sql)
{
    static const char printed[] = "\"chosen\".";
    for (char *at = sql; (at = strstr(at, printed)) != NULL;) {
        memmove(at + 1, at + sizeof printed - 1, strlen(at + sizeof printed - 1) + 1);
        *at++ = '$';
    }
}

/* The printed text is longer and nests deeper, so it may meet a limit of size; nothing else. */
static void accepted_again(const struct select_plan *plan, const struct schema *schema,
                           const struct parameters *parameters)
{
    static char sql[2 * SQL_PRINT_BYTES_MAX + 64];
    char why[512];
    struct select_plan again;
    (void)snprintf(sql, sizeof sql, "SELECT %s FROM input%s%s", plan->list,
                   plan->condition[0] != 0 ? " WHERE " : "", plan->condition);
    put_given(sql);
    enum err err = select_check(&again, span_text(sql), schema, parameters, why, sizeof why);
    bool limit = err == ERR_TOO_LARGE || strstr(why, "deeper") != NULL || strstr(why, "more than") != NULL;
    if (err != OK && !limit) (void)fprintf(stderr, "%s\n%s\n", sql, why);
    ASSERT(err == OK || limit);
    ASSERT(err != OK || again.column_count == plan->column_count);
    select_plan_free(&again);
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
    char why[512];
    struct select_plan plan;
    schema_make(&schema);
    enum err err = select_check(&plan, span_make(bytes, len), &schema, &parameters, why, sizeof why);
    if (err == ERR_UNAVAILABLE) {
        (void)printf("SKIPPED: %s\n", why);
        exit(77);
    }
    if (err == OK) accepted_again(&plan, &schema, &parameters);
    select_plan_free(&plan);
    return 0;
}
