/* What a run still needs, condition by condition, as far as this node can see: before it is requested (what it would cost, too),
 * and of one that was. Nothing is decided here: each line is the word of the check that would refuse it. */
#include "node/api_common.h"

#include <stdio.h>
#include <string.h>

struct outlook {
    struct daemon *d;
    struct registry *r;
    const struct workflow *w;
    uint64_t now_ms;
    json_t *conditions;
    bool ready; /* none of them is missing */
};

static void add_said(struct outlook *o, const char *what, json_t *who, bool good, const char *reason,
                     const char *detail)
{
    o->ready &= good;
    json_array_append_new(o->conditions, json_pack("{s:s, s:o, s:b, s:s, s:s}", "what", what, "who", who,
                                                   "ok", good, "reason", reason, "detail", detail));
}

static void add(struct outlook *o, const char *what, json_t *who, struct verdict v)
{
    bool good = v.refusal == REFUSAL_NONE;
    add_said(o, what, who, good, refusal_name(v.refusal), good ? "" : refusal_text(v.refusal));
}

/* --- What records say ------------------------------------------------------------------------------------------------ */

/* What the recipe itself needs, whatever its inputs. */
static void add_recipe(struct outlook *o, const struct body_RUN *run)
{
    const struct charter *charter = registry_charter(o->r);
    const struct committee *committee = registry_committee(o->r);
    struct verdict v = verdict_refuse(REFUSAL_CONSORTIUM_FORMING, NULL);
    if (charter != NULL && committee != NULL) {
        struct body_RUN recipe = *run;
        recipe.app = o->w->app_id;
        recipe.engine = o->w->engine;
        recipe.charter = charter->hash;
        recipe.epoch = committee->body.epoch;
        v = registry_check_recipe(o->r, &recipe);
    }
    add(o, "recipe", json_null(), v);
}

/* No enclave is given a key while nobody has registered what may run in it. */
static void add_workers(struct outlook *o)
{
    const struct span name = o->w->workers;
    char text[200];
    (void)snprintf(
        text, sizeof text,
        "no set of workers named %.*s is in force: stewards decide one with `perigee workers register`",
        (int)name.len, (const char *)name.data);
    const bool good = registry_workers(o->r, name).len > 0;
    add_said(o, "workers", json_null(), good, refusal_name(good ? REFUSAL_NONE : REFUSAL_MEASUREMENT),
             good ? "" : text);
}

static void add_requester(struct outlook *o, struct node_id requester)
{
    struct verdict v = verdict_refuse(REFUSAL_REQUESTER, requester.bytes);
    for (uint32_t i = 0; i < o->w->requester_count; i++)
        if (ID_EQUAL(o->w->requester[i], requester)) v = registry_check_role(o->r, requester, ROLE_REQUESTER);
    add(o, "requester", api_organisation(o->d, requester), v);
}

/* One input alone: dataset, content, grant and approval of its owner. Too few owners and a used slot are said elsewhere. */
static struct verdict check_alone(struct outlook *o, const struct run_wish *wish, struct dt dataset,
                                  struct node_id requester)
{
    uint8_t inputs[RUN_INPUT_BYTES * CAP_INPUTS];
    struct body_RUN run = {.inputs = SPAN_NONE};
    struct run_wish alone = *wish;
    alone.datasets = ID_SPAN(dataset);
    struct verdict v = registry_plan_run(o->r, &run, inputs, &alone, requester, o->now_ms);
    if (run.inputs.len > 0) v = registry_check_inputs(o->r, &run, o->now_ms);
    return v.refusal == REFUSAL_OWNERS ? VERDICT_OK : v;
}

static bool wished(const struct run_wish *wish, struct dt dataset)
{
    for (size_t at = 0; at + 32 <= wish->datasets.len; at += 32)
        if (memcmp(wish->datasets.data + at, dataset.bytes, 32) == 0) return true;
    return wish->datasets.len == 0;
}

/* Who holds its dataset now. */
static json_t *owner_json(struct outlook *o, const struct workflow_input *input)
{
    return api_organisation(o->d, registry_holder(o->r, input->owner));
}

static void add_inputs(struct outlook *o, const struct run_wish *wish, struct node_id requester)
{
    for (uint32_t i = 0; i < o->w->input_count; i++) {
        const struct workflow_input *input = &o->w->input[i];
        if (!wished(wish, input->dt)) continue;
        add(o, "data", owner_json(o, input), check_alone(o, wish, input->dt, requester));
    }
}

/* --- Who must be there -------------------------------------------------------------------------------------------------- */

