/* Successors: who holds a token, what passes on and what does not; and that none of it depends on the order in which records
 * arrive, against a twin that knows all of them at once. */
#include "tests/scene_change.h"
#include "tests/storage_place.h"

#include "proto/registry_state.h"

#include <stdio.h>

static const uint64_t one = UINT64_C(1000000000);
static const struct node_id no_one = {{0}}, heir = {{0x11, 0x5e}}, rival = {{0x12, 0x5e}},
                            grandheir = {{0x13, 0x5e}};
enum { OLD = 0 };

static struct node_id old_id(void)
{
    return world->node[OLD].id;
}

/* The last of owner 0's chain that the scene made. */
static uint64_t last_of(const struct scene *s)
{
    return s->approval_record[OLD]->header.seq;
}

static struct body_MEMBER member_of(struct node_id node, struct node_id replaces, uint64_t last_seq)
{
    return (struct body_MEMBER){.node = node,
                                .organisation = SPAN_LITERAL("north"),
                                .jurisdiction = SPAN_LITERAL("EU"),
                                .roles = ROLE_OWNER | ROLE_ALGORITHM,
                                .kem = world->node[OLD].kem,
                                .approval = node,
                                .platforms = SPAN_NONE,
                                .replaces = replaces,
                                .last_seq = last_seq,
                                .consent = SPAN_NONE};
}

/* The stewards that are left decide. */
static void decide(struct scene *s, const struct body_MEMBER *b)
{
    for (uint32_t i = 1; i < 4; i++) ACCEPTED(scene_apply(s, i, KIND_MEMBER, b, 0));
}

static struct verdict say(struct scene *s, struct node_id author, uint64_t seq, enum kind kind,
                          const void *body)
{
    return registry_apply(s->registry, scene_record_at(s, author, seq, kind, body, 0));
}

static struct scene *succeeded(void)
{
    struct scene *s = change_none();
    struct body_MEMBER b = member_of(heir, old_id(), last_of(s));
    decide(s, &b);
    ACCEPTED(say(s, heir, 1, KIND_MEMBER, &b));
    return s;
}

static const struct asset *token(const struct scene *s)
{
    return registry_asset(s->registry, world->dataset[OLD].dt);
}

static bool holds(const struct scene *s, struct node_id node)
{
    return registry_holds(s->registry, token(s), node);
}

static struct body_APPROVAL slots(const struct scene *s, uint64_t first, uint64_t last)
{
    struct body_APPROVAL b = s->approval[OLD];
    b.slot_first = first;
    b.slot_last = last;
    b.cost = one;
    return b;
}

static struct verdict previewed(struct scene *s, struct node_id author, enum kind kind, const union body *b)
{
    return registry_preview(s->registry, author, kind, b);
}

/* --- Who holds it ------------------------------------------------------------------------------------------------------- */

static void test_a_claim_makes_an_heir(void **state)
{
    (void)state;
    struct scene *s = change_none();
    struct body_MEMBER b = member_of(heir, old_id(), last_of(s));
    assert_null(registry_claim_due(s->registry, heir));
    REFUSED(say(s, heir, 1, KIND_MEMBER, &b), REFUSAL_NOT_MEMBER); /* nobody decided that */
    decide(s, &b);
    assert_true(holds(s, old_id())); /* decided, not taken up */
    assert_non_null(registry_member(s->registry, old_id()));
    assert_non_null(registry_claim_due(s->registry, heir));
    ACCEPTED(previewed(s, heir, KIND_MEMBER, (union body *)&b));
    ACCEPTED(say(s, heir, 1, KIND_MEMBER, &b));
    assert_true(holds(s, heir));
    assert_null(registry_claim_due(s->registry, heir));
    assert_null(registry_member(s->registry, old_id()));
    assert_true(ID_EQUAL(token(s)->owner, world->node[OLD].id)); /* in labels and documents */
    REFUSED(say(s, heir, 2, KIND_MEMBER, &b), REFUSAL_EXISTS);
    REFUSED(previewed(s, heir, KIND_MEMBER, (union body *)&b), REFUSAL_EXISTS);
    struct body_MEMBER founder = member_of(old_id(), world->node[1].id, 200);
    decide(s, &founder);
    REFUSED(scene_apply(s, OLD, KIND_MEMBER, &founder, 0), REFUSAL_MALFORMED); /* it is one already */
    scene_free(s);
}

