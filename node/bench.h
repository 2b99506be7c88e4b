/* bench: figures as ratios of something bare measured in the same run, one line each: name value unit ratio against.
 * Rules: medians of BENCH_ROUNDS, both sides interleaved in one process, so that a busy machine slows both. A ratio is value
 * over its limit; for times with a fixed budget it is the time over the budget. Nothing is warmed up out of sight.
 * Threads: the commands' own. */
#ifndef PERIGEE_NODE_BENCH_H
#define PERIGEE_NODE_BENCH_H

#include "proto/base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum { BENCH_ROUNDS = 5, BENCH_CORES_MAX = 64, BENCH_FOLDER_MAX = 64 };

struct bench {
    bool json;
    uint64_t rows; /* of the table of bench_sql; 0: as its target says */
};
void bench_print(const struct bench *b, const char *name, double value, const char *unit, double ratio,
                 const char *against);
/* Sorts. */
double bench_median(double *values, uint32_t count);
double bench_now(void);     /* seconds, monotonic */
uint32_t bench_cores(void); /* at most BENCH_CORES_MAX */
/* Seconds until all of `count` threads have done their part; the caller is the first of them. */
typedef void bench_part(void *context, uint32_t index, uint32_t count);
double bench_on_threads(uint32_t count, bench_part *part, void *context);
double bench_on_cores(bench_part *part, void *context);
/* A new folder in TMPDIR, else /tmp. ERR_IO. */
MUST_USE enum err bench_folder_make(char path[BENCH_FOLDER_MAX]);
void bench_folder_remove(const char *path); /* and all in it */
int bench_unnamed_file(void);               /* in such a folder; -1: none to be had */

/* One benchmark each; errors are said on stderr. */
MUST_USE enum err bench_seal(const struct bench *b);   /* P1: sealing and opening in memory */
MUST_USE enum err bench_tar(const struct bench *b);    /* P1: a file to a sealed .tar */
MUST_USE enum err bench_store(const struct bench *b);  /* P2: blobs, group commit */
MUST_USE enum err bench_link(const struct bench *b);   /* P4: one peer link */
MUST_USE enum err bench_sql(const struct bench *b);    /* P8: SQL over sealed rows */
MUST_USE enum err bench_ingest(const struct bench *b); /* P3: records decoded, checked, verified, stored */
MUST_USE enum err bench_shares(const struct bench *b); /* P7: one share release, one combine at t = 5 */
MUST_USE enum err bench_idle(const struct bench *b);   /* P14: memory and start of a node at rest */
MUST_USE enum err bench_run(const struct bench *b);    /* P13: request to signed output, seven processes */
MUST_USE enum err bench_sums(const struct bench *b);   /* the gate's group sums */

#endif
