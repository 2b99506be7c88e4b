/* backup: what is written comes back, marked; whatever else a file says is refused, and leaves nothing behind. */
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "node/backup.h"
#include "node/home.h"
#include "node/store_mark.h"
#include "tests/storage_place.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[64], home[80], file[80], back[80], fault[512];
static struct storage_blob blob;
static struct hash32 incarnation;
static uint8_t *bytes;
static size_t len;

static void remove_all(const char *folder)
{
    char path[600];
    DIR *listing = opendir(folder);
    assert_non_null(listing);
    for (struct dirent *at; (at = readdir(listing)) != NULL;) {
        if (strcmp(at->d_name, ".") == 0 || strcmp(at->d_name, "..") == 0) continue;
        (void)snprintf(path, sizeof path, "%s/%s", folder, at->d_name);
        if (unlink(path) != 0) remove_all(path);
    }
    assert_int_equal(closedir(listing), 0);
    assert_int_equal(rmdir(folder), 0);
}

static uint32_t entries_of(const char *folder)
{
    uint32_t count = 0;
    DIR *listing = opendir(folder);
    assert_non_null(listing);
    while (readdir(listing) != NULL) count++;
    assert_int_equal(closedir(listing), 0);
    return count - 2;
}

static struct store *open_store(const char *of, bool read_only)
{
    char path[100];
    struct store *s;
    (void)snprintf(path, sizeof path, "%s/store", of);
    const struct lmdb_options options = {.path = path, .map_bytes = 16 << 20, .read_only = read_only};
    assert_int_equal(lmdb_store_open(&s, &options), OK);
    return s;
}

static struct hash32 incarnation_of(struct store *s)
{
    struct store_status status;
    assert_int_equal(store_status(s, &status), OK);
    return status.incarnation;
}

static void read_back(void)
{
    int f = open(file, O_RDONLY);
    struct stat is;
    assert_true(f >= 0 && fstat(f, &is) == 0);
    len = (size_t)is.st_size;
    bytes = realloc(bytes, len + 64);
    assert_non_null(bytes);
    assert_int_equal(read(f, bytes, len), len);
    assert_int_equal(close(f), 0);
}

static void write_file(const void *data, size_t count)
{
    int f = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(f, data, count), count);
    assert_int_equal(close(f), 0);
}

static int setup(void **state)
{
    struct backup_told told;
    (void)state;
    (void)snprintf(root, sizeof root, "/tmp/perigee-backup-XXXXXX");
    assert_non_null(mkdtemp(root));
    (void)snprintf(home, sizeof home, "%s/home", root);
    (void)snprintf(file, sizeof file, "%s/file", root);
    (void)snprintf(back, sizeof back, "%s/back", root);
    const struct home_identity who = {.organisation = "north", .jurisdiction = "CH", .roles = 1};
    assert_int_equal(home_create(home, &who, SPAN_NONE, fault, sizeof fault), OK);
    struct store *s = open_store(home, false);
    blob = storage_blob_make(0x1e, SPAN_LITERAL("a chunk"));
    assert_int_equal(storage_put(s, STORE_BLOB, SPAN_OF(blob.key), blob.value), OK);
    incarnation = incarnation_of(s);
    store_close(s);
    s = open_store(home, false); /* a node has it open meanwhile */
    store_close(s);
    assert_int_equal(backup_write(&told, file, home, 16 << 20, fault, sizeof fault), OK);
    assert_false(told.encrypted);
    read_back();
    assert_int_equal(told.bytes, len);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remove_all(root);
    return 0;
}

static void test_there_and_back(void **state)
{
    (void)state;
    struct backup_told told;
    struct home a, b;
    struct stat is;
    assert_int_equal(stat(file, &is), 0);
    assert_int_equal(is.st_mode & 0777, 0600);
    assert_int_equal(backup_restore(&told, file, back, fault, sizeof fault), OK);
    assert_int_equal(home_open(&a, home, SPAN_NONE, fault, sizeof fault), OK);
    assert_int_equal(home_open(&b, back, SPAN_NONE, fault, sizeof fault), OK);
    assert_true(ID_EQUAL(a.node, b.node) && ID_EQUAL(a.node, told.node));
    home_close(&a);
    home_close(&b);
    struct store *s = open_store(back, true);
    struct hash32 now = incarnation_of(s);
    assert_false(ID_EQUAL(now, incarnation));
    assert_int_equal(storage_expect(s, STORE_BLOB, SPAN_OF(blob.key), blob.value), OK);
    char path[100];
    struct store_mark mark;
    struct store_status status;
    assert_int_equal(store_status(s, &status), OK);
    (void)snprintf(path, sizeof path, "%s/store.mark", back);
    store_mark_open(&mark, path, told.node);
    assert_int_equal(store_mark_judge(&mark, &status), SILENCE_RESTORED);
    store_mark_close(&mark);
    store_close(s);
}

