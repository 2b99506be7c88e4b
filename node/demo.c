#include "node/demo.h"

#include "node/arguments.h"
#include "node/command.h"
#include "node/listing.h"
#include "node/problem.h"

#include <errno.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEMO_ROWS_MAX = 10000000, DEMO_LOG_LINES = 20, DEMO_TAIL_BYTES = 16384 };

/* --- Steps ---------------------------------------------------------------------------------------------------------- */

void demo_section(struct demo *d, uint32_t number, const char *title)
{
    d->section_number = number;
    d->section = title;
    if (d->options.json || d->options.quiet) return;
    (void)printf("\n%s%u  %s%s\n", listing_bold(), number, title, listing_plain());
    (void)fflush(stdout);
}

void demo_begin(struct demo *d, const char *step, const char *expectation)
{
    d->step = step;
    d->expectation = expectation;
    d->step_ms = demo_now_ms();
    if (d->options.json || d->options.quiet || !listing_is_terminal()) return;
    (void)printf("   .. %s", step);
    (void)fflush(stdout);
}

static void print_json_step(const struct demo *d, bool ok, const char *outcome)
{
    json_t *line = json_pack("{s:i, s:s, s:s, s:s, s:b, s:I}", "section", (int)d->section_number, "step",
                             d->step, "expectation", d->expectation, "outcome", outcome, "ok", ok, "ms",
                             (json_int_t)(demo_now_ms() - d->step_ms));
    if (line == NULL) return;
    (void)json_dumpf(line, stdout, JSON_COMPACT);
    (void)fputc('\n', stdout);
    (void)fflush(stdout);
    json_decref(line);
}

static void print_step(const struct demo *d, bool ok, const char *outcome)
{
    if (d->options.quiet) return;
    if (d->options.json) {
        print_json_step(d, ok, outcome);
        return;
    }
    (void)printf("%s   %s%s%s %-18s %s  (%.1f s)\n", listing_is_terminal() ? "\r\033[K" : "",
                 ok ? listing_green() : listing_red(), ok ? "ok" : "NO", listing_plain(), d->step, outcome,
                 (double)(demo_now_ms() - d->step_ms) / 1000.0);
    (void)fflush(stdout);
}

