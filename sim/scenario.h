/* scenario: what a simulation is of, scenario/1 (docs/SIMULATION.md "Scenarios"): who takes part, where they are, what they
 * do and what goes wrong. Canonical JSON here; the command line makes that of a YAML file.
 * Many alike are said once, with how many they are, and are parties as any other from then on. So are many consortia, which stay as they are said.
 * Rules: everything is bounded and checked before anything is simulated; an unknown key, a region that is not in the table, a
 * charter under which quorums do not intersect are refused with the path and what was expected. Thresholds that are not given
 * follow from the parties: f the most that n custodians bear, q and t as many as n - f, s a majority, k two.
 * Ownership: everything lives in the arena. Errors: the JSON reader's. Pure. */
#ifndef PERIGEE_SIM_SCENARIO_H
#define PERIGEE_SIM_SCENARIO_H

#include "proto/base/arena.h"
#include "proto/base/json.h"
#include "sim/regions.h"

/* How far the clocks of a consortium may drift from true time: each node's leases count on it. */
enum { SCENARIO_DRIFT_PPM = 200 };

enum {
    SCENARIO_BYTES_MAX = 256 * 1024, /* of canonical JSON; a YAML file has the same limit */
    SCENARIO_PARTIES_MAX = 16384,    /* of a consortium */
    SCENARIO_NODES_MAX = 131072,     /* of all consortia */
    SCENARIO_LINKED_MAX = 64,        /* of a consortium: up to so many are all linked with each other */
    SCENARIO_RUNS_MAX = 1000,
    SCENARIO_ROWS_MAX = 100000,
    SCENARIO_FAULTS_MAX = 256,
    SCENARIO_TIMES_MAX = 1000, /* of one fault */
    SCENARIO_LATENCY_MS = 2,
    SCENARIO_KBPS = 1000000,
    SCENARIO_ENCLAVES = 2,
};

/* Parties that are said once, with `count`. */
struct scenario_kind {
    struct span name;
    uint32_t count; /* they are called NAME-1 to NAME-COUNT, and stand beside each other in this order */
    uint32_t region_count, region[REGIONS_COUNT]; /* over which they are spread, in turn */
};

struct scenario_party {
    struct span name, jurisdiction;
    const struct scenario_kind *kind; /* NULL: it is said by itself */
    uint32_t region;                  /* of sim/regions.h */
    uint32_t roles;                   /* proto/charter.h enum role bits */
    uint32_t rows;                    /* owners: of its dataset; 0: it brings none */
    int32_t drift_ppm;                /* of its clocks against true time */
    /* Of its access link, one way, both ways alike. 0: SCENARIO_LATENCY_MS, SCENARIO_KBPS, and no loss. */
    uint32_t latency_ms, bandwidth_kbps, loss_ppm;
    uint32_t enclaves;      /* compute: runs at once; 0: SCENARIO_ENCLAVES */
    uint32_t speed_percent; /* compute: of study.compute_ms; 0: 100 */
    uint32_t maker;         /* a device: the party that admits it */
    uint32_t devices;       /* a maker: how many it admits */
    bool refuses;           /* an owner with rows: it never approves the recipe */
    bool veto;              /* an owner with rows: its own node keeps half of the data's key */
};

