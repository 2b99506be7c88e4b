/* secret: memory for keys, wiping, constant-time comparison, entropy. The only source of randomness in the project.
 * secret_alloc gives guarded, locked memory (sodium_malloc); it is wiped by secret_free. Thread-safe. */
#ifndef PERIGEE_CRYPTO_SECRET_H
#define PERIGEE_CRYPTO_SECRET_H

#include "proto/base/span.h"

#include <stdbool.h>
#include <stddef.h>

/* Call once per process before anything else of crypto/; cross-checks fast paths. */
MUST_USE enum err crypto_init(void);
void *secret_alloc(size_t len); /* NULL when memory cannot be locked */
void secret_free(void *secret);
void secret_wipe(void *secret, size_t len);
bool secret_equal(const void *a, const void *b, size_t len); /* constant time */
void random_fill(void *out, size_t len);

#endif
