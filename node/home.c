#include "node/home.h"

#include "crypto/cocktail.h"
#include "crypto/hash.h"
#include "crypto/identity.h"
#include "crypto/kem.h"
#include "crypto/keyfile.h"
#include "crypto/secret.h"
#include "node/card.h"
#include "node/fault.h"
#include "node/file.h"
#include "node/listening.h"
#include "node/share_cache.h"
#include "node/store_mark.h"
#include "proto/base/panic.h"
#include "proto/field.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char home_version[] = "perigee-data 1\n";
/* What json_parse needs at most for the largest document, and the members beside it. */
enum { HOME_ARENA_BYTES = 40 * CAP_DOCUMENT_BYTES };

static bool join_path(char out[PATH_MAX], const char *folder, const char *name)
{
    int len = snprintf(out, PATH_MAX, "%s/%s", folder, name);
    return len >= 0 && len < PATH_MAX;
}

void home_path(char out[PATH_MAX], const struct home *h, const char *name)
{
    ASSERT(join_path(out, h->path, name));
}

/* --- Keys --------------------------------------------------------------------------------------------------------- */

static void forget_keys(struct home *h)
{
    secret_free(h->identity);
    secret_free(h->kem);
    secret_free(h->link);
    secret_free(h->dkg);
    secret_free(h->keygen_secret);
    share_cache_free(h->shares);
    h->keygen_secret = NULL;
    h->shares = NULL;
    h->identity = NULL;
    h->kem = h->link = NULL;
    h->dkg = NULL;
}

static enum err take_memory(struct home *h)
{
    h->identity = secret_alloc(sizeof *h->identity);
    h->kem = secret_alloc(sizeof *h->kem);
    h->link = secret_alloc(sizeof *h->link);
    h->dkg = secret_alloc(sizeof *h->dkg);
    if (h->identity != NULL && h->kem != NULL && h->link != NULL && h->dkg != NULL) return OK;
    forget_keys(h);
    return ERR_NO_MEMORY;
}

struct home_key {
    const char *file, *kind;
    uint8_t *secret32;
};
enum { HOME_KEY_COUNT = 4 };

static void list_keys(struct home_key out[HOME_KEY_COUNT], const struct home *h)
{
    out[0] = (struct home_key){"identity.key", "identity", h->identity->bytes};
    out[1] = (struct home_key){"kem.key", "kem", h->kem->bytes};
    out[2] = (struct home_key){"link.key", "link", h->link->bytes};
    out[3] = (struct home_key){"dkg.key", "dkg", h->dkg->bytes};
}

static enum err write_keys(const struct home *h, struct span passphrase, char *fault, size_t cap)
{
    struct home_key key[HOME_KEY_COUNT];
    char path[PATH_MAX];
    list_keys(key, h);
    for (uint32_t i = 0; i < HOME_KEY_COUNT; i++) {
        if (!join_path(path, h->path, key[i].file)) return ERR_RANGE;
        enum err err = keyfile_write(path, key[i].kind, span_make(key[i].secret32, 32), passphrase);
        if (err != OK) return fault_set(fault, cap, err, "%s: %s", path, file_why(err));
    }
    return OK;
}

