/* domain: where a text stands in a grouping column's public domain, for a column of texts at once.
 * Rules: byte for byte; a text that is not in the domain has no place in it. A text of up to 12 bytes is compared as the two
 * words DuckDB keeps it in, what lies behind its end masked; so no call and rarely a branch is spent on a row.
 * Threads: any, once it is made. Ownership: borrows the group. No errors. */
#ifndef PERIGEE_NODE_DOMAIN_H
#define PERIGEE_NODE_DOMAIN_H

#include "node/duckdb.h"
#include "proto/document.h"

enum { DOMAIN_SLOTS = 256, DOMAIN_INLINED = 12, DOMAIN_NONE = -1 };

/* Of a text: its length and first 4 bytes, and the next 8, as they lie in union duckdb_string; zeros behind its end, and of a
 * text beyond 12 bytes zeros for the rest. */
struct domain_key {
    uint64_t head, rest;
};

struct domain {
    const struct group_column *group;
    struct domain_key mask[DOMAIN_INLINED + 2]; /* by length; the last one of all beyond */
    struct domain_key key[CAP_DOMAIN];
    uint8_t slot[DOMAIN_SLOTS]; /* 1 + index of a value; 0 is free */
};

void domain_init(struct domain *d, const struct group_column *group);
/* Each text's place in the domain; DOMAIN_NONE of a NULL and of one that is not in it. `validity` may be NULL. */
void domain_places(const struct domain *d, int8_t *place, const union duckdb_string *text,
                   const uint64_t *validity, uint32_t count);

#endif
