#include "node/http_state.h"

#include "crypto/hash.h"
#include "crypto/secret.h"
#include "node/scope.h"
#include "proto/base/panic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- Routes --------------------------------------------------------------------------------------------- */

/* Whether `path` has the shape of `pattern`; notes where the values of its braces lie. */
static bool route_matches(const char *pattern, const char *path, struct span param[HTTP_PARAMS_MAX])
{
    uint32_t count = 0;
    while (*pattern != 0) {
        if (*pattern != '{') {
            if (*pattern++ != *path++) return false;
            continue;
        }
        size_t len = strcspn(path, "/");
        ASSERT(count < HTTP_PARAMS_MAX);
        if (len == 0) return false;
        param[count++] = span_make(path, len);
        path += len;
        pattern += strcspn(pattern, "}");
        ASSERT(*pattern == '}');
        pattern++;
    }
    return *path == 0;
}

static void route_allows(struct http_reply *r, const char *method)
{
    size_t len = strlen(r->allow);
    if (strstr(r->allow, method) != NULL) return;
    (void)snprintf(r->allow + len, sizeof r->allow - len, "%s%s", len == 0 ? "" : ", ", method);
}

static const struct http_route *route_find(struct http_reply *r, struct span param[HTTP_PARAMS_MAX])
{
    for (const struct http_route *route = r->http->routes; route->method != NULL; route++) {
        memset(param, 0, HTTP_PARAMS_MAX * sizeof *param);
        if (!route_matches(route->path, r->path, param)) continue;
        if (strcmp(route->method, r->method) == 0) return route;
        route_allows(r, route->method);
    }
    return NULL;
}

static json_t *body_parse(struct http_reply *r, json_error_t *error)
{
    json_t *body = json_loadb((const char *)r->body, r->body_len, JSON_REJECT_DUPLICATES, error);
    if (body == NULL || json_is_object(body)) return body;
    json_decref(body);
    (void)snprintf(error->text, sizeof error->text, "the body is not an object");
    error->line = error->column = 1;
    return NULL;
}

/* Values of braces become strings by ending them in a copy of the path. */
static void route_call(struct http_reply *r, const struct http_route *route, char *values,
                       const struct span param[HTTP_PARAMS_MAX], json_t *body)
{
    struct http_request request = {.method = r->method,
                                   .path = r->path,
                                   .query = r->query,
                                   .body = body,
                                   .idempotency_key = r->idempotency_key[0] == 0 ? NULL : r->idempotency_key,
                                   .last_event_id = r->last_event_id[0] == 0 ? NULL : r->last_event_id,
                                   .scopes = r->scopes,
                                   .remote = r->remote,
                                   .caller = r->caller,
                                   .context = r->http->context};
    for (uint32_t i = 0; i < HTTP_PARAMS_MAX && param[i].data != NULL; i++) {
        char *value = values + (param[i].data - (const uint8_t *)r->path);
        value[param[i].len] = 0;
        request.param[i] = value;
    }
    route->handle(&request, r);
}

/* False: it was done before, or is being done, and that is answered. */
static bool is_first(struct http_reply *r)
{
    if (r->idempotency_key[0] == 0 || strcmp(r->method, "POST") != 0) return true;
    const struct hash32 key =
        HASH_FRAMED("perigee/idempotency-key/v1", ID_SPAN(r->caller), span_text(r->idempotency_key));
    const struct hash32 request =
        HASH_FRAMED("perigee/idempotency-request/v1", span_text(r->path), span_make(r->body, r->body_len));
    struct replay *p;
    switch (replays_find(r->http->replays, &p, key, request, uv_now(r->http->loop))) {
    case REPLAY_NEW: r->replay = p; return true;
    case REPLAY_DONE: http_reply_again(r, p); return false;
    case REPLAY_PENDING:
        http_problem(
            r, 503, "in-progress",
            "expected the first request with this Idempotency-Key to have its answer; it is still worked on: "
            "try again");
        return false;
    case REPLAY_OTHER:
        http_problem(
            r, 422, "key-used",
            "expected the request that came first with this Idempotency-Key; came another: use a new key");
        return false;
    case REPLAY_FULL: break;
    }
    http_problem(r, 503, "full",
                 "expected fewer than %d requests with an Idempotency-Key at work; try again later",
                 REPLAY_COUNT_MAX);
    return false;
}

