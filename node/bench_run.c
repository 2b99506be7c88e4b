/* P13: request to signed output. The demonstration's seven processes, four silos of 10,000 rows, one run per slot. */
#include "node/bench.h"

#include "node/command.h"
#include "node/demo.h"

#include <stdio.h>
#include <string.h>

enum { RUN_ROWS = 10000, RUN_BUDGET_MS = 2000, RUN_PHASE_MAX = 9 };

static const char *const phase_names[RUN_PHASE_MAX] = {
    "requested", "eligible", "elected", "attested", "keyed", "computing", "committed", "released", "settled"};

struct phases {
    double total[BENCH_ROUNDS], step[RUN_PHASE_MAX][BENCH_ROUNDS];
};

/* Milliseconds each phase began after the one before it; phases that were not seen take nothing. */
static void take_phases(struct phases *p, uint32_t round, const json_t *run)
{
    const json_t *phases = json_object_get(run, "phases");
    json_int_t first = json_integer_value(json_object_get(phases, "requested")), before = first;
    for (int i = 0; i < RUN_PHASE_MAX; i++) {
        json_int_t at = json_integer_value(json_object_get(phases, phase_names[i]));
        p->step[i][round] = at == 0 ? 0 : (double)(at - before);
        if (at != 0) before = at;
    }
    p->total[round] = (double)(before - first);
}

static bool one_run(struct demo *d, struct phases *p, uint32_t round)
{
    char slot[16];
    json_t *run = NULL;
    (void)snprintf(slot, sizeof slot, "%u", round + 1);
    demo_begin(d, "run", "a settled run");
    if (!demo_call(d, demo_algorithm(d), &run, "run request --wait", "--workflow", d->compose, "--slot", slot,
                   NULL))
        return false;
    take_phases(p, round, run);
    json_decref(run);
    return true;
}

static bool all_runs(struct demo *d, void *context)
{
    struct phases *p = context;
    for (uint32_t round = 0; round < BENCH_ROUNDS; round++)
        if (!one_run(d, p, round)) return false;
    return true;
}

enum err bench_run(const struct bench *b)
{
    static struct demo d;
    static struct phases p;
    char name[64];
    memset(&d, 0, sizeof d);
    d.options = (struct demo_options){.rows = RUN_ROWS, .quiet = true, .slots = BENCH_ROUNDS};
    if (demo_perform_with(&d, all_runs, &p) != EXIT_OK) return ERR_REFUSED;
    const double total = bench_median(p.total, BENCH_ROUNDS);
    bench_print(b, "request_to_output", total, "ms", total / RUN_BUDGET_MS, "2000_ms");
    for (int i = 1; i < RUN_PHASE_MAX; i++) {
        double step = bench_median(p.step[i], BENCH_ROUNDS);
        (void)snprintf(name, sizeof name, "request_to_output.%s", phase_names[i]);
        if (step > 0) bench_print(b, name, step, "ms", step / total, "request_to_output");
    }
    return OK;
}
