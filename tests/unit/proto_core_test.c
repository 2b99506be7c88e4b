/* Several cores, one consortium: from signing the charter to electing a compute node, under loss, repetition, partitions and
 * crashes. What must hold at every step is asserted by the cluster itself (tests/cluster.h); what each test adds is said
 * by its name. */
#include "crypto/identity.h"
#include "tests/cluster.h"

#include "proto/core_state.h"
#include "proto/enclave.h"
#include "proto/promise.h"
#include "proto/wire/pack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct world *world;
static const struct cluster_options quiet = {.seed = 1};

static void accepted(struct verdict v)
{
    assert_string_equal(refusal_name(v.refusal), "none");
}

static void refused(struct verdict v, enum refusal why)
{
    assert_string_equal(refusal_name(v.refusal), refusal_name(why));
}

static struct registry *registry_of(struct cluster *c, uint32_t node)
{
    return core_registry(cluster_core(c, node));
}

static bool one_started(struct cluster *c)
{
    uint32_t count;
    (void)cluster_starts(c, &count);
    return count > 0;
}

static uint32_t starts(const struct cluster *c)
{
    uint32_t count;
    (void)cluster_starts(c, &count);
    return count;
}

/* At most one node for each run and term, at most one run for each slot (all runs here are of one recipe). */
static void assert_one_certificate(struct cluster *c, uint32_t any_node)
{
    uint32_t count;
    const struct cluster_start *s = cluster_starts(c, &count);
    for (uint32_t i = 0; i < count; i++) {
        assert_true(s[i].certified);
        const struct run_entry *a = registry_run(registry_of(c, any_node), s[i].run);
        assert_non_null(a);
        for (uint32_t j = 0; j < i; j++) {
            const struct run_entry *b = registry_run(registry_of(c, any_node), s[j].run);
            if (ID_EQUAL(s[i].run, s[j].run) && s[i].term == s[j].term)
                assert_int_equal(s[i].node, s[j].node);
            if (a->body.slot == b->body.slot) assert_true(ID_EQUAL(s[i].run, s[j].run));
        }
    }
}

/* --- Forming --------------------------------------------------------------------------------------------------------------- */

static void test_forming(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(world, &quiet);
    struct body_CHARTER body = {world->charter};
    uint32_t missing = 0, wrong = 0;
    struct command keygen = {.type = COMMAND_KEYGEN, .body = SPAN_NONE};
    cluster_run(c, 3000);
    refused(cluster_command(c, 0, &keygen, NULL), REFUSAL_CONSORTIUM_FORMING);
    for (uint32_t i = 0; i < 2; i++) {
        accepted(cluster_author(c, i, KIND_CHARTER, &body, 0, NULL));
        cluster_run(c, 3000);
        for (uint32_t j = 0; j < CLUSTER_NODES; j++) assert_null(registry_charter(registry_of(c, j)));
    }
    cluster_sign_charter(c);
    cluster_admit(c);
    refused(cluster_command(c, WORLD_COMPUTE, &keygen, NULL), REFUSAL_NOT_CUSTODIAN);
    cluster_generate_keys(c);
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++)
        assert_int_equal(core_keygen(cluster_core(c, i), &missing, &wrong), KEYGEN_DONE);
    assert_int_equal(missing | wrong, 0);
    accepted(cluster_command(c, 0, &keygen, NULL)); /* done is done */
    const struct committee *first = registry_committee(registry_of(c, 0));
    for (uint32_t i = 1; i < CLUSTER_NODES; i++) {
        const struct committee *k = registry_committee(registry_of(c, i));
        assert_memory_equal(k->body.key_a.bytes, first->body.key_a.bytes, 32);
        assert_memory_equal(k->body.key_b.bytes, first->body.key_b.bytes, 32);
    }
    assert_memory_not_equal(first->body.key_a.bytes, first->body.key_b.bytes, 32);
    cluster_free(c);
}

/* --- Key generation --------------------------------------------------------------------------------------------------------- */

static bool keys_known(struct cluster *c)
{
    for (uint32_t i = 0; i < CLUSTER_NODES; i++)
        if (registry_committee(registry_of(c, i)) == NULL) return false;
    return true;
}

static void begin_keygen(struct cluster *c, uint32_t node)
{
    struct command command = {.type = COMMAND_KEYGEN, .body = SPAN_NONE};
    accepted(cluster_command(c, node, &command, NULL));
}

static struct cluster *before_keygen(void)
{
    struct cluster *c = cluster_new(world, &quiet);
    cluster_sign_charter(c);
    cluster_admit(c);
    return c;
}

/* Round 1 by custodian 3, as it would not say it, to custodian 0. */
static void say_round1(struct cluster *c, size_t len)
{
    static const uint8_t zero[8192];
    struct body_KEYGEN_ROUND1 body = {1, 1, span_make(zero, len)};
    cluster_inject(c, 3, 0, cluster_forge(c, 3, 0, (struct record_id){{0}}, KIND_KEYGEN_ROUND1, &body));
    cluster_run(c, 500);
}

/* A message of another length is no message: whose it was is shown, and what it says later counts. */
static void test_keygen_survives_another_length(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 383, 385, 8192};
    uint32_t missing = 0, wrong = 0;
    struct cluster *c = before_keygen();
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) say_round1(c, lengths[i]);
    assert_int_equal(core_keygen(cluster_core(c, 0), &missing, &wrong), KEYGEN_IDLE);
    assert_int_equal(wrong, 1u << 3);
    begin_keygen(c, 0);
    assert_true(cluster_until(c, keys_known, 60000));
    cluster_free(c);
}

/* A part that does not hold ends the attempt, with its sender's name; it is begun again when that has mended it. */
static void test_keygen_begins_again(void **state)
{
    (void)state;
    uint32_t missing = 0, wrong = 0;
    struct cluster *c = before_keygen();
    say_round1(c, 96 + 32 * 3 + 48 * 4);
    cluster_run(c, 10000);
    assert_int_equal(core_keygen(cluster_core(c, 0), &missing, &wrong), KEYGEN_FAILED);
    assert_int_equal(wrong, 1u << 3);
    assert_false(keys_known(c));
    begin_keygen(c, 0);
    assert_true(cluster_until(c, keys_known, 60000));
    cluster_free(c);
}

static bool two_have_round1(struct cluster *c)
{
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t missing, wrong;
        enum keygen_phase phase = core_keygen(cluster_core(c, i), &missing, &wrong);
        if (phase == KEYGEN_ROUND1_SENT && missing != 0) return false;
        if (phase == KEYGEN_IDLE) return false;
    }
    return true;
}

/* Custodian 3 shows its signatures to one other only, and hears those of that one only. What that one can certify, all check
 * and sign. */
static void test_keygen_takes_a_certificate_of_others(void **state)
{
    (void)state;
    struct cluster *c = before_keygen();
    cluster_link(c, 2, 3, false);
    begin_keygen(c, 0);
    assert_true(cluster_until(c, two_have_round1, 10000));
    cluster_link(c, 0, 3, false);
    cluster_link(c, 1, 3, false);
    cluster_link(c, 2, 3, true);
    assert_true(cluster_until(c, keys_known, 60000));
    cluster_free(c);
}

/* A committee record that found no place on a disk is authored again. */
static void test_keygen_authors_again(void **state)
{
    (void)state;
    struct cluster *c = before_keygen();
    for (uint32_t i = 0; i < 2; i++) cluster_fail_store(c, i, ERR_FULL);
    begin_keygen(c, 0);
    cluster_run(c, 10000);
    assert_false(keys_known(c));
    for (uint32_t i = 0; i < 2; i++) cluster_fail_store(c, i, OK);
    assert_true(cluster_until(c, keys_known, 60000));
    cluster_free(c);
}

/* An applicant reads charter and member records, and nothing else, until it is admitted. */
static void test_applicants_read_little(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(world, &quiet);
    struct body_WORKERS body = {SPAN_LITERAL("default"), 1, ID_SPAN(world->measurement)};
    cluster_sign_charter(c);
    for (uint32_t i = 0; i < 3; i++) accepted(cluster_author(c, i, KIND_WORKERS, &body, 0, NULL));
    refused(cluster_author(c, WORLD_COMPUTE, KIND_WORKERS, &body, 0, NULL), REFUSAL_NOT_MEMBER);
    cluster_run(c, 5000);
    struct node_id steward = cluster_id(c, 0);
    assert_int_equal(chain_author(core_chain(cluster_core(c, 1)), steward)->applied, 2);
    assert_int_equal(chain_author(core_chain(cluster_core(c, WORLD_COMPUTE)), steward)->applied, 1);
    assert_int_equal(registry_workers(registry_of(c, 1), SPAN_LITERAL("default")).len, 32);
    assert_int_equal(registry_workers(registry_of(c, WORLD_COMPUTE), SPAN_LITERAL("default")).len, 0);
    cluster_admit(c);
    cluster_run(c, 5000);
    assert_int_equal(registry_workers(registry_of(c, WORLD_COMPUTE), SPAN_LITERAL("default")).len, 32);
    cluster_free(c);
}

static void test_join_refusals(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(world, &quiet);
    uint8_t bytes[512];
    struct buffer b = BUFFER_OF(bytes);
    struct body_MEMBER body = {.node = cluster_id(c, 5),
                               .organisation = SPAN_LITERAL("x"),
                               .jurisdiction = SPAN_LITERAL("EU"),
                               .platforms = SPAN_LITERAL("")};
    body_encode(&b, KIND_JOIN, &body);
    struct command command = {.type = COMMAND_JOIN, .kind = KIND_JOIN, .body = buffer_span(&b)};
    refused(cluster_command(c, 6, &command, NULL), REFUSAL_MALFORMED); /* for somebody else */
    refused(cluster_command(c, 0, &command, NULL), REFUSAL_MALFORMED);
    command.body.len--;
    refused(cluster_command(c, 5, &command, NULL), REFUSAL_MALFORMED);
    body.node = cluster_id(c, 0);
    b.len = 0;
    body_encode(&b, KIND_JOIN, &body);
    command.body = buffer_span(&b);
    refused(cluster_command(c, 0, &command, NULL), REFUSAL_EXISTS);
    cluster_free(c);
}

static bool inboxes_full(struct cluster *c)
{
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++)
        if (core_join_at(cluster_core(c, i), 0) == NULL) return false;
    return true;
}

