/* The world: time, the agenda, parcels, the network; what came of all consortia. */
#include "sim/simulation_state.h"

#include "crypto/secret.h"
#include "proto/base/panic.h"
#include "sim/regions.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { EPOCH = 1 /* of the one committee that each has */ };

void *simulation_sparse(size_t len)
{
    void *memory =
        mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

/* What shares a page with something else is cleared. */
void simulation_give_back(struct span sparse)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)sparse.data,
                    end = begin + sparse.len, first = (begin + page - 1) / page * page,
                    last = end / page * page;
    if (first >= last) {
        if (sparse.len > 0) memset((void *)begin, 0, sparse.len);
        return;
    }
    memset((void *)begin, 0, first - begin);
    memset((void *)last, 0, end - last);
    const int failed = madvise((void *)first, last - first, MADV_DONTNEED);
    ASSERT(failed == 0);
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

/* Whose it is stands in the number. */
void consortium_later(struct consortium *s, uint64_t at_ns, uint32_t who, uint32_t what)
{
    struct simulation *w = s->simulation;
    ASSERT(who < UINT32_MAX / w->count);
    const enum err err =
        agenda_add(w->agenda, (struct agenda_entry){at_ns, who * w->count + s->number, what});
    ASSERT(err == OK);
}

static uint32_t parcel_take(struct simulation *w)
{
    if (w->free_plus_one != 0) {
        const uint32_t at = w->free_plus_one - 1;
        w->free_plus_one = w->parcel[at].next_free_plus_one;
        return at;
    }
    ASSERT(w->parcel_count < w->parcels_max);
    return w->parcel_count++;
}

void parcel_drop(struct simulation *w, uint32_t at)
{
    struct parcel *p = &w->parcel[at];
    slice_drop(p->slice);
    free(p->command);
    *p = (struct parcel){.next_free_plus_one = w->free_plus_one};
    w->free_plus_one = at + 1;
}

void consortium_post(struct consortium *s, uint64_t at_ns, uint32_t to, const struct parcel *parcel)
{
    const uint32_t at = parcel_take(s->simulation);
    s->simulation->parcel[at] = *parcel;
    consortium_later(s, at_ns, to, WHAT_PARCEL + at);
}

/* --- Running ----------------------------------------------------------------------------------------------------------------------------- */

static enum err found(struct consortium *s, struct json_fault *fault)
{
    s->begin_ns = s->simulation->now_ns;
    s->simulation->founded++;
    TRY(consortium_begin(s, s->simulation->arena, fault));
    return consortium_start(s);
}

/* What one that has ended would have done is left undone. */
static void happen(struct simulation *w, struct agenda_entry entry)
{
    struct consortium *s = &w->consortium[entry.who % w->count];
    entry.who /= w->count;
    if (s->ended) {
        if (entry.what >= WHAT_PARCEL) parcel_drop(w, entry.what - WHAT_PARCEL);
        return;
    }
    w->now_ns = entry.at_ns;
    if (entry.what == WHAT_FOUND) {
        struct json_fault fault; /* only memory: the first was founded */
        w->err = found(s, &fault);
        return;
    }
    consortium_happen(s, entry);
    w->open -= s->ended;
    if (s->ended && w->open > 0 && w->violation[0] == 0) consortium_close(s);
}

bool simulation_run(struct simulation *w, uint64_t events)
{
    struct agenda_entry entry;
    for (uint64_t i = 0; i < events && !w->ended; i++) {
        if (!agenda_next(w->agenda, &entry)) break;
        happen(w, entry);
        w->ended = w->open == 0 || w->violation[0] != 0 || w->err != OK;
    }
    return !w->ended;
}

/* --- What came of it ------------------------------------------------------------------------------------------------------------------- */

const char *simulation_violation(const struct simulation *w)
{
    return w->violation[0] != 0 ? w->violation : NULL;
}

enum err simulation_error(const struct simulation *w)
{
    return w->err;
}

struct hash32 simulation_hash(const struct simulation *w)
{
    struct sha256_stream all;
    if (w->count == 1) return consortium_hash(&w->consortium[0]);
    sha256_begin(&all);
    for (uint32_t i = 0; i < w->count; i++) {
        const struct hash32 one = consortium_hash(&w->consortium[i]);
        sha256_add(&all, ID_SPAN(one));
    }
    return sha256_end(&all);
}

