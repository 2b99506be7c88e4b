/* doctor: is this node's machine and data directory what it needs? One line a finding, with what to do. Without a node the
 * directory is looked at; beside a running one that is asked as well. Nothing is changed. */
#include "crypto/secret.h"
#include "gpu/probe.h"
#include "node/api_certificate.h"
#include "node/client.h"
#include "node/config.h"
#include "node/core_loop.h"
#include "node/duckdb.h"
#include "node/enclave_host.h"
#include "node/home.h"
#include "node/kept.h"
#include "node/key_shares.h"
#include "node/listening.h"
#include "node/passphrase.h"
#include "node/sandbox.h"
#include "node/store_check.h"
#include "node/store_mark.h"
#include "proto/record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum finding { FINDING_OK, FINDING_WARN, FINDING_FAIL };
static const char *const finding_names[] = {"ok", "warn", "FAIL"};
enum { DISK_WARN_BYTES = 1 << 30, DISK_FAIL_BYTES = 64 << 20, DEFECTS_SHOWN = 20 };

struct doctor {
    const struct client *client;
    struct home home;
    bool home_known, keys_open, keys_sealed;
    const char *passphrase_file;
    struct config *config;
    json_t *status; /* of the node that runs here, or NULL */
    bool mute;      /* one runs here, and does not say it */
    uint32_t count[3];
    uint64_t defects_shown;
};

