#include "storage/lmdb_env.h"

#include "storage/lmdb_check.h"
#include "storage/lmdb_damage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILE_DATA        "data.mdb"
#define FILE_LOCK        "lock.mdb"
#define META_NAME        "perigee"
#define META_SCHEMA      "schema"
#define META_INCARNATION "incarnation"
#define QUARANTINE_NAME  "quarantine"

enum { ENV_READERS_MAX = 512, ENV_LOCK_BYTES = 64 * 1024, ENV_TRY_MAX = 200 };
static const uint64_t ENV_MAP_BYTES = 1ULL << 40;
/* Kept back for deletes: pages freed now serve the transaction after the next, so three times what the
 * largest batch rewrites, a leaf and a branch for each of its writes. */
enum { ENV_RESERVE_BYTES_MAX = 4 << 20, ENV_RESERVE_PART = 4 };

#define SPACE_NAME(symbol, name, text) name,
static const char *const space_names[STORE_SPACE_COUNT] = {STORE_SPACE_TABLE(SPACE_NAME)};
#undef SPACE_NAME

/* Process-wide as the hazard is: closing any descriptor of the lock file drops all locks of the process. */
static pthread_mutex_t open_lock = PTHREAD_MUTEX_INITIALIZER;
static struct lmdb_env *open_list;

enum err lmdb_env_err(int rc)
{
    switch (rc) {
    case MDB_SUCCESS: return OK;
    case MDB_NOTFOUND: return ERR_NOT_FOUND;
    case MDB_VERSION_MISMATCH: return ERR_VERSION;
    case MDB_READERS_FULL: return ERR_BUSY;
    case ENOMEM: return ERR_NO_MEMORY;
    }
    bool full = rc == MDB_MAP_FULL || rc == MDB_MAP_RESIZED || rc == MDB_TXN_FULL || rc == ENOSPC ||
                rc == EDQUOT || rc == EFBIG;
    bool corrupt =
        rc == MDB_INVALID || rc == MDB_CORRUPTED || rc == MDB_PAGE_NOTFOUND || rc == MDB_CURSOR_FULL;
    return full ? ERR_FULL : corrupt ? ERR_CORRUPT : ERR_IO;
}

#define TRY_MDB(call) TRY(lmdb_env_err(call))

MDB_val lmdb_env_val(struct span bytes)
{
    return (MDB_val){bytes.len, (void *)(uintptr_t)bytes.data};
}

struct span lmdb_env_span(MDB_val value)
{
    return span_make(value.mv_data, value.mv_size);
}

/* --- the directory ------------------------------------------------------------------------------------- */

static enum err errno_err(void)
{
    return errno == ENOENT ? ERR_NOT_FOUND : lmdb_env_err(errno);
}

static bool name_is_ours(const char *name)
{
    const char *const ours[] = {".", "..", FILE_DATA, FILE_LOCK};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        if (strcmp(name, ours[i]) == 0) return true;
    return false;
}

/* Nothing in it but, perhaps, what a crash during creation left, or another process is just making. */
static enum err directory_empty(int directory)
{
    int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *listing = copy < 0 ? NULL : fdopendir(copy);
    if (!listing) {
        if (copy >= 0) close(copy);
        return ERR_IO;
    }
    enum err err = OK;
    for (struct dirent *at; err == OK && (at = readdir(listing));) {
        if (!name_is_ours(at->d_name)) err = ERR_REFUSED;
    }
    closedir(listing);
    return err;
}

/* LMDB writes to a sparse lock file through a map: on a full disk that would be a fatal signal. */
static enum err directory_lock_file(int directory)
{
    int file = openat(directory, FILE_LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) return errno_err();
    int rc = posix_fallocate(file, 0, ENV_LOCK_BYTES);
    close(file);
    return lmdb_env_err(rc);
}

static enum err directory_data_file(int directory)
{
    int file = openat(directory, FILE_DATA, O_RDONLY | O_CLOEXEC);
    if (file < 0) return errno_err();
    enum err err = lmdb_check_heads(file);
    close(file);
    return err;
}

static enum err directory_claim(int directory, const struct stat *is, bool read_only)
{
    struct stat data;
    bool present = fstatat(directory, FILE_DATA, &data, 0) == 0;
    if (present && !S_ISREG(data.st_mode)) return ERR_REFUSED;
    if (read_only && (!present || data.st_size == 0))
        return ERR_NOT_FOUND; /* no lock file for what is none */
    TRY(present ? directory_data_file(directory) : directory_empty(directory));
    if (read_only) return OK;
    if ((is->st_mode & 0777) != 0700 && fchmod(directory, 0700) != 0) return errno_err();
    return directory_lock_file(directory);
}

