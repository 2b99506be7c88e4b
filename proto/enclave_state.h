/* enclave_state: what the enclave_*.c files share. Nobody else includes it. */
#ifndef PERIGEE_PROTO_ENCLAVE_STATE_H
#define PERIGEE_PROTO_ENCLAVE_STATE_H

#include "proto/base/panic.h"
#include "proto/enclave.h"

enum {
    EFFECTS_MAX = 128,
    WORKS_MAX = 128,         /* at most: a seal or an answer of each party, blobs in flight, one signature */
    SCRATCH_BYTES = 4 << 20, /* a chunk, an output, and every custodian's box */
    WANTS_MAX = 4,
    WANT_TRIES = 3,
    WANT_WAIT_MS = 20000, /* the host answers sooner, found or not */
    ASK_REPEAT_MS = 1000,
    ASK_TIMEOUT_MS = 60000,
    LEAVES_BYTES_MAX = 1 << 20, /* one blob: 32768 chunks */
    LEASE_BOX_BYTES = 1024,
};

enum phase {
    PHASE_NEW,      /* waits for START */
    PHASE_STARTING, /* signatures, keys, evidence */
    PHASE_MANIFESTS,
    PHASE_SHARES,
    PHASE_JUDGING,   /* as its receipt will be */
    PHASE_UNLOCKING, /* once there is a lease */
    PHASE_INPUTS,
    PHASE_COMPUTING, /* until the commit ask is signed */
    PHASE_COMMITS,
    PHASE_SEALING, /* output boxes, end of life */
    PHASE_OVER,
    PHASE_ANY, /* of work that goes on beside the phases */
};

struct work;
typedef void (*work_step)(struct enclave *e, const struct work *work, const struct enclave_event *event);
/* One effect that will be answered. Its step runs only while the phase is the one it was asked in. */
struct work {
    uint64_t token; /* 0: free */
    enum phase phase;
    work_step then;
    uint32_t index; /* custodian, reader or want */
};

enum want_kind { WANT_MANIFEST, WANT_LEAVES, WANT_CHUNK };
struct want {
    bool active, asked; /* asked: waits for the host; else its bytes are being worked on */
    enum want_kind kind;
    uint8_t cid[36];
    uint32_t input, chunk, tries;
    int64_t since_ns;
};

enum standing { STANDING_OPEN, STANDING_GOOD, STANDING_REFUSED, STANDING_BAD };
struct party {
    struct node_id node;
    struct kem_public kem;
    uint8_t number; /* as the wire knows it: a custodian's index, or VETO_PARTY and the input it owns */
    enum standing standing; /* in this stage */
    bool counted;           /* its good statement is one of those that the receipt shows */
    enum refusal why;       /* the last refusal it signed in this stage */
    bool busy;              /* an answer of it is being worked on */
    struct span box;        /* the ask, sealed to it; sent again until it answers */
    struct span
        share_box; /* the share ask; sent until it has released: who has not renews and commits nothing */
    bool released;
    uint8_t *answer; /* ANSWER_BYTES_MAX: the view of it, without shares */
    size_t answer_len;
    struct span statement; /* its good statement, packed */
    struct record_id id;
    uint64_t time_ms;
};

struct lease {
    bool held;                        /* there was one: since then there must be */
    int64_t until_ns;                 /* when the latest ends */
    uint64_t round;                   /* of the ask below; the share ask is round 0 */
    bool open;                        /* it waits for answers */
    int64_t asked_ns;                 /* when it began */
    int64_t repeat_ns;                /* when to send again to who has not answered */
    uint32_t answered;                /* bit per custodian, in this round */
    uint32_t refused;                 /* bit per custodian: it will not renew any more, */
    enum refusal why[CAP_CUSTODIANS]; /* for this reason */
    uint8_t statement[LEASE_BOX_BYTES];
    size_t statement_len, header_len;
    uint8_t box[CAP_CUSTODIANS][LEASE_BOX_BYTES]; /* the ask, sealed to each */
    size_t box_len[CAP_CUSTODIANS];
};

struct input {
    struct run_input named;
    const struct asset *asset;
    const struct manifest *manifest;
    struct span leaves;
    bool leaves_asked, begun;
    uint32_t chunk_asked, chunk_done;
};

struct enclave {
    struct arena *arena;
    struct arena scratch; /* given back at the beginning of each step */
    enum phase phase;
    struct instant now;
    uint64_t wall_ms;

    struct enclave_effect effect[EFFECTS_MAX];
    uint32_t effect_count;
    struct work work[WORKS_MAX];
    uint64_t token_next;

    struct consortium_id consortium;
    struct run_id run;
    uint64_t term;
    struct span certificate_bytes;
    struct certificate certificate;
    struct bundle *bundle;
    const struct workflow *workflow;
    struct enclave_keys keys;

    struct node_id signing;
    struct kem_public kem;
    struct hash32 challenge;
    struct hash32 binding; /* S, which the evidence is over */
    struct span evidence;