/* Of two the one with the smaller body hash, whoever claimed first; and heirs of heirs. */
static void test_one_heir(void **state)
{
    (void)state;
    struct scene *s = succeeded();
    struct body_MEMBER other = member_of(rival, old_id(), last_of(s));
    struct body_MEMBER next = member_of(grandheir, heir, 1);
    decide(s, &other);
    ACCEPTED(say(s, rival, 1, KIND_MEMBER, &other));
    const struct record *a = registry_claim(s->registry, heir), *b = registry_claim(s->registry, rival);
    bool first = memcmp(a->header.body_hash.bytes, b->header.body_hash.bytes, 32) < 0;
    assert_true(holds(s, first ? heir : rival));
    decide(s, &next);
    ACCEPTED(say(s, grandheir, 1, KIND_MEMBER, &next));
    assert_true(holds(s, first ? grandheir : rival));
    scene_free(s);
}

/* An heir whose claim lies behind what counts of it is none; nor is there one at the end of a circle. */
static void test_broken_lineages(void **state)
{
    (void)state;
    struct scene *s = succeeded();
    struct body_MEMBER next = member_of(grandheir, heir, 0);
    decide(s, &next);
    ACCEPTED(say(s, grandheir, 1, KIND_MEMBER, &next));
    assert_false(holds(s, heir) || holds(s, grandheir) || holds(s, old_id()));
    scene_free(s);
    s = succeeded();
    struct body_MEMBER there = member_of(rival, grandheir, 1), back = member_of(grandheir, rival, 1);
    decide(s, &there);
    decide(s, &back);
    ACCEPTED(say(s, rival, 1, KIND_MEMBER, &there));
    ACCEPTED(say(s, grandheir, 1, KIND_MEMBER, &back));
    struct node_id nobody = registry_holder(s->registry, rival);
    assert_true(ID_IS_ZERO(nobody));
    scene_free(s);
}

/* --- What passes on ------------------------------------------------------------------------------------------------------- */

/* Registration, content, grant and the sums; not the approvals. */
static void test_what_passes_on(void **state)
{
    (void)state;
    struct scene *s = succeeded();
    struct body_APPROVAL taken = slots(s, 2, 3), much = slots(s, 3, 9), fits = slots(s, 3, 8);
    assert_true(registry_allotted(s->registry, token(s)) == 2 * one);
    REFUSED(change_check(s), REFUSAL_NO_APPROVAL);
    assert_memory_equal(change_check(s).subject.bytes, heir.bytes, 32); /* who can give one */
    REFUSED(say(s, heir, 2, KIND_APPROVAL, &taken), REFUSAL_OVERLAP);
    REFUSED(say(s, heir, 3, KIND_APPROVAL, &much), REFUSAL_BUDGET);
    ACCEPTED(previewed(s, heir, KIND_APPROVAL, (union body *)&fits));
    ACCEPTED(say(s, heir, 4, KIND_APPROVAL, &fits));
    assert_true(registry_allotted(s->registry, token(s)) == 8 * one);
    REFUSED(change_check(s), REFUSAL_SLOT_RANGE);
    s->run.slot = 3;
    struct body_APPROVAL second = s->approval[1];
    second.slot_first = second.slot_last = 3;
    ACCEPTED(scene_apply(s, 1, KIND_APPROVAL, &second, 0));
    ACCEPTED(change_check(s)); /* under the grant and with the content of before */
    struct body_ASSET version = scene_asset(s, OLD, 1, false);
    REFUSED(say(s, heir, 5, KIND_ASSET, &version), REFUSAL_EXISTS);
    version.version = 1000;
    ACCEPTED(say(s, heir, 6, KIND_ASSET, &version));
    assert_true(token(s)->version == 1000);
    scene_free(s);
}

