/* The command line as far as it goes without a node: dispatch, help, options, exit codes, suggestions. */
#include "node/arguments.h"
#include "node/closest.h"
#include "node/command.h"
#include "node/yaml_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { SAID_MAX = 16384, WORD_MAX = 16 };

static char said[2][SAID_MAX]; /* on stdout, on stderr */

/* Run a command line with stdout and stderr in files; the words are separated by one space. */
static int run(const char *line)
{
    char text[512], *argv[WORD_MAX + 1] = {NULL}, *save = NULL;
    FILE *file[2] = {tmpfile(), tmpfile()};
    int argc = 0, kept[2];
    (void)snprintf(text, sizeof text, "%s", line);
    for (char *at = strtok_r(text, " ", &save); at != NULL && argc < WORD_MAX;
         at = strtok_r(NULL, " ", &save))
        argv[argc++] = at;
    for (int i = 0; i < 2; i++) {
        (void)fflush(i == 0 ? stdout : stderr);
        kept[i] = dup(i + 1);
        assert_non_null(file[i]);
        assert_int_equal(dup2(fileno(file[i]), i + 1), i + 1);
    }
    int code = command_main(argc, argv);
    for (int i = 0; i < 2; i++) {
        (void)fflush(i == 0 ? stdout : stderr);
        assert_int_equal(dup2(kept[i], i + 1), i + 1);
        (void)close(kept[i]);
        rewind(file[i]);
        said[i][fread(said[i], 1, SAID_MAX - 1, file[i])] = 0;
        (void)fclose(file[i]);
    }
    return code;
}

static bool says(int stream, const char *text)
{
    if (strstr(said[stream], text) != NULL) return true;
    print_error("expected \"%s\" in:\n%s\n", text, said[stream]);
    return false;
}

/* --- Dispatch and help ---------------------------------------------------------------------------------------------- */

#define NAME_OF(noun, verb, function, arguments, summary) {noun, verb, arguments, summary},
static const struct {
    const char *noun, *verb, *arguments, *summary;
} table[] = {COMMAND_TABLE(NAME_OF)};
#undef NAME_OF
enum { TABLE_COUNT = sizeof table / sizeof table[0] };

static void test_help_names_everything(void **state)
{
    char name[64];
    (void)state;
    assert_int_equal(run("perigee help"), EXIT_OK);
    for (int i = 0; i < TABLE_COUNT; i++) {
        (void)snprintf(name, sizeof name, "%s%s%s", table[i].noun, table[i].verb[0] != 0 ? " " : "",
                       table[i].verb);
        if (strncmp(table[i].summary, "internal:", 9) == 0)
            assert_null(strstr(said[0], table[i].noun));
        else
            assert_true(says(0, name) && says(0, table[i].summary));
    }
    assert_int_equal(run("perigee"), EXIT_OK);
    assert_true(says(0, "usage: perigee COMMAND"));
    assert_int_equal(run("perigee --help"), EXIT_OK);
}

/* Every command answers --help with its usage and does nothing. */
static void test_every_command_has_help(void **state)
{
    char line[128];
    (void)state;
    for (int i = 0; i < TABLE_COUNT; i++) {
        (void)snprintf(line, sizeof line, "perigee %s %s --help", table[i].noun, table[i].verb);
        assert_int_equal(run(line), EXIT_OK);
        assert_true(says(0, table[i].summary) && says(0, table[i].arguments));
    }
    assert_int_equal(run("perigee help run"), EXIT_OK);
    assert_true(says(0, "perigee run request") && says(0, "perigee run receipt"));
    assert_null(strstr(said[0], "perigee seal"));
    assert_int_equal(run("perigee run --help"), EXIT_OK);
}

static void test_version(void **state)
{
    (void)state;
    assert_int_equal(run("perigee --version"), EXIT_OK);
    assert_true(says(0, "perigee "));
}

