/* key_shares: what key generation leaves this custodian, as key files in keygen/: a state, and its shares of the consortium's keys
 * A and B. Shares are read when a release needs them, and looked at before that: one that is lost shows itself at the start,
 * not at the first run.
 * Rules: a file is durable when it is saved, and never replaced. A share is good when its file opens as a release would open
 * it, names the key of the committee record, and gives the verification share that the record has for this seat.
 * Threads: any; with a passphrase each file takes a tenth of a second. Ownership: the caller's; a secret goes into secret memory.
 * Errors: those of keyfile.h; ERR_CORRUPT a file of another length; ERR_KEY a share of another key or seat. */
#ifndef PERIGEE_NODE_KEY_SHARES_H
#define PERIGEE_NODE_KEY_SHARES_H

#include "crypto/tdh2.h"
#include "crypto/work.h"
#include "node/home.h"
#include "proto/registry.h"

struct key_shares {
    uint32_t epoch;
    struct point key[KEYGEN_PURPOSES], public_share[KEYGEN_PURPOSES];
};

/* What a seat (0: the first) must hold of this committee. False: the record has no such seat. */
bool key_shares_of(struct key_shares *out, const struct body_COMMITTEE *committee, uint32_t seat);
void key_shares_path(char out[PATH_MAX], const struct home *h, struct work_place place);
/* As struct work_keep has them. */
MUST_USE enum err key_shares_load(const struct home *h, struct work_place place, void *out, size_t len);
MUST_USE enum err key_shares_save(const struct home *h, struct work_place place, struct span secret);
/* Both shares. `fault` says in one line which file, what was expected and what to do. */
MUST_USE enum err key_shares_check(const struct home *h, const struct key_shares *expected, char *fault,
                                   size_t cap);

#endif
