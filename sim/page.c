#include "sim/page.h"

#include "crypto/hash.h"
#include "proto/base/panic.h"
#include "sim/page_style.h"
#include "sim/plot.h"
#include "sim/regions.h"

#include <inttypes.h>
#include <string.h>

enum {
    ROW = 170, /* height of a row of bars */
    BAR = 110,
    LABEL = 1300, /* width of what stands before a bar */
    VALUE = 620,  /* and behind it */
    HEAT_LEVELS = 6,
    RUNS_SHOWN = 60,
    CENSUS_BINS = 9, /* of elections: 0 to 7, and more */
};

/* --- Pieces ----------------------------------------------------------------------------------------------------------------- */

static void base64(FILE *out, const uint8_t *bytes, size_t len)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < len; i += 3) {
        const uint32_t left = len - i < 3 ? (uint32_t)(len - i) : 3;
        uint32_t group = 0;
        for (uint32_t j = 0; j < 3; j++) group = group << 8 | (j < left ? bytes[i + j] : 0);
        for (uint32_t j = 0; j < 4; j++)
            (void)fputc(j <= left ? digit[group >> (18 - 6 * j) & 63] : '=', out);
    }
}

static void section(FILE *out, const char *heading, const char *words)
{
    (void)fprintf(out, "<section><h2>%s</h2><p>%s</p><div class=\"pair\"><div>\n", heading, words);
}

static void beside(FILE *out)
{
    (void)fputs("</div><div>\n", out);
}

static void section_end(FILE *out)
{
    (void)fputs("</div></div></section>\n", out);
}

static void table(FILE *out, const struct results *r, enum results_table t)
{
    struct sheet sheet = sheet_to_stream(SHEET_HTML, out);
    results_write(r, t, &sheet);
}

static void key(FILE *out, const char *style, const char *words)
{
    (void)fprintf(out,
                  "<li><svg viewBox=\"0 0 10 10\" aria-hidden=\"true\"><rect class=\"%s\" width=\"10\" "
                  "height=\"10\"/></svg>%s</li>",
                  style, words);
}

static void tile(FILE *out, const char *name, const char *value)
{
    (void)fprintf(out, "<div><dt>%s</dt><dd>%s</dd></div>\n", name, value);
}

static void tile_count(FILE *out, const char *name, uint64_t count)
{
    char word[PLOT_WORD_CHARS];
    tile(out, name, plot_word_count(word, count));
}

static void tile_ms(FILE *out, const char *name, uint64_t ms)
{
    char word[PLOT_WORD_CHARS];
    tile(out, name, plot_word_us(word, ms * 1000));
}

static bool is_central(const struct results *r)
{
    return r->scenario->trust == TRUST_CENTRAL;
}

/* --- The head ------------------------------------------------------------------------------------------------------------------ */

static void put_head(FILE *out, const struct results *r)
{
    const struct hash32 hash = sha256(span_text(page_style));
    (void)fputs(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-",
        out);
    base64(out, hash.bytes, sizeof hash.bytes);
    (void)fputs("'; base-uri 'none'; form-action 'none'\">\n"
                "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>",
                out);
    sheet_escape(out, r->scenario->name);
    (void)fprintf(out, ", seed %" PRIu64 ": simulation</title>\n<style>%s</style></head><body><main>\n",
                  r->seed, page_style);
}

static void put_verdict(FILE *out, const struct results *r)
{
    if (r->violation != NULL) {
        (void)fputs("<p class=\"verdict bad\">A property does not hold: ", out);
        sheet_escape(out, span_text(r->violation));
        (void)fputs("</p>\n", out);
    } else {
        (void)fprintf(out, "<p class=\"verdict good\">%s held%s.</p>\n",
                      is_central(r) ? "With the protocol, every property that is watched"
                                    : "Every property that is watched",
                      r->interrupted ? ", as far as it went" : "");
    }
    if (r->interrupted)
        (void)fputs("<p class=\"verdict bad\">It was interrupted: this is what was done so far.</p>\n", out);
}

