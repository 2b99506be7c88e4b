#include "sim/net.h"

#include "proto/base/panic.h"
#include "sim/chance.h"
#include "sim/net_lane.h"
#include "sim/net_link.h"

#include <stdlib.h>

#define SECOND_NS UINT64_C(1000000000)
enum {
    PACKET_BYTES = 1448,          /* of TCP on Ethernet, with timestamps */
    ATTEMPTS_MAX = 15,            /* Linux: tcp_retries2 */
    TIMEOUT_SLACK_NS = 200000000, /* Linux: TCP_RTO_MIN, above the round trip */
};
#define TIMEOUT_MAX_NS (120 * SECOND_NS) /* Linux: TCP_RTO_MAX */

enum end { FROM, TO };

struct net_node {
    struct net_access access;
    uint64_t up_free_ns, clogged_ns;
    uint64_t cut[2]; /* a bit for each cut it is on that end of */
    uint32_t region;
    uint32_t stream;
    struct net_lane down_lane;
};

struct net {
    uint32_t node_count, region_count;
    bool datagram;
    struct chance *chance;
    uint64_t now_ns;
    uint64_t cuts, cuts_both_ways; /* a bit for each in force */
    struct net_node *node;
    struct net_path *path; /* [from * region_count + to], as traffic */
    struct net_traffic *traffic;
    struct net_links arrived; /* ordered: what the next message of a link may not overtake */
    struct net_links clogs;
    struct net_lanes lanes;
};

/* What a message meets between two nodes; when its first and its last bit pass. */
struct trip {
    struct net_node *from, *to;
    const struct net_path *path;
    struct net_traffic *traffic;
    uint64_t latency_ns, jitter_ns;
    uint32_t bytes, loss_ppm; /* of a packet */
    uint64_t clogged_ns;      /* of the link */
    uint64_t first_ns, last_ns;
};

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t after(uint64_t at_ns, uint64_t delay_ns)
{
    ASSERT(at_ns <= NET_NEVER && delay_ns <= NET_NEVER);
    return at_ns + delay_ns < NET_NEVER ? at_ns + delay_ns : NET_NEVER;
}

static uint64_t bits_ns(uint32_t bytes, uint64_t bps)
{
    return bps ? (bytes * (8 * SECOND_NS) + bps - 1) / bps : 0; /* NET_BYTES_MAX keeps this below 2^64 */
}

struct net *net_new(const struct net_options *options)
{
    ASSERT(options->node_count > 0 && options->node_count <= NET_NODES_MAX);
    ASSERT(options->region_count > 0 && options->region_count <= NET_REGIONS_MAX);
    size_t pairs = (size_t)options->region_count * options->region_count;
    struct net *n = calloc(1, sizeof *n);
    if (!n) return NULL;
    n->node_count = options->node_count;
    n->region_count = options->region_count;
    n->datagram = options->datagram;
    n->chance = options->chance;
    n->node = calloc(n->node_count, sizeof *n->node);
    n->path = calloc(pairs, sizeof *n->path);
    n->traffic = calloc(pairs, sizeof *n->traffic);
    if (n->node && n->path && n->traffic) return n;
    net_free(n);
    return NULL;
}

void net_free(struct net *n)
{
    if (!n) return;
    net_links_free(&n->arrived);
    net_links_free(&n->clogs);
    net_lanes_free(&n->lanes);
    free(n->traffic);
    free(n->path);
    free(n->node);
    free(n);
}

static bool delays_fit(uint64_t latency_ns, uint64_t jitter_ns)
{
    return latency_ns <= NET_DELAY_MAX_NS && jitter_ns <= NET_DELAY_MAX_NS;
}

static bool bps_fits(uint64_t bps)
{
    return !bps || (bps >= NET_BPS_MIN && bps <= NET_BPS_MAX);
}

static struct net_node *node_at(const struct net *n, uint32_t node)
{
    ASSERT(node < n->node_count);
    return &n->node[node];
}

static size_t pair_of(const struct net *n, uint32_t from_region, uint32_t to_region)
{
    ASSERT(from_region < n->region_count && to_region < n->region_count);
    return (size_t)from_region * n->region_count + to_region;
}

