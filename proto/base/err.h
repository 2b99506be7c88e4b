/* err: every error the project can return, from one table.
 * 0 is success. A result must be used. Peer input never reaches an assertion: it returns one of these and is
 * counted. A programmer's error never returns one of these: see panic.h. The number is what crosses an API, so
 * rows are only ever appended. */
#ifndef PERIGEE_PROTO_BASE_ERR_H
#define PERIGEE_PROTO_BASE_ERR_H

/* X(symbol, name, text): name is stable and goes into JSON; text is for people. */
#define ERR_TABLE(X)                                                                                         \
    X(OK, "ok", "success")                                                                                   \
    X(ERR_TRUNCATED, "truncated", "input ends before the value it announces")                                \
    X(ERR_TOO_LARGE, "too-large", "input is larger than its limit")                                          \
    X(ERR_TYPE, "wrong-type", "value has another type than expected")                                        \
    X(ERR_RANGE, "out-of-range", "value lies outside its allowed range")                                     \
    X(ERR_NOT_CANONICAL, "not-canonical", "bytes are not the canonical encoding of their value")             \
    X(ERR_DUPLICATE, "duplicate", "the same thing is present twice")                                         \
    X(ERR_UNKNOWN_FIELD, "unknown-field", "field is not part of this schema")                                \
    X(ERR_MISSING_FIELD, "missing-field", "required field is absent")                                        \
    X(ERR_SYNTAX, "syntax", "input does not follow its grammar")                                             \
    X(ERR_VERSION, "version", "version is not supported")                                                    \
    X(ERR_KIND, "unknown-kind", "kind is not in the table")                                                  \
    X(ERR_SIGNATURE, "bad-signature", "signature does not verify")                                           \
    X(ERR_PROOF, "bad-proof", "zero-knowledge proof does not verify")                                        \
    X(ERR_HASH, "hash-mismatch", "bytes do not have the hash that names them")                               \
    X(ERR_KEY, "bad-key", "key or group element is not valid")                                               \
    X(ERR_DECRYPT, "decrypt", "ciphertext does not open under this key and associated data")                 \
    X(ERR_NOT_MEMBER, "not-a-member", "author is not an admitted member")                                    \
    X(ERR_ROLE, "wrong-role", "author does not hold the role this needs")                                    \
    X(ERR_GAP, "gap", "an earlier statement of this author is missing")                                      \
    X(ERR_EQUIVOCATION, "equivocation", "author signed two different statements in one place")               \
    X(ERR_EXPIRED, "expired", "statement is past its expiry")                                                \
    X(ERR_FUTURE, "future", "statement claims a time too far ahead")                                         \
    X(ERR_REVOKED, "revoked", "statement has been revoked")                                                  \
    X(ERR_NOT_FOUND, "not-found", "not found")                                                               \
    X(ERR_CONFLICT, "conflict", "this contradicts what is already decided")                                  \
    X(ERR_REFUSED, "refused", "a rule forbids this")                                                         \
    X(ERR_NOT_READY, "try-later", "a condition is not met yet")                                              \
    X(ERR_FULL, "full", "a queue, table, quota or disk is full")                                             \
    X(ERR_NO_MEMORY, "no-memory", "the arena or the system is out of memory")                                \
    X(ERR_IO, "io", "the operating system reported an input or output error")                                \
    X(ERR_CORRUPT, "corrupt", "stored bytes fail their own check")                                           \
    X(ERR_BUSY, "busy", "another process or request holds this")                                             \
    X(ERR_UNAVAILABLE, "unavailable", "a needed library, device or sandbox is not present")                  \
    X(ERR_USAGE, "usage", "the command line or request is not well formed")                                  \
    X(ERR_CONSORTIUM, "wrong-consortium", "statement belongs to another consortium")                         \
    X(ERR_EVIDENCE, "bad-evidence", "attestation evidence is refused")                                       \
    X(ERR_POLICY, "policy", "the policy in force does not allow this")                                       \
    X(ERR_BUDGET, "budget", "the privacy budget does not cover this")                                        \
    X(ERR_RESIDENCY, "residency", "the residency or export policy does not allow this")                      \
    X(ERR_SQL, "sql", "the query is not an allowed row-wise SELECT")                                         \
    X(ERR_CANCELLED, "cancelled", "the work was stopped before it ended")

#define ERR_ENUM(symbol, name, text) symbol,
enum err { ERR_TABLE(ERR_ENUM) ERR_COUNT };
#undef ERR_ENUM

#define MUST_USE __attribute__((warn_unused_result))

const char *err_name(enum err err); /* "hash-mismatch"; never NULL */
const char *err_text(enum err err); /* "bytes do not have the hash that names them"; never NULL */

/* Return early with the error of an expression. The only control-flow macro of the project. */
#define TRY(expression)                                                                                      \
    do {                                                                                                     \
        enum err try_err = (expression);                                                                     \
        if (try_err != OK) return try_err;                                                                   \
    } while (0)

#endif
