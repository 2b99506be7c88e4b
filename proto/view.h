/* view: whom a node dials by what members say of themselves, when they are too many to be linked with all (PROTOCOL.md "Contacts",
 * "Views"): its parties always, and of the others a few, drawn, from several jurisdictions and organisations, of which two stay.
 * Knows contacts; who is a member, whose link is up and who is a party its holder (the core) says.
 * Memory: view_bytes, taken at the start; a full table forgets one that is of no use now. Pure: time is what it is told, choices follow
 * from the salt. Sources: HyParView (Leitao 2007) for partial views; Heilman et al. 2015 for anchors and dialling oneself. */
#ifndef PERIGEE_PROTO_VIEW_H
#define PERIGEE_PROTO_VIEW_H

#include "proto/base/arena.h"
#include "proto/base/caps.h"
#include "proto/base/ids.h"

enum {
    VIEW_DIALLED = 8,     /* beside parties */
    VIEW_LINKS = 12,      /* while fewer members are linked, up to so many are dialled */
    VIEW_LINKS_MOST = 16, /* while more are, only VIEW_DIALLED stay */
    VIEW_ANCHORS = 2,
    VIEW_JURISDICTIONS = 3,   /* at least, where there are so many */
    VIEW_OF_ORGANISATION = 2, /* at most, while there is another */
    VIEW_TRY_MS = 20000,      /* without a link, before another is dialled in its place */
    VIEW_LOST_MS = 5000,      /* the same of one that had a link, but for anchors */
    VIEW_NEWER_MS = 60000,    /* a contact is taken for a later one when it is so much later */
    VIEW_AGAIN_MS = 60000,    /* then it is left alone so long, twice as long each time */
    VIEW_AGAIN_MOST_MS = 3600000,
    VIEW_STEADY_MS = 300000, /* a link that stood so long makes good for all that */
    VIEW_TURN_MS = 300000,   /* and up to half of it less or more: the oldest gives way to another */
    VIEW_KEPT_MAX = 32,      /* contacts kept over a restart */
    VIEW_PACKED_MAX = CAP_HEADER_BYTES + 64 + CONTACT_ADDRESS_MAX + 32, /* a contact, as record_pack has it */
};

struct view;
struct view_contact {
    struct node_id node;
    struct span address, packed; /* at most CONTACT_ADDRESS_MAX, VIEW_PACKED_MAX */
    uint64_t time_ms, expires_ms;
};
/* Whose contact a full table keeps: those before who is needed less, and instead of others. */
enum view_need { VIEW_ANYBODY, VIEW_COMPUTES, VIEW_NEEDED };
struct view_member {
    bool party;
    enum view_need need;
    struct span jurisdiction, organisation;
};
struct view_holder {
    bool (*member)(void *context, struct node_id node, struct view_member *out); /* false: it is none */
    bool (*linked)(void *context, struct node_id node);
    /* Said again for a party that has no link, each VIEW_TRY_MS. */
    void (*dial)(void *context, struct node_id node, struct span address);
    void (*hang_up)(void *context, struct node_id node); /* of those that it was told to dial */
    void *context;
};

size_t view_bytes(uint32_t contacts);
MUST_USE enum err view_new(struct view **out, struct arena *arena, uint32_t contacts, uint64_t salt,
                           const struct view_holder *holder);

/* Is it later than what is known of this node? Asked before a signature is checked. */
bool view_newer(const struct view *v, struct node_id node, uint64_t time_ms);
/* Its signature holds. True: more are known now. */
bool view_learn(struct view *v, const struct view_contact *contact);
/* One that was kept over a restart: dialled before others, until it was in vain too often. */
void view_restore(struct view *v, const struct view_contact *contact);
/* This node is no member any more: nobody is dialled. */
void view_end(struct view *v);
/* About once a second. `linked`: members whose links are up. */
void view_tick(struct view *v, int64_t now_ns, uint64_t wall_ms, uint32_t linked);

/* Its contact in packed form, valid until the view changes; none: it is not known. */
struct span view_packed(const struct view *v, struct node_id node);
/* Up to `count` contacts, drawn, not this node's; their packed form, valid until the view changes. */
uint32_t view_draw(struct view *v, struct node_id but, struct span *out, uint32_t count);
/* Those to keep over a restart, anchors first; at most VIEW_KEPT_MAX. */
uint32_t view_kept(const struct view *v, struct span *out);
struct view_counts {
    uint32_t known, dialled, parties; /* of those dialled */
};
struct view_counts view_count(const struct view *v);
/* Each as likely: below `below`, which is not 0. */
uint64_t view_chance(struct view *v, uint64_t below);
void view_check(const struct view *v); /* every invariant; with the square of the contacts known */

#endif
