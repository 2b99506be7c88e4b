/* recording: what a node's core was told, as bytes (format recording/2; docs/SIMULATION.md "Replay from the field").
 * recorder.h writes it, replay.h steps a core by it. Here are its frames, both ways; what is hashed of effects; and which
 * completions can come, which is what both sides follow of the work in flight.
 * Rules: outputs of keyed work that are secret (shares, halves of data keys) are not in it, only how long they are; of a local value
 * that is not the core's only that there is one. What a core does depends on neither; what it asks for may hold their bytes or a hash of them, so
 * what is sealed counts by its length in the hash over effects, and what is signed does not count.
 * A file is anybody's: every field is bounded here before it is an event. Pure over bytes. Threads: any. */
#ifndef PERIGEE_NODE_RECORDING_H
#define PERIGEE_NODE_RECORDING_H

#include "crypto/hash.h"
#include "proto/core.h"

enum { RECORDING_EVENT_TYPES = EVENT_BLOB_MISSING + 1 };
enum {
    RECORDING_MAGIC_BYTES = 20,
    RECORDING_END_BYTES = 4 + 1 + 8 + 2 * 32 + 1 + 8,    /* the end's frame */
    RECORDING_FRAME_MAX = CAP_MESSAGE_BYTES + (1 << 18), /* a link message, or a command with all its parts */
    RECORDING_EVENTS_A_CHECKPOINT = 256,
};
enum recording_frame_type {
    RECORDING_START = 1,
    RECORDING_EVENT = 2,
    RECORDING_CHECKPOINT = 3,
    RECORDING_END = 4,
};
enum recording_end { RECORDING_ORDERLY = 0, RECORDING_FULL = 1 };

struct recording_start {
    struct core_options options;
    uint64_t arena_bytes; /* of all tables: programs with other caps step otherwise */
    struct span version;
};
struct recording_checkpoint {
    uint64_t events;
    struct hash32 effects, root;
    enum recording_end end; /* RECORDING_END */
};
struct recording_frame {
    enum recording_frame_type type;
    struct recording_start start;
    struct event event; /* its command is the frame's */
    struct command command;
    struct recording_checkpoint checkpoint; /* RECORDING_CHECKPOINT, RECORDING_END */
};

const char *recording_event_name(enum event_type type);

/* --- Writing ------------------------------------------------------------------------------------------------------------ */

/* Is it within what is read back? Of a node's own events all are. */
bool recording_takes(const struct event *event);
/* Frame 0, and what stands before it. */
void recording_put_start(struct buffer *b, const struct core_options *options);
/* Frames are counted from 0. `withheld`: of its bytes the length alone. */
void recording_put_event(struct buffer *b, uint64_t frame, const struct event *event, bool withheld);
void recording_put_checkpoint(struct buffer *b, uint64_t frame, enum recording_frame_type type,
                              const struct recording_checkpoint *checkpoint);

/* --- Reading ------------------------------------------------------------------------------------------------------------ */

struct recording_reader {
    struct span file;
    size_t at;
    uint64_t frame;
};
/* ERR_TYPE: no recording; ERR_VERSION: of another version. */
MUST_USE enum err recording_begin(struct recording_reader *r, struct span file);
/* ERR_NOT_FOUND: the end; ERR_TRUNCATED: the rest is no whole frame, `at` is where it begins; ERR_HASH: a frame without its check;
 * others: its fields are not what they can be. Spans point into the file. */
MUST_USE enum err recording_next(struct recording_reader *r, struct recording_frame *out);

/* Are these last bytes of a file its end's frame? What a peer sent is no such frame, whatever it holds. */
bool recording_ended(const uint8_t last[RECORDING_END_BYTES]);

/* --- What a core does --------------------------------------------------------------------------------------------------- */

/* What its last step asked for. */
void recording_hash_effects(struct sha256_stream *s, const struct core *core);

/* Work in flight, by its token: zeroed at first. */
struct recording_work {
    struct {
        uint64_t token; /* 0: none */
        uint8_t op;     /* enum crypto_op, or RECORDING_STORES */
        int64_t len;    /* of its output when it ends well; -1: any, -2: it cannot */
    } item[CAP_PENDING];
};
enum { RECORDING_STORES = 255 };
void recording_work_asked(struct recording_work *w, const struct core *core); /* after each step */
/* Can this event come now, as far as it is a completion? Then its work is done. */
bool recording_work_done(struct recording_work *w, const struct event *event);
/* Is what this completion brings secret? Before recording_work_done. */
bool recording_work_secret(const struct recording_work *w, const struct event *event);

#endif