/* keyfile_read says only that it will not read it; what is wrong stands in the directory. */
static enum err refuse_mode(const char *path, char *fault, size_t cap)
{
    struct stat status;
    if (stat(path, &status) != 0) return fault_set(fault, cap, ERR_REFUSED, "%s: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return fault_set(fault, cap, ERR_REFUSED, "%s: expected a key file, this is none", path);
    return fault_set(
        fault, cap, ERR_REFUSED,
        "%s: expected a key of user %u that nobody else can read (mode 0600), got user %u, mode %04o: "
        "%s it; a key that others could read may be known to them",
        path, (unsigned)geteuid(), (unsigned)status.st_uid, (unsigned)status.st_mode & 07777,
        status.st_uid == geteuid() ? "chmod 600 closes" : "chown gives that user");
}

static enum err read_key(const struct home *h, const struct home_key *key, struct span passphrase,
                         uint8_t *scratch, char *fault, size_t cap)
{
    char path[PATH_MAX];
    size_t len = 0;
    if (!join_path(path, h->path, key->file)) return ERR_RANGE;
    enum err err = keyfile_read(path, key->kind, scratch, &len, passphrase);
    if (err == OK && len != 32) err = ERR_CORRUPT;
    if (err == ERR_DECRYPT)
        return fault_set(fault, cap, err,
                         passphrase.len == 0
                             ? "%s: is encrypted; expected its passphrase, came none: name the "
                               "file it is in with --passphrase-file FILE"
                             : "%s: this passphrase does not open it; expected the one given "
                               "to `perigee init`, or none if none was given",
                         path);
    if (err == ERR_REFUSED) return refuse_mode(path, fault, cap);
    if (err == ERR_NOT_FOUND)
        return fault_set(fault, cap, err,
                         "%s: the key is gone: put it back from a backup; without it this node is another",
                         path);
    if (err != OK)
        return fault_set(fault, cap, err,
                         "%s: expected this node's %s key as it was written, came: %s: put it back from a "
                         "backup; without it this node is another",
                         path, key->kind, err_text(err));
    memcpy(key->secret32, scratch, 32);
    return OK;
}

/* Files in keygen/ come and go while the node runs, when nobody is there to say the passphrase. */
static enum err make_keygen_secret(struct home *h, struct span passphrase)
{
    h->shares = share_cache_new();
    if (h->shares == NULL) return ERR_NO_MEMORY;
    if (passphrase.len == 0) return OK;
    h->keygen_secret = secret_alloc(sizeof *h->keygen_secret);
    if (h->keygen_secret == NULL) return ERR_NO_MEMORY;
    *h->keygen_secret = HASH_FRAMED("perigee/keygen-files/v1", SPAN_OF(h->identity->bytes));
    return OK;
}

struct span home_keygen_passphrase(const struct home *h)
{
    return h->keygen_secret == NULL ? SPAN_NONE : ID_SPAN(*h->keygen_secret);
}

/* --- The card, and making a home ---------------------------------------------------------------------------------- */

static struct charter_member make_card(const struct home *h, const struct home_identity *who)
{
    struct charter_member card;
    memset(&card, 0, sizeof card);
    card.node = h->node;
    card.approval = ID_IS_ZERO(who->approval) ? h->node : who->approval;
    card.kem = h->kem_public;
    card.dkg = h->dkg_public;
    card.organisation = span_text(who->organisation);
    card.jurisdiction = span_text(who->jurisdiction);
    card.roles = who->roles;
    return card;
}

static enum err check_who(const struct home_identity *who, char *fault, size_t cap)
{
    struct span text;
    if (!field_is_name(span_text(who->organisation), &text))
        return fault_set(fault, cap, ERR_SYNTAX,
                         "organisation: expected 1 to 64 of a-z 0-9 . _ -, got \"%s\"", who->organisation);
    if (!field_is_jurisdiction(span_text(who->jurisdiction), &text))
        return fault_set(fault, cap, ERR_SYNTAX,
                         "jurisdiction: expected a code such as CH, EU or US-CA, got \"%s\"",
                         who->jurisdiction);
    if (who->roles == 0 || (who->roles & ~(uint32_t)ROLE_ALL) != 0)
        return fault_set(fault, cap, ERR_ROLE, "roles: expected at least one known role");
    return OK;
}

static enum err write_file(const struct home *h, const char *name, struct span bytes, char *fault, size_t cap)
{
    char path[PATH_MAX];
    if (!join_path(path, h->path, name)) return ERR_RANGE;
    enum err err = file_write(path, bytes, 0600, false);
    return err == OK ? OK : fault_set(fault, cap, err, "%s: %s", path, file_why(err));
}

static enum err fill(struct home *h, const struct home_identity *who, struct span passphrase, char *fault,
                     size_t cap)
{
    uint8_t bytes[CARD_BYTES_MAX], mark[STORE_MARK_BYTES];
    struct buffer card = BUFFER_OF(bytes);
    struct kem_public link_public;
    char keygen[PATH_MAX];
    identity_generate(h->identity, &h->node);
    kem_generate(h->kem, &h->kem_public);
    kem_generate(h->link, &link_public);
    cocktail_keypair(h->dkg, &h->dkg_public);
    const struct charter_member member = make_card(h, who);
    TRY(card_write(&card, &member));
    TRY(write_keys(h, passphrase, fault, cap));
    TRY(write_file(h, "card.json", buffer_span(&card), fault, cap));
    store_mark_new(mark, h->node, false);
    TRY(write_file(h, "store.mark", SPAN_OF(mark), fault, cap));
    TRY(write_file(h, "version", SPAN_LITERAL("perigee-data 1\n"), fault, cap));
    if (who->config.len > 0) TRY(write_file(h, "perigee.yaml", who->config, fault, cap));
    if (!join_path(keygen, h->path, "keygen")) return ERR_RANGE;
    return mkdir(keygen, 0700) == 0 ? OK : file_error();
}

/* Only what `fill` makes: a name of somebody else's is never deleted. */
static void remove_draft(const char *folder)
{
    static const char *const names[] = {"identity.key", "kem.key",    "link.key", "dkg.key",
                                        "card.json",    "store.mark", "version",  "perigee.yaml"};
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (join_path(path, folder, names[i])) (void)unlink(path);
    if (join_path(path, folder, "keygen")) (void)rmdir(path);
    (void)rmdir(folder);
}

static void strip_slashes(char *path)
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/') path[--len] = 0;
}