/* Does its owner give half of the key itself? */
static bool is_vetoed(const struct outlook *o, struct dt dataset)
{
    const struct asset *a = registry_asset(o->r, dataset);
    const struct binding *b = a != NULL ? registry_binding(o->r, a, o->w->hash) : NULL;
    return b != NULL && b->policy->owner_veto;
}

static void add_owner(struct outlook *o, const struct workflow_input *input)
{
    char why[API_ABSENCE_BYTES], text[API_ABSENCE_BYTES + 160];
    const struct node_id owner = registry_holder(o->r, input->owner);
    const bool there = api_there(o->d, owner, is_vetoed(o, input->dt), why);
    if (!there && api_elsewhere(o->d, owner, why)) {
        add_said(o, "owner linked", owner_json(o, input), true, "none", why);
        return;
    }
    (void)snprintf(text, sizeof text,
                   "the owner serves its data, and %s; its operator looks at its node, its machine and the "
                   "network between",
                   why);
    add_said(o, "owner linked", owner_json(o, input), there, there ? "none" : "input-missing",
             there ? "" : text);
}

static void add_owners_linked(struct outlook *o, const struct run_wish *wish)
{
    for (uint32_t i = 0; i < o->w->input_count; i++)
        if (wished(wish, o->w->input[i].dt)) add_owner(o, &o->w->input[i]);
}

/* Who is missing, each with what is seen of it. */
static void put_absent(struct buffer *out, struct span organisation, const char *why)
{
    if (out->cap - out->len < organisation.len + strlen(why) + 8) return;
    buffer_put_text(out, "; ");
    buffer_put(out, organisation);
    buffer_put_text(out, ": ");
    buffer_put_text(out, why);
}

static void add_custodians(struct outlook *o)
{
    const struct charter *charter = registry_charter(o->r);
    char text[800], memory[600];
    struct buffer absent = BUFFER_OF(memory);
    uint32_t there = 0, elsewhere = 0;
    if (charter == NULL) return;
    for (uint32_t i = 0; i < charter->custodian_count; i++) {
        const struct charter_member *m = &charter->member[charter->custodian[i]];
        char why[API_ABSENCE_BYTES];
        const bool here = api_there(o->d, m->node, true, why);
        there += here;
        if (here) continue;
        elsewhere += api_elsewhere(o->d, m->node, why);
        put_absent(&absent, m->organisation, why);
    }
    const bool enough = there + elsewhere >= charter->q;
    (void)snprintf(text, sizeof text,
                   "%u of %u custodians are linked here and heard from, and %u are needed%.*s", there,
                   charter->custodian_count, charter->q, (int)absent.len, memory);
    add_said(o, "custodians", json_null(), enough, enough ? "none" : "timeout", text);
}

/* Of the custodians this node knows only itself from the inside. */
static void add_own_shares(struct outlook *o)
{
    const struct share_watch *w = daemon_share_watch(o->d);
    if (!w->expecting) return;
    add_said(o, "key shares", api_organisation(o->d, daemon_home(o->d)->node), w->err == OK,
             refusal_name(w->err == OK ? REFUSAL_NONE : REFUSAL_TROUBLE), w->err == OK ? "" : w->fault);
}

/* The request is a record of this node's. */
static void add_own_signature(struct outlook *o)
{
    const enum refusal why = core_authoring(daemon_core(o->d));
    if (why == REFUSAL_NONE) return;
    add_said(o, "this node signs", api_organisation(o->d, daemon_home(o->d)->node), false, refusal_name(why),
             refusal_text(why));
}

static const char no_enclaves[] = "it offers no enclaves, or has not said so yet: its operator looks at "
                                  "`perigee status` and `doctor` there";

/* Why may this member not compute it here and now? */
static const char *why_not(struct outlook *o, const struct body_RUN *run, const struct member *m,
                           char absence[API_ABSENCE_BYTES])
{
    struct verdict v = api_check_node(o->d, run, m->node);
    if (v.refusal != REFUSAL_NONE) return refusal_text(v.refusal);
    if (!ID_EQUAL(m->node, daemon_home(o->d)->node)) {
        if (!api_there(o->d, m->node, true, absence) && !api_elsewhere(o->d, m->node, absence))
            return absence;
        return api_offers(o->d, m->node) ? NULL : no_enclaves;
    }
    struct enclaves_status own;
    daemon_enclave_status(o->d, &own);
    return own.why != NULL ? own.why : own.most > 0 ? NULL : no_enclaves;
}

