/* Canonical JSON: what is refused and how it is reported, what is accepted, the schema reader and the writer.
 */
#include "proto/base/json.h"
#include "proto/base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static _Alignas(16) uint8_t memory[1 << 20];
static struct arena arena;
static struct json_fault fault;

static int setup(void **state)
{
    (void)state;
    memset(memory, 0, sizeof memory);
    memset(&fault, 0, sizeof fault);
    arena = arena_make(memory, sizeof memory);
    return 0;
}

static const struct json *parse(const char *text)
{
    const struct json *value = NULL;
    enum err err = json_parse(&value, &arena, span_text(text), &fault);
    if (err != OK) print_error("%s: %s at %s\n", text, fault.expected, fault.path);
    assert_int_equal(err, OK);
    return value;
}

/* --- What is refused ----------------------------------------------------------------------------------- */

struct refusal {
    struct span text;
    enum err err;
    const char *path, *expected;
};

#define REFUSED(text, err, path, expected)                                                                   \
    {                                                                                                        \
        {(const uint8_t *)(text), sizeof(text) - 1}, (err), (path), (expected)                               \
    }
#define NO_ESCAPE    "no escape but \\\" and \\\\"
#define NO_CONTROL   "UTF-8 without control characters"
#define INTEGER_ONLY "an integer (decimals are strings)"

