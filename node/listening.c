#include "node/listening.h"

#include "node/fault.h"
#include "node/file.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { PATH_LEN_MAX = sizeof(((struct sockaddr_un *)0)->sun_path) - 1 };

/* --- Paths ---------------------------------------------------------------------------------------------------------- */

enum err listening_probe(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat status;
    if (strlen(path) > PATH_LEN_MAX) return ERR_TOO_LARGE;
    if (lstat(path, &status) != 0) return errno == ENOENT ? OK : ERR_IO;
    if (!S_ISSOCK(status.st_mode)) return ERR_CONFLICT;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return ERR_IO;
    memcpy(address.sun_path, path, strlen(path) + 1);
    int answered = connect(fd, (const struct sockaddr *)&address, sizeof address);
    enum err err = answered == 0 || errno == EAGAIN ? ERR_BUSY : errno == ECONNREFUSED ? OK : ERR_IO;
    (void)close(fd);
    return err;
}

/* Sockets are made and removed in it. */
static enum err check_folder(const char *path, char *fault, size_t cap)
{
    char folder[PATH_LEN_MAX + 1];
    (void)snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash == NULL)
        (void)snprintf(folder, sizeof folder, ".");
    else
        slash[slash == folder] = 0;
    if (access(folder, W_OK | X_OK) == 0) return OK;
    const enum err err = file_error();
    return fault_set(fault, cap, err, "%s: expected a folder in which this user may make a socket: %s",
                     folder, strerror(errno));
}

enum err listening_check_path(const char *path, char *fault, size_t cap)
{
    const enum err err = listening_probe(path);
    if (err == OK) return check_folder(path, fault, cap);
    if (err == ERR_TOO_LARGE)
        return fault_set(fault, cap, err, "%s: expected at most %d bytes in a socket's path, came %zu", path,
                         PATH_LEN_MAX, strlen(path));
    if (err == ERR_CONFLICT)
        return fault_set(fault, cap, err,
                         "%s: expected a socket or nothing there, and there is something else: move it away",
                         path);
    if (err == ERR_BUSY) return fault_set(fault, cap, err, "%s: another process listens there", path);
    return fault_set(fault, cap, err, "%s: expected a place for a socket: %s", path, strerror(errno));
}

/* --- TCP ------------------------------------------------------------------------------------------------------------ */

/* HOST:PORT, which has both; an IPv6 address stands in brackets. A host of "*" is every address. */
static int resolve(struct addrinfo **out, const char *text)
{
    char host[256], *from = host;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags =
                                       AI_PASSIVE | AI_NUMERICSERV | AI_ADDRCONFIG}; /* as nng resolves */
    (void)snprintf(host, sizeof host, "%s", text);
    char *colon = strrchr(host, ':');
    if (colon == NULL || colon == host) return EAI_NONAME;
    *colon = 0;
    if (host[0] == '[' && colon[-1] == ']') {
        colon[-1] = 0;
        from++;
    }
    return getaddrinfo(strcmp(from, "*") == 0 ? NULL : from, colon + 1, &hints, out);
}

/* 0, or errno. */
static int try_address(const struct addrinfo *address)
{
    const int on = 1;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return errno;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const bool listens = bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, 1) == 0;
    const int why = listens ? 0 : errno;
    (void)close(fd);
    return why;
}

static enum err check_tcp(const char *address, char *fault, size_t cap)
{
    struct addrinfo *found = NULL;
    const int unknown = resolve(&found, address + 6);
    if (unknown != 0)
        return fault_set(fault, cap, ERR_NOT_FOUND, "%s: expected an address or a name of this machine: %s",
                         address, gai_strerror(unknown));
    const int why = try_address(found);
    freeaddrinfo(found);
    switch (why) {
    case 0: return OK;
    case EADDRINUSE:
        return fault_set(fault, cap, ERR_BUSY, "%s: expected a free port: another process listens there",
                         address);
    case EADDRNOTAVAIL:
        return fault_set(fault, cap, ERR_NOT_FOUND,
                         "%s: expected an address of this machine (0.0.0.0 and [::] are all of them)",
                         address);
    case EACCES:
    case EPERM:
        return fault_set(fault, cap, ERR_REFUSED,
                         "%s: expected a port that this user may listen on (1024 or above)", address);
    }
    return fault_set(fault, cap, ERR_IO, "%s: %s", address, strerror(why));
}

enum err listening_check(const char *address, char *fault, size_t cap)
{
    return strncmp(address, "ipc://", 6) == 0 ? listening_check_path(address + 6, fault, cap)
                                              : check_tcp(address, fault, cap);
}
