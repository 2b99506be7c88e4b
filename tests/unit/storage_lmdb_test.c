/* What only the LMDB maker promises: files, schema, quarantine, group commit, closing, other processes. */
#include "crypto/hash.h"
#include "storage/store.h"
#include "tests/storage_place.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { MAP_BYTES = 16 << 20 };

static int setup(void **state)
{
    struct storage_place *place = calloc(1, sizeof *place);
    assert_non_null(place);
    storage_place_make(place);
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    storage_place_remove(*state);
    free(*state);
    return 0;
}

static enum err try_open(const struct storage_place *place, bool read_only, struct store **out)
{
    return lmdb_store_open(
        out, &(struct lmdb_options){.path = place->store, .map_bytes = MAP_BYTES, .read_only = read_only});
}

static void expect_refusal(const struct storage_place *place, enum err want)
{
    struct store *s;
    assert_int_equal(try_open(place, false, &s), want);
    assert_null(s);
}

static struct store_status status_of(struct store *s)
{
    struct store_status status;
    assert_int_equal(store_status(s, &status), OK);
    return status;
}

static unsigned mode_of(const char *path)
{
    struct stat is;
    assert_int_equal(stat(path, &is), 0);
    return is.st_mode & 0777;
}

static void write_file(const char *path, struct span bytes)
{
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    assert_int_equal(write(file, bytes.data, bytes.len), bytes.len);
    assert_int_equal(close(file), 0);
}

static struct hash32 file_hash(const char *path)
{
    struct stat is;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(file >= 0 && fstat(file, &is) == 0);
    uint8_t *bytes = malloc((size_t)is.st_size);
    assert_non_null(bytes);
    assert_int_equal(read(file, bytes, (size_t)is.st_size), is.st_size);
    assert_int_equal(close(file), 0);
    struct hash32 hash = sha256(span_make(bytes, (size_t)is.st_size));
    free(bytes);
    return hash;
}

/* --- opening --- */

static void test_reopen_keeps_everything(void **state)
{
    const struct storage_place *place = *state;
    struct store *s = storage_place_open(place, MAP_BYTES);
    assert_int_equal(storage_put(s, STORE_PROMISE, SPAN_LITERAL("vote"), SPAN_LITERAL("A")), OK);
    struct hash32 incarnation = status_of(s).incarnation;
    assert_false(ID_IS_ZERO(incarnation));
    store_close(s);
    s = storage_place_open(place, 0); /* the default terabyte is only a reservation */
    assert_int_equal(storage_expect(s, STORE_PROMISE, SPAN_LITERAL("vote"), SPAN_LITERAL("A")), OK);
    assert_true(ID_EQUAL(status_of(s).incarnation, incarnation));
    assert_int_equal(status_of(s).map_bytes, 1ULL << 40);
    store_close(s);
}

static void test_incarnations_differ(void **state)
{
    struct storage_place other;
    storage_place_make(&other);
    struct store *a = storage_place_open(*state, MAP_BYTES), *b = storage_place_open(&other, MAP_BYTES);
    assert_false(ID_EQUAL(status_of(a).incarnation, status_of(b).incarnation));
    store_close(a);
    store_close(b);
    storage_place_remove(&other);
}

static void test_files_are_private(void **state)
{
    const struct storage_place *place = *state;
    char lock[128];
    (void)snprintf(lock, sizeof lock, "%s/lock.mdb", place->store);
    mode_t before = umask(0);
    assert_int_equal(mkdir(place->store, 0755), 0); /* an existing empty directory is taken, and closed */
    store_close(storage_place_open(place, MAP_BYTES));
    umask(before);
    assert_int_equal(mode_of(place->store), 0700);
    assert_int_equal(mode_of(place->data), 0600);
    assert_int_equal(mode_of(lock), 0600);
}

static void test_second_open_in_one_process_is_busy(void **state)
{
    struct store *s = storage_place_open(*state, MAP_BYTES);
    expect_refusal(*state, ERR_BUSY);
    assert_int_equal(storage_put(s, STORE_LOCAL, SPAN_LITERAL("k"), SPAN_NONE), OK);
    store_close(s);
    store_close(storage_place_open(*state, MAP_BYTES));
}

static void test_other_schema_is_refused_unchanged(void **state)
{
    const struct storage_place *place = *state;
    store_close(storage_place_open(place, MAP_BYTES));
    assert_true(storage_place_patch(place, SPAN_LITERAL("schema\0\0\0\2"), SPAN_LITERAL("schema\0\0\0\3")) >
                0);
    struct hash32 before = file_hash(place->data);
    expect_refusal(place, ERR_VERSION);
    assert_true(ID_EQUAL(file_hash(place->data), before));
    assert_true(storage_place_patch(place, SPAN_LITERAL("schema\0\0\0\3"), SPAN_LITERAL("schema\0\0\0\2")) >
                0);
    store_close(storage_place_open(place, MAP_BYTES));
}

static void test_foreign_environment_is_refused_unchanged(void **state)
{
    const struct storage_place *place = *state;
    store_close(storage_place_open(place, MAP_BYTES));
    assert_true(storage_place_patch(place, SPAN_LITERAL("perigee"), SPAN_LITERAL("somedb!")) > 0);
    struct hash32 before = file_hash(place->data);
    expect_refusal(place, ERR_REFUSED);
    assert_true(ID_EQUAL(file_hash(place->data), before));
}