static void test_nobody_else_speaks(void **state)
{
    (void)state;
    struct scene *s = succeeded();
    struct body_APPROVAL b = slots(s, 5, 5);
    struct body_ASSET version = scene_asset(s, OLD, 1000, false);
    union body grant = {.GRANT = s->grant[OLD]};
    REFUSED(say(s, rival, 1, KIND_APPROVAL, &b), REFUSAL_NOT_OWNER);
    REFUSED(say(s, rival, 2, KIND_ASSET, &version), REFUSAL_NOT_OWNER);
    REFUSED(say(s, rival, 3, KIND_GRANT, &grant.GRANT), REFUSAL_NOT_OWNER);
    /* What the old key says behind its last record is held, and counts for nothing. */
    ACCEPTED(scene_apply(s, OLD, KIND_APPROVAL, &b, 0));
    ACCEPTED(scene_apply(s, OLD, KIND_ASSET, &version, 0));
    assert_true(token(s)->version != 1000);
    assert_true(registry_allotted(s->registry, token(s)) == 2 * one);
    ACCEPTED(say(s, heir, 2, KIND_APPROVAL, &b)); /* so the slots are free */
    scene_free(s);
}

/* The holder takes back what it inherited, before its claim has had its turn, too. */
static void test_the_heir_revokes(void **state)
{
    (void)state;
    for (uint32_t early = 0; early < 2; early++) {
        struct scene *s = change_none();
        struct body_MEMBER b = member_of(heir, old_id(), last_of(s));
        struct body_REVOCATION all = {.target = REVOKE_ALL, .approval_signature = SPAN_NONE};
        decide(s, &b);
        if (early != 0) ACCEPTED(say(s, heir, 2, KIND_REVOCATION, &all));
        ACCEPTED(say(s, heir, 1, KIND_MEMBER, &b));
        if (early == 0) ACCEPTED(say(s, heir, 2, KIND_REVOCATION, &all));
        REFUSED(change_check(s), REFUSAL_NO_GRANT);
        assert_memory_equal(change_check(s).subject.bytes, heir.bytes, 32);
        ACCEPTED(say(s, heir, 3, KIND_GRANT, &s->grant[OLD]));
        REFUSED(change_check(s), REFUSAL_NO_APPROVAL);
        scene_free(s);
    }
}

/* A slot that the old key allots in a place that does not count any more, and the heir then: the first takes nothing back of the second. What
 * it allotted before is over. */
static void test_whose_slot_is_revoked(void **state)
{
    (void)state;
    struct scene *s = succeeded();
    struct body_APPROVAL later = slots(s, 3, 3);
    ACCEPTED(scene_apply(s, 0, KIND_APPROVAL, &later, 0));
    ACCEPTED(say(s, heir, 2, KIND_APPROVAL, &later));
    assert_false(registry_slot_revoked(s->registry, token(s), s->run.compose, 3));
    assert_true(registry_slot_revoked(s->registry, token(s), s->run.compose, s->run.slot));
    scene_free(s);
}

/* What the heir took back stays taken back, though the stewards' word for it should fall. */
static void test_taken_back_for_good(void **state)
{
    (void)state;
    struct scene *s = succeeded();
    struct body_REVOCATION all = {.target = REVOKE_ALL, .approval_signature = SPAN_NONE};
    ACCEPTED(say(s, heir, 2, KIND_REVOCATION, &all));
    registry_freeze(s->registry, heir, 1); /* its claim counts no more: the old key holds again */
    assert_true(holds(s, old_id()));
    REFUSED(change_check(s), REFUSAL_REVOKED);
    scene_free(s);
}

/* Two records in one place that the heir takes over: nobody can know by which of them it was judged. What it brought in itself
 * is its own. */
static void test_a_torn_lineage(void **state)
{
    (void)state;
    struct scene *s = succeeded();
    struct body_APPROVAL later = slots(s, 3, 3);
    union body b = {.APPROVAL = later};
    registry_freeze(s->registry, old_id(), last_of(s) + 1); /* behind what counts of it */
    assert_true(holds(s, heir));
    ACCEPTED(previewed(s, heir, KIND_APPROVAL, &b));
    registry_freeze(s->registry, old_id(), last_of(s));
    assert_null(token(s));
    REFUSED(previewed(s, heir, KIND_APPROVAL, &b), REFUSAL_FROZEN);
    REFUSED(change_check(s), REFUSAL_FROZEN);
    assert_memory_equal(change_check(s).subject.bytes, old_id().bytes, 32);
    struct node_id own = registry_holder(s->registry, heir);
    assert_true(ID_EQUAL(own, heir));
    scene_free(s);
}

