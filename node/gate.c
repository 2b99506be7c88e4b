#include "node/gate.h"

#include "crypto/secret.h"
#include "crypto/stream.h"
#include "gpu/noise.h"
#include "node/contribution.h"
#include "node/fault.h"
#include "node/rows.h"
#include "proto/base/panic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The largest sum a step may reach before noise: the noise has as much room again below GATE_VALUE_MAX. */
#define SUM_MAX (UINT64_C(1) << 52)
enum { PARTS_MAX = 1 << 16 };
#define UNIT_BYTES_MIN (UINT64_C(1) << 20)

/* --- What is public ------------------------------------------------------------------------------------------------- */

static int show(struct span text)
{
    return text.len < 60 ? (int)text.len : 60;
}

static uint64_t row_count(const struct workflow *w, const struct gate_input *inputs)
{
    uint64_t rows = 0;
    for (uint32_t i = 0; i < w->input_count; i++)
        if (__builtin_add_overflow(rows, inputs[i].row_count, &rows)) return UINT64_MAX;
    return rows;
}

static enum err check_statistic(const struct workflow *w, const struct step *step, const struct statistic *s,
                                uint64_t rows, char *why, size_t why_len)
{
    uint64_t top, bottom, most;
    if (s->kind == STATISTIC_SUM &&
        (s->lower >= s->upper || s->places > GRID_PLACES_MAX || s->column.len == 0))
        return fault_set(why, why_len, ERR_RANGE,
                         "statistic '%.*s': found no column or no range; allowed: lower < upper",
                         show(s->name), (const char *)s->name.data);
    if (!w->privacy_none && statistic_scale(s, step->rows_per_unit, &top, &bottom) != OK)
        return fault_set(why, why_len, ERR_RANGE,
                         "statistic '%.*s': found a noise scale out of range; allowed: terms below 2^56",
                         show(s->name), (const char *)s->name.data);
    uint64_t width = s->kind == STATISTIC_SUM ? (uint64_t)(s->upper - s->lower) : 1;
    if (__builtin_mul_overflow(width, rows, &most) || most > SUM_MAX)
        return fault_set(
            why, why_len, ERR_RANGE,
            "statistic '%.*s': found bounds times rows above 2^52; allowed: fewer decimal places or narrower "
            "bounds",
            show(s->name), (const char *)s->name.data);
    return OK;
}

static enum err check_shape(const struct step *step, char *why, size_t why_len)
{
    uint64_t cells = 1;
    bool counts = step->statistic_count >= 1 && step->statistic_count <= CAP_STATISTICS &&
                  step->group_count <= CAP_GROUPS && step->derived_count <= CAP_STATISTICS &&
                  step->rows_per_unit >= 1 && step->rows_per_unit <= WORKFLOW_ROWS_PER_UNIT_MAX &&
                  step->runtime == RUNTIME_SELECT;
    if (!counts)
        return fault_set(why, why_len, ERR_RANGE, "found a step without statistics or out of its limits");
    for (uint32_t i = 0; i < step->group_count; i++) {
        if (step->group[i].domain_count < 1 || step->group[i].domain_count > CAP_DOMAIN)
            return fault_set(why, why_len, ERR_RANGE, "found an empty or too large domain");
        cells *= step->group[i].domain_count;
    }
    if (cells != step->cell_count || cells > CAP_CELLS)
        return fault_set(why, why_len, ERR_RANGE, "found %llu cells; allowed: %d", (unsigned long long)cells,
                         CAP_CELLS);
    for (uint32_t i = 0; i < step->derived_count; i++) {
        int below = step_statistic(step, step->derived[i].denominator);
        if (below < 0 || step->statistic[below].kind != STATISTIC_COUNT ||
            step_statistic(step, step->derived[i].numerator) < 0)
            return fault_set(why, why_len, ERR_RANGE,
                             "found a derived value of unknown statistics; allowed: x / a count");
    }
    return OK;
}

