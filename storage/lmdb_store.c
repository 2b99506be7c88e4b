/* The LMDB maker: short read transactions here, writes in lmdb_writer.c, the environment in lmdb_env.c. */
#include "storage/lmdb_writer.h"
#include "storage/store_maker.h"

#include "proto/base/panic.h"

#include <stdlib.h>

enum { IDLE_READERS_MAX = 16 };

struct lmdb_store {
    struct store base;
    struct lmdb_env env;
    struct lmdb_writer writer; /* not started in a read-only store */
    pthread_mutex_t idle_lock;
    MDB_txn *idle[IDLE_READERS_MAX]; /* reset transactions: they keep a reader slot, no pages */
    uint32_t idle_count;
};

static struct lmdb_store *lmdb_of(struct store *s);

/* --- read transactions --------------------------------------------------------------------------------- */

static MDB_txn *reader_reuse(struct lmdb_store *l)
{
    pthread_mutex_lock(&l->idle_lock);
    MDB_txn *txn = l->idle_count > 0 ? l->idle[--l->idle_count] : NULL;
    pthread_mutex_unlock(&l->idle_lock);
    return txn;
}

static enum err reader_begin(struct lmdb_store *l, MDB_txn **txn)
{
    *txn = reader_reuse(l);
    if (!*txn) return lmdb_env_err(mdb_txn_begin(l->env.env, NULL, MDB_RDONLY, txn));
    int rc = mdb_txn_renew(*txn);
    if (rc != 0) mdb_txn_abort(*txn);
    return lmdb_env_err(rc);
}

static void reader_end(struct lmdb_store *l, MDB_txn *txn)
{
    mdb_txn_reset(txn);
    pthread_mutex_lock(&l->idle_lock);
    bool keep = l->idle_count < IDLE_READERS_MAX;
    if (keep) l->idle[l->idle_count++] = txn;
    pthread_mutex_unlock(&l->idle_lock);
    if (!keep) mdb_txn_abort(txn);
}

static void report_corrupt(struct lmdb_store *l, enum store_space space, struct span key)
{
    if (!l->env.read_only) lmdb_writer_quarantine(&l->writer, space, key);
}

/* --- the maker ----------------------------------------------------------------------------------------- */

static enum err lmdb_submit(struct store *s, const struct store_write *writes, uint32_t count,
                            store_done done, void *context)
{
    struct lmdb_store *l = lmdb_of(s);
    if (l->env.read_only) return ERR_REFUSED;
    return lmdb_writer_submit(&l->writer, writes, count, done, context, WRITER_SOON);
}

static enum err lmdb_submit_patient(struct store *s, const struct store_write *writes, uint32_t count,
                                    store_done done, void *context)
{
    struct lmdb_store *l = lmdb_of(s);
    if (l->env.read_only) return ERR_REFUSED;
    return lmdb_writer_submit(&l->writer, writes, count, done, context, WRITER_PATIENT);
}

static enum err lmdb_write_now(struct store *s, const struct store_write *writes, uint32_t count)
{
    struct lmdb_store *l = lmdb_of(s);
    return l->env.read_only ? ERR_REFUSED : lmdb_writer_now(&l->writer, writes, count);
}

static enum err value_copy(struct lmdb_store *l, enum store_space space, struct span key, struct buffer *out)
{
    MDB_txn *txn;
    MDB_val name = lmdb_env_val(key), value;
    TRY(reader_begin(l, &txn));
    enum err err = lmdb_env_err(mdb_get(txn, l->env.spaces[space], &name, &value));
    if (err == OK) err = store_copy_out(out, lmdb_env_span(value));
    reader_end(l, txn);
    return err;
}

/* The copy is what is checked: the page it came from may be read from the disk again. */
static enum err lmdb_read(struct store *s, enum store_space space, struct span key, struct buffer *out)
{
    struct lmdb_store *l = lmdb_of(s);
    size_t before = out->len;
    TRY(value_copy(l, space, key, out));
    struct span value = span_make(out->data + before, out->len - before);
    if (store_value_check(space, key, value) == OK) return OK;
    out->len = before;
    report_corrupt(l, space, key);
    return ERR_CORRUPT;
}

static enum err lmdb_has(struct store *s, enum store_space space, struct span key)
{
    struct lmdb_store *l = lmdb_of(s);
    MDB_txn *txn;
    MDB_val name = lmdb_env_val(key), value;
    TRY(reader_begin(l, &txn));
    int rc = mdb_get(txn, l->env.spaces[space], &name, &value);
    reader_end(l, txn);
    return lmdb_env_err(rc);
}

struct lmdb_scan {
    enum store_space space;
    struct span prefix;
    bool with_values;
    store_visit visit;
    void *context;
};

/* One item of a scan. A value that fails its check is passed over, as if the read had found it first. */
static enum err scan_item(struct lmdb_store *l, const struct lmdb_scan *scan, struct span key,
                          struct span value)
{
    if (!scan->with_values) return scan->visit(scan->context, key, SPAN_NONE);
    if (store_value_check(scan->space, key, value) == OK) return scan->visit(scan->context, key, value);
    report_corrupt(l, scan->space, key);
    return OK;
}

