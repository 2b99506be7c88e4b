/* A custodian's core from ask to answer: an enclave of the test world runs, and the asks to one of its custodians go to a
 * real core, whose word is needed: one of the others is silent. */
#include "crypto/identity.h"
#include "node/verify.h"
#include "proto/base/panic.h"
#include "proto/bundle.h"
#include "proto/core_state.h"
#include "proto/wire/pack.h"
#include "tests/lone.h"
#include "tests/world_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { CORE = 0, SILENT = 3 };

static struct world *world;
static struct world_run *run;
static struct lone *lone;
static struct node_id bringer; /* of the asks */
static uint32_t seen;          /* of what the core sent */

/* Its box by the node that `bringer` says; what comes back for the enclave goes there. */
static void ask_core(struct world_run *r, struct span box)
{
    static uint8_t bytes[65536 + 256];
    struct buffer b = BUFFER_OF(bytes);
    struct message_RELAY m = {world->run, r->term, 0, r->asked_party, box};
    union message_body sent;
    struct node_id to;
    message_encode(&b, MESSAGE_RELAY_CODE, &m);
    lone_message(lone, bringer, buffer_span(&b));
    while (lone_next(lone, &seen, MESSAGE_RELAY_CODE, &sent, &to)) {
        assert_true(ID_EQUAL(to, bringer));
        world_run_answer(r, r->asked_party, sent.RELAY.box);
    }
}

static void begin(void)
{
    run = world_run_new(world);
    run->asked = ask_core;
    run->asked_party = CORE;
    run->silent = 1u << SILENT;
    bringer = world->node[WORLD_COMPUTE].id;
    seen = 0;
}

static uint32_t lease_ms = 600000; /* outlasts what custodian SILENT is waited for */

static void make_world(void)
{
    world_lease_ms = lease_ms;
    world = world_new();
}

static int setup(void **state)
{
    (void)state;
    make_world();
    lone = lone_new(world, CORE);
    begin();
    return 0;
}

static int setup_short_lease(void **state)
{
    lease_ms = 30000;
    return setup(state);
}

static int teardown(void **state)
{
    (void)state;
    lone_free(lone);
    world_run_free(run);
    world_free(world);
    lease_ms = 600000;
    return 0;
}

static void ends_with(enum refusal why)
{
    world_run_start(run);
    assert_true(world_run_drive(run, 200));
    assert_string_equal(refusal_name(run->failed), refusal_name(why));
    assert_true((run->result.len > 0) == (why == REFUSAL_NONE));
}

static void test_a_whole_run(void **state)
{
    (void)state;
    ends_with(REFUSAL_NONE);
}

/* Its disk was put back as it was before it voted: the certificate shows it a vote that it does not know. */
static int setup_forgetful(void **state)
{
    lone_forgets_its_vote = true;
    int rc = setup(state);
    lone_forgets_its_vote = false;
    return rc;
}

static void test_a_forgotten_vote(void **state)
{
    (void)state;
    ends_with(REFUSAL_TIMEOUT); /* t of n are not without it, and it says nothing */
    assert_int_equal(core_silence(lone->core), SILENCE_ELSEWHERE);
}

/* Another compute member than the elected, admitted by the stewards. */
static struct node_id second;

static void admit_second(void)
{
    struct identity_secret secret;
    identity_generate(&secret, &second);
    struct body_MEMBER body = {.node = second,
                               .organisation = SPAN_LITERAL("gpu-barn"),
                               .jurisdiction = SPAN_LITERAL("EU"),
                               .roles = ROLE_COMPUTE,
                               .kem = world->node[WORLD_COMPUTE].kem,
                               .approval = second,
                               .platforms = SPAN_LITERAL("")};
    for (uint32_t i = 0; i < 3; i++)
        lone_record(lone, world->node[i].id, world_record(world, i, KIND_MEMBER, &body, 0));
    const struct member *m = registry_member(core_registry(lone->core), second);
    assert_true(m != NULL && (m->roles & ROLE_COMPUTE) != 0);
}

/* Residency and export are judged for the elected node; another one may not carry its boxes. */
static void test_another_node_brings_the_share_ask(void **state)
{
    (void)state;
    admit_second();
    bringer = second;
    ends_with(REFUSAL_CERTIFICATE);
}

