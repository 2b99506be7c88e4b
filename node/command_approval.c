/* Approvals signed where no node runs: the key is made there, and a file goes back and forth. */
#include "crypto/identity.h"
#include "crypto/keyfile.h"
#include "crypto/secret.h"
#include "node/approval_file.h"
#include "node/client.h"
#include "node/fault.h"
#include "node/file.h"
#include "node/passphrase.h"
#include "node/problem.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define APPROVAL_KEY "approval"

static int failed(enum err err, const char *fault)
{
    return problem_say(EXIT_REFUSED, "%s", fault[0] != 0 ? fault : err_text(err));
}

/* Takes it. */
static void print_json(json_t *object)
{
    client_print(object);
    json_decref(object);
}

/* --- approval key ------------------------------------------------------------------------------------------------------ */

static enum err make_key(struct node_id *id, const char *path, struct span passphrase)
{
    struct identity_secret *secret = secret_alloc(sizeof *secret);
    if (secret == NULL) return ERR_NO_MEMORY;
    identity_generate(secret, id);
    enum err err = keyfile_write(path, APPROVAL_KEY, SPAN_OF(secret->bytes), passphrase);
    secret_free(secret);
    return err;
}

int command_approval_key(int argc, char **argv)
{
    const char *out = NULL, *passphrase_file = NULL;
    bool json = false;
    char fault[512] = "", hex[65];
    const struct argument option[] = {
        {"--out", &out, NULL}, {"--passphrase-file", &passphrase_file, NULL}, {"--json", NULL, &json}};
    struct arguments a = {option, sizeof option / sizeof option[0], 0, 0, 0, NULL};
    struct passphrase *passphrase = NULL;
    struct node_id id;
    if (arguments_parse(&a, argc, argv) != OK) return EXIT_USAGE;
    if (out == NULL || *out == 0)
        return problem_say(EXIT_USAGE, "expected --out FILE, where the key is to be");
    enum err err = crypto_init();
    if (err == OK) err = passphrase_read(&passphrase, passphrase_file, true, fault, sizeof fault);
    if (err == OK) err = make_key(&id, out, passphrase_span(passphrase));
    passphrase_free(passphrase);
    if (err == ERR_CONFLICT)
        return problem_say(EXIT_REFUSED, "%s is there already: a key is never replaced", out);
    if (err != OK && fault[0] == 0) return problem_say(EXIT_REFUSED, "%s: %s", out, file_why(err));
    if (err != OK) return failed(err, fault);
    hex_encode(hex, id.bytes, sizeof id.bytes);
    if (json)
        print_json(json_pack("{s:s, s:s}", "approval_key", hex, "file", out));
    else
        (void)printf(
            "approval key  %s\nmake the node with `perigee init --approval-key %s`; keep %s away from it\n",
            hex, hex, out);
    return EXIT_OK;
}

/* --- approval sign ------------------------------------------------------------------------------------------------------ */

struct sign_words {
    const char *request, *key, *out, *passphrase_file;
    bool yes, json;
};

static enum err read_key(struct identity_secret *out, const struct sign_words *w, char *fault, size_t cap)
{
    struct passphrase *passphrase = NULL;
    size_t len = 0;
    uint8_t *bytes = secret_alloc(KEYFILE_SECRET_MAX);
    if (bytes == NULL) return ERR_NO_MEMORY;
    enum err err = passphrase_read(&passphrase, w->passphrase_file, false, fault, cap);
    if (err == OK) err = keyfile_read(w->key, APPROVAL_KEY, bytes, &len, passphrase_span(passphrase));
    if (err == OK && len != sizeof out->bytes) err = ERR_CORRUPT;
    if (err == OK) memcpy(out->bytes, bytes, sizeof out->bytes);
    passphrase_free(passphrase);
    secret_free(bytes);
    if (err == OK || fault[0] != 0) return err;
    return fault_set(fault, cap, err, "%s: expected a key file of `perigee approval key`, came: %s%s", w->key,
                     err_text(err),
                     err == ERR_DECRYPT ? "; --passphrase-file FILE names what it is under" : "");
}

static void show_ops(const struct approval_file *f)
{
    struct span document, code;
    (void)fputs("\nBY WHICH CODE\n", stdout);
    for (uint32_t i = 0; approval_file_op(f, i, &document, &code); i++)
        (void)printf("  Step %u: op %.*s\n    code %.*s\n", i + 1, (int)document.len,
                     (const char *)document.data, (int)code.len, (const char *)code.data);
    (void)printf("\nSlots %llu to %llu. Whether the stewards registered these ops, this machine cannot know; "
                 "the node does.\n",
                 (unsigned long long)f->body.slot_first, (unsigned long long)f->body.slot_last);
}

static int agree(const struct sign_words *w, const struct approval_file *f)
{
    if (!w->json) (void)fputs(f->text, stdout);
    if (!w->json) show_ops(f);
    if (w->yes) return EXIT_OK;
    if (w->json || isatty(STDIN_FILENO) != 1)
        return problem_say(EXIT_USAGE, "there is no terminal to ask on: read what is shown, then pass --yes");
    return approval_file_ask() ? EXIT_OK : problem_say(EXIT_REFUSED, "not approved");
}

