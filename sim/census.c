#include "sim/census.h"

#include "proto/base/panic.h"

#include <stdlib.h>
#include <string.h>

enum { WAITING_MAX = 8, BIRTHS_FIRST = 1 << 10, LIST_FIRST = 64 };

/* An own record on its way to the disk. */
struct waiting {
    uint64_t token; /* 0: free */
    struct hash32 id;
};
/* When a record was on its author's disk. */
struct birth {
    struct hash32 id;
    uint64_t at_ns;
    uint32_t author_plus_one; /* 0: free */
};

struct census {
    struct census_options options;
    struct census_node *node;
    struct waiting (*waiting)[WAITING_MAX];
    struct census_traffic message[CENSUS_CODES], kind[CENSUS_CODES];
    struct birth *birth; /* by the first bits of the id; at most half full */
    uint64_t birth_count, birth_places;
    struct spread delay;
    struct spread *between; /* [from * region_count + to] */
    struct census_election *election;
    struct census_moment *moment;
    struct census_work *work;
    uint32_t election_count, moment_count, work_count;
    struct census_missed missed;
};

enum err census_new(struct census **out, const struct census_options *options)
{
    struct census *t = calloc(1, sizeof *t);
    const size_t pairs = (size_t)options->region_count * options->region_count;
    if (t == NULL) return ERR_NO_MEMORY;
    t->options = *options;
    t->node = calloc(options->node_count, sizeof *t->node);
    t->waiting = calloc(options->node_count, sizeof *t->waiting);
    t->between = calloc(pairs, sizeof *t->between);
    t->birth_places = BIRTHS_FIRST;
    t->birth = calloc(t->birth_places, sizeof *t->birth);
    if (t->node == NULL || t->waiting == NULL || t->between == NULL || t->birth == NULL) {
        census_free(t);
        return ERR_NO_MEMORY;
    }
    *out = t;
    return OK;
}

void census_free(struct census *t)
{
    if (t == NULL) return;
    free(t->node);
    free(t->waiting);
    free(t->between);
    free(t->birth);
    free(t->election);
    free(t->moment);
    free(t->work);
    free(t);
}

static struct census_node *node_at(struct census *t, uint32_t node)
{
    ASSERT(node < t->options.node_count);
    return &t->node[node];
}

void census_place(struct census *t, uint32_t node, uint32_t region)
{
    if (t == NULL) return;
    ASSERT(region < t->options.region_count);
    node_at(t, node)->region = region;
}

/* A list of that many with room for one more: it doubles. */
static void *grown(void *list, uint32_t count, size_t size)
{
    if (count != 0 && (count < LIST_FIRST || (count & (count - 1)) != 0)) return list;
    const size_t places = count < LIST_FIRST ? LIST_FIRST : 2 * (size_t)count;
    list = realloc(list, places * size);
    ASSERT(list != NULL);
    return list;
}

/* --- Messages ------------------------------------------------------------------------------------------------------------ */

static void count(struct census_traffic *traffic, uint64_t bytes)
{
    traffic->messages++;
    traffic->bytes += bytes;
}

static bool record_header(struct header *out, struct span message)
{
    union message_body m;
    enum message code;
    if (message.len == 0 || message.data[0] != MESSAGE_RECORD_CODE) return false;
    return message_decode(&code, &m, message) == OK && header_decode(out, m.RECORD.header) == OK;
}

void census_sent(struct census *t, uint32_t from, struct span message, uint64_t bytes)
{
    struct header h;
    if (t == NULL) return;
    count(&node_at(t, from)->sent, bytes);
    if (record_header(&h, message))
        count(&t->kind[(uint8_t)h.kind], bytes);
    else
        count(&t->message[message.len > 0 ? message.data[0] : 0], bytes);
}

bool census_chained(struct header *out, struct span message)
{
    return record_header(out, message) && out->seq > 0;
}

void census_received(struct census *t, uint32_t to, bool held)
{
    if (t == NULL) return;
    node_at(t, to)->received++;
    node_at(t, to)->again += held;
}

