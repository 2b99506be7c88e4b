#include "storage/lmdb_writer.h"

#include "proto/base/panic.h"
#include "storage/store_maker.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

/* One transaction takes at most this much: LMDB keeps every page it touches in memory until the commit. */
enum { GROUP_BYTES_MAX = 32 << 20, GROUP_WRITES_MAX = 4096, READER_CHECK_EACH = 1024 };
enum { PATIENCE_MS = 5, PATIENT_MANY = 512 };

struct lmdb_batch {
    struct lmdb_batch *next;
    store_done done;
    void *context;
    enum err err;
    bool patient;
    bool quarantine; /* its one write names an item to move aside */
    uint32_t count;
    size_t bytes;
    struct store_write writes[]; /* then the bytes they point to */
};

/* --- batches ------------------------------------------------------------------------------------------- */

static struct span batch_keep(uint8_t **at, struct span bytes)
{
    struct span kept = span_make(*at, bytes.len);
    if (bytes.len > 0) memcpy(*at, bytes.data, bytes.len);
    *at += bytes.len;
    return kept;
}

static struct lmdb_batch *batch_make(const struct store_write *writes, uint32_t count)
{
    size_t bytes = sizeof(struct lmdb_batch) + count * sizeof *writes;
    uint32_t i;
    for (i = 0; i < count; i++)
        bytes += writes[i].key.len + (writes[i].op == STORE_DELETE ? 0 : writes[i].value.len);
    struct lmdb_batch *b = malloc(bytes);
    if (!b) return NULL;
    *b = (struct lmdb_batch){.count = count, .bytes = bytes};
    uint8_t *at = (uint8_t *)(b->writes + count);
    for (i = 0; i < count; i++) {
        b->writes[i] = writes[i];
        b->writes[i].key = batch_keep(&at, writes[i].key);
        b->writes[i].value = writes[i].op == STORE_DELETE ? SPAN_NONE : batch_keep(&at, writes[i].value);
    }
    return b;
}

/* What the map may lose to this batch: its values on whole pages, and the tree pages it rewrites. */
static uint64_t batch_cost(const struct lmdb_env *env, const struct lmdb_batch *b)
{
    uint64_t pages = 0;
    for (uint32_t i = 0; i < b->count; i++) pages += 2 + (b->writes[i].value.len + 16) / env->page_bytes;
    return pages * env->page_bytes;
}

static bool batch_puts(const struct lmdb_batch *b)
{
    for (uint32_t i = 0; i < b->count; i++)
        if (b->writes[i].op != STORE_DELETE) return true;
    return false;
}

/* --- inside the transaction ---------------------------------------------------------------------------- */

static enum err txn_get(MDB_txn *txn, MDB_dbi dbi, struct span key, struct span *out)
{
    MDB_val name = lmdb_env_val(key), value = {0, NULL};
    int rc = mdb_get(txn, dbi, &name, &value);
    *out = lmdb_env_span(value);
    return lmdb_env_err(rc);
}

static enum err txn_delete(const struct lmdb_env *env, MDB_txn *txn, MDB_dbi dbi, struct span key)
{
    MDB_val name = lmdb_env_val(key);
    struct span have;
    enum err err = txn_get(txn, dbi, key, &have);
    if (err == ERR_NOT_FOUND) return OK;
    TRY(err);
    TRY(lmdb_env_replaceable(env, dbi, have));
    return lmdb_env_err(mdb_del(txn, dbi, &name, NULL));
}

/* What stood there goes first: a shorter value in the place of one of the same transaction would keep the longer one's pages. */
static enum err txn_put(const struct lmdb_env *env, MDB_txn *txn, MDB_dbi dbi, struct span key,
                        struct span bytes)
{
    MDB_val name = lmdb_env_val(key), value = lmdb_env_val(bytes);
    struct span have;
    enum err err = txn_get(txn, dbi, key, &have);
    if (err == OK && span_equal(have, bytes)) return OK; /* the same bytes again cost no write */
    if (err == OK) err = txn_delete(env, txn, dbi, key);
    if (err != OK && err != ERR_NOT_FOUND) return err;
    return lmdb_env_err(mdb_put(txn, dbi, &name, &value, 0));
}

