#include "node/config.h"

#include "node/fault.h"
#include "node/http_tcp.h"
#include "node/worker.h"
#include "node/yaml_file.h"
#include "proto/contact.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    CONFIG_PEER_COUNT_MAX = CAP_PEERS,
    CONFIG_ADDRESS_MAX = 200,
    CONFIG_MAP_MAX_GB = 64 * 1024,
    CONFIG_MAP_GB = 64,
    CONFIG_TUNNEL_COUNT_MAX = 256, /* half of them, full, are what may wait for one peer */
    CONFIG_RELAY_MAX_MB = 4095,
    CONFIG_RECORDING_MAX_MB = 16 * 1024,
    CONFIG_RECORDING_MB = 256,
    CONFIG_RECORDING_NAME_MAX = 64,
};
static const struct config_compute compute_defaults = {.enclaves = 1, .memory_mb = 2048, .threads = 2};
static const struct config_relay relay_defaults = {.tunnels = 64, .mb_a_second = 16};

#define OPTIONAL         CYAML_FLAG_OPTIONAL
#define OPTIONAL_POINTER (CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER)

static const cyaml_schema_field_t peer_fields[] = {
    CYAML_FIELD_STRING_PTR("address", CYAML_FLAG_POINTER, struct config_peer, address, 1, CONFIG_ADDRESS_MAX),
    CYAML_FIELD_STRING_PTR("node", OPTIONAL_POINTER, struct config_peer, node, 64, 64), CYAML_FIELD_END};
static const cyaml_schema_value_t peer_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_peer, peer_fields)};

static const cyaml_schema_field_t compute_fields[] = {
    CYAML_FIELD_UINT_PTR("enclaves", OPTIONAL_POINTER, struct config_compute, enclaves_given),
    CYAML_FIELD_UINT_PTR("memory_mb", OPTIONAL_POINTER, struct config_compute, memory_mb_given),
    CYAML_FIELD_UINT_PTR("threads", OPTIONAL_POINTER, struct config_compute, threads_given),
    CYAML_FIELD_STRING_PTR("platform", OPTIONAL_POINTER, struct config_compute, platform, 1, 256),
    CYAML_FIELD_END};

static const cyaml_schema_field_t relay_fields[] = {
    CYAML_FIELD_UINT_PTR("tunnels", OPTIONAL_POINTER, struct config_relay, tunnels_given),
    CYAML_FIELD_UINT_PTR("mb_a_second", OPTIONAL_POINTER, struct config_relay, mb_a_second_given),
    CYAML_FIELD_END};

static const cyaml_schema_field_t store_fields[] = {
    CYAML_FIELD_UINT_PTR("map_gb", OPTIONAL_POINTER, struct config_store, map_gb_given), CYAML_FIELD_END};

static const cyaml_schema_field_t api_fields[] = {
    CYAML_FIELD_STRING_PTR("listen", CYAML_FLAG_POINTER, struct config_api, listen, 1, CONFIG_ADDRESS_MAX),
    CYAML_FIELD_STRING_PTR("certificate", OPTIONAL_POINTER, struct config_api, certificate, 1, 4096),
    CYAML_FIELD_STRING_PTR("key", OPTIONAL_POINTER, struct config_api, key, 1, 4096),
    CYAML_FIELD_BOOL("plaintext", OPTIONAL, struct config_api, plaintext), CYAML_FIELD_END};

static const cyaml_schema_field_t recording_fields[] = {
    CYAML_FIELD_STRING_PTR("file", CYAML_FLAG_POINTER, struct config_recording, file, 1,
                           CONFIG_RECORDING_NAME_MAX),
    CYAML_FIELD_UINT_PTR("mb", OPTIONAL_POINTER, struct config_recording, mb_given), CYAML_FIELD_END};

static const cyaml_schema_field_t log_fields[] = {
    CYAML_FIELD_STRING_PTR("level", OPTIONAL_POINTER, struct config_log, level, 1, 16),
    CYAML_FIELD_STRING_PTR("format", OPTIONAL_POINTER, struct config_log, format, 1, 16), CYAML_FIELD_END};

static const cyaml_schema_field_t config_fields[] = {
    CYAML_FIELD_STRING_PTR("listen", OPTIONAL_POINTER, struct config, listen, 1, CONFIG_ADDRESS_MAX),
    CYAML_FIELD_STRING_PTR("announce", OPTIONAL_POINTER, struct config, announce, 1, CONFIG_ADDRESS_MAX),
    CYAML_FIELD_SEQUENCE("peers", OPTIONAL_POINTER, struct config, peers, &peer_value, 0,
                         CONFIG_PEER_COUNT_MAX),
    CYAML_FIELD_MAPPING_PTR("compute", OPTIONAL_POINTER, struct config, compute, compute_fields),
    CYAML_FIELD_MAPPING_PTR("relay", OPTIONAL_POINTER, struct config, relay, relay_fields),
    CYAML_FIELD_MAPPING_PTR("store", OPTIONAL_POINTER, struct config, store, store_fields),
    CYAML_FIELD_MAPPING_PTR("api", OPTIONAL_POINTER, struct config, api, api_fields),
    CYAML_FIELD_MAPPING_PTR("recording", OPTIONAL_POINTER, struct config, recording, recording_fields),
    CYAML_FIELD_MAPPING_PTR("log", OPTIONAL_POINTER, struct config, log, log_fields),
    CYAML_FIELD_STRING_PTR("profile", OPTIONAL_POINTER, struct config, profile, 1, 16),
    CYAML_FIELD_STRING_PTR("duckdb", OPTIONAL_POINTER, struct config, duckdb, 1, 4096),
    CYAML_FIELD_END};
