#include "gpu/group_sums.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS = 20011, WORDS = (ROWS + 63) / 64, GROUPS = 5000, MEASURES = 3, EXACT_ROWS = 4096 };

/* How rows are spread over groups. */
enum spread { SPREAD_UNIFORM, SPREAD_ONE_GROUP, SPREAD_RUNS, SPREAD_OUTSIDE, SPREAD_COUNT };

struct fixture {
    uint64_t seed;
    uint32_t groups[ROWS];
    int64_t values[MEASURES][ROWS];
    uint64_t valid[MEASURES][WORDS];
    int64_t sums[2][MEASURES][GROUPS];
    uint64_t counts[2][MEASURES][GROUPS];
};

static uint64_t splitmix(uint64_t *seed)
{
    uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint32_t group_of(struct fixture *f, enum spread spread, uint32_t row, uint32_t group_count)
{
    switch (spread) {
    case SPREAD_UNIFORM:
        return (uint32_t)(splitmix(&f->seed) % (group_count + group_count / 8 + 1)); /* some outside */
    case SPREAD_ONE_GROUP: return group_count - 1;
    case SPREAD_RUNS: return row / 50 % group_count;
    case SPREAD_OUTSIDE: return row % 2 == 0 ? group_count : UINT32_MAX;
    case SPREAD_COUNT: break;
    }
    return 0;
}

/* Measure 0: all of int64, so that nearly everything clips. 1: small values of both signs. 2: small, NULL or
 * not. */
static void fixture_fill(struct fixture *f, enum spread spread, uint32_t group_count)
{
    for (uint32_t row = 0; row < ROWS; row++) {
        f->groups[row] = group_of(f, spread, row, group_count);
        f->values[0][row] = (int64_t)splitmix(&f->seed);
        f->values[1][row] = (int64_t)(splitmix(&f->seed) % 2001) - 1000;
        f->values[2][row] = (int64_t)(splitmix(&f->seed) % 17) - 8;
    }
    for (uint32_t word = 0; word < WORDS; word++) {
        f->valid[0][word] = splitmix(&f->seed);
        f->valid[2][word] = word % 3 == 0 ? 0 : splitmix(&f->seed) | splitmix(&f->seed);
    }
    memset(f->valid[1], 0, sizeof f->valid[1]);
}

static void fixture_measures(struct fixture *f, struct engine_measure out[MEASURES], uint32_t side,
                             uint32_t row_count)
{
    /* The widest bounds that so many rows allow: sums come as near to the ends of int64 as a legal call can
     * bring them. */
    int64_t wide = row_count == 0 ? INT64_MAX : INT64_MAX / (int64_t)row_count;
    const int64_t lower[MEASURES] = {-wide, -700, -3};
    const int64_t upper[MEASURES] = {wide, 650, -2};
    for (uint32_t i = 0; i < MEASURES; i++) {
        const uint64_t *valid = i == 1 ? NULL : f->valid[i];
        out[i] = (struct engine_measure){f->values[i],      valid, lower[i], upper[i], f->sums[side][i],
                                         f->counts[side][i]};
    }
}

/* Outputs start different on both sides, so a backend that writes nothing is caught. */
static enum err fixture_run(struct fixture *f, group_sums_backend backend, void *device, uint32_t row_count,
                            uint32_t group_count)
{
    struct engine_rows rows = {f->groups, row_count, group_count};
    struct engine_measure expected[MEASURES];
    struct engine_measure found[MEASURES];
    fixture_measures(f, expected, 0, row_count);
    fixture_measures(f, found, 1, row_count);
    memset(f->sums, 0x5a, sizeof f->sums);
    memset(f->counts, 0x5a, sizeof f->counts);
    memset(f->sums[1], 0xa5, sizeof f->sums[1]);
    memset(f->counts[1], 0xa5, sizeof f->counts[1]);
    TRY(group_sums_cpu(&rows, expected, MEASURES));
    TRY(backend(device, &rows, found, MEASURES));
    for (uint32_t i = 0; i < MEASURES; i++) {
        if (memcmp(f->sums[0][i], f->sums[1][i], group_count * sizeof f->sums[0][0][0]) != 0)
            return ERR_CONFLICT;
        if (memcmp(f->counts[0][i], f->counts[1][i], group_count * sizeof f->counts[0][0][0]) != 0)
            return ERR_CONFLICT;
    }
    return OK;
}

/* One group whose sum is exactly INT64_MIN: every carry and sign along the way. */
static enum err check_lowest_sum(struct fixture *f, group_sums_backend backend, void *device)
{
    struct engine_rows rows = {f->groups, EXACT_ROWS, 1};
    int64_t bound = INT64_MIN / EXACT_ROWS;
    struct engine_measure m = {f->values[0], NULL, bound, 0, f->sums[0][0], f->counts[0][0]};
    for (uint32_t row = 0; row < EXACT_ROWS; row++) {
        f->groups[row] = 0;
        f->values[0][row] = row % 2 == 0 ? INT64_MIN : bound;
    }
    TRY(backend(device, &rows, &m, 1));
    return m.sums[0] == INT64_MIN && m.counts[0] == EXACT_ROWS ? OK : ERR_CONFLICT;
}

static enum err check_cases(struct fixture *f, group_sums_backend backend, void *device)
{
    static const uint32_t group_counts[] = {1, 2, 31, 128, 129, 2048, 2049, 4096, 4097, GROUPS};
    static const uint32_t row_counts[] = {0, 1, 63, 64, 65, ROWS};
    for (uint32_t g = 0; g < sizeof group_counts / sizeof group_counts[0]; g++) {
        for (int spread = 0; spread < SPREAD_COUNT; spread++) {
            fixture_fill(f, (enum spread)spread, group_counts[g]);
            TRY(fixture_run(f, backend, device, ROWS, group_counts[g]));
        }
        for (uint32_t r = 0; r < sizeof row_counts / sizeof row_counts[0]; r++) {
            fixture_fill(f, SPREAD_UNIFORM, group_counts[g]);
            TRY(fixture_run(f, backend, device, row_counts[r], group_counts[g]));
        }
    }
    return check_lowest_sum(f, backend, device);
}

enum err group_sums_check(group_sums_backend backend, void *device)
{
    struct fixture *f = malloc(sizeof *f);
    if (f == NULL) return ERR_NO_MEMORY;
    f->seed = 1;
    enum err err = check_cases(f, backend, device);
    free(f);
    return err;
}
