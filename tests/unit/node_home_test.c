/* A node's data directory: made whole or not at all, opened only when it is ours and intact, bound to one consortium. */
#include "crypto/cocktail.h"
#include "crypto/hash.h"
#include "crypto/identity.h"
#include "crypto/secret.h"
#include "node/arguments.h"
#include "node/card.h"
#include "node/command.h"
#include "node/file.h"
#include "node/home.h"
#include "node/passphrase.h"
#include "node/share_cache.h"
#include "tests/sample.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

static char root[64], fault[512];
static const struct home_identity who = {
    "zurich", "CH", ROLE_OWNER | ROLE_CUSTODIAN | ROLE_STEWARD, {{0}}, {(const uint8_t *)"# none\n", 7}};

static void in_root(char out[PATH_MAX], const char *name)
{
    assert_true(snprintf(out, PATH_MAX, "%s/%s", root, name) < PATH_MAX);
}

static int make_root(void **state)
{
    (void)state;
    (void)snprintf(root, sizeof root, "/tmp/perigee_home_XXXXXX");
    return mkdtemp(root) == NULL;
}

static void remove_tree(const char *path)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    char name[PATH_MAX];
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        (void)snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (unlink(name) != 0) remove_tree(name);
    }
    if (folder != NULL) (void)closedir(folder);
    (void)rmdir(path);
}

static int drop_root(void **state)
{
    (void)state;
    remove_tree(root);
    return 0;
}

static uint32_t entry_count(const char *path)
{
    DIR *folder = opendir(path);
    uint32_t count = 0;
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) count += entry->d_name[0] != '.';
    (void)closedir(folder);
    return count;
}

static void overwrite(const char *path, const char *text)
{
    assert_int_equal(file_write(path, span_text(text), 0600, true), OK);
}

/* --- Making and opening ------------------------------------------------------------------------------------------- */

static void made_is_opened(void **state)
{
    char path[PATH_MAX];
    struct home h;
    struct stat status;
    (void)state;
    in_root(path, "made");
    assert_int_equal(home_create(path, &who, SPAN_NONE, fault, sizeof fault), OK);
    assert_int_equal(home_open(&h, path, SPAN_NONE, fault, sizeof fault), OK);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    assert_false(ID_IS_ZERO(h.node));
    assert_true(ID_IS_ZERO(h.consortium));
    assert_null(h.charter);
    struct node_id node;
    assert_int_equal(identity_public(&node, h.identity), OK);
    assert_true(ID_EQUAL(node, h.node));
    assert_int_equal(entry_count(path), 9);
    home_close(&h);
    assert_null(h.identity);
}

/* Two homes have nothing in common. */
static void keys_differ(void **state)
{
    char path[2][PATH_MAX];
    struct home h[2];
    (void)state;
    for (int i = 0; i < 2; i++) {
        in_root(path[i], i == 0 ? "one" : "two");
        assert_int_equal(home_create(path[i], &who, SPAN_NONE, fault, sizeof fault), OK);
        assert_int_equal(home_open(&h[i], path[i], SPAN_NONE, fault, sizeof fault), OK);
    }
    assert_false(ID_EQUAL(h[0].node, h[1].node));
    assert_memory_not_equal(h[0].kem_public.bytes, h[1].kem_public.bytes, 32);
    assert_memory_not_equal(h[0].dkg_public.bytes, h[1].dkg_public.bytes, 32);
    assert_memory_not_equal(h[0].kem->bytes, h[0].link->bytes, 32);
    home_close(&h[0]);
    home_close(&h[1]);
}