/* In front of the command `--json` is what it is behind it, and help is help: nothing is taken for done that was not. */
static void test_options_in_front(void **state)
{
    (void)state;
    assert_int_equal(run("perigee --json stauts"), EXIT_USAGE);
    assert_true(says(1, "did you mean `perigee status`"));
    assert_int_equal(run("perigee --json run reqest"), EXIT_USAGE);
    assert_int_equal(run("perigee --json status --dta x"), EXIT_USAGE);
    assert_true(says(1, "did you mean --data") && says(1, "{"));
    assert_int_equal(run("perigee --json verify /nonexistent"), run("perigee verify --json /nonexistent"));
    assert_int_not_equal(run("perigee --json verify /nonexistent"), EXIT_OK);
    assert_int_equal(run("perigee --json --data x status"), EXIT_USAGE);
    assert_int_equal(run("perigee --json --version"), EXIT_OK);
    assert_true(says(0, "{\"version\""));
    assert_int_equal(run("perigee --version status"), EXIT_USAGE);
    assert_int_equal(run("perigee --help verify"), EXIT_OK);
    assert_true(says(0, "usage: perigee verify"));
    assert_int_equal(run("perigee -h stauts"), EXIT_USAGE);
    assert_int_equal(run("perigee --json"), EXIT_OK);
}

static void test_unknown_words(void **state)
{
    (void)state;
    assert_int_equal(run("perigee stauts"), EXIT_USAGE);
    assert_true(says(1, "did you mean `perigee status`"));
    assert_int_equal(run("perigee run reqest"), EXIT_USAGE);
    assert_true(says(1, "perigee run request"));
    assert_int_equal(run("perigee run"), EXIT_USAGE);
    assert_true(says(1, "expected one of request why list show receipt"));
    assert_int_equal(run("perigee xyzzyplugh"), EXIT_USAGE);
    assert_null(strstr(said[1], "did you mean"));
    assert_int_equal(run("perigee status --dta x"), EXIT_USAGE);
    assert_true(says(1, "did you mean --data"));
    assert_int_equal(run("perigee status more"), EXIT_USAGE);
    assert_int_equal(run("perigee status --data"), EXIT_USAGE);
    assert_int_equal(run("perigee status --data a --data b"), EXIT_USAGE);
}

/* --- For programs --------------------------------------------------------------------------------------------------- */

/* Exactly one object, on one line of that stream, with nothing after it. The caller's. */
static json_t *object_on(int stream)
{
    json_t *object = json_loads(said[stream], JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(object)) print_error("no object: %s\n", said[stream]);
    assert_true(json_is_object(object));
    assert_ptr_equal(strchr(said[stream], '\n'), said[stream] + strlen(said[stream]) - 1);
    return object;
}

/* What fails before a node is asked, or without one, has the members of a node's problem, and stands on stderr alone. */
static void test_local_errors_are_problems(void **state)
{
    static const struct {
        const char *line, *reason, *detail;
        int code, status;
    } cases[] = {
        {"perigee stauts --json", "usage", "perigee status", EXIT_USAGE, 400},
        {"perigee run --json", "usage", "request why list show receipt", EXIT_USAGE, 400},
        {"perigee run reqest --json", "usage", "perigee run request", EXIT_USAGE, 400},
        {"perigee status --json --dta x", "usage", "did you mean --data", EXIT_USAGE, 400},
        {"perigee demo --rows x --json", "usage", "--rows: expected a number", EXIT_USAGE, 400},
        {"perigee init --json", "usage", "--organisation NAME", EXIT_USAGE, 400},
        {"perigee consortium new --json x", "usage", "--name NAME", EXIT_USAGE, 400},
        {"perigee bench --json nothing", "usage", "no benchmark", EXIT_USAGE, 400},
        {"perigee node --json --data /nonexistent/perigee", "failed", "perigee init", EXIT_REFUSED, 409},
        {"perigee status --json --data /nonexistent/perigee", "unreachable", "no node answers",
         EXIT_UNREACHABLE, 504},
        {"perigee verify --json /nonexistent", "not-verified", "anchor", EXIT_NOT_VERIFIED, 422},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(run(cases[i].line), cases[i].code);
        assert_string_equal(said[0], "");
        json_t *problem = object_on(1);
        assert_int_equal(json_object_size(problem), 5);
        assert_string_equal(json_string_value(json_object_get(problem, "reason")), cases[i].reason);
        assert_int_equal(json_integer_value(json_object_get(problem, "status")), cases[i].status);
        assert_non_null(strstr(json_string_value(json_object_get(problem, "detail")), cases[i].detail));
        assert_non_null(json_object_get(problem, "type"));
        assert_non_null(json_object_get(problem, "title"));
        json_decref(problem);
    }
}