static enum err sign_file(struct approval_file *f, const struct sign_words *w, char *fault, size_t cap)
{
    struct identity_secret *key = secret_alloc(sizeof *key);
    if (key == NULL) return ERR_NO_MEMORY;
    enum err err = read_key(key, w, fault, cap);
    if (err == OK) err = approval_file_sign(f, key);
    secret_free(key);
    return err == OK ? approval_file_write(f, w->out, fault, cap) : err;
}

static int sign(const struct sign_words *w)
{
    char fault[600] = "", text[65];
    struct approval_file f;
    enum err err = crypto_init();
    if (err == OK) err = approval_file_open(&f, w->request, fault, sizeof fault);
    if (err != OK) return failed(err, fault);
    int code = agree(w, &f);
    if (code == EXIT_OK && (err = sign_file(&f, w, fault, sizeof fault)) != OK) code = failed(err, fault);
    hex_encode(text, f.body.text.bytes, sizeof f.body.text.bytes);
    approval_file_close(&f);
    if (code != EXIT_OK) return code;
    if (w->json)
        print_json(json_pack("{s:s, s:s}", "file", w->out, "text_hash", text));
    else
        (void)printf(
            "signed, having read text %s\nbring %s to the node: `perigee approval submit --data DIR %s`\n",
            text, w->out, w->out);
    return EXIT_OK;
}

int command_approval_sign(int argc, char **argv)
{
    struct sign_words w = {0};
    const struct argument option[] = {{"--key", &w.key, NULL},
                                      {"--out", &w.out, NULL},
                                      {"--passphrase-file", &w.passphrase_file, NULL},
                                      {"--yes", NULL, &w.yes},
                                      {"--json", NULL, &w.json}};
    struct arguments a = {option, sizeof option / sizeof option[0], 1, 1, 0, &w.request};
    if (arguments_parse(&a, argc, argv) != OK) return EXIT_USAGE;
    if (w.key == NULL || w.out == NULL)
        return problem_say(EXIT_USAGE, "expected REQUEST --key FILE --out FILE");
    return sign(&w);
}

/* --- approval submit ------------------------------------------------------------------------------------------------------ */

static json_t *submission(const struct approval_file *f)
{
    char compose[65], text[65];
    hex_encode(compose, f->body.compose.bytes, 32);
    hex_encode(text, f->body.text.bytes, 32);
    return json_pack("{s:O, s:s, s:I, s:I, s:s, s:O}", "dataset", json_object_get(f->json, "dataset"),
                     "compose", compose, "slot_first", (json_int_t)f->body.slot_first, "slot_last",
                     (json_int_t)f->body.slot_last, "text_hash", text, "approval_signature",
                     json_object_get(f->json, "approval_signature"));
}

/* The core would only say that the approval is none: why it does not hold is seen here. */
static int check_signed(const struct client *c, const struct approval_file *f, const char *path)
{
    json_t *status = NULL;
    struct node_id node, key;
    int code = client_get(c, &status, "/v1/status");
    if (code != EXIT_OK) return code;
    if (hex_decode(node.bytes, 32, span_text(client_text(status, "node"))) != OK ||
        hex_decode(key.bytes, 32, span_text(client_text(status, "approval_key"))) != OK)
        code = client_fail(c, EXIT_REFUSED, "the node does not say which key signs its approvals");
    else if (!ID_EQUAL(f->owner, node))
        code = client_fail(
            c, EXIT_REFUSED,
            "%s: expected a request that this node wrote, came another owner's: submit it to that "
            "owner's node",
            path);
    else if (approval_file_check(f, key) != OK)
        code = client_fail(
            c, EXIT_REFUSED,
            "%s: expected a signature over what stands in it by this node's approval key %s, and it "
            "does not hold: another key signed it, or it was changed since; sign the request again",
            path, client_text(status, "approval_key"));
    json_decref(status);
    return code;
}

int command_approval_submit(int argc, char **argv)
{
    struct client c;
    const char *path = NULL;
    char fault[600] = "";
    struct approval_file f;
    struct arguments a = {NULL, 0, 1, 1, 0, &path};
    json_t *answer = NULL;
    int code = client_begin(&c, "approval submit", &a, argc, argv);
    if (code != EXIT_OK) return code;
    enum err err = crypto_init();
    if (err == OK) err = approval_file_open(&f, path, fault, sizeof fault);
    if (err != OK) return client_fail(&c, EXIT_REFUSED, "%s", fault[0] != 0 ? fault : err_text(err));
    if (!f.signed_already)
        code = client_fail(&c, EXIT_REFUSED,
                           "%s is not signed: `perigee approval sign` signs it, where the key is", path);
    if (code == EXIT_OK) code = check_signed(&c, &f, path);
    if (code == EXIT_OK) code = client_post(&c, &answer, submission(&f), "/v1/approvals");
    const unsigned long long first = f.body.slot_first, last = f.body.slot_last;
    approval_file_close(&f);
    if (code != EXIT_OK) return code;
    return client_done(&c, answer, "approved for slots %llu-%llu, record %s", first, last,
                       client_text(answer, "record"));
}
