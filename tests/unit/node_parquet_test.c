/* Parquet, from the owner's file to the rows a query reads: sealed, opened again with the custodians' share, and counted
 * by the gate's own reader; files of another schema and cut files are refused with a reason and leave nothing behind. */
#include "crypto/body.h"
#include "crypto/cid.h"
#include "crypto/secret.h"
#include "node/duckdb.h"
#include "node/file.h"
#include "node/seal.h"
#include "node/study.h"
#include "tests/dealer.h"
#include "tests/gate_case.h"
#include "tests/sample.h"
#include "tests/storage_place.h"

enum { ROW_COUNT = 4000, PLAIN_BYTES_MAX = 1 << 20 };

static struct storage_place place;
static struct store *store;
static struct dealer_key dealer;
static struct study *study;
static struct schema schema;
static char path[128], fault[512];

/* The columns of configs/studies/cardio-renal.yaml, in the narrow types that a hospital's export would have.
 * Part of a printf format. */
#define GOOD_COLUMNS                                                                                         \
    "'p' || (i // 2) AS patient_id, (40 + i %% 50)::TINYINT AS age, CASE WHEN i %% 4 = 0 THEN 'f' ELSE 'm' " \
    "END AS sex, (110 + i %% 40)::SMALLINT AS systolic_bp, CASE WHEN i %% 10 <> 0 THEN (60 + (i %% 5) * "    \
    "0.5)::DECIMAL(9,2) END AS creatinine_umol_l, 90::INTEGER AS egfr, i %% 7 = 0 AS diabetes, i %% 3 = 0 "  \
    "AS "                                                                                                    \
    "outcome"

static int begin(void **state)
{
    char study_path[512];
    (void)state;
    (void)snprintf(study_path, sizeof study_path, "%s/configs/studies/cardio-renal.yaml", PERIGEE_SOURCE_DIR);
    if (study_load(&study, study_path, fault, sizeof fault) != OK) {
        print_message("%s\n", fault);
        return -1;
    }
    study_schema(&schema, study);
    storage_place_make(&place);
    store = storage_place_open(&place, UINT64_C(1) << 30);
    dealer = dealer_make(1, 1, 7);
    (void)snprintf(path, sizeof path, "%s/rows.parquet", place.root);
    return 0;
}

static int finish(void **state)
{
    (void)state;
    store_close(store);
    (void)unlink(path);
    storage_place_remove(&place);
    study_close(study);
    return 0;
}

/* Writes `select` over rows with GOOD_COLUMNS as Parquet. */
static void put_parquet(const char *select)
{
    struct duckdb_session s;
    char sql[2048];
    assert_int_equal(duckdb_session_open(&s, 1, UINT64_C(256) << 20, fault, sizeof fault), OK);
    int len = snprintf(sql, sizeof sql,
                       "COPY (SELECT %s FROM (SELECT " GOOD_COLUMNS
                       " FROM range(%d) r(i))) TO '%s' (FORMAT parquet)",
                       select, ROW_COUNT, path);
    assert_in_range(len, 1, sizeof sql - 1);
    if (duckdb_session_run(&s, sql, fault, sizeof fault) != OK) fail_msg("%s", fault);
    duckdb_session_close(&s);
}

static struct seal_options options(void)
{
    struct seal_options o;
    memset(&o, 0, sizeof o);
    o.path = path;
    o.meta.format = META_PARQUET;
    o.schema = &schema;
    memset(o.owner.bytes, 1, 32);
    memset(o.dt.bytes, 2, 32);
    memset(o.app_id.bytes, 3, 32);
    memset(o.compose.bytes, 4, 32);
    o.policy = SPAN_LITERAL("a policy");
    o.root_key = dealer.key.y;
    o.store = store;
    return o;
}

/* --- Opening, as an enclave does ---------------------------------------------------------------------------------- */

