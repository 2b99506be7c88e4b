#include "crypto/keyfile.h"

#include "crypto/hash.h"
#include "crypto/secret.h"
#include "proto/base/panic.h"

#include <sodium.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEYFILE_VERSION = 1, KEYFILE_PLAIN = 0, KEYFILE_PASSPHRASE = 1 };
enum {
    KEYFILE_KIND_MAX = 32,
    KEYFILE_SALT_BYTES = crypto_pwhash_SALTBYTES,
    KEYFILE_NONCE_BYTES = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    KEYFILE_TAG_BYTES = crypto_aead_xchacha20poly1305_ietf_ABYTES,
    KEYFILE_CHECK_BYTES = 32,
    KEYFILE_HEAD_MAX =
        8 + 2 + 1 + 1 + KEYFILE_KIND_MAX + 4 + 4 + KEYFILE_SALT_BYTES + KEYFILE_NONCE_BYTES + 4,
    KEYFILE_BYTES_MAX = KEYFILE_HEAD_MAX + KEYFILE_SECRET_MAX + KEYFILE_CHECK_BYTES,
};
/* RFC 9106 §4, second recommended option, in one lane. What a file may ask for is bounded, or it could stop
 * us. */
enum {
    KEYFILE_PASSES = 3,
    KEYFILE_MEMORY_KIB = 65536,
    KEYFILE_PASSES_MAX = 16,
    KEYFILE_MEMORY_KIB_MAX = 1 << 20
};

static const char keyfile_magic[] = "PERIGKEY";

struct keyfile_view {
    uint8_t protection;
    uint32_t passes, memory_kib;
    struct span kind, salt, nonce, head, body; /* head: all before body */
};

static bool keyfile_kind_valid(struct span kind)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";
    if (kind.len == 0 || kind.len > KEYFILE_KIND_MAX) return false;
    for (size_t i = 0; i < kind.len; i++)
        if (kind.data[i] == 0 || strchr(allowed, kind.data[i]) == NULL) return false;
    return true;
}

static enum err keyfile_parse_head(struct keyfile_view *view, struct cursor *c)
{
    struct span magic;
    uint16_t version;
    uint8_t kind_len;
    TRY(cursor_take(c, &magic, sizeof keyfile_magic - 1));
    if (!span_equal_text(magic, keyfile_magic)) return ERR_CORRUPT;
    TRY(cursor_u16(c, &version));
    if (version != KEYFILE_VERSION) return ERR_VERSION;
    TRY(cursor_u8(c, &view->protection));
    if (view->protection > KEYFILE_PASSPHRASE) return ERR_VERSION;
    TRY(cursor_u8(c, &kind_len));
    TRY(cursor_take(c, &view->kind, kind_len));
    return keyfile_kind_valid(view->kind) ? OK : ERR_CORRUPT;
}

static enum err keyfile_parse_passphrase(struct keyfile_view *view, struct cursor *c)
{
    TRY(cursor_u32(c, &view->passes));
    TRY(cursor_u32(c, &view->memory_kib));
    if (view->passes < 1 || view->passes > KEYFILE_PASSES_MAX) return ERR_CORRUPT;
    if (view->memory_kib < 8 || view->memory_kib > KEYFILE_MEMORY_KIB_MAX) return ERR_CORRUPT;
    TRY(cursor_take(c, &view->salt, KEYFILE_SALT_BYTES));
    return cursor_take(c, &view->nonce, KEYFILE_NONCE_BYTES);
}

static enum err keyfile_parse_fields(struct keyfile_view *view, struct span image)
{
    struct cursor c = cursor_make(image);
    size_t overhead;
    uint32_t body_len;
    TRY(keyfile_parse_head(view, &c));
    overhead = view->protection == KEYFILE_PLAIN ? KEYFILE_CHECK_BYTES : KEYFILE_TAG_BYTES;
    if (view->protection == KEYFILE_PASSPHRASE) TRY(keyfile_parse_passphrase(view, &c));
    TRY(cursor_u32(&c, &body_len));
    if (body_len <= overhead || body_len > KEYFILE_SECRET_MAX + overhead) return ERR_CORRUPT;
    view->head = (struct span){image.data, image.len - cursor_left(&c)};
    TRY(cursor_take(&c, &view->body, body_len));
    return cursor_end(&c);
}

static enum err keyfile_parse(struct keyfile_view *view, struct span image)
{
    enum err err = keyfile_parse_fields(view, image);
    return err == ERR_TRUNCATED || err == ERR_NOT_CANONICAL ? ERR_CORRUPT : err;
}

static enum err keyfile_stretch(uint8_t key[32], struct span passphrase, const struct keyfile_view *view)
{
    int failed = crypto_pwhash(key, 32, (const char *)passphrase.data, passphrase.len, view->salt.data,
                               view->passes, (size_t)view->memory_kib * 1024, crypto_pwhash_ALG_ARGON2ID13);
    return failed == 0 ? OK : ERR_NO_MEMORY;
}

