/* One consortium: what comes up in it, its trace, its beginning and its end. */
#include "sim/simulation_state.h"

#include "proto/base/panic.h"
#include "proto/chain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    SCRIPT_NS = 50000000, /* people look again */
    SHELF_ROWS = 1 << 16, /* beyond them each has its own copies */
    SHELF_BYTES = 1 << 26,
    TRACE_WHAT = 1 << 20, /* in the trace, what is no parcel is counted from here */
};

#define CONVERGE_NS UINT64_C(60000000000) /* a link may stand for long after losses in a row */

uint64_t consortium_wall_ms(const struct consortium *s)
{
    return SIMULATION_START_MS + now_of(s) / 1000000;
}

/* --- The trace ------------------------------------------------------------------------------------------------------------------ */

static const struct parcel *parcel_of(const struct consortium *s, struct agenda_entry entry)
{
    return entry.what >= WHAT_PARCEL ? &s->simulation->parcel[entry.what - WHAT_PARCEL] : NULL;
}

static void trace(struct consortium *s, struct agenda_entry entry)
{
    uint8_t bytes[29];
    const struct parcel *p = parcel_of(s, entry);
    store_u64(bytes, entry.at_ns);
    store_u32(bytes + 8, entry.who);
    store_u32(bytes + 12, p != NULL ? (uint32_t)p->type : TRACE_WHAT + entry.what);
    store_u32(bytes + 16, p != NULL ? p->from : 0);
    store_u64(bytes + 20, p != NULL ? p->token : 0);
    bytes[28] = p != NULL ? (uint8_t)p->err : 0;
    sha256_add(&s->trace, SPAN_OF(bytes));
    if (p != NULL && p->slice != NULL) sha256_add(&s->trace, span_make(p->slice->bytes, p->slice->len));
}

/* --- Guests ------------------------------------------------------------------------------------------------------------------------ */

void guest_schedule(struct consortium *s, uint32_t index)
{
    struct guest_place *p = &s->guest[index];
    uint64_t due_ns = station_true_ns(&s->station[p->station], guest_due(p->guest));
    if (due_ns == UINT64_MAX) return;
    if (due_ns <= now_of(s)) due_ns = now_of(s) + 1;
    if (p->due_ns <= due_ns) return;
    p->due_ns = due_ns;
    consortium_later(s, due_ns, index, WHAT_GUEST);
}

void guest_drop(struct consortium *s, uint32_t index)
{
    struct guest_place *p = &s->guest[index];
    guest_free(p->guest);
    p->guest = NULL;
    census_reached(s->census, place_of(s, p->station), p->run, p->term, PHASE_GONE, now_of(s));
}

/* Its node hears that the worker is gone. */
void guest_end(struct consortium *s, uint32_t index)
{
    struct guest_place *p = &s->guest[index];
    struct station *n = &s->station[p->station];
    guest_drop(s, index);
    const struct parcel parcel = {
        .type = EVENT_ENCLAVE, .incarnation = n->incarnation, .run = p->run, .slice = slice_of(SPAN_NONE)};
    consortium_post(s, now_of(s) + LOCAL_NS, n->number, &parcel); /* behind what it said last */
}

static void guest_at(struct consortium *s, uint32_t index)
{
    struct guest_place *p = &s->guest[index];
    if (p->due_ns == now_of(s)) p->due_ns = UINT64_MAX;
    if (p->guest == NULL) return;
    const struct station *host = &s->station[p->station];
    guest_turn(p->guest, station_clock_ns(host), station_wall_ms(host));
    watch_guest(p);
    if (guest_gone(p->guest))
        guest_end(s, index);
    else
        guest_schedule(s, index);
}

/* --- Running --------------------------------------------------------------------------------------------------------------------------- */

