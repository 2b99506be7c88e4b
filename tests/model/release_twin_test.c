/* What a custodian decides for an enclave (shares, lease, commit), and an owner for its half of a key, against a naive one: DESIGN
 * §8's conditions as facts that are true or not. Random things happen to a run: owners revoke, by records before and after what
 * they would take back, ask for a GPU, a veto or no export, equivocate, have gaps; stewards remove members and change the worker
 * set; approvals, grants and the run end; other runs, terms, enclaves and outputs are promised. Then somebody asks, with what
 * may be wrong in it. Granted is what nothing stands against; what is refused is refused for something that stands against it.
 * PERIGEE_SEED=7: other things happen. */
#include "tests/scene_change.h"
#include "tests/seed.h"
#include "tests/storage_place.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 180, STEPS = 40, OWNERS = 2, SELF = 2, REASONS_MAX = 40, HOUR_MS = 3600000 };

struct owner {
    uint64_t approval_ends_ms, grant_ends_ms; /* grant: 0 never */
    bool sealed_veto;                         /* the run's content was sealed under one */
    bool revoked, gap, frozen, gpu, veto, no_export;
};
struct facts {
    struct owner owner[OWNERS];
    uint64_t run_ends_ms, later_term, version[OWNERS], workers;
    bool requester_gone, elected_gone, worker_dropped, slot_lost;
    uint32_t enclave, committed; /* promised, plus one */
};
struct ask {
    enum { SHARES, HALF, LEASE, COMMIT, KINDS } kind;
    bool isolated, bad_votes, bad_term, other_bringer, no_evidence, other_worker, no_platform, few_envelopes;
    bool gpu_shown;
    uint32_t enclave, output, owner;
};
struct reasons {
    uint32_t count;
    enum refusal why[REASONS_MAX];
};

static struct scene *s;
static struct facts f;
static uint64_t seed;
static uint32_t seen[REFUSAL_COUNT], granted[KINDS];

static uint32_t pick(uint32_t below)
{
    return storage_random(&seed, below);
}

static bool rarely(void)
{
    return pick(24) == 0;
}

/* --- The naive one ---------------------------------------------------------------------------------------------------------- */

static void against(struct reasons *r, bool holds, enum refusal why)
{
    if (holds) r->why[r->count++] = why;
}

static void against_owner(struct reasons *r, const struct owner *o)
{
    against(r, o->revoked, REFUSAL_REVOKED);
    against(r, o->gap, REFUSAL_GAP);
    against(r, o->frozen, REFUSAL_FROZEN);
    against(r, o->approval_ends_ms <= s->now_ms, REFUSAL_APPROVAL_EXPIRED);
    against(r, o->grant_ends_ms != 0 && o->grant_ends_ms <= s->now_ms, REFUSAL_GRANT_EXPIRED);
    against(r, o->no_export, REFUSAL_EXPORT);
    against(r, o->veto && !o->sealed_veto, REFUSAL_NO_HALF);
}

/* Whatever is asked. */
static void against_run(struct reasons *r, const struct ask *a)
{
    against(r, a->isolated, REFUSAL_ISOLATED);
    against(r, f.run_ends_ms <= s->now_ms, REFUSAL_RUN_EXPIRED);
    against(r, f.requester_gone, REFUSAL_NOT_MEMBER);
    against(r, f.later_term > 1, REFUSAL_TERM);
    against(r, f.slot_lost, REFUSAL_SLOT_SPENT);
    against(r, f.elected_gone, REFUSAL_NOT_COMPUTE);
    against(r, f.worker_dropped, REFUSAL_MEASUREMENT);
    for (uint32_t i = 0; i < OWNERS; i++) against_owner(r, &f.owner[i]);
}

static void against_evidence(struct reasons *r, const struct ask *a)
{
    const bool gpu = f.owner[0].gpu || f.owner[1].gpu;
    against(r, a->no_evidence, REFUSAL_EVIDENCE);
    against(r, a->other_worker, REFUSAL_MEASUREMENT);
    against(r, a->no_platform, REFUSAL_TROUBLE);
    against(r, gpu && !a->gpu_shown, REFUSAL_GPU);
}

