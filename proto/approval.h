/* approval: what an owner's approval key signs (DESIGN §5 "Approval", PROTOCOL.md "Receipt").
 * The signature stands in the body of the approval record, which the owner's node signs again as a record: so the
 * approval key can live on another machine, and neither key alone makes an approval. It covers the hash of the very text
 * that was shown, made by workflow_render. Pure. */
#ifndef PERIGEE_PROTO_APPROVAL_H
#define PERIGEE_PROTO_APPROVAL_H

#include "proto/wire/body.h"

/* The 32 bytes signed for this body (its approval_signature is not read), authored by `owner`, expiring with its record. */
struct hash32 approval_sign_hash(struct consortium_id consortium, struct node_id owner,
                                 const struct body_APPROVAL *body, uint64_t expires_ms);

/* What a key signs that agrees to be replaced by another. */
struct hash32 succession_sign_hash(struct consortium_id consortium, struct node_id before,
                                   struct node_id after);

#endif
