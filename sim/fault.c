/* What goes wrong: processes, links, disks and clocks; owners who take back; and hosts that cheat, which is all that a node
 * elected to compute is trusted for. What lasts is mended after its time; docs/SIMULATION.md, "Scenarios", says what comes of faults that
 * overlap. */
#include "sim/simulation_state.h"

#include "proto/base/panic.h"
#include "proto/wire/pack.h"

enum {
    LOOK_AGAIN_NS = 50000000, /* for somebody who is elected */
    ROGUE_NS = 700000000,     /* from one dishonest ask to the next */
    MESSAGE_BYTES_MAX = CAP_HEADER_BYTES + CAP_BODY_BYTES + 128,
};
#define SILENT_NS UINT64_C(30000000000) /* PROTOCOL.md: a link is dead after that */

/* --- Processes and links ------------------------------------------------------------------------------------------------ */

static void crash(struct consortium *s, uint32_t number, uint32_t for_ms)
{
    if (!s->station[number].up) return;
    station_crash(&s->station[number]);
    s->counts.crashes++;
    census_happened(s->census, place_of(s, number), MOMENT_CRASHED, now_of(s));
    consortium_later(s, now_of(s) + (uint64_t)for_ms * 1000000, number, WHAT_RESTART);
}

/* For good, from the first run on: whoever is needed before that the consortium cannot be founded without. */
static void lose(struct consortium *s, uint32_t index)
{
    if (s->run_count == 0) {
        consortium_later(s, now_of(s) + LOOK_AGAIN_NS, index, WHAT_FAULT);
        return;
    }
    for (uint32_t i = 0; i < s->count; i++) {
        if (!scenario_befalls(s->scenario, &s->scenario->fault[index], i) || s->station[i].gone) continue;
        s->station[i].gone = true;
        s->counts.crashes++;
        census_happened(s->census, place_of(s, i), MOMENT_CRASHED, now_of(s));
        station_crash(&s->station[i]);
    }
}

static void crash_elected(struct consortium *s, uint32_t index)
{
    uint32_t number;
    if (s->central != NULL && central_busy(s, &number)) {
        crash(s, number, s->scenario->fault[index].for_ms);
        return;
    }
    for (uint32_t i = 0; i < s->guest_count; i++)
        if (s->guest[i].guest != NULL) {
            crash(s, s->guest[i].station, s->scenario->fault[index].for_ms);
            return;
        }
    consortium_later(s, now_of(s) + LOOK_AGAIN_NS, index, WHAT_FAULT); /* as soon as there is one */
}

static void cut_off(struct consortium *s, uint32_t number, uint32_t for_ms)
{
    struct station *n = &s->station[number];
    if (n->cut) return;
    links_of(s, number, false);
    n->cut = true;
    s->counts.parts++;
    census_happened(s->census, place_of(s, number), MOMENT_CUT, now_of(s));
    consortium_later(s, now_of(s) + (uint64_t)for_ms * 1000000, number, WHAT_REJOIN);
}

void fault_rejoin(struct consortium *s, uint32_t number)
{
    struct station *n = &s->station[number];
    if (!n->cut) return;
    n->cut = false;
    census_happened(s->census, place_of(s, number), MOMENT_LINKED, now_of(s));
    if (n->up) links_of(s, number, true);
}

/* --- Sides ------------------------------------------------------------------------------------------------------------------ */

/* Whoever is cut off from all others shows it, once, however many faults do so. */
static void note_parted(struct consortium *s, const struct scenario_fault *f, bool on)
{
    if (f->kind != FAULT_PART) return;
    for (uint32_t i = 0; i < s->count; i++) {
        if (!scenario_has(s->scenario, &f->of, i)) continue;
        uint32_t *parted = &s->station[i].parted;
        if (on && ++*parted == 1) census_happened(s->census, place_of(s, i), MOMENT_CUT, now_of(s));
        if (!on && --*parted == 0) census_happened(s->census, place_of(s, i), MOMENT_LINKED, now_of(s));
    }
    s->counts.parts += on;
}

