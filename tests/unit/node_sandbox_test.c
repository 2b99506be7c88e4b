/* sandbox: what a program inside can and cannot do, that a wall which is missing is noticed from within, and that nothing
 * runs where the walls cannot be put up. The test is its own program inside: it starts itself with "inside". */
#include "node/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { REPORT_BYTES = 16384, MEMORY_MB = 256 };

static char executable[PATH_MAX];
static char secret_path[] = "/tmp/perigee-sandbox-XXXXXX";

/* --- Inside ----------------------------------------------------------------------------------------------------------- */

static void report(const char *name, long result)
{
    (void)printf("%s=%d\n", name, result == -1 ? errno : 0);
}

static void report_network(void)
{
    static const int families[] = {AF_INET, AF_INET6, AF_UNIX, AF_NETLINK, AF_PACKET, AF_VSOCK};
    char name[32];
    int pair[2];
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        (void)snprintf(name, sizeof name, "socket-%zu", i);
        report(name, socket(families[i], SOCK_DGRAM, 0));
    }
    report("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
}

static void report_files(const char *secret)
{
    char out[8];
    report("passwd", open("/etc/passwd", O_RDONLY));
    report("secret", open(secret, O_RDONLY));
    report("create", open("/made", O_WRONLY | O_CREAT, 0600));
    report("temporary", open("/", O_WRONLY | O_TMPFILE, 0600));
    report("write-self", open(SANDBOX_EXECUTABLE, O_RDWR));
    report("write-proc", open("/proc/self/oom_score_adj", O_WRONLY));
    report("write-memory", open("/proc/self/mem", O_RDWR));
    report("truncate", truncate(SANDBOX_EXECUTABLE, 0));
    report("mkdir", mkdir("/made", 0700));
    report("unlink", unlink(SANDBOX_EXECUTABLE));
    report("chmod", chmod("/", 0777));
    report("link", link(SANDBOX_EXECUTABLE, "/other"));
    report("read-self", open(SANDBOX_EXECUTABLE, O_RDONLY));
    report("readlink", readlink("/proc/self/exe", out, sizeof out));
}