static const struct refusal refusals[] = {
    /* white space */
    REFUSED(" 1", ERR_NOT_CANONICAL, "byte 0", "no white space"),
    REFUSED("1\n", ERR_NOT_CANONICAL, "byte 1", "no white space"),
    REFUSED("[1, 2]", ERR_NOT_CANONICAL, "byte 3", "no white space"),
    REFUSED("[1 ,2]", ERR_NOT_CANONICAL, "byte 2", "no white space"),
    REFUSED("[ ]", ERR_NOT_CANONICAL, "byte 1", "no white space"),
    REFUSED("{ }", ERR_NOT_CANONICAL, "byte 1", "no white space"),
    REFUSED("{\"a\": 1}", ERR_NOT_CANONICAL, "byte 5", "no white space"),
    REFUSED("{\"a\"\t:1}", ERR_NOT_CANONICAL, "byte 4", "no white space"),
    REFUSED("{\"a\":1,\r\"b\":1}", ERR_NOT_CANONICAL, "byte 7", "no white space"),
    /* structure */
    REFUSED("", ERR_SYNTAX, "byte 0", "a value"),
    REFUSED("\0", ERR_SYNTAX, "byte 0", "a value"),
    REFUSED("1\0", ERR_SYNTAX, "byte 1", "the end of the document"),
    REFUSED("\xef\xbb\xbf{}", ERR_SYNTAX, "byte 0", "a value"), /* byte order mark */
    REFUSED("nul", ERR_SYNTAX, "byte 0", "null"),
    REFUSED("nulL", ERR_SYNTAX, "byte 0", "null"),
    REFUSED("True", ERR_SYNTAX, "byte 0", "a value"),
    REFUSED("tru", ERR_SYNTAX, "byte 0", "true"),
    REFUSED("falsy", ERR_SYNTAX, "byte 0", "false"),
    REFUSED("truefalse", ERR_SYNTAX, "byte 4", "the end of the document"),
    REFUSED("{}{}", ERR_SYNTAX, "byte 2", "the end of the document"),
    REFUSED("[1]]", ERR_SYNTAX, "byte 3", "the end of the document"),
    REFUSED("[", ERR_SYNTAX, "byte 1", "a value"),
    REFUSED("[1", ERR_SYNTAX, "byte 2", "a comma or the end of the array"),
    REFUSED("[1,", ERR_SYNTAX, "byte 3", "a value"),
    REFUSED("[1,]", ERR_SYNTAX, "byte 3", "a value"),
    REFUSED("[,1]", ERR_SYNTAX, "byte 1", "a value"),
    REFUSED("[1}", ERR_SYNTAX, "byte 2", "a comma or the end of the array"),
    REFUSED("[1 2]", ERR_NOT_CANONICAL, "byte 2", "no white space"),
    REFUSED("[1\"a\"]", ERR_SYNTAX, "byte 2", "a comma or the end of the array"),
    REFUSED("[[1,2},3]", ERR_SYNTAX, "byte 5", "a comma or the end of the array"),
    REFUSED("]", ERR_SYNTAX, "byte 0", "a value"),
    REFUSED("{", ERR_SYNTAX, "byte 1", "a string"),
    REFUSED("{\"a\"", ERR_SYNTAX, "byte 4", "a colon"),
    REFUSED("{\"a\":", ERR_SYNTAX, "byte 5", "a value"),
    REFUSED("{\"a\":1", ERR_SYNTAX, "byte 6", "a comma or the end of the object"),
    REFUSED("{\"a\":1,}", ERR_SYNTAX, "byte 7", "a string"),
    REFUSED("{\"a\",1}", ERR_SYNTAX, "byte 4", "a colon"),
    REFUSED("{\"a\":1]", ERR_SYNTAX, "byte 6", "a comma or the end of the object"),
    REFUSED("{a:1}", ERR_SYNTAX, "byte 1", "a string"),
    REFUSED("{1:1}", ERR_SYNTAX, "byte 1", "a string"),
    REFUSED("{null:1}", ERR_SYNTAX, "byte 1", "a string"),
    REFUSED("'a'", ERR_SYNTAX, "byte 0", "a value"),
    REFUSED("/**/1", ERR_SYNTAX, "byte 0", "a value"),
    REFUSED("NaN", ERR_SYNTAX, "byte 0", "a value"),
    REFUSED("Infinity", ERR_SYNTAX, "byte 0", "a value"),
    /* numbers */
    REFUSED("-", ERR_SYNTAX, "byte 1", "a digit"),
    REFUSED("--1", ERR_SYNTAX, "byte 1", "a digit"),
    REFUSED("-a", ERR_SYNTAX, "byte 1", "a digit"),
    REFUSED("+1", ERR_SYNTAX, "byte 0", "a value"),
    REFUSED(".5", ERR_SYNTAX, "byte 0", "a value"),
    REFUSED("01", ERR_SYNTAX, "byte 2", "no leading zero"),
    REFUSED("-01", ERR_SYNTAX, "byte 3", "no leading zero"),
    REFUSED("00", ERR_SYNTAX, "byte 2", "no leading zero"),
    REFUSED("-0", ERR_NOT_CANONICAL, "byte 2", "0 without a sign"),
    REFUSED("[-0]", ERR_NOT_CANONICAL, "byte 3", "0 without a sign"),
    REFUSED("-0.0", ERR_SYNTAX, "byte 2", INTEGER_ONLY),
    REFUSED("1.5", ERR_SYNTAX, "byte 1", INTEGER_ONLY),
    REFUSED("1.0", ERR_SYNTAX, "byte 1", INTEGER_ONLY),
    REFUSED("1.", ERR_SYNTAX, "byte 1", INTEGER_ONLY),
    REFUSED("1e2", ERR_SYNTAX, "byte 1", INTEGER_ONLY),
    REFUSED("1E2", ERR_SYNTAX, "byte 1", INTEGER_ONLY),
    REFUSED("0x10", ERR_SYNTAX, "byte 1", "the end of the document"),
    REFUSED("1_000", ERR_SYNTAX, "byte 1", "the end of the document"),
    REFUSED("9007199254740993", ERR_RANGE, "byte 15", "integer within 2^53 of zero"),
    REFUSED("-9007199254740993", ERR_RANGE, "byte 16", "integer within 2^53 of zero"),
    REFUSED("9999999999999999999999999999", ERR_RANGE, "byte 15", "integer within 2^53 of zero"),
    REFUSED("18446744073709551617", ERR_RANGE, "byte 16", "integer within 2^53 of zero"),
    /* strings */
    REFUSED("\"", ERR_SYNTAX, "byte 1", "the closing quote of a string"),
    REFUSED("\"ab", ERR_SYNTAX, "byte 3", "the closing quote of a string"),
    REFUSED("\"ab\\\"", ERR_SYNTAX, "byte 5", "the closing quote of a string"),
    REFUSED("\"ab\\", ERR_SYNTAX, "byte 3", NO_ESCAPE),
    REFUSED("[\"ab\\", ERR_SYNTAX, "byte 4", NO_ESCAPE),
    REFUSED("\"\\/\"", ERR_NOT_CANONICAL, "byte 1", NO_ESCAPE),
    REFUSED("\"\\u0041\"", ERR_NOT_CANONICAL, "byte 1", NO_ESCAPE),
    REFUSED("\"\\u000f\"", ERR_NOT_CANONICAL, "byte 1", NO_ESCAPE),
    REFUSED("\"\\ud83d\\ude02\"", ERR_NOT_CANONICAL, "byte 1", NO_ESCAPE),
    REFUSED("\"\\ud83d\"", ERR_NOT_CANONICAL, "byte 1", NO_ESCAPE),
    REFUSED("\"\\b\"", ERR_SYNTAX, "byte 1", NO_ESCAPE),
    REFUSED("\"\\t\"", ERR_SYNTAX, "byte 1", NO_ESCAPE),
    REFUSED("\"\\n\"", ERR_SYNTAX, "byte 1", NO_ESCAPE),
    REFUSED("\"\\f\"", ERR_SYNTAX, "byte 1", NO_ESCAPE),
    REFUSED("\"\\r\"", ERR_SYNTAX, "byte 1", NO_ESCAPE),
    REFUSED("\"\\x41\"", ERR_SYNTAX, "byte 1", NO_ESCAPE),
    REFUSED("\"\\'\"", ERR_SYNTAX, "byte 1", NO_ESCAPE),
    REFUSED("\"\0\"", ERR_SYNTAX, "byte 1", NO_CONTROL),
    REFUSED("\"a\nb\"", ERR_SYNTAX, "byte 2", NO_CONTROL),
    REFUSED("\"\x1f\"", ERR_SYNTAX, "byte 1", NO_CONTROL),
    REFUSED("\"\x7f\"", ERR_SYNTAX, "byte 1", NO_CONTROL),
    REFUSED("\"\xc2\x80\"", ERR_SYNTAX, "byte 1", NO_CONTROL),         /* U+0080 */
    REFUSED("\"\xc2\x9b\"", ERR_SYNTAX, "byte 1", NO_CONTROL),         /* U+009B, a terminal's CSI */
    REFUSED("\"\x80\"", ERR_SYNTAX, "byte 1", NO_CONTROL),             /* continuation alone */
    REFUSED("\"\xc0\xaf\"", ERR_SYNTAX, "byte 1", NO_CONTROL),         /* overlong / */
    REFUSED("\"\xc1\xbf\"", ERR_SYNTAX, "byte 1", NO_CONTROL),         /* overlong U+007F */
    REFUSED("\"\xe0\x9f\xbf\"", ERR_SYNTAX, "byte 1", NO_CONTROL),     /* overlong U+07FF */
    REFUSED("\"\xf0\x8f\xbf\xbf\"", ERR_SYNTAX, "byte 1", NO_CONTROL), /* overlong U+FFFF */
    REFUSED("\"\xed\xa0\x80\"", ERR_SYNTAX, "byte 1", NO_CONTROL),     /* U+D800 */
    REFUSED("\"\xed\xbf\xbf\"", ERR_SYNTAX, "byte 1", NO_CONTROL),     /* U+DFFF */
    REFUSED("\"\xf4\x90\x80\x80\"", ERR_SYNTAX, "byte 1", NO_CONTROL), /* U+110000 */
    REFUSED("\"\xf5\x80\x80\x80\"", ERR_SYNTAX, "byte 1", NO_CONTROL),
    REFUSED("\"\xff\"", ERR_SYNTAX, "byte 1", NO_CONTROL),
    REFUSED("\"\xc3\"", ERR_SYNTAX, "byte 1", NO_CONTROL), /* cut short by the quote */
    REFUSED("\"\xe2\x82\"", ERR_SYNTAX, "byte 1", NO_CONTROL),
    REFUSED("\"\xf0\x9f\x98\"", ERR_SYNTAX, "byte 1", NO_CONTROL),
    REFUSED("\"\xf0\x9f", ERR_SYNTAX, "byte 1", NO_CONTROL), /* cut short by the end */
    REFUSED("\"\xc3\xc3\"", ERR_SYNTAX, "byte 1", NO_CONTROL),
    REFUSED("{\"\xff\":1}", ERR_SYNTAX, "byte 2", NO_CONTROL),
    /* order of keys */
    REFUSED("{\"b\":1,\"a\":1}", ERR_NOT_CANONICAL, "byte 7", "keys in canonical order"),
    REFUSED("{\"a\":1,\"\":1}", ERR_NOT_CANONICAL, "byte 7", "keys in canonical order"),
    REFUSED("{\"aa\":1,\"a\":1}", ERR_NOT_CANONICAL, "byte 8", "keys in canonical order"),
    REFUSED("{\"a\":1,\"B\":1}", ERR_NOT_CANONICAL, "byte 7", "keys in canonical order"),
    REFUSED("{\"2\":1,\"10\":1}", ERR_NOT_CANONICAL, "byte 7", "keys in canonical order"),
    REFUSED("{\"\xef\xac\xb3\":1,\"\xf0\x9f\x98\x82\":1}", ERR_NOT_CANONICAL, "byte 9",
            "keys in canonical order"), /* code point order is not UTF-16's: U+FB33 after U+1F602 */
    REFUSED("{\"a\":1,\"a\":2}", ERR_DUPLICATE, "byte 7", "each key once"),
    REFUSED("{\"\":1,\"\":1}", ERR_DUPLICATE, "byte 6", "each key once"),
    REFUSED("[{\"a\":{\"x\":1,\"x\":1}}]", ERR_DUPLICATE, "byte 13", "each key once"),
    REFUSED("{\"\\\"\":1,\"\\\"\":1}", ERR_DUPLICATE, "byte 8", "each key once"),
    /* depth: 17 */
    REFUSED("[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]", ERR_TOO_LARGE, "byte 16", "less nesting"),
    REFUSED("[[[[[[[[[[[[[[[[{}]]]]]]]]]]]]]]]]", ERR_TOO_LARGE, "byte 16", "less nesting"),
    REFUSED("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", ERR_TOO_LARGE, "byte 16", "less nesting"),
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        const struct refusal *r = &refusals[i];
        const struct json *value = NULL;
        enum err err = json_parse(&value, &arena, r->text, &fault);
        if (err != r->err || strcmp(fault.path, r->path) != 0 || strcmp(fault.expected, r->expected) != 0) {
            print_error("row %zu, %.*s: %s, %s, %s\n", i, (int)r->text.len, (const char *)r->text.data,
                        err_name(err), fault.path, fault.expected);
        }
        assert_int_equal(err, r->err);
        assert_string_equal(fault.path, r->path);
        assert_string_equal(fault.expected, r->expected);
        assert_int_equal(fault.err, r->err);
        assert_null(value);
        assert_int_equal(arena_mark(&arena), 0);
        assert_int_equal(json_parse(&value, &arena, r->text, NULL), r->err);
    }
}

