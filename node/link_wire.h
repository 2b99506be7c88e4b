/* link_wire: one connection of link.c, and what the link files share. Private to them, but for the calls at the end,
 * which tests use too. Its bytes go through a stream of nng's, or through a tunnel (link_tunnel.h), which is written to and read from
 * at once, on the loop.
 * An operation (accept, dial, read, write) is an nng aio; its callback runs on a thread of nng's, puts the operation in
 * a list under the lock and wakes the loop. Everything else is the loop's. A wire that ends is marked dead and freed by
 * link_sweep, when nothing on the stack can hold it. */
#ifndef PERIGEE_NODE_LINK_WIRE_H
#define PERIGEE_NODE_LINK_WIRE_H

#include "node/link.h"
#include "node/link_door.h"
#include "node/link_frame.h"
#include "node/link_penalty.h"

#include <nng/nng.h>
#include <pthread.h>

struct link_wire;
struct link_dial;
struct link_tunnel;
struct link_passage;

enum link_op_kind { LINK_OP_ACCEPT, LINK_OP_DIAL, LINK_OP_READ, LINK_OP_WRITE };
struct link_op {
    struct links *links;
    struct link_op *next; /* in links.finished, guarded by links.lock */
    bool finished;        /* is in that list */
    bool busy;            /* started, and its end not yet handled */
    enum link_op_kind kind;
    nng_aio *aio;
    void *owner; /* struct link_dial or struct link_wire */
};
MUST_USE enum err link_op_init(struct link_op *op, struct links *l, enum link_op_kind kind, void *owner);
void link_op_free(struct link_op *op); /* cancels, waits for the callback, frees a stream nobody took */

struct link_message {
    struct link_message *next;
    size_t len, sent;
    uint8_t bytes[];
};
struct link_queue {
    struct link_message *first, **last;
    size_t bytes, bytes_max;
};
void link_queue_init(struct link_queue *q, size_t bytes_max);
MUST_USE enum err link_queue_add(struct link_queue *q, struct span bytes); /* ERR_FULL, ERR_NO_MEMORY */
void link_queue_pop(struct link_queue *q);
void link_queue_clear(struct link_queue *q);

enum link_stage { LINK_HANDSHAKE, LINK_UP, LINK_DEAD };
struct link_wire {
    struct links *links;
    struct link_wire *next;
    struct link_dial *dial; /* NULL: they dialled us, or it is relayed */
    bool dialled;           /* we are the dialler */
    bool relayed;
    struct link_tunnel *tunnel; /* while a relayed one lives */
    struct node_id via;         /* the relay */
    enum link_stage stage;
    struct node_id peer; /* known when up */
    bool said_hello;     /* message 1 of the handshake has been read */
    char address[96];    /* theirs, for the log and the penalty */
    nng_stream *stream;  /* NULL: relayed */
    struct noise *noise;
    struct link_op reading, writing;
    uint8_t *in; /* received, not yet read as frames */
    size_t in_len, in_cap;
    uint8_t *out; /* being written: out_at..out_len */
    size_t out_at, out_len, out_cap;
    struct link_queue queue[LINK_QUEUE_COUNT];
    struct link_pieces pieces;
    struct link_tunnel *tunnels; /* through this peer, ours */
    struct node_id *asks;        /* whom this peer wants tunnels to through us */
    uint32_t asks_count;
    bool offers; /* it relays */
    uint64_t since_ms, up_ms, heard_ms, said_ms;
    uint64_t spent_ns, spent_at_ns; /* of the loop's time */
    uint64_t waits;                 /* its place among those whose frames wait for their turn; 0: none do */
};

struct link_dial {
    struct link_dial *next;
    char *address;
    struct node_id expected; /* zero: anybody */
    struct node_id found;    /* who answered last */
    nng_stream_dialer *dialer;
    struct link_op op;
    struct link_wire *wire;
    uint64_t next_ms;
    uint32_t delay_ms;
    bool said_unreachable;
    bool in_vain; /* something answered there last, and no link came of it */
    bool for_now; /* until it is hung up */
    bool gone;    /* it has been: freed when nothing on the stack can hold it */
};

