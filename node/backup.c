#include "node/backup.h"

#include "crypto/hash.h"
#include "node/fault.h"
#include "node/file.h"
#include "node/home.h"
#include "node/store_check.h"
#include "node/store_mark.h"
#include "proto/base/panic.h"
#include "storage/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BACKUP_VERSION = 1,
    NAME_MAX_BYTES = 80,
    COPY_BYTES = 1 << 16,
    SMALL_BYTES_MAX = 1 << 20,
    HASH_BYTES = 32
};
static const char magic[] = "PERIBKUP";
static const char store_name[] = "store/data.mdb";
/* The first NAMES_NEEDED are those without which a data directory is none. */
static const char *const names[] = {"version",   "identity.key", "kem.key",      "link.key", "dkg.key",
                                    "card.json", "charter.json", "perigee.yaml", "replaces"};
enum { NAME_COUNT = sizeof names / sizeof names[0], NAMES_NEEDED = 6 };

/* Everything goes to this file, or comes from it. */
struct archive {
    int file;
    const char *path; /* for words */
    struct backup_told *told;
    char *fault;
    size_t cap;
};

static enum err fail(const struct archive *a, enum err err, const char *path)
{
    return fault_set(a->fault, a->cap, err, "%s: %s", path, file_why(err));
}

static enum err write_all(int file, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    while (len > 0) {
        ssize_t n = write(file, at, len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return n < 0 ? file_error() : ERR_IO;
        at += n;
        len -= (size_t)n;
    }
    return OK;
}

static enum err read_all(int file, void *bytes, size_t len)
{
    uint8_t *at = bytes;
    while (len > 0) {
        ssize_t n = read(file, at, len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return n < 0 ? file_error() : ERR_TRUNCATED;
        at += n;
        len -= (size_t)n;
    }
    return OK;
}

/* So many bytes from one file to another, through `hash` where there is one. */
static enum err copy_bytes(int to, int from, uint64_t len, struct sha256_stream *hash)
{
    uint8_t bytes[COPY_BYTES];
    while (len > 0) {
        const size_t n = len < sizeof bytes ? (size_t)len : sizeof bytes;
        TRY(read_all(from, bytes, n));
        if (hash != NULL) sha256_add(hash, span_make(bytes, n));
        if (to >= 0) TRY(write_all(to, bytes, n));
        len -= n;
    }
    return OK;
}

static bool key_name(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > 40 || name[0] == '.') return false;
    return strspn(name, "0123456789-.abcdefghijklmnopqrstuvwxyz") == len;
}

static bool known_name(const char *name)
{
    for (uint32_t i = 0; i < NAME_COUNT; i++)
        if (strcmp(name, names[i]) == 0) return true;
    if (strcmp(name, store_name) == 0) return true;
    return strncmp(name, "keygen/", 7) == 0 && key_name(name + 7);
}

/* --- Writing ------------------------------------------------------------------------------------------------------- */

static enum err put_name(const struct archive *a, const char *name, uint64_t len)
{
    uint8_t bytes[2 + NAME_MAX_BYTES + 8];
    struct buffer b = BUFFER_OF(bytes);
    ASSERT(strlen(name) < NAME_MAX_BYTES);
    buffer_put_u16(&b, (uint16_t)strlen(name));
    buffer_put_text(&b, name);
    buffer_put_u64(&b, len);
    a->told->entries++;
    return write_all(a->file, bytes, b.len);
}

/* Of those needed the first that is not there, or NULL. */
static const char *missing(const char *folder)
{
    char path[PATH_MAX];
    for (uint32_t i = 0; i < NAMES_NEEDED; i++)
        if (snprintf(path, sizeof path, "%s/%s", folder, names[i]) >= (int)sizeof path ||
            access(path, F_OK) != 0)
            return names[i];
    return NULL;
}

/* One that is not there is left out. */
static enum err put_file(const struct archive *a, const char *home, const char *name)
{
    char path[PATH_MAX], *bytes = NULL;
    size_t len = 0;
    if (snprintf(path, sizeof path, "%s/%s", home, name) >= (int)sizeof path) return ERR_RANGE;
    enum err err = file_read(&bytes, &len, path, SMALL_BYTES_MAX);
    if (err == ERR_NOT_FOUND) return OK;
    if (err != OK) return fail(a, err, path);
    if (strcmp(name, "identity.key") == 0) a->told->encrypted = len > 10 && bytes[10] != 0;
    err = put_name(a, name, len);
    if (err == OK) err = write_all(a->file, bytes, len);
    explicit_bzero(bytes, len);
    free(bytes);
    return err == OK ? OK : fail(a, err, a->path);
}

static enum err put_keygen(const struct archive *a, const char *home)
{
    char path[PATH_MAX], name[NAME_MAX_BYTES];
    if (snprintf(path, sizeof path, "%s/keygen", home) >= (int)sizeof path) return ERR_RANGE;
    DIR *folder = opendir(path);
    if (folder == NULL) return errno == ENOENT ? OK : fail(a, file_error(), path);
    enum err err = OK;
    for (struct dirent *at; err == OK && (at = readdir(folder)) != NULL;) {
        if (!key_name(at->d_name)) continue; /* a temporary one, or none of ours */
        (void)snprintf(name, sizeof name, "keygen/%.60s", at->d_name);
        err = put_file(a, home, name);
    }
    (void)closedir(folder);
    return err;
}

/* Its length is known when it has been written. */
static enum err put_store(const struct archive *a, struct store *store)
{
    uint8_t len[8];
    TRY(put_name(a, store_name, 0));
    const off_t begin = lseek(a->file, 0, SEEK_CUR);
    enum err err = begin < 0 ? ERR_IO : lmdb_store_copy(store, a->file);
    const off_t end = lseek(a->file, 0, SEEK_END);
    if (err == OK && end < begin) err = ERR_IO;
    if (err != OK) return fail(a, err, a->path);
    store_u64(len, (uint64_t)(end - begin));
    return pwrite(a->file, len, sizeof len, begin - 8) == sizeof len ? OK : fail(a, file_error(), a->path);
}

/* The end, the hash of all before it, and all of it on disk. */
static enum err put_end(const struct archive *a)
{
    static const uint8_t none[2] = {0, 0};
    struct sha256_stream hash;
    TRY(write_all(a->file, none, sizeof none));
    const off_t end = lseek(a->file, 0, SEEK_CUR);
    if (end < 0 || lseek(a->file, 0, SEEK_SET) != 0) return ERR_IO;
    sha256_begin(&hash);
    TRY(copy_bytes(-1, a->file, (uint64_t)end, &hash));
    const struct hash32 whole = sha256_end(&hash);
    TRY(write_all(a->file, whole.bytes, sizeof whole.bytes));
    a->told->bytes = (uint64_t)end + HASH_BYTES;
    return fsync(a->file) == 0 ? OK : file_error();
}

static enum err put_all(const struct archive *a, const char *home, struct store *store)
{
    uint8_t head[10];
    memcpy(head, magic, 8);
    store_u16(head + 8, BACKUP_VERSION);
    TRY(write_all(a->file, head, sizeof head));
    for (uint32_t i = 0; i < NAME_COUNT; i++) TRY(put_file(a, home, names[i]));
    TRY(put_keygen(a, home));
    if (store != NULL) TRY(put_store(a, store));
    return put_end(a);
}

/* A node that never ran has no store yet. Without the one that a key has signed with, a backup would only take the place of an
 * older one that has it. */
static enum err judge_no_store(const struct home *h, const char *path, char *fault, size_t cap)
{
    char mark[PATH_MAX];
    home_path(mark, h, "store.mark");
    if (store_mark_judge_none(mark, h->node) == SILENCE_NONE) return OK;
    return fault_set(fault, cap, ERR_NOT_FOUND, STORE_MARK_NO_STORE "; keep the backups that have it", path);
}

static enum err open_store(struct store **out, const struct home *h, uint64_t map_bytes, char *fault,
                           size_t cap)
{
    char path[PATH_MAX];
    home_path(path, h, "store");
    *out = NULL;
    const struct lmdb_options options = {
        .path = path, .map_bytes = map_bytes, .read_only = true, .every_value = true};
    enum err err = lmdb_store_open(out, &options);
    if (err == ERR_NOT_FOUND) return judge_no_store(h, path, fault, cap);
    return err == OK ? OK : fault_set(fault, cap, err, "%s: %s", path, lmdb_store_open_text(err));
}

enum { SEEN_MAX = 4096 };
struct seen {
    uint32_t count;
    uint64_t again;
    struct hash32 defect[SEEN_MAX];
};

static struct hash32 defect_hash(enum store_defect defect, struct span key)
{
    const uint8_t kind = (uint8_t)defect;
    return HASH_FRAMED("perigee/store-defect/v1", span_make(&kind, 1), key);
}

static void on_first_look(void *context, enum store_defect defect, struct span key)
{
    struct seen *s = context;
    if (s->count < SEEN_MAX) s->defect[s->count++] = defect_hash(defect, key);
}

static void on_second_look(void *context, enum store_defect defect, struct span key)
{
    struct seen *s = context;
    const struct hash32 hash = defect_hash(defect, key);
    for (uint32_t i = 0; i < s->count; i++)
        if (ID_EQUAL(s->defect[i], hash)) {
            s->again++;
            return;
        }
}

/* Beside a running node a row may be seen before its other half: that one is whole at the second look. More than are remembered
 * are no accident. */
static void look_at_rows(struct backup_told *told, struct store *store)
{
    struct store_health health;
    struct seen *seen = calloc(1, sizeof *seen);
    told->rows = seen == NULL ? ERR_NO_MEMORY : store_check(&health, store, on_first_look, seen);
    told->defects = told->rows == OK ? store_health_defects(&health) : 0;
    if (told->rows == OK && told->defects > 0 && told->defects <= SEEN_MAX) {
        told->rows = store_check(&health, store, on_second_look, seen);
        told->defects = seen->again;
    }
    free(seen);
}

/* Under a name of its own until it is whole: whoever is killed meanwhile leaves that. */
static enum err write_new(struct archive *a, const char *home, struct store *store)
{
    char draft[PATH_MAX];
    if (access(a->path, F_OK) == 0) return fail(a, ERR_CONFLICT, a->path);
    if (snprintf(draft, sizeof draft, "%s.XXXXXX", a->path) >= (int)sizeof draft) return ERR_RANGE;
    a->file = mkostemp(draft, O_CLOEXEC); /* mode 0600 */
    if (a->file < 0) return fail(a, file_error(), a->path);
    enum err err = put_all(a, home, store);
    if (close(a->file) != 0 && err == OK) err = file_error();
    if (err == OK) err = file_give_name(draft, a->path, false);
    if (err == OK) err = file_sync_folder(a->path);
    if (err == OK) return OK;
    (void)unlink(draft);
    return a->fault[0] != 0 ? err : fail(a, err, a->path);
}

enum err backup_write(struct backup_told *out, const char *path, const char *home, uint64_t map_bytes,
                      char *fault, size_t cap)
{
    struct home h;
    struct store *store;
    struct archive a = {-1, path, out, fault, cap};
    *out = (struct backup_told){0};
    fault[0] = 0;
    TRY(home_look(&h, home, fault, cap));
    out->node = h.node;
    enum err err = open_store(&store, &h, map_bytes, fault, cap);
    home_close(&h);
    const char *lacks = missing(home);
    if (err == OK && lacks != NULL)
        err = fault_set(fault, cap, ERR_NOT_FOUND,
                        "%s: expected a whole data directory, and %s is missing; keep the backups that have "
                        "it, and put it back",
                        home, lacks);
    if (err == OK) err = write_new(&a, home, store);
    if (err == OK && store != NULL) look_at_rows(out, store);
    store_close(store);
    return err;
}

/* --- Reading ------------------------------------------------------------------------------------------------------- */

static enum err refuse(const struct archive *a, enum err err, const char *what)
{
    return fault_set(a->fault, a->cap, err,
                     "%s: expected a file that `perigee backup` wrote, %s; nothing was changed", a->path,
                     what);
}

/* All of it has the hash at its end. *end: where that begins. */
static enum err check_whole(const struct archive *a, uint64_t *end)
{
    struct stat is;
    struct sha256_stream hash;
    uint8_t said[HASH_BYTES];
    if (fstat(a->file, &is) != 0) return fail(a, file_error(), a->path);
    if (is.st_size < 10 + 2 + HASH_BYTES) return refuse(a, ERR_TRUNCATED, "this one is too short");
    *end = (uint64_t)is.st_size - HASH_BYTES;
    sha256_begin(&hash);
    TRY(copy_bytes(-1, a->file, *end, &hash));
    TRY(read_all(a->file, said, sizeof said));
    const struct hash32 whole = sha256_end(&hash);
    if (memcmp(whole.bytes, said, sizeof said) != 0)
        return refuse(a, ERR_HASH, "the hash at its end is another: it was cut short or changed");
    a->told->bytes = (uint64_t)is.st_size;
    return lseek(a->file, 0, SEEK_SET) == 0 ? OK : ERR_IO;
}

static enum err check_head(const struct archive *a)
{
    uint8_t head[10];
    TRY(read_all(a->file, head, sizeof head));
    if (memcmp(head, magic, 8) != 0) return refuse(a, ERR_TYPE, "this is another kind of file");
    return load_u16(head + 8) == BACKUP_VERSION
               ? OK
               : refuse(a, ERR_VERSION, "of version 1; this is another version's");
}

static enum err take_file(const struct archive *a, const char *folder, const char *name, uint64_t len)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) return ERR_RANGE;
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0)
        return errno == EEXIST ? refuse(a, ERR_DUPLICATE, "a name stands in it twice")
                               : fail(a, file_error(), path);
    enum err err = copy_bytes(file, a->file, len, NULL);
    if (err == OK && fsync(file) != 0) err = file_error();
    if (close(file) != 0 && err == OK) err = file_error();
    return err == OK ? OK : fail(a, err, path);
}

