/* api: REST under /v1 on the node's Unix socket. Hashes, ids and keys are lower-case hex; tokens are "dt:perigee:<hex>";
 * documents travel as their canonical text in a JSON string, so that their hash survives. Refusals are problem+json with
 * `reason` = refusal name: 409 refused, 503 try later, 404 unknown, 400 malformed.
 *
 * GET  /v1/status                -> {node, consortium, organisation, jurisdiction, roles[], member, isolated,
 *                                    clock:{offset_ms|null, skew_max_ms, stopped}, charter:{decided, signatures, needed}, keygen:{phase, missing[]}, committee:{epoch,
 *                                    key_a, key_b}|null, peers:[{node, organisation, up}],
 *                                    enclaves:{running, max, why|null}|null, records, store:{...}, links:{...}}
 * GET  /v1/consortium            -> {consortium, charter:"<text>", decided, committee|null}
 * POST /v1/consortium/sign       {}                                  -> {record}
 * POST /v1/consortium/keygen     {}                                  -> {} or {committee} when both keys exist
 * GET  /v1/members               -> {members:[{node, organisation, jurisdiction, roles[], signatures}], requests:[...]}
 * POST /v1/members/request       {}                                  -> {}      (sends the own card)
 * POST /v1/members               {node}                              -> {record} (a steward admits a request)
 * GET  /v1/ops                   -> {ops:[{op, name, runtime, registered}]}
 * POST /v1/ops                   {document}                          -> {record, op}
 * GET  /v1/workers               -> {workers:[{name, version, measurements[], signatures, needed, in_force}]}
 * POST /v1/workers               {name, measurements[], version?}    -> {record, version}
 * GET  /v1/assets                -> {assets:[{dt, owner, organisation, type, name, jurisdiction, version, schema, rows,
 *                                    budget, allotted, contents:[{compose, content, manifest}]}]}
 * POST /v1/assets                {ddo, salt}                         -> {record, dt}
 * POST /v1/assets/{dt}/content   {compose, content, manifest, policy} -> {record}
 * GET  /v1/workflows             -> {workflows:[{compose, app, name, epsilon, provider, approved, needed}]}
 * POST /v1/workflows             {app, workflow}                     -> {record, compose}
 * GET  /v1/workflows/{compose}?asset=DT -> {compose, app, name, document, text, text_hash, approvals:[{owner, organisation,
 *                                    dataset, state, slot_first, slot_last, granted_slots, granted_epsilon}], approved, needed, job|null, root_key|null}
 * POST /v1/grants                {lower, higher, ops[], slots_max, epsilon_max:"1.5"} -> {record}
 * POST /v1/approvals             {dataset, compose, slot_first, slot_last, text_hash} -> {record}
 * GET  /v1/approvals             -> {approvals:[...]}
 * GET  /v1/jobs                  -> {jobs:[{job, compose, app, task, endorsements, needed}]}
 * POST /v1/jobs                  {compose, task}                     -> {record}
 * POST /v1/jobs/{id}/endorse     {}                                  -> {record}
 * GET  /v1/runs                  -> {runs:[{run, compose, slot, requester, state, reason}]}
 * POST /v1/runs                  {compose, slot?, expires_in_ms?}    -> 202 {run}   (1 h unless given, at most 24)
 * GET  /v1/runs/{id}             -> {run, compose, slot, requester, state, reason, detail, subject, node, organisation, term,
 *                                    phases:{state: ms}, waits_for: text|null while requested, receipt: bool,
 *                                    output: {...}|null, output_fault: text|null, response}
 * GET  /v1/runs/{id}/receipt     -> {receipt:"<canonical text>"} */
#ifndef PERIGEE_NODE_API_H
#define PERIGEE_NODE_API_H

#include "node/http.h"

extern const struct http_route api_routes[];

#endif
