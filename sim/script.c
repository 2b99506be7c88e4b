/* What people do at a node: found the consortium, publish, approve, ask for runs. Each does its own, when its own node shows that
 * it can; what is refused is tried again, and a person remembers what was done over a crash of the node. */
#include "sim/simulation_state.h"

#include "proto/base/panic.h"
#include "proto/chain.h"

#include <stdlib.h>
#include <string.h>

enum {
    AGAIN_NS = 500000000,
    DEVICE_NS = 5000000, /* from one device that a maker admits to the next */
    GRANT_SLOTS = 1 << 20,
    EXCUSED_WAIT_MS = 60000
};
#define KEYGEN_AGAIN_NS UINT64_C(10000000000)
#define APPROVED_MS     (UINT64_C(30) * 86400 * 1000)

struct script {
    struct station *n;
    struct registry *r;
    struct papers *p;
    const struct player *who;
};

/* --- Commands ------------------------------------------------------------------------------------------------------------ */

void script_command(struct station *n, int doing, const struct command *wish)
{
    struct consortium *s = n->consortium;
    struct command *kept = malloc(sizeof *kept + wish->body.len + wish->parameters.len + wish->datasets.len);
    ASSERT(kept != NULL);
    uint8_t *bytes = (uint8_t *)(kept + 1);
    *kept = *wish;
    if (wish->body.len > 0) memcpy(bytes, wish->body.data, wish->body.len);
    kept->body = span_make(bytes, wish->body.len);
    bytes += wish->body.len;
    if (wish->parameters.len > 0) memcpy(bytes, wish->parameters.data, wish->parameters.len);
    kept->parameters = span_make(bytes, wish->parameters.len);
    bytes += wish->parameters.len;
    if (wish->datasets.len > 0) memcpy(bytes, wish->datasets.data, wish->datasets.len);
    kept->datasets = span_make(bytes, wish->datasets.len);
    n->waiting = ++s->token;
    n->doing = doing;
    const struct parcel parcel = {
        .type = EVENT_COMMAND, .incarnation = n->incarnation, .token = n->waiting, .command = kept};
    consortium_post(s, now_of(s) + 1, n->number, &parcel);
}

static void author(const struct script *s, enum deed deed, enum kind kind, const void *body,
                   uint64_t expires_ms)
{
    static uint8_t bytes[CAP_BODY_BYTES];
    struct buffer b = BUFFER_OF(bytes);
    body_encode(&b, kind, body);
    ASSERT(!b.overflow);
    script_command(
        s->n, (int)deed,
        &(struct command){
            .type = COMMAND_AUTHOR, .kind = kind, .body = buffer_span(&b), .expires_ms = expires_ms});
}

/* What shows in the registry, or is refused for good, is not done by being said once. */
static bool lasts(int deed, bool done)
{
    if (deed == DEED_OVERSPEND || deed == DEED_RETYPE_ASK) return true;
    return done && deed != DEED_ADMIT && deed != DEED_DEVICE && deed != DEED_KEYGEN && deed != DEED_COUNT;
}

/* It is a machine that works through a list, not a person who looks now and then. */
static void go_on(struct station *n)
{
    n->device_next = n->admitting + 1;
    n->device_ns = now_of(n->consortium) + DEVICE_NS;
    consortium_later(n->consortium, n->device_ns, n->number, WHAT_DEVICE);
}

/* No run of another output type than was approved comes to be. */
static void note_barred(struct consortium *s, enum refusal refusal)
{
    if (refusal == REFUSAL_NONE)
        watch_violation(s, "output-type", "a run of a recipe that lets rows out is taken");
    s->counts.runs_barred += refusal != REFUSAL_NONE;
    s->counts.barred_for = refusal_name(refusal);
}