/* Everything is made under a temporary name, so a home exists whole or not at all. rename() replaces an empty folder
 * and refuses any other. */
static enum err create(struct home *h, const char *path, const struct home_identity *who,
                       struct span passphrase, char *fault, size_t cap)
{
    char final[PATH_MAX];
    if (snprintf(final, sizeof final, "%s", path) >= (int)sizeof final - 8) return ERR_RANGE;
    strip_slashes(final);
    if (snprintf(h->path, sizeof h->path, "%s.XXXXXX", final) >= (int)sizeof h->path) return ERR_RANGE;
    if (mkdtemp(h->path) == NULL)
        return fault_set(fault, cap, file_error(), "%s: cannot be made: %s", path, strerror(errno));
    enum err err = fill(h, who, passphrase, fault, cap);
    if (err == OK && rename(h->path, final) != 0) {
        const char *why =
            errno == EBUSY ? "something is mounted there: name a new folder in it" : strerror(errno);
        err = file_error();
        err = fault_set(fault, cap, err, "%s: %s", path,
                        err == ERR_CONFLICT ? "exists already; nothing was changed" : why);
    }
    if (err != OK) remove_draft(h->path);
    if (err == OK) err = file_sync_folder(final);
    return err;
}

enum err home_create(const char *path, const struct home_identity *who, struct span passphrase, char *fault,
                     size_t cap)
{
    struct home h;
    memset(&h, 0, sizeof h);
    TRY(check_who(who, fault, cap));
    TRY(take_memory(&h));
    enum err err = create(&h, path, who, passphrase, fault, cap);
    forget_keys(&h);
    return err;
}

/* --- Opening ------------------------------------------------------------------------------------------------------ */

static enum err check_folder(const char *path, char *fault, size_t cap)
{
    struct stat status;
    if (stat(path, &status) != 0 || !S_ISDIR(status.st_mode))
        return fault_set(fault, cap, ERR_NOT_FOUND, "%s: no data directory here; `perigee init` makes one",
                         path);
    if ((status.st_mode & 077) != 0 || (status.st_uid != geteuid() && geteuid() != 0))
        return fault_set(fault, cap, ERR_REFUSED, "%s: must be yours and closed to others (chmod 700)", path);
    return OK;
}

static enum err refuse_version(const char *path, char *text, char *fault, size_t cap)
{
    for (char *at = text; *at != 0; at++)
        if (*at < ' ' || *at > '~') *at = at[1] == 0 ? 0 : '?';
    return fault_set(
        fault, cap, ERR_VERSION,
        "%s: expected \"perigee-data 1\", got \"%s\": run the version of perigee that made this data "
        "directory; nothing was changed",
        path, text);
}

static enum err check_version(const struct home *h, char *fault, size_t cap)
{
    char path[PATH_MAX], *text = NULL;
    size_t len = 0;
    if (!join_path(path, h->path, "version")) return ERR_RANGE;
    enum err err = file_read(&text, &len, path, 64);
    if (err == ERR_NOT_FOUND)
        return fault_set(fault, cap, err, "%s: no data directory of perigee; `perigee init` makes one",
                         h->path);
    if (err == OK && strcmp(text, home_version) != 0)
        err = refuse_version(path, text, fault, cap);
    else if (err != OK)
        err = fault_set(fault, cap, err, "%s: %s", path, file_why(err));
    free(text);
    return err;
}

