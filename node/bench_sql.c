/* P8, its SQL half: from the moment the shares are combined to the exact aggregate, in a run's worker: a sealed table's chunks
 * at hand are checked and opened, every field is checked against the schema, and the gate sums what the SELECT gives; against
 * plain DuckDB, as it comes, asked for the same aggregate of the plaintext file, with the same threads. A row is a unit.
 * The tick on which a worker answers is part of it. "Spooled" is a worker with the least memory there may be,
 * into which the table does not go: it stays sealed on the disk and is opened as it is read (spool.h). */
#include "node/bench.h"

#include "crypto/body.h"
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "node/duckdb.h"
#include "node/meta.h"
#include "node/worker_state.h"
#include "proto/base/panic.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SQL_ROWS_USUAL = 20000000,
    SQL_GROUPS = 4,
    SQL_SPOOLED_FROM = 64 << 20, /* bytes that do not go into the least memory a worker may have */
};

struct sealed_table {
    struct manifest manifest;
    struct ddo ddo;
    struct step step;
    struct workflow workflow;
    struct enclave_keys keys;
    uint8_t data_key[32], metadata[META_BYTES_MAX + BODY_META_OVERHEAD_BYTES];
    uint8_t *plain, *sealed, *leaves;
    size_t plain_len;
};

/* --- DuckDB, as it comes ---------------------------------------------------------------------------------------------- */

static enum err plain_open(struct duckdb_session *s)
{
    char threads[16], why[256];
    duckdb_config config = NULL;
    *s = (struct duckdb_session){0};
    TRY(duckdb_load(&s->api, why, sizeof why));
    (void)snprintf(threads, sizeof threads, "%u", bench_cores());
    bool good = s->api->create_config(&config) == DUCKDB_SUCCESS &&
                s->api->set_config(config, "threads", threads) == DUCKDB_SUCCESS &&
                s->api->open_ext(NULL, &s->database, config, NULL) == DUCKDB_SUCCESS &&
                s->api->connect(s->database, &s->connection) == DUCKDB_SUCCESS;
    s->api->destroy_config(&config);
    if (!good) duckdb_session_close(s);
    return good ? OK : ERR_NO_MEMORY;
}

static enum err plain_run(const char *sql)
{
    struct duckdb_session s;
    char why[256];
    TRY(plain_open(&s));
    enum err err = duckdb_session_run(&s, sql, why, sizeof why);
    if (err != OK) (void)fprintf(stderr, "perigee bench: %s\n", why);
    duckdb_session_close(&s);
    return err;
}

static enum err make_file(const char path[BENCH_FOLDER_MAX + 8], uint64_t rows, const char *how)
{
    char sql[1024];
    (void)snprintf(
        sql, sizeof sql,
        "COPY (SELECT CAST(i AS INTEGER) AS id, ['a','b','c','d'][1 + CAST(i %% 4 AS INTEGER)] AS g, "
        "18 + CAST(hash(i) %% 80 AS INTEGER) AS age, CAST(hash(i + 1) %% 2000 AS DOUBLE) / 10 AS bp "
        "FROM range(%llu) t(i)) TO '%s' (%s)",
        (unsigned long long)rows, path, how);
    return plain_run(sql);
}

static enum err time_plain(double *seconds, const char *path, enum meta_format format)
{
    char sql[1024];
    (void)snprintf(sql, sizeof sql,
                   "SELECT g, count(*), sum(age), sum(CAST(bp AS DECIMAL(18,1))) FROM %s('%s') GROUP BY g",
                   format == META_CSV ? "read_csv" : "read_parquet", path);
    const double began = bench_now();
    TRY(plain_run(sql));
    *seconds = bench_now() - began;
    return OK;
}

/* --- The recipe, as a parsed one is ------------------------------------------------------------------------------------- */

