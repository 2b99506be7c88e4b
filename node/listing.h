/* listing: rows of JSON objects for people: aligned under titles on a terminal, one line per row with tabs in a pipe, under the
 * titles there, too.
 * Rules: what is kept in a file says what its columns are, and where a second list begins; programs read --json, which has
 * names for all of it. Bold titles only on a terminal and without NO_COLOR; long values are cut on a terminal where a column says so,
 * never in a pipe; control characters are shown as '?'. Threads: one. Ownership: borrows. */
#ifndef PERIGEE_NODE_LISTING_H
#define PERIGEE_NODE_LISTING_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum { LISTING_COLUMN_MAX = 12 };

struct listing_column {
    const char *title;
    const char *key; /* member of the row: text, number, boolean, or a list of texts */
    uint32_t cut;    /* on a terminal show at most this many characters; 0: all */
};

/* `rows` is an array of objects; `nothing` is said on a terminal when it is empty. */
void listing_print(const json_t *rows, const struct listing_column *column, uint32_t column_count,
                   const char *nothing);
/* Aligned under titles wherever it goes: for a part of a longer text. */
void listing_print_aligned(const json_t *rows, const struct listing_column *column, uint32_t column_count);
/* Does this stream go to a terminal? */
bool listing_is_terminal(void);
/* Escape sequences for emphasis; "" in a pipe or with NO_COLOR. */
const char *listing_bold(void);
const char *listing_red(void);
const char *listing_green(void);
const char *listing_plain(void);

#endif
