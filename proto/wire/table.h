/* table: every record kind, statement and link message, defined once.
 * From these macros come the C structures, the codec (body.c), the names, the fuzz targets and the tables of
 * docs/PROTOCOL.md (tests/lint checks that they agree). Codes are on the wire and never reused.
 *
 * Field kinds:  F(kind, name, arg)
 *   ID      32 bytes; arg is the C type (a one-field struct of 32 bytes)
 *   UINT    unsigned integer up to arg
 *   BYTES   byte string of at most arg bytes
 *   TEXT    UTF-8 of at most arg bytes, no control characters
 *   LIST32  at most arg items of 32 bytes, packed
 *   SIG     64 bytes
 * A body is the canonical msgpack array of its fields in order. */
#ifndef PERIGEE_PROTO_WIRE_TABLE_H
#define PERIGEE_PROTO_WIRE_TABLE_H

#include "crypto/types.h"
#include "proto/base/caps.h"
#include "proto/base/ids.h"

#define UINT_ANY            UINT64_MAX
#define UINT_TIME           (UINT64_C(1) << 53)
#define WORKERS_VERSION_MAX INT32_MAX

/* --- Decisions: chained records -------------------------------------------------------------------------------------- */
#define BODY_CHARTER(F) F(BYTES, document, CAP_DOCUMENT_BYTES)
#define BODY_MEMBER(F)                                                                                       \
    F(ID, node, struct node_id)                                                                              \
    F(TEXT, organisation, CAP_NAME)                                                                          \
    F(TEXT, jurisdiction, CAP_NAME)                                                                          \
    F(UINT, roles, 511)                                                                                      \
    F(ID, kem, struct kem_public)                                                                            \
    F(ID, dkg, struct point)                                                                                 \
    F(ID, approval, struct node_id)                                                                          \
    F(LIST32, platforms, CAP_PLATFORMS)                                                                      \
    F(ID, replaces, struct node_id)                                                                          \
    F(UINT, last_seq, UINT_TIME)                                                                             \
    F(BYTES, consent, 64)
#define BODY_COMMITTEE(F)                                                                                    \
    F(UINT, epoch, UINT32_MAX)                                                                               \
    F(ID, charter, struct hash32)                                                                            \
    F(ID, key_a, struct point)                                                                               \
    F(LIST32, shares_a, CAP_CUSTODIANS)                                                                      \
    F(BYTES, round1_a, ROUND1_BYTES_MAX)                                                                     \
    F(BYTES, signatures_a, 64 * CAP_CUSTODIANS)                                                              \
    F(ID, key_b, struct point)                                                                               \
    F(LIST32, shares_b, CAP_CUSTODIANS)                                                                      \
    F(BYTES, round1_b, ROUND1_BYTES_MAX)                                                                     \
    F(BYTES, signatures_b, 64 * CAP_CUSTODIANS)
#define BODY_ASSET(F)                                                                                        \
    F(ID, dt, struct dt)                                                                                     \
    F(UINT, version, UINT32_MAX)                                                                             \
    F(ID, salt, struct hash32)                                                                               \
    F(BYTES, ddo, CAP_DOCUMENT_BYTES)                                                                        \
    F(BYTES, workflow, CAP_DOCUMENT_BYTES)                                                                   \
    F(ID, compose, struct compose_hash)                                                                      \
    F(ID, content, struct content_id)                                                                        \
    F(ID, manifest, struct hash32)                                                                           \
    F(BYTES, policy, 4096)
#define BODY_OP(F)                                                                                           \
    F(BYTES, document, CAP_DOCUMENT_BYTES)                                                                   \
    F(BYTES, code, CAP_CODE_BYTES)
#define BODY_GRANT(F)                                                                                        \
    F(ID, lower, struct dt)                                                                                  \
    F(ID, higher, struct dt)                                                                                 \
    F(UINT, service, CAP_SERVICES)                                                                           \
    F(LIST32, ops, CAP_OPS_IN_GRANT)                                                                         \
    F(UINT, slots_max, UINT32_MAX)                                                                           \
    F(UINT, epsilon_max, UINT_ANY)
#define BODY_APPROVAL(F)                                                                                     \
    F(ID, app, struct dt)                                                                                    \
    F(ID, compose, struct compose_hash)                                                                      \
    F(ID, dataset, struct dt)                                                                                \
    F(UINT, slot_first, UINT32_MAX)                                                                          \
    F(UINT, slot_last, UINT32_MAX)                                                                           \
    F(UINT, cost, UINT_TIME)                                                                                 \
    F(UINT, delta, UINT_TIME)                                                                                \
    F(ID, text, struct hash32)                                                                               \
    F(SIG, approval_signature, struct signature)
