/* api: REST under /v1 on the node's Unix socket, and on TCP where that is configured. API_TABLE is what is served and what `GET /v1` answers; requests are checked
 * against its members, and tests/integration compares its answers with a running node's.
 * Notation: {a:T, b?:T} an object (b may be absent), [T] a list, {*:T} any names, T|null; T is text, int, bool, any,
 * id (64 lower-case hex digits) or token ("dt:perigee:<64 hex digits>"). Documents travel as their canonical text in a JSON
 * string, so that their hash survives; decimals such as "1.5" are text.
 * Over TCP (TLS) every request carries a bearer token; its scopes (scope.h) must hold the route's.
 * Refusals are problem+json with `reason` = refusal name: 409 refused, 503 try later, 404 unknown, 400 malformed.
 * Lists come in pages: ?limit=N (at most API_PAGE_MAX, which is also the default) and ?after=CURSOR, where the cursor is
 * `next` of the page before; `next` is null on the last. Pages follow what is added meanwhile; a restart may reorder.
 * An unknown member or query name is refused, so that a mistyped one never falls back to a default. */
#ifndef PERIGEE_NODE_API_H
#define PERIGEE_NODE_API_H

#include "node/http.h"
#include "node/scope.h"

enum { API_PAGE_MAX = 256 };

#define API_PARTS     "[{part:text, good:bool, detail:text}]"
#define API_PAGE      "after limit"
#define API_CHARTER   "{decided:bool, signatures:int, needed:int}"
#define API_COMMITTEE "{epoch:int, key_a:id, key_b:id}"
#define API_JOB       "{job:id, compose:id, app:token, task:text, provider:text|null, endorsements:int, needed:int}"
/* Beginnings of objects that a list shows and one answer goes on with. */
#define API_ASSET                                                                                            \
    "{dt:token, owner:id, organisation:text|null, type:text, name:text, jurisdiction:text, version:int, "    \
    "holder?:id, schema?:id, rows?:int, budget?:text, allotted?:text"
#define API_WORKFLOW                                                                                         \
    "{compose:id, app:token, name:text, epsilon:text, privacy:text, provider:text|null, inputs:int"
#define API_CONDITION                                                                                        \
    "{what:text, who:text|null, ok:bool, reason:text, detail:text, members?:[{who:text, ok:bool, "           \
    "why:text}]}"
#define API_RUN                                                                                              \
    "{run:id, compose:id, inputs:[token], parameters:any, slot:int, requester:text|null, receipt:bool, "     \
    "privacy?:text, state?:text, over?:bool, reason?:text, detail?:text, term?:int, node?:id, "              \
    "organisation?:text|null, "                                                                              \
    "phases?:{*:int}, bad_shares?:[text|null], waits_for?:text|null"

/* X(method, path, handler, scope, names of its query, body, answer, summary). An answer of another kind than JSON is written as
 * its content type. */
#define API_TOKEN "{id:text, name:text, scopes:[text], created_ms:int, expires_ms:int, used_ms:int|null"

