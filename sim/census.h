/* census: what a simulation counts for its results. It is told by the files of a simulation, decides nothing and changes nothing: a run
 * with it and one without have the same hash.
 * Rules: every list has an end, and what finds no place there is counted; integers only, by virtual time. Functions that are told
 * something take NULL for a census that nobody asked for, and then cost a comparison.
 * Ownership: census_free. Memory that runs out stops the program. Single-threaded. */
#ifndef PERIGEE_SIM_CENSUS_H
#define PERIGEE_SIM_CENSUS_H

#include "proto/core.h"
#include "sim/spread.h"

enum {
    CENSUS_BIRTHS_MAX = 1 << 20,    /* records whose way is measured */
    CENSUS_ELECTIONS_MAX = 1 << 14, /* enclaves that were started */
    CENSUS_MOMENTS_MAX = 1 << 12,
    CENSUS_WORK_MAX = 1 << 19, /* pieces of keyed work that are kept, where that was asked for */
    CENSUS_CODES = 256,
};

struct census;
struct census_options {
    uint32_t node_count, region_count;
    bool work; /* keep each piece of keyed work, too */
};

struct census_traffic {
    uint64_t messages, bytes;
};
struct census_node {
    uint32_t region;
    struct census_traffic sent;
    uint64_t received, again; /* chained records that came; that it held already */
    uint64_t applied;         /* those of others that took effect here */
    uint64_t work_ns;
    uint32_t crashes, cuts;
};
/* Phases of an enclave, in their order; 0 for one that was not reached. */
#define CENSUS_PHASE_TABLE(X)                                                                                \
    X(PHASE_ELECTED, "elected", "attest")                                                                    \
    X(PHASE_ATTESTED, "attested", "ask for keys")                                                            \
    X(PHASE_KEYED, "keyed", "fetch and open inputs")                                                         \
    X(PHASE_COMPUTING, "computing", "compute and commit")                                                    \
    X(PHASE_COMMITTED, "committed", "let out")                                                               \
    X(PHASE_GONE, "gone", "")
#define CENSUS_PHASE_ENUM(symbol, name, then) symbol,
enum census_phase { CENSUS_PHASE_TABLE(CENSUS_PHASE_ENUM) PHASE_COUNT };
#undef CENSUS_PHASE_ENUM
struct census_election {
    struct run_id run;
    uint64_t term;
    uint32_t node;
    uint64_t at_ns[PHASE_COUNT];
};
#define CENSUS_MOMENT_TABLE(X)                                                                               \
    X(MOMENT_CRASHED, "crashed")                                                                             \
    X(MOMENT_STARTED, "started again")                                                                       \
    X(MOMENT_CUT, "cut off")                                                                                 \
    X(MOMENT_LINKED, "linked again")
#define CENSUS_MOMENT_ENUM(symbol, name) symbol,
enum census_moment_kind { CENSUS_MOMENT_TABLE(CENSUS_MOMENT_ENUM) MOMENT_COUNT };
#undef CENSUS_MOMENT_ENUM
struct census_moment {
    uint64_t at_ns;
    uint32_t node;
    enum census_moment_kind kind;
};
struct census_work {
    uint64_t asked_ns, from_ns, to_ns;
    uint32_t node;
    enum crypto_op op;
};
/* What was left out for want of room, or could not be measured. */
struct census_missed {
    uint64_t deliveries, elections, moments, work;
};

MUST_USE enum err census_new(struct census **out, const struct census_options *options);
void census_free(struct census *t);
void census_place(struct census *t, uint32_t node, uint32_t region);

/* --- Being told ---------------------------------------------------------------------------------------------------------- */

void census_sent(struct census *t, uint32_t from, struct span message, uint64_t bytes);
/* The header in a message that carries a chained record; false: it is another. */
bool census_chained(struct header *out, struct span message);
void census_received(struct census *t, uint32_t to, bool held);
/* A record of this node's own goes to its disk; what waits there under this token has arrived, or err. */
void census_keeping(struct census *t, uint32_t node, uint64_t token, struct span id);
void census_kept(struct census *t, uint32_t node, uint64_t token, enum err err, uint64_t now_ns);
/* A record took effect at this node. */
void census_applied(struct census *t, uint32_t node, struct hash32 id, uint64_t now_ns);
void census_elected(struct census *t, uint32_t node, struct run_id run, uint64_t term, uint64_t now_ns);
/* Its enclave says so, or is gone. */
void census_reached(struct census *t, uint32_t node, struct run_id run, uint64_t term,
                    enum census_phase phase, uint64_t now_ns);
/* The phase that a frame of the enclave's tells of; false: of none. */
bool census_phase_of(enum census_phase *out, struct span frame);
void census_worked(struct census *t, const struct census_work *work);
void census_happened(struct census *t, uint32_t node, enum census_moment_kind kind, uint64_t now_ns);

/* --- Reading; of a census that is there ------------------------------------------------------------------------------------ */

const struct census_node *census_node(const struct census *t, uint32_t node);
struct census_traffic census_message(const struct census *t, uint8_t code); /* all but RECORD */
struct census_traffic census_kind(const struct census *t, uint8_t kind);    /* what RECORD carried */
/* Microseconds from when a record was on its author's disk to when it took effect elsewhere. */
const struct spread *census_delay(const struct census *t);
const struct spread *census_delay_between(const struct census *t, uint32_t from_region, uint32_t to_region);
const struct census_election *census_elections(const struct census *t, uint32_t *count);
const struct census_moment *census_moments(const struct census *t, uint32_t *count);
const struct census_work *census_work(const struct census *t, uint32_t *count);
struct census_missed census_missed(const struct census *t);
const char *census_phase_name(enum census_phase phase);
const char *census_phase_then(enum census_phase phase); /* what is done in it */
const char *census_moment_name(enum census_moment_kind kind);

#endif
