#include "proto/op.h"

#include "crypto/hash.h"
#include "proto/base/caps.h"
#include "proto/base/panic.h"
#include "proto/field.h"

const char *const op_runtime_names[RUNTIME_NAME_COUNT] = {"select", "sql",    "model", "mpc",
                                                          "fedavg", "python", "oci",   "federated"};
const char *const output_type_names[2] = {"aggregate", "rows"};

void op_read_runtime(struct json_reader *r, const char *key, enum op_runtime *out)
{
    uint32_t index = 0;
    json_read_enum(r, key, op_runtime_names, RUNTIME_NAME_COUNT, &index);
    if (index >= RUNTIME_COUNT) json_refuse(r, key, ERR_REFUSED, "select or sql: this name is reserved");
    *out = index < RUNTIME_COUNT ? (enum op_runtime)index : RUNTIME_SELECT;
}

static enum err parse(struct op **out, struct arena *arena, struct span bytes, struct json_fault *fault)
{
    struct json_reader r;
    uint32_t output = 0;
    struct op *op = ARENA_NEW(arena, struct op);
    if (op == NULL) return ERR_NO_MEMORY;
    TRY(field_document(&r, &op->bytes, JSON_ROOM_ONE(arena), bytes, "op/1", fault));
    field_name(&r, "name", &op->name);
    field_text(&r, "description", 0, CAP_TEXT, &op->description);
    op_read_runtime(&r, "runtime", &op->runtime);
    field_hash(&r, "code", &op->code);
    json_read_enum(&r, "output", output_type_names, 2, &output);
    op->output = span_text(output_type_names[output]);
    if (op->runtime == RUNTIME_SQL && output != OUTPUT_ROWS) {
        json_refuse(&r, "output", ERR_REFUSED, "rows: what sql emits cannot be checked to be an aggregate");
    }
    field_extra(&r, &op->extra);
    TRY(json_reader_done(&r));
    op->hash = sha256(op->bytes);
    *out = op;
    return OK;
}

enum err op_parse(struct op **out, struct arena *arena, struct span bytes, struct json_fault *fault)
{
    size_t mark = arena_mark(arena);
    enum err err = parse(out, arena, bytes, fault);
    if (err != OK) arena_release(arena, mark);
    return err;
}

static enum err open_code(struct op *op, struct arena *arena, struct span code, struct json_fault *fault)
{
    struct step_template *step = NULL;
    struct hash32 hash = sha256(code);
    if (!ID_EQUAL(hash, op->code)) {
        static const struct json_fault other = {
            .path = "code", .expected = "the bytes whose sha2-256 the op document names", .err = ERR_HASH};
        if (fault != NULL) *fault = other;
        return ERR_HASH;
    }
    TRY(arena_copy(arena, &op->code_bytes, code));
    if (op->runtime != RUNTIME_SELECT || !span_equal_text(op->output, output_type_names[OUTPUT_AGGREGATE]))
        return OK;
    TRY(template_parse(&step, arena, code, fault));
    op->step = step;
    return OK;
}

enum err op_open(struct op **out, struct arena *arena, struct span bytes, struct span code,
                 struct json_fault *fault)
{
    size_t mark = arena_mark(arena);
    struct op *op = NULL;
    enum err err = parse(&op, arena, bytes, fault);
    if (err == OK) err = open_code(op, arena, code, fault);
    if (err == OK)
        *out = op;
    else
        arena_release(arena, mark);
    return err;
}

static struct span keep_text(struct buffer *texts, struct span text)
{
    const uint8_t *at = texts->data + texts->len;
    buffer_put(texts, text);
    return span_make(at, text.len);
}

void op_keep(struct op_kept *out, const struct op *opened, struct span bytes, struct span code)
{
    struct buffer texts = BUFFER_OF(out->text);
    out->op = *opened;
    out->op.bytes = bytes;
    out->op.code_bytes = code;
    out->op.name = keep_text(&texts, opened->name);
    out->op.description = keep_text(&texts, opened->description);
    out->op.extra = NULL;
    if (opened->step != NULL) {
        out->step = *opened->step;
        out->step.bytes = code;
        out->step.name = keep_text(&texts, opened->step->name);
        out->op.step = &out->step;
    }
    ASSERT(!texts.overflow); /* their schemas bound them */
}

enum err op_write(struct buffer *out, const struct op *op)
{
    struct json_writer w;
    json_writer_init(&w, out);
    json_begin_object(&w);
    field_put_hex(&w, "code", ID_SPAN(op->code));
    field_put_text(&w, "description", op->description);
    field_put_extra(&w, op->extra);
    field_put_text(&w, "name", op->name);
    field_put_text(&w, "output", op->output);
    field_put_word(&w, "perigee", "op/1");
    field_put_word(&w, "runtime", op_runtime_names[op->runtime]);
    json_end_object(&w);
    return buffer_done(out);
}
