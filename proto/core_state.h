/* core_state: what the core_*.c files share. Nobody else includes it. */
#ifndef PERIGEE_PROTO_CORE_STATE_H
#define PERIGEE_PROTO_CORE_STATE_H

#include "proto/base/panic.h"
#include "proto/base/pool.h"
#include "proto/certificate.h"
#include "proto/chain.h"
#include "proto/core.h"
#include "proto/election.h"
#include "proto/enclave.h"
#include "proto/gossip.h"
#include "proto/heads.h"
#include "proto/parties.h"
#include "proto/promise.h"
#include "proto/view.h"

enum {
    SCRATCH_BYTES = 16 << 20, /* half of it is what the start of an enclave takes */
    JOINS_A_PEER = 4,
    /* Work in flight at once for one peer: that is no member; that is one, in sixteenths (more than a whole answer to `get`); for all
     * that are no custodians; for all. What is left is for this node's own. */
    STRANGER_PENDING_MAX = 4,
    MEMBER_PENDING_16THS = 3,
    MEMBERS_PENDING_16THS = 8,
    FOREIGN_PENDING_16THS = 12,
    URGENT_PENDING_MAX = 4, /* revocations and removals that a member brings, beside all that */
    KEYS_ASKED_16THS = 1,
    RECEIPTS_ASKED_16THS = 4,
    AGAIN_16THS = 1,
    PROMISES_MAX = CAP_RUNS * 6,
    KEYS_A_STEP = 1024,
    UNKEPT_MS = 1000, /* after it has refused something the disk is asked again */
    STRANGER_NOTICE_MS = 1000,
    TICK_MS = 250,
    HEADS_MS = 1000, /* oftener with a short lease */
    RESEND_MS = 1000,
    PREVOTE_WAIT_MS = 1500,
    VIEW_ALL = 64, /* members that are all linked with each other */
    BLOB_WAIT_MS = 5000,
    RUN_SILENCE_MS = 90000, /* longer than an enclave waits for answers */
};

struct pending;
/* What to do when a token's work is done. Owns `p` from here: ends with pending_end, or keeps it for the next step. */
typedef void (*pending_step)(struct core *c, struct pending *p, const struct event *event);

struct pending {
    uint64_t token; /* 0: free */
    uint32_t next_free_plus_one;
    pending_step then;
    struct node_id peer;
    /* Whose work it is, if not this node's own: a row of `peer` and its serial then, or NO_ROW. */
    uint32_t row, serial;
    bool foreign, of_member; /* a peer's; one's that is no custodian */
    bool urgent;             /* a peer's, beside its share */
    bool again;              /* what the disk had refused: nobody's */
    struct run_id run;
    uint64_t term, reply, number;
    uint32_t party; /* of an ask: whom it is for */
    enum kind kind;
    uint8_t *block; /* pool memory: a packed message, a body, an ask in progress */
    size_t len, header_len;
    uint8_t *side; /* second block */
    size_t side_len;
    uint8_t promise[PROMISE_KEY_BYTES];
    uint8_t value[32];
    struct signature signature;
};

struct peer {
    struct peer_view view;
    uint32_t serial;            /* of its stay in this row */
    uint32_t link;              /* of the mesh, plus one; 0: it is told of nothing but heads */
    uint32_t in_flight, urgent; /* pending work that counts as its; that is beside its share */
    uint32_t pair_next;         /* which author's equivocation it is told of next */
    uint64_t early_next;        /* which author's revocation behind a hole */
    struct hash32 told;         /* the root, or founders' heads, that it was told last */
    int64_t told_ns;            /* when */
    uint32_t open;              /* branches of its heads that it was asked for, to compare */
    int64_t answer_ns;          /* when the last answer to that came, or it began */
    uint32_t patience_ms;       /* so long after it another comparison begins */
    bool behind;                /* among them was what is not held here */
    uint32_t turn;              /* which comparison that is: answers to an earlier one say nothing of it */
    bool a_stranger_to; /* it takes this node for one that is no member: it told founders' heads unasked */
    uint64_t get_bytes; /* it may be sent so many bytes of records in answer to `get`, since get_at_ns */
    int64_t get_at_ns;
    uint32_t asked; /* so many records since asked_ns, about a second, less those that it brought since */
    int64_t asked_ns;
    int64_t passed_ns; /* it let its turn to answer pass: it has none before */
    uint8_t passed;    /* so often, and brought little since */
    int64_t notice_ns; /* when the next notice that it can cause may be given */
    int64_t heard_ns;  /* when its last heads came */
    int64_t clock_ms;  /* what they said of its clock (skew.h) */
    bool
        compared; /* since it came up, or was last silent for long, it has shown nothing that is not held here */
};