/* The card's key generation key belongs to the secret beside it: a key generation of one runs with them. */
static void dkg_key_fits(void **state)
{
    char path[PATH_MAX];
    struct home h;
    struct cocktail_session session = {.n = 1, .t = 1, .own = 1};
    struct cocktail_secret secret;
    struct cocktail_round1 round1;
    (void)state;
    in_root(path, "dkg");
    assert_int_equal(home_create(path, &who, SPAN_NONE, fault, sizeof fault), OK);
    assert_int_equal(home_open(&h, path, SPAN_NONE, fault, sizeof fault), OK);
    session.party[0] = h.dkg_public;
    assert_int_equal(cocktail_begin(&secret, &round1, &session, h.dkg), OK);
    home_close(&h);
}

static void existing_is_kept(void **state)
{
    char path[PATH_MAX];
    struct home h;
    struct node_id node;
    (void)state;
    in_root(path, "kept");
    assert_int_equal(home_create(path, &who, SPAN_NONE, fault, sizeof fault), OK);
    assert_int_equal(home_open(&h, path, SPAN_NONE, fault, sizeof fault), OK);
    node = h.node;
    home_close(&h);
    uint32_t before = entry_count(root);
    assert_int_equal(home_create(path, &who, SPAN_NONE, fault, sizeof fault), ERR_CONFLICT);
    assert_non_null(strstr(fault, "exists already"));
    assert_int_equal(entry_count(root), before); /* no draft left */
    assert_int_equal(home_open(&h, path, SPAN_NONE, fault, sizeof fault), OK);
    assert_true(ID_EQUAL(node, h.node));
    home_close(&h);
}

static void bad_identity_makes_nothing(void **state)
{
    static const struct home_identity bad[] = {
        {"Zurich", "CH", ROLE_OWNER, {{0}}, {NULL, 0}},    {"", "CH", ROLE_OWNER, {{0}}, {NULL, 0}},
        {"zurich", "Swiss", ROLE_OWNER, {{0}}, {NULL, 0}}, {"zurich", "CH", 0, {{0}}, {NULL, 0}},
        {"zurich", "CH", 1u << 30, {{0}}, {NULL, 0}},
    };
    char path[PATH_MAX];
    (void)state;
    in_root(path, "bad");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_not_equal(home_create(path, &bad[i], SPAN_NONE, fault, sizeof fault), OK);
        assert_int_not_equal(access(path, F_OK), 0);
        assert_int_not_equal(fault[0], 0);
    }
}

static void damage_is_refused(void **state)
{
    static const struct {
        const char *file, *text;
        enum err err;
        const char *said;
    } damage[] = {
        {"version", "perigee-data 2\n", ERR_VERSION,
         "expected \"perigee-data 1\", got \"perigee-data 2\": run the version"},
        {"identity.key", "short", ERR_CORRUPT, "identity.key"},
        {"charter.json", "{}", ERR_CORRUPT, "/charter.json: charter: "},
        {"card.json", "{}", ERR_MISSING_FIELD, "card.json"},
    };
    char path[PATH_MAX], file[PATH_MAX + 32];
    struct home h;
    (void)state;
    for (size_t i = 0; i < sizeof damage / sizeof damage[0]; i++) {
        in_root(path, damage[i].file);
        assert_int_equal(home_create(path, &who, SPAN_NONE, fault, sizeof fault), OK);
        (void)snprintf(file, sizeof file, "%s/%s", path, damage[i].file);
        overwrite(file, damage[i].text);
        enum err err = home_open(&h, path, SPAN_NONE, fault, sizeof fault);
        if (damage[i].err == ERR_MISSING_FIELD)
            assert_int_not_equal(err, OK);
        else
            assert_int_equal(err, damage[i].err);
        assert_non_null(strstr(fault, damage[i].said));
        assert_null(h.identity);
    }
}

