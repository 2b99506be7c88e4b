/* link: what a peer's bytes can do before and after it has proven itself. The first byte chooses:
 * a stream cut into frames, which must not depend on how it was cut into reads; pieces put together, against a naive
 * twin; a handshake proof, which only the honest one may pass; or a frame of a tunnel, which has one way to be written. */
#include "crypto/identity.h"
#include "crypto/secret.h"
#include "node/link_frame.h"
#include "proto/base/caps.h"
#include "proto/base/panic.h"

#include <string.h>

enum { LARGE = 0x80 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* --- Frames --------------------------------------------------------------------------------------------- */

/* The frames of a stream of which `step` bytes more arrive at each read: a hash-like sum of their places. */
static uint64_t frames_of(struct span stream, size_t step, enum err *end)
{
    uint64_t sum = 0;
    size_t at = 0, arrived = 0;
    *end = ERR_NOT_READY;
    while (*end == ERR_NOT_READY && arrived < stream.len) {
        arrived = arrived + step < stream.len ? arrived + step : stream.len;
        for (;;) {
            struct cursor c = cursor_make(span_make(stream.data + at, arrived - at));
            struct span frame;
            *end = link_frame_next(&c, &frame, LINK_FRAME_MIN, LINK_FRAME_MAX);
            if (*end != OK) break;
            ASSERT(frame.len >= LINK_FRAME_MIN && frame.len <= LINK_FRAME_MAX);
            ASSERT(frame.data == stream.data + at + LINK_LENGTH_BYTES && c.at == frame.data + frame.len);
            at += LINK_LENGTH_BYTES + frame.len;
            ASSERT(at <= arrived);
            sum = sum * 31 + at;
        }
    }
    return sum;
}

static void frames(struct span stream)
{
    enum err whole_end, cut_end;
    uint64_t whole = frames_of(stream, stream.len, &whole_end);
    ASSERT(whole_end == ERR_NOT_READY || whole_end == ERR_RANGE);
    ASSERT(frames_of(stream, 1, &cut_end) == whole && cut_end == whole_end);
    ASSERT(frames_of(stream, 7, &cut_end) == whole && cut_end == whole_end);
}

/* --- Pieces --------------------------------------------------------------------------------------------- */

static uint8_t twin[LINK_CLASS_COUNT][CAP_MESSAGE_BYTES];
static size_t twin_len[LINK_CLASS_COUNT];

static enum err twin_add(uint8_t flags, struct span bytes, struct span *message)
{
    int lane = (flags & LINK_BULK) != 0;
    *message = SPAN_NONE;
    if (flags > 3 || (bytes.len == 0 && flags != 0)) return ERR_SYNTAX;
    if (twin_len[lane] + bytes.len > CAP_MESSAGE_BYTES) return ERR_TOO_LARGE;
    if (bytes.len > 0) memcpy(twin[lane] + twin_len[lane], bytes.data, bytes.len);
    twin_len[lane] += bytes.len;
    if ((flags & LINK_LAST) == 0) return OK;
    *message = span_make(twin[lane], twin_len[lane]);
    twin_len[lane] = 0;
    return OK;
}

/* Each: flags, be16 length, bytes. A flag of our own makes it a full piece of one value, so that limits are reached. */
static void pieces(struct cursor c)
{
    static uint8_t piece[1 + LINK_PIECE_MAX];
    struct link_pieces p = {0};
    enum err err = OK;
    uint16_t head;
    uint8_t flags;
    struct span bytes, message, expected;
    memset(twin_len, 0, sizeof twin_len);
    while (err == OK && cursor_u8(&c, &flags) == OK && cursor_u16(&c, &head) == OK) {
        bool large = (flags & LARGE) != 0;
        size_t len = large ? LINK_PIECE_MAX : head;
        if (!large && cursor_take(&c, &bytes, len) != OK) break;
        piece[0] = flags & (uint8_t)~LARGE;
        if (large)
            memset(piece + 1, head & 0xff, len);
        else if (len > 0)
            memcpy(piece + 1, bytes.data, len);
        enum err wanted = twin_add(piece[0], span_make(piece + 1, len), &expected);
        err = link_pieces_add(&p, &message, span_make(piece, 1 + len));
        ASSERT(err == wanted);
        ASSERT((message.data == NULL) == (expected.data == NULL));
        if (message.data != NULL) ASSERT(span_equal(message, expected));
    }
    link_pieces_free(&p);
}

/* --- Proof ---------------------------------------------------------------------------------------------- */

static void proof(struct span payload)
{
    static uint8_t honest[LINK_PROOF_BYTES];
    static struct node_id node;
    static const struct consortium_id consortium = {{1, 2, 3}};
    static const struct link_public key = {{9}};
    struct identity_secret secret;
    struct node_id found;
    memset(secret.bytes, 0x11, sizeof secret.bytes);
    if (ID_IS_ZERO(node)) {
        ASSERT(identity_public(&node, &secret) == OK);
        ASSERT(link_proof_make(honest, &secret, node, consortium, key) == OK);
    }
    enum err err = link_proof_check(&found, payload, consortium, key);
    ASSERT((err == OK) == span_equal(payload, SPAN_OF(honest)));
    struct link_public other = key;
    other.bytes[31] ^= 1;
    ASSERT(link_proof_check(&found, payload, consortium, other) != OK);
}

/* --- Tunnels -------------------------------------------------------------------------------------------- */

static void tunnel(struct span frame)
{
    static uint8_t again[LINK_TUNNEL_FRAME_MAX];
    struct link_tunnel_frame f;
    struct buffer b = BUFFER_OF(again);
    if (link_tunnel_read(&f, frame) != OK) return;
    ASSERT(f.type >= TUNNEL_ASK && f.type <= TUNNEL_OPEN);
    ASSERT(f.bytes.len <= LINK_TUNNEL_BYTES_MAX && f.room <= LINK_TUNNEL_WINDOW);
    ASSERT((f.type == TUNNEL_BYTES) == (f.bytes.len > 0) && (f.type == TUNNEL_ROOM) == (f.room > 0));
    ASSERT(f.by_relay ? f.type != TUNNEL_ASK : f.type < TUNNEL_OFFER);
    link_tunnel_put(&b, &f);
    ASSERT(buffer_done(&b) == OK && span_equal(buffer_span(&b), frame));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static bool ready;
    struct cursor c = cursor_make(span_make(bytes, len));
    uint8_t choice;
    if (!ready) ASSERT(crypto_init() == OK);
    ready = true;
    if (cursor_u8(&c, &choice) != OK) return 0;
    struct span rest = span_make(c.at, cursor_left(&c));
    switch (choice % 4) {
    case 0: frames(rest); break;
    case 1: pieces(c); break;
    case 2: proof(rest); break;
    case 3: tunnel(rest); break;
    }
    return 0;
}
