/* GET /v1/events: each request that stays open is a reader of the daemon's ring. */
#include "node/api_common.h"
#include "node/events.h"

#include <stdlib.h>
#include <string.h>

struct api_follower {
    struct api_follower *next, **link;
    struct daemon *daemon;
    struct http_reply *stream;
    struct events_reader reader;
    bool remote;
    struct hash32 caller;
    uint64_t began_ms;
};

/* A token is looked at when a stream begins. So none by a token lasts longer than this: who comes again shows it anew. */
enum { FOLLOW_SECONDS = 600 };

static size_t more(void *context, uint8_t *out, size_t cap)
{
    struct api_follower *f = context;
    return events_read(daemon_events(f->daemon), &f->reader, out, cap);
}

static bool is_lost(void *context)
{
    return ((struct api_follower *)context)->reader.lost;
}

static void gone(void *context)
{
    struct api_follower *f = context;
    struct api_followers *all = daemon_followers(f->daemon);
    *f->link = f->next;
    if (f->next != NULL) f->next->link = f->link;
    all->count--;
    free(f);
}

void api_events_wake(struct api_followers *all, bool ping)
{
    for (struct api_follower *f = all->first; f != NULL; f = f->next) {
        f->reader.ping = f->reader.ping || ping;
        f->reader.lost |= f->remote && daemon_wall_ms() - f->began_ms > FOLLOW_SECONDS * 1000ull;
        http_stream_wake(f->stream);
    }
}

void api_events_end_remote(struct api_followers *all)
{
    for (struct api_follower *f = all->first; f != NULL; f = f->next) {
        f->reader.lost |= f->remote;
        http_stream_wake(f->stream);
    }
}

static bool read_run(const struct http_request *q, struct http_reply *reply, struct run_id *run, bool *given)
{
    const json_t *text = json_object_get(q->query, "run");
    *given = text != NULL;
    if (text == NULL || hex_decode(run->bytes, sizeof run->bytes, span_text(json_string_value(text))) == OK)
        return true;
    api_bad(reply, "syntax", "run", "64 lower-case hex digits", text);
    return false;
}

/* One token does not take all places, nor all tokens those of the socket. */
static bool has_place(const struct api_followers *all, const struct http_request *q)
{
    uint32_t remote = 0, same = 0;
    for (const struct api_follower *f = all->first; f != NULL; f = f->next) {
        remote += f->remote;
        same += f->remote && ID_EQUAL(f->caller, q->caller);
    }
    return all->count < API_FOLLOWERS_MAX &&
           (!q->remote || (same < API_FOLLOWERS_OF_TOKEN && remote < API_FOLLOWERS_REMOTE));
}

void api_events(const struct http_request *q, struct http_reply *reply)
{
    struct daemon *d = q->context;
    struct api_followers *all = daemon_followers(d);
    struct run_id run;
    bool of_run;
    if (!read_run(q, reply, &run, &of_run)) return;
    struct api_follower *f = has_place(all, q) ? calloc(1, sizeof *f) : NULL;
    if (f == NULL) {
        http_problem(reply, 503, "full",
                     "expected fewer than %d who follow events at once, of them %d over TCP and %d with one "
                     "token; try again "
                     "later",
                     API_FOLLOWERS_MAX, API_FOLLOWERS_REMOTE, API_FOLLOWERS_OF_TOKEN);
        return;
    }
    f->daemon = d;
    f->stream = reply;
    f->remote = q->remote;
    f->caller = q->caller;
    f->began_ms = daemon_wall_ms();
    f->next = all->first;
    f->link = &all->first;
    if (f->next != NULL) f->next->link = &f->next;
    all->first = f;
    all->count++;
    events_begin(daemon_events(d), &f->reader,
                 q->last_event_id != NULL ? span_text(q->last_event_id) : SPAN_NONE, of_run ? &run : NULL);
    http_stream_begin(reply, "text/event-stream", &(struct http_stream){more, is_lost, gone, f});
}
