/* store_maker: what a maker of stores (lmdb_store.c, memory_store.c) supplies, and the checks both share.
 * Internal to storage/. store.c has checked every argument before a maker sees it (space in range, key of
 * 1..STORE_KEY_MAX bytes, value within BLOB_BYTES_MAX, checked spaces hashed); a maker checks only what it
 * reads back. `struct store` is the first member of the maker's own struct. */
#ifndef PERIGEE_STORAGE_STORE_MAKER_H
#define PERIGEE_STORAGE_STORE_MAKER_H

#include "storage/store.h"

struct store_maker {
    enum err (*submit)(struct store *s, const struct store_write *writes, uint32_t count, store_done done,
                       void *context);
    enum err (*submit_patient)(struct store *s, const struct store_write *writes, uint32_t count,
                               store_done done, void *context);
    enum err (*write_now)(struct store *s, const struct store_write *writes, uint32_t count);
    enum err (*read)(struct store *s, enum store_space space, struct span key, struct buffer *out);
    enum err (*has)(struct store *s, enum store_space space, struct span key);
    enum err (*scan)(struct store *s, enum store_space space, struct span prefix, bool with_values,
                     store_visit visit, void *context);
    enum err (*status)(struct store *s, struct store_status *out);
    void (*close)(struct store *s);
};

struct store {
    const struct store_maker *maker;
};

/* Does the key name the value? OK for spaces that are not checked, else OK or ERR_HASH. Pure, any thread. */
MUST_USE enum err store_value_check(enum store_space space, struct span key, struct span value);
/* Append to `out`; ERR_TOO_LARGE leaves `out` as it was. */
MUST_USE enum err store_copy_out(struct buffer *out, struct span value);

#endif
