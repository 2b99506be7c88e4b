#include "node/tables_state.h"

#include "node/sql_check.h"
#include "proto/base/panic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SQL_BYTES_MAX = 64 * 1024 };

/* --- Opening -------------------------------------------------------------------------------------------------------- */

enum err tables_open(struct tables **out, uint32_t threads, uint64_t memory_bytes, char *why, size_t why_len)
{
    *out = NULL;
    struct tables *t = calloc(1, sizeof *t);
    if (t == NULL) return ERR_NO_MEMORY;
    t->lane_count = threads;
    if (pthread_mutex_init(&t->lock, NULL) != 0 || pthread_cond_init(&t->lane_free, NULL) != 0) {
        free(t);
        return ERR_NO_MEMORY;
    }
    enum err err = duckdb_session_open(&t->session, threads, memory_bytes, why, why_len);
    if (err == OK) err = tables_scan_register(t);
    if (err != OK) {
        tables_close(t);
        return err;
    }
    *out = t;
    return OK;
}

uint32_t tables_lane_count(const struct tables *t)
{
    return t->lane_count;
}

void tables_close(struct tables *t)
{
    if (t == NULL) return;
    duckdb_session_close(&t->session);
    (void)pthread_mutex_destroy(&t->lock);
    (void)pthread_cond_destroy(&t->lane_free);
    free(t);
}

static bool delimiter_fits(char delimiter)
{
    return delimiter == '\t' ||
           (delimiter >= ' ' && delimiter < 127 && delimiter != '"' && delimiter != '\'');
}

enum err tables_add(struct tables *t, const struct tables_source *source)
{
    ASSERT(!t->locked);
    if (t->source_count == CAP_INPUTS) return ERR_FULL;
    if (source->fd < 0 || source->schema->column_count == 0) return ERR_RANGE;
    if (source->format == TABLES_CSV && !delimiter_fits(source->delimiter)) return ERR_RANGE;
    if (source->missing.len > CAP_NAME ||
        (source->missing.len > 0 && memchr(source->missing.data, 0, source->missing.len)))
        return ERR_RANGE;
    t->source[t->source_count++] = *source;
    return OK;
}

static void put_path(struct buffer *sql, int fd)
{
    buffer_put_text(sql, "'/proc/self/fd/");
    buffer_put_decimal(sql, fd);
    buffer_put_text(sql, "'");
}

static void put_csv(struct buffer *sql, const struct tables_source *source)
{
    buffer_put_text(sql, "SELECT * FROM read_csv(");
    put_path(sql, source->fd);
    buffer_put_text(sql, ", columns={");
    for (uint32_t i = 0; i < source->schema->column_count; i++) {
        if (i > 0) buffer_put_text(sql, ", ");
        sql_put_literal(sql, source->schema->column[i].name);
        buffer_put_text(sql, ": '");
        buffer_put_text(sql, sql_column_type(source->schema->column[i].type));
        buffer_put_text(sql, "'");
    }
    buffer_put_text(
        sql, "}, auto_detect=false, compression='none', quote='\"', escape='\"', hive_partitioning=false, "
             "filename=false, delim=");
    sql_put_literal(sql, span_make(&source->delimiter, 1));
    buffer_put_text(sql, source->header ? ", header=true, nullstr=[''" : ", header=false, nullstr=[''");
    if (source->missing.len > 0) { /* each spelling is looked for in each field */
        buffer_put_text(sql, ", ");
        sql_put_literal(sql, source->missing);
    }
    buffer_put_text(sql, "])");
}

