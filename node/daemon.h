/* daemon: one running node. A libuv loop owns the core; store, keyed work, bulk reads and the enclave run elsewhere and
 * come back as events (DESIGN §7, §11, §14). Everything here runs on the loop's thread unless it says otherwise.
 * Start: open home, lock, store; read records and promises back into the core; then links, API, ticks.
 * Stop (SIGTERM, SIGINT): API, links, enclaves, store, in this order; nothing acknowledged is lost. */
#ifndef PERIGEE_NODE_DAEMON_H
#define PERIGEE_NODE_DAEMON_H

#include "node/api.h"
#include "node/config.h"
#include "node/home.h"
#include "node/http.h"
#include "node/keyed_pool.h"
#include "node/link.h"
#include "node/share_watch.h"
#include "node/token.h"
#include "proto/pump.h"
#include "storage/store.h"

struct daemon;

/* Run until a signal. `passphrase_file` as in passphrase.h, or NULL; what it holds is wiped when the keys are open.
 * Returns an exit code. */
int daemon_run(const char *home_path, const char *passphrase_file);

/* --- For the API ------------------------------------------------------------------------------------------------------ */
struct core *daemon_core(struct daemon *d);
const struct home *daemon_home(const struct daemon *d);
/* The platform id of this machine, where it is configured to compute. */
bool daemon_platform(const struct daemon *d, struct hash32 *out);
struct store *daemon_store(struct daemon *d);
void daemon_link_status(const struct daemon *d, struct links_status *out);
/* Is there a link with this peer through another node, and through which? */
bool daemon_link_via(const struct daemon *d, struct node_id peer, struct node_id *relay);
struct enclaves_status {
    uint32_t running, most; /* most is 0 on a node that offers none */
    const char *why;        /* it should compute and cannot: why; else NULL */
};
void daemon_enclave_status(struct daemon *d, struct enclaves_status *out);
/* What this node has counted since it started, and what waits in it now. */
struct daemon_measures {
    uint64_t answers[CUSTODIAN_ASK_COUNT][REFUSAL_COUNT]; /* as a custodian: given (none) and refused */
    uint64_t commands[REFUSAL_COUNT];                     /* of the API, to the core */
    uint64_t unsent;                                      /* messages for which a peer's queue had no room */
    uint64_t started_ms, lag_max_ns, lag_total_ns, beats; /* wall clock; pulse.h */
    uint32_t followers;
    uint64_t events;
    uint32_t keyed, blob_reads, in_flight; /* work on other threads */
    enum err store_err;                    /* core_loop_store_error */
    struct http_load http;
};
/* Chained records among the first `seen` entries of the core's chain, by kind; who shows them counts on. */
enum { RECORD_KIND_MAX = 64 };
struct record_counts {
    uint32_t seen;
    uint64_t held[RECORD_KIND_MAX];
};
struct record_counts *daemon_record_counts(struct daemon *d);
void daemon_measures(const struct daemon *d, struct daemon_measures *out);
struct events *daemon_events(struct daemon *d);
struct api_followers *daemon_followers(struct daemon *d);
struct tokens *daemon_tokens(struct daemon *d);
const struct share_watch *daemon_share_watch(const struct daemon *d);
/* When the certificate of the API on TCP ends; false: there is none. */
bool daemon_certificate(const struct daemon *d, int64_t *ends_s);
const char *daemon_api_address(const struct daemon *d); /* on TCP, or NULL */
/* Write a local value of this node's (an empty one deletes it), copied; `done` runs on the loop thread when it is durable. */
void daemon_keep(struct daemon *d, struct span key, struct span value,
                 void (*done)(void *context, enum err err), void *context);
uint64_t daemon_wall_ms(void);
/* Give the core a command; `done` runs when it answers (on the loop thread, after this returns). */
typedef void (*daemon_done)(void *context, struct verdict verdict, struct hash32 id);
void daemon_command(struct daemon *d, const struct command *command, daemon_done done, void *context);
/* Keyed work of the API's own (approval signatures, opening an output) on a worker thread. */
void daemon_keyed(struct daemon *d, const struct crypto_job *job, keyed_done done, void *context);

#endif
