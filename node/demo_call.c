/* What the demonstration does: commands in processes of their own, and questions to the nodes' API. */
#include "node/demo.h"

#include "node/command.h"
#include "node/http.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CALL_SECONDS = 120, CALL_POLL_MS = 50, CALL_TEXT_MAX = 512 };

const char *demo_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL ? "" : text;
}

const json_t *demo_row(const json_t *list, const char *key, const char *text)
{
    size_t i;
    json_t *row;
    json_array_foreach(list, i, row)
    {
        if (strcmp(demo_text(row, key), text) == 0) return row;
    }
    return NULL;
}

long demo_now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* --- Ctrl-C, a closed terminal --------------------------------------------------------------------------------------------------------- */

static volatile int interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

/* Under nohup a closed terminal is meant to change nothing. */
static bool is_ignored(int number)
{
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

bool demo_interrupted(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    if (!is_ignored(SIGHUP)) (void)sigaction(SIGHUP, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    return interrupted != 0;
}

/* --- Words ---------------------------------------------------------------------------------------------------------- */

struct words {
    const char *word[DEMO_WORD_MAX + 1];
    char text[CALL_TEXT_MAX]; /* `first`, cut at its spaces */
    uint32_t count;
};

static bool add_word(struct words *w, const char *word)
{
    if (w->count >= DEMO_WORD_MAX) return false;
    w->word[w->count++] = word;
    w->word[w->count] = NULL;
    return true;
}

static bool add_parameters(struct words *w, struct demo *d)
{
    const struct study_workflow *of = d->study->workflow;
    bool good = true;
    for (unsigned i = 0; i < of->parameters_count && good; i++) {
        (void)snprintf(d->set[i], sizeof d->set[i], "%s=%s", of->parameters[i].name, of->parameters[i].value);
        good = add_word(w, "--set") && add_word(w, d->set[i]);
    }
    return good;
}

static bool make_words(struct words *w, struct demo *d, const struct demo_node *node, const char *first,
                       va_list rest)
{
    char *save = NULL;
    const char *word;
    bool good = (size_t)snprintf(w->text, sizeof w->text, "%s", first) < sizeof w->text;
    w->count = 0;
    for (char *at = strtok_r(w->text, " ", &save); good && at != NULL; at = strtok_r(NULL, " ", &save))
        good = add_word(w, at);
    if (good && strncmp(first, "run request", 11) == 0) good = add_parameters(w, d);
    while (good && (word = va_arg(rest, const char *)) != NULL) good = add_word(w, word);
    if (good && node != NULL) good = add_word(w, "--data") && add_word(w, node->dir);
    return good && add_word(w, "--json");
}

/* --- What was answered, for people ----------------------------------------------------------------------------------- */

/* What an answer says of a run, or all of it. */
static void say_answer(char *out, size_t cap, const json_t *answer)
{
    const char *state = demo_text(answer, "state"), *waits = demo_text(answer, "waits_for");
    const char *reason = demo_text(answer, "reason"), *detail = demo_text(answer, "detail");
    if (state[0] != 0 && detail[0] != 0) {
        (void)snprintf(out, cap, "the run is %s: %s (%s)", state, detail, reason);
    } else if (state[0] != 0) {
        (void)snprintf(out, cap, "the run is %s%s%s", state, waits[0] != 0 ? " and waits for " : "", waits);
    } else {
        char *text = json_dumps(answer, JSON_COMPACT);
        (void)snprintf(out, cap, "%s", text != NULL ? text : "no answer");
        free(text);
    }
}

static char *last_line(char *text)
{
    size_t len = strlen(text);
    while (len > 0 && text[len - 1] == '\n') text[--len] = 0;
    char *line = strrchr(text, '\n');
    return line == NULL ? text : line + 1;
}

/* Why a command failed: its problem's detail and then its reason; of a run, how it ended. */
static void say_failure(char *out, size_t cap, struct demo_output *o)
{
    json_t *problem = json_loads(last_line(o->err), 0, NULL), *run = json_loads(last_line(o->out), 0, NULL);
    if (demo_text(problem, "detail")[0] != 0)
        (void)snprintf(out, cap, "%s (%s)", demo_text(problem, "detail"), demo_text(problem, "reason"));
    else if (demo_text(run, "state")[0] != 0)
        say_answer(out, cap, run);
    else
        (void)snprintf(out, cap, "%s", o->err);
    json_decref(problem);
    json_decref(run);
}

/* --- Commands ------------------------------------------------------------------------------------------------------- */

/* What a run that is still waited for says of itself now. */
static void say_waiting(char *out, size_t cap, const struct demo_node *node, struct demo_output *o)
{
    char path[96];
    int status = 0;
    json_t *so_far = o->out == NULL ? NULL : json_loads(last_line(o->out), 0, NULL), *run = NULL;
    (void)snprintf(path, sizeof path, "/v1/runs/%.64s", demo_text(so_far, "run"));
    if (node != NULL && demo_text(so_far, "run")[0] != 0 &&
        http_call(node->socket, "GET", path, NULL, &status, &run) == OK && status == 200)
        say_answer(out, cap, run);
    else
        (void)snprintf(out, cap, "it printed %s", o->out != NULL && o->out[0] != 0 ? o->out : "nothing");
    json_decref(so_far);
    json_decref(run);
}

static bool execute(struct demo *d, struct demo_node *node, struct demo_output *out, const struct words *w)
{
    if (demo_interrupted()) return demo_bad(d, NULL, "interrupted");
    char why[CALL_TEXT_MAX];
    enum err err = demo_process_run(out, w->word, CALL_SECONDS, &interrupted);
    if (err == OK) return true;
    if (err == ERR_CANCELLED) return demo_bad(d, NULL, "interrupted");
    if (err == ERR_NOT_READY) {
        say_waiting(why, sizeof why, node, out);
        return demo_bad(d, node, "`perigee %s %s` did not end within %d s: %s", w->word[0], w->word[1],
                        CALL_SECONDS, why);
    }
    return demo_bad(d, node, "`perigee %s` could not be run: %s", w->word[0], err_text(err));
}

static bool keep_answer(struct demo *d, struct demo_node *node, json_t **answer, char *line,
                        const struct words *w)
{
    if (answer == NULL) return true;
    *answer = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(*answer)) return true;
    json_decref(*answer);
    *answer = NULL;
    return demo_bad(d, node, "`perigee %s` printed no JSON object but: %.200s", w->word[0], line);
}

bool demo_call(struct demo *d, struct demo_node *node, json_t **answer, const char *words, ...)
{
    struct words w;
    struct demo_output out = {0};
    char why[CALL_TEXT_MAX];
    va_list rest;
    va_start(rest, words);
    bool good = make_words(&w, d, node, words, rest);
    va_end(rest);
    if (answer != NULL) *answer = NULL;
    if (!good) return demo_bad(d, NULL, "too many words for `perigee %s`", words);
    good = execute(d, node, &out, &w);
    if (good && out.code != EXIT_OK) {
        say_failure(why, sizeof why, &out);
        good = demo_bad(d, node, "`perigee %s`%s%s, exit %d: %s", words, node != NULL ? " of " : "",
                        node != NULL ? node->name : "", out.code, why);
    }
    if (good) good = keep_answer(d, node, answer, last_line(out.out), &w);
    demo_output_free(&out);
    return good;
}

bool demo_call_start(struct demo *d, struct demo_node *node, pid_t *pid, const char *log, const char *words,
                     ...)
{
    va_list rest;
    struct words w;
    va_start(rest, words);
    bool good = make_words(&w, d, node, words, rest);
    va_end(rest);
    if (!good) return demo_bad(d, NULL, "too many words for a command");
    enum err err = demo_process_start(pid, w.word, log);
    return err == OK || demo_bad(d, NULL, "`perigee %s` could not be started: %s", words, err_text(err));
}

static bool check_refusal(struct demo *d, struct demo_node *node, const char *reason, char **detail,
                          struct demo_output *out, const char *words)
{
    json_t *problem = json_loads(last_line(out->err), 0, NULL);
    const bool same = strcmp(demo_text(problem, "reason"), reason) == 0;
    if (out->code != EXIT_REFUSED || !same) {
        char why[CALL_TEXT_MAX];
        say_failure(why, sizeof why, out);
        json_decref(problem);
        return demo_bad(d, node, "`perigee %s`, exit %d, and not 1 with reason %s: %s", words, out->code,
                        reason, why);
    }
    if (detail != NULL) *detail = strdup(demo_text(problem, "detail"));
    json_decref(problem);
    return true;
}

bool demo_refused(struct demo *d, struct demo_node *node, const char *reason, char **detail,
                  const char *words, ...)
{
    struct words w;
    struct demo_output out = {0};
    va_list rest;
    va_start(rest, words);
    bool good = make_words(&w, d, node, words, rest);
    va_end(rest);
    if (detail != NULL) *detail = NULL;
    if (!good) return demo_bad(d, NULL, "too many words for `perigee %s`", words);
    good = execute(d, node, &out, &w) && check_refusal(d, node, reason, detail, &out, words);
    demo_output_free(&out);
    return good;
}

/* --- Questions ------------------------------------------------------------------------------------------------------ */

static void pause_ms(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    (void)nanosleep(&t, NULL);
}

static bool ask_once(const struct demo *d, struct demo_node *node, const char *path,
                     demo_predicate *predicate, const void *context, char seen[CALL_TEXT_MAX])
{
    int status = 0;
    json_t *answer = NULL;
    enum err err = http_call(node->socket, "GET", path, NULL, &status, &answer);
    bool holds = err == OK && status == 200 && predicate(d, answer, context);
    if (!holds) {
        if (answer != NULL)
            say_answer(seen, CALL_TEXT_MAX, answer);
        else
            (void)snprintf(seen, CALL_TEXT_MAX, "%s", err_text(err));
    }
    json_decref(answer);
    return holds;
}

/* A node that ends by itself is the reason for whatever is waited for. */
static bool all_alive(struct demo *d)
{
    int code = 0;
    const struct demo_node *n = demo_nodes_ended(d, &code);
    return n == NULL || demo_bad(d, n, "the node of %s ended with exit code %d", n->name, code);
}

bool demo_await(struct demo *d, struct demo_node *node, const char *path, demo_predicate *predicate,
                const void *context, int seconds)
{
    const long end = demo_now_ms() + seconds * 1000L;
    char seen[CALL_TEXT_MAX] = "";
    for (;;) {
        if (demo_interrupted()) return demo_bad(d, NULL, "interrupted");
        if (ask_once(d, node, path, predicate, context, seen)) return true;
        if (!all_alive(d)) return false;
        if (demo_now_ms() >= end)
            return demo_bad(d, node, "not within %d s at %s: GET %s says %s", seconds, node->name, path,
                            seen);
        pause_ms(CALL_POLL_MS);
    }
}

bool demo_await_all(struct demo *d, const char *path, demo_predicate *predicate, const void *context,
                    int seconds)
{
    for (uint32_t i = 0; i < d->node_count; i++)
        if (!demo_await(d, &d->node[i], path, predicate, context, seconds)) return false;
    return true;
}
