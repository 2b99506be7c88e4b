#include "sim/simulation_state.h"

#include "crypto/secret.h"
#include "proto/base/panic.h"
#include "proto/chain.h"
#include "sim/regions.h"

#include <stdlib.h>
#include <string.h>

enum {
    SCRIPT_NS = 50000000, /* people look again */
    EPOCH = 1,            /* of the one committee that there is */
};

#define CONVERGE_NS UINT64_C(60000000000) /* a link may stand for long after losses in a row */

uint64_t simulation_wall_ms(const struct simulation *s)
{
    return SIMULATION_START_MS + s->now_ns / 1000000;
}

/* --- Slices, parcels, the agenda ------------------------------------------------------------------------------------------ */

struct slice *slice_of(struct span bytes)
{
    struct slice *slice = malloc(sizeof *slice + bytes.len);
    ASSERT(slice != NULL);
    *slice = (struct slice){.refs = 1, .len = bytes.len};
    if (bytes.len > 0) memcpy(slice->bytes, bytes.data, bytes.len);
    return slice;
}

void slice_drop(struct slice *slice)
{
    if (slice != NULL && --slice->refs == 0) free(slice);
}

void simulation_later(struct simulation *s, uint64_t at_ns, uint32_t who, uint32_t what)
{
    const enum err err = agenda_add(s->agenda, (struct agenda_entry){at_ns, who, what});
    ASSERT(err == OK);
}

static uint32_t parcel_take(struct simulation *s)
{
    if (s->free_plus_one != 0) {
        const uint32_t at = s->free_plus_one - 1;
        s->free_plus_one = s->parcel[at].next_free_plus_one;
        return at;
    }
    ASSERT(s->parcel_count < PARCELS_MAX);
    return s->parcel_count++;
}

static void parcel_drop(struct simulation *s, uint32_t at)
{
    struct parcel *p = &s->parcel[at];
    slice_drop(p->slice);
    free(p->command);
    *p = (struct parcel){.next_free_plus_one = s->free_plus_one};
    s->free_plus_one = at + 1;
}

void simulation_post(struct simulation *s, uint64_t at_ns, uint32_t to, const struct parcel *parcel)
{
    const uint32_t at = parcel_take(s);
    s->parcel[at] = *parcel;
    simulation_later(s, at_ns, to, at);
}

/* --- The trace ------------------------------------------------------------------------------------------------------------------ */

static void trace(struct simulation *s, struct agenda_entry entry)
{
    uint8_t bytes[29];
    const struct parcel *p = entry.what < PARCELS_MAX ? &s->parcel[entry.what] : NULL;
    store_u64(bytes, entry.at_ns);
    store_u32(bytes + 8, entry.who);
    store_u32(bytes + 12, p != NULL ? (uint32_t)p->type : entry.what);
    store_u32(bytes + 16, p != NULL ? p->from : 0);
    store_u64(bytes + 20, p != NULL ? p->token : 0);
    bytes[28] = p != NULL ? (uint8_t)p->err : 0;
    sha256_add(&s->trace, SPAN_OF(bytes));
    if (p != NULL && p->slice != NULL) sha256_add(&s->trace, span_make(p->slice->bytes, p->slice->len));
}

/* --- Guests ------------------------------------------------------------------------------------------------------------------------ */

void guest_schedule(struct simulation *s, uint32_t index)
{
    struct guest_place *p = &s->guest[index];
    uint64_t due_ns = station_true_ns(&s->station[p->station], guest_due(p->guest));
    if (due_ns == UINT64_MAX) return;
    if (due_ns <= s->now_ns) due_ns = s->now_ns + 1;
    if (p->due_ns <= due_ns) return;
    p->due_ns = due_ns;
    simulation_later(s, due_ns, index, WHAT_GUEST);
}

void guest_drop(struct simulation *s, uint32_t index)
{
    struct guest_place *p = &s->guest[index];
    guest_free(p->guest);
    p->guest = NULL;
    census_reached(s->census, p->station, p->run, p->term, PHASE_GONE, s->now_ns);
}

