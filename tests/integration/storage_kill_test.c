/* Nothing acknowledged is lost (DESIGN §6): children write batches, report each acknowledged one through a pipe, and are
 * killed at random moments. After each kill the store is opened: every acknowledged batch is there, every batch is whole,
 * and they form a prefix, since batches apply in order. Every third round two children share the store, and the one that
 * lives must get on after the other is killed, perhaps holding the writer's lock. */
#include "storage/store.h"
#include "tests/storage_place.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { ROUNDS = 21, PARTS = 4, MAP_BYTES = 1 << 30, VALUE_BYTES_MAX = 9000 };

/* --- what the child does --- */

static struct span part_key(uint8_t out[9], uint32_t writer, uint32_t number, uint8_t part)
{
    store_u32(out, writer);
    store_u32(out + 4, number);
    out[8] = part;
    return span_make(out, 9);
}

/* Known from its name, and of every size from inline to overflow pages. */
static struct span part_value(uint8_t *out, uint32_t writer, uint32_t number, uint8_t part)
{
    size_t len = (writer * 7u + number * 131u + part * 2003u) % VALUE_BYTES_MAX;
    memset(out, (int)(number + part), len);
    return span_make(out, len);
}

struct child {
    int pipe;
    uint32_t writer;
};

struct promise {
    int pipe;
    uint32_t number;
};

static void acknowledge(void *context, enum err err)
{
    struct promise *promise = context;
    if (err != OK || write(promise->pipe, &promise->number, 4) != 4) _exit(2);
    free(promise);
}

static void child_submit(struct store *s, const struct child *c, uint32_t number)
{
    static uint8_t values[PARTS][VALUE_BYTES_MAX];
    uint8_t keys[PARTS][9];
    struct store_write writes[PARTS];
    for (uint8_t i = 0; i < PARTS; i++)
        writes[i] =
            (struct store_write){STORE_PUT_NEW, STORE_PROMISE, part_key(keys[i], c->writer, number, i),
                                 part_value(values[i], c->writer, number, i)};
    struct promise *promise = malloc(sizeof *promise);
    if (!promise) _exit(3);
    *promise = (struct promise){c->pipe, number};
    enum err err;
    while ((err = store_submit(s, writes, PARTS, acknowledge, promise)) == ERR_FULL) usleep(100);
    if (err != OK) _exit(4);
    if (number % 16 == 0) usleep(500); /* so that groups of every size happen */
}

static _Noreturn void child_main(const struct storage_place *place, struct child c)
{
    struct store *s = storage_place_open(place, MAP_BYTES);
    for (uint32_t number = 0; number < 20000; number++) child_submit(s, &c, number);
    for (;;) pause(); /* until killed */
}

/* --- what the parent sees --- */

struct watched {
    pid_t pid;
    int pipe;
    uint32_t acknowledged; /* batches 0..acknowledged-1 */
};

static struct watched child_start(const struct storage_place *place, uint32_t writer)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)close(ends[0]);
        child_main(place, (struct child){ends[1], writer});
    }
    assert_int_equal(close(ends[1]), 0);
    return (struct watched){pid, ends[0], 0};
}

/* Acknowledgements come in order. Returns false at the end of the pipe. */
static bool child_hear(struct watched *w)
{
    uint32_t number;
    ssize_t len = read(w->pipe, &number, 4);
    if (len == 0) return false;
    assert_int_equal(len, 4);
    assert_int_equal(number, w->acknowledged);
    w->acknowledged++;
    return true;
}

static void child_hear_until(struct watched *w, uint32_t acknowledged)
{
    while (w->acknowledged < acknowledged) assert_true(child_hear(w));
}

static void child_kill(struct watched *w)
{
    int status;
    assert_int_equal(kill(w->pid, SIGKILL), 0);
    assert_int_equal(waitpid(w->pid, &status, 0), w->pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL); /* it had not failed before */
    while (child_hear(w)) continue;
    assert_int_equal(close(w->pipe), 0);
}

/* How many of a batch's parts are there; each must have its own bytes. */
static uint32_t batch_parts(struct store *s, uint32_t writer, uint32_t number)
{
    static uint8_t value[VALUE_BYTES_MAX];
    uint8_t key[9];
    uint32_t found = 0;
    for (uint8_t i = 0; i < PARTS; i++) {
        struct span want = part_value(value, writer, number, i);
        enum err err = storage_expect(s, STORE_PROMISE, part_key(key, writer, number, i), want);
        assert_true(err == OK || err == ERR_NOT_FOUND);
        found += err == OK;
    }
    return found;
}

static uint32_t check_writer(struct store *s, uint32_t writer, uint32_t acknowledged)
{
    uint32_t number = 0;
    while (batch_parts(s, writer, number) == PARTS) number++;
    assert_true(number >= acknowledged);
    uint32_t kept = number;
    for (uint32_t ahead = 0; ahead < 200; ahead++) assert_int_equal(batch_parts(s, writer, number++), 0);
    return kept;
}

static void pause_us(uint32_t us)
{
    struct timespec time = {0, (long)us * 1000};
    (void)nanosleep(&time, NULL);
}

static uint32_t round_run(const struct storage_place *place, uint32_t round, bool shared, uint32_t life_us)
{
    struct watched first = child_start(place, 2 * round), second = {0, 0, 0};
    if (shared) second = child_start(place, 2 * round + 1);
    if (round % 4 != 0) child_hear_until(&first, 1); /* else: killed while opening, perhaps */
    pause_us(life_us);
    child_kill(&first);
    if (shared) {
        child_hear_until(&second, second.acknowledged + 20);
        child_kill(&second);
    }
    struct store *s = storage_place_open(place, MAP_BYTES);
    uint32_t kept = check_writer(s, 2 * round, first.acknowledged);
    if (shared) kept += check_writer(s, 2 * round + 1, second.acknowledged);
    if (round > 0) (void)check_writer(s, 2 * round - 2, 0); /* the past stays whole */
    store_close(s);
    return kept;
}

static void test_killed_writers_lose_nothing_acknowledged(void **state)
{
    struct storage_place place;
    uint32_t kept = 0;
    uint64_t random = 20;
    (void)state;
    storage_place_make(&place);
    for (uint32_t round = 0; round < ROUNDS; round++)
        kept += round_run(&place, round, round % 3 == 2, storage_random(&random, 40000));
    storage_place_remove(&place);
    assert_true(kept > ROUNDS); /* the rounds did write */
    (void)fprintf(stderr, "%u batches over %d kills\n", kept, ROUNDS + ROUNDS / 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_killed_writers_lose_nothing_acknowledged)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
