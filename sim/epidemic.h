/* epidemic: how records travel through a large mesh, and what that costs: one production gossip object (proto/gossip.h) for each of up to
 * a hundred thousand nodes on the simulated network, with nothing else of a node: whatever arrives is kept at once.
 * The mesh is the union of random cycles through all nodes, so every node has as many links as it says, both ways. Nodes lie in the regions
 * of sim/regions.h in equal parts, each behind an access link of 4 to 20 ms; links are ordered streams, on which a loss is a delay.
 * Nodes that withhold announce whatever they hear of at once, to all, and send nothing: the worst that a promise can do.
 * Everything follows from the options. Single-threaded. */
#ifndef PERIGEE_SIM_EPIDEMIC_H
#define PERIGEE_SIM_EPIDEMIC_H

#include "proto/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EPIDEMIC_NODES_MAX = 1 << 20, EPIDEMIC_DEGREE_MAX = 32, EPIDEMIC_RECORDS_MAX = 64 };

struct epidemic_options {
    uint64_t seed;
    uint32_t nodes;
    uint32_t degree;  /* even */
    uint32_t records; /* by honest nodes, one each half second */
    uint32_t record_bytes;
    uint32_t loss_ppm;     /* of packets, on each path */
    uint32_t withhold_ppm; /* of nodes */
    bool flood;            /* instead: whoever gets a record first sends it to all others, as a baseline */
};

struct epidemic_result {
    uint64_t honest, delivered,
        missed;          /* nodes; deliveries to honest ones, and how many more there should be */
    uint64_t copies;     /* records that arrived whole at honest nodes, first ones and others */
    uint64_t ids, wants; /* announced to them; asked by them */
    uint64_t p50_ns, p99_ns, most_ns; /* from publication to delivery */
    uint64_t events;
    size_t gossip_bytes; /* of one node */
};

/* ERR_RANGE; ERR_NO_MEMORY. */
MUST_USE enum err epidemic_run(struct epidemic_result *out, const struct epidemic_options *options);

#endif
