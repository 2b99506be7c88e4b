/* perigee sim SCENARIO: one run of the simulated world, its report on stdout, the rest of what came of it in files. */
#include "node/client.h"
#include "node/command_replay.h"
#include "node/command_swarm.h"
#include "node/command_sweep.h"
#include "node/file.h"
#include "node/interrupt.h"
#include "node/problem.h"
#include "node/progress.h"
#include "node/simulator.h"
#include "node/yaml_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SEED_MAX ((UINT64_C(1) << 53) - 1)

/* --- Files --------------------------------------------------------------------------------------------------------------------- */

enum { SIM_FILES = 4 };
static const struct {
    const char *option;
    enum simulator_output output;
} files[SIM_FILES] = {{"--csv", SIMULATOR_CSV},
                      {"--html", SIMULATOR_HTML},
                      {"--trace", SIMULATOR_TRACE},
                      {"--dot", SIMULATOR_DOT}};

struct job {
    const struct client *client;
    enum simulator_trust trust;
    const char *path[SIM_FILES]; /* as files; NULL: not wished for */
    struct progress progress;
    int code; /* of writing */
};

/* Before anything is simulated: who waited for minutes wants the files. */
static int check_files(const struct job *j)
{
    for (uint32_t i = 0; i < SIM_FILES; i++) {
        if (j->path[i] == NULL) continue;
        const bool folder = files[i].output == SIMULATOR_CSV;
        const enum err err = folder ? file_check_folder(j->path[i]) : file_check_place(j->path[i]);
        if (err == ERR_NOT_FOUND && folder)
            return client_fail(j->client, EXIT_REFUSED, "%s %s: expected a folder that is there",
                               files[i].option, j->path[i]);
        if (err != OK)
            return client_fail(j->client, EXIT_REFUSED, "%s %s: %s", files[i].option, j->path[i],
                               file_why(err));
        for (uint32_t k = 0; k < i; k++)
            if (j->path[k] != NULL && strcmp(j->path[k], j->path[i]) == 0)
                return client_fail(j->client, EXIT_USAGE, "%s and %s name one file: %s", files[k].option,
                                   files[i].option, j->path[i]);
    }
    return EXIT_OK;
}

static void take(void *context, enum simulator_output output, const char *name, struct span bytes)
{
    struct job *j = context;
    char path[PATH_MAX];
    uint32_t i = 0;
    while (files[i].output != output) i++;
    const int len = name[0] != 0 ? snprintf(path, sizeof path, "%s/%s.csv", j->path[i], name)
                                 : snprintf(path, sizeof path, "%s", j->path[i]);
    const enum err err =
        len > 0 && (size_t)len < sizeof path ? file_write(path, bytes, 0644, true) : ERR_RANGE;
    if (err != OK)
        j->code = client_fail(j->client, EXIT_REFUSED, "%s %s: %s", files[i].option, path, file_why(err));
}

/* --- While it runs ---------------------------------------------------------------------------------------------------------------- */

static bool go_on(void *context, const struct simulator_progress *now)
{
    struct job *j = context;
    if (interrupt_came()) return false;
    if (!progress_due(&j->progress)) return true;
    /* Half of it by the plan, half by what has become of it: runs end late where much goes wrong. */
    const uint64_t by_plan = now->virtual_ms * 500000 / now->virtual_ms_planned,
                   by_runs = (uint64_t)now->runs_ended * 500000 / now->runs;
    const struct progress_at at = {(uint32_t)((by_plan < 500000 ? by_plan : 500000) + by_runs),
                                   now->virtual_ms, now->events};
    progress_show(&j->progress, &at);
    return true;
}

/* --- The report, for people ---------------------------------------------------------------------------------------------------- */

static json_int_t number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static double thousandth(const json_t *object, const char *key)
{
    return (double)number(object, key) / 1e3;
}

enum { EXPOSURE_SHOWN = 64 };
static void print_exposure(const json_t *report)
{
    size_t i;
    const json_t *e;
    (void)puts("\nrows in plaintext, beside at their owner");
    const json_t *rows = json_object_get(report, "exposure");
    const size_t all = json_array_size(rows);
    json_array_foreach(rows, i, e) if (i < EXPOSURE_SHOWN)(void)
        printf("  %-24s %6" JSON_INTEGER_FORMAT " rows, in %" JSON_INTEGER_FORMAT " enclaves (SIMULATED)\n",
               json_string_value(json_object_get(e, "owner")), number(e, "rows"), number(e, "enclaves"));
    if (all > EXPOSURE_SHOWN) (void)printf("  and %zu more that the report lists\n", all - EXPOSURE_SHOWN);
}

