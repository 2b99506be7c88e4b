#include "node/api_common.h"
#include "proto/approval.h"
#include "proto/base/text.h"
#include "proto/field.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct registry *registry_of(const struct http_request *q)
{
    return core_registry(daemon_core(q->context));
}

/* --- Assets ------------------------------------------------------------------------------------------------------------ */

/* The newest first. */
static json_t *contents_json(struct api_page *page, const struct registry *r, const struct asset *a)
{
    json_t *list = json_array();
    for (uint32_t next = a->bindings_plus_one; next != 0 && !page->full;) {
        const struct binding *b = registry_binding_at(r, next - 1);
        if (api_page_takes(page, b->record->id.bytes))
            json_array_append_new(
                list,
                json_pack("{s:o, s:o, s:o, s:o, s:o}", "record", api_hex32(b->record->id.bytes), "compose",
                          api_hex32(b->compose.bytes), "content", api_hex32(b->content.bytes), "manifest",
                          api_hex32(b->manifest.bytes), "policy", api_span(b->policy->bytes)));
        next = b->next_plus_one;
    }
    return list;
}

static json_t *asset_json(struct daemon *d, const struct asset *a)
{
    const struct registry *r = core_registry(daemon_core(d));
    const struct node_id holder = registry_holder(r, a->owner);
    json_t *body = json_pack("{s:o, s:o, s:o, s:s, s:o, s:o, s:I}", "dt", api_dt_text(a->dt), "owner",
                             api_hex32(a->owner.bytes), "organisation", api_organisation(d, holder), "type",
                             asset_type_names[a->ddo->type], "name", api_span(a->ddo->name), "jurisdiction",
                             api_span(a->ddo->jurisdiction), "version", (json_int_t)a->version);
    if (!ID_EQUAL(holder, a->owner)) json_object_set_new(body, "holder", api_hex32(holder.bytes));
    if (a->ddo->type != ASSET_DATASET) return body;
    json_object_set_new(body, "schema", api_hex32(a->ddo->schema.hash.bytes));
    json_object_set_new(body, "rows", json_integer((json_int_t)a->ddo->row_count));
    json_object_set_new(body, "budget", api_epsilon(a->ddo->budget));
    json_object_set_new(body, "allotted", api_epsilon(registry_allotted(r, a)));
    return body;
}

void api_assets(const struct http_request *q, struct http_reply *reply)
{
    const struct registry *r = registry_of(q);
    struct api_page page;
    const struct asset *a;
    if (!api_page_begin(&page, q, reply)) return;
    json_t *list = json_array();
    for (uint32_t i = 0; !page.full && (a = registry_asset_at(r, i)) != NULL; i++)
        if (registry_asset(r, a->dt) != NULL && api_page_takes(&page, a->dt.bytes))
            json_array_append_new(list, asset_json(q->context, a));
    api_page_answer(&page, reply, json_pack("{s:o}", "assets", list));
}

static const struct asset *asset_of(const struct http_request *q, struct http_reply *reply, struct dt dt)
{
    const struct asset *a = registry_asset(registry_of(q), dt);
    if (a == NULL)
        http_problem(
            reply, 404, "unknown-asset",
            "expected an asset that is registered here; came another: `perigee asset list` shows them");
    return a;
}

void api_asset(const struct http_request *q, struct http_reply *reply)
{
    struct api_page page;
    struct dt dt;
    if (!api_param_dt(q, reply, 0, &dt) || !api_page_begin(&page, q, reply)) return;
    const struct asset *a = asset_of(q, reply, dt);
    if (a == NULL) return;
    json_t *body = asset_json(q->context, a);
    json_object_set_new(body, "ddo", api_span(a->ddo->bytes));
    json_object_set_new(body, "contents", contents_json(&page, registry_of(q), a));
    api_page_answer(&page, reply, body);
}

/* Parse a document for its own sake: the API says exactly what is wrong with it, where the core would only refuse. */
typedef enum err parse_document(void *out, struct arena *arena, struct span bytes, struct json_fault *fault);

static enum err parse_ddo(void *out, struct arena *arena, struct span bytes, struct json_fault *fault)
{
    struct ddo *ddo;
    TRY(ddo_parse(&ddo, arena, bytes, fault));
    *(struct dt *)out = ddo->dt;
    return OK;
}

