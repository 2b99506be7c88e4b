/* fault: one line for people about what went wrong, written where it is known and shown where the command ends.
 * Always terminated, cut when too long; control characters are shown as '?'. `fault` may be NULL with cap 0. Threads: any. */
#ifndef PERIGEE_NODE_FAULT_H
#define PERIGEE_NODE_FAULT_H

#include "proto/base/err.h"

#include <stddef.h>

/* Writes the line and returns `err`, so that a refusal is one statement. */
MUST_USE enum err fault_set(char *fault, size_t cap, enum err err, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
