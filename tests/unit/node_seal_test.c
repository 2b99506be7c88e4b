/* Sealing: what went in comes out under the recipe's label and no other; sizes around chunk borders; refusals that leave
 * nothing behind; and the reader that checks CSV without DuckDB. */
#include "crypto/body.h"
#include "crypto/cid.h"
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "node/csv.h"
#include "node/duckdb.h"
#include "node/file.h"
#include "node/seal.h"
#include "node/seal_kept.h"
#include "tests/dealer.h"
#include "tests/sample.h"
#include "tests/storage_place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct storage_place place;
static struct store *store;
static struct dealer_key dealer;
static char path[128], tar_path[128], fault[512];
static struct schema schema;

static void add_column(const char *name, enum column_type type)
{
    schema.column[schema.column_count].name = span_text(name);
    schema.column[schema.column_count++].type = type;
}

static int begin(void **state)
{
    (void)state;
    storage_place_make(&place);
    store = storage_place_open(&place, UINT64_C(1) << 30);
    dealer = dealer_make(1, 1, 7);
    (void)snprintf(path, sizeof path, "%s/input", place.root);
    (void)snprintf(tar_path, sizeof tar_path, "%s/sealed.tar", place.root);
    add_column("id", COLUMN_TEXT);
    add_column("age", COLUMN_INTEGER);
    add_column("bp", COLUMN_DECIMAL);
    add_column("ill", COLUMN_BOOLEAN);
    add_column("seen", COLUMN_DATE);
    return 0;
}

static int finish(void **state)
{
    (void)state;
    store_close(store);
    (void)unlink(path);
    (void)unlink(tar_path);
    storage_place_remove(&place);
    return 0;
}

static void put_input(struct span bytes)
{
    assert_int_equal(file_write(path, bytes, 0600, true), OK);
}

static void fill_id(uint8_t out[32], uint8_t value)
{
    memset(out, value, 32);
}