/* Where what an op's template allows is known already, a step that goes beyond it is refused with what is too much. */
static enum err check_templates(const struct registry *r, const struct workflow *w, struct json_fault *fault)
{
    for (uint32_t i = 0; i < w->step_count; i++) {
        const struct op *op = registry_op(r, w->step[i].op);
        if (op == NULL || op->step == NULL) continue;
        const enum template_part part = template_misfit(op->step, &w->step[i]);
        if (part == TEMPLATE_PART_COUNT) continue;
        const struct template_bound b = op->step->bound[part];
        (void)snprintf(fault->path, sizeof fault->path, "steps[%u]", i);
        (void)snprintf(fault->expected, sizeof fault->expected,
                       "%u to %u %s, which its op's template %.*s allows, got %u", b.least, b.most,
                       template_part_name(part), (int)op->step->name.len, (const char *)op->step->name.data,
                       template_part_of(&w->step[i], part));
        return fault->err = ERR_REFUSED;
    }
    return OK;
}

struct parsed_workflow {
    const struct registry *registry;
    struct compose_hash compose;
    struct dt app;
};

static enum err parse_workflow(void *out, struct arena *arena, struct span bytes, struct json_fault *fault)
{
    struct workflow *w;
    struct parsed_workflow *p = out;
    TRY(workflow_parse(&w, arena, bytes, fault));
    p->compose = w->hash;
    p->app = w->app_id;
    return check_templates(p->registry, w, fault);
}

static enum err parse_policy(void *out, struct arena *arena, struct span bytes, struct json_fault *fault)
{
    struct policy *p;
    TRY(policy_parse(&p, arena, bytes, fault));
    *(struct hash32 *)out = p->hash;
    return OK;
}

static bool checked_document(struct http_reply *reply, const char *what, parse_document *parse,
                             struct span bytes, void *out)
{
    enum { MEMORY = 4 << 20 };
    void *memory = calloc(1, MEMORY);
    struct json_fault fault = {0};
    enum err err = ERR_NO_MEMORY;
    if (memory != NULL) {
        struct arena arena = arena_make(memory, MEMORY);
        err = parse(out, &arena, bytes, &fault);
    }
    free(memory);
    if (err != OK)
        http_problem(reply, 400, err_name(err), "%s refused at %s: expected %s", what,
                     fault.path[0] != 0 ? fault.path : "the top",
                     fault.expected[0] != 0 ? fault.expected : err_text(err));
    return err == OK;
}

void api_asset_register(const struct http_request *q, struct http_reply *reply)
{
    struct body_ASSET body = {.version = 1};
    if (!api_text(q, reply, "ddo", &body.ddo) || !api_hash(q, reply, "salt", body.salt.bytes)) return;
    if (!checked_document(reply, "ddo/1", parse_ddo, body.ddo, &body.dt)) return;
    struct node_id self = daemon_home(q->context)->node;
    struct hash32 dt = HASH_FRAMED("perigee/dt/v1", ID_SPAN(self), ID_SPAN(body.salt));
    if (!ids_equal(dt.bytes, body.dt.bytes)) {
        http_problem(reply, 400, "not-owner",
                     "expected the ddo's dt to be H(\"perigee/dt/v1\", this node, salt); came another");
        return;
    }
    api_author(q->context, reply, KIND_ASSET, &body, 0, "dt", api_dt_text(body.dt));
}

void api_asset_bind(const struct http_request *q, struct http_reply *reply)
{
    struct body_ASSET body = {.version = 0};
    struct hash32 policy;
    if (!api_param_dt(q, reply, 0, &body.dt)) return;
    if (!api_hash(q, reply, "compose", body.compose.bytes) ||
        !api_hash(q, reply, "content", body.content.bytes) ||
        !api_hash(q, reply, "manifest", body.manifest.bytes) || !api_text(q, reply, "policy", &body.policy))
        return;
    if (!checked_document(reply, "policy/1", parse_policy, body.policy, &policy)) return;
    const struct asset *a = asset_of(q, reply, body.dt);
    if (a == NULL) return;
    body.version = registry_version_next(registry_of(q), a);
    body.ddo = a->ddo->bytes;
    api_author(q->context, reply, KIND_ASSET, &body, 0, NULL, NULL);
}

/* --- Workflows ------------------------------------------------------------------------------------------------------------- */

struct approval_tally {
    uint32_t approved, needed;
};

