/* topology: a scenario's places for Graphviz: a cluster for each region with its parties, and between regions the round trips of the table
 * (sim/regions.h). `dot -Tsvg` draws it.
 * Pure but for the stream, in which errors stay. */
#ifndef PERIGEE_SIM_TOPOLOGY_H
#define PERIGEE_SIM_TOPOLOGY_H

#include "sim/scenario.h"

#include <stdio.h>

void topology_write(FILE *out, const struct scenario *s);

#endif
