#include "node/http.h"

#include "crypto/hash.h"
#include "crypto/secret.h"
#include "node/http_door.h"
#include "node/http_replay.h"
#include "node/http_tcp.h"
#include "node/log.h"
#include "node/problem.h"
#include "node/scope.h"
#include "proto/base/panic.h"

#include <errno.h>
#include <fcntl.h>
#include <libwebsockets.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    HTTP_REQUESTS_MAX = 256,
    HTTP_CONNECTIONS_MAX =
        HTTP_REQUESTS_MAX + 128, /* libwebsockets still counts those that are being closed */
    HTTP_KEY_MAX = 200,
    HTTP_BEARER_MAX = 256,
    HTTP_EVENT_ID_MAX = 63,
    HTTP_DETAIL_MAX = 2048,
    HTTP_PIECE_BYTES = 128 * 1024,
    HTTP_REQUEST_SECONDS = 30, /* for a request to arrive, and for each piece of an answer to leave */
    HTTP_WATCH_MS = 500,
    HTTP_QUERY_MAX = 32,
    HTTP_NAME_MAX = 64,
};

enum http_stage {
    HTTP_HEAD,       /* libwebsockets reads the head, which the door has seen whole */
    HTTP_COLLECTING, /* the body is arriving */
    HTTP_PENDING,    /* the handler has it */
    HTTP_SENDING,    /* answered */
    HTTP_STREAMING,  /* being answered for as long as it stays */
};

struct http_reply {
    struct http *http;
    struct http_reply *next, **link;
    struct lws *wsi; /* NULL when the client has gone */
    enum http_stage stage;
    uint64_t since_ms; /* the client was last given time */
    const char *method;
    char *path;
    json_t *query;
    char idempotency_key[HTTP_KEY_MAX + 1], last_event_id[HTTP_EVENT_ID_MAX + 1];
    uint8_t *body;
    size_t body_len, body_cap, body_declared;
    bool remote;          /* it came over TCP */
    uint32_t scopes;      /* what its caller may */
    struct hash32 caller; /* of its token; zero: on the Unix socket */
    int status;
    const char *type; /* of the answer; NULL: JSON, or a problem */
    char allow[64];   /* methods, for a 405 */
    uint8_t *answer;  /* LWS_PRE bytes of room, then the text */
    size_t answer_len, answer_cap, answer_sent;
    struct http_stream stream;
    bool stream_waits;     /* more may be there to be said */
    struct replay *replay; /* where its answer is kept; NULL: nowhere */
    bool once;             /* it is not */
    bool head_sent, cut;   /* cut: its connection is being closed to make room, or for slowness */
};

struct http {
    struct lws_context *lws; /* set to NULL by libwebsockets when it is gone */
    struct lws_protocols protocol[2];
    void *loop;
    const struct http_route *routes;
    void *context;
    struct http_reply *replies;
    uint32_t open_count; /* of them, those whose connection is there and not being closed */
    uint64_t answered[6];
    struct http_door *door;
    struct http_tcp *tcp; /* NULL: none */
    struct replays *replays;
    enum err (*authorize)(void *context, struct span token, uint32_t *scopes);
    char *socket_path;
    int lock_fd;
    uv_timer_t watch;  /* clients that left while their answer was due */
    uv_idle_t closing; /* runs while closing */
    const uv_handle_t *lws_timer,
        *lws_idle; /* libwebsockets' own: when they are gone, nothing of it is left in the loop */
    bool lws_handles_left;
    uint32_t handles_open;
    void (*closed)(void *context);
    void *closed_context;
};

/* --- Replies -------------------------------------------------------------------------------------------- */

static struct http_reply *reply_new(struct http *h)
{
    struct http_reply *r = calloc(1, sizeof *r);
    if (r == NULL) return NULL;
    r->http = h;
    r->since_ms = uv_now(h->loop);
    r->next = h->replies;
    r->link = &h->replies;
    if (r->next != NULL) r->next->link = &r->next;
    h->replies = r;
    return r;
}

static void reply_free(struct http_reply *r)
{
    *r->link = r->next;
    if (r->next != NULL) r->next->link = r->link;
    if (r->wsi != NULL && !r->cut) r->http->open_count--;
    if (r->stage == HTTP_STREAMING) r->stream.gone(r->stream.context);
    json_decref(r->query);
    free(r->path);
    free(r->body);
    if (r->once && r->answer != NULL) secret_wipe(r->answer, r->answer_cap); /* a token stands in it */
    free(r->answer);
    free(r);
}

