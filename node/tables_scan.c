/* A step's SELECT over one input, in all of DuckDB's threads. The query that does it gives nothing but the number of rows for
 * which a function of ours, perigee_rows, was called; what that function is called with are the rows. What each column means,
 * places in a domain or values on a grid, is computed before it by functions of one column, which DuckDB applies to a
 * column's dictionary instead of its rows where the file has one. */
#include "node/tables_state.h"

#include "crypto/hash.h"
#include "crypto/secret.h"
#include "node/domain.h"
#include "node/grid.h"
#include "node/sql_print.h"
#include "proto/base/panic.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    QUERY_BYTES_MAX = 2 * SQL_PRINT_BYTES_MAX + SELECT_CHOSEN_MAX + 2 * 64 * 1024,
    FIELDS_BYTES_MAX = 64 * 1024,
    VALID_WORDS = DUCKDB_CHUNK_ROWS / 64,
};

/* A column that is read as a number. */
struct number_column {
    enum duckdb_type type, storage; /* storage: of a DECIMAL, else the type */
    uint32_t scale;
};

/* What one thread makes of a chunk. */
struct lane {
    bool busy;
    struct tables_unit unit[DUCKDB_CHUNK_ROWS];
    uint32_t cell[DUCKDB_CHUNK_ROWS];
};

/* Which fields of a row are read to be checked, and how. */
enum fields { FIELDS_NONE, FIELDS_BESIDE, FIELDS_BEFORE };

struct tables_run {
    const struct duckdb *api;
    const struct tables_scan *scan;
    const struct schema *schema;
    enum fields fields;
    bool uses[CAP_COLUMNS];            /* fields that are outputs, read as they are */
    uint32_t column_count;             /* of perigee_rows */
    uint32_t short_first, short_count; /* of those, the ones that say whether a text is short enough */
    struct domain domain[CAP_GROUPS];
    struct lane *lane; /* as many as DuckDB has threads */
    uint64_t field_rows, rows;
    enum err err; /* the first one */
};

/* The lock lets a thread that DuckDB made see what was set up before. */
static struct tables_run *run_of(struct tables *t)
{
    (void)pthread_mutex_lock(&t->lock);
    struct tables_run *run = t->run;
    (void)pthread_mutex_unlock(&t->lock);
    ASSERT(run != NULL);
    return run;
}

static uint32_t row_count(const struct duckdb *api, duckdb_chunk rows)
{
    const uint64_t count = api->data_chunk_get_size(rows);
    if (count > DUCKDB_CHUNK_ROWS) UNREACHABLE();
    return (uint32_t)count;
}

/* A column of a call's rows. */
struct vector {
    duckdb_vector handle;
    const void *data;
    const uint64_t *validity; /* NULL: no NULLs */
};

static struct vector vector_at(const struct duckdb *api, duckdb_chunk rows, uint64_t column)
{
    duckdb_vector handle = api->data_chunk_get_vector(rows, column);
    return (struct vector){handle, api->vector_get_data(handle), api->vector_get_validity(handle)};
}

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
    while ((lane = free_lane(t)) == NULL) (void)pthread_cond_wait(&t->lane_free, &t->lock);
    lane->busy = true;
    (void)pthread_mutex_unlock(&t->lock);
    return lane;
}

static void lane_give(struct tables *t, struct lane *lane, enum err err)
{
    (void)pthread_mutex_lock(&t->lock);
    lane->busy = false;
    if (t->run->err == OK) t->run->err = err;
    (void)pthread_cond_signal(&t->lane_free);
    (void)pthread_mutex_unlock(&t->lock);
}

/* --- perigee_value: on the grid of a statistic, NULL where there is no value ------------------------------------------ */

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

static void read_huge(int64_t *out, const struct duckdb_hugeint *data, uint32_t count, uint32_t scale,
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
    case DUCKDB_HUGEINT: read_huge(out, data, count, column->scale, places); return;
    case DUCKDB_FLOAT:
    case DUCKDB_DOUBLE:
    case DUCKDB_DATE:
    case DUCKDB_VARCHAR:
    case DUCKDB_DECIMAL:
    case DUCKDB_ANY: UNREACHABLE();
    }
    grid_from_integers(out, count, column->scale, places);
}

