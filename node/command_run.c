#include "node/command_list.h"
#include "node/file.h"
#include "node/output_table.h"
#include "proto/base/caps.h"
#include "proto/record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    RUN_POLL_MS = 100,
    /* A settled run's output is opened by the node in moments; a receipt that is still on its way takes longer. */
    RUN_OUTPUT_POLLS = 100,
};

/* In the order a run passes them. */
static const char *const run_phases[] = {"requested", "eligible",  "elected",  "attested", "keyed",
                                         "computing", "committed", "released", "settled"};
enum { RUN_PHASE_COUNT = sizeof run_phases / sizeof run_phases[0] };
static const char *const run_failures[] = {"refused", "failed", "revoked", "expired"};

static bool is_failure(const char *state)
{
    for (size_t i = 0; i < sizeof run_failures / sizeof run_failures[0]; i++)
        if (strcmp(state, run_failures[i]) == 0) return true;
    return false;
}

/* It ended for one candidate, and another may go on with it. */
static bool may_go_on(const json_t *run)
{
    return is_failure(client_text(run, "state")) && json_is_false(json_object_get(run, "over"));
}

/* Taken back or expired, as its node says: what shows it comes here, or does not. */
static bool is_hearsay(const json_t *run)
{
    const char *state = client_text(run, "state");
    return may_go_on(run) && (strcmp(state, "revoked") == 0 || strcmp(state, "expired") == 0);
}

/* --- Showing -------------------------------------------------------------------------------------------------------- */

/* Each phase entered so far and how long after the one before. */
static void print_phases(const json_t *run)
{
    const json_t *phases = json_object_get(run, "phases");
    json_int_t before = 0;
    for (int i = 0; i < RUN_PHASE_COUNT; i++) {
        json_int_t at = client_number(phases, run_phases[i]);
        if (at == 0) continue;
        if (before == 0)
            (void)printf("  %-10s\n", run_phases[i]);
        else
            (void)printf("  %-10s +%" JSON_INTEGER_FORMAT " ms\n", run_phases[i], at - before);
        before = at;
    }
}

static void print_parameters(const json_t *parameters)
{
    char *text = json_object_size(parameters) > 0 ? json_dumps(parameters, JSON_COMPACT) : NULL;
    if (text != NULL) (void)printf("parameters %s\n", text);
    free(text);
}

static void print_bad_shares(const json_t *organisations)
{
    const json_t *one;
    size_t i;
    json_array_foreach(organisations, i, one)(void) printf(
        "bad shares from %s: the run goes on without them; its custodian has its key shares looked at\n",
        json_is_string(one) ? json_string_value(one) : "a custodian");
}

static void print_run(const json_t *run)
{
    const char *state = client_text(run, "state"), *organisation = client_text(run, "organisation");
    (void)printf("run        %s\nworkflow   %s, slot %" JSON_INTEGER_FORMAT
                 "\nrequester  %s\nstate      %s\n",
                 client_text(run, "run"), client_text(run, "compose"), client_number(run, "slot"),
                 client_text(run, "requester"), state);
    if (strcmp(client_text(run, "privacy"), "none") == 0)
        (void)puts("privacy    NONE: no noise is added, and the output can reveal single people");
    print_parameters(json_object_get(run, "parameters"));
    if (organisation[0] != 0)
        (void)printf("computed   by %s, term %" JSON_INTEGER_FORMAT "\n", organisation,
                     client_number(run, "term"));
    if (strcmp(client_text(run, "reason"), "none") != 0)
        (void)printf("reason     %s: %s\n", client_text(run, "reason"), client_text(run, "detail"));
    if (client_text(run, "waits_for")[0] != 0) (void)printf("waits for  %s\n", client_text(run, "waits_for"));
    if (may_go_on(run))
        (void)printf(
            "not over   it may settle yet: `perigee run why %s` says what it waits for; asking anew takes "
            "another slot\n",
            client_text(run, "run"));
    print_phases(run);
    print_bad_shares(json_object_get(run, "bad_shares"));
    if (client_text(run, "output_fault")[0] != 0)
        (void)printf(
            "output     none: what the node that ran it sealed to this one is not the output that the "
            "custodians committed to (%s); ask its operator, and the stewards\n",
            client_text(run, "output_fault"));
    if (json_is_object(json_object_get(run, "output"))) {
        (void)fputc('\n', stdout);
        output_table_print(json_object_get(run, "output"));
    }
}

/* --- Waiting -------------------------------------------------------------------------------------------------------- */

static void pause_ms(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    (void)nanosleep(&t, NULL);
}

