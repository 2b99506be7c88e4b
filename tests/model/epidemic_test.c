/* Target P5 on a thousand nodes: records reach every honest node, in few copies, not much later than by flooding; with a fifth of the nodes
 * promising and never delivering, too. Virtual time, so these figures are the same on every machine. `./dev bench epidemic` has them up to
 * a hundred thousand nodes. */
#include "sim/epidemic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct epidemic_options base = {
    .seed = 5, .nodes = 1000, .degree = 12, .records = 20, .record_bytes = 1024, .loss_ppm = 10000};

static struct epidemic_result run(const struct epidemic_options *options)
{
    struct epidemic_result r;
    assert_int_equal(epidemic_run(&r, options), OK);
    assert_int_equal(r.missed, 0);
    assert_int_equal(r.delivered, r.honest * options->records);
    return r;
}

static struct epidemic_result flooding(void)
{
    struct epidemic_options o = base;
    o.flood = true;
    const struct epidemic_result r = run(&o);
    assert_int_equal(r.copies, r.delivered / base.nodes * ((base.degree - 1) * base.nodes + 1));
    return r;
}

static void test_few_copies_and_soon(void **state)
{
    (void)state;
    const struct epidemic_result flood = flooding(), ours = run(&base), again = run(&base);
    assert_memory_equal(&ours, &again, sizeof ours);
    assert_true(ours.copies <= 4 * ours.delivered);
    assert_true(10 * ours.p99_ns <= 16 * flood.p99_ns);
}

static void test_long_records(void **state)
{
    (void)state;
    struct epidemic_options o = base;
    o.record_bytes = 4096;
    const struct epidemic_result ours = run(&o);
    assert_true(10 * ours.copies <= 12 * ours.delivered);
}

static void test_a_fifth_withholds(void **state)
{
    (void)state;
    struct epidemic_options o = base;
    o.withhold_ppm = 200000;
    const struct epidemic_result ours = run(&o), flood = flooding();
    assert_true(ours.honest < o.nodes);
    assert_true(ours.copies <= 4 * ours.delivered);
    assert_true(ours.p99_ns <= 3 * flood.p99_ns);
}

static void test_limits(void **state)
{
    (void)state;
    struct epidemic_options o = base;
    struct epidemic_result r;
    o.degree = 7;
    assert_int_equal(epidemic_run(&r, &o), ERR_RANGE);
    o = base;
    o.nodes = EPIDEMIC_NODES_MAX + 1;
    assert_int_equal(epidemic_run(&r, &o), ERR_RANGE);
    o = base;
    o.records = EPIDEMIC_RECORDS_MAX + 1;
    assert_int_equal(epidemic_run(&r, &o), ERR_RANGE);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_few_copies_and_soon),
        cmocka_unit_test(test_long_records),
        cmocka_unit_test(test_a_fifth_withholds),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests_name("epidemic", tests, NULL, NULL);
}
