#include "node/api_common.h"
#include "proto/chain.h"
#include "proto/charter.h"
#include "proto/field.h"

#include <stdlib.h>
#include <string.h>

/* --- Status ---------------------------------------------------------------------------------------------------------- */

static json_t *charter_state(struct registry *r)
{
    const struct charter *c = registry_charter_bytes(r);
    const struct tally *t = NULL, *any;
    for (uint32_t i = 0; (any = registry_tally_at(r, i)) != NULL; i++)
        if (any->kind == KIND_CHARTER) t = any;
    return json_pack("{s:b, s:i, s:i}", "decided", registry_charter(r) != NULL, "signatures",
                     t != NULL ? (int)tally_count(r, t) : 0, "needed", (int)c->s);
}

static json_t *committee_state(const struct registry *r)
{
    const struct committee *k = registry_committee(r);
    if (k == NULL) return json_null();
    return json_pack("{s:i, s:o, s:o}", "epoch", (int)k->body.epoch, "key_a", api_hex32(k->body.key_a.bytes),
                     "key_b", api_hex32(k->body.key_b.bytes));
}

static json_t *custodian_names(const struct charter *c, uint32_t bits)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < c->custodian_count; i++)
        if ((bits >> i & 1) != 0)
            json_array_append_new(list, api_span(c->member[c->custodian[i]].organisation));
    return list;
}

/* wrong: whose parts do not hold. */
static json_t *keygen_state(struct core *core)
{
    static const char *const phases[] = {"idle", "round1", "signed", "done", "failed"};
    uint32_t missing = 0, wrong = 0;
    const struct charter *c = registry_charter_bytes(core_registry(core));
    enum keygen_phase phase = core_keygen(core, &missing, &wrong);
    return json_pack("{s:s, s:o, s:o}", "phase", phases[phase], "missing", custodian_names(c, missing),
                     "wrong", custodian_names(c, wrong));
}

/* stopped: this node is a custodian, and its clock keeps it from voting and releasing. silent: it is why it signs no records;
 * dated_ahead_ms: because of one that it signed with a clock that went ahead. */
static json_t *clock_state(struct core *core)
{
    int64_t offset_ms = 0;
    const struct charter *c = registry_charter_bytes(core_registry(core));
    bool known = core_clock_offset(core, &offset_ms), custodian = charter_custodian(c, core_self(core)) >= 0;
    uint64_t ahead_ms = core_dated_ahead(core);
    return json_pack("{s:o, s:I, s:b, s:b, s:o}", "offset_ms", known ? json_integer(offset_ms) : json_null(),
                     "skew_max_ms", (json_int_t)c->skew_max_ms, "stopped",
                     custodian && core_standing(core) == REFUSAL_CLOCK, "silent", core_clock_stops(core),
                     "dated_ahead_ms", ahead_ms != 0 ? json_integer((json_int_t)ahead_ms) : json_null());
}

/* null: the link is direct, or there is none. */
static json_t *via(struct daemon *d, struct node_id peer)
{
    struct node_id relay;
    return daemon_link_via(d, peer, &relay) ? api_hex32(relay.bytes) : json_null();
}

static json_t *contacts_state(struct daemon *d)
{
    const struct view_counts n = core_contacts(daemon_core(d));
    return json_pack("{s:I, s:I, s:I}", "known", (json_int_t)n.known, "dialled", (json_int_t)n.dialled,
                     "parties", (json_int_t)n.parties);
}

static json_t *peers_state(struct daemon *d)
{
    json_t *list = json_array();
    const struct peer_view *p;
    for (uint32_t i = 0; (p = core_peer_at(daemon_core(d), i)) != NULL; i++)
        json_array_append_new(list,
                              json_pack("{s:o, s:o, s:b, s:o, s:b}", "node", api_hex32(p->node.bytes),
                                        "organisation", api_organisation(d, p->node), "up", p->up, "via",
                                        via(d, p->node), "party", core_party(daemon_core(d), p->node)));
    return list;
}

static json_t *store_state(struct daemon *d)
{
    struct store_status s;
    if (store_status(daemon_store(d), &s) != OK) return json_null();
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "used_bytes", (json_int_t)s.used_bytes, "map_bytes",
                     (json_int_t)s.map_bytes, "blobs", (json_int_t)s.entries[STORE_BLOB], "quarantined",
                     (json_int_t)s.quarantined, "batches", (json_int_t)s.batches, "syncs",
                     (json_int_t)s.syncs);
}

static json_t *links_state(struct daemon *d)
{
    struct links_status s;
    daemon_link_status(d, &s);
    return json_pack("{s:i, s:i, s:i, s:I, s:I, s:i, s:i, s:I}", "up", (int)s.up, "accepted", (int)s.accepted,
                     "refused", (int)s.refused, "bytes_in", (json_int_t)s.bytes_in, "bytes_out",
                     (json_int_t)s.bytes_out, "relayed", (int)s.relayed, "tunnels", (int)s.tunnels,
                     "tunnel_bytes", (json_int_t)s.tunnel_bytes);
}

