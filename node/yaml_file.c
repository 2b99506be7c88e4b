#include "node/yaml_file.h"

#include "node/closest.h"
#include "node/fault.h"
#include "node/file.h"

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

/* --- Unknown keys: which ones there are ------------------------------------------------------------------------------- */

struct key_search {
    yaml_document_t *document;
    const char *path;
    char *fault;
    size_t cap;
};

static const cyaml_schema_field_t *find_field(const cyaml_schema_field_t *fields, const char *key)
{
    for (; fields->key != NULL; fields++)
        if (strcmp(fields->key, key) == 0) return fields;
    return NULL;
}

static enum err refuse_key(const struct key_search *s, const yaml_node_t *key,
                           const cyaml_schema_field_t *fields)
{
    const char *name = (const char *)key->data.scalar.value;
    struct closest closest = closest_to(name);
    char known[512] = "";
    for (; fields->key != NULL; fields++) {
        const size_t len = strlen(known);
        (void)snprintf(known + len, sizeof known - len, "%s%s", len > 0 ? ", " : "", fields->key);
        closest_offer(&closest, fields->key);
    }
    return fault_set(s->fault, s->cap, ERR_SYNTAX, "%s:%zu: unknown key \"%.80s\"%s%s%s; expected one of %s",
                     s->path, key->start_mark.line + 1, name, closest.best != NULL ? ", did you mean " : "",
                     closest.best != NULL ? closest.best : "", closest.best != NULL ? "?" : "", known);
}

/* As deep as the schema is, whatever the file holds. */
static enum err search_keys(const struct key_search *s, int index, const cyaml_schema_value_t *schema)
{
    const yaml_node_t *node = yaml_document_get_node(s->document, index);
    if (node->type == YAML_SEQUENCE_NODE && schema->type == CYAML_SEQUENCE) {
        for (const yaml_node_item_t *at = node->data.sequence.items.start; at < node->data.sequence.items.top;
             at++)
            TRY(search_keys(s, *at, schema->sequence.entry));
    }
    if (node->type != YAML_MAPPING_NODE || schema->type != CYAML_MAPPING) return OK;
    for (const yaml_node_pair_t *at = node->data.mapping.pairs.start; at < node->data.mapping.pairs.top;
         at++) {
        const yaml_node_t *key = yaml_document_get_node(s->document, at->key);
        if (key->type != YAML_SCALAR_NODE) continue;
        const cyaml_schema_field_t *field =
            find_field(schema->mapping.fields, (const char *)key->data.scalar.value);
        if (field == NULL) return refuse_key(s, key, schema->mapping.fields);
        TRY(search_keys(s, at->value, &field->value));
    }
    return OK;
}

/* OK when it finds none, and then another reason is said. */
static enum err name_unknown_key(const char *text, size_t len, const cyaml_schema_value_t *schema,
                                 const char *path, char *fault, size_t cap)
{
    yaml_parser_t parser;
    yaml_document_t document;
    enum err err = OK;
    if (yaml_parser_initialize(&parser) == 0) return OK;
    yaml_parser_set_input_string(&parser, (const uint8_t *)text, len);
    if (yaml_parser_load(&parser, &document) != 0) {
        const struct key_search search = {&document, path, fault, cap};
        if (yaml_document_get_root_node(&document) != NULL) err = search_keys(&search, 1, schema);
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
    cyaml_err_t refused = cyaml_load_data((const uint8_t *)text, len, &config, schema, out, NULL);
    if (refused == CYAML_ERR_INVALID_KEY) err = name_unknown_key(text, len, schema, path, fault, cap);
    free(text);
    if (refused == CYAML_OK || err != OK) return err;
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