struct hash32 simulation_hash_of(const struct simulation *w, uint32_t consortium)
{
    ASSERT(consortium < w->count);
    return consortium_hash(&w->consortium[consortium]);
}

enum err simulation_count(struct simulation *w, bool work)
{
    const struct census_options options = {
        .node_count = w->nodes, .region_count = REGIONS_COUNT, .work = work};
    TRY(census_new(&w->census, &options));
    for (uint32_t c = 0; c < w->count; c++) {
        struct consortium *s = &w->consortium[c];
        s->census = w->census;
        for (uint32_t i = 0; i < s->scenario->party_count; i++)
            census_place(w->census, place_of(s, i), s->scenario->party[i].region);
    }
    return OK;
}

const struct census *simulation_census(const struct simulation *w)
{
    return w->census;
}

/* --- Runs --------------------------------------------------------------------------------------------------------------------------------- */

uint32_t simulation_founded(const struct simulation *w)
{
    return w->founded;
}

uint32_t simulation_run_count(const struct simulation *w)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < w->count; i++) count += w->consortium[i].run_count;
    return count;
}

uint32_t run_number(const struct consortium *s, uint32_t index)
{
    return s->number * s->scenario->runs + index + 1;
}

struct simulation_run_view simulation_run_at(const struct simulation *w, uint32_t index)
{
    const struct consortium *s = w->consortium;
    for (; index >= s->run_count; s++) {
        index -= s->run_count;
        ASSERT(s->number + 1 < w->count);
    }
    const struct run_watch *run = &s->run[index];
    return (struct simulation_run_view){run->run, run_number(s, index), run->asked_ms, run->settled_ms,
                                        run->ended};
}

uint32_t simulation_run_number(const struct simulation *w, uint32_t node, struct run_id run)
{
    ASSERT(node < w->nodes);
    const struct consortium *s = &w->consortium[node / w->scenario->party_count];
    for (uint32_t i = 0; i < s->run_count; i++)
        if (ID_EQUAL(s->run[i].run, run)) return run_number(s, i);
    return 0;
}

struct simulation_progress simulation_progress(const struct simulation *w)
{
    const uint64_t runs_ms = (uint64_t)w->scenario->runs * w->scenario->every_ms,
                   last_ms = (uint64_t)(w->count - 1) * w->scenario->founded_every_ms;
    return (struct simulation_progress){
        w->now_ns / 1000000, last_ms + (runs_ms < w->scenario->for_ms ? runs_ms : w->scenario->for_ms),
        w->events, w->runs_over, w->scenario->runs * w->count};
}

/* --- Counts ------------------------------------------------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void settling_times(const struct simulation *w, struct simulation_counts *out)
{
    uint32_t count = 0;
    uint64_t *took = calloc(simulation_run_count(w) + 1, sizeof *took);
    ASSERT(took != NULL);
    for (uint32_t c = 0; c < w->count; c++)
        for (uint32_t i = 0; i < w->consortium[c].run_count; i++) {
            const struct run_watch *run = &w->consortium[c].run[i];
            if (run->settled_ms != 0) took[count++] = run->settled_ms - run->asked_ms;
        }
    if (count > 0) {
        qsort(took, count, sizeof took[0], by_value);
        out->settle_ms_least = took[0];
        out->settle_ms_median = took[count / 2];
        out->settle_ms_most = took[count - 1];
    }
    free(took);
}

static void add_counts(struct simulation_counts *out, const struct simulation_counts *c)
{
    out->events += c->events;
    out->messages += c->messages;
    out->bytes += c->bytes;
    out->records += c->records;
    out->bytes_abroad += c->bytes_abroad;
    out->crashes += c->crashes;
    out->parts += c->parts;
    out->withheld += c->withheld;
    out->replayed += c->replayed;
    out->flooded += c->flooded;
    out->bypassed += c->bypassed;
    out->runs_requested += c->runs_requested;
    out->runs_settled += c->runs_settled;
    out->runs_ended += c->runs_ended;
    out->runs_barred += c->runs_barred;
    if (c->barred_for != NULL) out->barred_for = c->barred_for;
    const bool first = out->formed_ms == 0 || (c->formed_ms != 0 && c->formed_ms < out->formed_ms);
    if (first) out->formed_ms = c->formed_ms;
}

void simulation_counts(const struct simulation *w, struct simulation_counts *out)
{
    *out = (struct simulation_counts){.now_ns = w->now_ns};
    for (uint32_t i = 0; i < w->count; i++) add_counts(out, &w->consortium[i].counts);
    settling_times(w, out);
}

/* --- Who holds what ----------------------------------------------------------------------------------------------------------------------- */

