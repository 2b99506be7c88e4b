/* link_relay: tunnels that this node carries for two others (PROTOCOL.md "Tunnels"); link_tunnel.h is their ends.
 * Off unless links_options.relay_tunnels says so. The relay reads nothing of what it carries, holds at most one window for each direction,
 * and keeps to its rate by passing room on later; so many tunnels in all, half of them for one node.
 * Rules: an ask costs its sender's place only and is never answered but by an open; both ends must be members and directly
 * linked, and stay so; who sends more than its window, gives more room than was taken or asks for too many breaks framing.
 * A passage that closes is freed by link_relay_sweep, when nothing on the stack can hold it. Threads: the loop's. */
#ifndef PERIGEE_NODE_LINK_RELAY_H
#define PERIGEE_NODE_LINK_RELAY_H

#include "node/link_frame.h"

struct links;
struct link_wire;

void link_relay_offer(struct link_wire *w); /* a direct link is up */
/* What an end said. A breach of the rules is returned, in words; otherwise NULL. */
const char *link_relay_said(struct link_wire *w, const struct link_tunnel_frame *f);
void link_relay_gone(struct link_wire *w); /* this link has ended */
void link_relay_tick(struct links *l);
void link_relay_sweep(struct links *l);
void link_relay_close(struct links *l); /* all of them, without a word */

#endif
