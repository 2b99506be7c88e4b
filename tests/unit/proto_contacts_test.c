/* Contacts at a core: what it says of itself, what it believes of others, whom it dials by that, and what it tells whom. The
 * requester's node; the world has seven members, so all are parties to all. */
#include "proto/core_state.h"
#include "proto/election.h"
#include "tests/lone.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)
enum { WEEK_MS = 7 * 86400000, OWN = WORLD_REQUESTER };

static struct world *world;
static struct lone *lone;
static uint32_t verified;

static void count_checks(struct lone *l, enum crypto_op op)
{
    (void)l;
    verified += op == CRYPTO_VERIFY;
}

static void begin_as(uint32_t node)
{
    lone = lone_new(world, node);
    lone->meanwhile = count_checks;
    verified = 0;
}

static void begin(const char *announce)
{
    lone_announce = announce;
    begin_as(OWN);
}

static int setup(void **state)
{
    (void)state;
    world = world_new();
    return 0;
}

/* More than are all linked with each other. */
static int setup_large(void **state)
{
    (void)state;
    world_others = WORLD_OTHERS_MAX;
    world = world_new();
    world_others = 0;
    return 0;
}

static int setup_workers(void **state)
{
    world_others_role = ROLE_COMPUTE;
    const int rc = setup_large(state);
    world_others_role = ROLE_AUDITOR;
    return rc;
}

static int teardown(void **state)
{
    (void)state;
    lone_free(lone);
    world_free(world);
    lone_announce = NULL;
    lone_contacts = SPAN_NONE;
    lone_alone = lone_computes = false;
    return 0;
}

static void wait_s(uint32_t seconds)
{
    for (uint32_t i = 0; i < seconds * 4; i++) {
        lone->now.ns += SECOND / 4;
        lone_event(lone, (struct event){.type = EVENT_TICK});
    }
}

/* By this node, or in its name by another key. */
static struct span contact_by(uint32_t node, uint32_t signer, const char *address, uint64_t time_ms,
                              uint64_t life_ms)
{
    static uint8_t built[1024], packed[1024];
    const struct body_CONTACT body = {span_text(address)};
    struct buffer b = BUFFER_OF(built), out = BUFFER_OF(packed);
    struct header h = {.kind = KIND_CONTACT,
                       .consortium = world->consortium,
                       .author = world->node[node].id,
                       .time_ms = time_ms,
                       .expires_ms = time_ms + life_ms};
    struct signature signature;
    struct record r;
    size_t header_len;
    assert_int_equal(record_build(&b, &header_len, &h, &body), OK);
    const struct span header = span_make(built, header_len);
    assert_int_equal(identity_sign(&signature, &world->node[signer].secret, record_sign_hash(h.kind, header)),
                     OK);
    assert_int_equal(record_open(&r, header, &signature, span_make(built + header_len, b.len - header_len)),
                     OK);
    record_pack(&out, &r);
    return buffer_span(&out);
}

static void say(uint32_t from, struct span packed)
{
    struct record r;
    assert_int_equal(record_unpack(&r, packed), OK);
    lone_record(lone, world->node[from].id, &r);
}

static void hear_of(uint32_t node, const char *address)
{
    say(0, contact_by(node, node, address, world->now_ms, WEEK_MS));
}

/* Messages of contacts that it sent: to whom, and whose. */
static uint32_t told(struct node_id to, struct node_id of)
{
    union message_body m;
    struct node_id who;
    uint32_t at = 0, count = 0;
    while (lone_next(lone, &at, MESSAGE_RECORD_CODE, &m, &who)) {
        struct record r;
        assert_int_equal(record_open(&r, m.RECORD.header, &m.RECORD.signature, m.RECORD.body), OK);
        count += r.header.kind == KIND_CONTACT && ID_EQUAL(who, to) &&
                 (ID_IS_ZERO(of) || ID_EQUAL(r.header.author, of));
    }
    return count;
}

static const struct node_id anybody;

static uint32_t asked(void)
{
    union message_body m;
    struct node_id who;
    uint32_t at = 0, count = 0;
    while (lone_next(lone, &at, MESSAGE_CONTACTS_GET_CODE, &m, &who)) count++;
    return count;
}

