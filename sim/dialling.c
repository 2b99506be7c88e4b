/* Whom a node of a large world dials: whom its core says, as the daemon does it (node/link.c), and whom its people told it of: founders each
 * other; everybody else but devices one of these for good, as its configuration names it; and who is no member yet, or knows few contacts, one
 * of those that admit and found: another one each second until one has a place for it. What is not there is dialled again once a second. */
#include "sim/simulation_state.h"

#include "proto/base/panic.h"

#include <stdlib.h>

enum { HOSTS_MAX = 96 };
#define AGAIN_NS UINT64_C(1000000000)
#define VISIT_NS UINT64_C(6000000000)

/* --- By its core ----------------------------------------------------------------------------------------------------------- */

static bool find(const struct station *n, uint32_t to, uint32_t *at)
{
    for (*at = 0; *at < n->dialled_count; ++*at)
        if (n->dialled[*at] == to) return true;
    return false;
}

void dialling_begin(struct station *n, uint32_t to)
{
    uint32_t at;
    if (!consortium_dials(n->consortium) || find(n, to, &at)) return;
    if (n->dialled_count == n->dialled_cap) {
        n->dialled_cap = n->dialled_cap == 0 ? 16 : 2 * n->dialled_cap;
        n->dialled = realloc(n->dialled, n->dialled_cap * sizeof *n->dialled);
        ASSERT(n->dialled != NULL);
    }
    n->dialled[n->dialled_count++] = to;
    consortium_dial(n->consortium, n->number, to);
}

static bool is_founder(const struct station *n)
{
    return player_is(n->player, ROLE_CUSTODIAN | ROLE_STEWARD);
}

/* The founder that its configuration names; itself: none. */
static uint32_t home_of(const struct station *n)
{
    const struct consortium *s = n->consortium;
    if (is_founder(n) || player_is(n->player, ROLE_DEVICE)) return n->number;
    struct chance c = chance_stream(s->cast->seed, "home", n->number);
    for (;;) {
        const uint32_t i = (uint32_t)chance_below(&c, s->count);
        if (is_founder(&s->station[i])) return i;
    }
}

/* Does one of them dial the other as long as both are there? Founders, too, do, and are linked again at once. */
static bool is_wanted(const struct station *n, uint32_t other)
{
    uint32_t at;
    const struct station *there = &n->consortium->station[other];
    return find(n, other, &at) || find(there, n->number, &at) || home_of(n) == other ||
           home_of(there) == n->number;
}

/* A link that the other one dials, too, stays. */
void dialling_end(struct station *n, uint32_t to)
{
    uint32_t at;
    if (!find(n, to, &at)) return;
    n->dialled[at] = n->dialled[--n->dialled_count];
    if (!is_wanted(n, to)) consortium_hang_up(n->consortium, n->number, to);
}

/* --- By its people ------------------------------------------------------------------------------------------------------------ */

static void dial_founders(struct station *n)
{
    const struct consortium *s = n->consortium;
    for (uint32_t i = 0; i < n->number; i++)
        if (is_founder(&s->station[i])) consortium_dial(n->consortium, n->number, i);
}

/* Who is dialled by who is no member: all but devices, or where these are many, those with seats and those that compute. */
static uint32_t host_roles(const struct scenario *s)
{
    const uint32_t all = ROLE_ALL & ~(uint32_t)ROLE_DEVICE;
    return scenario_count(s, all) <= HOSTS_MAX ? all : ROLE_CUSTODIAN | ROLE_STEWARD | ROLE_COMPUTE;
}

static bool is_member(const struct station *n)
{
    return n->core != NULL && registry_member(core_registry(n->core), n->player->id) != NULL;
}

/* Who asks to be admitted was given addresses of those that can; a device, by its maker, of any that stay. */
static uint32_t host_of(const struct station *n, uint64_t time)
{
    const struct consortium *s = n->consortium;
    const uint32_t roles =
        is_member(n) || player_is(n->player, ROLE_DEVICE) ? s->host_roles : ROLE_CUSTODIAN | ROLE_STEWARD;
    struct chance c = chance_stream(s->cast->seed ^ time << 32, "host", n->number);
    for (;;) {
        const uint32_t i = (uint32_t)chance_below(&c, s->count);
        if (i != n->number && player_is(s->station[i].player, roles)) return i;
    }
}

static bool is_acquainted(const struct station *n)
{
    return is_member(n) && core_contacts(n->core).known >= VIEW_LINKS;
}

static void leave(struct station *n, uint32_t host)
{
    if (!is_wanted(n, host)) consortium_hang_up(n->consortium, n->number, host);
}

/* One that is reached is stayed with for a while, and then, as it may be none that admits, or have let this guest go, another is visited. */
static void visit(struct station *n)
{
    struct consortium *s = n->consortium;
    const bool over = is_acquainted(n), there = n->host != 0 && consortium_linked(s, n->number, n->host - 1);
    if (!over && there && now_of(s) - n->host_ns < VISIT_NS) return;
    if (n->host != 0) leave(n, n->host - 1);
    n->host = over ? 0 : host_of(n, now_of(s) / AGAIN_NS) + 1;
    n->host_ns = now_of(s);
    if (!over) consortium_dial(s, n->number, n->host - 1);
}

void dialling_turn(struct station *n)
{
    struct consortium *s = n->consortium;
    consortium_later(s, now_of(s) + AGAIN_NS, n->number, WHAT_DIALLING);
    if (!n->up) return;
    for (uint32_t i = 0; i < n->dialled_count; i++) consortium_dial(s, n->number, n->dialled[i]);
    if (is_founder(n)) {
        dial_founders(n);
        return;
    }
    consortium_dial(s, n->number, home_of(n));
    visit(n);
}

void dialling_start(struct consortium *s)
{
    if (!consortium_dials(s)) return;
    s->host_roles = host_roles(s->scenario);
    for (uint32_t i = 0; i < s->count; i++) consortium_later(s, s->begin_ns + i, i, WHAT_DIALLING);
}
