#include "node/contribution.h"

#include "crypto/secret.h"
#include "proto/base/panic.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    ENTRY_BYTES_MAX = 20 + 9 * CAP_STATISTICS,
    ENTRIES_FIRST = 4096,
    BATCH_ROWS_MAX = 1 << 14, /* with three statistics about what the second-level cache holds */
    INSERTION_MAX = 24,
};

struct lane {
    /* Rows on their way to the engine, when open. */
    bool open;
    uint32_t batch_count;
    uint32_t *cell;
    int64_t *value[CAP_STATISTICS]; /* a count's: the one array of zeros */
    uint64_t *valid[CAP_STATISTICS];
    bool has_null[CAP_STATISTICS];
    int64_t *batch_sum[CAP_STATISTICS];
    uint64_t *batch_value_count[CAP_STATISTICS];
    grid_wide *sum; /* statistic_count times cell_count */
    /* Rows on their way to the kept ones, of one chunk; with units only. */
    uint8_t *entry;
};

struct contribution {
    const struct step *step;
    struct engine *engine;
    bool units;
    uint32_t part, part_count;
    uint32_t batch_cap;
    int64_t *zeros; /* batch_cap */
    struct lane *lane;
    uint32_t lane_count;
    pthread_mutex_t lock; /* guards the kept rows, and a device */
    bool has_device;
    /* Kept rows: unit, cell, then each statistic's part; bytes that sort as memcmp does. */
    uint32_t entry_bytes;
    uint8_t *entry;
    size_t entry_count, entry_cap, entry_touched; /* touched: what release has to wipe */
    uint64_t rows_expected;
};

/* --- Memory --------------------------------------------------------------------------------------------------------- */

static void release(void *memory, size_t bytes)
{
    if (memory != NULL) secret_wipe(memory, bytes);
    free(memory);
}

static size_t valid_words(const struct contribution *c)
{
    return ((size_t)c->batch_cap + 63) / 64;
}

static size_t sums_bytes(const struct contribution *c)
{
    return (size_t)c->step->statistic_count * c->step->cell_count * sizeof(grid_wide);
}

static bool is_sum(const struct contribution *c, uint32_t statistic)
{
    return c->step->statistic[statistic].kind == STATISTIC_SUM;
}

static void lane_close(const struct contribution *c, struct lane *l)
{
    release(l->cell, c->batch_cap * sizeof *l->cell);
    for (uint32_t i = 0; i < c->step->statistic_count; i++) {
        if (is_sum(c, i)) release(l->value[i], c->batch_cap * sizeof *l->value[i]);
        release(l->valid[i], valid_words(c) * sizeof *l->valid[i]);
        release(l->batch_sum[i], c->step->cell_count * sizeof *l->batch_sum[i]);
        release(l->batch_value_count[i], c->step->cell_count * sizeof *l->batch_value_count[i]);
    }
    release(l->sum, sums_bytes(c));
    release(l->entry, (size_t)DUCKDB_CHUNK_ROWS * c->entry_bytes);
}

