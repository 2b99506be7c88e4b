/* kdf: HKDF (RFC 5869) with SHA-256 and SHA-512. out_len <= 255 * hash length. */
#ifndef PERIGEE_CRYPTO_KDF_H
#define PERIGEE_CRYPTO_KDF_H

#include "proto/base/span.h"

void hkdf_sha256(void *out, size_t out_len, struct span salt, struct span ikm, struct span info);
void hkdf_expand_sha512(void *out, size_t out_len, struct span prk, struct span info);

#endif
