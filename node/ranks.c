#include "node/ranks.h"

#include "node/fault.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of Open MPI's mpirun, or of any launcher that speaks PMIx. */
static const char *rank_said(void)
{
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");
    return rank != NULL ? rank : getenv("PMIX_RANK");
}

static bool module_path(char *out, size_t cap)
{
    char program[PATH_MAX];
    const ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    if (len <= 0) return false;
    program[len] = 0;
    char *slash = strrchr(program, '/');
    if (slash == NULL) return false;
    *slash = 0;
    const int put = snprintf(out, cap, "%s/perigee-mpi.so", program);
    return put > 0 && (size_t)put < cap;
}

/* RTLD_GLOBAL: Open MPI loads parts of its own, which look for it. */
static const struct ranks_module *load(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    const struct ranks_module *module = library != NULL ? dlsym(library, RANKS_SYMBOL) : NULL;
    return module != NULL && module->version == RANKS_VERSION ? module : NULL;
}

enum err ranks_join(struct ranks *r, char *fault, size_t cap)
{
    char path[PATH_MAX];
    const char *said = rank_said();
    *r = (struct ranks){.size = 1};
    if (said == NULL) return OK;
    r->rank = (uint32_t)strtoul(said, NULL, 10);
    const struct ranks_module *module = module_path(path, sizeof path) ? load(path) : NULL;
    if (module == NULL)
        return fault_set(fault, cap, ERR_UNAVAILABLE,
                         "mpirun started this, and perigee was built without Open MPI (perigee-mpi.so is not "
                         "beside it): install libopenmpi-dev and build again, or start it without mpirun");
    if (!module->begin(&r->rank, &r->size))
        return fault_set(fault, cap, ERR_UNAVAILABLE, "Open MPI does not start: see what it says above");
    r->module = module;
    return OK;
}

bool ranks_send(const struct ranks *r, uint32_t to, struct span bytes)
{
    return r->module != NULL && r->module->send(to, bytes.data, bytes.len);
}

bool ranks_receive(const struct ranks *r, uint32_t *from, void *bytes, size_t cap, size_t *len)
{
    return r->module != NULL && r->module->receive(from, bytes, cap, len);
}

void ranks_leave(struct ranks *r)
{
    if (r->module != NULL) r->module->end();
    r->module = NULL;
}
