#include "sim/epidemic.h"

#include "proto/base/panic.h"
#include "proto/gossip.h"
#include "sim/agenda.h"
#include "sim/chance.h"
#include "sim/net.h"
#include "sim/regions.h"

#include <stdlib.h>
#include <string.h>

enum {
    ITEMS = 16, /* of a gossip object: records that spread at once, and some */
    PARCELS_MAX = 1 << 25,
    HEADER_BYTES = 400, /* of a record's message beside its body: header, signature, frame */
    IDS_BYTES = 48,     /* of a message of ids beside them */
};
#define EVERY_NS UINT64_C(500000000)   /* from one publication to the next */
#define ENDS_NS  UINT64_C(60000000000) /* after the last; all is quiet long before */
#define MS_NS    UINT64_C(1000000)
#define NEVER    UINT64_MAX

enum parcel_what { PARCEL_RECORD, PARCEL_ANNOUNCE, PARCEL_WANT, PARCEL_ABSENT };
enum { WHAT_TICK = PARCELS_MAX, WHAT_PUBLISH }; /* in the agenda, beside parcels */

/* A message under way: the records that it has or names, one bit each, and the receiver's link that it comes over. */
struct parcel {
    uint64_t records;
    uint32_t next_plus_one;
    uint8_t what, link;
};

struct epidemic_node {
    struct epidemic *epidemic;
    struct gossip *gossip;
    uint64_t has;      /* records, one bit each */
    uint64_t promised; /* who withholds: what it has announced */
    uint64_t tick_ns;  /* in the agenda; NEVER: none */
    bool withholds;
};

struct epidemic {
    const struct epidemic_options *options;
    struct epidemic_result *result;
    struct agenda *agenda;
    struct net *net;
    struct chance net_chance;
    struct epidemic_node *node;
    uint32_t *neighbour; /* nodes x degree: the other end's link is this one's ^ 1 */
    struct parcel *parcel;
    uint32_t parcel_count, free_plus_one;
    uint64_t now_ns, published_ns[EPIDEMIC_RECORDS_MAX];
    uint64_t *latency_ns; /* of each delivery */
    uint8_t *memory;      /* of the gossip objects */
};

static uint32_t number_of(const struct epidemic_node *n)
{
    return (uint32_t)(n - n->epidemic->node);
}

static struct record_id id_of(uint32_t record)
{
    struct record_id id = {{0}};
    store_u32(id.bytes, record);
    return id;
}

static uint64_t records_of(struct span ids)
{
    uint64_t records = 0;
    for (size_t at = 0; at < ids.len; at += 32) records |= UINT64_C(1) << load_u32(ids.data + at);
    return records;
}

/* --- Messages ------------------------------------------------------------------------------------------------------------ */

static void later(struct epidemic *s, uint64_t at_ns, uint32_t who, uint32_t what)
{
    const struct agenda_entry entry = {at_ns, who, what};
    const enum err err = agenda_add(s->agenda, entry);
    ASSERT(err == OK);
}

static uint32_t parcel_new(struct epidemic *s)
{
    if (s->free_plus_one != 0) {
        const uint32_t row = s->free_plus_one - 1;
        s->free_plus_one = s->parcel[row].next_plus_one;
        return row;
    }
    ASSERT(s->parcel_count < PARCELS_MAX);
    return s->parcel_count++;
}

static void post(struct epidemic_node *from, uint32_t link, enum parcel_what what, uint64_t records)
{
    struct epidemic *s = from->epidemic;
    uint64_t arrivals_ns[NET_COPIES_MAX];
    const uint32_t number = number_of(from), to = s->neighbour[number * s->options->degree + link];
    const uint32_t count = (uint32_t)__builtin_popcountll(records);
    const uint32_t bytes =
        what == PARCEL_RECORD ? s->options->record_bytes + HEADER_BYTES : IDS_BYTES + 32 * count;
    if (net_send(s->net, number, to, bytes, s->now_ns, arrivals_ns) == 0) return;
    const uint32_t row = parcel_new(s);
    s->parcel[row] = (struct parcel){.records = records, .what = (uint8_t)what, .link = (uint8_t)(link ^ 1)};
    later(s, arrivals_ns[0], to, row);
}

