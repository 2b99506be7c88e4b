#include "node/command_list.h"
#include "node/document_file.h"
#include "node/recipe_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int command_workflow_publish(int argc, char **argv)
{
    struct client c;
    const char *app = NULL, *path = NULL;
    bool unchecked = false;
    char *document = NULL;
    const struct argument option[] = {{"--app", &app, NULL}, {"--unchecked", NULL, &unchecked}};
    struct arguments a = {option, 2, 1, 1, 0, &path};
    json_t *answer = NULL;
    int code = client_begin(&c, "workflow publish", &a, argc, argv);
    if (code == EXIT_OK) code = client_check_token(&c, "--app", app);
    if (code == EXIT_OK) code = document_file_read(&document, &c, path, "workflow/1");
    if (code == EXIT_OK && !unchecked) code = recipe_check(&c, document);
    if (code == EXIT_OK)
        code = client_post(&c, &answer, json_pack("{s:s, s:s}", "app", app, "workflow", document),
                           "/v1/workflows");
    free(document);
    if (code != EXIT_OK) return code;
    (void)json_object_set_new(answer, "checked", json_boolean(!unchecked));
    return client_done(&c, answer, "published workflow %s%s", client_text(answer, "compose"),
                       unchecked ? ", NOT CHECKED HERE: every owner checks it when approving" : "");
}

static int get(struct client *c, json_t **answer, const char *command, int argc, char **argv)
{
    const char *hash = NULL, *asset = NULL;
    const struct argument option[] = {{"--asset", &asset, NULL}};
    struct arguments a = {option, 1, 1, 1, 0, &hash};
    int code = client_begin(c, command, &a, argc, argv);
    if (code == EXIT_OK) code = client_check_hash(c, "HASH", hash);
    if (code == EXIT_OK && asset != NULL) code = client_check_token(c, "--asset", asset);
    if (code != EXIT_OK) return code;
    return client_get(c, answer, "/v1/workflows/%s%s%s", hash, asset != NULL ? "?asset=" : "",
                      asset != NULL ? asset : "");
}

int command_workflow_show(int argc, char **argv)
{
    struct client c;
    json_t *answer = NULL;
    int code = get(&c, &answer, "workflow show", argc, argv);
    if (code != EXIT_OK) return code;
    if (c.json)
        client_print(answer);
    else
        (void)fputs(client_text(answer, "text"), stdout);
    json_decref(answer);
    return EXIT_OK;
}

/* One row for every range of slots that an owner approved; an owner without one keeps the row it has. */
static json_t *approval_rows(const json_t *answer)
{
    size_t i, k;
    json_t *approval, *range, *rows = json_array();
    json_array_foreach(json_object_get(answer, "approvals"), i, approval)
    {
        const json_t *ranges = json_object_get(approval, "ranges");
        if (json_array_size(ranges) == 0) (void)json_array_append(rows, approval);
        json_array_foreach(ranges, k, range)
        {
            json_t *row = json_copy(approval);
            (void)json_object_set(row, "slot_first", json_array_get(range, 0));
            (void)json_object_set(row, "slot_last", json_array_get(range, 1));
            (void)json_array_append_new(rows, row);
        }
    }
    return rows;
}

static void print_status(const json_t *answer)
{
    static const struct listing_column column[] = {{"OWNER", "organisation", 0},
                                                   {"APPROVAL", "state", 0},
                                                   {"FIRST SLOT", "slot_first", 0},
                                                   {"LAST", "slot_last", 0},
                                                   {"GRANTED SLOTS", "granted_slots", 0},
                                                   {"EPSILON", "granted_epsilon", 0},
                                                   {"DATASET", "dataset", 0}};
    const json_t *job = json_object_get(answer, "job");
    json_t *rows = approval_rows(answer);
    (void)printf("workflow   %s (%s, by %s), epsilon %s a run\napprovals  %" JSON_INTEGER_FORMAT
                 " of %" JSON_INTEGER_FORMAT "\n",
                 client_text(answer, "compose"), client_text(answer, "name"), client_text(answer, "provider"),
                 client_text(answer, "epsilon"), client_number(answer, "approved"),
                 client_number(answer, "needed"));
    if (strcmp(client_text(answer, "privacy"), "none") == 0)
        (void)puts("privacy    NONE: no noise is added, and the output can reveal single people");
    if (json_is_object(job))
        (void)printf("job        %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT " endorsements\n",
                     client_number(job, "endorsements"), client_number(job, "needed"));
    else
        (void)puts("job        none: the algorithm provider posts one with `perigee job post`");
    listing_print(rows, column, sizeof column / sizeof column[0], "no inputs");
    json_decref(rows);
}

int command_workflow_status(int argc, char **argv)
{
    struct client c;
    json_t *answer = NULL;
    int code = get(&c, &answer, "workflow status", argc, argv);
    if (code != EXIT_OK) return code;
    if (c.json) {
        static const char *const long_members[] = {"document", "text", "diff"}; /* `workflow show` has them */
        for (size_t i = 0; i < 3; i++) (void)json_object_del(answer, long_members[i]);
        client_print(answer);
    } else {
        print_status(answer);
    }
    json_decref(answer);
    return EXIT_OK;
}
