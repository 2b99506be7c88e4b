/* What a requested run waits for, as far as this node can see: the owners of its inputs, who serve them, and a member that may
 * compute it, linked and heard from. */
#include "node/api_common.h"

#include <inttypes.h>
#include <stdio.h>

bool api_linked(struct daemon *d, struct node_id node)
{
    const struct peer_view *p;
    if (ID_EQUAL(node, daemon_home(d)->node)) return true;
    for (uint32_t i = 0; (p = core_peer_at(daemon_core(d), i)) != NULL; i++)
        if (ID_EQUAL(p->node, node)) return p->up;
    return false;
}

/* Whoever judges by another time finds runs, votes and leases over, or not begun. */
static bool clock_agrees(const struct core *core, struct node_id node, bool answers,
                         char why[API_ABSENCE_BYTES])
{
    int64_t off_ms;
    if (!core_peer_clock_off(core, node, answers, &off_ms)) return true;
    (void)snprintf(why, API_ABSENCE_BYTES, "its clock is %" PRId64 " s %s the custodians': it must be set",
                   (off_ms < 0 ? -off_ms : off_ms) / 1000, off_ms < 0 ? "behind" : "ahead of");
    return false;
}

bool api_there(struct daemon *d, struct node_id node, bool answers, char why[API_ABSENCE_BYTES])
{
    uint64_t silent_ms = 0;
    why[0] = 0;
    if (ID_EQUAL(node, daemon_home(d)->node)) return true;
    if (core_in_touch(daemon_core(d), node, &silent_ms))
        return clock_agrees(daemon_core(d), node, answers, why);
    if (!api_linked(d, node))
        (void)snprintf(why, API_ABSENCE_BYTES, "it is not linked here");
    else
        (void)snprintf(why, API_ABSENCE_BYTES, "it is linked here, and not heard from for %" PRIu64 " s",
                       silent_ms / 1000);
    return false;
}

bool api_elsewhere(struct daemon *d, struct node_id node, char why[API_ABSENCE_BYTES])
{
    if (api_linked(d, node) || core_needs_link(daemon_core(d), node)) return false;
    (void)snprintf(why, API_ABSENCE_BYTES, "it is not linked here, and need not be");
    return true;
}

static bool may_be_there(struct daemon *d, struct node_id node, bool answers)
{
    char why[API_ABSENCE_BYTES];
    return api_there(d, node, answers, why) || api_elsewhere(d, node, why);
}

bool api_offers(struct daemon *d, struct node_id node)
{
    struct hash32 platform;
    return !api_linked(d, node) || core_advertised(daemon_core(d), node, &platform);
}

struct verdict api_check_node(struct daemon *d, const struct body_RUN *run, struct node_id node)
{
    struct registry *r = core_registry(daemon_core(d));
    struct hash32 platform;
    const struct verdict v = registry_check_node(r, run, node);
    if (v.refusal != REFUSAL_NONE) return v;
    const bool known = api_linked(d, node) && core_advertised(daemon_core(d), node, &platform);
    if (!known || registry_platform_admitted(r, node, platform)) return VERDICT_OK;
    return verdict_refuse(REFUSAL_PLATFORM, platform.bytes);
}

static bool can_compute(struct daemon *d, struct node_id node)
{
    struct enclaves_status own;
    if (!ID_EQUAL(node, daemon_home(d)->node)) return may_be_there(d, node, true) && api_offers(d, node);
    daemon_enclave_status(d, &own);
    return own.most > 0 && own.why == NULL;
}

static void name_one(struct buffer *out, const struct member *m)
{
    if (out->len > 0) buffer_put_text(out, ", ");
    buffer_put(out, m->organisation);
}

const struct run_entry *api_other_holder(const struct registry *r, const struct run_entry *run)
{
    const struct run_entry *holder = registry_slot_holder(r, run->body.compose, run->body.slot);
    return holder != run ? holder : NULL;
}

