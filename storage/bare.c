#include "storage/bare.h"

#include "storage/lmdb_env.h"

#include <stdlib.h>
#include <sys/stat.h>

struct bare_lmdb {
    MDB_env *env;
    MDB_dbi dbi;
    MDB_txn *reader;
};

static enum err open_env(struct bare_lmdb *b, const char *path, uint64_t map_bytes)
{
    MDB_txn *txn;
    TRY(lmdb_env_err(mdb_env_create(&b->env)));
    TRY(lmdb_env_err(mdb_env_set_mapsize(b->env, map_bytes)));
    TRY(lmdb_env_err(mdb_env_open(b->env, path, MDB_NOTLS, 0600)));
    TRY(lmdb_env_err(mdb_txn_begin(b->env, NULL, 0, &txn)));
    enum err err = lmdb_env_err(mdb_dbi_open(txn, NULL, 0, &b->dbi));
    if (err == OK) err = lmdb_env_err(mdb_txn_commit(txn));
    if (err == OK) err = lmdb_env_err(mdb_txn_begin(b->env, NULL, MDB_RDONLY, &b->reader));
    if (err == OK) mdb_txn_reset(b->reader);
    return err;
}

enum err bare_open(struct bare_lmdb **out, const char *path, uint64_t map_bytes)
{
    *out = NULL;
    if (mkdir(path, 0700) != 0) return ERR_IO;
    struct bare_lmdb *b = calloc(1, sizeof *b);
    if (b == NULL) return ERR_NO_MEMORY;
    enum err err = open_env(b, path, map_bytes);
    if (err == OK)
        *out = b;
    else
        bare_close(b);
    return err;
}

void bare_close(struct bare_lmdb *b)
{
    if (b == NULL) return;
    if (b->reader != NULL) mdb_txn_abort(b->reader);
    if (b->env != NULL) mdb_env_close(b->env);
    free(b);
}

enum err bare_put(struct bare_lmdb *b, const struct store_write *writes, uint32_t count)
{
    MDB_txn *txn;
    TRY(lmdb_env_err(mdb_txn_begin(b->env, NULL, 0, &txn)));
    enum err err = OK;
    for (uint32_t i = 0; i < count && err == OK; i++) {
        MDB_val key = lmdb_env_val(writes[i].key), value = lmdb_env_val(writes[i].value);
        err = lmdb_env_err(mdb_put(txn, b->dbi, &key, &value, 0));
    }
    if (err == OK) return lmdb_env_err(mdb_txn_commit(txn));
    mdb_txn_abort(txn);
    return err;
}

enum err bare_get(struct bare_lmdb *b, struct span key, struct span *value)
{
    MDB_val name = lmdb_env_val(key), found;
    TRY(lmdb_env_err(mdb_txn_renew(b->reader)));
    enum err err = lmdb_env_err(mdb_get(b->reader, b->dbi, &name, &found));
    if (err != OK) mdb_txn_reset(b->reader);
    *value = err == OK ? lmdb_env_span(found) : SPAN_NONE;
    return err;
}

void bare_got(struct bare_lmdb *b)
{
    mdb_txn_reset(b->reader);
}
