#include "proto/wire/pack.h"

#include "proto/base/panic.h"
#include "proto/base/text.h"

#include <msgpack/pack.h>
#include <string.h>

/* --- Writing ------------------------------------------------------------------------------------------- */

/* msgpack-c's packer chooses the shortest form of every value; it reports no error because the buffer keeps
 * its own. */
static int pack_write(void *buffer, const char *bytes, size_t len)
{
    buffer_put(buffer, span_make(bytes, len));
    return 0;
}

static msgpack_packer packer(struct buffer *b)
{
    msgpack_packer p;
    msgpack_packer_init(&p, b, pack_write);
    return p;
}

void pack_array(struct buffer *b, uint32_t count)
{
    msgpack_packer p = packer(b);
    (void)msgpack_pack_array(&p, count);
}

void pack_uint(struct buffer *b, uint64_t value)
{
    msgpack_packer p = packer(b);
    (void)msgpack_pack_uint64(&p, value);
}

void pack_int(struct buffer *b, int64_t value)
{
    msgpack_packer p = packer(b);
    (void)msgpack_pack_int64(&p, value);
}

void pack_bool(struct buffer *b, bool value)
{
    msgpack_packer p = packer(b);
    (void)(value ? msgpack_pack_true(&p) : msgpack_pack_false(&p));
}

void pack_nil(struct buffer *b)
{
    msgpack_packer p = packer(b);
    (void)msgpack_pack_nil(&p);
}

void pack_bin(struct buffer *b, struct span bytes)
{
    msgpack_packer p = packer(b);
    ASSERT(bytes.len <= UINT32_MAX);
    (void)msgpack_pack_bin(&p, bytes.len);
    (void)msgpack_pack_bin_body(&p, bytes.data, bytes.len);
}

void pack_str(struct buffer *b, struct span utf8)
{
    msgpack_packer p = packer(b);
    ASSERT(utf8.len <= UINT32_MAX);
    if (!text_valid(utf8)) b->overflow = true; /* unpack_str would refuse it */
    (void)msgpack_pack_str(&p, utf8.len);
    (void)msgpack_pack_str_body(&p, utf8.data, utf8.len);
}

/* --- Reading ------------------------------------------------------------------------------------------- */

/* First bytes, from the msgpack specification's table of formats. */
enum format {
    FORMAT_FIXARRAY = 0x90,
    FORMAT_FIXSTR = 0xa0,
    FORMAT_NIL = 0xc0,
    FORMAT_FALSE = 0xc2,
    FORMAT_TRUE = 0xc3,
    FORMAT_BIN8 = 0xc4,
    FORMAT_UINT8 = 0xcc,
    FORMAT_INT8 = 0xd0,
    FORMAT_STR8 = 0xd9,
    FORMAT_ARRAY16 = 0xdc,
    FORMAT_NEGATIVE_FIXINT = 0xe0,
};

/* A big-endian number of 1 << log bytes, log 0..3. */
static enum err unpack_number(struct cursor *c, unsigned log, uint64_t *out)
{
    struct span bytes;
    TRY(cursor_take(c, &bytes, (size_t)1 << log));
    *out = 0;
    for (size_t i = 0; i < bytes.len; i++) *out = *out << 8 | bytes.data[i];
    return OK;
}

/* The same, refused when a shorter form holds it too: one that reaches up to shorter_holds. */
static enum err unpack_length(struct cursor *c, unsigned log, uint64_t shorter_holds, uint64_t *out)
{
    TRY(unpack_number(c, log, out));
    return *out > shorter_holds ? OK : ERR_NOT_CANONICAL;
}

/* The largest value of a number half as wide as 1 << log bytes. */
static uint64_t half_max(unsigned log)
{
    return ((uint64_t)1 << (4u << log)) - 1;
}

enum err unpack_array(struct cursor *c, uint32_t max, uint32_t *count)
{
    uint8_t first;
    uint64_t len;
    TRY(cursor_u8(c, &first));
    if (first >> 4 == FORMAT_FIXARRAY >> 4) {
        len = first & 15;
    } else if (first == FORMAT_ARRAY16) {
        TRY(unpack_length(c, 1, 15, &len));
    } else if (first == FORMAT_ARRAY16 + 1) {
        TRY(unpack_length(c, 2, half_max(2), &len));
    } else {
        return ERR_TYPE;
    }
    if (len > max) return ERR_TOO_LARGE;
    if (len > cursor_left(c)) return ERR_TRUNCATED; /* an element is at least one byte */
    *count = (uint32_t)len;
    return OK;
}

enum err unpack_array_of(struct cursor *c, uint32_t exactly)
{
    uint32_t count;
    TRY(unpack_array(c, UINT32_MAX, &count));
    return count == exactly ? OK : ERR_TYPE;
}

static enum err unpack_unsigned(struct cursor *c, uint8_t first, uint64_t *out)
{
    unsigned log = first - FORMAT_UINT8;
    return unpack_length(c, log, log == 0 ? 0x7f : half_max(log), out);
}