void contribution_close(struct contribution *c)
{
    if (c == NULL) return;
    release(c->entry, c->entry_touched * c->entry_bytes);
    for (uint32_t i = 0; i < c->lane_count && c->lane != NULL; i++) lane_close(c, &c->lane[i]);
    free(c->lane);
    free(c->zeros);
    (void)pthread_mutex_destroy(&c->lock);
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

/* A lane that no thread uses costs nothing. */
static enum err batch_open(const struct contribution *c, struct lane *l)
{
    if (l->open) return OK;
    l->cell = calloc(c->batch_cap, sizeof *l->cell);
    l->sum = calloc(1, sums_bytes(c));
    bool ok = l->cell != NULL && l->sum != NULL;
    for (uint32_t i = 0; i < c->step->statistic_count; i++) {
        l->value[i] = is_sum(c, i) ? calloc(c->batch_cap, sizeof *l->value[i]) : c->zeros;
        l->valid[i] = calloc(valid_words(c), sizeof *l->valid[i]);
        l->batch_sum[i] = calloc(c->step->cell_count, sizeof *l->batch_sum[i]);
        l->batch_value_count[i] = calloc(c->step->cell_count, sizeof *l->batch_value_count[i]);
        ok = ok && l->value[i] != NULL && l->valid[i] != NULL && l->batch_sum[i] != NULL &&
             l->batch_value_count[i] != NULL;
    }
    l->open = ok;
    if (ok) return OK;
    lane_close(c, l);
    *l = (struct lane){0};
    return ERR_NO_MEMORY;
}

enum err contribution_open(struct contribution **out, const struct step *step, bool units,
                           uint32_t lane_count, struct engine *engine)
{
    ASSERT(step->cell_count >= 1 && step->cell_count <= CAP_CELLS && lane_count >= 1);
    ASSERT(step->statistic_count <= CAP_STATISTICS && step->rows_per_unit >= 1);
    *out = NULL;
    uint32_t rows = batch_rows(step);
    if (rows == 0) return ERR_RANGE;
    struct contribution *c = calloc(1, sizeof *c);
    if (c == NULL) return ERR_NO_MEMORY;
    *c = (struct contribution){.step = step,
                               .engine = engine,
                               .units = units,
                               .part_count = 1,
                               .batch_cap = rows,
                               .lane_count = lane_count,
                               .has_device = engine_backend(engine) != ENGINE_CPU};
    c->entry_bytes = contribution_row_bytes(step);
    c->zeros = calloc(rows, sizeof *c->zeros);
    c->lane = calloc(lane_count, sizeof *c->lane);
    if (c->zeros == NULL || c->lane == NULL || pthread_mutex_init(&c->lock, NULL) != 0) {
        free(c->zeros);
        free(c->lane);
        free(c);
        return ERR_NO_MEMORY;
    }
    *out = c;
    return OK;
}

/* --- Batches -------------------------------------------------------------------------------------------------------- */

/* The CPU's engine takes any number of threads; a device one. */
static enum err group_sums(struct contribution *c, const struct engine_rows *rows,
                           const struct engine_measure *measure)
{
    if (c->has_device) (void)pthread_mutex_lock(&c->lock);
    enum err err = engine_group_sums(c->engine, rows, measure, c->step->statistic_count);
    if (c->has_device) (void)pthread_mutex_unlock(&c->lock);
    return err;
}

static enum err batch_run(struct contribution *c, struct lane *l)
{
    if (l->batch_count == 0) return OK;
    struct engine_rows rows = {l->cell, l->batch_count, c->step->cell_count};
    struct engine_measure measure[CAP_STATISTICS];
    for (uint32_t i = 0; i < c->step->statistic_count; i++) {
        const struct statistic *s = &c->step->statistic[i];
        int64_t width = is_sum(c, i) ? s->upper - s->lower : 0;
        const uint64_t *valid = l->has_null[i] ? l->valid[i] : NULL;
        measure[i] = (struct engine_measure){l->value[i], valid,           -width,
                                             width,       l->batch_sum[i], l->batch_value_count[i]};
        l->has_null[i] = false;
    }
    TRY(group_sums(c, &rows, measure));
    grid_wide *sum = l->sum;
    for (uint32_t i = 0; i < c->step->statistic_count; i++)
        for (uint32_t cell = 0; cell < c->step->cell_count; cell++)
            *sum++ +=
                is_sum(c, i) ? (grid_wide)l->batch_sum[i][cell] : (grid_wide)l->batch_value_count[i][cell];
    l->batch_count = 0;
    return OK;
}

static int64_t clip(const struct statistic *s, int64_t value)
{
    value = value < s->lower ? s->lower : value;
    return value > s->upper ? s->upper : value;
}

/* `count` bits of `from`, from bit `first` on, into whole words; NULL: ones. */
static void copy_bits(uint64_t *to, const uint64_t *from, uint32_t first, uint32_t count)
{
    const uint32_t shift = first % 64, end = (first + count + 63) / 64;
    for (uint32_t i = 0; i < (count + 63) / 64; i++) {
        const uint32_t at = first / 64 + i;
        to[i] = from == NULL ? UINT64_MAX : from[at] >> shift;
        if (from != NULL && shift > 0 && at + 1 < end) to[i] |= from[at + 1] << (64 - shift);
    }
}

static void put_statistic(const struct contribution *c, struct lane *l, uint32_t index,
                          const struct tables_chunk *chunk, uint32_t from, uint32_t count)
{
    const struct statistic *s = &c->step->statistic[index];
    const uint32_t at = l->batch_count;
    copy_bits(l->valid[index] + at / 64, chunk->valid[index], from, count);
    if (chunk->valid[index] != NULL) l->has_null[index] = true;
    if (s->kind != STATISTIC_SUM) return;
    const int64_t *value = chunk->value[index] + from, middle = s->lower + s->upper;
    int64_t *to = l->value[index] + at;
    for (uint32_t row = 0; row < count; row++) to[row] = 2 * clip(s, value[row]) - middle;
}

/* A batch's next chunk begins with a word of its bits; the rows up to there belong to no cell. */
static enum err put_rows(struct contribution *c, struct lane *l, const struct tables_chunk *chunk,
                         uint32_t from, uint32_t count)
{
    memcpy(l->cell + l->batch_count, chunk->cell + from, count * sizeof *l->cell);
    for (uint32_t i = 0; i < c->step->statistic_count; i++) put_statistic(c, l, i, chunk, from, count);
    l->batch_count += count;
    if (l->batch_count + 64 >= c->batch_cap) return batch_run(c, l);
    while (l->batch_count % 64 != 0) l->cell[l->batch_count++] = TABLES_NO_CELL;
    return OK;
}

static enum err add_rows(struct contribution *c, struct lane *l, const struct tables_chunk *chunk)
{
    TRY(batch_open(c, l));
    for (uint32_t from = 0; from < chunk->row_count;) {
        const uint32_t left = chunk->row_count - from, room = c->batch_cap - l->batch_count;
        const uint32_t count = left < room ? left : room;
        TRY(put_rows(c, l, chunk, from, count));
        from += count;
    }
    return OK;
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
        bool valid = duckdb_valid(chunk->valid[i], row);
        if (s->column.len > 0) *at++ = valid;
        if (s->kind != STATISTIC_SUM) continue;
        store_u64(at, valid ? (uint64_t)clip(s, chunk->value[i][row]) ^ UINT64_C(1) << 63 : 0);
        at += 8;
    }
}