static void set_schema(struct schema *schema)
{
    const struct column column[] = {{.name = SPAN_LITERAL("id"), .type = COLUMN_INTEGER},
                                    {.name = SPAN_LITERAL("g"), .type = COLUMN_TEXT},
                                    {.name = SPAN_LITERAL("age"), .type = COLUMN_INTEGER},
                                    {.name = SPAN_LITERAL("bp"), .type = COLUMN_DECIMAL}};
    schema->column_count = sizeof column / sizeof *column;
    memcpy(schema->column, column, sizeof column);
}

static void set_step(struct step *s)
{
    s->select = SPAN_LITERAL("SELECT g, age, bp FROM input");
    s->runtime = RUNTIME_SELECT;
    s->rows_per_unit = 1;
    s->group_count = 1;
    s->group[0] =
        (struct group_column){SPAN_LITERAL("g"),
                              SQL_GROUPS,
                              {SPAN_LITERAL("a"), SPAN_LITERAL("b"), SPAN_LITERAL("c"), SPAN_LITERAL("d")}};
    s->cell_count = SQL_GROUPS;
    s->statistic_count = 3;
    s->statistic[0] = (struct statistic){.name = SPAN_LITERAL("rows"), .kind = STATISTIC_COUNT};
    s->statistic[1] = (struct statistic){
        .name = SPAN_LITERAL("ages"), .kind = STATISTIC_SUM, .column = SPAN_LITERAL("age"), .upper = 120};
    s->statistic[2] = (struct statistic){.name = SPAN_LITERAL("pressures"),
                                         .kind = STATISTIC_SUM,
                                         .column = SPAN_LITERAL("bp"),
                                         .places = 1,
                                         .upper = 3000};
}

static void set_recipe(struct sealed_table *t, uint64_t rows)
{
    set_schema(&t->ddo.schema);
    set_step(&t->step);
    t->manifest.row_count = rows;
    t->workflow.step = &t->step;
    t->workflow.step_count = t->workflow.input_count = 1;
    t->workflow.output = OUTPUT_AGGREGATE;
    t->workflow.output_bytes_max = 8192;
    t->workflow.privacy_none = true;
    t->keys.input_count = 1;
    t->keys.manifest[0] = &t->manifest;
    t->keys.ddo[0] = &t->ddo;
}

/* --- Sealing ------------------------------------------------------------------------------------------------------------ */

static enum err seal_metadata(struct sealed_table *t, enum meta_format format)
{
    uint8_t plain[META_BYTES_MAX];
    struct buffer text = BUFFER_OF(plain);
    struct meta meta = {.format = format, .header = format == META_CSV, .delimiter = ','};
    TRY(meta_write(&text, &meta));
    TRY(body_seal_meta(t->metadata, t->data_key, t->manifest.salt, buffer_span(&text)));
    t->manifest.metadata = span_make(t->metadata, text.len + BODY_META_OVERHEAD_BYTES);
    return OK;
}

static enum err seal_chunks(struct sealed_table *t, struct body_key *key, struct body_summary *summary)
{
    struct hash32 *leaf = (struct hash32 *)(void *)t->leaves;
    for (uint32_t i = 0; i < summary->chunk_count; i++) {
        const struct span plain =
            span_make(t->plain + (size_t)i * BODY_CHUNK_BYTES, body_plain_bytes(summary, i));
        uint8_t *sealed = t->sealed + (size_t)i * BODY_SEALED_MAX;
        TRY(body_seal_chunk(sealed, key, i, plain));
        leaf[i] = blake3(span_make(sealed, plain.len + BODY_TAG_BYTES));
    }
    summary->root = body_root(leaf, summary->chunk_count);
    return OK;
}

