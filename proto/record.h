/* record: the signed header every statement has, its bytes, its id and what its signature covers.
 * PROTOCOL.md "Records". Chained records carry seq >= 1 and prev; ephemeral records and statements carry seq 0 and a
 * zero prev and are signed under another tag, so one can never pass for the other. The signature covers the header
 * only, which names the body by length and hash: a proof of equivocation carries no body. Pure. */
#ifndef PERIGEE_PROTO_RECORD_H
#define PERIGEE_PROTO_RECORD_H

#include "crypto/hash.h"
#include "proto/wire/body.h"

enum { RECORD_VERSION = 1 };

struct header {
    enum kind kind;
    struct consortium_id consortium;
    struct node_id author;
    uint64_t seq;          /* 1.. in a chain; 0 for statements and ephemeral records */
    struct record_id prev; /* predecessor in the author's chain; zero for seq 1 and for statements */
    uint64_t time_ms;      /* the author's claim; unix milliseconds */
    uint64_t expires_ms;   /* 0: never */
    struct span residency; /* label, may be empty */
    uint32_t body_len;
    struct hash32 body_hash;
};

/* A record as it travels and is stored. Spans borrow. `body` may be empty with body_known false. */
struct record {
    struct header header;
    struct span header_bytes;
    struct signature signature;
    struct span body;
    bool body_known;
    struct record_id id;
};

void header_encode(struct buffer *out, const struct header *h);
/* Strict; checks version, kind known, class against seq/prev, body_len <= CAP_BODY_BYTES. */
MUST_USE enum err header_decode(struct header *out, struct span bytes);
/* When a run with this record's header ends, however far it has come: at its expiry, but RUN_LIFE_MAX_MS after its time at the
 * latest (PROTOCOL.md "Run states"). */
enum { RUN_LIFE_MAX_MS = 24 * 3600 * 1000 };
uint64_t record_run_end_ms(const struct header *h);
struct record_id record_id_of(struct span header_bytes);
/* The 32 bytes that are signed for a header of this kind. */
struct hash32 record_sign_hash(enum kind kind, struct span header_bytes);

/* Room for the record on the wire, and packed. */
size_t record_bytes_max(const struct record *r);
/* A record on the wire: message RECORD. An absent body is the empty string with body_len > 0. */
void record_encode(struct buffer *out, const struct record *r);
/* From the three parts: decodes the header, checks the body against it. The signature is not checked here. */
MUST_USE enum err record_open(struct record *out, struct span header_bytes, const struct signature *signature,
                              struct span body);
/* From one packed record: array [header, signature, body]. Used in bundles, receipts and the store. */
void record_pack(struct buffer *out, const struct record *r);
MUST_USE enum err record_unpack(struct record *out, struct span packed);
/* The same of bytes that were a record with this id before and have been in own memory since: nothing is hashed again. */
MUST_USE enum err record_unpack_known(struct record *out, struct span packed, struct record_id id);

/* Build header and body of a new statement or record into `out` (header | body); *header_len splits it. */
MUST_USE enum err record_build(struct buffer *out, size_t *header_len, struct header *h, const void *body);

#endif
