/* When messages arrive: latency, order, bandwidth, cuts, clogs, losses, copies; the same for the same seed; and how much
 * memory it takes. Times are in nanoseconds; MS and US count them. */
#include "sim/chance.h"
#include "sim/net.h"
#include "sim/regions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define US  UINT64_C(1000)
#define MS  (1000 * US)
#define SEC (1000 * MS)

static struct chance chance;

static struct net *make(uint32_t node_count, uint32_t region_count, bool datagram)
{
    chance = chance_stream(1, "net", 0);
    struct net_options options = {node_count, region_count, datagram, &chance};
    struct net *n = net_new(&options);
    assert_non_null(n);
    return n;
}

static void place(struct net *n, uint32_t node, uint32_t region, struct net_access access)
{
    assert_int_equal(net_place(n, node, region, &access), OK);
}

static void set_path(struct net *n, uint32_t from, uint32_t to, struct net_path path)
{
    assert_int_equal(net_set_path(n, from, to, &path), OK);
}

/* The one arrival of a message that does arrive. */
static uint64_t send(struct net *n, uint32_t from, uint32_t to, uint32_t bytes, uint64_t now_ns)
{
    uint64_t arrivals_ns[NET_COPIES_MAX] = {0};
    assert_int_equal(net_send(n, from, to, bytes, now_ns, arrivals_ns), 1);
    net_check(n);
    return arrivals_ns[0];
}

static void expect_cut_off(struct net *n, uint32_t from, uint32_t to, uint64_t now_ns)
{
    uint64_t arrivals_ns[NET_COPIES_MAX];
    assert_false(net_reaches(n, from, to));
    assert_int_equal(net_send(n, from, to, 1, now_ns, arrivals_ns), 0);
}

static void test_latencies_follow_the_table_within_jitter(void **state)
{
    (void)state;
    struct net *n = make(REGIONS_COUNT, REGIONS_COUNT, false);
    for (uint32_t a = 0; a < REGIONS_COUNT; a++) {
        place(n, a, a, (struct net_access){.latency_ns = a * MS, .jitter_ns = 1 * MS});
        for (uint32_t b = 0; b < REGIONS_COUNT; b++)
            set_path(n, a, b,
                     (struct net_path){.latency_ns = regions_rtt_us(a, b) * US / 2, .jitter_ns = 3 * MS});
    }
    uint64_t least = UINT64_MAX, most = 0;
    for (uint32_t a = 0; a < REGIONS_COUNT; a++)
        for (uint32_t b = 0; b < REGIONS_COUNT; b++) {
            if (a == b) continue;
            uint64_t base_ns = regions_rtt_us(a, b) * US / 2 + (a + b) * MS;
            uint64_t took_ns = send(n, a, b, 1000, SEC) - SEC;
            assert_in_range(took_ns, base_ns, base_ns + 5 * MS);
            if (took_ns - base_ns < least) least = took_ns - base_ns;
            if (took_ns - base_ns > most) most = took_ns - base_ns;
        }
    assert_in_range(least, 0, MS); /* of 306 draws, evenly from 0 to 5 ms */
    assert_in_range(most, 4 * MS, 5 * MS);
    net_free(n);
}

static void test_a_path_has_a_direction(void **state)
{
    (void)state;
    struct net *n = make(2, 2, false);
    place(n, 1, 1, (struct net_access){0});
    assert_int_equal(net_region(n, 1), 1);
    set_path(n, 0, 1, (struct net_path){.latency_ns = 7 * MS});
    set_path(n, 1, 0, (struct net_path){.latency_ns = 9 * MS});
    assert_int_equal(send(n, 0, 1, 1, 0), 7 * MS);
    assert_int_equal(send(n, 1, 0, 1, 0), 9 * MS);
    net_free(n);
}

