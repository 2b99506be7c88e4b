#include "crypto/cid.h"

#include "crypto/hash.h"
#include "proto/base/panic.h"

#include <string.h>

enum { CID_VERSION = 0x01, CID_CODEC_RAW = 0x55, CID_DIGEST_BYTES = 32, CID_MULTIBASE = 'b' };

static const char cid_alphabet[] = "abcdefghijklmnopqrstuvwxyz234567"; /* RFC 4648, lower case */

struct cid cid_make(enum cid_hash hash, struct hash32 digest)
{
    struct cid cid = {{CID_VERSION, CID_CODEC_RAW, (uint8_t)hash, CID_DIGEST_BYTES}};
    ASSERT(hash == CID_SHA256 || hash == CID_BLAKE3);
    memcpy(cid.bytes + 4, digest.bytes, CID_DIGEST_BYTES);
    return cid;
}

/* Every varint of these CIDs is below 128, so one byte each and no other spelling. */
enum err cid_parse(enum cid_hash *hash, struct hash32 *digest, struct span bytes)
{
    if (bytes.len < CID_BYTES) return ERR_TRUNCATED;
    if (bytes.len > CID_BYTES) return ERR_TOO_LARGE;
    if (bytes.data[0] != CID_VERSION) return ERR_VERSION;
    if (bytes.data[1] != CID_CODEC_RAW) return ERR_KIND;
    if (bytes.data[2] != CID_SHA256 && bytes.data[2] != CID_BLAKE3) return ERR_KIND;
    if (bytes.data[3] != CID_DIGEST_BYTES) return ERR_RANGE;
    *hash = bytes.data[2] == CID_SHA256 ? CID_SHA256 : CID_BLAKE3;
    memcpy(digest->bytes, bytes.data + 4, CID_DIGEST_BYTES);
    return OK;
}

void cid_text(char out[CID_TEXT_CHARS + 1], const struct cid *cid)
{
    uint32_t window = 0, bits = 0;
    char *at = out;
    *at++ = CID_MULTIBASE;
    for (size_t i = 0; i < CID_BYTES; i++) {
        window = window << 8 | cid->bytes[i];
        for (bits += 8; bits >= 5; bits -= 5) *at++ = cid_alphabet[window >> (bits - 5) & 31];
    }
    *at++ = cid_alphabet[window << (5 - bits) & 31]; /* 288 bits: three are left for the last digit */
    *at = 0;
    ASSERT(at == out + CID_TEXT_CHARS);
}

static int cid_digit(uint8_t c)
{
    if (c >= 'a' && c <= 'z') return c - 'a';
    if (c >= '2' && c <= '7') return c - '2' + 26;
    return -1;
}

enum err cid_from_text(struct cid *out, struct span text)
{
    struct cid cid;
    enum cid_hash hash;
    struct hash32 digest;
    uint32_t window = 0, bits = 0;
    uint8_t *at = cid.bytes;
    if (text.len != CID_TEXT_CHARS || text.data[0] != CID_MULTIBASE) return ERR_SYNTAX;
    for (size_t i = 1; i < CID_TEXT_CHARS; i++) {
        int digit = cid_digit(text.data[i]);
        if (digit < 0) return ERR_SYNTAX;
        window = window << 5 | (uint32_t)digit;
        bits += 5;
        if (bits < 8) continue;
        bits -= 8;
        *at++ = (uint8_t)(window >> bits);
    }
    ASSERT(at == cid.bytes + CID_BYTES && bits == 2);
    if ((window & 3) != 0) return ERR_NOT_CANONICAL; /* the two bits past the value must be zero */
    TRY(cid_parse(&hash, &digest, SPAN_OF(cid.bytes)));
    *out = cid;
    return OK;
}

enum err cid_check(const struct cid *cid, struct span bytes)
{
    enum cid_hash hash;
    struct hash32 named, actual;
    TRY(cid_parse(&hash, &named, SPAN_OF(cid->bytes)));
    actual = hash == CID_SHA256 ? sha256(bytes) : blake3(bytes);
    return ID_EQUAL(named, actual) ? OK : ERR_HASH;
}
