/* recipe_check: will an enclave take this workflow? What the gate would refuse once the slot is spent is refused when a
 * workflow is published or approved. Runs in the command's own process: a stranger's SQL is not for the daemon.
 * Rules: what cannot be found out (no DuckDB, an input that is not registered here) is refused too, with what is missing
 * and how to get it; a document that is no workflow passes, for the node says what is wrong with it.
 * Threads: one. Ownership: borrows. */
#ifndef PERIGEE_NODE_RECIPE_CHECK_H
#define PERIGEE_NODE_RECIPE_CHECK_H

#include "node/client.h"

/* Asks the node for the datasets it reads. Says on stderr why not; an exit code. */
int recipe_check(const struct client *c, const char *document);
/* The same with `assets`, an array of answers of GET /v1/assets/{dt}. ERR_SQL, ERR_POLICY, ERR_TOO_LARGE: no enclave would run it;
 * ERR_NOT_FOUND: a dataset is not registered; ERR_UNAVAILABLE: no DuckDB; ERR_NO_MEMORY. `why` receives one line. */
MUST_USE enum err recipe_check_with(const char *document, const json_t *assets, char *why, size_t cap);

#endif