static void test_foreign_directory_is_refused_unchanged(void **state)
{
    const struct storage_place *place = *state;
    char file[128];
    (void)snprintf(file, sizeof file, "%s/thesis.txt", place->store);
    assert_int_equal(mkdir(place->store, 0755), 0);
    write_file(file, SPAN_LITERAL("not a store"));
    expect_refusal(place, ERR_REFUSED);
    assert_int_equal(mode_of(place->store), 0755);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rmdir(place->store), 0); /* nothing was added */
}

static void test_garbage_is_corrupt(void **state)
{
    const struct storage_place *place = *state;
    static const uint8_t garbage[16384] = {1, 2, 3};
    assert_int_equal(mkdir(place->store, 0700), 0);
    write_file(place->data, SPAN_OF(garbage));
    struct hash32 before = file_hash(place->data);
    expect_refusal(place, ERR_CORRUPT);
    assert_true(ID_EQUAL(file_hash(place->data), before));
}

static void test_places_that_cannot_be(void **state)
{
    const struct storage_place *place = *state;
    struct storage_place wrong = {.store = "/proc/self/stat/store"};
    expect_refusal(&wrong, ERR_IO); /* the parent is a file */
    (void)snprintf(wrong.store, sizeof wrong.store, "%s/no/store", place->root);
    expect_refusal(&wrong, ERR_NOT_FOUND); /* no parent */
    write_file(place->store, SPAN_LITERAL("a file"));
    expect_refusal(place, ERR_IO);
    assert_int_equal(unlink(place->store), 0);
}

static void test_read_only(void **state)
{
    const struct storage_place *place = *state;
    struct store_write write = {STORE_PUT, STORE_LOCAL, SPAN_LITERAL("k"), SPAN_LITERAL("v")};
    struct store *s;
    assert_int_equal(try_open(place, true, &s), ERR_NOT_FOUND);
    s = storage_place_open(place, MAP_BYTES);
    assert_int_equal(store_write_now(s, &write, 1), OK);
    store_close(s);
    assert_int_equal(try_open(place, true, &s), OK);
    assert_int_equal(storage_expect(s, STORE_LOCAL, write.key, write.value), OK);
    assert_int_equal(store_write_now(s, &write, 1), ERR_REFUSED);
    assert_int_equal(store_submit(s, &write, 1, NULL, NULL), ERR_REFUSED);
    assert_int_equal(store_submit_patient(s, &write, 1, NULL, NULL), ERR_REFUSED);
    assert_int_equal(status_of(s).entries[STORE_LOCAL], 1);
    store_close(s);
}

/* --- quarantine --- */

static struct storage_blob damaged_blob(const struct storage_place *place)
{
    struct storage_blob blob = storage_blob_make(0x1e, SPAN_LITERAL("bytes that a disk will forget"));
    struct store *s = storage_place_open(place, MAP_BYTES);
    assert_int_equal(storage_put(s, STORE_BLOB, SPAN_OF(blob.key), blob.value), OK);
    store_close(s);
    assert_true(storage_place_patch(place, blob.value, SPAN_LITERAL("bytes that a disk will forgEt")) > 0);
    return blob;
}

static void test_corrupt_blob_is_moved_aside(void **state)
{
    struct storage_blob blob = damaged_blob(*state);
    uint8_t bytes[64];
    struct buffer out = BUFFER_OF(bytes);
    struct store *s = storage_place_open(*state, MAP_BYTES);
    buffer_put_text(&out, "kept");
    assert_int_equal(store_read(s, STORE_BLOB, SPAN_OF(blob.key), &out), ERR_CORRUPT);
    assert_int_equal(out.len, 4);
    assert_int_equal(store_write_now(s, NULL, 0), OK); /* the move happens on the writer thread */
    assert_int_equal(store_read(s, STORE_BLOB, SPAN_OF(blob.key), &out), ERR_NOT_FOUND);
    assert_int_equal(status_of(s).quarantined, 1);
    assert_int_equal(status_of(s).entries[STORE_BLOB], 0);
    store_close(s);
    s = storage_place_open(*state, MAP_BYTES);
    assert_int_equal(status_of(s).quarantined, 1);                                   /* durably so */
    assert_int_equal(storage_put(s, STORE_BLOB, SPAN_OF(blob.key), blob.value), OK); /* fetched again */
    assert_int_equal(storage_expect(s, STORE_BLOB, SPAN_OF(blob.key), blob.value), OK);
    store_close(s);
}

static void test_corrupt_blob_does_not_block_a_good_copy(void **state)
{
    struct storage_blob blob = damaged_blob(*state);
    struct store *s = storage_place_open(*state, MAP_BYTES);
    struct store_write write = {STORE_PUT_NEW, STORE_BLOB, SPAN_OF(blob.key), blob.value};
    assert_int_equal(store_write_now(s, &write, 1), OK);
    assert_int_equal(storage_expect(s, STORE_BLOB, SPAN_OF(blob.key), blob.value), OK);
    assert_int_equal(status_of(s).quarantined, 0);
    store_close(s);
}

static enum err count_visit(void *context, struct span key, struct span value)
{
    (void)key;
    (void)value;
    ++*(uint32_t *)context;
    return OK;
}