enum err net_place(struct net *n, uint32_t node, uint32_t region, const struct net_access *access)
{
    ASSERT(region < n->region_count);
    bool fits = delays_fit(access->latency_ns, access->jitter_ns) && access->loss_ppm <= NET_PPM &&
                bps_fits(access->up_bps) && bps_fits(access->down_bps);
    if (!fits) return ERR_RANGE;
    node_at(n, node)->access = *access;
    node_at(n, node)->region = region;
    return OK;
}

enum err net_set_path(struct net *n, uint32_t from, uint32_t to, const struct net_path *path)
{
    bool fits = delays_fit(path->latency_ns, path->jitter_ns) && bps_fits(path->bps) &&
                path->loss_ppm <= NET_PPM && path->duplicate_ppm <= (n->datagram ? NET_PPM : 0);
    if (!fits) return ERR_RANGE;
    n->path[pair_of(n, from, to)] = *path;
    return OK;
}

void net_stream(struct net *n, uint32_t node, uint32_t stream)
{
    node_at(n, node)->stream = stream;
}

uint32_t net_region(const struct net *n, uint32_t node)
{
    return node_at(n, node)->region;
}

static void mark(struct net *n, const struct net_side *side, enum end end, uint64_t bit)
{
    bool listed[NET_REGIONS_MAX] = {false};
    for (uint32_t i = 0; i < side->region_count; i++) {
        ASSERT(side->region[i] < n->region_count);
        listed[side->region[i]] = true;
    }
    for (uint32_t i = 0; side->region_count && i < n->node_count; i++)
        if (listed[n->node[i].region]) n->node[i].cut[end] |= bit;
    for (uint32_t i = 0; i < side->node_count; i++) node_at(n, side->node[i])->cut[end] |= bit;
}

static void mark_the_rest(struct net *n, uint64_t bit)
{
    for (uint32_t i = 0; i < n->node_count; i++)
        if (!(n->node[i].cut[FROM] & bit)) n->node[i].cut[TO] |= bit;
}

enum err net_cut(struct net *n, uint32_t *cut, const struct net_side *from, const struct net_side *to,
                 bool both_ways)
{
    *cut = 0;
    while (*cut < NET_CUTS_MAX && n->cuts >> *cut & 1) ++*cut;
    if (*cut == NET_CUTS_MAX) return ERR_FULL;
    uint64_t bit = UINT64_C(1) << *cut;
    n->cuts |= bit;
    if (both_ways) n->cuts_both_ways |= bit;
    mark(n, from, FROM, bit);
    if (to)
        mark(n, to, TO, bit);
    else
        mark_the_rest(n, bit);
    return OK;
}

void net_heal(struct net *n, uint32_t cut)
{
    ASSERT(cut < NET_CUTS_MAX && n->cuts >> cut & 1);
    uint64_t others = ~(UINT64_C(1) << cut);
    n->cuts &= others;
    n->cuts_both_ways &= others;
    for (uint32_t i = 0; i < n->node_count; i++) {
        n->node[i].cut[FROM] &= others;
        n->node[i].cut[TO] &= others;
    }
}

bool net_reaches(const struct net *n, uint32_t from, uint32_t to)
{
    const uint64_t *a = node_at(n, from)->cut, *b = node_at(n, to)->cut;
    return from == to || !((a[FROM] & b[TO]) | (a[TO] & b[FROM] & n->cuts_both_ways));
}

void net_clog_link(struct net *n, uint32_t from, uint32_t to, uint64_t until_ns)
{
    ASSERT(from < n->node_count && to < n->node_count && until_ns <= NET_NEVER);
    if (until_ns <= n->now_ns) return;
    uint64_t *floor_ns = net_link_floor(&n->clogs, from, to, n->now_ns);
    *floor_ns = larger(*floor_ns, until_ns);
}

void net_clog_node(struct net *n, uint32_t node, uint64_t until_ns)
{
    ASSERT(until_ns <= NET_NEVER);
    node_at(n, node)->clogged_ns = larger(node_at(n, node)->clogged_ns, until_ns);
}

void net_reconnect(struct net *n, uint32_t a, uint32_t b)
{
    net_link_forget(&n->arrived, a, b);
    net_link_forget(&n->arrived, b, a);
}

