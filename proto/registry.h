/* registry: what is in force, computed from the records applied (DESIGN §4 "Order of effect", §5).
 * Rules:
 *  - records of one author are applied in seq order (chain.c sees to it); between authors the order does not matter:
 *    whatever depends on another author's records is looked up when asked, never when applied;
 *  - revocations may be applied at any time; an approval or grant is live only if no revocation of its author that
 *    covers it has a higher seq. That never changes back, so it is marked as soon as both are known, and asking is cheap
 *    however many revocations there are: a check of a run looks at each row of its inputs' owners a few times at most;
 *  - a frozen author (equivocation) counts only below the seq it is frozen at, and all its approvals and grants are void;
 *  - approvals and grants of an author with a gap wait until it is closed: what is missing may be a revocation. The rest
 *    of what has had its turn counts, since nothing could take it back;
 *  - a decided removal ends a member at its last seq and voids its approvals and grants. Custodians and stewards are
 *    removed by another charter only. Votes for a removal count whatever gaps;
 *  - nothing counts of who is not a member, also when it was one until those who admitted it were frozen;
 *  - what could not take a revocation because it is full voids all approvals and grants of that owner instead;
 *  - a key may have an heir, which holds its tokens and the folds of what it allotted: owner and provider are first keys,
 *    and whatever is asked of them is asked of the holder (registry_succession.c);
 *  - a device is a member by its maker's word alone, as long as that word stands (registry_device.c);
 *  - one mechanism decides charters, members, ops, committees, endorsements, removals and worker sets: enough distinct
 *    eligible authors of one kind and one body hash (struct tally).
 * The same code serves the daemon, the enclave and the receipt verifier (bundle.c), so they cannot disagree.
 * Memory: everything is taken in registry_new, tables of all rows that caps.h allows them. A document is parsed in scratch; of
 * an asset's stays what the registry reads, counted in bytes against its author's part, like rows. Its texts borrow from
 * the record. So records passed in must outlive the registry, and nothing but a full part is "full". Pure. */
#ifndef PERIGEE_PROTO_REGISTRY_H
#define PERIGEE_PROTO_REGISTRY_H

#include "proto/base/shelf.h"
#include "proto/document.h"
#include "proto/record.h"
#include "proto/refusal.h"

/* One joint decision in the making. */
struct tally {
    uint8_t key[32]; /* H("perigee/tally/v1", kind, body hash): one body may be right for two kinds */
    enum kind kind;
    struct hash32 body_hash;
    bool placed; /* what it puts in force has its row */
    uint32_t author_count;
    const struct record *vote[CAP_STEWARDS]; /* one record per distinct author */
};

struct member {
    struct node_id node;
    struct span organisation, jurisdiction;
    uint32_t roles;
    struct kem_public kem;
    struct point dkg;
    struct node_id approval;
    struct span platforms;          /* of its machines, as its stewards admitted them; 32 bytes each */
    const struct tally *tally;      /* NULL: named by the charter itself, or a device */
    const struct record *admission; /* a device: its maker's record; NULL: admitted by charter or stewards */
};

struct binding {                 /* one sealed content of a dataset, bound for one workflow */
    const struct record *record; /* the asset record */
    struct dt dt;
    struct compose_hash compose;
    struct content_id content;
    struct hash32 manifest;
    const struct policy *policy;
    uint32_t next_plus_one;
};
struct asset {
    struct dt dt;
    struct node_id owner;                /* the first: registry_holder says who speaks for it now */
    const struct ddo *ddo;               /* of the newest version */
    const struct record *record, *first; /* newest version and registration */
    uint64_t version;
    uint32_t bindings_plus_one; /* newest first */
    uint32_t grants_plus_one;   /* given by this token */
    uint32_t approvals_plus_one;
    uint32_t versions_plus_one; /* newest first */
};
struct asset_version {
    const struct record *record;
    const struct ddo *ddo;
    uint64_t version;
    uint32_t next_plus_one;
};
struct published { /* a workflow */
    const struct workflow *workflow;
    const struct record *record;
    struct node_id provider; /* the first owner of its token */
    uint32_t next_plus_one;  /* of the same workflow */
};
struct grant {
    const struct record *record;
    struct body_GRANT body;
    uint32_t next_plus_one, author_next_plus_one;
    bool revoked; /* a revocation of its author covers it */
};
/* Does an approval sign the text its workflow renders to? Rendering is long, and both are fixed: found out once. */
enum approval_text { TEXT_UNREAD, TEXT_RIGHT, TEXT_WRONG };
/* Does its second signature hold under `key`? A record is kept on its author's alone, because the stewards may decide
 * another approval key before or after it comes. */
