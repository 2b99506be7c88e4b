/* The bottom of proto/: errors, spans, cursors, buffers, hex, the arena, the index, ids, text and fractions. */
#include "proto/base/arena.h"
#include "proto/base/divisor.h"
#include "proto/base/ids.h"
#include "proto/base/index.h"
#include "proto/base/pool.h"
#include "proto/base/shelf.h"
#include "proto/base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* --- err
 * ------------------------------------------------------------------------------------------------------------
 */

static void test_err_table(void **state)
{
    (void)state;
    assert_string_equal(err_name(OK), "ok");
    assert_string_equal(err_name(ERR_HASH), "hash-mismatch");
    assert_string_equal(err_text(ERR_CANCELLED), "the work was stopped before it ended");
    assert_string_equal(err_name(ERR_COUNT), "unknown");
    assert_string_equal(err_text((enum err)0x7fffffff), "unknown error");
    for (int a = 0; a < ERR_COUNT; a++) {
        assert_true(strlen(err_text((enum err)a)) > 0);
        for (int b = 0; b < a; b++) assert_string_not_equal(err_name((enum err)a), err_name((enum err)b));
    }
}

static enum err try_twice(enum err first, int *reached)
{
    TRY(first);
    *reached += 1;
    return OK;
}

static void test_try(void **state)
{
    (void)state;
    int reached = 0;
    assert_int_equal(try_twice(ERR_IO, &reached), ERR_IO);
    assert_int_equal(reached, 0);
    assert_int_equal(try_twice(OK, &reached), OK);
    assert_int_equal(reached, 1);
}

/* --- span
 * -----------------------------------------------------------------------------------------------------------
 */

static void test_span(void **state)
{
    (void)state;
    uint8_t array[3] = {1, 2, 3};
    assert_int_equal(SPAN_OF(array).len, 3);
    assert_int_equal(SPAN_LITERAL("ab").len, 2);
    assert_true(span_equal(SPAN_NONE, SPAN_LITERAL("")));
    assert_true(span_equal_text(SPAN_LITERAL("ab"), "ab"));
    assert_false(span_equal_text(SPAN_LITERAL("ab"), "abc"));
    assert_false(span_equal_text(SPAN_LITERAL("a\0"), "a"));
    assert_int_equal(span_compare(SPAN_NONE, SPAN_NONE), 0);
    assert_true(span_compare(SPAN_NONE, SPAN_LITERAL("a")) < 0);
    assert_true(span_compare(SPAN_LITERAL("a"), SPAN_NONE) > 0);
    assert_true(span_compare(SPAN_LITERAL("ab"), SPAN_LITERAL("b")) < 0);
    assert_true(span_compare(SPAN_LITERAL("a\xff"), SPAN_LITERAL("a\x01")) > 0);
    assert_true(span_compare(SPAN_LITERAL("ab"), SPAN_LITERAL("a")) > 0);
    assert_int_equal(span_compare(SPAN_LITERAL("ab"), SPAN_LITERAL("ab")), 0);
    assert_null(span_make(NULL, 0).data);
    expect_assert_failure((void)span_make(NULL, 1));
}

static void test_cursor(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    struct cursor c = cursor_make(SPAN_OF(bytes));
    uint8_t u8, two[2];
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    struct span s;
    assert_int_equal(cursor_u8(&c, &u8), OK);
    assert_int_equal(u8, 1);
    assert_int_equal(cursor_u16(&c, &u16), OK);
    assert_int_equal(u16, 0x0203);
    assert_int_equal(cursor_u32(&c, &u32), OK);
    assert_int_equal(u32, 0x04050607);
    assert_int_equal(cursor_u64(&c, &u64), OK);
    assert_true(u64 == 0x08090a0b0c0d0e0f);
    assert_int_equal(cursor_left(&c), 1);
    assert_int_equal(cursor_end(&c), ERR_NOT_CANONICAL);
    assert_int_equal(cursor_u16(&c, &u16), ERR_TRUNCATED);
    assert_int_equal(cursor_u32(&c, &u32), ERR_TRUNCATED);
    assert_int_equal(cursor_u64(&c, &u64), ERR_TRUNCATED);
    assert_int_equal(cursor_copy(&c, two, 2), ERR_TRUNCATED);
    assert_int_equal(cursor_take(&c, &s, SIZE_MAX), ERR_TRUNCATED);
    assert_int_equal(cursor_left(&c), 1); /* a refusal takes nothing */
    assert_int_equal(cursor_take(&c, &s, 1), OK);
    assert_ptr_equal(s.data, bytes + 15);
    assert_int_equal(cursor_end(&c), OK);
    assert_int_equal(cursor_u8(&c, &u8), ERR_TRUNCATED);
}

