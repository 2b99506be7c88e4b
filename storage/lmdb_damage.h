/* lmdb_damage: what is said when the data file is not what LMDB wrote. Internal to storage/.
 *
 * LMDB trusts its file: it maps it and follows what it reads there. A file that was cut short or changed by anything else
 * ends in one of its assertions, or in a fault at an address inside the map. Neither is a defect of this program, and a
 * store in that state must not be written to, so the process says one line and ends with exit code 1.
 *
 * Rules:
 * - Only a fault on a page of a mapped data.mdb is taken for damage; any other goes to whoever handled it before.
 * - The handler allocates nothing and takes no lock.
 *
 * Threads: any, but for lmdb_damage_watch. */
#ifndef PERIGEE_STORAGE_LMDB_DAMAGE_H
#define PERIGEE_STORAGE_LMDB_DAMAGE_H

#include "proto/base/err.h"

/* Install the fault handlers, if they are not. Two calls never at once. ERR_IO. */
MUST_USE enum err lmdb_damage_watch(void);
/* LMDB's own assertion failed over the file at `path`. */
__attribute__((noreturn)) void lmdb_damage_found(const char *path, const char *what);

#endif
