#include "node/http_state.h"

#include "node/listening.h"
#include "node/log.h"
#include "node/problem.h"
#include "proto/base/panic.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* --- Clients that leave, or let us wait ------------------------------------------------------------ */

static void cut_off(struct http_reply *r)
{
    if (r->cut) return;
    r->cut = true;
    r->http->open_count--;
    lws_set_timeout(r->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
}

/* Nothing is read from a connection once its request is complete (libwebsockets would spin on bytes it has no
 * state for), so nobody would notice that its client has left. */
static bool has_left(const struct http_reply *r)
{
    struct pollfd p = {.fd = lws_get_socket_fd(r->wsi)};
    return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR)) != 0;
}

/* Who has left while an answer is due, and who lets us wait. */
static void watch_clients(uv_timer_t *timer)
{
    const struct http *h = timer->data;
    for (struct http_reply *r = h->replies, *next; r != NULL; r = next) {
        next = r->next;
        if (r->wsi == NULL) continue;
        const bool slow = uv_now(timer->loop) - r->since_ms >= HTTP_REQUEST_SECONDS * 1000;
        const bool ours = r->stage == HTTP_PENDING || (r->stage == HTTP_STREAMING && !r->stream_waits);
        if (ours ? has_left(r) : slow) cut_off(r);
    }
}

/* --- Connections from the door -------------------------------------------------------------------------- */

