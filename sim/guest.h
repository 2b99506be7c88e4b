/* guest: one simulated enclave worker: the production machine of proto/enclave.h with an executor that does its keyed work for real.
 * Only the computation is not the product's: its output is a digest of the plaintext that it opened and of the noise seed, so that
 * a failover on the same data gives the same bytes, and another input gives others.
 * Rules: what takes time (labour, the computation) is done that much later by virtual time; chunks and the computation in a lane
 * of their own, beside what keeps the lease. Its evidence is SIMULATED.
 * Ownership: guest_free wipes and frees all. Single-threaded. */
#ifndef PERIGEE_SIM_GUEST_H
#define PERIGEE_SIM_GUEST_H

#include "proto/enclave.h"
#include "sim/cast.h"

struct guest;

/* What its host makes of its evidence: true, of GUEST_STALE_MS ago, of a worker that nobody has registered, or made for other keys. */
enum guest_evidence { GUEST_TRUE, GUEST_STALE, GUEST_FAKE, GUEST_RELAYED };
enum { GUEST_STALE_MS = 24 * 60 * 60 * 1000 };

struct guest_options {
    const struct cast *cast;
    const struct player *host;
    struct run_id run;
    uint64_t term;
    enum guest_evidence evidence;
    uint64_t number; /* which enclave of the simulation it is: no two have the same keys */
    /* A frame for its host. */
    void (*frame)(void *context, struct span frame);
    /* It has opened the data of this input: information flow is counted where plaintext is. */
    void (*opened)(void *context, struct dt dataset);
    void *context;
};

MUST_USE enum err guest_new(struct guest **out, const struct guest_options *options);
void guest_free(struct guest *g);

void guest_frame(struct guest *g, struct span frame, uint64_t now_ns); /* from its host */
void guest_turn(struct guest *g, uint64_t now_ns, uint64_t wall_ms);   /* all that is due */
uint64_t guest_due(const struct guest *g);      /* UINT64_MAX: only when a frame comes */
struct node_id guest_id(const struct guest *g); /* its signing key; zero: it has none yet */
bool guest_gone(const struct guest *g);
bool guest_leased(const struct guest *g, uint64_t now_ns);

#endif