/* One is enough: the reasons of the others are shown, and count only when there is none. */
static void add_compute(struct outlook *o, const struct body_RUN *run)
{
    const struct member *m;
    uint32_t able = 0, elsewhere = 0, most = 0;
    json_t *others = json_array();
    for (uint32_t at = 0; (m = registry_member_next(o->r, &at)) != NULL;) {
        if ((m->roles & ROLE_COMPUTE) == 0) continue;
        char absence[API_ABSENCE_BYTES] = "";
        const char *why = why_not(o, run, m, absence);
        most++;
        able += why == NULL;
        elsewhere += why == NULL && absence[0] != 0;
        json_array_append_new(others, json_pack("{s:o, s:b, s:s}", "who", api_span(m->organisation), "ok",
                                                why == NULL, "why", why != NULL ? why : absence));
    }
    char text[160];
    (void)snprintf(text, sizeof text,
                   "%u of %u compute members may run it, and are linked here and heard from%s", able, most,
                   elsewhere > 0 ? ", or need not be linked here" : "");
    add_said(o, "compute", json_null(), able > 0, able > 0 ? "none" : "not-compute", text);
    json_t *line = json_array_get(o->conditions, json_array_size(o->conditions) - 1);
    json_object_set_new(line, "members", others);
}

/* --- Before a run ------------------------------------------------------------------------------------------------------ */

/* What all inputs together are refused for, and none alone: too few owners, a slot that is used. */
static void add_together(struct outlook *o, const struct verdict *plan, struct compose_hash compose,
                         uint64_t slot)
{
    add(o, "owners", json_null(), plan->refusal == REFUSAL_OWNERS ? *plan : VERDICT_OK);
    const struct run_entry *holder = slot > 0 ? registry_slot_holder(o->r, compose, slot) : NULL;
    const bool spent = plan->refusal == REFUSAL_SLOT_SPENT;
    add(o, "slot", json_null(),
        spent            ? *plan
        : holder != NULL ? verdict_refuse(REFUSAL_SLOT_SPENT, holder->record->id.bytes)
                         : VERDICT_OK);
}

/* Whatever no line above names: nothing is called ready that the plan itself refuses. */
static void add_rest(struct outlook *o, const struct verdict *plan)
{
    if (o->ready && plan->refusal != REFUSAL_NONE) add(o, "run", json_null(), *plan);
}

void api_run_plan(const struct http_request *q, struct http_reply *reply)
{
    struct api_run_wish asked;
    uint8_t inputs[RUN_INPUT_BYTES * CAP_INPUTS];
    struct body_RUN run = {.inputs = SPAN_NONE};
    if (!api_run_read(q, reply, &asked)) return;
    struct daemon *d = q->context;
    struct outlook o = {d, core_registry(daemon_core(d)), NULL, daemon_wall_ms(), json_array(), true};
    const struct command *c = &asked.command;
    const struct run_wish wish = {c->compose, c->slot, c->datasets, c->parameters};
    struct node_id self = daemon_home(d)->node;
    const struct published *p = registry_workflow(o.r, c->compose);
    if (p == NULL) {
        json_decref(o.conditions);
        api_refuse(d, reply, verdict_refuse(REFUSAL_WORKFLOW, c->compose.bytes));
        return;
    }
    o.w = p->workflow;
    struct verdict plan = registry_plan_run(o.r, &run, inputs, &wish, self, o.now_ms);
    run.compose = c->compose;
    run.parameters = c->parameters;
    const uint64_t slot = run.slot > 0 ? run.slot : c->slot;
    add_recipe(&o, &run);
    add_workers(&o);
    add_requester(&o, self);
    add_own_signature(&o);
    add_inputs(&o, &wish, self);
    add_together(&o, &plan, c->compose, slot);
    add_owners_linked(&o, &wish);
    add_custodians(&o);
    add_own_shares(&o);
    add_compute(&o, &run);
    add_rest(&o, &plan);
    http_answer(reply, 200,
                json_pack("{s:b, s:o, s:o, s:s, s:o}", "ready", o.ready, "slot",
                          slot > 0 ? json_integer((json_int_t)slot) : json_null(), "epsilon",
                          api_epsilon(o.w->epsilon_nano), "privacy", api_privacy(o.w), "conditions",
                          o.conditions));
}

/* --- Of a run ---------------------------------------------------------------------------------------------------------- */