/* Of 1,000 messages, a millisecond apart, with jitter of 50 ms: how many come before one that was sent earlier. */
static uint32_t overtakers(bool datagram)
{
    struct net *n = make(2, 1, datagram);
    set_path(n, 0, 0, (struct net_path){.jitter_ns = 50 * MS});
    uint64_t latest_ns = 0;
    uint32_t count = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        uint64_t arrival_ns = send(n, 0, 1, 100, i * MS);
        if (arrival_ns < latest_ns)
            count++;
        else
            latest_ns = arrival_ns;
    }
    net_free(n);
    return count;
}

static void test_only_datagrams_overtake_each_other(void **state)
{
    (void)state;
    assert_int_equal(overtakers(false), 0);
    assert_in_range(overtakers(true), 500, 999);
}

static void test_a_new_stream_waits_for_nothing_of_the_old_one(void **state)
{
    (void)state;
    struct net *n = make(2, 1, false);
    set_path(n, 0, 0, (struct net_path){.latency_ns = SEC});
    assert_int_equal(send(n, 0, 1, 1, 0), SEC);
    assert_int_equal(send(n, 1, 0, 1, 0), SEC);
    set_path(n, 0, 0, (struct net_path){.latency_ns = MS});
    assert_int_equal(send(n, 0, 1, 1, 0), SEC);
    net_reconnect(n, 1, 0);
    assert_int_equal(send(n, 0, 1, 1, 0), MS);
    assert_int_equal(send(n, 1, 0, 1, 0), MS);
    net_free(n);
}

/* 8 Mbit/s: a thousand bytes take a millisecond. */
#define BPS UINT64_C(8000000)

static void test_a_burst_takes_as_long_as_all_its_bits(void **state)
{
    (void)state;
    const struct {
        uint64_t up_bps, path_bps, down_bps;
    } slowest_is[] = {{BPS, 0, 0},
                      {0, BPS, 0},
                      {0, 0, BPS},
                      {BPS, BPS, BPS},
                      {BPS, 3 * BPS, 2 * BPS},
                      {5 * BPS, 2 * BPS, BPS}};
    for (uint32_t c = 0; c < sizeof slowest_is / sizeof slowest_is[0]; c++) {
        struct net *n = make(2, 1, false);
        place(n, 0, 0, (struct net_access){.up_bps = slowest_is[c].up_bps});
        place(n, 1, 0, (struct net_access){.down_bps = slowest_is[c].down_bps});
        set_path(n, 0, 0, (struct net_path){.latency_ns = 20 * MS, .bps = slowest_is[c].path_bps});
        for (uint32_t i = 1; i <= 100; i++) assert_int_equal(send(n, 0, 1, 1000, 0), (20 + i) * MS);
        assert_int_equal(send(n, 0, 1, 1000, 5 * SEC), 5 * SEC + 21 * MS); /* and then it is free again */
        net_free(n);
    }
}

static void test_part_of_a_nanosecond_counts_as_one(void **state)
{
    (void)state;
    struct net *n = make(2, 1, false);
    place(n, 0, 0, (struct net_access){.up_bps = 3 * SEC});
    assert_int_equal(send(n, 0, 1, 1, 0), 3); /* 8 bits at 3 a nanosecond */
    net_free(n);
}

static void test_receivers_share_their_senders_uplink(void **state)
{
    (void)state;
    struct net *n = make(3, 1, false);
    place(n, 0, 0, (struct net_access){.up_bps = BPS});
    for (uint32_t i = 0; i < 100; i++) assert_int_equal(send(n, 0, 1 + i % 2, 1000, 0), (i + 1) * MS);
    assert_int_equal(send(n, 1, 2, 1000, 0), 0); /* another's uplink is another's */
    net_free(n);
}

static void test_senders_share_their_receivers_downlink(void **state)
{
    (void)state;
    struct net *n = make(12, 1, false);
    place(n, 0, 0, (struct net_access){.down_bps = BPS});
    for (uint32_t i = 1; i <= 10; i++) assert_int_equal(send(n, i, 0, 1000, 0), i * MS);
    assert_int_equal(send(n, 0, 11, 1000, 0), 0);
    net_free(n);
}

