/* Who holds what of whose rows, by bytes: put before it, plaintext is told from sealed chunks, and a quorum of custodians from fewer. */
#include "crypto/secret.h"
#include "proto/base/panic.h"
#include "sim/simulation_state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

enum { NORTH, EAST, SOUTH, WEST, HALL, OFFICE };

static const char text[] =
    "{\"name\":\"small\",\"parties\":["
    "{\"jurisdiction\":\"EU\",\"name\":\"north\",\"region\":\"sweden\",\"roles\":[\"custodian\",\"owner\","
    "\"steward\"],\"rows\":3},"
    "{\"jurisdiction\":\"US\",\"name\":\"east\",\"region\":\"us-east\",\"roles\":[\"custodian\",\"owner\","
    "\"steward\"],\"rows\":5},"
    "{\"jurisdiction\":\"EU\",\"name\":\"south\",\"region\":\"italy\",\"roles\":[\"custodian\",\"steward\"]},"
    "{\"jurisdiction\":\"EU\",\"name\":\"west\",\"region\":\"france\",\"roles\":[\"custodian\",\"steward\"]},"
    "{\"jurisdiction\":\"EU\",\"name\":\"hall\",\"region\":\"ireland\",\"roles\":[\"compute\"]},"
    "{\"jurisdiction\":\"EU\",\"name\":\"office\",\"region\":\"germany\",\"roles\":[\"algorithm\","
    "\"requester\"]}],\"perigee\":\"scenario/1\"}";

static struct simulation *sim;
static struct consortium *s; /* the one that there is */
static struct arena arena;
static size_t arena_cap = (size_t)1 << 30;
static struct flow flow;

