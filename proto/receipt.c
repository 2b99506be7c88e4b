/* receipt/1 as text: hex of packed parts, and back. */
#include "proto/receipt.h"

#include "proto/field.h"
#include "proto/wire/pack.h"

#include <string.h>

enum {
    PACKED_MAX = CAP_HEADER_BYTES + 64 + CAP_BODY_BYTES + 16,
    STATEMENT_MAX = 4096,
    EVIDENCE_KIND_SIMULATED = 1
};

#define LINK_NAME(symbol, name, text) name,
#define LINK_TEXT(symbol, name, text) text,
static const char *const names[] = {RECEIPT_LINK_TABLE(LINK_NAME)};
static const char *const texts[] = {RECEIPT_LINK_TABLE(LINK_TEXT)};
#undef LINK_NAME
#undef LINK_TEXT

const char *receipt_link_name(enum receipt_link l)
{
    return (uint32_t)l < RECEIPT_LINK_COUNT ? names[l] : "unknown";
}

const char *receipt_link_text(enum receipt_link l)
{
    return (uint32_t)l < RECEIPT_LINK_COUNT ? texts[l] : "unknown";
}

bool receipt_simulated(struct span evidence)
{
    return evidence.len >= 4 && load_u16(evidence.data + 2) == EVIDENCE_KIND_SIMULATED;
}

/* --- Writing --------------------------------------------------------------------------------------------------------- */

static enum err put_array(struct json_writer *w, const char *key, struct span packed, uint32_t max)
{
    struct cursor c = cursor_make(packed);
    struct span one;
    uint32_t count;
    TRY(unpack_array(&c, max, &count));
    json_key(w, key);
    json_begin_array(w);
    for (uint32_t i = 0; i < count; i++) {
        TRY(unpack_bin(&c, PACKED_MAX, &one));
        json_put_hex(w, one);
    }
    json_end_array(w);
    return cursor_end(&c);
}

enum err receipt_write(struct buffer *out, const struct receipt_parts *parts)
{
    struct json_writer w;
    const struct body_RECEIPT *b = &parts->body;
    json_writer_init(&w, out);
    json_begin_object(&w);
    TRY(put_array(&w, "bundle", parts->bundle, BUNDLE_RECORDS_MAX));
    field_put_hex(&w, "certificate", b->certificate);
    TRY(put_array(&w, "commits", b->commits, CAP_CUSTODIANS));
    field_put_hex(&w, "consortium", ID_SPAN(parts->consortium));
    field_put_hex(&w, "core", b->core);
    field_put_hex(&w, "core_signature", SPAN_OF(b->core_signature.bytes));
    field_put_hex(&w, "ending", b->ending);
    field_put_hex(&w, "evidence", b->evidence);
    if (parts->output.len > 0) field_put_text(&w, "output", parts->output);
    field_put_word(&w, "perigee", "receipt/1");
    TRY(put_array(&w, "releases", b->releases, RELEASES_MAX));
    if (parts->output.len > 0) field_put_hex(&w, "response", SPAN_OF(parts->response.bytes));
    field_put_hex(&w, "run", ID_SPAN(b->run));
    if (parts->output.len > 0) field_put_hex(&w, "salt", ID_SPAN(parts->salt));
    field_put_bool(&w, "simulated", receipt_simulated(b->evidence));
    json_end_object(&w);
    return buffer_done(out);
}

/* --- Reading --------------------------------------------------------------------------------------------------------- */

/* A member of any number of bytes up to max, as hex. */
static void read_hex(struct json_reader *r, struct arena *arena, const char *key, size_t max,
                     struct span *out)
{
    struct span text = SPAN_NONE;
    json_read_text(r, key, 2 * max, &text);
    if (r->err != OK) return;
    uint8_t *bytes = arena_take(arena, text.len / 2, 1);
    if (bytes == NULL)
        json_refuse(r, key, ERR_NO_MEMORY, "less memory to be needed");
    else if (text.len % 2 != 0 || hex_decode(bytes, text.len / 2, text) != OK)
        json_refuse(r, key, ERR_SYNTAX, "lower-case hex of whole bytes");
    else
        *out = span_make(bytes, text.len / 2);
}