static void test_help_and_version_are_objects(void **state)
{
    (void)state;
    static const char *const one[] = {"perigee help seal --json", "perigee seal --help --json"};
    assert_int_equal(run("perigee --version --json"), EXIT_OK);
    json_t *object = object_on(0);
    assert_non_null(json_string_value(json_object_get(object, "version")));
    json_decref(object);
    assert_int_equal(run("perigee help --json"), EXIT_OK);
    object = object_on(0);
    assert_int_equal(json_array_size(json_object_get(object, "commands")), TABLE_COUNT - 1);
    json_decref(object);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(run(one[i]), EXIT_OK);
        object = object_on(0);
        const json_t *rows = json_object_get(object, "commands");
        assert_int_equal(json_array_size(rows), 1);
        assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 0), "noun")), "seal");
        json_decref(object);
    }
    assert_int_equal(run("perigee help nothing --json"), EXIT_USAGE);
    json_decref(object_on(1));
}

/* --- Exit codes ----------------------------------------------------------------------------------------------------- */

static void test_no_node(void **state)
{
    (void)state;
    (void)unsetenv("PERIGEE_DATA");
    assert_int_equal(run("perigee status"), EXIT_USAGE);
    assert_true(says(1, "--data DIR"));
    assert_int_equal(run("perigee status --data /nonexistent/perigee"), EXIT_UNREACHABLE);
    assert_true(says(1, "no node answers at /nonexistent/perigee/api.sock") &&
                says(1, "perigee node --data"));
    assert_int_equal(setenv("PERIGEE_DATA", "/nonexistent/other", 1), 0);
    assert_int_equal(run("perigee asset list"), EXIT_UNREACHABLE);
    assert_true(says(1, "/nonexistent/other/api.sock"));
    (void)unsetenv("PERIGEE_DATA");
}

#define HASH "00000000000000000000000000000000000000000000000000000000000000aa"

static void test_words_are_checked_before_the_node_is_asked(void **state)
{
    (void)state;
    assert_int_equal(run("perigee run request --data /x --workflow abc"), EXIT_USAGE);
    assert_true(says(1, "--workflow: expected 64 lower-case hex digits, got \"abc\""));
    assert_int_equal(run("perigee run request --data /x"), EXIT_USAGE);
    assert_int_equal(
        run("perigee run request --data /nonexistent/perigee --workflow " HASH " --set a=1 --set b=2"),
        EXIT_UNREACHABLE); /* an option with several rows */
    assert_int_equal(run("perigee run request --data /x --workflow " HASH " --slot 1 --slot 2"), EXIT_USAGE);
    assert_true(says(1, "--slot: given more often than it may be"));
    assert_int_equal(run("perigee run request --data /x --expires-in-ms 86400001 --workflow " HASH),
                     EXIT_USAGE);
    assert_true(says(1, "--expires-in-ms"));
    assert_int_equal(run("perigee approve --data /x --asset dt:abc --workflow abc"), EXIT_USAGE);
    assert_true(says(1, "dt:perigee:"));
    assert_int_equal(run("perigee member admit --data /x ABCDEF"), EXIT_USAGE);
    assert_int_equal(run("perigee job post --data /x"), EXIT_USAGE);
    assert_int_equal(run("perigee demo --study x"), EXIT_USAGE);
    assert_int_equal(run("perigee demo --rows 0"), EXIT_USAGE);
    assert_int_equal(run("perigee bench nothing"), EXIT_USAGE);
}

