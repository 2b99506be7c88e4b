/* net_link: before when nothing more arrives on a link, for the links where that time is still to come. Part of net.c.
 * An open-addressing table from (from, to) to a time. An entry whose time has passed says nothing: a full table is built
 * anew without those, and larger only when most are still needed, so that it is as large as what is under way at one
 * time, not as all links there ever were. One thread. */
#ifndef PERIGEE_SIM_NET_LINK_H
#define PERIGEE_SIM_NET_LINK_H

#include <stddef.h>
#include <stdint.h>

struct net_link {
    uint64_t ends; /* from << 32 | to; 0, which no link is: empty */
    uint64_t floor_ns;
};
struct net_links {
    struct net_link *link;
    uint32_t count, capacity; /* a power of two, or 0 */
};

void net_links_free(struct net_links *l);
/* The time of this link, 0 when it had none, to be read and set before the next call. from != to. */
uint64_t *net_link_floor(struct net_links *l, uint32_t from, uint32_t to, uint64_t now_ns);
uint64_t net_link_floor_ns(const struct net_links *l, uint32_t from, uint32_t to);
void net_link_forget(struct net_links *l, uint32_t from, uint32_t to);
void net_link_check(const struct net_links *l); /* stops the program when an entry can't be found */

#endif
