/* One node: its core, and the executors of the production pump. */
#include "sim/simulation_state.h"

#include "proto/base/panic.h"
#include "proto/charter.h"
#include "proto/wire/pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    DISK_BYTES_MAX = 1 << 30,
    SYNC_NS = 300000, /* a group commit on an SSD, and up to as much more */
    BLOB_BYTES_MAX_HERE = (1 << 20) + 256,
    START_BYTES_MAX = BUNDLE_BYTES_MAX + 16384,
};

static uint32_t number_of(const struct consortium *s, struct node_id id)
{
    const struct player *p = cast_find(s->cast, id);
    return p != NULL ? p->number : s->count;
}

static void post_here(struct station *n, uint64_t at_ns, struct parcel parcel)
{
    parcel.incarnation = n->incarnation;
    consortium_post(n->consortium, at_ns, n->number, &parcel);
}

/* --- Messages ------------------------------------------------------------------------------------------------------------ */

/* What is told to many is the same bytes of the core's: one slice. */
static bool is_said(const struct station *n, struct span message)
{
    return n->said != NULL && n->said_at == message.data && n->said->len == message.len;
}

static struct slice *said(struct station *n, struct span message)
{
    if (is_said(n, message)) {
        n->said->refs++;
        return n->said;
    }
    slice_drop(n->said);
    n->said = slice_of(message);
    n->said_at = message.data;
    n->said->refs++; /* kept here until the step is over */
    return n->said;
}

void station_forget_said(struct station *n)
{
    slice_drop(n->said);
    n->said = NULL;
}

uint64_t station_carry_slice(struct station *n, uint32_t to, struct slice *slice)
{
    struct consortium *s = n->consortium;
    uint64_t arrivals_ns[NET_COPIES_MAX];
    const struct station *other = &s->station[to];
    const uint32_t len = (uint32_t)slice->len + FRAME_OVERHEAD;
    const struct parcel p = {.type = EVENT_MESSAGE,
                             .from = n->number,
                             .incarnation = other->incarnation,
                             .link = consortium_link(s, n->number, to),
                             .slice = slice};
    s->counts.messages++;
    s->counts.bytes += len;
    if (!span_equal(n->player->party->jurisdiction, other->player->party->jurisdiction))
        s->counts.bytes_abroad += len;
    census_sent(s->census, place_of(s, n->number), span_make(slice->bytes, slice->len), len);
    const uint32_t copies =
        net_send(s->net, place_of(s, n->number), place_of(s, to), len, now_of(s), arrivals_ns);
    for (uint32_t i = 0; i < copies; i++) {
        slice->refs++;
        consortium_post(s, arrivals_ns[i], to, &p);
    }
    return copies > 0 ? arrivals_ns[copies - 1] : 0;
}

uint64_t station_carry(struct station *n, uint32_t to, struct span message)
{
    struct slice *slice = said(n, message);
    adversary_sent(n, slice);
    const uint64_t arrives_ns = station_carry_slice(n, to, slice);
    slice_drop(slice);
    if (n->core == NULL)
        station_forget_said(n); /* no step of a core ends this: other bytes come to lie there */
    return arrives_ns;
}

static void send_to_itself(struct station *n, struct span message)
{
    struct consortium *s = n->consortium;
    const struct parcel p = {
        .type = EVENT_MESSAGE, .from = n->number, .incarnation = n->incarnation, .slice = said(n, message)};
    consortium_post(s, now_of(s) + LOCAL_NS, n->number, &p);
}

void station_send(struct station *n, struct node_id peer, struct span message)
{
    struct consortium *s = n->consortium;
    const uint32_t to = number_of(s, peer);
    if (to == s->count) return;
    watch_message(n, to, message, is_said(n, message));
    if (to == n->number)
        send_to_itself(n, message);
    else if (consortium_linked(s, n->number, to) && !adversary_keeps(n, message))
        (void)station_carry(n, to, message);
}

static void x_send(void *context, struct node_id peer, struct span message)
{
    station_send(context, peer, message);
}

static void x_offence(void *context, struct node_id peer)
{
    struct station *n = context;
    const struct player *p = cast_find(n->consortium->cast, peer);
    if (p != NULL && player_is(n->player, ROLE_COMPUTE) && n->consortium->station[p->number].garbled)
        return; /* it is one, to whoever asked it for its data */
    const struct span name = p != NULL ? p->party->name : SPAN_LITERAL("a stranger");
    watch_violation(n->consortium, "live", "%.*s takes %.*s, which keeps to the protocol, for an offender",
                    (int)n->player->party->name.len, (const char *)n->player->party->name.data, (int)name.len,
                    (const char *)name.data);
}

