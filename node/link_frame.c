#include "node/link_frame.h"

#include "crypto/hash.h"
#include "crypto/identity.h"
#include "proto/base/caps.h"

#include <stdlib.h>
#include <string.h>

enum err link_frame_next(struct cursor *stream, struct span *frame, size_t min, size_t max)
{
    struct cursor ahead = *stream;
    uint32_t len;
    if (cursor_left(&ahead) < LINK_LENGTH_BYTES) return ERR_NOT_READY;
    TRY(cursor_u32(&ahead, &len));
    if (len < min || len > max) return ERR_RANGE;
    if (cursor_left(&ahead) < len) return ERR_NOT_READY;
    TRY(cursor_take(&ahead, frame, len));
    *stream = ahead;
    return OK;
}

/* Grows with what has arrived, not with what could: a peer holds no more of our memory than it has sent. */
static enum err part_append(struct link_pieces *p, enum link_class lane, struct span bytes)
{
    size_t len = p->part[lane].len + bytes.len;
    if (len > p->part[lane].cap) {
        size_t cap = 2 * len < CAP_MESSAGE_BYTES ? 2 * len : CAP_MESSAGE_BYTES;
        uint8_t *grown = realloc(p->part[lane].data, cap);
        if (grown == NULL) return ERR_NO_MEMORY;
        p->part[lane].data = grown;
        p->part[lane].cap = cap;
    }
    memcpy(p->part[lane].data + p->part[lane].len, bytes.data, bytes.len);
    p->part[lane].len = len;
    return OK;
}

enum err link_pieces_add(struct link_pieces *p, struct span *complete, struct span piece)
{
    struct cursor c = cursor_make(piece);
    struct span bytes;
    uint8_t flags;
    *complete = SPAN_NONE;
    TRY(cursor_u8(&c, &flags));
    TRY(cursor_take(&c, &bytes, cursor_left(&c)));
    if ((flags & ~(LINK_LAST | LINK_BULK)) != 0) return ERR_SYNTAX;
    if (bytes.len == 0)
        return flags == 0 ? OK : ERR_SYNTAX; /* a ping, or an empty piece that means nothing */
    enum link_class lane = (flags & LINK_BULK) != 0 ? LINK_BULKY : LINK_CONTROL;
    if (bytes.len > CAP_MESSAGE_BYTES - p->part[lane].len) return ERR_TOO_LARGE;
    if ((flags & LINK_LAST) != 0 && p->part[lane].len == 0) {
        *complete = bytes;
        return OK;
    }
    TRY(part_append(p, lane, bytes));
    if ((flags & LINK_LAST) == 0) return OK;
    *complete = span_make(p->part[lane].data, p->part[lane].len);
    p->part[lane].len = 0;
    return OK;
}

void link_pieces_free(struct link_pieces *p)
{
    for (int lane = 0; lane < LINK_CLASS_COUNT; lane++) free(p->part[lane].data);
    memset(p, 0, sizeof *p);
}

/* Offer and open are the relay's to say, an ask is not. */
static bool said_by_right_side(const struct link_tunnel_frame *f)
{
    if (f->type == TUNNEL_ASK) return !f->by_relay;
    return f->by_relay || (f->type != TUNNEL_OFFER && f->type != TUNNEL_OPEN);
}

enum err link_tunnel_read(struct link_tunnel_frame *out, struct span frame)
{
    struct cursor c = cursor_make(frame);
    uint8_t type;
    TRY(cursor_u8(&c, &type));
    *out = (struct link_tunnel_frame){.type = type & (uint8_t)~LINK_TUNNEL_BY_RELAY,
                                      .by_relay = (type & LINK_TUNNEL_BY_RELAY) != 0};
    if (out->type < TUNNEL_ASK || out->type > TUNNEL_OPEN || !said_by_right_side(out)) return ERR_SYNTAX;
    if (out->type != TUNNEL_OFFER) TRY(cursor_copy(&c, out->node.bytes, sizeof out->node.bytes));
    if (out->type == TUNNEL_BYTES) {
        const size_t len = cursor_left(&c);
        if (len == 0 || len > LINK_TUNNEL_BYTES_MAX) return ERR_RANGE;
        TRY(cursor_take(&c, &out->bytes, len));
    }
    if (out->type == TUNNEL_ROOM) {
        TRY(cursor_u32(&c, &out->room));
        if (out->room == 0 || out->room > LINK_TUNNEL_WINDOW) return ERR_RANGE;
    }
    return cursor_end(&c);
}

void link_tunnel_put(struct buffer *out, const struct link_tunnel_frame *f)
{
    buffer_put_u8(out, (uint8_t)(f->type | (f->by_relay ? LINK_TUNNEL_BY_RELAY : 0)));
    if (f->type != TUNNEL_OFFER) buffer_put(out, ID_SPAN(f->node));
    if (f->type == TUNNEL_BYTES) buffer_put(out, f->bytes);
    if (f->type == TUNNEL_ROOM) buffer_put_u32(out, f->room);
}

struct span link_prologue(uint8_t out[LINK_PROLOGUE_MAX], struct consortium_id consortium)
{
    struct buffer b = buffer_make(out, LINK_PROLOGUE_MAX);
    buffer_put_text(&b, "perigee/link/v2");
    buffer_put(&b, ID_SPAN(consortium));
    return buffer_span(&b);
}

static struct hash32 proof_hash(struct node_id node, struct consortium_id consortium, struct link_public key)
{
    return HASH_FRAMED("perigee/link-static/v1", ID_SPAN(consortium), ID_SPAN(node), SPAN_OF(key.bytes));
}

enum err link_proof_make(uint8_t out[LINK_PROOF_BYTES], const struct identity_secret *identity,
                         struct node_id node, struct consortium_id consortium, struct link_public own)
{
    struct signature signature;
    TRY(identity_sign(&signature, identity, proof_hash(node, consortium, own)));
    memcpy(out, node.bytes, sizeof node.bytes);
    memcpy(out + sizeof node.bytes, signature.bytes, sizeof signature.bytes);
    return OK;
}

enum err link_proof_check(struct node_id *node, struct span proof, struct consortium_id consortium,
                          struct link_public remote)
{
    struct cursor c = cursor_make(proof);
    struct signature signature;
    TRY(cursor_copy(&c, node->bytes, sizeof node->bytes));
    TRY(cursor_copy(&c, signature.bytes, sizeof signature.bytes));
    TRY(cursor_end(&c));
    return identity_verify(*node, proof_hash(*node, consortium, remote), &signature);
}
