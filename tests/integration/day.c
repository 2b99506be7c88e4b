/* day: what tests/integration/day.sh needs to give real nodes a day's work.
 *   day assets HOME TYPE COUNT GRANTS TO OP NAME   registers so many assets of a member, grants each of them so often to TO
 *                                                  and takes all back of every fourth
 *   day post HOME                                  posts what standard input says, a line "PATH BODY" each
*   day heads HOME                                 the last record of each author in the store of a node that is stopped
 * The first two print a line for each answer: "ok RECORD" or "no REASON"; no answer at all ends them with exit code 1. */
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "node/http.h"
#include "node/yaml_json.h"
#include "storage/store.h"

#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = 1 << 16, SEQ_BYTES = 8, TAKEN_BACK = 4 };

static int die(const char *what)
{
    (void)fprintf(stderr, "day: %s\n", what);
    exit(1);
}

/* --- Calls ---------------------------------------------------------------------------------------------------------- */

/* Takes `body`. The answer, whose record or reason is said. */
static json_t *post(const char *home, const char *path, json_t *body)
{
    char socket[PATH_MAX];
    int status = 0;
    json_t *answer = NULL;
    (void)snprintf(socket, sizeof socket, "%s/api.sock", home);
    if (http_call(socket, "POST", path, body, &status, &answer) != OK) die("the node gives no answer");
    json_decref(body);
    const char *reason = json_string_value(json_object_get(answer, "reason"));
    const char *record = json_string_value(json_object_get(answer, "record"));
    if (record == NULL) record = json_string_value(json_object_get(answer, "run"));
    (void)printf("%s %s\n", status == 200 ? "ok" : "no",
                 status == 200 && record != NULL ? record
                 : reason != NULL                ? reason
                                                 : "-");
    return answer;
}

static int post_lines(const char *home)
{
    static char line[LINE_MAX_BYTES];
    while (fgets(line, sizeof line, stdin) != NULL) {
        char *body = strchr(line, ' ');
        if (body == NULL) return die("expected \"PATH BODY\" in a line");
        *body++ = 0;
        json_t *json = json_loads(body, 0, NULL);
        if (json == NULL) return die("expected JSON behind the path");
        json_decref(post(home, line, json));
    }
    return 0;
}

/* --- Assets --------------------------------------------------------------------------------------------------------- */

struct work {
    const char *home, *type, *to, *op, *name;
    struct node_id node;
    unsigned grants;
};

static void who_is(struct work *w)
{
    char socket[PATH_MAX];
    int status = 0;
    json_t *answer = NULL;
    (void)snprintf(socket, sizeof socket, "%s/api.sock", w->home);
    if (http_call(socket, "GET", "/v1/status", NULL, &status, &answer) != OK) die("the node gives no answer");
    const char *node = json_string_value(json_object_get(answer, "node"));
    if (node == NULL || hex_decode(w->node.bytes, 32, span_text(node)) != OK)
        die("the node does not say its id");
    json_decref(answer);
}

static json_t *ddo_of(const struct work *w, const char *dt, unsigned number)
{
    json_t *ddo = json_pack("{s:s, s:s, s:s, s:s, s:s, s:[{s:s, s:s, s:[], s:[s]}]}", "perigee", "ddo/1",
                            "dt", dt, "type", w->type, "description", "", "jurisdiction", "CH", "services",
                            "type", "aggregate", "endpoint", "", "child_dts", "supported_ops", w->op);
    (void)json_object_set_new(ddo, "name", json_sprintf("%s-%u", w->name, number));
    if (strcmp(w->type, "dataset") == 0)
        (void)json_object_set_new(ddo, "dataset",
                                  json_pack("{s:i, s:b, s:s, s:s, s:s, s:[{s:s, s:s}, {s:s, s:s}]}",
                                            "row_count", 40, "row_count_exact", 1, "unit_column", "id",
                                            "budget", "10", "currency", "epsilon", "schema", "name", "id",
                                            "type", "text", "name", "age", "type", "integer"));
    return ddo;
}