static struct reasons judge(const struct ask *a)
{
    struct reasons r = {0};
    const bool other = f.enclave != 0 && f.enclave != a->enclave + 1;
    against_run(&r, a);
    against(&r, a->other_bringer, REFUSAL_CERTIFICATE);
    if (a->kind == SHARES || a->kind == HALF) {
        against(&r, a->bad_votes || a->bad_term, REFUSAL_CERTIFICATE);
        against_evidence(&r, a);
        against(&r, a->few_envelopes, REFUSAL_ENVELOPE);
        against(&r, other, REFUSAL_OTHER_KEY);
        against(&r, a->kind == HALF && !f.owner[a->owner].sealed_veto, REFUSAL_ENVELOPE);
        return r;
    }
    against(&r, other || f.enclave == 0, REFUSAL_NOT_RELEASED);
    if (a->kind == COMMIT)
        against(&r, f.committed != 0 && f.committed != a->output + 1, REFUSAL_COMMIT_CONFLICT);
    return r;
}

/* --- What happens --------------------------------------------------------------------------------------------------------- */

/* Before the approval in its owner's chain it takes nothing back; behind it, everything that it names. */
static void revoke(uint32_t owner)
{
    struct body_REVOCATION b = {.approval_signature = SPAN_NONE};
    const bool before = pick(2) == 0;
    switch (pick(4)) {
    case 0:
        b.target = REVOKE_APPROVAL;
        memcpy(b.subject.bytes, s->approval_record[owner]->id.bytes, 32);
        break;
    case 1:
        b.target = REVOKE_COMPOSE;
        memcpy(b.subject.bytes, s->workflow->hash.bytes, 32);
        break;
    case 2:
        b.target = REVOKE_DATASET;
        memcpy(b.subject.bytes, s->ddo[owner]->dt.bytes, 32);
        break;
    default: b.target = REVOKE_ALL; break;
    }
    const struct node_id author = world->node[owner].id;
    const uint64_t seq = before ? 20 + pick(70) : s->seq[owner]++;
    (void)registry_apply(s->registry, scene_record_at(s, author, seq, KIND_REVOCATION, &b, 0));
    f.owner[owner].revoked |= !before;
}

/* A later binding of other content, under another policy: the run's own is as it was, but conditions only grow. */
static void bind_again(uint32_t owner)
{
    struct owner *o = &f.owner[owner];
    if (o->gap || o->frozen) return; /* its turn would not come */
    o->gpu = pick(2) == 0;
    o->veto = rarely();
    o->no_export = rarely();
    s->policy[owner].need_gpu = o->gpu;
    s->policy[owner].owner_veto = o->veto;
    s->policy[owner].export_to = o->no_export ? EXPORT_NONE : EXPORT_TO_ENCLAVE;
    struct body_ASSET body = scene_asset(s, owner, ++f.version[owner], true);
    ACCEPTED(scene_apply(s, owner, KIND_ASSET, &body, 0));
}

static void change_workers(void)
{
    static const struct hash32 other = {{0x77}};
    f.worker_dropped = pick(2) == 0;
    const struct body_WORKERS b = {SPAN_LITERAL("default"), ++f.workers,
                                   f.worker_dropped ? ID_SPAN(other) : ID_SPAN(world->measurement)};
    for (uint32_t i = 0; i < 3; i++) ACCEPTED(scene_apply(s, i, KIND_WORKERS, &b, 0));
}

static void promise_something(void)
{
    static const uint8_t other[32] = {9};
    if (pick(2) == 0 && !f.slot_lost) {
        scene_promise(s, PROMISE_VOTE, s->run_id.bytes, 2 + pick(1), other);
        f.later_term = 2;
    } else if (f.enclave == 0 && !f.slot_lost) {
        scene_promise(s, PROMISE_SLOT, s->run.compose.bytes, 1, other);
        f.slot_lost = true;
    }
}

static void gap(uint32_t owner)
{
    f.owner[owner].gap = pick(3) == 0;
    registry_gap(s->registry, world->node[owner].id, f.owner[owner].gap);
}