/* The client has gone. A reply that a handler still holds lives until it is answered. */
static void reply_lost(struct http_reply *r)
{
    if (!r->cut) r->http->open_count--;
    r->wsi = NULL;
    if (r->stage != HTTP_PENDING) reply_free(r);
}

/* jansson gives the text in pieces. LWS_PRE bytes before it and one behind it are kept free. */
static int render_piece(const char *piece, size_t len, void *context)
{
    struct http_reply *r = context;
    if (LWS_PRE + r->answer_len + len + 1 > r->answer_cap) {
        const size_t cap = 2 * (LWS_PRE + r->answer_len + len + 1);
        uint8_t *grown = malloc(cap);
        if (grown == NULL) return -1;
        if (r->answer != NULL) memcpy(grown, r->answer, LWS_PRE + r->answer_len);
        if (r->once && r->answer != NULL) secret_wipe(r->answer, r->answer_cap);
        free(r->answer);
        r->answer = grown;
        r->answer_cap = cap;
    }
    memcpy(r->answer + LWS_PRE + r->answer_len, piece, len);
    r->answer_len += len;
    return 0;
}

static bool reply_render(struct http_reply *r, const json_t *body)
{
    if (body == NULL) return true;
    if (json_dump_callback(body, render_piece, r, JSON_COMPACT | JSON_ENCODE_ANY) != 0 ||
        r->answer_len == 0) {
        r->answer_len = 0;
        return false;
    }
    r->answer[LWS_PRE + r->answer_len++] = '\n';
    return true;
}

static void answer_begin(struct http_reply *r, int status)
{
    ASSERT(r->stage == HTTP_PENDING && status >= 200 && status < 600);
    r->stage = HTTP_SENDING;
    r->status = status;
    if (r->http != NULL) r->http->answered[status / 100]++;
}

/* Nobody may be there any more: the reply is gone then. */
static void answer_send(struct http_reply *r)
{
    if (r->wsi == NULL) {
        reply_free(r);
        return;
    }
    r->since_ms = uv_now(r->http->loop);
    (void)lws_rx_flow_control(r->wsi, 1); /* libwebsockets writes nothing while it may not read */
    (void)lws_callback_on_writable(r->wsi);
}

void http_once(struct http_reply *r)
{
    r->once = true;
}

/* Whether or not the client is still there: it may come again. */
static void keep_answer(struct http_reply *r)
{
    if (r->replay == NULL || r->http == NULL) return;
    const bool kept = r->answer_len > 0 && !r->once;
    replay_answered(r->replay, r->status, kept ? span_make(r->answer + LWS_PRE, r->answer_len) : SPAN_NONE);
    r->replay = NULL;
}

void http_answer(struct http_reply *r, int status, json_t *body)
{
    answer_begin(r, status);
    if (!reply_render(r, body)) r->status = HTTP_STATUS_INTERNAL_SERVER_ERROR;
    json_decref(body);
    keep_answer(r);
    answer_send(r);
}

void http_answer_text(struct http_reply *r, int status, const char *content_type, struct span text)
{
    answer_begin(r, status);
    r->type = content_type;
    if (render_piece((const char *)text.data, text.len, r) != 0)
        r->status = HTTP_STATUS_INTERNAL_SERVER_ERROR;
    answer_send(r);
}

/* Room for one piece, which is asked for again and again. */
void http_stream_begin(struct http_reply *r, const char *content_type, const struct http_stream *stream)
{
    uint8_t *memory = r->wsi != NULL ? malloc(LWS_PRE + HTTP_STREAM_PIECE) : NULL;
    if (memory == NULL) {
        stream->gone(stream->context);
        http_problem(r, 503, "no-memory", "out of memory; try again later");
        return;
    }
    answer_begin(r, 200);
    r->stage = HTTP_STREAMING;
    r->type = content_type;
    r->answer = memory;
    r->stream = *stream;
    http_stream_wake(r);
}

void http_stream_wake(struct http_reply *r)
{
    ASSERT(r->stage == HTTP_STREAMING);
    if (r->cut || r->stream_waits) return;
    r->stream_waits = true;
    answer_send(r);
}

