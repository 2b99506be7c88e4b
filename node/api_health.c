/* Can this node do its part? Each part is looked at when somebody asks; nothing is written for it. */
#include "node/api_common.h"
#include "node/problem.h"
#include "proto/charter.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

enum { HEALTH_DISK_FREE_MIB = 64, HEALTH_MAP_PERCENT = 97 };

struct health {
    json_t *parts;
    bool good;
    char first[400]; /* what the first part that fails says */
};

static void add_part(struct health *h, const char *part, bool good, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void add_part(struct health *h, const char *part, bool good, const char *format, ...)
{
    char detail[360];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    if (!good && h->good) (void)snprintf(h->first, sizeof h->first, "%s: %s", part, detail);
    h->good = h->good && good;
    (void)json_array_append_new(h->parts,
                                json_pack("{s:s, s:b, s:s}", "part", part, "good", good, "detail", detail));
}

static void add_disk(struct health *h, struct daemon *d)
{
    struct statvfs disk;
    const bool known = statvfs(daemon_home(d)->path, &disk) == 0;
    const uint64_t free_mib = known ? (uint64_t)disk.f_bavail * disk.f_frsize >> 20 : 0;
    if (known && (disk.f_flag & ST_RDONLY) != 0)
        add_part(h, "disk", false, "expected a disk that can be written; it is mounted read-only");
    else
        add_part(h, "disk", free_mib >= HEALTH_DISK_FREE_MIB, "expected %d MiB free; %" PRIu64 " are",
                 HEALTH_DISK_FREE_MIB, free_mib);
}

static void add_store(struct health *h, struct daemon *d)
{
    struct store_status s;
    struct daemon_measures m;
    enum err err = store_status(daemon_store(d), &s);
    daemon_measures(d, &m);
    if (err == OK) err = m.store_err;
    if (err != OK)
        add_part(h, "store", false, "expected the last write to succeed; it ended with: %s", err_text(err));
    else
        add_part(h, "store", s.used_bytes / HEALTH_MAP_PERCENT < s.map_bytes / 100,
                 "expected less than %d %% of store.map_gb in use; %" PRIu64 " of %" PRIu64 " MiB are",
                 HEALTH_MAP_PERCENT, s.used_bytes >> 20, s.map_bytes >> 20);
}

static bool is_linked(struct daemon *d, struct node_id node)
{
    const struct peer_view *p;
    if (ID_EQUAL(node, daemon_home(d)->node)) return true;
    for (uint32_t i = 0; (p = core_peer_at(daemon_core(d), i)) != NULL; i++)
        if (ID_EQUAL(p->node, node)) return p->up;
    return false;
}

static void add_custodians(struct health *h, struct daemon *d)
{
    const struct charter *c = registry_charter_bytes(core_registry(daemon_core(d)));
    uint32_t linked = 0;
    for (uint32_t i = 0; i < c->custodian_count; i++) linked += is_linked(d, c->member[c->custodian[i]].node);
    add_part(h, "custodians", linked >= c->q,
             "expected links to at least %u of %u, this node counted if it is one; %u are there", c->q,
             c->custodian_count, linked);
}

static void add_standing(struct health *h, struct daemon *d)
{
    struct core *core = daemon_core(d);
    const bool custodian =
        charter_custodian(registry_charter_bytes(core_registry(core)), core_self(core)) >= 0;
    const enum refusal standing = custodian ? core_standing(core) : REFUSAL_NONE,
                       authoring = core_authoring(core);
    const enum refusal why = standing != REFUSAL_NONE ? standing : authoring;
    add_part(h, "standing", why == REFUSAL_NONE, "%s",
             why == REFUSAL_NONE ? "it signs its records, and votes and releases where it is a custodian"
                                 : refusal_text(why));
}

void api_healthz(const struct http_request *q, struct http_reply *reply)
{
    struct health h = {.parts = json_array(), .good = true};
    add_store(&h, q->context);
    add_disk(&h, q->context);
    add_custodians(&h, q->context);
    add_standing(&h, q->context);
    if (h.good) {
        http_answer(reply, 200, json_pack("{s:b, s:o}", "healthy", true, "parts", h.parts));
        return;
    }
    json_t *problem = problem_json(503, "unhealthy", h.first);
    (void)json_object_set_new(problem, "parts", h.parts);
    http_answer(reply, 503, problem);
}
