#include "node/daemon.h"

#include "crypto/secret.h"
#include "crypto/tls.h"
#include "node/command.h"
#include "node/daemon_state.h"
#include "node/log.h"
#include "node/problem.h"
#include "proto/base/panic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t daemon_wall_ms(void)
{
    return core_loop_wall_ms();
}

/* --- Beats ---------------------------------------------------------------------------------------------------- */

enum { PING_BEATS = 15, SETTLING_BEATS = 5 };

/* What is not well from the start on, links before all, has some beats to become so before anybody is told. */
static void tell_health(struct daemon *d, bool *told_bad, const struct health_part *is)
{
    if (*told_bad == !is->good || (!is->good && d->pulse.beats < SETTLING_BEATS)) return;
    *told_bad = !is->good;
    log_say(is->good ? LOG_HEALTH_GOOD : LOG_HEALTH_FAILED, "%s: %s: %s",
            is->good ? "well again" : "not well", is->name, is->detail);
    daemon_put_event(d, "alert", NULL,
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

/* --- Start and stop ------------------------------------------------------------------------------------------ */

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
    if (d->core != NULL) core_loop_end_ticks(d->core);
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
    pulse_end(&d->pulse);
    for (int i = 0; i < 2; i++) uv_close((uv_handle_t *)&d->signals[i], NULL);
}

static void on_signal(uv_signal_t *signal, int number)
{
    struct daemon *d = signal->data;
    log_say(LOG_NODE_STOPPING, "%s", number == SIGTERM ? "stopping on SIGTERM" : "stopping on SIGINT");
    stop(d);
}

/* Before anything is opened: from here on a signal ends this node in order, as soon as the loop runs. */
static void begin_loop(struct daemon *d)
{
    (void)uv_loop_init(&d->loop);
    static const int numbers[2] = {SIGTERM, SIGINT};
    for (int i = 0; i < 2; i++) {
        uv_signal_init(&d->loop, &d->signals[i]);
        d->signals[i].data = d;
        uv_signal_start(&d->signals[i], on_signal, numbers[i]);
    }
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

static enum err start(struct daemon *d, const char *home, struct passphrase *passphrase, char *fault,
                      size_t cap)
{
    TRY(daemon_open(d, home, passphrase, fault, cap));
    share_watch_begin(&d->shares, &d->loop, &d->home);
    share_watch_settle(&d->shares, core_registry(daemon_core(d)));
    pulse_begin(&d->pulse, &d->loop, on_beat, d);
    core_loop_begin_ticks(d->core);
    return OK;
}

static int run(struct daemon *d, const char *home, struct passphrase *passphrase)
{
    char fault[512] = "";
    begin_loop(d);
    const enum err err = start(d, home, passphrase, fault, sizeof fault);
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
    daemon_executors_begin(d);
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

/* What its enclaves would ask for keys in vain for, whoever elects it; or NULL. */
static const char *enclaves_idle(struct daemon *d)
{
    char measurement[65];
    struct hash32 own;
    struct registry *r = core_registry(daemon_core(d));
    const struct member *self = registry_member(r, d->home.node);
    if (self == NULL || (self->roles & ROLE_COMPUTE) == 0 || !daemon_platform(d, &own)) return NULL;
    if (!registry_platform_admitted(r, d->home.node, own)) {
        (void)snprintf(
            d->idle_why, sizeof d->idle_why,
            "expected compute.platform in perigee.yaml (by default the host's name) to be a machine that "
            "was admitted with this node; \"%s\" is none: put the name back that it joined with, and "
            "start the node again",
            d->config->compute->platform);
        return d->idle_why;
    }
    if (!d->measured || registry_worker_known(r, d->measurement)) return NULL;
    hex_encode(measurement, d->measurement.bytes, 32);
    (void)snprintf(
        d->idle_why, sizeof d->idle_why,
        "expected this program in a set of workers that is in force; it is in none: stewards register it "
        "with `perigee workers register --name NAME %s`",
        measurement);
    return d->idle_why;
}

void daemon_enclave_status(struct daemon *d, struct enclaves_status *out)
{
    const bool stopped = d->enclaves == NULL && d->enclaves_why[0] == 0;
    *out = (struct enclaves_status){.why = d->enclaves_why[0] != 0 ? d->enclaves_why : enclaves_idle(d)};
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