void http_load(const struct http *h, struct http_load *out)
{
    *out = (struct http_load){.open = h->open_count,
                              .open_max = HTTP_REQUESTS_MAX,
                              .tls = h->tcp != NULL ? http_tcp_count(h->tcp) : 0};
    memcpy(out->answered, h->answered, sizeof out->answered);
}

void http_problem(struct http_reply *r, int status, const char *reason, const char *detail_format, ...)
{
    char detail[HTTP_DETAIL_MAX];
    va_list arguments;
    va_start(arguments, detail_format);
    (void)vsnprintf(detail, sizeof detail, detail_format, arguments);
    va_end(arguments);
    http_answer(r, status, problem_json(status, reason, detail));
}

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
                                   .context = r->http->context};
    for (uint32_t i = 0; i < HTTP_PARAMS_MAX && param[i].data != NULL; i++) {
        char *value = values + (param[i].data - (const uint8_t *)r->path);
        value[param[i].len] = 0;
        request.param[i] = value;
    }
    route->handle(&request, r);
}

static void answer_again(struct http_reply *r, const struct replay *p)
{
    if (p->answer_len == 0) {
        http_problem(
            r, 409, "answered",
            "expected a new Idempotency-Key; came one whose request was answered with status %d, and that "
            "answer is not kept",
            p->status);
        return;
    }
    answer_begin(r, p->status);
    if (render_piece((const char *)p->answer, p->answer_len, r) != 0)
        r->status = HTTP_STATUS_INTERNAL_SERVER_ERROR;
    answer_send(r);
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
    case REPLAY_DONE: answer_again(r, p); return false;
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

/* The whole request is here. What a client sends after it is not read: one request a connection. */
static void request_complete(struct http_reply *r)
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
        request_complete(r);
}

static int request_begin(struct http_reply *r, const char *path, size_t path_len)
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

static int request_body(struct http_reply *r, const uint8_t *bytes, size_t len)
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

/* --- Writing an answer ---------------------------------------------------------------------------------- */

/* Room for the longest list of methods and the longest title. */
static int head_text(char *out, size_t cap, int status, const char *type, size_t body_len, const char *allow)
{
    const bool is_problem = status >= 400;
    if (type == NULL) type = is_problem ? "application/problem+json" : "application/json";
    return snprintf(out, cap,
                    "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                    "%s%s%s%sCache-Control: no-store\r\nConnection: close\r\n\r\n",
                    status, is_problem ? problem_title(status) : "OK", type, body_len,
                    status == 401 ? "WWW-Authenticate: Bearer realm=\"perigee\"\r\n" : "",
                    allow == NULL ? "" : "Allow: ", allow == NULL ? "" : allow, allow == NULL ? "" : "\r\n");
}

static int stream_head(char *out, size_t cap, const char *type)
{
    return snprintf(out, cap,
                    "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nCache-Control: no-store\r\n"
                    "X-Accel-Buffering: no\r\nConnection: close\r\n\r\n",
                    type);
}

static int send_head(struct http_reply *r)
{
    char head[LWS_PRE + 512];
    const int len = r->stage == HTTP_STREAMING
                        ? stream_head(head + LWS_PRE, sizeof head - LWS_PRE, r->type)
                        : head_text(head + LWS_PRE, sizeof head - LWS_PRE, r->status, r->type, r->answer_len,
                                    r->status == 405 ? r->allow : NULL);
    r->head_sent = true;
    if (strcmp(r->method, "HEAD") == 0) r->answer_sent = r->answer_len;
    return lws_write(r->wsi, (unsigned char *)head + LWS_PRE, (size_t)len, LWS_WRITE_HTTP_HEADERS) < len ? -1
                                                                                                         : 0;
}

/* libwebsockets calls this again only when all bytes of the last piece have left it. */
static int stream_more(struct http_reply *r)
{
    r->since_ms = uv_now(r->http->loop);
    if (!r->head_sent) return send_head(r) != 0 || lws_callback_on_writable(r->wsi) < 0 ? -1 : 0;
    const size_t len = r->stream.more(r->stream.context, r->answer + LWS_PRE, HTTP_STREAM_PIECE);
    if (len > 0) {
        if (lws_write(r->wsi, r->answer + LWS_PRE, len, LWS_WRITE_HTTP) < (int)len) return -1;
        return lws_callback_on_writable(r->wsi) < 0 ? -1 : 0;
    }
    r->stream_waits = false;
    (void)lws_rx_flow_control(r->wsi, 0); /* nothing is read from it, as while a handler works */
    return r->stream.lost(r->stream.context) ? -1 : 0;
}

