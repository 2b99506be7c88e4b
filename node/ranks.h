/* ranks: the processes of one `mpirun`, as far as a command shares its work with them.
 * Rules: Open MPI is in a module of its own, perigee-mpi.so beside the program, which is loaded only when mpirun's environment says that
 * it started this process: nothing else of perigee links it, waits for it or can fail by it. Messages between two ranks arrive in
 * their order. When a rank ends without ranks_leave, mpirun ends all of them.
 * Ownership: the caller's. Threads: one. */
#ifndef PERIGEE_NODE_RANKS_H
#define PERIGEE_NODE_RANKS_H

#include "proto/base/span.h"

/* What the module gives, under the name of RANKS_SYMBOL. The version changes with this struct. */
enum { RANKS_VERSION = 1 };
#define RANKS_SYMBOL "ranks_mpi"
struct ranks_module {
    uint32_t version;
    bool (*begin)(uint32_t *rank, uint32_t *size);
    bool (*send)(uint32_t to, const void *bytes, size_t len);
    bool (*receive)(uint32_t *from, void *bytes, size_t cap, size_t *len);
    void (*end)(void);
};

struct ranks {
    uint32_t rank, size; /* 0 of 1 without mpirun */
    bool first_here;     /* of those on this machine, as far as mpirun says */
    const struct ranks_module *module;
};

/* ERR_UNAVAILABLE, with one line for people: mpirun started this process, and there is no Open MPI here, or none that goes with this
 * program; `rank` and `first_here` are then what mpirun says. */
MUST_USE enum err ranks_join(struct ranks *r, char *fault, size_t cap);
/* To another rank. False: it could not be sent. */
bool ranks_send(const struct ranks *r, uint32_t to, struct span bytes);
/* A message that has come; false: none has. One that is longer than `cap` ends all ranks: they are of another version. */
bool ranks_receive(const struct ranks *r, uint32_t *from, void *bytes, size_t cap, size_t *len);
/* All ranks come here. */
void ranks_leave(struct ranks *r);

#endif
