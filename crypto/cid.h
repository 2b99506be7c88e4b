/* cid: CIDv1, raw codec (0x55), multibase base32 lower-case ("b..."): sha2-256 for documents and records, blake3 for
 * bulk chunks. Text form is 59 characters. Any IPFS tool names and checks the same bytes the same way. */
#ifndef PERIGEE_CRYPTO_CID_H
#define PERIGEE_CRYPTO_CID_H

#include "proto/base/ids.h"

enum cid_hash { CID_SHA256 = 0x12, CID_BLAKE3 = 0x1e };
enum { CID_BYTES = 36, CID_TEXT_CHARS = 59 };
struct cid {
    uint8_t bytes[CID_BYTES];
}; /* 0x01 0x55 hash-code 0x20 digest */

struct cid cid_make(enum cid_hash hash, struct hash32 digest);
MUST_USE enum err cid_parse(enum cid_hash *hash, struct hash32 *digest, struct span bytes);
void cid_text(char out[CID_TEXT_CHARS + 1], const struct cid *cid);
MUST_USE enum err cid_from_text(struct cid *out, struct span text);
/* Does `bytes` hash to what `cid` says? ERR_HASH if not. */
MUST_USE enum err cid_check(const struct cid *cid, struct span bytes);

#endif
