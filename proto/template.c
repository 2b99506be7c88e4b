#include "proto/template.h"

#include "crypto/hash.h"
#include "proto/base/panic.h"
#include "proto/field.h"
#include "proto/workflow.h"

#include <string.h>

#define PART_NAME(symbol, key, most) key,
#define PART_MOST(symbol, key, most) most,
static const char *const names[] = {TEMPLATE_PART_TABLE(PART_NAME)};
static const uint32_t mosts[] = {TEMPLATE_PART_TABLE(PART_MOST)};
#undef PART_NAME
#undef PART_MOST

const char *template_part_name(enum template_part part)
{
    ASSERT(part < TEMPLATE_PART_COUNT);
    return names[part];
}

/* --- Reading and writing ------------------------------------------------------------------------------------------------ */

static enum err read_bound(struct json_reader *parent, enum template_part part, struct template_bound *out)
{
    struct json_reader r;
    field_object(&r, parent, names[part]);
    field_u32(&r, "least", 0, mosts[part], &out->least);
    field_u32(&r, "most", out->least, mosts[part], &out->most);
    return json_reader_done(&r);
}

static enum err parse(struct step_template **out, struct arena *arena, struct span bytes,
                      struct json_fault *fault)
{
    struct json_reader r;
    struct step_template *t = ARENA_NEW(arena, struct step_template);
    if (t == NULL) return ERR_NO_MEMORY;
    TRY(field_document(&r, &t->bytes, JSON_ROOM_ONE(arena), bytes, "template/1", fault));
    field_name(&r, "name", &t->name);
    for (uint32_t i = 0; i < TEMPLATE_PART_COUNT; i++)
        TRY(read_bound(&r, (enum template_part)i, &t->bound[i]));
    TRY(json_reader_done(&r));
    t->hash = sha256(t->bytes);
    *out = t;
    return OK;
}

enum err template_parse(struct step_template **out, struct arena *arena, struct span bytes,
                        struct json_fault *fault)
{
    size_t mark = arena_mark(arena);
    enum err err = parse(out, arena, bytes, fault);
    if (err != OK) arena_release(arena, mark);
    return err;
}

static void put_bound(struct json_writer *w, enum template_part part, struct template_bound bound)
{
    json_key(w, names[part]);
    json_begin_object(w);
    field_put_int(w, "least", bound.least);
    field_put_int(w, "most", bound.most);
    json_end_object(w);
}

enum err template_write(struct buffer *out, const struct step_template *t)
{
    struct json_writer w;
    json_writer_init(&w, out);
    json_begin_object(&w);
    put_bound(&w, TEMPLATE_COUNTS, t->bound[TEMPLATE_COUNTS]);
    put_bound(&w, TEMPLATE_DERIVED, t->bound[TEMPLATE_DERIVED]);
    put_bound(&w, TEMPLATE_GROUPS, t->bound[TEMPLATE_GROUPS]);
    field_put_text(&w, "name", t->name);
    field_put_word(&w, "perigee", "template/1");
    put_bound(&w, TEMPLATE_SUMS, t->bound[TEMPLATE_SUMS]);
    json_end_object(&w);
    return buffer_done(out);
}

/* --- Does a step fit? --------------------------------------------------------------------------------------------------- */

static uint32_t statistics_of(const struct step *s, enum statistic_kind kind)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->statistic_count; i++) count += s->statistic[i].kind == kind;
    return count;
}

uint32_t template_part_of(const struct step *s, enum template_part part)
{
    switch (part) {
    case TEMPLATE_COUNTS: return statistics_of(s, STATISTIC_COUNT);
    case TEMPLATE_DERIVED: return s->derived_count;
    case TEMPLATE_GROUPS: return s->group_count;
    case TEMPLATE_SUMS: return statistics_of(s, STATISTIC_SUM);
    case TEMPLATE_PART_COUNT: break;
    }
    UNREACHABLE();
}

enum template_part template_misfit(const struct step_template *t, const struct step *s)
{
    for (uint32_t i = 0; i < TEMPLATE_PART_COUNT; i++) {
        uint32_t has = template_part_of(s, (enum template_part)i);
        if (has < t->bound[i].least || has > t->bound[i].most) return (enum template_part)i;
    }
    return TEMPLATE_PART_COUNT;
}

/* --- What ships --------------------------------------------------------------------------------------------------------- */

static const struct template_shipped shipped[] = {
    {"count",
     "How many rows, over everybody: noisy counts and the shares made of them",
     {[TEMPLATE_COUNTS] = {1, CAP_STATISTICS}, [TEMPLATE_DERIVED] = {0, CAP_STATISTICS}}},
    {"mean",
     "Means over everybody: noisy bounded sums, counts, and the means made of them",
     {[TEMPLATE_COUNTS] = {1, CAP_STATISTICS},
      [TEMPLATE_DERIVED] = {1, CAP_STATISTICS},
      [TEMPLATE_SUMS] = {1, CAP_STATISTICS}}},
    {"table",
     "Counts and bounded sums by public groups, with noise; every group is given, empty or not",
     {[TEMPLATE_COUNTS] = {1, CAP_STATISTICS},
      [TEMPLATE_DERIVED] = {0, CAP_STATISTICS},
      [TEMPLATE_GROUPS] = {1, CAP_GROUPS},
      [TEMPLATE_SUMS] = {0, CAP_STATISTICS}}},
};
enum { SHIPPED_COUNT = sizeof shipped / sizeof *shipped };

const struct template_shipped *template_shipped_at(uint32_t index)
{
    return index < SHIPPED_COUNT ? &shipped[index] : NULL;
}

const struct template_shipped *template_shipped_find(struct span name)
{
    for (uint32_t i = 0; i < SHIPPED_COUNT; i++)
        if (span_equal_text(name, shipped[i].name)) return &shipped[i];
    return NULL;
}

enum err template_shipped_write(struct buffer *out, const struct template_shipped *t)
{
    struct step_template written = {.name = span_text(t->name)};
    memcpy(written.bound, t->bound, sizeof written.bound);
    return template_write(out, &written);
}
