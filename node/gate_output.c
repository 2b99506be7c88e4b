#include "node/gate_output.h"

#include "node/grid.h"
#include "proto/base/panic.h"
#include "proto/field.h"

#include <stdlib.h>
#include <string.h>

enum {
    DERIVED_PLACES = 4,    /* decimal places a derived value has beyond its numerator's grid */
    DERIVED_TEXT_MAX = 44, /* sign, point, 39 digits of 128 bits, and some */
    CLASS_BYTES = 1024,
};
#define DERIVED_SCALE 10000 /* 10^DERIVED_PLACES */

__extension__ typedef unsigned __int128 magnitude;

/* The document as it is, or, with no results, the longest it could be. */
struct document {
    struct json_writer writer;
    const struct workflow *workflow;
    const struct gate_result *results;
};

/* --- Derived values ------------------------------------------------------------------------------------------------- */

static magnitude magnitude_of(grid_wide value)
{
    return value < 0 ? (magnitude)0 - (magnitude)value : (magnitude)value;
}

/* top / bottom, half away from zero; bottom > 0. */
static grid_wide divide(grid_wide top, grid_wide bottom)
{
    magnitude quotient = magnitude_of(top) / (magnitude)bottom, rest = magnitude_of(top) % (magnitude)bottom;
    if (rest >= (magnitude)bottom - rest) quotient++;
    return top < 0 ? -(grid_wide)quotient : (grid_wide)quotient;
}

/* value 10^-places as text; returns its length. */
static size_t decimal_text(char out[DERIVED_TEXT_MAX], grid_wide value, uint32_t places)
{
    char reversed[DERIVED_TEXT_MAX];
    size_t len = 0, at = 0;
    magnitude rest = magnitude_of(value);
    for (uint32_t digit = 0; digit <= places || rest != 0; digit++) {
        if (digit == places) reversed[len++] = '.';
        reversed[len++] = (char)('0' + (int)(rest % 10));
        rest /= 10;
    }
    if (value < 0) reversed[len++] = '-';
    ASSERT(len <= DERIVED_TEXT_MAX);
    while (len > 0) out[at++] = reversed[--len];
    return at;
}

struct ratio {
    grid_wide value, error; /* in 10^-places */
    uint32_t places;
};

/* offset + numerator / denominator and its first-order error bar: with both noises within their bounds n and d, the
 * quotient q = N / D moves by about (n + |q| d) / D. False when the noisy denominator is not positive. */
static bool derive(struct ratio *out, const struct step *step, const struct gate_result *result,
                   const struct derived *d, uint32_t cell)
{
    int above = step_statistic(step, d->numerator), below = step_statistic(step, d->denominator);
    ASSERT(above >= 0 && below >= 0);
    const struct statistic *s = &step->statistic[above];
    bool is_sum = s->kind == STATISTIC_SUM;
    grid_wide numerator = result->value[(size_t)above * step->cell_count + cell];
    grid_wide denominator = result->value[(size_t)below * step->cell_count + cell];
    if (denominator <= 0) return false;
    grid_wide half = is_sum ? 2 : 1; /* a sum is released on the doubled grid */
    out->value = divide(numerator * DERIVED_SCALE, half * denominator);
    if (is_sum) out->value += (grid_wide)(s->lower + s->upper) * (DERIVED_SCALE / 2);
    grid_wide slack =
        result->bound[above] * denominator + (grid_wide)magnitude_of(numerator) * result->bound[below];
    grid_wide square = half * denominator * denominator;
    out->error = (slack * DERIVED_SCALE + square - 1) / square;
    out->places = (is_sum ? s->places : 0) + DERIVED_PLACES;
    return true;
}

static void put_decimal(struct json_writer *w, const char *key, grid_wide value, uint32_t places)
{
    char text[DERIVED_TEXT_MAX];
    json_key(w, key);
    json_put_text(w, span_make(text, decimal_text(text, value, places)));
}

static void put_longest(struct json_writer *w, const char *key)
{
    char text[DERIVED_TEXT_MAX];
    memset(text, '9', sizeof text);
    json_key(w, key);
    json_put_text(w, span_make(text, sizeof text));
}

static void put_derived(struct document *doc, uint32_t step_index, const struct derived *d, uint32_t cell)
{
    struct json_writer *w = &doc->writer;
    struct ratio ratio;
    json_begin_object(w);
    if (doc->results == NULL) {
        put_longest(w, "error");
        put_longest(w, "value");
    } else if (derive(&ratio, &doc->workflow->step[step_index], &doc->results[step_index], d, cell)) {
        put_decimal(w, "error", ratio.error, ratio.places);
        put_decimal(w, "value", ratio.value, ratio.places);
    } else {
        json_key(w, "error");
        json_put_null(w);
        json_key(w, "value");
        json_put_null(w);
    }
    json_end_object(w);
}

/* --- Cells ---------------------------------------------------------------------------------------------------------- */

/* The cell's value in each grouping column: the last column turns fastest. */
static void put_group(struct json_writer *w, const struct step *step, uint32_t cell)
{
    uint32_t place[CAP_GROUPS];
    for (uint32_t i = step->group_count; i-- > 0;) {
        place[i] = cell % step->group[i].domain_count;
        cell /= step->group[i].domain_count;
    }
    json_key(w, "group");
    json_begin_array(w);
    for (uint32_t i = 0; i < step->group_count; i++) json_put_text(w, step->group[i].domain[place[i]]);
    json_end_array(w);
}