static const cyaml_schema_value_t config_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct config, config_fields)};

/* --- Defaults: an absent key reads as NULL. ------------------------------------------------------------------ */

static void set_default(unsigned *value, const unsigned *given, unsigned otherwise)
{
    *value = given != NULL ? *given : otherwise;
}

static enum err compute_fill(struct config_compute *compute)
{
    char name[256] = "";
    set_default(&compute->enclaves, compute->enclaves_given, compute_defaults.enclaves);
    set_default(&compute->memory_mb, compute->memory_mb_given, compute_defaults.memory_mb);
    set_default(&compute->threads, compute->threads_given, compute_defaults.threads);
    if (compute->platform != NULL) return OK;
    if (gethostname(name, sizeof name - 1) != 0 || name[0] == 0)
        (void)snprintf(name, sizeof name, "localhost");
    compute->platform = yaml_file_text(name);
    return compute->platform == NULL ? ERR_NO_MEMORY : OK;
}

static enum err config_fill(struct config *c)
{
    if (c->compute != NULL) TRY(compute_fill(c->compute));
    if (c->relay != NULL) {
        set_default(&c->relay->tunnels, c->relay->tunnels_given, relay_defaults.tunnels);
        set_default(&c->relay->mb_a_second, c->relay->mb_a_second_given, relay_defaults.mb_a_second);
    }
    if (c->recording != NULL) set_default(&c->recording->mb, c->recording->mb_given, CONFIG_RECORDING_MB);
    if (c->store == NULL) c->store = yaml_file_alloc(sizeof *c->store);
    if (c->store == NULL) return ERR_NO_MEMORY;
    set_default(&c->store->map_gb, c->store->map_gb_given, CONFIG_MAP_GB);
    if (c->log == NULL) c->log = yaml_file_alloc(sizeof *c->log);
    if (c->log == NULL) return ERR_NO_MEMORY;
    c->log->most = LOG_INFO;
    return OK;
}

/* --- Rules -------------------------------------------------------------------------------------------------------- */

struct config_fault {
    const char *path;
    char *text;
    size_t cap;
};

static enum err refuse(const struct config_fault *f, const char *key, const char *expected, const char *got)
{
    return fault_set(f->text, f->cap, ERR_RANGE, "%s: %s: expected %s, got \"%.100s\"", f->path, key,
                     expected, got);
}

static enum err check_number(const struct config_fault *f, const char *key, unsigned least, unsigned most,
                             unsigned got)
{
    if (got >= least && got <= most) return OK;
    return fault_set(f->text, f->cap, ERR_RANGE, "%s: %s: expected %u to %u, got %u", f->path, key, least,
                     most, got);
}

/* ":PORT" at the end of "HOST:PORT", and a host before it; an IPv6 host has brackets. */
static bool is_host_and_port(const char *text)
{
    const char *colon = strrchr(text, ':');
    uint32_t port = 0;
    if (colon == NULL || colon == text || colon[1] == 0 || strlen(colon + 1) > 5) return false;
    for (const char *at = colon + 1; *at != 0; at++) {
        if (*at < '0' || *at > '9') return false;
        port = port * 10 + (uint32_t)(*at - '0');
    }
    const size_t host = (size_t)(colon - text);
    const bool bracketed = host > 2 && text[0] == '[' && colon[-1] == ']';
    return port <= UINT16_MAX && (bracketed || memchr(text, ':', host) == NULL) &&
           strcspn(text, " \t/") == strlen(text);
}

bool config_is_address(const char *text)
{
    if (strlen(text) > CONFIG_ADDRESS_MAX) return false;
    if (strncmp(text, "tcp://", 6) == 0) return is_host_and_port(text + 6);
    return strncmp(text, "ipc:///", 7) == 0 && text[7] != 0;
}

static enum err check_peers(const struct config *c, const struct config_fault *f)
{
    struct node_id node;
    if (c->peers_count > c->caps->peers)
        return fault_set(f->text, f->cap, ERR_RANGE,
                         "%s: peers: expected at most %u, as the profile is %s; got %u", f->path,
                         c->caps->peers, c->caps->name, c->peers_count);
    for (unsigned i = 0; i < c->peers_count; i++) {
        const struct config_peer *peer = &c->peers[i];
        if (!config_is_address(peer->address))
            return refuse(f, "peers.address", CONFIG_ADDRESS_EXPECTED, peer->address);
        if (peer->node != NULL && hex_decode(node.bytes, sizeof node.bytes, span_text(peer->node)) != OK)
            return refuse(f, "peers.node", "64 lower-case hex digits", peer->node);
    }
    return OK;
}

