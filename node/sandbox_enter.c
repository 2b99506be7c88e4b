/* The inner wall: limits and the system-call filter, and the checks of both walls from within. */
#include "node/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/sched.h>

/* A sanitizer reserves terabytes of address space up front: limits of memory would end it at once. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANDBOX_SANITIZED 1
#endif
#endif
#ifndef SANDBOX_SANITIZED
#define SANDBOX_SANITIZED 0
#endif

enum { DESCRIPTORS_MAX = 96 };

static enum err refuse(char *why, size_t why_len, const char *what)
{
    if (why_len > 0) (void)snprintf(why, why_len, "%s", what);
    return ERR_UNAVAILABLE;
}

/* --- The outer wall, seen from within --------------------------------------------------------------------------------- */

/* The text of a small file under /proc, or NULL. */
static const char *read_text(char *out, size_t cap, const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return NULL;
    ssize_t len = read(file, out, cap - 1);
    (void)close(file);
    if (len < 0) return NULL;
    out[len] = 0;
    return out;
}

/* /proc/net/dev: two lines of heading, then one line per interface. */
static bool network_is_empty(void)
{
    char text[4096];
    if (read_text(text, sizeof text, "/proc/self/net/dev") == NULL) return false;
    const char *line = strchr(text, '\n');
    if (line != NULL) line = strchr(line + 1, '\n');
    if (line == NULL) return false;
    for (line++; *line != 0;) {
        if (strncmp(line + strspn(line, " "), "lo:", 3) != 0) return false;
        const char *end = strchr(line, '\n');
        if (end == NULL) break;
        line = end + 1;
    }
    return true;
}

/* Only the routing table's heading, or nothing at all. */
static bool network_has_no_route(void)
{
    char text[4096];
    if (read_text(text, sizeof text, "/proc/self/net/route") == NULL) return true;
    const char *line = strchr(text, '\n');
    return line == NULL || line[1] == 0;
}

static bool status_has(const char *status, const char *line)
{
    const char *at = strstr(status, line);
    return at != NULL && (at == status || at[-1] == '\n');
}

static bool capabilities_are_none(void)
{
    char text[8192];
    if (read_text(text, sizeof text, "/proc/self/status") == NULL) return false;
    return status_has(text, "CapEff:\t0000000000000000\n") &&
           status_has(text, "CapPrm:\t0000000000000000\n") && status_has(text, "CapInh:\t0000000000000000\n");
}

