/* node/recorder, node/recording and node/replay: what a core was told is written as it is told, and steps another core to the same; a
 * torn end is seen and no fault, a changed byte is one; what no node could have recorded is refused before the core sees it. */
#include "node/recorder.h"
#include "node/replay.h"
#include "proto/base/panic.h"
#include "tests/lone.h"
#include "tests/world_run.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { CORE = 0, SILENT = 3, FILE_MAX = 16 << 20, SECRETS_MAX = 8 };

static struct world *world;
static struct world_run *run;
static struct lone *lone;
static uint32_t seen; /* of what the core sent */
static struct recorder *recorder;
static char path[64], before[80], again[80];
static uint8_t file_bytes[FILE_MAX], changed_bytes[FILE_MAX];
static struct span whole; /* what a whole run was recorded as */
static struct span secret[SECRETS_MAX];
static uint32_t secret_count;

/* --- A run that is recorded --------------------------------------------------------------------------------------------------- */

static void ask_core(struct world_run *r, struct span box)
{
    static uint8_t bytes[65536 + 256];
    struct buffer b = BUFFER_OF(bytes);
    const struct node_id host = world->node[WORLD_COMPUTE].id;
    struct message_RELAY m = {world->run, r->term, 0, r->asked_party, box};
    union message_body sent;
    struct node_id to;
    message_encode(&b, MESSAGE_RELAY_CODE, &m);
    lone_message(lone, host, buffer_span(&b));
    while (lone_next(lone, &seen, MESSAGE_RELAY_CODE, &sent, &to))
        world_run_answer(r, r->asked_party, sent.RELAY.box);
}

static void watch(struct core *core, const struct event *event, bool is_before)
{
    const bool shares = event->type == EVENT_CRYPTO && event->bytes.len >= 2 * SHARE_BYTES &&
                        event->bytes.len % SHARE_BYTES == 0;
    if (is_before && shares && secret_count < SECRETS_MAX) secret[secret_count++] = event->bytes;
    if (is_before)
        recorder_event(recorder, core, event);
    else
        recorder_step(recorder, core);
}

static struct core_options options(void)
{
    return (struct core_options){
        .self = world->node[CORE].id, .consortium = world->consortium, .charter = world->charter};
}

static struct span read_back(void)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    const size_t len = fread(file_bytes, 1, sizeof file_bytes, f);
    assert_int_equal(fclose(f), 0);
    return span_make(file_bytes, len);
}

/* Up to so many bytes; the core asked for shares, a lease and a commit. */
static void record_a_run(uint64_t bytes_max)
{
    const struct core_options o = options();
    assert_int_equal(recorder_open(&recorder, path, bytes_max, &o), OK);
    seen = secret_count = 0;
    lone_watch = watch;
    lone = lone_new(world, CORE);
    run = world_run_new(world);
    run->asked = ask_core;
    run->asked_party = CORE;
    run->silent = 1u << SILENT;
    world_run_start(run);
    assert_true(world_run_drive(run, 200));
    assert_true(run->result.len > 0);
    lone_watch = NULL;
    recorder_close(recorder, lone->core);
    lone_free(lone);
    world_run_free(run);
    whole = read_back();
}

static int setup(void **state)
{
    (void)state;
    world_lease_ms = 600000;
    world = world_new();
    (void)snprintf(path, sizeof path, "/tmp/perigee-replay-test.%d", (int)getpid());
    (void)snprintf(before, sizeof before, "%s.before", path);
    (void)snprintf(again, sizeof again, "%s.again", path);
    record_a_run(FILE_MAX);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_free(world);
    (void)unlink(path);
    (void)unlink(before);
    (void)unlink(again);
    return 0;
}

/* --- Replaying ---------------------------------------------------------------------------------------------------------------- */

static char fault[512];