void script_reply(struct station *n, uint64_t token, struct verdict verdict, struct hash32 id)
{
    struct consortium *s = n->consortium;
    (void)id;
    if (token != n->waiting) return;
    n->waiting = 0;
    if (n->doing == DEED_BYPASS) {
        n->bypass_ns = now_of(s) + AGAIN_NS; /* it has its place in the chain by then */
        if (n->pause_ns < n->bypass_ns) n->pause_ns = n->bypass_ns;
        return;
    }
    const bool done = verdict.refusal == REFUSAL_NONE || verdict.refusal == REFUSAL_EXISTS;
    if (!done) n->pause_ns = now_of(s) + AGAIN_NS;
    if (done && n->doing == DEED_ADMIT) n->admitted[n->admitting] = true;
    if (done && n->doing == DEED_DEVICE) go_on(n);
    if (done && n->doing == DEED_KEYGEN) n->keygen_ns = now_of(s) + KEYGEN_AGAIN_NS;
    if (done && n->doing == DEED_REVOKE) s->revoked = true;
    if (n->doing == DEED_RETYPE_ASK) note_barred(s, verdict.refusal);
    if (lasts(n->doing, done)) n->deed_done[n->doing] = true;
    if (done && n->doing == DEED_COUNT) n->pause_ns = now_of(s) + (uint64_t)s->scenario->every_ms * 1000000;
}

/* --- Founding ------------------------------------------------------------------------------------------------------------- */

static bool is_member(const struct script *s)
{
    return registry_member(s->r, s->who->id) != NULL;
}

static bool sign_charter(const struct script *s)
{
    const struct body_CHARTER body = {s->p->cast->charter};
    if (!player_is(s->who, ROLE_STEWARD)) return false;
    author(s, DEED_CHARTER, KIND_CHARTER, &body, 0);
    return true;
}

static struct body_MEMBER member_body(const struct cast *c, const struct player *p)
{
    return (struct body_MEMBER){.node = p->id,
                                .organisation = player_organisation(c, p),
                                .jurisdiction = p->party->jurisdiction,
                                .roles = p->party->roles,
                                .kem = p->kem,
                                .approval = player_is(p, ROLE_OWNER) ? p->approval : p->id,
                                .platforms = SPAN_LITERAL(""),
                                .consent = SPAN_LITERAL("")};
}

static bool join(const struct script *s)
{
    static uint8_t bytes[1024];
    struct buffer b = BUFFER_OF(bytes);
    if (registry_charter(s->r) == NULL || is_member(s)) return false;
    const struct body_MEMBER body = member_body(s->p->cast, s->who);
    body_encode(&b, KIND_JOIN, &body);
    script_command(s->n, DEED_JOIN,
                   &(struct command){.type = COMMAND_JOIN, .kind = KIND_JOIN, .body = buffer_span(&b)});
    return true;
}

/* Whoever stands in this node's inbox, which a restart empties, and has not its word yet. */
static bool admit(const struct script *s)
{
    const struct join_request *request;
    if (!player_is(s->who, ROLE_STEWARD) || registry_charter(s->r) == NULL) return false;
    for (uint32_t i = 0; (request = core_join_at(s->n->core, i)) != NULL; i++) {
        const struct player *p = cast_find(s->p->cast, request->body.node);
        if (p == NULL || s->n->admitted[p->number]) continue;
        const struct body_MEMBER body = request->body;
        s->n->admitting = p->number;
        author(s, DEED_ADMIT, KIND_MEMBER, &body, 0);
        return true;
    }
    return false;
}

/* A maker knows the keys of what it makes: no device has to ask. */
static bool device(const struct script *s)
{
    struct station *n = s->n;
    const struct cast *c = s->p->cast;
    if (!player_is(s->who, ROLE_MAKER) || now_of(n->consortium) < n->device_ns || !is_member(s)) return false;
    while (n->device_next < c->count && (!player_is(&c->player[n->device_next], ROLE_DEVICE) ||
                                         c->player[n->device_next].party->maker != n->number))
        n->device_next++;
    if (n->device_next == c->count) return false;
    const struct body_MEMBER body = member_body(c, &c->player[n->device_next]);
    n->admitting = n->device_next;
    author(s, DEED_DEVICE, KIND_MEMBER, &body, 0);
    return true;
}

static bool all_custodians_linked(const struct script *s)
{
    const struct charter *c = registry_charter(s->r);
    for (uint32_t i = 0; i < c->custodian_count; i++) {
        const struct player *p = cast_find(s->p->cast, c->member[c->custodian[i]].node);
        if (p != s->who && !consortium_linked(s->n->consortium, s->n->number, p->number)) return false;
    }
    return true;
}

