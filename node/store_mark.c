#include "node/store_mark.h"

#include "crypto/hash.h"
#include "node/file.h"
#include "proto/base/panic.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { MARK_VERSION = 1, MARK_CHECKED_BYTES = STORE_MARK_BYTES - 32 };
static const char magic[] = "PERIMARK";

/* --- Bytes -------------------------------------------------------------------------------------------------------- */

static struct hash32 check_of(const uint8_t bytes[MARK_CHECKED_BYTES])
{
    return HASH_FRAMED("perigee/store-mark/v1", span_make(bytes, MARK_CHECKED_BYTES));
}

static void encode(uint8_t out[STORE_MARK_BYTES], const struct store_mark *m)
{
    struct buffer b = buffer_make(out, STORE_MARK_BYTES);
    buffer_put_text(&b, magic);
    buffer_put_u64(&b, MARK_VERSION);
    buffer_put(&b, ID_SPAN(m->node));
    buffer_put(&b, ID_SPAN(m->incarnation));
    buffer_put_u64(&b, m->transaction);
    struct hash32 check = check_of(out);
    buffer_put(&b, ID_SPAN(check));
    ASSERT(!b.overflow && b.len == STORE_MARK_BYTES);
}

static enum err decode(struct store_mark *m, const uint8_t bytes[STORE_MARK_BYTES])
{
    struct cursor c = cursor_make(span_make(bytes, STORE_MARK_BYTES));
    uint8_t head[8];
    uint64_t version = 0;
    struct hash32 check = check_of(bytes), said;
    TRY(cursor_copy(&c, head, sizeof head));
    TRY(cursor_u64(&c, &version));
    TRY(cursor_copy(&c, m->node.bytes, 32));
    TRY(cursor_copy(&c, m->incarnation.bytes, 32));
    TRY(cursor_u64(&c, &m->transaction));
    TRY(cursor_copy(&c, said.bytes, 32));
    bool right = memcmp(head, magic, sizeof head) == 0 && version == MARK_VERSION && ID_EQUAL(check, said);
    return right ? OK : ERR_CORRUPT;
}

static struct hash32 restored_mark(void)
{
    struct hash32 ones;
    memset(ones.bytes, 0xff, sizeof ones.bytes);
    return ones;
}

void store_mark_new(uint8_t out[STORE_MARK_BYTES], struct node_id node, bool restored)
{
    struct store_mark m = {.node = node};
    if (restored) m.incarnation = restored_mark();
    encode(out, &m);
}

/* --- The file ----------------------------------------------------------------------------------------------------- */

void store_mark_open(struct store_mark *m, const char *path, struct node_id node)
{
    uint8_t bytes[STORE_MARK_BYTES + 1];
    *m = (struct store_mark){.file = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW)};
    if (m->file < 0 && errno == EROFS) m->file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (m->file < 0) return;
    bool whole = pread(m->file, bytes, sizeof bytes, 0) == STORE_MARK_BYTES;
    m->readable = whole && decode(m, bytes) == OK && ID_EQUAL(m->node, node);
}

static enum err write_mark(const struct store_mark *m)
{
    uint8_t bytes[STORE_MARK_BYTES];
    encode(bytes, m);
    return pwrite(m->file, bytes, sizeof bytes, 0) == sizeof bytes ? OK : file_error();
}

/* Nothing that a signature or a promise could depend on; sealed data may come before the node's first start. */
static bool is_new(const struct store_status *store)
{
    return store->entries[STORE_RECORD] == 0 && store->entries[STORE_CHAIN] == 0 &&
           store->entries[STORE_PROMISE] == 0 && store->entries[STORE_LOCAL] == 0;
}

enum silence store_mark_judge(const struct store_mark *m, const struct store_status *store)
{
    struct hash32 restored = restored_mark();
    if (!m->readable) return SILENCE_UNKNOWN;
    if (ID_EQUAL(m->incarnation, restored)) return SILENCE_RESTORED;
    if (ID_IS_ZERO(m->incarnation)) return is_new(store) ? SILENCE_NONE : SILENCE_LOST;
    if (!ID_EQUAL(m->incarnation, store->incarnation)) return SILENCE_LOST;
    return m->transaction <= store->transaction ? SILENCE_NONE : SILENCE_RESTORED;
}

enum silence store_mark_judge_none(const char *path, struct node_id node)
{
    const struct store_status none = {0};
    struct store_mark mark;
    store_mark_open(&mark, path, node);
    const enum silence silence = store_mark_judge(&mark, &none);
    store_mark_close(&mark);
    return silence;
}

static enum err write_synced(const struct store_mark *m)
{
    TRY(write_mark(m));
    return fdatasync(m->file) == 0 ? OK : file_error();
}

/* An older store that is written to would look like the newer one some day: so the mark says for good what it has seen. */
enum err store_mark_settle(struct store_mark *m, enum silence *out, const struct store_status *store)
{
    *out = store_mark_judge(m, store);
    m->follows = *out == SILENCE_NONE;
    if (!m->readable) return OK;
    m->incarnation = m->follows ? store->incarnation : restored_mark();
    m->transaction = m->follows ? store->transaction : 0;
    return write_synced(m);
}

/* A mark that cannot be written stays behind, and notices less. */
void store_mark_follow(void *mark, uint64_t transaction)
{
    struct store_mark *m = mark;
    if (!m->follows || transaction <= m->transaction) return;
    m->transaction = transaction;
    enum err err = write_mark(m);
    (void)err;
}

void store_mark_close(struct store_mark *m)
{
    if (m->file < 0) return;
    if (m->follows) (void)fdatasync(m->file);
    (void)close(m->file);
    m->file = -1;
}
