#include "node/partial.h"

#include "crypto/hash.h"
#include "node/fault.h"
#include "node/file.h"
#include "proto/base/panic.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHECK_CHARS = 16, OPEN_TRIES = 8 };
static const off_t bytes_max = (off_t)1 << 30;

/* --- Lines ---------------------------------------------------------------------------------------------------------------------- */

static void check_of(char out[CHECK_CHARS + 1], struct span text)
{
    const struct hash32 hash = sha256(text);
    hex_encode(out, &hash, CHECK_CHARS / 2);
}

static void take_line(struct span line, partial_take *take, void *context)
{
    char check[CHECK_CHARS + 1];
    if (line.len <= CHECK_CHARS + 1 || line.len > CHECK_CHARS + 1 + PARTIAL_LINE_MAX) return;
    const struct span text = span_make(line.data + CHECK_CHARS + 1, line.len - CHECK_CHARS - 1);
    check_of(check, text);
    if (memcmp(line.data, check, CHECK_CHARS) == 0 && line.data[CHECK_CHARS] == ' ') take(context, text);
}

/* Takes every line's end; what is behind the last one is torn. */
static bool next_line(struct span *rest, struct span *line)
{
    const uint8_t *end = rest->len > 0 ? memchr(rest->data, '\n', rest->len) : NULL;
    if (end == NULL) return false;
    *line = span_make(rest->data, (size_t)(end - rest->data));
    *rest = span_make(end + 1, rest->len - line->len - 1);
    return true;
}

/* --- Opening --------------------------------------------------------------------------------------------------------------------- */

static bool is_ours(int fd, const char *path)
{
    struct stat held, named;
    return fstat(fd, &held) == 0 && lstat(path, &named) == 0 && held.st_dev == named.st_dev &&
           held.st_ino == named.st_ino;
}

/* POSIX's lock, and not flock(2)'s: processes that are forked to work don't hold it. */
static enum err lock(int fd)
{
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_SETLK, &all) == 0) return OK;
    return errno == EACCES || errno == EAGAIN ? ERR_BUSY : file_error();
}

/* Who had the lock before may have removed the file meanwhile: then the name stands for another one, or for none. */
static enum err open_locked(int *fd, const char *path)
{
    struct stat status;
    for (int i = 0; i < OPEN_TRIES; i++) {
        *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
        if (*fd < 0) return errno == EISDIR ? ERR_TYPE : file_error();
        enum err err = fstat(*fd, &status) == 0 && S_ISREG(status.st_mode) ? lock(*fd) : ERR_TYPE;
        if (err == OK && is_ours(*fd, path)) return OK;
        (void)close(*fd);
        *fd = -1;
        if (err != OK) return err;
    }
    return ERR_BUSY;
}

static enum err read_whole(int fd, uint8_t **out, size_t *len)
{
    struct stat status;
    if (fstat(fd, &status) != 0) return file_error();
    if (status.st_size > bytes_max) return ERR_TOO_LARGE;
    *out = malloc((size_t)status.st_size + 1);
    if (*out == NULL) return ERR_NO_MEMORY;
    *len = 0;
    while (*len < (size_t)status.st_size) {
        const ssize_t got = pread(fd, *out + *len, (size_t)status.st_size - *len, (off_t)*len);
        if (got == 0) break;
        if (got > 0) *len += (size_t)got;
        if (got < 0 && errno != EINTR) {
            free(*out);
            return file_error();
        }
    }
    return OK;
}

static enum err write_at(const struct partial *p, struct span bytes)
{
    while (bytes.len > 0) {
        const ssize_t put = write(p->fd, bytes.data, bytes.len);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return file_error();
        bytes = span_make(bytes.data + put, bytes.len - (size_t)put);
    }
    return OK;
}

/* All of it or nothing. */
static enum err add_line(struct partial *p, const char *line, size_t len)
{
    const enum err err = write_at(p, span_make(line, len));
    if (err == OK)
        p->len += len;
    else if (ftruncate(p->fd, (off_t)p->len) != 0 || lseek(p->fd, (off_t)p->len, SEEK_SET) < 0)
        return ERR_IO;
    return err;
}

static enum err begin(struct partial *p, const char *work)
{
    char line[PARTIAL_LINE_MAX + 2];
    const int len = snprintf(line, sizeof line, "%s\n", work);
    ASSERT(len > 0 && (size_t)len < sizeof line);
    p->len = 0;
    if (ftruncate(p->fd, 0) != 0 || lseek(p->fd, 0, SEEK_SET) < 0) return file_error();
    return add_line(p, line, (size_t)len);
}

static enum err resume(struct partial *p, struct span bytes, const char *work, partial_take *take,
                       void *context)
{
    struct span rest = bytes, line;
    const size_t work_len = strlen(work);
    if (!next_line(&rest, &line)) {
        const bool torn =
            bytes.len <= work_len && (bytes.len == 0 || memcmp(bytes.data, work, bytes.len) == 0);
        return torn ? begin(p, work) : ERR_CONFLICT;
    }
    if (!span_equal_text(line, work)) return ERR_CONFLICT;
    while (next_line(&rest, &line)) take_line(line, take, context);
    p->len = bytes.len - rest.len;
    if (ftruncate(p->fd, (off_t)p->len) != 0 || lseek(p->fd, (off_t)p->len, SEEK_SET) < 0)
        return file_error();
    return OK;
}

enum err partial_open(struct partial *p, const char *path, const char *work, partial_take *take,
                      void *context, char *fault, size_t cap)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    *p = (struct partial){.fd = -1, .path = path};
    enum err err = open_locked(&p->fd, path);
    if (err == OK) err = read_whole(p->fd, &bytes, &len);
    if (err == OK) err = resume(p, span_make(bytes, len), work, take, context);
    free(bytes);
    if (err != OK) partial_close(p);
    if (err == ERR_BUSY)
        return fault_set(fault, cap, err, "%s: another process is writing to it: let that one end", path);
    if (err == ERR_CONFLICT)
        return fault_set(fault, cap, err,
                         "%s: expected what was done of this so far, it is of another, or by another build "
                         "of perigee: finish that one, or remove the file",
                         path);
    return err == OK ? OK : fault_set(fault, cap, err, "%s: %s", path, file_why(err));
}

/* --- Adding ----------------------------------------------------------------------------------------------------------------------- */

enum err partial_append(struct partial *p, struct span text)
{
    char line[CHECK_CHARS + 1 + PARTIAL_LINE_MAX + 1];
    ASSERT(text.len > 0 && text.len <= PARTIAL_LINE_MAX && memchr(text.data, '\n', text.len) == NULL);
    check_of(line, text);
    line[CHECK_CHARS] = ' ';
    memcpy(line + CHECK_CHARS + 1, text.data, text.len);
    line[CHECK_CHARS + 1 + text.len] = '\n';
    return add_line(p, line, CHECK_CHARS + 1 + text.len + 1);
}

void partial_close(struct partial *p)
{
    if (p->fd >= 0) (void)close(p->fd);
    p->fd = -1;
}

void partial_done(struct partial *p)
{
    if (p->fd >= 0) (void)unlink(p->path);
    partial_close(p);
}