/* The next entry's name; empty at the end. */
static enum err take_name(const struct archive *a, char name[NAME_MAX_BYTES], uint64_t *len, uint64_t left)
{
    uint8_t bytes[8];
    TRY(read_all(a->file, bytes, 2));
    const size_t name_len = load_u16(bytes);
    name[0] = 0;
    *len = 0;
    if (name_len == 0) return OK;
    if (name_len >= NAME_MAX_BYTES) return refuse(a, ERR_TOO_LARGE, "a name in it is too long");
    TRY(read_all(a->file, name, name_len));
    name[name_len] = 0;
    if (strlen(name) != name_len || !known_name(name))
        return refuse(a, ERR_REFUSED, "a name in it is no file of a node");
    TRY(read_all(a->file, bytes, sizeof bytes));
    *len = load_u64(bytes);
    return *len <= left ? OK : refuse(a, ERR_TRUNCATED, "an entry is longer than the file");
}

static enum err take_entries(const struct archive *a, const char *folder, uint64_t end)
{
    char name[NAME_MAX_BYTES];
    uint64_t len;
    for (;;) {
        TRY(take_name(a, name, &len, end));
        if (name[0] == 0) break;
        TRY(take_file(a, folder, name, len));
        a->told->entries++;
    }
    const off_t at = lseek(a->file, 0, SEEK_CUR);
    return at >= 0 && (uint64_t)at == end ? OK : refuse(a, ERR_TYPE, "something stands behind its end");
}