static uint32_t asked_here;
static struct span kept_box;

static void then_by_another(struct world_run *r, struct span box)
{
    bringer = asked_here++ == 0 ? world->node[WORLD_COMPUTE].id : second;
    if (asked_here == 1) assert_int_equal(arena_copy(r->arena, &kept_box, box), OK);
    ask_core(r, box);
}

static void test_another_node_brings_the_commit_ask(void **state)
{
    (void)state;
    asked_here = 0;
    admit_second();
    run->asked = then_by_another;
    ends_with(REFUSAL_CERTIFICATE);
    assert_int_equal(run->done[ENCLAVE_COMPUTE], 1);
}

/* The answer kept for the elected node is not another's for the asking. */
static void test_a_kept_answer_goes_nowhere_else(void **state)
{
    (void)state;
    asked_here = 0;
    admit_second();
    run->asked = then_by_another;
    ends_with(REFUSAL_CERTIFICATE);
    uint32_t released = lone->evidence_checked;
    bringer = world->node[WORLD_COMPUTE].id;
    ask_core(run, kept_box);
    assert_int_equal(lone->evidence_checked, released); /* to the elected it is */
    bringer = second;
    ask_core(run, kept_box);
    assert_int_equal(lone->evidence_checked, released + 1); /* here it is judged, and refused */
}

/* --- Leases -------------------------------------------------------------------------------------------------------------- */

static struct span lease_box; /* the enclave's last ask */

static void keep_box(struct world_run *r, struct span box)
{
    assert_int_equal(arena_copy(r->arena, &lease_box, box), OK);
    ask_core(r, box);
}

/* What it answers to a candidate for the second term. */
static struct body_PREVOTE prevote_of_term_2(void)
{
    union message_body sent;
    union body body = {.PREVOTE = {.refusal = REFUSAL_COUNT}};
    struct body_PREVOTE_ASK ask = {world->run, 2};
    struct node_id to;
    struct record r;
    const struct world_node *n = &world->node[WORLD_COMPUTE];
    assert_int_equal(record_unpack(&r, world_statement(world, &n->secret, n->id, KIND_PREVOTE_ASK, &ask)),
                     OK);
    lone_record(lone, n->id, &r);
    while (lone_next(lone, &seen, MESSAGE_RECORD_CODE, &sent, &to)) {
        assert_int_equal(record_open(&r, sent.RECORD.header, &sent.RECORD.signature, sent.RECORD.body), OK);
        if (r.header.kind == KIND_PREVOTE) assert_int_equal(body_decode(&body, KIND_PREVOTE, r.body), OK);
    }
    return body.PREVOTE;
}

static void pass_ms(uint64_t ms)
{
    lone->now.ns += (int64_t)ms * 1000000;
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++)
        if (i != lone->self) lone_greet(lone, world->node[i].id); /* it stays in touch */
}

/* For a lease after each round, and no longer however often its host brings an old ask: no vote for a later term. */
static void test_a_lease_holds_votes(void **state)
{
    (void)state;
    run->asked = keep_box;
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++)
        run->refuse_commit[i] = REFUSAL_TROUBLE; /* it has to wait */
    run->silent = 0;
    world_run_start(run);
    assert_false(world_run_drive(run, 20));
    assert_true(lease_box.len > 0 && run->failed == REFUSAL_NONE);
    struct body_PREVOTE said = prevote_of_term_2();
    assert_int_equal(said.refusal, REFUSAL_LEASE_HELD);
    assert_int_equal(said.known, 1);
    assert_in_range(said.wait_ms, 1, 2 * (uint64_t)world_lease_ms);
    pass_ms(world_lease_ms / 2);
    ask_core(run, lease_box);
    pass_ms(world_lease_ms / 2 + world_lease_ms / 100);
    said = prevote_of_term_2();
    assert_int_equal(said.refusal, REFUSAL_NONE);
}

/* --- Receipts from before a start --------------------------------------------------------------------------------------- */

static void expect_of_term_2(const char *answer)
{
    assert_string_equal(refusal_name(refusal_from(prevote_of_term_2().refusal)), answer);
}

