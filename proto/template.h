/* template: what a step of an op may be, template/1 (PROTOCOL.md "template/1"): the code of a `select` op that emits
 * aggregates. A privacy step is declarative, so its template bounds how many group columns, counts, sums and derived values
 * it has; the gate does the rest. Stewards register an op with its template; whoever judges a run (request, vote, release,
 * commit, enclave, receipt) refuses a recipe with a step that goes beyond it.
 * Three ship with the program: count (how many, over everybody), mean (sums and the means made of them, over everybody) and
 * table (counts and means by public groups).
 * Ownership: structures and spans live in the arena. Errors: the JSON reader's, with path and what was expected. Pure. */
#ifndef PERIGEE_PROTO_TEMPLATE_H
#define PERIGEE_PROTO_TEMPLATE_H

#include "proto/base/arena.h"
#include "proto/base/caps.h"
#include "proto/base/ids.h"
#include "proto/base/json.h"

struct step;

/* X(symbol, key, the most any step may have) */
#define TEMPLATE_PART_TABLE(X)                                                                               \
    X(TEMPLATE_COUNTS, "counts", CAP_STATISTICS)                                                             \
    X(TEMPLATE_DERIVED, "derived", CAP_STATISTICS)                                                           \
    X(TEMPLATE_GROUPS, "groups", CAP_GROUPS)                                                                 \
    X(TEMPLATE_SUMS, "sums", CAP_STATISTICS)
#define TEMPLATE_PART_ENUM(symbol, key, most) symbol,
enum template_part { TEMPLATE_PART_TABLE(TEMPLATE_PART_ENUM) TEMPLATE_PART_COUNT };
#undef TEMPLATE_PART_ENUM
const char *template_part_name(enum template_part part);

struct template_bound {
    uint32_t least, most;
};
struct step_template {
    struct hash32 hash; /* of the bytes: `code` of op/1 */
    struct span bytes;
    struct span name;
    struct template_bound bound[TEMPLATE_PART_COUNT];
};

MUST_USE enum err template_parse(struct step_template **out, struct arena *arena, struct span bytes,
                                 struct json_fault *fault);
/* The canonical bytes of name and bounds. ERR_TOO_LARGE. */
MUST_USE enum err template_write(struct buffer *out, const struct step_template *t);

/* How many of this part a step has. */
uint32_t template_part_of(const struct step *s, enum template_part part);
/* The first part of the step that is out of bounds, or TEMPLATE_PART_COUNT when it fits. */
enum template_part template_misfit(const struct step_template *t, const struct step *s);

/* The templates that ship: name, description and bounds; NULL past the last. */
struct template_shipped {
    const char *name, *description;
    struct template_bound bound[TEMPLATE_PART_COUNT];
};
const struct template_shipped *template_shipped_at(uint32_t index);
const struct template_shipped *template_shipped_find(struct span name);
/* Its canonical bytes. ERR_TOO_LARGE. */
MUST_USE enum err template_shipped_write(struct buffer *out, const struct template_shipped *t);

#endif
