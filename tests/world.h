/* world: one synthetic consortium for tests, with real keys and signatures, and every record up to a requested run.
 * Four owners (0..3), who are custodians and stewards as well (n 4, f 1, t 3, q 3, s 3, k 2); one compute member, one
 * algorithm provider, one requester, admitted by the stewards. Owners 0 and 1 have a sealed dataset each; the first has
 * two chunks. Key generation is a real one. All keys follow from fixed seeds; only the sealed metadata has a
 * random nonce, so manifests, and the ids of records after them, differ between processes. */
#ifndef PERIGEE_TESTS_WORLD_H
#define PERIGEE_TESTS_WORLD_H

#include "crypto/tdh2.h"
#include "crypto/work_memory.h"
#include "proto/certificate.h"
#include "proto/event.h"
#include "proto/registry.h"

enum {
    WORLD_CUSTODIANS = 4,
    WORLD_COMPUTE = 4,
    WORLD_ALGORITHM = 5,
    WORLD_REQUESTER = 6,
    WORLD_NODES = 7,
    WORLD_OTHERS_MAX = 64,
    WORLD_DATASETS = 2,
    WORLD_RECORDS_MAX = 1024,
    WORLD_BLOBS_MAX = 16,
};

/* The wall clock when the first record is made; each record is a millisecond later. */
#define WORLD_START_MS UINT64_C(1767225600000)
extern uint64_t
    world_start_ms; /* that, unless set otherwise before world_new: a worker process reads a real clock */
extern const uint32_t world_rows[WORLD_DATASETS]; /* rows of CSV in each dataset */
/* Set before world_new: the recipe lets rows out, by SQL that joins both datasets; the worker's measurement (zero: some). */
extern bool world_output_rows;
extern struct hash32 world_measurement;
/* What the stewards name for the compute member: no platform unless set before world_new, then its own or another. */
enum world_platforms { WORLD_PLATFORMS_NONE, WORLD_PLATFORMS_OWN, WORLD_PLATFORMS_OTHER };
extern enum world_platforms world_platforms;
extern uint32_t world_maker_devices; /* what the charter lets makers have: 0 unless set before world_new */
extern uint32_t world_rows_extra;    /* what manifests claim beyond them: 0 unless set before world_new */
extern uint32_t world_vetoes;   /* bit per dataset: its owner keeps a veto; 0 unless set before world_new */
extern uint32_t world_lease_ms; /* of the charter: a second unless set before world_new */
extern uint32_t world_computes; /* bit per founder: it computes, too; 0 unless set before world_new */
extern uint32_t world_others;   /* more founders, WORLD_OTHERS_MAX at most; 0 unless set before world_new */
extern uint32_t world_others_role; /* of each: auditor, unless set before world_new */

struct world_node {
    struct identity_secret secret, approval_secret; /* an owner's approval key is another one */
    struct node_id id, approval;
    struct kem_secret kem_secret;
    struct kem_public kem;
    struct scalar_secret dkg_secret, share[2]; /* custodians: shares of key A and key B */
    struct point dkg;
    uint64_t seq;
    struct record_id head;
};
struct world_dataset {
    struct dt dt;
    struct hash32 schema, policy;
    struct span plain, manifest;
    uint8_t data_key[32], half[32]; /* half: its owner's, under a veto */
};
struct world_blob {
    uint8_t cid[36];
    struct span bytes;
};

struct world {
    struct arena arena;
    uint64_t now_ms;
    struct world_node node[WORLD_NODES]; /* owners in charter order */
    struct span charter;
    struct consortium_id consortium;
    struct group_key key[2];                           /* A, B */
    struct hash32 op, measurement, platform, admitted; /* admitted: by the stewards, for the compute member */
    struct dt app;
    struct span workflow;
    struct compose_hash compose;
    struct span parameters; /* that take every row; the workflow lets its requester choose a least age */
    struct world_dataset dataset[WORLD_DATASETS];
    uint32_t record_count, blob_count;
    const struct record *record[WORLD_RECORDS_MAX]; /* all, in an order that a registry takes */
    struct world_blob blob[WORLD_BLOBS_MAX];
    const struct record *approval[WORLD_DATASETS];
    struct run_id run; /* slot 1, requested by WORLD_REQUESTER */
};

/* One that stays until world_free. */
struct world *world_new(void);
void world_free(struct world *w);

/* The next record of this node, appended to w->record. */
const struct record *world_record(struct world *w, uint32_t node, enum kind kind, const void *body,
                                  uint64_t expires_ms);
/* A signed statement of somebody, packed. */
struct span world_statement(struct world *w, const struct identity_secret *secret, struct node_id author,
                            enum kind kind, const void *body);
/* An approval by owner `dataset` of w's workflow; all but the numbers is right. */
struct body_APPROVAL world_approval(struct world *w, uint32_t dataset, uint64_t first, uint64_t last,
                                    uint64_t expires_ms);
/* The votes of custodians 0..2 for WORLD_COMPUTE. */
struct certificate world_certificate(struct world *w, uint64_t term);
struct span world_certificate_bytes(struct world *w, uint64_t term);
/* A receipt of this run with what settles it: a core that an enclave (the compute node's key) signed, and the commits of three
 * custodians. Lives until world_free. */
struct body_RECEIPT world_receipt(struct world *w, struct run_id run);
/* The first record of this kind and author, with its body. */
const struct record *world_first(const struct world *w, enum kind kind, uint32_t node, union body *body);
/* The first `count` records (0: all) applied, each of which must be accepted, in a registry of its own memory: registry_arena. */
struct registry *world_registry(struct world *w, uint32_t count);
const struct world_blob *world_blob(const struct world *w,
                                    const uint8_t cid[36]); /* NULL when there is none */
/* For its keyed work. `kept` is the caller's, who keeps it as long. */
struct work_keys world_node_keys(const struct world_node *n, struct work_memory *kept);
/* Puts a custodian's shares there, as if a key generation had left them: they are the dealer's. */
void world_deal(const struct world *w, uint32_t custodian, struct work_memory *kept);
/* Zeroed sparse memory as large as a core's, until world_free. */
struct arena *world_arena(struct world *w);
void world_arena_free(struct arena *arena); /* earlier */

#endif
