#include "node/sql_check.h"

#include "proto/base/panic.h"
#include "proto/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SHAPE "one SELECT over the run's inputs by their names"

enum { WITH_COUNT_MAX = 64 };

/* A WITH that can be named where we are. */
struct with {
    struct span name;
    uint32_t number;
};

struct query {
    const struct sql_table *table;
    uint32_t table_count;
    struct with scope[WITH_COUNT_MAX];
    uint32_t scope_count, with_count; /* with_count: met so far, in scope or not */
};

static struct query *query_of(const struct sql_print *p)
{
    return p->context;
}

static bool word_is(const struct sql_node *node, const char *key, const char *word)
{
    return strcmp(sql_word(node, key), word) == 0;
}

static enum err print_query(struct sql_print *p, const struct sql_node *node);

/* What WITH, FROM and an expression hold: a query in the wrapping of a statement. */
static enum err print_nested(struct sql_print *p, const struct sql_node *statement)
{
    TRY(sql_print_wrapping(p, statement));
    buffer_put_u8(&p->out, '(');
    TRY(print_query(p, sql_member(statement, "node")));
    buffer_put_u8(&p->out, ')');
    return OK;
}

/* ("a", "b"), or nothing for an empty list. */
static void put_names(struct buffer *out, const struct sql_node *names)
{
    for (size_t i = 0; i < sql_count(names); i++) {
        buffer_put_text(out, i == 0 ? "(" : ", ");
        sql_put_identifier(out, sql_text(sql_item(names, i)));
    }
    if (sql_count(names) > 0) buffer_put_u8(out, ')');
}

/* --- Columns ------------------------------------------------------------------------------------------- */

/* Bare names that DuckDB takes for a call when no table has such a column. */
static const char *const calls[] = {"current_catalog", "current_date",      "current_role", "current_schema",
                                    "current_time",    "current_timestamp", "current_user", "localtime",
                                    "localtimestamp",  "session_user",      "user"};

static bool is_call(struct span name)
{
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (sql_name_equal(name, span_text(calls[i]))) return true;
    return false;
}

static enum err print_column(struct sql_print *p, const struct sql_node *node)
{
    TRY(sql_members_known(p, node, " class type alias query_location column_names "));
    const struct sql_node *names = sql_member(node, "column_names");
    struct span first = sql_text(sql_item(names, 0));
    if (sql_count(names) < 1 || sql_count(names) > 2)
        return SQL_REFUSE(p,
                          "found a name of %zu parts that begins with '%.*s'; allowed: column, table.column",
                          sql_count(names), sql_show(first), first.data);
    if (sql_count(names) == 1 && is_call(first))
        return SQL_REFUSE(p, "found the bare name %.*s; allowed: table.%.*s, if it is a column",
                          sql_show(first), first.data, sql_show(first), first.data);
    for (size_t i = 0; i < sql_count(names); i++) {
        if (i > 0) buffer_put_u8(&p->out, '.');
        sql_put_identifier(&p->out, sql_text(sql_item(names, i)));
    }
    return OK;
}

static enum err print_star(struct sql_print *p, const struct sql_node *node)
{
    static const char *const empty[] = {"exclude_list", "replace_list",           "columns",    "expr",
                                        "alias",        "qualified_exclude_list", "rename_list"};
    TRY(sql_members_known(
        p, node,
        " class type alias query_location relation_name exclude_list replace_list columns expr "
        "qualified_exclude_list rename_list "));
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++)
        TRY(sql_member_empty(p, node, empty[i], "* with COLUMNS, EXCLUDE, REPLACE or RENAME"));
    struct span table = sql_text(sql_member(node, "relation_name"));
    if (table.len > 0) {
        sql_put_identifier(&p->out, table);
        buffer_put_u8(&p->out, '.');
    }
    buffer_put_u8(&p->out, '*');
    return OK;
}

static enum err print_output(struct sql_print *p, const struct sql_node *node)
{
    if (word_is(node, "class", "STAR")) return print_star(p, node);
    TRY(sql_print_expression(p, node));
    struct span alias = sql_text(sql_member(node, "alias"));
    if (alias.len == 0) return OK;
    buffer_put_text(&p->out, " AS ");
    sql_put_identifier(&p->out, alias);
    return OK;
}

/* --- Orders -------------------------------------------------------------------------------------------- */

/* A whole number as it is written, or -1. */
static int64_t whole_constant(const struct sql_node *node)
{
    const struct sql_node *holder = sql_member(node, "value"), *value = sql_member(holder, "value");
    const struct sql_node *type = sql_member(holder, "type");
    bool whole = word_is(node, "class", "CONSTANT") && sql_kind(value) == SQL_INTEGER &&
                 (word_is(type, "id", "INTEGER") || word_is(type, "id", "BIGINT"));
    return whole && sql_integer(value) >= 0 ? sql_integer(value) : -1;
}