/* Asked once, it asks on: after a restart of its own, and of the stewards, who keep no request. */
static void test_a_request_outlives_restarts(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(world, &quiet);
    cluster_sign_charter(c);
    cluster_part(c, 1u << WORLD_COMPUTE, true);
    accepted(cluster_ask_to_join(c, WORLD_COMPUTE));
    for (uint32_t i = 0; i < 2; i++) {
        cluster_crash(c, WORLD_COMPUTE);
        cluster_restart(c, WORLD_COMPUTE);
        assert_true(core_asks_to_join(cluster_core(c, WORLD_COMPUTE)));
        cluster_part(c, 1u << WORLD_COMPUTE, false);
        assert_true(cluster_until(c, inboxes_full, 5000));
        for (uint32_t j = 0; j < WORLD_CUSTODIANS; j++) {
            cluster_crash(c, j);
            cluster_restart(c, j);
        }
        assert_true(cluster_until(c, inboxes_full, 5000));
    }
    cluster_admit(c);
    cluster_run(c, 3000);
    for (uint32_t i = 0; i < 2; i++) {
        assert_false(core_asks_to_join(cluster_core(c, WORLD_COMPUTE)));
        cluster_crash(c, WORLD_COMPUTE);
        cluster_restart(c, WORLD_COMPUTE);
    }
    cluster_free(c);
}

/* --- Approvals and runs ------------------------------------------------------------------------------------------------------ */

static void test_run_needs_k_approvals(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(world, &quiet);
    struct run_id run;
    cluster_sign_charter(c);
    cluster_admit(c);
    cluster_generate_keys(c);
    refused(cluster_request(c, 1, NULL), REFUSAL_WORKFLOW);
    cluster_publish(c);
    refused(cluster_request(c, 1, NULL), REFUSAL_NO_APPROVAL);
    cluster_approve(c, 0);
    cluster_run(c, 3000);
    refused(cluster_request(c, 1, NULL), REFUSAL_NO_APPROVAL); /* k-1 */
    cluster_approve(c, 1);
    cluster_run(c, 3000);
    refused(cluster_request(c, 3, NULL), REFUSAL_SLOT_RANGE);
    accepted(cluster_request(c, 1, &run));
    assert_true(cluster_until(c, one_started, 30000));
    cluster_run(c, 20000);
    uint32_t count;
    const struct cluster_start *s = cluster_starts(c, &count);
    assert_int_equal(count, 1); /* two candidates, one certificate */
    assert_true(s->certified && ID_EQUAL(s->run, run) && s->term == 1);
    for (uint32_t i = 0; i < CLUSTER_NODES; i++) {
        struct run_view v;
        assert_true(core_run(cluster_core(c, i), run, &v));
        assert_string_equal(run_state_name(v.state), "elected");
        struct node_id winner = cluster_id(c, s->node);
        assert_true(ID_EQUAL(v.node, winner));
    }
    cluster_free(c);
}

/* A node signs no approval of its own that its approval key did not sign. */
static void test_approval_needs_its_key(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(world, &quiet);
    union body body;
    cluster_sign_charter(c);
    cluster_admit(c);
    cluster_generate_keys(c);
    cluster_publish(c);
    assert_int_equal(body_decode(&body, KIND_APPROVAL, world->approval[0]->body), OK);
    body.APPROVAL.approval_signature.bytes[0] ^= 1;
    refused(cluster_author(c, 0, KIND_APPROVAL, &body, world->approval[0]->header.expires_ms, NULL),
            REFUSAL_NO_APPROVAL);
    cluster_run(c, 3000);
    for (uint32_t i = 0; i < CLUSTER_NODES; i++) assert_null(registry_approval_at(registry_of(c, i), 0));
    cluster_approve(c, 0);
    cluster_run(c, 3000);
    for (uint32_t i = 0; i < CLUSTER_NODES; i++) assert_non_null(registry_approval_at(registry_of(c, i), 0));
    cluster_free(c);
}

/* Who was told that its approval is made may request a run in the next breath. */
static void test_an_approval_counts_when_it_is_acknowledged(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(world, &quiet);
    union body body;
    cluster_sign_charter(c);
    cluster_admit(c);
    cluster_generate_keys(c);
    cluster_publish(c);
    cluster_approve(c, 0);
    assert_int_equal(body_decode(&body, KIND_APPROVAL, world->approval[0]->body), OK);
    const struct registry *r = registry_of(c, 0);
    const struct asset *a = registry_asset(r, body.APPROVAL.dataset);
    assert_non_null(registry_approval(r, a, body.APPROVAL.compose, 1, cluster_wall_ms(c)).approval);
    cluster_free(c);
}

/* A run has the values that were chosen, everywhere. A requester who signs others than the recipe lets it choose finds
 * nobody to vote for it. */
static void test_parameters_are_the_recipes(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(world, &quiet);
    struct command command = {.type = COMMAND_RUN, .compose = world->compose, .slot = 1};
    struct hash32 id;
    struct run_id run;
    cluster_form(c);
    refused(cluster_command(c, WORLD_REQUESTER, &command, NULL), REFUSAL_PARAMETERS);
    command.parameters = SPAN_LITERAL("{\"min_age\":60}");
    accepted(cluster_command(c, WORLD_REQUESTER, &command, &id));
    assert_true(cluster_until(c, one_started, 30000));
    memcpy(run.bytes, id.bytes, sizeof run.bytes);
    for (uint32_t i = 0; i < CLUSTER_NODES; i++) {
        const struct run_entry *held = registry_run(registry_of(c, i), run);
        assert_true(held != NULL && span_equal(held->body.parameters, command.parameters));
    }
    struct body_RUN body = registry_run(registry_of(c, WORLD_REQUESTER), run)->body;
    const struct author *self =
        chain_author(core_chain(cluster_core(c, WORLD_REQUESTER)), cluster_id(c, WORLD_REQUESTER));
    body.slot = 2;
    body.parameters = SPAN_LITERAL("{\"min_age\":100}");
    struct span forged = cluster_forge(c, WORLD_REQUESTER, self->applied + 1, self->head, KIND_RUN, &body);
    cluster_crash(c, WORLD_REQUESTER); /* it would say what its own store does not hold */
    for (uint32_t i = 0; i < CLUSTER_NODES; i++)
        if (i != WORLD_REQUESTER) cluster_inject(c, WORLD_COMPUTE, i, forged);
    cluster_run(c, 30000);
    assert_non_null(registry_run_at(registry_of(c, 0), 1)); /* it is known */
    assert_int_equal(starts(c), 1);                         /* and not computed */
    cluster_free(c);
}

/* Two runs for one slot race, which only a requester without scruples asks for: never two certificates, over many races; and some
 * race is won. */
static void test_one_slot_one_run(void **state)
{
    (void)state;
    uint32_t won = 0;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct cluster_options options = {.seed = seed};
        struct cluster *c = cluster_new(world, &options);
        cluster_form(c);
        accepted(cluster_request(c, 1, NULL));
        struct body_RUN body = registry_run_at(registry_of(c, WORLD_REQUESTER), 0)->body;
        const struct author *self =
            chain_author(core_chain(cluster_core(c, WORLD_REQUESTER)), cluster_id(c, WORLD_REQUESTER));
        struct span second =
            cluster_forge(c, WORLD_REQUESTER, self->applied + 1, self->head, KIND_RUN, &body);
        cluster_crash(c, WORLD_REQUESTER); /* it would say what its own store does not hold */
        for (uint32_t i = 0; i < CLUSTER_NODES; i++)
            if (i != WORLD_REQUESTER) cluster_inject(c, WORLD_COMPUTE, i, second);
        cluster_run(c, 30000);
        uint32_t runs = 0;
        while (registry_run_at(registry_of(c, 0), runs) != NULL) runs++;
        assert_int_equal(runs, 2);
        assert_one_certificate(c, 0);
        assert_true(starts(c) <= 1);
        won += starts(c);
        cluster_free(c);
    }
    assert_true(won > 0);
}

/* Asked for at once, by a requester in good faith: each in its turn, so that none is lost to the other. */
static void test_two_requests_at_once(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(world, &quiet);
    struct command command = {
        .type = COMMAND_RUN, .compose = world->compose, .parameters = world->parameters};
    cluster_form(c);
    cluster_send_command(c, WORLD_REQUESTER, &command);
    cluster_send_command(c, WORLD_REQUESTER, &command);
    command.slot = 2;
    refused(cluster_command(c, WORLD_REQUESTER, &command, NULL), REFUSAL_SLOT_SPENT);
    cluster_run(c, 40000);
    struct registry *r = registry_of(c, 0);
    assert_int_equal(registry_run_at(r, 0)->body.slot, 1);
    assert_int_equal(registry_run_at(r, 1)->body.slot, 2);
    assert_null(registry_run_at(r, 2));
    assert_int_equal(starts(c), 2);
    cluster_free(c);
}

static void test_revocation_stops_an_election(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(world, &quiet);
    struct body_REVOCATION body = {.target = REVOKE_COMPOSE, .approval_signature = SPAN_NONE};
    memcpy(body.subject.bytes, world->compose.bytes, 32);
    cluster_form(c);
    cluster_part(c, 1u << WORLD_COMPUTE | 1u << CLUSTER_SECOND, true); /* nobody to compute, for now */
    accepted(cluster_request(c, 1, NULL));
    cluster_run(c, 3000);
    accepted(cluster_author(c, 1, KIND_REVOCATION, &body, 0, NULL));
    cluster_run(c, 3000);
    cluster_part(c, 1u << WORLD_COMPUTE | 1u << CLUSTER_SECOND, false);
    cluster_run(c, 20000);
    assert_int_equal(starts(c), 0);
    refused(cluster_request(c, 2, NULL), REFUSAL_REVOKED);
    cluster_free(c);
}

/* Two runs that may no longer be, by a revocation, do not keep a third from the compute nodes, however long they last. */
static void test_a_candidacy_ends(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(world, &quiet);
    struct body_REVOCATION body = {.target = REVOKE_DATASET, .approval_signature = SPAN_NONE};
    struct run_id run;
    memcpy(body.subject.bytes, world->dataset[1].dt.bytes, 32);
    cluster_form(c);
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++) {
        cluster_link(c, WORLD_COMPUTE, i, false);
        cluster_link(c, CLUSTER_SECOND, i, false);
    }
    for (uint64_t slot = 1; slot <= 2; slot++) accepted(cluster_request(c, slot, NULL));
    cluster_run(c, 10000); /* both ask in vain */
    accepted(cluster_author(c, 1, KIND_REVOCATION, &body, 0, NULL));
    for (uint32_t i = 0; i < WORLD_DATASETS; i++) {
        struct body_APPROVAL again = world_approval(world, i, 3, 3, 0);
        accepted(cluster_author(c, i, KIND_APPROVAL, &again, 0, NULL));
    }
    struct body_GRANT grant = {world->dataset[1].dt, world->app, 0,
                               ID_SPAN(world->op),   10,         UINT64_C(10000000000)};
    accepted(cluster_author(c, 1, KIND_GRANT, &grant, 0, NULL));
    cluster_run(c, 3000);
    accepted(cluster_request(c, 3, &run));
    cluster_run(c, 5000);
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++) {
        cluster_link(c, WORLD_COMPUTE, i, true);
        cluster_link(c, CLUSTER_SECOND, i, true);
    }
    assert_true(cluster_until(c, one_started, 20000));
    uint32_t count;
    assert_true(ID_EQUAL(cluster_starts(c, &count)->run, run));
    cluster_free(c);
}

