#include "node/command.h"

#include "node/client.h"
#include "node/closest.h"
#include "node/daemon.h"
#include "node/problem.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct command_row {
    const char *noun, *verb;
    int (*function)(int argc, char **argv);
    const char *arguments, *summary;
};
#define COMMAND_ROW(noun, verb, function, arguments, summary) {noun, verb, function, arguments, summary},
static const struct command_row rows[] = {COMMAND_TABLE(COMMAND_ROW)};
#undef COMMAND_ROW
enum { ROW_COUNT = sizeof rows / sizeof rows[0] };

/* --- Help ----------------------------------------------------------------------------------------------------------- */

static bool is_internal(const struct command_row *row)
{
    return strncmp(row->summary, "internal:", 9) == 0;
}

static json_t *row_json(const struct command_row *row)
{
    return json_pack("{s:s, s:s, s:s, s:s}", "noun", row->noun, "verb", row->verb, "arguments",
                     row->arguments, "summary", row->summary);
}

/* Rows of this noun and verb (NULL: any) as one object. How many there are. */
static size_t print_rows_json(const char *noun, const char *verb)
{
    json_t *list = json_array(), *object = json_pack("{s:o}", "commands", list);
    for (int i = 0; i < ROW_COUNT; i++) {
        const bool wanted = noun != NULL ? strcmp(rows[i].noun, noun) == 0 : !is_internal(&rows[i]);
        if (wanted && (verb == NULL || strcmp(rows[i].verb, verb) == 0))
            (void)json_array_append_new(list, row_json(&rows[i]));
    }
    const size_t count = json_array_size(list);
    if (count > 0) client_print(object);
    json_decref(object);
    return count;
}

static void print_row(const struct command_row *row)
{
    char name[64];
    (void)snprintf(name, sizeof name, "%s%s%s", row->noun, row->verb[0] != 0 ? " " : "", row->verb);
    (void)printf("  %-20s %s\n", name, row->summary);
}

static void print_usage(const struct command_row *row)
{
    (void)printf("usage: perigee %s%s%s%s%s\n  %s\n", row->noun, row->verb[0] != 0 ? " " : "", row->verb,
                 row->arguments[0] != 0 ? " " : "", row->arguments, row->summary);
}

static int help_all(bool json)
{
    if (json) {
        (void)print_rows_json(NULL, NULL);
        return EXIT_OK;
    }
    (void)puts("perigee: a federation node for computing on data that must not move\n\n"
               "usage: perigee COMMAND [--json] ...\n");
    for (int i = 0; i < ROW_COUNT; i++)
        if (!is_internal(&rows[i])) print_row(&rows[i]);
    (void)puts("\n`perigee help COMMAND` says what a command takes. --data DIR may come from PERIGEE_DATA.\n"
               "What talks to a node also takes --api https://HOST:PORT --token-file FILE [--ca FILE | "
               "--fingerprint HEX]\n"
               "in its place.\n"
               "Exit codes: 0 ok, 1 refused or failed, 2 no node answers, 3 usage, 4 not verified,\n"
               "5 a run that another may go on with, 75 try later, 130 interrupted.\n"
               "`perigee demo` shows a joint study with seven processes on this machine.");
    return EXIT_OK;
}

static int unknown_noun(const char *noun)
{
    struct closest closest = closest_to(noun);
    for (int i = 0; i < ROW_COUNT; i++) closest_offer(&closest, rows[i].noun);
    closest_offer(&closest, "help");
    return problem_say(EXIT_USAGE, "no command \"%s\"%s%s%s; `perigee help` lists them", noun,
                       closest.best != NULL ? "; did you mean `perigee " : "",
                       closest.best != NULL ? closest.best : "", closest.best != NULL ? "`" : "");
}

static int help_noun(const char *noun, const char *verb, bool json)
{
    int found = 0;
    if (json) return print_rows_json(noun, verb) > 0 ? EXIT_OK : unknown_noun(noun);
    for (int i = 0; i < ROW_COUNT; i++) {
        if (strcmp(rows[i].noun, noun) != 0 || (verb != NULL && strcmp(rows[i].verb, verb) != 0)) continue;
        print_usage(&rows[i]);
        found++;
    }
    return found > 0 ? EXIT_OK : unknown_noun(noun);
}

/* `help`, `help NOUN`, `help NOUN VERB`, with --json anywhere. */
static int command_help(int argc, char **argv, bool json)
{
    const char *word[2] = {NULL, NULL};
    int count = 0;
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] == '-') continue;
        if (count == 2)
            return problem_say(EXIT_USAGE, "expected at most a command's two words, got \"%s\"", argv[i]);
        word[count++] = argv[i];
    }
    return count > 0 ? help_noun(word[0], word[1], json) : help_all(json);
}

/* Before `--`: what stands behind it is no option. */
static bool has_option(int argc, char **argv, const char *option)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], option) == 0) return true;
    return false;
}

