#include "node/enclave_host.h"

#include "crypto/hash.h"
#include "node/duckdb.h"
#include "node/fault.h"
#include "node/sandbox.h"
#include "proto/base/panic.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    WORKERS_MAX_DEFAULT = 8,
    STOP_GRACE_MS_DEFAULT = 2000,
    CHECK_WAIT_MS = 20000, /* loading DuckDB on a slow disk included */
    GONE_WAIT_MS = 10000,  /* between the end of the process and the last of its descriptors */
    LINE_BYTES = 200,
    LINES_MAX = 32, /* of one worker: its text must not fill the node's log */
    HANDLES = 4,
};

struct host_worker {
    struct enclave_host *host;
    struct host_worker *next;
    struct run_id run;
    uv_process_t process;
    uv_pipe_t socket, errors;
    uv_timer_t timer;
    uint32_t handles; /* initialised and not yet closed */
    bool started, exited, ended, stopping, broken, closing;
    int64_t exit_status;
    int exit_signal;
    size_t queued;
    uint8_t head[4]; /* of the frame being received */
    uint32_t head_len;
    uint8_t *frame;
    uint32_t frame_len, frame_have;
    char line[LINE_BYTES + 1];
    uint32_t line_len, lines;
};

struct enclave_host {
    struct enclave_host_options options;
    char executable[PATH_MAX], duckdb[PATH_MAX];
    struct host_worker *workers;
    uint32_t count;
    bool closing;
    void (*closed)(void *context);
    void *closed_context;
    int64_t exit_status; /* of the last worker that went: what the check at open wants to know */
    int exit_signal;
    char last_line[SANDBOX_WHY_BYTES]; /* why there is no enclave, should the check at open fail */
    uint8_t block[65536];              /* what is read from any worker, during the callback only */
};

struct host_write {
    uv_write_t request;
    struct host_worker *worker;
    size_t len;
    uint8_t bytes[];
};

struct hash32 enclave_platform_id(const char *text)
{
    return HASH_FRAMED("perigee/platform/v1", span_text(text));
}

static void host_log(struct enclave_host *h, const char *line)
{
    if (h->options.log != NULL) h->options.log(h->options.context, line);
}

/* --- The end of a worker ------------------------------------------------------------------------------------------------ */

static void on_all_gone(struct enclave_host *h)
{
    void (*closed)(void *) = h->closed;
    void *context = h->closed_context;
    free(h);
    if (closed != NULL) closed(context);
}

static void worker_free(struct host_worker *w)
{
    struct host_worker **at = &w->host->workers;
    while (*at != w) at = &(*at)->next;
    *at = w->next;
    w->host->count--;
    free(w->frame);
    free(w);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct host_worker *w = handle->data;
    ASSERT(w->handles > 0);
    if (--w->handles > 0) return;
    struct enclave_host *h = w->host;
    struct run_id run = w->run;
    bool tell = w->started && !h->closing;
    worker_free(w);
    if (tell)
        h->options.frame(h->options.context, run, SPAN_NONE);
    else if (h->closing && h->workers == NULL)
        on_all_gone(h);
}

static void close_handle(uv_handle_t *handle)
{
    if (!uv_is_closing(handle)) uv_close(handle, on_handle_closed);
}

/* Where the node is the machine's first process, as in a container, what bubblewrap leaves when killed is its to reap. */
static void reap_group(const struct host_worker *w)
{
    if (!w->started) return;
    while (waitpid(-(pid_t)w->process.pid, NULL, WNOHANG) > 0) continue;
}

static void worker_close(struct host_worker *w)
{
    if (w->closing) return;
    w->closing = true;
    if (w->exited) reap_group(w);
    close_handle((uv_handle_t *)&w->socket);
    close_handle((uv_handle_t *)&w->errors);
    close_handle((uv_handle_t *)&w->timer);
    close_handle((uv_handle_t *)&w->process);
}

static void worker_say_end(struct host_worker *w)
{
    char line[128];
    if (w->exit_signal == 0 && w->exit_status == 0) return;
    (void)snprintf(line, sizeof line, "enclave of run %02x%02x%02x%02x: ended by %s %lld", w->run.bytes[0],
                   w->run.bytes[1], w->run.bytes[2], w->run.bytes[3], w->exit_signal != 0 ? "signal" : "code",
                   (long long)(w->exit_signal != 0 ? w->exit_signal : w->exit_status));
    if (!w->stopping) host_log(w->host, line);
}

