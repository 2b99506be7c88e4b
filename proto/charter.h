/* charter: the constitution of a consortium, charter/1 (PROTOCOL.md "charter/1").
 * Rules: thresholds are checked against the members listed, so a charter that parses is one under which
 * quorums intersect; one custodian key and one steward key per organisation, and organisations are names of
 * [a-z0-9._-], so that two spellings of one organisation cannot be told apart by accident only. Ownership:
 * structures and spans live in the arena. Errors: the JSON reader's, with path and what was expected. Pure.
 */
#ifndef PERIGEE_PROTO_CHARTER_H
#define PERIGEE_PROTO_CHARTER_H

#include "crypto/types.h"
#include "proto/base/arena.h"
#include "proto/base/caps.h"
#include "proto/base/ids.h"
#include "proto/base/json.h"

/* Bits of a member's roles, and their names in documents. */
#define ROLE_TABLE(X)                                                                                        \
    X(ROLE_OWNER, 0, "owner")                                                                                \
    X(ROLE_COMPUTE, 1, "compute")                                                                            \
    X(ROLE_ALGORITHM, 2, "algorithm")                                                                        \
    X(ROLE_REQUESTER, 3, "requester")                                                                        \
    X(ROLE_AUDITOR, 4, "auditor")                                                                            \
    X(ROLE_CUSTODIAN, 5, "custodian")                                                                        \
    X(ROLE_STEWARD, 6, "steward")                                                                            \
    X(ROLE_MAKER, 7, "maker")                                                                                \
    X(ROLE_DEVICE, 8, "device")
#define ROLE_ENUM(symbol, bit, name) symbol = 1 << (bit),
enum role { ROLE_TABLE(ROLE_ENUM) ROLE_ALL = (1 << 9) - 1 };
#undef ROLE_ENUM
enum { ROLE_COUNT = 9 };
extern const char *const role_names[ROLE_COUNT]; /* by bit */

enum { /* what a charter may say of them; each but the lease begins at 1 */
       CHARTER_LEASE_MIN_MS = 100,
       CHARTER_LEASE_MAX_MS = 3600 * 1000,
       CHARTER_RANK_DELAY_MAX_MS = 60 * 1000,
       CHARTER_SKEW_MAX_MS = 3600 * 1000,
};

struct charter_member {
    struct node_id node;
    struct span organisation, jurisdiction;
    uint32_t roles; /* enum role bits; custodian and steward only here */
    struct kem_public kem;
    struct point dkg;        /* custodians: static key of key generation; zero otherwise */
    struct node_id approval; /* approval key; equals node unless given */
    struct span platforms;   /* ids of its machines, 32 bytes each; empty: none is named */
};

struct charter {
    struct hash32 hash; /* sha2-256 of the bytes; of version 1 it is the consortium id */
    struct span bytes;
    struct span name;
    uint32_t version;
    struct hash32 previous; /* zero in version 1 */
    uint32_t f, k, q, s, t; /* checked: 2q > n+f, q <= n-f, t > f, t <= n-f, t+q > n+f, 2s > stewards */
    uint32_t member_count, custodian_count, steward_count;
    struct charter_member *member;      /* sorted by node id */
    uint32_t custodian[CAP_CUSTODIANS]; /* indices into member, charter order: party i+1 */
    uint32_t steward[CAP_STEWARDS];
    bool accept_simulated;
    uint32_t maker_devices; /* that each maker may have in force; 0 when absent: none */
    uint32_t evidence_age_max_ms, lease_ms, rank_delay_ms, skew_max_ms, drift_ppm;
    const struct json *extra; /* NULL when absent */
};

/* How far what one node has dated may be ahead of another's clock, both of which may be skew_max from the median, either way. */
static inline uint64_t charter_ahead_max_ms(const struct charter *c)
{
    return 2 * (uint64_t)c->skew_max_ms;
}

MUST_USE enum err charter_parse(struct charter **out, struct arena *arena, struct span bytes,
                                struct json_fault *fault);
/* What a registry needs of it, in `kept`; spans borrow from `bytes`, which must stay. `extra` is left out. ERR_NO_MEMORY, or that it
 * is none. */
MUST_USE enum err charter_keep(const struct charter **out, struct json_room room, struct span bytes);
/* The canonical bytes of the fields; hash, bytes, counts of custodians and stewards and their indices are not
 * read. Doesn't check the rules: whoever writes a charter parses it. ERR_TOO_LARGE. */
MUST_USE enum err charter_write(struct buffer *out, const struct charter *c);
/* The index (0-based) of a node among the custodians or stewards, or -1. */
int charter_custodian(const struct charter *c, struct node_id node);
int charter_steward(const struct charter *c, struct node_id node);
/* So many custodians that say they hold a revocation leave fewer than `needed` (t or q) that do not, though f of them may lie. */
uint32_t charter_stops(const struct charter *c, uint32_t needed);

/* Roles as documents and records spell them: distinct names, sorted, at least one. */
void charter_read_roles(struct json_reader *r, const char *key, uint32_t *roles);
/* The same in any order, for what is no canonical document. */
void charter_read_role_set(struct json_reader *r, const char *key, uint32_t *roles);
void charter_put_roles(struct json_writer *w, const char *key, uint32_t roles);
/* The optional member `platforms`. */
void charter_read_platforms(struct json_reader *r, struct arena *arena, struct span *out);
void charter_put_platforms(struct json_writer *w, struct span platforms);

#endif
