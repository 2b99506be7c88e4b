/* A step's SELECT over one input, in all of DuckDB's threads: the query's only output is the number of rows for which a
 * function of ours was called, and what that function is called with are the rows. */
#include "node/tables_state.h"

#include "crypto/hash.h"
#include "crypto/secret.h"
#include "node/grid.h"
#include "node/sql_print.h"
#include "proto/base/panic.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    QUERY_BYTES_MAX = 2 * SQL_PRINT_BYTES_MAX + SELECT_CHOSEN_MAX + 2 * 64 * 1024,
    FIELDS_BYTES_MAX = 64 * 1024,
    VALID_WORDS = DUCKDB_CHUNK_ROWS / 64
};

/* A result column that is read as a number. */
struct number_column {
    enum duckdb_type type, storage; /* storage: of a DECIMAL, else the type */
    uint32_t scale;
};

/* What one thread makes of a chunk. */
struct lane {
    bool busy, typed;
    struct number_column number[CAP_STATISTICS];
    struct tables_unit unit[DUCKDB_CHUNK_ROWS];
    uint32_t cell[DUCKDB_CHUNK_ROWS];
    int64_t value[CAP_STATISTICS][DUCKDB_CHUNK_ROWS];
    uint64_t valid[CAP_STATISTICS][VALID_WORDS];
    double real[DUCKDB_CHUNK_ROWS];
};

/* Which fields of a row are read only to be checked, and how. */
enum fields { FIELDS_NONE, FIELDS_BESIDE, FIELDS_BEFORE };

struct tables_run {
    const struct duckdb *api;
    const struct tables_scan *scan;
    const struct schema *schema;
    enum fields fields;
    uint32_t field[CAP_COLUMNS]; /* the column of the call that is each of the schema's */
    uint32_t column_count;       /* of perigee_rows */
    struct domain domain[CAP_GROUPS];
    struct lane *lane; /* as many as DuckDB has threads */
    uint64_t field_rows, rows;
    enum err err; /* the first one */
};

/* --- Lanes ---------------------------------------------------------------------------------------------------------- */

static struct lane *free_lane(struct tables *t)
{
    for (uint32_t i = 0; i < t->lane_count; i++)
        if (!t->run->lane[i].busy) return &t->run->lane[i];
    return NULL;
}

static struct lane *lane_take(struct tables *t)
{
    struct lane *lane;
    (void)pthread_mutex_lock(&t->lock);
    ASSERT(t->run != NULL);
    while ((lane = free_lane(t)) == NULL) (void)pthread_cond_wait(&t->lane_free, &t->lock);
    lane->busy = true;
    (void)pthread_mutex_unlock(&t->lock);
    return lane;
}

static void lane_give(struct tables *t, struct lane *lane, uint64_t rows, enum err err)
{
    (void)pthread_mutex_lock(&t->lock);
    lane->busy = false;
    t->run->rows += rows;
    if (t->run->err == OK) t->run->err = err;
    (void)pthread_cond_signal(&t->lane_free);
    (void)pthread_mutex_unlock(&t->lock);
}

/* --- Numbers -------------------------------------------------------------------------------------------------------- */

static void read_type(struct number_column *column, const struct duckdb *api, duckdb_vector vector)
{
    duckdb_logical_type type = api->vector_get_column_type(vector);
    *column = (struct number_column){.type = (enum duckdb_type)api->get_type_id(type)};
    column->storage = column->type;
    if (column->type == DUCKDB_DECIMAL) {
        column->scale = api->decimal_scale(type);
        column->storage = (enum duckdb_type)api->decimal_internal_type(type);
    }
    api->destroy_logical_type(&type);
}

static void widen_huge(int64_t *out, const struct duckdb_hugeint *data, uint32_t count, uint32_t scale,
                       uint32_t places)
{
    for (uint32_t row = 0; row < count; row++) {
        const grid_wide value =
            (grid_wide)data[row].upper * ((grid_wide)1 << 64) + (grid_wide)data[row].lower;
        out[row] = grid_from_decimal(value, scale, places);
    }
}

#define WIDEN(type, expression)                                                                              \
    do {                                                                                                     \
        const type *values = data;                                                                           \
        for (uint32_t row = 0; row < count; row++) out[row] = expression;                                    \
    } while (0)

