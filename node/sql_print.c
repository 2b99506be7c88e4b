#include "node/sql_print.h"

#include "proto/base/panic.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- Names and text ------------------------------------------------------------------------------------ */

static uint8_t lower_ascii(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

const char *sql_spell(const struct sql_spelling *table, size_t count, const char *word)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(table[i].word, word) == 0) return table[i].sql;
    return NULL;
}

bool sql_name_equal(struct span a, struct span b)
{
    if (a.len != b.len) return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower_ascii(a.data[i]) != lower_ascii(b.data[i])) return false;
    return true;
}

static void put_quoted(struct buffer *out, struct span text, uint8_t quote)
{
    buffer_put_u8(out, quote);
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == quote) buffer_put_u8(out, quote);
        buffer_put_u8(out, text.data[i]);
    }
    buffer_put_u8(out, quote);
}

void sql_put_identifier(struct buffer *out, struct span name)
{
    put_quoted(out, name, '"');
}

void sql_put_literal(struct buffer *out, struct span text)
{
    put_quoted(out, text, '\'');
}

const char *sql_column_type(enum column_type type)
{
    switch (type) {
    case COLUMN_TEXT: return "VARCHAR";
    case COLUMN_INTEGER: return "BIGINT";
    case COLUMN_DECIMAL: return "DOUBLE";
    case COLUMN_BOOLEAN: return "BOOLEAN";
    case COLUMN_DATE: return "DATE";
    }
    UNREACHABLE();
}

int sql_show(struct span text)
{
    return text.len < 60 ? (int)text.len : 60;
}

/* --- Reading the tree ---------------------------------------------------------------------------------- */

bool sql_is_empty(const struct sql_node *node)
{
    switch (sql_kind(node)) {
    case SQL_NOTHING:
    case SQL_FALSE: return true;
    case SQL_TEXT: return sql_text(node).len == 0;
    case SQL_LIST: return sql_count(node) == 0;
    case SQL_TRUE:
    case SQL_INTEGER:
    case SQL_REAL:
    case SQL_OBJECT: return false;
    }
    UNREACHABLE();
}

enum err sql_members_known(struct sql_print *p, const struct sql_node *node, const char *known)
{
    const char *key = sql_unknown_member(node, known);
    if (key == NULL) return OK;
    return SQL_REFUSE(
        p, "found the unknown member '%.40s' in a parse tree node; allowed: those of " DUCKDB_VERSION, key);
}

enum err sql_member_empty(struct sql_print *p, const struct sql_node *object, const char *key,
                          const char *what)
{
    if (sql_is_empty(sql_member(object, key))) return OK;
    return SQL_REFUSE(p, "found %s; allowed: %s", what, p->dialect->shape);
}

/* --- Printing expressions ------------------------------------------------------------------------------ */

enum err sql_print_list(struct sql_print *p, const struct sql_node *children, const char *separator)
{
    size_t count = sql_count(children);
    for (size_t i = 0; i < count; i++) {
        if (i > 0) buffer_put_text(&p->out, separator);
        TRY(sql_print_expression(p, sql_item(children, i)));
    }
    return OK;
}

static const char *const plain_types[] = {"BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT",
                                          "HUGEINT", "FLOAT",   "DOUBLE",   "VARCHAR", "DATE"};

static enum err print_type(struct sql_print *p, const struct sql_node *type)
{
    TRY(sql_members_known(p, type, " id type_info "));
    const char *id = sql_word(type, "id");
    const struct sql_node *info = sql_member(type, "type_info");
    if (strcmp(id, "DECIMAL") == 0 && sql_kind(info) == SQL_OBJECT) {
        TRY(sql_members_known(p, info, " type alias extension_info width scale "));
        TRY(sql_member_empty(p, info, "alias", "a user-defined type"));
        TRY(sql_member_empty(p, info, "extension_info", "an extended type"));
        int64_t width = sql_integer(sql_member(info, "width"));
        int64_t scale = sql_integer(sql_member(info, "scale"));
        if (width >= 1 && width <= 38 && scale >= 0 && scale <= width) {
            buffer_put_text(&p->out, "DECIMAL(");
            buffer_put_decimal(&p->out, width);
            buffer_put_text(&p->out, ",");
            buffer_put_decimal(&p->out, scale);
            buffer_put_text(&p->out, ")");
            return OK;
        }
    }
    for (size_t i = 0; i < sizeof plain_types / sizeof *plain_types; i++) {
        if (strcmp(id, plain_types[i]) != 0 || !sql_is_empty(info)) continue;
        buffer_put_text(&p->out, id);
        return OK;
    }
    return SQL_REFUSE(
        p,
        "found the type %.40s; allowed: BOOLEAN, TINYINT, SMALLINT, INTEGER, BIGINT, HUGEINT, FLOAT, DOUBLE, "
        "DECIMAL, VARCHAR, DATE",
        id);
}

