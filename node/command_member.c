#include "node/command_list.h"
#include "proto/wire/table.h"

int command_member_request(int argc, char **argv)
{
    struct client c;
    struct arguments a = {NULL, 0, 0, 0, 0, NULL};
    json_t *answer = NULL;
    int code = client_begin(&c, "member request", &a, argc, argv);
    if (code == EXIT_OK) code = client_post(&c, &answer, json_object(), "/v1/members/request");
    if (code != EXIT_OK) return code;
    return client_done(&c, answer,
                       "asked; the stewards, or a device's maker, admit with `perigee member admit`");
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
    const char *replaces = client_text(answer, "replaces");
    if (replaces[0] == 0) return client_done(&c, answer, "signed the admission of %s", node);
    char old[65];
    (void)snprintf(old, sizeof old, "%s", replaces);
    return client_done(&c, answer,
                       "signed the admission of %s in the place of %s, whose datasets and budgets pass to it",
                       node, old);
}

int command_member_remove(int argc, char **argv)
{
    struct client c;
    const char *node = NULL, *last_seq = NULL;
    const struct argument option[] = {{"--last-seq", &last_seq, NULL}};
    struct arguments a = {option, 1, 1, 1, 0, &node};
    json_t *answer = NULL;
    uint64_t number = 0;
    int code = client_begin(&c, "member remove", &a, argc, argv);
    if (code == EXIT_OK) code = client_check_hash(&c, "NODE", node);
    if (code == EXIT_OK && last_seq != NULL &&
        arguments_number(&number, "--last-seq", last_seq, 0, UINT_TIME) != OK)
        code = EXIT_USAGE;
    if (code != EXIT_OK) return code;
    json_t *body = json_object();
    if (last_seq != NULL) (void)json_object_set_new(body, "last_seq", json_integer((json_int_t)number));
    code = client_post(&c, &answer, body, "/v1/members/%s/remove", node);
    if (code != EXIT_OK) return code;
    if (json_is_null(json_object_get(answer, "last_seq")))
        return client_done(&c, answer, "revoked the device %s", node);
    const json_int_t signed_seq = client_number(answer, "last_seq");
    return client_done(&c, answer,
                       "signed the removal of %s after its record %lld; it counts when s stewards have", node,
                       (long long)signed_seq);
}

static const struct command_list members = {"member list",
                                            "/v1/members",
                                            "members",
                                            "no members",
                                            6,
                                            {{"ORGANISATION", "organisation", 0},
                                             {"IN", "jurisdiction", 0},
                                             {"ROLES", "roles", 0},
                                             {"STANDING", "standing", 0},
                                             {"NODE", "node", 0},
                                             {"MAKER", "maker", 16}}};
static const struct command_list requests = {"member list",
                                             "/v1/members",
                                             "requests",
                                             "",
                                             6,
                                             {{"WAITING", "organisation", 0},
                                              {"IN", "jurisdiction", 0},
                                              {"ROLES", "roles", 0},
                                              {"NODE", "node", 0},
                                              {"REPLACES", "replaces", 16},
                                              {"OLD KEY AGREES", "consents", 0}}};

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
