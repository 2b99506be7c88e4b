#include "proto/field.h"

#include "proto/base/caps.h"
#include "proto/base/panic.h"

#include <string.h>

enum { DECIMAL_PLACES_MAX = 18, PATH_BYTES = 96 };

static const char dt_prefix[] = "dt:perigee:";

/* --- Elements ------------------------------------------------------------------------------------------ */

static bool take_id(struct span text, void *out)
{
    uint8_t id[32];
    if (hex_decode(id, sizeof id, text) != OK || ids_zero(id)) return false;
    memcpy(out, id, sizeof id);
    return true;
}

bool field_is_node(struct span text, void *node_id)
{
    return take_id(text, node_id);
}

bool field_is_hash(struct span text, void *hash32)
{
    return take_id(text, hash32);
}

bool field_is_dt(struct span text, void *dt)
{
    const size_t prefix = sizeof dt_prefix - 1;
    if (text.len != FIELD_DT_CHARS || memcmp(text.data, dt_prefix, prefix) != 0) return false;
    return take_id((struct span){text.data + prefix, text.len - prefix}, dt);
}

static bool is_lower(uint8_t c)
{
    return c >= 'a' && c <= 'z';
}
static bool is_upper(uint8_t c)
{
    return c >= 'A' && c <= 'Z';
}
static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}
static bool is_name_char(uint8_t c)
{
    return is_lower(c) || is_digit(c) || c == '.' || c == '_' || c == '-';
}

bool field_is_name(struct span text, void *span)
{
    if (text.len == 0 || text.len > CAP_NAME) return false;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_name_char(text.data[i])) return false;
    }
    *(struct span *)span = text;
    return true;
}

bool field_is_column(struct span text, void *span)
{
    if (text.len == 0 || text.len > CAP_NAME) return false;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_name_char(text.data[i]) && !is_upper(text.data[i])) return false;
    }
    *(struct span *)span = text;
    return true;
}

bool field_is_jurisdiction(struct span text, void *span)
{
    if (text.len != 2 && (text.len < 4 || text.len > 6)) return false;
    if (!is_upper(text.data[0]) || !is_upper(text.data[1])) return false;
    if (text.len > 2 && text.data[2] != '-') return false;
    for (size_t i = 3; i < text.len; i++) {
        if (!is_upper(text.data[i]) && !is_digit(text.data[i])) return false;
    }
    *(struct span *)span = text;
    return true;
}

/* One code point of valid UTF-8 (the JSON parser has checked it), or -1 at the end or where it is not. */
static int32_t take_code_point(struct span text, size_t *at)
{
    if (*at >= text.len) return -1;
    uint8_t lead = text.data[(*at)++];
    if (lead < 0x80) return lead;
    uint32_t more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    int32_t point = lead & (0x3f >> more);
    if (more > text.len - *at) return -1;
    for (; more > 0; more--) {
        point = point << 6 | (text.data[(*at)++] & 0x3f);
    }
    return point;
}

static bool is_hidden(int32_t point)
{
    static const int32_t ranges[][2] = {
        {0x00, 0x1f},     {0x7f, 0x9f},     {0xad, 0xad},     {0x34f, 0x34f},     {0x61c, 0x61c},
        {0x115f, 0x1160}, {0x17b4, 0x17b5}, {0x180b, 0x180f}, {0x200b, 0x200f},   {0x2028, 0x202e},
        {0x2060, 0x206f}, {0x3164, 0x3164}, {0xe000, 0xf8ff}, {0xfe00, 0xfe0f},   {0xfeff, 0xfeff},
        {0xffa0, 0xffa0}, {0xfff0, 0xfffb}, {0xfffe, 0xffff}, {0x1d173, 0x1d17a}, {0xe0000, 0x10ffff},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        if (point >= ranges[i][0] && point <= ranges[i][1]) return true;
    }
    return false;
}

bool field_is_visible(struct span utf8)
{
    for (size_t at = 0; at < utf8.len;) {
        int32_t point = take_code_point(utf8, &at);
        if (point < 0 || is_hidden(point)) return false;
    }
    return true;
}

bool field_is_label(struct span text, void *span)
{
    if (text.len == 0 || text.len > CAP_NAME || !field_is_visible(text)) return false;
    *(struct span *)span = text;
    return true;
}

/* --- Single fields ------------------------------------------------------------------------------------- */

static void take_one(struct json_reader *r, const char *key, field_element *element, const char *expected,
                     void *out)
{
    struct span text = SPAN_NONE;
    if (r->err == OK && !json_has(r, key)) json_refuse(r, key, ERR_MISSING_FIELD, expected);
    json_read_text(r, key, CAP_DOCUMENT_BYTES, &text);
    if (r->err == OK && !element(text, out)) json_refuse(r, key, ERR_SYNTAX, expected);
}

void field_node(struct json_reader *r, const char *key, struct node_id *out)
{
    take_one(r, key, field_is_node, "64 lower-case hex digits, not all zero", out);
}

void field_hash(struct json_reader *r, const char *key, struct hash32 *out)
{
    take_one(r, key, field_is_hash, "64 lower-case hex digits, not all zero", out);
}