/* Who may write records may write runs of any recipe: where it does not name them, nobody looks at them again. */
static void test_runs_of_others_are_not_watched(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(world, &quiet);
    struct run_id run;
    struct run_view view;
    cluster_form(c);
    accepted(cluster_request(c, 1, &run));
    cluster_run(c, 3000);
    struct body_RUN body = registry_run(registry_of(c, WORLD_REQUESTER), run)->body;
    const struct author *a = chain_author(core_chain(cluster_core(c, 0)), cluster_id(c, WORLD_ALGORITHM));
    struct span message = cluster_forge(c, WORLD_ALGORITHM, a->applied + 1, a->head, KIND_RUN, &body);
    cluster_crash(c, WORLD_ALGORITHM); /* it would say what its own store does not hold */
    for (uint32_t i = 0; i < CLUSTER_NODES; i++) cluster_inject(c, WORLD_ALGORITHM, i, message);
    cluster_run(c, 3000);
    for (uint32_t i = 0; i < CLUSTER_NODES; i++) {
        if (i == WORLD_ALGORITHM) continue;
        const struct run_entry *other = registry_run_at(registry_of(c, i), 1);
        assert_non_null(other);
        memcpy(run.bytes, other->record->id.bytes, sizeof run.bytes);
        assert_false(core_run(cluster_core(c, i), run, &view));
    }
    cluster_free(c);
}

/* --- Equivocation --------------------------------------------------------------------------------------------------------------- */

static bool frozen_everywhere(struct cluster *c)
{
    struct node_id victim = cluster_id(c, 1);
    for (uint32_t i = 0; i < CLUSTER_NODES; i++) {
        if (cluster_core(c, i) == NULL) continue;
        const struct author *a = chain_author(core_chain(cluster_core(c, i)), victim);
        if (a == NULL || a->frozen == 0) return false;
    }
    return true;
}

/* Owner 1 says two things in one place, each to another node. All learn of it, void its approvals, keep it over a restart,
 * and pass it on to whom it never reached. */
static void test_equivocation_spreads(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(world, &quiet);
    struct body_REVOCATION one = {.target = REVOKE_DATASET, .approval_signature = SPAN_NONE}, two = one;
    two.subject.bytes[0] = 1;
    cluster_form(c);
    cluster_crash(c, 5); /* it hears nothing of it now */
    const struct author *a = chain_author(core_chain(cluster_core(c, 1)), cluster_id(c, 1));
    uint64_t seq = a->applied + 1;
    struct record_id head = a->head;
    cluster_part(c, 1u << 2 | 1u << 1, true); /* node 2 is away with the liar when it gets its half */
    cluster_inject(c, 1, 2, cluster_forge(c, 1, seq, head, KIND_REVOCATION, &one));
    cluster_inject(c, 1, 6, cluster_forge(c, 1, seq, head, KIND_REVOCATION, &two));
    cluster_run(c, 3000);
    assert_false(frozen_everywhere(c));
    cluster_part(c, 1u << 2 | 1u << 1, false);
    assert_true(cluster_until(c, frozen_everywhere, 20000));
    refused(cluster_request(c, 1, NULL), REFUSAL_FROZEN);
    for (uint32_t i = 0; i < CLUSTER_NODES; i++)
        if (i != 1 && i != 5) {
            cluster_run(c, 500);
            cluster_crash(c, i);
            cluster_restart(c, i);
        }
    assert_true(frozen_everywhere(c)); /* from their own stores */
    cluster_restart(c, 5);
    assert_true(cluster_until(c, frozen_everywhere, 20000));
    struct body_WORKERS workers = {SPAN_LITERAL("spare"), 1, SPAN_NONE};
    refused(cluster_author(c, 1, KIND_WORKERS, &workers, 0, NULL), REFUSAL_SILENT); /* it signs no more */
    cluster_free(c);
}

/* Where a chain ends for who is told of it. */
struct place {
    uint64_t seq;
    struct record_id head;
};

/* The next job of this node's, shown to these nodes (bits) only. */
static void inject_next(struct cluster *c, uint32_t author, struct place *at, const struct body_JOB *body,
                        uint32_t to)
{
    union message_body m;
    enum message code;
    struct record r;
    struct span message = cluster_forge(c, author, at->seq + 1, at->head, KIND_JOB, body);
    assert_int_equal(message_decode(&code, &m, message), OK);
    assert_int_equal(record_open(&r, m.RECORD.header, &m.RECORD.signature, m.RECORD.body), OK);
    for (uint32_t i = 0; i < CLUSTER_NODES; i++)
        if (i != author && (to >> i & 1) != 0) cluster_inject(c, author, i, message);
    *at = (struct place){at->seq + 1, r.id};
}

/* A pair of which the receiver holds neither half is as good. */
static void test_equivocation_pair_alone(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(world, &quiet);
    static uint8_t first[1024], bytes[2048];
    struct body_REVOCATION one = {.target = REVOKE_DATASET, .approval_signature = SPAN_NONE}, two = one;
    union message_body a, b;
    enum message code;
    struct buffer out = BUFFER_OF(bytes);
    two.subject.bytes[0] = 1;
    cluster_form(c);
    const struct author *self = chain_author(core_chain(cluster_core(c, 1)), cluster_id(c, 1));
    struct span half = cluster_forge(c, 1, self->applied + 2, self->head, KIND_REVOCATION, &one);
    memcpy(first, half.data, half.len);
    assert_int_equal(message_decode(&code, &a, span_make(first, half.len)), OK);
    half = cluster_forge(c, 1, self->applied + 2, self->head, KIND_REVOCATION, &two);
    assert_int_equal(message_decode(&code, &b, half), OK);
    struct message_EQUIVOCATION pair = {a.RECORD.header, a.RECORD.signature, b.RECORD.header,
                                        b.RECORD.signature};
    pair.signature_b.bytes[3] ^= 1;
    message_encode(&out, MESSAGE_EQUIVOCATION_CODE, &pair);
    cluster_inject(c, 6, 0, buffer_span(&out)); /* one signature is bad: no proof */
    cluster_run(c, 3000);
    assert_int_equal(chain_author(core_chain(cluster_core(c, 0)), cluster_id(c, 1))->frozen, 0);
    pair.signature_b.bytes[3] ^= 1;
    out.len = 0;
    message_encode(&out, MESSAGE_EQUIVOCATION_CODE, &pair);
    cluster_crash(c, 5);
    cluster_inject(c, 6, 0, buffer_span(&out));
    assert_true(cluster_until(c, frozen_everywhere, 20000));
    cluster_restart(c, 5); /* no head differs: it has to be told */
    assert_true(cluster_until(c, frozen_everywhere, 20000));
    for (uint32_t i = 0; i < CLUSTER_NODES; i++) {
        cluster_run(c, 500);
        cluster_crash(c, i);
        cluster_restart(c, i);
    }
    assert_true(frozen_everywhere(c));
    cluster_free(c);
}

/* --- Durability ------------------------------------------------------------------------------------------------------------------- */

/* With the stores of two custodians held there are two votes, one too few. They are given when the stores have spoken. */
static void test_votes_wait_for_the_store(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(world, &quiet);
    cluster_form(c);
    accepted(cluster_request(c, 1, NULL));
    cluster_hold_store(c, 0, true);
    cluster_hold_store(c, 3, true);
    cluster_run(c, 20000);
    assert_int_equal(starts(c), 0);
    assert_int_equal(cluster_votes_sent(c, 0) + cluster_votes_sent(c, 3), 0);
    assert_true(cluster_votes_sent(c, 1) + cluster_votes_sent(c, 2) > 0);
    cluster_hold_store(c, 0, false);
    cluster_hold_store(c, 3, false);
    assert_true(cluster_until(c, one_started, 20000));
    cluster_run(c, 10000);
    assert_one_certificate(c, 0);
    cluster_free(c);
}

/* Own records, too: nothing of one is seen before it is kept, and the command waits. */
static void test_records_wait_for_the_store(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(world, &quiet);
    uint8_t bytes[64];
    struct buffer b = BUFFER_OF(bytes);
    struct body_WORKERS body = {SPAN_LITERAL("default"), 1, SPAN_NONE};
    cluster_sign_charter(c);
    cluster_run(c, 3000);
    uint64_t before = chain_author(core_chain(cluster_core(c, 1)), cluster_id(c, 0))->applied;
    body_encode(&b, KIND_WORKERS, &body);
    struct command command = {.type = COMMAND_AUTHOR, .kind = KIND_WORKERS, .body = buffer_span(&b)};
    cluster_hold_store(c, 0, true);
    cluster_send_command(c, 0, &command);
    cluster_run(c, 5000);
    assert_int_equal(chain_author(core_chain(cluster_core(c, 0)), cluster_id(c, 0))->applied, before);
    assert_int_equal(chain_author(core_chain(cluster_core(c, 1)), cluster_id(c, 0))->applied, before);
    cluster_hold_store(c, 0, false);
    cluster_run(c, 5000);
    assert_int_equal(chain_author(core_chain(cluster_core(c, 1)), cluster_id(c, 0))->applied, before + 1);
    cluster_free(c);
}

/* A full disk is a refusal, and the place is free again after it. Another failure may have kept the record after all: nothing
 * more is signed until a restart has read what the store holds. */
static void test_a_failing_store(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(world, &quiet);
    struct body_WORKERS body = {SPAN_LITERAL("default"), 1, SPAN_NONE};
    cluster_sign_charter(c);
    cluster_fail_store(c, 0, ERR_FULL);
    refused(cluster_author(c, 0, KIND_WORKERS, &body, 0, NULL), REFUSAL_FULL);
    cluster_fail_store(c, 0, OK);
    accepted(cluster_author(c, 0, KIND_WORKERS, &body, 0, NULL));
    cluster_fail_store(c, 0, ERR_IO);
    refused(cluster_author(c, 0, KIND_WORKERS, &body, 0, NULL), REFUSAL_STORE);
    cluster_fail_store(c, 0, OK);
    refused(cluster_author(c, 0, KIND_WORKERS, &body, 0, NULL), REFUSAL_STORE);
    assert_int_equal(core_authoring(cluster_core(c, 0)), REFUSAL_STORE); /* and it says so when asked */
    cluster_crash(c, 0);
    cluster_restart(c, 0);
    cluster_run(c, 3000);
    accepted(cluster_author(c, 0, KIND_WORKERS, &body, 0, NULL));
    cluster_run(c, 3000);
    assert_true(cluster_converged(c));
    cluster_free(c);
}

