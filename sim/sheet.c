#include "sim/sheet.h"

#include "proto/base/panic.h"

#include <inttypes.h>
#include <string.h>

struct sheet sheet_to_stream(enum sheet_form form, FILE *out)
{
    ASSERT(form != SHEET_JSON);
    return (struct sheet){.form = form, .out = out};
}

struct sheet sheet_to_json(struct json_writer *w)
{
    return (struct sheet){.form = SHEET_JSON, .w = w};
}

/* --- Text ----------------------------------------------------------------------------------------------------------------- */

void sheet_escape(FILE *out, struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        const int byte = text.data[i];
        switch (byte) {
        case '&': (void)fputs("&amp;", out); break;
        case '<': (void)fputs("&lt;", out); break;
        case '>': (void)fputs("&gt;", out); break;
        case '"': (void)fputs("&quot;", out); break;
        case '\'': (void)fputs("&#39;", out); break;
        default: (void)fputc(byte < ' ' || byte == 127 ? ' ' : byte, out);
        }
    }
}

void sheet_count(FILE *out, uint64_t value)
{
    if (value >= 1000) {
        sheet_count(out, value / 1000);
        (void)fprintf(out, ",%03u", (unsigned)(value % 1000));
    } else {
        (void)fprintf(out, "%u", (unsigned)value);
    }
}

/* "requested_ms" as people read it; microseconds with their letter. */
static void put_heading(FILE *out, struct span name)
{
    const bool micro = name.len > 3 && memcmp(name.data + name.len - 3, "_us", 3) == 0;
    for (size_t i = 0; i < name.len - 2 * micro; i++)
        (void)fputc(name.data[i] == '_' ? ' ' : name.data[i], out);
    if (micro) (void)fputs("\302\265s", out);
}

/* --- CSV: RFC 4180 ---------------------------------------------------------------------------------------------------------- */

static void csv_word(FILE *out, struct span word)
{
    bool quoted = false;
    for (size_t i = 0; i < word.len; i++) quoted |= strchr(",\"\r\n", word.data[i]) != NULL;
    if (quoted) (void)fputc('"', out);
    for (size_t i = 0; i < word.len; i++) {
        if (word.data[i] == '"') (void)fputc('"', out);
        (void)fputc(word.data[i], out);
    }
    if (quoted) (void)fputc('"', out);
}

void sheet_record(FILE *out, const struct span *word, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0) (void)fputc(',', out);
        csv_word(out, word[i]);
    }
    (void)fputs("\r\n", out);
}

static void csv_row(struct sheet *s)
{
    enum { NUMBER_CHARS = 21 };
    char number[SHEET_COLUMNS_MAX][NUMBER_CHARS];
    struct span word[SHEET_COLUMNS_MAX];
    for (uint32_t i = 0; i < s->column_count; i++) {
        const struct sheet_cell *c = &s->cell[i];
        if (c->number) (void)snprintf(number[i], NUMBER_CHARS, "%" PRIu64, c->value);
        word[i] = c->empty ? SPAN_NONE : c->number ? span_text(number[i]) : c->word;
    }
    sheet_record(s->out, word, s->column_count);
}

/* --- HTML -------------------------------------------------------------------------------------------------------------------- */

/* It scrolls sideways by itself where it is wider than the page, for a keyboard, too. */
static void html_begin(struct sheet *s, const char *caption)
{
    (void)fprintf(s->out,
                  "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"%s\"><table><caption>%s"
                  "</caption><thead><tr>",
                  caption, caption);
    for (uint32_t i = 0; i < s->column_count; i++) {
        (void)fputs("<th scope=\"col\">", s->out);
        put_heading(s->out, s->column[i]);
        (void)fputs("</th>", s->out);
    }
    (void)fputs("</tr></thead><tbody>\n", s->out);
}

static void html_row(struct sheet *s)
{
    (void)fputs("<tr>", s->out);
    for (uint32_t i = 0; i < s->column_count; i++) {
        const struct sheet_cell *c = &s->cell[i];
        const char *tag = i == 0 ? "th scope=\"row\"" : "td";
        (void)fprintf(s->out, "<%s%s>", tag, c->number ? " class=\"n\"" : "");
        if (c->number && !c->empty) sheet_count(s->out, c->value);
        if (!c->number && !c->empty) sheet_escape(s->out, c->word);
        (void)fprintf(s->out, "</%.2s>", tag);
    }
    (void)fputs("</tr>\n", s->out);
}

