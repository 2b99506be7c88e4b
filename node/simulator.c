#include "node/simulator.h"

static const struct simulator *in_use;

void simulator_use(const struct simulator *s)
{
    in_use = s;
}

const struct simulator *simulator_in_use(void)
{
    return in_use;
}
