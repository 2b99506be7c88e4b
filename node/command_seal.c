#include "crypto/secret.h"
#include "node/client.h"
#include "node/home.h"
#include "node/seal.h"
#include "node/seal_kept.h"
#include "proto/policy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEAL_ARENA_BYTES = 40 * CAP_DOCUMENT_BYTES };

struct seal_words {
    const char *asset, *in, *workflow, *format, *tar;
    const char *delimiter, *missing, *export_to, *jurisdiction;
    bool no_header, need_gpu, owner_veto;
};

/* Everything one sealing needs; opened part by part, closed whole. */
struct sealing {
    const struct client *client;
    const struct seal_words *words;
    struct home home;
    struct node_id holder; /* of the dataset */
    bool home_open;
    struct store *store;
    void *memory;
    struct arena arena;
    uint8_t policy_bytes[SEAL_POLICY_BYTES_MAX];
    struct buffer policy;
    struct seal_options options;
    struct seal_result result;
};

/* --- What the words say --------------------------------------------------------------------------------------------- */

static int refuse(const struct sealing *s, enum err err, const char *fault)
{
    return client_fail(s->client, EXIT_REFUSED, "%s", fault[0] != 0 ? fault : err_text(err));
}

static int find_name(uint32_t *out, const char *const *names, uint32_t count, const char *text)
{
    for (*out = 0; *out < count; (*out)++)
        if (strcmp(names[*out], text) == 0) return EXIT_OK;
    return EXIT_USAGE;
}

/* Without --format the file's name says it. */
static const char *guess_format(const char *path)
{
    const char *dot = strrchr(path, '.');
    if (dot != NULL && strcmp(dot, ".parquet") == 0) return "parquet";
    return dot != NULL && (strcmp(dot, ".csv") == 0 || strcmp(dot, ".data") == 0) ? "csv" : "bytes";
}

static int read_meta(struct sealing *s)
{
    const struct seal_words *w = s->words;
    struct meta *meta = &s->options.meta;
    uint32_t format = 0;
    if (find_name(&format, meta_format_names, 3, w->format != NULL ? w->format : guess_format(w->in)) !=
        EXIT_OK)
        return client_fail(s->client, EXIT_USAGE, "--format: expected csv, parquet or bytes, got \"%s\"",
                           w->format);
    meta->format = (enum meta_format)format;
    meta->header = meta->format == META_CSV && !w->no_header;
    meta->delimiter = meta->format == META_CSV ? ',' : 0;
    if (w->delimiter != NULL) {
        meta->delimiter = strcmp(w->delimiter, "\\t") == 0 ? '\t' : w->delimiter[0];
        if (!meta_delimiter_fits(meta->delimiter))
            return client_fail(s->client, EXIT_USAGE,
                               "--delimiter: expected one character such as , ; or \\t");
    }
    if (w->missing == NULL) return EXIT_OK;
    int len = snprintf(meta->missing, sizeof meta->missing, "%s", w->missing);
    if (len < (int)sizeof meta->missing) return EXIT_OK;
    return client_fail(s->client, EXIT_USAGE, "--missing: expected at most %d characters", CAP_NAME);
}

/* "CH,EU": spans into the word. */
static void split_jurisdictions(struct policy *p, const char *list)
{
    while (list != NULL && *list != 0 && p->jurisdiction_count < CAP_JURISDICTIONS) {
        size_t len = strcspn(list, ",");
        p->jurisdiction[p->jurisdiction_count++] = span_make(list, len);
        list += len + (list[len] == ',');
    }
}

/* The owner's minimum policy for this content. What is written is parsed: the parser holds the rules. */
static int make_policy(struct sealing *s)
{
    struct json_fault why = {{0}, {0}, OK};
    struct policy p = {.need_gpu = s->words->need_gpu, .owner_veto = s->words->owner_veto}, *parsed = NULL;
    uint32_t export_to = EXPORT_TO_ENCLAVE;
    if (s->words->export_to != NULL &&
        find_name(&export_to, export_policy_names, 3, s->words->export_to) != EXIT_OK)
        return client_fail(s->client, EXIT_USAGE, "--export: expected none, to-enclave or any");
    p.export_to = (enum export_policy)export_to;
    split_jurisdictions(&p, s->words->jurisdiction);
    s->policy = buffer_make(s->policy_bytes, sizeof s->policy_bytes);
    enum err err = policy_write(&s->policy, &p);
    if (err == OK) err = policy_parse(&parsed, &s->arena, buffer_span(&s->policy), &why);
    if (err != OK)
        return client_fail(s->client, EXIT_USAGE, "policy: %s: expected %s", why.path, why.expected);
    s->options.policy = parsed->bytes;
    s->options.owner_veto = parsed->owner_veto;
    return EXIT_OK;
}

