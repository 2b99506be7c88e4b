/* core: one node's whole protocol state for one consortium, driven by events (DESIGN §2, §14).
 * core_step consumes one event and appends effects; core_deadline says when it wants a TICK. The daemon and the
 * simulator drive the same object through the same pump (pump.h). Nothing global, no I/O, no clock, no entropy, no secret.
 * Memory: one arena, reserved once (zeroed, sparse). Single-threaded.
 *
 * What goes where: core_ingest.c (records and statements in), core_author.c (own records and statements out),
 * core_mesh.c (records over links, by gossip.h), core_contacts.c (whom it dials, by view.h), core_sync.c (heads, catch-up, clocks), core_history.c (views over a restart), core_silence.c, core_join.c, core_keygen.c, core_vote.c (custodian: votes,
 * and the leases that hold them), core_elect.c (candidates, later terms), core_release.c (custodian: shares, leases, commits),
 * core_host.c (elected node: enclave, chunks, receipt). Decisions themselves are pure functions in registry_run.c, election.c
 * and release.c. */
#ifndef PERIGEE_PROTO_CORE_H
#define PERIGEE_PROTO_CORE_H

#include "proto/event.h"
#include "proto/registry.h"
#include "proto/silence.h"
#include "proto/view.h"

struct core;

/* What a core needs for the time of a step and until its effects are done. Who steps many cores, one at a time, may lend them one room,
 * which outlives them. */
struct step_room {
    struct arena scratch,
        documents; /* what messages and effects hold; the registry's, for the time of a call */
    struct effect *effect;
    uint32_t effects;
};
size_t step_room_bytes(const struct caps *caps); /* NULL: caps_full */
MUST_USE enum err step_room_init(struct step_room *room, struct arena *arena, const struct caps *caps);

struct core_options {
    struct node_id self;
    struct consortium_id consortium;
    struct span charter;     /* version 1's bytes: they hash to the consortium id */
    struct span announce;    /* where others may dial this node, as proto/contact.h has it; empty: nowhere */
    bool compute;            /* offers an enclave */
    struct hash32 platform;  /* compute: platform id of the advert */
    struct span engine, gpu; /* compute: engine id, GPU description for the advert */
    uint32_t enclaves_max;   /* compute: runs at once */
    uint64_t salt;        /* secret: with it nobody outside can choose ids that fall together in its tables */
    enum silence silence; /* what the store's mark says: this key signs nothing any more */
    const struct caps *caps; /* its profile, static; NULL: caps_full */
    struct step_room *room;  /* made for this profile; NULL: its own */
    struct shelf *shelf;     /* of this consortium's, for all who hold its records; NULL: its own copies */
};

/* The arena must be at least core_arena_bytes(options->caps) of zeroed (sparse) memory and belongs to the core from now on. */
MUST_USE enum err core_new(struct core **out, struct arena *arena, const struct core_options *options);
size_t core_arena_bytes(const struct caps *caps); /* NULL: caps_full */
size_t core_registry_bytes(void);                 /* enough for a registry without a core and its chains */

void core_step(struct core *c, const struct event *event);
/* The effects of the last step, in order, until the next one of a core that uses the same room. */
const struct effect *core_effects(const struct core *c, uint32_t *count);
/* Memory that holds nothing any more. The caller makes it read as zero before the next step, or gives it back to a system that does:
 * it is the core's again then. */
struct span core_spare(struct core *c);
struct instant core_deadline(const struct core *c); /* when to send EVENT_TICK */
void core_check(const struct core *c);              /* every invariant */

/* --- Reading: for the API, on the same thread, between steps ------------------------------------------------------------- */
struct registry *core_registry(struct core *c);
const struct chain *core_chain(const struct core *c);
/* Over all that is held (PROTOCOL.md "Heads"): nodes with one root hold the same. */
struct hash32 core_root(struct core *c);
struct node_id core_self(const struct core *c);
const struct caps *core_caps(const struct core *c);
/* A custodian that has not compared heads with q-1 others since it started or was cut off from them for a lease. */
bool core_isolated(const struct core *c);
/* Own clock minus the median of the custodians', this node's among them if it is one. False: fewer than q are known. */
bool core_clock_offset(const struct core *c, int64_t *offset_ms);
/* Is a linked peer's clock, as it says, so far from that median that it answers nothing (`answers`: it is needed for that), or
 * further than two clocks may differ? Minus the median. */
bool core_peer_clock_off(const struct core *c, struct node_id node, bool answers, int64_t *offset_ms);
/* The platform that a compute member's newest advert names; this node's own too. False: none was heard lately, so that it offers
 * no enclaves, or is no peer of this node. */
