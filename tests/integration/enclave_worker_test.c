/* A run's worker as a real process in its sandbox, and the node's side of it: a whole run with real custodians' answers, one
 * process per run, gone after it, gone with the node, killed when it misbehaves, and never started without its walls.
 * This program is its own worker: the host starts it with "enclave-worker". A platform that begins with ee makes it a worker
 * that misbehaves. */
#include "crypto/evidence.h"
#include "crypto/identity.h"
#include "crypto/secret.h"
#include "node/command.h"
#include "node/duckdb.h"
#include "node/enclave_host.h"
#include "node/measure.h"
#include "node/sandbox.h"
#include "node/verify.h"
#include "proto/base/panic.h"
#include "proto/bundle.h"
#include "proto/receipt.h"
#include "proto/wire/pack.h"
#include "tests/world_run.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { FRAMES_MAX = 64, LINES_MAX = 256, PATIENCE_MS = 30000 };
enum misbehaviour { BAD_FRAMING = 0xe0, CHATTY, DEAF, NEVER_READS, CRASHES, EXTRA_FRAMES };

/* --- A node ------------------------------------------------------------------------------------------------------------- */

static struct node {
    uv_loop_t loop;
    uv_timer_t beat; /* repeats, so that uv_run(ONCE) always returns: it may run timers first and then wait */
    struct enclave_host *host;
    struct enclave_host_options options;
    char platform[65];
    uint32_t frames, gone, lines;
    uint8_t last[64]; /* the first bytes of the last frame */
    size_t last_len;
    char line[LINES_MAX][256];
    char why[256];
    bool closed;
    struct world_run *run; /* who answers frames; NULL: nobody */
    struct run_id run_id;
} node;

static void feed_worker(void)
{
    struct span frame;
    while (node.run != NULL && world_run_next(node.run, &frame))
        enclave_host_send(node.host, node.run_id, frame);
}

static void on_frame(void *context, struct run_id run, struct span frame)
{
    (void)context;
    assert_memory_equal(run.bytes, node.run_id.bytes, 32);
    if (frame.len == 0) {
        node.gone++;
        return;
    }
    node.frames++;
    node.last_len = frame.len < sizeof node.last ? frame.len : sizeof node.last;
    memcpy(node.last, frame.data, node.last_len);
    if (node.run == NULL) return;
    world_run_take(node.run, frame);
    feed_worker();
    if (frame.data[0] == FRAME_RESULT) enclave_host_stop(node.host, run);
}

static void on_log(void *context, const char *line)
{
    (void)context;
    if (node.lines < LINES_MAX) (void)snprintf(node.line[node.lines++], sizeof node.line[0], "%s", line);
}

static bool logged(const char *text)
{
    for (uint32_t i = 0; i < node.lines; i++)
        if (strstr(node.line[i], text) != NULL) return true;
    return false;
}

static void on_beat(uv_timer_t *timer)
{
    (void)timer;
}

static enum err node_open(uint8_t first, uint8_t second)
{
    memset(&node, 0, sizeof node);
    assert_int_equal(uv_loop_init(&node.loop), 0);
    assert_int_equal(uv_timer_init(&node.loop, &node.beat), 0);
    assert_int_equal(uv_timer_start(&node.beat, on_beat, 5, 5), 0);
    random_fill(node.options.platform.bytes, 32); /* by it the processes of this node are found */
    node.options.platform.bytes[0] = first;
    node.options.platform.bytes[1] = second;
    hex_encode(node.platform, node.options.platform.bytes, 32);
    node.options.loop = &node.loop;
    node.options.memory_mb = 1024;
    node.options.threads = 2;
    node.options.stop_grace_ms = 400;
    node.options.frame = on_frame;
    node.options.log = on_log;
    node.run_id.bytes[0] = 0xab;
    return enclave_host_open(&node.host, &node.options, node.why, sizeof node.why);
}

