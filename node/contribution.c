#include "node/contribution.h"

#include "crypto/secret.h"
#include "proto/base/panic.h"

#include <stdlib.h>
#include <string.h>

enum {
    ENTRY_BYTES_MAX = 20 + 9 * CAP_STATISTICS,
    ENTRIES_FIRST = 4096,
    BATCH_ROWS_MAX = 1 << 18,
    INSERTION_MAX = 24,
};

struct contribution {
    const struct step *step;
    struct engine *engine;
    bool units;
    uint32_t part, part_count;
    /* Kept rows: unit, cell, then each statistic's part; bytes that sort as memcmp does. */
    uint32_t entry_bytes;
    uint8_t *entry;
    size_t entry_count, entry_cap, entry_touched; /* touched: what release has to wipe */
    uint64_t rows_expected;
    /* Rows on their way to the engine. */
    uint32_t batch_count, batch_cap;
    uint32_t *cell;
    int64_t *value[CAP_STATISTICS];
    uint64_t *valid[CAP_STATISTICS];
    int64_t *batch_sum[CAP_STATISTICS];
    uint64_t *batch_value_count[CAP_STATISTICS];
    grid_wide *sum; /* statistic_count times cell_count */
};

/* --- Memory --------------------------------------------------------------------------------------------------------- */

static void release(void *memory, size_t bytes)
{
    if (memory != NULL) secret_wipe(memory, bytes);
    free(memory);
}

static size_t valid_bytes(const struct contribution *c)
{
    return ((size_t)c->batch_cap + 63) / 64 * sizeof(uint64_t);
}

static size_t sums_bytes(const struct contribution *c)
{
    return (size_t)c->step->statistic_count * c->step->cell_count * sizeof *c->sum;
}

void contribution_close(struct contribution *c)
{
    if (c == NULL) return;
    release(c->entry, c->entry_touched * c->entry_bytes);
    release(c->cell, c->batch_cap * sizeof *c->cell);
    for (uint32_t i = 0; i < c->step->statistic_count; i++) {
        release(c->value[i], c->batch_cap * sizeof *c->value[i]);
        release(c->valid[i], valid_bytes(c));
        release(c->batch_sum[i], c->step->cell_count * sizeof *c->batch_sum[i]);
        release(c->batch_value_count[i], c->step->cell_count * sizeof *c->batch_value_count[i]);
    }
    release(c->sum, sums_bytes(c));
    free(c);
}

static uint64_t statistic_width(const struct statistic *s)
{
    return s->kind == STATISTIC_SUM ? (uint64_t)(s->upper - s->lower) : 1;
}

/* As many rows as the engine can sum without leaving int64; 0 when not even one. */
static uint32_t batch_rows(const struct step *step)
{
    uint64_t width = 1;
    for (uint32_t i = 0; i < step->statistic_count; i++)
        if (statistic_width(&step->statistic[i]) > width) width = statistic_width(&step->statistic[i]);
    uint64_t rows = (UINT64_C(1) << 62) / width;
    return rows > BATCH_ROWS_MAX ? BATCH_ROWS_MAX : (uint32_t)rows;
}

static bool take_batch(struct contribution *c)
{
    c->cell = calloc(c->batch_cap, sizeof *c->cell);
    c->sum = calloc(1, sums_bytes(c));
    bool ok = c->cell != NULL && c->sum != NULL;
    for (uint32_t i = 0; i < c->step->statistic_count; i++) {
        c->value[i] = calloc(c->batch_cap, sizeof *c->value[i]);
        c->valid[i] = calloc(1, valid_bytes(c));
        c->batch_sum[i] = calloc(c->step->cell_count, sizeof *c->batch_sum[i]);
        c->batch_value_count[i] = calloc(c->step->cell_count, sizeof *c->batch_value_count[i]);
        ok = ok && c->value[i] != NULL && c->valid[i] != NULL && c->batch_sum[i] != NULL &&
             c->batch_value_count[i] != NULL;
    }
    return ok;
}

enum err contribution_open(struct contribution **out, const struct step *step, bool units,
                           struct engine *engine)
{
    ASSERT(step->cell_count >= 1 && step->cell_count <= CAP_CELLS);
    ASSERT(step->statistic_count <= CAP_STATISTICS && step->rows_per_unit >= 1);
    *out = NULL;
    uint32_t rows = batch_rows(step);
    if (rows == 0) return ERR_RANGE;
    struct contribution *c = calloc(1, sizeof *c);
    if (c == NULL) return ERR_NO_MEMORY;
    *c = (struct contribution){
        .step = step, .engine = engine, .units = units, .part_count = 1, .batch_cap = rows};
    c->entry_bytes = contribution_row_bytes(step);
    if (!take_batch(c)) {
        contribution_close(c);
        return ERR_NO_MEMORY;
    }
    *out = c;
    return OK;
}

/* --- Batches -------------------------------------------------------------------------------------------------------- */

