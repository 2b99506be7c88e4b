/* Figures in Prometheus' text format. The series are a fixed set: labels come from tables of this program, never from what
 * a peer or a request says. Counters begin with the process; what the store and the core hold is read when asked. */
#include "node/api_common.h"
#include "node/command.h"
#include "node/log.h"
#include "proto/chain.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { METRICS_BYTES = 128 * 1024 };

static void put(struct buffer *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct buffer *out, const char *format, ...)
{
    char line[256];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    buffer_put_text(out, line);
}

static void head(struct buffer *out, const char *name, const char *type, const char *help)
{
    put(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_one(struct buffer *out, const char *name, const char *type, const char *help, uint64_t value)
{
    head(out, name, type, help);
    put(out, "%s %" PRIu64 "\n", name, value);
}

static void put_seconds(struct buffer *out, const char *name, const char *type, const char *help,
                        double value)
{
    head(out, name, type, help);
    put(out, "%s %.6f\n", name, value);
}

/* --- The process ---------------------------------------------------------------------------------------------------- */

static uint64_t resident_bytes(void)
{
    unsigned long long pages = 0;
    char line[128] = "";
    FILE *f = fopen("/proc/self/statm", "re");
    if (f == NULL) return 0;
    if (fgets(line, sizeof line, f) != NULL) {
        char *rest = NULL;
        (void)strtoull(line, &rest, 10);
        pages = strtoull(rest, NULL, 10);
    }
    (void)fclose(f);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t open_descriptors(void)
{
    uint64_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL) return 0;
    for (const struct dirent *e; (e = readdir(folder)) != NULL;) count += e->d_name[0] != '.';
    (void)closedir(folder);
    return count - 1; /* the folder's own */
}

static void put_process(struct buffer *out, const struct daemon_measures *m)
{
    struct rusage used = {0};
    struct rlimit files = {0};
    (void)getrusage(RUSAGE_SELF, &used);
    (void)getrlimit(RLIMIT_NOFILE, &files);
    head(out, "perigee_build_info", "gauge", "The program that runs; always 1.");
    put(out, "perigee_build_info{version=\"" PERIGEE_VERSION "\"} 1\n");
    put_seconds(out, "process_start_time_seconds", "gauge", "When it started, by the wall clock.",
                (double)m->started_ms / 1000);
    put_seconds(out, "process_cpu_seconds_total", "counter", "Processor time used.",
                (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                    (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
    put_one(out, "process_resident_memory_bytes", "gauge", "Memory in use.", resident_bytes());
    put_one(out, "process_open_fds", "gauge", "Open descriptors.", open_descriptors());
    put_one(out, "process_max_fds", "gauge", "Descriptors it may open.", (uint64_t)files.rlim_cur);
    put_seconds(out, "perigee_loop_lag_seconds_max", "gauge",
                "The latest beat of the loop in the last minute.", (double)m->lag_max_ns / 1e9);
    put_seconds(out, "perigee_loop_lag_seconds_total", "counter", "By how much beats of the loop were late.",
                (double)m->lag_total_ns / 1e9);
    put_one(out, "perigee_loop_beats_total", "counter", "Beats of the loop, one a second.", m->beats);
}

/* --- What the node holds -------------------------------------------------------------------------------------------- */

static const enum kind kinds[] = {
#define METRIC_KIND(symbol, code, name, class, who, refers) KIND_##symbol,
    KIND_TABLE(METRIC_KIND)
#undef METRIC_KIND
};
enum { METRIC_KIND_COUNT = sizeof kinds / sizeof kinds[0] };

/* Records are only ever added, at the end: those seen before are not looked at again. */
static void put_records(struct buffer *out, struct daemon *d)
{
    struct record_counts *n = daemon_record_counts(d);
    const struct chain *c = core_chain(daemon_core(d));
    for (; n->seen < c->entry_count; n->seen++) {
        const enum kind kind = ROW(c->entry, n->seen).record.header.kind;
        if ((uint32_t)kind < RECORD_KIND_MAX) n->held[kind]++;
    }
    head(out, "perigee_records", "gauge", "Chained records held, by kind.");
    for (uint32_t k = 0; k < METRIC_KIND_COUNT; k++)
        if (kind_class(kinds[k]) == CLASS_CHAINED)
            put(out, "perigee_records{kind=\"%s\"} %" PRIu64 "\n", kind_name(kinds[k]), n->held[kinds[k]]);
}

static void put_runs(struct buffer *out, struct daemon *d)
{
    const struct registry *r = core_registry(daemon_core(d));
    uint64_t states[RUN_STATE_COUNT] = {0};
    const struct run_entry *run;
    for (uint32_t i = 0; (run = registry_run_at(r, i)) != NULL; i++) {
        struct run_view view;
        struct run_id id;
        memcpy(id.bytes, run->record->id.bytes, sizeof id.bytes);
        if (core_run(daemon_core(d), id, &view)) states[view.state]++;
    }
    head(out, "perigee_runs", "gauge", "Runs known, by state.");
    for (uint32_t s = 0; s < RUN_STATE_COUNT; s++)
        put(out, "perigee_runs{state=\"%s\"} %" PRIu64 "\n", run_state_name((enum run_state)s), states[s]);
}

static void put_store(struct buffer *out, struct daemon *d)
{
    struct store_status s;
    if (store_status(daemon_store(d), &s) != OK) return;
    put_one(out, "perigee_store_used_bytes", "gauge", "Bytes of the store in use.", s.used_bytes);
    put_one(out, "perigee_store_quota_bytes", "gauge", "What store.map_gb allows.", s.map_bytes);
    put_one(out, "perigee_store_blobs", "gauge", "Sealed chunks and manifests held.", s.entries[STORE_BLOB]);
    put_one(out, "perigee_store_quarantined", "gauge", "Items set aside because they fail their hash.",
            s.quarantined);
    put_one(out, "perigee_store_batches_total", "counter", "Batches written.", s.batches);
    put_one(out, "perigee_store_syncs_total", "counter", "Syncs that made them durable.", s.syncs);
}

static void put_standing(struct buffer *out, struct daemon *d)
{
    struct core *core = daemon_core(d);
    int64_t offset_ms = 0;
    if (core_clock_offset(core, &offset_ms))
        put_seconds(out, "perigee_clock_offset_seconds", "gauge", "Own clock minus the custodians' median.",
                    (double)offset_ms / 1000);
    put_one(
        out, "perigee_isolated", "gauge",
        "1: it has not compared with q-1 other custodians (q before it signs again after a start); where it "
        "needs no links with them, it has none at all.",
        core_cut_off(core));
    put_one(out, "perigee_silent", "gauge", "1: this node signs no records now.",
            core_authoring(core) != REFUSAL_NONE);
    put_one(out, "perigee_key_shares_bad", "gauge",
            "1: a custodian whose share of a key is lost or damaged, as far as it was looked at.",
            daemon_share_watch(d)->err != OK);
}

/* --- What it does --------------------------------------------------------------------------------------------------- */

static void put_links(struct buffer *out, struct daemon *d, const struct daemon_measures *m)
{
    struct links_status s;
    const struct peer_view *p;
    uint64_t known = 0;
    daemon_link_status(d, &s);
    for (uint32_t i = 0; (p = core_peer_at(daemon_core(d), i)) != NULL; i++) known++;
    put_one(out, "perigee_peers", "gauge", "Peers seen since the start.", known);
    put_one(out, "perigee_peers_max", "gauge", "Peers that find a place.", core_caps(daemon_core(d))->peers);
    put_one(out, "perigee_links", "gauge", "Links that are up.", s.up);
    put_one(out, "perigee_links_accepted_total", "counter", "Connections accepted.", s.accepted);
    put_one(out, "perigee_links_refused_total", "counter", "Connections refused.", s.refused);
    put_one(out, "perigee_links_received_bytes_total", "counter", "Bytes from peers.", s.bytes_in);
    put_one(out, "perigee_links_sent_bytes_total", "counter", "Bytes to peers.", s.bytes_out);
    put_one(out, "perigee_links_queued_bytes", "gauge", "Bytes that wait for peers to read.", s.queued_bytes);
    put_one(out, "perigee_links_relayed", "gauge", "Links that are up through another node.", s.relayed);
    put_one(out, "perigee_tunnels", "gauge", "Tunnels carried for others now.", s.tunnels);
    put_one(out, "perigee_tunnels_total", "counter", "Tunnels carried for others.", s.tunnels_total);
    put_one(out, "perigee_tunnel_bytes_total", "counter", "Bytes carried through them.", s.tunnel_bytes);
    put_one(out, "perigee_links_unsent_total", "counter", "Messages that found a peer's queue full.",
            m->unsent);
}

/* Without a certificate there is no such series. */
static void put_certificate(struct buffer *out, const struct daemon *d)
{
    int64_t ends_s = 0;
    if (daemon_certificate(d, &ends_s))
        put_one(out, "perigee_api_certificate_end_seconds", "gauge",
                "When the certificate of the API on TCP ends, in seconds since 1970.", (uint64_t)ends_s);
}

static void put_queue(struct buffer *out, const char *queue, uint64_t length, uint64_t most)
{
    put(out, "perigee_queue_length{queue=\"%s\"} %" PRIu64 "\n", queue, length);
    put(out, "perigee_queue_length_max{queue=\"%s\"} %" PRIu64 "\n", queue, most);
}

static void put_queues(struct buffer *out, struct daemon *d, const struct daemon_measures *m)
{
    struct enclaves_status e;
    daemon_enclave_status(d, &e);
    put(out, "# HELP perigee_queue_length What waits or runs now.\n# TYPE perigee_queue_length gauge\n"
             "# HELP perigee_queue_length_max What may at once.\n# TYPE perigee_queue_length_max gauge\n");
    put_queue(out, "keyed", m->keyed, core_caps(daemon_core(d))->pending);
    put_queue(out, "core", m->in_flight, core_caps(daemon_core(d))->pending);
    put_queue(out, "api", m->http.open, m->http.open_max);
    put_queue(out, "enclaves", e.running, e.most);
    put_one(out, "perigee_blob_reads", "gauge", "Chunks being read for peers and enclaves.", m->blob_reads);
}

static void put_refusals(struct buffer *out, const char *name, const char *labels,
                         const uint64_t counts[REFUSAL_COUNT])
{
    for (uint32_t r = 0; r < REFUSAL_COUNT; r++)
        if (r == REFUSAL_NONE || counts[r] > 0)
            put(out, "%s{%sreason=\"%s\"} %" PRIu64 "\n", name, labels, refusal_name((enum refusal)r),
                counts[r]);
}

static void put_decisions(struct buffer *out, const struct daemon_measures *m)
{
    static const char *const asks[CUSTODIAN_ASK_COUNT] = {"ask=\"vote\",", "ask=\"shares\",",
                                                          "ask=\"lease\",", "ask=\"commit\","};
    head(out, "perigee_custodian_answers_total", "counter",
         "As a custodian: what was given (reason none) and refused, by reason.");
    for (uint32_t a = 0; a < CUSTODIAN_ASK_COUNT; a++)
        put_refusals(out, "perigee_custodian_answers_total", asks[a], m->answers[a]);
    head(out, "perigee_commands_total", "counter", "Commands of the API: done (reason none) and refused.");
    put_refusals(out, "perigee_commands_total", "", m->commands);
    put_one(out, "perigee_api_tls_connections", "gauge", "Connections of the API with TLS.", m->http.tls);
    put_one(out, "perigee_event_followers", "gauge", "Requests that follow events.", m->followers);
    put_one(out, "perigee_events_total", "counter", "Events so far.", m->events);
    head(out, "perigee_api_answers_total", "counter", "Answers of the API, by hundreds of their status.");
    for (int i = 2; i < 6; i++)
        put(out, "perigee_api_answers_total{status=\"%dxx\"} %" PRIu64 "\n", i, m->http.answered[i]);
}

static void put_log(struct buffer *out)
{
    static const char *const levels[LOG_LEVEL_COUNT] = {"error", "warn", "info", "debug"};
    uint64_t lines[LOG_LEVEL_COUNT], left_out;
    log_counts(lines, &left_out);
    head(out, "perigee_log_lines_total", "counter", "Lines of the log, by level.");
    for (int i = 0; i < LOG_LEVEL_COUNT; i++)
        put(out, "perigee_log_lines_total{level=\"%s\"} %" PRIu64 "\n", levels[i], lines[i]);
    put_one(out, "perigee_log_left_out_total", "counter", "Lines left out because there were too many.",
            left_out);
}

void api_metrics(const struct http_request *q, struct http_reply *reply)
{
    struct daemon *d = q->context;
    struct daemon_measures m;
    uint8_t *memory = malloc(METRICS_BYTES);
    struct buffer out = buffer_make(memory, memory != NULL ? METRICS_BYTES : 0);
    daemon_measures(d, &m);
    put_process(&out, &m);
    put_records(&out, d);
    put_runs(&out, d);
    put_store(&out, d);
    put_standing(&out, d);
    put_links(&out, d, &m);
    put_queues(&out, d, &m);
    put_decisions(&out, &m);
    put_certificate(&out, d);
    put_log(&out);
    if (memory == NULL || buffer_done(&out) != OK)
        http_problem(reply, 503, "no-memory", "out of memory; try again later");
    else
        http_answer_text(reply, 200, "text/plain; version=0.0.4; charset=utf-8", buffer_span(&out));
    free(memory);
}
