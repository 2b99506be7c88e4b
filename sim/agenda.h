/* agenda: what is still to happen in a simulated world, in the order in which it happens.
 * Rules:
 *  - Order: by time, and at one time in the order in which it was added. Nothing else decides, so a run repeats.
 *  - Time is whole nanoseconds from 0 to UINT64_MAX - 1; UINT64_MAX is "never" and cannot be added. Nothing is added before the
 *    time of what agenda_next gave last: that is a programming error. At that very time is fine, and comes after what
 *    was there for it.
 *  - Every place is taken in agenda_new, in one sparse mapping that is touched as far as it is used; nothing is allocated afterwards.
 *    The limit belongs to the scenario, so a world that outgrows it does so at the same event on every machine.
 * How: a wheel of eight levels, a level for each byte of the time and a slot for each value of it. An entry lies in the level of the
 * highest byte in which its time differs from the present, hence all entries of one time lie in one slot, in the order in which
 * they came. When a slot's turn comes it is sorted into `ready` if it is small; if it is crowded its entries move to
 * the finer levels below. So the width of a bucket follows the density of the entries at each time, by the entries alone, and
 * an entry moves at most seven times however far ahead it was. What is added into the time that `ready` covers is put in its place
 * there, as long as that costs less than to move `ready` to the finer levels.
 * Cost: docs/SIMULATION.md "The queue".
 * Threads: one at a time. Ownership: the caller's until agenda_free; entries are values.
 * Errors: ERR_NO_MEMORY (agenda_new), ERR_FULL (agenda_add; nothing has changed then). */
#ifndef PERIGEE_SIM_AGENDA_H
#define PERIGEE_SIM_AGENDA_H

#include "proto/base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct agenda_entry {
    uint64_t at_ns;
    uint32_t who, what; /* the caller's */
};
struct agenda;

/* For at most `entries_max` entries at once. A little over 17 bytes of address space each, and 1.2 MB. */
MUST_USE enum err agenda_new(struct agenda **out, uint64_t entries_max);
void agenda_free(struct agenda *a); /* NULL is fine */

MUST_USE enum err agenda_add(struct agenda *a, struct agenda_entry entry);
bool agenda_next(struct agenda *a, struct agenda_entry *out); /* takes it out; false: nothing is left */
uint64_t agenda_peek(const struct agenda *a); /* the time of the next; UINT64_MAX: nothing is left */
uint64_t agenda_count(const struct agenda *a);

#endif
