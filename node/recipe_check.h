/* recipe_check: will an enclave take this workflow? What the gate would refuse once the slot is spent is refused when a
 * workflow is published or approved. Runs in the command's own process: a stranger's SQL is not for the daemon.
 * Where it cannot be found out (no DuckDB, an input that is not registered yet) a line on stderr says so and the answer is
 * EXIT_OK: the enclave checks in any case. Threads: one. Ownership: borrows. */
#ifndef PERIGEE_NODE_RECIPE_CHECK_H
#define PERIGEE_NODE_RECIPE_CHECK_H

#include "node/client.h"

int recipe_check(const struct client *c, const char *document);

#endif
