/* http: the server in a thread of its own, the client and raw sockets in the tests'. */
#include "node/client.h"
#include "node/http.h"
#include "node/scope.h"
#include "proto/base/panic.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    HELD_MAX = 16,
    CLIENT_COUNT = 8,
    CALLS_EACH = 20,
    LARGE_BYTES = 3 << 20,
    LONG_BYTES = 1 << 18,
    PAGE_COUNT = 4
};

/* What tests ask of the server's thread. */
enum order { ORDER_NONE, ORDER_ANSWER_HELD, ORDER_CLOSE, ORDER_OPEN_SECOND };

static struct server {
    bool closing; /* by the test's thread */
    char folder[64], path[96];
    uv_loop_t loop;
    uv_async_t wake;
    uv_prepare_t turn;
    pthread_t thread;
    struct http *http;
    struct http_reply *held[HELD_MAX];
    int held_count;
    _Atomic(enum order) order;
    atomic_int held_seen, turns, closed;
    atomic_int second; /* enum err of a second server on the path */
} server;

/* --- Handlers ------------------------------------------------------------------------------------------- */

static void echo(const struct http_request *request, struct http_reply *reply)
{
    assert_ptr_equal(request->context, &server);
    http_answer(reply, 200,
                json_pack("{s:s, s:s, s:s?, s:s?, s:O, s:O?, s:s?}", "method", request->method, "path",
                          request->path, "first", request->param[0], "second", request->param[1], "query",
                          request->query, "body", request->body, "key", request->idempotency_key));
}

static void hold(const struct http_request *request, struct http_reply *reply)
{
    (void)request;
    assert_true(server.held_count < HELD_MAX);
    server.held[server.held_count++] = reply;
    atomic_fetch_add(&server.held_seen, 1);
}

static void answer_text(struct http_reply *reply, size_t len)
{
    char *text = malloc(len + 1);
    assert_non_null(text);
    memset(text, 'x', len);
    text[len] = 0;
    http_answer(reply, 200, json_pack("{s:s}", "text", text));
    free(text);
}

static void large(const struct http_request *request, struct http_reply *reply)
{
    (void)request;
    answer_text(reply, LARGE_BYTES);
}

static void longer(const struct http_request *request, struct http_reply *reply)
{
    (void)request;
    answer_text(reply, LONG_BYTES);
}

static void refuse_conflict(const struct http_request *request, struct http_reply *reply)
{
    http_problem(reply, 409, "conflict", "expected %s, came %s", "a",
                 json_string_value(json_object_get(request->query, "x")));
}

/* Pages of two numbers; the cursor is the first of the next, in more digits than an allocator leaves alone when it is freed. */
static void pages(const struct http_request *request, struct http_reply *reply)
{
    const char *after = json_string_value(json_object_get(request->query, "after"));
    char next[64];
    int first = after != NULL ? (int)strtol(after, NULL, 10) : 0;
    (void)snprintf(next, sizeof next, "%040d", first + 2);
    http_answer(reply, 200,
                json_pack("{s:[i, i], s:s?}", "numbers", first, first + 1, "next",
                          first + 2 < 2 * PAGE_COUNT ? next : NULL));
}

static void nothing(const struct http_request *request, struct http_reply *reply)
{
    (void)request;
    http_answer(reply, 204, NULL);
}

static const struct http_route routes[] = {
    {"GET", "/v1/echo", echo, "what came", SCOPE_READ},
    {"POST", "/v1/echo", echo, "what came", SCOPE_READ},
    {"GET", "/v1/runs/{id}", echo, "one value", SCOPE_READ},
    {"POST", "/v1/runs/{id}/steps/{step}", echo, "two values", SCOPE_READ},
    {"DELETE", "/v1/runs/{id}", nothing, "no body", SCOPE_READ},
    {"GET", "/v1/hold", hold, "answered later", SCOPE_READ},
    {"POST", "/v1/hold", hold, "answered later", SCOPE_READ},
    {"GET", "/v1/large", large, "several MiB", SCOPE_READ},
    {"GET", "/v1/long", longer, "more than a socket takes", SCOPE_READ},
    {"GET", "/v1/pages", pages, "a list", SCOPE_READ},
    {"GET", "/v1/conflict", refuse_conflict, "a problem", SCOPE_READ},
    {NULL, NULL, NULL, NULL, 0},
};

/* --- The server's thread -------------------------------------------------------------------------------- */

static void answer_held(struct server *s)
{
    for (int i = 0; i < s->held_count; i++) http_answer(s->held[i], 200, json_pack("{s:i}", "held", i));
    s->held_count = 0;
}