/* null on a node that has no `compute` in its configuration. */
static json_t *enclaves_state(struct daemon *d)
{
    struct enclaves_status s;
    daemon_enclave_status(d, &s);
    if (s.most == 0 && s.why == NULL) return json_null();
    return json_pack("{s:i, s:i, s:o}", "running", (int)s.running, "max", (int)s.most, "why",
                     s.why != NULL ? api_span(span_text(s.why)) : json_null());
}

/* null while this key signs. */
static json_t *silent_state(const struct core *core)
{
    const enum silence s = core_silence(core);
    if (s == SILENCE_NONE) return json_null();
    return json_pack("{s:s, s:s}", "reason", silence_name(s), "detail", silence_text(s));
}

/* null: it signs. Whether for good or for now, the text says. */
static json_t *not_signing_state(const struct core *core)
{
    const enum refusal why = core_authoring(core);
    if (why == REFUSAL_NONE) return json_null();
    return json_pack("{s:s, s:s}", "reason", refusal_name(why), "detail", refusal_text(why));
}

/* null: this key has its place. */
static json_t *replaced_state(struct daemon *d)
{
    struct node_id heir;
    char detail[API_REPLACED_BYTES];
    const struct record *r = registry_replacement(core_registry(daemon_core(d)), daemon_home(d)->node, &heir);
    if (r == NULL || !api_replaced(d, detail)) return json_null();
    return json_pack("{s:o, s:o, s:s}", "by", api_hex32(heir.bytes), "record", api_hex32(r->id.bytes),
                     "detail", detail);
}

/* null: none are expected here. */
static json_t *key_shares_state(const struct share_watch *w)
{
    if (!w->expecting) return json_null();
    return json_pack("{s:b, s:s}", "good", w->err == OK, "detail", w->err == OK ? "" : w->fault);
}

void api_status(const struct http_request *q, struct http_reply *reply)
{
    struct daemon *d = q->context;
    struct core *core = daemon_core(d);
    struct registry *r = core_registry(core);
    const struct home *home = daemon_home(d);
    const struct member *self = registry_member(r, home->node);
    bool custodian = charter_custodian(registry_charter_bytes(r), home->node) >= 0;
    json_t *body = json_object();
    json_object_set_new(body, "node", api_hex32(home->node.bytes));
    json_object_set_new(body, "consortium", api_hex32(home->consortium.bytes));
    json_object_set_new(body, "approval_key", api_hex32(home->approval.bytes));
    json_object_set_new(body, "organisation", self != NULL ? api_span(self->organisation) : json_null());
    json_object_set_new(body, "jurisdiction", self != NULL ? api_span(self->jurisdiction) : json_null());
    json_object_set_new(body, "roles", api_roles(self != NULL ? self->roles : 0));
    json_object_set_new(body, "member", json_boolean(self != NULL));
    json_object_set_new(body, "asked", json_boolean(core_asks_to_join(core)));
    json_object_set_new(body, "isolated", json_boolean(core_cut_off(core)));
    json_object_set_new(body, "needs_custodians", json_boolean(core_needs_custodians(core)));
    json_object_set_new(body, "promise_lost",
                        json_boolean(custodian && core_standing(core) == REFUSAL_PROMISE_LOST));
    json_object_set_new(body, "silent", silent_state(core));
    json_object_set_new(body, "not_signing", not_signing_state(core));
    json_object_set_new(body, "replaced", replaced_state(d));
    json_object_set_new(body, "removed",
                        json_boolean(registry_removed(core_registry(daemon_core(d)), daemon_home(d)->node)));
    json_object_set_new(body, "clock", clock_state(core));
    json_object_set_new(body, "charter", charter_state(r));
    json_object_set_new(body, "keygen", keygen_state(core));
    json_object_set_new(body, "committee", committee_state(r));
    json_object_set_new(body, "key_shares", key_shares_state(daemon_share_watch(d)));
    json_object_set_new(body, "peers", peers_state(d));
    json_object_set_new(body, "contacts", contacts_state(d));
    json_object_set_new(body, "enclaves", enclaves_state(d));
    json_object_set_new(body, "records", json_integer(core_chain(core)->entry_count));
    json_object_set_new(body, "api",
                        daemon_api_address(d) != NULL ? json_string(daemon_api_address(d)) : json_null());
    json_object_set_new(body, "store", store_state(d));
    json_object_set_new(body, "links", links_state(d));
    json_object_set_new(body, "profile", json_string(core_caps(core)->name));
    http_answer(reply, 200, body);
}

/* --- Consortium ------------------------------------------------------------------------------------------------------- */

void api_consortium(const struct http_request *q, struct http_reply *reply)
{
    struct daemon *d = q->context;
    struct registry *r = core_registry(daemon_core(d));
    const struct charter *c = registry_charter_bytes(r);
    http_answer(reply, 200,
                json_pack("{s:o, s:o, s:o, s:o}", "consortium", api_hex32(daemon_home(d)->consortium.bytes),
                          "charter", api_span(c->bytes), "state", charter_state(r), "committee",
                          committee_state(r)));
}

