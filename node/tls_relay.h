/* tls_relay: the TLS in front of the API. Each accepted TCP connection gets a pair of local sockets; when its handshake is
 * done one end is handed on, and what comes and goes on it is the plaintext. So everything behind (http_door.h, http_head.h,
 * libwebsockets) sees the same bytes on the same kind of socket, encrypted or not, and looks at heads before it parses them.
 * Rules: TLS_RELAY_MAX connections; whoever comes then takes the place of the one longest in its handshake, or finds the
 * door closed. A handshake has TLS_RELAY_SECONDS; who does not read what is there for it has TLS_RELAY_STALL_SECONDS. Each
 * way holds one piece and no more: a side that does not read stops the other.
 * Threads: the loop's. Ownership: descriptors given are the relay's; those handed on are the receiver's. */
#ifndef PERIGEE_NODE_TLS_RELAY_H
#define PERIGEE_NODE_TLS_RELAY_H

#include "crypto/tls.h"

#include <uv.h>

enum { TLS_RELAY_MAX = 128, TLS_RELAY_SECONDS = 10, TLS_RELAY_STALL_SECONDS = 30 };

struct tls_relays;
struct tls_relays_options {
    uv_loop_t *loop;
    const struct tls_end *end; /* outlives the relays */
    void *context;
    void (*enter)(void *context, int fd);
};
MUST_USE enum err tls_relays_open(struct tls_relays **out, const struct tls_relays_options *options);
void tls_relays_take(struct tls_relays *r, int fd); /* non-blocking */
uint32_t tls_relays_count(const struct tls_relays *r);
/* Everybody is cut off. `closed` runs when the loop holds nothing of it any more. */
void tls_relays_close(struct tls_relays *r, void (*closed)(void *context), void *context);

#endif