static void read_integers(int64_t *out, const struct number_column *column, const void *data, uint32_t count,
                          uint32_t places)
{
    switch (column->storage) {
    case DUCKDB_BOOLEAN: WIDEN(uint8_t, values[row] != 0); break;
    case DUCKDB_TINYINT: WIDEN(int8_t, values[row]); break;
    case DUCKDB_SMALLINT: WIDEN(int16_t, values[row]); break;
    case DUCKDB_INTEGER: WIDEN(int32_t, values[row]); break;
    case DUCKDB_BIGINT: memcpy(out, data, count * sizeof *out); break;
    case DUCKDB_HUGEINT: widen_huge(out, data, count, column->scale, places); return;
    case DUCKDB_FLOAT:
    case DUCKDB_DOUBLE:
    case DUCKDB_DATE:
    case DUCKDB_VARCHAR:
    case DUCKDB_DECIMAL:
    case DUCKDB_ANY: UNREACHABLE();
    }
    grid_from_integers(out, count, column->scale, places);
}

static bool is_real(const struct number_column *column)
{
    return column->type == DUCKDB_DOUBLE || column->type == DUCKDB_FLOAT;
}

static const double *read_reals(struct lane *lane, const struct number_column *column, const void *data,
                                uint32_t count)
{
    if (column->type == DUCKDB_DOUBLE) return data;
    const float *values = data;
    for (uint32_t row = 0; row < count; row++) lane->real[row] = (double)values[row];
    return lane->real;
}

static uint32_t drop_nans(uint64_t *valid, const double *values, uint32_t count)
{
    uint32_t nans = 0;
    for (uint32_t row = 0; row < count; row++) {
        const uint64_t nan = isnan(values[row]) ? 1 : 0;
        valid[row / 64] &= ~(nan << (row % 64));
        nans += (uint32_t)nan;
    }
    return nans;
}

static void zero_invalid(int64_t *value, const uint64_t *valid, uint32_t count)
{
    for (uint32_t row = 0; row < count; row++)
        value[row] = (valid[row / 64] >> (row % 64) & 1) != 0 ? value[row] : 0;
}

/* A count reads no number, only whether there is one. */
static void fill_statistic(struct tables_chunk *chunk, const struct tables_run *run, struct lane *lane,
                           uint32_t index, duckdb_vector vector)
{
    const struct statistic *statistic = &run->scan->select->step->statistic[index];
    const struct number_column *column = &lane->number[index];
    const void *data = run->api->vector_get_data(vector);
    const uint64_t *validity = run->api->vector_get_validity(vector);
    const bool sum = statistic->kind == STATISTIC_SUM;
    int64_t *value = lane->value[index];
    uint64_t *valid = lane->valid[index];
    const size_t words = (chunk->row_count + 63) / 64;
    uint32_t nans = 0;
    memset(valid, 255, words * sizeof *valid);
    if (validity != NULL) memcpy(valid, validity, words * sizeof *valid);
    if (is_real(column)) {
        const double *reals = read_reals(lane, column, data, chunk->row_count);
        nans = sum ? grid_from_doubles(value, valid, reals, chunk->row_count, statistic->places)
                   : drop_nans(valid, reals, chunk->row_count);
    } else if (sum) {
        read_integers(value, column, data, chunk->row_count, statistic->places);
    }
    chunk->valid[index] = validity != NULL || nans > 0 ? valid : NULL;
    if (sum && chunk->valid[index] != NULL) zero_invalid(value, valid, chunk->row_count);
    chunk->value[index] = sum ? value : NULL;
}

/* --- Fields --------------------------------------------------------------------------------------------------------- */

static bool has_long_text(const union duckdb_string *text, const uint64_t *validity, uint32_t count)
{
    bool found = false;
    for (uint32_t row = 0; row < count; row++)
        if (text[row].inside.length > TABLES_TEXT_BYTES_MAX) found = found || duckdb_valid(validity, row);
    return found;
}

/* That a call has a field means that DuckDB has read it as its declared type. */
static enum err check_fields(const struct tables_run *run, duckdb_chunk rows, uint32_t row_count)
{
    for (uint32_t i = 0; i < run->schema->column_count; i++) {
        if (run->schema->column[i].type != COLUMN_TEXT) continue;
        duckdb_vector vector = run->api->data_chunk_get_vector(rows, run->field[i]);
        if (has_long_text(run->api->vector_get_data(vector), run->api->vector_get_validity(vector),
                          row_count))
            return ERR_REFUSED;
    }
    return OK;
}

/* --- Chunks --------------------------------------------------------------------------------------------------------- */

static void fill_units(struct lane *lane, const union duckdb_string *text, const uint64_t *validity,
                       uint32_t row_count)
{
    for (uint32_t row = 0; row < row_count; row++) {
        if (!duckdb_valid(validity, row)) {
            lane->cell[row] = TABLES_NO_CELL;
            continue;
        }
        struct hash32 hash = sha256(duckdb_string_span(&text[row]));
        memcpy(lane->unit[row].bytes, hash.bytes, sizeof lane->unit[row].bytes);
    }
}

