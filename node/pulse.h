/* pulse: a beat a second on the node's loop. It measures how late the loop is (somebody keeps it from its turn), and is
 * what a service manager is told by: a loop that hangs has no pulse. Loop thread only. */
#ifndef PERIGEE_NODE_PULSE_H
#define PERIGEE_NODE_PULSE_H

#include <stdint.h>
#include <uv.h>

enum { PULSE_MS = 1000, PULSE_WINDOW = 60 };

struct pulse {
    uv_timer_t timer;
    uint64_t due_ns;
    uint64_t lag_ns[PULSE_WINDOW]; /* of the last beats, the newest at (beats - 1) % PULSE_WINDOW */
    uint64_t beats, lag_total_ns;
    void (*beat)(void *context);
    void *context;
};

/* `beat` runs at each. `p` stays until the loop has closed its timer. */
void pulse_begin(struct pulse *p, uv_loop_t *loop, void (*beat)(void *context), void *context);
uint64_t pulse_lag_max_ns(const struct pulse *p); /* of the last minute */
void pulse_end(struct pulse *p);

#endif