static void restart_all(struct cluster *c, uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++) cluster_crash(c, i);
    for (uint32_t i = first; i < first + count; i++) cluster_restart(c, i);
}

/* After a restart custodians stand by their votes, and by leases they may have given: the other candidate asks in vain. */
static void test_restart_keeps_votes(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(world, &quiet);
    cluster_form(c);
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++) cluster_link(c, WORLD_COMPUTE, i, false);
    accepted(cluster_request(c, 1, NULL));
    assert_true(cluster_until(c, one_started, 30000));
    restart_all(c, 0, WORLD_CUSTODIANS);
    cluster_crash(c, CLUSTER_SECOND); /* who won says nothing more */
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++) cluster_link(c, WORLD_COMPUTE, i, true);
    cluster_run(c, 30000);
    assert_int_equal(starts(c), 1);
    cluster_restart(c, CLUSTER_SECOND);
    cluster_run(c, 30000);
    assert_int_equal(starts(c), 1);
    accepted(cluster_request(c, 2, NULL)); /* and the consortium goes on */
    cluster_run(c, 30000);
    assert_int_equal(starts(c), 2);
    assert_one_certificate(c, 0);
    cluster_free(c);
}

static struct run_view view_of(struct cluster *c, uint32_t node, struct run_id run);

/* A custodian that started and saw nobody votes for nothing; who is elected at last shows no reason of before. */
static void test_an_isolated_custodian_does_not_vote(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(world, &quiet);
    struct run_id run;
    uint32_t count;
    cluster_form(c);
    cluster_part(c, 1u << WORLD_COMPUTE | 1u << CLUSTER_SECOND, true);
    accepted(cluster_request(c, 1, &run));
    cluster_run(c, 3000);
    restart_all(c, 0, WORLD_CUSTODIANS);
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++) {
        assert_true(core_isolated(cluster_core(c, i)));
        for (uint32_t j = 0; j < i; j++) cluster_link(c, i, j, false);
    }
    cluster_part(c, 1u << WORLD_COMPUTE | 1u << CLUSTER_SECOND, false);
    cluster_run(c, 20000);
    assert_int_equal(starts(c), 0); /* each is in touch with candidates, with no other custodian */
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++) assert_int_equal(cluster_votes_sent(c, i), 0);
    assert_string_equal(refusal_name(view_of(c, WORLD_COMPUTE, run).verdict.refusal), "isolated");
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++)
        for (uint32_t j = 0; j < i; j++) cluster_link(c, i, j, true);
    assert_true(cluster_until(c, one_started, 30000));
    const struct run_view won = view_of(c, cluster_starts(c, &count)->node, run);
    assert_string_equal(refusal_name(won.verdict.refusal), "none");
    cluster_free(c);
}

enum { NOBODY = CLUSTER_NODES };

static void inject(struct cluster *c, uint32_t from, uint32_t to, enum message code, const void *message)
{
    static uint8_t bytes[160];
    struct buffer b = BUFFER_OF(bytes);
    message_encode(&b, code, message);
    cluster_inject(c, from, to, buffer_span(&b));
    cluster_run(c, 30);
}

/* It holds what is held here, or, compared, more of this author. */
static void inject_heads(struct cluster *c, uint32_t from, uint32_t to, uint32_t author_number)
{
    uint8_t items[72];
    struct buffer item = BUFFER_OF(items);
    const bool ahead = author_number != NOBODY;
    const struct node_id author = cluster_id(c, ahead ? author_number : 0);
    const struct hash32 head = {{0x77}};
    const struct message_ROOT root = {cluster_wall_ms(c), ahead ? head : core_root(cluster_core(c, to))};
    buffer_put(&item, ID_SPAN(author));
    buffer_put_u64(&item, CAP_AUTHOR_RECORDS);
    buffer_put(&item, ID_SPAN(head));
    inject(c, from, to, MESSAGE_ROOT_CODE, &root);
    if (!ahead) return;
    const uint32_t turn = peer_find(cluster_core(c, to), cluster_id(c, from))->turn;
    const struct message_HEADS heads = {cluster_wall_ms(c), turn, 0, {{0}}, buffer_span(&item)};
    inject(c, from, to, MESSAGE_HEADS_CODE, &heads);
}

/* Links that say nothing for a lease, though nobody ended them: every custodian is isolated, and has to compare anew. */
static void test_silence_isolates(void **state)
{
    (void)state;
    enum { LEASE_MS = 1000, TICK_MOST_MS = 250 };
    struct cluster *c = cluster_new(world, &quiet);
    cluster_form(c);
    cluster_noise(c, 100, 0);
    cluster_run(c, LEASE_MS / 4);
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++) assert_false(core_isolated(cluster_core(c, i)));
    cluster_run(c, LEASE_MS + TICK_MOST_MS);
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++)
        assert_string_equal(refusal_name(core_standing(cluster_core(c, i))), "isolated");
    inject_heads(c, 0, 1, NOBODY);
    assert_true(core_isolated(cluster_core(c, 1))); /* with itself that makes two of three */
    inject_heads(c, 2, 1, 0);
    assert_true(core_isolated(cluster_core(c, 1))); /* heard, and ahead of it */
    inject_heads(c, WORLD_COMPUTE, 1, NOBODY);
    assert_true(core_isolated(cluster_core(c, 1))); /* no custodian */
    inject_heads(c, 2, 1, NOBODY);
    assert_false(core_isolated(cluster_core(c, 1)));
    cluster_noise(c, 0, 0);
    cluster_run(c, LEASE_MS);
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++)
        assert_string_equal(refusal_name(core_standing(cluster_core(c, i))), "none");
    cluster_free(c);
}

/* A member shows one custodian one record and the others another, with more behind it than may be kept ahead of a gap. All
 * know the pair; what they hold of it from there on keeps none of them apart. */
static void test_a_fork_isolates_nobody(void **state)
{
    (void)state;
    enum { LIAR = WORLD_ALGORITHM, EVERYBODY = (1u << CLUSTER_NODES) - 1 };
    struct cluster *c = cluster_new(world, &quiet);
    struct body_JOB one = {.app = world->app, .task = SPAN_LITERAL("a")}, two = one;
    two.task = SPAN_LITERAL("b");
    cluster_form(c);
    const struct author *a = chain_author(core_chain(cluster_core(c, 0)), cluster_id(c, LIAR));
    struct place first = {a->applied, a->head}, second = first;
    cluster_crash(c, LIAR);
    inject_next(c, LIAR, &first, &one, 1u << 1);
    inject_next(c, LIAR, &second, &two, EVERYBODY & ~(1u << 1));
    cluster_run(c, 3000);
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++)
        assert_int_equal(chain_author(core_chain(cluster_core(c, i)), cluster_id(c, LIAR))->frozen,
                         first.seq);
    cluster_noise(c, 100, 0);
    cluster_run(c, 2000);
    assert_true(core_isolated(cluster_core(c, 1)));
    inject_heads(c, 0, 1, LIAR);
    inject_heads(c, 2, 1, LIAR);
    assert_false(core_isolated(cluster_core(c, 1)));
    cluster_free(c);
}

/* The next of this author's chain: two that differ in one place, of which some get the first; and one that follows the second. */
static void fork_of(struct cluster *c, uint32_t author, uint32_t some, uint64_t time_ms)
{
    enum { BY = WORLD_COMPUTE };
    static uint8_t kept[3][2048];
    struct record_id first[2];
    const struct author *a = chain_author(core_chain(cluster_core(c, author)), cluster_id(c, author));
    const struct place next = {a != NULL ? a->applied + 1 : 1, a != NULL ? a->head : (struct record_id){{0}}};
    const struct body_JOB body[2] = {{.task = SPAN_LITERAL("a")}, {.task = SPAN_LITERAL("b")}};
    struct span message[3];
    for (uint32_t i = 0; i < 3; i++) {
        const struct record_id prev = i < 2 ? next.head : first[1];
        struct span m =
            cluster_forge_of(c, author, next.seq + (i == 2), prev, KIND_JOB, &body[i % 2], time_ms);
        union message_body b;
        enum message code;
        memcpy(kept[i], m.data, m.len);
        message[i] = span_make(kept[i], m.len);
        assert_int_equal(message_decode(&code, &b, message[i]), OK);
        if (i < 2) first[i] = record_id_of(b.RECORD.header);
    }
    cluster_crash(c, author);
    for (uint32_t i = 0; i < CLUSTER_NODES; i++) {
        const uint32_t which = (some >> i & 1) != 0 ? 0 : 1;
        if (i == author) continue;
        cluster_inject(c, i == BY ? BY + 1 : BY, i, message[which]);
        cluster_inject(c, i == BY ? BY + 1 : BY, i, message[2]);
    }
}

static bool all_froze(struct cluster *c)
{
    bool all = true;
    for (uint32_t i = 0; i < CLUSTER_NODES; i++) {
        if (i == WORLD_REQUESTER) continue;
        const struct author *a = chain_author(core_chain(cluster_core(c, i)), cluster_id(c, WORLD_REQUESTER));
        all &= a != NULL && a->frozen > 0;
    }
    return all;
}

/* What follows the one is held behind the other too: no head may hide that they differ, though they are too old to be told of. */
static void test_a_fork_behind_one_head(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(world, &quiet);
    cluster_form(c);
    fork_of(c, WORLD_REQUESTER, 3, cluster_wall_ms(c) - 660000);
    assert_true(cluster_until(c, all_froze, 30000));
    cluster_free(c);
}

/* A revocation behind a hole is in no head; it came while others were cut off, and its author is gone. */
static bool all_hold(struct cluster *c)
{
    bool all = true;
    for (uint32_t i = 0; i < CLUSTER_NODES; i++) {
        if (i == 1) continue;
        const struct author *a = chain_author(core_chain(cluster_core(c, i)), cluster_id(c, 1));
        all &= a->seen == a->applied + 2 && chain_early(core_chain(cluster_core(c, i)), a, 7) != NULL;
    }
    return all;
}