/* To its end. The caller closes *out, which is NULL when it could not be opened. */
static enum err play(struct replay **out, struct span file)
{
    bool more = true;
    fault[0] = 0;
    enum err err = replay_open(out, file, fault, sizeof fault);
    while (err == OK && more) err = replay_step(*out, &more, fault, sizeof fault);
    return err;
}

static void is_refused(struct span file, enum err expected, const char *words)
{
    struct replay *r;
    assert_int_equal(play(&r, file), expected);
    if (strstr(fault, words) == NULL) fail_msg("expected '%s' in '%s'", words, fault);
    replay_close(r);
}

static void same_to_the_end(struct span file, enum recording_end end)
{
    struct replay *r;
    assert_int_equal(play(&r, file), OK);
    assert_false(r->differs);
    assert_true(r->ended);
    assert_int_equal(r->recorded.end, end);
    assert_int_equal(r->unread, 0);
    assert_true(r->checkpoints >= 1);
    replay_close(r);
}

static bool holds(struct span file, struct span needle)
{
    return memmem(file.data, file.len, needle.data, needle.len) != NULL;
}

static void test_the_same(void **state)
{
    (void)state;
    struct replay *r;
    struct run_view view;
    assert_int_equal(play(&r, whole), OK);
    assert_int_equal(r->by_type[EVENT_READY], 1);
    assert_int_equal(r->by_type[EVENT_RESTORE_RECORD], world->record_count);
    assert_true(r->by_type[EVENT_MESSAGE] >= 4 && r->by_type[EVENT_CRYPTO] >= 8);
    assert_true(core_run(r->core, world->run, &view));
    replay_close(r);
    same_to_the_end(whole, RECORDING_ORDERLY);
}

/* Shares leave a custodian in boxes alone; signatures stand there as they are. */
static void test_no_share_is_recorded(void **state)
{
    (void)state;
    assert_true(secret_count >= 1);
    for (uint32_t i = 0; i < secret_count; i++)
        for (size_t at = 0; at < secret[i].len; at += 32)
            assert_false(holds(whole, span_make(secret[i].data + at, 32)));
    assert_true(holds(whole, ID_SPAN(world->consortium)));
}

static void test_torn_ends(void **state)
{
    (void)state;
    for (size_t len = whole.len - 1; len > whole.len / 4; len -= 1 + len / 16) {
        struct replay *r;
        assert_int_equal(play(&r, span_make(whole.data, len)), OK);
        assert_false(r->differs || r->ended);
        replay_close(r);
    }
    is_refused(span_make(whole.data, RECORDING_MAGIC_BYTES + 9), ERR_TRUNCATED, "before it says whose");
    is_refused(span_make(whole.data, RECORDING_MAGIC_BYTES), ERR_NOT_FOUND, "before it says whose");
    is_refused(span_make(whole.data, 3), ERR_TYPE, "expected a recording");
}

static struct span copy_of(struct span file)
{
    memcpy(changed_bytes, file.data, file.len);
    return span_make(changed_bytes, file.len);
}

/* A frame whose length is flipped may look like one that is not whole; never like the end. */
static void test_flipped_bytes(void **state)
{
    (void)state;
    for (size_t at = 0; at < whole.len; at += 1 + whole.len / 40) {
        struct replay *r;
        const struct span file = copy_of(whole);
        changed_bytes[at] ^= 1;
        const enum err err = play(&r, file);
        assert_true(err != OK || !r->ended);
        replay_close(r);
    }
    const struct span file = copy_of(whole);
    changed_bytes[whole.len - 1] ^= 1;
    is_refused(file, ERR_HASH, "its check does not hold");
    changed_bytes[RECORDING_MAGIC_BYTES - 2] = '1';
    is_refused(file, ERR_VERSION, "another version");
}

/* --- By hand ------------------------------------------------------------------------------------------------------------------ */

