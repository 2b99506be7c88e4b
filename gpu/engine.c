#include "gpu/engine.h"

#include "gpu/group_sums.h"
#include "proto/base/panic.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct engine {
    enum engine_backend backend;
    char name[112];
    char why[256];
#ifdef PERIGEE_HAVE_CUDA
    struct group_sums_cuda *cuda;
#endif
};

static void use_cpu(struct engine *e, const char *why)
{
    e->backend = ENGINE_CPU;
    (void)snprintf(e->name, sizeof e->name, "cpu");
    (void)snprintf(e->why, sizeof e->why, "%s", why);
}

#ifdef PERIGEE_HAVE_CUDA
static void drop_cuda(struct engine *e, const char *why)
{
    use_cpu(e, why);
    group_sums_cuda_close(e->cuda);
    e->cuda = NULL;
}

/* A device is used only after it has repeated the built-in cases. */
static void try_cuda(struct engine *e)
{
    struct group_sums_device device;
    char why[256] = "";
    if (group_sums_cuda_describe(&device, why, sizeof why) != OK ||
        group_sums_cuda_open(&e->cuda, why, sizeof why) != OK) {
        use_cpu(e, why[0] != '\0' ? why : "no memory for the CUDA backend");
        return;
    }
    enum err err = group_sums_check(group_sums_cuda_run, e->cuda);
    if (err == ERR_CONFLICT) {
        drop_cuda(e, "the CUDA device disagrees with the CPU on the built-in cases");
    } else if (err != OK) {
        (void)snprintf(why, sizeof why, "the CUDA device failed its check: %s", group_sums_cuda_why(e->cuda));
        drop_cuda(e, why);
    } else {
        e->backend = ENGINE_CUDA;
        (void)snprintf(e->name, sizeof e->name, "cuda: %s", device.name);
    }
}
#else
static void try_cuda(struct engine *e)
{
    use_cpu(e, "this build has no CUDA backend");
}
#endif

enum err engine_open(struct engine **out, enum engine_backend preferred)
{
    struct engine *e = calloc(1, sizeof *e);
    if (e == NULL) return ERR_NO_MEMORY;
    switch (preferred) {
    case ENGINE_CPU: use_cpu(e, ""); break;
    case ENGINE_CUDA: try_cuda(e); break;
    }
    *out = e;
    return OK;
}

void engine_close(struct engine *e)
{
#ifdef PERIGEE_HAVE_CUDA
    if (e != NULL) group_sums_cuda_close(e->cuda);
#endif
    free(e);
}

enum engine_backend engine_backend(const struct engine *e)
{
    return e->backend;
}

const char *engine_name(const struct engine *e)
{
    return e->name;
}

const char *engine_id(const struct engine *e)
{
    ASSERT(e != NULL);
    return ENGINE_ID;
}

const char *engine_why(const struct engine *e)
{
    return e->why;
}

/* No subset of the rows, in any order, may leave int64: partial sums lie between row_count x min(lower, 0)
 * and row_count x max(upper, 0). */
static enum err bounds_check(const struct engine_measure *m, uint64_t row_count)
{
    int64_t extreme;
    if (m->lower > m->upper) return ERR_RANGE;
    if (__builtin_mul_overflow(row_count, m->lower < 0 ? m->lower : 0, &extreme)) return ERR_RANGE;
    if (__builtin_mul_overflow(row_count, m->upper > 0 ? m->upper : 0, &extreme)) return ERR_RANGE;
    return OK;
}

static enum err call_check(const struct engine_rows *rows, const struct engine_measure *measures,
                           uint32_t measure_count)
{
    if (rows->row_count > ENGINE_ROW_COUNT_MAX || rows->group_count > ENGINE_GROUP_COUNT_MAX ||
        measure_count > ENGINE_MEASURE_COUNT_MAX)
        return ERR_TOO_LARGE;
    if (rows->group_count == 0) return ERR_RANGE;
    for (uint32_t i = 0; i < measure_count; i++) TRY(bounds_check(&measures[i], rows->row_count));
    return OK;
}

enum err engine_group_sums(struct engine *e, const struct engine_rows *rows,
                           const struct engine_measure *measures, uint32_t measure_count)
{
    TRY(call_check(rows, measures, measure_count));
    if (measure_count == 0) return OK;
#ifdef PERIGEE_HAVE_CUDA
    if (e->backend == ENGINE_CUDA) {
        if (group_sums_cuda_run(e->cuda, rows, measures, measure_count) == OK) return OK;
        char why[256];
        (void)snprintf(why, sizeof why, "the CUDA device failed in use: %s", group_sums_cuda_why(e->cuda));
        drop_cuda(e, why);
    }
#endif
    ASSERT(e->backend == ENGINE_CPU);
    return group_sums_cpu(rows, measures, measure_count);
}