static uint32_t read_floats(int64_t *out, uint64_t *valid, const float *data, uint32_t count, uint32_t places)
{
    double block[64];
    uint32_t nans = 0;
    for (uint32_t from = 0; from < count; from += 64) {
        const uint32_t some = count - from < 64 ? count - from : 64;
        for (uint32_t i = 0; i < some; i++) block[i] = (double)data[from + i];
        nans += grid_from_doubles(out + from, valid + from / 64, block, some, places);
    }
    return nans;
}

/* Returns whether it took a bit of valid away. */
static bool read_numbers(int64_t *out, uint64_t *valid, const struct number_column *column, const void *data,
                         uint32_t count, uint32_t places)
{
    if (column->type == DUCKDB_DOUBLE) return grid_from_doubles(out, valid, data, count, places) > 0;
    if (column->type == DUCKDB_FLOAT) return read_floats(out, valid, data, count, places) > 0;
    read_integers(out, column, data, count, places);
    return false;
}

static bool is_real(const struct number_column *column)
{
    return column->type == DUCKDB_DOUBLE || column->type == DUCKDB_FLOAT;
}

/* A count needs no number, only whether there is one: NaN is none. */
static enum err give_values(void *context, duckdb_chunk rows, duckdb_vector result)
{
    const struct tables_run *run = run_of(context);
    const uint32_t count = row_count(run->api, rows);
    if (count == 0) return OK;
    const struct vector index = vector_at(run->api, rows, 0), from = vector_at(run->api, rows, 1);
    const struct statistic *statistic = &run->scan->select->step->statistic[((const int32_t *)index.data)[0]];
    struct number_column column;
    uint64_t valid[VALID_WORDS];
    int64_t *value = run->api->vector_get_data(result);
    read_type(&column, run->api, from.handle);
    memset(valid, 255, sizeof valid);
    if (from.validity != NULL) memcpy(valid, from.validity, (count + 63) / 64 * sizeof *valid);
    bool has_null = from.validity != NULL;
    if (statistic->kind == STATISTIC_SUM || is_real(&column))
        has_null |= read_numbers(value, valid, &column, from.data, count, statistic->places);
    else
        memset(value, 0, count * sizeof *value);
    if (!has_null) return OK;
    run->api->vector_ensure_validity_writable(result);
    memcpy(run->api->vector_get_validity(result), valid, (count + 63) / 64 * sizeof *valid);
    return OK;
}

/* --- perigee_place, perigee_short ------------------------------------------------------------------------------------- */

static enum err give_places(void *context, duckdb_chunk rows, duckdb_vector result)
{
    const struct tables_run *run = run_of(context);
    const uint32_t count = row_count(run->api, rows);
    if (count == 0) return OK;
    const struct vector index = vector_at(run->api, rows, 0), text = vector_at(run->api, rows, 1);
    domain_places(&run->domain[((const int32_t *)index.data)[0]], run->api->vector_get_data(result),
                  text.data, text.validity, count);
    return OK;
}

static enum err give_short(void *context, duckdb_chunk rows, duckdb_vector result)
{
    const struct duckdb *api = ((struct tables *)context)->session.api;
    const uint32_t count = row_count(api, rows);
    const struct vector from = vector_at(api, rows, 0);
    const union duckdb_string *text = from.data;
    uint8_t *is_short = api->vector_get_data(result);
    for (uint32_t row = 0; row < count; row++)
        is_short[row] = !duckdb_valid(from.validity, row) || text[row].inside.length <= TABLES_TEXT_BYTES_MAX;
    return OK;
}

/* --- perigee_rows, perigee_fields ------------------------------------------------------------------------------------- */