/* A constant is a position: printed as one, and refused where it could be none. */
static enum err print_position(struct sql_print *p, const struct sql_node *node)
{
    if (!word_is(node, "class", "CONSTANT")) return sql_print_expression(p, node);
    int64_t place = whole_constant(node);
    if (place < 1 || place > CAP_COLUMNS)
        return SQL_REFUSE(
            p, "found a constant to order or group by; allowed: a position from 1 to %d, an expression",
            CAP_COLUMNS);
    buffer_put_decimal(&p->out, place);
    return OK;
}

struct spelling {
    const char *word, *sql;
};

/* The SQL of a word of the tree, or NULL. */
static const char *spell(const struct spelling *table, size_t count, const char *word)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(table[i].word, word) == 0) return table[i].sql;
    return NULL;
}

#define SPELL(table, word) spell(table, sizeof(table) / sizeof *(table), word)

static enum err print_order(struct sql_print *p, const struct sql_node *order, sql_printer *print)
{
    static const struct spelling directions[] = {
        {"ORDER_DEFAULT", ""}, {"ASCENDING", " ASC"}, {"DESCENDING", " DESC"}};
    static const struct spelling nulls[] = {
        {"ORDER_DEFAULT", ""}, {"NULLS FIRST", " NULLS FIRST"}, {"NULLS LAST", " NULLS LAST"}};
    TRY(sql_members_known(p, order, " type null_order expression "));
    const char *direction = SPELL(directions, sql_word(order, "type"));
    const char *place = SPELL(nulls, sql_word(order, "null_order"));
    if (direction == NULL || place == NULL)
        return SQL_REFUSE(p, "found an unknown order; allowed: ASC, DESC, NULLS FIRST, NULLS LAST");
    TRY(print(p, sql_member(order, "expression")));
    buffer_put_text(&p->out, direction);
    buffer_put_text(&p->out, place);
    return OK;
}

static enum err print_orders(struct sql_print *p, const struct sql_node *orders, sql_printer *print)
{
    for (size_t i = 0; i < sql_count(orders); i++) {
        buffer_put_text(&p->out, i == 0 ? " ORDER BY " : ", ");
        TRY(print_order(p, sql_item(orders, i), print));
    }
    return OK;
}

/* --- Functions, aggregates, windows -------------------------------------------------------------------- */

struct call {
    const char *name;
    uint32_t least, most; /* arguments */
};

/* Of one row, beyond those of sql_print. RE2's matcher takes time linear in the text. */
static const struct call functions[] = {
    {"sqrt", 1, 1},           {"replace", 3, 3},        {"split_part", 3, 3},        {"date_diff", 3, 3},
    {"regexp_matches", 2, 3}, {"regexp_replace", 3, 4}, {"regexp_full_match", 2, 3}, {"regexp_extract", 2, 3},
};

static const struct call aggregates[] = {
    {"count_star", 0, 0}, {"count", 1, 1},      {"sum", 1, 1},           {"avg", 1, 1},
    {"mean", 1, 1},       {"min", 1, 1},        {"max", 1, 1},           {"median", 1, 1},
    {"mode", 1, 1},       {"stddev", 1, 1},     {"stddev_samp", 1, 1},   {"stddev_pop", 1, 1},
    {"variance", 1, 1},   {"var_samp", 1, 1},   {"var_pop", 1, 1},       {"covar_samp", 2, 2},
    {"covar_pop", 2, 2},  {"corr", 2, 2},       {"regr_slope", 2, 2},    {"regr_intercept", 2, 2},
    {"regr_r2", 2, 2},    {"regr_count", 2, 2}, {"quantile_cont", 2, 2}, {"quantile_disc", 2, 2},
    {"bool_and", 1, 1},   {"bool_or", 1, 1},    {"arg_min", 2, 2},       {"arg_max", 2, 2},
    {"first", 1, 1},      {"last", 1, 1},       {"any_value", 1, 1},     {"string_agg", 1, 2},
};

static const struct call windows[] = {
    {"row_number", 0, 0},  {"rank", 0, 0},       {"dense_rank", 0, 0}, {"percent_rank", 0, 0},
    {"cume_dist", 0, 0},   {"ntile", 1, 1},      {"lag", 1, 1},        {"lead", 1, 1},
    {"first_value", 1, 1}, {"last_value", 1, 1}, {"nth_value", 2, 2},
};