/* Its node hears that the worker is gone. */
void guest_end(struct simulation *s, uint32_t index)
{
    struct guest_place *p = &s->guest[index];
    struct station *n = &s->station[p->station];
    guest_drop(s, index);
    const struct parcel parcel = {
        .type = EVENT_ENCLAVE, .incarnation = n->incarnation, .run = p->run, .slice = slice_of(SPAN_NONE)};
    simulation_post(s, s->now_ns + LOCAL_NS, n->number, &parcel); /* behind what it said last */
}

static void guest_at(struct simulation *s, uint32_t index)
{
    struct guest_place *p = &s->guest[index];
    if (p->due_ns == s->now_ns) p->due_ns = UINT64_MAX;
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
static void count_record(const struct simulation *s, uint32_t to, const struct parcel *p)
{
    struct header h;
    if (s->census == NULL || s->central != NULL || p->type != EVENT_MESSAGE || p->from == to) return;
    if (!census_chained(&h, span_make(p->slice->bytes, p->slice->len))) return;
    census_received(s->census, to, chain_get(core_chain(s->station[to].core), h.author, h.seq) != NULL);
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
                                    .peer = n->simulation->station[p->from].player->id,
                                    .run = p->run,
                                    .command = p->command,
                                    .bytes = bytes_of(p)});
    station_tick(n);
}

/* Does what stands before its core take this message from a peer? */
static bool is_taken(struct station *n, const struct parcel *p)
{
    const bool hears = adversary_hears(n, p->slice);
    return hears || (n->doubles && fault_double(n, bytes_of(p)));
}

static void deliver(struct simulation *s, uint32_t to, uint32_t at)
{
    const struct parcel *p = &s->parcel[at];
    struct station *n = &s->station[to];
    const bool message = p->type == EVENT_MESSAGE, sent = message && p->from != to;
    const bool alive = n->up && n->incarnation == p->incarnation;
    if (alive && !(sent && p->link != simulation_link(s, p->from, to))) {
        count_record(s, to, p);
        if (sent) flow_arrived(&s->flow, p->from, to, bytes_of(p), p->slice->len + FRAME_OVERHEAD);
        if (s->central == NULL && sent && is_taken(n, p))
            station_tick(n);
        else if (s->central == NULL)
            give_to_core(n, p);
        else if (message)
            central_take(n, p->from, bytes_of(p));
    }
    parcel_drop(s, at);
}

static void tick_at(struct simulation *s, struct station *n)
{
    if (n->core == NULL || n->tick_ns != s->now_ns) return;
    n->tick_ns = UINT64_MAX;
    station_event(n, (struct event){.type = EVENT_TICK});
    station_tick(n);
}

