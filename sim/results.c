#include "sim/results.h"

#include "proto/base/panic.h"
#include "sim/regions.h"

#include <stdlib.h>
#include <string.h>

struct results results_of(struct simulation *s, const struct scenario *scenario, uint64_t seed,
                          bool interrupted)
{
    struct results r = {.simulation = s,
                        .scenario = scenario,
                        .census = simulation_census(s),
                        .seed = seed,
                        .interrupted = interrupted,
                        .violation = simulation_violation(s),
                        .hash = simulation_hash(s)};
    simulation_counts(s, &r.counts);
    return r;
}

_Static_assert(SCENARIO_NODES_MAX < 1000000, "RESULTS_NAME_CHARS");
struct span results_party(const struct results *r, uint32_t node, struct results_name *room)
{
    const uint32_t count = r->scenario->party_count;
    ASSERT(node < scenario_nodes(r->scenario));
    const struct span name = r->scenario->party[node % count].name;
    if (r->scenario->consortia == 1) return name;
    (void)snprintf(room->text, sizeof room->text, "%.*s@%u", (int)name.len, (const char *)name.data,
                   node / count + 1);
    return span_text(room->text);
}

/* --- Runs and elections ---------------------------------------------------------------------------------------------------- */

uint32_t results_number(const struct results *r, const struct census_election *e)
{
    return simulation_run_number(r->simulation, e->node, e->run);
}

struct results_run results_run(const struct results *r, uint32_t index)
{
    struct results_run out = {.view = simulation_run_at(r->simulation, index)};
    uint32_t count = 0;
    const struct census_election *e = r->census != NULL ? census_elections(r->census, &count) : NULL;
    for (uint32_t i = 0; i < count; i++) {
        if (!ID_EQUAL(e[i].run, out.view.run)) continue;
        out.certificates++;
        const bool decided = out.election != NULL && out.election->at_ns[PHASE_COMMITTED] != 0;
        if (!decided) out.election = &e[i];
    }
    return out;
}

static void put_ms(struct sheet *sheet, uint64_t at_ns)
{
    sheet_number_if(sheet, at_ns != 0, at_ns / 1000000);
}

static void put_timeline(const struct results *r, struct sheet *sheet)
{
    struct results_name room;
    const uint32_t count = simulation_run_count(r->simulation);
    for (uint32_t i = 0; i < count; i++) {
        const struct results_run run = results_run(r, i);
        const struct census_election *e = run.election;
        const bool settled = run.view.settled_ms != 0;
        sheet_number(sheet, run.view.number);
        sheet_word(sheet, span_text(settled ? "settled" : run.view.ended ? "ended" : "open"));
        sheet_number(sheet, run.view.asked_ms);
        put_ms(sheet, e != NULL ? e->at_ns[PHASE_ELECTED] : 0);
        put_ms(sheet, e != NULL ? e->at_ns[PHASE_KEYED] : 0);
        put_ms(sheet, e != NULL ? e->at_ns[PHASE_COMMITTED] : 0);
        sheet_number_if(sheet, settled, run.view.settled_ms);
        sheet_number_if(sheet, e != NULL, e != NULL ? e->term : 0);
        sheet_number_if(sheet, r->census != NULL, run.certificates);
        sheet_word(sheet, e != NULL ? results_party(r, e->node, &room) : SPAN_NONE);
        sheet_row(sheet);
    }
}

static void put_elections(const struct results *r, struct sheet *sheet)
{
    uint32_t count;
    struct results_name room;
    const struct census_election *e = census_elections(r->census, &count);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t number = results_number(r, &e[i]);
        sheet_number_if(sheet, number != 0, number);
        sheet_number(sheet, e[i].term);
        sheet_word(sheet, results_party(r, e[i].node, &room));
        for (uint32_t phase = 0; phase < PHASE_COUNT; phase++) put_ms(sheet, e[i].at_ns[phase]);
        sheet_row(sheet);
    }
}