static bool keygen(const struct script *s)
{
    const struct charter *c = registry_charter(s->r);
    if (c == NULL || registry_committee(s->r) != NULL || !player_is(s->who, ROLE_CUSTODIAN)) return false;
    if (now_of(s->n->consortium) < s->n->keygen_ns) return false;
    if (!ID_EQUAL(c->member[c->custodian[0]].node, s->who->id) || !all_custodians_linked(s)) return false;
    script_command(s->n, DEED_KEYGEN, &(struct command){.type = COMMAND_KEYGEN});
    return true;
}

static bool workers(const struct script *s)
{
    const struct body_WORKERS body = {SPAN_LITERAL("default"), 1, ID_SPAN(s->p->cast->measurement)};
    if (!player_is(s->who, ROLE_STEWARD) || registry_charter(s->r) == NULL) return false;
    author(s, DEED_WORKERS, KIND_WORKERS, &body, 0);
    return true;
}

static bool op(const struct script *s)
{
    const struct body_OP body = {s->p->op_document, s->p->op_code};
    if (!player_is(s->who, ROLE_STEWARD) || registry_charter(s->r) == NULL) return false;
    author(s, DEED_OP, KIND_OP, &body, 0);
    return true;
}

/* --- Tokens ------------------------------------------------------------------------------------------------------------------ */

static struct body_ASSET asset_body(struct dt dt, uint64_t version, struct span ddo)
{
    return (struct body_ASSET){
        .dt = dt, .version = version, .ddo = ddo, .workflow = SPAN_LITERAL(""), .policy = SPAN_LITERAL("")};
}

static bool dataset(const struct script *s)
{
    const struct dataset *d = papers_of(s->p, s->who);
    if (d == NULL || !is_member(s) || registry_op(s->r, s->p->op) == NULL) return false;
    struct body_ASSET body = asset_body(d->dt, 1, d->ddo);
    body.salt = d->salt;
    author(s, DEED_DATASET, KIND_ASSET, &body, 0);
    return true;
}

static bool app(const struct script *s)
{
    if (s->who != s->p->provider || !is_member(s)) return false;
    struct body_ASSET body = asset_body(s->p->app, 1, s->p->app_ddo);
    body.salt = s->p->app_salt;
    author(s, DEED_APP, KIND_ASSET, &body, 0);
    return true;
}

static bool workflow(const struct script *s)
{
    if (s->who != s->p->provider || registry_asset(s->r, s->p->app) == NULL) return false;
    for (uint32_t i = 0; i < s->p->dataset_count; i++)
        if (registry_asset(s->r, s->p->dataset[i].dt) == NULL) return false;
    struct body_ASSET body = asset_body(s->p->app, 2, s->p->app_ddo);
    body.workflow = s->p->workflow;
    author(s, DEED_WORKFLOW, KIND_ASSET, &body, 0);
    return true;
}

static bool grant(const struct script *s)
{
    const struct dataset *d = papers_of(s->p, s->who);
    if (d == NULL || registry_asset(s->r, d->dt) == NULL || registry_asset(s->r, s->p->app) == NULL)
        return false;
    const struct body_GRANT body = {
        d->dt, s->p->app, 0, ID_SPAN(s->p->op), GRANT_SLOTS, s->p->cast->scenario->epsilon_nano};
    author(s, DEED_GRANT, KIND_GRANT, &body, 0);
    return true;
}

static bool job(const struct script *s)
{
    const struct body_JOB body = {s->p->app, s->p->compose, SPAN_LITERAL("count")};
    if (s->who != s->p->provider || registry_workflow(s->r, s->p->compose) == NULL) return false;
    author(s, DEED_JOB, KIND_JOB, &body, 0);
    return true;
}

static bool endorse(const struct script *s)
{
    const struct job *posted = registry_job(s->r, s->p->compose);
    if (!player_is(s->who, ROLE_STEWARD) || posted == NULL) return false;
    const struct body_ENDORSEMENT body = {posted->record->id};
    author(s, DEED_ENDORSE, KIND_ENDORSEMENT, &body, 0);
    return true;
}