static enum err seal_plain(struct sealed_table *t, enum meta_format format)
{
    struct body_key *key = NULL;
    struct body_summary s = {.suite = body_suite_best(),
                             .plain_len = t->plain_len,
                             .chunk_count = (uint32_t)(t->plain_len / BODY_CHUNK_BYTES + 1)};
    t->sealed = malloc((size_t)s.chunk_count * BODY_SEALED_MAX);
    t->leaves = calloc(s.chunk_count, 32);
    if (t->sealed == NULL || t->leaves == NULL) return ERR_NO_MEMORY;
    random_fill(t->data_key, sizeof t->data_key);
    random_fill(s.salt.bytes, sizeof s.salt.bytes);
    TRY(body_key_derive(&key, t->data_key, s.suite, s.salt));
    s.commitment = body_key_commitment(key);
    enum err err = seal_chunks(t, key, &s);
    body_key_free(key);
    t->manifest.suite = s.suite;
    t->manifest.plain_len = s.plain_len;
    t->manifest.chunk_count = s.chunk_count;
    t->manifest.salt = s.salt;
    t->manifest.commitment = s.commitment;
    t->manifest.root = s.root;
    return err == OK ? seal_metadata(t, format) : err;
}

static enum err seal_from(struct sealed_table *t, const char *path, enum meta_format format)
{
    struct stat is;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return ERR_IO;
    void *map = fstat(fd, &is) == 0 && is.st_size > 0
                    ? mmap(NULL, (size_t)is.st_size, PROT_READ, MAP_PRIVATE, fd, 0)
                    : MAP_FAILED;
    (void)close(fd);
    if (map == MAP_FAILED) return ERR_IO;
    t->plain = map;
    t->plain_len = (size_t)is.st_size;
    enum err err = seal_plain(t, format);
    (void)munmap(map, t->plain_len);
    return err;
}

/* --- The worker --------------------------------------------------------------------------------------------------------- */

static enum err execute(struct worker *w, const struct sealed_table *t, const struct enclave_effect *effect,
                        struct worker_reply *reply)
{
    worker_execute(w, reply, effect, &t->keys);
    return reply->err;
}

static enum err fill_worker(struct worker *w, const struct sealed_table *t)
{
    struct worker_reply reply;
    const struct enclave_effect begin = {.type = ENCLAVE_INPUT_BEGIN,
                                         .bytes = span_make(t->leaves, (size_t)t->manifest.chunk_count * 32)};
    TRY(execute(w, t, &begin, &reply));
    for (uint32_t i = 0; i < t->manifest.chunk_count; i++) {
        const size_t len =
            i + 1 < t->manifest.chunk_count ? BODY_CHUNK_BYTES : t->plain_len % BODY_CHUNK_BYTES;
        const struct enclave_effect chunk = {
            .type = ENCLAVE_INPUT_CHUNK,
            .chunk = i,
            .bytes = span_make(t->sealed + (size_t)i * BODY_SEALED_MAX, len + BODY_TAG_BYTES)};
        TRY(execute(w, t, &chunk, &reply));
    }
    return OK;
}

/* The output names each group's rows, which are a quarter each. */
static bool is_right(const struct worker_reply *reply, uint64_t rows)
{
    char expected[32];
    const int len = snprintf(expected, sizeof expected, "%llu", (unsigned long long)rows / SQL_GROUPS);
    return memmem(reply->bytes, reply->len, expected, (size_t)len) != NULL;
}

struct sql_times {
    double all[BENCH_ROUNDS], opening[BENCH_ROUNDS], plain[BENCH_ROUNDS];
};

/* `spool` -1: the table is held in memory. */
static enum err time_worker(struct sql_times *times, int round, const struct sealed_table *t, int spool)
{
    struct worker *w;
    struct worker_reply reply = {.err = OK};
    const uint64_t memory =
        spool < 0 ? t->plain_len + ((uint64_t)2 << 30) : (uint64_t)WORKER_MEMORY_MB_MIN << 20;
    const struct worker_options options = {.threads = bench_cores(), .memory_bytes = memory, .spool = spool};
    TRY(worker_new(&w, &options));
    memcpy(w->secret->run.data_key[0], t->data_key, 32);
    w->unlock.done = true;
    const double began = bench_now();
    enum err err = fill_worker(w, t);
    times->opening[round] = bench_now() - began;
    const struct enclave_effect compute = {.type = ENCLAVE_COMPUTE, .workflow = &t->workflow};
    if (err == OK) err = execute(w, t, &compute, &reply);
    times->all[round] = bench_now() - began;
    if (err == OK && !is_right(&reply, t->manifest.row_count)) err = ERR_CONFLICT;
    worker_reply_free(&reply);
    worker_free(w);
    return err;
}