static struct seal_options options_for(enum meta_format format)
{
    struct seal_options o;
    memset(&o, 0, sizeof o);
    o.path = path;
    o.meta.format = format;
    if (format == META_CSV) {
        o.meta.header = true;
        o.meta.delimiter = ',';
        o.meta.missing[0] = '?';
    }
    o.schema = format == META_BYTES ? NULL : &schema;
    fill_id(o.owner.bytes, 1);
    fill_id(o.dt.bytes, 2);
    fill_id(o.app_id.bytes, 3);
    fill_id(o.compose.bytes, 4);
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

static struct manifest *read_manifest(struct hash32 hash)
{
    struct manifest *m = NULL;
    assert_int_equal(manifest_parse(&m, sample_arena(), read_blob(CID_SHA256, hash), NULL), OK);
    return m;
}

static enum err open_envelope(uint8_t data_key[32], const struct manifest *m, const struct label *label)
{
    struct envelope envelope;
    struct dec_share share;
    memcpy(envelope.bytes, m->envelope, sizeof envelope.bytes);
    TRY(envelope_share(&share, &envelope, &dealer.key.y, label, 1, &dealer.share[0]));
    return envelope_open(data_key, &envelope, &dealer.key, label, &share, 1);
}

static struct label label_of(const struct manifest *m)
{
    return label_make(group_key_id(&dealer.key.y), m->app_id, m->compose, m->owner, m->content, m->policy);
}

static void check_body(const struct manifest *m, const uint8_t data_key[32], struct span expected)
{
    struct body_summary summary = {m->suite, m->plain_len, m->salt, m->commitment, m->root, m->chunk_count};
    struct body_key *key = NULL;
    uint8_t *plain = malloc(BODY_CHUNK_BYTES), *leaves = malloc((size_t)m->chunk_count * 32);
    assert_non_null(plain);
    assert_non_null(leaves);
    assert_int_equal(body_summary_check(&summary), OK);
    assert_true(ID_EQUAL(body_content_id(&summary), m->content));
    assert_int_equal(body_key_derive(&key, data_key, m->suite, m->salt), OK);
    assert_true(ID_EQUAL(body_key_commitment(key), m->commitment));
    struct span list = read_blob(CID_SHA256, m->leaves);
    assert_int_equal(list.len, (size_t)m->chunk_count * 32);
    memcpy(leaves, list.data, list.len);
    assert_true(ID_EQUAL(body_root((const struct hash32 *)leaves, m->chunk_count), m->root));
    assert_int_equal(m->plain_len, expected.len);
    for (uint32_t i = 0; i < m->chunk_count; i++) {
        struct hash32 leaf;
        memcpy(leaf.bytes, leaves + (size_t)i * 32, 32);
        struct span sealed = read_blob(CID_BLAKE3, leaf);
        assert_int_equal(sealed.len, body_plain_bytes(&summary, i) + BODY_TAG_BYTES);
        assert_int_equal(body_open_chunk(plain, key, i, sealed), OK);
        assert_int_equal(
            memcmp(plain, expected.data + (size_t)i * BODY_CHUNK_BYTES, sealed.len - BODY_TAG_BYTES), 0);
    }
    body_key_free(key);
    free(plain);
    free(leaves);
}

static void check_sealed(const struct seal_result *result, const struct seal_options *o, struct span expected)
{
    uint8_t data_key[32], meta_bytes[META_BYTES_MAX];
    struct meta meta;
    struct manifest *m = read_manifest(result->manifest);
    const struct label label = label_of(m);
    assert_true(ID_EQUAL(m->owner, o->owner));
    assert_true(ID_EQUAL(m->dt, o->dt));
    assert_true(ID_EQUAL(m->compose, o->compose));
    const struct hash32 policy = sha256(o->policy);
    assert_true(ID_EQUAL(m->policy, policy));
    assert_true(ID_EQUAL(m->content, result->content));
    assert_int_equal(m->row_count, result->row_count);
    assert_int_equal(m->chunk_count, result->chunk_count);
    assert_int_equal(result->plain_bytes, expected.len);
    assert_int_equal(open_envelope(data_key, m, &label), OK);
    check_body(m, data_key, expected);
    assert_int_equal(body_open_meta(meta_bytes, data_key, m->salt, m->metadata), OK);
    struct span plain = span_make(meta_bytes, m->metadata.len - BODY_META_OVERHEAD_BYTES);
    assert_int_equal(meta_parse(&meta, sample_arena(), plain, NULL), OK);
    assert_int_equal(meta.format, o->meta.format);
    assert_int_equal(meta.header, o->meta.header);
    assert_int_equal(meta.delimiter, o->meta.delimiter);
    assert_string_equal(meta.missing, o->meta.missing);
}

/* --- Bytes -------------------------------------------------------------------------------------------------------- */

static struct span pattern(size_t len)
{
    static uint8_t bytes[(9 << 20) + 5];
    assert_true(len <= sizeof bytes);
    uint32_t x = (uint32_t)len + 1;
    for (size_t i = 0; i < len; i++) {
        x = x * 1664525u + 1013904223u;
        bytes[i] = (uint8_t)(x >> 24);
    }
    return span_make(bytes, len);
}

static uint64_t told_done, told_total;
static uint32_t told_count;
static const char *told_what;
static void tell(void *context, const char *what, uint64_t done, uint64_t total)
{
    told_what = what;
    assert_ptr_equal(context, &told_count);
    assert_true(done >= told_done || told_count == 0);
    told_done = done;
    told_total = total;
    told_count++;
}

static void sizes_around_a_chunk(void **state)
{
    static const size_t sizes[] = {
        0, 1, BODY_CHUNK_BYTES - 1, BODY_CHUNK_BYTES, BODY_CHUNK_BYTES + 1, 3 << 20, (9 << 20) + 5};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct seal_options o = options_for(META_BYTES);
        struct seal_result result;
        struct span bytes = pattern(sizes[i]);
        put_input(bytes);
        told_count = 0;
        o.progress = tell;
        o.progress_context = &told_count;
        o.thread_count = (uint32_t)i % 4;
        assert_int_equal(seal_file(&result, &o, fault, sizeof fault), OK);
        assert_int_equal(result.chunk_count, sizes[i] / BODY_CHUNK_BYTES + 1);
        assert_int_equal(result.row_count, 0);
        assert_string_equal(told_what, "sealing");
        assert_int_equal(told_done, sizes[i]);
        assert_int_equal(told_total, sizes[i]);
        assert_true(told_count >= 2);
        check_sealed(&result, &o, bytes);
    }
}

/* The same bytes twice have nothing in common: nobody sees that two hospitals hold one file. */
static void sealing_twice_differs(void **state)
{
    struct seal_options o = options_for(META_BYTES);
    struct seal_result a, b;
    (void)state;
    put_input(pattern(100));
    assert_int_equal(seal_file(&a, &o, fault, sizeof fault), OK);
    assert_int_equal(seal_file(&b, &o, fault, sizeof fault), OK);
    assert_false(ID_EQUAL(a.content, b.content));
    struct hash32 root = read_manifest(a.manifest)->root, salt = read_manifest(a.manifest)->salt;
    struct manifest *second = read_manifest(b.manifest);
    assert_false(ID_EQUAL(root, second->root));
    assert_false(ID_EQUAL(salt, second->salt));
}