static enum err print_cast(struct sql_print *p, const struct sql_node *node)
{
    TRY(sql_members_known(p, node, " class type alias query_location child cast_type try_cast "));
    buffer_put_text(&p->out, "TRY_CAST(");
    TRY(sql_print_expression(p, sql_member(node, "child")));
    buffer_put_text(&p->out, " AS ");
    TRY(print_type(p, sql_member(node, "cast_type")));
    buffer_put_text(&p->out, ")");
    return OK;
}

/* A decimal constant arrives as its integer and a scale. */
static void put_scaled(struct buffer *out, int64_t value, int64_t scale)
{
    char digits[64];
    unsigned long long magnitude = value < 0 ? 0ULL - (unsigned long long)value : (unsigned long long)value;
    int len = snprintf(digits, sizeof digits, "%0*llu", (int)scale + 1, magnitude);
    if (value < 0) buffer_put_u8(out, '-');
    buffer_put(out, span_make(digits, (size_t)len - (size_t)scale));
    buffer_put_u8(out, '.');
    buffer_put(out, span_make(digits + len - scale, (size_t)scale));
}

static enum err print_number(struct sql_print *p, const struct sql_node *value, const struct sql_node *type)
{
    const char *id = sql_word(type, "id");
    int64_t scale = sql_integer(sql_member(sql_member(type, "type_info"), "scale"));
    char text[64];
    buffer_put_text(&p->out, "CAST('");
    if (sql_kind(value) == SQL_INTEGER && strcmp(id, "DECIMAL") == 0 && scale >= 0 && scale <= 38)
        put_scaled(&p->out, sql_integer(value), scale);
    else if (sql_kind(value) == SQL_INTEGER)
        buffer_put_decimal(&p->out, sql_integer(value));
    else if (sql_kind(value) == SQL_REAL && isfinite(sql_real(value))) {
        (void)snprintf(text, sizeof text, "%.17g", sql_real(value));
        buffer_put_text(&p->out, text);
    } else
        return SQL_REFUSE(p, "found a %.40s constant of an unusual size; allowed: up to 18 digits", id);
    buffer_put_text(&p->out, "' AS ");
    TRY(print_type(p, type));
    buffer_put_text(&p->out, ")");
    return OK;
}

static enum err print_constant(struct sql_print *p, const struct sql_node *node)
{
    TRY(sql_members_known(p, node, " class type alias query_location value "));
    const struct sql_node *holder = sql_member(node, "value");
    TRY(sql_members_known(p, holder, " type is_null value "));
    const struct sql_node *type = sql_member(holder, "type"), *value = sql_member(holder, "value");
    TRY(sql_members_known(p, type, " id type_info "));
    if (sql_kind(sql_member(holder, "is_null")) == SQL_TRUE) {
        buffer_put_text(&p->out, "NULL");
        return OK;
    }
    const char *id = sql_word(type, "id");
    if (sql_kind(value) == SQL_TEXT && strcmp(id, "VARCHAR") == 0 &&
        sql_is_empty(sql_member(type, "type_info"))) {
        sql_put_literal(&p->out, sql_text(value));
        return OK;
    }
    enum sql_kind kind = sql_kind(value);
    if ((kind == SQL_TRUE || kind == SQL_FALSE) && strcmp(id, "BOOLEAN") == 0) {
        buffer_put_text(&p->out, kind == SQL_TRUE ? "TRUE" : "FALSE");
        return OK;
    }
    if (kind == SQL_INTEGER || kind == SQL_REAL) return print_number(p, value, type);
    return SQL_REFUSE(p, "found a constant of type %.40s; allowed: numbers, text, dates, booleans, NULL", id);
}

