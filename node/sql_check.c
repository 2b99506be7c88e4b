#include "node/sql_query.h"

#include "proto/base/panic.h"
#include "proto/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *sql_type_name(enum duckdb_type type)
{
    switch (type) {
    case DUCKDB_BOOLEAN: return "BOOLEAN";
    case DUCKDB_TINYINT: return "TINYINT";
    case DUCKDB_SMALLINT: return "SMALLINT";
    case DUCKDB_INTEGER: return "INTEGER";
    case DUCKDB_BIGINT: return "BIGINT";
    case DUCKDB_FLOAT: return "FLOAT";
    case DUCKDB_DOUBLE: return "DOUBLE";
    case DUCKDB_DATE: return "DATE";
    case DUCKDB_HUGEINT: return "HUGEINT";
    case DUCKDB_VARCHAR: return "VARCHAR";
    case DUCKDB_DECIMAL: return "DECIMAL";
    case DUCKDB_ANY: break;
    }
    return NULL; /* a number outside the enum: a type we do not read */
}

static bool name_taken(const struct sql_plan *plan, const char *name)
{
    for (uint32_t i = 0; i < plan->column_count; i++)
        if (sql_name_equal(span_text(plan->column[i].name), span_text(name))) return true;
    return false;
}

static enum err take_column(struct sql_plan *plan, const char *name, const char *type, char *why,
                            size_t why_len)
{
    struct sql_column *column = &plan->column[plan->column_count];
    size_t len = strlen(name);
    if (type == NULL)
        return fault_set(why, why_len, ERR_SQL,
                         "found the output '%.60s' of another type; allowed: numbers, text, dates, booleans",
                         name);
    if (len == 0 || len >= sizeof column->name || !text_valid(span_text(name)))
        return fault_set(why, why_len, ERR_SQL,
                         "found an output name of %zu bytes; allowed: 1 to %d, visible", len,
                         SQL_NAME_BYTES_MAX - 1);
    if (name_taken(plan, name))
        return fault_set(why, why_len, ERR_SQL,
                         "found the output name '%.60s' twice; allowed: distinct names", name);
    memcpy(column->name, name, len + 1);
    column->type = type;
    plan->column_count++;
    return OK;
}

static enum err read_column(struct sql_plan *plan, const struct duckdb *api, duckdb_statement statement,
                            uint64_t index, char *why, size_t why_len)
{
    const char *name = api->prepared_statement_column_name(statement, index);
    duckdb_logical_type type = api->prepared_statement_column_logical_type(statement, index);
    enum err err = name == NULL || type == NULL ? ERR_NO_MEMORY : OK;
    if (err == OK)
        err = take_column(plan, name, sql_type_name((enum duckdb_type)api->get_type_id(type)), why, why_len);
    api->free((void *)(uintptr_t)name);
    if (type != NULL) api->destroy_logical_type(&type);
    return err;
}

static enum err read_columns(struct sql_plan *plan, const struct duckdb *api, duckdb_statement statement,
                             char *why, size_t why_len)
{
    uint64_t count = api->prepared_statement_column_count(statement);
    if (count < 1 || count > CAP_COLUMNS)
        return fault_set(why, why_len, ERR_SQL, "found %llu outputs; allowed: 1 to %d",
                         (unsigned long long)count, CAP_COLUMNS);
    for (uint64_t i = 0; i < count; i++) TRY(read_column(plan, api, statement, i, why, why_len));
    return OK;
}

/* ORDER BY of a subquery holds: with the optimiser off and one thread nothing above it moves rows. */
void sql_plan_put(struct buffer *out, const struct sql_plan *plan)
{
    for (uint32_t i = 0; i < plan->column_count; i++) {
        buffer_put_text(out, i == 0 ? "SELECT CAST(c" : ", CAST(c");
        buffer_put_decimal(out, i);
        buffer_put_text(out, " AS VARCHAR)");
    }
    buffer_put_text(out, " FROM (");
    buffer_put_text(out, plan->text);
    for (uint32_t i = 0; i < plan->column_count; i++) {
        buffer_put_text(out, i == 0 ? ") AS outputs(c" : ", c");
        buffer_put_decimal(out, i);
    }
    buffer_put_u8(out, ')');
    buffer_put_zero(out);
}

