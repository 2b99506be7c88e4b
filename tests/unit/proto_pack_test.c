/* Canonical msgpack: the bytes of every form at its edges, and what each reader refuses. */
#include "proto/wire/pack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint8_t written[70000];
static struct buffer out;

static struct buffer *begin(void)
{
    out = BUFFER_OF(written);
    return &out;
}

static void assert_written(struct span expected)
{
    assert_int_equal(buffer_done(&out), OK);
    assert_int_equal(out.len, expected.len);
    assert_memory_equal(written, expected.data, expected.len);
}

#define B(text) SPAN_LITERAL(text)

/* --- Integers ------------------------------------------------------------------------------------------ */

static const struct {
    uint64_t value;
    struct span bytes;
} uints[] = {
    {0, {(const uint8_t *)"\x00", 1}},
    {127, {(const uint8_t *)"\x7f", 1}},
    {128, {(const uint8_t *)"\xcc\x80", 2}},
    {255, {(const uint8_t *)"\xcc\xff", 2}},
    {256, {(const uint8_t *)"\xcd\x01\x00", 3}},
    {65535, {(const uint8_t *)"\xcd\xff\xff", 3}},
    {65536, {(const uint8_t *)"\xce\x00\x01\x00\x00", 5}},
    {UINT32_MAX, {(const uint8_t *)"\xce\xff\xff\xff\xff", 5}},
    {(uint64_t)UINT32_MAX + 1, {(const uint8_t *)"\xcf\x00\x00\x00\x01\x00\x00\x00\x00", 9}},
    {INT64_MAX, {(const uint8_t *)"\xcf\x7f\xff\xff\xff\xff\xff\xff\xff", 9}},
    {(uint64_t)INT64_MAX + 1, {(const uint8_t *)"\xcf\x80\x00\x00\x00\x00\x00\x00\x00", 9}},
    {UINT64_MAX, {(const uint8_t *)"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9}},
};

static void test_uint(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof uints / sizeof uints[0]; i++) {
        uint64_t value = 1;
        int64_t number = 1;
        pack_uint(begin(), uints[i].value);
        assert_written(uints[i].bytes);
        struct cursor c = cursor_make(uints[i].bytes);
        assert_int_equal(unpack_uint(&c, UINT64_MAX, &value), OK);
        assert_true(value == uints[i].value);
        assert_int_equal(cursor_left(&c), 0);
        c = cursor_make(uints[i].bytes);
        assert_int_equal(unpack_uint(&c, uints[i].value, &value), OK);
        c = cursor_make(uints[i].bytes);
        if (uints[i].value > 0) assert_int_equal(unpack_uint(&c, uints[i].value - 1, &value), ERR_TOO_LARGE);
        c = cursor_make(uints[i].bytes);
        assert_int_equal(unpack_int(&c, &number), uints[i].value <= INT64_MAX ? OK : ERR_TOO_LARGE);
        if (uints[i].value > INT64_MAX) continue;
        assert_true(number == (int64_t)uints[i].value);
        pack_int(begin(), number);
        assert_written(uints[i].bytes);
    }
}

static const struct {
    int64_t value;
    struct span bytes;
} negatives[] = {
    {-1, {(const uint8_t *)"\xff", 1}},
    {-32, {(const uint8_t *)"\xe0", 1}},
    {-33, {(const uint8_t *)"\xd0\xdf", 2}},
    {-128, {(const uint8_t *)"\xd0\x80", 2}},
    {-129, {(const uint8_t *)"\xd1\xff\x7f", 3}},
    {-32768, {(const uint8_t *)"\xd1\x80\x00", 3}},
    {-32769, {(const uint8_t *)"\xd2\xff\xff\x7f\xff", 5}},
    {INT32_MIN, {(const uint8_t *)"\xd2\x80\x00\x00\x00", 5}},
    {(int64_t)INT32_MIN - 1, {(const uint8_t *)"\xd3\xff\xff\xff\xff\x7f\xff\xff\xff", 9}},
    {INT64_MIN, {(const uint8_t *)"\xd3\x80\x00\x00\x00\x00\x00\x00\x00", 9}},
};

static void test_negative(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof negatives / sizeof negatives[0]; i++) {
        int64_t number = 1;
        uint64_t value;
        pack_int(begin(), negatives[i].value);
        assert_written(negatives[i].bytes);
        struct cursor c = cursor_make(negatives[i].bytes);
        assert_int_equal(unpack_int(&c, &number), OK);
        assert_true(number == negatives[i].value);
        assert_int_equal(cursor_left(&c), 0);
        c = cursor_make(negatives[i].bytes);
        assert_int_equal(unpack_uint(&c, UINT64_MAX, &value), ERR_TYPE);
    }
}

