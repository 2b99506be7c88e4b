#include "sim/sim.h"

#include "crypto/secret.h"
#include "sim/page.h"
#include "sim/regions.h"
#include "sim/report.h"
#include "sim/topology.h"
#include "sim/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { REPORT_BYTES = 1 << 24, REPORT_PARTY_BYTES = 512 };
static const size_t arena_bytes = (size_t)1 << 30; /* sparse */

const char *sim_region(uint32_t index)
{
    return index < REGIONS_COUNT ? regions_at(index)->name : NULL;
}

static enum err report_of(const struct results *r, uint8_t **report, size_t *len)
{
    const size_t most = REPORT_BYTES + (size_t)REPORT_PARTY_BYTES * r->scenario->party_count;
    uint8_t *bytes = malloc(most); /* touched as far as it is used */
    struct buffer out = buffer_make(bytes, most);
    if (bytes == NULL) return ERR_NO_MEMORY;
    report_write(&out, r);
    const enum err err = buffer_done(&out);
    if (err != OK) {
        free(bytes);
        return err;
    }
    *report = bytes;
    *len = out.len;
    return OK;
}

/* --- What is wished for beside it ------------------------------------------------------------------------------------------ */

struct output {
    const struct results *results;
    enum sim_output kind;
    enum results_table table; /* of SIM_CSV */
};

static bool output_write(FILE *out, const struct output *o)
{
    struct sheet csv = sheet_to_stream(SHEET_CSV, out);
    switch (o->kind) {
    case SIM_DETAIL: return true;
    case SIM_CSV: results_write(o->results, o->table, &csv); return true;
    case SIM_HTML: page_write(out, o->results); return true;
    case SIM_TRACE: return trace_write(out, o->results);
    case SIM_DOT: topology_write(out, o->results->scenario); return true;
    }
    return false;
}

static enum err hand_over(const struct sim_wish *wish, const struct output *o, const char *name)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (out == NULL) return ERR_NO_MEMORY;
    bool good = output_write(out, o) && ferror(out) == 0;
    good &= fclose(out) == 0;
    if (good) wish->take(wish->context, o->kind, name, span_make(text, len));
    free(text);
    return good ? OK : ERR_NO_MEMORY;
}

static enum err outputs(const struct sim_wish *wish, const struct results *r)
{
    static const enum sim_output single[] = {SIM_HTML, SIM_TRACE, SIM_DOT};
    struct output o = {.results = r, .kind = SIM_CSV};
    for (uint32_t i = 0; (wish->outputs & SIM_CSV) != 0 && i < RESULTS_TABLE_COUNT; i++) {
        o.table = (enum results_table)i;
        TRY(hand_over(wish, &o, results_name(o.table)));
    }
    for (size_t i = 0; i < sizeof single / sizeof single[0]; i++) {
        o.kind = single[i];
        if ((wish->outputs & (uint32_t)o.kind) != 0) TRY(hand_over(wish, &o, ""));
    }
    return OK;
}

/* --- One run ------------------------------------------------------------------------------------------------------------------ */

/* False: it was stopped. */
static bool play(struct simulation *s, const struct sim_wish *wish)
{
    if (wish->go_on == NULL) {
        while (simulation_run(s, UINT64_MAX)) {
        }
        return true;
    }
    while (simulation_run(s, 1)) {
        const struct simulation_progress p = simulation_progress(s);
        const struct sim_progress now = {p.virtual_ms, p.virtual_ms_planned, p.events, p.runs_ended, p.runs};
        if (!wish->go_on(wish->context, &now)) return false;
    }
    return true;
}

static enum err run(struct simulation *s, const struct scenario *scenario, uint8_t **report, size_t *len,
                    const struct sim_wish *wish)
{
    if (wish->outputs != 0) TRY(simulation_count(s, (wish->outputs & SIM_TRACE) != 0));
    const bool whole = play(s, wish);
    const struct results r = results_of(s, scenario, wish->seed, !whole);
    TRY(report_of(&r, report, len));
    const enum err err = outputs(wish, &r);
    if (err != OK) free(*report);
    return err;
}

static enum err run_in(struct arena *arena, uint8_t **report, size_t *len, const struct sim_wish *wish,
                       struct json_fault *fault)
{
    struct scenario *scenario;
    struct simulation *s;
    TRY(crypto_init());
    TRY(scenario_parse(&scenario, arena, wish->scenario, fault));
    TRY(simulation_new(&s, arena, scenario, wish->seed, fault));
    const enum err err = run(s, scenario, report, len, wish);
    simulation_free(s);
    return err;
}

enum err sim_run(uint8_t **report, size_t *len, const struct sim_wish *wish, char *fault, size_t cap)
{
    struct json_fault why = {{0}, {0}, OK};
    void *memory =
        mmap(NULL, arena_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return ERR_NO_MEMORY;
    struct arena arena = arena_make(memory, arena_bytes);
    const enum err err = run_in(&arena, report, len, wish, &why);
    (void)munmap(memory, arena_bytes);
    if (err != OK && cap > 0) {
        if (why.expected[0] != 0)
            (void)snprintf(fault, cap, "%s: expected %s (%s)", why.path, why.expected, err_name(why.err));
        else
            (void)snprintf(fault, cap, "%s", err_text(err));
    }
    return err;
}