/* Node 1 is far and sends first; what node 2, near, sends afterwards comes in long before. */
static void test_a_message_from_afar_keeps_no_downlink_busy_before_it_comes(void **state)
{
    (void)state;
    struct net *n = make(3, 2, false);
    place(n, 0, 0, (struct net_access){.down_bps = BPS});
    place(n, 1, 1, (struct net_access){0});
    set_path(n, 1, 0, (struct net_path){.latency_ns = 10 * MS});
    assert_int_equal(send(n, 1, 0, 1000, 0), 11 * MS); /* 10 to 11 ms are taken */
    assert_int_equal(send(n, 2, 0, 4000, 0), 4 * MS);  /* 0 to 4 */
    assert_int_equal(send(n, 1, 0, 1000, 3 * MS), 14 * MS);
    assert_int_equal(send(n, 2, 0, 8000, 4 * MS), 13 * MS); /* 4 to 10 and 11 to 13 */
    net_free(n);
}

static void cut(struct net *n, uint32_t *id, struct net_side from, const struct net_side *to, bool both_ways)
{
    assert_int_equal(net_cut(n, id, &from, to, both_ways), OK);
    net_check(n);
}

#define NODES(...)                                                                                           \
    (struct net_side)                                                                                        \
    {                                                                                                        \
        .node = (const uint32_t[]){__VA_ARGS__},                                                             \
        .node_count = sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t)                             \
    }
#define REGION(...)                                                                                          \
    (struct net_side)                                                                                        \
    {                                                                                                        \
        .region = (const uint32_t[]){__VA_ARGS__},                                                           \
        .region_count = sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t)                           \
    }

static void test_a_cut_goes_one_way_until_it_is_healed(void **state)
{
    (void)state;
    struct net *n = make(4, 1, false);
    uint32_t id;
    struct net_side to = NODES(2, 3);
    cut(n, &id, NODES(0), &to, false);
    expect_cut_off(n, 0, 2, 0);
    expect_cut_off(n, 0, 3, 0);
    send(n, 2, 0, 1, 0);
    send(n, 0, 1, 1, 0);
    send(n, 1, 2, 1, 0);
    assert_int_equal(net_traffic(n, 0, 0).lost, 2);
    net_heal(n, id);
    net_check(n);
    send(n, 0, 2, 1, 0);
    net_free(n);
}

static void test_a_jurisdiction_is_cut_from_the_rest_both_ways(void **state)
{
    (void)state;
    struct net *n = make(6, 3, true); /* nodes 0 3, 1 4, 2 5 in regions 0, 1, 2 */
    for (uint32_t i = 0; i < 6; i++) place(n, i, i % 3, (struct net_access){0});
    uint32_t id;
    cut(n, &id, REGION(0, 1), NULL, true);
    for (uint32_t a = 0; a < 6; a++)
        for (uint32_t b = 0; b < 6; b++) assert_int_equal(net_reaches(n, a, b), (a % 3 == 2) == (b % 3 == 2));
    expect_cut_off(n, 2, 0, 0);
    expect_cut_off(n, 0, 5, 0);
    net_heal(n, id);
    for (uint32_t a = 0; a < 6; a++)
        for (uint32_t b = 0; b < 6; b++) assert_true(net_reaches(n, a, b));
    net_free(n);
}

