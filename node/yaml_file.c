#include "node/yaml_file.h"

#include "node/closest.h"
#include "node/fault.h"
#include "node/file.h"
#include "node/yaml_shape.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

/* libcyaml logs the reason first and then where it was, innermost first. */
struct yaml_reason {
    char what[160], where[120];
};

static void log_line(cyaml_log_t level, void *context, const char *format, va_list arguments)
{
    struct yaml_reason *reason = context;
    char line[160];
    (void)level;
    if (vsnprintf(line, sizeof line, format, arguments) < 0) return;
    line[strcspn(line, "\n")] = 0;
    const char *text = strncmp(line, "Load: ", 6) == 0 ? line + 6 : line;
    const bool place = strncmp(text, "  in ", 5) == 0;
    if (strcmp(text, "Backtrace:") == 0) return;
    if (place && reason->where[0] == 0)
        (void)snprintf(reason->where, sizeof reason->where, "%.100s", text + 2);
    if (!place && reason->what[0] == 0) (void)snprintf(reason->what, sizeof reason->what, "%s", text);
}

static cyaml_config_t make_config(struct yaml_reason *reason)
{
    return (cyaml_config_t){.log_fn = reason == NULL ? NULL : log_line,
                            .log_ctx = reason,
                            .mem_fn = cyaml_mem,
                            .log_level = CYAML_LOG_ERROR,
                            .flags = CYAML_CFG_NO_ALIAS};
}

/* --- What libcyaml reads without a word, or refuses without its line ---------------------------------------------------- */

/* `left` ends the walk where aliases make more nodes than were written: libcyaml refuses those. */
struct walk {
    yaml_document_t *document;
    const char *path;
    char *fault;
    size_t cap;
    ptrdiff_t left;
};

static const cyaml_schema_field_t *find_field(const cyaml_schema_field_t *fields, const char *key)
{
    for (; fields->key != NULL; fields++)
        if (strcmp(fields->key, key) == 0) return fields;
    return NULL;
}

static enum err refuse_key(const struct walk *w, const yaml_node_t *key, const cyaml_schema_field_t *fields)
{
    const char *name = (const char *)key->data.scalar.value;
    struct closest closest = closest_to(name);
    char known[512] = "";
    for (; fields->key != NULL; fields++) {
        const size_t len = strlen(known);
        (void)snprintf(known + len, sizeof known - len, "%s%s", len > 0 ? ", " : "", fields->key);
        closest_offer(&closest, fields->key);
    }
    return fault_set(w->fault, w->cap, ERR_SYNTAX, "%s:%zu: unknown key \"%.80s\"%s%s%s; expected one of %s",
                     w->path, key->start_mark.line + 1, name, closest.best != NULL ? ", did you mean " : "",
                     closest.best != NULL ? closest.best : "", closest.best != NULL ? "?" : "", known);
}

static enum err refuse_value(const struct walk *w, const yaml_node_t *value, const char *key,
                             const char *expected)
{
    const bool scalar = value->type == YAML_SCALAR_NODE;
    return fault_set(w->fault, w->cap, ERR_SYNTAX, "%s:%zu: %s: expected %s, got %s%.80s%s", w->path,
                     value->start_mark.line + 1, key[0] != 0 ? key : "the file", expected, scalar ? "\"" : "",
                     scalar                             ? (const char *)value->data.scalar.value
                     : value->type == YAML_MAPPING_NODE ? "keys and values"
                                                        : "a list",
                     scalar ? "\"" : "");
}

static enum err refuse_again(const struct walk *w, const yaml_node_t *key)
{
    return fault_set(w->fault, w->cap, ERR_SYNTAX, "%s:%zu: expected \"%.80s\" once, got it again", w->path,
                     key->start_mark.line + 1, (const char *)key->data.scalar.value);
}

static enum err check_size(const struct walk *w, const yaml_node_t *value, const char *key, uint32_t bytes)
{
    char expected[64];
    const uint64_t most = UINT64_MAX >> (64 - 8 * bytes);
    errno = 0;
    const uint64_t number = strtoull((const char *)value->data.scalar.value, NULL, 10);
    if (errno == 0 && number <= most) return OK;
    (void)snprintf(expected, sizeof expected, "a whole number up to %" PRIu64, most);
    return refuse_value(w, value, key, expected);
}

static enum err check_length(const struct walk *w, const yaml_node_t *value, const char *key,
                             const cyaml_schema_value_t *schema)
{
    char expected[64];
    const size_t len = value->data.scalar.length;
    if (len >= schema->string.min && len <= schema->string.max) return OK;
    if (schema->string.min == schema->string.max)
        (void)snprintf(expected, sizeof expected, "%" PRIu32 " characters", schema->string.max);
    else
        (void)snprintf(expected, sizeof expected, "%" PRIu32 " to %" PRIu32 " characters", schema->string.min,
                       schema->string.max);
    return refuse_value(w, value, key, expected);
}