/* The whole group: bubblewrap's inner processes do not follow the outer one while they are being set up. */
static void kill_group(const struct host_worker *w)
{
    (void)kill(-(pid_t)w->process.pid, SIGKILL);
}

static void kill_worker(const struct host_worker *w)
{
    if (w->started && !w->exited) kill_group(w);
}

static void on_gone_late(uv_timer_t *timer)
{
    struct host_worker *w = timer->data;
    host_log(w->host, "enclave: a worker's process ended, but something still holds its socket");
    worker_close(w);
}

static void on_grace_over(uv_timer_t *timer)
{
    kill_worker(timer->data);
}

/* Gone means both: the process was reaped, and the socket's other end has no holder left in any process. A worker that
 * has closed its socket can say nothing any more; it is given the time to exit on its own. */
static void worker_check_gone(struct host_worker *w)
{
    if (w->exited && w->ended)
        worker_close(w);
    else if (w->exited)
        (void)uv_timer_start(&w->timer, on_gone_late, GONE_WAIT_MS, 0);
    else if (w->ended)
        (void)uv_timer_start(&w->timer, on_grace_over, w->host->options.stop_grace_ms, 0);
}

static void on_process_exit(uv_process_t *process, int64_t status, int number)
{
    struct host_worker *w = process->data;
    w->exited = true;
    w->exit_status = status;
    w->exit_signal = number;
    w->host->exit_status = status;
    w->host->exit_signal = number;
    if (!w->ended)
        kill_group(
            w); /* somebody in it still holds the socket; the group's number is not free before all left */
    worker_say_end(w);
    worker_check_gone(w);
}

static void worker_break(struct host_worker *w, const char *why)
{
    host_log(w->host, why);
    w->broken = w->stopping = true; /* what it still says is read and dropped, to see its socket end */
    kill_worker(w);
}

/* --- Frames from a worker --------------------------------------------------------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct host_worker *w = handle->data;
    (void)suggested;
    *out = uv_buf_init((char *)w->host->block, sizeof w->host->block);
}

static bool take_head(struct host_worker *w, struct cursor *c)
{
    while (w->head_len < sizeof w->head && cursor_left(c) > 0) {
        if (cursor_u8(c, &w->head[w->head_len]) != OK) return false;
        w->head_len++;
    }
    if (w->head_len < sizeof w->head) return true;
    w->frame_len = load_u32(w->head);
    w->frame_have = 0;
    return w->frame_len > 0 && w->frame_len <= ENCLAVE_FRAME_OUT_MAX;
}

static void give_frame(struct host_worker *w)
{
    struct enclave_host *h = w->host;
    w->head_len = 0;
    if (!h->closing && !w->stopping)
        h->options.frame(h->options.context, w->run, span_make(w->frame, w->frame_len));
}

/* False when the bytes are no frames. The worker may be stopped by the very callback that its frame goes to. */
static bool take_frames(struct host_worker *w, struct span bytes)
{
    struct cursor c = cursor_make(bytes);
    while (cursor_left(&c) > 0) {
        if (w->head_len < sizeof w->head && !take_head(w, &c)) return false;
        if (w->head_len < sizeof w->head) return true;
        size_t some = w->frame_len - w->frame_have;
        if (some > cursor_left(&c)) some = cursor_left(&c);
        if (cursor_copy(&c, w->frame + w->frame_have, some) != OK) return false;
        w->frame_have += (uint32_t)some;
        if (w->frame_have == w->frame_len) give_frame(w);
    }
    return true;
}

static void on_socket(uv_stream_t *stream, ssize_t len, const uv_buf_t *buffer)
{
    struct host_worker *w = stream->data;
    if (len == 0) return;
    if (len < 0) {
        (void)uv_read_stop(stream);
        w->ended = true;
        worker_check_gone(w);
        return;
    }
    if (!w->broken && !take_frames(w, span_make(buffer->base, (size_t)len)))
        worker_break(w, "enclave: a worker broke the framing of its socket and was killed");
}

/* --- A worker's few words ----------------------------------------------------------------------------------------------------- */

static void give_line(struct host_worker *w)
{
    struct enclave_host *h = w->host;
    char line[LINE_BYTES + 32];
    w->line[w->line_len] = 0;
    if (w->line_len > 0 && w->lines++ < LINES_MAX) {
        (void)snprintf(h->last_line, sizeof h->last_line, "%s", w->line);
        (void)snprintf(line, sizeof line, "enclave of run %02x%02x%02x%02x: %s", w->run.bytes[0],
                       w->run.bytes[1], w->run.bytes[2], w->run.bytes[3], w->line);
        host_log(h, line);
    }
    w->line_len = 0;
}