static void say(struct doctor *d, enum finding f, const char *what, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void say(struct doctor *d, enum finding f, const char *what, const char *format, ...)
{
    char line[900];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    d->count[f]++;
    if (!d->client->json) {
        (void)printf("%-5s %-12s %s\n", finding_names[f], what, line);
        return;
    }
    json_t *object = json_pack("{s:s, s:s, s:s}", "check", what, "finding",
                               f == FINDING_FAIL ? "fail" : finding_names[f], "detail", line);
    client_print(object);
    json_decref(object);
}

/* --- The directory --------------------------------------------------------------------------------------------------- */

static void check_home(struct doctor *d)
{
    char fault[512] = "", path[PATH_MAX];
    d->home_known = home_look(&d->home, d->client->data, fault, sizeof fault) == OK;
    if (!d->home_known) {
        say(d, FINDING_FAIL, "home", "%s", fault);
        return;
    }
    say(d, d->home.charter != NULL ? FINDING_OK : FINDING_WARN, "home", "%s%s", d->client->data,
        d->home.charter != NULL ? "" : ": belongs to no consortium yet: `perigee consortium join`");
    home_path(path, &d->home, "perigee.yaml");
    if (config_load(&d->config, path, fault, sizeof fault) == OK)
        say(d, FINDING_OK, "config", "%s: %s, %u peers%s%s", path,
            d->config->listen != NULL ? d->config->listen : "outbound only", d->config->peers_count,
            d->config->compute != NULL ? ", offers enclaves" : "",
            d->config->caps == &caps_light ? ", profile light" : "");
    else
        say(d, FINDING_FAIL, "config", "%s", fault);
}

/* Without a passphrase an encrypted key is only looked at from outside, which four lines need not say. */
static void on_key_fault(void *context, enum err err, const char *line)
{
    struct doctor *d = context;
    if (err != ERR_DECRYPT || d->passphrase_file != NULL) {
        say(d, FINDING_FAIL, "keys", "%s", line);
        return;
    }
    if (!d->keys_sealed)
        say(d, FINDING_WARN, "keys",
            "encrypted, and not opened: --passphrase-file FILE opens them as the node's start does");
    d->keys_sealed = true;
}

/* As the node's start opens them. */
static void check_keys(struct doctor *d)
{
    char fault[512] = "";
    struct passphrase *passphrase;
    if (passphrase_read(&passphrase, d->passphrase_file, false, fault, sizeof fault) != OK) {
        say(d, FINDING_FAIL, "keys", "%s", fault);
        return;
    }
    d->keys_open = home_open_keys(&d->home, passphrase_span(passphrase), on_key_fault, d) == OK;
    passphrase_free(passphrase);
    if (d->keys_open)
        say(d, FINDING_OK, "keys",
            "four key files, closed to others, open; those that card.json names are its own");
}

/* As the node's start reads them. */
static void check_certificate(struct doctor *d)
{
    char fault[512] = "", text[API_CERTIFICATE_TEXT_BYTES];
    const struct config_api *api = d->config != NULL ? d->config->api : NULL;
    struct tls_end *end = NULL;
    int64_t ends_s = 0;
    if (api == NULL || api->plaintext) return;
    if (api_certificate_open(&end, &ends_s, &d->home, api, fault, sizeof fault) != OK) {
        say(d, FINDING_FAIL, "certificate", "%s", fault);
        return;
    }
    tls_end_free(end);
    const enum api_certificate_state state = api_certificate_state(text, ends_s, core_loop_wall_ms());
    say(d,
        state == API_CERTIFICATE_ENDED  ? FINDING_FAIL
        : state == API_CERTIFICATE_SOON ? FINDING_WARN
                                        : FINDING_OK,
        "certificate", "%s", text);
}

/* What a node that runs here listens on is in use. */
static bool stops(struct doctor *d, enum err err, const char *what, const char *fault)
{
    if (err == OK || (err == ERR_BUSY && (d->status != NULL || d->mute))) return false;
    say(d, FINDING_FAIL, what, "%s", fault);
    return true;
}

/* As the node's start does, which then listens. */
static void check_listening(struct doctor *d)
{
    char fault[512] = "";
    const char *listen = d->config != NULL ? d->config->listen : NULL;
    const char *api = d->config != NULL && d->config->api != NULL ? d->config->api->listen : NULL;
    bool bad = stops(d, home_check_lock(&d->home, fault, sizeof fault), "lock", fault);
    bad |= stops(d, home_check_socket(&d->home, fault, sizeof fault), "api-socket", fault);
    if (listen != NULL) bad |= stops(d, listening_check(listen, fault, sizeof fault), "listen", fault);
    if (api != NULL) bad |= stops(d, listening_check(api, fault, sizeof fault), "api.listen", fault);
    if (!bad && d->config != NULL)
        say(d, FINDING_OK, "listening", "%s",
            d->status != NULL || d->mute ? "the node that runs here does"
                                         : "a node can, where perigee.yaml says and on api.sock");
}

static void check_disk(struct doctor *d)
{
    struct statvfs disk;
    if (statvfs(d->client->data, &disk) != 0) {
        say(d, FINDING_FAIL, "disk", "%s: %s", d->client->data, strerror(errno));
        return;
    }
    const uint64_t left = (uint64_t)disk.f_bavail * disk.f_frsize;
    const enum finding f = left < DISK_FAIL_BYTES   ? FINDING_FAIL
                           : left < DISK_WARN_BYTES ? FINDING_WARN
                                                    : FINDING_OK;
    say(d, (disk.f_flag & ST_RDONLY) != 0 ? FINDING_FAIL : f, "disk", "%" PRIu64 " MiB free%s%s", left >> 20,
        (disk.f_flag & ST_RDONLY) != 0 ? ", but mounted read-only: a node cannot run on it" : "",
        f == FINDING_OK ? "" : ": make room, a full disk refuses records, votes and sealed data");
}

/* --- The store ------------------------------------------------------------------------------------------------------- */

static void check_mark(struct doctor *d, enum silence s)
{
    if (s == SILENCE_NONE)
        say(d, FINDING_OK, "mark", "this is the store that the key last signed with");
    else
        say(d, FINDING_FAIL, "mark",
            "%s: %s. The key signs nothing again; the node reads and serves: `perigee recover` makes its "
            "successor",
            silence_name(s), silence_text(s));
}

/* What the mark says of a store, changing nothing. A mark is read before its store: a node may be writing to both. */
static void open_mark(const struct doctor *d, struct store_mark *mark)
{
    char path[PATH_MAX];
    home_path(path, &d->home, "store.mark");
    store_mark_open(mark, path, d->home.node);
}

/* The node's start would make one. Does its key remember another? */
static void judge_no_store(struct doctor *d, const char *path)
{
    char mark[PATH_MAX];
    home_path(mark, &d->home, "store.mark");
    const enum silence silence = store_mark_judge_none(mark, d->home.node);
    if (silence == SILENCE_NONE) {
        say(d, FINDING_OK, "store", "none yet: the node's first start makes it");
        return;
    }
    say(d, FINDING_FAIL, "store", STORE_MARK_NO_STORE, path);
    check_mark(d, silence);
}

static bool open_store(struct doctor *d, struct store **out, bool rows)
{
    char path[PATH_MAX];
    home_path(path, &d->home, "store");
    *out = NULL;
    const struct lmdb_options options = {.path = path,
                                         .map_bytes = (uint64_t)d->config->store->map_gb << 30,
                                         .read_only = true,
                                         .every_value = rows};
    enum err err = lmdb_store_open(out, &options);
    if (err == ERR_NOT_FOUND)
        judge_no_store(d, path);
    else if (err != OK)
        say(d, FINDING_FAIL, "store", "%s: %s", path, lmdb_store_open_text(err));
    return err == OK;
}

/* What the node found out while it ran. */
static void check_kept_silence(struct doctor *d, struct store *store)
{
    uint8_t bytes[8];
    struct buffer kept = BUFFER_OF(bytes);
    if (store_read(store, STORE_LOCAL, SPAN_LITERAL("silent"), &kept) == ERR_NOT_FOUND) return;
    const enum silence s = kept.len == 1 ? (enum silence)bytes[0] : SILENCE_UNKNOWN;
    say(d, FINDING_FAIL, "silent", "%s: %s: `perigee recover` makes this key's successor", silence_name(s),
        silence_text(s));
}

/* The node follows no other charter than the one that its store began with. */
static void check_consortium(struct doctor *d, struct store *store)
{
    uint8_t bytes[32];
    struct buffer known = BUFFER_OF(bytes);
    if (store_read(store, STORE_LOCAL, SPAN_LITERAL("consortium"), &known) == ERR_NOT_FOUND) return;
    if (!span_equal(buffer_span(&known), ID_SPAN(d->home.consortium)))
        say(d, FINDING_FAIL, "consortium",
            "charter.json: expected the charter that this store was begun with, %s: put the first one back",
            d->home.charter != NULL ? "came another" : "and there is none");
}

static void check_store_state(struct doctor *d, struct store *store)
{
    struct store_mark mark;
    struct store_status s;
    open_mark(d, &mark);
    enum err err = store_status(store, &s);
    const enum silence silence = store_mark_judge(&mark, &s);
    store_mark_close(&mark);
    if (err != OK) {
        say(d, FINDING_FAIL, "store", "cannot be read: %s", err_text(err));
        return;
    }
    const uint64_t room = s.map_bytes - s.used_bytes;
    const bool tight = s.used_bytes > s.map_bytes / 10 * 9;
    say(d, tight || s.quarantined > 0 ? FINDING_WARN : FINDING_OK, "store",
        "schema %d, %" PRIu64 " records, %" PRIu64 " blobs, %" PRIu64 " MiB of its %" PRIu64 " left%s%s",
        STORE_SCHEMA_VERSION, s.entries[STORE_CHAIN], s.entries[STORE_BLOB], room >> 20, s.map_bytes >> 20,
        tight ? ": raise store.map_gb in perigee.yaml" : "",
        s.quarantined > 0 ? "; items failed their hash and were moved aside: check the disk" : "");
    check_mark(d, silence);
    check_kept_silence(d, store);
    check_consortium(d, store);
}

/* --- A custodian's key shares ---------------------------------------------------------------------------------------- */

struct committee_search {
    struct store *store;
    uint32_t seat;
    struct key_shares found;
    bool is_found;
};

/* This node's own word about the keys, which it signed when it had its shares. */
static enum err on_own_record(void *context, struct span key, struct span value)
{
    static uint8_t bytes[CAP_BODY_BYTES + 1024];
    static struct body_COMMITTEE body;
    struct committee_search *s = context;
    struct buffer packed = BUFFER_OF(bytes);
    struct record r;
    (void)value;
    if (kept_record(s->store, &packed, key) != OK || record_unpack(&r, buffer_span(&packed)) != OK) return OK;
    if (r.header.kind != KIND_COMMITTEE || body_decode(&body, KIND_COMMITTEE, r.body) != OK) return OK;
    s->is_found = key_shares_of(&s->found, &body, s->seat);
    return s->is_found ? ERR_CANCELLED : OK; /* no need to see more */
}

static void check_key_shares(struct doctor *d, struct store *store)
{
    char fault[512] = "";
    const int seat = home_seat(&d->home);
    struct committee_search s = {.store = store, .seat = (uint32_t)seat};
    if (seat < 0 || !d->keys_open) return;
    const enum err err = store_scan(store, STORE_CHAIN, ID_SPAN(d->home.node), on_own_record, &s);
    if (!s.is_found) {
        say(d, err == OK ? FINDING_OK : FINDING_FAIL, "key-shares", "%s",
            err == OK ? "none yet: this custodian has signed no committee record" : err_text(err));
        return;
    }
    if (key_shares_check(&d->home, &s.found, fault, sizeof fault) == OK)
        say(d, FINDING_OK, "key-shares", "this seat's shares of both keys open, and are what it signed");
    else
        say(d, FINDING_FAIL, "key-shares", "%s", fault);
}

static void on_defect(void *context, enum store_defect defect, struct span key)
{
    struct doctor *d = context;
    char hex[2 * STORE_KEY_MAX + 1];
    if (d->defects_shown++ >= DEFECTS_SHOWN) return;
    hex_encode(hex, key.data, key.len < 72 ? key.len : 72);
    say(d, FINDING_FAIL, store_defect_name(defect), "%s (%s)", store_defect_text(defect), hex);
}

static void check_store_rows(struct doctor *d, struct store *store)
{
    struct store_health h;
    enum err err = store_check(&h, store, on_defect, d);
    if (err != OK) {
        say(d, FINDING_FAIL, "rows", "cannot all be read: %s", err_text(err));
        return;
    }
    const uint64_t defects = store_health_defects(&h);
    say(d,
        defects > 0   ? FINDING_FAIL
        : h.holes > 0 ? FINDING_WARN
                      : FINDING_OK,
        "rows",
        "%" PRIu64 " records of %" PRIu64 " authors, %" PRIu64 " blobs, %" PRIu64 " promises, %" PRIu64
        " local values: %" PRIu64 " defects, %" PRIu64 " holes in chains%s, %" PRIu64 " pairs in one place",
        h.records, h.authors, h.blobs, h.promises, h.locals, defects, h.holes,
        h.holes > 0 ? " (fetched again from peers)" : "", h.rivals);
}

static void check_store(struct doctor *d, bool rows)
{
    struct store *store;
    if (d->config == NULL || !open_store(d, &store, rows)) return;
    check_store_state(d, store);
    check_key_shares(d, store);
    if (rows) check_store_rows(d, store);
    store_close(store);
}

/* --- The machine ----------------------------------------------------------------------------------------------------- */

static void check_memory(struct doctor *d, uint64_t wanted_mb)
{
    const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGE_SIZE);
    const uint64_t have_mb = pages > 0 && size > 0 ? ((uint64_t)pages * (uint64_t)size) >> 20 : 0;
    say(d, wanted_mb > have_mb ? FINDING_FAIL : FINDING_OK, "memory",
        "%" PRIu64 " MiB for enclaves at once, of %" PRIu64 " MiB here%s", wanted_mb, have_mb,
        wanted_mb > have_mb ? ": lower compute.memory_mb or compute.enclaves in perigee.yaml" : "");
}