/* Every proper prefix of a document is refused, whatever place it is cut at. */
static void test_prefixes(void **state)
{
    (void)state;
    const char *text = "{\"a\":[1,-20,\"x\\\"\xe2\x82\xac\",{\"k\":null}],\"b\":{\"c\":true,\"d\":false}}";
    const struct json *value;
    for (size_t len = 0; len < strlen(text); len++) {
        assert_int_equal(json_parse(&value, &arena, span_make(text, len), &fault), ERR_SYNTAX);
    }
    (void)parse(text);
}

static void test_members_and_arena_are_limited(void **state)
{
    (void)state;
    static char text[8192];
    const struct json *value;
    for (int members = 256; members <= 257; members++) {
        size_t len = 0;
        for (int i = 0; i < members; i++) {
            len += (size_t)snprintf(text + len, sizeof text - len, "%c\"%03d\":%d", i == 0 ? '{' : ',', i, i);
        }
        (void)snprintf(text + len, sizeof text - len, "}");
        enum err err = json_parse(&value, &arena, span_text(text), &fault);
        assert_int_equal(err, members == 256 ? OK : ERR_TOO_LARGE);
    }
    /* One element too many for the arena; the announcement costs nothing that stays. */
    struct arena small = arena_make(memory + sizeof memory / 2, 512);
    assert_int_equal(json_parse(&value, &small, span_text("[1,2,3,4,5]"), &fault), OK);
    arena_release(&small, 0);
    assert_int_equal(json_parse(&value, &small, span_text("[1,2,3,4,5,6,7,8,9]"), &fault), ERR_TOO_LARGE);
    assert_string_equal(fault.expected, "a smaller document");
    assert_int_equal(arena_mark(&small), 0);
    memset(text, ',', sizeof text);
    text[0] = '[';
    assert_int_equal(json_parse(&value, &small, SPAN_OF(text), &fault), ERR_TOO_LARGE);
    assert_int_equal(arena_mark(&small), 0);
}