static void ask(struct node_id from, uint64_t count)
{
    uint8_t bytes[16];
    struct buffer b = BUFFER_OF(bytes);
    message_encode(&b, MESSAGE_CONTACTS_GET_CODE, &(struct message_CONTACTS_GET){count});
    lone_message(lone, from, buffer_span(&b));
}

static void ask_for_these(struct node_id from, struct span nodes)
{
    uint8_t bytes[128];
    struct buffer b = BUFFER_OF(bytes);
    message_encode(&b, MESSAGE_CONTACTS_WANT_CODE, &(struct message_CONTACTS_WANT){nodes});
    lone_message(lone, from, buffer_span(&b));
}

static void ask_for(struct node_id from, struct node_id node)
{
    ask_for_these(from, ID_SPAN(node));
}

static void ask_for_both(struct node_id from, struct node_id one, struct node_id two)
{
    const struct node_id both[] = {one, two};
    ask_for_these(from, span_make(both, sizeof both));
}

/* --- The own one --------------------------------------------------------------------------------------------------------- */

static void test_it_says_where_it_is(void **state)
{
    const struct node_id self = world->node[OWN].id, stranger = {{0xee}};
    (void)state;
    begin("tcp://10.0.0.1:7001");
    lone_event(lone, (struct event){.type = EVENT_PEER_UP, .peer = stranger});
    wait_s(3);
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++) assert_int_equal(told(world->node[i].id, self), 1);
    assert_int_equal(told(stranger, anybody), 0);
    lone_event(lone, (struct event){.type = EVENT_PEER_UP, .peer = world->node[WORLD_COMPUTE].id});
    assert_int_equal(told(world->node[WORLD_COMPUTE].id, self), 1); /* who comes later, too */
    lone->sent_count = 0;
    lone->now.ns += 3600 * SECOND;
    wait_s(1);
    assert_int_equal(told(world->node[0].id, self), 1); /* each hour */
}

static void test_who_has_no_address_says_none(void **state)
{
    (void)state;
    begin(NULL);
    wait_s(3);
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++) assert_int_equal(told(world->node[i].id, anybody), 0);
    assert_true(asked() > 0); /* it dials all the same */
}

/* It revokes something of its own. */
static void take_back(void)
{
    uint8_t bytes[128];
    struct buffer b = BUFFER_OF(bytes);
    const struct body_REVOCATION body = {.target = REVOKE_APPROVAL};
    body_encode(&b, KIND_REVOCATION, &body);
    const struct command command = {.type = COMMAND_AUTHOR, .kind = KIND_REVOCATION, .body = buffer_span(&b)};
    lone_event(lone, (struct event){.type = EVENT_COMMAND, .token = 9, .command = &command});
}

static const struct parties *run_parties(void)
{
    return &lone->core->dialling.parties;
}

/* --- Parties of the few ------------------------------------------------------------------------------------------------------ */

static uint32_t custodians_that_are_parties(void)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++) count += core_party(lone->core, world->node[i].id);
    return count;
}

/* It signs nothing before it has compared heads with them, be it to take back. */
static void test_who_starts_with_records_asks_custodians(void **state)
{
    (void)state;
    lone_alone = true;
    begin(NULL);
    hear_of(1, "tcp://10.0.0.3:7001");
    wait_s(2);
    assert_int_equal(custodians_that_are_parties(), WORLD_CUSTODIANS);
    assert_true(core_needs_custodians(lone->core) &&
                core_cut_off(lone->core)); /* so it is not well without */
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(core_authoring(lone->core), REFUSAL_ISOLATED);
        assert_true(core_cut_off(lone->core));
        lone_greet(lone, world->node[i].id);
    }
    assert_int_equal(core_authoring(lone->core), REFUSAL_NONE);
    wait_s(2);
    assert_int_equal(custodians_that_are_parties(), 0);
    assert_false(core_needs_custodians(lone->core));
}

