/* net: the network between simulated nodes. It says when a message arrives, or that it never does; it carries no bytes
 * and keeps no messages: the caller's queue does.
 *
 * A message leaves by its sender's access link, crosses from region to region, and comes in by its receiver's:
 *   uplink     at `up_bps`, one message after another in the order they are sent;
 *   path       `latency_ns` and up to `jitter_ns` more, drawn evenly, each summed over path and both access links; `bps`
 *              is what one link gets on this path;
 *   downlink   at `down_bps`, each message taking the first free time from when it comes in. A message is given its time
 *              when it is sent, and keeps it: one that is sent later and comes in earlier takes what is free before.
 * Bits flow through: a slower stage starts with the first bit, not with the last, so that what counts is the slowest.
 *
 * Two kinds of network, chosen once:
 *   ordered    (the product's links) every link, a pair of nodes in one direction, is a byte stream: messages arrive in
 *              the order they are sent and never twice. A loss costs a retransmission timeout, the slowest round trip
 *              and 200 ms, doubled for each further loss up to two minutes; after 15 in a row the link is given up, as
 *              Linux's TCP does.
 *   datagram   (for tests of what must not rely on order) a loss is a loss, jitter lets messages overtake, and
 *              `duplicate_ppm` of them arrive twice.
 * `loss_ppm` is of packets of 1,448 bytes: a message is hit if one of its packets is.
 *
 * To a node that is cut off net_send gives no copy. On an ordered network no copy means that the link is broken, and the
 * caller tells both ends; after net_cut it asks net_reaches of every link it keeps, both ways, since no byte stream lives
 * long without its acknowledgements. What was under way then arrives or not as the caller decides; when the two connect
 * again it says net_reconnect.
 *
 * Integers only, and one random stream, drawn from only where something is uncertain: the same calls give the same times
 * whatever the compiler. Time is nanoseconds and never runs backwards between calls; what would take longer than
 * NET_NEVER arrives then.
 *
 * Memory: a constant for each node and pair of regions; 16 bytes, in a table at most twice too large, for each link with
 * a message under way or clogged; 24 bytes for each message under way to a receiver with `down_bps`. What is no longer
 * under way makes room: a steady load takes no more, and allocates only when a full table is built anew, which is once in
 * as many messages as it has places, nearly. Memory that runs out stops the program. One thread. */
#ifndef PERIGEE_SIM_NET_H
#define PERIGEE_SIM_NET_H

#include "proto/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chance;
struct net;

enum {
    NET_NODES_MAX = 1 << 24,
    NET_REGIONS_MAX = 256,
    NET_CUTS_MAX = 64,       /* partitions at one time */
    NET_COPIES_MAX = 2,      /* of one message */
    NET_BYTES_MAX = 1 << 30, /* of one message, with whatever headers the caller counts */
    NET_PPM = 1000000,
};
#define NET_DELAY_MAX_NS UINT64_C(60000000000) /* of a latency, of a jitter */
#define NET_BPS_MIN      UINT64_C(1000)
#define NET_BPS_MAX      UINT64_C(1000000000000)
#define NET_NEVER        (UINT64_C(1) << 62)

struct net_options {
    uint32_t node_count, region_count;
    bool datagram;
    struct chance *chance; /* the network's own stream, or several (net_stream); borrowed until net_free */
};

/* The last mile of a node. 0 bits per second: no limit. */
struct net_access {
    uint64_t up_bps, down_bps;
    uint64_t latency_ns, jitter_ns;
    uint32_t loss_ppm;
};

/* From one region to another, or within one; the way back is another path. 0 bits per second: no limit. */
struct net_path {
    uint64_t latency_ns, jitter_ns;
    uint64_t bps;
    uint32_t loss_ppm, duplicate_ppm;
};

/* One side of a partition: these nodes, and every node placed in these regions when it is made. */
struct net_side {
    const uint32_t *node, *region;
    uint32_t node_count, region_count;
};

/* What went from one region to another; bytes and messages count once, whatever became of them. */
struct net_traffic {
    uint64_t messages, bytes;
    uint64_t lost;          /* by chance, by a cut, or given up */
    uint64_t retransmitted; /* attempts beyond the first */
    uint64_t duplicated;
};

/* Every node in region 0, every access link and path without delay, limit or loss. NULL: no memory. */
struct net *net_new(const struct net_options *options);
void net_free(struct net *n); /* NULL is allowed */

/* These may be called at any time and hold from the next message on. ERR_RANGE, and nothing changes, when a value is
 * outside the limits above, or when an ordered network is told to duplicate. */
MUST_USE enum err net_place(struct net *n, uint32_t node, uint32_t region, const struct net_access *access);
MUST_USE enum err net_set_path(struct net *n, uint32_t from, uint32_t to, const struct net_path *path);
uint32_t net_region(const struct net *n, uint32_t node);
/* What is uncertain of what this node sends is drawn from this one of the network's streams, in place of the first: nodes with streams of their
 * own that never send each other anything touch each other in nothing. */
void net_stream(struct net *n, uint32_t node, uint32_t stream);

/* Nothing from `from` reaches `to`, nor the other way when `both_ways`; NULL for `to` is every node not in `from`. A
 * message is cut off by any cut that is in force. ERR_FULL at NET_CUTS_MAX. */
MUST_USE enum err net_cut(struct net *n, uint32_t *cut, const struct net_side *from,
                          const struct net_side *to, bool both_ways);
void net_heal(struct net *n, uint32_t cut);
bool net_reaches(const struct net *n, uint32_t from, uint32_t to);

/* There and back, without jitter and what bits take. */
uint64_t net_round_trip_ns(const struct net *n, uint32_t a, uint32_t b);

/* The link between these two begins anew: what is sent on it needn't wait for what was sent before, which is its caller's
 * to drop. */
void net_reconnect(struct net *n, uint32_t a, uint32_t b);

/* What is sent from now on arrives, on this link, or to and from this node, no earlier than `until_ns`; a second call
 * only lengthens. */
void net_clog_link(struct net *n, uint32_t from, uint32_t to, uint64_t until_ns);
void net_clog_node(struct net *n, uint32_t node, uint64_t until_ns);

/* How many copies of a message sent now arrive, 0 to NET_COPIES_MAX, and when. `from` and `to` differ. */
MUST_USE uint32_t net_send(struct net *n, uint32_t from, uint32_t to, uint32_t bytes, uint64_t now_ns,
                           uint64_t arrivals_ns[NET_COPIES_MAX]);

struct net_traffic net_traffic(const struct net *n, uint32_t from_region, uint32_t to_region);
size_t net_bytes(const struct net *n); /* of memory, all told */
void net_check(const struct net *n);   /* every invariant of what it keeps */

#endif
