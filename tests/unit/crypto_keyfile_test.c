/* crypto/keyfile: bytes on disk, modes, passphrases, and every damaged byte. */
#include "crypto/keyfile.h"
#include "crypto/secret.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static char folder[] = "/tmp/perigee-keyfile-XXXXXX";
static char path[64];
static uint8_t secret[KEYFILE_SECRET_MAX + 1], *back;

static int set_up(void **state)
{
    (void)state;
    if (crypto_init() != OK || mkdtemp(folder) == NULL) return 1;
    (void)snprintf(path, sizeof path, "%s/key", folder);
    for (size_t i = 0; i < sizeof secret; i++) secret[i] = (uint8_t)i;
    back = secret_alloc(KEYFILE_SECRET_MAX);
    return back == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    secret_free(back);
    (void)unlink(path);
    return rmdir(folder);
}

static int remove_key(void **state)
{
    (void)state;
    (void)unlink(path);
    return 0;
}

static size_t read_raw(uint8_t *out, size_t cap)
{
    FILE *file = fopen(path, "rb");
    size_t len;
    assert_non_null(file);
    len = fread(out, 1, cap, file);
    assert_int_equal(fclose(file), 0);
    return len;
}

static void write_raw(struct span bytes, mode_t mode)
{
    int fd;
    (void)unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes.data, bytes.len), (ssize_t)bytes.len);
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(close(fd), 0);
}

static enum err read_back(const char *kind, struct span passphrase)
{
    size_t len = 99;
    enum err err = keyfile_read(path, kind, back, &len, passphrase);
    if (err != OK) assert_int_equal(len, 0);
    return err;
}

static void assert_reads(const char *kind, struct span expected, struct span passphrase)
{
    size_t len = 0;
    assert_int_equal(keyfile_read(path, kind, back, &len, passphrase), OK);
    assert_int_equal(len, expected.len);
    assert_memory_equal(back, expected.data, len);
}

/* From PROTOCOL.md with Python's hashlib. */
static void plain_bytes_known(void **state)
{
    uint8_t expected[88], actual[200];
    (void)state;
    assert_int_equal(
        hex_decode(expected, sizeof expected,
                   SPAN_LITERAL("50455249474b4559000100086964656e7469747900000040"
                                "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
                                "55e1783f16256abab931b3471dad3f2ad0366f46a59090ebcb5c735a954abd04")),
        OK);
    assert_int_equal(keyfile_write(path, "identity", span_make(secret, 32), SPAN_NONE), OK);
    assert_int_equal(read_raw(actual, sizeof actual), sizeof expected);
    assert_memory_equal(actual, expected, sizeof expected);
    assert_reads("identity", span_make(secret, 32), SPAN_NONE);
}

static void sizes_round_trip(void **state)
{
    static const size_t lens[] = {1, 31, 32, 100, KEYFILE_SECRET_MAX};
    (void)state;
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        (void)unlink(path);
        assert_int_equal(keyfile_write(path, "share", span_make(secret, lens[i]), SPAN_NONE), OK);
        assert_reads("share", span_make(secret, lens[i]), SPAN_NONE);
    }
    (void)unlink(path);
    assert_int_equal(keyfile_write(path, "share", SPAN_NONE, SPAN_NONE), ERR_RANGE);
    assert_int_equal(keyfile_write(path, "share", SPAN_OF(secret), SPAN_NONE), ERR_TOO_LARGE);
    expect_assert_failure(assert_int_equal(keyfile_write(path, "", span_make(secret, 1), SPAN_NONE), OK));
    expect_assert_failure(assert_int_equal(keyfile_write(path, "A", span_make(secret, 1), SPAN_NONE), OK));
    assert_int_equal(access(path, F_OK), -1);
}

static void mode_and_owner(void **state)
{
    static const mode_t refused[] = {0640, 0604, 0660, 0700, 0644, 0610, 04600};
    struct stat st;
    mode_t before = umask(0);
    (void)state;
    assert_int_equal(keyfile_write(path, "kem", span_make(secret, 32), SPAN_NONE), OK);
    (void)umask(before);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        assert_int_equal(chmod(path, refused[i]), 0);
        assert_int_equal(read_back("kem", SPAN_NONE), ERR_REFUSED);
    }
    assert_int_equal(chmod(path, 0400), 0);
    assert_reads("kem", span_make(secret, 32), SPAN_NONE);
}

static uint32_t folder_entries(void)
{
    DIR *dir = opendir(folder);
    uint32_t count = 0;
    assert_non_null(dir);
    while (readdir(dir) != NULL) count++;
    assert_int_equal(closedir(dir), 0);
    return count - 2; /* "." and ".." */
}

static void never_overwrites(void **state)
{
    (void)state;
    assert_int_equal(folder_entries(), 0);
    assert_int_equal(keyfile_write(path, "kem", span_make(secret, 32), SPAN_NONE), OK);
    assert_int_equal(keyfile_write(path, "kem", span_make(secret, 33), SPAN_NONE), ERR_CONFLICT);
    assert_reads("kem", span_make(secret, 32), SPAN_NONE);
    assert_int_equal(folder_entries(), 1); /* no draft is left behind */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/nonexistent/target", path),
                     0); /* a name that appears to be free until the last step */
    assert_int_equal(keyfile_write(path, "kem", span_make(secret, 32), SPAN_NONE), ERR_CONFLICT);
    assert_int_equal(folder_entries(), 1);
    assert_int_equal(keyfile_write("/nonexistent/folder/key", "kem", span_make(secret, 32), SPAN_NONE),
                     ERR_NOT_FOUND);
}