/* A byte stream whose one way is dead keeps what is sent into it, until it is given up: links of the product are (net.h). */
static void cut_sides(struct consortium *s, uint32_t index, bool on)
{
    const struct scenario_fault *f = &s->scenario->fault[index];
    const uint64_t lasts_ns = (uint64_t)f->for_ms * 1000000;
    note_parted(s, f, on);
    if (!on) {
        links_mend(s, index);
    } else if (!f->oneway) {
        links_cut(s, index);
    } else {
        links_hold(s, index, now_of(s) + lasts_ns);
        if (lasts_ns > SILENT_NS) consortium_later(s, now_of(s) + SILENT_NS, index, WHAT_SILENT);
    }
}

/* --- Owners ----------------------------------------------------------------------------------------------------------------- */

static void take_back(struct consortium *s, const struct scenario_fault *f)
{
    for (uint32_t i = 0; i < s->count; i++) {
        struct station *n = &s->station[i];
        if (!scenario_befalls(s->scenario, f, i)) continue;
        n->revoke_due = true;
        n->revoke_target = f->target;
        if (n->core != NULL) script_turn(n);
    }
}

void fault_phase(struct consortium *s, uint64_t state)
{
    for (uint32_t i = 0; i < s->scenario->fault_count; i++) {
        const struct scenario_fault *f = &s->scenario->fault[i];
        if (f->kind == FAULT_REVOKE && s->fault_begun[i] && f->phase == state) take_back(s, f);
    }
}

/* --- Hosts that cheat -------------------------------------------------------------------------------------------------------- */

static uint64_t last_term(const struct ledger_run *run)
{
    uint64_t last = 0;
    for (uint32_t i = 0; i < run->term_count; i++)
        if (run->term[i].term > last) last = run->term[i].term;
    return last;
}

struct span fault_record(struct record *out, const struct station *n, const struct identity_secret *secret,
                         struct header h, const void *body)
{
    static uint8_t built[MESSAGE_BYTES_MAX], message[MESSAGE_BYTES_MAX];
    struct buffer b = BUFFER_OF(built), encoded = BUFFER_OF(message);
    struct signature signature;
    size_t header_len;
    enum err err = record_build(&b, &header_len, &h, body);
    if (err == OK)
        err = notary_sign(n->consortium->cast->notary, &signature, secret,
                          record_sign_hash(h.kind, span_make(built, header_len)));
    if (err == OK)
        err = record_open(out, span_make(built, header_len), &signature,
                          span_make(built + header_len, b.len - header_len));
    ASSERT(err == OK);
    record_encode(&encoded, out);
    return buffer_span(&encoded);
}

struct header fault_header(const struct station *n, struct node_id author, enum kind kind)
{
    return (struct header){.kind = kind,
                           .consortium = n->consortium->cast->consortium,
                           .author = author,
                           .time_ms = station_wall_ms(n),
                           .residency = SPAN_LITERAL("")};
}

struct span fault_statement(const struct station *n, struct node_id author,
                            const struct identity_secret *secret, enum kind kind, const void *body)
{
    struct record r;
    return fault_record(&r, n, secret, fault_header(n, author, kind), body);
}

static struct span statement_of(const struct station *n, enum kind kind, const void *body)
{
    return fault_statement(n, n->player->id, &n->player->secret, kind, body);
}

/* For a term that is past, goes on or comes next. */
static void ask_for_votes(struct station *n, const struct ledger_run *run)
{
    const struct charter *charter = n->consortium->cast->founding;
    const struct body_VOTE_ASK body = {run->run, chance_within(&n->rogue_chance, 1, last_term(run) + 1)};
    const struct span ask = statement_of(n, KIND_VOTE_ASK, &body);
    for (uint32_t i = 0; i < charter->custodian_count; i++)
        station_send(n, charter->member[charter->custodian[i]].node, ask);
    station_forget_said(n);
}

void fault_rogue(struct station *n)
{
    struct consortium *s = n->consortium;
    if (!n->rogue) return;
    consortium_later(s, now_of(s) + ROGUE_NS, n->number, WHAT_ROGUE);
    if (n->core == NULL || s->ledger.runs == 0) return;
    ask_for_votes(n, &s->ledger.run[chance_below(&n->rogue_chance, s->ledger.runs)]);
}

/* --- Custodians that lie ------------------------------------------------------------------------------------------------------ */

