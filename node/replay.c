#include "node/replay.h"

#include "node/fault.h"
#include "proto/base/panic.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* --- Opening ------------------------------------------------------------------------------------------------------------ */

static enum err refuse_frame(const struct replay *r, enum err err, char *fault, size_t cap)
{
    if (err == ERR_HASH)
        return fault_set(fault, cap, err,
                         "frame %" PRIu64 ", at byte %zu, after %" PRIu64
                         " events: its check does not hold: the file was changed or is damaged from there on",
                         r->reader.frame, r->reader.at, r->now.events);
    return fault_set(fault, cap, err, "frame %" PRIu64 ", at byte %zu: expected one of recording/2: %s",
                     r->reader.frame, r->reader.at, err_text(err));
}

static enum err read_start(struct replay *r, char *fault, size_t cap)
{
    struct recording_frame frame;
    enum err err = recording_begin(&r->reader, r->reader.file);
    if (err == ERR_VERSION)
        return fault_set(fault, cap, err,
                         "a recording of another version than recording/2, which is read here");
    if (err != OK) return fault_set(fault, cap, err, "expected a recording, came something else");
    err = recording_next(&r->reader, &frame);
    if (err == OK && frame.type != RECORDING_START) err = ERR_KIND;
    if (err == ERR_NOT_FOUND || err == ERR_TRUNCATED)
        return fault_set(fault, cap, err, "the recording ends before it says whose it is");
    if (err != OK) return refuse_frame(r, err, fault, cap);
    r->start = frame.start;
    return OK;
}

static enum err make_core(struct replay *r, char *fault, size_t cap)
{
    const size_t bytes = core_arena_bytes(&caps_full), light = core_arena_bytes(&caps_light);
    r->start.options.caps = r->start.arena_bytes == light ? &caps_light : &caps_full;
    if (r->start.arena_bytes != core_arena_bytes(r->start.options.caps))
        return fault_set(fault, cap, ERR_VERSION,
                         "recorded by a program with other limits (version %.*s, tables of %" PRIu64
                         " bytes, here %zu, or %zu of a light node): replay it with that program",
                         (int)r->start.version.len, (const char *)r->start.version.data, r->start.arena_bytes,
                         bytes, light);
    r->memory = mmap(NULL, r->start.arena_bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (r->memory == MAP_FAILED) return fault_set(fault, cap, ERR_NO_MEMORY, "%s", err_text(ERR_NO_MEMORY));
    r->arena = arena_make(r->memory, r->start.arena_bytes);
    const enum err err = core_new(&r->core, &r->arena, &r->start.options);
    return err == OK ? OK
                     : fault_set(fault, cap, err, "no core can be made of what it says: %s", err_text(err));
}

static bool is_text(struct span version)
{
    for (size_t i = 0; i < version.len; i++)
        if (version.data[i] < 0x20 || version.data[i] > 0x7e) return false;
    return true;
}

static enum err begin(struct replay *r, char *fault, size_t cap)
{
    TRY(read_start(r, fault, cap));
    if (!is_text(r->start.version)) return refuse_frame(r, ERR_SYNTAX, fault, cap);
    return make_core(r, fault, cap);
}

enum err replay_open(struct replay **out, struct span file, char *fault, size_t cap)
{
    struct replay *r = calloc(1, sizeof *r);
    *out = NULL;
    if (r == NULL) panic(__FILE__, __LINE__, "out of memory");
    r->memory = MAP_FAILED;
    r->reader.file = file;
    sha256_begin(&r->effects);
    const enum err err = begin(r, fault, cap);
    if (err == OK)
        *out = r;
    else
        replay_close(r);
    return err;
}

void replay_close(struct replay *r)
{
    if (r == NULL) return;
    if (r->memory != MAP_FAILED) (void)munmap(r->memory, r->arena.cap);
    free(r);
}

/* --- Stepping ----------------------------------------------------------------------------------------------------------- */

static bool restores(enum event_type type)
{
    return type == EVENT_RESTORE_LOCAL || type == EVENT_RESTORE_RECORD || type == EVENT_RESTORE_PROMISE ||
           type == EVENT_RESTORE_LOST;
}

/* Why a node could not have recorded this one here; NULL: it could. */
static const char *cannot_come(struct replay *r, const struct event *e)
{
    const bool first = r->now.events == 0;
    if (!first && e->now.ns < r->last.ns) return "its clock goes back";
    if (restores(e->type) && r->ready) return "the store has been read back already";
    if (e->type == EVENT_READY && r->ready) return "the store has been read back already";
    if (!restores(e->type) && e->type != EVENT_READY && !r->ready && e->type != EVENT_STORED &&
        e->type != EVENT_CRYPTO)
        return "the store has not been read back yet";
    return recording_work_done(&r->work, e) ? NULL
                                            : "it ends work that is not in flight, or otherwise than it can";
}

static enum err step(struct replay *r, const struct event *e, char *fault, size_t cap)
{
    const char *why = cannot_come(r, e);
    if (why != NULL)
        return fault_set(fault, cap, ERR_REFUSED, "event %" PRIu64 " (%s) cannot come there: %s",
                         r->now.events + 1, recording_event_name(e->type), why);
    if (r->now.events == 0) {
        r->first = e->now;
        r->first_wall_ms = e->wall_ms;
    }
    r->last = e->now;
    r->last_wall_ms = e->wall_ms;
    r->ready |= e->type == EVENT_READY;
    core_step(r->core, e);
    core_check(r->core);
    recording_hash_effects(&r->effects, r->core);
    recording_work_asked(&r->work, r->core);
    r->by_type[e->type]++;
    r->now.events++;
    return OK;
}

static void note(struct replay *r)
{
    struct sha256_stream so_far = r->effects;
    r->now.effects = sha256_end(&so_far);
    r->now.root = core_root(r->core);
}

static void compare(struct replay *r, const struct recording_checkpoint *recorded)
{
    note(r);
    r->recorded = *recorded;
    r->differs = recorded->events != r->now.events || !ID_EQUAL(recorded->effects, r->now.effects) ||
                 !ID_EQUAL(recorded->root, r->now.root);
    r->checkpoints += !r->differs;
}

static enum err take(struct replay *r, const struct recording_frame *f, char *fault, size_t cap)
{
    if (r->ended) return refuse_frame(r, ERR_KIND, fault, cap);
    switch (f->type) {
    case RECORDING_EVENT: return step(r, &f->event, fault, cap);
    case RECORDING_END:
        r->ended = true;
        compare(r, &f->checkpoint);
        return OK;
    case RECORDING_CHECKPOINT: compare(r, &f->checkpoint); return OK;
    case RECORDING_START: break;
    }
    return refuse_frame(r, ERR_KIND, fault, cap);
}

enum err replay_step(struct replay *r, bool *more, char *fault, size_t cap)
{
    struct recording_frame frame;
    const enum err err = recording_next(&r->reader, &frame);
    *more = false;
    if (err == ERR_NOT_FOUND || err == ERR_TRUNCATED) {
        r->unread = r->reader.file.len - r->reader.at;
        note(r);
        return OK;
    }
    if (err != OK) return refuse_frame(r, err, fault, cap);
    TRY(take(r, &frame, fault, cap));
    *more = !r->differs;
    return OK;
}