static void open_to_others_is_refused(void **state)
{
    char path[PATH_MAX], key[PATH_MAX + 32];
    struct home h;
    (void)state;
    in_root(path, "open");
    assert_int_equal(home_open(&h, path, SPAN_NONE, fault, sizeof fault), ERR_NOT_FOUND);
    assert_int_equal(home_create(path, &who, SPAN_NONE, fault, sizeof fault), OK);
    assert_int_equal(chmod(path, 0750), 0);
    assert_int_equal(home_open(&h, path, SPAN_NONE, fault, sizeof fault), ERR_REFUSED);
    assert_int_equal(chmod(path, 0700), 0);
    (void)snprintf(key, sizeof key, "%s/kem.key", path);
    assert_int_equal(chmod(key, 0644), 0);
    assert_int_equal(home_open(&h, path, SPAN_NONE, fault, sizeof fault), ERR_REFUSED);
    assert_non_null(strstr(fault, "kem.key"));
    assert_non_null(strstr(fault, "mode 0644: chmod 600"));
    assert_int_equal(chmod(key, 0600), 0);
    if (chown(key, geteuid() + 1, (gid_t)-1) == 0) { /* who may give files away */
        assert_int_equal(home_open(&h, path, SPAN_NONE, fault, sizeof fault), ERR_REFUSED);
        assert_non_null(strstr(fault, "chown gives that user it"));
    }
    assert_int_equal(unlink(key), 0);
    assert_int_equal(home_open(&h, path, SPAN_NONE, fault, sizeof fault), ERR_NOT_FOUND);
    assert_non_null(strstr(fault, "the key is gone"));
}

/* The lock is per open file, so a second opener in this process is refused like another process. */
static void one_node_at_a_time(void **state)
{
    char path[PATH_MAX];
    struct home first, second;
    (void)state;
    in_root(path, "locked");
    assert_int_equal(home_create(path, &who, SPAN_NONE, fault, sizeof fault), OK);
    assert_int_equal(home_open(&first, path, SPAN_NONE, fault, sizeof fault), OK);
    assert_int_equal(home_open(&second, path, SPAN_NONE, fault, sizeof fault), OK);
    assert_int_equal(home_lock(&first, fault, sizeof fault), OK);
    assert_int_equal(home_lock(&second, fault, sizeof fault), ERR_BUSY);
    assert_int_equal(second.lock_fd, -1);
    assert_non_null(strstr(fault, "a node already runs in"));
    home_close(&first);
    assert_int_equal(home_lock(&second, fault, sizeof fault), OK);
    home_close(&second);
}

/* A lock that cannot be had for another reason is not told as another node. */
static void a_lock_that_cannot_be_made(void **state)
{
    char path[PATH_MAX], lock[PATH_MAX + 8];
    struct home h;
    (void)state;
    in_root(path, "unlockable");
    assert_int_equal(home_create(path, &who, SPAN_NONE, fault, sizeof fault), OK);
    assert_int_equal(home_open(&h, path, SPAN_NONE, fault, sizeof fault), OK);
    (void)snprintf(lock, sizeof lock, "%s/lock", path);
    assert_int_equal(mkdir(lock, 0700), 0);
    assert_int_equal(home_lock(&h, fault, sizeof fault), ERR_IO);
    assert_non_null(strstr(fault, "expected a file that a node locks"));
    assert_null(strstr(fault, "already runs"));
    home_close(&h);
    assert_int_equal(rmdir(lock), 0);
}

/* --- Joining ------------------------------------------------------------------------------------------------------ */

static void joins_one_consortium(void **state)
{
    char path[PATH_MAX];
    struct home h;
    struct span charter = span_text(sample_charter);
    (void)state;
    in_root(path, "joined");
    assert_int_equal(home_create(path, &who, SPAN_NONE, fault, sizeof fault), OK);
    assert_int_equal(home_open(&h, path, SPAN_NONE, fault, sizeof fault), OK);
    assert_int_not_equal(home_join(&h, SPAN_LITERAL("{}"), fault, sizeof fault), OK);
    assert_null(h.charter);
    assert_int_equal(home_join(&h, charter, fault, sizeof fault), OK);
    assert_int_equal(home_join(&h, charter, fault, sizeof fault), OK); /* again is no harm */
    struct span other = sample_with(sample_charter, "\"lease_ms\":1000", "\"lease_ms\":1001");
    assert_int_equal(home_join(&h, other, fault, sizeof fault), ERR_CONFLICT);
    home_close(&h);
    assert_int_equal(home_open(&h, path, SPAN_NONE, fault, sizeof fault), OK);
    struct hash32 hash = sha256(charter);
    assert_memory_equal(h.consortium.bytes, hash.bytes, 32);
    assert_string_equal(h.charter, sample_charter);
    home_close(&h);
}