static bool wait_until(const uint32_t *value, uint32_t least, uint32_t ms)
{
    uint64_t end = uv_hrtime() + (uint64_t)ms * 1000000;
    while (*value < least && uv_hrtime() < end) (void)uv_run(&node.loop, UV_RUN_ONCE);
    return *value >= least;
}

/* Run the loop until `*value` is at least `least`. */
static void wait_for(const uint32_t *value, uint32_t least)
{
    if (wait_until(value, least, PATIENCE_MS)) return;
    for (uint32_t i = 0; i < node.lines; i++) print_message("%s\n", node.line[i]);
    fail_msg("waited in vain");
}

static void wait_ms(uint32_t ms)
{
    static const uint32_t never;
    (void)wait_until(&never, 1, ms);
}

static void on_closed(void *context)
{
    (void)context;
    node.closed = true;
}

static void node_end_loop(void)
{
    uv_close((uv_handle_t *)&node.beat, NULL);
    assert_int_equal(uv_run(&node.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&node.loop), 0);
}

static void node_close(void)
{
    enclave_host_close(node.host, on_closed, NULL);
    node_end_loop();
    assert_true(node.closed);
}

static void start(struct span frame)
{
    enum err err = enclave_host_start(node.host, node.run_id, frame);
    if (err != OK) fail_msg("start: %s", err_name(err));
}

/* --- Processes ------------------------------------------------------------------------------------------------------------ */

static bool read_proc(char *out, size_t cap, long pid, const char *name)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%ld/%s", pid, name);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    ssize_t len = read(file, out, cap - 1);
    (void)close(file);
    if (len <= 0) return false;
    for (ssize_t i = 0; i < len; i++)
        if (out[i] == 0) out[i] = ' ';
    out[len] = 0;
    return true;
}

/* How many processes carry this platform in their arguments; *worker: the one inside. Zombies carry none. */
static uint32_t processes(const char *platform, long *worker)
{
    char text[8192];
    uint32_t count = 0;
    DIR *folder = opendir("/proc");
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (!isdigit((unsigned char)entry->d_name[0])) continue;
        long pid = strtol(entry->d_name, NULL, 10);
        if (!read_proc(text, sizeof text, pid, "cmdline") || strstr(text, platform) == NULL) continue;
        count++;
        if (worker != NULL && strncmp(text, SANDBOX_EXECUTABLE " ", strlen(SANDBOX_EXECUTABLE) + 1) == 0)
            *worker = pid;
    }
    (void)closedir(folder);
    return count;
}

/* The kernel takes a moment to end what it was told to end. */
static void expect_no_process(const char *platform)
{
    struct timespec pause = {0, 20000000};
    for (int i = 0; i < 200 && processes(platform, NULL) > 0; i++) (void)nanosleep(&pause, NULL);
    assert_int_equal(processes(platform, NULL), 0);
}

static bool status_has(long pid, const char *line)
{
    char text[8192];
    return read_proc(text, sizeof text, pid, "status") && strstr(text, line) != NULL;
}

/* The worker once its inner wall stands. */
static long enclosed_worker(void)
{
    long pid = 0;
    for (int i = 0; i < 500; i++) {
        pid = 0;
        (void)processes(node.platform, &pid);
        if (pid != 0 && status_has(pid, "Seccomp:\t2")) return pid;
        wait_ms(10);
    }
    fail_msg("no worker entered its sandbox");
    return 0;
}

/* --- Whole runs ------------------------------------------------------------------------------------------------------------- */

static struct world *world;

static void start_run(void)
{
    struct span frame;
    world_run_start(node.run);
    assert_true(world_run_next(node.run, &frame));
    node.run_id = world->run;
    start(frame);
    feed_worker();
}

