#include "sim/report.h"

#include "proto/field.h"
#include "sim/regions.h"

static void put_paths(struct json_writer *w, const struct simulation *s)
{
    json_key(w, "paths");
    json_begin_array(w);
    for (uint32_t a = 0; a < REGIONS_COUNT; a++)
        for (uint32_t b = 0; b < REGIONS_COUNT; b++) {
            const struct net_traffic t = simulation_traffic(s, a, b);
            if (t.messages == 0) continue;
            json_begin_object(w);
            field_put_int(w, "bytes", (int64_t)t.bytes);
            field_put_word(w, "from", regions_at(a)->name);
            field_put_int(w, "lost", (int64_t)t.lost);
            field_put_int(w, "messages", (int64_t)t.messages);
            field_put_int(w, "retransmitted", (int64_t)t.retransmitted);
            field_put_word(w, "to", regions_at(b)->name);
            json_end_object(w);
        }
    json_end_array(w);
}

/* Where rows were in plaintext: at their owner, and in so many enclaves. */
static void put_exposure(struct json_writer *w, const struct simulation *s)
{
    const struct papers *p = simulation_papers(s);
    json_key(w, "exposure");
    json_begin_array(w);
    for (uint32_t i = 0; i < p->dataset_count; i++) {
        const struct scenario_party *owner = p->dataset[i].owner->party;
        json_begin_object(w);
        field_put_int(w, "enclaves", (int64_t)simulation_opened(s, i));
        field_put_text(w, "owner", owner->name);
        field_put_int(w, "rows", owner->rows);
        json_end_object(w);
    }
    json_end_array(w);
}

static void put_runs(struct json_writer *w, const struct simulation_counts *c)
{
    json_key(w, "runs");
    json_begin_object(w);
    field_put_int(w, "ended", c->runs_ended);
    field_put_int(w, "requested", c->runs_requested);
    field_put_int(w, "settle_least_ms", (int64_t)c->settle_ms_least);
    field_put_int(w, "settle_median_ms", (int64_t)c->settle_ms_median);
    field_put_int(w, "settle_most_ms", (int64_t)c->settle_ms_most);
    field_put_int(w, "settled", c->runs_settled);
    json_end_object(w);
}

void report_write(struct buffer *out, struct simulation *s, const struct scenario *scenario, uint64_t seed,
                  bool interrupted)
{
    struct simulation_counts c;
    struct json_writer w;
    const char *violation = simulation_violation(s);
    const struct hash32 hash = simulation_hash(s);
    simulation_counts(s, &c);
    json_writer_init(&w, out);
    json_begin_object(&w);
    field_put_int(&w, "bytes", (int64_t)c.bytes);
    field_put_word(&w, "computation", "digest"); /* of the rows and the seed, in place of the gate's output */
    field_put_int(&w, "crashes", c.crashes);
    field_put_word(&w, "crypto", "real");
    field_put_int(&w, "events", (int64_t)c.events);
    field_put_word(&w, "evidence", "simulated");
    put_exposure(&w, s);
    field_put_int(&w, "formed_ms", (int64_t)c.formed_ms);
    field_put_hex(&w, "hash", ID_SPAN(hash));
    if (interrupted) field_put_bool(&w, "interrupted", true);
    field_put_int(&w, "messages", (int64_t)c.messages);
    field_put_text(&w, "name", scenario->name);
    field_put_int(&w, "partitions", c.parts);
    put_paths(&w, s);
    field_put_word(&w, "perigee", "simulation/1");
    field_put_int(&w, "records_applied", (int64_t)c.records);
    put_runs(&w, &c);
    field_put_int(&w, "seed", (int64_t)seed);
    if (violation != NULL) field_put_word(&w, "violation", violation);
    field_put_int(&w, "virtual_ms", (int64_t)(c.now_ns / 1000000));
    json_end_object(&w);
}
