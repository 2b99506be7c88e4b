/* approval-request/1: any bytes as the file that comes to the machine with the approval key. What is accepted shows a text for
 * this dataset and the ops that its steps name; its hash is what would be signed; and no signature holds under another key. */
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "node/approval_file.h"
#include "proto/base/panic.h"
#include "tests/memory_file.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { INPUT_MAX = 1 << 17 };

static void check_accepted(const struct approval_file *f)
{
    struct span document, code;
    const struct hash32 text = sha256(span_text(f->text));
    const struct node_id nobody = {{0}};
    ASSERT(ID_EQUAL(text, f->body.text) && ID_EQUAL(f->body.compose, f->workflow->hash));
    ASSERT(f->body.slot_first >= 1 && f->body.slot_first <= f->body.slot_last);
    ASSERT(f->body.cost == f->workflow->epsilon_nano);
    for (uint32_t i = 0; i < f->workflow->step_count; i++)
        ASSERT(approval_file_op(f, i, &document, &code) && document.len > 0 && code.len > 0);
    ASSERT(!approval_file_op(f, f->workflow->step_count, &document, &code));
    ASSERT(approval_file_check(f, nobody) != OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    char path[MEMORY_FILE_PATH], fault[512] = "";
    struct approval_file f;
    if (len > INPUT_MAX) return 0;
    ASSERT(crypto_init() == OK);
    int file = memory_file_open(path, span_make(bytes, len));
    const enum err err = approval_file_open(&f, path, fault, sizeof fault);
    memory_file_close(file);
    if (err == OK) {
        check_accepted(&f);
        approval_file_close(&f);
    } else {
        ASSERT(fault[0] != 0 && strchr(fault, '\n') == NULL && f.json == NULL);
    }
    return 0;
}
