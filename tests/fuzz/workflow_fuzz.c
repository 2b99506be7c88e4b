/* workflow/1: any bytes. What is accepted is canonical, so the writer gives the same bytes again; it can be shown and
 * compared within the promised size; its epsilons add up and its noise scales can be drawn. */
#include "proto/base/panic.h"
#include "proto/workflow.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static _Alignas(16) uint8_t memory[1 << 22];
static uint8_t written[WORKFLOW_RENDER_BYTES_MAX];

static void check_statistics(const struct workflow *w)
{
    uint64_t sum = 0, numerator, denominator;
    for (uint32_t i = 0; i < w->step_count; i++) {
        const struct step *s = &w->step[i];
        for (uint32_t j = 0; j < s->statistic_count; j++) {
            sum += s->statistic[j].epsilon_nano;
            if (w->privacy_none) continue;
            ASSERT(statistic_scale(&s->statistic[j], s->rows_per_unit, &numerator, &denominator) == OK);
        }
    }
    ASSERT(sum == w->epsilon_nano && (sum > 0) == !w->privacy_none);
}

static void check_shown(const struct workflow *w)
{
    struct buffer out = BUFFER_OF(written);
    workflow_render(&out, w, w->input[0].dt);
    ASSERT(buffer_done(&out) == OK);
    out = BUFFER_OF(written);
    workflow_diff(&out, w, w);
    ASSERT(span_equal_text(buffer_span(&out), "Nothing changed.\n"));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct arena arena = arena_make(memory, sizeof memory);
    struct workflow *w = NULL;
    struct json_fault fault;
    struct buffer out = BUFFER_OF(written);
    if (workflow_parse(&w, &arena, span_make(bytes, len), &fault) == OK) {
        ASSERT(workflow_write(&out, w) == OK);
        ASSERT(span_equal(buffer_span(&out), span_make(bytes, len)));
        check_statistics(w);
        check_shown(w);
    }
    memset(memory, 0, arena.used);
    return 0;
}
