/* http_door: the listening end of the API's Unix socket. It lets in only our own user and root, keeps those who have not
 * said their whole request head yet, and hands on a connection when its head is complete and right (http_head.h), unread.
 * Rules: DOOR_WAITING_MAX wait at most; whoever comes then takes the place of the one who has waited longest; nobody waits
 * longer than DOOR_SECONDS, however busily it sends. Whoever is turned away is told why first. The socket is
 * 0600, and its name is gone when the door is closed.
 * Connections that came over TCP are taken in, too (http_tcp.h), and handed on as remote.
 * Threads: the loop's. Ownership: a handed-on descriptor is the receiver's. */
#ifndef PERIGEE_NODE_HTTP_DOOR_H
#define PERIGEE_NODE_HTTP_DOOR_H

#include "node/http_head.h"

#include <uv.h>

enum { DOOR_WAITING_MAX = 128, DOOR_SECONDS = 10 };

struct http_door;
struct http_door_options {
    uv_loop_t *loop;
    const char *socket_path; /* free, and shorter than sun_path */
    void *context;
    void (*enter)(void *context, int fd, bool remote);
    /* Say it; the door closes the descriptor. */
    void (*refuse)(void *context, int fd, const struct http_fault *why);
};
MUST_USE enum err http_door_open(struct http_door **out, const struct http_door_options *options);
/* A connection that came another way, from somebody who must show a token: it waits here like the others. */
void http_door_take(struct http_door *d, int fd);
/* Everybody who waits is cut off. `closed` runs when the loop holds nothing of it any more. */
void http_door_close(struct http_door *d, void (*closed)(void *context), void *context);

#endif
