/* meta: how to read a sealed plaintext, meta/1: the canonical JSON that travels sealed inside a manifest. An enclave opens
 * it with the data key and hands the options to tables.h. Fields that a format has no use for are absent: parquet and
 * bytes have none, csv has all three. Ownership: the missing mark is inside the structure. Pure. */
#ifndef PERIGEE_NODE_META_H
#define PERIGEE_NODE_META_H

#include "proto/base/arena.h"
#include "proto/base/caps.h"
#include "proto/base/json.h"

enum meta_format { META_BYTES, META_CSV, META_PARQUET };
extern const char *const meta_format_names[3]; /* "bytes", "csv", "parquet" */
enum { META_BYTES_MAX = 512 };

struct meta {
    enum meta_format format;
    bool header;    /* csv: the first line holds names */
    char delimiter; /* csv: a printable ASCII character or tab, neither quote nor letter, digit or point */
    char missing[CAP_NAME + 1]; /* csv: one more spelling of "no value", or empty */
};

/* Is it a delimiter a CSV can have? */
bool meta_delimiter_fits(char delimiter);
MUST_USE enum err meta_parse(struct meta *out, struct arena *arena, struct span bytes,
                             struct json_fault *fault);
MUST_USE enum err meta_write(struct buffer *out, const struct meta *meta);

#endif
