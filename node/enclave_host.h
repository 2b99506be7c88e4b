/* enclave_host: the node's side of its enclaves: starts, feeds, watches and stops one worker process per run.
 * The host is the adversary of its own enclave (DESIGN §2): all it carries is opaque bytes, and all it learns from a worker
 * is frames, a few fixed lines of text and the fact that it ended.
 *
 * Rules:
 * - enclave_host_open starts one worker in the sandbox that only checks its walls. Where they cannot be put up the node
 *   offers no enclave: ERR_UNAVAILABLE, the reason is given back, and nothing is ever run without them.
 * - A frame is be32 length | bytes on a socket (PROTOCOL.md "Enclave frames"). What a worker sends is bounded before it is
 *   buffered; what is queued for one is bounded too; a worker that breaks the framing or stops reading is killed.
 * - Each enclave_host_start that returned OK ends in exactly one empty frame, once the process is gone and every descriptor
 *   of it is closed; only then may the run be started again (a later term).
 * - Stopping closes the worker's socket, on which it wipes and exits; after a grace it is killed. A worker dies with the
 *   node, however the node dies.
 * Threads: everything on the loop's thread; callbacks come from the loop and may call everything here but close.
 * Ownership: spans given to callbacks are valid during the call; what is sent is copied. */
#ifndef PERIGEE_NODE_ENCLAVE_HOST_H
#define PERIGEE_NODE_ENCLAVE_HOST_H

#include "proto/base/ids.h"

#include <uv.h>

enum {
    ENCLAVE_FRAME_IN_MAX = 5 << 20,     /* to the worker: FRAME_START with its bundle */
    ENCLAVE_FRAME_OUT_MAX = 128 << 10,  /* from the worker: a receipt's body is the largest */
    ENCLAVE_QUEUE_BYTES_MAX = 64 << 20, /* written and not yet read by one worker */
};

struct enclave_host;

struct enclave_host_options {
    uv_loop_t *loop;
    const char *executable; /* whose `enclave-worker` command is run; NULL: this process's own */
    const char *duckdb;     /* libduckdb.so; NULL or empty: where node/duckdb.h finds it */
    const char
        *spool; /* a folder for the ciphertext of inputs larger than memory_mb; NULL: they are refused */
    uint32_t memory_mb;     /* of each worker, plaintext included */
    uint32_t threads;       /* of each worker */
    uint32_t workers_max;   /* at once; 0: 8 */
    uint32_t stop_grace_ms; /* 0: 2000 */
    struct hash32 platform; /* enclave_platform_id of the advert */
    void *context;
    void (*frame)(void *context, struct run_id run, struct span frame); /* empty: the worker is gone */
    void (*log)(void *context, const char *line);                       /* NULL: nowhere */
};

/* The platform id of a machine from its name in the configuration: H("perigee/platform/v1", text). */
struct hash32 enclave_platform_id(const char *text);

/* Blocks until the check has ended (about a second). ERR_UNAVAILABLE; `why` receives one line for people. */
MUST_USE enum err enclave_host_open(struct enclave_host **out, const struct enclave_host_options *options,
                                    char *why, size_t cap);
uint32_t enclave_host_count(const struct enclave_host *h); /* workers that are there now */
/* ERR_BUSY: a worker of this run is still there. ERR_FULL: workers_max. ERR_UNAVAILABLE: could not be started. */
MUST_USE enum err enclave_host_start(struct enclave_host *h, struct run_id run, struct span start_frame);
/* No effect when the run has no worker. A full queue ends the worker. */
void enclave_host_send(struct enclave_host *h, struct run_id run, struct span frame);
void enclave_host_stop(struct enclave_host *h, struct run_id run);
/* Kills every worker; no frame is delivered any more. `closed` is called when none is left; `h` is freed before that. */
void enclave_host_close(struct enclave_host *h, void (*closed)(void *context), void *context);

#endif