static void on_errors(uv_stream_t *stream, ssize_t len, const uv_buf_t *buffer)
{
    struct host_worker *w = stream->data;
    for (ssize_t i = 0; i < len; i++) {
        char c = buffer->base[i];
        if (c == '\n')
            give_line(w);
        else if (w->line_len < LINE_BYTES)
            w->line[w->line_len++] = c >= ' ' && c <= '~' ? c : '?';
    }
    if (len >= 0) return;
    give_line(w);
    (void)uv_read_stop(stream);
}

/* --- Starting ------------------------------------------------------------------------------------------------------------------- */

static enum err worker_init(struct host_worker *w)
{
    uv_loop_t *loop = w->host->options.loop;
    w->frame = malloc(ENCLAVE_FRAME_OUT_MAX);
    if (w->frame == NULL) return ERR_NO_MEMORY;
    if (uv_pipe_init(loop, &w->socket, 0) != 0) return ERR_NO_MEMORY;
    w->handles++;
    if (uv_pipe_init(loop, &w->errors, 0) != 0) return ERR_NO_MEMORY;
    w->handles++;
    if (uv_timer_init(loop, &w->timer) != 0) return ERR_NO_MEMORY;
    w->handles++;
    return OK;
}

/* A file without a name: it is gone with its last descriptor, however the worker and the node end. -1: none. */
static int spool_open(const char *folder)
{
    if (folder == NULL) return -1;
    int file = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (file >= 0 || errno != EOPNOTSUPP) return file;
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/spool.XXXXXX", folder) >= (int)sizeof path) return -1;
    file = mkostemp(path, O_CLOEXEC);
    if (file >= 0) (void)unlink(path);
    return file;
}

static enum err worker_spawn(struct host_worker *w, const struct sandbox_command *command)
{
    const int spool = spool_open(w->host->options.spool);
    char *environment[] = {NULL};
    const uv_stdio_flags both = UV_CREATE_PIPE | UV_READABLE_PIPE | UV_WRITABLE_PIPE;
    uv_stdio_container_t stdio[] = {
        {.flags = UV_IGNORE},
        {.flags = UV_IGNORE},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&w->errors},
        {.flags = both, .data.stream = (uv_stream_t *)&w->socket},
        {.flags = spool >= 0 ? UV_INHERIT_FD : UV_IGNORE, .data.fd = spool},
    };
    /* Detached is a session of its own, not a life of its own: see kill_group and --die-with-parent. */
    uv_process_options_t options = {.exit_cb = on_process_exit,
                                    .file = command->argv[0],
                                    .args = (char **)command->argv,
                                    .env = environment,
                                    .cwd = "/",
                                    .flags = UV_PROCESS_DETACHED,
                                    .stdio = stdio,
                                    .stdio_count = SANDBOX_SPOOL + 1};
    int result = uv_spawn(w->host->options.loop, &w->process, &options);
    if (spool >= 0) (void)close(spool);
    w->handles++; /* uv_spawn makes the handle even when it fails */
    if (result != 0) return ERR_UNAVAILABLE;
    w->started = true;
    if (uv_read_start((uv_stream_t *)&w->errors, on_alloc, on_errors) != 0) return ERR_NO_MEMORY;
    return uv_read_start((uv_stream_t *)&w->socket, on_alloc, on_socket) == 0 ? OK : ERR_NO_MEMORY;
}

static struct host_worker *worker_new(struct enclave_host *h, struct run_id run)
{
    struct host_worker *w = calloc(1, sizeof *w);
    if (w == NULL) return NULL;
    w->host = h;
    w->run = run;
    w->next = h->workers;
    h->workers = w;
    h->count++;
    w->process.data = w->socket.data = w->errors.data = w->timer.data = w;
    return w;
}

/* Before uv_spawn, `process` is no handle yet. */
static void worker_abandon(struct host_worker *w)
{
    kill_worker(w);
    w->started = false;
    if (w->handles == 0) {
        worker_free(w);
        return;
    }
    if (w->handles == HANDLES) {
        worker_close(w);
        return;
    }
    w->closing = true;
    uv_handle_t *handles[] = {(uv_handle_t *)&w->socket, (uv_handle_t *)&w->errors, (uv_handle_t *)&w->timer};
    for (uint32_t i = 0, count = w->handles; i < count; i++) close_handle(handles[i]);
}