static void test_scan_passes_over_corrupt_blob(void **state)
{
    struct storage_blob bad = damaged_blob(*state), good = storage_blob_make(0x12, SPAN_LITERAL("sound"));
    struct store *s = storage_place_open(*state, MAP_BYTES);
    uint32_t count = 0;
    assert_int_equal(storage_put(s, STORE_BLOB, SPAN_OF(good.key), good.value), OK);
    assert_int_equal(store_scan_keys(s, STORE_BLOB, SPAN_NONE, count_visit, &count), OK);
    assert_int_equal(count, 2);
    count = 0;
    assert_int_equal(store_scan(s, STORE_BLOB, SPAN_NONE, count_visit, &count), OK);
    assert_int_equal(count, 1);
    assert_int_equal(store_write_now(s, NULL, 0), OK);
    assert_int_equal(status_of(s).quarantined, 1);
    assert_int_equal(store_has(s, STORE_BLOB, SPAN_OF(bad.key)), ERR_NOT_FOUND);
    store_close(s);
}

static void test_corrupt_blob_stays_in_a_read_only_store(void **state)
{
    struct storage_blob blob = damaged_blob(*state);
    struct store *s;
    assert_int_equal(try_open(*state, true, &s), OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(storage_expect(s, STORE_BLOB, SPAN_OF(blob.key), blob.value), ERR_CORRUPT);
    store_close(s);
}

/* --- the writer --- */

/* Holds the writer thread inside a `done`, so that what is submitted meanwhile waits and shares a group. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    bool entered, open;
};

static void gate_done(void *context, enum err err)
{
    struct gate *gate = context;
    assert_int_equal(err, OK);
    pthread_mutex_lock(&gate->lock);
    gate->entered = true;
    pthread_cond_signal(&gate->moved);
    while (!gate->open) pthread_cond_wait(&gate->moved, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
}

static void gate_shut(struct gate *gate, struct store *s)
{
    *gate = (struct gate){PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, false};
    assert_int_equal(store_submit(s, NULL, 0, gate_done, gate), OK);
    pthread_mutex_lock(&gate->lock);
    while (!gate->entered) pthread_cond_wait(&gate->moved, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
}

static void gate_release(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->open = true;
    pthread_cond_signal(&gate->moved);
    pthread_mutex_unlock(&gate->lock);
}

/* What the writer thread reports, in its order; read by the test after a barrier or a close. */
struct report {
    uint32_t count;
    enum err errs[8];
    uint32_t ok;
};

static void report_done(void *context, enum err err)
{
    struct report *report = context;
    if (report->count < 8) report->errs[report->count] = err;
    report->count++;
    report->ok += err == OK;
}

static enum err submit_number(struct store *s, uint32_t number, struct report *report)
{
    uint8_t key[4];
    store_u32(key, number);
    struct store_write write = {STORE_PUT, STORE_CHAIN, SPAN_OF(key), SPAN_NONE};
    return store_submit(s, &write, 1, report_done, report);
}

/* The move is judged when its turn comes: a good copy put before that must stay. */
static void test_good_copy_put_before_the_move_stays(void **state)
{
    struct storage_blob blob = damaged_blob(*state);
    struct store *s = storage_place_open(*state, MAP_BYTES);
    struct store_write write = {STORE_PUT, STORE_BLOB, SPAN_OF(blob.key), blob.value};
    struct gate gate;
    gate_shut(&gate, s);
    assert_int_equal(store_submit(s, &write, 1, NULL, NULL), OK);
    assert_int_equal(storage_expect(s, STORE_BLOB, SPAN_OF(blob.key), blob.value), ERR_CORRUPT);
    gate_release(&gate);
    assert_int_equal(store_write_now(s, NULL, 0), OK);
    assert_int_equal(storage_expect(s, STORE_BLOB, SPAN_OF(blob.key), blob.value), OK);
    assert_int_equal(status_of(s).quarantined, 0);
    store_close(s);
}

static void test_group_commit_shares_syncs(void **state)
{
    struct store *s = storage_place_open(*state, MAP_BYTES);
    struct gate gate;
    struct report report = {0};
    gate_shut(&gate, s);
    for (uint32_t i = 0; i < 500; i++) assert_int_equal(submit_number(s, i, &report), OK);
    uint64_t before = status_of(s).syncs;
    gate_release(&gate);
    assert_int_equal(store_write_now(s, NULL, 0), OK);
    assert_int_equal(report.ok, 500);
    struct store_status status = status_of(s);
    assert_int_equal(status.entries[STORE_CHAIN], 500);
    assert_true(status.syncs - before <= 2); /* one for the 500, perhaps one for the barrier */
    store_close(s);
}

/* Nobody hurries them, and still they are written: after a while, when there are many, and at the close. */
static void test_patience_ends(void **state)
{
    struct store *s = storage_place_open(*state, MAP_BYTES);
    struct gate gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, true};
    struct report report = {0};
    uint8_t key[4];
    const struct store_write write = {STORE_PUT, STORE_CHAIN, SPAN_OF(key), SPAN_NONE};
    assert_int_equal(store_submit_patient(s, NULL, 0, gate_done, &gate), OK);
    pthread_mutex_lock(&gate.lock);
    while (!gate.entered) pthread_cond_wait(&gate.moved, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
    for (uint32_t i = 0; i < 1500; i++) {
        store_u32(key, i);
        assert_int_equal(store_submit_patient(s, &write, 1, report_done, &report), OK);
    }
    store_close(s);
    assert_int_equal(report.ok, 1500);
    s = storage_place_open(*state, MAP_BYTES);
    assert_int_equal(status_of(s).entries[STORE_CHAIN], 1500);
    store_close(s);
}

static void test_queue_is_bounded(void **state)
{
    struct store *s = storage_place_open(*state, MAP_BYTES);
    struct gate gate;
    struct report report = {0};
    gate_shut(&gate, s);
    uint32_t taken = 0;
    enum err err;
    while ((err = submit_number(s, taken, &report)) == OK) taken++;
    assert_int_equal(err, ERR_FULL);
    assert_int_equal(taken, 4096);
    gate_release(&gate);
    assert_int_equal(store_write_now(s, NULL, 0), OK); /* the blocking form waits for room */
    assert_int_equal(report.ok, taken);
    store_close(s);
}

static void test_queue_is_bounded_in_bytes(void **state)
{
    struct store *s = storage_place_open(*state, 1 << 30);
    static uint8_t value[BLOB_BYTES_MAX];
    struct store_write write = {STORE_PUT, STORE_BODY, SPAN_LITERAL("k"), SPAN_OF(value)};
    struct gate gate;
    struct report report = {0};
    gate_shut(&gate, s);
    uint32_t taken = 0;
    while (store_submit(s, &write, 1, report_done, &report) == OK) taken++;
    assert_true(taken >= 100 && taken < 128);
    gate_release(&gate);
    store_close(s);
    assert_int_equal(report.ok, taken);
}

static void submit_text(struct store *s, enum store_op op, const char *key, struct span value,
                        struct report *report)
{
    struct store_write write = {op, STORE_LOCAL, span_text(key), value};
    assert_int_equal(store_submit(s, &write, 1, report_done, report), OK);
}

static void test_one_failure_sinks_no_other_batch(void **state)
{
    struct store *s = storage_place_open(*state, 2 << 20);
    static uint8_t large[BLOB_BYTES_MAX];
    struct gate gate;
    struct report report = {0};
    gate_shut(&gate, s);
    submit_text(s, STORE_PUT_NEW, "a", SPAN_LITERAL("1"), &report);
    submit_text(s, STORE_PUT_NEW, "a", SPAN_LITERAL("2"), &report);
    submit_text(s, STORE_PUT, "large", SPAN_OF(large), &report);
    submit_text(s, STORE_PUT, "larger", SPAN_OF(large), &report);
    submit_text(s, STORE_PUT, "b", SPAN_LITERAL("3"), &report);
    gate_release(&gate);
    assert_int_equal(store_write_now(s, NULL, 0), OK);
    const enum err want[] = {OK, ERR_CONFLICT, OK, ERR_FULL, OK};
    assert_int_equal(report.count, 5);
    for (int i = 0; i < 5; i++) assert_int_equal(report.errs[i], want[i]);
    assert_int_equal(storage_expect(s, STORE_LOCAL, SPAN_LITERAL("a"), SPAN_LITERAL("1")), OK);
    assert_int_equal(storage_expect(s, STORE_LOCAL, SPAN_LITERAL("b"), SPAN_LITERAL("3")), OK);
    assert_int_equal(store_has(s, STORE_LOCAL, SPAN_LITERAL("larger")), ERR_NOT_FOUND);
    store_close(s);
}

struct late {
    struct store *store;
    enum err submitted;
};

static void late_done(void *context, enum err err)
{
    struct late *late = context;
    assert_int_equal(err, OK);
    late->submitted = store_submit(late->store, NULL, 0, NULL, NULL);
}

static void *close_main(void *argument)
{
    store_close(argument);
    return NULL;
}

static void test_close_writes_what_is_queued(void **state)
{
    struct store *s = storage_place_open(*state, MAP_BYTES);
    struct gate gate;
    struct report report = {0};
    struct late late = {s, OK};
    pthread_t closer;
    gate_shut(&gate, s);
    for (uint32_t i = 0; i < 200; i++) assert_int_equal(submit_number(s, i, &report), OK);
    assert_int_equal(store_submit(s, NULL, 0, late_done, &late), OK);
    assert_int_equal(pthread_create(&closer, NULL, close_main, s), 0);
    usleep(
        20000); /* long enough for the close to begin: the outcome below depends on it only for late_done */
    gate_release(&gate);
    assert_int_equal(pthread_join(closer, NULL), 0);
    assert_int_equal(report.ok, 200);
    assert_true(late.submitted == ERR_CANCELLED || late.submitted == OK);
    s = storage_place_open(*state, MAP_BYTES);
    assert_int_equal(status_of(s).entries[STORE_CHAIN], 200);
    store_close(s);
}

/* --- threads and processes --- */

struct worker {
    pthread_t thread;
    struct store *store;
    uint8_t index;
    uint32_t failures;
};

/* Each batch puts one value under two keys; a reader must never see them differ beyond one later batch. */
static void *write_main(void *argument)
{
    struct worker *w = argument;
    for (uint32_t i = 0; i < 50; i++) {
        uint8_t value[4], keys[2][2] = {{w->index, 0}, {w->index, 1}};
        store_u32(value, i);
        struct store_write writes[] = {{STORE_PUT, STORE_LOCAL, SPAN_OF(keys[0]), SPAN_OF(value)},
                                       {STORE_PUT, STORE_LOCAL, SPAN_OF(keys[1]), SPAN_OF(value)}};
        w->failures += store_write_now(w->store, writes, 2) != OK;
        w->failures += storage_expect(w->store, STORE_LOCAL, SPAN_OF(keys[1]), SPAN_OF(value)) != OK;
    }
    return NULL;
}

struct pair {
    uint32_t seen[2], count;
};

static enum err pair_visit(void *context, struct span key, struct span value)
{
    struct pair *pair = context;
    if (key.len == 2 && value.len == 4) pair->seen[pair->count++ % 2] = load_u32(value.data);
    return OK;
}

static void *scan_main(void *argument)
{
    struct worker *w = argument;
    for (uint32_t i = 0; i < 2000; i++) {
        struct pair pair = {{0}, 0};
        w->failures += store_scan(w->store, STORE_LOCAL, span_make(&w->index, 1), pair_visit, &pair) != OK;
        w->failures += pair.count % 2 != 0 || pair.seen[0] != pair.seen[1]; /* one snapshot, whole batches */
    }
    return NULL;
}

static void test_readers_and_writers_together(void **state)
{
    struct store *s = storage_place_open(*state, MAP_BYTES);
    struct worker workers[6];
    for (uint8_t i = 0; i < 6; i++) {
        workers[i] = (struct worker){.store = s, .index = i % 3};
        assert_int_equal(
            pthread_create(&workers[i].thread, NULL, i < 3 ? write_main : scan_main, &workers[i]), 0);
    }
    for (uint8_t i = 0; i < 6; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
        assert_int_equal(workers[i].failures, 0);
    }
    store_close(s);
}

/* Runs `body` in a child that has no store of the parent's; returns the child's process id. */
static pid_t child(const struct storage_place *place, void (*body)(struct store *s, int ready))
{
    int ends[2];
    char byte;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct store *s = storage_place_open(place, MAP_BYTES);
        body(s, ends[1]);
        store_close(s);
        _exit(0);
    }
    assert_int_equal(close(ends[1]), 0);
    assert_int_equal(read(ends[0], &byte, 1), 1); /* the child is where it should be */
    assert_int_equal(close(ends[0]), 0);
    return pid;
}