/* Whoever opens it from now on finds another store than the one that was backed up. */
static enum err renew_store(const struct archive *a, const char *folder)
{
    char path[PATH_MAX], data[PATH_MAX];
    struct stat is;
    struct store *store;
    if (snprintf(path, sizeof path, "%s/store", folder) >= (int)sizeof path) return ERR_RANGE;
    if (snprintf(data, sizeof data, "%s/data.mdb", path) >= (int)sizeof data) return ERR_RANGE;
    if (stat(data, &is) != 0) return rmdir(path) == 0 ? OK : fail(a, file_error(), path);
    const struct lmdb_options options = {.path = path, .renew = true, .every_value = true};
    enum err err = lmdb_store_open(&store, &options);
    if (err != OK) return fault_set(a->fault, a->cap, err, "%s: %s", path, lmdb_store_open_text(err));
    store_close(store);
    return OK;
}

static enum err mark_restored(const struct archive *a, const char *folder)
{
    char path[PATH_MAX];
    struct home h;
    uint8_t mark[STORE_MARK_BYTES];
    TRY(home_look(&h, folder, a->fault, a->cap));
    a->told->node = h.node;
    home_close(&h);
    store_mark_new(mark, a->told->node, true);
    if (snprintf(path, sizeof path, "%s/store.mark", folder) >= (int)sizeof path) return ERR_RANGE;
    enum err err = file_write(path, SPAN_OF(mark), 0600, false);
    return err == OK ? OK : fail(a, err, path);
}