static const struct call *call_find(const struct call *table, size_t count, const char *name,
                                    size_t argument_count)
{
    for (size_t i = 0; i < count; i++)
        if (strcasecmp(name, table[i].name) == 0 && argument_count >= table[i].least &&
            argument_count <= table[i].most)
            return &table[i];
    return NULL;
}

#define CALL_FIND(table, name, count) call_find(table, sizeof(table) / sizeof *(table), name, count)

/* name(arguments, left open: an aggregate's order may follow. */
static enum err print_arguments(struct sql_print *p, const struct call *call, const struct sql_node *node)
{
    if (call->most == 0 && strcmp(call->name, "count_star") == 0) {
        buffer_put_text(&p->out, "count(*");
        return OK;
    }
    sql_put_identifier(&p->out, span_text(call->name));
    buffer_put_text(&p->out, sql_is_empty(sql_member(node, "distinct")) ? "(" : "(DISTINCT ");
    return sql_print_list(p, sql_member(node, "children"), ", ");
}

static enum err print_filter(struct sql_print *p, const struct sql_node *filter)
{
    if (sql_is_empty(filter)) return OK;
    buffer_put_text(&p->out, " FILTER (WHERE ");
    TRY(sql_print_expression(p, filter));
    buffer_put_u8(&p->out, ')');
    return OK;
}

static enum err check_origin(struct sql_print *p, const struct sql_node *node)
{
    if (!word_is(node, "schema", "main")) TRY(sql_member_empty(p, node, "schema", "a function of a schema"));
    return sql_member_empty(p, node, "catalog", "a function of another catalog");
}

static enum err print_aggregate(struct sql_print *p, const struct call *call, const struct sql_node *node)
{
    TRY(sql_members_known(
        p, node,
        " class type alias query_location function_name schema children filter order_bys distinct "
        "is_operator export_state catalog "));
    TRY(check_origin(p, node));
    TRY(sql_member_empty(p, node, "export_state", "EXPORT_STATE"));
    TRY(print_arguments(p, call, node));
    const struct sql_node *order = sql_member(node, "order_bys");
    TRY(sql_members_known(p, order, " type orders "));
    TRY(print_orders(p, sql_member(order, "orders"), sql_print_expression));
    buffer_put_u8(&p->out, ')');
    return print_filter(p, sql_member(node, "filter"));
}

static enum err print_function(struct sql_print *p, const struct sql_node *node)
{
    const char *name = sql_word(node, "function_name");
    size_t count = sql_count(sql_member(node, "children"));
    const struct call *call = CALL_FIND(aggregates, name, count);
    if (call != NULL) return print_aggregate(p, call, node);
    call = CALL_FIND(functions, name, count);
    if (call == NULL) return sql_print_function(p, node);
    TRY(sql_print_plain(p, node));
    TRY(print_arguments(p, call, node));
    buffer_put_u8(&p->out, ')');
    return OK;
}

/* One end of a window's frame. `unit` is NULL where every unit means the same. */
struct frame_end {
    const char *word, *unit, *sql;
    bool counted; /* an expression stands before `sql` */
};

static const struct frame_end frame_ends[] = {
    {"UNBOUNDED_PRECEDING", NULL, "UNBOUNDED PRECEDING", false},
    {"UNBOUNDED_FOLLOWING", NULL, "UNBOUNDED FOLLOWING", false},
    {"CURRENT_ROW_ROWS", "ROWS", "CURRENT ROW", false},
    {"CURRENT_ROW_RANGE", "RANGE", "CURRENT ROW", false},
    {"EXPR_PRECEDING_ROWS", "ROWS", " PRECEDING", true},
    {"EXPR_FOLLOWING_ROWS", "ROWS", " FOLLOWING", true},
    {"EXPR_PRECEDING_RANGE", "RANGE", " PRECEDING", true},
    {"EXPR_FOLLOWING_RANGE", "RANGE", " FOLLOWING", true},
};

static const struct frame_end *frame_end_find(const char *word)
{
    for (size_t i = 0; i < sizeof frame_ends / sizeof *frame_ends; i++)
        if (strcmp(frame_ends[i].word, word) == 0) return &frame_ends[i];
    return NULL;
}

static enum err print_frame_end(struct sql_print *p, const struct frame_end *end,
                                const struct sql_node *expression)
{
    if (end->counted) TRY(sql_print_expression(p, expression));
    buffer_put_text(&p->out, end->sql);
    return OK;
}