/* X(symbol, name, whom it names, does it last for for_ms) */
#define SCENARIO_FAULT_TABLE(X)                                                                              \
    X(FAULT_CRASH, "crash", FAULT_OF_PARTY, true)    /* the process is killed and started again then */      \
    X(FAULT_PART, "part", FAULT_OF_SIDE, true)       /* all links to everybody else are cut */               \
    X(FAULT_SPLIT, "split", FAULT_OF_PAIR, true)     /* the links between two sides are cut */               \
    X(FAULT_ELECTED, "elected", FAULT_OF_NONE, true) /* a crash of whichever node is elected then */         \
    X(FAULT_FULL, "full", FAULT_OF_PARTY, true)      /* its disk takes nothing more */                       \
    X(FAULT_CLOCK, "clock", FAULT_OF_PARTY, true)    /* its wall clock is wrong by `by_ms` */                \
    X(FAULT_REVOKE, "revoke", FAULT_OF_OWNER, false) /* it takes back `target`, at a time or in a phase */   \
    X(FAULT_ROGUE, "rogue", FAULT_OF_COMPUTE, true)  /* asks for votes in terms old, current and to come */  \
    X(FAULT_TWIN, "twin", FAULT_OF_COMPUTE, true)    /* starts two enclaves under one certificate */         \
    X(FAULT_FORGE, "forge", FAULT_OF_COMPUTE, true)  /* gives its enclaves a certificate short of a vote */  \
    X(FAULT_STALE, "stale", FAULT_OF_COMPUTE, true)  /* its enclaves show evidence of long ago */            \
    X(FAULT_FAKE, "fake", FAULT_OF_COMPUTE, true)    /* ... of a worker that nobody has registered */        \
    X(FAULT_RELAY, "relay", FAULT_OF_COMPUTE, true)  /* ... that was made for another enclave's keys */      \
    X(FAULT_STALL, "stall", FAULT_OF_COMPUTE,                                                                \
      true) /* nothing goes to its enclaves, nothing comes from them */                                      \
    X(FAULT_GARBLE, "garble", FAULT_OF_OWNER, true) /* it serves wrong bytes for its sealed data */          \
    X(FAULT_STARVE, "starve", FAULT_OF_OWNER, true) /* ... none */                                           \
    X(FAULT_DOUBLE, "double", FAULT_OF_CUSTODIAN,                                                            \
      true)                                       /* votes for whoever asks, whatever it has promised */     \
    X(FAULT_LAX, "lax", FAULT_OF_CUSTODIAN, true) /* gives shares, leases and commits to whoever asks */     \
    X(FAULT_RETYPE, "retype", FAULT_OF_NONE,                                                                 \
      false) /* a recipe that lets rows out is published and asked for */                                    \
    X(FAULT_WITHHOLD, "withhold", FAULT_OF_PARTY,                                                            \
      true) /* announces as ever, answers no question for records, passes none on */                         \
    X(FAULT_REPLAY, "replay", FAULT_OF_PARTY,                                                                \
      true) /* sends what it was told or sent in the last seconds again, to everybody */                     \
    X(FAULT_FLOOD, "flood", FAULT_OF_PARTY,                                                                  \
      true) /* sends announcements, heads and joins that it made up, `per_second` times */                   \
    X(FAULT_EQUIVOCATE, "equivocate", FAULT_OF_LESSER,                                                       \
      false) /* signs a second record in the place of its last, and shows it to half of those linked */      \
    X(FAULT_LOSE, "lose", FAULT_OF_PARTY, false) /* it falls for good, once a run was asked for */           \
    X(FAULT_PROBE, "probe", FAULT_OF_ASKER,                                                                  \
      true) /* asks for runs in slots that are spent, or that nobody allotted, round its node */             \
    X(FAULT_SYBIL, "sybil", FAULT_OF_MAKER, true) /* admits keys that it made up, round its node */          \
    X(FAULT_SPOIL, "spoil", FAULT_OF_PLAIN, true) /* publishes the receipts of others with a bit changed */  \
    X(FAULT_ECLIPSE, "eclipse", FAULT_OF_PAIR,                                                               \
      true) /* dials the others all the time, shows them contacts of its like alone, and withholds */
#define SCENARIO_FAULT_ENUM(symbol, name, whom, lasts) symbol,
enum scenario_fault_kind { SCENARIO_FAULT_TABLE(SCENARIO_FAULT_ENUM) FAULT_KIND_COUNT };
#undef SCENARIO_FAULT_ENUM
enum scenario_fault_whom {
    FAULT_OF_NONE,
    FAULT_OF_PARTY,
    FAULT_OF_SIDE,  /* as one: links between its parties stand */
    FAULT_OF_PAIR,  /* of sides */
    FAULT_OF_OWNER, /* one that brings rows */
    FAULT_OF_COMPUTE,
    FAULT_OF_CUSTODIAN,
    FAULT_OF_LESSER, /* one on whose records no membership, thresholds or device hang */
    FAULT_OF_PLAIN,  /* one whose node signs nothing of its own accord: none that computes, no custodian */
    FAULT_OF_ASKER,  /* such a requester */
    FAULT_OF_MAKER   /* such a maker */
};
/* Whom a fault names: a party, all of one kind, of a jurisdiction or of a region; of these it befalls each that it can befall. */
enum scenario_by { BY_PARTY, BY_JURISDICTION, BY_REGION, BY_COUNT };
struct scenario_side {
    enum scenario_by by;
    uint32_t party, region; /* as `by` says */
    uint32_t more;          /* BY_PARTY: so many behind it, which are of its kind; 0: it is one */
    struct span jurisdiction;
};
enum scenario_fault_whom scenario_fault_whom(enum scenario_fault_kind kind);
bool scenario_fault_lasts(enum scenario_fault_kind kind);

