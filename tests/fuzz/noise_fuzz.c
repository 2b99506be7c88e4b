/* noise: a peer that says anything. The input is a list of messages (length, big-endian 16 bit, then bytes) for one
 * side with fixed keys; its first byte chooses the side. Bits of the length's top byte say instead that an honest peer's
 * message comes first, so that the later states are reached. Nothing but the honest peer's bytes may complete a handshake. */
#include "crypto/noise.h"
#include "crypto/secret.h"
#include "proto/base/panic.h"

#include <string.h>

enum { HONEST = 0x8000, LENGTH_MASK = 0x0fff };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

struct link {
    struct noise *victim, *peer;
    bool forged; /* the victim accepted a handshake message that the peer did not write */
};

static uint8_t wire_bytes[NOISE_MESSAGE_MAX], out_bytes[NOISE_MESSAGE_MAX];

static struct noise *side(bool initiator, uint8_t seed)
{
    struct kem_secret key;
    struct noise *n;
    memset(key.bytes, seed, sizeof key.bytes);
    ASSERT(noise_new(&n, initiator, &key, SPAN_LITERAL("perigee")) == OK);
    key.bytes[0] ^= 0xff;
    noise_set_ephemeral(n, &key);
    return n;
}

/* The victim writes whenever it is its turn; an honest peer reads it, if it still can. */
static void victim_writes(struct link *l)
{
    struct buffer wire = BUFFER_OF(wire_bytes), out = BUFFER_OF(out_bytes);
    if (!noise_writes_next(l->victim)) return;
    enum err err = noise_write(l->victim, &wire, SPAN_LITERAL("proof"));
    ASSERT(err == OK || err == ERR_KEY);
    if (err == OK && noise_read(l->peer, &out, buffer_span(&wire)) == OK)
        ASSERT(span_equal(buffer_span(&out), SPAN_LITERAL("proof")));
}

static void peer_writes(struct link *l)
{
    struct buffer wire = BUFFER_OF(wire_bytes), out = BUFFER_OF(out_bytes);
    if (!noise_writes_next(l->peer)) return;
    if (noise_write(l->peer, &wire, SPAN_LITERAL("proof")) != OK) return;
    (void)!noise_read(l->victim, &out, buffer_span(&wire)); /* refused where a forged message came before */
}

static void hear(struct link *l, struct span message)
{
    struct buffer out = BUFFER_OF(out_bytes);
    if (noise_done(l->victim)) {
        enum err err = noise_decrypt(l->victim, out_bytes, message);
        ASSERT(err == ERR_DECRYPT || err == ERR_TRUNCATED); /* nobody else knows the key */
        return;
    }
    if (noise_read(l->victim, &out, message) != OK) return;
    ASSERT(out.len <= message.len);
    l->forged = true;
}

static void finish(struct link *l)
{
    uint8_t victim_hash[64], peer_hash[64];
    if (noise_done(l->victim) && noise_done(l->peer)) {
        noise_hash(victim_hash, l->victim);
        noise_hash(peer_hash, l->peer);
        ASSERT(memcmp(victim_hash, peer_hash, 64) == 0 || l->forged);
    }
    noise_free(l->victim);
    noise_free(l->peer);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static bool ready;
    struct cursor c = cursor_make(span_make(bytes, len));
    struct link l = {0};
    uint8_t choice;
    uint16_t head;
    struct span message;
    if (!ready) ASSERT(crypto_init() == OK);
    ready = true;
    if (cursor_u8(&c, &choice) != OK) return 0;
    l.victim = side(choice & 1, 0x11);
    l.peer = side(!(choice & 1), 0x22);
    for (int i = 0; i < 8 && cursor_u16(&c, &head) == OK; i++) {
        victim_writes(&l);
        if ((head & HONEST) != 0) {
            peer_writes(&l);
            continue;
        }
        if (cursor_take(&c, &message, head & LENGTH_MASK) != OK) break;
        hear(&l, message);
    }
    victim_writes(&l);
    finish(&l);
    return 0;
}