/* What the key holds when write `index` has its turn: an earlier write of the batch decides, or the store. */
static enum err batch_sees(const struct lmdb_env *env, MDB_txn *txn, const struct lmdb_batch *b,
                           uint32_t index, struct span *out)
{
    const struct store_write *w = &b->writes[index];
    while (index-- > 0) {
        const struct store_write *earlier = &b->writes[index];
        if (earlier->space != w->space || !span_equal(earlier->key, w->key)) continue;
        *out = earlier->value;
        return earlier->op == STORE_DELETE ? ERR_NOT_FOUND : OK;
    }
    return txn_get(txn, env->spaces[w->space], w->key, out);
}

/* ERR_CONFLICT, or an error of LMDB. A stored value that fails its own check stands in nobody's way. */
static enum err batch_conflict(const struct lmdb_env *env, MDB_txn *txn, const struct lmdb_batch *b)
{
    for (uint32_t i = 0; i < b->count; i++) {
        const struct store_write *w = &b->writes[i];
        struct span have;
        if (w->op != STORE_PUT_NEW) continue;
        enum err err = batch_sees(env, txn, b, i, &have);
        if (err == ERR_NOT_FOUND) continue;
        TRY(err);
        if (!span_equal(have, w->value) && store_value_check(w->space, w->key, have) == OK)
            return ERR_CONFLICT;
    }
    return OK;
}

static enum err write_apply(const struct lmdb_env *env, MDB_txn *txn, const struct store_write *w)
{
    const MDB_dbi dbi = env->spaces[w->space];
    return w->op == STORE_DELETE ? txn_delete(env, txn, dbi, w->key)
                                 : txn_put(env, txn, dbi, w->key, w->value);
}

static enum err quarantine_put(const struct lmdb_env *env, MDB_txn *txn, const struct store_write *w,
                               struct span bytes)
{
    uint8_t name[1 + STORE_KEY_MAX];
    struct buffer named = BUFFER_OF(name);
    buffer_put_u8(&named, (uint8_t)w->space);
    buffer_put(&named, w->key);
    return txn_put(env, txn, env->quarantine, buffer_span(&named), bytes);
}

/* Judged again here: a good copy may have been put since the read that complained. One that cannot go stays where it is. */
static enum err quarantine_apply(const struct lmdb_env *env, MDB_txn *txn, const struct store_write *w)
{
    struct span have;
    enum err err = txn_get(txn, env->spaces[w->space], w->key, &have);
    if (err == ERR_NOT_FOUND) return OK;
    TRY(err);
    if (store_value_check(w->space, w->key, have) == OK) return OK;
    if (lmdb_env_replaceable(env, env->spaces[w->space], have) != OK) return OK;
    void *copy = malloc(have.len + 1); /* LMDB may move the page while it writes the other database */
    if (!copy) return ERR_NO_MEMORY;
    if (have.len > 0) memcpy(copy, have.data, have.len);
    err = quarantine_put(env, txn, w, span_make(copy, have.len));
    if (err == OK) err = txn_delete(env, txn, env->spaces[w->space], w->key);
    free(copy);
    return err;
}

/* b->err is the batch's own refusal; what is returned is a failure of the transaction, which sinks the group. */
static enum err batch_apply(const struct lmdb_env *env, MDB_txn *txn, struct lmdb_batch *b)
{
    if (b->quarantine) return quarantine_apply(env, txn, &b->writes[0]);
    b->err = batch_conflict(env, txn, b);
    if (b->err == ERR_CONFLICT) return OK;
    TRY(b->err);
    for (uint32_t i = 0; i < b->count; i++) TRY(write_apply(env, txn, &b->writes[i]));
    return OK;
}

/* --- groups --- */

/* The batches from `first` up to `end`, in one transaction; `end` moves up to where it had to stop. */
struct group {
    struct lmdb_batch *first, *end;
};

/* Apply until the room is used up. Costs are guessed high, so a group that stops for lack of room is committed and the
 * next one measures again; only a batch that has the whole room to itself is told that the store is full. */
static enum err group_apply(const struct lmdb_env *env, MDB_txn *txn, struct group *g)
{
    uint64_t room;
    TRY(lmdb_env_room(env, &room));
    for (struct lmdb_batch *b = g->first; b != g->end; b = b->next) {
        uint64_t cost = batch_cost(env, b);
        bool fits = cost <= room || !batch_puts(b);
        if (!fits && b != g->first) {
            g->end = b;
            return OK;
        }
        b->err = ERR_FULL;
        if (fits) TRY(batch_apply(env, txn, b));
        room -= cost < room ? cost : room;
    }
    return OK;
}

