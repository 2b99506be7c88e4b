#include "node/cells.h"

#include "proto/base/panic.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

_Static_assert(CELLS_ANSWER_MAX <= PIPE_BUF, "an answer never waits for its reader");

uint32_t cells_jobs_on(long cores)
{
    if (cores < 1) return 1; /* it is not known */
    return cores < CELLS_JOBS_MAX ? (uint32_t)cores : CELLS_JOBS_MAX;
}

uint32_t cells_jobs_here(void)
{
    return cells_jobs_on(sysconf(_SC_NPROCESSORS_ONLN));
}

uint32_t cells_running(const struct cells *c)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < c->jobs; i++) count += c->slot[i].pid != 0;
    return count;
}

static _Noreturn void work_on(const struct cells_work *work, uint64_t cell, int pipe, pid_t parent)
{
    uint8_t answer[CELLS_ANSWER_MAX];
    (void)signal(SIGINT, SIG_DFL);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) _exit(1);
    const size_t len = work->run(work->context, cell, answer);
    ASSERT(len > 0 && len <= sizeof answer);
    _exit(write(pipe, answer, len) == (ssize_t)len ? 0 : 1);
}

/* Who started this program may have SIGCHLD ignored, and exec keeps that: then there is nothing to wait for. */
static void keep_statuses(void)
{
    struct sigaction now;
    if (sigaction(SIGCHLD, NULL, &now) == 0 && now.sa_handler == SIG_IGN) (void)signal(SIGCHLD, SIG_DFL);
}

static bool fork_into(struct cells_slot *slot, const struct cells_work *work, uint64_t cell)
{
    int ends[2];
    const pid_t parent = getpid();
    keep_statuses();
    if (pipe(ends) != 0) return false;
    (void)fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) {
        (void)close(ends[0]);
        work_on(work, cell, ends[1], parent);
    }
    (void)close(ends[1]);
    if (pid < 0) (void)close(ends[0]);
    if (pid > 0) *slot = (struct cells_slot){pid, ends[0], cell};
    return pid > 0;
}

bool cells_start(struct cells *c, const struct cells_work *work, uint64_t cell)
{
    ASSERT(c->jobs > 0 && c->jobs <= CELLS_JOBS_MAX);
    for (uint32_t i = 0; i < c->jobs; i++)
        if (c->slot[i].pid == 0) return fork_into(&c->slot[i], work, cell);
    return false;
}

static void collect(struct cells_slot *slot, struct cells_end *out)
{
    const ssize_t got = read(slot->pipe, out->answer, sizeof out->answer);
    out->cell = slot->cell;
    out->len = got > 0 ? (size_t)got : 0;
    (void)close(slot->pipe);
    while (waitpid(slot->pid, &out->status, 0) < 0) ASSERT(errno == EINTR); /* a signal came: once more */
    slot->pid = 0;
}

bool cells_wait(struct cells *c, struct cells_end *out, int timeout_ms)
{
    struct pollfd ready[CELLS_JOBS_MAX];
    for (uint32_t i = 0; i < c->jobs; i++) /* poll passes over what is negative */
        ready[i] = (struct pollfd){.fd = c->slot[i].pid != 0 ? c->slot[i].pipe : -1, .events = POLLIN};
    if (poll(ready, c->jobs, timeout_ms) <= 0) return false;
    for (uint32_t i = 0; i < c->jobs; i++) {
        if (ready[i].revents == 0) continue;
        collect(&c->slot[i], out);
        return true;
    }
    return false;
}

bool cells_panicked(const struct cells_end *end)
{
    static const int by_itself[] = {SIGABRT, SIGSEGV, SIGILL, SIGFPE, SIGTRAP};
    for (size_t i = 0; i < sizeof by_itself / sizeof by_itself[0]; i++)
        if (WIFSIGNALED(end->status) && WTERMSIG(end->status) == by_itself[i]) return true;
    return false;
}

void cells_say_stopped(char *out, size_t cap, const struct cells_end *end)
{
    const bool signalled = WIFSIGNALED(end->status);
    (void)snprintf(out, cap, "its process stopped, with %s %d", signalled ? "signal" : "exit code",
                   signalled ? WTERMSIG(end->status) : WEXITSTATUS(end->status));
}
