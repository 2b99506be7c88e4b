#include "sim/report.h"

#include "proto/field.h"

/* How many rows it leaves out. */
static uint64_t put_table(struct json_writer *w, const struct results *r, enum results_table t)
{
    struct sheet sheet = sheet_to_json(w);
    if (!results_has(r, t)) return 0;
    json_key(w, results_name(t));
    results_write(r, t, &sheet);
    return sheet.skipped;
}

/* Microseconds from the author's disk to where a record took effect. */
static void put_delivery(struct json_writer *w, const struct results *r)
{
    if (r->census == NULL) return;
    const struct spread *delay = census_delay(r->census);
    json_key(w, "delivery");
    json_begin_object(w);
    field_put_int(w, "count", (int64_t)delay->count);
    field_put_int(w, "max_us", (int64_t)delay->most);
    field_put_int(w, "p50_us", (int64_t)spread_quantile(delay, 500000));
    field_put_int(w, "p90_us", (int64_t)spread_quantile(delay, 900000));
    field_put_int(w, "p99_us", (int64_t)spread_quantile(delay, 990000));
    json_end_object(w);
}

/* What found no place in a list that has an end, or could not be measured. */
static void put_missed(struct json_writer *w, const struct results *r)
{
    if (r->census == NULL) return;
    const struct census_missed m = census_missed(r->census);
    json_key(w, "missed");
    json_begin_object(w);
    field_put_int(w, "deliveries", (int64_t)m.deliveries);
    field_put_int(w, "elections", (int64_t)m.elections);
    field_put_int(w, "faults", (int64_t)m.moments);
    json_end_object(w);
}

static void put_records(struct json_writer *w, const struct results *r)
{
    uint64_t received = 0, again = 0;
    if (r->census == NULL) return;
    for (uint32_t i = 0; i < scenario_nodes(r->scenario); i++) {
        received += census_node(r->census, i)->received;
        again += census_node(r->census, i)->again;
    }
    field_put_int(w, "records_held_already", (int64_t)again);
    field_put_int(w, "records_received", (int64_t)received);
}

/* Where members break the protocol in what they send: in how many messages. */
static void put_adversaries(struct json_writer *w, const struct simulation_counts *c)
{
    if (c->withheld + c->replayed + c->flooded + c->bypassed == 0) return;
    json_key(w, "adversaries");
    json_begin_object(w);
    field_put_int(w, "bypassed", (int64_t)c->bypassed);
    field_put_int(w, "flooded", (int64_t)c->flooded);
    field_put_int(w, "replayed", (int64_t)c->replayed);
    field_put_int(w, "withheld", (int64_t)c->withheld);
    json_end_object(w);
}

static void put_runs(struct json_writer *w, const struct simulation_counts *c)
{
    json_key(w, "runs");
    json_begin_object(w);
    if (c->runs_barred > 0) {
        field_put_int(w, "barred", c->runs_barred);
        field_put_word(w, "barred_for", c->barred_for);
    }
    field_put_int(w, "ended", c->runs_ended);
    field_put_int(w, "requested", c->runs_requested);
    field_put_int(w, "settle_least_ms", (int64_t)c->settle_ms_least);
    field_put_int(w, "settle_median_ms", (int64_t)c->settle_ms_median);
    field_put_int(w, "settle_most_ms", (int64_t)c->settle_ms_most);
    field_put_int(w, "settled", c->runs_settled);
    json_end_object(w);
}

void report_write(struct buffer *out, const struct results *r)
{
    const struct simulation_counts *c = &r->counts;
    const bool federated = r->scenario->trust == TRUST_FEDERATED;
    uint64_t unlisted = 0;
    struct json_writer w;
    json_writer_init(&w, out);
    json_begin_object(&w);
    put_adversaries(&w, c);
    field_put_int(&w, "bytes", (int64_t)c->bytes);
    field_put_int(&w, "bytes_abroad", (int64_t)c->bytes_abroad);
    field_put_word(&w, "computation", "digest"); /* of the rows and the seed, in place of the gate's output */
    if (r->scenario->consortia > 1) field_put_int(&w, "consortia", r->scenario->consortia);
    field_put_int(&w, "crashes", c->crashes);
    if (federated) field_put_word(&w, "crypto", scenario_crypto_names[r->scenario->crypto]);
    put_delivery(&w, r);
    unlisted += put_table(&w, r, RESULTS_ELECTIONS);
    field_put_int(&w, "events", (int64_t)c->events);
    if (federated) field_put_word(&w, "evidence", "simulated");
    unlisted += put_table(&w, r, RESULTS_EXPOSURE);
    unlisted += put_table(&w, r, RESULTS_FAULTS);
    field_put_int(&w, "formed_ms", (int64_t)c->formed_ms);
    field_put_hex(&w, "hash", ID_SPAN(r->hash));
    if (r->interrupted) field_put_bool(&w, "interrupted", true);
    unlisted += put_table(&w, r, RESULTS_KINDS);
    unlisted += put_table(&w, r, RESULTS_LATENCY);
    field_put_int(&w, "messages", (int64_t)c->messages);
    put_missed(&w, r);
    unlisted += put_table(&w, r, RESULTS_MODES);
    field_put_text(&w, "name", r->scenario->name);
    unlisted += put_table(&w, r, RESULTS_NODES);
    field_put_int(&w, "partitions", c->parts);
    unlisted += put_table(&w, r, RESULTS_PATHS);
    field_put_word(&w, "perigee", "simulation/1");
    unlisted += put_table(&w, r, RESULTS_READERS);
    field_put_int(&w, "records_applied", (int64_t)c->records);
    put_records(&w, r);
    put_runs(&w, c);
    field_put_int(&w, "seed", (int64_t)r->seed);
    unlisted += put_table(&w, r, RESULTS_TIMELINE);
    field_put_word(&w, "trust", scenario_trust_names[r->scenario->trust]);
    if (unlisted > 0) field_put_int(&w, "unlisted", (int64_t)unlisted);
    if (r->violation != NULL) field_put_word(&w, "violation", r->violation);
    field_put_int(&w, "virtual_ms", (int64_t)(c->now_ns / 1000000));
    json_end_object(&w);
}
