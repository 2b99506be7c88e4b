/* plot: pictures as inline SVG, by integers. Coordinates are tenths of a point on a sheet 360 points wide, which is a phone's width: a page
 * shows it no smaller than that. Colours are classes that the page's style gives (sim/page.c).
 * Every picture has a title and a description for who cannot see it; text that comes from outside is escaped.
 * Errors stay in the stream. No state beside what the caller holds. */
#ifndef PERIGEE_SIM_PLOT_H
#define PERIGEE_SIM_PLOT_H

#include "proto/base/span.h"

#include <stdio.h>

enum { PLOT_WIDTH = 3600, PLOT_TEXT = 110 /* height of a line of text */ };
enum plot_anchor { PLOT_START, PLOT_MIDDLE, PLOT_END };

struct plot_box {
    uint32_t x, y, width, height;
};

/* `id` names it on the page. */
void plot_begin(FILE *out, const char *id, const char *title, const char *description, uint32_t height);
void plot_end(FILE *out);
void plot_text(FILE *out, const char *style, uint32_t x, uint32_t y, enum plot_anchor anchor,
               struct span text);
void plot_line(FILE *out, const char *style, uint32_t x1, uint32_t y1, uint32_t x2, uint32_t y2);
/* `hint` is shown to who points at it. */
void plot_rect(FILE *out, const char *style, struct plot_box box, struct span hint);

/* Values along one side. `least` < `most`. */
struct plot_axis {
    uint64_t least, most;
    uint32_t from, to; /* coordinates of these; from may be the larger */
    bool logarithmic;
};
struct plot_axis plot_axis_linear(uint64_t most, uint32_t from, uint32_t to);              /* from 0 */
struct plot_axis plot_axis_log(uint64_t least, uint64_t most, uint32_t from, uint32_t to); /* least > 0 */
uint32_t plot_at(const struct plot_axis *a, uint64_t value);
/* Round numbers on the axis: the first is that after `before`, UINT64_MAX when none is left. Begin with plot_tick_first. */
uint64_t plot_tick_first(const struct plot_axis *a);
uint64_t plot_tick_next(const struct plot_axis *a, uint64_t before);

/* Words for values, into `out` of PLOT_WORD_CHARS. */
enum { PLOT_WORD_CHARS = 32 };
const char *plot_word_us(char *out, uint64_t us);       /* "88.5 ms" */
const char *plot_word_bytes(char *out, uint64_t bytes); /* "1.2 MiB" */
const char *plot_word_count(char *out, uint64_t count); /* "12,345" */

#endif
