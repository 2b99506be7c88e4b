/* store.mark: any bytes; where the first is 1, with the check that belongs to them. What is read is what writing it gives again,
 * byte for byte; with one that does not read nothing may be signed, and the file stays as it is; another store's is spent. */
#include "crypto/hash.h"
#include "node/store_mark.h"
#include "proto/base/panic.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { INPUT_MAX = 4096, CHECKED = STORE_MARK_BYTES - 32, NODE_AT = 16 };

static void put(const char *path, struct span bytes)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ASSERT(file >= 0 && write(file, bytes.data, bytes.len) == (ssize_t)bytes.len && close(file) == 0);
}

static bool is_still(const char *path, struct span bytes)
{
    static uint8_t found[INPUT_MAX + 1];
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ASSERT(file >= 0);
    const ssize_t got = read(file, found, sizeof found);
    ASSERT(got >= 0 && close(file) == 0);
    return span_equal(span_make(found, (size_t)got), bytes);
}

/* Settled with what would be its own store: then it writes what was read. A mark of another says so from now on. */
static void settle(struct store_mark *m, const char *path, struct span bytes)
{
    enum silence silence = SILENCE_NONE;
    struct store_status store = {.incarnation = m->incarnation, .transaction = m->transaction};
    store.entries[STORE_RECORD] = 1;
    const enum silence judged = store_mark_judge(m, &store);
    ASSERT(store_mark_settle(m, &silence, &store) == OK && silence == judged);
    ASSERT(m->follows == (silence == SILENCE_NONE) && m->readable == (silence != SILENCE_UNKNOWN));
    if (m->follows || !m->readable)
        ASSERT(is_still(path, bytes));
    else
        ASSERT(store_mark_judge(m, &store) == SILENCE_RESTORED);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static char path[64];
    uint8_t given[INPUT_MAX];
    struct node_id node = {{0}};
    struct store_mark mark;
    if (len < 1 || len > INPUT_MAX) return 0;
    if (path[0] == 0) (void)snprintf(path, sizeof path, "/dev/shm/perigee-fuzz-mark.%d", (int)getpid());
    memcpy(given, bytes + 1, --len);
    if (bytes[0] == 1 && len == STORE_MARK_BYTES) {
        const struct hash32 check = HASH_FRAMED("perigee/store-mark/v1", span_make(given, CHECKED));
        memcpy(given + CHECKED, check.bytes, sizeof check.bytes);
    }
    if (len >= NODE_AT + sizeof node.bytes) memcpy(node.bytes, given + NODE_AT, sizeof node.bytes);
    put(path, span_make(given, len));
    store_mark_open(&mark, path, node);
    settle(&mark, path, span_make(given, len));
    store_mark_close(&mark);
    ASSERT(unlink(path) == 0);
    return 0;
}
