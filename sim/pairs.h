/* pairs: which nodes of a simulated world have a link with which, where not all have one with all. Kept twice, at both ends, as short
 * lists.
 * Rules: a link has a serial number that no other ever has, so that what was sent on one is never taken for another's. The order of a
 * node's list follows from the calls alone.
 * Memory: 24 bytes for each end of a link, at most twice that; memory that runs out later than pairs_new stops the program.
 * Ownership: pairs_free. Single-threaded. */
#ifndef PERIGEE_SIM_PAIRS_H
#define PERIGEE_SIM_PAIRS_H

#include "proto/base/err.h"

#include <stdint.h>

struct pairs;

MUST_USE enum err pairs_new(struct pairs **out, uint32_t node_count); /* ERR_NO_MEMORY */
void pairs_free(struct pairs *p);                                     /* NULL is allowed */

uint64_t pairs_serial(const struct pairs *p, uint32_t a, uint32_t b);     /* 0: they have none */
uint64_t pairs_since(const struct pairs *p, uint32_t a, uint32_t b);      /* they have one: when it came up */
void pairs_add(struct pairs *p, uint32_t a, uint32_t b, uint64_t now_ns); /* they have none */
void pairs_drop(struct pairs *p, uint32_t a, uint32_t b);                 /* they have one */

uint32_t pairs_count(const struct pairs *p, uint32_t a);
/* index < pairs_count. Dropping one puts the last in its place: whoever drops on the way goes from the last to the first. */
uint32_t pairs_at(const struct pairs *p, uint32_t a, uint32_t index);

#endif
