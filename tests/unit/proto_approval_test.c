/* The approval key. An approval is kept on its author's signature alone and counts while the second signature, in its body, holds
 * under the approval key in force: whichever came first, it or the decision that put another key in force. */
#include "crypto/hash.h"
#include "crypto/identity.h"
#include "proto/approval.h"
#include "proto/chain.h"
#include "proto/event.h"
#include "tests/lone.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Not in the charter: its approval key is what the stewards decide. */
enum { OWNER = WORLD_REQUESTER, OWN_KEY = WORLD_REQUESTER, OTHER_KEY = 1 };

static struct world *world;
static struct dt dataset;
static const struct record *asset, *approval, *decision[3];

/* The first dataset's description, of a token of OWNER's. */
static void make_asset(void)
{
    static uint8_t bytes[8192];
    struct buffer b = BUFFER_OF(bytes);
    union body first;
    struct ddo *d;
    struct hash32 salt = {{7}};
    assert_non_null(world_first(world, KIND_ASSET, 0, &first));
    struct hash32 token = HASH_FRAMED("perigee/dt/v1", ID_SPAN(world->node[OWNER].id), ID_SPAN(salt));
    memcpy(dataset.bytes, token.bytes, sizeof dataset.bytes);
    assert_int_equal(ddo_parse(&d, &world->arena, first.ASSET.ddo, NULL), OK);
    d->dt = dataset;
    assert_int_equal(ddo_write(&b, d), OK);
    struct body_ASSET body = {.dt = dataset,
                              .version = 1,
                              .salt = salt,
                              .ddo = buffer_span(&b),
                              .workflow = SPAN_LITERAL(""),
                              .policy = SPAN_LITERAL("")};
    asset = world_record(world, OWNER, KIND_ASSET, &body, 0);
}

static void make_approval(uint32_t key)
{
    struct body_APPROVAL a = world_approval(world, 0, 7, 7, 0);
    a.dataset = dataset;
    struct hash32 message = approval_sign_hash(world->consortium, world->node[OWNER].id, &a, 0);
    const struct world_node *n = &world->node[key];
    assert_int_equal(
        identity_sign(&a.approval_signature, key == OWNER ? &n->secret : &n->approval_secret, message), OK);
    approval = world_record(world, OWNER, KIND_APPROVAL, &a, 0);
}

/* Of two decided bodies the one with the smaller hash is in force: one that is before the first. */
static void make_decision(void)
{
    union body b;
    uint8_t bytes[4096];
    struct hash32 before, hash;
    for (uint32_t i = 0;; i++) {
        const struct record *r = world->record[i];
        if (r->header.kind != KIND_MEMBER || body_decode(&b, KIND_MEMBER, r->body) != OK) continue;
        before = sha256(r->body);
        if (ID_EQUAL(b.MEMBER.node, world->node[OWNER].id)) break;
    }
    b.MEMBER.approval = world->node[OTHER_KEY].approval;
    do {
        struct buffer out = BUFFER_OF(bytes);
        b.MEMBER.dkg.bytes[0]++;
        body_encode(&out, KIND_MEMBER, &b);
        hash = sha256(buffer_span(&out));
    } while (memcmp(hash.bytes, before.bytes, sizeof hash.bytes) > 0);
    for (uint32_t i = 0; i < 3; i++) decision[i] = world_record(world, i + 1, KIND_MEMBER, &b.MEMBER, 0);
}

static void say(struct lone *l, const struct record *r)
{
    lone_record(l, r->header.author, r);
    l->sent_count = 0;
}

static void decide(struct lone *l)
{
    for (uint32_t i = 0; i < 3; i++) say(l, decision[i]);
    lone_event(l, (struct event){.type = EVENT_TICK});
    l->sent_count = 0;
    struct node_id key = registry_member(core_registry(l->core), world->node[OWNER].id)->approval;
    assert_true(ID_EQUAL(key, world->node[OTHER_KEY].approval));
}

static bool counts(struct lone *l)
{
    const struct registry *r = core_registry(l->core);
    const struct chain *c = core_chain(l->core);
    assert_non_null(chain_get(c, approval->header.author, approval->header.seq));
    assert_true(chain_whole(c, approval->header.author));
    const struct asset *a = registry_asset(r, dataset);
    assert_non_null(a);
    return registry_approval(r, a, world->compose, 7, world->now_ms).approval != NULL;
}

static void check(uint32_t key, bool before, bool after)
{
    uint32_t known = world->record_count; /* the rest comes by word of peers */
    make_asset();
    make_approval(key);
    make_decision();
    uint32_t all = world->record_count;
    world->record_count = known;
    struct lone *l = lone_new(world, 0);
    say(l, asset);
    say(l, approval);
    assert_int_equal(counts(l), before);
    decide(l);
    assert_int_equal(counts(l), after);
    lone_free(l);
    l = lone_new(world, 0);
    say(l, asset);
    decide(l);
    say(l, approval);
    assert_int_equal(counts(l), after);
    lone_free(l);
    world->record_count = all; /* read back at start */
    l = lone_new(world, 0);
    assert_int_equal(counts(l), after);
    lone_free(l);
}

static void test_of_the_key_before(void **state)
{
    (void)state;
    check(OWN_KEY, true, false);
}

static void test_of_the_key_after(void **state)
{
    (void)state;
    check(OTHER_KEY, false, true);
}

static void test_of_no_key(void **state)
{
    (void)state;
    check(WORLD_COMPUTE, false, false);
}

static int set_up(void **state)
{
    (void)state;
    world = world_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_free(world);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_of_the_key_before, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_of_the_key_after, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_of_no_key, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("proto_approval", tests, NULL, NULL);
}