/* Records of one author that hurried lately. */
struct urgency {
    uint32_t spent;
    int64_t since_ns;
    int64_t walk_ns; /* until then a walk down to where its chains part is not taken up again */
};

/* A custodian's cached answer: asks are idempotent. */
struct answer {
    struct run_id run;
    uint64_t term;
    uint32_t party;
    uint8_t tag; /* ANSWER_* */
    struct node_id enclave;
    struct span box;
    bool busy;
};

/* The platform of a compute member, from its newest advert. */
struct advert {
    struct node_id node;
    uint64_t time_ms;
    int64_t heard_ns;
    struct hash32 platform;
};

enum candidate_phase {
    CANDIDATE_IDLE,
    CANDIDATE_WAITING,
    CANDIDATE_PREVOTE,
    CANDIDATE_VOTE,
    CANDIDATE_HOLDER,
    CANDIDATE_DONE
};

struct run_track {
    struct run_view view;
    enum candidate_phase phase;
    uint64_t term;      /* of the own candidacy; the view's is of the latest certificate seen */
    int64_t next_ns;    /* when to ask (again) */
    uint64_t heard_ms;  /* when the view last moved */
    int64_t revoked_ns; /* when this node first saw that an owner has taken the run back; 0: none has */
    bool unsaved;       /* it moved since the store was told */
    bool cut_off;       /* its worker ended with this node's process: peers are told as they come up */
    uint32_t attempts;  /* enclaves of its own that ended without an output, since this node started */
    /* Bits per custodian, of this asking: prevoted or voted; will not in this term, or not yet; bound to another run. */
    uint32_t answered, passed, lost;
    uint32_t heard;                  /* bit per custodian: the next two are what it said */
    uint32_t known[CAP_CUSTODIANS];  /* the highest term that it is bound by */
    int64_t free_ns[CAP_CUSTODIANS]; /* when it is free for a later one */
    /* As a custodian: no vote for a term above this before then. Forgotten with a restart, which waits instead. */
    struct node_id held_by; /* who had its vote in that term, so often in a row */
    uint32_t held_times;
    uint32_t hold_term;
    uint64_t hold_rounds; /* leases given in it: the release, then each round asked for */
    int64_t hold_until_ns;
    uint32_t receipts_awaited; /* of this run, from before the start: those not examined yet */
    uint32_t
        unkept_term; /* in which it has promised a release that its store has not acknowledged; 0: none */
    struct certificate certificate;
    struct span certificate_bytes;
    /* The worker's receipt, in one of the places for results until an own record carries it: the worker is gone and cannot
     * give it again. */
    struct span result;
    int64_t result_ns; /* when to try (again) to author it */
    /* For an owner or requester in a large consortium: who may do it first (core_contacts.c), and when to look again. */
    struct node_id first[ELECTION_FIRST_MAX];
    uint32_t first_count;
    int64_t first_ns;
};

enum {
    KEYGEN_MESSAGE_BYTES = 96 + (32 + 48) * CAP_CUSTODIANS,
    KEYGEN_RESULT_FIXED_BYTES = 32 + 64 + 64,
    KEYGEN_RESULT_BYTES = KEYGEN_RESULT_FIXED_BYTES + 32 * CAP_CUSTODIANS,
};
struct keygen {
    enum keygen_phase phase;
    int64_t resend_ns;
    struct keygen_session session[2];
    uint8_t round1[2][CAP_CUSTODIANS][KEYGEN_MESSAGE_BYTES]; /* all of one length */
    bool round1_known[2][CAP_CUSTODIANS];
    bool finished[2];
    uint8_t result[2][KEYGEN_RESULT_BYTES]; /* output of CRYPTO_KEYGEN_FINISH */
    bool signature_known[2][CAP_CUSTODIANS];
    struct signature signature[2][CAP_CUSTODIANS];
    uint8_t transcript[2][CAP_CUSTODIANS][64]; /* that it is said to be of */
    bool begun[2], finishing[2];
    uint32_t wrong; /* bit per custodian: a part of its does not hold */