static const char *what_it_is(const struct results *r)
{
    if (is_central(r))
        return "The study at one machine that all rows are sent to, without the protocol, in virtual time.";
    return r->scenario->crypto == SCENARIO_CRYPTO_REAL ? "The production protocol in virtual time. Every "
                                                         "signature and share was computed; evidence is "
                                                         "SIMULATED."
                                                       : "The production protocol in virtual time. Every "
                                                         "share was computed, signatures are MODELLED; "
                                                         "evidence is SIMULATED.";
}

static void put_summary(FILE *out, const struct results *r)
{
    const struct simulation_counts *c = &r->counts;
    char word[PLOT_WORD_CHARS];
    (void)fputs("<h1>Simulation of ", out);
    sheet_escape(out, r->scenario->name);
    (void)fprintf(out, ", seed %" PRIu64 "</h1>\n<p>", r->seed);
    sheet_escape(out, r->scenario->description);
    (void)fputs("</p>\n", out);
    put_verdict(out, r);
    (void)fprintf(out, "<p class=\"note\">%s The computation is a digest of the rows.</p>\n<dl>\n",
                  what_it_is(r));
    tile_ms(out, "virtual time", c->now_ns / 1000000);
    if (r->scenario->consortia > 1) tile_count(out, "consortia", r->scenario->consortia);
    tile_count(out, "parties", scenario_nodes(r->scenario));
    tile_count(out, "runs asked for", c->runs_requested);
    tile_count(out, "settled", c->runs_settled);
    if (c->runs_settled > 0) tile_ms(out, "request to receipt, median", c->settle_ms_median);
    tile_count(out, "crashes", c->crashes);
    tile_count(out, "partitions", c->parts);
    tile_count(out, "messages", c->messages);
    tile(out, "sent", plot_word_bytes(word, c->bytes));
    tile_count(out, "events", c->events);
    (void)fputs("</dl>\n", out);
}

/* --- Delivery latency ------------------------------------------------------------------------------------------------------------ */

static const struct {
    uint32_t ppm;
    const char *name;
} quantiles[] = {{500000, "p50"}, {900000, "p90"}, {990000, "p99"}};
enum { QUANTILES = sizeof quantiles / sizeof quantiles[0] };

static void latency_grid(FILE *out, const struct plot_axis *x, const struct plot_axis *y)
{
    char word[PLOT_WORD_CHARS];
    for (uint32_t i = 0; i <= 4; i++) {
        const uint32_t at = plot_at(y, y->most * i / 4);
        (void)snprintf(word, sizeof word, "%u %%", 25 * i);
        plot_line(out, "grid", x->from, at, x->to, at);
        plot_text(out, "soft", x->from - 40, at + 40, PLOT_END, span_text(word));
    }
    for (uint64_t tick = plot_tick_first(x); tick != UINT64_MAX; tick = plot_tick_next(x, tick)) {
        const uint32_t at = plot_at(x, tick);
        if (tick > x->most) break;
        plot_line(out, "grid", at, y->from, at, y->to);
        plot_text(out, "soft", at, y->from + 150, PLOT_MIDDLE, span_text(plot_word_us(word, tick)));
    }
}

static void latency_curve(FILE *out, const struct spread *delay, const struct plot_axis *x,
                          const struct plot_axis *y)
{
    uint64_t passed = 0;
    (void)fprintf(out, "<polyline class=\"curve\" points=\"%u,%u", x->from, y->from);
    for (uint32_t i = 0; i < SPREAD_BUCKETS; i++) {
        if (delay->bucket[i] == 0) continue;
        (void)fprintf(out, " %u,%u", plot_at(x, spread_least_of(i)), plot_at(y, passed));
        passed += delay->bucket[i];
        (void)fprintf(out, " %u,%u", plot_at(x, spread_most_of(i)), plot_at(y, passed));
    }
    (void)fputs("\"/>\n", out);
}

