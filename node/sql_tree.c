#include "node/sql_tree.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *json_of(const struct sql_node *node)
{
    return (json_t *)(uintptr_t)node;
}

static struct sql_node *node_of(json_t *json)
{
    return (struct sql_node *)json;
}

/* DuckDB writes "no position" as 2^64 - 1, which is no integer to jansson. The pattern cannot match inside a
 * JSON string: there the quote before the colon would be escaped. */
static void blank_positions(char *text)
{
    static const char position[] = "\"query_location\":18446744073709551615";
    static const char blank[] = "\"query_location\":0                   ";
    _Static_assert(sizeof position == sizeof blank, "replaced in place");
    for (char *at = text; (at = strstr(at, position)) != NULL; at += sizeof blank - 1)
        memcpy(at, blank, sizeof blank - 1);
}

enum err sql_tree_parse(struct sql_node **out, struct span text, char *why, size_t why_len)
{
    *out = NULL;
    char *copy = malloc(text.len + 1);
    if (copy == NULL) return ERR_NO_MEMORY;
    memcpy(copy, text.data, text.len);
    copy[text.len] = 0;
    blank_positions(copy);
    json_error_t error;
    json_t *root = json_loads(copy, JSON_REJECT_DUPLICATES, &error);
    free(copy);
    *out = node_of(root);
    if (root == NULL && why_len > 0) (void)snprintf(why, why_len, "%s", error.text);
    return root == NULL ? ERR_SYNTAX : OK;
}

void sql_tree_free(struct sql_node *root)
{
    json_decref(json_of(root));
}

enum sql_kind sql_kind(const struct sql_node *node)
{
    if (node == NULL) return SQL_NOTHING;
    switch (json_typeof(json_of(node))) {
    case JSON_OBJECT: return SQL_OBJECT;
    case JSON_ARRAY: return SQL_LIST;
    case JSON_STRING: return SQL_TEXT;
    case JSON_INTEGER: return SQL_INTEGER;
    case JSON_REAL: return SQL_REAL;
    case JSON_TRUE: return SQL_TRUE;
    case JSON_FALSE: return SQL_FALSE;
    case JSON_NULL: return SQL_NOTHING;
    }
    return SQL_NOTHING;
}

const struct sql_node *sql_member(const struct sql_node *node, const char *key)
{
    return node_of(json_object_get(json_of(node), key));
}

size_t sql_count(const struct sql_node *node)
{
    enum sql_kind kind = sql_kind(node);
    if (kind == SQL_OBJECT) return json_object_size(json_of(node));
    return kind == SQL_LIST ? json_array_size(json_of(node)) : 0;
}

const struct sql_node *sql_item(const struct sql_node *node, size_t index)
{
    return node_of(json_array_get(json_of(node), index));
}

struct span sql_text(const struct sql_node *node)
{
    if (sql_kind(node) != SQL_TEXT) return SPAN_LITERAL("");
    return span_make(json_string_value(json_of(node)), json_string_length(json_of(node)));
}

const char *sql_word(const struct sql_node *node, const char *key)
{
    const char *text = json_string_value(json_of(sql_member(node, key)));
    return text == NULL ? "" : text;
}

bool sql_word_is(const struct sql_node *node, const char *key, const char *word)
{
    return strcmp(sql_word(node, key), word) == 0;
}

int64_t sql_integer(const struct sql_node *node)
{
    return node == NULL ? 0 : (int64_t)json_integer_value(json_of(node));
}

double sql_real(const struct sql_node *node)
{
    return node == NULL ? 0 : json_real_value(json_of(node));
}

const char *sql_unknown_member(const struct sql_node *node, const char *known)
{
    const char *key;
    json_t *value;
    json_object_foreach(json_of(node), key, value)
    {
        char framed[72];
        int len = snprintf(framed, sizeof framed, " %s ", key);
        if (len < 0 || (size_t)len >= sizeof framed || strstr(known, framed) == NULL) return key;
    }
    return NULL;
}