/* The header promises 33 bytes of arena a byte of input. */
static void test_arena_bound(void **state)
{
    (void)state;
    static char text[4096];
    const char *const units[] = {"1,", "{},", "{\"\":1},", "[],", "[[[[[[1]]]]]],", "\"\","};
    const struct json *value;
    for (size_t u = 0; u < sizeof units / sizeof units[0]; u++) {
        size_t len = 1, unit = strlen(units[u]);
        text[0] = '[';
        while (len + unit < sizeof text - 2) {
            memcpy(text + len, units[u], unit);
            len += unit;
        }
        text[len - 1] = ']';
        struct arena exact = arena_make(memory, 33 * len + 256);
        assert_int_equal(json_parse(&value, &exact, span_make(text, len), &fault), OK);
        arena_release(&exact, 0);
    }
}

/* --- What is accepted ---------------------------------------------------------------------------------- */

static void assert_round_trip(const char *text)
{
    static uint8_t out[4096];
    struct buffer b = BUFFER_OF(out);
    struct json_writer w;
    json_writer_init(&w, &b);
    json_put_value(&w, parse(text));
    assert_int_equal(buffer_done(&b), OK);
    assert_int_equal(b.len, strlen(text));
    assert_memory_equal(out, text, b.len);
}

static void test_accepted(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "null",
        "true",
        "false",
        "0",
        "7",
        "-1",
        "10",
        "9007199254740992",
        "-9007199254740992",
        "\"\"",
        "\"/\"",
        "\"\\\"\\\\\"",
        "\"\xc2\xa0\"",
        "\"\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\"",
        "\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"",
        "\"\xe2\x82\xac\"",
        "\"[{,}]\"",
        "\"\\\\\"",
        "\"\\\\\\\"\"",
        "[]",
        "{}",
        "[[],{},[{}]]",
        "[1,\"a,b]\",[2,3],{\"k\":[4,\"\\\"]\"]}]",
        "{\"\":1,\"A\":2,\"a\":3,\"aa\":4}",
        "{\"10\":1,\"2\":1}",
        "{\"\\\"\":1,\"\\\\\":2}",
        "{\"\xc3\xb6\":1,\"\xf0\x9f\x98\x82\":2,\"\xef\xac\xb3\":3}",
        "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]",
        "[[[[[[[[[[[[[[[[1],1],1],1],1],1],1],1],1],1],1],1],1],1],1],1]",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) assert_round_trip(texts[i]);
}

static void test_tree(void **state)
{
    (void)state;
    const struct json *root = parse("{\"a\":[1,\"x\\\"y\\\\\",null],\"b\":{\"c\":false,\"d\":true}}");
    assert_int_equal(root->type, JSON_TYPE_OBJECT);
    assert_int_equal(root->count, 2);
    assert_true(span_equal_text(root->keys[1], "b"));
    const struct json *a = &root->items[0];
    assert_int_equal(a->type, JSON_TYPE_ARRAY);
    assert_int_equal(a->count, 3);
    assert_int_equal(a->items[0].integer, 1);
    assert_true(span_equal_text(a->items[1].string, "x\"y\\"));
    assert_int_equal(a->items[2].type, JSON_TYPE_NULL);
    assert_false(root->items[1].items[0].boolean);
    assert_true(root->items[1].items[1].boolean);
}

/* Strings live in the arena: the input may go away. */
static void test_input_may_go_away(void **state)
{
    (void)state;
    char text[] = "{\"key\":\"plain\"}";
    const struct json *root = parse(text);
    memset(text, 'x', sizeof text);
    assert_true(span_equal_text(root->keys[0], "key"));
    assert_true(span_equal_text(root->items[0].string, "plain"));
}

/* --- The schema reader --------------------------------------------------------------------------------- */

static const char *const colours[] = {"red", "green"};

/* One read of member "v" of the object {"v":<text>}; returns the reader's verdict. */
#define READ(text, statement)                                                                                \
    do {                                                                                                     \
        struct json_reader reader, *r = &reader;                                                             \
        json_reader_init(r, parse("{\"v\":" text "}"), "", &fault);                                          \
        statement;                                                                                           \
        verdict = json_reader_done(r);                                                                       \
        assert_true((verdict != OK) == (fault.expected[0] != 0));                                            \
        if (verdict != OK) assert_string_equal(fault.path, "v");                                             \
    } while (0)

#define ACCEPTS(text, statement)                                                                             \
    do {                                                                                                     \
        READ(text, statement);                                                                               \
        assert_int_equal(verdict, OK);                                                                       \
    } while (0)

#define REFUSES(text, statement, error, phrase)                                                              \
    do {                                                                                                     \
        READ(text, statement);                                                                               \
        assert_int_equal(verdict, (error));                                                                  \
        assert_string_equal(fault.expected, (phrase));                                                       \
    } while (0)

