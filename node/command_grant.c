#include "node/client.h"

enum { GRANT_OP_COUNT_MAX = 16 };

struct grant_words {
    const char *asset, *to, *op, *slots, *epsilon;
    const char *more[GRANT_OP_COUNT_MAX - 1]; /* ops after the first: --op A B C */
    uint32_t more_count;
};

static int check(const struct client *c, const struct grant_words *w, uint64_t *slots)
{
    int code = client_check_token(c, "--asset", w->asset);
    if (code == EXIT_OK) code = client_check_token(c, "--to", w->to);
    if (code == EXIT_OK) code = client_check_hash(c, "--op", w->op);
    for (uint32_t i = 0; i < w->more_count && code == EXIT_OK; i++)
        code = client_check_hash(c, "--op", w->more[i]);
    if (code == EXIT_OK && w->slots != NULL &&
        arguments_number(slots, "--slots", w->slots, 1, UINT32_MAX) != OK)
        code = EXIT_USAGE;
    return code;
}

static int post(const struct client *c, const struct grant_words *w, uint64_t slots)
{
    json_t *ops = json_array(), *answer = NULL;
    (void)json_array_append_new(ops, json_string(w->op));
    for (uint32_t i = 0; i < w->more_count; i++) (void)json_array_append_new(ops, json_string(w->more[i]));
    json_t *body =
        json_pack("{s:s, s:s, s:o, s:I, s:s}", "lower", w->asset, "higher", w->to, "ops", ops, "slots_max",
                  (json_int_t)slots, "epsilon_max", w->epsilon != NULL ? w->epsilon : "1");
    int code = client_post(c, &answer, body, "/v1/grants");
    if (code != EXIT_OK) return code;
    return client_done(c, answer, "granted, record %s", client_text(answer, "record"));
}

int command_grant(int argc, char **argv)
{
    struct client c;
    struct grant_words w = {0};
    uint64_t slots = 1;
    const struct argument option[] = {{"--asset", &w.asset, NULL},
                                      {"--to", &w.to, NULL},
                                      {"--op", &w.op, NULL},
                                      {"--slots", &w.slots, NULL},
                                      {"--epsilon", &w.epsilon, NULL}};
    struct arguments a = {option, sizeof option / sizeof option[0], 0, GRANT_OP_COUNT_MAX - 1, 0, w.more};
    int code = client_begin(&c, "grant", &a, argc, argv);
    w.more_count = a.word_count;
    if (code == EXIT_OK) code = check(&c, &w, &slots);
    return code == EXIT_OK ? post(&c, &w, slots) : code;
}
