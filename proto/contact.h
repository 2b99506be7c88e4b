/* contact: where a member may be dialled, as it says itself (PROTOCOL.md "Contacts"). The address is a peer's word, and whoever believes it
 * opens a connection there: so it has one narrow form, and one that would lead back into the machine that dials is known. A number and no
 * name: a name may lead anywhere, another place each time, and whoever answers for it may take as long as it likes. Pure. */
#ifndef PERIGEE_PROTO_CONTACT_H
#define PERIGEE_PROTO_CONTACT_H

#include "proto/base/caps.h"
#include "proto/base/span.h"

#define CONTACT_EXPECTED                                                                                     \
    "tcp://NUMBER:PORT with the IPv4 number of one machine, or its IPv6 number in brackets in lower case "   \
    "(no "                                                                                                   \
    "0.0.0.0, [::], [fe80::...] or multicast), and a port from 1 to 65535"

bool contact_valid(struct span address);
/* Of a valid one: does it lead to the dialling machine itself, or to its own wire alone? */
bool contact_local(struct span address);

#endif
