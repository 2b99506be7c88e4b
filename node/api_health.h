/* api_health: can this node do its part? Looked at anew each time; nothing is written for it, nothing waits. Loop thread. */
#ifndef PERIGEE_NODE_API_HEALTH_H
#define PERIGEE_NODE_API_HEALTH_H

#include <stdbool.h>

struct daemon;

enum { HEALTH_PART_COUNT = 6, HEALTH_DETAIL_BYTES = 300 };
struct health_part {
    const char *name;
    bool good;
    char detail[HEALTH_DETAIL_BYTES]; /* what is expected, and what is there */
};
struct health {
    struct health_part part[HEALTH_PART_COUNT];
};
void health_look(struct health *h, struct daemon *d);

#endif
