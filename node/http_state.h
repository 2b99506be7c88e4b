/* http_state: what the files http*.c of the API's server share: http.c its connections, http_request.c what comes in,
 * http_reply.c what goes out. */
#ifndef PERIGEE_NODE_HTTP_STATE_H
#define PERIGEE_NODE_HTTP_STATE_H

#include "node/http.h"
#include "node/http_door.h"
#include "node/http_replay.h"
#include "node/http_tcp.h"

#include <libwebsockets.h>

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

/* In the list of its server's, in stage HTTP_HEAD. NULL: out of memory. */
struct http_reply *http_reply_new(struct http *h);
void http_reply_free(struct http_reply *r); /* out of the list */
/* The client has gone. A reply that a handler still holds lives until it is answered. */
void http_reply_lost(struct http_reply *r);
/* A handler still holds it: it stays, in no list, until it is answered. */
void http_reply_orphan(struct http_reply *r);
void http_reply_again(struct http_reply *r, const struct replay *p); /* what was answered before */
/* The connection takes more. As of libwebsockets' callback: -1 closes. */
int http_reply_more(struct http_reply *r);
/* An answer's head, as snprintf. `type` NULL: JSON, or a problem; `allow` NULL: none. */
int http_reply_head(char *out, size_t cap, int status, const char *type, size_t body_len, const char *allow);

/* What has come, as libwebsockets tells it: -1 closes. */
int http_request_begin(struct http_reply *r, const char *path, size_t path_len);
int http_request_body(struct http_reply *r, const uint8_t *bytes, size_t len);
/* The whole request is here. What a client sends after it is not read: one request a connection. */
void http_request_complete(struct http_reply *r);

#endif
