#include "node/pulse.h"

static void on_beat(uv_timer_t *timer)
{
    struct pulse *p = timer->data;
    const uint64_t now_ns = uv_hrtime();
    const uint64_t lag_ns = now_ns > p->due_ns ? now_ns - p->due_ns : 0;
    p->lag_ns[p->beats++ % PULSE_WINDOW] = lag_ns;
    p->lag_total_ns += lag_ns;
    p->due_ns = now_ns + (uint64_t)PULSE_MS * 1000000;
    (void)uv_timer_start(timer, on_beat, PULSE_MS, 0);
    p->beat(p->context);
}

void pulse_begin(struct pulse *p, uv_loop_t *loop, void (*beat)(void *context), void *context)
{
    *p = (struct pulse){.beat = beat, .context = context, .due_ns = uv_hrtime()};
    (void)uv_timer_init(loop, &p->timer);
    p->timer.data = p;
    (void)uv_timer_start(&p->timer, on_beat, 0, 0);
}

uint64_t pulse_lag_max_ns(const struct pulse *p)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < PULSE_WINDOW; i++)
        if (p->lag_ns[i] > most) most = p->lag_ns[i];
    return most;
}

void pulse_end(struct pulse *p)
{
    if (p->timer.data == NULL) return; /* never begun */
    uv_close((uv_handle_t *)&p->timer, NULL);
}
