/* The process behind one run: `perigee enclave-worker`. It enters the sandbox, then turns frames from its host into events
 * of the enclave machine and executes what that asks for, in order, until the machine is over or the host is gone.
 *
 * Words for people go to stderr and are fixed texts; once plaintext is in memory there are none at all, from nobody: stderr
 * is then the same place as stdout, which leads nowhere. The exit code says only whether the worker could start. */
#include "crypto/secret.h"
#include "node/arguments.h"
#include "node/command.h"
#include "node/duckdb.h"
#include "node/enclave_host.h"
#include "node/measure.h"
#include "node/sandbox.h"
#include "node/spool.h"
#include "node/worker_labour.h"
#include "proto/base/panic.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    REPLIES_MAX = 256,
    ENCLAVE_MEMORY_MB = 128,
    CHECK_MEMORY_MB = 64,
    INPUT_BYTES = ENCLAVE_FRAME_IN_MAX + 4
};

struct pending_reply {
    uint64_t token;
    struct worker_reply reply;
};

struct process {
    struct worker_options options;
    bool check; /* only enter the sandbox, look about, and say so by the exit code */
    struct arena arena;
    struct enclave *enclave;
    struct worker *worker;
    bool over, silent;
    struct pending_reply queue[REPLIES_MAX]; /* a ring */
    uint32_t queue_first, queue_count;
    struct labour *labour;
    uint8_t *input; /* INPUT_BYTES: frames as they arrive */
    size_t input_len;
};

/* --- Words ---------------------------------------------------------------------------------------------------------- */

static int refuse(const char *why)
{
    (void)fprintf(stderr, "%s\n", why);
    return EXIT_REFUSED;
}

static void fall_silent(struct process *p)
{
    if (p->silent) return;
    p->silent = dup2(STDOUT_FILENO, STDERR_FILENO) == STDERR_FILENO;
    if (!p->silent) panic(__FILE__, __LINE__, "stderr could not be silenced");
}

/* --- Frames out --------------------------------------------------------------------------------------------------------- */

static bool write_all(struct span bytes)
{
    while (bytes.len > 0) {
        ssize_t done = write(SANDBOX_SOCKET, bytes.data, bytes.len);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return false;
        bytes = span_make(bytes.data + done, bytes.len - (size_t)done);
    }
    return true;
}

/* A host that is gone, or reads no more, is the end: nobody is left to compute for. */
static void send_frame(struct process *p, struct span frame)
{
    uint8_t head[4];
    ASSERT(frame.len > 0 && frame.len <= ENCLAVE_FRAME_OUT_MAX);
    store_u32(head, (uint32_t)frame.len);
    if (!write_all(SPAN_OF(head)) || !write_all(frame)) p->over = true;
}

/* --- Steps ------------------------------------------------------------------------------------------------------------------ */

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    if (clock_gettime(clock, &now) != 0) panic(__FILE__, __LINE__, "no clock");
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void answer_later(struct process *p, uint64_t token, const struct worker_reply *reply)
{
    ASSERT(p->queue_count < REPLIES_MAX);
    p->queue[(p->queue_first + p->queue_count++) % REPLIES_MAX] = (struct pending_reply){token, *reply};
}

static void execute(struct process *p, const struct enclave_effect *effect)
{
    struct worker_reply reply;
    if (effect->type == ENCLAVE_FRAME) {
        send_frame(p, effect->bytes);
        return;
    }
    if (effect->type == ENCLAVE_EXIT) {
        p->over = true;
        return;
    }
    if (effect->type == ENCLAVE_COMPUTE || effect->type == ENCLAVE_INPUT_CHUNK) {
        labour_give(p->labour, effect, enclave_keys(p->enclave));
        return;
    }
    if (effect->type == ENCLAVE_UNLOCK) fall_silent(p);
    if (effect->type == ENCLAVE_WIPE && !labour_end(p->labour)) { /* it reads what would be unmapped */
        worker_drop_secrets(p->worker);
        _exit(EXIT_OK);
    }
    worker_execute(p->worker, &reply, effect, enclave_keys(p->enclave));
    if (effect->type != ENCLAVE_WIPE) answer_later(p, effect->token, &reply);
}

