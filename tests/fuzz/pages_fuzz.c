/* A data file that something else has written into, or cut short: what `perigee doctor --store` and a node's start do with it. The
 * input is a row of patches to a store with a bit of everything: be16 page, be16 offset, u8 length, bytes; page 0xffff cuts the
 * file at so many bytes before its end. LMDB follows what it reads without a check, so whatever is let past the store's own must
 * be good: it is refused, and the file is as it was, or every row can be looked at, written and deleted; untouched, it opens
 * again. A fault in LMDB ends the process with code 1 (lmdb_damage.h), which is a finding. */
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "node/store_check.h"
#include "proto/base/panic.h"
#include "tests/storage_place.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum {
    IMAGE_MAX = 1 << 20,
    MAP_BYTES = 8 << 20,
    PAGE_BYTES = 4096,
    CUT = 0xffff,
    CHAIN_ROWS = 300,
    INPUT_MAX = 4096
};

static struct storage_place place;
static const uint8_t large[2 * PAGE_BYTES];
static uint8_t image[IMAGE_MAX], now[IMAGE_MAX], after[IMAGE_MAX];
static size_t image_len, now_len;

/* --- The file ---------------------------------------------------------------------------------------------------------------- */

static size_t read_file(uint8_t *out)
{
    const int file = open(place.data, O_RDONLY | O_CLOEXEC);
    ASSERT(file >= 0);
    const ssize_t len = read(file, out, IMAGE_MAX);
    ASSERT(len >= 0 && len < IMAGE_MAX && close(file) == 0);
    return (size_t)len;
}

static void write_file(void)
{
    char lock[128];
    (void)snprintf(lock, sizeof lock, "%s/lock.mdb", place.store);
    (void)unlink(lock);
    const int file = open(place.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ASSERT(file >= 0);
    const ssize_t len = write(file, now, now_len);
    ASSERT(len == (ssize_t)now_len && close(file) == 0);
}

/* --- A store with a bit of everything --------------------------------------------------------------------------------------- */

static void put_hashed(struct store *s, size_t len)
{
    static uint8_t value[3 * PAGE_BYTES];
    memset(value, (int)(len & 0xff), len);
    store_u16(value, 64);
    const struct hash32 id = sha256(span_make(value + 2, 64));
    const struct storage_blob blob = storage_blob_make(0x12, span_make(value, len));
    ASSERT(storage_put(s, STORE_RECORD, ID_SPAN(id), span_make(value, 2 + 64 + 64)) == OK);
    ASSERT(storage_put(s, STORE_BODY, ID_SPAN(id), span_make(value, len)) == OK);
    ASSERT(storage_put(s, STORE_BLOB, SPAN_OF(blob.key), blob.value) == OK);
    ASSERT(storage_put(s, STORE_PIN, SPAN_OF(blob.key), SPAN_NONE) == OK);
}

/* Enough for a tree of more than one page, pages of what was deleted, and values that take pages of their own. */
static void fill(struct store *s)
{
    struct store_write writes[STORE_BATCH_MAX];
    uint8_t key[STORE_BATCH_MAX][72] = {{0}};
    for (uint32_t i = 0; i < CHAIN_ROWS; i += STORE_BATCH_MAX) {
        for (uint32_t j = 0; j < STORE_BATCH_MAX; j++) {
            store_u32(key[j] + 36, i + j);
            writes[j] = (struct store_write){STORE_PUT, STORE_CHAIN, SPAN_OF(key[j]), SPAN_NONE};
        }
        ASSERT(store_write_now(s, writes, STORE_BATCH_MAX) == OK);
    }
    for (uint32_t i = 0; i < STORE_BATCH_MAX; i++) writes[i].op = STORE_DELETE;
    ASSERT(store_write_now(s, writes, STORE_BATCH_MAX) == OK);
    put_hashed(s, 200);
    put_hashed(s, 3 * PAGE_BYTES);
    ASSERT(storage_put(s, STORE_LOCAL, span_text("large"), span_make(large, sizeof large)) == OK);
    ASSERT(storage_put(s, STORE_LOCAL, span_text("large too"), span_make(large, sizeof large)) == OK);
    ASSERT(storage_put(s, STORE_PROMISE, span_text("promise"), span_text("value")) == OK);
    ASSERT(storage_put(s, STORE_LOCAL, span_text("local"), span_text("value")) == OK);
}

static void remove_place(void)
{
    storage_place_remove(&place);
}

static void make_image(void)
{
    ASSERT(crypto_init() == OK);
    storage_place_make_in(&place, "/dev/shm"); /* the syncs cost nothing there */
    (void)atexit(remove_place);
    struct store *s = storage_place_open(&place, MAP_BYTES);
    fill(s);
    store_close(s);
    image_len = read_file(image);
}

/* --- One file --------------------------------------------------------------------------------------------------------------- */

static void patch(struct cursor c)
{
    uint16_t page, offset;
    uint8_t len;
    struct span bytes;
    memcpy(now, image, image_len);
    now_len = image_len;
    while (cursor_u16(&c, &page) == OK && cursor_u16(&c, &offset) == OK && cursor_u8(&c, &len) == OK &&
           cursor_take(&c, &bytes, len) == OK) {
        const size_t at = (size_t)page % (image_len / PAGE_BYTES) * PAGE_BYTES + offset % PAGE_BYTES;
        if (page == CUT)
            now_len = image_len - (offset < image_len ? offset : image_len);
        else if (bytes.len > 0)
            memcpy(now + at, bytes.data, at + bytes.len < image_len ? bytes.len : image_len - at);
    }
}

static void look(void *context, enum store_defect defect, struct span key)
{
    (void)context, (void)key;
    ASSERT(defect < STORE_DEFECT_COUNT);
}

/* What is wrong with rows is theirs to say; what is said of the store must be so. */
static void use(struct store *s)
{
    static uint8_t value[2 * PAGE_BYTES];
    struct store_health health;
    struct store_status status;
    enum err err = store_status(s, &status);
    if (err == OK) err = store_check(&health, s, look, NULL);
    const struct store_write writes[] = {{STORE_PUT, STORE_LOCAL, span_text("a key"), SPAN_OF(value)},
                                         {STORE_PUT, STORE_LOCAL, span_text("large"), span_text("small")},
                                         {STORE_DELETE, STORE_LOCAL, span_text("large too"), SPAN_NONE},
                                         {STORE_DELETE, STORE_LOCAL, span_text("local"), SPAN_NONE}};
    if (err == OK) err = store_write_now(s, writes, 4);
    if (err != OK) return; /* said, and no worse */
    ASSERT(storage_expect(s, STORE_LOCAL, span_text("a key"), SPAN_OF(value)) == OK);
    ASSERT(store_has(s, STORE_LOCAL, span_text("local")) == ERR_NOT_FOUND);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct lmdb_options options = {.path = place.store, .map_bytes = MAP_BYTES, .every_value = len % 2 == 0};
    struct store *s = NULL;
    if (len > INPUT_MAX) return 0;
    if (image_len == 0) make_image();
    patch(cursor_make(span_make(bytes, len)));
    write_file();
    const enum err err = lmdb_store_open(&s, &options);
    ASSERT((err == OK) == (s != NULL));
    if (s != NULL) use(s);
    if (s != NULL) store_close(s);
    if (err == OK && len == 0) ASSERT(lmdb_store_open(&s, &options) == OK);
    if (err == OK && len == 0) store_close(s);
    if (err != OK) ASSERT(read_file(after) == now_len && memcmp(after, now, now_len) == 0);
    return 0;
}
