#include "node/bench.h"

#include "crypto/secret.h"
#include "gpu/bench.h"
#include "node/arguments.h"
#include "node/closest.h"
#include "node/command.h"
#include "node/problem.h"
#include "proto/base/panic.h"

#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SUMS_ROWS = 4 << 20, SUMS_GROUPS = 64 };

static const struct {
    const char *name;
    enum err (*run)(const struct bench *b);
} benches[] = {
    {"seal", bench_seal}, {"tar", bench_tar},   {"store", bench_store},   {"link", bench_link},
    {"sql", bench_sql},   {"idle", bench_idle}, {"ingest", bench_ingest}, {"shares", bench_shares},
    {"sums", bench_sums}, {"run", bench_run},
};
enum { BENCH_COUNT = sizeof benches / sizeof benches[0] };

/* --- Tools ---------------------------------------------------------------------------------------------------------- */

double bench_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

uint32_t bench_cores(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores < 1 ? 1 : cores > BENCH_CORES_MAX ? BENCH_CORES_MAX : (uint32_t)cores;
}

struct part {
    bench_part *run;
    void *context;
    uint32_t index, count;
};

static void *run_part(void *argument)
{
    const struct part *p = argument;
    p->run(p->context, p->index, p->count);
    return NULL;
}

double bench_on_threads(uint32_t count, bench_part *run, void *context)
{
    struct part part[BENCH_CORES_MAX];
    pthread_t thread[BENCH_CORES_MAX];
    ASSERT(count > 0 && count <= BENCH_CORES_MAX);
    const double began = bench_now();
    for (uint32_t i = 0; i < count; i++) {
        part[i] = (struct part){run, context, i, count};
        if (i > 0) ASSERT(pthread_create(&thread[i], NULL, run_part, &part[i]) == 0);
    }
    (void)run_part(&part[0]);
    for (uint32_t i = 1; i < count; i++) (void)pthread_join(thread[i], NULL);
    return bench_now() - began;
}

double bench_on_cores(bench_part *run, void *context)
{
    return bench_on_threads(bench_cores(), run, context);
}

enum err bench_folder_make(char path[BENCH_FOLDER_MAX])
{
    const char *root = getenv("TMPDIR");
    int len = snprintf(path, BENCH_FOLDER_MAX, "%s/perigee-bench.XXXXXX", root != NULL ? root : "/tmp");
    if (len < BENCH_FOLDER_MAX && mkdtemp(path) != NULL) return OK;
    path[0] = 0;
    return ERR_IO;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

void bench_folder_remove(const char *path)
{
    (void)nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *values, uint32_t count)
{
    qsort(values, count, sizeof values[0], by_value);
    return values[count / 2];
}

void bench_print(const struct bench *b, const char *name, double value, const char *unit, double ratio,
                 const char *against)
{
    if (b->json)
        (void)printf("{\"name\":\"%s\",\"value\":%.6g,\"unit\":\"%s\",\"ratio\":%.4g,\"against\":\"%s\"}\n",
                     name, value, unit, ratio, against);
    else
        (void)printf("%s %.6g %s %.3f %s\n", name, value, unit, ratio, against);
    (void)fflush(stdout);
}

int bench_unnamed_file(void)
{
    char dir[BENCH_FOLDER_MAX];
    if (bench_folder_make(dir) != OK) return -1;
    const int file = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    bench_folder_remove(dir);
    return file;
}

/* --- The gate's sums (gpu/bench.h measures, here they are printed) ---------------------------------------------------- */

enum err bench_sums(const struct bench *b)
{
    struct bench_group_sums r;
    TRY(bench_group_sums(&r, SUMS_ROWS, SUMS_GROUPS));
    bench_print(b, "group_sums_cpu", (double)r.row_count / r.cpu_seconds / 1e6, "Mrows/s",
                r.cpu_read_seconds / r.cpu_seconds, "reading_the_same_bytes");
    if (!r.cuda) return OK;
    const double kernel = (double)r.cuda_kernel_bytes / r.cuda_kernel_seconds;
    const double copy = (double)r.cuda_copy_bytes / r.cuda_copy_seconds;
    bench_print(b, "group_sums_cuda", (double)r.row_count / r.cuda_kernel_seconds / 1e6, "Mrows/s",
                kernel / copy, "device_copy_bandwidth");
    return OK;
}

/* --- The command ---------------------------------------------------------------------------------------------------- */

static int unknown(const char *name)
{
    struct closest closest = closest_to(name);
    char names[512] = "";
    for (int i = 0; i < BENCH_COUNT; i++) {
        const size_t len = strlen(names);
        (void)snprintf(names + len, sizeof names - len, " %s", benches[i].name);
        closest_offer(&closest, benches[i].name);
    }
    return problem_say(EXIT_USAGE, "no benchmark \"%s\"; there are%s%s%s", name, names,
                       closest.best != NULL ? "; did you mean " : "",
                       closest.best != NULL ? closest.best : "");
}

static int run_one(const struct bench *b, int index)
{
    enum err err = benches[index].run(b);
    if (err == OK) return EXIT_OK;
    return problem_say(EXIT_REFUSED, "%s: %s", benches[index].name, err_text(err));
}

int command_bench(int argc, char **argv)
{
    struct bench b = {false, 0};
    const char *name = NULL, *rows = NULL;
    const struct argument option[] = {{"--json", NULL, &b.json}, {"--rows", &rows, NULL}};
    struct arguments a = {option, sizeof option / sizeof option[0], 0, 1, 0, &name};
    int code = EXIT_OK;
    if (arguments_parse(&a, argc, argv) != OK) return EXIT_USAGE;
    if (rows != NULL && arguments_number(&b.rows, "--rows", rows, 1000, 1000000000) != OK) return EXIT_USAGE;
    if (crypto_init() != OK) return EXIT_REFUSED;
    for (int i = 0; i < BENCH_COUNT; i++) {
        if (name != NULL && strcmp(name, benches[i].name) == 0) return run_one(&b, i);
        if (name == NULL && run_one(&b, i) != EXIT_OK) code = EXIT_REFUSED;
    }
    return name == NULL ? code : unknown(name);
}
