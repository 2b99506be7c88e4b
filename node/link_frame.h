/* link_frame: the bytes of a link, without sockets (PROTOCOL.md "Link handshake", "Link frames", "Tunnels").
 * Cutting frames out of a stream, putting messages together from pieces, frames of tunnels, and the proof that ties a
 * Noise static key to a node. Rules: a length is checked before anything is waited for or kept; a class of messages has one message in the
 * making, of at most CAP_MESSAGE_BYTES. Pure but for the heap. Errors: as each function says. */
#ifndef PERIGEE_NODE_LINK_FRAME_H
#define PERIGEE_NODE_LINK_FRAME_H

#include "crypto/noise.h"
#include "crypto/types.h"
#include "proto/base/ids.h"

enum {
    LINK_LENGTH_BYTES = 4,
    LINK_PROOF_BYTES = 96, /* node id, signature */
    LINK_HELLO_BYTES = 32, /* the three handshake messages, each of one length only */
    LINK_ANSWER_BYTES = 32 + 48 + LINK_PROOF_BYTES + NOISE_TAG_BYTES,
    LINK_FINISH_BYTES = 48 + LINK_PROOF_BYTES + NOISE_TAG_BYTES,
    LINK_FRAME_MIN = 1 + NOISE_TAG_BYTES,
    LINK_FRAME_MAX = NOISE_MESSAGE_MAX,
    LINK_PIECE_MAX = NOISE_MESSAGE_MAX - NOISE_TAG_BYTES - 1, /* bytes of a message in one frame */
    LINK_TUNNEL_HEAD_BYTES = 33,                              /* type, node */
    LINK_TUNNEL_BYTES_MAX = 16384,                            /* of a tunnel's stream in one frame */
    LINK_TUNNEL_FRAME_MAX = LINK_TUNNEL_HEAD_BYTES + LINK_TUNNEL_BYTES_MAX,
    LINK_TUNNEL_WINDOW = 262144,
};

enum link_flag { LINK_LAST = 1, LINK_BULK = 2, LINK_TUNNEL = 4 };
/* Messages are of two classes; frames of tunnels queue behind both. */
enum link_class {
    LINK_CONTROL,
    LINK_BULKY,
    LINK_CLASS_COUNT,
    LINK_TUNNELLED = LINK_CLASS_COUNT,
    LINK_QUEUE_COUNT
};

/* The next frame's content, when it is all there: ERR_NOT_READY if not, ERR_RANGE if its length is not in min..max. */
MUST_USE enum err link_frame_next(struct cursor *stream, struct span *frame, size_t min, size_t max);

struct link_pieces {
    struct {
        uint8_t *data;
        size_t len, cap;
    } part[LINK_CLASS_COUNT];
};
/* One opened frame: flags and bytes. *complete has data when it ended a message; it lives until the next call and as
 * long as `piece`. A ping changes nothing. ERR_SYNTAX, ERR_TOO_LARGE, ERR_NO_MEMORY. */
MUST_USE enum err link_pieces_add(struct link_pieces *p, struct span *complete, struct span piece);
void link_pieces_free(struct link_pieces *p);

/* One frame of a tunnel. */
enum link_tunnel_type { TUNNEL_ASK = 1, TUNNEL_BYTES, TUNNEL_ROOM, TUNNEL_CLOSE, TUNNEL_OFFER, TUNNEL_OPEN };
enum { LINK_TUNNEL_BY_RELAY = 0x80 };
struct link_tunnel_frame {
    enum link_tunnel_type type;
    bool by_relay;
    struct node_id node; /* the other end; of no meaning in an offer */
    uint32_t room;
    struct span bytes; /* borrowed */
};
/* ERR_SYNTAX: no such type, or not said by that side. ERR_RANGE: a length or number. ERR_TRUNCATED, ERR_NOT_CANONICAL. */
MUST_USE enum err link_tunnel_read(struct link_tunnel_frame *out, struct span frame);
void link_tunnel_put(struct buffer *out, const struct link_tunnel_frame *frame);
/* What a frame of so many bytes of the stream takes of the window. */
static inline uint32_t link_tunnel_cost(size_t bytes)
{
    return LINK_TUNNEL_HEAD_BYTES + (uint32_t)bytes;
}

/* "perigee/link/v2" and the consortium; out has room for LINK_PROLOGUE_MAX bytes. */
enum { LINK_PROLOGUE_MAX = 64 };
struct span link_prologue(uint8_t out[LINK_PROLOGUE_MAX], struct consortium_id consortium);
MUST_USE enum err link_proof_make(uint8_t out[LINK_PROOF_BYTES], const struct identity_secret *identity,
                                  struct node_id node, struct consortium_id consortium,
                                  struct link_public own);
/* ERR_TRUNCATED, ERR_NOT_CANONICAL (longer), ERR_SIGNATURE, ERR_KEY. */
MUST_USE enum err link_proof_check(struct node_id *node, struct span proof, struct consortium_id consortium,
                                   struct link_public remote);

#endif