    /* A committee record's body whose two certificates are being checked: the own one, or another custodian's. */
    bool examining, examined_bad, others_turn;
    const struct record *examined; /* NULL: the own one */
    uint32_t examined_count, tally_next;
};

/* Whom this node dials by contacts, beside the view itself. */
struct dialling {
    int64_t next_ns;          /* when that is looked at again */
    uint32_t members;         /* that charter or stewards admitted, up to VIEW_ALL + 1 */
    struct parties parties;   /* of runs under way, but for who is one anyhow */
    uint32_t looks;           /* for who may do a run, in this tick */
    uint32_t seeking, sought; /* runs that want such a look: so far in this tick, in the last */
    uint64_t shown_seq;       /* up to there q custodians were seen to hold the own chain */
    bool must_show;           /* not all of it, or heads were not compared with them since the start */
    int64_t ask_next_ns;      /* when the next member is asked for contacts; so long after that another */
    uint32_t ask_every_ms;
    int64_t want_next_ns; /* the same, for contacts of parties that are not known */
    uint32_t want_every_ms;
    struct node_id wanted; /* which parties there were then, all in one */
    uint8_t
        own[VIEW_PACKED_MAX]; /* the own contact, as record_pack has it; of no bytes: none is signed yet */
    uint16_t own_len;
    int64_t own_next_ns;
    struct hash32 kept; /* of what the store was told to keep */
    int64_t keep_next_ns;
};

struct want {
    uint8_t cid[36];
    struct run_id run;
    int64_t since_ns;
    struct node_id from; /* who was asked last */
    uint32_t asked;
    bool active;
};
enum { NO_ROW = UINT16_MAX };
enum { ANSWER_BOX_BYTES = (ANSWER_BYTES_MAX + KEM_OVERHEAD_BYTES + 15) / 16 * 16 };

/* All memory is taken in core_new: what may grow has its cap there, and what finds no place is refused as full. */
struct core {
    struct step_room *room, own_room; /* own: where none is lent */
    struct arena heap;                /* of tables that hold little */
    struct arena blocks, answers;     /* of the pool; boxes of those kept */
    struct pool pool;
    struct core_options options;
    struct instant now;
    uint64_t wall_ms;
    bool ready;

    struct registry *registry;
    struct chain chain;
    struct promises promises;
    bool promise_lost; /* one in the store does not read back */
    enum silence silence;
    enum chain_disk silence_disk; /* where the disk is with it */
    bool unshown; /* it held own records when it started, and has not compared heads with a quorum since */

    uint32_t effect_count;
    bool step_full; /* an enclave is started in it: the rest is for the next one */

    struct pending *pending;
    uint32_t pending_used,
        pending_free_plus_one; /* rows that ever were, and of these the one given back last */
    uint16_t *pending_of; /* by slot, which is part of the token: a row, plus one. Slots are taken in turn */
    uint32_t slot_next;
    uint32_t foreign_in_flight, members_in_flight; /* all peers' work; that of those that are no custodians */
    uint32_t rowless_in_flight;                    /* of peers that found no place in `peer` */
    uint64_t token_next;

    struct peer *peer;
    uint32_t peer_count, peer_serial;
    struct view *view;
    struct dialling dialling;
    struct gossip *gossip;
    uint32_t link_row[GOSSIP_LINKS_MAX];   /* a row of `peer`, plus one */
    uint8_t link_weight[GOSSIP_LINKS_MAX]; /* who gives way to whom */
    struct urgency *urgency;               /* by row of the chain's authors */
    uint32_t said_row;                     /* the record encoded last in this step, plus one */
    struct span said;
    uint32_t unkept, unkept_next; /* records that the disk has refused; where to look for the next */
    uint32_t again;               /* of these: asked for again now */
    uint32_t unkept_pairs;        /* authors whose equivocation it has refused */
    int64_t unkept_ns, unkept_notice_ns;
    struct { /* a peer that is no member and was asked for records: its turn (core_sync.c) */
        uint32_t serial, awaited, answers, news; /* records: of the answers some are news */
        int64_t since_ns, until_ns;
        bool wanted; /* by another */
    } answerer;
    bool answering;  /* what is sent answers a `want` */
    int64_t tick_ns; /* when all that is done now and then is due */

