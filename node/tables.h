/* tables: the rows of an enclave's inputs, or of an owner's file at sealing, through a locked-down DuckDB.
 *
 * Rules:
 * - In memory only: no spill file, no extension, no other file than the descriptors given, settings locked (duckdb.h).
 * - Columns and types are the declared schema's; nothing is sniffed from the file. A CSV field that is empty or the
 *   missing mark is NULL. Decimal columns are doubles; the grid rounds them (grid.h).
 * - A SELECT runs only as select_check printed it, so a row's result depends on that row alone and no row can fail.
 * - A scan's rows are taken where DuckDB has them, chunk by chunk in all of its threads, in lanes: memory is DuckDB's limit
 *   plus a chunk for each thread, whatever the input's size. DuckDB calls a function of ours for that (duckdb_session_function);
 *   it is known to the enclave's database alone, and select_check and sql_check pass no such name.
 * - Of rows read as text, order is not defined with several threads; with one it is that of the files, and a run repeats it
 *   (rows.h).
 * Errors: tables_open, tables_lock and tables_check say in `why` what DuckDB said, which may quote the data: it is for
 * the owner's eyes at sealing and never leaves an enclave. Running a SELECT gives no text: any failure that depends on
 * rows is ERR_REFUSED. ERR_UNAVAILABLE without DuckDB.
 * Threads: one at a time, but for what tables_scan says; DuckDB uses as many inside as given. Ownership: descriptors stay the caller's and must stay
 * open until tables_close; a schema's spans must outlive the tables. */
#ifndef PERIGEE_NODE_TABLES_H
#define PERIGEE_NODE_TABLES_H

#include "node/select_check.h"

enum {
    TABLES_TEXT_BYTES_MAX = 4096
}; /* of one text: what a SELECT copies on a row is bounded (select_check.h) */

enum tables_format { TABLES_CSV, TABLES_PARQUET };

struct tables_source {
    int fd; /* a memfd, or a file opened for reading */
    enum tables_format format;
    bool header;         /* csv: the first line holds names, which are skipped */
    char delimiter;      /* csv */
    struct span missing; /* csv: one more spelling of NULL, e.g. "?"; may be empty */
    const struct schema *schema;
};

struct tables;

/* threads at least 1; memory_bytes is DuckDB's limit. */
MUST_USE enum err tables_open(struct tables **out, uint32_t threads, uint64_t memory_bytes, char *why,
                              size_t why_len);
void tables_close(struct tables *t); /* NULL is fine */
/* Inputs are numbered from 0 in the order added. ERR_FULL, ERR_RANGE (descriptor, delimiter, mark). */
MUST_USE enum err tables_add(struct tables *t, const struct tables_source *source);
/* After the last tables_add and before anything else. */
MUST_USE enum err tables_lock(struct tables *t, char *why, size_t why_len);
/* Read every field of the input as its declared type and count the rows; a text beyond TABLES_TEXT_BYTES_MAX is ERR_SQL. A Parquet column must be of a type that becomes
 * the declared one without rounding to an integer or reading text: ERR_SQL names the first that is not. */
MUST_USE enum err tables_check(struct tables *t, uint32_t input, uint64_t *row_count, char *why,
                               size_t why_len);

/* A step's SELECT over one schema, checked, with the outputs that play a part. */
struct tables_select {
    struct select_plan plan;
    const struct step *step;
    int unit;        /* output, or -1: a row is a unit */
    int unit_source; /* index of the schema's column behind it, or -1 */
    int group[CAP_GROUPS];
    int value[CAP_STATISTICS]; /* -1: counts rows */
};
/* `unit_column` names the unit's output, empty when a row is a unit. The unit must be a bare column. `parameters` as
 * select_check has them. ERR_SQL, with what is wrong in `why`; public. The step must outlive the select. */
MUST_USE enum err tables_select_make(struct tables_select *out, const struct step *step,
                                     struct span unit_column, const struct schema *schema,
                                     const struct parameters *parameters, char *why, size_t why_len);
void tables_select_free(struct tables_select *select);

struct tables_unit {
    uint8_t bytes[16];
}; /* the first half of SHA-256 of the unit's text */

#define TABLES_NO_CELL UINT32_MAX

/* Arrays of row_count entries. cell is TABLES_NO_CELL when the row belongs to no cell of the public domains or has a NULL
 * unit: it takes part in nothing. value and valid are per statistic: the value on the statistic's grid, not clipped, and
 * anything at all where it is not valid; NULL and NaN are not. */
struct tables_chunk {
    uint32_t row_count;
    uint32_t lane;                  /* below tables_lane_count; no other call has it at the same time */
    const struct tables_unit *unit; /* NULL when a row is a unit */
    const uint32_t *cell;
    const int64_t *value[CAP_STATISTICS];  /* of a count: nothing */
    const uint64_t *valid[CAP_STATISTICS]; /* bit i % 64 of word i / 64; NULL: all are */
};

/* Called by DuckDB's threads, several at once; the arrays live until it returns. An error ends the scan. */
typedef enum err tables_take_chunk(void *context, const struct tables_chunk *chunk);

struct tables_scan {
    uint32_t input;
    const struct tables_select *select;
    const struct parameter_choice
        *choice;        /* of the parameters the select was made with; NULL when there were none */
    uint64_t rows_most; /* that the input may have: nothing is handed on beyond it */
    tables_take_chunk *take;
    void *context;
};

uint32_t tables_lane_count(const struct tables *t);
/* Run the SELECT over one input and hand on every row it gives, in no order. The first scan of an input is its tables_check as
 * well: it reads every field and counts the rows, also of those that the SELECT leaves out. `row_count` is the input's.
 * ERR_REFUSED, or ERR_NO_MEMORY. */
MUST_USE enum err tables_scan(struct tables *t, uint64_t *row_count, const struct tables_scan *scan);

/* The view "chosen" that a sql_plan reads a run's parameters from; nothing when `choice` is NULL or of none. */
MUST_USE enum err tables_choose(struct tables *t, const struct parameter_choice *choice);
/* One row; a value without bytes (data NULL) is NULL, and all borrow until the call returns. An error ends the reading. */
typedef enum err tables_take_row(void *context, const struct span *value, uint32_t count);
/* Run a query that a checker printed, whose columns are VARCHAR, and hand on row after row in the order DuckDB gives them.
 * ERR_REFUSED, or what `take` returned. */
MUST_USE enum err tables_read_text(struct tables *t, const char *sql, uint32_t column_count,
                                   tables_take_row *take, void *context);

#endif