/* Independent losses, one after another, as one. */
static uint32_t loss_ppm_of(uint32_t a_ppm, uint32_t b_ppm, uint32_t c_ppm)
{
    uint64_t kept_ppm =
        (uint64_t)(NET_PPM - a_ppm) * (NET_PPM - b_ppm) / NET_PPM * (NET_PPM - c_ppm) / NET_PPM;
    return NET_PPM - (uint32_t)kept_ppm;
}

static struct trip trip_between(const struct net *n, uint32_t from, uint32_t to, uint32_t bytes)
{
    struct net_node *a = node_at(n, from), *b = node_at(n, to);
    size_t pair = pair_of(n, a->region, b->region);
    const struct net_path *path = &n->path[pair];
    return (struct trip){
        .from = a,
        .to = b,
        .path = path,
        .traffic = &n->traffic[pair],
        .latency_ns = a->access.latency_ns + path->latency_ns + b->access.latency_ns,
        .jitter_ns = a->access.jitter_ns + path->jitter_ns + b->access.jitter_ns,
        .bytes = bytes,
        .clogged_ns = net_link_floor_ns(&n->clogs, from, to),
        .loss_ppm = loss_ppm_of(a->access.loss_ppm, path->loss_ppm, b->access.loss_ppm),
    };
}

uint64_t net_round_trip_ns(const struct net *n, uint32_t a, uint32_t b)
{
    return trip_between(n, a, b, 0).latency_ns + trip_between(n, b, a, 0).latency_ns;
}

/* The chance that one packet at least is lost, by squaring in fixed point. */
static uint32_t message_loss_ppm(const struct trip *t)
{
    if (!t->loss_ppm) return 0;
    uint64_t all_kept = UINT64_C(1) << 32, kept = ((uint64_t)(NET_PPM - t->loss_ppm) << 32) / NET_PPM;
    for (uint32_t packets = t->bytes ? (t->bytes - 1) / PACKET_BYTES + 1 : 1; packets; packets >>= 1) {
        if (packets & 1) all_kept = all_kept * kept >> 32;
        kept = kept * kept >> 32;
    }
    return NET_PPM - (uint32_t)((all_kept * NET_PPM + (UINT64_C(1) << 31)) >> 32);
}

static struct chance *chance_of(const struct net *n, const struct trip *t)
{
    return &n->chance[t->from->stream];
}

static bool is_lost(const struct net *n, const struct trip *t, uint32_t loss_ppm)
{
    return loss_ppm && chance_ppm(chance_of(n, t), loss_ppm);
}

static void go_out(const struct net *n, struct trip *t)
{
    t->first_ns = larger(n->now_ns, t->from->up_free_ns);
    t->last_ns = after(t->first_ns, bits_ns(t->bytes, t->from->access.up_bps));
    t->from->up_free_ns = t->last_ns;
}

static void cross(struct net *n, struct trip *t, uint64_t wait_ns)
{
    uint64_t delay_ns = t->latency_ns + wait_ns;
    if (t->jitter_ns) delay_ns += chance_below(chance_of(n, t), t->jitter_ns + 1);
    t->first_ns = after(t->first_ns, delay_ns);
    t->last_ns = larger(after(t->last_ns, delay_ns), after(t->first_ns, bits_ns(t->bytes, t->path->bps)));
}

/* Nothing of it arrives before what went before and what is clogged let it, and the link's share of the path carries it
 * from then at the earliest. */
static void hold(struct trip *t, uint64_t arrived_ns)
{
    uint64_t clogged_ns = larger(t->clogged_ns, larger(t->from->clogged_ns, t->to->clogged_ns));
    uint64_t floor_ns = larger(arrived_ns, clogged_ns);
    uint64_t earliest_ns = after(floor_ns, bits_ns(t->bytes, t->path->bps));
    if (t->last_ns >= earliest_ns) return;
    t->first_ns = larger(t->first_ns, floor_ns);
    t->last_ns = earliest_ns;
}