static void plot_latency(FILE *out, const struct spread *delay)
{
    uint32_t first = 0;
    while (first + 1 < SPREAD_BUCKETS && delay->bucket[first] == 0) first++;
    const uint64_t least = spread_least_of(first) > 0 ? spread_least_of(first) : 1;
    const struct plot_axis x = plot_axis_log(least, delay->most, 480, PLOT_WIDTH - 150),
                           y = plot_axis_linear(delay->count, 1750, 150);
    plot_begin(out, "latency", "Delivery latency of records",
               "A curve of how many deliveries, in percent, took no longer than the time below, which is "
               "logarithmic; the table beside it has the percentiles.",
               2000);
    latency_grid(out, &x, &y);
    latency_curve(out, delay, &x, &y);
    for (uint32_t i = 0; i < QUANTILES; i++) {
        const uint32_t at = plot_at(&x, spread_quantile(delay, quantiles[i].ppm));
        plot_line(out, "mark", at, y.from, at, y.to);
        const bool last = i + 1 == QUANTILES; /* its name stands on the other side */
        plot_text(out, "", last ? at + 40 : at - 40, y.from - 60 - 140 * i, last ? PLOT_START : PLOT_END,
                  span_text(quantiles[i].name));
    }
    plot_end(out);
}

static void put_latency(FILE *out, const struct results *r)
{
    const struct spread *delay = census_delay(r->census);
    struct sheet sheet = sheet_to_stream(SHEET_HTML, out);
    section(out, "Delivery latency",
            "From when a record is on its author's disk to when it takes effect at another node.");
    if (delay->count > 0)
        plot_latency(out, delay);
    else
        (void)fputs("<p class=\"note\">Nothing was delivered.</p>\n", out);
    beside(out);
    sheet_begin(&sheet, "Percentiles of delivery latency", "of_deliveries,within_us");
    for (uint32_t i = 0; i < QUANTILES; i++) {
        sheet_word(&sheet, span_text(quantiles[i].name));
        sheet_number(&sheet, spread_quantile(delay, quantiles[i].ppm));
        sheet_row(&sheet);
    }
    sheet_word(&sheet, span_text("all"));
    sheet_number(&sheet, delay->most);
    sheet_row(&sheet);
    sheet_end(&sheet);
    (void)fputs("<p class=\"note\">", out);
    sheet_count(out, delay->count);
    (void)fputs(" deliveries; a percentile is at most one part in 32 too large.</p>\n", out);
    section_end(out);
}

/* --- Bars ---------------------------------------------------------------------------------------------------------------------------- */

struct bar {
    struct span name; /* as much of it as fits stands before the bar */
    uint64_t part[2]; /* one behind the other */
    const char *value;
};

static uint32_t bars_height(uint32_t rows)
{
    return ROW * rows + 60;
}

/* Names longer than their place lose their end, on no half of a character. */
static struct span fitting(struct span name)
{
    size_t len = name.len < 21 ? name.len : 21;
    while (len < name.len && len > 0 && (name.data[len] & 0xc0) == 0x80) len--;
    return span_make(name.data, len);
}

static void put_bar(FILE *out, uint32_t row, const struct bar *b, uint64_t most)
{
    static const char *const styles[2] = {"a", "b"};
    const struct plot_axis x = plot_axis_linear(most, LABEL, PLOT_WIDTH - VALUE);
    const uint32_t y = 40 + ROW * row, middle = plot_at(&x, b->part[0]),
                   end = plot_at(&x, b->part[0] + b->part[1]);
    plot_text(out, "", LABEL - 50, y + 90, PLOT_END, fitting(b->name));
    plot_rect(out, styles[0], (struct plot_box){LABEL, y, middle - LABEL, BAR}, b->name);
    if (b->part[1] > 0) plot_rect(out, styles[1], (struct plot_box){middle, y, end - middle, BAR}, b->name);
    plot_text(out, "soft", end + 40, y + 90, PLOT_START, span_text(b->value));
}

