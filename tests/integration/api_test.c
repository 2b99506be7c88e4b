/* The local API of a real node, attacked: a consortium of one founder is brought to a requested run through every route;
 * every answer is compared with what node/api.h writes down, every refusal is one line of problem+json that says what was
 * expected and what came. Then each route gets what it does not take, until nothing new can be thought of: the node stays
 * up and does not grow. Killed and started again, it has what it acknowledged. Needs the program in $PERIGEE. */
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "node/api.h"
#include "node/file.h"
#include "proto/base/ids.h"
#include "tests/notation.h"
#include "tests/sample.h"
#include "tests/schema.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    PATH_BYTES = 512,
    WAIT_SECONDS = 60,
    ASSET_COUNT = 300,
    GROWTH_KIB_MAX = 16384,
    PROGRAM_WORDS_MAX = 20
};

struct node {
    const char *name;
    char home[PATH_BYTES], socket[PATH_BYTES + 16], log[PATH_BYTES + 16], id[65];
    pid_t pid;
};

static char root[64], secret_file[PATH_BYTES];
static const char *program;
static struct node solo = {.name = "solo"}, guest = {.name = "guest"};

/* --- Routes, as they are written down ----------------------------------------------------------------------------------- */

static const struct route {
    const char *method, *path, *query, *body, *answer;
    uint32_t scope;
} routes[] = {
#define ROUTE(method, path, handler, scope, query, body, answer, summary)                                    \
    {method, path, query, body, answer, scope},
    API_TABLE(ROUTE)
#undef ROUTE
};
enum { ROUTE_COUNT = sizeof routes / sizeof routes[0] };
static bool answered[ROUTE_COUNT]; /* with 200, and as written */
static json_t *description;        /* /v1/openapi.json, once it was read */

/* A member of a member of ... */
static json_t *inside(const json_t *object, const char *const *names)
{
    json_t *at = (json_t *)(uintptr_t)object;
    for (; *names != NULL; names++) at = json_object_get(at, *names);
    return at;
}
#define INSIDE(object, ...) inside(object, (const char *const[]){__VA_ARGS__, NULL})

static json_t *operation_of(const struct route *r)
{
    json_t *found = INSIDE(description, "paths", r->path, strcmp(r->method, "GET") == 0 ? "get" : "post");
    if (found == NULL) fail_msg("%s %s is not described", r->method, r->path);
    return found;
}

static bool path_fits(const char *pattern, const char *path)
{
    for (; *pattern != 0; pattern++, path++) {
        if (*pattern == '{') {
            pattern += strcspn(pattern, "}");
            path += strcspn(path, "/?");
            path--;
        } else if (*pattern != *path) {
            return false;
        }
    }
    return *path == 0 || *path == '?';
}

static size_t route_of(const char *method, const char *path)
{
    for (size_t i = 0; i < ROUTE_COUNT; i++)
        if (strcmp(routes[i].method, method) == 0 && path_fits(routes[i].path, path)) return i;
    fail_msg("no route %s %s", method, path);
    return 0;
}

/* --- Processes ---------------------------------------------------------------------------------------------------------- */

static void pause_ms(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    (void)nanosleep(&t, NULL);
}

static pid_t spawn(const char *output, const char *const *words)
{
    char *argv[PROGRAM_WORDS_MAX + 2] = {(char *)(uintptr_t)program};
    for (int i = 0; words[i] != NULL && i < PROGRAM_WORDS_MAX; i++) argv[i + 1] = (char *)(uintptr_t)words[i];
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0) return pid;
    int fd = open(output, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0) _exit(127);
    (void)execv(program, argv);
    _exit(127);
}