static void put_parquet(struct buffer *sql, const struct tables_source *source)
{
    buffer_put_text(sql, "SELECT ");
    for (uint32_t i = 0; i < source->schema->column_count; i++) {
        if (i > 0) buffer_put_text(sql, ", ");
        buffer_put_text(sql, "CAST(");
        sql_put_identifier(sql, source->schema->column[i].name);
        buffer_put_text(sql, " AS ");
        buffer_put_text(sql, sql_column_type(source->schema->column[i].type));
        buffer_put_text(sql, ") AS ");
        sql_put_identifier(sql, source->schema->column[i].name);
    }
    buffer_put_text(sql, " FROM read_parquet(");
    put_path(sql, source->fd);
    buffer_put_text(sql, ", hive_partitioning=false, filename=false, union_by_name=false)");
}

static void put_view(struct buffer *sql, const struct tables_source *source, uint32_t input)
{
    buffer_put_text(sql, "CREATE VIEW in_");
    buffer_put_decimal(sql, input);
    buffer_put_text(sql, " AS ");
    switch (source->format) {
    case TABLES_CSV: put_csv(sql, source); return;
    case TABLES_PARQUET: put_parquet(sql, source); return;
    }
    UNREACHABLE();
}

static enum err lock_with(struct tables *t, struct buffer *sql, char *why, size_t why_len)
{
    for (uint32_t i = 0; i < t->source_count; i++) {
        if (i > 0) buffer_put_text(sql, ", ");
        put_path(sql, t->source[i].fd);
    }
    buffer_put_zero(sql);
    TRY(duckdb_session_lock(&t->session, (const char *)sql->data, why, why_len));
    for (uint32_t i = 0; i < t->source_count; i++) {
        sql->len = 0;
        put_view(sql, &t->source[i], i);
        buffer_put_zero(sql);
        TRY(buffer_done(sql));
        TRY(duckdb_session_run(&t->session, (const char *)sql->data, why, why_len));
    }
    return OK;
}

enum err tables_lock(struct tables *t, char *why, size_t why_len)
{
    ASSERT(!t->locked);
    t->locked = true;
    uint8_t *room = malloc(SQL_BYTES_MAX);
    if (room == NULL) return ERR_NO_MEMORY;
    struct buffer sql = buffer_make(room, SQL_BYTES_MAX);
    enum err err = lock_with(t, &sql, why, why_len);
    free(room);
    return err;
}

static uint64_t first_of(const struct duckdb *api, duckdb_chunk chunk, uint64_t column)
{
    return (uint64_t) * (const int64_t *)api->vector_get_data(api->data_chunk_get_vector(chunk, column));
}

enum err tables_read_counts(struct tables *t, const char *sql, uint64_t *counts, uint32_t count, char *why,
                            size_t why_len)
{
    const struct duckdb *api = t->session.api;
    struct duckdb_result result = {0};
    enum err err = ERR_SQL;
    if (api->query(t->session.connection, sql, &result) == DUCKDB_SUCCESS) {
        duckdb_chunk chunk = api->fetch_chunk(result);
        if (chunk != NULL && api->data_chunk_get_size(chunk) == 1) {
            for (uint32_t i = 0; i < count; i++) counts[i] = first_of(api, chunk, i);
            err = OK;
        }
        if (chunk != NULL) api->destroy_data_chunk(&chunk);
    }
    const char *error = err == OK ? "" : api->result_error(&result);
    if (why_len > 0) (void)snprintf(why, why_len, "%s", error == NULL ? "" : error);
    api->destroy_result(&result);
    return err;
}

/* --- What a Parquet file says its columns are --------------------------------------------------------------------- */

#define WHOLE_TYPES                                                                                          \
    "'TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT', 'UTINYINT', 'USMALLINT', 'UINTEGER', 'UBIGINT'"

/* Types that become the declared one without a guess: no number is rounded to an integer, no text is read as one. */
static const char *parquet_types(enum column_type type)
{
    switch (type) {
    case COLUMN_TEXT: return "'VARCHAR', " WHOLE_TYPES;
    case COLUMN_INTEGER: return WHOLE_TYPES;
    case COLUMN_DECIMAL: return "'DECIMAL', 'FLOAT', 'DOUBLE', " WHOLE_TYPES;
    case COLUMN_BOOLEAN: return "'BOOLEAN'";
    case COLUMN_DATE: return "'DATE'";
    }
    UNREACHABLE();
}

