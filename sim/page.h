/* page: the results as one HTML page that needs nothing but itself: no network, no script, no font; its policy (a meta tag) allows its own
 * style, by hash, and nothing else. Plots are inline SVG, each with its table beside it; light or dark as the reader prefers; from a
 * phone's width up. What comes from the scenario is escaped.
 * Rules: the results have a census. Errors stay in the stream. Single-threaded. */
#ifndef PERIGEE_SIM_PAGE_H
#define PERIGEE_SIM_PAGE_H

#include "sim/results.h"

void page_write(FILE *out, const struct results *r);

#endif
