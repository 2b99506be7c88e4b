/* tables_state: what the files tables*.c share. */
#ifndef PERIGEE_NODE_TABLES_STATE_H
#define PERIGEE_NODE_TABLES_STATE_H

#include "node/tables.h"

#include <pthread.h>

enum { TABLES_FUNCTIONS = 5 };

struct tables_run; /* a scan that is going on (tables_scan.c) */

struct tables {
    struct duckdb_session session;
    struct tables_source source[CAP_INPUTS];
    uint64_t row_count[CAP_INPUTS]; /* of those checked */
    bool checked[CAP_INPUTS];
    uint32_t source_count, lane_count;
    bool locked;
    struct duckdb_function function[TABLES_FUNCTIONS]; /* what a scan's query calls */
    pthread_mutex_t lock; /* guards run, and what it points to as far as threads share it */
    pthread_cond_t lane_free;
    struct tables_run *run; /* NULL: no scan is going on */
};

/* Of Parquet, as tables_check has it. */
MUST_USE enum err tables_check_types(struct tables *t, uint32_t input, char *why, size_t why_len);
/* Run a query of one row that starts with `count` columns of BIGINT. ERR_SQL. */
MUST_USE enum err tables_read_counts(struct tables *t, const char *sql, uint64_t *counts, uint32_t count,
                                     char *why, size_t why_len);
/* After the session has been opened. */
MUST_USE enum err tables_scan_register(struct tables *t);

#endif
