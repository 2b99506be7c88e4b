/* A sweep and its scenario, canonical JSON both: the first line is the sweep, the rest the scenario. What is taken has cells, and each
 * choice of values either has a scenario or is refused with a reason. */
#include "proto/base/panic.h"
#include "sim/scenario.h"
#include "sim/sweep.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t memory[16 << 20];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t text[1 << 16];
    struct arena arena = arena_make(memory, sizeof memory);
    struct json_fault fault = {{0}, {0}, OK};
    struct buffer values = BUFFER_OF(text);
    struct sweep *s;
    uint32_t point;
    const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
    const size_t len = end != NULL ? (size_t)(end - data) : size;
    const struct span rest = end != NULL ? span_make(end + 1, size - len - 1) : SPAN_NONE;
    if (sweep_parse(&s, &arena, span_make(data, len), rest, &fault) == OK) {
        const size_t used = arena.used;
        ASSERT(sweep_cells(s) >= 1 && sweep_cells(s) <= SWEEP_CELLS_MAX && s->points <= SWEEP_POINTS_MAX);
        ASSERT(sweep_cell_at(s, sweep_cells(s) - 1).point == s->points - 1);
        ASSERT(sweep_values(s, &values, s->points - 1) == OK);
        if (s->points <= 64 && sweep_check(s, &point, &arena, &fault) != OK) ASSERT(point < s->points);
        ASSERT(arena.used == used);
    }
    arena_release(&arena, 0);
    return 0;
}
