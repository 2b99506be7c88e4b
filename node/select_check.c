#include "node/select_check.h"

#include "proto/base/panic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SHAPE "SELECT <expression> AS <name>, ... FROM input [WHERE <condition>]"

/* What a statement is printed into, and for. */
struct select {
    const struct schema *schema;
    struct select_plan *plan;
};

static const struct schema *schema_of(const struct sql_print *p)
{
    return ((const struct select *)p->context)->schema;
}

static int schema_find(const struct schema *schema, struct span name)
{
    for (uint32_t i = 0; i < schema->column_count; i++)
        if (sql_name_equal(schema->column[i].name, name)) return (int)i;
    return -1;
}

/* The schema column a COLUMN_REF names, or -1. */
static int column_source(const struct schema *schema, const struct sql_node *node)
{
    const struct sql_node *names = sql_member(node, "column_names");
    size_t count = sql_count(names);
    if (count < 1 || count > 2) return -1;
    if (count == 2 && !sql_name_equal(sql_text(sql_item(names, 0)), SPAN_LITERAL("input"))) return -1;
    return schema_find(schema, sql_text(sql_item(names, count - 1)));
}

static enum err print_column(struct sql_print *p, const struct sql_node *node)
{
    TRY(sql_members_known(p, node, " class type alias query_location column_names "));
    const struct schema *schema = schema_of(p);
    int column = column_source(schema, node);
    if (column < 0) {
        const struct sql_node *names = sql_member(node, "column_names");
        struct span last = sql_text(sql_item(names, sql_count(names) - 1));
        return SQL_REFUSE(p, "found the name '%.*s'; allowed: columns of the dataset's schema",
                          sql_show(last), last.data);
    }
    p->column_ref_count++;
    buffer_put_text(&p->out, "\"input\".");
    sql_put_identifier(&p->out, schema->column[column].name);
    return OK;
}

/* --- The SELECT itself --------------------------------------------------------------------------------- */

static enum err check_table(struct sql_print *p, const struct sql_node *from)
{
    const char *type = sql_word(from, "type");
    if (strcmp(type, "BASE_TABLE") != 0)
        return SQL_REFUSE(p, "found FROM with %.40s; allowed: FROM input", *type == 0 ? "nothing" : type);
    TRY(sql_members_known(
        p, from,
        " type alias sample query_location schema_name table_name column_name_alias catalog_name "
        "at_clause "));
    const char *table = sql_word(from, "table_name");
    if (strcasecmp(table, "input") != 0)
        return SQL_REFUSE(p, "found the table '%.60s'; allowed: FROM input", table);
    TRY(sql_member_empty(p, from, "schema_name", "a schema in FROM"));
    TRY(sql_member_empty(p, from, "catalog_name", "a catalog in FROM"));
    TRY(sql_member_empty(p, from, "alias", "an alias of the table"));
    TRY(sql_member_empty(p, from, "column_name_alias", "column aliases in FROM"));
    TRY(sql_member_empty(p, from, "sample", "TABLESAMPLE"));
    return sql_member_empty(p, from, "at_clause", "AT (time travel)");
}

static enum err check_node(struct sql_print *p, const struct sql_node *node)
{
    const char *type = sql_word(node, "type");
    if (strcmp(type, "SELECT_NODE") != 0)
        return SQL_REFUSE(p, "found a %.40s; allowed: " SHAPE, *type == 0 ? "malformed statement" : type);
    TRY(sql_members_known(
        p, node,
        " type modifiers cte_map select_list from_table where_clause group_expressions group_sets "
        "aggregate_handling having sample qualify "));
    const struct sql_node *with = sql_member(node, "cte_map");
    TRY(sql_members_known(p, with, " map "));
    TRY(sql_member_empty(p, with, "map", "WITH"));
    const struct sql_node *modifiers = sql_member(node, "modifiers");
    if (!sql_is_empty(modifiers))
        return SQL_REFUSE(p, "found %.40s (DISTINCT, ORDER BY, LIMIT or OFFSET); allowed: " SHAPE,
                          sql_word(sql_item(modifiers, 0), "type"));
    TRY(sql_member_empty(p, node, "group_expressions", "GROUP BY"));
    TRY(sql_member_empty(p, node, "group_sets", "GROUPING SETS"));
    TRY(sql_member_empty(p, node, "having", "HAVING"));
    TRY(sql_member_empty(p, node, "sample", "USING SAMPLE"));
    TRY(sql_member_empty(p, node, "qualify", "QUALIFY"));
    if (strcmp(sql_word(node, "aggregate_handling"), "STANDARD_HANDLING") != 0)
        return SQL_REFUSE(p, "found GROUP BY ALL; allowed: " SHAPE);
    return check_table(p, sql_member(node, "from_table"));
}

