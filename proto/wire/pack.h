/* pack: canonical msgpack. Writing uses msgpack-c's packer into a bounded buffer; reading is our own bounded cursor
 * (msgpack-c's unpacker allocates from counts a peer declares, so it is only the oracle in tests).
 * Canonical: shortest form of every integer, length and count; only nil, bool, unsigned and negative integers, bin,
 * str (UTF-8) and array are used; maps, floats and extensions are refused. Pure; spans borrow from the input. */
#ifndef PERIGEE_PROTO_WIRE_PACK_H
#define PERIGEE_PROTO_WIRE_PACK_H

#include "proto/base/span.h"

/* Text that unpack_str would refuse puts the buffer into its overflow state. */
void pack_array(struct buffer *b, uint32_t count);
void pack_uint(struct buffer *b, uint64_t value);
void pack_int(struct buffer *b, int64_t value);
void pack_bool(struct buffer *b, bool value);
void pack_nil(struct buffer *b);
void pack_bin(struct buffer *b, struct span bytes);
void pack_str(struct buffer *b, struct span utf8);

/* Each reader refuses another type (ERR_TYPE), a longer form than needed (ERR_NOT_CANONICAL), more than max
 * (ERR_TOO_LARGE) and an early end (ERR_TRUNCATED). Where the count or length is exact, another one is another type.
 * On error the cursor's position is unspecified. */
MUST_USE enum err unpack_array(struct cursor *c, uint32_t max, uint32_t *count);
MUST_USE enum err unpack_array_of(struct cursor *c, uint32_t exactly);
MUST_USE enum err unpack_uint(struct cursor *c, uint64_t max, uint64_t *out);
MUST_USE enum err unpack_int(struct cursor *c, int64_t *out);
MUST_USE enum err unpack_bool(struct cursor *c, bool *out);
MUST_USE enum err unpack_nil(struct cursor *c);
bool unpack_at_nil(const struct cursor *c);
MUST_USE enum err unpack_bin(struct cursor *c, size_t max, struct span *out);
MUST_USE enum err unpack_fixed(struct cursor *c, void *out, size_t len); /* bin of exactly len */
MUST_USE enum err unpack_str(struct cursor *c, size_t max,
                             struct span *out); /* text.h's text, else ERR_SYNTAX */

#endif