static void check_gpu(struct doctor *d)
{
    struct probe p;
    engine_probe(&p);
    if (p.cuda_device || p.nvml_device)
        say(d, FINDING_OK, "gpu", "%s, %" PRIu64 " MiB, confidential mode %s%s%s", p.name,
            p.memory_bytes >> 20, probe_confidential_name(p.confidential), p.why[0] != 0 ? "; " : "", p.why);
    else
        say(d, FINDING_OK, "gpu", "none is used: runs that need one go elsewhere (%s)",
            p.why[0] != 0 ? p.why : "none was found");
}

static void host_closed(void *context)
{
    (void)context;
}

static void host_silent(void *context, const char *line)
{
    (void)context, (void)line;
}

static void host_frame_ignored(void *context, struct run_id run, struct span frame)
{
    (void)context, (void)run, (void)frame;
}

/* As the node does at its start: a worker puts up its walls, looks about and is gone. */
static enum err try_walls(const struct doctor *d, char *why, size_t cap)
{
    uv_loop_t loop;
    struct enclave_host *host = NULL;
    const struct enclave_host_options options = {.loop = &loop,
                                                 .memory_mb = d->config->compute->memory_mb,
                                                 .threads = d->config->compute->threads,
                                                 .workers_max = 1,
                                                 .platform =
                                                     enclave_platform_id(d->config->compute->platform),
                                                 .duckdb = d->config->duckdb,
                                                 .frame = host_frame_ignored,
                                                 .log = host_silent};
    if (uv_loop_init(&loop) != 0) return ERR_NO_MEMORY;
    enum err err = enclave_host_open(&host, &options, why, cap);
    if (err == OK) enclave_host_close(host, host_closed, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&loop);
    return err;
}