static struct body_RECEIPT receipt(void)
{
    struct body_RECEIPT body;
    if (node.run->result.len == 0) {
        for (uint32_t i = 0; i < node.lines; i++) print_message("%s\n", node.line[i]);
        fail_msg("no result: %s", refusal_name(node.run->failed));
    }
    assert_int_equal(body_decode(&body, KIND_RECEIPT, node.run->result), OK);
    return body;
}

/* The output as the requester opens it: checked against commitment and signature, copied to `out`. */
static size_t open_output(uint8_t out[2048], const struct core_receipt *core)
{
    struct reading reading = world_run_reading(node.run, WORLD_REQUESTER);
    struct hash32 commitment = enclave_commitment(reading.salt, reading.output),
                  response = response_hash(world->run, reading.output);
    assert_memory_equal(commitment.bytes, core->commitment.bytes, 32);
    assert_int_equal(identity_verify(core->enclave, response, &reading.signature), OK);
    assert_in_range(reading.output.len, 1, 2048);
    memcpy(out, reading.output.data, reading.output.len);
    return reading.output.len;
}

static void check_evidence(const struct body_RECEIPT *body, const struct core_receipt *core)
{
    struct evidence_result result;
    struct evidence_policy policy = {
        .allow_simulated = true, .measurement_count = 1, .max_age_ms = 600000, .max_ahead_ms = 5000};
    const char *field;
    struct hash32 binding = enclave_binding(world->consortium, world->run, core->term, world->compose,
                                            certificate_hash(body->certificate), core->enclave, core->kem);
    assert_int_equal(measure_self(&policy.measurement[0]), OK);
    assert_int_equal(
        evidence_check(&result, &field, body->evidence, binding, (uint64_t)time(NULL) * 1000 + 1000, &policy),
        OK);
    assert_memory_equal(result.platform_id.bytes, node.options.platform.bytes, 32);
}

static size_t settle(uint8_t output[2048], uint64_t term)
{
    struct core_receipt core;
    node.run = world_run_new(world);
    node.run->term = term;
    start_run();
    wait_for(&node.gone, 1);
    struct body_RECEIPT body = receipt();
    assert_int_equal(core_receipt_decode(&core, body.core), OK);
    check_evidence(&body, &core);
    size_t len = open_output(output, &core);
    world_run_free(node.run);
    node.run = NULL;
    return len;
}

/* Two enclaves one after the other, as after a failover: the same output, and no process of either is left. */
static void a_run_ends_in_a_receipt(void **state)
{
    (void)state;
    uint8_t first[2048], second[2048];
    assert_int_equal(node_open(1, 1), OK);
    size_t len = settle(first, 1);
    expect_no_process(node.platform);
    node.gone = 0;
    assert_int_equal(settle(second, 2), len);
    assert_memory_equal(first, second, len);
    assert_true(len > 100 && memcmp(first, "{\"compose\":\"", 12) == 0);
    assert_int_equal(node.lines, 0); /* a run that goes well says nothing */
    expect_no_process(node.platform);
    node_close();
}

/* --- Output rows ------------------------------------------------------------------------------------------------------------ */

static uint32_t lines_with(const char *word, const struct verify_line *line, uint32_t count)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++) found += line[i].ok && strstr(line[i].text, word) != NULL;
    return found;
}

struct verified {
    struct verify_line line[RECEIPT_LINK_COUNT];
    uint32_t count;
};

static void keep_line(void *context, const struct verify_line *line)
{
    struct verified *v = context;
    assert_true(v->count < RECEIPT_LINK_COUNT);
    v->line[v->count++] = *line;
}