/* A charter of one founder, whose entry is its card but for what `bend` changes. */
static enum err join_bent(const struct home *look, void (*bend)(struct charter_member *))
{
    static uint8_t memory[1 << 18], bytes[CAP_DOCUMENT_BYTES];
    struct arena arena;
    struct charter_member m;
    struct buffer b = BUFFER_OF(bytes);
    struct home h;
    memset(memory, 0, sizeof memory);
    arena = arena_make(memory, sizeof memory);
    assert_int_equal(card_parse(&m, &arena, span_make(look->card, look->card_len), NULL), OK);
    bend(&m);
    const struct charter charter = {.name = SPAN_LITERAL("alone"),
                                    .version = 1,
                                    .k = 1,
                                    .q = 1,
                                    .s = 1,
                                    .t = 1,
                                    .member_count = 1,
                                    .member = &m,
                                    .accept_simulated = true,
                                    .evidence_age_max_ms = 600000,
                                    .lease_ms = 1000,
                                    .rank_delay_ms = 100,
                                    .skew_max_ms = 60000,
                                    .drift_ppm = 200};
    assert_int_equal(charter_write(&b, &charter), OK);
    assert_int_equal(home_look(&h, look->path, fault, sizeof fault), OK);
    const enum err err = home_join(&h, buffer_span(&b), fault, sizeof fault);
    assert_true((err == OK) == (h.charter != NULL));
    home_close(&h);
    return err;
}

static void bend_organisation(struct charter_member *m)
{
    m->organisation = SPAN_LITERAL("geneva");
}
static void bend_jurisdiction(struct charter_member *m)
{
    m->jurisdiction = SPAN_LITERAL("US");
}
static void bend_roles(struct charter_member *m)
{
    m->roles |= ROLE_REQUESTER;
}
static void bend_kem(struct charter_member *m)
{
    m->kem.bytes[5] ^= 1;
}
static void bend_dkg(struct charter_member *m)
{
    m->dkg.bytes[5] ^= 2;
}
static void bend_approval(struct charter_member *m)
{
    m->approval.bytes[5] ^= 1;
}
static void bend_nothing(struct charter_member *m)
{
    (void)m;
}

/* What is sealed to a founder is sealed to the keys that the charter names. */
static void joins_only_as_its_card_says(void **state)
{
    static const struct {
        void (*bend)(struct charter_member *);
        const char *named;
    } bent[] = {{bend_organisation, "organisation"},
                {bend_jurisdiction, "jurisdiction"},
                {bend_roles, "roles"},
                {bend_kem, "kem key"},
                {bend_dkg, "dkg key"},
                {bend_approval, "approval key"}};
    char path[PATH_MAX];
    struct home h;
    (void)state;
    in_root(path, "founder");
    assert_int_equal(home_create(path, &who, SPAN_NONE, fault, sizeof fault), OK);
    assert_int_equal(home_look(&h, path, fault, sizeof fault), OK);
    for (size_t i = 0; i < sizeof bent / sizeof bent[0]; i++) {
        assert_int_equal(join_bent(&h, bent[i].bend), ERR_CONFLICT);
        assert_non_null(strstr(fault, bent[i].named));
    }
    assert_int_equal(join_bent(&h, bend_nothing), OK);
    home_close(&h);
    assert_int_equal(home_look(&h, path, fault, sizeof fault), OK);
    assert_int_equal(home_seat(&h), 0);
    home_close(&h);
    char *charter = NULL, file[PATH_MAX + 16];
    size_t len = 0; /* changed beside it, it is refused as well */
    (void)snprintf(file, sizeof file, "%s/charter.json", path);
    assert_int_equal(file_read(&charter, &len, file, CAP_DOCUMENT_BYTES), OK);
    memcpy(strstr(charter, "\"CH\""), "\"US\"", 4);
    const int fd = open(file, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0 && write(fd, charter, len) == (ssize_t)len && close(fd) == 0);
    free(charter);
    assert_int_equal(home_look(&h, path, fault, sizeof fault), ERR_CONFLICT);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(home_look(&h, path, fault, sizeof fault), OK);
    assert_int_equal(home_seat(&h), -1);
    home_close(&h);
}

