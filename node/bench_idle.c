/* P14: a node with 10,000 records that has nothing to do: its private memory, and how long it takes from the start of its
 * process until it answers the API. Its store is in the page cache, as after a restart of the program.
 * Private memory is what the process alone keeps from everybody else: dirty private pages (smaps_rollup). Clean pages of its
 * store and of libraries are the page cache's and go when others need the room; they are the second figure. */
#include "node/bench.h"

#include "node/bench_records.h"
#include "node/command.h"
#include "node/config.h"
#include "node/demo_process.h"
#include "node/file.h"
#include "node/home.h"
#include "node/http.h"
#include "node/store_mark.h"
#include "proto/charter.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { IDLE_RECORDS = 10000, IDLE_MIB = 32, IDLE_MS = 200, IDLE_PATIENCE_S = 60, IDLE_STOP_S = 20 };

struct idle {
    char dir[BENCH_FOLDER_MAX], data[BENCH_FOLDER_MAX + 8], log[BENCH_FOLDER_MAX + 8], socket[PATH_MAX];
    double start_ms[BENCH_ROUNDS], private_mib[BENCH_ROUNDS], clean_mib[BENCH_ROUNDS];
};

/* --- Its data directory ------------------------------------------------------------------------------------------------- */

static enum err fill_store(const struct home *home, struct bench_records *records)
{
    char path[PATH_MAX];
    struct store *store;
    struct store_status status;
    struct store_mark mark;
    enum silence silence;
    double rate;
    home_path(path, home, "store.mark");
    store_mark_open(&mark, path, home->node);
    home_path(path, home, "store");
    const struct lmdb_options options = {
        .path = path, .map_bytes = (uint64_t)1 << 30, .committed = store_mark_follow, .context = &mark};
    enum err err = lmdb_store_open(&store, &options);
    if (err == OK) {
        err = store_status(store, &status);
        if (err == OK) err = store_mark_settle(&mark, &silence, &status);
        if (err == OK)
            err = bench_records_ingest(records, store, &rate); /* closes it */
        else
            store_close(store);
    }
    store_mark_close(&mark);
    return err;
}

static enum err fill_home(struct idle *s, struct home *home)
{
    static struct bench_records records;
    char path[PATH_MAX], fault[256];
    home_path(s->socket, home, "api.sock");
    home_path(path, home, "perigee.yaml");
    TRY(file_write(path, SPAN_LITERAL("store: { map_gb: 1 }\n"), 0600, true));
    enum err err = bench_records_make(&records, IDLE_RECORDS);
    if (err == OK) err = home_join(home, records.charter, fault, sizeof fault);
    if (err == OK) err = fill_store(home, &records);
    bench_records_free(&records);
    return err;
}

static enum err make_home(struct idle *s)
{
    static struct home home;
    char fault[256];
    const struct home_identity who = {"bench", "CH", ROLE_OWNER, {{0}}, SPAN_NONE};
    (void)snprintf(s->data, sizeof s->data, "%s/data", s->dir);
    (void)snprintf(s->log, sizeof s->log, "%s/log", s->dir);
    TRY(home_create(s->data, &who, SPAN_NONE, fault, sizeof fault));
    TRY(home_open(&home, s->data, SPAN_NONE, fault, sizeof fault));
    enum err err = fill_home(s, &home);
    home_close(&home);
    return err;
}

/* --- One start ------------------------------------------------------------------------------------------------------------ */

static void pause_ms(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    (void)nanosleep(&t, NULL);
}

/* Until it answers. */
static enum err await_answer(const struct idle *s, pid_t pid, double began)
{
    int status = 0, code;
    json_t *answer;
    while (bench_now() - began < IDLE_PATIENCE_S) {
        answer = NULL;
        enum err err = http_call(s->socket, "GET", "/v1/status", NULL, &status, &answer);
        json_decref(answer);
        if (err == OK) return status == 200 ? OK : ERR_REFUSED;
        if (demo_process_ended(pid, &code)) return ERR_UNAVAILABLE;
        pause_ms(1);
    }
    return ERR_NOT_READY;
}

static bool read_kib(const char *line, const char *name, uint64_t *sum)
{
    const size_t len = strlen(name);
    if (strncmp(line, name, len) != 0) return false;
    *sum += strtoull(line + len, NULL, 10);
    return true;
}

static enum err read_memory(struct idle *s, int round, pid_t pid)
{
    char path[64], line[256];
    uint64_t dirty = 0, clean = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) return ERR_IO;
    while (fgets(line, sizeof line, file) != NULL)
        (void)(read_kib(line, "Private_Dirty:", &dirty) || read_kib(line, "Swap:", &dirty) ||
               read_kib(line, "Private_Clean:", &clean));
    (void)fclose(file);
    s->private_mib[round] = (double)dirty / 1024;
    s->clean_mib[round] = (double)clean / 1024;
    return OK;
}

static enum err one_start(struct idle *s, int round)
{
    const char *words[] = {"node", "--data", s->data, NULL};
    pid_t pid;
    int code = 0;
    const double began = bench_now();
    TRY(demo_process_start(&pid, words, s->log));
    enum err err = await_answer(s, pid, began);
    s->start_ms[round] = (bench_now() - began) * 1e3;
    pause_ms(500); /* what it does after its start, it has done */
    if (err == OK) err = read_memory(s, round, pid);
    if (err == ERR_UNAVAILABLE) return err; /* it has ended */
    return demo_process_stop(pid, IDLE_STOP_S, &code) ? err : ERR_NOT_READY;
}

enum err bench_idle(const struct bench *b)
{
    static struct idle s;
    memset(&s, 0, sizeof s);
    TRY(bench_folder_make(s.dir));
    enum err err = make_home(&s);
    for (int i = 0; err == OK && i < BENCH_ROUNDS; i++) err = one_start(&s, i);
    bench_folder_remove(s.dir);
    if (err != OK) return err;
    const double start = bench_median(s.start_ms, BENCH_ROUNDS),
                 mib = bench_median(s.private_mib, BENCH_ROUNDS);
    const double clean = bench_median(s.clean_mib, BENCH_ROUNDS);
    bench_print(b, "idle_private_memory", mib, "MiB", mib / IDLE_MIB, "32_MiB");
    bench_print(b, "idle_clean_pages", clean, "MiB", clean / mib, "idle_private_memory");
    bench_print(b, "start_to_serving", start, "ms", start / IDLE_MS, "200_ms");
    return OK;
}
