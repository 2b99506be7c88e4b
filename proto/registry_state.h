/* registry_state: the tables behind registry.h, and what the files that share them ask of each other.
 *  registry.c           the tables, and what is in force
 *  registry_standing.c  who counts: members, freezes, gaps, removals and revocations
 *  registry_succession.c  whose place a member takes: holders of tokens and lineages of keys
 *  registry_device.c    members by their maker's word alone
 *  registry_joint.c     tallies, and the records that they decide
 *  registry_token.c     what owners say of their tokens: assets, grants, approvals with the budget fold
 *  registry_apply.c     applying and previewing a record of any kind
 *  registry_run.c       may a run exist, who may compute it, what would a new one look like */
#ifndef PERIGEE_PROTO_REGISTRY_STATE_H
#define PERIGEE_PROTO_REGISTRY_STATE_H

#include "proto/base/rows.h"
#include "proto/registry.h"

enum {
    /* Whoever may have records: members of the charter, at most this many, and those admitted, devices too. */
    CAP_WRITERS = CAP_MEMBERS + CAP_DECISIONS + CAP_DEVICES,
    COMMITTEE_VOICES = 4, /* committee records of one custodian that are looked at */
    CAP_COMMITTEES = COMMITTEE_VOICES * CAP_CUSTODIANS,
    TALLY_COUNT_MAX = CAP_DECISIONS + CAP_REMOVALS + CAP_COMMITTEES,
};

/* Tables of joint decisions: each seat has its part of the voices, and there is a tally for every voice and a row for every
 * tally. So a full table is a seat that has said all it may: a fact of that author's chain alone, whatever arrived first. */
enum voice { VOICE_STEWARD, VOICE_REMOVAL, VOICE_COMMITTEE };
enum { VOICE_COUNT = VOICE_COMMITTEE + 1 };

struct frozen {
    struct node_id author;
    uint64_t seq;
};
struct member_row {
    struct member member;
    uint32_t next_plus_one;      /* of the same node: several bodies may name one */
    struct node_id replaces;     /* zero: nobody */
    uint64_t last_seq;           /* of that key's chain */
    const struct record *claim;  /* the node's own word for this body; NULL: none yet */
    uint32_t next_heir_plus_one; /* of the same key replaced */
};
struct device_row {
    struct member member;
    bool over;              /* revoked by its maker later, or the maker had named it already */
    bool in_place;          /* among as many as the charter lets its maker have */
    uint32_t next_plus_one; /* of the same node */
};
struct op_row {
    struct op_kept kept;
    const struct tally *tally;
};
struct removal_row {
    struct body_REMOVAL body;
    const struct tally *tally;
    uint32_t next_plus_one; /* of the same node */
};

/* Tables that authors share: no author has more than a quarter of one, so that nobody fills it against the others. */
enum share {
    SHARE_VERSION,
    SHARE_WORKFLOW,
    SHARE_GRANT,
    SHARE_APPROVAL,
    SHARE_REVOCATION,
    SHARE_JOB,
    SHARE_RUN,
    SHARE_DEVICE
};
enum { SHARE_COUNT = SHARE_DEVICE + 1 };
struct writer {
    struct node_id node;
    uint32_t used[SHARE_COUNT];
    size_t kept_bytes; /* of its assets' documents */
    uint32_t grants_plus_one, approvals_plus_one, revocations_plus_one;
};
/* What an author's records count for, found out once for many of them. */
struct standing {
    bool member;
    bool voided;  /* all its grants and approvals are */
    uint64_t end; /* records with this seq and higher do not count */
};
/* A key, and those it replaced, from the last on: their records below `end` are one chain. */
enum { HEIRS_MAX = 8 };
struct lineage_step {
    struct node_id node;
    uint64_t end;
};
struct lineage {
    uint32_t count;
    struct lineage_step step[HEIRS_MAX + 1];
};
/* Who holds an owner's tokens, and what counts for them. */
struct holding {
    struct node_id holder;
    struct lineage lineage;
    struct standing standing[HEIRS_MAX + 1];
};

