/* sql_query: a query over the run's inputs, printed anew: columns, FROM, WITH, subqueries, set operations. sql_check.h has the
 * rules. */
#ifndef PERIGEE_NODE_SQL_QUERY_H
#define PERIGEE_NODE_SQL_QUERY_H

#include "node/sql_check.h"

enum { SQL_WITH_COUNT_MAX = 64 };

/* A WITH that can be named where we are. */
struct sql_with {
    struct span name;
    uint32_t number;
};

/* The context of sql_print. */
struct sql_query {
    const struct sql_table *table;
    uint32_t table_count;
    struct sql_with scope[SQL_WITH_COUNT_MAX];
    uint32_t scope_count, with_count; /* with_count: met so far, in scope or not */
};

extern const struct sql_dialect sql_query_dialect;
MUST_USE enum err sql_query_print(struct sql_print *p, const struct sql_node *node); /* a statement's */

#endif
