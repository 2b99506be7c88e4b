/* caps: the limit of every queue and table of proto/. One place, so that memory is a sum anyone can do: core_arena_bytes
 * does it, and nothing is taken from a core's arena once it is made. Two kinds:
 * What decides what has effect is the same in every node, and constant: what a peer may send, and the tables of records and of what is
 * in force. "No room" there is a fact of an author's own chain, so every node must find it in the same place. A node with less would refuse
 * what others hold to be in force: it would vote, release and count a budget otherwise than they do.
 * How much a node does at once is its own affair, and comes in profiles (struct caps). What finds no place is asked for again, or told
 * again, later: a smaller node is slower, and never of another opinion.
 * PERIGEE_TINY_CAPS selects a second set so small that tests reach every limit. Protocol limits (what a peer may send)
 * are the same in both; only table sizes shrink. */
#ifndef PERIGEE_PROTO_BASE_CAPS_H
#define PERIGEE_PROTO_BASE_CAPS_H

#include <stdint.h>

/* --- What all agree on ---------------------------------------------------------------------------------------------------- */

/* Protocol limits. */
enum {
    CAP_BODY_BYTES = 65536, /* record body; larger content is a blob it names */
    CAP_HEADER_BYTES = 320,
    CAP_MESSAGE_BYTES = (1 << 20) + 4096, /* one link message: a sealed chunk and its frame */
    CAP_DOCUMENT_BYTES = 49152,
    CAP_CODE_BYTES = 8192, /* of an op: a template */
    CAP_TEXT = 256,
    CAP_NAME = 64,
    CAP_INPUTS = 16, /* input slots of a workflow */
    CAP_STEPS = 4,
    CONTACT_ADDRESS_MAX = 64, /* where a member may be dialled */
    CONTACTS_ASKED_MAX = 32,  /* at once */
    CAP_GROUPS = 4,           /* grouping columns of a privacy step */
    CAP_DOMAIN = 64,          /* values of one grouping column */
    CAP_CELLS = 4096,         /* groups of a step: product of its domains */
    CAP_STATISTICS = 16,
    CAP_PARAMETERS = 16, /* of a workflow */
    CAP_COLUMNS = 64,
    CAP_REQUESTERS = 16,
    CAP_STEWARDS = 32,
    CAP_CUSTODIANS = 32,
    CAP_OPS_IN_GRANT = 16,
    CAP_CHILDREN = 16,
    CAP_SERVICES = 8,
    CAP_JURISDICTIONS = 32,
    CAP_PLATFORMS = 8,
    CAP_MAKER_DEVICES =
        1024, /* of one maker in force at once, at most: together they have what one member has */
    SMALL_PART = 4 * CAP_MAKER_DEVICES, /* of every table, for a device; for a member a quarter */
};

/* Table sizes. */
#ifdef PERIGEE_TINY_CAPS
enum {
    CAP_MEMBERS = 12,
    CAP_AUTHORS = 16,
    CAP_AUTHOR_RECORDS = 40,
    CAP_AUTHOR_BYTES = 256 << 10,
    CAP_AHEAD_BYTES = 96 << 10,
    CAP_SMALL_RECORDS = 1,
    CAP_SMALL_BYTES = 1 << 10,
    CAP_ASSETS = 12,
    CAP_GRANTS = 12,
    CAP_JOBS = 4,
    CAP_APPROVALS = 16,
    CAP_RUNS = 6,
    CAP_DECISIONS = 48, /* voices of all stewards, in equal parts; removals apart */
    CAP_REMOVALS = 12,
    CAP_DEVICES = 16,
    CAP_REVOCATIONS = 8,
    CAP_KEPT_BYTES = 96 << 10,
};
#else
enum {
    CAP_MEMBERS = 4096,
    CAP_AUTHORS = 16384,
    CAP_AUTHOR_RECORDS = 65536,
    CAP_AUTHOR_BYTES = 128 << 20, /* headers and bodies of its records, but for revocations and removals */
    CAP_AHEAD_BYTES = 4 << 20,    /* of those that came before their turn */
    CAP_SMALL_RECORDS = CAP_AUTHOR_RECORDS / CAP_MAKER_DEVICES, /* of a device */
    CAP_SMALL_BYTES = CAP_AUTHOR_BYTES / CAP_MAKER_DEVICES,
    CAP_ASSETS = 32768,
    CAP_GRANTS = 65536,
    CAP_JOBS = 4096,
    CAP_APPROVALS = 16384,
    CAP_RUNS = 8192,
    CAP_DECISIONS = 65536,
    CAP_REMOVALS = 16384,
    CAP_DEVICES = CAP_AUTHORS / 2, /* admissions by makers: others always find their place */
    CAP_REVOCATIONS = 16384,
    CAP_KEPT_BYTES = 96 << 20, /* what is kept of all assets' documents beside their records */
};
#endif