/* Prepared and not run: even over no rows a query can be made to take for ever. */
static enum err bind(struct sql_plan *plan, struct duckdb_session *s, char *why, size_t why_len)
{
    duckdb_statement statement = NULL;
    enum err err = OK;
    if (s->api->prepare(s->connection, plan->text, &statement) == DUCKDB_SUCCESS) {
        err = read_columns(plan, s->api, statement, why, why_len);
    } else {
        const char *reason = s->api->prepare_error(statement);
        if (reason == NULL) reason = "no reason given";
        err = fault_set(why, why_len, ERR_SQL, "found what DuckDB refuses: %.*s; allowed: %s",
                        (int)strcspn(reason, "\n"),
                        reason, /* its first line: more would quote what was printed */
                        sql_query_dialect.shape);
    }
    s->api->destroy_prepare(&statement);
    return err;
}

enum err sql_create_chosen(struct duckdb_session *s, const struct parameters *parameters,
                           const struct parameter_choice *choice, char *why, size_t why_len)
{
    uint8_t room[SQL_CHOSEN_BYTES_MAX + 64];
    struct buffer sql = BUFFER_OF(room);
    if (parameters == NULL || parameters->count == 0) return OK;
    buffer_put_text(&sql, "CREATE OR REPLACE VIEW chosen AS ");
    sql_put_chosen(&sql, parameters, choice);
    buffer_put_zero(&sql);
    TRY(buffer_done(&sql));
    return duckdb_session_run(s, (const char *)room, why, why_len);
}

/* in_0, in_1, ...: views, as the enclave has them, so that nothing but the schema's columns can be named. */
static enum err create_tables(struct duckdb_session *s, const struct sql_table *tables, uint32_t count,
                              char *why, size_t why_len)
{
    for (uint32_t i = 0; i < count; i++) {
        char table[24], view[64];
        (void)snprintf(table, sizeof table, "table_%u", i);
        (void)snprintf(view, sizeof view, "CREATE VIEW in_%u AS SELECT * FROM table_%u", i, i);
        TRY(sql_create_empty(s, table, tables[i].schema, why, why_len));
        TRY(duckdb_session_run(s, view, why, why_len));
    }
    return OK;
}

static enum err check(struct sql_plan *plan, struct duckdb_session *s, struct span sql,
                      struct sql_query *query, const struct parameters *parameters, char *why, size_t why_len)
{
    TRY(create_tables(s, query->table, query->table_count, why, why_len));
    TRY(sql_create_chosen(s, parameters, NULL, why, why_len));
    TRY(duckdb_session_lock(s, "", why, why_len));
    uint8_t *room = malloc(SQL_PRINT_BYTES_MAX);
    if (room == NULL) return ERR_NO_MEMORY;
    struct sql_print p = {.out = buffer_make(room, SQL_PRINT_BYTES_MAX),
                          .dialect = &sql_query_dialect,
                          .context = query,
                          .parameters = parameters,
                          .why = why,
                          .why_len = why_len};
    enum err err = sql_print_statement(&p, s, sql, sql_query_print);
    if (err == OK) err = sql_print_keep(&plan->text, &p);
    free(room);
    if (err == OK) err = bind(plan, s, why, why_len);
    return err;
}

enum err sql_check(struct sql_plan *out, struct span sql, const struct sql_table *tables,
                   uint32_t table_count, const struct parameters *parameters, char *why, size_t why_len)
{
    ASSERT(table_count <= CAP_INPUTS);
    *out = (struct sql_plan){0};
    if (why_len > 0) why[0] = 0;
    struct sql_query query = {.table = tables, .table_count = table_count};
    struct duckdb_session session;
    TRY(duckdb_session_open(&session, 1, UINT64_C(256) << 20, why, why_len));
    enum err err = check(out, &session, sql, &query, parameters, why, why_len);
    duckdb_session_close(&session);
    if (err != OK) sql_plan_free(out);
    return err;
}

void sql_plan_free(struct sql_plan *plan)
{
    free(plan->text);
    *plan = (struct sql_plan){0};
}
