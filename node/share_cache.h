/* share_cache: the shares of consortium keys that were read from their files, in secret memory: an encrypted file takes
 * a tenth of a second to open, and every release needs two. Each file is written once and never changed.
 * Threads: any. Ownership: its own copies, wiped when it goes. */
#ifndef PERIGEE_NODE_SHARE_CACHE_H
#define PERIGEE_NODE_SHARE_CACHE_H

#include "proto/base/span.h"

enum { SHARE_CACHE_BYTES = 64 };

struct share_cache;
struct share_cache *share_cache_new(void); /* NULL: out of memory */
bool share_cache_get(struct share_cache *c, uint32_t epoch, uint32_t purpose, uint8_t out[SHARE_CACHE_BYTES]);
void share_cache_put(struct share_cache *c, uint32_t epoch, uint32_t purpose,
                     const uint8_t share[SHARE_CACHE_BYTES]);
void share_cache_free(struct share_cache *c); /* NULL is fine */

#endif
