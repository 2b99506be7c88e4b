/* registry_state: the tables behind registry.h, shared by registry.c (applying) and registry_run.c (asking). */
#ifndef PERIGEE_PROTO_REGISTRY_STATE_H
#define PERIGEE_PROTO_REGISTRY_STATE_H

#include "proto/registry.h"

enum {
    /* Whoever may have records: members of the charter, at most this many, and those admitted. */
    CAP_WRITERS = 2 * CAP_MEMBERS,
};

struct frozen {
    struct node_id author;
    uint64_t seq;
};
struct member_row {
    struct member member;
    uint32_t next_plus_one;
}; /* several bodies may name one node */
struct op_row {
    const struct op *op;
    uint32_t tally;
};
struct workers_row {
    struct body_WORKERS body;
    uint32_t tally;
};

struct removal_row {
    struct body_REMOVAL body;
    uint32_t tally;
};

/* Tables that authors share: no author has more than a quarter of one, so that nobody fills it against the others. */
enum share {
    SHARE_VERSION,
    SHARE_WORKFLOW,
    SHARE_GRANT,
    SHARE_APPROVAL,
    SHARE_REVOCATION,
    SHARE_JOB,
    SHARE_RUN
};
enum { SHARE_COUNT = SHARE_RUN + 1 };
struct writer {
    struct node_id node;
    uint32_t used[SHARE_COUNT];
};

struct registry {
    struct arena *arena;
    struct consortium_id consortium;
    const struct charter *charter;
    uint32_t charter_tally_plus_one;

    uint32_t tally_count, member_count, asset_count, binding_count, workflow_count, op_count, grant_count;
    uint32_t approval_count, job_count, run_count, revocation_count, frozen_count, gap_count, workers_count,
        committee_count, version_count, removal_count, writer_count;
    struct writer *writer;
    struct tally *tally;
    struct member_row *member;
    struct member *founder; /* one per charter member */
    struct asset *asset;
    struct asset_version *version;
    struct binding *binding;
    struct published *workflow;
    struct op_row *op;
    struct grant *grant;
    struct approval *approval;
    struct job *job;
    struct run_entry *run;
    struct revocation *revocation;
    struct frozen *frozen; /* seq UINT64_MAX: only its approvals and grants are void */
    struct node_id *gap;   /* authors of whom something is missing */
    struct removal_row *removal;
    struct workers_row *workers;
    struct committee *committee;
    struct index writers, tallies, members, assets, workflows, ops, jobs, runs;
};

#endif