/* Columns as put_query lists them. */
static void fill(struct tables_chunk *chunk, const struct tables_run *run, struct lane *lane,
                 duckdb_chunk rows)
{
    const struct tables_select *select = run->scan->select;
    const struct duckdb *api = run->api;
    uint64_t column = 0;
    memset(lane->cell, 0, chunk->row_count * sizeof *lane->cell);
    if (select->unit >= 0) {
        duckdb_vector vector = api->data_chunk_get_vector(rows, column++);
        fill_units(lane, api->vector_get_data(vector), api->vector_get_validity(vector), chunk->row_count);
    }
    for (uint32_t i = 0; i < select->step->group_count; i++) {
        duckdb_vector vector = api->data_chunk_get_vector(rows, column++);
        domain_cells(&run->domain[i], lane->cell, api->vector_get_data(vector),
                     api->vector_get_validity(vector), chunk->row_count);
    }
    for (uint32_t i = 0; i < select->step->statistic_count; i++) {
        if (select->value[i] < 0) continue;
        duckdb_vector vector = api->data_chunk_get_vector(rows, column++);
        if (!lane->typed) read_type(&lane->number[i], api, vector);
        fill_statistic(chunk, run, lane, i, vector);
    }
    lane->typed = true;
    chunk->cell = lane->cell;
    chunk->unit = select->unit >= 0 ? lane->unit : NULL;
}

static uint32_t row_count(const struct duckdb *api, duckdb_chunk rows)
{
    const uint64_t count = api->data_chunk_get_size(rows);
    if (count > DUCKDB_CHUNK_ROWS) UNREACHABLE();
    return (uint32_t)count;
}

static enum err take_rows(void *context, duckdb_chunk rows)
{
    struct tables *t = context;
    struct lane *lane = lane_take(t);
    const struct tables_run *run = t->run;
    struct tables_chunk chunk = {.row_count = row_count(run->api, rows),
                                 .lane = (uint32_t)(lane - run->lane)};
    enum err err = run->fields == FIELDS_BESIDE ? check_fields(run, rows, chunk.row_count) : OK;
    if (err == OK) {
        fill(&chunk, run, lane, rows);
        err = run->scan->take(run->scan->context, &chunk);
    }
    lane_give(t, lane, chunk.row_count, err);
    return err;
}

static enum err take_fields(void *context, duckdb_chunk rows)
{
    struct tables *t = context;
    const uint32_t count = row_count(t->session.api, rows);
    (void)pthread_mutex_lock(&t->lock);
    ASSERT(t->run != NULL);
    t->run->field_rows += count;
    const struct tables_run *run = t->run;
    (void)pthread_mutex_unlock(&t->lock);
    return check_fields(run, rows, count);
}

enum err tables_scan_register(struct tables *t)
{
    t->fields = (struct duckdb_function){"perigee_fields", take_fields, t};
    t->rows = (struct duckdb_function){"perigee_rows", take_rows, t};
    TRY(duckdb_session_function(&t->session, &t->fields));
    return duckdb_session_function(&t->session, &t->rows);
}

/* --- The query ------------------------------------------------------------------------------------------------------ */

static void put_output(struct tables_run *run, struct buffer *sql, int output, bool as_text)
{
    if (run->column_count++ > 0) buffer_put_text(sql, ", ");
    buffer_put_text(sql, as_text ? "CAST(c" : "c");
    buffer_put_decimal(sql, output);
    buffer_put_text(sql, as_text ? " AS VARCHAR)" : "");
}

/* Unit, groups, values in this order. */
static void put_outputs(struct tables_run *run, struct buffer *sql)
{
    const struct tables_select *select = run->scan->select;
    if (select->unit >= 0) put_output(run, sql, select->unit, true);
    for (uint32_t i = 0; i < select->step->group_count; i++) put_output(run, sql, select->group[i], true);
    for (uint32_t i = 0; i < select->step->statistic_count; i++)
        if (select->value[i] >= 0) put_output(run, sql, select->value[i], false);
}

/* The column of the outputs above that is the field and nothing else; -1: none. */
static int output_of(const struct tables_select *select, uint32_t field)
{
    int outputs[1 + CAP_GROUPS + CAP_STATISTICS], count = 0;
    if (select->unit >= 0) outputs[count++] = select->unit;
    for (uint32_t i = 0; i < select->step->group_count; i++) outputs[count++] = select->group[i];
    for (uint32_t i = 0; i < select->step->statistic_count; i++)
        if (select->value[i] >= 0) outputs[count++] = select->value[i];
    for (int i = 0; i < count; i++)
        if (select->plan.column[outputs[i]].source == (int)field) return i;
    return -1;
}

