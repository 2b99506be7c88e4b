#include "node/meta.h"

#include "proto/field.h"

#include <string.h>

const char *const meta_format_names[3] = {"bytes", "csv", "parquet"};

bool meta_delimiter_fits(char delimiter)
{
    if (delimiter == '\t') return true;
    if (delimiter < ' ' || delimiter > '~') return false;
    return strchr("\"'.+-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", delimiter) == NULL;
}

/* A tab is the one delimiter that canonical JSON cannot carry as itself. */
static const char tab_name[] = "tab";

static void csv_read(struct meta *meta, struct json_reader *r)
{
    struct span delimiter = SPAN_NONE, missing = SPAN_NONE;
    json_read_text(r, "delimiter", 3, &delimiter);
    json_read_bool(r, "header", &meta->header);
    json_read_text(r, "missing", CAP_NAME, &missing);
    if (r->err != OK) return;
    if (span_equal_text(delimiter, tab_name)) meta->delimiter = '\t';
    if (delimiter.len == 1) meta->delimiter = (char)delimiter.data[0];
    if (!meta_delimiter_fits(meta->delimiter))
        json_refuse(r, "delimiter", ERR_RANGE, "one punctuation character or \"tab\"");
    if (missing.len > 0) memcpy(meta->missing, missing.data, missing.len);
}

enum err meta_parse(struct meta *out, struct arena *arena, struct span bytes, struct json_fault *fault)
{
    struct json_reader r;
    struct span copy;
    uint32_t format = 0;
    memset(out, 0, sizeof *out);
    if (bytes.len > META_BYTES_MAX) return ERR_TOO_LARGE;
    TRY(field_document(&r, &copy, JSON_ROOM_ONE(arena), bytes, "meta/1", fault));
    json_read_enum(&r, "format", meta_format_names, 3, &format);
    out->format = (enum meta_format)format;
    if (out->format == META_CSV) csv_read(out, &r);
    return json_reader_done(&r);
}

enum err meta_write(struct buffer *out, const struct meta *meta)
{
    struct json_writer w;
    struct span delimiter = meta->delimiter == '\t' ? span_text(tab_name) : span_make(&meta->delimiter, 1);
    if (meta->format == META_CSV && !meta_delimiter_fits(meta->delimiter)) return ERR_RANGE;
    json_writer_init(&w, out);
    json_begin_object(&w);
    if (meta->format == META_CSV) field_put_text(&w, "delimiter", delimiter);
    field_put_word(&w, "format", meta_format_names[meta->format]);
    if (meta->format == META_CSV) field_put_bool(&w, "header", meta->header);
    if (meta->format == META_CSV) field_put_text(&w, "missing", span_text(meta->missing));
    field_put_word(&w, "perigee", "meta/1");
    json_end_object(&w);
    return buffer_done(out);
}