/* A custodian that signed no commit for them, and whose leases have ended. */
static void start_again(void)
{
    lone_free(lone);
    lone = lone_new(world, SILENT);
    pass_ms(2 * (uint64_t)world_lease_ms);
}

static uint32_t checks;

static void ask_meanwhile(struct lone *l, enum crypto_op op)
{
    assert_int_equal(op, CRYPTO_VERIFY);
    l->meanwhile = NULL;
    expect_of_term_2("lease-held");
    checks++;
}

/* Not before it has looked at its receipt, nor while that is checked. */
static void test_a_settled_run_gets_no_vote_after_a_start(void **state)
{
    (void)state;
    const struct body_RECEIPT receipt = world_receipt(world, world->run);
    world_record(world, WORLD_COMPUTE, KIND_RECEIPT, &receipt, 0);
    start_again();
    expect_of_term_2("lease-held");
    checks = 0;
    lone->meanwhile = ask_meanwhile;
    lone_look(lone);
    assert_int_equal(checks, 1);
    expect_of_term_2("slot-spent");
}

/* Of which the store has no history, and the recipe only behind the run: no view of it was there yet. */
static void test_a_settled_run_without_history_gets_no_vote(void **state)
{
    (void)state;
    const struct record *last[WORLD_RECORDS_MAX];
    uint32_t kept = 0, moved = 0;
    const struct body_RECEIPT receipt = world_receipt(world, world->run);
    world_record(world, WORLD_COMPUTE, KIND_RECEIPT, &receipt, 0);
    for (uint32_t i = 0; i < world->record_count; i++) {
        const struct record *r = world->record[i];
        if (ID_EQUAL(r->header.author, world->node[WORLD_ALGORITHM].id))
            last[moved++] = r;
        else
            world->record[kept++] = r;
    }
    memcpy(world->record + kept, last, moved * sizeof *last);
    start_again();
    expect_of_term_2("lease-held");
    lone_look(lone);
    expect_of_term_2("slot-spent");
}

static void test_a_settled_history_gets_no_vote(void **state)
{
    (void)state;
    start_again();
    expect_of_term_2("none");
    track_find(lone->core, world->run)->view.state = RUN_SETTLED;
    expect_of_term_2("slot-spent");
}

static void count_checks(struct lone *l, enum crypto_op op)
{
    (void)l;
    checks += op == CRYPTO_VERIFY;
}

/* More than are checked in a tick: what can settle nothing holds up a vote until the next. */
static void test_rubbish_delays_a_vote_by_a_tick(void **state)
{
    (void)state;
    struct body_RECEIPT rubbish = world_receipt(world, world->run);
    rubbish.core = SPAN_LITERAL("rubbish");
    while (world->record_count + 1 < WORLD_RECORDS_MAX)
        world_record(world, WORLD_COMPUTE, KIND_RECEIPT, &rubbish, 0);
    start_again();
    expect_of_term_2("lease-held");
    lone_look(lone);
    expect_of_term_2("none");
}

/* However long each is, a tick reads so much and no more. */
static void test_long_rubbish_takes_more_ticks(void **state)
{
    (void)state;
    static const uint8_t padding[16 << 10];
    struct body_RECEIPT rubbish = world_receipt(world, world->run);
    rubbish.core = SPAN_LITERAL("rubbish");
    rubbish.output = SPAN_OF(padding);
    for (uint32_t i = 0; i < (12 << 20) / sizeof padding; i++)
        world_record(world, WORLD_COMPUTE, KIND_RECEIPT, &rubbish, 0);
    start_again();
    lone_look(lone);
    expect_of_term_2("lease-held");
    pass_ms(250);
    lone_look(lone);
    expect_of_term_2("none");
}

/* The charter may be decided again, and a receipt count that was passed over: when members change, or one equivocates. */
static void test_other_members_make_it_look_again(void **state)
{
    (void)state;
    struct world_node *author = &world->node[WORLD_REQUESTER];
    const struct body_RECEIPT any = {.run = world->run};
    start_again();
    lone_look(lone);
    assert_int_equal(lone->core->receipts_left, 0);
    admit_second();
    assert_int_equal(lone->core->receipts_left, lone->core->chain.entry_count);
    while (lone->core->receipts_left > 0) {
        pass_ms(1000);
        lone_look(lone);
    }
    const struct world_node before = *author;
    for (uint32_t i = 0; i < 2; i++) {
        author->seq = before.seq;
        author->head = before.head;
        lone_record(lone, author->id, world_record(world, WORLD_REQUESTER, KIND_RECEIPT, &any, 0));
    }
    assert_int_equal(lone->core->receipts_left, lone->core->chain.entry_count);
}

