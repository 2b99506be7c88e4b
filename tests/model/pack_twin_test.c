/* Our msgpack against msgpack-c, both ways.
 * Trees that we pack: msgpack-c unpacks the same values, and its own packing of them is the same bytes.
 * Mutations of them: we accept exactly those inputs that msgpack-c unpacks as one whole value made of our types alone
 * and would pack to the same bytes. msgpack-c allocates from declared counts, so it is not shown inputs with a 32-bit
 * count; ours reads those too. */
#include "proto/base/panic.h"
#include "proto/base/text.h"
#include "proto/wire/pack.h"

#include <msgpack.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TREES = 20000, MUTATIONS = 300000, BYTES_MAX = 4096, NEST_MAX = 4 };

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

/* Every width is as likely as every other; half of the numbers lie at a power of two. */
static uint64_t random_number(void)
{
    uint32_t width = random_below(64);
    if (random_below(2) == 0) return ((uint64_t)1 << width) + random_below(3) - 1;
    return random_next() >> width;
}

/* --- Trees ---------------------------------------------------------------------------------------------------------- */

static struct span random_bytes(uint8_t *out)
{
    uint32_t len = random_below(4) == 0 ? random_below(300) : random_below(40);
    for (uint32_t i = 0; i < len; i++) out[i] = (uint8_t)random_next();
    return span_make(out, len);
}