static void test_read_scalars(void **state)
{
    (void)state;
    enum err verdict;
    int64_t n = 99;
    bool flag = false;
    ACCEPTS("-5", json_read_int(r, "v", -5, 5, &n));
    assert_int_equal(n, -5);
    REFUSES("6", json_read_int(r, "v", -5, 5, &n), ERR_RANGE, "integer from -5 to 5");
    REFUSES("-6", json_read_int(r, "v", -5, 5, &n), ERR_RANGE, "integer from -5 to 5");
    REFUSES("\"5\"", json_read_int(r, "v", -5, 5, &n), ERR_TYPE, "integer from -5 to 5");
    assert_int_equal(n, -5); /* untouched by refusals */
    ACCEPTS("true", json_read_bool(r, "v", &flag));
    assert_true(flag);
    REFUSES("1", json_read_bool(r, "v", &flag), ERR_TYPE, "true or false");
    REFUSES("null", json_read_bool(r, "v", &flag), ERR_TYPE, "true or false");
}

static void test_read_strings(void **state)
{
    (void)state;
    enum err verdict;
    struct span s = SPAN_NONE;
    uint32_t colour = 9;
    uint8_t bytes[2] = {7, 7};
    ACCEPTS("\"abc\"", json_read_text(r, "v", 3, &s));
    assert_true(span_equal_text(s, "abc"));
    ACCEPTS("\"\"", json_read_text(r, "v", 3, &s));
    REFUSES("\"abcd\"", json_read_text(r, "v", 3, &s), ERR_TOO_LARGE, "text of 0 to 3 bytes");
    REFUSES("3", json_read_text(r, "v", 3, &s), ERR_TYPE, "text of 0 to 3 bytes");
    ACCEPTS("\"a.b_c-9\"", json_read_name(r, "v", 8, &s));
    REFUSES("\"\"", json_read_name(r, "v", 8, &s), ERR_SYNTAX, "name of 1 to 8 characters of a-z 0-9 . _ -");
    REFUSES("\"A\"", json_read_name(r, "v", 8, &s), ERR_SYNTAX, "name of 1 to 8 characters of a-z 0-9 . _ -");
    REFUSES("\"a b\"", json_read_name(r, "v", 8, &s), ERR_SYNTAX,
            "name of 1 to 8 characters of a-z 0-9 . _ -");
    REFUSES("\"abcdefghi\"", json_read_name(r, "v", 8, &s), ERR_TOO_LARGE,
            "name of 1 to 8 characters of a-z 0-9 . _ -");
    ACCEPTS("\"00ff\"", json_read_hex(r, "v", bytes, 2));
    assert_int_equal(bytes[1], 0xff);
    REFUSES("\"12FF\"", json_read_hex(r, "v", bytes, 2), ERR_SYNTAX, "4 lower-case hex digits");
    REFUSES("\"12f\"", json_read_hex(r, "v", bytes, 2), ERR_SYNTAX, "4 lower-case hex digits");
    REFUSES("\"12ff0\"", json_read_hex(r, "v", bytes, 2), ERR_SYNTAX, "4 lower-case hex digits");
    REFUSES("\"12fg\"", json_read_hex(r, "v", bytes, 2), ERR_SYNTAX, "4 lower-case hex digits");
    REFUSES("12", json_read_hex(r, "v", bytes, 2), ERR_TYPE, "4 lower-case hex digits");
    assert_int_equal(bytes[0], 0); /* untouched by refusals */
    ACCEPTS("\"green\"", json_read_enum(r, "v", colours, 2, &colour));
    assert_int_equal(colour, 1);
    REFUSES("\"blue\"", json_read_enum(r, "v", colours, 2, &colour), ERR_RANGE, "one of red, green");
    REFUSES("\"gree\"", json_read_enum(r, "v", colours, 2, &colour), ERR_RANGE, "one of red, green");
    REFUSES("1", json_read_enum(r, "v", colours, 2, &colour), ERR_TYPE, "one of red, green");
}