    struct join_request *join; /* oldest first */
    uint8_t **join_block;      /* pool memory: what their spans point into */
    struct node_id *join_from; /* the peer that each came from */
    uint32_t join_count;
    int64_t stranger_notice_ns; /* when the next notice that strangers can cause may be given */
    struct span join_body;      /* own request, repeated until admitted */
    int64_t join_next_ns;

    struct pending *own_head; /* own record being made; others wait in own_queue */
    struct pending **own_queue;
    uint32_t own_queue_count;
    bool
        own_stuck; /* the store failed on an own record: nothing is signed until a restart has read what it holds */

    uint64_t own_latest_ms;  /* the latest date of all own records held */
    uint64_t taken_back_seq; /* of the last own revocation; 0: there is none */
    bool takes_back;         /* too few custodians have shown to hold it to make it final */

    struct run_track *track;
    uint8_t (*certificate)[CERTIFICATE_BYTES_MAX]; /* one for each track */
    uint8_t (*result)[CAP_BODY_BYTES];             /* one for each enclave: busy() counts who holds one */
    bool *result_taken;
    uint32_t track_count;
    struct index tracks;
    uint32_t run_next, track_next; /* what the next tick looks at first: runs of the registry, tracks */
    int64_t held_until_ns;         /* leases given before the restart have ended by then */
    uint32_t key_next, keys_left;  /* approvals to look at for their key: where to go on, how many */
    uint32_t keys_asked;
    bool unsaved; /* some track is */
    uint32_t receipt_next,
        receipts_left; /* receipts among the chain's entries: where to look on, how many entries */
    uint32_t receipts_asked;

    struct answer *answer;
    uint32_t answer_count;
    struct advert *advert;
    uint32_t advert_count;
    int64_t advert_next_ns;
    struct want *want;
    uint32_t want_count; /* rows that ever were one */
    uint32_t enclaves_running;

    bool clock_off; /* the operator has been told so */
    uint32_t refused_messages;

    /* Half of an equivocation's pair, read back from the store without its body; the other half comes next. */
    uint8_t half_header[CAP_HEADER_BYTES];
    size_t half_len;
    struct signature half_signature;

    /* Large, and hardly touched by most: what all use lies together before it. */
    struct heads heads;
    struct keygen keygen;
    uint8_t join_bytes[CAP_BODY_BYTES];
};

/* --- core.c ---------------------------------------------------------------------------------------------------------- */
struct effect *emit(struct core *c, enum effect_type type);
/* A buffer in this step's scratch memory. */
struct buffer scratch_buffer(struct core *c, size_t cap);
struct span scratch_copy(struct core *c, struct span bytes);
/* Gives back what lies behind the first `touched` bytes of this buffer, the last taken. */
void scratch_trim(struct core *c, const struct buffer *b, size_t touched);
uint32_t pending_part(const struct core *c, uint32_t sixteenths); /* of the work that may be in flight */
struct pending *pending_new(struct core *c, pending_step then);   /* NULL when the table is full */
/* Work that this peer causes: NULL, too, when it has its share in flight. What is dropped it offers again. */
struct pending *pending_for(struct core *c, struct node_id peer, pending_step then);
/* The same, and some more for what may not wait behind the work of others. */
struct pending *pending_urgent(struct core *c, struct node_id peer, pending_step then);
/* Count it as this peer's from now on, whatever it has in flight: an answer to it. */
void pending_charge(struct core *c, struct pending *p, struct node_id peer);
bool pending_keep(struct core *c, struct pending *p, struct span bytes); /* copy into p->block */
void pending_end(struct core *c, struct pending *p);
struct crypto_job *ask_crypto(struct core *c, struct pending *p, enum crypto_op op, pending_step then);
void ask_store(struct core *c, struct pending *p, pending_step then, const struct keep *items,
               uint32_t count);
void ask_verify(struct core *c, struct pending *p, pending_step then, struct node_id author,
                struct hash32 message, const struct signature *signature);