static struct span read_blob(enum cid_hash code, struct hash32 hash)
{
    static uint8_t memory[BLOB_BYTES_MAX];
    struct buffer out = buffer_make(memory, sizeof memory);
    const struct cid cid = cid_make(code, hash);
    assert_int_equal(store_read(store, STORE_BLOB, SPAN_OF(cid.bytes), &out), OK);
    return buffer_span(&out);
}

static void open_envelope(uint8_t data_key[32], const struct manifest *m)
{
    struct envelope envelope;
    struct dec_share share;
    const struct label label =
        label_make(group_key_id(&dealer.key.y), m->app_id, m->compose, m->owner, m->content, m->policy);
    memcpy(envelope.bytes, m->envelope, sizeof envelope.bytes);
    assert_int_equal(envelope_share(&share, &envelope, &dealer.key.y, &label, 1, &dealer.share[0]), OK);
    assert_int_equal(envelope_open(data_key, &envelope, &dealer.key, &label, &share, 1), OK);
}

static void open_meta(const struct manifest *m, const uint8_t data_key[32])
{
    uint8_t bytes[META_BYTES_MAX];
    struct meta meta;
    assert_int_equal(body_open_meta(bytes, data_key, m->salt, m->metadata), OK);
    struct span plain = span_make(bytes, m->metadata.len - BODY_META_OVERHEAD_BYTES);
    assert_int_equal(meta_parse(&meta, sample_arena(), plain, NULL), OK);
    assert_int_equal(meta.format, META_PARQUET);
}

/* A memfd with the plaintext, of the one chunk that these files have. */
static int open_body(const struct manifest *m, const uint8_t data_key[32])
{
    static uint8_t plain[PLAIN_BYTES_MAX];
    struct body_key *key = NULL;
    struct hash32 leaf;
    assert_int_equal(m->chunk_count, 1);
    assert_in_range(m->plain_len, 1, sizeof plain);
    assert_int_equal(body_key_derive(&key, data_key, m->suite, m->salt), OK);
    memcpy(leaf.bytes, read_blob(CID_SHA256, m->leaves).data, 32);
    assert_int_equal(body_open_chunk(plain, key, 0, read_blob(CID_BLAKE3, leaf)), OK);
    body_key_free(key);
    int fd = memfd_create("rows", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, plain, (size_t)m->plain_len), (ssize_t)m->plain_len);
    return fd;
}

/* --- Reading, as the gate does ------------------------------------------------------------------------------------ */

/* The exact integers of groups f and m: rows, readings, and the sum of these. */
static void check_sums(int fd)
{
    struct gate_case c;
    struct gate g = {0};
    grid_wide sums[6];
    int64_t rows[2] = {0}, readings[2] = {0}, total[2] = {0};
    gate_case_init(&c, "SELECT patient_id AS u, sex AS g, creatinine_umol_l AS v FROM input", "u", 2);
    c.schema = schema;
    c.workflow.input_count = 1;
    c.input[0] = (struct gate_input){&c.schema, SPAN_LITERAL("patient_id"), ROW_COUNT};
    struct tables_source source = {fd, TABLES_PARQUET, false, 0, SPAN_NONE, &c.schema};
    g = (struct gate){.workflow = &c.workflow, .input = c.input, .choice = &c.choice, .seed32 = c.seed32};
    g.unit_bytes_max = c.unit_bytes_max;
    assert_int_equal(engine_open(&g.engine, ENGINE_CPU), OK);
    assert_int_equal(tables_open(&g.tables, 1, UINT64_C(256) << 20, fault, sizeof fault), OK);
    assert_int_equal(tables_add(g.tables, &source), OK);
    assert_int_equal(tables_lock(g.tables, fault, sizeof fault), OK);
    assert_int_equal(gate_sums(sums, &g, 0), OK);
    gate_case_close(&g);
    for (int i = 0; i < ROW_COUNT; i++) {
        int group = i % 4 == 0 ? 0 : 1;
        rows[group]++;
        if (i % 10 == 0) continue;
        readings[group]++;
        total[group] +=
            2 * (600 + (i % 5) * 5) - (900 - 100); /* tenths, twice the distance from the middle */
    }
    for (int group = 0; group < 2; group++) {
        assert_int_equal((int64_t)sums[group], rows[group]);
        assert_int_equal((int64_t)sums[2 + group], readings[group]);
        assert_int_equal((int64_t)sums[4 + group], total[group]);
    }
}

