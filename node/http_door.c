#include "node/http_door.h"

#include "proto/base/panic.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { DOOR_BACKLOG = 512, DOOR_ACCEPTS_AT_ONCE = 64, DOOR_WATCH_MS = 500, DOOR_AGAIN_MS = 20 };

struct waiting { /* one connection before its head is whole */
    uv_poll_t poll;
    struct http_door *door;
    int fd; /* -1 once it has left the door */
    bool remote;
    uint64_t since_ms;
    size_t seen; /* bytes of a head that is not whole; not 0: it is looked at again by time */
};

struct http_door {
    struct http_door_options options;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    int fd;
    uv_poll_t listening;
    uv_timer_t watch, again;
    struct waiting *waiting[DOOR_WAITING_MAX];
    uint32_t handles_open;
    void (*closed)(void *context);
    void *closed_context;
};

/* --- Leaving ------------------------------------------------------------------------------------------------------------ */

static void door_freed(struct http_door *d)
{
    if (--d->handles_open > 0) return;
    void (*closed)(void *) = d->closed;
    void *context = d->closed_context;
    free(d);
    if (closed != NULL) closed(context);
}

static void on_waiting_closed(uv_handle_t *handle)
{
    struct waiting *w = handle->data;
    struct http_door *d = w->door;
    free(w);
    door_freed(d);
}

/* Its place is free at once; its memory when the loop has let go of it. Returns the descriptor. */
static int leave(struct waiting *w)
{
    struct http_door *d = w->door;
    const int fd = w->fd;
    for (uint32_t i = 0; i < DOOR_WAITING_MAX; i++)
        if (d->waiting[i] == w) d->waiting[i] = NULL;
    w->fd = -1;
    (void)uv_poll_stop(&w->poll);
    uv_close((uv_handle_t *)&w->poll, on_waiting_closed);
    return fd;
}

static void turn_away(struct waiting *w, const struct http_fault *why)
{
    struct http_door *d = w->door;
    const int fd = leave(w);
    d->options.refuse(d->options.context, fd, why);
    (void)close(fd);
}

static struct waiting *longest_waiting(const struct http_door *d)
{
    struct waiting *oldest = NULL;
    for (uint32_t i = 0; i < DOOR_WAITING_MAX; i++) {
        struct waiting *w = d->waiting[i];
        if (w != NULL && (oldest == NULL || w->since_ms < oldest->since_ms)) oldest = w;
    }
    return oldest;
}

static bool make_room(struct http_door *d)
{
    static const struct http_fault full = {503, "full",
                                           "expected a whole request before others needed this place; "
                                           "connect again when it is ready"};
    struct waiting *w = longest_waiting(d);
    if (w != NULL) turn_away(w, &full);
    return w != NULL;
}

/* --- Reading a head ------------------------------------------------------------------------------------------------------- */

static void on_readable(uv_poll_t *poll, int status, int events);
static void on_again(uv_timer_t *timer);

/* What has come stays in the socket, for libwebsockets to read. A loop would be told of it again and again, so the rest
 * is waited for by time: nearly everybody sends a head whole. */
static void wait_for_rest(struct waiting *w, size_t seen)
{
    struct http_door *d = w->door;
    w->seen = seen;
    (void)uv_poll_stop(&w->poll);
    if (!uv_is_active((uv_handle_t *)&d->again))
        (void)uv_timer_start(&d->again, on_again, DOOR_AGAIN_MS, DOOR_AGAIN_MS);
}

static void read_head(struct waiting *w)
{
    const struct http_door_options *o = &w->door->options;
    struct http_fault why = {400, "truncated", "expected a whole request; the connection ended before"};
    uint8_t head[HTTP_HEAD_MAX];
    ssize_t seen;
    do seen = recv(w->fd, head, sizeof head, MSG_PEEK | MSG_DONTWAIT);
    while (seen < 0 && errno == EINTR);
    if (seen < 0 && errno == EAGAIN) return;
    switch (seen > 0 ? http_head_read(span_make(head, (size_t)seen), &why) : HTTP_HEAD_BAD) {
    case HTTP_HEAD_MORE: wait_for_rest(w, (size_t)seen); break;
    case HTTP_HEAD_WHOLE: o->enter(o->context, leave(w), w->remote); break;
    case HTTP_HEAD_BAD: turn_away(w, &why); break;
    }
}

/* Has more come, or will nothing come any more? */
static void look_again(struct waiting *w)
{
    static const struct http_fault cut = {400, "truncated",
                                          "expected a whole request; the connection ended before"};
    int there = 0;
    struct pollfd p = {.fd = w->fd, .events = POLLRDHUP};
    if (ioctl(w->fd, FIONREAD, &there) == 0 && there > 0 && (size_t)there > w->seen)
        read_head(w);
    else if (poll(&p, 1, 0) != 0)
        turn_away(w, &cut);
}

static void on_again(uv_timer_t *timer)
{
    struct http_door *d = timer->data;
    bool any = false;
    for (uint32_t i = 0; i < DOOR_WAITING_MAX; i++) {
        if (d->waiting[i] != NULL && d->waiting[i]->seen > 0) look_again(d->waiting[i]);
        any = any || (d->waiting[i] != NULL && d->waiting[i]->seen > 0);
    }
    if (!any) (void)uv_timer_stop(timer);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    read_head(poll->data);
}