/* --- Commands ----------------------------------------------------------------------------------------------------- */

static int run(int (*command)(int, char **), const char *const *words)
{
    char copy[24][PATH_MAX], *argv[24];
    int argc = 0, out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO), nowhere = open("/dev/null", O_WRONLY);
    (void)fflush(stdout);
    (void)fflush(stderr);
    (void)dup2(nowhere, STDOUT_FILENO);
    (void)dup2(nowhere, STDERR_FILENO);
    for (; words[argc] != NULL; argc++) {
        (void)snprintf(copy[argc], PATH_MAX, "%s", words[argc]);
        argv[argc] = copy[argc];
    }
    int code = command(argc, argv);
    (void)fflush(stdout);
    (void)fflush(stderr);
    (void)dup2(out, STDOUT_FILENO);
    (void)dup2(err, STDERR_FILENO);
    (void)close(out);
    (void)close(err);
    (void)close(nowhere);
    return code;
}

static void make_member(const char *name, const char *roles, char card[PATH_MAX])
{
    char path[PATH_MAX];
    in_root(path, name);
    const char *const words[] = {
        "init",    "--data", path,       "--organisation",       name, "--jurisdiction=EU",
        "--roles", roles,    "--listen", "tcp://127.0.0.1:7001", NULL};
    assert_int_equal(run(command_init, words), EXIT_OK);
    assert_int_equal(run(command_init, words), EXIT_REFUSED);
    assert_true(snprintf(card, PATH_MAX, "%.3000s/card.json", path) > 0);
}

static void commands_found_a_consortium(void **state)
{
    char card[5][PATH_MAX], out[PATH_MAX], *text = NULL;
    static const char *const names[] = {"a", "b", "c", "d"};
    size_t len = 0;
    struct charter *charter = NULL;
    struct json_fault why;
    (void)state;
    for (int i = 0; i < 4; i++) make_member(names[i], "owner,custodian,steward", card[i]);
    make_member("gpu", "compute,requester", card[4]);
    in_root(out, "founded.json");
    const char *const words[] = {"new",   "--name", "study", "--out", out, "--rank-delay-ms", "50", card[0],
                                 card[1], card[2],  card[3], card[4], NULL};
    assert_int_equal(run(command_consortium_new, words), EXIT_OK);
    assert_int_equal(file_read(&text, &len, out, CAP_DOCUMENT_BYTES), OK);
    assert_int_equal(charter_parse(&charter, sample_arena(), span_make(text, len), &why), OK);
    free(text);
    assert_int_equal(charter->member_count, 5);
    assert_int_equal(charter->f, 1);
    assert_int_equal(charter->q, 3);
    assert_int_equal(charter->t, 3);
    assert_int_equal(charter->s, 3);
    assert_int_equal(charter->k, 4);
    assert_int_equal(charter->rank_delay_ms, 50);
    assert_true(charter->accept_simulated);
    assert_int_equal(run(command_consortium_new, words), EXIT_REFUSED); /* the file exists */
}

