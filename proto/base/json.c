#include "proto/base/json.h"

#include "proto/base/panic.h"
#include "proto/base/text.h"

#include <string.h>

/* --- Faults -------------------------------------------------------------------------------------------- */

enum { PHRASE_BYTES = sizeof((struct json_fault *)0)->path };

/* Text under construction: room for a phrase, cut where it would not fit. */
struct phrase {
    uint8_t bytes[PHRASE_BYTES];
    struct buffer buffer;
};

static void phrase_begin(struct phrase *p)
{
    memset(p->bytes, 0, sizeof p->bytes);
    p->buffer = buffer_make(p->bytes, sizeof p->bytes);
}

static void phrase_add(struct phrase *p, const char *text)
{
    text_append(&p->buffer, span_text(text));
}

static void phrase_add_number(struct phrase *p, int64_t value)
{
    uint8_t digits[24];
    struct buffer b = BUFFER_OF(digits);
    buffer_put_decimal(&b, value);
    text_append(&p->buffer, buffer_span(&b));
}

static void fault_set(struct json_fault *fault, const char *path, enum err err, const char *expected)
{
    ASSERT(err != OK);
    if (fault == NULL || fault->err != OK) return;
    struct phrase where, what;
    phrase_begin(&where);
    phrase_begin(&what);
    phrase_add(&where, path[0] != 0 ? path : "document");
    phrase_add(&what, expected);
    memcpy(fault->path, where.bytes, sizeof fault->path);
    memcpy(fault->expected, what.bytes, sizeof fault->expected);
    fault->err = err;
}

/* --- Parsing ------------------------------------------------------------------------------------------- */

/* One pass over the text. Strings are unescaped in place (an escape only shrinks), behind `at`; text without an escape is
 * only read. */
struct parser {
    uint8_t *start, *at, *end;
    struct arena *arena;
    struct json_fault *fault;
    uint32_t depth;
};

static enum err parse_value(struct parser *p, struct json *out);

static enum err parse_refuse(const struct parser *p, enum err err, const char *expected)
{
    struct phrase where;
    phrase_begin(&where);
    phrase_add(&where, "byte ");
    phrase_add_number(&where, p->at - p->start);
    fault_set(p->fault, (const char *)where.bytes, err, expected);
    return err;
}

/* The next byte, or 0 at the end (a zero byte is nowhere allowed, so the two need not differ). */
static uint8_t parse_peek(const struct parser *p)
{
    return p->at < p->end ? *p->at : 0;
}

/* Refuse whatever is here instead of `expected`; white space would be legal JSON, only not canonical. */
static enum err parse_unexpected(const struct parser *p, const char *expected)
{
    uint8_t c = parse_peek(p);
    if (c == ' ' || c == '\n' || c == '\r' || c == '\t') {
        return parse_refuse(p, ERR_NOT_CANONICAL, "no white space");
    }
    return parse_refuse(p, ERR_SYNTAX, expected);
}

static enum err parse_byte(struct parser *p, uint8_t wanted, const char *expected)
{
    if (parse_peek(p) != wanted) return parse_unexpected(p, expected);
    p->at++;
    return OK;
}