/* Change any part of the label, and the custodians' honest shares open nothing. */
static void another_recipe_opens_nothing(void **state)
{
    struct seal_options o = options_for(META_BYTES);
    struct seal_result result;
    uint8_t data_key[32];
    (void)state;
    put_input(pattern(1000));
    assert_int_equal(seal_file(&result, &o, fault, sizeof fault), OK);
    struct manifest *m = read_manifest(result.manifest);
    struct label label = label_of(m);
    assert_int_equal(open_envelope(data_key, m, &label), OK);
    for (size_t i = 2; i < sizeof label.bytes; i += 32) {
        label = label_of(m);
        label.bytes[i] ^= 1;
        assert_int_not_equal(open_envelope(data_key, m, &label), OK);
    }
    m->envelope[sizeof m->envelope - 1] ^= 1;
    label = label_of(m);
    assert_int_not_equal(open_envelope(data_key, m, &label), OK);
}

static void a_changed_chunk_is_seen(void **state)
{
    struct seal_options o = options_for(META_BYTES);
    struct seal_result result;
    uint8_t data_key[32], plain[200], sealed[200 + BODY_TAG_BYTES];
    struct body_key *key = NULL;
    struct hash32 leaf;
    (void)state;
    put_input(pattern(200));
    assert_int_equal(seal_file(&result, &o, fault, sizeof fault), OK);
    struct manifest *m = read_manifest(result.manifest);
    const struct label label = label_of(m);
    assert_int_equal(open_envelope(data_key, m, &label), OK);
    memcpy(leaf.bytes, read_blob(CID_SHA256, m->leaves).data, 32);
    memcpy(sealed, read_blob(CID_BLAKE3, leaf).data, sizeof sealed);
    assert_int_equal(body_key_derive(&key, data_key, m->suite, m->salt), OK);
    assert_int_equal(body_open_chunk(plain, key, 0, SPAN_OF(sealed)), OK);
    assert_int_not_equal(body_open_chunk(plain, key, 1, SPAN_OF(sealed)), OK);
    sealed[100] ^= 1;
    assert_int_not_equal(body_open_chunk(plain, key, 0, SPAN_OF(sealed)), OK);
    body_key_free(key);
}

/* --- What the store holds ----------------------------------------------------------------------------------------- */

static enum err count_pin(void *context, struct span key, struct span value)
{
    assert_int_equal(key.len, CID_BYTES + 32);
    assert_int_equal(value.len, 0);
    assert_int_equal(store_has(store, STORE_BLOB, span_make(key.data, CID_BYTES)), OK);
    *(uint32_t *)context += key.data[CID_BYTES] == 77;
    return OK;
}

static uint32_t pin_count(void)
{
    uint32_t count = 0;
    assert_int_equal(store_scan(store, STORE_PIN, SPAN_NONE, count_pin, &count), OK);
    return count;
}

static void everything_is_pinned(void **state)
{
    struct seal_options o = options_for(META_BYTES);
    struct seal_result result;
    (void)state;
    fill_id(o.dt.bytes, 77);
    put_input(pattern(5 << 20));
    assert_int_equal(seal_file(&result, &o, fault, sizeof fault), OK);
    assert_int_equal(pin_count(), 6 + 2); /* chunks, leaf list, manifest */
}

static void entries(uint64_t out[2])
{
    struct store_status status;
    assert_int_equal(store_status(store, &status), OK);
    out[0] = status.entries[STORE_BLOB];
    out[1] = status.entries[STORE_PIN];
}

static void change_input(void *context, const char *what, uint64_t done, uint64_t total)
{
    (void)what;
    (void)total;
    if (done == (UINT64_C(8) << 20)) assert_int_equal(truncate(context, 9 << 20), 0);
}

static void failures_leave_nothing(void **state)
{
    struct seal_options o = options_for(META_BYTES);
    struct seal_result result;
    uint64_t before[2], after[2];
    (void)state;
    entries(before);
    (void)unlink(path);
    assert_int_equal(seal_file(&result, &o, fault, sizeof fault), ERR_NOT_FOUND);
    assert_non_null(strstr(fault, path));
    o.path = place.root;
    assert_int_equal(seal_file(&result, &o, fault, sizeof fault), ERR_TYPE);
    o.path = path;
    put_input(pattern((9 << 20) + 5));
    o.progress = change_input;
    o.progress_context = path;
    assert_int_equal(seal_file(&result, &o, fault, sizeof fault), ERR_CONFLICT);
    assert_true(ID_IS_ZERO(result.manifest));
    o.progress = NULL;
    memset(o.owner.bytes, 0, sizeof o.owner.bytes); /* a manifest nobody would read */
    assert_int_not_equal(seal_file(&result, &o, fault, sizeof fault), OK);
    assert_non_null(strstr(fault, "owner"));
    fill_id(o.owner.bytes, 1);
    memset(o.root_key.bytes, 0, sizeof o.root_key.bytes); /* the identity: no key */
    assert_int_not_equal(seal_file(&result, &o, fault, sizeof fault), OK);
    entries(after);
    assert_memory_equal(before, after, sizeof before);
}