_Static_assert(SHEET_ROWS_MAX == 16384, "the text below");
static void html_end(struct sheet *s)
{
    (void)fputs("</tbody></table></div>\n", s->out);
    if (s->skipped == 0) return;
    (void)fputs("<p class=\"note\">The first ", s->out);
    sheet_count(s->out, s->rows - s->skipped);
    (void)fputs(" of ", s->out);
    sheet_count(s->out, s->rows);
    (void)fprintf(s->out, " rows; all of them are in the CSV, and %s in the JSON.</p>\n",
                  s->rows <= SHEET_ROWS_MAX ? "too" : "the first 16,384");
}

/* --- JSON: members of an object stand by their names ---------------------------------------------------------------------------- */

static uint32_t first_by_name(const struct sheet *s, const bool *written)
{
    uint32_t first = s->column_count;
    for (uint32_t i = 0; i < s->column_count; i++)
        if (!written[i] && (first == s->column_count || span_compare(s->column[i], s->column[first]) < 0))
            first = i;
    return first;
}

static void json_row(struct sheet *s)
{
    bool written[SHEET_COLUMNS_MAX] = {false};
    json_begin_object(s->w);
    for (uint32_t round = 0; round < s->column_count; round++) {
        const uint32_t first = first_by_name(s, written);
        const struct sheet_cell *c = &s->cell[first];
        written[first] = true;
        if (c->empty) continue;
        json_key_span(s->w, s->column[first]);
        if (c->number)
            json_put_int(s->w, (int64_t)c->value);
        else
            json_put_text(s->w, c->word);
    }
    json_end_object(s->w);
}

/* --- All three ------------------------------------------------------------------------------------------------------------------- */

void sheet_begin(struct sheet *s, const char *caption, const char *columns)
{
    s->column_count = 0;
    s->rows = s->skipped = 0;
    for (const char *at = columns; *at != 0; at += *at == ',') {
        const size_t len = strcspn(at, ",");
        ASSERT(s->column_count < SHEET_COLUMNS_MAX && len > 0);
        s->column[s->column_count++] = span_make(at, len);
        at += len;
    }
    s->cell_count = 0;
    switch (s->form) {
    case SHEET_CSV: sheet_record(s->out, s->column, s->column_count); break;
    case SHEET_HTML: html_begin(s, caption); break;
    case SHEET_JSON: json_begin_array(s->w); break;
    }
}

static void put(struct sheet *s, struct sheet_cell cell)
{
    ASSERT(s->cell_count < s->column_count);
    s->cell[s->cell_count++] = cell;
}

void sheet_number(struct sheet *s, uint64_t value)
{
    put(s, (struct sheet_cell){.number = true, .value = value});
}

void sheet_number_if(struct sheet *s, bool there, uint64_t value)
{
    put(s, (struct sheet_cell){.empty = !there, .number = true, .value = value});
}

void sheet_word(struct sheet *s, struct span word)
{
    put(s, (struct sheet_cell){.empty = word.len == 0, .word = word});
}

bool sheet_takes(const struct sheet *s)
{
    return s->rows < (s->form == SHEET_HTML   ? SHEET_ROWS_SHOWN
                      : s->form == SHEET_JSON ? SHEET_ROWS_MAX
                                              : UINT64_MAX);
}

void sheet_row(struct sheet *s)
{
    ASSERT(s->cell_count == s->column_count);
    const bool takes = sheet_takes(s);
    s->cell_count = 0;
    s->rows++;
    if (!takes) {
        s->skipped++;
        return;
    }
    switch (s->form) {
    case SHEET_CSV: csv_row(s); break;
    case SHEET_HTML: html_row(s); break;
    case SHEET_JSON: json_row(s); break;
    }
}

void sheet_end(struct sheet *s)
{
    ASSERT(s->cell_count == 0);
    switch (s->form) {
    case SHEET_CSV: break;
    case SHEET_HTML: html_end(s); break;
    case SHEET_JSON: json_end_array(s->w); break;
    }
}
