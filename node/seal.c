#include "node/seal.h"

#include "crypto/body.h"
#include "crypto/cid.h"
#include "crypto/hash.h"
#include "crypto/kem.h"
#include "crypto/secret.h"
#include "crypto/tdh2.h"
#include "node/fault.h"
#include "node/seal_check.h"
#include "node/seal_kept.h"
#include "proto/base/panic.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEAL_MANIFEST_BYTES_MAX = 16384, SEAL_ARENA_BYTES = 40 * SEAL_MANIFEST_BYTES_MAX };
enum { SEAL_BATCHES_WRITING = 4 }; /* as many as one transaction of the store takes */
_Static_assert((int)BODY_CHUNK_BYTES == (int)MANIFEST_CHUNK_BYTES, "one chunk size");
_Static_assert((int)BODY_SEALED_MAX <= (int)BLOB_BYTES_MAX, "a sealed chunk is one blob");
_Static_assert(SEAL_CHUNK_COUNT_MAX * 32 <= (int)BLOB_BYTES_MAX, "the leaf list is one blob");

struct seal_job {
    const struct seal_options *o;
    char *fault;
    size_t cap;
    int fd;
    struct stat before;
    uint8_t *data_key; /* 32, secret memory */
    struct body_key *key;
    struct body_summary summary;
    uint8_t *plain, *sealed; /* SEAL_BATCH_CHUNKS each */
    struct hash32 *leaf;     /* of every chunk */
    struct hash32 leaves;    /* sha2-256 of that list */
    uint32_t written;        /* chunks that may be in the store */
    struct seal_writes {     /* batches on their way to the disk while the next are made */
        pthread_mutex_t lock;
        pthread_cond_t fewer;
        uint32_t count;
        enum err err; /* of the first that failed */
    } writes;
    uint32_t thread_count;
};

static enum err refuse(const struct seal_job *j, enum err err, const char *what)
{
    return fault_set(j->fault, j->cap, err, "%s: %s", j->o->path, what);
}

/* Of what was sealed, where it is kept: not of the file that is read. */
static enum err refuse_store(const struct seal_job *j, enum err err)
{
    return fault_set(j->fault, j->cap, err, "the data directory's store: %s",
                     err == ERR_FULL
                         ? "the disk or the store is full: free some space, or raise store.map_gb in "
                           "perigee.yaml; nothing was sealed"
                         : err_text(err));
}

/* --- Beginning and ending ----------------------------------------------------------------------------------------- */

