/* leak: what tests/integration/leak.sh needs to show that nothing secret crosses a host.
 *   leak tap PORT TARGET FILE        passes what comes to 127.0.0.1:PORT on to TARGET, and keeps both directions in FILE.*
 *   leak worker FILE COMMAND...      starts a worker and keeps what crosses its socket in FILE
 *   leak keys HOME...                prints the secrets of these homes and of what is sealed in their stores, as canaries
 *   leak find CANARIES WHERE...      looks for each canary in files, in folders, and in memory (pid:NAME:PID), in every form;
 *                                    exit code 1 and a line for each one found
 * A canary is a line "KIND OWNER HEX". Keys may stand in their owner's key files and memory, shares of a sealed key in the
 * memory of the custodian that makes them; rows and data keys nowhere. */
#include "crypto/keyfile.h"
#include "crypto/secret.h"
#include "crypto/tdh2.h"
#include "node/file.h"
#include "node/home.h"
#include "proto/charter.h"
#include "proto/manifest.h"
#include "storage/store.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    HOMES_MAX = 8,
    CANARIES_MAX = 1024,
    NEEDLES_MAX = 16 * CANARIES_MAX,
    NEEDLE_BYTES = 256,
    FILE_BYTES_MAX = 1 << 30
};
enum { WORKER_SOCKET = 3, ARENA_BYTES = 1 << 20 };

static int die(const char *what)
{
    (void)fprintf(stderr, "leak: %s: %s\n", what, strerror(errno));
    exit(2);
}

/* --- Taps ----------------------------------------------------------------------------------------------------------------- */

/* Both ways until the other one has ended. */
static void pass(int one, int other, int record)
{
    static uint8_t bytes[1 << 16];
    struct pollfd p[2] = {{one, POLLIN, 0}, {other, POLLIN, 0}};
    while (p[1].fd >= 0) {
        if (poll(p, 2, -1) < 0) return;
        for (int i = 0; i < 2; i++) {
            if (p[i].fd < 0 || p[i].revents == 0) continue;
            const int to = i == 0 ? other : one;
            ssize_t got = recv(p[i].fd, bytes, sizeof bytes, 0);
            if (got > 0 && write(record, bytes, (size_t)got) != got) die("cannot record");
            for (ssize_t at = 0, step; at < got; at += step)
                if ((step = send(to, bytes + at, (size_t)(got - at), MSG_NOSIGNAL)) <= 0) return;
            if (got > 0) continue;
            p[i].fd = -1;
            (void)shutdown(to, SHUT_WR);
        }
    }
}

static int record_to(const char *file)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s.%d", file, (int)getpid());
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    return fd >= 0 ? fd : die(path);
}

static int tap(const char *port, const char *target, const char *file)
{
    const int on = 1;
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10))},
                       to = own;
    int door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    own.sin_addr.s_addr = to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons((uint16_t)strtoul(target, NULL, 10));
    (void)signal(SIGCHLD, SIG_IGN);
    (void)setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(door, (struct sockaddr *)&own, sizeof own) != 0 || listen(door, 64) != 0) die("cannot listen");
    for (;;) {
        int one = accept(door, NULL, NULL);
        if (one < 0 || fork() != 0) {
            if (one >= 0) (void)close(one);
            continue;
        }
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(other, (struct sockaddr *)&to, sizeof to) == 0) pass(one, other, record_to(file));
        _exit(0);
    }
}

static int worker(const char *file, char **command)
{
    int pair[2], status = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) die("no pair");
    pid_t pid = fork();
    if (pid < 0) die("no process");
    if (pid == 0) {
        (void)close(pair[0]);
        if (dup2(pair[1], WORKER_SOCKET) < 0) _exit(127);
        if (pair[1] != WORKER_SOCKET) (void)close(pair[1]);
        (void)execvp(command[0], command);
        _exit(127);
    }
    (void)close(pair[1]);
    pass(WORKER_SOCKET, pair[0], record_to(file));
    (void)close(pair[0]);
    (void)shutdown(WORKER_SOCKET, SHUT_RDWR);
    (void)waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* --- Secrets -------------------------------------------------------------------------------------------------------------- */

struct party {
    const char *name;
    struct home home;
    struct scalar_secret x[2]; /* of keys A and B */
    struct point y;
    uint32_t index; /* as a custodian, from 1; 0: it is none */
};

static struct {
    struct party party[HOMES_MAX];
    uint32_t count, sealed;
} world;

