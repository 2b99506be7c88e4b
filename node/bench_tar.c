/* P1, end to end: a file of 1 GiB to a sealed .tar, against age(1) on the same file where that is installed. The .tar goes
 * through the store, so that a crash leaves nothing half made, and is read back from it and checked. Both sides read what the
 * page cache holds, and both end with what they wrote on the disk. */
#include "node/bench.h"

#include "crypto/group.h"
#include "crypto/secret.h"
#include "node/seal.h"

#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TAR_MIB = 1024, TAR_BLOCK = 65536 };

extern char **environ;

struct files {
    char dir[BENCH_FOLDER_MAX], in[PATH_MAX], out[PATH_MAX], store[PATH_MAX], key[PATH_MAX];
};

static enum err write_input(const char *path)
{
    uint8_t block[TAR_BLOCK];
    FILE *file = fopen(path, "wbe");
    if (file == NULL) return ERR_IO;
    random_fill(block, sizeof block);
    bool good = true;
    for (uint32_t i = 0; good && i < TAR_MIB * ((1 << 20) / TAR_BLOCK); i++) {
        store_u32(block, i);
        good = fwrite(block, 1, sizeof block, file) == sizeof block;
    }
    good = fflush(file) == 0 && fsync(fileno(file)) == 0 && good;
    return fclose(file) == 0 && good ? OK : ERR_IO;
}

static enum err files_make(struct files *f)
{
    TRY(bench_folder_make(f->dir));
    (void)snprintf(f->in, sizeof f->in, "%s/in", f->dir);
    (void)snprintf(f->out, sizeof f->out, "%s/out", f->dir);
    (void)snprintf(f->store, sizeof f->store, "%s/store", f->dir);
    (void)snprintf(f->key, sizeof f->key, "%s/key", f->dir);
    return write_input(f->in);
}

/* --- Ours ------------------------------------------------------------------------------------------------------------- */

static enum err seal_to_tar(const struct files *f, struct store *store)
{
    struct seal_options o;
    struct seal_result result;
    uint8_t scalar[32];
    char fault[256];
    memset(&o, 0, sizeof o);
    o.path = f->in;
    o.meta.format = META_BYTES;
    o.policy = SPAN_LITERAL("bench");
    o.store = store;
    random_fill(o.owner.bytes, sizeof o.owner.bytes); /* names of nothing, as long as they are some */
    random_fill(o.dt.bytes, sizeof o.dt.bytes);
    random_fill(o.app_id.bytes, sizeof o.app_id.bytes);
    random_fill(o.compose.bytes, sizeof o.compose.bytes);
    group_scalar_random(scalar);
    TRY(group_base(&o.root_key, scalar));
    TRY(seal_file(&result, &o, fault, sizeof fault));
    return seal_tar(store, result.manifest, f->out, fault, sizeof fault);
}

static enum err time_ours(double *seconds, const struct files *f)
{
    struct store *store;
    const struct lmdb_options options = {.path = f->store, .map_bytes = (uint64_t)4 << 30};
    TRY(lmdb_store_open(&store, &options));
    const double began = bench_now();
    enum err err = seal_to_tar(f, store);
    *seconds = bench_now() - began;
    store_close(store);
    bench_folder_remove(f->store);
    (void)unlink(f->out);
    return err;
}

/* --- Theirs ----------------------------------------------------------------------------------------------------------- */

/* ERR_NOT_FOUND: no such program. */
static enum err run(const char *const *words)
{
    posix_spawn_file_actions_t quiet;
    pid_t pid;
    int status = 0;
    if (posix_spawn_file_actions_init(&quiet) != 0) return ERR_NO_MEMORY;
    enum err err = posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0) == 0 ? OK : ERR_IO;
    if (err == OK && posix_spawnp(&pid, words[0], &quiet, NULL, (char *const *)words, environ) != 0)
        err = ERR_NOT_FOUND;
    (void)posix_spawn_file_actions_destroy(&quiet);
    if (err != OK) return err;
    if (waitpid(pid, &status, 0) != pid) return ERR_IO;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? OK : ERR_REFUSED;
}

static enum err sync_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return ERR_IO;
    enum err err = fsync(fd) == 0 ? OK : ERR_IO;
    (void)close(fd);
    return err;
}

static enum err time_age(double *seconds, const struct files *f)
{
    const char *words[] = {"age", "--encrypt", "--identity", f->key, "--output", f->out, f->in, NULL};
    const double began = bench_now();
    enum err err = run(words);
    if (err == OK) err = sync_file(f->out);
    *seconds = bench_now() - began;
    (void)unlink(f->out);
    return err;
}

/* --- Both ------------------------------------------------------------------------------------------------------------- */

static enum err all_rounds(const struct files *f, bool with_age, double *ours, double *age)
{
    for (int i = 0; i < BENCH_ROUNDS; i++) {
        TRY(time_ours(&ours[i], f));
        if (with_age) TRY(time_age(&age[i], f));
    }
    return OK;
}

enum err bench_tar(const struct bench *b)
{
    static struct files f;
    double ours[BENCH_ROUNDS], age[BENCH_ROUNDS] = {0}, ratio[BENCH_ROUNDS];
    enum err err = files_make(&f);
    const char *keygen[] = {"age-keygen", "--output", f.key, NULL};
    const enum err peer = err == OK ? run(keygen) : err;
    if (peer == ERR_NOT_FOUND) (void)fprintf(stderr, "perigee bench: age is not installed: no ratio to it\n");
    if (err == OK) err = all_rounds(&f, peer == OK, ours, age);
    bench_folder_remove(f.dir);
    if (err != OK) return err;
    for (int i = 0; i < BENCH_ROUNDS; i++) ratio[i] = age[i] / ours[i];
    bench_print(b, "seal_file_to_tar", TAR_MIB / bench_median(ours, BENCH_ROUNDS), "MiB/s",
                bench_median(ratio, BENCH_ROUNDS), peer == OK ? "age" : "age_is_not_installed");
    return OK;
}