static void put_cell(struct document *doc, uint32_t step_index, uint32_t cell)
{
    struct json_writer *w = &doc->writer;
    const struct step *step = &doc->workflow->step[step_index];
    json_begin_object(w);
    json_key(w, "derived");
    json_begin_array(w);
    for (uint32_t i = 0; i < step->derived_count; i++) put_derived(doc, step_index, &step->derived[i], cell);
    json_end_array(w);
    put_group(w, step, cell);
    json_key(w, "values");
    json_begin_array(w);
    for (uint32_t i = 0; i < step->statistic_count; i++)
        json_put_int(w, doc->results == NULL
                            ? -GATE_VALUE_MAX
                            : doc->results[step_index].value[(size_t)i * step->cell_count + cell]);
    json_end_array(w);
    json_end_object(w);
}

static void put_statistic(struct document *doc, uint32_t step_index, uint32_t index)
{
    struct json_writer *w = &doc->writer;
    const struct statistic *s = &doc->workflow->step[step_index].statistic[index];
    json_begin_object(w);
    field_put_int(w, "bound95",
                  doc->results == NULL ? GATE_VALUE_MAX : doc->results[step_index].bound[index]);
    if (s->column.len > 0) field_put_text(w, "column", s->column);
    field_put_word(w, "kind", statistic_kind_names[s->kind]);
    if (s->kind == STATISTIC_SUM) field_put_decimal(w, "lower", s->lower, s->places);
    field_put_text(w, "name", s->name);
    if (s->kind == STATISTIC_SUM) {
        field_put_int(w, "places", s->places);
        field_put_decimal(w, "upper", s->upper, s->places);
    }
    json_end_object(w);
}

static void put_step(struct document *doc, uint32_t step_index)
{
    struct json_writer *w = &doc->writer;
    const struct step *step = &doc->workflow->step[step_index];
    json_begin_object(w);
    json_key(w, "cells");
    json_begin_array(w);
    for (uint32_t cell = 0; cell < step->cell_count; cell++) put_cell(doc, step_index, cell);
    json_end_array(w);
    json_key(w, "derived");
    json_begin_array(w);
    for (uint32_t i = 0; i < step->derived_count; i++) json_put_text(w, step->derived[i].name);
    json_end_array(w);
    json_key(w, "groups");
    json_begin_array(w);
    for (uint32_t i = 0; i < step->group_count; i++) json_put_text(w, step->group[i].name);
    json_end_array(w);
    json_key(w, "statistics");
    json_begin_array(w);
    for (uint32_t i = 0; i < step->statistic_count; i++) put_statistic(doc, step_index, i);
    json_end_array(w);
    json_end_object(w);
}

static enum err write_padded(struct buffer *out, struct document *doc, struct span pad)
{
    const struct workflow *w = doc->workflow;
    json_writer_init(&doc->writer, out);
    json_begin_object(&doc->writer);
    field_put_hex(&doc->writer, "compose", ID_SPAN(w->hash));
    field_put_text(&doc->writer, "pad", pad);
    field_put_word(&doc->writer, "perigee", "output/1");
    field_put_word(&doc->writer, "privacy", w->privacy_none ? "none" : "differential");
    field_put_word(&doc->writer, "scope", privacy_scope_names[w->scope]);
    json_key(&doc->writer, "steps");
    json_begin_array(&doc->writer);
    for (uint32_t i = 0; i < w->step_count; i++) put_step(doc, i);
    json_end_array(&doc->writer);
    field_put_text(&doc->writer, "unit", w->unit_column);
    json_end_object(&doc->writer);
    return buffer_done(out);
}

enum err gate_output_bytes(const struct workflow *w, size_t *bytes)
{
    if (w->output == OUTPUT_ROWS) { /* how many rows there are shows in nothing */
        *bytes = w->output_bytes_max;
        return OK;
    }
    uint8_t *room = malloc(w->output_bytes_max);
    if (room == NULL) return ERR_NO_MEMORY;
    struct buffer out = buffer_make(room, w->output_bytes_max);
    struct document doc = {.workflow = w};
    enum err err = write_padded(&out, &doc, SPAN_LITERAL(""));
    free(room);
    if (err != OK) return err;
    *bytes = (out.len + CLASS_BYTES - 1) / CLASS_BYTES * CLASS_BYTES;
    if (*bytes > w->output_bytes_max) *bytes = w->output_bytes_max;
    return OK;
}

enum err gate_output_write(struct buffer *out, const struct workflow *w, const struct gate_result *results,
                           size_t bytes)
{
    struct document doc = {.workflow = w, .results = results};
    const size_t start = out->len;
    TRY(write_padded(out, &doc, SPAN_LITERAL("")));
    ASSERT(out->len - start <= bytes);
    size_t pad_bytes = bytes - (out->len - start);
    uint8_t *pad = malloc(pad_bytes + 1);
    if (pad == NULL) return ERR_NO_MEMORY;
    memset(pad, ' ', pad_bytes + 1);
    out->len = start;
    enum err err = write_padded(out, &doc, span_make(pad, pad_bytes));
    free(pad);
    ASSERT(err != OK || out->len - start == bytes);
    return err;
}