void http_request_complete(struct http_reply *r)
{
    struct span param[HTTP_PARAMS_MAX];
    json_error_t error;
    r->stage = HTTP_PENDING;
    lws_set_timeout(r->wsi, NO_PENDING_TIMEOUT, 0); /* libwebsockets' own; from here the watch looks */
    const struct http_route *route = route_find(r, param);
    if (route == NULL && r->allow[0] != 0) {
        http_problem(r, 405, "method", "expected %s on this path; came %s", r->allow, r->method);
        return;
    }
    if (route == NULL) {
        http_problem(r, 404, "no-such-path",
                     "expected one of the paths that GET /v1 lists; came one where nothing is served");
        return;
    }
    if ((r->scopes & route->scope) == 0) {
        http_problem(r, 403, "scope", "expected a token with the scope \"%s\" for %s %s; came one without it",
                     scope_name(route->scope), route->method, route->path);
        return;
    }
    if (!is_first(r)) return;
    json_t *body = r->body_len == 0 ? NULL : body_parse(r, &error);
    if (r->body_len > 0 && body == NULL) {
        http_problem(r, 400, "bad-json",
                     "expected one JSON object without duplicate keys; came at line %d, column %d: %s",
                     error.line, error.column, error.text);
        return;
    }
    free(r->body);
    r->body = NULL;
    char *values = strdup(r->path);
    if (values == NULL)
        http_problem(r, 500, "no-memory", "out of memory");
    else
        route_call(r, route, values, param, body);
    free(values);
    json_decref(body);
}

/* --- Reading a request ---------------------------------------------------------------------------------- */

static const char *method_name(int method)
{
    static const char *const names[] = {
        [LWSHUMETH_GET] = "GET",         [LWSHUMETH_POST] = "POST",   [LWSHUMETH_OPTIONS] = "OPTIONS",
        [LWSHUMETH_PUT] = "PUT",         [LWSHUMETH_PATCH] = "PATCH", [LWSHUMETH_DELETE] = "DELETE",
        [LWSHUMETH_CONNECT] = "CONNECT", [LWSHUMETH_HEAD] = "HEAD"};
    return method < 0 || method >= (int)(sizeof names / sizeof *names) ? NULL : names[method];
}

/* Answer before the request has arrived whole: the connection ends with the answer. */
static void refuse(struct http_reply *r, int status, const char *reason, const char *detail)
{
    r->stage = HTTP_PENDING;
    http_problem(r, status, reason, "%s", detail);
}

static bool query_add(struct http_reply *r, const char *text)
{
    const char *equals = strchr(text, '=');
    char name[HTTP_NAME_MAX + 1];
    size_t len = equals == NULL ? strlen(text) : (size_t)(equals - text);
    if (len == 0 || len >= sizeof name) return false;
    memcpy(name, text, len);
    name[len] = 0;
    if (json_object_get(r->query, name) != NULL) return false;
    return json_object_set_new(r->query, name, json_string(equals == NULL ? "" : equals + 1)) == 0;
}

static bool read_query(struct http_reply *r)
{
    char text
        [HTTP_HEAD_MAX]; /* a fragment is never longer than all headers, so none is left out for its size */
    for (int i = 0; i <= HTTP_QUERY_MAX; i++) {
        int len = lws_hdr_copy_fragment(r->wsi, text, sizeof text, WSI_TOKEN_HTTP_URI_ARGS, i);
        if (len <= 0) return true;
        if (i == 0 && strcmp(text, "/") == 0)
            continue; /* libwebsockets for nothing behind the question mark */
        if (strlen(text) != (size_t)len || !query_add(r, text)) return false;
    }
    return false;
}

/* A field that libwebsockets has no name of its own for: "name:", in small letters. */
static bool read_field(const struct http_reply *r, const char *name, char *out, int max)
{
    const int name_len = (int)strlen(name), len = lws_hdr_custom_length(r->wsi, name, name_len);
    if (len <= 0) return true;
    return len <= max && lws_hdr_custom_copy(r->wsi, out, max + 1, name, name_len) == len;
}

