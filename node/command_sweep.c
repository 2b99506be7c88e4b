#include "node/command_sweep.h"

#include "crypto/hash.h"
#include "node/cells.h"
#include "node/file.h"
#include "node/interrupt.h"
#include "node/measure.h"
#include "node/partial.h"
#include "node/progress.h"
#include "node/ranks.h"
#include "node/sweep_file.h"
#include "node/sweep_results.h"
#include "proto/base/panic.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TEXTS_BYTES = 4 << 20, /* of a sweep and its scenario, to other ranks */
    TOLD_MAX = 20,         /* cells that broke a property, told while others run; the files have all */
    ROWS_SHOWN = 64,
    BUSY_MS = 200, /* between looks at the time */
    NAP_MS = 1,    /* between looks for other ranks' messages */
};
#define NO_CELL UINT64_MAX /* from rank 0: there are no more; to it: give me one */

_Static_assert((int)CELLS_ANSWER_MAX <= (int)PARTIAL_LINE_MAX, "an answer can be kept");

struct sweep {
    const struct client *client;
    const struct simulator *simulator;
    const struct sweep_wish *wish;
    struct sim_sweep *grid;
    struct ranks ranks;
    struct cells cells;
    /* Rank 0: */
    char csv[PATH_MAX], lines[PATH_MAX], partial_path[PATH_MAX];
    struct sweep_results results;
    struct partial partial;
    struct progress progress;
    uint64_t next;               /* to be given out */
    struct sweep_results before; /* what was there when it began: only its sums are looked at */
    uint64_t waiting;            /* jobs of other ranks that have not been told that there are no more */
    uint64_t told;
    uint64_t failed, failed_first; /* cells without a result */
    char failure[256];             /* of that first one */
    enum err kept;                 /* of the partial file */
};

/* Between ranks. */
struct message {
    uint64_t cell;
    uint8_t answer[CELLS_ANSWER_MAX];
};

/* --- One cell: what is answered is its line, or else why there is none, which never begins with '{' -------------------------------- */

static bool go_on(void *context, const struct simulator_progress *progress)
{
    (void)context;
    (void)progress;
    return true;
}

static size_t say(uint8_t answer[CELLS_ANSWER_MAX], const char *why)
{
    const int len = snprintf((char *)answer, CELLS_ANSWER_MAX, "%s", why);
    return len > 0 && len < CELLS_ANSWER_MAX ? (size_t)len : CELLS_ANSWER_MAX - 1;
}

static size_t line_of(const struct sweep *w, uint64_t cell, uint8_t answer[CELLS_ANSWER_MAX],
                      const json_t *report)
{
    uint32_t point;
    uint64_t seed;
    uint8_t *values = NULL;
    size_t values_len = 0;
    w->simulator->sweep_cell(w->grid, &point, &seed, cell);
    if (report == NULL || w->simulator->sweep_values(w->grid, &values, &values_len, point) != OK)
        return say(answer, err_text(ERR_NO_MEMORY));
    const size_t len =
        sweep_results_line(answer, CELLS_ANSWER_MAX, cell + 1, seed, span_make(values, values_len), report);
    free(values);
    return len > 0 ? len : say(answer, err_text(ERR_TOO_LARGE));
}

static enum err report_of(const struct sweep *w, uint64_t cell, json_t **out, char *fault, size_t cap)
{
    uint32_t point;
    uint64_t seed;
    uint8_t *scenario = NULL, *report = NULL;
    size_t scenario_len = 0, len = 0;
    w->simulator->sweep_cell(w->grid, &point, &seed, cell);
    TRY(w->simulator->sweep_scenario(w->grid, &scenario, &scenario_len, point));
    const struct simulator_wish wish = {.scenario = span_make(scenario, scenario_len),
                                        .seed = seed,
                                        .go_on = go_on,
                                        .outputs = SIMULATOR_DETAIL};
    const enum err err = w->simulator->run(&report, &len, &wish, fault, cap);
    free(scenario);
    if (err != OK) return err;
    *out = json_loadb((const char *)report, len, 0, NULL);
    free(report);
    return OK;
}

