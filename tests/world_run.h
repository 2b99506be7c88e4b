/* world_run: one enclave over a test world: its untrusted host, its custodians and its executor, all in one, with real
 * cryptography. Tests bend the knobs, drive it, and look at what came out. */
#ifndef PERIGEE_TESTS_WORLD_RUN_H
#define PERIGEE_TESTS_WORLD_RUN_H

#include "crypto/unlock.h"
#include "proto/enclave.h"
#include "tests/world.h"

enum { WORLD_FRAMES_MAX = 4096, WORLD_EFFECTS_MAX = 4096, WORLD_OUTPUT_BYTES = 200 };

struct world_queued {
    enum enclave_effect_type type; /* of what was done; ENCLAVE_FRAME: a frame to the enclave */
    uint64_t token;
    enum err err;
    struct span bytes;
    int64_t ready_ns; /* not before */
};

struct world_run {
    /* Knobs, set after world_run_new and before world_run_drive. One bit per custodian. */
    uint32_t silent, bad_share, bad_hash, bad_signature, garbage,
        slow,           /* slow: answers from the second ask on */
        other_enclave;  /* refusals are of another one's ask */
    uint32_t bad_lease; /* names another round */
    uint32_t
        blind; /* releases and commits to what it says that it has not seen the approvals of; bit WORLD_CUSTODIANS: the owners */
    enum refusal refuse[WORLD_CUSTODIANS], refuse_commit[WORLD_CUSTODIANS], refuse_lease[WORLD_CUSTODIANS];
    uint32_t owner_silent;                    /* bit per dataset under a veto */
    enum refusal refuse_half[WORLD_DATASETS]; /* by its owner */
    uint32_t wrong_half;                      /* bit per dataset: its owner signs and gives another */
    uint32_t passing;                         /* refusals are given once, then it answers */
    uint32_t blob_corrupt, blob_missing;      /* so many deliveries of the blob below go wrong */
    uint8_t blob_cid[36];                     /* zero: any */
    enum enclave_effect_type fail;            /* this effect fails when fail_after of its kind were done */
    int fail_after;                           /* -1: never */
    enum err fail_err;                        /* with this: ERR_IO */
    struct span output;                       /* what the computation gives */
    uint64_t term;
    /* Answers the asks to party `asked_party` instead, by world_run_answer, unless NULL. */
    void (*asked)(struct world_run *r, struct span box);
    uint32_t asked_party;
    /* Takes all frames instead, unless NULL: the enclave has another host. */
    void (*to_host)(void *context, struct span frame);
    void *host;
    uint32_t work_ms,
        compute_ms; /* an effect takes so long, a computation so much, by the clock of world_run_turn */
    struct hash32 platform; /* the world's unless set */
    bool unjudged;          /* its enclave takes any platform for one that is admitted for its node */
    void (*before)(struct world_run *r,
                   enum enclave_effect_type type); /* an effect is executed; unless NULL */

    struct world *world;
    struct arena *arena, *enclave_arena;
    struct enclave *enclave;
    struct instant now;
    struct span start;

    /* What came out. */
    enum run_state state[16];
    uint32_t state_count;
    uint32_t released; /* bit per custodian: without it, it neither renews nor commits */
    uint32_t named;    /* bit per custodian: for its shares, by this statement */
    struct span named_by[WORLD_CUSTODIANS];
    enum refusal failed;
    uint32_t told;      /* by how many custodians; FAILED_JUDGED */
    struct span result; /* encoded body of the receipt */
    bool wiped, gone;
    uint32_t owner_asks[WORLD_DATASETS];
    uint32_t asks[WORLD_CUSTODIANS], rounds[WORLD_CUSTODIANS], wants, effects_after_wipe,
        done[ENCLAVE_EXIT + 1];

    /* The executor's secrets. */
    struct identity_secret signing;
    struct kem_secret kem_secret;
    struct kem_public kem;
    struct unlock unlock;
    struct unlocked unlocked;
    uint32_t kept[WORLD_CUSTODIANS], kept_count;                          /* whose shares were found good */
    uint8_t opened[WORLD_CUSTODIANS][SHARE_BYTES * (WORLD_DATASETS + 1)]; /* for tests that look for them */
    struct body_key *body[WORLD_DATASETS];
    uint8_t *plain[WORLD_DATASETS];

    struct world_queued queue[WORLD_EFFECTS_MAX];
    uint32_t head, tail;
};

struct world_run *world_run_new(struct world *w);
void world_run_free(struct world_run *r);
/* A START of w's run; then until nothing is left to do. Ticks come whenever nothing else does, when they are due or a second
 * later, and at most `ticks` of them. True: the enclave is gone. */
void world_run_start(struct world_run *r);
bool world_run_drive(struct world_run *r, uint32_t ticks);
/* Everything that is due now, for who has a clock; and when there is more to do (INT64_MAX: when a frame comes). */
void world_run_turn(struct world_run *r, struct instant now);
int64_t world_run_due(const struct world_run *r);
/* Give the enclave a frame, as its host. */
void world_run_frame(struct world_run *r, struct span frame);
/* The sealed answer of this party. */
void world_run_answer(struct world_run *r, uint32_t from, struct span box);
/* For an enclave in another process: take a frame from it, and the next one for it (false: none). The machine in `r` then
 * has no part in it. */
void world_run_take(struct world_run *r, struct span frame);
bool world_run_next(struct world_run *r, struct span *frame);
/* What this node of the world, the requester or another reader, opens in the result. */
struct reading world_run_reading(struct world_run *r, uint32_t reader);

#endif
