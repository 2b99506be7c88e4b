#include "node/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum err file_error(void)
{
    if (errno == ENOENT || errno == ENOTDIR) return ERR_NOT_FOUND;
    if (errno == EACCES || errno == EPERM || errno == EROFS || errno == ELOOP) return ERR_REFUSED;
    if (errno == EEXIST || errno == ENOTEMPTY) return ERR_CONFLICT;
    if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG) return ERR_FULL;
    if (errno == ENOMEM) return ERR_NO_MEMORY;
    if (errno == ENAMETOOLONG) return ERR_RANGE;
    return ERR_IO;
}

/* The errors that files have; every other one has its own words. */
static const struct {
    enum err err;
    const char *why;
} whys[] = {
    {ERR_NOT_FOUND, "no such file or folder: check the path"},
    {ERR_TYPE, "expected a regular file, this is a folder or a device"},
    {ERR_REFUSED, "this user may not do that here: check owner and permissions, of the folder too"},
    {ERR_CONFLICT, "exists already and is not overwritten: name another, or remove it"},
    {ERR_FULL, "the disk or a quota is full: free some space"},
    {ERR_RANGE, "the path is too long"},
    {ERR_TOO_LARGE, "expected a smaller file"},
};

const char *file_why(enum err err)
{
    for (size_t i = 0; i < sizeof whys / sizeof whys[0]; i++)
        if (whys[i].err == err) return whys[i].why;
    return err_text(err);
}

static enum err read_all(uint8_t *out, size_t *len, int fd, size_t cap)
{
    *len = 0;
    while (*len < cap) {
        ssize_t got = read(fd, out + *len, cap - *len);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return file_error();
        if (got == 0) return OK;
        *len += (size_t)got;
    }
    return ERR_TOO_LARGE;
}

/* O_NONBLOCK: a FIFO in a file's place must not hang us before fstat tells. */
enum err file_open_regular(int *fd, const char *path)
{
    struct stat status;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0) return file_error();
    if (fstat(*fd, &status) == 0 && S_ISREG(status.st_mode)) return OK;
    (void)close(*fd);
    *fd = -1;
    return ERR_TYPE;
}

enum err file_read(char **out, size_t *len, const char *path, size_t max)
{
    int fd = -1;
    *out = NULL;
    TRY(file_open_regular(&fd, path));
    uint8_t *bytes = malloc(max + 1); /* one more than allowed: a longer file shows */
    enum err err = bytes == NULL ? ERR_NO_MEMORY : read_all(bytes, len, fd, max + 1);
    (void)close(fd);
    if (err != OK) {
        free(bytes);
        return err;
    }
    bytes[*len] = 0;
    *out = (char *)bytes;
    return OK;
}

static enum err write_all(int fd, struct span bytes)
{
    while (bytes.len > 0) {
        ssize_t put = write(fd, bytes.data, bytes.len);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return file_error();
        bytes.data += put;
        bytes.len -= (size_t)put;
    }
    return fsync(fd) == 0 ? OK : ERR_IO;
}

enum err file_sync_folder(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - path) + 1;
    if (len >= sizeof folder) return ERR_RANGE;
    memcpy(folder, path, len);
    folder[len] = 0;
    int fd = open(len == 0 ? "." : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return file_error();
    enum err err = fsync(fd) == 0 ? OK : ERR_IO;
    (void)close(fd);
    return err;
}

enum err file_check_folder(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0) return file_error();
    if (!S_ISDIR(status.st_mode)) return ERR_NOT_FOUND;
    return access(path, W_OK | X_OK) == 0 ? OK : file_error();
}

enum err file_check_place(const char *path)
{
    char folder[PATH_MAX] = ".";
    struct stat status;
    const char *slash = strrchr(path, '/');
    const size_t len = slash == NULL ? 0 : (size_t)(slash - path) + 1;
    if (len >= sizeof folder) return ERR_RANGE;
    if (len > 0) (void)snprintf(folder, sizeof folder, "%.*s", (int)len, path);
    TRY(file_check_folder(folder));
    if (lstat(path, &status) == 0 && !S_ISREG(status.st_mode)) return ERR_TYPE;
    return path[len] != 0 ? OK : ERR_TYPE;
}

/* link() refuses a taken name, rename() replaces it. */
enum err file_give_name(const char *draft, const char *path, bool replace)
{
    if (replace) return rename(draft, path) == 0 ? OK : file_error();
    if (link(draft, path) == 0) return unlink(draft) == 0 ? OK : file_error();
    if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS) return file_error();
    /* FAT, and others that have no links; of these some know of no flag either. */
    if (renameat2(AT_FDCWD, draft, AT_FDCWD, path, RENAME_NOREPLACE) == 0) return OK;
    if (errno != EINVAL && errno != ENOSYS) return file_error();
    const int place = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (place < 0) return file_error();
    (void)close(place);
    if (rename(draft, path) == 0) return OK;
    const enum err err = file_error();
    (void)unlink(path);
    return err;
}

enum err file_write(const char *path, struct span bytes, unsigned mode, bool replace)
{
    char draft[PATH_MAX];
    int len = snprintf(draft, sizeof draft, "%s.XXXXXX", path);
    if (len < 0 || (size_t)len >= sizeof draft) return ERR_RANGE;
    int fd = mkostemp(draft, O_CLOEXEC);
    if (fd < 0) return file_error();
    enum err err = fchmod(fd, mode) == 0 ? write_all(fd, bytes) : file_error();
    if (close(fd) != 0 && err == OK) err = ERR_IO;
    if (err == OK) err = file_give_name(draft, path, replace);
    if (err != OK) (void)unlink(draft);
    if (err == OK) err = file_sync_folder(path);
    return err;
}