/* A check that comes to neither yes nor no leaves open whether the run is settled. */
static void fail_the_check(struct core *core, const struct event *event, bool before)
{
    (void)core;
    if (before && event->type == EVENT_CRYPTO && event->err == ERR_SIGNATURE)
        ((struct event *)(uintptr_t)event)->err = ERR_NO_MEMORY;
}

static void test_a_check_that_fails_is_made_again(void **state)
{
    (void)state;
    struct body_RECEIPT receipt = world_receipt(world, world->run);
    receipt.core_signature.bytes[0] ^= 1;
    world_record(world, WORLD_COMPUTE, KIND_RECEIPT, &receipt, 0);
    start_again();
    lone_watch = fail_the_check;
    lone_look(lone);
    lone_watch = NULL;
    expect_of_term_2("lease-held");
    pass_ms(1000);
    lone_look(lone);
    expect_of_term_2("none");
}

/* By a key that is none. */
static void test_a_receipt_is_examined_once(void **state)
{
    (void)state;
    struct node_id *enclave = &world->node[WORLD_COMPUTE].id, real = *enclave;
    memset(enclave->bytes, 0xff, sizeof enclave->bytes);
    const struct body_RECEIPT receipt = world_receipt(world, world->run);
    *enclave = real;
    world_record(world, WORLD_COMPUTE, KIND_RECEIPT, &receipt, 0);
    start_again();
    checks = 0;
    lone->meanwhile = count_checks;
    for (uint32_t i = 0; i < 3; i++) {
        host_look_for_receipts(lone->core);
        pass_ms(1000);
        lone_look(lone);
    }
    assert_int_equal(checks, 1);
    lone->meanwhile = NULL;
    expect_of_term_2("none");
}

/* --- Troubles of its own, and of clocks ---------------------------------------------------------------------------------- */

static const char *trouble_told; /* what its log says of the first ask; NULL: not looked at */

static void then_it_is_well(struct world_run *r, struct span box)
{
    ask_core(r, box);
    if (trouble_told != NULL) {
        assert_memory_equal(lone->notice, "custodian-trouble", sizeof "custodian-trouble" - 1);
        assert_non_null(strstr(lone->notice, trouble_told));
    }
    trouble_told = NULL;
    lone->shares_err = OK;
    lone->late_ms = 0;
}

/* No locked memory, no share file, a disk that fails: nothing of it says anything about the recipe. */
static void test_trouble_passes(void **state)
{
    static const enum err troubles[] = {ERR_NO_MEMORY, ERR_NOT_FOUND, ERR_IO, ERR_CORRUPT, ERR_REFUSED};
    for (size_t i = 0; i < sizeof troubles / sizeof troubles[0]; i++) {
        lone->shares_err = troubles[i];
        run->asked = then_it_is_well;
        trouble_told = err_text(troubles[i]);
        ends_with(REFUSAL_NONE);
        (void)teardown(state);
        (void)setup(state);
    }
    lone->shares_err = ERR_NO_MEMORY; /* and stays so */
    ends_with(REFUSAL_TROUBLE);
    assert_true(run->asks[CORE] > 30);
}

static void then_the_platform_is_told(struct world_run *r, struct span box)
{
    then_it_is_well(r, box);
    if (lone->evidence_checked == 1) lone_advertise(lone);
}

/* It has just started, and no advert has come: its log says so, and once one has come, it answers. */
static void test_no_advert_yet(void **state)
{
    (void)teardown(state);
    lone_knows_no_platform = true;
    (void)setup(state);
    lone_knows_no_platform = false;
    run->asked = then_the_platform_is_told;
    trouble_told = "has not told its platform";
    ends_with(REFUSAL_NONE);
    assert_true(lone->evidence_checked == 2 && trouble_told == NULL);
}

