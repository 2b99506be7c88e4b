/* manifest: the replaceable half of a sealed dataset, manifest/1 (PROTOCOL.md "manifest/1"). The record that
 * binds it is signed by the owner; the manifest holds no signature of its own. Rule checked here: the chunk
 * count follows from the plain length. That content_id is the hash of the body's facts and that the envelope
 * opens under the label are checks of crypto/ (body_content_id, envelope_check); whether it must have a half for its owner
 * is said by the policy it was bound with. Ownership: structures and
 * spans live in the arena. Errors: the JSON reader's, with path and what was expected. Pure. */
#ifndef PERIGEE_PROTO_MANIFEST_H
#define PERIGEE_PROTO_MANIFEST_H

#include "crypto/types.h"
#include "proto/base/arena.h"
#include "proto/base/ids.h"
#include "proto/base/json.h"

enum { MANIFEST_METADATA_BYTES_MAX = 4096, MANIFEST_CHUNK_BYTES = 1 << 20 };

struct manifest {
    struct hash32 hash;
    struct span bytes;
    struct node_id owner;
    struct dt dt, app_id;
    struct compose_hash compose;
    struct content_id content;
    uint16_t suite;
    uint64_t plain_len, row_count;
    struct hash32 salt, commitment, root;
    struct hash32
        leaves; /* sha2-256 of the leaf list (32 bytes a chunk): a blob; each leaf is a chunk's BLAKE3 */
    uint32_t chunk_count;
    struct hash32 policy, root_key_id;
    uint8_t envelope[ENVELOPE_BYTES];
    bool veto; /* the envelope holds one half of the data key, and this box the other, for the owner's node */
    uint8_t half[VETO_BOX_BYTES];
    struct span metadata; /* sealed: reader options of the plaintext */
};

MUST_USE enum err manifest_parse(struct manifest **out, struct arena *arena, struct span bytes,
                                 struct json_fault *fault);
/* The canonical bytes of the fields; hash and bytes are not read. Parse what was written. ERR_TOO_LARGE. */
MUST_USE enum err manifest_write(struct buffer *out, const struct manifest *m);

#endif
