/* http_tcp: the listening end of the API on TCP. With TLS each connection goes through tls_relay.h; without it the address
 * must be this machine's own, and http_tcp_open refuses any other: nothing here is ever said in the clear over a network.
 * Threads: the loop's. Ownership: a handed-on descriptor is the receiver's. */
#ifndef PERIGEE_NODE_HTTP_TCP_H
#define PERIGEE_NODE_HTTP_TCP_H

#include "node/tls_relay.h"

enum { HTTP_TCP_ADDRESS_BYTES = 80 };

struct http_tcp;
struct http_tcp_options {
    uv_loop_t *loop;
    const char *listen;        /* tcp://HOST:PORT, HOST a numeric address; port 0: any free one */
    const struct tls_end *tls; /* NULL: in the clear, on a loopback address */
    void *context;
    void (*enter)(void *context, int fd);
};
/* ERR_USAGE: no such address. ERR_REFUSED: not this machine's own, and no TLS. ERR_BUSY: in use. ERR_IO. */
MUST_USE enum err http_tcp_open(struct http_tcp **out, const struct http_tcp_options *options);
const char *http_tcp_address(const struct http_tcp *t); /* tcp://HOST:PORT as it is */
uint32_t http_tcp_count(const struct http_tcp *t);      /* connections with TLS */
void http_tcp_close(struct http_tcp *t, void (*closed)(void *context), void *context);

/* "tcp://127.0.0.1:1" and the like: only this machine can reach it. */
bool http_tcp_is_loopback(const char *listen);
/* A numeric host and a port. */
bool http_tcp_is_address(const char *listen);

#endif
