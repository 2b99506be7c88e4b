#include "node/command_list.h"

void command_list_show(const struct command_list *list, const struct client *c, const json_t *answer)
{
    const json_t *rows = json_object_get(answer, list->member);
    size_t i;
    json_t *row;
    if (!c->json) {
        listing_print(rows, list->column, list->column_count, list->nothing);
        return;
    }
    json_array_foreach(rows, i, row) client_print(row);
}

int command_list_run(const struct command_list *list, int argc, char **argv)
{
    struct client c;
    struct arguments a = {NULL, 0, 0, 0, 0, NULL};
    json_t *answer = NULL;
    int code = client_begin(&c, list->command, &a, argc, argv);
    if (code == EXIT_OK) code = client_get_all(&c, &answer, list->path);
    if (code != EXIT_OK) return code;
    command_list_show(list, &c, answer);
    json_decref(answer);
    return EXIT_OK;
}
