/* store_rows: a store in memory, filled from bytes with whatever rows: for tests that read what a disk may say.
 * A row is space u8, key length u8, value length u16, key, value; a record or blob without a key has the one it hashes to.
 * What the store refuses, or what is cut short, is left out. */
#ifndef PERIGEE_TESTS_STORE_ROWS_H
#define PERIGEE_TESTS_STORE_ROWS_H

#include "storage/store.h"

struct store *store_rows_open(struct span rows);
void store_rows_put(struct buffer *out, enum store_space space, struct span key, struct span value);

#endif