static const json_t *mode_of(const json_t *report, const char *trust)
{
    size_t i;
    const json_t *m;
    json_array_foreach(json_object_get(report, "modes"), i,
                       m) if (strcmp(json_string_value(json_object_get(m, "trust")), trust) == 0) return m;
    return NULL;
}

static void print_mode_row(const char *name, const json_t *a, const json_t *b, const char *key, double unit,
                           const char *format)
{
    (void)printf("  %-36s", name);
    (void)printf(format, (double)number(a, key) / unit);
    (void)printf(format, (double)number(b, key) / unit);
    (void)putchar('\n');
}

/* Rows of others that a party could read in one mode, and how often it held some in which way. */
static void print_reader(const json_t *report, const char *trust, const char *party)
{
    size_t i;
    const json_t *r;
    json_int_t rows = 0, enclaves = 0, sealed = 0, results = 0;
    json_array_foreach(json_object_get(report, "readers"), i, r)
    {
        const char *how = json_string_value(json_object_get(r, "how"));
        if (strcmp(json_string_value(json_object_get(r, "trust")), trust) != 0 ||
            strcmp(json_string_value(json_object_get(r, "party")), party) != 0)
            continue;
        rows += number(r, "readable_rows");
        enclaves += strcmp(how, "in an enclave") == 0;
        sealed += strcmp(how, "sealed") == 0;
        results += strcmp(how, "result only") == 0;
    }
    char text[64];
    if (rows > 0)
        (void)snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT " rows", rows);
    else
        (void)snprintf(text, sizeof text, "%s",
                       enclaves > 0  ? "none: in enclaves"
                       : sealed > 0  ? "none: sealed"
                       : results > 0 ? "none: the result"
                                     : "none");
    (void)printf("%20s", text);
}

static void print_readers(const json_t *report)
{
    size_t i;
    const json_t *r;
    const char *seen[64];
    size_t count = 0;
    (void)puts("\nrows of others that a party could read");
    json_array_foreach(json_object_get(report, "readers"), i, r)
    {
        const char *party = json_string_value(json_object_get(r, "party"));
        size_t at = 0;
        while (at < count && strcmp(seen[at], party) != 0) at++;
        if (at < count || count == sizeof seen / sizeof seen[0]) continue;
        seen[count++] = party;
        (void)printf("  %-36s", party);
        print_reader(report, "federated", party);
        print_reader(report, "central", party);
        (void)putchar('\n');
    }
}

/* Of nothing that was sealed, or of too few shares, nobody can read anything. */
static void print_together(const json_t *federated)
{
    const json_int_t together = number(federated, "together");
    (void)printf("  %-36s", "custodians that could together");
    if (together > 0)
        (void)printf("%20" JSON_INTEGER_FORMAT "\n", together);
    else
        (void)printf("%20s\n", "not all of them");
}