/* A file that cannot be read is named, with what it should be. */
static void test_files_that_are_none(void **state)
{
    char line[256], folder[] = "/tmp/perigee-none.XXXXXX", closed[64];
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(closed, sizeof closed, "%s/new.json", folder);
    assert_int_equal(run("perigee asset register --data /x /nonexistent/file"), EXIT_REFUSED);
    assert_true(says(1, "/nonexistent/file: no such file or folder"));
    (void)snprintf(line, sizeof line, "perigee asset register --data /x %s", folder);
    assert_int_equal(run(line), EXIT_REFUSED);
    assert_true(says(1, "expected a regular file, this is a folder"));
    (void)snprintf(line, sizeof line, "perigee consortium join --data /x %s", folder);
    assert_int_equal(run(line), EXIT_REFUSED);
    assert_true(says(1, "expected a charter: expected a regular file"));
    (void)snprintf(line, sizeof line, "perigee consortium new --name n --out %s /nonexistent/card", closed);
    assert_int_equal(run(line), EXIT_REFUSED);
    assert_true(says(1, "/nonexistent/card: no such file or folder"));
    assert_int_equal(rmdir(folder), 0);
}

static void test_verify_needs_its_anchor(void **state)
{
    (void)state;
    assert_int_equal(run("perigee verify"), EXIT_USAGE);
    assert_int_equal(run("perigee verify /nonexistent"), EXIT_NOT_VERIFIED);
    assert_true(says(1, "the anchor was not given"));
    assert_int_equal(run("perigee verify /nonexistent --consortium 12"), EXIT_USAGE);
    assert_int_equal(run("perigee verify /nonexistent --consortium "
                         "00000000000000000000000000000000000000000000000000000000000000aa"),
                     EXIT_NOT_VERIFIED);
}

/* --- closest -------------------------------------------------------------------------------------------------------- */

/* The same distance by its definition, without a table. */
static uint32_t distance_by_definition(const char *a, size_t n, const char *b, size_t m)
{
    if (n == 0 || m == 0) return (uint32_t)(n + m);
    uint32_t least = distance_by_definition(a, n - 1, b, m - 1) + (a[n - 1] != b[m - 1]);
    uint32_t other = distance_by_definition(a, n - 1, b, m) + 1;
    if (other < least) least = other;
    other = distance_by_definition(a, n, b, m - 1) + 1;
    if (other < least) least = other;
    if (n > 1 && m > 1 && a[n - 1] == b[m - 2] && a[n - 2] == b[m - 1]) {
        other = distance_by_definition(a, n - 2, b, m - 2) + 1;
        if (other < least) least = other;
    }
    return least;
}

static void test_distance(void **state)
{
    char a[7], b[7];
    uint64_t seed = 1;
    (void)state;
    for (int round = 0; round < 2000; round++) {
        size_t n = 0, m = 0;
        for (char *at = a; at < a + 6; at++, n++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
            *at = (char)('a' + (seed >> 60) % 3);
            if ((seed >> 50) % 7 == 0) break;
        }
        a[n] = 0;
        for (char *at = b; at < b + 6; at++, m++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
            *at = (char)('a' + (seed >> 60) % 3);
            if ((seed >> 50) % 7 == 0) break;
        }
        b[m] = 0;
        assert_int_equal(closest_distance(a, b), distance_by_definition(a, n, b, m));
    }
    assert_int_equal(closest_distance("a23456789012345678901234567890123", "b"), UINT32_MAX);
}

/* --- YAML as JSON ---------------------------------------------------------------------------------------------------- */