/* A chained record comes from a peer: does its node hold it already? */
static void count_record(const struct consortium *s, uint32_t to, const struct parcel *p)
{
    struct header h;
    if (s->census == NULL || s->central != NULL || p->type != EVENT_MESSAGE || p->from == to) return;
    if (!census_chained(&h, span_make(p->slice->bytes, p->slice->len))) return;
    census_received(s->census, place_of(s, to),
                    chain_get(core_chain(s->station[to].core), h.author, h.seq) != NULL);
}

static struct span bytes_of(const struct parcel *p)
{
    return p->slice != NULL ? span_make(p->slice->bytes, p->slice->len) : SPAN_NONE;
}

static void give_to_core(struct station *n, const struct parcel *p)
{
    station_event(n, (struct event){.type = p->type,
                                    .token = p->token,
                                    .err = p->err,
                                    .peer = n->consortium->station[p->from].player->id,
                                    .run = p->run,
                                    .command = p->command,
                                    .bytes = bytes_of(p)});
    station_tick(n);
}

/* Does what stands before its core take this message from a peer? */
static bool is_taken(struct station *n, const struct parcel *p)
{
    const bool hears = adversary_hears(n, p->slice);
    const struct node_id from = n->consortium->station[p->from].player->id;
    return hears || (n->doubles && fault_double(n, bytes_of(p))) ||
           (n->lax && lax_gives(n, from, bytes_of(p)));
}

static void deliver(struct consortium *s, uint32_t to, uint32_t at)
{
    const struct parcel *p = &s->simulation->parcel[at];
    struct station *n = &s->station[to];
    const bool message = p->type == EVENT_MESSAGE, sent = message && p->from != to;
    const bool alive = n->up && n->incarnation == p->incarnation;
    if (alive && !(sent && p->link != consortium_link(s, p->from, to))) {
        count_record(s, to, p);
        if (sent) flow_arrived(&s->flow, p->from, to, bytes_of(p), p->slice->len + FRAME_OVERHEAD);
        if (s->central == NULL && sent && is_taken(n, p))
            station_tick(n);
        else if (s->central == NULL)
            give_to_core(n, p);
        else if (message)
            central_take(n, p->from, bytes_of(p));
    }
    parcel_drop(s->simulation, at);
}

static void tick_at(struct consortium *s, struct station *n)
{
    if (n->core == NULL || n->tick_ns != now_of(s)) return;
    n->tick_ns = UINT64_MAX;
    station_event(n, (struct event){.type = EVENT_TICK});
    station_rest(n);
    station_tick(n);
}

static void script_at(struct consortium *s, struct station *n)
{
    consortium_later(s, now_of(s) + SCRIPT_NS, n->number, WHAT_SCRIPT);
    if (!n->up) return;
    if (s->central != NULL) {
        central_turn(n);
        return;
    }
    script_turn(n);
    if (player_is(n->player, ROLE_REQUESTER)) watch_runs(n);
}

static void device_at(struct station *n)
{
    if (n->core != NULL) script_turn(n);
}

static void sync_at(struct station *n)
{
    if (n->core == NULL || !n->sync_due) return;
    n->sync_due = false;
    disk_sync(n->disk);
    watch_kept(n);
}

static void handle(struct consortium *s, struct agenda_entry entry)
{
    switch (entry.what) {
    case WHAT_TICK: tick_at(s, &s->station[entry.who]); break;
    case WHAT_SYNC: sync_at(&s->station[entry.who]); break;
    case WHAT_SCRIPT: script_at(s, &s->station[entry.who]); break;
    case WHAT_RESTART:
        if (s->station[entry.who].gone) break;
        census_happened(s->census, place_of(s, entry.who), MOMENT_STARTED, now_of(s));
        s->simulation->err = station_start(&s->station[entry.who]);
        break;
    case WHAT_REJOIN: fault_rejoin(s, entry.who); break;
    case WHAT_FAULT: fault_begin(s, entry.who); break;
    case WHAT_MEND: fault_mend(s, entry.who); break;
    case WHAT_SILENT: links_cut(s, entry.who); break;
    case WHAT_ROGUE: fault_rogue(&s->station[entry.who]); break;
    case WHAT_REPLAY: adversary_replay(&s->station[entry.who]); break;
    case WHAT_FLOOD: adversary_flood(&s->station[entry.who]); break;
    case WHAT_ECLIPSE: adversary_eclipse(&s->station[entry.who]); break;
    case WHAT_DIALLED: links_dialled(s, entry.who); break;
    case WHAT_DIALLING: dialling_turn(&s->station[entry.who]); break;
    case WHAT_DEVICE: device_at(&s->station[entry.who]); break;
    case WHAT_GUEST: guest_at(s, entry.who); break;
    case WHAT_COMPUTED: central_computed(s, entry.who); break;
    default: deliver(s, entry.who, entry.what - WHAT_PARCEL);
    }
}

