#include "node/closest.h"

#include <string.h>

enum { CLOSEST_WORD_MAX = 31 };

static uint32_t min3(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Optimal string alignment, three rows at a time. */
uint32_t closest_distance(const char *a, const char *b)
{
    uint32_t row[3][CLOSEST_WORD_MAX + 1];
    const size_t a_len = strlen(a), b_len = strlen(b);
    if (a_len > CLOSEST_WORD_MAX || b_len > CLOSEST_WORD_MAX) return UINT32_MAX;
    for (uint32_t j = 0; j <= b_len; j++) row[0][j] = j;
    for (uint32_t i = 1; i <= a_len; i++) {
        uint32_t *now = row[i % 3];
        const uint32_t *before = row[(i + 2) % 3], *earlier = row[(i + 1) % 3];
        now[0] = i;
        for (uint32_t j = 1; j <= b_len; j++) {
            now[j] = min3(before[j] + 1, now[j - 1] + 1, before[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && earlier[j - 2] + 1 < now[j])
                now[j] = earlier[j - 2] + 1;
        }
    }
    return row[a_len % 3][b_len];
}

struct closest closest_to(const char *word)
{
    uint32_t reach = (uint32_t)(strlen(word) / 3);
    return (struct closest){word, NULL, (reach < 2 ? 2 : reach) + 1};
}

void closest_offer(struct closest *c, const char *candidate)
{
    uint32_t distance = closest_distance(c->word, candidate);
    if (distance >= c->distance) return;
    c->best = candidate;
    c->distance = distance;
}
