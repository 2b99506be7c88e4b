/* yaml_json: a YAML (or JSON, which is YAML) file as a JSON value, for documents people write by hand.
 * Rules: one document of at most YAML_JSON_BYTES_MAX; mappings with distinct text keys, sequences, scalars; no aliases, anchors,
 * tags or merges; depth at most YAML_DEPTH_MAX (yaml_shape.h). A plain scalar that looks like a whole number is an integer, true and false
 * are booleans, everything else is text: decimals and whatever is quoted stay text, as the canonical documents want them.
 * Errors: ERR_SYNTAX and the like, and one line for people with file and line. Threads: any. */
#ifndef PERIGEE_NODE_YAML_JSON_H
#define PERIGEE_NODE_YAML_JSON_H

#include "proto/base/span.h"

#include <jansson.h>

enum { YAML_JSON_BYTES_MAX = 256 * 1024 };

/* *out is the caller's. */
MUST_USE enum err yaml_json_load(json_t **out, const char *path, char *fault, size_t cap);
/* Canonical text (RFC 8785 for what such files can hold), from malloc; NULL: out of memory. */
char *yaml_json_canonical(const json_t *value);

#endif
