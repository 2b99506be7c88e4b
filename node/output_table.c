#include "node/output_table.h"

#include "node/client.h"
#include "node/listing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OUTPUT_COLUMN_MAX = LISTING_COLUMN_MAX };

struct columns {
    struct listing_column column[OUTPUT_COLUMN_MAX];
    uint32_t count;
};

/* The name is both title and key: names are distinct within a step. */
static void add_column(struct columns *c, const char *name)
{
    if (c->count < OUTPUT_COLUMN_MAX) c->column[c->count++] = (struct listing_column){name, name, 0};
}

static bool is_count(const json_t *statistic)
{
    return strcmp(client_text(statistic, "kind"), "count") == 0;
}

static void choose_columns(struct columns *c, const json_t *step)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(step, "groups"), i, item) add_column(c, json_string_value(item));
    json_array_foreach(json_object_get(step, "statistics"), i, item)
    {
        if (is_count(item)) add_column(c, client_text(item, "name"));
    }
    json_array_foreach(json_object_get(step, "derived"), i, item) add_column(c, json_string_value(item));
}

/* Two decimals more than the error bar's first digit would pretend a precision that the noise has taken away. */
static int places_for(double error)
{
    int places = 0;
    for (; places < 4 && error > 0 && error < 1.0; error *= 10) places++;
    return places + (places < 4 && error < 3.0 ? 1 : 0);
}

static void set_derived(json_t *row, const char *name, const json_t *derived)
{
    char cell[96];
    const char *value = client_text(derived, "value"), *error = client_text(derived, "error");
    if (value[0] == 0) {
        (void)json_object_set_new(row, name, json_string("too few"));
        return;
    }
    double e = strtod(error, NULL);
    (void)snprintf(cell, sizeof cell, "%.*f ± %.*f", places_for(e), strtod(value, NULL), places_for(e), e);
    (void)json_object_set_new(row, name, json_string(cell));
}

static json_t *make_row(const json_t *step, const json_t *cell)
{
    char text[96];
    size_t i;
    json_t *item, *row = json_object();
    json_array_foreach(json_object_get(step, "groups"), i, item)(void)
        json_object_set(row, json_string_value(item), json_array_get(json_object_get(cell, "group"), i));
    json_array_foreach(json_object_get(step, "statistics"), i, item)
    {
        if (!is_count(item)) continue;
        (void)snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT " ± %" JSON_INTEGER_FORMAT,
                       json_integer_value(json_array_get(json_object_get(cell, "values"), i)),
                       client_number(item, "bound95"));
        (void)json_object_set_new(row, client_text(item, "name"), json_string(text));
    }
    json_array_foreach(json_object_get(step, "derived"), i, item)
        set_derived(row, json_string_value(item), json_array_get(json_object_get(cell, "derived"), i));
    return row;
}

/* A step of output rows, whose rows are lists. Shown are as many columns as a listing takes. */
static void print_rows(const json_t *step)
{
    struct columns columns = {.count = 0};
    const json_t *names = json_object_get(step, "columns"), *given = json_object_get(step, "rows");
    size_t i, k;
    json_t *item, *value, *rows = json_array();
    json_array_foreach(names, i, item) add_column(&columns, client_text(item, "name"));
    json_array_foreach(given, i, item)
    {
        json_t *row = json_object();
        json_array_foreach(item, k, value)(void)
            json_object_set(row, client_text(json_array_get(names, k), "name"), value);
        (void)json_array_append_new(rows, row);
    }
    if (columns.count > 0) listing_print_aligned(rows, columns.column, columns.count);
    (void)printf("%zu rows of %zu columns%s\n", json_array_size(rows), json_array_size(names),
                 json_array_size(names) > columns.count ? "; --json shows all" : "");
    json_decref(rows);
}

static void print_step(const json_t *step)
{
    if (json_is_array(json_object_get(step, "rows"))) {
        print_rows(step);
        return;
    }
    struct columns columns = {.count = 0};
    size_t i;
    json_t *cell, *rows = json_array();
    choose_columns(&columns, step);
    json_array_foreach(json_object_get(step, "cells"), i, cell)(void)
        json_array_append_new(rows, make_row(step, cell));
    if (columns.count > 0) listing_print_aligned(rows, columns.column, columns.count);
    json_decref(rows);
}

void output_table_print(const json_t *output)
{
    size_t i;
    json_t *step;
    json_array_foreach(json_object_get(output, "steps"), i, step) print_step(step);
    if (strcmp(client_text(output, "privacy"), "none") == 0)
        (void)puts("PRIVACY: NONE. These are exact values: they can reveal single people.");
    else
        (void)puts(
            "± is the bound that 95 % of the privacy noise stays within; sampling error is not in it.");
}