static uint64_t come_in(struct net *n, const struct trip *t)
{
    uint64_t length_ns = bits_ns(t->bytes, t->to->access.down_bps);
    if (!length_ns || t->last_ns == NET_NEVER) return t->last_ns;
    uint64_t from_ns = larger(t->first_ns, t->last_ns - (length_ns < t->last_ns ? length_ns : t->last_ns));
    return net_lane_take(&n->lanes, &t->to->down_lane, n->now_ns, from_ns, length_ns);
}

/* What losses cost on a byte stream: timeouts that double. false: it is given up. */
static bool retransmit(struct net *n, const struct trip *t, uint64_t *wait_ns)
{
    uint64_t timeout_ns = 2 * (t->latency_ns + t->jitter_ns) + TIMEOUT_SLACK_NS;
    uint32_t loss_ppm = message_loss_ppm(t), attempts = 0;
    for (*wait_ns = 0; is_lost(n, t, loss_ppm);
         loss_ppm = t->loss_ppm) { /* only what was lost is sent again */
        if (++attempts > ATTEMPTS_MAX) return false;
        t->traffic->retransmitted++;
        if (timeout_ns > TIMEOUT_MAX_NS) timeout_ns = TIMEOUT_MAX_NS;
        *wait_ns += timeout_ns;
        timeout_ns *= 2;
    }
    return true;
}

static uint32_t send_ordered(struct net *n, struct trip *t, uint64_t *arrived_ns, uint64_t *arrivals_ns)
{
    uint64_t wait_ns;
    if (!retransmit(n, t, &wait_ns)) {
        t->traffic->lost++;
        return 0;
    }
    cross(n, t, wait_ns);
    hold(t, *arrived_ns);
    arrivals_ns[0] = *arrived_ns = come_in(n, t);
    return 1;
}

static uint32_t send_datagram(struct net *n, const struct trip *t, uint64_t *arrivals_ns)
{
    if (is_lost(n, t, message_loss_ppm(t))) {
        t->traffic->lost++;
        return 0;
    }
    uint32_t copies = is_lost(n, t, t->path->duplicate_ppm) ? 2 : 1;
    for (uint32_t i = 0; i < copies; i++) {
        struct trip copy = *t;
        cross(n, &copy, 0);
        hold(&copy, 0);
        arrivals_ns[i] = come_in(n, &copy);
    }
    t->traffic->duplicated += copies - 1;
    return copies;
}

uint32_t net_send(struct net *n, uint32_t from, uint32_t to, uint32_t bytes, uint64_t now_ns,
                  uint64_t arrivals_ns[NET_COPIES_MAX])
{
    ASSERT(from != to && bytes <= NET_BYTES_MAX && now_ns >= n->now_ns && now_ns < NET_NEVER);
    n->now_ns = now_ns;
    struct trip t = trip_between(n, from, to, bytes);
    t.traffic->messages++;
    t.traffic->bytes += bytes;
    if (!net_reaches(n, from, to)) {
        t.traffic->lost++;
        return 0;
    }
    go_out(n, &t);
    if (n->datagram) return send_datagram(n, &t, arrivals_ns);
    return send_ordered(n, &t, net_link_floor(&n->arrived, from, to, now_ns), arrivals_ns);
}

struct net_traffic net_traffic(const struct net *n, uint32_t from_region, uint32_t to_region)
{
    return n->traffic[pair_of(n, from_region, to_region)];
}

size_t net_bytes(const struct net *n)
{
    size_t pairs = (size_t)n->region_count * n->region_count;
    return sizeof *n + n->node_count * sizeof *n->node + pairs * (sizeof *n->path + sizeof *n->traffic) +
           ((size_t)n->arrived.capacity + n->clogs.capacity) * sizeof *n->clogs.link +
           n->lanes.capacity * sizeof *n->lanes.span;
}

void net_check(const struct net *n)
{
    uint32_t spans = net_lane_free_count(&n->lanes);
    for (uint32_t i = 0; i < n->node_count; i++) {
        spans += net_lane_check(&n->lanes, &n->node[i].down_lane);
        ASSERT(!((n->node[i].cut[FROM] | n->node[i].cut[TO]) & ~n->cuts));
    }
    ASSERT(!n->lanes.count || spans == n->lanes.count - 1);
    ASSERT(!(n->cuts_both_ways & ~n->cuts));
    net_link_check(&n->arrived);
    net_link_check(&n->clogs);
}
