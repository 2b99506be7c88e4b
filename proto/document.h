/* document: the canonical JSON documents that records name by hash, as checked structures (PROTOCOL.md "Documents").
 * A parser accepts exactly its schema: anything unknown, missing, out of range or contradictory is refused with the
 * path and what was expected. Structures live in the arena given; spans in them borrow from the arena, not the input.
 * Decimals arrive as strings and become integers: epsilon in 1e-9 ("nano"), measures on their grid. Pure. */
#ifndef PERIGEE_PROTO_DOCUMENT_H
#define PERIGEE_PROTO_DOCUMENT_H

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

/* --- charter/1 ----------------------------------------------------------------------------------------------------- */
struct charter_member {
    struct node_id node;
    struct span organisation, jurisdiction;
    uint32_t roles;              /* enum role bits; custodian and steward only here */
    struct kem_public kem;
    struct point dkg;            /* custodians: static key of key generation; zero otherwise */
    struct node_id approval;     /* approval key; equals node unless given */
};
struct charter {
    struct hash32 hash;          /* sha2-256 of the bytes; of version 1 it is the consortium id */
    struct span bytes;
    struct span name;
    uint32_t version;
    struct hash32 previous;      /* zero in version 1 */
    uint32_t f, k, q, s, t;      /* checked: 2q > n+f, q <= n-f, t > f, t <= n-f, t+q > n+f, 2s > stewards */
    uint32_t member_count, custodian_count, steward_count;
    struct charter_member *member;               /* sorted by node id */
    uint32_t custodian[CAP_CUSTODIANS];          /* indices into member, charter order: party i+1 */
    uint32_t steward[CAP_STEWARDS];
    bool accept_simulated;
    uint32_t evidence_age_max_ms, lease_ms, rank_delay_ms, skew_max_ms, drift_ppm;
};
MUST_USE enum err charter_parse(struct charter **out, struct arena *arena, struct span bytes, struct json_fault *fault);
/* The index (0-based) of a node among the custodians or stewards, or -1. */
int charter_custodian(const struct charter *c, struct node_id node);
int charter_steward(const struct charter *c, struct node_id node);

/* --- schema: the public shape of a dataset -------------------------------------------------------------------------- */
enum column_type { COLUMN_TEXT, COLUMN_INTEGER, COLUMN_DECIMAL, COLUMN_BOOLEAN, COLUMN_DATE };
extern const char *const column_type_names[5];   /* "text", "integer", "decimal", "boolean", "date" */
struct column { struct span name; enum column_type type; };
struct schema {
    struct hash32 hash;                          /* sha2-256 of its canonical JSON array */
    uint32_t column_count;
    struct column column[CAP_COLUMNS];
};

/* --- ddo/1 ---------------------------------------------------------------------------------------------------------- */
enum asset_type { ASSET_DATASET, ASSET_COMPUTE, ASSET_ALGORITHM, ASSET_COMPOSITE };
extern const char *const asset_type_names[4];
enum budget_currency { CURRENCY_EPSILON, CURRENCY_ZCDP };   /* nano epsilon; rho in 2^-40 */
struct service {
    struct span type, endpoint;
    uint32_t child_count, op_count;
    struct dt child[CAP_CHILDREN];
    struct hash32 op[CAP_OPS_IN_GRANT];
};
struct ddo {
    struct hash32 hash;                          /* sha2-256 of the bytes: the proof */
    struct span bytes;
    struct dt dt;
    enum asset_type type;
    struct span name, description, jurisdiction;
    uint32_t service_count;
    struct service service[CAP_SERVICES];
    /* dataset only */
    struct schema schema;
    struct span unit_column;                     /* empty: a row is a unit */
    enum budget_currency currency;
    uint64_t budget;                             /* in the currency's unit */
    uint64_t row_count;
    bool row_count_exact;
};
MUST_USE enum err ddo_parse(struct ddo **out, struct arena *arena, struct span bytes, struct json_fault *fault);

/* --- policy/1: an owner's minimum policy for one sealed content ------------------------------------------------------ */
enum export_policy { EXPORT_NONE, EXPORT_TO_ENCLAVE, EXPORT_ANY };
struct policy {
    struct hash32 hash;
    enum export_policy export;
    bool need_gpu;
    uint32_t jurisdiction_count;                 /* where the enclave may run; 0 = anywhere */
    struct span jurisdiction[CAP_JURISDICTIONS];
};
MUST_USE enum err policy_parse(struct policy **out, struct arena *arena, struct span bytes, struct json_fault *fault);

