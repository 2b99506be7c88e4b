/* simulation_state: what the files of one simulation share.
 *  simulation.c  time, parcels, links, faults, the trace
 *  station.c     one node: its core and the executors of the production pump
 *  script.c      what people do at it
 *  watch.c       what must hold (DESIGN §13) */
#ifndef PERIGEE_SIM_SIMULATION_STATE_H
#define PERIGEE_SIM_SIMULATION_STATE_H

#include "proto/pump.h"
#include "sim/agenda.h"
#include "sim/census.h"
#include "sim/chance.h"
#include "sim/disk.h"
#include "sim/guest.h"
#include "sim/labour.h"
#include "sim/net.h"
#include "sim/simulation.h"

#define SIMULATION_START_MS UINT64_C(1767225600000)

enum {
    PARCELS_MAX = 1 << 20,
    GUESTS_MAX = 512, /* at once */
    VIOLATION_MAX = 256,
    LOCAL_NS = 50000, /* from one part of a node to another */
};

/* Bytes that several parcels share. */
struct slice {
    uint32_t refs;
    size_t len;
    uint8_t bytes[];
};
/* An event for a node, until its time. */
struct parcel {
    enum event_type type;
    uint32_t incarnation, from;
    uint64_t link; /* of a message: both ends' when it was sent */
    uint64_t token;
    enum err err;
    struct run_id run;
    struct slice *slice; /* NULL: no bytes */
    struct command *command;
    uint32_t next_free_plus_one;
};
/* What comes up in the agenda beside parcels, for whom it names. */
enum {
    WHAT_TICK = PARCELS_MAX,
    WHAT_SYNC,
    WHAT_SCRIPT,
    WHAT_RESTART,
    WHAT_REJOIN,
    WHAT_FAULT, /* which one */
    WHAT_GUEST, /* which one */
};

/* Deeds of a script, in the order in which they come up. */
#define DEED_TABLE(X)                                                                                        \
    X(DEED_CHARTER)                                                                                          \
    X(DEED_JOIN)                                                                                             \
    X(DEED_ADMIT)                                                                                            \
    X(DEED_KEYGEN)                                                                                           \
    X(DEED_WORKERS)                                                                                          \
    X(DEED_OP)                                                                                               \
    X(DEED_DATASET)                                                                                          \
    X(DEED_APP)                                                                                              \
    X(DEED_WORKFLOW)                                                                                         \
    X(DEED_GRANT)                                                                                            \
    X(DEED_JOB)                                                                                              \
    X(DEED_ENDORSE)                                                                                          \
    X(DEED_BIND)                                                                                             \
    X(DEED_APPROVE)
#define DEED_ENUM(symbol) symbol,
enum deed { DEED_TABLE(DEED_ENUM) DEED_COUNT };
#undef DEED_ENUM

struct station {
    struct simulation *simulation;
    const struct player *player;
    uint32_t number, incarnation;
    struct core *core; /* NULL: it is down */
    struct arena arena;
    struct pump_executors executors;
    struct disk *disk;
    struct chance disk_chance;
    struct labour labour;
    uint64_t busy_ns; /* its keyed work, until then */
    uint64_t tick_ns; /* the next in the agenda; UINT64_MAX: none */
    bool sync_due;
    uint64_t links;     /* rises whenever its links break: what was on them is gone */
    uint32_t cut;       /* of the network, plus one; 0: it is not cut off */
    struct slice *said; /* last sent: one message to many is one slice */
    const uint8_t *said_at;
    /* Its script. */
    bool deed_done[DEED_COUNT];
    bool admitted[SCENARIO_PARTIES_MAX]; /* by this steward's word */
    uint32_t admitting;
    uint64_t keygen_ns; /* before then it is not begun again */
    uint64_t waiting;   /* token of the command under way; 0: none */
    int doing;          /* enum deed, DEED_COUNT: a run */
    uint64_t pause_ns;
    struct record_id *own; /* what it ever showed, by seq, for the watch */
    uint64_t own_count;
};

struct guest_place {
    struct simulation *simulation;
    struct guest *guest; /* NULL: gone */
    uint32_t station;
    struct run_id run;
    uint64_t term, due_ns;
};

struct run_watch {
    struct run_id run;
    uint64_t asked_ms, settled_ms;
    bool committed, ended;
    struct hash32 commitment;
};

struct simulation {
    const struct scenario *scenario;
    struct arena *arena;
    struct cast *cast;
    struct papers *papers;
    struct agenda *agenda;
    struct net *net;
    struct chance net_chance;
    uint64_t now_ns, token, end_ns;
    struct station *station;
    uint32_t count;
    struct parcel *parcel;
    uint32_t parcel_count, free_plus_one;
    struct guest_place guest[GUESTS_MAX];
    uint32_t guest_count;
    uint64_t guests_started;
    struct run_watch *run;
    uint32_t run_count;
    uint64_t opened[CAP_INPUTS]; /* how often an enclave had this dataset's rows in plaintext */
    struct simulation_counts counts;
    struct census *census; /* NULL: nobody asked for results */
    struct sha256_stream trace;
    char violation[VIOLATION_MAX];
    bool ended;
};

/* simulation.c */
uint64_t simulation_wall_ms(const struct simulation *s);
struct slice *slice_of(struct span bytes);
void slice_drop(struct slice *slice);
void simulation_later(struct simulation *s, uint64_t at_ns, uint32_t who, uint32_t what);
/* The slice is the parcel's from now on. */
void simulation_post(struct simulation *s, uint64_t at_ns, uint32_t to, const struct parcel *parcel);
void simulation_tell_links(struct simulation *s, uint32_t number, bool up);
bool simulation_linked(const struct simulation *s, uint32_t a, uint32_t b);
uint64_t simulation_link(const struct simulation *s, uint32_t a,
                         uint32_t b);                  /* another one after each break */
void guest_drop(struct simulation *s, uint32_t index); /* it is gone, and nobody is told */
void guest_end(struct simulation *s, uint32_t index);
void guest_schedule(struct simulation *s, uint32_t index);

/* station.c */
MUST_USE enum err station_begin(struct station *n, struct simulation *s, uint32_t number);
void station_start(struct station *n);
void station_crash(struct station *n);
void station_free(struct station *n);
void station_event(struct station *n, struct event event);
void station_tick(struct station *n);

/* script.c */
void script_turn(struct station *n);
void script_reply(struct station *n, uint64_t token, struct verdict verdict, struct hash32 id);
bool script_over(const struct simulation *s); /* all runs were asked for and have ended */

/* watch.c */
__attribute__((format(printf, 3, 4))) void watch_violation(struct simulation *s, const char *property,
                                                           const char *format, ...);
void watch_message(struct station *n, uint32_t to, struct span message);
void watch_result(struct station *n, struct run_id run, struct span receipt);
void watch_leases(struct simulation *s, struct run_id run);
void watch_runs(struct station *n); /* the requester's view */
bool watch_converged(struct simulation *s);

#endif
