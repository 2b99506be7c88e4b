#include "node/client.h"

#include "crypto/secret.h"
#include "crypto/tls.h"
#include "node/config.h"
#include "node/file.h"
#include "node/http.h"
#include "node/passphrase.h"
#include "node/problem.h"
#include "storage/store.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLIENT_OPTION_MAX = 32, CLIENT_OWN_OPTIONS = 6, CLIENT_PATH_MAX = 512 };

int client_fail(const struct client *c, int code, const char *format, ...)
{
    va_list arguments;
    (void)c; /* the process has said already which command runs, and for whom it speaks */
    va_start(arguments, format);
    code = problem_say_list(code, format, arguments);
    va_end(arguments);
    return code;
}

/* --- Beginning ------------------------------------------------------------------------------------------------------ */

static const char *from_environment(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != 0 ? value : NULL;
}

/* "https://HOST:PORT"; *tls is false for http. */
static bool read_url(struct client *c, bool *tls)
{
    const size_t scheme = strncmp(c->api, "https://", 8) == 0  ? 8
                          : strncmp(c->api, "http://", 7) == 0 ? 7
                                                               : 0;
    const char *from = c->api + scheme, *colon = strrchr(from, ':');
    const size_t host = colon != NULL ? (size_t)(colon - from) : 0;
    *tls = scheme == 8;
    if (scheme == 0 || host == 0 || host >= sizeof c->host || colon[1] == 0 || strlen(colon + 1) > 5)
        return false;
    if (strspn(colon + 1, "0123456789") != strlen(colon + 1)) return false;
    const bool bracketed = from[0] == '[' && host > 2 && colon[-1] == ']';
    (void)snprintf(c->host, sizeof c->host, "%.*s", (int)(bracketed ? host - 2 : host), from + bracketed);
    (void)snprintf(c->port, sizeof c->port, "%s", colon + 1);
    return bracketed || strchr(c->host, ':') == NULL;
}

static int read_authorities(struct client *c, struct tls_end **end)
{
    uint8_t fingerprint[TLS_FINGERPRINT_BYTES];
    char *text = NULL;
    size_t len = 0;
    if (c->fingerprint != NULL &&
        hex_decode(fingerprint, sizeof fingerprint, span_text(c->fingerprint)) != OK)
        return client_fail(c, EXIT_USAGE, "--fingerprint: expected 64 lower-case hex digits, got \"%.80s\"",
                           c->fingerprint);
    if (c->fingerprint != NULL) return tls_client_pinned(end, fingerprint) == OK ? EXIT_OK : EXIT_REFUSED;
    enum err err = c->ca != NULL ? file_read(&text, &len, c->ca, TLS_PEM_BYTES_MAX) : OK;
    if (err == OK) err = tls_client(end, span_make(text, len));
    free(text);
    return err == OK ? EXIT_OK
                     : client_fail(c, EXIT_REFUSED, "%s: expected certificates of authorities in PEM: %s",
                                   c->ca != NULL ? c->ca : "the system's", file_why(err));
}

/* What a process believes and shows: one of each, for as long as it runs. */
static struct tls_end *authorities;
static struct passphrase *token;

static int read_token(struct client *c)
{
    char fault[512] = "";
    if (passphrase_read(&token, c->token_file, false, fault, sizeof fault) != OK)
        return client_fail(c, EXIT_USAGE, "--token-file: %s", fault);
    for (size_t i = 0; token != NULL && i < token->len; i++)
        if (token->bytes[i] <= ' ' || token->bytes[i] >= 127)
            return client_fail(c, EXIT_USAGE, "--token-file: expected a token on the first line");
    if (token != NULL) {
        token->bytes[token->len] = 0;
        c->target.token = (const char *)token->bytes;
    }
    return EXIT_OK;
}

static int find_api(struct client *c)
{
    bool tls = false;
    if (c->token_file == NULL) c->token_file = from_environment("PERIGEE_TOKEN_FILE");
    if (c->ca == NULL) c->ca = from_environment("PERIGEE_CA");
    if (c->fingerprint == NULL) c->fingerprint = from_environment("PERIGEE_FINGERPRINT");
    if (c->data != NULL) return client_fail(c, EXIT_USAGE, "expected either --data or --api, got both");
    if (!read_url(c, &tls))
        return client_fail(c, EXIT_USAGE, "--api: expected https://HOST:PORT, got \"%.200s\"", c->api);
    if (c->token_file == NULL)
        return client_fail(
            c, EXIT_USAGE,
            "expected --token-file FILE (or PERIGEE_TOKEN_FILE), with a token of `perigee token create`");
    if (crypto_init() != OK) return client_fail(c, EXIT_REFUSED, "cannot initialise cryptography");
    int code = read_token(c);
    if (code == EXIT_OK && tls) code = read_authorities(c, &authorities);
    c->target.tls = authorities;
    c->target.host = c->host;
    c->target.port = c->port;
    return code;
}