static void test_another_label_is_final(void **state)
{
    (void)state;
    lone->shares_err = ERR_PROOF;
    run->asked = then_it_is_well;
    ends_with(REFUSAL_ENVELOPE);
    assert_int_equal(run->asks[CORE], 1);
}

/* Further than two clocks may differ. */
static void test_evidence_of_a_time_to_come(void **state)
{
    enum { LATE_MS = 2 * 60000 + 1000 };
    (void)state;
    lone->late_ms = LATE_MS;
    run->asked = then_it_is_well;
    ends_with(REFUSAL_NONE);
    assert_int_equal(lone->evidence_checked, 2);
}

/* --- Platforms ------------------------------------------------------------------------------------------------------------- */

static void with_platforms(void **state, enum world_platforms named)
{
    (void)teardown(state);
    world_platforms = named;
    (void)setup(state);
    world_platforms = WORLD_PLATFORMS_NONE;
}

/* What the stewards admitted counts, not what the node says of itself: its advert and its evidence agree in both. */
static void test_the_platform_is_an_admitted_one(void **state)
{
    with_platforms(state, WORLD_PLATFORMS_OWN);
    ends_with(REFUSAL_NONE);
    with_platforms(state, WORLD_PLATFORMS_OTHER);
    ends_with(REFUSAL_PLATFORM);
}

static void refused_at(const struct verify_result *result, const char *why)
{
    if (strcmp(result->why, why) != 0) fail_msg("%s, not %s", result->why, why);
}

static struct verify_result verified(void)
{
    static uint8_t bundle[1 << 20], text[3 << 20];
    struct buffer b = BUFFER_OF(bundle), t = BUFFER_OF(text);
    struct registry *registry = world_registry(world, 0);
    struct reading reading = world_run_reading(run, WORLD_REQUESTER);
    struct receipt_parts parts = {.consortium = world->consortium,
                                  .salt = reading.salt,
                                  .response = reading.signature,
                                  .output = reading.output};
    struct verify_options options = {.anchor = world->consortium};
    struct verify_result result;
    struct arena memory;
    union body body;
    assert_int_equal(bundle_collect(&b, registry, world->run), OK);
    world_arena_free(registry_arena(registry));
    assert_int_equal(body_decode(&body, KIND_RECEIPT, run->result), OK);
    parts.body = body.RECEIPT;
    parts.body.output = SPAN_NONE;
    parts.bundle = buffer_span(&b);
    assert_int_equal(receipt_write(&t, &parts), OK);
    assert_int_equal(verify_memory_open(&memory), OK);
    enum err err = verify_bytes(&result, &memory, buffer_span(&t), &options);
    assert_int_equal(err == OK, result.verified);
    verify_memory_close(&memory);
    return result;
}

/* Custodians who did not look, nor the enclave: whoever verifies does. */
static void test_verify_looks_at_the_platform(void **state)
{
    for (int named = WORLD_PLATFORMS_NONE; named <= WORLD_PLATFORMS_OTHER; named++) {
        with_platforms(state, (enum world_platforms)named);
        run->asked = NULL;
        run->unjudged = named == WORLD_PLATFORMS_OTHER;
        ends_with(REFUSAL_NONE);
        struct verify_result result = verified();
        assert_int_equal(result.verified, named != WORLD_PLATFORMS_OTHER);
        if (result.verified) continue;
        assert_int_equal(result.broken, LINK_EVIDENCE);
        refused_at(&result, "the evidence is of a platform that was not admitted for the elected node");
    }
}

/* --- Ciphertext ------------------------------------------------------------------------------------------------------------ */

/* The core is the owner of the first input, too. */
static enum refusal blob_asked_with(uint32_t asker, const struct certificate *certificate)
{
    uint8_t bytes[8192], certificate_bytes[CERTIFICATE_BYTES_MAX];
    struct buffer b = BUFFER_OF(bytes), c = BUFFER_OF(certificate_bytes);
    certificate_encode(&c, certificate);
    struct message_BLOB_GET m = {span_make(world->blob[0].cid, 36), world->run, buffer_span(&c)};
    union message_body sent;
    struct node_id to;
    message_encode(&b, MESSAGE_BLOB_GET_CODE, &m);
    lone_message(lone, world->node[asker].id, buffer_span(&b));
    return lone_next(lone, &seen, MESSAGE_BLOB_CODE, &sent, &to) ? refusal_from(sent.BLOB.refusal)
                                                                 : REFUSAL_NONE;
}