/* --- What the node says --------------------------------------------------------------------------------------------- */

static bool read_token(struct dt *out, const char *token)
{
    static const char prefix[] = "dt:perigee:";
    return strncmp(token, prefix, sizeof prefix - 1) == 0 &&
           hex_decode(out->bytes, sizeof out->bytes, span_text(token + sizeof prefix - 1)) == OK;
}

static int ask_recipe(struct sealing *s)
{
    json_t *recipe = NULL;
    int code =
        client_get(s->client, &recipe, "/v1/workflows/%s?asset=%s", s->words->workflow, s->words->asset);
    if (code != EXIT_OK) return code;
    const char *key = client_text(recipe, "root_key");
    bool good = read_token(&s->options.app_id, client_text(recipe, "app"));
    if (key[0] == 0)
        code = client_fail(s->client, EXIT_TRY_LATER,
                           "the consortium has no key yet: custodians run `perigee consortium keygen`");
    else if (!good || hex_decode(s->options.root_key.bytes, 32, span_text(key)) != OK)
        code = client_fail(s->client, EXIT_REFUSED, "the node's answer has no app or no key");
    json_decref(recipe);
    return code;
}

/* The schema that the file must have is the registered one. */
static int ask_schema(struct sealing *s)
{
    struct json_fault why = {{0}, {0}, OK};
    struct ddo *ddo = NULL;
    struct span text = SPAN_NONE;
    json_t *answer = NULL;
    int code = client_get(s->client, &answer, "/v1/assets/%s?limit=1", s->words->asset);
    if (code != EXIT_OK) return code;
    enum err err = arena_copy(&s->arena, &text, span_text(client_text(answer, "ddo")));
    if (err == OK) err = ddo_parse(&ddo, &s->arena, text, &why);
    /* The first: in every label of this token, whoever holds it now. */
    if (err == OK) err = hex_decode(s->options.owner.bytes, 32, span_text(client_text(answer, "owner")));
    const char *holder = client_text(answer, "holder");
    if (err == OK)
        err = hex_decode(s->holder.bytes, 32,
                         span_text(holder[0] != 0 ? holder : client_text(answer, "owner")));
    json_decref(answer);
    if (err != OK)
        return client_fail(s->client, EXIT_REFUSED,
                           "no asset %s is known here: `perigee asset list` shows them", s->words->asset);
    if (ddo->type != ASSET_DATASET)
        return client_fail(s->client, EXIT_REFUSED, "%s is no dataset", s->words->asset);
    s->options.schema = &ddo->schema;
    s->options.row_count_exact = ddo->row_count_exact;
    s->options.row_count = ddo->row_count;
    return EXIT_OK;
}

/* --- This node's keys and store ------------------------------------------------------------------------------------- */

static int open_parts(struct sealing *s)
{
    char fault[512] = "";
    enum err err = crypto_init();
    if (err == OK) err = home_look(&s->home, s->client->data, fault, sizeof fault);
    if (err != OK) return refuse(s, err, fault);
    s->home_open = true;
    if (!ID_EQUAL(s->holder, s->home.node))
        return client_fail(s->client, EXIT_REFUSED,
                           "%s is another member's: expected a dataset that this node holds",
                           s->words->asset);
    return client_store(s->client, &s->store);
}

static void close_parts(struct sealing *s)
{
    store_close(s->store);
    if (s->home_open) home_close(&s->home);
    free(s->memory);
}

/* --- Sealing -------------------------------------------------------------------------------------------------------- */

static int check_tar(const struct sealing *s)
{
    char fault[512] = "";
    if (s->words->tar == NULL) return EXIT_OK;
    enum err err = seal_tar_check(s->words->tar, fault, sizeof fault);
    return err == OK ? EXIT_OK : refuse(s, err, fault);
}

/* Nothing is bound yet: a sealing whose transport file cannot be written leaves nothing behind. */
static int write_tar(const struct sealing *s)
{
    char fault[512] = "";
    enum err err = seal_tar(s->store, s->result.manifest, s->words->tar, fault, sizeof fault);
    if (err == OK) return EXIT_OK;
    enum err dropped = seal_kept_drop(s->store, s->result.manifest);
    if (dropped == OK) return refuse(s, err, fault);
    return client_fail(s->client, EXIT_REFUSED, "%s; what was sealed could not be deleted again: %s",
                       fault[0] != 0 ? fault : err_text(err), err_text(dropped));
}

