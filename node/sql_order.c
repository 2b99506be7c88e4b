#include "node/sql_order.h"

int64_t sql_order_constant(const struct sql_node *node)
{
    const struct sql_node *holder = sql_member(node, "value"), *value = sql_member(holder, "value");
    const struct sql_node *type = sql_member(holder, "type");
    bool whole = sql_word_is(node, "class", "CONSTANT") && sql_kind(value) == SQL_INTEGER &&
                 (sql_word_is(type, "id", "INTEGER") || sql_word_is(type, "id", "BIGINT"));
    return whole && sql_integer(value) >= 0 ? sql_integer(value) : -1;
}

enum err sql_order_position(struct sql_print *p, const struct sql_node *node)
{
    if (!sql_word_is(node, "class", "CONSTANT")) return sql_print_expression(p, node);
    int64_t place = sql_order_constant(node);
    if (place < 1 || place > CAP_COLUMNS)
        return SQL_REFUSE(
            p, "found a constant to order or group by; allowed: a position from 1 to %d, an expression",
            CAP_COLUMNS);
    buffer_put_decimal(&p->out, place);
    return OK;
}

static enum err print_order(struct sql_print *p, const struct sql_node *order, sql_printer *print)
{
    static const struct sql_spelling directions[] = {
        {"ORDER_DEFAULT", ""}, {"ASCENDING", " ASC"}, {"DESCENDING", " DESC"}};
    static const struct sql_spelling nulls[] = {
        {"ORDER_DEFAULT", ""}, {"NULLS FIRST", " NULLS FIRST"}, {"NULLS LAST", " NULLS LAST"}};
    TRY(sql_members_known(p, order, " type null_order expression "));
    const char *direction = SQL_SPELL(directions, sql_word(order, "type"));
    const char *place = SQL_SPELL(nulls, sql_word(order, "null_order"));
    if (direction == NULL || place == NULL)
        return SQL_REFUSE(p, "found an unknown order; allowed: ASC, DESC, NULLS FIRST, NULLS LAST");
    TRY(print(p, sql_member(order, "expression")));
    buffer_put_text(&p->out, direction);
    buffer_put_text(&p->out, place);
    return OK;
}

enum err sql_order_print(struct sql_print *p, const struct sql_node *orders, sql_printer *print)
{
    for (size_t i = 0; i < sql_count(orders); i++) {
        buffer_put_text(&p->out, i == 0 ? " ORDER BY " : ", ");
        TRY(print_order(p, sql_item(orders, i), print));
    }
    return OK;
}