/* The unit that the noise protects is the one the dataset was registered with. */
static enum err check_unit(const struct workflow *w, const struct gate_input *input,
                           const struct tables_select *select, char *why, size_t why_len)
{
    struct span declared = input->unit_column, used = {0};
    if (w->privacy_none) return OK;
    if (select->unit >= 0) used = input->schema->column[select->unit_source].name;
    if (sql_name_equal(declared, used)) return OK;
    return fault_set(why, why_len, ERR_POLICY,
                     "found %s%.*s as the unit; allowed: %s%.*s, which the dataset declares",
                     used.len == 0 ? "a row" : "column ", show(used), (const char *)used.data,
                     declared.len == 0 ? "a row" : "column ", show(declared), (const char *)declared.data);
}

struct gate_plan {
    struct tables_select select[CAP_STEPS][CAP_INPUTS]; /* zeroed where there is none */
};

static enum err check_step(struct tables_select *selects, const struct workflow *w,
                           const struct gate_input *inputs, const struct step *step, char *why,
                           size_t why_len)
{
    TRY(check_shape(step, why, why_len));
    if (w->unit_column.len == 0 && step->rows_per_unit != 1)
        return fault_set(why, why_len, ERR_RANGE,
                         "found %u rows per unit; allowed: 1, because a row is a unit", step->rows_per_unit);
    for (uint32_t i = 0; i < step->statistic_count; i++)
        TRY(check_statistic(w, step, &step->statistic[i], row_count(w, inputs), why, why_len));
    for (uint32_t i = 0; i < w->input_count; i++) {
        TRY(tables_select_make(&selects[i], step, w->unit_column, inputs[i].schema, &w->parameters, why,
                               why_len));
        TRY(check_unit(w, &inputs[i], &selects[i], why, why_len));
    }
    return OK;
}

static enum err check_steps(struct gate_plan *plan, const struct workflow *w, const struct gate_input *inputs,
                            char *why, size_t why_len)
{
    for (uint32_t i = 0; i < w->step_count; i++)
        TRY(check_step(plan->select[i], w, inputs, &w->step[i], why, why_len));
    size_t bytes;
    enum err err = gate_output_bytes(w, &bytes);
    if (err == ERR_TOO_LARGE)
        return fault_set(why, why_len, err,
                         "found an output that can exceed max_bytes (%u); allowed: fewer cells or more bytes",
                         w->output_bytes_max);
    return err;
}

enum err gate_plan_make(struct gate_plan **out, const struct workflow *w, const struct gate_input *inputs,
                        char *why, size_t why_len)
{
    ASSERT(w->step_count <= CAP_STEPS && w->input_count <= CAP_INPUTS);
    if (why_len > 0) why[0] = 0;
    *out = NULL;
    struct gate_plan *plan = calloc(1, sizeof *plan);
    if (plan == NULL) return ERR_NO_MEMORY;
    enum err err = w->output == OUTPUT_ROWS ? rows_check(w, inputs, why, why_len)
                                            : check_steps(plan, w, inputs, why, why_len);
    if (err == OK)
        *out = plan;
    else
        gate_plan_free(plan);
    return err;
}

void gate_plan_free(struct gate_plan *plan)
{
    if (plan == NULL) return;
    for (uint32_t step = 0; step < CAP_STEPS; step++)
        for (uint32_t i = 0; i < CAP_INPUTS; i++) tables_select_free(&plan->select[step][i]);
    free(plan);
}

enum err gate_check(const struct workflow *w, const struct gate_input *inputs, char *why, size_t why_len)
{
    struct gate_plan *plan;
    TRY(gate_plan_make(&plan, w, inputs, why, why_len));
    gate_plan_free(plan);
    return OK;
}

/* --- Rows to sums --------------------------------------------------------------------------------------------------- */

struct scan {
    const struct gate *gate;
    const struct step *step;
    const struct tables_select *select; /* of each input */
    struct contribution *contribution;
};

static enum err take_chunk(void *context, const struct tables_chunk *chunk)
{
    return contribution_add(context, chunk);
}