static void test_cuts_overlap_and_are_as_many_as_said(void **state)
{
    (void)state;
    struct net *n = make(3, 1, false);
    uint32_t id[NET_CUTS_MAX], more;
    struct net_side from = NODES(0), to = NODES(1), other = NODES(2);
    for (uint32_t i = 0; i < NET_CUTS_MAX; i++) cut(n, &id[i], from, i ? &to : &other, i % 2);
    assert_int_equal(net_cut(n, &more, &from, &to, true), ERR_FULL);
    for (uint32_t i = 1; i < NET_CUTS_MAX; i++) {
        assert_false(net_reaches(n, 0, 1));
        assert_false(net_reaches(n, 1, 0)); /* the last one, odd, goes both ways */
        net_heal(n, id[i]);
    }
    assert_true(net_reaches(n, 0, 1));
    assert_false(net_reaches(n, 0, 2));
    assert_true(net_reaches(n, 2, 0));
    cut(n, &more, from, &to, false);
    assert_false(net_reaches(n, 0, 1));
    net_free(n);
}

static void test_clogged_messages_come_when_it_ends(void **state)
{
    (void)state;
    for (uint32_t datagram = 0; datagram < 2; datagram++) {
        struct net *n = make(4, 1, datagram);
        set_path(n, 0, 0, (struct net_path){.latency_ns = 10 * MS});
        net_clog_link(n, 0, 1, 5 * SEC);
        net_clog_link(n, 0, 1, 2 * SEC);
        assert_int_equal(send(n, 0, 1, 1, 0), 5 * SEC);
        assert_int_equal(send(n, 1, 0, 1, 0), 10 * MS);
        assert_int_equal(send(n, 0, 2, 1, 0), 10 * MS);
        net_reconnect(n, 0, 1); /* a new stream is no way round it */
        assert_int_equal(send(n, 0, 1, 1, SEC), 5 * SEC);
        net_clog_node(n, 2, 7 * SEC);
        net_clog_node(n, 2, 3 * SEC);
        assert_int_equal(send(n, 2, 3, 1, 6 * SEC), 7 * SEC);
        assert_int_equal(send(n, 3, 2, 1, 6 * SEC), 7 * SEC);
        assert_int_equal(send(n, 0, 1, 1, 6 * SEC), 6 * SEC + 10 * MS);
        assert_int_equal(send(n, 2, 3, 1, 7 * SEC), 7 * SEC + 10 * MS);
        net_free(n);
    }
}

static void test_what_was_clogged_comes_in_at_the_pace_of_the_downlink(void **state)
{
    (void)state;
    struct net *n = make(4, 1, false);
    place(n, 0, 0, (struct net_access){.down_bps = BPS});
    net_clog_node(n, 0, SEC);
    for (uint32_t i = 1; i <= 3; i++) assert_int_equal(send(n, i, 0, 1000, 0), SEC + i * MS);
    net_free(n);
}

/* A path of 10 ms and 10% loss: a timeout is 20 ms and 200 ms. */
static void test_on_a_stream_a_loss_is_a_timeout(void **state)
{
    (void)state;
    struct net *n = make(2, 1, false);
    set_path(n, 0, 0, (struct net_path){.latency_ns = 10 * MS, .loss_ppm = 100000});
    uint32_t after[3] = {0}, more = 0;
    for (uint32_t i = 0; i < 10000; i++) {
        uint64_t now_ns = i * 1000 * SEC;
        uint64_t took_ms = (send(n, 0, 1, 100, now_ns) - now_ns) / MS;
        if (took_ms == 10)
            after[0]++;
        else if (took_ms == 10 + 220)
            after[1]++;
        else if (took_ms == 10 + 220 + 440)
            after[2]++;
        else
            more++;
    }
    assert_in_range(after[0], 8880, 9120); /* four standard deviations about 9,000, 900, 90 and 10 */
    assert_in_range(after[1], 785, 1015);
    assert_in_range(after[2], 52, 128);
    assert_in_range(more, 0, 23);
    struct net_traffic traffic = net_traffic(n, 0, 0);
    assert_in_range(traffic.retransmitted, after[1] + 2 * after[2] + 3 * more, 1300);
    assert_int_equal(traffic.lost, 0);
    assert_int_equal(traffic.messages, 10000);
    assert_int_equal(traffic.bytes, 1000000);
    net_free(n);
}

