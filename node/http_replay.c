#include "node/http_replay.h"

#include "crypto/secret.h"

#include <stdlib.h>
#include <string.h>

struct replays {
    struct replay row[REPLAY_COUNT_MAX];
};

struct replays *replays_new(void)
{
    return calloc(1, sizeof(struct replays));
}

void replay_forget(struct replay *p)
{
    if (p->answer != NULL) secret_wipe(p->answer, p->answer_len);
    free(p->answer);
    *p = (struct replay){.at_ms = 0};
}

void replays_free(struct replays *r)
{
    if (r == NULL) return;
    for (size_t i = 0; i < REPLAY_COUNT_MAX; i++) replay_forget(&r->row[i]);
    free(r);
}

/* A free place, or that of the oldest answer. */
static struct replay *make_room(struct replays *r)
{
    struct replay *oldest = NULL;
    for (size_t i = 0; i < REPLAY_COUNT_MAX; i++) {
        struct replay *p = &r->row[i];
        if (p->at_ms == 0) return p;
        if (p->status != 0 && (oldest == NULL || p->at_ms < oldest->at_ms)) oldest = p;
    }
    if (oldest != NULL) replay_forget(oldest);
    return oldest;
}

static struct replay *find(struct replays *r, struct hash32 key, uint64_t now_ms)
{
    for (size_t i = 0; i < REPLAY_COUNT_MAX; i++) {
        struct replay *p = &r->row[i];
        if (p->at_ms == 0 || !ID_EQUAL(p->key, key)) continue;
        if (p->status == 0 || now_ms - p->at_ms < REPLAY_SECONDS * 1000ull) return p;
        replay_forget(p);
    }
    return NULL;
}

enum replay_state replays_find(struct replays *r, struct replay **out, struct hash32 key,
                               struct hash32 request, uint64_t now_ms)
{
    *out = find(r, key, now_ms);
    if (*out != NULL && !ID_EQUAL((*out)->request, request)) return REPLAY_OTHER;
    if (*out != NULL) return (*out)->status == 0 ? REPLAY_PENDING : REPLAY_DONE;
    *out = make_room(r);
    if (*out == NULL) return REPLAY_FULL;
    **out = (struct replay){.key = key, .request = request, .at_ms = now_ms > 0 ? now_ms : 1};
    return REPLAY_NEW;
}

void replay_answered(struct replay *p, int status, struct span answer)
{
    if (status >= 500) {
        replay_forget(p);
        return;
    }
    p->status = status;
    p->answer = answer.len > 0 && answer.len <= REPLAY_ANSWER_MAX ? malloc(answer.len) : NULL;
    if (p->answer == NULL) return;
    memcpy(p->answer, answer.data, answer.len);
    p->answer_len = answer.len;
}
