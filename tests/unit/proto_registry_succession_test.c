/* Successors: who holds a token, what passes on and what does not; and that none of it depends on the order in which records
 * arrive, against a twin that knows all of them at once. */
#include "tests/scene_change.h"
#include "tests/storage_place.h"

#include "proto/registry_state.h"

#include <stdio.h>

static const uint64_t one = UINT64_C(1000000000);
static const struct node_id heir = {{0x11, 0x5e}}, rival = {{0x12, 0x5e}}, grandheir = {{0x13, 0x5e}};
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
        ACCEPTED(say(s, heir, 3, KIND_GRANT, &s->grant[OLD]));
        REFUSED(change_check(s), REFUSAL_NO_APPROVAL);
        scene_free(s);
    }
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

static void add(struct scene *s, struct chain_of *c, enum kind kind, const void *body, struct said said)
{
    uint64_t seq = (c->last_seq == 0 ? last_of(s) : 0) + c->count + 1;
    said.record = scene_record_at(s, c->node, seq, kind, body, 0);
    c->said[c->count++] = said;
}

static void add_any(struct scene *s, struct chain_of *c)
{
    if (pick(2) == 0) {
        struct body_ASSET b = scene_asset(s, OLD, 900 + pick(12), false);
        add(s, c, KIND_ASSET, &b, (struct said){.version = b.version});
    } else {
        uint64_t first = 3 + pick(6);
        struct body_APPROVAL b = slots(s, first, first + pick(3));
        add(s, c, KIND_APPROVAL, &b, (struct said){.first = first, .last = b.slot_last});
    }
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

static struct held twin(const struct scene *s, const struct chain_of chain[CHAINS], struct node_id *holder)
{
    struct held h = {.version = 1, .allotted = 2 * one, .ranges = 1, .range = {{1, 2}}};
    const struct chain_of *best = NULL;
    h.version = s->binding[OLD] != NULL ? token(s)->version : 1;
    for (uint32_t i = 1; i < CHAINS; i++) {
        const uint8_t *hash = chain[i].said[0].record->header.body_hash.bytes;
        if (best == NULL || memcmp(hash, best->said[0].record->header.body_hash.bytes, 32) < 0)
            best = &chain[i];
    }
    *holder = best->node;
    twin_chain(&h, &chain[0], best->last_seq);
    twin_chain(&h, best, UINT64_MAX);
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

static void test_any_order(void **state)
{
    (void)state;
    uint32_t rivals = 0;
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        struct scene *s = change_none();
        struct chain_of chain[CHAINS] = {{.node = old_id()}, {.node = heir}, {.node = rival}};
        struct node_id holder;
        struct body_MEMBER body[CHAINS];
        uint32_t votes[CHAINS] = {0, 0, 0}, left;
        random_state = round * 7919;
        for (uint32_t i = 0; i < 4; i++) add_any(s, &chain[0]);
        for (uint32_t i = 1; i < CHAINS; i++) {
            chain[i].last_seq = last_of(s) + pick(5);
            body[i] = member_of(chain[i].node, old_id(), chain[i].last_seq);
            add(s, &chain[i], KIND_MEMBER, &body[i], (struct said){0});
            for (uint32_t j = 0; j < 4; j++) add_any(s, &chain[i]);
        }
        struct held want = twin(s, chain, &holder);
        do {
            uint32_t i = pick(CHAINS);
            if (i > 0 && votes[i] < 3 && pick(3) == 0)
                ACCEPTED(scene_apply(s, ++votes[i], KIND_MEMBER, &body[i], 0));
            if (ready(s, chain, i)) (void)registry_apply(s->registry, chain[i].said[chain[i].at++].record);
            left = 6 - votes[1] - votes[2];
            for (i = 0; i < CHAINS; i++) left += chain[i].count - chain[i].at;
        } while (left > 0);
        rivals += ID_EQUAL(holder, rival);
        assert_true(holds(s, holder));
        assert_int_equal(token(s)->version, want.version);
        assert_int_equal(registry_allotted(s->registry, token(s)), want.allotted);
        scene_free(s);
    }
    assert_in_range(rivals, 1, ROUNDS - 1); /* either won at times */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_claim_makes_an_heir),
        cmocka_unit_test(test_one_heir),
        cmocka_unit_test(test_broken_lineages),
        cmocka_unit_test(test_what_passes_on),
        cmocka_unit_test(test_nobody_else_speaks),
        cmocka_unit_test(test_the_heir_revokes),
        cmocka_unit_test(test_taken_back_for_good),
        cmocka_unit_test(test_stewards_name_one_heir),
        cmocka_unit_test(test_any_order),
    };
    return cmocka_run_group_tests_name("proto_registry_succession", tests, change_set_up, change_tear_down);
}