/* Before there is a request that could be answered: in one piece, as far as the socket takes it. */
static void door_refuse(void *context, int fd, const struct http_fault *why)
{
    char text[1024], body[512];
    (void)context;
    json_t *problem = problem_json(why->status, why->reason, why->detail);
    const size_t len = json_dumpb(problem, body, sizeof body - 1, JSON_COMPACT);
    json_decref(problem);
    if (len == 0 || len >= sizeof body) return;
    body[len] = '\n';
    const int head = http_reply_head(text, sizeof text, why->status, NULL, len + 1, NULL);
    if (head < 0 || (size_t)head + len + 1 > sizeof text) return;
    memcpy(text + head, body, len + 1);
    (void)!send(fd, text, (size_t)head + len + 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* The client that has let us wait longest gives its place; nobody's whose answer is ours to give. */
static bool make_room(const struct http *h)
{
    struct http_reply *oldest = NULL;
    for (struct http_reply *r = h->replies; r != NULL; r = r->next) {
        if (r->wsi == NULL || r->cut || r->stage == HTTP_PENDING || r->stage == HTTP_STREAMING) continue;
        if (oldest == NULL || r->since_ms < oldest->since_ms) oldest = r;
    }
    if (oldest != NULL) cut_off(oldest);
    return oldest != NULL;
}

static void tcp_enter(void *context, int fd)
{
    http_door_take(((struct http *)context)->door, fd);
}

static void door_enter(void *context, int fd, bool remote)
{
    static const struct http_fault full = {
        503, "full", "expected fewer than 256 requests at once; all of them wait for answers: try again"};
    struct http *h = context;
    if (h->open_count >= HTTP_REQUESTS_MAX && !make_room(h)) {
        door_refuse(h, fd, &full);
        (void)close(fd);
        return;
    }
    struct http_reply *r = http_reply_new(h);
    if (r == NULL) {
        (void)close(fd);
        return;
    }
    r->wsi = lws_adopt_socket(h->lws, fd); /* on failure it has closed the descriptor */
    if (r->wsi == NULL) {
        http_reply_free(r);
        return;
    }
    h->open_count++;
    r->remote = remote;
    lws_set_opaque_user_data(r->wsi, r);
}

/* --- Events of libwebsockets ---------------------------------------------------------------------------- */

static int http_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    struct http_reply *r = wsi == NULL ? NULL : lws_get_opaque_user_data(wsi);
    int result = 0;
    (void)user;
    if (r == NULL) return 0;
    if (reason == LWS_CALLBACK_HTTP) {
        result = http_request_begin(r, in, len);
    } else if (reason == LWS_CALLBACK_HTTP_BODY) {
        result = http_request_body(r, in, len);
    } else if (reason == LWS_CALLBACK_HTTP_BODY_COMPLETION) {
        if (r->stage == HTTP_COLLECTING) http_request_complete(r);
    } else if (reason == LWS_CALLBACK_HTTP_WRITEABLE) {
        return http_reply_more(r);
    } else if (reason == LWS_CALLBACK_CLOSED_HTTP || reason == LWS_CALLBACK_WSI_DESTROY) {
        lws_set_opaque_user_data(wsi, NULL);
        http_reply_lost(r);
        return 0;
    }
    if (result == 0 && r->stage == HTTP_PENDING) (void)lws_rx_flow_control(wsi, 0);
    return result;
}

static void http_log(int level, const char *line)
{
    (void)level;
    /* It reports the ordinary end of a foreign loop as an error. */
    if (strstr(line, "lws_libuv_stop") == NULL) log_say(LOG_API_HTTP, "%.*s", (int)strcspn(line, "\n"), line);
}

void http_load(const struct http *h, struct http_load *out)
{
    *out = (struct http_load){.open = h->open_count,
                              .open_max = HTTP_REQUESTS_MAX,
                              .tls = h->tcp != NULL ? http_tcp_count(h->tcp) : 0};
    memcpy(out->answered, h->answered, sizeof out->answered);
}

/* --- Opening -------------------------------------------------------------------------------------------- */

/* Of two servers starting at once, one gets the lock; it is held until the socket file is gone. */
static enum err lock_path(struct http *h)
{
    char name[sizeof(((struct sockaddr_un *)0)->sun_path) + 8];
    (void)snprintf(name, sizeof name, "%s.lock", h->socket_path);
    h->lock_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (h->lock_fd < 0) return ERR_IO;
    if (flock(h->lock_fd, LOCK_EX | LOCK_NB) == 0) return OK;
    return errno == EWOULDBLOCK ? ERR_BUSY : ERR_IO;
}

static void note_handle(uv_handle_t *handle, void *context)
{
    struct http *h = context;
    if (handle == (uv_handle_t *)&h->watch || handle == (uv_handle_t *)&h->closing) return;
    if (handle->type == UV_TIMER)
        h->lws_timer = handle; /* the walk is in order of creation: the last one is theirs */
    if (handle->type == UV_IDLE) h->lws_idle = handle;
}

static enum err create_context(struct http *h)
{
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .options = LWS_SERVER_OPTION_LIBUV,
        .protocols = h->protocol,
        .user = h,
        .foreign_loops = &h->loop,
        .pcontext = &h->lws,
        .max_http_header_data = 2 * HTTP_HEAD_MAX, /* it keeps names and values apart */
        .max_http_header_pool = HTTP_CONNECTIONS_MAX,
        .fd_limit_per_thread = HTTP_CONNECTIONS_MAX + 16,
        .timeout_secs = HTTP_REQUEST_SECONDS,
    };
    lws_set_log_level(LLL_ERR, http_log);
    h->lws = lws_create_context(&info);
    if (h->lws == NULL) return ERR_IO;
    uv_walk(h->loop, note_handle, h);
    ASSERT(h->lws_timer != NULL && h->lws_idle != NULL);
    return OK;
}

static enum err open_door(struct http *h)
{
    const struct http_door_options options = {h->loop, h->socket_path, h, door_enter, door_refuse};
    TRY(http_door_open(&h->door, &options));
    h->handles_open++;
    return OK;
}

static void http_free(struct http *h)
{
    while (h->replies != NULL) {
        if (h->replies->stage == HTTP_PENDING)
            http_reply_orphan(h->replies);
        else
            http_reply_free(h->replies);
    }
    if (h->lock_fd >= 0) (void)close(h->lock_fd);
    replays_free(h->replays);
    free(h->socket_path);
    free(h);
}