/* --- Blobs ----------------------------------------------------------------------------------------------------------------- */

static void x_send_blob(void *context, struct node_id peer, struct span cid, struct span manifests)
{
    static uint8_t bytes[BLOB_BYTES_MAX_HERE], message[BLOB_BYTES_MAX_HERE + 256];
    struct station *n = context;
    struct buffer blob = BUFFER_OF(bytes), out = BUFFER_OF(message);
    const enum err err = n->starves ? ERR_NOT_FOUND : disk_blob(n->disk, cid, &blob);
    (void)manifests; /* every blob here is of the one study */
    if (n->garbles && blob.len > 0) blob.data[blob.len / 2] ^= 1;
    const struct message_BLOB m = {cid, err == OK ? REFUSAL_NONE : REFUSAL_INPUT_MISSING, buffer_span(&blob)};
    message_encode(&out, MESSAGE_BLOB_CODE, &m);
    x_send(n, peer, buffer_span(&out));
    station_forget_said(n);
}

/* A host that cheats has two of one run. */
static bool is_guest_of(const struct guest_place *p, const struct station *n, struct run_id run)
{
    return p->station == n->number && p->guest != NULL && ID_EQUAL(p->run, run);
}

static void x_enclave_send(void *context, struct run_id run, struct span frame)
{
    struct station *n = context;
    struct consortium *s = n->consortium;
    for (uint32_t i = 0; i < s->guest_count && !n->stalls; i++)
        if (is_guest_of(&s->guest[i], n, run)) {
            guest_frame(s->guest[i].guest, frame, station_clock_ns(n) + LOCAL_NS);
            guest_schedule(s, i);
        }
}

static void x_enclave_blob(void *context, struct run_id run, struct span cid)
{
    static uint8_t bytes[BLOB_BYTES_MAX_HERE];
    struct station *n = context;
    struct buffer b = BUFFER_OF(bytes);
    buffer_put_u8(&b, FRAME_BLOB);
    buffer_put(&b, cid);
    buffer_put_u8(&b, 1);
    if (disk_blob(n->disk, cid, &b) == OK) {
        x_enclave_send(n, run, buffer_span(&b));
        return;
    }
    post_here(n, now_of(n->consortium) + LOCAL_NS,
              (struct parcel){.type = EVENT_BLOB_MISSING, .run = run, .slice = slice_of(cid)});
}

/* --- Enclaves ---------------------------------------------------------------------------------------------------------------- */

static void on_frame(void *context, struct span frame)
{
    struct guest_place *p = context;
    struct consortium *s = p->consortium;
    struct station *n = &s->station[p->station];
    enum census_phase phase;
    watch_frame(p, frame);
    if (n->stalls) return;
    if (census_phase_of(&phase, frame))
        census_reached(s->census, place_of(s, n->number), p->run, p->term, phase, now_of(s));
    post_here(n, now_of(s) + LOCAL_NS,
              (struct parcel){.type = EVENT_ENCLAVE, .run = p->run, .slice = slice_of(frame)});
}

static void on_opened(void *context, struct dt dataset)
{
    struct guest_place *p = context;
    const struct papers *papers = p->consortium->papers;
    for (uint32_t i = 0; i < papers->dataset_count; i++) {
        if (!ID_EQUAL(papers->dataset[i].dt, dataset)) continue;
        flow_opened(&p->consortium->flow, p->station, i);
        watch_opened(p, i);
    }
}

/* FRAME_START: type, then an array of consortium, run, term, certificate, bundle. */
static uint64_t term_of(struct span frame, struct span *certificate)
{
    struct cursor at = cursor_make(frame);
    uint8_t type, id[32];
    uint64_t term = 0;
    const bool read = cursor_u8(&at, &type) == OK && unpack_array_of(&at, 5) == OK &&
                      unpack_fixed(&at, id, 32) == OK && unpack_fixed(&at, id, 32) == OK &&
                      unpack_uint(&at, UINT32_MAX, &term) == OK &&
                      unpack_bin(&at, CERTIFICATE_BYTES_MAX, certificate) == OK;
    ASSERT(read); /* it is the core's own */
    return term;
}