static void wait_for(pid_t pid, int want_signal)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (want_signal)
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == want_signal);
    else
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void other_body(struct store *s, int ready)
{
    struct span answer = SPAN_LITERAL("answer"), question = SPAN_LITERAL("question");
    if (storage_put(s, STORE_LOCAL, question, SPAN_LITERAL("?")) != OK) _exit(1);
    if (write(ready, "", 1) != 1) _exit(2);
    for (int i = 0; store_has(s, STORE_LOCAL, answer) != OK; i++) {
        if (i == 10000) _exit(3);
        usleep(1000);
    }
}

static void test_two_processes_share_a_store(void **state)
{
    pid_t pid = child(*state, other_body);
    struct store *s = storage_place_open(*state, MAP_BYTES);
    assert_int_equal(storage_expect(s, STORE_LOCAL, SPAN_LITERAL("question"), SPAN_LITERAL("?")), OK);
    assert_int_equal(storage_put(s, STORE_LOCAL, SPAN_LITERAL("answer"), SPAN_LITERAL("!")), OK);
    wait_for(pid, 0);
    store_close(s);
}

/* A child that waits for a byte, then opens what may not exist yet, and puts its own id. */
static pid_t creator(const struct storage_place *place, int go)
{
    uint8_t byte, key[4];
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid != 0) return pid;
    if (read(go, &byte, 1) != 1) _exit(1);
    struct store *s = storage_place_open(place, MAP_BYTES);
    store_u32(key, (uint32_t)getpid());
    if (storage_put(s, STORE_LOCAL, SPAN_OF(key), SPAN_NONE) != OK) _exit(2);
    store_close(s);
    _exit(0);
}