/* --- The way of a record --------------------------------------------------------------------------------------------------- */

static struct birth *birth_place(struct birth *birth, uint64_t places, struct hash32 id)
{
    uint64_t at = load_u64(id.bytes) & (places - 1);
    while (birth[at].author_plus_one != 0 && !ID_EQUAL(birth[at].id, id)) at = (at + 1) & (places - 1);
    return &birth[at];
}

static void births_double(struct census *t)
{
    const uint64_t places = 2 * t->birth_places;
    struct birth *birth = calloc(places, sizeof *birth);
    ASSERT(birth != NULL);
    for (uint64_t i = 0; i < t->birth_places; i++)
        if (t->birth[i].author_plus_one != 0) *birth_place(birth, places, t->birth[i].id) = t->birth[i];
    free(t->birth);
    t->birth = birth;
    t->birth_places = places;
}

void census_keeping(struct census *t, uint32_t node, uint64_t token, struct span id)
{
    if (t == NULL || id.len != 32) return;
    ASSERT(node < t->options.node_count);
    for (uint32_t i = 0; i < WAITING_MAX; i++) {
        struct waiting *w = &t->waiting[node][i];
        if (w->token != 0) continue;
        w->token = token;
        memcpy(w->id.bytes, id.data, 32);
        return;
    }
}

static void born(struct census *t, uint32_t node, struct hash32 id, uint64_t now_ns)
{
    if (t->birth_count == CENSUS_BIRTHS_MAX) return;
    if (2 * (t->birth_count + 1) > t->birth_places) births_double(t);
    struct birth *b = birth_place(t->birth, t->birth_places, id);
    if (b->author_plus_one != 0) return;
    *b = (struct birth){id, now_ns, node + 1};
    t->birth_count++;
}

void census_kept(struct census *t, uint32_t node, uint64_t token, enum err err, uint64_t now_ns)
{
    if (t == NULL) return;
    ASSERT(node < t->options.node_count);
    for (uint32_t i = 0; i < WAITING_MAX; i++) {
        struct waiting *w = &t->waiting[node][i];
        if (w->token == 0 || w->token != token) continue;
        w->token = 0;
        if (err == OK) born(t, node, w->id, now_ns);
    }
}

void census_applied(struct census *t, uint32_t node, struct hash32 id, uint64_t now_ns)
{
    if (t == NULL) return;
    const struct birth *b = birth_place(t->birth, t->birth_places, id);
    if (b->author_plus_one == node + 1) return; /* its own */
    node_at(t, node)->applied++;
    if (b->author_plus_one == 0) {
        t->missed.deliveries++;
        return;
    }
    const uint64_t took_us = (now_ns - b->at_ns) / 1000;
    const uint32_t from = node_at(t, b->author_plus_one - 1)->region, to = node_at(t, node)->region;
    spread_add(&t->delay, took_us);
    spread_add(&t->between[(size_t)from * t->options.region_count + to], took_us);
}

/* --- Enclaves --------------------------------------------------------------------------------------------------------------- */

void census_elected(struct census *t, uint32_t node, struct run_id run, uint64_t term, uint64_t now_ns)
{
    if (t == NULL) return;
    ASSERT(node < t->options.node_count);
    if (t->election_count == CENSUS_ELECTIONS_MAX) {
        t->missed.elections++;
        return;
    }
    t->election = grown(t->election, t->election_count, sizeof *t->election);
    t->election[t->election_count++] =
        (struct census_election){.run = run, .term = term, .node = node, .at_ns = {[PHASE_ELECTED] = now_ns}};
}

void census_reached(struct census *t, uint32_t node, struct run_id run, uint64_t term,
                    enum census_phase phase, uint64_t now_ns)
{
    if (t == NULL) return;
    for (uint32_t i = t->election_count; i-- > 0;) {
        struct census_election *e = &t->election[i];
        if (e->node != node || e->term != term || !ID_EQUAL(e->run, run)) continue;
        if (e->at_ns[phase] == 0) e->at_ns[phase] = now_ns;
        return;
    }
}