/* Its data, sealed for this recipe. */
static bool bind(const struct script *s)
{
    struct dataset *d = papers_of(s->p, s->who);
    const struct committee *committee = registry_committee(s->r);
    if (d == NULL || committee == NULL || registry_workflow(s->r, s->p->compose) == NULL) return false;
    if (d->blob_count == 0) {
        const enum err err = papers_seal(s->p, d, &committee->body.key_a);
        ASSERT(err == OK);
        for (uint32_t i = 0; i < d->blob_count; i++)
            disk_put_blob(s->n->disk, d->blob[i].cid, d->blob[i].bytes);
    }
    struct body_ASSET body = asset_body(d->dt, 2, d->ddo);
    body.policy = d->policy;
    body.content = d->content;
    body.manifest = sha256(d->manifest);
    body.compose = s->p->compose;
    author(s, DEED_BIND, KIND_ASSET, &body, 0);
    return true;
}

/* What an approval expires at. */
static uint64_t approved_until_ms(const struct script *s)
{
    return SIMULATION_START_MS + s->n->consortium->begin_ns / 1000000 + APPROVED_MS;
}

static bool approve(const struct script *s)
{
    const uint64_t until_ms = approved_until_ms(s);
    struct body_APPROVAL body;
    const struct dataset *d = papers_of(s->p, s->who);
    const struct job *posted = registry_job(s->r, s->p->compose);
    if (d == NULL || s->who->party->refuses || !s->n->deed_done[DEED_BIND] || !s->n->deed_done[DEED_GRANT] ||
        posted == NULL || (s->n->revoke_due && s->n->revoke_target != TARGET_APPROVAL))
        return false;
    const enum err err = papers_approval(s->p, &body, d, 1, s->p->cast->scenario->runs, until_ms);
    ASSERT(err == OK);
    author(s, DEED_APPROVE, KIND_APPROVAL, &body, until_ms);
    return true;
}

/* A person who forgot what the budget is: the node must not sign that. */
static bool overspend(const struct script *s)
{
    const uint64_t until_ms = approved_until_ms(s);
    struct body_APPROVAL body;
    const struct dataset *d = papers_of(s->p, s->who);
    const uint32_t runs = s->p->cast->scenario->runs;
    if (d == NULL || !s->n->deed_done[DEED_APPROVE]) return false;
    const enum err err = papers_approval(s->p, &body, d, runs + 1, runs + 1, until_ms);
    ASSERT(err == OK);
    author(s, DEED_OVERSPEND, KIND_APPROVAL, &body, until_ms);
    return true;
}

/* --- Another output type ---------------------------------------------------------------------------------------------------------- */

/* The provider's own doing, in all forms: a new version of the app, and a job. */
static bool retype(const struct script *s)
{
    if (!s->n->consortium->retype || s->who != s->p->provider || !s->n->deed_done[DEED_WORKFLOW])
        return false;
    struct body_ASSET body = asset_body(s->p->app, 3, s->p->app_ddo);
    body.workflow = s->p->retyped;
    author(s, DEED_RETYPE, KIND_ASSET, &body, 0);
    return true;
}

static bool retype_job(const struct script *s)
{
    const struct body_JOB body = {s->p->app, s->p->retyped_compose, SPAN_LITERAL("rows")};
    if (s->who != s->p->provider || registry_workflow(s->r, s->p->retyped_compose) == NULL) return false;
    author(s, DEED_RETYPE_JOB, KIND_JOB, &body, 0);
    return true;
}

/* Stewards who look at no more than that it is a job. */
static bool retype_endorse(const struct script *s)
{
    const struct job *posted = registry_job(s->r, s->p->retyped_compose);
    if (!player_is(s->who, ROLE_STEWARD) || posted == NULL) return false;
    const struct body_ENDORSEMENT body = {posted->record->id};
    author(s, DEED_RETYPE_ENDORSE, KIND_ENDORSEMENT, &body, 0);
    return true;
}

static bool retype_ask(const struct script *s)
{
    const struct job *posted = registry_job(s->r, s->p->retyped_compose);
    if (!player_is(s->who, ROLE_REQUESTER) || posted == NULL ||
        registry_endorsements(s->r, posted) < registry_charter(s->r)->s)
        return false;
    script_command(s->n, DEED_RETYPE_ASK,
                   &(struct command){.type = COMMAND_RUN,
                                     .compose = s->p->retyped_compose,
                                     .parameters = s->p->parameters});
    return true;
}

/* --- Taking back --------------------------------------------------------------------------------------------------------------- */

