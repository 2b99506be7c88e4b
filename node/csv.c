#include "node/csv.h"

#include "node/fault.h"
#include "proto/base/panic.h"
#include "proto/base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- Types -------------------------------------------------------------------------------------------------------- */

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static size_t skip_digits(const uint8_t *text, size_t len, size_t at)
{
    while (at < len && is_digit(text[at])) at++;
    return at;
}

static bool is_integer(const uint8_t *text, size_t len)
{
    const bool negative = len > 0 && text[0] == '-';
    int64_t value = 0;
    size_t at = negative ? 1 : 0;
    if (at == len) return false;
    for (; at < len; at++) {
        int digit = text[at] - '0';
        if (!is_digit(text[at]) || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, negative ? -digit : digit, &value))
            return false;
    }
    return true;
}

/* The end of an optional exponent at `at`, or `at` itself. */
static size_t skip_exponent(const uint8_t *text, size_t len, size_t at)
{
    size_t digits = at + 1;
    if (at >= len || (text[at] != 'e' && text[at] != 'E')) return at;
    if (digits < len && (text[digits] == '-' || text[digits] == '+')) digits++;
    size_t end = skip_digits(text, len, digits);
    return end > digits ? end : at;
}

static bool is_decimal(const uint8_t *text, size_t len)
{
    size_t begin = len > 0 && text[0] == '-' ? 1 : 0;
    size_t at = skip_digits(text, len, begin);
    size_t digits = at - begin;
    if (at < len && text[at] == '.') {
        size_t end = skip_digits(text, len, at + 1);
        digits += end - at - 1;
        at = end;
    }
    if (digits == 0 || digits > 300) return false;
    at = skip_exponent(text, len, at);
    return at == len && isfinite(strtod((const char *)text, NULL)); /* a field is terminated by a zero */
}

static bool equal_caseless(const uint8_t *text, size_t len, const char *word)
{
    if (strlen(word) != len) return false;
    for (size_t i = 0; i < len; i++) {
        uint8_t c = text[i] >= 'A' && text[i] <= 'Z' ? (uint8_t)(text[i] + 32) : text[i];
        if (c != (uint8_t)word[i]) return false;
    }
    return true;
}

