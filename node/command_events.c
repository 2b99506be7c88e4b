#include "node/client.h"

#include <stdio.h>
#include <string.h>

/* One line: the id, so that --since can go on from there, the type and what it says. */
static bool print_event(void *context, const char *id, const char *type, const char *data)
{
    const struct client *c = context;
    json_t *what = json_loads(data, 0, NULL);
    if (c->json) {
        json_t *line = json_pack("{s:s, s:s, s:O?}", "id", id, "event", type, "data", what);
        if (line != NULL) client_print(line);
        json_decref(line);
    } else {
        (void)printf("%s  %-7s", id, type);
        const char *name;
        json_t *value;
        json_object_foreach(what, name, value)
        {
            if (json_is_string(value)) (void)printf(" %s=%s", name, json_string_value(value));
            if (json_is_integer(value))
                (void)printf(" %s=%" JSON_INTEGER_FORMAT, name, json_integer_value(value));
            if (json_is_boolean(value)) (void)printf(" %s=%s", name, json_is_true(value) ? "yes" : "no");
        }
        (void)fputc('\n', stdout);
        (void)fflush(stdout);
    }
    json_decref(what);
    return ferror(stdout) == 0;
}

int command_events(int argc, char **argv)
{
    struct client c;
    const char *run = NULL, *since = NULL;
    char path[96] = "/v1/events";
    const struct argument option[] = {{"--run", &run, NULL}, {"--since", &since, NULL}};
    struct arguments a = {option, 2, 0, 0, 0, NULL};
    int code = client_begin(&c, "events", &a, argc, argv);
    if (code == EXIT_OK && run != NULL) code = client_check_hash(&c, "--run", run);
    if (code != EXIT_OK) return code;
    if (run != NULL) (void)snprintf(path, sizeof path, "/v1/events?run=%s", run);
    return client_follow(&c, path, since, &(struct http_follower){print_event, &c});
}
