/* What comes of a simulation beside its report: the same bytes twice, numbers that add up over all forms, a page that needs and believes
 * nothing but itself, a trace that a parser reads; and a run that is counted is the run that is not. */
#include "node/yaml_json.h"
#include "sim/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { FILES_MAX = 16, EVERYTHING = SIM_DETAIL | SIM_CSV | SIM_HTML | SIM_TRACE | SIM_DOT };

static struct file {
    enum sim_output output;
    char name[32];
    char *bytes; /* with a zero behind them */
    size_t len;
} files[2][FILES_MAX];
static uint32_t file_count[2], round_now;
static json_t *reports[2];

#define HOSTILE "</p><script>alert(\"1\")</script> & 'http'"

/* The shipped scenario with two runs, the first of which loses its node, and a description that would like to be more. */
static char *scenario(void)
{
    json_t *value;
    char fault[512];
    assert_int_equal(yaml_json_load(&value, PERIGEE_SOURCE_DIR "/configs/scenarios/cardio-renal.yaml", fault,
                                    sizeof fault),
                     OK);
    (void)json_object_set_new(value, "description", json_string(HOSTILE));
    (void)json_object_set_new(json_object_get(value, "study"), "runs", json_integer(2));
    (void)json_object_set_new(value, "faults",
                              json_pack("[{s:i, s:i, s:s}, {s:i, s:i, s:s, s:s}]", "at_ms", 5000, "for_ms",
                                        5000, "kind", "elected", "at_ms", 12000, "for_ms", 3000, "kind",
                                        "part", "party", "zurich"));
    char *text = yaml_json_canonical(value);
    json_decref(value);
    assert_non_null(text);
    return text;
}

static void take(void *context, enum sim_output output, const char *name, struct span bytes)
{
    (void)context;
    struct file *f = &files[round_now][file_count[round_now]++];
    assert_true(file_count[round_now] <= FILES_MAX);
    *f = (struct file){.output = output, .bytes = malloc(bytes.len + 1), .len = bytes.len};
    assert_non_null(f->bytes);
    memcpy(f->bytes, bytes.data, bytes.len);
    f->bytes[bytes.len] = 0;
    (void)snprintf(f->name, sizeof f->name, "%s", name);
}

static json_t *play(uint32_t outputs)
{
    char *text = scenario(), fault[512] = "";
    uint8_t *report;
    size_t len;
    const struct sim_wish wish = {.scenario = span_text(text), .seed = 3, .outputs = outputs, .take = take};
    assert_int_equal(sim_run(&report, &len, &wish, fault, sizeof fault), OK);
    json_t *object = json_loadb((const char *)report, len, 0, NULL);
    free(report);
    free(text);
    assert_non_null(object);
    return object;
}

static int play_twice(void **state)
{
    (void)state;
    for (round_now = 0; round_now < 2; round_now++) reports[round_now] = play(EVERYTHING);
    return 0;
}

static int forget(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        for (uint32_t j = 0; j < file_count[i]; j++) free(files[i][j].bytes);
        json_decref(reports[i]);
    }
    return 0;
}

static const struct file *file(enum sim_output output, const char *name)
{
    for (uint32_t i = 0; i < file_count[0]; i++)
        if (files[0][i].output == output && strcmp(files[0][i].name, name) == 0) return &files[0][i];
    fail_msg("there is no %s", name);
    return NULL;
}

static json_int_t number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static json_int_t sum(const json_t *report, const char *table, const char *column)
{
    size_t i;
    const json_t *row;
    json_int_t all = 0;
    json_array_foreach(json_object_get(report, table), i, row) all += number(row, column);
    return all;
}

/* --- Tests ---------------------------------------------------------------------------------------------------------------- */

static void the_same_bytes_twice(void **state)
{
    (void)state;
    assert_true(json_equal(reports[0], reports[1]));
    assert_int_equal(file_count[0], 10 + 3);
    assert_int_equal(file_count[1], file_count[0]);
    for (uint32_t i = 0; i < file_count[0]; i++) {
        assert_int_equal(files[0][i].len, files[1][i].len);
        assert_memory_equal(files[0][i].bytes, files[1][i].bytes, files[0][i].len);
    }
}

/* Who counts changes nothing. */
static void uncounted_it_is_the_same_run(void **state)
{
    (void)state;
    json_t *plain = play(0);
    assert_string_equal(json_string_value(json_object_get(plain, "hash")),
                        json_string_value(json_object_get(reports[0], "hash")));
    assert_null(json_object_get(plain, "delivery"));
    assert_null(json_object_get(plain, "nodes"));
    assert_int_equal(json_array_size(json_object_get(plain, "exposure")), 4);
    assert_int_equal(json_array_size(json_object_get(plain, "timeline")), 2);
    json_decref(plain);
}