static void test_two_processes_create_one_store(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        struct storage_place place;
        pid_t pids[2];
        int go[2];
        storage_place_make(&place);
        assert_int_equal(pipe2(go, O_CLOEXEC), 0);
        for (int j = 0; j < 2; j++) pids[j] = creator(&place, go[0]);
        assert_int_equal(write(go[1], "go", 2), 2);
        for (int j = 0; j < 2; j++) wait_for(pids[j], 0);
        struct store *s = storage_place_open(&place, MAP_BYTES);
        assert_int_equal(status_of(s).entries[STORE_LOCAL], 2);
        store_close(s);
        storage_place_remove(&place);
        assert_int_equal(close(go[0]) + close(go[1]), 0);
    }
}

static enum err stuck_visit(void *context, struct span key, struct span value)
{
    (void)key;
    (void)value;
    if (write(*(int *)context, "", 1) != 1) _exit(1);
    for (;;) pause();
}

static void stuck_body(struct store *s, int ready)
{
    if (storage_put(s, STORE_LOCAL, SPAN_LITERAL("k"), SPAN_NONE) != OK) _exit(2);
    if (store_scan(s, STORE_LOCAL, SPAN_NONE, stuck_visit, &ready) != OK) _exit(3);
}

/* A killed reader keeps every page since its snapshot until someone clears it: rewriting one value, many
 * times the map's size in all, only works if somebody does. */