void reply(struct core *c, uint64_t token, struct verdict verdict, const uint8_t id32[32]);
void notice(struct core *c, const char *text, struct span subject, const char *more);
void happened(struct core *c, struct happened what);
/* A custodian's answer to who asked it for something. */
void answered(struct core *c, enum custodian_ask ask, struct run_id run, struct verdict v);
/* For what anybody who connects can cause: at most one line a second. */
void stranger_notice(struct core *c, const char *text, struct node_id subject);
void unkept_notice(struct core *c, const char *why); /* the disk has refused a peer's record */
/* For what this peer alone can cause: at most one line a second, of all that have no place together. */
void peer_notice(struct core *c, struct node_id peer, const char *text, struct span subject,
                 const char *more);
/* This custodian cannot do its part now, which says nothing of the run: the refusal, and why for its log. */
struct verdict trouble(struct core *c, struct node_id asker, struct run_id run, const char *why);
/* This peer sent what does not follow the protocol. */
void offence(struct core *c, struct node_id peer, const char *what); /* "... from" */
void send_message(struct core *c, struct node_id to, struct span message);
struct peer *peer_find(struct core *c, struct node_id node);
int own_custodian(const struct core *c); /* index among the custodians, or -1 */
bool core_member(struct core *c, struct node_id node, uint32_t role);
/* A member, or a device that is none just now since something of its maker is missing here: it may bring that. NULL: neither. */
const struct member *core_lasting(struct core *c, struct node_id node);
/* How much of what all share a peer may have: makers' devices may be many, and have no more work in flight than strangers. */
enum tier { TIER_STRANGER, TIER_DEVICE, TIER_MEMBER };
enum tier core_tier(struct core *c, struct node_id node);

/* --- core_ingest.c ---------------------------------------------------------------------------------------------------- */
void ingest_record(struct core *c, struct node_id from, const struct message_RECORD *m);
void ingest_equivocation(struct core *c, struct node_id from, const struct message_EQUIVOCATION *m);
void ingest_restore(struct core *c, struct span packed);
/* Insert a record whose signature holds: keep, apply what has its turn, tell others. Then `p` is the disk's; NULL: it is there. */
const struct record *ingest_accept(struct core *c, const struct record *r, struct pending *p);
/* This node's approval, just accepted, whose second signature it saw under this key before it signed: it counts when it is
 * acknowledged, not a verification later. */
void ingest_key_seen(struct core *c, const struct record *approval, const uint8_t key[32]);
bool ingest_open(const struct core *c, const struct record *r,
                 struct node_id to); /* may this node read it that is no member? */
void ingest_tell_pair(struct core *c, struct node_id to, const struct author *a);
/* Apply what was left for later, so that one step stays small. */
void ingest_tick(struct core *c);
void ingest_ready(struct core *c);        /* the store has been read */
bool step_has_room(const struct core *c); /* for more effects and scratch */

/* --- core_author.c ---------------------------------------------------------------------------------------------------- */
/* Queue an own chained record. `token` (may be 0) gets the reply. */
void author_record(struct core *c, enum kind kind, struct span body, uint64_t expires_ms, uint64_t token);
/* Is such an own record being made, or waiting to be? */
bool author_in_making(const struct core *c, enum kind kind, struct span body);
/* Sign a statement and send it; with a promise it is durable before it leaves. */
void author_statement(struct core *c, struct node_id to, enum kind kind, const void *body,
                      const uint8_t *promise_key, const uint8_t *promise_value);
/* Sign an ephemeral record and send it to every peer. */
void author_ephemeral(struct core *c, enum kind kind, const void *body, uint64_t expires_ms);
/* Sign a statement into p->block as a packed record (p->len), then call `then`. */
void author_sign_into(struct core *c, struct pending *p, enum kind kind, const void *body, pending_step then);
void author_command(struct core *c, uint64_t token, const struct command *command);

/* --- core_sync.c ------------------------------------------------------------------------------------------------------ */
void sync_peer_up(struct core *c, struct node_id node);
void sync_peer_down(struct core *c, struct node_id node);
void sync_walk_down(struct core *c, struct node_id of, struct node_id author, uint64_t seq);
void sync_heads(struct core *c, struct node_id from, const struct message_HEADS *m);
void sync_root(struct core *c, struct node_id from, const struct message_ROOT *m);
void sync_branch_get(struct core *c, struct node_id from, const struct message_BRANCH_GET *m);
void sync_branch(struct core *c, struct node_id from, const struct message_BRANCH *m);
void sync_get(struct core *c, struct node_id from, const struct message_GET *m);
/* Is it the one peer that is no member of which much is awaited? And a record of it came. */
bool sync_has_turn(const struct core *c, const struct peer *p);
/* A chained record came; news: it was not held, and found room. */
void sync_answered(struct core *c, struct node_id from, bool news);
/* May it be sent so many bytes more, in answers? Then they are counted. */
MUST_USE bool sync_afford(struct core *c, struct peer *p, size_t bytes);
void sync_tick(struct core *c);
/* Has it compared heads, with q custodians, itself counted if it is one? */
bool sync_compared_with_quorum(const struct core *c);
/* Is the own clock known to be further than skew_max from the custodians'? */
bool sync_clock_off(const struct core *c);

