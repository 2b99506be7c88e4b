/* Members: who is one, who asks to be, admitting and removing. */
#include "node/api_common.h"
#include "node/card.h"
#include "proto/chain.h"
#include "proto/charter.h"

#include <stdlib.h>
#include <string.h>

static json_t *platforms_json(struct span platforms)
{
    json_t *list = json_array();
    for (size_t at = 0; at + 32 <= platforms.len; at += 32)
        json_array_append_new(list, api_hex32(platforms.data + at));
    return list;
}

static json_t *member_json(struct registry *r, const struct member *m)
{
    const uint32_t by_makers = m->admission != NULL ? 1 : 0;
    const enum refusal counts = registry_check_author(r, m->node).refusal;
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:i}", "standing",
                     counts == REFUSAL_NONE ? "counts" : refusal_name(counts), "node",
                     api_hex32(m->node.bytes), "organisation", api_span(m->organisation), "jurisdiction",
                     api_span(m->jurisdiction), "roles", api_roles(m->roles), "maker",
                     by_makers != 0 ? api_hex32(m->admission->header.author.bytes) : json_null(), "platforms",
                     platforms_json(m->platforms), "signatures",
                     m->tally != NULL ? (int)tally_count(r, m->tally) : (int)by_makers);
}

/* consents: the key to be replaced has signed that it agrees, which is checked. */
static json_t *request_json(const struct join_request *j)
{
    const bool replaces = !ID_IS_ZERO(j->body.replaces);
    return json_pack("{s:o, s:b, s:o, s:o, s:o, s:o, s:o}", "replaces",
                     replaces ? api_hex32(j->body.replaces.bytes) : json_null(), "consents",
                     j->body.consent.len > 0, "node", api_hex32(j->author.bytes), "organisation",
                     api_span(j->body.organisation), "jurisdiction", api_span(j->body.jurisdiction), "roles",
                     api_roles((uint32_t)j->body.roles), "platforms", platforms_json(j->body.platforms));
}

void api_members(const struct http_request *q, struct http_reply *reply)
{
    struct core *core = daemon_core(q->context);
    struct registry *r = core_registry(core);
    struct api_page page;
    const struct member *m;
    const struct join_request *j;
    if (!api_page_begin(&page, q, reply)) return;
    json_t *members = json_array(), *requests = json_array();
    for (uint32_t at = 0; !page.full && (m = registry_member_next(r, &at)) != NULL;)
        if (api_page_takes(&page, m->node.bytes)) json_array_append_new(members, member_json(r, m));
    for (uint32_t i = 0; !page.full && (j = core_join_at(core, i)) != NULL; i++) {
        if (registry_member(r, j->author) != NULL || registry_removed(r, j->author)) continue;
        if (api_page_takes(&page, j->author.bytes)) json_array_append_new(requests, request_json(j));
    }
    api_page_answer(&page, reply, json_pack("{s:o, s:o}", "members", members, "requests", requests));
}

/* True: answered. */
static bool gone_for_good(struct daemon *d, struct http_reply *reply, struct node_id node)
{
    if (!registry_removed(core_registry(daemon_core(d)), node)) return false;
    http_problem(
        reply, 409, "removed",
        "expected a key that is no member yet; came one that was removed or replaced, which is for good: "
        "join with another key, in another data directory (`perigee init`)");
    return true;
}

/* Stewards decide together; one that says the same again adds nothing. True: answered. */
static bool said_already(struct daemon *d, struct http_reply *reply, enum kind kind, const void *body)
{
    static uint8_t bytes[CAP_BODY_BYTES];
    struct buffer said = BUFFER_OF(bytes);
    struct core *core = daemon_core(d);
    const struct tally *t;
    body_encode(&said, kind, body);
    for (uint32_t i = 0; (t = registry_tally_at(core_registry(core), i)) != NULL; i++) {
        if (t->kind != kind || !span_equal(t->vote[0]->body, buffer_span(&said))) continue;
        for (uint32_t v = 0; v < t->author_count; v++) {
            if (!ID_EQUAL(t->vote[v]->header.author, core_self(core))) continue;
            http_problem(
                reply, 409, "signed-already",
                "expected something that this steward has not signed; it has signed this, with %u of %u "
                "that it takes: the others have to",
                t->author_count, (unsigned)registry_charter_bytes(core_registry(core))->s);
            return true;
        }
    }
    return false;
}

