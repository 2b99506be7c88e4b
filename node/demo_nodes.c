/* The demonstration's nodes: directories, keys and configuration; starting, stopping, never leaving one behind. */
#include "node/demo.h"

#include "node/command.h"
#include "node/file.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { NODE_SECONDS = 30, NODE_CONFIG_BYTES = 8192 };

struct demo_node *demo_algorithm(struct demo *d)
{
    return &d->node[d->node_count - 1];
}

/* --- Making --------------------------------------------------------------------------------------------------------- */

/* Free ports, all held at once so that they differ. Somebody else could take one before its node does: then that node says
 * so and the demonstration stops. */
static bool choose_ports(struct demo *d)
{
    int fd[DEMO_NODE_MAX];
    bool good = true;
    for (uint32_t i = 0; i < d->node_count; i++) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
        socklen_t len = sizeof address;
        fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        good = good && fd[i] >= 0 && bind(fd[i], (struct sockaddr *)&address, sizeof address) == 0 &&
               getsockname(fd[i], (struct sockaddr *)&address, &len) == 0;
        d->node[i].port = ntohs(address.sin_port);
    }
    for (uint32_t i = 0; i < d->node_count; i++)
        if (fd[i] >= 0) (void)close(fd[i]);
    return good || demo_bad(d, NULL, "no free ports on 127.0.0.1");
}

static bool name_paths(struct demo *d, struct demo_node *n)
{
    int dir = snprintf(n->dir, sizeof n->dir, "%s/%s", d->dir, n->name);
    int log = snprintf(n->log, sizeof n->log, "%s/%s.log", d->dir, n->name);
    int socket = snprintf(n->socket, sizeof n->socket, "%s/%s/api.sock", d->dir, n->name);
    if (dir < 0 || log < 0 || socket < 0 || log >= PATH_MAX || socket >= 108)
        return demo_bad(d, NULL, "%s: too long a path for sockets in it (107 bytes): choose a shorter folder",
                        d->dir);
    return true;
}

static bool init(struct demo *d, struct demo_node *n)
{
    char listen[64];
    json_t *answer = NULL;
    (void)snprintf(listen, sizeof listen, "tcp://127.0.0.1:%u", n->port);
    if (!demo_call(d, n, &answer, "init", "--organisation", n->name, "--jurisdiction", n->jurisdiction,
                   "--roles", n->roles, "--listen", listen, NULL))
        return false;
    (void)snprintf(n->id, sizeof n->id, "%s", demo_text(answer, "node"));
    json_decref(answer);
    return strlen(n->id) == 64 || demo_bad(d, NULL, "`perigee init` named no node");
}

/* What an operator would write by hand: whom to dial, and for compute providers what they offer. */
static bool configure(struct demo *d, const struct demo_node *n)
{
    char path[PATH_MAX + 16], line[256], text[NODE_CONFIG_BYTES];
    struct buffer out = BUFFER_OF(text);
    (void)snprintf(line, sizeof line, "listen: \"tcp://127.0.0.1:%u\"\npeers:\n", n->port);
    buffer_put_text(&out, line);
    for (uint32_t i = 0; i < d->node_count; i++) {
        if (&d->node[i] == n) continue;
        (void)snprintf(line, sizeof line, "  - address: \"tcp://127.0.0.1:%u\"\n    node: \"%s\"\n",
                       d->node[i].port, d->node[i].id);
        buffer_put_text(&out, line);
    }
    if (strcmp(n->roles, "compute") == 0) {
        (void)snprintf(line, sizeof line,
                       "compute:\n  enclaves: 1\n  memory_mb: 2048\n  threads: 2\n  platform: \"%s\"\n",
                       n->name);
        buffer_put_text(&out, line);
    }
    buffer_put_text(&out, "store:\n  map_gb: 8\n");
    (void)snprintf(path, sizeof path, "%s/perigee.yaml", n->dir);
    enum err err = buffer_done(&out);
    if (err == OK) err = file_write(path, buffer_span(&out), 0600, true);
    return err == OK || demo_bad(d, NULL, "%s: %s", path, err_text(err));
}

