/* The end of the line for a programmer's error: one line, then a core for whoever looks. */
#include "proto/base/panic.h"

#include <stdio.h>
#include <stdlib.h>

void panic(const char *file, int line, const char *what)
{
    (void)fprintf(stderr, "perigee: stopped at %s:%d: %s; this is a defect of perigee, please report it\n",
                  file, line, what);
    abort();
}
