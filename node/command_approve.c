#include "crypto/hash.h"
#include "node/approval_file.h"
#include "node/client.h"
#include "node/file.h"
#include "node/recipe_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct approve_words {
    const char *asset, *workflow, *slots, *offline;
    bool yes;
    uint64_t first, last;
};

/* Slots are counted from 1 by one requester after the other: what is beyond these is a slip of the pen. */
enum { SLOT_MAX = 1000000000, SLOT_COUNT_MAX = 1000000, SLOTS_AHEAD = 1000 };

/* "3" or "3-7". */
static int read_slots(const struct client *c, struct approve_words *w)
{
    char first[24];
    const char *dash = w->slots == NULL ? NULL : strchr(w->slots, '-');
    if (w->slots == NULL) return EXIT_OK; /* choose_slot */
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
    if (!c->json)
        (void)printf("\nFOR WHICH RUNS\n  Slots %llu to %llu.\n", (unsigned long long)w->first,
                     (unsigned long long)w->last);
    if (w->yes) return EXIT_OK;
    if (c->json || isatty(STDIN_FILENO) != 1)
        return client_fail(c, EXIT_USAGE,
                           "there is no terminal to ask on: read `perigee workflow show`, then pass --yes");
    return approval_file_ask() ? EXIT_OK : client_fail(c, EXIT_REFUSED, "not approved");
}

/* The last slot that this owner has allotted, in an approval that it revoked, too. */
static uint64_t last_allotted(const json_t *recipe, const char *asset)
{
    const json_t *approval;
    size_t i;
    json_array_foreach(json_object_get(recipe, "approvals"), i, approval)
    {
        if (strcmp(client_text(approval, "dataset"), asset) == 0)
            return (uint64_t)json_integer_value(json_object_get(approval, "last_slot"));
    }
    return 0;
}

/* One run more: the lowest behind its last that another owner has approved, else its next. So owners who say no slot meet. Whoever has
 * approved before is led nowhere far off: all its later approvals would have to be behind that. */
static int choose_slot(const struct client *c, struct approve_words *w, const json_t *recipe)
{
    const uint64_t last = last_allotted(recipe, w->asset);
    const json_t *approval, *range;
    size_t i, k;
    uint64_t lowest = 0;
    json_array_foreach(json_object_get(recipe, "approvals"), i, approval)
    {
        if (strcmp(client_text(approval, "dataset"), w->asset) == 0) continue;
        json_array_foreach(json_object_get(approval, "ranges"), k, range)
        {
            const uint64_t first = (uint64_t)json_integer_value(json_array_get(range, 0));
            const uint64_t next = first > last ? first : last + 1;
            const bool reached = (uint64_t)json_integer_value(json_array_get(range, 1)) >= next &&
                                 next <= SLOT_MAX && (last == 0 || next <= last + SLOTS_AHEAD);
            if (reached && (lowest == 0 || next < lowest)) lowest = next;
        }
    }
    w->first = w->last = lowest != 0 ? lowest : last + 1;
    if (w->first <= SLOT_MAX) return EXIT_OK;
    return client_fail(c, EXIT_USAGE,
                       "--slots: expected a slot up to %d, and the next one is %llu: every slot is allotted",
                       SLOT_MAX, (unsigned long long)w->first);
}

/* The slots that this owner allotted already, so that nobody reads a recipe for nothing. */
static int check_slots(const struct client *c, const struct approve_words *w, const json_t *recipe)
{
    const json_t *approval, *range;
    size_t i, k;
    const json_int_t next = (json_int_t)last_allotted(recipe, w->asset) + 1;
    bool overlap = false;
    json_array_foreach(json_object_get(recipe, "approvals"), i, approval)
    {
        if (strcmp(client_text(approval, "dataset"), w->asset) != 0) continue;
        json_array_foreach(json_object_get(approval, "ranges"), k, range)
        {
            json_int_t first = json_integer_value(json_array_get(range, 0));
            json_int_t last = json_integer_value(json_array_get(range, 1));
            overlap |= (json_int_t)w->first <= last && first <= (json_int_t)w->last;
        }
    }
    if (!overlap) return EXIT_OK;
    return client_fail(
        c, EXIT_REFUSED,
        "slot-overlap: slots %llu-%llu overlap what is approved already; the first slot behind that "
        "is %" JSON_INTEGER_FORMAT ": --slots %" JSON_INTEGER_FORMAT "-...",
        (unsigned long long)w->first, (unsigned long long)w->last, next, next);
}

/* --- On another machine ------------------------------------------------------------------------------------------------ */

/* The ops' documents and code, in the order of the steps. */
static int fetch_ops(const struct client *c, json_t *out, const json_t *recipe)
{
    const json_t *op;
    size_t i;
    int code = EXIT_OK;
    json_array_foreach(json_object_get(recipe, "ops"), i, op)
    {
        json_t *answer = NULL;
        if (code == EXIT_OK) code = client_get(c, &answer, "/v1/ops/%s/code", client_text(op, "op"));
        if (code == EXIT_OK)
            (void)json_array_append_new(out,
                                        json_pack("{s:s, s:s}", "document", client_text(answer, "document"),
                                                  "code", client_text(answer, "code")));
        json_decref(answer);
    }
    return code;
}

