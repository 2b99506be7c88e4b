/* listening: can this process listen where it should? The node's start asks before it listens for links and for its API, and
 * `perigee doctor` asks the same, so that what it calls well does not stop the start.
 * Rules: nothing is left changed: a TCP address is listened on and let go again at once, of a socket's path it is looked at what is
 * there. Between the question and the answer's use another process may come: whoever listens then still has its own error.
 * Threads: any. Errors: with one line for people in `fault`, which says what was expected. */
#ifndef PERIGEE_NODE_LISTENING_H
#define PERIGEE_NODE_LISTENING_H

#include "proto/base/err.h"

#include <stddef.h>

/* Of a Unix socket: ERR_BUSY: someone answers there. ERR_CONFLICT: what is there is no socket. ERR_TOO_LARGE: no name for one.
 * A socket that a dead process left is OK. ERR_IO. */
MUST_USE enum err listening_probe(const char *path);
/* The same, and whether one can be made there at all. */
MUST_USE enum err listening_check_path(const char *path, char *fault, size_t cap);
/* config_is_address. ERR_BUSY: in use, by a running node perhaps. ERR_NOT_FOUND, ERR_REFUSED, ERR_IO: not to be had here. */
MUST_USE enum err listening_check(const char *address, char *fault, size_t cap);

#endif