/* The receipt that anyone could put together of what this run left behind, replayed link by link. */
static void verify_receipt(const struct body_RECEIPT *body)
{
    static uint8_t bundle[1 << 20], text[1 << 21];
    struct buffer b = BUFFER_OF(bundle), t = BUFFER_OF(text);
    struct reading reading = world_run_reading(node.run, WORLD_REQUESTER);
    struct registry *registry = world_registry(world, 0);
    struct verified v = {.count = 0};
    struct verify_result result;
    struct arena arena;
    assert_int_equal(bundle_collect(&b, registry, world->run), OK);
    const struct receipt_parts parts = {world->consortium, buffer_span(&b), *body,
                                        reading.output,    reading.salt,    reading.signature};
    assert_int_equal(receipt_write(&t, &parts), OK);
    assert_int_equal(verify_memory_open(&arena), OK);
    const struct verify_options options = {world->consortium, NULL, keep_line, &v};
    enum err err = verify_bytes(&result, &arena, buffer_span(&t), &options);
    if (err != OK) fail_msg("%s: %s", receipt_link_name(result.broken), result.why);
    assert_true(result.verified && result.output_known && result.privacy_none);
    assert_int_equal(lines_with("PRIVACY: NONE", v.line, v.count), 1);
    verify_memory_close(&arena);
    world_arena_free(registry_arena(registry));
}

static void settle_rows(uint8_t output[2048])
{
    struct core_receipt core;
    world->now_ms = (uint64_t)time(NULL) * 1000; /* a worker's evidence has a real clock's time */
    node.run = world_run_new(world);
    start_run();
    wait_for(&node.gone, 1);
    struct body_RECEIPT body = receipt();
    assert_int_equal(core_receipt_decode(&core, body.core), OK);
    check_evidence(&body, &core);
    assert_int_equal(open_output(output, &core), 1024); /* max_bytes, whatever the rows */
    verify_receipt(&body);
    world_run_free(node.run);
    node.run = NULL;
}

/* A recipe of privacy none: the table that its SQL makes of both datasets is the output, the same from every enclave. */
static void rows_leave_with_a_receipt(void **state)
{
    (void)state;
    uint8_t first[2048], second[2048];
    static const char rows[] = "\"rows\":[[\"7\",\"27\",\"27\"],[\"6\",\"26\",\"26\"],[\"5\",\"25\",\"25\"],";
    assert_int_equal(node_open(1, 0x10), OK);
    settle_rows(first);
    assert_non_null(memmem(first, 1024, "\"privacy\":\"none\"", 16));
    assert_non_null(memmem(first, 1024, rows, sizeof rows - 1));
    node.gone = 0;
    settle_rows(second);
    assert_memory_equal(first, second, 1024);
    assert_int_equal(node.lines, 0);
    expect_no_process(node.platform);
    node_close();
}

/* --- Runs that end otherwise ------------------------------------------------------------------------------------------------ */

static void custodians_can_refuse(void **state)
{
    (void)state;
    assert_int_equal(node_open(1, 2), OK);
    node.run = world_run_new(world);
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++) node.run->refuse[i] = REFUSAL_REVOKED;
    start_run();
    wait_for(&node.gone, 1);
    assert_int_equal(node.run->failed, REFUSAL_REVOKED);
    assert_int_equal(node.run->result.len, 0);
    world_run_free(node.run);
    node.run = NULL;
    expect_no_process(node.platform);
    node_close();
}

static void missing_chunks_fail_the_run(void **state)
{
    (void)state;
    assert_int_equal(node_open(1, 3), OK);
    node.run = world_run_new(world);
    node.run->blob_missing = 1000;
    start_run();
    wait_for(&node.gone, 1);
    assert_int_equal(node.run->failed, REFUSAL_INPUT_MISSING);
    world_run_free(node.run);
    node.run = NULL;
    node_close();
}

/* --- One process per run ---------------------------------------------------------------------------------------------------- */

static void nonsense_is_refused(void **state)
{
    (void)state;
    static const uint8_t nonsense[] = {FRAME_START, 1, 2, 3};
    assert_int_equal(node_open(1, 4), OK);
    start(SPAN_OF(nonsense));
    wait_for(&node.gone, 1);
    assert_int_equal(node.frames, 1);
    assert_int_equal(node.last_len, 3);
    assert_int_equal(node.last[0], FRAME_FAILED);
    assert_int_equal(node.last[1], REFUSAL_MALFORMED);
    expect_no_process(node.platform);
    node_close();
}

