/* An owner's veto (DESIGN §8): the data key is split, and without the owner's own node there is none. The enclave's side, the
 * owner's core, and what the receipt shows of it. */
#include "crypto/identity.h"
#include "proto/base/panic.h"
#include "proto/receipt.h"
#include "proto/wire/pack.h"
#include "tests/lone.h"
#include "tests/world_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { FIRST = 1, SECOND = 2, BOTH = 3, OWNER = 1 };

static struct world *world;
static struct world_run *run;
static struct lone *lone;
static uint32_t seen; /* of what the core sent */

static void begin(uint32_t vetoes)
{
    world_vetoes = vetoes;
    world_lease_ms = 600000; /* outlasts what an owner is waited for */
    world = world_new();
    run = world_run_new(world);
}

static int teardown(void **state)
{
    (void)state;
    if (lone != NULL) lone_free(lone);
    lone = NULL;
    world_run_free(run);
    world_free(world);
    world_vetoes = 0;
    return 0;
}

static void ends_with(enum refusal why)
{
    world_run_start(run);
    assert_true(world_run_drive(run, 200));
    assert_string_equal(refusal_name(run->failed), refusal_name(why));
    assert_true((run->result.len > 0) == (why == REFUSAL_NONE));
    assert_true(run->wiped && run->gone);
}

/* --- The enclave ----------------------------------------------------------------------------------------------------- */

static void test_with_its_half(void **state)
{
    (void)state;
    begin(FIRST);
    ends_with(REFUSAL_NONE);
    assert_int_equal(run->owner_asks[0], 1);
    assert_int_equal(run->owner_asks[1], 0);
}

static void test_without_it(void **state)
{
    (void)state;
    begin(FIRST);
    run->owner_silent = 1;
    ends_with(REFUSAL_OWNER_VETO);
    assert_true(run->owner_asks[0] > 10); /* it was asked again and again */
    assert_int_equal(run->done[ENCLAVE_UNLOCK], 0);
}

/* All custodians, and one of two owners. */
static void test_each_owner_counts(void **state)
{
    (void)state;
    begin(BOTH);
    run->owner_silent = 2;
    ends_with(REFUSAL_OWNER_VETO);
    assert_int_equal(run->done[ENCLAVE_UNLOCK], 0);
}

static void test_both(void **state)
{
    (void)state;
    begin(BOTH);
    ends_with(REFUSAL_NONE);
}

static void test_its_no_is_final(void **state)
{
    (void)state;
    begin(FIRST);
    run->refuse_half[0] = REFUSAL_REVOKED;
    ends_with(REFUSAL_REVOKED);
    assert_int_equal(run->owner_asks[0], 1);
}

/* It signed another half than it sealed: the body says so, and nobody else is blamed. */
static void test_a_wrong_half(void **state)
{
    (void)state;
    begin(FIRST);
    run->wrong_half = 1;
    ends_with(REFUSAL_INPUT_CORRUPT);
}

/* Its word would spoil the receipt: it has not seen the approvals that it releases by. */
static void test_a_blind_owner(void **state)
{
    (void)state;
    begin(FIRST);
    run->blind = 1u << WORLD_CUSTODIANS;
    ends_with(REFUSAL_OWNER_VETO);
}

static void test_the_manifest_has_a_half(void **state)
{
    (void)state;
    begin(FIRST);
    struct manifest *m;
    assert_int_equal(manifest_parse(&m, &world->arena, world->dataset[0].manifest, NULL), OK);
    assert_true(m->veto);
    assert_int_equal(manifest_parse(&m, &world->arena, world->dataset[1].manifest, NULL), OK);
    assert_false(m->veto);
}

/* --- The owner's core ------------------------------------------------------------------------------------------------ */

static void ask_core(struct world_run *r, struct span box)
{
    static uint8_t bytes[65536 + 256];
    struct buffer b = BUFFER_OF(bytes);
    struct message_RELAY m = {world->run, r->term, 0, r->asked_party, box};
    union message_body sent;
    struct node_id to;
    message_encode(&b, MESSAGE_RELAY_CODE, &m);
    lone_message(lone, world->node[WORLD_COMPUTE].id, buffer_span(&b));
    while (lone_next(lone, &seen, MESSAGE_RELAY_CODE, &sent, &to)) {
        assert_true(ID_EQUAL(to, world->node[WORLD_COMPUTE].id));
        assert_int_equal(sent.RELAY.party, r->asked_party);
        world_run_answer(r, r->asked_party, sent.RELAY.box);
    }
}

static void begin_core(void)
{
    begin(SECOND);
    lone = lone_new(world, OWNER);
    run->asked = ask_core;
    run->asked_party = VETO_PARTY + OWNER;
    seen = 0;
}

static void test_its_node_releases(void **state)
{
    (void)state;
    begin_core();
    ends_with(REFUSAL_NONE);
}