static enum err make_command(struct sandbox_command *out, const struct enclave_host *h, bool check, char *why)
{
    char platform[65], threads[16], memory[16];
    const char *argument[] = {"enclave-worker", "--platform",  platform, "--threads",
                              threads,          "--memory-mb", memory,   "--check"};
    hex_encode(platform, h->options.platform.bytes, 32);
    (void)snprintf(threads, sizeof threads, "%u", h->options.threads);
    (void)snprintf(memory, sizeof memory, "%u", h->options.memory_mb);
    struct sandbox_spec spec = {h->executable, h->duckdb, argument, check ? 8 : 7};
    return sandbox_command_make(out, &spec, why, SANDBOX_WHY_BYTES);
}

static enum err start_worker(struct enclave_host *h, struct run_id run, bool check)
{
    char why[SANDBOX_WHY_BYTES] = "";
    struct sandbox_command *command = malloc(sizeof *command);
    struct host_worker *w = command != NULL ? worker_new(h, run) : NULL;
    enum err err = w != NULL ? make_command(command, h, check, why) : ERR_NO_MEMORY;
    if (err == OK) err = worker_init(w);
    if (err == OK) err = worker_spawn(w, command);
    free(command);
    if (err == OK) return OK;
    if (w != NULL) worker_abandon(w);
    if (why[0] == 0) (void)snprintf(why, sizeof why, "the worker's process could not be started");
    (void)snprintf(h->last_line, sizeof h->last_line, "%s", why);
    host_log(h, why);
    return err;
}

static struct host_worker *worker_find(const struct enclave_host *h, struct run_id run)
{
    for (struct host_worker *w = h->workers; w != NULL; w = w->next)
        if (ID_EQUAL(w->run, run)) return w;
    return NULL;
}

enum err enclave_host_start(struct enclave_host *h, struct run_id run, struct span start_frame)
{
    ASSERT(!h->closing);
    if (worker_find(h, run) != NULL) return ERR_BUSY;
    if (h->count >= h->options.workers_max) return ERR_FULL;
    TRY(start_worker(h, run, false));
    enclave_host_send(h, run, start_frame);
    return OK;
}

/* --- Sending and stopping ------------------------------------------------------------------------------------------------------- */

static void on_written(uv_write_t *request, int status)
{
    struct host_write *write = (struct host_write *)(void *)request;
    (void)status; /* a worker that is gone says so on its own */
    write->worker->queued -= write->len;
    free(write);
}

void enclave_host_send(struct enclave_host *h, struct run_id run, struct span frame)
{
    struct host_worker *w = worker_find(h, run);
    if (w == NULL || w->closing || w->stopping || w->ended) return;
    struct host_write *write = NULL;
    bool fits = frame.len > 0 && frame.len <= ENCLAVE_FRAME_IN_MAX &&
                w->queued + frame.len <= ENCLAVE_QUEUE_BYTES_MAX;
    if (fits) write = malloc(sizeof *write + 4 + frame.len);
    if (write == NULL) {
        worker_break(w, "enclave: a worker does not read what it is sent and was killed");
        return;
    }
    write->worker = w;
    write->len = frame.len;
    store_u32(write->bytes, (uint32_t)frame.len);
    memcpy(write->bytes + 4, frame.data, frame.len);
    uv_buf_t part = uv_buf_init((char *)write->bytes, (unsigned)(4 + frame.len));
    if (uv_write(&write->request, (uv_stream_t *)&w->socket, &part, 1, on_written) == 0)
        w->queued += frame.len;
    else
        free(write);
}

void enclave_host_stop(struct enclave_host *h, struct run_id run)
{
    struct host_worker *w = worker_find(h, run);
    uv_os_fd_t descriptor;
    if (w == NULL || w->closing || w->stopping) return;
    w->stopping = true;
    if (w->exited) return;
    if (uv_fileno((uv_handle_t *)&w->socket, &descriptor) == 0) (void)shutdown(descriptor, SHUT_WR);
    (void)uv_timer_start(&w->timer, on_grace_over, h->options.stop_grace_ms, 0);
}

void enclave_host_close(struct enclave_host *h, void (*closed)(void *context), void *context)
{
    ASSERT(!h->closing);
    h->closing = true;
    h->closed = closed;
    h->closed_context = context;
    if (h->workers == NULL) {
        on_all_gone(h);
        return;
    }
    for (struct host_worker *w = h->workers; w != NULL; w = w->next) {
        w->stopping = true;
        kill_worker(w);
    }
}

/* --- Opening ---------------------------------------------------------------------------------------------------------------------- */