/* Only negative values have a signed form, and only those that a shorter signed form does not hold. */
static enum err unpack_signed(struct cursor *c, uint8_t first, int64_t *out)
{
    unsigned log = first - FORMAT_INT8, bits = 8u << log;
    uint64_t raw;
    TRY(unpack_number(c, log, &raw));
    uint64_t magnitude =
        (0 - raw) & (UINT64_MAX >> (64 - bits)); /* of the two's complement number, if negative */
    bool negative = raw >> (bits - 1) != 0;
    uint64_t shorter_holds = log == 0 ? 32 : half_max(log) / 2 + 1;
    if (!negative || magnitude <= shorter_holds) return ERR_NOT_CANONICAL;
    *out = -(int64_t)(magnitude - 1) - 1;
    return OK;
}

/* Any integer: `negative` says which of the two outputs holds it. */
static enum err unpack_integer(struct cursor *c, bool *negative, uint64_t *positive_value,
                               int64_t *negative_value)
{
    uint8_t first;
    TRY(cursor_u8(c, &first));
    *negative = first >= FORMAT_INT8;
    if (first < 0x80) {
        *positive_value = first;
        return OK;
    }
    if (first >= FORMAT_NEGATIVE_FIXINT) {
        *negative_value = (int64_t)first - 0x100;
        return OK;
    }
    if (first >= FORMAT_UINT8 && first < FORMAT_UINT8 + 4) return unpack_unsigned(c, first, positive_value);
    if (first >= FORMAT_INT8 && first < FORMAT_INT8 + 4) return unpack_signed(c, first, negative_value);
    return ERR_TYPE;
}

enum err unpack_uint(struct cursor *c, uint64_t max, uint64_t *out)
{
    bool negative;
    uint64_t value;
    int64_t below_zero;
    TRY(unpack_integer(c, &negative, &value, &below_zero));
    if (negative) return ERR_TYPE;
    if (value > max) return ERR_TOO_LARGE;
    *out = value;
    return OK;
}

enum err unpack_int(struct cursor *c, int64_t *out)
{
    bool negative;
    uint64_t value = 0;
    int64_t below_zero = 0;
    TRY(unpack_integer(c, &negative, &value, &below_zero));
    if (!negative && value > INT64_MAX) return ERR_TOO_LARGE;
    *out = negative ? below_zero : (int64_t)value;
    return OK;
}

enum err unpack_bool(struct cursor *c, bool *out)
{
    uint8_t first;
    TRY(cursor_u8(c, &first));
    if (first != FORMAT_FALSE && first != FORMAT_TRUE) return ERR_TYPE;
    *out = first == FORMAT_TRUE;
    return OK;
}

enum err unpack_nil(struct cursor *c)
{
    uint8_t first;
    TRY(cursor_u8(c, &first));
    return first == FORMAT_NIL ? OK : ERR_TYPE;
}

bool unpack_at_nil(const struct cursor *c)
{
    return cursor_left(c) > 0 && *c->at == FORMAT_NIL;
}

static enum err unpack_bytes(struct cursor *c, uint64_t len, size_t max, struct span *out)
{
    if (len > max) return ERR_TOO_LARGE;
    return cursor_take(c, out, (size_t)len);
}

enum err unpack_bin(struct cursor *c, size_t max, struct span *out)
{
    uint8_t first;
    uint64_t len;
    TRY(cursor_u8(c, &first));
    if (first < FORMAT_BIN8 || first >= FORMAT_BIN8 + 3) return ERR_TYPE;
    unsigned log = first - FORMAT_BIN8;
    if (log == 0) {
        TRY(unpack_number(c, 0, &len)); /* bin has no shorter form than this */
    } else {
        TRY(unpack_length(c, log, half_max(log), &len));
    }
    return unpack_bytes(c, len, max, out);
}

enum err unpack_fixed(struct cursor *c, void *out, size_t len)
{
    struct span bytes;
    TRY(unpack_bin(c, SIZE_MAX, &bytes));
    if (bytes.len != len) return ERR_TYPE;
    if (len > 0) memcpy(out, bytes.data, len);
    return OK;
}

enum err unpack_str(struct cursor *c, size_t max, struct span *out)
{
    uint8_t first;
    uint64_t len;
    struct span text;
    TRY(cursor_u8(c, &first));
    if (first >> 5 == FORMAT_FIXSTR >> 5) {
        len = first & 31;
    } else if (first >= FORMAT_STR8 && first < FORMAT_STR8 + 3) {
        unsigned log = first - FORMAT_STR8;
        TRY(unpack_length(c, log, log == 0 ? 31 : half_max(log), &len));
    } else {
        return ERR_TYPE;
    }
    TRY(unpack_bytes(c, len, max, &text));
    if (!text_valid(text)) return ERR_SYNTAX;
    *out = text;
    return OK;
}
