/* ddo: the description of an asset, ddo/1 (PROTOCOL.md "ddo/1"), and the schema of a dataset.
 * Rules: a dataset has its public facts (schema, unit, currency, budget, row count) and nothing else has
 * them; only composites and algorithms have children, every service of a composite at least one, and an
 * algorithm at most one service (it is the end of a chain); no asset is its own child. The document never
 * holds its own hash. Ownership: structures and spans live in the arena. Errors: the JSON reader's, with path
 * and what was expected. Pure. */
#ifndef PERIGEE_PROTO_DDO_H
#define PERIGEE_PROTO_DDO_H

#include "proto/base/arena.h"
#include "proto/base/caps.h"
#include "proto/base/ids.h"
#include "proto/base/json.h"

enum column_type { COLUMN_TEXT, COLUMN_INTEGER, COLUMN_DECIMAL, COLUMN_BOOLEAN, COLUMN_DATE };
extern const char *const column_type_names[5]; /* "text", "integer", "decimal", "boolean", "date" */
struct column {
    struct span name;
    enum column_type type;
};
struct schema {
    struct hash32 hash; /* sha2-256 of its canonical JSON array; zero when it did not come from a document */
    uint32_t column_count;
    struct column column[CAP_COLUMNS];
};
/* Fills in schema->hash from the columns. */
void schema_hash(struct schema *schema);
/* The index of a column, compared without regard to case (as SQL does), or -1. */
int schema_column(const struct schema *schema, struct span name);

enum asset_type { ASSET_DATASET, ASSET_COMPUTE, ASSET_ALGORITHM, ASSET_COMPOSITE };
extern const char *const asset_type_names[4];             /* "dataset", "compute", "algorithm", "composite" */
enum budget_currency { CURRENCY_EPSILON, CURRENCY_ZCDP }; /* nano epsilon; rho in 2^-40 */
extern const char *const budget_currency_names[2];        /* "epsilon", "zcdp" */

/* One way a composite service combines its children: an op for every child and, optionally, one of its own (`self`);
 * `configs` binds terms by name. A term that is absent is free; 0, false and "" are values; null is none. */
struct service_workflow {
    struct hash32 op[CAP_CHILDREN]; /* for service->child[i] */
    bool has_self;
    struct hash32 self_op;      /* one of the service's own ops */
    const struct json *configs; /* an object of integers, booleans and strings */
};

struct service {
    struct span type, endpoint;
    uint32_t child_count, op_count, workflow_count;
    struct dt child[CAP_CHILDREN];
    struct hash32 op[CAP_OPS_IN_GRANT];
    struct service_workflow *workflow;
};

struct ddo {
    struct hash32 hash; /* sha2-256 of the bytes: the proof */
    struct span bytes;
    struct dt dt;
    enum asset_type type;
    struct span name, description, jurisdiction;
    uint32_t service_count;
    struct service *service;
    /* dataset only */
    struct schema schema;
    struct span unit_column; /* empty: a row is a unit */
    enum budget_currency currency;
    uint64_t budget; /* in the currency's unit */
    uint64_t row_count;
    bool row_count_exact;
    const struct json *extra; /* NULL when absent */
};

MUST_USE enum err ddo_parse(struct ddo **out, struct arena *arena, struct span bytes,
                            struct json_fault *fault);
/* What a registry needs of it, in `kept`; spans borrow from `bytes`, which must stay. `extra` and the services' workflows are checked and left out. ERR_NO_MEMORY, or that it
 * is none. */
MUST_USE enum err ddo_keep(const struct ddo **out, struct json_room room, struct span bytes);
/* What that counts for (PROTOCOL.md "Kept"): the same in every program, and at least what it takes. */
size_t ddo_cost(const struct ddo *d);
/* The canonical bytes of the fields; hash and bytes are not read. Parse what was written. ERR_TOO_LARGE. */
MUST_USE enum err ddo_write(struct buffer *out, const struct ddo *d);

#endif
