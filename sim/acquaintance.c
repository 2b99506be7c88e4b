/* Whom a node of a large world dials, in place of its core: twelve links a node, to others that are drawn, and among those that are no devices
 * (with seats or to compute alone, where the others are many) one each. Once a second, what is not there is dialled again. */
#include "sim/simulation_state.h"

enum {
    DIALS = 6,
    /* half of the links: a node is dialled as often as it dials, on average */ CIRCLE_MAX = 96
};
#define AGAIN_NS UINT64_C(1000000000)
#define VISIT_NS UINT64_C(4000000000)

/* Among them everybody knows everybody. */
static uint32_t circle_roles(const struct scenario *s)
{
    const uint32_t all = ROLE_ALL & ~(uint32_t)ROLE_DEVICE;
    return scenario_count(s, all) <= CIRCLE_MAX ? all : ROLE_CUSTODIAN | ROLE_STEWARD | ROLE_COMPUTE;
}

static void dial_circle(struct station *n)
{
    const struct simulation *s = n->simulation;
    for (uint32_t i = 0; i < n->number; i++)
        if (player_is(s->station[i].player, s->circle)) simulation_dial(n->simulation, n->number, i);
}

/* Who does not know itself for a member learns nothing from those that it does not know either: it asks one of the circle, another one time
 * after time, since none has a place for all. */
static uint32_t host_of(const struct station *n, uint64_t time)
{
    const struct simulation *s = n->simulation;
    struct chance c = chance_stream(s->cast->seed ^ time << 32, "host", n->number);
    for (;;) {
        const uint32_t i = (uint32_t)chance_below(&c, s->count);
        if (player_is(s->station[i].player, s->circle)) return i;
    }
}

static void visit(struct station *n)
{
    struct simulation *s = n->simulation;
    const uint64_t time = s->now_ns / VISIT_NS;
    const bool member = n->core != NULL && registry_member(core_registry(n->core), n->player->id) != NULL;
    if (time > 0) simulation_hang_up(s, n->number, host_of(n, time - 1));
    if (member)
        simulation_hang_up(s, n->number, host_of(n, time));
    else
        simulation_dial(s, n->number, host_of(n, time));
}

void acquaintance_turn(struct station *n)
{
    struct simulation *s = n->simulation;
    struct chance c = chance_stream(s->cast->seed, "acquaintance", n->number);
    simulation_later(s, s->now_ns + AGAIN_NS, n->number, WHAT_ACQUAINTANCE);
    for (uint32_t i = 0; i < DIALS; i++) simulation_dial(s, n->number, (uint32_t)chance_below(&c, s->count));
    if (player_is(n->player, s->circle))
        dial_circle(n);
    else
        visit(n);
}

void acquaintance_begin(struct simulation *s)
{
    if (s->count <= LINKS_ALL_MAX) return;
    s->circle = circle_roles(s->scenario);
    for (uint32_t i = 0; i < s->count; i++) simulation_later(s, i, i, WHAT_ACQUAINTANCE);
}