static const struct consortium *consortium_at(const struct simulation *w, uint32_t consortium)
{
    ASSERT(consortium < w->count);
    return &w->consortium[consortium];
}

const struct flow *simulation_flow(const struct simulation *w, uint32_t consortium)
{
    return &consortium_at(w, consortium)->flow;
}

const char *simulation_plain_name(uint8_t code)
{
    return central_message_name(code);
}

/* The shares that custodians keep, but for this owner's: it needs nobody. */
static uint32_t shares_beside(const struct consortium *s, const struct player *owner,
                              struct flow_share out[CAP_CUSTODIANS])
{
    const struct charter *c = s->cast->founding;
    uint32_t count = 0;
    for (uint32_t i = 0; i < c->custodian_count; i++) {
        const struct player *p = cast_find(s->cast, c->member[c->custodian[i]].node);
        const struct work_keep keep = work_memory_keep(s->station[p->number].labour.kept);
        const struct work_place place = {WORK_SHARE, EPOCH, KEYGEN_PURPOSE_ENVELOPES};
        if (p == owner) continue;
        out[count].index = i + 1;
        if (keep.load(keep.context, place, &out[count].key, sizeof out[count].key) == OK) count++;
    }
    return count;
}

uint32_t simulation_together(const struct simulation *w, uint32_t consortium, uint32_t dataset)
{
    struct flow_share share[CAP_CUSTODIANS];
    const struct consortium *s = consortium_at(w, consortium);
    const struct dataset *d = &s->papers->dataset[dataset];
    if (s->closed) return s->together != NULL ? s->together[dataset] : 0;
    const uint32_t count = shares_beside(s, d->owner, share);
    const uint32_t together = flow_together(d, share, count);
    secret_wipe(share, sizeof share);
    return together;
}

const struct papers *simulation_papers(const struct simulation *w, uint32_t consortium)
{
    return consortium_at(w, consortium)->papers;
}

struct net_traffic simulation_traffic(const struct simulation *w, uint32_t from_region, uint32_t to_region)
{
    return net_traffic(w->net, from_region, to_region);
}

/* --- The beginning ---------------------------------------------------------------------------------------------------------------------- */

static uint64_t times_of_faults(const struct scenario *s)
{
    uint64_t times = 0;
    for (uint32_t i = 0; i < s->fault_count; i++) times += 1 + (uint64_t)s->fault[i].again;
    return times;
}

static enum err take_memory(struct simulation *w)
{
    const uint64_t some = (uint64_t)PARCELS_A_NODE * w->nodes;
    w->parcels_max = some < PARCELS_LEAST ? PARCELS_LEAST : (uint32_t)some;
    w->parcel = calloc(w->parcels_max, sizeof *w->parcel);
    w->consortium = calloc(w->count, sizeof *w->consortium);
    w->net_chance = calloc(w->count, sizeof *w->net_chance);
    if (w->parcel == NULL || w->consortium == NULL || w->net_chance == NULL) return ERR_NO_MEMORY;
    const uint64_t each = GUESTS_MAX + 2 * SCENARIO_FAULTS_MAX + times_of_faults(w->scenario);
    return agenda_new(&w->agenda, w->parcels_max + (uint64_t)1024 * w->nodes + w->count * each);
}

