/* results: what came of a simulation, in one place for all that show it: the report (sim/report.h), CSV (sim/sheet.h), the page
 * (sim/page.h), the trace (sim/trace.h). Tables are described once, here.
 * Rules: nothing of the machine that ran it is in here, so that one scenario and seed give the same bytes everywhere. Without a census
 * (sim/census.h) only what the simulation itself knows is there.
 * Ownership: borrows the simulation. Single-threaded. */
#ifndef PERIGEE_SIM_RESULTS_H
#define PERIGEE_SIM_RESULTS_H

#include "sim/sheet.h"
#include "sim/simulation.h"

struct results {
    struct simulation *simulation;
    const struct scenario *scenario;
    const struct census *census;  /* NULL: nothing was counted */
    const struct results *beside; /* the same study under the other trust; NULL: it was not run */
    uint64_t seed;
    bool interrupted;
    struct simulation_counts counts;
    const char *violation; /* NULL: every property held */
    struct hash32 hash;
};

/* X(symbol, name, counted, caption, columns): the name of the CSV file and of the member of the report; whether it needs a census. */
#define RESULTS_TABLE(X)                                                                                     \
    X(RESULTS_ELECTIONS, "elections", true, "Elections: each certificate and how far its enclave came",      \
      "run,term,node,elected_ms,attested_ms,keyed_ms,computing_ms,committed_ms,gone_ms")                     \
    X(RESULTS_EXPOSURE, "exposure", false, "Who had rows in plaintext beside their owner",                   \
      "owner,rows,enclaves,together")                                                                        \
    X(RESULTS_FAULTS, "faults", true, "Crashes and partitions", "at_ms,node,what")                           \
    X(RESULTS_KINDS, "kinds", true, "What was sent, by kind", "kind,messages,bytes")                         \
    X(RESULTS_LATENCY, "latency", true, "Delivery latency of records", "least_us,most_us,deliveries")        \
    X(RESULTS_MODES, "modes", false, "With the protocol, and beside it at one machine that is trusted",      \
      "trust,formed_ms,settled,settle_median_ms,settle_most_ms,messages,bytes,bytes_abroad,"                 \
      "plaintext_abroad,sealed_abroad,readers,together")                                                     \
    X(RESULTS_NODES, "nodes", true, "Nodes",                                                                 \
      "node,region,messages,bytes,received,held_already,took_effect,keyed_work_us,crashes,cuts")             \
    X(RESULTS_PATHS, "paths", false, "Between regions",                                                      \
      "from,to,round_trip_us,messages,bytes,lost,retransmitted,deliveries,p50_us,p99_us")                    \
    X(RESULTS_READERS, "readers", false, "Who came to hold what of whose rows",                              \
      "trust,party,owner,readable_rows,how,times")                                                           \
    X(RESULTS_TIMELINE, "timeline", false, "Runs",                                                           \
      "run,state,requested_ms,elected_ms,keyed_ms,committed_ms,settled_ms,term,certificates,node")
#define RESULTS_ENUM(symbol, name, counted, caption, columns) symbol,
enum results_table { RESULTS_TABLE(RESULTS_ENUM) RESULTS_TABLE_COUNT };
#undef RESULTS_ENUM

struct results results_of(struct simulation *s, const struct scenario *scenario, uint64_t seed,
                          bool interrupted);

const char *results_name(enum results_table t);
bool results_has(const struct results *r, enum results_table t);
void results_write(const struct results *r, enum results_table t, struct sheet *sheet);

/* A run, with the election that decided it: the one whose enclave committed, or else the last. */
struct results_run {
    struct simulation_run_view view;
    const struct census_election *election; /* NULL: none, or nothing was counted */
    uint32_t certificates;
};
struct results_run results_run(const struct results *r, uint32_t index);
/* Its name; where there are several consortia with the number of its own, NAME@2, in `room`. */
enum { RESULTS_NAME_CHARS = CAP_NAME + 8 };
struct results_name {
    char text[RESULTS_NAME_CHARS];
};
struct span results_party(const struct results *r, uint32_t node, struct results_name *room);
/* The number that a run has in the tables, from 1; 0: it is none of these. */
uint32_t results_number(const struct results *r, const struct census_election *e);

/* What one kind of message took; sorted by bytes, most first. */
enum { RESULTS_KINDS_MAX = 96, RESULTS_KIND_CHARS = 48 };
struct results_kind {
    char name[RESULTS_KIND_CHARS];
    struct census_traffic sent;
};
uint32_t results_kinds(const struct results *r, struct results_kind out[RESULTS_KINDS_MAX]);

#endif