static enum err batch_run(struct contribution *c)
{
    if (c->batch_count == 0) return OK;
    struct engine_rows rows = {c->cell, c->batch_count, c->step->cell_count};
    struct engine_measure measure[CAP_STATISTICS];
    for (uint32_t i = 0; i < c->step->statistic_count; i++) {
        const struct statistic *s = &c->step->statistic[i];
        int64_t width = s->kind == STATISTIC_SUM ? s->upper - s->lower : 0;
        measure[i] = (struct engine_measure){c->value[i], c->valid[i],     -width,
                                             width,       c->batch_sum[i], c->batch_value_count[i]};
    }
    TRY(engine_group_sums(c->engine, &rows, measure, c->step->statistic_count));
    grid_wide *sum = c->sum;
    for (uint32_t i = 0; i < c->step->statistic_count; i++)
        for (uint32_t cell = 0; cell < c->step->cell_count; cell++)
            *sum++ += c->step->statistic[i].kind == STATISTIC_SUM ? (grid_wide)c->batch_sum[i][cell]
                                                                  : (grid_wide)c->batch_value_count[i][cell];
    c->batch_count = 0;
    return OK;
}

static void batch_put(struct contribution *c, uint32_t statistic, bool valid, int64_t clipped)
{
    const struct statistic *s = &c->step->statistic[statistic];
    uint32_t row = c->batch_count;
    uint64_t bit = UINT64_C(1) << (row % 64);
    if (row % 64 == 0) c->valid[statistic][row / 64] = 0;
    if (valid) c->valid[statistic][row / 64] |= bit;
    c->value[statistic][row] = s->kind == STATISTIC_SUM && valid ? 2 * clipped - (s->lower + s->upper) : 0;
}

static enum err batch_next(struct contribution *c)
{
    if (++c->batch_count < c->batch_cap) return OK;
    return batch_run(c);
}

static int64_t clip(const struct statistic *s, int64_t value)
{
    if (value < s->lower) return s->lower;
    return value > s->upper ? s->upper : value;
}

static enum err add_row(struct contribution *c, const struct tables_chunk *chunk, uint32_t row)
{
    c->cell[c->batch_count] = chunk->cell[row];
    for (uint32_t i = 0; i < c->step->statistic_count; i++)
        batch_put(c, i, chunk->valid[i][row] != 0, clip(&c->step->statistic[i], chunk->value[i][row]));
    return batch_next(c);
}

/* --- Kept rows ------------------------------------------------------------------------------------------------------ */

uint32_t contribution_row_bytes(const struct step *step)
{
    uint32_t bytes = sizeof(struct tables_unit) + 4;
    for (uint32_t i = 0; i < step->statistic_count; i++) {
        if (step->statistic[i].column.len > 0) bytes += 1;
        if (step->statistic[i].kind == STATISTIC_SUM) bytes += 8;
    }
    return bytes;
}

/* Unit | be32 cell | per statistic that reads a column: 1 when valid | per sum: be64 of the clipped value with its sign
 * bit turned, so that bytes sort as numbers do. */
static void entry_write(const struct contribution *c, uint8_t *at, const struct tables_chunk *chunk,
                        uint32_t row)
{
    memcpy(at, chunk->unit[row].bytes, sizeof(struct tables_unit));
    store_u32(at + sizeof(struct tables_unit), chunk->cell[row]);
    at += sizeof(struct tables_unit) + 4;
    for (uint32_t i = 0; i < c->step->statistic_count; i++) {
        const struct statistic *s = &c->step->statistic[i];
        bool valid = chunk->valid[i][row] != 0;
        if (s->column.len > 0) *at++ = valid;
        if (s->kind != STATISTIC_SUM) continue;
        store_u64(at, valid ? (uint64_t)clip(s, chunk->value[i][row]) ^ UINT64_C(1) << 63 : 0);
        at += 8;
    }
}

static enum err entry_read(struct contribution *c, const uint8_t *at)
{
    c->cell[c->batch_count] = load_u32(at + sizeof(struct tables_unit));
    at += sizeof(struct tables_unit) + 4;
    for (uint32_t i = 0; i < c->step->statistic_count; i++) {
        const struct statistic *s = &c->step->statistic[i];
        bool valid = s->column.len == 0 || *at++ != 0;
        int64_t value = 0;
        if (s->kind == STATISTIC_SUM) {
            if (valid) value = (int64_t)(load_u64(at) ^ UINT64_C(1) << 63);
            at += 8;
        }
        batch_put(c, i, valid, value);
    }
    return batch_next(c);
}

static void entry_swap(uint8_t *a, uint8_t *b, size_t bytes)
{
    uint8_t held[ENTRY_BYTES_MAX];
    memcpy(held, a, bytes);
    memcpy(a, b, bytes);
    memcpy(b, held, bytes);
}

