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
    /* What went wrong is said once, with what was expected. */
    (void)printf("%s   %s%s%s %-18s %s  (%.1f s)\n", listing_is_terminal() ? "\r\033[K" : "",
                 ok ? listing_green() : listing_red(), ok ? "ok" : "NO", listing_plain(), d->step,
                 ok ? outcome : "see below", (double)(demo_now_ms() - d->step_ms) / 1000.0);
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

static void say_bad(struct demo *d, const char *outcome)
{
    if (d->step == NULL) {
        (void)problem_say(EXIT_REFUSED, "%s", outcome);
        return;
    }
    /* Once there are nodes, everything is there to be looked at; who interrupts wants nothing more. */
    if (d->section_number > 1 && !demo_interrupted()) d->keep_all = true;
    print_step(d, false, outcome);
    (void)problem_say(EXIT_REFUSED, "step %u, %s\n  expected: %s\n  came:     %s%s%s", d->section_number,
                      d->step, d->expectation, outcome,
                      d->keep_all ? "\n  kept, with every node's log: " : "", d->keep_all ? d->dir : "");
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
    say_bad(d, outcome);
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
    if (mkdtemp(d->dir) != NULL) return true;
    (void)demo_bad(d, NULL, "%s: %s", d->dir, strerror(errno));
    d->dir[0] = 0;
    return false;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

/* All but what the receipt's reader needs. */
static int remove_work(const char *path, const struct stat *status, int type, struct FTW *place)
{
    static const char *const kept[] = {"receipt.json", "consortium", "output.json"};
    if (place->level == 0) return 0;
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        if (place->level == 1 && strcmp(path + place->base, kept[i]) == 0) return 0;
    return remove_one(path, status, type, place);
}

static void clear_dir(const struct demo *d, bool good)
{
    if (d->dir[0] == 0 || d->keep_all || d->options.keep != NULL) return;
    const bool leave = good && !d->options.quiet;
    (void)nftw(d->dir, leave ? remove_work : remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* --- The story ------------------------------------------------------------------------------------------------------ */

/* A node that ends now is told of, and no reason to end the others: whoever stays may have killed it. */
static bool watch(struct demo *d)
{
    int code = 0;
    const struct demo_node *n = demo_nodes_ended(d, &code);
    if (n == NULL) return true;
    d->keep_all = true;
    (void)problem_say(
        EXIT_REFUSED,
        "the node of %s ended with exit code %d, the others go on; its log is %s. Start it again:\n"
        "  %s node --data %s",
        n->name, code, n->log, d->program, n->dir);
    return false;
}

static void say_stay(struct demo *d)
{
    const struct demo_node *n = demo_algorithm(d);
    if (d->options.json) {
        demo_begin(d, "stay", "the nodes go on until Ctrl-C");
        demo_good(d, "%s", d->dir);
        return;
    }
    (void)printf("\nThe nodes go on until Ctrl-C. Talk to them, for example:\n"
                 "  %s status --data %s\n  %s run list --data %s\n  %s workflow show %s --data %s\n"
                 "  curl --unix-socket %s http://localhost/v1/runs\n",
                 d->program, n->dir, d->program, n->dir, d->program, d->compose, d->node[0].dir, n->socket);
    (void)fflush(stdout);
}

static bool stay(struct demo *d)
{
    bool good = true;
    say_stay(d);
    for (; !demo_interrupted(); (void)usleep(100000)) good &= watch(d);
    return good;
}

static bool tell(struct demo *d, uint32_t last)
{
    static bool (*const chapter[])(struct demo *) = {demo_found,    demo_publish, demo_approve,
                                                     demo_run,      demo_receipt, demo_refuse,
                                                     demo_failover, demo_race,    demo_revoke};
    static const uint32_t ends_section[] = {2, 3, 4, 5, 6, 7, 8, 9, 10};
    for (size_t i = 0; i < sizeof chapter / sizeof chapter[0] && ends_section[i] <= last; i++)
        if (!chapter[i](d)) return false;
    return true;
}

static int finish(struct demo *d, bool good)
{
    bool lived = !good || !d->options.stay || stay(d);
    if (good) good = demo_nodes_stop(d);
    demo_nodes_kill(d);
    clear_dir(d, good);
    study_close(d->study);
    d->study = NULL;
    return good && lived ? EXIT_OK : EXIT_REFUSED;
}

static bool begin(struct demo *d)
{
    ssize_t len = readlink("/proc/self/exe", d->program, sizeof d->program - 1);
    d->program[len > 0 ? len : 0] = 0;
    (void)demo_interrupted(); /* from here on Ctrl-C ends it in order */
    return make_dir(d);
}

int demo_perform(struct demo *d, uint32_t last)
{
    return finish(d, begin(d) && demo_study_open(d) && tell(d, last));
}

int demo_perform_with(struct demo *d, bool (*last)(struct demo *d, void *context), void *context)
{
    return finish(d, begin(d) && demo_study_open(d) && tell(d, 4) && last(d, context));
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

static void say_end(struct demo *d, long began_ms)
{
    const double seconds = (double)(demo_now_ms() - began_ms) / 1000.0;
    if (d->options.json) {
        demo_begin(d, "kept", "the receipt and the consortium's hash stay, for `perigee verify`");
        demo_good(d, "%s", d->dir);
        return;
    }
    (void)printf("\n%sdone%s in %.1f s: one approved joint study, one receipt; rows left their hospitals "
                 "only sealed.\n",
                 listing_bold(), listing_plain(), seconds);
    (void)printf("Kept in %s: %s.\nVerify the receipt, offline:\n"
                 "  %s verify %s/receipt.json --consortium $(cat %s/consortium)\n",
                 d->dir,
                 d->options.keep != NULL
                     ? "receipt.json, consortium, output.json, charter.json, workflow.json, "
                       "approval-*.txt, and every node"
                     : "receipt.json, consortium, output.json",
                 d->program, d->dir, d->dir);
}

int command_demo(int argc, char **argv)
{
    static struct demo d; /* paths of every node: large for a stack */
    const long began_ms = demo_now_ms();
    memset(&d, 0, sizeof d);
    int code = parse(&d.options, argc, argv);
    if (code != EXIT_OK) return code;
    code = demo_perform(&d, 10);
    if (code == EXIT_OK) say_end(&d, began_ms);
    return code;
}