static enum err scan_run(struct lmdb_store *l, const struct lmdb_scan *scan, MDB_cursor *cursor)
{
    MDB_val key = lmdb_env_val(scan->prefix), value;
    int rc = mdb_cursor_get(cursor, &key, &value, scan->prefix.len > 0 ? MDB_SET_RANGE : MDB_FIRST);
    for (; rc == 0; rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) {
        struct span name = lmdb_env_span(key);
        if (name.len < scan->prefix.len) return OK;
        if (!span_equal(span_make(name.data, scan->prefix.len), scan->prefix)) return OK;
        TRY(scan_item(l, scan, name, lmdb_env_span(value)));
    }
    return rc == MDB_NOTFOUND ? OK : lmdb_env_err(rc);
}

static enum err lmdb_scan(struct store *s, enum store_space space, struct span prefix, bool with_values,
                          store_visit visit, void *context)
{
    struct lmdb_store *l = lmdb_of(s);
    struct lmdb_scan scan = {space, prefix, with_values, visit, context};
    MDB_txn *txn;
    MDB_cursor *cursor;
    TRY(reader_begin(l, &txn));
    enum err err = lmdb_env_err(mdb_cursor_open(txn, l->env.spaces[space], &cursor));
    if (err == OK) {
        err = scan_run(l, &scan, cursor);
        mdb_cursor_close(cursor);
    }
    reader_end(l, txn);
    return err;
}

static uint64_t stat_bytes(const MDB_stat *stat)
{
    return (stat->ms_branch_pages + stat->ms_leaf_pages + stat->ms_overflow_pages) * (uint64_t)stat->ms_psize;
}

static enum err status_fill(struct lmdb_store *l, MDB_txn *txn, struct store_status *out)
{
    MDB_stat stat;
    out->transaction = mdb_txn_id(txn);
    for (uint32_t i = 0; i < STORE_SPACE_COUNT; i++) {
        TRY(lmdb_env_err(mdb_stat(txn, l->env.spaces[i], &stat)));
        out->entries[i] = stat.ms_entries;
        out->used_bytes += stat_bytes(&stat);
    }
    TRY(lmdb_env_err(mdb_stat(txn, l->env.quarantine, &stat)));
    out->quarantined = stat.ms_entries;
    out->used_bytes += stat_bytes(&stat);
    return OK;
}

static enum err lmdb_status(struct store *s, struct store_status *out)
{
    struct lmdb_store *l = lmdb_of(s);
    MDB_txn *txn;
    TRY(reader_begin(l, &txn));
    enum err err = status_fill(l, txn, out);
    reader_end(l, txn);
    out->incarnation = l->env.incarnation;
    out->map_bytes = l->env.map_bytes;
    if (!l->env.read_only) lmdb_writer_counts(&l->writer, &out->batches, &out->syncs);
    return err;
}

static void lmdb_close(struct store *s)
{
    struct lmdb_store *l = lmdb_of(s);
    if (!l->env.read_only) lmdb_writer_stop(&l->writer);
    while (l->idle_count > 0) mdb_txn_abort(l->idle[--l->idle_count]);
    pthread_mutex_destroy(&l->idle_lock);
    lmdb_env_close(&l->env);
    free(l);
}

static const struct store_maker lmdb_maker = {
    .submit = lmdb_submit,
    .submit_patient = lmdb_submit_patient,
    .write_now = lmdb_write_now,
    .read = lmdb_read,
    .has = lmdb_has,
    .scan = lmdb_scan,
    .status = lmdb_status,
    .close = lmdb_close,
};

static struct lmdb_store *lmdb_of(struct store *s)
{
    ASSERT(s->maker == &lmdb_maker);
    return (struct lmdb_store *)s;
}

static enum err store_start(struct lmdb_store *l, const struct lmdb_options *options)
{
    TRY(lmdb_env_open(&l->env, options));
    if (options->read_only) return OK;
    enum err err = lmdb_writer_start(&l->writer, &l->env);
    if (err != OK) lmdb_env_close(&l->env);
    return err;
}

enum err lmdb_store_open(struct store **out, const struct lmdb_options *options)
{
    *out = NULL;
    struct lmdb_store *l = calloc(1, sizeof *l);
    if (!l) return ERR_NO_MEMORY;
    l->base.maker = &lmdb_maker;
    enum err err = store_start(l, options);
    if (err != OK) {
        free(l);
        return err;
    }
    pthread_mutex_init(&l->idle_lock, NULL);
    *out = &l->base;
    return OK;
}

enum err lmdb_store_copy(struct store *s, int file)
{
    return lmdb_env_err(mdb_env_copyfd2(lmdb_of(s)->env.env, file, 0));
}

const char *lmdb_store_open_text(enum err err)
{
    if (err == ERR_CORRUPT) return "data.mdb is damaged: it was cut short or changed; " STORE_DAMAGE_ADVICE;
    if (err == ERR_REFUSED)
        return "expected a store of this program, or an empty folder, and there is something else, or a "
               "store whose pages are "
               "larger than this machine's: open that on a machine like the one that made it";
    return err_text(err);
}
