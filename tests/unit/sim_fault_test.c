/* Faults looked at while they last: of links, of a jurisdiction, in one direction, and time and again; and of members that break the protocol
 * in what they send. */
#include "crypto/secret.h"
#include "sim/simulation_state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

enum { NORTH, EAST, SOUTH, HALL, OFFICE };

#define PARTIES                                                                                              \
    "\"parties\":["                                                                                          \
    "{\"jurisdiction\":\"EU\",\"name\":\"north\",\"region\":\"sweden\",\"roles\":[\"custodian\",\"owner\","  \
    "\"steward\"],\"rows\":3},"                                                                              \
    "{\"jurisdiction\":\"EU\",\"name\":\"east\",\"region\":\"germany\",\"roles\":[\"custodian\","            \
    "\"steward\"]},"                                                                                         \
    "{\"jurisdiction\":\"CH\",\"name\":\"south\",\"region\":\"switzerland\",\"roles\":[\"custodian\","       \
    "\"steward\"]},"                                                                                         \
    "{%s\"name\":\"hall\",\"region\":\"us-east\",\"roles\":[\"compute\"]},"                                  \
    "{\"jurisdiction\":\"US\",\"name\":\"office\",\"region\":\"us-west\",\"roles\":[\"algorithm\","          \
    "\"requester\"]}],\"perigee\":\"scenario/1\","

static struct simulation *sim;
static struct consortium *s;                          /* the one that there is */
static const char *hall = "\"jurisdiction\":\"US\","; /* what else is said of it */
static struct arena arena;
static size_t arena_cap = (size_t)1 << 30;

