#include "node/rows.h"

#include "crypto/secret.h"
#include "node/sql_check.h"
#include "proto/base/panic.h"
#include "proto/base/text.h"
#include "proto/field.h"

#include <stdlib.h>
#include <string.h>

/* The longer of both kinds of query. */
enum { ROWS_QUERY_BYTES_MAX = 2 * SQL_PRINT_BYTES_MAX + SELECT_CHOSEN_MAX + 4096 };
_Static_assert((int)ROWS_QUERY_BYTES_MAX >= (int)SQL_PLAN_BYTES_MAX, "a plan fits as well");

/* --- A step, checked ------------------------------------------------------------------------------------------------ */

struct rows_step {
    uint32_t column_count;
    struct sql_column column[CAP_COLUMNS];
    uint32_t select_count; /* runtime select: one for each input */
    struct select_plan select[CAP_INPUTS];
    struct sql_plan sql; /* runtime sql */
};

static void step_free(struct rows_step *s)
{
    for (uint32_t i = 0; i < s->select_count; i++) select_plan_free(&s->select[i]);
    sql_plan_free(&s->sql);
}

static enum err take_column(struct rows_step *s, uint32_t index, const struct select_column *column,
                            char *why, size_t why_len)
{
    const char *type = sql_type_name(column->type);
    if (type == NULL)
        return fault_set(why, why_len, ERR_SQL,
                         "found the output '%.60s' of another type; allowed: numbers, text, dates, booleans",
                         column->name);
    s->column[index].type = type;
    memcpy(s->column[index].name, column->name, sizeof column->name);
    s->column_count = index + 1;
    return OK;
}

/* What a later input gives is what the first gave. */
static enum err same_column(const struct rows_step *s, uint32_t index, const struct select_column *column,
                            struct span input, char *why, size_t why_len)
{
    const char *type = sql_type_name(column->type);
    if (type != NULL && strcmp(type, s->column[index].type) == 0) return OK;
    return fault_set(why, why_len, ERR_SQL,
                     "found the output '%.60s' of type %s for input %.*s; allowed: %s, as before",
                     column->name, type == NULL ? "unknown" : type, sql_show(input), (const char *)input.data,
                     s->column[index].type);
}

static enum err add_select(struct rows_step *s, const struct workflow *w, const struct step *step,
                           const struct gate_input *input, char *why, size_t why_len)
{
    const uint32_t index = s->select_count;
    struct select_plan *plan = &s->select[index];
    TRY(select_check(plan, step->select, input->schema, &w->parameters, why, why_len));
    s->select_count++;
    for (uint32_t i = 0; i < plan->column_count; i++)
        TRY(index == 0 ? take_column(s, i, &plan->column[i], why, why_len)
                       : same_column(s, i, &plan->column[i], w->input[index].name, why, why_len));
    return OK;
}

static enum err make_sql(struct rows_step *s, const struct workflow *w, const struct step *step,
                         const struct gate_input *inputs, char *why, size_t why_len)
{
    struct sql_table table[CAP_INPUTS];
    for (uint32_t i = 0; i < w->input_count; i++)
        table[i] = (struct sql_table){w->input[i].name, inputs[i].schema};
    TRY(sql_check(&s->sql, step->select, table, w->input_count, &w->parameters, why, why_len));
    s->column_count = s->sql.column_count;
    memcpy(s->column, s->sql.column, sizeof s->column);
    return OK;
}

/* To be freed whatever it returns. */
static enum err step_make(struct rows_step *s, const struct workflow *w, const struct step *step,
                          const struct gate_input *inputs, char *why, size_t why_len)
{
    *s = (struct rows_step){0};
    switch (step->runtime) {
    case RUNTIME_SELECT:
        for (uint32_t i = 0; i < w->input_count; i++) TRY(add_select(s, w, step, &inputs[i], why, why_len));
        return OK;
    case RUNTIME_SQL: return make_sql(s, w, step, inputs, why, why_len);
    }
    UNREACHABLE();
}

/* --- The document --------------------------------------------------------------------------------------------------- */

struct document {
    struct json_writer writer;
    struct buffer *out;
    struct buffer clean; /* a value without control characters */
    const struct workflow *workflow;
    const struct rows_step *step; /* workflow->step_count */
    const struct gate *gate;      /* NULL: a document without rows */
};