static int ended(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* What the command says on both streams; the caller's. */
static char *said(int expected_code, const char *const *words)
{
    char path[PATH_BYTES], *text = NULL;
    size_t len = 0;
    (void)snprintf(path, sizeof path, "%s/said", root);
    (void)unlink(path);
    int code = ended(spawn(path, words));
    assert_int_equal(file_read(&text, &len, path, 4 << 20), OK);
    if (code != expected_code) fail_msg("%s %s: exit %d: %s", words[0], words[1], code, text);
    return text;
}
#define SAY(code, ...) said(code, (const char *const[]){__VA_ARGS__, NULL})
#define RUN(...)       free(SAY(0, __VA_ARGS__))

static void start(struct node *n)
{
    const bool secret = n == &solo;
    const char *const words[] = {"node",      "--data", n->home, secret ? "--passphrase-file" : NULL,
                                 secret_file, NULL};
    n->pid = spawn(n->log, words);
}

/* --- One request -------------------------------------------------------------------------------------------------------- */

struct answer {
    int status;
    char *head;   /* with the whole answer */
    json_t *body; /* NULL: none, or no JSON */
    const char *text;
};

static void answer_free(struct answer *a)
{
    free(a->head);
    json_decref(a->body);
}

static int dial(const struct node *n)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    assert_true(strlen(n->socket) < sizeof address.sun_path);
    memcpy(address.sun_path, n->socket, strlen(n->socket) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    (void)close(fd);
    return -1;
}

/* The node may answer before it has read everything. False when nobody listens. */
static bool exchange(struct answer *a, const struct node *n, const char *head, const void *body, size_t len)
{
    size_t have = 0, cap = 1 << 16;
    memset(a, 0, sizeof *a);
    int fd = dial(n);
    if (fd < 0) return false;
    (void)send(fd, head, strlen(head), MSG_NOSIGNAL);
    for (size_t sent = 0; sent < len;) {
        ssize_t step = send(fd, (const char *)body + sent, len - sent, MSG_NOSIGNAL);
        if (step <= 0) break;
        sent += (size_t)step;
    }
    a->head = malloc(cap);
    for (ssize_t got; a->head != NULL && (got = recv(fd, a->head + have, cap - have - 1, 0)) > 0;) {
        have += (size_t)got;
        if (have + 1 == cap) a->head = realloc(a->head, cap *= 2);
    }
    (void)close(fd);
    assert_non_null(a->head);
    a->head[have] = 0;
    a->text = strstr(a->head, "\r\n\r\n");
    if (a->text == NULL) fail_msg("no answer to %.300s", head);
    a->text += 4;
    a->status = (int)strtol(a->head + 9, NULL, 10);
    a->body = json_loads(a->text, JSON_REJECT_DUPLICATES, NULL);
    return true;
}

static struct answer ask(const struct node *n, const char *method, const char *path, const void *body,
                         size_t len)
{
    struct answer a;
    char *head = malloc(strlen(path) + 256);
    assert_non_null(head);
    (void)snprintf(
        head, strlen(path) + 256,
        "%s %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", method,
        path, len);
    if (!exchange(&a, n, head, body, len)) fail_msg("%s does not answer", n->name);
    free(head);
    return a;
}

/* --- What an answer must be --------------------------------------------------------------------------------------------- */

static void check_problem(const struct answer *a, const char *asked)
{
    const char *reason = json_string_value(json_object_get(a->body, "reason"));
    const char *detail = json_string_value(json_object_get(a->body, "detail"));
    char type[128], why[256];
    if (a->status < 400 || reason == NULL || detail == NULL) fail_msg("%s: no problem: %s", asked, a->head);
    assert_non_null(strstr(a->head, "\r\nContent-Type: application/problem+json\r\n"));
    assert_true((strstr(a->head, "\r\nAllow: ") != NULL) == (a->status == 405));
    if (!notation_fits(a->body, "{type:text, title:text, status:int, detail:text, reason:text}", why,
                       sizeof why))
        fail_msg("%s: %s", asked, why);
    assert_int_equal(json_integer_value(json_object_get(a->body, "status")), a->status);
    (void)snprintf(type, sizeof type, "urn:perigee:%s", reason);
    assert_string_equal(json_string_value(json_object_get(a->body, "type")), type);
    const char *end = strchr(a->text, '\n');
    if (end == NULL || end[1] != 0) fail_msg("%s: not one line: %s", asked, a->text);
    if (a->status == 500) fail_msg("%s: %s", asked, a->text);
    const bool both = strstr(detail, "expected") != NULL &&
                      (strstr(detail, "came") != NULL || strstr(detail, " refused at ") != NULL);
    if (a->status < 409 && !both && strstr(reason, "workflow") == NULL && strstr(reason, "run") == NULL)
        fail_msg("%s: does not say what was expected and what came: %s", asked, a->text);
}

/* Whatever it is, it is in order. */
static void check(const struct answer *a, const char *method, const char *path)
{
    char why[512], asked[256];
    (void)snprintf(asked, sizeof asked, "%s %.200s", method, path);
    if (a->status != 200) {
        check_problem(a, asked);
        return;
    }
    const size_t i = route_of(method, path);
    if (strncmp(routes[i].answer, "text/", 5) == 0) {
        (void)snprintf(why, sizeof why, "\r\nContent-Type: %s", routes[i].answer);
        assert_non_null(strstr(a->head, why));
    } else if (!notation_fits(a->body, routes[i].answer, why, sizeof why))
        fail_msg("%s: %s", asked, why);
    if (description != NULL && a->body != NULL) {
        const json_t *schema =
            INSIDE(operation_of(&routes[i]), "responses", "200", "content", "application/json", "schema");
        if (!schema_fits(a->body, schema)) fail_msg("%s: not as described: %s", asked, a->text);
    }
    assert_null(strstr(a->head, "\r\nAllow: "));
    answered[i] = true;
}

/* The answer's body, the caller's. Takes `body`. */
static json_t *call(const struct node *n, int status, const char *method, const char *path, json_t *body)
{
    char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
    struct answer a = ask(n, method, path, text, text == NULL ? 0 : strlen(text));
    check(&a, method, path);
    if (a.status != status)
        fail_msg("%s %s %s: expected %d, came %s", method, path, text != NULL ? text : "", status, a.head);
    json_decref(body);
    free(text);
    json_t *result = json_incref(a.body);
    answer_free(&a);
    return result;
}

static void refused(const struct node *n, int status, const char *reason, const char *method,
                    const char *path, json_t *body)
{
    json_t *problem = call(n, status, method, path, body);
    assert_string_equal(json_string_value(json_object_get(problem, "reason")), reason);
    json_decref(problem);
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    assert_non_null(text);
    return text;
}

/* Until the answer to GET `path` satisfies. */
static void await(const struct node *n, const char *path, bool (*holds)(const json_t *answer))
{
    for (int i = 0; i < WAIT_SECONDS * 20; i++) {
        struct answer a;
        char head[256];
        (void)snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
        const bool there = exchange(&a, n, head, NULL, 0);
        if (there) check(&a, "GET", path);
        const bool done = there && a.status == 200 && holds(a.body);
        if (there) answer_free(&a);
        if (done) return;
        pause_ms(50);
    }
    fail_msg("%s: GET %s never says what is waited for", n->name, path);
}

static bool anything(const json_t *answer)
{
    return answer != NULL;
}

static bool is_decided(const json_t *answer)
{
    return json_is_true(json_object_get(json_object_get(answer, "charter"), "decided"));
}

static bool has_committee(const json_t *answer)
{
    return json_is_object(json_object_get(answer, "committee"));
}

static bool sees_peer(const json_t *answer)
{
    return json_is_true(json_object_get(json_array_get(json_object_get(answer, "peers"), 0), "up"));
}

static bool has_request(const json_t *answer)
{
    return json_array_size(json_object_get(answer, "requests")) == 1;
}

static bool has_op(const json_t *answer)
{
    return json_is_true(json_object_get(json_array_get(json_object_get(answer, "ops"), 0), "registered"));
}

/* --- The consortium ------------------------------------------------------------------------------------------------------ */

static void write_text(const char *path, const char *text)
{
    assert_int_equal(file_write(path, span_text(text), 0600, true), OK);
}

static void name_node(struct node *n)
{
    (void)snprintf(n->home, sizeof n->home, "%s/%s", root, n->name);
    (void)snprintf(n->socket, sizeof n->socket, "%s/api.sock", n->home);
    (void)snprintf(n->log, sizeof n->log, "%s.log", n->home);
}

static void found(void)
{
    char charter[PATH_BYTES], listen[PATH_BYTES], card[PATH_BYTES + 16], config[PATH_BYTES + 16],
        peers[2 * PATH_BYTES];
    (void)snprintf(charter, sizeof charter, "%s/charter.json", root);
    (void)snprintf(listen, sizeof listen, "ipc://%s/link", root);
    (void)snprintf(secret_file, sizeof secret_file, "%s/secret", root);
    write_text(secret_file, "correct horse battery staple\n");
    name_node(&solo);
    name_node(&guest);
    RUN("init", "--data", solo.home, "--organisation", "solo", "--jurisdiction", "CH", "--roles",
        "owner,custodian,steward,algorithm,requester", "--listen", listen, "--passphrase-file", secret_file);
    RUN("init", "--data", guest.home, "--organisation", "guest", "--jurisdiction", "EU", "--roles",
        "requester");
    (void)snprintf(card, sizeof card, "%s/card.json", solo.home);
    RUN("consortium", "new", "--name", "one", "--out", charter, card);
    RUN("consortium", "join", "--data", solo.home, charter);
    RUN("consortium", "join", "--data", guest.home, charter);
    (void)snprintf(config, sizeof config, "%s/perigee.yaml", guest.home);
    (void)snprintf(peers, sizeof peers, "peers:\n  - address: \"%s\"\n", listen);
    write_text(config, peers);
}

/* A passphrase is needed, the right one, and appears nowhere. */
static void check_passphrase(void)
{
    char wrong[PATH_BYTES];
    (void)snprintf(wrong, sizeof wrong, "%s/wrong", root);
    write_text(wrong, "wrong horse\n");
    char *none = SAY(1, "node", "--data", solo.home);
    assert_non_null(strstr(none, "--passphrase-file"));
    char *other = SAY(1, "node", "--data", solo.home, "--passphrase-file", wrong);
    assert_non_null(strstr(other, "this passphrase does not open it"));
    assert_null(strstr(other, "horse"));
    assert_int_equal(chmod(secret_file, 0644), 0);
    char *open = SAY(1, "node", "--data", solo.home, "--passphrase-file", secret_file);
    assert_non_null(strstr(open, "chmod 600"));
    assert_int_equal(chmod(secret_file, 0600), 0);
    free(none);
    free(other);
    free(open);
}

static int setup(void **state)
{
    (void)state;
    program = getenv("PERIGEE");
    if (program == NULL) return 0;
    (void)snprintf(root, sizeof root, "/tmp/perigee-api.XXXXXX");
    assert_non_null(mkdtemp(root));
    assert_int_equal(crypto_init(), OK);
    found();
    check_passphrase();
    start(&solo);
    start(&guest);
    await(&solo, "/v1/status", anything);
    await(&guest, "/v1/status", anything);
    for (int i = 0; i < 2; i++) {
        struct node *n = i == 0 ? &solo : &guest;
        json_t *status = call(n, 200, "GET", "/v1/status", NULL);
        (void)snprintf(n->id, sizeof n->id, "%s", text_of(status, "node"));
        json_decref(status);
    }
    return 0;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        const struct node *n = i == 0 ? &guest : &solo;
        if (n->pid > 0 && kill(n->pid, SIGKILL) == 0) (void)ended(n->pid);
    }
    json_decref(description);
    if (root[0] != 0) (void)nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}