static void check_machine(struct doctor *d)
{
    char why[SANDBOX_WHY_BYTES] = "";
    const struct duckdb *table;
    const struct config_compute *compute = d->config->compute;
    config_name_duckdb(d->config);
    const bool duckdb = duckdb_load(&table, why, sizeof why) == OK;
    say(d, duckdb ? FINDING_OK : FINDING_WARN, "duckdb", "%s", duckdb ? DUCKDB_VERSION : why);
    if (compute == NULL) {
        say(d, FINDING_OK, "enclaves", "not offered: perigee.yaml has no `compute`");
        return;
    }
    const bool walls = try_walls(d, why, sizeof why) == OK;
    say(d, walls ? FINDING_OK : FINDING_FAIL, "enclaves", "%s",
        walls ? "bubblewrap and seccomp put up their walls; evidence is SIMULATED" : why);
    check_memory(d, (uint64_t)compute->memory_mb * compute->enclaves);
    check_gpu(d);
}

/* --- The node, if it runs -------------------------------------------------------------------------------------------- */

static bool needs_custodians(const struct doctor *d)
{
    return json_is_true(json_object_get(d->status, "needs_custodians"));
}

static void check_clock(struct doctor *d, const json_t *clock)
{
    const json_int_t offset = client_number(clock, "offset_ms"), most = client_number(clock, "skew_max_ms");
    const json_int_t apart = offset < 0 ? -offset : offset;
    const bool known = json_is_integer(json_object_get(clock, "offset_ms"));
    if (!known && !needs_custodians(d))
        say(d, FINDING_OK, "clock", "not compared: custodians need not be linked from here");
    else if (!known)
        say(d, FINDING_WARN, "clock", "not compared: too few custodians are in touch");
    else
        say(d,
            apart > most       ? FINDING_FAIL
            : 2 * apart > most ? FINDING_WARN
                               : FINDING_OK,
            "clock", "%" JSON_INTEGER_FORMAT " ms from the custodians', who allow %" JSON_INTEGER_FORMAT "%s",
            apart, most, 2 * apart > most ? ": set it by NTP" : "");
}