static char *canonical(const char *yaml, char fault[256])
{
    char path[] = "/tmp/perigee-yaml.XXXXXX";
    int fd = mkstemp(path);
    json_t *value = NULL;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, yaml, strlen(yaml)), strlen(yaml));
    (void)close(fd);
    fault[0] = 0;
    char *text = yaml_json_load(&value, path, fault, 256) == OK ? yaml_json_canonical(value) : NULL;
    json_decref(value);
    (void)unlink(path);
    return text;
}

static void expect_canonical(const char *yaml, const char *json)
{
    char fault[256], *text = canonical(yaml, fault);
    if (text == NULL) print_error("%s\n", fault);
    assert_non_null(text);
    assert_string_equal(text, json);
    free(text);
}

static void expect_refused(const char *yaml, const char *why)
{
    char fault[256], *text = canonical(yaml, fault);
    assert_null(text);
    if (strstr(fault, why) == NULL) print_error("expected \"%s\" in \"%s\"\n", why, fault);
    assert_non_null(strstr(fault, why));
}

static void test_yaml(void **state)
{
    (void)state;
    expect_canonical("b: 1\na: [x, 'y', true, -3]\n", "{\"a\":[\"x\",\"y\",true,-3],\"b\":1}");
    expect_canonical("a: 1.5\nb: '1'\nc: 007\nd: -0\ne: \"\"\n",
                     "{\"a\":\"1.5\",\"b\":\"1\",\"c\":\"007\",\"d\":\"-0\",\"e\":\"\"}");
    expect_canonical("{\"k\": {\"z\": [], \"y\": {}}}", "{\"k\":{\"y\":{},\"z\":[]}}");
    expect_refused("a: 1\na: 2\n", "each key once");
    expect_refused("a: &x 1\n", "no aliases, no anchors and no tags");
    expect_refused("a: *x\n", "no aliases");
    expect_refused("a: !!int 1\n", "no tags");
    expect_refused("a: 1\n---\nb: 2\n", ":2: expected one document");
    expect_refused("---\na: 1\n...\nb: 2\n", ":4: expected one document");
    expect_canonical("---\na: 1\n...\n", "{\"a\":1}");
    expect_refused("]]][[[", ":1: expected something to be closed here");
    expect_refused("a: [1\n", ":");
    expect_refused("", "is empty");
    expect_refused("[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]", "fewer levels");
    expect_canonical("[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]", "[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]");
    expect_canonical(
        "[[1], [2], [3], [4], [5], [6], [7], [8], [9], [10], [11], [12], [13], [14], [15], [16]]",
        "[[1],[2],[3],[4],[5],[6],[7],[8],[9],[10],[11],[12],[13],[14],[15],[16]]");
}

/* As deep as a file can be: refused before the library has built it, which takes it minutes. */
static void test_deep_yaml(void **state)
{
    (void)state;
    static const char *const units[] = {"[", "{a: ", "- ", "? ", "[{? "};
    static char deep[YAML_JSON_BYTES_MAX];
    for (uint32_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        const size_t len = strlen(units[i]);
        memset(deep, 0, sizeof deep);
        for (size_t at = 0; at + len < sizeof deep; at += len) memcpy(deep + at, units[i], len);
        expect_refused(deep, "fewer levels");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_help_names_everything),
        cmocka_unit_test(test_every_command_has_help),
        cmocka_unit_test(test_version),
        cmocka_unit_test(test_options_in_front),
        cmocka_unit_test(test_unknown_words),
        cmocka_unit_test(test_local_errors_are_problems),
        cmocka_unit_test(test_help_and_version_are_objects),
        cmocka_unit_test(test_no_node),
        cmocka_unit_test(test_words_are_checked_before_the_node_is_asked),
        cmocka_unit_test(test_files_that_are_none),
        cmocka_unit_test(test_verify_needs_its_anchor),
        cmocka_unit_test(test_distance),
        cmocka_unit_test(test_yaml),
        cmocka_unit_test(test_deep_yaml),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