void field_dt(struct json_reader *r, const char *key, struct dt *out)
{
    take_one(r, key, field_is_dt, "dt:perigee: and 64 lower-case hex digits, not all zero", out);
}

void field_name(struct json_reader *r, const char *key, struct span *out)
{
    take_one(r, key, field_is_name, "1 to 64 characters of a-z 0-9 . _ -", out);
}

void field_column(struct json_reader *r, const char *key, struct span *out)
{
    struct span text = SPAN_NONE;
    json_read_text(r, key, CAP_NAME, &text);
    *out = SPAN_NONE;
    if (r->err != OK || text.len == 0) return;
    if (!field_is_column(text, out))
        json_refuse(r, key, ERR_SYNTAX, "a column name (A-Z a-z 0-9 . _ -) or nothing");
}

void field_jurisdiction(struct json_reader *r, const char *key, struct span *out)
{
    take_one(r, key, field_is_jurisdiction, "a jurisdiction such as CH, EU or US-CA", out);
}

void field_text(struct json_reader *r, const char *key, size_t min, size_t max, struct span *out)
{
    json_read_text(r, key, max, out);
    if (r->err != OK) return;
    if (out->len < min) json_refuse(r, key, ERR_RANGE, "text that is not empty");
    if (!field_is_visible(*out)) json_refuse(r, key, ERR_SYNTAX, "text without invisible characters");
}

void field_u32(struct json_reader *r, const char *key, uint32_t min, uint32_t max, uint32_t *out)
{
    int64_t value = min;
    ASSERT(min <= max);
    json_read_int(r, key, min, max, &value);
    *out = (uint32_t)value;
}

void field_decimal(struct json_reader *r, const char *key, uint32_t places, int64_t min, int64_t max,
                   int64_t *out)
{
    uint8_t spelling[32];
    struct buffer canonical = BUFFER_OF(spelling);
    struct span text = SPAN_NONE;
    json_read_decimal(r, key, places, min, max, out);
    json_read_text(r, key, sizeof spelling, &text);
    if (r->err != OK) return;
    field_decimal_text(&canonical, *out, places);
    if (!span_equal(buffer_span(&canonical), text)) {
        json_refuse(r, key, ERR_NOT_CANONICAL, "a decimal without needless zeros, such as 1.5");
    }
}

void field_extra(struct json_reader *r, const struct json **out)
{
    *out = NULL;
    if (json_has(r, "extra")) *out = json_read_object(r, "extra");
}

void field_reserved(struct json_reader *r, const char *const *keys, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (json_has(r, keys[i])) json_refuse(r, keys[i], ERR_REFUSED, "nothing: this name is reserved");
    }
}

/* --- Lists and objects --------------------------------------------------------------------------------- */

/* "key[index]", as the last part of a path. */
static void put_index(struct buffer *path, const char *key, uint32_t index)
{
    buffer_put_text(path, key);
    buffer_put_u8(path, '[');
    buffer_put_decimal(path, index);
    buffer_put_u8(path, ']');
}

static void refuse_item(struct json_reader *r, const char *key, uint32_t index, enum err err,
                        const char *expected)
{
    char text[PATH_BYTES];
    struct buffer path = {(uint8_t *)text, 0, sizeof text - 1, false};
    put_index(&path, key, index);
    text[path.len] = 0;
    json_refuse(r, text, err, expected);
}

static bool is_repeated(const struct json *array, uint32_t index)
{
    for (uint32_t i = 0; i < index; i++) {
        if (span_equal(array->items[i].string, array->items[index].string)) return true;
    }
    return false;
}

void field_list(struct json_reader *r, const char *key, uint32_t min, uint32_t max, field_element *element,
                const char *expected, void *out, size_t size, uint32_t *count)
{
    const struct json *array = json_read_array(r, key, min, max);
    *count = 0;
    if (array == NULL) return;
    ASSERT(array->count <= max);
    for (uint32_t i = 0; i < array->count && r->err == OK; i++) {
        const struct json *item = &array->items[i];
        if (item->type != JSON_TYPE_STRING)
            refuse_item(r, key, i, ERR_TYPE, "a string");
        else if (!element(item->string, (uint8_t *)out + i * size))
            refuse_item(r, key, i, ERR_SYNTAX, expected);
        else if (is_repeated(array, i))
            refuse_item(r, key, i, ERR_DUPLICATE, "every value once");
    }
    if (r->err == OK) *count = array->count;
}

static void begin_path(struct buffer *path, const struct json_reader *parent)
{
    size_t len = 0;
    while (len < sizeof parent->path && parent->path[len] != 0) len++;
    buffer_put(path, (struct span){(const uint8_t *)parent->path, len});
    if (len > 0) buffer_put_u8(path, '.');
}

void field_item(struct json_reader *r, const struct json_reader *parent, const char *key, uint32_t index,
                const struct json *item)
{
    char text[PATH_BYTES];
    struct buffer path = {(uint8_t *)text, 0, sizeof text - 1, false};
    begin_path(&path, parent);
    put_index(&path, key, index);
    text[path.len] = 0;
    json_reader_init(r, item, text, parent->fault);
}

