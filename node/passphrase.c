#include "node/passphrase.h"

#include "crypto/secret.h"
#include "node/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

/* Up to the end of the first line, byte by byte: what follows in a pipe is somebody else's. On a terminal `stop` is the key
 * that interrupts; -1: none does. */
static enum err read_line(struct passphrase *p, int fd, int stop)
{
    p->len = 0;
    for (;;) {
        uint8_t byte;
        const ssize_t got = read(fd, &byte, 1);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return ERR_IO;
        if (got == 0 || byte == '\n') break;
        if (byte == stop) return ERR_REFUSED;
        if (p->len == PASSPHRASE_MAX) return ERR_TOO_LARGE;
        p->bytes[p->len++] = byte;
    }
    if (p->len > 0 && p->bytes[p->len - 1] == '\r') p->len--;
    return p->len > 0 ? OK : ERR_MISSING_FIELD;
}

/* As with key files: nobody else may have been able to read it. A pipe has no such mode. */
static enum err check_mode(int fd)
{
    struct stat status;
    if (fstat(fd, &status) != 0) return ERR_IO;
    if (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode)) return OK;
    if (!S_ISREG(status.st_mode)) return ERR_TYPE;
    const bool ours = status.st_uid == geteuid() || status.st_uid == 0;
    return ours && (status.st_mode & 077) == 0 ? OK : ERR_REFUSED;
}

static enum err read_file(struct passphrase *p, const char *path, char *fault, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) return fault_set(fault, cap, ERR_NOT_FOUND, "%s: %s", path, strerror(errno));
    enum err err = check_mode(fd);
    if (err == OK) err = read_line(p, fd, -1);
    (void)close(fd); /* nothing was written */
    if (err == ERR_REFUSED)
        return fault_set(fault, cap, err, "%s: must be yours and closed to others (chmod 600)", path);
    return err == OK ? OK
                     : fault_set(fault, cap, err,
                                 "%s: expected a passphrase of 1 to %d bytes in its first line: %s", path,
                                 PASSPHRASE_MAX, err_text(err));
}

/* --- On a terminal -------------------------------------------------------------------------------------------------- */

/* The interrupt key ends the line instead of the process, so that the terminal is as before when the signal comes. */
static enum err ask(struct passphrase *p, int terminal, const char *question)
{
    struct termios before, quiet;
    if (tcgetattr(terminal, &before) != 0) return ERR_IO;
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
    quiet.c_cc[VEOL] = before.c_cc[VINTR];
    if (tcsetattr(terminal, TCSAFLUSH, &quiet) != 0) return ERR_IO;
    (void)!write(terminal, question, strlen(question));
    enum err err = read_line(p, terminal, before.c_cc[VINTR]);
    (void)!write(terminal, "\n", 1);
    (void)tcsetattr(terminal, TCSAFLUSH, &before);
    if (err == ERR_REFUSED) (void)raise(SIGINT);
    return err;
}

static enum err ask_again(const struct passphrase *p, int terminal)
{
    struct passphrase *again = secret_alloc(sizeof *again);
    if (again == NULL) return ERR_NO_MEMORY;
    enum err err = ask(again, terminal, "The same again: ");
    const bool same = again->len == p->len && secret_equal(again->bytes, p->bytes, p->len);
    secret_free(again);
    return err == OK && !same ? ERR_CONFLICT : err;
}

static enum err read_terminal(struct passphrase *p, bool twice, char *fault, size_t cap)
{
    const bool is_terminal = isatty(STDIN_FILENO) == 1;
    enum err err =
        is_terminal ? ask(p, STDIN_FILENO, "Passphrase of the keys: ") : read_line(p, STDIN_FILENO, -1);
    if (err == OK && is_terminal && twice) err = ask_again(p, STDIN_FILENO);
    if (err == ERR_CONFLICT) return fault_set(fault, cap, err, "the two passphrases are not the same");
    return err == OK ? OK
                     : fault_set(fault, cap, err, "expected a passphrase of 1 to %d bytes in one line: %s",
                                 PASSPHRASE_MAX, err_text(err));
}

enum err passphrase_read(struct passphrase **out, const char *file, bool twice, char *fault, size_t cap)
{
    *out = NULL;
    if (file == NULL) return OK;
    struct passphrase *p = secret_alloc(sizeof *p);
    if (p == NULL) return fault_set(fault, cap, ERR_NO_MEMORY, "%s", err_text(ERR_NO_MEMORY));
    enum err err =
        strcmp(file, "-") == 0 ? read_terminal(p, twice, fault, cap) : read_file(p, file, fault, cap);
    if (err == OK)
        *out = p;
    else
        passphrase_free(p);
    return err;
}

struct span passphrase_span(const struct passphrase *p)
{
    return p == NULL ? SPAN_NONE : span_make(p->bytes, p->len);
}

void passphrase_free(struct passphrase *p)
{
    secret_free(p);
}