static void put_duplicates(FILE *out, const struct results *r)
{
    const uint32_t count = scenario_nodes(r->scenario),
                   rows = count < SHEET_ROWS_SHOWN ? count : SHEET_ROWS_SHOWN;
    char word[PLOT_WORD_CHARS];
    struct results_name room;
    uint64_t most = 0;
    section(out, "Duplicates",
            "Chained records that came to each node, and those of them that it held already.");
    for (uint32_t i = 0; i < rows; i++) {
        const struct census_node *n = census_node(r->census, i);
        if (n->received > most) most = n->received;
    }
    plot_begin(
        out, "duplicates", "Records received by each node",
        "A bar for each node: records that were new to it, and behind them those that it held already. "
        "The number is that of the second kind; the table beside it has both.",
        bars_height(rows));
    for (uint32_t i = 0; i < rows; i++) {
        const struct census_node *n = census_node(r->census, i);
        const struct bar b = {
            results_party(r, i, &room), {n->received - n->again, n->again}, plot_word_count(word, n->again)};
        put_bar(out, i, &b, most);
    }
    plot_end(out);
    (void)fputs("<ul class=\"key\">", out);
    key(out, "a", "new to it");
    key(out, "b", "held already");
    (void)fputs("</ul>\n", out);
    beside(out);
    table(out, r, RESULTS_NODES);
    section_end(out);
}

static void put_kinds(FILE *out, const struct results *r)
{
    struct results_kind kind[RESULTS_KINDS_MAX];
    const uint32_t count = results_kinds(r, kind);
    char word[PLOT_WORD_CHARS];
    section(out, "Bytes by kind", "What went over the links, with what a link adds to a message.");
    plot_begin(
        out, "kinds", "Bytes sent, by kind of message",
        "A bar for each kind of message, those that took the most bytes first; the table beside it has "
        "the numbers.",
        bars_height(count));
    for (uint32_t i = 0; i < count; i++) {
        const struct bar b = {
            span_text(kind[i].name), {kind[i].sent.bytes, 0}, plot_word_bytes(word, kind[i].sent.bytes)};
        put_bar(out, i, &b, kind[0].sent.bytes);
    }
    plot_end(out);
    beside(out);
    table(out, r, RESULTS_KINDS);
    section_end(out);
}

/* --- Elections ------------------------------------------------------------------------------------------------------------------------- */

struct bins {
    uint32_t certificates[CENSUS_BINS], terms[CENSUS_BINS], most;
};

static void fill(uint32_t *bin, uint64_t value, uint32_t *most)
{
    uint32_t *b = &bin[value < CENSUS_BINS ? value : CENSUS_BINS - 1];
    if (++*b > *most) *most = *b;
}

static void plot_elections(FILE *out, const struct bins *b)
{
    const struct plot_axis y = plot_axis_linear(b->most, 1400, 150);
    char word[PLOT_WORD_CHARS];
    plot_begin(out, "elections", "Certificates and terms of runs",
               "For each number, how many runs took that many certificates, and how many were decided in the "
               "term of that number.",
               1600);
    for (uint64_t tick = 0; tick != UINT64_MAX; tick = plot_tick_next(&y, tick)) {
        plot_line(out, "grid", 400, plot_at(&y, tick), PLOT_WIDTH - 100, plot_at(&y, tick));
        plot_text(out, "soft", 360, plot_at(&y, tick) + 40, PLOT_END, span_text(plot_word_count(word, tick)));
    }
    for (uint32_t i = 0; i < CENSUS_BINS; i++) {
        const uint32_t x = 440 + 340 * i, a = plot_at(&y, b->certificates[i]), d = plot_at(&y, b->terms[i]);
        (void)snprintf(word, sizeof word, "%u%s", i, i + 1 == CENSUS_BINS ? "+" : "");
        plot_rect(out, "a", (struct plot_box){x, a, 130, y.from - a}, span_text("certificates"));
        plot_rect(out, "d", (struct plot_box){x + 140, d, 130, y.from - d}, span_text("term"));
        plot_text(out, "soft", x + 135, y.from + 150, PLOT_MIDDLE, span_text(word));
    }
    plot_end(out);
}