static const struct ledger_approval *own_approval(const struct script *s)
{
    const struct ledger *l = &s->n->consortium->ledger;
    for (uint32_t i = 0; i < l->approvals; i++)
        if (ID_EQUAL(l->approval[i].at.author, s->who->id)) return &l->approval[i];
    return NULL;
}

/* Whatever was approved; and nothing is approved anew. */
static bool revoke(const struct script *s)
{
    static const enum revocation_target targets[TARGET_COUNT] = {[TARGET_APPROVAL] = REVOKE_APPROVAL,
                                                                 [TARGET_RECIPE] = REVOKE_COMPOSE,
                                                                 [TARGET_DATASET] = REVOKE_DATASET,
                                                                 [TARGET_ALL] = REVOKE_ALL};
    struct body_REVOCATION body = {.target = targets[s->n->revoke_target],
                                   .approval_signature = SPAN_LITERAL("")};
    const struct dataset *d = papers_of(s->p, s->who);
    const struct ledger_approval *approval = own_approval(s);
    if (!s->n->revoke_due || d == NULL || !is_member(s)) return false;
    if (s->n->revoke_target == TARGET_APPROVAL && approval == NULL) return false;
    if (s->n->revoke_target == TARGET_APPROVAL) memcpy(body.subject.bytes, approval->at.id.bytes, 32);
    if (s->n->revoke_target == TARGET_RECIPE) memcpy(body.subject.bytes, s->p->compose.bytes, 32);
    if (s->n->revoke_target == TARGET_DATASET) memcpy(body.subject.bytes, d->dt.bytes, 32);
    author(s, DEED_REVOKE, KIND_REVOCATION, &body, 0);
    return true;
}

/* --- Runs --------------------------------------------------------------------------------------------------------------------- */

/* Will this owner never approve, or not any more? Runs are asked for without it. */
static bool is_out(const struct consortium *s, const struct dataset *d)
{
    const struct station *n = &s->station[d->owner->number];
    const bool took_back = n->revoke_due || n->forked_seq != 0;
    return d->owner->party->refuses || (s->scenario->go_on && took_back);
}

/* The datasets that a run may use, by what this node holds. */
static void usable(const struct script *s, struct buffer *out)
{
    const uint64_t now_ms = consortium_wall_ms(s->n->consortium);
    for (uint32_t i = 0; i < s->p->dataset_count; i++) {
        const struct asset *a = registry_asset(s->r, s->p->dataset[i].dt);
        if (a == NULL) continue;
        const struct approval_view view = registry_approval(s->r, a, s->p->compose, 0, now_ms);
        if (view.approval != NULL && !view.revoked && !view.expired) buffer_put(out, ID_SPAN(a->dt));
    }
}

static bool has_devices(const struct script *s)
{
    const struct cast *c = s->p->cast;
    for (uint32_t i = 0; i < c->count; i++) {
        const bool lies = s->n->consortium->station[i].sybilled;
        const uint32_t devices = lies ? 0 : c->player[i].party->devices;
        if (devices > 0 && registry_device_count(s->r, c->player[i].id) < devices) return false;
    }
    return true;
}

/* All devices are members, the job is endorsed, and who is to approve has. */
static bool is_ready(const struct script *s)
{
    const struct job *posted = registry_job(s->r, s->p->compose);
    const struct charter *c = registry_charter(s->r);
    if (posted == NULL || c == NULL || registry_endorsements(s->r, posted) < c->s) return false;
    for (uint32_t i = 0; i < s->p->dataset_count; i++) {
        const struct dataset *d = &s->p->dataset[i];
        const struct asset *a = registry_asset(s->r, d->dt);
        const uint64_t now_ms = consortium_wall_ms(s->n->consortium);
        if (is_out(s->n->consortium, d)) continue;
        if (a == NULL || registry_approval(s->r, a, s->p->compose, 0, now_ms).approval == NULL) return false;
    }
    return has_devices(s);
}

/* Does it ask for runs: the first of those that may, or, in a race, each? */
static bool is_asker(const struct consortium *s, const struct player *p)
{
    uint32_t i = 0;
    while (!player_is(&s->cast->player[i], ROLE_REQUESTER)) i++;
    return p == &s->cast->player[i] || (s->scenario->race && player_is(p, ROLE_REQUESTER));
}

