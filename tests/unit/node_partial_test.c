/* What is done is there again after any end, torn lines are no results, and a file of other work is left alone. */
#include "node/partial.h"

#include "node/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/perigee-partial.XXXXXX", path[64], fault[256], taken[256];

static int setup(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL) return 1;
    (void)snprintf(path, sizeof path, "%s/a", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(folder);
}

static void take(void *context, struct span text)
{
    (void)context;
    const size_t len = strlen(taken);
    (void)snprintf(taken + len, sizeof taken - len, "%.*s;", (int)text.len, (const char *)text.data);
}

static enum err again(struct partial *p, const char *work)
{
    taken[0] = 0;
    return partial_open(p, path, work, take, NULL, fault, sizeof fault);
}

static void begin(struct partial *p)
{
    (void)unlink(path);
    assert_int_equal(again(p, "work 1"), OK);
    assert_string_equal(taken, "");
    assert_int_equal(partial_append(p, SPAN_LITERAL("one")), OK);
    assert_int_equal(partial_append(p, SPAN_LITERAL("two")), OK);
    assert_int_equal(partial_append(p, SPAN_LITERAL("three")), OK);
    partial_close(p);
}

/* What is in the file, for the caller to free. */
static char *whole(size_t *len)
{
    static char *text;
    assert_int_equal(file_read(&text, len, path, 4096), OK);
    return text;
}

static void put(const char *text, size_t len)
{
    assert_int_equal(file_write(path, span_make(text, len), 0600, true), OK);
}

static void it_goes_on(void **state)
{
    struct partial p;
    (void)state;
    begin(&p);
    assert_int_equal(again(&p, "work 1"), OK);
    assert_string_equal(taken, "one;two;three;");
    assert_int_equal(partial_append(&p, SPAN_LITERAL("four")), OK);
    partial_close(&p);
    assert_int_equal(again(&p, "work 1"), OK);
    assert_string_equal(taken, "one;two;three;four;");
    partial_done(&p);
    assert_int_equal(access(path, F_OK), -1);
}

/* Cut anywhere: every whole line counts, and what is added next does not join what was torn. */
static void torn(void **state)
{
    static const char *const expected[] = {"", "", "one;", "one;two;"};
    struct partial p;
    size_t len, used;
    (void)state;
    begin(&p);
    char *text = whole(&len);
    for (used = 0; used < len; used++) {
        put(text, used);
        uint32_t lines = 0;
        for (size_t i = 0; i < used; i++) lines += text[i] == '\n';
        assert_int_equal(again(&p, "work 1"), OK);
        assert_string_equal(taken, expected[lines]);
        assert_int_equal(partial_append(&p, SPAN_LITERAL("next")), OK);
        partial_close(&p);
        assert_int_equal(again(&p, "work 1"), OK);
        assert_string_equal(strstr(taken, "next;"), "next;");
        assert_memory_equal(taken, expected[lines], strlen(expected[lines]));
        partial_close(&p);
    }
    free(text);
}

/* Any byte of a line changed: that line is none, the others are. */
static void changed(void **state)
{
    struct partial p;
    size_t len;
    (void)state;
    begin(&p);
    char *text = whole(&len);
    const char *two = strstr(text, "two");
    assert_non_null(two);
    const size_t line = (size_t)(two - text) - 17;
    for (size_t i = line; i < line + 20; i++) {
        text[i] ^= 1;
        put(text, len);
        text[i] ^= 1;
        assert_int_equal(again(&p, "work 1"), OK);
        assert_string_equal(taken, "one;three;");
        partial_close(&p);
    }
    free(text);
}

static void of_other_work(void **state)
{
    static const char *const other[] = {"work 2\n", "work 1 \n", "\n", "work 2", "work 10", "notes of mine"};
    struct partial p;
    size_t len;
    (void)state;
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
        put(other[i], strlen(other[i]));
        assert_int_equal(again(&p, "work 1"), ERR_CONFLICT);
        assert_non_null(strstr(fault, "finish that one, or remove the file"));
        char *text = whole(&len);
        assert_string_equal(text, other[i]);
        free(text);
    }
    (void)unlink(path);
    assert_int_equal(symlink("b", path), 0);
    assert_int_equal(again(&p, "work 1"), ERR_REFUSED);
    (void)unlink(path);
}

/* The lock is the process's, and not of those that it forks: as long as it lives, and no longer. */
static void two_at_once(void **state)
{
    struct partial p;
    int status;
    (void)state;
    begin(&p);
    assert_int_equal(again(&p, "work 1"), OK);
    pid_t pid = fork();
    if (pid == 0) {
        struct partial other;
        const bool busy = again(&other, "work 1") == ERR_BUSY && strstr(fault, "another process") != NULL;
        _exit(busy && taken[0] == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    partial_close(&p);
    pid = fork();
    if (pid == 0) _exit(again(&p, "work 1") == OK ? 0 : 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(it_goes_on), cmocka_unit_test(torn),
                                       cmocka_unit_test(changed), cmocka_unit_test(of_other_work),
                                       cmocka_unit_test(two_at_once)};
    return cmocka_run_group_tests_name("node_partial", tests, setup, teardown);
}
