#include "node/recipe_check.h"

#include "node/command_list.h"
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
    char why[RECIPE_WHY_BYTES];
};

static int unchecked(const struct client *c, const char *why)
{
    (void)fprintf(stderr, "perigee %s: the SELECT was not checked here: %s\n", c->command, why);
    return EXIT_OK;
}

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

static int check(struct recipe *r, const struct client *c, const char *document, const json_t *assets)
{
    if (workflow_parse(&r->workflow, &r->arena, span_text(document), NULL) != OK)
        return EXIT_OK; /* the node says what is wrong with it */
    for (uint32_t i = 0; i < r->workflow->input_count; i++)
        if (!find_input(r, i, assets))
            return unchecked(c, "a dataset it reads is not registered here with that schema");
    enum err err = gate_check(r->workflow, r->input, r->why, sizeof r->why);
    if (err == OK) return EXIT_OK;
    if (err == ERR_UNAVAILABLE || err == ERR_NO_MEMORY)
        return unchecked(c, r->why[0] != 0 ? r->why : err_text(err));
    return client_fail(c, EXIT_REFUSED, "no enclave would run this workflow: %s",
                       r->why[0] != 0 ? r->why : err_text(err));
}

int recipe_check(const struct client *c, const char *document)
{
    json_t *answer = NULL;
    struct recipe *r = calloc(1, sizeof *r);
    void *memory = calloc(1, RECIPE_MEMORY_BYTES);
    int code =
        r != NULL && memory != NULL ? client_get(c, &answer, "/v1/assets") : unchecked(c, "out of memory");
    if (answer != NULL) {
        r->arena = arena_make(memory, RECIPE_MEMORY_BYTES);
        code = check(r, c, document, json_object_get(answer, "assets"));
    }
    json_decref(answer);
    free(memory);
    free(r);
    return code;
}