/* --- A life: every route once, as it is meant ---------------------------------------------------------------------------- */

static struct {
    char op[65], dataset[80], app[80], compose[65], job[65], run[65], approval[65], token[17];
} made;

static void keep(char *out, size_t cap, json_t *answer, const char *key)
{
    (void)snprintf(out, cap, "%s", text_of(answer, key));
    json_decref(answer);
}

static void token_of(char out[80], const char *owner, const uint8_t salt[32])
{
    struct node_id node;
    assert_int_equal(hex_decode(node.bytes, 32, span_text(owner)), OK);
    const struct hash32 dt = HASH_FRAMED("perigee/dt/v1", ID_SPAN(node), span_make(salt, 32));
    (void)snprintf(out, 80, "dt:perigee:");
    hex_encode(out + strlen(out), dt.bytes, 32);
}

/* Registers a ddo whose "dt" is its own; `token` receives it. */
static void register_asset(char token[80], uint32_t number, json_t *ddo)
{
    uint8_t salt[32] = {0};
    char hex[65];
    memcpy(salt, &number, sizeof number);
    hex_encode(hex, salt, 32);
    token_of(token, solo.id, salt);
    (void)json_object_set_new(ddo, "dt", json_string(token));
    char *text = json_dumps(ddo, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(ddo);
    json_t *answer =
        call(&solo, 200, "POST", "/v1/assets", json_pack("{s:s, s:s}", "ddo", text, "salt", hex));
    assert_string_equal(text_of(answer, "dt"), token);
    json_decref(answer);
    free(text);
}

static json_t *dataset_ddo(const char *op)
{
    return json_pack("{s:{s:s, s:s, s:i, s:b, s:[{s:s, s:s}, {s:s, s:s}], s:s}, s:s, s:s, s:s, s:s, "
                     "s:[{s:[], s:s, s:[s], s:s}], "
                     "s:s}",
                     "dataset", "budget", "9", "currency", "epsilon", "row_count", 100, "row_count_exact", 1,
                     "schema", "name", "id", "type", "text", "name", "age", "type", "integer", "unit_column",
                     "id", "description", "", "jurisdiction", "CH", "name", "rows", "perigee", "ddo/1",
                     "services", "child_dts", "endpoint", "", "supported_ops", op, "type", "aggregate",
                     "type", "dataset");
}

static json_t *algorithm_ddo(const char *dataset)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:[{s:[s], s:s, s:[], s:s}], s:s}", "description", "",
                     "jurisdiction", "CH", "name", "study", "perigee", "ddo/1", "services", "child_dts",
                     dataset, "endpoint", "", "supported_ops", "type", "study", "type", "algorithm");
}