static void sort_few(uint8_t *entry, size_t count, size_t bytes, size_t depth)
{
    for (size_t i = 1; i < count; i++)
        for (size_t j = i; j > 0; j--) {
            uint8_t *at = entry + j * bytes;
            if (memcmp(at - bytes + depth, at + depth, bytes - depth) <= 0) break;
            entry_swap(at - bytes, at, bytes);
        }
}

/* Put each entry into the bucket of its byte at `depth`; start[b] becomes bucket b's first entry. */
static void sort_permute(uint8_t *entry, size_t bytes, size_t depth, size_t start[257])
{
    size_t next[256];
    memcpy(next, start, sizeof next);
    for (uint32_t bucket = 0; bucket < 256; bucket++)
        while (next[bucket] < start[bucket + 1]) {
            uint8_t *at = entry + next[bucket] * bytes;
            uint8_t byte = at[depth];
            if (byte != bucket) entry_swap(at, entry + next[byte] * bytes, bytes);
            next[byte]++;
        }
}

/* By memcmp, in place: radix by the byte at `depth`, buckets by the bytes after it. All entries agree before it. */
static void sort_entries(uint8_t *entry, size_t count, size_t bytes, size_t depth)
{
    size_t start[257] = {0};
    if (depth == bytes) return;
    if (count <= INSERTION_MAX) {
        sort_few(entry, count, bytes, depth);
        return;
    }
    for (size_t i = 0; i < count; i++) start[entry[i * bytes + depth] + 1]++;
    for (size_t i = 0; i < 256; i++) start[i + 1] += start[i];
    sort_permute(entry, bytes, depth, start);
    for (size_t i = 0; i < 256; i++)
        if (start[i + 1] > start[i] + 1)
            sort_entries(entry + start[i] * bytes, start[i + 1] - start[i], bytes, depth + 1);
}

/* Sort, and drop what a unit has beyond its limit. */
static void compact(struct contribution *c)
{
    size_t kept = 0, of_unit = 0, bytes = c->entry_bytes;
    sort_entries(c->entry, c->entry_count, bytes, 0);
    for (size_t i = 0; i < c->entry_count; i++) {
        const uint8_t *at = c->entry + i * bytes;
        bool same = kept > 0 && memcmp(at, c->entry + (kept - 1) * bytes, sizeof(struct tables_unit)) == 0;
        of_unit = same ? of_unit + 1 : 1;
        if (of_unit > c->step->rows_per_unit) continue;
        if (kept != i) memcpy(c->entry + kept * bytes, at, bytes);
        kept++;
    }
    c->entry_count = kept;
}

static enum err grow(struct contribution *c)
{
    size_t cap = c->entry_cap == 0 ? ENTRIES_FIRST + (size_t)c->rows_expected : c->entry_cap * 2;
    uint8_t *larger = cap > SIZE_MAX / c->entry_bytes ? NULL : malloc(cap * c->entry_bytes);
    if (larger == NULL) return ERR_NO_MEMORY;
    if (c->entry_count > 0) memcpy(larger, c->entry, c->entry_count * c->entry_bytes);
    release(c->entry, c->entry_touched * c->entry_bytes);
    c->entry = larger;
    c->entry_cap = cap;
    c->entry_touched = c->entry_count;
    return OK;
}

static enum err make_room(struct contribution *c)
{
    if (c->entry_count < c->entry_cap) return OK;
    compact(c);
    return c->entry_count > c->entry_cap / 4 * 3 || c->entry_cap == 0 ? grow(c) : OK;
}

void contribution_part(struct contribution *c, uint32_t part, uint32_t part_count, uint64_t rows_expected)
{
    ASSERT(part < part_count && c->entry_count == 0);
    c->part = part;
    c->part_count = part_count;
    c->rows_expected = rows_expected;
}

static enum err keep_row(struct contribution *c, const struct tables_chunk *chunk, uint32_t row)
{
    if (load_u64(chunk->unit[row].bytes) % c->part_count != c->part) return OK;
    TRY(make_room(c));
    entry_write(c, c->entry + c->entry_count * c->entry_bytes, chunk, row);
    c->entry_count++;
    if (c->entry_count > c->entry_touched) c->entry_touched = c->entry_count;
    return OK;
}

enum err contribution_add(struct contribution *c, const struct tables_chunk *chunk)
{
    ASSERT(chunk->row_count == 0 || c->units == (chunk->unit != NULL));
    for (uint32_t row = 0; row < chunk->row_count; row++) {
        if (chunk->cell[row] == TABLES_NO_CELL) continue;
        TRY(c->units ? keep_row(c, chunk, row) : add_row(c, chunk, row));
    }
    return OK;
}

enum err contribution_unit_end(struct contribution *c)
{
    compact(c);
    for (size_t i = 0; i < c->entry_count; i++) TRY(entry_read(c, c->entry + i * c->entry_bytes));
    c->entry_count = 0;
    return OK;
}

enum err contribution_sums(struct contribution *c, const grid_wide **sums)
{
    ASSERT(c->entry_count == 0);
    TRY(batch_run(c));
    *sums = c->sum;
    return OK;
}
