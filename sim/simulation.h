/* simulation: production cores, each with a disk, a clock and links to others, under virtual time. They are driven by the
 * production pump; keyed work is done for real (sim/labour.h), enclaves are the production machines (sim/guest.h), people do what
 * the scenario says (sim/script.c), and properties are watched after every step (sim/watch.c).
 * It has one consortium or many, which are alike: each has its own keys, charter, study, people and watch, and its own part of the network's
 * chance. They share time, one agenda and one network, are founded at once or one by one, and end one by one; what happens in one touches
 * no other, and the nodes of one that has ended are gone.
 * Rules: everything follows from the scenario and the seed: no clock of this machine, no entropy, no address decides. Two runs of one
 * scenario and seed give the same trace hash, whatever the compiler. Nodes are numbered through all consortia, one after another.
 * Ownership: simulation_free. Errors: ERR_NO_MEMORY. Single-threaded. */
#ifndef PERIGEE_SIM_SIMULATION_H
#define PERIGEE_SIM_SIMULATION_H

#include "sim/census.h"
#include "sim/flow.h"
#include "sim/net.h"
#include "sim/papers.h"
#include "sim/scenario.h"

struct simulation;

struct simulation_counts {
    uint64_t now_ns, events, messages, bytes, records;
    uint64_t bytes_abroad; /* from one jurisdiction to another */
    uint32_t crashes, parts;
    uint64_t withheld, replayed, flooded;              /* messages, by those who break the protocol so */
    uint64_t bypassed;                                 /* records that nodes would not have signed */
    uint32_t runs_requested, runs_settled, runs_ended; /* ended: refused, failed, revoked, expired */
    uint32_t runs_barred;   /* of a recipe of another output type: refused before they came to be */
    const char *barred_for; /* why; NULL: none was asked for */
    uint64_t settle_ms_least, settle_ms_median,
        settle_ms_most; /* from the request to the receipt, at the requester */
    uint64_t formed_ms; /* when the first run was asked for; in whichever consortium */
};

struct simulation_run_view {
    struct run_id run;
    uint32_t number;               /* from 1, as many for each consortium as the scenario wants */
    uint64_t asked_ms, settled_ms; /* settled: 0, it has not */
    bool ended;
};
struct simulation_progress {
    uint64_t virtual_ms, virtual_ms_planned,
        events;                /* planned: if each run is over when the next is asked for */
    uint32_t runs_ended, runs; /* settled or ended otherwise, of those that the scenario wants */
};

MUST_USE enum err simulation_new(struct simulation **out, struct arena *arena,
                                 const struct scenario *scenario, uint64_t seed, struct json_fault *fault);
void simulation_free(struct simulation *s);

/* Count for results from here on, that is before the first event; `work`: each piece of keyed work by itself, too. */
MUST_USE enum err simulation_count(struct simulation *s, bool work);
const struct census *simulation_census(const struct simulation *s); /* NULL: nothing was counted */

/* On for so many events at most. False: it has ended: all runs have, or time is up, or a property does not hold, or there is an error. */
bool simulation_run(struct simulation *s, uint64_t events);
enum err simulation_error(const struct simulation *s);
/* Of the property that does not hold: its name and what was seen; NULL: all do. */
const char *simulation_violation(const struct simulation *s);
struct simulation_progress simulation_progress(const struct simulation *s);
uint32_t simulation_founded(const struct simulation *s); /* so many consortia, the first ones, were so far */
uint32_t simulation_run_count(const struct simulation *s); /* asked for so far */
struct simulation_run_view simulation_run_at(const struct simulation *s, uint32_t index);
/* Of a run of this node's consortium; 0: it is none. */
uint32_t simulation_run_number(const struct simulation *s, uint32_t node, struct run_id run);
void simulation_counts(const struct simulation *s, struct simulation_counts *out);
/* Over every event in its order, and what every node holds at the end; of many consortia over the hash of each. */
struct hash32 simulation_hash(const struct simulation *s);
struct hash32 simulation_hash_of(const struct simulation *s, uint32_t consortium);
/* Who came to hold what of whose rows. Of a consortium that was founded, as all that follows. */
const struct flow *simulation_flow(const struct simulation *s, uint32_t consortium);
/* Of a message that is sent where there is no protocol; NULL: none of these. */
const char *simulation_plain_name(uint8_t code);
/* The least number of custodians beside its owner whose shares together open this dataset's key, tried; 0: all do not. */
uint32_t simulation_together(const struct simulation *s, uint32_t consortium, uint32_t dataset);
const struct papers *simulation_papers(const struct simulation *s, uint32_t consortium);
struct net_traffic simulation_traffic(const struct simulation *s, uint32_t from_region, uint32_t to_region);

#endif
