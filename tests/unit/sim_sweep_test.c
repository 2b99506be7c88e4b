/* A sweep is taken as a whole or refused in one line; its cells have one order; what is put into the scenario stands where the key says,
 * and everything else stays. */
#include "sim/scenario.h"
#include "sim/sweep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint8_t memory[16 << 20];
static struct arena arena;
static struct json_fault fault;

static const char scenario[] =
    "{\"faults\":[{\"at_ms\":10,\"for_ms\":20,\"kind\":\"crash\",\"party\":\"north\"}],\"name\":\"small\","
    "\"parties\":["
    "{\"jurisdiction\":\"EU\",\"name\":\"north\",\"region\":\"sweden\","
    "\"roles\":[\"custodian\",\"owner\",\"steward\"],\"rows\":10},"
    "{\"jurisdiction\":\"US\",\"name\":\"hall\",\"region\":\"us-east\","
    "\"roles\":[\"algorithm\",\"compute\",\"requester\"]}],"
    "\"perigee\":\"scenario/1\",\"study\":{\"epsilon\":\"0.5\",\"runs\":2}}";

static const char whole[] =
    "{\"description\":\"what it shows\",\"grid\":{\"faults[0].at_ms\":[1,2,3],\"network.loss_ppm\":[0,500],"
    "\"study.race\":[true]},\"name\":\"loss\",\"perigee\":\"sweep/1\",\"scenario\":\"small.yaml\","
    "\"seeds\":{\"count\":4,\"from\":7}}";

static enum err parse(struct sweep **out, const char *sweep, const char *of)
{
    memset(memory, 0, sizeof memory);
    arena = arena_make(memory, sizeof memory);
    fault = (struct json_fault){{0}, {0}, OK};
    return sweep_parse(out, &arena, span_text(sweep), span_text(of), &fault);
}

/* `whole` with the first `from` replaced. */
static const char *with(const char *from, const char *to)
{
    static char text[8192];
    const char *at = strstr(whole, from);
    assert_non_null(at);
    (void)snprintf(text, sizeof text, "%.*s%s%s", (int)(at - whole), whole, to, at + strlen(from));
    return text;
}

static const char *text_of(const struct sweep *s, uint32_t point, bool values)
{
    static char text[SCENARIO_BYTES_MAX];
    struct buffer out = buffer_make(text, sizeof text - 1);
    assert_int_equal(values ? sweep_values(s, &out, point) : sweep_scenario(s, &out, &arena, point, &fault),
                     OK);
    buffer_put_zero(&out);
    return text;
}

static void cells_in_their_order(void **state)
{
    struct sweep *s;
    (void)state;
    assert_int_equal(parse(&s, whole, scenario), OK);
    assert_true(span_equal_text(s->name, "loss"));
    assert_int_equal(s->points, 6);
    assert_int_equal(sweep_cells(s), 24);
    for (uint64_t i = 0; i < 24; i++) {
        const struct sweep_cell cell = sweep_cell_at(s, i);
        assert_int_equal(cell.point, i / 4);
        assert_int_equal(cell.seed, 7 + i % 4);
    }
    assert_string_equal(text_of(s, 0, true),
                        "{\"faults[0].at_ms\":1,\"network.loss_ppm\":0,\"study.race\":true}");
    assert_string_equal(text_of(s, 1, true),
                        "{\"faults[0].at_ms\":1,\"network.loss_ppm\":500,\"study.race\":true}");
    assert_string_equal(text_of(s, 2, true),
                        "{\"faults[0].at_ms\":2,\"network.loss_ppm\":0,\"study.race\":true}");
    assert_string_equal(text_of(s, 5, true),
                        "{\"faults[0].at_ms\":3,\"network.loss_ppm\":500,\"study.race\":true}");
}

