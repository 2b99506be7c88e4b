/* caps: the limit of every queue and table of proto/. One place, so that memory is a sum anyone can do: core_arena_bytes
 * does it, and nothing is taken from a core's arena once it is made.
 * PERIGEE_TINY_CAPS selects a second set so small that tests reach every limit. Protocol limits (what a peer may send)
 * are the same in both; only table sizes shrink. */
#ifndef PERIGEE_PROTO_BASE_CAPS_H
#define PERIGEE_PROTO_BASE_CAPS_H

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
    CONTACT_ADDRESS_MAX = 128, /* where a member may be dialled */
    CONTACTS_ASKED_MAX = 32,   /* at once */
    CAP_GROUPS = 4,            /* grouping columns of a privacy step */
    CAP_DOMAIN = 64,           /* values of one grouping column */
    CAP_CELLS = 4096,          /* groups of a step: product of its domains */
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
    CAP_MAKER_DEVICES = 256, /* of one maker in force at once, at most */
    SMALL_PART = 1024,       /* of every table, for a device */
};

/* Table sizes. */
#ifdef PERIGEE_TINY_CAPS
enum {
    CAP_MEMBERS = 12,
    CAP_AUTHORS = 16,
    CAP_AUTHOR_RECORDS = 40,
    CAP_CHAIN_PARTS = CAP_AUTHORS,
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
    CAP_PEERS = 8,
    CAP_CONTACTS = 8,
    CAP_PENDING = 16,
    CAP_REVOCATIONS = 8,
    CAP_KEPT_BYTES = 96 << 10,
    CAP_ENCLAVES = 2,
};
#else
enum {
    CAP_MEMBERS = 4096,
    CAP_AUTHORS = 4096,
    CAP_AUTHOR_RECORDS = 65536,
    CAP_CHAIN_PARTS =
        16, /* so many authors may be full at once: beyond that a node holds no more of others */
    CAP_AUTHOR_BYTES = 128 << 20, /* headers and bodies of its records, but for revocations and removals */
    CAP_AHEAD_BYTES = 4 << 20,    /* of those that came before their turn */
    CAP_SMALL_RECORDS = 256,      /* of a device */
    CAP_SMALL_BYTES = 512 << 10,
    CAP_ASSETS = 32768,
    CAP_GRANTS = 65536,
    CAP_JOBS = 4096,
    CAP_APPROVALS = 16384,
    CAP_RUNS = 8192,
    CAP_DECISIONS = 65536,
    CAP_REMOVALS = 16384,
    CAP_DEVICES =
        2048, /* admissions by makers; half of the authors, so that others always find their place */
    CAP_PEERS = 256,
    CAP_CONTACTS = 1024, /* of members, that say where they may be dialled */
    CAP_PENDING = 2048,
    CAP_REVOCATIONS = 16384,
    CAP_KEPT_BYTES = 96 << 20, /* what is kept of all assets' documents beside their records */
    CAP_ENCLAVES = 64,         /* running here, or whose result waits to be recorded */
};
#endif
enum { CAP_RECORDS = CAP_CHAIN_PARTS * CAP_AUTHOR_RECORDS };

#endif
