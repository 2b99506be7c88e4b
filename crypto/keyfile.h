/* keyfile: secrets at rest. A file is 0600, created with O_EXCL, written and fsynced before its name appears.
 * With a passphrase the body is XChaCha20-Poly1305 under Argon2id; without, it is plain (the file mode protects it).
 * Format in PROTOCOL.md "Key files". */
#ifndef PERIGEE_CRYPTO_KEYFILE_H
#define PERIGEE_CRYPTO_KEYFILE_H

#include "proto/base/span.h"

enum { KEYFILE_SECRET_MAX = 4096 };

/* `kind` names the content ("identity", "kem", "share") and is bound into the file. passphrase.len 0 means none.
 * Errors: ERR_CONFLICT the file exists, ERR_FULL, ERR_NOT_FOUND (the folder), ERR_REFUSED, ERR_IO. */
MUST_USE enum err keyfile_write(const char *path, const char *kind, struct span secret,
                                struct span passphrase);
/* `out` holds KEYFILE_SECRET_MAX bytes (secret memory). Errors: ERR_NOT_FOUND, ERR_REFUSED (mode not 0600),
 * ERR_VERSION, ERR_KIND, ERR_DECRYPT (wrong passphrase), ERR_CORRUPT, ERR_IO. */
MUST_USE enum err keyfile_read(const char *path, const char *kind, void *out, size_t *len,
                               struct span passphrase);

#endif