/* What a charter says otherwise of this node than its own card; NULL: nothing. */
static const char *said_otherwise(const struct charter_member *m, const struct charter_member *card)
{
    const bool custodian = (m->roles & ROLE_CUSTODIAN) != 0;
    return !span_equal(m->organisation, card->organisation)                          ? "organisation"
           : !span_equal(m->jurisdiction, card->jurisdiction)                        ? "jurisdiction"
           : m->roles != card->roles                                                 ? "roles"
           : !ids_equal(m->kem.bytes, card->kem.bytes)                               ? "kem key"
           : custodian && memcmp(m->dkg.bytes, card->dkg.bytes, sizeof m->dkg.bytes) ? "dkg key"
           : !ID_EQUAL(m->approval, card->approval)                                  ? "approval key"
                                                                                     : NULL;
}

/* Cards travel unsigned: whoever changed one on its way, or wrote the charter, would be given what is meant for this node. */
static enum err check_entry(const struct home *h, const struct charter *charter, struct arena *arena,
                            char *fault, size_t cap)
{
    struct charter_member card;
    TRY(card_parse(&card, arena, span_make(h->card, h->card_len), NULL));
    for (uint32_t i = 0; i < charter->member_count; i++) {
        const struct charter_member *m = &charter->member[i];
        const char *other = ID_EQUAL(m->node, h->node) ? said_otherwise(m, &card) : NULL;
        if (other != NULL)
            return fault_set(fault, cap, ERR_CONFLICT,
                             "charter: it names this node with another %s than %s/card.json: expected what "
                             "the card says; do not "
                             "sign it, and ask who wrote it for one made from this very card (or, where it "
                             "was founded so, put "
                             "back the card.json it was made from)",
                             other, h->path);
    }
    return OK;
}

/* ERR_VERSION for anything but version 1: the consortium is named by the charter it began with. */
static enum err check_charter(struct hash32 *hash, const struct home *h, struct span bytes, char *fault,
                              size_t cap)
{
    struct json_fault why = {{0}, {0}, OK};
    struct charter *charter = NULL;
    void *memory = calloc(1, HOME_ARENA_BYTES);
    if (memory == NULL) return ERR_NO_MEMORY;
    struct arena arena = arena_make(memory, HOME_ARENA_BYTES);
    enum err err = charter_parse(&charter, &arena, bytes, &why);
    if (err != OK)
        err = fault_set(fault, cap, err, "charter: %s: expected %s (%s)", why.path, why.expected,
                        err_name(err));
    else if (charter->version != 1)
        err = fault_set(fault, cap, ERR_VERSION,
                        "charter: version %u: a consortium is joined by its version 1", charter->version);
    else
        err = check_entry(h, charter, &arena, fault, cap);
    if (err == OK) *hash = charter->hash;
    free(memory);
    return err;
}

int home_seat(const struct home *h)
{
    struct charter *charter = NULL;
    void *memory = h->charter != NULL ? calloc(1, HOME_ARENA_BYTES) : NULL;
    if (memory == NULL) return -1;
    struct arena arena = arena_make(memory, HOME_ARENA_BYTES);
    int seat = -1;
    if (charter_parse(&charter, &arena, span_make(h->charter, h->charter_len), NULL) == OK)
        seat = charter_custodian(charter, h->node);
    free(memory);
    return seat;
}

static enum err read_charter(struct home *h, char *fault, size_t cap)
{
    char path[PATH_MAX];
    struct hash32 hash;
    if (!join_path(path, h->path, "charter.json")) return ERR_RANGE;
    enum err err = file_read(&h->charter, &h->charter_len, path, CAP_DOCUMENT_BYTES);
    if (err == ERR_NOT_FOUND) return OK;
    if (err != OK) return fault_set(fault, cap, err, "%s: %s", path, file_why(err));
    char why[512] = "";
    err = check_charter(&hash, h, span_make(h->charter, h->charter_len), why, sizeof why);
    if (err != OK) {
        err = err == ERR_CONFLICT ? err : ERR_CORRUPT;
        return fault_set(fault, cap, err, "%s: %s", path, why[0] != 0 ? why : err_text(err));
    }
    memcpy(h->consortium.bytes, hash.bytes, sizeof hash.bytes);
    return OK;
}

