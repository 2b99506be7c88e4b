/* file: small files, whole: read with a limit, written so that a name never stands for half a file.
 * Rules: writing goes to a temporary name in the same folder, is synced, gets its name, and the folder is synced.
 * Nothing here is for secrets (crypto/keyfile.h) or bulk. Threads: any. Ownership: what file_read gives is freed by
 * the caller. */
#ifndef PERIGEE_NODE_FILE_H
#define PERIGEE_NODE_FILE_H

#include "proto/base/span.h"

#include <stdbool.h>

/* *out: *len bytes and a zero behind them, from malloc. ERR_NOT_FOUND, ERR_TOO_LARGE (more than max bytes), ERR_TYPE
 * (not a regular file), ERR_REFUSED (permission), ERR_IO, ERR_NO_MEMORY. */
MUST_USE enum err file_read(char **out, size_t *len, const char *path, size_t max);
/* For reading; the caller's to close. As file_read's, with *fd < 0. */
MUST_USE enum err file_open_regular(int *fd, const char *path);
/* ERR_CONFLICT: the name is taken and `replace` is false. ERR_NOT_FOUND (folder), ERR_REFUSED, ERR_FULL, ERR_IO. */
MUST_USE enum err file_write(const char *path, struct span bytes, unsigned mode, bool replace);
/* A file that is whole, from its draft beside it. As file_write's. */
MUST_USE enum err file_give_name(const char *draft, const char *path, bool replace);
/* Sync the folder that holds `path`, so that names made or removed in it last. */
MUST_USE enum err file_sync_folder(const char *path);
/* A folder that files can be put into. ERR_NOT_FOUND: there is none. */
MUST_USE enum err file_check_folder(const char *path);
/* May file_write replace or make it? What stands there is none, or a regular file: ERR_TYPE. */
MUST_USE enum err file_check_place(const char *path);
/* The error that errno stands for. */
enum err file_error(void);
/* What such an error means of a file, and what to do; err_text(err) for any other error. */
const char *file_why(enum err err);

#endif