enum approval_key { KEY_UNREAD, KEY_ASKED, KEY_RIGHT, KEY_WRONG };
struct approval {
    const struct record *record;
    struct body_APPROVAL body;
    uint32_t next_plus_one, author_next_plus_one;
    bool revoked; /* a revocation of its author covers it */
    uint64_t
        app_slots; /* that the owner has allotted this app for this dataset, up to here: fold of all approvals ever */
    enum approval_text text;
    struct node_id key;
    enum approval_key key_state;
};
struct job {
    const struct record *record;
    struct body_JOB body;
    uint8_t endorsement[32]; /* the key of the tally that endorses it */
};
struct revocation {
    const struct record *record;
    struct body_REVOCATION body;
    uint32_t author_next_plus_one;
};
enum revocation_target { REVOKE_ALL, REVOKE_APPROVAL, REVOKE_COMPOSE, REVOKE_DATASET, REVOKE_DEVICE };
struct run_input {
    struct dt dt;
    struct content_id content;
    struct hash32 manifest;
    struct record_id binding;
};
struct run_entry {
    const struct record *record;
    struct body_RUN body;
    const struct record *receipt; /* NULL until one is known */
    uint8_t slot_key[32];         /* of its recipe and slot */
    uint32_t next_plus_one;       /* of the same slot */
    uint32_t holder_plus_one;     /* in the first run of a slot: the first of them with a receipt */
};
struct committee {
    const struct tally *tally;
    struct body_COMMITTEE body;
};
struct worker_set {
    const struct tally *tally;
    struct body_WORKERS body;
};

struct registry; /* opaque; its tables are in registry_state.h */

/* `charter`: the bytes of version 1, or none when they will come with its records (bundles). ERR_HASH, or its parse error. */
MUST_USE enum err registry_new(struct registry **out, struct arena *arena, struct consortium_id consortium,
                               struct span charter);

size_t registry_bytes(void); /* that it takes of the arena, all of it in registry_new */
/* What may be lent to it. NULL: its own. */
struct registry_room {
    struct arena
        *scratch; /* for several in turn, of registry_scratch_bytes at least; a call leaves nothing in it */
    struct arena
        *heap; /* that others fill, too (proto/base/rows.h), with room for registry_heap_bytes more */
};
size_t registry_heap_bytes(void);
MUST_USE enum err registry_new_in(struct registry **out, struct arena *arena, struct registry_room room,
                                  struct consortium_id consortium, struct span charter);
size_t registry_scratch_bytes(void);
/* The memory it lives in. */
struct arena *registry_arena(const struct registry *r);
/* The hash an approval of this workflow for this dataset must carry. ERR_NO_MEMORY. */
MUST_USE enum err registry_text_hash(struct hash32 *out, const struct registry *r, const struct workflow *w,
                                     struct dt dataset);
/* Has its own author taken it back? All grants and approvals of an author who equivocated or was removed are. */
bool registry_revoked(const struct registry *r, const struct approval *p);

/* Apply one record whose signature holds and whose turn it is. A refusal means the record stays without effect for ever
 * (it contradicts its own author's earlier records or its own schema). */
struct verdict registry_apply(struct registry *r, const struct record *record);
/* The core has checked the q commit signatures of this receipt record: from now on the run has it, or
 * a better one: anyone may carry those signatures in another record, so the elected node's own goes before, then the
 * smallest record id. */
void registry_settle(struct registry *r, struct run_id run, const struct record *receipt);
/* An author signed two headers at this seq: nothing of it counts from there on. */
void registry_freeze(struct registry *r, struct node_id author, uint64_t seq);
/* Is something of this author missing (chain_whole)? Its approvals and grants wait until that is held. */
void registry_gap(struct registry *r, struct node_id author, bool gap);
/* A revocation of this author could not be kept: all its approvals and grants are void. */
void registry_void(struct registry *r, struct node_id author);
/* From now on an approval counts only while its second signature is known to hold under its owner's approval key in force.
 * Without this, whoever applies records sees to it (a bundle's checks). */
