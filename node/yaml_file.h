/* yaml_file: a YAML file into a structure, by a libcyaml schema. Rules: at most YAML_FILE_BYTES_MAX; unknown keys, aliases,
 * numbers that are not whole and in plain digits, and flags but true and false are errors; the fault names file, line and key. Threads: any. Ownership: yaml_file_free with the same schema. */
#ifndef PERIGEE_NODE_YAML_FILE_H
#define PERIGEE_NODE_YAML_FILE_H

#include "proto/base/err.h"

#include <cyaml/cyaml.h>

enum { YAML_FILE_BYTES_MAX = 256 * 1024 };

/* *out is NULL for a file without content. ERR_SYNTAX for anything the schema refuses, and file_read's errors. */
MUST_USE enum err yaml_file_load(void **out, const cyaml_schema_value_t *schema, const char *path,
                                 char *fault, size_t cap);
void yaml_file_free(void *loaded, const cyaml_schema_value_t *schema); /* NULL is fine */
/* Memory that yaml_file_free will free with the rest: for defaults put into a loaded structure. */
void *yaml_file_alloc(size_t len);
char *yaml_file_text(const char *text);

#endif