static void put_parquet_type(struct buffer *sql, const struct column *column)
{
    buffer_put_text(sql, "CASE WHEN split_part(typeof(");
    sql_put_identifier(sql, column->name);
    buffer_put_text(sql, "), '(', 1) IN (");
    buffer_put_text(sql, parquet_types(column->type));
    buffer_put_text(sql, ") THEN 0 ELSE error('column ' || ");
    sql_put_literal(sql, column->name);
    buffer_put_text(sql, " || ': expected ");
    buffer_put_text(sql, column_type_names[column->type]);
    buffer_put_text(sql, ", found ' || typeof(");
    sql_put_identifier(sql, column->name);
    buffer_put_text(sql, ")) END");
}

static void put_parquet_types(struct buffer *sql, const struct tables_source *source)
{
    buffer_put_text(sql, "SELECT ");
    for (uint32_t i = 0; i < source->schema->column_count; i++) {
        if (i > 0) buffer_put_text(sql, ", ");
        put_parquet_type(sql, &source->schema->column[i]);
    }
    buffer_put_text(sql, " FROM read_parquet(");
    put_path(sql, source->fd);
    buffer_put_text(sql, ") LIMIT 1"); /* the types are the file's: one row tells them */
    buffer_put_zero(sql);
}

enum err tables_check_types(struct tables *t, uint32_t input, char *why, size_t why_len)
{
    if (t->source[input].format != TABLES_PARQUET) return OK;
    uint8_t *room = malloc(SQL_BYTES_MAX);
    if (room == NULL) return ERR_NO_MEMORY;
    struct buffer sql = buffer_make(room, SQL_BYTES_MAX);
    put_parquet_types(&sql, &t->source[input]);
    enum err err = buffer_done(&sql);
    if (err == OK) err = duckdb_session_run(&t->session, (const char *)room, why, why_len);
    free(room);
    return err;
}

static void put_longest_text(struct buffer *sql, const struct schema *schema)
{
    buffer_put_text(sql, ", coalesce(max(greatest(CAST(0 AS BIGINT)");
    for (uint32_t i = 0; i < schema->column_count; i++) {
        if (schema->column[i].type != COLUMN_TEXT) continue;
        buffer_put_text(sql, ", strlen(");
        sql_put_identifier(sql, schema->column[i].name);
        buffer_put_text(sql, ")");
    }
    buffer_put_text(sql, ")), 0)");
}

static enum err check_longest(uint64_t bytes, char *why, size_t why_len)
{
    if (bytes <= TABLES_TEXT_BYTES_MAX) return OK;
    if (why_len > 0)
        (void)snprintf(why, why_len, "expected texts of at most %d bytes, found one of %llu",
                       TABLES_TEXT_BYTES_MAX, (unsigned long long)bytes);
    return ERR_SQL;
}

/* count(column) makes DuckDB read the field, and so convert it. */
static void put_counts(struct buffer *sql, const struct schema *schema, uint32_t input)
{
    buffer_put_text(sql, "SELECT count(*)");
    put_longest_text(sql, schema);
    for (uint32_t i = 0; i < schema->column_count; i++) {
        buffer_put_text(sql, ", count(");
        sql_put_identifier(sql, schema->column[i].name);
        buffer_put_text(sql, ")");
    }
    buffer_put_text(sql, " FROM in_");
    buffer_put_decimal(sql, input);
    buffer_put_zero(sql);
}