/* --- A node's own affair -------------------------------------------------------------------------------------------------- */

/* X(field, constant, full, light, sim): the constant is the full profile's, which no other exceeds. */
#ifdef PERIGEE_TINY_CAPS
#define CAPS_TABLE(X)                                                                                        \
    X(peers, CAP_PEERS, 8, 8, 8)                                                                             \
    X(contacts, CAP_CONTACTS, 8, 8, 8)                                                                       \
    X(pending, CAP_PENDING, 16, 16, 16)                                                                      \
    X(effects, CAP_EFFECTS, 4096, 4096, 4096)                                                                \
    X(spreading, CAP_SPREADING, 8192, 8192, 8192)                                                            \
    X(joins, CAP_JOINS, 64, 64, 64)                                                                          \
    X(own_queue, CAP_OWN_QUEUE, 64, 64, 64)                                                                  \
    X(wants, CAP_WANTS, 64, 64, 64)                                                                          \
    X(answers, CAP_ANSWERS, 256, 256, 256)                                                                   \
    X(adverts, CAP_ADVERTS, 256, 256, 256)                                                                   \
    X(enclaves, CAP_ENCLAVES, 2, 2, 2)                                                                       \
    X(chain_parts, CAP_CHAIN_PARTS, CAP_AUTHORS, CAP_AUTHORS, CAP_AUTHORS)
#else
#define CAPS_TABLE(X)                                                                                        \
    X(peers, CAP_PEERS, 256, 64, 256)            /* of these a quarter for strangers, one for devices */     \
    X(contacts, CAP_CONTACTS, 1024, 128, 128)    /* of members, that say where they may be dialled */        \
    X(pending, CAP_PENDING, 2048, 512, 512)      /* work in flight: each may hold a whole record */          \
    X(effects, CAP_EFFECTS, 4096, 2048, 2048)    /* of one step */                                           \
    X(spreading, CAP_SPREADING, 8192, 8192, 256) /* records that spread at once */                           \
    X(joins, CAP_JOINS, 64, 16, 16)                                                                          \
    X(own_queue, CAP_OWN_QUEUE, 64, 16, 16) /* own records that wait to be signed */                         \
    X(wants, CAP_WANTS, 64, 16, 64)         /* chunks that enclaves here wait for */                         \
    X(answers, CAP_ANSWERS, 256, 64, 256)   /* a custodian's, kept to be repeated */                         \
    X(adverts, CAP_ADVERTS, 256, 256, 256)                                                                   \
    X(enclaves, CAP_ENCLAVES, 64, 4, 64)      /* running here, or whose result waits to be recorded */       \
    X(chain_parts, CAP_CHAIN_PARTS, 16, 4, 4) /* authors that may be full at once: then it holds no more */
#endif

#define CAPS_FIELD(field, constant, full, light, sim)    uint32_t field;
#define CAPS_CONSTANT(field, constant, full, light, sim) constant = full,
enum { CAPS_TABLE(CAPS_CONSTANT) };
struct caps {
    const char *name;
    CAPS_TABLE(CAPS_FIELD)
};
#undef CAPS_FIELD
#undef CAPS_CONSTANT

extern const struct caps caps_full;
extern const struct caps caps_light; /* a small machine: a wearable, a silo on a single board */
extern const struct caps caps_sim;   /* of a simulation of many */
/* The profile with this name, or NULL. */
const struct caps *caps_named(const char *name);

#endif
