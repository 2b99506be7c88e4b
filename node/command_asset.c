#include "node/command_list.h"

#include "crypto/hash.h"
#include "crypto/secret.h"
#include "node/seal_kept.h"
#include "node/yaml_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- register ------------------------------------------------------------------------------------------------------- */

/* A new token of the node's: dt = H("perigee/dt/v1", node, salt). */
static int make_token(const struct client *c, struct hash32 *salt, char token[80])
{
    json_t *status = NULL;
    struct node_id node;
    char hex[65];
    int code = client_get(c, &status, "/v1/status");
    if (code != EXIT_OK) return code;
    const enum err err = hex_decode(node.bytes, sizeof node.bytes, span_text(client_text(status, "node")));
    json_decref(status);
    if (err != OK || crypto_init() != OK) return client_fail(c, EXIT_REFUSED, "the node does not say its id");
    random_fill(salt->bytes, sizeof salt->bytes);
    struct hash32 dt = HASH_FRAMED("perigee/dt/v1", ID_SPAN(node), ID_SPAN(*salt));
    hex_encode(hex, dt.bytes, sizeof dt.bytes);
    (void)snprintf(token, 80, "dt:perigee:%s", hex);
    return EXIT_OK;
}

static void set_default(json_t *object, const char *key, json_t *value)
{
    if (json_object_get(object, key) == NULL)
        (void)json_object_set_new(object, key, value);
    else
        json_decref(value);
}

/* What a person need not write: version, token, and empty lists. */
static void complete(json_t *ddo, const char *token)
{
    json_t *dataset = json_object_get(ddo, "dataset"), *service;
    size_t i;
    (void)json_object_set_new(ddo, "dt", json_string(token));
    set_default(ddo, "perigee", json_string("ddo/1"));
    set_default(ddo, "description", json_string(""));
    set_default(ddo, "services", json_array());
    json_array_foreach(json_object_get(ddo, "services"), i, service)
    {
        set_default(service, "endpoint", json_string(""));
        set_default(service, "child_dts", json_array());
        set_default(service, "supported_ops", json_array());
    }
    if (!json_is_object(dataset)) return;
    set_default(dataset, "unit_column", json_string(""));
    set_default(dataset, "currency", json_string("epsilon"));
    set_default(dataset, "row_count_exact", json_true());
}

static int post(const struct client *c, json_t *ddo)
{
    struct hash32 salt;
    char token[80], salt_hex[65];
    json_t *answer = NULL;
    int code = make_token(c, &salt, token);
    if (code != EXIT_OK) return code;
    complete(ddo, token);
    hex_encode(salt_hex, salt.bytes, sizeof salt.bytes);
    char *text = yaml_json_canonical(ddo);
    code =
        client_post(c, &answer, text == NULL ? NULL : json_pack("{s:s, s:s}", "ddo", text, "salt", salt_hex),
                    "/v1/assets");
    free(text);
    if (code != EXIT_OK) return code;
    return client_done(c, answer, "registered %s", client_text(answer, "dt"));
}

int command_asset_register(int argc, char **argv)
{
    struct client c;
    const char *path = NULL;
    struct arguments a = {NULL, 0, 1, 1, 0, &path};
    char fault[512] = "";
    json_t *ddo = NULL;
    int code = client_begin(&c, "asset register", &a, argc, argv);
    if (code != EXIT_OK) return code;
    if (yaml_json_load(&ddo, path, fault, sizeof fault) != OK)
        return client_fail(&c, EXIT_REFUSED, "%s", fault);
    if (json_is_object(ddo))
        code = post(&c, ddo);
    else
        code = client_fail(&c, EXIT_REFUSED,
                           "%s: expected name, type, jurisdiction, and for a dataset its schema", path);
    json_decref(ddo);
    return code;
}

/* --- list ----------------------------------------------------------------------------------------------------------- */

int command_asset_list(int argc, char **argv)
{
    static const struct command_list list = {"asset list",
                                             "/v1/assets",
                                             "assets",
                                             "no assets",
                                             7,
                                             {{"ASSET", "dt", 0},
                                              {"TYPE", "type", 0},
                                              {"NAME", "name", 0},
                                              {"OWNER", "organisation", 0},
                                              {"IN", "jurisdiction", 0},
                                              {"ROWS", "rows", 0},
                                              {"BUDGET", "budget", 0}}};
    return command_list_run(&list, argc, argv);
}