static enum err print_frame(struct sql_print *p, const struct sql_node *node)
{
    const struct frame_end *start = frame_end_find(sql_word(node, "start"));
    const struct frame_end *end = frame_end_find(sql_word(node, "end"));
    bool fits = start != NULL && end != NULL &&
                (start->unit == NULL || end->unit == NULL || strcmp(start->unit, end->unit) == 0);
    if (!fits || !word_is(node, "exclude_clause", "NO_OTHER"))
        return SQL_REFUSE(
            p, "found a window frame of GROUPS or with EXCLUDE; allowed: ROWS or RANGE BETWEEN ... AND ...");
    const char *unit = start->unit != NULL ? start->unit : end->unit != NULL ? end->unit : "RANGE";
    buffer_put_u8(&p->out, ' ');
    buffer_put_text(&p->out, unit);
    buffer_put_text(&p->out, " BETWEEN ");
    TRY(print_frame_end(p, start, sql_member(node, "start_expr")));
    buffer_put_text(&p->out, " AND ");
    return print_frame_end(p, end, sql_member(node, "end_expr"));
}

/* lag and lead have their second and third argument apart. */
static enum err print_window_arguments(struct sql_print *p, const struct call *call,
                                       const struct sql_node *node)
{
    TRY(print_arguments(p, call, node));
    const struct sql_node *offset = sql_member(node, "offset_expr"),
                          *otherwise = sql_member(node, "default_expr");
    if (!sql_is_empty(offset)) {
        buffer_put_text(&p->out, ", ");
        TRY(sql_print_expression(p, offset));
    }
    if (!sql_is_empty(otherwise)) {
        buffer_put_text(&p->out, ", ");
        TRY(sql_print_expression(p, otherwise));
    }
    buffer_put_u8(&p->out, ')');
    return OK;
}

static const struct call *window_find(const struct sql_node *node)
{
    const char *name = sql_word(node, "function_name");
    size_t count = sql_count(sql_member(node, "children"));
    if (count == 0 && strcasecmp(name, "count") == 0) name = "count_star";
    bool aggregate = word_is(node, "type", "WINDOW_AGGREGATE");
    return aggregate ? CALL_FIND(aggregates, name, count) : CALL_FIND(windows, name, count);
}

static enum err print_window(struct sql_print *p, const struct sql_node *node)
{
    TRY(sql_members_known(
        p, node,
        " class type alias query_location function_name schema catalog children partitions orders "
        "start end start_expr end_expr offset_expr default_expr ignore_nulls filter_expr "
        "exclude_clause distinct arg_orders "));
    const struct call *call = window_find(node);
    if (call == NULL)
        return SQL_REFUSE(
            p,
            "found the window function %.60s; allowed: row_number rank dense_rank percent_rank cume_dist "
            "ntile lag lead first_value last_value nth_value and aggregates",
            sql_word(node, "function_name"));
    TRY(check_origin(p, node));
    TRY(sql_member_empty(p, node, "ignore_nulls", "IGNORE NULLS"));
    TRY(sql_member_empty(p, node, "distinct", "DISTINCT in a window"));
    TRY(sql_member_empty(p, node, "arg_orders", "ORDER BY among a window's arguments"));
    TRY(print_window_arguments(p, call, node));
    TRY(print_filter(p, sql_member(node, "filter_expr")));
    buffer_put_text(&p->out, " OVER (");
    const struct sql_node *partitions = sql_member(node, "partitions");
    if (sql_count(partitions) > 0) buffer_put_text(&p->out, "PARTITION BY ");
    TRY(sql_print_list(p, partitions, ", "));
    TRY(print_orders(p, sql_member(node, "orders"), sql_print_expression));
    TRY(print_frame(p, node));
    buffer_put_u8(&p->out, ')');
    return OK;
}

/* --- Subqueries ---------------------------------------------------------------------------------------- */

static const struct spelling comparisons[] = {
    {"COMPARE_EQUAL", " = ANY "},
    {"COMPARE_NOTEQUAL", " <> ANY "},
    {"COMPARE_LESSTHAN", " < ANY "},
    {"COMPARE_GREATERTHAN", " > ANY "},
    {"COMPARE_LESSTHANOREQUALTO", " <= ANY "},
    {"COMPARE_GREATERTHANOREQUALTO", " >= ANY "},
};

static enum err print_subquery(struct sql_print *p, const struct sql_node *node)
{
    TRY(sql_members_known(p, node,
                          " class type alias query_location subquery_type subquery child comparison_type "));
    const struct sql_node *query = sql_member(node, "subquery");
    if (word_is(node, "subquery_type", "SCALAR")) return print_nested(p, query);
    if (word_is(node, "subquery_type", "EXISTS")) {
        buffer_put_text(&p->out, "EXISTS ");
        return print_nested(p, query);
    }
    const char *comparison = SPELL(comparisons, sql_word(node, "comparison_type"));
    if (!word_is(node, "subquery_type", "ANY") || comparison == NULL)
        return SQL_REFUSE(
            p, "found a subquery of kind %.40s; allowed: of one value, EXISTS, IN, comparison ANY or ALL",
            sql_word(node, "subquery_type"));
    buffer_put_u8(&p->out, '(');
    TRY(sql_print_expression(p, sql_member(node, "child")));
    buffer_put_text(&p->out, comparison);
    TRY(print_nested(p, query));
    buffer_put_u8(&p->out, ')');
    return OK;
}

