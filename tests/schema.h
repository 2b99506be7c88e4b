/* schema: does a JSON value fit a JSON Schema (2020-12), as far as the API's description uses it: type, pattern of the two kinds
 * of ids, properties, required, additionalProperties, items, anyOf. A keyword that is not known here fits nothing. */
#ifndef PERIGEE_TESTS_SCHEMA_H
#define PERIGEE_TESTS_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>

bool schema_fits(const json_t *value, const json_t *schema);

#endif
