/* group_sums: the backends behind engine_group_sums, and the check that a device agrees with the CPU.
 * Arguments have passed the engine's checks: counts within caps, lower <= upper, no sum can leave int64.
 * The CPU backend is the reference: plain integers, private tables, no dependence on anything but its inputs.
 */
#ifndef PERIGEE_GPU_GROUP_SUMS_H
#define PERIGEE_GPU_GROUP_SUMS_H

#include "gpu/engine.h"

#include <stdbool.h>
#include <stddef.h>

MUST_USE enum err group_sums_cpu(const struct engine_rows *rows, const struct engine_measure *measures,
                                 uint32_t measure_count);

/* Any backend, as the check below calls it. */
typedef enum err (*group_sums_backend)(void *device, const struct engine_rows *rows,
                                       const struct engine_measure *measures, uint32_t measure_count);

/* Run the built-in cases (random and adversarial, fixed seed, each table size a backend treats differently)
 * on the backend and on the CPU. OK only if every sum and count is the same; ERR_CONFLICT when one differs;
 * the backend's own error when it fails. */
MUST_USE enum err group_sums_check(group_sums_backend backend, void *device);

/* --- CUDA (group_sums.cu). Without nvcc at build time these don't exist. ------------------------------- */
#ifdef PERIGEE_HAVE_CUDA
struct group_sums_cuda; /* one device, its buffers; one thread at a time */

struct group_sums_device {
    char name[96];
    char pci_bus_id[32];
    uint64_t memory_bytes;
    int32_t capability_major, capability_minor;
    int32_t driver_cuda_version, runtime_cuda_version; /* 13000 is 13.0 */
};

/* What CUDA says of device 0. ERR_UNAVAILABLE with CUDA's own words in `why`. */
MUST_USE enum err group_sums_cuda_describe(struct group_sums_device *out, char *why, size_t why_len);
MUST_USE enum err group_sums_cuda_open(struct group_sums_cuda **out, char *why, size_t why_len);
void group_sums_cuda_close(struct group_sums_cuda *device);
/* ERR_UNAVAILABLE when the device reports any error; its last words are in group_sums_cuda_why. */
MUST_USE enum err group_sums_cuda_run(void *device, const struct engine_rows *rows,
                                      const struct engine_measure *measures, uint32_t measure_count);
const char *group_sums_cuda_why(const struct group_sums_cuda *device);

/* Seconds per pass over rows that already lie in device memory: the kernel, and a plain device-to-device copy
 * of `copy_bytes` read plus as many written, in the same run. */
struct group_sums_timing {
    double kernel_seconds;
    double copy_seconds;
    uint64_t kernel_bytes; /* read per pass */
    uint64_t copy_bytes;   /* read plus written per pass */
};
MUST_USE enum err group_sums_cuda_time(struct group_sums_timing *out, struct group_sums_cuda *device,
                                       uint64_t row_count, uint32_t group_count);
#endif

#endif
