/* notary: the signatures of a simulated world, at one of two levels.
 *   real      BIP-340, as everywhere (crypto/identity.h)
 *   modelled  a keyed hash over author and message, with a key that this world alone has: nothing to do with a curve, and a hundredth of
 *             the work. It holds for that author and message only. To sign takes the secret in both, and the key is in no message,
 *             so that nobody but who holds the secret can make one.
 * Rules: what was checked a while ago is remembered, since one record is checked by every node: in virtual time each pays for it.
 * Ownership: lives in the arena. Single-threaded. */
#ifndef PERIGEE_SIM_NOTARY_H
#define PERIGEE_SIM_NOTARY_H

#include "crypto/types.h"
#include "proto/base/arena.h"
#include "sim/scenario.h"

struct notary;

/* For about so many who sign: what is remembered is as large. */
MUST_USE enum err notary_new(struct notary **out, struct arena *arena, enum scenario_crypto level,
                             uint64_t seed, uint32_t signers);
MUST_USE enum err notary_sign(struct notary *n, struct signature *out, const struct identity_secret *secret,
                              struct hash32 message); /* ERR_KEY */
MUST_USE enum err notary_verify(struct notary *n, struct node_id author, struct hash32 message,
                                const struct signature *signature); /* ERR_SIGNATURE, ERR_KEY */

#endif