/* One that nothing in the agenda speaks of any more. */
static struct guest_place *free_place(struct consortium *s)
{
    for (uint32_t i = 0; i < s->guest_count; i++)
        if (s->guest[i].guest == NULL && s->guest[i].due_ns == UINT64_MAX) return &s->guest[i];
    return s->guest_count < GUESTS_MAX ? &s->guest[s->guest_count++] : NULL;
}

static void start_guest(struct station *n, struct run_id run, uint64_t term, struct span frame, bool twin)
{
    struct consortium *s = n->consortium;
    struct guest_place *p = free_place(s);
    if (p == NULL) {
        watch_violation(s, "live", "more than %d enclaves at once", GUESTS_MAX);
        return;
    }
    *p = (struct guest_place){.consortium = s,
                              .station = n->number,
                              .run = run,
                              .term = term,
                              .due_ns = UINT64_MAX,
                              .twin = twin,
                              .evidence = n->evidence};
    const struct guest_options options = {.cast = s->cast,
                                          .host = n->player,
                                          .run = run,
                                          .term = p->term,
                                          .evidence = p->evidence,
                                          .number = s->guests_started++,
                                          .frame = on_frame,
                                          .opened = on_opened,
                                          .context = p};
    const enum err err = guest_new(&p->guest, &options);
    ASSERT(err == OK);
    census_elected(s->census, place_of(s, n->number), run, p->term, now_of(s));
    guest_frame(p->guest, frame, station_clock_ns(n) + LOCAL_NS);
    guest_schedule(s, (uint32_t)(p - s->guest));
}

static void x_enclave_start(void *context, struct run_id run, struct span frame)
{
    static uint8_t forged[START_BYTES_MAX];
    struct station *n = context;
    struct buffer out = BUFFER_OF(forged);
    struct span certificate;
    const uint64_t term = term_of(frame, &certificate);
    watch_certificate(n, certificate);
    n->forged |= n->forge || n->evidence != GUEST_TRUE;
    if (n->forge) frame = fault_forge(&out, frame);
    start_guest(n, run, term, frame, false);
    if (n->twin) start_guest(n, run, term, frame, true);
}

static void x_enclave_stop(void *context, struct run_id run)
{
    struct station *n = context;
    struct consortium *s = n->consortium;
    for (uint32_t i = 0; i < s->guest_count; i++) {
        if (!is_guest_of(&s->guest[i], n, run)) continue;
        if (s->guest[i].twin)
            guest_drop(s, i);
        else
            guest_end(s, i);
    }
}

/* --- Disk and keyed work ------------------------------------------------------------------------------------------------------- */

static void on_stored(void *context, uint64_t token, enum err err)
{
    struct station *n = context;
    census_kept(n->consortium->census, place_of(n->consortium, n->number), token, err, now_of(n->consortium));
    post_here(n, now_of(n->consortium), (struct parcel){.type = EVENT_STORED, .token = token, .err = err});
}

/* For who counts: which of this node's own records wait under this token. */
static void note_own(const struct station *n, uint64_t token, const struct keep *items, uint32_t count)
{
    struct record r;
    struct record_id id;
    struct census *t = n->consortium->census;
    for (uint32_t i = 0; t != NULL && i < count; i++) {
        if (items[i].space != KEEP_RECORD || items[i].key.len != sizeof id.bytes) continue;
        memcpy(id.bytes, items[i].key.data, sizeof id.bytes);
        if (record_unpack_known(&r, items[i].value, id) == OK && ID_EQUAL(r.header.author, n->player->id))
            census_keeping(t, place_of(n->consortium, n->number), token, items[i].key);
    }
}

static void x_store(void *context, uint64_t token, const struct keep *items, uint32_t count)
{
    struct station *n = context;
    struct consortium *s = n->consortium;
    note_own(n, token, items, count);
    for (uint32_t i = 0; i < count; i++) watch_plaintext(s, items[i].value, "what is kept", n->number);
    if (!disk_keep(n->disk, token, items, count) || n->sync_due) return;
    n->sync_due = true;
    consortium_later(s, now_of(s) + SYNC_NS + chance_below(&n->disk_chance, SYNC_NS), n->number, WHAT_SYNC);
}

static void x_crypto(void *context, uint64_t token, const struct crypto_job *job)
{
    static uint8_t output[WORK_OUTPUT_MAX];
    struct station *n = context;
    struct buffer out = BUFFER_OF(output);
    const enum err err = labour_do(&n->labour, &out, job);
    watch_keyed(n, job, err);
    const uint64_t now_ns = now_of(n->consortium), from_ns = n->busy_ns > now_ns ? n->busy_ns : now_ns;
    n->busy_ns = from_ns + labour_cost_ns(job);
    census_worked(n->consortium->census, &(struct census_work){now_ns, from_ns, n->busy_ns,
                                                               place_of(n->consortium, n->number), job->op});
    post_here(n, n->busy_ns,
              (struct parcel){
                  .type = EVENT_CRYPTO, .token = token, .err = err, .slice = slice_of(buffer_span(&out))});
}