static void test_integer_refusals(void **state)
{
    (void)state;
    static const struct {
        struct span bytes;
        enum err err;
    } rows[] = {
        {{(const uint8_t *)"\xcc\x7f", 2}, ERR_NOT_CANONICAL},
        {{(const uint8_t *)"\xcc\x00", 2}, ERR_NOT_CANONICAL},
        {{(const uint8_t *)"\xcd\x00\xff", 3}, ERR_NOT_CANONICAL},
        {{(const uint8_t *)"\xce\x00\x00\xff\xff", 5}, ERR_NOT_CANONICAL},
        {{(const uint8_t *)"\xcf\x00\x00\x00\x00\xff\xff\xff\xff", 9}, ERR_NOT_CANONICAL},
        {{(const uint8_t *)"\xd0\x00", 2}, ERR_NOT_CANONICAL}, /* a signed form of what is not negative */
        {{(const uint8_t *)"\xd0\x7f", 2}, ERR_NOT_CANONICAL},
        {{(const uint8_t *)"\xd0\xe0", 2}, ERR_NOT_CANONICAL},
        {{(const uint8_t *)"\xd0\xff", 2}, ERR_NOT_CANONICAL},
        {{(const uint8_t *)"\xd1\x7f\xff", 3}, ERR_NOT_CANONICAL},
        {{(const uint8_t *)"\xd1\xff\x80", 3}, ERR_NOT_CANONICAL},
        {{(const uint8_t *)"\xd2\xff\xff\x80\x00", 5}, ERR_NOT_CANONICAL},
        {{(const uint8_t *)"\xd3\xff\xff\xff\xff\x80\x00\x00\x00", 9}, ERR_NOT_CANONICAL},
        {{(const uint8_t *)"\xd3\x00\x00\x00\x00\x00\x00\x00\x00", 9}, ERR_NOT_CANONICAL},
        {{(const uint8_t *)"", 0}, ERR_TRUNCATED},
        {{(const uint8_t *)"\xcc", 1}, ERR_TRUNCATED},
        {{(const uint8_t *)"\xcd\x01", 2}, ERR_TRUNCATED},
        {{(const uint8_t *)"\xce\x01\x00\x00", 4}, ERR_TRUNCATED},
        {{(const uint8_t *)"\xcf\x01\x00\x00\x00\x00\x00\x00", 8}, ERR_TRUNCATED},
        {{(const uint8_t *)"\xd0", 1}, ERR_TRUNCATED},
        {{(const uint8_t *)"\xd3\x80\x00\x00\x00\x00\x00\x00", 8}, ERR_TRUNCATED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t value;
        int64_t number;
        struct cursor c = cursor_make(rows[i].bytes);
        assert_int_equal(unpack_uint(&c, UINT64_MAX, &value), rows[i].err);
        c = cursor_make(rows[i].bytes);
        assert_int_equal(unpack_int(&c, &number), rows[i].err);
    }
}

/* --- Types
 * ----------------------------------------------------------------------------------------------------------
 */

/* Which readers take which first byte: every one of the 256, with enough bytes behind it. */
static void test_first_bytes(void **state)
{
    (void)state;
    static uint8_t bytes[300];
    for (unsigned first = 0; first < 256; first++) {
        uint64_t u;
        int64_t n;
        uint32_t count;
        bool flag;
        struct span s;
        bytes[0] = (uint8_t)first;
        bool is_int = first < 0x80 || first >= 0xe0 || (first >= 0xcc && first <= 0xd3);
        bool is_str = (first >= 0xa0 && first <= 0xbf) || (first >= 0xd9 && first <= 0xdb);
        bool is_bin = first >= 0xc4 && first <= 0xc6;
        bool is_array = (first >= 0x90 && first <= 0x9f) || first == 0xdc || first == 0xdd;
        struct cursor c = cursor_make(SPAN_OF(bytes));
        assert_int_equal(unpack_int(&c, &n) != ERR_TYPE, is_int);
        c = cursor_make(SPAN_OF(bytes));
        assert_int_equal(unpack_uint(&c, UINT64_MAX, &u) != ERR_TYPE, is_int && first < 0xe0);
        c = cursor_make(SPAN_OF(bytes));
        assert_int_equal(unpack_str(&c, SIZE_MAX, &s) != ERR_TYPE, is_str);
        c = cursor_make(SPAN_OF(bytes));
        assert_int_equal(unpack_bin(&c, SIZE_MAX, &s) != ERR_TYPE, is_bin);
        c = cursor_make(SPAN_OF(bytes));
        assert_int_equal(unpack_array(&c, UINT32_MAX, &count) != ERR_TYPE, is_array);
        c = cursor_make(SPAN_OF(bytes));
        assert_int_equal(unpack_nil(&c), first == 0xc0 ? OK : ERR_TYPE);
        c = cursor_make(SPAN_OF(bytes));
        assert_int_equal(unpack_at_nil(&c), first == 0xc0);
        c = cursor_make(SPAN_OF(bytes));
        assert_int_equal(unpack_bool(&c, &flag), first == 0xc2 || first == 0xc3 ? OK : ERR_TYPE);
    }
}

static void test_nil_and_bool(void **state)
{
    (void)state;
    bool flag = false;
    pack_nil(begin());
    pack_bool(&out, true);
    pack_bool(&out, false);
    assert_written(B("\xc0\xc3\xc2"));
    struct cursor c = cursor_make(buffer_span(&out));
    assert_true(unpack_at_nil(&c));
    assert_int_equal(unpack_nil(&c), OK);
    assert_false(unpack_at_nil(&c));
    assert_int_equal(unpack_bool(&c, &flag), OK);
    assert_true(flag);
    assert_int_equal(unpack_bool(&c, &flag), OK);
    assert_false(flag);
    assert_false(unpack_at_nil(&c));
    assert_int_equal(unpack_nil(&c), ERR_TRUNCATED);
    assert_int_equal(unpack_bool(&c, &flag), ERR_TRUNCATED);
}

/* --- bin, str, array ----------------------------------------------------------------------------------- */

struct form {
    size_t len;
    struct span head;
};

static void fill(uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) bytes[i] = (uint8_t)('a' + i % 26);
}