struct registry {
    struct arena *arena;               /* of all that is taken at the start: these, and the tables' heap */
    struct arena *scratch;             /* empty between calls */
    struct shelf *shelf;               /* NULL: none */
    struct arena *charter_kept, *kept; /* what stays of documents: of the charter, of assets */
    struct arena part[3];              /* these, where none is lent */
    struct consortium_id consortium;
    const struct charter *charter;
    const struct tally *charter_tally; /* NULL: not decided yet */
    uint32_t voice_count[VOICE_COUNT][CAP_STEWARDS];
    bool await_keys;
    uint32_t removal_lost; /* bit per steward: a removal of its found no place */
    uint32_t claim_count;  /* of successors */

    uint32_t tally_count, member_count, asset_count, binding_count, workflow_count, op_count, grant_count;
    uint32_t approval_count, job_count, run_count, revocation_count, frozen_count, gap_count, workers_count,
        committee_count, version_count, removal_count, device_count, writer_count;
    uint64_t *looked;  /* rows that questions have looked at: tests bound it */
    struct arena heap; /* of the tables and of their indexes, where it has one of its own */
    ROWS(struct writer) writer;
    ROWS(struct tally) tally;
    ROWS(struct member_row) member;
    ROWS(struct device_row) device;
    ROWS(struct member) founder; /* one per charter member */
    ROWS(struct asset) asset;
    ROWS(struct asset_version) version;
    ROWS(struct binding) binding;
    ROWS(struct published) workflow;
    ROWS(struct op_row) op;
    ROWS(struct grant) grant;
    ROWS(struct approval) approval;
    ROWS(struct job) job;
    ROWS(struct run_entry) run;
    ROWS(struct revocation) revocation;
    ROWS(struct frozen) frozen; /* seq UINT64_MAX: only its approvals and grants are void */
    ROWS(struct node_id) gap;   /* authors of whom something is missing */
    ROWS(struct removal_row) removal;
    ROWS(struct worker_set) workers;
    ROWS(struct committee) committee;
    struct index writers, tallies, members, heirs, devices, removals, assets, bindings, workflows, ops, runs,
        slots;
};

/* registry.c. Known, whether or not its records count. */
MUST_USE enum err registry_found(struct registry *r, struct span charter); /* ERR_HASH, or its parse error */
struct asset *asset_find(const struct registry *r, struct dt dt);

/* registry_run.c */
void run_link(struct registry *r, uint32_t row);   /* a new run, among those of its slot */
void run_settle(struct registry *r, uint32_t row); /* it has a receipt */

/* registry_standing.c */
struct standing standing_of(const struct registry *r, struct node_id author);
bool standing_counts(const struct standing *s, const struct record *record);
struct frozen *standing_frozen(const struct registry *r, struct node_id author); /* NULL: it is not */
bool standing_before_freeze(const struct registry *r, const struct record *record);
bool standing_gap(const struct registry *r, struct node_id author);
bool standing_founder(const struct registry *r, struct node_id node);

const struct member *
standing_admitted(const struct registry *r,
                  struct node_id node); /* by charter or stewards; removed since, perhaps */
uint64_t standing_last_seq(const struct registry *r, struct node_id node); /* UINT64_MAX: it is not removed */

/* registry_succession.c */
bool succession_is_claim(const struct header *h, const struct body_MEMBER *b);
void succession_place(struct registry *r, uint32_t row,
                      const struct body_MEMBER *b); /* of a new member row */