/* A world with these faults, in which runs go on for longer than they last. */
static void begin(const char *faults)
{
    static char text[4096];
    struct scenario *scenario;
    struct json_fault fault = {{0}, {0}, OK};
    void *memory =
        mmap(NULL, arena_cap, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    arena = arena_make(memory, arena_cap);
    (void)snprintf(text, sizeof text,
                   "{%s\"for_ms\":200000,\"name\":\"small\"," PARTIES
                   "\"study\":{\"every_ms\":60000,\"runs\":2}}",
                   faults, hall);
    if (scenario_parse(&scenario, &arena, span_text(text), &fault) != OK) fail_msg("%s", fault.expected);
    assert_int_equal(simulation_new(&sim, &arena, scenario, 1, &fault), OK);
    s = sim->consortium;
    assert_int_equal(simulation_count(sim, false), OK);
}

static int end(void **state)
{
    (void)state;
    simulation_free(sim);
    s = NULL;
    return munmap(arena.data, arena_cap);
}

static void until_ms(uint64_t ms)
{
    while (now_of(s) < ms * 1000000 && simulation_run(sim, 1)) {
    }
    if (simulation_violation(sim) != NULL) fail_msg("%s", simulation_violation(sim));
    assert_true(now_of(s) >= ms * 1000000);
}

/* How long what is sent now is under way; 0: it does not arrive. */
static uint64_t way_ms(uint32_t from, uint32_t to)
{
    uint64_t arrival_ns[NET_COPIES_MAX];
    return net_send(s->net, from, to, 100, now_of(s), arrival_ns) > 0 ? (arrival_ns[0] - now_of(s)) / 1000000
                                                                      : 0;
}

static void a_jurisdiction_is_cut_off(void **state)
{
    (void)state;
    begin("\"faults\":[{\"at_ms\":5000,\"for_ms\":9000,\"jurisdiction\":\"EU\",\"kind\":\"part\"},"
          "{\"at_ms\":7000,\"for_ms\":9000,\"kind\":\"part\",\"region\":\"sweden\"}],");
    until_ms(4900);
    assert_true(consortium_linked(s, NORTH, SOUTH));
    until_ms(5100);
    assert_true(consortium_linked(s, NORTH, EAST) && consortium_linked(s, SOUTH, HALL));
    assert_true(!consortium_linked(s, NORTH, SOUTH) && !consortium_linked(s, OFFICE, EAST));
    until_ms(14100); /* the first is over, the second is not */
    assert_true(consortium_linked(s, EAST, SOUTH) && !consortium_linked(s, NORTH, EAST));
    until_ms(16100);
    assert_true(consortium_linked(s, NORTH, EAST) && consortium_linked(s, NORTH, SOUTH));
    assert_int_equal(s->counts.parts, 2);
    assert_int_equal(census_node(s->census, NORTH)->cuts, 1); /* for as long as one of both lasted */
    assert_int_equal(census_node(s->census, EAST)->cuts, 1);
    assert_int_equal(census_node(s->census, SOUTH)->cuts, 0);
}

static void two_sides_are_cut_from_each_other(void **state)
{
    (void)state;
    begin("\"faults\":[{\"at_ms\":5000,\"for_ms\":3000,\"jurisdiction\":\"US\",\"kind\":\"split\","
          "\"other_jurisdiction\":\"EU\"}],");
    until_ms(5100);
    assert_true(!consortium_linked(s, HALL, NORTH) && !consortium_linked(s, EAST, OFFICE));
    assert_true(consortium_linked(s, HALL, SOUTH) && consortium_linked(s, NORTH, SOUTH));
    until_ms(8100);
    assert_true(consortium_linked(s, HALL, NORTH) && consortium_linked(s, EAST, OFFICE));
}

/* A link that is mute in one direction is held up, and given up when the other side has heard nothing for 30 s. */
static void one_way(void **state)
{
    (void)state;
    begin("\"faults\":[{\"at_ms\":5000,\"for_ms\":40000,\"kind\":\"part\",\"oneway\":true,\"party\":"
          "\"north\"}],");
    until_ms(5100);
    assert_true(consortium_linked(s, NORTH, SOUTH));
    assert_in_range(way_ms(NORTH, SOUTH), 39000, 40100);
    assert_in_range(way_ms(SOUTH, NORTH), 1, 200);
    assert_in_range(way_ms(SOUTH, HALL), 1, 200);
    until_ms(34900);
    assert_true(consortium_linked(s, NORTH, SOUTH));
    until_ms(35100);
    assert_true(!consortium_linked(s, NORTH, SOUTH) && consortium_linked(s, SOUTH, HALL));
    until_ms(45100);
    assert_true(consortium_linked(s, NORTH, SOUTH));
    assert_in_range(way_ms(NORTH, SOUTH), 1, 200);
}

static void a_short_one_is_a_delay(void **state)
{
    (void)state;
    begin(
        "\"faults\":[{\"at_ms\":5000,\"for_ms\":6000,\"kind\":\"split\",\"oneway\":true,\"other\":\"south\","
        "\"party\":\"north\"}],");
    until_ms(5100);
    const uint64_t link = consortium_link(s, NORTH, SOUTH);
    assert_in_range(way_ms(NORTH, SOUTH), 5000, 6100);
    assert_in_range(way_ms(NORTH, EAST), 1, 200);
    until_ms(40000);
    assert_int_equal(consortium_link(s, NORTH, SOUTH), link); /* it never broke */
}

static void time_and_again(void **state)
{
    (void)state;
    begin("\"faults\":[{\"at_ms\":5000,\"every_ms\":10000,\"for_ms\":4000,\"jurisdiction\":\"EU\",\"kind\":"
          "\"crash\","
          "\"times\":3}],");
    for (uint64_t time = 0; time < 3; time++) {
        until_ms(5100 + 10000 * time);
        assert_true(s->station[NORTH].core == NULL && s->station[EAST].core == NULL);
        assert_non_null(s->station[SOUTH].core);
        until_ms(9100 + 10000 * time);
        assert_true(s->station[NORTH].core != NULL && s->station[EAST].core != NULL);
    }
    until_ms(36000);
    assert_int_equal(s->counts.crashes, 6);
}

/* 300 ms of hall's own in place of 2, and a second for 100,000 bytes. */
static void an_access_link_of_its_own(void **state)
{
    (void)state;
    hall = "\"bandwidth_kbps\":800,\"enclaves\":1,\"jurisdiction\":\"US\",\"latency_ms\":300,";
    begin("");
    hall = "\"jurisdiction\":\"US\",";
    uint64_t arrival_ns[NET_COPIES_MAX];
    until_ms(50000); /* its links are idle */
    const uint64_t way = way_ms(HALL, NORTH);
    assert_in_range(way, 350, 360); /* 50 ms from region to region, 2 ms of north's */
    assert_int_equal(net_send(s->net, HALL, NORTH, 100000, now_of(s), arrival_ns), 1);
    assert_in_range((arrival_ns[0] - now_of(s)) / 1000000, way + 995, way + 1010);
}

/* --- Members that break the protocol ------------------------------------------------------------------------------------- */

static uint64_t messages(enum message code)
{
    return census_message(s->census, (uint8_t)code).messages;
}

static uint64_t records(enum kind kind)
{
    return census_kind(s->census, (uint8_t)kind).messages;
}

static void for_ms(uint64_t ms)
{
    until_ms(now_of(s) / 1000000 + ms);
}

/* North asks east for east's first record, the charter, in each way that there is. */
static void ask_east(void)
{
    static uint8_t bytes[3][256];
    struct buffer get = BUFFER_OF(bytes[0]), want = BUFFER_OF(bytes[1]), branch = BUFFER_OF(bytes[2]);
    struct station *north = &s->station[NORTH];
    const struct node_id author = s->station[EAST].player->id;
    const struct record *first = chain_get(core_chain(north->core), author, 1);
    assert_non_null(first);
    message_encode(&get, MESSAGE_GET_CODE, &(struct message_GET){author, 1, 1});
    message_encode(&want, MESSAGE_WANT_CODE, &(struct message_WANT){ID_SPAN(first->id)});
    message_encode(&branch, MESSAGE_BRANCH_GET_CODE, &(struct message_BRANCH_GET){1, 0, {{0}}});
    (void)station_carry(north, EAST, buffer_span(&get));
    (void)station_carry(north, EAST, buffer_span(&want));
    (void)station_carry(north, EAST, buffer_span(&branch));
}

/* East's core says this one's first record to the hall. */
static void east_tells_of(uint32_t author)
{
    static uint8_t bytes[65536];
    struct buffer b = BUFFER_OF(bytes);
    struct station *east = &s->station[EAST];
    record_encode(&b, chain_get(core_chain(east->core), s->station[author].player->id, 1));
    station_send(east, s->station[HALL].player->id, buffer_span(&b));
    for_ms(500);
}

static void who_withholds_announces_and_is_silent(void **state)
{
    (void)state;
    begin("\"faults\":[{\"at_ms\":15000,\"for_ms\":15000,\"kind\":\"withhold\",\"party\":\"east\"}],");
    until_ms(20000);
    const uint64_t charters = records(KIND_CHARTER), heads = messages(MESSAGE_HEADS_CODE),
                   roots = messages(MESSAGE_ROOT_CODE);
    assert_int_equal(s->counts.withheld, 0);
    ask_east();
    for_ms(1000);
    assert_int_equal(records(KIND_CHARTER), charters);
    assert_int_equal(messages(MESSAGE_HEADS_CODE), heads);
    assert_int_equal(s->counts.withheld, 3);
    assert_true(messages(MESSAGE_ROOT_CODE) >= roots + 5 * 4); /* east's, too */
    east_tells_of(NORTH);
    assert_int_equal(records(KIND_CHARTER), charters);
    assert_int_equal(s->counts.withheld, 4);
    east_tells_of(EAST);
    assert_int_equal(records(KIND_CHARTER), charters + 1); /* its own */
    until_ms(31000);
    ask_east();
    for_ms(1000);
    assert_int_equal(records(KIND_CHARTER), charters + 3);
    assert_int_equal(messages(MESSAGE_HEADS_CODE), heads + 1);
    east_tells_of(NORTH);
    assert_int_equal(records(KIND_CHARTER), charters + 4);
    assert_int_equal(s->counts.withheld, 4);
}

/* The hall's ask, as it comes to south; it lives until the next. */
static struct span ask_of(uint64_t term)
{
    const struct station *n = &s->station[HALL];
    const struct body_VOTE_ASK body = {s->ledger.run[0].run, term};
    return fault_statement(n, n->player->id, &n->player->secret, KIND_VOTE_ASK, &body);
}

/* How many votes of this term are under way from south. */
static uint32_t votes_of(uint64_t term)
{
    static union message_body m;
    static union body body;
    enum message code;
    struct record r;
    uint32_t count = 0;
    for (uint32_t i = 0; i < sim->parcel_count; i++) {
        const struct parcel *p = &sim->parcel[i];
        if (p->slice == NULL || p->type != EVENT_MESSAGE || p->from != SOUTH) continue;
        const bool record = message_decode(&code, &m, span_make(p->slice->bytes, p->slice->len)) == OK &&
                            code == MESSAGE_RECORD_CODE &&
                            record_open(&r, m.RECORD.header, &m.RECORD.signature, m.RECORD.body) == OK;
        if (!record || r.header.kind != KIND_VOTE || body_decode(&body, KIND_VOTE, r.body) != OK) continue;
        count += body.VOTE.term == term;
    }
    return count;
}

/* Two asks, one after the other, and its core is told nothing between them: each has its answer. */
static void who_votes_for_whoever_asks_answers_each(void **state)
{
    (void)state;
    begin("\"faults\":[{\"at_ms\":15000,\"for_ms\":15000,\"kind\":\"double\",\"party\":\"south\"}],");
    until_ms(20000);
    assert_true(fault_double(&s->station[SOUTH], ask_of(7)));
    assert_true(fault_double(&s->station[SOUTH], ask_of(8)));
    assert_int_equal(votes_of(7), 1);
    assert_int_equal(votes_of(8), 1);
}

enum { SAID_MAX = 300 };

/* A message of its own, which the hall sends to south and which nobody answers. */
static struct slice *say(uint64_t number)
{
    uint8_t id[32] = {0xaa}, bytes[64];
    struct buffer b = BUFFER_OF(bytes);
    store_u64(id + 8, number);
    message_encode(&b, MESSAGE_ABSENT_CODE, &(struct message_ABSENT){SPAN_OF(id)});
    struct slice *slice = slice_of(buffer_span(&b));
    assert_true(station_carry_slice(&s->station[HALL], SOUTH, slice) > 0);
    return slice;
}

/* Who holds a slice: this test, what south remembers, and each message under way that it is in. */
static void follow(struct slice *const said[], uint32_t count, uint64_t ms, uint32_t times[],
                   uint32_t order[])
{
    uint32_t refs[SAID_MAX], arrived = 0;
    for (uint32_t i = 0; i < count; i++) refs[i] = said[i]->refs;
    while (now_of(s) < ms * 1000000 && simulation_run(sim, 1))
        for (uint32_t i = 0; i < count; i++) {
            times[i] += said[i]->refs == 2 + 4 && refs[i] == 2;
            if (said[i]->refs == 2 && refs[i] == 3 && times[i] == 1 && arrived < count) order[arrived++] = i;
            refs[i] = said[i]->refs;
        }
    assert_int_equal(arrived, count);
}

static void drop_said(struct slice *said[], uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(said[i]->refs, 1); /* nobody else remembers it */
        slice_drop(said[i]);
    }
}

