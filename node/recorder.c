#include "node/recorder.h"

#include "node/defect.h"
#include "node/file.h"
#include "node/log.h"
#include "node/recording.h"
#include "proto/base/panic.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LAST_ACT_S = 5 };

struct recorder {
    int file;
    bool stopped; /* nothing more is recorded */
    bool ready;   /* the store has been read back */
    uint64_t bytes, bytes_max, frames;
    struct timespec patience; /* until then a slow disk is waited for; zero: it has not been yet */
    struct recording_checkpoint done;
    struct sha256_stream effects;
    struct recording_work work;

    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t filled, emptied;
    struct buffer waiting, writing; /* guarded by `lock`: the first */
    bool ending, ended;             /* guarded by `lock`: the thread shall end; it writes nothing more */
    enum err err;                   /* guarded by `lock`: why it has stopped */
    struct defect_last_act last;
};

/* --- The thread --------------------------------------------------------------------------------------------------------- */

static enum err write_all(int file, struct span bytes)
{
    while (bytes.len > 0) {
        const ssize_t put = write(file, bytes.data, bytes.len);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return file_error();
        bytes = span_make(bytes.data + put, bytes.len - (size_t)put);
    }
    return OK;
}

/* What waits becomes what is written. False: nothing does, and nothing will. */
static bool swap(struct recorder *r)
{
    (void)pthread_mutex_lock(&r->lock);
    while (r->waiting.len == 0 && !r->ending) (void)pthread_cond_wait(&r->filled, &r->lock);
    const bool more = r->waiting.len > 0;
    const struct buffer full = r->waiting;
    r->waiting = r->writing;
    r->writing = full;
    (void)pthread_cond_signal(&r->emptied);
    (void)pthread_mutex_unlock(&r->lock);
    return more;
}

static void *write_on(void *context)
{
    struct recorder *r = context;
    enum err err = OK;
    while (err == OK && swap(r)) {
        err = write_all(r->file, buffer_span(&r->writing));
        r->writing.len = 0;
    }
    (void)pthread_mutex_lock(&r->lock);
    r->err = err;
    r->ended = true;
    (void)pthread_cond_broadcast(&r->emptied);
    (void)pthread_mutex_unlock(&r->lock);
    return NULL;
}

static struct timespec after(clockid_t clock, int seconds)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    t.tv_sec += seconds;
    return t;
}

/* The program stops at an assertion: what it stops at was put a moment ago, and is what the recording is for. The thread writes it,
 * behind what it is writing. Whoever stops may be that thread, hence only so long, or have the lock (EDEADLK): frames are put whole.
 * The lock is never held for long, so a wall clock that is set meanwhile does no harm. */
static void write_last(void *context)
{
    struct recorder *r = context;
    const struct timespec wall = after(CLOCK_REALTIME, LAST_ACT_S),
                          until = after(CLOCK_MONOTONIC, LAST_ACT_S);
    const int got = pthread_mutex_timedlock(&r->lock, &wall);
    int late = 0;
    if (got != 0 && got != EDEADLK) return;
    r->ending = true;
    (void)pthread_cond_signal(&r->filled);
    while (!r->ended && late == 0) late = pthread_cond_timedwait(&r->emptied, &r->lock, &until);
    (void)pthread_mutex_unlock(&r->lock);
}

/* --- Frames ------------------------------------------------------------------------------------------------------------- */

static void stop(struct recorder *r, const char *why)
{
    r->stopped = true;
    log_say(LOG_RECORDING_STOPPED, "recording has ended, the node goes on: %s", why);
}

static bool has_room(const struct recorder *r)
{
    return r->waiting.cap - r->waiting.len >= RECORDING_FRAME_MAX;
}

static void begin_patience(struct recorder *r)
{
    if (r->patience.tv_sec == 0) r->patience = after(CLOCK_MONOTONIC, 1);
}

/* Locked. */
static enum err await_room(struct recorder *r)
{
    int late = 0;
    while (r->err == OK && !has_room(r) && !r->ready && late == 0) {
        begin_patience(r);
        late = pthread_cond_timedwait(&r->emptied, &r->lock, &r->patience);
    }
    return r->err != OK ? r->err : has_room(r) ? OK : ERR_BUSY;
}

