#include "crypto/secret.h"
#include "crypto/tls.h"
#include "node/daemon_state.h"
#include "node/fault.h"
#include "node/file.h"
#include "node/kept.h"
#include "node/listening.h"
#include "node/log.h"
#include "node/measure.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

/* --- What links and enclaves say -------------------------------------------------------------------------------- */

static enum link_standing standing(void *context, struct node_id node)
{
    const struct registry *r = core_registry(core_loop_core(((struct daemon *)context)->core));
    const struct member *m = registry_member(r, node);
    if (m == NULL) return LINK_STRANGER;
    if (m->admission != NULL) return LINK_DEVICE;
    return charter_custodian(registry_charter_bytes(r), node) >= 0 ? LINK_CUSTODIAN : LINK_MEMBER;
}

/* Those that this node should be linked with, also where it can dial none of them. */
static uint32_t members(void *context, struct node_id *out, uint32_t cap)
{
    struct core *core = core_loop_core(((struct daemon *)context)->core);
    const struct registry *r = core_registry(core);
    const struct member *m;
    uint32_t at = 0, count = 0;
    while (count < cap && (m = registry_member_next(r, &at)) != NULL && m->admission == NULL)
        if (core_party(core, m->node)) out[count++] = m->node; /* devices come last, and are none */
    return count;
}

static void feed(struct daemon *d, const struct event *event)
{
    core_loop_feed(d->core, event);
}

static void on_link_up(void *context, struct node_id peer)
{
    feed(context, &(struct event){.type = EVENT_PEER_UP, .peer = peer});
}

static void on_link_down(void *context, struct node_id peer, const char *reason)
{
    (void)reason;
    feed(context, &(struct event){.type = EVENT_PEER_DOWN, .peer = peer});
}

static void on_link_message(void *context, struct node_id peer, struct span message)
{
    feed(context, &(struct event){.type = EVENT_MESSAGE, .peer = peer, .bytes = message});
}

static void on_log(void *context, const char *line)
{
    (void)context;
    log_pass_on(LOG_OTHER, span_text(line));
}

static void on_enclave_frame(void *context, struct run_id run, struct span frame)
{
    feed(context, &(struct event){.type = EVENT_ENCLAVE, .run = run, .bytes = frame});
}

/* --- Restore ---------------------------------------------------------------------------------------------------------------------- */

static enum err restore_record(void *context, struct span key, struct span value)
{
    struct daemon *d = context;
    static uint8_t bytes[CAP_BODY_BYTES + 1024];
    struct buffer packed = BUFFER_OF(bytes);
    (void)value;
    const bool whole = kept_record(d->store, &packed, key) == OK;
    feed(d, whole ? &(struct event){.type = EVENT_RESTORE_RECORD, .bytes = buffer_span(&packed)}
                  : &(struct event){.type = EVENT_RESTORE_LOST, .key = key});
    return OK;
}

static enum err restore_promise(void *context, struct span key, struct span value)
{
    struct span sound;
    const bool whole = kept_promise(&sound, key, value) == OK;
    feed(context,
         &(struct event){.type = EVENT_RESTORE_PROMISE, .key = key, .bytes = whole ? sound : SPAN_NONE});
    return OK;
}

static enum err restore_local(void *context, struct span key, struct span value)
{
    struct daemon *d = context;
    tokens_restore(d->tokens, key, value);
    feed(context, &(struct event){.type = EVENT_RESTORE_LOCAL, .key = key, .bytes = value});
    return OK;
}

static enum err restore(struct daemon *d)
{
    d->tokens = tokens_new();
    d->events = events_new();
    if (d->tokens == NULL || d->events == NULL) return ERR_NO_MEMORY;
    TRY(store_scan(d->store, STORE_LOCAL, SPAN_NONE, restore_local, d));
    TRY(store_scan(d->store, STORE_PROMISE, SPAN_NONE, restore_promise, d));
    TRY(store_scan(d->store, STORE_CHAIN, SPAN_NONE, restore_record, d));
    feed(d, &(struct event){.type = EVENT_READY});
    return OK;
}

/* --- Parts ---------------------------------------------------------------------------------------------------- */

/* A node that cannot record does the rest all the same. */
static struct recorder *open_recorder(const struct daemon *d, const struct core_options *options)
{
    char path[PATH_MAX];
    struct recorder *r;
    const struct config_recording *c = d->config->recording;
    if (c == NULL) return NULL;
    home_path(path, &d->home, c->file);
    const enum err err = recorder_open(&r, path, (uint64_t)c->mb << 20, options);
    if (err == OK)
        log_say(LOG_RECORDING_BEGUN, "what this node's core is told is recorded in %s, up to %u MiB", path,
                c->mb);
    else
        log_say(LOG_RECORDING_STOPPED, "nothing is recorded, the node goes on: %s: %s", path, file_why(err));
    return r;
}

