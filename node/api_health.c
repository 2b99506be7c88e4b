/* Can this node do its part? Each part is looked at when somebody asks; nothing is written for it. */
#include "node/api_health.h"

#include "node/api_certificate.h"
#include "node/api_common.h"
#include "node/problem.h"
#include "proto/charter.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

enum { HEALTH_DISK_FREE_MIB = 64, HEALTH_MAP_PERCENT = 97 };

static void say(struct health_part *p, const char *name, bool good, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void say(struct health_part *p, const char *name, bool good, const char *format, ...)
{
    va_list arguments;
    p->name = name;
    p->good = good;
    va_start(arguments, format);
    (void)vsnprintf(p->detail, sizeof p->detail, format, arguments);
    va_end(arguments);
}

static void look_disk(struct health_part *p, struct daemon *d)
{
    struct statvfs disk;
    const bool known = statvfs(daemon_home(d)->path, &disk) == 0;
    const uint64_t free_mib = known ? (uint64_t)disk.f_bavail * disk.f_frsize >> 20 : 0;
    if (known && (disk.f_flag & ST_RDONLY) != 0)
        say(p, "disk", false, "expected a disk that can be written; it is mounted read-only");
    else
        say(p, "disk", free_mib >= HEALTH_DISK_FREE_MIB, "expected %d MiB free; %" PRIu64 " are",
            HEALTH_DISK_FREE_MIB, free_mib);
}

static void look_store(struct health_part *p, struct daemon *d)
{
    struct store_status s;
    struct daemon_measures m;
    enum err err = store_status(daemon_store(d), &s);
    daemon_measures(d, &m);
    if (err == OK) err = m.store_err;
    if (err != OK)
        say(p, "store", false, "expected the last write to succeed; it ended with: %s", err_text(err));
    else
        say(p, "store", s.used_bytes / HEALTH_MAP_PERCENT < s.map_bytes / 100,
            "expected less than %d %% of store.map_gb in use; %" PRIu64 " of %" PRIu64 " MiB are",
            HEALTH_MAP_PERCENT, s.used_bytes >> 20, s.map_bytes >> 20);
}

static void look_custodians(struct health_part *p, struct daemon *d)
{
    const struct charter *c = registry_charter_bytes(core_registry(daemon_core(d)));
    uint32_t linked = 0;
    if (!core_needs_custodians(daemon_core(d))) {
        const bool alone = core_cut_off(daemon_core(d));
        say(p, "custodians", !alone, "%s",
            alone ? "expected a link to some member: there is none"
                  : "it is linked to members, among whom custodians need not be");
        return;
    }
    for (uint32_t i = 0; i < c->custodian_count; i++)
        linked += api_linked(d, c->member[c->custodian[i]].node);
    say(p, "custodians", linked >= c->q,
        "expected links to at least %u of %u, this node counted if it is one; %u are there", c->q,
        c->custodian_count, linked);
}

bool api_replaced(struct daemon *d, char out[API_REPLACED_BYTES])
{
    struct node_id heir;
    char by[65], id[65];
    const struct record *r = registry_replacement(core_registry(daemon_core(d)), daemon_home(d)->node, &heir);
    if (r == NULL) return false;
    hex_encode(by, heir.bytes, sizeof heir.bytes);
    hex_encode(id, r->id.bytes, sizeof r->id.bytes);
    const bool claimed = ID_EQUAL(r->header.author, heir);
    (void)snprintf(
        out, API_REPLACED_BYTES,
        "this key %s by %s (record %s): nothing it signs counts %s; run that node, and stop this one",
        claimed ? "was replaced" : "is to be replaced", by, id,
        claimed ? "any more" : "once that one has claimed its place, which this one may not be told");
    return true;
}

static void look_standing(struct health_part *p, struct daemon *d)
{
    char replaced[API_REPLACED_BYTES];
    if (api_replaced(d, replaced)) {
        say(p, "standing", false, "%s", replaced);
        return;
    }
    struct core *core = daemon_core(d);
    const bool custodian =
        charter_custodian(registry_charter_bytes(core_registry(core)), core_self(core)) >= 0;
    const enum refusal standing = custodian ? core_standing(core) : REFUSAL_NONE,
                       authoring = core_authoring(core);
    const enum refusal why = standing != REFUSAL_NONE ? standing : authoring;
    say(p, "standing", why == REFUSAL_NONE, "%s",
        why == REFUSAL_NONE ? "it signs its records, and votes and releases where it is a custodian"
                            : refusal_text(why));
}

static void look_key_shares(struct health_part *p, struct daemon *d)
{
    const struct share_watch *w = daemon_share_watch(d);
    say(p, "key-shares", w->err == OK, "%s",
        w->err != OK   ? w->fault
        : w->expecting ? "it holds its seat's shares of both keys"
                       : "none are expected: it has no seat in a committee");
}

/* One that ends soon keeps nobody from its part yet, and is said all the same. */
static void look_certificate(struct health_part *p, struct daemon *d)
{
    char text[API_CERTIFICATE_TEXT_BYTES];
    int64_t ends_s = 0;
    if (!daemon_certificate(d, &ends_s))
        say(p, "certificate", true, "the API has none on TCP");
    else
        say(p, "certificate", api_certificate_state(text, ends_s, daemon_wall_ms()) != API_CERTIFICATE_ENDED,
            "%s", text);
}

void health_look(struct health *h, struct daemon *d)
{
    look_store(&h->part[0], d);
    look_disk(&h->part[1], d);
    look_custodians(&h->part[2], d);
    look_standing(&h->part[3], d);
    look_key_shares(&h->part[4], d);
    look_certificate(&h->part[5], d);
}

static json_t *parts_json(const struct health *h)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < HEALTH_PART_COUNT; i++) {
        const struct health_part *p = &h->part[i];
        json_array_append_new(
            list, json_pack("{s:s, s:b, s:s}", "part", p->name, "good", p->good, "detail", p->detail));
    }
    return list;
}

void api_healthz(const struct http_request *q, struct http_reply *reply)
{
    struct health h;
    char text[HEALTH_DETAIL_BYTES + 40];
    uint32_t bad = 0;
    health_look(&h, q->context);
    while (bad < HEALTH_PART_COUNT && h.part[bad].good) bad++;
    if (bad == HEALTH_PART_COUNT) {
        http_answer(reply, 200, json_pack("{s:b, s:o}", "healthy", true, "parts", parts_json(&h)));
        return;
    }
    (void)snprintf(text, sizeof text, "%s: %s", h.part[bad].name, h.part[bad].detail);
    json_t *problem = problem_json(503, "unhealthy", text);
    (void)json_object_set_new(problem, "healthy", json_false());
    (void)json_object_set_new(problem, "parts", parts_json(&h));
    http_answer(reply, 503, problem);
}
