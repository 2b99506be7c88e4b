/* The same study as a conventional central pipeline, in the same world: owners send their rows, in plaintext, over their links to one
 * machine; it computes what is asked of it, from what it has, and sends back the result. No records, keys, approvals or enclaves.
 *
 * The machine is the first party that computes: it stands where the enclaves would be, so that distance, speed and capacity are the
 * same and only the trust differs; who asks gets the result alone in both. There is one, and no other takes its place when it falls; what
 * it has it keeps, what it computes it begins anew. Links are encrypted between their ends, as they are in such pipelines: nobody reads in
 * transit, and the machine reads all. An owner that never approves sends nothing; one that takes back is obeyed from then on, but what
 * was sent was read.
 * Each looks every 50 ms and when something comes; what was sent is sent again when its link broke or lost it. */
#include "sim/simulation_state.h"

#include "crypto/hash.h"
#include "proto/base/panic.h"

#include <stdlib.h>
#include <string.h>

/* X(symbol, code, name): one byte, a number of four, and what else */
#define CENTRAL_TABLE(X)                                                                                     \
    X(CENTRAL_ROWS, 0xc0, "rows")           /* of this dataset, from its owner */                            \
    X(CENTRAL_HAVE, 0xc1, "have")           /* to its owner */                                               \
    X(CENTRAL_TAKE_BACK, 0xc2, "take back") /* from its owner */                                             \
    X(CENTRAL_READY, 0xc3, "ready")         /* to who asks: all rows that are to come are there */           \
    X(CENTRAL_ASK, 0xc4, "ask")             /* for this run */                                               \
    X(CENTRAL_RESULT, 0xc5, "result")       /* of this run: inputs as bits, a digest; none: there is none */
#define CENTRAL_ENUM(symbol, code, name) symbol = code,
enum central_code { CENTRAL_TABLE(CENTRAL_ENUM) };
#undef CENTRAL_ENUM

enum { PREFIX_BYTES = 5, RESULT_BYTES = 4 + 32, NOT_SENT = 0 };

/* At the machine, and at who asked. */
struct central_run {
    uint32_t asker;
    bool known, computing, done; /* at the machine */
    uint64_t computation;        /* which one it is, of all that were begun */
    uint32_t inputs;             /* bits; of a run that is done, or that is computed */
    uint64_t asked_on, told_on;  /* the link on which it was asked for, its result was sent; one more */
};
struct central {
    uint32_t hub, busy;
    bool have[CAP_INPUTS], taken[CAP_INPUTS];          /* at the machine */
    bool acknowledged[CAP_INPUTS];                     /* at the owner */
    uint64_t sent_on[CAP_INPUTS], back_on[CAP_INPUTS]; /* as above */
    bool ready[SCENARIO_PARTIES_MAX];                  /* at who asks; there is one consortium */
    uint64_t ready_on[SCENARIO_PARTIES_MAX];
    uint64_t computations;
    struct central_run run[SCENARIO_RUNS_MAX];
};

enum err central_begin(struct consortium *s)
{
    s->central = calloc(1, sizeof *s->central);
    if (s->central == NULL) return ERR_NO_MEMORY;
    while ((s->scenario->party[s->central->hub].roles & ROLE_COMPUTE) == 0) s->central->hub++;
    return OK;
}

void central_free(struct central *c)
{
    free(c);
}

const char *central_message_name(uint8_t code)
{
    switch (code) {
#define CENTRAL_NAME(symbol, code, name)                                                                     \
    case code: return name;
        CENTRAL_TABLE(CENTRAL_NAME)
#undef CENTRAL_NAME
    }
    return NULL;
}

/* --- Messages ------------------------------------------------------------------------------------------------------------ */

static bool carry(struct station *n, uint32_t to, enum central_code code, uint32_t number, struct span rest)
{
    uint8_t *bytes = malloc(PREFIX_BYTES + rest.len);
    bool carried = true;
    ASSERT(bytes != NULL);
    bytes[0] = (uint8_t)code;
    store_u32(bytes + 1, number);
    if (rest.len > 0) memcpy(bytes + PREFIX_BYTES, rest.data, rest.len);
    const struct span message = span_make(bytes, PREFIX_BYTES + rest.len);
    if (to == n->number)
        central_take(n, to, message);
    else
        carried = station_carry(n, to, message) > 0;
    free(bytes);
    return carried;
}

/* Once on each link; `sent_on` is this message's. To itself it is there at once. */
static void send(struct station *n, uint32_t to, uint64_t *sent_on, enum central_code code, uint32_t number,
                 struct span rest)
{
    const struct consortium *s = n->consortium;
    const bool itself = to == n->number;
    const uint64_t link = itself ? 1 : consortium_link(s, n->number, to) + 1;
    if (*sent_on == link || !(itself || consortium_linked(s, n->number, to))) return;
    if (carry(n, to, code, number, rest)) *sent_on = link;
}