static struct hash32 keyfile_check(struct span head, struct span secret)
{
    return HASH_FRAMED("perigee/keyfile/v1", head, secret);
}

static void keyfile_put_head(struct buffer *image, const char *kind, const struct keyfile_view *view)
{
    struct span name = span_text(kind);
    buffer_put_text(image, keyfile_magic);
    buffer_put_u16(image, KEYFILE_VERSION);
    buffer_put_u8(image, view->protection);
    buffer_put_u8(image, (uint8_t)name.len);
    buffer_put(image, name);
    if (view->protection == KEYFILE_PLAIN) return;
    buffer_put_u32(image, view->passes);
    buffer_put_u32(image, view->memory_kib);
    buffer_put(image, view->salt);
    buffer_put(image, view->nonce);
}

static void keyfile_put_plain(struct buffer *image, const char *kind, struct span secret)
{
    const struct keyfile_view view = {.protection = KEYFILE_PLAIN};
    struct hash32 check;
    keyfile_put_head(image, kind, &view);
    buffer_put_u32(image, (uint32_t)secret.len + KEYFILE_CHECK_BYTES);
    check = keyfile_check(buffer_span(image), secret);
    buffer_put(image, secret);
    buffer_put(image, ID_SPAN(check));
}

static enum err keyfile_put_sealed(struct buffer *image, const char *kind, struct span secret,
                                   struct span passphrase)
{
    uint8_t salt[KEYFILE_SALT_BYTES], nonce[KEYFILE_NONCE_BYTES], key[32];
    const struct keyfile_view view = {.protection = KEYFILE_PASSPHRASE,
                                      .passes = KEYFILE_PASSES,
                                      .memory_kib = KEYFILE_MEMORY_KIB,
                                      .salt = SPAN_OF(salt),
                                      .nonce = SPAN_OF(nonce)};
    unsigned long long written = 0;
    random_fill(salt, sizeof salt);
    random_fill(nonce, sizeof nonce);
    keyfile_put_head(image, kind, &view);
    buffer_put_u32(image, (uint32_t)secret.len + KEYFILE_TAG_BYTES);
    ASSERT(!image->overflow && image->cap - image->len >= secret.len + KEYFILE_TAG_BYTES);
    TRY(keyfile_stretch(key, passphrase, &view));
    (void)crypto_aead_xchacha20poly1305_ietf_encrypt(image->data + image->len, &written, secret.data,
                                                     secret.len, image->data, image->len, NULL, nonce, key);
    image->len += written;
    secret_wipe(key, sizeof key);
    return OK;
}

/* What errno says of a file that is to be made. */
static enum err keyfile_error(void)
{
    if (errno == ENOSPC || errno == EDQUOT) return ERR_FULL;
    if (errno == ENOENT || errno == ENOTDIR) return ERR_NOT_FOUND;
    return errno == EACCES || errno == EPERM || errno == EROFS ? ERR_REFUSED : ERR_IO;
}

static enum err keyfile_write_all(int fd, struct span bytes)
{
    while (bytes.len > 0) {
        ssize_t written = write(fd, bytes.data, bytes.len);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return written < 0 ? keyfile_error() : ERR_IO;
        bytes = (struct span){bytes.data + written, bytes.len - (size_t)written};
    }
    return OK;
}

/* The name must survive a crash as well as the bytes. */
static enum err keyfile_sync_folder(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - path);
    int fd, failed;
    if (len >= sizeof folder) return ERR_IO;
    memcpy(folder, path, len);
    folder[len] = 0;
    fd = open(slash == NULL ? "." : len == 0 ? "/" : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return ERR_IO;
    failed = fsync(fd);
    return close(fd) == 0 && failed == 0 ? OK : ERR_IO;
}

static enum err keyfile_create(const char *path, struct span image)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    enum err err;
    if (fd < 0) return keyfile_error();
    err = fchmod(fd, 0600) == 0 ? keyfile_write_all(fd, image) : ERR_IO;
    if (err == OK && fsync(fd) != 0) err = keyfile_error();
    if (close(fd) != 0 && err == OK) err = keyfile_error();
    if (err != OK) (void)unlink(path);
    return err;
}

/* link(), unlike rename(), never replaces a file that came into being meanwhile. */
static enum err keyfile_store(const char *path, struct span image)
{
    char draft[PATH_MAX], suffix[17];
    uint8_t random[8];
    enum err err = OK;
    int len;
    random_fill(random, sizeof random);
    hex_encode(suffix, random, sizeof random);
    len = snprintf(draft, sizeof draft, "%s.%s.new", path, suffix);
    if (len < 0 || (size_t)len >= sizeof draft) return ERR_IO;
    TRY(keyfile_create(draft, image));
    if (link(draft, path) != 0) err = errno == EEXIST ? ERR_CONFLICT : keyfile_error();
    if (unlink(draft) != 0 && err == OK) err = ERR_IO;
    return err == OK ? keyfile_sync_folder(path) : err;
}