static size_t run_cell(const void *context, uint64_t cell, uint8_t answer[CELLS_ANSWER_MAX])
{
    json_t *report = NULL;
    char fault[256] = "";
    const enum err err = report_of(context, cell, &report, fault, sizeof fault);
    if (err != OK) return say(answer, fault[0] != 0 && fault[0] != '{' ? fault : err_text(err));
    const size_t len = line_of(context, cell, answer, report);
    json_decref(report);
    return len;
}

/* A defect that stops a cell's process is what came of that cell; somebody who ended it is not. */
static void answer_for(const struct sweep *w, struct cells_end *end)
{
    char why[64], text[96];
    if (end->len > 0) return;
    cells_say_stopped(why, sizeof why, end);
    if (!cells_panicked(end)) {
        end->len = say(end->answer, why);
        return;
    }
    (void)snprintf(text, sizeof text, "panic: %s", why);
    json_t *report = json_pack("{s:s}", "violation", text);
    end->len = line_of(w, end->cell, end->answer, report);
    json_decref(report);
}

/* --- Rank 0: what comes of cells ----------------------------------------------------------------------------------------------------- */

static void tell_violation(struct sweep *w, const json_t *line)
{
    if (w->told++ >= TOLD_MAX) return;
    progress_end(&w->progress);
    (void)client_fail(w->client, EXIT_REFUSED,
                      "cell %" JSON_INTEGER_FORMAT ": after %" JSON_INTEGER_FORMAT
                      " ms: %s; again: perigee sim --sweep %s --cell %" JSON_INTEGER_FORMAT,
                      client_number(line, "cell"), client_number(line, "virtual_ms"),
                      client_text(line, "violation"), w->wish->file, client_number(line, "cell"));
}

static void keep(struct sweep *w, uint64_t cell, struct span answer)
{
    json_t *line = answer.data[0] == '{' ? sweep_results_put(&w->results, answer) : NULL;
    if (line == NULL) {
        if (w->failed++ > 0) return;
        w->failed_first = cell + 1;
        (void)snprintf(w->failure, sizeof w->failure, "%.*s", (int)answer.len, (const char *)answer.data);
        return;
    }
    const enum err err = partial_append(&w->partial, answer);
    if (err != OK) w->kept = err;
    if (json_object_get(line, "violation") != NULL) tell_violation(w, line);
    json_decref(line);
}

static void take_kept(void *context, struct span text)
{
    struct sweep *w = context;
    json_decref(sweep_results_put(&w->results, text));
}

/* In their order; NO_CELL: none is left. */
static uint64_t next_cell(struct sweep *w)
{
    while (w->next < w->results.count && w->results.line[w->next] != NULL) w->next++;
    return w->next < w->results.count && !interrupt_came() && w->kept == OK ? w->next : NO_CELL;
}

static bool fill(struct sweep *w)
{
    const struct cells_work work = {run_cell, w};
    while (cells_running(&w->cells) < w->cells.jobs && next_cell(w) != NO_CELL) {
        if (!cells_start(&w->cells, &work, next_cell(w))) return false;
        w->next++;
    }
    return true;
}

/* A rank that has done a cell, or has a job that is free, asks for the next. */
static void serve(struct sweep *w)
{
    struct message m;
    uint32_t from;
    size_t len;
    while (ranks_receive(&w->ranks, &from, &m, sizeof m, &len)) {
        if (len > sizeof m.cell) keep(w, m.cell, span_make(m.answer, len - sizeof m.cell));
        const uint64_t next = next_cell(w);
        if (next == NO_CELL)
            w->waiting--;
        else
            w->next++;
        (void)ranks_send(&w->ranks, from, span_make(&next, sizeof next));
    }
}

static void show_progress(struct sweep *w)
{
    const struct sweep_results *now = &w->results, *before = &w->before;
    const uint64_t all = now->count - before->done;
    if (all == 0 || !progress_due(&w->progress)) return;
    const struct progress_at at = {(uint32_t)((now->done - before->done) * 1000000 / all),
                                   now->virtual_ms - before->virtual_ms, now->events - before->events};
    progress_show(&w->progress, &at);
}

static void run_cells(struct sweep *w)
{
    struct cells_end end;
    w->waiting = (uint64_t)(w->ranks.size - 1) * w->cells.jobs;
    for (;;) {
        const bool good = fill(w);
        serve(w);
        if (cells_running(&w->cells) == 0 && w->waiting == 0 && (!good || next_cell(w) == NO_CELL)) return;
        if (cells_wait(&w->cells, &end, w->ranks.size > 1 ? NAP_MS : BUSY_MS)) {
            answer_for(w, &end);
            keep(w, end.cell, span_make(end.answer, end.len));
        }
        show_progress(w);
    }
}

