/* closest: which known word somebody may have meant. Pure. */
#ifndef PERIGEE_NODE_CLOSEST_H
#define PERIGEE_NODE_CLOSEST_H

#include <stdint.h>

/* The fewest single-character insertions, removals, replacements and swaps of neighbours that make `b` out of `a`; words
 * longer than 31 characters are infinitely far (UINT32_MAX). */
uint32_t closest_distance(const char *a, const char *b);

/* Offer candidates one by one, then ask. Nothing further than a third of the word's length, at least 2, is suggested. */
struct closest {
    const char *word;
    const char *best; /* NULL: nothing is near */
    uint32_t distance;
};
struct closest closest_to(const char *word);
void closest_offer(struct closest *c, const char *candidate);

#endif
