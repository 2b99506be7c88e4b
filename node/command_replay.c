#include "node/command_replay.h"

#include "node/cells.h"
#include "node/file.h"
#include "node/progress.h"
#include "node/replay.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* What both processes see: how far it has come, for the one that tells if the other stops. */
struct reached {
    uint64_t events;
    int64_t virtual_ms;
};
struct replaying {
    const struct client *client;
    const char *path;
    struct span file;
    struct reached *reached;
};

/* --- What came of it ---------------------------------------------------------------------------------------------------- */

static json_t *hex_json(const void *bytes)
{
    char hex[65];
    hex_encode(hex, bytes, 32);
    return json_string(hex);
}

static json_t *events_json(const struct replay *r)
{
    json_t *events = json_object();
    for (uint32_t i = 0; i < RECORDING_EVENT_TYPES; i++)
        if (r->by_type[i] > 0)
            (void)json_object_set_new(events, recording_event_name((enum event_type)i),
                                      json_integer((json_int_t)r->by_type[i]));
    return events;
}

static json_t *runs_json(const struct replay *r)
{
    json_t *runs = json_array();
    const struct run_entry *run;
    for (uint32_t i = 0; (run = registry_run_at(core_registry(r->core), i)) != NULL; i++) {
        struct run_view view;
        struct run_id id;
        memcpy(id.bytes, run->record->id.bytes, sizeof id.bytes);
        if (!core_run(r->core, id, &view)) continue;
        json_t *one = json_pack("{s:o, s:s, s:I}", "run", hex_json(id.bytes), "state",
                                run_state_name(view.state), "term", (json_int_t)view.term);
        (void)json_array_append_new(runs, one);
    }
    return runs;
}

static const char *how_it_ends(const struct replay *r)
{
    if (r->differs) return "differs";
    if (!r->ended) return "cut short";
    return r->recorded.end == RECORDING_FULL ? "full" : "in order";
}

static json_t *report_json(const struct replay *r)
{
    const struct core_options *o = &r->start.options;
    return json_pack("{s:o, s:o, s:s%, s:b, s:I, s:I, s:I, s:I, s:o, s:o, s:I, s:s, s:I, s:o, s:o}", "node",
                     hex_json(o->self.bytes), "consortium", hex_json(o->consortium.bytes), "version",
                     (const char *)r->start.version.data, r->start.version.len, "compute", o->compute,
                     "from_ms", (json_int_t)r->first_wall_ms, "to_ms", (json_int_t)r->last_wall_ms,
                     "virtual_ms", (json_int_t)((r->last.ns - r->first.ns) / 1000000), "events",
                     (json_int_t)r->now.events, "events_by_type", events_json(r), "runs", runs_json(r),
                     "checkpoints", (json_int_t)r->checkpoints, "end", how_it_ends(r), "unread_bytes",
                     (json_int_t)r->unread, "root", hex_json(r->now.root.bytes), "effects",
                     hex_json(r->now.effects.bytes));
}

static void print_when(const char *name, uint64_t wall_ms)
{
    char text[64];
    struct tm utc;
    const time_t seconds = (time_t)(wall_ms / 1000);
    if (gmtime_r(&seconds, &utc) == NULL || strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &utc) == 0)
        (void)snprintf(text, sizeof text, "%" PRIu64 " s", wall_ms / 1000);
    (void)printf("  %s %s.%03u UTC by its clock\n", name, text, (unsigned)(wall_ms % 1000));
}

static void print_report(const json_t *report, const struct replay *r)
{
    const char *name;
    const json_t *value;
    size_t i;
    (void)printf("node %s, version %.*s\n", client_text(report, "node"), (int)r->start.version.len,
                 (const char *)r->start.version.data);
    print_when("from", r->first_wall_ms);
    print_when("to  ", r->last_wall_ms);
    (void)printf("  %" PRIu64 " events\n", r->now.events);
    json_object_foreach(json_object_get(report, "events_by_type"), name, value)(void)
        printf("    %-16s %10" JSON_INTEGER_FORMAT "\n", name, json_integer_value(value));
    json_array_foreach(json_object_get(report, "runs"), i, value)(void)
        printf("  run %.16s %s, term %" JSON_INTEGER_FORMAT "\n", client_text(value, "run"),
               client_text(value, "state"), client_number(value, "term"));
    if (!r->ended && !r->differs)
        (void)printf(
            "  it ends without its last frame: the node was killed, or records on; %zu bytes of a frame "
            "were left unread\n",
            r->unread);
    if (r->ended && r->recorded.end == RECORDING_FULL)
        (void)puts("  it ends because the file was as large as it could be");
    (void)printf("root %s\n", client_text(report, "root"));
    if (!r->differs) (void)printf("the same at %" PRIu64 " checkpoints\n", r->checkpoints);
}

static const char *what_differs(const struct replay *r)
{
    if (r->recorded.events != r->now.events) return "the number of events";
    if (ID_EQUAL(r->recorded.root, r->now.root)) return "what the core asked for since the checkpoint before";
    return ID_EQUAL(r->recorded.effects, r->now.effects) ? "the records held"
                                                         : "what the core asked for, and the records held";
}