/* One run is over, so that data is sealed and every custodian has its share. */
static int setup(void **state)
{
    struct scenario *scenario;
    struct json_fault fault = {{0}, {0}, OK};
    void *memory =
        mmap(NULL, arena_cap, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    (void)state;
    if (memory == MAP_FAILED || crypto_init() != OK) return -1;
    arena = arena_make(memory, arena_cap);
    if (scenario_parse(&scenario, &arena, span_text(text), &fault) != OK) return -1;
    if (simulation_new(&sim, &arena, scenario, 1, &fault) != OK) return -1;
    s = sim->consortium;
    while (simulation_run(sim, UINT64_MAX)) {
    }
    return simulation_violation(sim) == NULL && s->counts.runs_settled == 1 ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    simulation_free(sim);
    return munmap(arena.data, arena_cap);
}

static int anew(void **state)
{
    (void)state;
    static uint32_t times_of[OFFICE + 1][CAP_INPUTS][FLOW_COUNT];
    memset(times_of, 0, sizeof times_of);
    flow = (struct flow){.papers = s->papers, .times = times_of};
    return 0;
}

static const struct dataset *data_of(uint32_t party)
{
    return papers_of(s->papers, s->station[party].player);
}

static uint32_t times(uint32_t party, uint32_t owner, enum flow_held held)
{
    return flow.times[party][data_of(owner)->number][held];
}

static void what_a_run_leaves(void **state)
{
    (void)state;
    const struct flow *f = simulation_flow(sim, 0);
    for (uint32_t owner = NORTH; owner <= EAST; owner++) {
        const uint32_t i = data_of(owner)->number;
        assert_int_equal(f->times[HALL][i][FLOW_SEALED], 1);
        assert_int_equal(f->times[HALL][i][FLOW_ENCLAVE], 1);
        assert_int_equal(f->times[OFFICE][i][FLOW_RESULT], 1);
        assert_int_equal(flow_opened_times(f, i), 1);
        for (uint32_t party = 0; party <= OFFICE; party++) assert_int_equal(flow_readable(f, party, i), 0);
    }
    assert_int_equal(flow_readers(f), 0);
    assert_true(f->sealed_abroad > 0 && f->plaintext_abroad == 0);
}

static void plaintext_is_seen(void **state)
{
    (void)state;
    uint8_t message[256];
    struct buffer b = BUFFER_OF(message);
    const struct dataset *d = data_of(EAST);
    buffer_put_text(&b, "about that: ");
    buffer_put(&b, d->plain);
    flow_arrived(&flow, EAST, SOUTH, span_make(b.data, b.len - 1), 100); /* all but the last byte */
    assert_int_equal(flow_readers(&flow), 0);
    flow_arrived(&flow, EAST, SOUTH, buffer_span(&b), 100);
    flow_arrived(&flow, NORTH, WEST, buffer_span(&b), 10); /* at home */
    assert_int_equal(times(SOUTH, EAST, FLOW_PLAINTEXT), 1);
    assert_int_equal(times(SOUTH, NORTH, FLOW_PLAINTEXT), 0);
    assert_int_equal(flow_readable(&flow, SOUTH, d->number), 5);
    assert_int_equal(flow_readable(&flow, WEST, d->number), 5);
    assert_int_equal(flow_readers(&flow), 2);
    assert_int_equal(flow.plaintext_abroad, 100);
    flow_arrived(&flow, SOUTH, EAST, buffer_span(&b), 100); /* back: it reads its own */
    assert_int_equal(flow_readers(&flow), 2);
}

/* The message that carries a blob; a manifest is none of the rows, nor is a chunk that was changed. */
static void sealed_chunks_are_seen(void **state)
{
    (void)state;
    static uint8_t message[4096], changed[4096];
    const struct dataset *d = data_of(NORTH);
    for (uint32_t i = 0; i < d->blob_count; i++) {
        struct buffer b = BUFFER_OF(message);
        struct message_BLOB m = {SPAN_OF(d->blob[i].cid), REFUSAL_NONE, d->blob[i].bytes};
        message_encode(&b, MESSAGE_BLOB_CODE, &m);
        flow_arrived(&flow, NORTH, EAST, buffer_span(&b), 50);
        memcpy(changed, m.bytes.data, m.bytes.len);
        changed[0] ^= 1;
        m.bytes.data = changed;
        b.len = 0;
        message_encode(&b, MESSAGE_BLOB_CODE, &m);
        flow_arrived(&flow, NORTH, EAST, buffer_span(&b), 50);
    }
    assert_int_equal(d->blob_count, 3);
    assert_int_equal(times(EAST, NORTH, FLOW_SEALED), 1);
    assert_int_equal(flow.sealed_abroad, 50);
    assert_int_equal(flow_readers(&flow), 0);
}

/* t is 3 of 4. Without its owner there are three others; when one of these has lost its share, all that are left are too few. */
static void fewer_than_t_open_nothing(void **state)
{
    (void)state;
    const uint32_t i = data_of(NORTH)->number;
    assert_int_equal(s->cast->founding->t, 3);
    assert_int_equal(simulation_together(sim, 0, i), 3);
    size_t *len = &s->station[WEST].labour.kept->share[KEYGEN_PURPOSE_ENVELOPES - 1].len;
    const size_t kept = *len;
    *len = 0;
    assert_int_equal(simulation_together(sim, 0, i), 0);
    *len = kept;
    struct dataset never = *data_of(NORTH);
    never.blob_count = 0;
    assert_int_equal(flow_together(&never, NULL, 0), 0);
}

/* The one machine falls while it computes and is away until time is up: nothing settles, no property is broken, and it has read all. */
static void a_central_machine_that_stays_away(void **state)
{
    (void)state;
    struct scenario *scenario;
    struct simulation *central;
    struct json_fault fault = {{0}, {0}, OK};
    struct scenario_fault falls = {.kind = FAULT_ELECTED, .for_ms = 600000};
    assert_int_equal(scenario_parse(&scenario, &arena, span_text(text), &fault), OK);
    scenario->trust = TRUST_CENTRAL;
    scenario->for_ms = 5000;
    scenario->fault = &falls;
    scenario->fault_count = 1;
    assert_int_equal(simulation_new(&central, &arena, scenario, 1, &fault), OK);
    while (simulation_run(central, UINT64_MAX)) {
    }
    assert_null(simulation_violation(central));
    assert_in_range(central->now_ns, UINT64_C(5000000000), UINT64_C(5100000000));
    assert_int_equal(central->consortium[0].counts.crashes, 1);
    assert_int_equal(central->consortium[0].counts.runs_requested, 1);
    assert_int_equal(central->consortium[0].counts.runs_settled, 0);
    assert_int_equal(flow_readers(simulation_flow(central, 0)), 1);
    assert_int_equal(flow_readable(simulation_flow(central, 0), HALL, 0), 3);
    assert_int_equal(simulation_together(central, 0, 0), 0); /* nothing was sealed */
    simulation_free(central);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_run_leaves), cmocka_unit_test_setup(plaintext_is_seen, anew),
        cmocka_unit_test_setup(sealed_chunks_are_seen, anew), cmocka_unit_test(fewer_than_t_open_nothing),
        cmocka_unit_test(a_central_machine_that_stays_away)};
    return cmocka_run_group_tests_name("sim_flow", tests, setup, teardown);
}