static enum err check_complete(const struct archive *a, const char *folder)
{
    char what[160];
    const char *lacks = missing(folder);
    if (lacks == NULL) return OK;
    (void)snprintf(what, sizeof what, "of a whole data directory, and %s is not in it", lacks);
    return refuse(a, ERR_NOT_FOUND, what);
}

static enum err fill(const struct archive *a, const char *folder, uint64_t end)
{
    static const char *const inner[] = {"keygen", "store"};
    char path[PATH_MAX];
    for (uint32_t i = 0; i < 2; i++) {
        if (snprintf(path, sizeof path, "%s/%s", folder, inner[i]) >= (int)sizeof path) return ERR_RANGE;
        if (mkdir(path, 0700) != 0) return fail(a, file_error(), path);
    }
    TRY(check_head(a));
    TRY(take_entries(a, folder, end));
    TRY(check_complete(a, folder));
    TRY(mark_restored(a, folder));
    return renew_store(a, folder);
}

static void remove_inside(const char *folder)
{
    char path[PATH_MAX];
    DIR *listing = opendir(folder);
    if (listing == NULL) return;
    for (struct dirent *at; (at = readdir(listing)) != NULL;) {
        if (strcmp(at->d_name, ".") == 0 || strcmp(at->d_name, "..") == 0) continue;
        if (snprintf(path, sizeof path, "%s/%s", folder, at->d_name) < (int)sizeof path) (void)unlink(path);
    }
    (void)closedir(listing);
}