static void asset(const struct work *w, unsigned number)
{
    struct hash32 salt;
    char hex[65], salt_hex[65], dt[80];
    random_fill(salt.bytes, sizeof salt.bytes);
    struct hash32 token = HASH_FRAMED("perigee/dt/v1", ID_SPAN(w->node), ID_SPAN(salt));
    hex_encode(hex, token.bytes, sizeof token.bytes);
    hex_encode(salt_hex, salt.bytes, sizeof salt.bytes);
    (void)snprintf(dt, sizeof dt, "dt:perigee:%s", hex);
    json_t *ddo = ddo_of(w, dt, number);
    char *text = yaml_json_canonical(ddo);
    json_decref(ddo);
    if (text == NULL) die("no ddo");
    json_t *answer = post(w->home, "/v1/assets", json_pack("{s:s, s:s}", "ddo", text, "salt", salt_hex));
    free(text);
    const bool known = json_object_get(answer, "record") != NULL;
    json_decref(answer);
    for (unsigned i = 0; known && i < w->grants; i++)
        json_decref(post(w->home, "/v1/grants",
                         json_pack("{s:s, s:s, s:[s], s:i, s:s}", "lower", dt, "higher", w->to, "ops", w->op,
                                   "slots_max", (int)i + 1, "epsilon_max", "1")));
    if (known && number % TAKEN_BACK == TAKEN_BACK - 1)
        json_decref(
            post(w->home, "/v1/revocations", json_pack("{s:s, s:s}", "target", "dataset", "subject", dt)));
}

static int assets(char **argument)
{
    struct work w = {.home = argument[0],
                     .type = argument[1],
                     .grants = (unsigned)strtoul(argument[3], NULL, 10),
                     .to = argument[4],
                     .op = argument[5],
                     .name = argument[6]};
    const unsigned count = (unsigned)strtoul(argument[2], NULL, 10);
    who_is(&w);
    for (unsigned i = 0; i < count; i++) asset(&w, i);
    return 0;
}

/* --- Heads ---------------------------------------------------------------------------------------------------------- */

struct last {
    uint8_t key[32 + SEQ_BYTES + 32];
    bool known;
};

static void say_last(const struct last *l)
{
    char hex[2 * sizeof l->key + 1];
    hex_encode(hex, l->key, sizeof l->key);
    if (l->known) (void)printf("%.64s %.16s %.64s\n", hex, hex + 64, hex + 80);
}

/* The store gives a chain in the order of its places. */
static enum err see(void *context, struct span key, struct span value)
{
    struct last *l = context;
    (void)value;
    if (key.len != sizeof l->key) return ERR_CORRUPT;
    if (l->known && memcmp(l->key, key.data, 32) != 0) say_last(l);
    memcpy(l->key, key.data, sizeof l->key);
    l->known = true;
    return OK;
}

static int heads(const char *home)
{
    char path[PATH_MAX];
    struct store *store;
    struct last last = {.known = false};
    (void)snprintf(path, sizeof path, "%s/store", home);
    const struct lmdb_options options = {.path = path, .map_bytes = (uint64_t)64 << 30, .read_only = true};
    if (lmdb_store_open(&store, &options) != OK) die("the store cannot be opened");
    const enum err err = store_scan_keys(store, STORE_CHAIN, SPAN_NONE, see, &last);
    say_last(&last);
    store_close(store);
    return err == OK ? 0 : die("the store cannot be read");
}

int main(int argc, char **argv)
{
    if (crypto_init() != OK) return die("no cryptography");
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 9 && strcmp(argv[1], "assets") == 0) return assets(argv + 2);
    if (argc == 3 && strcmp(argv[1], "post") == 0) return post_lines(argv[2]);
    if (argc == 3 && strcmp(argv[1], "heads") == 0) return heads(argv[2]);
    return die("expected assets, post or heads: the head of this file says with what");
}