static int find_node(struct client *c)
{
    if (c->api == NULL && c->data == NULL && from_environment("PERIGEE_DATA") == NULL)
        c->api = from_environment("PERIGEE_API");
    if (c->api != NULL) return find_api(c);
    if (c->data == NULL) c->data = getenv("PERIGEE_DATA");
    if (c->data == NULL || c->data[0] == 0)
        return client_fail(c, EXIT_USAGE,
                           "expected --data DIR, a node's data directory (or PERIGEE_DATA), or --api "
                           "https://HOST:PORT with --token-file FILE");
    int len = snprintf(c->socket, sizeof c->socket, "%s/api.sock", c->data);
    if (len < 0 || len >= (int)sizeof c->socket)
        return client_fail(c, EXIT_USAGE, "--data: the path is too long");
    return EXIT_OK;
}

int client_begin(struct client *c, const char *command, struct arguments *a, int argc, char **argv)
{
    struct argument merged[CLIENT_OPTION_MAX];
    const struct argument *own = a->option;
    const uint32_t own_count = a->option_count;
    if (own_count > CLIENT_OPTION_MAX - CLIENT_OWN_OPTIONS) return EXIT_USAGE;
    *c = (struct client){.command = command};
    for (uint32_t i = 0; i < own_count; i++) merged[i] = own[i];
    merged[own_count] = (struct argument){"--data", &c->data, NULL};
    merged[own_count + 1] = (struct argument){"--json", NULL, &c->json};
    merged[own_count + 2] = (struct argument){"--api", &c->api, NULL};
    merged[own_count + 3] = (struct argument){"--token-file", &c->token_file, NULL};
    merged[own_count + 4] = (struct argument){"--ca", &c->ca, NULL};
    merged[own_count + 5] = (struct argument){"--fingerprint", &c->fingerprint, NULL};
    a->option = merged;
    a->option_count = own_count + CLIENT_OWN_OPTIONS;
    enum err err = arguments_parse(a, argc, argv);
    a->option = own;
    a->option_count = own_count;
    return err == OK ? find_node(c) : EXIT_USAGE;
}

/* --- Calls ---------------------------------------------------------------------------------------------------------- */

static const char *remedy(const struct client *c)
{
    return c->remedy != NULL ? c->remedy : "";
}

/* What to do about a certificate depends on what is wrong with it. */
static const char *tls_hint(const char *why)
{
    if (strstr(why, "mismatch") != NULL)
        return "its certificate is for other names: use one of those in --api, or `perigee tls new --name` "
               "makes one "
               "for this";
    if (strstr(why, "expired") != NULL)
        return "`perigee tls new --replace` makes another at the node, and a restart takes it into use";
    if (strstr(why, "wrong version") != NULL || strstr(why, "packet length") != NULL)
        return "it answers, and speaks no TLS: is it the API's port? In the clear (api.plaintext) it is "
               "http://, on "
               "its own machine only";
    return "--ca FILE or --fingerprint HEX say whom to believe";
}

/* A plan is posted for its size alone. */
static bool changes(const char *method, const char *path)
{
    return strcmp(method, "GET") != 0 && strcmp(path, "/v1/runs/plan") != 0;
}

/* Behind what leaves open whether a change was made. */
static const char *unsure(bool change)
{
    return change ? "; the change that was asked for may be made all the same" : "";
}

static int unreachable_api(const struct client *c, enum err err, const char *why, bool change)
{
    if (err == ERR_REFUSED && c->target.tls == NULL) return client_fail(c, EXIT_USAGE, "%s: %s", c->api, why);
    if (err == ERR_REFUSED)
        return client_fail(c, EXIT_UNREACHABLE, "%s: no TLS with it: %s; %s%s", c->api,
                           why[0] != 0 ? why : "the connection broke", tls_hint(why), remedy(c));
    if (err == ERR_UNAVAILABLE)
        return client_fail(c, EXIT_UNREACHABLE, "no node answers at %s%s%s%s", c->api,
                           why[0] != 0 ? ": " : "", why, remedy(c));
    if (err == ERR_NOT_READY)
        return client_fail(c, EXIT_UNREACHABLE,
                           "the node at %s does not answer: it may be stopped or overloaded%s%s", c->api,
                           unsure(change), remedy(c));
    return client_fail(c, EXIT_UNREACHABLE, "%s gave no whole answer (%s): it may have ended%s%s", c->api,
                       err_text(err), unsure(change), remedy(c));
}