/* Into a list, into an object that is not there, into one that is; the rest byte for byte. */
static void values_are_put_in(void **state)
{
    struct sweep *s;
    uint32_t point;
    (void)state;
    assert_int_equal(parse(&s, whole, scenario), OK);
    const size_t used = arena.used;
    assert_string_equal(
        text_of(s, 5, false),
        "{\"faults\":[{\"at_ms\":3,\"for_ms\":20,\"kind\":\"crash\",\"party\":\"north\"}],\"name\":\"small\","
        "\"network\":{\"loss_ppm\":500},\"parties\":["
        "{\"jurisdiction\":\"EU\",\"name\":\"north\",\"region\":\"sweden\","
        "\"roles\":[\"custodian\",\"owner\",\"steward\"],\"rows\":10},"
        "{\"jurisdiction\":\"US\",\"name\":\"hall\",\"region\":\"us-east\","
        "\"roles\":[\"algorithm\",\"compute\",\"requester\"]}],"
        "\"perigee\":\"scenario/1\",\"study\":{\"epsilon\":\"0.5\",\"race\":true,\"runs\":2}}");
    assert_int_equal(sweep_check(s, &point, &arena, &fault), OK);
    assert_int_equal(arena.used, used);
}

/* Without a grid there is one choice, without seeds one seed; the scenario may stand in the sweep itself. */
static void the_least(void **state)
{
    char text[2048];
    struct sweep *s;
    uint32_t point;
    (void)state;
    (void)snprintf(text, sizeof text, "{\"name\":\"one\",\"perigee\":\"sweep/1\",\"scenario\":%s}", scenario);
    assert_int_equal(parse(&s, text, ""), OK);
    assert_int_equal(sweep_cells(s), 1);
    assert_int_equal(sweep_cell_at(s, 0).seed, 1);
    assert_string_equal(text_of(s, 0, true), "{}");
    assert_string_equal(text_of(s, 0, false), scenario);
    assert_int_equal(sweep_check(s, &point, &arena, &fault), OK);
}

static void what_is_refused(void **state)
{
    static const struct {
        const char *from, *to, *path, *expected;
    } wrong[] = {
        {"sweep/1", "sweep/2", "perigee", "sweep/1"},
        {"\"name\"", "\"nam\"", "name", "1 to 64 characters"},
        {"\"seeds\"", "\"sees\"", "sees", "no member of this name"},
        {"\"from\":7", "\"form\":7", "seeds.form", "no member of this name"},
        {"\"from\":7", "\"from\":-7", "seeds.from", "integer from 0"},
        {"\"count\":4", "\"count\":0", "seeds.count", "integer from 1"},
        {"\"count\":4", "\"count\":16667", "seeds.count", "at most 100000 cells"},
        {"\"small.yaml\"", "7", "scenario", "a scenario, or the path of one"},
        {"\"small.yaml\"", "\"\"", "scenario", "a scenario, or the path of one"},
        {"[0,500]", "[]", "grid.network.loss_ppm", "a list of 1 to 256 values"},
        {"[0,500]", "500", "grid.network.loss_ppm", "a list of 1 to 256 values"},
        {"[0,500]", "[0,500,0]", "grid.network.loss_ppm", "each value once"},
        {"[0,500]", "[0,null]", "grid.network.loss_ppm", "whole numbers"},
        {"[0,500]", "[0,[500]]", "grid.network.loss_ppm", "whole numbers"},
        {"network.loss_ppm", "network..loss_ppm", "grid.network..loss_ppm", "a key of the scenario"},
        {"network.loss_ppm", "network.loss_ppm.", "grid.network.loss_ppm.", "a key of the scenario"},
        {"faults[0]", "faults[00]", "grid.faults[00].at_ms", "a key of the scenario"},
        {"faults[0]", "faults[]", "grid.faults[].at_ms", "a key of the scenario"},
        {"faults[0]", "[0]", "grid.[0].at_ms", "a key of the scenario"},
        {"faults[0].at_ms", "a.b.c.d.e.f.g.h.i", "grid.a.b.c.d.e.f.g.h.i", "a key of the scenario"},
    };
    struct sweep *s;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const enum err err = parse(&s, with(wrong[i].from, wrong[i].to), scenario);
        assert_int_not_equal(err, OK);
        if (strcmp(fault.path, wrong[i].path) != 0 ||
            strncmp(fault.expected, wrong[i].expected, strlen(wrong[i].expected)) != 0)
            fail_msg("%s: refused at \"%s\", expected %s", wrong[i].to, fault.path, fault.expected);
    }
    assert_int_equal(parse(&s, whole, ""), ERR_TYPE); /* it names a file, and there is none */
    assert_int_equal(parse(&s, whole, "{"), ERR_SYNTAX);
}