/* What PROTOCOL says of a frame, in other words than recording.c's: its body gets the check that belongs to it. */
static void seal(uint8_t *frame, uint64_t number)
{
    uint8_t at[8];
    store_u64(at, number);
    const size_t len = load_u32(frame);
    const struct hash32 check = HASH_FRAMED("perigee/recording/v1", SPAN_OF(at), span_make(frame + 4, len));
    memcpy(frame + 4 + len, check.bytes, 8);
}

/* Where frame `number` begins. */
static uint8_t *frame_at(uint8_t *file, uint64_t number)
{
    uint8_t *at = file + RECORDING_MAGIC_BYTES;
    for (uint64_t i = 0; i < number; i++) at += 4 + load_u32(at) + 8;
    return at;
}

static void test_other_results_are_told(void **state)
{
    (void)state;
    struct replay *r;
    uint64_t last = 0;
    const struct span file = copy_of(whole);
    while (frame_at(changed_bytes, last + 1) < changed_bytes + whole.len) last++;
    uint8_t *end = frame_at(changed_bytes, last);
    assert_int_equal(end[4], RECORDING_END);
    end[4 + 1 + 8] ^= 1; /* of the hash over effects */
    seal(end, last);
    assert_int_equal(play(&r, file), OK);
    assert_true(r->differs);
    assert_true(r->now.events > 0 && r->recorded.events == r->now.events);
    assert_memory_equal(r->now.root.bytes, r->recorded.root.bytes, 32);
    replay_close(r);
}

static void test_other_limits(void **state)
{
    (void)state;
    const struct span file = copy_of(whole);
    uint8_t *start = frame_at(changed_bytes, 0);
    start[4 + 1 + 3 * 32 + 8 + 4 + 2 + 7] ^= 1; /* of the tables' bytes */
    seal(start, 0);
    is_refused(file, ERR_VERSION, "other limits");
}

/* A recording of these events alone. */
static struct span recording_of(const struct event *events, uint32_t count)
{
    const struct core_options o = options();
    struct buffer b = BUFFER_OF(changed_bytes);
    recording_put_start(&b, &o);
    for (uint32_t i = 0; i < count; i++) recording_put_event(&b, i + 1, &events[i], false);
    assert_int_equal(buffer_done(&b), OK);
    return buffer_span(&b);
}

static void cannot_come(struct event event, const char *words)
{
    const struct event first = {.type = EVENT_READY, .now = {1000}, .wall_ms = world->now_ms};
    event.wall_ms = world->now_ms;
    if (event.now.ns == 0) event.now = first.now;
    is_refused(recording_of((const struct event[]){first, event}, 2), ERR_REFUSED, words);
}

static void test_what_no_node_records(void **state)
{
    (void)state;
    const struct event tick = {.type = EVENT_TICK, .wall_ms = world->now_ms};
    is_refused(recording_of(&tick, 1), ERR_REFUSED, "has not been read back yet");
    cannot_come((struct event){.type = EVENT_READY}, "read back already");
    cannot_come((struct event){.type = EVENT_RESTORE_RECORD}, "read back already");
    cannot_come((struct event){.type = EVENT_TICK, .now = {999}}, "clock goes back");
    cannot_come((struct event){.type = EVENT_STORED, .token = CAP_PENDING}, "not in flight");
    cannot_come((struct event){.type = EVENT_STORED}, "not in flight");
    cannot_come((struct event){.type = EVENT_CRYPTO, .token = 7}, "not in flight");
}

/* Keyed work that is in flight, ended otherwise than it can: the first answer to a signature to check, in the recording of a run, is
 * made into one of the store's, and into one with an output. */