static char *workflow_text(const char *schema)
{
    json_t *w = json_pack(
        "{s:s, s:{s:[s], s:s, s:s}, s:s, s:s, s:[{s:s, s:s, s:s, s:s}], s:s, s:s, s:{s:i, s:[], s:s}, s:s, "
        "s:{s:s, s:s, s:s, s:s, s:s, s:s}, s:{s:i}, s:[s], s:{s:[s]}, "
        "s:[{s:[], s:[{s:[s, s], s:s}], s:s, s:i, s:s, s:s, s:[{s:s, s:s, s:s, s:s}]}]}",
        "app_id", made.app, "attestation", "evidence", "simulated", "gpu", "none", "workers", "default",
        "description", "ages", "engine", "int-gate/1", "inputs", "dt", made.dataset, "name", "rows", "owner",
        solo.id, "schema", schema, "mode", "enclave", "name", "ages", "output", "max_bytes", 16384, "readers",
        "type", "aggregate", "perigee", "workflow/1", "privacy", "currency", "epsilon", "delta", "0",
        "epsilon", "1", "mechanism", "discrete-laplace", "scope", "per-owner", "unit", "id", "quorum",
        "owners", 1, "requesters", solo.id, "residency", "allow", "CH", "steps", "derived", "groups",
        "domain", "old", "young", "name", "band", "op", made.op, "rows_per_unit", 1, "runtime", "select",
        "select", "SELECT id, CASE WHEN age > 50 THEN 'old' ELSE 'young' END AS band FROM input",
        "statistics", "column", "", "epsilon", "1", "kind", "count", "name", "n");
    assert_non_null(w);
    char *text = json_dumps(w, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(w);
    return text;
}

static void decide(void)
{
    char *listed, op_path[128];
    json_decref(call(&solo, 200, "GET", "/v1", NULL));
    json_decref(call(&solo, 200, "GET", "/healthz", NULL));
    json_decref(call(&solo, 200, "GET", "/metrics", NULL));
    json_t *token =
        call(&solo, 200, "POST", "/v1/tokens", json_pack("{s:s, s:[s]}", "name", "t", "scopes", "read"));
    (void)snprintf(made.token, sizeof made.token, "%s", text_of(token, "id"));
    json_decref(token);
    json_decref(call(&solo, 200, "GET", "/v1/tokens", NULL));
    (void)snprintf(op_path, sizeof op_path, "/v1/tokens/%s/revoke", made.token);
    json_decref(call(&solo, 200, "POST", op_path, NULL));
    refused(&solo, 404, "unknown-token", "POST", op_path, json_object());
    refused(&guest, 409, "not-a-steward", "POST", "/v1/consortium/sign", json_object());
    json_decref(call(&solo, 200, "POST", "/v1/consortium/sign", json_object()));
    await(&solo, "/v1/status", is_decided);
    json_decref(call(&solo, 200, "POST", "/v1/consortium/keygen", json_object()));
    await(&solo, "/v1/status", has_committee);
    json_decref(call(&solo, 200, "POST", "/v1/consortium/keygen", NULL)); /* it is there: said again */
    json_decref(call(&solo, 200, "GET", "/v1/consortium", NULL));
    await(&guest, "/v1/status", sees_peer);
    json_decref(call(&guest, 200, "POST", "/v1/members/request", NULL));
    await(&solo, "/v1/members", has_request);
    json_decref(call(&solo, 200, "POST", "/v1/members", json_pack("{s:s}", "node", guest.id)));
    RUN("op", "register", "--data", solo.home, "--template", "table");
    await(&solo, "/v1/ops", has_op);
    json_t *ops = call(&solo, 200, "GET", "/v1/ops", NULL);
    (void)snprintf(made.op, sizeof made.op, "%s",
                   text_of(json_array_get(json_object_get(ops, "ops"), 0), "op"));
    json_decref(ops);
    (void)snprintf(op_path, sizeof op_path, "/v1/ops/%s/code", made.op);
    json_t *op = call(&solo, 200, "GET", op_path, NULL);
    json_decref(call(&solo, 200, "POST", "/v1/ops",
                     json_pack("{s:O, s:O}", "document", json_object_get(op, "document"), "code",
                               json_object_get(op, "code"))));
    json_decref(op);
    json_decref(call(&solo, 200, "POST", "/v1/workers",
                     json_pack("{s:s, s:[s]}", "name", "default", "measurements", made.op)));
    json_decref(call(&solo, 200, "GET", "/v1/workers", NULL));
    listed = SAY(0, "member", "list", "--data", solo.home, "--json");
    assert_non_null(strstr(listed, guest.id));
    free(listed);
}

static void publish(void)
{
    char path[256], schema[65];
    register_asset(made.dataset, 1, dataset_ddo(made.op));
    register_asset(made.app, 2, algorithm_ddo(made.dataset));
    json_decref(call(&solo, 200, "GET", "/v1/assets", NULL));
    (void)snprintf(path, sizeof path, "/v1/assets/%s", made.dataset);
    keep(schema, sizeof schema, call(&solo, 200, "GET", path, NULL), "schema");
    char *text = workflow_text(schema);
    keep(
        made.compose, sizeof made.compose,
        call(&solo, 200, "POST", "/v1/workflows", json_pack("{s:s, s:s}", "app", made.app, "workflow", text)),
        "compose");
    free(text);
    json_decref(call(&solo, 200, "GET", "/v1/workflows", NULL));
    keep(made.job, sizeof made.job,
         call(&solo, 200, "POST", "/v1/jobs",
              json_pack("{s:s, s:s}", "compose", made.compose, "task", "how old")),
         "record");
    (void)snprintf(path, sizeof path, "/v1/jobs/%s/endorse", made.job);
    json_decref(call(&solo, 200, "POST", path, json_object()));
    json_decref(call(&solo, 200, "GET", "/v1/jobs", NULL));
}

/* The approval just made; what is not this node's, or not there, is no slip to pass over. */
static void take_back(void)
{
    char path[128], record[65];
    refused(&solo, 404, "nothing-to-revoke", "POST", "/v1/revocations",
            json_pack("{s:s, s:s}", "target", "approval", "subject", made.op));
    refused(&solo, 400, "malformed", "POST", "/v1/revocations", json_pack("{s:s}", "target", "everything"));
    refused(&solo, 400, "malformed", "POST", "/v1/revocations",
            json_pack("{s:s, s:s}", "target", "all", "subject", made.op));
    keep(record, sizeof record,
         call(&solo, 200, "POST", "/v1/revocations",
              json_pack("{s:s, s:s}", "target", "approval", "subject", made.approval)),
         "record");
    (void)snprintf(path, sizeof path, "/v1/revocations/%s", record);
    json_t *heard = call(&solo, 200, "GET", path, NULL);
    assert_int_equal(json_integer_value(json_object_get(heard, "heard")), 1); /* it is the only custodian */
    json_decref(heard);
    (void)snprintf(path, sizeof path, "/v1/revocations/%s", made.op);
    refused(&solo, 404, "unknown-revocation", "GET", path, NULL);
}

static void use(void)
{
    char path[256];
    (void)snprintf(path, sizeof path, "/v1/assets/%s/content", made.dataset);
    json_decref(call(&solo, 200, "POST", path,
                     json_pack("{s:s, s:s, s:s, s:s}", "compose", made.compose, "content", made.op,
                               "manifest", made.job, "policy", sample_policy)));
    json_decref(call(&solo, 200, "POST", "/v1/grants",
                     json_pack("{s:s, s:s, s:[s], s:i, s:s}", "lower", made.dataset, "higher", made.app,
                               "ops", made.op, "slots_max", 4, "epsilon_max", "4")));
    (void)snprintf(path, sizeof path, "/v1/workflows/%s?asset=%s", made.compose, made.dataset);
    json_t *recipe = call(&solo, 200, "GET", path, NULL);
    assert_true(
        json_is_true(json_object_get(json_array_get(json_object_get(recipe, "approvals"), 0), "bound")));
    json_t *approval =
        json_pack("{s:s, s:s, s:i, s:i, s:s}", "dataset", made.dataset, "compose", made.compose, "slot_first",
                  1, "slot_last", 2, "text_hash", text_of(recipe, "text_hash"));
    json_t *altered = json_deep_copy(approval);
    (void)json_object_set_new(altered, "text_hash", json_string(made.op));
    refused(&solo, 409, "text", "POST", "/v1/approvals", altered);
    altered = json_deep_copy(approval);
    (void)json_object_set_new(altered, "approval_signature", json_string("00"));
    refused(&solo, 400, "syntax", "POST", "/v1/approvals", altered);
    keep(made.approval, sizeof made.approval, call(&solo, 200, "POST", "/v1/approvals", approval), "record");
    json_decref(recipe);
    json_decref(call(&solo, 200, "GET", path, NULL)); /* with the members that an approval brings */
    json_decref(call(&solo, 200, "GET", "/v1/approvals", NULL));
    json_t *plan = call(&solo, 200, "POST", "/v1/runs/plan", json_pack("{s:s}", "compose", made.compose));
    assert_false(json_is_true(json_object_get(plan, "ready"))); /* nobody computes */
    assert_int_equal(json_integer_value(json_object_get(plan, "slot")), 1);
    json_decref(plan);
    refused(&solo, 404, "unknown-workflow", "POST", "/v1/runs/plan", json_pack("{s:s}", "compose", made.op));
    keep(made.run, sizeof made.run,
         call(&solo, 200, "POST", "/v1/runs", json_pack("{s:s}", "compose", made.compose)), "run");
    (void)snprintf(path, sizeof path, "/v1/runs/%s/why", made.run);
    json_decref(call(&solo, 200, "GET", path, NULL));
    (void)snprintf(path, sizeof path, "/v1/runs/%s/why", made.op);
    refused(&solo, 404, "unknown-run", "GET", path, NULL);
    refused(
        &solo, 400, "out-of-range", "POST", "/v1/runs",
        json_pack("{s:s, s:i}", "compose", made.compose, "expires_in_ms", 1)); /* it would be over at once */
    (void)snprintf(path, sizeof path, "/v1/runs/%s", made.run);
    json_decref(call(&solo, 200, "GET", path, NULL));
    json_decref(call(&solo, 200, "GET", "/v1/runs", NULL));
    (void)snprintf(path, sizeof path, "/v1/runs/%s/receipt", made.run);
    refused(&solo, 409, "not-settled", "GET", path, NULL); /* nobody here computes */
    (void)snprintf(path, sizeof path, "/v1/assets/%s/budget", made.dataset);
    json_decref(call(&solo, 200, "GET", path, NULL));
    take_back();
}

/* Those who may, and of whom they may. */
static void remove_guest(void)
{
    char of_guest[128], of_solo[128];
    (void)snprintf(of_guest, sizeof of_guest, "/v1/members/%s/remove", guest.id);
    (void)snprintf(of_solo, sizeof of_solo, "/v1/members/%s/remove", solo.id);
    refused(&guest, 409, "not-a-steward", "POST", of_solo, json_object());
    refused(&solo, 409, "charter", "POST", of_solo, json_object());
    json_t *answer = call(&solo, 200, "POST", of_guest, json_object());
    assert_int_equal(json_integer_value(json_object_get(answer, "last_seq")), 0);
    json_decref(answer);
    refused(&solo, 404, "not-a-member", "POST", of_guest, json_object());
}

/* The description says of each route what the table says, and of nothing else. */
static void read_description(void)
{
    size_t count = 0;
    const char *path;
    json_t *methods;
    description = call(&solo, 200, "GET", "/v1/openapi.json", NULL);
    assert_string_equal(text_of(description, "openapi"), "3.1.0");
    json_object_foreach(json_object_get(description, "paths"), path, methods) count +=
        json_object_size(methods);
    assert_int_equal(count, ROUTE_COUNT);
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        const struct route *r = &routes[i];
        const json_t *operation = operation_of(r), *parameter;
        const json_t *body = INSIDE(operation, "requestBody", "content", "application/json", "schema");
        size_t at;
        assert_string_equal(text_of(operation, "x-scope"), scope_name(r->scope));
        json_array_foreach(json_object_get(operation, "parameters"), at, parameter)
        {
            const char *name = text_of(parameter, "name"), *where = text_of(parameter, "in");
            if (strcmp(where, "query") == 0) assert_non_null(strstr(r->query, name));
            if (strcmp(where, "path") == 0) assert_non_null(strstr(r->path, name));
        }
        assert_true((body != NULL) == (r->body[0] != 0));
        if (body == NULL) continue;
        json_t *example = notation_example(r->body);
        assert_true(schema_fits(example, body));
        (void)json_object_set_new(example, "colour", json_string("red"));
        assert_false(schema_fits(example, body));
        json_decref(example);
    }
}