static void test_cursor_of_nothing(void **state)
{
    (void)state;
    struct cursor c = cursor_make(SPAN_NONE);
    struct span s;
    uint8_t byte;
    assert_int_equal(cursor_left(&c), 0);
    assert_int_equal(cursor_end(&c), OK);
    assert_int_equal(cursor_take(&c, &s, 0), OK);
    assert_int_equal(s.len, 0);
    assert_int_equal(cursor_copy(&c, NULL, 0), OK);
    assert_int_equal(cursor_u8(&c, &byte), ERR_TRUNCATED);
}

/* --- buffer
 * ----------------------------------------------------------------------------------------------------------
 */

static void test_buffer(void **state)
{
    (void)state;
    uint8_t bytes[64];
    struct buffer b = BUFFER_OF(bytes);
    buffer_put_u8(&b, 1);
    buffer_put_u16(&b, 0x0203);
    buffer_put_u32(&b, 0x04050607);
    buffer_put_u64(&b, 0x08090a0b0c0d0e0f);
    buffer_put(&b, SPAN_NONE);
    buffer_put_text(&b, "x");
    buffer_put_hex(&b, SPAN_LITERAL("\x0a\xf0"));
    assert_int_equal(buffer_done(&b), OK);
    assert_true(
        span_equal(buffer_span(&b), SPAN_LITERAL("\1\2\3\4\5\6\7\x08\x09\x0a\x0b\x0c\x0d\x0e\x0fx0af0")));
}

static void test_buffer_overflow(void **state)
{
    (void)state;
    uint8_t bytes[4] = {0, 0, 0, 0xee};
    struct buffer b = buffer_make(bytes, 3);
    buffer_put_u16(&b, 0x0102);
    buffer_put_u16(&b, 0x0304); /* does not fit: nothing of it is written */
    assert_int_equal(b.len, 2);
    assert_int_equal(bytes[2], 0);
    assert_int_equal(buffer_done(&b), ERR_TOO_LARGE);
    buffer_put_u8(&b, 5); /* would fit, but there is a hole before it */
    assert_int_equal(b.len, 2);
    assert_int_equal(bytes[3], 0xee);
    b = buffer_make(bytes, 3);
    buffer_put(&b, SPAN_LITERAL("abc")); /* exactly full is fine */
    assert_int_equal(buffer_done(&b), OK);
    buffer_put(&b, SPAN_NONE);
    assert_int_equal(buffer_done(&b), OK);
    buffer_put_hex(&b, SPAN_LITERAL("z"));
    assert_int_equal(buffer_done(&b), ERR_TOO_LARGE);
    b = buffer_make(NULL, 0);
    buffer_put_u8(&b, 1);
    assert_int_equal(buffer_done(&b), ERR_TOO_LARGE);
    expect_assert_failure((void)buffer_make(NULL, 1));
}