static void say(const char *kind, const char *owner, const void *bytes, size_t len)
{
    (void)printf("%s %s ", kind, owner);
    for (size_t i = 0; i < len; i++) (void)printf("%02x", ((const uint8_t *)bytes)[i]);
    (void)putchar('\n');
}

static struct arena fresh_arena(void)
{
    static uint8_t memory[ARENA_BYTES];
    memset(memory, 0, sizeof memory);
    return arena_make(memory, sizeof memory);
}

static uint32_t index_of(const struct party *p)
{
    struct arena arena = fresh_arena();
    struct charter *charter;
    if (charter_parse(&charter, &arena, span_make(p->home.charter, p->home.charter_len), NULL) != OK)
        die("no charter");
    return (uint32_t)(charter_custodian(charter, p->home.node) + 1);
}

static void open_party(struct party *p, const char *path)
{
    char fault[256];
    uint8_t bytes[KEYFILE_SECRET_MAX];
    const char *slash = strrchr(path, '/');
    p->name = slash != NULL ? slash + 1 : path;
    if (home_open(&p->home, path, SPAN_NONE, fault, sizeof fault) != OK) die(fault);
    say("key", p->name, p->home.identity, 32);
    say("key", p->name, p->home.kem, 32);
    say("key", p->name, p->home.link, 32);
    say("key", p->name, p->home.dkg, 32);
    for (int i = 0; i < 2; i++) {
        char file[PATH_MAX], name[32];
        size_t len = 0;
        (void)snprintf(name, sizeof name, "keygen/1-%d.share", i + 1);
        home_path(file, &p->home, name);
        if (keyfile_read(file, "keygen-share", bytes, &len, home_keygen_passphrase(&p->home)) != OK) return;
        memcpy(p->x[i].bytes, bytes, 32);
        if (i == 0) memcpy(p->y.bytes, bytes + 32, 32);
        say("key", p->name, p->x[i].bytes, 32);
    }
    p->index = index_of(p);
}

/* With the shares of all custodians, which only this test has: what seals this dataset. */
static void break_open(const struct manifest *m, const char *owner)
{
    struct group_key key = {.n = 0};
    struct dec_share share[HOMES_MAX];
    struct envelope envelope;
    uint8_t data_key[32];
    memcpy(envelope.bytes, m->envelope, sizeof envelope.bytes);
    for (uint32_t i = 0; i < world.count; i++) {
        const struct party *p = &world.party[i];
        if (p->index == 0) continue;
        key.y = p->y;
        struct label label =
            label_make(group_key_id(&key.y), m->app_id, m->compose, m->owner, m->content, m->policy);
        if (envelope_share(&share[key.n], &envelope, &key.y, &label, p->index, &p->x[0]) != OK)
            die("no share");
        say("share", p->name, share[key.n].d.bytes, 32);
        key.n++;
    }
    key.t = key.n;
    struct label label =
        label_make(group_key_id(&key.y), m->app_id, m->compose, m->owner, m->content, m->policy);
    if (envelope_open(data_key, &envelope, &key, &label, share, key.n) != OK)
        die("an envelope does not open");
    say("data-key", owner, data_key, sizeof data_key);
    world.sealed++;
}

static enum err on_blob(void *context, struct span key, struct span value)
{
    struct arena arena = fresh_arena();
    struct manifest *m;
    (void)key;
    if (value.len > 0 && value.data[0] == '{' && manifest_parse(&m, &arena, value, NULL) == OK)
        break_open(m, context);
    return OK;
}

static int print_keys(char **homes)
{
    static char names[HOMES_MAX][64];
    for (; *homes != NULL && world.count < HOMES_MAX; homes++)
        open_party(&world.party[world.count++], *homes);
    for (uint32_t i = 0; i < world.count; i++) {
        char path[PATH_MAX];
        struct store *store;
        home_path(path, &world.party[i].home, "store");
        const struct lmdb_options options = {
            .path = path, .map_bytes = (uint64_t)64 << 30, .read_only = true};
        (void)snprintf(names[i], sizeof names[i], "%s", world.party[i].name);
        if (lmdb_store_open(&store, &options) != OK) die(path);
        if (store_scan(store, STORE_BLOB, SPAN_NONE, on_blob, names[i]) != OK) die("cannot read a store");
        store_close(store);
    }
    if (world.sealed == 0) die("nothing is sealed: there is nothing to look for");
    return 0;
}