#define BODY_REVOCATION(F)                                                                                   \
    F(UINT, target, 4)                                                                                       \
    F(ID, subject, struct hash32)                                                                            \
    F(BYTES, approval_signature, 64)
#define BODY_JOB(F)                                                                                          \
    F(ID, app, struct dt)                                                                                    \
    F(ID, compose, struct compose_hash)                                                                      \
    F(TEXT, task, CAP_TEXT)
#define BODY_ENDORSEMENT(F) F(ID, job, struct record_id)
#define BODY_RUN(F)                                                                                          \
    F(ID, compose, struct compose_hash)                                                                      \
    F(ID, app, struct dt)                                                                                    \
    F(UINT, slot, UINT32_MAX)                                                                                \
    F(TEXT, engine, CAP_NAME)                                                                                \
    F(BYTES, parameters, 4096)                                                                               \
    F(BYTES, inputs, RUN_INPUT_BYTES *CAP_INPUTS)                                                            \
    F(ID, charter, struct hash32)                                                                            \
    F(UINT, epoch, UINT32_MAX)
#define BODY_SLOT_RETURN(F)                                                                                  \
    F(ID, compose, struct compose_hash)                                                                      \
    F(ID, dataset, struct dt)                                                                                \
    F(UINT, slot, UINT32_MAX)                                                                                \
    F(BYTES, statements, 32768)
#define BODY_REMOVAL(F)                                                                                      \
    F(ID, node, struct node_id)                                                                              \
    F(UINT, last_seq, UINT_TIME)
#define BODY_WORKERS(F)                                                                                      \
    F(TEXT, name, CAP_NAME)                                                                                  \
    F(UINT, version, WORKERS_VERSION_MAX)                                                                    \
    F(LIST32, measurements, 16)
#define BODY_RECEIPT(F)                                                                                      \
    F(ID, run, struct run_id)                                                                                \
    F(LIST32, records, 1024)                                                                                 \
    F(BYTES, core, 4096)                                                                                     \
    F(SIG, core_signature, struct signature)                                                                 \
    F(BYTES, certificate, 4096)                                                                              \
    F(BYTES, evidence, 16384)                                                                                \
    F(BYTES, releases, 24576)                                                                                \
    F(BYTES, commits, 20480)                                                                                 \
    F(BYTES, ending, 1024)                                                                                   \
    F(BYTES, output, 40960)

/* --- Ephemeral records: newest per author and subject replaces, never proof ------------------------------------------- */
#define BODY_ADVERT(F)                                                                                       \
    F(ID, platform, struct hash32)                                                                           \
    F(TEXT, engine, CAP_NAME)                                                                                \
    F(TEXT, gpu, CAP_NAME)                                                                                   \
    F(UINT, slots_free, 1024)                                                                                \
    F(BYTES, evidence, 16384)
#define BODY_PROGRESS(F)                                                                                     \
    F(ID, run, struct run_id)                                                                                \
    F(UINT, term, UINT32_MAX)                                                                                \
    F(UINT, state, 32)                                                                                       \
    F(UINT, reason, 255)                                                                                     \
    F(UINT, bad_shares, UINT32_MAX)                                                                          \
    F(BYTES, certificate, 4096)

#define BODY_CONTACT(F) F(TEXT, address, CONTACT_ADDRESS_MAX)

/* --- Statements: direct, signed, outside the chain ------------------------------------------------------------------- */
/* An answer names whom it answers, `node` or `enclave`: so that who has it can show it to nobody else. */
#define BODY_KEYGEN_ROUND1(F)                                                                                \
    F(UINT, epoch, UINT32_MAX)                                                                               \
    F(UINT, purpose, 2)                                                                                      \
    F(BYTES, message, 8192)
#define BODY_KEYGEN_SIGN(F)                                                                                  \
    F(UINT, epoch, UINT32_MAX)                                                                               \
    F(UINT, purpose, 2)                                                                                      \
    F(BYTES, transcript, 64)                                                                                 \
    F(SIG, signature, struct signature)
#define BODY_PREVOTE_ASK(F)                                                                                  \
    F(ID, run, struct run_id)                                                                                \
    F(UINT, term, UINT32_MAX)
