/* regions: places where simulated nodes live, and the measured round-trip times between them.
 * A table of facts that ships with the program; scenarios name its rows and may override any pair.
 *
 * Between regions: the median (P50) round trips of the 30 days that end on July 30, 2026, of "Azure network round-trip
 * latency statistics" (learn.microsoft.com/azure/networking/azure-network-latency, page of that date, its CSV). The page
 * gives both directions, which differ by 7 ms at most; what is returned is their mean, so that it is symmetric.
 * Within a region that page gives nothing: the one value used is the median, over the 30 pairs of zones in ten cities, of
 * IBM Cloud's "Inter-AZ latency" from February 3 to March 3, 2024 (github.com/ibm-cloud-docs/vpc,
 * _include-segments/network-latency.md); they lie between 0.63 and 2.83 ms.
 *
 * These are times between data centres on one provider's backbone. What lies between a hospital and the backbone is the
 * access link's (net.h). Pure, no state, any thread. */
#ifndef PERIGEE_SIM_REGIONS_H
#define PERIGEE_SIM_REGIONS_H

#include "proto/base/span.h"

enum { REGIONS_COUNT = 18 };

struct region {
    const char *name;         /* as scenarios write it */
    const char *country;      /* ISO 3166: "GB" */
    const char *jurisdiction; /* as charters write it: "EU" for every member state, "UK", else the country */
    const char *measured_as;  /* its row in the source */
};

const struct region *regions_at(uint32_t index);                   /* index < REGIONS_COUNT */
MUST_USE enum err regions_find(uint32_t *index, struct span name); /* ERR_NOT_FOUND */
uint32_t regions_rtt_us(uint32_t a, uint32_t b);                   /* a == b: within the region */

#endif
