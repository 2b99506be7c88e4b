#include "node/link_place.h"

#include "proto/base/caps.h"

enum { PLACE_PART = 4 }; /* of all places: a quarter */

static enum link_standing standing(const struct links *l, struct node_id node)
{
    const struct links_options *o = &l->options;
    return o->standing != NULL ? o->standing(o->context, node) : LINK_STRANGER;
}

bool link_place_member(const struct links *l, struct node_id node)
{
    return standing(l, node) >= LINK_MEMBER;
}

/* By our own configuration. */
static bool is_named(const struct link_wire *w)
{
    for (const struct link_dial *d = w->links->dials; d != NULL; d = d->next) {
        if (d->for_now) continue;
        if (d == w->dial || ID_EQUAL(links_dial_peer(d), w->peer)) return true;
    }
    return false;
}

static int rank(const struct link_wire *w)
{
    return 2 * (int)standing(w->links, w->peer) + is_named(w);
}

static uint32_t up_count(const struct links *l, enum link_standing of)
{
    uint32_t count = 0;
    for (const struct link_wire *w = l->wires; w != NULL; w = w->next)
        count += w->stage == LINK_UP && standing(l, w->peer) == of;
    return count;
}

static bool part_is_full(const struct links *l, enum link_standing of)
{
    return of < LINK_MEMBER && up_count(l, of) >= l->pace.places / PLACE_PART;
}

static bool all_are_taken(const struct links *l, enum link_standing by)
{
    const uint32_t kept = l->pace.kept;
    const uint32_t custodians = by == LINK_CUSTODIAN ? kept : up_count(l, LINK_CUSTODIAN);
    return l->status.up + (custodians < kept ? kept - custodians : 0) >= l->pace.places;
}

/* The last that came of the least, if it is below this wire, and not what carries it. */
static struct link_wire *least(const struct link_wire *than, bool alike)
{
    const struct links *l = than->links;
    const enum link_standing own = standing(l, than->peer);
    struct link_wire *found = NULL;
    for (struct link_wire *w = l->wires; w != NULL; w = w->next) { /* the newest stands first */
        if (w->stage != LINK_UP || link_place_member(l, w->peer)) continue;
        if (alike && standing(l, w->peer) != own) continue;
        if (than->relayed && ID_EQUAL(w->peer, than->via)) continue;
        if (rank(w) < rank(found != NULL ? found : than)) found = w;
    }
    return found;
}

/* Who of this standing has been here longest, if that is long enough to have learnt of others. */
static struct link_wire *longest(const struct link_wire *than)
{
    struct links *l = than->links;
    struct link_wire *found = NULL;
    for (struct link_wire *w = l->wires; w != NULL; w = w->next) {
        if (w->stage != LINK_UP || standing(l, w->peer) != standing(l, than->peer) || is_named(w)) continue;
        if (than->relayed && ID_EQUAL(w->peer, than->via)) continue;
        if (links_now(l) - w->up_ms < l->pace.stay_ms) continue;
        if (found == NULL || w->up_ms < found->up_ms) found = w;
    }
    return found;
}

const char *link_place_find(const struct link_wire *w, struct link_wire **gives_way)
{
    const struct links *l = w->links;
    const enum link_standing own = standing(l, w->peer);
    const bool part = part_is_full(l, own);
    *gives_way = NULL;
    if (!part && !all_are_taken(l, own)) return NULL;
    *gives_way = least(w, part);
    if (*gives_way == NULL && part) *gives_way = longest(w);
    if (*gives_way != NULL) return NULL;
    if (!part) return "as many links are up as there may be";
    return own == LINK_DEVICE ? "as many links with devices are up as there may be"
                              : "as many links with strangers are up as there may be";
}
