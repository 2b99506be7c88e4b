#include "proto/record.h"

#include "proto/base/panic.h"
#include "proto/wire/pack.h"

#include <string.h>

enum { HEADER_FIELDS = 11 };

void header_encode(struct buffer *out, const struct header *h)
{
    pack_array(out, HEADER_FIELDS);
    pack_uint(out, RECORD_VERSION);
    pack_uint(out, h->kind);
    pack_bin(out, ID_SPAN(h->consortium));
    pack_bin(out, ID_SPAN(h->author));
    pack_uint(out, h->seq);
    pack_bin(out, ID_SPAN(h->prev));
    pack_uint(out, h->time_ms);
    pack_uint(out, h->expires_ms);
    pack_str(out, h->residency);
    pack_uint(out, h->body_len);
    pack_bin(out, ID_SPAN(h->body_hash));
}

/* A chain position belongs to chained kinds and to nothing else. */
static enum err check_position(const struct header *h)
{
    bool chained = kind_class(h->kind) == CLASS_CHAINED;
    bool first = h->seq == 1;
    if (chained != (h->seq > 0)) return ERR_RANGE;
    if (chained && first != ID_IS_ZERO(h->prev)) return ERR_RANGE;
    if (!chained && !ID_IS_ZERO(h->prev)) return ERR_RANGE;
    return OK;
}

enum err header_decode(struct header *out, struct span bytes)
{
    struct cursor c = cursor_make(bytes);
    uint64_t version, kind, body_len;
    if (bytes.len > CAP_HEADER_BYTES) return ERR_TOO_LARGE;
    TRY(unpack_array_of(&c, HEADER_FIELDS));
    TRY(unpack_uint(&c, UINT8_MAX, &version));
    if (version != RECORD_VERSION) return ERR_VERSION;
    TRY(unpack_uint(&c, UINT8_MAX, &kind));
    if (!kind_known(kind)) return ERR_KIND;
    out->kind = (enum kind)kind;
    TRY(unpack_fixed(&c, out->consortium.bytes, 32));
    TRY(unpack_fixed(&c, out->author.bytes, 32));
    TRY(unpack_uint(&c, UINT_TIME, &out->seq));
    TRY(unpack_fixed(&c, out->prev.bytes, 32));
    TRY(unpack_uint(&c, UINT_TIME, &out->time_ms));
    TRY(unpack_uint(&c, UINT_TIME, &out->expires_ms));
    TRY(unpack_str(&c, CAP_NAME, &out->residency));
    TRY(unpack_uint(&c, CAP_BODY_BYTES, &body_len));
    out->body_len = (uint32_t)body_len;
    TRY(unpack_fixed(&c, out->body_hash.bytes, 32));
    TRY(cursor_end(&c));
    return check_position(out);
}

uint64_t record_run_end_ms(const struct header *h)
{
    uint64_t latest = h->time_ms + RUN_LIFE_MAX_MS;
    ASSERT(h->kind == KIND_RUN && h->time_ms <= UINT_TIME);
    return h->expires_ms != 0 && h->expires_ms < latest ? h->expires_ms : latest;
}

struct record_id record_id_of(struct span header_bytes)
{
    struct hash32 hash = sha256(header_bytes);
    struct record_id id;
    memcpy(id.bytes, hash.bytes, sizeof id.bytes);
    return id;
}

struct hash32 record_sign_hash(enum kind kind, struct span header_bytes)
{
    switch (kind_class(kind)) {
    case CLASS_CHAINED: return HASH_FRAMED("perigee/record/v1", header_bytes);
    case CLASS_EPHEMERAL: return HASH_FRAMED("perigee/ephemeral/v1", header_bytes);
    case CLASS_STATEMENT: return HASH_FRAMED("perigee/statement/v1", header_bytes);
    case CLASS_ENCLAVE: return HASH_FRAMED("perigee/enclave-statement/v1", header_bytes);
    }
    UNREACHABLE();
}

enum err record_open(struct record *out, struct span header_bytes, const struct signature *signature,
                     struct span body)
{
    TRY(header_decode(&out->header, header_bytes));
    out->header_bytes = header_bytes;
    out->signature = *signature;
    out->id = record_id_of(header_bytes);
    out->body = body;
    out->body_known = body.len > 0;
    if (!out->body_known) return OK;
    if (body.len != out->header.body_len) return ERR_HASH;
    struct hash32 hash = sha256(body);
    return ID_EQUAL(hash, out->header.body_hash) ? OK : ERR_HASH;
}

size_t record_bytes_max(const struct record *r)
{
    return r->header_bytes.len + sizeof r->signature + r->body.len + 64; /* framing takes less */
}

void record_encode(struct buffer *out, const struct record *r)
{
    struct message_RECORD m = {r->header_bytes, r->signature, r->body};
    message_encode(out, MESSAGE_RECORD_CODE, &m);
}

void record_pack(struct buffer *out, const struct record *r)
{
    pack_array(out, 3);
    pack_bin(out, r->header_bytes);
    pack_bin(out, SPAN_OF(r->signature.bytes));
    pack_bin(out, r->body);
}

static enum err unpack_parts(struct record *out, struct span packed)
{
    struct cursor c = cursor_make(packed);
    TRY(unpack_array_of(&c, 3));
    TRY(unpack_bin(&c, CAP_HEADER_BYTES, &out->header_bytes));
    TRY(unpack_fixed(&c, out->signature.bytes, sizeof out->signature.bytes));
    TRY(unpack_bin(&c, CAP_BODY_BYTES, &out->body));
    return cursor_end(&c);
}

enum err record_unpack(struct record *out, struct span packed)
{
    struct record parts;
    TRY(unpack_parts(&parts, packed));
    return record_open(out, parts.header_bytes, &parts.signature, parts.body);
}

enum err record_unpack_known(struct record *out, struct span packed, struct record_id id)
{
    TRY(unpack_parts(out, packed));
    out->id = id;
    out->body_known = out->body.len > 0;
    return header_decode(&out->header, out->header_bytes);
}

/* The body is encoded where it will end up, then the header that names it is put before it. */
enum err record_build(struct buffer *out, size_t *header_len, struct header *h, const void *body)
{
    uint8_t bytes[CAP_HEADER_BYTES];
    struct buffer header = BUFFER_OF(bytes);
    ASSERT(out->len == 0 && out->cap >= CAP_HEADER_BYTES);
    struct buffer tail = buffer_make(out->data + CAP_HEADER_BYTES, out->cap - CAP_HEADER_BYTES);
    body_encode(&tail, h->kind, body);
    TRY(buffer_done(&tail));
    if (tail.len > CAP_BODY_BYTES) return ERR_TOO_LARGE;
    h->body_len = (uint32_t)tail.len;
    h->body_hash = sha256(buffer_span(&tail));
    header_encode(&header, h);
    TRY(buffer_done(&header));
    *header_len = header.len;
    buffer_put(out, buffer_span(&header));
    memmove(out->data + out->len, tail.data, tail.len);
    out->len += tail.len;
    return OK;
}