static const struct form bins[] = {
    {0, {(const uint8_t *)"\xc4\x00", 2}},         {1, {(const uint8_t *)"\xc4\x01", 2}},
    {255, {(const uint8_t *)"\xc4\xff", 2}},       {256, {(const uint8_t *)"\xc5\x01\x00", 3}},
    {65535, {(const uint8_t *)"\xc5\xff\xff", 3}}, {65536, {(const uint8_t *)"\xc6\x00\x01\x00\x00", 5}},
};
static const struct form strs[] = {
    {0, {(const uint8_t *)"\xa0", 1}},
    {31, {(const uint8_t *)"\xbf", 1}},
    {32, {(const uint8_t *)"\xd9\x20", 2}},
    {255, {(const uint8_t *)"\xd9\xff", 2}},
    {256, {(const uint8_t *)"\xda\x01\x00", 3}},
    {65535, {(const uint8_t *)"\xda\xff\xff", 3}},
    {65536, {(const uint8_t *)"\xdb\x00\x01\x00\x00", 5}},
};

typedef void packer(struct buffer *b, struct span bytes);
typedef enum err unpacker(struct cursor *c, size_t max, struct span *out);

static void check_form(const struct form *form, packer *pack, unpacker *unpack)
{
    static uint8_t bytes[65536];
    struct span got;
    fill(bytes, form->len);
    pack(begin(), span_make(bytes, form->len));
    assert_int_equal(buffer_done(&out), OK);
    assert_int_equal(out.len, form->head.len + form->len);
    assert_memory_equal(written, form->head.data, form->head.len);
    struct cursor c = cursor_make(buffer_span(&out));
    assert_int_equal(unpack(&c, form->len, &got), OK);
    assert_true(span_equal(got, span_make(bytes, form->len)));
    assert_int_equal(cursor_left(&c), 0);
    c = cursor_make(buffer_span(&out));
    if (form->len > 0) assert_int_equal(unpack(&c, form->len - 1, &got), ERR_TOO_LARGE);
    for (size_t len = 0; len < out.len; len += len < 8 ? 1 : out.len / 7) {
        c = cursor_make(span_make(written, len));
        assert_int_equal(unpack(&c, SIZE_MAX, &got), ERR_TRUNCATED);
    }
}