/* --- Needles: every form of every canary ------------------------------------------------------------------------------------ */

struct needle {
    const char *kind, *form;
    char owner[64];
    uint8_t bytes[NEEDLE_BYTES];
    size_t len;
    struct needle *next; /* with the same first two bytes */
};

static struct {
    struct needle needle[NEEDLES_MAX];
    struct needle *first[65536];
    uint32_t count, found;
} hunt;

static void add(const char *kind, const char *owner, const char *form, const void *bytes, size_t len)
{
    if (hunt.count == NEEDLES_MAX || len > NEEDLE_BYTES || len < 8) die("a canary that cannot be looked for");
    struct needle *n = &hunt.needle[hunt.count++];
    *n = (struct needle){.kind = kind, .form = form, .len = len};
    (void)snprintf(n->owner, sizeof n->owner, "%s", owner);
    memcpy(n->bytes, bytes, len);
    struct needle **place = &hunt.first[n->bytes[0] << 8 | n->bytes[1]];
    n->next = *place;
    *place = n;
}

/* As it stands in base64 of something longer: at three offsets, without the digits that neighbours share. */
static void add_base64(const char *kind, const char *owner, const uint8_t *bytes, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t offset = 0; offset < 3; offset++) {
        char text[NEEDLE_BYTES];
        size_t n = 0,
               first = (8 * offset + 5) / 6 * 6; /* of the bits of padding and bytes, the first whole digit */
        for (size_t bit = first; bit + 6 <= 8 * (offset + len) && n < sizeof text; bit += 6) {
            unsigned value = 0;
            for (size_t b = bit; b < bit + 6; b++) {
                const size_t at = b / 8 - offset;
                value = value << 1 | (b / 8 < offset ? 0U : bytes[at] >> (7 - b % 8) & 1U);
            }
            text[n++] = digits[value];
        }
        add(kind, owner, "base64", text, n);
    }
}

static void add_forms(const char *kind, const char *owner, const uint8_t *bytes, size_t len)
{
    char hex[2 * NEEDLE_BYTES + 1];
    uint8_t wide[NEEDLE_BYTES] = {0};
    hex_encode(hex, bytes, len);
    add(kind, owner, "as it is", bytes, len);
    add(kind, owner, "hex", hex, 2 * len);
    for (size_t i = 0; hex[i] != 0; i++)
        if (hex[i] >= 'a') hex[i] = (char)(hex[i] - 'a' + 'A');
    add(kind, owner, "HEX", hex, 2 * len);
    add_base64(kind, owner, bytes, len);
    for (size_t i = 0; i < len && 2 * i + 1 < sizeof wide; i++) wide[2 * i] = bytes[i];
    add(kind, owner, "utf-16", wide, 2 * len - 1);
}

static void read_canaries(const char *path)
{
    static char kinds[CANARIES_MAX][16];
    char line[512], *at;
    FILE *f = fopen(path, "r");
    if (f == NULL) die(path);
    for (uint32_t i = 0; i < CANARIES_MAX && fgets(line, sizeof line, f) != NULL; i++) {
        uint8_t bytes[64];
        const char *kind = strtok_r(line, " \n", &at), *owner = strtok_r(NULL, " \n", &at),
                   *hex = strtok_r(NULL, " \n", &at);
        if (hex == NULL || strlen(hex) > 2 * sizeof bytes ||
            hex_decode(bytes, strlen(hex) / 2, span_text(hex)) != OK)
            die("not a canary");
        (void)snprintf(kinds[i], sizeof kinds[i], "%s", kind);
        add_forms(kinds[i], owner, bytes, strlen(hex) / 2);
    }
    (void)fclose(f);
    if (hunt.count == 0) die("no canary");
}

/* --- The search --------------------------------------------------------------------------------------------------------------- */

/* `keeper`: whose key file or memory this is, "": nobody's. */
static void search(const char *where, const char *keeper, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i + 8 <= len; i++) {
        for (const struct needle *n = hunt.first[bytes[i] << 8 | bytes[i + 1]]; n != NULL; n = n->next) {
            const bool own = strcmp(n->owner, keeper) == 0 &&
                             (strcmp(n->kind, "key") == 0 || strcmp(n->kind, "share") == 0);
            if (own || n->len > len - i || memcmp(bytes + i, n->bytes, n->len) != 0) continue;
            (void)printf("found: a %s of %s, %s, in %s\n", n->kind, n->owner, n->form, where);
            hunt.found++;
        }
    }
}

