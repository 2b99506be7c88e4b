#include "tests/notation.h"

#include "proto/base/panic.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reads one shape; with a value, compares it. */
struct reader {
    const char *at;
    char *why;
    size_t cap;
};

static bool read_shape(struct reader *r, const json_t *value, bool compare, const char *where);

static bool take(struct reader *r, const char *text)
{
    const size_t len = strlen(text);
    if (strncmp(r->at, text, len) != 0) return false;
    r->at += len;
    return true;
}

static bool differ(struct reader *r, const char *where, const char *expected, const json_t *value)
{
    char *came = value == NULL ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    if (r->why[0] == 0)
        (void)snprintf(r->why, r->cap, "%s: expected %s, came %.60s", where, expected,
                       came != NULL ? came : "nothing");
    free(came);
    return false;
}

static bool is_hex(const char *text)
{
    return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

static bool is_word(const json_t *value, const char *word)
{
    const char *text = json_string_value(value);
    if (strcmp(word, "any") == 0) return value != NULL;
    if (strcmp(word, "text") == 0) return text != NULL;
    if (strcmp(word, "int") == 0) return json_is_integer(value);
    if (strcmp(word, "bool") == 0) return json_is_boolean(value);
    if (strcmp(word, "id") == 0) return text != NULL && is_hex(text);
    ASSERT(strcmp(word, "token") == 0);
    return text != NULL && strncmp(text, "dt:perigee:", 11) == 0 && is_hex(text + 11);
}

static void read_name(struct reader *r, char *out, size_t cap)
{
    const size_t len = strcspn(r->at, "?:,|]} ");
    ASSERT(len > 0 && len < cap);
    memcpy(out, r->at, len);
    out[len] = 0;
    r->at += len;
}

static bool read_members(struct reader *r, const json_t *value, bool compare, const char *where)
{
    bool fits = !compare || json_is_object(value) || differ(r, where, "an object", value);
    size_t known = 0;
    while (!take(r, "}")) {
        char name[64], inner[192];
        read_name(r, name, sizeof name);
        const bool optional = take(r, "?");
        ASSERT(take(r, ":"));
        const char *shape = r->at;
        (void)snprintf(inner, sizeof inner, "%.120s.%s", where, name);
        if (strcmp(name, "*") == 0) {
            const char *key;
            json_t *each;
            (void)read_shape(r, NULL, false, inner);
            const char *after = r->at;
            if (compare && fits) json_object_foreach((json_t *)(uintptr_t)value, key, each)
                {
                    r->at = shape;
                    fits = read_shape(r, each, true, inner) && fits;
                    known++;
                }
            r->at = after;
        } else {
            const json_t *member = compare ? json_object_get(value, name) : NULL;
            const bool there = member != NULL;
            known += there;
            if (compare && fits && !there && !optional) fits = differ(r, inner, "a member", NULL);
            fits = read_shape(r, member, compare && there, inner) && fits;
        }
        (void)take(r, ", ");
    }
    if (compare && fits && known != json_object_size(value)) {
        fits = differ(r, where, "no member that is not written down", value);
    }
    return fits;
}

static bool read_list(struct reader *r, const json_t *value, bool compare, const char *where)
{
    bool fits = !compare || json_is_array(value) || differ(r, where, "a list", value);
    const char *shape = r->at;
    (void)read_shape(r, NULL, false, where);
    const char *after = r->at;
    for (size_t i = 0; compare && fits && i < json_array_size(value); i++) {
        r->at = shape;
        fits = read_shape(r, json_array_get(value, i), true, where);
    }
    r->at = after;
    ASSERT(take(r, "]"));
    return fits;
}

static bool read_shape(struct reader *r, const json_t *value, bool compare, const char *where)
{
    const char *begin = r->at;
    bool fits;
    /* What may be null is known only at the end: look there first. */
    if (compare && json_is_null(value)) {
        (void)read_shape(r, NULL, false, where);
        const bool any = strncmp(begin, "any", 3) == 0,
                   nullable = r->at[-1] == 'l' && r->at - begin >= 5 && strncmp(r->at - 5, "|null", 5) == 0;
        return any || nullable || differ(r, where, "not null", value);
    }
    if (take(r, "{")) {
        fits = read_members(r, value, compare, where);
    } else if (take(r, "[")) {
        fits = read_list(r, value, compare, where);
    } else {
        char word[16];
        read_name(r, word, sizeof word);
        fits = !compare || is_word(value, word) || differ(r, where, word, value);
    }
    (void)take(r, "|null");
    return fits;
}

bool notation_fits(const json_t *value, const char *shape, char *why, size_t cap)
{
    struct reader r = {shape, why, cap};
    why[0] = 0;
    const bool fits = read_shape(&r, value, true, "answer");
    ASSERT(*r.at == 0);
    return fits;
}

/* --- Members and examples -------------------------------------------------------------------------------------------- */

void notation_members(const char *object,
                      void (*each)(void *context, const char *name, bool optional, const char *shape),
                      void *context)
{
    char ignored[8] = "";
    struct reader r = {object, ignored, sizeof ignored};
    ASSERT(take(&r, "{"));
    while (!take(&r, "}")) {
        char name[64], shape[512];
        read_name(&r, name, sizeof name);
        const bool optional = take(&r, "?");
        ASSERT(take(&r, ":"));
        const char *begin = r.at;
        (void)read_shape(&r, NULL, false, "");
        ASSERT((size_t)snprintf(shape, sizeof shape, "%.*s", (int)(r.at - begin), begin) < sizeof shape);
        each(context, name, optional, shape);
        (void)take(&r, ", ");
    }
}

static void add_example(void *context, const char *name, bool optional, const char *shape)
{
    (void)optional;
    (void)json_object_set_new(context, name, notation_example(shape));
}

json_t *notation_example(const char *shape)
{
    static const char id[] = "abababababababababababababababababababababababababababababababab";
    if (shape[0] == '{') {
        json_t *object = json_object();
        notation_members(shape, add_example, object);
        return object;
    }
    if (shape[0] == '[') return json_pack("[o]", notation_example(shape + 1));
    if (strncmp(shape, "id", 2) == 0) return json_string(id);
    if (strncmp(shape, "token", 5) == 0) return json_sprintf("dt:perigee:%s", id);
    if (strncmp(shape, "int", 3) == 0) return json_integer(1);
    if (strncmp(shape, "bool", 4) == 0) return json_true();
    return strncmp(shape, "any", 3) == 0 ? json_object() : json_string("1");
}