/* A hundred packets, of which 2% are lost: the message is hit in 86.74% of all cases, what is sent again in 2%. */
static void test_only_what_was_lost_is_sent_again(void **state)
{
    (void)state;
    struct net *n = make(2, 1, false);
    set_path(n, 0, 0, (struct net_path){.loss_ppm = 20000});
    for (uint32_t i = 0; i < 10000; i++) send(n, 0, 1, 144800, i * 1000 * SEC);
    assert_in_range(net_traffic(n, 0, 0).retransmitted, 8700, 9000); /* 8,851 */
    net_free(n);
}

static void test_what_follows_a_loss_on_a_stream_waits_for_it(void **state)
{
    (void)state;
    struct net *n = make(3, 1, false);
    set_path(n, 0, 0, (struct net_path){.latency_ns = 10 * MS, .loss_ppm = 500000});
    uint64_t now_ns = 0, arrival_ns = send(n, 0, 1, 1, 0);
    while (arrival_ns - now_ns < 200 * MS) { /* until one is lost */
        now_ns += 1000 * SEC;
        arrival_ns = send(n, 0, 1, 1, now_ns);
    }
    set_path(n, 0, 0, (struct net_path){.latency_ns = 10 * MS});
    assert_int_equal(send(n, 0, 1, 1, now_ns + MS), arrival_ns);
    assert_int_equal(send(n, 0, 2, 1, now_ns + MS), now_ns + 11 * MS);
    net_free(n);
}

/* Ten that double from 220 ms on, then five of two minutes. */
static void test_a_timeout_grows_to_two_minutes(void **state)
{
    (void)state;
    struct net *n = make(2, 1, false);
    set_path(n, 0, 0, (struct net_path){.latency_ns = 10 * MS, .loss_ppm = 900000});
    uint64_t arrivals_ns[NET_COPIES_MAX], longest_ns = 0;
    for (uint64_t i = 0; i < 1000; i++) {
        if (!net_send(n, 0, 1, 1, i * 1000 * SEC, arrivals_ns)) continue;
        uint64_t took_ns = arrivals_ns[0] - i * 1000 * SEC;
        if (took_ns > longest_ns) longest_ns = took_ns;
    }
    assert_int_equal(longest_ns, 10 * MS + 1023 * 220 * MS + 5 * 120 * SEC);
    net_free(n);
}

static void test_a_stream_on_which_everything_is_lost_is_given_up(void **state)
{
    (void)state;
    struct net *n = make(2, 1, false);
    set_path(n, 0, 0, (struct net_path){.loss_ppm = NET_PPM});
    uint64_t arrivals_ns[NET_COPIES_MAX];
    assert_int_equal(net_send(n, 0, 1, 1, 0, arrivals_ns), 0);
    assert_int_equal(net_traffic(n, 0, 0).lost, 1);
    assert_int_equal(net_traffic(n, 0, 0).retransmitted, 15);
    set_path(n, 0, 0, (struct net_path){0});
    assert_int_equal(send(n, 0, 1, 1, 0), 0); /* and nothing stays behind it */
    net_free(n);
}

/* How many of 10,000 datagrams of so many bytes don't arrive. */
static uint64_t lost_of(uint32_t bytes, struct net_path path, struct net_access sender,
                        struct net_access receiver)
{
    struct net *n = make(2, 1, true);
    place(n, 0, 0, sender);
    place(n, 1, 0, receiver);
    set_path(n, 0, 0, path);
    uint64_t arrivals_ns[NET_COPIES_MAX], arrived = 0;
    for (uint32_t i = 0; i < 10000; i++) arrived += net_send(n, 0, 1, bytes, i, arrivals_ns);
    assert_int_equal(net_traffic(n, 0, 0).lost, 10000 - arrived);
    net_free(n);
    return 10000 - arrived;
}