/* Every range of slots that this owner's approvals cover now, the newest first. */
static json_t *ranges_json(const struct registry *r, const struct workflow *w, const struct asset *a)
{
    json_t *list = json_array();
    const uint64_t now_ms = daemon_wall_ms();
    for (uint32_t next = a->approvals_plus_one; next != 0;) {
        const struct approval *p = registry_approval_at(r, next - 1);
        const uint64_t expires_ms = p->record->header.expires_ms;
        const bool live = ID_EQUAL(p->body.compose, w->hash) && registry_counts(r, p->record) &&
                          !registry_revoked(r, p) && (expires_ms == 0 || expires_ms > now_ms);
        if (live)
            json_array_append_new(
                list, json_pack("[I, I]", (json_int_t)p->body.slot_first, (json_int_t)p->body.slot_last));
        next = p->next_plus_one;
    }
    return list;
}

static json_t *approval_json(struct daemon *d, const struct registry *r, const struct workflow *w,
                             const struct workflow_input *input, struct approval_tally *tally)
{
    const struct asset *a = registry_asset(r, input->dt);
    struct approval_view v = {NULL, false, false};
    if (a != NULL) v = registry_approval(r, a, w->hash, 0, daemon_wall_ms());
    const char *state = a == NULL            ? "unregistered"
                        : v.approval == NULL ? "waiting"
                        : v.revoked          ? "revoked"
                        : v.expired          ? "expired"
                                             : "approved";
    bool live = v.approval != NULL && !v.revoked && !v.expired;
    tally->approved += live;
    tally->needed++;
    json_t *body =
        json_pack("{s:o, s:o, s:o, s:b, s:s, s:I}", "owner", api_hex32(input->owner.bytes), "organisation",
                  api_organisation(d, registry_holder(r, input->owner)), "dataset", api_dt_text(input->dt),
                  "bound", a != NULL && registry_binding(r, a, w->hash) != NULL, "state", state, "last_slot",
                  a != NULL ? (json_int_t)registry_last_slot(r, a, w->hash) : 0);
    if (v.approval != NULL) {
        json_object_set_new(body, "slot_first", json_integer((json_int_t)v.approval->body.slot_first));
        json_object_set_new(body, "slot_last", json_integer((json_int_t)v.approval->body.slot_last));
        json_object_set_new(body, "ranges", live ? ranges_json(r, w, a) : json_array());
        json_object_set_new(body, "record", api_hex32(v.approval->record->id.bytes));
    }
    const struct grant *g = registry_grant(r, input->dt, w->app_id, daemon_wall_ms());
    if (g != NULL) {
        json_object_set_new(body, "granted_slots", json_integer((json_int_t)g->body.slots_max));
        json_object_set_new(body, "granted_epsilon", api_epsilon(g->body.epsilon_max));
    }
    return body;
}

static json_t *job_json(struct daemon *d, const struct registry *r, const struct job *j)
{
    const struct charter *c = registry_charter_bytes(r);
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:i, s:i}", "job", api_hex32(j->record->id.bytes), "compose",
                     api_hex32(j->body.compose.bytes), "app", api_dt_text(j->body.app), "task",
                     api_span(j->body.task), "provider", api_organisation(d, j->record->header.author),
                     "endorsements", (int)registry_endorsements(r, j), "needed", (int)c->s);
}

static json_t *workflow_summary(struct daemon *d, const struct published *p)
{
    const struct workflow *w = p->workflow;
    return json_pack("{s:o, s:o, s:o, s:o, s:s, s:o, s:i}", "compose", api_hex32(w->hash.bytes), "app",
                     api_dt_text(w->app_id), "name", api_span(w->name), "epsilon",
                     api_epsilon(w->epsilon_nano), "privacy", api_privacy(w), "provider",
                     api_organisation(d, p->provider), "inputs", (int)w->input_count);
}

static void put_approvals(json_t *body, struct daemon *d, const struct registry *r, const struct workflow *w)
{
    struct approval_tally tally = {0, 0};
    json_t *approvals = json_array();
    const struct job *job = registry_job(r, w->hash);
    for (uint32_t i = 0; i < w->input_count; i++)
        json_array_append_new(approvals, approval_json(d, r, w, &w->input[i], &tally));
    json_object_set_new(body, "approvals", approvals);
    json_object_set_new(body, "approved", json_integer(tally.approved));
    json_object_set_new(body, "needed", json_integer(tally.needed));
    json_object_set_new(body, "job", job != NULL ? job_json(d, r, job) : json_null());
}