/* DuckDB's texts are UTF-8; each of their characters that canonical JSON does not take becomes U+FFFD. */
static void put_clean(struct buffer *out, struct span text)
{
    const uint8_t *at = text.data, *end = text.data + text.len;
    while (at < end) {
        size_t len = text_character(at, end);
        if (len > 0) {
            buffer_put(out, span_make(at, len));
            at += len;
            continue;
        }
        buffer_put_text(out, "\xef\xbf\xbd");
        do at++;
        while (at < end && (*at & 0xc0) == 0x80);
    }
}

static enum err put_row(void *context, const struct span *value, uint32_t count)
{
    struct document *d = context;
    json_begin_array(&d->writer);
    for (uint32_t i = 0; i < count; i++) {
        if (value[i].data == NULL) {
            json_put_null(&d->writer);
            continue;
        }
        d->clean.len = 0;
        put_clean(&d->clean, value[i]);
        TRY(buffer_done(&d->clean));
        json_put_text(&d->writer, buffer_span(&d->clean));
    }
    json_end_array(&d->writer);
    return d->out->overflow ? ERR_TOO_LARGE : OK; /* what does not fit needs not be read to its end */
}

static void put_columns(struct json_writer *w, const struct rows_step *step)
{
    json_key(w, "columns");
    json_begin_array(w);
    for (uint32_t i = 0; i < step->column_count; i++) {
        json_begin_object(w);
        field_put_word(w, "name", step->column[i].name);
        field_put_word(w, "type", step->column[i].type);
        json_end_object(w);
    }
    json_end_array(w);
}

static void put_select(struct buffer *sql, const struct select_plan *plan, uint32_t input,
                       const struct parameter_choice *choice)
{
    for (uint32_t i = 0; i < plan->column_count; i++) {
        buffer_put_text(sql, i == 0 ? "SELECT CAST(c" : ", CAST(c");
        buffer_put_decimal(sql, i);
        buffer_put_text(sql, " AS VARCHAR)");
    }
    buffer_put_text(sql, " FROM (");
    select_plan_put(sql, plan, input, choice, &(struct select_more){0});
    buffer_put_u8(sql, ')');
    buffer_put_zero(sql);
}

/* `put` has written the query into `sql`. */
static enum err read_query(struct document *d, struct buffer *sql, uint32_t column_count)
{
    TRY(buffer_done(sql));
    enum err err = tables_read_text(d->gate->tables, (const char *)sql->data, column_count, put_row, d);
    sql->len = 0;
    return err;
}

static enum err read_step(struct document *d, const struct rows_step *step, struct buffer *sql)
{
    for (uint32_t i = 0; i < step->select_count; i++) {
        put_select(sql, &step->select[i], i, d->gate->choice);
        TRY(read_query(d, sql, step->column_count));
    }
    if (step->select_count > 0) return OK;
    TRY(tables_choose(d->gate->tables, d->gate->choice));
    sql_plan_put(sql, &step->sql);
    return read_query(d, sql, step->column_count);
}

static enum err put_step(struct document *d, const struct rows_step *step)
{
    uint8_t *room = malloc(ROWS_QUERY_BYTES_MAX);
    if (room == NULL) return ERR_NO_MEMORY;
    struct buffer sql = buffer_make(room, ROWS_QUERY_BYTES_MAX);
    json_begin_object(&d->writer);
    put_columns(&d->writer, step);
    json_key(&d->writer, "rows");
    json_begin_array(&d->writer);
    enum err err = d->gate == NULL ? OK : read_step(d, step, &sql);
    free(room);
    if (err != OK) return err; /* in the middle of a row, maybe: nothing is closed any more */
    json_end_array(&d->writer);
    json_end_object(&d->writer);
    return OK;
}

/* `pad_at` is where the padding goes, which is none yet. */
static enum err put_document(struct document *d, size_t *pad_at)
{
    json_writer_init(&d->writer, d->out);
    json_begin_object(&d->writer);
    field_put_hex(&d->writer, "compose", ID_SPAN(d->workflow->hash));
    field_put_word(&d->writer, "pad", "");
    *pad_at = d->out->len - 1;
    field_put_word(&d->writer, "perigee", "output/1");
    field_put_word(&d->writer, "privacy", "none");
    json_key(&d->writer, "steps");
    json_begin_array(&d->writer);
    for (uint32_t i = 0; i < d->workflow->step_count; i++) TRY(put_step(d, &d->step[i]));
    json_end_array(&d->writer);
    json_end_object(&d->writer);
    return buffer_done(d->out);
}

