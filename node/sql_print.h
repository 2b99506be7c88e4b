/* sql_print: SQL that comes from outside, checked on DuckDB's parse tree against an allow-list and printed anew: what runs
 * is what was printed, never the text that came in. Here is what the checkers share; select_check (rows of one table) and
 * sql_check (a query over several) add a statement's shape and the expressions of their own.
 *
 * Rules:
 * - A node with a member that is not known here is refused, so a new release cannot add meaning unnoticed.
 * - Every CAST is printed as TRY_CAST. Functions are those whose result is a function of their arguments alone, the same on
 *   every machine.
 * - Length, depth and number of nodes are bounded; the tree's recursion is ours, not the stranger's.
 * Errors: ERR_SQL with what was found and what is allowed, ERR_TOO_LARGE, ERR_NO_MEMORY; all depend on public things only.
 * Threads: any, one at a time per sql_print. Ownership: borrows everything. */
#ifndef PERIGEE_NODE_SQL_PRINT_H
#define PERIGEE_NODE_SQL_PRINT_H

#include "node/duckdb.h"
#include "node/fault.h"
#include "node/sql_tree.h"
#include "proto/document.h"
#include "proto/parameters.h"

enum {
    SQL_STATEMENT_BYTES_MAX = 16384, /* as given */
    SQL_PRINT_BYTES_MAX = 131072,
    SQL_CHOSEN_BYTES_MAX = CAP_PARAMETERS * (4 * CAP_NAME + 64), /* what sql_put_chosen appends */
    SQL_DEPTH_MAX = 40,
    SQL_NODE_COUNT_MAX = 4096,
    SQL_NAME_BYTES_MAX = 128,
    SQL_TEXT_COPIES_MAX = 32,
};

struct sql_print;
typedef enum err sql_printer(struct sql_print *p, const struct sql_node *node);

struct sql_class {
    const char *name; /* the tree's class of expression */
    sql_printer *print;
};

/* What a checker allows. The last three words end refusals that begin with what all allow. */
struct sql_dialect {
    const char *shape; /* of a statement, for refusals */
    const char *expressions, *functions;
    const char *chosen_before, *chosen_after; /* around the name of a parameter: its column of "chosen" */
    const struct sql_class *classes;          /* its own, before the shared ones */
    uint32_t class_count;
};

struct sql_print {
    struct buffer out;
    const struct sql_dialect *dialect;
    void *context;                       /* the checker's */
    const struct parameters *parameters; /* that $name may name; NULL when there are none */
    char *why;
    size_t why_len;
    uint32_t node_count;
    uint32_t depth;
    uint32_t column_ref_count, copied_count; /* printed so far; of those, copied by text functions */
};

#define SQL_REFUSE(p, ...) fault_set((p)->why, (p)->why_len, ERR_SQL, __VA_ARGS__)

/* Have DuckDB parse `sql`, and `print` print the node of its only statement. */
MUST_USE enum err sql_print_statement(struct sql_print *p, struct duckdb_session *s, struct span sql,
                                      sql_printer *print);
/* What stands around a query's node, be it a statement's or nested in one. */
MUST_USE enum err sql_print_wrapping(struct sql_print *p, const struct sql_node *statement);
/* A copy of what is printed so far, to be freed. */
MUST_USE enum err sql_print_keep(char **out, struct sql_print *p);
/* Before and after the parts of a node that nests. */
MUST_USE enum err sql_print_enter(struct sql_print *p);
void sql_print_leave(struct sql_print *p);
MUST_USE enum err sql_print_expression(struct sql_print *p, const struct sql_node *node);
MUST_USE enum err sql_print_list(struct sql_print *p, const struct sql_node *children, const char *separator);
/* Class FUNCTION: an operator or a function of one row. */
MUST_USE enum err sql_print_function(struct sql_print *p, const struct sql_node *node);
/* Refuses what only aggregates have: FILTER, DISTINCT, ORDER BY. */
MUST_USE enum err sql_print_plain(struct sql_print *p, const struct sql_node *node);

/* Absent, null, false or empty. */
bool sql_is_empty(const struct sql_node *node);
/* Every member of `node` is one of the names in `known`, which are framed by single spaces. */
MUST_USE enum err sql_members_known(struct sql_print *p, const struct sql_node *node, const char *known);
/* A member that must be empty. `what` says the construct in words. */
MUST_USE enum err sql_member_empty(struct sql_print *p, const struct sql_node *object, const char *key,
                                   const char *what);

/* The SQL of a word of the tree. */
struct sql_spelling {
    const char *word, *sql;
};
const char *sql_spell(const struct sql_spelling *table, size_t count,
                      const char *word); /* NULL: it is not there */
#define SQL_SPELL(table, word) sql_spell(table, sizeof(table) / sizeof *(table), word)

/* Two names are one to DuckDB: equal but for ASCII case. */
bool sql_name_equal(struct span a, struct span b);
/* Append name as a quoted SQL identifier, text as a string literal. */
void sql_put_identifier(struct buffer *out, struct span name);
void sql_put_literal(struct buffer *out, struct span text);
/* How much of a name a refusal shows. */
int sql_show(struct span text);
/* Append the one-row table "chosen", of which a parameter is printed as a column; nothing without parameters. `choice` may be
 * NULL: NULLs. So what is checked and run is the same text whatever was chosen, and no value can decide whether a statement
 * is accepted, as a literal could: DuckDB computes constants while it binds. */
void sql_put_chosen(struct buffer *out, const struct parameters *parameters,
                    const struct parameter_choice *choice);
/* CREATE TABLE's and read_csv's type of a schema column. */
const char *sql_column_type(enum column_type type);
/* CREATE TABLE of that schema, to bind against. */
MUST_USE enum err sql_create_empty(struct duckdb_session *s, const char *table, const struct schema *schema,
                                   char *why, size_t why_len);

#endif
