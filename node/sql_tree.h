/* sql_tree: DuckDB's parse tree, as json_serialize_sql writes it, to be walked. Read by jansson, because this
 * JSON is not canonical; behind opaque pointers, because jansson's names and proto/base/json.h's are partly
 * the same. A missing node is NULL, and every function takes it: a tree of any shape can be asked anything.
 * Ownership: nodes live until sql_tree_free of the root. Threads: any, one at a time per tree. */
#ifndef PERIGEE_NODE_SQL_TREE_H
#define PERIGEE_NODE_SQL_TREE_H

#include "proto/base/span.h"

#include <stdbool.h>

enum sql_kind { SQL_NOTHING, SQL_FALSE, SQL_TRUE, SQL_INTEGER, SQL_REAL, SQL_TEXT, SQL_LIST, SQL_OBJECT };

struct sql_node;

/* ERR_SYNTAX with jansson's reason, ERR_NO_MEMORY. */
MUST_USE enum err sql_tree_parse(struct sql_node **out, struct span text, char *why, size_t why_len);
void sql_tree_free(struct sql_node *root);

enum sql_kind sql_kind(const struct sql_node *node);
const struct sql_node *sql_member(const struct sql_node *node, const char *key);
/* Elements of a list, members of an object, else 0. */
size_t sql_count(const struct sql_node *node);
const struct sql_node *sql_item(const struct sql_node *node, size_t index);
struct span sql_text(const struct sql_node *node);                  /* "" when it is no text */
const char *sql_word(const struct sql_node *node, const char *key); /* text of a member, or "" */
bool sql_word_is(const struct sql_node *node, const char *key, const char *word);
int64_t sql_integer(const struct sql_node *node); /* 0 when it is no integer */
double sql_real(const struct sql_node *node);     /* 0 when it is no real */
/* The first member whose name is not in `known` (names framed by single spaces), or NULL. */
const char *sql_unknown_member(const struct sql_node *node, const char *known);

#endif
