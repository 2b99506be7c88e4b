#include "node/command_list.h"
#include "node/measure.h"
#include "node/problem.h"
#include "proto/wire/table.h"

#include <stdio.h>

enum { MEASUREMENT_COUNT_MAX = 16 };

int command_workers_register(int argc, char **argv)
{
    struct client c;
    const char *name = NULL, *version = NULL, *measurement[MEASUREMENT_COUNT_MAX];
    const struct argument option[] = {{"--name", &name, NULL}, {"--version", &version, NULL}};
    struct arguments a = {option, 2, 1, MEASUREMENT_COUNT_MAX, 0, measurement};
    json_t *answer = NULL, *list = json_array();
    int code = client_begin(&c, "workers register", &a, argc, argv);
    uint64_t number = 0;
    if (code == EXIT_OK) code = client_need(&c, "--name NAME", name);
    if (code == EXIT_OK && version != NULL &&
        arguments_number(&number, "--version", version, 1, WORKERS_VERSION_MAX) != OK)
        code = EXIT_USAGE;
    for (uint32_t i = 0; i < a.word_count && code == EXIT_OK; i++) {
        code = client_check_hash(&c, "MEASUREMENT", measurement[i]);
        (void)json_array_append_new(list, json_string(measurement[i]));
    }
    if (code != EXIT_OK) {
        json_decref(list);
        return code;
    }
    json_t *body = json_pack("{s:s, s:o}", "name", name, "measurements", list);
    if (number != 0) (void)json_object_set_new(body, "version", json_integer((json_int_t)number));
    code = client_post(&c, &answer, body, "/v1/workers");
    if (code != EXIT_OK) return code;
    json_int_t signed_version = client_number(answer, "version");
    return client_done(&c, answer, "signed version %lld of worker set %s; it counts when s stewards have",
                       (long long)signed_version, name);
}

int command_workers_list(int argc, char **argv)
{
    static const struct command_list list = {"workers list",
                                             "/v1/workers",
                                             "workers",
                                             "no worker sets",
                                             6,
                                             {{"NAME", "name", 0},
                                              {"VERSION", "version", 0},
                                              {"SIGNED", "signatures", 0},
                                              {"OF", "needed", 0},
                                              {"IN FORCE", "in_force", 0},
                                              {"MEASUREMENTS", "measurements", 0}}};
    return command_list_run(&list, argc, argv);
}

int command_workers_measure(int argc, char **argv)
{
    bool json = false;
    const struct argument option[] = {{"--json", NULL, &json}};
    struct arguments a = {option, 1, 0, 0, 0, NULL};
    struct hash32 measurement;
    char text[65];
    if (arguments_parse(&a, argc, argv) != OK) return EXIT_USAGE;
    enum err err = measure_self(&measurement);
    if (err != OK) return problem_say(EXIT_REFUSED, "this program's own file: %s", err_text(err));
    hex_encode(text, measurement.bytes, 32);
    (void)printf(json ? "{\"measurement\":\"%s\"}\n" : "%s\n", text);
    return EXIT_OK;
}
