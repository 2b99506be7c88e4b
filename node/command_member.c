#include "node/command_list.h"

int command_member_request(int argc, char **argv)
{
    struct client c;
    struct arguments a = {NULL, 0, 0, 0, 0, NULL};
    json_t *answer = NULL;
    int code = client_begin(&c, "member request", &a, argc, argv);
    if (code == EXIT_OK) code = client_post(&c, &answer, json_object(), "/v1/members/request");
    if (code != EXIT_OK) return code;
    return client_done(&c, answer, "asked; stewards admit with `perigee member admit`");
}

int command_member_admit(int argc, char **argv)
{
    struct client c;
    const char *node = NULL;
    struct arguments a = {NULL, 0, 1, 1, 0, &node};
    json_t *answer = NULL;
    int code = client_begin(&c, "member admit", &a, argc, argv);
    if (code == EXIT_OK) code = client_check_hash(&c, "NODE", node);
    if (code == EXIT_OK) code = client_post(&c, &answer, json_pack("{s:s}", "node", node), "/v1/members");
    if (code != EXIT_OK) return code;
    return client_done(&c, answer, "signed the admission of %s", node);
}

static const struct command_list members = {"member list",
                                            "/v1/members",
                                            "members",
                                            "no members",
                                            4,
                                            {{"ORGANISATION", "organisation", 0},
                                             {"IN", "jurisdiction", 0},
                                             {"ROLES", "roles", 0},
                                             {"NODE", "node", 0}}};
static const struct command_list requests = {
    "member list",
    "/v1/members",
    "requests",
    "",
    4,
    {{"WAITING", "organisation", 0}, {"IN", "jurisdiction", 0}, {"ROLES", "roles", 0}, {"NODE", "node", 0}}};

/* In a stream, a waiting request is an object with "waiting": true. */
static void mark_waiting(json_t *rows)
{
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)(void) json_object_set_new(row, "waiting", json_true());
}

int command_member_list(int argc, char **argv)
{
    struct client c;
    struct arguments a = {NULL, 0, 0, 0, 0, NULL};
    json_t *answer = NULL;
    int code = client_begin(&c, "member list", &a, argc, argv);
    if (code == EXIT_OK) code = client_get_all(&c, &answer, "/v1/members");
    if (code != EXIT_OK) return code;
    mark_waiting(json_object_get(answer, "requests"));
    command_list_show(&members, &c, answer);
    if (json_array_size(json_object_get(answer, "requests")) > 0) command_list_show(&requests, &c, answer);
    json_decref(answer);
    return EXIT_OK;
}
