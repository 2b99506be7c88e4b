/* trace: the results in the trace format of Chrome and Perfetto (JSON, "Trace Event Format"; ui.perfetto.dev opens it): a track for each
 * node with its keyed work as slices and crashes, partitions and elections as instants; below it a track for each enclave that it ran at
 * one time, with its phases as slices. Times are virtual, in microseconds with three decimals.
 * Rules: the results have a census, with work. Errors stay in the stream. Single-threaded. */
#ifndef PERIGEE_SIM_TRACE_H
#define PERIGEE_SIM_TRACE_H

#include "sim/results.h"

/* False: no memory. */
bool trace_write(FILE *out, const struct results *r);

#endif
