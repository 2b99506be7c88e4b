#include "tests/scene.h"

#include "proto/base/panic.h"

#include <string.h>

static void must(enum err err)
{
    ASSERT(err == OK);
}

struct span scene_keep(struct scene *s, struct span bytes)
{
    struct span out;
    must(arena_copy(s->arena, &out, bytes));
    return out;
}

/* --- Records ------------------------------------------------------------------------------------------------------------- */

const struct record *scene_record_at(struct scene *s, struct node_id author, uint64_t seq, enum kind kind,
                                     const void *body, uint64_t expires_ms)
{
    static uint8_t bytes[CAP_HEADER_BYTES + CAP_BODY_BYTES];
    struct buffer b = BUFFER_OF(bytes);
    struct header h = {.kind = kind,
                       .consortium = s->world->consortium,
                       .author = author,
                       .seq = seq,
                       .time_ms = s->now_ms,
                       .expires_ms = expires_ms,
                       .residency = SPAN_LITERAL("")};
    struct signature none = {{0}};
    struct record *record = ARENA_NEW(s->arena, struct record);
    size_t header_len;
    if (seq > 1) memset(h.prev.bytes, 0x77, sizeof h.prev.bytes);
    must(record_build(&b, &header_len, &h, body));
    struct span all = scene_keep(s, buffer_span(&b));
    ASSERT(record != NULL);
    must(record_open(record, span_make(all.data, header_len), &none,
                     span_make(all.data + header_len, all.len - header_len)));
    return record;
}

const struct record *scene_record(struct scene *s, uint32_t node, enum kind kind, const void *body,
                                  uint64_t expires_ms)
{
    return scene_record_at(s, s->world->node[node].id, s->seq[node]++, kind, body, expires_ms);
}

struct verdict scene_apply(struct scene *s, uint32_t node, enum kind kind, const void *body,
                           uint64_t expires_ms)
{
    return registry_apply(s->registry, scene_record(s, node, kind, body, expires_ms));
}

static const struct record *put(struct scene *s, uint32_t node, enum kind kind, const void *body,
                                uint64_t expires_ms)
{
    const struct record *record = scene_record(s, node, kind, body, expires_ms);
    ASSERT(registry_apply(s->registry, record).refusal == REFUSAL_NONE);
    return record;
}

/* --- The parts ------------------------------------------------------------------------------------------------------------ */

static void take_owner(struct scene *s, uint32_t i)
{
    union body body;
    const struct world *w = s->world;
    (void)world_first(w, KIND_ASSET, i, &body);
    must(ddo_parse(&s->ddo[i], s->arena, body.ASSET.ddo, NULL));
    (void)world_first(w, KIND_GRANT, i, &body);
    s->grant[i] = body.GRANT;
    (void)world_first(w, KIND_APPROVAL, i, &body);
    s->approval[i] = body.APPROVAL;
    s->approval_expires_ms[i] = s->now_ms + 1000000;
    s->policy[i] = (struct policy){.export_to = EXPORT_TO_ENCLAVE};
    memset(s->content[i].bytes, (int)(0xc0 + i), 32);
    memset(s->manifest[i].bytes, (int)(0x30 + i), 32);
}

struct scene *scene_new(struct world *w)
{
    struct arena *arena = world_arena(w);
    struct scene *s = ARENA_NEW(arena, struct scene);
    union body body;
    ASSERT(s != NULL);
    *s = (struct scene){
        .world = w, .arena = arena, .now_ms = WORLD_START_MS + 1000, .requester = WORLD_REQUESTER};
    for (uint32_t i = 0; i < WORLD_NODES; i++) s->seq[i] = 100;
    (void)world_first(w, KIND_OP, 0, &body);
    must(op_open(&s->op, arena, body.OP.document, body.OP.code, NULL));
    must(workflow_parse(&s->workflow, arena, w->workflow, NULL));
    (void)world_first(w, KIND_JOB, WORLD_ALGORITHM, &body);
    s->job = body.JOB;
    s->endorsers = 3;
    s->run_expires_ms = s->now_ms + 1000000;
    for (uint32_t i = 0; i < 2; i++) take_owner(s, i);
    return s;
}

void scene_free(struct scene *s)
{
    world_arena_free(s->arena);
}

void scene_template(struct scene *s, const char *name)
{
    uint8_t bytes[1024];
    struct buffer code = BUFFER_OF(bytes);
    must(template_shipped_write(&code, template_shipped_find(span_text(name))));
    s->op->code = sha256(buffer_span(&code));
    s->op->code_bytes = scene_keep(s, buffer_span(&code));
}