static void too_large_is_refused(void **state)
{
    struct seal_options o = options_for(META_BYTES);
    struct seal_result result;
    (void)state;
    put_input(SPAN_NONE);
    if (truncate(path, (off_t)SEAL_CHUNK_COUNT_MAX * BODY_CHUNK_BYTES) != 0) skip(); /* sparse */
    assert_int_equal(seal_file(&result, &o, fault, sizeof fault), ERR_TOO_LARGE);
    put_input(SPAN_NONE);
}

/* What has no room is where it is kept, not what is read. */
static void a_full_store_is_named(void **state)
{
    static uint8_t zeros[9 << 20];
    struct seal_options o = options_for(META_BYTES);
    struct seal_result result;
    struct storage_place small;
    (void)state;
    storage_place_make(&small);
    o.store = storage_place_open(&small, 4 << 20);
    put_input(SPAN_OF(zeros));
    assert_int_equal(seal_file(&result, &o, fault, sizeof fault), ERR_FULL);
    assert_non_null(strstr(fault, "the data directory's store: the disk or the store is full"));
    assert_null(strstr(fault, path));
    store_close(o.store);
    storage_place_remove(&small);
    put_input(SPAN_NONE);
}

/* --- Tables ------------------------------------------------------------------------------------------------------- */

static const char table[] = "id,age,bp,ill,seen\n"
                            "a,63,120.5,true,2024-02-29\n"
                            "\"b, \"\"jr\"\"\",-1,.7,0,1999-12-31\n"
                            "?,,?,?,\n"
                            "c,7,1e2,F,2000-01-01";

static bool have_duckdb(void)
{
    const struct duckdb *api;
    return duckdb_load(&api, NULL, 0) == OK;
}

static void table_is_checked_and_counted(void **state)
{
    struct seal_options o = options_for(META_CSV);
    struct seal_result result;
    (void)state;
    put_input(span_text(table));
    enum err err = seal_file(&result, &o, fault, sizeof fault);
    if (err != OK) fail_msg("%s", fault);
    assert_int_equal(result.row_count, 4);
    assert_int_equal(result.checked_by_duckdb, have_duckdb());
    check_sealed(&result, &o, span_text(table));
}

static void exact_rows_are_exact(void **state)
{
    struct seal_options o = options_for(META_CSV);
    struct seal_result result;
    uint64_t before[2], after[2];
    (void)state;
    put_input(span_text(table));
    o.row_count_exact = true;
    o.row_count = 5;
    entries(before);
    assert_int_equal(seal_file(&result, &o, fault, sizeof fault), ERR_REFUSED);
    assert_non_null(strstr(fault, "exactly 5 rows"));
    assert_non_null(strstr(fault, "found 4"));
    entries(after);
    assert_memory_equal(before, after, sizeof before);
    o.row_count = 4;
    assert_int_equal(seal_file(&result, &o, fault, sizeof fault), OK);
    o.row_count = 5;
    o.row_count_exact = false;
    assert_int_equal(seal_file(&result, &o, fault, sizeof fault), OK);
}

static void faults_name_line_and_column(void **state)
{
    static const struct {
        const char *text, *said;
    } bad[] = {
        {"id,age,bp,ill,seen\na,63,120,true,2024-02-29\nb,x7,120,true,\n", "line 3, column 2 (age)"},
        {"id,age,bp,ill,seen\na,63,12o,true,2024-02-29\n", "line 2, column 3 (bp)"},
        {"id,age,bp,ill,seen\na,63,120,maybe,2024-02-29\n", "line 2, column 4 (ill)"},
        {"id,age,bp,ill,seen\na,63,120,true,2023-02-29\n", "line 2, column 5 (seen)"},
        {"id,age,bp,ill,seen\na,63,120,true\n", "line 2, column 5 (seen)"},
        {"id,age,bp,ill,seen\na,63,120,true,2024-02-29,9\n", "line 2, column 6 (none)"},
        {"id,bp,age,ill,seen\na,63,120,true,2024-02-29\n", "line 1, column 2 (age)"},
        {"pid,age,bp,ill,seen\na,63,120,true,2024-02-29\n", "line 1, column 1 (id)"},
        {"id,age,bp,ill,Seen\na,63,120,true,2024-02-29\n", "line 1, column 5 (seen)"},
        {"a,63,120,true,2024-02-29\n", "line 1, column 1 (id)"},
    };
    struct seal_options o = options_for(META_CSV);
    struct seal_result result;
    uint64_t before[2], after[2];
    (void)state;
    entries(before);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put_input(span_text(bad[i].text));
        assert_int_equal(seal_file(&result, &o, fault, sizeof fault), ERR_SYNTAX);
        if (strstr(fault, bad[i].said) == NULL) fail_msg("\"%s\" does not say \"%s\"", fault, bad[i].said);
    }
    entries(after);
    assert_memory_equal(before, after, sizeof before);
}