static void test_work_ends_as_it_can(void **state)
{
    (void)state;
    struct recording_reader r;
    struct recording_frame f;
    uint64_t number = 0;
    assert_int_equal(recording_begin(&r, whole), OK);
    do {
        number = r.frame;
        assert_int_equal(recording_next(&r, &f), OK);
    } while (f.type != RECORDING_EVENT || f.event.type != EVENT_CRYPTO);
    const struct span head = copy_of(span_make(whole.data, r.at));
    uint8_t *frame = frame_at(changed_bytes, number);
    const struct event stored = {
        .type = EVENT_STORED, .token = f.event.token, .now = f.event.now, .wall_ms = f.event.wall_ms};
    struct buffer b = buffer_make(changed_bytes, sizeof changed_bytes);
    b.len = (size_t)(frame - changed_bytes);
    recording_put_event(&b, number, &stored, false);
    is_refused(buffer_span(&b), ERR_REFUSED, "not in flight, or otherwise");
    b.len = (size_t)(frame - changed_bytes);
    f.event.bytes = span_make(head.data, 5);
    f.event.err = OK;
    recording_put_event(&b, number, &f.event, false);
    is_refused(buffer_span(&b), ERR_REFUSED, "not in flight, or otherwise");
}

static void test_fields_have_bounds(void **state)
{
    (void)state;
    struct event event = {.type = EVENT_READY, .wall_ms = UINT64_C(1) << 60};
    is_refused(recording_of(&event, 1), ERR_RANGE, "recording/2");
    event = (struct event){.type = EVENT_READY, .now = {INT64_MAX}};
    is_refused(recording_of(&event, 1), ERR_RANGE, "recording/2");
    event = (struct event){.type = EVENT_BLOB_MISSING};
    is_refused(recording_of(&event, 1), ERR_RANGE, "recording/2");
    event = (struct event){.type = EVENT_STORED, .err = ERR_COUNT};
    is_refused(recording_of(&event, 1), ERR_RANGE, "recording/2");
    const struct command command = {.type = COMMAND_RECORD + 1};
    event = (struct event){.type = EVENT_COMMAND, .command = &command};
    is_refused(recording_of(&event, 1), ERR_RANGE, "recording/2");
}

/* --- The file ----------------------------------------------------------------------------------------------------------------- */

static void test_full(void **state)
{
    (void)state;
    struct replay *r;
    const size_t was = whole.len, most = was / 2;
    record_a_run(most);
    assert_true(whole.len <= most && whole.len > most / 2);
    same_to_the_end(whole, RECORDING_FULL);
    assert_int_equal(play(&r, whole), OK);
    assert_true(r->now.events > 0);
    replay_close(r);
    record_a_run(FILE_MAX);
    assert_int_equal(whole.len, was);
}

static void test_the_one_before_is_kept(void **state)
{
    (void)state;
    struct stat first, kept, new;
    assert_int_equal(stat(path, &first), 0);
    assert_int_equal(first.st_mode & 0777, 0600);
    record_a_run(FILE_MAX);
    assert_int_equal(stat(before, &kept), 0);
    assert_int_equal(stat(path, &new), 0);
    assert_true(kept.st_ino == first.st_ino && new.st_ino != first.st_ino);
}

static ino_t file_at(const char *name)
{
    struct stat is;
    assert_int_equal(stat(name, &is), 0);
    return is.st_ino;
}

/* This event alone, and no end. */
static ino_t record_without_end(const struct event *event)
{
    const struct core_options o = options();
    assert_int_equal(recorder_open(&recorder, path, FILE_MAX, &o), OK);
    recorder_event(recorder, NULL, event);
    recorder_close(recorder, NULL);
    return file_at(path);
}

static void test_the_first_that_was_cut_short_stays(void **state)
{
    (void)state;
    const struct event event = {.type = EVENT_READY};
    const ino_t first = record_without_end(&event), second = record_without_end(&event);
    assert_true(file_at(before) == first);
    const ino_t third = record_without_end(&event);
    assert_true(file_at(before) == first && file_at(again) == second);
    record_a_run(FILE_MAX);
    assert_true(file_at(before) == first && file_at(again) == third);
    record_a_run(FILE_MAX); /* the one before had its end */
    assert_true(file_at(before) == first && file_at(again) == third);
    assert_int_equal(unlink(before), 0); /* somebody has it elsewhere */
    const ino_t orderly = file_at(path), fourth = record_without_end(&event);
    assert_true(file_at(before) == orderly);
    record_a_run(FILE_MAX);
    assert_true(file_at(before) == fourth && file_at(again) == third);
    assert_int_equal(unlink(before), 0);
    assert_int_equal(unlink(again), 0);
}