static const char *phase_text(enum run_state state, enum refusal why, bool over)
{
    switch (state) {
    case RUN_REQUESTED: return "no candidate has asked for it yet, or an enclave ended and another follows";
    case RUN_ELIGIBLE: return "candidates ask the custodians for their votes";
    case RUN_ELECTED: return "the elected node starts its enclave";
    case RUN_ATTESTED: return "the enclave asks the custodians for their shares";
    case RUN_KEYED: return "the enclave fetches the sealed inputs";
    case RUN_COMPUTING: return "the enclave computes";
    case RUN_COMMITTED: return "the custodians have signed its output, which is sealed to its readers";
    case RUN_RELEASED: return "the elected node publishes the receipt";
    case RUN_SETTLED: return "nothing: it is settled";
    case RUN_REFUSED:
        if (over) return "nothing: its time or its slot is gone, or it was taken back";
        if (why == REFUSAL_ENVELOPE || why == REFUSAL_OUTPUT_TYPE)
            return "nothing that is likely: it would be refused for the same in every term; what is sealed "
                   "or "
                   "published is put right, and a new run asked for, in another slot";
        return "a compute member that runs it in a later term: one that has not tried it yet, or, once what "
               "it was refused for is mended, one that is started again; until it expires or is revoked";
    case RUN_FAILED:
        if (over) return "nothing: it has ended";
        if (why == REFUSAL_COMPUTATION)
            return "a compute member that has not tried it yet: what failed for its data or its recipe fails "
                   "there, too";
        return "a word or the receipt of the node that fell silent, or a compute member that runs it in a "
               "later term";
    case RUN_REVOKED:
        return over ? "nothing: it has ended" : "the revocation that its node speaks of: none is held here";
    case RUN_EXPIRED:
        return over ? "nothing: it has ended"
                    : "its end, which its node says has come: not by the clock here";
    case RUN_STATE_COUNT: break;
    }
    return "";
}

/* From the commit on its enclave asks nobody for anything any more; another one of a later term would. */
static bool is_conditional(enum run_state state, bool over)
{
    return state < RUN_COMMITTED || (state > RUN_SETTLED && !over);
}

static void add_end(struct outlook *o, const struct run_entry *run)
{
    bool over = record_run_end_ms(&run->record->header) <= o->now_ms;
    add(o, "time", json_null(), over ? verdict_refuse(REFUSAL_RUN_EXPIRED, NULL) : VERDICT_OK);
    const struct run_entry *other = api_other_holder(o->r, run);
    add(o, "slot", json_null(),
        other != NULL ? verdict_refuse(REFUSAL_SLOT_SPENT, other->record->id.bytes) : VERDICT_OK);
}

/* The conditions of a run that may still settle. Its own inputs, whatever was sealed since. */
static void add_run(struct outlook *o, const struct run_entry *run)
{
    uint8_t datasets[32 * CAP_INPUTS];
    const uint32_t count = run_input_count(&run->body);
    for (uint32_t i = 0; i < count; i++)
        memcpy(datasets + (size_t)i * 32, run_input_at(&run->body, i).dt.bytes, 32);
    const struct run_wish wish = {run->body.compose, run->body.slot, span_make(datasets, (size_t)count * 32),
                                  run->body.parameters};
    struct node_id requester = run->record->header.author;
    add_end(o, run);
    add_recipe(o, &run->body);
    add_workers(o);
    add_requester(o, requester);
    add(o, "inputs", json_null(), registry_check_inputs(o->r, &run->body, o->now_ms));
    add_owners_linked(o, &wish);
    add_custodians(o);
    add_own_shares(o);
    add_compute(o, &run->body);
    struct verdict now = registry_check_run(o->r, &run->body, requester, o->now_ms);
    add_rest(o, &now);
}

void api_run_why(const struct http_request *q, struct http_reply *reply)
{
    struct run_id id;
    struct run_view view = {.state = RUN_REQUESTED};
    struct daemon *d = q->context;
    struct outlook o = {d, core_registry(daemon_core(d)), NULL, daemon_wall_ms(), NULL, true};
    if (!api_param_hash(q, reply, 0, id.bytes)) return;
    const struct run_entry *run = registry_run(o.r, id);
    const struct published *p = run != NULL ? registry_workflow(o.r, run->body.compose) : NULL;
    if (p == NULL) {
        api_refuse(d, reply, verdict_refuse(run == NULL ? REFUSAL_UNKNOWN_RUN : REFUSAL_WORKFLOW, id.bytes));
        return;
    }
    o.w = p->workflow;
    o.conditions = json_array();
    (void)core_run(daemon_core(d), id, &view);
    const bool over = api_run_over(d, run, &view);
    if (is_conditional(view.state, over))
        add_run(&o, run);
    else if (view.state > RUN_SETTLED)
        add_end(&o, run);
    http_answer(reply, 200,
                json_pack("{s:o, s:s, s:s, s:s, s:s, s:I, s:o, s:o}", "run", api_hex32(id.bytes), "state",
                          run_state_name(view.state), "waits_for",
                          phase_text(view.state, view.verdict.refusal, over), "reason",
                          refusal_name(view.verdict.refusal), "detail", refusal_text(view.verdict.refusal),
                          "term", (json_int_t)view.term, "organisation", api_organisation(d, view.node),
                          "conditions", o.conditions));
}