/* No length means no body: that is what the standard says, and what some clients send for an empty POST. */
static bool read_length(struct http_reply *r)
{
    char text[24];
    if (lws_hdr_total_length(r->wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) == 0) return true;
    int len = lws_hdr_copy(r->wsi, text, sizeof text, WSI_TOKEN_HTTP_CONTENT_LENGTH);
    if (len <= 0 || len > 15 || strspn(text, "0123456789") != (size_t)len) return false;
    r->body_declared = strtoull(text, NULL, 10);
    return true;
}

/* "Bearer TOKEN", for who comes over TCP: before anything else of the request is looked at. */
static enum err read_bearer(struct http_reply *r)
{
    char text[HTTP_BEARER_MAX];
    int len = lws_hdr_copy(r->wsi, text, sizeof text, WSI_TOKEN_HTTP_AUTHORIZATION);
    if (len <= 0)
        return lws_hdr_total_length(r->wsi, WSI_TOKEN_HTTP_AUTHORIZATION) == 0 ? ERR_NOT_FOUND : ERR_REFUSED;
    enum err err = ERR_REFUSED;
    if (strncasecmp(text, "Bearer ", 7) == 0 && r->http->authorize != NULL)
        err = r->http->authorize(r->http->context, span_make(text + 7, (size_t)len - 7), &r->scopes);
    if (err == OK) r->caller = HASH_FRAMED("perigee/api-caller/v1", span_make(text + 7, (size_t)len - 7));
    secret_wipe(text, sizeof text);
    return err;
}

static bool may_enter(struct http_reply *r)
{
    const enum err err = r->remote ? read_bearer(r) : OK;
    if (!r->remote) r->scopes = SCOPE_ALL;
    if (err == ERR_NOT_FOUND)
        refuse(r, 401, "no-token",
               "expected \"Authorization: Bearer TOKEN\", made by `perigee token create`; came none");
    else if (err == ERR_EXPIRED)
        refuse(r, 401, "token-expired", "expected a token that is in force; came one past its expiry");
    else if (err != OK)
        refuse(r, 401, "unknown-token",
               "expected a token that this node made and did not revoke; came another");
    return err == OK;
}

static void request_head(struct http_reply *r)
{
    if (!may_enter(r)) return;
    if (lws_hdr_total_length(r->wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0)
        refuse(r, 411, "length-required", "expected Content-Length; came a transfer encoding");
    else if (!read_length(r))
        refuse(r, 400, "bad-length", "expected one decimal number as Content-Length; came other text");
    else if (r->body_declared > HTTP_BODY_MAX)
        refuse(r, 413, "too-large", "expected a body of at most 4 MiB; a longer one came");
    else if (!read_query(r))
        refuse(r, 400, "bad-query", "expected at most 32 names of text in the query, each once; came other");
    else if (!read_field(r, "last-event-id:", r->last_event_id, HTTP_EVENT_ID_MAX))
        refuse(r, 400, "bad-event-id",
               "expected a Last-Event-ID of at most 63 characters; came a longer one");
    else if (!read_field(r, "idempotency-key:", r->idempotency_key, HTTP_KEY_MAX))
        refuse(r, 400, "bad-idempotency-key",
               "expected an Idempotency-Key of at most 200 characters; came a longer one");
    else if (r->body_declared == 0)
        http_request_complete(r);
}

int http_request_begin(struct http_reply *r, const char *path, size_t path_len)
{
    char *uri;
    int uri_len;
    const char *method = method_name(lws_http_get_uri_and_method(r->wsi, &uri, &uri_len));
    if (method == NULL || r->stage != HTTP_HEAD || memchr(path, 0, path_len) != NULL) return -1;
    r->stage = HTTP_COLLECTING;
    r->method = method;
    r->path = strndup(path, path_len);
    r->query = json_object();
    if (r->path == NULL || r->query == NULL) return -1;
    request_head(r);
    return 0;
}

int http_request_body(struct http_reply *r, const uint8_t *bytes, size_t len)
{
    if (r->stage != HTTP_COLLECTING || len == 0) return 0; /* answered already: the rest is not wanted */
    if (len > r->body_declared - r->body_len) return -1;
    if (len > r->body_cap - r->body_len) {
        size_t cap = 2 * (r->body_len + len);
        uint8_t *grown = realloc(r->body, cap);
        if (grown == NULL) return -1;
        r->body = grown;
        r->body_cap = cap;
    }
    memcpy(r->body + r->body_len, bytes, len);
    r->body_len += len;
    return 0;
}
