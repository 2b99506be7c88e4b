#include "node/yaml_json.h"

#include "node/fault.h"
#include "node/file.h"
#include "node/yaml_shape.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct reader {
    yaml_document_t *document;
    const char *path;
    char *fault;
    size_t cap;
};

static enum err refuse(const struct reader *r, const yaml_node_t *node, const char *expected)
{
    return fault_set(r->fault, r->cap, ERR_SYNTAX, "%s:%zu: expected %s", r->path, node->start_mark.line + 1,
                     expected);
}

/* --- Scalars -------------------------------------------------------------------------------------------------------- */

static bool is_integer(const char *text, size_t len)
{
    size_t at = len > 0 && text[0] == '-';
    if (at == len || (text[at] == '0' && len > 1) || len - at > 15) return false;
    for (; at < len; at++)
        if (text[at] < '0' || text[at] > '9') return false;
    return true;
}

static json_t *scalar(const yaml_node_t *node)
{
    const char *text = (const char *)node->data.scalar.value;
    size_t len = node->data.scalar.length;
    bool plain = node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (memchr(text, 0, len) != NULL) return NULL; /* no canonical text has one */
    if (plain && is_integer(text, len)) return json_integer(strtoll(text, NULL, 10));
    if (plain && strcmp(text, "true") == 0) return json_true();
    if (plain && strcmp(text, "false") == 0) return json_false();
    return json_stringn(text, len);
}

/* --- Containers ----------------------------------------------------------------------------------------------------- */

static enum err convert(json_t **out, const struct reader *r, int index, unsigned depth);

static enum err sequence(json_t *out, const struct reader *r, const yaml_node_t *node, unsigned depth)
{
    json_t *item;
    for (const yaml_node_item_t *at = node->data.sequence.items.start; at < node->data.sequence.items.top;
         at++) {
        TRY(convert(&item, r, *at, depth + 1));
        if (json_array_append_new(out, item) != 0) return ERR_NO_MEMORY;
    }
    return OK;
}

static enum err pair(json_t *out, const struct reader *r, const yaml_node_pair_t *at, unsigned depth)
{
    const yaml_node_t *key = yaml_document_get_node(r->document, at->key);
    json_t *value;
    if (key->type != YAML_SCALAR_NODE) return refuse(r, key, "text for a key");
    const char *name = (const char *)key->data.scalar.value;
    if (strlen(name) != key->data.scalar.length || json_object_get(out, name) != NULL)
        return refuse(r, key, "each key once");
    TRY(convert(&value, r, at->value, depth + 1));
    return json_object_set_new(out, name, value) == 0 ? OK : refuse(r, key, "UTF-8");
}

static enum err mapping(json_t *out, const struct reader *r, const yaml_node_t *node, unsigned depth)
{
    for (const yaml_node_pair_t *at = node->data.mapping.pairs.start; at < node->data.mapping.pairs.top; at++)
        TRY(pair(out, r, at, depth));
    return OK;
}

/* Aliases would let a small file stand for a huge value; the depth limit ends their cycles, and yaml_shape refuses
 * them before. */
static enum err convert(json_t **out, const struct reader *r, int index, unsigned depth)
{
    const yaml_node_t *node = yaml_document_get_node(r->document, index);
    enum err err = OK;
    *out = NULL;
    if (depth > YAML_DEPTH_MAX) return refuse(r, node, "fewer levels");
    if (node->type == YAML_SCALAR_NODE) {
        *out = scalar(node);
        return *out != NULL ? OK : refuse(r, node, "UTF-8 text, and no zero byte in it");
    }
    *out = node->type == YAML_SEQUENCE_NODE ? json_array() : json_object();
    if (*out == NULL) return ERR_NO_MEMORY;
    err = node->type == YAML_SEQUENCE_NODE ? sequence(*out, r, node, depth) : mapping(*out, r, node, depth);
    if (err == OK) return OK;
    json_decref(*out);
    *out = NULL;
    return err;
}

/* --- The file ------------------------------------------------------------------------------------------------------- */

static enum err refuse_parse(const yaml_parser_t *p, const struct reader *r)
{
    return fault_set(r->fault, r->cap, ERR_SYNTAX, "%s:%zu: %s", r->path, p->problem_mark.line + 1,
                     p->problem != NULL ? p->problem : "expected YAML");
}

static enum err load(json_t **out, struct reader *r, struct span text)
{
    yaml_parser_t p;
    yaml_document_t document;
    TRY(yaml_shape_check(text, r->path, r->fault, r->cap));
    if (yaml_parser_initialize(&p) == 0) return ERR_NO_MEMORY;
    yaml_parser_set_input_string(&p, text.data, text.len);
    enum err err = OK;
    if (yaml_parser_load(&p, &document) == 0) {
        err = refuse_parse(&p, r);
    } else {
        r->document = &document;
        err = yaml_document_get_root_node(&document) != NULL
                  ? convert(out, r, 1, 0)
                  : fault_set(r->fault, r->cap, ERR_SYNTAX, "%s: is empty", r->path);
        yaml_document_delete(&document);
    }
    yaml_parser_delete(&p);
    return err;
}

enum err yaml_json_load(json_t **out, const char *path, char *fault, size_t cap)
{
    struct reader r = {NULL, path, fault, cap};
    char *text = NULL;
    size_t len = 0;
    *out = NULL;
    enum err err = file_read(&text, &len, path, YAML_JSON_BYTES_MAX);
    if (err != OK) return fault_set(fault, cap, err, "%s: %s", path, file_why(err));
    err = load(out, &r, span_make(text, len));
    free(text);
    return err;
}

char *yaml_json_canonical(const json_t *value)
{
    return json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
}