void api_workflows(const struct http_request *q, struct http_reply *reply)
{
    const struct registry *r = registry_of(q);
    struct api_page page;
    const struct published *p;
    if (!api_page_begin(&page, q, reply)) return;
    json_t *list = json_array();
    for (uint32_t i = 0; !page.full && (p = registry_workflow_at(r, i)) != NULL; i++)
        if (api_page_takes(&page, p->workflow->hash.bytes))
            json_array_append_new(list, workflow_summary(q->context, p));
    api_page_answer(&page, reply, json_pack("{s:o}", "workflows", list));
}

/* The last workflow of the same app that this owner approved, for the diff. */
static const struct workflow *approved_before(const struct registry *r, const struct workflow *w,
                                              const struct asset *a)
{
    for (uint32_t next = a->approvals_plus_one; next != 0;) {
        const struct approval *p = registry_approval_at(r, next - 1);
        const struct published *old = registry_workflow(r, p->body.compose);
        if (old != NULL && !ID_EQUAL(old->workflow->hash, w->hash) &&
            ID_EQUAL(old->workflow->app_id, w->app_id))
            return old->workflow;
        next = p->next_plus_one;
    }
    return NULL;
}

static void put_text(json_t *body, const struct registry *r, const struct workflow *w, struct dt dataset)
{
    uint8_t *text = malloc(WORKFLOW_RENDER_BYTES_MAX);
    struct buffer b = buffer_make(text, text != NULL ? WORKFLOW_RENDER_BYTES_MAX : 0);
    const struct asset *a = registry_asset(r, dataset);
    if (text == NULL) return;
    workflow_render(&b, w, dataset);
    struct hash32 hash = sha256(buffer_span(&b));
    json_object_set_new(body, "text", api_span(buffer_span(&b)));
    json_object_set_new(body, "text_hash", api_hex32(hash.bytes));
    const struct workflow *old = a != NULL ? approved_before(r, w, a) : NULL;
    b.len = 0;
    if (old != NULL) workflow_diff(&b, old, w);
    json_object_set_new(body, "diff", old != NULL ? api_span(buffer_span(&b)) : json_null());
    free(text);
}

/* The ops of the steps with their code: what trusted templates this recipe instantiates. */
static json_t *ops_json(const struct registry *r, const struct workflow *w)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < w->step_count; i++) {
        const struct op *op = registry_op(r, w->step[i].op);
        json_array_append_new(
            list,
            op == NULL
                ? json_pack("{s:o, s:b}", "op", api_hex32(w->step[i].op.bytes), "registered", false)
                : json_pack("{s:o, s:b, s:o, s:o, s:o, s:o}", "op", api_hex32(op->hash.bytes), "registered",
                            true, "name", api_span(op->name), "description", api_span(op->description),
                            "code_hash", api_hex32(op->code.bytes), "code", api_span(op->code_bytes)));
    }
    return list;
}

void api_workflow(const struct http_request *q, struct http_reply *reply)
{
    struct compose_hash compose;
    struct dt dataset = {{0}};
    const struct registry *r = registry_of(q);
    const char *asset = json_string_value(json_object_get(q->query, "asset"));
    if (!api_param_hash(q, reply, 0, compose.bytes)) return;
    if (asset != NULL && !api_parse_dt(&dataset, asset)) {
        api_bad(reply, "syntax", "asset", "a token dt:perigee:<64 lower-case hex digits>",
                json_object_get(q->query, "asset"));
        return;
    }
    const struct published *p = registry_workflow(r, compose);
    if (p == NULL) {
        api_refuse(q->context, reply, verdict_refuse(REFUSAL_WORKFLOW, compose.bytes));
        return;
    }
    const struct committee *k = registry_committee(r);
    json_t *body = workflow_summary(q->context, p);
    put_approvals(body, q->context, r, p->workflow);
    json_object_set_new(body, "document", api_span(p->workflow->bytes));
    json_object_set_new(body, "ops", ops_json(r, p->workflow));
    json_object_set_new(body, "root_key", k != NULL ? api_hex32(k->body.key_a.bytes) : json_null());
    put_text(body, r, p->workflow, dataset);
    http_answer(reply, 200, body);
}

