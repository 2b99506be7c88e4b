#include "node/client.h"

#include <stdio.h>
#include <string.h>

static void show_runs(const json_t *runs)
{
    size_t i;
    json_t *run;
    json_array_foreach(runs, i, run)(void)
        printf("    slot %-6lld %.16s  %s\n", (long long)client_number(run, "slot"), client_text(run, "run"),
               json_is_true(json_object_get(run, "receipt")) ? "spent, with a receipt"
               : json_is_true(json_object_get(run, "spent")) ? "spent"
                                                             : client_text(run, "state"));
}

static void show(const json_t *budget)
{
    size_t i;
    json_t *entry;
    (void)printf("%s  %s\nepsilon %s: %s allotted, %s left\n", client_text(budget, "name"),
                 client_text(budget, "dt"), client_text(budget, "budget"), client_text(budget, "allotted"),
                 client_text(budget, "left"));
    json_array_foreach(json_object_get(budget, "allotments"), i, entry)
    {
        (void)printf("  %s  %.16s  slots %lld-%lld at %s: %s  %s\n", client_text(entry, "workflow"),
                     client_text(entry, "compose"), (long long)client_number(entry, "slot_first"),
                     (long long)client_number(entry, "slot_last"), client_text(entry, "epsilon_per_slot"),
                     client_text(entry, "epsilon"), client_text(entry, "state"));
        show_runs(json_object_get(entry, "runs"));
    }
}

int command_budget(int argc, char **argv)
{
    struct client c;
    const char *asset = NULL;
    const struct argument option[] = {{"--asset", &asset, NULL}};
    struct arguments a = {option, 1, 0, 0, 0, NULL};
    json_t *budget = NULL;
    char path[128];
    int code = client_begin(&c, "budget", &a, argc, argv);
    if (code == EXIT_OK) code = client_check_token(&c, "--asset", asset);
    if (code != EXIT_OK) return code;
    (void)snprintf(path, sizeof path, "/v1/assets/%s/budget", asset);
    code = client_get_all(&c, &budget, path);
    if (code != EXIT_OK) return code;
    if (c.json)
        client_print(budget);
    else
        show(budget);
    json_decref(budget);
    return EXIT_OK;
}