void api_consortium_sign(const struct http_request *q, struct http_reply *reply)
{
    struct daemon *d = q->context;
    const struct charter *c = registry_charter_bytes(core_registry(daemon_core(d)));
    if (charter_steward(c, daemon_home(d)->node) < 0) {
        api_refuse(d, reply, verdict_refuse(REFUSAL_NOT_STEWARD, daemon_home(d)->node.bytes));
        return;
    }
    struct body_CHARTER body = {c->bytes};
    api_author(d, reply, KIND_CHARTER, &body, 0, NULL, NULL);
}

void api_keygen(const struct http_request *q, struct http_reply *reply)
{
    const struct registry *r = core_registry(daemon_core(q->context));
    if (registry_committee(r) != NULL) /* nothing to do, whoever asks: what is wanted is there */
        http_answer(reply, 200, json_pack("{s:o}", "committee", committee_state(r)));
    else
        api_command(q->context, reply, &(struct command){.type = COMMAND_KEYGEN});
}

/* --- Ops ---------------------------------------------------------------------------------------------------------------- */

static json_t *op_json(struct registry *r, const struct tally *t, const struct body_OP *body,
                       struct hash32 hash)
{
    const struct op *op = registry_op(r, hash);
    const struct hash32 code = sha256(body->code);
    return json_pack("{s:o, s:o, s:o, s:i, s:i, s:b}", "op", api_hex32(hash.bytes), "name",
                     op != NULL ? api_span(op->name) : json_null(), "code", api_hex32(code.bytes),
                     "signatures", (int)tally_count(r, t), "needed", (int)tally_needed(r, t), "registered",
                     op != NULL);
}

void api_ops(const struct http_request *q, struct http_reply *reply)
{
    struct registry *r = core_registry(daemon_core(q->context));
    struct api_page page;
    const struct tally *t;
    if (!api_page_begin(&page, q, reply)) return;
    json_t *list = json_array();
    for (uint32_t i = 0; !page.full && (t = registry_tally_at(r, i)) != NULL; i++) {
        struct body_OP body;
        if (t->kind != KIND_OP || body_decode(&body, KIND_OP, t->vote[0]->body) != OK) continue;
        struct hash32 hash = sha256(body.document);
        if (api_page_takes(&page, hash.bytes)) json_array_append_new(list, op_json(r, t, &body, hash));
    }
    api_page_answer(&page, reply, json_pack("{s:o}", "ops", list));
}

/* What is registered and has this hash, or is the code of an op that has it. */
void api_op_code(const struct http_request *q, struct http_reply *reply)
{
    struct registry *r = core_registry(daemon_core(q->context));
    const struct tally *t;
    struct hash32 wanted;
    if (!api_param_hash(q, reply, 0, wanted.bytes)) return;
    for (uint32_t i = 0; (t = registry_tally_at(r, i)) != NULL; i++) {
        struct body_OP body;
        if (t->kind != KIND_OP || body_decode(&body, KIND_OP, t->vote[0]->body) != OK) continue;
        struct hash32 hash = sha256(body.document), code = sha256(body.code);
        if (!ID_EQUAL(hash, wanted) && !ID_EQUAL(code, wanted)) continue;
        http_answer(reply, 200,
                    json_pack("{s:o, s:o, s:o, s:o}", "op", api_hex32(hash.bytes), "hash",
                              api_hex32(code.bytes), "code", api_span(body.code), "document",
                              api_span(body.document)));
        return;
    }
    http_problem(
        reply, 404, "op-not-registered",
        "expected the hash of an op or code that is known here; came another: `perigee op list` shows "
        "them");
}

void api_op_register(const struct http_request *q, struct http_reply *reply)
{
    struct body_OP body;
    if (!api_text(q, reply, "document", &body.document) || !api_text(q, reply, "code", &body.code)) return;
    if (body.code.len > CAP_CODE_BYTES) {
        http_problem(reply, 400, "too-large", "expected \"code\" to have at most %d bytes; came %zu",
                     CAP_CODE_BYTES, body.code.len);
        return;
    }
    void *memory = calloc(1, 1 << 20);
    struct json_fault fault = {0};
    struct op *op;
    struct arena arena = arena_make(memory, memory != NULL ? 1 << 20 : 0);
    if (op_open(&op, &arena, body.document, body.code, &fault) != OK) {
        http_problem(reply, 400, "malformed",
                     "expected in an op's document or its code, at %s: %s; came other",
                     fault.path[0] != 0 ? fault.path : "the top",
                     fault.expected[0] != 0 ? fault.expected : "an op/1 and the code it names");
    } else {
        api_author(q->context, reply, KIND_OP, &body, 0, "op", api_hex32(op->hash.bytes));
    }
    free(memory);
}