struct verdict succession_apply(struct registry *r, const struct record *claim);
struct verdict succession_preview(const struct registry *r, const struct header *claim);
uint64_t succession_last_seq(const struct registry *r, struct node_id node); /* UINT64_MAX: it has no heir */
/* Is this node the owner, its heir, that one's heir, and so on? */
bool succession_passes(const struct registry *r, struct node_id owner, struct node_id node);
/* When applied: by claims alone, so it is a fact of these chains whoever decided what. */
void lineage_of(const struct registry *r, struct lineage *l, struct node_id last);
bool lineage_has(const struct lineage *l, struct node_id node);
bool lineage_covers(const struct lineage *l, const struct record *record);
/* Is this token one of the author's own, or of a key that it claims to replace? REFUSAL_NOT_OWNER. */
struct verdict succession_speaks(const struct registry *r, struct node_id author, const struct asset *a);
/* When asked. */
void holding_of(const struct registry *r, struct holding *h, struct node_id owner);
bool holding_counts(const struct holding *h, const struct record *record);
bool holding_voided(const struct holding *h, const struct record *record); /* its author's grants are */

/* registry_device.c. In the order of their author's chain. */
struct verdict device_apply(struct registry *r, const struct record *record, const struct body_MEMBER *b);
struct verdict device_preview(const struct registry *r, struct node_id author, const struct body_MEMBER *b);
void device_revoke(struct registry *r, const struct revocation *v); /* a new one, at any time */
const struct member *device_find(const struct registry *r,
                                 struct node_id node); /* whose maker's word stands */

/* registry_joint.c */
void tally_endorsement_key(uint8_t out[32], struct record_id job);
const struct tally *tally_at(const struct registry *r, const uint8_t key[32]); /* NULL: nobody has spoken */
bool tally_decided(const struct registry *r, const struct tally *t);
/* Where several decided bodies name one thing, the smallest hash is in force, whatever arrived first. */
bool tally_before(const struct tally *a, const struct tally *b);
struct verdict joint_apply(struct registry *r, const struct record *record, const union body *b);
bool joint_removed_by_lost(const struct registry *r, struct node_id node);
struct verdict joint_preview(struct registry *r, struct node_id author, enum kind kind,
                             const union body *body);

/* registry_apply.c. A row of this grant or approval is new: it is its author's, and revoked if a revocation came first. */
void revocation_of_grant(struct registry *r, uint32_t row);
void revocation_of_approval(struct registry *r, uint32_t row);
void succession_revocations(struct registry *r,
                            struct node_id heir); /* it has claimed: what it took back before */
/* May documents that count for so many bytes be kept of this author? No more than a quarter of all. */
struct verdict share_check_kept(const struct registry *r, struct node_id author, size_t cost);
void share_take_kept(struct registry *r, struct node_id author, size_t cost);

/* registry_token.c */
void asset_refresh(struct registry *r, struct asset *a); /* its newest version, of those that count */
struct verdict asset_apply(struct registry *r, const struct record *record, const struct body_ASSET *b);
struct verdict asset_preview(struct registry *r, struct node_id author, const struct body_ASSET *b);
/* Is there a run of this recipe whose receipt fits? */
struct verdict publication_check_room(const struct registry *r, const struct workflow *w);
struct verdict grant_apply(struct registry *r, const struct record *record, const struct body_GRANT *b);
/* Does the service it is for exist, and list this op? */
struct verdict grant_check_op(const struct registry *r, const struct body_GRANT *b, struct hash32 op);
/* Does it allow one run of this recipe, and that many slots of the app? */
struct verdict grant_check_limits(const struct body_GRANT *b, const struct workflow *w, uint64_t app_slots);
struct verdict grant_preview(struct registry *r, struct node_id author, const struct body_GRANT *b);
struct verdict approval_apply(struct registry *r, const struct record *record, const struct body_APPROVAL *b);
/* Does its second signature hold under the approval key of its owner? NULL: no member. */
bool approval_signed(const struct approval *p, const struct member *owner);
struct verdict approval_preview(struct registry *r, struct node_id author, const struct body_APPROVAL *b);

#endif
