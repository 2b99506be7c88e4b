/* body: encode and decode the structures of table.h, by kind or message code. One generic codec over field tables.
 * Decoding is strict: canonical msgpack, exact field count, every cap checked, nothing left over. Decoded spans borrow
 * from the input. `body` points at the matching struct body_X or struct message_X. Pure. */
#ifndef PERIGEE_PROTO_WIRE_BODY_H
#define PERIGEE_PROTO_WIRE_BODY_H

#include "proto/wire/table.h"

/* Large enough for any body structure. */
union body {
#define BODY_MEMBER_OF_UNION(symbol, code, name, class, who, refers) struct body_##symbol symbol;
    KIND_TABLE(BODY_MEMBER_OF_UNION)
#undef BODY_MEMBER_OF_UNION
};
union message_body {
#define MESSAGE_MEMBER_OF_UNION(symbol, code, name, bulk, what) struct message_##symbol symbol;
    MESSAGE_TABLE(MESSAGE_MEMBER_OF_UNION)
#undef MESSAGE_MEMBER_OF_UNION
};

bool kind_known(uint64_t code);
const char *kind_name(enum kind kind); /* "unknown" for a code not in the table */
enum record_class kind_class(enum kind kind);
const char *message_name(enum message code);
bool message_known(uint64_t code);
bool message_bulk(enum message code);

void body_encode(struct buffer *out, enum kind kind, const void *body);
MUST_USE enum err body_decode(void *body, enum kind kind, struct span bytes);
/* A link message: code byte, then the body. */
void message_encode(struct buffer *out, enum message code, const void *body);
MUST_USE enum err message_decode(enum message *code, union message_body *body, struct span bytes);

#endif
