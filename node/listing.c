#include "node/listing.h"

#include "proto/base/panic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LISTING_CELL_BYTES = 256 };

bool listing_is_terminal(void)
{
    return isatty(STDOUT_FILENO) == 1;
}

static const char *escape(const char *sequence)
{
    const char *no_color = getenv("NO_COLOR");
    return listing_is_terminal() && (no_color == NULL || no_color[0] == 0) ? sequence : "";
}

const char *listing_bold(void)
{
    return escape("\033[1m");
}

const char *listing_red(void)
{
    return escape("\033[31m");
}

const char *listing_green(void)
{
    return escape("\033[32m");
}

const char *listing_plain(void)
{
    return escape("\033[0m");
}

static void append(char cell[LISTING_CELL_BYTES], const char *text)
{
    size_t len = strlen(cell);
    (void)snprintf(cell + len, LISTING_CELL_BYTES - len, "%s", text);
}

static void append_list(char cell[LISTING_CELL_BYTES], const json_t *list)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        if (i > 0) append(cell, ",");
        append(cell, json_is_string(item) ? json_string_value(item) : "?");
    }
}

/* What ends on a terminal must not steer it. */
static void disarm(char *text)
{
    for (; *text != 0; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f) *text = '?';
}

static void cell_text(char cell[LISTING_CELL_BYTES], const json_t *value, uint32_t cut)
{
    cell[0] = 0;
    if (json_is_string(value)) append(cell, json_string_value(value));
    if (json_is_integer(value))
        (void)snprintf(cell, LISTING_CELL_BYTES, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    if (json_is_boolean(value)) append(cell, json_is_true(value) ? "yes" : "no");
    if (json_is_array(value)) append_list(cell, value);
    if (cell[0] == 0) append(cell, "-");
    disarm(cell);
    if (cut > 0 && strlen(cell) > cut) cell[cut] = 0;
}

/* Characters, not bytes: continuation bytes take no place. */
static uint32_t width_of(const char *text)
{
    uint32_t width = 0;
    for (; *text != 0; text++) width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void put_padded(const char *text, uint32_t width, bool last)
{
    (void)fputs(text, stdout);
    for (uint32_t i = width_of(text); !last && i < width + 2; i++) (void)fputc(' ', stdout);
}

void listing_print_aligned(const json_t *rows, const struct listing_column *column, uint32_t count)
{
    char cell[LISTING_CELL_BYTES];
    uint32_t width[LISTING_COLUMN_MAX];
    size_t i;
    json_t *row;
    for (uint32_t c = 0; c < count; c++) {
        width[c] = width_of(column[c].title);
        json_array_foreach(rows, i, row)
        {
            cell_text(cell, json_object_get(row, column[c].key), column[c].cut);
            if (width_of(cell) > width[c]) width[c] = width_of(cell);
        }
    }
    (void)fputs(listing_bold(), stdout);
    for (uint32_t c = 0; c < count; c++) put_padded(column[c].title, width[c], c + 1 == count);
    (void)printf("%s\n", listing_plain());
    json_array_foreach(rows, i, row)
    {
        for (uint32_t c = 0; c < count; c++) {
            cell_text(cell, json_object_get(row, column[c].key), column[c].cut);
            put_padded(cell, width[c], c + 1 == count);
        }
        (void)fputc('\n', stdout);
    }
}

static void print_plain(const json_t *rows, const struct listing_column *column, uint32_t count)
{
    char cell[LISTING_CELL_BYTES];
    size_t i;
    json_t *row;
    for (uint32_t c = 0; c < count; c++) (void)printf("%s%s", c > 0 ? "\t" : "", column[c].title);
    (void)fputc('\n', stdout);
    json_array_foreach(rows, i, row)
    {
        for (uint32_t c = 0; c < count; c++) {
            cell_text(cell, json_object_get(row, column[c].key), 0);
            (void)printf("%s%s", c > 0 ? "\t" : "", cell);
        }
        (void)fputc('\n', stdout);
    }
}

void listing_print(const json_t *rows, const struct listing_column *column, uint32_t column_count,
                   const char *nothing)
{
    ASSERT(column_count > 0 && column_count <= LISTING_COLUMN_MAX);
    if (!listing_is_terminal())
        print_plain(rows, column, column_count);
    else if (json_array_size(rows) == 0)
        (void)puts(nothing);
    else
        listing_print_aligned(rows, column, column_count);
}