/* Where both were run. */
static void print_modes(const json_t *report)
{
    const json_t *a = mode_of(report, "federated"), *b = mode_of(report, "central");
    if (a == NULL || b == NULL) return;
    (void)printf("\n%-38s%20s%20s\n", "the same study", "federated", "central");
    print_mode_row("runs settled", a, b, "settled", 1, "%20.0f");
    print_mode_row("first run asked for after", a, b, "formed_ms", 1e3, "%18.1f s");
    print_mode_row("from request to result, median", a, b, "settle_median_ms", 1e3, "%18.1f s");
    print_mode_row("sent", a, b, "bytes", 1024, "%16.1f KiB");
    print_mode_row("between jurisdictions", a, b, "bytes_abroad", 1024, "%16.1f KiB");
    print_mode_row("of that rows, sealed", a, b, "sealed_abroad", 1024, "%16.1f KiB");
    print_mode_row("of that rows, in plaintext", a, b, "plaintext_abroad", 1024, "%16.1f KiB");
    print_mode_row("parties that could read others' rows", a, b, "readers", 1, "%20.0f");
    print_together(a);
    print_readers(report);
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

static void print_runs(const json_t *report)
{
    const json_t *runs = json_object_get(report, "runs");
    if (number(runs, "requested") == 0) {
        (void)puts("  no run was asked for: what a run needs was not there yet");
        return;
    }
    (void)printf("  %s after %.1f s\n",
                 mode_of(report, "central") != NULL ? "all rows were there"
                                                    : "founded, keys made, data sealed and approved",
                 thousandth(report, "formed_ms"));
    (void)printf("  %" JSON_INTEGER_FORMAT " runs asked for, %" JSON_INTEGER_FORMAT
                 " settled, %" JSON_INTEGER_FORMAT " ended otherwise",
                 number(runs, "requested"), number(runs, "settled"), number(runs, "ended"));
    if (number(runs, "settled") > 0)
        (void)printf("; from request to receipt %.1f s at the median, %.1f to %.1f s",
                     thousandth(runs, "settle_median_ms"), thousandth(runs, "settle_least_ms"),
                     thousandth(runs, "settle_most_ms"));
    (void)putchar('\n');
}

static void print_adversaries(const json_t *report)
{
    const json_t *by = json_object_get(report, "adversaries");
    if (by != NULL)
        (void)printf(
            "  by members that break the protocol: %" JSON_INTEGER_FORMAT
            " messages withheld, %" JSON_INTEGER_FORMAT " replayed, %" JSON_INTEGER_FORMAT
            " made up or shown to eclipse; %" JSON_INTEGER_FORMAT " records signed round their nodes\n",
            number(by, "withheld"), number(by, "replayed"), number(by, "flooded"), number(by, "bypassed"));
}

static void print_records(const json_t *report)
{
    const json_t *delivery = json_object_get(report, "delivery");
    (void)printf("  %" JSON_INTEGER_FORMAT " crashes, %" JSON_INTEGER_FORMAT
                 " partitions; %" JSON_INTEGER_FORMAT " messages, %.1f MiB; %" JSON_INTEGER_FORMAT
                 " times a record took effect\n",
                 number(report, "crashes"), number(report, "partitions"), number(report, "messages"),
                 (double)number(report, "bytes") / (1 << 20), number(report, "records_applied"));
    print_adversaries(report);
    if (number(delivery, "count") == 0) return;
    (void)printf(
        "  from an author's disk to another node %.1f ms at the median, %.1f ms for 99 of 100, %.1f ms at "
        "most\n"
        "  %" JSON_INTEGER_FORMAT " records came, %" JSON_INTEGER_FORMAT " of them were there already\n",
        thousandth(delivery, "p50_us"), thousandth(delivery, "p99_us"), thousandth(delivery, "max_us"),
        number(report, "records_received"), number(report, "records_held_already"));
}

static void print_report(const json_t *report)
{
    const bool central = mode_of(report, "central") != NULL;
    const char *crypto = json_string_value(json_object_get(report, "crypto"));
    const bool modelled = crypto != NULL && strcmp(crypto, "modelled") == 0;
    (void)printf("%s, seed %" JSON_INTEGER_FORMAT ": %.1f s of virtual time, %" JSON_INTEGER_FORMAT
                 " events; %s\n",
                 json_string_value(json_object_get(report, "name")), number(report, "seed"),
                 thousandth(report, "virtual_ms"), number(report, "events"),
                 central    ? "at one machine, without the protocol"
                 : modelled ? "every share was computed, signatures are MODELLED"
                            : "every signature and share was computed");
    if (json_is_true(json_object_get(report, "interrupted")))
        (void)puts("  INTERRUPTED: this is what was done so far");
    print_runs(report);
    print_records(report);
    if (central)
        print_modes(report);
    else
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
    if (c->json) {
        json_t *object = json_pack("{s:O}", "regions", list);
        client_print(object);
        json_decref(object);
    }
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
static int show(const struct client *c, const uint8_t *report, size_t len, const char *again)
{
    json_t *object = json_loadb((const char *)report, len, 0, NULL);
    if (object == NULL) return client_fail(c, EXIT_REFUSED, "out of memory");
    const char *violation = json_string_value(json_object_get(object, "violation"));
    const bool stopped = json_is_true(json_object_get(object, "interrupted"));
    if (c->json)
        (void)printf("%.*s\n", (int)len, (const char *)report);
    else
        print_report(object);
    int code = stopped ? EXIT_INTERRUPTED : EXIT_OK;
    if (violation != NULL)
        code = client_fail(c, EXIT_REFUSED, "after %" JSON_INTEGER_FORMAT " ms: %s; again: perigee sim %s",
                           number(object, "virtual_ms"), violation, again);
    json_decref(object);
    return code;
}

/* Takes the text. `again`: the words that ask for the same run. */
static int simulate(struct job *j, const struct simulator *s, char *text, uint64_t seed, const char *path,
                    const char *again)
{
    char fault[512] = "";
    uint8_t *report = NULL;
    size_t len = 0;
    uint32_t outputs = SIMULATOR_DETAIL;
    for (uint32_t i = 0; i < SIM_FILES; i++)
        if (j->path[i] != NULL) outputs |= files[i].output;
    j->progress = progress_begin(j->client->json);
    interrupt_listen();
    const struct simulator_wish wish = {span_text(text), seed, go_on, outputs, take, j, j->trust};
    const enum err err = s->run(&report, &len, &wish, fault, sizeof fault);
    progress_end(&j->progress);
    free(text);
    if (err != OK)
        return client_fail(j->client, EXIT_REFUSED, "%s: %s", path, fault[0] != 0 ? fault : err_text(err));
    const int code = show(j->client, report, len, again);
    free(report);
    return code == EXIT_OK || code == EXIT_INTERRUPTED ? (j->code != EXIT_OK ? j->code : code) : code;
}

static int simulate_file(struct job *j, const struct simulator *s, const char *path, uint64_t seed)
{
    char *text, again[PATH_MAX + 32];
    int code = check_files(j);
    if (code == EXIT_OK) code = read_scenario(j->client, &text, path);
    (void)snprintf(again, sizeof again, "%s --seed %" PRIu64, path, seed);
    return code == EXIT_OK ? simulate(j, s, text, seed, path, again) : code;
}

static int simulate_cell(struct job *j, const struct simulator *s, const char *sweep, const char *cell_text)
{
    char *text = NULL, again[PATH_MAX + 32];
    uint64_t cell, seed;
    if (arguments_number(&cell, "--cell", cell_text, 1, UINT32_MAX) != OK) return EXIT_USAGE;
    int code = check_files(j);
    if (code == EXIT_OK) code = command_sweep_cell(j->client, s, &text, &seed, sweep, cell);
    (void)snprintf(again, sizeof again, "--sweep %s --cell %" PRIu64, sweep, cell);
    return code == EXIT_OK ? simulate(j, s, text, seed, sweep, again) : code;
}

/* --- What goes with what --------------------------------------------------------------------------------------------------------------- */

/* Words of the command line; NULL: it is not there. */
struct asked {
    const char *scenario, *seed, *trust, *swarm, *jobs, *cell, *recording;
    bool regions;
    struct swarm_wish of_swarm;
    struct sweep_wish of_sweep;
};

/* What this command line has that does not go with the rest of it; NULL: nothing. */
static const char *misplaced(const struct job *j, const struct asked *a)
{
    const bool sweep = a->of_sweep.file != NULL;
    bool files_wished = false;
    for (uint32_t i = 0; i < SIM_FILES; i++) files_wished |= j->path[i] != NULL;
    if ((a->scenario != NULL) + (a->swarm != NULL) + sweep != 1)
        return "expected a scenario, a swarm or a sweep: perigee sim SCENARIO [--seed N] | --swarm N | "
               "--sweep FILE";
    if (a->trust != NULL && a->scenario == NULL)
        return "--trust: expected federated or central, and a scenario";
    if (a->seed != NULL && sweep) return "--seed: the seeds of a sweep are in its file";
    if (!sweep && (a->cell != NULL || a->of_sweep.out != NULL)) return "--cell and --out go with --sweep";
    if (a->cell != NULL && a->of_sweep.out != NULL)
        return "--out names the files of a whole sweep; those of one of its cells: --csv, --html, --trace, "
               "--dot";
    if (a->swarm == NULL && (a->of_swarm.file != NULL || a->of_swarm.whole))
        return "--failing and --whole go with --swarm";
    if (a->jobs != NULL && (a->scenario != NULL || a->cell != NULL))
        return "--jobs goes with --swarm and --sweep: one run takes one core";
    if (a->swarm != NULL && files_wished)
        return "--csv, --html, --trace and --dot are of one run: a scenario, or --sweep FILE --cell N";
    if (sweep && a->cell == NULL && files_wished)
        return "a sweep writes NAME.csv and NAME.jsonl: --out NAME; files of one of its cells: --cell N";
    return NULL;
}

static bool read_trust(enum simulator_trust *out, const char *text)
{
    if (text == NULL) return true;
    *out = strcmp(text, "central") == 0 ? SIMULATOR_CENTRAL : SIMULATOR_FEDERATED;
    return *out == SIMULATOR_CENTRAL || strcmp(text, "federated") == 0;
}

static int simulate_asked(struct job *j, const struct simulator *s, struct asked *a)
{
    uint64_t jobs = 0;
    const char *wrong = misplaced(j, a);
    if (a->seed != NULL && arguments_number(&a->of_swarm.first, "--seed", a->seed, 0, SEED_MAX) != OK)
        return EXIT_USAGE;
    if (!read_trust(&j->trust, a->trust)) wrong = "--trust: expected federated or central, and a scenario";
    if (wrong != NULL) return client_fail(j->client, EXIT_USAGE, "%s", wrong);
    if (a->jobs != NULL && arguments_number(&jobs, "--jobs", a->jobs, 1, CELLS_JOBS_MAX) != OK)
        return EXIT_USAGE;
    if (a->scenario != NULL) return simulate_file(j, s, a->scenario, a->of_swarm.first);
    if (a->cell != NULL) return simulate_cell(j, s, a->of_sweep.file, a->cell);
    a->of_sweep.jobs = jobs;
    if (a->swarm == NULL) return command_sweep(j->client, s, &a->of_sweep);
    a->of_swarm.jobs = jobs > 0 ? jobs : cells_jobs_here();
    if (arguments_number(&a->of_swarm.count, "--swarm", a->swarm, 1, SWARM_SEEDS_MAX) != OK)
        return EXIT_USAGE;
    const enum err err = a->of_swarm.file != NULL ? file_check_place(a->of_swarm.file) : OK;
    if (err != OK)
        return client_fail(j->client, EXIT_REFUSED, "--failing %s: %s", a->of_swarm.file, file_why(err));
    return command_swarm(j->client, s, &a->of_swarm);
}

int command_sim(int argc, char **argv)
{
    struct client c = {.command = "sim"}; /* it needs no node */
    struct job j = {.client = &c};
    struct asked w = {.of_swarm = {.first = 1}};
    const struct simulator *s = simulator_in_use();
    const struct argument options[] = {{"--seed", &w.seed, NULL},
                                       {"--csv", &j.path[0], NULL},
                                       {"--html", &j.path[1], NULL},
                                       {"--trace", &j.path[2], NULL},
                                       {"--dot", &j.path[3], NULL},
                                       {"--regions", NULL, &w.regions},
                                       {"--json", NULL, &c.json},
                                       {"--swarm", &w.swarm, NULL},
                                       {"--jobs", &w.jobs, NULL},
                                       {"--failing", &w.of_swarm.file, NULL},
                                       {"--whole", NULL, &w.of_swarm.whole},
                                       {"--sweep", &w.of_sweep.file, NULL},
                                       {"--out", &w.of_sweep.out, NULL},
                                       {"--cell", &w.cell, NULL},
                                       {"--trust", &w.trust, NULL},
                                       {"--replay", &w.recording, NULL}};
    struct arguments a = {options, sizeof options / sizeof options[0], 0, 1, 0, &w.scenario};
    if (arguments_parse(&a, argc, argv) != OK) return EXIT_USAGE;
    if (w.recording != NULL && argc > 3 + c.json)
        return client_fail(&c, EXIT_USAGE, "--replay FILE steps one recording and takes nothing beside it");
    if (w.recording != NULL) return command_replay(&c, w.recording);
    if (s == NULL) return client_fail(&c, EXIT_REFUSED, "this program was built without the simulator");
    if (w.regions && argc > 2 + c.json)
        return client_fail(&c, EXIT_USAGE, "--regions lists the table and takes nothing beside it");
    return w.regions ? list_regions(&c, s) : simulate_asked(&j, s, &w);
}