#define BODY_PREVOTE(F)                                                                                      \
    F(ID, run, struct run_id)                                                                                \
    F(UINT, term, UINT32_MAX)                                                                                \
    F(ID, node, struct node_id)                                                                              \
    F(UINT, refusal, 255)                                                                                    \
    F(UINT, known, UINT32_MAX)                                                                               \
    F(UINT, wait_ms, UINT32_MAX)
#define BODY_VOTE_ASK(F)                                                                                     \
    F(ID, run, struct run_id)                                                                                \
    F(UINT, term, UINT32_MAX)
#define BODY_VOTE(F)                                                                                         \
    F(ID, run, struct run_id)                                                                                \
    F(UINT, term, UINT32_MAX)                                                                                \
    F(ID, node, struct node_id)                                                                              \
    F(UINT, refusal, 255)                                                                                    \
    F(UINT, known, UINT32_MAX)                                                                               \
    F(UINT, wait_ms, UINT32_MAX)                                                                             \
    F(SIG, vote, struct signature)
#define BODY_RELEASE(F)                                                                                      \
    F(ID, run, struct run_id)                                                                                \
    F(UINT, term, UINT32_MAX)                                                                                \
    F(ID, certificate, struct hash32)                                                                        \
    F(ID, enclave, struct node_id)                                                                           \
    F(ID, kem, struct kem_public)                                                                            \
    F(ID, challenge, struct hash32)                                                                          \
    F(UINT, lease_ms, UINT32_MAX)                                                                            \
    F(BYTES, heads, HEAD_BYTES *CAP_INPUTS)                                                                  \
    F(ID, shares, struct hash32)
#define BODY_REFUSAL(F)                                                                                      \
    F(ID, run, struct run_id)                                                                                \
    F(UINT, term, UINT32_MAX)                                                                                \
    F(ID, enclave, struct node_id)                                                                           \
    F(UINT, stage, 8)                                                                                        \
    F(UINT, refusal, 255)                                                                                    \
    F(TEXT, detail, CAP_TEXT)
#define BODY_COMMIT(F)                                                                                       \
    F(ID, run, struct run_id)                                                                                \
    F(UINT, term, UINT32_MAX)                                                                                \
    F(UINT, index, 255)                                                                                      \
    F(ID, commitment, struct hash32)                                                                         \
    F(ID, core, struct hash32)                                                                               \
    F(BYTES, heads, HEAD_BYTES *CAP_INPUTS)
#define BODY_LEASE(F)                                                                                        \
    F(ID, run, struct run_id)                                                                                \
    F(UINT, term, UINT32_MAX)                                                                                \
    F(ID, enclave, struct node_id)                                                                           \
    F(UINT, round, UINT32_MAX)                                                                               \
    F(UINT, lease_ms, UINT32_MAX)
/* As a release; `half` is the SHA-256 of the half of this dataset's data key. */
#define BODY_OWNER_RELEASE(F)                                                                                \
    F(ID, run, struct run_id)                                                                                \
    F(UINT, term, UINT32_MAX)                                                                                \
    F(ID, certificate, struct hash32)                                                                        \
    F(ID, enclave, struct node_id)                                                                           \
    F(ID, kem, struct kem_public)                                                                            \
    F(ID, challenge, struct hash32)                                                                          \
    F(BYTES, heads, HEAD_BYTES *CAP_INPUTS)                                                                  \
    F(ID, dt, struct dt)                                                                                     \
    F(ID, half, struct hash32)

/* Signed by the enclave's own key; asks and answers travel in sealed boxes. */
#define BODY_SHARE_ASK(F)                                                                                    \
    F(ID, run, struct run_id)                                                                                \
    F(UINT, term, UINT32_MAX)                                                                                \
    F(BYTES, certificate, 4096)                                                                              \
    F(BYTES, evidence, 16384)                                                                                \
    F(ID, kem, struct kem_public)                                                                            \
    F(ID, challenge, struct hash32)                                                                          \
    F(BYTES, envelopes, ENVELOPE_BYTES *CAP_INPUTS)                                                          \
    F(BYTES, halves, VETO_BOX_BYTES *CAP_INPUTS)
#define BODY_SHARE_ANSWER(F)                                                                                 \
    F(BYTES, release, 4096)                                                                                  \
    F(BYTES, shares, SHARE_BYTES *(CAP_INPUTS + 1))