/* A folder that was made here under a name nobody else has. */
static void remove_draft(const char *folder)
{
    static const char *const inner[] = {"keygen", "store"};
    char path[PATH_MAX];
    for (uint32_t i = 0; i < 2; i++) {
        if (snprintf(path, sizeof path, "%s/%s", folder, inner[i]) >= (int)sizeof path) continue;
        remove_inside(path);
        (void)rmdir(path);
    }
    remove_inside(folder);
    (void)rmdir(folder);
}

static enum err restore_into(const struct archive *a, const char *home, uint64_t end)
{
    char draft[PATH_MAX];
    size_t len = strlen(home);
    while (len > 1 && home[len - 1] == '/') len--;
    if (snprintf(draft, sizeof draft, "%.*s.XXXXXX", (int)len, home) >= (int)sizeof draft) return ERR_RANGE;
    if (mkdtemp(draft) == NULL)
        return fault_set(a->fault, a->cap, file_error(), "%s: cannot be made: %s", home, strerror(errno));
    enum err err = fill(a, draft, end);
    if (err == OK && rename(draft, home) != 0)
        err = fault_set(a->fault, a->cap, ERR_CONFLICT,
                        "%s: expected no such folder, or an empty one: %s; nothing was changed", home,
                        strerror(errno));
    if (err != OK) remove_draft(draft);
    return err == OK ? file_sync_folder(home) : err;
}

enum err backup_restore(struct backup_told *out, const char *path, const char *home, char *fault, size_t cap)
{
    struct archive a = {-1, path, out, fault, cap};
    uint64_t end = 0;
    *out = (struct backup_told){0};
    fault[0] = 0;
    enum err err = file_open_regular(&a.file, path);
    if (err != OK) return fail(&a, err, path);
    err = check_whole(&a, &end);
    if (err == OK) err = restore_into(&a, home, end);
    (void)close(a.file);
    if (err != OK && fault[0] == 0) err = refuse(&a, err, err_text(err));
    return err;
}
