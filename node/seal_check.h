/* seal_check: the check of a table before it is sealed (seal.h): DuckDB where it is present, csv.h otherwise. Parts of
 * seal.c. Fills in row_count and checked_by_duckdb. */
#ifndef PERIGEE_NODE_SEAL_CHECK_H
#define PERIGEE_NODE_SEAL_CHECK_H

#include "node/seal.h"

MUST_USE enum err seal_check(struct seal_result *out, const struct seal_options *options, int fd, char *fault,
                             size_t cap);

#endif
