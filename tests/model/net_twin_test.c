/* The network against a naive twin that keeps a square of everything and a byte for each nanosecond of each downlink, under
 * random traffic, cuts, clogs and reconnections: the same copies at the same times. */
#include "sim/chance.h"
#include "sim/net.h"
#include "tests/effort.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NODES = 6, REGIONS = 2, CUTS = 4, STEPS = EFFORT(20000), HORIZON_NS = 4000000 };

struct twin_cut {
    bool in_force, both_ways, from[NODES], to[NODES];
    uint32_t id; /* what net_cut called it */
};
struct twin {
    bool datagram;
    struct chance chance;
    struct net_access access[NODES];
    struct net_path path[REGIONS][REGIONS];
    struct twin_cut cut[CUTS];
    uint64_t up_free[NODES], clogged[NODES], clogged_link[NODES][NODES], arrived[NODES][NODES];
    uint8_t *down_busy[NODES];
    uint64_t sent, arrived_count, waited;
};

static uint32_t region_of(uint32_t node)
{
    return node % REGIONS;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Rates here are 8, 4 or 2 bits a nanosecond, or none. */
static uint64_t takes(uint32_t bytes, uint64_t bps)
{
    return bps ? bytes * (UINT64_C(8000000000) / bps) : 0;
}

static bool twin_reaches(const struct twin *w, uint32_t from, uint32_t to)
{
    for (uint32_t i = 0; i < CUTS; i++) {
        const struct twin_cut *c = &w->cut[i];
        if (!c->in_force) continue;
        if (c->from[from] && c->to[to]) return false;
        if (c->both_ways && c->from[to] && c->to[from]) return false;
    }
    return true;
}

static uint64_t twin_down(struct twin *w, uint32_t to, uint64_t at, uint64_t length)
{
    for (; length; at++) {
        assert_true(at < HORIZON_NS);
        if (w->down_busy[to][at]) {
            w->waited++;
            continue;
        }
        w->down_busy[to][at] = 1;
        length--;
    }
    return at;
}

static uint64_t twin_arrival(struct twin *w, uint32_t from, uint32_t to, uint32_t bytes, uint64_t left_at,
                             uint64_t left)
{
    const struct net_path *path = &w->path[region_of(from)][region_of(to)];
    const struct net_access *a = &w->access[from], *b = &w->access[to];
    uint64_t jitter = a->jitter_ns + path->jitter_ns + b->jitter_ns, share = takes(bytes, path->bps);
    uint64_t delay = a->latency_ns + path->latency_ns + b->latency_ns;
    delay += jitter ? chance_below(&w->chance, jitter + 1) : 0;
    uint64_t first = left_at + delay, last = most(left + delay, first + share);
    uint64_t floor = most(w->clogged_link[from][to], most(w->clogged[from], w->clogged[to]));
    if (!w->datagram) floor = most(floor, w->arrived[from][to]);
    if (last < floor + share) {
        first = most(first, floor);
        last = floor + share;
    }
    uint64_t length = takes(bytes, b->down_bps);
    uint64_t begin = last > length ? most(first, last - length) : first;
    return length ? most(last, twin_down(w, to, begin, length)) : last;
}

static uint32_t twin_send(struct twin *w, uint32_t from, uint32_t to, uint32_t bytes, uint64_t now,
                          uint64_t *arrivals)
{
    const struct net_path *path = &w->path[region_of(from)][region_of(to)];
    if (!twin_reaches(w, from, to)) return 0;
    uint64_t left_at = most(now, w->up_free[from]), left = left_at + takes(bytes, w->access[from].up_bps);
    w->up_free[from] = left;
    if (path->loss_ppm && chance_ppm(&w->chance, path->loss_ppm)) return 0;
    uint32_t copies = 1 + (path->duplicate_ppm && chance_ppm(&w->chance, path->duplicate_ppm));
    for (uint32_t i = 0; i < copies; i++) arrivals[i] = twin_arrival(w, from, to, bytes, left_at, left);
    if (!w->datagram) w->arrived[from][to] = arrivals[0];
    return copies;
}

static void begin_cut(struct twin *w, struct net *n, struct twin_cut *c, struct chance *draw)
{
    uint32_t from[NODES], to[NODES], from_count = 0, to_count = 0,
                                     region = (uint32_t)chance_below(draw, REGIONS);
    bool by_region = chance_ppm(draw, 300000), rest = chance_ppm(draw, 300000);
    *c = (struct twin_cut){.in_force = true, .both_ways = chance_ppm(draw, 500000)};
    for (uint32_t i = 0; i < NODES; i++) {
        if (by_region ? region_of(i) == region : chance_ppm(draw, 300000))
            c->from[from[from_count++] = i] = true;
        if (rest ? !c->from[i] : chance_ppm(draw, 300000)) c->to[to[to_count++] = i] = true;
    }
    struct net_side side[2] = {{.node = from, .node_count = from_count},
                               {.node = to, .node_count = to_count}};
    if (by_region) side[0] = (struct net_side){.region = &region, .region_count = 1};
    assert_int_equal(net_cut(n, &c->id, &side[0], rest ? NULL : &side[1], c->both_ways), OK);
    for (uint32_t a = 0; a < NODES; a++)
        for (uint32_t b = 0; b < NODES; b++)
            if (a != b) assert_int_equal(net_reaches(n, a, b), twin_reaches(w, a, b));
}

static void disturb(struct twin *w, struct net *n, struct chance *draw, uint64_t now)
{
    uint32_t a = (uint32_t)chance_below(draw, NODES),
             b = (a + 1 + (uint32_t)chance_below(draw, NODES - 1)) % NODES;
    struct twin_cut *c = &w->cut[chance_below(draw, CUTS)];
    uint64_t until = now + chance_below(draw, 3000);
    switch (chance_below(draw, 4)) {
    case 0:
        if (c->in_force) net_heal(n, c->id);
        if (c->in_force)
            c->in_force = false;
        else
            begin_cut(w, n, c, draw);
        break;
    case 1:
        net_clog_node(n, a, until);
        w->clogged[a] = most(w->clogged[a], until);
        break;
    case 2:
        net_clog_link(n, a, b, until);
        w->clogged_link[a][b] = most(w->clogged_link[a][b], until);
        break;
    default: net_reconnect(n, a, b); w->arrived[a][b] = w->arrived[b][a] = 0;
    }
    net_check(n);
}

static void exchange(struct twin *w, struct net *n, struct chance *draw, uint64_t now)
{
    uint32_t from = (uint32_t)chance_below(draw, NODES);
    uint32_t to = (from + 1 + (uint32_t)chance_below(draw, NODES - 1)) % NODES;
    uint32_t bytes = (uint32_t)chance_below(draw, 200);
    uint64_t got[NET_COPIES_MAX] = {0}, expected[NET_COPIES_MAX] = {0};
    uint32_t copies = net_send(n, from, to, bytes, now, got);
    assert_int_equal(copies, twin_send(w, from, to, bytes, now, expected));
    for (uint32_t i = 0; i < copies; i++) assert_int_equal(got[i], expected[i]);
    w->sent++;
    w->arrived_count += copies;
}

static uint64_t some_bps(struct chance *draw)
{
    uint64_t shift = chance_below(draw, 4);
    return shift < 3 ? UINT64_C(8000000000) >> shift : 0;
}

static void furnish(struct twin *w, struct net *n, struct chance *draw)
{
    for (uint32_t i = 0; i < NODES; i++) {
        w->access[i] = (struct net_access){some_bps(draw), some_bps(draw), chance_below(draw, 100),
                                           chance_below(draw, 50), 0};
        assert_int_equal(net_place(n, i, region_of(i), &w->access[i]), OK);
    }
    for (uint32_t a = 0; a < REGIONS; a++)
        for (uint32_t b = 0; b < REGIONS; b++) {
            struct net_path *p = &w->path[a][b];
            *p = (struct net_path){chance_below(draw, 2000), chance_below(draw, 300), some_bps(draw), 0, 0};
            if (w->datagram) p->loss_ppm = 20000;
            if (w->datagram) p->duplicate_ppm = 30000;
            assert_int_equal(net_set_path(n, a, b, p), OK);
        }
}

static void live(uint64_t seed, bool datagram)
{
    struct chance draw = chance_stream(seed, "twin", 0), own = chance_stream(seed, "net", 0);
    struct twin w = {.datagram = datagram, .chance = own};
    struct net *n = net_new(&(struct net_options){NODES, REGIONS, datagram, &own});
    assert_non_null(n);
    for (uint32_t i = 0; i < NODES; i++) assert_non_null(w.down_busy[i] = calloc(1, HORIZON_NS));
    furnish(&w, n, &draw);
    uint64_t now = 0;
    for (uint32_t step = 0; step < STEPS; step++) {
        now += chance_below(&draw, 80);
        if (chance_ppm(&draw, 20000))
            disturb(&w, n, &draw, now);
        else
            exchange(&w, n, &draw, now);
    }
    net_check(n);
    assert_true(w.arrived_count > w.sent / 20 && w.arrived_count < w.sent + w.sent / 20);
    assert_true(w.waited > w.sent); /* nanoseconds, for a downlink that was busy */
    for (uint32_t i = 0; i < NODES; i++) free(w.down_busy[i]);
    net_free(n);
}

static void test_streams(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) live(seed, false);
}

static void test_datagrams(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) live(seed, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_datagrams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