/* A recipe is published by the owner of its app, as a version of that asset. */
static const struct asset *own_algorithm(const struct http_request *q, struct http_reply *reply, struct dt dt)
{
    const struct asset *a = asset_of(q, reply, dt);
    if (a == NULL) return NULL;
    const struct node_id holder = registry_holder(registry_of(q), a->owner);
    if (!ID_EQUAL(holder, daemon_home(q->context)->node)) {
        const struct member *m = registry_member(registry_of(q), holder);
        const struct span owner = m != NULL ? m->organisation : SPAN_LITERAL("another node");
        http_problem(
            reply, 409, refusal_name(REFUSAL_NOT_OWNER),
            "expected an algorithm asset of this node, this one is owned by %.*s: `perigee asset register` "
            "makes one",
            (int)owner.len, (const char *)owner.data);
        return NULL;
    }
    if (a->ddo->type == ASSET_ALGORITHM) return a;
    http_problem(reply, 409, refusal_name(REFUSAL_ASSET), "expected an algorithm asset, this one is a %s",
                 asset_type_names[a->ddo->type]);
    return NULL;
}

static bool is_of_app(struct http_reply *reply, struct dt app, struct dt named)
{
    char hex[2][65];
    if (ID_EQUAL(app, named)) return true;
    hex_encode(hex[0], app.bytes, sizeof app.bytes);
    hex_encode(hex[1], named.bytes, sizeof named.bytes);
    http_problem(reply, 409, refusal_name(REFUSAL_APP),
                 "expected the workflow's app_id to be the app it is published under, dt:perigee:%s, got "
                 "dt:perigee:%s",
                 hex[0], hex[1]);
    return false;
}

void api_workflow_publish(const struct http_request *q, struct http_reply *reply)
{
    struct body_ASSET body = {.version = 0};
    struct parsed_workflow parsed = {.registry = registry_of(q)};
    if (!api_dt(q, reply, "app", &body.dt) || !api_text(q, reply, "workflow", &body.workflow)) return;
    if (!checked_document(reply, "workflow/1", parse_workflow, body.workflow, &parsed)) return;
    const struct asset *a = own_algorithm(q, reply, body.dt);
    if (a == NULL || !is_of_app(reply, body.dt, parsed.app)) return;
    body.version = registry_version_next(registry_of(q), a);
    body.ddo = a->ddo->bytes;
    api_author(q->context, reply, KIND_ASSET, &body, 0, "compose", api_hex32(parsed.compose.bytes));
}

/* --- Grants ------------------------------------------------------------------------------------------------------------------- */

/* "1.5" to 1500000000; at most nine places. */
static bool parse_epsilon(const char *text, uint64_t *out)
{
    uint64_t whole = 0, part = 0, unit = 1000000000;
    const char *at = text;
    if (*at < '0' || *at > '9') return false;
    for (; *at >= '0' && *at <= '9'; at++)
        if ((whole = whole * 10 + (uint64_t)(*at - '0')) > 1000000) return false;
    if (*at == '.') {
        for (at++; *at >= '0' && *at <= '9' && unit > 1; at++) {
            unit /= 10;
            part += (uint64_t)(*at - '0') * unit;
        }
    }
    *out = whole * 1000000000 + part;
    return *at == 0;
}

/* A grant takes the place of the one before, for all recipes of that algorithm: null where there is none. */
static json_t *grant_standing(const struct registry *r, const struct body_GRANT *b)
{
    const struct asset *a = registry_asset(r, b->lower);
    const struct grant *g = registry_grant(r, b->lower, b->higher, daemon_wall_ms());
    const uint64_t allotted = a != NULL ? registry_allotted_slots(r, a, b->higher) : 0;
    return json_pack("{s:I, s:o, s:o}", "allotted_slots", (json_int_t)allotted, "slots_max",
                     g != NULL ? json_integer((json_int_t)g->body.slots_max) : json_null(), "epsilon_max",
                     g != NULL ? api_epsilon(g->body.epsilon_max) : json_null());
}