/* --- Building -------------------------------------------------------------------------------------------------------------- */

static void put_world(struct scene *s, enum kind kind)
{
    const struct world *w = s->world;
    for (uint32_t i = 0; i < w->record_count; i++) {
        if (w->record[i]->header.kind != kind) continue;
        ASSERT(registry_apply(s->registry, w->record[i]).refusal == REFUSAL_NONE);
    }
}

static void put_op(struct scene *s)
{
    static uint8_t bytes[4096];
    struct buffer b = BUFFER_OF(bytes);
    must(op_write(&b, s->op));
    struct body_OP body = {buffer_span(&b), s->op->code_bytes};
    for (uint32_t i = 0; i < 3; i++) (void)put(s, i, KIND_OP, &body, 0);
    struct hash32 hash = sha256(body.document);
    for (uint32_t i = 0; i < 2; i++) /* the datasets offer whatever the op is by now */
        if (ID_EQUAL(s->ddo[i]->service[0].op[0], s->op->hash)) s->ddo[i]->service[0].op[0] = hash;
    for (uint32_t i = 0; i < s->workflow->step_count; i++)
        if (ID_EQUAL(s->workflow->step[i].op, s->op->hash)) s->workflow->step[i].op = hash;
    s->op->hash = hash;
}

struct body_ASSET scene_asset(struct scene *s, uint32_t owner, uint64_t version, bool bind)
{
    static uint8_t bytes[8192], policy[2048];
    struct buffer b = BUFFER_OF(bytes), p = BUFFER_OF(policy);
    union body first;
    (void)world_first(s->world, KIND_ASSET, owner, &first);
    must(ddo_write(&b, s->ddo[owner]));
    must(policy_write(&p, &s->policy[owner]));
    struct body_ASSET body = {.dt = s->ddo[owner]->dt,
                              .version = version,
                              .ddo = buffer_span(&b),
                              .workflow = SPAN_LITERAL(""),
                              .policy = SPAN_LITERAL("")};
    if (version == 1) body.salt = first.ASSET.salt;
    if (!bind) return body;
    body.compose = s->workflow->hash;
    body.content = s->content[owner];
    body.manifest = s->manifest[owner];
    body.policy = buffer_span(&p);
    return body;
}

static void put_workflow(struct scene *s)
{
    static uint8_t bytes[CAP_DOCUMENT_BYTES];
    struct buffer b = BUFFER_OF(bytes);
    union body first;
    (void)world_first(s->world, KIND_ASSET, WORLD_ALGORITHM, &first);
    (void)put(s, WORLD_ALGORITHM, KIND_ASSET, &first.ASSET, 0);
    must(workflow_write(&b, s->workflow));
    struct body_ASSET body = first.ASSET;
    body.version = 2;
    body.salt = (struct hash32){{0}};
    body.workflow = scene_keep(s, buffer_span(&b));
    struct hash32 hash = sha256(body.workflow);
    memcpy(s->workflow->hash.bytes, hash.bytes, 32);
    if ((s->left_out & SCENE_WORKFLOW) == 0) (void)put(s, WORLD_ALGORITHM, KIND_ASSET, &body, 0);
}

static void put_job(struct scene *s)
{
    s->job.compose = s->workflow->hash;
    s->job_record = put(s, WORLD_ALGORITHM, KIND_JOB, &s->job, 0);
    struct body_ENDORSEMENT body = {s->job_record->id};
    for (uint32_t i = 0; i < s->endorsers; i++) (void)put(s, i, KIND_ENDORSEMENT, &body, 0);
}

/* An approval is of the scene's workflow, as it is by now; unless it was changed itself. */
static void follow_workflow(struct scene *s, uint32_t i)
{
    union body first;
    struct body_APPROVAL *a = &s->approval[i];
    (void)world_first(s->world, KIND_APPROVAL, i, &first);
    if (ID_EQUAL(a->compose, s->world->compose)) a->compose = s->workflow->hash;
    if (!ID_EQUAL(a->text, first.APPROVAL.text)) return;
    must(registry_text_hash(&a->text, s->registry, s->workflow, a->dataset));
}