/* --- FROM ---------------------------------------------------------------------------------------------- */

static const struct with *with_find(const struct query *q, struct span name)
{
    for (uint32_t i = 0; i < q->scope_count; i++)
        if (sql_name_equal(q->scope[i].name, name)) return &q->scope[i];
    return NULL;
}

static int table_find(const struct query *q, struct span name)
{
    for (uint32_t i = 0; i < q->table_count; i++)
        if (sql_name_equal(q->table[i].name, name)) return (int)i;
    return -1;
}

static enum err refuse_table(struct sql_print *p, struct span name)
{
    const struct query *q = query_of(p);
    char words[256] = "";
    size_t len = 0;
    for (uint32_t i = 0; i < q->table_count && len < sizeof words; i++) {
        int more = snprintf(words + len, sizeof words - len, " %.*s", (int)q->table[i].name.len,
                            (const char *)q->table[i].name.data);
        len += more > 0 ? (size_t)more : 0;
    }
    return SQL_REFUSE(p, "found the table '%.*s'; allowed: what WITH names, and this run's inputs%s",
                      sql_show(name), name.data, words);
}

static enum err print_base_table(struct sql_print *p, const struct sql_node *from)
{
    TRY(sql_members_known(
        p, from,
        " type alias sample query_location schema_name table_name column_name_alias catalog_name "
        "at_clause "));
    TRY(sql_member_empty(p, from, "schema_name", "a schema in FROM"));
    TRY(sql_member_empty(p, from, "catalog_name", "a catalog in FROM"));
    TRY(sql_member_empty(p, from, "sample", "TABLESAMPLE"));
    TRY(sql_member_empty(p, from, "at_clause", "AT (time travel)"));
    struct span name = sql_text(sql_member(from, "table_name")), alias = sql_text(sql_member(from, "alias"));
    const struct with *with = with_find(query_of(p), name);
    int table = table_find(query_of(p), name);
    if (with == NULL && table < 0) return refuse_table(p, name);
    buffer_put_text(&p->out, with != NULL ? "w_" : "in_");
    buffer_put_decimal(&p->out, with != NULL ? (int64_t)with->number : table);
    buffer_put_text(&p->out, " AS ");
    sql_put_identifier(&p->out, alias.len > 0 ? alias : name);
    put_names(&p->out, sql_member(from, "column_name_alias"));
    return OK;
}

static enum err print_derived(struct sql_print *p, const struct sql_node *from)
{
    TRY(sql_members_known(p, from, " type alias sample query_location subquery column_name_alias "));
    TRY(sql_member_empty(p, from, "sample", "TABLESAMPLE"));
    TRY(print_nested(p, sql_member(from, "subquery")));
    struct span alias = sql_text(sql_member(from, "alias"));
    if (alias.len == 0)
        return sql_member_empty(p, from, "column_name_alias", "column names of a nameless subquery");
    buffer_put_text(&p->out, " AS ");
    sql_put_identifier(&p->out, alias);
    put_names(&p->out, sql_member(from, "column_name_alias"));
    return OK;
}

static enum err print_from(struct sql_print *p, const struct sql_node *from);

static enum err print_join_condition(struct sql_print *p, const struct sql_node *join)
{
    const struct sql_node *condition = sql_member(join, "condition"),
                          *using = sql_member(join, "using_columns");
    if (sql_is_empty(condition) == (sql_count(using) == 0))
        return SQL_REFUSE(p, "found a JOIN with neither; allowed: ON or USING");
    if (sql_count(using) > 0) {
        buffer_put_text(&p->out, " USING ");
        put_names(&p->out, using);
        return OK;
    }
    buffer_put_text(&p->out, " ON ");
    return sql_print_expression(p, condition);
}