static void init_handles(struct http *h, uv_loop_t *loop)
{
    (void)uv_timer_init(loop, &h->watch);
    (void)uv_idle_init(loop, &h->closing);
    h->watch.data = h->closing.data = h;
    h->handles_open = 2;
    (void)uv_timer_start(&h->watch, watch_clients, HTTP_WATCH_MS, HTTP_WATCH_MS);
}

static enum err open_tcp(struct http *h, const struct http_options *options)
{
    const struct http_tcp_options tcp = {h->loop, options->listen, options->tls, h, tcp_enter};
    h->authorize = options->authorize;
    TRY(http_tcp_open(&h->tcp, &tcp));
    h->handles_open++;
    return OK;
}

const char *http_address(const struct http *h)
{
    return h->tcp != NULL ? http_tcp_address(h->tcp) : NULL;
}

enum err http_open(struct http **out, const struct http_options *options)
{
    *out = NULL;
    if (strlen(options->socket_path) >= sizeof(((struct sockaddr_un *)0)->sun_path)) return ERR_TOO_LARGE;
    struct http *h = calloc(1, sizeof *h);
    if (h == NULL) return ERR_NO_MEMORY;
    h->lock_fd = -1;
    h->loop = options->loop;
    h->routes = options->routes;
    h->context = options->context;
    h->socket_path = strdup(options->socket_path);
    h->protocol[0] = (struct lws_protocols){.name = "http", .callback = http_event};
    h->replays = replays_new();
    enum err err = h->socket_path == NULL || h->replays == NULL ? ERR_NO_MEMORY : OK;
    if (err == OK) err = listening_probe(h->socket_path); /* the door removes what a dead process left */
    if (err == OK) err = lock_path(h);
    if (err == OK) err = listening_probe(h->socket_path); /* again, now that nobody else can start */
    if (err != OK) {
        http_free(h);
        return err;
    }
    init_handles(h, options->loop);
    err = create_context(h);
    if (err == OK) err = open_door(h);
    if (err == OK && options->listen != NULL) err = open_tcp(h, options);
    if (err == OK)
        *out = h;
    else
        http_close(h, NULL, NULL);
    return err;
}

/* --- Closing -------------------------------------------------------------------------------------------- */

static void part_closed(void *part)
{
    struct http *h = part;
    if (--h->handles_open > 0) return;
    void (*closed)(void *) = h->closed;
    void *context = h->closed_context;
    http_free(h);
    if (closed != NULL) closed(context);
}

static void handle_closed(uv_handle_t *handle)
{
    part_closed(handle->data);
}

static void find_handle(uv_handle_t *handle, void *context)
{
    struct http *h = context;
    if (handle == h->lws_timer || handle == h->lws_idle) h->lws_handles_left = true;
}

/* With a foreign loop libwebsockets is destroyed in two steps: the first asks its handles to close, the second
 * frees the memory they are in, so it must come after the last of them has left the loop. */
static void close_step(uv_idle_t *idle)
{
    struct http *h = idle->data;
    h->lws_handles_left = false;
    if (h->lws != NULL) uv_walk(h->loop, find_handle, h);
    if (h->lws_handles_left) return;
    if (h->lws != NULL) lws_context_destroy(h->lws);
    if (h->lws != NULL) return;
    uv_close((uv_handle_t *)&h->closing, handle_closed);
    uv_close((uv_handle_t *)&h->watch, handle_closed);
}

static void close_begin(uv_idle_t *idle)
{
    struct http *h = idle->data;
    (void)uv_idle_stop(idle);
    (void)uv_idle_start(idle, close_step);
    if (h->lws != NULL) lws_context_destroy(h->lws); /* from here: never inside one of its own events */
}

void http_close(struct http *h, void (*closed)(void *context), void *context)
{
    h->closed = closed;
    h->closed_context = context;
    (void)uv_timer_stop(&h->watch);
    if (h->tcp != NULL) http_tcp_close(h->tcp, part_closed, h);
    h->tcp = NULL;
    if (h->door != NULL) http_door_close(h->door, part_closed, h);
    h->door = NULL;
    (void)uv_idle_start(&h->closing, close_begin);
}
