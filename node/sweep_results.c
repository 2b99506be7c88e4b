#include "node/sweep_results.h"

#include "node/yaml_json.h"
#include "proto/base/panic.h"

#include <stdlib.h>
#include <string.h>

/* A number or a text of the report: the object it is in, its name there; and the number beside it that must not be 0. */
static const struct column {
    const char *name, *object, *member, *if_any;
} columns[] = {
    {"requested", "runs", "requested", NULL},
    {"settled", "runs", "settled", NULL},
    {"ended", "runs", "ended", NULL},
    {"settle_least_ms", "runs", "settle_least_ms", "settled"},
    {"settle_median_ms", "runs", "settle_median_ms", "settled"},
    {"settle_most_ms", "runs", "settle_most_ms", "settled"},
    {"messages", NULL, "messages", NULL},
    {"bytes", NULL, "bytes", NULL},
    {"deliveries", "delivery", "count", NULL},
    {"delivery_p50_us", "delivery", "p50_us", "count"},
    {"delivery_p90_us", "delivery", "p90_us", "count"},
    {"delivery_p99_us", "delivery", "p99_us", "count"},
    {"delivery_max_us", "delivery", "max_us", "count"},
    {"records_applied", NULL, "records_applied", NULL},
    {"records_received", NULL, "records_received", NULL},
    {"records_held_already", NULL, "records_held_already", NULL},
    {"crashes", NULL, "crashes", NULL},
    {"partitions", NULL, "partitions", NULL},
    {"formed_ms", NULL, "formed_ms", "formed_ms"},
    {"virtual_ms", NULL, "virtual_ms", NULL},
    {"events", NULL, "events", NULL},
    {"crypto", NULL, "crypto", NULL},
    {"hash", NULL, "hash", NULL},
    {"violation", NULL, "violation", NULL},
};
enum { COLUMNS = sizeof columns / sizeof columns[0], VALUES_MAX = 16 /* a grid has fewer keys */ };

static json_int_t number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* --- A line ------------------------------------------------------------------------------------------------------------------------ */

static json_t *column_of(const json_t *report, const struct column *c)
{
    const json_t *object = c->object != NULL ? json_object_get(report, c->object) : report;
    if (c->if_any != NULL && number(object, c->if_any) == 0) return NULL;
    return json_object_get(object, c->member);
}

size_t sweep_results_line(uint8_t *out, size_t cap, uint64_t cell, uint64_t seed, struct span values,
                          const json_t *report)
{
    json_t *line = json_pack("{s:I, s:I, s:o}", "cell", (json_int_t)cell, "seed", (json_int_t)seed, "values",
                             json_loadb((const char *)values.data, values.len, 0, NULL));
    for (size_t i = 0; line != NULL && i < COLUMNS; i++) {
        json_t *value = column_of(report, &columns[i]);
        if (value != NULL) (void)json_object_set(line, columns[i].name, value);
    }
    char *text = line != NULL ? yaml_json_canonical(line) : NULL;
    const size_t len = text != NULL ? strlen(text) : 0;
    if (len > 0 && len <= cap) memcpy(out, text, len);
    free(text);
    json_decref(line);
    return len <= cap ? len : 0;
}

/* --- All of them ------------------------------------------------------------------------------------------------------------------- */

enum err sweep_results_new(struct sweep_results *r, uint64_t count)
{
    *r = (struct sweep_results){.count = count, .line = calloc(count, sizeof *r->line)};
    return r->line != NULL ? OK : ERR_NO_MEMORY;
}

void sweep_results_free(struct sweep_results *r)
{
    for (uint64_t i = 0; r->line != NULL && i < r->count; i++) free(r->line[i]);
    free(r->line);
    r->line = NULL;
}

json_t *sweep_results_put(struct sweep_results *r, struct span line)
{
    json_t *read = json_loadb((const char *)line.data, line.len, 0, NULL);
    const json_int_t cell = number(read, "cell");
    if (cell < 1 || (uint64_t)cell > r->count || r->line[cell - 1] != NULL ||
        json_object_size(json_object_get(read, "values")) > VALUES_MAX ||
        (r->line[cell - 1] = strndup((const char *)line.data, line.len)) == NULL) {
        json_decref(read);
        return NULL;
    }
    r->done++;
    if (json_object_get(read, "violation") != NULL) {
        if (r->violations++ == 0 || (uint64_t)cell < r->violation_first) r->violation_first = (uint64_t)cell;
    }
    r->virtual_ms += (uint64_t)number(read, "virtual_ms");
    r->events += (uint64_t)number(read, "events");
    return read;
}

/* NULL: it is not there, or there is no memory. */
static json_t *read_line(const struct sweep_results *r, uint64_t index)
{
    return r->line[index] != NULL ? json_loads(r->line[index], 0, NULL) : NULL;
}

/* --- Tables ------------------------------------------------------------------------------------------------------------------------ */

/* The words of one record; numbers have theirs in `number`. */
enum { WORDS_MAX = 2 + VALUES_MAX + COLUMNS, NUMBER_CHARS = 21 };
struct record {
    uint32_t count;
    struct span word[WORDS_MAX];
    char number[WORDS_MAX][NUMBER_CHARS];
};

