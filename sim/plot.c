#include "sim/plot.h"

#include "proto/base/panic.h"
#include "sim/sheet.h"

#include <inttypes.h>

/* --- Shapes ---------------------------------------------------------------------------------------------------------------- */

void plot_begin(FILE *out, const char *id, const char *title, const char *description, uint32_t height)
{
    (void)fprintf(out,
                  "<svg viewBox=\"0 0 %u %u\" role=\"img\" aria-labelledby=\"%s-title %s-text\">"
                  "<title id=\"%s-title\">%s</title><desc id=\"%s-text\">%s</desc>\n",
                  PLOT_WIDTH, height, id, id, id, title, id, description);
}

void plot_end(FILE *out)
{
    (void)fputs("</svg>\n", out);
}

void plot_text(FILE *out, const char *style, uint32_t x, uint32_t y, enum plot_anchor anchor,
               struct span text)
{
    static const char *const anchors[] = {"start", "middle", "end"};
    (void)fprintf(out, "<text class=\"%s\" x=\"%u\" y=\"%u\" text-anchor=\"%s\">", style, x, y,
                  anchors[anchor]);
    sheet_escape(out, text);
    (void)fputs("</text>\n", out);
}

void plot_line(FILE *out, const char *style, uint32_t x1, uint32_t y1, uint32_t x2, uint32_t y2)
{
    (void)fprintf(out, "<line class=\"%s\" x1=\"%u\" y1=\"%u\" x2=\"%u\" y2=\"%u\"/>\n", style, x1, y1, x2,
                  y2);
}

void plot_rect(FILE *out, const char *style, struct plot_box box, struct span hint)
{
    (void)fprintf(out, "<rect class=\"%s\" x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\"><title>", style,
                  box.x, box.y, box.width, box.height);
    sheet_escape(out, hint);
    (void)fputs("</title></rect>\n", out);
}

/* --- Axes -------------------------------------------------------------------------------------------------------------------- */

struct plot_axis plot_axis_linear(uint64_t most, uint32_t from, uint32_t to)
{
    return (struct plot_axis){0, most > 0 ? most : 1, from, to, false};
}

struct plot_axis plot_axis_log(uint64_t least, uint64_t most, uint32_t from, uint32_t to)
{
    ASSERT(least > 0);
    return (struct plot_axis){least, most > least ? most : 2 * least, from, to, true};
}

/* In 65536ths; straight between powers of two, which is off by at most a twelfth of a doubling. */
static uint64_t log2_of(uint64_t value)
{
    const uint32_t whole = 63 - (uint32_t)__builtin_clzll(value);
    const uint64_t part = whole >= 16 ? value >> (whole - 16) : value << (16 - whole);
    return ((uint64_t)whole << 16) + (part - 65536);
}

uint32_t plot_at(const struct plot_axis *a, uint64_t value)
{
    if (value < a->least) value = a->least;
    if (value > a->most) value = a->most;
    uint64_t along = value - a->least, all = a->most - a->least;
    if (a->logarithmic) {
        along = log2_of(value) - log2_of(a->least);
        all = log2_of(a->most) - log2_of(a->least);
    }
    const uint64_t length = a->to > a->from ? a->to - a->from : a->from - a->to;
    ASSERT(length <= UINT16_MAX && along < UINT64_C(1) << 48);
    const uint32_t step = (uint32_t)(all > 0 ? along * length / all : 0);
    return a->to > a->from ? a->from + step : a->from - step;
}

/* 1, 2 or 5 with zeros behind it, so that at most six ticks come. */
static uint64_t step_of(const struct plot_axis *a)
{
    uint64_t step = 1;
    for (uint32_t i = 0; a->most / step > 5; i++) step = i % 3 == 1 ? step / 2 * 5 : step * 2;
    return step;
}

uint64_t plot_tick_first(const struct plot_axis *a)
{
    uint64_t tick = 1;
    while (a->logarithmic && tick < a->least) tick *= 10;
    return a->logarithmic ? tick : 0;
}

uint64_t plot_tick_next(const struct plot_axis *a, uint64_t before)
{
    const uint64_t next = a->logarithmic ? before * 10 : before + step_of(a);
    return next <= a->most ? next : UINT64_MAX;
}

/* --- Words -------------------------------------------------------------------------------------------------------------------- */

/* Rounded; one decimal below a hundred. */
static const char *word(char *out, uint64_t value, uint64_t unit, const char *name)
{
    const uint64_t tenths = (10 * value + unit / 2) / unit;
    if (tenths < 1000 && tenths % 10 != 0)
        (void)snprintf(out, PLOT_WORD_CHARS, "%" PRIu64 ".%u %s", tenths / 10, (unsigned)(tenths % 10), name);
    else
        (void)snprintf(out, PLOT_WORD_CHARS, "%" PRIu64 " %s", (tenths + 5) / 10, name);
    return out;
}

const char *plot_word_us(char *out, uint64_t us)
{
    if (us == 0) return "0";
    if (us < 1000) return word(out, us, 1, "\302\265s");
    if (us < 1000000) return word(out, us, 1000, "ms");
    return word(out, us, 1000000, "s");
}

const char *plot_word_bytes(char *out, uint64_t bytes)
{
    if (bytes < 1024) return word(out, bytes, 1, "B");
    if (bytes < 1024 * 1024) return word(out, bytes, 1024, "KiB");
    return word(out, bytes, 1024 * 1024, "MiB");
}

const char *plot_word_count(char *out, uint64_t count)
{
    char digits[24];
    const int len = snprintf(digits, sizeof digits, "%" PRIu64, count);
    int at = 0;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0) out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = 0;
    return out;
}
