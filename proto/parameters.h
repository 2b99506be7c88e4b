/* parameters: what the requester of a run chooses, within what owners approved (PROTOCOL.md "workflow/1", Parameters).
 * Rules:
 * - a workflow declares them, in the order of their names: whole numbers between two bounds, or texts of a list. Whatever is
 *   chosen has the sensitivity that was approved: a SELECT is row-wise whatever constants stand in it;
 * - a run names one value for each, and no default exists: what a run computed is all in its record;
 * - parameters_choose is the one judge of a run's values. Request, vote, release, commit, enclave and receipt come to it
 *   through registry_check_run, so they cannot disagree. A choice has one spelling (canonical JSON), which the run id pins.
 * Ownership: a declaration lives in its document's arena; a choice borrows from the declaration, not from the bytes read.
 * Errors: the JSON reader's, with path and what was expected. Pure. */
#ifndef PERIGEE_PROTO_PARAMETERS_H
#define PERIGEE_PROTO_PARAMETERS_H

#include "proto/base/arena.h"
#include "proto/base/caps.h"
#include "proto/base/json.h"

enum {
    PARAMETERS_BYTES_MAX = 4096, /* of a choice; the longest that can be declared has about 3,200 */
    PARAMETERS_SCRATCH_BYTES = 34 * PARAMETERS_BYTES_MAX,
};

enum parameter_type { PARAMETER_INTEGER, PARAMETER_TEXT };
extern const char *const parameter_type_names[2]; /* "integer", "text" */

struct parameter {
    struct span name;
    enum parameter_type type;
    int64_t lower, upper; /* integer */
    uint32_t domain_count;
    struct span domain[CAP_DOMAIN]; /* text */
};
struct parameters {
    uint32_t count; /* 0: the requester chooses nothing */
    struct parameter *parameter;
};

struct parameter_choice {
    const struct parameters *of;
    struct {
        int64_t integer;
        struct span text;
    } value[CAP_PARAMETERS]; /* of->count, in their order */
};

/* The optional member "parameters" of a workflow. ERR_NO_MEMORY, or the reader's error. */
MUST_USE enum err parameters_read(struct parameters *out, struct arena *arena, struct json_reader *workflow);
void parameters_write(struct json_writer *out, const struct parameters *p); /* nothing when there are none */

/* Are `bytes` (a run's) one value for each parameter, and no more? `scratch` lends PARAMETERS_SCRATCH_BYTES for the time of
 * the call; ERR_NO_MEMORY when it cannot, which says nothing about the bytes. `fault` may be NULL. */
MUST_USE enum err parameters_choose(struct parameter_choice *out, const struct parameters *p,
                                    struct arena *scratch, struct span bytes, struct json_fault *fault);
/* The index of a parameter, or -1. */
int parameters_find(const struct parameters *p, struct span name);

#endif
