#include "proto/manifest.h"

#include "crypto/hash.h"
#include "proto/base/panic.h"
#include "proto/field.h"

/* Lengths and counts stay far below 2^53; a body's chunk count fits 32 bits. */
#define PLAIN_LEN_MAX (INT64_C(1) << 51)
#define ROW_COUNT_MAX (INT64_C(1) << 40)
enum { SUITE_FIRST = 1, SUITE_LAST = 2 };

static void metadata_read(struct manifest *m, struct arena *arena, struct json_reader *r)
{
    struct span hex = SPAN_NONE;
    json_read_text(r, "metadata", 2 * MANIFEST_METADATA_BYTES_MAX, &hex);
    if (r->err != OK) return;
    uint8_t *bytes = arena_take(arena, hex.len / 2, 1);
    if (bytes == NULL)
        json_refuse(r, "metadata", ERR_NO_MEMORY, "a smaller document");
    else if (hex.len % 2 != 0 || hex_decode(bytes, hex.len / 2, hex) != OK)
        json_refuse(r, "metadata", ERR_SYNTAX, "lower-case hex of at most 4096 bytes");
    m->metadata = (struct span){bytes, hex.len / 2};
}

/* None, or one box. */
static void half_read(struct manifest *m, struct json_reader *r)
{
    struct span hex = SPAN_NONE;
    json_read_text(r, "half", sizeof m->half * 2, &hex);
    m->veto = hex.len > 0;
    if (r->err == OK && m->veto && hex_decode(m->half, sizeof m->half, hex) != OK)
        json_refuse(r, "half", ERR_SYNTAX, "nothing, or lower-case hex of 80 bytes");
}

static void body_read(struct manifest *m, struct json_reader *r)
{
    int64_t plain_len = 0, row_count = 0;
    uint32_t suite = 0;
    field_u32(r, "suite", SUITE_FIRST, SUITE_LAST, &suite);
    json_read_int(r, "plain_len", 0, PLAIN_LEN_MAX, &plain_len);
    json_read_int(r, "row_count", 0, ROW_COUNT_MAX, &row_count);
    field_u32(r, "chunk_count", 1, INT32_MAX, &m->chunk_count);
    m->suite = (uint16_t)suite;
    m->plain_len = (uint64_t)plain_len;
    m->row_count = (uint64_t)row_count;
    if (m->chunk_count != m->plain_len / MANIFEST_CHUNK_BYTES + 1) {
        json_refuse(r, "chunk_count", ERR_CONFLICT, "plain_len / 1048576, rounded down, plus 1");
    }
}

static void hashes_read(struct manifest *m, struct json_reader *r)
{
    struct hash32 compose = {{0}}, content = {{0}};
    field_hash(r, "compose", &compose);
    field_hash(r, "content", &content);
    field_hash(r, "salt", &m->salt);
    field_hash(r, "commitment", &m->commitment);
    field_hash(r, "root", &m->root);
    field_hash(r, "leaves", &m->leaves);
    field_hash(r, "policy", &m->policy);
    field_hash(r, "root_key_id", &m->root_key_id);
    for (uint32_t i = 0; i < sizeof compose.bytes; i++) {
        m->compose.bytes[i] = compose.bytes[i];
        m->content.bytes[i] = content.bytes[i];
    }
}

static enum err parse(struct manifest **out, struct arena *arena, struct span bytes, struct json_fault *fault)
{
    struct json_reader r;
    struct manifest *m = ARENA_NEW(arena, struct manifest);
    if (m == NULL) return ERR_NO_MEMORY;
    TRY(field_document(&r, &m->bytes, JSON_ROOM_ONE(arena), bytes, "manifest/1", fault));
    field_node(&r, "owner", &m->owner);
    field_dt(&r, "dt", &m->dt);
    field_dt(&r, "app_id", &m->app_id);
    hashes_read(m, &r);
    body_read(m, &r);
    json_read_hex(&r, "envelope", m->envelope, sizeof m->envelope);
    half_read(m, &r);
    metadata_read(m, arena, &r);
    TRY(json_reader_done(&r));
    m->hash = sha256(m->bytes);
    *out = m;
    return OK;
}

enum err manifest_parse(struct manifest **out, struct arena *arena, struct span bytes,
                        struct json_fault *fault)
{
    size_t mark = arena_mark(arena);
    enum err err = parse(out, arena, bytes, fault);
    if (err != OK) arena_release(arena, mark);
    return err;
}

enum err manifest_write(struct buffer *out, const struct manifest *m)
{
    struct json_writer w;
    json_writer_init(&w, out);
    json_begin_object(&w);
    field_put_dt(&w, "app_id", m->app_id);
    field_put_int(&w, "chunk_count", m->chunk_count);
    field_put_hex(&w, "commitment", ID_SPAN(m->commitment));
    field_put_hex(&w, "compose", ID_SPAN(m->compose));
    field_put_hex(&w, "content", ID_SPAN(m->content));
    field_put_dt(&w, "dt", m->dt);
    field_put_hex(&w, "envelope", SPAN_OF(m->envelope));
    field_put_hex(&w, "half", m->veto ? SPAN_OF(m->half) : SPAN_NONE);
    field_put_hex(&w, "leaves", ID_SPAN(m->leaves));
    field_put_hex(&w, "metadata", m->metadata);
    field_put_hex(&w, "owner", ID_SPAN(m->owner));
    field_put_word(&w, "perigee", "manifest/1");
    field_put_int(&w, "plain_len", (int64_t)m->plain_len);
    field_put_hex(&w, "policy", ID_SPAN(m->policy));
    field_put_hex(&w, "root", ID_SPAN(m->root));
    field_put_hex(&w, "root_key_id", ID_SPAN(m->root_key_id));
    field_put_int(&w, "row_count", (int64_t)m->row_count);
    field_put_hex(&w, "salt", ID_SPAN(m->salt));
    field_put_int(&w, "suite", m->suite);
    json_end_object(&w);
    return buffer_done(out);
}