static void test_read_decimal(void **state)
{
    (void)state;
    enum err verdict;
    int64_t n = 0;
    const char *wide = "decimal string from -10 to 10.5, places up to 2";
#define DECIMAL json_read_decimal(r, "v", 2, -1000, 1050, &n)
    ACCEPTS("\"1.5\"", DECIMAL);
    assert_int_equal(n, 150);
    ACCEPTS("\"-0.25\"", DECIMAL);
    assert_int_equal(n, -25);
    ACCEPTS("\"0\"", DECIMAL);
    assert_int_equal(n, 0);
    ACCEPTS("\"10.50\"", DECIMAL);
    assert_int_equal(n, 1050);
    ACCEPTS("\"-10\"", DECIMAL);
    assert_int_equal(n, -1000);
    REFUSES("\"10.51\"", DECIMAL, ERR_RANGE, wide);
    REFUSES("\"-10.01\"", DECIMAL, ERR_RANGE, wide);
    REFUSES("\"1.005\"", DECIMAL, ERR_RANGE, wide);
    REFUSES("\"1.000\"", DECIMAL, ERR_RANGE, wide);
    REFUSES("\"0.000\"", DECIMAL, ERR_RANGE, wide);
    REFUSES("\"99999999999999999999\"", DECIMAL, ERR_RANGE, wide);
    REFUSES("\"-99999999999999999999\"", DECIMAL, ERR_RANGE, wide);
    REFUSES("1", DECIMAL, ERR_TYPE, wide);
    static const char *const malformed[] = {"",    "-",   "+1",    ".5",    "1.",    "-.5", "01",
                                            "00",  "-0",  "-0.00", "1e2",   "1.5e1", " 1",  "1 ",
                                            "1,5", "0x1", "1..5",  "1.5.5", "--1",   "nan"};
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        char text[32];
        struct json_reader r;
        (void)snprintf(text, sizeof text, "{\"v\":\"%s\"}", malformed[i]);
        json_reader_init(&r, parse(text), "", &fault);
        json_read_decimal(&r, "v", 2, -1000, 1000, &n);
        assert_int_equal(json_reader_done(&r), ERR_SYNTAX);
    }
    assert_int_equal(n, -1000); /* untouched by refusals */
    /* the edges of 64 bits, exactly */
    ACCEPTS("\"9223372036854775807\"", json_read_decimal(r, "v", 0, INT64_MIN, INT64_MAX, &n));
    assert_true(n == INT64_MAX);
    ACCEPTS("\"-9223372036854775808\"", json_read_decimal(r, "v", 0, INT64_MIN, INT64_MAX, &n));
    assert_true(n == INT64_MIN);
    ACCEPTS("\"-9.223372036854775808\"", json_read_decimal(r, "v", 18, INT64_MIN, INT64_MAX, &n));
    assert_true(n == INT64_MIN);
    REFUSES("\"9223372036854775808\"", json_read_decimal(r, "v", 0, INT64_MIN, INT64_MAX, &n), ERR_RANGE,
            "decimal string from -9223372036854775808 to 9223372036854775807, places up to 0");
    REFUSES("\"9.223372036854775808\"", json_read_decimal(r, "v", 18, -5, INT64_MAX, &n), ERR_RANGE,
            "decimal string from -0.000000000000000005 to 9.223372036854775807, places up to 18");
    REFUSES("\"10\"", json_read_decimal(r, "v", 18, -1, 1, &n), ERR_RANGE,
            "decimal string from -0.000000000000000001 to 0.000000000000000001, places up to 18");
#undef DECIMAL
}

static void test_read_containers(void **state)
{
    (void)state;
    enum err verdict;
    const struct json *got = NULL;
    ACCEPTS("[1,2]", got = json_read_array(r, "v", 1, 2));
    assert_int_equal(got->count, 2);
    REFUSES("[]", got = json_read_array(r, "v", 1, 2), ERR_RANGE, "array of 1 to 2 elements");
    assert_null(got);
    REFUSES("[1,2,3]", got = json_read_array(r, "v", 1, 2), ERR_RANGE, "array of 1 to 2 elements");
    REFUSES("{}", got = json_read_array(r, "v", 0, 2), ERR_TYPE, "array of 0 to 2 elements");
    assert_null(got);
    ACCEPTS("{}", got = json_read_object(r, "v"));
    assert_non_null(got);
    REFUSES("[]", got = json_read_object(r, "v"), ERR_TYPE, "an object");
    assert_null(got);
    ACCEPTS("null", got = json_read_any(r, "v"));
    assert_int_equal(got->type, JSON_TYPE_NULL);
}

static void test_version(void **state)
{
    (void)state;
    struct json_reader r;
    static const struct {
        const char *text;
        enum err err;
    } rows[] = {
        {"{\"perigee\":\"op/1\"}", OK},
        {"{\"perigee\":\"op/2\"}", ERR_VERSION},
        {"{\"perigee\":\"op/10\"}", ERR_VERSION},
        {"{\"perigee\":1}", ERR_TYPE},
        {"{}", ERR_MISSING_FIELD},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_reader_init(&r, parse(rows[i].text), "", &fault);
        json_read_version(&r, "op/1");
        assert_int_equal(json_reader_done(&r), rows[i].err);
        if (rows[i].err == OK) continue;
        assert_string_equal(fault.path, "perigee");
        assert_string_equal(fault.expected, "op/1");
    }
}

static void test_missing_and_unknown(void **state)
{
    (void)state;
    struct json_reader r;
    int64_t n = 0;
    json_reader_init(&r, parse("{\"a\":1,\"b\":2,\"c\":3}"), "steps[1]", &fault);
    assert_true(json_has(&r, "c"));
    assert_false(json_has(&r, "d"));
    json_read_int(&r, "a", 0, 9, &n);
    json_read_int(&r, "c", 0, 9, &n);
    assert_int_equal(json_reader_done(&r), ERR_UNKNOWN_FIELD); /* b, although json_has looked around */
    assert_string_equal(fault.path, "steps[1].b");
    assert_string_equal(fault.expected, "no member of this name");
    json_reader_init(&r, parse("{\"a\":1}"), "steps[1]", &fault);
    json_read_int(&r, "z", 0, 9, &n);
    assert_int_equal(json_reader_done(&r), ERR_MISSING_FIELD);
    assert_string_equal(fault.path, "steps[1].z");
    assert_string_equal(fault.expected, "integer from 0 to 9");
}