/* --- bind ----------------------------------------------------------------------------------------------------------- */

struct bind_words {
    const char *asset, *workflow, *manifest;
};

/* The content that this manifest already describes, among the asset's; NULL when there is none. Borrowed. */
static const json_t *find_content(const json_t *asset, const char *manifest)
{
    size_t i;
    json_t *content;
    json_array_foreach(json_object_get(asset, "contents"), i, content)
    {
        if (strcmp(client_text(content, "manifest"), manifest) == 0) return content;
    }
    return NULL;
}

static json_t *bind_body(const struct bind_words *w, const char *content, const char *policy,
                         size_t policy_len)
{
    return json_pack("{s:s, s:s, s:s, s:s%}", "compose", w->workflow, "content", content, "manifest",
                     w->manifest, "policy", policy, policy_len);
}

/* A content that was sealed here, bound or not: its manifest is in the own store. *body as in bind_body. */
static int find_sealed(const struct client *c, const struct bind_words *w, json_t **body)
{
    struct store *store = NULL;
    struct hash32 manifest;
    char token[80] = "dt:perigee:", content[65];
    struct seal_kept *kept = calloc(1, sizeof *kept);
    int code = client_store(c, &store);
    if (code != EXIT_OK || kept == NULL) {
        free(kept);
        return code != EXIT_OK ? code : client_fail(c, EXIT_REFUSED, "out of memory");
    }
    enum err err = hex_decode(manifest.bytes, sizeof manifest.bytes, span_text(w->manifest));
    if (err == OK) err = seal_kept_find(kept, store, manifest);
    store_close(store);
    hex_encode(token + strlen(token), kept->dt.bytes, sizeof kept->dt.bytes);
    hex_encode(content, kept->content.bytes, sizeof kept->content.bytes);
    if (err == ERR_NOT_FOUND)
        code = client_fail(c, EXIT_REFUSED,
                           "expected a manifest that is bound to this asset or was sealed here, this one is "
                           "neither: `perigee seal` makes one");
    else if (err != OK)
        code = client_fail(c, EXIT_REFUSED, "manifest %s: %s; seal the dataset again", w->manifest,
                           err_text(err));
    else if (strcmp(token, w->asset) != 0)
        code =
            client_fail(c, EXIT_REFUSED, "--asset: this manifest was sealed for %s, got %s", token, w->asset);
    else
        *body = bind_body(w, content, (const char *)kept->policy, kept->policy_len);
    free(kept);
    return code;
}

/* The policy must be the one the content was sealed under: its hash is in the label. */
static int bind_content(const struct client *c, const struct bind_words *w)
{
    char path[128];
    json_t *asset = NULL, *answer = NULL, *body = NULL;
    (void)snprintf(path, sizeof path, "/v1/assets/%s", w->asset);
    int code = client_get_all(c, &asset, path);
    if (code != EXIT_OK) return code;
    const json_t *content = find_content(asset, w->manifest);
    if (content != NULL) {
        const json_t *policy = json_object_get(content, "policy");
        body = bind_body(w, client_text(content, "content"), json_string_value(policy),
                         json_string_length(policy));
    } else {
        code = find_sealed(c, w, &body);
    }
    json_decref(asset);
    if (code == EXIT_OK) code = client_post(c, &answer, body, "/v1/assets/%s/content", w->asset);
    if (code != EXIT_OK) return code;
    return client_done(c, answer, "bound; an envelope opens only for the recipe it was sealed for");
}

int command_asset_bind(int argc, char **argv)
{
    struct client c;
    struct bind_words w = {0};
    const struct argument option[] = {
        {"--asset", &w.asset, NULL}, {"--workflow", &w.workflow, NULL}, {"--manifest", &w.manifest, NULL}};
    struct arguments a = {option, 3, 0, 0, 0, NULL};
    int code = client_begin(&c, "asset bind", &a, argc, argv);
    if (code == EXIT_OK) code = client_check_token(&c, "--asset", w.asset);
    if (code == EXIT_OK) code = client_check_hash(&c, "--workflow", w.workflow);
    if (code == EXIT_OK) code = client_check_hash(&c, "--manifest", w.manifest);
    return code == EXIT_OK ? bind_content(&c, &w) : code;
}