static bool wants_help(int argc, char **argv)
{
    return has_option(argc, argv, "--help") || has_option(argc, argv, "-h");
}

/* --- Dispatch --------------------------------------------------------------------------------------------------------- */

static int call(const struct command_row *row, int argc, char **argv)
{
    static char name[64]; /* borrowed by every problem said from now on */
    (void)snprintf(name, sizeof name, "%s%s%s", row->noun, row->verb[0] != 0 ? " " : "", row->verb);
    const bool json = has_option(argc, argv, "--json");
    problem_begin(name, json);
    problem_begin_usage(row->arguments);
    if (wants_help(argc, argv) && json) {
        (void)print_rows_json(row->noun, row->verb);
    } else if (wants_help(argc, argv)) {
        print_usage(row);
    } else {
        return row->function(argc, argv);
    }
    return EXIT_OK;
}

static int unknown_verb(const char *noun, const char *verb, bool json)
{
    struct closest closest = closest_to(verb);
    char verbs[256] = "";
    for (int i = 0; i < ROW_COUNT; i++) {
        if (strcmp(rows[i].noun, noun) != 0) continue;
        const size_t len = strlen(verbs);
        (void)snprintf(verbs + len, sizeof verbs - len, " %s", rows[i].verb);
        closest_offer(&closest, rows[i].verb);
    }
    problem_begin(noun, json);
    if (verb[0] == 0 || verb[0] == '-') return problem_say(EXIT_USAGE, "expected one of%s", verbs);
    if (closest.best == NULL) return problem_say(EXIT_USAGE, "expected one of%s, got \"%s\"", verbs, verb);
    return problem_say(EXIT_USAGE, "expected one of%s, got \"%s\"; did you mean `perigee %s %s`?", verbs,
                       verb, noun, closest.best);
}

/* argv[0] is the noun. */
static int dispatch(int argc, char **argv, bool json)
{
    const char *verb = argc > 1 ? argv[1] : "";
    bool noun_known = false;
    for (int i = 0; i < ROW_COUNT; i++) {
        if (strcmp(rows[i].noun, argv[0]) != 0) continue;
        noun_known = true;
        if (rows[i].verb[0] == 0) return call(&rows[i], argc, argv);
        if (strcmp(rows[i].verb, verb) == 0) return call(&rows[i], argc - 1, argv + 1);
    }
    if (!noun_known) return unknown_noun(argv[0]);
    if (wants_help(argc, argv)) return help_noun(argv[0], NULL, json);
    return unknown_verb(argv[0], verb, json);
}

/* `--json` may stand first: it goes behind the command's words. */
static void json_behind_words(int argc, char **argv)
{
    for (int i = 1; i < 3 && i + 1 < argc && strcmp(argv[i], "--json") == 0; i++) {
        if (i == 2 && argv[i + 1][0] == '-') return;
        char *option = argv[i];
        argv[i] = argv[i + 1];
        argv[i + 1] = option;
    }
}

static int main_of(int argc, char **argv, bool json)
{
    problem_begin("", json);
    json_behind_words(argc, argv);
    if (argc < 2 || strcmp(argv[1], "--json") == 0) return help_all(json);
    if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return command_help(argc - 1, argv + 1, json);
    if (strcmp(argv[1], "--version") == 0) {
        if (argc > 2 + json)
            return problem_say(EXIT_USAGE, "--version: expected no command, got \"%s\"", argv[2]);
        (void)puts(json ? "{\"version\":\"" PERIGEE_VERSION "\"}" : "perigee " PERIGEE_VERSION);
        return EXIT_OK;
    }
    return dispatch(argc - 1, argv + 1, json);
}

/* What was not written was not said: a token that nobody has seen is of no use. Who closes a pipe has read enough. */
static int end(int code)
{
    struct stat status;
    const bool lost = fflush(stdout) != 0 || ferror(stdout) != 0;
    if (!lost || (fstat(STDOUT_FILENO, &status) == 0 && S_ISFIFO(status.st_mode))) return code;
    const int said =
        problem_say(EXIT_REFUSED, "standard output could not be written: what was to be said is lost");
    return code == EXIT_OK ? said : code;
}

int command_main(int argc, char **argv)
{
    /* A closed pipe or socket is an error where it is written, not the end of a node. */
    (void)signal(SIGPIPE, SIG_IGN);
    return end(main_of(argc, argv, has_option(argc, argv, "--json")));
}

/* --- The node itself ---------------------------------------------------------------------------------------------------- */

int command_node(int argc, char **argv)
{
    struct client c;
    const char *passphrase_file = NULL;
    const struct argument option[] = {{"--passphrase-file", &passphrase_file, NULL}};
    struct arguments a = {option, 1, 0, 0, 0, NULL};
    int code = client_begin(&c, "node", &a, argc, argv);
    if (code == EXIT_OK) code = client_local(&c);
    return code == EXIT_OK ? daemon_run(c.data, passphrase_file) : code;
}
