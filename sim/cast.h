/* cast: the parties of a simulation with their keys, and the charter they found. All keys follow from the seed: they are
 * worth nothing outside a simulation.
 * Rules: players stand in the scenario's order; the charter's members are those with a seat (custodian or steward), makers know the
 * keys of their devices and admit them, the others ask to be admitted. Ownership: everything in the arena. */
#ifndef PERIGEE_SIM_CAST_H
#define PERIGEE_SIM_CAST_H

#include "crypto/types.h"
#include "proto/base/index.h"
#include "proto/charter.h"
#include "sim/notary.h"

struct player {
    const struct scenario_party *party;
    uint32_t number;
    struct identity_secret secret, approval_secret; /* an owner's approval key is another one */
    struct node_id id, approval;
    struct kem_secret kem_secret;
    struct kem_public kem;
    struct scalar_secret dkg_secret;
    struct point dkg;
    struct hash32 platform;
};

struct cast {
    const struct scenario *scenario;
    uint64_t seed;
    uint32_t count;
    struct player *player;
    struct index ids;      /* of players */
    struct notary *notary; /* by whom they sign */
    struct span charter;
    const struct charter *founding; /* the same, read */
    struct consortium_id consortium;
    struct hash32 measurement; /* of the simulated worker */
};

/* 32 bytes told apart by what they are for, from the seed. */
struct hash32 cast_derive(uint64_t seed, const char *what, uint64_t a, uint64_t b);
/* ERR_NO_MEMORY; or what is wrong with the charter, in `fault`: thresholds under which quorums do not intersect. */
MUST_USE enum err cast_make(struct cast **out, struct arena *arena, const struct scenario *scenario,
                            uint64_t seed, struct json_fault *fault);
struct player *cast_find(const struct cast *c, struct node_id id); /* NULL: none of them */
bool player_is(const struct player *p, uint32_t roles);            /* has it one of these roles? */
struct span player_organisation(const struct cast *c, const struct player *p); /* a device's is its maker's */

#endif
