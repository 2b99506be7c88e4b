/* The RFC 8785 vectors, as far as our documents go. Documents allow integers only and no control characters, so:
 *   arrays, french, unicode        output parses and is written again byte for byte
 *   structures, values, weird      output is refused: an escaped control character in a key, a float, a control
 *                                  character; what is left after cutting those members parses and round-trips
 *   every input                    is refused: it has white space (and unsorted keys, escapes, floats)
 * What that leaves unchecked: the serialization of floats and of control characters, which we never write. */
#include "proto/base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static _Alignas(16) uint8_t memory[1 << 17];

static size_t load(char *out, size_t cap, const char *side, const char *name)
{
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/vectors/jcs/%s/%s.json", PERIGEE_SHARED_DIR, side, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t len = fread(out, 1, cap - 1, file);
    assert_int_equal(ferror(file), 0);
    (void)fclose(file);
    assert_in_range(len, 1, cap - 2);
    out[len] = 0;
    return len;
}

static void assert_round_trip(const char *text, size_t len)
{
    static uint8_t written[8192];
    struct arena arena = arena_make(memory, sizeof memory);
    struct json_fault fault;
    const struct json *value;
    enum err err = json_parse(&value, &arena, span_make(text, len), &fault);
    if (err != OK) print_error("%s: %s: %s\n", fault.path, fault.expected, text);
    assert_int_equal(err, OK);
    struct buffer b = BUFFER_OF(written);
    struct json_writer w;
    json_writer_init(&w, &b);
    json_put_value(&w, value);
    assert_int_equal(buffer_done(&b), OK);
    assert_int_equal(b.len, len);
    assert_memory_equal(written, text, len);
    arena_release(&arena, 0);
}

static void assert_refused(const char *text, size_t len, enum err expected)
{
    struct arena arena = arena_make(memory, sizeof memory);
    struct json_fault fault;
    const struct json *value;
    assert_int_equal(json_parse(&value, &arena, span_make(text, len), &fault), expected);
    assert_string_not_equal(fault.path, "");
    assert_string_not_equal(fault.expected, "");
}

/* Remove a part that must be there. */
static void cut(char *text, const char *part)
{
    char *at = strstr(text, part);
    assert_non_null(at);
    memmove(at, at + strlen(part), strlen(at + strlen(part)) + 1);
}

static void test_outputs_of_our_kind(void **state)
{
    (void)state;
    static const char *const names[] = {"arrays", "french", "unicode"};
    char text[4096];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t len = load(text, sizeof text, "output", names[i]);
        assert_round_trip(text, len);
    }
}

static void test_other_outputs(void **state)
{
    (void)state;
    char text[4096];
    assert_refused(text, load(text, sizeof text, "output", "structures"), ERR_SYNTAX);
    cut(text, "\"\\n\":56,");
    assert_round_trip(text, strlen(text));
    assert_refused(text, load(text, sizeof text, "output", "values"), ERR_SYNTAX);
    cut(text, ",\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27]");
    assert_refused(text, strlen(text), ERR_NOT_CANONICAL); /* \u000f */
    cut(text, "\\u000f");
    assert_refused(text, strlen(text), ERR_SYNTAX); /* \n */
    cut(text, "\\n");
    assert_round_trip(text, strlen(text));
    assert_refused(text, load(text, sizeof text, "output", "weird"), ERR_SYNTAX);
    cut(text, "\"\\n\":\"Newline\",\"\\r\":\"Carriage Return\",");
    assert_refused(text, strlen(text), ERR_SYNTAX); /* U+0080 and U+007F */
    cut(text, "\"\xc2\x80\":\"Control\x7f\",");
    assert_round_trip(text, strlen(text)); /* a key outside the BMP before one of U+FB33 */
}

static void test_inputs(void **state)
{
    (void)state;
    static const char *const names[] = {"arrays", "french", "structures", "unicode", "values", "weird"};
    char text[4096];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t len = load(text, sizeof text, "input", names[i]);
        assert_refused(text, len, ERR_NOT_CANONICAL);
    }
}

int main(void)
{
    struct stat at;
    if (stat(PERIGEE_SHARED_DIR "/vectors/jcs", &at) != 0) {
        puts("SKIPPED: the RFC 8785 vectors are not here");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outputs_of_our_kind),
        cmocka_unit_test(test_other_outputs),
        cmocka_unit_test(test_inputs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
