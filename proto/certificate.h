/* certificate: q custodian votes for (run, term, node), in charter order (DESIGN §9 "Election").
 * One statement is signed for slot and term at once. Bytes in PROTOCOL.md "Certificate". Its hash names it in releases,
 * evidence and receipts. Signatures are checked by the caller (they are keyed): certificate_vote_hash gives the message.
 * Pure. */
#ifndef PERIGEE_PROTO_CERTIFICATE_H
#define PERIGEE_PROTO_CERTIFICATE_H

#include "proto/document.h"
#include "proto/record.h"

enum { CERTIFICATE_BYTES_MAX = 4096 };

struct certificate {
    struct consortium_id consortium;
    uint64_t epoch;
    struct run_id run;
    struct compose_hash compose;
    uint64_t slot, term;
    struct node_id node;
    uint32_t vote_count;
    uint32_t custodian[CAP_CUSTODIANS]; /* index among the charter's custodians, ascending */
    struct signature vote[CAP_CUSTODIANS];
};

void certificate_encode(struct buffer *out, const struct certificate *c);
/* Strict; custodian indices ascend and lie below CAP_CUSTODIANS. */
MUST_USE enum err certificate_decode(struct certificate *out, struct span bytes);
struct hash32 certificate_hash(struct span bytes);
/* The 32 bytes every vote signs. */
struct hash32 certificate_vote_hash(const struct certificate *c);
/* Does it have q votes by custodians of this charter, for this consortium? Signatures not included. */
MUST_USE enum err certificate_check(const struct certificate *c, const struct charter *charter);

#endif
