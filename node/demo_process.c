#include "node/demo_process.h"

#include "node/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { READ_BYTES = 65536, STOP_POLL_MS = 10 };

static long now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void pause_ms(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    (void)nanosleep(&t, NULL);
}

static int exit_code(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* --- Starting ------------------------------------------------------------------------------------------------------- */

/* In the child: only calls that are safe after fork. */
static void become(const char *const *words, int out, int err, bool own_group, pid_t parent)
{
    const char *argv[DEMO_WORD_MAX + 2] = {"perigee"};
    for (int i = 0; i < DEMO_WORD_MAX && words[i] != NULL; i++) argv[i + 1] = words[i];
    int nothing = open("/dev/null", O_RDONLY);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGTERM, SIG_DFL);
    if (own_group) (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    bool orphan = getppid() != parent; /* it ended before the line above */
    if (!orphan && dup2(nothing, 0) == 0 && dup2(out, 1) == 1 && dup2(err, 2) == 2)
        (void)execv("/proc/self/exe", (char *const *)argv);
    _exit(127);
}

enum err demo_process_start(pid_t *out, const char *const *words, const char *log_path)
{
    int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    pid_t parent = getpid();
    if (log < 0) return file_error();
    *out = fork();
    if (*out == 0) become(words, log, log, true, parent);
    (void)close(log);
    return *out > 0 ? OK : ERR_IO;
}

/* --- Stopping ------------------------------------------------------------------------------------------------------- */

bool demo_process_ended(pid_t pid, int *code)
{
    int status = 0;
    if (waitpid(pid, &status, WNOHANG) != pid) return false;
    *code = exit_code(status);
    return true;
}

bool demo_process_stop(pid_t pid, int seconds, int *code)
{
    const long end = now_ms() + seconds * 1000L;
    int status = 0;
    (void)kill(pid, SIGTERM);
    while (now_ms() < end) {
        if (demo_process_ended(pid, code)) return true;
        pause_ms(STOP_POLL_MS);
    }
    (void)kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    *code = exit_code(status);
    return false;
}

/* --- Running to the end --------------------------------------------------------------------------------------------- */

struct stream {
    int fd; /* -1: ended */
    char *text;
    size_t len, cap;
};

static enum err stream_read(struct stream *s)
{
    if (s->cap - s->len < READ_BYTES + 1) {
        if (s->cap > DEMO_OUTPUT_MAX) return ERR_TOO_LARGE;
        size_t cap = s->cap * 2 + 2 * READ_BYTES;
        char *grown = realloc(s->text, cap);
        if (grown == NULL) return ERR_NO_MEMORY;
        s->text = grown;
        s->cap = cap;
    }
    ssize_t got = read(s->fd, s->text + s->len, READ_BYTES);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return OK;
    if (got > 0) s->len += (size_t)got;
    s->text[s->len] = 0;
    if (got <= 0) {
        (void)close(s->fd);
        s->fd = -1;
    }
    return OK;
}

static enum err read_both(struct stream s[2], long end, const volatile int *stop)
{
    while (s[0].fd >= 0 || s[1].fd >= 0) {
        struct pollfd p[2] = {{s[0].fd, POLLIN, 0}, {s[1].fd, POLLIN, 0}};
        if (*stop != 0) return ERR_CANCELLED;
        if (now_ms() >= end) return ERR_NOT_READY;
        if (poll(p, 2, 100) < 0 && errno != EINTR) return ERR_IO;
        for (int i = 0; i < 2; i++)
            if (s[i].fd >= 0 && p[i].revents != 0) TRY(stream_read(&s[i]));
    }
    return OK;
}

static enum err spawn(pid_t *pid, struct stream s[2], const char *const *words)
{
    int out[2], err[2];
    pid_t parent = getpid();
    if (pipe2(out, O_CLOEXEC) != 0) return ERR_IO;
    if (pipe2(err, O_CLOEXEC) != 0) {
        (void)close(out[0]);
        (void)close(out[1]);
        return ERR_IO;
    }
    *pid = fork();
    if (*pid == 0) become(words, out[1], err[1], true, parent);
    (void)close(out[1]);
    (void)close(err[1]);
    s[0].fd = out[0];
    s[1].fd = err[0];
    return *pid > 0 ? OK : ERR_IO;
}

enum err demo_process_run(struct demo_output *out, const char *const *words, int seconds,
                          const volatile int *stop)
{
    struct stream s[2] = {{-1, NULL, 0, 0}, {-1, NULL, 0, 0}};
    pid_t pid = -1;
    int status = 0;
    memset(out, 0, sizeof *out);
    enum err err = spawn(&pid, s, words);
    if (err == OK) err = read_both(s, now_ms() + seconds * 1000L, stop);
    if (pid > 0 && err != OK) (void)kill(pid, SIGKILL);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    for (int i = 0; i < 2; i++)
        if (s[i].fd >= 0) (void)close(s[i].fd);
    *out = (struct demo_output){exit_code(status), s[0].text, s[1].text, s[0].len, s[1].len};
    if (err == OK && (out->out == NULL || out->err == NULL)) err = ERR_NO_MEMORY;
    return err;
}

void demo_output_free(struct demo_output *o)
{
    free(o->out);
    free(o->err);
    memset(o, 0, sizeof *o);
}
