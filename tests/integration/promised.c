/* promised: for race.sh, what a custodian is bound to, by its store, which its node may have open.
 *   promised HOME     a line "SLOT RUN" for each slot in which it has voted, of any recipe */
#include "node/kept.h"
#include "proto/base/span.h"
#include "proto/promise.h"
#include "storage/store.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

static enum err say(void *context, struct span key, struct span stored)
{
    struct span run;
    char hex[2 * PROMISE_VALUE_BYTES + 1];
    (void)context;
    if (key.len != PROMISE_KEY_BYTES) return ERR_CORRUPT;
    TRY(kept_promise(&run, key, stored));
    hex_encode(hex, run.data, PROMISE_VALUE_BYTES);
    (void)printf("%" PRIu64 " %s\n", load_u64(key.data + PROMISE_KEY_BYTES - 8), hex);
    return OK;
}

int main(int argc, char **argv)
{
    char path[PATH_MAX];
    const uint8_t slots[] = {PROMISE_SLOT};
    struct store *store;
    (void)snprintf(path, sizeof path, "%s/store", argc == 2 ? argv[1] : "");
    const struct lmdb_options options = {.path = path, .map_bytes = (uint64_t)64 << 30, .read_only = true};
    enum err err = lmdb_store_open(&store, &options);
    if (err == OK) {
        err = store_scan(store, STORE_PROMISE, SPAN_OF(slots), say, NULL);
        store_close(store);
    }
    if (err != OK) (void)fprintf(stderr, "promised: %s: %s\n", path, err_text(err));
    return err != OK;
}
