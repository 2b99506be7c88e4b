#include "gpu/bench.h"

#include "gpu/engine.h"
#include "gpu/group_sums.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { REPEATS = 5 };

struct fixture {
    uint32_t *groups;
    int64_t *values;
    int64_t *sums;
    uint64_t *counts;
};

static void fixture_free(struct fixture *f)
{
    free(f->groups);
    free(f->values);
    free(f->sums);
    free(f->counts);
}

static enum err fixture_make(struct fixture *f, uint64_t row_count, uint32_t group_count)
{
    f->groups = malloc(row_count * sizeof *f->groups);
    f->values = malloc(row_count * sizeof *f->values);
    f->sums = malloc(group_count * sizeof *f->sums);
    f->counts = malloc(group_count * sizeof *f->counts);
    if (f->groups == NULL || f->values == NULL || f->sums == NULL || f->counts == NULL) return ERR_NO_MEMORY;
    uint64_t seed = 1;
    for (uint64_t row = 0; row < row_count; row++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        f->groups[row] = (uint32_t)((seed >> 33) % group_count);
        f->values[row] = (int64_t)(seed >> 52) - 2048;
    }
    return OK;
}

static double seconds_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void keep_best(double *best, double begin)
{
    double passed = seconds_now() - begin;
    if (*best == 0 || passed < *best) *best = passed;
}

static void read_all(const struct fixture *f, uint64_t row_count)
{
    uint64_t total = 0;
    for (uint64_t row = 0; row < row_count; row++) total += (uint64_t)f->values[row] + f->groups[row];
    __asm__ volatile("" : : "r"(total)); /* the total is used: the loop can't be left out */
}

static enum err time_engine(double *best, struct engine *e, const struct fixture *f, uint64_t row_count,
                            uint32_t group_count)
{
    struct engine_rows rows = {f->groups, row_count, group_count};
    struct engine_measure m = {f->values, NULL, -1900, 1900, f->sums, f->counts};
    double begin = seconds_now();
    TRY(engine_group_sums(e, &rows, &m, 1));
    keep_best(best, begin);
    return OK;
}

static enum err time_cpu(struct bench_group_sums *out, struct engine *e, const struct fixture *f)
{
    for (int i = 0; i < REPEATS; i++) {
        double begin = seconds_now();
        read_all(f, out->row_count);
        keep_best(&out->cpu_read_seconds, begin);
        TRY(time_engine(&out->cpu_seconds, e, f, out->row_count, out->group_count));
    }
    return OK;
}

#ifdef PERIGEE_HAVE_CUDA
static enum err time_kernel(struct bench_group_sums *out)
{
    struct group_sums_cuda *device = NULL;
    struct group_sums_timing timing = {0, 0, 0, 0};
    char why[128];
    TRY(group_sums_cuda_open(&device, why, sizeof why));
    enum err err = group_sums_cuda_time(&timing, device, out->row_count, out->group_count);
    group_sums_cuda_close(device);
    out->cuda_kernel_seconds = timing.kernel_seconds;
    out->cuda_copy_seconds = timing.copy_seconds;
    out->cuda_kernel_bytes = timing.kernel_bytes;
    out->cuda_copy_bytes = timing.copy_bytes;
    return err;
}
#else
static enum err time_kernel(struct bench_group_sums *out)
{
    (void)out;
    return ERR_UNAVAILABLE;
}
#endif

static enum err time_cuda(struct bench_group_sums *out, struct engine *e, const struct fixture *f)
{
    if (engine_backend(e) != ENGINE_CUDA) return OK;
    (void)snprintf(out->device, sizeof out->device, "%s", engine_name(e));
    for (int i = 0; i < REPEATS; i++)
        TRY(time_engine(&out->cuda_seconds, e, f, out->row_count, out->group_count));
    if (engine_backend(e) != ENGINE_CUDA) return ERR_UNAVAILABLE; /* dropped midway: those were CPU times */
    TRY(time_kernel(out));
    out->cuda = true;
    return OK;
}

enum err bench_group_sums(struct bench_group_sums *out, uint64_t row_count, uint32_t group_count)
{
    struct fixture f = {NULL, NULL, NULL, NULL};
    struct engine *cpu = NULL;
    struct engine *any = NULL;
    if (row_count == 0 || row_count > ENGINE_ROW_COUNT_MAX) return ERR_RANGE;
    if (group_count == 0 || group_count > ENGINE_GROUP_COUNT_MAX) return ERR_RANGE;
    *out = (struct bench_group_sums){.row_count = row_count, .group_count = group_count};
    enum err err = fixture_make(&f, row_count, group_count);
    if (err == OK) err = engine_open(&cpu, ENGINE_CPU);
    if (err == OK) err = engine_open(&any, ENGINE_CUDA);
    if (err == OK) err = time_cpu(out, cpu, &f);
    if (err == OK) err = time_cuda(out, any, &f);
    engine_close(cpu);
    engine_close(any);
    fixture_free(&f);
    return err;
}