static void put_elections(FILE *out, const struct results *r)
{
    const uint32_t count = simulation_run_count(r->simulation);
    struct bins bins = {.most = 0};
    for (uint32_t i = 0; i < count; i++) {
        const struct results_run run = results_run(r, i);
        fill(bins.certificates, run.certificates, &bins.most);
        if (run.election != NULL) fill(bins.terms, run.election->term, &bins.most);
    }
    section(out, "Elections and terms",
            "A certificate lets one node compute in one term; when it is lost, the next term begins.");
    plot_elections(out, &bins);
    (void)fputs("<ul class=\"key\">", out);
    key(out, "a", "runs that took so many certificates");
    key(out, "d", "runs decided in that term");
    (void)fputs("</ul>\n", out);
    beside(out);
    table(out, r, RESULTS_ELECTIONS);
    section_end(out);
}

/* --- Runs over time ----------------------------------------------------------------------------------------------------------------------- */

static void span_of_time(FILE *out, const struct plot_axis *x, uint32_t y, const char *style,
                         uint64_t from_ns, uint64_t to_ns, struct span hint)
{
    const uint32_t from = plot_at(x, from_ns / 1000), to = plot_at(x, to_ns / 1000);
    if (to_ns <= from_ns) return;
    plot_rect(out, style, (struct plot_box){from, y, to > from ? to - from : 10, BAR}, hint);
}

/* The next of these phases that was reached, or the end. */
static uint64_t until(const struct census_election *e, uint32_t phase, uint64_t now_ns)
{
    while (phase < PHASE_COUNT && e->at_ns[phase] == 0) phase++;
    return phase < PHASE_COUNT ? e->at_ns[phase] : now_ns;
}

static void put_run(FILE *out, const struct results *r, uint32_t index, const struct plot_axis *x)
{
    const struct simulation_run_view view = simulation_run_at(r->simulation, index);
    const uint64_t now_ns = r->counts.now_ns, asked_ns = view.asked_ms * 1000000,
                   end_ns = view.settled_ms != 0 ? view.settled_ms * 1000000 : now_ns;
    const uint32_t y = 40 + ROW * index;
    uint32_t count;
    char word[PLOT_WORD_CHARS];
    struct results_name room;
    const struct census_election *e = census_elections(r->census, &count);
    (void)snprintf(word, sizeof word, "%u", view.number);
    plot_text(out, "", x->from - 50, y + 90, PLOT_END, span_text(word));
    span_of_time(out, x, y, "wait", asked_ns, end_ns, span_text("waits"));
    for (uint32_t i = 0; i < count; i++) {
        if (!ID_EQUAL(e[i].run, view.run)) continue;
        const struct span node = results_party(r, e[i].node, &room);
        const uint64_t *at = e[i].at_ns;
        span_of_time(out, x, y, "d", at[PHASE_ELECTED], until(&e[i], PHASE_KEYED, now_ns), node);
        if (at[PHASE_KEYED] != 0)
            span_of_time(out, x, y, "a", at[PHASE_KEYED], until(&e[i], PHASE_COMMITTED, now_ns), node);
        if (at[PHASE_COMMITTED] != 0) span_of_time(out, x, y, "c", at[PHASE_COMMITTED], end_ns, node);
    }
}

static uint64_t fault_end(const struct census_moment *m, uint32_t count, uint32_t index, uint64_t now_ns)
{
    for (uint32_t i = index + 1; i < count; i++)
        if (m[i].node == m[index].node && m[i].kind == m[index].kind + 1) return m[i].at_ns;
    return now_ns;
}

static void put_faults(FILE *out, const struct results *r, const struct plot_axis *x, uint32_t height)
{
    uint32_t count;
    char hint[128];
    struct results_name room;
    const struct census_moment *m = census_moments(r->census, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (m[i].kind != MOMENT_CRASHED && m[i].kind != MOMENT_CUT) continue;
        const struct span name = results_party(r, m[i].node, &room);
        const uint32_t from = plot_at(x, m[i].at_ns / 1000),
                       to = plot_at(x, fault_end(m, count, i, r->counts.now_ns) / 1000);
        (void)snprintf(hint, sizeof hint, "%.*s %s", (int)name.len, (const char *)name.data,
                       census_moment_name(m[i].kind));
        plot_rect(out, m[i].kind == MOMENT_CRASHED ? "down" : "cut",
                  (struct plot_box){from, 20, to > from ? to - from : 10, height}, span_text(hint));
    }
}