static void test_buffer_decimal(void **state)
{
    (void)state;
    static const struct {
        int64_t value;
        const char *text;
    } rows[] = {
        {0, "0"},
        {7, "7"},
        {-1, "-1"},
        {10, "10"},
        {-100, "-100"},
        {INT64_MAX, "9223372036854775807"},
        {INT64_MIN, "-9223372036854775808"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t bytes[20];
        struct buffer b = BUFFER_OF(bytes);
        buffer_put_decimal(&b, rows[i].value);
        assert_int_equal(buffer_done(&b), OK);
        assert_true(span_equal_text(buffer_span(&b), rows[i].text));
    }
}

/* Text is terminated whether it fitted or not, because somebody will print it. */
static void test_buffer_zero(void **state)
{
    (void)state;
    char text[4];
    memset(text, 'x', sizeof text);
    struct buffer b = BUFFER_OF(text);
    buffer_put_text(&b, "abc");
    buffer_put_zero(&b);
    assert_int_equal(buffer_done(&b), OK);
    assert_int_equal(b.len, 3);
    assert_string_equal(text, "abc");
    buffer_put_text(&b, "d"); /* goes on where the zero was */
    buffer_put_zero(&b);
    assert_int_equal(buffer_done(&b), ERR_TOO_LARGE);
    assert_string_equal(text, "abc");
    memset(text, 'x', sizeof text);
    b = BUFFER_OF(text);
    buffer_put_text(&b, "ab");
    buffer_put_text(&b, "too long");
    buffer_put_zero(&b);
    assert_int_equal(buffer_done(&b), ERR_TOO_LARGE);
    assert_string_equal(text, "ab");
    b = buffer_make(NULL, 0);
    buffer_put_zero(&b);
    assert_int_equal(buffer_done(&b), ERR_TOO_LARGE);
}

/* --- hex and fixed-width numbers ----------------------------------------------------------------------- */

static void test_hex(void **state)
{
    (void)state;
    char text[7];
    uint8_t bytes[3] = {0x00, 0xab, 0xff}, back[4] = {9, 9, 9, 9};
    hex_encode(text, bytes, 3);
    assert_string_equal(text, "00abff");
    assert_int_equal(hex_decode(back, 3, span_text(text)), OK);
    assert_memory_equal(back, "\x00\xab\xff\x09", 4);
    static const char *const bad[] = {"",       "00abf",  "00abff0", "00abff00", "00ABFF", "00abfg",
                                      "00abf:", "0xabff", "00ab f",  "00ab/f",   "00ab`f"};
    memset(back, 9, sizeof back);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(hex_decode(back, 3, span_text(bad[i])), ERR_SYNTAX);
        assert_memory_equal(back, "\x09\x09\x09\x09", 4); /* a refusal writes nothing */
    }
    assert_int_equal(hex_decode(NULL, 0, SPAN_NONE), OK);
    assert_int_equal(hex_decode(back, SIZE_MAX / 2 + 1, SPAN_NONE), ERR_SYNTAX); /* 2 * len wraps to 0 */
    hex_encode(text, NULL, 0);
    assert_string_equal(text, "");
}

/* Every one of the 256 characters, in both halves of a byte. */
static void test_hex_digits(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        uint8_t byte, high[2] = {(uint8_t)c, '0'}, low[2] = {'0', (uint8_t)c};
        bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        assert_int_equal(hex_decode(&byte, 1, SPAN_OF(high)), digit ? OK : ERR_SYNTAX);
        if (digit) assert_int_equal(byte >> 4, c <= '9' ? c - '0' : c - 'a' + 10);
        assert_int_equal(hex_decode(&byte, 1, SPAN_OF(low)), digit ? OK : ERR_SYNTAX);
        if (digit) assert_int_equal(byte, c <= '9' ? c - '0' : c - 'a' + 10);
    }
}

static void test_load_and_store(void **state)
{
    (void)state;
    uint8_t bytes[8];
    const uint64_t value = 0xf1e2d3c4b5a69788;
    store_u64(bytes, value);
    assert_memory_equal(bytes, "\xf1\xe2\xd3\xc4\xb5\xa6\x97\x88", 8);
    assert_true(load_u64(bytes) == value);
    assert_true(load_u64_le(bytes) == 0x8897a6b5c4d3e2f1);
    assert_int_equal(load_u32(bytes), 0xf1e2d3c4);
    assert_int_equal(load_u32_le(bytes), 0xc4d3e2f1);
    assert_int_equal(load_u16(bytes), 0xf1e2);
    store_u64_le(bytes, value);
    assert_memory_equal(bytes, "\x88\x97\xa6\xb5\xc4\xd3\xe2\xf1", 8);
    store_u32(bytes, 0x80000001);
    assert_memory_equal(bytes, "\x80\x00\x00\x01", 4);
    store_u16(bytes, 0xff01);
    assert_memory_equal(bytes, "\xff\x01", 2);
}

/* --- arena
 * -----------------------------------------------------------------------------------------------------------
 */

