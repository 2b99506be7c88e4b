/* log: lines as logfmt and JSON, names that lines bring along, how many at once, and what is no text. */
#include "node/log.h"

#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char written[1 << 17];
static char path[] = "/tmp/perigee-log-XXXXXX";
static int file = -1, before = -1;

/* stderr goes into a file from here on. */
static void listen_in(void)
{
    (void)fflush(stderr);
    assert_int_equal(ftruncate(file, 0), 0);
    assert_int_equal(lseek(file, 0, SEEK_SET), 0);
    before = dup(STDERR_FILENO);
    assert_true(before >= 0 && dup2(file, STDERR_FILENO) >= 0);
}

static const char *heard(void)
{
    assert_true(dup2(before, STDERR_FILENO) >= 0);
    (void)close(before);
    const ssize_t got = pread(file, written, sizeof written - 1, 0);
    assert_true(got >= 0);
    written[got] = 0;
    return written;
}

static const struct node_id node = {{0xab, 0xcd}};

static void logfmt_lines(void **state)
{
    (void)state;
    log_begin(LOG_INFO, false, node);
    listen_in();
    log_say(LOG_NODE_READY, "a \"quoted\" back\\slash\nand \xff, %d", 7);
    const char *line = heard();
    assert_memory_equal(line, "time=20", 7);
    assert_non_null(strstr(line, "Z level=info event=node.ready node=abcd000000000000 "
                                 "msg=\"a \\\"quoted\\\" back\\\\slash?and ?, 7\"\n"));
    assert_null(strchr(strchr(line, '\n') + 1, '\n'));
}

static void json_lines(void **state)
{
    (void)state;
    log_begin(LOG_INFO, true, node);
    listen_in();
    log_say(LOG_HEALTH_FAILED, "%s", "a \"b\" \\ \x01\x80 \xc3\xa9");
    json_t *line = json_loads(heard(), JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(line);
    assert_string_equal(json_string_value(json_object_get(line, "event")), "health.failed");
    assert_string_equal(json_string_value(json_object_get(line, "level")), "warn");
    assert_string_equal(json_string_value(json_object_get(line, "msg")), "a \"b\" \\ ?? \xc3\xa9");
    assert_int_equal(json_object_size(line), 5);
    json_decref(line);
}

static void levels_leave_out(void **state)
{
    (void)state;
    log_begin(LOG_ERROR, false, node);
    listen_in();
    log_say(LOG_NODE_STOPPING, "x");
    log_say(LOG_ENCLAVE_UNAVAILABLE, "x");
    log_say(LOG_STORE_FAILED, "y");
    const char *line = heard();
    assert_non_null(strstr(line, "level=error event=store.failed"));
    assert_null(strstr(line, "msg=\"x\""));
    enum log_level level = LOG_INFO;
    assert_true(log_level_parse(&level, "debug"));
    assert_int_equal(level, LOG_DEBUG);
    assert_false(log_level_parse(&level, "loud"));
}

static void lines_without_a_name(void **state)
{
    (void)state;
    assert_int_equal(log_event_of(SPAN_LITERAL("elected for run 0011"), LOG_OTHER), LOG_RUN_ELECTED);
    assert_int_equal(log_event_of(SPAN_LITERAL("elected"), LOG_OTHER), LOG_OTHER);
    assert_int_equal(log_event_of(SPAN_LITERAL("link with ipc://x ended: y"), LOG_OTHER), LOG_LINK);
    assert_int_equal(log_event_of(SPAN_NONE, LOG_ENCLAVE), LOG_ENCLAVE);
    for (uint32_t i = 0; i < LOG_EVENT_COUNT; i++) { /* no name twice, and text only */
        const char *name = log_event_name((enum log_event)i);
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz.-"), strlen(name));
        for (uint32_t j = 0; j < i; j++) assert_string_not_equal(name, log_event_name((enum log_event)j));
    }
}

/* A flood of one name leaves the others their lines, and says how many it lost. */
static void floods_are_bounded(void **state)
{
    uint64_t lines[LOG_LEVEL_COUNT], left_out, count = 0;
    (void)state;
    log_begin(LOG_INFO, false, node);
    listen_in();
    for (int i = 0; i < 20000; i++) log_pass_on(LOG_OTHER, SPAN_LITERAL("malformed message from 00"));
    log_say(LOG_MEMBER_ASKS, "another");
    const char *all = heard();
    for (const char *at = all; (at = strstr(at, "peer.malformed")) != NULL; at++) count++;
    assert_true(count >= LOG_BURST && count < 2000);
    assert_non_null(strstr(all, "another"));
    log_counts(lines, &left_out);
    assert_true(left_out >= 20000 - 2000);
    listen_in();
    do log_pass_on(LOG_OTHER, SPAN_LITERAL("malformed message from 00"));
    while (lseek(file, 0, SEEK_END) == 0); /* until one is written again */
    assert_non_null(strstr(heard(), " left_out="));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logfmt_lines),       cmocka_unit_test(json_lines),
        cmocka_unit_test(levels_leave_out),   cmocka_unit_test(lines_without_a_name),
        cmocka_unit_test(floods_are_bounded),
    };
    file = mkstemp(path);
    if (file < 0) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(path);
    return failed;
}