void demo_nodes_name(struct demo *d)
{
    const struct study *s = d->study;
    d->silo_count = s->silos_count;
    d->node_count = s->silos_count + s->compute_count + 1;
    for (uint32_t i = 0; i < d->node_count; i++) {
        struct demo_node *n = &d->node[i];
        const uint32_t other = i - d->silo_count;
        const struct study_party *party = other < s->compute_count ? &s->compute[other] : s->provider;
        const bool silo = i < d->silo_count;
        n->name = silo ? s->silos[i].organisation : party->organisation;
        n->jurisdiction = silo ? s->silos[i].jurisdiction : party->jurisdiction;
        n->roles = silo                       ? "owner,custodian,steward"
                   : other < s->compute_count ? "compute"
                                              : "algorithm,requester";
    }
}

bool demo_nodes_make(struct demo *d)
{
    if (!choose_ports(d)) return false;
    for (uint32_t i = 0; i < d->node_count; i++)
        if (!name_paths(d, &d->node[i]) || !init(d, &d->node[i])) return false;
    for (uint32_t i = 0; i < d->node_count; i++)
        if (!configure(d, &d->node[i])) return false;
    return true;
}

/* --- Running -------------------------------------------------------------------------------------------------------- */

static bool sees_all(const struct demo *d, const json_t *answer, const void *context)
{
    size_t i, up = 0;
    json_t *peer;
    (void)context;
    json_array_foreach(json_object_get(answer, "peers"), i, peer) up +=
        json_is_true(json_object_get(peer, "up"));
    return up + 1 >= d->node_count;
}

/* A compute provider without enclaves is a member all the same: the run would wait for ever. */
static bool offers_enclaves(struct demo *d, struct demo_node *n)
{
    json_t *status = NULL;
    if (!demo_call(d, n, &status, "status", NULL)) return false;
    const json_t *enclaves = json_object_get(status, "enclaves");
    const bool good = json_integer_value(json_object_get(enclaves, "max")) > 0 ||
                      demo_bad(d, n, "%s can start no enclave: %s", n->name, demo_text(enclaves, "why"));
    json_decref(status);
    return good;
}

bool demo_nodes_start(struct demo *d)
{
    for (uint32_t i = 0; i < d->node_count; i++) {
        struct demo_node *n = &d->node[i];
        const char *const words[] = {"node", "--data", n->dir, NULL};
        enum err err = demo_process_start(&n->pid, words, n->log);
        if (err != OK) return demo_bad(d, NULL, "`perigee node` could not be started: %s", err_text(err));
    }
    if (!demo_await_all(d, "/v1/status", sees_all, NULL, NODE_SECONDS)) return false;
    for (uint32_t i = d->silo_count; i + 1 < d->node_count; i++)
        if (!offers_enclaves(d, &d->node[i])) return false;
    return true;
}

struct demo_node *demo_nodes_ended(struct demo *d, int *code)
{
    for (uint32_t i = 0; i < d->node_count; i++) {
        struct demo_node *n = &d->node[i];
        if (n->pid <= 0 || !demo_process_ended(n->pid, code)) continue;
        n->pid = 0;
        return n;
    }
    return NULL;
}

bool demo_nodes_stop(struct demo *d)
{
    bool good = true;
    for (uint32_t i = 0; i < d->node_count; i++) {
        struct demo_node *n = &d->node[i];
        int code = 0;
        if (n->pid == 0) continue;
        bool itself = demo_process_stop(n->pid, NODE_SECONDS, &code);
        n->pid = 0;
        if (!itself || code != EXIT_OK)
            good = demo_bad(d, n, "the node of %s was asked to end and %s with exit code %d", n->name,
                            itself ? "ended" : "had to be killed", code);
    }
    return good;
}

void demo_nodes_kill(struct demo *d)
{
    int code;
    for (uint32_t i = 0; i < d->node_count; i++)
        if (d->node[i].pid > 0) (void)demo_process_stop(d->node[i].pid, 3, &code);
    for (uint32_t i = 0; i < d->node_count; i++) d->node[i].pid = 0;
}
