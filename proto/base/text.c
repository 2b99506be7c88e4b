#include "proto/base/text.h"

#include "proto/base/panic.h"

#include <string.h>

static bool continues(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

/* The ranges of Unicode 15, table 3-7: the second byte excludes overlong forms, surrogates and what is too
 * high. */
static bool second_fits(uint8_t lead, uint8_t second)
{
    if (lead == 0xc2) return second >= 0xa0; /* U+0080..U+009F are controls */
    if (lead == 0xe0) return second >= 0xa0;
    if (lead == 0xed) return second <= 0x9f;
    if (lead == 0xf0) return second >= 0x90;
    if (lead == 0xf4) return second <= 0x8f;
    return true;
}

size_t text_character(const uint8_t *at, const uint8_t *end)
{
    ASSERT(at < end);
    uint8_t lead = at[0];
    if (lead < 0x80) return lead >= 0x20 && lead != 0x7f;
    if (lead < 0xc2 || lead > 0xf4) return 0;
    size_t len = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if ((size_t)(end - at) < len) return 0;
    for (size_t i = 1; i < len; i++) {
        if (!continues(at[i])) return 0;
    }
    return second_fits(lead, at[1]) ? len : 0;
}

bool text_valid(struct span utf8)
{
    size_t at = 0;
    while (at < utf8.len) {
        size_t len = text_character(utf8.data + at, utf8.data + utf8.len);
        if (len == 0) return false;
        at += len;
    }
    return true;
}

/* Bytes of UTF-8 sort as code points do. UTF-16 differs in one place: surrogate pairs (lead bytes F0..F4)
 * sort before U+E000..U+FFFF (lead bytes EE and EF). Where two texts first differ, both bytes are leads or
 * both continue. */
static int weight(uint8_t byte)
{
    return byte == 0xee || byte == 0xef ? byte + 0x10 : byte;
}

int text_compare(struct span a, struct span b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    for (size_t i = 0; i < common; i++) {
        if (a.data[i] != b.data[i]) return weight(a.data[i]) < weight(b.data[i]) ? -1 : 1;
    }
    return a.len < b.len ? -1 : a.len > b.len;
}

void text_append(struct buffer *b, struct span utf8)
{
    ASSERT(b->cap > 0 && b->len < b->cap);
    size_t left = b->cap - 1 - b->len;
    size_t len = utf8.len < left ? utf8.len : left;
    if (len < utf8.len) {
        while (len > 0 && continues(utf8.data[len])) len--;
    }
    if (len > 0) memcpy(b->data + b->len, utf8.data, len);
    b->len += len;
    b->data[b->len] = 0;
}