static void test_a_revocation_behind_a_hole(void **state)
{
    (void)state;
    static uint8_t kept[2048];
    struct cluster *c = cluster_new(world, &quiet);
    cluster_form(c);
    const struct author *a = chain_author(core_chain(cluster_core(c, 1)), cluster_id(c, 1));
    const struct body_REVOCATION all = {.target = REVOKE_ALL, .approval_signature = SPAN_NONE};
    struct span m = cluster_forge(c, 1, a->applied + 2, a->head, KIND_REVOCATION, &all);
    memcpy(kept, m.data, m.len);
    cluster_part(c, 1U << 2, true);
    cluster_crash(c, 1);
    cluster_run(c, 2000);
    cluster_inject(c, 1, 2, span_make(kept, m.len));
    cluster_run(c, 2000);
    assert_false(all_hold(c));
    cluster_part(c, 1U << 2, false);
    assert_true(cluster_until(c, all_hold, 30000));
    cluster_free(c);
}

/* --- The end of a run ------------------------------------------------------------------------------------------------------------------ */

enum { RUN_LASTS_MS = 60000, HAND_OVER_MS = 90000 };

/* Elected, and its worker says how far it is. */
static struct cluster_start start_run_that(struct cluster *c, enum run_state says)
{
    struct hash32 id;
    struct command command = {.type = COMMAND_RUN,
                              .compose = world->compose,
                              .slot = 1,
                              .expires_ms = cluster_wall_ms(c) + RUN_LASTS_MS,
                              .body = SPAN_NONE,
                              .parameters = world->parameters};
    uint8_t frame[] = {FRAME_STATE, (uint8_t)says};
    uint32_t count;
    accepted(cluster_command(c, WORLD_REQUESTER, &command, &id));
    assert_true(cluster_until(c, one_started, 20000));
    struct cluster_start start = *cluster_starts(c, &count);
    assert_memory_equal(start.run.bytes, id.bytes, 32);
    cluster_frame(c, start.node, start.run, SPAN_OF(frame));
    return start;
}

static void expect_view(struct cluster *c, uint32_t node, struct run_id run, const char *state,
                        const char *reason)
{
    struct run_view view;
    assert_true(core_run(cluster_core(c, node), run, &view));
    assert_string_equal(run_state_name(view.state), state);
    assert_string_equal(refusal_name(view.verdict.refusal), reason);
}

static bool was_stopped(struct cluster *c)
{
    uint32_t count;
    return cluster_starts(c, &count)->stopped;
}

/* Progress by this node that fits no certificate, or one that is not its own, shown to whoever asked for the run. */
static void say_failed(struct cluster *c, uint32_t liar, struct run_id run, uint64_t term,
                       struct span certificate)
{
    struct body_PROGRESS body = {run, term, RUN_FAILED, REFUSAL_COMPUTATION, 0, certificate};
    cluster_inject(c, liar, WORLD_REQUESTER,
                   cluster_forge(c, liar, 0, (struct record_id){{0}}, KIND_PROGRESS, &body));
    cluster_run(c, 500);
    expect_view(c, WORLD_REQUESTER, run, "computing", "none");
}

/* Its approval never counts again: the run that needs it is over, and waits for nobody until it expires. */
static void test_a_run_of_a_frozen_owner_ends(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(world, &quiet);
    struct body_REVOCATION one = {.target = REVOKE_DATASET, .approval_signature = SPAN_NONE}, two = one;
    struct run_id run;
    two.subject.bytes[0] = 1;
    cluster_form(c);
    cluster_crash(c, WORLD_COMPUTE);
    cluster_crash(c, CLUSTER_SECOND);
    accepted(cluster_request(c, 1, &run));
    cluster_run(c, 2000);
    const struct author *a = chain_author(core_chain(cluster_core(c, 1)), cluster_id(c, 1));
    const uint64_t seq = a->applied + 1;
    const struct record_id head = a->head;
    cluster_inject(c, 1, 2, cluster_forge(c, 1, seq, head, KIND_REVOCATION, &one));
    cluster_inject(c, 1, 3, cluster_forge(c, 1, seq, head, KIND_REVOCATION, &two));
    assert_true(cluster_until(c, frozen_everywhere, 20000));
    cluster_run(c, 3000);
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++) expect_view(c, i, run, "revoked", "equivocation");
    expect_view(c, WORLD_REQUESTER, run, "revoked", "equivocation");
    cluster_free(c);
}

/* Its enclave misses what was taken back, and says that there is none: soon, or when all show the run as revoked. All show by whom. */
static void test_a_revoked_run_ends_as_such(void **state)
{
    (void)state;
    static const struct {
        uint64_t after_ms;
        uint8_t told; /* by nobody; by one; as its receipt would be judged */
    } cases[] = {{2000, 0}, {25000, 1}, {2000, FAILED_JUDGED}};
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cluster *c = cluster_new(world, &quiet);
        struct body_REVOCATION body = {.target = REVOKE_COMPOSE, .approval_signature = SPAN_NONE};
        uint8_t frame[] = {FRAME_FAILED, REFUSAL_NO_APPROVAL, cases[i].told};
        struct run_view view;
        memcpy(body.subject.bytes, world->compose.bytes, 32);
        cluster_form(c);
        struct cluster_start start = start_run_that(c, RUN_ATTESTED);
        accepted(cluster_author(c, 0, KIND_REVOCATION, &body, 0, NULL));
        cluster_run(c, cases[i].after_ms);
        cluster_frame(c, start.node, start.run, SPAN_OF(frame));
        cluster_run(c, 10000);
        for (uint32_t j = 0; j < CLUSTER_NODES; j++) {
            expect_view(c, j, start.run, "revoked", "revoked");
            assert_true(core_run(cluster_core(c, j), start.run, &view));
            assert_memory_equal(view.verdict.subject.bytes, cluster_id(c, 0).bytes, 32);
        }
        cluster_free(c);
    }
}

/* It is taken back just before its end, while its enclave may still have a lease; and its node says no more. */
static void test_a_revoked_run_comes_to_its_end(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(world, &quiet);
    struct body_REVOCATION body = {.target = REVOKE_COMPOSE, .approval_signature = SPAN_NONE};
    memcpy(body.subject.bytes, world->compose.bytes, 32);
    cluster_form(c);
    const uint64_t last_ms = cluster_wall_ms(c) + RUN_LASTS_MS - 500;
    struct cluster_start start = start_run_that(c, RUN_ATTESTED);
    cluster_run(c, last_ms - cluster_wall_ms(c));
    cluster_crash(c, start.node);
    accepted(cluster_author(c, 0, KIND_REVOCATION, &body, 0, NULL));
    cluster_run(c, 3000);
    expect_view(c, WORLD_REQUESTER, start.run, "revoked", "revoked");
    cluster_free(c);
}

/* Nobody computes it, and it is taken back when its end has come: that has no say, with who was away then either. */
static void test_an_expired_run_is_not_revoked(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(world, &quiet);
    struct body_REVOCATION body = {.target = REVOKE_COMPOSE, .approval_signature = SPAN_NONE};
    memcpy(body.subject.bytes, world->compose.bytes, 32);
    cluster_form(c);
    struct cluster_start start = start_run_that(c, RUN_ATTESTED);
    cluster_crash(c, start.node);
    cluster_crash(c, WORLD_ALGORITHM);
    cluster_run(c, RUN_LASTS_MS + 1000);
    accepted(cluster_author(c, 0, KIND_REVOCATION, &body, 0, NULL));
    cluster_restart(c, WORLD_ALGORITHM);
    cluster_run(c, 10000);
    expect_view(c, WORLD_REQUESTER, start.run, "expired", "run-expired");
    expect_view(c, WORLD_ALGORITHM, start.run, "expired", "run-expired");
    cluster_free(c);
}

/* An owner takes it back while its enclave asks for chunks: whoever serves them refuses, the enclave finds none, and what is
 * shown is why, not that its owner is awaited. */
static void test_a_revoked_run_is_awaited_by_nobody(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(world, &quiet);
    struct body_REVOCATION body = {.target = REVOKE_COMPOSE, .approval_signature = SPAN_NONE};
    uint8_t frame[] = {FRAME_FAILED, REFUSAL_INPUT_MISSING, 0};
    memcpy(body.subject.bytes, world->compose.bytes, 32);
    cluster_form(c);
    struct cluster_start start = start_run_that(c, RUN_KEYED);
    accepted(cluster_author(c, 0, KIND_REVOCATION, &body, 0, NULL));
    cluster_run(c, 2000);
    cluster_frame(c, start.node, start.run, SPAN_OF(frame));
    cluster_run(c, 10000);
    for (uint32_t i = 0; i < CLUSTER_NODES; i++) expect_view(c, i, start.run, "revoked", "revoked");
    cluster_free(c);
}

/* Only the node that was elected says how far a run is. */
static void test_a_liar_moves_no_view(void **state)
{
    (void)state;
    uint8_t bytes[CERTIFICATE_BYTES_MAX];
    struct cluster *c = cluster_new(world, &quiet);
    cluster_form(c);
    struct cluster_start start = start_run_that(c, RUN_COMPUTING);
    cluster_run(c, 3000);
    uint32_t liar = start.node == WORLD_COMPUTE ? CLUSTER_SECOND : WORLD_COMPUTE;
    const struct run_entry *run = registry_run(registry_of(c, 0), start.run);
    struct certificate cert = {.consortium = world->consortium,
                               .epoch = run->body.epoch,
                               .run = start.run,
                               .compose = run->body.compose,
                               .slot = run->body.slot,
                               .term = UINT32_MAX,
                               .node = cluster_id(c, liar),
                               .vote_count = 3,
                               .custodian = {0, 1, 2}};
    struct buffer b = BUFFER_OF(bytes);
    certificate_encode(&b, &cert);
    say_failed(c, liar, start.run, UINT32_MAX, SPAN_NONE);
    say_failed(c, liar, start.run, UINT32_MAX, buffer_span(&b)); /* nobody voted so */
    say_failed(c, liar, start.run, 1, SPAN_NONE);
    say_failed(c, start.node, start.run, UINT32_MAX, SPAN_NONE); /* for that term it was not elected */
    struct body_PROGRESS own = {start.run, 1, RUN_FAILED, REFUSAL_COMPUTATION, 0, SPAN_NONE};
    cluster_inject(c, start.node, WORLD_REQUESTER,
                   cluster_forge(c, start.node, 0, (struct record_id){{0}}, KIND_PROGRESS, &own));
    cluster_run(c, 500);
    expect_view(c, WORLD_REQUESTER, start.run, "failed", "computation-failed");
    cluster_free(c);
}

/* Whoever was away when a node was elected learns of it from what that says later. */
static void test_progress_shows_its_certificate(void **state)
{
    (void)state;
    uint8_t attested[] = {FRAME_STATE, RUN_ATTESTED};
    struct cluster *c = cluster_new(world, &quiet);
    cluster_form(c);
    cluster_link(c, WORLD_COMPUTE, 3, false);
    cluster_link(c, CLUSTER_SECOND, 3, false);
    struct cluster_start start = start_run_that(c, RUN_ELECTED);
    cluster_run(c, 3000);
    expect_view(c, 3, start.run, "requested", "none");
    cluster_link(c, WORLD_COMPUTE, 3, true);
    cluster_link(c, CLUSTER_SECOND, 3, true);
    cluster_run(c, 500);
    cluster_frame(c, start.node, start.run, SPAN_OF(attested));
    cluster_run(c, 3000);
    expect_view(c, 3, start.run, "attested", "none");
    cluster_free(c);
}