bool core_advertised(const struct core *c, struct node_id node, struct hash32 *platform);
/* When a record of this node's was signed by a clock that went ahead: its date, before which no peer takes it or what follows
 * it. 0: none is dated further ahead than clocks may differ. */
uint64_t core_dated_ahead(const struct core *c);
/* Why this key signs nothing any more, for good; or SILENCE_NONE. */
enum silence core_silence(const struct core *c);
/* Does its clock, or a record that it has dated ahead, keep this node from signing, whatever else may? */
bool core_clock_stops(const struct core *c);
/* Why this node signs no records of its own now, or REFUSAL_NONE: what is wrong with its chain here, or, but for what takes back,
 * with its clock. */
enum refusal core_authoring(const struct core *c);
/* Why this node as a custodian neither votes nor releases now: silent or promise-lost for ever; isolated or clock; or REFUSAL_NONE. */
enum refusal core_standing(const struct core *c);

#define RUN_STATE_TABLE(X)                                                                                   \
    X(RUN_REQUESTED, "requested")                                                                            \
    X(RUN_ELIGIBLE, "eligible")                                                                              \
    X(RUN_ELECTED, "elected")                                                                                \
    X(RUN_ATTESTED, "attested")                                                                              \
    X(RUN_KEYED, "keyed")                                                                                    \
    X(RUN_COMPUTING, "computing")                                                                            \
    X(RUN_COMMITTED, "committed")                                                                            \
    X(RUN_RELEASED, "released")                                                                              \
    X(RUN_SETTLED, "settled")                                                                                \
    X(RUN_REFUSED, "refused")                                                                                \
    X(RUN_FAILED, "failed")                                                                                  \
    X(RUN_REVOKED, "revoked")                                                                                \
    X(RUN_EXPIRED, "expired")
#define RUN_STATE_ENUM(symbol, name) symbol,
enum run_state { RUN_STATE_TABLE(RUN_STATE_ENUM) RUN_STATE_COUNT };
#undef RUN_STATE_ENUM
const char *run_state_name(enum run_state s);

struct run_view {
    struct run_id run;
    enum run_state state;
    struct verdict verdict; /* why it is refused or failed, or what it waits for */
    uint64_t term;
    struct node_id node; /* elected, zero before */
    uint32_t bad_shares; /* bit per custodian whose signed shares its enclave found to be wrong */
    uint64_t entered_ms[RUN_STATE_COUNT]; /* wall clock when each state was first seen here; 0: not yet */
};
bool core_run(const struct core *c, struct run_id run, struct run_view *out);

struct join_request {
    struct body_MEMBER body;
    struct node_id author;
};
const struct join_request *core_join_at(const struct core *c, uint32_t index); /* the stewards' inbox */
/* It has asked to be admitted, and asks on until it is. */
bool core_asks_to_join(const struct core *c);
/* What members said of where they may be dialled, and how many of them this node dials. */
struct view_counts core_contacts(const struct core *c);
/* Should this node have a link with that one, whatever else it is linked with (PROTOCOL.md "Views")? */
bool core_party(struct core *c, struct node_id node);
/* Does it need links with custodians to do its part? Not where members are too many to be all linked, and it neither computes nor is
 * one; that it may want some for a while, to be heard, is no lack. */
bool core_needs_custodians(struct core *c);
/* Is it a lack when it has no link with that one? Of itself it says yes. */
bool core_needs_link(struct core *c, struct node_id node);
/* It is linked with no member; or, where it needs custodians, has not compared heads with enough of them. */
bool core_cut_off(struct core *c);
struct peer_view {
    struct node_id node;
    bool up;
    uint64_t own_seq; /* it has shown to hold this node's chain up to there */
    int64_t there_ns; /* when it last showed that it is there: its link came up, or its heads came */
};
const struct peer_view *core_peer_at(const struct core *c, uint32_t index);
/* Is this peer linked, and heard from within a lease (or three of its heads' turns, if that is longer)? `silent_ms` is for how
 * long it was not, 0 without a link. A link alone says that its machine is there, not that its node is. */
bool core_in_touch(const struct core *c, struct node_id peer, uint64_t *silent_ms);
enum keygen_phase { KEYGEN_IDLE, KEYGEN_ROUND1_SENT, KEYGEN_SIGNED, KEYGEN_DONE, KEYGEN_FAILED };
/* Bit i: custodian i has not answered yet; a part that it sent does not hold. */
enum keygen_phase core_keygen(const struct core *c, uint32_t *missing, uint32_t *wrong);

#endif