static void put_value(struct buffer *out, const struct parameter_choice *choice, uint32_t index)
{
    if (choice == NULL) {
        buffer_put_text(out, "NULL");
    } else if (choice->of->parameter[index].type == PARAMETER_TEXT) {
        sql_put_literal(out, choice->value[index].text);
    } else {
        buffer_put_u8(out, '\'');
        buffer_put_decimal(out, choice->value[index].integer);
        buffer_put_u8(out, '\'');
    }
}

void sql_put_chosen(struct buffer *out, const struct parameters *parameters,
                    const struct parameter_choice *choice)
{
    for (uint32_t i = 0; i < parameters->count; i++) {
        const struct parameter *x = &parameters->parameter[i];
        buffer_put_text(out, i == 0 ? "(SELECT CAST(" : ", CAST(");
        put_value(out, choice, i);
        buffer_put_text(out, x->type == PARAMETER_TEXT ? " AS VARCHAR) AS " : " AS BIGINT) AS ");
        sql_put_identifier(out, x->name);
    }
    if (parameters->count > 0) buffer_put_u8(out, ')');
}

static enum err print_parameter(struct sql_print *p, const struct sql_node *node)
{
    TRY(sql_members_known(p, node, " class type alias query_location identifier "));
    struct span name = sql_text(sql_member(node, "identifier"));
    if (p->parameters == NULL || parameters_find(p->parameters, name) < 0)
        return SQL_REFUSE(
            p, "found the parameter $%.*s; allowed: $name for a name among the workflow's parameters",
            sql_show(name), name.data);
    p->column_ref_count++; /* to a function that copies, what it is */
    buffer_put_text(&p->out, p->dialect->chosen_before);
    sql_put_identifier(&p->out, name);
    buffer_put_text(&p->out, p->dialect->chosen_after);
    return OK;
}

/* A table row: the tree's type name and the SQL between or before the children. */
struct spelling {
    const char *type, *sql;
};

static const struct spelling comparisons[] = {
    {"COMPARE_EQUAL", "="},
    {"COMPARE_NOTEQUAL", "<>"},
    {"COMPARE_LESSTHAN", "<"},
    {"COMPARE_GREATERTHAN", ">"},
    {"COMPARE_LESSTHANOREQUALTO", "<="},
    {"COMPARE_GREATERTHANOREQUALTO", ">="},
    {"COMPARE_DISTINCT_FROM", "IS DISTINCT FROM"},
    {"COMPARE_NOT_DISTINCT_FROM", "IS NOT DISTINCT FROM"},
};

static enum err print_comparison(struct sql_print *p, const struct sql_node *node)
{
    TRY(sql_members_known(p, node, " class type alias query_location left right "));
    const char *type = sql_word(node, "type");
    for (size_t i = 0; i < sizeof comparisons / sizeof *comparisons; i++) {
        if (strcmp(type, comparisons[i].type) != 0) continue;
        buffer_put_text(&p->out, "(");
        TRY(sql_print_expression(p, sql_member(node, "left")));
        buffer_put_text(&p->out, " ");
        buffer_put_text(&p->out, comparisons[i].sql);
        buffer_put_text(&p->out, " ");
        TRY(sql_print_expression(p, sql_member(node, "right")));
        buffer_put_text(&p->out, ")");
        return OK;
    }
    return SQL_REFUSE(p, "found the comparison %.40s; allowed: = <> < > <= >= IS [NOT] DISTINCT FROM", type);
}