static void who_replays_says_again_what_it_heard(void **state)
{
    (void)state;
    enum { FEW = 16 };
    struct slice *said[SAID_MAX];
    uint32_t times[FEW] = {0}, order[FEW] = {0}, behind = 0;
    begin("\"faults\":[{\"at_ms\":15000,\"for_ms\":15000,\"kind\":\"replay\",\"party\":\"south\"}],");
    until_ms(20100);
    for (uint32_t i = 0; i < FEW; i++) said[i] = say(i);
    until_ms(20900);
    follow(said, FEW, 25500, times, order);
    for (uint32_t i = 0; i < FEW; i++)
        assert_int_equal(times[i], 3); /* in each of the seconds that it counts as the last */
    for (uint32_t i = 1; i < FEW; i++) behind += order[i] < order[i - 1];
    assert_in_range(behind, 1, FEW - 2);
    until_ms(30500);
    drop_said(said, FEW);
}

/* However much there was: so many in a turn, and nothing when it is over. */
static void what_is_replayed_has_an_end(void **state)
{
    (void)state;
    struct slice *said[SAID_MAX];
    begin("\"faults\":[{\"at_ms\":15000,\"for_ms\":10000,\"kind\":\"replay\",\"party\":\"south\"}],");
    until_ms(20100);
    for (uint32_t i = 0; i < SAID_MAX; i++) said[i] = say(i);
    until_ms(20900);
    const uint64_t before = s->counts.replayed;
    until_ms(21010);
    assert_int_equal(s->counts.replayed, before + 128 * 4);
    net_clog_link(s->net, SOUTH, OFFICE, UINT64_C(24500000000));
    until_ms(22010);
    const uint64_t held = s->counts.replayed;
    assert_in_range(held, before + 129 * 4, before + 2 * 128 * 4);
    until_ms(24500); /* nothing while the office is still to hear of the last turn */
    assert_int_equal(s->counts.replayed, held);
    until_ms(25500);
    const uint64_t after = s->counts.replayed;
    assert_int_equal(after, held); /* the fault was over before the next */
    until_ms(30000);
    assert_int_equal(s->counts.replayed, after);
    drop_said(said, SAID_MAX);
}

