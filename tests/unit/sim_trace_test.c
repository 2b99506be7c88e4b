/* The trace and the topology of a made-up world: work ends where its node crashes, and names that would be more are only names. */
#include "sim/topology.h"
#include "sim/trace.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct scenario_party parties[] = {
    {.name = SPAN_STATIC("a\"},{\"ph\":\"X\\"), .region = 0, .rows = 1},
    {.name = SPAN_STATIC("plain"), .region = 3},
};
static const struct scenario scenario = {
    .name = SPAN_STATIC("w\"x"), .consortia = 1, .party_count = 2, .party = parties};

static struct census *counted(void)
{
    struct census *t;
    const struct census_options options = {.node_count = 2, .region_count = 4, .work = true};
    assert_int_equal(census_new(&t, &options), OK);
    return t;
}

static void work(struct census *t, uint32_t node, uint64_t asked_ns, uint64_t from_ns, uint64_t to_ns)
{
    census_worked(t, &(struct census_work){asked_ns, from_ns, to_ns, node, CRYPTO_SIGN});
}

static json_t *traced(const struct census *t)
{
    char *text = NULL;
    size_t len = 0;
    const struct results r = {.scenario = &scenario, .census = t, .seed = 9, .counts = {.now_ns = 900000}};
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    assert_true(trace_write(out, &r));
    assert_int_equal(fclose(out), 0);
    json_t *object = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    free(text);
    assert_non_null(object);
    return object;
}

static const json_t *nth(const json_t *trace, const char *phase, uint32_t index)
{
    size_t i;
    const json_t *e;
    json_array_foreach(json_object_get(trace, "traceEvents"), i,
                       e) if (strcmp(json_string_value(json_object_get(e, "ph")), phase) == 0 &&
                              index-- == 0) return e;
    return NULL;
}

static void is_slice(const json_t *trace, uint32_t index, double from_us, double took_us)
{
    const json_t *e = nth(trace, "X", index);
    assert_non_null(e);
    const double ts = json_number_value(json_object_get(e, "ts")),
                 dur = json_number_value(json_object_get(e, "dur"));
    assert_true(ts > from_us - 0.0001 && ts < from_us + 0.0001);
    assert_true(dur > took_us - 0.0001 && dur < took_us + 0.0001);
}

static void work_ends_with_its_node(void **state)
{
    (void)state;
    struct census *t = counted();
    work(t, 0, 0, 0, 100000);
    work(t, 0, 10, 100000, 200005); /* under way */
    work(t, 1, 20, 20, 400000);     /* another node's */
    work(t, 0, 30, 200005, 300000); /* waits */
    census_happened(t, 0, MOMENT_CRASHED, 150001);
    census_happened(t, 0, MOMENT_STARTED, 160000);
    work(t, 0, 170000, 170000, 180000);
    json_t *trace = traced(t);
    is_slice(trace, 0, 0, 100);
    is_slice(trace, 1, 100, 50.001);
    is_slice(trace, 2, 0.02, 399.98);
    is_slice(trace, 3, 170, 10);
    assert_null(nth(trace, "X", 4));
    assert_string_equal(json_string_value(json_object_get(nth(trace, "i", 0), "name")), "crashed");
    json_decref(trace);
    census_free(t);
}

static void names_are_names(void **state)
{
    (void)state;
    struct census *t = counted();
    json_t *trace = traced(t);
    assert_null(nth(trace, "X", 0));
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(nth(trace, "M", 0), "args"), "name")), "w\"x");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(nth(trace, "M", 1), "args"), "name")),
        "a\"},{\"ph\":\"X\\");
    json_decref(trace);
    census_free(t);
}

static void a_topology_of_names(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    topology_write(out, &scenario);
    assert_int_equal(fclose(out), 0);
    assert_memory_equal(text, "graph \"w\\\"x\" {", 14);
    assert_non_null(strstr(text, "label=\"a\\\"},{\\\"ph\\\":\\\"X\\\\\"]"));
    assert_non_null(strstr(text, "region0 -- region3 [label=\"11.0 ms\"]"));
    free(text);
}

/* Those of a kind that stand in one region are one of it. */
static void a_topology_of_many(void **state)
{
    (void)state;
    static const struct scenario_kind kind = {.name = SPAN_STATIC("band"), .count = 5};
    struct scenario_party many[6] = {{.name = SPAN_STATIC("one"), .region = 1}};
    const struct scenario s = {.name = SPAN_STATIC("many"), .consortia = 1, .party_count = 6, .party = many};
    char *text = NULL;
    size_t len = 0;
    for (uint32_t i = 1; i < 6; i++) many[i] = (struct scenario_party){.kind = &kind, .region = 1 - i % 2};
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    topology_write(out, &s);
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(text, "label=\"one\"]"));
    assert_non_null(strstr(text, "label=\"band, 3 of them\"]"));
    assert_non_null(strstr(text, "label=\"band, 2 of them\"]"));
    assert_null(strstr(text, "party3"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(work_ends_with_its_node), cmocka_unit_test(names_are_names),
        cmocka_unit_test(a_topology_of_names), cmocka_unit_test(a_topology_of_many)};
    return cmocka_run_group_tests_name("sim_trace", tests, NULL, NULL);
}