static enum err print_conjunction(struct sql_print *p, const struct sql_node *node)
{
    TRY(sql_members_known(p, node, " class type alias query_location children "));
    const char *type = sql_word(node, "type");
    bool both = strcmp(type, "CONJUNCTION_AND") == 0;
    if (!both && strcmp(type, "CONJUNCTION_OR") != 0)
        return SQL_REFUSE(p, "found the conjunction %.40s; allowed: AND, OR", type);
    buffer_put_text(&p->out, "(");
    TRY(sql_print_list(p, sql_member(node, "children"), both ? " AND " : " OR "));
    buffer_put_text(&p->out, ")");
    return OK;
}

static enum err print_between(struct sql_print *p, const struct sql_node *node)
{
    TRY(sql_members_known(p, node, " class type alias query_location input lower upper "));
    buffer_put_text(&p->out, "(");
    TRY(sql_print_expression(p, sql_member(node, "input")));
    buffer_put_text(&p->out, " BETWEEN ");
    TRY(sql_print_expression(p, sql_member(node, "lower")));
    buffer_put_text(&p->out, " AND ");
    TRY(sql_print_expression(p, sql_member(node, "upper")));
    buffer_put_text(&p->out, ")");
    return OK;
}

static enum err print_case(struct sql_print *p, const struct sql_node *node)
{
    TRY(sql_members_known(p, node, " class type alias query_location case_checks else_expr "));
    const struct sql_node *checks = sql_member(node, "case_checks");
    buffer_put_text(&p->out, "(CASE");
    for (size_t i = 0; i < sql_count(checks); i++) {
        const struct sql_node *check = sql_item(checks, i);
        TRY(sql_members_known(p, check, " when_expr then_expr "));
        buffer_put_text(&p->out, " WHEN ");
        TRY(sql_print_expression(p, sql_member(check, "when_expr")));
        buffer_put_text(&p->out, " THEN ");
        TRY(sql_print_expression(p, sql_member(check, "then_expr")));
    }
    if (!sql_is_empty(sql_member(node, "else_expr"))) {
        buffer_put_text(&p->out, " ELSE ");
        TRY(sql_print_expression(p, sql_member(node, "else_expr")));
    }
    buffer_put_text(&p->out, " END)");
    return OK;
}

/* (first IN (rest)). */
static enum err print_in(struct sql_print *p, const struct sql_node *children, const char *word)
{
    buffer_put_text(&p->out, "(");
    TRY(sql_print_expression(p, sql_item(children, 0)));
    buffer_put_text(&p->out, word);
    for (size_t i = 1; i < sql_count(children); i++) {
        if (i > 1) buffer_put_text(&p->out, ", ");
        TRY(sql_print_expression(p, sql_item(children, i)));
    }
    buffer_put_text(&p->out, "))");
    return OK;
}

static enum err print_operator(struct sql_print *p, const struct sql_node *node)
{
    TRY(sql_members_known(p, node, " class type alias query_location children "));
    const char *type = sql_word(node, "type");
    const struct sql_node *children = sql_member(node, "children");
    size_t count = sql_count(children);
    if (count >= 2 && strcmp(type, "COMPARE_IN") == 0) return print_in(p, children, " IN (");
    if (count >= 2 && strcmp(type, "COMPARE_NOT_IN") == 0) return print_in(p, children, " NOT IN (");
    static const struct {
        const char *type, *before, *after;
        size_t count_max;
    } operators[] = {
        {"OPERATOR_IS_NULL", "(", " IS NULL)", 1},   {"OPERATOR_IS_NOT_NULL", "(", " IS NOT NULL)", 1},
        {"OPERATOR_NOT", "(NOT ", ")", 1},           {"OPERATOR_TRY", "TRY(", ")", 1},
        {"OPERATOR_COALESCE", "COALESCE(", ")", 64},
    };
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        if (strcmp(type, operators[i].type) != 0 || count < 1 || count > operators[i].count_max) continue;
        buffer_put_text(&p->out, operators[i].before);
        TRY(sql_print_list(p, children, ", "));
        buffer_put_text(&p->out, operators[i].after);
        return OK;
    }
    return SQL_REFUSE(
        p, "found the operator %.40s; allowed: IS [NOT] NULL, NOT, [NOT] IN (list), COALESCE, TRY", type);
}

