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

static bool is_first_here(uint32_t rank)
{
    const char *local = getenv("OMPI_COMM_WORLD_LOCAL_RANK");
    return rank == 0 || (local != NULL && strcmp(local, "0") == 0);
}

/* RTLD_GLOBAL: Open MPI loads parts of its own, which look for it. */
static enum err load(struct ranks *r, const char *path, char *fault, size_t cap)
{
    if (access(path, F_OK) != 0)
        return fault_set(fault, cap, ERR_UNAVAILABLE,
                         "mpirun started this, and perigee was built without Open MPI (perigee-mpi.so is not "
                         "beside it): install libopenmpi-dev and build again, or start it without mpirun");
    void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (library == NULL)
        return fault_set(
            fault, cap, ERR_UNAVAILABLE,
            "mpirun started this, and perigee-mpi.so does not load (%s): install on this machine "
            "the Open MPI it was built with, or start it without mpirun",
            dlerror());
    const struct ranks_module *module = dlsym(library, RANKS_SYMBOL);
    if (module == NULL || module->version != RANKS_VERSION)
        return fault_set(fault, cap, ERR_UNAVAILABLE,
                         "mpirun started this, and the perigee-mpi.so beside perigee is of another version: "
                         "copy both from one build");
    r->module = module;
    return OK;
}

enum err ranks_join(struct ranks *r, char *fault, size_t cap)
{
    char path[PATH_MAX];
    const char *said = rank_said();
    *r = (struct ranks){.size = 1, .first_here = true};
    if (said == NULL) return OK;
    r->rank = (uint32_t)strtoul(said, NULL, 10);
    r->first_here = is_first_here(r->rank);
    if (!module_path(path, sizeof path)) path[0] = 0;
    TRY(load(r, path, fault, cap));
    if (r->module->begin(&r->rank, &r->size)) return OK;
    r->module = NULL;
    return fault_set(fault, cap, ERR_UNAVAILABLE, "Open MPI does not start: see what it says above");
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