static enum err counted(struct tables *t, const struct tables_run *run, uint64_t *rows, uint32_t more)
{
    const uint64_t most = run->scan->rows_most;
    (void)pthread_mutex_lock(&t->lock);
    *rows += more;
    const bool too_many = *rows > most;
    (void)pthread_mutex_unlock(&t->lock);
    return too_many ? ERR_REFUSED : OK;
}

static enum err check_short(const struct tables_run *run, duckdb_chunk rows, uint32_t first,
                            uint32_t row_count)
{
    for (uint32_t i = 0; i < run->short_count; i++)
        if (memchr(vector_at(run->api, rows, first + i).data, false, row_count) != NULL) return ERR_REFUSED;
    return OK;
}

static void fill_units(struct lane *lane, const struct vector *unit, uint32_t row_count)
{
    const union duckdb_string *text = unit->data;
    for (uint32_t row = 0; row < row_count; row++) {
        if (!duckdb_valid(unit->validity, row)) {
            lane->cell[row] = TABLES_NO_CELL;
            continue;
        }
        struct hash32 hash = sha256(duckdb_string_span(&text[row]));
        memcpy(lane->unit[row].bytes, hash.bytes, sizeof lane->unit[row].bytes);
    }
}

/* cell = cell of the groups before * size of this domain + place in it. */
static void fill_group(uint32_t *cell, const struct vector *group, uint32_t domain_count, uint32_t row_count)
{
    const int8_t *place = group->data;
    for (uint32_t row = 0; row < row_count; row++) {
        const bool none = cell[row] == TABLES_NO_CELL || place[row] == DOMAIN_NONE ||
                          !duckdb_valid(group->validity, row); /* give_places leaves no NULL */
        cell[row] = none ? TABLES_NO_CELL : cell[row] * domain_count + (uint32_t)place[row];
    }
}

/* Columns as put_outputs lists them. */
static void fill(struct tables_chunk *chunk, const struct tables_run *run, struct lane *lane,
                 duckdb_chunk rows)
{
    const struct tables_select *select = run->scan->select;
    uint64_t column = 0;
    memset(lane->cell, 0, chunk->row_count * sizeof *lane->cell);
    chunk->cell = lane->cell;
    if (select->unit >= 0) {
        const struct vector unit = vector_at(run->api, rows, column++);
        fill_units(lane, &unit, chunk->row_count);
        chunk->unit = lane->unit;
    }
    for (uint32_t i = 0; i < select->step->group_count; i++) {
        const struct vector group = vector_at(run->api, rows, column++);
        fill_group(lane->cell, &group, select->step->group[i].domain_count, chunk->row_count);
    }
    for (uint32_t i = 0; i < select->step->statistic_count; i++) {
        if (select->value[i] < 0) continue;
        const struct vector value = vector_at(run->api, rows, column++);
        chunk->value[i] = value.data;
        chunk->valid[i] = value.validity;
    }
}

static enum err take_rows(void *context, duckdb_chunk rows, duckdb_vector result)
{
    struct tables *t = context;
    struct tables_run *run = run_of(t);
    struct lane *lane = lane_take(t);
    struct tables_chunk chunk = {.row_count = row_count(run->api, rows),
                                 .lane = (uint32_t)(lane - run->lane)};
    memset(run->api->vector_get_data(result), true, chunk.row_count);
    enum err err = counted(t, run, &run->rows, chunk.row_count);
    if (err == OK && run->fields == FIELDS_BESIDE)
        err = check_short(run, rows, run->short_first, chunk.row_count);
    if (err == OK) {
        fill(&chunk, run, lane, rows);
        err = run->scan->take(run->scan->context, &chunk);
    }
    lane_give(t, lane, err);
    return err;
}

static enum err take_fields(void *context, duckdb_chunk rows, duckdb_vector result)
{
    struct tables *t = context;
    struct tables_run *run = run_of(t);
    const uint32_t count = row_count(run->api, rows);
    memset(run->api->vector_get_data(result), true, count);
    TRY(counted(t, run, &run->field_rows, count));
    return check_short(run, rows, 0, count);
}