static const uint8_t ignored[] = {0xff}; /* no frame of the protocol: the worker waits for another */

/* What it was given, and an event of its own that leads nowhere. */
static bool descriptor_may_be(long pid, const char *name)
{
    char path[80], target[64] = "";
    (void)snprintf(path, sizeof path, "/proc/%ld/fd/%.16s", pid, name);
    return strtol(name, NULL, 10) <= SANDBOX_SPOOL ||
           (readlink(path, target, sizeof target - 1) > 0 && strcmp(target, "anon_inode:[eventfd]") == 0);
}

static void walls_are_seen_from_outside(void **state)
{
    (void)state;
    char text[8192], path[64];
    assert_int_equal(node_open(1, 5), OK);
    start(SPAN_OF(ignored));
    long pid = enclosed_worker();
    assert_true(status_has(pid, "NoNewPrivs:\t1"));
    assert_true(status_has(pid, "CapEff:\t0000000000000000"));
    assert_true(status_has(pid, "CapBnd:\t0000000000000000"));
    assert_true(read_proc(text, sizeof text, pid, "limits"));
    assert_non_null(strstr(text, "Max core file size        0                    0"));
    (void)snprintf(path, sizeof path, "/proc/%ld/environ", pid);
    if (access(path, R_OK) == 0 &&
        read_proc(text, sizeof text, pid, "environ")) { /* a dumpable-off process shows it to root only */
        assert_null(strstr(text, "PATH="));
        assert_non_null(strstr(text, "PERIGEE_DUCKDB=" SANDBOX_LIBRARY));
    }
    (void)snprintf(path, sizeof path, "/proc/%ld/fd", pid);
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;)
        if (isdigit((unsigned char)entry->d_name[0])) assert_true(descriptor_may_be(pid, entry->d_name));
    if (folder != NULL) (void)closedir(folder);
    node_close();
    expect_no_process(node.platform);
}

static void runs_are_told_apart(void **state)
{
    (void)state;
    assert_int_equal(node_open(1, 6), OK);
    start(SPAN_OF(ignored));
    assert_int_equal(enclave_host_start(node.host, node.run_id, SPAN_OF(ignored)), ERR_BUSY);
    struct run_id other = {{1}};
    enclave_host_send(node.host, other, SPAN_OF(ignored)); /* no such run: nothing happens */
    enclave_host_stop(node.host, other);
    assert_int_equal(node.gone, 0);
    (void)enclosed_worker();
    enclave_host_stop(node.host, node.run_id);
    enclave_host_stop(node.host, node.run_id);
    wait_for(&node.gone, 1);
    expect_no_process(node.platform);
    start(SPAN_OF(ignored)); /* once it is gone, the run may be started again */
    enclave_host_stop(node.host, node.run_id);
    wait_for(&node.gone, 2);
    node_close();
}

static void the_number_of_workers_is_bounded(void **state)
{
    (void)state;
    assert_int_equal(node_open(1, 7), OK);
    struct run_id other = {{1}};
    node_close();
    assert_int_equal(node_open(1, 8), OK);
    for (uint8_t i = 0; i < 8; i++) {
        other.bytes[1] = i;
        assert_int_equal(enclave_host_start(node.host, other, SPAN_OF(ignored)), OK);
    }
    other.bytes[1] = 99;
    assert_int_equal(enclave_host_start(node.host, other, SPAN_OF(ignored)), ERR_FULL);
    node_close(); /* kills eight */
    expect_no_process(node.platform);
}