static void test_stale_reader_is_cleared(void **state)
{
    static uint8_t value[200000];
    pid_t pid = child(*state, stuck_body);
    struct store *s = storage_place_open(*state, MAP_BYTES);
    uint32_t before = 0;
    while (value[0] = (uint8_t)before, storage_put(s, STORE_LOCAL, SPAN_LITERAL("v"), SPAN_OF(value)) == OK)
        before++;
    assert_true(before < 2 * MAP_BYTES / sizeof value); /* while it lives, its snapshot is kept */
    assert_int_equal(kill(pid, SIGKILL), 0);
    wait_for(pid, SIGKILL);
    for (uint32_t i = 0; i < 2 * before; i++) {
        value[0] = (uint8_t)(i + 1);
        assert_int_equal(storage_put(s, STORE_LOCAL, SPAN_LITERAL("v"), SPAN_OF(value)), OK);
    }
    store_close(s);
}

static void holding_body(struct store *s, int ready)
{
    (void)s;
    if (write(ready, "", 1) != 1) _exit(1);
    for (;;) pause();
}

/* As a process leaves it that is killed while it opens a store that another one waits for: LMDB's lock file without the
 * number of the last transaction, which the next writer would count from. */
static void forget_last_transaction(const struct storage_place *place, uint64_t last)
{
    char path[128];
    uint64_t head[16]; /* where in it differs between releases */
    uint32_t found = 0;
    (void)snprintf(path, sizeof path, "%s/lock.mdb", place->store);
    int file = open(path, O_RDWR | O_CLOEXEC);
    assert_true(file >= 0);
    assert_int_equal(pread(file, head, sizeof head, 0), sizeof head);
    const uint64_t none = 0;
    for (off_t i = 0; i < 16; i++) {
        if (head[i] != last) continue;
        assert_int_equal(pwrite(file, &none, sizeof none, 8 * i), sizeof none);
        found++;
    }
    assert_int_equal(found, 1);
    assert_int_equal(close(file), 0);
}

static void test_half_made_lock_is_not_followed(void **state)
{
    const struct storage_place *place = *state;
    struct store *s = storage_place_open(place, MAP_BYTES);
    enum { PUTS = 40 };
    for (uint8_t i = 0; i < PUTS; i++)
        assert_int_equal(storage_put(s, STORE_LOCAL, span_make(&i, 1), SPAN_NONE), OK);
    store_close(s);
    pid_t pid = child(place, holding_body);
    forget_last_transaction(place, 1 + PUTS); /* the first made the schema */
    expect_refusal(place, ERR_BUSY);
    assert_int_equal(kill(pid, SIGKILL), 0);
    wait_for(pid, SIGKILL);
    s = storage_place_open(place, MAP_BYTES); /* alone, it makes the lock file anew */
    assert_int_equal(status_of(s).entries[STORE_LOCAL], PUTS);
    store_close(s);
}

/* --- a file that was cut short or changed --- */

enum { PAGE_BYTES = 4096, DAMAGED_KEYS = 6 * STORE_BATCH_MAX };

static uint32_t fill_for_damage(const struct storage_place *place)
{
    static uint8_t value[3 * PAGE_BYTES];
    struct stat is;
    uint8_t key[DAMAGED_KEYS][8];
    struct store_write write[DAMAGED_KEYS];
    struct store *s = storage_place_open(place, MAP_BYTES);
    for (uint32_t i = 0; i < DAMAGED_KEYS; i++) {
        store_u32(key[i], i * 2654435761u); /* scattered, so that pages split and are freed in the middle */
        store_u32(key[i] + 4, i);
        const size_t len = i % 10 == 0 ? sizeof value : i % 700;
        write[i] = (struct store_write){STORE_PUT, STORE_LOCAL, SPAN_OF(key[i]), span_make(value, len)};
    }
    for (uint32_t i = 0; i < DAMAGED_KEYS; i += STORE_BATCH_MAX)
        assert_int_equal(store_write_now(s, write + i, STORE_BATCH_MAX), OK);
    store_close(s);
    assert_int_equal(stat(place->data, &is), 0);
    return (uint32_t)(is.st_size / PAGE_BYTES);
}

static uint8_t *read_all(const struct storage_place *place, size_t len)
{
    uint8_t *bytes = malloc(len);
    int file = open(place->data, O_RDONLY | O_CLOEXEC);
    assert_true(bytes != NULL && file >= 0);
    assert_int_equal(read(file, bytes, len), len);
    assert_int_equal(close(file), 0);
    return bytes;
}

static void write_all(const struct storage_place *place, const uint8_t *bytes, size_t len)
{
    assert_int_equal(truncate(place->data, 0), 0);
    write_file(place->data, span_make(bytes, len));
}

static void test_short_file_is_corrupt(void **state)
{
    const struct storage_place *place = *state;
    const size_t len = (size_t)fill_for_damage(place) * PAGE_BYTES;
    uint8_t *bytes = read_all(place, len);
    for (size_t part = 1; part < 32; part++) {
        write_all(place, bytes, len * part / 32 - part % 3);
        struct hash32 before = file_hash(place->data);
        expect_refusal(place, ERR_CORRUPT);
        assert_true(ID_EQUAL(file_hash(place->data), before));
    }
    write_all(place, bytes, len);
    store_close(storage_place_open(place, MAP_BYTES));
    free(bytes);
}

static enum err sum_visit(void *context, struct span key, struct span value)
{
    *(size_t *)context += key.len + value.len;
    return OK;
}