static void plot_runs(FILE *out, const struct results *r, uint32_t rows)
{
    const struct plot_axis x = plot_axis_linear(r->counts.now_ns / 1000, 350, PLOT_WIDTH - 150);
    const uint32_t height = ROW * rows + 20;
    char word[PLOT_WORD_CHARS];
    plot_begin(
        out, "runs", "Runs over time",
        "A row for each run, by virtual time: waiting, elected, computing, committed; behind them crashes "
        "and partitions. The table beside it has the times.",
        height + 220);
    put_faults(out, r, &x, height);
    for (uint64_t tick = plot_tick_first(&x); tick != UINT64_MAX; tick = plot_tick_next(&x, tick)) {
        plot_line(out, "grid", plot_at(&x, tick), 20, plot_at(&x, tick), height + 20);
        plot_text(out, "soft", plot_at(&x, tick), height + 160, PLOT_MIDDLE,
                  span_text(plot_word_us(word, tick)));
    }
    for (uint32_t i = 0; i < rows; i++) put_run(out, r, i, &x);
    plot_end(out);
}

static void put_runs(FILE *out, const struct results *r)
{
    const uint32_t count = simulation_run_count(r->simulation),
                   rows = count < RUNS_SHOWN ? count : RUNS_SHOWN;
    section(out, "Runs over time", "From the request to the receipt at who asked for it.");
    plot_runs(out, r, rows);
    (void)fputs("<ul class=\"key\">", out);
    key(out, "wait", "waits");
    key(out, "d", "elected, asks for keys");
    key(out, "a", "has keys, computes");
    key(out, "c", "committed");
    key(out, "down", "a crash");
    key(out, "cut", "a partition");
    (void)fputs("</ul>\n", out);
    if (rows < count) (void)fprintf(out, "<p class=\"note\">The first %u of %u runs.</p>\n", rows, count);
    beside(out);
    table(out, r, RESULTS_TIMELINE);
    table(out, r, RESULTS_FAULTS);
    section_end(out);
}

/* --- Between regions --------------------------------------------------------------------------------------------------------------------- */

struct heat {
    uint32_t region[REGIONS_COUNT], count;
    uint64_t least, most; /* of the medians */
};

static uint64_t median_between(const struct results *r, uint32_t from, uint32_t to)
{
    return spread_quantile(census_delay_between(r->census, from, to), 500000);
}

static struct heat heat_of(const struct results *r)
{
    struct heat h = {.least = UINT64_MAX};
    bool used[REGIONS_COUNT] = {false};
    for (uint32_t i = 0; i < scenario_nodes(r->scenario); i++) used[census_node(r->census, i)->region] = true;
    for (uint32_t i = 0; i < REGIONS_COUNT; i++)
        if (used[i]) h.region[h.count++] = i;
    for (uint32_t a = 0; a < h.count; a++)
        for (uint32_t b = 0; b < h.count; b++) {
            const uint64_t us = median_between(r, h.region[a], h.region[b]);
            if (us == 0) continue;
            if (us < h.least) h.least = us;
            if (us > h.most) h.most = us;
        }
    return h;
}

static void heat_cell(FILE *out, const struct heat *h, struct plot_box box, uint64_t us, const char *pair)
{
    char style[16] = "none", word[PLOT_WORD_CHARS], hint[96];
    uint32_t level = 0;
    if (us > 0) {
        const struct plot_axis a = plot_axis_log(h->least, h->most, 0, HEAT_LEVELS * 100 - 1);
        level = plot_at(&a, us) / 100;
        (void)snprintf(style, sizeof style, "h%u", level);
    }
    (void)snprintf(hint, sizeof hint, "%s: %s", pair, us > 0 ? plot_word_us(word, us) : "nothing");
    plot_rect(out, style, box, span_text(hint));
    if (us == 0 || h->count > 8) return; /* no room for numbers: the table has them */
    (void)snprintf(word, sizeof word, "%" PRIu64, us / 1000);
    plot_text(out, level < 4 ? "on-light" : "on-dark", box.x + box.width / 2, box.y + box.height / 2 + 40,
              PLOT_MIDDLE, span_text(word));
}

