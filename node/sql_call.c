#include "node/sql_call.h"

#include "node/sql_order.h"

#include <string.h>
#include <strings.h>

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
    if (!sql_word_is(node, "schema", "main"))
        TRY(sql_member_empty(p, node, "schema", "a function of a schema"));
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
    TRY(sql_order_print(p, sql_member(order, "orders"), sql_print_expression));
    buffer_put_u8(&p->out, ')');
    return print_filter(p, sql_member(node, "filter"));
}

enum err sql_call_function(struct sql_print *p, const struct sql_node *node)
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
    if (!fits || !sql_word_is(node, "exclude_clause", "NO_OTHER"))
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
    bool aggregate = sql_word_is(node, "type", "WINDOW_AGGREGATE");
    return aggregate ? CALL_FIND(aggregates, name, count) : CALL_FIND(windows, name, count);
}

enum err sql_call_window(struct sql_print *p, const struct sql_node *node)
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
    TRY(sql_order_print(p, sql_member(node, "orders"), sql_print_expression));
    TRY(print_frame(p, node));
    buffer_put_u8(&p->out, ')');
    return OK;
}
