/* sandbox: what stands between a run's worker and the machine it runs on (DESIGN §9 "Enclave worker").
 *
 * Two walls, each checked from within before any key exists:
 * - bubblewrap, put up by the node: own user, process, network, IPC, host-name and cgroup namespaces; a root that is
 *   read-only and holds the system's shared libraries, this executable and DuckDB's library, and nothing else (no /etc but
 *   the loader's cache, no /dev, no /home, no data directory); no environment; no capabilities; gone when the node is gone.
 * - inside, put up by the worker itself once its libraries are loaded: resource limits, no core dump, not dumpable, and a
 *   seccomp allow-list: threads, memory, reading, memfds, the socket it already has. No new socket, no program, no process,
 *   no opening for writing, no executable memory, no ptrace. What is not on the list fails with EPERM and has no effect.
 * The program never runs a worker without both: where one cannot be put up the answer is ERR_UNAVAILABLE and the reason.
 *
 * The worker computes on the CPU. CUDA needs device nodes and a driver's ioctls, which would put the driver inside the
 * walls; this sandbox has none of that.
 *
 * Residuals. A node killed in the microseconds between two calls of bubblewrap's outer process leaves the inner one waiting
 * for ever, before it has started anything. The walls protect the host from the worker and the data from what the worker
 * runs; the machine's administrator stands outside them, and evidence of this driver is `simulated` and says so.
 * Threads: sandbox_command_make any; the others once, from the first thread. Errors: ERR_UNAVAILABLE and a line for
 * people in `why`, which depends on no data. */
#ifndef PERIGEE_NODE_SANDBOX_H
#define PERIGEE_NODE_SANDBOX_H

#include "proto/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SANDBOX_SOCKET = 3, /* the descriptors, beside the standard three, that cross the wall */
    SANDBOX_SPOOL = 4,  /* an empty file without a name, for ciphertext (spool.h); may be absent */
    SANDBOX_ARGUMENTS_MAX = 96,
    SANDBOX_TEXT_BYTES = 32768,
    SANDBOX_WHY_BYTES = 256,
};

/* Where things are inside. */
#define SANDBOX_EXECUTABLE "/perigee"
#define SANDBOX_LIBRARY    "/libduckdb.so"

struct sandbox_spec {
    const char *executable; /* host path of the program that runs inside */
    const char *library;    /* host path of libduckdb.so; NULL: none */
    const char *const *argument;
    uint32_t argument_count;
};

/* argv of bubblewrap, NULL-terminated; argv[0] is its path. Points into `text`: not to be copied. */
struct sandbox_command {
    char *argv[SANDBOX_ARGUMENTS_MAX + 1];
    uint32_t count;
    char text[SANDBOX_TEXT_BYTES];
    size_t used;
    bool overflow;
};

/* To be started in a session, and so a process group, of its own: --die-with-parent binds bubblewrap's processes to each
 * other only once they are set up, so whoever ends a worker kills the group (enclave_host.c). The program is process 1 of its
 * namespace: bubblewrap waits for it itself, so a worker that ends leaves no zombie to anybody.
 * bubblewrap is PERIGEE_BWRAP when that is set and not empty, and then nothing else; else the first `bwrap` of PATH.
 * ERR_UNAVAILABLE also when a file of the spec cannot be read; ERR_TOO_LARGE. */
MUST_USE enum err sandbox_command_make(struct sandbox_command *out, const struct sandbox_spec *spec,
                                       char *why, size_t why_len);

struct sandbox_limits {
    uint64_t memory_bytes; /* private memory beyond what is mapped when the limits are set */
    uint64_t file_bytes;   /* the largest file: a memfd, or the spool's */
};

/* Check the outer wall: the first thing a worker does. Closes every descriptor but the standard three, the socket and the
 * spool's file. */
MUST_USE enum err sandbox_check(char *why, size_t why_len);
/* Put up the inner wall and check that too. There is no way back. Load every library first. */
MUST_USE enum err sandbox_enter(const struct sandbox_limits *limits, char *why, size_t why_len);

#endif
