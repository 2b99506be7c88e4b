/* tls: one end of a TLS connection over memory: ciphertext goes in and comes out as bytes, sockets are the caller's.
 * Rules: TLS 1.2 or later, forward secrecy and AEAD only; no renegotiation, no compression, no resumption (each connection
 * proves itself anew). A server has one certificate, with its chain. A client checks the server's against authorities, with
 * the host's name, or against one fingerprint (sha2-256 of the certificate), and never goes on without.
 * What a peer sends is bounded by what the caller feeds: a record is decrypted before the next is taken.
 * Threads: a connection belongs to one; servers and clients may be shared. Errors: of a handshake, ERR_REFUSED. */
#ifndef PERIGEE_CRYPTO_TLS_H
#define PERIGEE_CRYPTO_TLS_H

#include "proto/base/span.h"

#include <stdbool.h>

enum { TLS_PEM_BYTES_MAX = 65536, TLS_PIECE_BYTES = 16384, TLS_FINGERPRINT_BYTES = 32 };

struct tls_end; /* what the connections of a server, or to one, share */
struct tls;     /* one connection */

/* PEM: the certificate, then its chain; its key. ERR_SYNTAX: not that. ERR_KEY: the key is another certificate's. */
MUST_USE enum err tls_server(struct tls_end **out, struct span certificates, struct span key);
/* Authorities in PEM; SPAN_NONE: the system's. ERR_SYNTAX. */
MUST_USE enum err tls_client(struct tls_end **out, struct span authorities);
/* A client that believes one certificate and no authority. */
MUST_USE enum err tls_client_pinned(struct tls_end **out, const uint8_t fingerprint[TLS_FINGERPRINT_BYTES]);
void tls_end_free(struct tls_end *e);

/* `host`: a name or a numeric address, for a client; NULL for a server. */
MUST_USE enum err tls_new(struct tls **out, const struct tls_end *e, const char *host);
void tls_free(struct tls *t);
void tls_feed(struct tls *t, struct span ciphertext);
/* Ciphertext for the peer; 0: none waits. */
size_t tls_take(struct tls *t, uint8_t *out, size_t cap);
/* OK: done. ERR_NOT_READY: hand over what waits for the peer, feed, call again. ERR_REFUSED: it failed. */
MUST_USE enum err tls_handshake(struct tls *t);
/* Appends plaintext as far as `out` has room. ERR_NOT_READY: feed more. ERR_CANCELLED: the peer has ended the connection. */
MUST_USE enum err tls_read(struct tls *t, struct buffer *out);
MUST_USE enum err tls_write(struct tls *t, struct span plaintext);
void tls_finish(struct tls *t); /* says that nothing follows */
/* One line about what failed last, for people: fixed texts of the library. */
const char *tls_why(const struct tls *t);

/* A new P-256 key and a certificate that it signs for itself, for these names ("DNS:a,IP:::1"), both as PEM appended.
 * ERR_SYNTAX: no such names. Wipe the key when it is written. */
MUST_USE enum err tls_self_signed(struct buffer *certificate, struct buffer *key, const char *common_name,
                                  const char *alternative_names, uint32_t days);
/* sha2-256 of the first certificate in a PEM, and when it ends (seconds since 1970). ERR_SYNTAX. */
MUST_USE enum err tls_certificate_facts(uint8_t fingerprint[TLS_FINGERPRINT_BYTES], int64_t *ends_s,
                                        struct span certificates);

#endif