static void test_a_datagram_is_lost_with_any_of_its_packets(void **state)
{
    (void)state;
    const struct net_path clean = {0}, lossy = {.loss_ppm = 20000};
    const struct net_access wire = {0}, radio = {.loss_ppm = 100000};
    assert_int_equal(lost_of(100, clean, wire, wire), 0);
    assert_in_range(lost_of(0, lossy, wire, wire), 144, 256); /* four standard deviations about 200 */
    assert_in_range(lost_of(1448, lossy, wire, wire), 144, 256);
    assert_in_range(lost_of(1449, lossy, wire, wire), 318, 474);     /* two packets: 396 */
    assert_in_range(lost_of(144800, lossy, wire, wire), 8535, 8813); /* a hundred: 8,674 */
    assert_in_range(lost_of(100, lossy, radio, radio), 1902, 2222);  /* 1 - 0.9 * 0.98 * 0.9: 2,062 */
    assert_int_equal(lost_of(100, (struct net_path){.loss_ppm = NET_PPM}, wire, wire), 10000);
}

static void test_datagrams_are_duplicated_as_often_as_said(void **state)
{
    (void)state;
    struct net *n = make(2, 1, true);
    set_path(n, 0, 0, (struct net_path){.jitter_ns = MS, .duplicate_ppm = 50000});
    uint64_t arrivals_ns[NET_COPIES_MAX], twice = 0, apart = 0;
    for (uint32_t i = 0; i < 10000; i++) {
        uint32_t copies = net_send(n, 0, 1, 1, i * SEC, arrivals_ns);
        assert_in_range(copies, 1, 2);
        for (uint32_t k = 0; k < copies; k++) assert_in_range(arrivals_ns[k], i * SEC, i * SEC + MS);
        twice += copies == 2;
        apart += copies == 2 && arrivals_ns[0] != arrivals_ns[1];
    }
    assert_in_range(twice, 413, 587); /* four standard deviations about 500 */
    assert_true(apart > twice / 2);
    assert_int_equal(net_traffic(n, 0, 0).duplicated, twice);
    net_free(n);
}

static void test_traffic_is_counted_by_pair_of_regions(void **state)
{
    (void)state;
    struct net *n = make(3, 2, false);
    place(n, 2, 1, (struct net_access){0});
    send(n, 0, 1, 10, 0);
    send(n, 0, 2, 200, 0);
    send(n, 1, 2, 3000, 0);
    send(n, 2, 0, 40000, 0);
    assert_int_equal(net_traffic(n, 0, 0).bytes, 10);
    assert_int_equal(net_traffic(n, 0, 1).bytes, 3200);
    assert_int_equal(net_traffic(n, 0, 1).messages, 2);
    assert_int_equal(net_traffic(n, 1, 0).bytes, 40000);
    assert_int_equal(net_traffic(n, 1, 1).messages, 0);
    net_free(n);
}

static void test_values_out_of_range_change_nothing(void **state)
{
    (void)state;
    struct net *n = make(2, 1, false);
    const struct net_path path[] = {{.latency_ns = NET_DELAY_MAX_NS + 1},
                                    {.jitter_ns = NET_DELAY_MAX_NS + 1},
                                    {.bps = NET_BPS_MIN - 1},
                                    {.bps = NET_BPS_MAX + 1},
                                    {.loss_ppm = NET_PPM + 1},
                                    {.duplicate_ppm = 1}};
    const struct net_access access[] = {{.latency_ns = NET_DELAY_MAX_NS + 1},
                                        {.jitter_ns = NET_DELAY_MAX_NS + 1},
                                        {.up_bps = 1},
                                        {.down_bps = NET_BPS_MAX + 1},
                                        {.loss_ppm = NET_PPM + 1}};
    set_path(n, 0, 0, (struct net_path){.latency_ns = 5});
    for (uint32_t i = 0; i < sizeof path / sizeof path[0]; i++)
        assert_int_equal(net_set_path(n, 0, 0, &path[i]), ERR_RANGE);
    for (uint32_t i = 0; i < sizeof access / sizeof access[0]; i++)
        assert_int_equal(net_place(n, 0, 0, &access[i]), ERR_RANGE);
    assert_int_equal(send(n, 0, 1, 1, 0), 5);
    net_free(n);
    n = make(2, 1, true);
    assert_int_equal(net_set_path(n, 0, 0, &(struct net_path){.duplicate_ppm = NET_PPM + 1}), ERR_RANGE);
    net_free(n);
}

