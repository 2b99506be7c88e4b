/* bench: how fast the group sums are, as ratios against what the same machine did in the same run: a plain
 * read of the same bytes on the CPU, a plain device-to-device copy on a CUDA device. Bare times of a shared
 * machine mean little. Ownership: none kept. Takes about 12 bytes of memory per row on each side. One thread.
 */
#ifndef PERIGEE_GPU_BENCH_H
#define PERIGEE_GPU_BENCH_H

#include "proto/base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* Best of several passes each, interleaved. Seconds are per pass over `row_count` rows of one measure. */
struct bench_group_sums {
    uint64_t row_count;
    uint32_t group_count;
    double cpu_seconds;
    double cpu_read_seconds; /* reading the same bytes once, adding them up */
    bool cuda;               /* a device passed its check; the fields below were measured */
    char device[112];
    double cuda_seconds;        /* from host memory to sums in host memory */
    double cuda_kernel_seconds; /* rows already in device memory */
    double cuda_copy_seconds;   /* device-to-device copy of cuda_copy_bytes / 2 bytes */
    uint64_t cuda_kernel_bytes; /* read by one kernel pass */
    uint64_t cuda_copy_bytes;   /* read plus written by one copy */
};

/* ERR_RANGE: no row, no group, or over the engine's caps. ERR_NO_MEMORY. ERR_UNAVAILABLE: a device failed
 * midway. */
MUST_USE enum err bench_group_sums(struct bench_group_sums *out, uint64_t row_count, uint32_t group_count);

#endif
