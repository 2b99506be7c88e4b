/* select_check: is this SQL a row-wise SELECT, and the SQL that is run in its place.
 *
 * A privacy step's SELECT comes from outside and decides what each row contributes, so nothing that looks at
 * more than one row, at a file, a setting, the time or chance may pass (DESIGN §9 "Privacy"). Rules:
 * - Allow-list on DuckDB's own parse tree (json_serialize_sql): one SELECT node over the table `input`, no
 * alias, with an optional WHERE; expressions from a fixed list of classes, operators, functions and types. A
 * node with a member that is not known here is refused, so a new release cannot add meaning unnoticed.
 * - What runs is not the text that came in. The tree is printed again by us: columns qualified by "input" (so
 * that no alias or built-in name like current_date can stand for one), every CAST as TRY_CAST, every output
 * and the condition, cast to BOOLEAN, inside TRY(...). An expression that fails on a row is NULL on that row; it
 * never fails the query, which would tell one bit about that row.
 * - Nothing a row holds can make a query much slower or larger than another row does, for that would tell as much: LIKE
 * only with constant patterns that are prefixes, suffixes or parts; text functions copy at most SQL_TEXT_COPIES_MAX
 * columns a row, and a text has at most TABLES_TEXT_BYTES_MAX bytes (tables.h).
 * - Output columns have distinct names (ASCII case aside). `source` tells which input column an output is
 * when it is nothing but that column: a unit column must be one, or the SELECT could split a person into many
 * units.
 * - $name is printed as a column of the one-row table "chosen" that stands beside "input" (select_put_chosen) and has
 * the run's values, each of the type of its parameter. So what is checked and run is the same text whatever was chosen:
 * no value can decide whether a SELECT is accepted, as a literal could, since DuckDB computes constants while it binds.
 * - Then the printed SELECT is bound against an empty table of the schema: types are known and public before
 * any row. Threads: any. Ownership: the plan is freed with select_plan_free. Errors: ERR_SQL with what was
 * found and what is allowed; ERR_TOO_LARGE; ERR_UNAVAILABLE without DuckDB. All depend on public things only.
 */
#ifndef PERIGEE_NODE_SELECT_CHECK_H
#define PERIGEE_NODE_SELECT_CHECK_H

#include "node/sql_print.h"

enum {
    /* FROM "input" with "chosen" and what else stands around list and condition. */
    SELECT_CHOSEN_MAX = 256 + SQL_CHOSEN_BYTES_MAX,
};

struct select_column {
    char name[SQL_NAME_BYTES_MAX];
    int source; /* index into the schema, or -1 for an expression */
    enum duckdb_type type;
};

struct select_plan {
    uint32_t column_count;
    struct select_column column[CAP_COLUMNS];
    char *list;      /* TRY(...) AS c0, TRY(...) AS c1, ... */
    char *condition; /* TRY(...), or "" */
};

/* `parameters`: that $name may name; NULL when there are none. */
MUST_USE enum err select_check(struct select_plan *out, struct span sql, const struct schema *schema,
                               const struct parameters *parameters, char *why, size_t why_len);
/* Append the one-row table "chosen", to stand behind FROM input; nothing without parameters. `choice` may be NULL: NULLs. */
void select_put_chosen(struct buffer *out, const struct parameters *parameters,
                       const struct parameter_choice *choice);
/* SQL of ours, or nothing. */
struct select_more {
    struct span outputs; /* ", ..." behind the list */
    struct span first; /* true of every row, and computed for every row, whatever the condition says of it */
};
/* Append SELECT list FROM in_<input> and the rest. */
void select_plan_put(struct buffer *out, const struct select_plan *plan, uint32_t input,
                     const struct parameter_choice *choice, const struct select_more *more);
void select_plan_free(struct select_plan *plan); /* a zeroed plan is fine */
/* Index of the output column, or -1. */
int select_plan_find(const struct select_plan *plan, struct span name);

#endif