bool demo_good(struct demo *d, const char *format, ...)
{
    char outcome[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(outcome, sizeof outcome, format, arguments);
    va_end(arguments);
    print_step(d, true, outcome);
    return true;
}

void demo_note(const struct demo *d, const char *format, ...)
{
    va_list arguments;
    if (d->options.json || d->options.quiet) return;
    va_start(arguments, format);
    (void)fputs("      ", stdout);
    (void)vprintf(format, arguments);
    (void)fputc('\n', stdout);
    va_end(arguments);
}

/* The last lines of a node's log. */
static void print_tail(const struct demo_node *node)
{
    char text[DEMO_TAIL_BYTES + 1];
    FILE *f = fopen(node->log, "rb");
    if (f == NULL) return;
    (void)fseek(f, 0, SEEK_END);
    long len = ftell(f);
    (void)fseek(f, len > DEMO_TAIL_BYTES ? len - DEMO_TAIL_BYTES : 0, SEEK_SET);
    size_t got = fread(text, 1, DEMO_TAIL_BYTES, f);
    (void)fclose(f);
    text[got] = 0;
    const char *from = text + got;
    for (int lines = 0; from > text && lines <= DEMO_LOG_LINES; from--) lines += from[-1] == '\n';
    (void)fprintf(stderr, "--- the end of %s\n%s---\n", node->log, from);
}

bool demo_bad(struct demo *d, const struct demo_node *node, const char *format, ...)
{
    char outcome[2048];
    va_list arguments;
    if (d->failed) return false;
    d->failed = true;
    va_start(arguments, format);
    (void)vsnprintf(outcome, sizeof outcome, format, arguments);
    va_end(arguments);
    if (d->step != NULL) print_step(d, false, outcome);
    (void)problem_say(EXIT_REFUSED, "step %u, %s\n  expected: %s\n  came:     %s", d->section_number,
                      d->step != NULL ? d->step : "start", d->expectation != NULL ? d->expectation : "-",
                      outcome);
    if (node != NULL && !d->options.json) print_tail(node);
    return false;
}

/* --- The work directory --------------------------------------------------------------------------------------------- */

static bool make_dir(struct demo *d)
{
    const char *tmp = getenv("TMPDIR");
    if (d->options.keep != NULL) {
        bool good = mkdir(d->options.keep, 0700) == 0 || errno == EEXIST;
        if (!good || realpath(d->options.keep, d->dir) == NULL)
            return demo_bad(d, NULL, "%s: %s", d->options.keep, strerror(errno));
        if (rmdir(d->dir) != 0 || mkdir(d->dir, 0700) != 0)
            return demo_bad(d, NULL, "%s: expected a folder that is new or empty", d->options.keep);
        return true;
    }
    (void)snprintf(d->dir, sizeof d->dir, "%s/perigee-demo.XXXXXX",
                   tmp != NULL && tmp[0] == '/' ? tmp : "/tmp");
    d->dir_made = mkdtemp(d->dir) != NULL;
    return d->dir_made || demo_bad(d, NULL, "%s: %s", d->dir, strerror(errno));
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

static void remove_dir(const struct demo *d)
{
    if (d->dir_made) (void)nftw(d->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* --- The story ------------------------------------------------------------------------------------------------------ */

static void stay(struct demo *d)
{
    const struct demo_node *n = demo_algorithm(d);
    (void)printf(
        "\nThe nodes go on until Ctrl-C. Talk to them, for example:\n"
        "  perigee status --data %s\n  perigee run list --data %s\n  perigee workflow show %s --data %s\n"
        "  curl --unix-socket %s http://localhost/v1/runs\n",
        n->dir, n->dir, d->compose, d->node[0].dir, n->socket);
    (void)fflush(stdout);
    while (!demo_interrupted()) (void)usleep(100000);
}

static bool tell(struct demo *d, uint32_t last)
{
    static bool (*const chapter[])(struct demo *) = {demo_found,   demo_publish, demo_approve, demo_run,
                                                     demo_receipt, demo_refuse,  demo_failover};
    static const uint32_t ends_section[] = {2, 3, 4, 5, 6, 7, 8};
    for (size_t i = 0; i < sizeof chapter / sizeof chapter[0] && ends_section[i] <= last; i++)
        if (!chapter[i](d)) return false;
    return true;
}

static int finish(struct demo *d, bool good)
{
    if (good && d->options.stay) stay(d);
    if (good) good = demo_nodes_stop(d);
    demo_nodes_kill(d);
    study_close(d->study);
    d->study = NULL;
    remove_dir(d);
    return good ? EXIT_OK : EXIT_REFUSED;
}

int demo_perform(struct demo *d, uint32_t last)
{
    (void)demo_interrupted(); /* from here on Ctrl-C ends it in order */
    return finish(d, make_dir(d) && demo_study_open(d) && tell(d, last));
}

int demo_perform_with(struct demo *d, bool (*last)(struct demo *d, void *context), void *context)
{
    (void)demo_interrupted();
    return finish(d, make_dir(d) && demo_study_open(d) && tell(d, 4) && last(d, context));
}

/* --- The command ---------------------------------------------------------------------------------------------------- */

static int parse(struct demo_options *o, int argc, char **argv)
{
    const char *rows = NULL;
    const struct argument option[] = {{"--study", &o->study, NULL}, {"--data", &o->data, NULL},
                                      {"--rows", &rows, NULL},      {"--keep", &o->keep, NULL},
                                      {"--stay", NULL, &o->stay},   {"--json", NULL, &o->json}};
    struct arguments a = {option, sizeof option / sizeof option[0], 0, 0, 0, NULL};
    if (arguments_parse(&a, argc, argv) != OK) return EXIT_USAGE;
    if (rows != NULL && arguments_number(&o->rows, "--rows", rows, 1, DEMO_ROWS_MAX) != OK) return EXIT_USAGE;
    if ((o->study == NULL) == (o->data == NULL)) return EXIT_OK;
    return problem_say(EXIT_USAGE, "--study FILE and --data DIR belong together");
}

static void say_end(const struct demo *d, long began_ms)
{
    const double seconds = (double)(demo_now_ms() - began_ms) / 1000.0;
    if (d->options.json) return;
    (void)printf("\n%sdone%s in %.1f s: one approved joint study, one receipt; rows left their hospitals "
                 "only sealed.\n",
                 listing_bold(), listing_plain(), seconds);
    if (d->options.keep != NULL)
        (void)printf("kept in %s: receipt.json, consortium, charter.json, workflow.json, approval-*.txt,\n  "
                     "output.json. Try:\n"
                     "  perigee verify %s/receipt.json --consortium $(cat %s/consortium)\n",
                     d->dir, d->dir, d->dir);
}

int command_demo(int argc, char **argv)
{
    static struct demo d; /* paths of every node: large for a stack */
    const long began_ms = demo_now_ms();
    memset(&d, 0, sizeof d);
    int code = parse(&d.options, argc, argv);
    if (code != EXIT_OK) return code;
    code = demo_perform(&d, 8);
    if (code == EXIT_OK) say_end(&d, began_ms);
    return code;
}