static enum err parse_word(struct parser *p, const char *word)
{
    struct span wanted = span_text(word);
    if ((size_t)(p->end - p->at) < wanted.len || memcmp(p->at, wanted.data, wanted.len) != 0) {
        return parse_unexpected(p, word);
    }
    p->at += wanted.len;
    return OK;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static enum err parse_number(struct parser *p, int64_t *out)
{
    bool negative = parse_peek(p) == '-';
    if (negative) p->at++;
    if (!is_digit(parse_peek(p))) return parse_unexpected(p, "a digit");
    bool zero_first = *p->at == '0';
    const uint8_t *first = p->at;
    int64_t value = 0;
    while (is_digit(parse_peek(p))) {
        value = value * 10 + (*p->at - '0');
        if (value > JSON_INT_MAX) return parse_refuse(p, ERR_RANGE, "integer within 2^53 of zero");
        p->at++;
    }
    if (zero_first && p->at - first > 1) return parse_refuse(p, ERR_SYNTAX, "no leading zero");
    if (parse_peek(p) == '.' || parse_peek(p) == 'e' || parse_peek(p) == 'E') {
        return parse_refuse(p, ERR_SYNTAX, "an integer (decimals are strings)");
    }
    if (zero_first && negative) return parse_refuse(p, ERR_NOT_CANONICAL, "0 without a sign");
    *out = negative ? -value : value;
    return OK;
}

/* Only \" and \\ can appear: every other character that canonical JSON escapes is a control character. */
static enum err parse_escape(struct parser *p, uint8_t *out)
{
    uint8_t c = p->end - p->at > 1 ? p->at[1] : 0;
    if (c == 'u' || c == '/') return parse_refuse(p, ERR_NOT_CANONICAL, "no escape but \\\" and \\\\");
    if (c != '"' && c != '\\') return parse_refuse(p, ERR_SYNTAX, "no escape but \\\" and \\\\");
    p->at += 2;
    *out = c;
    return OK;
}

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* Is each of the eight bytes at `at` plain? A byte's high bit in `odd` says that it is not: it was set, or the byte fell below
 * 0x20, was a quote, a backslash or 0x7f (Hacker's Delight 6-1; a borrow may only reach above a byte that is odd). */
static bool are_eight_plain(const uint8_t *at)
{
    const uint64_t ones = UINT64_MAX / 255, high = ones << 7;
    uint64_t word;
    memcpy(&word, at, 8);
    const uint64_t quote = word ^ ones * '"', backslash = word ^ ones * '\\', del = word ^ ones * 0x7f;
    const uint64_t odd = word | (word - ones * 0x20) | (quote - ones) | (backslash - ones) | (del - ones);
    return (odd & high) == 0;
}

/* Where the run of plain ASCII ends that begins at `at`: most of every document. */
static const uint8_t *skip_plain(const uint8_t *at, const uint8_t *end)
{
    while (end - at >= 8 && are_eight_plain(at)) at += 8;
    while (at < end && is_plain(*at)) at++;
    return at;
}

static enum err parse_string(struct parser *p, struct span *out)
{
    TRY(parse_byte(p, '"', "a string"));
    uint8_t *text = p->at, *to = p->at;
    for (;;) {
        const uint8_t *run = p->at;
        p->at += skip_plain(p->at, p->end) - p->at;
        if (to != run) memmove(to, run, (size_t)(p->at - run));
        to += p->at - run;
        if (parse_peek(p) == '"') break;
        if (p->at == p->end) return parse_refuse(p, ERR_SYNTAX, "the closing quote of a string");
        if (*p->at == '\\') {
            TRY(parse_escape(p, to));
            to++;
            continue;
        }
        size_t len = text_character(p->at, p->end);
        if (len == 0) return parse_refuse(p, ERR_SYNTAX, "UTF-8 without control characters");
        if (to != p->at) memmove(to, p->at, len);
        to += len;
        p->at += len;
    }
    p->at++;
    *out = span_make(text, (size_t)(to - text));
    return OK;
}

/* The string that begins at `at` ends before the returned place; its contents are checked when they are
 * parsed. */
static const uint8_t *skip_string(const uint8_t *at, const uint8_t *end)
{
    for (at = skip_plain(at + 1, end); at < end && *at != '"'; at = skip_plain(at + 1, end)) {
        if (*at == '\\' && end - at > 1) at++;
    }
    return at < end ? at + 1 : end;
}

/* How many elements the container has whose inside begins at p->at: one more than its commas. Every one of
 * them is a byte that is really there, so nothing is allocated on the strength of a promise. Containers nest
 * at most JSON_DEPTH_MAX deep and those beside each other do not overlap, so all scans together are linear.
 */
static size_t count_elements(const struct parser *p)
{
    const uint8_t *at = p->at;
    size_t depth = 0, count = 1;
    if (at < p->end && (*at == ']' || *at == '}')) return 0;
    while (at < p->end) {
        uint8_t c = *at;
        if (c == '"') {
            at = skip_string(at, p->end);
            continue;
        }
        at++;
        if (c == ',' && depth == 0) count++;
        if (c == '[' || c == '{') depth++;
        if (c != ']' && c != '}') continue;
        if (depth == 0) break;
        depth--;
    }
    return count;
}

/* Enter a container: its opening byte, the limit of depth, and room for its elements. */
static enum err parse_enter(struct parser *p, struct json *out)
{
    if (p->depth == JSON_DEPTH_MAX) return parse_refuse(p, ERR_TOO_LARGE, "less nesting");
    p->depth++;
    p->at++;
    size_t count = count_elements(p);
    bool is_object = out->type == JSON_TYPE_OBJECT;
    if (is_object && count > JSON_MEMBERS_MAX) return parse_refuse(p, ERR_TOO_LARGE, "at most 256 members");
    out->count = (uint32_t)count;
    if (count == 0) return OK;
    out->items = ARENA_ARRAY(p->arena, struct json, count);
    if (is_object) out->keys = ARENA_ARRAY(p->arena, struct span, count);
    if (out->items == NULL || (is_object && out->keys == NULL)) {
        return parse_refuse(p, ERR_TOO_LARGE, "a smaller document");
    }
    return OK;
}

static enum err parse_array(struct parser *p, struct json *out)
{
    TRY(parse_enter(p, out));
    for (uint32_t i = 0; i < out->count; i++) {
        if (i > 0) TRY(parse_byte(p, ',', "a comma"));
        TRY(parse_value(p, &out->items[i]));
    }
    TRY(parse_byte(p, ']', "a comma or the end of the array"));
    p->depth--;
    return OK;
}

static enum err parse_key(struct parser *p, struct json *object, uint32_t index)
{
    const struct parser before = *p; /* a fault names where the key begins */
    TRY(parse_string(p, &object->keys[index]));
    if (index == 0) return OK;
    int order = text_compare(object->keys[index - 1], object->keys[index]);
    if (order == 0) return parse_refuse(&before, ERR_DUPLICATE, "each key once");
    if (order > 0) return parse_refuse(&before, ERR_NOT_CANONICAL, "keys in canonical order");
    return OK;
}

static enum err parse_object(struct parser *p, struct json *out)
{
    TRY(parse_enter(p, out));
    for (uint32_t i = 0; i < out->count; i++) {
        if (i > 0) TRY(parse_byte(p, ',', "a comma"));
        TRY(parse_key(p, out, i));
        TRY(parse_byte(p, ':', "a colon"));
        TRY(parse_value(p, &out->items[i]));
    }
    TRY(parse_byte(p, '}', "a comma or the end of the object"));
    p->depth--;
    return OK;
}

static enum err parse_value(struct parser *p, struct json *out)
{
    uint8_t c = parse_peek(p);
    switch (c) {
    case 'n': out->type = JSON_TYPE_NULL; return parse_word(p, "null");
    case 't':
        out->type = JSON_TYPE_BOOL;
        out->boolean = true;
        return parse_word(p, "true");
    case 'f': out->type = JSON_TYPE_BOOL; return parse_word(p, "false");
    case '"': out->type = JSON_TYPE_STRING; return parse_string(p, &out->string);
    case '[': out->type = JSON_TYPE_ARRAY; return parse_array(p, out);
    case '{': out->type = JSON_TYPE_OBJECT; return parse_object(p, out);
    }
    if (c != '-' && !is_digit(c)) return parse_unexpected(p, "a value");
    out->type = JSON_TYPE_INT;
    return parse_number(p, &out->integer);
}

/* `text` is our own copy, and so writable, unless nothing in it is escaped. */
static enum err parse_document(const struct json **out, struct parser *p, struct span text)
{
    struct json *root = ARENA_NEW(p->arena, struct json);
    if (text.len > UINT32_MAX || root == NULL) return parse_refuse(p, ERR_TOO_LARGE, "a smaller document");
    p->start = p->at = (uint8_t *)text.data;
    p->end = text.len > 0 ? p->start + text.len : p->start;
    TRY(parse_value(p, root));
    if (p->at != p->end) return parse_unexpected(p, "the end of the document");
    *out = root;
    return OK;
}

enum err json_parse(const struct json **out, struct arena *arena, struct span bytes, struct json_fault *fault)
{
    if (fault != NULL) memset(fault, 0, sizeof *fault);
    struct parser p = {NULL, NULL, NULL, arena, fault, 0};
    size_t mark = arena_mark(arena);
    struct span copy;
    enum err err = arena_copy(arena, &copy, bytes) == OK
                       ? parse_document(out, &p, copy)
                       : parse_refuse(&p, ERR_TOO_LARGE, "a smaller document");
    if (err != OK) arena_release(arena, mark);
    return err;
}

size_t json_borrow_bytes(struct span bytes)
{
    bool escaped = bytes.len > 0 && memchr(bytes.data, '\\', bytes.len) != NULL;
    return escaped ? ARENA_BYTES(bytes.len, 1) : 0;
}

enum err json_parse_borrow(const struct json **out, struct json_room room, struct span bytes,
                           struct json_fault *fault)
{
    if (fault != NULL) memset(fault, 0, sizeof *fault);
    struct parser p = {NULL, NULL, NULL, room.scratch, fault, 0};
    struct span text = bytes;
    if (json_borrow_bytes(bytes) > 0 && arena_copy(room.kept, &text, bytes) != OK) {
        fault_set(fault, "", ERR_NO_MEMORY, "memory");
        return ERR_NO_MEMORY;
    }
    return parse_document(out, &p, text);
}

/* --- Reading a schema ---------------------------------------------------------------------------------- */

/* "path.key", "path" without a key, "key" at the top. */
static void reader_join(struct phrase *out, const struct json_reader *r, struct span key)
{
    phrase_begin(out);
    phrase_add(out, r->path);
    if (r->path[0] != 0 && key.len > 0) phrase_add(out, ".");
    text_append(&out->buffer, key);
}

static void reader_refuse(struct json_reader *r, struct span key, enum err err, const char *expected)
{
    if (r->err != OK) return;
    struct phrase where;
    reader_join(&where, r, key);
    fault_set(r->fault, (const char *)where.bytes, err, expected);
    r->err = err;
}

void json_refuse(struct json_reader *r, const char *key, enum err err, const char *expected)
{
    ASSERT(err != OK);
    reader_refuse(r, key == NULL ? SPAN_NONE : span_text(key), err, expected);
}

void json_reader_init(struct json_reader *r, const struct json *object, const char *path,
                      struct json_fault *fault)
{
    memset(r, 0, sizeof *r);
    r->fault = fault;
    struct buffer b = BUFFER_OF(r->path);
    text_append(&b, span_text(path));
    if (object == NULL && fault != NULL && fault->err != OK) {
        r->err = fault->err;
    } else if (object == NULL || object->type != JSON_TYPE_OBJECT) {
        json_refuse(r, NULL, ERR_TYPE, "an object");
    } else {
        ASSERT(object->count <= JSON_MEMBERS_MAX);
        r->object = object;
    }
}

/* Index of the member, or -1. */
static int reader_find(const struct json_reader *r, const char *key)
{
    struct span wanted = span_text(key);
    int low = 0, high = (int)r->object->count - 1;
    while (low <= high) {
        int middle = (low + high) / 2;
        int order = text_compare(wanted, r->object->keys[middle]);
        if (order == 0) return middle;
        if (order < 0) {
            high = middle - 1;
        } else {
            low = middle + 1;
        }
    }
    return -1;
}

/* The member's value, marked as seen; NULL (and an error) when it is absent. */
static const struct json *reader_take(struct json_reader *r, const char *key, const char *expected)
{
    if (r->err != OK) return NULL;
    int index = reader_find(r, key);
    if (index < 0) {
        json_refuse(r, key, ERR_MISSING_FIELD, expected);
        return NULL;
    }
    r->seen[index / 64] |= (uint64_t)1 << (index % 64);
    return &r->object->items[index];
}

static const struct json *reader_take_type(struct json_reader *r, const char *key, enum json_form type,
                                           const char *expected)
{
    const struct json *value = reader_take(r, key, expected);
    if (value == NULL) return NULL;
    if (value->type == type) return value;
    json_refuse(r, key, ERR_TYPE, expected);
    return NULL;
}

bool json_has(struct json_reader *r, const char *key)
{
    return r->err == OK && reader_find(r, key) >= 0;
}

/* "<before>1 to 16<after>" */
static void phrase_range(struct phrase *p, const char *before, int64_t min, int64_t max, const char *after)
{
    phrase_begin(p);
    phrase_add(p, before);
    phrase_add_number(p, min);
    phrase_add(p, " to ");
    phrase_add_number(p, max);
    phrase_add(p, after);
}

void json_read_int(struct json_reader *r, const char *key, int64_t min, int64_t max, int64_t *out)
{
    struct phrase expected;
    phrase_range(&expected, "integer from ", min, max, "");
    const struct json *value = reader_take_type(r, key, JSON_TYPE_INT, (const char *)expected.bytes);
    if (value == NULL) return;
    if (value->integer < min || value->integer > max) {
        json_refuse(r, key, ERR_RANGE, (const char *)expected.bytes);
        return;
    }
    *out = value->integer;
}

void json_read_bool(struct json_reader *r, const char *key, bool *out)
{
    const struct json *value = reader_take_type(r, key, JSON_TYPE_BOOL, "true or false");
    if (value != NULL) *out = value->boolean;
}

/* A string of at most max bytes; its text is valid because the parser checked it. */
static const struct json *reader_take_string(struct json_reader *r, const char *key, size_t max,
                                             const char *expected)
{
    const struct json *value = reader_take_type(r, key, JSON_TYPE_STRING, expected);
    if (value == NULL || value->string.len <= max) return value;
    json_refuse(r, key, ERR_TOO_LARGE, expected);
    return NULL;
}

void json_read_text(struct json_reader *r, const char *key, size_t max, struct span *out)
{
    struct phrase expected;
    phrase_range(&expected, "text of ", 0, (int64_t)max, " bytes");
    const struct json *value = reader_take_string(r, key, max, (const char *)expected.bytes);
    if (value != NULL) *out = value->string;
}

static bool is_name(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        bool fits = (c >= 'a' && c <= 'z') || is_digit(c) || c == '.' || c == '_' || c == '-';
        if (!fits) return false;
    }
    return text.len > 0;
}

void json_read_name(struct json_reader *r, const char *key, size_t max, struct span *out)
{
    struct phrase expected;
    phrase_range(&expected, "name of ", 1, (int64_t)max, " characters of a-z 0-9 . _ -");
    const struct json *value = reader_take_string(r, key, max, (const char *)expected.bytes);
    if (value == NULL) return;
    if (!is_name(value->string)) {
        json_refuse(r, key, ERR_SYNTAX, (const char *)expected.bytes);
        return;
    }
    *out = value->string;
}

void json_read_hex(struct json_reader *r, const char *key, void *out, size_t len)
{
    struct phrase expected;
    phrase_begin(&expected);
    phrase_add_number(&expected, (int64_t)(2 * len));
    phrase_add(&expected, " lower-case hex digits");
    const struct json *value = reader_take_type(r, key, JSON_TYPE_STRING, (const char *)expected.bytes);
    if (value == NULL) return;
    enum err err = hex_decode(out, len, value->string);
    if (err != OK) json_refuse(r, key, err, (const char *)expected.bytes);
}

void json_read_enum(struct json_reader *r, const char *key, const char *const *names, uint32_t count,
                    uint32_t *out)
{
    struct phrase expected;
    phrase_begin(&expected);
    phrase_add(&expected, "one of");
    for (uint32_t i = 0; i < count; i++) {
        phrase_add(&expected, i == 0 ? " " : ", ");
        phrase_add(&expected, names[i]);
    }
    const struct json *value = reader_take_type(r, key, JSON_TYPE_STRING, (const char *)expected.bytes);
    if (value == NULL) return;
    for (uint32_t i = 0; i < count; i++) {
        if (!span_equal_text(value->string, names[i])) continue;
        *out = i;
        return;
    }
    json_refuse(r, key, ERR_RANGE, (const char *)expected.bytes);
}

/* Digits of a decimal, taken apart: the grammar is -?(0|[1-9][0-9]*)(\.[0-9]+)? */
struct decimal {
    bool negative;
    struct span whole, fraction;
};

static struct span take_digits(struct cursor *c)
{
    const uint8_t *start = c->at;
    while (c->at < c->end && is_digit(*c->at)) c->at++;
    return span_make(start, (size_t)(c->at - start));
}

static bool take_sign(struct cursor *c, uint8_t sign)
{
    if (c->at == c->end || *c->at != sign) return false;
    c->at++;
    return true;
}

static enum err decimal_split(struct decimal *out, struct span text)
{
    struct cursor c = cursor_make(text);
    out->negative = take_sign(&c, '-');
    out->whole = take_digits(&c);
    out->fraction = SPAN_NONE;
    if (out->whole.len == 0 || (out->whole.len > 1 && out->whole.data[0] == '0')) return ERR_SYNTAX;
    if (take_sign(&c, '.')) {
        out->fraction = take_digits(&c);
        if (out->fraction.len == 0) return ERR_SYNTAX;
    }
    return cursor_left(&c) == 0 ? OK : ERR_SYNTAX;
}

/* Append digits to a negative number: that side of zero also holds INT64_MIN. */
static enum err decimal_add(int64_t *value, struct span digits)
{
    for (size_t i = 0; i < digits.len; i++) {
        if (__builtin_mul_overflow(*value, 10, value)) return ERR_RANGE;
        if (__builtin_sub_overflow(*value, digits.data[i] - '0', value)) return ERR_RANGE;
    }
    return OK;
}

static enum err decimal_parse(struct span text, uint32_t places, int64_t *out)
{
    static const uint8_t zeros[18] = "000000000000000000";
    struct decimal d;
    int64_t value = 0;
    ASSERT(places <= sizeof zeros);
    TRY(decimal_split(&d, text));
    if (d.fraction.len > places) return ERR_RANGE;
    TRY(decimal_add(&value, d.whole));
    TRY(decimal_add(&value, d.fraction));
    TRY(decimal_add(&value, span_make(zeros, places - d.fraction.len)));
    if (d.negative && value == 0) return ERR_SYNTAX;
    if (!d.negative && value == INT64_MIN) return ERR_RANGE;
    *out = d.negative ? value : -value;
    return OK;
}

static void phrase_add_decimal(struct phrase *p, int64_t value, uint32_t places)
{
    int64_t unit = 1;
    for (uint32_t i = 0; i < places; i++) unit *= 10;
    if (value < 0 && value / unit == 0) phrase_add(p, "-");
    phrase_add_number(p, value / unit);
    int64_t rest = value % unit;
    if (rest != 0) phrase_add(p, ".");
    while (rest != 0) {
        unit /= 10;
        phrase_add_number(p, rest / unit < 0 ? -(rest / unit) : rest / unit);
        rest %= unit;
    }
}

void json_read_decimal(struct json_reader *r, const char *key, uint32_t places, int64_t min, int64_t max,
                       int64_t *out)
{
    struct phrase expected;
    phrase_begin(&expected);
    phrase_add(&expected, "decimal string from ");
    phrase_add_decimal(&expected, min, places);
    phrase_add(&expected, " to ");
    phrase_add_decimal(&expected, max, places);
    phrase_add(&expected, ", places up to ");
    phrase_add_number(&expected, places);
    const struct json *value = reader_take_type(r, key, JSON_TYPE_STRING, (const char *)expected.bytes);
    if (value == NULL) return;
    int64_t scaled = 0;
    enum err err = decimal_parse(value->string, places, &scaled);
    if (err == OK && (scaled < min || scaled > max)) err = ERR_RANGE;
    if (err != OK) {
        json_refuse(r, key, err, (const char *)expected.bytes);
    } else {
        *out = scaled;
    }
}

const struct json *json_read_array(struct json_reader *r, const char *key, uint32_t min, uint32_t max)
{
    struct phrase expected;
    phrase_range(&expected, "array of ", min, max, " elements");
    const struct json *value = reader_take_type(r, key, JSON_TYPE_ARRAY, (const char *)expected.bytes);
    if (value == NULL || (value->count >= min && value->count <= max)) return value;
    json_refuse(r, key, ERR_RANGE, (const char *)expected.bytes);
    return NULL;
}

const struct json *json_read_object(struct json_reader *r, const char *key)
{
    return reader_take_type(r, key, JSON_TYPE_OBJECT, "an object");
}

const struct json *json_read_any(struct json_reader *r, const char *key)
{
    return reader_take(r, key, "a value");
}

void json_read_version(struct json_reader *r, const char *version)
{
    const struct json *value = reader_take_type(r, "perigee", JSON_TYPE_STRING, version);
    if (value == NULL || span_equal_text(value->string, version)) return;
    json_refuse(r, "perigee", ERR_VERSION, version);
}

enum err json_reader_done(struct json_reader *r)
{
    for (uint32_t i = 0; r->err == OK && i < r->object->count; i++) {
        if (r->seen[i / 64] >> (i % 64) & 1) continue;
        reader_refuse(r, r->object->keys[i], ERR_UNKNOWN_FIELD, "no member of this name");
    }
    return r->err;
}

/* --- Writing ------------------------------------------------------------------------------------------- */

void json_writer_init(struct json_writer *w, struct buffer *out)
{
    memset(w, 0, sizeof *w);
    w->out = out;
    w->first[0] = true;
}

/* What precedes a value: nothing after a key, a comma between elements. */
static void write_separator(struct json_writer *w)
{
    bool in_object = w->last_key[w->depth].data != NULL;
    ASSERT(in_object == w->after_key);   /* in an object every value follows its key */
    ASSERT(w->depth > 0 || w->first[0]); /* one value at the top */
    if (!in_object && !w->first[w->depth]) buffer_put_u8(w->out, ',');
    w->first[w->depth] = false;
    w->after_key = false;
}

static void write_begin(struct json_writer *w, uint8_t bracket, struct span last_key)
{
    write_separator(w);
    ASSERT(w->depth < JSON_DEPTH_MAX);
    buffer_put_u8(w->out, bracket);
    w->depth++;
    w->first[w->depth] = true;
    w->last_key[w->depth] = last_key;
}

static void write_end(struct json_writer *w, uint8_t bracket, bool is_object)
{
    ASSERT(w->depth > 0 && !w->after_key);
    ASSERT((w->last_key[w->depth].data != NULL) == is_object);
    buffer_put_u8(w->out, bracket);
    w->depth--;
}

void json_begin_object(struct json_writer *w)
{
    write_begin(w, '{', SPAN_LITERAL(""));
}

void json_end_object(struct json_writer *w)
{
    write_end(w, '}', true);
}

void json_begin_array(struct json_writer *w)
{
    write_begin(w, '[', SPAN_NONE);
}

void json_end_array(struct json_writer *w)
{
    write_end(w, ']', false);
}

static void write_string(struct json_writer *w, struct span utf8)
{
    if (!text_valid(utf8)) w->out->overflow = true;
    buffer_put_u8(w->out, '"');
    size_t from = 0;
    for (size_t i = 0; i < utf8.len; i++) {
        if (utf8.data[i] != '"' && utf8.data[i] != '\\') continue;
        buffer_put(w->out, span_make(utf8.data + from, i - from));
        buffer_put_u8(w->out, '\\');
        from = i;
    }
    if (from < utf8.len) buffer_put(w->out, span_make(utf8.data + from, utf8.len - from));
    buffer_put_u8(w->out, '"');
}

void json_key_span(struct json_writer *w, struct span key)
{
    struct span *last = &w->last_key[w->depth];
    ASSERT(key.data != NULL && last->data != NULL && !w->after_key);
    ASSERT(w->first[w->depth] || text_compare(*last, key) < 0);
    if (!w->first[w->depth]) buffer_put_u8(w->out, ',');
    w->first[w->depth] = false;
    write_string(w, key);
    buffer_put_u8(w->out, ':');
    *last = key;
    w->after_key = true;
}

void json_key(struct json_writer *w, const char *key)
{
    json_key_span(w, span_text(key));
}

void json_put_int(struct json_writer *w, int64_t value)
{
    write_separator(w);
    if (value < -JSON_INT_MAX || value > JSON_INT_MAX) w->out->overflow = true;
    buffer_put_decimal(w->out, value);
}

void json_put_bool(struct json_writer *w, bool value)
{
    write_separator(w);
    buffer_put_text(w->out, value ? "true" : "false");
}

void json_put_null(struct json_writer *w)
{
    write_separator(w);
    buffer_put_text(w->out, "null");
}

void json_put_text(struct json_writer *w, struct span utf8)
{
    write_separator(w);
    write_string(w, utf8);
}

void json_put_hex(struct json_writer *w, struct span bytes)
{
    write_separator(w);
    buffer_put_u8(w->out, '"');
    buffer_put_hex(w->out, bytes);
    buffer_put_u8(w->out, '"');
}

/* A value parsed within JSON_DEPTH_MAX may stand deeper where it is written than where it was read. */
static bool write_too_deep(struct json_writer *w)
{
    if (w->depth < JSON_DEPTH_MAX) return false;
    json_put_null(w);
    w->out->overflow = true;
    return true;
}

static void write_array(struct json_writer *w, const struct json *value)
{
    json_begin_array(w);
    for (uint32_t i = 0; i < value->count; i++) json_put_value(w, &value->items[i]);
    json_end_array(w);
}

static void write_object(struct json_writer *w, const struct json *value)
{
    json_begin_object(w);
    for (uint32_t i = 0; i < value->count; i++) {
        json_key_span(w, value->keys[i]);
        json_put_value(w, &value->items[i]);
    }
    json_end_object(w);
}

void json_put_value(struct json_writer *w, const struct json *value)
{
    switch (value->type) {
    case JSON_TYPE_NULL: json_put_null(w); return;
    case JSON_TYPE_BOOL: json_put_bool(w, value->boolean); return;
    case JSON_TYPE_INT: json_put_int(w, value->integer); return;
    case JSON_TYPE_STRING: json_put_text(w, value->string); return;
    case JSON_TYPE_ARRAY:
        if (!write_too_deep(w)) write_array(w, value);
        return;
    case JSON_TYPE_OBJECT:
        if (!write_too_deep(w)) write_object(w, value);
        return;
    }
    UNREACHABLE();
}