/* Effects borrow from the machine until its next step, so all of a step's are executed before any answer goes back. */
static void step_once(struct process *p, struct enclave_event event)
{
    uint32_t count;
    event.now.ns = clock_ns(CLOCK_BOOTTIME);
    event.wall_ms = (uint64_t)(clock_ns(CLOCK_REALTIME) / 1000000);
    enclave_step(p->enclave, &event);
    enclave_check(p->enclave);
    const struct enclave_effect *effect = enclave_effects(p->enclave, &count);
    for (uint32_t i = 0; i < count && !p->over; i++) execute(p, &effect[i]);
}

static void answer_all(struct process *p)
{
    while (p->queue_count > 0) {
        struct pending_reply *next = &p->queue[p->queue_first];
        struct worker_reply reply = next->reply;
        uint64_t token = next->token;
        p->queue_first = (p->queue_first + 1) % REPLIES_MAX;
        p->queue_count--;
        if (!p->over)
            step_once(p, (struct enclave_event){.type = ENCLAVE_EVENT_DONE,
                                                .err = reply.err,
                                                .bytes = span_make(reply.bytes, reply.len),
                                                .token = token});
        worker_reply_free(&reply);
    }
}

static void step(struct process *p, struct enclave_event event)
{
    step_once(p, event);
    answer_all(p);
}

static void take_answer(struct process *p)
{
    uint64_t token;
    struct worker_reply reply;
    labour_answer(p->labour, &token, &reply);
    answer_later(p, token, &reply);
    answer_all(p);
}

/* --- Frames in -------------------------------------------------------------------------------------------------------------- */

/* False when the host ends the connection or what it sends is no frame. */
static bool take_frames(struct process *p)
{
    size_t at = 0;
    while (p->input_len - at >= 4 && !p->over) {
        uint32_t len = load_u32(p->input + at);
        if (len == 0 || len > ENCLAVE_FRAME_IN_MAX) return false;
        if (p->input_len - at - 4 < len) break;
        step(p,
             (struct enclave_event){.type = ENCLAVE_EVENT_FRAME, .bytes = span_make(p->input + at + 4, len)});
        at += 4 + (size_t)len;
    }
    memmove(p->input, p->input + at, p->input_len - at);
    p->input_len -= at;
    return true;
}

static bool read_some(struct process *p)
{
    ssize_t len = read(SANDBOX_SOCKET, p->input + p->input_len, INPUT_BYTES - p->input_len);
    if (len < 0 && errno == EINTR) return true;
    if (len <= 0) return false;
    p->input_len += (size_t)len;
    return take_frames(p);
}

static int wait_ms(const struct process *p)
{
    struct instant deadline = enclave_deadline(p->enclave);
    if (deadline.ns == INSTANT_NEVER.ns) return -1;
    int64_t left = deadline.ns - clock_ns(CLOCK_BOOTTIME);
    if (left <= 0) return 0;
    return left / 1000000 >= 60000 ? 60000 : (int)(left / 1000000) + 1;
}

static void tick_when_due(struct process *p)
{
    if (!p->over && enclave_deadline(p->enclave).ns <= clock_ns(CLOCK_BOOTTIME))
        step(p, (struct enclave_event){.type = ENCLAVE_EVENT_TICK});
}

static void run(struct process *p)
{
    struct pollfd from[2] = {{SANDBOX_SOCKET, POLLIN, 0}, {labour_fd(p->labour), POLLIN, 0}};
    while (!p->over) {
        int ready = poll(from, 2, wait_ms(p));
        if (ready < 0 && errno != EINTR) return;
        if (ready > 0 && from[0].revents != 0 && !read_some(p)) return;
        if (ready > 0 && from[1].revents != 0) take_answer(p);
        tick_when_due(p);
    }
}

/* --- Start -------------------------------------------------------------------------------------------------------------------- */