#define BODY_COMMIT_ASK(F)                                                                                   \
    F(ID, run, struct run_id)                                                                                \
    F(UINT, term, UINT32_MAX)                                                                                \
    F(UINT, index, 255)                                                                                      \
    F(ID, commitment, struct hash32)                                                                         \
    F(ID, core, struct hash32)                                                                               \
    F(ID, kem, struct kem_public)
#define BODY_LEASE_ASK(F)                                                                                    \
    F(ID, run, struct run_id)                                                                                \
    F(UINT, term, UINT32_MAX)                                                                                \
    F(UINT, round, UINT32_MAX)                                                                               \
    F(ID, kem, struct kem_public)
/* `statements` is of the receipt's releases and commits, `outputs` of its output boxes: with the core receipt it names every byte. */
#define BODY_ENDING(F)                                                                                       \
    F(ID, run, struct run_id)                                                                                \
    F(UINT, term, UINT32_MAX)                                                                                \
    F(ID, core, struct hash32)                                                                               \
    F(ID, statements, struct hash32)                                                                         \
    F(ID, outputs, struct hash32)

enum {
    /* Public round-1 message of one custodian: ephemeral 32 | t commitments of 32 | proof of possession 64. All n of them,
     * in charter order, are what the certificate signatures are over (crypto/cocktail.h). */
    ROUND1_BYTES_MAX = CAP_CUSTODIANS * (32 + 32 * 22 + 64),
    RUN_INPUT_BYTES = 4 * 32, /* dt | content id | manifest hash | id of the asset record that binds them */
    HEAD_BYTES = 8 + 32,      /* be64 seq | head: one per input of the run, of that input's owner */
};

/* Classes: how a kind is ordered, kept and signed. */
enum record_class { CLASS_CHAINED, CLASS_EPHEMERAL, CLASS_STATEMENT, CLASS_ENCLAVE };

/* X(symbol, code, name, class, BODY, who signs, what it must refer to) */
#define KIND_TABLE(X)                                                                                        \
    X(CHARTER, 1, "charter", CLASS_CHAINED, "s stewards, joint", "version 1 is the consortium id")           \
    X(MEMBER, 2, "member", CLASS_CHAINED, "s stewards, joint; of a device, its maker", "a join request")     \
    X(COMMITTEE, 3, "committee", CLASS_CHAINED, "n-f custodians, joint", "the charter")                      \
    X(ASSET, 4, "asset", CLASS_CHAINED, "owner of the token", "its salt or an earlier version")              \
    X(OP, 5, "op", CLASS_CHAINED, "s stewards, joint", "-")                                                  \
    X(GRANT, 6, "grant", CLASS_CHAINED, "owner of the lower token", "both tokens, registered ops")           \
    X(APPROVAL, 7, "approval", CLASS_CHAINED, "owner of the dataset", "workflow, dataset")                   \
    X(REVOCATION, 8, "revocation", CLASS_CHAINED, "owner",                                                   \
      "its own approval, recipe, dataset, device or all")                                                    \
    X(JOB, 9, "job", CLASS_CHAINED, "owner of the algorithm token", "workflow")                              \
    X(ENDORSEMENT, 10, "endorsement", CLASS_CHAINED, "s stewards, joint", "a job record")                    \
    X(RUN, 11, "run", CLASS_CHAINED, "a requester the workflow names", "workflow, bound inputs")             \
    X(SLOT_RETURN, 12, "slot-return", CLASS_CHAINED, "owner of the dataset", "q never-voted statements")     \
    X(REMOVAL, 13, "removal", CLASS_CHAINED, "s stewards, joint", "a member")                                \
    X(WORKERS, 14, "workers", CLASS_CHAINED, "s stewards, joint", "-")                                       \
    X(RECEIPT, 15, "receipt", CLASS_CHAINED, "any member", "a run")                                          \
    X(ADVERT, 32, "advert", CLASS_EPHEMERAL, "a compute member", "-")                                        \
    X(PROGRESS, 33, "progress", CLASS_EPHEMERAL, "the elected node", "a run and its certificate")            \
    X(CONTACT, 34, "contact", CLASS_EPHEMERAL, "a member that others may dial", "-")                         \
    X(JOIN, 64, "join", CLASS_STATEMENT, "the applicant", "the consortium id")                               \
    X(KEYGEN_ROUND1, 65, "keygen-round1", CLASS_STATEMENT, "a custodian", "the charter")                     \
    X(KEYGEN_SIGN, 66, "keygen-sign", CLASS_STATEMENT, "a custodian", "all round-1 messages")                \
    X(PREVOTE_ASK, 67, "prevote-ask", CLASS_STATEMENT, "a compute member", "a run")                          \
    X(PREVOTE, 68, "prevote", CLASS_STATEMENT, "a custodian", "a prevote-ask")                               \
    X(VOTE_ASK, 69, "vote-ask", CLASS_STATEMENT, "a compute member", "q prevotes")                           \
    X(VOTE, 70, "vote", CLASS_STATEMENT, "a custodian", "a vote-ask; durable before it leaves")              \
    X(RELEASE, 71, "release", CLASS_STATEMENT, "a custodian", "a share-ask; durable before it leaves")       \
    X(REFUSAL, 72, "refusal", CLASS_STATEMENT, "a custodian", "an ask")                                      \
    X(COMMIT, 73, "commit", CLASS_STATEMENT, "a custodian", "a commit-ask; durable before it leaves")        \
    X(LEASE, 74, "lease", CLASS_STATEMENT, "a custodian", "a lease-ask of whom it released to")              \
    X(OWNER_RELEASE, 75, "owner-release", CLASS_STATEMENT, "owner of a dataset under its veto",              \
      "a share-ask; durable before it leaves")                                                               \
    X(SHARE_ASK, 80, "share-ask", CLASS_ENCLAVE, "the enclave", "certificate, evidence")                     \
    X(SHARE_ANSWER, 81, "share-answer", CLASS_STATEMENT, "a custodian; an owner, of its half",               \
      "a share-ask")                                                                                         \
    X(COMMIT_ASK, 82, "commit-ask", CLASS_ENCLAVE, "the enclave", "its release statements")                  \
    X(ENDING, 83, "ending", CLASS_ENCLAVE, "the enclave", "its core receipt")                                \
    X(LEASE_ASK, 84, "lease-ask", CLASS_ENCLAVE, "the enclave", "its release statements")