static void test_bin_and_str(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bins / sizeof bins[0]; i++) check_form(&bins[i], pack_bin, unpack_bin);
    for (size_t i = 0; i < sizeof strs / sizeof strs[0]; i++) check_form(&strs[i], pack_str, unpack_str);
    pack_bin(begin(), SPAN_NONE);
    pack_str(&out, SPAN_NONE);
    assert_written(B("\xc4\x00\xa0"));
}

static void test_longer_forms(void **state)
{
    (void)state;
    static uint8_t bytes[65600];
    struct span s;
    uint32_t count;
    static const struct {
        struct span head;
        char kind;
    } rows[] = {
        {{(const uint8_t *)"\xc5\x00\xff", 3}, 'b'},
        {{(const uint8_t *)"\xc5\x00\x00", 3}, 'b'},
        {{(const uint8_t *)"\xc6\x00\x00\xff\xff", 5}, 'b'},
        {{(const uint8_t *)"\xc6\x00\x00\x00\x01", 5}, 'b'},
        {{(const uint8_t *)"\xd9\x1f", 2}, 's'},
        {{(const uint8_t *)"\xd9\x00", 2}, 's'},
        {{(const uint8_t *)"\xda\x00\xff", 3}, 's'},
        {{(const uint8_t *)"\xdb\x00\x00\xff\xff", 5}, 's'},
        {{(const uint8_t *)"\xdc\x00\x0f", 3}, 'a'},
        {{(const uint8_t *)"\xdc\x00\x00", 3}, 'a'},
        {{(const uint8_t *)"\xdd\x00\x00\xff\xff", 5}, 'a'},
        {{(const uint8_t *)"\xdd\x00\x00\x00\x02", 5}, 'a'},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fill(bytes, sizeof bytes);
        memcpy(bytes, rows[i].head.data, rows[i].head.len);
        struct cursor c = cursor_make(SPAN_OF(bytes));
        enum err err = rows[i].kind == 'b'   ? unpack_bin(&c, SIZE_MAX, &s)
                       : rows[i].kind == 's' ? unpack_str(&c, SIZE_MAX, &s)
                                             : unpack_array(&c, UINT32_MAX, &count);
        assert_int_equal(err, ERR_NOT_CANONICAL);
    }
}

