#include "node/client.h"
#include "node/measure.h"
#include "node/problem.h"

#include <stdio.h>

enum { MEASUREMENT_COUNT_MAX = 16 };

int command_workers_register(int argc, char **argv)
{
    struct client c;
    const char *name = NULL, *measurement[MEASUREMENT_COUNT_MAX];
    const struct argument option[] = {{"--name", &name, NULL}};
    struct arguments a = {option, 1, 1, MEASUREMENT_COUNT_MAX, 0, measurement};
    json_t *answer = NULL, *list = json_array();
    int code = client_begin(&c, "workers register", &a, argc, argv);
    if (code == EXIT_OK) code = client_need(&c, "--name NAME", name);
    for (uint32_t i = 0; i < a.word_count && code == EXIT_OK; i++) {
        code = client_check_hash(&c, "MEASUREMENT", measurement[i]);
        (void)json_array_append_new(list, json_string(measurement[i]));
    }
    if (code != EXIT_OK) {
        json_decref(list);
        return code;
    }
    code =
        client_post(&c, &answer, json_pack("{s:s, s:o}", "name", name, "measurements", list), "/v1/workers");
    if (code != EXIT_OK) return code;
    return client_done(&c, answer, "signed worker set %s; it counts when s stewards have", name);
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