/* At north, a steward. */
static uint32_t asking_to_join(void)
{
    uint32_t count = 0;
    while (core_join_at(s->station[NORTH].core, count) != NULL) count++;
    return count;
}

static void who_floods_makes_up_what_it_sends(void **state)
{
    (void)state;
    begin(
        "\"faults\":[{\"at_ms\":20000,\"for_ms\":20000,\"kind\":\"flood\",\"party\":\"hall\",\"per_second\":"
        "40},{\"at_ms\":45000,\"for_ms\":5000,\"kind\":\"flood\",\"party\":\"office\"}],");
    until_ms(19900);
    const uint64_t announced = messages(MESSAGE_ANNOUNCE_CODE), heads = messages(MESSAGE_HEADS_CODE),
                   joins = records(KIND_JOIN);
    const uint32_t asking = asking_to_join();
    until_ms(29980);
    assert_int_equal(s->counts.flooded, 10 * 40 * 4);
    assert_true(messages(MESSAGE_ANNOUNCE_CODE) > announced + 400);
    assert_true(messages(MESSAGE_HEADS_CODE) > heads + 400);
    assert_true(records(KIND_JOIN) > joins + 400);
    assert_in_range(asking_to_join(), asking + 1, asking + 4); /* so many of one peer's find a place */
    net_clog_node(s->net, HALL, UINT64_C(39000000000));
    until_ms(38000);
    assert_in_range(s->counts.flooded, (400 + 50) * 4, (400 + 64 + 10) * 4); /* as many as may be under way */
    until_ms(44900);
    const uint64_t before = s->counts.flooded;
    until_ms(60000);
    assert_int_equal(s->counts.flooded, before + 5 * 20 * 4); /* where no rate is said */
}

