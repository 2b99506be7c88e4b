#include "node/client.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { GRANT_OP_COUNT_MAX = 16 };

struct grant_words {
    const char *asset, *workflow, *to, *op, *slots, *epsilon;
    const char *more[GRANT_OP_COUNT_MAX - 1]; /* ops after the first: --op A B C */
    uint32_t more_count;
};

static int check(const struct client *c, const struct grant_words *w, uint64_t *slots)
{
    int code = client_check_token(c, "--asset", w->asset);
    if (code == EXIT_OK && w->workflow != NULL) code = client_check_hash(c, "--workflow", w->workflow);
    if (code == EXIT_OK && (w->workflow == NULL || w->to != NULL))
        code = client_check_token(c, "--to DT, or --workflow HASH", w->to);
    if (code == EXIT_OK && (w->workflow == NULL || w->op != NULL))
        code = client_check_hash(c, "--op HASH, or --workflow HASH", w->op);
    for (uint32_t i = 0; i < w->more_count && code == EXIT_OK; i++)
        code = client_check_hash(c, "--op", w->more[i]);
    if (code == EXIT_OK && w->workflow == NULL)
        code = client_need(c, "--epsilon E (of one run), or --workflow HASH", w->epsilon);
    if (code == EXIT_OK)
        code = client_need(c, "--slots N, how many slots all approvals of this app may allot", w->slots);
    if (code == EXIT_OK && w->epsilon != NULL && strspn(w->epsilon, "0.") == strlen(w->epsilon))
        code = client_fail(
            c, EXIT_USAGE,
            "--epsilon: expected more than 0, such as 1.5: what one run may cost; got \"%.40s\"", w->epsilon);
    if (code != EXIT_OK) return code;
    return arguments_number(slots, "--slots", w->slots, 1, UINT32_MAX) == OK ? EXIT_OK : EXIT_USAGE;
}

/* Steps may share an op; a grant names each once. */
static void add_op(json_t *ops, const char *op)
{
    size_t i;
    json_t *known;
    json_array_foreach(ops, i, known)
    {
        if (strcmp(json_string_value(known), op) == 0) return;
    }
    (void)json_array_append_new(ops, json_string(op));
}

static json_t *ops_of(const struct grant_words *w, const json_t *recipe)
{
    size_t i;
    json_t *step, *ops = json_array();
    if (w->op != NULL) {
        add_op(ops, w->op);
        for (uint32_t k = 0; k < w->more_count; k++) add_op(ops, w->more[k]);
        return ops;
    }
    json_array_foreach(json_object_get(recipe, "ops"), i, step) add_op(ops, client_text(step, "op"));
    return ops;
}

/* What the words leave open is what the published recipe needs, no more. */
static json_t *make_body(const struct grant_words *w, const json_t *recipe, uint64_t slots)
{
    return json_pack("{s:s, s:s, s:o, s:I, s:s}", "lower", w->asset, "higher",
                     w->to != NULL ? w->to : client_text(recipe, "app"), "ops", ops_of(w, recipe),
                     "slots_max", (json_int_t)slots, "epsilon_max",
                     w->epsilon != NULL ? w->epsilon : client_text(recipe, "epsilon"));
}

/* It holds for all recipes of the algorithm: what it takes from others is said. */
static void say_before(const struct client *c, const json_t *standing, uint64_t slots)
{
    const json_int_t allotted = client_number(standing, "allotted_slots");
    if (!c->json && json_is_integer(json_object_get(standing, "slots_max")))
        (void)printf("before   %" JSON_INTEGER_FORMAT " slots, epsilon %s a run\n",
                     client_number(standing, "slots_max"), client_text(standing, "epsilon_max"));
    if (allotted > 0 && slots < (uint64_t)allotted)
        (void)fprintf(
            stderr,
            "perigee: your approvals of this algorithm's recipes allot %" JSON_INTEGER_FORMAT
            " slots already, and %" PRIu64
            " are granted now for all of them together: under an approval that goes beyond them no run is "
            "started. Grant more, if that is not meant\n",
            allotted, slots);
}

/* The answer repeats what was granted: it may have been taken from the recipe. Takes both. */
static int say(const struct client *c, json_t *answer, json_t *granted, uint64_t slots)
{
    size_t i;
    json_t *op;
    (void)json_object_update_missing(answer, granted);
    json_decref(granted);
    say_before(c, json_object_get(answer, "standing"), slots);
    if (!c->json) {
        json_array_foreach(json_object_get(answer, "ops"), i, op)(void)
            printf("op       %s\n", json_string_value(op));
    }
    return client_done(c, answer,
                       "to       %s\nslots    %" JSON_INTEGER_FORMAT
                       " in all approvals of its recipes\nepsilon  %s a run\ngranted, record %s",
                       client_text(answer, "higher"), client_number(answer, "slots_max"),
                       client_text(answer, "epsilon_max"), client_text(answer, "record"));
}

static int grant(const struct client *c, const struct grant_words *w, uint64_t slots)
{
    json_t *recipe = NULL, *answer = NULL;
    int code = w->workflow != NULL ? client_get(c, &recipe, "/v1/workflows/%s", w->workflow) : EXIT_OK;
    if (code != EXIT_OK) return code;
    json_t *body = make_body(w, recipe, slots);
    json_decref(recipe);
    code = client_post(c, &answer, json_incref(body), "/v1/grants");
    if (code == EXIT_OK) return say(c, answer, body, slots);
    json_decref(body);
    return code;
}

int command_grant(int argc, char **argv)
{
    struct client c;
    struct grant_words w = {0};
    uint64_t slots = 0;
    const struct argument option[] = {{"--asset", &w.asset, NULL}, {"--workflow", &w.workflow, NULL},
                                      {"--to", &w.to, NULL},       {"--op", &w.op, NULL},
                                      {"--slots", &w.slots, NULL}, {"--epsilon", &w.epsilon, NULL}};
    struct arguments a = {option, sizeof option / sizeof option[0], 0, GRANT_OP_COUNT_MAX - 1, 0, w.more};
    int code = client_begin(&c, "grant", &a, argc, argv);
    w.more_count = a.word_count;
    if (code == EXIT_OK && w.more_count > 0 && w.op == NULL)
        code = client_fail(&c, EXIT_USAGE, "%s: expected behind --op", w.more[0]);
    if (code == EXIT_OK) code = check(&c, &w, &slots);
    return code == EXIT_OK ? grant(&c, &w, slots) : code;
}