static enum err print_join(struct sql_print *p, const struct sql_node *join)
{
    static const struct spelling kinds[] = {{"INNER", " JOIN "},       {"LEFT", " LEFT JOIN "},
                                            {"RIGHT", " RIGHT JOIN "}, {"FULL", " FULL JOIN "},
                                            {"SEMI", " SEMI JOIN "},   {"ANTI", " ANTI JOIN "}};
    TRY(sql_members_known(
        p, join,
        " type alias sample query_location left right condition join_type ref_type using_columns "
        "delim_flipped duplicate_eliminated_columns "));
    TRY(sql_member_empty(p, join, "alias", "an alias of a JOIN"));
    TRY(sql_member_empty(p, join, "sample", "TABLESAMPLE"));
    TRY(sql_member_empty(p, join, "delim_flipped", "an internal JOIN"));
    TRY(sql_member_empty(p, join, "duplicate_eliminated_columns", "an internal JOIN"));
    const bool cross = word_is(join, "ref_type", "CROSS") && word_is(join, "join_type", "INNER");
    const char *kind = cross ? " CROSS JOIN " : SPELL(kinds, sql_word(join, "join_type"));
    if (kind == NULL || (!cross && !word_is(join, "ref_type", "REGULAR")))
        return SQL_REFUSE(
            p,
            "found a %.20s JOIN of kind %.20s; allowed: [INNER], LEFT, RIGHT, FULL, SEMI, ANTI and CROSS "
            "JOIN",
            sql_word(join, "ref_type"), sql_word(join, "join_type"));
    buffer_put_u8(&p->out, '(');
    TRY(print_from(p, sql_member(join, "left")));
    buffer_put_text(&p->out, kind);
    TRY(print_from(p, sql_member(join, "right")));
    if (!cross) TRY(print_join_condition(p, join));
    buffer_put_u8(&p->out, ')');
    return OK;
}

static enum err print_from(struct sql_print *p, const struct sql_node *from)
{
    const char *type = sql_word(from, "type");
    TRY(sql_print_enter(p));
    if (strcmp(type, "BASE_TABLE") == 0)
        TRY(print_base_table(p, from));
    else if (strcmp(type, "SUBQUERY") == 0)
        TRY(print_derived(p, from));
    else if (strcmp(type, "JOIN") == 0)
        TRY(print_join(p, from));
    else
        return SQL_REFUSE(p, "found FROM with %.40s; allowed: inputs, WITH, JOIN and subqueries",
                          *type == 0 ? "nothing" : type);
    sql_print_leave(p);
    return OK;
}

/* --- Queries ------------------------------------------------------------------------------------------- */

static enum err take_with_name(struct sql_print *p, struct span name)
{
    struct query *q = query_of(p);
    if (with_find(q, name) != NULL || table_find(q, name) >= 0)
        return SQL_REFUSE(p, "found WITH '%.*s', which is a table already; allowed: distinct names",
                          sql_show(name), name.data);
    if (q->with_count == WITH_COUNT_MAX)
        return SQL_REFUSE(p, "found more than %d tables of WITH; allowed: fewer", WITH_COUNT_MAX);
    return OK;
}

/* In scope only behind its own text: so none names itself. */
static enum err print_with_one(struct sql_print *p, const struct sql_node *entry)
{
    struct query *q = query_of(p);
    struct span name = sql_text(sql_member(entry, "key"));
    const struct sql_node *value = sql_member(entry, "value");
    TRY(sql_members_known(p, entry, " key value "));
    TRY(sql_members_known(p, value, " aliases query materialized key_targets "));
    TRY(sql_member_empty(p, value, "key_targets", "USING KEY"));
    if (!word_is(value, "materialized", "CTE_MATERIALIZE_DEFAULT"))
        return SQL_REFUSE(p, "found WITH ... MATERIALIZED; allowed: WITH name AS (SELECT ...)");
    TRY(take_with_name(p, name));
    const uint32_t number = q->with_count++;
    buffer_put_text(&p->out, "w_");
    buffer_put_decimal(&p->out, number);
    put_names(&p->out, sql_member(value, "aliases"));
    buffer_put_text(&p->out, " AS ");
    TRY(print_nested(p, sql_member(value, "query")));
    q->scope[q->scope_count++] = (struct with){name, number};
    return OK;
}

static enum err print_with(struct sql_print *p, const struct sql_node *with)
{
    TRY(sql_members_known(p, with, " map "));
    const struct sql_node *map = sql_member(with, "map");
    for (size_t i = 0; i < sql_count(map); i++) {
        buffer_put_text(&p->out, i == 0 ? "WITH " : ", ");
        TRY(print_with_one(p, sql_item(map, i)));
    }
    if (sql_count(map) > 0) buffer_put_u8(&p->out, ' ');
    return OK;
}

static const struct sql_node *modifier(const struct sql_node *node, const char *type)
{
    const struct sql_node *modifiers = sql_member(node, "modifiers");
    for (size_t i = 0; i < sql_count(modifiers); i++)
        if (word_is(sql_item(modifiers, i), "type", type)) return sql_item(modifiers, i);
    return NULL;
}