/* An op that never ends: at the run's end it has expired for everyone, and its node stops the worker and believes no more
 * of what that says. */
static void test_a_run_that_never_ends(void **state)
{
    (void)state;
    static const uint8_t late[] = {FRAME_STATE, RUN_COMMITTED};
    struct cluster *c = cluster_new(world, &quiet);
    cluster_form(c);
    struct cluster_start start = start_run_that(c, RUN_COMPUTING);
    cluster_run(c, RUN_LASTS_MS / 2);
    for (uint32_t i = 0; i < CLUSTER_NODES; i++) expect_view(c, i, start.run, "computing", "none");
    assert_false(was_stopped(c));
    cluster_run(c, RUN_LASTS_MS / 2 + 1000);
    assert_true(was_stopped(c));
    cluster_frame(c, start.node, start.run, SPAN_OF(late));
    cluster_frame(c, start.node, start.run, SPAN_NONE); /* gone */
    cluster_run(c, 3000);
    for (uint32_t i = 0; i < CLUSTER_NODES; i++) expect_view(c, i, start.run, "expired", "run-expired");
    cluster_free(c);
}

/* What is committed may still be handed over. */
static void test_a_committed_run_is_given_time(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(world, &quiet);
    cluster_form(c);
    struct cluster_start start = start_run_that(c, RUN_COMMITTED);
    cluster_run(c, RUN_LASTS_MS + HAND_OVER_MS - 5000);
    assert_false(was_stopped(c));
    expect_view(c, start.node, start.run, "committed", "none");
    cluster_run(c, 6000);
    assert_true(was_stopped(c));
    expect_view(c, start.node, start.run, "expired", "run-expired");
    cluster_free(c);
}

/* After the end nobody serves or signs: what a worker then fails with follows from it. */
static void test_the_end_is_why(void **state)
{
    (void)state;
    static const uint8_t failed[][3] = {{FRAME_FAILED, REFUSAL_TIMEOUT, 0},
                                        {FRAME_FAILED, REFUSAL_RUN_EXPIRED, FAILED_JUDGED}};
    for (uint32_t i = 0; i < 2; i++) {
        struct cluster *c = cluster_new(world, &quiet);
        cluster_form(c);
        struct cluster_start start = start_run_that(c, RUN_COMMITTED);
        cluster_run(c, RUN_LASTS_MS + 1000);
        cluster_frame(c, start.node, start.run, SPAN_OF(failed[i]));
        cluster_run(c, 10); /* at once */
        expect_view(c, start.node, start.run, "expired", "run-expired");
        cluster_run(c, 1000);
        expect_view(c, start.node, start.run, "expired", "run-expired");
        cluster_free(c);
    }
}

/* Its receipt would not hold now: by what there is when another term begins, it may. What an enclave finds at its start would come
 * again: this node does not try it once more, though another may. */
static void test_what_is_judged_is_tried_again(void **state)
{
    static const enum refusal reasons[] = {REFUSAL_APPROVAL_EXPIRED, REFUSAL_EVIDENCE, REFUSAL_PLATFORM,
                                           REFUSAL_RUN_EXPIRED};
    (void)state;
    for (uint32_t i = 0; i < 2 * sizeof reasons / sizeof reasons[0]; i++) {
        const bool judged = i % 2 == 0;
        const uint8_t failed[] = {FRAME_FAILED, (uint8_t)reasons[i / 2], judged ? FAILED_JUDGED : 0};
        struct cluster *c = cluster_new(world, &quiet);
        uint32_t count, here = 0;
        cluster_form(c);
        const struct cluster_start first = start_run_that(c, RUN_ATTESTED);
        cluster_frame(c, first.node, first.run, SPAN_OF(failed));
        cluster_run(c, 10000);
        const struct cluster_start *start = cluster_starts(c, &count);
        for (uint32_t j = 0; j < count; j++) here += start[j].node == first.node;
        assert_int_equal(here > 1, judged);
        cluster_free(c);
    }
}

/* --- What was seen of a run, over a restart --------------------------------------------------------------------------------------------- */

static struct run_view view_of(struct cluster *c, uint32_t node, struct run_id run)
{
    struct run_view view;
    assert_true(core_run(cluster_core(c, node), run, &view));
    return view;
}

/* Every node answers after a restart as it did before, and goes on so when they have talked. */
static void expect_views_kept(struct cluster *c, struct run_id run)
{
    struct run_view before[CLUSTER_NODES];
    cluster_run(c, 1000); /* the stores have it */
    for (uint32_t i = 0; i < CLUSTER_NODES; i++) before[i] = view_of(c, i, run);
    restart_all(c, 0, CLUSTER_NODES);
    for (uint32_t round = 0; round < 2; round++, cluster_run(c, 10000))
        for (uint32_t i = 0; i < CLUSTER_NODES; i++) {
            struct run_view after = view_of(c, i, run);
            assert_string_equal(run_state_name(after.state), run_state_name(before[i].state));
            assert_string_equal(refusal_name(after.verdict.refusal), refusal_name(before[i].verdict.refusal));
            assert_memory_equal(after.verdict.subject.bytes, before[i].verdict.subject.bytes, 32);
            assert_true(ID_EQUAL(after.node, before[i].node) && after.term == before[i].term);
            assert_memory_equal(after.entered_ms, before[i].entered_ms, sizeof after.entered_ms);
            assert_int_equal(after.bad_shares, before[i].bad_shares);
        }
}

/* An enclave names a custodian for its shares, by the release that signed them: everybody sees whose they were, and nobody is
 * named by a statement that is not its own. */
static void test_bad_shares_are_named(void **state)
{
    (void)state;
    static const uint8_t failed[] = {FRAME_FAILED, REFUSAL_COMPUTATION, 0};
    uint8_t frame[2048];
    struct cluster *c = cluster_new(world, &quiet);
    cluster_form(c);
    struct cluster_start start = start_run_that(c, RUN_ATTESTED);
    struct body_RELEASE release = {.run = start.run, .term = 1, .heads = SPAN_NONE};
    const struct world_node *n = &world->node[2];
    struct span statement = world_statement(world, &n->secret, n->id, KIND_RELEASE, &release);
    for (uint8_t named = 4; named-- > 1;) {
        struct buffer b = BUFFER_OF(frame);
        buffer_put_u8(&b, FRAME_BAD_SHARES);
        buffer_put_u8(&b, named);
        buffer_put(&b, statement);
        cluster_frame(c, start.node, start.run, buffer_span(&b));
    }
    cluster_run(c, 3000);
    for (uint32_t i = 0; i < CLUSTER_NODES; i++) {
        assert_int_equal(view_of(c, i, start.run).bad_shares, 1u << 2);
        assert_int_equal(view_of(c, i, start.run).state, RUN_ATTESTED); /* it goes on */
    }
    cluster_frame(c, start.node, start.run, SPAN_OF(failed));
    cluster_run(c, 3000);
    for (uint32_t i = 0; i < CLUSTER_NODES; i++)
        assert_int_equal(view_of(c, i, start.run).bad_shares, 1u << 2);
    expect_views_kept(c, start.run);
    cluster_free(c);
}

static void test_a_failure_is_remembered(void **state)
{
    (void)state;
    static const uint8_t failed[] = {FRAME_FAILED, REFUSAL_COMPUTATION, 0};
    struct cluster *c = cluster_new(world, &quiet);
    cluster_form(c);
    struct cluster_start start = start_run_that(c, RUN_COMPUTING);
    cluster_run(c, 3000);
    cluster_frame(c, start.node, start.run, SPAN_OF(failed));
    cluster_run(c, 3000);
    for (uint32_t i = 0; i < CLUSTER_NODES; i++) {
        expect_view(c, i, start.run, "failed", "computation-failed");
        assert_true(view_of(c, i, start.run).entered_ms[RUN_COMPUTING] != 0);
    }
    expect_views_kept(c, start.run);
    cluster_run(c, RUN_LASTS_MS); /* its end changes nothing */
    for (uint32_t i = 0; i < CLUSTER_NODES; i++) expect_view(c, i, start.run, "failed", "computation-failed");
    cluster_free(c);
}

/* Frame `result`: a receipt with all that settles a run. */
static struct span result_of(struct run_id run)
{
    static uint8_t frame[8192];
    struct buffer b = BUFFER_OF(frame);
    struct body_RECEIPT receipt = world_receipt(world, run);
    buffer_put_u8(&b, FRAME_RESULT);
    body_encode(&b, KIND_RECEIPT, &receipt);
    assert_int_equal(buffer_done(&b), OK);
    return buffer_span(&b);
}

static void test_a_settled_run_is_remembered(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(world, &quiet);
    cluster_form(c);
    struct cluster_start start = start_run_that(c, RUN_COMMITTED);
    cluster_run(c, 3000);
    cluster_frame(c, start.node, start.run, result_of(start.run));
    cluster_run(c, 3000);
    assert_true(was_stopped(c));
    for (uint32_t i = 0; i < CLUSTER_NODES; i++) expect_view(c, i, start.run, "settled", "none");
    assert_true(view_of(c, start.node, start.run).entered_ms[RUN_RELEASED] != 0);
    expect_views_kept(c, start.run);
    for (uint32_t i = 0; i < CLUSTER_NODES; i++)
        assert_non_null(registry_run(registry_of(c, i), start.run)->receipt);
    cluster_free(c);
}

/* The elected node's process ends: its worker ends with it, the run is as if it were asked for again, and the others hear so
 * without waiting for silence. */
static void test_a_worker_does_not_outlive_its_node(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(world, &quiet);
    cluster_form(c);
    struct cluster_start start = start_run_that(c, RUN_COMPUTING);
    cluster_run(c, 3000);
    cluster_crash(c, start.node);
    cluster_restart(c, start.node);
    expect_view(c, start.node, start.run, "requested", "enclave-unavailable");
    cluster_run(c, 3000);
    for (uint32_t i = 0; i < CLUSTER_NODES; i++)
        expect_view(c, i, start.run, "requested", "enclave-unavailable");
    assert_int_equal(starts(c), 1);
    cluster_free(c);
}

/* --- Clocks ---------------------------------------------------------------------------------------------------------------------------- */

static void expect_standing(struct cluster *c, uint32_t node, const char *standing)
{
    assert_string_equal(refusal_name(core_standing(cluster_core(c, node))), standing);
}

