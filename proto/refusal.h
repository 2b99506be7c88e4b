/* refusal: why something is not done, from one fixed list that depends on no data.
 * Votes, releases, commits and run requests all refuse with one of these; each row says what was expected and what to
 * do. Codes are on the wire: rows are only appended. `subject` (an owner, a dataset, ...) says which one it was. */
#ifndef PERIGEE_PROTO_REFUSAL_H
#define PERIGEE_PROTO_REFUSAL_H

#include "proto/base/ids.h"

/* X(symbol, code, name, text) */
#define REFUSAL_TABLE(X)                                                                                     \
    X(REFUSAL_NONE, 0, "none", "nothing is refused")                                                         \
    X(REFUSAL_CONSORTIUM_FORMING, 1, "consortium-forming",                                                   \
      "the charter or the committee is not complete yet: wait for stewards and custodians")                  \
    X(REFUSAL_UNKNOWN_RUN, 2, "unknown-run", "the run record is not known here: wait for it to arrive")      \
    X(REFUSAL_RUN_EXPIRED, 3, "run-expired", "the run record is past its expiry: request a new run")         \
    X(REFUSAL_REQUESTER, 4, "requester", "the workflow does not name this requester: ask as one it names")   \
    X(REFUSAL_NOT_MEMBER, 5, "not-a-member", "the author is not an admitted member: stewards must admit it") \
    X(REFUSAL_WORKFLOW, 6, "unknown-workflow", "no workflow with this compose hash is published")            \
    X(REFUSAL_APP, 7, "app-mismatch", "the record names another app than its workflow")                      \
    X(REFUSAL_CHARTER, 8, "charter",                                                                         \
      "the run names another charter or committee epoch than the one in force")                              \
    X(REFUSAL_ENGINE, 9, "engine", "the run names another engine than its workflow")                         \
    X(REFUSAL_NO_JOB, 10, "no-job", "no job is posted for this workflow: the algorithm provider posts one")  \
    X(REFUSAL_NOT_ENDORSED, 11, "not-endorsed", "the job lacks endorsements: s stewards must endorse it")    \
    X(REFUSAL_OP, 12, "op-not-registered", "a step's op is not registered by the stewards")                  \
    X(REFUSAL_OUTPUT_TYPE, 13, "output-type", "the workflow's output type is not what its op may emit")      \
    X(REFUSAL_INPUTS, 14, "inputs", "the run's inputs are not those of the workflow")                        \
    X(REFUSAL_OWNERS, 15, "too-few-owners", "fewer owners' datasets than the workflow or charter requires")  \
    X(REFUSAL_ASSET, 16, "unknown-asset", "the dataset is not registered by its owner")                      \
    X(REFUSAL_SCHEMA, 17, "schema", "the dataset's schema is not the one the workflow names")                \
    X(REFUSAL_CONTENT, 18, "content-not-bound",                                                              \
      "the owner has not sealed and bound this content for this workflow")                                   \
    X(REFUSAL_NO_GRANT, 19, "no-grant", "the owner has not granted its dataset to the algorithm")            \
    X(REFUSAL_GRANT_OP, 20, "grant-op", "the owner's grant does not name this op")                           \
    X(REFUSAL_GRANT_EXPIRED, 21, "grant-expired", "the owner's grant is past its expiry")                    \
    X(REFUSAL_GRANT_LIMIT, 22, "grant-limit",                                                                \
      "the owner's grant allows fewer slots or less epsilon: the owner grants more, workflow status shows "  \
      "it")                                                                                                  \
    X(REFUSAL_NO_APPROVAL, 23, "no-approval",                                                                \
      "an owner has not approved this workflow: it waits for that owner")                                    \
    X(REFUSAL_APPROVAL_EXPIRED, 24, "approval-expired", "an owner's approval is past its expiry")            \
    X(REFUSAL_REVOKED, 25, "revoked", "an owner has revoked its approval, recipe or dataset")                \
    X(REFUSAL_SLOT_RANGE, 26, "slot-not-allotted", "an owner's approval does not allot this slot")           \
    X(REFUSAL_COST, 27, "cost", "the workflow costs more than an owner's approval allows per slot")          \
    X(REFUSAL_BUDGET, 28, "budget", "the allotments of a dataset would exceed its privacy budget")           \
    X(REFUSAL_SLOT_SPENT, 29, "slot-spent", "another run holds this slot: name a free one")                  \
    X(REFUSAL_NOT_COMPUTE, 30, "not-compute", "the candidate is not an admitted compute member")             \
    X(REFUSAL_RESIDENCY, 31, "residency",                                                                    \
      "the compute node's jurisdiction is not allowed by workflow or owner")                                 \
    X(REFUSAL_EXPORT, 32, "export", "the owner's export policy does not let its ciphertext go there")        \
    X(REFUSAL_TERM, 33, "later-term", "a later term of this run is known")                                   \
    X(REFUSAL_VOTED, 34, "voted", "this custodian voted for another node in this term")                      \
    X(REFUSAL_CERTIFICATE, 35, "certificate",                                                                \
      "the certificate does not verify or is for another run, term or node")                                 \
    X(REFUSAL_EVIDENCE, 36, "evidence", "the evidence does not verify under the policy in force")            \
    X(REFUSAL_BINDING, 37, "evidence-binding", "the evidence does not bind this run, term and key")          \
    X(REFUSAL_MEASUREMENT, 38, "measurement", "the worker's measurement is not in the registered set")       \
    X(REFUSAL_PLATFORM, 39, "platform",                                                                      \
      "the platform is not one that the stewards admitted for the compute node (compute.platform of its "    \
      "perigee.yaml, by default its host's name), or not one it has advertised here")                        \
    X(REFUSAL_OTHER_KEY, 40, "other-key", "another enclave key was already served for this run and term")    \
    X(REFUSAL_ENVELOPE, 41, "recipe-lock",                                                                   \
      "the envelope does not open under this recipe's label: the recipe, owner, content or policy is "       \
      "another one, and no key exists for it")                                                               \
    X(REFUSAL_NOT_CUSTODIAN, 42, "not-a-custodian", "this node holds no share of the consortium's keys")     \
    X(REFUSAL_CLOCK, 43, "clock",                                                                            \
      "this node's clock is too far from the custodians', or a record of its own is dated ahead of it: it "  \
      "goes on when its clock is right, or that time has come; its status shows both")                       \
    X(REFUSAL_ISOLATED, 44, "isolated",                                                                      \
      "this node has not compared heads with enough custodians since it started, or within a lease: try "    \
      "later")                                                                                               \
    X(REFUSAL_NOT_RELEASED, 45, "not-released", "this custodian released no share to this enclave")          \
    X(REFUSAL_COMMIT_CONFLICT, 46, "commit-conflict", "another output is already committed for this run")    \
    X(REFUSAL_FROZEN, 47, "equivocation",                                                                    \
      "the author signed two records in one place: its later records count nowhere")                         \
    X(REFUSAL_COMPUTATION, 48, "computation-failed", "the computation failed; the slot is spent")            \
    X(REFUSAL_ENCLAVE, 49, "enclave-unavailable",                                                            \
      "the enclave could not be started, or ended, on the elected node: the run is tried again in a later "  \
      "term")                                                                                                \
    X(REFUSAL_INPUT_MISSING, 50, "input-missing",                                                            \
      "no holder of a sealed input is linked with a clock that is right, or none serves a chunk of it: the " \
      "run goes on when its owner is there")                                                                 \
    X(REFUSAL_INPUT_CORRUPT, 51, "input-corrupt", "a sealed input does not match its content id")            \
    X(REFUSAL_GPU, 52, "gpu", "the policy demands a GPU in confidential mode, and the evidence shows none")  \
    X(REFUSAL_EXISTS, 53, "exists", "the same thing is already registered")                                  \
    X(REFUSAL_OVERLAP, 54, "slot-overlap",                                                                   \
      "the slots overlap an earlier allotment of this owner, be it revoked or ended: name slots beyond all " \
      "of them")                                                                                             \
    X(REFUSAL_NOT_OWNER, 55, "not-owner", "only the owner of this token may do this")                        \
    X(REFUSAL_MALFORMED, 56, "malformed", "a document in the record does not follow its schema")             \
    X(REFUSAL_CYCLE, 57, "cycle", "the grant would make the tokens depend on each other in a circle")        \
    X(REFUSAL_TIMEOUT, 58, "timeout", "no quorum answered in time")                                          \
    X(REFUSAL_FULL, 59, "full",                                                                              \
      "a table, queue or the disk of this node is full: free space or raise the limit")                      \
    X(REFUSAL_GAP, 60, "gap", "an earlier record of this author is missing here: wait for it to arrive")     \
    X(REFUSAL_TEMPLATE, 61, "op-template", "a step goes beyond what its op's template allows")               \
    X(REFUSAL_PARAMETERS, 62, "parameters",                                                                  \
      "the run's parameters are not exactly what its workflow lets a requester choose: give each one a "     \
      "value that the workflow allows")                                                                      \
    X(REFUSAL_NOT_STEWARD, 63, "not-a-steward", "only stewards decide this: ask one that the charter names") \
    X(REFUSAL_SERVICE, 64, "service",                                                                        \
      "the dataset's description offers no such service, or not for this op: its owner lists the op in the " \
      "service's supported_ops")                                                                             \
    X(REFUSAL_ROLE, 65, "role",                                                                              \
      "a member does here what it was not admitted for: owners bring and approve datasets, algorithm "       \
      "providers publish, requesters ask for runs, makers admit devices")                                    \
    X(REFUSAL_TROUBLE, 66, "custodian-trouble",                                                              \
      "this custodian could not do its part now: its node's log says why, and it is asked again")            \
    X(REFUSAL_RECEIPT_ROOM, 67, "receipt-room",                                                              \
      "what proves such a run would not fit a receipt: lower max_bytes, or name fewer readers or inputs")    \
    X(REFUSAL_DEVICES, 68, "devices",                                                                        \
      "a maker admits devices of its own organisation, as many at once as the charter lets it have: it "     \
      "revokes one first, or the stewards change the charter")                                               \
    X(REFUSAL_LEASE_HELD, 69, "lease-held",                                                                  \
      "another enclave may still hold this run, or have settled it: it is tried again when its lease has "   \
      "ended, and its receipts have been examined")                                                          \
    X(REFUSAL_LEASE_LOST, 70, "lease-lost",                                                                  \
      "too few custodians renewed the enclave's lease in time: the run is tried again in a later term")      \
    X(REFUSAL_PROMISE_LOST, 71, "promise-lost",                                                              \
      "a promise in this custodian's store is damaged: this key must not vote again, since it could break "  \
      "it unknowingly; the run goes on with the other custodians")                                           \
    X(REFUSAL_OWNER_VETO, 72, "owner-veto",                                                                  \
      "an owner keeps a veto over its input and has not released its half of the key: the run goes on when " \
      "its node is there and does")                                                                          \
    X(REFUSAL_NO_HALF, 73, "no-owner-half",                                                                  \
      "the owner keeps a veto over this input since, and the content that the run names was sealed without " \
      "one: a new run names the newest")                                                                     \
    X(REFUSAL_SILENT, 74, "silent",                                                                          \
      "this key's store was lost or put back, so it may have signed what it does not know: it signs "        \
      "nothing "                                                                                             \
      "again; `perigee recover` makes its successor, which the stewards admit")                              \
    X(REFUSAL_STORE, 75, "store-failed",                                                                     \
      "a record of this node's own could not be kept where it belongs, and may be there all the same: it "   \
      "signs nothing until a restart has read what is there; its log says what happened")                    \
    X(REFUSAL_REMOVED, 76, "removed",                                                                        \
      "this key is no member any more, which is for good: a successor has its place, or it was removed; "    \
      "`perigee status` says which")

#define REFUSAL_ENUM(symbol, code, name, text) symbol = code,
enum refusal { REFUSAL_TABLE(REFUSAL_ENUM) REFUSAL_COUNT };
#undef REFUSAL_ENUM

const char *refusal_name(enum refusal r);
const char *refusal_text(enum refusal r);
/* A number from the wire: a code not in the table becomes REFUSAL_MALFORMED. */
enum refusal refusal_from(uint64_t code);

/* A refusal and whom or what it is about (zero when nothing in particular). */
struct verdict {
    enum refusal refusal;
    struct hash32 subject;
};
#define VERDICT_OK ((struct verdict){REFUSAL_NONE, {{0}}})
struct verdict verdict_refuse(enum refusal r, const uint8_t subject32[32]); /* subject may be NULL */

#endif
