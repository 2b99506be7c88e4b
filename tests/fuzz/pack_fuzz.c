/* Any bytes as msgpack, value after value. What a reader accepts is packed again to the very bytes it took, and no two
 * readers of different types take the same bytes. */
#include "proto/base/panic.h"
#include "proto/base/text.h"
#include "proto/wire/pack.h"

#include <string.h>

enum { INPUT_MAX = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static uint8_t written[INPUT_MAX];

/* The value at `before` ended at c->at: `b` holds it packed again. */
static void assert_same(const uint8_t *before, const struct cursor *c, const struct buffer *b)
{
    ASSERT(buffer_done(b) == OK);
    ASSERT(span_equal(buffer_span(b), span_make(before, (size_t)(c->at - before))));
}

static bool take_number(struct cursor *c)
{
    struct cursor as_uint = *c, as_int = *c;
    struct buffer b = BUFFER_OF(written);
    uint64_t u = 0;
    int64_t n = 0;
    bool is_uint = unpack_uint(&as_uint, UINT64_MAX, &u) == OK;
    bool is_int = unpack_int(&as_int, &n) == OK;
    if (is_uint && is_int) ASSERT((uint64_t)n == u && n >= 0 && as_uint.at == as_int.at);
    if (is_uint && !is_int) ASSERT(u > INT64_MAX);
    if (!is_uint && is_int) ASSERT(n < 0);
    if (!is_uint && !is_int) return false;
    if (is_int) {
        pack_int(&b, n);
    } else {
        pack_uint(&b, u);
    }
    struct cursor after = is_int ? as_int : as_uint;
    assert_same(c->at, &after, &b);
    *c = after;
    return true;
}

static bool take_simple(struct cursor *c)
{
    struct cursor after = *c;
    struct buffer b = BUFFER_OF(written);
    bool flag = false, nil = unpack_at_nil(&after);
    if (nil) {
        ASSERT(unpack_nil(&after) == OK);
        pack_nil(&b);
    } else {
        if (unpack_bool(&after, &flag) != OK) return false;
        pack_bool(&b, flag);
    }
    assert_same(c->at, &after, &b);
    *c = after;
    return true;
}

static bool take_bin(struct cursor *c)
{
    struct cursor after = *c, fixed = *c;
    struct buffer b = BUFFER_OF(written);
    static uint8_t copy[INPUT_MAX];
    struct span s;
    if (unpack_bin(&after, INPUT_MAX, &s) != OK) return false;
    pack_bin(&b, s);
    assert_same(c->at, &after, &b);
    ASSERT(unpack_fixed(&fixed, copy, s.len) == OK && fixed.at == after.at);
    ASSERT(span_equal(span_make(copy, s.len), s));
    *c = after;
    return true;
}

static bool take_str(struct cursor *c)
{
    struct cursor after = *c;
    struct buffer b = BUFFER_OF(written);
    struct span s;
    if (unpack_str(&after, INPUT_MAX, &s) != OK) return false;
    ASSERT(text_valid(s));
    pack_str(&b, s);
    assert_same(c->at, &after, &b);
    *c = after;
    return true;
}

static bool take_array(struct cursor *c)
{
    struct cursor after = *c;
    struct buffer b = BUFFER_OF(written);
    uint32_t count;
    if (unpack_array(&after, UINT32_MAX, &count) != OK) return false;
    ASSERT(count <= cursor_left(&after));
    pack_array(&b, count);
    assert_same(c->at, &after, &b);
    *c = after;
    return true;
}

/* How many kinds of value begin here: none or one. `c` moves past it. */
static int take_any(struct cursor *c)
{
    bool (*const kinds[])(struct cursor *) = {take_number, take_simple, take_bin, take_str, take_array};
    struct cursor after = *c;
    int taken = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct cursor at = *c;
        if (!kinds[i](&at)) continue;
        taken++;
        after = at;
    }
    ASSERT(taken <= 1);
    *c = after;
    return taken;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (len > INPUT_MAX) return 0;
    struct cursor c = cursor_make(span_make(bytes, len));
    while (cursor_left(&c) > 0) {
        if (take_any(&c) == 0) c.at++; /* go on behind what nobody reads */
    }
    return 0;
}