static void csv_seals_and_parquet_says_why(void **state)
{
    struct seal_options o = options_for(META_CSV);
    struct seal_result result;
    (void)state;
    assert_false(have_duckdb());
    put_input(span_text(table));
    assert_int_equal(seal_file(&result, &o, fault, sizeof fault), OK);
    assert_int_equal(result.row_count, 4);
    assert_false(result.checked_by_duckdb);
    o.meta = (struct meta){.format = META_PARQUET};
    assert_int_equal(seal_file(&result, &o, fault, sizeof fault), ERR_UNAVAILABLE);
    assert_non_null(strstr(fault, "Parquet needs DuckDB"));
}

/* A loaded library stays loaded, so this is another process: this program again, without DuckDB. */
static void without_duckdb(void **state)
{
    char program[] = "/proc/self/exe", argument[] = "without-duckdb";
    char *const argv[] = {program, argument, NULL};
    int status = 1;
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        if (setenv("PERIGEE_DUCKDB", "/nowhere/libduckdb.so", 1) == 0) (void)execv(program, argv);
        _exit(127);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void bad_parquet_is_refused(void **state)
{
    struct seal_options o = options_for(META_PARQUET);
    struct seal_result result;
    (void)state;
    if (!have_duckdb()) skip();
    put_input(span_text(table));
    assert_int_equal(seal_file(&result, &o, fault, sizeof fault), ERR_SYNTAX);
    assert_non_null(strstr(fault, path));
}

/* --- Our own CSV reader ------------------------------------------------------------------------------------------- */

static enum err read_csv(const char *text, size_t piece, bool header, uint64_t *row_count)
{
    static struct csv c;
    struct meta meta = {META_CSV, header, ',', "?"};
    size_t len = strlen(text);
    enum err err = OK;
    csv_begin(&c, &schema, &meta);
    for (size_t at = 0; at < len && err == OK; at += piece)
        err = csv_add(&c, span_make(text + at, len - at < piece ? len - at : piece));
    if (err == OK) err = csv_end(&c, row_count);
    if (err != OK) csv_fault(&c, fault, sizeof fault);
    return err;
}

static void csv_in_any_pieces(void **state)
{
    (void)state;
    for (size_t piece = 1; piece <= sizeof table; piece++) {
        uint64_t row_count = 0;
        assert_int_equal(read_csv(table, piece, true, &row_count), OK);
        assert_int_equal(row_count, 4);
    }
}

static const struct csv_row {
    const char *text;
    bool good;
    uint64_t row_count;
} csv_row[] = {
    {"", true, 0},
    {",,,,", true, 1},
    {"a,1,1,1,2024-01-01\r\n", true, 1},
    {"\"a\nb\",1,1,1,2024-01-01\n\"c\",2,2,0,2024-01-02", true, 2},
    {"a,9223372036854775807,1,1,\nb,-9223372036854775808,1,1,\n", true, 2},
    {"a,1,-1.5e-3,t,\n", true, 1},
    {"\xc3\xa9\t,1,1.,T,\n", true, 1},
    {"a,-0,1e308,TRUE,0001-01-01\nb,00012,-1e-400,False,9999-12-31\n", true, 2},
    {"a,-00,5.E-3,F,\nb,0,-.5e+2,T,\nc,-0007,00.1,f,\n", true, 3},
    {"a\x01\x1b\x7f,1,999999999999999999999999999999999999999999999999999999999999."
     "999999999999999999999999999999999999999999999999999999999999,t,\n",
     true, 1},
    {"\"\"\"\",1,\"1\",\"t\",\"2024-01-01\"\n' , ,\"?\",\"\",\n", false, 0},
    {"\"\"\"\",1,\"1\",\"t\",\"2024-01-01\"\n'\\,\"?\",\"\",?,\n", true, 2},
    {" ,1,1,t,\n\xc2\x85\xe2\x80\xa8,1,1,t,\n#,1,1,t,\n", true, 3},
    {"\n", false, 0},
    {"a,1,1,1,\n\nb,1,1,1,\n", false, 0},
    {"a,1,1,1\n", false, 0},
    {"a,1,1,1,,\n", false, 0},
    {"a,9223372036854775808,1,1,\n", false, 0},
    {"a,+1,1,1,\n", false, 0},
    {"a, 1,1,1,\n", false, 0},
    {"a,5.5,1,1,\n", false, 0},
    {"a,1e3,1,1,\n", false, 0},
    {"a,1,1,yes,\n", false, 0},
    {"\xef\xbb\xbf"
     "a,1,1,1,\n",
     false, 0},
    {"a,1,1,1,\n\xef\xbb\xbf"
     "b,1,1,1,\n",
     true, 2},
    {"a,63.0,1,1,\n", false, 0},
    {"a,1,.,1,\n", false, 0},
    {"a,1,nan,1,\n", false, 0},
    {"a,1,1e999,1,\n", false, 0},
    {"a,1,0x10,1,\n", false, 0},
    {"a,1,1e,1,\n", false, 0},
    {"a,1,1,2,\n", false, 0},
    {"a,1,1,1,2024-13-01\n", false, 0},
    {"a,1,1,1,2024-1-1\n", false, 0},
    {"a,1,1,1,1900-02-29\n", false, 0},
    {"\xff,1,1,1,\n", false, 0},
    {"a\"b,1,1,1,\n", false, 0},
    {"\"a\"b,1,1,1,\n", false, 0},
    {"\"a,1,1,1,\n", false, 0},
    {"a\rb,1,1,1,\n", false, 0},
    {"a,1,1,1,\r", false, 0},
    {"a,1,1,1,\r\nb,1,1,1,\r\nc,1,1,1,", true, 3},
    {"a,1,1,1,\nb,1,1,1,\r\n", false, 0},
    {"a,1,1,1,\r\nb,1,1,1,\n", false, 0},
};

enum { CSV_ROW_COUNT = sizeof csv_row / sizeof csv_row[0] };

static void csv_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < CSV_ROW_COUNT; i++) {
        uint64_t row_count = 0;
        enum err err = read_csv(csv_row[i].text, 3, false, &row_count);
        if ((err == OK) != csv_row[i].good) fail_msg("row %zu: %s (%s)", i, err_name(err), fault);
        assert_int_equal(row_count, csv_row[i].row_count);
    }
}

