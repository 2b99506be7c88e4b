/* The command line's side of http.h: one request a connection, a bounded reader of the answer. */
#include "crypto/secret.h"
#include "crypto/tls.h"
#include "node/http.h"
#include "node/http_tcp.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    CALL_HEAD_MAX = 16 * 1024,
    CALL_ANSWER_MAX = 64 << 20,
    CALL_PATH_MAX = 4096,
    CALL_SECONDS = 120,
    CALL_READ_SECONDS = 10, /* what is only read is answered at once, or by nobody */
    CALL_EVENT_ID_MAX = 64,
};

struct call {
    struct http_target *target;
    struct tls *tls; /* or NULL */
    int fd;
    const char *last_event_id; /* or NULL */
    int64_t deadline_ms;       /* -1: none */
    int64_t later_ms;          /* what it becomes with the first byte that comes */
    uint8_t *answer;           /* head and body as they came */
    size_t len, cap;
    bool peer_stopped_reading;
};

static int64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static enum err call_wait(const struct call *c, short events)
{
    struct pollfd p = {.fd = c->fd, .events = events};
    for (;;) {
        int64_t left = c->deadline_ms < 0 ? -1 : c->deadline_ms - now_ms();
        if (c->deadline_ms >= 0 && left <= 0) return ERR_NOT_READY;
        int ready = poll(&p, 1, (int)left);
        if (ready > 0) return OK;
        if (ready < 0 && errno != EINTR) return ERR_IO;
    }
}

static enum err connect_local(struct call *c, const char *socket_path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = CALL_READ_SECONDS}; /* a stopped node's backlog may be full */
    if (strlen(socket_path) >= sizeof address.sun_path) return ERR_TOO_LARGE;
    memcpy(address.sun_path, socket_path, strlen(socket_path) + 1);
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0) return ERR_IO;
    (void)setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return connect(c->fd, (const struct sockaddr *)&address, sizeof address) == 0 ? OK : ERR_UNAVAILABLE;
}

static enum err connect_tcp(struct call *c)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    const int failed = getaddrinfo(c->target->host, c->target->port, &hints, &found);
    if (failed != 0) {
        (void)snprintf(c->target->why, sizeof c->target->why, "the name %.60s has no address here: %s",
                       c->target->host, gai_strerror(failed));
        return ERR_UNAVAILABLE;
    }
    enum err err = ERR_UNAVAILABLE;
    for (const struct addrinfo *at = found; at != NULL && err != OK; at = at->ai_next) {
        c->fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (c->fd >= 0 && connect(c->fd, at->ai_addr, at->ai_addrlen) == 0)
            err = OK;
        else if (c->fd >= 0)
            (void)close(c->fd);
    }
    freeaddrinfo(found);
    if (err != OK) c->fd = -1;
    return err;
}

/* A server that refuses a request answers before it has read all of it: there is an answer to read then. */
static enum err send_raw(struct call *c, struct span bytes)
{
    while (bytes.len > 0 && !c->peer_stopped_reading) {
        TRY(call_wait(c, POLLOUT));
        ssize_t sent = send(c->fd, bytes.data, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            bytes.data += sent;
            bytes.len -= (size_t)sent;
        } else if (errno == EPIPE || errno == ECONNRESET) {
            c->peer_stopped_reading = true;
        } else if (errno != EAGAIN && errno != EINTR) {
            return ERR_IO;
        }
    }
    return OK;
}