/* --- Replies -------------------------------------------------------------------------------------------------------------------- */

static void x_dial(void *context, struct node_id peer, struct span address)
{
    struct station *n = context;
    (void)address; /* everybody is where it says */
    dialling_begin(n, number_of(n->consortium, peer));
}

static void x_hang_up(void *context, struct node_id peer)
{
    struct station *n = context;
    dialling_end(n, number_of(n->consortium, peer));
}

static void x_reply(void *context, uint64_t token, struct verdict verdict, struct hash32 id)
{
    script_reply(context, token, verdict, id);
}

static void x_notice(void *context, struct span line)
{
    (void)context, (void)line; /* for people beside a daemon */
}

static void on_record(struct station *n, const struct happened *what)
{
    struct record_id id;
    n->consortium->counts.records++;
    census_applied(n->consortium->census, place_of(n->consortium, n->number), what->id,
                   now_of(n->consortium));
    memcpy(id.bytes, what->id.bytes, sizeof id.bytes);
    const struct record *own = chain_find(core_chain(n->core), n->player->id, id);
    if (own != NULL) watch_record(n, own);
    if (n->consortium->sybils) watch_devices(n);
}

static void x_happened(void *context, const struct happened *what)
{
    struct station *n = context;
    if (what->type == HAPPENED_RECORD) on_record(n, what);
    if (what->type == HAPPENED_RUN) watch_leases(n->consortium, what->run);
}

/* --- Clocks ---------------------------------------------------------------------------------------------------------------------- */

enum { MILLION = 1000000 };

/* They drift at one rate from the beginning of their consortium, so that time never runs back. */
static uint64_t drifted(uint64_t ns, int32_t ppm)
{
    return (uint64_t)((int64_t)ns + (int64_t)ns * ppm / MILLION); /* of a day at most: it fits */
}

uint64_t station_clock_ns(const struct station *n)
{
    const uint64_t begin_ns = n->consortium->begin_ns;
    return begin_ns + drifted(now_of(n->consortium) - begin_ns, n->player->party->drift_ppm);
}

/* The first moment at which it shows that. */
uint64_t station_true_ns(const struct station *n, uint64_t clock_ns)
{
    const int32_t ppm = n->player->party->drift_ppm;
    const uint64_t begin_ns = n->consortium->begin_ns;
    if (clock_ns == UINT64_MAX || ppm == 0 || clock_ns < begin_ns) return clock_ns;
    const uint64_t shown_ns = clock_ns - begin_ns;
    uint64_t ns = shown_ns / (uint64_t)(MILLION + ppm) * MILLION;
    while (drifted(ns, ppm) < shown_ns) ns += shown_ns - drifted(ns, ppm);
    return begin_ns + ns;
}

uint64_t station_wall_ms(const struct station *n)
{
    const uint64_t ms = SIMULATION_START_MS + station_clock_ns(n) / MILLION;
    return (uint64_t)((int64_t)ms + n->ahead_ms);
}

/* --- Stepping -------------------------------------------------------------------------------------------------------------------- */

void station_event(struct station *n, struct event event)
{
    event.now.ns = (int64_t)station_clock_ns(n);
    event.wall_ms = station_wall_ms(n);
    pump_event(n->core, &n->executors, &event);
    station_forget_said(n);
    if (n->consortium->simulation->nodes <= CHECKED_MAX || event.type == EVENT_TICK) core_check(n->core);
}

/* When the core wants a tick, if that is not in the agenda already. */
void station_tick(struct station *n)
{
    const struct consortium *s = n->consortium;
    const int64_t due = core_deadline(n->core).ns;
    if (due == INT64_MAX) return;
    const uint64_t due_ns = station_true_ns(n, (uint64_t)due);
    const uint64_t at_ns = due_ns > now_of(s) ? due_ns : now_of(s) + 1;
    if (n->tick_ns <= at_ns) return;
    n->tick_ns = at_ns;
    consortium_later(n->consortium, at_ns, n->number, WHAT_TICK);
}

void station_rest(struct station *n)
{
    simulation_give_back(core_spare(n->core));
}

