/* The command line's side of http.h: one request a connection, a bounded reader of the answer. */
#include "node/http.h"

#include <errno.h>
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
};

struct call {
    int fd;
    int64_t deadline_ms; /* -1: none */
    uint8_t *answer;     /* head and body as they came */
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

static enum err call_connect(struct call *c, const char *socket_path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(socket_path) >= sizeof address.sun_path) return ERR_TOO_LARGE;
    memcpy(address.sun_path, socket_path, strlen(socket_path) + 1);
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0) return ERR_IO;
    return connect(c->fd, (const struct sockaddr *)&address, sizeof address) == 0 ? OK : ERR_UNAVAILABLE;
}

/* A server that refuses a request answers before it has read all of it: there is an answer to read then. */
static enum err call_send(struct call *c, struct span bytes)
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

static enum err call_request(struct call *c, const char *method, const char *path, const json_t *body)
{
    char head[CALL_PATH_MAX + 512];
    char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
    size_t len = text == NULL ? 0 : strlen(text);
    if (body != NULL && text == NULL) return ERR_USAGE;
    int head_len =
        snprintf(head, sizeof head,
                 "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAccept: application/json\r\n"
                 "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                 method, path, len);
    enum err err = call_send(c, span_make(head, (size_t)head_len));
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

static enum err call_receive(struct call *c)
{
    for (;;) {
        TRY(call_grow(c));
        TRY(call_wait(c, POLLIN));
        ssize_t got = recv(c->fd, c->answer + c->len, c->cap - c->len, MSG_DONTWAIT);
        if (got > 0) c->len += (size_t)got;
        if (got == 0) return OK;
        /* Unread bytes of our request reset the connection once the answer has been read. */
        if (got < 0 && errno == ECONNRESET && c->len > 0) return OK;
        if (got < 0 && errno != EAGAIN && errno != EINTR) return ERR_IO;
    }
}

static enum err read_status(const char *head, int *status)
{
    if (strncmp(head, "HTTP/1.", 7) != 0 || (head[7] != '0' && head[7] != '1') || head[8] != ' ')
        return ERR_SYNTAX;
    if (strspn(head + 9, "0123456789") != 3 || head[9] < '1' || head[9] > '5') return ERR_SYNTAX;
    *status = (head[9] - '0') * 100 + (head[10] - '0') * 10 + (head[11] - '0');
    return OK;
}

/* "HTTP/1.1 200 OK", then headers; only Content-Length matters. */
static enum err read_head(struct span answer, int *status, struct span *body)
{
    char head[CALL_HEAD_MAX + 1];
    const uint8_t *end =
        memmem(answer.data, answer.len < CALL_HEAD_MAX ? answer.len : CALL_HEAD_MAX, "\r\n\r\n", 4);
    if (end == NULL) return ERR_TRUNCATED;
    size_t len = (size_t)(end - answer.data);
    memcpy(head, answer.data, len);
    head[len] = 0;
    TRY(read_status(head, status));
    *body = span_make(end + 4, answer.len - len - 4);
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

enum err http_call(const char *socket_path, const char *method, const char *path, const json_t *body,
                   int *status, json_t **out)
{
    *out = NULL;
    *status = 0;
    if (!is_word(method, 16) || !is_word(path, CALL_PATH_MAX) || path[0] != '/') return ERR_USAGE;
    struct call c = {.fd = -1, .deadline_ms = is_long_poll(path) ? -1 : now_ms() + CALL_SECONDS * 1000};
    struct span answer_body;
    enum err err = call_connect(&c, socket_path);
    if (err == OK) err = call_request(&c, method, path, body);
    if (err == OK) err = call_receive(&c);
    if (err == OK) err = read_head(span_make(c.answer, c.len), status, &answer_body);
    if (err == OK) err = read_body(answer_body, out);
    if (c.fd >= 0) (void)close(c.fd);
    free(c.answer);
    return err;
}