static enum err open_input(struct seal_job *j)
{
    j->fd = open(j->o->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hang us */
    if (j->fd < 0) return refuse(j, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, strerror(errno));
    if (fstat(j->fd, &j->before) != 0) return refuse(j, ERR_IO, strerror(errno));
    if (!S_ISREG(j->before.st_mode)) return refuse(j, ERR_TYPE, "expected a regular file");
    if ((uint64_t)j->before.st_size / BODY_CHUNK_BYTES + 1 > SEAL_CHUNK_COUNT_MAX)
        return refuse(j, ERR_TOO_LARGE, "expected less than 32 GiB; split it into several datasets");
    return OK;
}

static enum err take_memory(struct seal_job *j)
{
    j->plain = malloc((size_t)SEAL_BATCH_CHUNKS * BODY_CHUNK_BYTES);
    j->sealed = malloc((size_t)SEAL_BATCH_CHUNKS * BODY_SEALED_MAX);
    j->leaf = calloc(j->summary.chunk_count, sizeof j->leaf[0]);
    j->data_key = secret_alloc(32);
    const bool got = j->plain != NULL && j->sealed != NULL && j->leaf != NULL && j->data_key != NULL;
    return got ? OK : refuse(j, ERR_NO_MEMORY, err_text(ERR_NO_MEMORY));
}

static uint32_t choose_thread_count(uint32_t wanted)
{
    long have = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t count = wanted != 0 ? wanted : have < 1 ? 1 : (uint32_t)have;
    return count > SEAL_BATCH_CHUNKS ? SEAL_BATCH_CHUNKS : count;
}

static enum err begin(struct seal_job *j)
{
    TRY(open_input(j));
    j->summary.suite = body_suite_best();
    j->summary.plain_len = (uint64_t)j->before.st_size;
    j->summary.chunk_count = (uint32_t)(j->summary.plain_len / BODY_CHUNK_BYTES + 1);
    j->thread_count = choose_thread_count(j->o->thread_count);
    TRY(take_memory(j));
    random_fill(j->data_key, 32);
    random_fill(j->summary.salt.bytes, sizeof j->summary.salt.bytes);
    TRY(body_key_derive(&j->key, j->data_key, j->summary.suite, j->summary.salt));
    j->summary.commitment = body_key_commitment(j->key);
    return OK;
}

static void end(struct seal_job *j)
{
    if (j->plain != NULL) secret_wipe(j->plain, (size_t)SEAL_BATCH_CHUNKS * BODY_CHUNK_BYTES);
    free(j->plain);
    free(j->sealed);
    free(j->leaf);
    body_key_free(j->key);
    secret_free(j->data_key);
    if (j->fd >= 0) (void)close(j->fd);
}

/* --- Chunks ------------------------------------------------------------------------------------------------------- */

/* One thread's part of a batch: every stride-th chunk of it. */
struct seal_part {
    struct seal_job *job;
    uint32_t first, count, begin, stride; /* first: the batch's first chunk in the body */
    enum err err;
};

static void *seal_part(void *argument)
{
    struct seal_part *p = argument;
    for (uint32_t i = p->begin; i < p->count && p->err == OK; i += p->stride) {
        const uint32_t len = body_plain_bytes(&p->job->summary, p->first + i);
        uint8_t *sealed = p->job->sealed + (size_t)i * BODY_SEALED_MAX;
        const struct span plain = {p->job->plain + (size_t)i * BODY_CHUNK_BYTES, len};
        p->err = body_seal_chunk(sealed, p->job->key, p->first + i, plain);
        if (p->err == OK) p->job->leaf[p->first + i] = blake3(span_make(sealed, len + BODY_TAG_BYTES));
    }
    return NULL;
}

/* A thread that cannot be had is no error: its part is done here. */
static enum err seal_batch(struct seal_job *j, uint32_t first, uint32_t count)
{
    struct seal_part part[SEAL_BATCH_CHUNKS];
    pthread_t thread[SEAL_BATCH_CHUNKS];
    bool started[SEAL_BATCH_CHUNKS] = {false};
    const uint32_t stride = j->thread_count < count ? j->thread_count : count;
    enum err err = OK;
    for (uint32_t i = 0; i < stride; i++) {
        part[i] = (struct seal_part){j, first, count, i, stride, OK};
        started[i] = i > 0 && pthread_create(&thread[i], NULL, seal_part, &part[i]) == 0;
    }
    for (uint32_t i = 0; i < stride; i++)
        if (!started[i]) (void)seal_part(&part[i]);
    for (uint32_t i = 0; i < stride; i++) {
        if (started[i]) (void)pthread_join(thread[i], NULL);
        if (part[i].err != OK) err = part[i].err;
    }
    return err;
}

static enum err read_batch(struct seal_job *j, uint32_t first, uint32_t count)
{
    const uint64_t offset = (uint64_t)first * BODY_CHUNK_BYTES;
    const uint64_t left = j->summary.plain_len - offset;
    const uint64_t want =
        left < (uint64_t)count * BODY_CHUNK_BYTES ? left : (uint64_t)count * BODY_CHUNK_BYTES;
    for (uint64_t have = 0; have < want;) {
        ssize_t got = pread(j->fd, j->plain + have, want - have, (off_t)(offset + have));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return refuse(j, ERR_IO, strerror(errno));
        if (got == 0) return refuse(j, ERR_CONFLICT, "became shorter while it was read");
        have += (uint64_t)got;
    }
    return OK;
}

static void on_written(void *context, enum err err)
{
    struct seal_writes *w = context;
    (void)pthread_mutex_lock(&w->lock);
    if (w->err == OK) w->err = err;
    w->count--;
    (void)pthread_cond_signal(&w->fewer);
    (void)pthread_mutex_unlock(&w->lock);
}

/* Until at most `count` are on their way. */
static enum err await_writes(struct seal_job *j, uint32_t count)
{
    struct seal_writes *w = &j->writes;
    (void)pthread_mutex_lock(&w->lock);
    while (w->count > count) (void)pthread_cond_wait(&w->fewer, &w->lock);
    enum err err = w->err;
    (void)pthread_mutex_unlock(&w->lock);
    return err;
}

static enum err submit_batch(struct seal_job *j, const struct store_write *write, uint32_t count)
{
    TRY(await_writes(j, SEAL_BATCHES_WRITING - 1));
    (void)pthread_mutex_lock(&j->writes.lock);
    j->writes.count++;
    (void)pthread_mutex_unlock(&j->writes.lock);
    enum err err = store_submit(j->o->store, write, count, on_written, &j->writes);
    if (err != OK) on_written(&j->writes, err);
    return err;
}

static enum err write_batch(struct seal_job *j, uint32_t first, uint32_t count)
{
    struct store_write write[SEAL_BATCH_CHUNKS];
    struct cid cid[SEAL_BATCH_CHUNKS];
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t len = body_plain_bytes(&j->summary, first + i) + BODY_TAG_BYTES;
        cid[i] = cid_make(CID_BLAKE3, j->leaf[first + i]);
        write[i] = (struct store_write){STORE_PUT, STORE_BLOB, SPAN_OF(cid[i].bytes),
                                        span_make(j->sealed + (size_t)i * BODY_SEALED_MAX, len)};
    }
    j->written = first + count;
    return submit_batch(j, write, count);
}