static int answer_more(struct http_reply *r)
{
    if (r->stage == HTTP_STREAMING) return stream_more(r);
    if (r->stage != HTTP_SENDING) return 0;
    r->since_ms = uv_now(r->http->loop);
    if (!r->head_sent) {
        if (send_head(r) != 0) return -1;
    } else if (r->answer_sent == r->answer_len) {
        return -1; /* complete: close */
    } else {
        size_t len = r->answer_len - r->answer_sent;
        if (len > HTTP_PIECE_BYTES) len = HTTP_PIECE_BYTES;
        if (lws_write(r->wsi, r->answer + LWS_PRE + r->answer_sent, len, LWS_WRITE_HTTP) < (int)len)
            return -1;
        r->answer_sent += len;
    }
    return lws_callback_on_writable(r->wsi) < 0 ? -1 : 0;
}

static void cut_off(struct http_reply *r)
{
    if (r->cut) return;
    r->cut = true;
    r->http->open_count--;
    lws_set_timeout(r->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
}

/* Nothing is read from a connection once its request is complete (libwebsockets would spin on bytes it has no
 * state for), so nobody would notice that its client has left. */
static bool has_left(const struct http_reply *r)
{
    struct pollfd p = {.fd = lws_get_socket_fd(r->wsi)};
    return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR)) != 0;
}

/* Who has left while an answer is due, and who lets us wait. */
static void watch_clients(uv_timer_t *timer)
{
    const struct http *h = timer->data;
    for (struct http_reply *r = h->replies, *next; r != NULL; r = next) {
        next = r->next;
        if (r->wsi == NULL) continue;
        const bool slow = uv_now(timer->loop) - r->since_ms >= HTTP_REQUEST_SECONDS * 1000;
        const bool ours = r->stage == HTTP_PENDING || (r->stage == HTTP_STREAMING && !r->stream_waits);
        if (ours ? has_left(r) : slow) cut_off(r);
    }
}

/* --- Connections from the door -------------------------------------------------------------------------- */

