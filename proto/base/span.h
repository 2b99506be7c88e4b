/* span: borrowed bytes, a bounded reader over them, and a bounded writer.
 * Every byte of peer input goes through `struct cursor`; every byte we emit through `struct buffer`.
 * A span never owns. A buffer never grows: on overflow it keeps its length, sets `overflow`, and the caller checks
 * once at the end. Integers are big-endian unless the name says le. */
#ifndef PERIGEE_PROTO_BASE_SPAN_H
#define PERIGEE_PROTO_BASE_SPAN_H

#include "proto/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct span {
    const uint8_t *data;
    size_t len;
};

#define SPAN_NONE          ((struct span){NULL, 0})
#define SPAN_OF(array)     ((struct span){(const uint8_t *)(array), sizeof(array)})
#define SPAN_LITERAL(text) ((struct span){(const uint8_t *)(text), sizeof(text) - 1})
#define SPAN_STATIC(text)                                                                                    \
    {                                                                                                        \
        (const uint8_t *)(text), sizeof(text) - 1                                                            \
    } /* in the initialiser of static data */

struct span span_make(const void *data, size_t len);
struct span span_text(const char *text);       /* without the terminating zero */
bool span_equal(struct span a, struct span b); /* not constant time: public bytes only */
bool span_equal_text(struct span a, const char *text);
int span_compare(struct span a, struct span b); /* as memcmp, shorter first on a tie */

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
};

struct cursor cursor_make(struct span input);
size_t cursor_left(const struct cursor *c);
MUST_USE enum err cursor_take(struct cursor *c, struct span *out, size_t len); /* borrows from the input */
MUST_USE enum err cursor_copy(struct cursor *c, void *out, size_t len);
MUST_USE enum err cursor_u8(struct cursor *c, uint8_t *out);
MUST_USE enum err cursor_u16(struct cursor *c, uint16_t *out);
MUST_USE enum err cursor_u32(struct cursor *c, uint32_t *out);
MUST_USE enum err cursor_u64(struct cursor *c, uint64_t *out);
MUST_USE enum err cursor_end(const struct cursor *c); /* ERR_NOT_CANONICAL when bytes are left over */

struct buffer {
    uint8_t *data;
    size_t len;
    size_t cap;
    bool overflow;
};

#define BUFFER_OF(array) ((struct buffer){(uint8_t *)(array), 0, sizeof(array), false})
struct buffer buffer_make(void *data, size_t cap);
void buffer_put(struct buffer *b, struct span bytes);
void buffer_put_text(struct buffer *b, const char *text);
void buffer_put_u8(struct buffer *b, uint8_t value);
void buffer_put_u16(struct buffer *b, uint16_t value);
void buffer_put_u32(struct buffer *b, uint32_t value);
void buffer_put_u64(struct buffer *b, uint64_t value);
void buffer_put_decimal(struct buffer *b, int64_t value); /* base ten, ASCII */
void buffer_put_hex(struct buffer *b, struct span bytes); /* lower-case */
void buffer_put_zero(
    struct buffer *b); /* terminate text without counting the zero in len; after overflow too */
struct span buffer_span(const struct buffer *b);
MUST_USE enum err buffer_done(const struct buffer *b); /* ERR_TOO_LARGE if anything did not fit */

/* Decode lower-case hex of exactly 2*len digits; anything else is ERR_SYNTAX and writes nothing. */
MUST_USE enum err hex_decode(void *out, size_t len, struct span hex);
/* Writes 2*len digits and a zero. */
void hex_encode(char *out, const void *bytes, size_t len);

uint16_t load_u16(const uint8_t *at);
uint32_t load_u32(const uint8_t *at);
uint64_t load_u64(const uint8_t *at);
uint64_t load_u64_le(const uint8_t *at);
uint32_t load_u32_le(const uint8_t *at);
void store_u16(uint8_t *at, uint16_t value);
void store_u32(uint8_t *at, uint32_t value);
void store_u64(uint8_t *at, uint64_t value);
void store_u64_le(uint8_t *at, uint64_t value);

#endif