/* More than ten thousand choices, and more than eight keys. */
static void too_much(void **state)
{
    char grid[4096];
    struct sweep *s;
    (void)state;
    int len = snprintf(grid, sizeof grid, "\"grid\":{");
    for (uint32_t k = 0; k < 2; k++) {
        len += snprintf(grid + len, sizeof grid - (size_t)len, "%s\"k%u\":[", k > 0 ? "," : "", k);
        for (uint32_t i = 0; i < 101; i++)
            len += snprintf(grid + len, sizeof grid - (size_t)len, "%s%u", i > 0 ? "," : "", i);
        len += snprintf(grid + len, sizeof grid - (size_t)len, "]");
    }
    (void)snprintf(grid + len, sizeof grid - (size_t)len, "},\"name\"");
    static const char from[] = "\"grid\":{\"faults[0].at_ms\":[1,2,3],\"network.loss_ppm\":[0,500],"
                               "\"study.race\":[true]},\"name\"";
    assert_int_equal(parse(&s, with(from, grid), scenario), ERR_RANGE);
    assert_string_equal(fault.expected, "at most 10000 choices of values");
    len = snprintf(grid, sizeof grid, "\"grid\":{");
    for (uint32_t k = 0; k < SWEEP_KEYS_MAX + 1; k++)
        len += snprintf(grid + len, sizeof grid - (size_t)len, "%s\"k%u\":[1]", k > 0 ? "," : "", k);
    (void)snprintf(grid + len, sizeof grid - (size_t)len, "},\"name\"");
    assert_int_equal(parse(&s, with(from, grid), scenario), ERR_TOO_LARGE);
    assert_string_equal(fault.expected, "at most 8 keys");
}

/* What only the scenario can refuse is found before anything runs, at the first choice that has it. */
static void a_point_that_is_no_scenario(void **state)
{
    static const struct {
        const char *from, *to, *path;
        uint32_t point;
    } wrong[] = {
        {"[0,500]", "[0,-1]", "network.loss_ppm", 1},
        {"network.loss_ppm", "network.loss", "network", 0},
        {"faults[0]", "faults[1]", "grid.faults[1].at_ms", 0},
        {"faults[0].at_ms", "faults[1]", "grid.faults[1]", 0},
        {"faults[0].at_ms", "faults.at_ms", "grid.faults.at_ms", 0},
        {"network.loss_ppm", "name[0]", "grid.name[0]", 0},
        {"network.loss_ppm", "network[0]", "grid.network[0]", 0},
    };
    struct sweep *s;
    uint32_t point;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(parse(&s, with(wrong[i].from, wrong[i].to), scenario), OK);
        const size_t used = arena.used;
        assert_int_not_equal(sweep_check(s, &point, &arena, &fault), OK);
        assert_int_equal(arena.used, used);
        assert_int_equal(point, wrong[i].point);
        if (strncmp(fault.path, wrong[i].path, strlen(wrong[i].path)) != 0)
            fail_msg("%s: refused at \"%s\", expected %s", wrong[i].to, fault.path, fault.expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(cells_in_their_order),
                                       cmocka_unit_test(values_are_put_in),
                                       cmocka_unit_test(the_least),
                                       cmocka_unit_test(what_is_refused),
                                       cmocka_unit_test(too_much),
                                       cmocka_unit_test(a_point_that_is_no_scenario)};
    return cmocka_run_group_tests_name("sim_sweep", tests, NULL, NULL);
}