static void numbers_add_up(void **state)
{
    (void)state;
    const json_t *r = reports[0], *delivery = json_object_get(r, "delivery");
    assert_null(json_object_get(r, "violation"));
    assert_true(number(r, "bytes") > 0 && number(r, "messages") > 0);
    static const char *const tables[] = {"kinds", "nodes", "paths"};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        assert_int_equal(sum(r, tables[i], "bytes"), number(r, "bytes"));
        assert_int_equal(sum(r, tables[i], "messages"), number(r, "messages"));
    }
    assert_int_equal(sum(r, "nodes", "received"), number(r, "records_received"));
    assert_int_equal(sum(r, "nodes", "held_already"), number(r, "records_held_already"));
    /* What took effect had come, and was new then. */
    assert_true(number(r, "records_received") - number(r, "records_held_already") >=
                sum(r, "nodes", "took_effect"));
    assert_int_equal(sum(r, "nodes", "crashes"), number(r, "crashes"));
    assert_int_equal(sum(r, "nodes", "cuts"), number(r, "partitions"));
    assert_int_equal(sum(r, "latency", "deliveries"), number(delivery, "count"));
    assert_int_equal(sum(r, "paths", "deliveries"), number(delivery, "count"));
    assert_int_equal(sum(r, "nodes", "took_effect"),
                     number(delivery, "count") + number(json_object_get(r, "missed"), "deliveries"));
    assert_true(number(delivery, "count") > 100);
    assert_true(number(delivery, "p50_us") <= number(delivery, "p90_us") &&
                number(delivery, "p90_us") <= number(delivery, "p99_us") &&
                number(delivery, "p99_us") <= number(delivery, "max_us"));
    assert_true(number(delivery, "p50_us") > 4000); /* no link is faster than two access links */
}

static void runs_go_their_way(void **state)
{
    size_t i;
    const json_t *run, *e;
    (void)state;
    const json_t *timeline = json_object_get(reports[0], "timeline");
    assert_int_equal(json_array_size(timeline), 2);
    json_array_foreach(timeline, i, run)
    {
        assert_string_equal(json_string_value(json_object_get(run, "state")), "settled");
        static const char *const steps[] = {"requested_ms", "elected_ms", "keyed_ms", "committed_ms",
                                            "settled_ms"};
        for (size_t j = 1; j < sizeof steps / sizeof steps[0]; j++)
            assert_true(number(run, steps[j - 1]) <= number(run, steps[j]) && number(run, steps[j]) > 0);
        assert_true(number(run, "certificates") >= 1);
    }
    assert_int_equal(sum(reports[0], "timeline", "certificates"),
                     (json_int_t)json_array_size(json_object_get(reports[0], "elections")));
    /* The elected node is lost once: one certificate more than there are runs, and one enclave that committed to nothing. */
    assert_int_equal(json_array_size(json_object_get(reports[0], "elections")), 3);
    json_int_t lost = 0;
    json_array_foreach(json_object_get(reports[0], "elections"), i, e) lost +=
        json_object_get(e, "committed_ms") == NULL && json_object_get(e, "gone_ms") != NULL;
    assert_int_equal(lost, 1);
}

static void csv_has_its_columns(void **state)
{
    static const struct {
        const char *name, *head;
    } tables[] = {
        {"elections", "run,term,node,elected_ms,attested_ms,keyed_ms,computing_ms,committed_ms,gone_ms\r\n"},
        {"exposure", "owner,rows,enclaves,together\r\ncharite,400,"},
        {"faults", "at_ms,node,what\r\n"},
        {"kinds", "kind,messages,bytes\r\n"},
        {"latency", "least_us,most_us,deliveries\r\n"},
        {"modes", "trust,formed_ms,settled,settle_median_ms,settle_most_ms,messages,bytes,bytes_abroad,"
                  "plaintext_abroad,sealed_abroad,readers,together\r\nfederated,"},
        {"nodes",
         "node,region,messages,bytes,received,held_already,took_effect,keyed_work_us,crashes,cuts\r\n"
         "charite,germany,"},
        {"paths", "from,to,round_trip_us,messages,bytes,lost,retransmitted,deliveries,p50_us,p99_us\r\n"},
        {"readers", "trust,party,owner,readable_rows,how,times\r\nfederated,"},
        {"timeline",
         "run,state,requested_ms,elected_ms,keyed_ms,committed_ms,settled_ms,term,certificates,node\r\n"
         "1,settled,"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        const char *text = file(SIM_CSV, tables[i].name)->bytes;
        assert_memory_equal(text, tables[i].head, strlen(tables[i].head));
        size_t rows = 0;
        for (const char *at = text; (at = strstr(at, "\r\n")) != NULL; at += 2) rows++;
        assert_int_equal(rows, json_array_size(json_object_get(reports[0], tables[i].name)) + 1);
    }
}

/* In order, and each closed by what opened it, apart from those that have no end. */
static void is_well_formed(const char *html)
{
    static const char *const alone[] = {"meta", "!doctype", "line", "polyline"};
    char open[64][16];
    uint32_t depth = 0;
    for (const char *at = html; (at = strchr(at, '<')) != NULL; at++) {
        char name[16] = "";
        bool single = false;
        const bool end = at[1] == '/';
        const char *from = at + 1 + end;
        const size_t len = strcspn(from, " >\n/");
        assert_true(len > 0 && len < sizeof name);
        (void)snprintf(name, sizeof name, "%.*s", (int)len, from);
        for (size_t i = 0; i < sizeof alone / sizeof alone[0]; i++) single |= strcmp(name, alone[i]) == 0;
        const char *close = strchr(at, '>');
        assert_non_null(close);
        if (single || close[-1] == '/') continue;
        if (!end) {
            assert_true(depth < 64);
            memcpy(open[depth++], name, sizeof name);
        } else {
            assert_true(depth > 0);
            assert_string_equal(open[--depth], name);
        }
    }
    assert_int_equal(depth, 0);
}

static void the_page_stands_alone(void **state)
{
    (void)state;
    const char *html = file(SIM_HTML, "")->bytes;
    static const char *const never[] = {"<script", "http:",   "https:",  "://",  "url(",
                                        "@import", " style=", "onload=", "src=", "href="};
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
        const char *found = strstr(html, never[i]);
        if (found != NULL) fail_msg("the page has \"%.60s\"", found);
    }
    assert_non_null(
        strstr(html, "&lt;/p&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;http&#39;"));
    assert_non_null(strstr(html, "default-src 'none'; style-src 'sha256-"));
    assert_non_null(strstr(html, "prefers-color-scheme:dark"));
    is_well_formed(html);
    static const char *const parts[] = {"<title id=\"latency-title\">",   "<title id=\"runs-title\">",
                                        "<title id=\"elections-title\">", "<title id=\"duplicates-title\">",
                                        "<title id=\"kinds-title\">",     "<title id=\"regions-title\">",
                                        "Who had rows in plaintext"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) assert_non_null(strstr(html, parts[i]));
}