static void seals_opens_and_counts(void **state)
{
    struct seal_options o = options();
    struct seal_result result;
    struct manifest *m = NULL;
    uint8_t data_key[32];
    (void)state;
    put_parquet("*, 'not declared' AS extra");
    if (seal_file(&result, &o, fault, sizeof fault) != OK) fail_msg("%s", fault);
    assert_int_equal(result.row_count, ROW_COUNT);
    assert_true(result.checked_by_duckdb);
    assert_int_equal(manifest_parse(&m, sample_arena(), read_blob(CID_SHA256, result.manifest), NULL), OK);
    assert_int_equal(m->row_count, ROW_COUNT);
    open_envelope(data_key, m);
    int fd = open_body(m, data_key);
    check_sums(fd);
    (void)close(fd);
    open_meta(m, data_key);
}

/* --- Refusals ----------------------------------------------------------------------------------------------------- */

static uint64_t blob_count(void)
{
    struct store_status status;
    assert_int_equal(store_status(store, &status), OK);
    return status.entries[STORE_BLOB];
}

static void refused(const char *said)
{
    struct seal_options o = options();
    struct seal_result result;
    uint64_t before = blob_count();
    assert_int_equal(seal_file(&result, &o, fault, sizeof fault), ERR_SYNTAX);
    if (strstr(fault, path) == NULL || strstr(fault, said) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", fault, said);
    assert_int_equal(blob_count(), before);
}

static void another_schema_is_refused(void **state)
{
    static const struct {
        const char *select, *said;
    } bad[] = {
        {"* EXCLUDE (egfr)", "egfr"},
        {"* REPLACE (age + 0.5 AS age)", "column age: expected integer, found DECIMAL"},
        {"* REPLACE (age::DOUBLE AS age)", "column age: expected integer, found DOUBLE"},
        {"* REPLACE (age::VARCHAR AS age)", "column age: expected integer, found VARCHAR"},
        {"* REPLACE (outcome::INTEGER AS outcome)", "column outcome: expected boolean, found INTEGER"},
        {"* REPLACE ('60.5' AS creatinine_umol_l)", "column creatinine_umol_l: expected decimal"},
        {"* REPLACE ([patient_id] AS patient_id)", "column patient_id: expected text"},
        {"* REPLACE (18446744073709551615::UBIGINT AS age)", "Conversion Error"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put_parquet(bad[i].select);
        refused(bad[i].said);
    }
}

static void a_cut_file_is_refused(void **state)
{
    static const size_t keep_percent[] = {99, 50, 1, 0};
    char *whole = NULL;
    size_t len = 0;
    (void)state;
    put_parquet("*");
    assert_int_equal(file_read(&whole, &len, path, PLAIN_BYTES_MAX), OK);
    for (size_t i = 0; i < sizeof keep_percent / sizeof keep_percent[0]; i++) {
        assert_int_equal(file_write(path, span_make(whole, len * keep_percent[i] / 100), 0600, true), OK);
        refused("Error: ");
    }
    free(whole);
}

int main(void)
{
    const struct duckdb *api;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seals_opens_and_counts),
        cmocka_unit_test(another_schema_is_refused),
        cmocka_unit_test(a_cut_file_is_refused),
    };
    if (crypto_init() != OK) return 1;
    if (duckdb_load(&api, fault, sizeof fault) != OK) {
        print_message("SKIPPED: %s\n", fault);
        return 77;
    }
    return cmocka_run_group_tests(tests, begin, finish);
}