/* Before there is a request that could be answered: in one piece, as far as the socket takes it. */
static void door_refuse(void *context, int fd, const struct http_fault *why)
{
    char text[1024], body[512];
    (void)context;
    json_t *problem = problem_json(why->status, why->reason, why->detail);
    const size_t len = json_dumpb(problem, body, sizeof body - 1, JSON_COMPACT);
    json_decref(problem);
    if (len == 0 || len >= sizeof body) return;
    body[len] = '\n';
    const int head = head_text(text, sizeof text, why->status, NULL, len + 1, NULL);
    if (head < 0 || (size_t)head + len + 1 > sizeof text) return;
    memcpy(text + head, body, len + 1);
    (void)!send(fd, text, (size_t)head + len + 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* The client that has let us wait longest gives its place; nobody's whose answer is ours to give. */
static bool make_room(const struct http *h)
{
    struct http_reply *oldest = NULL;
    for (struct http_reply *r = h->replies; r != NULL; r = r->next) {
        if (r->wsi == NULL || r->cut || r->stage == HTTP_PENDING || r->stage == HTTP_STREAMING) continue;
        if (oldest == NULL || r->since_ms < oldest->since_ms) oldest = r;
    }
    if (oldest != NULL) cut_off(oldest);
    return oldest != NULL;
}

static void tcp_enter(void *context, int fd)
{
    http_door_take(((struct http *)context)->door, fd);
}

static void door_enter(void *context, int fd, bool remote)
{
    static const struct http_fault full = {
        503, "full", "expected fewer than 256 requests at once; all of them wait for answers: try again"};
    struct http *h = context;
    if (h->open_count >= HTTP_REQUESTS_MAX && !make_room(h)) {
        door_refuse(h, fd, &full);
        (void)close(fd);
        return;
    }
    struct http_reply *r = reply_new(h);
    if (r == NULL) {
        (void)close(fd);
        return;
    }
    r->wsi = lws_adopt_socket(h->lws, fd); /* on failure it has closed the descriptor */
    if (r->wsi == NULL) {
        reply_free(r);
        return;
    }
    h->open_count++;
    r->remote = remote;
    lws_set_opaque_user_data(r->wsi, r);
}

/* --- Events of libwebsockets ---------------------------------------------------------------------------- */

static int http_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    struct http_reply *r = wsi == NULL ? NULL : lws_get_opaque_user_data(wsi);
    int result = 0;
    (void)user;
    if (r == NULL) return 0;
    if (reason == LWS_CALLBACK_HTTP) {
        result = request_begin(r, in, len);
    } else if (reason == LWS_CALLBACK_HTTP_BODY) {
        result = request_body(r, in, len);
    } else if (reason == LWS_CALLBACK_HTTP_BODY_COMPLETION) {
        if (r->stage == HTTP_COLLECTING) request_complete(r);
    } else if (reason == LWS_CALLBACK_HTTP_WRITEABLE) {
        return answer_more(r);
    } else if (reason == LWS_CALLBACK_CLOSED_HTTP || reason == LWS_CALLBACK_WSI_DESTROY) {
        lws_set_opaque_user_data(wsi, NULL);
        reply_lost(r);
        return 0;
    }
    if (result == 0 && r->stage == HTTP_PENDING) (void)lws_rx_flow_control(wsi, 0);
    return result;
}

static void http_log(int level, const char *line)
{
    (void)level;
    /* It reports the ordinary end of a foreign loop as an error. */
    if (strstr(line, "lws_libuv_stop") == NULL) log_say(LOG_API_HTTP, "%.*s", (int)strcspn(line, "\n"), line);
}

/* --- Opening -------------------------------------------------------------------------------------------- */

/* Of two servers starting at once, one gets the lock; it is held until the socket file is gone. */
static enum err lock_path(struct http *h)
{
    char name[sizeof(((struct sockaddr_un *)0)->sun_path) + 8];
    (void)snprintf(name, sizeof name, "%s.lock", h->socket_path);
    h->lock_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (h->lock_fd < 0) return ERR_IO;
    if (flock(h->lock_fd, LOCK_EX | LOCK_NB) == 0) return OK;
    return errno == EWOULDBLOCK ? ERR_BUSY : ERR_IO;
}

/* A socket file may be left by a dead process; the door removes what is there, so look first. */
static enum err probe_path(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat status;
    if (lstat(path, &status) != 0) return errno == ENOENT ? OK : ERR_IO;
    if (!S_ISSOCK(status.st_mode)) return ERR_CONFLICT;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return ERR_IO;
    memcpy(address.sun_path, path, strlen(path) + 1);
    int answered = connect(fd, (const struct sockaddr *)&address, sizeof address);
    enum err err = answered == 0 || errno == EAGAIN ? ERR_BUSY : errno == ECONNREFUSED ? OK : ERR_IO;
    (void)close(fd);
    return err;
}

static void note_handle(uv_handle_t *handle, void *context)
{
    struct http *h = context;
    if (handle == (uv_handle_t *)&h->watch || handle == (uv_handle_t *)&h->closing) return;
    if (handle->type == UV_TIMER)
        h->lws_timer = handle; /* the walk is in order of creation: the last one is theirs */
    if (handle->type == UV_IDLE) h->lws_idle = handle;
}

static enum err create_context(struct http *h)
{
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .options = LWS_SERVER_OPTION_LIBUV,
        .protocols = h->protocol,
        .user = h,
        .foreign_loops = &h->loop,
        .pcontext = &h->lws,
        .max_http_header_data = 2 * HTTP_HEAD_MAX, /* it keeps names and values apart */
        .max_http_header_pool = HTTP_CONNECTIONS_MAX,
        .fd_limit_per_thread = HTTP_CONNECTIONS_MAX + 16,
        .timeout_secs = HTTP_REQUEST_SECONDS,
    };
    lws_set_log_level(LLL_ERR, http_log);
    h->lws = lws_create_context(&info);
    if (h->lws == NULL) return ERR_IO;
    uv_walk(h->loop, note_handle, h);
    ASSERT(h->lws_timer != NULL && h->lws_idle != NULL);
    return OK;
}

static enum err open_door(struct http *h)
{
    const struct http_door_options options = {h->loop, h->socket_path, h, door_enter, door_refuse};
    TRY(http_door_open(&h->door, &options));
    h->handles_open++;
    return OK;
}

/* A handler still holds it: it stays, in no list, until it is answered. */
static void reply_orphan(struct http_reply *r)
{
    *r->link = r->next;
    if (r->next != NULL) r->next->link = r->link;
    r->http = NULL;
    r->wsi = NULL;
    r->next = NULL;
    r->link = &r->next;
}

