/* keygen_session: what one key generation binds (PROTOCOL.md "Key generation"): parties, threshold, session tag and
 * transcript extension, from consortium, charter, epoch and purpose alone, so that whoever verifies the committee record
 * years later computes the very session the custodians signed.
 * tag = H("perigee/keygen/v1", consortium, be32 epoch, purpose byte); extension = charter hash |
 * H("perigee/purpose/v1", purpose byte). Pure. */
#ifndef PERIGEE_PROTO_KEYGEN_SESSION_H
#define PERIGEE_PROTO_KEYGEN_SESSION_H

#include "proto/charter.h"
#include "proto/event.h"

/* own: 1..n, or 0 for a verifier. */
void keygen_session_make(struct keygen_session *out, struct consortium_id consortium,
                         const struct charter *charter, uint32_t epoch, uint32_t purpose, uint32_t own);

#endif