/* The slowest links, the largest messages: no sum of times wraps round. */
static void test_what_would_take_for_ever_arrives_at_never(void **state)
{
    (void)state;
    struct net *n = make(3, 1, false);
    for (uint32_t i = 0; i < 3; i++)
        place(n, i, 0, (struct net_access){NET_BPS_MIN, NET_BPS_MIN, NET_DELAY_MAX_NS, NET_DELAY_MAX_NS, 0});
    uint64_t last_ns = 0;
    for (uint32_t i = 0; i < 2000; i++) {
        uint64_t arrival_ns = send(n, i % 2, 2, NET_BYTES_MAX, 0);
        assert_true(arrival_ns >= last_ns || arrival_ns > SEC);
        if (arrival_ns > last_ns) last_ns = arrival_ns;
        assert_in_range(arrival_ns, NET_BYTES_MAX, NET_NEVER);
    }
    assert_int_equal(last_ns, NET_NEVER);
    assert_int_equal(send(n, 0, 2, 1, NET_NEVER - 1), NET_NEVER);
    net_free(n);
}

/* A hash of all arrivals of one busy minute. */
static uint64_t minute(uint64_t seed, bool datagram)
{
    struct net *n = make(20, 2, datagram);
    chance = chance_stream(seed, "net", 0);
    for (uint32_t i = 0; i < 20; i++)
        place(n, i, i % 2, (struct net_access){10 * BPS, 20 * BPS, 5 * MS, MS, 1000});
    for (uint32_t p = 0; p < 4; p++)
        set_path(n, p / 2, p % 2, (struct net_path){50 * MS, 5 * MS, 50 * BPS, 10000, datagram ? 10000 : 0});
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (uint32_t i = 0; i < 60000; i++) {
        uint64_t arrivals_ns[NET_COPIES_MAX];
        uint32_t copies =
            net_send(n, i * 7 % 20, (i * 7 + 1 + i % 19) % 20, i * 37 % 9000, i * MS, arrivals_ns);
        for (uint32_t k = 0; k < copies; k++) hash = (hash ^ arrivals_ns[k]) * UINT64_C(0x100000001b3);
    }
    net_check(n);
    net_free(n);
    return hash;
}

/* Whatever compiles it: these are of gcc, with and without optimisation, and of clang. */
static void test_a_seed_says_everything(void **state)
{
    (void)state;
    const uint64_t golden[2] = {UINT64_C(0x767e6946d7325e59), UINT64_C(0x69f56fbe5e28f48)};
    for (uint32_t datagram = 0; datagram < 2; datagram++) {
        assert_int_equal(minute(1, datagram), minute(1, datagram));
        assert_int_equal(minute(1, datagram), golden[datagram]);
        assert_int_not_equal(minute(1, datagram), minute(2, datagram));
    }
}

enum { LINKS = 16 };

static struct net *make_many(uint32_t node_count)
{
    struct net *n = make(node_count, REGIONS_COUNT, false);
    for (uint32_t i = 0; i < node_count; i++)
        place(n, i, i % REGIONS_COUNT, (struct net_access){100 * BPS, 100 * BPS, 5 * MS, 5 * MS, 0});
    for (uint32_t a = 0; a < REGIONS_COUNT; a++)
        for (uint32_t b = 0; b < REGIONS_COUNT; b++)
            set_path(n, a, b, (struct net_path){.latency_ns = regions_rtt_us(a, b) * US / 2});
    return n;
}