/* What has come of the steps so far. */
static void put_checkpoint(struct recorder *r, enum recording_frame_type type, struct core *core)
{
    struct sha256_stream so_far = r->effects;
    r->done.effects = sha256_end(&so_far);
    r->done.root = core_root(core);
    recording_put_checkpoint(&r->waiting, r->frames, type, &r->done);
}

struct frame {
    enum recording_frame_type type;
    const struct event *event;
    bool withheld;
};

/* Locked, with room. False: the file has none, and has its end now. */
static bool put_frame(struct recorder *r, struct core *core, const struct frame *f)
{
    const size_t begin = r->waiting.len;
    if (f->type == RECORDING_EVENT)
        recording_put_event(&r->waiting, r->frames, f->event, f->withheld);
    else
        put_checkpoint(r, f->type, core);
    ASSERT(!r->waiting.overflow);
    const size_t len = r->waiting.len - begin;
    const bool fits = f->type == RECORDING_END || r->bytes + len + RECORDING_END_BYTES <= r->bytes_max;
    r->bytes += len;
    if (!fits) {
        r->waiting.len = begin;
        r->done.end = RECORDING_FULL;
        put_checkpoint(r, RECORDING_END, core);
    }
    r->frames++;
    (void)pthread_cond_signal(&r->filled);
    return fits;
}

static void put(struct recorder *r, struct core *core, const struct frame *f)
{
    (void)pthread_mutex_lock(&r->lock);
    const enum err err = await_room(r);
    const bool fits = err != OK || put_frame(r, core, f);
    (void)pthread_mutex_unlock(&r->lock);
    if (err != OK) stop(r, err == ERR_BUSY ? "its disk is slower than the node" : file_why(err));
    if (!fits) stop(r, "its file is as large as recording.mb lets it be");
}

/* --- Events ------------------------------------------------------------------------------------------------------------- */

/* The local values that a core reads are its own; of others (tokens, seals) it is recorded that there is one, not even its length. */
static bool core_has_it(struct span key)
{
    return span_equal_text(key, "join") || span_equal_text(key, "silent") ||
           span_equal_text(key, "contacts") || (key.len == 36 && memcmp(key.data, "run/", 4) == 0);
}

void recorder_event(struct recorder *r, struct core *core, const struct event *event)
{
    if (r->stopped) return;
    struct event e = *event;
    const bool secret = recording_work_secret(&r->work, event);
    if (e.type == EVENT_RESTORE_LOCAL && !core_has_it(e.key)) e.key = e.bytes = SPAN_NONE;
    r->ready |= e.type == EVENT_READY;
    if (!recording_work_done(&r->work, event) || !recording_takes(&e)) {
        stop(r, "something came that is not as what comes here is; report it");
        return;
    }
    put(r, core, &(struct frame){RECORDING_EVENT, &e, secret});
}

void recorder_step(struct recorder *r, struct core *core)
{
    if (r->stopped) return;
    recording_hash_effects(&r->effects, core);
    recording_work_asked(&r->work, core);
    if (++r->done.events % RECORDING_EVENTS_A_CHECKPOINT != 0) return;
    put(r, core, &(struct frame){.type = RECORDING_CHECKPOINT});
}

/* --- Start and end ------------------------------------------------------------------------------------------------------ */

/* A recording that has no end, with something in it. */
static bool is_cut_short(const char *path)
{
    uint8_t last[RECORDING_END_BYTES];
    struct stat is;
    bool cut = false;
    const int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file < 0) return false;
    if (fstat(file, &is) == 0 && S_ISREG(is.st_mode) && is.st_size > (off_t)sizeof last) {
        const ssize_t got = pread(file, last, sizeof last, is.st_size - (off_t)sizeof last);
        cut = got == (ssize_t)sizeof last && !recording_ended(last);
    }
    (void)close(file);
    return cut;
}

/* Started again and again, a node that stops would soon have nothing but its last starts: what was cut short first is kept, and the last
 * that was. */
