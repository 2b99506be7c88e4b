#include "node/command_list.h"
#include "node/document_file.h"

#include <stdlib.h>

int command_op_register(int argc, char **argv)
{
    struct client c;
    const char *path = NULL;
    char *document = NULL;
    struct arguments a = {NULL, 0, 1, 1, 0, &path};
    json_t *answer = NULL;
    int code = client_begin(&c, "op register", &a, argc, argv);
    if (code == EXIT_OK) code = document_file_read(&document, &c, path, "op/1");
    if (code == EXIT_OK) code = client_post(&c, &answer, json_pack("{s:s}", "document", document), "/v1/ops");
    free(document);
    if (code != EXIT_OK) return code;
    return client_done(&c, answer, "signed op %s; it counts when s stewards have", client_text(answer, "op"));
}

int command_op_list(int argc, char **argv)
{
    static const struct command_list list = {"op list",
                                             "/v1/ops",
                                             "ops",
                                             "no ops",
                                             5,
                                             {{"OP", "op", 0},
                                              {"NAME", "name", 0},
                                              {"SIGNED", "signatures", 0},
                                              {"OF", "needed", 0},
                                              {"IN FORCE", "registered", 0}}};
    return command_list_run(&list, argc, argv);
}