/* Another one is asked for, of this slot. */
static const struct run_track *another_run(uint64_t slot)
{
    union body body;
    struct run_id run;
    (void)world_first(world, KIND_RUN, WORLD_REQUESTER, &body);
    body.RUN.slot = slot;
    const struct record *r =
        world_record(world, WORLD_REQUESTER, KIND_RUN, &body.RUN, world_start_ms + 86400000);
    lone_record(lone, world->node[WORLD_REQUESTER].id, r);
    lone->sent_count = 0;
    memcpy(run.bytes, r->id.bytes, sizeof run.bytes);
    const struct run_track *t = track_find(lone->core, run);
    assert_non_null(t);
    return t;
}

/* A run that nobody may do is no reason for links, however often somebody asks for such. */
static void test_nobody_is_asked_for_a_run_that_may_not_be(void **state)
{
    (void)state;
    begin(NULL);
    wait_s(2);
    assert_true(run_parties()->count > 0);
    const struct run_track *t = another_run(9); /* approved are 1 and 2 */
    wait_s(3);
    assert_true(track_open(t) && t->first_ns != 0);
    assert_int_equal(t->first_count, 0);
}

/* Nor may many of these keep others from being looked at, or be looked at all at once. */
static void test_each_run_is_looked_at_in_its_turn(void **state)
{
    enum { RUNS = 100, A_TICK = 8 };
    uint32_t looked = 0, before = 0;
    (void)state;
    begin(NULL);
    for (uint32_t i = 0; i < RUNS; i++) (void)another_run(9);
    for (uint32_t s = 0; s < RUNS / A_TICK + 3; s++, before = looked) {
        wait_s(1);
        looked = 0;
        for (uint32_t i = 0; i < lone->core->track_count; i++) looked += lone->core->track[i].first_ns != 0;
        assert_true(looked <= before + A_TICK);
    }
    assert_true(looked > RUNS);
}

/* And what it signs must reach them. */
static void test_who_takes_back_asks_custodians(void **state)
{
    (void)state;
    begin(NULL);
    wait_s(2);
    assert_int_equal(custodians_that_are_parties(), 0);
    take_back();
    wait_s(2);
    assert_int_equal(custodians_that_are_parties(), WORLD_CUSTODIANS);
    for (uint32_t i = 0; i < 3; i++) {
        wait_s(2);
        assert_int_equal(custodians_that_are_parties(), WORLD_CUSTODIANS);
        lone_greet(lone, world->node[i].id);
    }
    wait_s(2);
    assert_int_equal(custodians_that_are_parties(), 0);
}

static uint32_t workers_that_are_parties(uint64_t term)
{
    struct registry *r = core_registry(lone->core);
    const struct run_entry *run = registry_run(r, world->run);
    const struct member *m;
    uint32_t count = 0;
    for (uint32_t at = 0; (m = registry_member_next(r, &at)) != NULL;) {
        if ((m->roles & ROLE_COMPUTE) == 0) continue;
        const bool first = election_rank(r, &run->body, world->run, term, m->node) < ELECTION_FIRST_MAX;
        assert_int_equal(core_party(lone->core, m->node), first);
        count += first;
    }
    return count;
}

/* Who asked for a run, and the owners of its inputs, want links with those who may do it: a node that only dials out is dialled by nobody. */
static void test_who_asked_for_a_run_asks_who_may_do_it(void **state)
{
    (void)state;
    begin(NULL);
    wait_s(2);
    assert_int_equal(workers_that_are_parties(1), ELECTION_FIRST_MAX);
    world->now_ms += 120000; /* none of them did */
    wait_s(11);
    assert_int_equal(workers_that_are_parties(2), ELECTION_FIRST_MAX);
}

static void test_who_computes_asks_who_asked(void **state)
{
    const struct node_id requester = world->node[WORLD_REQUESTER].id;
    (void)state;
    lone_computes = true;
    begin_as(WORLD_COMPUTE);
    for (uint32_t i = 0; i < WORLD_DATASETS; i++) lone_greet(lone, world->node[i].id); /* the owners */
    wait_s(2);
    assert_int_equal(track_find(lone->core, world->run)->phase, CANDIDATE_PREVOTE);
    assert_true(core_party(lone->core, requester));
    assert_int_equal(run_parties()->count, 1);
    assert_true(run_parties()->row[0].key >> 32 == PARTIES_OF_CANDIDATE);
    track_find(lone->core, world->run)->phase = CANDIDATE_DONE;
    wait_s(2);
    assert_false(core_party(lone->core, requester));
}

