/* yaml_shape: what may be seen of a YAML file by its tokens alone, before a library builds anything of it, over which that takes a
 * time that grows with the square of what is there: one document, no aliases, anchors and tags, depth at most YAML_DEPTH_MAX.
 * Errors: ERR_SYNTAX, and one line for people with file and line. OK for what is no YAML, too: the library says that. Threads: any. */
#ifndef PERIGEE_NODE_YAML_SHAPE_H
#define PERIGEE_NODE_YAML_SHAPE_H

#include "proto/base/span.h"

enum { YAML_DEPTH_MAX = 16 };

MUST_USE enum err yaml_shape_check(struct span text, const char *path, char *fault, size_t cap);

#endif
