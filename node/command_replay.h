/* command_replay: `perigee sim --replay FILE`: what a node recorded, once more, in a process of its own. Returns an exit code. */
#ifndef PERIGEE_NODE_COMMAND_REPLAY_H
#define PERIGEE_NODE_COMMAND_REPLAY_H

#include "node/client.h"

int command_replay(const struct client *c, const char *path);

#endif
