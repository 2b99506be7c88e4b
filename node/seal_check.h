/* seal_check: the check of a table before it is sealed (seal.h). Part of seal.c. Fills in row_count and checked_by_duckdb.
 * CSV is judged by csv.h alone, so that what is refused does not depend on DuckDB; where DuckDB is present it reads the file
 * as the enclave will, and must find the same number of rows. Parquet needs it. */
#ifndef PERIGEE_NODE_SEAL_CHECK_H
#define PERIGEE_NODE_SEAL_CHECK_H

#include "node/seal.h"

MUST_USE enum err seal_check(struct seal_result *out, const struct seal_options *options, int fd,
                             uint64_t file_bytes, char *fault, size_t cap);

#endif