/* Handlers answer when they can: what they hold is still theirs when the server is gone. */
static void server_closed(void *context)
{
    struct server *s = context;
    answer_held(s);
    atomic_store(&s->closed, 1);
    uv_close((uv_handle_t *)&s->wake, NULL);
    uv_close((uv_handle_t *)&s->turn, NULL);
}

static void obey(uv_async_t *wake)
{
    struct server *s = wake->data;
    struct http *other;
    const struct http_options options = {.loop = &s->loop, .socket_path = s->path, .routes = routes};
    switch (atomic_load(&s->order)) {
    case ORDER_NONE: return;
    case ORDER_ANSWER_HELD: answer_held(s); break;
    case ORDER_OPEN_SECOND: atomic_store(&s->second, (int)http_open(&other, &options)); break;
    case ORDER_CLOSE: http_close(s->http, server_closed, s); break;
    }
    atomic_store(&s->order, ORDER_NONE);
}

static void count_turn(uv_prepare_t *turn)
{
    (void)turn;
    atomic_fetch_add(&server.turns, 1);
}

static void *serve(void *context)
{
    struct server *s = context;
    (void)uv_run(&s->loop, UV_RUN_DEFAULT);
    return NULL;
}

/* A server is closed once; it is a while until it is. */
static void order(enum order wanted)
{
    if (wanted == ORDER_CLOSE && server.closing) return;
    if (wanted == ORDER_CLOSE) server.closing = true;
    atomic_store(&server.order, wanted);
    (void)uv_async_send(&server.wake);
    while (atomic_load(&server.order) != ORDER_NONE) (void)usleep(1000);
}

static int start(void **state)
{
    (void)state;
    memset(&server, 0, sizeof server);
    (void)snprintf(server.folder, sizeof server.folder, "/tmp/perigee-http-XXXXXX");
    assert_non_null(mkdtemp(server.folder));
    (void)snprintf(server.path, sizeof server.path, "%s/api", server.folder);
    assert_int_equal(uv_loop_init(&server.loop), 0);
    assert_int_equal(uv_async_init(&server.loop, &server.wake, obey), 0);
    assert_int_equal(uv_prepare_init(&server.loop, &server.turn), 0);
    assert_int_equal(uv_prepare_start(&server.turn, count_turn), 0);
    server.wake.data = &server;
    const struct http_options options = {
        .loop = &server.loop, .socket_path = server.path, .routes = routes, .context = &server};
    assert_int_equal(http_open(&server.http, &options), OK);
    assert_int_equal(pthread_create(&server.thread, NULL, serve, &server), 0);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    struct stat status;
    char lock[128];
    order(ORDER_CLOSE);
    assert_int_equal(pthread_join(server.thread, NULL), 0);
    assert_int_equal(atomic_load(&server.closed), 1);
    assert_int_equal(uv_loop_close(&server.loop), 0); /* nothing is left in it */
    assert_int_not_equal(stat(server.path, &status), 0);
    (void)snprintf(lock, sizeof lock, "%s.lock", server.path);
    assert_int_equal(unlink(lock), 0);
    assert_int_equal(rmdir(server.folder), 0);
    return 0;
}

static void wait_held(int count)
{
    while (atomic_load(&server.held_seen) < count) (void)usleep(1000);
}

/* --- Raw requests --------------------------------------------------------------------------------------- */

