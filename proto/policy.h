/* policy: an owner's minimum policy for one sealed content, policy/1 (PROTOCOL.md "policy/1").
 * Its hash is part of the label an envelope opens under, so it can only be tightened by newer ones, never
 * replaced. Ownership: structures and spans live in the arena. Errors: the JSON reader's, with path and what
 * was expected. Pure. */
#ifndef PERIGEE_PROTO_POLICY_H
#define PERIGEE_PROTO_POLICY_H

#include "proto/base/arena.h"
#include "proto/base/caps.h"
#include "proto/base/ids.h"
#include "proto/base/json.h"

enum export_policy { EXPORT_NONE, EXPORT_TO_ENCLAVE, EXPORT_ANY };
extern const char *const export_policy_names[3]; /* "none", "to-enclave", "any" */

struct policy {
    struct hash32 hash;
    struct span bytes;
    enum export_policy export_to;
    bool need_gpu;
    bool owner_veto; /* the data key is split: the owner's node holds one half (PROTOCOL.md "Owner's veto") */
    uint32_t jurisdiction_count; /* where the enclave may run; 0 = anywhere */
    struct span jurisdiction[CAP_JURISDICTIONS];
};

MUST_USE enum err policy_parse(struct policy **out, struct arena *arena, struct span bytes,
                               struct json_fault *fault);
/* What a registry needs of it, in `kept`; spans borrow from `bytes`, which must stay. ERR_NO_MEMORY, or that it
 * is none. */
MUST_USE enum err policy_keep(const struct policy **out, struct json_room room, struct span bytes);
/* What that counts for (PROTOCOL.md "Kept"): the same in every program, and at least what it takes. */
size_t policy_cost(const struct policy *p);
/* The canonical bytes of the fields; hash and bytes are not read. ERR_TOO_LARGE. */
MUST_USE enum err policy_write(struct buffer *out, const struct policy *p);

#endif
