/* supervisor: what a service manager is told, where there is one: sd_notify's protocol, one datagram for each thing said to the
 * socket in $NOTIFY_SOCKET. It is little enough to be said without a library.
 * Rules: supervisor_begin reads the environment and takes it away, so that no process started here speaks for the node. Nothing is
 * waited for, and nothing depends on whether anybody listens. Threads: the loop's, and supervisor_begin before there are others. */
#ifndef PERIGEE_NODE_SUPERVISOR_H
#define PERIGEE_NODE_SUPERVISOR_H

#include <stdbool.h>

struct supervisor {
    char path[108]; /* "": nobody is told */
    bool watchdog;  /* somebody wants to hear that the loop turns */
};
void supervisor_begin(struct supervisor *s);
/* "READY=1", "STOPPING=1", ... */
void supervisor_tell(const struct supervisor *s, const char *state);
/* The loop has turned: told when a watchdog listens. */
void supervisor_beat(const struct supervisor *s);

#endif