/* --- Coming in ------------------------------------------------------------------------------------------------------------ */

static bool peer_is_ours(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0) return false;
    return peer.uid == 0 || peer.uid == geteuid();
}

static struct waiting **free_place(struct http_door *d)
{
    for (uint32_t i = 0; i < DOOR_WAITING_MAX; i++)
        if (d->waiting[i] == NULL) return &d->waiting[i];
    return NULL;
}

static void admit(struct http_door *d, int fd, bool remote)
{
    struct waiting **place = free_place(d);
    struct waiting *w = remote || peer_is_ours(fd) ? calloc(1, sizeof *w) : NULL;
    if (w == NULL || uv_poll_init(d->options.loop, &w->poll, fd) != 0) {
        free(w);
        (void)close(fd);
        return;
    }
    if (place == NULL && make_room(d)) place = free_place(d);
    ASSERT(place != NULL);
    *place = w;
    w->door = d;
    w->fd = fd;
    w->remote = remote;
    w->since_ms = uv_now(d->options.loop);
    w->poll.data = w;
    d->handles_open++;
    (void)uv_poll_start(&w->poll, UV_READABLE, on_readable);
    read_head(w); /* most have said everything by now */
}

void http_door_take(struct http_door *d, int fd)
{
    admit(d, fd, true);
}

/* Out of descriptors: those who say nothing give theirs; when nobody does, the watch tries again. */
static void on_connection(uv_poll_t *poll, int status, int events)
{
    struct http_door *d = poll->data;
    (void)status;
    (void)events;
    for (int i = 0; i < DOOR_ACCEPTS_AT_ONCE; i++) {
        const int fd = accept4(d->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            admit(d, fd, false);
            continue;
        }
        if (errno == EINTR || errno == ECONNABORTED) continue;
        const bool starved = errno != EAGAIN;
        if (starved && !make_room(d)) (void)uv_poll_stop(&d->listening);
        return;
    }
}

static void on_watch(uv_timer_t *timer)
{
    static const struct http_fault slow = {408, "timeout",
                                           "expected a whole request head within 10 s; it did not come"};
    struct http_door *d = timer->data;
    for (uint32_t i = 0; i < DOOR_WAITING_MAX; i++) {
        struct waiting *w = d->waiting[i];
        if (w != NULL && uv_now(timer->loop) - w->since_ms >= DOOR_SECONDS * 1000) turn_away(w, &slow);
    }
    (void)uv_poll_start(&d->listening, UV_READABLE, on_connection);
}

/* --- Opening and closing -------------------------------------------------------------------------------------------------- */

/* A socket file of a dead process may be there: the caller has looked. */
static enum err listen_at(struct http_door *d)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, d->path, strlen(d->path) + 1);
    d->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (d->fd < 0) return ERR_IO;
    if (unlink(d->path) != 0 && errno != ENOENT) return ERR_IO;
    const mode_t before = umask(0177);
    const int bound = bind(d->fd, (const struct sockaddr *)&address, sizeof address);
    (void)umask(before);
    return bound == 0 && listen(d->fd, DOOR_BACKLOG) == 0 ? OK : ERR_IO;
}

enum err http_door_open(struct http_door **out, const struct http_door_options *options)
{
    *out = NULL;
    struct http_door *d = calloc(1, sizeof *d);
    if (d == NULL) return ERR_NO_MEMORY;
    d->options = *options;
    ASSERT(strlen(options->socket_path) < sizeof d->path);
    (void)snprintf(d->path, sizeof d->path, "%s", options->socket_path);
    enum err err = listen_at(d);
    if (err == OK && uv_poll_init(options->loop, &d->listening, d->fd) != 0) err = ERR_IO;
    if (err != OK) {
        if (d->fd >= 0) (void)close(d->fd);
        free(d);
        return err;
    }
    (void)uv_timer_init(options->loop, &d->watch);
    (void)uv_timer_init(options->loop, &d->again);
    d->listening.data = d->watch.data = d->again.data = d;
    d->handles_open = 3;
    (void)uv_poll_start(&d->listening, UV_READABLE, on_connection);
    (void)uv_timer_start(&d->watch, on_watch, DOOR_WATCH_MS, DOOR_WATCH_MS);
    *out = d;
    return OK;
}

static void on_part_closed(uv_handle_t *handle)
{
    door_freed(handle->data);
}

void http_door_close(struct http_door *d, void (*closed)(void *context), void *context)
{
    d->closed = closed;
    d->closed_context = context;
    (void)unlink(d->path);
    for (uint32_t i = 0; i < DOOR_WAITING_MAX; i++)
        if (d->waiting[i] != NULL) (void)close(leave(d->waiting[i]));
    (void)uv_poll_stop(&d->listening);
    uv_close((uv_handle_t *)&d->listening, on_part_closed);
    uv_close((uv_handle_t *)&d->watch, on_part_closed);
    uv_close((uv_handle_t *)&d->again, on_part_closed);
    (void)close(d->fd);
}
