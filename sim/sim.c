#include "sim/sim.h"

#include "crypto/secret.h"
#include "sim/page.h"
#include "sim/regions.h"
#include "sim/report.h"
#include "sim/swarm.h"
#include "sim/sweep.h"
#include "sim/topology.h"
#include "sim/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { REPORT_BYTES = 1 << 24, REPORT_PARTY_BYTES = 512 };
static const size_t arena_bytes = (size_t)1 << 34; /* sparse */

const char *sim_region(uint32_t index)
{
    return index < REGIONS_COUNT ? regions_at(index)->name : NULL;
}

void sim_csv(FILE *out, const struct span *word, uint32_t count)
{
    sheet_record(out, word, count);
}

/* What was written to `bytes`, or nothing. */
static enum err hand_out(uint8_t **text, size_t *len, uint8_t *bytes, const struct buffer *out, enum err err)
{
    if (err != OK) free(bytes);
    *text = err == OK ? bytes : NULL;
    *len = out->len;
    return err;
}

static enum err report_of(const struct results *r, uint8_t **report, size_t *len)
{
    const size_t most = REPORT_BYTES + (size_t)REPORT_PARTY_BYTES * scenario_nodes(r->scenario);
    uint8_t *bytes = malloc(most); /* touched as far as it is used */
    struct buffer out = buffer_make(bytes, most);
    if (bytes == NULL) return ERR_NO_MEMORY;
    report_write(&out, r);
    return hand_out(report, len, bytes, &out, buffer_done(&out));
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

static enum err begin(struct simulation **s, struct arena *arena, const struct scenario *scenario,
                      const struct sim_wish *wish, struct json_fault *fault)
{
    TRY(simulation_new(s, arena, scenario, wish->seed, fault));
    const enum err err = wish->outputs != 0 ? simulation_count(*s, (wish->outputs & SIM_TRACE) != 0) : OK;
    if (err != OK) simulation_free(*s);
    return err;
}

static enum err tell(const struct results *r, uint8_t **report, size_t *len, const struct sim_wish *wish)
{
    TRY(simulation_error(r->simulation));
    TRY(report_of(r, report, len));
    const enum err err = outputs(wish, r);
    if (err != OK) free(*report);
    return err;
}

static struct results run(struct simulation *s, const struct scenario *scenario, const struct sim_wish *wish)
{
    const bool whole = play(s, wish);
    return results_of(s, scenario, wish->seed, !whole);
}

/* The protocol first, then the same study without it. Where the first was stopped, or broke a property, there is nothing to put the
 * second beside: what is told is the first. */
static enum err run_beside(struct arena *arena, uint8_t **report, size_t *len,
                           const struct scenario *scenario, const struct sim_wish *wish,
                           struct json_fault *fault)
{
    struct scenario federated = *scenario;
    struct simulation *first, *s;
    federated.trust = TRUST_FEDERATED;
    TRY(begin(&first, arena, &federated, wish, fault));
    const struct results beside = run(first, &federated, wish);
    const bool alone = beside.interrupted || beside.violation != NULL;
    enum err err = alone ? tell(&beside, report, len, wish) : begin(&s, arena, scenario, wish, fault);
    if (err == OK && !alone) {
        struct results r = run(s, scenario, wish);
        r.beside = &beside;
        err = tell(&r, report, len, wish);
        simulation_free(s);
    }
    simulation_free(first);
    return err;
}

static enum err refuse_central(struct json_fault *fault)
{
    *fault = (struct json_fault){.path = "consortia", .err = ERR_CONFLICT};
    (void)snprintf(fault->expected, sizeof fault->expected, "%s", scenario_one_expected);
    return ERR_CONFLICT;
}

static enum err run_in(struct arena *arena, uint8_t **report, size_t *len, const struct sim_wish *wish,
                       struct json_fault *fault)
{
    struct scenario *scenario;
    struct simulation *s;
    TRY(crypto_init());
    TRY(scenario_parse(&scenario, arena, wish->scenario, fault));
    if (wish->trust != SIM_TRUST_AS_WRITTEN)
        scenario->trust = wish->trust == SIM_TRUST_CENTRAL ? TRUST_CENTRAL : TRUST_FEDERATED;
    if (scenario->trust == TRUST_CENTRAL && scenario->consortia > 1) return refuse_central(fault);
    if (scenario->trust == TRUST_CENTRAL) return run_beside(arena, report, len, scenario, wish, fault);
    TRY(begin(&s, arena, scenario, wish, fault));
    const struct results r = run(s, scenario, wish);
    const enum err err = tell(&r, report, len, wish);
    simulation_free(s);
    return err;
}

static void say(char *fault, size_t cap, enum err err, const struct json_fault *why)
{
    if (cap == 0) return;
    if (why->expected[0] != 0)
        (void)snprintf(fault, cap, "%s: expected %s (%s)", why->path, why->expected, err_name(why->err));
    else
        (void)snprintf(fault, cap, "%s", err_text(err));
}

/* Nothing is in it when there is no more. */
static struct arena sparse_arena(void)
{
    void *memory =
        mmap(NULL, arena_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? (struct arena){0} : arena_make(memory, arena_bytes);
}

static void give_back(struct arena *arena)
{
    if (arena->data != NULL) (void)munmap(arena->data, arena_bytes);
}

enum err sim_run(uint8_t **report, size_t *len, const struct sim_wish *wish, char *fault, size_t cap)
{
    struct json_fault why = {{0}, {0}, OK};
    struct arena arena = sparse_arena();
    if (arena.data == NULL) return ERR_NO_MEMORY;
    const enum err err = run_in(&arena, report, len, wish, &why);
    give_back(&arena);
    if (err != OK) say(fault, cap, err, &why);
    return err;
}

/* --- Swarms -------------------------------------------------------------------------------------------------------------- */

static enum err text_of(uint8_t **text, size_t *len, const struct scenario *s)
{
    uint8_t *bytes = malloc(SCENARIO_BYTES_MAX);
    struct buffer out = buffer_make(bytes, SCENARIO_BYTES_MAX);
    if (bytes == NULL) return ERR_NO_MEMORY;
    return hand_out(text, len, bytes, &out, scenario_write(&out, s));
}

enum err sim_draw(uint8_t **scenario, size_t *len, uint64_t seed)
{
    struct scenario s;
    struct swarm_room *room = malloc(sizeof *room);
    if (room == NULL) return ERR_NO_MEMORY;
    swarm_draw(&s, room, seed);
    const enum err err = text_of(scenario, len, &s);
    free(room);
    return err;
}

struct hunt {
    struct sim_wish wish;
    const char *violation;
};

static bool breaks_so(struct simulation *s, const struct hunt *h)
{
    const bool whole = play(s, &h->wish);
    const char *found = simulation_violation(s), *end = strchr(h->violation, ':');
    const size_t property = end != NULL ? (size_t)(end - h->violation) : strlen(h->violation);
    return whole && found != NULL && strncmp(found, h->violation, property) == 0 && found[property] == ':';
}

static bool breaks_again(void *context, const struct scenario *s)
{
    const struct hunt *h = context;
    struct json_fault why = {{0}, {0}, OK};
    struct arena arena = sparse_arena();
    struct simulation *simulation;
    bool broken = false;
    if (arena.data == NULL) return false;
    if (simulation_new(&simulation, &arena, s, h->wish.seed, &why) == OK) {
        broken = breaks_so(simulation, h);
        simulation_free(simulation);
    }
    give_back(&arena);
    return broken;
}

static enum err shrink_in(struct arena *arena, uint8_t **scenario, size_t *len, struct hunt *hunt,
                          uint32_t tries)
{
    struct json_fault why = {{0}, {0}, OK};
    struct scenario *read, s;
    struct swarm_room *room = ARENA_NEW(arena, struct swarm_room);
    TRY(crypto_init());
    TRY(scenario_parse(&read, arena, hunt->wish.scenario, &why));
    if (room == NULL) return ERR_NO_MEMORY;
    s = *read;
    memcpy(room->party, s.party, s.party_count * sizeof *s.party);
    if (s.fault_count > 0) memcpy(room->fault, s.fault, s.fault_count * sizeof *s.fault);
    s.party = room->party;
    s.fault = room->fault;
    swarm_shrink(&s, room, breaks_again, hunt, tries);
    return text_of(scenario, len, &s);
}

enum err sim_shrink(uint8_t **scenario, size_t *len, const struct sim_wish *wish, const char *violation,
                    uint32_t tries)
{
    struct hunt hunt = {*wish, violation};
    struct arena arena = sparse_arena();
    if (arena.data == NULL) return ERR_NO_MEMORY;
    const enum err err = shrink_in(&arena, scenario, len, &hunt, tries);
    give_back(&arena);
    return err;
}

/* --- Sweeps --------------------------------------------------------------------------------------------------------------- */

struct sim_sweep {
    struct arena arena; /* sparse */
    struct sweep *sweep;
};

/* With the values of the point in front, where there are any. */
static void say_point(char *fault, size_t cap, const struct sweep *s, uint32_t point)
{
    char values[512], rest[512];
    struct buffer text = buffer_make(values, sizeof values - 1);
    if (s->axis_count == 0 || cap == 0 || sweep_values(s, &text, point) != OK) return;
    buffer_put_zero(&text);
    (void)snprintf(rest, sizeof rest, "%s", fault);
    (void)snprintf(fault, cap, "with %s: %s", values, rest);
}

static enum err sweep_read(struct sim_sweep *s, struct span sweep, struct span scenario, char *fault,
                           size_t cap)
{
    struct json_fault why = {{0}, {0}, OK};
    uint32_t point;
    enum err err = sweep_parse(&s->sweep, &s->arena, sweep, scenario, &why);
    if (err != OK) {
        say(fault, cap, err, &why);
        return err;
    }
    err = sweep_check(s->sweep, &point, &s->arena, &why);
    if (err == OK) return OK;
    say(fault, cap, err, &why);
    say_point(fault, cap, s->sweep, point);
    return err;
}

enum err sim_sweep_open(struct sim_sweep **out, struct span sweep, struct span scenario, char *fault,
                        size_t cap)
{
    struct sim_sweep *s = malloc(sizeof *s);
    if (s == NULL) return ERR_NO_MEMORY;
    *s = (struct sim_sweep){.arena = sparse_arena()};
    const enum err err = s->arena.data != NULL ? sweep_read(s, sweep, scenario, fault, cap) : ERR_NO_MEMORY;
    if (err == OK)
        *out = s;
    else
        sim_sweep_close(s);
    return err;
}

void sim_sweep_close(struct sim_sweep *s)
{
    if (s != NULL) give_back(&s->arena);
    free(s);
}

uint64_t sim_sweep_cells(const struct sim_sweep *s)
{
    return sweep_cells(s->sweep);
}

void sim_sweep_cell(const struct sim_sweep *s, uint32_t *point, uint64_t *seed, uint64_t cell)
{
    const struct sweep_cell at = sweep_cell_at(s->sweep, cell);
    *point = at.point;
    *seed = at.seed;
}

/* Its points have been checked: nothing but memory can be missing. */
enum err sim_sweep_scenario(const struct sim_sweep *s, uint8_t **text, size_t *len, uint32_t point)
{
    struct json_fault why = {{0}, {0}, OK};
    struct arena scratch = s->arena; /* what is behind its end */
    uint8_t *bytes = malloc(SCENARIO_BYTES_MAX);
    struct buffer out = buffer_make(bytes, SCENARIO_BYTES_MAX);
    if (bytes == NULL) return ERR_NO_MEMORY;
    const enum err err = sweep_scenario(s->sweep, &out, &scratch, point, &why);
    return hand_out(text, len, bytes, &out, err);
}

enum err sim_sweep_values(const struct sim_sweep *s, uint8_t **text, size_t *len, uint32_t point)
{
    enum { VALUES_BYTES = SWEEP_KEYS_MAX * (SWEEP_KEY_CHARS + 2 * SWEEP_VALUE_CHARS + 8) + 2 };
    uint8_t *bytes = malloc(VALUES_BYTES);
    struct buffer out = buffer_make(bytes, VALUES_BYTES);
    if (bytes == NULL) return ERR_NO_MEMORY;
    const enum err err = sweep_values(s->sweep, &out, point);
    return hand_out(text, len, bytes, &out, err);
}