static bool root_is_read_only(void)
{
    int file = open("/written", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (file >= 0) (void)close(file);
    return file < 0 && errno == EROFS;
}

static bool host_is_absent(void)
{
    static const char *const paths[] = {"/etc/passwd", "/etc/ssl", "/home", "/root", "/var",
                                        "/tmp",        "/dev",     "/sys",  "/run"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (access(paths[i], F_OK) == 0) return false;
    return true;
}

/* A file that has no name any more and no bytes yet: nothing else may stand in the spool's place. */
static bool spool_is_one(void)
{
    struct stat is;
    if (fstat(SANDBOX_SPOOL, &is) != 0) return false;
    return S_ISREG(is.st_mode) && is.st_nlink == 0 && is.st_size == 0;
}

/* Closes everything but the standard three, the socket and the spool: nothing of the node comes along by mistake. */
static bool descriptors_are_closed(void)
{
    return close_range(spool_is_one() ? SANDBOX_SPOOL + 1 : SANDBOX_SOCKET + 1, ~0U, 0) == 0;
}

static enum err check_outer(char *why, size_t why_len)
{
    if (getpid() != 1) return refuse(why, why_len, "the worker is not in a process namespace of its own");
    if (!network_is_empty() || !network_has_no_route())
        return refuse(why, why_len, "the worker sees a network");
    if (!capabilities_are_none()) return refuse(why, why_len, "the worker holds capabilities");
    if (!root_is_read_only()) return refuse(why, why_len, "the worker's root is not read-only");
    if (!host_is_absent()) return refuse(why, why_len, "the worker sees files of the host");
    return OK;
}

enum err sandbox_check(char *why, size_t why_len)
{
    if (!descriptors_are_closed()) return refuse(why, why_len, "descriptors of the node could not be closed");
    return check_outer(why, why_len);
}

/* --- Limits ------------------------------------------------------------------------------------------------------------- */

static bool limit(int resource, uint64_t value)
{
    struct rlimit old, want = {value, value};
    if (getrlimit((__rlimit_resource_t)resource, &old) != 0) return false;
    if (old.rlim_max < want.rlim_max) want = (struct rlimit){old.rlim_max, old.rlim_max};
    return setrlimit((__rlimit_resource_t)resource, &want) == 0;
}

/* Private memory mapped so far, which RLIMIT_DATA counts as well: the arena is reserved whole and mostly never touched. */
static uint64_t mapped_bytes(void)
{
    char text[256], *at = text;
    if (read_text(text, sizeof text, "/proc/self/statm") == NULL) return 0;
    unsigned long long value = 0;
    for (int field = 0; field < 6; field++) value = strtoull(at, &at, 10); /* the sixth is data and stack */
    return value * (uint64_t)sysconf(_SC_PAGESIZE);
}

static bool set_limits(const struct sandbox_limits *limits)
{
    uint64_t mapped = mapped_bytes();
    bool ok = limit(RLIMIT_CORE, 0) && limit(RLIMIT_FSIZE, limits->file_bytes) &&
              limit(RLIMIT_NOFILE, DESCRIPTORS_MAX);
    if (!SANDBOX_SANITIZED) ok = ok && mapped > 0 && limit(RLIMIT_DATA, mapped + limits->memory_bytes);
    return ok && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

/* --- The filter ----------------------------------------------------------------------------------------------------------- */

/* What DuckDB, glibc's threads and memory, memfds and our loop need. Checked against the arguments where a call could do
 * more than that: those are in add_conditions. A name that this machine's processor lacks is skipped. */
static const char *const allowed[] = {
    /* memory and threads */
    "brk",
    "munmap",
    "mremap",
    "madvise",
    "mlock",
    "mlock2",
    "munlock",
    "futex",
    "set_robust_list",
    "rseq",
    "sched_yield",
    "sched_getaffinity",
    "sched_getparam",
    "sched_getscheduler",
    "membarrier",
    "getcpu",
    "gettid",
    "getpid",
    "tgkill",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sigaltstack",
    "restart_syscall",
    "exit",
    "exit_group",
    /* time and facts */
    "clock_gettime",
    "clock_getres",
    "clock_nanosleep",
    "nanosleep",
    "gettimeofday",
    "time",
    "times",
    "getrusage",
    "sysinfo",
    "uname",
    "getrandom",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getppid",
    "getcwd",
    "getrlimit",
    /* descriptors: reading, the socket, memfds */
    "read",
    "readv",
    "pread64",
    "preadv",
    "write",
    "writev",
    "pwrite64",
    "lseek",
    "close",
    "poll",
    "ppoll",
    "fstat",
    "stat",
    "lstat",
    "newfstatat",
    "statx",
    "statfs",
    "fstatfs",
    "access",
    "faccessat",
    "faccessat2",
    "readlink",
    "readlinkat",
    "getdents64",
    "dup",
    "dup2",
    "dup3",
    "fcntl",
    "fadvise64",
    "memfd_create",
    "ftruncate",
};

static bool allow(scmp_filter_ctx filter, const char *name, unsigned count,
                  const struct scmp_arg_cmp *conditions)
{
    int number = seccomp_syscall_resolve_name(name);
    if (number < 0) return true;
    return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, number, count, conditions) == 0;
}

static bool add_conditions(scmp_filter_ctx filter)
{
    const uint64_t writing = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY);
    const uint64_t space = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
                           CLONE_NEWPID | CLONE_NEWNET;
    const struct scmp_arg_cmp reading_at = {2, SCMP_CMP_MASKED_EQ, writing, 0};
    const struct scmp_arg_cmp reading = {1, SCMP_CMP_MASKED_EQ, writing, 0};
    const struct scmp_arg_cmp thread = {0, SCMP_CMP_MASKED_EQ, CLONE_THREAD | space, CLONE_THREAD};
    const struct scmp_arg_cmp no_code = {2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0};
    const struct scmp_arg_cmp asks_only = {2, SCMP_CMP_EQ, 0, 0};
    const struct scmp_arg_cmp names = {0, SCMP_CMP_EQ, PR_SET_NAME, 0};
    return allow(filter, "openat", 1, &reading_at) && allow(filter, "open", 1, &reading) &&
           allow(filter, "clone", 1, &thread) && allow(filter, "mmap", 1, &no_code) &&
           allow(filter, "mprotect", 1, &no_code) && allow(filter, "prlimit64", 1, &asks_only) &&
           allow(filter, "prctl", 1, &names);
}

/* clone3 hides its flags behind a pointer, where a filter cannot look: it must seem absent, and glibc then uses clone. */
static bool fill_filter(scmp_filter_ctx filter)
{
    bool ok = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) == 0;
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed && ok; i++)
        ok = allow(filter, allowed[i], 0, NULL);
    ok = ok && add_conditions(filter);
    int clone3 = seccomp_syscall_resolve_name("clone3");
    if (clone3 >= 0) ok = ok && seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(ENOSYS), clone3, 0, NULL) == 0;
    return ok;
}

/* EPERM and not death: a library that asks for something it can do without, on another kernel, must not end a run. */
static bool load_filter(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (filter == NULL) return false;
    bool ok = fill_filter(filter) && seccomp_load(filter) == 0;
    seccomp_release(filter);
    return ok;
}

/* --- The inner wall, tried ------------------------------------------------------------------------------------------------- */

static bool fails_with(long result, int expected)
{
    return result == -1 && errno == expected;
}

static enum err check_inner(char *why, size_t why_len)
{
    struct rlimit core;
    char *const nothing[] = {NULL};
    if (!fails_with(socket(AF_INET, SOCK_STREAM, 0), EPERM) ||
        !fails_with(socket(AF_UNIX, SOCK_STREAM, 0), EPERM))
        return refuse(why, why_len, "the worker could open a socket");
    if (!fails_with(execve(SANDBOX_EXECUTABLE, nothing, nothing), EPERM))
        return refuse(why, why_len, "the worker could start a program");
    if (!fails_with(open(SANDBOX_EXECUTABLE, O_WRONLY | O_CLOEXEC), EPERM))
        return refuse(why, why_len, "the worker could open a file for writing");
    if (getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_max != 0)
        return refuse(why, why_len, "core dumps are not off");
    return OK;
}

enum err sandbox_enter(const struct sandbox_limits *limits, char *why, size_t why_len)
{
    TRY(check_outer(why, why_len)); /* whoever forgot to ask is told now */
    if (!set_limits(limits)) return refuse(why, why_len, "the worker's limits could not be set");
    if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0) return refuse(why, why_len, "the worker is still dumpable");
    if (!load_filter()) return refuse(why, why_len, "the system-call filter could not be loaded");
    return check_inner(why, why_len);
}