/* A successor that is not the heir has nothing to say of the tokens. */
static void test_nobody_signs_for_another_heir(void **state)
{
    (void)state;
    struct scene *s = succeeded();
    struct body_MEMBER other = member_of(rival, old_id(), last_of(s));
    decide(s, &other);
    ACCEPTED(say(s, rival, 1, KIND_MEMBER, &other));
    const struct node_id loser = holds(s, heir) ? rival : heir;
    union body b = {.APPROVAL = slots(s, 3, 3)};
    REFUSED(previewed(s, loser, KIND_APPROVAL, &b), REFUSAL_NOT_OWNER);
    ACCEPTED(previewed(s, holds(s, heir) ? heir : rival, KIND_APPROVAL, &b));
    scene_free(s);
}

/* A steward's node signs no second heir of one key. */
static void test_stewards_name_one_heir(void **state)
{
    (void)state;
    struct scene *s = succeeded();
    union body b = {.MEMBER = member_of(rival, old_id(), last_of(s))};
    REFUSED(previewed(s, world->node[1].id, KIND_MEMBER, &b), REFUSAL_EXISTS);
    b.MEMBER = member_of(heir, old_id(), last_of(s));
    ACCEPTED(previewed(s, world->node[2].id, KIND_MEMBER, &b));
    scene_free(s);
}

/* --- Whatever the order: a twin that knows all at once -------------------------------------------------------------------- */

enum { CHAINS = 3, SAID_MAX = 8, ROUNDS = 400 };
struct said {
    const struct record *record;
    const struct record *other;    /* what its author said in this place to somebody else, where it forked */
    uint64_t version, first, last; /* an asset's version; an approval's slots */
};
struct chain_of {
    struct node_id node;
    struct said said[SAID_MAX];
    uint32_t count, at;
    uint64_t last_seq; /* that it claims of the old key; 0: it is the old key */
};

static uint64_t random_state;
static uint32_t pick(uint32_t below)
{
    return storage_random(&random_state, below);
}

static uint64_t next_seq(const struct scene *s, const struct chain_of *c)
{
    return (c->last_seq == 0 ? last_of(s) : 0) + c->count + 1;
}

static const struct record *any(struct scene *s, const struct chain_of *c, bool asset, struct said *said)
{
    if (asset) {
        struct body_ASSET b = scene_asset(s, OLD, 900 + pick(12), false);
        said->version = b.version;
        return scene_record_at(s, c->node, next_seq(s, c), KIND_ASSET, &b, 0);
    }
    said->first = 3 + pick(6);
    said->last = said->first + pick(3);
    struct body_APPROVAL b = slots(s, said->first, said->last);
    return scene_record_at(s, c->node, next_seq(s, c), KIND_APPROVAL, &b, 0);
}

static void add_any(struct scene *s, struct chain_of *c)
{
    const bool asset = pick(2) == 0;
    struct said said = {0}, other = {0};
    said.record = any(s, c, asset, &said);
    said.other = any(s, c, pick(2) == 0, &other);
    c->said[c->count++] = said;
}

struct held {
    uint64_t version, allotted;
    uint32_t ranges;
    uint64_t range[2 * SAID_MAX + 1][2];
};

/* One chain behind another, said one by one: each is taken if what came before lets it. */
static void twin_chain(struct held *h, const struct chain_of *c, uint64_t end)
{
    for (uint32_t i = 0; i < c->count && c->said[i].record->header.seq <= end; i++) {
        const struct said *x = &c->said[i];
        if (x->version > h->version) h->version = x->version;
        uint64_t cost = x->last != 0 ? (x->last - x->first + 1) * one : 0;
        bool taken = x->last != 0 && h->allotted + cost <= 8 * one;
        for (uint32_t j = 0; j < h->ranges; j++)
            taken &= x->last < h->range[j][0] || x->first > h->range[j][1];
        if (!taken) continue;
        h->range[h->ranges][0] = x->first;
        h->range[h->ranges++][1] = x->last;
        h->allotted += cost;
    }
}