/* Functions whose result is a function of their arguments alone, the same on every machine, no larger than they are
 * together, in time linear in them: so no pow, ln or sqrt of the C library, no repeat or replace, no error(). */
static const struct function {
    const char *name;
    uint32_t least, most;
} functions[] = {
    {"abs", 1, 1},         {"floor", 1, 1},     {"ceil", 1, 1},      {"ceiling", 1, 1},   {"round", 1, 2},
    {"trunc", 1, 1},       {"sign", 1, 1},      {"least", 1, 64},    {"greatest", 1, 64}, {"nullif", 2, 2},
    {"isnan", 1, 1},       {"isinf", 1, 1},     {"isfinite", 1, 1},  {"lower", 1, 1},     {"upper", 1, 1},
    {"lcase", 1, 1},       {"ucase", 1, 1},     {"trim", 1, 1},      {"ltrim", 1, 1},     {"rtrim", 1, 1},
    {"length", 1, 1},      {"len", 1, 1},       {"substring", 2, 3}, {"substr", 2, 3},    {"left", 2, 2},
    {"right", 2, 2},       {"concat", 1, 64},   {"contains", 2, 2},  {"prefix", 2, 2},    {"suffix", 2, 2},
    {"starts_with", 2, 2}, {"ends_with", 2, 2}, {"year", 1, 1},      {"month", 1, 1},     {"day", 1, 1},
    {"quarter", 1, 1},     {"dayofweek", 1, 1}, {"dayofyear", 1, 1},
};

static const struct function infixes[] = {
    {"+", 1, 2}, {"-", 1, 2}, {"*", 2, 2}, {"/", 2, 2}, {"//", 2, 2}, {"%", 2, 2}, {"||", 2, 2},
};

/* Those that make new text: each copies what it reads, on every row, and the copies live side by side. */
static const char *const copying[] = {"lower", "upper", "lcase",     "ucase",  "trim", "ltrim", "rtrim",
                                      "left",  "right", "substring", "substr", "||",   "concat"};

static const char *const date_parts[] = {"year", "quarter", "month", "day", "dow", "doy"};

/* date_part('year', d): only with a literal part, because the name decides what it reads. */
static enum err print_date_part(struct sql_print *p, const struct sql_node *children)
{
    const struct sql_node *holder = sql_member(sql_item(children, 0), "value");
    const char *part = sql_word(holder, "value");
    for (size_t i = 0; i < sizeof date_parts / sizeof *date_parts; i++) {
        if (sql_count(children) != 2 || strcasecmp(part, date_parts[i]) != 0) continue;
        buffer_put_text(&p->out, "date_part('");
        buffer_put_text(&p->out, date_parts[i]);
        buffer_put_text(&p->out, "', ");
        TRY(sql_print_expression(p, sql_item(children, 1)));
        buffer_put_text(&p->out, ")");
        return OK;
    }
    return SQL_REFUSE(p, "found date_part of '%.40s'; allowed: year, quarter, month, day, dow, doy", part);
}

enum err sql_print_plain(struct sql_print *p, const struct sql_node *node)
{
    TRY(sql_members_known(
        p, node,
        " class type alias query_location function_name schema children filter order_bys distinct "
        "is_operator export_state catalog "));
    const char *schema = sql_word(node, "schema");
    if (*schema != 0 && strcmp(schema, "main") != 0)
        return SQL_REFUSE(p, "found a function of schema '%.40s'; allowed: built-in functions", schema);
    TRY(sql_member_empty(p, node, "catalog", "a function of another catalog"));
    TRY(sql_member_empty(p, node, "filter", "an aggregate's FILTER"));
    TRY(sql_member_empty(p, node, "distinct", "an aggregate's DISTINCT"));
    TRY(sql_member_empty(p, node, "export_state", "an aggregate's EXPORT_STATE"));
    const struct sql_node *order = sql_member(node, "order_bys");
    TRY(sql_members_known(p, order, " type orders "));
    return sql_member_empty(p, order, "orders", "an aggregate's ORDER BY");
}

