#include "node/sql_query.h"

#include "node/sql_call.h"
#include "node/sql_order.h"
#include "proto/base/text.h"

#include <stdio.h>
#include <string.h>

#define SHAPE "one SELECT over the run's inputs by their names"

static struct sql_query *query_of(const struct sql_print *p)
{
    return p->context;
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
    if (sql_word_is(node, "class", "STAR")) return print_star(p, node);
    TRY(sql_print_expression(p, node));
    struct span alias = sql_text(sql_member(node, "alias"));
    if (alias.len == 0) return OK;
    buffer_put_text(&p->out, " AS ");
    sql_put_identifier(&p->out, alias);
    return OK;
}

/* --- Subqueries ---------------------------------------------------------------------------------------- */

static const struct sql_spelling comparisons[] = {
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
    if (sql_word_is(node, "subquery_type", "SCALAR")) return print_nested(p, query);
    if (sql_word_is(node, "subquery_type", "EXISTS")) {
        buffer_put_text(&p->out, "EXISTS ");
        return print_nested(p, query);
    }
    const char *comparison = SQL_SPELL(comparisons, sql_word(node, "comparison_type"));
    if (!sql_word_is(node, "subquery_type", "ANY") || comparison == NULL)
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

static const struct sql_with *with_find(const struct sql_query *q, struct span name)
{
    for (uint32_t i = 0; i < q->scope_count; i++)
        if (sql_name_equal(q->scope[i].name, name)) return &q->scope[i];
    return NULL;
}

static int table_find(const struct sql_query *q, struct span name)
{
    for (uint32_t i = 0; i < q->table_count; i++)
        if (sql_name_equal(q->table[i].name, name)) return (int)i;
    return -1;
}

static enum err refuse_table(struct sql_print *p, struct span name)
{
    const struct sql_query *q = query_of(p);
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
    const struct sql_with *with = with_find(query_of(p), name);
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
    static const struct sql_spelling kinds[] = {{"INNER", " JOIN "},       {"LEFT", " LEFT JOIN "},
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
    const bool cross = sql_word_is(join, "ref_type", "CROSS") && sql_word_is(join, "join_type", "INNER");
    const char *kind = cross ? " CROSS JOIN " : SQL_SPELL(kinds, sql_word(join, "join_type"));
    if (kind == NULL || (!cross && !sql_word_is(join, "ref_type", "REGULAR")))
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
    struct sql_query *q = query_of(p);
    if (with_find(q, name) != NULL || table_find(q, name) >= 0)
        return SQL_REFUSE(p, "found WITH '%.*s', which is a table already; allowed: distinct names",
                          sql_show(name), name.data);
    if (q->with_count == SQL_WITH_COUNT_MAX)
        return SQL_REFUSE(p, "found more than %d tables of WITH; allowed: fewer", SQL_WITH_COUNT_MAX);
    return OK;
}

/* In scope only behind its own text: so none names itself. */
static enum err print_with_one(struct sql_print *p, const struct sql_node *entry)
{
    struct sql_query *q = query_of(p);
    struct span name = sql_text(sql_member(entry, "key"));
    const struct sql_node *value = sql_member(entry, "value");
    TRY(sql_members_known(p, entry, " key value "));
    TRY(sql_members_known(p, value, " aliases query materialized key_targets "));
    TRY(sql_member_empty(p, value, "key_targets", "USING KEY"));
    if (!sql_word_is(value, "materialized", "CTE_MATERIALIZE_DEFAULT"))
        return SQL_REFUSE(p, "found WITH ... MATERIALIZED; allowed: WITH name AS (SELECT ...)");
    TRY(take_with_name(p, name));
    const uint32_t number = q->with_count++;
    buffer_put_text(&p->out, "w_");
    buffer_put_decimal(&p->out, number);
    put_names(&p->out, sql_member(value, "aliases"));
    buffer_put_text(&p->out, " AS ");
    TRY(print_nested(p, sql_member(value, "query")));
    q->scope[q->scope_count++] = (struct sql_with){name, number};
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
        if (sql_word_is(sql_item(modifiers, i), "type", type)) return sql_item(modifiers, i);
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
    int64_t count = sql_order_constant(node);
    if (count < 0) return SQL_REFUSE(p, "found another LIMIT or OFFSET; allowed: a whole number");
    buffer_put_text(&p->out, word);
    buffer_put_decimal(&p->out, count);
    return OK;
}

/* What stands behind a query: ORDER BY, LIMIT, OFFSET. */
static enum err print_tail(struct sql_print *p, const struct sql_node *node)
{
    const struct sql_node *limit = modifier(node, "LIMIT_MODIFIER");
    TRY(sql_order_print(p, sql_member(modifier(node, "ORDER_MODIFIER"), "orders"), sql_order_position));
    TRY(print_limit(p, sql_member(limit, "limit"), " LIMIT "));
    return print_limit(p, sql_member(limit, "offset"), " OFFSET ");
}

static enum err print_groups(struct sql_print *p, const struct sql_node *node)
{
    const struct sql_node *groups = sql_member(node, "group_expressions"),
                          *sets = sql_member(node, "group_sets");
    size_t count = sql_count(groups);
    if (!sql_word_is(node, "aggregate_handling", "STANDARD_HANDLING"))
        return SQL_REFUSE(p, "found GROUP BY ALL; allowed: GROUP BY with expressions");
    if (sql_count(sets) > 1 ||
        (sql_count(sets) == 1 && (count == 0 || sql_count(sql_item(sets, 0)) != count)))
        return SQL_REFUSE(
            p, "found GROUPING SETS, ROLLUP, CUBE or GROUP BY (); allowed: GROUP BY with expressions");
    for (size_t i = 0; i < count; i++) {
        buffer_put_text(&p->out, i == 0 ? " GROUP BY " : ", ");
        TRY(sql_order_position(p, sql_item(groups, i)));
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
    static const struct sql_spelling operations[] = {
        {"UNION", ") UNION "}, {"EXCEPT", ") EXCEPT "}, {"INTERSECT", ") INTERSECT "}};
    TRY(sql_members_known(p, node, " type modifiers cte_map setop_type left right setop_all "));
    const char *operation = SQL_SPELL(operations, sql_word(node, "setop_type"));
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
    while (sql_word_is(node, "type", "SET_OPERATION_NODE")) node = sql_member(node, "left");
    const struct sql_node *list = sql_member(node, "select_list");
    for (size_t i = 0; i < sql_count(list); i++) {
        const struct sql_node *output = sql_item(list, i);
        if (*sql_word(output, "alias") != 0 || sql_word_is(output, "class", "STAR") ||
            sql_word_is(output, "class", "COLUMN_REF"))
            continue;
        return SQL_REFUSE(p, "found an output without a name; allowed: <expression> AS <name>");
    }
    return OK;
}

enum err sql_query_print(struct sql_print *p, const struct sql_node *node)
{
    TRY(print_query(p, node));
    return check_named(p, node);
}

static const struct sql_class classes[] = {{"COLUMN_REF", print_column},
                                           {"FUNCTION", sql_call_function},
                                           {"WINDOW", sql_call_window},
                                           {"SUBQUERY", print_subquery}};
const struct sql_dialect sql_query_dialect = {
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