enum err tables_check(struct tables *t, uint32_t input, uint64_t *row_count, char *why, size_t why_len)
{
    ASSERT(t->locked && input < t->source_count);
    uint64_t counts[2] = {0, 0};
    TRY(tables_check_types(t, input, why, why_len));
    uint8_t *room = malloc(SQL_BYTES_MAX);
    if (room == NULL) return ERR_NO_MEMORY;
    struct buffer sql = buffer_make(room, SQL_BYTES_MAX);
    put_counts(&sql, t->source[input].schema, input);
    enum err err = buffer_done(&sql);
    if (err == OK) err = tables_read_counts(t, (const char *)room, counts, 2, why, why_len);
    if (err == OK) err = check_longest(counts[1], why, why_len);
    *row_count = counts[0];
    free(room);
    return err;
}

/* --- A step's SELECT ------------------------------------------------------------------------------------------------ */

static bool type_is_number(enum duckdb_type type)
{
    switch (type) {
    case DUCKDB_BOOLEAN:
    case DUCKDB_TINYINT:
    case DUCKDB_SMALLINT:
    case DUCKDB_INTEGER:
    case DUCKDB_BIGINT:
    case DUCKDB_FLOAT:
    case DUCKDB_DOUBLE:
    case DUCKDB_HUGEINT:
    case DUCKDB_DECIMAL: return true;
    case DUCKDB_DATE:
    case DUCKDB_VARCHAR:
    case DUCKDB_ANY: return false;
    }
    return false; /* a number outside the enum: a type we do not read */
}

static bool type_is_read(enum duckdb_type type)
{
    return type_is_number(type) || type == DUCKDB_DATE || type == DUCKDB_VARCHAR;
}

static enum err find_output(int *out, const struct tables_select *select, const char *part, struct span name,
                            char *why, size_t why_len)
{
    *out = select_plan_find(&select->plan, name);
    if (*out >= 0 && type_is_read(select->plan.column[*out].type)) return OK;
    if (why_len > 0)
        (void)snprintf(why, why_len, "%s '%.*s': found %s; allowed: an output of the SELECT by that name",
                       part, name.len < 60 ? (int)name.len : 60, (const char *)name.data,
                       *out < 0 ? "no such output" : "an output of a type that cannot be read");
    return ERR_SQL;
}

static enum err find_value(struct tables_select *select, uint32_t index, char *why, size_t why_len)
{
    const struct statistic *statistic = &select->step->statistic[index];
    select->value[index] = -1;
    if (statistic->column.len == 0) return OK;
    TRY(find_output(&select->value[index], select, "statistic column", statistic->column, why, why_len));
    if (statistic->kind == STATISTIC_COUNT || type_is_number(select->plan.column[select->value[index]].type))
        return OK;
    if (why_len > 0)
        (void)snprintf(why, why_len,
                       "statistic column '%.60s': found text or a date; allowed: a number to sum",
                       select->plan.column[select->value[index]].name);
    return ERR_SQL;
}

static enum err find_unit(struct tables_select *select, struct span name, char *why, size_t why_len)
{
    select->unit = select->unit_source = -1;
    if (name.len == 0) return OK;
    TRY(find_output(&select->unit, select, "unit column", name, why, why_len));
    select->unit_source = select->plan.column[select->unit].source;
    if (select->unit_source >= 0) return OK;
    if (why_len > 0)
        (void)snprintf(
            why, why_len,
            "unit column '%.60s': found an expression; allowed: a column of the dataset, unchanged",
            select->plan.column[select->unit].name);
    return ERR_SQL;
}

static enum err find_outputs(struct tables_select *select, struct span unit_column, char *why, size_t why_len)
{
    TRY(find_unit(select, unit_column, why, why_len));
    for (uint32_t i = 0; i < select->step->group_count; i++)
        TRY(find_output(&select->group[i], select, "group column", select->step->group[i].name, why,
                        why_len));
    for (uint32_t i = 0; i < select->step->statistic_count; i++) TRY(find_value(select, i, why, why_len));
    return OK;
}

