#include "storage/lmdb_damage.h"

#include "storage/store.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

enum { LINE_BYTES = 8192, EXIT_DAMAGED = 1 };

static const int fault_numbers[2] = {SIGBUS, SIGSEGV};
static struct sigaction fault_before[2];

/* --- words -------------------------------------------------------------------------------------------------------- */

static void say(const char *text)
{
    ssize_t written = write(STDERR_FILENO, text, strlen(text));
    (void)written;
}

void lmdb_damage_found(const char *path, const char *what)
{
    say("perigee: ");
    say(path);
    say(" is damaged or cannot be read (");
    say(what);
    say("); " STORE_DAMAGE_ADVICE "\n");
    _exit(EXIT_DAMAGED);
}

/* --- which file an address belongs to ------------------------------------------------------------------------------ */

static bool take_hex(const char **at, uintptr_t *value)
{
    const char *begin = *at;
    for (*value = 0;; (*at)++) {
        const char c = **at;
        const bool digit = c >= '0' && c <= '9';
        if (!digit && !(c >= 'a' && c <= 'f')) return *at > begin;
        *value = *value << 4 | (uintptr_t)(digit ? c - '0' : c - 'a' + 10);
    }
}

/* A line of /proc/self/maps: "begin-end access offset device inode path". */
static const char *line_path(const char *line, uintptr_t address)
{
    static const char name[] = "/data.mdb";
    uintptr_t begin, end;
    const char *path = strchr(line, '/');
    if (!take_hex(&line, &begin) || *line++ != '-' || !take_hex(&line, &end)) return NULL;
    if (path == NULL || address < begin || address >= end) return NULL;
    const size_t len = strlen(path);
    return len >= sizeof name - 1 && strcmp(path + len - (sizeof name - 1), name) == 0 ? path : NULL;
}

/* Ends the process when the address is in a data file. `text` is the handler's own. */
static void say_if_ours(int maps, char text[LINE_BYTES], uintptr_t address)
{
    size_t len = 0;
    char c;
    while (read(maps, &c, 1) == 1) { /* a fault is rare, and one byte at a time needs no more code */
        if (c != '\n' && len + 1 < LINE_BYTES) {
            text[len++] = c;
            continue;
        }
        text[len] = 0;
        len = 0;
        const char *path = line_path(text, address);
        if (path != NULL) lmdb_damage_found(path, "a page of it is missing");
    }
}

/* --- faults ------------------------------------------------------------------------------------------------------- */

static void on_fault(int number, siginfo_t *fault, void *context)
{
    char line[LINE_BYTES];
    (void)context;
    int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (maps >= 0) say_if_ours(maps, line, (uintptr_t)fault->si_addr);
    if (maps >= 0) close(maps);
    /* It happens again at once, and is then whoever's it was before. */
    for (int i = 0; i < 2; i++)
        if (fault_numbers[i] == number) (void)sigaction(number, &fault_before[i], NULL);
}

enum err lmdb_damage_watch(void)
{
    const struct sigaction ours = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    struct sigaction now;
    for (int i = 0; i < 2; i++) {
        if (sigaction(fault_numbers[i], NULL, &now) != 0) return ERR_IO;
        if ((now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == on_fault) continue;
        fault_before[i] = now;
        if (sigaction(fault_numbers[i], &ours, NULL) != 0) return ERR_IO;
    }
    return OK;
}