/* Who signs two things in one place, from where on nothing of it counts. */
struct fork {
    struct node_id node;
    uint64_t seq;
    bool heard;
};
enum { FORKS = 2, STEWARDS = 3 };
struct story {
    struct chain_of chain[CHAINS];
    const struct record
        *vote[STEWARDS][CHAINS]; /* each steward's in the order of its chain; the first is unused */
    uint32_t voted[STEWARDS];
    struct fork fork[FORKS];
};

static uint64_t forked_at(const struct story *t, struct node_id node)
{
    uint64_t at = UINT64_MAX;
    for (uint32_t i = 0; i < FORKS; i++)
        if (ID_EQUAL(t->fork[i].node, node) && t->fork[i].seq < at) at = t->fork[i].seq;
    return at;
}

static bool counts(const struct story *t, const struct record *record)
{
    return record->header.seq < forked_at(t, record->header.author);
}

/* Its body is decided by voices that count, and its claim counts. */
static bool twin_is_heir(const struct story *t, uint32_t chain)
{
    for (uint32_t i = 0; i < STEWARDS; i++)
        if (!counts(t, t->vote[i][chain])) return false;
    return counts(t, t->chain[chain].said[0].record);
}

static struct held twin(const struct scene *s, const struct story *t, struct node_id *holder)
{
    struct held h = {.version = token(s)->version, .allotted = 2 * one, .ranges = 1, .range = {{1, 2}}};
    const struct chain_of *best = NULL;
    for (uint32_t i = 1; i < CHAINS; i++) {
        const uint8_t *hash = t->chain[i].said[0].record->header.body_hash.bytes;
        if (!twin_is_heir(t, i)) continue;
        if (best == NULL || memcmp(hash, best->said[0].record->header.body_hash.bytes, 32) < 0)
            best = &t->chain[i];
    }
    *holder = best != NULL ? best->node : old_id();
    const uint64_t end = best != NULL ? best->last_seq : UINT64_MAX, forked = forked_at(t, old_id());
    if (best != NULL && forked <= end) *holder = no_one;
    twin_chain(&h, &t->chain[0], end < forked - 1 ? end : forked - 1);
    if (best != NULL) twin_chain(&h, best, forked_at(t, best->node) - 1);
    return h;
}

/* May this chain's next record have its turn? */
static bool ready(const struct scene *s, const struct chain_of chain[CHAINS], uint32_t i)
{
    const struct chain_of *c = &chain[i];
    if (c->at == c->count) return false;
    if (c->at > 0 || c->last_seq == 0) return true;
    return registry_claim_decided(s->registry, c->said[0].record) && last_of(s) + chain[0].at >= c->last_seq;
}

/* A steward, a successor, or the old key: in what a successor takes over, or behind it. */
static struct fork some_fork(struct scene *s, const struct story *t)
{
    const uint64_t end =
        t->chain[1].last_seq > t->chain[2].last_seq ? t->chain[1].last_seq : t->chain[2].last_seq;
    const uint32_t steward = 1 + pick(STEWARDS), chain = 1 + pick(CHAINS - 1);
    switch (pick(6)) {
    case 0: return (struct fork){world->node[steward].id, s->seq[steward] - pick(3), false};
    case 1:
    case 2: return (struct fork){t->chain[chain].node, 1 + pick(5), false};
    case 3: return (struct fork){old_id(), last_of(s) + 1 + pick((uint32_t)(end - last_of(s)) + 2), false};
    default: return (struct fork){{{0xff}}, 1, true};
    }
}