static bool holds(void *context, struct record_id id)
{
    const struct epidemic_node *n = context;
    return (n->has >> load_u32(id.bytes) & 1) != 0;
}

static bool send_record(void *context, uint32_t link, uint64_t record)
{
    post(context, link, PARCEL_RECORD, UINT64_C(1) << record);
    return true;
}

static void send_announce(void *context, uint32_t link, struct span ids)
{
    post(context, link, PARCEL_ANNOUNCE, records_of(ids));
}

static void send_want(void *context, uint32_t link, struct span ids)
{
    const struct epidemic_node *n = context;
    n->epidemic->result->wants += ids.len / 32;
    post(context, link, PARCEL_WANT, records_of(ids));
}

static void send_absent(void *context, uint32_t link, struct span ids)
{
    post(context, link, PARCEL_ABSENT, records_of(ids));
}

/* --- Nodes --------------------------------------------------------------------------------------------------------------- */

static void tick_later(struct epidemic_node *n)
{
    const int64_t due_ns = gossip_due(n->gossip);
    if (due_ns == INT64_MAX || (uint64_t)due_ns >= n->tick_ns) return;
    n->tick_ns = (uint64_t)due_ns > n->epidemic->now_ns ? (uint64_t)due_ns : n->epidemic->now_ns;
    later(n->epidemic, n->tick_ns, number_of(n), WHAT_TICK);
}

static void keep(struct epidemic_node *n, uint32_t record)
{
    struct epidemic *s = n->epidemic;
    n->has |= UINT64_C(1) << record;
    s->latency_ns[s->result->delivered++] = s->now_ns - s->published_ns[record];
}

/* The baseline. */
static void flood(struct epidemic_node *n, uint32_t record, uint32_t except)
{
    for (uint32_t link = 0; link < n->epidemic->options->degree; link++)
        if (link != except) post(n, link, PARCEL_RECORD, UINT64_C(1) << record);
}

static void on_record(struct epidemic_node *n, uint32_t link, uint32_t record)
{
    struct epidemic *s = n->epidemic;
    const bool new = (n->has >> record & 1) == 0;
    s->result->copies++;
    if (s->options->flood) {
        if (!new) return;
        keep(n, record);
        flood(n, record, link);
        return;
    }
    if (!gossip_arrived(n->gossip, link, id_of(record), (int64_t)s->now_ns)) return;
    if (new) keep(n, record);
    gossip_accepted(n->gossip, id_of(record), record, s->options->record_bytes, GOSSIP_NORMAL,
                    (int64_t)s->now_ns);
}

static void on_ids(struct epidemic_node *n, const struct parcel *p)
{
    uint8_t ids[64 * 32];
    size_t len = 0;
    const int64_t now_ns = (int64_t)n->epidemic->now_ns;
    for (uint64_t records = p->records; records != 0; records &= records - 1, len += 32)
        memcpy(ids + len, id_of((uint32_t)__builtin_ctzll(records)).bytes, 32);
    bool ok = true;
    if (p->what == PARCEL_ANNOUNCE) {
        n->epidemic->result->ids += len / 32;
        ok = gossip_on_announce(n->gossip, p->link, span_make(ids, len), now_ns);
    }
    if (p->what == PARCEL_WANT) ok = gossip_on_want(n->gossip, p->link, span_make(ids, len));
    if (p->what == PARCEL_ABSENT) ok = gossip_on_absent(n->gossip, p->link, span_make(ids, len), now_ns);
    ASSERT(ok);
}

