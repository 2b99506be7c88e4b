/* op: a trusted op, op/1 (PROTOCOL.md "op/1"). The hash of the document is the op's name; `code` is the hash of its code,
 * which comes in the same record. The code of a `select` op that emits aggregates is a template/1: what its steps may be.
 * Rule: a row-wise op (`select`) can emit aggregates only through the gate, or rows; `sql` emits rows, because nobody can
 * check that what it emits is an aggregate. Ownership: structures and spans live in the arena. Errors: the JSON reader's,
 * with path and what was expected. Pure. */
#ifndef PERIGEE_PROTO_OP_H
#define PERIGEE_PROTO_OP_H

#include "proto/base/arena.h"
#include "proto/base/ids.h"
#include "proto/base/json.h"
#include "proto/template.h"

enum op_runtime { RUNTIME_SELECT, RUNTIME_SQL };
/* "select", "sql", then the reserved names, which parsers refuse as reserved. */
enum { RUNTIME_COUNT = 2, RUNTIME_NAME_COUNT = 8 };
extern const char *const op_runtime_names[RUNTIME_NAME_COUNT];
void op_read_runtime(struct json_reader *r, const char *key, enum op_runtime *out);

enum output_type { OUTPUT_AGGREGATE, OUTPUT_ROWS };
extern const char *const output_type_names[2]; /* "aggregate", "rows" */

struct op {
    struct hash32 hash; /* the op's name */
    struct span bytes;
    struct span name, description;
    enum op_runtime runtime;
    struct hash32 code;
    struct span output;       /* output type it can emit: "aggregate" or "rows" */
    const struct json *extra; /* NULL when absent */
    /* Set by op_open. */
    struct span code_bytes;
    const struct step_template *step; /* NULL for an op of another kind */
};

/* An op without what it was parsed in: texts are copied, bytes and code borrow, `extra` is left out. */
struct op_kept {
    struct op op;
    struct step_template step;
    uint8_t text[CAP_NAME + CAP_TEXT + CAP_NAME];
};

MUST_USE enum err op_parse(struct op **out, struct arena *arena, struct span bytes, struct json_fault *fault);
/* An op with its code: ERR_HASH when it is not the code that the document names, or the template's errors. */
MUST_USE enum err op_open(struct op **out, struct arena *arena, struct span bytes, struct span code,
                          struct json_fault *fault);
/* What op_open made of these bytes, to stay where it is. */
void op_keep(struct op_kept *out, const struct op *opened, struct span bytes, struct span code);
/* The canonical bytes of the fields; hash and bytes are not read. ERR_TOO_LARGE. */
MUST_USE enum err op_write(struct buffer *out, const struct op *op);

#endif