/* DuckDB would take some of what ours refuses: what is sealed does not depend on its presence. */
static void sealing_judges_as_our_reader(void **state)
{
    struct seal_options o = options_for(META_CSV);
    struct seal_result result;
    (void)state;
    o.meta.header = false;
    for (size_t i = 0; i < CSV_ROW_COUNT; i++) {
        put_input(span_text(csv_row[i].text));
        enum err err = seal_file(&result, &o, fault, sizeof fault);
        if (err != (csv_row[i].good ? OK : ERR_SYNTAX)) fail_msg("row %zu: %s (%s)", i, err_name(err), fault);
        if (!csv_row[i].good) assert_non_null(strstr(fault, "line "));
        assert_int_equal(result.row_count, csv_row[i].row_count);
    }
    put_input(SPAN_LITERAL("a\0b,1,1,1,\n"));
    assert_int_equal(seal_file(&result, &o, fault, sizeof fault), ERR_SYNTAX);
}

static void byte_order_mark_is_named(void **state)
{
    struct seal_options o = options_for(META_CSV);
    struct seal_result result;
    (void)state;
    put_input(SPAN_LITERAL("\xef\xbb\xbfid,age,bp,ill,seen\na,1,1,1,\n"));
    assert_int_equal(seal_file(&result, &o, fault, sizeof fault), ERR_SYNTAX);
    assert_non_null(strstr(fault, "byte-order mark"));
    assert_non_null(strstr(fault, "tail -c +4"));
}

static void csv_field_is_bounded(void **state)
{
    static char text[CSV_FIELD_BYTES_MAX + 16];
    uint64_t row_count = 0;
    (void)state;
    memset(text, 'x', sizeof text - 1);
    assert_int_equal(read_csv(text, 1000, false, &row_count), ERR_TOO_LARGE);
    (void)snprintf(text + CSV_FIELD_BYTES_MAX, 16, ",1,1,1,\n");
    assert_int_equal(read_csv(text, 1000, false, &row_count), OK);
    assert_int_equal(read_csv("x\x1b[31m\xff,1,1,1,\n", 100, false, &row_count), ERR_SYNTAX);
    assert_non_null(strstr(fault, "\"x?[31m?\"")); /* a terminal is not led astray */
}

