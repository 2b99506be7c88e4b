/* report: what came of a simulation, simulation/1, as canonical JSON (docs/SIMULATION.md "Reports"). Nothing in it depends on the machine
 * that ran it. */
#ifndef PERIGEE_SIM_REPORT_H
#define PERIGEE_SIM_REPORT_H

#include "sim/results.h"

void report_write(struct buffer *out, const struct results *r);

#endif
