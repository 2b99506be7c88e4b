/* The disk misbehaves. This program stands between LMDB and the kernel (its own pwrite, writev and fdatasync take the place
 * of libc's), so that it can fail the n-th call for every n until a clean run, and cut the power after every n-th call:
 * what was synced is kept, of the rest a random part, page by page. */
#include "proto/base/panic.h"
#include "storage/store.h"
#include "tests/storage_place.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

enum { BATCHES = 8, MAP_BYTES = 4 << 20, SECTOR = 4096 };

/* --- the disk --- */

static struct {
    pthread_mutex_t lock;
    struct stat file; /* which file is watched; st_ino 0: none */
    uint32_t calls;   /* writes and syncs on it so far */
    uint32_t fail_at; /* this call fails, 0: none */
    int fail_errno;
    bool fail_on;    /* and so do all later ones */
    uint32_t cut_at; /* power ends after this call, 0: never */
    bool off;
    uint8_t *synced, *written; /* images of MAP_BYTES: what is certain, what was asked for */
    uint32_t acknowledged_at_cut, acknowledged;
    uint64_t random;
} disk = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool disk_watches(int fd)
{
    struct stat is;
    return disk.file.st_ino != 0 && fstat(fd, &is) == 0 && is.st_ino == disk.file.st_ino &&
           is.st_dev == disk.file.st_dev;
}

/* Returns the errno this call must fail with, or 0. Called with the lock held. */
static int disk_count_call(void)
{
    disk.calls++;
    bool fails =
        disk.fail_at != 0 && (disk.calls == disk.fail_at || (disk.fail_on && disk.calls > disk.fail_at));
    return fails ? disk.fail_errno : 0;
}

static void disk_after_call(void)
{
    if (disk.cut_at == 0 || disk.calls != disk.cut_at || disk.off) return;
    disk.off = true; /* what follows does not reach the images */
    disk.acknowledged_at_cut = disk.acknowledged;
}

static void disk_note_write(int fd, const void *bytes, size_t len, off_t at)
{
    if (!disk.written || disk.off) return;
    ASSERT(at >= 0 && (size_t)at + len <= MAP_BYTES);
    memcpy(disk.written + at, bytes, len);
    if (fcntl(fd, F_GETFL) & O_DSYNC) memcpy(disk.synced + at, bytes, len);
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at)
{
    if (!disk_watches(fd)) return syscall(SYS_pwrite64, fd, bytes, len, at);
    pthread_mutex_lock(&disk.lock);
    int failure = disk_count_call();
    ssize_t rc = failure ? -1 : syscall(SYS_pwrite64, fd, bytes, len, at);
    if (rc > 0) disk_note_write(fd, bytes, (size_t)rc, at);
    disk_after_call();
    pthread_mutex_unlock(&disk.lock);
    if (failure) errno = failure;
    return rc;
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    if (!disk_watches(fd)) return syscall(SYS_writev, fd, parts, count);
    pthread_mutex_lock(&disk.lock);
    int failure = disk_count_call();
    off_t at = lseek(fd, 0, SEEK_CUR);
    ssize_t rc = failure ? -1 : syscall(SYS_writev, fd, parts, count);
    for (int i = 0; rc > 0 && i < count; at += (off_t)parts[i].iov_len, i++)
        disk_note_write(fd, parts[i].iov_base, parts[i].iov_len, at);
    disk_after_call();
    pthread_mutex_unlock(&disk.lock);
    if (failure) errno = failure;
    return rc;
}

int fdatasync(int fd)
{
    if (!disk_watches(fd)) return 0; /* the real medium is not what is tested */
    pthread_mutex_lock(&disk.lock);
    int failure = disk_count_call();
    if (!failure && disk.written && !disk.off) memcpy(disk.synced, disk.written, MAP_BYTES);
    disk_after_call();
    pthread_mutex_unlock(&disk.lock);
    if (failure) errno = failure;
    return failure ? -1 : 0;
}