/* Has somebody equivocated, or gone, without whom nothing goes on? An owner, before its data is part of the recipe. */
static bool is_broken(const struct consortium *s)
{
    bool broken = false;
    for (uint32_t i = 0; i < s->count; i++) {
        const struct station *n = &s->station[i];
        const bool needed = n->player == s->papers->provider || is_asker(s, n->player) ||
                            (papers_of(s->papers, n->player) != NULL && !n->deed_done[DEED_BIND]);
        broken |= (n->forked_seq != 0 || watch_is_gone(n)) && needed;
    }
    return broken;
}

/* Is nobody asked any more? An owner has taken back, and without it no run is wished for, or fewer than k are left. */
static bool is_over(const struct consortium *s)
{
    uint32_t left = 0;
    if (is_broken(s)) return true;
    for (uint32_t i = 0; i < s->papers->dataset_count; i++) left += !is_out(s, &s->papers->dataset[i]);
    return s->revoked && (!s->scenario->go_on || left < s->scenario->k);
}

/* Runs that were asked for, and what is on its way. */
static uint32_t asked(const struct consortium *s)
{
    uint32_t count = s->run_count;
    for (uint32_t i = 0; i < s->count; i++)
        count += s->station[i].waiting != 0 && s->station[i].doing == DEED_COUNT;
    return count;
}

static bool ask_for_run(const struct script *s)
{
    const struct consortium *sim = s->n->consortium;
    uint8_t datasets[32 * CAP_INPUTS];
    struct buffer inputs = BUFFER_OF(datasets);
    if (!is_asker(sim, s->who) || is_over(sim) || asked(sim) >= sim->scenario->runs || !is_member(s) ||
        !is_ready(s))
        return false;
    const uint32_t life_ms = sim->scenario->expires_ms;
    usable(s, &inputs);
    if (inputs.len == (size_t)32 * s->p->dataset_count) inputs.len = 0; /* all: it need not name them */
    script_command(s->n, DEED_COUNT,
                   &(struct command){.type = COMMAND_RUN,
                                     .expires_ms = life_ms > 0 ? consortium_wall_ms(sim) + life_ms : 0,
                                     .compose = s->p->compose,
                                     .datasets = buffer_span(&inputs),
                                     .parameters = s->p->parameters});
    return true;
}

/* What need not settle is waited for a while. */
bool script_over(struct consortium *s)
{
    if (s->run_count < s->scenario->runs && !is_over(s)) return false;
    for (uint32_t i = 0; i < s->run_count; i++) {
        const struct run_watch *w = &s->run[i];
        const bool waited = now_of(s) / 1000000 >= w->asked_ms + EXCUSED_WAIT_MS;
        if (!w->ended && (!waited || !watch_excused(s, w))) return false;
    }
    return true;
}

/* --- A turn -------------------------------------------------------------------------------------------------------------------- */

static bool (*const deeds[DEED_COUNT])(const struct script *) = {
    [DEED_REVOKE] = revoke,
    [DEED_CHARTER] = sign_charter,
    [DEED_JOIN] = join,
    [DEED_ADMIT] = admit,
    [DEED_KEYGEN] = keygen,
    [DEED_WORKERS] = workers,
    [DEED_OP] = op,
    [DEED_DATASET] = dataset,
    [DEED_APP] = app,
    [DEED_WORKFLOW] = workflow,
    [DEED_GRANT] = grant,
    [DEED_JOB] = job,
    [DEED_ENDORSE] = endorse,
    [DEED_BIND] = bind,
    [DEED_APPROVE] = approve,
    [DEED_OVERSPEND] = overspend,
    [DEED_RETYPE] = retype,
    [DEED_RETYPE_JOB] = retype_job,
    [DEED_RETYPE_ENDORSE] = retype_endorse,
    [DEED_RETYPE_ASK] = retype_ask,
    [DEED_DEVICE] = device,
};

static bool act(const struct script *s)
{
    for (uint32_t i = 0; i < DEED_COUNT; i++)
        if (!s->n->deed_done[i] && deeds[i](s)) return true;
    return ask_for_run(s);
}

/* Whoever goes round its node does so where it has nothing else to do. */
void script_turn(struct station *n)
{
    const struct script s = {n, core_registry(n->core), n->consortium->papers, n->player};
    if (n->waiting != 0 || (now_of(n->consortium) >= n->pause_ns && act(&s))) return;
    bypass_turn(n);
}