static void check_peers(struct doctor *d, const json_t *s)
{
    size_t i, up = 0;
    json_t *peer;
    const json_t *peers = json_object_get(s, "peers");
    json_array_foreach(peers, i, peer) up += json_is_true(json_object_get(peer, "up"));
    say(d, up > 0 ? FINDING_OK : FINDING_WARN, "links", "%zu of %zu peers that were seen are linked%s", up,
        json_array_size(peers),
        up > 0 ? "" : ": look at peers in perigee.yaml, and whether their addresses can be reached");
    const bool isolated = json_is_true(json_object_get(s, "isolated")), needs = needs_custodians(d);
    say(d, isolated ? FINDING_WARN : FINDING_OK, "custodians", "%s",
        !needs && isolated ? "no member is linked: nothing is heard, and nothing said"
        : !needs           ? "they need not be linked from here: members are, who are among more than 64"
        : isolated
            ? "fewer than q-1 others are in touch: no votes, and no records after a start, until they are"
            : "enough of them are in touch");
}

/* What passes by itself is only to look at. Silence has words of its own. */
static void check_signing(struct doctor *d, const json_t *s)
{
    const json_t *why = json_object_get(s, "not_signing"), *clock = json_object_get(s, "clock");
    const char *reason = client_text(why, "reason");
    const bool off = strcmp(reason, refusal_name(REFUSAL_CLOCK)) == 0,
               ahead =
                   !client_clock_behind(clock) && json_is_integer(json_object_get(clock, "dated_ahead_ms"));
    const bool passes =
        strcmp(reason, refusal_name(REFUSAL_ISOLATED)) == 0 || strcmp(reason, refusal_name(REFUSAL_GAP)) == 0;
    if (off && !ahead) return; /* check_clock says it */
    if (json_is_object(why) && strcmp(reason, refusal_name(REFUSAL_SILENT)) != 0)
        say(d, passes ? FINDING_WARN : FINDING_FAIL, "signing", "none of its records now: %s: %s", reason,
            client_text(why, "detail"));
}