static int raw_open(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, server.path, strlen(server.path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void raw_send(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Everything until the server closes. */
static size_t raw_receive(int fd, char *out, size_t cap)
{
    size_t len = 0;
    for (ssize_t got; len + 1 < cap && (got = recv(fd, out + len, cap - len - 1, 0)) > 0;) len += (size_t)got;
    out[len] = 0;
    (void)close(fd);
    return len;
}

/* A server that has read enough to refuse it takes no more: then the rest is not sent. */
static int raw_status(const char *request, char *answer, size_t cap)
{
    int fd = raw_open();
    const char *at = request, *end = request + strlen(request);
    for (ssize_t sent; at < end && (sent = send(fd, at, (size_t)(end - at), MSG_NOSIGNAL)) > 0;) at += sent;
    (void)raw_receive(fd, answer, cap);
    return strncmp(answer, "HTTP/1.1 ", 9) == 0 ? (int)strtol(answer + 9, NULL, 10) : 0;
}

static json_t *call_ok(const char *method, const char *path, const json_t *body, int expected)
{
    json_t *answer;
    int status;
    assert_int_equal(http_call(server.path, method, path, body, &status, &answer), OK);
    assert_int_equal(status, expected);
    return answer;
}

static void assert_text(const json_t *object, const char *name, const char *expected)
{
    const char *text = json_string_value(json_object_get(object, name));
    if (expected == NULL)
        assert_null(text);
    else {
        assert_non_null(text);
        assert_string_equal(text, expected);
    }
}

/* --- Tests ---------------------------------------------------------------------------------------------- */

static void routes_and_values(void **state)
{
    (void)state;
    json_t *answer = call_ok("GET", "/v1/runs/abc", NULL, 200);
    assert_text(answer, "method", "GET");
    assert_text(answer, "path", "/v1/runs/abc");
    assert_text(answer, "first", "abc");
    assert_text(answer, "second", NULL);
    assert_false(json_is_object(json_object_get(answer, "body")));
    json_decref(answer);
    json_t *body = json_pack("{s:[i,i], s:s}", "list", 1, 2, "text", "\xc3\xa9\n\"");
    answer = call_ok("POST", "/v1/runs/abc/steps/7?after=a%20b%26&limit=10&empty=", body, 200);
    assert_text(answer, "first", "abc");
    assert_text(answer, "second", "7");
    assert_true(json_equal(json_object_get(answer, "body"), body));
    const json_t *query = json_object_get(answer, "query");
    assert_int_equal(json_object_size(query), 3);
    assert_text(query, "after", "a b&");
    assert_text(query, "limit", "10");
    assert_text(query, "empty", "");
    json_decref(answer);
    json_decref(body);
    assert_null(call_ok("DELETE", "/v1/runs/abc", NULL, 204));
}

static void idempotency_key(void **state)
{
    (void)state;
    char answer[4096], request[1024], key[300];
    assert_int_equal(
        raw_status("GET /v1/echo HTTP/1.1\r\nHost: x\r\nIdempotency-Key: k-1\r\n\r\n", answer, sizeof answer),
        200);
    assert_non_null(strstr(answer, "\"key\":\"k-1\""));
    memset(key, 'k', sizeof key - 1);
    key[sizeof key - 1] = 0;
    (void)snprintf(request, sizeof request, "GET /v1/echo HTTP/1.1\r\nHost: x\r\nIdempotency-Key: %s\r\n\r\n",
                   key);
    assert_int_equal(raw_status(request, answer, sizeof answer), 400);
}

/* The first request with a key is done, and answered when it can be; the others are told so. */
static void a_key_is_used_once(void **state)
{
    static const char text[] =
        "POST /v1/hold HTTP/1.1\r\nHost: x\r\nIdempotency-Key: k\r\nContent-Length: 2\r\n\r\n{}";
    char answer[4096], again[4096];
    (void)state;
    int first = raw_open();
    raw_send(first, text);
    wait_held(1);
    assert_int_equal(raw_status(text, answer, sizeof answer), 503);
    assert_non_null(strstr(answer, "in-progress"));
    order(ORDER_ANSWER_HELD);
    (void)raw_receive(first, answer, sizeof answer);
    assert_memory_equal(answer, "HTTP/1.1 200", 12);
    assert_int_equal(raw_status(text, again, sizeof again), 200); /* and no handler holds it */
    assert_string_equal(strstr(again, "\r\n\r\n"), strstr(answer, "\r\n\r\n"));
    assert_int_equal(atomic_load(&server.held_seen), 1);
}

static void problems(void **state)
{
    (void)state;
    char answer[8192];
    json_t *body = call_ok("GET", "/v1/nowhere", NULL, 404);
    assert_text(body, "type", "urn:perigee:no-such-path");
    assert_text(body, "title", "Not found");
    assert_int_equal(json_integer_value(json_object_get(body, "status")), 404);
    assert_text(body, "reason", "no-such-path");
    assert_non_null(json_object_get(body, "detail"));
    json_decref(body);
    json_decref(call_ok("GET", "/v1/runs/", NULL, 404));
    json_decref(call_ok("GET", "/v1/runs/a/b", NULL, 404));
    json_decref(call_ok("GET", "/v1/echo/", NULL, 404));
    body = call_ok("GET", "/v1/conflict?x=%22quoted%22", NULL, 409);
    assert_text(body, "detail", "expected a, came \"quoted\"");
    json_decref(body);
    assert_int_equal(raw_status("PUT /v1/runs/a HTTP/1.1\r\nHost: x\r\n\r\n", answer, sizeof answer), 405);
    assert_non_null(strstr(answer, "\r\nAllow: GET, DELETE\r\n"));
    assert_non_null(strstr(answer, "\r\nContent-Type: application/problem+json\r\n"));
    assert_int_equal(raw_status("HEAD /v1/runs/a HTTP/1.1\r\nHost: x\r\n\r\n", answer, sizeof answer), 405);
    assert_null(strchr(answer, '{'));
    assert_int_equal(raw_status("GET /v1/echo?a=1&a=2 HTTP/1.1\r\nHost: x\r\n\r\n", answer, sizeof answer),
                     400);
    body = call_ok("GET", "/v1/echo?", NULL, 200);
    assert_int_equal(json_object_size(json_object_get(body, "query")), 0);
    json_decref(body);
    assert_int_equal(raw_status("GET /v1/echo?a=%ff HTTP/1.1\r\nHost: x\r\n\r\n", answer, sizeof answer),
                     400);
    assert_int_equal(
        raw_status("POST /v1/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", answer,
                   sizeof answer),
        411);
    assert_int_equal(raw_status("POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4194305\r\n\r\n",
                                answer, sizeof answer),
                     413);
    assert_int_equal(
        raw_status("POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", answer, sizeof answer),
        400);
    assert_int_equal(
        raw_status("POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1x\r\n\r\n", answer, sizeof answer),
        400);
}

static void bodies_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{", "[]", "3", "{\"a\":1,\"a\":2}", "{\"a\":1}x", "{\"a\":\"\xff\"}", "{\"a\":{\"b\":1,\"b\":1}}"};
    char request[256], answer[4096];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        (void)snprintf(request, sizeof request,
                       "POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s", strlen(bad[i]),
                       bad[i]);
        assert_int_equal(raw_status(request, answer, sizeof answer), 400);
        assert_non_null(strstr(answer, "\"reason\":\"bad-json\""));
    }
}

static void no_body_is_none(void **state)
{
    (void)state;
    char answer[4096];
    assert_int_equal(raw_status("POST /v1/echo HTTP/1.1\r\nHost: x\r\n\r\n", answer, sizeof answer), 200);
    assert_non_null(strstr(answer, "\"body\":null"));
    assert_int_equal(
        raw_status("POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", answer, sizeof answer),
        200);
    assert_int_equal(
        raw_status("GET /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", answer, sizeof answer),
        200);
    assert_non_null(strstr(answer, "\"body\":{}"));
}

/* What no handler ever sees: each is told what was expected and what came, in one line of problem+json. */
static void heads_refused(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *reason, *came, *request;
    } bad[] = {
        {501, "method", "TRACE", "TRACE /v1/echo HTTP/1.1\r\nHost: x\r\n\r\n"},
        {501, "method", "CONNECT", "CONNECT localhost:1 HTTP/1.1\r\nHost: x\r\n\r\n"},
        {501, "method", "BREW", "BREW / HTTP/1.1\r\n\r\n"},
        {505, "version", "HTTP/2.0", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
        {505, "version", "HTTP/0.9", "GET /v1/echo HTTP/0.9\r\n\r\n"},
        {400, "bad-head", "\\\"\\\"", "\r\n\r\n"},
        {400, "bad-head", "GET", "GET\r\n\r\n"},
        {400, "bad-head", "0x16", "\x16\x03\x01\x02"},
        {400, "bad-head", "LF", "GET /v1/echo HTTP/1.1\nHost: x\n\n"},
        {400, "bad-head", "0xff", "GET /v1/\xff HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "bad-head", " Host", "GET /v1/echo HTTP/1.1\r\n Host: x\r\n\r\n"},
        {400, "bad-head", "Host : x", "GET /v1/echo HTTP/1.1\r\nHost : x\r\n\r\n"},
        {400, "bad-head", "hOST: y", "GET /v1/echo HTTP/1.1\r\nHost: x\r\nhOST: y\r\n\r\n"},
        {400, "bad-head", "Host: x", "GET /v1/echo HTTP/1.1\r\nHost: x\r\nA: b\r\nHost: x\r\n\r\n"},
        {400, "bad-target", "v1", "GET v1 HTTP/1.1\r\n\r\n"},
        {400, "bad-target", "/v1/%00", "GET /v1/%00 HTTP/1.1\r\n\r\n"},
        {400, "bad-target", "/v1/%2", "GET /v1/%2 HTTP/1.1\r\n\r\n"},
        {400, "bad-target", "/v1/%zz", "GET /v1/%zz?a=%41 HTTP/1.1\r\n\r\n"},
        {400, "bad-target", "*", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "bad-target", "http://x/", "GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "upgrade", "Upgrade: h2c",
         "GET /v1/echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
         "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"},
        {400, "upgrade", "uPgRaDe: websocket",
         "GET /v1/echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nuPgRaDe: websocket\r\n"
         "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"},
    };
    char answer[4096], reason[64];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(raw_status(bad[i].request, answer, sizeof answer), bad[i].status);
        (void)snprintf(reason, sizeof reason, "\"reason\":\"%s\"}\n", bad[i].reason);
        const char *body = strstr(answer, "\r\n\r\n");
        assert_non_null(body);
        assert_non_null(strstr(answer, "\r\nContent-Type: application/problem+json\r\n"));
        assert_string_equal(strchr(body, '\n') != NULL ? strstr(body, ",\"reason\":") + 1 : "", reason);
        assert_non_null(strstr(body, "expected "));
        assert_non_null(strstr(body, "came "));
        assert_non_null(strstr(body, bad[i].came));
        assert_null(strstr(answer, "\r\nAllow:"));
    }
}

static void long_head(void **state)
{
    (void)state;
    char *flood = malloc(65536), answer[4096];
    assert_non_null(flood);
    memset(flood, 'a', 65535);
    flood[65535] = 0;
    memcpy(flood, "GET /", 5);
    assert_int_equal(raw_status(flood, answer, sizeof answer), 431);
    assert_non_null(strstr(answer, "\"reason\":\"head-too-large\""));
    memcpy(flood, "GET /v1/echo HTTP/1.1\r\nHost: x\r\nCookie:", 39);
    assert_int_equal(raw_status(flood, answer, sizeof answer), 431);
    memcpy(flood + 8188, "\r\n\r\n", 5); /* as long as a head may be */
    assert_int_equal(raw_status(flood, answer, sizeof answer), 200);
    free(flood);
}

static void head_in_pieces(void **state)
{
    (void)state;
    static const char request[] = "POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n{\"a\":1}";
    char answer[4096], one[2] = "";
    int fd = raw_open();
    for (size_t i = 0; i + 1 < sizeof request; i++) {
        one[0] = request[i];
        raw_send(fd, one);
        if (i % 16 == 0) (void)usleep(2000);
    }
    (void)raw_receive(fd, answer, sizeof answer);
    assert_non_null(strstr(answer, "\"body\":{\"a\":1}"));
    fd = raw_open();
    raw_send(fd, "GET /v1/echo HTTP/1.1\r\nHost");
    (void)usleep(50 * 1000); /* or not: it is told either way */
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    (void)raw_receive(fd, answer, sizeof answer);
    assert_non_null(strstr(answer, "\"reason\":\"truncated\""));
}

static void allow_only_where_it_belongs(void **state)
{
    (void)state;
    char answer[4096];
    assert_int_equal(
        raw_status("POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", answer, sizeof answer),
        200);
    assert_null(strstr(answer, "\r\nAllow:"));
    assert_int_equal(
        raw_status("POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n{", answer, sizeof answer),
        400);
    assert_null(strstr(answer, "\r\nAllow:"));
    assert_int_equal(raw_status("DELETE /v1/echo HTTP/1.1\r\nHost: x\r\n\r\n", answer, sizeof answer), 405);
    assert_non_null(strstr(answer, "\r\nAllow: GET, POST\r\n"));
}

static void garbage(void **state)
{
    (void)state;
    static const char *const noise[] = {"\r\n\r\n",
                                        "BREW / HTTP/1.1\r\n\r\n",
                                        "GET\r\n\r\n",
                                        "GET v1 HTTP/1.1\r\n\r\n",
                                        "\x16\x03\x01\x02",
                                        "GET /v1/echo HTTP/1.1\r\nHost",
                                        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"};
    for (size_t i = 0; i < sizeof noise / sizeof *noise; i++) {
        int fd = raw_open();
        raw_send(fd, noise[i]);
        (void)close(fd);
    }
    char *flood = malloc(65536);
    assert_non_null(flood);
    memset(flood, 'a', 65535);
    flood[65535] = 0;
    memcpy(flood, "GET /", 5);
    int fd = raw_open();
    (void)!send(fd, flood, 65535, MSG_NOSIGNAL);
    (void)close(fd);
    free(flood);
    json_decref(call_ok("GET", "/v1/echo", NULL, 200));
}

static void large_both_ways(void **state)
{
    (void)state;
    char *text = malloc(LARGE_BYTES + 1);
    assert_non_null(text);
    memset(text, 'y', LARGE_BYTES);
    text[LARGE_BYTES] = 0;
    json_t *body = json_pack("{s:s}", "text", text);
    json_t *answer = call_ok("POST", "/v1/echo", body, 200);
    assert_true(json_equal(json_object_get(answer, "body"), body));
    json_decref(answer);
    json_decref(body);
    answer = call_ok("GET", "/v1/large", NULL, 200);
    assert_int_equal(json_string_length(json_object_get(answer, "text")), LARGE_BYTES);
    json_decref(answer);
    free(text);
}

/* The whole of a body that is too large is offered; the answer still arrives. */
static void too_large(void **state)
{
    (void)state;
    char *text = malloc(HTTP_BODY_MAX + 1);
    assert_non_null(text);
    memset(text, 'z', HTTP_BODY_MAX);
    text[HTTP_BODY_MAX] = 0;
    json_t *body = json_pack("{s:s}", "text", text);
    json_t *answer = call_ok("POST", "/v1/echo", body, 413);
    assert_text(answer, "reason", "too-large");
    json_decref(answer);
    json_decref(body);
    free(text);
}

struct waiting {
    pthread_t thread;
    const char *method;
    enum err err;
    int status;
    json_t *answer;
};

static void *wait_for_answer(void *context)
{
    struct waiting *w = context;
    json_t *body = strcmp(w->method, "POST") == 0 ? json_pack("{s:i}", "a", 1) : NULL;
    w->err = http_call(server.path, w->method, "/v1/hold?wait=1", body, &w->status, &w->answer);
    json_decref(body);
    return NULL;
}

static void start_waiting(struct waiting *w, const char *method)
{
    *w = (struct waiting){.method = method};
    assert_int_equal(pthread_create(&w->thread, NULL, wait_for_answer, w), 0);
}

static void answered_later(void **state)
{
    (void)state;
    struct waiting w[2];
    start_waiting(&w[0], "GET");
    start_waiting(&w[1], "POST");
    wait_held(2);
    json_decref(call_ok("GET", "/v1/echo", NULL, 200)); /* others are served meanwhile */
    order(ORDER_ANSWER_HELD);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(w[i].thread, NULL), 0);
        assert_int_equal(w[i].err, OK);
        assert_int_equal(w[i].status, 200);
        assert_true(json_is_integer(json_object_get(w[i].answer, "held")));
        json_decref(w[i].answer);
    }
}

/* Clients that leave, that say more than they should, and that close half, while their answer is due. The loop must not
 * spin on them. */
static void gone_before_the_answer(void **state)
{
    (void)state;
    char answer[4096];
    int gone_get = raw_open(), gone_post = raw_open(), talks = raw_open(), half = raw_open(),
        kept = raw_open();
    raw_send(gone_get, "GET /v1/hold HTTP/1.1\r\nHost: x\r\n\r\n");
    raw_send(gone_post, "POST /v1/hold HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}");
    raw_send(
        talks,
        "POST /v1/hold HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}POST /v1/echo HTTP/1.1\r\n\r\n");
    raw_send(half, "GET /v1/hold HTTP/1.1\r\nHost: x\r\n\r\n");
    raw_send(kept, "GET /v1/hold HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_held(5);
    raw_send(talks, "GET /v1/echo HTTP/1.1\r\nHost: x\r\n\r\n");
    (void)shutdown(half, SHUT_WR);
    (void)close(gone_get);
    (void)close(gone_post);
    int before = atomic_load(&server.turns);
    (void)usleep(1200 * 1000); /* longer than the watch of clients needs */
    assert_true(atomic_load(&server.turns) - before < 1000);
    order(ORDER_ANSWER_HELD);
    (void)raw_receive(half, answer, sizeof answer);
    assert_non_null(strstr(answer, "\"held\":"));
    (void)raw_receive(talks, answer, sizeof answer);
    assert_non_null(strstr(answer, "\"held\":"));
    assert_null(strstr(answer, "\"method\":"));
    (void)raw_receive(kept, answer, sizeof answer);
    assert_non_null(strstr(answer, "\"held\":"));
    int late = raw_open();
    raw_send(late, "GET /v1/hold HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_held(6);
    (void)close(late);
    order(ORDER_ANSWER_HELD); /* before anybody noticed */
    json_decref(call_ok("GET", "/v1/echo", NULL, 200));
}

static void leaves_in_a_large_answer(void **state)
{
    (void)state;
    char some[1024];
    for (int i = 0; i < 5; i++) {
        int fd = raw_open();
        raw_send(fd, "GET /v1/large HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_true(recv(fd, some, sizeof some, 0) > 0);
        (void)close(fd);
    }
    json_decref(call_ok("GET", "/v1/echo", NULL, 200));
}

static void *call_many(void *context)
{
    char path[64];
    for (int i = 0; i < CALLS_EACH; i++) {
        json_t *answer = NULL;
        int status = 0;
        (void)snprintf(path, sizeof path, "/v1/runs/%d-%d", *(int *)context, i);
        enum err err = http_call(server.path, "GET", path, NULL, &status, &answer);
        const char *first = json_string_value(json_object_get(answer, "first"));
        bool right = err == OK && status == 200 && first != NULL && strcmp(first, path + 9) == 0;
        json_decref(answer);
        if (!right) return NULL;
    }
    return context;
}

static void many_clients(void **state)
{
    (void)state;
    pthread_t thread[CLIENT_COUNT];
    int number[CLIENT_COUNT];
    for (int i = 0; i < CLIENT_COUNT; i++) {
        number[i] = i;
        assert_int_equal(pthread_create(&thread[i], NULL, call_many, &number[i]), 0);
    }
    for (int i = 0; i < CLIENT_COUNT; i++) {
        void *result;
        assert_int_equal(pthread_join(thread[i], &result), 0);
        assert_ptr_equal(result, &number[i]);
    }
}

/* However many say nothing, half a head, half a body, or take no answer: whoever asks is served, and not by luck. */
static void crowds_shut_nobody_out(void **state)
{
    (void)state;
    enum { CROWD = 1000 };
    static const char *const said[] = {
        "",
        "GET /v1/echo HTTP/1.1\r\nHost",
        "GET /v1/echo HTTP/1.1\r\nHos: x\r\n\r\n", /* libwebsockets waits for more */
        "POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{",
        "GET /v1/long HTTP/1.1\r\nHost: x\r\n\r\n",
        ("GET /v1/echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
         "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")};
    struct rlimit limit;
    int *fd = calloc(CROWD, sizeof *fd);
    assert_non_null(fd);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    const int crowd = limit.rlim_max >= 2 * CROWD ? CROWD : (int)limit.rlim_max / 2;
    for (size_t s = 0; s < sizeof said / sizeof *said; s++) {
        const int count = strstr(said[s], "long") != NULL ? crowd / 3 : crowd; /* those cost their making */
        for (int i = 0; i < count; i++) {
            fd[i] = raw_open();
            (void)!send(fd[i], said[s], strlen(said[s]), MSG_NOSIGNAL);
            if (i % 100 == 99) json_decref(call_ok("GET", "/v1/echo", NULL, 200));
        }
        json_decref(call_ok("GET", "/v1/echo", NULL, 200));
        for (int i = 0; i < count; i++) (void)close(fd[i]);
    }
    free(fd);
    json_decref(call_ok("GET", "/v1/echo", NULL, 200));
}

static void one_server_per_path(void **state)
{
    (void)state;
    order(ORDER_OPEN_SECOND);
    assert_int_equal(atomic_load(&server.second), ERR_BUSY);
    json_decref(call_ok("GET", "/v1/echo", NULL, 200));
    struct stat status;
    assert_int_equal(stat(server.path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
}

static void closed_under_requests(void **state)
{
    (void)state;
    struct waiting w[3];
    char some[64];
    int begun = raw_open(), reading = raw_open();
    raw_send(begun, "POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{");
    raw_send(reading, "GET /v1/large HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(recv(reading, some, sizeof some, 0) > 0);
    for (int i = 0; i < 3; i++) start_waiting(&w[i], "GET");
    wait_held(3);
    order(ORDER_CLOSE);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(w[i].thread, NULL), 0);
        assert_int_not_equal(w[i].err, OK);
        assert_null(w[i].answer);
    }
    (void)close(begun);
    (void)close(reading);
}

static void stale_and_foreign_files(void **state)
{
    (void)state;
    char folder[] = "/tmp/perigee-http-XXXXXX", path[96], lock[104], too_long[200];
    uv_loop_t loop;
    struct http *h;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/api", folder);
    (void)snprintf(lock, sizeof lock, "%s.lock", path);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    (void)close(fd); /* its process is dead: nobody listens */
    assert_int_equal(uv_loop_init(&loop), 0);
    struct http_options options = {.loop = &loop, .socket_path = path, .routes = routes};
    assert_int_equal(http_open(&h, &options), OK);
    http_close(h, NULL, NULL);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    FILE *file = fopen(path, "w"); /* not a socket: not ours to remove */
    assert_non_null(file);
    (void)fclose(file);
    assert_int_equal(http_open(&h, &options), ERR_CONFLICT);
    assert_int_equal(unlink(path), 0);
    options.socket_path = "/nonexistent/folder/api";
    assert_int_equal(http_open(&h, &options), ERR_IO);
    memset(too_long, 'a', sizeof too_long - 1);
    too_long[sizeof too_long - 1] = 0;
    options.socket_path = too_long;
    assert_int_equal(http_open(&h, &options), ERR_TOO_LARGE);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_int_equal(unlink(lock), 0);
    assert_int_equal(rmdir(folder), 0);
}

/* --- The client against servers that misbehave ---------------------------------------------------------- */

struct liar {
    int fd;
    const char *answer;
};

static void *lie(void *context)
{
    struct liar *liar = context;
    char request[4096];
    int fd = accept(liar->fd, NULL, NULL);
    (void)!recv(fd, request, sizeof request, 0);
    (void)!send(fd, liar->answer, strlen(liar->answer), MSG_NOSIGNAL);
    (void)close(fd);
    return NULL;
}

static void client_refuses_nonsense(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        enum err err;
    } cases[] = {
        {"", ERR_TRUNCATED},
        {"HTTP/1.1 200 OK\r\n", ERR_TRUNCATED},
        {"SSH-2.0\r\n\r\n", ERR_SYNTAX},
        {"HTTP/1.1 99 x\r\n\r\n", ERR_SYNTAX},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}", ERR_TRUNCATED},
        {"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}", ERR_SYNTAX},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{", ERR_TRUNCATED},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{a", ERR_SYNTAX},
        {"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", OK},
        {"HTTP/1.1 200 OK\r\n\r\n{}", OK},
    };
    char folder[] = "/tmp/perigee-http-XXXXXX";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    json_t *answer;
    int status;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/api", folder);
    assert_int_equal(http_call(address.sun_path, "GET", "/", NULL, &status, &answer), ERR_UNAVAILABLE);
    assert_int_equal(http_call(address.sun_path, "GET", "/a b", NULL, &status, &answer), ERR_USAGE);
    assert_int_equal(http_call(address.sun_path, "GET", "/a\r\nX: y", NULL, &status, &answer), ERR_USAGE);
    assert_int_equal(http_call(address.sun_path, "GET", "a", NULL, &status, &answer), ERR_USAGE);
    assert_int_equal(http_call(address.sun_path, "G T", "/", NULL, &status, &answer), ERR_USAGE);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 4), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct liar liar = {fd, cases[i].answer};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, lie, &liar), 0);
        assert_int_equal(http_call(address.sun_path, "GET", "/", NULL, &status, &answer), cases[i].err);
        assert_int_equal(pthread_join(thread, NULL), 0);
        json_decref(answer);
    }
    (void)close(fd);
    assert_int_equal(unlink(address.sun_path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void lists_of_many_pages(void **state)
{
    (void)state;
    struct client c = {.command = "list"};
    json_t *all = NULL;
    (void)snprintf(c.socket, sizeof c.socket, "%s", server.path);
    assert_int_equal(client_get_all(&c, &all, "/v1/pages"), EXIT_OK);
    const json_t *numbers = json_object_get(all, "numbers");
    assert_int_equal(json_array_size(numbers), 2 * PAGE_COUNT);
    for (int i = 0; i < 2 * PAGE_COUNT; i++)
        assert_int_equal(json_integer_value(json_array_get(numbers, (size_t)i)), i);
    assert_int_equal(json_object_size(all), 1);
    json_decref(all);
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SERVER(routes_and_values),
        WITH_SERVER(idempotency_key),
        WITH_SERVER(a_key_is_used_once),
        WITH_SERVER(problems),
        WITH_SERVER(bodies_refused),
        WITH_SERVER(no_body_is_none),
        WITH_SERVER(heads_refused),
        WITH_SERVER(long_head),
        WITH_SERVER(head_in_pieces),
        WITH_SERVER(allow_only_where_it_belongs),
        WITH_SERVER(garbage),
        WITH_SERVER(large_both_ways),
        WITH_SERVER(too_large),
        WITH_SERVER(answered_later),
        WITH_SERVER(gone_before_the_answer),
        WITH_SERVER(leaves_in_a_large_answer),
        WITH_SERVER(many_clients),
        WITH_SERVER(crowds_shut_nobody_out),
        WITH_SERVER(lists_of_many_pages),
        WITH_SERVER(one_server_per_path),
        WITH_SERVER(closed_under_requests),
        cmocka_unit_test(stale_and_foreign_files),
        cmocka_unit_test(client_refuses_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
