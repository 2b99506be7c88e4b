/* net_lane: when the downlink of a node is taken. Part of net.c.
 * A lane is a list of spans of time that are taken, in order, apart from each other; zeroed it is empty. Some of those that were taken last
 * are kept in mind, so that a long one is not looked through from its beginning. The spans of all lanes share one pool, and what lies before `now` goes back to it. One thread. */
#ifndef PERIGEE_SIM_NET_LANE_H
#define PERIGEE_SIM_NET_LANE_H

#include <stddef.h>
#include <stdint.h>

struct net_lane_span {
    uint64_t from_ns, to_ns;
    uint32_t next;
};
enum { NET_LANE_FINGERS = 6 };
struct net_lane {
    uint32_t head, finger[NET_LANE_FINGERS]; /* 0: none */
    uint32_t turn;                           /* the finger that points elsewhere next */
};
struct net_lanes {
    struct net_lane_span *span; /* [0] is nobody's */
    uint32_t count, capacity;   /* handed out at least once; of the memory */
    uint32_t free;              /* the first of those given back */
};

void net_lanes_free(struct net_lanes *l);
/* Take `length_ns` of what is free from `from_ns` on, in pieces if need be, and return when the last of them ends.
 * now_ns <= from_ns < NET_NEVER, length_ns > 0. */
uint64_t net_lane_take(struct net_lanes *l, struct net_lane *lane, uint64_t now_ns, uint64_t from_ns,
                       uint64_t length_ns);
/* How many spans the lane has; stops the program when they are out of order or touch, or a finger points to none of them. */
uint32_t net_lane_check(const struct net_lanes *l, const struct net_lane *lane);
uint32_t net_lane_free_count(const struct net_lanes *l); /* of spans that were given back */

#endif
