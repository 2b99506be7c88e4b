/* divisor: for fractions that must be reduced before they are compared or drawn from. Pure. */
#ifndef PERIGEE_PROTO_BASE_DIVISOR_H
#define PERIGEE_PROTO_BASE_DIVISOR_H

#include <stdint.h>

uint64_t divisor_common(uint64_t a, uint64_t b); /* the greatest; of anything and 0, that thing */

#endif