static void join_with(struct daemon *d, struct http_reply *reply, const struct charter_member *card)
{
    struct body_JOIN body = {.node = card->node,
                             .organisation = card->organisation,
                             .jurisdiction = card->jurisdiction,
                             .roles = card->roles,
                             .kem = card->kem,
                             .dkg = card->dkg,
                             .approval = card->approval,
                             .platforms = card->platforms};
    const struct home *home = daemon_home(d);
    struct hash32 own;
    if (card->platforms.len == 0 && daemon_platform(d, &own)) body.platforms = ID_SPAN(own);
    body.replaces = home->replaces;
    body.consent = span_make(home->consent, home->consent_len);
    if (!ID_IS_ZERO(body.replaces))
        body.roles &= ~(uint64_t)(ROLE_CUSTODIAN | ROLE_STEWARD); /* seats do not pass on */
    uint8_t bytes[4096];
    struct buffer b = BUFFER_OF(bytes);
    body_encode(&b, KIND_JOIN, &body);
    if (buffer_done(&b) != OK) {
        http_problem(reply, 400, "too-large",
                     "expected a card.json that fits a join request; came a longer one");
        return;
    }
    api_command(d, reply,
                &(struct command){.type = COMMAND_JOIN, .kind = KIND_JOIN, .body = buffer_span(&b)});
}

/* The own card, as it was when the node started. */
void api_member_request(const struct http_request *q, struct http_reply *reply)
{
    enum { MEMORY = 65536 };
    const struct home *home = daemon_home(q->context);
    struct charter_member card;
    if (gone_for_good(q->context, reply, home->node)) return;
    void *memory = calloc(1, MEMORY);
    struct arena arena = arena_make(memory, memory != NULL ? MEMORY : 0);
    if (memory == NULL || card_parse(&card, &arena, span_make(home->card, home->card_len), NULL) != OK)
        http_problem(reply, 503, "no-memory", "out of memory; try again later");
    else if ((card.roles & ROLE_DEVICE) != 0 && card.roles != ROLE_DEVICE)
        http_problem(
            reply, 409, refusal_name(REFUSAL_ROLE),
            "expected a card with the role device alone, or without it; came one with others beside: "
            "its maker admits a device, and for nothing else");
    else
        join_with(q->context, reply, &card);
    free(memory);
}

/* Why this node may not make this applicant its device, as exactly as it is known. True: answered. */
static bool device_refused(struct daemon *d, struct http_reply *reply, const struct body_MEMBER *b)
{
    const struct registry *r = core_registry(daemon_core(d));
    const struct node_id self = daemon_home(d)->node;
    const struct member *m = registry_member(r, self);
    const uint32_t most = registry_charter_bytes(r)->maker_devices, count = registry_device_count(r, self);
    const char *reason = refusal_name(REFUSAL_DEVICES);
    if (m == NULL || (m->roles & ROLE_MAKER) == 0)
        http_problem(reply, 409, refusal_name(REFUSAL_ROLE),
                     "expected a maker, since a maker alone admits a device; this node is none");
    else if (most == 0)
        http_problem(reply, 409, reason,
                     "expected a charter with maker_devices; this one has none, so makers admit no devices");
    else if (!span_equal(m->organisation, b->organisation))
        http_problem(reply, 409, reason,
                     "expected a device of this maker's organisation, %.*s; came one of %.*s",
                     (int)m->organisation.len, (const char *)m->organisation.data, (int)b->organisation.len,
                     (const char *)b->organisation.data);
    else if (count >= most)
        http_problem(reply, 409, reason,
                     "expected fewer than %u devices of this maker, as many as the charter lets it have at "
                     "once; %u are in force: `perigee member remove` revokes one",
                     most, count);
    else
        return false;
    return true;
}

/* Tokens and budgets pass on inside one organisation: to whom else is a mistake, or somebody's wish. True: answered. */
static bool heir_refused(struct daemon *d, struct http_reply *reply, const struct body_MEMBER *b)
{
    const struct member *old = registry_member_ever(core_registry(daemon_core(d)), b->replaces);
    if (old == NULL || span_equal(old->organisation, b->organisation)) return false;
    http_problem(
        reply, 409, "organisation",
        "expected a successor of the organisation whose key it replaces, %.*s; came one of %.*s: that "
        "one joins as a member of its own, and datasets are registered anew",
        (int)old->organisation.len, (const char *)old->organisation.data, (int)b->organisation.len,
        (const char *)b->organisation.data);
    return true;
}

/* How much of a key's chain counts: all that is held here, or what another steward has signed if that is no less. */
static uint64_t last_seq_of(struct core *core, const struct body_MEMBER *wanted)
{
    const struct registry *r = core_registry(core);
    const struct author *a = chain_author(core_chain(core), wanted->replaces);
    uint64_t held = a == NULL ? 0 : a->frozen != 0 && a->applied >= a->frozen ? a->frozen - 1 : a->applied;
    const struct tally *t;
    for (uint32_t i = 0; (t = registry_tally_at(r, i)) != NULL; i++) {
        struct body_MEMBER body;
        if (t->kind != KIND_MEMBER || body_decode(&body, KIND_MEMBER, t->vote[0]->body) != OK) continue;
        const bool same = ID_EQUAL(body.node, wanted->node) && ID_EQUAL(body.replaces, wanted->replaces);
        /* Another steward may hold more, and may make it up: what is not held here is not signed here. */
        if (same && body.last_seq > held && a != NULL && body.last_seq <= a->seen) held = body.last_seq;
    }
    return held;
}

