/* link: authenticated, encrypted peer links over nng byte streams, on the node's libuv loop (DESIGN §7).
 * A link is length-prefixed frames of Noise XX messages; the handshake payloads carry the node identity's signature over
 * the static key and the consortium id (PROTOCOL.md "Link handshake", "Link frames"). Messages up to CAP_MESSAGE_BYTES
 * are cut into Noise messages and put together again; bulk messages never delay control messages by more than one piece.
 * Rules: everything a peer sends is bounded before it is buffered; a peer that breaks framing, the handshake or its rate
 * is disconnected, scored and not redialled for a while; per peer and class the queue is capped and a full queue is an
 * error to the sender, never a silent drop of control messages. At most one live link per peer: of two crossing ones the one dialled by the
 * smaller node id stays. Outbound links are redialled with backoff and jitter for ever. Members that cannot be dialled are reached
 * through willing peers (PROTOCOL.md "Tunnels"; link_tunnel.h, link_relay.h): what comes of it is a link like any other, and gives way to a
 * direct one.
 * Threads: everything here runs on the loop's thread; nng's own threads only wake it (uv_async). Crypto of links runs on
 * the loop thread for handshakes and control; bulk encryption is cut so that a step stays short. */
#ifndef PERIGEE_NODE_LINK_H
#define PERIGEE_NODE_LINK_H

#include "crypto/types.h"
#include "proto/base/ids.h"

#include <uv.h>

struct links;

/* In this order where places are scarce (link_place.h). */
enum link_standing { LINK_STRANGER, LINK_DEVICE, LINK_MEMBER, LINK_CUSTODIAN };

struct links_options {
    uv_loop_t *loop;
    struct node_id self;
    const struct identity_secret *identity; /* signs the handshake; borrowed */
    const struct kem_secret *link_secret;   /* Noise static; borrowed */
    struct consortium_id consortium;
    const char *listen; /* "tcp://127.0.0.1:7001", "ipc:///path", or NULL for outbound only */
    uint32_t places;    /* links that may be up, CAP_PEERS at most; 0: so many */
    /* Of tunnels that this node carries for others: 0 is none, and it offers none. */
    uint32_t relay_tunnels, relay_bytes_a_second;
    void *context;
    /* What a node is, and the members that this node should have a link with, at most `cap`. Asked on the loop at any time. NULL:
     * all are strangers, nobody. */
    enum link_standing (*standing)(void *context, struct node_id node);
    uint32_t (*members)(void *context, struct node_id *out, uint32_t cap);
    void (*up)(void *context, struct node_id peer);
    void (*down)(void *context, struct node_id peer, const char *reason);
    void (*message)(void *context, struct node_id peer, struct span message); /* span valid during the call */
    void (*log)(void *context, const char *line);                             /* no secrets */
};

/* ERR_BUSY: the address is in use (the log says which). ERR_USAGE: not an address. On error the loop needs one more turn. */
MUST_USE enum err links_open(struct links **out, const struct links_options *options);
/* Keep a link to this peer for ever. `expected` zero: whoever answers. ERR_USAGE, ERR_FULL (CAP_PEERS addresses). */
MUST_USE enum err links_dial(struct links *l, const char *address, struct node_id expected);
/* The same until links_hang_up, beside what was asked for for ever. An error is in the log, within the part of peers. */
MUST_USE enum err links_dial_for_now(struct links *l, const char *address, struct node_id expected);
/* It is dialled so no more, and the link that came of it ends; one that it dialled itself stays. */
void links_hang_up(struct links *l, struct node_id peer);
/* Copies the message. bulk: may wait behind control. ERR_NOT_FOUND no link, ERR_FULL the peer's queue is full. */
MUST_USE enum err links_send(struct links *l, struct node_id peer, struct span message, bool bulk);
/* This peer said what no honest node says: its link ends as if it had broken framing. Nothing when there is no link. */
void links_offend(struct links *l, struct node_id peer, const char *reason);
struct links_status {
    uint32_t up, accepted, refused, queued_bytes;
    uint64_t bytes_in, bytes_out;
    uint32_t relayed;       /* of those up: through another node */
    uint32_t tunnels;       /* carried here for others, now */
    uint64_t tunnels_total; /* since the start */
    uint64_t tunnel_bytes;  /* of them */
};
void links_status(const struct links *l, struct links_status *out);
/* Is the link with this peer up through another node, and through which? */
bool links_via(struct links *l, struct node_id peer, struct node_id *relay);
/* Stops dialling and accepting, closes every link, then calls `closed`; frees `l` before that. No other callback comes
 * after this call, `down` included; what waited to be sent is dropped. May be called from any callback. */
void links_close(struct links *l, void (*closed)(void *context), void *context);

#endif