/* The Trace Event Format: every slice within the run and, on its track, behind the one before. */
static void the_trace_is_read(void **state)
{
    enum { TRACKS_MAX = 256 };
    double end[TRACKS_MAX] = {0};
    bool named[TRACKS_MAX] = {false}, used[TRACKS_MAX] = {false};
    uint32_t crashes = 0, elected = 0, cuts = 0;
    size_t i;
    const json_t *e;
    (void)state;
    const struct file *f = file(SIM_TRACE, "");
    json_t *trace = json_loadb(f->bytes, f->len, 0, NULL);
    assert_non_null(trace);
    const double whole_us = (double)number(reports[0], "virtual_ms") * 1000 + 1000;
    json_array_foreach(json_object_get(trace, "traceEvents"), i, e)
    {
        const char *phase = json_string_value(json_object_get(e, "ph")),
                   *name = json_string_value(json_object_get(e, "name"));
        const json_int_t track = number(e, "tid");
        const double ts = json_number_value(json_object_get(e, "ts")),
                     dur = json_number_value(json_object_get(e, "dur"));
        assert_in_range(track, 0, TRACKS_MAX - 1);
        assert_non_null(name);
        if (strcmp(phase, "X") == 0) {
            assert_true(ts >= end[track] - 0.001 && dur >= 0 && ts <= whole_us);
            end[track] = ts + dur;
        }
        named[track] |= strcmp(name, "thread_name") == 0;
        used[track] |= strcmp(phase, "M") != 0;
        crashes += strcmp(name, "crashed") == 0;
        cuts += strcmp(name, "cut off") == 0;
        elected += strncmp(name, "elected: run ", 13) == 0;
    }
    for (uint32_t t = 0; t < TRACKS_MAX; t++) assert_true(named[t] || !used[t]);
    assert_int_equal(crashes, number(reports[0], "crashes"));
    assert_int_equal(cuts, number(reports[0], "partitions"));
    assert_int_equal(elected, json_array_size(json_object_get(reports[0], "elections")));
    json_decref(trace);
}

static void the_topology_names_all(void **state)
{
    (void)state;
    const char *dot = file(SIM_DOT, "")->bytes;
    assert_memory_equal(dot, "graph \"cardio-renal\" {", 22);
    assert_non_null(strstr(dot, "label=\"study-office\""));
    assert_non_null(strstr(dot, "label=\"us-east (US)\""));
    size_t links = 0;
    for (const char *at = dot; (at = strstr(at, " ms\"]")) != NULL; at++) links++;
    assert_int_equal(links, 8 * 7 / 2); /* eight regions, each linked with each */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_bytes_twice), cmocka_unit_test(uncounted_it_is_the_same_run),
        cmocka_unit_test(numbers_add_up),       cmocka_unit_test(runs_go_their_way),
        cmocka_unit_test(csv_has_its_columns),  cmocka_unit_test(the_page_stands_alone),
        cmocka_unit_test(the_trace_is_read),    cmocka_unit_test(the_topology_names_all)};
    return cmocka_run_group_tests_name("sim_results", tests, play_twice, forget);
}