static enum err open_core(struct daemon *d)
{
    struct core_options options = {.self = d->home.node,
                                   .consortium = d->home.consortium,
                                   .charter = span_make(d->home.charter, d->home.charter_len),
                                   .announce = d->config->announce != NULL ? span_text(d->config->announce)
                                                                           : SPAN_NONE,
                                   .silence = d->silence,
                                   .caps = d->config->caps};
    random_fill(&options.salt, sizeof options.salt);
    if (d->enclaves != NULL) {
        options.compute = true;
        options.enclaves_max = d->config->compute->enclaves;
        options.engine = SPAN_LITERAL("int-gate/1");
        options.gpu = SPAN_LITERAL("");
        options.platform = enclave_platform_id(d->config->compute->platform);
    }
    const struct core_loop_options loop = {
        &d->loop, &d->home, d->store, &options, &d->executors, on_log, open_recorder(d, &options)};
    const enum err err = core_loop_open(&d->core, &loop);
    if (err != OK) recorder_close(loop.recorder, NULL);
    return err;
}

/* Where enclaves are offered, they look for it themselves; elsewhere only commands do, long after the start. */
static void tell_duckdb(const struct daemon *d)
{
    const struct config *c = d->config;
    if (c->compute == NULL && c->duckdb != NULL && access(c->duckdb, R_OK) != 0)
        log_say(
            LOG_DUCKDB_MISSING,
            "duckdb: expected libduckdb.so at %s, where perigee.yaml says; it is not there, so commands that "
            "check SQL fail here",
            c->duckdb);
}

/* A member that cannot put up the walls now is still a member: it offers no enclave, and its status says why. */
static void open_enclaves(struct daemon *d)
{
    const struct config_compute *compute = d->config->compute;
    if (compute == NULL) return;
    struct enclave_host_options options = {
        .loop = &d->loop,
        .memory_mb = compute->memory_mb,
        .threads = compute->threads,
        .workers_max = 2 * compute->enclaves, /* one that is being wiped does not keep the next out */
        .platform = enclave_platform_id(compute->platform),
        .duckdb = d->config->duckdb,
        .spool = d->home.path,
        .context = d,
        .frame = on_enclave_frame,
        .log = on_log};
    d->measured = measure_self(&d->measurement) == OK;
    if (enclave_host_open(&d->enclaves, &options, d->enclaves_why, sizeof d->enclaves_why) == OK) return;
    log_say(LOG_ENCLAVE_UNAVAILABLE, "enclaves are not available here: %s", d->enclaves_why);
}

/* In words of its own; what takes the place meanwhile is said by who listens. */
static enum err check_listening(const char *address, const char *key, char *fault, size_t cap)
{
    char why[400];
    if (address == NULL) return OK;
    const enum err err = listening_check(address, why, sizeof why);
    return err == OK
               ? OK
               : fault_set(fault, cap, err, "cannot listen on %s; correct `%s` in perigee.yaml", why, key);
}

static enum err open_links(struct daemon *d, char *fault, size_t cap)
{
    struct links_options options = {.loop = &d->loop,
                                    .self = d->home.node,
                                    .identity = d->home.identity,
                                    .link_secret = d->home.link,
                                    .consortium = d->home.consortium,
                                    .listen = d->config->listen,
                                    .places = d->config->caps->peers,
                                    .context = d,
                                    .standing = standing,
                                    .members = members,
                                    .up = on_link_up,
                                    .down = on_link_down,
                                    .message = on_link_message,
                                    .log = on_log};
    if (d->config->relay != NULL) {
        options.relay_tunnels = d->config->relay->tunnels;
        options.relay_bytes_a_second = d->config->relay->mb_a_second << 20;
    }
    TRY(check_listening(d->config->listen, "listen", fault, cap));
    enum err err = links_open(&d->links, &options);
    if (err != OK)
        return fault_set(fault, cap, err, "cannot listen on %s: %s; choose a free address in perigee.yaml",
                         d->config->listen != NULL ? d->config->listen : "(none)", err_text(err));
    for (unsigned i = 0; i < d->config->peers_count; i++) {
        struct node_id expected = {{0}};
        const char *node = d->config->peers[i].node;
        if (node != NULL && hex_decode(expected.bytes, 32, span_text(node)) != OK)
            return fault_set(fault, cap, ERR_SYNTAX,
                             "peer %s: node must be 64 lower-case hex digits, came \"%s\"",
                             d->config->peers[i].address, node);
        TRY(links_dial(d->links, d->config->peers[i].address, expected));
    }
    return OK;
}

static enum err authorize(void *context, struct span token, uint32_t *scopes)
{
    return tokens_check(((struct daemon *)context)->tokens, token, daemon_wall_ms(), scopes);
}