/* DISTINCT, ORDER BY and LIMIT, each at most once. */
static enum err check_modifiers(struct sql_print *p, const struct sql_node *node)
{
    size_t known = 0;
    const struct sql_node *distinct = modifier(node, "DISTINCT_MODIFIER"),
                          *order = modifier(node, "ORDER_MODIFIER"),
                          *limit = modifier(node, "LIMIT_MODIFIER");
    known += (size_t)(distinct != NULL) + (size_t)(order != NULL) + (size_t)(limit != NULL);
    if (known != sql_count(sql_member(node, "modifiers")))
        return SQL_REFUSE(
            p, "found another modifier, or one twice; allowed: DISTINCT, ORDER BY, LIMIT and OFFSET");
    TRY(sql_members_known(p, distinct, " type distinct_on_targets "));
    TRY(sql_member_empty(p, distinct, "distinct_on_targets", "DISTINCT ON"));
    TRY(sql_members_known(p, order, " type orders "));
    return sql_members_known(p, limit, " type limit offset ");
}

static enum err print_limit(struct sql_print *p, const struct sql_node *node, const char *word)
{
    if (sql_is_empty(node)) return OK;
    int64_t count = whole_constant(node);
    if (count < 0) return SQL_REFUSE(p, "found another LIMIT or OFFSET; allowed: a whole number");
    buffer_put_text(&p->out, word);
    buffer_put_decimal(&p->out, count);
    return OK;
}

/* What stands behind a query: ORDER BY, LIMIT, OFFSET. */
static enum err print_tail(struct sql_print *p, const struct sql_node *node)
{
    const struct sql_node *limit = modifier(node, "LIMIT_MODIFIER");
    TRY(print_orders(p, sql_member(modifier(node, "ORDER_MODIFIER"), "orders"), print_position));
    TRY(print_limit(p, sql_member(limit, "limit"), " LIMIT "));
    return print_limit(p, sql_member(limit, "offset"), " OFFSET ");
}

static enum err print_groups(struct sql_print *p, const struct sql_node *node)
{
    const struct sql_node *groups = sql_member(node, "group_expressions"),
                          *sets = sql_member(node, "group_sets");
    size_t count = sql_count(groups);
    if (!word_is(node, "aggregate_handling", "STANDARD_HANDLING"))
        return SQL_REFUSE(p, "found GROUP BY ALL; allowed: GROUP BY with expressions");
    if (sql_count(sets) > 1 ||
        (sql_count(sets) == 1 && (count == 0 || sql_count(sql_item(sets, 0)) != count)))
        return SQL_REFUSE(
            p, "found GROUPING SETS, ROLLUP, CUBE or GROUP BY (); allowed: GROUP BY with expressions");
    for (size_t i = 0; i < count; i++) {
        buffer_put_text(&p->out, i == 0 ? " GROUP BY " : ", ");
        TRY(print_position(p, sql_item(groups, i)));
    }
    return OK;
}

static enum err print_clause(struct sql_print *p, const struct sql_node *condition, const char *word)
{
    if (sql_is_empty(condition)) return OK;
    buffer_put_text(&p->out, word);
    return sql_print_expression(p, condition);
}

static enum err print_select(struct sql_print *p, const struct sql_node *node)
{
    TRY(sql_members_known(
        p, node,
        " type modifiers cte_map select_list from_table where_clause group_expressions group_sets "
        "aggregate_handling having sample qualify "));
    TRY(sql_member_empty(p, node, "sample", "USING SAMPLE"));
    const struct sql_node *list = sql_member(node, "select_list");
    buffer_put_text(&p->out, modifier(node, "DISTINCT_MODIFIER") != NULL ? "SELECT DISTINCT " : "SELECT ");
    for (size_t i = 0; i < sql_count(list); i++) {
        if (i > 0) buffer_put_text(&p->out, ", ");
        TRY(print_output(p, sql_item(list, i)));
    }
    buffer_put_text(&p->out, " FROM ");
    TRY(print_from(p, sql_member(node, "from_table")));
    TRY(print_clause(p, sql_member(node, "where_clause"), " WHERE "));
    TRY(print_groups(p, node));
    TRY(print_clause(p, sql_member(node, "having"), " HAVING "));
    return print_clause(p, sql_member(node, "qualify"), " QUALIFY ");
}