static void put_field(struct buffer *sql, const struct tables_run *run, uint32_t field)
{
    buffer_put_text(sql, "\"input\".");
    sql_put_identifier(sql, run->schema->column[field].name);
}

/* Without a condition a row's fields come with its outputs: those that are none themselves, as f0, f1 and on. */
static void put_fields_beside(struct tables_run *run, struct buffer *sql, struct buffer *more)
{
    for (uint32_t i = 0; i < run->schema->column_count; i++) {
        const int output = output_of(run->scan->select, i);
        run->field[i] = output >= 0 ? (uint32_t)output : run->column_count;
        if (output >= 0) continue;
        buffer_put_text(sql, run->column_count++ > 0 ? ", f" : "f");
        buffer_put_decimal(sql, i);
        buffer_put_text(more, ", ");
        put_field(more, run, i);
        buffer_put_text(more, " AS f");
        buffer_put_decimal(more, i);
    }
}

/* With one, they must be read of the rows that it leaves out as well. */
static void put_fields_before(struct tables_run *run, struct buffer *more)
{
    buffer_put_text(more, "perigee_fields(");
    for (uint32_t i = 0; i < run->schema->column_count; i++) {
        run->field[i] = i;
        if (i > 0) buffer_put_text(more, ", ");
        put_field(more, run, i);
    }
    buffer_put_text(more, ")");
}

static void put_query(struct tables_run *run, struct buffer *sql, struct buffer *more)
{
    const struct tables_scan *scan = run->scan;
    struct select_more added = {SPAN_NONE, SPAN_NONE};
    buffer_put_text(sql, "SELECT count(perigee_rows(");
    put_outputs(run, sql);
    if (run->fields == FIELDS_BESIDE) put_fields_beside(run, sql, more);
    if (run->fields == FIELDS_BEFORE) put_fields_before(run, more);
    if (run->column_count == 0) buffer_put_text(sql, "0");
    buffer_put_text(sql, ")) FROM (");
    *(run->fields == FIELDS_BESIDE ? &added.outputs : &added.first) = buffer_span(more);
    select_plan_put(sql, &scan->select->plan, scan->input, scan->choice, &added);
    buffer_put_text(sql, ")");
    buffer_put_zero(sql);
}

static enum err run_query(struct tables *t, struct tables_run *run, uint8_t *room)
{
    uint64_t called = 0;
    struct buffer sql = buffer_make(room, QUERY_BYTES_MAX),
                  more = buffer_make(room + QUERY_BYTES_MAX, FIELDS_BYTES_MAX);
    put_query(run, &sql, &more);
    TRY(buffer_done(&more));
    TRY(buffer_done(&sql));
    enum err err = tables_read_counts(t, (const char *)room, &called, 1, NULL, 0);
    if (err == ERR_SQL) return run->err != OK ? run->err : ERR_REFUSED;
    return err == OK && called != run->rows ? ERR_REFUSED : err;
}

static void set_run(struct tables *t, struct tables_run *run)
{
    (void)pthread_mutex_lock(&t->lock);
    t->run = run;
    (void)pthread_mutex_unlock(&t->lock);
}

static enum err run_scan(struct tables *t, struct tables_run *run)
{
    const size_t lanes_bytes = t->lane_count * sizeof *run->lane;
    uint8_t *room = malloc(QUERY_BYTES_MAX + FIELDS_BYTES_MAX);
    run->lane = calloc(1, lanes_bytes);
    if (room == NULL || run->lane == NULL) {
        free(room);
        free(run->lane);
        return ERR_NO_MEMORY;
    }
    set_run(t, run);
    enum err err = run_query(t, run, room);
    set_run(t, NULL);
    secret_wipe(run->lane, lanes_bytes);
    free(run->lane);
    free(room);
    return err;
}

enum err tables_scan(struct tables *t, uint64_t *row_count, const struct tables_scan *scan)
{
    ASSERT(t->locked && t->run == NULL && scan->input < t->source_count);
    const bool first = !t->checked[scan->input], filtered = scan->select->plan.condition[0] != 0;
    if (first && tables_check_types(t, scan->input, NULL, 0) != OK) return ERR_REFUSED;
    struct tables_run run = {.api = t->session.api,
                             .scan = scan,
                             .schema = t->source[scan->input].schema,
                             .fields = !first     ? FIELDS_NONE
                                       : filtered ? FIELDS_BEFORE
                                                  : FIELDS_BESIDE};
    for (uint32_t i = 0; i < scan->select->step->group_count; i++)
        domain_init(&run.domain[i], &scan->select->step->group[i]);
    TRY(run_scan(t, &run));
    if (first) t->row_count[scan->input] = filtered ? run.field_rows : run.rows;
    t->checked[scan->input] = true;
    *row_count = t->row_count[scan->input];
    return OK;
}