/* --- Both ----------------------------------------------------------------------------------------------------------------- */

static void print(const struct bench *b, struct sql_times *t, const char *name)
{
    char line[64];
    double ratio[BENCH_ROUNDS], part[BENCH_ROUNDS];
    for (int i = 0; i < BENCH_ROUNDS; i++) {
        ratio[i] = t->all[i] / t->plain[i];
        part[i] = t->opening[i] / t->all[i];
    }
    (void)snprintf(line, sizeof line, "%s_%llu_rows", name, (unsigned long long)b->rows);
    bench_print(b, line, bench_median(t->all, BENCH_ROUNDS) * 1e3, "ms", bench_median(ratio, BENCH_ROUNDS),
                "plain_duckdb_time");
    (void)snprintf(line, sizeof line, "%s_%llu_rows.opening", name, (unsigned long long)b->rows);
    bench_print(b, line, bench_median(t->opening, BENCH_ROUNDS) * 1e3, "ms", bench_median(part, BENCH_ROUNDS),
                name);
}

static enum err all_rounds(struct sql_times *times, const struct sealed_table *t, const char *path,
                           enum meta_format format, bool spooled)
{
    for (int i = 0; i < BENCH_ROUNDS; i++) {
        const int spool = spooled ? bench_unnamed_file() : -1;
        if (spooled && spool < 0) return ERR_IO;
        enum err err = time_plain(&times->plain[i], path, format);
        if (err == OK) err = time_worker(times, i, t, spool);
        if (spool >= 0) (void)close(spool);
        TRY(err);
    }
    return OK;
}

struct sql_kind {
    enum meta_format format;
    const char *how, *name, *spooled_name;
};

static enum err one_kind(const struct bench *b, const char *dir, const struct sql_kind *k)
{
    static struct sealed_table t;
    struct sql_times times;
    char path[BENCH_FOLDER_MAX + 8];
    memset(&t, 0, sizeof t);
    (void)snprintf(path, sizeof path, "%s/rows", dir);
    set_recipe(&t, b->rows);
    enum err err = make_file(path, b->rows, k->how);
    if (err == OK) err = seal_from(&t, path, k->format);
    if (err == OK) err = all_rounds(&times, &t, path, k->format, false);
    if (err == OK) print(b, &times, k->name);
    const bool spooled = err == OK && t.plain_len > SQL_SPOOLED_FROM;
    if (spooled) err = all_rounds(&times, &t, path, k->format, true);
    if (spooled && err == OK) print(b, &times, k->spooled_name);
    free(t.sealed);
    free(t.leaves);
    return err;
}

enum err bench_sql(const struct bench *b)
{
    static const struct sql_kind kinds[] = {
        {META_PARQUET, "FORMAT parquet", "sql_parquet", "sql_parquet_spooled"},
        {META_CSV, "FORMAT csv, HEADER", "sql_csv", "sql_csv_spooled"}};
    char dir[BENCH_FOLDER_MAX];
    struct bench counted = *b;
    if (counted.rows == 0) counted.rows = SQL_ROWS_USUAL;
    TRY(bench_folder_make(dir));
    enum err err = OK;
    for (size_t i = 0; err == OK && i < sizeof kinds / sizeof *kinds; i++)
        err = one_kind(&counted, dir, &kinds[i]);
    bench_folder_remove(dir);
    return err;
}
