/* spool: a body that is read through it byte for byte, from any place, by many threads, with fewer chunks in the clear than it
 * has; nothing of it in the clear on the disk; a chunk that was changed there is an error; and every other file as before. */
#include "node/spool.h"

#include "crypto/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum { CHUNKS = SPOOL_SLOTS + 9, TAIL = 12345, THREADS = 4, READS = 300, READ_MAX = 3 * BODY_CHUNK_BYTES };
#define PLAIN_BYTES ((size_t)CHUNKS * BODY_CHUNK_BYTES + TAIL)

static uint8_t *plain;
static int disk;
static struct body_key *key;
static struct body_summary summary;
static struct spool *spool;
static int file; /* as DuckDB opens it */

/* Also of the compiler's: what is called here is what libraries call. */
static ssize_t (*volatile call_pread)(int, void *, size_t, off_t) = pread;
static ssize_t (*volatile call_read)(int, void *, size_t) = read;

static void fill_plain(void)
{
    uint64_t x = 88172645463325252u;
    for (size_t i = 0; i + 8 <= PLAIN_BYTES; i += 8) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        memcpy(plain + i, &x, 8);
    }
}

static void put_all(void)
{
    uint8_t *sealed = malloc(BODY_SEALED_MAX);
    assert_non_null(sealed);
    for (uint32_t i = summary.chunk_count; i-- > 0;) { /* in any order */
        const struct span part = {plain + (size_t)i * BODY_CHUNK_BYTES, body_plain_bytes(&summary, i)};
        assert_int_equal(body_seal_chunk(sealed, key, i, part), OK);
        assert_int_equal(spool_put(spool, i, span_make(sealed, part.len + BODY_TAG_BYTES)), OK);
    }
    free(sealed);
}

static int begin(void **state)
{
    (void)state;
    char path[64];
    uint8_t data_key[32] = {1};
    assert_int_equal(crypto_init(), OK);
    plain = malloc(PLAIN_BYTES);
    assert_non_null(plain);
    fill_plain();
    disk = memfd_create("disk", MFD_CLOEXEC);
    summary = (struct body_summary){
        .suite = body_suite_best(), .plain_len = PLAIN_BYTES, .chunk_count = CHUNKS + 1};
    assert_int_equal(body_key_derive(&key, data_key, summary.suite, summary.salt), OK);
    assert_int_equal(spool_new(&spool, disk, 4096, &summary, key), OK);
    put_all();
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", spool_file(spool));
    file = open(path, O_RDONLY | O_CLOEXEC);
    return file >= 0 ? 0 : -1;
}

static int finish(void **state)
{
    (void)state;
    (void)close(file);
    spool_free(spool);
    body_key_free(key);
    (void)close(disk);
    free(plain);
    return 0;
}

static bool same(size_t at, size_t len, uint8_t *room)
{
    const size_t expected = at >= PLAIN_BYTES ? 0 : len < PLAIN_BYTES - at ? len : PLAIN_BYTES - at;
    return call_pread(file, room, len, (off_t)at) == (ssize_t)expected &&
           memcmp(room, plain + at, expected) == 0;
}

static void reads_are_in_force(void **state)
{
    (void)state;
    assert_true(spool_is_in_force());
}

static void every_place_reads_as_it_was(void **state)
{
    (void)state;
    static const size_t places[] = {0,
                                    1,
                                    BODY_CHUNK_BYTES - 1,
                                    BODY_CHUNK_BYTES,
                                    5 * BODY_CHUNK_BYTES + 77,
                                    PLAIN_BYTES - TAIL - 1,
                                    PLAIN_BYTES - 1,
                                    PLAIN_BYTES,
                                    PLAIN_BYTES + 5};
    uint8_t *room = malloc(READ_MAX);
    assert_non_null(room);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        assert_true(same(places[i], 1, room));
        assert_true(same(places[i], READ_MAX, room));
    }
    assert_int_equal(call_pread(file, room, 1, -1), -1);
    assert_int_equal(errno, EINVAL);
    free(room);
}

static void a_reader_goes_on_where_it_was(void **state)
{
    (void)state;
    uint8_t *room = malloc(READ_MAX);
    size_t at = 0;
    assert_non_null(room);
    assert_int_equal(lseek(file, 0, SEEK_SET), 0);
    for (ssize_t got; (got = call_read(file, room, READ_MAX - 7)) > 0; at += (size_t)got)
        assert_memory_equal(room, plain + at, (size_t)got);
    assert_int_equal(at, PLAIN_BYTES);
    assert_int_equal(lseek(file, 0, SEEK_CUR), PLAIN_BYTES);
    free(room);
}

