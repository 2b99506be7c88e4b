/* A sealed dataset as one file for transport. ustar (POSIX.1-1988): 512-byte headers, octal fields, two zero blocks at the
 * end; any tar reads it. Owner, mode and time are fixed, so equal contents are equal bytes. */
#include "crypto/body.h"
#include "crypto/cid.h"
#include "node/blob_scope.h"
#include "node/fault.h"
#include "node/file.h"
#include "node/seal.h"
#include "proto/base/panic.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TAR_BLOCK_BYTES = 512, TAR_SUM_AT = 148, TAR_SUM_BYTES = 8, TAR_AHEAD_BYTES = 16 << 20 };

struct tar {
    struct store *store;
    FILE *file;
    uint8_t *blob; /* BLOB_BYTES_MAX */
    char *fault;
    size_t cap;
    uint64_t begun; /* bytes whose way to the disk has begun */
};

static void put_field(uint8_t *header, size_t at, const char *text)
{
    memcpy(header + at, text, strlen(text));
}

static void make_header(uint8_t header[TAR_BLOCK_BYTES], const char *name, size_t len)
{
    char size[12], sum_text[8];
    uint32_t sum = 0;
    ASSERT(strlen(name) < 100 && len <= BLOB_BYTES_MAX);
    memset(header, 0, TAR_BLOCK_BYTES);
    (void)snprintf(size, sizeof size, "%011o", (unsigned)len);
    put_field(header, 0, name);
    put_field(header, 100, "0000644");
    put_field(header, 108, "0000000");
    put_field(header, 116, "0000000");
    put_field(header, 124, size);
    put_field(header, 136, "00000000000");
    put_field(header, 156, "0");
    put_field(header, 257, "ustar");
    put_field(header, 263, "00");
    memset(header + TAR_SUM_AT, ' ', TAR_SUM_BYTES); /* the sum is taken over spaces in its place */
    for (size_t i = 0; i < TAR_BLOCK_BYTES; i++) sum += header[i];
    (void)snprintf(sum_text, sizeof sum_text, "%06o", sum);
    memcpy(header + TAR_SUM_AT, sum_text, 7);
}

static enum err put(struct tar *t, const void *bytes, size_t len)
{
    if (fwrite(bytes, 1, len, t->file) == len) return OK;
    enum err err = file_error();
    return fault_set(t->fault, t->cap, err, "tar: %s", strerror(errno));
}

static enum err put_entry(struct tar *t, const char *name, struct span bytes)
{
    uint8_t header[TAR_BLOCK_BYTES];
    static const uint8_t zero[TAR_BLOCK_BYTES];
    make_header(header, name, bytes.len);
    TRY(put(t, header, sizeof header));
    TRY(put(t, bytes.data, bytes.len));
    return put(t, zero, (TAR_BLOCK_BYTES - bytes.len % TAR_BLOCK_BYTES) % TAR_BLOCK_BYTES);
}

static enum err read_blob(struct span *out, struct tar *t, const struct cid *cid, uint8_t *memory)
{
    char text[CID_TEXT_CHARS + 1];
    struct buffer blob = buffer_make(memory, BLOB_BYTES_MAX);
    enum err err = store_read(t->store, STORE_BLOB, SPAN_OF(cid->bytes), &blob);
    *out = buffer_span(&blob);
    if (err == OK) return OK;
    cid_text(text, cid);
    return fault_set(t->fault, t->cap, err, "%s: %s", text, err_text(err));
}

/* The disk works while chunks are read: the one sync at the end then finds little to do. An error shows there. */
static void begin_writing(struct tar *t)
{
    const long at = ftell(t->file);
    if (at < 0 || (uint64_t)at - t->begun < TAR_AHEAD_BYTES) return;
    (void)sync_file_range(fileno(t->file), (off_t)t->begun, (off_t)((uint64_t)at - t->begun),
                          SYNC_FILE_RANGE_WRITE);
    t->begun = (uint64_t)at;
}

