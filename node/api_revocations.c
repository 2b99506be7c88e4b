/* Revocations: saying one, and who is known to have heard it. */
#include "node/api_common.h"

#include "proto/chain.h"

#include <string.h>

static const char *const targets[] = {[REVOKE_ALL] = "all",
                                      [REVOKE_APPROVAL] = "approval",
                                      [REVOKE_COMPOSE] = "workflow",
                                      [REVOKE_DATASET] = "dataset",
                                      [REVOKE_DEVICE] = "device"};
enum { TARGETS = sizeof targets / sizeof targets[0] };

/* --- Saying one ------------------------------------------------------------------------------------------------------- */

/* "all" alone has no subject. Devices have their own route, which knows whose they are. */
static bool read_target(const struct http_request *q, struct http_reply *reply, struct body_REVOCATION *b)
{
    struct span target;
    if (!api_text(q, reply, "target", &target)) return false;
    for (b->target = REVOKE_ALL; b->target < REVOKE_DEVICE; b->target++)
        if (span_equal_text(target, targets[b->target])) break;
    if (b->target == REVOKE_DEVICE) {
        api_bad(reply, "malformed", "target", "one of all, approval, workflow, dataset",
                json_object_get(q->body, "target"));
        return false;
    }
    if (b->target == REVOKE_ALL && json_object_get(q->body, "subject") != NULL) {
        api_bad(reply, "malformed", "subject", "nothing when everything is revoked",
                json_object_get(q->body, "subject"));
        return false;
    }
    struct dt dt;
    if (b->target == REVOKE_ALL) return true;
    if (b->target != REVOKE_DATASET) return api_hash(q, reply, "subject", b->subject.bytes);
    if (!api_dt(q, reply, "subject", &dt)) return false;
    memcpy(b->subject.bytes, dt.bytes, sizeof b->subject.bytes);
    return true;
}

/* A slip of the pen would revoke nothing and be believed to have: its subject must be known, and one's own. True: answered. */
static bool names_nothing(struct daemon *d, struct http_reply *reply, const struct body_REVOCATION *b)
{
    const struct registry *r = core_registry(daemon_core(d));
    const struct node_id self = daemon_home(d)->node;
    const struct approval *p;
    struct dt dt;
    bool found = b->target == REVOKE_ALL;
    memcpy(dt.bytes, b->subject.bytes, sizeof dt.bytes);
    const struct asset *a = b->target == REVOKE_DATASET ? registry_asset(r, dt) : NULL;
    found |= registry_holds(r, a, self);
    for (uint32_t i = 0; !found && (p = registry_approval_at(r, i)) != NULL; i++) {
        if (!ID_EQUAL(p->record->header.author, self)) continue;
        found = b->target == REVOKE_APPROVAL ? ids_equal(p->record->id.bytes, b->subject.bytes)
                                             : ids_equal(p->body.compose.bytes, b->subject.bytes);
    }
    if (!found)
        http_problem(reply, 404, "nothing-to-revoke",
                     "expected %s of this owner; came something else: `perigee asset list` and `perigee "
                     "workflow status` show them",
                     b->target == REVOKE_DATASET    ? "a dataset"
                     : b->target == REVOKE_APPROVAL ? "an approval"
                                                    : "a workflow with an approval");
    return !found;
}

void api_revoke(const struct http_request *q, struct http_reply *reply)
{
    struct body_REVOCATION body = {.approval_signature = SPAN_NONE};
    if (!read_target(q, reply, &body) || names_nothing(q->context, reply, &body)) return;
    api_author(q->context, reply, KIND_REVOCATION, &body, 0, NULL, NULL);
}

/* --- Who has heard ---------------------------------------------------------------------------------------------------- */

/* By its heads: it holds this node's chain up to there. */
static json_t *custodian_json(struct core *core, const struct charter_member *m, const struct record *record,
                              uint32_t *count)
{
    bool heard = ID_EQUAL(m->node, core_self(core)), linked = heard;
    const struct peer_view *p;
    for (uint32_t i = 0; (p = core_peer_at(core, i)) != NULL; i++) {
        if (!ID_EQUAL(p->node, m->node)) continue;
        heard = p->own_seq >= record->header.seq;
        linked = p->up;
    }
    *count += heard;
    return json_pack("{s:o, s:o, s:b, s:b}", "node", api_hex32(m->node.bytes), "organisation",
                     api_span(m->organisation), "heard", heard, "linked", linked);
}

static const struct revocation *find(const struct registry *r, struct node_id author, const uint8_t id[32])
{
    const struct revocation *v;
    for (uint32_t i = 0; (v = registry_revocation_at(r, i)) != NULL; i++)
        if (ids_equal(v->record->id.bytes, id)) return ID_EQUAL(v->record->header.author, author) ? v : NULL;
    return NULL;
}

static json_t *subject_of(const struct revocation *v)
{
    struct dt dt;
    memcpy(dt.bytes, v->body.subject.bytes, sizeof dt.bytes);
    if (v->body.target == REVOKE_ALL) return json_null();
    return v->body.target == REVOKE_DATASET ? api_dt_text(dt) : api_hex32(v->body.subject.bytes);
}

void api_revocation(const struct http_request *q, struct http_reply *reply)
{
    struct daemon *d = q->context;
    const struct registry *r = core_registry(daemon_core(d));
    const struct charter *c = registry_charter_bytes(r);
    uint8_t id[32];
    if (!api_param_hash(q, reply, 0, id)) return;
    const struct revocation *v = find(r, daemon_home(d)->node, id);
    if (v == NULL || c == NULL || v->body.target >= TARGETS) {
        http_problem(reply, 404, "unknown-revocation",
                     "expected the id of a revocation by this node; came another");
        return;
    }
    json_t *list = json_array();
    uint32_t count = 0;
    for (uint32_t i = 0; i < c->custodian_count; i++)
        json_array_append_new(list,
                              custodian_json(daemon_core(d), &c->member[c->custodian[i]], v->record, &count));
    http_answer(reply, 200,
                json_pack("{s:o, s:s, s:o, s:o, s:I, s:I, s:I}", "record", api_hex32(id), "target",
                          targets[v->body.target], "subject", subject_of(v), "custodians", list, "heard",
                          (json_int_t)count, "no_keys_from", (json_int_t)charter_stops(c, c->t),
                          "no_output_from", (json_int_t)charter_stops(c, c->q)));
}