static void test_arena_takes_aligned_zeroes(void **state)
{
    (void)state;
    static _Alignas(16) uint8_t memory[128];
    struct arena a = arena_make(memory, sizeof memory);
    uint8_t *one = arena_take(&a, 1, 1);
    uint64_t *two = ARENA_ARRAY(&a, uint64_t, 3);
    assert_ptr_equal(one, memory);
    assert_ptr_equal(two, memory + 16);
    assert_int_equal((uintptr_t)two % 16, 0);
    assert_true(two[0] == 0 && two[1] == 0 && two[2] == 0);
    assert_int_equal(arena_mark(&a), 48);
    assert_non_null(arena_take(&a, 0, 8)); /* nothing is not an error */
    assert_int_equal(arena_mark(&a), 48);
}

static void test_arena_is_bounded(void **state)
{
    (void)state;
    static _Alignas(16) uint8_t memory[112];
    struct arena a = arena_make(memory, 100); /* 96 of them usable */
    assert_null(arena_take(&a, 97, 1));
    assert_int_equal(arena_mark(&a), 0); /* a refusal takes nothing */
    assert_non_null(arena_take(&a, 80, 1));
    assert_null(arena_take(&a, 17, 1));
    assert_null(arena_take(&a, 20, 1)); /* within cap, past the last aligned byte */
    assert_int_equal(arena_mark(&a), 80);
    assert_null(arena_take(&a, SIZE_MAX, 1));
    assert_null(arena_take(&a, SIZE_MAX / 2, 4));
    assert_null(arena_take(&a, (size_t)1 << 63, 2)); /* the product wraps to 0 */
    assert_non_null(arena_take(&a, 16, 1));
    assert_null(arena_take(&a, 1, 1));
    struct span copy = SPAN_NONE;
    assert_int_equal(arena_copy(&a, &copy, SPAN_LITERAL("x")), ERR_NO_MEMORY);
    assert_int_equal(arena_copy(&a, &copy, SPAN_NONE), OK);
    assert_int_equal(copy.len, 0);
}

static void test_arena_release_zeroes(void **state)
{
    (void)state;
    static _Alignas(16) uint8_t memory[64];
    struct arena a = arena_make(memory, sizeof memory);
    struct span kept, given;
    assert_int_equal(arena_copy(&a, &kept, SPAN_LITERAL("kept")), OK);
    size_t mark = arena_mark(&a);
    assert_int_equal(arena_copy(&a, &given, SPAN_LITERAL("given back")), OK);
    assert_ptr_equal(given.data, memory + 16);
    arena_release(&a, mark);
    assert_true(span_equal_text(kept, "kept"));
    for (size_t i = 16; i < sizeof memory; i++) assert_int_equal(memory[i], 0);
    assert_ptr_equal(arena_take(&a, 1, 1), memory + 16);
    expect_assert_failure(arena_release(&a, 48)); /* more than is taken */
    expect_assert_failure(arena_release(&a, 8));  /* not a mark */
    expect_assert_failure((void)arena_make(memory + 1, 16));
    expect_assert_failure((void)arena_make(NULL, 16));
}

/* --- ids
 * -------------------------------------------------------------------------------------------------------------
 */

static void test_ids(void **state)
{
    (void)state;
    struct node_id a = {{0}}, b = {{0}};
    assert_true(ID_IS_ZERO(a));
    assert_true(ID_EQUAL(a, b));
    for (size_t i = 0; i < 32; i++) {
        memset(&b, 0, sizeof b);
        b.bytes[i] = 1;
        assert_false(ID_IS_ZERO(b));
        assert_false(ID_EQUAL(a, b));
    }
    assert_int_equal(ID_SPAN(b).len, 32);
    assert_true(INSTANT_NEVER.ns == INT64_MAX);
}

/* --- text
 * ------------------------------------------------------------------------------------------------------------
 */

/* A plain encoder, as the oracle: the characters accepted are exactly these. */
static size_t encode(uint8_t out[4], uint32_t point)
{
    if (point < 0x80) return out[0] = (uint8_t)point, (size_t)1;
    if (point < 0x800)
        return out[0] = (uint8_t)(0xc0 | point >> 6), out[1] = (uint8_t)(0x80 | (point & 63)), (size_t)2;
    if (point < 0x10000) {
        out[0] = (uint8_t)(0xe0 | point >> 12);
        out[1] = (uint8_t)(0x80 | (point >> 6 & 63));
        out[2] = (uint8_t)(0x80 | (point & 63));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | point >> 18);
    out[1] = (uint8_t)(0x80 | (point >> 12 & 63));
    out[2] = (uint8_t)(0x80 | (point >> 6 & 63));
    out[3] = (uint8_t)(0x80 | (point & 63));
    return 4;
}