static enum refusal blob_asked(void)
{
    struct certificate c = world_certificate(world, 1);
    return blob_asked_with(WORLD_COMPUTE, &c);
}

static void sign_votes(struct certificate *c)
{
    struct hash32 message = certificate_vote_hash(c);
    for (uint32_t i = 0; i < c->vote_count; i++)
        assert_int_equal(identity_sign(&c->vote[i], &world->node[i].secret, message), OK);
}

static void no_ciphertext(uint32_t asker, const struct certificate *c)
{
    assert_string_equal(refusal_name(blob_asked_with(asker, c)), refusal_name(REFUSAL_CERTIFICATE));
    assert_int_equal(lone->blobs_sent, 0);
}

/* Ciphertext goes to the node that q custodians elected for this very run. */
static void test_ciphertext_is_for_the_elected(void **state)
{
    (void)state;
    struct certificate right = world_certificate(world, 1), c = right;
    c.node = world->node[WORLD_ALGORITHM].id;
    sign_votes(&c);
    no_ciphertext(WORLD_COMPUTE, &c); /* another node's */
    c = right;
    c.run.bytes[0] ^= 1;
    sign_votes(&c);
    no_ciphertext(WORLD_COMPUTE, &c); /* another run's */
    c = right;
    c.vote[2].bytes[7] ^= 1;
    no_ciphertext(WORLD_COMPUTE, &c); /* a vote that was not cast */
    c = right;
    c.vote_count = 2;
    no_ciphertext(WORLD_COMPUTE, &c); /* too few */
    c = right;
    c.custodian[1] = c.custodian[0];
    c.vote[1] = c.vote[0];
    no_ciphertext(WORLD_COMPUTE, &c);       /* one custodian's, twice */
    no_ciphertext(WORLD_ALGORITHM, &right); /* shown by somebody else */
    assert_int_equal(blob_asked_with(WORLD_COMPUTE, &right), REFUSAL_NONE);
    assert_int_equal(lone->blobs_sent, 1);
}

/* While the votes of the certificate are checked, the owner of the other input revokes. */
static void revoke_meanwhile(struct lone *l, enum crypto_op op)
{
    assert_int_equal(op, CRYPTO_VERIFY);
    l->meanwhile = NULL;
    struct body_REVOCATION body = {.target = REVOKE_COMPOSE, .approval_signature = SPAN_NONE};
    memcpy(body.subject.bytes, world->compose.bytes, 32);
    lone_record(l, world->node[1].id, world_record(world, 1, KIND_REVOCATION, &body, 0));
}

static void test_a_revocation_stops_ciphertext(void **state)
{
    (void)state;
    assert_int_equal(blob_asked(), REFUSAL_NONE);
    assert_int_equal(lone->blobs_sent, 1);
    lone->meanwhile = revoke_meanwhile;
    assert_string_equal(refusal_name(blob_asked()), "revoked");
    assert_int_equal(lone->blobs_sent, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_whole_run, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_forgotten_vote, setup_forgetful, teardown),
        cmocka_unit_test_setup_teardown(test_another_node_brings_the_share_ask, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_node_brings_the_commit_ask, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_lease_holds_votes, setup_short_lease, teardown),
        cmocka_unit_test_setup_teardown(test_a_settled_run_gets_no_vote_after_a_start, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_settled_run_without_history_gets_no_vote, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_settled_history_gets_no_vote, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rubbish_delays_a_vote_by_a_tick, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_rubbish_takes_more_ticks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_members_make_it_look_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_check_that_fails_is_made_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_receipt_is_examined_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_trouble_passes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_advert_yet, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_platform_is_an_admitted_one, setup, teardown),
        cmocka_unit_test_setup_teardown(test_verify_looks_at_the_platform, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ciphertext_is_for_the_elected, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_revocation_stops_ciphertext, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_label_is_final, setup, teardown),
        cmocka_unit_test_setup_teardown(test_evidence_of_a_time_to_come, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_kept_answer_goes_nowhere_else, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
