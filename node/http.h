/* http: a small HTTP/1.1 server on a Unix socket over libwebsockets on the node's libuv loop (a foreign loop), and the
 * blocking client the command line uses. Routes come from one table. Request and response bodies are JSON (jansson).
 * Errors are problem+json (RFC 9457): {"type","title","status","detail","reason"}; detail says what was expected, what came,
 * what to do. Rules: bodies over HTTP_BODY_MAX are 413, unknown paths 404, other methods 405, bad JSON 400; duplicate keys
 * are refused. The socket is 0600; the peer's uid must be ours or root. Upgrades, other versions and what is no request are
 * refused at the door (http_door.h). At most 256 requests are open: whoever has let us wait longest for its body, or with
 * its answer, gives way to who comes, and nobody may for more than 30 s. Over TCP a request needs a bearer token (401 without one)
 * whose scopes hold the route's (403, which names it). A POST with an Idempotency-Key is done once (http_replay.h). Handlers run on the loop thread and may answer
 * later (http_reply may be called once, at any time before the server closes). */
#ifndef PERIGEE_NODE_HTTP_H
#define PERIGEE_NODE_HTTP_H

#include "proto/base/ids.h"

#include <jansson.h>
#include <uv.h>

enum { HTTP_BODY_MAX = 4 << 20, HTTP_PARAMS_MAX = 4 };

struct http;
struct http_request {          /* valid during the handler; a handler that keeps `body` takes a reference */
    const char *method, *path; /* "GET", "/v1/runs/abc" */
    const char *param[HTTP_PARAMS_MAX]; /* values of {name} parts of the route, in order */
    json_t *query;                      /* object of strings; never NULL */
    json_t *body;                       /* object, or NULL when the request had none */
    const char *idempotency_key;        /* or NULL */
    const char *last_event_id;          /* or NULL */
    uint32_t scopes;                    /* what the caller may; SCOPE_ALL on the Unix socket */
    bool remote;                        /* it came over TCP, with a token */
    struct hash32 caller;               /* of that token; zero: none */
    void *context;                      /* http_options.context */
};
struct http_reply; /* a request waiting for its answer */

struct http_route {
    const char *method, *path; /* path parts in braces match one segment: "/v1/runs/{id}" */
    void (*handle)(const struct http_request *request, struct http_reply *reply);
    const char *summary; /* one line for help and the API description */
    uint32_t scope;      /* what a token must allow (scope.h) */
};

struct http_options {
    uv_loop_t *loop;
    const char *socket_path;
    const struct http_route *routes; /* ends with method NULL */
    void *context;
    const char *listen;        /* TCP, too, as in http_tcp.h; or NULL */
    const struct tls_end *tls; /* for it */
    /* What the bearer of this token may do, with `context`. ERR_REFUSED: no such token. ERR_EXPIRED. */
    enum err (*authorize)(void *context, struct span token, uint32_t *scopes);
};
/* ERR_BUSY: someone serves there. ERR_CONFLICT: a file that is no socket is there. A socket file left by a dead process is
 * removed; <socket_path>.lock stays. Of `listen`: http_tcp_open's. On error the loop needs one more turn. One request a
 * connection. */
MUST_USE enum err http_open(struct http **out, const struct http_options *options);
/* Steals `body` (may be NULL). 2xx JSON. */
void http_answer(struct http_reply *reply, int status, json_t *body);
void http_problem(struct http_reply *reply, int status, const char *reason, const char *detail_format, ...)
    __attribute__((format(printf, 4, 5)));
/* The answer that follows holds a secret: it is not kept for who asks again with the same Idempotency-Key. */
void http_once(struct http_reply *reply);
/* 2xx or an error with a text of another kind than JSON; copied. */
void http_answer_text(struct http_reply *reply, int status, const char *content_type, struct span text);

/* An answer without an end: what it says is asked for when its client has taken what came before. */
struct http_stream {
    size_t (*more)(void *context, uint8_t *out, size_t cap); /* 0: nothing now; cap is HTTP_STREAM_PIECE */
    bool (*lost)(void *context);                             /* after 0: end it, it cannot go on */
    void (*gone)(void *context);                             /* the client has, or the server closes: once */
    void *context;
};
enum { HTTP_STREAM_PIECE = 16384 };
void http_stream_begin(struct http_reply *reply, const char *content_type, const struct http_stream *stream);
void http_stream_wake(struct http_reply *reply); /* there is more to say */

struct http_load {
    uint32_t open, open_max; /* requests */
    uint64_t answered[6];    /* by hundreds of their status */
    uint32_t tls;            /* connections with TLS */
};
/* tcp://HOST:PORT as it is, or NULL. */
const char *http_address(const struct http *h);
void http_load(const struct http *h, struct http_load *out);
/* Waits for nothing: open requests are cut off. `closed` is called when the loop holds nothing of it any more. */
void http_close(struct http *h, void (*closed)(void *context), void *context);

/* --- Client: blocking, for the command line ------------------------------------------------------------------------------ */
struct http_target {
    const char *socket_path;   /* or NULL, and: */
    const char *host, *port;   /* TCP */
    const struct tls_end *tls; /* NULL: in the clear, for a loopback address only */
    const char *token;         /* or NULL */
    char why[160];             /* out: what a failed TLS says */
};
/* *status is the HTTP status; *out the parsed body (caller decrefs), NULL if none, at most 64 MiB. ERR_UNAVAILABLE: cannot
 * connect. ERR_NOT_READY: nothing came within 10 s (GET), or not all within 120 s; a path with wait= in its query waits for ever. ERR_TRUNCATED, ERR_SYNTAX,
 * ERR_IO: the answer is broken. ERR_USAGE: method or path hold bytes that may not be there. ERR_REFUSED: TLS failed, or would
 * be missing. */
MUST_USE enum err http_call_to(struct http_target *target, const char *method, const char *path,
                               const json_t *body, int *status, json_t **out);
/* What an event stream says, until it ends or `event` says false; `id` is "" before the first. ERR_CANCELLED: the node ended
 * it. An answer other than 200: *status, and *problem, the caller's. */
struct http_follower {
    bool (*event)(void *context, const char *id, const char *type, const char *data);
    void *context;
};
MUST_USE enum err http_follow(struct http_target *target, const char *path, const char *last_id,
                              const struct http_follower *follower, int *status, json_t **problem);
/* http_call_to on a Unix socket. */
MUST_USE enum err http_call(const char *socket_path, const char *method, const char *path, const json_t *body,
                            int *status, json_t **out);

#endif