static void bad_command_lines(void **state)
{
    char card[PATH_MAX], out[PATH_MAX];
    (void)state;
    make_member("twice", "owner,custodian,steward", card);
    in_root(out, "none.json");
    const char *const lines[][10] = {
        {"new", "--name", "x", "--out", out, NULL},
        {"new", "--name", "x", card, NULL},
        {"new", "--name", "x", "--out", out, "--k", "0", card, NULL},
        {"new", "--name", "x", "--out", out, "--k", "99999999999999999999", card, NULL},
        {"new", "--name", "x", "--out", out, "--f", "1", card, NULL},
        {"new", "--name", "x", "--out", out, "--what", card, NULL},
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        assert_int_equal(run(command_consortium_new, lines[i]), EXIT_USAGE);
    const char *const twice[] = {"new", "--name", "x", "--out", out, card, card, NULL};
    assert_int_equal(run(command_consortium_new, twice), EXIT_REFUSED);
    const char *const spelt[] = {"new", "--name", "Big Name", "--out", out, card, NULL};
    assert_int_equal(run(command_consortium_new, spelt), EXIT_REFUSED);
    const char *const roles[] = {"init",           "--data", out,       "--organisation", "x",
                                 "--jurisdiction", "CH",     "--roles", "owner,owner",    NULL};
    assert_int_equal(run(command_init, roles), EXIT_USAGE);
    assert_int_not_equal(access(out, F_OK), 0);
}

static void roles_are_read(void **state)
{
    uint32_t roles = 0;
    (void)state;
    assert_int_equal(card_roles(&roles, "owner,compute"), OK);
    assert_int_equal(roles, ROLE_OWNER | ROLE_COMPUTE);
    assert_int_equal(card_roles(&roles, "owner,"), ERR_KIND);
    assert_int_equal(card_roles(&roles, ""), ERR_KIND);
    assert_int_equal(card_roles(&roles, "own"), ERR_KIND);
    assert_int_equal(card_roles(&roles, "owner,owner"), ERR_DUPLICATE);
}

/* --- Files -------------------------------------------------------------------------------------------------------- */

static void files_are_whole(void **state)
{
    char path[PATH_MAX], *text = NULL;
    size_t len = 0;
    (void)state;
    in_root(path, "file");
    assert_int_equal(file_read(&text, &len, path, 10), ERR_NOT_FOUND);
    assert_int_equal(file_write(path, span_text("0123456789"), 0600, false), OK);
    assert_int_equal(file_write(path, span_text("x"), 0600, false), ERR_CONFLICT);
    assert_int_equal(file_read(&text, &len, path, 10), OK);
    assert_int_equal(len, 10);
    assert_string_equal(text, "0123456789");
    free(text);
    assert_int_equal(file_read(&text, &len, path, 9), ERR_TOO_LARGE);
    assert_null(text);
    assert_int_equal(file_write(path, SPAN_NONE, 0644, true), OK);
    assert_int_equal(file_read(&text, &len, path, 9), OK);
    assert_int_equal(len, 0);
    free(text);
    assert_int_equal(file_read(&text, &len, root, 9), ERR_TYPE);
    in_root(path, "fifo");
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(file_read(&text, &len, path, 9), ERR_TYPE);
    in_root(path, "no/file");
    assert_int_equal(file_write(path, SPAN_NONE, 0644, true), ERR_NOT_FOUND);
}

/* --- Passphrases ---------------------------------------------------------------------------------------------------- */

static const struct span right = {(const uint8_t *)"a long passphrase", 17},
                         wrong = {(const uint8_t *)"another", 7};

static bool in_file(const char *folder, const char *name, const uint8_t secret[32])
{
    char path[PATH_MAX], *bytes = NULL;
    size_t len = 0;
    assert_true(snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path);
    assert_int_equal(file_read(&bytes, &len, path, 65536), OK);
    const bool found = memmem(bytes, len, secret, 32) != NULL;
    free(bytes);
    return found;
}

static void a_passphrase_hides_the_keys(void **state)
{
    char path[PATH_MAX];
    struct home h;
    (void)state;
    in_root(path, "hidden");
    assert_int_equal(home_create(path, &who, right, fault, sizeof fault), OK);
    assert_int_equal(home_open(&h, path, SPAN_NONE, fault, sizeof fault), ERR_DECRYPT);
    assert_non_null(strstr(fault, "--passphrase-file"));
    assert_int_equal(home_open(&h, path, wrong, fault, sizeof fault), ERR_DECRYPT);
    assert_non_null(strstr(fault, "this passphrase does not open it"));
    assert_null(strstr(fault, "another"));
    assert_int_equal(home_open(&h, path, right, fault, sizeof fault), OK);
    assert_false(in_file(path, "identity.key", h.identity->bytes));
    assert_false(in_file(path, "kem.key", h.kem->bytes));
    assert_int_equal(home_keygen_passphrase(&h).len, 32);
    const struct node_id node = h.node;
    home_close(&h);
    assert_int_equal(home_look(&h, path, fault, sizeof fault), OK); /* who it is needs no key */
    assert_true(ID_EQUAL(h.node, node));
    assert_null(h.identity);
    home_close(&h);
    in_root(path, "plain");
    assert_int_equal(home_create(path, &who, SPAN_NONE, fault, sizeof fault), OK);
    assert_int_equal(home_open(&h, path, right, fault, sizeof fault), ERR_DECRYPT);
    assert_int_equal(home_open(&h, path, SPAN_NONE, fault, sizeof fault), OK);
    assert_true(in_file(path, "identity.key", h.identity->bytes));
    assert_int_equal(home_keygen_passphrase(&h).len, 0);
    home_close(&h);
}

static void a_passphrase_comes_from_a_file(void **state)
{
    static const struct {
        const char *text, *said;
    } files[] = {{"secret words\nmore\n", "secret words"},
                 {"secret words", "secret words"},
                 {"secret words\r\n", "secret words"},
                 {"", NULL},
                 {"\nsecond line\n", NULL}};
    char path[PATH_MAX], *longest = calloc(1, PASSPHRASE_MAX + 2);
    struct passphrase *p;
    (void)state;
    in_root(path, "passphrase");
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        overwrite(path, files[i].text);
        assert_int_equal(passphrase_read(&p, path, true, fault, sizeof fault) == OK, files[i].said != NULL);
        if (files[i].said != NULL) assert_true(span_equal_text(passphrase_span(p), files[i].said));
        passphrase_free(p);
    }
    assert_non_null(longest);
    memset(longest, 'x', PASSPHRASE_MAX + 1);
    overwrite(path, longest);
    assert_int_equal(passphrase_read(&p, path, false, fault, sizeof fault), ERR_TOO_LARGE);
    overwrite(path, longest + 1);
    assert_int_equal(passphrase_read(&p, path, false, fault, sizeof fault), OK);
    assert_int_equal(passphrase_span(p).len, PASSPHRASE_MAX);
    passphrase_free(p);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(passphrase_read(&p, path, false, fault, sizeof fault), ERR_REFUSED);
    assert_non_null(strstr(fault, "chmod 600"));
    assert_null(p);
    in_root(path, "nothing-here");
    assert_int_equal(passphrase_read(&p, path, false, fault, sizeof fault), ERR_NOT_FOUND);
    assert_int_equal(passphrase_read(&p, root, false, fault, sizeof fault), ERR_TYPE);
    assert_int_equal(passphrase_read(&p, NULL, false, fault, sizeof fault), OK);
    assert_int_equal(passphrase_span(p).len, 0);
    free(longest);
}

