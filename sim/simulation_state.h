/* simulation_state: what the files of one simulation share.
 *  simulation.c  the world: time, the agenda, parcels, the network; what came of all its consortia
 *  consortium.c  one of them: what comes up in it, its trace, its beginning and its end
 *  links.c       who is linked with whom
 *  station.c     one node: its core and the executors of the production pump
 *  script.c      what people do at it
 *  fault.c       what goes wrong, and hosts that cheat
 *  adversary.c   members that break the protocol in what they send
 *  central.c     the same study without the protocol, at one machine that is trusted
 *  watch*.c      what must hold (DESIGN §13); ledger.c is what they go by */
#ifndef PERIGEE_SIM_SIMULATION_STATE_H
#define PERIGEE_SIM_SIMULATION_STATE_H

#include "proto/pump.h"
#include "sim/agenda.h"
#include "sim/census.h"
#include "sim/chance.h"
#include "sim/disk.h"
#include "sim/flow.h"
#include "sim/guest.h"
#include "sim/labour.h"
#include "sim/ledger.h"
#include "sim/net.h"
#include "sim/pairs.h"
#include "sim/simulation.h"

#define SIMULATION_START_MS UINT64_C(1767225600000)

enum {
    PARCELS_LEAST = 1 << 20, /* under way at once; in a large world so many a node */
    PARCELS_A_NODE = 64,
    GUESTS_MAX = 512, /* at once, of a consortium */
    CHECKED_MAX = 64, /* of all nodes: so many are checked after every event */
    MANY_NODES = 64,  /* more of them have less memory each */
    VIOLATION_MAX = 256,
    LOCAL_NS = 50000,    /* from one part of a node to another */
    FRAME_OVERHEAD = 40, /* of a link: length, type, tag */
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
/* What comes up in the agenda, for whom it names. */
enum {
    WHAT_TICK,
    WHAT_SYNC,
    WHAT_SCRIPT,
    WHAT_RESTART,
    WHAT_REJOIN,
    WHAT_FAULT, /* which one */
    WHAT_MEND,  /* which fault is over */
    WHAT_ROGUE,
    WHAT_GUEST,    /* which one */
    WHAT_COMPUTED, /* which computation at the central machine */
    WHAT_SILENT,   /* which fault: nothing was heard for so long that links are given up */
    WHAT_REPLAY,
    WHAT_FLOOD,
    WHAT_DEVICE,  /* a maker admits the next of its devices */
    WHAT_DIALLED, /* which dial */
    WHAT_DIALLING,
    WHAT_FOUND, /* the consortium */
    WHAT_ECLIPSE,
    WHAT_PARCEL, /* the first of them; those after it are the others */
};

/* Deeds of a script, in the order in which they come up. */
#define DEED_TABLE(X)                                                                                        \
    X(DEED_REVOKE)                                                                                           \
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
    X(DEED_APPROVE)                                                                                          \
    X(DEED_OVERSPEND)                                                                                        \
    X(DEED_RETYPE)                                                                                           \
    X(DEED_RETYPE_JOB)                                                                                       \
    X(DEED_RETYPE_ENDORSE)                                                                                   \
    X(DEED_RETYPE_ASK)                                                                                       \
    X(DEED_DEVICE)
#define DEED_ENUM(symbol) symbol,
enum deed { DEED_TABLE(DEED_ENUM) DEED_COUNT, DEED_BYPASS }; /* DEED_BYPASS: round its node (bypass.c) */
#undef DEED_ENUM

struct station {
    struct consortium *consortium;
    const struct player *player;
    uint32_t number, incarnation; /* number: in its consortium */
    bool up;
    struct core *core; /* NULL: it is down, or there is no protocol */
    struct arena arena;
    struct pump_executors executors;
    struct disk *disk;
    struct chance disk_chance;
    struct labour labour;
    uint64_t busy_ns; /* its keyed work, until then */
    uint64_t tick_ns; /* the next in the agenda; UINT64_MAX: none */
    bool sync_due;
    uint64_t links;               /* rises whenever its links break: what was on them is gone */
    bool cut;                     /* off from all others, by itself */
    uint32_t parted;              /* so many faults cut off a group that it is of */
    int64_t ahead_ms;             /* of its wall clock, while a fault makes it wrong */
    bool rogue, twin, forge;      /* how it cheats as a host */
    enum guest_evidence evidence; /* of its enclaves */
    bool
        forged; /* it has made false certificates or evidence: nothing is to be expected of its candidacies */
    bool stalls;           /* nothing passes between it and its enclaves */
    bool garbles, starves; /* as an owner: what it serves for its sealed data */
    bool garbled;          /* it has: it may be taken for an offender */
    bool doubles;          /* as a custodian it votes for whoever asks */
    bool lax;              /* ... it gives shares, leases and commits to every enclave */
    bool byzantine;        /* it has, once: of its votes nothing is to be expected */
    bool equivocates;      /* it has signed two records in one place */
    bool gone;             /* it has fallen for good */
    bool probes, spoils;   /* its people have another program sign */
    bool sybils, sybilled; /* as a maker: now; ever, so that its own devices may not be members */
    uint64_t spoilt;       /* bit per run: it has changed the receipt, or tried to */
    uint64_t bypass_ns;    /* before then they do nothing of it */
    struct record_id *bypassed;
    uint32_t bypassed_count;
    uint64_t forked_seq; /* of what place somebody has shown proof; 0: nobody has */
    struct chance rogue_chance;
    struct adversary *adversary; /* NULL: all that it sends is its core's */
    struct slice *said;          /* last sent: one message to many is one slice */
    const uint8_t *said_at;
    uint32_t *dialled; /* by its core's word: numbers */
    uint32_t dialled_count, dialled_cap;
    uint64_t host_ns;
    uint32_t host; /* whom it visits, plus one, until it is a member and knows others */
    /* Its script. */
    bool deed_done[DEED_COUNT];
    bool *admitted; /* of a steward: by its word; each party's */
    uint32_t admitting, device_next;
    uint64_t device_ns; /* before then no device is admitted */
    uint64_t keygen_ns; /* before then it is not begun again */
    uint64_t waiting;   /* token of the command under way; 0: none */
    int doing;          /* enum deed, DEED_COUNT: a run */
    uint64_t pause_ns;
    bool revoke_due; /* its owner wants to take back */
    enum scenario_target revoke_target;
    struct record_id *own; /* what it ever showed, by seq, for the watch */
    uint64_t own_count;
};

struct guest_place {
    struct consortium *consortium;
    struct guest *guest; /* NULL: gone */
    uint32_t station;
    struct run_id run;
    uint64_t term, due_ns;
    bool twin; /* the second under one certificate */
    enum guest_evidence evidence;
    bool keyed, committed; /* as it said */
    uint32_t halves;       /* of data keys, that owners have given it: by dataset */
};

struct run_watch {
    struct run_id run;
    uint32_t asker; /* whose view of it counts */
    uint64_t asked_ms, settled_ms;
    bool ended;
};

/* One consortium with its study: it shares time, the agenda and the network with the others, and nothing else. It goes as it would alone, with the same caps. */
struct consortium {
    struct simulation *simulation;
    uint32_t number, first;          /* first: of its nodes, among all */
    const struct scenario *scenario; /* its own: with the places that are its turn */
    struct cast *cast;
    struct papers *papers;
    struct net *net; /* of all */
    uint64_t seed;
    uint64_t begin_ns,
        end_ns; /* end: since its runs were over and everybody was back; UINT64_MAX: they are not */
    uint64_t token;
    struct station *station;
    uint32_t count;
    struct guest_place *guest; /* GUESTS_MAX */
    uint32_t guest_count;
    uint64_t guests_started;
    struct run_watch *run;
    uint32_t run_count, run_cap;
    struct links *links;
    struct shelf held, kept; /* records that its cores hold, and its disks */
    void *shelves;
    uint32_t host_roles; /* dialling.c */
    uint32_t faults_on;
    bool *fault_begun; /* of each fault of the scenario */
    bool retype;       /* a recipe that lets rows out is to be published and asked for */
    bool revoked;      /* an owner has taken back: no more runs are asked for */
    bool sybils;       /* a maker has admitted keys that it made up */
    bool clocks_apart; /* some drift beyond the bound: leases may overlap */
    struct ledger ledger;
    struct flow flow;
    struct central *central; /* NULL: federated */
    struct simulation_counts counts;
    struct census *census; /* of all; NULL: nobody asked for results */
    struct sha256_stream trace;
    uint32_t unlike; /* a station that held another chain than the first when that was looked at last */
    bool ended;      /* what is in the agenda for it happens no more */
    bool closed;     /* its nodes are gone; of them there are */
    struct hash32 hash;
    uint32_t *together; /* simulation_together of each dataset; NULL: nobody asked for results */
};

/* All of them. */
struct simulation {
    const struct scenario *scenario;
    struct agenda *agenda;
    struct net *net;
    struct chance *net_chance; /* of each consortium */
    uint64_t now_ns, events;
    uint32_t runs_over; /* settled, or ended otherwise */
    struct parcel *parcel;
    uint32_t parcel_count, parcels_max, free_plus_one;
    struct consortium *consortium;
    struct arena *arena;           /* what consortia keep for good */
    uint32_t count, founded, open; /* open: have not ended */
    uint32_t nodes;
    const struct caps *caps; /* of all cores, which are stepped one at a time: */
    struct step_room room;
    void *room_memory;
    struct census *census; /* NULL: nobody asked for results */
    char violation[VIOLATION_MAX];
    enum err err; /* memory that there was not */
    bool ended;
};

/* Is it one of those that this fault may befall? */
static inline bool comes_to(const struct scenario_fault *f, const struct consortium *s)
{
    return f->consortium == 0 || f->consortium == s->number + 1;
}

static inline uint64_t now_of(const struct consortium *s)
{
    return s->simulation->now_ns;
}

/* The number of its node among all. */
static inline uint32_t place_of(const struct consortium *s, uint32_t number)
{
    return s->first + number;
}

/* simulation.c */
void *simulation_sparse(size_t len); /* zeroed, for munmap; NULL: there is no more */
void simulation_give_back(
    struct span sparse); /* it reads as zero from now on, and takes no memory until it is touched */
struct slice *slice_of(struct span bytes);
void slice_drop(struct slice *slice);
void parcel_drop(struct simulation *w, uint32_t at);
/* A run's among those of all, from 1. */
uint32_t run_number(const struct consortium *s, uint32_t index);
/* `who` is of this consortium: a node, a fault, as `what` says. */
void consortium_later(struct consortium *s, uint64_t at_ns, uint32_t who, uint32_t what);
/* The slice is the parcel's from now on. */
void consortium_post(struct consortium *s, uint64_t at_ns, uint32_t to, const struct parcel *parcel);

/* consortium.c */
/* The network has a place for its nodes. */
MUST_USE enum err consortium_begin(struct consortium *s, struct arena *arena, struct json_fault *fault);
MUST_USE enum err consortium_start(struct consortium *s);
/* It has ended: its nodes go. */
void consortium_close(struct consortium *s);
void consortium_free(struct consortium *s);
void consortium_happen(struct consortium *s, struct agenda_entry entry);
struct hash32 consortium_hash(const struct consortium *s);
uint64_t consortium_wall_ms(const struct consortium *s);
void guest_drop(struct consortium *s, uint32_t index); /* it is gone, and nobody is told */
void guest_end(struct consortium *s, uint32_t index);
void guest_schedule(struct consortium *s, uint32_t index);

/* links.c */
MUST_USE enum err links_begin(struct consortium *s);
void links_free(struct links *l);
bool consortium_dials(const struct consortium *s); /* is a link there because somebody dialled it? */
bool consortium_linked(const struct consortium *s, uint32_t a, uint32_t b);
uint64_t consortium_link(const struct consortium *s, uint32_t a,
                         uint32_t b); /* of two that are linked: another one after each break */
/* With whom this node may be linked: in a large world with whom it is. */
uint32_t consortium_neighbours(const struct consortium *s, uint32_t number);
uint32_t consortium_neighbour(const struct consortium *s, uint32_t number, uint32_t index);
/* In a world where links are dialled: one is there after the round trips of a handshake, and both hear of it, if both are up and
 * nothing is between them; else nothing is. Both hear, too, when one hangs up. Elsewhere these do nothing. */
void consortium_dial(struct consortium *s, uint32_t from, uint32_t to);
void consortium_hang_up(struct consortium *s, uint32_t from, uint32_t to);
void links_dialled(struct consortium *s, uint32_t dial);
/* All links of this node: it is up, or down, or cut off by itself, or will be; both sides are told. */
void links_of(struct consortium *s, uint32_t number, bool up);
/* By a fault that keeps two sides apart: links are gone; what is sent over them from one side is held until then, and none comes up;
 * it is over. */
void links_cut(struct consortium *s, uint32_t fault);
void links_hold(struct consortium *s, uint32_t fault, uint64_t until_ns);
void links_mend(struct consortium *s, uint32_t fault);

/* dialling.c: whom a node dials in such a world */
void dialling_start(struct consortium *s);
void dialling_turn(struct station *n);
void dialling_begin(struct station *n, uint32_t to); /* its core says so, until it says otherwise */
void dialling_end(struct station *n, uint32_t to);

/* station.c */
MUST_USE enum err station_begin(struct station *n, struct consortium *s, uint32_t number);
MUST_USE enum err station_start(struct station *n);
void station_crash(struct station *n);
void station_free(struct station *n);
void station_event(struct station *n, struct event event);
void station_tick(struct station *n);
void station_rest(struct station *n); /* what its core holds nothing in is given back */
void station_send(struct station *n, struct node_id peer, struct span message);
/* Other bytes come to lie where what was sent last does. */
void station_forget_said(struct station *n);
/* To another one that is linked: when it arrives; 0: it does not. */
uint64_t station_carry(struct station *n, uint32_t to, struct span message);
uint64_t station_carry_slice(struct station *n, uint32_t to, struct slice *slice);
/* Its own clocks, which drift and step. */
uint64_t station_clock_ns(const struct station *n);
uint64_t station_true_ns(const struct station *n, uint64_t clock_ns); /* when that clock shows this */
uint64_t station_wall_ms(const struct station *n);

/* fault.c */
void fault_begin(struct consortium *s, uint32_t index);
void fault_mend(struct consortium *s, uint32_t index);
void fault_rejoin(struct consortium *s, uint32_t number);
void fault_rogue(struct station *n); /* its turn to cheat */
void fault_phase(struct consortium *s,
                 uint64_t state); /* an enclave says how far it is: who waited for that acts */
/* Is this an ask for a vote, which a custodian that votes for whoever asks has answered? Its core is not told then. */
bool fault_double(struct station *n, struct span message);
/* What a host that forges gives its enclave in place of `frame`, written to `out`. */
struct span fault_forge(struct buffer *out, struct span frame);
/* By this key, as a message that a core did not write; it lives until the next. Of the record `out` borrows from it. */
struct span fault_record(struct record *out, const struct station *n, const struct identity_secret *secret,
                         struct header h, const void *body);
struct header fault_header(const struct station *n, struct node_id author, enum kind kind);
struct span fault_statement(const struct station *n, struct node_id author,
                            const struct identity_secret *secret, enum kind kind, const void *body);

/* adversary.c */
void adversary_set(struct station *n, const struct scenario_fault *f, bool on);
void adversary_equivocate(struct station *n);
void adversary_free(struct station *n);
bool adversary_at_work(const struct station *n);
void adversary_replay(struct station *n); /* its turns */
void adversary_flood(struct station *n);
void adversary_eclipse(struct station *n);
void adversary_sent(struct station *n, struct slice *slice); /* its core's message leaves */
/* Does its core's message not leave? */
bool adversary_keeps(struct station *n, struct span message);
/* A peer's message came. True: its core is not told. */
bool adversary_hears(struct station *n, struct slice *slice);

/* lax.c */
/* Is this an enclave's ask, brought by this host, which a custodian that gives to whoever asks has answered? Its core is not told then. */
bool lax_gives(struct station *n, struct node_id host, struct span message);

/* central.c */
MUST_USE enum err central_begin(struct consortium *s);
void central_free(struct central *c);
void central_turn(struct station *n); /* people and programs there look */
void central_take(struct station *n, uint32_t from, struct span message);
void central_computed(struct consortium *s, uint32_t computation);
void central_crashed(struct station *n);
/* The machine that has all rows, if it computes now: whoever is elected, in this world. */
bool central_busy(const struct consortium *s, uint32_t *number);
bool central_over(const struct consortium *s);  /* all runs were asked for and have ended */
const char *central_message_name(uint8_t code); /* NULL: none of its messages */

/* bypass.c */
void bypass_turn(struct station *n); /* when its people have nothing else to do */
bool bypass_made(const struct station *n, struct record_id id);

/* script.c */
/* Its people's wish, which the core takes next; they do nothing more before its answer. */
void script_command(struct station *n, int doing, const struct command *wish);
void script_turn(struct station *n);
void script_reply(struct station *n, uint64_t token, struct verdict verdict, struct hash32 id);
bool script_over(struct consortium *s); /* all runs were asked for and have ended */

/* watch.c */
/* Does this one take no part any more, without its core's fault: lost, or silenced by what was signed round it? */
bool watch_is_gone(const struct station *n);
__attribute__((format(printf, 3, 4))) void watch_violation(struct consortium *s, const char *property,
                                                           const char *format, ...);
/* Leaves for this one; `again`: the same bytes have just left for another. */
void watch_message(struct station *n, uint32_t to, struct span message, bool again);
void watch_record(struct station *n, const struct record *r); /* its own: it took effect here, or leaves */
void watch_asked(struct station *n, struct run_id run);       /* it asks for a run */
void watch_devices(
    struct station *n);             /* a record took effect there: of makers that admit more than they may */
void watch_kept(struct station *n); /* some more is on its disk */
void watch_runs(struct station *n); /* a requester's view of its own */
bool watch_excused(struct consortium *s, const struct run_watch *w);      /* need it not settle? */
const char *watch_open_run(struct consortium *s, char *text, size_t cap); /* one that has not ended */
bool watch_converged(struct consortium *s);

/* watch_custodian.c */
void watch_vote(struct station *n, uint32_t to, const struct body_VOTE *vote);
void watch_certificate(struct station *n,
                       struct span bytes); /* it leaves this node, or goes to its enclave */
void watch_blob(struct station *n, uint32_t to, const struct message_BLOB *m);
/* Keyed work that is done: what is sealed to an enclave is seen here before it is. */
void watch_keyed(struct station *n, const struct crypto_job *job, enum err err);

/* watch_enclave.c */
void watch_frame(struct guest_place *p, struct span frame); /* from an enclave to its host */
void watch_opened(struct guest_place *p, uint32_t dataset);
void watch_guest(struct guest_place *p); /* after its turn */
void watch_leases(struct consortium *s, struct run_id run);
void watch_plaintext(struct consortium *s, struct span bytes, const char *where, uint32_t number);
void watch_receipt(struct station *n, struct run_id run); /* it settled there */

#endif
