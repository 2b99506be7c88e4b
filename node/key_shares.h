/* key_shares: this custodian's shares of the consortium's keys A and B, as they lie in keygen/. They are read when a release
 * needs them, and looked at before that: one that is lost shows itself at the start, not at the first run.
 * Rules: nothing is written. A share is good when its file opens as a release would open it, names the key of the committee
 * record, and gives the verification share that the record has for this seat.
 * Threads: any; with a passphrase each file takes a tenth of a second. Ownership: the caller's; a share goes into secret memory.
 * Errors: those of keyfile.h; ERR_CORRUPT a file of another length; ERR_KEY a share of another key or seat. */
#ifndef PERIGEE_NODE_KEY_SHARES_H
#define PERIGEE_NODE_KEY_SHARES_H

#include "node/home.h"
#include "proto/registry.h"

enum { KEY_SHARES_COUNT = 2 }; /* purpose 1: key A, purpose 2: key B */

struct key_share {
    struct scalar_secret x;
    struct point y; /* the whole key's */
};
struct key_shares {
    uint32_t epoch;
    struct point key[KEY_SHARES_COUNT], public_share[KEY_SHARES_COUNT];
};

/* What a seat (0: the first) must hold of this committee. False: the record has no such seat. */
bool key_shares_of(struct key_shares *out, const struct body_COMMITTEE *committee, uint32_t seat);
/* The file of one purpose: `what` is "share" or "state". */
void key_shares_path(char out[PATH_MAX], const struct home *h, uint32_t epoch, uint32_t purpose,
                     const char *what);
MUST_USE enum err key_shares_read(struct key_share *out, const struct home *h, uint32_t epoch,
                                  uint32_t purpose);
/* All of them. `fault` says in one line which file, what was expected and what to do. */
MUST_USE enum err key_shares_check(const struct home *h, const struct key_shares *expected, char *fault,
                                   size_t cap);

#endif