#define BODY_JOIN BODY_MEMBER

/* --- Link messages: inside a Noise session, authenticated by it ------------------------------------------------------- */
/* time: the sender's wall clock. turn: of the question; 0: nobody asked. depth, prefix: the first so many half bytes of authors' ids, the rest zero. heads: author 32 | be64
 * seq | head 32, in any order. */
#define MESSAGE_HEADS(F)                                                                                     \
    F(UINT, time, UINT_TIME)                                                                                 \
    F(UINT, turn, UINT32_MAX)                                                                                \
    F(UINT, depth, 64)                                                                                       \
    F(ID, prefix, struct hash32)                                                                             \
    F(BYTES, heads, 65520)
#define MESSAGE_GET(F)                                                                                       \
    F(ID, author, struct node_id)                                                                            \
    F(UINT, from, UINT_TIME)                                                                                 \
    F(UINT, to, UINT_TIME)
#define MESSAGE_RECORD(F)                                                                                    \
    F(BYTES, header, CAP_HEADER_BYTES)                                                                       \
    F(SIG, signature, struct signature)                                                                      \
    F(BYTES, body, CAP_BODY_BYTES)
#define MESSAGE_EQUIVOCATION(F)                                                                              \
    F(BYTES, header_a, CAP_HEADER_BYTES)                                                                     \
    F(SIG, signature_a, struct signature)                                                                    \
    F(BYTES, header_b, CAP_HEADER_BYTES)                                                                     \
    F(SIG, signature_b, struct signature)
#define MESSAGE_BLOB_GET(F)                                                                                  \
    F(BYTES, cid, 36)                                                                                        \
    F(ID, run, struct run_id)                                                                                \
    F(BYTES, certificate, 4096)
#define MESSAGE_BLOB(F)                                                                                      \
    F(BYTES, cid, 36)                                                                                        \
    F(UINT, refusal, 255)                                                                                    \
    F(BYTES, bytes, (1 << 20) + 64)
/* party: a custodian's index in the charter, or VETO_PARTY and the number of the input whose owner keeps a veto. */
#define MESSAGE_RELAY(F)                                                                                     \
    F(ID, run, struct run_id)                                                                                \
    F(UINT, term, UINT32_MAX)                                                                                \
    F(UINT, answer, 1)                                                                                       \
    F(UINT, party, 255)                                                                                      \
    F(BYTES, box, 65536)