static enum err put_chunks(struct tar *t, struct span leaves, uint32_t chunk_count)
{
    if (leaves.len != (size_t)chunk_count * 32)
        return fault_set(t->fault, t->cap, ERR_CORRUPT, "the leaf list does not fit the manifest");
    for (uint32_t i = 0; i < chunk_count; i++) {
        struct hash32 leaf;
        char name[8 + CID_TEXT_CHARS] = "chunks/";
        struct span chunk;
        memcpy(leaf.bytes, leaves.data + (size_t)i * 32, sizeof leaf.bytes);
        const struct cid cid = cid_make(CID_BLAKE3, leaf);
        cid_text(name + 7, &cid);
        TRY(read_blob(&chunk, t, &cid, t->blob));
        TRY(put_entry(t, name, chunk));
        begin_writing(t);
    }
    return OK;
}

static enum err put_all(struct tar *t, struct hash32 manifest, uint8_t *list)
{
    static const uint8_t zero[2 * TAR_BLOCK_BYTES];
    struct span bytes, leaves;
    struct hash32 leaves_hash;
    uint32_t chunk_count = 0;
    const struct cid cid = cid_make(CID_SHA256, manifest);
    TRY(read_blob(&bytes, t, &cid, t->blob));
    TRY(blob_scope_leaves(&leaves_hash, &chunk_count, bytes));
    TRY(put_entry(t, "manifest.json", bytes));
    const struct cid leaves_cid = cid_make(CID_SHA256, leaves_hash);
    TRY(read_blob(&leaves, t, &leaves_cid, list));
    TRY(put_entry(t, "leaves.bin", leaves));
    TRY(put_chunks(t, leaves, chunk_count));
    return put(t, zero, sizeof zero);
}

static enum err write_draft(const char *draft, struct store *store, struct hash32 manifest, char *fault,
                            size_t cap)
{
    struct tar t = {store, fopen(draft, "wbe"), malloc(BLOB_BYTES_MAX), fault, cap, 0};
    uint8_t *list = malloc(BLOB_BYTES_MAX);
    enum err err = OK;
    if (t.file == NULL) err = fault_set(fault, cap, file_error(), "%s: %s", draft, strerror(errno));
    if (err == OK && (t.blob == NULL || list == NULL)) err = ERR_NO_MEMORY;
    if (err == OK) err = put_all(&t, manifest, list);
    if (err == OK && (fflush(t.file) != 0 || fsync(fileno(t.file)) != 0)) err = file_error();
    if (t.file != NULL && fclose(t.file) != 0 && err == OK) err = file_error();
    free(t.blob);
    free(list);
    return err;
}

/* An empty file of a name beside it, in the same folder. */
static enum err make_draft(char draft[PATH_MAX], const char *path, char *fault, size_t cap)
{
    if (snprintf(draft, PATH_MAX, "%s.XXXXXX", path) >= PATH_MAX)
        return fault_set(fault, cap, ERR_RANGE, "--tar: %s", file_why(ERR_RANGE));
    int fd = mkstemp(draft);
    if (fd < 0) {
        enum err err = file_error();
        return fault_set(fault, cap, err, "%s: %s", path, file_why(err));
    }
    (void)close(fd);
    return OK;
}

enum err seal_tar_check(const char *path, char *fault, size_t cap)
{
    char draft[PATH_MAX];
    struct stat status;
    if (lstat(path, &status) == 0)
        return fault_set(fault, cap, ERR_CONFLICT, "%s: %s", path, file_why(ERR_CONFLICT));
    TRY(make_draft(draft, path, fault, cap));
    (void)unlink(draft);
    return OK;
}

enum err seal_tar(struct store *store, struct hash32 manifest, const char *path, char *fault, size_t cap)
{
    char draft[PATH_MAX];
    if (cap > 0) fault[0] = 0;
    TRY(make_draft(draft, path, fault, cap));
    enum err err = write_draft(draft, store, manifest, fault, cap);
    if (err == OK && (chmod(draft, 0644) != 0 || link(draft, path) != 0)) {
        err = file_error();
        err = fault_set(fault, cap, err, "%s: %s", path, file_why(err));
    }
    (void)unlink(draft);
    if (err == OK) err = file_sync_folder(path);
    return err;
}