/* The first thing to think of, where it is so. */
static const char *of_another_version(char *out, size_t cap, const struct replay *r)
{
    out[0] = 0;
    if (!span_equal_text(r->start.version, PERIGEE_VERSION))
        (void)snprintf(out, cap, "; it was recorded by version %.*s, and this is " PERIGEE_VERSION,
                       (int)r->start.version.len, (const char *)r->start.version.data);
    return out;
}

static int tell(const struct replaying *j, const struct replay *r)
{
    char version[128];
    json_t *report = report_json(r);
    if (report == NULL) return client_fail(j->client, EXIT_REFUSED, "out of memory");
    if (j->client->json)
        client_print(report);
    else
        print_report(report, r);
    json_decref(report);
    if (!r->differs) return EXIT_OK;
    return client_fail(j->client, EXIT_REFUSED,
                       "%s: differs at the checkpoint after event %" PRIu64 ", %" PRId64
                       " ms after the first, in %s; %" PRIu64 " checkpoints before it were the same%s",
                       j->path, r->now.events, (r->last.ns - r->first.ns) / 1000000, what_differs(r),
                       r->checkpoints, of_another_version(version, sizeof version, r));
}

/* --- In a process of its own -------------------------------------------------------------------------------------------- */

static void show_progress(struct progress *p, const struct replay *r)
{
    const struct progress_at at = {(uint32_t)(r->reader.at / (r->reader.file.len / 1000000 + 1)),
                                   (uint64_t)(r->last.ns - r->first.ns) / 1000000, r->now.events};
    if (progress_due(p)) progress_show(p, &at);
}

static int replay(const struct replaying *j)
{
    char fault[512] = "";
    struct replay *r;
    bool more = true;
    enum err err = replay_open(&r, j->file, fault, sizeof fault);
    struct progress progress = progress_begin(j->client->json);
    while (err == OK && more) {
        err = replay_step(r, &more, fault, sizeof fault);
        j->reached->events = r->now.events;
        j->reached->virtual_ms = (r->last.ns - r->first.ns) / 1000000;
        show_progress(&progress, r);
    }
    progress_end(&progress);
    const int code = err == OK ? tell(j, r) : client_fail(j->client, EXIT_REFUSED, "%s: %s", j->path, fault);
    replay_close(r);
    return code;
}

static size_t run(const void *context, uint64_t cell, uint8_t answer[CELLS_ANSWER_MAX])
{
    const struct replaying *j = context;
    (void)cell;
    answer[0] = (uint8_t)replay(j);
    if (fflush(stdout) != 0) /* the parent, which looks for that at its end, has nothing to write */
        answer[0] = (uint8_t)client_fail(j->client, EXIT_REFUSED,
                                         "standard output could not be written: what was to be said is lost");
    return 1;
}

static int replay_apart(const struct replaying *j)
{
    struct cells cells = {.jobs = 1};
    struct cells_end end;
    const struct cells_work work = {run, j};
    if (!cells_start(&cells, &work, 0))
        return client_fail(j->client, EXIT_REFUSED, "no process could be started for it");
    while (!cells_wait(&cells, &end, -1)) { /* a signal came */
    }
    if (end.len == 1) return end.answer[0];
    char how[64];
    cells_say_stopped(how, sizeof how, &end);
    if (!cells_panicked(&end))
        return client_fail(j->client, EXIT_REFUSED,
                           "%s: %s, after event %" PRIu64
                           ": it was ended, and nothing is known of the recording: replay it again",
                           j->path, how, j->reached->events);
    return client_fail(j->client, EXIT_REFUSED,
                       "%s: the core stopped after event %" PRIu64 ", %" PRId64
                       " ms after the first (%s): so did the node, or no node recorded this",
                       j->path, j->reached->events, j->reached->virtual_ms, how);
}

/* --- The file ----------------------------------------------------------------------------------------------------------- */

/* As long as it is now: a node may be writing on. */
static enum err map_file(struct span *out, const char *path)
{
    int fd;
    struct stat is;
    TRY(file_open_regular(&fd, path));
    enum err err = fstat(fd, &is) == 0 ? OK : file_error();
    *out = SPAN_NONE;
    if (err == OK && is.st_size > 0) {
        void *bytes = mmap(NULL, (size_t)is.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes == MAP_FAILED)
            err = file_error();
        else
            *out = span_make(bytes, (size_t)is.st_size);
    }
    (void)close(fd);
    return err;
}

int command_replay(const struct client *c, const char *path)
{
    struct replaying j = {.client = c, .path = path};
    const enum err err = map_file(&j.file, path);
    if (err != OK) return client_fail(c, EXIT_REFUSED, "%s: %s", path, file_why(err));
    void *shared = mmap(NULL, sizeof *j.reached, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return client_fail(c, EXIT_REFUSED, "out of memory");
    j.reached = shared;
    const int code = replay_apart(&j);
    (void)munmap(shared, sizeof *j.reached);
    if (j.file.len > 0) (void)munmap((void *)(uintptr_t)j.file.data, j.file.len);
    return code;
}