static void vote_for(struct station *n, const struct run_entry *run, struct run_id id, uint64_t term,
                     struct node_id node)
{
    const struct certificate c = {.consortium = n->consortium->cast->consortium,
                                  .epoch = run->body.epoch,
                                  .run = id,
                                  .compose = run->body.compose,
                                  .slot = run->body.slot,
                                  .term = term,
                                  .node = node};
    struct body_VOTE vote = {.run = id, .term = term, .node = node, .known = term};
    const enum err err =
        notary_sign(n->consortium->cast->notary, &vote.vote, &n->player->secret, certificate_vote_hash(&c));
    ASSERT(err == OK);
    station_send(n, node, statement_of(n, KIND_VOTE, &vote));
    station_forget_said(n);
}

bool fault_double(struct station *n, struct span message)
{
    static union message_body m;
    static union body body;
    enum message code;
    struct record r;
    const bool read = message_decode(&code, &m, message) == OK && code == MESSAGE_RECORD_CODE &&
                      record_open(&r, m.RECORD.header, &m.RECORD.signature, m.RECORD.body) == OK &&
                      (r.header.kind == KIND_VOTE_ASK || r.header.kind == KIND_PREVOTE_ASK) &&
                      body_decode(&body, r.header.kind, r.body) == OK;
    const struct run_entry *run =
        read && n->core != NULL ? registry_run(core_registry(n->core), body.VOTE_ASK.run) : NULL;
    if (run == NULL) return false;
    if (r.header.kind == KIND_VOTE_ASK) {
        vote_for(n, run, body.VOTE_ASK.run, body.VOTE_ASK.term, r.header.author);
        return true;
    }
    const struct body_PREVOTE yes = {
        .run = body.PREVOTE_ASK.run, .term = body.PREVOTE_ASK.term, .node = r.header.author};
    station_send(n, r.header.author, statement_of(n, KIND_PREVOTE, &yes));
    station_forget_said(n);
    return true;
}

/* --- Hosts again ------------------------------------------------------------------------------------------------------------------ */

struct span fault_forge(struct buffer *out, struct span frame)
{
    struct cursor at = cursor_make(frame);
    struct consortium_id consortium;
    struct run_id run;
    struct span bytes, bundle;
    struct certificate certificate;
    uint8_t type, shorter[CERTIFICATE_BYTES_MAX];
    uint64_t term;
    const bool read =
        cursor_u8(&at, &type) == OK && unpack_array_of(&at, 5) == OK &&
        unpack_fixed(&at, consortium.bytes, 32) == OK && unpack_fixed(&at, run.bytes, 32) == OK &&
        unpack_uint(&at, UINT32_MAX, &term) == OK && unpack_bin(&at, CERTIFICATE_BYTES_MAX, &bytes) == OK &&
        unpack_bin(&at, SIZE_MAX, &bundle) == OK && certificate_decode(&certificate, bytes) == OK;
    ASSERT(read); /* it is the core's own */
    struct buffer b = BUFFER_OF(shorter);
    certificate.vote_count--;
    certificate_encode(&b, &certificate);
    enclave_start_frame(out, consortium, run, term, buffer_span(&b), bundle);
    return buffer_span(out);
}

static void twins_end(struct consortium *s, uint32_t number)
{
    for (uint32_t i = 0; i < s->guest_count; i++)
        if (s->guest[i].guest != NULL && s->guest[i].station == number && s->guest[i].twin) guest_drop(s, i);
}

/* --- In their time -------------------------------------------------------------------------------------------------------------- */