void api_grant(const struct http_request *q, struct http_reply *reply)
{
    struct body_GRANT body = {.service = 0};
    uint8_t ops[32 * CAP_OPS_IN_GRANT];
    uint32_t count;
    struct span epsilon;
    if (!api_dt(q, reply, "lower", &body.lower) || !api_dt(q, reply, "higher", &body.higher)) return;
    if (!api_hash_list(q, reply, "ops", CAP_OPS_IN_GRANT, ops, &count)) return;
    if (!api_uint(q, reply, "slots_max", UINT32_MAX, &body.slots_max)) return;
    if (!api_text(q, reply, "epsilon_max", &epsilon)) return;
    if (!parse_epsilon((const char *)epsilon.data, &body.epsilon_max)) {
        api_bad(reply, "syntax", "epsilon_max", "a decimal like \"1.5\" with at most nine places",
                json_object_get(q->body, "epsilon_max"));
        return;
    }
    body.ops = span_make(ops, (size_t)count * 32);
    api_author(q->context, reply, KIND_GRANT, &body, 0, "standing", grant_standing(registry_of(q), &body));
}

/* --- Approvals ----------------------------------------------------------------------------------------------------------------- */

struct approving {
    struct daemon *daemon;
    struct http_reply *reply;
    struct body_APPROVAL body;
};

static void on_approval_signed(void *context, uint64_t token, enum err err, struct span output)
{
    (void)token;
    struct approving *a = context;
    if (err != OK || output.len != sizeof a->body.approval_signature.bytes) {
        http_problem(a->reply, 503, "try-later", "the approval key could not sign: %s", err_text(err));
    } else {
        memcpy(a->body.approval_signature.bytes, output.data, output.len);
        api_author(a->daemon, a->reply, KIND_APPROVAL, &a->body, 0, NULL, NULL);
    }
    free(a);
}

/* The text the owner saw must be the text this node would show: its hash is what gets signed. */
static bool same_text(const struct workflow *w, const struct body_APPROVAL *body)
{
    uint8_t *text = malloc(WORKFLOW_RENDER_BYTES_MAX);
    struct buffer b = buffer_make(text, text != NULL ? WORKFLOW_RENDER_BYTES_MAX : 0);
    if (text == NULL) return false;
    workflow_render(&b, w, body->dataset);
    struct hash32 hash = sha256(buffer_span(&b));
    free(text);
    return ID_EQUAL(hash, body->text);
}

/* By this node's own key, if that is the one. */
static void approve_here(const struct http_request *q, struct http_reply *reply,
                         const struct body_APPROVAL *body)
{
    const struct home *home = daemon_home(q->context);
    if (!ID_EQUAL(home->approval, home->node)) {
        http_problem(
            reply, 409, "approval-key",
            "the key that signs this node's approvals is kept elsewhere: `perigee approve --offline FILE` "
            "writes what to sign there");
        return;
    }
    struct approving *a = malloc(sizeof *a);
    if (a == NULL) {
        http_problem(reply, 503, "no-memory", "out of memory; try again later");
        return;
    }
    *a = (struct approving){q->context, reply, *body};
    struct crypto_job job = {.op = CRYPTO_SIGN,
                             .hash = approval_sign_hash(home->consortium, home->node, &a->body, 0)};
    daemon_keyed(q->context, &job, on_approval_signed, a);
}

/* Made elsewhere, where it is there: the core takes it only if it holds under this node's approval key. */
static bool read_signature(const struct http_request *q, struct http_reply *reply, struct body_APPROVAL *body)
{
    static const char name[] = "approval_signature";
    struct span hex;
    if (json_object_get(q->body, name) == NULL) return true;
    if (!api_text(q, reply, name, &hex)) return false;
    bool good = hex_decode(body->approval_signature.bytes, sizeof body->approval_signature.bytes, hex) == OK;
    if (!good) api_bad(reply, "syntax", name, "128 lower-case hex digits", json_object_get(q->body, name));
    return good;
}

void api_approve(const struct http_request *q, struct http_reply *reply)
{
    struct body_APPROVAL body = {.delta = 0};
    if (!api_dt(q, reply, "dataset", &body.dataset) || !api_hash(q, reply, "compose", body.compose.bytes))
        return;
    if (!api_uint(q, reply, "slot_first", UINT32_MAX, &body.slot_first)) return;
    if (!api_uint(q, reply, "slot_last", UINT32_MAX, &body.slot_last)) return;
    if (!api_hash(q, reply, "text_hash", body.text.bytes) || !read_signature(q, reply, &body)) return;
    const struct published *p = registry_workflow(registry_of(q), body.compose);
    if (p == NULL) {
        api_refuse(q->context, reply, verdict_refuse(REFUSAL_WORKFLOW, body.compose.bytes));
        return;
    }
    if (!same_text(p->workflow, &body)) {
        http_problem(
            reply, 409, "text",
            "expected the hash of this recipe's text for this dataset as \"text_hash\"; came another: "
            "read it again");
        return;
    }
    body.app = p->workflow->app_id;
    body.cost = p->workflow->epsilon_nano;
    if (json_object_get(q->body, "approval_signature") != NULL)
        api_author(q->context, reply, KIND_APPROVAL, &body, 0, NULL, NULL);
    else
        approve_here(q, reply, &body);
}

