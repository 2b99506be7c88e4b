/* scenario: what a simulation is of, scenario/1 (docs/SIMULATION.md "Scenarios"): who takes part, where they are, what they
 * do and what goes wrong. Canonical JSON here; the command line makes that of a YAML file.
 * Rules: everything is bounded and checked before anything is simulated; an unknown key, a region that is not in the table, a
 * charter under which quorums do not intersect are refused with the path and what was expected. Thresholds that are not given
 * follow from the parties: f the most that n custodians bear, q and t as many as n - f, s a majority, k two.
 * Ownership: everything lives in the arena. Errors: the JSON reader's. Pure. */
#ifndef PERIGEE_SIM_SCENARIO_H
#define PERIGEE_SIM_SCENARIO_H

#include "proto/base/arena.h"
#include "proto/base/json.h"

enum {
    SCENARIO_BYTES_MAX = 256 * 1024, /* of canonical JSON; a YAML file has the same limit */
    SCENARIO_PARTIES_MAX = 64,
    SCENARIO_RUNS_MAX = 1000,
    SCENARIO_ROWS_MAX = 100000,
    SCENARIO_FAULTS_MAX = 256,
};

struct scenario_party {
    struct span name, jurisdiction;
    uint32_t region; /* of sim/regions.h */
    uint32_t roles;  /* proto/charter.h enum role bits */
    uint32_t rows;   /* owners: of its dataset; 0: it brings none */
};

#define SCENARIO_FAULT_TABLE(X)                                                                              \
    X(FAULT_CRASH, "crash")     /* the process is killed and started again after for_ms */                   \
    X(FAULT_PART, "part")       /* its links are cut for for_ms */                                           \
    X(FAULT_ELECTED, "elected") /* a crash of whichever node is elected then */
#define SCENARIO_FAULT_ENUM(symbol, name) symbol,
enum scenario_fault_kind { SCENARIO_FAULT_TABLE(SCENARIO_FAULT_ENUM) FAULT_KIND_COUNT };
#undef SCENARIO_FAULT_ENUM

struct scenario_fault {
    enum scenario_fault_kind kind;
    uint32_t party; /* its index; of FAULT_ELECTED unused */
    uint32_t at_ms, for_ms;
};

struct scenario {
    struct span name, description;
    uint32_t party_count;
    struct scenario_party *party;
    uint32_t f, k, q, s, t; /* of the charter */
    uint32_t lease_ms, rank_delay_ms, skew_max_ms;
    uint64_t epsilon_nano; /* of one run */
    uint32_t runs, every_ms;
    uint32_t compute_ms; /* what one computation takes */
    uint32_t loss_ppm;
    uint32_t fault_count;
    struct scenario_fault *fault;
    uint32_t for_ms; /* of virtual time, at most */
};

MUST_USE enum err scenario_parse(struct scenario **out, struct arena *arena, struct span bytes,
                                 struct json_fault *fault);
/* How many parties have one of these roles. */
uint32_t scenario_count(const struct scenario *s, uint32_t roles);

#endif
