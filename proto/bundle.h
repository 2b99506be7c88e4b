/* bundle: the records that justify one run, and their replay in a fresh registry (DESIGN §9 "Receipt").
 * One mechanism, used three times: the elected node collects a bundle for its enclave, the enclave replays it before it
 * asks for keys, and `perigee verify` replays the same bytes years later. Order is fixed: charter, members, committee,
 * workers, ops, assets, grants, job, endorsements, approvals, the run. A bundle is a packed array of packed records.
 * Replay trusts nothing but the consortium id: every signature is handed out as a check (keyed work is the caller's), and
 * registry_check_run decides over exactly these records. Bytes in PROTOCOL.md "Receipt".
 * What a registry knows grows, so collecting twice may give two bundles; the ids of the one an enclave saw are in its
 * receipt, and bundle_gather finds those very records again. Pure. */
#ifndef PERIGEE_PROTO_BUNDLE_H
#define PERIGEE_PROTO_BUNDLE_H

#include "proto/chain.h"
#include "proto/registry.h"

enum { BUNDLE_RECORDS_MAX = 1024, BUNDLE_BYTES_MAX = 4 << 20 };

/* A BIP-340 signature somebody must check: `link` says for which link of the receipt (enum receipt_link). */
struct signature_check {
    struct node_id author;
    struct hash32 message;
    struct signature signature;
    uint32_t link;
};

/* Everything needed of `run` from a registry that has it. ERR_NOT_FOUND: the run is not known. What else is missing is
 * left out: registry_check_run says what. ERR_TOO_LARGE, ERR_FULL (records). */
MUST_USE enum err bundle_collect(struct buffer *out, struct registry *r, struct run_id run);
/* Would the bundle and the receipt of such a run have room for everything? A requester asks before it signs one, a candidate
 * before anything is spent. REFUSAL_RECEIPT_ROOM, or REFUSAL_WORKFLOW when that is not known. */
struct verdict bundle_check_room(struct registry *r, const struct body_RUN *run, struct node_id requester);
/* The records of these ids (32 bytes each, as in a receipt), in that order. ERR_NOT_FOUND when one is not held. `scratch`
 * is given back as it was. */
MUST_USE enum err bundle_gather(struct buffer *out, struct arena *scratch, const struct chain *chain,
                                struct span ids);

struct bundle {
    struct registry *registry;        /* replayed */
    const struct run_entry *run;      /* NULL only when the run record itself was refused */
    const struct published *workflow; /* NULL when its record is missing */
    uint32_t record_count;
    const struct record *record;
    struct span ids;    /* of the records, in order */
    struct hash32 hash; /* H("perigee/bundle/v1", ids) */
    uint32_t refused;   /* index of the first record without effect; record_count: none */
    struct verdict refused_why;
    uint32_t check_count;
    struct signature_check *check; /* every record's signature, and approvals' inner signatures */
};
/* Replay for `consortium`. `now_ms` judges expiry. OK: every rule holds. ERR_REFUSED: `verdict` names the first rule that
 * fails, and *out is what could be replayed. Other errors: the bytes are no bundle. Memory from the arena
 * (core_registry_bytes() is enough). Records borrow from `bytes`, which must stay. */
MUST_USE enum err bundle_open(struct bundle **out, struct verdict *verdict, struct arena *arena,
                              struct span bytes, struct consortium_id consortium, uint64_t now_ms);
struct hash32 bundle_hash(struct span ids);
/* Does all that its run hangs on hold at this time? */
struct verdict bundle_check_at(const struct bundle *b, uint64_t now_ms);
/* Do the approvals in it apply to its run, and do they sign the very text the workflow renders to? */
struct verdict bundle_check_approvals(const struct bundle *b);
/* `heads` of a release or commit: one for each input, of its owner's chain as its signer had seen it, up to the approval of this run's slot or
 * beyond: who has not seen an approval cannot have judged it. ERR_RANGE: not so many. ERR_GAP. */
MUST_USE enum err bundle_check_heads(const struct bundle *b, struct span heads);
/* Is every record's author a member? */
struct verdict bundle_check_authors(const struct bundle *b);

#endif
