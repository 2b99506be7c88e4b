#include "node/command_swarm.h"

#include "node/file.h"
#include "node/interrupt.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EVENTS_MAX = 20000000, SHRINK_TRIES = 100, PATH_CHARS = 256 };

/* What a process says of its seed; one write of a pipe. */
struct outcome {
    char violation[512]; /* empty: none */
    uint64_t virtual_ms, events, asked, settled;
};
_Static_assert(sizeof(struct outcome) <= CELLS_ANSWER_MAX, "an outcome is an answer");
struct swarm {
    const struct client *client;
    const struct simulator *simulator;
    const struct swarm_wish *wish;
    struct cells cells;
    uint64_t next, clean; /* the next seed; how many ran clean */
    uint64_t bad;         /* the lowest that broke something; UINT64_MAX: none */
    struct outcome worst, sum;
};

/* --- In a process of its own ---------------------------------------------------------------------------------------------- */

static bool go_on(void *context, const struct simulator_progress *progress)
{
    (void)context;
    return progress->events < EVENTS_MAX;
}

static void read_report(struct outcome *out, const uint8_t *report, size_t len)
{
    json_t *object = json_loadb((const char *)report, len, 0, NULL);
    const json_t *runs = json_object_get(object, "runs");
    const char *violation = client_text(object, "violation");
    if (json_is_true(json_object_get(object, "interrupted"))) violation = "live: its events never end";
    (void)snprintf(out->violation, sizeof out->violation, "%s", object != NULL ? violation : "no report");
    out->virtual_ms = (uint64_t)client_number(object, "virtual_ms");
    out->events = (uint64_t)client_number(object, "events");
    out->asked = (uint64_t)client_number(runs, "requested");
    out->settled = (uint64_t)client_number(runs, "settled");
    json_decref(object);
}

static struct outcome outcome_of(const struct simulator *s, uint64_t seed)
{
    struct outcome out = {.violation = ""};
    uint8_t *scenario = NULL, *report = NULL;
    size_t scenario_len = 0, report_len = 0;
    char fault[256] = "";
    enum err err = s->draw(&scenario, &scenario_len, seed);
    const struct simulator_wish wish = {
        .scenario = span_make(scenario, scenario_len), .seed = seed, .go_on = go_on};
    if (err == OK) err = s->run(&report, &report_len, &wish, fault, sizeof fault);
    if (err == OK)
        read_report(&out, report, report_len);
    else
        (void)snprintf(out.violation, sizeof out.violation, "the scenario is refused: %s",
                       fault[0] != 0 ? fault : err_text(err));
    free(scenario);
    free(report);
    return out;
}

/* --- Processes ------------------------------------------------------------------------------------------------------------- */

static size_t run_seed(const void *context, uint64_t seed, uint8_t answer[CELLS_ANSWER_MAX])
{
    const struct outcome out = outcome_of(context, seed);
    memcpy(answer, &out, sizeof out);
    return sizeof out;
}

static void take(struct swarm *w, const struct cells_end *end)
{
    struct outcome out = {.violation = ""};
    if (end->len == sizeof out) {
        memcpy(&out, end->answer, sizeof out);
    } else if (interrupt_came() && !cells_panicked(end)) {
        return; /* a terminal's Ctrl-C ends it, too */
    } else {
        char why[64];
        cells_say_stopped(why, sizeof why, end);
        (void)snprintf(out.violation, sizeof out.violation, "%s: %s",
                       cells_panicked(end) ? "panic" : "no result", why);
    }
    if (out.violation[0] == 0) {
        w->clean++;
        w->sum.virtual_ms += out.virtual_ms;
        w->sum.events += out.events;
        w->sum.asked += out.asked;
        w->sum.settled += out.settled;
    } else if (end->cell < w->bad) {
        w->bad = end->cell;
        w->worst = out;
    }
}

/* Nothing begins behind a seed that broke something; what runs before it may be lower. */
static void fill(struct swarm *w)
{
    const struct cells_work work = {run_seed, w->simulator};
    while (cells_running(&w->cells) < w->cells.jobs && w->next < w->wish->first + w->wish->count &&
           w->bad == UINT64_MAX && !interrupt_came()) {
        if (!cells_start(&w->cells, &work, w->next)) return;
        w->next++;
    }
}

static void show_progress(const struct swarm *w)
{
    if (!isatty(STDERR_FILENO)) return;
    (void)fprintf(stderr, "\r\033[K%" PRIu64 " of %" PRIu64 " seeds ran clean ", w->clean, w->wish->count);
    (void)fflush(stderr);
}