static void set_one(struct station *n, const struct scenario_fault *f, bool on)
{
    struct consortium *s = n->consortium;
    switch (f->kind) {
    case FAULT_FULL: disk_fill(n->disk, on); break;
    case FAULT_CLOCK: n->ahead_ms = on ? f->by_ms : 0; break;
    case FAULT_ROGUE:
        n->rogue = on;
        if (on) consortium_later(s, now_of(s), n->number, WHAT_ROGUE);
        break;
    case FAULT_TWIN:
        n->twin = on;
        if (!on) twins_end(s, n->number);
        break;
    case FAULT_FORGE: n->forge = on; break;
    case FAULT_STALE: n->evidence = on ? GUEST_STALE : GUEST_TRUE; break;
    case FAULT_FAKE: n->evidence = on ? GUEST_FAKE : GUEST_TRUE; break;
    case FAULT_RELAY: n->evidence = on ? GUEST_RELAYED : GUEST_TRUE; break;
    case FAULT_STALL: n->stalls = on; break;
    case FAULT_GARBLE:
        n->garbles = on;
        n->garbled |= on;
        break;
    case FAULT_STARVE: n->starves = on; break;
    case FAULT_DOUBLE:
        n->doubles = on;
        n->byzantine |= on;
        break;
    case FAULT_LAX:
        n->lax = on;
        n->byzantine |= on;
        if (on) ledger_lax(&s->ledger, n->player->id, now_of(s));
        break;
    case FAULT_CRASH:
        if (on) crash(s, n->number, f->for_ms);
        break;
    case FAULT_WITHHOLD:
    case FAULT_REPLAY:
    case FAULT_FLOOD:
    case FAULT_ECLIPSE: adversary_set(n, f, on); break;
    case FAULT_EQUIVOCATE: adversary_equivocate(n); break;
    case FAULT_PROBE: n->probes = on; break;
    case FAULT_SYBIL:
        n->sybils = on;
        n->sybilled |= on;
        s->sybils = true;
        break;
    case FAULT_SPOIL: n->spoils = on; break;
    case FAULT_PART:
    case FAULT_SPLIT:
    case FAULT_ELECTED:
    case FAULT_REVOKE:
    case FAULT_RETYPE:
    case FAULT_LOSE:
    case FAULT_KIND_COUNT: UNREACHABLE();
    }
}

static void set(struct consortium *s, uint32_t index, bool on)
{
    const struct scenario_fault *f = &s->scenario->fault[index];
    if (f->kind == FAULT_PART || f->kind == FAULT_SPLIT) {
        cut_sides(s, index, on);
        return;
    }
    for (uint32_t i = 0; i < s->count; i++)
        if (scenario_befalls(s->scenario, f, i)) set_one(&s->station[i], f, on);
}

/* For members that break the protocol in what they send nobody waits: the others go on meanwhile, and come to hold the same. */
static bool is_waited_for(enum scenario_fault_kind kind)
{
    return kind != FAULT_WITHHOLD && kind != FAULT_REPLAY && kind != FAULT_FLOOD && kind != FAULT_ECLIPSE &&
           kind != FAULT_PROBE && kind != FAULT_SYBIL && kind != FAULT_SPOIL;
}

static void last(struct consortium *s, uint32_t index)
{
    set(s, index, true);
    s->faults_on += is_waited_for(s->scenario->fault[index].kind);
    consortium_later(s, now_of(s) + (uint64_t)s->scenario->fault[index].for_ms * 1000000, index, WHAT_MEND);
}

void fault_mend(struct consortium *s, uint32_t index)
{
    const bool waited_for = is_waited_for(s->scenario->fault[index].kind);
    ASSERT(s->faults_on >= waited_for);
    s->faults_on -= waited_for;
    set(s, index, false);
}

void fault_begin(struct consortium *s, uint32_t index)
{
    const struct scenario_fault *f = &s->scenario->fault[index];
    if (s->end_ns != UINT64_MAX) return; /* what comes after the last run is not played */
    s->fault_begun[index] = true;
    switch (f->kind) {
    case FAULT_CRASH: /* each ends by its own start */
    case FAULT_EQUIVOCATE: set(s, index, true); break;
    case FAULT_PART:
        if (f->of.by == BY_PARTY && f->of.more == 0 && !f->oneway)
            cut_off(s, f->of.party, f->for_ms);
        else
            last(s, index);
        break;
    case FAULT_ELECTED: crash_elected(s, index); break;
    case FAULT_LOSE: lose(s, index); break;
    case FAULT_REVOKE:
        if (f->phase == RUN_STATE_COUNT) take_back(s, f);
        break;
    case FAULT_RETYPE: s->retype = true; break;
    case FAULT_SPLIT:
    case FAULT_FULL:
    case FAULT_CLOCK:
    case FAULT_ROGUE:
    case FAULT_TWIN:
    case FAULT_FORGE:
    case FAULT_STALE:
    case FAULT_FAKE:
    case FAULT_RELAY:
    case FAULT_STALL:
    case FAULT_GARBLE:
    case FAULT_STARVE:
    case FAULT_DOUBLE:
    case FAULT_LAX:
    case FAULT_WITHHOLD:
    case FAULT_REPLAY:
    case FAULT_FLOOD:
    case FAULT_PROBE:
    case FAULT_SYBIL:
    case FAULT_SPOIL:
    case FAULT_ECLIPSE: last(s, index); break;
    case FAULT_KIND_COUNT: UNREACHABLE();
    }
}