/* Every public bound rests on the manifest's number of rows, so the rows that are there must be as many. */
static enum err scan_input(struct scan *s, uint32_t input)
{
    uint64_t row_count;
    const struct tables_scan scan = {.input = input,
                                     .select = &s->select[input],
                                     .choice = s->gate->choice,
                                     .rows_most = s->gate->input[input].row_count,
                                     .take = take_chunk,
                                     .context = s->contribution};
    TRY(tables_scan(s->gate->tables, &row_count, &scan));
    return row_count == s->gate->input[input].row_count ? OK : ERR_CONFLICT;
}

/* Is input i the first of its scope, and is input j in the scope of i? */
static bool same_scope(const struct workflow *w, uint32_t i, uint32_t j)
{
    return w->scope == SCOPE_GLOBAL || ID_EQUAL(w->input[i].owner, w->input[j].owner);
}

static bool opens_scope(const struct workflow *w, uint32_t i)
{
    for (uint32_t j = 0; j < i; j++)
        if (same_scope(w, j, i)) return false;
    return true;
}

/* Public rows of a scope. */
static uint64_t scope_rows(const struct scan *s, uint32_t first)
{
    const struct workflow *w = s->gate->workflow;
    uint64_t rows = 0;
    for (uint32_t i = first; i < w->input_count; i++)
        if (same_scope(w, first, i)) rows += s->gate->input[i].row_count;
    return rows;
}

/* The inputs of a scope are read as often as it takes for the kept rows of one part to fit. */
static enum err scan_scope(struct scan *s, uint32_t first)
{
    const struct workflow *w = s->gate->workflow;
    uint64_t rows = w->unit_column.len > 0 ? scope_rows(s, first) : 0;
    uint64_t bytes;
    if (__builtin_mul_overflow(rows, contribution_row_bytes(s->step), &bytes)) return ERR_TOO_LARGE;
    const uint64_t part_count = 1 + bytes / s->gate->unit_bytes_max;
    if (part_count > PARTS_MAX) return ERR_TOO_LARGE;
    for (uint32_t part = 0; part < part_count; part++) {
        contribution_part(s->contribution, part, (uint32_t)part_count,
                          rows / part_count + rows / part_count / 64);
        for (uint32_t i = first; i < w->input_count; i++)
            if (same_scope(w, first, i)) TRY(scan_input(s, i));
        TRY(contribution_unit_end(s->contribution));
    }
    return OK;
}

static enum err scan_all(struct scan *s, grid_wide *sums)
{
    const struct workflow *w = s->gate->workflow;
    TRY(contribution_open(&s->contribution, s->step, w->unit_column.len > 0,
                          tables_lane_count(s->gate->tables), s->gate->engine));
    for (uint32_t i = 0; i < w->input_count; i++)
        if (opens_scope(w, i)) TRY(scan_scope(s, i));
    return contribution_sums(s->contribution, sums);
}

static enum err step_sums(grid_wide *sums, const struct gate *g, uint32_t step_index)
{
    ASSERT(step_index < g->workflow->step_count && g->unit_bytes_max >= UNIT_BYTES_MIN);
    ASSERT(g->workflow->parameters.count == 0 || g->choice != NULL);
    struct scan s = {
        .gate = g, .step = &g->workflow->step[step_index], .select = g->plan->select[step_index]};
    enum err err = scan_all(&s, sums);
    contribution_close(s.contribution);
    return err;
}

/* `own` is the gate with a plan; `made` is to be freed. */
static enum err take_plan(struct gate *own, struct gate_plan **made, const struct gate *g)
{
    *own = *g;
    *made = NULL;
    if (g->plan != NULL) return OK;
    TRY(gate_plan_make(made, g->workflow, g->input, NULL, 0));
    own->plan = *made;
    return OK;
}

enum err gate_sums(grid_wide *sums, const struct gate *g, uint32_t step_index)
{
    struct gate own;
    struct gate_plan *made;
    enum err err = take_plan(&own, &made, g);
    if (err == OK) err = step_sums(sums, &own, step_index);
    gate_plan_free(made);
    return err == OK ? OK : ERR_REFUSED;
}

/* --- Sums to a release ---------------------------------------------------------------------------------------------- */