/* --- The one that broke something --------------------------------------------------------------------------------------------- */

static void shrink(const struct swarm *w, const char *path)
{
    uint8_t *drawn = NULL, *smaller = NULL;
    size_t drawn_len = 0, len = 0;
    if (w->simulator->draw(&drawn, &drawn_len, w->bad) != OK) _exit(1);
    const struct simulator_wish wish = {
        .scenario = span_make(drawn, drawn_len), .seed = w->bad, .go_on = go_on};
    const enum err err = w->simulator->shrink(&smaller, &len, &wish, w->worst.violation, SHRINK_TRIES);
    _exit(err == OK && file_write(path, span_make(smaller, len), 0644, true) == OK ? 0 : 1);
}

/* As it was drawn first: that stays if nothing smaller comes. */
static bool leave_scenario(const struct swarm *w, const char *path)
{
    uint8_t *drawn = NULL;
    size_t len = 0;
    int status;
    if (w->simulator->draw(&drawn, &len, w->bad) != OK) return false;
    const bool left = file_write(path, span_make(drawn, len), 0644, true) == OK;
    free(drawn);
    if (!left || w->wish->whole) return left;
    (void)fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) shrink(w, path);
    if (pid > 0) (void)waitpid(pid, &status, 0);
    return true;
}

static int tell_found(const struct swarm *w, const char *how, const char *again)
{
    return client_fail(w->client, EXIT_REFUSED,
                       "seed %" PRIu64 ": after %" PRIu64 " ms: %s; %s%" PRIu64
                       " other seeds ran clean; again: perigee sim %s --seed %" PRIu64,
                       w->bad, w->worst.virtual_ms, w->worst.violation, how, w->clean, again, w->bad);
}

static int tell_bad(const struct swarm *w)
{
    char path[PATH_CHARS];
    (void)snprintf(path, sizeof path, "swarm-%" PRIu64 ".yaml", w->bad);
    const char *file = w->wish->file != NULL ? w->wish->file : path;
    const bool left = leave_scenario(w, file);
    if (!left)
        (void)client_fail(w->client, EXIT_REFUSED,
                          "%s: the scenario cannot be written to it, and is in no file", file);
    return tell_found(w, "", left ? file : "--swarm 1");
}

/* To make a scenario smaller would take long. */
static int tell_interrupted(const struct swarm *w)
{
    if (w->bad != UINT64_MAX) return tell_found(w, "interrupted, ", "--swarm 1");
    return client_fail(w->client, EXIT_INTERRUPTED,
                       "interrupted: %" PRIu64 " of %" PRIu64 " seeds from %" PRIu64 " ran clean", w->clean,
                       w->wish->count, w->wish->first);
}

static int tell_clean(const struct swarm *w)
{
    if (w->client->json) {
        json_t *o = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "clean", (json_int_t)w->clean, "first",
                              (json_int_t)w->wish->first, "virtual_ms", (json_int_t)w->sum.virtual_ms,
                              "events", (json_int_t)w->sum.events, "runs", (json_int_t)w->sum.asked,
                              "settled", (json_int_t)w->sum.settled);
        client_print(o);
        json_decref(o);
    } else {
        (void)printf("%" PRIu64 " seeds from %" PRIu64 " ran clean: %" PRIu64 " runs asked for, %" PRIu64
                     " settled, in %.0f s of virtual time and %" PRIu64 " events\n",
                     w->clean, w->wish->first, w->sum.asked, w->sum.settled, (double)w->sum.virtual_ms / 1e3,
                     w->sum.events);
    }
    return EXIT_OK;
}

int command_swarm(const struct client *c, const struct simulator *s, const struct swarm_wish *wish)
{
    struct swarm w = {.client = c,
                      .simulator = s,
                      .wish = wish,
                      .cells = {.jobs = (uint32_t)wish->jobs},
                      .next = wish->first,
                      .bad = UINT64_MAX};
    struct cells_end end;
    interrupt_listen();
    fill(&w);
    while (cells_running(&w.cells) > 0) {
        if (!cells_wait(&w.cells, &end, -1)) continue;
        take(&w, &end);
        show_progress(&w);
        fill(&w);
    }
    if (isatty(STDERR_FILENO)) (void)fputs("\r\033[K", stderr);
    if (interrupt_came() && (w.bad != UINT64_MAX || w.clean < wish->count)) return tell_interrupted(&w);
    if (w.bad != UINT64_MAX) return tell_bad(&w);
    if (w.clean < wish->count)
        return client_fail(c, EXIT_REFUSED, "no process could be started: too many run on this machine");
    return tell_clean(&w);
}