/* --- Rank 0: files and words ------------------------------------------------------------------------------------------------------------ */

static int check_place(const struct sweep *w, const char *path)
{
    const enum err err = file_check_place(path);
    return err == OK ? EXIT_OK : client_fail(w->client, EXIT_REFUSED, "%s: %s", path, file_why(err));
}

static int name_files(struct sweep *w)
{
    const char *name = w->wish->out;
    size_t len;
    if (name == NULL) {
        const char *slash = strrchr(w->wish->file, '/');
        name = slash != NULL ? slash + 1 : w->wish->file;
        const char *dot = strrchr(name, '.');
        len = dot != NULL && dot > name ? (size_t)(dot - name) : strlen(name);
    } else {
        len = strlen(name);
    }
    if (len == 0 || len + sizeof ".partial" > PATH_MAX)
        return client_fail(w->client, EXIT_USAGE, "--out: expected the name of files");
    (void)snprintf(w->csv, sizeof w->csv, "%.*s.csv", (int)len, name);
    (void)snprintf(w->lines, sizeof w->lines, "%.*s.jsonl", (int)len, name);
    (void)snprintf(w->partial_path, sizeof w->partial_path, "%.*s.partial", (int)len, name);
    const int code = check_place(w, w->csv);
    return code == EXIT_OK ? check_place(w, w->lines) : code;
}

static int open_partial(struct sweep *w, const struct sweep_file *file)
{
    char work[320], sweep[65], scenario[65], program[65], fault[PATH_MAX + 256] = "";
    const struct hash32 of_sweep = sha256(span_text(file->sweep)),
                        of_scenario = sha256(sweep_file_scenario(file));
    struct hash32 of_program;
    enum err err = measure_self(&of_program);
    if (err != OK) return client_fail(w->client, EXIT_REFUSED, "this program's own file: %s", err_text(err));
    hex_encode(sweep, &of_sweep, sizeof of_sweep);
    hex_encode(scenario, &of_scenario, sizeof of_scenario);
    hex_encode(program, &of_program, sizeof of_program);
    (void)snprintf(work, sizeof work, "sweep-partial/1 sweep %s scenario %s program %s", sweep, scenario,
                   program);
    err = partial_open(&w->partial, w->partial_path, work, take_kept, w, fault, sizeof fault);
    w->before = w->results;
    if (err == OK) return EXIT_OK;
    const bool elsewhere = err == ERR_BUSY || err == ERR_CONFLICT;
    return client_fail(w->client, EXIT_REFUSED, "%s%s", fault,
                       elsewhere ? ", or keep this sweep elsewhere with --out NAME" : "");
}

typedef enum err write_table(const struct sweep *w, FILE *out);

static enum err write_csv(const struct sweep *w, FILE *out)
{
    return sweep_results_csv(&w->results, out, w->simulator->csv);
}

static enum err write_lines(const struct sweep *w, FILE *out)
{
    return sweep_results_lines(&w->results, out);
}

static enum err write_whole(const struct sweep *w, const char *path, write_table *table)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (out == NULL) return ERR_NO_MEMORY;
    enum err err = table(w, out);
    if (fclose(out) != 0 && err == OK) err = ERR_NO_MEMORY;
    if (err == OK) err = file_write(path, span_make(text, len), 0644, true);
    free(text);
    return err;
}

static int write_files(struct sweep *w)
{
    const char *path = w->csv;
    enum err err = write_whole(w, path, write_csv);
    if (err == OK) {
        path = w->lines;
        err = write_whole(w, path, write_lines);
    }
    if (err != OK)
        return client_fail(w->client, EXIT_REFUSED, "%s: %s; all cells are done and stay in %s", path,
                           file_why(err), w->partial_path);
    partial_done(&w->partial);
    return EXIT_OK;
}

struct table {
    uint64_t rows;
    json_t *points; /* --json */
};

static void set_known(json_t *object, const char *key, int64_t value)
{
    if (value >= 0) (void)json_object_set_new(object, key, json_integer(value));
}

