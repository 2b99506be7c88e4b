/* spool: an input that is larger than its run's memory. Its ciphertext lies in a file of the host's, its plaintext exists a few
 * chunks at a time in memory of this process, and DuckDB reads it as a file all the same.
 *
 * Rules:
 * - What is on the disk is what the host had before: sealed chunks. One that comes back changed does not open, and the read
 *   fails; the key and the chunk's place are in its nonce, so nothing else opens in its stead.
 * - At most SPOOL_SLOTS chunks are in the clear at once, for all inputs together, and each is wiped before another takes its
 *   place. The pages are kept out of core dumps and, where the system allows it, locked.
 * - The file that DuckDB opens is a memfd of the plaintext's length without a byte in it. DuckDB has no way to be given a
 *   file system of ours through its C interface, so this program defines pread and read, which its libraries call in place of
 *   the C library's: on that memfd they give plaintext, on everything else they are the system calls. Were they not called,
 *   DuckDB would find zeros, and a run would fail: there is no way to fail open.
 * - A residual: whoever owns the disk sees which chunks are read when. That follows from the file's layout (how long its
 *   parts are), which depends on the data; an input that fits its memory shows nothing of the kind (docs/THREATS.md).
 * Threads: spool_new, spool_put and spool_free one at a time; reads any number, between the last put and spool_free.
 * Ownership: the disk and the key are borrowed until spool_free. Errors: ERR_NO_MEMORY, ERR_IO, ERR_FULL (the disk). */
#ifndef PERIGEE_NODE_SPOOL_H
#define PERIGEE_NODE_SPOOL_H

#include "crypto/body.h"

#include <stdbool.h>

enum { SPOOL_SLOTS = 32 };
#define SPOOL_MEMORY_BYTES ((uint64_t)SPOOL_SLOTS * BODY_SEALED_MAX)

/* Not under the thread sanitizer, which learns from its own read who waits for whom: there is no spool then. */
#if defined(__SANITIZE_THREAD__)
#define SPOOL_READS 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SPOOL_READS 0
#endif
#endif
#ifndef SPOOL_READS
#define SPOOL_READS 1
#endif

struct spool;

/* Its chunks lie on `disk` from `at` on, BODY_SEALED_MAX each. */
MUST_USE enum err spool_new(struct spool **out, int disk, uint64_t at, const struct body_summary *summary,
                            const struct body_key *key);
void spool_free(struct spool *s); /* wipes; NULL is fine */
int spool_file(const struct spool *s);
/* Checked by the caller: the chunk is the leaf it should be. */
MUST_USE enum err spool_put(struct spool *s, uint32_t chunk, struct span sealed);
/* Are pread and read those of this file for every library of the process? */
bool spool_is_in_force(void);

#endif