/* Called after every poll; says what is new. */
static void say_state(const struct client *c, const json_t *run, char before[32])
{
    const char *state = client_text(run, "state");
    if (strcmp(before, state) == 0) return;
    (void)snprintf(before, 32, "%s", state);
    if (c->json) {
        json_t *line = json_pack("{s:s, s:s}", "run", client_text(run, "run"), "state", state);
        client_print(line);
        json_decref(line);
    } else if (listing_is_terminal()) {
        (void)printf("\r\033[K%s ...", state);
        (void)fflush(stdout);
    }
}

static bool is_over(const json_t *run, uint32_t *patience)
{
    const char *state = client_text(run, "state");
    if (is_failure(state) && !is_hearsay(run)) return true;
    if (!is_failure(state) && strcmp(state, "settled") != 0) return false;
    /* Settled by the receipt; the requester's output follows in moments, and not every requester is a reader. So does what shows that it was
     * taken back. */
    bool opened = json_is_object(json_object_get(run, "output")) || client_text(run, "output_fault")[0] != 0;
    if (opened || *patience == 0) return true;
    (*patience)--;
    return false;
}

static int wait_for(const struct client *c, const char *id)
{
    char before[32] = "", path[96];
    uint32_t patience = RUN_OUTPUT_POLLS;
    json_t *run = NULL;
    int code;
    (void)snprintf(path, sizeof path, "/v1/runs/%s", id);
    for (;;) {
        code = client_get(c, &run, "%s", path);
        if (code != EXIT_OK) return code;
        say_state(c, run, before);
        if (is_over(run, &patience)) break;
        json_decref(run);
        pause_ms(RUN_POLL_MS);
    }
    code = may_go_on(run) ? EXIT_NOT_OVER : is_failure(client_text(run, "state")) ? EXIT_REFUSED : EXIT_OK;
    if (!c->json && listing_is_terminal()) (void)fputs("\r\033[K", stdout);
    if (c->json)
        client_print(run);
    else
        print_run(run);
    json_decref(run);
    return code;
}

/* --- What a request says ------------------------------------------------------------------------------------------------------- */

struct request_words {
    const char *workflow, *slot, *inputs, *expires_in_ms;
    const char *set[CAP_PARAMETERS]; /* NAME=VALUE */
    bool wait, dry_run;
};

/* "TOKEN,TOKEN" into the list that the API takes; it says what is wrong with a token. */
static void put_inputs(json_t *body, const char *words)
{
    json_t *list = json_array();
    for (const char *at = words; at != NULL;) {
        size_t len = strcspn(at, ",");
        (void)json_array_append_new(list, json_stringn(at, len));
        at = at[len] == ',' ? at + len + 1 : NULL;
    }
    (void)json_object_set_new(body, "inputs", list);
}

/* "integer" or "text" of a parameter that the workflow document declares, or "". */
static const char *parameter_type(const json_t *document, const char *name)
{
    size_t i;
    const json_t *parameter;
    json_array_foreach(json_object_get(document, "parameters"), i, parameter)
    {
        if (strcmp(client_text(parameter, "name"), name) == 0) return client_text(parameter, "type");
    }
    return "";
}

/* The value as its type has it; what the workflow does not declare goes as text, for the node to refuse. */
static json_t *parameter_value(const char *type, const char *text)
{
    char *end = NULL;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    bool begins = text[0] == '-' || (text[0] >= '0' && text[0] <= '9'); /* strtoll takes blanks and + */
    bool whole = begins && errno == 0 && end != text && *end == 0;
    return strcmp(type, "integer") == 0 && whole ? json_integer(number) : json_string(text);
}

static int set_one(const struct client *c, json_t *values, const json_t *document, const char *word)
{
    char name[CAP_NAME + 1];
    const char *equals = strchr(word, '=');
    size_t len = equals == NULL ? 0 : (size_t)(equals - word);
    if (len == 0 || len >= sizeof name)
        return client_fail(c, EXIT_USAGE, "--set: expected NAME=VALUE, got \"%s\"", word);
    (void)snprintf(name, sizeof name, "%.*s", (int)len, word);
    if (json_object_get(values, name) != NULL)
        return client_fail(c, EXIT_USAGE, "--set: \"%s\" is given twice", name);
    json_t *value = parameter_value(parameter_type(document, name), equals + 1);
    if (json_object_set_new(values, name, value) == 0) return EXIT_OK;
    return client_fail(c, EXIT_USAGE, "--set: expected UTF-8, got \"%s\"", word);
}

