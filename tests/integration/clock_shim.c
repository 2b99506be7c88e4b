/* clock_shim: preloaded into a node, it moves the wall clock that the node reads by the milliseconds that stand as text in the
 * file PERIGEE_TEST_CLOCK, whenever they change. Other clocks are left as they are. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long offset_ms(void)
{
    char text[32] = "";
    const char *path = getenv("PERIGEE_TEST_CLOCK");
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return 0;
    ssize_t got = read(fd, text, sizeof text - 1);
    (void)close(fd);
    return got > 0 ? strtol(text, NULL, 10) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
    const long result = syscall(SYS_clock_gettime, clock, t);
    if (result != 0 || clock != CLOCK_REALTIME) return (int)result;
    const long ns = t->tv_nsec + offset_ms() % 1000 * 1000000;
    t->tv_sec += offset_ms() / 1000 + (ns < 0 ? -1 : ns / 1000000000);
    t->tv_nsec = (ns + 1000000000) % 1000000000;
    return 0;
}