static ino_t record_ticks(uint64_t bytes_max)
{
    const struct core_options o = options();
    assert_int_equal(recorder_open(&recorder, path, bytes_max, &o), OK);
    lone_watch = watch;
    lone = lone_new(world, CORE);
    for (uint32_t i = 0; i < RECORDING_EVENTS_A_CHECKPOINT; i++)
        lone_event(lone, (struct event){.type = EVENT_TICK});
    lone_watch = NULL;
    recorder_close(recorder, lone->core);
    lone_free(lone);
    return file_at(path);
}

/* Neither does a full one, whether it was an event that had no room or a checkpoint. */
static void test_what_has_its_end_does_not_stay(void **state)
{
    (void)state;
    struct recording_reader r;
    struct recording_frame f = {.type = RECORDING_START};
    (void)record_ticks(FILE_MAX);
    assert_int_equal(recording_begin(&r, read_back()), OK);
    while (f.type != RECORDING_CHECKPOINT) assert_int_equal(recording_next(&r, &f), OK);
    const uint64_t most[] = {FILE_MAX, r.at + RECORDING_END_BYTES, r.at + RECORDING_END_BYTES - 1, r.at};
    for (uint32_t i = 0; i < sizeof most / sizeof most[0]; i++) {
        const ino_t ended = record_ticks(most[i]);
        record_a_run(FILE_MAX);
        assert_true(file_at(before) == ended);
        record_a_run(FILE_MAX);
        assert_true(file_at(before) != ended);
    }
    assert_int_equal(access(again, F_OK), -1);
}

/* A message is the last thing, and its last bytes are those of an end but for the check, which is the message's. */
static void test_no_peer_ends_a_recording(void **state)
{
    (void)state;
    const struct span end = span_make(whole.data + whole.len - RECORDING_END_BYTES, RECORDING_END_BYTES - 8);
    const struct event event = {.type = EVENT_MESSAGE, .bytes = end};
    const ino_t first = record_without_end(&event);
    record_a_run(FILE_MAX);
    record_a_run(FILE_MAX);
    assert_true(file_at(before) == first);
    assert_int_equal(unlink(before), 0);
    assert_int_equal(unlink(again), 0);
}

static void test_no_file_can_be_made(void **state)
{
    (void)state;
    struct recorder *r;
    const struct core_options o = options();
    assert_int_equal(recorder_open(&r, "/tmp", FILE_MAX, &o), ERR_TYPE);
    assert_null(r);
    assert_int_equal(recorder_open(&r, "/nowhere/x.recording", FILE_MAX, &o), ERR_NOT_FOUND);
}

/* The node goes on, and the file stays good. */
static void test_what_cannot_be_replayed_ends_it(void **state)
{
    (void)state;
    struct replay *r;
    const struct core_options o = options();
    const struct event odd = {.type = EVENT_STORED, .token = CAP_PENDING};
    const struct event long_key = {.type = EVENT_RESTORE_LOST, .key = span_make(file_bytes, 1 << 16)};
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(recorder_open(&recorder, path, FILE_MAX, &o), OK);
        recorder_event(recorder, NULL, i == 0 ? &odd : &long_key);
        recorder_event(recorder, NULL, &(struct event){.type = EVENT_READY});
        recorder_close(recorder, NULL);
        assert_int_equal(play(&r, read_back()), OK);
        assert_true(r->now.events == 0 && !r->ended && r->unread == 0);
        replay_close(r);
    }
    record_a_run(FILE_MAX);
}

