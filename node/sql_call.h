/* sql_call: functions, aggregates and windows that a query over several tables may use beside those of one row: the lists, and
 * how they are printed (sql_check.h says what they must be). */
#ifndef PERIGEE_NODE_SQL_CALL_H
#define PERIGEE_NODE_SQL_CALL_H

#include "node/sql_print.h"

MUST_USE enum err sql_call_function(struct sql_print *p, const struct sql_node *node);
MUST_USE enum err sql_call_window(struct sql_print *p, const struct sql_node *node);

#endif
