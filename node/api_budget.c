/* What a dataset's owner has allotted of its privacy budget, to whom, and what became of it. */
#include "node/api_common.h"

#include <string.h>

/* A slot is spent once its run was elected, whatever became of it. */
static json_t *run_json(struct core *core, const struct run_entry *run)
{
    struct run_view view = {.state = RUN_REQUESTED};
    struct run_id id;
    memcpy(id.bytes, run->record->id.bytes, sizeof id.bytes);
    bool seen = core_run(core, id, &view);
    bool spent = run->receipt != NULL || (seen && (view.term > 1 || view.entered_ms[RUN_ELECTED] != 0));
    return json_pack("{s:o, s:I, s:b, s:b, s:s}", "run", api_hex32(id.bytes), "slot",
                     (json_int_t)run->body.slot, "spent", spent, "receipt", run->receipt != NULL, "state",
                     run_state_name(view.state));
}

static bool reads(const struct body_RUN *run, struct dt dt)
{
    for (uint32_t i = 0; i < run_input_count(run); i++)
        if (ID_EQUAL(run_input_at(run, i).dt, dt)) return true;
    return false;
}

/* The runs over this dataset in the slots of one approval. */
static json_t *runs_of(struct core *core, const struct approval *p)
{
    const struct registry *r = core_registry(core);
    const struct run_entry *run;
    json_t *list = json_array();
    for (uint32_t i = 0; (run = registry_run_at(r, i)) != NULL; i++) {
        const struct body_RUN *b = &run->body;
        if (!ID_EQUAL(b->compose, p->body.compose) || !reads(b, p->body.dataset)) continue;
        if (b->slot < p->body.slot_first || b->slot > p->body.slot_last || !registry_run_named(r, run))
            continue;
        json_array_append_new(list, run_json(core, run));
    }
    return list;
}

static const char *state_of(const struct registry *r, const struct approval *p, uint64_t now_ms)
{
    const uint64_t expires_ms = p->record->header.expires_ms;
    if (registry_revoked(r, p)) return "revoked";
    return expires_ms != 0 && expires_ms <= now_ms ? "expired" : "live";
}

static json_t *allotment(struct daemon *d, const struct approval *p)
{
    struct core *core = daemon_core(d);
    const struct registry *r = core_registry(core);
    const struct published *w = registry_workflow(r, p->body.compose);
    const uint64_t slots = p->body.slot_last - p->body.slot_first + 1;
    return json_pack(
        "{s:o, s:o, s:o, s:I, s:I, s:o, s:o, s:s, s:o}", "record", api_hex32(p->record->id.bytes), "compose",
        api_hex32(p->body.compose.bytes), "workflow", w != NULL ? api_span(w->workflow->name) : json_null(),
        "slot_first", (json_int_t)p->body.slot_first, "slot_last", (json_int_t)p->body.slot_last,
        "epsilon_per_slot", api_epsilon(p->body.cost), "epsilon", api_epsilon(slots * p->body.cost), "state",
        state_of(r, p, daemon_wall_ms()), "runs", runs_of(core, p));
}

/* Every allotment stays in the sum, whatever became of it: an owner cannot take back what was once promised. */
void api_budget(const struct http_request *q, struct http_reply *reply)
{
    struct daemon *d = q->context;
    const struct registry *r = core_registry(daemon_core(d));
    struct api_page page;
    struct dt dt;
    const struct approval *p;
    if (!api_param_dt(q, reply, 0, &dt)) return;
    const struct asset *a = registry_asset(r, dt);
    if (a == NULL || a->ddo->type != ASSET_DATASET) {
        http_problem(reply, 404, refusal_name(REFUSAL_ASSET),
                     "expected a dataset that `perigee asset list` shows; came another token");
        return;
    }
    if (!api_page_begin(&page, q, reply)) return;
    json_t *list = json_array();
    for (uint32_t i = 0; !page.full && (p = registry_approval_at(r, i)) != NULL; i++)
        if (ID_EQUAL(p->body.dataset, dt) && api_page_takes(&page, p->record->id.bytes))
            json_array_append_new(list, allotment(d, p));
    api_page_answer(&page, reply,
                    json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "dt", api_dt_text(dt), "name",
                              api_span(a->ddo->name), "budget", api_epsilon(a->ddo->budget), "allotted",
                              api_epsilon(registry_allotted(r, a)), "left",
                              api_epsilon(a->ddo->budget - registry_allotted(r, a)), "allotments", list));
}