/* How fast things happen, and how many may be; tests go faster, with fewer. */
struct links_pace {
    uint32_t tick_ms, handshake_ms, ping_ms, dead_ms, retry_min_ms, retry_max_ms, penalty_ms;
    uint32_t places;                   /* for links that are up (link_place.h) */
    uint32_t kept;                     /* of these, for custodians */
    uint32_t told_min_ms, told_max_ms; /* as retry_*, for addresses that are others' word */
    uint32_t stay_ms;                  /* so long a stranger or device has its place */
    uint32_t half_open_max;            /* inbound connections that have not proven who they are */
    uint32_t half_open_ms;             /* one that is older gives way to another */
    struct link_rate accept;           /* of connections; of one address half of it */
    struct link_rate lines;            /* of the log, about what peers do */
};

struct links {
    struct links_options options;
    struct links_pace pace;
    uint8_t proof[LINK_PROOF_BYTES];
    char *listen;
    pthread_mutex_t lock; /* of finished and each operation's membership in it */
    struct link_op *finished, **finished_last;
    uv_async_t wake;
    uv_timer_t tick;
    uint64_t looked_ms,
        stood_ms; /* the last look at the clock; what this process was not let run, and heard nobody */
    nng_stream_listener *listener;
    struct link_op accepting;
    struct link_wire *wires;
    struct link_dial *dials;
    struct link_passage *passages; /* tunnels of others, through us */
    struct link_bucket passage_bytes;
    uint64_t asks_turn,
        tunnels_ms; /* the wire whose asks come next; when our own tunnels are looked at again */
    struct link_penalty penalty;
    struct links_status status;
    struct link_door door;
    struct link_bucket lines[2]; /* by how grave they are */
    uint64_t waits;              /* places given */
    uint32_t lines_left_out;
    uint8_t plain_in[LINK_FRAME_MAX], plain_out[LINK_FRAME_MAX];
    uint8_t tunnel_frame[LINK_TUNNEL_FRAME_MAX];
    bool closing;
    uint32_t handles_open;
    void (*closed)(void *context);
    void *closed_context;
};

uint64_t links_now(struct links *l); /* while this process runs: a standstill is nobody's silence */
bool links_shut_out(struct links *l, const char *address); /* will who comes from there be turned away? */
void links_log(const struct links *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* About what a peer did: not as often as peers like, and what is grave apart, so that trifles do not hide it. */
bool links_may_log(struct links *l, bool grave);
void links_wait(struct links *l,
                struct link_wire *w); /* its frames get a turn of their own, behind all others */
struct link_wire *links_find(struct links *l, struct node_id peer);
struct node_id links_dial_peer(const struct link_dial *d); /* whom it leads to; zero: not known yet */
/* The next attempt, later than the last one. */
void links_schedule(struct links *l, uint64_t *next_ms, uint32_t *delay_ms, uint32_t most_ms);
void links_dial_later(struct link_dial *d, struct links *l);

/* Where a wire comes from. A stream, dialled or (dial NULL) accepted; or a tunnel. */
struct link_origin {
    nng_stream *stream;
    struct link_dial *dial;
    struct link_tunnel *tunnel;
    const char *address;
};
void links_add(struct links *l, const struct link_origin *origin); /* takes the stream */
/* Takes the stream, also on error. */
MUST_USE enum err link_wire_new(struct link_wire **out, struct links *l, const struct link_origin *origin);
void link_wire_free(struct link_wire *w); /* dead and out of every list */
void link_wire_read_done(struct link_wire *w);
void link_wire_go_on(struct link_wire *w); /* its turn */
void link_wire_write_done(struct link_wire *w);
void link_wire_room(struct link_wire *w); /* its tunnel takes bytes again */
void link_wire_tick(struct link_wire *w);
MUST_USE enum err link_wire_send(struct link_wire *w, struct span message, enum link_class lane);
/* The end of a connection, by us or them. offence: they broke a rule. Reported once. */
void link_wire_drop(struct link_wire *w, bool offence, const char *reason);
/* Behind all else for this peer. One that has no room for it has read nothing for long, and is dropped. */
void link_wire_send_tunnel(struct link_wire *w, const struct link_tunnel_frame *frame);

/* --- For tests ------------------------------------------------------------------------------------------ */

void links_set_pace(struct links *l, const struct links_pace *pace);
extern const struct links_pace links_pace_usual;
uint16_t links_port(const struct links *l); /* of a TCP listener; 0 if there is none */

#endif