static struct span random_text(uint8_t *out)
{
    static const char *const characters[] = {
        "a", "Z", " ", "~", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x82"};
    struct buffer b = buffer_make(out, 600);
    uint32_t count = random_below(4) == 0 ? random_below(100) : random_below(34);
    for (uint32_t i = 0; i < count; i++) {
        buffer_put_text(&b, characters[random_below(sizeof characters / sizeof characters[0])]);
    }
    return buffer_span(&b);
}

static void write_tree(struct buffer *b, int nest)
{
    uint8_t bytes[600];
    uint32_t count;
    switch (random_below(nest < NEST_MAX ? 7 : 6)) {
    case 0: pack_nil(b); break;
    case 1: pack_bool(b, random_below(2) == 1); break;
    case 2: pack_uint(b, random_number()); break;
    case 3: pack_int(b, (int64_t)(random_below(2) == 0 ? random_number() : 0 - random_number())); break;
    case 4: pack_bin(b, random_bytes(bytes)); break;
    case 5: pack_str(b, random_text(bytes)); break;
    case 6:
        count = random_below(20);
        pack_array(b, count);
        for (uint32_t i = 0; i < count; i++) write_tree(b, nest + 1);
        break;
    }
}

/* --- Reading with ours, compared with the oracle's object ------------------------------------------------------------ */

static enum err read_same(struct cursor *c, const msgpack_object *o);

static enum err read_array(struct cursor *c, const msgpack_object *o)
{
    uint32_t count;
    TRY(unpack_array(c, UINT32_MAX, &count));
    assert_int_equal(count, o->via.array.size);
    for (uint32_t i = 0; i < count; i++) TRY(read_same(c, &o->via.array.ptr[i]));
    return OK;
}

static enum err read_bytes(struct cursor *c, const msgpack_object *o)
{
    struct span s;
    bool is_str = o->type == MSGPACK_OBJECT_STR;
    const char *data = is_str ? o->via.str.ptr : o->via.bin.ptr;
    uint32_t len = is_str ? o->via.str.size : o->via.bin.size;
    TRY(is_str ? unpack_str(c, SIZE_MAX, &s) : unpack_bin(c, SIZE_MAX, &s));
    assert_true(span_equal(s, span_make(data, len)));
    return OK;
}

static enum err read_integer(struct cursor *c, const msgpack_object *o)
{
    uint64_t u;
    int64_t n;
    if (o->type == MSGPACK_OBJECT_POSITIVE_INTEGER) {
        TRY(unpack_uint(c, UINT64_MAX, &u));
        assert_true(u == o->via.u64);
    } else {
        TRY(unpack_int(c, &n));
        assert_true(n == o->via.i64);
    }
    return OK;
}

/* OK when ours reads the value that `o` is; a type that we do not have is ERR_TYPE. */
static enum err read_same(struct cursor *c, const msgpack_object *o)
{
    bool flag;
    switch (o->type) {
    case MSGPACK_OBJECT_NIL: return unpack_nil(c);
    case MSGPACK_OBJECT_BOOLEAN:
        TRY(unpack_bool(c, &flag));
        assert_int_equal(flag, o->via.boolean);
        return OK;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
    case MSGPACK_OBJECT_NEGATIVE_INTEGER: return read_integer(c, o);
    case MSGPACK_OBJECT_STR:
    case MSGPACK_OBJECT_BIN: return read_bytes(c, o);
    case MSGPACK_OBJECT_ARRAY: return read_array(c, o);
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
    case MSGPACK_OBJECT_MAP:
    case MSGPACK_OBJECT_EXT: return ERR_TYPE;
    }
    UNREACHABLE();
}

/* --- Reading with ours alone ------------------------------------------------------------------------------------------ */

static enum err read_any(struct cursor *c, int nest)
{
    struct cursor start = *c;
    struct span s;
    uint64_t u;
    int64_t n;
    bool flag;
    uint32_t count;
    enum err err = unpack_nil(c);
    if (err == ERR_TYPE) *c = start, err = unpack_bool(c, &flag);
    if (err == ERR_TYPE) *c = start, err = unpack_uint(c, UINT64_MAX, &u);
    if (err == ERR_TYPE) *c = start, err = unpack_int(c, &n);
    if (err == ERR_TYPE) *c = start, err = unpack_bin(c, SIZE_MAX, &s);
    if (err == ERR_TYPE) *c = start, err = unpack_str(c, SIZE_MAX, &s);
    if (err != ERR_TYPE) return err;
    *c = start;
    TRY(unpack_array(c, UINT32_MAX, &count));
    if (nest == 0) return ERR_TOO_LARGE;
    for (uint32_t i = 0; i < count; i++) TRY(read_any(c, nest - 1));
    return OK;
}

static bool ours_accepts(struct span input)
{
    struct cursor c = cursor_make(input);
    return read_any(&c, 24) == OK && cursor_end(&c) == OK;
}

/* --- The oracle's verdict ---------------------------------------------------------------------------------------------- */

/* Only our types, text that is text, and never deeper than we look. */
static bool is_ours(const msgpack_object *o, int nest)
{
    if (o->type == MSGPACK_OBJECT_STR) return text_valid(span_make(o->via.str.ptr, o->via.str.size));
    if (o->type == MSGPACK_OBJECT_ARRAY) {
        bool all = nest > 0;
        for (uint32_t i = 0; all && i < o->via.array.size; i++) all = is_ours(&o->via.array.ptr[i], nest - 1);
        return all;
    }
    return o->type != MSGPACK_OBJECT_FLOAT32 && o->type != MSGPACK_OBJECT_FLOAT64 &&
           o->type != MSGPACK_OBJECT_MAP && o->type != MSGPACK_OBJECT_EXT;
}

static bool packs_to(const msgpack_object *o, struct span input)
{
    msgpack_sbuffer packed;
    msgpack_packer p;
    msgpack_sbuffer_init(&packed);
    msgpack_packer_init(&p, &packed, msgpack_sbuffer_write);
    (void)msgpack_pack_object(&p, *o);
    bool same = span_equal(span_make(packed.data, packed.size), input);
    msgpack_sbuffer_destroy(&packed);
    return same;
}

static bool oracle_accepts(struct span input)
{
    msgpack_unpacked result;
    size_t used = 0;
    msgpack_unpacked_init(&result);
    bool accepted =
        msgpack_unpack_next(&result, (const char *)input.data, input.len, &used) == MSGPACK_UNPACK_SUCCESS;
    accepted = accepted && used == input.len && is_ours(&result.data, 24) && packs_to(&result.data, input);
    if (accepted) {
        struct cursor c = cursor_make(input);
        assert_int_equal(read_same(&c, &result.data), OK);
        assert_int_equal(cursor_left(&c), 0);
    }
    msgpack_unpacked_destroy(&result);
    return accepted;
}

static bool has_wide_count(struct span input)
{
    return memchr(input.data, 0xdd, input.len) != NULL || memchr(input.data, 0xdf, input.len) != NULL;
}

/* --- Tests ------------------------------------------------------------------------------------------------------------- */

static uint8_t memory[BYTES_MAX];

static struct span random_tree(void)
{
    struct buffer b = BUFFER_OF(memory);
    do {
        b = BUFFER_OF(memory);
        write_tree(&b, 0);
    } while (b.overflow);
    return buffer_span(&b);
}

static void test_trees(void **state)
{
    (void)state;
    size_t total = 0;
    for (int i = 0; i < TREES; i++) {
        struct span tree = random_tree();
        total += tree.len;
        assert_true(oracle_accepts(tree));
        assert_true(ours_accepts(tree));
    }
    assert_true(total > 10 * TREES); /* the generator does not only make small things */
}

static struct span mutate(struct span tree)
{
    static const uint8_t firsts[] = {0x90, 0x91, 0xa0, 0xa1, 0xc0, 0xc2, 0xc4, 0xc5, 0xc6, 0xcc, 0xcd, 0xce,
                                     0xcf, 0xd0, 0xd1, 0xd2, 0xd3, 0xd9, 0xda, 0xdb, 0xdc, 0xe0, 0xff, 0x00};
    for (uint32_t changes = 1 + random_below(3); changes > 0; changes--) {
        uint32_t at = random_below((uint32_t)tree.len);
        if (random_below(4) == 0) tree.len = at + 1;
        memory[at] = random_below(2) == 0 ? firsts[random_below(sizeof firsts)] : (uint8_t)random_next();
    }
    return tree;
}

static void test_mutations(void **state)
{
    (void)state;
    uint32_t accepted = 0, refused = 0;
    for (int i = 0; i < MUTATIONS; i++) {
        struct span input = mutate(random_tree());
        bool ours = ours_accepts(input);
        if (has_wide_count(input)) continue;
        assert_int_equal(ours, oracle_accepts(input));
        accepted += ours;
        refused += !ours;
    }
    assert_true(accepted > MUTATIONS / 100 && refused > MUTATIONS / 100);
}

/* All inputs of one and two bytes, and all heads of three with a short tail. */
static void test_short_inputs(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 0x10000; i++) {
        memory[0] = (uint8_t)(i >> 8);
        memory[1] = (uint8_t)i;
        memory[2] = memory[3] = 'a';
        for (size_t len = 1; len <= 4; len++) {
            struct span input = span_make(memory, len);
            if (has_wide_count(input)) continue;
            assert_int_equal(ours_accepts(input), oracle_accepts(input));
        }
    }
}

/* The one input with a 32-bit count that the oracle may see: a true one. */
static void test_array32(void **state)
{
    (void)state;
    static uint8_t bytes[70000];
    struct buffer b = BUFFER_OF(bytes);
    pack_array(&b, 65536);
    for (int i = 0; i < 65536; i++) pack_nil(&b);
    assert_true(oracle_accepts(buffer_span(&b)));
    assert_true(ours_accepts(buffer_span(&b)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trees),
        cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_short_inputs),
        cmocka_unit_test(test_array32),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
