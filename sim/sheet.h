/* sheet: one table of results, row by row, in three forms: CSV (RFC 4180) and HTML to a stream, and JSON objects to a writer. A cell is a
 * number, a word or empty; JSON leaves empty ones out.
 * Rules: columns are named once, separated by commas; each row has a cell for each, in that order. Words may hold anything: each form
 * escapes them. A table in JSON or HTML has its first rows only: `skipped` says how many it lacks. CSV has all.
 * Ownership: the caller's; words are borrowed until the row ends. Errors stay in the stream or the writer's buffer. */
#ifndef PERIGEE_SIM_SHEET_H
#define PERIGEE_SIM_SHEET_H

#include "proto/base/json.h"

#include <stdio.h>

enum { SHEET_COLUMNS_MAX = 12, SHEET_ROWS_SHOWN = 64 /* in HTML */, SHEET_ROWS_MAX = 16384 /* in JSON */ };

enum sheet_form { SHEET_CSV, SHEET_HTML, SHEET_JSON };
struct sheet_cell {
    bool empty, number;
    uint64_t value;
    struct span word;
};
struct sheet {
    enum sheet_form form;
    FILE *out;             /* CSV, HTML */
    struct json_writer *w; /* JSON */
    uint32_t column_count, cell_count;
    struct span column[SHEET_COLUMNS_MAX];
    struct sheet_cell cell[SHEET_COLUMNS_MAX];
    uint64_t rows, skipped;
};

struct sheet sheet_to_stream(enum sheet_form form, FILE *out);
struct sheet sheet_to_json(struct json_writer *w);

void sheet_begin(struct sheet *s, const char *caption, const char *columns);
void sheet_number(struct sheet *s, uint64_t value);
void sheet_number_if(struct sheet *s, bool there, uint64_t value); /* else empty */
void sheet_word(struct sheet *s, struct span word);
bool sheet_takes(const struct sheet *s); /* will the next row be written? Else its cells may be anything */
void sheet_row(struct sheet *s);         /* the row is complete */
void sheet_end(struct sheet *s);

/* A record of CSV by itself, of columns that are not those of a sheet. */
void sheet_record(FILE *out, const struct span *word, uint32_t count);
/* Text of any bytes between tags or quotes of HTML. */
void sheet_escape(FILE *out, struct span text);
/* With a comma at each thousand. */
void sheet_count(FILE *out, uint64_t value);

#endif