static enum err make_paths(struct simulation *w)
{
    for (uint32_t a = 0; a < REGIONS_COUNT; a++)
        for (uint32_t b = 0; b < REGIONS_COUNT; b++) {
            const uint64_t latency_ns = (uint64_t)regions_rtt_us(a, b) * 500;
            const struct net_path path = {
                .latency_ns = latency_ns, .jitter_ns = latency_ns / 20, .loss_ppm = w->scenario->loss_ppm};
            TRY(net_set_path(w->net, a, b, &path));
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

static enum err make_net(struct simulation *w)
{
    const struct net_options options = {
        .node_count = w->nodes, .region_count = REGIONS_COUNT, .chance = w->net_chance};
    w->net = net_new(&options);
    return w->net != NULL ? make_paths(w) : ERR_NO_MEMORY;
}

/* The first has the seed's own keys: alone it is what it is among others. */
static uint64_t seed_of(uint64_t seed, uint32_t consortium)
{
    const struct hash32 h = cast_derive(seed, "consortium", consortium, 0);
    return consortium == 0 ? seed : load_u64(h.bytes);
}

/* Where its nodes stand. */
static enum err place(struct simulation *w, uint32_t number, uint64_t seed)
{
    struct consortium *s = &w->consortium[number];
    *s = (struct consortium){.simulation = w,
                             .number = number,
                             .first = number * w->scenario->party_count,
                             .seed = seed_of(seed, number),
                             .net = w->net,
                             .end_ns = UINT64_MAX};
    sha256_begin(&s->trace);
    TRY(scenario_turned(&s->scenario, w->arena, w->scenario, number));
    for (uint32_t i = 0; i < s->scenario->party_count; i++) {
        const struct scenario_party *p = &s->scenario->party[i];
        const struct net_access access = access_of(p);
        TRY(net_place(w->net, place_of(s, i), p->region, &access));
    }
    return OK;
}

static enum err make_room(struct simulation *w)
{
    const size_t bytes = step_room_bytes(w->caps);
    w->room_memory = simulation_sparse(bytes);
    if (w->room_memory == NULL) return ERR_NO_MEMORY;
    struct arena arena = arena_make(w->room_memory, bytes);
    return step_room_init(&w->room, &arena, w->caps);
}

static enum err begin(struct simulation *w, uint64_t seed, struct json_fault *fault)
{
    const uint64_t every_ns = (uint64_t)w->scenario->founded_every_ms * 1000000;
    TRY(take_memory(w));
    TRY(make_room(w));
    TRY(make_net(w));
    for (uint32_t i = 0; i < w->count; i++) TRY(place(w, i, seed));
    for (uint32_t i = 0; i < w->count && (i == 0 || every_ns == 0); i++) TRY(found(&w->consortium[i], fault));
    for (uint32_t i = w->founded; i < w->count; i++)
        consortium_later(&w->consortium[i], i * every_ns, 0, WHAT_FOUND);
    return OK;
}

enum err simulation_new(struct simulation **out, struct arena *arena, const struct scenario *scenario,
                        uint64_t seed, struct json_fault *fault)
{
    struct simulation *w = calloc(1, sizeof *w);
    if (w == NULL) return ERR_NO_MEMORY;
    *w = (struct simulation){.scenario = scenario,
                             .arena = arena,
                             .count = scenario->consortia,
                             .open = scenario->consortia,
                             .nodes = scenario_nodes(scenario),
                             .caps = scenario_nodes(scenario) > MANY_NODES ? &caps_sim : &caps_full};
    const enum err err = begin(w, seed, fault);
    if (err == OK)
        *out = w;
    else
        simulation_free(w);
    return err;
}

void simulation_free(struct simulation *w)
{
    if (w == NULL) return;
    for (uint32_t i = 0; w->consortium != NULL && i < w->count; i++) consortium_free(&w->consortium[i]);
    for (uint32_t i = 0; w->parcel != NULL && i < w->parcel_count; i++) {
        slice_drop(w->parcel[i].slice);
        free(w->parcel[i].command);
    }
    agenda_free(w->agenda);
    net_free(w->net);
    census_free(w->census);
    if (w->room_memory != NULL) (void)munmap(w->room_memory, step_room_bytes(w->caps));
    free(w->net_chance);
    free(w->consortium);
    free(w->parcel);
    free(w);
}
