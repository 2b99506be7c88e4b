/* card: a member card, card/1: what others need to put this node into a charter or to admit it. Public.
 * Canonical JSON: {"approval","dkg","jurisdiction","kem","node","organisation","perigee":"card/1","roles"}. "approval" is
 * the key that signs approvals; it equals "node" unless it is kept elsewhere.
 * Ownership: spans and structures live in the arena. Errors: the JSON reader's, with path and what was expected. */
#ifndef PERIGEE_NODE_CARD_H
#define PERIGEE_NODE_CARD_H

#include "proto/charter.h"

enum { CARD_BYTES_MAX = 2048 };

MUST_USE enum err card_parse(struct charter_member *out, struct arena *arena, struct span bytes,
                             struct json_fault *fault);
MUST_USE enum err card_write(struct buffer *out, const struct charter_member *card);
/* Text from a command line: distinct role names, comma separated, at least one. ERR_KIND, ERR_DUPLICATE. */
MUST_USE enum err card_roles(uint32_t *roles, const char *list);

#endif
