#include "node/defect.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static _Atomic(struct defect_last_act *) last_act;

void defect_before_end(struct defect_last_act *last)
{
    atomic_store(&last_act, last);
}

void defect_end(const char *file, int line, const char *what)
{
    (void)fprintf(stderr, "perigee: stopped at %s:%d: %s; this is a defect of perigee, please report it\n",
                  file, line, what);
    const struct defect_last_act *last = atomic_exchange(&last_act, NULL);
    if (last != NULL) last->act(last->context);
    abort();
}
