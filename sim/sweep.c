#include "sim/sweep.h"

#include "proto/base/panic.h"
#include "proto/base/text.h"
#include "proto/core.h"
#include "proto/field.h"
#include "sim/scenario.h"

#include <string.h>

enum { PATH_CHARS = 4096 };

/* --- Keys: names and indices, as refusals have them ---------------------------------------------------------------------------- */

struct sweep_step {
    struct span name; /* of a member; none: an element */
    uint32_t index;
};

static bool is_name_char(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

static bool take_index(struct span *key, uint32_t *index)
{
    size_t at = 1;
    *index = 0;
    for (; at < key->len && at <= 4 && key->data[at] >= '0' && key->data[at] <= '9'; at++)
        *index = *index * 10 + (uint32_t)(key->data[at] - '0');
    const bool canonical = at == 2 || (at > 2 && key->data[1] != '0');
    if (!canonical || at == key->len || key->data[at] != ']') return false;
    *key = span_make(key->data + at + 1, key->len - at - 1);
    return true;
}

/* The first step off a key, or off what is left of one. False: it is none. */
static bool take_step(struct span *key, bool first, struct sweep_step *out)
{
    size_t at = !first && key->len > 0 && key->data[0] == '.', from = at;
    *out = (struct sweep_step){SPAN_NONE, 0};
    if (!first && key->len > 0 && key->data[0] == '[') return take_index(key, &out->index);
    if (!first && at == 0) return false;
    while (at < key->len && is_name_char(key->data[at])) at++;
    if (at == from) return false;
    out->name = span_make(key->data + from, at - from);
    *key = span_make(key->data + at, key->len - at);
    return true;
}

static bool is_key(struct span key)
{
    struct sweep_step step;
    uint32_t steps = 0;
    if (key.len == 0 || key.len > SWEEP_KEY_CHARS) return false;
    for (; key.len > 0; steps++)
        if (!take_step(&key, steps == 0, &step)) return false;
    return steps <= SWEEP_STEPS_MAX;
}

/* --- Reading ---------------------------------------------------------------------------------------------------------------------- */

static bool is_value(const struct json *value)
{
    return value->type == JSON_TYPE_BOOL || value->type == JSON_TYPE_INT ||
           (value->type == JSON_TYPE_STRING && value->string.len <= SWEEP_VALUE_CHARS);
}

static bool same_value(const struct json *a, const struct json *b)
{
    if (a->type != b->type) return false;
    if (a->type == JSON_TYPE_STRING) return span_equal(a->string, b->string);
    return a->type == JSON_TYPE_INT ? a->integer == b->integer : a->boolean == b->boolean;
}

_Static_assert(SWEEP_VALUES_MAX == 256 && SWEEP_VALUE_CHARS == 64 && SWEEP_KEY_CHARS == 64 &&
                   SWEEP_KEYS_MAX == 8 && SWEEP_STEPS_MAX == 8,
               "texts below name the limits");

static void axis_read(struct sweep *s, struct json_reader *r, const char *key, const struct json *values)
{
    if (values->type != JSON_TYPE_ARRAY || values->count == 0 || values->count > SWEEP_VALUES_MAX) {
        json_refuse(r, key, ERR_TYPE, "a list of 1 to 256 values");
        return;
    }
    for (uint32_t i = 0; i < values->count; i++) {
        if (!is_value(&values->items[i]))
            json_refuse(r, key, ERR_TYPE, "whole numbers, true, false, and texts of at most 64 bytes");
        for (uint32_t k = 0; r->err == OK && k < i; k++)
            if (same_value(&values->items[i], &values->items[k]))
                json_refuse(r, key, ERR_DUPLICATE, "each value once");
    }
    if (s->points * (uint64_t)values->count > SWEEP_POINTS_MAX)
        json_refuse(r, NULL, ERR_RANGE, "at most 10000 choices of values");
    if (r->err != OK) return;
    s->points *= values->count;
    s->axis[s->axis_count++] = (struct sweep_axis){span_make(key, span_text(key).len), values};
}

static void grid_read(struct sweep *s, struct arena *arena, struct json_reader *parent)
{
    struct json_reader r;
    s->points = 1;
    if (!json_has(parent, "grid")) return;
    field_object(&r, parent, "grid");
    if (r.err == OK && r.object->count > SWEEP_KEYS_MAX)
        json_refuse(&r, NULL, ERR_TOO_LARGE, "at most 8 keys");
    for (uint32_t i = 0; r.err == OK && i < r.object->count; i++) {
        const struct span key = r.object->keys[i];
        char *name = arena_take(arena, key.len + 1, 1);
        if (name == NULL) {
            json_refuse(&r, NULL, ERR_NO_MEMORY, "memory");
            break;
        }
        memcpy(name, key.data, key.len);
        if (!is_key(key))
            json_refuse(&r, name, ERR_SYNTAX,
                        "a key of the scenario, as network.loss_ppm or faults[0].at_ms");
        const struct json *values = json_read_any(&r, name);
        if (values != NULL) axis_read(s, &r, name, values);
    }
    parent->err = r.err;
}

static void seeds_read(struct sweep *s, struct json_reader *parent)
{
    struct json_reader r;
    int64_t first = 1, count = 1;
    if (json_has(parent, "seeds")) {
        field_object(&r, parent, "seeds");
        if (json_has(&r, "from")) json_read_int(&r, "from", 0, JSON_INT_MAX - 1 - SWEEP_CELLS_MAX, &first);
        json_read_int(&r, "count", 1, SWEEP_CELLS_MAX, &count);
        parent->err = json_reader_done(&r);
    }
    s->seed_first = (uint64_t)first;
    s->seed_count = (uint64_t)count;
    _Static_assert(SWEEP_CELLS_MAX == 100000 && SWEEP_POINTS_MAX == 10000, "texts name the limits");
    if (parent->err == OK && sweep_cells(s) > SWEEP_CELLS_MAX)
        json_refuse(parent, "seeds.count", ERR_RANGE, "at most 100000 cells: choices of values times seeds");
}

/* A path to it, or the scenario itself. */
static enum err scenario_read(struct sweep *s, struct arena *arena, struct json_reader *r, struct span text)
{
    struct span stay;
    const struct json *value = json_read_any(r, "scenario");
    if (value == NULL) return r->err;
    if (value->type == JSON_TYPE_OBJECT) {
        s->scenario = value;
        return OK;
    }
    if (value->type != JSON_TYPE_STRING || value->string.len == 0 || value->string.len > PATH_CHARS ||
        text.len == 0) {
        json_refuse(r, "scenario", ERR_TYPE, "a scenario, or the path of one");
        return r->err;
    }
    if (text.len > SCENARIO_BYTES_MAX) {
        json_refuse(r, "scenario", ERR_TOO_LARGE, "at most 262144 bytes of canonical JSON");
        return r->err;
    }
    TRY(arena_copy(arena, &stay, text));
    return json_parse_borrow(&s->scenario, JSON_ROOM_ONE(arena), stay, r->fault);
}

enum err sweep_parse(struct sweep **out, struct arena *arena, struct span sweep, struct span scenario,
                     struct json_fault *fault)
{
    struct json_reader r;
    struct span stay;
    const struct json *root = NULL;
    struct sweep *s = ARENA_NEW(arena, struct sweep);
    if (s == NULL) return ERR_NO_MEMORY;
    if (sweep.len > SCENARIO_BYTES_MAX) return ERR_TOO_LARGE;
    TRY(arena_copy(arena, &stay, sweep));
    TRY(json_parse_borrow(&root, JSON_ROOM_ONE(arena), stay, fault));
    json_reader_init(&r, root, "", fault);
    json_read_version(&r, "sweep/1");
    field_name(&r, "name", &s->name);
    if (json_has(&r, "description")) field_text(&r, "description", 0, CAP_TEXT, &s->description);
    if (r.err == OK) TRY(scenario_read(s, arena, &r, scenario));
    grid_read(s, arena, &r);
    seeds_read(s, &r);
    TRY(json_reader_done(&r));
    *out = s;
    return OK;
}

/* --- Cells ------------------------------------------------------------------------------------------------------------------------ */

uint64_t sweep_cells(const struct sweep *s)
{
    return s->points * s->seed_count;
}

struct sweep_cell sweep_cell_at(const struct sweep *s, uint64_t cell)
{
    ASSERT(cell < sweep_cells(s));
    return (struct sweep_cell){(uint32_t)(cell / s->seed_count), s->seed_first + cell % s->seed_count};
}

static const struct json *value_of(const struct sweep *s, uint32_t axis, uint32_t point)
{
    for (uint32_t i = s->axis_count; i-- > axis + 1;) point /= s->axis[i].values->count;
    return &s->axis[axis].values->items[point % s->axis[axis].values->count];
}

enum err sweep_values(const struct sweep *s, struct buffer *out, uint32_t point)
{
    struct json_writer w;
    ASSERT(point < s->points);
    json_writer_init(&w, out);
    json_begin_object(&w);
    for (uint32_t i = 0; i < s->axis_count; i++) {
        json_key_span(&w, s->axis[i].key);
        json_put_value(&w, value_of(s, i, point));
    }
    json_end_object(&w);
    return buffer_done(out);
}

/* --- Values put in: a copy of what is on the way, the rest as it is -------------------------------------------------------------- */

static enum err put_in(const struct json **out, struct arena *arena, const struct json *at, struct span path,
                       const struct json *value);

static enum err put_element(const struct json **out, struct arena *arena, const struct json *at,
                            const struct sweep_step *step, struct span rest, const struct json *value)
{
    struct json *copy = ARENA_NEW(arena, struct json);
    const struct json *inside;
    if (at == NULL || at->type != JSON_TYPE_ARRAY || step->index >= at->count) return ERR_TYPE;
    TRY(put_in(&inside, arena, &at->items[step->index], rest, value));
    struct json *items = ARENA_ARRAY(arena, struct json, at->count);
    if (copy == NULL || items == NULL) return ERR_NO_MEMORY;
    memcpy(items, at->items, at->count * sizeof *items);
    items[step->index] = *inside;
    *copy = *at;
    copy->items = items;
    *out = copy;
    return OK;
}

static enum err put_member(const struct json **out, struct arena *arena, const struct json *at,
                           const struct sweep_step *step, struct span rest, const struct json *value)
{
    static const struct json none = {.type = JSON_TYPE_OBJECT};
    const struct json *inside;
    uint32_t i = 0;
    if (at == NULL) at = &none;
    if (at->type != JSON_TYPE_OBJECT) return ERR_TYPE;
    while (i < at->count && text_compare(at->keys[i], step->name) < 0) i++;
    const bool there = i < at->count && span_equal(at->keys[i], step->name);
    TRY(put_in(&inside, arena, there ? &at->items[i] : NULL, rest, value));
    struct json *copy = ARENA_NEW(arena, struct json);
    struct json *items = ARENA_ARRAY(arena, struct json, at->count + 1);
    struct span *keys = ARENA_ARRAY(arena, struct span, at->count + 1);
    if (copy == NULL || items == NULL || keys == NULL) return ERR_NO_MEMORY;
    for (uint32_t k = 0; k < at->count; k++) {
        const uint32_t to = k + (!there && k >= i);
        items[to] = at->items[k];
        keys[to] = at->keys[k];
    }
    items[i] = *inside;
    keys[i] = step->name;
    *copy =
        (struct json){.type = JSON_TYPE_OBJECT, .count = at->count + !there, .items = items, .keys = keys};
    *out = copy;
    return OK;
}

/* `at` NULL: nothing is there yet. As deep as a key has steps. */
static enum err put_in(const struct json **out, struct arena *arena, const struct json *at, struct span path,
                       const struct json *value)
{
    struct sweep_step step;
    if (path.len == 0) {
        *out = value;
        return OK;
    }
    if (!take_step(&path, path.data[0] != '.' && path.data[0] != '[', &step)) return ERR_SYNTAX;
    return step.name.len > 0 ? put_member(out, arena, at, &step, path, value)
                             : put_element(out, arena, at, &step, path, value);
}

static void refuse_place(struct json_fault *fault, enum err err, struct span key)
{
    struct buffer path = buffer_make(fault->path, sizeof fault->path - 1);
    struct buffer expected = buffer_make(fault->expected, sizeof fault->expected - 1);
    buffer_put_text(&path, "grid.");
    buffer_put(&path, key);
    buffer_put_zero(&path);
    buffer_put_text(&expected, err == ERR_TYPE ? "a key that leads through the scenario's objects and lists"
                                               : err_text(err));
    buffer_put_zero(&expected);
    fault->err = err;
}

enum err sweep_scenario(const struct sweep *s, struct buffer *out, struct arena *scratch, uint32_t point,
                        struct json_fault *fault)
{
    struct json_writer w;
    const struct json *scenario = s->scenario;
    const size_t mark = arena_mark(scratch);
    enum err err = OK;
    ASSERT(point < s->points);
    for (uint32_t i = 0; err == OK && i < s->axis_count; i++) {
        err = put_in(&scenario, scratch, scenario, s->axis[i].key, value_of(s, i, point));
        if (err != OK) refuse_place(fault, err, s->axis[i].key);
    }
    if (err == OK) {
        json_writer_init(&w, out);
        json_put_value(&w, scenario);
        err = buffer_done(out);
    }
    arena_release(scratch, mark);
    return err;
}

enum err sweep_check(const struct sweep *s, uint32_t *point, struct arena *scratch, struct json_fault *fault)
{
    const size_t mark = arena_mark(scratch);
    enum err err = OK;
    for (*point = 0; err == OK && *point < s->points; ++*point) {
        struct scenario *scenario;
        uint8_t *bytes = arena_take(scratch, SCENARIO_BYTES_MAX, 1);
        struct buffer text = buffer_make(bytes, bytes != NULL ? SCENARIO_BYTES_MAX : 0);
        err = bytes != NULL ? sweep_scenario(s, &text, scratch, *point, fault) : ERR_NO_MEMORY;
        if (err == OK) err = scenario_parse(&scenario, scratch, buffer_span(&text), fault);
        arena_release(scratch, mark);
        if (err != OK) return err;
    }
    return OK;
}
