/* ddo/1, policy/1, op/1 and template/1: any bytes. What is accepted is canonical, so the writer gives the same bytes again. */
#include "proto/base/panic.h"
#include "proto/ddo.h"
#include "proto/op.h"
#include "proto/policy.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static _Alignas(16) uint8_t memory[1 << 22];
static uint8_t written[CAP_DOCUMENT_BYTES];

static void check_ddo(struct arena *arena, struct span bytes)
{
    struct ddo *d = NULL;
    struct buffer out = BUFFER_OF(written);
    if (ddo_parse(&d, arena, bytes, NULL) != OK) return;
    ASSERT(ddo_write(&out, d) == OK && span_equal(buffer_span(&out), bytes));
    ASSERT(d->unit_column.len == 0 || schema_column(&d->schema, d->unit_column) >= 0);
    ASSERT((d->schema.column_count > 0) == (d->type == ASSET_DATASET));
}

static void check_policy(struct arena *arena, struct span bytes)
{
    struct policy *p = NULL;
    struct buffer out = BUFFER_OF(written);
    if (policy_parse(&p, arena, bytes, NULL) != OK) return;
    ASSERT(policy_write(&out, p) == OK && span_equal(buffer_span(&out), bytes));
}

static void check_op(struct arena *arena, struct span bytes)
{
    struct op *op = NULL;
    struct buffer out = BUFFER_OF(written);
    if (op_parse(&op, arena, bytes, NULL) != OK) return;
    ASSERT(op_write(&out, op) == OK && span_equal(buffer_span(&out), bytes));
}

static void check_template(struct arena *arena, struct span bytes)
{
    struct step_template *t = NULL;
    struct buffer out = BUFFER_OF(written);
    if (template_parse(&t, arena, bytes, NULL) != OK) return;
    ASSERT(template_write(&out, t) == OK && span_equal(buffer_span(&out), bytes));
    for (uint32_t i = 0; i < TEMPLATE_PART_COUNT; i++) ASSERT(t->bound[i].least <= t->bound[i].most);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct arena arena = arena_make(memory, sizeof memory);
    check_ddo(&arena, span_make(bytes, len));
    check_policy(&arena, span_make(bytes, len));
    check_op(&arena, span_make(bytes, len));
    check_template(&arena, span_make(bytes, len));
    memset(memory, 0, arena.used);
    return 0;
}
