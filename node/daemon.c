#include "node/daemon.h"

#include "node/api_certificate.h"
#include "node/api_common.h"
#include "node/api_health.h"

#include "crypto/hash.h"
#include "crypto/secret.h"
#include "crypto/tls.h"
#include "node/blob_reads.h"
#include "node/command.h"
#include "node/core_loop.h"
#include "node/enclave_host.h"
#include "node/events.h"
#include "node/fault.h"
#include "node/file.h"
#include "node/kept.h"
#include "node/listening.h"
#include "node/log.h"
#include "node/passphrase.h"
#include "node/problem.h"
#include "node/pulse.h"
#include "node/sandbox.h"
#include "node/store_mark.h"
#include "node/supervisor.h"
#include "proto/base/panic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { REPLIES_MAX = 1024 };

struct waiting {
    uint64_t token;
    daemon_done done;
    void *context;
};

struct daemon {
    uv_loop_t loop;
    uv_timer_t tick;
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

uint64_t daemon_wall_ms(void)
{
    return core_loop_wall_ms();
}

static void on_tick(uv_timer_t *timer);

static uint64_t tick_wait_ms(struct daemon *d)
{
    const int64_t wait_ms = (core_deadline(daemon_core(d)).ns - core_loop_now().ns) / 1000000;
    return wait_ms > 1 ? (uint64_t)wait_ms : 1;
}

/* What an event makes due sooner than the next tick is not left to that. */
static void feed(struct daemon *d, const struct event *event)
{
    core_loop_feed(d->core, event);
    const bool ticks = !d->stopping && uv_is_active((const uv_handle_t *)&d->tick) != 0;
    if (ticks && tick_wait_ms(d) < uv_timer_get_due_in(&d->tick))
        (void)uv_timer_start(&d->tick, on_tick, tick_wait_ms(d), 0);
}

/* --- Executors: links --------------------------------------------------------------------------------------------------- */

/* A peer that does not read can cause as many of these as there is to say: one line a second tells how many. */
static void log_full_queue(struct daemon *d)
{
    uint64_t now = uv_now(&d->loop);
    d->unsent++;
    d->unsent_total++;
    if (now < d->unsent_said_ms + 1000) return;
    log_say(LOG_PEER_FULL, "a peer's queue is full; %u messages are repeated later", d->unsent);
    d->unsent = 0;
    d->unsent_said_ms = now;
}

static void x_send(void *context, struct node_id peer, struct span message)
{
    struct daemon *d = context;
    if (ID_EQUAL(peer, d->home.node)) {
        feed(d, &(struct event){.type = EVENT_MESSAGE, .peer = peer, .bytes = message});
        return;
    }
    if (d->links == NULL || message.len == 0) return;
    enum err err = links_send(d->links, peer, message, message_bulk((enum message)message.data[0]));
    if (err == ERR_FULL) log_full_queue(d);
}

static void x_offence(void *context, struct node_id peer)
{
    struct daemon *d = context;
    if (d->links != NULL) links_offend(d->links, peer, "it sent what no honest node sends");
}

/* Devices have nobody but their maker to talk with, so no link is theirs to have. */
static bool is_member(void *context, struct node_id node)
{
    const struct member *m =
        registry_member(core_registry(core_loop_core(((struct daemon *)context)->core)), node);
    return m != NULL && m->admission == NULL;
}

static uint32_t members(void *context, struct node_id *out, uint32_t cap)
{
    const struct registry *r = core_registry(core_loop_core(((struct daemon *)context)->core));
    const struct member *m;
    uint32_t at = 0, count = 0;
    while (count < cap && (m = registry_member_next(r, &at)) != NULL)
        if (m->admission == NULL) out[count++] = m->node;
    return count;
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

/* --- Executors: store and keyed work ------------------------------------------------------------------------------------------ */

static void x_store(void *context, uint64_t token, const struct keep *items, uint32_t count)
{
    core_loop_store(((struct daemon *)context)->core, token, items, count);
}

static void x_crypto(void *context, uint64_t token, const struct crypto_job *job)
{
    core_loop_crypto(((struct daemon *)context)->core, token, job);
}

void daemon_keyed(struct daemon *d, const struct crypto_job *job, keyed_done done, void *context)
{
    core_loop_keyed(d->core, job, done, context);
}

/* --- Executors: blobs ------------------------------------------------------------------------------------------------------- */

static void blob_to_peer(struct daemon *d, struct node_id peer, struct span cid, enum refusal why,
                         struct span bytes)
{
    struct message_BLOB m = {cid, why, bytes};
    size_t cap = bytes.len + 128;
    uint8_t *memory = malloc(cap);
    if (memory == NULL) panic(__FILE__, __LINE__, "out of memory");
    struct buffer message = buffer_make(memory, cap);
    message_encode(&message, MESSAGE_BLOB_CODE, &m);
    x_send(d, peer, buffer_span(&message));
    free(memory);
}

static void blob_missing(struct daemon *d, struct run_id run, struct span cid)
{
    feed(d, &(struct event){.type = EVENT_BLOB_MISSING, .run = run, .bytes = cid});
}

static void on_blob_for_peer(struct daemon *d, const struct blob_read *read)
{
    struct span bytes = SPAN_NONE;
    enum refusal why = read->err == OK            ? REFUSAL_NONE
                       : read->err == ERR_CORRUPT ? REFUSAL_INPUT_CORRUPT
                                                  : REFUSAL_INPUT_MISSING;
    if (read->err == ERR_CORRUPT)
        log_say(LOG_STORE_QUARANTINED,
                "a stored blob fails its hash and is quarantined: seal that dataset again");
    if (read->err == OK)
        bytes = span_make(read->bytes.data + BLOB_READ_HEADROOM, read->bytes.len - BLOB_READ_HEADROOM);
    blob_to_peer(d, read->peer, SPAN_OF(read->cid), why, bytes);
}

static void on_blob_for_enclave(struct daemon *d, const struct blob_read *read)
{
    if (read->err != OK) {
        blob_missing(d, read->run, SPAN_OF(read->cid));
        return;
    }
    read->bytes.data[0] = FRAME_BLOB;
    memcpy(read->bytes.data + 1, read->cid, sizeof read->cid);
    read->bytes.data[37] = 1;
    enclave_host_send(d->enclaves, read->run, buffer_span(&read->bytes));
}

static void on_blob_read(void *context, struct blob_read *read)
{
    struct daemon *d = context;
    if (d->stopping) return;
    if (ID_IS_ZERO(read->peer))
        on_blob_for_enclave(d, read);
    else
        on_blob_for_peer(d, read);
}

static void x_send_blob(void *context, struct node_id peer, struct span cid, struct span manifests)
{
    struct daemon *d = context;
    struct run_id none = {{0}};
    ASSERT(cid.len == 36);
    if (blob_reads_ask(d->blobs, peer, none, cid.data, manifests) != OK)
        blob_to_peer(d, peer, cid, REFUSAL_FULL, SPAN_NONE);
}

static void x_enclave_blob(void *context, struct run_id run, struct span cid)
{
    struct daemon *d = context;
    struct node_id local = {{0}};
    if (cid.len != 36) return; /* the worker is not trusted to frame well */
    if (blob_reads_ask(d->blobs, local, run, cid.data, SPAN_NONE) != OK) blob_missing(d, run, cid);
}

/* --- Executors: enclave, replies, notices -------------------------------------------------------------------------------------- */

static void on_enclave_frame(void *context, struct run_id run, struct span frame)
{
    feed(context, &(struct event){.type = EVENT_ENCLAVE, .run = run, .bytes = frame});
}

static void x_enclave_start(void *context, struct run_id run, struct span frame)
{
    struct daemon *d = context;
    enum err err = d->enclaves != NULL ? enclave_host_start(d->enclaves, run, frame) : ERR_UNAVAILABLE;
    if (err == OK) return;
    log_say(LOG_ENCLAVE_NOT_STARTED,
            "an enclave could not be started (%s); `perigee status` shows how many run", err_text(err));
    feed(d, &(struct event){.type = EVENT_ENCLAVE, .run = run, .bytes = SPAN_NONE});
}

static void x_enclave_send(void *context, struct run_id run, struct span frame)
{
    struct daemon *d = context;
    if (d->enclaves != NULL) enclave_host_send(d->enclaves, run, frame);
}

static void x_enclave_stop(void *context, struct run_id run)
{
    struct daemon *d = context;
    if (d->enclaves != NULL) enclave_host_stop(d->enclaves, run);
}

static void x_reply(void *context, uint64_t token, struct verdict verdict, struct hash32 id)
{
    struct daemon *d = context;
    struct waiting *w = &d->waiting[token % REPLIES_MAX];
    d->commands[verdict.refusal]++;
    if (w->token != token || w->done == NULL) return;
    daemon_done done = w->done;
    void *asker = w->context;
    *w = (struct waiting){0, NULL, NULL};
    done(asker, verdict, id);
}

static void x_notice(void *context, struct span line)
{
    (void)context;
    log_pass_on(LOG_OTHER, line);
}

static void put_event(struct daemon *d, const char *type, const struct run_id *run, json_t *data)
{
    char text[EVENTS_DATA_MAX];
    const size_t len = json_dumpb(data, text, sizeof text - 1, JSON_COMPACT);
    json_decref(data);
    if (len == 0 || len >= sizeof text) return;
    text[len] = 0;
    events_put(d->events, type, run, text);
    api_events_wake(&d->followers, false);
}

static void put_record_event(struct daemon *d, const struct happened *what)
{
    struct run_id run;
    memcpy(run.bytes, what->id.bytes, sizeof run.bytes);
    put_event(d, "record", what->kind == KIND_RUN ? &run : NULL,
              json_pack("{s:o, s:s}", "record", api_hex32(what->id.bytes), "kind", kind_name(what->kind)));
}

static void put_run_event(struct daemon *d, const struct happened *what)
{
    put_event(d, "run", &what->run,
              json_pack("{s:o, s:s, s:I}", "run", api_hex32(what->run.bytes), "state",
                        run_state_name((enum run_state)what->state), "term", (json_int_t)what->term));
}

static void x_happened(void *context, const struct happened *what)
{
    struct daemon *d = context;
    switch (what->type) {
    case HAPPENED_ANSWER: d->answers[what->ask][what->verdict.refusal]++; break;
    case HAPPENED_RECORD: put_record_event(d, what); break;
    case HAPPENED_RUN: put_run_event(d, what); break;
    }
}

void daemon_command(struct daemon *d, const struct command *command, daemon_done done, void *context)
{
    for (uint32_t tries = 0; tries < REPLIES_MAX; tries++) {
        uint64_t token = ++d->token_next;
        struct waiting *w = &d->waiting[token % REPLIES_MAX];
        if (w->done != NULL) continue;
        *w = (struct waiting){token, done, context};
        feed(d, &(struct event){.type = EVENT_COMMAND, .token = token, .command = command});
        return;
    }
    done(context, verdict_refuse(REFUSAL_FULL, NULL), (struct hash32){{0}});
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

/* --- Start and stop ------------------------------------------------------------------------------------------------------------------ */

static void on_tick(uv_timer_t *timer)
{
    struct daemon *d = timer->data;
    feed(d, &(struct event){.type = EVENT_TICK});
    if (!d->stopping) (void)uv_timer_start(timer, on_tick, tick_wait_ms(d), 0);
}

enum { PING_BEATS = 15, SETTLING_BEATS = 5 };

/* What is not well from the start on, links before all, has some beats to become so before anybody is told. */
static void tell_health(struct daemon *d, bool *told_bad, const struct health_part *is)
{
    if (*told_bad == !is->good || (!is->good && d->pulse.beats < SETTLING_BEATS)) return;
    *told_bad = !is->good;
    log_say(is->good ? LOG_HEALTH_GOOD : LOG_HEALTH_FAILED, "%s: %s: %s",
            is->good ? "well again" : "not well", is->name, is->detail);
    put_event(d, "alert", NULL,
              json_pack("{s:s, s:b, s:s}", "part", is->name, "good", is->good, "detail", is->detail));
}

/* Once in a process: it stays so. */
static void tell_replaced(struct daemon *d)
{
    char text[API_REPLACED_BYTES];
    if (d->replaced_told || !api_replaced(d, text)) return;
    d->replaced_told = true;
    log_say(LOG_MEMBER_REPLACED, "%s", text);
}

/* Once for each state that it comes to. */
static void tell_certificate(struct daemon *d)
{
    char text[API_CERTIFICATE_TEXT_BYTES];
    if (d->tls == NULL) return;
    const enum api_certificate_state state =
        api_certificate_state(text, d->certificate_ends_s, daemon_wall_ms());
    if (state != d->certificate_told && state != API_CERTIFICATE_GOOD)
        log_say(LOG_API_CERTIFICATE, "%s", text);
    d->certificate_told = state;
}

static void on_beat(void *context)
{
    struct daemon *d = context;
    struct health now;
    tell_certificate(d);
    tell_replaced(d);
    share_watch_look(&d->shares, core_registry(daemon_core(d)));
    health_look(&now, d);
    for (uint32_t i = 0; i < HEALTH_PART_COUNT; i++) tell_health(d, &d->told_bad[i], &now.part[i]);
    supervisor_beat(&d->supervisor);
    if (d->pulse.beats % PING_BEATS == 0) api_events_wake(&d->followers, true);
}

static void part_closed(void *context)
{
    struct daemon *d = context;
    d->open_parts--;
}

static void stop(struct daemon *d)
{
    if (d->stopping) return;
    d->stopping = true;
    supervisor_tell(&d->supervisor, "STOPPING=1");
    uv_timer_stop(&d->tick);
    if (d->http != NULL) {
        d->open_parts++;
        http_close(d->http, part_closed, d);
    }
    if (d->links != NULL) {
        struct links *links = d->links;
        d->links = NULL;
        d->open_parts++;
        links_close(links, part_closed, d);
    }
    if (d->enclaves != NULL) {
        struct enclave_host *enclaves = d->enclaves;
        d->enclaves = NULL;
        d->open_parts++;
        enclave_host_close(enclaves, part_closed, d);
    }
    uv_close((uv_handle_t *)&d->tick, NULL);
    pulse_end(&d->pulse);
    for (int i = 0; i < 2; i++) uv_close((uv_handle_t *)&d->signals[i], NULL);
}

static void on_signal(uv_signal_t *signal, int number)
{
    struct daemon *d = signal->data;
    log_say(LOG_NODE_STOPPING, "%s", number == SIGTERM ? "stopping on SIGTERM" : "stopping on SIGINT");
    stop(d);
}

static enum err open_core(struct daemon *d)
{
    struct core_options options = {.self = d->home.node,
                                   .consortium = d->home.consortium,
                                   .charter = span_make(d->home.charter, d->home.charter_len),
                                   .silence = d->silence};
    if (d->enclaves != NULL) {
        options.compute = true;
        options.enclaves_max = d->config->compute->enclaves;
        options.engine = SPAN_LITERAL("int-gate/1");
        options.gpu = SPAN_LITERAL("");
        options.platform = enclave_platform_id(d->config->compute->platform);
    }
    const struct core_loop_options loop = {&d->loop, &d->home, d->store, &options, &d->executors, on_log};
    return core_loop_open(&d->core, &loop);
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
                                    .context = d,
                                    .is_member = is_member,
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

/* Before anything is opened: from here on a signal ends this node in order, as soon as the loop runs. */
static void begin_loop(struct daemon *d)
{
    (void)uv_loop_init(&d->loop);
    uv_timer_init(&d->loop, &d->tick);
    d->tick.data = d;
    static const int numbers[2] = {SIGTERM, SIGINT};
    for (int i = 0; i < 2; i++) {
        uv_signal_init(&d->loop, &d->signals[i]);
        d->signals[i].data = d;
        uv_signal_start(&d->signals[i], on_signal, numbers[i]);
    }
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

static enum err start(struct daemon *d, char *fault, size_t cap)
{
    TRY(open_store(d, fault, cap));
    TRY(settle_mark(d, fault, cap));
    TRY(check_consortium(d, fault, cap));
    const struct blob_reads_options blobs = {&d->loop, d->store, d, on_blob_read};
    open_enclaves(d);
    tell_duckdb(d);
    enum err err = blob_reads_open(&d->blobs, &blobs);
    if (err == OK) err = open_core(d);
    if (err == OK) err = restore(d);
    if (err != OK) return fault_set(fault, cap, err, "cannot start: %s", err_text(err));
    TRY(open_links(d, fault, cap));
    TRY(open_api(d, fault, cap));
    share_watch_begin(&d->shares, &d->loop, &d->home);
    share_watch_settle(&d->shares, core_registry(daemon_core(d)));
    pulse_begin(&d->pulse, &d->loop, on_beat, d);
    return uv_timer_start(&d->tick, on_tick, 1, 0) == 0 ? OK : ERR_IO;
}

static bool busy(const struct daemon *d)
{
    return d->open_parts > 0 || d->keeping > 0 || d->shares.busy ||
           (d->blobs != NULL && blob_reads_in_flight(d->blobs) > 0) ||
           (d->core != NULL && core_loop_in_flight(d->core) > 0);
}

/* Work still on other threads is waited for: a store batch may carry a promise. */
static void drain(struct daemon *d)
{
    while (busy(d)) uv_run(&d->loop, UV_RUN_ONCE);
    blob_reads_close(d->blobs);
    if (d->core != NULL) core_loop_flush(d->core);
    if (d->store != NULL) store_close(d->store);
    store_mark_close(&d->mark);
    if (d->core != NULL) core_loop_close(d->core);
    uv_run(&d->loop, UV_RUN_DEFAULT);
    int rc = uv_loop_close(&d->loop);
    if (rc != 0) log_say(LOG_NODE_LEFTOVER, "the loop still holds something at the end");
}

static int run(struct daemon *d, const char *home, struct passphrase *passphrase)
{
    char fault[512] = "";
    begin_loop(d);
    enum err err = open_home(d, home, passphrase, fault, sizeof fault);
    if (err == OK) err = start(d, fault, sizeof fault);
    const int code = err == OK ? EXIT_OK : err == ERR_BUSY ? EXIT_TRY_LATER : EXIT_REFUSED;
    if (err == OK) {
        log_say(LOG_NODE_READY, "ready");
        supervisor_tell(&d->supervisor, "READY=1");
        while (!d->stopping) uv_run(&d->loop, UV_RUN_ONCE);
    } else {
        (void)problem_say(code, "%s", fault[0] != 0 ? fault : err_text(err));
        stop(d);
    }
    drain(d);
    tokens_free(d->tokens);
    events_free(d->events);
    tls_end_free(d->tls);
    config_free(d->config);
    home_close(&d->home);
    return code;
}

/* The passphrase comes first: while a person types it, a signal still ends the process at once. */
int daemon_run(const char *home, const char *passphrase_file)
{
    char fault[512] = "";
    struct passphrase *passphrase;
    struct daemon *d = calloc(1, sizeof *d);
    if (d == NULL || crypto_init() != OK)
        return problem_say(EXIT_REFUSED, "cannot initialise cryptography or memory");
    d->home.lock_fd = -1;
    d->mark.file = -1;
    d->started_ms = daemon_wall_ms();
    supervisor_begin(&d->supervisor);
    d->executors =
        (struct pump_executors){d,        x_send,          x_offence,      x_send_blob,    x_store,
                                x_crypto, x_enclave_start, x_enclave_send, x_enclave_blob, x_enclave_stop,
                                x_reply,  x_notice,        x_happened};
    if (passphrase_read(&passphrase, passphrase_file, false, fault, sizeof fault) != OK) {
        free(d);
        return problem_say(EXIT_REFUSED, "%s", fault);
    }
    const int code = run(d, home, passphrase);
    free(d);
    return code;
}

struct core *daemon_core(struct daemon *d)
{
    return core_loop_core(d->core);
}

bool daemon_platform(const struct daemon *d, struct hash32 *out)
{
    if (d->config->compute == NULL) return false;
    *out = enclave_platform_id(d->config->compute->platform);
    return true;
}

const struct home *daemon_home(const struct daemon *d)
{
    return &d->home;
}

struct store *daemon_store(struct daemon *d)
{
    return d->store;
}

void daemon_enclave_status(const struct daemon *d, struct enclaves_status *out)
{
    const bool stopped = d->enclaves == NULL && d->enclaves_why[0] == 0;
    *out = (struct enclaves_status){.why = d->enclaves_why[0] != 0 ? d->enclaves_why : NULL};
    if (d->config->compute == NULL || stopped) return;
    out->most = d->enclaves != NULL ? d->config->compute->enclaves : 0;
    out->running = d->enclaves != NULL ? enclave_host_count(d->enclaves) : 0;
}

void daemon_link_status(const struct daemon *d, struct links_status *out)
{
    *out = (struct links_status){0};
    if (d->links != NULL) links_status(d->links, out);
}

bool daemon_link_via(const struct daemon *d, struct node_id peer, struct node_id *relay)
{
    return d->links != NULL && links_via(d->links, peer, relay);
}

void daemon_measures(const struct daemon *d, struct daemon_measures *out)
{
    *out = (struct daemon_measures){.unsent = d->unsent_total,
                                    .started_ms = d->started_ms,
                                    .lag_max_ns = pulse_lag_max_ns(&d->pulse),
                                    .lag_total_ns = d->pulse.lag_total_ns,
                                    .beats = d->pulse.beats,
                                    .followers = d->followers.count,
                                    .events = events_count(d->events),
                                    .keyed = core_loop_keyed_in_flight(d->core),
                                    .blob_reads = blob_reads_in_flight(d->blobs),
                                    .in_flight = core_loop_in_flight(d->core),
                                    .store_err = core_loop_store_error(d->core)};
    memcpy(out->answers, d->answers, sizeof out->answers);
    memcpy(out->commands, d->commands, sizeof out->commands);
    http_load(d->http, &out->http);
}

struct record_counts *daemon_record_counts(struct daemon *d)
{
    return &d->record_counts;
}

struct events *daemon_events(struct daemon *d)
{
    return d->events;
}

struct api_followers *daemon_followers(struct daemon *d)
{
    return &d->followers;
}

struct tokens *daemon_tokens(struct daemon *d)
{
    return d->tokens;
}

const struct share_watch *daemon_share_watch(const struct daemon *d)
{
    return &d->shares;
}

bool daemon_certificate(const struct daemon *d, int64_t *ends_s)
{
    *ends_s = d->certificate_ends_s;
    return d->tls != NULL;
}

const char *daemon_api_address(const struct daemon *d)
{
    return d->http != NULL ? http_address(d->http) : NULL;
}

/* --- Local values of the API's ---------------------------------------------------------------------------------------------- */

struct keeping {
    uv_work_t work;
    struct daemon *daemon;
    enum err err;
    void (*done)(void *context, enum err err);
    void *context;
    size_t key_len, value_len;
    uint8_t bytes[]; /* key, value */
};

static void keep_work(uv_work_t *work)
{
    struct keeping *k = work->data;
    const struct store_write write = {k->value_len > 0 ? STORE_PUT : STORE_DELETE, STORE_LOCAL,
                                      span_make(k->bytes, k->key_len),
                                      span_make(k->bytes + k->key_len, k->value_len)};
    k->err = store_write_now(k->daemon->store, &write, 1);
}

static void keep_done(uv_work_t *work, int status)
{
    struct keeping *k = work->data;
    k->daemon->keeping--;
    k->done(k->context, status == 0 ? k->err : ERR_CANCELLED);
    free(k);
}

void daemon_keep(struct daemon *d, struct span key, struct span value,
                 void (*done)(void *context, enum err err), void *context)
{
    struct keeping *k = calloc(1, sizeof *k + key.len + value.len);
    if (k == NULL) panic(__FILE__, __LINE__, "out of memory");
    *k = (struct keeping){
        .daemon = d, .done = done, .context = context, .key_len = key.len, .value_len = value.len};
    memcpy(k->bytes, key.data, key.len);
    if (value.len > 0) memcpy(k->bytes + key.len, value.data, value.len);
    k->work.data = k;
    d->keeping++;
    (void)uv_queue_work(&d->loop, &k->work, keep_work, keep_done);
}
