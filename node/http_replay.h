/* http_replay: answers to requests with an Idempotency-Key, so that who did not hear an answer may ask again without doing it
 * twice. The same key with the same request gets the same answer; with another request it is refused; while the first is
 * still worked on, it is to be tried later. Kept for REPLAY_SECONDS, at most REPLAY_COUNT_MAX, in memory: a restart
 * forgets. What failed for a reason that passes (5xx) is not kept: trying again is what it is for.
 * Threads: the loop's. */
#ifndef PERIGEE_NODE_HTTP_REPLAY_H
#define PERIGEE_NODE_HTTP_REPLAY_H

#include "proto/base/ids.h"

enum { REPLAY_COUNT_MAX = 512, REPLAY_SECONDS = 86400, REPLAY_ANSWER_MAX = 16384 };

enum replay_state {
    REPLAY_NEW,     /* do it; *out is its place */
    REPLAY_DONE,    /* *out has the answer */
    REPLAY_PENDING, /* the first one has none yet */
    REPLAY_OTHER,   /* the key was used for another request */
    REPLAY_FULL,    /* all places are of requests without an answer */
};
struct replay {
    struct hash32 key, request;
    uint64_t at_ms; /* 0: a free place */
    int status;     /* 0: no answer yet */
    uint8_t *answer;
    size_t answer_len; /* 0: it is not kept, being too long or to be shown once */
};
struct replays;
struct replays *replays_new(void); /* NULL: no memory */
void replays_free(struct replays *r);
/* `key`: of caller and key; `request`: of everything it asks. */
enum replay_state replays_find(struct replays *r, struct replay **out, struct hash32 key,
                               struct hash32 request, uint64_t now_ms);
/* The answer to a NEW one. */
void replay_answered(struct replay *p, int status, struct span answer);
void replay_forget(struct replay *p);

#endif