/* Every code point, and what lies above them. */
static void test_text_every_character(void **state)
{
    (void)state;
    for (uint32_t point = 0; point < 0x120000; point++) {
        uint8_t bytes[4];
        size_t len = encode(bytes, point);
        bool control = point < 0x20 || (point >= 0x7f && point < 0xa0);
        bool surrogate = point >= 0xd800 && point < 0xe000;
        bool text = !control && !surrogate && point <= 0x10ffff;
        if (text_character(bytes, bytes + len) != (text ? len : 0)) fail_msg("U+%04X", point);
        if (len > 1 && text_character(bytes, bytes + len - 1) != 0) fail_msg("U+%04X cut short", point);
    }
}

/* Every sequence of two bytes, and of three and four with edge bytes: no more is accepted than characters
 * exist. */
static void test_text_counts(void **state)
{
    (void)state;
    uint32_t two = 0, three = 0;
    for (uint32_t i = 0; i < 0x10000; i++) {
        uint8_t bytes[2] = {(uint8_t)(i >> 8), (uint8_t)i};
        two += text_character(bytes, bytes + 2) == 2;
    }
    assert_int_equal(two, 0x800 - 0x80 - 32); /* less the C1 controls */
    for (uint32_t i = 0xe00000; i < 0xf00000; i++) {
        uint8_t bytes[3] = {(uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
        three += text_character(bytes, bytes + 3) == 3;
    }
    assert_int_equal(three, 0x10000 - 0x800 - 0x800);
    static const struct {
        const char *text;
        bool valid;
    } rows[] = {
        {"", true},
        {"a", true},
        {"a\xf0\x9f\x98\x82z", true},
        {"a\xf0\x9f\x98", false},
        {"\xf0\x80\x80\x80", false},
        {"\xf8\x88\x80\x80\x80", false},
        {"\xf0\x9f\x98\x42", false},
        {"ok\x1b[31m", false},
        {"\xfe", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(text_valid(span_text(rows[i].text)), rows[i].valid);
    }
    assert_true(text_valid(SPAN_NONE));
}

static uint64_t utf16_key(uint32_t point)
{
    if (point < 0x10000) return (uint64_t)point << 16;
    return (uint64_t)(0xd800 + ((point - 0x10000) >> 10)) << 16 | (0xdc00 + ((point - 0x10000) & 0x3ff));
}

/* The order of any two of these characters is that of their UTF-16 code units. */
static void test_text_order(void **state)
{
    (void)state;
    static const uint32_t points[] = {0x20,   0x41,    0x7e,    0xa0,    0x7ff,   0x800,   0xfff,
                                      0x1000, 0xcfff,  0xd7ff,  0xe000,  0xefff,  0xf000,  0xfb33,
                                      0xffff, 0x10000, 0x1f602, 0x40000, 0xfffff, 0x10ffff};
    const size_t count = sizeof points / sizeof points[0];
    for (size_t i = 0; i < count * count; i++) {
        uint32_t a = points[i / count], b = points[i % count];
        uint8_t x[6] = {'k'}, y[6] = {'k'};
        struct span s = {x, 1 + encode(x + 1, a)}, t = {y, 1 + encode(y + 1, b)};
        int expected = utf16_key(a) < utf16_key(b) ? -1 : utf16_key(a) > utf16_key(b);
        assert_int_equal(text_compare(s, t), expected);
    }
    assert_int_equal(text_compare(SPAN_LITERAL("a"), SPAN_LITERAL("aa")), -1);
    assert_int_equal(text_compare(SPAN_LITERAL("aa"), SPAN_LITERAL("a")), 1);
    assert_int_equal(text_compare(SPAN_NONE, SPAN_LITERAL("")), 0);
}

static void test_text_append(void **state)
{
    (void)state;
    char text[6];
    struct buffer b = BUFFER_OF(text);
    text_append(&b, SPAN_LITERAL("ab"));
    assert_string_equal(text, "ab");
    text_append(&b, SPAN_LITERAL("c\xf0\x9f\x98\x82")); /* the face does not fit as a whole */
    assert_string_equal(text, "abc");
    text_append(&b, SPAN_LITERAL("\xc3\xa9!"));
    assert_string_equal(text, "abc\xc3\xa9");
    text_append(&b, SPAN_LITERAL("x"));
    assert_string_equal(text, "abc\xc3\xa9");
    assert_int_equal(b.len, 5);
    assert_int_equal(buffer_done(&b), OK); /* cut on purpose is not an overflow */
}

static void test_divisor(void **state)
{
    (void)state;
    assert_int_equal(divisor_common(12, 18), 6);
    assert_int_equal(divisor_common(18, 12), 6);
    assert_int_equal(divisor_common(7, 9), 1);
    assert_int_equal(divisor_common(0, 5), 5);
    assert_int_equal(divisor_common(5, 0), 5);
    assert_true(divisor_common(UINT64_MAX, UINT64_MAX) == UINT64_MAX);
    assert_int_equal(divisor_common(UINT64_MAX, UINT64_MAX - 1), 1);
}

/* --- index --- */

enum { INDEX_ROWS = 300, INDEX_PLACES = 512 }; /* the last table has 1024 slots, half of them for rows */

static void index_key(uint8_t key[32], uint32_t number)
{
    memset(key, 0x5a, 32);
    store_u32(key + 28, number);
}

/* Every row is found after every table it has moved through, and nothing else is. */
static void test_index_grows(void **state)
{
    (void)state;
    static _Alignas(16) uint8_t memory[64 << 10], key[INDEX_PLACES + 1][32];
    struct arena a = arena_make(memory, sizeof memory);
    struct index x;
    assert_int_equal(index_init(&x, &a, INDEX_ROWS, 7), OK);
    const size_t taken = arena_mark(&a);
    for (uint32_t i = 0; i <= INDEX_PLACES; i++) index_key(key[i], i);
    for (uint32_t i = 0; i < INDEX_PLACES; i++) {
        assert_int_equal(index_find(&x, key[i]), INDEX_NONE);
        assert_int_equal(index_add(&x, key[i], i), OK);
        for (uint32_t j = 0; j <= i; j++) assert_int_equal(index_find(&x, key[j]), j);
    }
    assert_int_equal(index_add(&x, key[INDEX_PLACES], INDEX_PLACES), ERR_FULL);
    assert_int_equal(index_find(&x, key[INDEX_PLACES]), INDEX_NONE);
    assert_int_equal(arena_mark(&a), taken);
    assert_int_equal(x.own.used, x.own.cap); /* index_bytes: all of it, and no more */
}

/* Two of them in one heap, filled in turn. */
static void test_indexes_share_a_heap(void **state)
{
    (void)state;
    static _Alignas(16) uint8_t memory[64 << 10], key[2][INDEX_ROWS][32];
    struct arena a = arena_make(memory, 2 * index_bytes(INDEX_ROWS));
    struct index x[2];
    for (uint32_t i = 0; i < 2; i++) index_init_in(&x[i], &a, INDEX_ROWS, 7 + i);
    for (uint32_t i = 0; i < INDEX_ROWS; i++)
        for (uint32_t j = 0; j < 2; j++) {
            index_key(key[j][i], 2 * i + j);
            assert_int_equal(index_add(&x[j], key[j][i], i), OK);
        }
    for (uint32_t i = 0; i < INDEX_ROWS; i++)
        for (uint32_t j = 0; j < 2; j++) {
            assert_int_equal(index_find(&x[j], key[j][i]), i);
            assert_int_equal(index_find(&x[1 - j], key[j][i]), INDEX_NONE);
        }
}

static void test_index_needs_its_memory(void **state)
{
    (void)state;
    static _Alignas(16) uint8_t memory[1024];
    struct arena a = arena_make(memory, sizeof memory);
    struct index x;
    assert_int_equal(index_init(&x, &a, INDEX_ROWS, 7), ERR_NO_MEMORY);
    assert_int_equal(index_init(&x, &a, 32, 7), OK);
}

/* Rows stay where they are, are zero at first and do not touch each other; two tables fill one heap, and it is large enough for both. */
static void test_rows(void **state)
{
    enum { ROWS_MOST = 1000, OTHERS_MOST = 5 };
    struct wide {
        uint64_t number, more[4];
    };
    static _Alignas(16) uint8_t memory[64 << 10];
    static struct wide *at[ROWS_MOST];
    const size_t bytes = rows_bytes(ROWS_MOST, sizeof(struct wide)) + rows_bytes(OTHERS_MOST, 1);
    struct arena heap = arena_make(memory, bytes);
    ROWS(struct wide) wide;
    ROWS(uint8_t) other;
    (void)state;
    assert_in_range(bytes, ROWS_MOST * sizeof(struct wide) + OTHERS_MOST, sizeof memory);
    rows_init(&wide.rows, &heap, ROWS_MOST);
    rows_init(&other.rows, &heap, OTHERS_MOST);
    assert_int_equal(arena_mark(&heap), 0);
    for (uint32_t i = 0; i < ROWS_MOST; i++) {
        assert_int_equal(ROW(wide, i).number, 0);
        ROW(wide, i) = (struct wide){i + 1, {i, i, i, i}};
        at[i] = &ROW(wide, i);
        if (i == 0) assert_in_range(arena_mark(&heap), 1, ROWS_FIRST * sizeof(struct wide));
        if (i < OTHERS_MOST) ROW(other, i) = (uint8_t)(i + 1);
    }
    assert_int_equal(arena_mark(&heap), bytes);
    for (uint32_t i = 0; i < ROWS_MOST; i++) {
        assert_ptr_equal(at[i], &ROW(wide, i));
        assert_int_equal(at[i]->number, i + 1);
        assert_int_equal(at[i]->more[3], i);
        if (i < OTHERS_MOST) assert_int_equal(ROW(other, i), i + 1);
    }
    expect_assert_failure(ROW(other, OTHERS_MOST) =
                              1); /* in a block that there is, and in one that there is not */
    expect_assert_failure(ROW(other, OTHERS_MOST + 4 * ROWS_FIRST) = 1);
}

/* --- pool, shelf --------------------------------------------------------------------------------------------------------- */

static void test_pool_spares(void **state)
{
    (void)state;
    static _Alignas(ARENA_ALIGNMENT) uint8_t memory[1 << 16];
    struct arena arena = arena_make(memory, sizeof memory);
    struct pool p;
    pool_init(&p, &arena);
    uint8_t *a = pool_take(&p, 100), *b = pool_take(&p, 1000), *c = pool_take(&p, 5000),
            *d = pool_take(&p, 200);
    memset(b, 7, 1000);
    pool_give(&p, a);
    pool_give(&p, c);
    assert_int_equal(pool_spare(&p).len, 0); /* the last one is in use */
    pool_give(&p, d);
    const struct span spare = pool_spare(&p);
    assert_true(spare.data == b + 1024 && spare.data + spare.len >= d + 200);
    memset((uint8_t *)(uintptr_t)spare.data, 0, spare.len);
    assert_ptr_equal(pool_take(&p, 256), a); /* what lies before stays the pool's */
    assert_ptr_equal(pool_take(&p, 16000), c);
    assert_int_equal(b[999], 7);
    assert_int_equal(p.in_use, 3);
}

enum { SHELF_TEST_ROWS = 40, SHELF_TEST_BYTES = 5 << 20 };

static void *new_shelf(struct shelf *s)
{
    const size_t bytes = shelf_bytes(SHELF_TEST_ROWS, SHELF_TEST_BYTES);
    void *memory = calloc(1, bytes);
    struct arena arena = arena_make(memory, bytes);
    assert_int_equal(shelf_init(s, &arena, SHELF_TEST_ROWS, SHELF_TEST_BYTES), OK);
    assert_int_equal(arena.used, bytes);
    return memory;
}

static void test_shelf_holds_once(void **state)
{
    (void)state;
    struct shelf s;
    void *memory = new_shelf(&s);
    const uint8_t id[32] = {1}, other[32] = {2};
    const uint8_t *held = shelf_put(&s, id, SPAN_LITERAL("head"), SPAN_LITERAL("body"));
    assert_memory_equal(held, "headbody", 8);
    assert_ptr_equal(shelf_put(&s, id, SPAN_LITERAL("head"), SPAN_LITERAL("body")), held);
    assert_ptr_equal(shelf_put(&s, id, SPAN_LITERAL("headbody"), SPAN_NONE), held);
    assert_null(shelf_put(&s, id, SPAN_LITERAL("head"), SPAN_LITERAL("bodY")));
    assert_null(shelf_put(&s, id, SPAN_LITERAL("head"), SPAN_LITERAL("bod")));
    assert_ptr_not_equal(shelf_put(&s, other, SPAN_LITERAL("head"), SPAN_LITERAL("body")), held);
    assert_null(shelf_put(NULL, id, SPAN_LITERAL("head"), SPAN_LITERAL("body")));
    free(memory);
}

static void test_shelf_is_full(void **state)
{
    (void)state;
    struct shelf s;
    void *memory = new_shelf(&s);
    uint8_t id[32] = {0};
    for (id[0] = 0; id[0] < SHELF_TEST_ROWS; id[0]++)
        assert_non_null(shelf_put(&s, id, ID_SPAN(((struct hash32){{0}})), SPAN_NONE));
    assert_null(shelf_put(&s, id, SPAN_LITERAL("more"), SPAN_NONE));
    id[0]--;
    assert_non_null(shelf_put(&s, id, ID_SPAN(((struct hash32){{0}})), SPAN_NONE));
    free(memory);
    memory = new_shelf(&s);
    static const uint8_t large[SHELF_TEST_BYTES] = {0};
    assert_null(shelf_put(&s, id, SPAN_OF(large), SPAN_LITERAL("x")));
    assert_int_equal(s.count, 0);
    assert_non_null(shelf_put(&s, id, SPAN_OF(large), SPAN_NONE));
    free(memory);
}

static void test_shelf_documents(void **state)
{
    (void)state;
    struct shelf s;
    void *memory = new_shelf(&s);
    const uint8_t id[32] = {1};
    const uint8_t *held = shelf_put(&s, id, SPAN_LITERAL("head"), SPAN_LITERAL("body"));
    const void **place = shelf_document(&s, span_make(held + 4, 4), 0);
    assert_null(*place);
    *place = &s;
    assert_ptr_equal(*shelf_document(&s, span_make(held + 4, 4), 0), &s);
    assert_null(*shelf_document(&s, span_make(held + 4, 4), 1));
    assert_null(*shelf_document(&s, span_make(held + 4, 3), 0));
    assert_null(*shelf_document(&s, span_make(held + 5, 4), 0));
    assert_null(shelf_document(&s, SPAN_LITERAL("body"), 0)); /* it lies elsewhere */
    assert_null(shelf_document(NULL, span_make(held, 4), 0));
    assert_non_null(arena_take(&s.documents, 2 << 20, 1));
    assert_ptr_equal(*shelf_document(&s, span_make(held + 4, 4), 0), &s); /* what there is stays */
    assert_null(shelf_document(&s, span_make(held, 4), 0));
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_err_table),
        cmocka_unit_test(test_try),
        cmocka_unit_test(test_span),
        cmocka_unit_test(test_divisor),
        cmocka_unit_test(test_cursor),
        cmocka_unit_test(test_cursor_of_nothing),
        cmocka_unit_test(test_buffer),
        cmocka_unit_test(test_buffer_overflow),
        cmocka_unit_test(test_buffer_decimal),
        cmocka_unit_test(test_buffer_zero),
        cmocka_unit_test(test_hex),
        cmocka_unit_test(test_hex_digits),
        cmocka_unit_test(test_load_and_store),
        cmocka_unit_test(test_arena_takes_aligned_zeroes),
        cmocka_unit_test(test_arena_is_bounded),
        cmocka_unit_test(test_arena_release_zeroes),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_text_every_character),
        cmocka_unit_test(test_text_counts),
        cmocka_unit_test(test_text_order),
        cmocka_unit_test(test_text_append),
        cmocka_unit_test(test_index_grows),
        cmocka_unit_test(test_indexes_share_a_heap),
        cmocka_unit_test(test_index_needs_its_memory),
        cmocka_unit_test(test_pool_spares),
        cmocka_unit_test(test_shelf_holds_once),
        cmocka_unit_test(test_shelf_is_full),
        cmocka_unit_test(test_shelf_documents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
