#include "node/approval_file.h"

#include "crypto/hash.h"
#include "crypto/identity.h"
#include "node/fault.h"
#include "node/file.h"
#include "proto/approval.h"
#include "proto/document.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES_MAX = 4 << 20, ARENA_BYTES_NEEDED = 64 << 20, SLOT_MAX = 1000000000 };
static const char version[] = "approval-request/1";

json_t *approval_file_make(const char *consortium, const char *owner, const char *dataset,
                           uint64_t slot_first, uint64_t slot_last, const char *workflow, json_t *ops)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:s, s:O}", "perigee", version, "consortium", consortium,
                     "owner", owner, "dataset", dataset, "slot_first", (json_int_t)slot_first, "slot_last",
                     (json_int_t)slot_last, "workflow", workflow, "ops", ops);
}

/* --- Reading --------------------------------------------------------------------------------------------------------- */

static enum err refuse(char *fault, size_t cap, const char *member, const char *expected)
{
    return fault_set(fault, cap, ERR_SYNTAX, "%s: %s: expected %s", version, member, expected);
}

static bool read_hex(const json_t *json, const char *member, uint8_t *out, size_t len)
{
    const char *text = json_string_value(json_object_get(json, member));
    return text != NULL && hex_decode(out, len, span_text(text)) == OK;
}

static bool read_dataset(const json_t *json, struct dt *out)
{
    static const char prefix[] = "dt:perigee:";
    const char *text = json_string_value(json_object_get(json, "dataset"));
    return text != NULL && strncmp(text, prefix, sizeof prefix - 1) == 0 &&
           hex_decode(out->bytes, sizeof out->bytes, span_text(text + sizeof prefix - 1)) == OK;
}

static bool read_slot(const json_t *json, const char *member, uint64_t *out)
{
    const json_t *value = json_object_get(json, member);
    json_int_t number = json_integer_value(value);
    *out = (uint64_t)number;
    return json_is_integer(value) && number >= 1 && number <= SLOT_MAX;
}

static struct span text_of(const json_t *json, const char *member)
{
    const json_t *text = json_object_get(json, member);
    return json_is_string(text) ? span_make(json_string_value(text), json_string_length(text)) : SPAN_NONE;
}

static bool only_known(const json_t *json)
{
    static const char *const known[] = {"perigee",   "consortium", "owner", "dataset",           "slot_first",
                                        "slot_last", "workflow",   "ops",   "approval_signature"};
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)json, name, value)
    {
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) found |= strcmp(name, known[i]) == 0;
        if (!found) return false;
    }
    return true;
}

static enum err read_words(struct approval_file *f, char *fault, size_t cap)
{
    const json_t *j = f->json;
    const char *said = json_string_value(json_object_get(j, "perigee"));
    if (said == NULL || strcmp(said, version) != 0 || !only_known(j))
        return fault_set(fault, cap, ERR_VERSION, "expected a file of `perigee approve --offline`, %s",
                         version);
    if (!read_hex(j, "consortium", f->consortium.bytes, 32))
        return refuse(fault, cap, "consortium", "64 hex digits");
    if (!read_hex(j, "owner", f->owner.bytes, 32)) return refuse(fault, cap, "owner", "64 hex digits");
    if (!read_dataset(j, &f->body.dataset))
        return refuse(fault, cap, "dataset", "dt:perigee: and 64 hex digits");
    if (!read_slot(j, "slot_first", &f->body.slot_first) || !read_slot(j, "slot_last", &f->body.slot_last) ||
        f->body.slot_first > f->body.slot_last)
        return refuse(fault, cap, "slot_first, slot_last",
                      "numbers from 1, the first no larger than the last");
    f->signed_already = json_object_get(j, "approval_signature") != NULL;
    if (f->signed_already && !read_hex(j, "approval_signature", f->body.approval_signature.bytes, 64))
        return refuse(fault, cap, "approval_signature", "128 hex digits");
    return OK;
}

bool approval_file_op(const struct approval_file *f, uint32_t i, struct span *document, struct span *code)
{
    const json_t *op = json_array_get(json_object_get(f->json, "ops"), i);
    *document = text_of(op, "document");
    *code = text_of(op, "code");
    return i < f->workflow->step_count;
}

