#include "proto/base/span.h"

#include "proto/base/panic.h"

#include <string.h>

struct span span_make(const void *data, size_t len)
{
    ASSERT(data != NULL || len == 0);
    return (struct span){data, len};
}

struct span span_text(const char *text)
{
    return (struct span){(const uint8_t *)text, strlen(text)};
}

bool span_equal(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool span_equal_text(struct span a, const char *text)
{
    return span_equal(a, span_text(text));
}

int span_compare(struct span a, struct span b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common == 0 ? 0 : memcmp(a.data, b.data, common);
    if (order != 0) return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

struct cursor cursor_make(struct span input)
{
    /* NULL + 0 is undefined in C17: an empty span points at a static byte instead. */
    static const uint8_t empty;
    const uint8_t *at = input.data != NULL ? input.data : &empty;
    return (struct cursor){at, at + input.len};
}

size_t cursor_left(const struct cursor *c)
{
    return (size_t)(c->end - c->at);
}

enum err cursor_take(struct cursor *c, struct span *out, size_t len)
{
    if (len > cursor_left(c)) return ERR_TRUNCATED;
    *out = (struct span){c->at, len};
    c->at += len;
    return OK;
}

enum err cursor_copy(struct cursor *c, void *out, size_t len)
{
    struct span bytes;
    TRY(cursor_take(c, &bytes, len));
    if (len > 0) memcpy(out, bytes.data, len);
    return OK;
}

enum err cursor_u8(struct cursor *c, uint8_t *out)
{
    return cursor_copy(c, out, 1);
}

enum err cursor_u16(struct cursor *c, uint16_t *out)
{
    struct span bytes;
    TRY(cursor_take(c, &bytes, 2));
    *out = load_u16(bytes.data);
    return OK;
}

enum err cursor_u32(struct cursor *c, uint32_t *out)
{
    struct span bytes;
    TRY(cursor_take(c, &bytes, 4));
    *out = load_u32(bytes.data);
    return OK;
}

enum err cursor_u64(struct cursor *c, uint64_t *out)
{
    struct span bytes;
    TRY(cursor_take(c, &bytes, 8));
    *out = load_u64(bytes.data);
    return OK;
}

enum err cursor_end(const struct cursor *c)
{
    return cursor_left(c) == 0 ? OK : ERR_NOT_CANONICAL;
}

struct buffer buffer_make(void *data, size_t cap)
{
    ASSERT(data != NULL || cap == 0);
    return (struct buffer){data, 0, cap, false};
}

void buffer_put(struct buffer *b, struct span bytes)
{
    ASSERT(b->len <= b->cap);
    if (b->overflow || bytes.len > b->cap - b->len) {
        b->overflow = true;
        return;
    }
    if (bytes.len > 0) memcpy(b->data + b->len, bytes.data, bytes.len);
    b->len += bytes.len;
}

void buffer_put_text(struct buffer *b, const char *text)
{
    buffer_put(b, span_text(text));
}

void buffer_put_u8(struct buffer *b, uint8_t value)
{
    buffer_put(b, (struct span){&value, 1});
}

void buffer_put_u16(struct buffer *b, uint16_t value)
{
    uint8_t bytes[2];
    store_u16(bytes, value);
    buffer_put(b, SPAN_OF(bytes));
}

void buffer_put_u32(struct buffer *b, uint32_t value)
{
    uint8_t bytes[4];
    store_u32(bytes, value);
    buffer_put(b, SPAN_OF(bytes));
}

void buffer_put_u64(struct buffer *b, uint64_t value)
{
    uint8_t bytes[8];
    store_u64(bytes, value);
    buffer_put(b, SPAN_OF(bytes));
}

void buffer_put_decimal(struct buffer *b, int64_t value)
{
    char digits[20];
    size_t count = 0;
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        digits[sizeof digits - ++count] = (char)('0' + magnitude % 10);
        magnitude /= 10;
    } while (magnitude != 0);
    if (value < 0) buffer_put_u8(b, '-');
    buffer_put(b, span_make(digits + sizeof digits - count, count));
}

void buffer_put_hex(struct buffer *b, struct span bytes)
{
    static const char digit[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes.len; i++) {
        buffer_put_u8(b, (uint8_t)digit[bytes.data[i] >> 4]);
        buffer_put_u8(b, (uint8_t)digit[bytes.data[i] & 15]);
    }
}

void buffer_put_zero(struct buffer *b)
{
    ASSERT(b->len <= b->cap);
    if (b->len == b->cap) b->overflow = true;
    if (b->cap > 0) b->data[b->len < b->cap ? b->len : b->cap - 1] = 0;
}

struct span buffer_span(const struct buffer *b)
{
    return (struct span){b->data, b->len};
}

enum err buffer_done(const struct buffer *b)
{
    return b->overflow ? ERR_TOO_LARGE : OK;
}

/* A digit's value and one; 0: no digit. A receipt is mostly hex: one look-up a digit, not two comparisons. */
static const uint8_t HEX_DIGIT[256] = {
    ['0'] = 1, ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};

enum err hex_decode(void *out, size_t len, struct span hex)
{
    uint8_t *to = out;
    if (hex.len % 2 != 0 || hex.len / 2 != len) return ERR_SYNTAX;
    for (size_t i = 0; i < hex.len; i++) {
        if (HEX_DIGIT[hex.data[i]] == 0) return ERR_SYNTAX;
    }
    for (size_t i = 0; i < len; i++) {
        to[i] = (uint8_t)((HEX_DIGIT[hex.data[2 * i]] - 1) << 4 | (HEX_DIGIT[hex.data[2 * i + 1]] - 1));
    }
    return OK;
}

void hex_encode(char *out, const void *bytes, size_t len)
{
    struct buffer b = buffer_make(out, 2 * len + 1);
    buffer_put_hex(&b, span_make(bytes, len));
    buffer_put_zero(&b);
    ASSERT(!b.overflow);
}

uint16_t load_u16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

uint32_t load_u32(const uint8_t *at)
{
    return (uint32_t)load_u16(at) << 16 | load_u16(at + 2);
}

uint64_t load_u64(const uint8_t *at)
{
    return (uint64_t)load_u32(at) << 32 | load_u32(at + 4);
}

uint32_t load_u32_le(const uint8_t *at)
{
    return (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[1] << 8 | at[0];
}

uint64_t load_u64_le(const uint8_t *at)
{
    return (uint64_t)load_u32_le(at + 4) << 32 | load_u32_le(at);
}

void store_u16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

void store_u32(uint8_t *at, uint32_t value)
{
    store_u16(at, (uint16_t)(value >> 16));
    store_u16(at + 2, (uint16_t)value);
}

void store_u64(uint8_t *at, uint64_t value)
{
    store_u32(at, (uint32_t)(value >> 32));
    store_u32(at + 4, (uint32_t)value);
}

void store_u64_le(uint8_t *at, uint64_t value)
{
    for (int i = 0; i < 8; i++) at[i] = (uint8_t)(value >> (8 * i));
}
