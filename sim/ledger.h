/* ledger: what the watcher keeps of a simulated consortium, read from the bytes that its nodes write and show: who allotted,
 * approved, took back and asked for what, and what each custodian gave to whom.
 * Rules: it asks no node's registry and none of the functions that decide: what a node may do is worked out here once more, from the
 * records that this node holds (its chain). It outlives every crash. A custodian knows a revocation once that is on its disk: what
 * it only heard it forgets when it falls.
 * Ownership: ledger_free. Memory that runs out stops the program. Single-threaded. */
#ifndef PERIGEE_SIM_LEDGER_H
#define PERIGEE_SIM_LEDGER_H

#include "proto/chain.h"
#include "proto/charter.h"
#include "proto/registry.h"

/* Where a record stands. */
struct ledger_place {
    struct node_id author;
    uint64_t seq;
    struct record_id id;
};
struct ledger_approval {
    struct ledger_place at;
    struct body_APPROVAL body;
    uint64_t expires_ms;
};
struct ledger_grant {
    struct ledger_place at;
    struct dt lower, higher;
    uint64_t expires_ms;
};
struct ledger_job {
    struct ledger_place at;
    struct compose_hash compose;
};
struct ledger_endorsement {
    struct ledger_place at;
    struct record_id job;
};
struct ledger_revocation {
    struct ledger_place at;
    uint64_t target;
    struct hash32 subject;
    uint32_t known; /* bit per custodian: it is on its disk */
};

/* What one custodian did in one term of a run. */
struct ledger_seat {
    bool voted, released;
    struct node_id voted_for, enclave;
    uint64_t answered_ns; /* when it last gave this enclave shares or a lease */
    uint64_t round,
        held_ns; /* of those rounds the latest, and when it gave that first: once more prolongs nothing */
};
struct ledger_term {
    uint64_t term;
    struct node_id node; /* certified; zero: none yet */
    struct ledger_seat seat[CAP_CUSTODIANS];
};
struct ledger_run {
    struct ledger_place at;
    struct run_id run;
    struct dt app;
    struct compose_hash compose;
    uint64_t slot, ends_ms;
    uint32_t input_count;
    struct dt input[CAP_INPUTS];
    struct ledger_term *term;
    uint32_t term_count, term_cap;
    uint32_t released, committed; /* bit per custodian, in whatever term */
    struct hash32 commitment[CAP_CUSTODIANS];
    bool bypassed; /* signed round its requester's node: it meets others once a custodian has voted for it */
    bool keyed;
    bool left; /* an output has left an enclave: the one of this commitment */
    struct hash32 output;
    /* Since when so many custodians know that it was taken back that ...; UINT64_MAX: not */
    uint64_t no_keys_ns, no_output_ns, no_lease_ns;
};
/* One whose q votes hold. */
struct ledger_certificate {
    struct hash32 hash;
    struct run_id run;
    uint64_t term;
    struct node_id node;
};

struct ledger {
    const struct charter *charter;
    struct ledger_approval *approval;
    struct ledger_grant *grant;
    struct ledger_job *job;
    struct ledger_endorsement *endorsement;
    struct ledger_revocation *revocation;
    struct ledger_run *run;
    struct ledger_certificate *certificate;
    uint32_t approvals, approvals_cap, grants, grants_cap, jobs, jobs_cap, endorsements, endorsements_cap;
    uint32_t revocations, revocations_cap, runs, runs_cap, certificates, certificates_cap;
    uint32_t lax; /* bit per custodian */
};

void ledger_free(struct ledger *l);
/* A chained record that its author wrote or showed. False: it was known. */
bool ledger_take(struct ledger *l, const struct record *r);
/* What all approvals that were ever given allot of a dataset, in its currency; UINT64_MAX: more than that counts. */
uint64_t ledger_allotted(const struct ledger *l, struct dt dataset);

struct ledger_run *ledger_run_find(struct ledger *l, struct run_id run); /* NULL: none */
void ledger_bypassed(struct ledger *l, struct record_id run);
struct ledger_term *ledger_term_of(struct ledger_run *run, uint64_t term); /* found or added */
const struct ledger_certificate *ledger_certificate_find(const struct ledger *l, struct hash32 hash);
void ledger_certify(struct ledger *l, const struct ledger_certificate *certificate);

/* Why, by the records of this chain, nothing may be given for this run at this time; NULL: all holds. */
const char *ledger_objection(const struct ledger *l, const struct chain *view, const struct ledger_run *run,
                             uint64_t wall_ms);
/* Was this run taken back by this revocation, whoever knows it? */
bool ledger_covers(const struct ledger *l, const struct ledger_revocation *v, const struct ledger_run *run);
bool ledger_taken_back(const struct ledger *l, const struct ledger_run *run);
/* After somebody learnt of a revocation, and after a run was asked for. */
void ledger_bar(struct ledger *l, uint64_t now_ns);
/* This custodian gives whatever it is asked for: nothing is counted on it, from here on, nor of what it was told before. */
void ledger_lax(struct ledger *l, struct node_id custodian, uint64_t now_ns);
/* Until when, by the answers of custodians, this enclave may have a lease at most; 0: it has had none. */
uint64_t ledger_lease_end_ns(const struct ledger *l, const struct ledger_term *t, struct node_id enclave);

#endif