static void put_faults(const struct results *r, struct sheet *sheet)
{
    uint32_t count;
    struct results_name room;
    const struct census_moment *m = census_moments(r->census, &count);
    for (uint32_t i = 0; i < count; i++) {
        sheet_number(sheet, m[i].at_ns / 1000000);
        sheet_word(sheet, results_party(r, m[i].node, &room));
        sheet_word(sheet, span_text(census_moment_name(m[i].kind)));
        sheet_row(sheet);
    }
}

/* --- Messages ------------------------------------------------------------------------------------------------------------------ */

static int most_bytes_first(const void *a, const void *b)
{
    const struct results_kind *x = a, *y = b;
    if (x->sent.bytes != y->sent.bytes) return x->sent.bytes > y->sent.bytes ? -1 : 1;
    return strcmp(x->name, y->name);
}

static void take_kind(struct results_kind *out, uint32_t *count, const char *before, const char *name,
                      struct census_traffic sent)
{
    if (sent.messages == 0) return;
    ASSERT(*count < RESULTS_KINDS_MAX);
    (void)snprintf(out[*count].name, sizeof out[*count].name, "%s%s", before, name);
    out[(*count)++].sent = sent;
}

uint32_t results_kinds(const struct results *r, struct results_kind out[RESULTS_KINDS_MAX])
{
    uint32_t count = 0;
    for (uint32_t code = 0; code < CENSUS_CODES; code++) {
        if (message_known(code))
            take_kind(out, &count, "", message_name((enum message)code),
                      census_message(r->census, (uint8_t)code));
        if (kind_known(code))
            take_kind(out, &count, "record: ", kind_name((enum kind)code),
                      census_kind(r->census, (uint8_t)code));
        const char *central = simulation_plain_name((uint8_t)code);
        if (central != NULL)
            take_kind(out, &count, "plain: ", central, census_message(r->census, (uint8_t)code));
    }
    qsort(out, count, sizeof out[0], most_bytes_first);
    return count;
}

static void put_kinds(const struct results *r, struct sheet *sheet)
{
    struct results_kind kind[RESULTS_KINDS_MAX];
    const uint32_t count = results_kinds(r, kind);
    for (uint32_t i = 0; i < count; i++) {
        sheet_word(sheet, span_text(kind[i].name));
        sheet_number(sheet, kind[i].sent.messages);
        sheet_number(sheet, kind[i].sent.bytes);
        sheet_row(sheet);
    }
}

static void put_latency(const struct results *r, struct sheet *sheet)
{
    const struct spread *delay = census_delay(r->census);
    for (uint32_t i = 0; i < SPREAD_BUCKETS; i++) {
        if (delay->bucket[i] == 0) continue;
        sheet_number(sheet, spread_least_of(i));
        sheet_number(sheet, spread_most_of(i));
        sheet_number(sheet, delay->bucket[i]);
        sheet_row(sheet);
    }
}

static void put_nodes(const struct results *r, struct sheet *sheet)
{
    struct results_name room;
    for (uint32_t i = 0; i < scenario_nodes(r->scenario); i++) {
        const struct census_node *n = census_node(r->census, i);
        sheet_word(sheet, results_party(r, i, &room));
        sheet_word(sheet, span_text(regions_at(n->region)->name));
        sheet_number(sheet, n->sent.messages);
        sheet_number(sheet, n->sent.bytes);
        sheet_number(sheet, n->received);
        sheet_number(sheet, n->again);
        sheet_number(sheet, n->applied);
        sheet_number(sheet, n->work_ns / 1000);
        sheet_number(sheet, n->crashes);
        sheet_number(sheet, n->cuts);
        sheet_row(sheet);
    }
}