/* LMDB says EIO for a write that was cut short, which is how a disk fills up in the middle of one: what is left then is less
 * than a transaction can take. */
static enum err commit_err(const struct lmdb_env *env, int rc)
{
    struct statvfs disk;
    mdb_filehandle_t file;
    if (rc != EIO || mdb_env_get_fd(env->env, &file) != 0 || fstatvfs(file, &disk) != 0)
        return lmdb_env_err(rc);
    return (uint64_t)disk.f_bavail * disk.f_frsize < (uint64_t)GROUP_BYTES_MAX ? ERR_FULL : ERR_IO;
}

/* A transaction that changes nothing leaves no number behind. */
static enum err group_commit(const struct lmdb_env *env, MDB_txn *txn)
{
    MDB_envinfo info;
    TRY(commit_err(env, mdb_txn_commit(txn)));
    if (env->committed != NULL && mdb_env_info(env->env, &info) == 0)
        env->committed(env->context, info.me_last_txnid);
    return OK;
}

static enum err group_write(const struct lmdb_env *env, struct group *g)
{
    MDB_txn *txn;
    TRY(lmdb_env_err(mdb_txn_begin(env->env, NULL, 0, &txn)));
    enum err err = group_apply(env, txn, g);
    if (err == OK) return group_commit(env, txn);
    mdb_txn_abort(txn);
    return err;
}

/* After a failure: each batch by itself, so that only the one at fault fails. */
static uint64_t group_write_singly(const struct lmdb_env *env, struct lmdb_batch *first)
{
    uint64_t tried = 0;
    int dead;
    mdb_reader_check(env->env, &dead); /* a dead reader may be what keeps the pages */
    for (struct lmdb_batch *b = first; b; b = b->next, tried++) {
        struct group alone = {b, b->next};
        enum err err = group_write(env, &alone);
        if (err != OK) b->err = err;
    }
    return tried;
}

/* Write a list of batches; returns the number of syncs spent. */
static uint64_t group_run(const struct lmdb_env *env, struct lmdb_batch *first)
{
    uint64_t syncs = 0;
    while (first) {
        struct group g = {first, NULL};
        if (group_write(env, &g) != OK) return syncs + group_write_singly(env, first);
        first = g.end;
        syncs++;
    }
    return syncs;
}

/* Wait for work, and with patient batches alone for more of it. */
static void writer_await(struct lmdb_writer *w)
{
    struct timespec until;
    while (!w->head && !w->closing) pthread_cond_wait(&w->work, &w->lock);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += PATIENCE_MS * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    int rc = 0;
    while (rc == 0 && w->hurried == 0 && w->queued < PATIENT_MANY && !w->closing)
        rc = pthread_cond_timedwait(&w->work, &w->lock, &until);
}

/* Detach what one transaction may take; NULL when closing and nothing is left. */
static struct lmdb_batch *writer_take(struct lmdb_writer *w)
{
    pthread_mutex_lock(&w->lock);
    writer_await(w);
    struct lmdb_batch *first = w->head, **end = &w->head;
    size_t bytes = 0;
    uint32_t writes = 0;
    while (*end && bytes < GROUP_BYTES_MAX && writes < GROUP_WRITES_MAX) {
        bytes += (*end)->bytes;
        writes += (*end)->count;
        w->hurried -= !(*end)->patient;
        end = &(*end)->next;
    }
    struct lmdb_batch *rest = *end;
    *end = NULL;
    w->head = rest;
    if (!rest) w->tail = &w->head;
    pthread_mutex_unlock(&w->lock);
    return first;
}

static void writer_settle(struct lmdb_writer *w, struct lmdb_batch *first, uint64_t syncs)
{
    pthread_mutex_lock(&w->lock);
    for (const struct lmdb_batch *b = first; b; b = b->next) {
        w->queued--;
        w->queued_bytes -= b->bytes;
        w->batches += !b->quarantine;
    }
    w->syncs += syncs;
    pthread_cond_broadcast(&w->room);
    pthread_mutex_unlock(&w->lock);
    while (first) {
        struct lmdb_batch *b = first;
        first = b->next;
        if (b->done) b->done(b->context, b->err);
        free(b);
    }
}

static void *writer_main(void *argument)
{
    struct lmdb_writer *w = argument;
    uint64_t groups = 0;
    int dead;
    for (struct lmdb_batch *first; (first = writer_take(w));) {
        writer_settle(w, first, group_run(w->env, first));
        if (++groups % READER_CHECK_EACH == 0) mdb_reader_check(w->env->env, &dead);
    }
    return NULL;
}