static void tell(const struct seal_job *j, uint64_t done_bytes)
{
    if (j->o->progress == NULL) return;
    j->o->progress(j->o->progress_context, "sealing", done_bytes, j->summary.plain_len);
}

static enum err seal_batches(struct seal_job *j)
{
    for (uint32_t first = 0; first < j->summary.chunk_count; first += SEAL_BATCH_CHUNKS) {
        const uint32_t left = j->summary.chunk_count - first;
        const uint32_t count = left < SEAL_BATCH_CHUNKS ? left : SEAL_BATCH_CHUNKS;
        tell(j, (uint64_t)first * BODY_CHUNK_BYTES);
        TRY(read_batch(j, first, count));
        TRY(seal_batch(j, first, count));
        enum err err = write_batch(j, first, count);
        if (err != OK) return refuse_store(j, err);
    }
    return OK;
}

/* Whatever happens, nothing is on its way any more when this returns. */
static enum err seal_body(struct seal_job *j)
{
    enum err err = seal_batches(j);
    const enum err written = await_writes(j, 0);
    if (err == OK && written != OK) err = refuse_store(j, written);
    if (err == OK) j->summary.root = body_root(j->leaf, j->summary.chunk_count);
    return err;
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static enum err check_unchanged(const struct seal_job *j)
{
    struct stat now;
    if (fstat(j->fd, &now) == 0 && now.st_size == j->before.st_size &&
        same_time(now.st_mtim, j->before.st_mtim) && same_time(now.st_ctim, j->before.st_ctim))
        return OK;
    return refuse(j, ERR_CONFLICT, "changed while it was sealed; nothing was kept, seal it again");
}

/* Best effort: what cannot be deleted is unpinned rubbish that nothing names. */
static void discard(const struct seal_job *j)
{
    if (j->written == 0) return;
    enum err err = seal_drop_body(j->o->store, j->o->dt, j->leaf, j->written);
    (void)err;
}

/* --- The manifest ------------------------------------------------------------------------------------------------- */

/* PROTOCOL.md "Owner's veto": a random half for the owner's node; `part` becomes the other, for the envelope. */
static enum err split_key(struct manifest *m, uint8_t part[32], const struct seal_job *j,
                          const struct label *label)
{
    uint8_t *half = secret_alloc(32);
    if (half == NULL) return ERR_NO_MEMORY;
    random_fill(half, 32);
    for (uint32_t i = 0; i < 32; i++) part[i] ^= half[i];
    enum err err = kem_seal(m->half, &j->o->owner_kem, span_make(half, 32), SPAN_OF(label->bytes));
    secret_free(half);
    return err;
}

static enum err seal_envelope(struct manifest *m, const struct seal_job *j)
{
    struct envelope envelope;
    const struct label label =
        label_make(m->root_key_id, m->app_id, m->compose, m->owner, m->content, m->policy);
    uint8_t *part = secret_alloc(32);
    if (part == NULL) return ERR_NO_MEMORY;
    memcpy(part, j->data_key, 32);
    m->veto = j->o->owner_veto;
    enum err err = m->veto ? split_key(m, part, j, &label) : OK;
    if (err == OK) err = envelope_seal(&envelope, &j->o->root_key, &label, part);
    secret_free(part);
    TRY(err);
    memcpy(m->envelope, envelope.bytes, sizeof m->envelope);
    return OK;
}

static enum err seal_metadata(uint8_t *sealed, struct span *out, const struct seal_job *j)
{
    uint8_t plain[META_BYTES_MAX];
    struct buffer text = BUFFER_OF(plain);
    TRY(meta_write(&text, &j->o->meta));
    TRY(body_seal_meta(sealed, j->data_key, j->summary.salt, buffer_span(&text)));
    *out = span_make(sealed, text.len + BODY_META_OVERHEAD_BYTES);
    return OK;
}

static enum err write_manifest_bytes(struct buffer *out, struct seal_result *result, const struct seal_job *j)
{
    uint8_t metadata[META_BYTES_MAX + BODY_META_OVERHEAD_BYTES];
    struct manifest m;
    memset(&m, 0, sizeof m);
    m.owner = j->o->owner;
    m.dt = j->o->dt;
    m.app_id = j->o->app_id;
    m.compose = j->o->compose;
    m.policy = sha256(j->o->policy);
    m.root_key_id = group_key_id(&j->o->root_key);
    m.suite = j->summary.suite;
    m.plain_len = j->summary.plain_len;
    m.chunk_count = j->summary.chunk_count;
    m.salt = j->summary.salt;
    m.commitment = j->summary.commitment;
    m.root = j->summary.root;
    m.leaves = j->leaves;
    m.row_count = result->row_count;
    m.content = result->content = body_content_id(&j->summary);
    TRY(seal_envelope(&m, j));
    TRY(seal_metadata(metadata, &m.metadata, j));
    return manifest_write(out, &m);
}

/* What was written must be what readers accept: an owner's zero id, for one, would not be. */
static enum err check_manifest(struct span bytes, const struct seal_job *j)
{
    struct json_fault why = {{0}, {0}, OK};
    struct manifest *m = NULL;
    void *memory = calloc(1, SEAL_ARENA_BYTES);
    if (memory == NULL) return ERR_NO_MEMORY;
    struct arena arena = arena_make(memory, SEAL_ARENA_BYTES);
    enum err err = manifest_parse(&m, &arena, bytes, &why);
    free(memory);
    if (err == OK) return OK;
    return fault_set(j->fault, j->cap, err, "manifest: %s: expected %s", why.path, why.expected);
}

static enum err bind_manifest(struct seal_result *out, struct seal_job *j)
{
    uint8_t bytes[SEAL_MANIFEST_BYTES_MAX];
    struct buffer text = BUFFER_OF(bytes);
    j->leaves = sha256(span_make(j->leaf, (size_t)j->summary.chunk_count * sizeof j->leaf[0]));
    TRY(write_manifest_bytes(&text, out, j));
    TRY(check_manifest(buffer_span(&text), j));
    TRY(check_unchanged(j));
    TRY(seal_keep_body(j->o->store, j->o->dt, j->leaf, j->summary.chunk_count));
    out->manifest = sha256(buffer_span(&text));
    return seal_keep_manifest(j->o->store, j->o->dt, buffer_span(&text), j->o->policy);
}

/* --- All of it ---------------------------------------------------------------------------------------------------- */

/* Bytes have no rows that could be counted, so an exact number above zero is not met by them. */
static enum err check_rows(const struct seal_result *out, const struct seal_job *j)
{
    if (!j->o->row_count_exact || out->row_count == j->o->row_count) return OK;
    return fault_set(j->fault, j->cap, ERR_REFUSED,
                     "%s: expected exactly %" PRIu64 " rows, as the dataset is registered, found %" PRIu64
                     "%s",
                     j->o->path, j->o->row_count, out->row_count,
                     j->o->meta.format == META_BYTES ? " (bytes are not counted: give --format)" : "");
}

static enum err seal(struct seal_result *out, struct seal_job *j)
{
    TRY(begin(j));
    TRY(seal_check(out, j->o, j->fd, j->summary.plain_len, j->fault, j->cap));
    TRY(check_rows(out, j));
    TRY(seal_body(j));
    TRY(bind_manifest(out, j));
    out->plain_bytes = j->summary.plain_len;
    out->chunk_count = j->summary.chunk_count;
    tell(j, j->summary.plain_len);
    return OK;
}

enum err seal_file(struct seal_result *out, const struct seal_options *options, char *fault, size_t cap)
{
    struct seal_job job = {.o = options,
                           .fault = fault,
                           .cap = cap,
                           .fd = -1,
                           .writes = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, OK}};
    memset(out, 0, sizeof *out);
    if (cap > 0) fault[0] = 0;
    ASSERT(options->meta.format == META_BYTES || options->schema != NULL);
    enum err err = seal(out, &job);
    if (err != OK) discard(&job);
    end(&job);
    if (err != OK) memset(out, 0, sizeof *out);
    if (err != OK && cap > 0 && fault[0] == 0) err = refuse(&job, err, err_text(err));
    return err;
}
