/* enclave: the protocol side of the one-shot worker of a run, as a pure machine (DESIGN §9 "Enclave worker").
 * The worker process (node/worker.c) feeds it frames from its untrusted host and the results of keyed work, and executes
 * its effects. It holds no secret but the salt and the output, once there is one: keys, shares and plaintext live with the
 * executor, named by small numbers. A party to the keys is a custodian, by its index in the charter, or the owner of an
 * input under a veto: VETO_PARTY and the input's number.
 * Even an opened answer comes to it without its shares.
 *
 * Life: START (bundle, certificate) -> replay the bundle against the consortium id, check every signature and the
 * certificate -> KEYS -> EVIDENCE over S -> fetch manifests -> SHARE_ASK to every custodian (sealed to its key, signed) ->
 * open answers, check release statements and share proofs -> with t, and q for a lease: UNLOCK (data keys, noise seed) ->
 * from now on a LEASE_ASK each third of a lease; without q answers before it ends, all is wiped -> fetch leaf lists
 * and chunks, OPEN_CHUNK each -> COMPUTE (op runtime and gate) -> commitment, core receipt -> COMMIT_ASK to every
 * custodian -> with q checked signatures: seal the output to the readers, RESULT, ENDING -> WIPE -> gone.
 * Asks are repeated on TICK until answered (idempotent by run, term, type, challenge). Any failure: FAILED with a reason
 * from the fixed list that depends on no data, WIPE, gone.
 *
 * Binding S = H("perigee/enclave/v1", consortium, run, be64 term, compose, certificate hash, signing key, kem key).
 * Commitment = H("perigee/output/v1", salt, output); salt = HKDF(PRF value, info "perigee/commit-salt/v1" | run).
 * Core receipt: see core_receipt below and PROTOCOL.md "Receipt". */
#ifndef PERIGEE_PROTO_ENCLAVE_H
#define PERIGEE_PROTO_ENCLAVE_H

#include "proto/bundle.h"
#include "proto/certificate.h"
#include "proto/core.h"

/* What the enclave signs about a finished run. Packed array in this order; its hash is H("perigee/core-receipt/v1", bytes). */
enum { RELEASES_MAX = CAP_CUSTODIANS + CAP_INPUTS };
struct core_receipt {
    struct consortium_id consortium;
    struct run_id run;
    uint64_t term;
    struct compose_hash compose;
    struct hash32 bundle;      /* struct bundle.hash */
    struct hash32 certificate; /* certificate_hash */
    struct hash32 evidence;    /* H("perigee/evidence/v1", evidence bytes) */
    struct node_id enclave;    /* signing key of this enclave */
    struct kem_public kem;
    struct hash32 challenge;
    uint32_t release_count;
    /* Header ids of the release statements used: custodians' in charter order, then owners' in the run's order. */
    struct record_id release[RELEASES_MAX];
    struct hash32 commitment; /* output 0 */
    struct span engine;
};
void core_receipt_encode(struct buffer *out, const struct core_receipt *r);
MUST_USE enum err core_receipt_decode(struct core_receipt *out, struct span bytes);
struct hash32 core_receipt_hash(struct span bytes);
struct hash32 enclave_binding(struct consortium_id consortium, struct run_id run, uint64_t term,
                              struct compose_hash compose, struct hash32 certificate, struct node_id signing,
                              struct kem_public kem);
/* An answer begins with one of these; what follows: PROTOCOL.md "Enclave frames". Those of refusals name their stage. */
enum {
    ANSWER_SHARES = 1,
    ANSWER_COMMIT = 2,
    ANSWER_REFUSAL = 3,
    ANSWER_LEASE = 4,
    ANSWER_HALF = 5,
    ANSWER_BYTES_MAX = 8192
};
/* An opened answer as the machine sees it, appended to `out`: its first byte, then for shares or a half SHA-256 of them 32 |
 * packed release, else all that follows. `shares` points into `plain`, or is empty. The codec's errors. */
MUST_USE enum err enclave_answer_view(struct buffer *out, struct span *shares, struct span plain);
/* Context of a sealed box on the relay: H("perigee/relay/v1", run, be64 term, be32 party, direction byte).
 * direction 0: enclave to party, 1: party to enclave. */
struct hash32 relay_context(struct run_id run, uint64_t term, uint32_t party, uint8_t direction);
/* Context of an output box: H("perigee/output-box/v1", run, reader). Its plaintext is a reading. */
struct hash32 output_box_context(struct run_id run, struct node_id reader);
/* What a reader opens: salt 32 | response signature 64 | output. ERR_TRUNCATED. `output` points into `plain`. */
struct reading {
    struct hash32 salt;
    struct signature signature;
    struct span output;
};
enum { READING_HEAD_BYTES = 32 + 64 };
MUST_USE enum err reading_open(struct reading *out, struct span plain);
/* Sign-RPC (PROTOCOL.md "Response"): the text is the hex of sha256(request), a colon and the hex of sha256(response). The
 * request of a run is the header of its signed record, so the first hash is the run's id; the response is the output. The
 * enclave signs H("perigee/response/v1", text). */