/* Refused, or not needed to find anything: what is read and written then ends in order. */
static bool use_damaged(const struct storage_place *place)
{
    struct store *s;
    size_t total = 0;
    enum err err = try_open(place, false, &s);
    if (err != OK) {
        assert_int_equal(err, ERR_CORRUPT);
        return false;
    }
    err = store_scan(s, STORE_LOCAL, SPAN_NONE, sum_visit, &total);
    assert_true(err == OK || err == ERR_CORRUPT);
    err = storage_put(s, STORE_LOCAL, SPAN_LITERAL("one more"), SPAN_NONE);
    assert_true(err == OK || err == ERR_CORRUPT);
    store_close(s);
    return true;
}

/* Whatever byte of a page's head or of what leads on from it is changed. */
static void test_changed_pages_do_no_harm(void **state)
{
    const struct storage_place *place = *state;
    const uint32_t page_count = fill_for_damage(place);
    const size_t len = (size_t)page_count * PAGE_BYTES;
    uint8_t *bytes = read_all(place, len);
    uint64_t seed = 11;
    uint32_t refused = 0;
    for (uint32_t i = 0; i < 400; i++) {
        uint8_t *at = bytes + (2 + storage_random(&seed, page_count - 2)) * (size_t)PAGE_BYTES +
                      storage_random(&seed, 64);
        const uint8_t before = *at;
        *at = (uint8_t)storage_random(&seed, 256);
        write_all(place, bytes, len);
        refused += !use_damaged(place);
        *at = before;
    }
    free(bytes);
    assert_in_range(refused, 20, 400); /* the rest hit free pages, or what nothing depends on */
}

