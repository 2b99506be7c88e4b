/* Canonical JSON against a naive twin. The twin makes random trees, sorts members by converting keys to UTF-16, and
 * writes them; json_parse must accept the bytes and see the same tree. Then one thing is changed: whatever is still
 * accepted is written again as it came, and each kind of change that is never canonical is refused for its reason. */
#include "proto/base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TREES = 20000, MUTATIONS = 10, TEXT_MAX = 1 << 16, MEMBERS = 6, NEST_MAX = 4, POINTS = 5 };

static uint64_t random_state = 20261120;

/* splitmix64 */
static uint64_t random_next(void)
{
    uint64_t z = (random_state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint32_t random_below(uint32_t limit)
{
    return (uint32_t)(random_next() % limit);
}

/* --- The twin: code points, UTF-16 and printf ------------------------------------------------------------------------ */

struct word {
    uint32_t count, point[POINTS];
};

static struct word random_word(void)
{
    static const uint32_t points[] = {'a',    'b',    'Z',     '"',     '\\',    '/',    '{',
                                      ',',    ' ',    0xe9,    'a',     0x20ac,  0xd7ff, 0xe000,
                                      0xfb33, 0xffff, 0x10000, 0x1f602, 0x10ffff};
    struct word w = {random_below(POINTS + 1), {0}};
    for (uint32_t i = 0; i < w.count; i++)
        w.point[i] = points[random_below(sizeof points / sizeof points[0])];
    return w;
}

static uint32_t to_utf16(uint16_t *out, const struct word *w)
{
    uint32_t len = 0;
    for (uint32_t i = 0; i < w->count; i++) {
        uint32_t p = w->point[i];
        if (p >= 0x10000) out[len++] = (uint16_t)(0xd800 + ((p - 0x10000) >> 10));
        out[len++] = (uint16_t)(p >= 0x10000 ? 0xdc00 + ((p - 0x10000) & 0x3ff) : p);
    }
    return len;
}

static int compare_words(const void *left, const void *right)
{
    uint16_t a[2 * POINTS], b[2 * POINTS];
    uint32_t a_len = to_utf16(a, left), b_len = to_utf16(b, right);
    for (uint32_t i = 0; i < a_len && i < b_len; i++) {
        if (a[i] != b[i]) return a[i] < b[i] ? -1 : 1;
    }
    return a_len < b_len ? -1 : a_len > b_len;
}

static char text[TEXT_MAX];
static size_t text_len;

static void emit(const char *bytes, size_t len)
{
    assert_true(text_len + len < sizeof text);
    memcpy(text + text_len, bytes, len);
    text_len += len;
}

static void emit_utf8(uint32_t p)
{
    char b[4] = {(char)p};
    size_t len = p < 0x80 ? 1 : p < 0x800 ? 2 : p < 0x10000 ? 3 : 4;
    for (size_t i = len; len > 1 && i > 0; i--) {
        b[i - 1] = (char)(0x80 | (p & 63));
        p >>= 6;
    }
    if (len > 1) b[0] = (char)((len == 2 ? 0xc0 : len == 3 ? 0xe0 : 0xf0) | (b[0] & 0x3f));
    emit(b, len);
}

static void emit_word(const struct word *w)
{
    emit("\"", 1);
    for (uint32_t i = 0; i < w->count; i++) {
        if (w->point[i] == '"' || w->point[i] == '\\') emit("\\", 1);
        emit_utf8(w->point[i]);
    }
    emit("\"", 1);
}

static void emit_integer(void)
{
    char digits[32];
    int64_t n = (int64_t)(random_next() >> (11 + random_below(53)));
    if (random_below(8) == 0) n = (int64_t)1 << 53;
    if (random_below(2) == 0) n = -n;
    int len = snprintf(digits, sizeof digits, "%lld", (long long)n);
    emit(digits, (size_t)len);
}

static void emit_tree(int nest);

static void emit_object(int nest)
{
    struct word keys[MEMBERS];
    uint32_t count = random_below(MEMBERS + 1), written = 0;
    for (uint32_t i = 0; i < count; i++) keys[i] = random_word();
    qsort(keys, count, sizeof keys[0], compare_words);
    emit("{", 1);
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0 && compare_words(&keys[i - 1], &keys[i]) == 0) continue;
        if (written++ > 0) emit(",", 1);
        emit_word(&keys[i]);
        emit(":", 1);
        emit_tree(nest + 1);
    }
    emit("}", 1);
}

static void emit_array(int nest)
{
    uint32_t count = random_below(MEMBERS + 1);
    emit("[", 1);
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0) emit(",", 1);
        emit_tree(nest + 1);
    }
    emit("]", 1);
}