static void *read_about(void *context)
{
    uint64_t x = (uint64_t)(uintptr_t)context * 2654435761u + 1;
    uint8_t *room = malloc(READ_MAX);
    bool good = room != NULL;
    for (int i = 0; i < READS && good; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        good = same((x >> 20) % PLAIN_BYTES, (x >> 40) % BODY_CHUNK_BYTES + 1, room);
    }
    free(room);
    return good ? context : NULL;
}

static void threads_share_the_window(void **state)
{
    (void)state;
    pthread_t thread[THREADS];
    void *result;
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, read_about, (void *)(i + 1)), 0);
    for (uint32_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(thread[i], &result), 0);
        assert_non_null(result);
    }
}

/* The disk and the file without bytes: neither holds a piece of the plaintext. */
static void nothing_in_the_clear_is_in_a_file(void **state)
{
    (void)state;
    const size_t len = (size_t)lseek(disk, 0, SEEK_END);
    assert_true(len > PLAIN_BYTES);
    uint8_t *map = mmap(NULL, len, PROT_READ, MAP_SHARED, disk, 0);
    assert_true(map != MAP_FAILED);
    for (uint32_t i = 0; i <= CHUNKS; i++)
        assert_null(memmem(map, len, plain + (size_t)i * BODY_CHUNK_BYTES, 32));
    (void)munmap(map, len);
    map = mmap(NULL, PLAIN_BYTES, PROT_READ, MAP_SHARED, file, 0);
    assert_true(map != MAP_FAILED);
    for (size_t i = 0; i < PLAIN_BYTES; i += 511) assert_int_equal(map[i], 0);
    (void)munmap(map, PLAIN_BYTES);
}

static void other_files_read_as_ever(void **state)
{
    (void)state;
    uint8_t bytes[4] = {0};
    int other = memfd_create("other", MFD_CLOEXEC);
    assert_int_equal(pwrite(other, "abcd", 4, 0), 4);
    assert_int_equal(call_pread(other, bytes, 4, 2), 2);
    assert_memory_equal(bytes, "cd", 2);
    assert_int_equal(call_read(other, bytes, 4), 4);
    assert_memory_equal(bytes, "abcd", 4);
    assert_int_equal(call_pread(-1, bytes, 1, 0), -1);
    assert_int_equal(errno, EBADF);
    (void)close(other);
}

/* Last: what was changed stays so. */
static void a_changed_chunk_does_not_read(void **state)
{
    (void)state;
    uint8_t byte, *room = malloc(READ_MAX);
    assert_non_null(room);
    const off_t at = 4096 + (off_t)3 * BODY_SEALED_MAX + 100;
    for (uint32_t i = CHUNKS - SPOOL_SLOTS; i < CHUNKS; i++)
        assert_true(same((size_t)i * BODY_CHUNK_BYTES, 1, room)); /* forget 1 and 3 */
    assert_int_equal(call_pread(disk, &byte, 1, at), 1);
    byte ^= 1;
    assert_int_equal(pwrite(disk, &byte, 1, at), 1);
    assert_int_equal(call_pread(file, room, 10, (off_t)3 * BODY_CHUNK_BYTES), -1);
    assert_int_equal(errno, EIO);
    assert_true(same((size_t)4 * BODY_CHUNK_BYTES, 10, room));
    assert_int_equal(ftruncate(disk, 4096), 0);
    assert_int_equal(call_pread(file, room, 10, (off_t)1 * BODY_CHUNK_BYTES), -1);
    free(room);
}

int main(void)
{
    if (!SPOOL_READS) {
        (void)printf("SKIPPED: read is the thread sanitizer's here\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_are_in_force),
        cmocka_unit_test(every_place_reads_as_it_was),
        cmocka_unit_test(a_reader_goes_on_where_it_was),
        cmocka_unit_test(threads_share_the_window),
        cmocka_unit_test(nothing_in_the_clear_is_in_a_file),
        cmocka_unit_test(other_files_read_as_ever),
        cmocka_unit_test(a_changed_chunk_does_not_read),
    };
    return cmocka_run_group_tests(tests, begin, finish);
}
