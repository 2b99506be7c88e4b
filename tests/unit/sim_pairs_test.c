/* A set of links against a matrix of them, under random adding and dropping; and no number comes twice. */
#include "sim/chance.h"
#include "sim/pairs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NODES = 40, STEPS = 20000 };

static uint64_t serial[NODES][NODES];

static void same(const struct pairs *p)
{
    for (uint32_t a = 0; a < NODES; a++) {
        uint32_t count = 0;
        for (uint32_t b = 0; b < NODES; b++) {
            if (a != b) assert_int_equal(pairs_serial(p, a, b), serial[a][b]);
            count += serial[a][b] != 0;
        }
        assert_int_equal(pairs_count(p, a), count);
        for (uint32_t i = 0; i < count; i++) assert_int_not_equal(serial[a][pairs_at(p, a, i)], 0);
    }
}

static void as_a_matrix_has_it(void **state)
{
    struct pairs *p;
    struct chance c = chance_stream(1, "pairs", 0);
    uint64_t last = 0;
    (void)state;
    memset(serial, 0, sizeof serial);
    assert_int_equal(pairs_new(&p, NODES), OK);
    for (uint32_t step = 0; step < STEPS; step++) {
        const uint32_t a = (uint32_t)chance_below(&c, NODES), b = (uint32_t)chance_below(&c, NODES);
        if (a == b) continue;
        if (serial[a][b] != 0) {
            pairs_drop(p, a, b);
            serial[a][b] = serial[b][a] = 0;
        } else {
            pairs_add(p, a, b, 1);
            serial[a][b] = serial[b][a] = pairs_serial(p, a, b);
            assert_true(serial[a][b] > last); /* of no other link, now or before */
            last = serial[a][b];
        }
        if (step % 64 == 0) same(p);
    }
    same(p);
    pairs_free(p);
}

/* From the last to the first, as who drops all of a node's does. */
static void all_of_one(void **state)
{
    struct pairs *p;
    (void)state;
    assert_int_equal(pairs_new(&p, NODES), OK);
    for (uint32_t b = 1; b < NODES; b++) pairs_add(p, 0, b, b);
    for (uint32_t b = 1; b < NODES; b++) assert_int_equal(pairs_since(p, b, 0), b);
    for (uint32_t i = pairs_count(p, 0); i-- > 0;) pairs_drop(p, 0, pairs_at(p, 0, i));
    for (uint32_t a = 0; a < NODES; a++) assert_int_equal(pairs_count(p, a), 0);
    pairs_free(p);
    pairs_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_a_matrix_has_it), cmocka_unit_test(all_of_one)};
    return cmocka_run_group_tests_name("sim_pairs", tests, NULL, NULL);
}