/* Nobody can run it any more. */
static bool lost_for_good(const struct registry *r, const struct run_entry *run, bool committed)
{
    return api_other_holder(r, run) != NULL || record_run_end_ms(&run->record->header) <= daemon_wall_ms() ||
           (!committed && registry_run_taken_back(r, run).refusal != REFUSAL_NONE);
}

/* Beside the one that tried. */
static bool another_may(struct daemon *d, const struct body_RUN *run, struct node_id tried)
{
    const struct registry *r = core_registry(daemon_core(d));
    const struct member *m;
    for (uint32_t at = 0; (m = registry_member_next(r, &at)) != NULL;)
        if (!ID_EQUAL(m->node, tried) && api_check_node(d, run, m->node).refusal == REFUSAL_NONE &&
            can_compute(d, m->node))
            return true;
    return false;
}

bool api_run_over(struct daemon *d, const struct run_entry *run, const struct run_view *view)
{
    const bool committed = view->entered_ms[RUN_COMMITTED] != 0 || view->entered_ms[RUN_RELEASED] != 0;
    const enum refusal why = view->verdict.refusal;
    if (view->state <= RUN_SETTLED) return view->state == RUN_SETTLED;
    if (view->state == RUN_FAILED && why == REFUSAL_COMPUTATION && !another_may(d, &run->body, view->node))
        return true;
    return lost_for_good(core_registry(daemon_core(d)), run, committed);
}

static json_t *nobody_may(const struct verdict *last)
{
    char text[400];
    if (last->refusal == REFUSAL_NONE)
        return json_string("a compute member: none is admitted, and the stewards admit one");
    (void)snprintf(text, sizeof text, "a compute member that may run it: none admitted may; the last one: %s",
                   refusal_text(last->refusal));
    return json_string(text);
}

/* The owners that are away, or NULL. */
static json_t *owners_away(struct daemon *d, const struct body_RUN *run)
{
    struct registry *r = core_registry(daemon_core(d));
    char memory[512], text[640];
    struct buffer names = BUFFER_OF(memory);
    for (uint32_t i = 0; i < run_input_count(run); i++) {
        const struct asset *a = registry_asset(r, run_input_at(run, i).dt);
        const struct node_id holder = a != NULL ? registry_holder(r, a->owner) : (struct node_id){{0}};
        const struct member *m = registry_member(r, holder);
        if (m == NULL || may_be_there(d, holder, registry_vetoed(r, run, i))) continue;
        name_one(&names, m);
    }
    if (names.len == 0) return NULL;
    const bool cut = buffer_done(&names) != OK;
    (void)snprintf(text, sizeof text,
                   "an owner of its data, who is not linked here, or not heard from: %.*s%s", (int)names.len,
                   memory, cut ? ", ..." : "");
    return json_string(text);
}

json_t *api_run_waits_for(struct daemon *d, const struct body_RUN *run)
{
    json_t *away = owners_away(d, run);
    if (away != NULL) return away;
    struct registry *r = core_registry(daemon_core(d));
    struct verdict last = VERDICT_OK;
    char memory[512], text[640];
    struct buffer names = BUFFER_OF(memory);
    const struct member *m;
    for (uint32_t at = 0; (m = registry_member_next(r, &at)) != NULL;) {
        if ((m->roles & ROLE_COMPUTE) == 0) continue;
        struct verdict v = api_check_node(d, run, m->node);
        if (v.refusal != REFUSAL_NONE) {
            last = v;
        } else if (can_compute(d, m->node)) {
            return json_null();
        } else {
            name_one(&names, m);
        }
    }
    if (names.len == 0) return nobody_may(&last);
    const bool cut = buffer_done(&names) != OK;
    (void)snprintf(text, sizeof text,
                   "a compute node: none of those that may run it is linked here, heard from and offers "
                   "enclaves (%.*s%s)",
                   (int)names.len, memory, cut ? ", ..." : "");
    return json_string(text);
}