enum { RESPONSE_TEXT_CHARS = 64 + 1 + 64 };
void response_text(char out[RESPONSE_TEXT_CHARS + 1], struct run_id run, struct span output);
struct hash32 response_hash(struct run_id run, struct span output);
struct hash32 enclave_evidence_hash(struct span evidence);
/* What an ending names beside the core receipt: H("perigee/statements/v1", releases, commits); H("perigee/outputs/v1", outputs). */
struct hash32 enclave_statements_hash(struct span releases, struct span commits);
struct hash32 enclave_outputs_hash(struct span outputs);
/* When a receipt's rules are judged: by the clocks of the custodians that released, of which f may lie. Sorts them; 0: none. */
uint64_t enclave_median_ms(uint64_t *time_ms, uint32_t count);
/* H("perigee/output/v1", salt, output): hides the output until the salt is out. */
struct hash32 enclave_commitment(struct hash32 salt, struct span output);

/* FRAME_START: what the host gives a new worker. */
void enclave_start_frame(struct buffer *out, struct consortium_id consortium, struct run_id run,
                         uint64_t term, struct span certificate, struct span bundle);

struct enclave;

enum enclave_event_type {
    ENCLAVE_EVENT_FRAME, /* from the host */
    ENCLAVE_EVENT_DONE,  /* an executed effect: err, bytes */
    ENCLAVE_EVENT_TICK,
};
struct enclave_event {
    enum enclave_event_type type;
    struct instant now;
    uint64_t wall_ms;
    enum err err;
    struct span bytes;
    uint64_t token;
};

/* Each is answered by ENCLAVE_EVENT_DONE with its token, except FRAME, WIPE and EXIT. They are executed in order; chunks and the
 * computation in an order of their own, beside the others. */
enum enclave_effect_type {
    ENCLAVE_FRAME,    /* bytes: a frame for the host */
    ENCLAVE_KEYS,     /* -> signing public 32 | kem public 32 | challenge 32 */
    ENCLAVE_EVIDENCE, /* hash = S -> evidence bytes (SIMULATED in this driver) */
    ENCLAVE_VERIFY,   /* checks, check_count -> ok, or ERR_SIGNATURE and bytes = be32 index */
    ENCLAVE_SIGN,     /* hash -> signature by the enclave's key */
    ENCLAVE_SEAL,     /* kem, bytes, context -> box */
    ENCLAVE_OPEN,     /* party, bytes = box, context -> enclave_answer_view of it; its shares or half stay */
    ENCLAVE_CONTENT_ID, /* manifest -> content id 32 */
    ENCLAVE_CHECK_EVIDENCE, /* job: CRYPTO_EVIDENCE, as a receipt's reader would -> evidence_out, or ERR_EVIDENCE */
    ENCLAVE_CHECK_SHARES, /* party: what was opened of it last; keys, labels, envelopes -> ok or ERR_PROOF; kept. A half is
                           * only kept: the body's key commitment is what shows a wrong one */
    ENCLAVE_UNLOCK, /* t kept shares, halves -> data keys, noise seed and commit salt, all kept by the executor:
                                    * seed = HKDF-SHA-256(PRF value, info "perigee/noise-seed/v1"), salt = the same with
                                    * info "perigee/commit-salt/v1" | run; -> salt 32 (it leaves with the output) */
    ENCLAVE_INPUT_BEGIN, /* input, bytes = leaf list (32 each): expand its key, check the manifest's commitment and
                                    * root, make its memfd; once per input */
    ENCLAVE_INPUT_CHUNK, /* input, chunk, bytes = sealed: check against the leaf, decrypt into the memfd; any order */
    ENCLAVE_COMPUTE, /* workflow, all inputs (complete) -> output document bytes (already through the gate) */
    ENCLAVE_COMMITMENT, /* bytes = output -> commitment 32 */
    ENCLAVE_WIPE,       /* all secrets and memfds */
    ENCLAVE_EXIT,
};
struct enclave_effect {
    enum enclave_effect_type type;
    uint64_t token;
    struct span bytes, context;
    struct hash32 hash;
    struct kem_public kem;
    uint32_t input, chunk, party;
    const struct signature_check *check;
    uint32_t check_count;
    const struct manifest *manifest;
    const struct workflow *workflow;
    const struct crypto_job *job;
};

MUST_USE enum err enclave_new(struct enclave **out, struct arena *arena);
void enclave_step(struct enclave *e, const struct enclave_event *event);
const struct enclave_effect *enclave_effects(const struct enclave *e, uint32_t *count);
struct instant enclave_deadline(const struct enclave *e);
void enclave_check(const struct enclave *e);

/* Has it the data's keys, and a lease that has not ended? */
bool enclave_leased(const struct enclave *e, struct instant now);

/* What the executor needs to know for the shares of one run (valid after the bundle was replayed). */
struct enclave_keys {
    const struct committee *committee;
    const struct charter *charter;
    uint32_t input_count;
    const struct manifest *manifest[CAP_INPUTS];
    const struct ddo *ddo[CAP_INPUTS]; /* of each input's dataset: its schema and unit column */
    struct span parameters;            /* of the run: they are among what its workflow allows */
    struct dt app;
    struct compose_hash compose;
    struct hash32 prf_input; /* H("perigee/noise/v1", run id) */
    struct run_id run;
};
const struct enclave_keys *enclave_keys(const struct enclave *e);
/* What shares are held against. ERR_NOT_READY: not all of it is known yet (`keys` may be NULL). ERR_RANGE: a committee record of
 * another size than the charter's, or too many inputs. */
MUST_USE enum err enclave_unlock_terms(struct unlock_terms *out, const struct enclave_keys *keys);

#endif