/* What ours accepts, DuckDB accepts with the same count, or a table would be sealed that no enclave reads. */
static void duckdb_agrees(void **state)
{
    static const char *const texts[] = {
        table,
        "id,age,bp,ill,seen\n",
        "id,age,bp,ill,seen\n\"a\n,b\",1,1.,T,\n",
        "\"id\",age,bp,ill,seen\n?,?,?,?,?\n\"\",,,,\n",
        "id,age,bp,ill,seen\r\na,1,.5,t,2024-02-29\r\nb,-2,5e-1,1,\r\n",
    };
    struct seal_options o = options_for(META_CSV);
    struct seal_result result;
    (void)state;
    if (!have_duckdb()) skip();
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        uint64_t row_count = 0;
        assert_int_equal(read_csv(texts[i], 1000, true, &row_count), OK);
        put_input(span_text(texts[i]));
        enum err err = seal_file(&result, &o, fault, sizeof fault);
        if (err != OK) fail_msg("text %zu: %s", i, fault);
        assert_true(result.checked_by_duckdb);
        assert_int_equal(result.row_count, row_count);
    }
}

/* --- Metadata and transport --------------------------------------------------------------------------------------- */

static void meta_round_trip(void **state)
{
    static const struct meta metas[] = {{META_BYTES, false, 0, ""},
                                        {META_PARQUET, false, 0, ""},
                                        {META_CSV, true, '\t', ""},
                                        {META_CSV, false, ';', "N/A"}};
    (void)state;
    for (size_t i = 0; i < sizeof metas / sizeof metas[0]; i++) {
        uint8_t bytes[META_BYTES_MAX];
        struct buffer out = BUFFER_OF(bytes);
        struct meta back;
        assert_int_equal(meta_write(&out, &metas[i]), OK);
        assert_int_equal(meta_parse(&back, sample_arena(), buffer_span(&out), NULL), OK);
        assert_int_equal(back.format, metas[i].format);
        assert_int_equal(back.delimiter, metas[i].delimiter);
        assert_string_equal(back.missing, metas[i].missing);
    }
    static const char *const bad[] = {
        "{\"format\":\"xml\",\"perigee\":\"meta/1\"}",
        "{\"format\":\"csv\",\"perigee\":\"meta/1\"}",
        "{\"delimiter\":\"a\",\"format\":\"csv\",\"header\":true,\"missing\":\"\",\"perigee\":\"meta/1\"}",
        "{\"delimiter\":\",,\",\"format\":\"csv\",\"header\":true,\"missing\":\"\",\"perigee\":\"meta/1\"}",
        "{\"format\":\"parquet\",\"header\":true,\"perigee\":\"meta/1\"}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct meta back;
        assert_int_not_equal(meta_parse(&back, sample_arena(), span_text(bad[i]), NULL), OK);
    }
    const struct meta quote = {META_CSV, true, '"', ""};
    uint8_t bytes[META_BYTES_MAX];
    struct buffer out = BUFFER_OF(bytes);
    assert_int_equal(meta_write(&out, &quote), ERR_RANGE);
}

/* Walk the archive as a reader of POSIX.1-1988 does. */
static void check_tar(const uint8_t *at, const uint8_t *end, struct hash32 manifest)
{
    uint32_t entry = 0;
    for (; end - at >= 512 && at[0] != 0; entry++) {
        uint32_t sum = 0;
        size_t len = strtoul((const char *)at + 124, NULL, 8);
        for (size_t i = 0; i < 512; i++) sum += i >= 148 && i < 156 ? ' ' : at[i];
        assert_int_equal(strtoul((const char *)at + 148, NULL, 8), sum);
        assert_memory_equal(at + 257,
                            "ustar\0"
                            "00",
                            8);
        assert_true((size_t)(end - at) >= 512 + len);
        struct span body = span_make(at + 512, len);
        if (entry == 0) {
            assert_string_equal((const char *)at, "manifest.json");
            assert_true(ID_EQUAL(sha256(body), manifest));
        } else if (entry == 1) {
            assert_string_equal((const char *)at, "leaves.bin");
            assert_int_equal(len, 3 * 32);
        } else {
            struct cid cid;
            assert_memory_equal(at, "chunks/b", 8);
            assert_int_equal(cid_from_text(&cid, span_make(at + 7, CID_TEXT_CHARS)), OK);
            assert_int_equal(cid_check(&cid, body), OK);
        }
        at += 512 + (len + 511) / 512 * 512;
    }
    assert_int_equal(entry, 2 + 3);
    assert_int_equal(end - at, 1024);
}