static enum err print_set_operation(struct sql_print *p, const struct sql_node *node)
{
    static const struct spelling operations[] = {
        {"UNION", ") UNION "}, {"EXCEPT", ") EXCEPT "}, {"INTERSECT", ") INTERSECT "}};
    TRY(sql_members_known(p, node, " type modifiers cte_map setop_type left right setop_all "));
    const char *operation = SPELL(operations, sql_word(node, "setop_type"));
    if (operation == NULL || modifier(node, "DISTINCT_MODIFIER") != NULL)
        return SQL_REFUSE(
            p, "found the set operation %.40s; allowed: UNION, EXCEPT, INTERSECT, each with ALL or not",
            sql_word(node, "setop_type"));
    buffer_put_u8(&p->out, '(');
    TRY(print_query(p, sql_member(node, "left")));
    buffer_put_text(&p->out, operation);
    buffer_put_text(&p->out, sql_is_empty(sql_member(node, "setop_all")) ? "(" : "ALL (");
    TRY(print_query(p, sql_member(node, "right")));
    buffer_put_u8(&p->out, ')');
    return OK;
}

static enum err print_query(struct sql_print *p, const struct sql_node *node)
{
    const char *type = sql_word(node, "type");
    const uint32_t scope_count = query_of(p)->scope_count;
    const bool is_select = strcmp(type, "SELECT_NODE") == 0;
    if (!is_select && strcmp(type, "SET_OPERATION_NODE") != 0)
        return SQL_REFUSE(p, "found a %.40s; allowed: " SHAPE, *type == 0 ? "malformed query" : type);
    TRY(sql_print_enter(p));
    TRY(check_modifiers(p, node));
    TRY(print_with(p, sql_member(node, "cte_map")));
    TRY(is_select ? print_select(p, node) : print_set_operation(p, node));
    TRY(print_tail(p, node));
    query_of(p)->scope_count = scope_count;
    sql_print_leave(p);
    return OK;
}

/* --- Outputs ------------------------------------------------------------------------------------------- */

/* A set operation has the names of its first part. */
static enum err check_named(struct sql_print *p, const struct sql_node *node)
{
    while (word_is(node, "type", "SET_OPERATION_NODE")) node = sql_member(node, "left");
    const struct sql_node *list = sql_member(node, "select_list");
    for (size_t i = 0; i < sql_count(list); i++) {
        const struct sql_node *output = sql_item(list, i);
        if (*sql_word(output, "alias") != 0 || word_is(output, "class", "STAR") ||
            word_is(output, "class", "COLUMN_REF"))
            continue;
        return SQL_REFUSE(p, "found an output without a name; allowed: <expression> AS <name>");
    }
    return OK;
}

static enum err print_statement(struct sql_print *p, const struct sql_node *node)
{
    TRY(print_query(p, node));
    return check_named(p, node);
}

static const struct sql_class classes[] = {{"COLUMN_REF", print_column},
                                           {"FUNCTION", print_function},
                                           {"WINDOW", print_window},
                                           {"SUBQUERY", print_subquery}};
static const struct sql_dialect dialect = {
    .shape = SHAPE,
    .expressions = "functions, aggregates, windows and subqueries",
    .functions =
        "; sqrt replace split_part date_diff regexp_matches regexp_full_match regexp_replace regexp_extract; "
        "count sum avg mean min max median mode stddev[_samp|_pop] variance var_samp var_pop covar_samp "
        "covar_pop corr regr_slope regr_intercept regr_r2 regr_count quantile_cont quantile_disc bool_and "
        "bool_or arg_min arg_max first last any_value string_agg",
    .chosen_before = "(SELECT \"chosen\".",
    .chosen_after = " FROM \"chosen\")",
    .classes = classes,
    .class_count = sizeof classes / sizeof *classes};

/* --- DuckDB as binder ---------------------------------------------------------------------------------- */

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
        err = fault_set(why, why_len, ERR_SQL, "found what DuckDB refuses: %.*s; allowed: " SHAPE,
                        (int)strcspn(reason, "\n"),
                        reason); /* its first line: more would quote what was printed */
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

static enum err check(struct sql_plan *plan, struct duckdb_session *s, struct span sql, struct query *query,
                      const struct parameters *parameters, char *why, size_t why_len)
{
    TRY(create_tables(s, query->table, query->table_count, why, why_len));
    TRY(sql_create_chosen(s, parameters, NULL, why, why_len));
    TRY(duckdb_session_lock(s, "", why, why_len));
    uint8_t *room = malloc(SQL_PRINT_BYTES_MAX);
    if (room == NULL) return ERR_NO_MEMORY;
    struct sql_print p = {.out = buffer_make(room, SQL_PRINT_BYTES_MAX),
                          .dialect = &dialect,
                          .context = query,
                          .parameters = parameters,
                          .why = why,
                          .why_len = why_len};
    enum err err = sql_print_statement(&p, s, sql, print_statement);
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
    struct query query = {.table = tables, .table_count = table_count};
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