static const struct function *function_find(const struct function *table, size_t count, const char *name,
                                            size_t argument_count)
{
    for (size_t i = 0; i < count; i++)
        if (strcasecmp(name, table[i].name) == 0 && argument_count >= table[i].least &&
            argument_count <= table[i].most)
            return &table[i];
    return NULL;
}

/* x LIKE pattern, as what it means: DuckDB's matcher of general patterns takes time exponential in them, and so would tell
 * how long a row kept it busy. */
static enum err print_like(struct sql_print *p, const struct sql_node *children, bool negated)
{
    const struct sql_node *pattern = sql_item(children, 1);
    const struct sql_node *value = sql_member(sql_member(pattern, "value"), "value");
    struct span text = sql_kind(value) == SQL_TEXT ? sql_text(value) : SPAN_NONE;
    bool constant = strcmp(sql_word(pattern, "class"), "CONSTANT") == 0 && sql_kind(value) == SQL_TEXT;
    bool before = text.len > 0 && text.data[0] == '%';
    if (before) text = span_make(text.data + 1, text.len - 1);
    bool after = text.len > 0 && text.data[text.len - 1] == '%';
    if (after) text.len--;
    if (!constant || (text.len > 0 && (memchr(text.data, '%', text.len) || memchr(text.data, '_', text.len))))
        return SQL_REFUSE(
            p, "found LIKE with another pattern; allowed: constant text, with %% at its ends only");
    buffer_put_text(&p->out, negated ? "(NOT " : "(");
    if (before || after) buffer_put_text(&p->out, !after ? "suffix(" : before ? "contains(" : "prefix(");
    TRY(sql_print_expression(p, sql_item(children, 0)));
    buffer_put_text(&p->out, before || after ? ", " : " = ");
    sql_put_literal(&p->out, text);
    buffer_put_text(&p->out, before || after ? "))" : ")");
    return OK;
}

static enum err print_infix(struct sql_print *p, const struct function *infix,
                            const struct sql_node *children)
{
    buffer_put_text(&p->out, "(");
    if (sql_count(children) == 2) {
        TRY(sql_print_expression(p, sql_item(children, 0)));
        buffer_put_text(&p->out, " ");
    }
    buffer_put_text(&p->out, infix->name);
    buffer_put_text(&p->out, " "); /* also keeps "- -x" from becoming a comment */
    TRY(sql_print_expression(p, sql_item(children, sql_count(children) - 1)));
    buffer_put_text(&p->out, ")");
    return OK;
}

static bool copies_text(const char *function)
{
    for (size_t i = 0; i < sizeof copying / sizeof *copying; i++)
        if (strcasecmp(function, copying[i]) == 0) return true;
    return false;
}

static enum err print_known_function(struct sql_print *p, const struct sql_node *node)
{
    const char *name = sql_word(node, "function_name");
    const struct sql_node *children = sql_member(node, "children");
    size_t count = sql_count(children);
    if (strcasecmp(name, "date_part") == 0 || strcasecmp(name, "datepart") == 0)
        return print_date_part(p, children);
    if (count == 2 && strcmp(name, "~~") == 0) return print_like(p, children, false);
    if (count == 2 && strcmp(name, "!~~") == 0) return print_like(p, children, true);
    const struct function *infix = function_find(infixes, sizeof infixes / sizeof *infixes, name, count);
    if (infix != NULL) return print_infix(p, infix, children);
    const struct function *function =
        function_find(functions, sizeof functions / sizeof *functions, name, count);
    if (function == NULL)
        return SQL_REFUSE(
            p,
            "found the function %.60s with %zu arguments; allowed: + - * / // %% || LIKE (not ILIKE) abs "
            "floor ceil "
            "round "
            "trunc sign least greatest nullif isnan isinf isfinite lower upper trim ltrim rtrim length "
            "substring left right concat contains prefix suffix starts_with ends_with year quarter month day "
            "dayofweek dayofyear date_part%s",
            name, count, p->dialect->functions);
    sql_put_identifier(&p->out, span_text(function->name));
    buffer_put_text(&p->out, "(");
    TRY(sql_print_list(p, children, ", "));
    buffer_put_text(&p->out, ")");
    return OK;
}

