/* What a node tells a service manager: that it is ready, that its loop turns, that it stops.
 * Needs the program in $PERIGEE. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { WAIT_MS = 60000 };

static const char *program;
static char root[64], home[96], charter[96], card[128];

static pid_t spawn(const char *const *words)
{
    char *argv[16] = {(char *)(uintptr_t)program};
    for (int i = 0; words[i] != NULL && i < 14; i++) argv[i + 1] = (char *)(uintptr_t)words[i];
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0) return pid;
    const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0) _exit(127);
    (void)execv(program, argv);
    _exit(127);
}

static int ended(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}
#define RUN(...) assert_int_equal(ended(spawn((const char *const[]){__VA_ARGS__, NULL})), 0)

static int begin(void **state)
{
    (void)state;
    program = getenv("PERIGEE");
    if (program == NULL) return 0;
    (void)snprintf(root, sizeof root, "/tmp/perigee-service.XXXXXX");
    assert_non_null(mkdtemp(root));
    (void)snprintf(home, sizeof home, "%s/a", root);
    (void)snprintf(charter, sizeof charter, "%s/charter", root);
    (void)snprintf(card, sizeof card, "%s/card.json", home);
    RUN("init", "--data", home, "--organisation", "a", "--jurisdiction", "CH", "--roles",
        "custodian,steward");
    RUN("consortium", "new", "--name", "one", "--out", charter, card);
    RUN("consortium", "join", "--data", home, charter);
    return 0;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

static int end(void **state)
{
    (void)state;
    if (root[0] != 0) (void)nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}

/* A manager's socket; `name` begins with '@' for the abstract namespace, and goes into the environment. */
static int listen_as(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const size_t len = strlen(name);
    assert_true(len < sizeof address.sun_path);
    memcpy(address.sun_path, name, len);
    if (name[0] == '@') address.sun_path[0] = 0;
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
                     0);
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
    return fd;
}

static void hear(int fd, char out[256])
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, WAIT_MS), 1);
    const ssize_t got = recv(fd, out, 255, 0);
    assert_true(got > 0);
    out[got] = 0;
}

/* Until it says this; every other thing said before is `others`. */
static void hear_at_last(int fd, const char *wanted, const char *others)
{
    char text[256];
    for (;;) {
        hear(fd, text);
        if (strcmp(text, wanted) == 0) return;
        if (strcmp(text, others) != 0) fail_msg("it said %s", text);
    }
}

static void life(const char *name, bool watchdog)
{
    const int fd = listen_as(name);
    char text[256];
    if (watchdog)
        assert_int_equal(setenv("WATCHDOG_USEC", "30000000", 1), 0);
    else
        assert_int_equal(unsetenv("WATCHDOG_USEC"), 0);
    const char *const words[] = {"node", "--data", home, NULL};
    const pid_t pid = spawn(words);
    hear(fd, text);
    assert_string_equal(text, "READY=1");
    for (int i = 0; watchdog && i < 2; i++) hear_at_last(fd, "WATCHDOG=1", "");
    assert_int_equal(kill(pid, SIGTERM), 0);
    hear_at_last(fd, "STOPPING=1", watchdog ? "WATCHDOG=1" : "");
    assert_int_equal(ended(pid), 0);
    assert_int_equal(recv(fd, text, sizeof text, MSG_DONTWAIT), -1); /* and nothing after it */
    (void)close(fd);
}

static void a_manager_hears_of_a_node(void **state)
{
    char name[96];
    (void)state;
    if (program == NULL) skip();
    (void)snprintf(name, sizeof name, "%s/notify", root);
    life(name, true);
    (void)snprintf(name, sizeof name, "@perigee-service-%d", (int)getpid());
    life(name, false);
}

/* The watchdog of another process is not this one's. */
static void another_process_is_watched(void **state)
{
    char name[96], text[256];
    (void)state;
    if (program == NULL) skip();
    (void)snprintf(name, sizeof name, "%s/other", root);
    const int fd = listen_as(name);
    assert_int_equal(setenv("WATCHDOG_USEC", "30000000", 1), 0);
    assert_int_equal(setenv("WATCHDOG_PID", "1", 1), 0);
    const char *const words[] = {"node", "--data", home, NULL};
    const pid_t pid = spawn(words);
    hear(fd, text);
    assert_string_equal(text, "READY=1");
    assert_int_equal(kill(pid, SIGTERM), 0);
    hear(fd, text);
    assert_string_equal(text, "STOPPING=1");
    assert_int_equal(ended(pid), 0);
    (void)close(fd);
    assert_int_equal(unsetenv("WATCHDOG_PID"), 0);
}

/* Nobody listens any more, or the name is none: the node runs all the same, and ends in order. */
static void nobody_listens(void **state)
{
    static const char *const names[] = {"/nowhere/at/all", "relative", "@", ""};
    (void)state;
    if (program == NULL) skip();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(setenv("NOTIFY_SOCKET", names[i], 1), 0);
        char socket_path[128];
        (void)snprintf(socket_path, sizeof socket_path, "%s/api.sock", home);
        const char *const words[] = {"node", "--data", home, NULL};
        const pid_t pid = spawn(words);
        while (access(socket_path, F_OK) != 0) (void)usleep(2000); /* it serves */
        assert_int_equal(kill(pid, SIGTERM), 0);
        assert_int_equal(ended(pid), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_manager_hears_of_a_node),
        cmocka_unit_test(another_process_is_watched),
        cmocka_unit_test(nobody_listens),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