/* All 256 members are found, each is marked on its own, and each missing mark is noticed. */
static void test_many_members(void **state)
{
    (void)state;
    static char text[8192];
    char key[16];
    size_t len = 0;
    for (int i = 0; i < 256; i++) {
        len += (size_t)snprintf(text + len, sizeof text - len, "%c\"%03d\":%d", i == 0 ? '{' : ',', i, i);
    }
    (void)snprintf(text + len, sizeof text - len, "}");
    for (int skipped = 0; skipped <= 256; skipped++) {
        struct json_reader r;
        arena_release(&arena, 0);
        json_reader_init(&r, parse(text), "", &fault);
        for (int i = 0; i < 256; i++) {
            int64_t n = -1;
            (void)snprintf(key, sizeof key, "%03d", i);
            if (i != skipped) json_read_int(&r, key, i, i, &n);
            assert_int_equal(n, i == skipped ? -1 : i);
        }
        assert_int_equal(json_reader_done(&r), skipped < 256 ? ERR_UNKNOWN_FIELD : OK);
    }
}

static void test_first_error_sticks(void **state)
{
    (void)state;
    struct json_reader parent, child;
    struct span s = SPAN_NONE;
    int64_t n = 5;
    json_reader_init(&parent, parse("{\"a\":\"x\",\"child\":{\"k\":1}}"), "", &fault);
    json_read_int(&parent, "a", 0, 9, &n);
    const struct json *object = json_read_object(&parent, "child");
    assert_null(object);
    json_reader_init(&child, object, "child", &fault);
    json_read_int(&child, "k", 0, 9, &n);
    json_read_text(&child, "t", 9, &s);
    json_read_version(&child, "op/1");
    assert_null(json_read_array(&child, "l", 0, 9));
    assert_null(json_read_any(&child, "l"));
    assert_false(json_has(&child, "k"));
    json_refuse(&child, "k", ERR_RANGE, "something else");
    assert_int_equal(json_reader_done(&child), ERR_TYPE);
    assert_int_equal(json_reader_done(&parent), ERR_TYPE);
    assert_string_equal(fault.path, "a");
    assert_string_equal(fault.expected, "integer from 0 to 9");
    assert_int_equal(n, 5);
}

/* Readers of different objects share the fault: it keeps the first, while each returns its own. */
static void test_first_fault_stays(void **state)
{
    (void)state;
    struct json_reader first, second;
    int64_t n;
    const struct json *root = parse("[{\"n\":10},{}]");
    json_reader_init(&first, &root->items[0], "[0]", &fault);
    json_read_int(&first, "n", 0, 9, &n);
    json_reader_init(&second, &root->items[1], "[1]", &fault);
    json_read_int(&second, "n", 0, 9, &n);
    assert_int_equal(json_reader_done(&second), ERR_MISSING_FIELD);
    assert_int_equal(json_reader_done(&first), ERR_RANGE);
    assert_int_equal(fault.err, ERR_RANGE);
    assert_string_equal(fault.path, "[0].n");
}

/* The child of something missing reports what was missing, not that NULL is no object. */
static void test_child_of_missing(void **state)
{
    (void)state;
    struct json_reader parent, child;
    json_reader_init(&parent, parse("{}"), "", &fault);
    json_reader_init(&child, json_read_object(&parent, "unit"), "unit", &fault);
    assert_int_equal(json_reader_done(&child), ERR_MISSING_FIELD);
    assert_string_equal(fault.path, "unit");
    json_reader_init(&child, NULL, "unit", NULL); /* without a fault, the error itself is not known */
    assert_int_equal(json_reader_done(&child), ERR_TYPE);
}

static void test_reader_of_another_type(void **state)
{
    (void)state;
    struct json_reader r;
    json_reader_init(&r, parse("[1]"), "", &fault);
    assert_false(json_has(&r, "a"));
    assert_int_equal(json_reader_done(&r), ERR_TYPE);
    assert_string_equal(fault.path, "document");
    assert_string_equal(fault.expected, "an object");
    (void)parse("{}"); /* clears the fault for the next document */
    assert_int_equal(fault.err, OK);
    json_reader_init(&r, parse("3"), "inputs[2]", &fault);
    assert_int_equal(json_reader_done(&r), ERR_TYPE);
    assert_string_equal(fault.path, "inputs[2]");
}

static void test_own_refusal(void **state)
{
    (void)state;
    struct json_reader r;
    json_reader_init(&r, parse("{}"), "privacy", &fault);
    json_refuse(&r, "k", ERR_RANGE, "k of at least 1");
    json_refuse(&r, "j", ERR_TYPE, "later");
    assert_int_equal(json_reader_done(&r), ERR_RANGE);
    assert_string_equal(fault.path, "privacy.k");
    assert_string_equal(fault.expected, "k of at least 1");
    (void)parse("{}");
    json_reader_init(&r, parse("{}"), "privacy", &fault);
    json_refuse(&r, NULL, ERR_CONFLICT, "epsilon that adds up");
    assert_int_equal(json_reader_done(&r), ERR_CONFLICT);
    assert_string_equal(fault.path, "privacy");
}

/* A path longer than its field is cut between characters and still terminated. */
static void test_long_path_is_cut(void **state)
{
    (void)state;
    char text[256];
    struct json_reader r;
    struct buffer b = BUFFER_OF(text);
    buffer_put_text(&b, "{\"");
    for (int i = 0; i < 80; i++) buffer_put_text(&b, "\xe2\x82\xac");
    buffer_put_text(&b, "\":1}");
    buffer_put_zero(&b);
    json_reader_init(&r, parse(text), "x", &fault);
    assert_int_equal(json_reader_done(&r), ERR_UNKNOWN_FIELD);
    assert_int_equal(strlen(fault.path), 2 + 63 * 3); /* of 191 bytes, "x." and whole euro signs */
    assert_true(text_valid(span_text(fault.path)));
}

/* --- The writer ---------------------------------------------------------------------------------------- */

