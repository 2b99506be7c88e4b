/* papers: what the parties of a simulation write: the op, the tokens, the recipe, the policies, and their data sealed for it.
 * One study: a count over all inputs, as the gate of the product would release it. The rows are made up from the seed; each
 * has a mark that is found in no other party's, so that who could read whose rows is seen from bytes alone.
 * Ownership: everything in the arena. */
#ifndef PERIGEE_SIM_PAPERS_H
#define PERIGEE_SIM_PAPERS_H

#include "crypto/tdh2.h"
#include "proto/document.h"
#include "proto/wire/body.h"
#include "sim/cast.h"

enum { PAPERS_CHUNKS_MAX = 4, PAPERS_OUTPUT_BYTES = 1024 /* of an output, at most */ };
#define PAPERS_HEADER "id,age\n" /* begins every dataset */

struct paper_blob {
    uint8_t cid[36];
    struct span bytes;
};
/* One owner's dataset. */
struct dataset {
    const struct player *owner;
    uint32_t number; /* of the input */
    struct dt dt;
    struct hash32 salt, schema, policy_hash;
    struct span ddo, policy, plain, manifest;
    struct content_id content;
    uint64_t budget;
    uint8_t data_key[32];
    struct envelope envelope; /* of that, or of a half where its owner keeps the other; once it is sealed */
    struct label label;
    uint32_t blob_count;
    struct paper_blob blob[PAPERS_CHUNKS_MAX + 2]; /* chunks, their list, the manifest */
};
struct papers {
    const struct cast *cast;
    struct arena *arena;
    struct hash32 op;
    struct span op_document, op_code;
    uint32_t dataset_count;
    struct dataset dataset[CAP_INPUTS];
    const struct player *provider; /* of the algorithm */
    struct dt app;
    struct hash32 app_salt;
    struct span app_ddo, workflow;
    struct compose_hash compose;
    struct span
        retyped; /* the same recipe, but that rows come out of it: nobody sealed or approved anything for that */
    struct compose_hash retyped_compose;
    struct span parameters; /* of every run */
};

MUST_USE enum err papers_make(struct papers **out, struct arena *arena, const struct cast *cast);
struct dataset *papers_of(struct papers *p, const struct player *owner); /* NULL: it brings none */
/* Seal it to key A: manifest, content, blobs. */
MUST_USE enum err papers_seal(struct papers *p, struct dataset *d, const struct point *key_a);
/* The approval of these slots, signed by the owner's approval key. */
MUST_USE enum err papers_approval(struct papers *p, struct body_APPROVAL *out, const struct dataset *d,
                                  uint64_t slot_first, uint64_t slot_last, uint64_t expires_ms);

#endif