void registry_await_keys(struct registry *r);
/* What it reads from bytes on this shelf lies there, too. NULL: it has none. */
void registry_share(struct registry *r, struct shelf *shelf);
uint32_t registry_approval_count(const struct registry *r);
/* Is it unknown whether this approval holds under its owner's key in force? Then *key is that. */
bool registry_approval_unread(const struct registry *r, uint32_t index, struct node_id *key);
void registry_approval_read(struct registry *r, uint32_t index, struct node_id key, enum approval_key state);
bool registry_counts(const struct registry *r, const struct record *record);
/* May data of this author be used at all? REFUSAL_FROZEN, REFUSAL_REVOKED (registry_void), REFUSAL_GAP,
 * REFUSAL_NOT_MEMBER (removed). */
struct verdict registry_check_author(const struct registry *r, struct node_id author);
/* registry_counts, with the reason why it does not. */
struct verdict registry_check_record(const struct registry *r, const struct record *record);
/* Kinds whose expiry somebody looks at. A record of another kind with an expiry would outlive it, so it has no effect. */
bool registry_may_expire(enum kind kind);
/* May this author have records at all? Charter members and all who were ever admitted, also by stewards frozen since: what
 * a removed one signed before must still be had, and the revocations of one who may become a member again. */
bool registry_may_write(const struct registry *r, struct node_id author);
/* Is it by charter or stewards that this author may have records, removed since or not? Whoever is not (a device, or one whom
 * frozen stewards admitted) has small places only: SMALL_PART of what others have in common. */
bool registry_admitted(const struct registry *r, struct node_id author);
/* Has an author with small places used those of some table? Its next record waits for its turn until it is admitted: what has
 * had its turn would be refused for ever, and who is admitted may not be known yet. */
bool registry_waits(const struct registry *r, struct node_id author);

/* Would applying a record with this body be refused? For own records, before they are signed. */
struct verdict registry_preview(struct registry *r, struct node_id author, enum kind kind,
                                const union body *body);

/* --- Successors (registry_succession.c) --------------------------------------------------------------------------------- */
/* Who holds what this key brought in: itself, or the last of its heirs; zero when nobody does (more than HEIRS_MAX, or a key that
 * signed two records in one place which its heir takes over: its tokens have no effect any more). */
struct node_id registry_holder(const struct registry *r, struct node_id owner);
bool registry_holds(const struct registry *r, const struct asset *a,
                    struct node_id node);                                    /* NULL: nobody does */
struct node_id registry_heir(const struct registry *r, struct node_id node); /* zero: it has none */
/* The record that says so, and who takes its place: the heir's claim; before that has come, a steward's word of those that decided.
 * NULL: nobody replaces this key. */
const struct record *registry_replacement(const struct registry *r, struct node_id node,
                                          struct node_id *heir);
/* Does this record count for the token: is it by its holder, or by a key before it, up to its last record? */
bool registry_counts_for(const struct registry *r, const struct asset *a, const struct record *record);
/* What the next version of this token must at least be numbered. */
uint64_t registry_version_next(const struct registry *r, const struct asset *a);
/* Fold of all that the token's holder and those before it ever allotted, in the dataset's currency. */
uint64_t registry_allotted(const struct registry *r, const struct asset *a);
/* And how many slots to this algorithm's recipes. */
uint64_t registry_allotted_slots(const struct registry *r, const struct asset *a, struct dt app);
/* Was what the token's holder, or one before it, had approved for this very slot revoked, whatever else of theirs is missing here? */
bool registry_slot_revoked(const struct registry *r, const struct asset *a, struct compose_hash compose,
                           uint64_t slot);
