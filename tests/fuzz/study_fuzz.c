/* Study files: any bytes. A refusal says in one line what was expected; of what is loaded every document can be made, and the
 * documents' own parsers take each of them. */
#include "node/study.h"
#include "proto/base/panic.h"
#include "proto/ddo.h"
#include "proto/op.h"
#include "proto/policy.h"
#include "proto/workflow.h"
#include "tests/memory_file.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { INPUT_MAX = 16384, ARENA_BYTES_MAX = 8 << 20 };

static uint8_t memory[ARENA_BYTES_MAX], document[CAP_DOCUMENT_BYTES];
static struct arena arena;

/* Somebody different in each place. */
static struct study_parties parties(const struct study *s)
{
    struct study_parties p;
    memset(&p, 0, sizeof p);
    memset(p.app.bytes, 0x99, 32);
    for (unsigned i = 0; i < s->silos_count; i++) {
        p.dataset[i].bytes[0] = (uint8_t)(1 + i);
        p.owner[i].bytes[1] = (uint8_t)(1 + i);
    }
    p.requester[0].bytes[2] = p.reader[0].bytes[3] = 1;
    p.requester_count = p.reader_count = 1;
    return p;
}

static struct span made(struct buffer *out, enum err err)
{
    ASSERT(err == OK && !out->overflow && out->len > 0);
    arena_release(&arena, 0);
    return buffer_span(out);
}

static void check_ops(const struct study *s)
{
    for (uint32_t i = 0; i < s->ops_count; i++) {
        struct buffer out = BUFFER_OF(document);
        struct op *op;
        const struct span text = made(&out, study_op_write(&out, s, i));
        ASSERT(op_parse(&op, &arena, text, NULL) == OK);
        const struct hash32 hash = study_op_hash(s, i);
        ASSERT(ID_EQUAL(op->hash, hash));
        out.len = 0;
        (void)made(&out, study_code_write(&out, s, i));
    }
}

static void check_tokens(const struct study *s, const struct study_parties *p)
{
    struct ddo *d;
    for (uint32_t i = 0; i < s->silos_count; i++) {
        struct buffer out = BUFFER_OF(document);
        const struct span text = made(&out, study_dataset_write(&out, s, i, p->dataset[i]));
        ASSERT(ddo_parse(&d, &arena, text, NULL) == OK && d->row_count == study_rows(s, i));
    }
    struct buffer out = BUFFER_OF(document);
    const struct span text = made(&out, study_algorithm_write(&out, s, p));
    ASSERT(ddo_parse(&d, &arena, text, NULL) == OK && d->service[0].child_count == s->silos_count);
}

static void check_accepted(const struct study *s)
{
    const struct study_parties p = parties(s);
    struct buffer out = BUFFER_OF(document);
    struct policy *policy;
    struct workflow *w;
    check_ops(s);
    check_tokens(s, &p);
    const struct span kept = made(&out, study_policy_write(&out, s));
    ASSERT(policy_parse(&policy, &arena, kept, NULL) == OK);
    out.len = 0;
    const struct span recipe = made(&out, study_workflow_write(&out, s, &p));
    ASSERT(workflow_parse(&w, &arena, recipe, NULL) == OK);
    ASSERT(w->input_count == s->silos_count && w->owners_min == s->workflow->owners);
    for (uint32_t i = 0; i < s->silos_count; i++) {
        char path[PATH_MAX];
        const char folder[] = "/data/";
        if (study_file(path, s, i, "/data") != OK) continue;
        ASSERT(strncmp(path, folder, strlen(folder)) == 0 && strstr(path, "/../") == NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    char path[MEMORY_FILE_PATH], fault[512] = "";
    struct study *s = NULL;
    if (len > INPUT_MAX) return 0;
    if (arena.data == NULL) arena = arena_make(memory, sizeof memory);
    arena_release(&arena, 0);
    const int file = memory_file_open(path, span_make(bytes, len));
    const enum err err = study_load(&s, path, fault, sizeof fault);
    memory_file_close(file);
    ASSERT((err == OK) == (s != NULL));
    if (err == OK) check_accepted(s);
    if (err != OK) ASSERT(fault[0] != 0 && strchr(fault, '\n') == NULL);
    study_close(s);
    return 0;
}