void field_object(struct json_reader *r, struct json_reader *parent, const char *key)
{
    static const struct json none = {.type = JSON_TYPE_OBJECT};
    char text[PATH_BYTES];
    struct buffer path = {(uint8_t *)text, 0, sizeof text - 1, false};
    const struct json *object = json_read_object(parent, key);
    begin_path(&path, parent);
    buffer_put_text(&path, key);
    text[path.len] = 0;
    json_reader_init(r, object != NULL ? object : &none, text, parent->fault);
    r->err = parent->err;
}

enum err field_document(struct json_reader *r, struct span *stay, struct json_room room, struct span bytes,
                        const char *version, struct json_fault *fault)
{
    static const struct json_fault too_large = {
        .path = "document", .expected = "at most 49152 bytes", .err = ERR_TOO_LARGE};
    const struct json *root = NULL;
    _Static_assert(CAP_DOCUMENT_BYTES == 49152, "the text above names the cap");
    if (bytes.len > CAP_DOCUMENT_BYTES) {
        if (fault != NULL) *fault = too_large;
        return ERR_TOO_LARGE;
    }
    *stay = bytes;
    if (room.kept == room.scratch) TRY(arena_copy(room.kept, stay, bytes));
    TRY(json_parse_borrow(&root, room, *stay, fault));
    json_reader_init(r, root, "", fault);
    json_read_version(r, version);
    return r->err;
}

/* --- Writing ------------------------------------------------------------------------------------------- */

void field_put_text(struct json_writer *w, const char *key, struct span utf8)
{
    json_key(w, key);
    json_put_text(w, utf8);
}

void field_put_word(struct json_writer *w, const char *key, const char *word)
{
    field_put_text(w, key, span_text(word));
}

void field_put_hex(struct json_writer *w, const char *key, struct span bytes)
{
    json_key(w, key);
    json_put_hex(w, bytes);
}

static void put_dt(struct json_writer *w, struct dt dt)
{
    uint8_t text[FIELD_DT_CHARS];
    struct buffer out = BUFFER_OF(text);
    field_dt_text(&out, dt);
    json_put_text(w, buffer_span(&out));
}

void field_put_dt(struct json_writer *w, const char *key, struct dt dt)
{
    json_key(w, key);
    put_dt(w, dt);
}

void field_put_int(struct json_writer *w, const char *key, int64_t value)
{
    json_key(w, key);
    json_put_int(w, value);
}

void field_put_bool(struct json_writer *w, const char *key, bool value)
{
    json_key(w, key);
    json_put_bool(w, value);
}

void field_put_decimal(struct json_writer *w, const char *key, int64_t value, uint32_t places)
{
    uint8_t text[32];
    struct buffer out = BUFFER_OF(text);
    field_decimal_text(&out, value, places);
    field_put_text(w, key, buffer_span(&out));
}

void field_put_extra(struct json_writer *w, const struct json *extra)
{
    if (extra == NULL) return;
    json_key(w, "extra");
    json_put_value(w, extra);
}

void field_put_texts(struct json_writer *w, const char *key, const struct span *texts, uint32_t count)
{
    json_key(w, key);
    json_begin_array(w);
    for (uint32_t i = 0; i < count; i++) json_put_text(w, texts[i]);
    json_end_array(w);
}

void field_put_nodes(struct json_writer *w, const char *key, const struct node_id *nodes, uint32_t count)
{
    json_key(w, key);
    json_begin_array(w);
    for (uint32_t i = 0; i < count; i++) json_put_hex(w, ID_SPAN(nodes[i]));
    json_end_array(w);
}

void field_put_hashes(struct json_writer *w, const char *key, const struct hash32 *hashes, uint32_t count)
{
    json_key(w, key);
    json_begin_array(w);
    for (uint32_t i = 0; i < count; i++) json_put_hex(w, ID_SPAN(hashes[i]));
    json_end_array(w);
}

void field_put_dts(struct json_writer *w, const char *key, const struct dt *dts, uint32_t count)
{
    json_key(w, key);
    json_begin_array(w);
    for (uint32_t i = 0; i < count; i++) put_dt(w, dts[i]);
    json_end_array(w);
}

void field_decimal_text(struct buffer *out, int64_t value, uint32_t places)
{
    uint8_t digits[DECIMAL_PLACES_MAX];
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    uint32_t keep = 0;
    ASSERT(places <= DECIMAL_PLACES_MAX);
    for (uint32_t i = places; i > 0; i--, magnitude /= 10) {
        digits[i - 1] = (uint8_t)('0' + magnitude % 10);
        if (keep == 0 && digits[i - 1] != '0') keep = i;
    }
    if (value < 0) buffer_put_u8(out, '-');
    buffer_put_decimal(out,
                       (int64_t)magnitude); /* INT64_MIN with no places is the one value this cannot say */
    if (keep > 0) buffer_put_u8(out, '.');
    buffer_put(out, (struct span){digits, keep});
}

void field_dt_text(struct buffer *out, struct dt dt)
{
    buffer_put_text(out, dt_prefix);
    buffer_put_hex(out, ID_SPAN(dt));
}
