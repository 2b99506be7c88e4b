#include "crypto/hash.h"
#include "node/client.h"
#include "node/recipe_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct approve_words {
    const char *asset, *workflow, *slots;
    bool yes;
    uint64_t first, last;
};

/* Slots are counted from 1 by one requester after the other: what is beyond these is a slip of the pen. */
enum { SLOT_MAX = 1000000000, SLOT_COUNT_MAX = 1000000 };

/* "3" or "3-7". */
static int read_slots(const struct client *c, struct approve_words *w)
{
    char first[24];
    const char *dash = w->slots == NULL ? NULL : strchr(w->slots, '-');
    w->first = w->last = 1;
    if (w->slots == NULL) return EXIT_OK;
    int len = snprintf(first, sizeof first, "%.*s", dash == NULL ? 23 : (int)(dash - w->slots), w->slots);
    if (len <= 0 || len >= (int)sizeof first)
        return client_fail(c, EXIT_USAGE, "--slots: expected N or FIRST-LAST, got \"%s\"", w->slots);
    if (arguments_number(&w->first, "--slots", first, 1, SLOT_MAX) != OK) return EXIT_USAGE;
    w->last = w->first;
    if (dash != NULL && arguments_number(&w->last, "--slots", dash + 1, 1, SLOT_MAX) != OK) return EXIT_USAGE;
    if (w->first > w->last)
        return client_fail(c, EXIT_USAGE, "--slots: expected FIRST-LAST, got \"%s\"", w->slots);
    if (w->last - w->first < SLOT_COUNT_MAX) return EXIT_OK;
    return client_fail(c, EXIT_USAGE, "--slots: expected at most %d slots in one approval, got \"%s\"",
                       SLOT_COUNT_MAX, w->slots);
}

static bool ask(void)
{
    char answer[16] = "";
    (void)fputs("\nApprove this recipe for this dataset? [y/N] ", stdout);
    (void)fflush(stdout);
    return fgets(answer, sizeof answer, stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
}

/* By which trusted code: it is inside the recipe by its hash. */
static void show_ops(const json_t *recipe)
{
    size_t i;
    json_t *op;
    (void)fputs("\nBY WHICH CODE\n", stdout);
    json_array_foreach(json_object_get(recipe, "ops"), i, op)
    {
        if (json_is_true(json_object_get(op, "registered")))
            (void)printf("  Step %zu: op %s: %s\n    code %s\n    %s\n", i + 1, client_text(op, "name"),
                         client_text(op, "description"), client_text(op, "code_hash"),
                         client_text(op, "code"));
        else
            (void)printf("  Step %zu: op %s, NOT REGISTERED BY THE STEWARDS\n", i + 1, client_text(op, "op"));
    }
}

/* Show the text, and make sure that what will be signed is the hash of what is shown. */
static int show(const struct client *c, const struct approve_words *w, const json_t *recipe)
{
    char hash[65];
    const char *text = client_text(recipe, "text"), *diff = client_text(recipe, "diff");
    struct hash32 shown = sha256(span_text(text));
    hex_encode(hash, shown.bytes, sizeof shown.bytes);
    if (strcmp(hash, client_text(recipe, "text_hash")) != 0)
        return client_fail(c, EXIT_REFUSED,
                           "the node's text does not have the hash it wants signed; nothing was approved");
    if (!c->json) (void)fputs(text, stdout);
    if (!c->json) show_ops(recipe);
    if (!c->json && diff[0] != 0) (void)printf("\nSince the last recipe of this app you approved:\n%s", diff);
    if (w->yes) return EXIT_OK;
    if (c->json || isatty(STDIN_FILENO) != 1)
        return client_fail(c, EXIT_USAGE,
                           "there is no terminal to ask on: read `perigee workflow show`, then pass --yes");
    return ask() ? EXIT_OK : client_fail(c, EXIT_REFUSED, "not approved");
}

static int approve(const struct client *c, const struct approve_words *w)
{
    json_t *recipe = NULL, *answer = NULL;
    int code = client_get(c, &recipe, "/v1/workflows/%s?asset=%s", w->workflow, w->asset);
    if (code != EXIT_OK) return code;
    code = recipe_check(c, client_text(recipe, "document"));
    if (code == EXIT_OK) code = show(c, w, recipe);
    if (code == EXIT_OK)
        code = client_post(c, &answer,
                           json_pack("{s:s, s:s, s:I, s:I, s:s}", "dataset", w->asset, "compose", w->workflow,
                                     "slot_first", (json_int_t)w->first, "slot_last", (json_int_t)w->last,
                                     "text_hash", client_text(recipe, "text_hash")),
                           "/v1/approvals");
    if (code == EXIT_OK) (void)json_object_set(answer, "text_hash", json_object_get(recipe, "text_hash"));
    json_decref(recipe);
    if (code != EXIT_OK) return code;
    return client_done(c, answer, "approved for slots %llu-%llu, having read text %s, record %s",
                       (unsigned long long)w->first, (unsigned long long)w->last,
                       client_text(answer, "text_hash"), client_text(answer, "record"));
}

int command_approve(int argc, char **argv)
{
    struct client c;
    struct approve_words w = {0};
    const struct argument option[] = {{"--asset", &w.asset, NULL},
                                      {"--workflow", &w.workflow, NULL},
                                      {"--slots", &w.slots, NULL},
                                      {"--yes", NULL, &w.yes}};
    struct arguments a = {option, sizeof option / sizeof option[0], 0, 0, 0, NULL};
    int code = client_begin(&c, "approve", &a, argc, argv);
    if (code == EXIT_OK) code = client_check_token(&c, "--asset", w.asset);
    if (code == EXIT_OK) code = client_check_hash(&c, "--workflow", w.workflow);
    if (code == EXIT_OK) code = read_slots(&c, &w);
    return code == EXIT_OK ? approve(&c, &w) : code;
}
