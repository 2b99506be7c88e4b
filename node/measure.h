/* measure: what a worker is, as the `process` driver states it: the sha2-256 of its executable (DESIGN §10).
 * The executable holds the whole worker but for shared libraries, which the measurement does not cover; real drivers measure
 * a whole image. Threads: any. Errors: ERR_NOT_FOUND, ERR_IO. */
#ifndef PERIGEE_NODE_MEASURE_H
#define PERIGEE_NODE_MEASURE_H

#include "proto/base/ids.h"

MUST_USE enum err measure_file(struct hash32 *out, const char *path);
MUST_USE enum err
measure_self(struct hash32 *out); /* the running executable, even when its file was replaced since */

#endif