static int seal_now(struct sealing *s)
{
    char fault[512] = "";
    struct seal_options *o = &s->options;
    o->path = s->words->in;
    o->owner_kem = s->home.kem_public;
    o->store = s->store;
    o->progress = seal_progress_bar;
    if (!read_token(&o->dt, s->words->asset) ||
        hex_decode(o->compose.bytes, 32, span_text(s->words->workflow)) != OK)
        return EXIT_USAGE;
    enum err err = seal_file(&s->result, o, fault, sizeof fault);
    if (err != OK) return refuse(s, err, fault);
    return s->words->tar != NULL ? write_tar(s) : EXIT_OK;
}

static int bind_content(struct sealing *s)
{
    char content[65], manifest[65], remedy[PATH_MAX + 400];
    struct client c = *s->client;
    json_t *answer = NULL;
    const struct span policy = buffer_span(&s->policy);
    hex_encode(content, s->result.content.bytes, 32);
    hex_encode(manifest, s->result.manifest.bytes, 32);
    json_t *body = json_pack("{s:s, s:s, s:s, s:s%}", "compose", s->words->workflow, "content", content,
                             "manifest", manifest, "policy", (const char *)policy.data, policy.len);
    (void)snprintf(remedy, sizeof remedy,
                   "; it is sealed: `perigee asset bind --data %s --asset %s --workflow %s --manifest %s` "
                   "binds it if need be",
                   c.data, s->words->asset, s->words->workflow, manifest);
    c.remedy = remedy;
    int code = client_post(&c, &answer, body, "/v1/assets/%s/content", s->words->asset);
    if (code != EXIT_OK) return code;
    (void)json_object_set_new(answer, "content", json_string(content));
    (void)json_object_set_new(answer, "manifest", json_string(manifest));
    (void)json_object_set_new(answer, "rows", json_integer((json_int_t)s->result.row_count));
    (void)json_object_set_new(answer, "bytes", json_integer((json_int_t)s->result.plain_bytes));
    return client_done(s->client, answer,
                       "sealed %" PRIu64 " rows, %" PRIu64 " bytes\ncontent   %s\nmanifest  %s",
                       s->result.row_count, s->result.plain_bytes, content, manifest);
}

static int run(struct sealing *s)
{
    int code = client_need(s->client, "--in FILE", s->words->in);
    if (code == EXIT_OK) code = client_check_token(s->client, "--asset", s->words->asset);
    if (code == EXIT_OK) code = client_check_hash(s->client, "--workflow", s->words->workflow);
    if (code == EXIT_OK) code = read_meta(s);
    if (code == EXIT_OK) code = make_policy(s);
    if (code == EXIT_OK) code = check_tar(s);
    if (code == EXIT_OK) code = ask_recipe(s);
    if (code == EXIT_OK) code = ask_schema(s);
    if (code == EXIT_OK) code = open_parts(s);
    if (code == EXIT_OK) code = seal_now(s);
    return code == EXIT_OK ? bind_content(s) : code;
}

int command_seal(int argc, char **argv)
{
    static struct sealing s; /* holds a policy and a path: large for a stack */
    struct client c;
    struct seal_words w = {0};
    const struct argument option[] = {
        {"--asset", &w.asset, NULL},
        {"--in", &w.in, NULL},
        {"--workflow", &w.workflow, NULL},
        {"--format", &w.format, NULL},
        {"--tar", &w.tar, NULL},
        {"--delimiter", &w.delimiter, NULL},
        {"--missing", &w.missing, NULL},
        {"--export", &w.export_to, NULL},
        {"--no-header", NULL, &w.no_header},
        {"--jurisdiction", &w.jurisdiction, NULL},
        {"--gpu", NULL, &w.need_gpu},
        {"--owner-veto", NULL, &w.owner_veto},
    };
    struct arguments a = {option, sizeof option / sizeof option[0], 0, 0, 0, NULL};
    int code = client_begin(&c, "seal", &a, argc, argv);
    if (code == EXIT_OK) code = client_local(&c);
    if (code != EXIT_OK) return code;
    if (w.jurisdiction != NULL && *w.jurisdiction == 0)
        return client_fail(&c, EXIT_USAGE,
                           "--jurisdiction: expected codes such as CH,EU, got none; leave it out where "
                           "no place is excluded");
    memset(&s, 0, sizeof s);
    s.client = &c;
    s.words = &w;
    s.memory = calloc(1, SEAL_ARENA_BYTES);
    if (s.memory == NULL) return client_fail(&c, EXIT_REFUSED, "out of memory");
    s.arena = arena_make(s.memory, SEAL_ARENA_BYTES);
    code = run(&s);
    close_parts(&s);
    return code;
}