static enum err check_profile(struct config *c, const struct config_fault *f)
{
    c->caps = c->profile != NULL ? caps_named(c->profile) : &caps_full;
    if (c->caps == &caps_full || c->caps == &caps_light) return OK;
    return refuse(f, "profile", "full or light", c->profile);
}

static enum err check_log(struct config_log *log, const struct config_fault *f)
{
    if (log->level != NULL && !log_level_parse(&log->most, log->level))
        return refuse(f, "log.level", "error, warn, info or debug", log->level);
    log->json = log->format != NULL && strcmp(log->format, "json") == 0;
    if (log->format == NULL || log->json || strcmp(log->format, "logfmt") == 0) return OK;
    return refuse(f, "log.format", "logfmt or json", log->format);
}

/* Of the data directory, and no other file's name in it. */
static bool is_recording_name(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    static const char end[] = ".recording";
    const size_t len = strlen(name);
    return len >= sizeof end && strspn(name, letters) == len && name[0] != '.' &&
           strcmp(name + len - (sizeof end - 1), end) == 0;
}

static enum err check_recording(const struct config_recording *recording, const struct config_fault *f)
{
    if (!is_recording_name(recording->file))
        return refuse(f, "recording.file", "a name that ends in .recording, of letters, digits, - _ and .",
                      recording->file);
    return check_number(f, "recording.mb", 1, CONFIG_RECORDING_MAX_MB, recording->mb);
}

static enum err check_api(const struct config_api *api, const struct config_fault *f)
{
    if (!http_tcp_is_address(api->listen))
        return refuse(f, "api.listen", "tcp://HOST:PORT with a numeric address, such as tcp://0.0.0.0:7443",
                      api->listen);
    if (api->plaintext && !http_tcp_is_loopback(api->listen))
        return refuse(f, "api.plaintext",
                      "a loopback address in api.listen, since nothing is said in the clear over a network",
                      api->listen);
    if (api->plaintext && (api->certificate != NULL || api->key != NULL))
        return refuse(f, "api.plaintext", "either plaintext, or certificate and key", "all");
    if (!api->plaintext && (api->certificate == NULL || api->key == NULL))
        return refuse(f, "api", "certificate and key, which `perigee tls new` makes",
                      api->certificate == NULL ? "no certificate" : "no key");
    return OK;
}

static enum err check(struct config *c, const struct config_fault *f)
{
    const struct config_compute *compute = c->compute == NULL ? &compute_defaults : c->compute;
    TRY(check_profile(c, f));
    if (c->listen != NULL && !config_is_address(c->listen))
        return refuse(f, "listen", CONFIG_ADDRESS_EXPECTED, c->listen);
    if (c->announce != NULL && !contact_valid(span_text(c->announce)))
        return refuse(f, "announce", CONTACT_EXPECTED, c->announce);
    if (c->announce != NULL && c->listen == NULL)
        return refuse(f, "announce", "an address in `listen`, too: others are told to dial this node",
                      "none");
    TRY(check_number(f, "compute.enclaves", 1, c->caps->enclaves, compute->enclaves));
    TRY(check_number(f, "compute.memory_mb", WORKER_MEMORY_MB_MIN, WORKER_MEMORY_MB_MAX, compute->memory_mb));
    TRY(check_number(f, "compute.threads", 1, WORKER_THREAD_COUNT_MAX, compute->threads));
    TRY(check_number(f, "store.map_gb", 1, CONFIG_MAP_MAX_GB, c->store->map_gb));
    const struct config_relay *relay = c->relay == NULL ? &relay_defaults : c->relay;
    TRY(check_number(f, "relay.tunnels", 1, CONFIG_TUNNEL_COUNT_MAX, relay->tunnels));
    TRY(check_number(f, "relay.mb_a_second", 1, CONFIG_RELAY_MAX_MB, relay->mb_a_second));
    TRY(check_log(c->log, f));
    if (c->api != NULL) TRY(check_api(c->api, f));
    if (c->recording != NULL) TRY(check_recording(c->recording, f));
    return check_peers(c, f);
}

enum err config_load(struct config **out, const char *path, char *fault, size_t cap)
{
    const struct config_fault f = {path, fault, cap};
    void *loaded = NULL;
    *out = NULL;
    TRY(yaml_file_load(&loaded, &config_value, path, fault, cap));
    if (loaded == NULL) loaded = yaml_file_alloc(sizeof(struct config)); /* an empty file: all defaults */
    if (loaded == NULL) return ERR_NO_MEMORY;
    enum err err = config_fill(loaded);
    if (err == OK) err = check(loaded, &f);
    if (err == OK)
        *out = loaded;
    else
        config_free(loaded);
    return err;
}

void config_name_duckdb(const struct config *c)
{
    if (c->duckdb != NULL) (void)setenv("PERIGEE_DUCKDB", c->duckdb, 0);
}

void config_free(struct config *c)
{
    yaml_file_free(c, &config_value);
}