static enum err receive_raw(struct call *c, uint8_t *out, size_t cap, size_t *len)
{
    for (;;) {
        TRY(call_wait(c, POLLIN));
        const ssize_t got = recv(c->fd, out, cap, MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        *len = got > 0 ? (size_t)got : 0;
        if (got > 0) c->deadline_ms = c->later_ms;
        /* Unread bytes of our request reset the connection once the answer has been read. */
        return got >= 0 || (errno == ECONNRESET && c->len > 0) ? OK : ERR_IO;
    }
}

static enum err flush_tls(struct call *c)
{
    uint8_t cipher[TLS_PIECE_BYTES];
    for (size_t len; (len = tls_take(c->tls, cipher, sizeof cipher)) > 0;)
        TRY(send_raw(c, span_make(cipher, len)));
    return OK;
}

static enum err feed_tls(struct call *c)
{
    uint8_t cipher[TLS_PIECE_BYTES];
    size_t len = 0;
    TRY(receive_raw(c, cipher, sizeof cipher, &len));
    if (len == 0) return ERR_TRUNCATED;
    tls_feed(c->tls, span_make(cipher, len));
    return OK;
}

static enum err shake_hands(struct call *c)
{
    enum err err = tls_new(&c->tls, c->target->tls, c->target->host);
    if (err != OK) return err;
    while ((err = tls_handshake(c->tls)) == ERR_NOT_READY) {
        TRY(flush_tls(c));
        TRY(feed_tls(c));
    }
    (void)snprintf(c->target->why, sizeof c->target->why, "%s", tls_why(c->tls));
    const enum err flushed = flush_tls(c);
    return err == OK ? flushed : err;
}

/* In the clear only to this machine itself, whatever the name says. */
static bool is_own_machine(const struct call *c)
{
    char listen[160];
    (void)snprintf(listen, sizeof listen, "tcp://%s%s%s:%s", strchr(c->target->host, ':') != NULL ? "[" : "",
                   c->target->host, strchr(c->target->host, ':') != NULL ? "]" : "", c->target->port);
    return http_tcp_is_loopback(listen);
}

static enum err call_connect(struct call *c)
{
    if (c->target->socket_path != NULL) return connect_local(c, c->target->socket_path);
    if (c->target->tls == NULL && !is_own_machine(c)) {
        (void)snprintf(c->target->why, sizeof c->target->why,
                       "http:// is for a loopback address such as 127.0.0.1; use https://");
        return ERR_REFUSED;
    }
    TRY(connect_tcp(c));
    return c->target->tls != NULL ? shake_hands(c) : OK;
}

static enum err call_send(struct call *c, struct span bytes)
{
    if (c->tls == NULL) return send_raw(c, bytes);
    while (bytes.len > 0) {
        const size_t len = bytes.len < TLS_PIECE_BYTES ? bytes.len : TLS_PIECE_BYTES;
        TRY(tls_write(c->tls, span_make(bytes.data, len)));
        TRY(flush_tls(c));
        bytes = span_make(bytes.data + len, bytes.len - len);
    }
    return OK;
}

static enum err call_request(struct call *c, const char *method, const char *path, const json_t *body)
{
    char head[CALL_PATH_MAX + 512];
    char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
    size_t len = text == NULL ? 0 : strlen(text);
    if (body != NULL && text == NULL) return ERR_USAGE;
    const char *token = c->target->token;
    int head_len = snprintf(head, sizeof head,
                            "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nAccept: application/json\r\n"
                            "Content-Type: application/json\r\n%s%s%s%s%s%sContent-Length: %zu\r\n\r\n",
                            method, path, c->target->host != NULL ? c->target->host : "localhost",
                            token != NULL ? "Authorization: Bearer " : "", token != NULL ? token : "",
                            token != NULL ? "\r\n" : "", c->last_event_id != NULL ? "Last-Event-ID: " : "",
                            c->last_event_id != NULL ? c->last_event_id : "",
                            c->last_event_id != NULL ? "\r\n" : "", len);
    enum err err = call_send(c, span_make(head, (size_t)head_len));
    secret_wipe(head, sizeof head);
    if (err == OK) err = call_send(c, span_make(text, len));
    free(text);
    return err;
}

static enum err call_grow(struct call *c)
{
    if (c->len < c->cap) return OK;
    if (c->cap >= CALL_ANSWER_MAX) return ERR_TOO_LARGE;
    size_t cap = c->cap == 0 ? CALL_HEAD_MAX : 2 * c->cap;
    uint8_t *grown = realloc(c->answer, cap);
    if (grown == NULL) return ERR_NO_MEMORY;
    c->answer = grown;
    c->cap = cap;
    return OK;
}

/* What the peer says until it ends, which with TLS it must say: an answer cut short is none. */
static enum err receive_some(struct call *c, size_t *len)
{
    *len = 0;
    if (c->tls == NULL) return receive_raw(c, c->answer + c->len, c->cap - c->len, len);
    for (;;) {
        struct buffer plain = buffer_make(c->answer + c->len, c->cap - c->len);
        const enum err err = tls_read(c->tls, &plain);
        *len = plain.len;
        if (plain.len > 0 || err == ERR_CANCELLED) return OK;
        if (err != OK && err != ERR_NOT_READY) return ERR_IO;
        TRY(feed_tls(c));
    }
}

static enum err call_receive(struct call *c)
{
    for (size_t got = 1; got > 0; c->len += got) {
        TRY(call_grow(c));
        TRY(receive_some(c, &got));
    }
    return OK;
}

static enum err read_status(const char *head, int *status)
{
    if (strncmp(head, "HTTP/1.", 7) != 0 || (head[7] != '0' && head[7] != '1') || head[8] != ' ')
        return ERR_SYNTAX;
    if (strspn(head + 9, "0123456789") != 3 || head[9] < '1' || head[9] > '5') return ERR_SYNTAX;
    *status = (head[9] - '0') * 100 + (head[10] - '0') * 10 + (head[11] - '0');
    return OK;
}

/* "HTTP/1.1 200 OK", then headers, as text; the body is what follows so far. */
static enum err read_head(struct span answer, char head[CALL_HEAD_MAX + 1], int *status, struct span *body)
{
    const uint8_t *end =
        memmem(answer.data, answer.len < CALL_HEAD_MAX ? answer.len : CALL_HEAD_MAX, "\r\n\r\n", 4);
    if (end == NULL) return ERR_TRUNCATED;
    size_t len = (size_t)(end - answer.data);
    memcpy(head, answer.data, len);
    head[len] = 0;
    *body = span_make(end + 4, answer.len - len - 4);
    return read_status(head, status);
}

/* A whole answer. Of its headers only Content-Length matters. */
static enum err read_answer(struct span answer, int *status, struct span *body)
{
    char head[CALL_HEAD_MAX + 1];
    TRY(read_head(answer, head, status, body));
    for (char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, "content-length:", 15) != 0) continue;
        char *stop;
        unsigned long long declared = strtoull(line + 17, &stop, 10);
        if (stop == line + 17 || (*stop != '\r' && *stop != 0)) return ERR_SYNTAX;
        if (declared > body->len) return ERR_TRUNCATED;
        body->len = (size_t)declared;
        return OK;
    }
    return OK;
}