static void a_killed_worker_is_reported_once(void **state)
{
    (void)state;
    assert_int_equal(node_open(1, 9), OK);
    start(SPAN_OF(ignored));
    assert_int_equal(kill((pid_t)enclosed_worker(), SIGKILL), 0);
    wait_for(&node.gone, 1);
    assert_true(logged("ended by"));
    wait_ms(100);
    assert_int_equal(node.gone, 1);
    expect_no_process(node.platform);
    node_close();
}

/* --- When the node dies ------------------------------------------------------------------------------------------------------- */

static void no_worker_outlives_its_node(void **state)
{
    (void)state;
    int words[2], status;
    char platform[65] = "";
    assert_int_equal(pipe2(words, O_CLOEXEC), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (node_open(1, 10) != OK || enclave_host_start(node.host, node.run_id, SPAN_OF(ignored)) != OK)
            _exit(1);
        (void)enclosed_worker();
        if (write(words[1], node.platform, 64) != 64) _exit(1);
        for (;;) (void)pause();
    }
    (void)close(words[1]);
    assert_int_equal(read(words[0], platform, 64), 64);
    (void)close(words[0]);
    assert_true(processes(platform, NULL) > 0);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    expect_no_process(platform);
}

/* --- Misbehaviour ------------------------------------------------------------------------------------------------------------- */

static void misbehave(enum misbehaviour how)
{
    uint8_t frame[] = {0, 0, 0, 2, FRAME_STATE, 4};
    char block[4096];
    switch (how) {
    case BAD_FRAMING: memset(frame, 0xff, sizeof frame); break;
    case CHATTY:
        for (int i = 0; i < 100; i++)
            (void)fprintf(stderr, "line %d \033[31m with a very long tail %0300d\n", i, i);
        break;
    case DEAF: (void)signal(SIGTERM, SIG_IGN); break;
    case NEVER_READS: break;
    case CRASHES:
        panic(__FILE__, __LINE__, "on purpose"); /* as process 1, for which raised signals count less */
    case EXTRA_FRAMES:
        for (int i = 0; i < 3; i++)
            if (write(SANDBOX_SOCKET, frame, sizeof frame) < 0) return;
        if (read(SANDBOX_SOCKET, block, sizeof block) < 0) return;
        return; /* and goes, without a frame that says why */
    }
    if (how == CHATTY) return;
    if (write(SANDBOX_SOCKET, frame, sizeof frame) < 0) return;
    for (;;) (void)pause();
}

static void bad_framing_is_fatal(void **state)
{
    (void)state;
    assert_int_equal(node_open(0xee, BAD_FRAMING), OK);
    start(SPAN_OF(ignored));
    wait_for(&node.gone, 1);
    assert_int_equal(node.frames, 0);
    assert_true(logged("broke the framing"));
    expect_no_process(node.platform);
    node_close();
}

static void words_are_bounded_and_clean(void **state)
{
    (void)state;
    assert_int_equal(node_open(0xee, CHATTY), OK);
    start(SPAN_OF(ignored));
    wait_for(&node.gone, 1);
    assert_true(node.lines >= 2 && node.lines <= 33);
    for (uint32_t i = 0; i < node.lines; i++) {
        assert_true(strlen(node.line[i]) < 250);
        assert_null(strchr(node.line[i], '\033'));
    }
    node_close();
}

static void a_deaf_worker_is_killed_after_its_grace(void **state)
{
    (void)state;
    assert_int_equal(node_open(0xee, DEAF), OK);
    start(SPAN_OF(ignored));
    wait_for(&node.frames, 1);
    uint64_t before = uv_hrtime();
    enclave_host_stop(node.host, node.run_id);
    wait_for(&node.gone, 1);
    uint64_t took_ms = (uv_hrtime() - before) / 1000000;
    assert_true(took_ms >= 350 && took_ms < 5000);
    expect_no_process(node.platform);
    node_close();
}