static enum err column_name(struct select_column *column, struct sql_print *p, const struct sql_node *node)
{
    bool bare = strcmp(sql_word(node, "class"), "COLUMN_REF") == 0;
    column->source = bare ? column_source(schema_of(p), node) : -1;
    struct span name = span_text(sql_word(node, "alias"));
    if (name.len == 0 && column->source >= 0) name = schema_of(p)->column[column->source].name;
    if (name.len == 0)
        return SQL_REFUSE(p, "found an output without a name; allowed: <expression> AS <name>");
    if (name.len >= sizeof column->name)
        return SQL_REFUSE(p, "found an output name of %zu bytes; allowed: %d", name.len,
                          SQL_NAME_BYTES_MAX - 1);
    memcpy(column->name, name.data, name.len);
    column->name[name.len] = 0;
    return OK;
}

static enum err print_output(struct select_plan *plan, struct sql_print *p, const struct sql_node *node)
{
    struct select_column *column = &plan->column[plan->column_count];
    if (plan->column_count > 0) buffer_put_text(&p->out, ", ");
    buffer_put_text(&p->out, "TRY(");
    TRY(sql_print_expression(p, node));
    TRY(column_name(column, p, node));
    if (select_plan_find(plan, span_text(column->name)) >= 0)
        return SQL_REFUSE(p, "found the output name '%.60s' twice; allowed: distinct names", column->name);
    buffer_put_text(&p->out, ") AS c");
    buffer_put_decimal(&p->out, plan->column_count);
    plan->column_count++;
    return OK;
}

static enum err print_outputs(struct select_plan *plan, struct sql_print *p, const struct sql_node *list)
{
    if (sql_count(list) > CAP_COLUMNS)
        return SQL_REFUSE(p, "found %zu outputs; allowed: %d", sql_count(list), CAP_COLUMNS);
    for (size_t i = 0; i < sql_count(list); i++) TRY(print_output(plan, p, sql_item(list, i)));
    return OK;
}

static enum err print_condition(struct sql_print *p, const struct sql_node *where)
{
    if (sql_is_empty(where)) return OK;
    buffer_put_text(&p->out, "TRY(TRY_CAST("); /* DuckDB's own cast of a condition that is no boolean fails */
    TRY(sql_print_expression(p, where));
    buffer_put_text(&p->out, " AS BOOLEAN))");
    return OK;
}

static enum err print_select(struct sql_print *p, const struct sql_node *node)
{
    struct select_plan *plan = ((const struct select *)p->context)->plan;
    TRY(check_node(p, node));
    TRY(print_outputs(plan, p, sql_member(node, "select_list")));
    TRY(sql_print_keep(&plan->list, p));
    p->out.len = 0;
    TRY(print_condition(p, sql_member(node, "where_clause")));
    return sql_print_keep(&plan->condition, p);
}

static const struct sql_class classes[] = {{"COLUMN_REF", print_column}};
static const struct sql_dialect dialect = {.shape = SHAPE,
                                           .expressions = "plain functions of one row",
                                           .functions = "",
                                           .chosen_before = "\"chosen\".",
                                           .chosen_after = "",
                                           .classes = classes,
                                           .class_count = sizeof classes / sizeof *classes};

/* --- DuckDB as binder ---------------------------------------------------------------------------------- */

static enum err read_types(struct select_plan *plan, const struct duckdb *api, struct duckdb_result *result)
{
    if (api->column_count(result) != plan->column_count) return ERR_SQL;
    for (uint32_t i = 0; i < plan->column_count; i++) {
        duckdb_logical_type type = api->column_logical_type(result, i);
        plan->column[i].type = (enum duckdb_type)api->get_type_id(type);
        api->destroy_logical_type(&type);
    }
    return OK;
}

void select_put_chosen(struct buffer *out, const struct parameters *parameters,
                       const struct parameter_choice *choice)
{
    if (parameters == NULL || parameters->count == 0) return;
    buffer_put_text(out, ", ");
    sql_put_chosen(out, parameters, choice);
    buffer_put_text(out, " AS \"chosen\"");
}

