/* perigee sim SCENARIO: one run of the simulated world, its report on stdout. */
#include "node/client.h"
#include "node/file.h"
#include "node/problem.h"
#include "node/simulator.h"
#include "node/yaml_json.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SEED_MAX ((UINT64_C(1) << 53) - 1)

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

/* --- While it runs: a line on a terminal, nothing in a pipe ------------------------------------------------------------------ */

struct progress {
    bool shown;
    struct timespec begun;
};

static double seconds_since(const struct timespec *begun)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - begun->tv_sec) + (double)(now.tv_nsec - begun->tv_nsec) / 1e9;
}

static bool go_on(void *context, uint64_t virtual_ms, uint64_t events)
{
    struct progress *p = context;
    const double seconds = seconds_since(&p->begun);
    if (isatty(STDERR_FILENO) && seconds > 0) {
        (void)fprintf(stderr, "\r%8.1f s of virtual time, %" PRIu64 " events, %.0f a second ",
                      (double)virtual_ms / 1e3, events, (double)events / seconds);
        (void)fflush(stderr);
        p->shown = true;
    }
    return interrupted == 0;
}

/* --- The report, for people ---------------------------------------------------------------------------------------------------- */

static json_int_t number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static void print_exposure(const json_t *report)
{
    size_t i;
    const json_t *e;
    (void)puts("\nrows in plaintext, beside at their owner");
    json_array_foreach(json_object_get(report, "exposure"), i, e)(void)
        printf("  %-24s %6" JSON_INTEGER_FORMAT " rows, in %" JSON_INTEGER_FORMAT " enclaves (SIMULATED)\n",
               json_string_value(json_object_get(e, "owner")), number(e, "rows"), number(e, "enclaves"));
}

static void print_paths(const json_t *report)
{
    size_t i;
    const json_t *p;
    (void)puts("\nbetween regions");
    json_array_foreach(json_object_get(report, "paths"), i, p)(void) printf(
        "  %-14s %-14s %8" JSON_INTEGER_FORMAT " messages %9.1f KiB %6" JSON_INTEGER_FORMAT " sent again\n",
        json_string_value(json_object_get(p, "from")), json_string_value(json_object_get(p, "to")),
        number(p, "messages"), (double)number(p, "bytes") / 1024, number(p, "retransmitted"));
}

static void print_report(const json_t *report)
{
    const json_t *runs = json_object_get(report, "runs");
    (void)printf("%s, seed %" JSON_INTEGER_FORMAT ": %.1f s of virtual time, %" JSON_INTEGER_FORMAT
                 " events; every signature and share was computed\n",
                 json_string_value(json_object_get(report, "name")), number(report, "seed"),
                 (double)number(report, "virtual_ms") / 1e3, number(report, "events"));
    (void)printf("  founded, keys made, data sealed and approved after %.1f s\n",
                 (double)number(report, "formed_ms") / 1e3);
    (void)printf("  %" JSON_INTEGER_FORMAT " runs asked for, %" JSON_INTEGER_FORMAT
                 " settled, %" JSON_INTEGER_FORMAT
                 " ended otherwise; from request to receipt %.1f s at the median, %.1f to %.1f s\n",
                 number(runs, "requested"), number(runs, "settled"), number(runs, "ended"),
                 (double)number(runs, "settle_median_ms") / 1e3,
                 (double)number(runs, "settle_least_ms") / 1e3, (double)number(runs, "settle_most_ms") / 1e3);
    (void)printf("  %" JSON_INTEGER_FORMAT " crashes, %" JSON_INTEGER_FORMAT
                 " partitions; %" JSON_INTEGER_FORMAT " messages, %.1f MiB; %" JSON_INTEGER_FORMAT
                 " times a record took effect\n",
                 number(report, "crashes"), number(report, "partitions"), number(report, "messages"),
                 (double)number(report, "bytes") / (1 << 20), number(report, "records_applied"));
    print_exposure(report);
    print_paths(report);
    (void)printf("\nhash %s\n", json_string_value(json_object_get(report, "hash")));
}