static enum err directory_sync(int directory)
{
    int parent = openat(directory, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = fsync(directory) == 0 && (parent < 0 || fsync(parent) == 0);
    if (parent >= 0) close(parent);
    return synced ? OK : ERR_IO;
}

/* --- the list of open environments --------------------------------------------------------------------- */

static bool open_list_has(const struct stat *is)
{
    for (const struct lmdb_env *e = open_list; e; e = e->next_open)
        if (e->device == is->st_dev && e->inode == is->st_ino) return true;
    return false;
}

static void open_list_add(struct lmdb_env *e, const struct stat *is)
{
    e->device = is->st_dev;
    e->inode = is->st_ino;
    e->next_open = open_list;
    open_list = e;
}

static void open_list_remove(const struct lmdb_env *e)
{
    struct lmdb_env **at = &open_list;
    while (*at != e) at = &(*at)->next_open;
    *at = e->next_open;
}

/* --- databases and schema ------------------------------------------------------------------------------ */

static enum err meta_read(const struct lmdb_env *e, MDB_txn *txn, const char *name, void *out, size_t len)
{
    MDB_val key = lmdb_env_val(span_text(name)), value;
    int rc = mdb_get(txn, e->meta, &key, &value);
    if (rc == MDB_NOTFOUND || (rc == 0 && value.mv_size != len)) return ERR_CORRUPT;
    TRY_MDB(rc);
    memcpy(out, value.mv_data, len);
    return OK;
}

/* LMDB does not say where its map is; the page of a small value bears its number, which was checked. */
static enum err map_find(struct lmdb_env *e)
{
    MDB_txn *txn;
    MDB_val key = lmdb_env_val(span_text(META_SCHEMA)), value;
    TRY_MDB(mdb_txn_begin(e->env, NULL, MDB_RDONLY, &txn));
    const int rc = mdb_get(txn, e->meta, &key, &value);
    if (rc == 0) {
        uint64_t number;
        const uint8_t *page = (const uint8_t *)((uintptr_t)value.mv_data & ~(uintptr_t)(e->page_bytes - 1));
        memcpy(&number, page, sizeof number);
        e->map = page - number * e->page_bytes;
    }
    mdb_txn_abort(txn);
    return lmdb_env_err(rc);
}

static enum err meta_write(const struct lmdb_env *e, MDB_txn *txn, const char *name, struct span bytes)
{
    MDB_val key = lmdb_env_val(span_text(name)), value = lmdb_env_val(bytes);
    return lmdb_env_err(mdb_put(txn, e->meta, &key, &value, 0));
}

static enum err databases_open(struct lmdb_env *e, MDB_txn *txn, unsigned flags)
{
    TRY_MDB(mdb_dbi_open(txn, META_NAME, flags, &e->meta));
    for (uint32_t i = 0; i < STORE_SPACE_COUNT; i++)
        TRY_MDB(mdb_dbi_open(txn, space_names[i], flags, &e->spaces[i]));
    return lmdb_env_err(mdb_dbi_open(txn, QUARANTINE_NAME, flags, &e->quarantine));
}

static enum err schema_create(struct lmdb_env *e, MDB_txn *txn)
{
    uint8_t schema[4];
    store_u32(schema, STORE_SCHEMA_VERSION);
    if (getrandom(e->incarnation.bytes, 32, 0) != 32) return ERR_IO;
    TRY(databases_open(e, txn, MDB_CREATE));
    TRY(meta_write(e, txn, META_SCHEMA, SPAN_OF(schema)));
    return meta_write(e, txn, META_INCARNATION, ID_SPAN(e->incarnation));
}

static enum err incarnation_renew(struct lmdb_env *e, MDB_txn *txn)
{
    if (getrandom(e->incarnation.bytes, 32, 0) != 32) return ERR_IO;
    return meta_write(e, txn, META_INCARNATION, ID_SPAN(e->incarnation));
}

/* The schema is judged before any other database is looked for. */
static enum err schema_read(struct lmdb_env *e, MDB_txn *txn)
{
    uint8_t schema[4];
    int rc = mdb_dbi_open(txn, META_NAME, 0, &e->meta);
    if (rc == MDB_NOTFOUND || rc == MDB_INCOMPATIBLE) return ERR_REFUSED;
    TRY_MDB(rc);
    TRY(meta_read(e, txn, META_SCHEMA, schema, sizeof schema));
    if (load_u32(schema) != STORE_SCHEMA_VERSION) return ERR_VERSION;
    TRY(meta_read(e, txn, META_INCARNATION, e->incarnation.bytes, 32));
    if (e->renew) TRY(incarnation_renew(e, txn));
    enum err err = databases_open(e, txn, 0);
    return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
}

/* Has nothing at all been stored here yet? */
static enum err schema_absent(MDB_txn *txn, bool *absent)
{
    MDB_dbi names;
    MDB_stat stat;
    TRY_MDB(mdb_dbi_open(txn, NULL, 0, &names));
    TRY_MDB(mdb_stat(txn, names, &stat));
    *absent = stat.ms_entries == 0;
    return OK;
}

/* One look in a read transaction; ERR_NOT_READY when the schema is still to be made. */
static enum err schema_settle(struct lmdb_env *e, bool may_create)
{
    MDB_txn *txn;
    bool absent;
    TRY_MDB(mdb_txn_begin(e->env, NULL, may_create || e->renew ? 0 : MDB_RDONLY, &txn));
    enum err err = schema_absent(txn, &absent);
    if (err == OK && absent)
        err = may_create ? schema_create(e, txn) : ERR_NOT_READY;
    else if (err == OK)
        err = schema_read(e, txn);
    if (err == OK) return lmdb_env_err(mdb_txn_commit(txn));
    mdb_txn_abort(txn);
    return err;
}

/* --- open and close ------------------------------------------------------------------------------------ */

/* Its assertions are over what it reads from its pages. */
static void env_assert(MDB_env *env, const char *what)
{
    const char *path = "the store";
    int rc = mdb_env_get_path(env, &path);
    (void)rc;
    lmdb_damage_found(path, what);
}

static enum err env_configure(struct lmdb_env *e, const struct lmdb_options *options)
{
    MDB_envinfo info;
    MDB_stat stat;
    int dead;
    unsigned flags = MDB_NOTLS | (options->read_only ? MDB_RDONLY : 0);
    TRY_MDB(mdb_env_set_mapsize(e->env, options->map_bytes ? options->map_bytes : ENV_MAP_BYTES));
    TRY_MDB(mdb_env_set_maxdbs(e->env, STORE_SPACE_COUNT + 2));
    TRY_MDB(mdb_env_set_maxreaders(e->env, ENV_READERS_MAX));
    TRY_MDB(mdb_env_set_assert(e->env, env_assert));
    TRY_MDB(mdb_env_open(e->env, options->path, flags, 0600));
    TRY_MDB(mdb_env_info(e->env, &info));
    TRY_MDB(mdb_env_stat(e->env, &stat));
    if (stat.ms_psize > (unsigned long)sysconf(_SC_PAGESIZE))
        return ERR_REFUSED; /* made on another machine */
    e->page_bytes = stat.ms_psize;
    e->map_bytes = info.me_mapsize;
    return lmdb_env_err(mdb_reader_check(e->env, &dead)); /* a killed reader would keep old pages for ever */
}

static enum err env_try(struct lmdb_env *e, const struct lmdb_options *options)
{
    TRY_MDB(mdb_env_create(&e->env));
    enum err err = env_configure(e, options);
    if (err == OK) err = lmdb_check(e->env, options->every_value);
    if (err != OK) mdb_env_close(e->env);
    return err;
}

/* Who opens an environment alone makes its lock file anew. Killed in the middle of that, it leaves it to whoever waited for
 * it: without the last snapshot's number, so that LMDB would write over what was committed. Closed and opened again, it is
 * made anew, as soon as nobody else holds it. */
static enum err env_open(struct lmdb_env *e, const struct lmdb_options *options)
{
    const struct timespec pause = {0, 1000000};
    enum err err = ERR_NOT_READY;
    for (uint32_t i = 0; i < ENV_TRY_MAX && err == ERR_NOT_READY; i++) {
        if (i > 0) (void)nanosleep(&pause, NULL);
        err = env_try(e, options);
    }
    return err == ERR_NOT_READY ? ERR_BUSY : err;
}

static enum err env_start(struct lmdb_env *e, const struct lmdb_options *options)
{
    TRY(env_open(e, options));
    enum err err = schema_settle(e, false);
    if (err == ERR_NOT_READY) err = options->read_only ? ERR_NOT_FOUND : schema_settle(e, true);
    if (err == OK) err = map_find(e);
    if (err != OK) mdb_env_close(e->env);
    return err;
}

static enum err env_open_in(struct lmdb_env *e, int directory, const struct lmdb_options *options)
{
    struct stat is;
    if (fstat(directory, &is) != 0) return ERR_IO;
    if (open_list_has(&is)) return ERR_BUSY;
    TRY(lmdb_damage_watch());
    TRY(directory_claim(directory, &is, options->read_only));
    TRY(env_start(e, options));
    if (!options->read_only && directory_sync(directory) != OK) {
        mdb_env_close(e->env);
        return ERR_IO;
    }
    open_list_add(e, &is);
    return OK;
}

enum err lmdb_env_open(struct lmdb_env *e, const struct lmdb_options *options)
{
    memset(e, 0, sizeof *e);
    e->read_only = options->read_only;
    e->renew = options->renew && !options->read_only;
    e->committed = options->committed;
    e->context = options->context;
    if (!options->read_only && mkdir(options->path, 0700) != 0 && errno != EEXIST) return errno_err();
    int directory = open(options->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return errno_err();
    pthread_mutex_lock(&open_lock);
    enum err err = env_open_in(e, directory, options);
    pthread_mutex_unlock(&open_lock);
    close(directory);
    return err;
}

void lmdb_env_close(struct lmdb_env *e)
{
    pthread_mutex_lock(&open_lock);
    open_list_remove(e);
    mdb_env_close(e->env);
    pthread_mutex_unlock(&open_lock);
}

/* A value on pages of its own begins behind the head of the first, where no other value can. Those of this transaction are
 * not in the map yet, and are as LMDB made them. */
enum err lmdb_env_replaceable(const struct lmdb_env *e, MDB_dbi dbi, struct span value)
{
    const uintptr_t at = (uintptr_t)value.data, map = (uintptr_t)e->map;
    if (at < map || at - map >= e->map_bytes || (at - map) % e->page_bytes != LMDB_HEAD_BYTES) return OK;
    const uint64_t has = lmdb_far_count(value.data - LMDB_HEAD_BYTES, (at - map) / e->page_bytes);
    const uint64_t needs = lmdb_far_pages(value.len, e->page_bytes);
    const bool more =
        has > needs && dbi != e->spaces[STORE_BLOB]; /* its tree's head was found to know of them */
    return has == needs || more ? OK : ERR_CORRUPT;
}

/* --- room ---------------------------------------------------------------------------------------------- */

/* Pages on LMDB's free list: database 0, each value a count followed by page numbers. */
static enum err free_pages_in(MDB_txn *txn, uint64_t *pages)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    TRY_MDB(mdb_cursor_open(txn, 0, &cursor));
    int rc;
    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        size_t count = 0;
        if (value.mv_size >= sizeof count) memcpy(&count, value.mv_data, sizeof count);
        *pages += count;
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? OK : lmdb_env_err(rc);
}

/* LMDB shows that list to read transactions only. */
static enum err free_pages(const struct lmdb_env *e, uint64_t *pages)
{
    MDB_txn *txn;
    TRY_MDB(mdb_txn_begin(e->env, NULL, MDB_RDONLY, &txn));
    enum err err = free_pages_in(txn, pages);
    mdb_txn_abort(txn);
    return err;
}

enum err lmdb_env_room(const struct lmdb_env *e, uint64_t *room_bytes)
{
    MDB_envinfo info;
    uint64_t pages = 0, reserve = e->map_bytes / ENV_RESERVE_PART;
    TRY_MDB(mdb_env_info(e->env, &info));
    uint64_t used = ((uint64_t)info.me_last_pgno + 1) * e->page_bytes;
    uint64_t room = used < e->map_bytes ? e->map_bytes - used : 0;
    if (room < e->map_bytes / 2) TRY(free_pages(e, &pages)); /* far from full, nobody needs to count */
    room += pages * e->page_bytes;
    if (reserve > ENV_RESERVE_BYTES_MAX) reserve = ENV_RESERVE_BYTES_MAX;
    *room_bytes = room > reserve ? room - reserve : 0;
    return OK;
}
