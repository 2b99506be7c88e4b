#include "crypto/secret.h"
#include "node/api_common.h"
#include "node/token.h"

#include <stdlib.h>
#include <string.h>

#define TOKEN_LIFE_MS     (90ull * 86400000)
#define TOKEN_LIFE_MAX_MS (3650ull * 86400000)

static json_t *scopes_json(uint32_t scopes)
{
    json_t *list = json_array();
    for (uint32_t bit = 1; bit <= (uint32_t)SCOPE_ALL; bit <<= 1)
        if ((scopes & bit) != 0) (void)json_array_append_new(list, json_string(scope_name(bit)));
    return list;
}

static json_t *token_json(const struct token *t)
{
    return json_pack("{s:o, s:s, s:o, s:I, s:I, s:o}", "id", api_hex(t->id, sizeof t->id), "name", t->name,
                     "scopes", scopes_json(t->scopes), "created_ms", (json_int_t)t->created_ms, "expires_ms",
                     (json_int_t)t->expires_ms, "used_ms",
                     t->used_ms != 0 ? json_integer((json_int_t)t->used_ms) : json_null());
}

void api_tokens(const struct http_request *q, struct http_reply *reply)
{
    const struct tokens *all = daemon_tokens(q->context);
    json_t *list = json_array();
    const struct token *t;
    for (uint32_t i = 0; (t = tokens_at(all, i)) != NULL; i++) json_array_append_new(list, token_json(t));
    http_answer(reply, 200, json_pack("{s:o}", "tokens", list));
}

/* --- Making --------------------------------------------------------------------------------------------------------- */

struct making {
    struct daemon *daemon;
    struct http_reply *reply;
    struct token token;
    char text[TOKEN_TEXT_CHARS + 1];
};

static void no_room(struct http_reply *reply, enum err err)
{
    http_problem(reply, 503, err_name(err), "expected room for a token among %d; %s: revoke some",
                 TOKEN_COUNT_MAX, err_text(err));
}

static void on_made(void *context, enum err err)
{
    struct making *m = context;
    if (err == OK) err = tokens_add(daemon_tokens(m->daemon), &m->token);
    if (err == OK) {
        json_t *body = token_json(&m->token);
        (void)json_object_set_new(body, "token", json_string(m->text));
        http_once(m->reply);
        http_answer(m->reply, 200, body);
    } else {
        no_room(m->reply, err);
    }
    secret_wipe(m->text, sizeof m->text);
    free(m);
}

/* Nobody hands on more than he has. */
static bool read_scopes(const struct http_request *q, struct http_reply *reply, uint32_t *out)
{
    const json_t *list = json_object_get(q->body, "scopes"), *one;
    size_t i;
    *out = 0;
    json_array_foreach(list, i, one)
    {
        uint32_t scope = 0;
        const char *text = json_string_value(one);
        const bool known =
            text != NULL && strchr(text, ',') == NULL && scope_parse(&scope, span_text(text)) == OK;
        if (!known || (*out & scope) != 0) {
            *out = 0;
            break;
        }
        *out |= scope;
    }
    if (*out == 0) {
        api_bad(reply, list == NULL ? "missing-field" : "syntax", "scopes",
                "a list of some of monitor, read, request, approve, admin, each once", list);
        return false;
    }
    if ((*out & ~q->scopes) == 0) return true;
    http_problem(
        reply, 403, "scope",
        "expected scopes that the asking token has itself; came one more: make it on the node's machine");
    return false;
}

static bool read_life(const struct http_request *q, struct http_reply *reply, uint64_t *out)
{
    *out = TOKEN_LIFE_MS;
    if (json_object_get(q->body, "expires_in_ms") == NULL) return true;
    if (!api_uint(q, reply, "expires_in_ms", TOKEN_LIFE_MAX_MS, out)) return false;
    if (*out > 0) return true;
    http_problem(reply, 400, "out-of-range",
                 "expected \"expires_in_ms\" to be at least 1; came 0: leave it out for 90 days");
    return false;
}

void api_token_create(const struct http_request *q, struct http_reply *reply)
{
    struct span name;
    uint32_t scopes;
    uint64_t life_ms;
    if (!api_text(q, reply, "name", &name) || !read_scopes(q, reply, &scopes) ||
        !read_life(q, reply, &life_ms))
        return;
    struct making *m = calloc(1, sizeof *m);
    if (m == NULL) {
        no_room(reply, ERR_NO_MEMORY);
        return;
    }
    m->daemon = q->context;
    m->reply = reply;
    const uint64_t now_ms = daemon_wall_ms();
    const enum err err =
        token_make(&m->token, m->text, daemon_tokens(m->daemon), name, scopes, now_ms, now_ms + life_ms);
    if (err == OK) {
        uint8_t key[TOKEN_KEY_BYTES], bytes[TOKEN_VALUE_BYTES];
        struct buffer value = BUFFER_OF(bytes);
        token_key(key, m->token.id);
        token_pack(&value, &m->token);
        daemon_keep(m->daemon, SPAN_OF(key), buffer_span(&value), on_made, m);
        return;
    }
    free(m);
    if (err == ERR_SYNTAX)
        api_bad(reply, "syntax", "name", "text of 1 to 64 bytes", json_object_get(q->body, "name"));
    else
        no_room(reply, err);
}

/* --- Revoking ------------------------------------------------------------------------------------------------------- */

struct ending {
    struct http_reply *reply;
    uint8_t id[TOKEN_ID_BYTES];
};

static void on_ended(void *context, enum err err)
{
    struct ending *e = context;
    if (err == OK)
        http_answer(e->reply, 200, json_pack("{s:o}", "id", api_hex(e->id, sizeof e->id)));
    else
        http_problem(
            e->reply, 503, err_name(err),
            "the token is refused from now on, but its row could not be removed from the store (%s), and "
            "comes back with a restart: revoke it again",
            err_text(err));
    free(e);
}

void api_token_revoke(const struct http_request *q, struct http_reply *reply)
{
    uint8_t key[TOKEN_KEY_BYTES];
    struct ending *e = malloc(sizeof *e);
    if (e == NULL) {
        no_room(reply, ERR_NO_MEMORY);
        return;
    }
    e->reply = reply;
    if (hex_decode(e->id, sizeof e->id, span_text(q->param[0])) != OK) {
        http_problem(reply, 400, "syntax",
                     "expected a token's id of 16 lower-case hex digits in the path; came \"%.80s\"",
                     q->param[0]);
        free(e);
        return;
    }
    if (!tokens_remove(daemon_tokens(q->context), e->id)) {
        http_problem(
            reply, 404, "unknown-token",
            "expected the id of a token that is in force; came another: `perigee token list` shows them");
        free(e);
        return;
    }
    token_key(key, e->id);
    api_events_end_remote(daemon_followers(q->context));
    daemon_keep(q->context, SPAN_OF(key), SPAN_NONE, on_ended, e);
}