static void a_full_queue_is_fatal(void **state)
{
    (void)state;
    static uint8_t large[4 << 20] = {FRAME_BLOB};
    assert_int_equal(node_open(0xee, NEVER_READS), OK);
    start(SPAN_OF(ignored));
    wait_for(&node.frames, 1);
    for (int i = 0; i < 18; i++) enclave_host_send(node.host, node.run_id, SPAN_OF(large));
    wait_for(&node.gone, 1);
    assert_true(logged("does not read"));
    node_close();
}

static void a_crash_is_reported(void **state)
{
    (void)state;
    assert_int_equal(node_open(0xee, CRASHES), OK);
    start(SPAN_OF(ignored));
    wait_for(&node.gone, 1);
    assert_int_equal(node.frames, 0);
    assert_true(logged("ended by"));
    node_close();
}

static void frames_come_before_the_end(void **state)
{
    (void)state;
    assert_int_equal(node_open(0xee, EXTRA_FRAMES), OK);
    start(SPAN_OF(ignored));
    wait_for(&node.gone, 1);
    assert_int_equal(node.frames, 3);
    assert_int_equal(node.gone, 1);
    node_close();
}

/* --- Never without walls ---------------------------------------------------------------------------------------------------------- */

static void expect_no_enclaves(const char *reason)
{
    assert_int_equal(node_open(1, 11), ERR_UNAVAILABLE);
    assert_null(node.host);
    if (strstr(node.why, reason) == NULL) fail_msg("expected \"%s\", got \"%s\"", reason, node.why);
    assert_int_equal(processes(node.platform, NULL), 0);
    node_end_loop();
}

static void without_walls_there_is_no_enclave(void **state)
{
    (void)state;
    char *path = strdup(getenv("PATH"));
    assert_non_null(path);
    assert_int_equal(setenv("PERIGEE_BWRAP", "/nonexistent/bwrap", 1), 0);
    expect_no_enclaves("PERIGEE_BWRAP names no program");
    assert_int_equal(setenv("PERIGEE_BWRAP", "/bin/false", 1),
                     0); /* a bubblewrap that cannot put up its walls */
    expect_no_enclaves("the sandbox could not be started");
    assert_int_equal(unsetenv("PERIGEE_BWRAP"), 0);
    assert_int_equal(setenv("PATH", "", 1), 0);
    expect_no_enclaves("bubblewrap (bwrap) is not on PATH");
    assert_int_equal(setenv("PATH", path, 1), 0);
    free(path);
}

/* A "bubblewrap" that runs the program without any wall: the worker itself refuses. */
static void a_false_bubblewrap_is_noticed(void **state)
{
    (void)state;
    static const char script[] =
        "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nshift 2\nexec \"$PERIGEE_SELF\" \"$@\"\n";
    char path[] = "/tmp/perigee-bwrap-XXXXXX", self[4096], text[8192];
    int file = mkstemp(path);
    assert_true(file >= 0);
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(len > 0);
    self[len] = 0;
    /* The host gives its worker no environment, so the path goes into the script. */
    (void)snprintf(text, sizeof text, "#!/bin/sh\nPERIGEE_SELF='%s'\n%s", self, script + 10);
    assert_int_equal(write(file, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(fchmod(file, 0700), 0);
    assert_int_equal(close(file), 0);
    assert_int_equal(setenv("PERIGEE_BWRAP", path, 1), 0);
    expect_no_enclaves("the worker is not in a process namespace of its own");
    assert_int_equal(unsetenv("PERIGEE_BWRAP"), 0);
    assert_int_equal(unlink(path), 0);
}

static void a_worker_by_hand_is_refused(void **state)
{
    (void)state;
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)close(SANDBOX_SOCKET);
        (void)close(STDERR_FILENO);
        char name[] = "enclave-worker", *argv[] = {name, NULL};
        _exit(command_enclave_worker(1, argv));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), EXIT_USAGE);
}

/* --- Main --------------------------------------------------------------------------------------------------------------------------- */