/* Every node sends to sixteen others, drawn anew each time, so that as many links have a message under way at once. */
static void send_round(struct net *n, uint32_t node_count, uint64_t now_ns)
{
    for (uint32_t i = 0; i < node_count; i++)
        for (uint32_t k = 0; k < LINKS; k++) {
            uint64_t arrivals_ns[NET_COPIES_MAX];
            uint32_t to = (i + 1 + (uint32_t)chance_below(&chance, node_count - 1)) % node_count;
            assert_int_equal(net_send(n, i, to, 500, now_ns, arrivals_ns), 1);
        }
    net_check(n);
}

static void test_a_hundred_thousand_nodes_fit(void **state)
{
    (void)state;
    struct net *n = make_many(100000);
    size_t idle = net_bytes(n);
    assert_in_range(idle, 1, 100000 * 120);
    send_round(n, 100000, 0);
    assert_in_range(net_bytes(n) - idle, 1,
                    100000 * LINKS * 64); /* order and downlink of a message together */
    net_free(n);
}

static void test_links_that_are_no_longer_in_use_make_room(void **state)
{
    (void)state;
    struct net *n = make_many(2000);
    send_round(n, 2000, 0);
    size_t busy = net_bytes(n);
    for (uint32_t round = 1; round <= 20; round++) send_round(n, 2000, round * SEC);
    assert_int_equal(net_bytes(n), busy);
    net_free(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_latencies_follow_the_table_within_jitter),
        cmocka_unit_test(test_a_path_has_a_direction),
        cmocka_unit_test(test_only_datagrams_overtake_each_other),
        cmocka_unit_test(test_a_new_stream_waits_for_nothing_of_the_old_one),
        cmocka_unit_test(test_a_burst_takes_as_long_as_all_its_bits),
        cmocka_unit_test(test_part_of_a_nanosecond_counts_as_one),
        cmocka_unit_test(test_receivers_share_their_senders_uplink),
        cmocka_unit_test(test_senders_share_their_receivers_downlink),
        cmocka_unit_test(test_a_message_from_afar_keeps_no_downlink_busy_before_it_comes),
        cmocka_unit_test(test_a_cut_goes_one_way_until_it_is_healed),
        cmocka_unit_test(test_a_jurisdiction_is_cut_from_the_rest_both_ways),
        cmocka_unit_test(test_cuts_overlap_and_are_as_many_as_said),
        cmocka_unit_test(test_clogged_messages_come_when_it_ends),
        cmocka_unit_test(test_what_was_clogged_comes_in_at_the_pace_of_the_downlink),
        cmocka_unit_test(test_on_a_stream_a_loss_is_a_timeout),
        cmocka_unit_test(test_only_what_was_lost_is_sent_again),
        cmocka_unit_test(test_what_follows_a_loss_on_a_stream_waits_for_it),
        cmocka_unit_test(test_a_timeout_grows_to_two_minutes),
        cmocka_unit_test(test_a_stream_on_which_everything_is_lost_is_given_up),
        cmocka_unit_test(test_a_datagram_is_lost_with_any_of_its_packets),
        cmocka_unit_test(test_datagrams_are_duplicated_as_often_as_said),
        cmocka_unit_test(test_traffic_is_counted_by_pair_of_regions),
        cmocka_unit_test(test_values_out_of_range_change_nothing),
        cmocka_unit_test(test_what_would_take_for_ever_arrives_at_never),
        cmocka_unit_test(test_a_seed_says_everything),
        cmocka_unit_test(test_a_hundred_thousand_nodes_fit),
        cmocka_unit_test(test_links_that_are_no_longer_in_use_make_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