static enum err open_api(struct daemon *d, char *fault, size_t cap)
{
    char path[PATH_MAX];
    const struct config_api *api = d->config->api;
    home_path(path, &d->home, "api.sock");
    if (api != NULL && !api->plaintext)
        TRY(api_certificate_open(&d->tls, &d->certificate_ends_s, &d->home, api, fault, cap));
    struct http_options options = {.loop = &d->loop,
                                   .socket_path = path,
                                   .routes = api_routes,
                                   .context = d,
                                   .listen = api != NULL ? api->listen : NULL,
                                   .tls = d->tls,
                                   .authorize = authorize};
    TRY(home_check_socket(&d->home, fault, cap));
    TRY(check_listening(options.listen, "api.listen", fault, cap));
    enum err err = http_open(&d->http, &options);
    if (err != OK)
        return fault_set(fault, cap, err, "cannot serve the API on %s%s%s: %s", path,
                         api != NULL ? " and " : "", api != NULL ? api->listen : "", err_text(err));
    if (api == NULL) return OK;
    log_say(LOG_API_LISTENING, "the API listens on %s%s", http_address(d->http),
            d->tls == NULL ? ", without TLS" : "");
    return OK;
}

static enum err open_store(struct daemon *d, char *fault, size_t cap)
{
    char path[PATH_MAX];
    home_path(path, &d->home, "store.mark");
    store_mark_open(&d->mark, path, d->home.node);
    home_path(path, &d->home, "store");
    struct lmdb_options options = {.path = path,
                                   .map_bytes = (uint64_t)d->config->store->map_gb << 30,
                                   .committed = store_mark_follow,
                                   .context = &d->mark};
    enum err err = lmdb_store_open(&d->store, &options);
    return err == OK
               ? OK
               : fault_set(fault, cap, err, "cannot open the store %s: %s", path, lmdb_store_open_text(err));
}

/* Before anything is written: is it the store that this key last signed with? */
static enum err settle_mark(struct daemon *d, char *fault, size_t cap)
{
    struct store_status status;
    enum err err = store_status(d->store, &status);
    if (err == OK) err = store_mark_settle(&d->mark, &d->silence, &status);
    return err == OK
               ? OK
               : fault_set(fault, cap, err, "cannot use %s/store.mark: %s", d->home.path, file_why(err));
}

/* Takes the passphrase: it is wiped when the keys are open. */
static enum err open_home(struct daemon *d, const char *path, struct passphrase *passphrase, char *fault,
                          size_t cap)
{
    char config[PATH_MAX];
    enum err err = home_open(&d->home, path, passphrase_span(passphrase), fault, cap);
    passphrase_free(passphrase);
    TRY(err);
    if (d->home.charter == NULL)
        return fault_set(fault, cap, ERR_NOT_READY,
                         "%s belongs to no consortium yet: run `perigee consortium join --data %s CHARTER`",
                         path, path);
    TRY(home_lock(&d->home, fault, cap));
    home_path(config, &d->home, "perigee.yaml");
    TRY(config_load(&d->config, config, fault, cap));
    log_begin(d->config->log->most, d->config->log->json, d->home.node);
    return OK;
}

/* The store remembers which consortium it belongs to: another charter.json beside it is refused, not followed. */
static enum err check_consortium(struct daemon *d, char *fault, size_t cap)
{
    static const char name[] = "consortium";
    uint8_t bytes[32];
    struct buffer known = BUFFER_OF(bytes);
    enum err err = store_read(d->store, STORE_LOCAL, SPAN_LITERAL(name), &known);
    if (err == ERR_NOT_FOUND) {
        struct store_write write = {STORE_PUT, STORE_LOCAL, SPAN_LITERAL(name), ID_SPAN(d->home.consortium)};
        err = store_write_now(d->store, &write, 1);
    } else if (err == OK && !span_equal(buffer_span(&known), ID_SPAN(d->home.consortium))) {
        return fault_set(
            fault, cap, ERR_CONSORTIUM,
            "charter.json is not the charter this node was founded with: put the first one back");
    }
    return err == OK ? OK : fault_set(fault, cap, err, "cannot use the store: %s", err_text(err));
}

static enum err open_parts(struct daemon *d, char *fault, size_t cap)
{
    TRY(open_store(d, fault, cap));
    TRY(settle_mark(d, fault, cap));
    TRY(check_consortium(d, fault, cap));
    const struct blob_reads_options blobs = {&d->loop, d->store, d, daemon_on_blob};
    open_enclaves(d);
    tell_duckdb(d);
    enum err err = blob_reads_open(&d->blobs, &blobs);
    if (err == OK) err = open_core(d);
    if (err == OK) err = restore(d);
    if (err != OK) return fault_set(fault, cap, err, "cannot start: %s", err_text(err));
    TRY(open_links(d, fault, cap));
    return open_api(d, fault, cap);
}

enum err daemon_open(struct daemon *d, const char *home, struct passphrase *passphrase, char *fault,
                     size_t cap)
{
    TRY(open_home(d, home, passphrase, fault, cap));
    return open_parts(d, fault, cap);
}