static bool echoes(int terminal)
{
    struct termios now;
    assert_int_equal(tcgetattr(terminal, &now), 0);
    return (now.c_lflag & ECHO) != 0;
}

/* A process that asks for a passphrase on a terminal of its own; returns when it has asked. */
static pid_t start_asking(int *keyboard, int *terminal)
{
    char seen[256] = "";
    size_t len = 0;
    assert_int_equal(openpty(keyboard, terminal, NULL, NULL, NULL), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct passphrase *p;
        (void)dup2(*terminal, STDIN_FILENO);
        _exit(passphrase_read(&p, "-", false, fault, sizeof fault) == OK ? 0 : 1);
    }
    while (strstr(seen, "keys: ") == NULL) {
        ssize_t got = read(*keyboard, seen + len, sizeof seen - 1 - len);
        assert_true(got > 0);
        len += (size_t)got;
        seen[len] = 0;
    }
    assert_false(echoes(*terminal));
    return child;
}

/* Interrupted or answered, the terminal echoes again. */
static void a_passphrase_comes_from_a_terminal(void **state)
{
    static const struct {
        const char *keys;
        bool killed;
    } typed[] = {{"secret words\n", false}, {"secr\x03", true}};
    (void)state;
    for (size_t i = 0; i < sizeof typed / sizeof typed[0]; i++) {
        int keyboard, terminal, status;
        pid_t child = start_asking(&keyboard, &terminal);
        assert_int_equal(write(keyboard, typed[i].keys, strlen(typed[i].keys)), strlen(typed[i].keys));
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(typed[i].killed ? WIFSIGNALED(status) && WTERMSIG(status) == SIGINT
                                    : WIFEXITED(status) && WEXITSTATUS(status) == 0);
        assert_true(echoes(terminal));
        (void)close(keyboard);
        (void)close(terminal);
    }
}

