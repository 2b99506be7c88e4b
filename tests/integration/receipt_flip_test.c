/* Every single byte of a real receipt matters: changed, the receipt is not verified, and a link is named.
 * The receipt is one of a demonstration run with few rows (the program in $PERIGEE), or the one in $PERIGEE_KEPT, a folder
 * that `perigee demo --keep` left. A changed digit stays a digit of the same alphabet, so that what refuses it is a rule and
 * not the parser. */
#include "crypto/secret.h"
#include "node/file.h"
#include "node/verify.h"

#include <ftw.h>
#include <pthread.h>
#include <setjmp.h>
#include <spawn.h>
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

extern char **environ;

enum { FLIP_THREADS = 2, FLIP_PATH = 512, FLIP_SAMPLES = 8 };

static char folder[FLIP_PATH], receipt_path[FLIP_PATH + 32];
static char *receipt, *program;
static size_t receipt_len;
static struct consortium_id anchor;
static bool folder_is_ours;

/* --- The receipt ---------------------------------------------------------------------------------------------------- */

static int run(char *const *argv, int error_fd)
{
    pid_t pid;
    int status = 0;
    posix_spawn_file_actions_t actions;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", 1, 0);
    if (error_fd >= 0) (void)posix_spawn_file_actions_adddup2(&actions, error_fd, 2);
    assert_int_equal(posix_spawn(&pid, argv[0], &actions, NULL, argv, environ), 0);
    (void)posix_spawn_file_actions_destroy(&actions);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool make_receipt(void)
{
    char *kept = getenv("PERIGEE_KEPT"), rows[] = "200", words[][8] = {"demo", "--keep", "--rows"};
    program = getenv("PERIGEE");
    folder_is_ours = kept == NULL;
    if (kept != NULL) {
        (void)snprintf(folder, sizeof folder, "%s", kept);
        return true;
    }
    if (program == NULL) return false;
    (void)snprintf(folder, sizeof folder, "/tmp/perigee-flip.XXXXXX");
    assert_non_null(mkdtemp(folder));
    char *argv[] = {program, words[0], words[1], folder, words[2], rows, NULL};
    assert_int_equal(run(argv, -1), 0);
    return true;
}

static int setup(void **state)
{
    char path[FLIP_PATH + 32], *text = NULL;
    size_t len = 0;
    (void)state;
    (void)snprintf(receipt_path, sizeof receipt_path, "%s/receipt.json", folder);
    (void)snprintf(path, sizeof path, "%s/consortium", folder);
    assert_int_equal(crypto_init(), OK);
    assert_int_equal(file_read(&receipt, &receipt_len, receipt_path, RECEIPT_BYTES_MAX), OK);
    assert_int_equal(file_read(&text, &len, path, 80), OK);
    assert_int_equal(hex_decode(anchor.bytes, 32, span_make(text, 64)), OK);
    free(text);
    return 0;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

static int teardown(void **state)
{
    (void)state;
    free(receipt);
    if (folder_is_ours) (void)nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return 0;
}

/* --- Flipping ------------------------------------------------------------------------------------------------------- */

static char other(char byte)
{
    if (byte >= '0' && byte < '9') return (char)(byte + 1);
    if (byte == '9') return 'a';
    if (byte >= 'a' && byte < 'f') return (char)(byte + 1);
    if (byte == 'f') return '0';
    return (char)(byte ^ 1);
}

struct flipper {
    uint32_t first;
    size_t accepted, nowhere; /* positions that verified: the first one */
    uint32_t broken[RECEIPT_LINK_COUNT];
    struct arena arena;
    struct verify_cache *cache;
    char *copy;
};

static void flip_one(struct flipper *f, size_t at)
{
    struct verify_result result;
    const struct verify_options options = {anchor, f->cache, NULL, NULL};
    f->copy[at] = other(receipt[at]);
    enum err err = verify_bytes(&result, &f->arena, span_make(f->copy, receipt_len), &options);
    f->copy[at] = receipt[at];
    verify_memory_reset(&f->arena);
    if (err == OK || result.verified) {
        if (f->accepted == 0) f->accepted = at + 1;
    } else if (err == ERR_NO_MEMORY || result.broken >= RECEIPT_LINK_COUNT || result.why[0] == 0) {
        f->nowhere++;
    } else {
        f->broken[result.broken]++;
    }
}

static void *flip_some(void *context)
{
    struct flipper *f = context;
    for (size_t at = f->first; at < receipt_len; at += FLIP_THREADS) flip_one(f, at);
    return NULL;
}

static void test_every_byte(void **state)
{
    static struct flipper flipper[FLIP_THREADS];
    pthread_t thread[FLIP_THREADS];
    uint32_t total = 0;
    (void)state;
    for (uint32_t i = 0; i < FLIP_THREADS; i++) {
        struct flipper *f = &flipper[i];
        f->first = i;
        f->cache = calloc(1, sizeof *f->cache);
        f->copy = malloc(receipt_len);
        assert_int_equal(verify_memory_open(&f->arena), OK);
        memcpy(f->copy, receipt, receipt_len);
        assert_int_equal(pthread_create(&thread[i], NULL, flip_some, f), 0);
    }
    for (uint32_t i = 0; i < FLIP_THREADS; i++) assert_int_equal(pthread_join(thread[i], NULL), 0);
    for (uint32_t link = 0; link < RECEIPT_LINK_COUNT; link++) {
        uint32_t count = flipper[0].broken[link] + flipper[1].broken[link];
        print_message("%6u broken at %s\n", count, receipt_link_name((enum receipt_link)link));
        total += count;
    }
    for (uint32_t i = 0; i < FLIP_THREADS; i++) {
        if (flipper[i].accepted != 0)
            print_error("byte %zu changed, and verified: ...%.60s...\n", flipper[i].accepted - 1,
                        receipt + (flipper[i].accepted > 30 ? flipper[i].accepted - 30 : 0));
        assert_int_equal(flipper[i].accepted, 0);
        assert_int_equal(flipper[i].nowhere, 0);
        verify_memory_close(&flipper[i].arena);
        free(flipper[i].cache);
        free(flipper[i].copy);
    }
    assert_int_equal(total, receipt_len);
}

/* --- The whole receipt ------------------------------------------------------------------------------------------------ */

static enum err verify(struct verify_result *result, struct span bytes, struct consortium_id trusted)
{
    struct arena arena;
    const struct verify_options options = {trusted, NULL, NULL, NULL};
    assert_int_equal(verify_memory_open(&arena), OK);
    enum err err = verify_bytes(result, &arena, bytes, &options);
    verify_memory_close(&arena);
    return err;
}

static void test_untouched(void **state)
{
    struct verify_result result;
    (void)state;
    assert_int_equal(verify(&result, span_make(receipt, receipt_len), anchor), OK);
    assert_true(result.verified && result.simulated && result.output_known);
    assert_int_equal(result.slot, 1);
}

static void test_anchor(void **state)
{
    struct verify_result result;
    struct consortium_id none = {{0}}, another = anchor;
    (void)state;
    another.bytes[31] ^= 1;
    assert_int_not_equal(verify(&result, span_make(receipt, receipt_len), none), OK);
    assert_int_equal(result.broken, LINK_CONSORTIUM);
    assert_int_not_equal(verify(&result, span_make(receipt, receipt_len), another), OK);
    assert_int_equal(result.broken, LINK_CONSORTIUM);
    assert_non_null(strstr(result.why, "a receipt of consortium"));
}

static void test_cut_and_longer(void **state)
{
    struct verify_result result;
    char *longer = malloc(receipt_len + 1);
    (void)state;
    for (size_t len = 0; len < receipt_len; len += 997) {
        assert_int_not_equal(verify(&result, span_make(receipt, len), anchor), OK);
        assert_int_equal(result.broken, LINK_DOCUMENT);
    }
    memcpy(longer, receipt, receipt_len);
    longer[receipt_len] = '\n';
    assert_int_not_equal(verify(&result, span_make(longer, receipt_len + 1), anchor), OK);
    assert_int_equal(result.broken, LINK_DOCUMENT);
    free(longer);
}

/* The same through the program: exit code 4, and the link by its name on stderr. */
static void test_program(void **state)
{
    char path[FLIP_PATH + 32], consortium[65], error[512], words[][16] = {"verify", "--consortium"};
    (void)state;
    if (program == NULL) skip();
    hex_encode(consortium, anchor.bytes, 32);
    (void)snprintf(path, sizeof path, "%s/flipped.json", folder);
    for (size_t i = 0; i < FLIP_SAMPLES; i++) {
        struct verify_result result;
        const size_t at = receipt_len * i / FLIP_SAMPLES + 7;
        FILE *errors = tmpfile();
        assert_non_null(errors);
        const char honest = receipt[at];
        receipt[at] = other(honest);
        assert_int_not_equal(verify(&result, span_make(receipt, receipt_len), anchor), OK);
        assert_int_equal(file_write(path, span_make(receipt, receipt_len), 0600, true), OK);
        char *argv[] = {program, words[0], path, words[1], consortium, NULL};
        assert_int_equal(run(argv, fileno(errors)), 4);
        receipt[at] = honest;
        rewind(errors);
        error[fread(error, 1, sizeof error - 1, errors)] = 0;
        (void)fclose(errors);
        assert_non_null(strstr(error, receipt_link_name(result.broken)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_untouched),      cmocka_unit_test(test_anchor),
        cmocka_unit_test(test_cut_and_longer), cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_program),
    };
    if (!make_receipt()) {
        print_message(
            "SKIPPED: neither PERIGEE (the program) nor PERIGEE_KEPT (a kept demonstration) is set\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, setup, teardown);
}
