/* bundle: the records that justify one run, and their replay in a fresh registry (DESIGN §9 "Receipt").
 * One mechanism, used three times: the elected node collects a bundle for its enclave, the enclave replays it before it
 * asks for keys, and `perigee verify` replays the same bytes years later. Order is fixed: charter, members, committee,
 * workers, ops, assets, grants, job, endorsements, approvals, the run. A bundle is a packed array of packed records.
 * Replay trusts nothing but the consortium id: every signature is handed out as a check (keyed work is the caller's), and
 * registry_check_run decides over exactly these records. Bytes in PROTOCOL.md "Bundle". Pure. */
#ifndef PERIGEE_PROTO_BUNDLE_H
#define PERIGEE_PROTO_BUNDLE_H

#include "proto/registry.h"

enum { BUNDLE_RECORDS_MAX = 1024, BUNDLE_BYTES_MAX = 4 << 20 };

/* A BIP-340 signature somebody must check: `link` says for which link of the receipt (enum receipt_link). */
struct signature_check {
    struct node_id author;
    struct hash32 message;
    struct signature signature;
    uint32_t link;
};

/* Everything needed of `run` from a registry that has it. ERR_NOT_FOUND names nothing missing: registry_check_run does. */
MUST_USE enum err bundle_collect(struct buffer *out, struct registry *r, struct run_id run);

struct bundle {
    struct registry *registry; /* replayed */
    const struct run_entry *run;
    const struct published *workflow;
    uint32_t record_count;
    const struct record *record;
    struct hash32 hash; /* H("perigee/bundle/v1", ids of the records in order) */
    uint32_t check_count;
    struct signature_check *check; /* every record's signature, and approvals' inner signatures */
};
/* Replay for `consortium`. `now_ms` judges expiry. The verdict names the first rule that fails. Memory from the arena
 * (core_arena_bytes() is enough). Records borrow from `bytes`, which must stay. */
MUST_USE enum err bundle_open(struct bundle **out, struct verdict *verdict, struct arena *arena,
                              struct span bytes, struct consortium_id consortium, uint64_t now_ms);

#endif
