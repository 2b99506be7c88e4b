/* daemon: what its three files share. daemon_open.c opens its parts, daemon_executors.c does what the core says, daemon.c runs and ends
 * it and answers the API. */
#ifndef PERIGEE_NODE_DAEMON_STATE_H
#define PERIGEE_NODE_DAEMON_STATE_H

#include "node/api_certificate.h"
#include "node/api_common.h"
#include "node/api_health.h"
#include "node/blob_reads.h"
#include "node/core_loop.h"
#include "node/daemon.h"
#include "node/enclave_host.h"
#include "node/events.h"
#include "node/passphrase.h"
#include "node/pulse.h"
#include "node/sandbox.h"
#include "node/store_mark.h"
#include "node/supervisor.h"

enum { REPLIES_MAX = 1024 };

struct waiting {
    uint64_t token;
    daemon_done done;
    void *context;
};

struct daemon {
    uv_loop_t loop;
    uv_signal_t signals[2];
    struct home home;
    struct config *config;
    struct store *store;
    struct store_mark mark;
    enum silence silence; /* what the mark says */
    struct links *links;
    struct http *http;
    struct tls_end *tls;        /* of the API on TCP */
    int64_t certificate_ends_s; /* its certificate */
    enum api_certificate_state certificate_told;
    struct tokens *tokens;
    unsigned keeping; /* daemon_keep, not done */
    struct enclave_host *enclaves;
    char idle_why[512]; /* daemon_enclave_status */
    bool measured;      /* `measurement`, of the running program: its workers, unless its file was replaced */
    struct hash32 measurement;
    char enclaves_why[SANDBOX_WHY_BYTES]; /* configured, and why there are none */
    struct core_loop *core;
    struct pump_executors executors;
    bool stopping;
    struct waiting waiting[REPLIES_MAX];
    uint64_t token_next;
    struct blob_reads *blobs;
    unsigned open_parts;
    struct pulse pulse;
    struct supervisor supervisor;
    struct events *events;
    struct api_followers followers;
    bool told_bad[HEALTH_PART_COUNT]; /* who listens has heard that it is not well */
    struct share_watch shares;
    bool replaced_told;
    struct record_counts record_counts;
    uint64_t started_ms;
    uint64_t answers[CUSTODIAN_ASK_COUNT][REFUSAL_COUNT], commands[REFUSAL_COUNT], unsent_total;
    unsigned unsent; /* messages for which a peer's queue had no room, since the log said so */
    uint64_t unsent_said_ms;
};

/* daemon_executors.c */
void daemon_executors_begin(struct daemon *d);
void daemon_put_event(struct daemon *d, const char *type, const struct run_id *run,
                      json_t *data); /* takes data */
void daemon_on_blob(void *daemon, struct blob_read *read);

/* daemon_open.c. Home, store, core, links, API. Takes the passphrase: it is wiped when the keys are open. */
MUST_USE enum err daemon_open(struct daemon *d, const char *home, struct passphrase *passphrase, char *fault,
                              size_t cap);

#endif