static enum err read_arguments(struct process *p, int argc, char **argv)
{
    const char *platform = NULL, *threads = NULL, *memory = NULL;
    uint64_t thread_count, memory_mb;
    const struct argument option[] = {{"--platform", &platform, NULL},
                                      {"--threads", &threads, NULL},
                                      {"--memory-mb", &memory, NULL},
                                      {"--check", NULL, &p->check}};
    struct arguments a = {option, sizeof option / sizeof *option, 0, 0, 0, NULL};
    TRY(arguments_parse(&a, argc, argv));
    if (platform == NULL || threads == NULL || memory == NULL) return ERR_USAGE;
    TRY(hex_decode(p->options.platform.bytes, 32, span_text(platform)));
    TRY(arguments_number(&thread_count, "--threads", threads, 1, WORKER_THREAD_COUNT_MAX));
    TRY(arguments_number(&memory_mb, "--memory-mb", memory, WORKER_MEMORY_MB_MIN, WORKER_MEMORY_MB_MAX));
    p->options.threads = (uint32_t)thread_count;
    p->options.memory_bytes = memory_mb << 20;
    return OK;
}

static bool socket_is_there(void)
{
    struct stat is;
    return fstat(SANDBOX_SOCKET, &is) == 0 && S_ISSOCK(is.st_mode);
}

static enum err make_machine(struct process *p)
{
    size_t bytes = core_registry_bytes() + ((size_t)ENCLAVE_MEMORY_MB << 20);
    void *memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return ERR_NO_MEMORY;
    p->arena = arena_make(memory, bytes);
    p->input = malloc(INPUT_BYTES);
    if (p->input == NULL) return ERR_NO_MEMORY;
    TRY(enclave_new(&p->enclave, &p->arena));
    TRY(worker_new(&p->worker, &p->options));
    return labour_new(&p->labour, p->worker);
}

/* Does the op runtime start under the filter? Found out by the check, not by the first run. */
static enum err check_runtime(const struct process *p, char *why, size_t why_len)
{
    struct duckdb_session session;
    TRY(duckdb_session_open(&session, p->options.threads, (uint64_t)CHECK_MEMORY_MB << 20, why, why_len));
    enum err err = duckdb_session_run(&session, "SELECT sum(i) FROM range(100000) t(i)", why, why_len);
    duckdb_session_close(&session);
    return err;
}

static enum err prepare(struct process *p, char *why, size_t why_len)
{
    const struct duckdb *api;
    struct sandbox_limits limits = {p->options.memory_bytes, p->options.memory_bytes};
    TRY(sandbox_check(why, why_len));
    p->options.spool = spool_is_in_force() && fcntl(SANDBOX_SPOOL, F_GETFD) >= 0 ? SANDBOX_SPOOL : -1;
    if (p->options.spool >= 0) limits.file_bytes = RLIM_INFINITY; /* the disk's own bound */
    TRY(crypto_init());
    TRY(measure_self(&p->options.measurement));
    TRY(duckdb_load(&api, why, why_len)); /* a library cannot be loaded once the walls are up */
    TRY(make_machine(p));
    TRY(sandbox_enter(&limits, why, why_len));
    TRY(labour_start(p->labour));
    return p->check ? check_runtime(p, why, why_len) : OK;
}

int command_enclave_worker(int argc, char **argv)
{
    static struct process process;
    char why[SANDBOX_WHY_BYTES] = "";
    if (!socket_is_there()) {
        (void)refuse(
            "perigee enclave-worker: expects a socket from a node; a node starts it by itself, once per run");
        return EXIT_USAGE;
    }
    if (read_arguments(&process, argc, argv) != OK) return EXIT_USAGE;
    (void)signal(SIGPIPE, SIG_IGN);
    enum err err = prepare(&process, why, sizeof why);
    if (err != OK) return refuse(why[0] != 0 ? why : err_text(err));
    if (!process.check) run(&process);
    if (labour_end(process.labour))
        worker_free(process.worker);
    else
        worker_drop_secrets(process.worker); /* that thread ends with the process */
    _exit(EXIT_OK);                          /* nothing of any library runs after the wipe */
}
