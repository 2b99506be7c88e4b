/* lmdb_check: is the data file, as far as a snapshot reaches, what LMDB wrote? Internal to storage/.
 *
 * LMDB maps its file and follows the offsets and page numbers in it without a check, so that a file which was cut short or
 * changed can make it write outside its memory. Therefore every page that leads to others is read once at open, before
 * LMDB uses any of them. What is stored is not read: values have their own checks. Of a large value the first of its pages says
 * how many LMDB frees when it is replaced: they are read too, those of blobs on demand, as a blob is never replaced and there
 * may be a million.
 *
 * Rules: each page is in one tree and one place of it, or free, and never both; it bears its own number; its nodes lie
 * inside it and fill it; the number of pages and entries of each tree is what its head says; all pages exist in the file.
 * Costs one read per branch and leaf page, about one in 4 KiB of records, one in 60 blobs; one bit of memory a page.
 * The layout is that of LMDB 0.9 on a 64-bit machine (MDB_DATA_VERSION 1), which LMDB itself checks at open.
 *
 * Threads: any. The file is only read, with no map: a page that cannot be read is an error, not a signal. */
#ifndef PERIGEE_STORAGE_LMDB_CHECK_H
#define PERIGEE_STORAGE_LMDB_CHECK_H

#include "proto/base/err.h"

#include <lmdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `every_value`: the first page of each blob, too. ERR_CORRUPT; ERR_REFUSED for a kind of database this program never makes;
 * ERR_NOT_READY when the lock file names a snapshot that the data file has not: open the environment anew. */
#define LMDB_BLOBS "blob" /* the database of blobs */
MUST_USE enum err lmdb_check(MDB_env *env, bool every_value);

/* Before LMDB opens this data file: it divides by the page size that it reads there. The rest of its two heads it looks at itself,
 * and at a file that is too short for them. ERR_CORRUPT. */
MUST_USE enum err lmdb_check_heads(int file);

/* A large value has pages of its own, behind a head of LMDB_HEAD_BYTES on the first of them. */
enum { LMDB_HEAD_BYTES = 16 };
/* How many a value of this length needs. */
uint64_t lmdb_far_pages(size_t len, size_t page_bytes);
/* How many it has, by the head of a first page with this number; 0: that is no such head. */
uint64_t lmdb_far_count(const uint8_t *head, uint64_t first);

#endif
