#include "node/spool.h"

#include "crypto/secret.h"
#include "proto/base/caps.h"
#include "proto/base/panic.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct spool {
    int disk, file;
    uint64_t at;
    struct body_summary summary;
    const struct body_key *key;
    dev_t device; /* what `file` is, however it was opened */
    ino_t inode;
};

/* A chunk in the clear. A reader pins it while it copies; who makes it holds it as well. */
struct slot {
    const struct spool *spool; /* NULL: free */
    uint32_t chunk, pins;
    bool ready;
    uint64_t used; /* the window's clock at the last use */
    uint8_t *bytes;
};

static struct {
    pthread_mutex_t lock; /* all of it but the bytes of pinned slots */
    pthread_cond_t change;
    struct slot slot[SPOOL_SLOTS];
    uint8_t *memory;
    uint64_t clock;
    struct spool *open[CAP_INPUTS];
    atomic_uint open_count; /* read without the lock: 0 in every process but a worker with a large input */
} window = {.lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER};

/* --- The window ------------------------------------------------------------------------------------------------------- */

static enum err window_open(void)
{
    if (window.memory != NULL) return OK;
    void *memory = mmap(NULL, SPOOL_MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return ERR_NO_MEMORY;
    (void)madvise(memory, SPOOL_MEMORY_BYTES, MADV_DONTDUMP);
    (void)mlock(memory, SPOOL_MEMORY_BYTES); /* the limit may be lower, as for the memfds of other inputs */
    window.memory = memory;
    for (uint32_t i = 0; i < SPOOL_SLOTS; i++)
        window.slot[i].bytes = window.memory + (size_t)i * BODY_SEALED_MAX;
    return OK;
}

static void slot_clear(struct slot *slot)
{
    if (slot->spool != NULL) secret_wipe(slot->bytes, BODY_SEALED_MAX);
    *slot = (struct slot){.bytes = slot->bytes};
}

static void window_close(void)
{
    for (uint32_t i = 0; i < SPOOL_SLOTS; i++) slot_clear(&window.slot[i]);
    (void)munmap(window.memory, SPOOL_MEMORY_BYTES);
    window.memory = NULL;
}

#if SPOOL_READS /* nobody reads otherwise */
static struct slot *slot_of(const struct spool *s, uint32_t chunk)
{
    for (uint32_t i = 0; i < SPOOL_SLOTS; i++)
        if (window.slot[i].spool == s && window.slot[i].chunk == chunk) return &window.slot[i];
    return NULL;
}

/* The one that was not used for longest; NULL while all are in use. */
static struct slot *slot_to_take(void)
{
    struct slot *oldest = NULL;
    for (uint32_t i = 0; i < SPOOL_SLOTS; i++) {
        struct slot *slot = &window.slot[i];
        if (slot->pins == 0 && (oldest == NULL || slot->used < oldest->used)) oldest = slot;
    }
    return oldest;
}

static bool read_sealed(const struct spool *s, uint32_t chunk, uint8_t *out, size_t len)
{
    const uint64_t from = s->at + (uint64_t)chunk * BODY_SEALED_MAX;
    for (size_t have = 0; have < len;) {
        ssize_t got = syscall(SYS_pread64, s->disk, out + have, len - have, from + have);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        have += (size_t)got;
    }
    return true;
}

/* In place: the sealed bytes are gone when the clear ones are there. */
static bool slot_fill(const struct slot *slot)
{
    const struct spool *s = slot->spool;
    const size_t len = body_plain_bytes(&s->summary, slot->chunk) + (size_t)BODY_TAG_BYTES;
    return read_sealed(s, slot->chunk, slot->bytes, len) &&
           body_open_chunk(slot->bytes, s->key, slot->chunk, span_make(slot->bytes, len)) == OK;
}

/* Under the lock, which is let go while the chunk is made. */
static struct slot *slot_make(struct slot *slot, const struct spool *s, uint32_t chunk)
{
    slot_clear(slot);
    slot->spool = s;
    slot->chunk = chunk;
    slot->pins = 1;
    (void)pthread_mutex_unlock(&window.lock);
    const bool good = slot_fill(slot);
    (void)pthread_mutex_lock(&window.lock);
    slot->ready = good;
    (void)pthread_cond_broadcast(&window.change);
    if (good) return slot;
    slot_clear(slot);
    return NULL;
}

/* Pinned; NULL when it cannot be read or does not open. */
static struct slot *slot_pin(const struct spool *s, uint32_t chunk)
{
    for (;;) {
        struct slot *slot = slot_of(s, chunk);
        if (slot != NULL && slot->ready) {
            slot->pins++;
            return slot;
        }
        struct slot *take = slot == NULL ? slot_to_take() : NULL;
        if (take != NULL) return slot_make(take, s, chunk);
        (void)pthread_cond_wait(&window.change, &window.lock); /* until it is made, or one is let go */
    }
}

static bool copy_chunk(uint8_t *to, const struct spool *s, uint32_t chunk, size_t from, size_t len)
{
    (void)pthread_mutex_lock(&window.lock);
    struct slot *slot = slot_pin(s, chunk);
    (void)pthread_mutex_unlock(&window.lock);
    if (slot == NULL) return false;
    memcpy(to, slot->bytes + from, len);
    (void)pthread_mutex_lock(&window.lock);
    slot->used = ++window.clock;
    if (--slot->pins == 0) (void)pthread_cond_broadcast(&window.change);
    (void)pthread_mutex_unlock(&window.lock);
    return true;
}
#endif

/* --- One input -------------------------------------------------------------------------------------------------------- */

static enum err make_file(struct spool *s)
{
    struct stat is;
    s->file = memfd_create("input", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (s->file < 0 || ftruncate(s->file, (off_t)s->summary.plain_len) != 0) return ERR_NO_MEMORY;
    if (fcntl(s->file, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0)
        return ERR_IO;
    if (fstat(s->file, &is) != 0) return ERR_IO;
    s->device = is.st_dev;
    s->inode = is.st_ino;
    return OK;
}

static enum err enter(struct spool *s)
{
    (void)pthread_mutex_lock(&window.lock);
    uint32_t i = 0;
    while (i < CAP_INPUTS && window.open[i] != NULL) i++;
    enum err err = i < CAP_INPUTS ? window_open() : ERR_FULL;
    if (err == OK) {
        window.open[i] = s;
        (void)atomic_fetch_add(&window.open_count, 1);
    }
    (void)pthread_mutex_unlock(&window.lock);
    return err;
}

static void leave(struct spool *s)
{
    (void)pthread_mutex_lock(&window.lock);
    for (uint32_t i = 0; i < CAP_INPUTS; i++) {
        if (window.open[i] != s) continue;
        window.open[i] = NULL;
        for (uint32_t j = 0; j < SPOOL_SLOTS; j++) {
            ASSERT(window.slot[j].spool != s || window.slot[j].pins == 0);
            if (window.slot[j].spool == s) slot_clear(&window.slot[j]);
        }
        if (atomic_fetch_sub(&window.open_count, 1) == 1) window_close();
    }
    (void)pthread_mutex_unlock(&window.lock);
}

enum err spool_new(struct spool **out, int disk, uint64_t at, const struct body_summary *summary,
                   const struct body_key *key)
{
    *out = NULL;
    struct spool *s = calloc(1, sizeof *s);
    if (s == NULL) return ERR_NO_MEMORY;
    *s = (struct spool){.disk = disk, .file = -1, .at = at, .summary = *summary, .key = key};
    enum err err = make_file(s);
    if (err == OK) err = enter(s);
    if (err == OK)
        *out = s;
    else
        spool_free(s);
    return err;
}

void spool_free(struct spool *s)
{
    if (s == NULL) return;
    leave(s);
    if (s->file >= 0) (void)close(s->file);
    free(s);
}

int spool_file(const struct spool *s)
{
    return s->file;
}

enum err spool_put(struct spool *s, uint32_t chunk, struct span sealed)
{
    ASSERT(chunk < s->summary.chunk_count && sealed.len <= BODY_SEALED_MAX);
    const uint64_t at = s->at + (uint64_t)chunk * BODY_SEALED_MAX;
    for (size_t done = 0; done < sealed.len;) {
        ssize_t put = pwrite(s->disk, sealed.data + done, sealed.len - done, (off_t)(at + done));
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return errno == ENOSPC || errno == EDQUOT ? ERR_FULL : ERR_IO;
        done += (size_t)put;
    }
    return OK;
}

/* --- What libraries call ---------------------------------------------------------------------------------------------- */

#if SPOOL_READS
/* The input that this descriptor shows, however it was opened. */
static const struct spool *spool_behind(int fd)
{
    struct stat is;
    const struct spool *found = NULL;
    if (atomic_load(&window.open_count) == 0 || fstat(fd, &is) != 0) return NULL;
    (void)pthread_mutex_lock(&window.lock);
    for (uint32_t i = 0; i < CAP_INPUTS && found == NULL; i++) {
        const struct spool *s = window.open[i];
        if (s != NULL && s->device == is.st_dev && s->inode == is.st_ino) found = s;
    }
    (void)pthread_mutex_unlock(&window.lock);
    return found;
}

static ssize_t read_clear(const struct spool *s, uint8_t *to, size_t len, off_t offset)
{
    const uint64_t end = s->summary.plain_len, at = (uint64_t)offset;
    if (offset < 0) {
        errno = EINVAL;
        return -1;
    }
    if (at >= end) return 0;
    if (len > end - at) len = end - at;
    for (size_t done = 0; done < len;) {
        const uint32_t chunk = (uint32_t)((at + done) / BODY_CHUNK_BYTES);
        const size_t from = (at + done) % BODY_CHUNK_BYTES, left = BODY_CHUNK_BYTES - from;
        const size_t some = len - done < left ? len - done : left;
        if (!copy_chunk(to + done, s, chunk, from, some)) {
            errno = EIO;
            return -1;
        }
        done += some;
    }
    return (ssize_t)len;
}

/* Named for the linker only: the C library's headers declare them with attributes and checks of their own. */
ssize_t spool_pread(int fd, void *to, size_t len, off_t at) __asm__("pread");
ssize_t spool_read(int fd, void *to, size_t len) __asm__("read");

__attribute__((visibility("default"))) ssize_t spool_pread(int fd, void *to, size_t len, off_t at)
{
    const struct spool *s = spool_behind(fd);
    return s == NULL ? syscall(SYS_pread64, fd, to, len, at) : read_clear(s, to, len, at);
}

__attribute__((visibility("default"))) ssize_t spool_read(int fd, void *to, size_t len)
{
    const struct spool *s = spool_behind(fd);
    if (s == NULL) return syscall(SYS_read, fd, to, len);
    const off_t at = lseek(fd, 0, SEEK_CUR);
    const ssize_t got = at < 0 ? -1 : read_clear(s, to, len, at);
    if (got > 0 && lseek(fd, at + got, SEEK_SET) < 0) return -1;
    return got;
}

bool spool_is_in_force(void)
{
    return (uintptr_t)dlsym(RTLD_DEFAULT, "pread") == (uintptr_t)spool_pread &&
           (uintptr_t)dlsym(RTLD_DEFAULT, "read") == (uintptr_t)spool_read;
}
#else
bool spool_is_in_force(void)
{
    return false;
}
#endif