/* --- core_mesh.c: records over links, by gossip.h ---------------------------------------------------------------------- */
MUST_USE enum err mesh_begin(struct core *c, struct arena *arena, uint64_t salt);
size_t mesh_bytes(const struct caps *caps);
/* Members that are up have a link, as many as there is room for. */
void mesh_peer(struct core *c, struct peer *p);
void mesh_peers(struct core *c);
void mesh_spread(struct core *c, const struct record *kept, bool authored); /* by this node, now */
/* Whoever takes back, or equivocates, without end would otherwise have each go whole over every link of every node: is this one of the
 * author's few at once, or of one a second? And it was. */
bool mesh_may_hurry(struct core *c, struct node_id author);
/* May a walk down to where the author's chains part be taken up again? Then not for WALK_AGAIN_MS. */
bool mesh_may_walk(struct core *c, struct node_id author);
void mesh_hurried(struct core *c, struct node_id author);
void mesh_send(struct core *c, struct node_id to, const struct record *held); /* whole, to one */
/* A chained record came from a peer. False: it is held, or looked at already. */
MUST_USE bool mesh_arrived(struct core *c, struct node_id from, struct record_id id);
/* One came that is not worth a check: held, or of no use now. */
void mesh_seen(struct core *c, struct node_id from, struct record_id id);
void mesh_dropped(struct core *c, struct record_id id, bool again);
void mesh_announce(struct core *c, struct node_id from, const struct message_ANNOUNCE *m);
void mesh_want(struct core *c, struct node_id from, const struct message_WANT *m);
void mesh_absent(struct core *c, struct node_id from, const struct message_ABSENT *m);
void mesh_tick(struct core *c);

/* --- core_contacts.c: whom this node dials, by view.h ------------------------------------------------------------------ */
MUST_USE enum err contacts_begin(struct core *c, struct arena *arena);
size_t contacts_bytes(const struct caps *caps);
bool contacts_want(struct core *c, const struct record *r); /* is its signature worth a check? */
void contacts_said(struct core *c, const struct record *r, const struct body_CONTACT *b);
void contacts_get(struct core *c, struct node_id from, const struct message_CONTACTS_GET *m);
void contacts_wanted(struct core *c, struct node_id from, const struct message_CONTACTS_WANT *m);
void contacts_signed(struct core *c, const struct record *r); /* the own one leaves */
void contacts_peer_up(struct core *c, struct node_id node);
void contacts_restore(struct core *c, struct span key, struct span value);
void contacts_tick(struct core *c);

/* --- core_keygen.c ---------------------------------------------------------------------------------------------------- */
void keygen_start(struct core *c, uint64_t token);
void keygen_round1(struct core *c, struct node_id from, const struct body_KEYGEN_ROUND1 *b);
void keygen_sign(struct core *c, struct node_id from, const struct body_KEYGEN_SIGN *b);
void keygen_tick(struct core *c);

/* --- core_elect.c ----------------------------------------------------------------------------------------------------- */
struct run_track *track_find(struct core *c, struct run_id run);
struct run_track *track_add(struct core *c, struct run_id run); /* found or added; NULL: full */
/* Watch this run, if its recipe names who asks for it. */
void track_new(struct core *c, const struct run_entry *run);
void track_state(struct core *c, struct run_track *t, enum run_state state);
/* Who has taken this run back, or is frozen, when no enclave of it works any more, nor was an output committed, as far as is known
 * here. VERDICT_OK: nobody. */