/* What was left of the first time in the agenda is no turn of the second. */
static void a_flood_that_comes_again_is_one(void **state)
{
    (void)state;
    begin(
        "\"faults\":[{\"at_ms\":20000,\"every_ms\":910,\"for_ms\":900,\"kind\":\"flood\",\"party\":\"hall\","
        "\"per_second\":2,\"times\":2}],");
    until_ms(25000);
    assert_int_equal(s->counts.flooded, 2 * 2 * 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_jurisdiction_is_cut_off, end),
        cmocka_unit_test_teardown(two_sides_are_cut_from_each_other, end),
        cmocka_unit_test_teardown(one_way, end),
        cmocka_unit_test_teardown(a_short_one_is_a_delay, end),
        cmocka_unit_test_teardown(time_and_again, end),
        cmocka_unit_test_teardown(an_access_link_of_its_own, end),
        cmocka_unit_test_teardown(who_withholds_announces_and_is_silent, end),
        cmocka_unit_test_teardown(who_votes_for_whoever_asks_answers_each, end),
        cmocka_unit_test_teardown(who_replays_says_again_what_it_heard, end),
        cmocka_unit_test_teardown(what_is_replayed_has_an_end, end),
        cmocka_unit_test_teardown(who_floods_makes_up_what_it_sends, end),
        cmocka_unit_test_teardown(a_flood_that_comes_again_is_one, end)};
    if (crypto_init() != OK) return 1;
    return cmocka_run_group_tests_name("sim_fault", tests, NULL, NULL);
}