enum err keyfile_write(const char *path, const char *kind, struct span secret, struct span passphrase)
{
    uint8_t *image;
    struct buffer b;
    enum err err = OK;
    ASSERT(keyfile_kind_valid(span_text(kind)));
    if (secret.len == 0) return ERR_RANGE;
    if (secret.len > KEYFILE_SECRET_MAX) return ERR_TOO_LARGE;
    if (access(path, F_OK) == 0) return ERR_CONFLICT; /* early, before the passphrase is stretched */
    image = secret_alloc(KEYFILE_BYTES_MAX);
    if (image == NULL) return ERR_NO_MEMORY;
    b = buffer_make(image, KEYFILE_BYTES_MAX);
    if (passphrase.len == 0)
        keyfile_put_plain(&b, kind, secret);
    else
        err = keyfile_put_sealed(&b, kind, secret, passphrase);
    if (err == OK) err = buffer_done(&b);
    if (err == OK) err = keyfile_store(path, buffer_span(&b));
    secret_free(image);
    return err;
}

/* Nobody else may have been able to read or write it: ours (or root's, as service managers deliver
 * credentials), with no bit for group and others. A symbolic link is followed; what counts is the file. */
static enum err keyfile_check_mode(int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0) return ERR_IO;
    if (!S_ISREG(st.st_mode) || (st.st_mode & 07177) != 0) return ERR_REFUSED;
    return st.st_uid == geteuid() || st.st_uid == 0 ? OK : ERR_REFUSED;
}

/* Reads up to `cap` bytes; a longer file is not a key file. */
static enum err keyfile_read_all(int fd, uint8_t *image, size_t *len, size_t cap)
{
    *len = 0;
    for (;;) {
        uint8_t excess;
        bool full = *len == cap;
        ssize_t got = read(fd, full ? &excess : image + *len, full ? 1 : cap - *len);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return ERR_IO;
        if (got == 0) return OK;
        if (full) return ERR_CORRUPT;
        *len += (size_t)got;
    }
}

static enum err keyfile_load(const char *path, uint8_t *image, size_t *len)
{
    int fd =
        open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* O_NONBLOCK: a FIFO must not hang us */
    enum err err;
    if (fd < 0) return errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
    err = keyfile_check_mode(fd);
    if (err == OK) err = keyfile_read_all(fd, image, len, KEYFILE_BYTES_MAX);
    (void)close(fd); /* nothing was written */
    return err;
}

static enum err keyfile_open_plain(const struct keyfile_view *view, void *out, size_t *len)
{
    struct span secret = {view->body.data, view->body.len - KEYFILE_CHECK_BYTES};
    struct hash32 check = keyfile_check(view->head, secret);
    if (!secret_equal(check.bytes, secret.data + secret.len, KEYFILE_CHECK_BYTES)) return ERR_CORRUPT;
    memcpy(out, secret.data, secret.len);
    *len = secret.len;
    return OK;
}

static enum err keyfile_open_sealed(const struct keyfile_view *view, void *out, size_t *len,
                                    struct span passphrase)
{
    uint8_t key[32];
    int failed;
    TRY(keyfile_stretch(key, passphrase, view));
    failed =
        crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, view->body.data, view->body.len,
                                                   view->head.data, view->head.len, view->nonce.data, key);
    secret_wipe(key, sizeof key);
    if (failed != 0) return ERR_DECRYPT;
    *len = view->body.len - KEYFILE_TAG_BYTES;
    return OK;
}

static enum err keyfile_open(struct span image, const char *kind, void *out, size_t *len,
                             struct span passphrase)
{
    struct keyfile_view view = {0};
    TRY(keyfile_parse(&view, image));
    if (!span_equal_text(view.kind, kind)) return ERR_KIND;
    /* A passphrase where the file has none is refused too: somebody may have put a plain key in the place of
     * ours. */
    if ((view.protection == KEYFILE_PASSPHRASE) != (passphrase.len > 0)) return ERR_DECRYPT;
    if (view.protection == KEYFILE_PLAIN) return keyfile_open_plain(&view, out, len);
    return keyfile_open_sealed(&view, out, len, passphrase);
}

enum err keyfile_read(const char *path, const char *kind, void *out, size_t *len, struct span passphrase)
{
    uint8_t *image = secret_alloc(KEYFILE_BYTES_MAX);
    size_t image_len = 0;
    enum err err;
    *len = 0;
    if (image == NULL) return ERR_NO_MEMORY;
    err = keyfile_load(path, image, &image_len);
    if (err == OK) err = keyfile_open(span_make(image, image_len), kind, out, len, passphrase);
    secret_free(image);
    return err;
}
