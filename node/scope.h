/* scope: what a bearer token lets its holder ask of the API. Every route names exactly one; a token has those it was made
 * with and no other: none contains another. */
#ifndef PERIGEE_NODE_SCOPE_H
#define PERIGEE_NODE_SCOPE_H

#include "proto/base/span.h"

/* X(symbol, bit, name, what it is for) */
#define SCOPE_TABLE(X)                                                                                       \
    X(SCOPE_MONITOR, 0, "monitor", "health and metrics")                                                     \
    X(SCOPE_READ, 1, "read", "whatever the node shows, the outputs that it may open included")               \
    X(SCOPE_REQUEST, 2, "request", "workflows, jobs and runs")                                               \
    X(SCOPE_APPROVE, 3, "approve", "assets, grants, approvals and revocations")                              \
    X(SCOPE_ADMIN, 4, "admin", "charter, keys, members, ops, workers and tokens")

#define SCOPE_ENUM(symbol, bit, name, what) symbol = 1 << bit,
enum scope { SCOPE_TABLE(SCOPE_ENUM) SCOPE_ALL = (1 << 5) - 1 };
#undef SCOPE_ENUM

const char *scope_name(uint32_t scope); /* of one */
/* "read,request", each once. ERR_SYNTAX. */
MUST_USE enum err scope_parse(uint32_t *out, struct span text);

#endif
