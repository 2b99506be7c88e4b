/* api_common: what the api_*.c files share: reading requests, putting ids into JSON, answering for the core. */
#ifndef PERIGEE_NODE_API_COMMON_H
#define PERIGEE_NODE_API_COMMON_H

#include "node/daemon.h"

/* 400: expected "name" to be `expected`; came `value` (NULL: nothing). */
void api_bad(struct http_reply *r, const char *reason, const char *name, const char *expected,
             const json_t *value);
/* Request members. Each returns false after it has answered 400 with what was expected. `out` spans borrow. */
bool api_text(const struct http_request *q, struct http_reply *r, const char *name, struct span *out);
bool api_hash(const struct http_request *q, struct http_reply *r, const char *name, uint8_t out[32]);
bool api_uint(const struct http_request *q, struct http_reply *r, const char *name, uint64_t max,
              uint64_t *out);
bool api_dt(const struct http_request *q, struct http_reply *r, const char *name, struct dt *out);
bool api_hash_list(const struct http_request *q, struct http_reply *r, const char *name, uint32_t max,
                   uint8_t *out, uint32_t *count);
bool api_dt_list(const struct http_request *q, struct http_reply *r, const char *name, uint32_t max,
                 uint8_t *out, uint32_t *count);
/* Path parameters and query members. */
bool api_param_hash(const struct http_request *q, struct http_reply *r, int index, uint8_t out[32]);
bool api_param_dt(const struct http_request *q, struct http_reply *r, int index, struct dt *out);
bool api_parse_dt(struct dt *out, const char *text);

/* One page of a list: whoever walks it in its order asks of each item whether it belongs, and stops when `full`. */
struct api_page {
    uint64_t limit;
    uint8_t after[32], last[32];
    uint32_t count;
    bool begun; /* past the cursor */
    bool full;  /* and there is more */
};
bool api_page_begin(struct api_page *p, const struct http_request *q, struct http_reply *r);
bool api_page_takes(struct api_page *p, const uint8_t id[32]);
/* Adds `next` to `body`, which it takes, and answers. */
void api_page_answer(const struct api_page *p, struct http_reply *r, json_t *body);

json_t *api_hex(const void *bytes, size_t len);
json_t *api_hex32(const uint8_t bytes[32]);
json_t *api_dt_text(struct dt dt);
json_t *api_span(struct span text);
json_t *api_roles(uint32_t roles);
json_t *api_epsilon(uint64_t nano);                /* "1.5" */
const char *api_privacy(const struct workflow *w); /* "none" or "differential" */
json_t *api_organisation(struct daemon *d, struct node_id node);

/* Answer with the refusal: 409, or 503 for those that pass by themselves. */
void api_refuse(struct daemon *d, struct http_reply *r, struct verdict v);
/* Author a record and answer {record, <name>: id32}; `name` may be NULL, `id` is what it names. */
void api_author(struct daemon *d, struct http_reply *r, enum kind kind, const void *body, uint64_t expires_ms,
                const char *name, json_t *id);
/* A command whose success is {}. */
void api_command(struct daemon *d, struct http_reply *r, const struct command *command);

/* A run as a request body wishes for it. Spans of the command point into the rest. False: it was answered 400. */
struct api_run_wish {
    struct command command;
    uint8_t datasets[32 * CAP_INPUTS];
    char parameters[PARAMETERS_BYTES_MAX];
};
bool api_run_read(const struct http_request *q, struct http_reply *r, struct api_run_wish *out);

/* By whom this node's key was replaced, in words; false: it was not. (api_health.c) */
enum { API_REPLACED_BYTES = 400 };
bool api_replaced(struct daemon *d, char out[API_REPLACED_BYTES]);
/* Is it linked here, or this node itself? (api_wait.c) */
bool api_linked(struct daemon *d, struct node_id node);
/* And does it say something, by a clock that agrees with the custodians', as core_peer_clock_off says? `why` is empty then, else it says what
 * is seen of it from here. (api_wait.c) */
enum { API_ABSENCE_BYTES = 128 };
bool api_there(struct daemon *d, struct node_id node, bool answers, char why[API_ABSENCE_BYTES]);
/* Or has it no link here, and needs none? `why` says it then; nothing is known of it. (api_wait.c) */
bool api_elsewhere(struct daemon *d, struct node_id node, char why[API_ABSENCE_BYTES]);
/* The run that its slot went to, if that is another; or NULL. (api_wait.c) */
const struct run_entry *api_other_holder(const struct registry *r, const struct run_entry *run);
/* Is this its end, as far as is known here? It is when the run's time is over, when it is taken back or its slot went to another, all of
 * which is looked up: of the elected node's word only that it failed to compute is taken, while no other member may try it. What fell silent may be tried by another, or have committed. (api_wait.c) */
bool api_run_over(struct daemon *d, const struct run_entry *run, const struct run_view *view);
/* May this member compute it, by its records and by the platform that it advertises? (api_wait.c) */
struct verdict api_check_node(struct daemon *d, const struct body_RUN *run, struct node_id node);
/* Does it offer enclaves, as far as is known here? One that is linked says so every two seconds. (api_wait.c) */
bool api_offers(struct daemon *d, struct node_id node);
/* Why a requested run does not go on, in words; null when somebody who may compute it is linked (api_wait.c). */
json_t *api_run_waits_for(struct daemon *d, const struct body_RUN *run);

/* Who follows events now (api_events.c). */
enum { API_FOLLOWERS_MAX = 64, API_FOLLOWERS_REMOTE = 48, API_FOLLOWERS_OF_TOKEN = 8 };
struct api_followers {
    struct api_follower *first;
    uint32_t count;
};
void api_events_wake(struct api_followers *all, bool ping);
/* A token has ended: whoever follows by one shows it anew. */
void api_events_end_remote(struct api_followers *all);

typedef void api_handler(const struct http_request *q, struct http_reply *r);
#define API_HANDLER(method, path, handler, scope, query, body, answer, summary) api_handler handler;
API_TABLE(API_HANDLER)
#undef API_HANDLER

#endif