static void every_route_answers_as_written(void **state)
{
    (void)state;
    if (program == NULL) skip();
    read_description();
    decide();
    publish();
    use();
    remove_guest();
    for (size_t i = 0; i < ROUTE_COUNT; i++)
        if (!answered[i] && strcmp(routes[i].path, "/v1/runs/{id}/receipt") != 0 &&
            strcmp(routes[i].answer, "text/event-stream") != 0) /* it has no end: operations.sh */
            fail_msg("%s %s was never answered with 200", routes[i].method, routes[i].path);
}

/* --- Pages ---------------------------------------------------------------------------------------------------------------- */

static size_t count_lines(const char *text)
{
    size_t count = 0;
    for (; *text != 0; text++) count += *text == '\n';
    return count;
}

static void lists_come_in_pages(void **state)
{
    char token[80], path[256], cursor[65] = "";
    size_t seen = 0, pages = 0;
    json_t *all = json_object();
    (void)state;
    if (program == NULL) skip();
    for (uint32_t i = 0; i < ASSET_COUNT; i++) register_asset(token, 1000 + i, algorithm_ddo(made.dataset));
    do {
        (void)snprintf(path, sizeof path, "/v1/assets?limit=100%s%s", cursor[0] != 0 ? "&after=" : "",
                       cursor);
        json_t *page = call(&solo, 200, "GET", path, NULL), *row;
        const json_t *rows = json_object_get(page, "assets");
        size_t i;
        assert_true(json_array_size(rows) <= 100);
        json_array_foreach(rows, i, row)(void) json_object_set_new(all, text_of(row, "dt"), json_true());
        seen += json_array_size(rows);
        pages++;
        const char *next = json_string_value(json_object_get(page, "next"));
        (void)snprintf(cursor, sizeof cursor, "%s", next != NULL ? next : "");
        json_decref(page);
    } while (cursor[0] != 0);
    assert_int_equal(seen, ASSET_COUNT + 2);
    assert_int_equal(json_object_size(all), seen); /* each once */
    assert_int_equal(pages, 4);
    json_decref(all);
    json_t *first = call(&solo, 200, "GET", "/v1/assets", NULL);
    assert_int_equal(json_array_size(json_object_get(first, "assets")), API_PAGE_MAX);
    json_decref(first);
    char *listed = SAY(0, "asset", "list", "--data", solo.home, "--json"); /* follows `next` */
    assert_int_equal(count_lines(listed), seen);
    free(listed);
    static const char *const bad[] = {
        "limit=0", "limit=257", "limit=x", "limit=", "limit=99999999999", "after=zz", "after="};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        (void)snprintf(path, sizeof path, "/v1/runs?%s", bad[i]);
        json_decref(call(&solo, 400, "GET", path, NULL));
    }
    (void)snprintf(path, sizeof path, "/v1/runs?after=%s", made.op);
    refused(&solo, 404, "cursor", "GET", path, NULL);
}

