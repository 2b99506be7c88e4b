#include "node/http_tcp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TCP_BACKLOG = 128, TCP_ACCEPTS_AT_ONCE = 32, TCP_AGAIN_MS = 500 };

struct http_tcp {
    struct http_tcp_options options;
    int fd;
    uv_poll_t listening;
    uv_timer_t again; /* listens again after descriptors ran out */
    struct tls_relays *relays;
    char address[HTTP_TCP_ADDRESS_BYTES];
    uint32_t parts_open;
    void (*closed)(void *context);
    void *closed_context;
};

/* --- Addresses ------------------------------------------------------------------------------------------------------ */

/* 0 takes any free one. getaddrinfo takes 65536 for 0, and so on. */
static bool is_port(const char *text)
{
    const size_t digits = strspn(text, "0123456789");
    return digits >= 1 && digits <= 5 && text[digits] == 0 && strtoul(text, NULL, 10) <= UINT16_MAX;
}

static bool read_address(struct sockaddr_storage *out, socklen_t *len, const char *listen)
{
    char host[64] = "";
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                                   .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    const char *colon = strrchr(listen, ':');
    if (strncmp(listen, "tcp://", 6) != 0 || colon == NULL || colon < listen + 7) return false;
    if (!is_port(colon + 1)) return false;
    const char *from = listen + 6, *to = colon;
    if (*from == '[' && to[-1] == ']') from++, to--;
    if (to <= from || (size_t)(to - from) >= sizeof host) return false;
    memcpy(host, from, (size_t)(to - from));
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0) return false;
    const bool fits = found->ai_addrlen <= sizeof *out;
    if (fits) memcpy(out, found->ai_addr, found->ai_addrlen);
    *len = found->ai_addrlen;
    freeaddrinfo(found);
    return fits;
}

static bool is_loopback(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)address;
        return ntohl(four->sin_addr.s_addr) >> 24 == 127;
    }
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)address;
    return address->ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
}

bool http_tcp_is_loopback(const char *listen)
{
    struct sockaddr_storage address;
    socklen_t len;
    return read_address(&address, &len, listen) && is_loopback(&address);
}

bool http_tcp_is_address(const char *listen)
{
    struct sockaddr_storage address;
    socklen_t len;
    return read_address(&address, &len, listen);
}

static void name_address(struct http_tcp *t)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    char host[INET6_ADDRSTRLEN] = "", port[8] = "";
    (void)getsockname(t->fd, (struct sockaddr *)&address, &len);
    (void)getnameinfo((const struct sockaddr *)&address, len, host, sizeof host, port, sizeof port,
                      NI_NUMERICHOST | NI_NUMERICSERV);
    const bool six = address.ss_family == AF_INET6;
    (void)snprintf(t->address, sizeof t->address, "tcp://%s%s%s:%s", six ? "[" : "", host, six ? "]" : "",
                   port);
}

/* --- Coming in ------------------------------------------------------------------------------------------------------ */

static void admit(struct http_tcp *t, int fd)
{
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (t->relays != NULL)
        tls_relays_take(t->relays, fd);
    else
        t->options.enter(t->options.context, fd);
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
    struct http_tcp *t = poll->data;
    (void)status;
    (void)events;
    for (int i = 0; i < TCP_ACCEPTS_AT_ONCE; i++) {
        const int fd = accept4(t->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            admit(t, fd);
            continue;
        }
        if (errno == EINTR || errno == ECONNABORTED) continue;
        if (errno != EAGAIN) (void)uv_poll_stop(poll); /* out of descriptors */
        return;
    }
}

static void on_again(uv_timer_t *timer)
{
    struct http_tcp *t = timer->data;
    (void)uv_poll_start(&t->listening, UV_READABLE, on_connection);
}

/* --- Opening and closing -------------------------------------------------------------------------------------------- */

static enum err listen_at(struct http_tcp *t)
{
    struct sockaddr_storage address;
    socklen_t len;
    const int on = 1;
    if (!read_address(&address, &len, t->options.listen)) return ERR_USAGE;
    if (t->options.tls == NULL && !is_loopback(&address)) return ERR_REFUSED;
    t->fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (t->fd < 0) return ERR_IO;
    (void)setsockopt(t->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(t->fd, (const struct sockaddr *)&address, len) != 0)
        return errno == EADDRINUSE ? ERR_BUSY : ERR_IO;
    if (listen(t->fd, TCP_BACKLOG) != 0) return errno == EADDRINUSE ? ERR_BUSY : ERR_IO;
    name_address(t);
    return OK;
}

enum err http_tcp_open(struct http_tcp **out, const struct http_tcp_options *options)
{
    struct http_tcp *t = calloc(1, sizeof *t);
    *out = NULL;
    if (t == NULL) return ERR_NO_MEMORY;
    t->options = *options;
    t->fd = -1;
    const struct tls_relays_options relays = {options->loop, options->tls, options->context, options->enter};
    enum err err = listen_at(t);
    if (err == OK && options->tls != NULL) err = tls_relays_open(&t->relays, &relays);
    if (err != OK) {
        if (t->fd >= 0) (void)close(t->fd);
        free(t);
        return err;
    }
    (void)uv_poll_init(options->loop, &t->listening, t->fd);
    (void)uv_timer_init(options->loop, &t->again);
    t->listening.data = t->again.data = t;
    t->parts_open = 2 + (t->relays != NULL);
    on_again(&t->again);
    (void)uv_timer_start(&t->again, on_again, TCP_AGAIN_MS, TCP_AGAIN_MS);
    *out = t;
    return OK;
}

const char *http_tcp_address(const struct http_tcp *t)
{
    return t->address;
}

uint32_t http_tcp_count(const struct http_tcp *t)
{
    return t->relays != NULL ? tls_relays_count(t->relays) : 0;
}

static void part_closed(void *context)
{
    struct http_tcp *t = context;
    if (--t->parts_open > 0) return;
    void (*closed)(void *) = t->closed;
    void *closed_context = t->closed_context;
    free(t);
    closed(closed_context);
}

static void on_handle_closed(uv_handle_t *handle)
{
    part_closed(handle->data);
}

void http_tcp_close(struct http_tcp *t, void (*closed)(void *context), void *context)
{
    t->closed = closed;
    t->closed_context = context;
    (void)uv_poll_stop(&t->listening);
    uv_close((uv_handle_t *)&t->listening, on_handle_closed);
    uv_close((uv_handle_t *)&t->again, on_handle_closed);
    if (t->relays != NULL) tls_relays_close(t->relays, part_closed, t);
    (void)close(t->fd);
}