/* Who is one anyhow takes no place among those of runs, nor does the node itself. */
static void test_who_is_a_party_anyhow(void **state)
{
    (void)state;
    begin_as(0);
    wait_s(2);
    assert_int_equal(run_parties()->count, 0);
    assert_true(core_party(lone->core, world->node[WORLD_COMPUTE].id));
}

/* --- Those of others --------------------------------------------------------------------------------------------------------- */

static void test_parties_are_dialled(void **state)
{
    (void)state;
    begin(NULL);
    hear_of(WORLD_COMPUTE, "tcp://10.0.0.2:7001");
    hear_of(1, "tcp://10.0.0.3:7001"); /* linked already */
    wait_s(2);
    assert_int_equal(lone->dial_count, 1);
    assert_true(ID_EQUAL(lone->dial[0].node, world->node[WORLD_COMPUTE].id));
    assert_true(span_equal_text(lone->dial[0].address, "tcp://10.0.0.2:7001"));
    assert_int_equal(core_contacts(lone->core).known, 2);
    lone_event(lone, (struct event){.type = EVENT_PEER_DOWN, .peer = world->node[1].id});
    wait_s(2);
    assert_int_equal(lone->dial_count, 2);
    assert_true(ID_EQUAL(lone->dial[1].node, world->node[1].id));
    assert_true(core_party(lone->core, world->node[1].id));
    assert_false(core_party(lone->core, world->node[OWN].id));
}

/* As in a consortium of more members than are all linked with each other. */
static void are_many(void)
{
    lone->core->dialling.members = VIEW_ALL + 1;
}

static uint32_t custodians_needed(void)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++) count += core_needs_link(lone->core, world->node[i].id);
    return count;
}

static void test_a_link_that_need_not_be_is_not_missed(void **state)
{
    const struct node_id stranger = {{0xee}};
    (void)state;
    begin(NULL);
    assert_int_equal(custodians_needed(), WORLD_CUSTODIANS);
    assert_true(core_needs_custodians(lone->core) && !core_cut_off(lone->core));
    for (uint32_t i = 1; i < WORLD_CUSTODIANS; i++)
        lone_event(lone, (struct event){.type = EVENT_PEER_DOWN, .peer = world->node[i].id});
    assert_true(core_cut_off(lone->core));
    are_many();
    assert_int_equal(custodians_needed(), 0);
    assert_true(core_needs_link(lone->core, world->node[OWN].id));
    assert_true(!core_needs_custodians(lone->core) && !core_cut_off(lone->core)); /* one member is linked */
    lone_event(lone, (struct event){.type = EVENT_PEER_DOWN, .peer = world->node[0].id});
    lone_event(lone, (struct event){.type = EVENT_PEER_UP, .peer = stranger});
    assert_true(core_cut_off(lone->core));
}

/* The record, as custodians show it. */
static uint64_t revoke_own(uint8_t head[32])
{
    take_back();
    wait_s(1);
    const struct author *own = chain_author(core_chain(lone->core), world->node[OWN].id);
    assert_non_null(own);
    memcpy(head, chain_get(core_chain(lone->core), own->node, own->seen)->id.bytes, 32);
    return own->seen;
}

static void show_own(uint32_t custodian, uint64_t seq, const uint8_t head[32])
{
    uint8_t bytes[256], heads[HEADS_ITEM_BYTES];
    struct buffer b = BUFFER_OF(bytes), item = BUFFER_OF(heads);
    buffer_put(&item, ID_SPAN(world->node[OWN].id));
    buffer_put_u64(&item, seq);
    buffer_put(&item, span_make(head, 32));
    const struct message_HEADS m = {world->now_ms, 0, 0, {{0}}, buffer_span(&item)};
    message_encode(&b, MESSAGE_HEADS_CODE, &m);
    lone_message(lone, world->node[custodian].id, buffer_span(&b));
}