static void plot_heat(FILE *out, const struct results *r, const struct heat *h)
{
    const uint32_t left = 1000, top = 300, cell = (PLOT_WIDTH - left - 50) / h->count,
                   side = cell < 420 ? cell : 420;
    char word[64], pair[64];
    plot_begin(
        out, "regions", "Median delivery latency between regions",
        "A matrix: rows are where a record comes from, columns where it goes; the darker, the longer. The "
        "table beside it has the numbers.",
        top + side * h->count + 40);
    for (uint32_t a = 0; a < h->count; a++) {
        (void)snprintf(word, sizeof word, "%s %u", regions_at(h->region[a])->name, a + 1);
        plot_text(out, "", left - 50, top + side * a + side / 2 + 40, PLOT_END, span_text(word));
        (void)snprintf(word, sizeof word, "%u", a + 1);
        const uint32_t lift =
            h->count > 8 ? a % 2 * 110 : 0; /* narrow columns: every other number stands higher */
        plot_text(out, "soft", left + side * a + side / 2, top - 50 - lift, PLOT_MIDDLE, span_text(word));
        for (uint32_t b = 0; b < h->count; b++) {
            (void)snprintf(pair, sizeof pair, "%s to %s", regions_at(h->region[a])->name,
                           regions_at(h->region[b])->name);
            heat_cell(out, h, (struct plot_box){left + side * b, top + side * a, side - 15, side - 15},
                      median_between(r, h->region[a], h->region[b]), pair);
        }
    }
    plot_end(out);
}

static void put_regions(FILE *out, const struct results *r)
{
    const struct heat h = heat_of(r);
    if (is_central(r)) {
        (void)fputs("<section><h2>Between regions</h2>\n", out);
        table(out, r, RESULTS_PATHS);
        (void)fputs("</section>\n", out);
        return;
    }
    section(out, "Between regions",
            "The median time, in milliseconds, from an author's disk in one region to where the record takes "
            "effect in another.");
    plot_heat(out, r, &h);
    beside(out);
    table(out, r, RESULTS_PATHS);
    section_end(out);
}

/* --- The page ------------------------------------------------------------------------------------------------------------------------------ */

static void put_exposure(FILE *out, const struct results *r)
{
    const struct results *federated = is_central(r) ? r->beside : r;
    (void)fputs(
        "<section><h2>Exposure</h2><p>Who came to hold what of whose rows, by the bytes that arrived and "
        "were opened.</p>\n",
        out);
    table(out, r, RESULTS_MODES);
    if (federated != NULL) {
        (void)fputs(
            "<p>With the protocol, rows were in plaintext beside at their owner in so many enclaves, whose "
            "evidence is SIMULATED here; and so many custodians together could open their key.</p>\n",
            out);
        table(out, federated, RESULTS_EXPOSURE);
    }
    table(out, r, RESULTS_READERS);
    (void)fputs("</section>\n", out);
}

static void put_foot(FILE *out, const struct results *r)
{
    char hex[65];
    hex_encode(hex, r->hash.bytes, sizeof r->hash.bytes);
    (void)fprintf(
        out,
        "<section><h2>The same again</h2><p>The scenario and the seed give this run again, on every machine: "
        "<code>perigee sim SCENARIO --seed %" PRIu64
        " --trust %s</code>, hash <code>%s</code></p></section>\n",
        r->seed, scenario_trust_names[r->scenario->trust], hex);
}

void page_write(FILE *out, const struct results *r)
{
    ASSERT(r->census != NULL);
    put_head(out, r);
    put_summary(out, r);
    put_exposure(out, r);
    if (!is_central(r)) put_latency(out, r); /* records and elections are the protocol's */
    put_runs(out, r);
    if (!is_central(r)) put_elections(out, r);
    if (!is_central(r)) put_duplicates(out, r);
    put_kinds(out, r);
    put_regions(out, r);
    put_foot(out, r);
    (void)fputs("</main></body></html>\n", out);
}