static void report_programs(void)
{
    char *const arguments[] = {(char *)(uintptr_t)SANDBOX_EXECUTABLE, NULL}, *const none[] = {NULL};
    report("exec", execve(SANDBOX_EXECUTABLE, arguments, none));
    report("exec-at", syscall(SYS_execveat, AT_FDCWD, SANDBOX_EXECUTABLE, arguments, none, 0));
    report("fork", fork());
    report("clone3", syscall(SYS_clone3, NULL, 0));
    report("ptrace", ptrace(PTRACE_TRACEME, 0, NULL, NULL));
    report("read-other", syscall(SYS_process_vm_readv, 1, NULL, 0, NULL, 0, 0));
    report("kill", kill(1, 0));
    report("unshare", unshare(CLONE_NEWUSER));
    report("mount", mount("none", "/proc", "tmpfs", 0, NULL));
    report("chroot", chroot("/proc"));
    report("bpf", syscall(SYS_bpf, 0, NULL, 0));
    report("io-uring", syscall(SYS_io_uring_setup, 1, NULL));
    report("keyctl", syscall(SYS_keyctl, 0, 0, 0, 0, 0));
    report("prctl", prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
    report("setuid", setuid(0));
}

static void report_memory(void)
{
    struct rlimit core = {1, 1};
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *plain = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *code = mmap(NULL, page, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    report("map", plain == MAP_FAILED ? -1 : 0);
    report("map-code", code == MAP_FAILED ? -1 : 0);
    report("make-code", mprotect(plain, page, PROT_READ | PROT_EXEC));
    report("raise-core", setrlimit(RLIMIT_CORE, &core));
    (void)printf("core=%d\n", getrlimit(RLIMIT_CORE, &core) == 0 ? (int)core.rlim_max : -1);
    void *large =
        mmap(NULL, (size_t)2 * MEMORY_MB << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    report("map-large", large == MAP_FAILED ? -1 : 0);
}

static void *thread_main(void *argument)
{
    *(int *)argument = 42;
    return NULL;
}

/* What must go on working: threads, and a memfd that is read by its path. */
static void report_needs(void)
{
    int value = 0, memfd = memfd_create("x", MFD_CLOEXEC);
    char path[64], got[4] = "";
    pthread_t thread;
    bool made = pthread_create(&thread, NULL, thread_main, &value) == 0 && pthread_join(thread, NULL) == 0;
    (void)printf("thread=%d\n", made ? value : -1);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", memfd);
    bool good = memfd >= 0 && write(memfd, "row", 3) == 3;
    int again = open(path, O_RDONLY | O_CLOEXEC);
    good = good && again >= 0 && pread(again, got, 3, 0) == 3 && memcmp(got, "row", 3) == 0;
    (void)printf("memfd=%d\n", good ? 1 : 0);
    report("memfd-write-by-path", open(path, O_RDWR));
}

/* argv: program, "inside", path of a file of the host. */
static int inside(char **argv)
{
    char why[SANDBOX_WHY_BYTES] = "";
    struct sandbox_limits limits = {(uint64_t)MEMORY_MB << 20, 1 << 20};
    (void)printf("environment=%s\n", getenv("PATH") != NULL ? getenv("PATH") : "none");
    if (sandbox_check(why, sizeof why) != OK || sandbox_enter(&limits, why, sizeof why) != OK) {
        (void)printf("refused: %s\n", why);
        return 9;
    }
    report_network();
    report_files(argv[2]);
    report_programs();
    report_memory();
    report_needs();
    (void)printf("end\n");
    return 0;
}

/* --- Outside ------------------------------------------------------------------------------------------------------------ */

static struct sandbox_command command;
static char said[REPORT_BYTES];

static void make_command(void)
{
    const char *argument[] = {"inside", secret_path};
    struct sandbox_spec spec = {executable, NULL, argument, 2};
    char why[SANDBOX_WHY_BYTES] = "";
    enum err err = sandbox_command_make(&command, &spec, why, sizeof why);
    if (err != OK) print_message("%s\n", why);
    assert_int_equal(err, OK);
}

static void drop_arguments(const char *name, uint32_t count)
{
    uint32_t at = 0;
    while (at < command.count && strcmp(command.argv[at], name) != 0) at++;
    assert_true(at + count <= command.count);
    memmove(&command.argv[at], &command.argv[at + count],
            (command.count - at - count + 1) * sizeof *command.argv);
    command.count -= count;
}

/* Runs the command with its words into `said`; the exit code. */
static int run_command(void)
{
    int words[2], status;
    assert_int_equal(pipe2(words, O_CLOEXEC), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (dup2(words[1], STDOUT_FILENO) < 0 || dup2(words[1], STDERR_FILENO) < 0) _exit(120);
        (void)execv(command.argv[0], command.argv);
        _exit(121);
    }
    (void)close(words[1]);
    size_t used = 0;
    ssize_t len;
    while ((len = read(words[0], said + used, sizeof said - 1 - used)) > 0) used += (size_t)len;
    said[used] = 0;
    (void)close(words[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void expect(const char *name, int value)
{
    char line[64];
    (void)snprintf(line, sizeof line, "\n%s=%d\n", name, value);
    if (strstr(said, line) == NULL) fail_msg("expected %s=%d in:\n%s", name, value, said);
}

static void nothing_gets_out(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "socket-0",   "socket-1",     "socket-2",  "socket-3",   "socket-4",
        "socket-5",   "socketpair",   "create",    "temporary",  "write-self",
        "write-proc", "write-memory", "truncate",  "mkdir",      "unlink",
        "chmod",      "link",         "exec",      "exec-at",    "fork",
        "ptrace",     "read-other",   "kill",      "unshare",    "mount",
        "chroot",     "bpf",          "io-uring",  "keyctl",     "prctl",
        "setuid",     "map-code",     "make-code", "raise-core", "memfd-write-by-path"};
    make_command();
    assert_int_equal(run_command(), 0);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) expect(refused[i], EPERM);
    expect("clone3", ENOSYS);
    expect("passwd", ENOENT);
    expect("secret", ENOENT);
    expect("core", 0);
    assert_non_null(strstr(said, "environment=none\n"));
    assert_non_null(strstr(said, "\nend\n"));
}

static void what_is_needed_works(void **state)
{
    (void)state;
    make_command();
    assert_int_equal(run_command(), 0);
    expect("thread", 42);
    expect("memfd", 1);
    expect("map", 0);
    expect("read-self", 0);
    expect("readlink", 0);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
    expect("map-large", ENOMEM); /* sanitizers need more address space than any limit leaves */
#endif
}

/* A wall that was not put up is seen from within, and the program refuses to go on. */
static void a_missing_wall_is_noticed(void **state)
{
    (void)state;
    static const struct {
        const char *argument;
        uint32_t count;
        const char *why;
    } walls[] = {
        {"--unshare-net", 1, "refused: the worker sees a network"},
        {"--unshare-pid", 1, "refused: the worker is not in a process namespace"},
        {"--remount-ro", 2, "refused: the worker's root is not read-only"},
    };
    for (size_t i = 0; i < sizeof walls / sizeof *walls; i++) {
        make_command();
        if (strcmp(walls[i].argument, "--unshare-pid") == 0)
            drop_arguments("--as-pid-1", 1); /* needs the other */
        drop_arguments(walls[i].argument, walls[i].count);
        assert_int_equal(run_command(), 9);
        if (strstr(said, walls[i].why) == NULL) fail_msg("without %s: %s", walls[i].argument, said);
    }
}

static void capabilities_are_noticed(void **state)
{
    (void)state;
    make_command();
    for (uint32_t i = 0; i < command.count; i++)
        if (strcmp(command.argv[i], "--cap-drop") == 0) {
            static char add[] = "--cap-add", which[] = "CAP_SYS_ADMIN";
            command.argv[i] = add;
            command.argv[i + 1] = which;
        }
    assert_int_equal(run_command(), 9);
    if (strstr(said, "refused: the worker holds capabilities") == NULL) fail_msg("%s", said);
}

static void files_of_the_host_are_noticed(void **state)
{
    (void)state;
    static char bind[] = "--ro-bind", home[] = "/tmp";
    make_command();
    drop_arguments("--hostname", 2);
    memmove(&command.argv[4], &command.argv[1], command.count * sizeof *command.argv);
    command.argv[1] = bind;
    command.argv[2] = home;
    command.argv[3] = home;
    command.count += 3;
    assert_int_equal(run_command(), 9);
    if (strstr(said, "refused: the worker sees files of the host") == NULL) fail_msg("%s", said);
}

/* Outside of bubblewrap the inner wall is not put up either: the answer is a refusal. */
static void outside_is_refused(void **state)
{
    (void)state;
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char why[SANDBOX_WHY_BYTES] = "";
        struct sandbox_limits limits = {(uint64_t)MEMORY_MB << 20, 1 << 20};
        enum err err = sandbox_enter(&limits, why, sizeof why);
        _exit(err == ERR_UNAVAILABLE && why[0] != 0 ? 7 : 8);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

/* --- Refusals -------------------------------------------------------------------------------------------------------------- */

static void expect_refusal(const struct sandbox_spec *spec, const char *reason)
{
    char why[SANDBOX_WHY_BYTES] = "";
    assert_int_equal(sandbox_command_make(&command, spec, why, sizeof why), ERR_UNAVAILABLE);
    if (strstr(why, reason) == NULL) fail_msg("expected \"%s\" in \"%s\"", reason, why);
}

static void without_bubblewrap_it_refuses(void **state)
{
    (void)state;
    const char *argument[] = {"inside"};
    struct sandbox_spec spec = {executable, NULL, argument, 1};
    char *path = strdup(getenv("PATH"));
    assert_non_null(path);
    assert_int_equal(setenv("PERIGEE_BWRAP", "/nonexistent/bwrap", 1), 0);
    expect_refusal(&spec, "PERIGEE_BWRAP names no program: /nonexistent/bwrap");
    assert_int_equal(setenv("PERIGEE_BWRAP", "/tmp", 1), 0);
    expect_refusal(&spec, "PERIGEE_BWRAP names no program");
    assert_int_equal(unsetenv("PERIGEE_BWRAP"), 0);
    static const char *const paths[] = {"", "/nonexistent", "relative:::also", "/tmp"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        assert_int_equal(setenv("PATH", paths[i], 1), 0);
        expect_refusal(&spec, "bubblewrap (bwrap) is not on PATH");
    }
    assert_int_equal(setenv("PATH", path, 1), 0);
    free(path);
}

static void missing_files_are_refused(void **state)
{
    (void)state;
    const char *argument[] = {"inside"};
    struct sandbox_spec spec = {"/nonexistent/perigee", NULL, argument, 1};
    expect_refusal(&spec, "not a program");
    spec.executable = executable;
    spec.library = "/nonexistent/libduckdb.so";
    expect_refusal(&spec, "DuckDB's library cannot be read");
}

static void too_much_is_refused(void **state)
{
    (void)state;
    static char word[SANDBOX_TEXT_BYTES];
    const char *argument[SANDBOX_ARGUMENTS_MAX];
    char why[SANDBOX_WHY_BYTES] = "";
    struct sandbox_spec spec = {executable, NULL, argument, SANDBOX_ARGUMENTS_MAX};
    for (uint32_t i = 0; i < SANDBOX_ARGUMENTS_MAX; i++) argument[i] = "x";
    assert_int_equal(sandbox_command_make(&command, &spec, why, sizeof why), ERR_TOO_LARGE);
    memset(word, 'x', sizeof word - 1);
    argument[0] = word;
    spec.argument_count = 1;
    assert_int_equal(sandbox_command_make(&command, &spec, why, sizeof why), ERR_TOO_LARGE);
}

static void only_what_is_needed_is_bound(void **state)
{
    (void)state;
    make_command();
    for (uint32_t i = 0; i + 1 < command.count; i++) {
        assert_string_not_equal(command.argv[i], "--bind");
        assert_string_not_equal(command.argv[i], "--dev-bind");
        if (strncmp(command.argv[i], "--ro-bind", 9) != 0) continue;
        const char *source = command.argv[i + 1];
        bool fits = strcmp(source, executable) == 0 || strcmp(source, "/etc/ld.so.cache") == 0 ||
                    strncmp(source, "/lib", 4) == 0 || strncmp(source, "/usr/lib", 8) == 0 ||
                    strcmp(source, "/usr/local/lib") == 0;
        if (!fits) fail_msg("bound: %s", source);
    }
}

/* Can this machine put up the walls at all? A container without user namespaces cannot. */
static bool walls_stand(void)
{
    const char *argument[] = {"nothing"};
    struct sandbox_spec spec = {executable, NULL, argument, 1};
    char why[SANDBOX_WHY_BYTES] = "";
    if (sandbox_command_make(&command, &spec, why, sizeof why) != OK) {
        (void)printf("SKIPPED: %s\n", why);
        return false;
    }
    if (run_command() == 0) return true;
    (void)printf("SKIPPED: bubblewrap cannot put up its walls here: %s\n", said);
    return false;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest always[] = {
        cmocka_unit_test(outside_is_refused),
        cmocka_unit_test(without_bubblewrap_it_refuses),
        cmocka_unit_test(missing_files_are_refused),
        cmocka_unit_test(too_much_is_refused),
    };
    const struct CMUnitTest walled[] = {
        cmocka_unit_test(nothing_gets_out),
        cmocka_unit_test(what_is_needed_works),
        cmocka_unit_test(a_missing_wall_is_noticed),
        cmocka_unit_test(capabilities_are_noticed),
        cmocka_unit_test(files_of_the_host_are_noticed),
        cmocka_unit_test(only_what_is_needed_is_bound),
    };
    if (argc > 1 && strcmp(argv[1], "nothing") == 0) return 0;
    if (argc > 2 && strcmp(argv[1], "inside") == 0) {
        int code = inside(argv);
        (void)fflush(stdout);
        _exit(code);
    }
    if (readlink("/proc/self/exe", executable, sizeof executable - 1) <= 0) return 1;
    int file = mkstemp(secret_path);
    if (file < 0) return 1;
    int failed = cmocka_run_group_tests_name("refusals", always, NULL, NULL);
    bool skipped = !walls_stand();
    if (!skipped) failed += cmocka_run_group_tests_name("walls", walled, NULL, NULL);
    (void)close(file);
    (void)unlink(secret_path);
    return failed != 0 ? 1 : skipped ? 77 : 0;
}
