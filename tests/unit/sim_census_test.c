/* What is told to a census is what is read from it; what has no place is counted; NULL takes everything. */
#include "sim/census.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct census *made(bool work)
{
    struct census *t;
    const struct census_options options = {.node_count = 3, .region_count = 2, .work = work};
    assert_int_equal(census_new(&t, &options), OK);
    census_place(t, 1, 1);
    census_place(t, 2, 1);
    return t;
}

static struct hash32 id_of(uint32_t number)
{
    struct hash32 id;
    memset(id.bytes, 7, sizeof id.bytes); /* all in one place of the table */
    store_u32(id.bytes + 28, number);
    return id;
}

static void kept(struct census *t, uint32_t node, uint32_t number, uint64_t at_ns)
{
    const struct hash32 id = id_of(number);
    census_keeping(t, node, 100 + number, ID_SPAN(id));
    census_kept(t, node, 100 + number, OK, at_ns);
}

static void the_way_of_a_record(void **state)
{
    (void)state;
    struct census *t = made(false);
    kept(t, 0, 1, 1000000);
    census_applied(t, 0, id_of(1), 1000000); /* at its author: no delivery */
    census_applied(t, 1, id_of(1), 1050000);
    census_applied(t, 2, id_of(1), 1060000);
    assert_int_equal(census_delay(t)->count, 2);
    assert_int_equal(census_delay(t)->most, 60);
    assert_int_equal(census_delay_between(t, 0, 1)->count, 2);
    assert_int_equal(census_delay_between(t, 1, 0)->count, 0);
    assert_int_equal(census_node(t, 0)->applied, 0);
    assert_int_equal(census_node(t, 2)->applied, 1);
    assert_int_equal(census_missed(t).deliveries, 0);
    census_free(t);
}

/* One that never reached the disk, as far as anybody was told, has no beginning. */
static void without_a_beginning(void **state)
{
    (void)state;
    struct census *t = made(false);
    const struct hash32 failed = id_of(1), lost = id_of(2);
    census_keeping(t, 0, 5, ID_SPAN(failed));
    census_kept(t, 0, 5, ERR_FULL, 1000);
    census_keeping(t, 0, 6, ID_SPAN(lost));
    census_happened(t, 0, MOMENT_CRASHED, 2000);
    census_kept(t, 0, 6, OK, 3000); /* another one's token by now */
    census_applied(t, 1, failed, 9000);
    census_applied(t, 1, lost, 9000);
    assert_int_equal(census_delay(t)->count, 0);
    assert_int_equal(census_missed(t).deliveries, 2);
    assert_int_equal(census_node(t, 0)->crashes, 1);
    census_free(t);
}

static void many_records(void **state)
{
    enum { RECORDS = 5000 };
    (void)state;
    struct census *t = made(false);
    for (uint32_t i = 0; i < RECORDS; i++) kept(t, i % 3, i, i);
    for (uint32_t i = 0; i < RECORDS; i++) census_applied(t, (i + 1) % 3, id_of(i), i + 1000000);
    assert_int_equal(census_delay(t)->count, RECORDS);
    assert_int_equal(census_delay(t)->bucket[0], 0);
    assert_int_equal(spread_quantile(census_delay(t), 1),
                     census_delay(t)->most); /* each took a millisecond */
    census_free(t);
}

static void messages_by_kind(void **state)
{
    (void)state;
    uint8_t bytes[4096];
    struct buffer out = BUFFER_OF(bytes);
    struct census *t = made(false);
    const uint8_t heads[] = {MESSAGE_HEADS_CODE, 0};
    const struct body_ENDORSEMENT body = {.job = {{1}}};
    struct header h = {.kind = KIND_ENDORSEMENT, .seq = 1, .author = {{1}}}, read;
    size_t header_len;
    assert_int_equal(record_build(&out, &header_len, &h, &body), OK);
    const struct message_RECORD m = {.header = span_make(bytes, header_len),
                                     .body = span_make(bytes + header_len, out.len - header_len)};
    uint8_t message[4096];
    struct buffer wire = BUFFER_OF(message);
    message_encode(&wire, MESSAGE_RECORD_CODE, &m);
    census_sent(t, 0, SPAN_OF(heads), 10);
    census_sent(t, 0, buffer_span(&wire), 300);
    census_sent(t, 1, buffer_span(&wire), 300);
    assert_int_equal(census_message(t, MESSAGE_HEADS_CODE).bytes, 10);
    assert_int_equal(census_message(t, MESSAGE_RECORD_CODE).messages, 0);
    assert_int_equal(census_kind(t, KIND_ENDORSEMENT).messages, 2);
    assert_int_equal(census_kind(t, KIND_ENDORSEMENT).bytes, 600);
    assert_int_equal(census_node(t, 0)->sent.bytes, 310);
    assert_true(census_chained(&read, buffer_span(&wire)) && read.seq == 1);
    assert_false(census_chained(&read, SPAN_OF(heads)));
    assert_false(census_chained(&read, SPAN_NONE));
    census_free(t);
}