/* --- outside the thread -------------------------------------------------------------------------------- */

enum err lmdb_writer_start(struct lmdb_writer *w, struct lmdb_env *env)
{
    sigset_t all, before;
    memset(w, 0, sizeof *w);
    w->env = env;
    w->tail = &w->head;
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&w->work, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_cond_init(&w->room, NULL);
    sigfillset(&all); /* signals are the program's business, not this thread's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&w->thread, NULL, writer_main, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc == 0 ? OK : ERR_NO_MEMORY;
}

void lmdb_writer_stop(struct lmdb_writer *w)
{
    ASSERT(!pthread_equal(pthread_self(), w->thread));
    pthread_mutex_lock(&w->lock);
    w->closing = true;
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->room);
    pthread_cond_destroy(&w->work);
    pthread_mutex_destroy(&w->lock);
}

static bool writer_is_full(const struct lmdb_writer *w, const struct lmdb_batch *b)
{
    if (w->queued == 0) return false; /* even the largest batch fits an empty queue */
    return w->queued >= WRITER_QUEUE_MAX || w->queued_bytes + b->bytes > WRITER_QUEUE_BYTES_MAX;
}

static void writer_queue(struct lmdb_writer *w, struct lmdb_batch *b)
{
    const bool first = w->head == NULL;
    *w->tail = b;
    w->tail = &b->next;
    w->queued++;
    w->queued_bytes += b->bytes;
    w->hurried += !b->patient;
    if (first || !b->patient || w->queued == PATIENT_MANY) pthread_cond_signal(&w->work);
}

static enum err writer_append(struct lmdb_writer *w, struct lmdb_batch *b, bool wait)
{
    pthread_mutex_lock(&w->lock);
    while (wait && !w->closing && writer_is_full(w, b)) pthread_cond_wait(&w->room, &w->lock);
    enum err err = w->closing ? ERR_CANCELLED : writer_is_full(w, b) ? ERR_FULL : OK;
    if (err == OK) writer_queue(w, b);
    pthread_mutex_unlock(&w->lock);
    if (err != OK) free(b);
    return err;
}

enum err lmdb_writer_submit(struct lmdb_writer *w, const struct store_write *writes, uint32_t count,
                            store_done done, void *context, enum writer_haste haste)
{
    struct lmdb_batch *b = batch_make(writes, count);
    if (!b) return ERR_NO_MEMORY;
    b->done = done;
    b->context = context;
    b->patient = haste == WRITER_PATIENT;
    return writer_append(w, b, haste == WRITER_WAIT);
}

struct writer_wait {
    pthread_mutex_t lock;
    pthread_cond_t told;
    bool done;
    enum err err;
};

static void writer_wake(void *context, enum err err)
{
    struct writer_wait *wait = context;
    pthread_mutex_lock(&wait->lock);
    wait->done = true;
    wait->err = err;
    pthread_cond_signal(&wait->told);
    pthread_mutex_unlock(&wait->lock);
}

enum err lmdb_writer_now(struct lmdb_writer *w, const struct store_write *writes, uint32_t count)
{
    ASSERT(!pthread_equal(pthread_self(), w->thread)); /* would wait for itself */
    struct writer_wait wait = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, OK};
    TRY(lmdb_writer_submit(w, writes, count, writer_wake, &wait, WRITER_WAIT));
    pthread_mutex_lock(&wait.lock);
    while (!wait.done) pthread_cond_wait(&wait.told, &wait.lock);
    pthread_mutex_unlock(&wait.lock);
    return wait.err;
}

void lmdb_writer_quarantine(struct lmdb_writer *w, enum store_space space, struct span key)
{
    struct store_write item = {STORE_DELETE, space, key, SPAN_NONE};
    struct lmdb_batch *b = batch_make(&item, 1);
    if (!b) return;
    b->quarantine = true;
    enum err err = writer_append(w, b, false);
    (void)err; /* a full queue: the next read of the item asks again */
}

void lmdb_writer_counts(struct lmdb_writer *w, uint64_t *batches, uint64_t *syncs)
{
    pthread_mutex_lock(&w->lock);
    *batches = w->batches;
    *syncs = w->syncs;
    pthread_mutex_unlock(&w->lock);
}
