/* config: perigee.yaml of a node (libcyaml). Unknown keys are errors with their line; every key has a default.
 *   listen: tcp://127.0.0.1:7001          # none: outbound only
 *   announce: tcp://192.0.2.7:7001      # where other members may dial this node; none: nowhere
 *   peers:                                # dialled for ever
 *     - address: tcp://127.0.0.1:7002
 *       node: <64 hex, optional>
 *   compute:                              # present: this node offers enclaves
 *     enclaves: 1
 *     memory_mb: 2048
 *     threads: 2
 *     platform: <text, e.g. a machine name; its hash is the platform id>
 *   store: { map_gb: 64 }
 *   relay:                                # present: this node carries tunnels between others that only dial out
 *     tunnels: 64
 *     mb_a_second: 16
 *   api:                                  # present: the API listens on TCP, too
 *     listen: tcp://127.0.0.1:7443        # a numeric address
 *     certificate: api.crt                # PEM, with its chain; in the data directory unless it begins with /
 *     key: api.key
 *     plaintext: true                     # instead of these two: no TLS, on a loopback address
 *   recording: { file: node.recording, mb: 256 } # present: what the core is told is written there, in the data directory
 *   profile: full                         # light: a small machine, which has less at once (caps.h)
 *   log: { level: info, format: logfmt }  # error, warn, info, debug; logfmt, json
 *   duckdb: /path/to/libduckdb.so         # optional */
#ifndef PERIGEE_NODE_CONFIG_H
#define PERIGEE_NODE_CONFIG_H

#include "node/log.h"
#include "proto/base/caps.h"

#include <stdbool.h>

struct config_peer {
    char *address;
    char *node;
};
struct config_compute {
    unsigned enclaves, memory_mb, threads;
    char *platform;
    unsigned *enclaves_given, *memory_mb_given, *threads_given; /* as the file has it; NULL: it has not */
};
struct config_relay {
    unsigned tunnels, mb_a_second;
    unsigned *tunnels_given, *mb_a_second_given;
};
struct config_store {
    unsigned map_gb, *map_gb_given;
};
struct config_api {
    char *listen, *certificate, *key;
    bool plaintext;
};
struct config_recording {
    char *file;
    unsigned mb, *mb_given;
};
struct config_log {
    char *level, *format;
    enum log_level most; /* what they say */
    bool json;
};
struct config {
    char *listen, *announce;
    struct config_peer *peers;
    unsigned peers_count;
    struct config_compute *compute;
    struct config_relay *relay;
    struct config_store *store;
    struct config_api *api;
    struct config_recording *recording;
    struct config_log *log;
    char *duckdb;
    char *profile;
    const struct caps *caps; /* what it says */
};
/* Every default is filled in: `store` and `log` are there, and `platform` where there is `compute`. `fault` receives one line for people: file, line, key, what was expected. */
MUST_USE enum err config_load(struct config **out, const char *path, char *fault, size_t cap);
/* Where the file names DuckDB's library, this process loads that one, unless PERIGEE_DUCKDB names one already. */
void config_name_duckdb(const struct config *c);
void config_free(struct config *c);
/* What a node can listen on or dial: tcp://HOST:PORT with a port of 0 to 65535, or ipc:// and an absolute path. */
#define CONFIG_ADDRESS_EXPECTED "tcp://HOST:PORT with a port from 0 to 65535, or ipc:///PATH"
bool config_is_address(const char *text);

#endif