/* Damage under a process that has the store open ends it: one line, and the exit code of a refusal. `body` ends otherwise. */
static void expect_end(const struct storage_place *place,
                       void (*body)(const struct storage_place *, struct store *))
{
    static char line[1024];
    int told[2];
    assert_int_equal(pipe2(told, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct store *s = storage_place_open(place, MAP_BYTES);
        if (dup2(told[1], STDERR_FILENO) < 0) _exit(9);
        body(place, s);
        _exit(8);
    }
    int status;
    assert_int_equal(close(told[1]), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    ssize_t len = 0;
    for (ssize_t got; (got = read(told[0], line + len, sizeof line - 1 - (size_t)len)) > 0;) len += got;
    line[len] = 0;
    assert_int_equal(close(told[0]), 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    assert_non_null(strstr(line, place->store));
    assert_non_null(strstr(line, " is damaged"));
    assert_ptr_equal(strchr(line, '\n'), line + len - 1);
}

static void cut_short(const struct storage_place *place, struct store *s)
{
    size_t total = 0;
    if (truncate(place->data, 2 * (off_t)PAGE_BYTES) != 0) _exit(9);
    (void)!store_scan(s, STORE_LOCAL, SPAN_NONE, sum_visit, &total);
}

static void test_cut_short_while_open(void **state)
{
    (void)fill_for_damage(*state);
    expect_end(*state, cut_short);
}

/* --- the pages of a large value --- */

enum { LARGE_BYTES = 2 * PAGE_BYTES };

static struct span large(uint8_t fill)
{
    static uint8_t value[LARGE_BYTES];
    memset(value, fill, sizeof value);
    return SPAN_OF(value);
}

/* The file with one byte of the head of the first page of `value` changed, which must be in it. */
static void change_head(const struct storage_place *place, struct span value, size_t offset)
{
    struct stat is;
    assert_int_equal(stat(place->data, &is), 0);
    uint8_t *bytes = read_all(place, (size_t)is.st_size), *at = bytes + 2 * PAGE_BYTES;
    while (memcmp(at + 16, value.data, PAGE_BYTES - 16) != 0) at += PAGE_BYTES;
    at[offset] ^= 0x20; /* a number of 8, a kind at 10, and a count at 12 */
    write_all(place, bytes, (size_t)is.st_size);
    free(bytes);
}

static const uint8_t head_offsets[] = {0, 7, 10, 12, 15};

/* LMDB frees as many pages as the head of the first one says. */
static void test_pages_of_a_value_are_those_that_were_written(void **state)
{
    const struct storage_place *place = *state;
    const struct span value = large(0xaa);
    struct store *s = storage_place_open(place, MAP_BYTES);
    assert_int_equal(storage_put(s, STORE_LOCAL, SPAN_LITERAL("large"), value), OK);
    store_close(s);
    for (size_t i = 0; i < sizeof head_offsets; i++) {
        change_head(place, value, head_offsets[i]);
        expect_refusal(place, ERR_CORRUPT);
        change_head(place, value, head_offsets[i]);
    }
    store_close(storage_place_open(place, MAP_BYTES));
}

/* Blobs are many, and looked at one by one when they go; or all, for who asks for that. What cannot go stays, and is read. */
static void test_pages_of_a_blob_are_looked_at_when_it_goes(void **state)
{
    const struct storage_place *place = *state;
    const struct storage_blob blob = storage_blob_make(0x12, large(0xbb));
    const struct store_write gone = {STORE_DELETE, STORE_BLOB, SPAN_OF(blob.key), SPAN_NONE};
    struct lmdb_options options = {.path = place->store, .map_bytes = MAP_BYTES};
    struct store *s = storage_place_open(place, MAP_BYTES);
    assert_int_equal(storage_put(s, STORE_BLOB, SPAN_OF(blob.key), blob.value), OK);
    store_close(s);
    for (size_t i = 0; i < sizeof head_offsets; i++) {
        change_head(place, blob.value, head_offsets[i]);
        options.every_value = true;
        assert_int_equal(lmdb_store_open(&s, &options), ERR_CORRUPT);
        options.every_value = false;
        assert_int_equal(lmdb_store_open(&s, &options), OK);
        assert_int_equal(storage_expect(s, STORE_BLOB, SPAN_OF(blob.key), blob.value), OK);
        assert_int_equal(store_write_now(s, &gone, 1), ERR_CORRUPT);
        assert_int_equal(storage_put(s, STORE_LOCAL, SPAN_LITERAL("another"), SPAN_LITERAL("goes on")), OK);
        assert_int_equal(storage_expect(s, STORE_BLOB, SPAN_OF(blob.key), blob.value), OK);
        store_close(s);
        change_head(place, blob.value, head_offsets[i]);
    }
    s = storage_place_open(place, MAP_BYTES);
    assert_int_equal(store_write_now(s, &gone, 1), OK);
    store_close(s);
}

/* Two batches of one transaction: the pages are as many as the shorter value needs. */
static void test_shorter_value_in_one_transaction(void **state)
{
    const struct storage_place *place = *state;
    struct store *s = storage_place_open(place, MAP_BYTES);
    struct gate gate;
    static uint8_t value[5 * PAGE_BYTES];
    gate_shut(&gate, s);
    for (size_t len = sizeof value; len > PAGE_BYTES; len -= PAGE_BYTES) {
        const struct store_write write = {STORE_PUT, STORE_LOCAL, SPAN_LITERAL("name"),
                                          span_make(value, len)};
        assert_int_equal(store_submit(s, &write, 1, NULL, NULL), OK);
    }
    gate_release(&gate);
    store_close(s);
    s = storage_place_open(place, MAP_BYTES);
    assert_int_equal(
        storage_expect(s, STORE_LOCAL, SPAN_LITERAL("name"), span_make(value, 2 * (size_t)PAGE_BYTES)), OK);
    const struct store_write gone = {STORE_DELETE, STORE_LOCAL, SPAN_LITERAL("name"), SPAN_NONE};
    assert_int_equal(store_write_now(s, &gone, 1), OK);
    store_close(s);
}

/* The list of pages that a large delete freed is itself on pages of its own, at times more of them than it needs. */
static void test_many_pages_are_freed(void **state)
{
    enum { VALUES = 60, VALUE_BYTES = 1 << 20, AT_ONCE = 20, LATER = 40 };
    static uint8_t value[VALUE_BYTES], key[VALUES + LATER];
    struct store_write write[VALUES];
    struct storage_place place;
    (void)state;
    storage_place_make(&place);
    struct store *s = storage_place_open(&place, 0);
    for (uint8_t i = 0; i < sizeof key; i++) key[i] = i;
    for (uint32_t i = 0; i < VALUES; i++)
        write[i] = (struct store_write){STORE_PUT, STORE_LOCAL, span_make(&key[i], 1), SPAN_OF(value)};
    for (uint32_t i = 0; i < VALUES; i += AT_ONCE)
        assert_int_equal(store_write_now(s, write + i, AT_ONCE), OK);
    for (uint32_t i = 0; i < VALUES; i++) write[i].op = STORE_DELETE;
    assert_int_equal(store_write_now(s, write, VALUES), OK);
    for (uint32_t i = 0; i < LATER; i++) {
        const struct span name = span_make(&key[VALUES + i], 1);
        assert_int_equal(storage_put(s, STORE_LOCAL, name, span_make(value, 100)), OK);
        store_close(s);
        s = storage_place_open(&place, 0);
    }
    store_close(s);
    storage_place_remove(&place);
}

#define ONE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ONE(test_reopen_keeps_everything),
        ONE(test_incarnations_differ),
        ONE(test_files_are_private),
        ONE(test_second_open_in_one_process_is_busy),
        ONE(test_other_schema_is_refused_unchanged),
        ONE(test_foreign_environment_is_refused_unchanged),
        ONE(test_foreign_directory_is_refused_unchanged),
        ONE(test_garbage_is_corrupt),
        ONE(test_short_file_is_corrupt),
        ONE(test_changed_pages_do_no_harm),
        ONE(test_cut_short_while_open),
        ONE(test_pages_of_a_value_are_those_that_were_written),
        ONE(test_pages_of_a_blob_are_looked_at_when_it_goes),
        ONE(test_shorter_value_in_one_transaction),
        ONE(test_many_pages_are_freed),
        ONE(test_places_that_cannot_be),
        ONE(test_read_only),
        ONE(test_corrupt_blob_is_moved_aside),
        ONE(test_corrupt_blob_does_not_block_a_good_copy),
        ONE(test_scan_passes_over_corrupt_blob),
        ONE(test_corrupt_blob_stays_in_a_read_only_store),
        ONE(test_good_copy_put_before_the_move_stays),
        ONE(test_group_commit_shares_syncs),
        ONE(test_patience_ends),
        ONE(test_queue_is_bounded),
        ONE(test_queue_is_bounded_in_bytes),
        ONE(test_one_failure_sinks_no_other_batch),
        ONE(test_close_writes_what_is_queued),
        ONE(test_readers_and_writers_together),
        ONE(test_two_processes_share_a_store),
        ONE(test_two_processes_create_one_store),
        ONE(test_stale_reader_is_cleared),
        ONE(test_half_made_lock_is_not_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
