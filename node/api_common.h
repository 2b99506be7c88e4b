/* api_common: what the api_*.c files share: reading requests, putting ids into JSON, answering for the core. */
#ifndef PERIGEE_NODE_API_COMMON_H
#define PERIGEE_NODE_API_COMMON_H

#include "node/daemon.h"

/* Nothing in the body that the call does not know: `members` names them, separated by spaces. Answers 400 and returns
 * false otherwise, so that a mistyped member never falls back to a default. */
bool api_only(const struct http_request *q, struct http_reply *r, const char *members);
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
bool api_parse_dt(struct dt *out, const char *text);

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

/* Why a requested run does not go on, in words; null when somebody who may compute it is linked (api_wait.c). */
json_t *api_run_waits_for(struct daemon *d, const struct body_RUN *run);

/* Handlers, by file. */
typedef void api_handler(const struct http_request *q, struct http_reply *r);
api_handler api_status, api_consortium, api_consortium_sign, api_keygen, api_members, api_member_request,
    api_member_admit, api_ops, api_op_register, api_op_code, api_workers, api_workers_register;
api_handler api_assets, api_asset_register, api_asset_bind, api_workflows, api_workflow, api_workflow_publish,
    api_grant, api_approvals, api_approve, api_jobs, api_job_post, api_job_endorse;
api_handler api_runs, api_run_request, api_run, api_run_receipt;

#endif
