/* Accepted worker measurements: what is in force, what is proposed, and speaking for the next version. */
#include "node/api_common.h"
#include "proto/field.h"

#include <stdlib.h>
#include <string.h>

enum { MEASUREMENT_COUNT_MAX = 16 };

static json_t *measurements_json(struct span packed)
{
    json_t *list = json_array();
    for (size_t at = 0; at + 32 <= packed.len; at += 32)
        json_array_append_new(list, api_hex32(packed.data + at));
    return list;
}

/* Whatever a steward spoke for, whether or not it is decided. */
static const struct tally *proposal_at(const struct registry *r, uint32_t i, struct body_WORKERS *body)
{
    const struct tally *t = registry_tally_at(r, i);
    bool proposal =
        t != NULL && t->kind == KIND_WORKERS && body_decode(body, KIND_WORKERS, t->vote[0]->body) == OK;
    if (!proposal) *body = (struct body_WORKERS){.version = 0};
    return t;
}

static json_t *set_json(struct registry *r, const struct tally *t, const struct body_WORKERS *body)
{
    const struct worker_set *set = registry_worker_set(r, body->name);
    return json_pack("{s:o, s:I, s:o, s:i, s:i, s:b}", "name", api_span(body->name), "version",
                     (json_int_t)body->version, "measurements", measurements_json(body->measurements),
                     "signatures", (int)tally_count(r, t), "needed", (int)tally_needed(r, t), "in_force",
                     set != NULL && set->tally == t);
}

void api_workers(const struct http_request *q, struct http_reply *reply)
{
    struct registry *r = core_registry(daemon_core(q->context));
    struct api_page page;
    const struct tally *t;
    struct body_WORKERS body;
    if (!api_page_begin(&page, q, reply)) return;
    json_t *list = json_array();
    for (uint32_t i = 0; !page.full && (t = proposal_at(r, i, &body)) != NULL; i++)
        if (body.version != 0 && api_page_takes(&page, t->vote[0]->id.bytes))
            json_array_append_new(list, set_json(r, t, &body));
    api_page_answer(&page, reply, json_pack("{s:o}", "workers", list));
}

/* Stewards who want the same set must say the same bytes: the version of what is in force, or was proposed after it, when it
 * has these measurements; else the next. */
static uint64_t next_version(const struct registry *r, struct span name, struct span measurements)
{
    const struct worker_set *now = registry_worker_set(r, name);
    const struct tally *t;
    struct body_WORKERS body;
    uint64_t version = now != NULL ? now->body.version : 0, proposed = 0;
    if (now != NULL && span_equal(now->body.measurements, measurements)) return version;
    for (uint32_t i = 0; (t = proposal_at(r, i, &body)) != NULL; i++) {
        bool same = body.version > version && span_equal(body.name, name) &&
                    span_equal(body.measurements, measurements);
        if (same && (proposed == 0 || body.version < proposed)) proposed = body.version;
    }
    return proposed != 0 ? proposed : version + 1;
}

static int by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, 32);
}

void api_workers_register(const struct http_request *q, struct http_reply *reply)
{
    struct body_WORKERS body;
    uint8_t measurements[MEASUREMENT_COUNT_MAX * 32];
    uint32_t count;
    if (!api_text(q, reply, "name", &body.name)) return;
    if (!api_hash_list(q, reply, "measurements", MEASUREMENT_COUNT_MAX, measurements, &count)) return;
    if (!field_is_name(body.name, &body.name)) {
        api_bad(reply, "malformed", "name", "1 to 64 characters of a-z 0-9 . _ -",
                json_object_get(q->body, "name"));
        return;
    }
    qsort(measurements, count, 32, by_bytes); /* in whatever order they were named */
    body.measurements = span_make(measurements, (size_t)count * 32);
    body.version = next_version(core_registry(daemon_core(q->context)), body.name, body.measurements);
    bool given = json_object_get(q->body, "version") != NULL;
    if (given && !api_uint(q, reply, "version", WORKERS_VERSION_MAX, &body.version)) return;
    if (body.version == 0) {
        api_bad(reply, "out-of-range", "version", "at least 1", json_object_get(q->body, "version"));
        return;
    }
    api_author(q->context, reply, KIND_WORKERS, &body, 0, "version", json_integer((json_int_t)body.version));
}