/* --- Attacks -------------------------------------------------------------------------------------------------------------- */

/* The path with a value in its braces; made.* stands where something known is wanted. */
static void fill_path(char *out, size_t cap, const char *pattern, const char *value)
{
    const char *open = strchr(pattern, '{');
    if (open == NULL)
        (void)snprintf(out, cap, "%s", pattern);
    else
        (void)snprintf(out, cap, "%.*s%s%s", (int)(open - pattern), pattern, value, strchr(open, '}') + 1);
}

static const char *known_value(const struct route *r)
{
    if (strstr(r->path, "{dt}") != NULL) return made.dataset;
    if (strstr(r->path, "{compose}") != NULL) return made.compose;
    if (strstr(r->path, "/jobs/") != NULL) return made.job;
    if (strstr(r->path, "/tokens/") != NULL) return made.token;
    return strstr(r->path, "/runs/") != NULL ? made.run : made.op;
}

/* Whatever comes is in order, and it is no 200 when it must not be. */
static void send_bytes(const struct route *r, const char *path, const void *body, size_t len, int status)
{
    struct answer a = ask(&solo, r->method, path, body, len);
    check(&a, r->method, path);
    if (status != 0 && a.status != status)
        fail_msg("%s %.100s with %.100s: expected %d, came %s", r->method, path, (const char *)body, status,
                 a.head);
    answer_free(&a);
}