/* --- Both ends ------------------------------------------------------------------------------------------------------ */

struct rows {
    struct rows_step step[CAP_STEPS];
    struct document document;
    struct buffer out;
};

static void rows_close(struct rows *r, size_t bytes)
{
    for (uint32_t i = 0; i < CAP_STEPS; i++) step_free(&r->step[i]);
    if (r->document.clean.data != NULL) secret_wipe(r->document.clean.data, bytes);
    free(r->document.clean.data);
    free(r);
}

static enum err make_steps(struct rows *r, const struct workflow *w, const struct gate_input *inputs,
                           char *why, size_t why_len)
{
    for (uint32_t i = 0; i < w->step_count; i++)
        TRY(step_make(&r->step[i], w, &w->step[i], inputs, why, why_len));
    return OK;
}

/* A document of no rows is the shortest there is. */
static enum err check_room(struct rows *r, const struct workflow *w, char *why, size_t why_len)
{
    size_t pad_at;
    uint8_t *room = malloc(w->output_bytes_max);
    if (room == NULL) return ERR_NO_MEMORY;
    r->out = buffer_make(room, w->output_bytes_max);
    r->document = (struct document){.out = &r->out, .workflow = w, .step = r->step};
    enum err err = put_document(&r->document, &pad_at);
    free(room);
    if (err != ERR_TOO_LARGE) return err;
    return fault_set(why, why_len, err,
                     "found an output that exceeds max_bytes (%u) without a row; allowed: more bytes",
                     w->output_bytes_max);
}

enum err rows_check(const struct workflow *w, const struct gate_input *inputs, char *why, size_t why_len)
{
    if (!w->privacy_none)
        return fault_set(why, why_len, ERR_POLICY,
                         "found output rows with a privacy mechanism; allowed: privacy none");
    struct rows *r = calloc(1, sizeof *r);
    if (r == NULL) return ERR_NO_MEMORY;
    enum err err = make_steps(r, w, inputs, why, why_len);
    if (err == OK) err = check_room(r, w, why, why_len);
    rows_close(r, 0);
    return err;
}

/* As the gate's scan does by itself. */
static enum err check_inputs(const struct gate *g)
{
    for (uint32_t i = 0; i < g->workflow->input_count; i++) {
        uint64_t row_count;
        TRY(tables_check(g->tables, i, &row_count, NULL, 0));
        if (row_count != g->input[i].row_count) return ERR_CONFLICT;
    }
    return OK;
}

static enum err write_all(struct rows *r, const struct gate *g, size_t bytes)
{
    size_t pad_at;
    TRY(check_inputs(g));
    uint8_t *clean = malloc(bytes);
    if (clean == NULL) return ERR_NO_MEMORY;
    r->document = (struct document){.out = &r->out,
                                    .clean = buffer_make(clean, bytes),
                                    .workflow = g->workflow,
                                    .step = r->step,
                                    .gate = g};
    TRY(make_steps(r, g->workflow, g->input, NULL, 0));
    TRY(put_document(&r->document, &pad_at));
    const size_t pad = bytes - r->out.len;
    memmove(r->out.data + pad_at + pad, r->out.data + pad_at, r->out.len - pad_at);
    memset(r->out.data + pad_at, ' ', pad);
    return OK;
}

enum err rows_write(struct buffer *out, const struct gate *g, size_t bytes)
{
    ASSERT(g->workflow->privacy_none && out->cap - out->len >= bytes);
    struct rows *r = calloc(1, sizeof *r);
    if (r == NULL) return ERR_REFUSED;
    r->out = buffer_make(out->data + out->len, bytes);
    enum err err = write_all(r, g, bytes);
    if (err == OK)
        out->len += bytes;
    else
        secret_wipe(out->data + out->len, bytes);
    rows_close(r, bytes);
    return err == OK ? OK : ERR_REFUSED;
}