static void expect_offset(struct cluster *c, uint32_t node, int64_t expected_ms)
{
    int64_t offset_ms = 0;
    assert_true(core_clock_offset(cluster_core(c, node), &offset_ms));
    assert_in_range(offset_ms - expected_ms + 100, 0, 200); /* a message's way counts */
}

/* Custodian 2's clock goes wrong: it stops and the others go on; where they cannot do without it, the run waits for it and
 * says so, and is elected when the clock is right again. */
static void one_clock_off(int64_t off_ms, bool heard)
{
    struct cluster *c = cluster_new(world, &quiet);
    struct run_id run;
    struct run_view view;
    cluster_form(c);
    for (uint32_t i = 0; i < CLUSTER_NODES; i++) expect_offset(c, i, 0);
    cluster_crash(c, CLUSTER_SECOND); /* every vote will be needed: none to another candidate */
    cluster_set_clock(c, 2, off_ms);
    cluster_run(c, 3000);
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++) expect_standing(c, i, i == 2 ? "clock" : "none");
    expect_offset(c, 2, off_ms);
    expect_offset(c, 1, 0);
    accepted(cluster_request(c, 1, NULL));
    assert_true(cluster_until(c, one_started, 20000));
    cluster_run(c, 3000);
    cluster_crash(c, 3);
    accepted(cluster_request(c, 2, &run));
    cluster_run(c, 10000);
    assert_int_equal(starts(c), 1);
    assert_int_equal(cluster_votes_sent(c, 2), 0);
    assert_true(core_run(cluster_core(c, WORLD_COMPUTE), run, &view));
    if (heard) assert_string_equal(refusal_name(view.verdict.refusal), "clock");
    cluster_set_clock(c, 2, 0);
    cluster_run(c, 20000);
    expect_standing(c, 2, "none");
    assert_int_equal(starts(c), 2);
    assert_true(cluster_votes_sent(c, 2) > 0);
    assert_one_certificate(c, 0);
    cluster_free(c);
}

/* Over fifteen minutes apart, nodes refuse each other's statements for their time: then nobody hears it refuse. */
static void test_a_clock_that_is_off(void **state)
{
    (void)state;
    one_clock_off(61000, true);
    one_clock_off(-600000, true);
    one_clock_off(3600000, false);
    one_clock_off(-3600000, false);
}

static struct verdict sign_one(struct cluster *c, uint32_t node)
{
    struct body_SLOT_RETURN body = {.slot = 1, .statements = SPAN_LITERAL("")};
    return cluster_author(c, node, KIND_SLOT_RETURN, &body, 0, NULL);
}

/* What it takes back counts whatever its clock says. */
static void revoke_one(struct cluster *c, uint32_t node)
{
    struct body_REVOCATION body = {.target = REVOKE_APPROVAL, .subject = {{1}}};
    struct node_id author = cluster_id(c, node);
    accepted(cluster_author(c, node, KIND_REVOCATION, &body, 0, NULL));
    cluster_run(c, 3000);
    uint64_t said = chain_author(core_chain(cluster_core(c, node)), author)->applied;
    uint32_t other = node == 0 ? 1 : 0;
    assert_int_equal(chain_author(core_chain(cluster_core(c, other)), author)->seen, said);
}

/* Dated ahead it would be taken by nobody for as long: nothing is signed instead, by whoever it is. */
static void test_a_wrong_clock_signs_nothing(void **state)
{
    (void)state;
    static const int64_t off_ms[] = {61000, -61000, INT64_C(31536000000)};
    struct cluster *c = cluster_new(world, &quiet);
    cluster_form(c);
    for (size_t i = 0; i < sizeof off_ms / sizeof off_ms[0]; i++)
        for (uint32_t node = 0; node <= WORLD_COMPUTE; node += WORLD_COMPUTE) {
            cluster_set_clock(c, node, off_ms[i]);
            cluster_run(c, 3000);
            refused(sign_one(c, node), REFUSAL_CLOCK);
            assert_int_equal(core_authoring(cluster_core(c, node)), REFUSAL_CLOCK);
            revoke_one(c, node);
            cluster_set_clock(c, node, 0);
            cluster_run(c, 3000);
            assert_int_equal(core_authoring(cluster_core(c, node)), REFUSAL_NONE);
        }
    accepted(sign_one(c, 0));
    assert_true(cluster_until(c, cluster_converged, 10000));
    cluster_free(c);
}

/* Signed while nobody was there to compare with: what would follow waits, over a restart too, until its time has come. */
static void test_nothing_follows_a_record_dated_ahead(void **state)
{
    (void)state;
    enum { AHEAD_MS = 20 * 60 * 1000, SKEW_MS = 60000 };
    struct cluster *c = cluster_new(world, &quiet);
    cluster_form(c);
    cluster_part(c, 1u << 0, true);
    cluster_run(c, 3000);
    cluster_set_clock(c, 0, AHEAD_MS);
    uint64_t dated_ms = cluster_wall_ms(c) + AHEAD_MS;
    accepted(sign_one(c, 0));
    cluster_set_clock(c, 0, 0);
    cluster_part(c, 1u << 0, false);
    cluster_run(c, 3000);
    for (uint32_t i = 0; i < 2; i++) {
        assert_in_range(core_dated_ahead(cluster_core(c, 0)), dated_ms, dated_ms + 3000);
        refused(sign_one(c, 0), REFUSAL_CLOCK);
        cluster_crash(c, 0);
        cluster_restart(c, 0);
        cluster_run(c, 3000);
    }
    cluster_run(c, AHEAD_MS - SKEW_MS);
    assert_int_equal(core_dated_ahead(cluster_core(c, 0)), 0);
    accepted(sign_one(c, 0));
    assert_true(cluster_until(c, cluster_converged, 20000));
    cluster_free(c);
}

/* Within skew_max nothing happens; the own clock's step counts at once, not at the next heads. */
static void test_the_clock_is_judged_now(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(world, &quiet);
    cluster_form(c);
    cluster_set_clock(c, 1, 59000);
    cluster_run(c, 3000);
    expect_standing(c, 1, "none");
    cluster_noise(c, 100, 0);
    cluster_set_clock(c, 1, 62000);
    cluster_run(c, 260); /* a tick */
    expect_standing(c, 1, "clock");
    cluster_set_clock(c, 1, 0);
    cluster_run(c, 260);
    expect_standing(c, 1, "none");
    cluster_free(c);
}

/* f custodians whose data nobody needs say what they like: the others stand, each of their votes is needed, and the run is elected. */
static void test_a_liar_stops_nobody(void **state)
{
    enum { LIAR = 3 };
    (void)state;
    static const int64_t lie_ms[] = {-(int64_t)WORLD_START_MS, INT64_C(1) << 52, 119000, -119000};
    for (size_t i = 0; i < sizeof lie_ms / sizeof lie_ms[0]; i++) {
        struct cluster *c = cluster_new(world, &quiet);
        cluster_form(c);
        cluster_crash(c, CLUSTER_SECOND); /* as above */
        cluster_set_clock(c, 0, 29000);   /* honest, and not quite right */
        cluster_set_clock(c, 2, -29000);
        cluster_set_clock(c, LIAR, lie_ms[i]);
        cluster_run(c, 3000);
        for (uint32_t j = 0; j < WORLD_CUSTODIANS; j++) expect_standing(c, j, j == LIAR ? "clock" : "none");
        accepted(cluster_request(c, 1, NULL));
        assert_true(cluster_until(c, one_started, 20000));
        for (uint32_t j = 0; j < WORLD_CUSTODIANS; j++)
            assert_int_equal(cluster_votes_sent(c, j) > 0, j != LIAR);
        cluster_free(c);
    }
}

/* A candidate that knows its clock to be off spends no slot: it asks nobody until the clock is right. */
static void test_a_candidate_with_a_wrong_clock_waits(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(world, &quiet);
    struct run_view view;
    struct run_id run;
    cluster_form(c);
    cluster_set_clock(c, WORLD_COMPUTE, 61000);
    cluster_set_clock(c, CLUSTER_SECOND, -61000);
    cluster_run(c, 3000);
    accepted(cluster_request(c, 1, &run));
    cluster_run(c, 10000);
    assert_int_equal(starts(c), 0);
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++) assert_int_equal(cluster_votes_sent(c, i), 0);
    assert_true(core_run(cluster_core(c, WORLD_COMPUTE), run, &view));
    assert_string_equal(refusal_name(view.verdict.refusal), "clock");
    cluster_set_clock(c, WORLD_COMPUTE, 0);
    assert_true(cluster_until(c, one_started, 20000));
    cluster_free(c);
}

/* --- What was said to another ----------------------------------------------------------------------------------------------------- */

static void inject_answers(struct cluster *c, enum kind kind, struct run_id run, uint32_t to)
{
    for (uint32_t i = 2; i < WORLD_CUSTODIANS; i++) {
        union body body = {.PREVOTE = {.run = run, .term = 1, .node = cluster_id(c, to)}};
        if (kind == KIND_VOTE)
            body = (union body){
                .VOTE = {.run = run, .term = 1, .node = cluster_id(c, to), .refusal = REFUSAL_VOTED}};
        struct record_id none = {{0}};
        cluster_inject(c, i, WORLD_COMPUTE, cluster_forge(c, i, 0, none, kind, &body));
    }
    cluster_run(c, 1000);
}

/* A candidate shows another one the answers it got: prevotes it could go on with, refused votes that would end it. */
static void test_answers_to_another_candidate(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(world, &quiet);
    struct run_id run;
    cluster_form(c);
    cluster_crash(c, CLUSTER_SECOND);
    for (uint32_t i = 2; i < WORLD_CUSTODIANS; i++) cluster_link(c, i, WORLD_COMPUTE, false);
    accepted(cluster_request(c, 1, &run));
    cluster_run(c, 2000);
    inject_answers(c, KIND_PREVOTE, run, CLUSTER_SECOND);
    assert_int_equal(view_of(c, WORLD_COMPUTE, run).state, RUN_REQUESTED);
    inject_answers(c, KIND_PREVOTE, run, WORLD_COMPUTE);
    assert_int_equal(view_of(c, WORLD_COMPUTE, run).state, RUN_ELIGIBLE);
    inject_answers(c, KIND_VOTE, run, CLUSTER_SECOND);
    for (uint32_t i = 2; i < WORLD_CUSTODIANS; i++) cluster_link(c, i, WORLD_COMPUTE, true);
    assert_true(cluster_until(c, one_started, 20000));
    cluster_free(c);
}

/* --- Bad weather -------------------------------------------------------------------------------------------------------------------- */

static bool settled_down(struct cluster *c)
{
    return cluster_converged(c) && one_started(c);
}