static void check_compute(struct doctor *d, const json_t *s)
{
    const json_t *role, *enclaves = json_object_get(s, "enclaves");
    const char *idle = client_text(enclaves, "why");
    bool computes = false;
    size_t i;
    json_array_foreach(json_object_get(s, "roles"), i, role) computes |=
        strcmp(json_string_value(role), "compute") == 0;
    if (idle[0] != 0)
        say(d, FINDING_FAIL, "compute", "the node says: %s", idle);
    else if (computes != json_is_object(enclaves) && json_is_true(json_object_get(s, "member")))
        say(d, FINDING_WARN, "compute",
            computes ? "compute is a role of this member, and its node offers no enclaves: it is given no "
                       "run; see "
                       "`compute` in perigee.yaml"
                     : "the node offers enclaves, and compute is no role of this member: it is given no run");
}

static void check_node(struct doctor *d)
{
    const json_t *s = d->status;
    if (d->mute) {
        say(d, FINDING_FAIL, "node",
            "one runs here and does not answer: it may be stopped, or have more to do than it can; clock and "
            "links were not looked at");
        return;
    }
    if (s == NULL) {
        say(d, FINDING_OK, "node", "none runs here: clock and links were not looked at");
        return;
    }
    const json_t *silent = json_object_get(s, "silent");
    const bool lost = json_is_true(json_object_get(s, "promise_lost"));
    const json_t *replaced = json_object_get(s, "replaced");
    if (json_is_object(replaced)) {
        say(d, FINDING_FAIL, "replaced", "%s", client_text(replaced, "detail"));
        return; /* whatever else keeps it from its part is for nothing */
    }
    if (json_is_object(silent))
        say(d, FINDING_FAIL, "node",
            "runs, and signs nothing again: %s: `perigee recover` makes its successor",
            client_text(silent, "detail"));
    else
        say(d, lost ? FINDING_FAIL : FINDING_OK, "node", "runs%s",
            lost ? "; a promise is damaged, so it never votes again: the others go on without it" : "");
    check_signing(d, s);
    check_peers(d, s);
    check_clock(d, json_object_get(s, "clock"));
    check_compute(d, s);
    if (json_is_false(json_object_get(json_object_get(s, "key_shares"), "good")))
        say(d, FINDING_FAIL, "key-shares", "the node says: %s",
            client_text(json_object_get(s, "key_shares"), "detail"));
}

/* --- All of it ------------------------------------------------------------------------------------------------------- */

static int end(struct doctor *d)
{
    if (!d->client->json)
        (void)printf("%u ok, %u to look at, %u failed\n", d->count[FINDING_OK], d->count[FINDING_WARN],
                     d->count[FINDING_FAIL]);
    json_decref(d->status);
    config_free(d->config);
    if (d->home_known) home_close(&d->home);
    return d->count[FINDING_FAIL] > 0 ? EXIT_REFUSED : EXIT_OK;
}

int command_doctor(int argc, char **argv)
{
    static struct doctor d;
    struct client c;
    bool rows = false;
    const char *passphrase_file = NULL;
    const struct argument option[] = {{"--store", NULL, &rows},
                                      {"--passphrase-file", &passphrase_file, NULL}};
    struct arguments a = {option, 2, 0, 0, 0, NULL};
    int code = client_begin(&c, "doctor", &a, argc, argv);
    if (code == EXIT_OK) code = client_local(&c);
    if (code != EXIT_OK) return code;
    memset(&d, 0, sizeof d);
    d.client = &c;
    d.passphrase_file = passphrase_file;
    if (crypto_init() != OK) return client_fail(&c, EXIT_REFUSED, "cannot initialise cryptography");
    (void)client_try_get(&c, &d.status, "/v1/status"); /* or NULL */
    check_home(&d);
    d.mute = d.home_known && d.status == NULL && home_locked(&d.home);
    if (d.home_known) {
        check_keys(&d);
        check_certificate(&d);
        check_listening(&d);
        check_disk(&d);
        check_store(&d, rows);
    }
    if (d.config != NULL) check_machine(&d);
    if (d.home_known) check_node(&d);
    return end(&d);
}
