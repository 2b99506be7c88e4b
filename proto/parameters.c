#include "proto/parameters.h"

#include "proto/base/panic.h"
#include "proto/field.h"

#include <string.h>

const char *const parameter_type_names[2] = {"integer", "text"};

/* --- Declared ------------------------------------------------------------------------------------------------------- */

/* What DuckDB reads behind a $, in one spelling. */
static bool is_parameter_name(struct span text)
{
    if (text.len == 0 || text.len > CAP_NAME) return false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        bool letter = c >= 'a' && c <= 'z', other = (c >= '0' && c <= '9') || c == '_';
        if (!letter && (i == 0 || !other)) return false;
    }
    return true;
}

static void name_read(struct parameters *p, struct json_reader *r)
{
    struct span *name = &p->parameter[p->count].name;
    json_read_text(r, "name", CAP_NAME, name);
    if (!is_parameter_name(*name))
        json_refuse(r, "name", ERR_SYNTAX, "a lower-case letter, then letters, digits or _, up to 64");
    if (p->count > 0 && span_compare(p->parameter[p->count - 1].name, *name) >= 0)
        json_refuse(r, "name", ERR_NOT_CANONICAL, "each name once, in the order of the names");
}

static enum err parameter_read(struct parameters *p, struct json_reader *r)
{
    struct parameter *x = &p->parameter[p->count];
    uint32_t type = 0;
    name_read(p, r);
    json_read_enum(r, "type", parameter_type_names, 2, &type);
    x->type = (enum parameter_type)type;
    switch (x->type) {
    case PARAMETER_INTEGER:
        json_read_int(r, "lower", -JSON_INT_MAX, JSON_INT_MAX, &x->lower);
        json_read_int(r, "upper", -JSON_INT_MAX, JSON_INT_MAX, &x->upper);
        if (x->lower > x->upper) json_refuse(r, "upper", ERR_RANGE, "a bound not below lower");
        break;
    case PARAMETER_TEXT:
        field_list(r, "domain", 1, CAP_DOMAIN, field_is_label, "visible text of 1 to 64 bytes", x->domain,
                   sizeof x->domain[0], &x->domain_count);
        break;
    }
    p->count++;
    return json_reader_done(r);
}

enum err parameters_read(struct parameters *out, struct arena *arena, struct json_reader *workflow)
{
    *out = (struct parameters){0, NULL};
    if (!json_has(workflow, "parameters")) return workflow->err;
    const struct json *array = json_read_array(workflow, "parameters", 1, CAP_PARAMETERS);
    if (array == NULL) return workflow->err;
    out->parameter = ARENA_ARRAY(arena, struct parameter, array->count);
    if (out->parameter == NULL) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < array->count; i++) {
        struct json_reader item;
        field_item(&item, workflow, "parameters", i, &array->items[i]);
        TRY(parameter_read(out, &item));
    }
    return OK;
}

static void parameter_write(struct json_writer *out, const struct parameter *x)
{
    json_begin_object(out);
    if (x->type == PARAMETER_TEXT) field_put_texts(out, "domain", x->domain, x->domain_count);
    if (x->type == PARAMETER_INTEGER) field_put_int(out, "lower", x->lower);
    field_put_text(out, "name", x->name);
    field_put_word(out, "type", parameter_type_names[x->type]);
    if (x->type == PARAMETER_INTEGER) field_put_int(out, "upper", x->upper);
    json_end_object(out);
}

void parameters_write(struct json_writer *out, const struct parameters *p)
{
    if (p->count == 0) return;
    json_key(out, "parameters");
    json_begin_array(out);
    for (uint32_t i = 0; i < p->count; i++) parameter_write(out, &p->parameter[i]);
    json_end_array(out);
}

int parameters_find(const struct parameters *p, struct span name)
{
    for (uint32_t i = 0; i < p->count; i++)
        if (span_equal(p->parameter[i].name, name)) return (int)i;
    return -1;
}

/* --- Chosen --------------------------------------------------------------------------------------------------------- */

static void text_choose(struct span *out, const struct parameter *x, const char *key, struct json_reader *r)
{
    struct span text = SPAN_NONE;
    json_read_text(r, key, CAP_NAME, &text);
    for (uint32_t i = 0; i < x->domain_count; i++) {
        if (!span_equal(x->domain[i], text)) continue;
        *out = x->domain[i];
        return;
    }
    json_refuse(r, key, ERR_RANGE, "one of the values that the workflow lists for it");
}

static enum err choose(struct parameter_choice *out, struct arena *arena, struct span bytes,
                       struct json_fault *fault)
{
    const struct json *object;
    struct json_reader r;
    /* None at all is refused as an object without members is: by the name of the first one that is missing. */
    TRY(json_parse(&object, arena, bytes.len == 0 ? SPAN_LITERAL("{}") : bytes, fault));
    json_reader_init(&r, object, "", fault);
    for (uint32_t i = 0; i < out->of->count; i++) {
        const struct parameter *x = &out->of->parameter[i];
        char key[CAP_NAME + 1] = "";
        ASSERT(x->name.len < sizeof key);
        memcpy(key, x->name.data, x->name.len);
        if (x->type == PARAMETER_INTEGER)
            json_read_int(&r, key, x->lower, x->upper, &out->value[i].integer);
        else
            text_choose(&out->value[i].text, x, key, &r);
    }
    return json_reader_done(&r);
}

static enum err refuse(struct json_fault *fault, enum err err, const char *expected)
{
    static const struct json empty = {.type = JSON_TYPE_OBJECT};
    struct json_reader r;
    if (fault != NULL) memset(fault, 0, sizeof *fault);
    json_reader_init(&r, &empty, "", fault);
    json_refuse(&r, NULL, err, expected);
    return err;
}

enum err parameters_choose(struct parameter_choice *out, const struct parameters *p, struct arena *scratch,
                           struct span bytes, struct json_fault *fault)
{
    ASSERT(p->count <= CAP_PARAMETERS);
    memset(out, 0, sizeof *out);
    out->of = p;
    if (p->count == 0 && bytes.len == 0) return OK;
    if (p->count == 0) return refuse(fault, ERR_UNKNOWN_FIELD, "nothing: this workflow has no parameters");
    if (bytes.len > PARAMETERS_BYTES_MAX) return refuse(fault, ERR_TOO_LARGE, "at most 4096 bytes");
    size_t mark = arena_mark(scratch);
    void *memory = arena_take(scratch, PARAMETERS_SCRATCH_BYTES, 1);
    if (memory == NULL) return ERR_NO_MEMORY;
    struct arena arena = arena_make(memory, PARAMETERS_SCRATCH_BYTES);
    enum err err = choose(out, &arena, bytes, fault);
    arena_release(scratch, mark);
    return err;
}
