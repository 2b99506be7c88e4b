/* bare: the primitives below sealing and links with nothing around them, as the limits that benchmarks divide by.
 * Not for use: one key for everything, no tag is looked at, no nonce is kept from coming twice.
 * Threads: one per object. Ownership: whoever made it frees it. Errors: ERR_NO_MEMORY, ERR_UNAVAILABLE. */
#ifndef PERIGEE_CRYPTO_BARE_H
#define PERIGEE_CRYPTO_BARE_H

#include "proto/base/span.h"

#include <stdbool.h>

/* The cipher of a suite of body.h, set up once. */
struct bare_cipher;
MUST_USE enum err bare_cipher_new(struct bare_cipher **out, uint16_t suite, bool seals);
void bare_cipher_free(struct bare_cipher *c); /* NULL is fine */
void bare_cipher_run(struct bare_cipher *c, uint8_t *out,
                     struct span in); /* in.len bytes; the tag is dropped */

/* One message of the links' cipher; sealed has in.len + 16 bytes. bare_link_open opens what bare_link_seal made. */
void bare_link_seal(uint8_t *sealed, struct span plain);
void bare_link_open(uint8_t *plain, struct span sealed);

#endif