/* Steward 3 signs with 0 to 2 what takes three, and nobody who decides is among those that change. */
static void happen(void)
{
    const uint32_t owner = pick(OWNERS);
    switch (pick(12)) {
    case 0: revoke(owner); break;
    case 1:
    case 2: bind_again(owner); break;
    case 3: change_workers(); break;
    case 4:
        if (pick(8) == 0) promise_something();
        break;
    case 5: gap(owner); break;
    case 6:
        registry_gap(s->registry, world->node[WORLD_REQUESTER].id, pick(2) == 0); /* behind the run */
        break;
    case 7:
        if (rarely() && !f.requester_gone) change_remove(s, WORLD_REQUESTER, 9000);
        f.requester_gone = registry_member(s->registry, world->node[WORLD_REQUESTER].id) == NULL;
        break;
    case 8:
        if (rarely() && !f.elected_gone) change_remove(s, WORLD_COMPUTE, 9000);
        f.elected_gone = registry_member(s->registry, world->node[WORLD_COMPUTE].id) == NULL;
        break;
    case 9:
        if (!rarely()) break;
        registry_freeze(s->registry, world->node[owner].id, 9000);
        f.owner[owner].frozen = true;
        break;
    default: s->now_ms += pick(HOUR_MS / 8); break;
    }
}

/* --- Asking ----------------------------------------------------------------------------------------------------------------- */

static struct ask some_ask(void)
{
    struct ask a = {.kind = pick(8) == 0   ? HALF
                            : pick(3) == 0 ? SHARES
                            : pick(2) == 0 ? LEASE
                                           : COMMIT,
                    .isolated = rarely(),
                    .bad_votes = rarely(),
                    .bad_term = rarely(),
                    .other_bringer = rarely(),
                    .no_evidence = rarely(),
                    .other_worker = rarely(),
                    .no_platform = rarely(),
                    .few_envelopes = rarely(),
                    .gpu_shown = pick(4) != 0,
                    .enclave = rarely(),
                    .output = rarely(),
                    .owner = pick(OWNERS)};
    return a;
}

static struct verdict ask_shares(const struct ask *a, struct node_id enclave, struct node_id host)
{
    struct release_ask r = s->release;
    struct certificate c = s->certificate;
    if (a->bad_votes) c.vote_count = 2;
    if (a->bad_term) c.term = 2;
    r.certificate = &c;
    r.party = a->kind == HALF ? VETO_PARTY + a->owner : SELF;
    r.host = host;
    r.enclave = enclave;
    r.envelope_count -= a->few_envelopes;
    r.half_count = f.owner[0].sealed_veto + f.owner[1].sealed_veto;
    r.evidence_err = a->no_evidence ? ERR_EVIDENCE : OK;
    r.evidence.gpu_confidential = a->gpu_shown;
    r.evidence.measurement.bytes[0] ^= a->other_worker;
    r.platform_known = !a->no_platform;
    r.now_ms = s->now_ms;
    r.standing = a->isolated ? REFUSAL_ISOLATED : REFUSAL_NONE;
    const struct node_id self = a->kind == HALF ? world->node[a->owner].id : s->self;
    return release_decide(s->registry, &s->promises, self, &r);
}

static struct verdict put(const struct ask *a)
{
    struct node_id enclave = s->release.enclave, host = s->release.host;
    enclave.bytes[31] = (uint8_t)a->enclave;
    if (a->other_bringer) host = world->node[WORLD_ALGORITHM].id;
    if (a->kind == SHARES || a->kind == HALF) return ask_shares(a, enclave, host);
    struct commit_ask c = s->commit;
    c.holder = (struct lease_ask){.run = s->run_id,
                                  .term = 1,
                                  .host = host,
                                  .enclave = enclave,
                                  .now_ms = s->now_ms,
                                  .standing = a->isolated ? REFUSAL_ISOLATED : REFUSAL_NONE};
    c.commitment.bytes[31] = (uint8_t)a->output;
    return a->kind == LEASE ? lease_decide(s->registry, &s->promises, s->self, &c.holder)
                            : commit_decide(s->registry, &s->promises, s->self, &c);
}