/* Custodians are parties of who takes back, until enough of them show that they have heard. */
static void test_what_is_taken_back_reaches_custodians(void **state)
{
    const struct charter *charter = registry_charter_bytes(core_registry((begin(NULL), lone->core)));
    const uint32_t keys = charter_stops(charter, charter->t), output = charter_stops(charter, charter->q),
                   enough = keys > output ? keys : output;
    uint8_t head[32];
    (void)state;
    wait_s(2);
    are_many();
    assert_int_equal(custodians_that_are_parties(), 0);
    const uint64_t seq = revoke_own(head);
    for (uint32_t i = 0; i < enough; i++) {
        are_many();
        assert_int_equal(custodians_that_are_parties(), WORLD_CUSTODIANS);
        assert_int_equal(custodians_needed(), 0); /* it is no lack meanwhile */
        show_own(i, seq, head);
        wait_s(1);
    }
    are_many();
    assert_int_equal(custodians_that_are_parties(), 0);
}

static void test_what_is_not_believed(void **state)
{
    const uint64_t now_ms = world->now_ms;
    (void)state;
    begin(NULL);
    say(0, contact_by(WORLD_COMPUTE, 1, "tcp://10.0.0.2:7001", now_ms, WEEK_MS)); /* another's word */
    assert_int_equal(verified, 1);
    say(0, contact_by(OWN, OWN, "tcp://10.0.0.4:7001", now_ms, WEEK_MS));
    say(0, contact_by(WORLD_COMPUTE, WORLD_COMPUTE, "tcp://10.0.0.2:7001", now_ms, WEEK_MS + 1));
    say(0, contact_by(WORLD_COMPUTE, WORLD_COMPUTE, "tcp://10.0.0.2:7001", now_ms - WEEK_MS, WEEK_MS));
    assert_int_equal(verified, 1); /* not worth a check */
    say(0, contact_by(WORLD_COMPUTE, WORLD_COMPUTE, "ipc:///run/perigee.sock", now_ms, WEEK_MS));
    say(0, contact_by(WORLD_COMPUTE, WORLD_COMPUTE, "tcp://127.0.0.1:22", now_ms, WEEK_MS));
    wait_s(3);
    assert_int_equal(core_contacts(lone->core).known, 0);
    assert_int_equal(lone->dial_count, 0);
}

static void test_nodes_of_one_machine_dial_each_other(void **state)
{
    (void)state;
    begin("tcp://127.0.0.1:7001");
    hear_of(WORLD_COMPUTE, "tcp://127.0.0.1:7002");
    wait_s(2);
    assert_int_equal(lone->dial_count, 1);
}

static void test_what_is_known_is_not_checked_again(void **state)
{
    const uint64_t now_ms = world->now_ms;
    (void)state;
    begin(NULL);
    for (uint32_t i = 0; i < 5; i++) hear_of(WORLD_COMPUTE, "tcp://10.0.0.2:7001");
    assert_int_equal(verified, 1);
    say(1, contact_by(WORLD_COMPUTE, WORLD_COMPUTE, "tcp://10.0.0.5:7001", now_ms + VIEW_NEWER_MS, WEEK_MS));
    assert_int_equal(verified, 2);
    wait_s(2);
    assert_true(span_equal_text(lone->dial[0].address, "tcp://10.0.0.5:7001"));
}

/* --- What it tells -------------------------------------------------------------------------------------------------------------- */

static void test_members_are_told_what_is_known(void **state)
{
    const struct node_id stranger = {{0xee}}, asker = world->node[1].id;
    (void)state;
    begin("tcp://10.0.0.1:7001");
    lone_event(lone, (struct event){.type = EVENT_PEER_UP, .peer = stranger});
    wait_s(2);
    hear_of(0, "tcp://10.0.0.6:7001");
    hear_of(1, "tcp://10.0.0.7:7001");
    hear_of(WORLD_COMPUTE, "tcp://10.0.0.8:7001");
    lone->sent_count = 0;
    ask(stranger, 32);
    assert_int_equal(told(stranger, anybody), 0);
    ask(asker, 32);
    assert_int_equal(told(asker, anybody), 3);
    assert_int_equal(told(asker, asker), 0);
    assert_int_equal(told(asker, world->node[OWN].id), 1);
    lone->sent_count = 0;
    ask(asker, 1);
    assert_int_equal(told(asker, anybody), 2); /* the own one, and one */
}