enum err tables_select_make(struct tables_select *out, const struct step *step, struct span unit_column,
                            const struct schema *schema, const struct parameters *parameters, char *why,
                            size_t why_len)
{
    ASSERT(step->group_count <= CAP_GROUPS && step->statistic_count <= CAP_STATISTICS);
    *out = (struct tables_select){.step = step};
    TRY(select_check(&out->plan, step->select, schema, parameters, why, why_len));
    enum err err = find_outputs(out, unit_column, why, why_len);
    if (err != OK) tables_select_free(out);
    return err;
}

void tables_select_free(struct tables_select *select)
{
    select_plan_free(&select->plan);
}

/* --- A query's chunks, one by one ------------------------------------------------------------------------------------- */

struct stream {
    const struct duckdb *api;
    duckdb_statement statement;
    duckdb_pending pending;
    struct duckdb_result result;
};

static enum err stream_open(struct stream *s, struct tables *t, const char *sql)
{
    *s = (struct stream){.api = t->session.api};
    if (s->api->prepare(t->session.connection, sql, &s->statement) != DUCKDB_SUCCESS) return ERR_REFUSED;
    if (s->api->pending_prepared_streaming(s->statement, &s->pending) != DUCKDB_SUCCESS) return ERR_REFUSED;
    return s->api->execute_pending(s->pending, &s->result) == DUCKDB_SUCCESS ? OK : ERR_REFUSED;
}

/* NULL behind the last one, and when something failed: stream_end tells. */
static duckdb_chunk stream_chunk(struct stream *s)
{
    return s->api->fetch_chunk(s->result);
}

static enum err stream_end(struct stream *s)
{
    const char *error = s->api->result_error(&s->result);
    return error == NULL || error[0] == 0 ? OK : ERR_REFUSED;
}

static void stream_close(struct stream *s)
{
    if (s->api == NULL) return;
    s->api->destroy_result(&s->result);
    if (s->pending != NULL) s->api->destroy_pending(&s->pending);
    if (s->statement != NULL) s->api->destroy_prepare(&s->statement);
}

/* --- Rows as text --------------------------------------------------------------------------------------------------- */

enum err tables_choose(struct tables *t, const struct parameter_choice *choice)
{
    ASSERT(t->locked);
    return sql_create_chosen(&t->session, choice == NULL ? NULL : choice->of, choice, NULL, 0);
}

static enum err take_texts(const struct duckdb *api, duckdb_chunk chunk, uint32_t column_count,
                           tables_take_row *take, void *context)
{
    const union duckdb_string *text[CAP_COLUMNS];
    const uint64_t *validity[CAP_COLUMNS];
    struct span value[CAP_COLUMNS];
    for (uint32_t i = 0; i < column_count; i++) {
        duckdb_vector vector = api->data_chunk_get_vector(chunk, i);
        text[i] = api->vector_get_data(vector);
        validity[i] = api->vector_get_validity(vector);
    }
    for (uint64_t row = 0; row < api->data_chunk_get_size(chunk); row++) {
        for (uint32_t i = 0; i < column_count; i++)
            value[i] = duckdb_valid(validity[i], row) ? duckdb_string_span(&text[i][row]) : SPAN_NONE;
        TRY(take(context, value, column_count));
    }
    return OK;
}

static enum err take_stream(struct stream *s, uint32_t column_count, tables_take_row *take, void *context)
{
    if (s->api->column_count(&s->result) != column_count) return ERR_REFUSED;
    for (duckdb_chunk chunk; (chunk = stream_chunk(s)) != NULL;) {
        enum err err = take_texts(s->api, chunk, column_count, take, context);
        s->api->destroy_data_chunk(&chunk);
        if (err != OK) return err;
    }
    return stream_end(s);
}

enum err tables_read_text(struct tables *t, const char *sql, uint32_t column_count, tables_take_row *take,
                          void *context)
{
    struct stream stream;
    ASSERT(t->locked && column_count <= CAP_COLUMNS);
    enum err err = stream_open(&stream, t, sql);
    if (err == OK) err = take_stream(&stream, column_count, take, context);
    stream_close(&stream);
    return err;
}