static void unusual_files_refused(void **state)
{
    size_t len;
    (void)state;
    assert_int_equal(read_back("kem", SPAN_NONE), ERR_NOT_FOUND);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(read_back("kem", SPAN_NONE), ERR_REFUSED); /* and does not wait for a writer */
    assert_int_equal(keyfile_read(folder, "kem", back, &len, SPAN_NONE), ERR_REFUSED);
    write_raw(SPAN_OF(secret), 0600);
    assert_int_equal(read_back("kem", SPAN_NONE), ERR_CORRUPT);
    write_raw(SPAN_NONE, 0600);
    assert_int_equal(read_back("kem", SPAN_NONE), ERR_CORRUPT);
}

/* No changed, missing or added byte of a plain file goes unnoticed. */
static void plain_damage_found(void **state)
{
    uint8_t image[200];
    size_t len;
    (void)state;
    assert_int_equal(keyfile_write(path, "identity", span_make(secret, 32), SPAN_NONE), OK);
    len = read_raw(image, sizeof image);
    for (size_t at = 0; at < len; at++) {
        enum err err;
        image[at] ^= 1;
        write_raw(span_make(image, len), 0600);
        err = read_back("identity", SPAN_NONE);
        assert_true(err == ERR_CORRUPT || err == ERR_VERSION || err == ERR_KIND);
        image[at] ^= 1;
    }
    for (size_t cut = 0; cut < len; cut++) {
        write_raw(span_make(image, cut), 0600);
        assert_int_equal(read_back("identity", SPAN_NONE), ERR_CORRUPT);
    }
    image[len] = 0;
    write_raw(span_make(image, len + 1), 0600);
    assert_int_equal(read_back("identity", SPAN_NONE), ERR_CORRUPT);
    write_raw(span_make(image, len), 0600);
    assert_reads("identity", span_make(secret, 32), SPAN_NONE);
    assert_int_equal(read_back("kem", SPAN_NONE), ERR_KIND);
    assert_int_equal(read_back("identity", SPAN_LITERAL("no such passphrase")), ERR_DECRYPT);
}

static void passphrase_round_trip(void **state)
{
    const struct span right = SPAN_LITERAL("correct horse battery staple");
    uint8_t image[200];
    size_t len;
    (void)state;
    assert_int_equal(keyfile_write(path, "identity", span_make(secret, 32), right), OK);
    len = read_raw(image, sizeof image);
    assert_int_equal(len, 8 + 2 + 1 + 1 + 8 + 4 + 4 + 16 + 24 + 4 + 32 + 16);
    for (size_t at = 0; at + 8 <= len; at++) assert_memory_not_equal(image + at, secret, 8);
    assert_reads("identity", span_make(secret, 32), right);
    assert_int_equal(read_back("identity", SPAN_LITERAL("correct horse battery stapl")), ERR_DECRYPT);
    assert_int_equal(read_back("identity", SPAN_NONE), ERR_DECRYPT);
    assert_int_equal(read_back("kem", right), ERR_KIND);
    image[19] ^= 1; /* the last letter of the kind is bound as well */
    write_raw(span_make(image, len), 0600);
    assert_int_equal(read_back("identitx", right), ERR_DECRYPT);
    image[19] ^= 1;
    image[len - 1] ^= 1;
    write_raw(span_make(image, len), 0600);
    assert_int_equal(read_back("identity", right), ERR_DECRYPT);
}

/* A file may not ask for more memory or passes than the limits: it is refused before any is spent. */
static void passphrase_costs_bounded(void **state)
{
    static const struct {
        size_t at;
        uint32_t value;
    } cases[] = {
        {20, 0}, {20, 17}, {20, UINT32_MAX}, {24, 7}, {24, (1 << 20) + 1}, {24, UINT32_MAX},
    };
    uint8_t image[8 + 2 + 1 + 1 + 8 + 4 + 4 + 16 + 24 + 4 + 32 + 16];
    struct buffer b = BUFFER_OF(image);
    (void)state;
    buffer_put_text(&b, "PERIGKEY");
    buffer_put_u16(&b, 1);
    buffer_put_u8(&b, 1);
    buffer_put_u8(&b, 8);
    buffer_put_text(&b, "identity");
    buffer_put_u32(&b, 1);
    buffer_put_u32(&b, 8);
    buffer_put(&b, span_make(secret, 16 + 24));
    buffer_put_u32(&b, 32 + 16);
    buffer_put(&b, span_make(secret, 32 + 16));
    assert_int_equal(buffer_done(&b), OK);
    write_raw(SPAN_OF(image), 0600);
    assert_int_equal(read_back("identity", SPAN_LITERAL("x")), ERR_DECRYPT); /* well-formed, least cost */
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t copy[sizeof image];
        memcpy(copy, image, sizeof image);
        store_u32(copy + cases[i].at, cases[i].value);
        write_raw(SPAN_OF(copy), 0600);
        assert_int_equal(read_back("identity", SPAN_LITERAL("x")), ERR_CORRUPT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(plain_bytes_known, remove_key),
        cmocka_unit_test_teardown(sizes_round_trip, remove_key),
        cmocka_unit_test_teardown(mode_and_owner, remove_key),
        cmocka_unit_test_teardown(never_overwrites, remove_key),
        cmocka_unit_test_teardown(unusual_files_refused, remove_key),
        cmocka_unit_test_teardown(plain_damage_found, remove_key),
        cmocka_unit_test_teardown(passphrase_round_trip, remove_key),
        cmocka_unit_test_teardown(passphrase_costs_bounded, remove_key),
    };
    return cmocka_run_group_tests_name("crypto/keyfile", tests, set_up, tear_down);
}