static void put_valid(struct lane *l, uint32_t statistic, bool valid)
{
    const uint32_t row = l->batch_count;
    if (row % 64 == 0) l->valid[statistic][row / 64] = 0;
    if (valid) l->valid[statistic][row / 64] |= UINT64_C(1) << (row % 64);
    if (!valid) l->has_null[statistic] = true;
}

static enum err entry_read(struct contribution *c, struct lane *l, const uint8_t *at)
{
    l->cell[l->batch_count] = load_u32(at + sizeof(struct tables_unit));
    at += sizeof(struct tables_unit) + 4;
    for (uint32_t i = 0; i < c->step->statistic_count; i++) {
        const struct statistic *s = &c->step->statistic[i];
        bool valid = s->column.len == 0 || *at++ != 0;
        put_valid(l, i, valid);
        if (s->kind != STATISTIC_SUM) continue;
        const int64_t value = (int64_t)(load_u64(at) ^ UINT64_C(1) << 63);
        l->value[i][l->batch_count] = valid ? 2 * value - (s->lower + s->upper) : 0;
        at += 8;
    }
    if (++l->batch_count < c->batch_cap) return OK;
    return batch_run(c, l);
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

/* Rows of this part, as they are kept, into the lane's room; returns how many. */
static size_t write_entries(const struct contribution *c, struct lane *l, const struct tables_chunk *chunk)
{
    size_t count = 0;
    for (uint32_t row = 0; row < chunk->row_count; row++) {
        if (chunk->cell[row] == TABLES_NO_CELL) continue;
        if (load_u64(chunk->unit[row].bytes) % c->part_count != c->part) continue;
        entry_write(c, l->entry + count++ * c->entry_bytes, chunk, row);
    }
    return count;
}

static enum err keep_entries(struct contribution *c, const uint8_t *entry, size_t count)
{
    while (count > 0) {
        TRY(make_room(c));
        const size_t room = c->entry_cap - c->entry_count, now = count < room ? count : room;
        memcpy(c->entry + c->entry_count * c->entry_bytes, entry, now * c->entry_bytes);
        c->entry_count += now;
        if (c->entry_count > c->entry_touched) c->entry_touched = c->entry_count;
        entry += now * c->entry_bytes;
        count -= now;
    }
    return OK;
}

static enum err add_entries(struct contribution *c, struct lane *l, const struct tables_chunk *chunk)
{
    if (l->entry == NULL) l->entry = calloc(DUCKDB_CHUNK_ROWS, c->entry_bytes);
    if (l->entry == NULL) return ERR_NO_MEMORY;
    const size_t count = write_entries(c, l, chunk);
    (void)pthread_mutex_lock(&c->lock);
    enum err err = keep_entries(c, l->entry, count);
    (void)pthread_mutex_unlock(&c->lock);
    return err;
}

enum err contribution_add(struct contribution *c, const struct tables_chunk *chunk)
{
    ASSERT(chunk->row_count == 0 || c->units == (chunk->unit != NULL));
    ASSERT(chunk->lane < c->lane_count && chunk->row_count <= DUCKDB_CHUNK_ROWS);
    return c->units ? add_entries(c, &c->lane[chunk->lane], chunk)
                    : add_rows(c, &c->lane[chunk->lane], chunk);
}

enum err contribution_unit_end(struct contribution *c)
{
    if (c->entry_count == 0) return OK;
    TRY(batch_open(c, &c->lane[0]));
    compact(c);
    for (size_t i = 0; i < c->entry_count; i++)
        TRY(entry_read(c, &c->lane[0], c->entry + i * c->entry_bytes));
    c->entry_count = 0;
    return OK;
}

enum err contribution_sums(struct contribution *c, grid_wide *sums)
{
    ASSERT(c->entry_count == 0);
    memset(sums, 0, sums_bytes(c));
    for (uint32_t lane = 0; lane < c->lane_count; lane++) {
        struct lane *l = &c->lane[lane];
        if (!l->open) continue;
        TRY(batch_run(c, l));
        for (size_t i = 0; i < (size_t)c->step->statistic_count * c->step->cell_count; i++)
            sums[i] += l->sum[i];
    }
    return OK;
}