static void tar_for_transport(void **state)
{
    struct seal_options o = options_for(META_BYTES);
    struct seal_result result;
    char *archive = NULL;
    size_t len = 0;
    (void)state;
    put_input(pattern((2 << 20) + 9));
    assert_int_equal(seal_file(&result, &o, fault, sizeof fault), OK);
    assert_int_equal(seal_tar(store, result.manifest, tar_path, fault, sizeof fault), OK);
    assert_int_equal(file_read(&archive, &len, tar_path, 8 << 20), OK);
    assert_int_equal(len % 512, 0);
    check_tar((const uint8_t *)archive, (const uint8_t *)archive + len, result.manifest);
    free(archive);
    assert_int_equal(seal_tar(store, result.manifest, tar_path, fault, sizeof fault), ERR_CONFLICT);
    assert_int_equal(unlink(tar_path), 0);
    assert_int_equal(seal_tar(store, sha256(SPAN_NONE), tar_path, fault, sizeof fault), ERR_NOT_FOUND);
    assert_int_not_equal(access(tar_path, F_OK), 0);
}

/* What binding needs is here, whether or not a node took the binding; what is dropped leaves nothing. */
static void kept_is_found_and_dropped(void **state)
{
    struct seal_options o = options_for(META_BYTES);
    struct seal_result result;
    struct seal_kept *kept = calloc(1, sizeof *kept);
    uint64_t before[2], after[2];
    (void)state;
    assert_non_null(kept);
    entries(before);
    put_input(pattern((1 << 20) + 5));
    assert_int_equal(seal_file(&result, &o, fault, sizeof fault), OK);
    assert_int_equal(seal_kept_find(kept, store, result.manifest), OK);
    assert_true(ID_EQUAL(kept->dt, o.dt) && ID_EQUAL(kept->compose, o.compose));
    assert_true(ID_EQUAL(kept->content, result.content));
    assert_true(span_equal(span_make(kept->policy, kept->policy_len), o.policy));
    assert_int_equal(seal_kept_drop(store, result.manifest), OK);
    entries(after);
    assert_memory_equal(before, after, sizeof before);
    assert_int_equal(seal_kept_find(kept, store, result.manifest), ERR_NOT_FOUND);
    assert_int_equal(seal_kept_drop(store, result.manifest), ERR_NOT_FOUND);
    free(kept);
}

/* The target is looked at before anything is sealed for it, and looking leaves nothing there. */
static void a_tar_target_is_checked(void **state)
{
    char inside[160];
    (void)state;
    assert_int_equal(seal_tar_check(tar_path, fault, sizeof fault), OK);
    assert_int_not_equal(access(tar_path, F_OK), 0);
    assert_int_equal(file_write(tar_path, SPAN_LITERAL("x"), 0600, false), OK);
    assert_int_equal(seal_tar_check(tar_path, fault, sizeof fault), ERR_CONFLICT);
    assert_non_null(strstr(fault, "exists already"));
    (void)snprintf(inside, sizeof inside, "%s/none/sealed.tar", place.root);
    assert_int_equal(seal_tar_check(inside, fault, sizeof fault), ERR_NOT_FOUND);
    assert_non_null(strstr(fault, "no such file or folder"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest bare[] = {
        cmocka_unit_test(csv_seals_and_parquet_says_why),
        cmocka_unit_test(faults_name_line_and_column),
    };
    (void)argv;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            without_duckdb), /* first: once loaded, DuckDB's allocator locks all its mutexes to fork */
        cmocka_unit_test(sizes_around_a_chunk),
        cmocka_unit_test(sealing_twice_differs),
        cmocka_unit_test(another_recipe_opens_nothing),
        cmocka_unit_test(a_changed_chunk_is_seen),
        cmocka_unit_test(everything_is_pinned),
        cmocka_unit_test(failures_leave_nothing),
        cmocka_unit_test(too_large_is_refused),
        cmocka_unit_test(a_full_store_is_named),
        cmocka_unit_test(table_is_checked_and_counted),
        cmocka_unit_test(exact_rows_are_exact),
        cmocka_unit_test(faults_name_line_and_column),
        cmocka_unit_test(bad_parquet_is_refused),
        cmocka_unit_test(csv_in_any_pieces),
        cmocka_unit_test(csv_rows),
        cmocka_unit_test(sealing_judges_as_our_reader),
        cmocka_unit_test(byte_order_mark_is_named),
        cmocka_unit_test(csv_field_is_bounded),
        cmocka_unit_test(duckdb_agrees),
        cmocka_unit_test(meta_round_trip),
        cmocka_unit_test(tar_for_transport),
        cmocka_unit_test(kept_is_found_and_dropped),
        cmocka_unit_test(a_tar_target_is_checked),
    };
    if (crypto_init() != OK) return 1;
    if (argc > 1) return cmocka_run_group_tests(bare, begin, finish);
    return cmocka_run_group_tests(tests, begin, finish);
}