static void send_json(const struct route *r, const char *path, json_t *body, int status)
{
    char *text = json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY);
    send_bytes(r, path, text, strlen(text), status);
    free(text);
    json_decref(body);
}

struct attack {
    const struct route *route;
    const char *path;
    json_t *example;
};

/* Without it, and with values of every other type in its place. */
static void attack_member(void *context, const char *name, bool optional, const char *shape)
{
    static const char *const values[] = {
        "null",
        "true",
        "0",
        "-1",
        "1.5",
        "9007199254740993",
        "1e400",
        "\"\"",
        "\"x\"",
        "\"ABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABAB\"",
        "\"abababababababababababababababababababababababababababababababa\"",
        "\"dt:perigee:\"",
        "\"\\u202e\"",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "[]",
        "[1]",
        "[[]]",
        "[\"x\"]",
        "{}",
        "{\"a\":{}}"};
    const struct attack *a = context;
    char why[256];
    if (!optional) {
        json_t *without = json_deep_copy(a->example);
        (void)json_object_del(without, name);
        send_json(a->route, a->path, without, 400);
    }
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        json_t *value = json_loads(values[i], JSON_DECODE_ANY, NULL);
        if (value == NULL) { /* no JSON by itself: put in as it stands */
            char text[512];
            int len = snprintf(text, sizeof text, "{\"%s\":%s}", name, values[i]);
            send_bytes(a->route, a->path, text, (size_t)len, 400);
            continue;
        }
        json_t *changed = json_deep_copy(a->example);
        (void)json_object_set(changed, name, value);
        const bool wrong = !notation_fits(value, shape, why, sizeof why);
        send_json(a->route, a->path, changed, wrong ? 400 : 0);
        json_decref(value);
    }
    json_t *many = json_array();
    for (int i = 0; i < 5000; i++) (void)json_array_append_new(many, notation_example("id"));
    json_t *changed = json_deep_copy(a->example);
    (void)json_object_set_new(changed, name, many);
    send_json(a->route, a->path, changed, 400);
}

