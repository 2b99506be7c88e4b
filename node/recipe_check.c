#include "node/recipe_check.h"

#include "node/config.h"
#include "node/fault.h"
#include "node/gate.h"
#include "proto/document.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECIPE_MEMORY_BYTES = 64 << 20, RECIPE_WHY_BYTES = 600 };

struct recipe {
    struct arena arena;
    struct workflow *workflow;
    struct gate_input input[CAP_INPUTS];
};

static bool asset_is(const json_t *asset, struct dt dt)
{
    char hex[65];
    const char *text = json_string_value(json_object_get(asset, "dt"));
    hex_encode(hex, dt.bytes, sizeof dt.bytes);
    return text != NULL && strlen(text) >= 64 && strcmp(text + strlen(text) - 64, hex) == 0;
}

/* The input's description as it is registered; false when it is not, or is another than the workflow speaks of. */
static bool find_input(struct recipe *r, uint32_t i, const json_t *assets)
{
    const struct workflow_input *named = &r->workflow->input[i];
    struct ddo *ddo;
    const json_t *asset;
    size_t at;
    json_array_foreach(assets, at, asset)
    {
        const char *text = json_string_value(json_object_get(asset, "ddo"));
        if (text == NULL || !asset_is(asset, named->dt)) continue;
        if (ddo_parse(&ddo, &r->arena, span_text(text), NULL) != OK) return false;
        r->input[i] = (struct gate_input){&ddo->schema, ddo->unit_column, ddo->row_count};
        return ID_EQUAL(ddo->schema.hash, named->schema);
    }
    return false;
}

static enum err say_missing_dataset(const struct workflow_input *input, char *why, size_t cap)
{
    char hex[65];
    hex_encode(hex, input->dt.bytes, sizeof input->dt.bytes);
    return fault_set(
        why, cap, ERR_NOT_FOUND,
        "it cannot be checked here: expected the dataset of its input %.*s, dt:perigee:%s, registered with "
        "the schema the workflow names; `perigee asset list` shows what is known",
        (int)input->name.len, (const char *)input->name.data, hex);
}

/* What the gate found, as it stands behind "no enclave would run this workflow". */
static enum err say_gate(enum err err, const char *found, char *why, size_t cap)
{
    const char *text = found[0] != 0 ? found : err_text(err);
    if (err == ERR_UNAVAILABLE)
        return fault_set(
            why, cap, err,
            "its SELECT cannot be checked here, and what was not checked is not taken: %s. Expected "
            "libduckdb.so: `./dev build` fetches it; PERIGEE_DUCKDB, or duckdb in perigee.yaml, names "
            "another place",
            text);
    if (err == ERR_NO_MEMORY) return fault_set(why, cap, err, "it cannot be checked here: %s", text);
    return fault_set(why, cap, err, "no enclave would run this workflow: %s", text);
}

static enum err check(struct recipe *r, const char *document, const json_t *assets, char *why, size_t cap)
{
    char found[RECIPE_WHY_BYTES] = "";
    if (workflow_parse(&r->workflow, &r->arena, span_text(document), NULL) != OK) return OK;
    for (uint32_t i = 0; i < r->workflow->input_count; i++)
        if (!find_input(r, i, assets)) return say_missing_dataset(&r->workflow->input[i], why, cap);
    enum err err = gate_check(r->workflow, r->input, found, sizeof found);
    return err == OK ? OK : say_gate(err, found, why, cap);
}

enum err recipe_check_with(const char *document, const json_t *assets, char *why, size_t cap)
{
    struct recipe *r = calloc(1, sizeof *r);
    void *memory = calloc(1, RECIPE_MEMORY_BYTES);
    enum err err = ERR_NO_MEMORY;
    if (r == NULL || memory == NULL) {
        err = say_gate(err, "", why, cap);
    } else {
        r->arena = arena_make(memory, RECIPE_MEMORY_BYTES);
        err = check(r, document, assets, why, cap);
    }
    free(memory);
    free(r);
    return err;
}

/* A data directory's configuration may say where DuckDB is; whether it is well formed is the node's to say. */
static void find_duckdb(const struct client *c)
{
    char path[PATH_MAX], fault[512];
    struct config *config = NULL;
    if (snprintf(path, sizeof path, "%s/perigee.yaml", c->data) >= (int)sizeof path) return;
    if (config_load(&config, path, fault, sizeof fault) != OK) return;
    config_name_duckdb(config);
    config_free(config);
}

/* The descriptions of the datasets that this document reads, as far as the node knows them. */
static int get_inputs(const struct client *c, json_t *assets, const char *document)
{
    json_t *workflow = json_loads(document, 0, NULL);
    const json_t *inputs = json_object_get(workflow, "inputs");
    int code = EXIT_OK;
    for (size_t i = 0; i < json_array_size(inputs) && i < CAP_INPUTS && code != EXIT_UNREACHABLE; i++) {
        char path[128];
        json_t *asset = NULL;
        const char *dt = client_text(json_array_get(inputs, i), "dt");
        if (snprintf(path, sizeof path, "/v1/assets/%s?limit=1", dt) >= (int)sizeof path) continue;
        code = client_try_get(c, &asset, path);
        if (asset != NULL) (void)json_array_append_new(assets, asset);
    }
    json_decref(workflow);
    return code == EXIT_UNREACHABLE ? client_fail(c, code, "the node at %s does not answer", c->socket)
                                    : EXIT_OK;
}

int recipe_check(const struct client *c, const char *document)
{
    char why[RECIPE_WHY_BYTES + 400] = "";
    json_t *assets = json_array();
    int code = get_inputs(c, assets, document);
    find_duckdb(c);
    enum err err = code == EXIT_OK ? recipe_check_with(document, assets, why, sizeof why) : OK;
    json_decref(assets);
    if (code != EXIT_OK) return code;
    return err == OK ? EXIT_OK : client_fail(c, EXIT_REFUSED, "%s", why);
}