/* The last slot of this recipe that they allotted, in an approval that counts or not any more; 0: none. */
uint64_t registry_last_slot(const struct registry *r, const struct asset *a, struct compose_hash compose);
/* A successor's own word, in force or not. NULL: it has said none. */
const struct record *registry_claim(const struct registry *r, struct node_id node);
/* Has the body of this claim been decided once? Before that its turn has not come. */
bool registry_claim_decided(const struct registry *r, const struct record *claim);
/* A record with the body that this node has to claim by, once it is decided that it replaces a key; NULL: it need not. */
const struct record *registry_claim_due(const struct registry *r, struct node_id node);

/* --- Lookups. NULL when unknown or not (yet) decided. ------------------------------------------------------------------ */
const struct charter *registry_charter(const struct registry *r);       /* decided by s stewards */
const struct charter *registry_charter_bytes(const struct registry *r); /* known, perhaps not decided yet */
const struct committee *registry_committee(const struct registry *r);   /* decided by n-f custodians */
const struct member *registry_member(const struct registry *r, struct node_id node);
/* The same of who was one until it was removed or replaced. */
const struct member *registry_member_ever(const struct registry *r, struct node_id node);
/* Was it a member and is none, removed or replaced? That is for good: its holder joins with another key. */
bool registry_removed(const struct registry *r, struct node_id node);
/* Does this body make a device: a member by its maker's word alone? */
bool registry_is_device(const struct body_MEMBER *b);
/* How many devices of this maker take one of the places that the charter gives it, whether they count just now or not. */
uint32_t registry_device_count(const struct registry *r, struct node_id maker);
/* Has this maker a word for this node that it has not taken back? */
bool registry_names_device(const struct registry *r, struct node_id maker, struct node_id node);
/* The word of a maker that makes this node a device, or would if nothing of its maker were missing here; NULL: there is none. */
const struct member *registry_device_word(const struct registry *r, struct node_id node);
/* May this member's enclave run on this platform? The stewards, or the charter, name a member's platforms, and answer for
 * where they stand; once they name one, no other is. Of whom they name none, any may be. */
bool registry_platform_admitted(const struct registry *r, struct node_id node, struct hash32 platform);
/* Is it a member with this role? REFUSAL_NOT_MEMBER, REFUSAL_ROLE. Roles are asked for when something is used: who is who may
 * be known later than what it said. */
struct verdict registry_check_role(const struct registry *r, struct node_id node, enum role role);
const struct asset *registry_asset(const struct registry *r, struct dt dt);
const struct binding *registry_binding(const struct registry *r, const struct asset *a,
                                       struct compose_hash compose);
/* The binding that this asset record made, NULL when it made none or does not count. */
const struct binding *registry_binding_of(const struct registry *r, const struct asset *a,
                                          struct record_id record);
const struct published *registry_workflow(const struct registry *r, struct compose_hash compose);
const struct op *registry_op(const struct registry *r, struct hash32 op); /* decided */
const struct run_entry *registry_run(const struct registry *r, struct run_id run);
/* The grant in force: the newest that is not past its expiry, or past it when all are. */
const struct grant *registry_grant(const struct registry *r, struct dt lower, struct dt higher,
                                   uint64_t now_ms);
/* Those that count and are not taken back, from the newest on; NULL: no more. Nothing is applied in between. */
const struct grant *registry_grant_newest(const struct registry *r, struct dt lower, struct dt higher);
const struct grant *registry_grant_before(const struct registry *r, const struct grant *g);
const struct job *registry_job(const struct registry *r,
                               struct compose_hash compose); /* an endorsed one, else any, else NULL */
uint32_t registry_endorsements(const struct registry *r, const struct job *job);
bool registry_worker(const struct registry *r, struct span set, struct hash32 measurement);
/* Is it in some set that is in force? */
bool registry_worker_known(const struct registry *r, struct hash32 measurement);
/* The set of this name in force: of the decided ones the highest version, among equals the smallest body hash. */
const struct worker_set *registry_worker_set(const struct registry *r, struct span set);
/* Its measurements, packed 32 bytes each. */
struct span registry_workers(const struct registry *r, struct span set);
uint32_t tally_count(const struct registry *r, const struct tally *t); /* eligible distinct authors */
uint32_t tally_needed(const struct registry *r, const struct tally *t);
const struct tally *registry_tally(const struct registry *r, enum kind kind, struct hash32 body_hash);