void api_member_admit(const struct http_request *q, struct http_reply *reply)
{
    struct daemon *d = q->context;
    struct node_id node;
    const struct join_request *j;
    if (!api_hash(q, reply, "node", node.bytes) || gone_for_good(d, reply, node)) return;
    for (uint32_t i = 0; (j = core_join_at(daemon_core(d), i)) != NULL; i++) {
        if (!ID_EQUAL(j->author, node)) continue;
        struct body_MEMBER body = j->body;
        const bool replaces = !ID_IS_ZERO(body.replaces);
        if (registry_is_device(&body) && device_refused(d, reply, &body)) return;
        if (replaces && heir_refused(d, reply, &body)) return;
        if (replaces) body.last_seq = last_seq_of(daemon_core(d), &body);
        if (said_already(d, reply, KIND_MEMBER, &body)) return;
        api_author(d, reply, KIND_MEMBER, &body, 0, "replaces",
                   replaces ? api_hex32(body.replaces.bytes) : json_null());
        return;
    }
    http_problem(reply, 404, "no-request",
                 "expected a node whose join request is waiting; came one whose is not: it asks with "
                 "`perigee member request`");
}

/* Stewards who want the same must say the same: what another proposed for this member, else all that is held of it here. */
static uint64_t removal_seq_of(struct core *core, struct node_id node)
{
    const struct registry *r = core_registry(core);
    const struct author *a = chain_author(core_chain(core), node);
    const struct tally *t;
    struct body_REMOVAL body;
    for (uint32_t i = 0; (t = registry_tally_at(r, i)) != NULL; i++) {
        if (t->kind != KIND_REMOVAL || body_decode(&body, KIND_REMOVAL, t->vote[0]->body) != OK) continue;
        if (ID_EQUAL(body.node, node)) return body.last_seq;
    }
    return a != NULL ? a->applied : 0;
}

static void revoke_device(struct daemon *d, struct http_reply *reply, struct node_id node)
{
    struct body_REVOCATION body = {.target = REVOKE_DEVICE, .approval_signature = SPAN_NONE};
    memcpy(body.subject.bytes, node.bytes, sizeof body.subject.bytes);
    api_author(d, reply, KIND_REVOCATION, &body, 0, "last_seq", json_null());
}

/* True: answered. */
static bool removal_refused(struct daemon *d, struct http_reply *reply, struct node_id node)
{
    const struct registry *r = core_registry(daemon_core(d));
    const struct charter *c = registry_charter_bytes(r);
    if (registry_member(r, node) == NULL)
        http_problem(reply, 404, refusal_name(REFUSAL_NOT_MEMBER),
                     "expected a member that `perigee member list` shows; came another node");
    else if (charter_steward(c, daemon_home(d)->node) < 0)
        http_problem(
            reply, 409, refusal_name(REFUSAL_NOT_STEWARD),
            "expected a steward, or the maker of this device: nobody else removes a member; this node "
            "is neither");
    else if (charter_steward(c, node) >= 0 || charter_custodian(c, node) >= 0)
        http_problem(reply, 409, refusal_name(REFUSAL_CHARTER),
                     "expected a member that is neither custodian nor steward; came one that is: those leave "
                     "by another charter only");
    else
        return false;
    return true;
}

/* A maker takes its own word back; whatever else is removed is removed by the stewards. */
void api_member_remove(const struct http_request *q, struct http_reply *reply)
{
    struct daemon *d = q->context;
    struct core *core = daemon_core(d);
    struct body_REMOVAL body;
    const bool given = json_object_get(q->body, "last_seq") != NULL;
    if (!api_param_hash(q, reply, 0, body.node.bytes)) return;
    if (given && !api_uint(q, reply, "last_seq", UINT_TIME, &body.last_seq)) return;
    if (registry_names_device(core_registry(core), core_self(core), body.node)) {
        if (given)
            api_bad(reply, "malformed", "last_seq",
                    "nothing for a device: nothing of it counts once it is revoked",
                    json_object_get(q->body, "last_seq"));
        else
            revoke_device(d, reply, body.node);
        return;
    }
    if (removal_refused(d, reply, body.node)) return;
    if (!given) body.last_seq = removal_seq_of(core, body.node);
    if (said_already(d, reply, KIND_REMOVAL, &body)) return;
    api_author(d, reply, KIND_REMOVAL, &body, 0, "last_seq", json_integer((json_int_t)body.last_seq));
}
