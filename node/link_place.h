/* link_place: whose link is up when more nodes want one than may have one. A key costs nothing, so whoever has many must not keep out
 * those that this node needs:
 *  - strangers have a quarter of the places, and devices another;
 *  - as many as a charter may have are kept for custodians, so that no number of others keeps them out;
 *  - where there is no place for a member or custodian, a stranger gives way, then a device; of two alike the one that came last.
 *    So does a stranger (or device) for another that our own configuration names: a node that knows no members yet still
 *    finds those it was told to dial. Members give way to nobody: who dials is up before the other side has said whether it
 *    wants the link, and would drop a member for nothing each time it tries.
 *  - where the part of strangers, or of devices, is full, the one of them that has been here longest gives way, if that is for ten seconds
 *    and our own configuration does not name it: whoever stays for ever would keep newcomers from ever hearing of another node.
 * Who is what is asked when a place is wanted: it may change while a link is up. Links through a relay count as others do. */
#ifndef PERIGEE_NODE_LINK_PLACE_H
#define PERIGEE_NODE_LINK_PLACE_H

#include "node/link_wire.h"

bool link_place_member(const struct links *l, struct node_id node); /* a custodian, too; no device */
/* For a wire whose peer has proven who it is and has no other link. NULL: it may be up when *gives_way (NULL: nobody need) is
 * dropped. Otherwise why not. */
const char *link_place_find(const struct link_wire *w, struct link_wire **gives_way);

#endif