static void show_object(struct table *t, const struct sweep_results_point *p)
{
    json_t *o = json_pack("{s:O, s:I, s:I}", "values", p->values, "cells", (json_int_t)p->cells, "violations",
                          (json_int_t)p->violations);
    set_known(o, "settle_median_ms", p->settle_ms);
    set_known(o, "messages", p->messages);
    set_known(o, "bytes", p->bytes);
    set_known(o, "delivery_p99_us", p->delivery_p99_us);
    (void)json_array_append_new(t->points, o);
}

static void put_figure(int64_t value, double unit, int width, int places)
{
    if (value < 0)
        (void)printf(" %*s", width, "-");
    else
        (void)printf(" %*.*f", width, places, (double)value / unit);
}

static void show_point(void *context, const struct sweep_results_point *p)
{
    struct table *t = context;
    char words[512];
    if (t->points != NULL) {
        show_object(t, p);
        return;
    }
    if (t->rows++ >= ROWS_SHOWN) return;
    sweep_results_words(words, sizeof words, p->values);
    put_figure(p->settle_ms, 1e3, 9, 1);
    put_figure(p->messages, 1, 10, 0);
    put_figure(p->bytes, 1 << 20, 9, 2);
    put_figure(p->delivery_p99_us, 1e3, 10, 1);
    (void)printf(" %6" PRIu64 " %5" PRIu64 "  %s\n", p->violations, p->cells, words);
}

static enum err show_text(const struct sweep *w, uint64_t seeds)
{
    struct table t = {0, NULL};
    (void)printf("%" PRIu64 " cells, %.1f s of virtual time, %" PRIu64 " events; medians over %" PRIu64
                 " seed%s of each row\n%10s %10s %9s %10s %6s %5s\n",
                 w->results.count, (double)w->results.virtual_ms / 1e3, w->results.events, seeds,
                 seeds == 1 ? "" : "s", "settled, s", "messages", "MiB", "p99, ms", "broken", "of");
    TRY(sweep_results_points(&w->results, seeds, show_point, &t));
    if (t.rows > ROWS_SHOWN)
        (void)printf("  ... and %" PRIu64 " rows more: see %s\n", t.rows - ROWS_SHOWN, w->csv);
    (void)printf("\n%s and %s have every cell\n", w->csv, w->lines);
    return OK;
}

static enum err show_json(const struct sweep *w, uint64_t seeds)
{
    struct table t = {0, json_array()};
    const enum err err = sweep_results_points(&w->results, seeds, show_point, &t);
    json_t *o = json_pack("{s:s, s:I, s:I, s:s, s:s, s:o}", "perigee", "sweep-result/1", "cells",
                          (json_int_t)w->results.count, "violations", (json_int_t)w->results.violations,
                          "csv", w->csv, "lines", w->lines, "points", t.points);
    if (err == OK) client_print(o);
    json_decref(o);
    return err;
}

/* How many cells follow each other with the same values. */
static uint64_t seeds_of(const struct sweep *w)
{
    uint32_t point = 0;
    uint64_t count = 0, seed;
    while (point == 0 && count < w->results.count) {
        w->simulator->sweep_cell(w->grid, &point, &seed, count);
        count += point == 0;
    }
    return count;
}

static int show(struct sweep *w)
{
    const enum err err = w->client->json ? show_json(w, seeds_of(w)) : show_text(w, seeds_of(w));
    if (err != OK) return client_fail(w->client, EXIT_REFUSED, "%s", err_text(err));
    if (w->results.violations == 0) return EXIT_OK;
    return client_fail(w->client, EXIT_REFUSED,
                       "%" PRIu64 " of %" PRIu64
                       " cells broke a property; again, the first: perigee sim --sweep "
                       "%s --cell %" PRIu64,
                       w->results.violations, w->results.count, w->wish->file, w->results.violation_first);
}