/* --- op/1 ------------------------------------------------------------------------------------------------------------ */
enum op_runtime { RUNTIME_SELECT, RUNTIME_SQL };
struct op {
    struct hash32 hash;                          /* the op's name */
    struct span name, description;
    enum op_runtime runtime;
    struct hash32 code;                          /* of the template the runtime ships */
    struct span output;                          /* output type it can emit: "aggregate" or "rows" */
};
MUST_USE enum err op_parse(struct op **out, struct arena *arena, struct span bytes, struct json_fault *fault);

/* --- workflow/1 ------------------------------------------------------------------------------------------------------ */
enum output_type { OUTPUT_AGGREGATE, OUTPUT_ROWS };
extern const char *const output_type_names[2];
enum privacy_scope { SCOPE_PER_OWNER, SCOPE_GLOBAL };
enum statistic_kind { STATISTIC_COUNT, STATISTIC_SUM };
struct group_column { struct span name; uint32_t domain_count; struct span domain[CAP_DOMAIN]; };
struct statistic {
    struct span name;
    enum statistic_kind kind;
    struct span column;          /* count: counts rows where it is not NULL; empty counts rows. sum: required */
    uint32_t places;             /* decimal places of the grid: the SELECT's value is cast to DECIMAL(18, places) */
    int64_t lower, upper;        /* sum: bounds in units of 10^-places; lower <= upper */
    uint64_t epsilon_nano;       /* this statistic's share */
};
/* A public arithmetic of released statistics: value = offset + numerator / denominator. */
struct derived { struct span name, numerator, denominator; };
struct step {
    struct hash32 op;
    enum op_runtime runtime;
    struct span select;          /* SQL over table `input` */
    uint32_t group_count, statistic_count, derived_count;
    struct group_column group[CAP_GROUPS];
    struct statistic statistic[CAP_STATISTICS];
    struct derived derived[CAP_STATISTICS];
    uint32_t rows_per_unit;      /* contribution limit */
    uint32_t cell_count;         /* product of the domains */
};
struct workflow_input { struct span name; struct node_id owner; struct dt dt; struct hash32 schema; };
struct workflow {
    struct compose_hash hash;
    struct span bytes;
    struct span name, description, engine, workers;
    struct dt app_id;
    uint32_t input_count;
    struct workflow_input input[CAP_INPUTS];
    uint32_t step_count;
    struct step *step;
    enum output_type output;
    uint32_t output_bytes_max;
    bool privacy_none;
    enum privacy_scope scope;
    struct span unit_column;     /* name of the SELECT's unit column; empty: a row is a unit */
    uint64_t epsilon_nano;       /* whole run; equals the sum over statistics */
    uint32_t owners_min;         /* k for this recipe: at least the charter's */
    bool accept_simulated, need_gpu;
    uint32_t requester_count, reader_count, jurisdiction_count;
    struct node_id requester[CAP_REQUESTERS], reader[CAP_REQUESTERS];
    struct span jurisdiction[CAP_JURISDICTIONS];
};
/* Beyond the schema: output `rows` needs `privacy: "none"`, epsilon adds up, inputs distinct, cells within caps. */
MUST_USE enum err workflow_parse(struct workflow **out, struct arena *arena, struct span bytes, struct json_fault *fault);
/* The plain-words rendering an approval signs the hash of: inputs, ops, output, cost, requesters, neighbouring relation. */
void workflow_render(struct buffer *out, const struct workflow *w, struct dt own_dataset);

/* --- manifest/1: the replaceable half of a sealed dataset ------------------------------------------------------------ */
struct manifest {
    struct hash32 hash;
    struct node_id owner;
    struct dt dt, app_id;
    struct compose_hash compose;
    struct content_id content;
    uint16_t suite;
    uint64_t plain_len, row_count;
    struct hash32 salt, commitment, root;
    struct hash32 leaves;        /* sha2-256 of the leaf list (32 bytes a chunk): a blob; each leaf is a chunk's BLAKE3 */
    uint32_t chunk_count;
    struct hash32 policy, root_key_id;
    uint8_t envelope[ENVELOPE_BYTES];
    struct span metadata;        /* sealed: reader options of the plaintext */
};
MUST_USE enum err manifest_parse(struct manifest **out, struct arena *arena, struct span bytes, struct json_fault *fault);
MUST_USE enum err manifest_write(struct buffer *out, const struct manifest *m);

/* --- output/1: what leaves an enclave --------------------------------------------------------------------------------- */
/* Written by the gate: fixed order and a fixed length (padded in "pad" to the workflow's max_bytes class). */

#endif