    uint32_t input_count, manifest_asked, manifest_done, input_now;
    struct input input[CAP_INPUTS];
    struct want want[WANTS_MAX];

    /* Custodians in charter order; behind them, for the shares only, the owners of inputs under a veto. */
    uint32_t custodian_count, party_count;
    struct party party[CAP_CUSTODIANS + CAP_INPUTS];
    int64_t ask_since_ns, ask_next_ns, late_next_ns;
    struct lease lease;

    struct span statement; /* header | body of the statement being signed */
    size_t statement_header_len;

    struct hash32 salt, commitment, core_hash;
    struct span output, core, releases, commits, ending, outputs;
    struct signature core_signature;
    struct node_id reader[CAP_REQUESTERS + 1]; /* the requester, then whom else the workflow names */
    uint32_t reader_count;
    struct span reader_box[CAP_REQUESTERS + 1];
    uint32_t readers_sealed;
};

/* --- enclave.c ------------------------------------------------------------------------------------------------------- */
struct enclave_effect *enclave_emit(struct enclave *e, enum enclave_effect_type type);
/* The same, answered: `then` runs with the answer. */
struct enclave_effect *enclave_ask(struct enclave *e, enum enclave_effect_type type, work_step then,
                                   uint32_t index);
/* The same, whatever phase it is by then. */
struct enclave_effect *enclave_ask_always(struct enclave *e, enum enclave_effect_type type, work_step then,
                                          uint32_t index);
/* A buffer in this step's scratch memory, and a copy there. */
struct buffer enclave_buffer(struct enclave *e, size_t cap);
struct span enclave_copy(struct enclave *e, struct span bytes);
/* A copy that stays. False: the memory is used up, and the enclave has failed. */
bool enclave_keep(struct enclave *e, struct span *out, struct span bytes);
void enclave_state_frame(struct enclave *e, enum run_state state);
void enclave_fail(struct enclave *e, enum refusal why); /* by its own finding */
/* So many custodians said so: who looks at it knows how much that is worth. */
void enclave_fail_told(struct enclave *e, enum refusal why, uint32_t custodians);
/* By how its receipt would be judged now: another term may do better. */
void enclave_fail_judged(struct enclave *e, enum refusal why);
void enclave_end(struct enclave *e);
/* Build a statement of the enclave's own and have it signed; `then` finds it in e->statement. */
void enclave_sign(struct enclave *e, enum kind kind, const void *body, work_step then);
/* The statement just signed, packed, in memory that stays. */
bool enclave_signed(struct enclave *e, struct span *out, const struct enclave_event *event);

/* --- enclave_start.c ------------------------------------------------------------------------------------------------------ */
void enclave_start(struct enclave *e, struct span body);

/* --- enclave_input.c ------------------------------------------------------------------------------------------------------ */
void enclave_manifests(struct enclave *e);
void enclave_inputs(struct enclave *e);
void enclave_blob(struct enclave *e, struct span body);
void enclave_input_tick(struct enclave *e);

/* --- enclave_ask.c -------------------------------------------------------------------------------------------------------- */
void enclave_shares(struct enclave *e);
/* Seal this packed ask to every party to this phase and go on asking until they have answered. */
void enclave_ask_all(struct enclave *e, enum phase phase, struct span packed);
void enclave_answer(struct enclave *e, struct span body);
void enclave_ask_tick(struct enclave *e);
int64_t enclave_ask_deadline(const struct enclave *e);
/* Keyed, and not yet sealing: what a lease is for. */
bool enclave_works(const struct enclave *e);
void enclave_name_bad(struct enclave *e);
/* Those that are counted, as a packed array in the order of the parties. */
bool enclave_statements(struct enclave *e, struct span *out);

MUST_USE enum err enclave_read_statement(const struct enclave *e, const struct party *c, struct record *out,
                                         union body *body, enum kind kind, struct span packed);
void enclave_verify_always(struct enclave *e, const struct record *r, uint32_t index, work_step then);
/* Will who refuses for this reason answer differently, asked again? */
bool enclave_refusal_passes(enum refusal why);
void enclave_unlock(struct enclave *e);

/* --- enclave_lease.c ------------------------------------------------------------------------------------------------------ */
/* q releases are there: unlock, now or with the next lease. */
void enclave_lease_begin(struct enclave *e);
bool enclave_lease_lost(const struct enclave *e);
bool enclave_lease_awaits(const struct enclave *e, uint32_t custodian);
void enclave_lease_answer(struct enclave *e, uint32_t custodian, struct span packed);
void enclave_lease_refused(struct enclave *e, uint32_t custodian, const struct record *r, enum refusal why);
void enclave_lease_tick(struct enclave *e);
int64_t enclave_lease_deadline(const struct enclave *e);

/* --- enclave_commit.c ----------------------------------------------------------------------------------------------------- */
void enclave_compute(struct enclave *e);
void enclave_committed(struct enclave *e);

#endif