static int unreachable(const struct client *c, enum err err, const char *why, bool change)
{
    if (c->api != NULL && err != ERR_USAGE) return unreachable_api(c, err, why, change);
    if (err == ERR_UNAVAILABLE)
        return client_fail(c, EXIT_UNREACHABLE,
                           "no node answers at %s: start it with `perigee node --data %s`%s", c->socket,
                           c->data, remedy(c));
    if (err == ERR_TOO_LARGE)
        return client_fail(c, EXIT_UNREACHABLE,
                           "%s: too long for a socket's name (107 bytes): use a shorter --data", c->socket);
    if (err == ERR_USAGE)
        return client_fail(c, EXIT_USAGE, "a word of the command line cannot stand in a request");
    if (err == ERR_NOT_READY)
        return client_fail(
            c, EXIT_UNREACHABLE,
            "the node does not answer, though its socket %s is there: it may be stopped or overloaded%s%s",
            c->socket, unsure(change), remedy(c));
    return client_fail(
        c, EXIT_UNREACHABLE,
        "the node at %s gave no whole answer (%s): it may have ended, and its log may say why%s%s", c->socket,
        err_text(err), unsure(change), remedy(c));
}

static int problem_code(int status)
{
    return status == 503 ? EXIT_TRY_LATER : EXIT_REFUSED;
}

static void add_remedy(json_t *problem, const char *remedy)
{
    json_t *detail = json_sprintf("%s%s", client_text(problem, "detail"), remedy);
    if (detail != NULL && json_is_object(problem)) (void)json_object_set(problem, "detail", detail);
    json_decref(detail);
}

static struct http_target target_of(const struct client *c)
{
    struct http_target target = c->target;
    if (c->api == NULL) target.socket_path = c->socket;
    return target;
}

static int call(const struct client *c, json_t **out, const char *method, const char *path,
                const json_t *body, bool loud)
{
    int status = 0;
    json_t *answer = NULL;
    struct http_target target = target_of(c);
    enum err err = http_call_to(&target, method, path, body, &status, &answer);
    *out = NULL;
    if (err != OK) return loud ? unreachable(c, err, target.why, changes(method, path)) : EXIT_UNREACHABLE;
    if (status >= 200 && status < 300) {
        *out = answer != NULL ? answer : json_object();
        return *out != NULL && json_is_object(*out) ? EXIT_OK : EXIT_REFUSED;
    }
    const int code = problem_code(status);
    if (c->remedy != NULL) add_remedy(answer, c->remedy);
    if (loud) (void)problem_pass_on(code, answer);
    json_decref(answer);
    return code;
}

static bool make_path(char out[CLIENT_PATH_MAX], const char *format, va_list arguments)
{
    int len = vsnprintf(out, CLIENT_PATH_MAX, format, arguments);
    return len > 0 && len < CLIENT_PATH_MAX;
}

int client_post(const struct client *c, json_t **out, json_t *body, const char *path_format, ...)
{
    char path[CLIENT_PATH_MAX];
    va_list arguments;
    va_start(arguments, path_format);
    bool good = make_path(path, path_format, arguments);
    va_end(arguments);
    *out = NULL;
    int code = good && body != NULL
                   ? call(c, out, "POST", path, body, true)
                   : client_fail(c, EXIT_USAGE, "a word of the command line is too long, or no UTF-8");
    json_decref(body);
    return code;
}

int client_get(const struct client *c, json_t **out, const char *path_format, ...)
{
    char path[CLIENT_PATH_MAX];
    va_list arguments;
    va_start(arguments, path_format);
    bool good = make_path(path, path_format, arguments);
    va_end(arguments);
    *out = NULL;
    if (!good) return client_fail(c, EXIT_USAGE, "a word of the command line is too long");
    return call(c, out, "GET", path, NULL, true);
}

static void join_arrays(json_t *all, const json_t *page)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)page, name, value)
    {
        json_t *list = json_object_get(all, name);
        if (json_is_array(list) && json_is_array(value)) (void)json_array_extend(list, value);
    }
}

/* `next` stands in `all`, which outlives the page it names. */
static int add_page(const struct client *c, json_t *all, const char *path)
{
    json_t *page = NULL;
    int code = client_get(c, &page, "%s?after=%s", path, client_text(all, "next"));
    if (code != EXIT_OK) return code;
    join_arrays(all, page);
    (void)json_object_del(all, "next");
    if (client_text(page, "next")[0] != 0) (void)json_object_set(all, "next", json_object_get(page, "next"));
    json_decref(page);
    return EXIT_OK;
}