static void enclaves(void **state)
{
    static const uint8_t keyed[] = {FRAME_STATE, RUN_KEYED}, settled[] = {FRAME_STATE, RUN_SETTLED},
                         want[] = {FRAME_WANT, RUN_KEYED};
    const struct run_id run = {{1}}, other = {{2}};
    enum census_phase phase;
    uint32_t count;
    (void)state;
    struct census *t = made(false);
    census_elected(t, 1, run, 1, 100);
    census_elected(t, 2, run, 2, 200);
    census_reached(t, 1, run, 1, PHASE_KEYED, 150);
    census_reached(t, 1, run, 1, PHASE_KEYED, 160); /* said again */
    census_reached(t, 1, other, 1, PHASE_GONE, 170);
    const struct census_election *e = census_elections(t, &count);
    assert_int_equal(count, 2);
    assert_true(e[0].at_ns[PHASE_ELECTED] == 100 && e[0].at_ns[PHASE_KEYED] == 150 &&
                e[0].at_ns[PHASE_GONE] == 0);
    assert_true(e[1].term == 2 && e[1].node == 2 && e[1].at_ns[PHASE_KEYED] == 0);
    assert_true(census_phase_of(&phase, SPAN_OF(keyed)) && phase == PHASE_KEYED);
    assert_false(census_phase_of(&phase, SPAN_OF(settled)));
    assert_false(census_phase_of(&phase, SPAN_OF(want)));
    for (uint32_t i = 0; i < CENSUS_ELECTIONS_MAX; i++) census_elected(t, 0, other, i, 300);
    (void)census_elections(t, &count);
    assert_int_equal(count, CENSUS_ELECTIONS_MAX);
    assert_int_equal(census_missed(t).elections, 2);
    census_free(t);
}

static void work_only_where_asked_for(void **state)
{
    const struct census_work work = {10, 20, 50, 1, CRYPTO_SIGN};
    uint32_t count;
    (void)state;
    struct census *without = made(false), *with = made(true);
    for (uint32_t i = 0; i < 1000; i++) {
        census_worked(without, &work);
        census_worked(with, &work);
    }
    assert_int_equal(census_node(without, 1)->work_ns, 30000);
    (void)census_work(without, &count);
    assert_int_equal(count, 0);
    assert_int_equal(census_work(with, &count)[999].to_ns, 50);
    assert_int_equal(count, 1000);
    census_free(without);
    census_free(with);
}

static void nobody_asked(void **state)
{
    const struct run_id run = {{1}};
    const struct hash32 id = id_of(1);
    (void)state;
    census_sent(NULL, 0, SPAN_NONE, 1);
    census_received(NULL, 0, true);
    census_keeping(NULL, 0, 1, ID_SPAN(id));
    census_kept(NULL, 0, 1, OK, 1);
    census_applied(NULL, 0, id, 1);
    census_elected(NULL, 0, run, 1, 1);
    census_reached(NULL, 0, run, 1, PHASE_GONE, 1);
    census_worked(NULL, NULL);
    census_happened(NULL, 0, MOMENT_CUT, 1);
    census_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_way_of_a_record),
                                       cmocka_unit_test(without_a_beginning),
                                       cmocka_unit_test(many_records),
                                       cmocka_unit_test(messages_by_kind),
                                       cmocka_unit_test(enclaves),
                                       cmocka_unit_test(work_only_where_asked_for),
                                       cmocka_unit_test(nobody_asked)};
    return cmocka_run_group_tests_name("sim_census", tests, NULL, NULL);
}