static void emit_tree(int nest)
{
    struct word w;
    switch (random_below(nest < NEST_MAX ? 8 : 5)) {
    case 0: emit("null", 4); break;
    case 1: emit("true", 4); break;
    case 2: emit("false", 5); break;
    case 3: emit_integer(); break;
    case 4:
        w = random_word();
        emit_word(&w);
        break;
    case 5: emit_array(nest); break;
    case 6:
    case 7: emit_object(nest); break;
    }
}

/* --- Ours --------------------------------------------------------------------------------------------------------------- */

static _Alignas(16) uint8_t memory[33 * TEXT_MAX + 4096];
static uint8_t written[TEXT_MAX];

static enum err verdict(struct span input, struct json_fault *fault)
{
    struct arena arena = arena_make(memory, sizeof memory);
    const struct json *value;
    enum err err = json_parse(&value, &arena, input, fault);
    if (err != OK) return err;
    struct buffer b = BUFFER_OF(written);
    struct json_writer w;
    json_writer_init(&w, &b);
    json_put_value(&w, value);
    assert_int_equal(buffer_done(&b), OK);
    assert_true(span_equal(buffer_span(&b), input));
    arena_release(&arena, 0);
    return OK;
}

static void test_trees(void **state)
{
    (void)state;
    for (int i = 0; i < TREES; i++) {
        struct json_fault fault;
        text_len = 0;
        emit_tree(0);
        enum err err = verdict(span_make(text, text_len), &fault);
        if (err != OK) print_error("%s: %s: %.*s\n", fault.path, fault.expected, (int)text_len, text);
        assert_int_equal(err, OK);
    }
}

/* Is the byte at `at` outside strings? */
static bool is_outside(size_t at)
{
    bool inside = false;
    for (size_t i = 0; i < at; i++) {
        if (inside && text[i] == '\\') {
            i++;
        } else if (text[i] == '"') {
            inside = !inside;
        }
    }
    return !inside;
}

static void insert(size_t at, char c)
{
    memmove(text + at + 1, text + at, text_len - at);
    text[at] = c;
    text_len++;
}

static void test_space_is_never_canonical(void **state)
{
    (void)state;
    uint32_t tried = 0;
    while (tried < TREES) {
        struct json_fault fault;
        text_len = 0;
        emit_object(0);
        size_t at = random_below((uint32_t)text_len + 1);
        bool beside_token = at == 0 || at == text_len || strchr("{}[]:,", text[at]) != NULL;
        if (!beside_token || !is_outside(at)) continue;
        insert(at, " \t\r\n"[random_below(4)]);
        assert_int_equal(verdict(span_make(text, text_len), &fault), ERR_NOT_CANONICAL);
        assert_string_equal(fault.expected, "no white space");
        tried++;
    }
}

/* Any two members exchanged. */
static void test_order_is_unique(void **state)
{
    (void)state;
    uint32_t tried = 0;
    while (tried < TREES) {
        struct json_fault fault;
        struct word a = random_word(), b = random_word();
        int order = compare_words(&a, &b);
        text_len = 0;
        emit("{", 1);
        emit_word(&a);
        emit(":1,", 3);
        emit_word(&b);
        emit(":1}", 3);
        enum err expected = order < 0 ? OK : order == 0 ? ERR_DUPLICATE : ERR_NOT_CANONICAL;
        assert_int_equal(verdict(span_make(text, text_len), &fault), expected);
        tried++;
    }
}

/* verdict() itself asserts that what is accepted round-trips. */
static void test_mutations(void **state)
{
    (void)state;
    static const char pool[] = "{}[]:,\"\\0123456789-+.eEtfnula \n\t\x7f\xc2\x80\xf0";
    uint32_t accepted = 0;
    for (int i = 0; i < TREES * MUTATIONS; i++) {
        struct json_fault fault;
        text_len = 0;
        emit_tree(1);
        for (uint32_t changes = 1 + random_below(3); changes > 0; changes--) {
            size_t at = random_below((uint32_t)text_len);
            if (random_below(2) == 0) {
                insert(at, pool[random_below(sizeof pool - 1)]);
            } else {
                text[at] = pool[random_below(sizeof pool - 1)];
            }
        }
        accepted += verdict(span_make(text, text_len), &fault) == OK;
    }
    assert_in_range(accepted, 100, TREES * MUTATIONS / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trees),
        cmocka_unit_test(test_space_is_never_canonical),
        cmocka_unit_test(test_order_is_unique),
        cmocka_unit_test(test_mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
