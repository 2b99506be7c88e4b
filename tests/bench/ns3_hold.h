/* ns3_hold: the hold model over the schedulers of ns-3, the network simulator, for a bench to have beside its own queue. Built only where
 * ns-3 is (Debian's libns3-dev), in the language that it speaks.
 * Rules: what is measured is the scheduler alone, as ns-3 has it: no event is made or called, and nothing of its Simulator runs.
 * Ownership: ns3_hold_free. Threads: one. */
#ifndef PERIGEE_TESTS_BENCH_NS3_HOLD_H
#define PERIGEE_TESTS_BENCH_NS3_HOLD_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Its list scheduler is left out: an insertion looks through half of what is pending. */
enum { NS3_SCHEDULERS = 4 };
const char *ns3_hold_name(uint32_t scheduler); /* "ns3_calendar" */

struct ns3_hold;
struct ns3_hold *ns3_hold_new(uint32_t scheduler); /* NULL: no memory */
void ns3_hold_free(struct ns3_hold *h);
void ns3_hold_add(struct ns3_hold *h, uint64_t at_ns);
/* Take the next and put it back a gap later, so often; gaps are used in turn, from *turn on. Times go into *sum as
 * agenda_bench.c's sum_add has it. */
void ns3_hold_run(struct ns3_hold *h, uint32_t events, const uint64_t *gap_ns, uint64_t gaps, uint64_t *turn,
                  uint64_t *sum);

#ifdef __cplusplus
}
#endif

#endif
