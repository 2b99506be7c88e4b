/* sql_order: ORDER BY, of a query, an aggregate or a window, printed as sql_print.h says. */
#ifndef PERIGEE_NODE_SQL_ORDER_H
#define PERIGEE_NODE_SQL_ORDER_H

#include "node/sql_print.h"

/* Each expression by `print`. */
MUST_USE enum err sql_order_print(struct sql_print *p, const struct sql_node *orders, sql_printer *print);
/* A constant is a position: printed as one, and refused where it could be none. */
MUST_USE enum err sql_order_position(struct sql_print *p, const struct sql_node *node);
/* A whole number as it is written, or -1. */
int64_t sql_order_constant(const struct sql_node *node);

#endif