/* As core_release.c does with what was granted. */
static void keep(const struct ask *a)
{
    struct node_id enclave = s->release.enclave;
    struct hash32 commitment = s->commit.commitment;
    enclave.bytes[31] = (uint8_t)a->enclave;
    commitment.bytes[31] = (uint8_t)a->output;
    if (a->kind == SHARES) {
        scene_promise(s, PROMISE_SLOT, s->run.compose.bytes, 1, s->run_id.bytes);
        scene_promise(s, PROMISE_RELEASE, s->run_id.bytes, 1, enclave.bytes);
        scene_promise(s, PROMISE_HOST, s->run_id.bytes, 1, s->release.host.bytes);
        scene_promise(s, PROMISE_WORKER, s->run_id.bytes, 1, world->measurement.bytes);
        f.enclave = a->enclave + 1;
    } else if (a->kind == COMMIT) {
        scene_promise(s, PROMISE_COMMIT, s->run_id.bytes, 0, commitment.bytes);
        f.committed = a->output + 1;
    }
}

static void ask_one(void)
{
    const struct ask a = some_ask();
    const struct reasons r = judge(&a);
    const struct verdict v = put(&a);
    bool named = r.count == 0 && v.refusal == REFUSAL_NONE;
    for (uint32_t i = 0; i < r.count; i++) named |= r.why[i] == v.refusal;
    if (!named)
        fail_msg("%s is no reason of %u, first %s", refusal_name(v.refusal), r.count,
                 r.count > 0 ? refusal_name(r.why[0]) : "none");
    seen[v.refusal]++;
    if (v.refusal != REFUSAL_NONE) return;
    granted[a.kind]++;
    keep(&a);
}

/* --- A run ------------------------------------------------------------------------------------------------------------------ */

static void begin(void)
{
    s = scene_new(world);
    f = (struct facts){.workers = 1, .version = {2, 2}};
    for (uint32_t i = 0; i < OWNERS; i++) {
        struct owner *o = &f.owner[i];
        o->approval_ends_ms = s->approval_expires_ms[i] = s->now_ms + HOUR_MS / 4 + pick(3 * HOUR_MS);
        o->sealed_veto = s->policy[i].owner_veto = pick(3) == 0;
        o->grant_ends_ms = s->grant_expires_ms[i] =
            pick(2) == 0 ? 0 : s->now_ms + HOUR_MS / 4 + pick(3 * HOUR_MS);
    }
    f.run_ends_ms = s->run_expires_ms = s->now_ms + HOUR_MS / 4 + pick(3 * HOUR_MS);
    scene_build(s);
}

static void test_against_facts(void **state)
{
    (void)state;
    seed = seed_or(0) + 1;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        begin();
        for (uint32_t i = 0; i < STEPS; i++) {
            happen();
            ask_one();
            ask_one();
        }
        scene_free(s);
    }
    if (!seed_is_own()) return;
    static const enum refusal all[] = {REFUSAL_FROZEN,
                                       REFUSAL_NONE,
                                       REFUSAL_REVOKED,
                                       REFUSAL_GAP,
                                       REFUSAL_APPROVAL_EXPIRED,
                                       REFUSAL_RUN_EXPIRED,
                                       REFUSAL_GRANT_EXPIRED,
                                       REFUSAL_ISOLATED,
                                       REFUSAL_NOT_MEMBER,
                                       REFUSAL_TERM,
                                       REFUSAL_SLOT_SPENT,
                                       REFUSAL_NOT_COMPUTE,
                                       REFUSAL_MEASUREMENT,
                                       REFUSAL_EXPORT,
                                       REFUSAL_NO_HALF,
                                       REFUSAL_CERTIFICATE,
                                       REFUSAL_EVIDENCE,
                                       REFUSAL_TROUBLE,
                                       REFUSAL_GPU,
                                       REFUSAL_ENVELOPE,
                                       REFUSAL_OTHER_KEY,
                                       REFUSAL_NOT_RELEASED,
                                       REFUSAL_COMMIT_CONFLICT};
    for (size_t i = 0; i < COUNT(all); i++)
        if (seen[all[i]] == 0) fail_msg("never %s", refusal_name(all[i]));
    assert_true(granted[SHARES] > ROUNDS && granted[LEASE] > ROUNDS && granted[COMMIT] > ROUNDS);
    assert_in_range(granted[HALF], 10, UINT32_MAX);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_facts)};
    return cmocka_run_group_tests(tests, change_set_up, change_tear_down);
}