/* Of a CASE the WHEN is computed first, and the THEN for no other rows; of an AND neither is promised. */
static void put_where(struct buffer *out, const struct select_plan *plan, struct span first)
{
    const bool both = first.len > 0 && plan->condition[0] != 0;
    if (first.len == 0 && plan->condition[0] == 0) return;
    buffer_put_text(out, both ? " WHERE CASE WHEN " : " WHERE ");
    buffer_put(out, first);
    buffer_put_text(out, both ? " THEN " : "");
    buffer_put_text(out, plan->condition);
    buffer_put_text(out, both ? " END" : "");
}

/* Types, and whatever DuckDB's binder refuses, on no row at all. */
static enum err bind_empty(struct select_plan *plan, struct duckdb_session *s,
                           const struct parameters *parameters, char *why, size_t why_len)
{
    size_t cap = strlen(plan->list) + strlen(plan->condition) + SELECT_CHOSEN_MAX;
    char *sql = malloc(cap);
    if (sql == NULL) return ERR_NO_MEMORY;
    struct buffer text = buffer_make((uint8_t *)sql, cap);
    buffer_put_text(&text, "SELECT ");
    buffer_put_text(&text, plan->list);
    buffer_put_text(&text, " FROM input AS \"input\"");
    select_put_chosen(&text, parameters, NULL);
    put_where(&text, plan, SPAN_NONE);
    buffer_put_zero(&text);
    ASSERT(!text.overflow);
    struct duckdb_result result = {0};
    int state = s->api->query(s->connection, sql, &result);
    enum err err = state == DUCKDB_SUCCESS ? read_types(plan, s->api, &result)
                                           : fault_set(why, why_len, ERR_SQL,
                                                       "found what DuckDB refuses: %.300s; allowed: " SHAPE,
                                                       s->api->result_error(&result));
    s->api->destroy_result(&result);
    free(sql);
    return err;
}

static enum err check(struct select_plan *plan, struct duckdb_session *s, struct span sql,
                      const struct schema *schema, const struct parameters *parameters, char *why,
                      size_t why_len)
{
    TRY(sql_create_empty(s, "input", schema, why, why_len));
    TRY(duckdb_session_lock(s, "", why, why_len));
    uint8_t *room = malloc(SQL_PRINT_BYTES_MAX);
    if (room == NULL) return ERR_NO_MEMORY;
    struct select select = {schema, plan};
    struct sql_print p = {.out = buffer_make(room, SQL_PRINT_BYTES_MAX),
                          .dialect = &dialect,
                          .context = &select,
                          .parameters = parameters,
                          .why = why,
                          .why_len = why_len};
    enum err err = sql_print_statement(&p, s, sql, print_select);
    free(room);
    if (err == OK) err = bind_empty(plan, s, parameters, why, why_len);
    return err;
}

enum err select_check(struct select_plan *out, struct span sql, const struct schema *schema,
                      const struct parameters *parameters, char *why, size_t why_len)
{
    *out = (struct select_plan){0};
    if (why_len > 0) why[0] = 0;
    struct duckdb_session session;
    TRY(duckdb_session_open(&session, 1, UINT64_C(256) << 20, why, why_len));
    enum err err = check(out, &session, sql, schema, parameters, why, why_len);
    duckdb_session_close(&session);
    if (err != OK) select_plan_free(out);
    return err;
}

void select_plan_put(struct buffer *out, const struct select_plan *plan, uint32_t input,
                     const struct parameter_choice *choice, const struct select_more *more)
{
    buffer_put_text(out, "SELECT ");
    buffer_put_text(out, plan->list);
    buffer_put(out, more->outputs);
    buffer_put_text(out, " FROM in_");
    buffer_put_decimal(out, input);
    buffer_put_text(out, " AS \"input\"");
    if (choice != NULL) select_put_chosen(out, choice->of, choice);
    put_where(out, plan, more->first);
}

void select_plan_free(struct select_plan *plan)
{
    free(plan->list);
    free(plan->condition);
    *plan = (struct select_plan){0};
}

int select_plan_find(const struct select_plan *plan, struct span name)
{
    for (uint32_t i = 0; i < plan->column_count; i++)
        if (sql_name_equal(span_text(plan->column[i].name), name)) return (int)i;
    return -1;
}
