#include "proto/bundle.h"

#include "proto/chain.h"
#include "proto/wire/pack.h"

#include <string.h>

enum err bundle_of_ids(struct buffer *out, const struct chain *chain, struct span ids)
{
    if (ids.len % 32 != 0 || ids.len / 32 > BUNDLE_RECORDS_MAX) return ERR_RANGE;
    pack_array(out, (uint32_t)(ids.len / 32));
    for (size_t at = 0; at < ids.len; at += 32) {
        uint8_t packed[CAP_BODY_BYTES + CAP_HEADER_BYTES + 160];
        struct buffer b = BUFFER_OF(packed);
        struct record_id id;
        memcpy(id.bytes, ids.data + at, 32);
        const struct record *r = chain_find(chain, id);
        if (r == NULL) return ERR_NOT_FOUND;
        record_pack(&b, r);
        pack_bin(out, buffer_span(&b));
    }
    return buffer_done(out);
}