#define API_TABLE(X)                                                                                         \
    X("GET", "/healthz", api_healthz, SCOPE_MONITOR, "", "", "{healthy:bool, parts:" API_PARTS "}",          \
      "200 while this node can do its part, else 503: what cannot")                                          \
    X("GET", "/metrics", api_metrics, SCOPE_MONITOR, "", "", "text/plain", "figures for Prometheus")         \
    X("GET", "/v1", api_index, SCOPE_READ, "", "",                                                           \
      "{routes:[{method:text, path:text, scope:text, query:text, body:text, answer:text, "                   \
      "summary:text}]}",                                                                                     \
      "what is served, in this notation")                                                                    \
    X("GET", "/v1/openapi.json", api_openapi, SCOPE_READ, "", "", "any", "the same as OpenAPI 3.1")          \
    X("GET", "/v1/status", api_status, SCOPE_READ, "", "",                                                   \
      "{node:id, consortium:id, approval_key:id, organisation:text|null, jurisdiction:text|null, "           \
      "roles:[text], member:bool, asked:bool, isolated:bool, needs_custodians:bool, promise_lost:bool, "     \
      "silent:{reason:text, detail:text}|null, not_signing:{reason:text, detail:text}|null, "                \
      "replaced:{by:id, record:id, detail:text}|null, removed:bool, clock:{offset_ms:int|null, "             \
      "skew_max_ms:int, stopped:bool, silent:bool, dated_ahead_ms:int|null}, charter:" API_CHARTER           \
      ", keygen:{phase:text, missing:[text], wrong:[text]}, committee:" API_COMMITTEE                        \
      "|null, key_shares:{good:bool, detail:text}|null, "                                                    \
      "peers:[{node:id, organisation:text|null, up:bool, via:id|null, party:bool}], "                        \
      "contacts:{known:int, dialled:int, parties:int}, "                                                     \
      "enclaves:{running:int, max:int, why:text|null}|null, records:int, api:text|null, "                    \
      "store:{used_bytes:int, map_bytes:int, blobs:int, quarantined:int, batches:int, "                      \
      "syncs:int}, links:{up:int, accepted:int, refused:int, bytes_in:int, bytes_out:int, relayed:int, "     \
      "tunnels:int, tunnel_bytes:int}, profile:text}",                                                       \
      "what this node is, whom it sees and what it waits for")                                               \
    X("GET", "/v1/consortium", api_consortium, SCOPE_READ, "", "",                                           \
      "{consortium:id, charter:text, state:" API_CHARTER ", committee:" API_COMMITTEE "|null}",              \
      "charter and committee")                                                                               \
    X("POST", "/v1/consortium/sign", api_consortium_sign, SCOPE_ADMIN, "", "{}", "{record:id}",              \
      "as a steward, sign the charter")                                                                      \
    X("POST", "/v1/consortium/keygen", api_keygen, SCOPE_ADMIN, "", "{}", "{committee?:" API_COMMITTEE "}",  \
      "as a custodian, start key generation; the committee when both keys exist")                            \
    X("GET", "/v1/members", api_members, SCOPE_READ, API_PAGE, "",                                           \
      "{members:[{standing:text, node:id, organisation:text, jurisdiction:text, roles:[text], "              \
      "maker:id|null, "                                                                                      \
      "platforms:[hash], "                                                                                   \
      "signatures:int}], requests:[{node:id, replaces:id|null, consents:bool, organisation:text, "           \
      "jurisdiction:text, roles:[text], platforms:[hash]}], next:text|null}",                                \
      "members, then waiting requests")                                                                      \
    X("POST", "/v1/members/request", api_member_request, SCOPE_ADMIN, "", "{}", "{}",                        \
      "ask to be admitted, with the own card")                                                               \
    X("POST", "/v1/members", api_member_admit, SCOPE_ADMIN, "", "{node:id}",                                 \
      "{record:id, replaces:id|null}", "as a steward, admit an applicant; as a maker, a device")             \
    X("POST", "/v1/members/{id}/remove", api_member_remove, SCOPE_ADMIN, "", "{last_seq?:int}",              \
      "{record:id, last_seq:int|null}",                                                                      \
      "as a maker, revoke a device; as a steward, sign the removal of a member")                             \
    X("GET", "/v1/ops", api_ops, SCOPE_READ, API_PAGE, "",                                                   \
      "{ops:[{op:id, name:text|null, code:id, signatures:int, needed:int, "                                  \
      "registered:bool}], next:text|null}",                                                                  \
      "ops")                                                                                                 \
    X("POST", "/v1/ops", api_op_register, SCOPE_ADMIN, "", "{document:text, code:text}",                     \
      "{record:id, op:id}", "as a steward, register an op with its code")                                    \
    X("GET", "/v1/ops/{hash}/code", api_op_code, SCOPE_READ, "", "",                                         \
      "{op:id, hash:id, code:text, document:text}", "the code of an op, by the hash of either")              \
    X("GET", "/v1/workers", api_workers, SCOPE_READ, API_PAGE, "",                                           \
      "{workers:[{name:text, version:int, measurements:[id], signatures:int, needed:int, "                   \
      "in_force:bool}], next:text|null}",                                                                    \
      "accepted worker measurements, and those proposed")                                                    \
    X("POST", "/v1/workers", api_workers_register, SCOPE_ADMIN, "",                                          \
      "{name:text, measurements:[id], version?:int}", "{record:id, version:int}",                            \
      "as a steward, accept worker measurements")                                                            \
    X("GET", "/v1/assets", api_assets, SCOPE_READ, API_PAGE, "",                                             \
      "{assets:[" API_ASSET "}], next:text|null}", "assets, without their descriptions and contents")        \
    X("GET", "/v1/assets/{dt}", api_asset, SCOPE_READ, API_PAGE, "",                                         \
      API_ASSET ", ddo:text, contents:[{record:id, compose:id, content:id, manifest:id, "                    \
                "policy:text}], next:text|null}",                                                            \
      "one asset: its description and a page of its contents, the newest first")                             \
    X("GET", "/v1/assets/{dt}/budget", api_budget, SCOPE_READ, API_PAGE, "",                                 \
      "{dt:token, name:text, budget:text, allotted:text, left:text, allotments:[{record:id, compose:id, "    \
      "workflow:text|null, slot_first:int, slot_last:int, epsilon_per_slot:text, epsilon:text, state:text, " \
      "runs:[{run:id, slot:int, spent:bool, receipt:bool, state:text}]}], next:text|null}",                  \
      "a dataset's privacy budget and its allotments")                                                       \
    X("POST", "/v1/assets", api_asset_register, SCOPE_APPROVE, "", "{ddo:text, salt:id}",                    \
      "{record:id, dt:token}", "register an asset")                                                          \
    X("POST", "/v1/assets/{dt}/content", api_asset_bind, SCOPE_APPROVE, "",                                  \
      "{compose:id, content:id, manifest:id, policy:text}", "{record:id}",                                   \
      "bind sealed content for a workflow")                                                                  \
    X("GET", "/v1/workflows", api_workflows, SCOPE_READ, API_PAGE, "",                                       \
      "{workflows:[" API_WORKFLOW "}], next:text|null}", "workflows")                                        \
    X("POST", "/v1/workflows", api_workflow_publish, SCOPE_REQUEST, "", "{app:token, workflow:text}",        \
      "{record:id, compose:id}", "publish a workflow")                                                       \
    X("GET", "/v1/workflows/{compose}", api_workflow, SCOPE_READ, "asset", "",                               \
      API_WORKFLOW                                                                                           \
      ", document:text, approvals:[{owner:id, organisation:text|null, dataset:token, "                       \
      "bound:bool, state:text, last_slot:int, slot_first?:int, slot_last?:int, ranges?:[[int]], "            \
      "record?:id, granted_slots?:int, granted_epsilon?:text}], approved:int, needed:int, "                  \
      "job:" API_JOB "|null, ops:[{op:id, registered:bool, name?:text, description?:text, code_hash?:id, "   \
      "code?:text}], root_key:id|null, text?:text, text_hash?:id, diff?:text|null}",                         \
      "one workflow: document, plain words, approvals")                                                      \
    X("POST", "/v1/grants", api_grant, SCOPE_APPROVE, "",                                                    \
      "{lower:token, higher:token, ops:[id], slots_max:int, epsilon_max:text}",                              \
      "{record:id, standing:{allotted_slots:int, slots_max:int|null, epsilon_max:text|null}}",               \
      "grant a dataset to an algorithm; standing: what its approvals allot already, and what was granted "   \
      "before")                                                                                              \
    X("GET", "/v1/approvals", api_approvals, SCOPE_READ, API_PAGE, "",                                       \
      "{approvals:[{record:id, owner:text|null, dataset:token, compose:id, slot_first:int, "                 \
      "slot_last:int, epsilon_per_slot:text}], next:text|null}",                                             \
      "approvals")                                                                                           \
    X("POST", "/v1/approvals", api_approve, SCOPE_APPROVE, "",                                               \
      "{dataset:token, compose:id, slot_first:int, slot_last:int, text_hash:id, approval_signature?:text}",  \
      "{record:id}", "approve a workflow for a dataset")                                                     \
    X("POST", "/v1/revocations", api_revoke, SCOPE_APPROVE, "", "{target:text, subject?:text}",              \
      "{record:id}", "take back an approval, whatever concerns a workflow or a dataset, or all")             \
    X("GET", "/v1/revocations/{id}", api_revocation, SCOPE_READ, "", "",                                     \
      "{record:id, target:text, subject:text|null, custodians:[{node:id, organisation:text, "                \
      "heard:bool, linked:bool}], heard:int, no_keys_from:int, no_output_from:int}",                         \
      "which custodians hold an own revocation; from how many on no keys, no output can be")                 \
    X("GET", "/v1/jobs", api_jobs, SCOPE_READ, API_PAGE, "", "{jobs:[" API_JOB "], next:text|null}",         \
      "jobs on the task market")                                                                             \
    X("POST", "/v1/jobs", api_job_post, SCOPE_REQUEST, "", "{compose:id, task:text}", "{record:id}",         \
      "post a job")                                                                                          \
    X("POST", "/v1/jobs/{id}/endorse", api_job_endorse, SCOPE_ADMIN, "", "{}", "{record:id}",                \
      "as a steward, endorse a job")                                                                         \
    X("GET", "/v1/tokens", api_tokens, SCOPE_ADMIN, "", "", "{tokens:[" API_TOKEN "}]}",                     \
      "tokens that are in force, without their secrets")                                                     \
    X("POST", "/v1/tokens", api_token_create, SCOPE_ADMIN, "",                                               \
      "{name:text, scopes:[text], expires_in_ms?:int}", API_TOKEN ", token:text}",                           \
      "make a token, which is shown in this answer only; it lives 90 days unless said otherwise")            \
    X("POST", "/v1/tokens/{id}/revoke", api_token_revoke, SCOPE_ADMIN, "", "{}", "{id:text}", "end a token") \
    X("GET", "/v1/events", api_events, SCOPE_READ, "run", "", "text/event-stream",                           \
      "records as they take effect, states of runs, alerts; of one run only; Last-Event-ID goes on from "    \
      "there")                                                                                               \
    X("GET", "/v1/runs", api_runs, SCOPE_READ, API_PAGE, "", "{runs:[" API_RUN "}], next:text|null}",        \
      "runs")                                                                                                \
    X("POST", "/v1/runs", api_run_request, SCOPE_REQUEST, "",                                                \
      "{compose:id, inputs?:[token], slot?:int, parameters?:any, expires_in_ms?:int}", "{run:id}",           \
      "request a run; it lives an hour unless said otherwise")                                               \
    X("POST", "/v1/runs/plan", api_run_plan, SCOPE_REQUEST, "",                                              \
      "{compose:id, inputs?:[token], slot?:int, parameters?:any, expires_in_ms?:int}",                       \
      "{ready:bool, slot:int|null, epsilon:text, privacy:text, conditions:[" API_CONDITION "]}",             \
      "what such a run still needs, and what it would cost; nothing is requested")                           \
    X("GET", "/v1/runs/{id}/why", api_run_why, SCOPE_READ, "", "",                                           \
      "{run:id, state:text, waits_for:text, reason:text, detail:text, term:int, organisation:text|null, "    \
      "conditions:[" API_CONDITION "]}",                                                                     \
      "what a run waits for, condition by condition")                                                        \
    X("GET", "/v1/runs/{id}", api_run, SCOPE_READ, "", "",                                                   \
      API_RUN ", output:any, output_fault:text|null, response:{payload:text, text:text, "                    \
              "signature:text, signing_key:id|null}|null}",                                                  \
      "state, phases and output of a run")                                                                   \
    X("GET", "/v1/runs/{id}/receipt", api_run_receipt, SCOPE_READ, "", "", "{receipt:text}",                 \
      "the self-contained receipt")

extern const struct http_route api_routes[];

#endif