/* Promises what it has heard of, at once and to all, and keeps no promise. */
static void withhold(struct epidemic_node *n, uint64_t records)
{
    const uint64_t new = records & ~n->promised;
    n->promised |= records;
    for (uint32_t link = 0; new != 0 && !n->epidemic->options->flood &&link < n->epidemic->options->degree;
         link++)
        post(n, link, PARCEL_ANNOUNCE, new);
}

static void deliver(struct epidemic_node *n, uint32_t row)
{
    struct epidemic *s = n->epidemic;
    const struct parcel p = s->parcel[row];
    s->parcel[row].next_plus_one = s->free_plus_one;
    s->free_plus_one = row + 1;
    if (n->withholds) {
        if (p.what == PARCEL_RECORD || p.what == PARCEL_ANNOUNCE) withhold(n, p.records);
    } else if (p.what == PARCEL_RECORD) {
        on_record(n, p.link, (uint32_t)__builtin_ctzll(p.records));
    } else {
        on_ids(n, &p);
    }
}

static void publish(struct epidemic_node *n, uint32_t record)
{
    struct epidemic *s = n->epidemic;
    s->published_ns[record] = s->now_ns;
    keep(n, record);
    if (s->options->flood)
        flood(n, record, UINT32_MAX);
    else
        gossip_accepted(n->gossip, id_of(record), record, s->options->record_bytes, GOSSIP_OWN,
                        (int64_t)s->now_ns);
}

static void happen(struct epidemic *s, const struct agenda_entry *e)
{
    struct epidemic_node *n = &s->node[e->who];
    s->now_ns = e->at_ns;
    s->result->events++;
    if (e->what < PARCELS_MAX) {
        deliver(n, e->what);
    } else if (e->what >= WHAT_PUBLISH) {
        publish(n, e->what - WHAT_PUBLISH);
    } else {
        if (e->at_ns != n->tick_ns) return; /* an earlier one took its place */
        n->tick_ns = NEVER;
        gossip_tick(n->gossip, (int64_t)s->now_ns);
    }
    if (n->gossip != NULL) tick_later(n);
}

/* --- The world ----------------------------------------------------------------------------------------------------------- */

/* Cycles through all nodes, each in another order. */
static enum err make_mesh(struct epidemic *s)
{
    const uint32_t nodes = s->options->nodes, degree = s->options->degree;
    struct chance chance = chance_stream(s->options->seed, "mesh", 0);
    uint32_t *order = malloc(nodes * sizeof *order);
    if (order == NULL) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < nodes; i++) order[i] = i;
    for (uint32_t link = 0; link < degree; link += 2) {
        for (uint32_t i = nodes - 1; i > 0; i--) {
            const uint32_t j = (uint32_t)chance_below(&chance, i + 1), other = order[j];
            order[j] = order[i];
            order[i] = other;
        }
        for (uint32_t i = 0; i < nodes; i++) {
            const uint32_t a = order[i], b = order[(i + 1) % nodes];
            s->neighbour[a * degree + link] = b;
            s->neighbour[b * degree + link + 1] = a;
        }
    }
    free(order);
    return OK;
}

static enum err make_net(struct epidemic *s)
{
    s->net_chance = chance_stream(s->options->seed, "net", 0);
    const struct net_options options = {s->options->nodes, REGIONS_COUNT, false, &s->net_chance};
    const struct net_access access = {.latency_ns = 4 * MS_NS, .jitter_ns = 16 * MS_NS};
    s->net = net_new(&options);
    if (s->net == NULL) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < s->options->nodes; i++) TRY(net_place(s->net, i, i % REGIONS_COUNT, &access));
    for (uint32_t a = 0; a < REGIONS_COUNT; a++)
        for (uint32_t b = 0; b < REGIONS_COUNT; b++) {
            const struct net_path path = {.latency_ns = (uint64_t)regions_rtt_us(a, b) * 500,
                                          .loss_ppm = s->options->loss_ppm};
            TRY(net_set_path(s->net, a, b, &path));
        }
    return OK;
}