bool census_phase_of(enum census_phase *out, struct span frame)
{
    if (frame.len != 2 || frame.data[0] != FRAME_STATE) return false;
    switch (frame.data[1]) {
    case RUN_ATTESTED: *out = PHASE_ATTESTED; return true;
    case RUN_KEYED: *out = PHASE_KEYED; return true;
    case RUN_COMPUTING: *out = PHASE_COMPUTING; return true;
    case RUN_COMMITTED: *out = PHASE_COMMITTED; return true;
    default: return false;
    }
}

/* --- Work and moments --------------------------------------------------------------------------------------------------------- */

void census_worked(struct census *t, const struct census_work *work)
{
    if (t == NULL) return;
    node_at(t, work->node)->work_ns += work->to_ns - work->from_ns;
    if (!t->options.work) return;
    if (t->work_count == CENSUS_WORK_MAX) {
        t->missed.work++;
        return;
    }
    t->work = grown(t->work, t->work_count, sizeof *t->work);
    t->work[t->work_count++] = *work;
}

void census_happened(struct census *t, uint32_t node, enum census_moment_kind kind, uint64_t now_ns)
{
    if (t == NULL) return;
    node_at(t, node)->crashes += kind == MOMENT_CRASHED;
    node_at(t, node)->cuts += kind == MOMENT_CUT;
    if (kind == MOMENT_CRASHED) memset(t->waiting[node], 0, sizeof t->waiting[node]); /* nobody is told */
    if (t->moment_count == CENSUS_MOMENTS_MAX) {
        t->missed.moments++;
        return;
    }
    t->moment = grown(t->moment, t->moment_count, sizeof *t->moment);
    t->moment[t->moment_count++] = (struct census_moment){now_ns, node, kind};
}

/* --- Reading ------------------------------------------------------------------------------------------------------------------- */

const struct census_node *census_node(const struct census *t, uint32_t node)
{
    ASSERT(node < t->options.node_count);
    return &t->node[node];
}

struct census_traffic census_message(const struct census *t, uint8_t code)
{
    return t->message[code];
}

struct census_traffic census_kind(const struct census *t, uint8_t kind)
{
    return t->kind[kind];
}

const struct spread *census_delay(const struct census *t)
{
    return &t->delay;
}

const struct spread *census_delay_between(const struct census *t, uint32_t from_region, uint32_t to_region)
{
    ASSERT(from_region < t->options.region_count && to_region < t->options.region_count);
    return &t->between[(size_t)from_region * t->options.region_count + to_region];
}

const struct census_election *census_elections(const struct census *t, uint32_t *count_out)
{
    *count_out = t->election_count;
    return t->election;
}

const struct census_moment *census_moments(const struct census *t, uint32_t *count_out)
{
    *count_out = t->moment_count;
    return t->moment;
}

const struct census_work *census_work(const struct census *t, uint32_t *count_out)
{
    *count_out = t->work_count;
    return t->work;
}

struct census_missed census_missed(const struct census *t)
{
    return t->missed;
}

const char *census_phase_name(enum census_phase phase)
{
    static const char *const names[PHASE_COUNT] = {
#define PHASE_NAME(symbol, name, then) [symbol] = name,
        CENSUS_PHASE_TABLE(PHASE_NAME)
#undef PHASE_NAME
    };
    ASSERT(phase < PHASE_COUNT);
    return names[phase];
}

const char *census_phase_then(enum census_phase phase)
{
    static const char *const thens[PHASE_COUNT] = {
#define PHASE_THEN(symbol, name, then) [symbol] = then,
        CENSUS_PHASE_TABLE(PHASE_THEN)
#undef PHASE_THEN
    };
    ASSERT(phase < PHASE_COUNT);
    return thens[phase];
}

const char *census_moment_name(enum census_moment_kind kind)
{
    static const char *const names[MOMENT_COUNT] = {
#define MOMENT_NAME(symbol, name) [symbol] = name,
        CENSUS_MOMENT_TABLE(MOMENT_NAME)
#undef MOMENT_NAME
    };
    ASSERT(kind < MOMENT_COUNT);
    return names[kind];
}
