/* gate_output: output/1, the document that leaves an enclave (PROTOCOL.md "Output").
 * A function of released integers and the workflow alone: everything here is post-processing, nothing reads rows.
 * Rules: canonical JSON; every cell of the public domains, in cell order, empty or not; the length depends on the
 * workflow only: "pad" fills up to the length class, which is that of the longest possible document rounded up to whole
 * KiB, but not above output_bytes_max. Threads: any. Ownership: borrows. */
#ifndef PERIGEE_NODE_GATE_OUTPUT_H
#define PERIGEE_NODE_GATE_OUTPUT_H

#include "proto/document.h"

/* Largest magnitude of a released integer: what a JSON number holds exactly. */
#define GATE_VALUE_MAX INT64_C(9007199254740991)

struct gate_result {
    int64_t *value;                /* statistic_count times cell_count, statistic by statistic */
    int64_t bound[CAP_STATISTICS]; /* 95 % of the noise is no larger; 0 without noise */
};

/* The length class; for output rows max_bytes itself. ERR_TOO_LARGE when the longest document does not fit output_bytes_max. */
MUST_USE enum err gate_output_bytes(const struct workflow *w, size_t *bytes);
/* Writes exactly `bytes`, the length class; out must have room. One result per step. */
MUST_USE enum err gate_output_write(struct buffer *out, const struct workflow *w,
                                    const struct gate_result *results, size_t bytes);

#endif
