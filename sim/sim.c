#include "sim/sim.h"

#include "crypto/secret.h"
#include "sim/regions.h"
#include "sim/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { REPORT_BYTES_MAX = 1 << 20, EVENTS_A_LOOK = 20000 };
static const size_t arena_bytes = (size_t)1 << 30; /* sparse */

const char *sim_region(uint32_t index)
{
    return index < REGIONS_COUNT ? regions_at(index)->name : NULL;
}

static enum err report_of(struct simulation *s, const struct scenario *scenario, const struct sim_wish *wish,
                          bool interrupted, uint8_t **report, size_t *len)
{
    uint8_t *bytes = malloc(REPORT_BYTES_MAX);
    struct buffer out = buffer_make(bytes, REPORT_BYTES_MAX);
    if (bytes == NULL) return ERR_NO_MEMORY;
    report_write(&out, s, scenario, wish->seed, interrupted);
    const enum err err = buffer_done(&out);
    if (err != OK) {
        free(bytes);
        return err;
    }
    *report = bytes;
    *len = out.len;
    return OK;
}

/* False: it was stopped. */
static bool play(struct simulation *s, const struct sim_wish *wish)
{
    struct simulation_counts counts;
    while (simulation_run(s, EVENTS_A_LOOK)) {
        simulation_counts(s, &counts);
        if (wish->go_on != NULL && !wish->go_on(wish->context, counts.now_ns / 1000000, counts.events))
            return false;
    }
    return true;
}

static enum err run_in(struct arena *arena, uint8_t **report, size_t *len, const struct sim_wish *wish,
                       struct json_fault *fault)
{
    struct scenario *scenario;
    struct simulation *s;
    TRY(crypto_init());
    TRY(scenario_parse(&scenario, arena, wish->scenario, fault));
    TRY(simulation_new(&s, arena, scenario, wish->seed, fault));
    const bool whole = play(s, wish);
    const enum err err = report_of(s, scenario, wish, !whole, report, len);
    simulation_free(s);
    return err;
}

enum err sim_run(uint8_t **report, size_t *len, const struct sim_wish *wish, char *fault, size_t cap)
{
    struct json_fault why = {{0}, {0}, OK};
    void *memory =
        mmap(NULL, arena_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return ERR_NO_MEMORY;
    struct arena arena = arena_make(memory, arena_bytes);
    const enum err err = run_in(&arena, report, len, wish, &why);
    (void)munmap(memory, arena_bytes);
    if (err != OK && cap > 0) {
        if (why.expected[0] != 0)
            (void)snprintf(fault, cap, "%s: expected %s (%s)", why.path, why.expected, err_name(why.err));
        else
            (void)snprintf(fault, cap, "%s", err_text(err));
    }
    return err;
}
