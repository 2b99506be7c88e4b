#include "node/supervisor.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

_Static_assert(sizeof((struct supervisor *)0)->path == sizeof((struct sockaddr_un *)0)->sun_path,
               "as long as a name");

/* The watchdog is for the process that $WATCHDOG_PID names, if it names one. */
static bool watchdog_is_ours(void)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    if (usec == NULL || strtoull(usec, NULL, 10) == 0) return false;
    return pid == NULL || strtol(pid, NULL, 10) == (long)getpid();
}

void supervisor_begin(struct supervisor *s)
{
    const char *path = getenv("NOTIFY_SOCKET");
    *s = (struct supervisor){.watchdog = watchdog_is_ours()};
    if (path != NULL && (path[0] == '/' || path[0] == '@') && strlen(path) < sizeof s->path)
        (void)snprintf(s->path, sizeof s->path, "%s", path);
    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv("WATCHDOG_USEC");
    (void)unsetenv("WATCHDOG_PID");
}

void supervisor_tell(const struct supervisor *s, const char *state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const size_t len = strlen(s->path);
    if (len == 0) return;
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return;
    memcpy(address.sun_path, s->path, len);
    if (address.sun_path[0] == '@') address.sun_path[0] = 0; /* of the abstract namespace */
    (void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address,
                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
    (void)close(fd);
}

void supervisor_beat(const struct supervisor *s)
{
    if (s->watchdog) supervisor_tell(s, "WATCHDOG=1");
}