static void refused(enum err want)
{
    struct backup_told told;
    const uint32_t before = entries_of(root);
    assert_string_equal(err_name(backup_restore(&told, file, back, fault, sizeof fault)), err_name(want));
    assert_true(fault[0] != 0);
    assert_int_equal(entries_of(root), before);
}

static void test_over_nothing(void **state)
{
    (void)state;
    struct backup_told told;
    assert_int_equal(backup_write(&told, file, home, 16 << 20, fault, sizeof fault), ERR_CONFLICT);
    assert_int_equal(mkdir(back, 0700), 0);
    char inside[100];
    (void)snprintf(inside, sizeof inside, "%s/kept", back);
    assert_int_equal(mkdir(inside, 0700), 0);
    refused(ERR_CONFLICT);
    assert_int_equal(rmdir(inside), 0);
    assert_int_equal(backup_restore(&told, file, back, fault, sizeof fault), OK); /* empty */
}

static void home_file(char out[100], const char *name)
{
    (void)snprintf(out, 100, "%s/%s", home, name);
}

/* It is copied all the same: a damaged store's copy is better than none. */
static void test_damage_is_told(void **state)
{
    (void)state;
    struct backup_told told;
    struct storage_place place;
    char other[100];
    (void)snprintf(other, sizeof other, "%s/other", root);
    assert_int_equal(backup_write(&told, other, home, 16 << 20, fault, sizeof fault), OK);
    assert_int_equal(told.rows, OK);
    assert_int_equal(told.defects, 0);
    assert_int_equal(unlink(other), 0);
    (void)snprintf(place.data, sizeof place.data, "%s/store/data.mdb", home);
    assert_int_equal(storage_place_patch(&place, SPAN_LITERAL("a chunk"), SPAN_LITERAL("a chink")), 1);
    assert_int_equal(backup_write(&told, other, home, 16 << 20, fault, sizeof fault), OK);
    assert_int_equal(told.rows, OK);
    assert_int_equal(told.defects, 1);
    assert_int_equal(backup_restore(&told, other, back, fault, sizeof fault), OK);
}

/* A backup without the store that a key has signed with would only take the place of one that has it. */
static void test_no_store(void **state)
{
    (void)state;
    struct backup_told told;
    struct store_mark mark;
    struct store_status status;
    enum silence silence;
    char other[100], path[100];
    (void)snprintf(other, sizeof other, "%s/other", root);
    struct home h;
    assert_int_equal(home_look(&h, home, fault, sizeof fault), OK);
    home_file(path, "store.mark");
    struct store *s = open_store(home, false);
    assert_int_equal(store_status(s, &status), OK);
    store_mark_open(&mark, path, h.node);
    home_close(&h);
    assert_int_equal(store_mark_settle(&mark, &silence, &status), OK); /* as its first start does */
    store_mark_close(&mark);
    store_close(s);
    home_file(path, "store/data.mdb");
    assert_int_equal(truncate(path, 0), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(backup_write(&told, other, home, 16 << 20, fault, sizeof fault), ERR_NOT_FOUND);
        assert_non_null(strstr(fault, "expected the store that this key has signed with"));
        assert_int_equal(access(other, F_OK), -1);
        home_file(path, "store");
        if (i == 0) remove_all(path);
    }
    home_file(path, "other");
    const struct home_identity who = {.organisation = "south", .jurisdiction = "CH", .roles = 1};
    assert_int_equal(home_create(path, &who, SPAN_NONE, fault, sizeof fault), OK); /* it never ran */
    assert_int_equal(backup_write(&told, other, path, 16 << 20, fault, sizeof fault), OK);
}

static void test_any_byte(void **state)
{
    (void)state;
    for (size_t at = 0; at < len; at += at < 300 ? 7 : 1 + len / 23) {
        bytes[at] ^= 0x10;
        write_file(bytes, len);
        bytes[at] ^= 0x10;
        refused(ERR_HASH);
    }
    for (size_t cut = 1; cut < len; cut += 1 + len / 11) {
        write_file(bytes, len - cut);
        refused(len - cut < 44 ? ERR_TRUNCATED : ERR_HASH);
    }
}