static void attack_body(const struct route *r, const char *path)
{
    static const char *const texts[] = {"{",
                                        "[]",
                                        "null",
                                        "\"x\"",
                                        "{\"a\":1,\"a\":1}",
                                        "{\"a\":\"\xff\"}",
                                        "{\"\":1}",
                                        "{\"perigee\":1}",
                                        "{}}",
                                        "{\"a\":\"\x01\"}",
                                        "\xef\xbb\xbf{}",
                                        "{'a':1}"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        send_bytes(r, path, texts[i], strlen(texts[i]), 400);
    char *deep = malloc(100001);
    assert_non_null(deep);
    memset(deep, '[', 100000);
    memcpy(deep, "{\"a\":", 5);
    send_bytes(r, path, deep, 100000, 400);
    free(deep);
    json_t *example = notation_example(r->body);
    json_t *more = json_deep_copy(example);
    (void)json_object_set_new(more, "colour", json_string("red"));
    send_json(r, path, more, 400);
    struct attack a = {r, path, example};
    notation_members(r->body, attack_member, &a);
    json_decref(example);
}

static void attack_path(const struct route *r, const char *known)
{
    static const char *const values[] = {
        "x",
        "...",
        "%00",
        "%2e%2e%2f",
        "%ff",
        "-",
        "dt:perigee:",
        "abab",
        "abababababababababababababababababababababababababababababababab",
        "dt:perigee:abababababababababababababababababababababababababababababababab",
        "ABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABAB"};
    char path[1024], query[1200], method_path[1100];
    for (size_t i = 0; strchr(r->path, '{') != NULL && i < sizeof values / sizeof values[0]; i++) {
        fill_path(path, sizeof path, r->path, values[i]);
        struct answer a = ask(&solo, r->method, path, NULL, 0);
        (void)snprintf(method_path, sizeof method_path, "%s %s", r->method, path);
        check_problem(&a, method_path);
        answer_free(&a);
    }
    (void)snprintf(query, sizeof query, "%s?colour=red", known);
    send_bytes(r, query, NULL, 0, 400);
    (void)snprintf(query, sizeof query, "%s?limit=1&limit=1", known);
    send_bytes(r, query, NULL, 0, 400);
    (void)snprintf(query, sizeof query, "%s?asset=%%ff", known);
    send_bytes(r, query, NULL, 0, 400);
    struct answer a = ask(&solo, "DELETE", known, NULL, 0);
    assert_int_equal(a.status, 405);
    check_problem(&a, known);
    answer_free(&a);
}

/* What no route is asked for. */
static void attack_door(void)
{
    static const struct {
        int status;
        const char *text;
    } heads[] = {{501, "TRACE /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"},
                 {501, "CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n"},
                 {400, "GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"},
                 {505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
                 {400, "\x16\x03\x01\x02\r\n"},
                 {411, "POST /v1/jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
                 {413, "POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n"},
                 {400, "POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 0x2\r\n\r\n{}"},
                 {404, "GET /v2/status HTTP/1.1\r\nHost: x\r\n\r\n"},
                 {404, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"}};
    char *large = malloc(HTTP_BODY_MAX + 1);
    struct answer a;
    assert_non_null(large);
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        assert_true(exchange(&a, &solo, heads[i].text, NULL, 0));
        check_problem(&a, heads[i].text);
        assert_int_equal(a.status, heads[i].status);
        answer_free(&a);
    }
    memset(large, ' ', HTTP_BODY_MAX);
    memcpy(large + HTTP_BODY_MAX - 2, "{}", 2);
    a = ask(&solo, "POST", "/v1/jobs", large, HTTP_BODY_MAX); /* as long as a body may be */
    assert_int_equal(a.status, 400);
    check_problem(&a, "a large body");
    answer_free(&a);
    free(large);
}

static void attack_all(void)
{
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        char path[512];
        fill_path(path, sizeof path, routes[i].path, known_value(&routes[i]));
        attack_path(&routes[i], path);
        if (strcmp(routes[i].method, "POST") == 0) attack_body(&routes[i], path);
    }
    attack_door();
}

static long resident_kib(pid_t pid)
{
    char path[64], line[256];
    long kib = -1;
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (kib < 0 && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, "VmRSS:", 6) == 0) kib = strtol(line + 6, NULL, 10);
    (void)fclose(f);
    return kib;
}

static bool keeps_freed_memory(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    return true;
#endif
#endif
    return false;
}

static void attacks_are_refused_and_leave_nothing(void **state)
{
    (void)state;
    if (program == NULL) skip();
    attack_all();
    const long before = resident_kib(solo.pid);
    for (int i = 0; i < 3; i++) attack_all();
    const long after = resident_kib(solo.pid);
    if (!keeps_freed_memory() && after - before > GROWTH_KIB_MAX)
        fail_msg("it grew from %ld to %ld KiB", before, after);
    json_decref(call(&solo, 200, "GET", "/v1/status", NULL));
}

/* --- Killed, and there again ------------------------------------------------------------------------------------------------ */

static bool holds_id(const char *path, const char *member, const char *key, const char *id)
{
    bool found_it = false;
    char next[256];
    (void)snprintf(next, sizeof next, "%s", path);
    while (next[0] != 0 && !found_it) {
        json_t *page = call(&solo, 200, "GET", next, NULL), *row;
        size_t i;
        json_array_foreach(json_object_get(page, member), i, row)
        {
            found_it = found_it || strcmp(text_of(row, key), id) == 0;
        }
        const char *cursor = json_string_value(json_object_get(page, "next"));
        next[0] = 0;
        if (cursor != NULL) (void)snprintf(next, sizeof next, "%s?after=%s", path, cursor);
        json_decref(page);
    }
    return found_it;
}

static void what_was_acknowledged_is_there(void **state)
{
    char last[80];
    (void)state;
    if (program == NULL) skip();
    for (uint32_t round = 0; round < 3; round++) {
        register_asset(last, 5000 + round, algorithm_ddo(made.dataset));
        assert_int_equal(kill(solo.pid, SIGKILL), 0); /* right behind the answer */
        assert_int_equal(ended(solo.pid), -SIGKILL);
        start(&solo);
        await(&solo, "/v1/status", has_committee);
        assert_true(holds_id("/v1/assets", "assets", "dt", last));
    }
    assert_true(holds_id("/v1/assets", "assets", "dt", made.dataset));
    assert_true(holds_id("/v1/workflows", "workflows", "compose", made.compose));
    assert_true(holds_id("/v1/jobs", "jobs", "job", made.job));
    assert_true(holds_id("/v1/approvals", "approvals", "record", made.approval));
    assert_true(holds_id("/v1/runs", "runs", "run", made.run));
    assert_true(holds_id("/v1/members", "members", "node", solo.id));
    assert_false(holds_id("/v1/members", "members", "node", guest.id)); /* removed */
}

static void ends_in_order(void **state)
{
    char *log = NULL;
    size_t len = 0;
    (void)state;
    if (program == NULL) skip();
    for (int i = 0; i < 2; i++) {
        struct node *n = i == 0 ? &guest : &solo;
        assert_int_equal(kill(n->pid, SIGTERM), 0);
        assert_int_equal(ended(n->pid), 0);
        n->pid = 0;
    }
    assert_int_equal(file_read(&log, &len, solo.log, 16 << 20), OK);
    assert_null(strstr(log, "horse"));
    free(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_answers_as_written),
        cmocka_unit_test(lists_come_in_pages),
        cmocka_unit_test(attacks_are_refused_and_leave_nothing),
        cmocka_unit_test(what_was_acknowledged_is_there),
        cmocka_unit_test(ends_in_order),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