#define MESSAGE_ANNOUNCE(F) F(BYTES, ids, 16384) /* record ids, 32 each, at least one */
#define MESSAGE_WANT(F)     F(BYTES, ids, 2048)
#define MESSAGE_ABSENT(F)   F(BYTES, ids, 2048)
#define MESSAGE_ROOT(F)                                                                                      \
    F(UINT, time, UINT_TIME)                                                                                 \
    F(ID, root, struct hash32)
#define MESSAGE_BRANCH_GET(F)                                                                                \
    F(UINT, turn, UINT32_MAX)                                                                                \
    F(UINT, depth, 64)                                                                                       \
    F(ID, prefix, struct hash32)
#define MESSAGE_BRANCH(F)                                                                                    \
    F(UINT, turn, UINT32_MAX)                                                                                \
    F(UINT, depth, 63)                                                                                       \
    F(ID, prefix, struct hash32)                                                                             \
    F(BYTES, hashes, 512) /* 16 of 32 */

#define MESSAGE_CONTACTS_GET(F)  F(UINT, count, CONTACTS_ASKED_MAX)
#define MESSAGE_CONTACTS_WANT(F) F(LIST32, nodes, CONTACTS_ASKED_MAX)

/* X(symbol, code, name, bulk, what for) */
#define MESSAGE_TABLE(X)                                                                                     \
    X(HEADS, 1, "heads", 0, "what the sender holds, per author, and its clock")                              \
    X(GET, 2, "get", 0, "send me these records")                                                             \
    X(RECORD, 3, "record", 0, "one record or statement")                                                     \
    X(EQUIVOCATION, 4, "equivocation", 0, "proof of two headers in one place")                               \
    X(BLOB_GET, 5, "blob-get", 0, "send me this blob; for an enclave, its certificate")                      \
    X(BLOB, 6, "blob", 1, "a blob, or why not")                                                              \
    X(RELAY, 7, "relay", 0, "a sealed box between an enclave and a party to its keys")                       \
    X(ANNOUNCE, 8, "announce", 0, "records that the sender has")                                             \
    X(WANT, 9, "want", 0, "send me these records that you announced")                                        \
    X(ABSENT, 10, "absent", 0, "records that it wanted and the sender has not, or not any more")             \
    X(ROOT, 11, "root", 0, "the hash over all that the sender holds, and its clock")                         \
    X(BRANCH_GET, 12, "branch-get", 0, "send me the hashes or heads under this prefix")                      \
    X(BRANCH, 13, "branch", 0, "the hashes of what the sender holds under a prefix")                         \
    X(CONTACTS_GET, 14, "contacts-get", 0, "send me contacts that you know, so many at most")                \
    X(CONTACTS_WANT, 15, "contacts-want", 0, "send me the contacts of these nodes, if you know them")

/* --- Structures and codes from the tables ---------------------------------------------------------------------------- */
#define FIELD_DECLARE(kind, name, arg)  FIELD_DECLARE_##kind(name, arg)
#define FIELD_DECLARE_ID(name, arg)     arg name;
#define FIELD_DECLARE_UINT(name, arg)   uint64_t name;
#define FIELD_DECLARE_BYTES(name, arg)  struct span name;
#define FIELD_DECLARE_TEXT(name, arg)   struct span name;
#define FIELD_DECLARE_LIST32(name, arg) struct span name;
#define FIELD_DECLARE_SIG(name, arg)    struct signature name;

#define KIND_STRUCT(symbol, code, name, class, who, refers)                                                  \
    struct body_##symbol {                                                                                   \
        BODY_##symbol(FIELD_DECLARE)                                                                         \
    };
KIND_TABLE(KIND_STRUCT)
#undef KIND_STRUCT

#define MESSAGE_STRUCT(symbol, code, name, bulk, what)                                                       \
    struct message_##symbol {                                                                                \
        MESSAGE_##symbol(FIELD_DECLARE)                                                                      \
    };
MESSAGE_TABLE(MESSAGE_STRUCT)
#undef MESSAGE_STRUCT

#define KIND_ENUM(symbol, code, name, class, who, refers) KIND_##symbol = code,
enum kind { KIND_TABLE(KIND_ENUM) };
#undef KIND_ENUM
#define MESSAGE_ENUM(symbol, code, name, bulk, what) MESSAGE_##symbol##_CODE = code,
enum message { MESSAGE_TABLE(MESSAGE_ENUM) };
#undef MESSAGE_ENUM

#endif