/* What the steps name by hash is what the file shows. */
static enum err read_ops(struct approval_file *f, struct arena *arena, char *fault, size_t cap)
{
    if (json_array_size(json_object_get(f->json, "ops")) != f->workflow->step_count)
        return refuse(fault, cap, "ops", "one for each step of the workflow");
    for (uint32_t i = 0; i < f->workflow->step_count; i++) {
        struct op *op = NULL;
        struct span document, code;
        (void)approval_file_op(f, i, &document, &code);
        enum err err = op_open(&op, arena, document, code, NULL);
        if (err != OK || !ID_EQUAL(op->hash, f->workflow->step[i].op))
            return refuse(fault, cap, "ops", "for each step the op whose hash it names, with its code");
    }
    return OK;
}

static enum err read_recipe(struct approval_file *f, char *fault, size_t cap)
{
    struct workflow *w = NULL;
    struct json_fault why = {{0}, {0}, OK};
    struct arena arena = arena_make(f->memory, ARENA_BYTES_NEEDED);
    enum err err = workflow_parse(&w, &arena, text_of(f->json, "workflow"), &why);
    if (err != OK) return fault_set(fault, cap, err, "workflow: %s: expected %s", why.path, why.expected);
    f->workflow = w;
    f->body.app = w->app_id;
    f->body.compose = w->hash;
    f->body.cost = w->epsilon_nano;
    TRY(read_ops(f, &arena, fault, cap));
    f->text = calloc(1, WORKFLOW_RENDER_BYTES_MAX + 1);
    if (f->text == NULL) return ERR_NO_MEMORY;
    struct buffer text = buffer_make(f->text, WORKFLOW_RENDER_BYTES_MAX);
    workflow_render(&text, w, f->body.dataset);
    f->body.text = sha256(buffer_span(&text));
    return buffer_done(&text);
}

static enum err names_dataset(const struct approval_file *f, char *fault, size_t cap)
{
    for (uint32_t i = 0; i < f->workflow->input_count; i++)
        if (ID_EQUAL(f->workflow->input[i].dt, f->body.dataset)) return OK;
    return refuse(fault, cap, "dataset", "an input of the workflow");
}

enum err approval_file_open(struct approval_file *out, const char *path, char *fault, size_t cap)
{
    char *bytes = NULL;
    size_t len = 0;
    memset(out, 0, sizeof *out);
    enum err err = file_read(&bytes, &len, path, FILE_BYTES_MAX);
    if (err != OK) return fault_set(fault, cap, err, "%s: %s", path, file_why(err));
    out->json = json_loadb(bytes, len, JSON_REJECT_DUPLICATES, NULL);
    out->memory = calloc(1, ARENA_BYTES_NEEDED);
    free(bytes);
    if (out->memory == NULL) err = ERR_NO_MEMORY;
    if (err == OK) err = read_words(out, fault, cap);
    if (err == OK) err = read_recipe(out, fault, cap);
    if (err == OK) err = names_dataset(out, fault, cap);
    if (err != OK) approval_file_close(out);
    return err;
}

void approval_file_close(struct approval_file *f)
{
    json_decref(f->json);
    free(f->memory);
    free(f->text);
    memset(f, 0, sizeof *f);
}

/* --- Asking ---------------------------------------------------------------------------------------------------------- */

bool approval_file_ask(void)
{
    char answer[16] = "";
    (void)fputs("\nApprove this recipe for this dataset? [y/N] ", stdout);
    (void)fflush(stdout);
    return fgets(answer, sizeof answer, stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
}

/* --- Signing ---------------------------------------------------------------------------------------------------------- */

static struct hash32 message_of(const struct approval_file *f)
{
    return approval_sign_hash(f->consortium, f->owner, &f->body, 0);
}

enum err approval_file_check(const struct approval_file *f, struct node_id key)
{
    return f->signed_already ? identity_verify(key, message_of(f), &f->body.approval_signature)
                             : ERR_SIGNATURE;
}

enum err approval_file_sign(struct approval_file *f, const struct identity_secret *key)
{
    char hex[2 * sizeof f->body.approval_signature.bytes + 1];
    TRY(identity_sign(&f->body.approval_signature, key, message_of(f)));
    hex_encode(hex, f->body.approval_signature.bytes, sizeof f->body.approval_signature.bytes);
    f->signed_already = true;
    return json_object_set_new(f->json, "approval_signature", json_string(hex)) == 0 ? OK : ERR_NO_MEMORY;
}

enum err approval_file_write(const struct approval_file *f, const char *path, char *fault, size_t cap)
{
    char *text = json_dumps(f->json, JSON_COMPACT | JSON_SORT_KEYS);
    if (text == NULL) return ERR_NO_MEMORY;
    enum err err = file_write(path, span_text(text), 0644, false);
    free(text);
    return err == OK ? OK : fault_set(fault, cap, err, "%s: %s", path, file_why(err));
}