static int as_worker(int argc, char **argv)
{
    const char *platform = "";
    bool check = false;
    for (int i = 2; i + 1 < argc; i++)
        if (strcmp(argv[i], "--platform") == 0) platform = argv[i + 1];
    for (int i = 2; i < argc; i++) check = check || strcmp(argv[i], "--check") == 0;
    if (strncmp(platform, "ee", 2) != 0) return command_enclave_worker(argc - 1, argv + 1);
    if (check) return 0;
    char how[3] = {platform[2], platform[3], 0};
    misbehave((enum misbehaviour)strtoul(how, NULL, 16));
    return 0;
}

static int open_world(void **state)
{
    (void)state;
    if (measure_self(&world_measurement) != OK) return -1;
    world_start_ms = (uint64_t)time(NULL) * 1000 - 60000;
    world = world_new();
    return 0;
}

static int open_world_of_rows(void **state)
{
    world_output_rows = true;
    return open_world(state);
}

static int close_world(void **state)
{
    (void)state;
    world_free(world);
    return 0;
}

/* What a worker needs of this machine; where it is there, a worker that does not start is our own fault. */
static bool machine_has_walls(void)
{
    const struct duckdb *api;
    char why[160];
    int status;
    if (duckdb_load(&api, why, sizeof why) != OK) return false;
    pid_t child = fork();
    if (child == 0) {
        (void)execlp("bwrap", "bwrap", "--unshare-all", "--ro-bind", "/", "/", "true", (char *)NULL);
        _exit(1);
    }
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool walls_stand(void)
{
    enum err err = node_open(1, 0);
    if (err == OK) {
        node_close();
        return true;
    }
    if (machine_has_walls()) panic(__FILE__, __LINE__, "no worker starts here, though bwrap and DuckDB do");
    (void)printf("SKIPPED: %s\n", node.lines > 0 ? node.line[node.lines - 1] : err_text(err));
    node_end_loop();
    return false;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest always[] = {
        cmocka_unit_test(without_walls_there_is_no_enclave),
        cmocka_unit_test(a_false_bubblewrap_is_noticed),
        cmocka_unit_test(a_worker_by_hand_is_refused),
    };
    const struct CMUnitTest walled[] = {
        cmocka_unit_test(a_run_ends_in_a_receipt),
        cmocka_unit_test(custodians_can_refuse),
        cmocka_unit_test(missing_chunks_fail_the_run),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(walls_are_seen_from_outside),
        cmocka_unit_test(runs_are_told_apart),
        cmocka_unit_test(the_number_of_workers_is_bounded),
        cmocka_unit_test(a_killed_worker_is_reported_once),
        cmocka_unit_test(no_worker_outlives_its_node),
        cmocka_unit_test(bad_framing_is_fatal),
        cmocka_unit_test(words_are_bounded_and_clean),
        cmocka_unit_test(a_deaf_worker_is_killed_after_its_grace),
        cmocka_unit_test(a_full_queue_is_fatal),
        cmocka_unit_test(a_crash_is_reported),
        cmocka_unit_test(frames_come_before_the_end),
    };
    const struct CMUnitTest of_rows[] = {cmocka_unit_test(rows_leave_with_a_receipt)};
    const struct duckdb *api;
    char why[512];
    if (argc > 1 && strcmp(argv[1], "enclave-worker") == 0) return as_worker(argc, argv);
    if (crypto_init() != OK) return 1;
    if (duckdb_load(&api, why, sizeof why) != OK) {
        (void)printf("SKIPPED: %s\n", why);
        return 77;
    }
    int failed = cmocka_run_group_tests_name("refusals", always, NULL, NULL);
    if (!walls_stand()) return failed != 0 ? 1 : 77;
    failed += cmocka_run_group_tests_name("workers", walled, open_world, close_world);
    return failed + cmocka_run_group_tests_name("rows", of_rows, open_world_of_rows, close_world);
}