/* What an owner takes back. */
enum scenario_target { TARGET_APPROVAL, TARGET_RECIPE, TARGET_DATASET, TARGET_ALL, TARGET_COUNT };

struct scenario_fault {
    enum scenario_fault_kind kind;
    struct scenario_side of, other; /* as the kind says */
    uint32_t consortium;            /* from 1; 0: each */
    uint32_t at_ms, for_ms;
    uint32_t again, every_ms;    /* so often after the first time, so far apart */
    bool oneway;                 /* FAULT_PART, FAULT_SPLIT: nothing comes from `of`, all comes to it */
    int32_t by_ms;               /* FAULT_CLOCK */
    uint32_t per_second;         /* FAULT_FLOOD; 0: as many as sim/adversary.c says */
    enum scenario_target target; /* FAULT_REVOKE */
    uint32_t
        phase; /* FAULT_REVOKE: not before an enclave says so (enum run_state); RUN_STATE_COUNT: at at_ms */
};

/* How the study is run: by the protocol, or by sending all rows to one machine, in plaintext (sim/central.c). */
enum scenario_trust { TRUST_FEDERATED, TRUST_CENTRAL, TRUST_COUNT };
extern const char *const scenario_trust_names[TRUST_COUNT];
extern const char scenario_one_expected[]; /* of `consortia`, where the trust is central */

/* How signatures are made and checked (sim/notary.h); all other keyed work is computed. */
enum scenario_crypto { SCENARIO_CRYPTO_REAL, SCENARIO_CRYPTO_MODELLED, SCENARIO_CRYPTO_COUNT };
extern const char *const scenario_crypto_names[SCENARIO_CRYPTO_COUNT];
enum { SCENARIO_UNSAID_MAX = 1000 }; /* of parties: with more of them it must be said */

struct scenario {
    struct span name, description;
    enum scenario_trust trust;
    enum scenario_crypto crypto;
    uint32_t consortia;        /* so many are founded, each by parties like these */
    uint32_t founded_every_ms; /* one after another; 0: all at once */
    uint32_t party_count;
    struct scenario_party *party;
    uint32_t f, k, q, s, t; /* of the charter */
    uint32_t lease_ms, rank_delay_ms, skew_max_ms;
    uint32_t maker_devices; /* the most that one maker has here; 0: there are none */
    uint64_t epsilon_nano;  /* of one run */
    uint32_t runs, every_ms;
    uint32_t compute_ms; /* what one computation takes */
    uint32_t expires_ms; /* a run is over so long after it was asked for; 0: a day */
    bool race;           /* every requester asks for runs, and they meet in slots */
    bool go_on; /* runs are asked for after an owner took back, of the others' data, while k are left */
    uint32_t loss_ppm;
    uint32_t fault_count;
    struct scenario_fault *fault;
    uint32_t for_ms; /* of virtual time, at most */
};

MUST_USE enum err scenario_parse(struct scenario **out, struct arena *arena, struct span bytes,
                                 struct json_fault *fault);
/* The canonical text of it, which scenario_parse takes. ERR_TOO_LARGE. */
MUST_USE enum err scenario_write(struct buffer *out, const struct scenario *s);
uint32_t scenario_nodes(const struct scenario *s); /* parties of all consortia */
/* What it is for the consortium of this number, from 0: parties of a kind stand that many regions further on in their list.
 * `s` itself, or from the arena. ERR_NO_MEMORY. */
MUST_USE enum err scenario_turned(const struct scenario **out, struct arena *arena, const struct scenario *s,
                                  uint32_t consortium);
/* Does this fault befall this party? For links: is it on this side? */
bool scenario_befalls(const struct scenario *s, const struct scenario_fault *f, uint32_t party);
bool scenario_has(const struct scenario *s, const struct scenario_side *side, uint32_t party);
/* What a node that computes has: runs at once, and the time that one computation takes. */
uint32_t scenario_enclaves(const struct scenario_party *p);
uint64_t scenario_compute_ns(const struct scenario *s, const struct scenario_party *p);
uint32_t scenario_willing(const struct scenario *s); /* owners with rows that approve */
/* How many parties have one of these roles. */
uint32_t scenario_count(const struct scenario *s, uint32_t roles);

#endif