static int64_t clamp(grid_wide value)
{
    if (value > GATE_VALUE_MAX) return GATE_VALUE_MAX;
    return value < -GATE_VALUE_MAX ? -GATE_VALUE_MAX : (int64_t)value;
}

struct scale {
    uint64_t top, bottom;
};

static enum err draw(int64_t *noise, const struct scale *scale, const uint8_t *seed32,
                     const uint32_t place[3])
{
    uint8_t key32[32];
    struct stream stream;
    noise_cell_key(key32, seed32, place[0], place[1], place[2]);
    stream_open(&stream, key32);
    secret_wipe(key32, sizeof key32);
    enum err err = noise_laplace(&stream, noise, scale->top, scale->bottom);
    stream_close(&stream);
    return err;
}

static enum err release_statistic(struct gate_result *result, const struct gate *g, uint32_t step_index,
                                  uint32_t index, const grid_wide *sums)
{
    const struct step *step = &g->workflow->step[step_index];
    struct scale scale = {0, 0};
    if (!g->workflow->privacy_none) {
        TRY(statistic_scale(&step->statistic[index], step->rows_per_unit, &scale.top, &scale.bottom));
        TRY(noise_laplace_bound(&result->bound[index], scale.top, scale.bottom, 0.95));
        result->bound[index] = clamp(result->bound[index]);
    }
    for (uint32_t cell = 0; cell < step->cell_count; cell++) {
        const uint32_t place[3] = {step_index, index, cell};
        const size_t at = (size_t)index * step->cell_count + cell;
        int64_t noise = 0;
        if (!g->workflow->privacy_none) TRY(draw(&noise, &scale, g->seed32, place));
        result->value[at] = clamp(sums[at] + noise);
    }
    return OK;
}

static enum err release_step(struct gate_result *result, const struct gate *g, uint32_t step_index)
{
    const struct step *step = &g->workflow->step[step_index];
    const size_t count = (size_t)step->statistic_count * step->cell_count;
    grid_wide *sums = calloc(count, sizeof *sums);
    result->value = calloc(count, sizeof *result->value);
    enum err err = sums == NULL || result->value == NULL ? ERR_NO_MEMORY : step_sums(sums, g, step_index);
    for (uint32_t i = 0; i < step->statistic_count && err == OK; i++)
        err = release_statistic(result, g, step_index, i, sums);
    if (sums != NULL) secret_wipe(sums, count * sizeof *sums);
    free(sums);
    return err;
}

/* Nothing is written before every step is released. */
static enum err release(struct buffer *out, const struct gate *g, size_t bytes)
{
    struct gate_result result[CAP_STEPS] = {{0}};
    enum err err = OK;
    for (uint32_t i = 0; i < g->workflow->step_count && err == OK; i++) err = release_step(&result[i], g, i);
    if (err == OK) err = gate_output_write(out, g->workflow, result, bytes);
    for (uint32_t i = 0; i < g->workflow->step_count; i++) {
        const struct step *step = &g->workflow->step[i];
        if (result[i].value != NULL)
            secret_wipe(result[i].value,
                        (size_t)step->statistic_count * step->cell_count * sizeof *result[i].value);
        free(result[i].value);
    }
    return err;
}

static enum err run_planned(struct buffer *out, const struct gate *g)
{
    size_t bytes;
    TRY(gate_output_bytes(g->workflow, &bytes));
    if (out->cap - out->len < bytes) return ERR_TOO_LARGE;
    const size_t start = out->len;
    enum err err = g->workflow->output == OUTPUT_ROWS ? rows_write(out, g, bytes) : release(out, g, bytes);
    if (err == OK) return OK;
    out->len = start;
    return ERR_REFUSED;
}

enum err gate_run(struct buffer *out, const struct gate *g)
{
    struct gate own;
    struct gate_plan *made;
    ASSERT(g->workflow->privacy_none || g->seed32 != NULL);
    TRY(take_plan(&own, &made, g));
    enum err err = run_planned(out, &own);
    gate_plan_free(made);
    return err;
}
