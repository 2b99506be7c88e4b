/* chance: the randomness of a simulated world, all of it from one 64-bit seed.
 * Rules:
 *  - Every component draws from a stream of its own, named by what it is and which one: chance_stream(seed, "link", 17). Who draws
 *    how often changes nobody else's numbers, so a world with one part more is otherwise the same world, and a shrunk
 *    scenario keeps the failure it was shrunk for.
 *  - Integers only: every compiler on every machine gives the same numbers. No floating point, here or in what uses it to decide.
 *  - Nothing secret may come from here.
 * The generator is xoshiro256** (Blackman, Vigna: Scrambled Linear Pseudorandom Number Generators, ACM TOMS 47:4, 2021). Its
 * 256 bits of state are a hash of seed, name and index, so that no two streams meet: a million of them that draw 2^40 numbers each
 * overlap with a chance below 2^-170.
 * Threads: a stream belongs to whoever holds it. Values outside the stated ranges are programming errors. */
#ifndef PERIGEE_SIM_CHANCE_H
#define PERIGEE_SIM_CHANCE_H

#include <stdbool.h>
#include <stdint.h>

#define CHANCE_MEAN_NS_MAX (UINT64_C(1) << 58) /* nine years */

struct chance {
    uint64_t state[4]; /* not all zero */
};

struct chance chance_stream(uint64_t seed, const char *component, uint64_t index);

uint64_t chance_next(struct chance *c);                  /* any 64 bits */
uint64_t chance_below(struct chance *c, uint64_t limit); /* 0..limit-1, each as likely; limit > 0 */
uint64_t chance_within(struct chance *c, uint64_t low, uint64_t high); /* low..high, both included */
bool chance_ppm(struct chance *c, uint32_t parts_per_million);         /* draws also for 0 and for 1000000 */
uint64_t chance_exponential(struct chance *c, uint64_t mean_ns);       /* rounded down; at most 45 means */

#endif