/* libcyaml takes the digits that a number begins with (1e3 is 1, 010 is 8), and every word but four as true. */
static enum err check_scalar(const struct walk *w, const yaml_node_t *value, const char *key,
                             const cyaml_schema_value_t *schema)
{
    const cyaml_type_e type = schema->type;
    const char *text = (const char *)value->data.scalar.value;
    const size_t len = value->data.scalar.length;
    const bool whole = len > 0 && strspn(text, "0123456789") == len && (text[0] != '0' || len == 1);
    if (type == CYAML_UINT && !whole) return refuse_value(w, value, key, "a whole number, such as 4");
    if (type == CYAML_BOOL && strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return refuse_value(w, value, key, "true or false");
    return type == CYAML_UINT     ? check_size(w, value, key, schema->data_size)
           : type == CYAML_STRING ? check_length(w, value, key, schema)
                                  : OK;
}

static enum err check_kind(const struct walk *w, const yaml_node_t *node, const char *key, cyaml_type_e type)
{
    if (type == CYAML_MAPPING && node->type != YAML_MAPPING_NODE)
        return refuse_value(w, node, key, "keys and values, or {} for what is usual");
    if (type == CYAML_SEQUENCE && node->type != YAML_SEQUENCE_NODE)
        return refuse_value(w, node, key, "a list");
    if (type != CYAML_MAPPING && type != CYAML_SEQUENCE && node->type != YAML_SCALAR_NODE)
        return refuse_value(w, node, key, "one value");
    return OK;
}

static bool came_before(const struct walk *w, const yaml_node_t *mapping, const yaml_node_pair_t *pair)
{
    const char *name = (const char *)yaml_document_get_node(w->document, pair->key)->data.scalar.value;
    for (const yaml_node_pair_t *at = mapping->data.mapping.pairs.start; at < pair; at++) {
        const yaml_node_t *key = yaml_document_get_node(w->document, at->key);
        if (key->type == YAML_SCALAR_NODE && strcmp((const char *)key->data.scalar.value, name) == 0)
            return true;
    }
    return false;
}

static enum err check_node(struct walk *w, int index, const char *key, const cyaml_schema_value_t *schema);

static enum err check_mapping(struct walk *w, const yaml_node_t *node, const cyaml_schema_field_t *fields)
{
    for (const yaml_node_pair_t *at = node->data.mapping.pairs.start; at < node->data.mapping.pairs.top;
         at++) {
        const yaml_node_t *key = yaml_document_get_node(w->document, at->key);
        if (key->type != YAML_SCALAR_NODE) continue;
        const cyaml_schema_field_t *field = find_field(fields, (const char *)key->data.scalar.value);
        if (field == NULL) return refuse_key(w, key, fields);
        if (came_before(w, node, at)) return refuse_again(w, key);
        TRY(check_node(w, at->value, field->key, &field->value));
    }
    return OK;
}

/* As deep as the schema is, whatever the file holds. */
static enum err check_node(struct walk *w, int index, const char *key, const cyaml_schema_value_t *schema)
{
    const yaml_node_t *node = yaml_document_get_node(w->document, index);
    if (w->left-- <= 0) return OK;
    TRY(check_kind(w, node, key, schema->type));
    if (node->type == YAML_SCALAR_NODE) return check_scalar(w, node, key, schema);
    if (node->type == YAML_MAPPING_NODE) return check_mapping(w, node, schema->mapping.fields);
    for (const yaml_node_item_t *at = node->data.sequence.items.start; at < node->data.sequence.items.top;
         at++)
        TRY(check_node(w, *at, key, schema->sequence.entry));
    return OK;
}

/* OK for what is no YAML, too: libcyaml says that. */
static enum err check_document(const char *text, size_t len, const cyaml_schema_value_t *schema,
                               const char *path, char *fault, size_t cap)
{
    yaml_parser_t parser;
    yaml_document_t document;
    enum err err = OK;
    if (yaml_parser_initialize(&parser) == 0)
        return fault_set(fault, cap, ERR_NO_MEMORY, "%s", err_text(ERR_NO_MEMORY));
    yaml_parser_set_input_string(&parser, (const uint8_t *)text, len);
    if (yaml_parser_load(&parser, &document) != 0) {
        struct walk walk = {&document, path, fault, cap, document.nodes.top - document.nodes.start};
        if (yaml_document_get_root_node(&document) != NULL) err = check_node(&walk, 1, "", schema);
        yaml_document_delete(&document);
    }
    yaml_parser_delete(&parser);
    return err;
}

/* --- Loading ---------------------------------------------------------------------------------------------------------- */

enum err yaml_file_load(void **out, const cyaml_schema_value_t *schema, const char *path, char *fault,
                        size_t cap)
{
    struct yaml_reason reason = {{0}, {0}};
    cyaml_config_t config = make_config(&reason);
    char *text = NULL;
    size_t len = 0;
    *out = NULL;
    enum err err = file_read(&text, &len, path, YAML_FILE_BYTES_MAX);
    if (err != OK) return fault_set(fault, cap, err, "%s: %s", path, file_why(err));
    err = yaml_shape_check(span_make(text, len), path, fault, cap);
    if (err == OK) err = check_document(text, len, schema, path, fault, cap);
    cyaml_err_t refused = CYAML_OK;
    if (err == OK) refused = cyaml_load_data((const uint8_t *)text, len, &config, schema, out, NULL);
    free(text);
    if (refused == CYAML_OK) return err;
    if (reason.where[0] == 0) (void)snprintf(reason.where, sizeof reason.where, "near the start");
    *out = NULL;
    return fault_set(fault, cap, refused == CYAML_ERR_OOM ? ERR_NO_MEMORY : ERR_SYNTAX, "%s: %s, %s", path,
                     reason.what[0] == 0 ? cyaml_strerror(refused) : reason.what, reason.where);
}

void yaml_file_free(void *loaded, const cyaml_schema_value_t *schema)
{
    cyaml_config_t config = make_config(NULL);
    if (loaded != NULL) (void)cyaml_free(&config, schema, loaded, 0);
}

void *yaml_file_alloc(size_t len)
{
    void *memory = cyaml_mem(NULL, NULL, len);
    if (memory != NULL) memset(memory, 0, len);
    return memory;
}

char *yaml_file_text(const char *text)
{
    char *copy = yaml_file_alloc(strlen(text) + 1);
    if (copy != NULL) memcpy(copy, text, strlen(text) + 1);
    return copy;
}