static json_t *approval_summary(struct daemon *d, const struct approval *p)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:I, s:I, s:o}", "record", api_hex32(p->record->id.bytes), "owner",
                     api_organisation(d, p->record->header.author), "dataset", api_dt_text(p->body.dataset),
                     "compose", api_hex32(p->body.compose.bytes), "slot_first",
                     (json_int_t)p->body.slot_first, "slot_last", (json_int_t)p->body.slot_last,
                     "epsilon_per_slot", api_epsilon(p->body.cost));
}

void api_approvals(const struct http_request *q, struct http_reply *reply)
{
    const struct registry *r = registry_of(q);
    struct api_page page;
    const struct approval *p;
    if (!api_page_begin(&page, q, reply)) return;
    json_t *list = json_array();
    for (uint32_t i = 0; !page.full && (p = registry_approval_at(r, i)) != NULL; i++)
        if (api_page_takes(&page, p->record->id.bytes))
            json_array_append_new(list, approval_summary(q->context, p));
    api_page_answer(&page, reply, json_pack("{s:o}", "approvals", list));
}

/* --- Jobs ------------------------------------------------------------------------------------------------------------------------- */

void api_jobs(const struct http_request *q, struct http_reply *reply)
{
    const struct registry *r = registry_of(q);
    struct api_page page;
    const struct job *j;
    if (!api_page_begin(&page, q, reply)) return;
    json_t *list = json_array();
    for (uint32_t i = 0; !page.full && (j = registry_job_at(r, i)) != NULL; i++)
        if (api_page_takes(&page, j->record->id.bytes))
            json_array_append_new(list, job_json(q->context, r, j));
    api_page_answer(&page, reply, json_pack("{s:o}", "jobs", list));
}

/* A task is shown on terminals and in lists: what cannot be seen, or turns text around, is refused by its name. */
static bool task_is_fit(struct http_reply *reply, struct span task)
{
    const char *expected = task.len == 0         ? "words that say what the job is for"
                           : task.len > CAP_TEXT ? "at most 256 bytes"
                           : !text_valid(task)   ? "text without control characters"
                           : !field_is_visible(task)
                               ? "text without invisible or direction-changing characters"
                               : NULL;
    json_t *came = expected == NULL ? NULL : api_span(task);
    if (expected != NULL)
        api_bad(reply, task.len > CAP_TEXT ? "too-large" : "syntax", "task", expected, came);
    json_decref(came);
    return expected == NULL;
}

void api_job_post(const struct http_request *q, struct http_reply *reply)
{
    struct body_JOB body;
    if (!api_hash(q, reply, "compose", body.compose.bytes) || !api_text(q, reply, "task", &body.task)) return;
    if (!task_is_fit(reply, body.task)) return;
    const struct published *p = registry_workflow(registry_of(q), body.compose);
    if (p == NULL) {
        api_refuse(q->context, reply, verdict_refuse(REFUSAL_WORKFLOW, body.compose.bytes));
        return;
    }
    body.app = p->workflow->app_id;
    api_author(q->context, reply, KIND_JOB, &body, 0, NULL, NULL);
}

void api_job_endorse(const struct http_request *q, struct http_reply *reply)
{
    struct body_ENDORSEMENT body;
    const struct job *j;
    if (!api_param_hash(q, reply, 0, body.job.bytes)) return;
    for (uint32_t i = 0; (j = registry_job_at(registry_of(q), i)) != NULL; i++) {
        if (!ID_EQUAL(j->record->id, body.job)) continue;
        api_author(q->context, reply, KIND_ENDORSEMENT, &body, 0, NULL, NULL);
        return;
    }
    http_problem(reply, 404, "no-job",
                 "expected a job that is posted; came another: `perigee job list` shows them");
}