static bool all_are_back(const struct consortium *s)
{
    if (s->faults_on > 0) return false;
    for (uint32_t i = 0; i < s->count; i++)
        if (!s->station[i].gone && (!s->station[i].up || s->station[i].cut)) return false;
    return true;
}

/* Who trusts one machine is promised nothing when it is away. */
static void time_is_up(struct consortium *s)
{
    char open[96], on[64] = "";
    s->ended = true;
    if (s->central != NULL) return;
    if (s->faults_on > 0) (void)snprintf(on, sizeof on, "; faults that were still on: %u", s->faults_on);
    watch_violation(s, "live", "time is up: of %u runs %u were asked for and %u have settled%s%s",
                    s->scenario->runs, s->run_count, s->counts.runs_settled,
                    watch_open_run(s, open, sizeof open), on);
}

/* All runs have ended and everybody is back: in time, all hold the same. Faults that would come later are not played. */
static void look_for_the_end(struct consortium *s)
{
    const bool over = s->central != NULL ? central_over(s) : script_over(s);
    if (s->end_ns == UINT64_MAX && over && all_are_back(s)) s->end_ns = now_of(s);
    if (s->end_ns != UINT64_MAX && (s->central != NULL || watch_converged(s))) {
        s->ended = true;
    } else if (s->end_ns != UINT64_MAX && now_of(s) - s->end_ns > CONVERGE_NS) {
        watch_violation(s, "converge",
                        "nodes hold different chains %d s after the last run ended and all were back",
                        (int)(CONVERGE_NS / 1000000000));
    } else if (now_of(s) - s->begin_ns >= (uint64_t)s->scenario->for_ms * 1000000) {
        time_is_up(s);
    }
}

void consortium_happen(struct consortium *s, struct agenda_entry entry)
{
    s->counts.events++;
    s->simulation->events++;
    trace(s, entry);
    handle(s, entry);
    if (entry.what == WHAT_SCRIPT) look_for_the_end(s);
}

struct hash32 consortium_hash(const struct consortium *s)
{
    struct sha256_stream state = s->trace;
    if (s->closed) return s->hash;
    for (uint32_t i = 0; i < s->count; i++) {
        if (s->station[i].core == NULL) continue;
        const struct chain *chain = core_chain(s->station[i].core);
        for (uint32_t j = 0; j < chain->author_count; j++) {
            sha256_add(&state, ID_SPAN(ROW(chain->author, j).node));
            sha256_add(&state, ID_SPAN(ROW(chain->author, j).head));
        }
    }
    return sha256_end(&state);
}

/* --- The beginning ---------------------------------------------------------------------------------------------------------------------- */

static enum err take_shelves(struct consortium *s)
{
    const size_t bytes = shelf_bytes(SHELF_ROWS, SHELF_BYTES);
    s->shelves = simulation_sparse(2 * bytes);
    if (s->shelves == NULL) return ERR_NO_MEMORY;
    struct arena arena = arena_make(s->shelves, 2 * bytes);
    TRY(shelf_init(&s->held, &arena, SHELF_ROWS, SHELF_BYTES));
    return shelf_init(&s->kept, &arena, SHELF_ROWS, SHELF_BYTES);
}