static enum err make_node(struct epidemic *s, uint32_t number, struct chance *chance)
{
    struct epidemic_node *n = &s->node[number];
    const struct gossip_holder holder = {holds, send_record, send_announce, send_want, send_absent, n};
    const size_t bytes = gossip_bytes(ITEMS);
    struct arena arena = arena_make(s->memory + number * bytes, bytes);
    n->epidemic = s;
    n->tick_ns = NEVER;
    n->withholds = chance_ppm(chance, s->options->withhold_ppm);
    if (n->withholds || s->options->flood) return OK;
    TRY(gossip_new(&n->gossip, &arena, ITEMS, chance_next(chance), &holder));
    for (uint32_t link = 0; link < s->options->degree; link++) gossip_link_up(n->gossip, link);
    return OK;
}

static enum err make_nodes(struct epidemic *s)
{
    struct chance chance = chance_stream(s->options->seed, "node", 0);
    s->result->gossip_bytes = gossip_bytes(ITEMS);
    for (uint32_t i = 0; i < s->options->nodes; i++) {
        TRY(make_node(s, i, &chance));
        s->result->honest += !s->node[i].withholds;
    }
    for (uint32_t record = 0; record < s->options->records; record++) {
        uint32_t author = 0;
        do author = (uint32_t)chance_below(&chance, s->options->nodes);
        while (s->node[author].withholds);
        later(s, record * EVERY_NS, author, WHAT_PUBLISH + record);
    }
    return OK;
}

static enum err make(struct epidemic *s)
{
    const struct epidemic_options *o = s->options;
    TRY(agenda_new(&s->agenda, PARCELS_MAX));
    s->node = calloc(o->nodes, sizeof *s->node);
    s->neighbour = malloc((size_t)o->nodes * o->degree * sizeof *s->neighbour);
    s->parcel = malloc((size_t)PARCELS_MAX * sizeof *s->parcel);
    s->latency_ns = malloc((size_t)o->nodes * o->records * sizeof *s->latency_ns);
    s->memory = calloc(o->nodes, gossip_bytes(ITEMS));
    if (s->node == NULL || s->neighbour == NULL || s->parcel == NULL || s->latency_ns == NULL ||
        s->memory == NULL)
        return ERR_NO_MEMORY;
    TRY(make_mesh(s));
    TRY(make_net(s));
    return make_nodes(s);
}

static int by_size(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void sum_up(struct epidemic *s)
{
    struct epidemic_result *r = s->result;
    qsort(s->latency_ns, r->delivered, sizeof *s->latency_ns, by_size);
    r->missed = r->honest * s->options->records - r->delivered;
    r->p50_ns = s->latency_ns[r->delivered / 2];
    r->p99_ns = s->latency_ns[r->delivered - 1 - r->delivered / 100];
    r->most_ns = s->latency_ns[r->delivered - 1];
}

enum err epidemic_run(struct epidemic_result *out, const struct epidemic_options *o)
{
    struct epidemic s = {.options = o, .result = out};
    struct agenda_entry e;
    const bool possible = o->nodes > 2 && o->nodes <= EPIDEMIC_NODES_MAX && o->degree > 0 &&
                          o->degree % 2 == 0 && o->degree <= EPIDEMIC_DEGREE_MAX && o->records > 0 &&
                          o->records <= EPIDEMIC_RECORDS_MAX && o->withhold_ppm < NET_PPM &&
                          o->loss_ppm < NET_PPM && o->record_bytes < 65536;
    memset(out, 0, sizeof *out);
    if (!possible) return ERR_RANGE;
    const enum err err = make(&s);
    while (err == OK && agenda_next(s.agenda, &e) && e.at_ns < o->records * EVERY_NS + ENDS_NS)
        happen(&s, &e);
    if (err == OK) sum_up(&s);
    agenda_free(s.agenda);
    net_free(s.net);
    free(s.node);
    free(s.neighbour);
    free(s.parcel);
    free(s.latency_ns);
    free(s.memory);
    return err;
}