static enum err read_body(struct span body, json_t **out)
{
    json_error_t error;
    if (body.len == 0) return OK;
    *out = json_loadb((const char *)body.data, body.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    return *out == NULL ? ERR_SYNTAX : OK;
}

/* The words of a request line may come from a command line. */
static bool is_word(const char *text, size_t max)
{
    size_t len = 0;
    for (; text[len] > ' ' && text[len] < 127; len++) {
        if (len == max) return false;
    }
    return len > 0 && text[len] == 0;
}

/* A long poll says so in its query. */
static bool is_long_poll(const char *path)
{
    const char *query = strchr(path, '?');
    return query != NULL && (strncmp(query, "?wait=", 6) == 0 || strstr(query, "&wait=") != NULL);
}

static void set_deadlines(struct call *c, const char *method, const char *path)
{
    const int64_t now = now_ms();
    c->deadline_ms = c->later_ms = -1;
    if (is_long_poll(path)) return;
    c->deadline_ms = now + (strcmp(method, "GET") == 0 ? CALL_READ_SECONDS : CALL_SECONDS) * 1000;
    c->later_ms = now + CALL_SECONDS * 1000;
}

static void call_end(struct call *c)
{
    tls_free(c->tls);
    if (c->fd >= 0) (void)close(c->fd);
    free(c->answer);
}

enum err http_call_to(struct http_target *target, const char *method, const char *path, const json_t *body,
                      int *status, json_t **out)
{
    *out = NULL;
    *status = 0;
    target->why[0] = 0;
    if (!is_word(method, 16) || !is_word(path, CALL_PATH_MAX) || path[0] != '/') return ERR_USAGE;
    struct call c = {.target = target, .fd = -1};
    struct span answer_body;
    set_deadlines(&c, method, path);
    enum err err = call_connect(&c);
    if (err == OK) err = call_request(&c, method, path, body);
    if (err == OK) err = call_receive(&c);
    if (err == OK) err = read_answer(span_make(c.answer, c.len), status, &answer_body);
    if (err == OK) err = read_body(answer_body, out);
    call_end(&c);
    return err;
}

enum err http_call(const char *socket_path, const char *method, const char *path, const json_t *body,
                   int *status, json_t **out)
{
    struct http_target target = {.socket_path = socket_path};
    return http_call_to(&target, method, path, body, status, out);
}

/* --- Following -------------------------------------------------------------------------------------------------------- */

/* One event, its lines ended by zeros: "name: value". False: enough. */
static bool tell(const struct http_follower *f, char *text, char id[CALL_EVENT_ID_MAX])
{
    const char *type = "message", *data = NULL;
    for (char *line = text, *end; line != NULL; line = end) {
        end = strchr(line, '\n');
        if (end != NULL) *end++ = 0;
        if (strncmp(line, "id: ", 4) == 0) (void)snprintf(id, CALL_EVENT_ID_MAX, "%s", line + 4);
        if (strncmp(line, "event: ", 7) == 0) type = line + 7;
        if (strncmp(line, "data: ", 6) == 0) data = line + 6;
    }
    return data == NULL || f->event(f->context, id, type, data);
}

/* The events that have come whole are told and leave the answer. */
static bool tell_all(struct call *c, const struct http_follower *f, char id[CALL_EVENT_ID_MAX])
{
    for (uint8_t *end; (end = memmem(c->answer, c->len, "\n\n", 2)) != NULL;) {
        const size_t len = (size_t)(end - c->answer) + 2;
        *end = 0;
        if (!tell(f, (char *)c->answer, id)) return false;
        memmove(c->answer, c->answer + len, c->len - len);
        c->len -= len;
    }
    return true;
}

/* The head, which is left out of the answer; of another status all of the answer. */
static enum err begin_following(struct call *c, int *status, json_t **problem)
{
    char head[CALL_HEAD_MAX + 1];
    struct span body;
    size_t got = 1;
    TRY(call_grow(c));
    while (got > 0 && memmem(c->answer, c->len, "\r\n\r\n", 4) == NULL) {
        TRY(call_grow(c));
        TRY(receive_some(c, &got));
        c->len += got;
    }
    TRY(read_head(span_make(c->answer, c->len), head, status, &body));
    if (*status != 200) {
        TRY(call_receive(c));
        TRY(read_answer(span_make(c->answer, c->len), status, &body));
        return read_body(body, problem);
    }
    memmove(c->answer, body.data, body.len);
    c->len = body.len;
    return OK;
}

static enum err follow(struct call *c, const struct http_follower *f)
{
    char id[CALL_EVENT_ID_MAX] = "";
    for (size_t got = 1; got > 0; c->len += got) {
        if (!tell_all(c, f, id)) return OK;
        if (c->len > CALL_HEAD_MAX) return ERR_TOO_LARGE; /* no event is as long */
        TRY(call_grow(c));
        TRY(receive_some(c, &got));
    }
    return ERR_CANCELLED;
}

enum err http_follow(struct http_target *target, const char *path, const char *last_id,
                     const struct http_follower *follower, int *status, json_t **problem)
{
    *problem = NULL;
    *status = 0;
    target->why[0] = 0;
    if (!is_word(path, CALL_PATH_MAX) || (last_id != NULL && !is_word(last_id, CALL_EVENT_ID_MAX - 1)))
        return ERR_USAGE;
    struct call c = {.target = target, .fd = -1, .deadline_ms = -1, .later_ms = -1, .last_event_id = last_id};
    enum err err = call_connect(&c);
    if (err == OK) err = call_request(&c, "GET", path, NULL);
    if (err == OK) err = begin_following(&c, status, problem);
    if (err == OK && *status == 200) err = follow(&c, follower);
    call_end(&c);
    return err;
}