static bool array_fits(const struct json *array, size_t max, size_t *total)
{
    *total = 8;
    for (uint32_t i = 0; i < array->count; i++) {
        const struct json *item = &array->items[i];
        if (item->type != JSON_TYPE_STRING || item->string.len % 2 != 0 || item->string.len / 2 > max)
            return false;
        *total += item->string.len / 2 + 8;
    }
    return true;
}

/* An array of hex strings into a packed array. */
static void read_array(struct json_reader *r, struct arena *arena, const char *key, uint32_t count_max,
                       size_t item_max, struct span *out)
{
    size_t total;
    const struct json *array = json_read_array(r, key, 1, count_max);
    if (array == NULL) return;
    if (!array_fits(array, item_max, &total)) {
        json_refuse(r, key, ERR_TYPE, "strings of hex");
        return;
    }
    uint8_t *packed = arena_take(arena, total, 1), *item = arena_take(arena, item_max, 1);
    if (packed == NULL || item == NULL) {
        json_refuse(r, key, ERR_NO_MEMORY, "less memory to be needed");
        return;
    }
    struct buffer b = buffer_make(packed, total);
    pack_array(&b, array->count);
    for (uint32_t i = 0; i < array->count; i++) {
        struct span text = array->items[i].string;
        if (hex_decode(item, text.len / 2, text) != OK) {
            json_refuse(r, key, ERR_SYNTAX, "lower-case hex");
            return;
        }
        pack_bin(&b, span_make(item, text.len / 2));
    }
    *out = buffer_span(&b);
}

/* Output, its salt and the response's signature are there together or not at all. */
static void read_output(struct json_reader *r, struct receipt_parts *out)
{
    bool known = json_has(r, "output");
    if (json_has(r, "salt") != known) json_refuse(r, "salt", ERR_MISSING_FIELD, "output and salt together");
    if (json_has(r, "response") != known)
        json_refuse(r, "response", ERR_MISSING_FIELD, "output and response together");
    if (!known) return;
    json_read_text(r, "output", WORKFLOW_OUTPUT_BYTES_MAX, &out->output);
    json_read_hex(r, "salt", out->salt.bytes, 32);
    json_read_hex(r, "response", out->response.bytes, sizeof out->response.bytes);
    if (r->err == OK && out->output.len == 0)
        json_refuse(r, "output", ERR_RANGE, "an output, or no such member");
}

static enum err read_parts(struct receipt_parts *out, struct arena *arena, struct json_reader *r)
{
    bool simulated = false;
    struct body_RECEIPT *b = &out->body;
    json_read_version(r, "receipt/1");
    read_array(r, arena, "bundle", BUNDLE_RECORDS_MAX, PACKED_MAX, &out->bundle);
    read_hex(r, arena, "certificate", CERTIFICATE_BYTES_MAX, &b->certificate);
    read_array(r, arena, "commits", CAP_CUSTODIANS, STATEMENT_MAX, &b->commits);
    json_read_hex(r, "consortium", out->consortium.bytes, 32);
    read_hex(r, arena, "core", 4096, &b->core);
    json_read_hex(r, "core_signature", b->core_signature.bytes, sizeof b->core_signature.bytes);
    read_hex(r, arena, "ending", 1024, &b->ending);
    read_hex(r, arena, "evidence", 16384, &b->evidence);
    read_output(r, out);
    read_array(r, arena, "releases", RELEASES_MAX, STATEMENT_MAX, &b->releases);
    json_read_hex(r, "run", b->run.bytes, 32);
    json_read_bool(r, "simulated", &simulated);
    if (r->err == OK && simulated != receipt_simulated(b->evidence))
        json_refuse(r, "simulated", ERR_CONFLICT, "what the evidence is");
    return json_reader_done(r);
}

enum err receipt_parse(struct receipt_parts *out, struct arena *arena, struct span bytes,
                       struct json_fault *fault)
{
    static const struct json_fault too_large = {
        .path = "document", .expected = "at most 12 MiB", .err = ERR_TOO_LARGE};
    _Static_assert(RECEIPT_BYTES_MAX == 12 << 20, "the text above names the cap");
    const struct json *root = NULL;
    struct json_reader r;
    if (bytes.len > RECEIPT_BYTES_MAX) {
        if (fault != NULL) *fault = too_large;
        return ERR_TOO_LARGE;
    }
    *out = (struct receipt_parts){.output = SPAN_NONE};
    TRY(json_parse(&root, arena, bytes, fault));
    json_reader_init(&r, root, "", fault);
    return read_parts(out, arena, &r);
}
