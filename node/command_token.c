#include "node/command_list.h"
#include "node/file.h"
#include "node/scope.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TOKEN_DAYS_MAX = 3650 };

/* "read,request" as the list that the API takes. */
static int put_scopes(const struct client *c, json_t *body, const char *words)
{
    uint32_t scopes = 0;
    if (words == NULL) return client_need(c, "--scopes A,B", words);
    if (scope_parse(&scopes, span_text(words)) != OK)
        return client_fail(
            c, EXIT_USAGE,
            "--scopes: expected some of monitor,read,request,approve,admin, each once, got \"%.80s\"", words);
    json_t *list = json_array();
    for (uint32_t bit = 1; bit <= (uint32_t)SCOPE_ALL; bit <<= 1)
        if ((scopes & bit) != 0) (void)json_array_append_new(list, json_string(scope_name(bit)));
    (void)json_object_set_new(body, "scopes", list);
    return EXIT_OK;
}

/* Into a file that only its owner reads, where one is named: a terminal remembers what it showed. */
static int hand_over(const struct client *c, json_t *answer, const char *out)
{
    char line[256];
    if (out == NULL)
        return client_done(c, answer, "%s\nid %s; it is shown this once", client_text(answer, "token"),
                           client_text(answer, "id"));
    (void)snprintf(line, sizeof line, "%s\n", client_text(answer, "token"));
    const enum err err = file_write(out, span_text(line), 0600, false);
    if (err != OK) {
        const int code = client_fail(c, EXIT_REFUSED, "%s: %s; the token %s is not kept: revoke it", out,
                                     file_why(err), client_text(answer, "id"));
        json_decref(answer);
        return code;
    }
    (void)json_object_del(answer, "token");
    (void)json_object_set_new(answer, "file", json_string(out));
    return client_done(c, answer, "wrote %s, the token with id %s", out, client_text(answer, "id"));
}

int command_token_create(int argc, char **argv)
{
    struct client c;
    const char *name = NULL, *scopes = NULL, *days = NULL, *out = NULL;
    const struct argument option[] = {
        {"--name", &name, NULL}, {"--scopes", &scopes, NULL}, {"--days", &days, NULL}, {"--out", &out, NULL}};
    struct arguments a = {option, 4, 0, 0, 0, NULL};
    uint64_t count = 0;
    json_t *answer = NULL;
    int code = client_begin(&c, "token create", &a, argc, argv);
    if (code == EXIT_OK) code = client_need(&c, "--name NAME", name);
    if (code == EXIT_OK && days != NULL && arguments_number(&count, "--days", days, 1, TOKEN_DAYS_MAX) != OK)
        code = EXIT_USAGE;
    if (code != EXIT_OK) return code;
    if (code == EXIT_OK && out != NULL && access(out, F_OK) == 0)
        return client_fail(&c, EXIT_REFUSED, "%s: exists already: name a new file; no token was made", out);
    json_t *body = json_pack("{s:s}", "name", name);
    if (body != NULL && days != NULL)
        (void)json_object_set_new(body, "expires_in_ms", json_integer((json_int_t)count * 86400000));
    code = body != NULL ? put_scopes(&c, body, scopes) : EXIT_OK;
    if (code == EXIT_OK)
        code = client_post(&c, &answer, body, "/v1/tokens");
    else
        json_decref(body);
    return code == EXIT_OK ? hand_over(&c, answer, out) : code;
}

static void print_time(const char *what, json_int_t at_ms)
{
    char text[32] = "never";
    struct tm utc;
    const time_t at = (time_t)(at_ms / 1000);
    if (at != 0 && gmtime_r(&at, &utc) != NULL) (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    (void)printf("  %s %s", what, text);
}

static void print_token(const json_t *t)
{
    size_t i;
    const json_t *scope;
    (void)printf("%s  %-20s ", client_text(t, "id"), client_text(t, "name"));
    json_array_foreach(json_object_get(t, "scopes"), i, scope)(void)
        printf("%s%s", i > 0 ? "," : "", json_string_value(scope));
    print_time("expires", client_number(t, "expires_ms"));
    print_time("used", client_number(t, "used_ms"));
    (void)fputc('\n', stdout);
}

int command_token_list(int argc, char **argv)
{
    struct client c;
    struct arguments a = {NULL, 0, 0, 0, 0, NULL};
    json_t *answer = NULL;
    const json_t *one;
    size_t i;
    int code = client_begin(&c, "token list", &a, argc, argv);
    if (code == EXIT_OK) code = client_get(&c, &answer, "/v1/tokens");
    if (code != EXIT_OK) return code;
    const json_t *tokens = json_object_get(answer, "tokens");
    json_array_foreach(tokens, i, one)
    {
        if (c.json)
            client_print(one);
        else
            print_token(one);
    }
    if (!c.json && json_array_size(tokens) == 0) (void)puts("no tokens");
    json_decref(answer);
    return EXIT_OK;
}

int command_token_revoke(int argc, char **argv)
{
    struct client c;
    const char *id = NULL;
    struct arguments a = {NULL, 0, 1, 1, 0, &id};
    json_t *answer = NULL;
    int code = client_begin(&c, "token revoke", &a, argc, argv);
    if (code == EXIT_OK && strspn(id, "0123456789abcdef") != 16)
        code = client_fail(&c, EXIT_USAGE, "expected a token's id of 16 lower-case hex digits, got \"%.80s\"",
                           id);
    if (code == EXIT_OK) code = client_post(&c, &answer, json_object(), "/v1/tokens/%s/revoke", id);
    return code == EXIT_OK ? client_done(&c, answer, "revoked %s", id) : code;
}
