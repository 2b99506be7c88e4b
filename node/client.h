/* client: what the commands that talk to a node share: options, calls, errors on stderr, answers on stdout.
 * Rules: --data names the node's data directory, else $PERIGEE_DATA does; or --api https://HOST:PORT with --token-file names a
 * node on another machine ($PERIGEE_API, $PERIGEE_TOKEN_FILE), whose certificate the authorities of --ca vouch for, or the
 * system's, or which has the --fingerprint ($PERIGEE_CA, $PERIGEE_FINGERPRINT). --json is everywhere. What a node refuses is said
 * once, with its reason, and becomes an exit code of command.h (problem.h).
 * Functions that return int return such an exit code. Threads: one. Ownership: borrows what it is given, except bodies
 * and answers, which are taken where it says so. */
#ifndef PERIGEE_NODE_CLIENT_H
#define PERIGEE_NODE_CLIENT_H

#include "node/arguments.h"
#include "node/command.h"
#include "node/http.h"

#include <jansson.h>
#include <limits.h>

struct store;

struct client {
    const char *command; /* "run request", for messages */
    const char *data;
    bool json;
    const char *remedy; /* said behind every problem of a call, when not NULL: what is left to do */
    const char *api, *token_file, *ca, *fingerprint; /* the options of the same names */
    char socket[PATH_MAX];
    char host[128], port[8]; /* of --api */
    struct http_target target;
};

/* Parse the words of `command` with its own options in `a` (may be none) beside --data, --api and what goes with it, and
 * --json. */
int client_begin(struct client *c, const char *command, struct arguments *a, int argc, char **argv);
/* problem_say, for what has a client. */
int client_fail(const struct client *c, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Takes `body` (may be NULL). *out is the answer, the caller's; it is NULL unless EXIT_OK, and always an object then. */
int client_post(const struct client *c, json_t **out, json_t *body, const char *path_format, ...)
    __attribute__((format(printf, 4, 5)));
int client_get(const struct client *c, json_t **out, const char *path_format, ...)
    __attribute__((format(printf, 3, 4)));
/* All pages of a list as one answer: follows `next`, and joins the arrays of every page. `path` has no query. */
int client_get_all(const struct client *c, json_t **out, const char *path);
/* The same without a word on stderr. *reason is "unreachable" or the problem's, of `cap` bytes. */
int client_try_get(const struct client *c, json_t **out, const char *path);

/* What an event stream says, until `event` says false (EXIT_OK); the end of the stream is EXIT_UNREACHABLE. `last_id` may be
 * NULL. */
int client_follow(const struct client *c, const char *path, const char *last_id,
                  const struct http_follower *follower);
/* It works on the node's data directory itself: EXIT_USAGE without one. */
int client_local(const struct client *c);
/* The store of the node's data directory, which LMDB shares with the node; the library that its configuration names is
 * DuckDB's from now on. The caller closes it. */
int client_store(const struct client *c, struct store **out);

/* Say how it ended: the answer as one JSON object, or the line for people. Takes `answer`. Returns EXIT_OK. */
int client_done(const struct client *c, json_t *answer, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* One object on a line of its own, flushed: streams are read as they come. Borrows. */
void client_print(const json_t *object);

/* Members of an answer: "" or 0 when absent or of another type. Borrowed. */
const char *client_text(const json_t *object, const char *key);
json_int_t client_number(const json_t *object, const char *key);
/* By the `clock` of a node's status: is it behind the custodians' by more than they allow? To such a node, records that
 * it signed when its clock was right are of a time to come. */
bool client_clock_behind(const json_t *clock);

/* Words of a command line: said on stderr and EXIT_USAGE when they are not what they should be. */
int client_check_hash(const struct client *c, const char *what, const char *text);
int client_check_token(const struct client *c, const char *what, const char *text);
/* The token's hex digits, which is how it stands in a path. `text` was checked. */
int client_need(const struct client *c, const char *option, const char *value);

#endif