static void spend_all(struct peer *p)
{
    p->get_bytes = 0;
    p->get_at_ns = lone->now.ns + 1000000; /* of the next step */
}

/* What it may be sent in answers to `get` is what it may be sent of these. */
static void test_answers_have_a_budget(void **state)
{
    const struct node_id asker = world->node[1].id;
    (void)state;
    begin("tcp://10.0.0.1:7001");
    wait_s(2);
    struct peer *p = peer_find(lone->core, asker);
    lone->sent_count = 0;
    ask(asker, 0);
    assert_int_equal(told(asker, anybody), 1);
    spend_all(p);
    ask(asker, 0);
    assert_int_equal(told(asker, anybody), 1);
    wait_s(1);
    ask(asker, 0);
    assert_int_equal(told(asker, anybody), 2);
}

static uint32_t asked_within(uint32_t seconds)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < seconds; i++) {
        lone->sent_count = 0;
        wait_s(1);
        count += asked();
    }
    return count;
}

/* It asks often while that brings something, and hardly when it does not. */
static void test_it_asks_less_when_nothing_comes(void **state)
{
    (void)state;
    begin(NULL);
    assert_true(asked_within(20) >= 3);
    const uint32_t later = asked_within(600);
    assert_true(later >= 6 && later <= 24); /* one a minute, about */
    hear_of(WORLD_COMPUTE, "tcp://10.0.0.8:7001");
    assert_true(asked_within(90) >= 4);
}

/* --- Those of parties ------------------------------------------------------------------------------------------------------------ */

/* How often it asked for this node's contact. */
static uint32_t wanted(struct node_id of)
{
    union message_body m;
    struct node_id who;
    uint32_t at = 0, count = 0;
    while (lone_next(lone, &at, MESSAGE_CONTACTS_WANT_CODE, &m, &who))
        for (size_t i = 0; i < m.CONTACTS_WANT.nodes.len; i += 32)
            count += memcmp(m.CONTACTS_WANT.nodes.data + i, of.bytes, 32) == 0;
    return count;
}

static uint32_t wanted_within(uint32_t seconds, struct node_id of)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < seconds; i++) {
        lone->sent_count = 0;
        wait_s(1);
        count += wanted(of);
    }
    return count;
}

static void test_it_asks_for_parties(void **state)
{
    const struct node_id worker = world->node[WORLD_COMPUTE].id, other = world->node[WORLD_ALGORITHM].id;
    (void)state;
    begin(NULL);
    const uint32_t count = wanted_within(20, worker);
    assert_true(count >= 3 && count <= 6);
    assert_int_equal(wanted_within(60, other), 0);
    assert_int_equal(wanted_within(60, world->node[0].id), 0); /* linked */
    hear_of(WORLD_COMPUTE, "tcp://10.0.0.2:7001");
    assert_int_equal(wanted_within(120, worker), 0);
}

static void test_another_party_is_asked_for_soon(void **state)
{
    (void)state;
    begin(NULL);
    (void)asked_within(120);
    lone_event(lone, (struct event){.type = EVENT_PEER_DOWN, .peer = world->node[1].id});
    lone->sent_count = 0;
    take_back();
    wait_s(3);
    assert_true(wanted(world->node[1].id) > 0);
}

static void test_it_is_asked_for_parties(void **state)
{
    enum { WANTED_BYTES = 256 };
    const struct node_id stranger = {{0xee}}, asker = world->node[1].id,
                         worker = world->node[WORLD_COMPUTE].id;
    (void)state;
    begin("tcp://10.0.0.1:7001");
    lone_event(lone, (struct event){.type = EVENT_PEER_UP, .peer = stranger});
    wait_s(2);
    struct peer *p = peer_find(lone->core, asker);
    hear_of(WORLD_COMPUTE, "tcp://10.0.0.8:7001");
    hear_of(WORLD_ALGORITHM, "tcp://10.0.0.9:7001");
    lone->sent_count = 0;
    ask_for(stranger, worker);
    ask_for(asker, world->node[2].id);
    assert_int_equal(told(stranger, anybody) + told(asker, anybody), 0);
    ask_for(asker, worker);
    assert_int_equal(told(asker, worker), 1);
    assert_int_equal(told(asker, anybody), 1);
    spend_all(p);
    p->get_bytes = 1 << 20;
    ask_for(asker, worker);
    const uint64_t cost = (1 << 20) - p->get_bytes; /* of the name, and of the contact */
    for (uint32_t i = 0; i < 2; i++) {              /* whom nobody knows costs the name, too */
        lone->sent_count = 0;
        spend_all(p);
        p->get_bytes = cost + WANTED_BYTES - 1 + i;
        ask_for_both(asker, stranger, worker);
        assert_int_equal(told(asker, worker), i);
    }
}