static void restore_event(void *context, const struct event *event)
{
    station_event(context, *event);
}

static enum err start_core(struct station *n)
{
    const struct consortium *s = n->consortium;
    const size_t bytes = core_arena_bytes(s->simulation->caps);
    const uint32_t place = place_of(s, n->number);
    char announce[CONTACT_ADDRESS_MAX];
    (void)snprintf(announce, sizeof announce, "tcp://10.%u.%u.%u:7001", (unsigned)place >> 16,
                   (unsigned)place >> 8 & 255, (unsigned)place & 255);
    const struct core_options options = {.self = n->player->id,
                                         .announce = consortium_dials(s) ? span_text(announce) : SPAN_NONE,
                                         .consortium = s->cast->consortium,
                                         .charter = s->cast->charter,
                                         .compute = player_is(n->player, ROLE_COMPUTE),
                                         .platform = n->player->platform,
                                         .engine = SPAN_LITERAL("int-gate/1"),
                                         .gpu = SPAN_LITERAL(""),
                                         .enclaves_max = scenario_enclaves(n->player->party),
                                         .caps = s->simulation->caps,
                                         .room = &s->simulation->room,
                                         .shelf = &n->consortium->held};
    void *memory = simulation_sparse(bytes);
    ASSERT(n->core == NULL);
    if (memory == NULL) return ERR_NO_MEMORY;
    n->arena = arena_make(memory, bytes);
    n->incarnation++;
    n->tick_ns = UINT64_MAX;
    enum err err = core_new(&n->core, &n->arena, &options);
    if (err == OK) err = disk_restore(n->disk, restore_event, n);
    ASSERT(err == OK);
    station_event(n, (struct event){.type = EVENT_READY});
    station_tick(n);
    return OK;
}

enum err station_start(struct station *n)
{
    ASSERT(!n->up);
    n->up = true;
    if (n->consortium->central == NULL)
        TRY(start_core(n));
    else
        n->incarnation++;
    links_of(n->consortium, n->number, true);
    return OK;
}

/* Of what waits for the disk a random part had reached it. */
static void stop_core(struct station *n)
{
    struct consortium *s = n->consortium;
    disk_crash(n->disk, (uint32_t)chance_below(&n->disk_chance, disk_waiting(n->disk) + 1));
    for (uint32_t i = 0; i < s->guest_count; i++)
        if (s->guest[i].station == n->number && s->guest[i].guest != NULL) guest_drop(s, i);
    (void)munmap(n->arena.data, n->arena.cap);
    n->core = NULL;
    n->dialled_count = 0;
}

void station_crash(struct station *n)
{
    if (!n->up) return;
    n->up = false;
    if (n->core != NULL)
        stop_core(n);
    else
        central_crashed(n);
    n->incarnation++;
    n->sync_due = false;
    n->waiting = 0; /* whoever waits for an answer asks again */
    n->busy_ns = 0;
    links_of(n->consortium, n->number, false);
}

enum err station_begin(struct station *n, struct consortium *s, uint32_t number)
{
    *n = (struct station){.consortium = s,
                          .player = &s->cast->player[number],
                          .number = number,
                          .tick_ns = UINT64_MAX,
                          .disk_chance = chance_stream(s->cast->seed, "disk", number),
                          .rogue_chance = chance_stream(s->cast->seed, "rogue", number),
                          .executors = {n, x_send, x_offence, x_send_blob, x_store, x_crypto, x_enclave_start,
                                        x_enclave_send, x_enclave_blob, x_enclave_stop, x_dial, x_hang_up,
                                        x_reply, x_notice, x_happened}};
    n->labour = (struct labour){.cast = s->cast, .player = n->player};
    if (player_is(n->player, ROLE_CUSTODIAN)) {
        n->labour.kept = calloc(1, sizeof *n->labour.kept);
        if (n->labour.kept == NULL) return ERR_NO_MEMORY;
    }
    TRY(disk_new(&n->disk, &s->kept, DISK_BYTES_MAX, on_stored, n));
    if (!player_is(n->player, ROLE_STEWARD)) return OK;
    n->admitted = calloc(s->count, sizeof *n->admitted);
    return n->admitted != NULL ? OK : ERR_NO_MEMORY;
}

void station_free(struct station *n)
{
    if (n->core != NULL) stop_core(n);
    station_forget_said(n);
    adversary_free(n);
    disk_free(n->disk);
    free(n->labour.kept);
    free(n->dialled);
    free(n->bypassed);
    free(n->own);
    free(n->admitted);
}