static uint8_t written[512];
static struct buffer output;
static struct json_writer writer;

static struct json_writer *begin(void)
{
    output = BUFFER_OF(written);
    json_writer_init(&writer, &output);
    return &writer;
}

static void test_write(void **state)
{
    (void)state;
    struct json_writer *w = begin();
    json_begin_object(w);
    json_key(w, "");
    json_put_null(w);
    json_key(w, "a");
    json_begin_array(w);
    json_put_int(w, -7);
    json_put_int(w, JSON_INT_MAX);
    json_begin_array(w);
    json_end_array(w);
    json_begin_object(w);
    json_end_object(w);
    json_put_hex(w, SPAN_LITERAL("\x01\xff"));
    json_end_array(w);
    json_key(w, "b\"");
    json_put_text(w, SPAN_LITERAL("\"x\\\xc3\xa9/"));
    json_key(w, "c");
    json_put_bool(w, true);
    json_key_span(w, SPAN_LITERAL("d"));
    json_put_bool(w, false);
    json_end_object(w);
    assert_int_equal(buffer_done(&output), OK);
    buffer_put_zero(&output);
    const char *expected =
        "{\"\":null,\"a\":[-7,9007199254740992,[],{},\"01ff\"],\"b\\\"\":\"\\\"x\\\\\xc3\xa9/\","
        "\"c\":true,\"d\":false}";
    assert_string_equal((const char *)written, expected);
    assert_round_trip(expected);
}

/* Whatever json_parse would refuse never leaves the writer as a success. */
static void test_write_refuses_values(void **state)
{
    (void)state;
    json_put_text(begin(), SPAN_LITERAL("a\nb"));
    assert_int_equal(buffer_done(&output), ERR_TOO_LARGE);
    json_put_text(begin(), SPAN_LITERAL("\xff"));
    assert_int_equal(buffer_done(&output), ERR_TOO_LARGE);
    json_put_int(begin(), JSON_INT_MAX + 1);
    assert_int_equal(buffer_done(&output), ERR_TOO_LARGE);
    json_put_int(begin(), -JSON_INT_MAX - 1);
    assert_int_equal(buffer_done(&output), ERR_TOO_LARGE);
    const struct json *deep = parse("[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]");
    json_put_value(begin(), deep);
    assert_int_equal(buffer_done(&output), OK);
    struct json_writer *w = begin();
    json_begin_array(w);
    json_put_value(w, deep);
    json_end_array(w);
    assert_int_equal(buffer_done(&output), ERR_TOO_LARGE);
}

static void test_write_overflow(void **state)
{
    (void)state;
    uint8_t small[4];
    struct buffer b = BUFFER_OF(small);
    struct json_writer w;
    json_writer_init(&w, &b);
    json_put_text(&w, SPAN_LITERAL("abc"));
    assert_int_equal(buffer_done(&b), ERR_TOO_LARGE);
    assert_true(b.len <= sizeof small);
}

static void test_writer_misuse_panics(void **state)
{
    (void)state;
    struct json_writer *w = begin();
    json_begin_object(w);
    json_key(w, "b");
    json_put_null(w);
    expect_assert_failure(json_key(w, "a"));  /* not in order */
    expect_assert_failure(json_key(w, "b"));  /* twice */
    expect_assert_failure(json_put_null(w));  /* without a key */
    expect_assert_failure(json_end_array(w)); /* the other bracket */
    json_key(w, "c");
    expect_assert_failure(json_key(w, "d"));   /* without a value */
    expect_assert_failure(json_end_object(w)); /* without a value */
    w = begin();
    json_begin_array(w);
    expect_assert_failure(json_key(w, "a")); /* in an array */
    json_end_array(w);
    expect_assert_failure(json_put_null(w));  /* a second value at the top */
    expect_assert_failure(json_end_array(w)); /* nothing open */
    w = begin();
    for (int i = 0; i < JSON_DEPTH_MAX; i++) json_begin_array(w);
    expect_assert_failure(json_begin_array(w));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_refusals, setup),
        cmocka_unit_test_setup(test_prefixes, setup),
        cmocka_unit_test_setup(test_members_and_arena_are_limited, setup),
        cmocka_unit_test_setup(test_arena_bound, setup),
        cmocka_unit_test_setup(test_accepted, setup),
        cmocka_unit_test_setup(test_tree, setup),
        cmocka_unit_test_setup(test_input_may_go_away, setup),
        cmocka_unit_test_setup(test_read_scalars, setup),
        cmocka_unit_test_setup(test_read_strings, setup),
        cmocka_unit_test_setup(test_read_decimal, setup),
        cmocka_unit_test_setup(test_read_containers, setup),
        cmocka_unit_test_setup(test_version, setup),
        cmocka_unit_test_setup(test_missing_and_unknown, setup),
        cmocka_unit_test_setup(test_many_members, setup),
        cmocka_unit_test_setup(test_first_error_sticks, setup),
        cmocka_unit_test_setup(test_first_fault_stays, setup),
        cmocka_unit_test_setup(test_child_of_missing, setup),
        cmocka_unit_test_setup(test_reader_of_another_type, setup),
        cmocka_unit_test_setup(test_own_refusal, setup),
        cmocka_unit_test_setup(test_long_path_is_cut, setup),
        cmocka_unit_test_setup(test_write, setup),
        cmocka_unit_test_setup(test_write_refuses_values, setup),
        cmocka_unit_test_setup(test_write_overflow, setup),
        cmocka_unit_test_setup(test_writer_misuse_panics, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
