/* flow: who came to hold what of whose rows. It is told where bytes arrive, where an enclave opens rows and where a result is read, and
 * looks into the bytes: what it says is what happened in this simulation, under whatever trust it ran.
 * Rules: a party reads another's rows when they arrive at it in plaintext. A host of an enclave that opened rows holds them sealed, like
 * who passes them on: what the enclave holds it cannot read while its evidence says the truth. What custodians could read together is
 * tried, with the shares that they hold.
 * Ownership: the arena's; borrows the papers. Single-threaded. */
#ifndef PERIGEE_SIM_FLOW_H
#define PERIGEE_SIM_FLOW_H

#include "crypto/tdh2.h"
#include "sim/papers.h"

/* X(symbol, name): what of an owner's rows; from what says most to what says least. */
#define FLOW_TABLE(X)                                                                                        \
    X(FLOW_PLAINTEXT, "plaintext")                                                                           \
    X(FLOW_ENCLAVE, "in an enclave")                                                                         \
    X(FLOW_SEALED, "sealed")                                                                                 \
    X(FLOW_RESULT, "result only")
#define FLOW_ENUM(symbol, name) symbol,
enum flow_held { FLOW_TABLE(FLOW_ENUM) FLOW_COUNT };
#undef FLOW_ENUM

struct flow {
    const struct papers *papers;
    uint32_t (*times)[CAP_INPUTS][FLOW_COUNT]; /* of each party */
    /* Bytes of messages that carried rows from one jurisdiction to another. */
    uint64_t plaintext_abroad, sealed_abroad;
};
struct flow_share {
    uint32_t index; /* from 1 */
    struct key_share key;
};

MUST_USE enum err flow_begin(struct flow *f, struct arena *arena,
                             const struct papers *papers); /* ERR_NO_MEMORY */
const char *flow_name(enum flow_held held);
/* A message of this length with what a link adds. */
void flow_arrived(struct flow *f, uint32_t from, uint32_t to, struct span message, uint64_t bytes);
void flow_opened(struct flow *f, uint32_t host, uint32_t dataset);
void flow_result(struct flow *f, uint32_t reader, struct dt dataset);

uint32_t flow_opened_times(const struct flow *f, uint32_t dataset);
/* How many rows of this dataset a party could read beside its owner: all of them, or none. */
uint32_t flow_readable(const struct flow *f, uint32_t party, uint32_t dataset);
uint32_t flow_readers(const struct flow *f); /* parties that could read any */
/* The least number of these shares that open the key of this dataset; 0: not all of them together do, or it was never sealed. */
uint32_t flow_together(const struct dataset *d, const struct flow_share *share, uint32_t count);

#endif