/* What the cache gives is what was put, the newest of them. */
static void shares_are_remembered(void **state)
{
    uint8_t share[SHARE_CACHE_BYTES], out[SHARE_CACHE_BYTES];
    struct share_cache *cache = share_cache_new();
    (void)state;
    assert_non_null(cache);
    assert_false(share_cache_get(cache, 0, 0, out));
    for (uint32_t epoch = 1; epoch <= 5; epoch++) {
        for (uint32_t purpose = 1; purpose <= 2; purpose++) {
            memset(share, (int)(10 * epoch + purpose), sizeof share);
            share_cache_put(cache, epoch, purpose, share);
            assert_true(share_cache_get(cache, epoch, purpose, out));
            assert_memory_equal(out, share, sizeof share);
        }
    }
    assert_false(share_cache_get(cache, 1, 1, out));
    assert_true(share_cache_get(cache, 4, 2, out));
    assert_int_equal(out[63], 42);
    share_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_passphrase_hides_the_keys),
        cmocka_unit_test(a_passphrase_comes_from_a_file),
        cmocka_unit_test(a_passphrase_comes_from_a_terminal),
        cmocka_unit_test(shares_are_remembered),
        cmocka_unit_test(made_is_opened),
        cmocka_unit_test(keys_differ),
        cmocka_unit_test(dkg_key_fits),
        cmocka_unit_test(existing_is_kept),
        cmocka_unit_test(bad_identity_makes_nothing),
        cmocka_unit_test(damage_is_refused),
        cmocka_unit_test(open_to_others_is_refused),
        cmocka_unit_test(one_node_at_a_time),
        cmocka_unit_test(a_lock_that_cannot_be_made),
        cmocka_unit_test(joins_one_consortium),
        cmocka_unit_test(joins_only_as_its_card_says),
        cmocka_unit_test(commands_found_a_consortium),
        cmocka_unit_test(bad_command_lines),
        cmocka_unit_test(roles_are_read),
        cmocka_unit_test(files_are_whole),
    };
    if (crypto_init() != OK) return 1;
    return cmocka_run_group_tests(tests, make_root, drop_root);
}