int fsync(int fd)
{
    (void)fd; /* directories, after creation */
    return 0;
}

static void disk_watch(const struct storage_place *place)
{
    disk.calls = 0;
    disk.off = false;
    disk.acknowledged = disk.acknowledged_at_cut = 0;
    ASSERT(stat(place->data, &disk.file) == 0);
}

static void disk_forget(void)
{
    memset(&disk.file, 0, sizeof disk.file);
    disk.fail_at = disk.cut_at = 0;
    disk.fail_on = false;
}

/* --- a workload of numbered batches --- */

enum { PARTS = 3 };
static const size_t part_lens[PARTS] = {20, 700, 9000}; /* inline, a quarter page, overflow pages */

static struct span part(uint8_t *out, uint32_t number, uint32_t index)
{
    memset(out, (int)(number * PARTS + index + 1), part_lens[index]);
    return span_make(out, part_lens[index]);
}

static enum err batch_write(struct store *s, uint32_t number)
{
    static uint8_t values[PARTS][9000];
    uint8_t keys[PARTS][5];
    struct store_write writes[PARTS + 1];
    for (uint32_t i = 0; i < PARTS; i++) {
        store_u32(keys[i], number);
        keys[i][4] = (uint8_t)i;
        writes[i] =
            (struct store_write){STORE_PUT, STORE_PROMISE, SPAN_OF(keys[i]), part(values[i], number, i)};
    }
    writes[PARTS] = (struct store_write){STORE_DELETE, STORE_LOCAL, SPAN_LITERAL("nothing"), SPAN_NONE};
    return store_write_now(s, writes, PARTS + 1);
}

/* Parts of a batch that are there, each of which must be right. */
static uint32_t batch_parts(struct store *s, uint32_t number)
{
    static uint8_t value[9000];
    uint32_t found = 0;
    for (uint32_t i = 0; i < PARTS; i++) {
        uint8_t key[5];
        store_u32(key, number);
        key[4] = (uint8_t)i;
        enum err err = storage_expect(s, STORE_PROMISE, SPAN_OF(key), part(value, number, i));
        assert_true(err == OK || err == ERR_NOT_FOUND);
        found += err == OK;
    }
    return found;
}

/* --- the n-th call fails --- */

/* Returns whether the fault was reached. */
static bool fault_run(uint32_t fail_at, int fail_errno, bool fail_on)
{
    struct storage_place place;
    enum err said[BATCHES];
    storage_place_make(&place);
    struct store *s = storage_place_open(&place, MAP_BYTES);
    disk_watch(&place);
    disk.fail_at = fail_at;
    disk.fail_errno = fail_errno;
    disk.fail_on = fail_on;
    for (uint32_t i = 0; i < BATCHES; i++) said[i] = batch_write(s, i);
    bool reached = disk.calls >= fail_at;
    disk_forget();
    store_close(s);
    s = storage_place_open(&place, MAP_BYTES);
    uint32_t failed = 0;
    for (uint32_t i = 0; i < BATCHES; i++) {
        assert_int_equal(batch_parts(s, i), said[i] == OK ? PARTS : 0);
        assert_true(said[i] == OK || said[i] == ERR_IO || said[i] == ERR_FULL);
        failed += said[i] != OK;
    }
    if (!reached) assert_int_equal(failed, 0);
    if (fail_on && fail_at == 1) assert_int_equal(failed, BATCHES);
    assert_int_equal(batch_write(s, BATCHES), OK);
    store_close(s);
    storage_place_remove(&place);
    return reached;
}

static void test_every_call_fails_once(void **state)
{
    (void)state;
    uint32_t n = 1;
    while (fault_run(n, EIO, false)) n++;
    assert_true(n > 2 * BATCHES); /* at least one write and one sync each */
}

static void test_disk_fills_up_for_good(void **state)
{
    (void)state;
    uint32_t n = 1;
    while (fault_run(n, ENOSPC, true)) n += 3;
}