enum err tables_scan_register(struct tables *t)
{
    const struct duckdb_function functions[TABLES_FUNCTIONS] = {
        {"perigee_rows", DUCKDB_BOOLEAN, false, take_rows, t},
        {"perigee_fields", DUCKDB_BOOLEAN, false, take_fields, t},
        {"perigee_value", DUCKDB_BIGINT, true, give_values, t},
        {"perigee_place", DUCKDB_TINYINT, true, give_places, t},
        {"perigee_short", DUCKDB_BOOLEAN, true, give_short, t},
    };
    memcpy(t->function, functions, sizeof functions);
    for (uint32_t i = 0; i < TABLES_FUNCTIONS; i++)
        TRY(duckdb_session_function(&t->session, &t->function[i]));
    return OK;
}

/* --- The query ------------------------------------------------------------------------------------------------------ */

static void put_numbered(struct buffer *sql, const char *text, uint32_t number)
{
    buffer_put_text(sql, text);
    buffer_put_decimal(sql, number);
}

/* Begin a column of perigee_rows. */
static void begin_column(struct tables_run *run, struct buffer *sql)
{
    if (run->column_count++ > 0) buffer_put_text(sql, ", ");
}

/* An output that is a column and nothing else is read as the field it is: TRY would make rows of its dictionary. */
static void put_output(struct tables_run *run, struct buffer *sql, int output)
{
    const int source = run->scan->select->plan.column[output].source;
    if (source >= 0) run->uses[source] = true;
    put_numbered(sql, source >= 0 ? "f" : "c", (uint32_t)(source >= 0 ? source : output));
}

static void put_text(struct tables_run *run, struct buffer *sql, int output)
{
    buffer_put_text(sql, "CAST(");
    put_output(run, sql, output);
    buffer_put_text(sql, " AS VARCHAR)");
}

/* Unit, groups, values in this order. */
static void put_outputs(struct tables_run *run, struct buffer *sql)
{
    const struct tables_select *select = run->scan->select;
    if (select->unit >= 0) {
        begin_column(run, sql);
        put_text(run, sql, select->unit);
    }
    for (uint32_t i = 0; i < select->step->group_count; i++) {
        begin_column(run, sql);
        put_numbered(sql, "perigee_place(", i);
        buffer_put_text(sql, ", ");
        put_text(run, sql, select->group[i]);
        buffer_put_text(sql, ")");
    }
    for (uint32_t i = 0; i < select->step->statistic_count; i++) {
        if (select->value[i] < 0) continue;
        begin_column(run, sql);
        put_numbered(sql, "perigee_value(", i);
        buffer_put_text(sql, ", ");
        put_output(run, sql, select->value[i]);
        buffer_put_text(sql, ")");
    }
}

static void put_field(struct buffer *sql, const struct tables_run *run, uint32_t field)
{
    buffer_put_text(sql, "\"input\".");
    sql_put_identifier(sql, run->schema->column[field].name);
}

static bool is_text(const struct tables_run *run, uint32_t field)
{
    return run->schema->column[field].type == COLUMN_TEXT;
}

/* Where the outputs are columns and there is no condition, a row's fields come with them. */
static void put_fields_beside(struct tables_run *run, struct buffer *sql)
{
    run->short_first = run->column_count;
    for (uint32_t i = 0; i < run->schema->column_count; i++) {
        if (!is_text(run, i)) continue;
        begin_column(run, sql);
        put_numbered(sql, "perigee_short(f", i);
        buffer_put_text(sql, ")");
        run->short_count++;
    }
    for (uint32_t i = 0; i < run->schema->column_count; i++) {
        if (is_text(run, i) || run->uses[i]) continue; /* a number that is an output is read as one */
        begin_column(run, sql);
        put_numbered(sql, "f", i);
    }
    for (uint32_t i = 0; i < run->schema->column_count; i++) run->uses[i] = true;
}