static void put_owner(struct scene *s, uint32_t i)
{
    uint32_t out = i == 0 ? s->left_out : 0;
    if ((out & SCENE_ASSET) != 0) return;
    struct body_ASSET body = scene_asset(s, i, 1, false);
    s->asset_record[i] = put(s, i, KIND_ASSET, &body, 0);
    if ((out & SCENE_GRANT) == 0)
        s->grant_record[i] = put(s, i, KIND_GRANT, &s->grant[i], s->grant_expires_ms[i]);
    body = scene_asset(s, i, 2, true);
    if ((out & SCENE_BINDING) == 0) s->binding[i] = put(s, i, KIND_ASSET, &body, 0);
    follow_workflow(s, i);
    if ((out & SCENE_APPROVAL) == 0)
        s->approval_record[i] = put(s, i, KIND_APPROVAL, &s->approval[i], s->approval_expires_ms[i]);
}

static void put_run(struct scene *s)
{
    struct buffer b = BUFFER_OF(s->inputs);
    for (uint32_t i = 0; i < 2; i++) {
        struct record_id none = {{0}};
        buffer_put(&b, ID_SPAN(s->ddo[i]->dt));
        buffer_put(&b, ID_SPAN(s->content[i]));
        buffer_put(&b, ID_SPAN(s->manifest[i]));
        buffer_put(&b, s->binding[i] != NULL ? ID_SPAN(s->binding[i]->id) : ID_SPAN(none));
    }
    s->run = (struct body_RUN){.compose = s->workflow->hash,
                               .app = s->workflow->app_id,
                               .slot = 1,
                               .engine = s->workflow->engine,
                               .parameters = s->world->parameters,
                               .inputs = buffer_span(&b),
                               .epoch = 1};
    memcpy(s->run.charter.bytes, s->world->consortium.bytes, 32);
    s->run_record = scene_record(s, s->requester, KIND_RUN, &s->run, s->run_expires_ms);
    memcpy(s->run_id.bytes, s->run_record->id.bytes, 32);
    if ((s->left_out & SCENE_RUN) == 0)
        ASSERT(registry_apply(s->registry, s->run_record).refusal == REFUSAL_NONE);
}

/* What the custodian is asked: for a vote, for shares, for its signature under the output. */
static void put_asks(struct scene *s)
{
    const struct world *w = s->world;
    struct node_id enclave = {{0xe0}};
    s->self = w->node[2].id;
    must(promises_init(&s->promises, s->arena, 64, 1));
    s->certificate = (struct certificate){.consortium = w->consortium,
                                          .epoch = 1,
                                          .run = s->run_id,
                                          .compose = s->run.compose,
                                          .slot = 1,
                                          .term = 1,
                                          .node = w->node[WORLD_COMPUTE].id,
                                          .vote_count = 3,
                                          .custodian = {0, 1, 3}};
    s->vote = (struct election_ask){
        .run = s->run_id, .term = 1, .node = w->node[WORLD_COMPUTE].id, .now_ms = s->now_ms};
    s->release = (struct release_ask){.run = s->run_id,
                                      .term = 1,
                                      .host = w->node[WORLD_COMPUTE].id,
                                      .enclave = enclave,
                                      .certificate = &s->certificate,
                                      .envelope_count = 2,
                                      .evidence = {.measurement = w->measurement,
                                                   .platform = w->platform,
                                                   .time_ms = s->now_ms,
                                                   .simulated = true},
                                      .platform_known = true,
                                      .platform = w->platform,
                                      .now_ms = s->now_ms};
    struct lease_ask holder = {.run = s->run_id,
                               .term = 1,
                               .host = w->node[WORLD_COMPUTE].id,
                               .enclave = enclave,
                               .now_ms = s->now_ms};
    s->commit = (struct commit_ask){.holder = holder, .commitment = {{0xcc}}};
}

void scene_promise(struct scene *s, enum promise_kind kind, const uint8_t subject32[32], uint64_t number,
                   const uint8_t value32[32])
{
    uint8_t key[PROMISE_KEY_BYTES];
    promise_key(key, kind, subject32, number);
    must(promise_set(&s->promises, key, value32));
}

void scene_build(struct scene *s)
{
    must(registry_new(&s->registry, s->arena, s->world->consortium, s->world->charter));
    if ((s->left_out & SCENE_CHARTER) == 0) put_world(s, KIND_CHARTER);
    put_world(s, KIND_MEMBER);
    if ((s->left_out & SCENE_COMMITTEE) == 0) put_world(s, KIND_COMMITTEE);
    if ((s->left_out & SCENE_WORKERS) == 0) put_world(s, KIND_WORKERS);
    if ((s->left_out & SCENE_OP) == 0) put_op(s);
    put_workflow(s);
    if ((s->left_out & SCENE_JOB) == 0) put_job(s);
    for (uint32_t i = 0; i < 2; i++) put_owner(s, i);
    put_run(s);
    put_asks(s);
}