/* A full disk is that batch's error; when there is room again the same store goes on. */
static void test_store_goes_on_when_there_is_room_again(void **state)
{
    struct storage_place place;
    (void)state;
    storage_place_make(&place);
    struct store *s = storage_place_open(&place, MAP_BYTES);
    assert_int_equal(batch_write(s, 0), OK);
    disk_watch(&place);
    disk.fail_at = 1;
    disk.fail_errno = ENOSPC;
    disk.fail_on = true;
    assert_int_equal(batch_write(s, 1), ERR_FULL);
    assert_int_equal(batch_write(s, 2), ERR_FULL);
    assert_int_equal(batch_parts(s, 0), PARTS);
    assert_int_equal(batch_parts(s, 1), 0);
    disk_forget();
    assert_int_equal(batch_write(s, 2), OK);
    assert_int_equal(batch_parts(s, 2), PARTS);
    store_close(s);
    storage_place_remove(&place);
}

/* --- the power goes --- */

/* The file as the next start finds it: of what was not synced, any pages. */
static void disk_write_image(const struct storage_place *place)
{
    int file = open(place->data, O_WRONLY | O_CLOEXEC);
    assert_true(file >= 0);
    for (size_t at = 0; at < MAP_BYTES; at += SECTOR) {
        const uint8_t *from = storage_random(&disk.random, 2) ? disk.written + at : disk.synced + at;
        assert_int_equal(pwrite(file, from, SECTOR, (off_t)at), SECTOR);
    }
    assert_int_equal(close(file), 0);
}

static void disk_read_image(const struct storage_place *place)
{
    int file = open(place->data, O_RDONLY | O_CLOEXEC);
    assert_true(file >= 0);
    memset(disk.synced, 0, MAP_BYTES);
    assert_true(read(file, disk.synced, MAP_BYTES) > 0);
    memcpy(disk.written, disk.synced, MAP_BYTES);
    assert_int_equal(close(file), 0);
}

/* What a start after the cut must find: what had been acknowledged, and whole batches only. */
static void power_check(const struct storage_place *place, uint32_t acknowledged)
{
    struct store *s = storage_place_open(place, MAP_BYTES);
    uint32_t kept = 0;
    while (kept < BATCHES && batch_parts(s, kept) == PARTS) kept++;
    assert_true(kept >= acknowledged);
    for (uint32_t i = kept; i < BATCHES; i++) assert_int_equal(batch_parts(s, i), 0);
    assert_int_equal(batch_write(s, BATCHES + 1), OK);
    store_close(s);
}

static bool power_run(uint32_t cut_at)
{
    struct storage_place place;
    storage_place_make(&place);
    store_close(storage_place_open(&place, MAP_BYTES));
    disk_read_image(&place);
    struct store *s = storage_place_open(&place, MAP_BYTES);
    disk_watch(&place);
    disk.cut_at = cut_at;
    for (uint32_t i = 0; i < BATCHES; i++) {
        assert_int_equal(batch_write(s, i), OK);
        disk.acknowledged = i + 1;
    }
    bool reached = disk.off;
    uint32_t acknowledged = reached ? disk.acknowledged_at_cut : BATCHES;
    disk_forget();
    store_close(s);
    for (int i = 0; i < 4; i++) { /* the same cut, other pages lost */
        disk_write_image(&place);
        power_check(&place, acknowledged);
    }
    storage_place_remove(&place);
    return reached;
}

static void test_power_cut_after_every_call(void **state)
{
    (void)state;
    disk.random = 7;
    disk.synced = malloc(MAP_BYTES);
    disk.written = malloc(MAP_BYTES);
    assert_true(disk.synced && disk.written);
    uint32_t n = 1;
    while (power_run(n)) n++;
    assert_true(n > 2 * BATCHES);
    free(disk.synced);
    free(disk.written);
    disk.synced = disk.written = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_call_fails_once),
        cmocka_unit_test(test_disk_fills_up_for_good),
        cmocka_unit_test(test_store_goes_on_when_there_is_room_again),
        cmocka_unit_test(test_power_cut_after_every_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