/* Else they come first: of the rows that a condition leaves out as well, and before anything is computed of them. */
static void put_fields_before(struct tables_run *run, struct buffer *first)
{
    buffer_put_text(first, "perigee_fields(");
    for (int texts = 1; texts >= 0; texts--)
        for (uint32_t i = 0; i < run->schema->column_count; i++) {
            if (is_text(run, i) != (texts == 1)) continue;
            buffer_put_text(first, texts == 1 ? "perigee_short(" : "");
            put_field(first, run, i);
            buffer_put_text(first, texts == 1 ? "), " : ", ");
            run->short_count += (uint32_t)texts;
        }
    buffer_put_text(first, "0)");
}

/* Fields as f0, f1 and on. */
static void put_used(const struct tables_run *run, struct buffer *outputs)
{
    for (uint32_t i = 0; i < run->schema->column_count; i++) {
        if (!run->uses[i]) continue;
        buffer_put_text(outputs, ", ");
        put_field(outputs, run, i);
        put_numbered(outputs, " AS f", i);
    }
}

static void put_query(struct tables_run *run, struct buffer *sql, struct buffer *outputs,
                      struct buffer *first)
{
    const struct tables_scan *scan = run->scan;
    buffer_put_text(sql, "SELECT count(perigee_rows(");
    put_outputs(run, sql);
    if (run->fields == FIELDS_BESIDE) put_fields_beside(run, sql);
    if (run->fields == FIELDS_BEFORE) put_fields_before(run, first);
    put_used(run, outputs);
    if (run->column_count == 0) buffer_put_text(sql, "0");
    buffer_put_text(sql, ")) FROM (");
    const struct select_more more = {buffer_span(outputs), buffer_span(first)};
    select_plan_put(sql, &scan->select->plan, scan->input, scan->choice, &more);
    buffer_put_text(sql, ")");
    buffer_put_zero(sql);
}

static enum err run_query(struct tables *t, struct tables_run *run, uint8_t *room)
{
    uint64_t called = 0;
    struct buffer outputs = buffer_make(room, FIELDS_BYTES_MAX);
    struct buffer first = buffer_make(room + FIELDS_BYTES_MAX, FIELDS_BYTES_MAX);
    struct buffer sql = buffer_make(room + 2 * FIELDS_BYTES_MAX, QUERY_BYTES_MAX);
    put_query(run, &sql, &outputs, &first);
    TRY(buffer_done(&outputs));
    TRY(buffer_done(&first));
    TRY(buffer_done(&sql));
    enum err err = tables_read_counts(t, (const char *)sql.data, &called, 1, NULL, 0);
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
    uint8_t *room = malloc(QUERY_BYTES_MAX + 2 * FIELDS_BYTES_MAX);
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

/* An expression, or a condition, is computed of texts that have been found short enough. */
static bool select_computes(const struct select_plan *plan)
{
    bool computes = plan->condition[0] != 0;
    for (uint32_t i = 0; i < plan->column_count; i++) computes |= plan->column[i].source < 0;
    return computes;
}

enum err tables_scan(struct tables *t, uint64_t *row_count, const struct tables_scan *scan)
{
    ASSERT(t->locked && t->run == NULL && scan->input < t->source_count);
    const bool first = !t->checked[scan->input], computes = select_computes(&scan->select->plan);
    if (first && tables_check_types(t, scan->input, NULL, 0) != OK) return ERR_REFUSED;
    struct tables_run run = {.api = t->session.api,
                             .scan = scan,
                             .schema = t->source[scan->input].schema,
                             .fields = !first     ? FIELDS_NONE
                                       : computes ? FIELDS_BEFORE
                                                  : FIELDS_BESIDE};
    for (uint32_t i = 0; i < scan->select->step->group_count; i++)
        domain_init(&run.domain[i], &scan->select->step->group[i]);
    TRY(run_scan(t, &run));
    if (first) t->row_count[scan->input] = computes ? run.field_rows : run.rows;
    t->checked[scan->input] = true;
    *row_count = t->row_count[scan->input];
    return OK;
}