static void tell(struct scene *s, struct story *t)
{
    struct body_MEMBER body[CHAINS];
    *t = (struct story){.chain = {{.node = old_id()}, {.node = heir}, {.node = rival}}};
    for (uint32_t i = 0; i < 4; i++) add_any(s, &t->chain[0]);
    for (uint32_t i = 1; i < CHAINS; i++) {
        t->chain[i].last_seq = last_of(s) + pick(5);
        body[i] = member_of(t->chain[i].node, old_id(), t->chain[i].last_seq);
        t->chain[i].said[t->chain[i].count++].record =
            scene_record_at(s, t->chain[i].node, 1, KIND_MEMBER, &body[i], 0);
        for (uint32_t j = 0; j < 4; j++) add_any(s, &t->chain[i]);
        for (uint32_t j = 0; j < STEWARDS; j++)
            t->vote[j][i] = scene_record(s, j + 1, KIND_MEMBER, &body[i], 0);
    }
    for (uint32_t i = 0; i < FORKS; i++) t->fork[i] = some_fork(s, t);
}

/* One thing more is heard of, if what was picked can have its turn. */
static void hear(struct scene *s, struct story *t)
{
    const uint32_t i = pick(CHAINS), steward = pick(STEWARDS);
    struct fork *f = &t->fork[pick(FORKS)];
    if (pick(3) == 0 && t->voted[steward] < CHAINS - 1)
        (void)registry_apply(s->registry, t->vote[steward][++t->voted[steward]]);
    if (pick(8) == 0 && !f->heard) {
        registry_freeze(s->registry, f->node, f->seq);
        f->heard = true;
    }
    if (!ready(s, t->chain, i)) return;
    const struct said *said = &t->chain[i].said[t->chain[i].at++];
    const bool other = said->other != NULL && !counts(t, said->record) && pick(2) == 0;
    (void)registry_apply(s->registry, other ? said->other : said->record);
}

/* All but what will never have its turn. */
static bool all_heard(const struct scene *s, const struct story *t)
{
    for (uint32_t i = 0; i < STEWARDS; i++)
        if (t->voted[i] < CHAINS - 1) return false;
    for (uint32_t i = 0; i < FORKS; i++)
        if (!t->fork[i].heard) return false;
    for (uint32_t i = 0; i < CHAINS; i++)
        if (ready(s, t->chain, i)) return false;
    return true;
}

static void test_any_order(void **state)
{
    (void)state;
    uint32_t rivals = 0, olds = 0, nobodys = 0, forked = 0;
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        struct scene *s = change_none();
        struct story t;
        struct node_id holder;
        random_state = round * 7919;
        tell(s, &t);
        const struct held want = twin(s, &t, &holder);
        while (!all_heard(s, &t)) hear(s, &t);
        rivals += ID_EQUAL(holder, rival);
        olds += ID_EQUAL(holder, world->node[OLD].id);
        if (ID_EQUAL(holder, no_one)) {
            nobodys++;
            assert_null(token(s));
            scene_free(s);
            continue;
        }
        assert_true(holds(s, holder));
        assert_int_equal(token(s)->version, want.version);
        /* What a key allotted where it forked is in its fold or not; nothing more of it counts. */
        if (forked_at(&t, holder) == UINT64_MAX)
            assert_int_equal(registry_allotted(s->registry, token(s)), want.allotted);
        else
            forked++;
        scene_free(s);
    }
    assert_in_range(rivals, 1, ROUNDS - 1); /* either won at times, and at times nobody */
    assert_in_range(olds, 1, ROUNDS - 1);
    assert_in_range(nobodys, 1, ROUNDS - 1);
    assert_in_range(forked, 1, ROUNDS - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_claim_makes_an_heir),  cmocka_unit_test(test_one_heir),
        cmocka_unit_test(test_broken_lineages),        cmocka_unit_test(test_what_passes_on),
        cmocka_unit_test(test_nobody_else_speaks),     cmocka_unit_test(test_the_heir_revokes),
        cmocka_unit_test(test_whose_slot_is_revoked),  cmocka_unit_test(test_taken_back_for_good),
        cmocka_unit_test(test_a_torn_lineage),         cmocka_unit_test(test_nobody_signs_for_another_heir),
        cmocka_unit_test(test_stewards_name_one_heir), cmocka_unit_test(test_any_order),
    };
    return cmocka_run_group_tests_name("proto_registry_succession", tests, change_set_up, change_tear_down);
}