static void put_path(const struct results *r, struct sheet *sheet, uint32_t from, uint32_t to)
{
    const struct net_traffic t = simulation_traffic(r->simulation, from, to);
    if (t.messages == 0) return;
    const struct spread *delay = r->census != NULL ? census_delay_between(r->census, from, to) : NULL;
    const bool delivered = delay != NULL && delay->count > 0;
    sheet_word(sheet, span_text(regions_at(from)->name));
    sheet_word(sheet, span_text(regions_at(to)->name));
    sheet_number(sheet, regions_rtt_us(from, to));
    sheet_number(sheet, t.messages);
    sheet_number(sheet, t.bytes);
    sheet_number(sheet, t.lost);
    sheet_number(sheet, t.retransmitted);
    sheet_number_if(sheet, delay != NULL, delay != NULL ? delay->count : 0);
    sheet_number_if(sheet, delivered, delivered ? spread_quantile(delay, 500000) : 0);
    sheet_number_if(sheet, delivered, delivered ? spread_quantile(delay, 990000) : 0);
    sheet_row(sheet);
}

static void put_paths(const struct results *r, struct sheet *sheet)
{
    for (uint32_t a = 0; a < REGIONS_COUNT; a++)
        for (uint32_t b = 0; b < REGIONS_COUNT; b++) put_path(r, sheet, a, b);
}

/* --- Exposure -------------------------------------------------------------------------------------------------------------------- */

/* It costs, so that it is tried only for who wants details. */
static uint32_t together_of(const struct results *r, uint32_t consortium, uint32_t dataset)
{
    return r->census != NULL ? simulation_together(r->simulation, consortium, dataset) : 0;
}

/* Of the dataset for which it takes the fewest; 0: of none. Of many consortia, in the first. */
static uint32_t least_together(const struct results *r)
{
    uint32_t least = 0;
    for (uint32_t i = 0; i < simulation_papers(r->simulation, 0)->dataset_count; i++) {
        const uint32_t together = together_of(r, 0, i);
        if (together > 0 && (least == 0 || together < least)) least = together;
    }
    return least;
}

static void put_owner(const struct results *r, struct sheet *sheet, uint32_t consortium, uint32_t dataset)
{
    const struct player *owner = simulation_papers(r->simulation, consortium)->dataset[dataset].owner;
    const uint32_t first = consortium * r->scenario->party_count;
    struct results_name room;
    sheet_word(sheet, results_party(r, first + owner->number, &room));
    sheet_number(sheet, owner->party->rows);
    sheet_number(sheet, flow_opened_times(simulation_flow(r->simulation, consortium), dataset));
    const uint32_t together = sheet_takes(sheet) ? together_of(r, consortium, dataset) : 0;
    sheet_number_if(sheet, together > 0, together);
    sheet_row(sheet);
}

static void put_exposure(const struct results *r, struct sheet *sheet)
{
    for (uint32_t c = 0; c < simulation_founded(r->simulation); c++)
        for (uint32_t i = 0; i < simulation_papers(r->simulation, c)->dataset_count; i++)
            put_owner(r, sheet, c, i);
}

/* What one party holds of one owner's rows: the most that it is, and what else. */
static void put_held(const struct results *r, struct sheet *sheet, uint32_t node, uint32_t dataset)
{
    const uint32_t count = r->scenario->party_count, party = node % count;
    const struct flow *f = simulation_flow(r->simulation, node / count);
    const struct player *owner = f->papers->dataset[dataset].owner;
    struct results_name room, other;
    for (uint32_t held = 0; held < FLOW_COUNT && owner->number != party; held++) {
        const uint32_t times = f->times[party][dataset][held];
        if (times == 0) continue;
        sheet_word(sheet, span_text(scenario_trust_names[r->scenario->trust]));
        sheet_word(sheet, results_party(r, node, &room));
        sheet_word(sheet, results_party(r, node - party + owner->number, &other));
        sheet_number(sheet, held == FLOW_PLAINTEXT ? flow_readable(f, party, dataset) : 0);
        sheet_word(sheet, span_text(flow_name((enum flow_held)held)));
        sheet_number(sheet, times);
        sheet_row(sheet);
    }
}

