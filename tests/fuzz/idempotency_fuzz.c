/* Answers kept for an Idempotency-Key, against a naive list of all requests: the input says who asks for what, when it is answered
 * and with what, and how time passes. A row is action u8, key u8, request u8, number u16. Nothing is done twice while its answer
 * is kept, one key is for one request, what failed for a reason that passes can be tried again, and answers end where their own
 * bytes do. */
#include "crypto/hash.h"
#include "node/http_replay.h"
#include "proto/base/panic.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { ROWS_MAX = 4096, INPUT_MAX = 5 * ROWS_MAX, ANSWER_MAX = 2 * REPLAY_ANSWER_MAX, MANY = 64 };

struct asked {
    uint32_t key, request;
    uint64_t at_ms;
    int status; /* 0: not answered yet */
    size_t answer_len;
    uint32_t serial; /* of its answer's bytes */
    bool kept;
    struct replay *place;
};

static struct asked asked[MANY * ROWS_MAX];
static uint32_t count, pending, kept, serial;
static uint64_t now_ms;
static struct replays *store;

static struct hash32 name(const char *what, uint32_t number)
{
    return HASH_FRAMED("perigee/test-replay/v1", span_text(what), span_make(&number, sizeof number));
}

/* The one of this key that still counts. */
static struct asked *find(uint32_t key)
{
    for (uint32_t i = count; i-- > 0;) {
        struct asked *a = &asked[i];
        if (!a->kept || a->key != key) continue;
        if (a->status == 0 || now_ms - a->at_ms < UINT64_C(86400000)) return a;
    }
    return NULL;
}

static void drop(struct asked *a)
{
    a->kept = false;
    kept--;
    pending -= a->status == 0;
}

static void drop_oldest_answer(void)
{
    struct asked *oldest = NULL;
    for (uint32_t i = 0; i < count; i++) {
        struct asked *a = &asked[i];
        if (a->kept && a->status != 0 && (oldest == NULL || a->at_ms < oldest->at_ms)) oldest = a;
    }
    if (oldest != NULL) drop(oldest);
}

static void check_answer(const struct asked *a, const struct replay *p)
{
    const bool short_enough = a->answer_len > 0 && a->answer_len <= REPLAY_ANSWER_MAX;
    ASSERT(p->status == a->status && p->answer_len == (short_enough ? a->answer_len : 0));
    for (size_t i = 0; i < p->answer_len; i++) ASSERT(p->answer[i] == (uint8_t)(a->serial + i));
}

static void ask(uint32_t key, uint32_t request)
{
    struct replay *place = NULL;
    now_ms++; /* of two as old, either may go */
    struct asked *a = find(key);
    const enum replay_state said =
        replays_find(store, &place, name("key", key), name("request", request), now_ms);
    if (a != NULL) {
        ASSERT(said == (a->request != request ? REPLAY_OTHER
                        : a->status == 0      ? REPLAY_PENDING
                                              : REPLAY_DONE));
        ASSERT(place == a->place);
        if (said == REPLAY_DONE) check_answer(a, place);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        if (asked[i].kept && asked[i].key == key) drop(&asked[i]); /* too old */
    if (kept == REPLAY_COUNT_MAX) drop_oldest_answer();
    ASSERT(said == (kept == REPLAY_COUNT_MAX ? REPLAY_FULL : REPLAY_NEW) &&
           (said == REPLAY_NEW) == (place != NULL));
    if (said != REPLAY_NEW || count == sizeof asked / sizeof asked[0]) return;
    asked[count++] = (struct asked){key, request, now_ms > 0 ? now_ms : 1, 0, 0, 0, true, place};
    kept++;
    pending++;
}

static void answer(uint32_t key, int status, size_t len)
{
    static uint8_t bytes[ANSWER_MAX];
    struct asked *a = find(key);
    if (a == NULL || a->status != 0) return;
    if (len > ANSWER_MAX) len = ANSWER_MAX;
    serial++;
    for (size_t i = 0; i < len; i++) bytes[i] = (uint8_t)(serial + i);
    replay_answered(a->place, status, span_make(bytes, len));
    if (status >= 500) {
        drop(a);
        return;
    }
    pending--;
    a->status = status;
    a->answer_len = len;
    a->serial = serial;
}

static void act(uint8_t action, uint32_t key, uint32_t request, uint16_t number)
{
    static const int status[] = {200, 201, 404, 409, 422, 500, 503};
    switch (action % 5) {
    case 0: ask(key, request % 4); break;
    case 1: answer(key, status[request % 7], number); break;
    case 2: now_ms += number * (request % 2 == 0 ? UINT64_C(1) : UINT64_C(1000)); break;
    case 3: now_ms += UINT64_C(100000) * number; break;
    case 4:
        for (uint32_t i = 0; i < MANY; i++) ask(256 * (1 + key) + i, request % 4);
        for (uint32_t i = 0; i < number % (MANY + 1); i++) answer(256 * (1 + key) + i, 200, i);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct cursor c = cursor_make(span_make(bytes, len));
    uint8_t action, key, request;
    uint16_t number;
    if (len > INPUT_MAX) return 0;
    count = pending = kept = serial = 0;
    now_ms = 0;
    store = replays_new();
    ASSERT(store != NULL);
    while (cursor_u8(&c, &action) == OK && cursor_u8(&c, &key) == OK && cursor_u8(&c, &request) == OK &&
           cursor_u16(&c, &number) == OK)
        act(action, key, request, number);
    ASSERT(pending <= kept && kept <= REPLAY_COUNT_MAX);
    replays_free(store);
    return 0;
}
