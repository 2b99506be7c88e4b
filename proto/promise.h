/* promise: what a custodian has bound itself to for ever (DESIGN §9): slots, votes, releases, commits.
 * A promise is durable before the message that depends on it leaves; this table is its image in memory, filled again from
 * the store at start. Setting one that contradicts an earlier one is ERR_CONFLICT and changes nothing. Of what is promised
 * for a term only the latest is kept in memory: by then every earlier term is refused, so terms never fill the table. Pure.
 * Keys in the store are 1 byte kind, then the fields named below; values are the fields after the arrow. */
#ifndef PERIGEE_PROTO_PROMISE_H
#define PERIGEE_PROTO_PROMISE_H

#include "proto/base/ids.h"
#include "proto/base/index.h"

enum promise_kind {
    PROMISE_SLOT = 1,    /* compose 32 | be64 slot -> run 32: at most one run per slot */
    PROMISE_VOTE = 2,    /* run 32 | be64 term -> node 32: one node per term */
    PROMISE_RELEASE = 3, /* run 32 | be64 term -> enclave signing key 32: one enclave key per term */
    PROMISE_COMMIT =
        4, /* run 32 | be64 output index -> commitment 32: one output for ever, whatever the term */
    PROMISE_HOST = 5,   /* run 32 | be64 term -> node 32: whom the release's certificate elected */
    PROMISE_WORKER = 6, /* run 32 | be64 term -> measurement 32: what the release's evidence showed */
};
enum { PROMISE_KEY_BYTES = 41, PROMISE_VALUE_BYTES = 32 };

struct promise {
    uint8_t name[32]; /* H("perigee/promise/v1", key, of a term's without the term) */
    uint8_t key[PROMISE_KEY_BYTES];
    uint8_t value[PROMISE_VALUE_BYTES];
};
struct promises {
    struct arena own; /* the heap of the rows and of their index, where it has one of its own */
    ROWS(struct promise) row;
    uint32_t count, cap;
    struct index index;
};

size_t promises_bytes(uint32_t cap); /* that they take */
/* From a heap that others fill, too (proto/base/rows.h), which has promises_bytes for them. */
void promises_init_in(struct promises *p, struct arena *heap, uint32_t cap, uint64_t salt);
MUST_USE enum err promises_init(struct promises *p, struct arena *arena, uint32_t cap, uint64_t salt);
void promise_key(uint8_t key[PROMISE_KEY_BYTES], enum promise_kind kind, const uint8_t subject32[32],
                 uint64_t number);
/* The value promised, or NULL: there is none, or one for a later term. */
const uint8_t *promise_get(const struct promises *p, enum promise_kind kind, const uint8_t subject32[32],
                           uint64_t number);
/* OK when it was free, says the same or is for a later term. ERR_CONFLICT, also when it is for an earlier term; ERR_FULL. */
MUST_USE enum err promise_set(struct promises *p, const uint8_t key[PROMISE_KEY_BYTES],
                              const uint8_t value[32]);
/* Is this a promise for a term, and one for a later term known? */
bool promise_superseded(const struct promises *p, const uint8_t key[PROMISE_KEY_BYTES]);
/* The highest term of this run in which a vote or a release is promised; 0 for none. */
uint64_t promise_term(const struct promises *p, struct run_id run);

#endif