static void script_at(struct simulation *s, struct station *n)
{
    simulation_later(s, s->now_ns + SCRIPT_NS, n->number, WHAT_SCRIPT);
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

static void handle(struct simulation *s, struct agenda_entry entry)
{
    switch (entry.what) {
    case WHAT_TICK: tick_at(s, &s->station[entry.who]); break;
    case WHAT_SYNC: sync_at(&s->station[entry.who]); break;
    case WHAT_SCRIPT: script_at(s, &s->station[entry.who]); break;
    case WHAT_RESTART:
        census_happened(s->census, entry.who, MOMENT_STARTED, s->now_ns);
        station_start(&s->station[entry.who]);
        break;
    case WHAT_REJOIN: fault_rejoin(s, entry.who); break;
    case WHAT_FAULT: fault_begin(s, entry.who); break;
    case WHAT_MEND: fault_mend(s, entry.who); break;
    case WHAT_SILENT: links_cut(s, entry.who); break;
    case WHAT_ROGUE: fault_rogue(&s->station[entry.who]); break;
    case WHAT_REPLAY: adversary_replay(&s->station[entry.who]); break;
    case WHAT_FLOOD: adversary_flood(&s->station[entry.who]); break;
    case WHAT_DIALLED: links_dialled(s, entry.who); break;
    case WHAT_DIALLING: dialling_turn(&s->station[entry.who]); break;
    case WHAT_DEVICE: device_at(&s->station[entry.who]); break;
    case WHAT_GUEST: guest_at(s, entry.who); break;
    case WHAT_COMPUTED: central_computed(s, entry.who); break;
    default: deliver(s, entry.who, entry.what);
    }
}

static bool all_are_back(const struct simulation *s)
{
    if (s->faults_on > 0) return false;
    for (uint32_t i = 0; i < s->count; i++)
        if (!s->station[i].up || s->station[i].cut) return false;
    return true;
}

/* Who trusts one machine is promised nothing when it is away. */
static void time_is_up(struct simulation *s)
{
    char open[96];
    s->ended = true;
    if (s->central != NULL) return;
    watch_violation(s, "live", "time is up: of %u runs %u were asked for and %u have settled%s",
                    s->scenario->runs, s->run_count, s->counts.runs_settled,
                    watch_open_run(s, open, sizeof open));
}

/* All runs have ended and everybody is back: in time, all hold the same. Faults that would come later are not played. */
static void look_for_the_end(struct simulation *s)
{
    const bool over = s->central != NULL ? central_over(s) : script_over(s);
    if (s->end_ns == UINT64_MAX && over && all_are_back(s)) s->end_ns = s->now_ns;
    if (s->end_ns != UINT64_MAX && (s->central != NULL || watch_converged(s))) {
        s->ended = true;
    } else if (s->end_ns != UINT64_MAX && s->now_ns - s->end_ns > CONVERGE_NS) {
        watch_violation(s, "converge",
                        "nodes hold different chains %d s after the last run ended and all were back",
                        (int)(CONVERGE_NS / 1000000000));
    } else if (s->now_ns >= (uint64_t)s->scenario->for_ms * 1000000) {
        time_is_up(s);
    }
}

bool simulation_run(struct simulation *s, uint64_t events)
{
    struct agenda_entry entry;
    for (uint64_t i = 0; i < events && !s->ended; i++) {
        if (!agenda_next(s->agenda, &entry)) break;
        s->now_ns = entry.at_ns;
        s->counts.events++;
        trace(s, entry);
        handle(s, entry);
        if (entry.what == WHAT_SCRIPT) look_for_the_end(s);
        if (s->violation[0] != 0) s->ended = true;
    }
    return !s->ended;
}

/* --- What came of it ------------------------------------------------------------------------------------------------------------------- */

const char *simulation_violation(const struct simulation *s)
{
    return s->violation[0] != 0 ? s->violation : NULL;
}

struct hash32 simulation_hash(struct simulation *s)
{
    struct sha256_stream state = s->trace;
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

enum err simulation_count(struct simulation *s, bool work)
{
    const struct census_options options = {
        .node_count = s->count, .region_count = REGIONS_COUNT, .work = work};
    TRY(census_new(&s->census, &options));
    for (uint32_t i = 0; i < s->count; i++) census_place(s->census, i, s->scenario->party[i].region);
    return OK;
}

const struct census *simulation_census(const struct simulation *s)
{
    return s->census;
}

uint32_t simulation_run_count(const struct simulation *s)
{
    return s->run_count;
}

struct simulation_run_view simulation_run_at(const struct simulation *s, uint32_t index)
{
    ASSERT(index < s->run_count);
    const struct run_watch *w = &s->run[index];
    return (struct simulation_run_view){w->run, w->asked_ms, w->settled_ms, w->ended};
}

struct simulation_progress simulation_progress(const struct simulation *s)
{
    const uint32_t ended = s->counts.runs_settled + s->counts.runs_ended;
    const uint64_t planned_ms = (uint64_t)s->scenario->runs * s->scenario->every_ms;
    return (struct simulation_progress){s->now_ns / 1000000,
                                        planned_ms < s->scenario->for_ms ? planned_ms : s->scenario->for_ms,
                                        s->counts.events, ended, s->scenario->runs};
}

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

void simulation_counts(struct simulation *s, struct simulation_counts *out)
{
    uint64_t took[SCENARIO_RUNS_MAX];
    uint32_t count = 0;
    *out = s->counts;
    out->now_ns = s->now_ns;
    for (uint32_t i = 0; i < s->run_count && count < SCENARIO_RUNS_MAX; i++)
        if (s->run[i].settled_ms != 0) took[count++] = s->run[i].settled_ms - s->run[i].asked_ms;
    if (count == 0) return;
    qsort(took, count, sizeof took[0], by_value);
    out->settle_ms_least = took[0];
    out->settle_ms_median = took[count / 2];
    out->settle_ms_most = took[count - 1];
}

const struct flow *simulation_flow(const struct simulation *s)
{
    return &s->flow;
}

const char *simulation_plain_name(uint8_t code)
{
    return central_message_name(code);
}

/* The shares that custodians keep, but for this owner's: it needs nobody. */
static uint32_t shares_beside(struct simulation *s, const struct player *owner,
                              struct flow_share out[CAP_CUSTODIANS])
{
    const struct charter *c = s->cast->founding;
    uint32_t count = 0;
    for (uint32_t i = 0; i < c->custodian_count; i++) {
        const struct player *p = cast_find(s->cast, c->member[c->custodian[i]].node);
        const struct work_keep keep = work_memory_keep(&s->station[p->number].labour.kept);
        const struct work_place place = {WORK_SHARE, EPOCH, KEYGEN_PURPOSE_ENVELOPES};
        if (p == owner) continue;
        out[count].index = i + 1;
        if (keep.load(keep.context, place, &out[count].key, sizeof out[count].key) == OK) count++;
    }
    return count;
}

uint32_t simulation_together(struct simulation *s, uint32_t dataset)
{
    struct flow_share share[CAP_CUSTODIANS];
    const struct dataset *d = &s->papers->dataset[dataset];
    const uint32_t count = shares_beside(s, d->owner, share);
    const uint32_t together = flow_together(d, share, count);
    secret_wipe(share, sizeof share);
    return together;
}

const struct papers *simulation_papers(const struct simulation *s)
{
    return s->papers;
}

struct net_traffic simulation_traffic(const struct simulation *s, uint32_t from_region, uint32_t to_region)
{
    return net_traffic(s->net, from_region, to_region);
}

/* --- The beginning ---------------------------------------------------------------------------------------------------------------------- */

static enum err make_paths(struct simulation *s)
{
    for (uint32_t a = 0; a < REGIONS_COUNT; a++)
        for (uint32_t b = 0; b < REGIONS_COUNT; b++) {
            const uint64_t latency_ns = (uint64_t)regions_rtt_us(a, b) * 500;
            const struct net_path path = {
                .latency_ns = latency_ns, .jitter_ns = latency_ns / 20, .loss_ppm = s->scenario->loss_ppm};
            TRY(net_set_path(s->net, a, b, &path));
        }
    return OK;
}

/* From a party to its region's backbone. */
static struct net_access access_of(const struct scenario_party *p)
{
    const uint64_t kbps = p->bandwidth_kbps > 0 ? p->bandwidth_kbps : SCENARIO_KBPS,
                   ms = p->latency_ms > 0 ? p->latency_ms : SCENARIO_LATENCY_MS;
    return (struct net_access){
        .up_bps = kbps * 1000, .down_bps = kbps * 1000, .latency_ns = ms * 1000000, .loss_ppm = p->loss_ppm};
}

static enum err make_net(struct simulation *s)
{
    const struct net_options options = {
        .node_count = s->count, .region_count = REGIONS_COUNT, .chance = &s->net_chance};
    s->net = net_new(&options);
    if (s->net == NULL) return ERR_NO_MEMORY;
    TRY(make_paths(s));
    for (uint32_t i = 0; i < s->count; i++) {
        const struct scenario_party *p = &s->scenario->party[i];
        const struct net_access access = access_of(p);
        TRY(net_place(s->net, i, p->region, &access));
    }
    return OK;
}

static uint64_t times_of_faults(const struct scenario *s)
{
    uint64_t times = 0;
    for (uint32_t i = 0; i < s->fault_count; i++) times += 1 + (uint64_t)s->fault[i].again;
    return times;
}

static enum err take_memory(struct simulation *s)
{
    s->count = s->scenario->party_count;
    s->station = calloc(s->count, sizeof *s->station);
    s->parcel = calloc(PARCELS_MAX, sizeof *s->parcel);
    s->fault_begun = calloc(s->scenario->fault_count + 1, sizeof *s->fault_begun);
    if (s->station == NULL || s->parcel == NULL || s->fault_begun == NULL) return ERR_NO_MEMORY;
    return agenda_new(&s->agenda, PARCELS_MAX + (uint64_t)1024 * s->count + GUESTS_MAX +
                                      2 * SCENARIO_FAULTS_MAX + times_of_faults(s->scenario));
}

/* People do not look all at once. */
static uint64_t script_begin(uint64_t seed, uint32_t number, uint64_t within_ns)
{
    struct chance c = chance_stream(seed, "script", number);
    return chance_below(&c, within_ns);
}

static enum err begin(struct simulation *s, uint64_t seed, struct json_fault *fault)
{
    TRY(cast_make(&s->cast, s->arena, s->scenario, seed, fault));
    TRY(papers_make(&s->papers, s->arena, s->cast));
    s->ledger.charter = s->cast->founding;
    s->flow.papers = s->papers;
    if (s->scenario->trust == TRUST_CENTRAL) TRY(central_begin(s));
    s->net_chance = chance_stream(seed, "net", 0);
    TRY(take_memory(s));
    TRY(make_net(s));
    TRY(links_begin(s));
    for (uint32_t i = 0; i < s->count; i++) {
        const int32_t ppm = s->scenario->party[i].drift_ppm;
        s->clocks_apart |= ppm > SCENARIO_DRIFT_PPM || ppm < -SCENARIO_DRIFT_PPM;
        TRY(station_begin(&s->station[i], s, i));
    }
    for (uint32_t i = 0; i < s->count; i++) station_start(&s->station[i]);
    for (uint32_t i = 0; i < s->count; i++) /* nobody sits at a device */
        if (!player_is(s->station[i].player, ROLE_DEVICE))
            simulation_later(s, script_begin(seed, i, SCRIPT_NS), i, WHAT_SCRIPT);
    dialling_start(s);
    for (uint32_t i = 0; i < s->scenario->fault_count; i++) {
        const struct scenario_fault *f = &s->scenario->fault[i];
        for (uint64_t time = 0; time <= f->again; time++)
            simulation_later(s, (f->at_ms + time * f->every_ms) * 1000000, i, WHAT_FAULT);
    }
    return OK;
}

enum err simulation_new(struct simulation **out, struct arena *arena, const struct scenario *scenario,
                        uint64_t seed, struct json_fault *fault)
{
    struct simulation *s = calloc(1, sizeof *s);
    if (s == NULL) return ERR_NO_MEMORY;
    *s = (struct simulation){.scenario = scenario, .arena = arena, .end_ns = UINT64_MAX};
    sha256_begin(&s->trace);
    const enum err err = begin(s, seed, fault);
    if (err == OK)
        *out = s;
    else
        simulation_free(s);
    return err;
}

void simulation_free(struct simulation *s)
{
    if (s == NULL) return;
    for (uint32_t i = 0; s->station != NULL && i < s->count; i++)
        if (s->station[i].disk != NULL) station_free(&s->station[i]);
    for (uint32_t i = 0; s->parcel != NULL && i < s->parcel_count; i++) {
        slice_drop(s->parcel[i].slice);
        free(s->parcel[i].command);
    }
    central_free(s->central);
    agenda_free(s->agenda);
    net_free(s->net);
    links_free(s->links);
    census_free(s->census);
    free(s->station);
    free(s->parcel);
    free(s->run);
    free(s->fault_begun);
    ledger_free(&s->ledger);
    free(s);
}