/* The state of one owner's approval of one workflow. */
struct approval_view {
    const struct approval *approval; /* the newest that applies, or NULL */
    bool revoked, expired;
};
struct approval_view registry_approval(const struct registry *r, const struct asset *a,
                                       struct compose_hash compose, uint64_t slot,
                                       uint64_t now_ms); /* slot 0: any slot */
/* Members in turn, from *at = 0 until NULL; nothing is applied in between. */
const struct member *registry_member_next(const struct registry *r, uint32_t *at);
/* Walk everything of one kind, in the order applied: index from 0 until NULL. */
const struct asset *registry_asset_at(const struct registry *r, uint32_t index);
const struct published *registry_workflow_at(const struct registry *r, uint32_t index);
const struct run_entry *registry_run_at(const struct registry *r, uint32_t index);
const struct job *registry_job_at(const struct registry *r, uint32_t index);
const struct tally *registry_tally_at(const struct registry *r, uint32_t index);
const struct grant *registry_grant_at(const struct registry *r, uint32_t index);
const struct approval *registry_approval_at(const struct registry *r, uint32_t index);
const struct revocation *registry_revocation_at(const struct registry *r, uint32_t index);
const struct binding *registry_binding_at(const struct registry *r, uint32_t index);

/* --- May this run exist, now? (registry_run.c) ---------------------------------------------------------------------------
 * Checks everything that records alone decide: requester, workflow, charter and epoch, job and endorsements, ops,
 * parameters, inputs, grants, approvals, slot range and cost. Not: who spent the slot, certificates, evidence. `now_ms`
 * decides expiry. */
struct verdict registry_check_run(const struct registry *r, const struct body_RUN *run,
                                  struct node_id requester, uint64_t now_ms);
/* Its two parts that a receipt reports apart: the recipe with its ops and job, and the inputs with their approvals. Both
 * need a decided charter and committee and a known workflow (checked). */
struct verdict registry_check_recipe(const struct registry *r, const struct body_RUN *run);
struct verdict registry_check_inputs(const struct registry *r, const struct body_RUN *run, uint64_t now_ms);
/* What a requester asks for. */
struct run_wish {
    struct compose_hash compose;
    uint64_t slot; /* 0: the lowest that is free */
    struct span
        datasets; /* 32 bytes each, any order, each once: these of the workflow's inputs; empty: all of them */
    struct span parameters; /* canonical JSON; empty: none */
};
/* Why such a run could not be requested now; fills the run body (contents from the newest bindings, the lowest slot that
 * the owners of these inputs allot and no run known here has used). `inputs` holds RUN_INPUT_BYTES * CAP_INPUTS. Only runs
 * that count and are by requesters whom the workflow names use slots. A slot asked for by its number is refused while a run
 * in it may still be executed, or has been. */
struct verdict registry_plan_run(struct registry *r, struct body_RUN *out, uint8_t *inputs,
                                 const struct run_wish *wish, struct node_id requester, uint64_t now_ms);
/* Input i of a run. */
struct run_input run_input_at(const struct body_RUN *run, uint32_t index);
uint32_t run_input_count(const struct body_RUN *run);
/* Is its workflow known, and does it name the run's author? Nobody need follow any other run; the workflow may come later. */
bool registry_run_named(const struct registry *r, const struct run_entry *run);
/* The run known here with a receipt in this slot, or NULL. */
const struct run_entry *registry_slot_holder(const struct registry *r, struct compose_hash compose,
                                             uint64_t slot);
/* Is this run over, whatever else is signed? Its requester or an owner of its inputs is frozen, or has taken back what it approved for this
 * very slot, which stays allotted. REFUSAL_FROZEN or REFUSAL_REVOKED, with who; VERDICT_OK: as far as is known here it is not. */
struct verdict registry_run_taken_back(const struct registry *r, const struct run_entry *run);
/* Did the owner of this input keep a veto over the content that the run names? How many inputs are there of which it did? */
bool registry_vetoed(const struct registry *r, const struct body_RUN *run, uint32_t input);
uint32_t registry_veto_count(const struct registry *r, const struct body_RUN *run);
/* Residency and export: may this compute member run it? By the policy the content was bound under and by the newest. */
struct verdict registry_check_node(struct registry *r, const struct body_RUN *run, struct node_id node);

#endif
