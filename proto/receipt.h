/* receipt: the self-contained proof of a settled run and its replay, link by link (DESIGN §9 "Receipt").
 * receipt/1 is canonical JSON; every byte of it is covered by a hash from the core receipt or by a checked signature.
 * Replay is pure: keyed work comes out as checks; the caller (node/verify.c) runs them and reports per link, in order,
 * stopping at the first broken one. Members: PROTOCOL.md "Receipt". */
#ifndef PERIGEE_PROTO_RECEIPT_H
#define PERIGEE_PROTO_RECEIPT_H

#include "proto/enclave.h"

/* X(symbol, name, what it proves) */
#define RECEIPT_LINK_TABLE(X)                                                                                \
    X(LINK_DOCUMENT, "document", "the receipt is canonical and complete")                                    \
    X(LINK_CONSORTIUM, "consortium", "its charter is the one named by the given consortium id")              \
    X(LINK_RECORDS, "records", "every record is signed by its author")                                       \
    X(LINK_CHARTER, "charter", "s stewards signed the charter")                                              \
    X(LINK_COMMITTEE, "committee", "all custodians certified both keys; no one ever held them")              \
    X(LINK_RECIPE, "recipe", "the workflow has the compose hash, its ops are registered, its job endorsed")  \
    X(LINK_APPROVALS, "approvals", "every owner whose rows were read approved this recipe, slot and cost")   \
    X(LINK_RUN, "run", "a requester the workflow names asked for it, and every rule allowed it")             \
    X(LINK_CERTIFICATE, "certificate", "q custodians elected this node for this term and slot")              \
    X(LINK_EVIDENCE, "evidence",                                                                             \
      "the enclave's evidence binds its keys to consortium, run, recipe and term")                           \
    X(LINK_RELEASES, "releases",                                                                             \
      "at least t custodians released shares to this enclave, unrevoked up to the heads they signed, and "   \
      "every owner who keeps a veto its half")                                                               \
    X(LINK_CORE, "core-receipt", "the enclave signed what it computed")                                      \
    X(LINK_COMMITS, "commits", "q custodians committed to this one output")                                  \
    X(LINK_OUTPUT, "output",                                                                                 \
      "this output is the committed one, of the declared type and size, signed as the run's response")       \
    X(LINK_ENDING, "ending", "the enclave signed its end of life")
#define RECEIPT_LINK_ENUM(symbol, name, text) symbol,
enum receipt_link { RECEIPT_LINK_TABLE(RECEIPT_LINK_ENUM) RECEIPT_LINK_COUNT };
#undef RECEIPT_LINK_ENUM
const char *receipt_link_name(enum receipt_link l);
const char *receipt_link_text(enum receipt_link l);

/* What the writer puts together and the reader finds. */
struct receipt_parts {
    struct consortium_id consortium;
    struct span bundle;        /* packed array of packed records */
    struct body_RECEIPT body;  /* as in the receipt record; records and output are not used */
    struct span output;        /* the plaintext output document, or empty when the holder may not read it */
    struct hash32 salt;        /* of its commitment; zero without output */
    struct signature response; /* by the enclave over request and output; zero without output */
};
/* ERR_TOO_LARGE (also for parts that have no canonical form), or what is wrong with the packed parts. */
MUST_USE enum err receipt_write(struct buffer *out, const struct receipt_parts *parts);
/* Spans of `out` live in the arena, which takes up to 33 times the bytes. */
enum { RECEIPT_BYTES_MAX = 3 * BUNDLE_BYTES_MAX };
MUST_USE enum err receipt_parse(struct receipt_parts *out, struct arena *arena, struct span bytes,
                                struct json_fault *fault);

/* Is this evidence of the kind that proves nothing? */
bool receipt_simulated(struct span evidence);

/* A link holds when err is OK and all its checks pass; where err is ERR_REFUSED, the verdict says why. What could not be
 * judged, because a part before it is unusable, is ERR_NOT_READY, never OK.
 * Keyed work left to the caller: all checks; LINK_COMMITTEE: cocktail certificates of both keys over bundle's committee
 * record; LINK_EVIDENCE: `evidence_job`, and the platform that it shows is admitted for the elected node. */
struct receipt_replay {
    struct verdict verdict[RECEIPT_LINK_COUNT];
    enum err err[RECEIPT_LINK_COUNT];
    uint32_t check_count;
    const struct signature_check *check; /* keyed: signatures, with their link */
    struct bundle *bundle;               /* NULL when its bytes are unusable */
    struct certificate certificate;
    struct core_receipt core;
    struct crypto_job evidence_job; /* keyed: the evidence over the binding S, at `median_ms` */
    bool simulated;
    uint64_t
        median_ms; /* of the release statements' clocks: when evidence, certificates and expiry are judged */
    uint32_t release_count, half_count, commit_count; /* half: of owners who keep a veto */
    bool output_known; /* false: LINK_OUTPUT is ERR_NOT_FOUND, there is nothing to hash */
};
/* ERR_NO_MEMORY only; everything else is in the links. */
MUST_USE enum err receipt_replay(struct receipt_replay *out, struct arena *arena,
                                 const struct receipt_parts *parts, struct consortium_id anchor);

#endif
