/* link_tunnel: our own links through other nodes (PROTOCOL.md "Tunnels"), at the end of a tunnel; link_relay.h is its middle.
 * A tunnel belongs to the direct link with a relay that offered and goes with it; what runs in it is a wire like any other, which
 * reads and writes here as others do at their stream. Members without a link are asked for at every such relay.
 * Rules: what has arrived and is not read is at most one window, and more ends the relay's link; a tunnel holds nothing of what is
 * to be sent, but the relay's link queues at most one window of it. Ends of the relay's link may come from any call here that sends.
 * Threads: the loop's. */
#ifndef PERIGEE_NODE_LINK_TUNNEL_H
#define PERIGEE_NODE_LINK_TUNNEL_H

#include "node/link_frame.h"

struct links;
struct link_tunnel;
struct link_wire;

/* --- For the wire inside ------------------------------------------------------------------------------- */

bool link_tunnel_dials(const struct link_tunnel *t); /* is it for us to begin the handshake? */
struct node_id link_tunnel_relay(const struct link_tunnel *t);
struct node_id link_tunnel_peer(const struct link_tunnel *t);
void link_tunnel_begins(struct link_tunnel *t, struct link_wire *w);
void link_tunnel_ends(struct link_tunnel *t, bool steady);          /* the wire's end; its memory stays */
size_t link_tunnel_write(struct link_tunnel *t, struct span bytes); /* how many it took */
bool link_tunnel_pending(const struct link_tunnel *t);              /* has something arrived? */
size_t link_tunnel_take(struct link_tunnel *t, uint8_t *out, size_t cap);

/* --- For the relay's link ------------------------------------------------------------------------------- */

/* What it said. A breach of the rules is returned, in words; otherwise NULL. */
const char *link_tunnel_said(struct link_wire *relay, const struct link_tunnel_frame *f);
void link_tunnels_end(struct link_wire *relay,
                      const char *reason); /* it has ended, and so do the links through it */
void link_tunnels_free(struct link_wire *relay);
void link_tunnels_tick(struct links *l);

#endif