static enum err take_memory(struct consortium *s, struct arena *arena)
{
    s->count = s->scenario->party_count;
    s->station = calloc(s->count, sizeof *s->station);
    s->guest = calloc(GUESTS_MAX, sizeof *s->guest);
    s->fault_begun = calloc(s->scenario->fault_count + 1, sizeof *s->fault_begun);
    TRY(take_shelves(s));
    if (s->station == NULL || s->guest == NULL || s->fault_begun == NULL) return ERR_NO_MEMORY;
    return flow_begin(&s->flow, arena, s->papers);
}

/* People do not look all at once. */
static uint64_t script_begin(uint64_t seed, uint32_t number, uint64_t within_ns)
{
    struct chance c = chance_stream(seed, "script", number);
    return chance_below(&c, within_ns);
}

enum err consortium_begin(struct consortium *s, struct arena *arena, struct json_fault *fault)
{
    TRY(cast_make(&s->cast, arena, s->scenario, s->seed, fault));
    TRY(papers_make(&s->papers, arena, s->cast));
    s->ledger.charter = s->cast->founding;
    if (s->scenario->trust == TRUST_CENTRAL) TRY(central_begin(s));
    s->simulation->net_chance[s->number] = chance_stream(s->seed, "net", 0);
    TRY(take_memory(s, arena));
    TRY(links_begin(s));
    for (uint32_t i = 0; i < s->count; i++) {
        const int32_t ppm = s->scenario->party[i].drift_ppm;
        s->clocks_apart |= ppm > SCENARIO_DRIFT_PPM || ppm < -SCENARIO_DRIFT_PPM;
        net_stream(s->net, place_of(s, i), s->number);
        TRY(station_begin(&s->station[i], s, i));
    }
    return OK;
}

static void plan_faults(struct consortium *s)
{
    for (uint32_t i = 0; i < s->scenario->fault_count; i++) {
        const struct scenario_fault *f = &s->scenario->fault[i];
        if (!comes_to(f, s)) continue;
        for (uint64_t time = 0; time <= f->again; time++)
            consortium_later(s, s->begin_ns + (f->at_ms + time * f->every_ms) * 1000000, i, WHAT_FAULT);
    }
}

enum err consortium_start(struct consortium *s)
{
    for (uint32_t i = 0; i < s->count; i++) TRY(station_start(&s->station[i]));
    for (uint32_t i = 0; i < s->count; i++) /* nobody sits at a device */
        if (!player_is(s->station[i].player, ROLE_DEVICE))
            consortium_later(s, s->begin_ns + script_begin(s->cast->seed, i, SCRIPT_NS), i, WHAT_SCRIPT);
    dialling_start(s);
    plan_faults(s);
    return OK;
}

/* What only those need who act. */
static void free_nodes(struct consortium *s)
{
    for (uint32_t i = 0; s->station != NULL && i < s->count; i++)
        if (s->station[i].consortium != NULL) station_free(&s->station[i]);
    central_free(s->central);
    links_free(s->links);
    free(s->station);
    free(s->guest);
    free(s->fault_begun);
    ledger_free(&s->ledger);
    if (s->shelves != NULL) (void)munmap(s->shelves, 2 * shelf_bytes(SHELF_ROWS, SHELF_BYTES));
}

void consortium_close(struct consortium *s)
{
    s->hash = consortium_hash(s);
    if (s->census != NULL) {
        s->together = calloc(s->papers->dataset_count + 1, sizeof *s->together);
        ASSERT(s->together != NULL);
        for (uint32_t i = 0; i < s->papers->dataset_count; i++)
            s->together[i] = simulation_together(s->simulation, s->number, i);
    }
    s->census = NULL; /* what ends now is no event */
    free_nodes(s);
    s->count = 0;
    s->station = NULL;
    s->closed = true;
}

void consortium_free(struct consortium *s)
{
    if (!s->closed) free_nodes(s);
    free(s->together);
    free(s->run);
}
