/* The API's description for programs (OpenAPI 3.1), made of API_TABLE: what is not written there is nowhere. The notation of
 * api.h becomes JSON Schema. */
#include "node/api_common.h"
#include "node/command.h"
#include "proto/base/panic.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const struct row {
    const char *method, *path, *name;
    uint32_t scope;
    const char *query, *body, *answer, *summary;
} rows[] = {
#define OPENAPI_ROW(method, path, handler, scope, query, body, answer, summary)                              \
    {method, path, #handler, scope, query, body, answer, summary},
    API_TABLE(OPENAPI_ROW)
#undef OPENAPI_ROW
};

/* --- Notation to JSON Schema ---------------------------------------------------------------------------------------- */

static json_t *read_shape(const char **at);

static bool take(const char **at, const char *text)
{
    const size_t len = strlen(text);
    if (strncmp(*at, text, len) != 0) return false;
    *at += len;
    return true;
}

static json_t *word_schema(const char *word, size_t len)
{
    static const struct {
        const char *word, *type, *pattern;
    } words[] = {{"text", "string", NULL},
                 {"int", "integer", NULL},
                 {"bool", "boolean", NULL},
                 {"id", "string", "^[0-9a-f]{64}$"},
                 {"hash", "string", "^[0-9a-f]{64}$"},
                 {"token", "string", "^dt:perigee:[0-9a-f]{64}$"}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strlen(words[i].word) == len && memcmp(words[i].word, word, len) == 0)
            return json_pack("{s:s, s:s*}", "type", words[i].type, "pattern", words[i].pattern);
    ASSERT(len == 3 && memcmp(word, "any", 3) == 0);
    return json_object();
}

static void read_member(const char **at, json_t *schema)
{
    const size_t len = strcspn(*at, "?:");
    char name[64];
    ASSERT(len > 0 && len < sizeof name);
    (void)snprintf(name, sizeof name, "%.*s", (int)len, *at);
    *at += len;
    const bool optional = take(at, "?");
    ASSERT(take(at, ":"));
    json_t *inner = read_shape(at);
    if (strcmp(name, "*") == 0) {
        json_object_set_new(schema, "additionalProperties", inner);
        return;
    }
    json_object_set_new(json_object_get(schema, "properties"), name, inner);
    if (!optional) json_array_append_new(json_object_get(schema, "required"), json_string(name));
}

static json_t *read_object(const char **at)
{
    json_t *schema = json_pack("{s:s, s:{}, s:[], s:b}", "type", "object", "properties", "required",
                               "additionalProperties", false);
    while (!take(at, "}")) {
        read_member(at, schema);
        (void)take(at, ", ");
    }
    return schema;
}

static json_t *read_shape(const char **at)
{
    json_t *schema;
    if (take(at, "{")) {
        schema = read_object(at);
    } else if (take(at, "[")) {
        schema = json_pack("{s:s, s:o}", "type", "array", "items", read_shape(at));
        ASSERT(take(at, "]"));
    } else {
        const size_t len = strspn(*at, "abcdefghijklmnopqrstuvwxyz");
        schema = word_schema(*at, len);
        *at += len;
    }
    if (take(at, "|null")) schema = json_pack("{s:[o, {s:s}]}", "anyOf", schema, "type", "null");
    return schema;
}

static json_t *schema_of(const char *notation)
{
    json_t *schema = read_shape(&notation);
    ASSERT(*notation == 0);
    return schema;
}

/* --- Operations ----------------------------------------------------------------------------------------------------- */

static void add_parameter(json_t *list, const char *where, const char *name, size_t len, bool required)
{
    json_array_append_new(list, json_pack("{s:s%, s:s, s:b, s:{s:s}}", "name", name, len, "in", where,
                                          "required", required, "schema", "type", "string"));
}

static json_t *parameters_of(const struct row *r)
{
    json_t *list = json_array();
    for (const char *at = r->path; (at = strchr(at, '{')) != NULL; at++)
        add_parameter(list, "path", at + 1, strcspn(at + 1, "}"), true);
    for (const char *at = r->query; *at != 0;) {
        const size_t len = strcspn(at, " ");
        add_parameter(list, "query", at, len, false);
        at += len + (at[len] == ' ');
    }
    if (strcmp(r->method, "POST") == 0) add_parameter(list, "header", "Idempotency-Key", 15, false);
    if (strcmp(r->answer, "text/event-stream") == 0)
        add_parameter(list, "header", "Last-Event-ID", 13, false);
    return list;
}

static json_t *problem_answer(const char *description)
{
    return json_pack("{s:s, s:{s:{s:{s:s}}}}", "description", description, "content",
                     "application/problem+json", "schema", "$ref", "#/components/schemas/Problem");
}

static json_t *answers_of(const struct row *r)
{
    const bool text = strncmp(r->answer, "text/", 5) == 0;
    json_t *schema = text ? json_pack("{s:s}", "type", "string") : schema_of(r->answer);
    return json_pack("{s:{s:s, s:{s:{s:o}}}, s:o, s:o, s:o}", "200", "description", r->summary, "content",
                     text ? r->answer : "application/json", "schema", schema, "401",
                     problem_answer("over TCP: no token, or one that is not in force"), "403",
                     problem_answer("over TCP: the token lacks the scope"), "default",
                     problem_answer("refused: what was expected, what came, what to do"));
}

static json_t *operation_of(const struct row *r)
{
    json_t *operation =
        json_pack("{s:s, s:s, s:s, s:[{s:[s]}], s:o, s:o}", "operationId", r->name + 4, "summary", r->summary,
                  "x-scope", scope_name(r->scope), "security", "bearer", scope_name(r->scope), "parameters",
                  parameters_of(r), "responses", answers_of(r));
    if (r->body[0] != 0)
        json_object_set_new(
            operation, "requestBody",
            json_pack("{s:{s:{s:o}}}", "content", "application/json", "schema", schema_of(r->body)));
    return operation;
}

static json_t *paths(void)
{
    json_t *all = json_object();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char method[16] = "";
        json_t *path = json_object_get(all, rows[i].path);
        if (path == NULL) {
            path = json_object();
            json_object_set_new(all, rows[i].path, path);
        }
        for (size_t j = 0; rows[i].method[j] != 0 && j + 1 < sizeof method; j++)
            method[j] = (char)tolower((unsigned char)rows[i].method[j]);
        json_object_set_new(path, method, operation_of(&rows[i]));
    }
    return all;
}

void api_openapi(const struct http_request *q, struct http_reply *reply)
{
    json_t *problem =
        schema_of("{type:text, title:text, status:int, detail:text, reason:text, parts?:" API_PARTS "}");
    (void)q;
    http_answer(
        reply, 200,
        json_pack("{s:s, s:{s:s, s:s, s:s}, s:[{s:s}], s:o, s:{s:{s:o}, s:{s:{s:s, s:s, s:s}}}}", "openapi",
                  "3.1.0", "info", "title", "Perigee node", "version", PERIGEE_VERSION, "description",
                  "A federation node for computing on data that must not move. On the node's Unix socket no "
                  "token is needed; over TCP every request carries one.",
                  "servers", "url", "/", "paths", paths(), "components", "schemas", "Problem", problem,
                  "securitySchemes", "bearer", "type", "http", "scheme", "bearer", "description",
                  "made by `perigee token create`; its scopes hold the operation's x-scope"));
}