/* From nothing to an election with a tenth of all messages lost and a tenth said twice. */
static void test_loss_and_repetition(void **state)
{
    (void)state;
    struct cluster_options options = {.seed = 11, .loss_percent = 10, .repeat_percent = 10};
    struct cluster *c = cluster_new(world, &options);
    cluster_form(c);
    accepted(cluster_request(c, 1, NULL));
    assert_true(cluster_until(c, settled_down, 120000));
    assert_one_certificate(c, 0);
    cluster_free(c);
}

static void random_trouble(struct cluster *c, uint64_t *random)
{
    *random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    uint32_t dice = (uint32_t)(*random >> 33), node = dice / 8 % CLUSTER_NODES;
    switch (dice % 8) {
    case 0:
    case 1:
    case 2:
        if (cluster_core(c, node) != NULL)
            cluster_crash(c, node);
        else
            cluster_restart(c, node);
        break;
    case 3: cluster_part(c, dice / 64 % 256, true); break;
    case 4: cluster_part(c, dice / 64 % 256, false); break;
    case 5: cluster_hold_store(c, node, true); break;
    case 6: cluster_hold_store(c, node, false); break;
    case 7: cluster_noise(c, dice / 64 % 30, dice / 4096 % 30); break;
    }
}

/* Crashes, partitions, held stores and loss at random moments around three elections; then calm. Safety all the way (the
 * cluster asserts it), and in the end everyone holds the same, and no slot has two runs. */
static void one_storm(uint64_t seed)
{
    struct cluster_options options = {.seed = seed, .repeat_percent = 5};
    struct cluster *c = cluster_new(world, &options);
    uint64_t random = seed;
    cluster_form(c);
    for (uint32_t i = 0; i < 60; i++) {
        struct command command = {.type = COMMAND_RUN,
                                  .compose = world->compose,
                                  .slot = 1 + i % 2,
                                  .expires_ms = cluster_wall_ms(c) + 3600000 + i,
                                  .parameters = world->parameters};
        if (i % 20 == 0 && cluster_core(c, WORLD_REQUESTER) != NULL)
            cluster_send_command(c, WORLD_REQUESTER, &command);
        random_trouble(c, &random);
        cluster_run(c, 400);
    }
    cluster_noise(c, 0, 0);
    for (uint32_t i = 0; i < CLUSTER_NODES; i++) {
        cluster_hold_store(c, i, false);
        if (cluster_core(c, i) == NULL) cluster_restart(c, i);
        for (uint32_t j = 0; j < i; j++) cluster_link(c, i, j, true);
    }
    if (!cluster_until(c, cluster_converged, 60000))
        fail_msg("seed %llu does not converge", (unsigned long long)seed);
    cluster_run(c, 20000);
    assert_one_certificate(c, 0);
    cluster_free(c);
}

static void test_storms(void **state)
{
    (void)state;
    const char *text = getenv("PERIGEE_STORM_SEED"), *many = getenv("PERIGEE_STORMS");
    uint64_t first = text != NULL ? strtoull(text, NULL, 10) : 1,
             count = many != NULL ? strtoull(many, NULL, 10) : 8;
    for (uint64_t seed = first; seed < first + count; seed++) one_storm(seed);
}

/* --- All ------------------------------------------------------------------------------------------------------------------------------ */

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

/* An enclave that does not ask for its lease has a long one: the run stays with it. */
static int long_leases(void **state)
{
    world_free(world);
    world_lease_ms = 600000;
    return set_up(state);
}

static int short_leases(void **state)
{
    world_free(world);
    world_lease_ms = 1000;
    return set_up(state);
}

#define WITH_LONG_LEASES(test) cmocka_unit_test_setup_teardown(test, long_leases, short_leases)

/* Who offers enclaves says so every two seconds; a clock that was ahead, and is set right, changes nothing of it. */
static void test_adverts(void **state)
{
    (void)state;
    struct hash32 platform, own;
    const struct node_id compute = world->node[WORLD_COMPUTE].id;
    struct cluster *c = cluster_new(world, &quiet);
    cluster_form(c);
    cluster_run(c, 5000);
    assert_true(core_advertised(cluster_core(c, 0), compute, &platform));
    assert_true(core_advertised(cluster_core(c, WORLD_COMPUTE), compute, &own));
    assert_memory_equal(platform.bytes, own.bytes, 32);
    assert_false(core_advertised(cluster_core(c, 0), world->node[WORLD_REQUESTER].id, &platform));
    cluster_set_clock(c, WORLD_COMPUTE, 600000);
    cluster_run(c, 5000);
    cluster_set_clock(c, WORLD_COMPUTE, 0);
    cluster_run(c, 15000);
    assert_true(core_advertised(cluster_core(c, 0), compute, &platform));
    assert_true(core_advertised(cluster_core(c, WORLD_COMPUTE), compute, &platform));
    cluster_set_clock(c, WORLD_COMPUTE, 600000);
    cluster_run(c, 5000);
    cluster_crash(c, WORLD_COMPUTE);
    cluster_run(c, 11000);
    assert_false(core_advertised(cluster_core(c, 0), compute, &platform));
    cluster_set_clock(c, WORLD_COMPUTE, 0);
    world->platform.bytes[1] ^= 1; /* it is another machine since */
    cluster_restart(c, WORLD_COMPUTE);
    cluster_run(c, 5000);
    assert_true(core_advertised(cluster_core(c, 0), compute, &platform));
    assert_true(core_advertised(cluster_core(c, WORLD_COMPUTE), compute, &own));
    assert_memory_equal(platform.bytes, own.bytes, 32);
    cluster_free(c);
}

/* Whoever is no member any more has nobody left to compare heads with: it is told that it is for good, and not to try later. */
static void test_a_removed_key_signs_nothing(void **state)
{
    (void)state;
    struct body_GRANT grant = {.lower = world->dataset[0].dt, .higher = world->app, .ops = SPAN_NONE};
    struct cluster *c = cluster_new(world, &quiet);
    cluster_form(c);
    cluster_run(c, 5000);
    assert_int_equal(core_authoring(cluster_core(c, WORLD_COMPUTE)), REFUSAL_NONE);
    const struct author *of = chain_author(core_chain(cluster_core(c, 0)), world->node[WORLD_COMPUTE].id);
    const struct body_REMOVAL body = {.node = world->node[WORLD_COMPUTE].id,
                                      .last_seq = of != NULL ? of->applied : 0};
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++)
        accepted(cluster_author(c, i, KIND_REMOVAL, &body, 0, NULL));
    cluster_run(c, 5000);
    assert_int_equal(core_authoring(cluster_core(c, WORLD_COMPUTE)), REFUSAL_REMOVED);
    refused(cluster_author(c, WORLD_COMPUTE, KIND_GRANT, &grant, 0, NULL), REFUSAL_REMOVED);
    cluster_crash(c, WORLD_COMPUTE);
    cluster_restart(c, WORLD_COMPUTE);
    cluster_run(c, 20000);
    assert_int_equal(core_authoring(cluster_core(c, WORLD_COMPUTE)), REFUSAL_REMOVED);
    cluster_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forming),
        cmocka_unit_test(test_keygen_survives_another_length),
        cmocka_unit_test(test_keygen_begins_again),
        cmocka_unit_test(test_keygen_takes_a_certificate_of_others),
        cmocka_unit_test(test_keygen_authors_again),
        cmocka_unit_test(test_applicants_read_little),
        cmocka_unit_test(test_join_refusals),
        cmocka_unit_test(test_a_request_outlives_restarts),
        WITH_LONG_LEASES(test_run_needs_k_approvals),
        WITH_LONG_LEASES(test_parameters_are_the_recipes),
        cmocka_unit_test(test_approval_needs_its_key),
        cmocka_unit_test(test_an_approval_counts_when_it_is_acknowledged),
        WITH_LONG_LEASES(test_one_slot_one_run),
        WITH_LONG_LEASES(test_two_requests_at_once),
        cmocka_unit_test(test_a_revoked_run_ends_as_such),
        WITH_LONG_LEASES(test_a_revoked_run_comes_to_its_end),
        cmocka_unit_test(test_an_expired_run_is_not_revoked),
        WITH_LONG_LEASES(test_a_revoked_run_is_awaited_by_nobody),
        cmocka_unit_test(test_revocation_stops_an_election),
        cmocka_unit_test(test_a_candidacy_ends),
        cmocka_unit_test(test_runs_of_others_are_not_watched),
        cmocka_unit_test(test_equivocation_spreads),
        cmocka_unit_test(test_a_run_of_a_frozen_owner_ends),
        cmocka_unit_test(test_equivocation_pair_alone),
        cmocka_unit_test(test_votes_wait_for_the_store),
        cmocka_unit_test(test_records_wait_for_the_store),
        cmocka_unit_test(test_a_failing_store),
        cmocka_unit_test(test_a_removed_key_signs_nothing),
        WITH_LONG_LEASES(test_restart_keeps_votes),
        cmocka_unit_test(test_an_isolated_custodian_does_not_vote),
        cmocka_unit_test(test_silence_isolates),
        cmocka_unit_test(test_a_fork_isolates_nobody),
        cmocka_unit_test(test_a_fork_behind_one_head),
        cmocka_unit_test(test_a_revocation_behind_a_hole),
        WITH_LONG_LEASES(test_a_liar_moves_no_view),
        WITH_LONG_LEASES(test_progress_shows_its_certificate),
        WITH_LONG_LEASES(test_a_run_that_never_ends),
        WITH_LONG_LEASES(test_a_committed_run_is_given_time),
        WITH_LONG_LEASES(test_adverts),
        WITH_LONG_LEASES(test_the_end_is_why),
        cmocka_unit_test(test_what_is_judged_is_tried_again),
        WITH_LONG_LEASES(test_bad_shares_are_named),
        WITH_LONG_LEASES(test_a_failure_is_remembered),
        WITH_LONG_LEASES(test_a_settled_run_is_remembered),
        WITH_LONG_LEASES(test_a_worker_does_not_outlive_its_node),
        cmocka_unit_test(test_a_clock_that_is_off),
        cmocka_unit_test(test_the_clock_is_judged_now),
        cmocka_unit_test(test_a_wrong_clock_signs_nothing),
        cmocka_unit_test(test_nothing_follows_a_record_dated_ahead),
        cmocka_unit_test(test_a_liar_stops_nobody),
        cmocka_unit_test(test_a_candidate_with_a_wrong_clock_waits),
        cmocka_unit_test(test_answers_to_another_candidate),
        cmocka_unit_test(test_loss_and_repetition),
        cmocka_unit_test(test_storms),
    };
    return cmocka_run_group_tests_name("proto_core", tests, set_up, tear_down);
}
