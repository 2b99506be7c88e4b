/* election: may this custodian vote for this node, and who asks first (DESIGN §9 "Election").
 * Decisions only; asking, counting and signing are in core_elect.c. Uniqueness comes from the durable promises, never
 * from rank or time: one node per (run, term), one run per (compose hash, slot). That no two leases of a run overlap comes
 * from `held` besides. Pure. */
#ifndef PERIGEE_PROTO_ELECTION_H
#define PERIGEE_PROTO_ELECTION_H

#include "proto/promise.h"
#include "proto/registry.h"

struct election_ask {
    struct run_id run;
    uint64_t term;
    struct node_id node; /* the candidate */
    uint64_t now_ms;
    enum refusal standing; /* why this custodian decides nothing now (core_standing), or REFUSAL_NONE */
    bool held;             /* a lease of an earlier term may still run (core_elect.c) */
};
/* Terms up to this one may be asked for now: one per eighth of a lease since the run began, and a few more. So whoever names
 * high terms wins nothing, and a run's terms do not run out. */
uint64_t election_term_max(const struct charter *charter, const struct header *run, uint64_t now_ms);
/* Would this custodian vote? REFUSAL_NONE also when it already voted for exactly this. */
struct verdict election_decide(struct registry *r, const struct promises *p, struct node_id self,
                               const struct election_ask *ask);
/* How many compute members come before `node` for this run and term: it waits that many rank delays. */
uint32_t election_rank(struct registry *r, const struct body_RUN *run, struct run_id id, uint64_t term,
                       struct node_id node);

/* Of those the first, in their order, `most` and ELECTION_FIRST_MAX at most: how many. */
enum { ELECTION_FIRST_MAX = 4 };
uint32_t election_first(struct registry *r, const struct body_RUN *run, struct run_id id, uint64_t term,
                        struct node_id *out, uint32_t most);

#endif