/* What a function copies is no more than the columns below it: each counts once per function above it. */
enum err sql_print_function(struct sql_print *p, const struct sql_node *node)
{
    const uint32_t before = p->column_ref_count;
    TRY(sql_print_plain(p, node));
    TRY(print_known_function(p, node));
    if (copies_text(sql_word(node, "function_name"))) p->copied_count += p->column_ref_count - before;
    if (p->copied_count <= SQL_TEXT_COPIES_MAX) return OK;
    return SQL_REFUSE(p, "found text functions that copy columns more than %d times a row; allowed: fewer",
                      SQL_TEXT_COPIES_MAX);
}

static const struct sql_class classes[] = {
    {"CONSTANT", print_constant},
    {"CAST", print_cast},
    {"COMPARISON", print_comparison},
    {"BETWEEN", print_between},
    {"CASE", print_case},
    {"CONJUNCTION", print_conjunction},
    {"OPERATOR", print_operator},
    {"FUNCTION", sql_print_function},
    {"PARAMETER", print_parameter},
};

static const struct sql_class *class_find(const struct sql_class *table, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, table[i].name) == 0) return &table[i];
    return NULL;
}

static enum err print_class(struct sql_print *p, const struct sql_node *node)
{
    const char *name = sql_word(node, "class");
    const struct sql_class *class = class_find(p->dialect->classes, p->dialect->class_count, name);
    if (class == NULL) class = class_find(classes, sizeof classes / sizeof *classes, name);
    if (class != NULL) return class->print(p, node);
    return SQL_REFUSE(
        p,
        "found a %.40s expression; allowed: named columns, constants, arithmetic, comparisons, AND, OR, NOT, "
        "BETWEEN, IN, LIKE, CASE, COALESCE, CAST and %s",
        *name == 0 ? "malformed" : name, p->dialect->expressions);
}

enum err sql_print_enter(struct sql_print *p)
{
    if (++p->node_count > SQL_NODE_COUNT_MAX)
        return SQL_REFUSE(p, "found more than %d expressions; allowed: fewer", SQL_NODE_COUNT_MAX);
    if (++p->depth > SQL_DEPTH_MAX)
        return SQL_REFUSE(p, "found expressions nested deeper than %d; allowed: less", SQL_DEPTH_MAX);
    return OK;
}

void sql_print_leave(struct sql_print *p)
{
    ASSERT(p->depth > 0);
    p->depth--;
}

enum err sql_print_expression(struct sql_print *p, const struct sql_node *node)
{
    if (sql_kind(node) != SQL_OBJECT)
        return SQL_REFUSE(p, "found a malformed expression; allowed: %s", p->dialect->shape);
    TRY(sql_print_enter(p));
    TRY(print_class(p, node));
    sql_print_leave(p);
    return OK;
}

/* --- Statements ---------------------------------------------------------------------------------------- */

static enum err parse_text(struct sql_node **out, struct sql_print *p, struct span text)
{
    char reason[100];
    enum err err = sql_tree_parse(out, text, reason, sizeof reason);
    if (err != ERR_SYNTAX) return err;
    return SQL_REFUSE(p, "found a statement whose parse tree is not readable (%s); allowed: %s", reason,
                      p->dialect->shape);
}

static enum err parse_result(struct sql_node **out, struct sql_print *p, const struct duckdb *api,
                             struct duckdb_result *result)
{
    duckdb_chunk chunk = api->fetch_chunk(*result);
    if (chunk == NULL) return ERR_NO_MEMORY;
    duckdb_vector vector = api->data_chunk_get_vector(chunk, 0);
    enum err err = ERR_SQL;
    if (api->data_chunk_get_size(chunk) == 1 && duckdb_valid(api->vector_get_validity(vector), 0))
        err = parse_text(out, p, duckdb_string_span(api->vector_get_data(vector)));
    api->destroy_data_chunk(&chunk);
    return err;
}

