/* sql_check: is this SQL one query over the run's inputs and nothing else, and the SQL that is run in its place.
 *
 * For output rows with privacy none (PROTOCOL.md "Output of rows"), where a statement may look at as many rows as it likes:
 * joins, subqueries, WITH, set operations, GROUP BY, aggregates, windows. What it may not do is read anything but the inputs,
 * or give another result on another machine or day. Rules:
 * - Allow-list on DuckDB's own parse tree, printed anew (sql_print.h). One statement, which is a SELECT.
 * - A table is an input by its name or a WITH by its name, never both: inputs are printed as in_<number>, a WITH as w_<number>,
 *   so no name from outside reaches DuckDB's look-up of tables, files and settings. WITH is not recursive; a table function,
 *   VALUES, a schema, a sample have no printed form.
 * - A bare name that DuckDB reads as a function when no column has it (current_date, user) is refused.
 * - Aggregates, windows and functions are those whose result is a function of rows and their order alone, in whole numbers or
 *   in IEEE operations: nothing of the C library's (ln, pow, exp), no chance, time, setting, sequence, macro, list or struct.
 * - GROUP BY and ORDER BY take positions only as whole numbers; a LIMIT is a constant.
 * - Outputs have distinct names: a column's own or AS; there are at most CAP_COLUMNS, of types that sql_type_name knows.
 * - Then the printed statement is prepared, not run, over empty views of the schemas. So acceptance, names and types are
 *   public and known before any row.
 * Threads: any. Ownership: the plan is freed with sql_plan_free. Errors: ERR_SQL with what was found and what is allowed;
 * ERR_TOO_LARGE; ERR_UNAVAILABLE without DuckDB. All depend on public things only. */
#ifndef PERIGEE_NODE_SQL_CHECK_H
#define PERIGEE_NODE_SQL_CHECK_H

#include "node/sql_print.h"

enum { SQL_PLAN_BYTES_MAX = SQL_PRINT_BYTES_MAX + 4096 };

struct sql_table {
    struct span name; /* of the input */
    const struct schema *schema;
};

struct sql_column {
    char name[SQL_NAME_BYTES_MAX];
    const char *type; /* DuckDB's word, without width and scale */
};

struct sql_plan {
    uint32_t column_count;
    struct sql_column column[CAP_COLUMNS];
    char *text; /* the printed statement */
};

/* `parameters`: that $name may name; NULL when there are none. At most CAP_INPUTS tables. */
MUST_USE enum err sql_check(struct sql_plan *out, struct span sql, const struct sql_table *tables,
                            uint32_t table_count, const struct parameters *parameters, char *why,
                            size_t why_len);
/* Append the plan as one query, with a zero: its outputs as VARCHAR, over in_0, in_1, ... and "chosen" of the session it is
 * run in. At most SQL_PLAN_BYTES_MAX. */
void sql_plan_put(struct buffer *out, const struct sql_plan *plan);
/* The view "chosen" in that session; nothing without parameters. `choice` may be NULL: NULLs. */
MUST_USE enum err sql_create_chosen(struct duckdb_session *s, const struct parameters *parameters,
                                    const struct parameter_choice *choice, char *why, size_t why_len);
void sql_plan_free(struct sql_plan *plan); /* a zeroed plan is fine */
/* DuckDB's word for a type whose values may leave as rows; NULL for any other. */
const char *sql_type_name(enum duckdb_type type);

#endif