static int write_request(const struct client *c, const char *path, json_t *request)
{
    char *text = json_dumps(request, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(request);
    enum err err = text == NULL ? ERR_NO_MEMORY : file_write(path, span_text(text), 0644, false);
    free(text);
    if (err != OK) return client_fail(c, EXIT_REFUSED, "%s: %s", path, file_why(err));
    return client_done(
        c, json_pack("{s:s}", "file", path),
        "wrote %s: where the approval key is, `perigee approval sign %s --key FILE --out FILE` shows "
        "and signs it",
        path, path);
}

static int offline(const struct client *c, const struct approve_words *w, const json_t *recipe,
                   const json_t *status)
{
    if (strcmp(client_text(status, "approval_key"), client_text(status, "node")) == 0)
        return client_fail(
            c, EXIT_REFUSED,
            "--offline: expected a node whose approval key is kept elsewhere; this one signs its "
            "approvals itself, and no other key may: leave --offline out");
    json_t *ops = json_array();
    int code = fetch_ops(c, ops, recipe);
    if (code == EXIT_OK)
        code = write_request(c, w->offline,
                             approval_file_make(client_text(status, "consortium"),
                                                client_text(status, "node"), w->asset, w->first, w->last,
                                                client_text(recipe, "document"), ops));
    json_decref(ops);
    return code;
}

/* --- Here -------------------------------------------------------------------------------------------------------------- */

static int approve_here(const struct client *c, const struct approve_words *w, const json_t *recipe)
{
    json_t *answer = NULL;
    int code = show(c, w, recipe);
    if (code == EXIT_OK)
        code = client_post(c, &answer,
                           json_pack("{s:s, s:s, s:I, s:I, s:s}", "dataset", w->asset, "compose", w->workflow,
                                     "slot_first", (json_int_t)w->first, "slot_last", (json_int_t)w->last,
                                     "text_hash", client_text(recipe, "text_hash")),
                           "/v1/approvals");
    if (code != EXIT_OK) return code;
    (void)json_object_set(answer, "text_hash", json_object_get(recipe, "text_hash"));
    return client_done(c, answer, "approved for slots %llu-%llu, having read text %s, record %s",
                       (unsigned long long)w->first, (unsigned long long)w->last,
                       client_text(answer, "text_hash"), client_text(answer, "record"));
}

/* Nobody approves for another, so nobody reads for nothing either. */
static int check_owner(const struct client *c, const struct approve_words *w, const json_t *status)
{
    json_t *asset = NULL;
    int code = client_get(c, &asset, "/v1/assets/%s", w->asset);
    if (code != EXIT_OK) return code;
    const bool passed_on = json_is_string(json_object_get(asset, "holder"));
    if (strcmp(client_text(asset, passed_on ? "holder" : "owner"), client_text(status, "node")) != 0)
        code = client_fail(c, EXIT_REFUSED,
                           "not-owner: expected a dataset of this node; %s is owned by %s, which approves it "
                           "itself",
                           w->asset, client_text(asset, "organisation"));
    json_decref(asset);
    return code;
}

static int approve_recipe(const struct client *c, struct approve_words *w, const json_t *status)
{
    json_t *recipe = NULL;
    int code = client_get(c, &recipe, "/v1/workflows/%s?asset=%s", w->workflow, w->asset);
    if (code != EXIT_OK) return code;
    code = recipe_check(c, client_text(recipe, "document"));
    if (code == EXIT_OK && w->slots == NULL) code = choose_slot(c, w, recipe);
    if (code == EXIT_OK) code = check_slots(c, w, recipe);
    if (code == EXIT_OK)
        code = w->offline != NULL ? offline(c, w, recipe, status) : approve_here(c, w, recipe);
    json_decref(recipe);
    return code;
}

static int approve(const struct client *c, struct approve_words *w)
{
    json_t *status = NULL;
    int code = client_get(c, &status, "/v1/status");
    if (code == EXIT_OK) code = check_owner(c, w, status);
    if (code == EXIT_OK) code = approve_recipe(c, w, status);
    json_decref(status);
    return code;
}

int command_approve(int argc, char **argv)
{
    struct client c;
    struct approve_words w = {0};
    const struct argument option[] = {{"--asset", &w.asset, NULL},
                                      {"--workflow", &w.workflow, NULL},
                                      {"--slots", &w.slots, NULL},
                                      {"--offline", &w.offline, NULL},
                                      {"--yes", NULL, &w.yes}};
    struct arguments a = {option, sizeof option / sizeof option[0], 0, 0, 0, NULL};
    int code = client_begin(&c, "approve", &a, argc, argv);
    if (code == EXIT_OK) code = client_check_token(&c, "--asset", w.asset);
    if (code == EXIT_OK) code = client_check_hash(&c, "--workflow", w.workflow);
    if (code == EXIT_OK) code = read_slots(&c, &w);
    return code == EXIT_OK ? approve(&c, &w) : code;
}