static void add_word(struct record *r, struct span word)
{
    ASSERT(r->count < WORDS_MAX);
    r->word[r->count++] = word;
}

static void add_value(struct record *r, const json_t *value)
{
    struct span word = SPAN_NONE;
    ASSERT(r->count < WORDS_MAX);
    char *digits = r->number[r->count];
    if (json_is_integer(value)) {
        (void)snprintf(digits, NUMBER_CHARS, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        word = span_text(digits);
    }
    if (json_is_boolean(value)) word = span_text(json_is_true(value) ? "true" : "false");
    if (json_is_string(value)) word = span_text(json_string_value(value));
    add_word(r, word);
}

/* Keys in the order of their names. jansson gives them in the order of the text, and that is canonical. */
static void write_head(FILE *out, simulator_csv *csv, json_t *values)
{
    struct record r = {.count = 0};
    const char *key;
    json_t *value;
    add_word(&r, SPAN_LITERAL("cell"));
    json_object_foreach(values, key, value) add_word(&r, span_text(key));
    add_word(&r, SPAN_LITERAL("seed"));
    for (size_t i = 0; i < COLUMNS; i++) add_word(&r, span_text(columns[i].name));
    csv(out, r.word, r.count);
}

static void write_row(FILE *out, simulator_csv *csv, const json_t *line)
{
    struct record r = {.count = 0};
    const char *key;
    json_t *value;
    add_value(&r, json_object_get(line, "cell"));
    json_object_foreach(json_object_get(line, "values"), key, value) add_value(&r, value);
    add_value(&r, json_object_get(line, "seed"));
    for (size_t i = 0; i < COLUMNS; i++) add_value(&r, json_object_get(line, columns[i].name));
    csv(out, r.word, r.count);
}

enum err sweep_results_csv(const struct sweep_results *r, FILE *out, simulator_csv *csv)
{
    for (uint64_t i = 0; i < r->count; i++) {
        json_t *line = read_line(r, i);
        if (line == NULL) return ERR_NO_MEMORY;
        if (i == 0) write_head(out, csv, json_object_get(line, "values"));
        write_row(out, csv, line);
        json_decref(line);
    }
    return ferror(out) == 0 ? OK : ERR_NO_MEMORY;
}

enum err sweep_results_lines(const struct sweep_results *r, FILE *out)
{
    for (uint64_t i = 0; i < r->count; i++) (void)fprintf(out, "%s\n", r->line[i]);
    return ferror(out) == 0 ? OK : ERR_NO_MEMORY;
}

/* --- Medians ------------------------------------------------------------------------------------------------------------------------ */

enum { MEASURES = 4 };
static const char *const measures[MEASURES] = {"settle_median_ms", "messages", "bytes", "delivery_p99_us"};

struct gathered {
    int64_t *value[MEASURES]; /* a part for each of one allocation */
    uint64_t count[MEASURES];
    struct sweep_results_point point;
};

static int compare(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int64_t median(int64_t *value, uint64_t count)
{
    if (count == 0) return -1;
    qsort(value, count, sizeof *value, compare);
    return value[(count - 1) / 2];
}

static void gather(struct gathered *g, json_t *line)
{
    g->point.cells++;
    g->point.violations += json_object_get(line, "violation") != NULL;
    for (uint32_t i = 0; i < MEASURES; i++) {
        const json_t *value = json_object_get(line, measures[i]);
        if (value != NULL) g->value[i][g->count[i]++] = json_integer_value(value);
    }
}

static void finish(struct gathered *g)
{
    int64_t *const out[MEASURES] = {&g->point.settle_ms, &g->point.messages, &g->point.bytes,
                                    &g->point.delivery_p99_us};
    for (uint32_t i = 0; i < MEASURES; i++) *out[i] = median(g->value[i], g->count[i]);
}

enum err sweep_results_points(const struct sweep_results *r, uint64_t seeds, sweep_results_show *show,
                              void *context)
{
    struct gathered g;
    enum err err = OK;
    int64_t *values = calloc(MEASURES * seeds, sizeof *values);
    if (values == NULL) return ERR_NO_MEMORY;
    for (uint64_t at = 0; err == OK && at < r->count; at += seeds) {
        json_t *first = read_line(r, at);
        g = (struct gathered){.point = {.values = json_object_get(first, "values")}};
        for (uint32_t i = 0; i < MEASURES; i++) g.value[i] = values + i * seeds;
        for (uint64_t k = at; err == OK && k < at + seeds; k++) {
            json_t *line = read_line(r, k);
            if (line == NULL) err = ERR_NO_MEMORY;
            gather(&g, line);
            json_decref(line);
        }
        finish(&g);
        if (err == OK) show(context, &g.point);
        json_decref(first);
    }
    free(values);
    return err;
}

void sweep_results_words(char *out, size_t cap, json_t *values)
{
    const char *key;
    json_t *value;
    size_t len = 0;
    out[0] = 0;
    json_object_foreach(values, key, value)
    {
        char *text = json_is_string(value) ? strdup(json_string_value(value))
                                           : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        if (text != NULL && len < cap)
            len += (size_t)snprintf(out + len, cap - len, "%s%s %s", len > 0 ? ", " : "", key, text);
        free(text);
    }
}
