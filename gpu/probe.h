/* probe: what this machine's accelerator is, as far as it could be read. No claim beyond what was read: a
 * field that could not be read keeps its empty value, and `why` says what stopped the reading. The
 * confidential mode is what the local driver says through NVML. It is no evidence: proof is an attestation
 * report checked by crypto/evidence.h. Nothing here is secret; nothing here enters a run's result. Threads:
 * engine_probe may be called from any thread. Ownership: plain values. It loads libnvidia-ml.so.1 at run time
 * and unloads it again; a machine without it is no error. */
#ifndef PERIGEE_GPU_PROBE_H
#define PERIGEE_GPU_PROBE_H

#include <stdbool.h>
#include <stdint.h>

enum probe_confidential {
    PROBE_CONFIDENTIAL_UNKNOWN, /* NVML or its call is absent, or its answer made no sense */
    PROBE_CONFIDENTIAL_OFF,
    PROBE_CONFIDENTIAL_NOT_SECURE, /* on, but simulated or with developer tools enabled: protects nothing */
    PROBE_CONFIDENTIAL_ON,         /* on, production environment, developer tools off */
};

struct probe {
    bool cuda_built;  /* this binary holds the CUDA backend */
    bool cuda_device; /* and CUDA opened device 0 here */
    bool nvml;        /* NVML is present and answered */
    bool nvml_device; /* NVML knows the same device (or, without CUDA, a first device) */
    char name[96];
    char driver[80]; /* driver version, from NVML */
    uint64_t memory_bytes;
    uint32_t capability_major, capability_minor;
    enum probe_confidential confidential;
    char why[256]; /* what could not be read and why; "" when all was */
};

void engine_probe(struct probe *out);

/* NVML's three numbers (environment 0 none, 1 simulation, 2 production; feature; developer tools) as one
 * judgement. */
enum probe_confidential probe_judge(uint32_t environment, uint32_t feature, uint32_t developer_tools);
const char *probe_confidential_name(enum probe_confidential mode); /* "unknown", "off", "not-secure", "on" */

#endif