static void put_readers(const struct results *r, struct sheet *sheet)
{
    const uint32_t datasets = simulation_papers(r->simulation, 0)->dataset_count;
    const uint32_t nodes = simulation_founded(r->simulation) * r->scenario->party_count;
    for (uint32_t node = 0; node < nodes; node++)
        for (uint32_t i = 0; i < datasets; i++) put_held(r, sheet, node, i);
    if (r->beside != NULL) put_readers(r->beside, sheet);
}

struct flowed {
    uint64_t plaintext_abroad, sealed_abroad;
    uint32_t readers;
};

static struct flowed flowed(const struct results *r)
{
    struct flowed all = {0, 0, 0};
    for (uint32_t c = 0; c < simulation_founded(r->simulation); c++) {
        const struct flow *f = simulation_flow(r->simulation, c);
        all.plaintext_abroad += f->plaintext_abroad;
        all.sealed_abroad += f->sealed_abroad;
        all.readers += flow_readers(f);
    }
    return all;
}

static void put_modes(const struct results *r, struct sheet *sheet)
{
    const struct simulation_counts *c = &r->counts;
    const struct flowed f = flowed(r);
    const bool settled = c->runs_settled > 0;
    sheet_word(sheet, span_text(scenario_trust_names[r->scenario->trust]));
    sheet_number(sheet, c->formed_ms);
    sheet_number(sheet, c->runs_settled);
    sheet_number_if(sheet, settled, c->settle_ms_median);
    sheet_number_if(sheet, settled, c->settle_ms_most);
    sheet_number(sheet, c->messages);
    sheet_number(sheet, c->bytes);
    sheet_number(sheet, c->bytes_abroad);
    sheet_number(sheet, f.plaintext_abroad);
    sheet_number(sheet, f.sealed_abroad);
    sheet_number(sheet, f.readers);
    const uint32_t together = least_together(r);
    sheet_number_if(sheet, together > 0, together);
    sheet_row(sheet);
    if (r->beside != NULL) put_modes(r->beside, sheet);
}

/* --- All of them ------------------------------------------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    bool counted;
    const char *caption, *columns;
} tables[RESULTS_TABLE_COUNT] = {
#define RESULTS_ROW(symbol, name, counted, caption, columns) [symbol] = {name, counted, caption, columns},
    RESULTS_TABLE(RESULTS_ROW)
#undef RESULTS_ROW
};

const char *results_name(enum results_table t)
{
    ASSERT(t < RESULTS_TABLE_COUNT);
    return tables[t].name;
}

bool results_has(const struct results *r, enum results_table t)
{
    ASSERT(t < RESULTS_TABLE_COUNT);
    return r->census != NULL || !tables[t].counted;
}

void results_write(const struct results *r, enum results_table t, struct sheet *sheet)
{
    ASSERT(results_has(r, t));
    sheet_begin(sheet, tables[t].caption, tables[t].columns);
    switch (t) {
    case RESULTS_ELECTIONS: put_elections(r, sheet); break;
    case RESULTS_EXPOSURE: put_exposure(r, sheet); break;
    case RESULTS_FAULTS: put_faults(r, sheet); break;
    case RESULTS_KINDS: put_kinds(r, sheet); break;
    case RESULTS_LATENCY: put_latency(r, sheet); break;
    case RESULTS_MODES: put_modes(r, sheet); break;
    case RESULTS_NODES: put_nodes(r, sheet); break;
    case RESULTS_PATHS: put_paths(r, sheet); break;
    case RESULTS_READERS: put_readers(r, sheet); break;
    case RESULTS_TIMELINE: put_timeline(r, sheet); break;
    case RESULTS_TABLE_COUNT: UNREACHABLE();
    }
    sheet_end(sheet);
}
