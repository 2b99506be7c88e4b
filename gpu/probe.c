#include "gpu/probe.h"

#include "gpu/group_sums.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

/* The part of NVML we call, declared here because its header is no build requirement. 0 is success
 * everywhere. */
enum { NVML_OK = 0 };
struct nvml_memory {
    uint64_t total, free, used;
};
struct nvml_confidential {
    uint32_t environment, feature, developer_tools;
};

struct nvml {
    void *library;
    int (*init)(void);
    int (*shutdown)(void);
    const char *(*error_text)(int);
    int (*driver_version)(char *, unsigned int);
    int (*device_by_index)(unsigned int, void **);
    int (*device_by_bus)(const char *, void **);
    int (*device_name)(void *, char *, unsigned int);
    int (*device_memory)(void *, struct nvml_memory *);
    int (*device_capability)(void *, int *, int *);
    int (*confidential_state)(struct nvml_confidential *); /* NULL in drivers older than the feature */
};

static void add_why(struct probe *p, const char *what, const char *because)
{
    size_t used = strlen(p->why);
    (void)snprintf(p->why + used, sizeof p->why - used, "%s%s: %s", used > 0 ? "; " : "", what, because);
}

/* ISO C has no cast from an object pointer to a function pointer; POSIX promises that the bits fit. */
static bool load(void *library, const char *symbol, void *function, size_t size)
{
    void *found = dlsym(library, symbol);
    memcpy(function, &found, size);
    return found != NULL;
}
#define LOAD(n, symbol, field) load((n)->library, (symbol), &(n)->field, sizeof((n)->field))

static bool load_symbols(struct nvml *n)
{
    (void)LOAD(n, "nvmlSystemGetConfComputeState", confidential_state);
    return LOAD(n, "nvmlInit_v2", init) && LOAD(n, "nvmlShutdown", shutdown) &&
           LOAD(n, "nvmlErrorString", error_text) && LOAD(n, "nvmlSystemGetDriverVersion", driver_version) &&
           LOAD(n, "nvmlDeviceGetHandleByIndex_v2", device_by_index) &&
           LOAD(n, "nvmlDeviceGetHandleByPciBusId_v2", device_by_bus) &&
           LOAD(n, "nvmlDeviceGetName", device_name) && LOAD(n, "nvmlDeviceGetMemoryInfo", device_memory) &&
           LOAD(n, "nvmlDeviceGetCudaComputeCapability", device_capability);
}

static bool nvml_open(struct nvml *n, struct probe *p)
{
    n->library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (n->library == NULL) {
        const char *reason = dlerror();
        add_why(p, "NVML", reason != NULL ? reason : "libnvidia-ml.so.1 did not load");
        return false;
    }
    int result = NVML_OK;
    bool loaded = load_symbols(n);
    if (loaded) result = n->init();
    if (loaded && result == NVML_OK) return true;
    add_why(p, "NVML", loaded ? n->error_text(result) : "the library lacks a function this program needs");
    (void)dlclose(n->library);
    return false;
}

static void nvml_close(struct nvml *n)
{
    (void)n->shutdown();
    (void)dlclose(n->library);
}

static void read_confidential(struct probe *p, const struct nvml *n)
{
    struct nvml_confidential state = {0, 0, 0};
    if (n->confidential_state == NULL) {
        add_why(p, "confidential mode", "the driver has no call for it");
        return;
    }
    int result = n->confidential_state(&state);
    if (result != NVML_OK) {
        add_why(p, "confidential mode", n->error_text(result));
        return;
    }
    p->confidential = probe_judge(state.environment, state.feature, state.developer_tools);
    if (p->confidential == PROBE_CONFIDENTIAL_UNKNOWN)
        add_why(p, "confidential mode", "the driver's answer has no meaning here");
}

static void read_device(struct probe *p, const struct nvml *n, void *device)
{
    struct nvml_memory memory = {0, 0, 0};
    int major = 0;
    int minor = 0;
    p->nvml_device = true;
    if (!p->cuda_device) { /* CUDA's own answers, where there are any, are about the device we would use */
        if (n->device_name(device, p->name, sizeof p->name) != NVML_OK) p->name[0] = '\0';
        if (n->device_memory(device, &memory) == NVML_OK) p->memory_bytes = memory.total;
        if (n->device_capability(device, &major, &minor) == NVML_OK && major > 0 && minor >= 0) {
            p->capability_major = (uint32_t)major;
            p->capability_minor = (uint32_t)minor;
        }
    }
    read_confidential(p, n);
}

static void read_nvml(struct probe *p, const char *pci_bus_id)
{
    struct nvml n = {0};
    void *device = NULL;
    if (!nvml_open(&n, p)) return;
    p->nvml = true;
    if (n.driver_version(p->driver, sizeof p->driver) != NVML_OK) p->driver[0] = '\0';
    int result = pci_bus_id[0] != '\0' ? n.device_by_bus(pci_bus_id, &device) : n.device_by_index(0, &device);
    if (result == NVML_OK)
        read_device(p, &n, device);
    else
        add_why(p, "NVML device", n.error_text(result));
    nvml_close(&n);
}

#ifdef PERIGEE_HAVE_CUDA
static void read_cuda(struct probe *p, char pci_bus_id[32])
{
    struct group_sums_device device;
    char why[192] = "";
    p->cuda_built = true;
    if (group_sums_cuda_describe(&device, why, sizeof why) != OK) {
        add_why(p, "CUDA device", why);
        return;
    }
    p->cuda_device = true;
    (void)snprintf(p->name, sizeof p->name, "%s", device.name);
    (void)snprintf(pci_bus_id, 32, "%s", device.pci_bus_id);
    p->memory_bytes = device.memory_bytes;
    p->capability_major = (uint32_t)device.capability_major;
    p->capability_minor = (uint32_t)device.capability_minor;
}
#else
static void read_cuda(struct probe *p, char pci_bus_id[32])
{
    pci_bus_id[0] = '\0';
    add_why(p, "CUDA", "this build has no CUDA backend");
}
#endif

void engine_probe(struct probe *out)
{
    char pci_bus_id[32] = "";
    memset(out, 0, sizeof *out);
    read_cuda(out, pci_bus_id);
    read_nvml(out, pci_bus_id);
}

enum probe_confidential probe_judge(uint32_t environment, uint32_t feature, uint32_t developer_tools)
{
    enum { PRODUCTION = 2 };
    if (environment > PRODUCTION || feature > 1 || developer_tools > 1) return PROBE_CONFIDENTIAL_UNKNOWN;
    if (feature == 0) return PROBE_CONFIDENTIAL_OFF;
    if (environment != PRODUCTION || developer_tools != 0) return PROBE_CONFIDENTIAL_NOT_SECURE;
    return PROBE_CONFIDENTIAL_ON;
}

const char *probe_confidential_name(enum probe_confidential mode)
{
    switch (mode) {
    case PROBE_CONFIDENTIAL_UNKNOWN: return "unknown";
    case PROBE_CONFIDENTIAL_OFF: return "off";
    case PROBE_CONFIDENTIAL_NOT_SECURE: return "not-secure";
    case PROBE_CONFIDENTIAL_ON: return "on";
    }
    return "unknown";
}