/* HOME/identity.key and the like, HOME/keygen/1-1.share: keys stand there in clear when no passphrase is given. */
static void keeper_of(char out[64], const char *path)
{
    const char *name = strrchr(path, '/'), *end = name;
    out[0] = 0;
    if (name == NULL) return;
    const bool key = strlen(name) > 4 && strcmp(name + strlen(name) - 4, ".key") == 0;
    if (!key && (name - path < 7 || strncmp(name - 7, "/keygen", 7) != 0)) return;
    if (!key) end = name - 7;
    const char *begin = end;
    while (begin > path && begin[-1] != '/') begin--;
    (void)snprintf(out, 64, "%.*s", (int)(end - begin), begin);
}

static int visit(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    char *text = NULL, keeper[64];
    size_t len = 0;
    (void)walk;
    if (type != FTW_F || !S_ISREG(status->st_mode)) return 0;
    keeper_of(keeper, path);
    if (file_read(&text, &len, path, FILE_BYTES_MAX) != OK) return 0; /* it went meanwhile */
    search(path, keeper, (const uint8_t *)text, len);
    free(text);
    return 0;
}

/* Is this page of memory there at all? Most of a node's is reserved only. */
static bool page_is_there(int pagemap, unsigned long page)
{
    uint64_t entry = 0;
    return pread(pagemap, &entry, sizeof entry, (off_t)(page * sizeof entry)) == sizeof entry &&
           entry >> 62 != 0;
}

static void search_range(const char *who, const char *name, int mem, int pagemap, unsigned long begin,
                         unsigned long end)
{
    static uint8_t bytes[1 << 22];
    const unsigned long page = (unsigned long)sysconf(_SC_PAGESIZE);
    while (begin < end) {
        unsigned long stop = begin;
        while (stop < end && stop - begin < sizeof bytes && page_is_there(pagemap, stop / page)) stop += page;
        ssize_t got = stop > begin ? pread(mem, bytes, stop - begin, (off_t)begin) : 0;
        if (got > 0) search(who, name, bytes, (size_t)got);
        begin = stop - begin == sizeof bytes ? stop - page : stop + page; /* one may lie across two reads */
    }
}

/* "NAME:PID": every page that can be read. */
static void search_memory(const char *who)
{
    char path[64], line[512], name[64] = "", *at;
    const char *colon = strchr(who, ':');
    if (colon == NULL) die("expected pid:NAME:PID");
    (void)snprintf(name, sizeof name, "%.*s", (int)(colon - who), who);
    (void)snprintf(path, sizeof path, "/proc/%s/maps", colon + 1);
    FILE *maps = fopen(path, "r");
    (void)snprintf(path, sizeof path, "/proc/%s/pagemap", colon + 1);
    int pagemap = open(path, O_RDONLY | O_CLOEXEC);
    (void)snprintf(path, sizeof path, "/proc/%s/mem", colon + 1);
    int mem = open(path, O_RDONLY | O_CLOEXEC);
    if (maps == NULL || mem < 0 || pagemap < 0) die(path);
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long begin = strtoul(line, &at, 16), end = strtoul(at + 1, &at, 16);
        const bool file =
            strstr(line, " /") != NULL && strstr(line, " /memfd:") == NULL; /* searched as one */
        if (at[1] == 'r' && !file) search_range(who, name, mem, pagemap, begin, end);
    }
    (void)close(mem);
    (void)close(pagemap);
    (void)fclose(maps);
}

static int find(const char *canaries, char **where)
{
    read_canaries(canaries);
    for (; *where != NULL; where++) {
        if (strncmp(*where, "pid:", 4) == 0)
            search_memory(*where + 4);
        else if (nftw(*where, visit, 16, FTW_PHYS) != 0)
            die(*where);
    }
    return hunt.found > 0;
}

int main(int argc, char **argv)
{
    if (crypto_init() != OK || argc < 3) die("expected tap, worker, keys or find");
    if (strcmp(argv[1], "tap") == 0 && argc == 5) return tap(argv[2], argv[3], argv[4]);
    if (strcmp(argv[1], "worker") == 0 && argc > 3) return worker(argv[2], argv + 3);
    if (strcmp(argv[1], "keys") == 0) return print_keys(argv + 2);
    if (strcmp(argv[1], "find") == 0 && argc > 3) return find(argv[2], argv + 3);
    return die("expected tap, worker, keys or find");
}
