#include "node/command.h"

#include "node/client.h"
#include "node/closest.h"
#include "node/daemon.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define COMMAND_VERSION "0.1.0"

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

static int help_all(void)
{
    (void)puts("perigee: a federation node for computing on data that must not move\n\n"
               "usage: perigee COMMAND [--json] ...\n");
    for (int i = 0; i < ROW_COUNT; i++)
        if (!is_internal(&rows[i])) print_row(&rows[i]);
    (void)puts(
        "\n`perigee help COMMAND` says what a command takes. --data DIR may come from PERIGEE_DATA.\n"
        "Exit codes: 0 ok, 1 refused or failed, 2 no node answers, 3 usage, 4 not verified, 75 try later.\n"
        "`perigee demo` shows a joint study with seven processes on this machine.");
    return EXIT_OK;
}

static int unknown_noun(const char *noun)
{
    struct closest closest = closest_to(noun);
    for (int i = 0; i < ROW_COUNT; i++) closest_offer(&closest, rows[i].noun);
    closest_offer(&closest, "help");
    (void)fprintf(stderr, "perigee: no command \"%s\"%s%s%s; `perigee help` lists them\n", noun,
                  closest.best != NULL ? "; did you mean `perigee " : "",
                  closest.best != NULL ? closest.best : "", closest.best != NULL ? "`" : "");
    return EXIT_USAGE;
}

static int help_noun(const char *noun, const char *verb)
{
    int found = 0;
    for (int i = 0; i < ROW_COUNT; i++) {
        if (strcmp(rows[i].noun, noun) != 0 || (verb != NULL && strcmp(rows[i].verb, verb) != 0)) continue;
        print_usage(&rows[i]);
        found++;
    }
    return found > 0 ? EXIT_OK : unknown_noun(noun);
}

static int command_help(int argc, char **argv)
{
    return argc > 1 ? help_noun(argv[1], argc > 2 ? argv[2] : NULL) : help_all();
}

static bool wants_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) return true;
    return false;
}

/* --- Dispatch --------------------------------------------------------------------------------------------------------- */

static int call(const struct command_row *row, int argc, char **argv)
{
    if (wants_help(argc, argv)) {
        print_usage(row);
        return EXIT_OK;
    }
    return row->function(argc, argv);
}

static int unknown_verb(const char *noun, const char *verb)
{
    struct closest closest = closest_to(verb);
    (void)fprintf(stderr, "perigee %s: expected one of", noun);
    for (int i = 0; i < ROW_COUNT; i++) {
        if (strcmp(rows[i].noun, noun) != 0) continue;
        (void)fprintf(stderr, " %s", rows[i].verb);
        closest_offer(&closest, rows[i].verb);
    }
    (void)fprintf(stderr, "%s%s%s\n", verb[0] != 0 ? ", got " : "", verb,
                  closest.best != NULL && verb[0] != 0 ? "; did you mean:" : "");
    if (closest.best != NULL && verb[0] != 0) (void)fprintf(stderr, "  perigee %s %s\n", noun, closest.best);
    return EXIT_USAGE;
}

/* argv[0] is the noun. */
static int dispatch(int argc, char **argv)
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
    if (wants_help(argc, argv)) return help_noun(argv[0], NULL);
    return unknown_verb(argv[0], verb);
}

int command_main(int argc, char **argv)
{
    /* A closed pipe or socket is an error where it is written, not the end of a node. */
    (void)signal(SIGPIPE, SIG_IGN);
    if (argc < 2) return help_all();
    if (strcmp(argv[1], "help") == 0) return command_help(argc - 1, argv + 1);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) return help_all();
    if (strcmp(argv[1], "--version") == 0) {
        (void)puts("perigee " COMMAND_VERSION);
        return EXIT_OK;
    }
    return dispatch(argc - 1, argv + 1);
}

/* --- The node itself ---------------------------------------------------------------------------------------------------- */

int command_node(int argc, char **argv)
{
    struct client c;
    struct arguments a = {NULL, 0, 0, 0, 0, NULL};
    int code = client_begin(&c, "node", &a, argc, argv);
    return code == EXIT_OK ? daemon_run(c.data) : code;
}