/* Anybody's: every owner of an input can stop it, while the enclave runs. */
static void ask_after_revocation(struct world_run *r, struct span box)
{
    struct body_REVOCATION body = {.target = REVOKE_COMPOSE, .approval_signature = SPAN_NONE};
    memcpy(body.subject.bytes, world->compose.bytes, 32);
    lone_record(lone, world->node[0].id, world_record(world, 0, KIND_REVOCATION, &body, 0));
    ask_core(r, box);
}

static void test_its_node_knows_a_revocation(void **state)
{
    (void)state;
    begin_core();
    run->asked = ask_after_revocation;
    ends_with(REFUSAL_REVOKED);
}

/* The box is for that owner under that input: under another number it opens for nobody. */
static void as_another(struct world_run *r, struct span box)
{
    r->asked_party--;
    ask_core(r, box);
    r->asked_party++;
}

static void test_another_input(void **state)
{
    (void)state;
    begin_core();
    run->asked = as_another;
    ends_with(REFUSAL_OWNER_VETO);
    assert_true(seen == lone->sent_count);
}

/* --- The receipt ------------------------------------------------------------------------------------------------------ */

static uint8_t bundle[1 << 20];

static struct receipt_parts settled(void)
{
    union body body;
    struct buffer b = BUFFER_OF(bundle);
    ends_with(REFUSAL_NONE);
    assert_int_equal(body_decode(&body, KIND_RECEIPT, run->result), OK);
    assert_int_equal(bundle_collect(&b, world_registry(world, 0), world->run), OK);
    struct reading reading = world_run_reading(run, WORLD_REQUESTER);
    return (struct receipt_parts){world->consortium, buffer_span(&b), body.RECEIPT,
                                  reading.output,    reading.salt,    reading.signature};
}

static enum err releases_link(const struct receipt_parts *p, uint32_t *halves)
{
    static struct receipt_replay r;
    struct arena *arena = world_arena(world);
    assert_int_equal(receipt_replay(&r, arena, p, world->consortium), OK);
    *halves = r.half_count;
    enum err err = r.err[LINK_RELEASES];
    world_arena_free(arena);
    return err;
}

/* The same receipt with `drop` fewer releases, the core listing what is left: as an enclave would sign it that had none. */
static struct receipt_parts without(const struct receipt_parts *p, uint32_t drop)
{
    struct receipt_parts out = *p;
    struct core_receipt core;
    struct span one;
    uint32_t count;
    struct cursor c = cursor_make(p->body.releases);
    uint8_t *bytes = arena_take(&world->arena, 16384, 1), *packed = arena_take(&world->arena, 4096, 1);
    struct buffer b = buffer_make(bytes, 16384), k = buffer_make(packed, 4096);
    assert_int_equal(unpack_array(&c, RELEASES_MAX, &count), OK);
    pack_array(&b, count - drop);
    for (uint32_t i = 0; i < count - drop; i++) {
        assert_int_equal(unpack_bin(&c, 4096, &one), OK);
        pack_bin(&b, one);
    }
    assert_int_equal(core_receipt_decode(&core, p->body.core), OK);
    core.release_count -= drop;
    core_receipt_encode(&k, &core);
    out.body.releases = buffer_span(&b);
    out.body.core = buffer_span(&k);
    return out;
}

static void test_the_receipt_shows_it(void **state)
{
    (void)state;
    begin(BOTH);
    struct receipt_parts whole = settled(), less = without(&whole, 1), none = without(&whole, 2);
    uint32_t halves = 0;
    assert_int_equal(releases_link(&whole, &halves), OK);
    assert_int_equal(halves, 2);
    assert_int_equal(releases_link(&less, &halves), ERR_MISSING_FIELD);
    assert_int_equal(releases_link(&none, &halves), ERR_MISSING_FIELD);
    assert_int_equal(halves, 0);
}

/* Without a veto there is none to show, and none may be there. */
static void test_no_veto_no_half(void **state)
{
    (void)state;
    begin(0);
    struct receipt_parts whole = settled();
    uint32_t halves = 1;
    assert_int_equal(releases_link(&whole, &halves), OK);
    assert_int_equal(halves, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_with_its_half, teardown),
        cmocka_unit_test_teardown(test_without_it, teardown),
        cmocka_unit_test_teardown(test_each_owner_counts, teardown),
        cmocka_unit_test_teardown(test_both, teardown),
        cmocka_unit_test_teardown(test_its_no_is_final, teardown),
        cmocka_unit_test_teardown(test_a_wrong_half, teardown),
        cmocka_unit_test_teardown(test_a_blind_owner, teardown),
        cmocka_unit_test_teardown(test_the_manifest_has_a_half, teardown),
        cmocka_unit_test_teardown(test_its_node_releases, teardown),
        cmocka_unit_test_teardown(test_its_node_knows_a_revocation, teardown),
        cmocka_unit_test_teardown(test_another_input, teardown),
        cmocka_unit_test_teardown(test_the_receipt_shows_it, teardown),
        cmocka_unit_test_teardown(test_no_veto_no_half, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