/* Who this is, to those who have no key; and key generation's public key. */
static enum err read_card(struct home *h, char *fault, size_t cap)
{
    uint8_t memory[48 * CARD_BYTES_MAX];
    char path[PATH_MAX];
    struct charter_member card;
    if (!join_path(path, h->path, "card.json")) return ERR_RANGE;
    enum err err = file_read(&h->card, &h->card_len, path, CARD_BYTES_MAX);
    memset(memory, 0, sizeof memory);
    struct arena arena = arena_make(memory, sizeof memory);
    if (err == OK) err = card_parse(&card, &arena, span_make(h->card, h->card_len), NULL);
    if (err != OK) return fault_set(fault, cap, err, "%s: not a member card: %s", path, err_text(err));
    h->node = card.node;
    h->approval = card.approval;
    h->kem_public = card.kem;
    h->dkg_public = card.dkg;
    return OK;
}

/* The card must speak of the keys beside it; any link key will do. */
static enum err check_card(const struct home *h, char *fault, size_t cap)
{
    struct node_id node;
    struct kem_public kem;
    struct point dkg;
    TRY(identity_public(&node, h->identity));
    TRY(cocktail_public_of(&dkg, h->dkg));
    kem_public_of(&kem, h->kem);
    const char *other = !ID_EQUAL(h->node, node)                          ? "identity.key"
                        : !ids_equal(kem.bytes, h->kem_public.bytes)      ? "kem.key"
                        : memcmp(dkg.bytes, h->dkg_public.bytes, 32) != 0 ? "dkg.key"
                                                                          : NULL;
    if (other == NULL) return OK;
    return fault_set(fault, cap, ERR_CORRUPT,
                     "%s/%s: expected the key that card.json beside it speaks of, came another node's: put "
                     "back the one that belongs here, or its card",
                     h->path, other);
}

static enum err read_replaces(struct home *h, char *fault, size_t cap)
{
    char path[PATH_MAX], *bytes = NULL;
    size_t len = 0;
    if (!join_path(path, h->path, "replaces")) return ERR_RANGE;
    enum err err = file_read(&bytes, &len, path, HOME_REPLACES_MAX);
    if (err == ERR_NOT_FOUND) return OK;
    if (err != OK) return fault_set(fault, cap, err, "%s: %s", path, file_why(err));
    const bool sound = len == 32 || len == HOME_REPLACES_MAX;
    if (sound) {
        memcpy(h->replaces.bytes, bytes, 32);
        h->consent_len = len - 32;
        memcpy(h->consent, bytes + 32, h->consent_len);
    }
    free(bytes);
    return sound ? OK
                 : fault_set(fault, cap, ERR_CORRUPT,
                             "%s: expected 32 or 96 bytes, came %zu: `perigee recover` makes it", path, len);
}

static enum err look(struct home *h, char *fault, size_t cap)
{
    TRY(check_folder(h->path, fault, cap));
    TRY(check_version(h, fault, cap));
    TRY(read_card(h, fault, cap));
    TRY(read_replaces(h, fault, cap));
    return read_charter(h, fault, cap);
}

enum err home_open_keys(struct home *h, struct span passphrase, home_fault *fault, void *context)
{
    struct home_key key[HOME_KEY_COUNT];
    char line[512];
    uint8_t *scratch = secret_alloc(KEYFILE_SECRET_MAX);
    enum err err = scratch == NULL ? ERR_NO_MEMORY : take_memory(h);
    if (err == OK) list_keys(key, h);
    for (uint32_t i = 0; i < HOME_KEY_COUNT && err != ERR_NO_MEMORY; i++) {
        line[0] = 0;
        const enum err one = read_key(h, &key[i], passphrase, scratch, line, sizeof line);
        if (one != OK) fault(context, one, line[0] != 0 ? line : err_text(one));
        if (err == OK) err = one;
    }
    secret_free(scratch);
    TRY(err);
    line[0] = 0;
    err = check_card(h, line, sizeof line);
    if (err != OK) fault(context, err, line[0] != 0 ? line : err_text(err));
    return err == OK ? make_keygen_secret(h, passphrase) : err;
}

struct first_fault {
    char *line;
    size_t cap;
    bool said;
};

static void keep_first(void *context, enum err err, const char *line)
{
    struct first_fault *f = context;
    if (!f->said && f->cap > 0) (void)snprintf(f->line, f->cap, "%s", line);
    f->said = true;
    (void)err;
}

static enum err open_keys(struct home *h, struct span passphrase, char *fault, size_t cap)
{
    struct first_fault first = {fault, cap, false};
    return home_open_keys(h, passphrase, keep_first, &first);
}