static enum err keep_before(const char *path)
{
    char before[RECORDER_PATH_MAX], again[RECORDER_PATH_MAX];
    struct stat is;
    const int len = snprintf(before, sizeof before, "%s.before", path);
    if (len < 0 || (size_t)len >= sizeof before) return ERR_RANGE;
    (void)snprintf(again, sizeof again, "%s.again", path); /* shorter */
    if (lstat(path, &is) != 0) return errno == ENOENT ? OK : file_error();
    if (!S_ISREG(is.st_mode)) return ERR_TYPE;
    if (!is_cut_short(before)) return rename(path, before) == 0 ? OK : file_error();
    const bool better = is_cut_short(path) || !is_cut_short(again);
    log_say(LOG_RECORDING_KEPT, "%s was cut short and stays until you move it away; %s %s", before,
            better ? "what the process before this one left is"
                   : "what the process before this one left had its end and is not kept beside",
            again);
    return (better ? rename(path, again) : unlink(path)) == 0 ? OK : file_error();
}

static enum err open_file(struct recorder *r, const char *path)
{
    TRY(keep_before(path));
    r->file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    return r->file >= 0 ? OK : file_error();
}

static struct buffer buffer_new(size_t cap)
{
    void *memory = malloc(cap);
    if (memory == NULL) panic(__FILE__, __LINE__, "out of memory");
    return buffer_make(memory, cap);
}

/* A lock that tells its holder so: write_last may be called by it. */
static void init_locks(struct recorder *r)
{
    pthread_mutexattr_t tells;
    pthread_condattr_t monotonic;
    (void)pthread_mutexattr_init(&tells);
    (void)pthread_mutexattr_settype(&tells, PTHREAD_MUTEX_ERRORCHECK);
    (void)pthread_mutex_init(&r->lock, &tells);
    (void)pthread_mutexattr_destroy(&tells);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&r->filled, &monotonic);
    (void)pthread_cond_init(&r->emptied, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
}

static enum err begin(struct recorder *r, const struct core_options *options)
{
    recording_put_start(&r->waiting, options);
    ASSERT(!r->waiting.overflow);
    r->bytes = r->waiting.len;
    r->frames = 1;
    sha256_begin(&r->effects);
    init_locks(r);
    if (pthread_create(&r->thread, NULL, write_on, r) != 0) return ERR_NO_MEMORY;
    r->last = (struct defect_last_act){write_last, r};
    defect_before_end(&r->last);
    return OK;
}

static void recorder_free(struct recorder *r)
{
    if (r->file >= 0) (void)close(r->file);
    free(r->waiting.data);
    free(r->writing.data);
    free(r);
}

enum err recorder_open(struct recorder **out, const char *path, uint64_t bytes_max,
                       const struct core_options *options)
{
    struct recorder *r = calloc(1, sizeof *r);
    *out = NULL;
    if (r == NULL) panic(__FILE__, __LINE__, "out of memory");
    r->bytes_max = bytes_max;
    r->waiting = buffer_new(RECORDER_BUFFER_BYTES);
    r->writing = buffer_new(RECORDER_BUFFER_BYTES);
    enum err err = open_file(r, path);
    if (err == OK) err = begin(r, options);
    if (err == OK)
        *out = r;
    else
        recorder_free(r);
    return err;
}

void recorder_close(struct recorder *r, struct core *core)
{
    if (r == NULL) return;
    if (!r->stopped && core != NULL) put(r, core, &(struct frame){.type = RECORDING_END});
    (void)pthread_mutex_lock(&r->lock);
    r->ending = true;
    (void)pthread_cond_signal(&r->filled);
    (void)pthread_mutex_unlock(&r->lock);
    (void)pthread_join(r->thread, NULL);
    defect_before_end(NULL);
    if (!r->stopped && r->err != OK) stop(r, file_why(r->err));
    (void)pthread_mutex_destroy(&r->lock);
    (void)pthread_cond_destroy(&r->filled);
    (void)pthread_cond_destroy(&r->emptied);
    recorder_free(r);
}