static bool is_boolean(const uint8_t *text, size_t len)
{
    static const char *const words[] = {"true", "false", "t", "f", "1", "0"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (equal_caseless(text, len, words[i])) return true;
    return false;
}

static uint32_t number(const uint8_t *digits, size_t count)
{
    uint32_t value = 0;
    for (size_t i = 0; i < count; i++) value = value * 10 + (uint32_t)(digits[i] - '0');
    return value;
}

static bool is_date(const uint8_t *text, size_t len)
{
    static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (len != 10 || text[4] != '-' || text[7] != '-') return false;
    if (skip_digits(text, 4, 0) != 4 || skip_digits(text, 7, 5) != 7 || skip_digits(text, 10, 8) != 10)
        return false;
    const uint32_t year = number(text, 4), month = number(text + 5, 2), day = number(text + 8, 2);
    const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (year < 1 || month < 1 || month > 12 || day < 1) return false;
    return day <= days[month - 1] + (leap && month == 2 ? 1u : 0u);
}

/* UTF-8 with the control characters that text.h refuses but files hold (tabs, line feeds inside quotes). */
static bool is_text(const uint8_t *text, size_t len)
{
    const uint8_t *end = text + len;
    while (text < end) {
        const bool control = *text != 0 && (*text < 0x20 || *text == 0x7f);
        const bool c1 = end - text >= 2 && text[0] == 0xc2 && text[1] >= 0x80 && text[1] < 0xa0;
        size_t step = control ? 1 : c1 ? 2 : text_character(text, end);
        if (step == 0) return false;
        text += step;
    }
    return true;
}

/* What was expected, or NULL. */
static const char *check_type(enum column_type type, const uint8_t *text, size_t len)
{
    switch (type) {
    case COLUMN_TEXT: return NULL;
    case COLUMN_INTEGER: return is_integer(text, len) ? NULL : "a whole number of 64 bits";
    case COLUMN_DECIMAL: return is_decimal(text, len) ? NULL : "a decimal number";
    case COLUMN_BOOLEAN: return is_boolean(text, len) ? NULL : "true or false";
    case COLUMN_DATE: return is_date(text, len) ? NULL : "a date such as 2024-02-29";
    }
    UNREACHABLE();
}

/* --- Fields and records ------------------------------------------------------------------------------------------- */

static enum err refuse(struct csv *c, const char *wrong)
{
    c->wrong = wrong;
    return ERR_SYNTAX;
}

static bool in_header(const struct csv *c)
{
    return c->meta->header && c->record == 0;
}

static enum err check_name(struct csv *c)
{
    if (span_equal(span_make(c->field, c->len), c->schema->column[c->column].name)) return OK;
    return refuse(c, "the schema's name of this column in the header");
}

static enum err end_field(struct csv *c)
{
    c->field[c->len] = 0;
    if (c->column >= c->schema->column_count) return refuse(c, "no more columns than the schema has");
    if (!is_text(c->field, c->len)) return refuse(c, "valid UTF-8 without NUL");
    if (in_header(c)) return check_name(c);
    if (c->len == 0 || span_equal_text(span_make(c->field, c->len), c->meta->missing)) return OK;
    const char *expected = check_type(c->schema->column[c->column].type, c->field, c->len);
    return expected == NULL ? OK : refuse(c, expected);
}

static void next_field(struct csv *c)
{
    c->column++;
    c->len = 0;
    c->quoted = false;
    c->state = CSV_FIELD_START;
}

static enum err end_record(struct csv *c, bool returned)
{
    if (c->record == 0) c->returns = returned;
    if (c->returns != returned) return refuse(c, "the same line ending everywhere");
    if (c->column == 0 && c->len == 0 && !c->quoted) return refuse(c, "a row, not a blank line");
    TRY(end_field(c));
    if (c->column + 1 != c->schema->column_count) {
        c->column++;
        c->len = 0;
        return refuse(c, "as many columns as the schema has");
    }
    next_field(c);
    c->column = 0;
    c->record++;
    c->line++;
    return OK;
}

/* The file's first bytes are U+FEFF, which nobody sees. */
static bool is_mark(const struct csv *c)
{
    return c->len == 3 && c->record == 0 && c->column == 0 && !c->quoted &&
           memcmp(c->field, "\xef\xbb\xbf", 3) == 0;
}

static enum err refuse_mark(struct csv *c)
{
    static const char shown[] = "EF BB BF";
    c->len = sizeof shown - 1;
    memcpy(c->field, shown, sizeof shown);
    return refuse(c, "no byte-order mark at the beginning of the file (save it as UTF-8 without one, or "
                     "`tail -c +4 FILE` leaves it out)");
}

static enum err put(struct csv *c, uint8_t byte)
{
    if (c->len == CSV_FIELD_BYTES_MAX) {
        c->wrong = "a field of at most 4096 bytes";
        return ERR_TOO_LARGE;
    }
    c->field[c->len++] = byte;
    return is_mark(c) ? refuse_mark(c) : OK;
}

/* --- The machine -------------------------------------------------------------------------------------------------- */

/* A byte where a field may end. */
static enum err outside(struct csv *c, uint8_t byte)
{
    if (byte == (uint8_t)c->meta->delimiter) {
        TRY(end_field(c));
        next_field(c);
        return OK;
    }
    if (byte == '\n') return end_record(c, false);
    if (byte == '\r') {
        c->state = CSV_RETURN_SEEN;
        return OK;
    }
    if (c->state == CSV_QUOTE_SEEN) return refuse(c, "the field to end after its closing quote");
    if (byte == '"' && c->state == CSV_PLAIN) return refuse(c, "quotes around the whole field or nowhere");
    if (byte == '"') {
        c->quoted = true;
        c->state = CSV_QUOTED;
        return OK;
    }
    c->state = CSV_PLAIN;
    return put(c, byte);
}

static enum err inside(struct csv *c, uint8_t byte)
{
    if (byte == '"') {
        c->state = CSV_QUOTE_SEEN;
        return OK;
    }
    if (byte == '\n') c->line++;
    return put(c, byte);
}

static enum err step(struct csv *c, uint8_t byte)
{
    switch (c->state) {
    case CSV_QUOTED: return inside(c, byte);
    case CSV_RETURN_SEEN:
        return byte == '\n' ? end_record(c, true) : refuse(c, "a line feed after the carriage return");
    case CSV_QUOTE_SEEN:
        if (byte != '"') return outside(c, byte);
        c->state = CSV_QUOTED;
        return put(c, byte);
    case CSV_FIELD_START:
    case CSV_PLAIN: return outside(c, byte);
    }
    UNREACHABLE();
}

void csv_begin(struct csv *c, const struct schema *schema, const struct meta *meta)
{
    ASSERT(meta->format == META_CSV && meta_delimiter_fits(meta->delimiter));
    ASSERT(schema->column_count > 0);
    memset(c, 0, sizeof *c);
    c->schema = schema;
    c->meta = meta;
    c->line = 1;
}

enum err csv_add(struct csv *c, struct span bytes)
{
    ASSERT(c->wrong == NULL);
    for (size_t i = 0; i < bytes.len; i++) TRY(step(c, bytes.data[i]));
    return OK;
}

enum err csv_end(struct csv *c, uint64_t *row_count)
{
    ASSERT(c->wrong == NULL);
    if (c->state == CSV_QUOTED) return refuse(c, "the closing quote");
    if (c->state == CSV_RETURN_SEEN) return refuse(c, "a line feed after the carriage return");
    if (c->column > 0 || c->len > 0 || c->quoted) TRY(end_record(c, c->returns));
    if (c->meta->header && c->record == 0) return refuse(c, "a header");
    *row_count = c->record - (c->meta->header ? 1 : 0);
    return OK;
}

/* What a terminal can show of the field: everything else as a question mark. */
static void show(struct buffer *out, struct span field)
{
    for (size_t at = 0; at < field.len && out->len + 5 < out->cap;) {
        size_t step = text_character(field.data + at, field.data + field.len);
        text_append(out, step == 0 ? SPAN_LITERAL("?") : span_make(field.data + at, step));
        at += step == 0 ? 1 : step;
    }
}

void csv_fault(const struct csv *c, char *fault, size_t cap)
{
    char shown[48] = "";
    struct buffer text = buffer_make(shown, sizeof shown);
    struct span name = SPAN_LITERAL("none");
    if (c->column < c->schema->column_count) name = c->schema->column[c->column].name;
    show(&text, span_make(c->field, c->len));
    enum err err =
        fault_set(fault, cap, ERR_SYNTAX, "line %" PRIu64 ", column %u (%.*s): expected %s, got \"%s\"",
                  c->line, c->column + 1, (int)name.len, (const char *)name.data,
                  c->wrong == NULL ? "nothing else" : c->wrong, shown);
    ASSERT(err == ERR_SYNTAX);
}