static enum err parse(struct sql_node **out, struct sql_print *p, struct duckdb_session *s, struct span sql)
{
    const struct duckdb *api = s->api;
    duckdb_statement statement = NULL;
    struct duckdb_result result = {0};
    bool ok = api->prepare(s->connection, "SELECT json_serialize_sql(CAST($1 AS VARCHAR))", &statement) ==
                  DUCKDB_SUCCESS &&
              api->bind_varchar_length(statement, 1, (const char *)sql.data, sql.len) == DUCKDB_SUCCESS &&
              api->execute_prepared(statement, &result) == DUCKDB_SUCCESS;
    enum err err = ok ? parse_result(out, p, api, &result)
                      : SQL_REFUSE(p, "found text that DuckDB cannot parse; allowed: %s", p->dialect->shape);
    api->destroy_result(&result);
    api->destroy_prepare(&statement);
    return err;
}

/* Parameters are met where they stand; here are only their names. */
enum err sql_print_wrapping(struct sql_print *p, const struct sql_node *statement)
{
    const struct sql_node *names = sql_member(statement, "named_param_map");
    TRY(sql_members_known(p, statement, " node named_param_map "));
    for (size_t i = 0; i < sql_count(names); i++)
        TRY(sql_members_known(p, sql_item(names, i), " key value "));
    return OK;
}

/* The node of the only statement. */
static enum err find_statement(struct sql_print *p, const struct sql_node *root, const struct sql_node **node)
{
    if (sql_kind(sql_member(root, "error")) == SQL_TRUE)
        return SQL_REFUSE(p, "found no SELECT that DuckDB can parse (%.200s); allowed: %s",
                          sql_word(root, "error_message"), p->dialect->shape);
    const struct sql_node *statements = sql_member(root, "statements");
    if (sql_count(statements) != 1)
        return SQL_REFUSE(p, "found %zu statements; allowed: one", sql_count(statements));
    const struct sql_node *statement = sql_item(statements, 0);
    TRY(sql_print_wrapping(p, statement));
    *node = sql_member(statement, "node");
    return OK;
}

enum err sql_print_statement(struct sql_print *p, struct duckdb_session *s, struct span sql,
                             sql_printer *print)
{
    struct sql_node *root = NULL;
    const struct sql_node *node = NULL;
    if (sql.len == 0 || sql.len > SQL_STATEMENT_BYTES_MAX)
        return fault_set(p->why, p->why_len, sql.len == 0 ? ERR_SQL : ERR_TOO_LARGE,
                         "found %zu bytes of SQL; allowed: 1 to %d", sql.len, SQL_STATEMENT_BYTES_MAX);
    if (memchr(sql.data, 0, sql.len) != NULL) return SQL_REFUSE(p, "found a zero byte; allowed: UTF-8 text");
    enum err err = parse(&root, p, s, sql);
    if (err == OK) err = find_statement(p, root, &node);
    if (err == OK) err = print(p, node);
    sql_tree_free(root);
    return err;
}

enum err sql_print_keep(char **out, struct sql_print *p)
{
    buffer_put_zero(&p->out);
    TRY(buffer_done(&p->out));
    *out = strdup((const char *)p->out.data);
    return *out == NULL ? ERR_NO_MEMORY : OK;
}

/* --- Tables -------------------------------------------------------------------------------------------- */

enum err sql_create_empty(struct duckdb_session *s, const char *table, const struct schema *schema, char *why,
                          size_t why_len)
{
    static const size_t cap = 32 * 1024;
    uint8_t *data = malloc(cap);
    if (data == NULL) return ERR_NO_MEMORY;
    struct buffer sql = buffer_make(data, cap);
    buffer_put_text(&sql, "CREATE TABLE ");
    buffer_put_text(&sql, table);
    buffer_put_text(&sql, "(");
    for (uint32_t i = 0; i < schema->column_count; i++) {
        if (i > 0) buffer_put_text(&sql, ", ");
        sql_put_identifier(&sql, schema->column[i].name);
        buffer_put_text(&sql, " ");
        buffer_put_text(&sql, sql_column_type(schema->column[i].type));
    }
    buffer_put_text(&sql, ")");
    buffer_put_zero(&sql);
    enum err err = buffer_done(&sql);
    if (err == OK) err = duckdb_session_run(s, (const char *)data, why, why_len);
    free(data);
    return err;
}
