#include "node/yaml_file.h"

#include "node/fault.h"
#include "node/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

enum err yaml_file_load(void **out, const cyaml_schema_value_t *schema, const char *path, char *fault,
                        size_t cap)
{
    struct yaml_reason reason = {{0}, {0}};
    cyaml_config_t config = make_config(&reason);
    char *text = NULL;
    size_t len = 0;
    *out = NULL;
    enum err err = file_read(&text, &len, path, YAML_FILE_BYTES_MAX);
    if (err != OK) return fault_set(fault, cap, err, "%s: %s", path, err_text(err));
    cyaml_err_t refused = cyaml_load_data((const uint8_t *)text, len, &config, schema, out, NULL);
    free(text);
    if (refused == CYAML_OK) return OK;
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