/* --- Owners ----------------------------------------------------------------------------------------------------------------- */

static void owner_turn(struct station *n)
{
    struct consortium *s = n->consortium;
    struct central *c = s->central;
    const struct dataset *d = papers_of(s->papers, n->player);
    if (d == NULL || n->player->party->refuses) return;
    if (n->revoke_due)
        send(n, c->hub, &c->back_on[d->number], CENTRAL_TAKE_BACK, d->number, SPAN_NONE);
    else if (!c->acknowledged[d->number])
        send(n, c->hub, &c->sent_on[d->number], CENTRAL_ROWS, d->number, d->plain);
    s->revoked |= n->revoke_due;
}

/* --- The machine ------------------------------------------------------------------------------------------------------------- */

static bool is_out(const struct consortium *s, uint32_t dataset)
{
    return s->papers->dataset[dataset].owner->party->refuses || s->central->taken[dataset];
}

/* What it may use; 0: not all is there, fewer than k are left, or one took back and nobody goes on without it. */
static uint32_t usable(const struct consortium *s)
{
    uint32_t inputs = 0, count = 0;
    bool waits = false, taken = false;
    for (uint32_t i = 0; i < s->papers->dataset_count; i++) {
        taken |= s->central->taken[i];
        if (is_out(s, i)) continue;
        waits |= !s->central->have[i];
        inputs |= UINT32_C(1) << i;
        count++;
    }
    return waits || count < s->scenario->k || (taken && !s->scenario->go_on) ? 0 : inputs;
}

/* Can nothing be computed any more, whatever comes? */
static bool is_barred(const struct consortium *s)
{
    uint32_t left = 0;
    bool taken = false;
    for (uint32_t i = 0; i < s->papers->dataset_count; i++) {
        taken |= s->central->taken[i];
        left += !is_out(s, i);
    }
    return left < s->scenario->k || (taken && !s->scenario->go_on);
}

static const struct scenario_party *hub_of(const struct consortium *s)
{
    return &s->scenario->party[s->central->hub];
}

static void compute(struct consortium *s, struct central_run *r)
{
    struct central *c = s->central;
    r->inputs = usable(s);
    r->done = is_barred(s);
    if (r->inputs == 0) return;
    r->computing = true;
    r->computation = c->computations++;
    c->busy++;
    consortium_later(s, now_of(s) + scenario_compute_ns(s->scenario, hub_of(s)), (uint32_t)r->computation,
                     WHAT_COMPUTED);
    static const uint64_t phases[] = {RUN_ATTESTED, RUN_KEYED, RUN_COMPUTING};
    for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++) fault_phase(s, phases[i]);
}

void central_computed(struct consortium *s, uint32_t computation)
{
    struct central *c = s->central;
    for (uint32_t i = 0; i < s->run_count; i++) {
        struct central_run *r = &c->run[i];
        if (!r->computing || r->computation != computation) continue;
        r->computing = false;
        r->done = true;
        c->busy--;
        fault_phase(s, RUN_COMMITTED);
        central_turn(&s->station[c->hub]);
    }
}

void central_crashed(struct station *n)
{
    struct central *c = n->consortium->central;
    if (n->number != c->hub) return;
    for (uint32_t i = 0; i < n->consortium->run_count; i++) c->run[i].computing = false;
    c->busy = 0;
}

bool central_busy(const struct consortium *s, uint32_t *number)
{
    *number = s->central->hub;
    return s->central->busy > 0;
}

/* In place of a count: of the rows themselves, as the enclaves of this world have it. */
static void send_result(struct station *n, uint32_t number, struct central_run *r)
{
    const struct papers *p = n->consortium->papers;
    uint8_t result[RESULT_BYTES];
    struct sha256_stream digest;
    sha256_begin(&digest);
    for (uint32_t i = 0; i < p->dataset_count; i++)
        if ((r->inputs >> i & 1) != 0) sha256_add(&digest, p->dataset[i].plain);
    const struct hash32 value = sha256_end(&digest);
    store_u32(result, r->inputs);
    memcpy(result + 4, value.bytes, sizeof value.bytes);
    send(n, r->asker, &r->told_on, CENTRAL_RESULT, number, SPAN_OF(result));
}

