#include "tests/schema.h"

#include <stdint.h>
#include <string.h>

static bool type_fits(const json_t *value, const char *type)
{
    if (strcmp(type, "string") == 0) return json_is_string(value);
    if (strcmp(type, "integer") == 0) return json_is_integer(value);
    if (strcmp(type, "boolean") == 0) return json_is_boolean(value);
    if (strcmp(type, "object") == 0) return json_is_object(value);
    if (strcmp(type, "array") == 0) return json_is_array(value);
    return strcmp(type, "null") == 0 && json_is_null(value);
}

static bool pattern_fits(const json_t *value, const char *pattern)
{
    const char *text = json_string_value(value);
    const size_t begins = strcspn(pattern + 1, "[");
    if (text == NULL || strcmp(pattern + 1 + begins, "[0-9a-f]{64}$") != 0) return false;
    return strncmp(text, pattern + 1, begins) == 0 && strlen(text) == begins + 64 &&
           strspn(text + begins, "0123456789abcdef") == 64;
}

static bool members_fit(const json_t *value, const json_t *schema)
{
    const json_t *properties = json_object_get(schema, "properties"),
                 *more = json_object_get(schema, "additionalProperties");
    const char *name;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)value, name, member)
    {
        const json_t *of = json_object_get(properties, name);
        if (of == NULL && json_is_false(more)) return false;
        if (!schema_fits(member, of != NULL ? of : more)) return false;
    }
    return true;
}

static bool required_are_there(const json_t *value, const json_t *names)
{
    size_t i;
    const json_t *name;
    json_array_foreach(names, i,
                       name) if (json_object_get(value, json_string_value(name)) == NULL) return false;
    return true;
}

static bool items_fit(const json_t *value, const json_t *schema)
{
    size_t i;
    const json_t *item;
    json_array_foreach(value, i, item) if (!schema_fits(item, schema)) return false;
    return true;
}

static bool any_fits(const json_t *value, const json_t *schemas)
{
    size_t i;
    const json_t *schema;
    json_array_foreach(schemas, i, schema) if (schema_fits(value, schema)) return true;
    return false;
}

static bool keyword_fits(const json_t *value, const json_t *schema, const char *keyword, const json_t *says)
{
    if (strcmp(keyword, "type") == 0) return type_fits(value, json_string_value(says));
    if (strcmp(keyword, "pattern") == 0) return pattern_fits(value, json_string_value(says));
    if (strcmp(keyword, "properties") == 0) return members_fit(value, schema);
    if (strcmp(keyword, "additionalProperties") == 0) return true; /* with the properties */
    if (strcmp(keyword, "required") == 0) return required_are_there(value, says);
    if (strcmp(keyword, "items") == 0) return items_fit(value, says);
    return strcmp(keyword, "anyOf") == 0 && any_fits(value, says);
}

bool schema_fits(const json_t *value, const json_t *schema)
{
    const char *keyword;
    json_t *says;
    if (!json_is_object(schema)) return false;
    json_object_foreach((json_t *)(uintptr_t)schema, keyword, says)
    {
        if (!keyword_fits(value, schema, keyword, says)) return false;
    }
    return true;
}