/* --- Over a restart -------------------------------------------------------------------------------------------------------------- */

static void test_a_restart_dials_whom_it_had_dialled(void **state)
{
    (void)state;
    begin(NULL);
    hear_of(WORLD_COMPUTE, "tcp://10.0.0.2:7001");
    hear_of(WORLD_ALGORITHM, "tcp://10.0.0.9:7001");
    wait_s(2);
    assert_int_equal(lone->dial_count, 2);
    lone_event(lone, (struct event){.type = EVENT_PEER_UP, .peer = world->node[WORLD_COMPUTE].id});
    (void)asked_within(61);
    assert_true(lone->contacts.len > 0);
    lone_contacts = lone->contacts;
    lone_free(lone);
    begin(NULL);
    assert_int_equal(core_contacts(lone->core).known, 2);
    wait_s(2);
    assert_int_equal(lone->dial_count, 2);
}

static void test_what_was_kept_and_is_damaged(void **state)
{
    static uint8_t value[2 + VIEW_PACKED_MAX] = {0x01, 0x00, 0x99};
    (void)state;
    lone_contacts = span_make(value, 200); /* ends before its first contact does */
    begin(NULL);
    assert_int_equal(core_contacts(lone->core).known, 0);
    lone_free(lone);
    const struct span good =
        contact_by(WORLD_COMPUTE, WORLD_COMPUTE, "tcp://10.0.0.8:7001", world->now_ms, WEEK_MS);
    store_u16(value, (uint16_t)good.len);
    memcpy(value + 2, good.data, good.len);
    lone_contacts = span_make(value, 2 + good.len);
    begin(NULL);
    assert_int_equal(core_contacts(lone->core).known, 1);
    for (size_t at = 0; at < 2 + good.len; at++) { /* no byte of it makes a core do anything but go on */
        value[at] ^= 0x41;
        lone_free(lone);
        begin(NULL);
        wait_s(1);
        value[at] ^= 0x41;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_it_says_where_it_is, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_has_no_address_says_none, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_starts_with_records_asks_custodians, setup_large, teardown),
        cmocka_unit_test_setup_teardown(test_who_takes_back_asks_custodians, setup_large, teardown),
        cmocka_unit_test_setup_teardown(test_who_asked_for_a_run_asks_who_may_do_it, setup_workers, teardown),
        cmocka_unit_test_setup_teardown(test_nobody_is_asked_for_a_run_that_may_not_be, setup_workers,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_each_run_is_looked_at_in_its_turn, setup_workers, teardown),
        cmocka_unit_test_setup_teardown(test_who_computes_asks_who_asked, setup_large, teardown),
        cmocka_unit_test_setup_teardown(test_who_is_a_party_anyhow, setup_large, teardown),
        cmocka_unit_test_setup_teardown(test_parties_are_dialled, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_link_that_need_not_be_is_not_missed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_taken_back_reaches_custodians, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_not_believed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nodes_of_one_machine_dial_each_other, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_known_is_not_checked_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_members_are_told_what_is_known, setup, teardown),
        cmocka_unit_test_setup_teardown(test_answers_have_a_budget, setup, teardown),
        cmocka_unit_test_setup_teardown(test_it_asks_less_when_nothing_comes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_it_asks_for_parties, setup_large, teardown),
        cmocka_unit_test_setup_teardown(test_another_party_is_asked_for_soon, setup_large, teardown),
        cmocka_unit_test_setup_teardown(test_it_is_asked_for_parties, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_restart_dials_whom_it_had_dialled, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_was_kept_and_is_damaged, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
