/* text: what counts as text in anything a peer sends, and the order of canonical JSON's keys.
 * Text is strictly valid UTF-8 (no overlong form, no surrogate, nothing above U+10FFFF) without control characters
 * (U+0000..U+001F, U+007F..U+009F), because it ends up on terminals and in what people approve. Pure. */
#ifndef PERIGEE_PROTO_BASE_TEXT_H
#define PERIGEE_PROTO_BASE_TEXT_H

#include "proto/base/span.h"

/* Bytes of the character at `at` (1 to 4), or 0 when no text character begins there. `at < end`. */
size_t text_character(const uint8_t *at, const uint8_t *end);
bool text_valid(struct span utf8);
/* The order of UTF-16 code units (RFC 8785, section 3.2.3), without converting. Both must be valid text. */
int text_compare(struct span a, struct span b);
/* Append as much of the text as fits, never a part of a character, and terminate. The buffer keeps a byte for the zero. */
void text_append(struct buffer *b, struct span utf8);

#endif