struct verdict track_revoked(struct core *c, struct run_track *t);
/* Who has, while nothing was committed: however its enclave ends, it is not tried again. VERDICT_OK: nobody. */
struct verdict track_taken_back(struct core *c, struct run_track *t);
/* Has it not ended, as far as this node can tell? A node that fell silent may be back, and another may go on without it. */
bool track_open(const struct run_track *t);
/* Why it is where it is, or what it waits for. */
void track_reason(struct run_track *t, struct verdict why);
/* It has a receipt: term and node are those of its certificate from now on, whatever else was or will be seen, with no reason. */
void track_settled(struct core *c, struct run_track *t);
/* A certificate of this term, higher than any seen, elects this node. */
void track_elected(struct core *c, struct run_track *t, struct node_id node, uint64_t term);
void elect_prevote(struct core *c, struct node_id from, const struct body_PREVOTE *b);
void elect_vote(struct core *c, struct node_id from, const struct body_VOTE *b);
void elect_tick(struct core *c);
/* This node's enclave ended without an output: may another attempt follow? */
void elect_again(struct core *c, struct run_track *t, bool possible);
void elect_advert(struct core *c, const struct record *r, const struct body_ADVERT *b);
const struct advert *advert_find(const struct core *c, struct node_id node);

/* --- core_vote.c ------------------------------------------------------------------------------------------------------ */
void elect_ready(struct core *c); /* the store has been read */
void elect_prevote_ask(struct core *c, struct node_id from, const struct body_PREVOTE_ASK *b);
void elect_vote_ask(struct core *c, struct node_id from, const struct body_VOTE_ASK *b);
/* From now on, for a lease, this custodian votes for no later term of this run. Once per round, the release being round 0: a
 * host that brings an old ask again prolongs nothing. False: no room to remember it. */
MUST_USE bool elect_hold(struct core *c, struct run_id run, uint64_t term, uint64_t round);
/* For so long a custodian holds a lease that it gave: no enclave works under it for longer. */
int64_t elect_lease_ns(const struct core *c);
/* What every vote for this node signs: a certificate without votes. */
struct certificate elect_vote_of(const struct core *c, const struct run_entry *run, uint64_t term,
                                 struct node_id node);

/* --- core_release.c --------------------------------------------------------------------------------------------------- */
void release_ask_box(struct core *c, struct node_id host, const struct message_RELAY *m);

/* --- core_host.c ------------------------------------------------------------------------------------------------------ */
void host_start(struct core *c, struct run_track *t);
void host_frame(struct core *c, struct run_id run, struct span frame);
void host_answer(struct core *c, struct node_id peer, const struct message_RELAY *m);
void host_blob_missing(struct core *c, struct run_id run, struct span cid);
void host_blob(struct core *c, struct node_id from, const struct message_BLOB *m);
void host_blob_get(struct core *c, struct node_id from, const struct message_BLOB_GET *m);
void host_refusal(struct core *c, struct node_id party, const struct body_REFUSAL *b);
void host_progress(struct core *c, const struct record *r, const struct body_PROGRESS *b);
void host_receipt(struct core *c, const struct record *r);
void host_look_for_receipts(struct core *c); /* one that came earlier may settle a run now */
void host_tick(struct core *c);
void host_ready(struct core *c); /* the store has been read */
void host_peer_up(struct core *c);

/* --- core_silence.c --------------------------------------------------------------------------------------------------- */
void silence_begin(struct core *c, enum silence why);
void silence_restore(struct core *c, struct span key, struct span value);
void silence_ready(struct core *c);      /* the store has been read */
bool silence_kept(const struct core *c); /* it is on the disk, or there is none */
struct keep silence_item(struct core *c);
void silence_keep(struct core *c);  /* asks the disk, if it lacks it */
void silence_shown(struct core *c); /* a peer told its heads */
void silence_own_record(struct core *c, const struct record *r);
void silence_own_vote(struct core *c, const struct certificate *certificate); /* whose votes hold */
void silence_own_commit(struct core *c, const struct body_RECEIPT *b);

/* --- core_join.c ------------------------------------------------------------------------------------------------------ */
void join_command(struct core *c, uint64_t token, struct span body);
void join_restore(struct core *c, struct span key, struct span value);
void join_tick(struct core *c);

/* --- core_history.c --------------------------------------------------------------------------------------------------- */
void history_restore(struct core *c, struct span key, struct span value);
void history_moved(struct core *c, struct run_track *t);
void history_save(struct core *c); /* at the end of a step: what moved */

#endif