/* --- The command --------------------------------------------------------------------------------------------------------------------- */

static int list_regions(const struct client *c, const struct simulator *s)
{
    json_t *list = json_array();
    for (uint32_t i = 0; s->region(i) != NULL; i++) {
        if (!c->json) (void)puts(s->region(i));
        (void)json_array_append_new(list, json_string(s->region(i)));
    }
    if (c->json) client_print(json_pack("{s:O}", "regions", list));
    json_decref(list);
    return EXIT_OK;
}

/* The scenario as canonical text, from malloc. */
static int read_scenario(const struct client *c, char **text, const char *path)
{
    json_t *value;
    char fault[512] = "";
    const enum err err = yaml_json_load(&value, path, fault, sizeof fault);
    if (err != OK) return client_fail(c, EXIT_REFUSED, "%s", fault[0] != 0 ? fault : err_text(err));
    *text = yaml_json_canonical(value);
    json_decref(value);
    return *text != NULL ? EXIT_OK : client_fail(c, EXIT_REFUSED, "out of memory");
}

/* Exit code 1 when a property did not hold: the run found what it was looking for. */
static int show(const struct client *c, const uint8_t *report, size_t len, const char *path, uint64_t seed)
{
    json_t *object = json_loadb((const char *)report, len, 0, NULL);
    if (object == NULL) return client_fail(c, EXIT_REFUSED, "out of memory");
    const char *violation = json_string_value(json_object_get(object, "violation"));
    int code = EXIT_OK;
    if (c->json)
        (void)printf("%.*s\n", (int)len, (const char *)report);
    else
        print_report(object);
    if (violation != NULL)
        code = client_fail(c, EXIT_REFUSED,
                           "after %" JSON_INTEGER_FORMAT " ms: %s; again: perigee sim %s --seed %" PRIu64,
                           number(object, "virtual_ms"), violation, path, seed);
    json_decref(object);
    return code;
}

static int simulate(const struct client *c, const struct simulator *s, const char *path, uint64_t seed)
{
    struct progress progress = {0};
    char *text, fault[512] = "";
    uint8_t *report = NULL;
    size_t len = 0;
    int code = read_scenario(c, &text, path);
    if (code != EXIT_OK) return code;
    (void)clock_gettime(CLOCK_MONOTONIC, &progress.begun);
    (void)signal(SIGINT, on_interrupt);
    const struct simulator_wish wish = {span_text(text), seed, go_on, &progress};
    const enum err err = s->run(&report, &len, &wish, fault, sizeof fault);
    if (progress.shown) (void)fputs("\r\033[K", stderr);
    free(text);
    if (err != OK) return client_fail(c, EXIT_REFUSED, "%s: %s", path, fault[0] != 0 ? fault : err_text(err));
    code = show(c, report, len, path, seed);
    free(report);
    return code;
}

int command_sim(int argc, char **argv)
{
    struct client c = {.command = "sim"}; /* it needs no node */
    const char *seed_text = NULL, *path = NULL;
    bool regions = false;
    uint64_t seed = 1;
    const struct simulator *s = simulator_in_use();
    const struct argument options[] = {
        {"--seed", &seed_text, NULL}, {"--regions", NULL, &regions}, {"--json", NULL, &c.json}};
    struct arguments a = {options, 3, 0, 1, 0, &path};
    if (arguments_parse(&a, argc, argv) != OK) return EXIT_USAGE;
    if (s == NULL) return client_fail(&c, EXIT_REFUSED, "this program was built without the simulator");
    if (regions) return list_regions(&c, s);
    if (path == NULL)
        return client_fail(&c, EXIT_USAGE, "expected a scenario: perigee sim SCENARIO [--seed N]");
    if (seed_text != NULL && arguments_number(&seed, "--seed", seed_text, 0, SEED_MAX) != OK)
        return EXIT_USAGE;
    return simulate(&c, s, path, seed);
}