/* A file with a right hash, made by hand. */
static void forge(const struct buffer *b)
{
    struct hash32 hash = sha256(buffer_span(b));
    uint8_t whole[4096];
    struct buffer out = BUFFER_OF(whole);
    buffer_put(&out, buffer_span(b));
    buffer_put(&out, ID_SPAN(hash));
    assert_int_equal(buffer_done(&out), OK);
    write_file(whole, out.len);
}

static void test_hostile_files(void **state)
{
    (void)state;
    static const struct {
        const char *magic, *name;
        uint64_t claimed;
        uint32_t version, times;
        bool behind;
        enum err want;
    } files[] = {{"PERIBKUP", "../outside", 3, 1, 1, false, ERR_REFUSED},
                 {"PERIBKUP", "/etc/perigee", 3, 1, 1, false, ERR_REFUSED},
                 {"PERIBKUP", "keygen/../../outside", 3, 1, 1, false, ERR_REFUSED},
                 {"PERIBKUP", "keygen/.hidden", 3, 1, 1, false, ERR_REFUSED},
                 {"PERIBKUP", "store.mark", 3, 1, 1, false, ERR_REFUSED},
                 {"PERIBKUP", "card.json", UINT64_MAX, 1, 1, false, ERR_TRUNCATED},
                 {"PERIBKUP", "card.json", 4000, 1, 1, false, ERR_TRUNCATED},
                 {"PERIBKUP", "card.json", 3, 1, 2, false, ERR_DUPLICATE},
                 {"PERIBKUP", "card.json", 3, 1, 1, true, ERR_TYPE},
                 {"PERIBKUP", "card.json", 3, 1, 1, false, ERR_NOT_FOUND}, /* no home without a version */
                 {"PERIBKUP", "card.json", 3, 2, 1, false, ERR_VERSION},
                 {"PERIBACK", "card.json", 3, 1, 1, false, ERR_TYPE}};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        uint8_t memory[512];
        struct buffer b = BUFFER_OF(memory);
        buffer_put_text(&b, files[i].magic);
        buffer_put_u16(&b, (uint16_t)files[i].version);
        for (uint32_t j = 0; j < files[i].times; j++) {
            buffer_put_u16(&b, (uint16_t)strlen(files[i].name));
            buffer_put_text(&b, files[i].name);
            buffer_put_u64(&b, files[i].claimed);
            buffer_put_text(&b, "abc");
        }
        buffer_put_u16(&b, 0);
        if (files[i].behind) buffer_put_text(&b, "more");
        forge(&b);
        refused(files[i].want);
    }
}

/* The same file without the entry of this name, and with the hash that belongs to it then. */
static void forge_without(const char *name)
{
    const size_t name_len = strlen(name);
    uint8_t *at = bytes + 10; /* behind the magic and the version */
    while (load_u16(at) != name_len || memcmp(at + 2, name, name_len) != 0)
        at += 2 + load_u16(at) + 8 + load_u64(at + 2 + load_u16(at));
    const size_t before = (size_t)(at - bytes), entry = 2 + name_len + 8 + load_u64(at + 2 + name_len);
    const size_t rest = len - 32 - before - entry;
    uint8_t *less = malloc(before + rest + 32);
    assert_non_null(less);
    memcpy(less, bytes, before);
    memcpy(less + before, at + entry, rest);
    const struct hash32 hash = sha256(span_make(less, before + rest));
    memcpy(less + before + rest, hash.bytes, 32);
    write_file(less, before + rest + 32);
    free(less);
}

/* Whole or nothing, whether or not its keys can be opened. */
static void test_a_file_that_lacks_one(void **state)
{
    (void)state;
    static const char *const needed[] = {"version",  "identity.key", "kem.key",
                                         "link.key", "dkg.key",      "card.json"};
    char path[100], other[100];
    struct backup_told told;
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        forge_without(needed[i]);
        refused(ERR_NOT_FOUND);
    }
    home_file(path, "link.key");
    (void)snprintf(other, sizeof other, "%s/other", root);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(backup_write(&told, other, home, 16 << 20, fault, sizeof fault), ERR_NOT_FOUND);
    assert_non_null(strstr(fault, "link.key is missing"));
    assert_int_not_equal(access(other, F_OK), 0);
}

static int begin(void **state)
{
    (void)state;
    return crypto_init() == OK ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    free(bytes);
    return 0;
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_there_and_back),
                                       TEST(test_over_nothing),
                                       TEST(test_damage_is_told),
                                       TEST(test_no_store),
                                       TEST(test_any_byte),
                                       TEST(test_hostile_files),
                                       TEST(test_a_file_that_lacks_one)};
    return cmocka_run_group_tests_name("node_backup", tests, begin, end);
}