enum err home_look(struct home *out, const char *path, char *fault, size_t cap)
{
    memset(out, 0, sizeof *out);
    out->lock_fd = -1;
    if (strlen(path) >= sizeof out->path) return fault_set(fault, cap, ERR_RANGE, "the path is too long");
    (void)snprintf(out->path, sizeof out->path, "%s", path);
    strip_slashes(out->path);
    enum err err = look(out, fault, cap);
    if (err != OK) home_close(out);
    return err;
}

enum err home_open(struct home *out, const char *path, struct span passphrase, char *fault, size_t cap)
{
    TRY(home_look(out, path, fault, cap));
    enum err err = open_keys(out, passphrase, fault, cap);
    if (err != OK) home_close(out);
    return err;
}

/* A file that can be written, or none yet. */
static enum err check_lock(const char *path, char *fault, size_t cap)
{
    struct stat is;
    if (lstat(path, &is) != 0 && errno == ENOENT) return OK;
    if (lstat(path, &is) == 0 && !S_ISREG(is.st_mode))
        return fault_set(
            fault, cap, ERR_IO,
            "%s: expected a file that a node locks, or nothing, and there is something else: move it away",
            path);
    return access(path, R_OK | W_OK) == 0
               ? OK
               : fault_set(fault, cap, ERR_IO, "%s: expected a file that a node can lock: %s", path,
                           strerror(errno));
}

enum err home_check_lock(const struct home *h, char *fault, size_t cap)
{
    char path[PATH_MAX];
    home_path(path, h, "lock");
    return check_lock(path, fault, cap);
}

enum err home_check_socket(const struct home *h, char *fault, size_t cap)
{
    char path[PATH_MAX];
    home_path(path, h, "api.sock.lock"); /* http.h */
    TRY(check_lock(path, fault, cap));
    home_path(path, h, "api.sock");
    return listening_check_path(path, fault, cap);
}

bool home_locked(const struct home *h)
{
    char path[PATH_MAX];
    home_path(path, h, "lock");
    struct stat is;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const bool locked = fd >= 0 && fstat(fd, &is) == 0 && S_ISREG(is.st_mode) &&
                        flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (fd >= 0) (void)close(fd);
    return locked;
}

enum err home_lock(struct home *h, char *fault, size_t cap)
{
    char path[PATH_MAX];
    ASSERT(h->lock_fd < 0);
    TRY(home_check_lock(h, fault, cap));
    home_path(path, h, "lock");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return fault_set(fault, cap, ERR_IO, "%s: %s", path, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        const int why = errno;
        (void)close(fd);
        if (why != EWOULDBLOCK) return fault_set(fault, cap, ERR_IO, "%s: %s", path, strerror(why));
        return fault_set(fault, cap, ERR_BUSY,
                         "a node already runs in %s: stop it first, or name another data directory", h->path);
    }
    h->lock_fd = fd;
    return OK;
}

/* --- Joining ------------------------------------------------------------------------------------------------------ */

static enum err bind_charter(struct home *h, struct span charter, struct hash32 hash, char *fault, size_t cap)
{
    char *copy = malloc(charter.len + 1);
    if (copy == NULL) return ERR_NO_MEMORY;
    enum err err = write_file(h, "charter.json", charter, fault, cap);
    if (err != OK) {
        free(copy);
        return err;
    }
    memcpy(copy, charter.data, charter.len);
    copy[charter.len] = 0;
    h->charter = copy;
    h->charter_len = charter.len;
    memcpy(h->consortium.bytes, hash.bytes, sizeof hash.bytes);
    return OK;
}

enum err home_join(struct home *h, struct span charter, char *fault, size_t cap)
{
    struct hash32 hash;
    TRY(check_charter(&hash, h, charter, fault, cap));
    if (h->charter == NULL) return bind_charter(h, charter, hash, fault, cap);
    if (memcmp(hash.bytes, h->consortium.bytes, sizeof hash.bytes) == 0) return OK;
    return fault_set(fault, cap, ERR_CONFLICT, "%s: belongs to another consortium already", h->path);
}

void home_close(struct home *h)
{
    forget_keys(h);
    free(h->charter);
    free(h->card);
    h->charter = h->card = NULL;
    h->charter_len = h->card_len = 0;
    if (h->lock_fd >= 0) (void)close(h->lock_fd);
    h->lock_fd = -1;
}