/* The workflow says which values are numbers. */
static int set_parameters(const struct client *c, json_t *body, const struct request_words *w)
{
    json_t *recipe = NULL;
    if (w->set[0] == NULL) return EXIT_OK;
    int code = client_get(c, &recipe, "/v1/workflows/%s", w->workflow);
    json_t *document = json_loads(client_text(recipe, "document"), 0, NULL), *values = json_object();
    for (uint32_t i = 0; i < CAP_PARAMETERS && w->set[i] != NULL && code == EXIT_OK; i++)
        code = set_one(c, values, document, w->set[i]);
    json_decref(document);
    json_decref(recipe);
    (void)json_object_set_new(body, "parameters", values);
    return code;
}

/* An option's number into the body, where it was given. */
static bool set_number(json_t *body, const char *key, const char *option, const char *word, uint64_t most)
{
    uint64_t number = 0;
    if (word == NULL) return true;
    if (arguments_number(&number, option, word, 1, most) != OK) return false;
    (void)json_object_set_new(body, key, json_integer((json_int_t)number));
    return true;
}

static int put_words(const struct client *c, json_t *body, const struct request_words *w)
{
    if (w->inputs != NULL) put_inputs(body, w->inputs);
    if (!set_number(body, "slot", "--slot", w->slot, UINT32_MAX) ||
        !set_number(body, "expires_in_ms", "--expires-in-ms", w->expires_in_ms, RUN_LIFE_MAX_MS))
        return EXIT_USAGE;
    return set_parameters(c, body, w);
}

/* --- What is missing --------------------------------------------------------------------------------------------------- */

static void print_members(const json_t *members)
{
    const json_t *m;
    size_t i;
    json_array_foreach(members, i, m)
    {
        if (!json_is_true(json_object_get(m, "ok")))
            (void)printf("                         %s: %s\n", client_text(m, "who"), client_text(m, "why"));
    }
}

static uint32_t print_conditions(const json_t *conditions)
{
    const json_t *line;
    size_t i;
    uint32_t missing = 0;
    json_array_foreach(conditions, i, line)
    {
        bool ok = json_is_true(json_object_get(line, "ok"));
        const char *who = client_text(line, "who"), *detail = client_text(line, "detail");
        missing += !ok;
        (void)printf("  %-8s %-13s %s%s%s\n", ok ? "ok" : "missing", client_text(line, "what"), who,
                     who[0] != 0 && detail[0] != 0 ? ": " : "", detail);
        print_members(json_object_get(line, "members"));
    }
    return missing;
}

/* Ready is 0, anything missing 1: a script may wait for it. */
static int show_plan(const struct client *c, json_t *plan)
{
    bool ready = json_is_true(json_object_get(plan, "ready"));
    if (c->json) {
        client_print(plan);
    } else {
        char slot[40] = "no slot chosen";
        if (json_is_integer(json_object_get(plan, "slot")))
            (void)snprintf(slot, sizeof slot, "slot %" JSON_INTEGER_FORMAT, client_number(plan, "slot"));
        (void)printf("%s, epsilon %s of each owner's dataset%s\n", slot, client_text(plan, "epsilon"),
                     strcmp(client_text(plan, "privacy"), "none") == 0 ? ", PRIVACY: NONE" : "");
        uint32_t missing = print_conditions(json_object_get(plan, "conditions"));
        if (ready)
            (void)puts("ready: nothing was requested; without --dry-run it is");
        else
            (void)printf("not yet: %u missing\n", missing);
    }
    json_decref(plan);
    return ready ? EXIT_OK : EXIT_REFUSED;
}

int command_run_why(int argc, char **argv)
{
    struct client c;
    const char *id = NULL;
    struct arguments a = {NULL, 0, 1, 1, 0, &id};
    json_t *why = NULL;
    int code = client_begin(&c, "run why", &a, argc, argv);
    if (code == EXIT_OK) code = client_check_hash(&c, "RUN", id);
    if (code == EXIT_OK) code = client_get(&c, &why, "/v1/runs/%s/why", id);
    if (code != EXIT_OK) return code;
    if (c.json) {
        client_print(why);
    } else {
        (void)printf("%s: %s\n", client_text(why, "state"), client_text(why, "waits_for"));
        if (strcmp(client_text(why, "reason"), "none") != 0)
            (void)printf("last refusal  %s: %s\n", client_text(why, "reason"), client_text(why, "detail"));
        (void)print_conditions(json_object_get(why, "conditions"));
    }
    json_decref(why);
    return EXIT_OK;
}

/* --- Requesting ---------------------------------------------------------------------------------------------------------- */