static void hub_turn(struct station *n)
{
    struct consortium *s = n->consortium;
    struct central *c = s->central;
    const bool ready = usable(s) != 0;
    for (uint32_t i = 0; i < s->count; i++)
        if (ready && player_is(s->station[i].player, ROLE_REQUESTER))
            send(n, i, &c->ready_on[i], CENTRAL_READY, 0, SPAN_NONE);
    for (uint32_t i = 0; i < s->run_count; i++) {
        struct central_run *r = &c->run[i];
        if (r->known && !r->computing && !r->done && c->busy < scenario_enclaves(hub_of(s))) compute(s, r);
        if (r->done) send_result(n, i, r);
    }
}

/* --- Who asks ----------------------------------------------------------------------------------------------------------------- */

static bool asks(const struct consortium *s, const struct station *n)
{
    uint32_t first = 0;
    while (!player_is(s->station[first].player, ROLE_REQUESTER)) first++;
    return player_is(n->player, ROLE_REQUESTER) && (s->scenario->race || n->number == first);
}

/* Does nobody ask any more? */
static bool is_over(const struct consortium *s)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < s->papers->dataset_count; i++) {
        const struct player *owner = s->papers->dataset[i].owner;
        left += !owner->party->refuses && !s->station[owner->number].revoke_due;
    }
    return s->revoked && (!s->scenario->go_on || left < s->scenario->k);
}

static void new_run(struct station *n)
{
    struct consortium *s = n->consortium;
    const struct hash32 id = cast_derive(s->cast->seed, "central-run", s->run_count, 0);
    struct run_id run;
    if (!s->central->ready[n->number] || !asks(s, n) || is_over(s)) return;
    if (s->run_count >= s->scenario->runs || now_of(s) < n->pause_ns) return;
    memcpy(run.bytes, id.bytes, sizeof run.bytes);
    s->central->run[s->run_count].asker = n->number;
    watch_asked(n, run);
    n->pause_ns = now_of(s) + (uint64_t)s->scenario->every_ms * 1000000;
}

static void end_run(struct consortium *s, struct run_watch *w, bool settled)
{
    w->ended = true;
    s->counts.runs_settled += settled;
    s->counts.runs_ended += !settled;
    s->simulation->runs_over++;
    if (settled) w->settled_ms = now_of(s) / 1000000;
}

static void requester_turn(struct station *n)
{
    struct consortium *s = n->consortium;
    const uint64_t now_ms = now_of(s) / 1000000, life_ms = s->scenario->expires_ms;
    new_run(n);
    for (uint32_t i = 0; i < s->run_count; i++) {
        struct run_watch *w = &s->run[i];
        if (w->ended || w->asker != n->number) continue;
        send(n, s->central->hub, &s->central->run[i].asked_on, CENTRAL_ASK, i, SPAN_NONE);
        if (!w->ended && life_ms > 0 && now_ms > w->asked_ms + life_ms) end_run(s, w, false);
    }
}

static void take_result(struct station *n, uint32_t number, struct span rest)
{
    struct consortium *s = n->consortium;
    if (rest.len != RESULT_BYTES || s->run[number].ended) return;
    const uint32_t inputs = load_u32(rest.data);
    for (uint32_t i = 0; i < s->papers->dataset_count; i++)
        if ((inputs >> i & 1) != 0) flow_result(&s->flow, n->number, s->papers->dataset[i].dt);
    end_run(s, &s->run[number], inputs != 0);
}

bool central_over(const struct consortium *s)
{
    if (s->run_count < s->scenario->runs && !is_over(s)) return false;
    for (uint32_t i = 0; i < s->run_count; i++)
        if (!s->run[i].ended) return false;
    return true;
}

/* --- Driving ---------------------------------------------------------------------------------------------------------------------- */

void central_take(struct station *n, uint32_t from, struct span message)
{
    struct consortium *s = n->consortium;
    struct central *c = s->central;
    uint64_t once = NOT_SENT;
    ASSERT(message.len >= PREFIX_BYTES);
    const uint32_t number = load_u32(message.data + 1);
    switch ((enum central_code)message.data[0]) {
    case CENTRAL_ROWS:
        c->have[number] = true;
        send(n, from, &once, CENTRAL_HAVE, number, SPAN_NONE);
        break;
    case CENTRAL_HAVE: c->acknowledged[number] = true; break;
    case CENTRAL_TAKE_BACK: c->taken[number] = true; break;
    case CENTRAL_READY: c->ready[n->number] = true; break;
    case CENTRAL_ASK: c->run[number].known = true; break;
    case CENTRAL_RESULT:
        take_result(n, number, span_make(message.data + PREFIX_BYTES, message.len - PREFIX_BYTES));
        break;
    }
}

void central_turn(struct station *n)
{
    owner_turn(n);
    if (n->number == n->consortium->central->hub) hub_turn(n);
    if (player_is(n->player, ROLE_REQUESTER)) requester_turn(n);
}
