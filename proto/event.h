/* event: what the core is told and what it asks for. Values in, values out; no callbacks, no I/O.
 * Every event carries the monotonic and the wall clock. Spans in an event are valid during the step; spans in an effect
 * are valid until the next step of the same core, so an executor that needs them longer copies them. Effects are handed
 * out in order (pump.h). A non-zero token asks for a completion event with the same token. */
#ifndef PERIGEE_PROTO_EVENT_H
#define PERIGEE_PROTO_EVENT_H

#include "crypto/types.h"
#include "proto/record.h"
#include "proto/refusal.h"

/* --- What a store keeps (mapped onto storage/store.h by the executor) -------------------------------------------------- */
enum keep_space { KEEP_RECORD, KEEP_PROMISE, KEEP_LOCAL };
struct keep {
    enum keep_space space;
    struct span key;   /* record: id; promise and local: the caller's name */
    struct span value; /* record: packed (record_pack); empty deletes a local value */
};
enum { KEEP_MAX = 4 };

/* --- Commands (from the API) -------------------------------------------------------------------------------------------- */
enum command_type {
    COMMAND_AUTHOR, /* sign and publish one record of `kind` with `body` */
    COMMAND_RUN,    /* plan, check and publish a run */
    COMMAND_KEYGEN, /* start key generation for the charter in force (custodians) */
    COMMAND_JOIN,   /* send a join request (body JOIN) to the charter's members */
    COMMAND_RECORD, /* a packed record from outside (charter file, offline approval) */
};
struct command {
    enum command_type type;
    enum kind kind;
    struct span body; /* encoded body of `kind` */
    uint64_t expires_ms;
    /* COMMAND_RUN, as struct run_wish. */
    struct compose_hash compose;
    uint64_t slot;
    struct span datasets, parameters;
};

/* --- Frames between the host and its enclave worker (one byte of type, then a body; PROTOCOL.md "Enclave frames") -------- */
enum enclave_frame {
    FRAME_START = 1,   /* host: bundle, certificate, custodian keys are in the bundle; see enclave.h */
    FRAME_BLOB = 2,    /* host: cid 36 | found u8 | bytes */
    FRAME_ANSWER = 3,  /* host: party u8 | box */
    FRAME_WANT = 16,   /* enclave: cid 36 */
    FRAME_ASK = 17,    /* enclave: party u8 | box */
    FRAME_STATE = 18,  /* enclave: run_state u8 */
    FRAME_RESULT = 19, /* enclave: body of a receipt record */
    FRAME_FAILED =
        20, /* enclave: refusal u8 | how many custodians gave it u8, 0: its own finding; or FAILED_JUDGED */
    FRAME_BAD_SHARES =
        21, /* enclave: custodian index u8 | its packed release, which names the shares by their hash */
};
/* By what its receipt would be judged by, which may be other in another term. */
enum { FAILED_JUDGED = 255 };

/* --- Events ------------------------------------------------------------------------------------------------------------- */
enum event_type {
    EVENT_TICK,
    EVENT_RESTORE_LOCAL,   /* at start, before all records: key, value of a local value, whoever's it is */
    EVENT_RESTORE_RECORD,  /* at start: a packed record of the own store (signature was checked before) */
    EVENT_RESTORE_PROMISE, /* at start: key, value; no value when it does not read back */
    EVENT_RESTORE_LOST, /* at start: a place in a chain (key: author 32 | be64 seq ...) does not read back */
    EVENT_READY,        /* the store has been read: the core may act */
    EVENT_PEER_UP,
    EVENT_PEER_DOWN,
    EVENT_MESSAGE,      /* one link message from an authenticated peer */
    EVENT_STORED,       /* token, err */
    EVENT_CRYPTO,       /* token, err, output */
    EVENT_COMMAND,      /* token, command */
    EVENT_ENCLAVE,      /* run, frame from the local worker; an empty frame: the worker is gone */
    EVENT_BLOB_MISSING, /* run, cid: the local store lacks a blob the worker wants */
};
struct event {
    enum event_type type;
    struct instant now;
    uint64_t wall_ms;
    uint64_t token;
    enum err err;
    struct node_id peer;
    struct run_id run;
    struct span bytes; /* message, frame, packed record, crypto output, cid */
    struct span key;   /* EVENT_RESTORE_LOCAL, EVENT_RESTORE_PROMISE, EVENT_RESTORE_LOST */
    const struct command *command;
};

/* --- What happened ------------------------------------------------------------------------------------------------------- */

/* For whoever watches (metrics, event streams): nothing depends on it, and nothing of it is said while the store is read. */
enum happening {
    HAPPENED_RECORD, /* id, kind: a chained record took effect */
    HAPPENED_RUN,    /* run, term, state: its view moved there (enum run_state) */
    HAPPENED_ANSWER, /* run, ask, verdict: as a custodian, it gave what was asked for (none) or refused */
};
enum custodian_ask { ASK_VOTE, ASK_SHARES, ASK_LEASE, ASK_COMMIT, CUSTODIAN_ASK_COUNT };
struct happened {
    enum happening type;
    enum kind kind;
    enum custodian_ask ask;
    struct run_id run;
    uint64_t term;
    uint32_t state;
    struct hash32 id;
    struct verdict verdict;
};

/* --- Effects ------------------------------------------------------------------------------------------------------------- */
enum effect_type {
    EFFECT_SEND,    /* peer, bytes: a link message (to itself: comes back as EVENT_MESSAGE) */
    EFFECT_OFFENCE, /* peer: it sent what no honest node sends, its link ends and is scored */
    EFFECT_SEND_BLOB, /* peer, bytes = cid, manifests: send message BLOB with it if it is one of these manifests or is
                           * listed in one, else refuse */
    EFFECT_STORE,         /* token, keep[]: durable before EVENT_STORED */
    EFFECT_CRYPTO,        /* token, crypto */
    EFFECT_ENCLAVE_START, /* run, bytes = FRAME_START */
    EFFECT_ENCLAVE_SEND,  /* run, bytes = frame */
    EFFECT_ENCLAVE_BLOB,  /* run, bytes = cid: from the store to the worker, else EVENT_BLOB_MISSING */
    EFFECT_ENCLAVE_STOP,  /* run */
    EFFECT_REPLY,         /* token, verdict, id: the answer to a command */
    EFFECT_DIAL, /* peer, bytes = address: keep a link with it until EFFECT_HANG_UP, dialled again as long as it takes */
    EFFECT_HANG_UP,  /* peer: the link that was dialled so ends */
    EFFECT_NOTICE,   /* bytes = one line for the log; no secrets, no data */
    EFFECT_HAPPENED, /* happened */
};
struct effect {
    enum effect_type type;
    uint64_t token;
    struct node_id peer;
    struct run_id run;
    struct span bytes;
    struct span manifests; /* EFFECT_SEND_BLOB: sha2-256 of what may be served from, 32 bytes each */
    struct keep keep[KEEP_MAX];
    uint32_t keep_count;
    struct crypto_job crypto;
    struct verdict verdict;
    struct hash32 id;
    struct happened happened;
};

#endif
