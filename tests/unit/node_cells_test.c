/* Work in processes of its own: what each says comes back whole, and one that stops is told apart from one that was ended. */
#include "node/cells.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { LONG = 7 }; /* the cell that never ends by itself */

static size_t work(const void *context, uint64_t cell, uint8_t answer[CELLS_ANSWER_MAX])
{
    if (cell == LONG)
        for (;;) (void)pause();
    memset(answer, *(const uint8_t *)context + (int)cell, CELLS_ANSWER_MAX);
    return CELLS_ANSWER_MAX;
}

static size_t stop(const void *context, uint64_t cell, uint8_t answer[CELLS_ANSWER_MAX])
{
    (void)context;
    (void)answer;
    if (cell != 0) (void)raise((int)cell);
    _exit(5);
}

/* The longest answers, more of them than jobs, and nobody reads until they are said. */
static void answers(void **state)
{
    static struct cells c = {.jobs = 3};
    static struct cells_end end;
    static const uint8_t first = 'a';
    const struct cells_work w = {work, &first};
    uint32_t seen = 0;
    (void)state;
    (void)signal(SIGCHLD, SIG_IGN); /* as whoever started this may have left it */
    for (uint64_t i = 0; i < 3; i++) assert_true(cells_start(&c, &w, i));
    assert_false(cells_start(&c, &w, 3));
    while (cells_running(&c) > 0) {
        if (!cells_wait(&c, &end, -1)) continue;
        assert_int_equal(end.len, CELLS_ANSWER_MAX);
        assert_int_equal(end.answer[0], 'a' + (int)end.cell);
        assert_int_equal(end.answer[CELLS_ANSWER_MAX - 1], 'a' + (int)end.cell);
        assert_int_equal(end.status, 0);
        seen |= 1U << end.cell;
    }
    assert_int_equal(seen, 7);
}

static void stopped(int by, bool panicked, const char *words)
{
    static struct cells c = {.jobs = 1};
    static struct cells_end end;
    const struct cells_work w = {stop, NULL};
    char said[64];
    assert_true(cells_start(&c, &w, (uint64_t)by));
    while (!cells_wait(&c, &end, -1)) {
    }
    assert_int_equal(end.len, 0);
    assert_int_equal(cells_panicked(&end), panicked);
    cells_say_stopped(said, sizeof said, &end);
    assert_string_equal(said, words);
}

static void without_an_answer(void **state)
{
    (void)state;
    stopped(SIGABRT, true, "its process stopped, with signal 6");
    stopped(SIGKILL, false, "its process stopped, with signal 9");
    stopped(SIGINT, false, "its process stopped, with signal 2");
    stopped(0, false, "its process stopped, with exit code 5");
}

/* It waits no longer than it is told to, and goes with its parent. */
static void one_that_does_not_end(void **state)
{
    static struct cells c = {.jobs = 1};
    static struct cells_end end;
    static const uint8_t first = 'a';
    const struct cells_work w = {work, &first};
    int pids[2], status;
    pid_t worker = 0;
    char rest;
    (void)state;
    assert_int_equal(pipe(pids), 0);
    const pid_t parent = fork();
    if (parent == 0) {
        const bool good = cells_start(&c, &w, LONG) && !cells_wait(&c, &end, 0) && cells_running(&c) == 1;
        const pid_t pid = c.slot[0].pid;
        _exit(good && write(pids[1], &pid, sizeof pid) == (ssize_t)sizeof pid ? 0 : 1);
    }
    (void)close(pids[1]);
    assert_int_equal(waitpid(parent, &status, 0), parent);
    assert_int_equal(status, 0);
    assert_int_equal(read(pids[0], &worker, sizeof worker), sizeof worker);
    assert_int_equal(read(pids[0], &rest, 1), 0); /* the worker has the other end, too, until it is gone */
    (void)close(pids[0]);
}

static void jobs(void **state)
{
    (void)state;
    assert_int_equal(cells_jobs_on(-1), 1);
    assert_int_equal(cells_jobs_on(2), 2);
    assert_int_equal(cells_jobs_on(CELLS_JOBS_MAX), CELLS_JOBS_MAX);
    assert_int_equal(cells_jobs_on(1000), CELLS_JOBS_MAX);
    assert_in_range(cells_jobs_here(), 1, CELLS_JOBS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(answers), cmocka_unit_test(without_an_answer),
                                       cmocka_unit_test(one_that_does_not_end), cmocka_unit_test(jobs)};
    return cmocka_run_group_tests_name("node_cells", tests, NULL, NULL);
}