static int request(const struct client *c, const struct request_words *w)
{
    char id[65];
    json_t *answer = NULL, *body = json_pack("{s:s}", "compose", w->workflow);
    int code = put_words(c, body, w);
    if (code != EXIT_OK) {
        json_decref(body);
        return code;
    }
    if (w->dry_run && (w->wait || w->expires_in_ms != NULL)) {
        json_decref(body);
        return client_fail(c, EXIT_USAGE, "--dry-run requests nothing: leave out --wait and --expires-in-ms");
    }
    code = client_post(c, &answer, body, w->dry_run ? "/v1/runs/plan" : "/v1/runs");
    if (code != EXIT_OK) return code;
    if (w->dry_run) return show_plan(c, answer);
    (void)snprintf(id, sizeof id, "%s", client_text(answer, "run"));
    if (!w->wait) return client_done(c, answer, "requested run %s; `perigee run show` follows it", id);
    json_decref(answer);
    char made[160];
    struct client waiting = *c;
    (void)snprintf(made, sizeof made, "; it was requested, run %s: `perigee run show` follows it", id);
    waiting.remedy = made;
    if (!c->json) (void)fprintf(stderr, "requested run %s\n", id);
    return wait_for(&waiting, id);
}

int command_run_request(int argc, char **argv)
{
    struct client c;
    struct request_words w = {0};
    struct argument option[6 + CAP_PARAMETERS] = {{"--workflow", &w.workflow, NULL},
                                                  {"--dry-run", NULL, &w.dry_run},
                                                  {"--inputs", &w.inputs, NULL},
                                                  {"--slot", &w.slot, NULL},
                                                  {"--expires-in-ms", &w.expires_in_ms, NULL},
                                                  {"--wait", NULL, &w.wait}};
    for (uint32_t i = 0; i < CAP_PARAMETERS; i++) option[6 + i] = (struct argument){"--set", &w.set[i], NULL};
    struct arguments a = {option, sizeof option / sizeof option[0], 0, 0, 0, NULL};
    int code = client_begin(&c, "run request", &a, argc, argv);
    if (code == EXIT_OK) code = client_check_hash(&c, "--workflow", w.workflow);
    return code == EXIT_OK ? request(&c, &w) : code;
}

int command_run_list(int argc, char **argv)
{
    static const struct command_list list = {"run list",
                                             "/v1/runs",
                                             "runs",
                                             "no runs",
                                             7,
                                             {{"RUN", "run", 0},
                                              {"SLOT", "slot", 0},
                                              {"STATE", "state", 0},
                                              {"REASON", "reason", 0},
                                              {"REQUESTER", "requester", 0},
                                              {"PRIVACY", "privacy", 0},
                                              {"WORKFLOW", "compose", 16}}};
    return command_list_run(&list, argc, argv);
}

int command_run_show(int argc, char **argv)
{
    struct client c;
    const char *id = NULL;
    struct arguments a = {NULL, 0, 1, 1, 0, &id};
    json_t *run = NULL;
    int code = client_begin(&c, "run show", &a, argc, argv);
    if (code == EXIT_OK) code = client_check_hash(&c, "RUN", id);
    if (code == EXIT_OK) code = client_get(&c, &run, "/v1/runs/%s", id);
    if (code != EXIT_OK) return code;
    if (c.json)
        client_print(run);
    else
        print_run(run);
    json_decref(run);
    return EXIT_OK;
}

static int save_receipt(const struct client *c, const char *id, const char *out)
{
    json_t *answer = NULL;
    int code = client_get(c, &answer, "/v1/runs/%s/receipt", id);
    if (code != EXIT_OK) return code;
    const json_t *text = json_object_get(answer, "receipt");
    const struct span bytes = span_make(json_string_value(text), json_string_length(text));
    enum err err = bytes.len > 0 ? file_write(out, bytes, 0644, false) : ERR_MISSING_FIELD;
    json_decref(answer);
    if (err != OK) return client_fail(c, EXIT_REFUSED, "%s: %s", out, file_why(err));
    return client_done(c, json_pack("{s:s, s:I}", "file", out, "bytes", (json_int_t)bytes.len),
                       "wrote %s, %zu bytes; check it with `perigee verify %s --consortium HASH`", out,
                       bytes.len, out);
}

int command_run_receipt(int argc, char **argv)
{
    struct client c;
    const char *id = NULL, *out = NULL;
    const struct argument option[] = {{"--out", &out, NULL}};
    struct arguments a = {option, 1, 1, 1, 0, &id};
    int code = client_begin(&c, "run receipt", &a, argc, argv);
    if (code == EXIT_OK) code = client_check_hash(&c, "RUN", id);
    if (code == EXIT_OK) code = client_need(&c, "--out FILE", out);
    return code == EXIT_OK ? save_receipt(&c, id, out) : code;
}
