#include "crypto/hash.h"
#include "node/command_list.h"
#include "node/document_file.h"
#include "node/file.h"
#include "proto/op.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OP_BYTES_MAX = 2048 };

/* --- Register --------------------------------------------------------------------------------------------------------- */

struct op_words {
    const char *template_name, *code, *document;
};

/* The op/1 that stands for a shipped template: the same bytes for every steward. */
static int shipped_body(json_t **out, const struct client *c, const char *name)
{
    uint8_t bytes[OP_BYTES_MAX], code_bytes[CAP_CODE_BYTES];
    struct buffer document = BUFFER_OF(bytes), code = BUFFER_OF(code_bytes);
    const struct template_shipped *t = template_shipped_find(span_text(name));
    if (t == NULL)
        return client_fail(c, EXIT_USAGE, "--template: expected one of `perigee op templates`, got \"%s\"",
                           name);
    enum err err = template_shipped_write(&code, t);
    const struct op op = {.name = span_text(t->name),
                          .description = span_text(t->description),
                          .runtime = RUNTIME_SELECT,
                          .code = sha256(buffer_span(&code)),
                          .output = span_text(output_type_names[OUTPUT_AGGREGATE])};
    if (err == OK) err = op_write(&document, &op);
    if (err != OK) return client_fail(c, EXIT_REFUSED, "%s", err_text(err));
    *out = json_pack("{s:s%, s:s%}", "document", (const char *)bytes, document.len, "code",
                     (const char *)code_bytes, code.len);
    return EXIT_OK;
}

static int file_body(json_t **out, const struct client *c, const struct op_words *w)
{
    char *document = NULL;
    char *code = NULL;
    size_t len = 0;
    int status = document_file_read(&document, c, w->document, "op/1");
    if (status != EXIT_OK) return status;
    enum err err = file_read(&code, &len, w->code, CAP_CODE_BYTES);
    if (err == OK) *out = json_pack("{s:s, s:s%}", "document", document, "code", code, len);
    free(code);
    free(document);
    if (err != OK)
        return client_fail(c, EXIT_REFUSED, "%s: %s; code has at most %d bytes", w->code, file_why(err),
                           CAP_CODE_BYTES);
    return *out != NULL ? EXIT_OK : client_fail(c, EXIT_REFUSED, "%s: expected UTF-8 text", w->code);
}

static int make_body(json_t **out, const struct client *c, const struct op_words *w)
{
    if (w->template_name != NULL && w->document == NULL && w->code == NULL)
        return shipped_body(out, c, w->template_name);
    if (w->template_name == NULL && w->document != NULL && w->code != NULL) return file_body(out, c, w);
    return client_fail(c, EXIT_USAGE, "expected either --template NAME, or FILE with --code FILE");
}

int command_op_register(int argc, char **argv)
{
    struct client c;
    struct op_words w = {0};
    const struct argument option[] = {{"--template", &w.template_name, NULL}, {"--code", &w.code, NULL}};
    struct arguments a = {option, 2, 0, 1, 0, &w.document};
    json_t *body = NULL, *answer = NULL;
    int code = client_begin(&c, "op register", &a, argc, argv);
    if (code == EXIT_OK) code = make_body(&body, &c, &w);
    if (code == EXIT_OK) code = client_post(&c, &answer, body, "/v1/ops");
    if (code != EXIT_OK) return code;
    return client_done(&c, answer, "signed op %s; it counts when s stewards have", client_text(answer, "op"));
}

/* --- Show ------------------------------------------------------------------------------------------------------------- */

int command_op_list(int argc, char **argv)
{
    static const struct command_list list = {"op list",
                                             "/v1/ops",
                                             "ops",
                                             "no ops",
                                             6,
                                             {{"OP", "op", 0},
                                              {"NAME", "name", 0},
                                              {"CODE", "code", 16},
                                              {"SIGNED", "signatures", 0},
                                              {"OF", "needed", 0},
                                              {"IN FORCE", "registered", 0}}};
    return command_list_run(&list, argc, argv);
}

int command_op_templates(int argc, char **argv)
{
    static const struct command_list list = {
        "op templates",
        NULL,
        "templates",
        "no templates",
        3,
        {{"NAME", "name", 0}, {"CODE", "code", 0}, {"WHAT IT ALLOWS", "description", 0}}};
    struct client c = {.command = "op templates"};
    struct argument option = {"--json", NULL, &c.json};
    struct arguments a = {&option, 1, 0, 0, 0, NULL};
    const struct template_shipped *t;
    if (arguments_parse(&a, argc, argv) != OK) return EXIT_USAGE;
    json_t *rows = json_array();
    for (uint32_t i = 0; (t = template_shipped_at(i)) != NULL; i++) {
        uint8_t bytes[CAP_CODE_BYTES];
        char hash[65];
        struct buffer code = BUFFER_OF(bytes);
        if (template_shipped_write(&code, t) != OK) continue;
        struct hash32 of = sha256(buffer_span(&code));
        hex_encode(hash, of.bytes, sizeof of.bytes);
        (void)json_array_append_new(
            rows, json_pack("{s:s, s:s, s:s}", "name", t->name, "code", hash, "description", t->description));
    }
    json_t *answer = json_pack("{s:o}", "templates", rows);
    command_list_show(&list, &c, answer);
    json_decref(answer);
    return EXIT_OK;
}

/* --- Code, by its hash ------------------------------------------------------------------------------------------------ */

static bool has_hash(struct span bytes, const char *hex)
{
    char of[65];
    struct hash32 hash = sha256(bytes);
    hex_encode(of, hash.bytes, sizeof hash.bytes);
    return strcmp(of, hex) == 0;
}

/* The node is not believed: the code has the hash asked for, or the op document has it and names the code. */
static bool is_code_of(const json_t *answer, const char *hash)
{
    const struct span code = span_text(client_text(answer, "code")),
                      document = span_text(client_text(answer, "document"));
    char named[80];
    if (has_hash(code, hash)) return true;
    if (!has_hash(document, hash) || !has_hash(code, client_text(answer, "hash"))) return false;
    (void)snprintf(named, sizeof named, "\"code\":\"%s\"", client_text(answer, "hash"));
    return strstr(client_text(answer, "document"), named) != NULL;
}

int command_op_code(int argc, char **argv)
{
    struct client c;
    const char *hash = NULL, *out = NULL;
    const struct argument option[] = {{"--out", &out, NULL}};
    struct arguments a = {option, 1, 1, 1, 0, &hash};
    json_t *answer = NULL;
    int code = client_begin(&c, "op code", &a, argc, argv);
    if (code == EXIT_OK) code = client_check_hash(&c, "HASH", hash);
    if (code == EXIT_OK) code = client_get(&c, &answer, "/v1/ops/%s/code", hash);
    if (code != EXIT_OK) return code;
    if (!is_code_of(answer, hash)) {
        json_decref(answer);
        return client_fail(&c, EXIT_REFUSED, "what the node gave is not the code of %s", hash);
    }
    const char *text = client_text(answer, "code");
    enum err err = out != NULL ? file_write(out, span_text(text), 0644, false) : OK;
    if (err != OK) {
        json_decref(answer);
        return client_fail(&c, EXIT_REFUSED, "%s: %s", out, file_why(err));
    }
    if (out == NULL) return client_done(&c, answer, "%s", text);
    return client_done(&c, answer, "wrote %s, code %s", out, client_text(answer, "hash"));
}