static int conclude(struct sweep *w)
{
    const uint64_t done = w->results.done, count = w->results.count;
    if (done == count) {
        const int code = w->kept == OK ? write_files(w) : EXIT_OK;
        if (code != EXIT_OK) return code;
    }
    if (w->kept != OK)
        return client_fail(w->client, EXIT_REFUSED, "%s: %s; what it has already stays", w->partial_path,
                           file_why(w->kept));
    if (done == count) return show(w);
    if (interrupt_came())
        return client_fail(w->client, EXIT_INTERRUPTED,
                           "interrupted: %" PRIu64 " of %" PRIu64 " cells are done and stay in %s; the same "
                           "command goes on",
                           done, count, w->partial_path);
    if (w->failed == 0)
        return client_fail(w->client, EXIT_REFUSED,
                           "no process could be started: too many run on this machine");
    return client_fail(w->client, EXIT_REFUSED,
                       "%" PRIu64 " of %" PRIu64 " cells have no result, cell %" PRIu64
                       ": %s; the others stay in %s, and the same command goes on",
                       w->failed, count, w->failed_first, w->failure, w->partial_path);
}

/* --- Rank 0 ----------------------------------------------------------------------------------------------------------------------------- */

/* To all other ranks: what there is to do; nothing: there is nothing. */
static void announce(const struct sweep *w, const struct sweep_file *file)
{
    char *text = NULL;
    json_t *o = file != NULL ? json_pack("{s:s, s:s?, s:s}", "sweep", file->sweep, "scenario", file->scenario,
                                         "version", PERIGEE_VERSION)
                             : NULL;
    if (o != NULL) text = json_dumps(o, JSON_COMPACT);
    for (uint32_t i = 1; i < w->ranks.size; i++)
        (void)ranks_send(&w->ranks, i, text != NULL ? span_text(text) : SPAN_NONE);
    free(text);
    json_decref(o);
}

static int open_grid(struct sweep *w, struct span sweep, struct span scenario)
{
    char fault[1024] = "";
    const enum err err = w->simulator->sweep_open(&w->grid, sweep, scenario, fault, sizeof fault);
    if (err == OK) return EXIT_OK;
    return client_fail(w->client, EXIT_REFUSED, "%s: %s", w->wish->file,
                       fault[0] != 0 ? fault : err_text(err));
}

static int load_file(const struct client *c, struct sweep_file *file, const char *path)
{
    char fault[512] = "";
    const enum err err = sweep_file_load(file, path, fault, sizeof fault);
    return err == OK ? EXIT_OK : client_fail(c, EXIT_REFUSED, "%s", fault[0] != 0 ? fault : err_text(err));
}

static int prepare(struct sweep *w, struct sweep_file *file)
{
    int code = load_file(w->client, file, w->wish->file);
    if (code == EXIT_OK) code = open_grid(w, span_text(file->sweep), sweep_file_scenario(file));
    if (code == EXIT_OK) code = name_files(w);
    if (code == EXIT_OK && sweep_results_new(&w->results, w->simulator->sweep_cells(w->grid)) != OK)
        code = client_fail(w->client, EXIT_REFUSED, "%s", err_text(ERR_NO_MEMORY));
    return code == EXIT_OK ? open_partial(w, file) : code;
}

static int lead(struct sweep *w)
{
    struct sweep_file file = {NULL, NULL};
    int code = prepare(w, &file);
    announce(w, code == EXIT_OK ? &file : NULL);
    sweep_file_free(&file);
    if (code == EXIT_OK) {
        interrupt_listen();
        w->progress = progress_begin(w->client->json);
        run_cells(w);
        progress_end(&w->progress);
        code = conclude(w);
    }
    partial_close(&w->partial);
    sweep_results_free(&w->results);
    return code;
}

/* --- Other ranks ------------------------------------------------------------------------------------------------------------------------ */

/* False: there is nothing to do. */
static bool hear(struct sweep *w, json_t **texts)
{
    struct cells_end end; /* none will be: it is for the nap */
    char *text = malloc(TEXTS_BYTES);
    uint32_t from;
    size_t len = 0;
    *texts = NULL;
    if (text == NULL) return true;
    while (!ranks_receive(&w->ranks, &from, text, TEXTS_BYTES, &len))
        (void)cells_wait(&w->cells, &end, NAP_MS);
    *texts = json_loadb(text, len, 0, NULL);
    free(text);
    return len > 0;
}

