/* workflow: a recipe, workflow/1 (PROTOCOL.md "workflow/1"). The hash of its bytes is the compose hash.
 * Rules beyond the schema, each so that what owners approve is all there is:
 * - output `aggregate` is made by the gate from `select` steps and their statistics; output `rows` is the
 * table of a step and needs privacy "none"; runtime `sql` needs output `rows`, since nobody can check that it
 * aggregates;
 * - under privacy, the statistics' epsilons add up to the workflow's, to the last digit; under "none" they
 * have none;
 * - without a unit column a row is a unit, and contributes itself: rows_per_unit is 1;
 * - datasets are distinct (one owner may bring several); the quorum is met by distinct owners among the
 * inputs;
 * - every statistic's noise scale is one the exact sampler can draw.
 * Privacy relation: neighbouring tables differ in one unit's rows, replaced by any others, at the same row
 * count. So a count over all groups changes by at most 2C (C = rows_per_unit) and a centred sum by at most C
 * * (upper - lower). Ownership: structures and spans live in the arena. Errors: the JSON reader's, with path
 * and what was expected. Pure. */
#ifndef PERIGEE_PROTO_WORKFLOW_H
#define PERIGEE_PROTO_WORKFLOW_H

#include "proto/base/arena.h"
#include "proto/base/caps.h"
#include "proto/base/ids.h"
#include "proto/base/json.h"
#include "proto/op.h"
#include "proto/parameters.h"

enum {
    WORKFLOW_SELECT_BYTES_MAX = 8192,
    WORKFLOW_PLACES_MAX = 9,
    WORKFLOW_ROWS_PER_UNIT_MAX = 4096,
    WORKFLOW_OUTPUT_BYTES_MIN = 256,
    WORKFLOW_OUTPUT_BYTES_MAX = 1 << 20,
    /* What render and diff can need at most. */
    WORKFLOW_RENDER_BYTES_MAX = 160 * 1024,
};
#define WORKFLOW_EPSILON_NANO_MAX INT64_C(1000000000000) /* 1000 */

enum privacy_scope { SCOPE_PER_OWNER, SCOPE_GLOBAL };
extern const char *const privacy_scope_names[2]; /* "per-owner", "global" */
enum statistic_kind { STATISTIC_COUNT, STATISTIC_SUM };
extern const char *const statistic_kind_names[2]; /* "count", "sum" */

struct group_column {
    struct span name;
    uint32_t domain_count;
    struct span domain[CAP_DOMAIN];
};

struct statistic {
    struct span name;
    enum statistic_kind kind;
    struct span column;    /* count: counts rows where it is not NULL; empty counts rows. sum: required */
    uint32_t places;       /* decimal places of the grid: the SELECT's value is cast to DECIMAL(18, places) */
    int64_t lower, upper;  /* sum: bounds in units of 10^-places; lower < upper */
    uint64_t epsilon_nano; /* this statistic's share; 0 when privacy is none */
};

/* A public arithmetic of released statistics: offset + numerator / denominator, where the offset is the
 * centre (lower + upper) / 2 of a numerator that is a sum, and 0 for a count. The denominator is a count. */
struct derived {
    struct span name, numerator, denominator;
};

struct step {
    struct hash32 op;
    enum op_runtime runtime;
    struct span select; /* SQL over table `input`; $name stands for a parameter's value */
    uint32_t group_count, statistic_count, derived_count;
    struct group_column group[CAP_GROUPS];
    struct statistic statistic[CAP_STATISTICS];
    struct derived derived[CAP_STATISTICS];
    uint32_t rows_per_unit; /* contribution limit; 0 for output rows */
    uint32_t cell_count;    /* product of the domains; 1 without groups */
};

struct workflow_input {
    struct span name;
    struct node_id owner;
    struct dt dt;
    struct hash32 schema;
};

struct workflow {
    struct compose_hash hash;
    struct span bytes;
    struct span name, description, engine, workers;
    struct dt app_id;
    uint32_t input_count;
    struct workflow_input input[CAP_INPUTS];
    uint32_t step_count;
    struct step *step;
    struct parameters parameters; /* what a requester chooses for each run */
    enum output_type output;
    uint32_t output_bytes_max;
    bool privacy_none;
    enum privacy_scope scope;
    struct span unit_column; /* name of the SELECT's unit column; empty: a row is a unit */
    uint64_t epsilon_nano;   /* whole run; equals the sum over statistics */
    uint32_t owners_min;     /* k for this recipe: at least the charter's */
    bool accept_simulated, accept_snp, accept_tdx, need_gpu;
    uint32_t requester_count, reader_count, jurisdiction_count;
    struct node_id requester[CAP_REQUESTERS], reader[CAP_REQUESTERS];
    struct span jurisdiction[CAP_JURISDICTIONS];
    bool has_extra;
    const struct json *extra; /* NULL when absent */
};

MUST_USE enum err workflow_parse(struct workflow **out, struct arena *arena, struct span bytes,
                                 struct json_fault *fault);
/* What a registry needs of it, in `kept`; spans borrow from `bytes`, which must stay. `extra` is left out. ERR_NO_MEMORY, or that it
 * is none. */
MUST_USE enum err workflow_keep(const struct workflow **out, struct json_room room, struct span bytes);
/* What that counts for (PROTOCOL.md "Kept"): the same in every program, and at least what it takes. */
size_t workflow_cost(const struct workflow *w);
/* The canonical bytes of the fields; hash, bytes and cell counts are not read. Parse what was written.
 * ERR_TOO_LARGE. */
MUST_USE enum err workflow_write(struct buffer *out, const struct workflow *w);

/* The integer a statistic releases changes by at most this much when one unit's rows are replaced: 2C for a
 * count; for a sum, which is released as the sum of 2 value - (lower + upper) in grid units (twice the
 * centred value, so that the centre is an integer), 2C (upper - lower). Noise scale = sensitivity * 10^9 /
 * epsilon_nano. */
uint64_t statistic_sensitivity(const struct statistic *s, uint32_t rows_per_unit);
/* That scale in lowest terms. ERR_RANGE when a term exceeds 2^56 (the sampler's limit) or epsilon is zero. */
MUST_USE enum err statistic_scale(const struct statistic *s, uint32_t rows_per_unit, uint64_t *numerator,
                                  uint64_t *denominator);
/* The index of a statistic of the step, or -1. */
int step_statistic(const struct step *s, struct span name);
/* How many different owners the inputs have. */
uint32_t workflow_owner_count(const struct workflow *w);

/* The plain-words rendering an approval signs the hash of: inputs, ops, output, cost, requesters,
 * neighbouring relation. Deterministic bytes: ASCII line feeds, no locale. `own_dataset` is the reader's;
 * zero when there is none. Needs WORKFLOW_RENDER_BYTES_MAX at most. */
void workflow_render(struct buffer *out, const struct workflow *w, struct dt own_dataset);
/* What changed from `old` (NULL: nothing was approved before) to `new_one`, a line per field. Same bound. */
void workflow_diff(struct buffer *out, const struct workflow *old, const struct workflow *new_one);

#endif