/* The disk takes no more: the core is stepped on, nobody waits, and what was written is good. */
static void test_the_disk_fails(void **state)
{
    (void)state;
    struct replay *r;
    struct rlimit was;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    const struct rlimit little = {whole.len / 2, was.rlim_max};
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
    record_a_run(FILE_MAX);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_true(whole.len <= little.rlim_cur);
    assert_int_equal(play(&r, whole), OK);
    assert_false(r->ended || r->differs);
    replay_close(r);
    record_a_run(FILE_MAX);
}

/* --- A program that stops at an assertion ---------------------------------------------------------------------------------------- */

enum { NO_CORE_BYTES = 1 << 30 };

/* A child, which says nothing and leaves no core, ends by SIGABRT. What it recorded until then. */
static struct span record_until_it_stops(void (*stops)(void))
{
    const struct rlimit none = {0, 0};
    int status;
    const pid_t pid = fork();
    if (pid == 0) {
        if (setrlimit(RLIMIT_CORE, &none) != 0 || freopen("/dev/null", "w", stderr) == NULL) _exit(1);
        stops();
        _exit(2);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    return read_back();
}

/* A large message gives the recorder's thread something to do. */
static void open_busy(const struct core_options *o)
{
    const struct event large = {.type = EVENT_MESSAGE, .bytes = span_make(changed_bytes, CAP_MESSAGE_BYTES)};
    if (recorder_open(&recorder, path, FILE_MAX, o) != OK) _exit(3);
    recorder_event(recorder, NULL, &large);
}

/* No core that is ready is told what its store lacks. */
static void stop_in_a_step(void)
{
    const struct core_options o = options();
    lone = lone_new(world, CORE);
    open_busy(&o);
    lone_watch = watch;
    lone_event(lone, (struct event){.type = EVENT_RESTORE_LOST});
}

static void on_fault(int signal_number)
{
    (void)signal_number;
    panic(__FILE__, __LINE__, "in the frame of the end");
}

/* The end's frame asks a core that cannot be read for its root, and the recorder's lock is held. */
static void stop_in_a_frame(void)
{
    const struct core_options o = options();
    void *core = mmap(NULL, NO_CORE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (core == MAP_FAILED || signal(SIGSEGV, on_fault) == SIG_ERR) _exit(4);
    open_busy(&o);
    recorder_event(recorder, NULL, &(struct event){.type = EVENT_RESTORE_LOST});
    recorder_close(recorder, core);
}

static void test_what_it_stops_at_is_recorded(void **state)
{
    (void)state;
    static void (*const stops[])(void) = {stop_in_a_step, stop_in_a_frame};
    struct recording_reader r;
    struct recording_frame f;
    for (uint32_t i = 0; i < 8; i++) {
        const struct span file = record_until_it_stops(stops[i % 2]);
        assert_int_equal(recording_begin(&r, file), OK);
        while (r.at < file.len) assert_int_equal(recording_next(&r, &f), OK);
        assert_int_equal(f.type, RECORDING_EVENT);
        assert_int_equal(f.event.type, EVENT_RESTORE_LOST);
    }
    record_a_run(FILE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same),
        cmocka_unit_test(test_no_share_is_recorded),
        cmocka_unit_test(test_torn_ends),
        cmocka_unit_test(test_flipped_bytes),
        cmocka_unit_test(test_other_results_are_told),
        cmocka_unit_test(test_other_limits),
        cmocka_unit_test(test_what_no_node_records),
        cmocka_unit_test(test_work_ends_as_it_can),
        cmocka_unit_test(test_fields_have_bounds),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_the_one_before_is_kept),
        cmocka_unit_test(test_the_first_that_was_cut_short_stays),
        cmocka_unit_test(test_what_has_its_end_does_not_stay),
        cmocka_unit_test(test_no_peer_ends_a_recording),
        cmocka_unit_test(test_no_file_can_be_made),
        cmocka_unit_test(test_what_cannot_be_replayed_ends_it),
        cmocka_unit_test(test_the_disk_fails),
        cmocka_unit_test(test_what_it_stops_at_is_recorded),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