static void test_array(void **state)
{
    (void)state;
    static const struct form arrays[] = {
        {0, {(const uint8_t *)"\x90", 1}},
        {15, {(const uint8_t *)"\x9f", 1}},
        {16, {(const uint8_t *)"\xdc\x00\x10", 3}},
        {65535, {(const uint8_t *)"\xdc\xff\xff", 3}},
        {65536, {(const uint8_t *)"\xdd\x00\x01\x00\x00", 5}},
    };
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++) {
        const struct form *form = &arrays[i];
        uint32_t len = (uint32_t)form->len, count = 7;
        pack_array(begin(), len);
        assert_written(form->head);
        for (uint32_t k = 0; k < len; k++) pack_nil(&out);
        struct cursor c = cursor_make(buffer_span(&out));
        assert_int_equal(unpack_array(&c, len, &count), OK);
        assert_int_equal(count, len);
        assert_int_equal(cursor_left(&c), len);
        c = cursor_make(buffer_span(&out));
        assert_int_equal(unpack_array_of(&c, len), OK);
        c = cursor_make(buffer_span(&out));
        assert_int_equal(unpack_array_of(&c, len + 1), ERR_TYPE);
        c = cursor_make(buffer_span(&out));
        if (len > 0) assert_int_equal(unpack_array(&c, len - 1, &count), ERR_TOO_LARGE);
        c = cursor_make(span_make(written, out.len - 1)); /* fewer bytes than elements */
        assert_int_equal(unpack_array(&c, len, &count), ERR_TRUNCATED);
    }
    /* Five bytes that ask for four billion elements. */
    uint32_t count;
    struct cursor c = cursor_make(B("\xdd\xff\xff\xff\xff"));
    assert_int_equal(unpack_array(&c, UINT32_MAX, &count), ERR_TRUNCATED);
    c = cursor_make(B("\xc6\xff\xff\xff\xff"));
    struct span s;
    assert_int_equal(unpack_bin(&c, SIZE_MAX, &s), ERR_TRUNCATED);
}

static void test_fixed(void **state)
{
    (void)state;
    uint8_t bytes[4] = {9, 9, 9, 9};
    pack_bin(begin(), B("\x01\x02\x03"));
    struct cursor c = cursor_make(buffer_span(&out));
    assert_int_equal(unpack_fixed(&c, bytes, 2), ERR_TYPE);
    c = cursor_make(buffer_span(&out));
    assert_int_equal(unpack_fixed(&c, bytes, 4), ERR_TYPE);
    assert_memory_equal(bytes, "\x09\x09\x09\x09", 4);
    c = cursor_make(buffer_span(&out));
    assert_int_equal(unpack_fixed(&c, bytes, 3), OK);
    assert_memory_equal(bytes, "\x01\x02\x03\x09", 4);
    c = cursor_make(B("\xa3"
                      "abc"));
    assert_int_equal(unpack_fixed(&c, bytes, 3), ERR_TYPE);
    c = cursor_make(B("\xc4\x00"));
    assert_int_equal(unpack_fixed(&c, NULL, 0), OK);
}

static void test_text(void **state)
{
    (void)state;
    static const char *const bad[] = {"\n",       "\x7f",         "\xc2\x85", "\xff",
                                      "\xc0\x80", "\xed\xa0\x80", "a\xe2\x82"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct span s = span_text(bad[i]), got;
        pack_str(begin(), s);
        assert_int_equal(buffer_done(&out), ERR_TOO_LARGE); /* never written */
        uint8_t bytes[8] = {(uint8_t)(0xa0 + s.len)};
        memcpy(bytes + 1, s.data, s.len);
        struct cursor c = cursor_make(span_make(bytes, 1 + s.len));
        assert_int_equal(unpack_str(&c, 8, &got), ERR_SYNTAX);
    }
    struct span got;
    pack_str(begin(), B("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x82"));
    struct cursor c = cursor_make(buffer_span(&out));
    assert_int_equal(unpack_str(&c, 32, &got), OK);
    assert_true(span_equal_text(got, "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x82"));
}

static void test_overflow(void **state)
{
    (void)state;
    uint8_t small[3];
    struct buffer b = BUFFER_OF(small);
    pack_bin(&b, B("ab"));
    assert_int_equal(buffer_done(&b), ERR_TOO_LARGE);
    pack_nil(&b); /* would fit, but what is lost stays lost */
    assert_int_equal(buffer_done(&b), ERR_TOO_LARGE);
    assert_true(b.len <= sizeof small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uint),
        cmocka_unit_test(test_negative),
        cmocka_unit_test(test_integer_refusals),
        cmocka_unit_test(test_first_bytes),
        cmocka_unit_test(test_nil_and_bool),
        cmocka_unit_test(test_bin_and_str),
        cmocka_unit_test(test_longer_forms),
        cmocka_unit_test(test_array),
        cmocka_unit_test(test_fixed),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