static void http_free(struct http *h)
{
    while (h->replies != NULL) {
        if (h->replies->stage == HTTP_PENDING)
            reply_orphan(h->replies);
        else
            reply_free(h->replies);
    }
    if (h->lock_fd >= 0) (void)close(h->lock_fd);
    replays_free(h->replays);
    free(h->socket_path);
    free(h);
}

static void init_handles(struct http *h, uv_loop_t *loop)
{
    (void)uv_timer_init(loop, &h->watch);
    (void)uv_idle_init(loop, &h->closing);
    h->watch.data = h->closing.data = h;
    h->handles_open = 2;
    (void)uv_timer_start(&h->watch, watch_clients, HTTP_WATCH_MS, HTTP_WATCH_MS);
}

static enum err open_tcp(struct http *h, const struct http_options *options)
{
    const struct http_tcp_options tcp = {h->loop, options->listen, options->tls, h, tcp_enter};
    h->authorize = options->authorize;
    TRY(http_tcp_open(&h->tcp, &tcp));
    h->handles_open++;
    return OK;
}

const char *http_address(const struct http *h)
{
    return h->tcp != NULL ? http_tcp_address(h->tcp) : NULL;
}

enum err http_open(struct http **out, const struct http_options *options)
{
    *out = NULL;
    if (strlen(options->socket_path) >= sizeof(((struct sockaddr_un *)0)->sun_path)) return ERR_TOO_LARGE;
    struct http *h = calloc(1, sizeof *h);
    if (h == NULL) return ERR_NO_MEMORY;
    h->lock_fd = -1;
    h->loop = options->loop;
    h->routes = options->routes;
    h->context = options->context;
    h->socket_path = strdup(options->socket_path);
    h->protocol[0] = (struct lws_protocols){.name = "http", .callback = http_event};
    h->replays = replays_new();
    enum err err = h->socket_path == NULL || h->replays == NULL ? ERR_NO_MEMORY : OK;
    if (err == OK) err = probe_path(h->socket_path);
    if (err == OK) err = lock_path(h);
    if (err == OK) err = probe_path(h->socket_path); /* again, now that nobody else can start */
    if (err != OK) {
        http_free(h);
        return err;
    }
    init_handles(h, options->loop);
    err = create_context(h);
    if (err == OK) err = open_door(h);
    if (err == OK && options->listen != NULL) err = open_tcp(h, options);
    if (err == OK)
        *out = h;
    else
        http_close(h, NULL, NULL);
    return err;
}

/* --- Closing -------------------------------------------------------------------------------------------- */

static void part_closed(void *part)
{
    struct http *h = part;
    if (--h->handles_open > 0) return;
    void (*closed)(void *) = h->closed;
    void *context = h->closed_context;
    http_free(h);
    if (closed != NULL) closed(context);
}

static void handle_closed(uv_handle_t *handle)
{
    part_closed(handle->data);
}

static void find_handle(uv_handle_t *handle, void *context)
{
    struct http *h = context;
    if (handle == h->lws_timer || handle == h->lws_idle) h->lws_handles_left = true;
}

/* With a foreign loop libwebsockets is destroyed in two steps: the first asks its handles to close, the second
 * frees the memory they are in, so it must come after the last of them has left the loop. */
static void close_step(uv_idle_t *idle)
{
    struct http *h = idle->data;
    h->lws_handles_left = false;
    if (h->lws != NULL) uv_walk(h->loop, find_handle, h);
    if (h->lws_handles_left) return;
    if (h->lws != NULL) lws_context_destroy(h->lws);
    if (h->lws != NULL) return;
    uv_close((uv_handle_t *)&h->closing, handle_closed);
    uv_close((uv_handle_t *)&h->watch, handle_closed);
}

static void close_begin(uv_idle_t *idle)
{
    struct http *h = idle->data;
    (void)uv_idle_stop(idle);
    (void)uv_idle_start(idle, close_step);
    if (h->lws != NULL) lws_context_destroy(h->lws); /* from here: never inside one of its own events */
}

void http_close(struct http *h, void (*closed)(void *context), void *context)
{
    h->closed = closed;
    h->closed_context = context;
    (void)uv_timer_stop(&h->watch);
    if (h->tcp != NULL) http_tcp_close(h->tcp, part_closed, h);
    h->tcp = NULL;
    if (h->door != NULL) http_door_close(h->door, part_closed, h);
    h->door = NULL;
    (void)uv_idle_start(&h->closing, close_begin);
}