int client_get_all(const struct client *c, json_t **out, const char *path)
{
    json_t *all = NULL;
    int code = client_get(c, &all, "%s", path);
    while (code == EXIT_OK && client_text(all, "next")[0] != 0) code = add_page(c, all, path);
    if (code == EXIT_OK) {
        (void)json_object_del(all, "next");
    } else {
        json_decref(all);
        all = NULL;
    }
    *out = all;
    return code;
}

int client_try_get(const struct client *c, json_t **out, const char *path)
{
    return call(c, out, "GET", path, NULL, false);
}

int client_follow(const struct client *c, const char *path, const char *last_id,
                  const struct http_follower *follower)
{
    int status = 0;
    json_t *problem = NULL;
    struct http_target target = target_of(c);
    const enum err err = http_follow(&target, path, last_id, follower, &status, &problem);
    int code = err == OK ? EXIT_OK : EXIT_UNREACHABLE;
    if (err == ERR_CANCELLED)
        code = client_fail(c, EXIT_UNREACHABLE,
                           "the node has ended the stream: it stops, or this end was too slow");
    else if (err != OK)
        code = unreachable(c, err, target.why, false);
    else if (status != 200)
        code = problem_pass_on(problem_code(status), problem);
    json_decref(problem);
    return code;
}

/* --- The store ------------------------------------------------------------------------------------------------------ */

int client_local(const struct client *c)
{
    if (c->data != NULL) return EXIT_OK;
    return client_fail(c, EXIT_USAGE,
                       "expected --data DIR: this works on a node's data directory, where it lies");
}

int client_store(const struct client *c, struct store **out)
{
    char fault[512] = "", path[PATH_MAX];
    struct config *config = NULL;
    *out = NULL;
    if (client_local(c) != EXIT_OK) return EXIT_USAGE;
    if (snprintf(path, sizeof path, "%s/perigee.yaml", c->data) >= (int)sizeof path)
        return client_fail(c, EXIT_USAGE, "--data: the path is too long");
    if (config_load(&config, path, fault, sizeof fault) != OK)
        return client_fail(c, EXIT_REFUSED, "%s", fault);
    (void)snprintf(path, sizeof path, "%s/store", c->data);
    const struct lmdb_options options = {.path = path, .map_bytes = (uint64_t)config->store->map_gb << 30};
    config_name_duckdb(config);
    config_free(config);
    enum err err = lmdb_store_open(out, &options);
    return err == OK ? EXIT_OK : client_fail(c, EXIT_REFUSED, "%s: %s", path, lmdb_store_open_text(err));
}

/* --- Answers -------------------------------------------------------------------------------------------------------- */

void client_print(const json_t *object)
{
    (void)json_dumpf(object, stdout, JSON_COMPACT | JSON_SORT_KEYS);
    (void)fputc('\n', stdout);
    (void)fflush(stdout);
}

int client_done(const struct client *c, json_t *answer, const char *format, ...)
{
    va_list arguments;
    if (c->json) {
        client_print(answer);
    } else {
        va_start(arguments, format);
        (void)vprintf(format, arguments);
        va_end(arguments);
        (void)fputc('\n', stdout);
    }
    json_decref(answer);
    return EXIT_OK;
}

const char *client_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL ? "" : text;
}

json_int_t client_number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

bool client_clock_behind(const json_t *clock)
{
    return client_number(clock, "offset_ms") < -client_number(clock, "skew_max_ms");
}

/* --- Words ---------------------------------------------------------------------------------------------------------- */

int client_need(const struct client *c, const char *option, const char *value)
{
    if (value != NULL) return EXIT_OK;
    return client_fail(c, EXIT_USAGE, "expected %s", option);
}

int client_check_hash(const struct client *c, const char *what, const char *text)
{
    uint8_t bytes[32];
    if (text == NULL) return client_need(c, what, text);
    if (hex_decode(bytes, sizeof bytes, span_text(text)) == OK) return EXIT_OK;
    return client_fail(c, EXIT_USAGE, "%s: expected 64 lower-case hex digits, got \"%.80s\"", what, text);
}

int client_check_token(const struct client *c, const char *what, const char *text)
{
    static const char prefix[] = "dt:perigee:";
    uint8_t bytes[32];
    if (text == NULL) return client_need(c, what, text);
    if (strncmp(text, prefix, sizeof prefix - 1) == 0 &&
        hex_decode(bytes, sizeof bytes, span_text(text + sizeof prefix - 1)) == OK)
        return EXIT_OK;
    return client_fail(c, EXIT_USAGE, "%s: expected dt:perigee:<64 lower-case hex digits>, got \"%.80s\"",
                       what, text);
}