static int open_heard(struct sweep *w, json_t *texts)
{
    const char *scenario = json_string_value(json_object_get(texts, "scenario"));
    const char *version = client_text(texts, "version");
    if (strcmp(version, PERIGEE_VERSION) != 0)
        return client_fail(w->client, EXIT_REFUSED,
                           "rank %" PRIu32 " is perigee " PERIGEE_VERSION
                           ", rank 0 is %s: install one version "
                           "on all machines",
                           w->ranks.rank, version);
    return open_grid(w, span_text(client_text(texts, "sweep")),
                     scenario != NULL ? span_text(scenario) : SPAN_NONE);
}

static void report(const struct sweep *w, uint64_t cell, const uint8_t *answer, size_t len)
{
    struct message m = {.cell = cell};
    if (len > 0) memcpy(m.answer, answer, len);
    (void)ranks_send(&w->ranks, 0, span_make(&m, sizeof m.cell + len));
}

static void begin_cell(struct sweep *w, uint64_t cell)
{
    const struct cells_work work = {run_cell, w};
    static const char why[] = "no process could be started: too many run on a machine";
    if (!cells_start(&w->cells, &work, cell)) report(w, cell, (const uint8_t *)why, sizeof why - 1);
}

static void work(struct sweep *w)
{
    struct cells_end end;
    uint64_t cell, idle = 0; /* jobs that no more will come for */
    uint32_t from;
    size_t len;
    for (uint32_t i = 0; i < w->cells.jobs; i++) report(w, NO_CELL, NULL, 0);
    while (idle < w->cells.jobs || cells_running(&w->cells) > 0) {
        while (ranks_receive(&w->ranks, &from, &cell, sizeof cell, &len)) {
            if (cell == NO_CELL)
                idle++;
            else
                begin_cell(w, cell);
        }
        if (!cells_wait(&w->cells, &end, NAP_MS)) continue;
        answer_for(w, &end);
        report(w, end.cell, end.answer, end.len);
    }
}

static int follow(struct sweep *w)
{
    json_t *texts;
    if (!hear(w, &texts)) return EXIT_OK;
    const int code = open_heard(w, texts);
    json_decref(texts);
    if (code != EXIT_OK) return code;
    work(w);
    return EXIT_OK;
}

/* --- The command -------------------------------------------------------------------------------------------------------------------------- */

int command_sweep(const struct client *c, const struct simulator *s, const struct sweep_wish *wish)
{
    static struct sweep w;
    char fault[512] = "";
    w = (struct sweep){.client = c, .simulator = s, .wish = wish, .partial = {.fd = -1}};
    if (ranks_join(&w.ranks, fault, sizeof fault) != OK) /* what one machine lacks others may have */
        return w.ranks.first_here ? client_fail(c, EXIT_REFUSED, "%s", fault) : EXIT_REFUSED;
    w.cells.jobs = w.ranks.module != NULL ? 1 : cells_jobs_here();
    if (wish->jobs > 0) w.cells.jobs = (uint32_t)wish->jobs;
    const int code = w.ranks.rank == 0 ? lead(&w) : follow(&w);
    s->sweep_close(w.grid);
    if (code == EXIT_OK || w.ranks.rank == 0) ranks_leave(&w.ranks); /* or else mpirun ends all */
    return code;
}

int command_sweep_cell(const struct client *c, const struct simulator *s, char **scenario, uint64_t *seed,
                       const char *file, uint64_t cell)
{
    struct sweep w = {.client = c, .simulator = s, .wish = &(struct sweep_wish){.file = file}};
    struct sweep_file texts;
    uint32_t point;
    uint8_t *text = NULL;
    size_t len = 0;
    int code = load_file(c, &texts, file);
    if (code != EXIT_OK) return code;
    code = open_grid(&w, span_text(texts.sweep), sweep_file_scenario(&texts));
    sweep_file_free(&texts);
    if (code != EXIT_OK) return code;
    const uint64_t count = s->sweep_cells(w.grid);
    if (cell > count) {
        s->sweep_close(w.grid);
        return client_fail(c, EXIT_REFUSED, "--cell: expected 1 to %" PRIu64 ", which %s has", count, file);
    }
    s->sweep_cell(w.grid, &point, seed, cell - 1);
    *scenario = NULL;
    if (s->sweep_scenario(w.grid, &text, &len, point) == OK) *scenario = strndup((const char *)text, len);
    free(text);
    s->sweep_close(w.grid);
    return *scenario != NULL ? EXIT_OK : client_fail(c, EXIT_REFUSED, "%s", err_text(ERR_NO_MEMORY));
}