static enum err find_executable(struct enclave_host *h)
{
    if (h->options.executable != NULL)
        return realpath(h->options.executable, h->executable) != NULL ? OK : ERR_UNAVAILABLE;
    ssize_t len = readlink("/proc/self/exe", h->executable, sizeof h->executable - 1);
    if (len <= 0) return ERR_UNAVAILABLE;
    h->executable[len] = 0;
    return OK;
}

static enum err say_no_duckdb(struct enclave_host *h)
{
    (void)snprintf(h->last_line, sizeof h->last_line,
                   "expected libduckdb.so at %.120s, where perigee.yaml says; it is not there",
                   h->options.duckdb);
    return ERR_UNAVAILABLE;
}

/* The loader knows which file it loaded; dladdr tells it for any function of it. */
static enum err find_duckdb(struct enclave_host *h)
{
    const struct duckdb *api;
    char why[SANDBOX_WHY_BYTES];
    Dl_info info;
    const void *function;
    if (h->options.duckdb != NULL && h->options.duckdb[0] != 0)
        return realpath(h->options.duckdb, h->duckdb) != NULL ? OK : say_no_duckdb(h);
    if (duckdb_load(&api, why, sizeof why) != OK) {
        (void)snprintf(h->last_line, sizeof h->last_line, "%s", why);
        return ERR_UNAVAILABLE;
    }
    memcpy(&function, &api->library_version, sizeof function);
    if (dladdr(function, &info) == 0 || info.dli_fname == NULL) return ERR_UNAVAILABLE;
    return realpath(info.dli_fname, h->duckdb) != NULL ? OK : ERR_UNAVAILABLE;
}

static void no_frame(void *context, struct run_id run, struct span frame)
{
    (void)context;
    (void)run;
    (void)frame;
}

static void on_check_late(uv_timer_t *timer)
{
    struct enclave_host *h = timer->data;
    if (h->workers != NULL) kill_worker(h->workers);
}

/* One worker on a loop of its own that enters the sandbox, looks about and exits. */
static enum err check_on(struct enclave_host *h, uv_loop_t *loop)
{
    struct enclave_host_options options = h->options;
    uv_timer_t late;
    if (uv_timer_init(loop, &late) != 0) return ERR_NO_MEMORY;
    late.data = h;
    h->options.loop = loop;
    h->options.frame = no_frame;
    h->options.log = NULL;
    h->exit_status = -1;
    enum err err = start_worker(h, (struct run_id){{0}}, true);
    if (err == OK) (void)uv_timer_start(&late, on_check_late, CHECK_WAIT_MS, 0);
    uv_unref((uv_handle_t *)&late); /* the worker keeps the loop running, its limit does not */
    (void)uv_run(loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&late, NULL);
    (void)uv_run(loop, UV_RUN_DEFAULT);
    h->options = options;
    if (err == OK && (h->exit_status != 0 || h->exit_signal != 0)) err = ERR_UNAVAILABLE;
    return err;
}

static enum err check_walls(struct enclave_host *h)
{
    uv_loop_t loop;
    if (uv_loop_init(&loop) != 0) return ERR_NO_MEMORY;
    enum err err = check_on(h, &loop);
    ASSERT(uv_loop_close(&loop) == 0);
    return err;
}

static enum err open_with(struct enclave_host *h)
{
    TRY(find_executable(h));
    TRY(find_duckdb(h));
    /* A worker that dies while it is written to must not take the node along. */
    (void)signal(SIGPIPE, SIG_IGN);
    return check_walls(h);
}

uint32_t enclave_host_count(const struct enclave_host *h)
{
    return h->count;
}

enum err enclave_host_open(struct enclave_host **out, const struct enclave_host_options *options, char *why,
                           size_t cap)
{
    *out = NULL;
    struct enclave_host *h = calloc(1, sizeof *h);
    if (h == NULL) return fault_set(why, cap, ERR_NO_MEMORY, "%s", err_text(ERR_NO_MEMORY));
    h->options = *options;
    if (h->options.workers_max == 0) h->options.workers_max = WORKERS_MAX_DEFAULT;
    if (h->options.stop_grace_ms == 0) h->options.stop_grace_ms = STOP_GRACE_MS_DEFAULT;
    if (h->options.memory_mb == 0 || h->options.threads == 0) {
        free(h);
        return fault_set(why, cap, ERR_RANGE, "expected memory and threads for a worker");
    }
    enum err err = open_with(h);
    if (err == OK) {
        *out = h;
        return OK;
    }
    err = fault_set(why, cap, err, "%s",
                    h->last_line[0] != 0 ? h->last_line : "the sandbox could not be started");
    free(h);
    return err;
}
