#include "node/api.h"

#include "node/api_common.h"
#include "proto/charter.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_EXPECTED "a token dt:perigee:<64 lower-case hex digits>"

/* --- Routes ----------------------------------------------------------------------------------------------------------- */

/* Is `name` at `at` a member of the notation, or one of a list of names? */
static bool is_member_at(const char *all, const char *at, size_t len)
{
    const bool starts = at == all || at[-1] == ' ' || at[-1] == '{';
    return starts &&
           (at[len] == 0 || at[len] == ' ' || at[len] == ':' || (at[len] == '?' && at[len + 1] == ':'));
}

static bool listed(const char *members, const char *name)
{
    const size_t len = strlen(name);
    if (len == 0) return false;
    for (const char *at = members; (at = strstr(at, name)) != NULL; at += len)
        if (is_member_at(members, at, len)) return true;
    return false;
}

static bool only(struct http_reply *r, const json_t *object, const char *what, const char *members)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        if (listed(members, name)) continue;
        http_problem(r, 400, "unknown-field", "expected in the %s nothing but %s; came \"%.80s\"", what,
                     members[0] != 0 ? members : "{}", name);
        return false;
    }
    return true;
}

static void call_checked(const struct http_request *q, struct http_reply *r, const char *query,
                         const char *body, api_handler *handler)
{
    if (only(r, q->query, "query", query) && (q->body == NULL || only(r, q->body, "body", body)))
        handler(q, r);
}

#define API_CHECKED(method, path, handler, scope, query, body, answer, summary)                              \
    static void handler##_checked(const struct http_request *q, struct http_reply *r)                        \
    {                                                                                                        \
        call_checked(q, r, query, body, handler);                                                            \
    }
API_TABLE(API_CHECKED)
#undef API_CHECKED

#define API_ROUTE(method, path, handler, scope, query, body, answer, summary)                                \
    {method, path, handler##_checked, summary, scope},
const struct http_route api_routes[] = {API_TABLE(API_ROUTE){NULL, NULL, NULL, NULL, 0}};
#undef API_ROUTE

void api_index(const struct http_request *q, struct http_reply *reply)
{
    json_t *list = json_array();
    (void)q;
#define API_INDEX(method, path, handler, scope, query, body, answer, summary)                                \
    json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "method", method, "path",   \
                                          path, "scope", scope_name(scope), "query", query, "body", body,    \
                                          "answer", answer, "summary", summary));
    API_TABLE(API_INDEX)
#undef API_INDEX
    http_answer(reply, 200, json_pack("{s:o}", "routes", list));
}

/* --- Reading requests ------------------------------------------------------------------------------------------------- */

void api_bad(struct http_reply *r, const char *reason, const char *name, const char *expected,
             const json_t *value)
{
    char *came = value == NULL ? NULL : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    http_problem(r, 400, reason, "expected \"%s\" to be %s; came %.80s", name, expected,
                 came != NULL ? came : "nothing");
    free(came);
}

static const json_t *member(const struct http_request *q, struct http_reply *r, const char *name,
                            const char *expected)
{
    const json_t *value = q->body != NULL ? json_object_get(q->body, name) : NULL;
    if (value == NULL) api_bad(r, "missing-field", name, expected, NULL);
    return value;
}

bool api_text(const struct http_request *q, struct http_reply *r, const char *name, struct span *out)
{
    const json_t *value = member(q, r, name, "text");
    if (value == NULL) return false;
    if (!json_is_string(value)) {
        api_bad(r, "wrong-type", name, "text", value);
        return false;
    }
    *out = span_make(json_string_value(value), json_string_length(value));
    return true;
}

bool api_hash(const struct http_request *q, struct http_reply *r, const char *name, uint8_t out[32])
{
    struct span text;
    if (!api_text(q, r, name, &text)) return false;
    if (hex_decode(out, 32, text) == OK) return true;
    api_bad(r, "syntax", name, "64 lower-case hex digits", json_object_get(q->body, name));
    return false;
}

bool api_uint(const struct http_request *q, struct http_reply *r, const char *name, uint64_t max,
              uint64_t *out)
{
    const json_t *value = member(q, r, name, "number");
    if (value == NULL) return false;
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        (uint64_t)json_integer_value(value) > max) {
        char expected[64];
        (void)snprintf(expected, sizeof expected, "a whole number from 0 to %" PRIu64, max);
        api_bad(r, "out-of-range", name, expected, value);
        return false;
    }
    *out = (uint64_t)json_integer_value(value);
    return true;
}

bool api_parse_dt(struct dt *out, const char *text)
{
    static const char prefix[] = "dt:perigee:";
    size_t len = sizeof prefix - 1;
    return strncmp(text, prefix, len) == 0 && hex_decode(out->bytes, 32, span_text(text + len)) == OK;
}

bool api_dt(const struct http_request *q, struct http_reply *r, const char *name, struct dt *out)
{
    struct span text;
    if (!api_text(q, r, name, &text)) return false;
    if (api_parse_dt(out, (const char *)text.data)) return true;
    api_bad(r, "syntax", name, TOKEN_EXPECTED, json_object_get(q->body, name));
    return false;
}

static bool parse_hash(struct dt *out, const char *text)
{
    return hex_decode(out->bytes, 32, span_text(text)) == OK;
}

static bool list_of(const struct http_request *q, struct http_reply *r, const char *name, uint32_t max,
                    uint8_t *out, uint32_t *count, bool (*parse)(struct dt *out, const char *text),
                    const char *what)
{
    const json_t *list = member(q, r, name, what);
    if (list == NULL) return false;
    bool good = json_is_array(list) && json_array_size(list) > 0 && json_array_size(list) <= max;
    *count = good ? (uint32_t)json_array_size(list) : 0;
    for (uint32_t i = 0; good && i < *count; i++) {
        struct dt item;
        const char *text = json_string_value(json_array_get(list, i));
        good = text != NULL && parse(&item, text);
        if (good) memcpy(out + (size_t)i * 32, item.bytes, 32);
    }
    if (!good) {
        char expected[96];
        (void)snprintf(expected, sizeof expected, "a list of 1 to %u %s", max, what);
        api_bad(r, "syntax", name, expected, list);
    }
    return good;
}

bool api_hash_list(const struct http_request *q, struct http_reply *r, const char *name, uint32_t max,
                   uint8_t *out, uint32_t *count)
{
    return list_of(q, r, name, max, out, count, parse_hash, "hashes of 64 lower-case hex digits");
}

bool api_dt_list(const struct http_request *q, struct http_reply *r, const char *name, uint32_t max,
                 uint8_t *out, uint32_t *count)
{
    return list_of(q, r, name, max, out, count, api_parse_dt, "tokens \"dt:perigee:<64 hex digits>\"");
}

bool api_param_hash(const struct http_request *q, struct http_reply *r, int index, uint8_t out[32])
{
    if (hex_decode(out, 32, span_text(q->param[index])) == OK) return true;
    http_problem(r, 400, "syntax", "expected 64 lower-case hex digits in the path; came \"%.80s\"",
                 q->param[index]);
    return false;
}

bool api_param_dt(const struct http_request *q, struct http_reply *r, int index, struct dt *out)
{
    if (api_parse_dt(out, q->param[index])) return true;
    http_problem(r, 400, "syntax", "expected " TOKEN_EXPECTED " in the path; came \"%.80s\"",
                 q->param[index]);
    return false;
}

/* --- Pages ------------------------------------------------------------------------------------------------------------ */

static bool read_limit(struct api_page *p, const json_t *text)
{
    const char *digits = json_string_value(text);
    p->limit = API_PAGE_MAX;
    if (text == NULL) return true;
    if (digits == NULL || digits[0] == 0 || strlen(digits) > 4 ||
        strspn(digits, "0123456789") != strlen(digits))
        return false;
    p->limit = strtoull(digits, NULL, 10);
    return p->limit >= 1 && p->limit <= API_PAGE_MAX;
}

bool api_page_begin(struct api_page *p, const struct http_request *q, struct http_reply *r)
{
    const json_t *limit = json_object_get(q->query, "limit"), *after = json_object_get(q->query, "after");
    *p = (struct api_page){.begun = after == NULL};
    if (!read_limit(p, limit)) {
        api_bad(r, "out-of-range", "limit", "a whole number from 1 to 256", limit);
        return false;
    }
    if (after == NULL || hex_decode(p->after, 32, span_text(json_string_value(after))) == OK) return true;
    api_bad(r, "syntax", "after", "`next` of the page before", after);
    return false;
}

bool api_page_takes(struct api_page *p, const uint8_t id[32])
{
    if (!p->begun) {
        p->begun = memcmp(p->after, id, 32) == 0;
        return false;
    }
    p->full = p->count == p->limit;
    if (p->full) return false;
    p->count++;
    memcpy(p->last, id, 32);
    return true;
}

void api_page_answer(const struct api_page *p, struct http_reply *r, json_t *body)
{
    if (p->begun) {
        json_object_set_new(body, "next", p->full ? api_hex32(p->last) : json_null());
        http_answer(r, 200, body);
        return;
    }
    json_decref(body);
    http_problem(
        r, 404, "cursor",
        "expected `next` of the page before in `after`; came what this list does not hold (any more): "
        "begin it again");
}

/* --- Putting JSON together ------------------------------------------------------------------------------------------------ */

json_t *api_hex(const void *bytes, size_t len)
{
    char text[2 * 128 + 1];
    if (len > 128) return json_null();
    hex_encode(text, bytes, len);
    return json_string(text);
}

json_t *api_hex32(const uint8_t bytes[32])
{
    return api_hex(bytes, 32);
}

json_t *api_dt_text(struct dt dt)
{
    char text[80];
    struct buffer b = BUFFER_OF(text);
    buffer_put_text(&b, "dt:perigee:");
    buffer_put_hex(&b, ID_SPAN(dt));
    buffer_put_zero(&b);
    return json_string(text);
}

const char *api_privacy(const struct workflow *w)
{
    return w->privacy_none ? "none" : "differential";
}

json_t *api_span(struct span text)
{
    return json_stringn((const char *)text.data, text.len);
}

json_t *api_roles(uint32_t roles)
{
    json_t *list = json_array();
    for (uint32_t bit = 0; bit < ROLE_COUNT; bit++)
        if ((roles >> bit & 1) != 0) json_array_append_new(list, json_string(role_names[bit]));
    return list;
}

json_t *api_epsilon(uint64_t nano)
{
    char text[32];
    struct buffer b = BUFFER_OF(text);
    uint64_t whole = nano / 1000000000, rest = nano % 1000000000;
    buffer_put_decimal(&b, (int64_t)whole);
    if (rest != 0) {
        char digits[10];
        for (int i = 8; i >= 0; i--, rest /= 10) digits[i] = (char)('0' + rest % 10);
        size_t len = 9;
        while (digits[len - 1] == '0') len--;
        buffer_put_u8(&b, '.');
        buffer_put(&b, span_make(digits, len));
    }
    buffer_put_zero(&b);
    return json_string(text);
}

json_t *api_organisation(struct daemon *d, struct node_id node)
{
    const struct member *m = registry_member(core_registry(daemon_core(d)), node);
    return m != NULL ? api_span(m->organisation) : json_null();
}

/* --- Answering for the core --------------------------------------------------------------------------------------------- */

static int refusal_status(enum refusal r)
{
    bool passes = r == REFUSAL_CONSORTIUM_FORMING || r == REFUSAL_ISOLATED || r == REFUSAL_CLOCK ||
                  r == REFUSAL_FULL || r == REFUSAL_TIMEOUT;
    bool unknown = r == REFUSAL_WORKFLOW || r == REFUSAL_ASSET || r == REFUSAL_UNKNOWN_RUN;
    return passes ? 503 : unknown ? 404 : r == REFUSAL_MALFORMED ? 400 : 409;
}

void api_refuse(struct daemon *d, struct http_reply *r, struct verdict v)
{
    struct node_id node;
    char subject[65];
    memcpy(node.bytes, v.subject.bytes, sizeof node.bytes);
    hex_encode(subject, v.subject.bytes, 32);
    const struct member *m = registry_member(core_registry(daemon_core(d)), node);
    int status = refusal_status(v.refusal);
    if (ID_IS_ZERO(v.subject))
        http_problem(r, status, refusal_name(v.refusal), "%s", refusal_text(v.refusal));
    else if (m != NULL)
        http_problem(r, status, refusal_name(v.refusal), "%s (%.*s)", refusal_text(v.refusal),
                     (int)m->organisation.len, (const char *)m->organisation.data);
    else
        http_problem(r, status, refusal_name(v.refusal), "%s (%s)", refusal_text(v.refusal), subject);
}

struct answer_to {
    struct daemon *daemon;
    struct http_reply *reply;
    const char *name;
    json_t *id;
    bool record;
};

static void on_answer(void *context, struct verdict verdict, struct hash32 id)
{
    struct answer_to *a = context;
    if (verdict.refusal != REFUSAL_NONE) {
        json_decref(a->id);
        api_refuse(a->daemon, a->reply, verdict);
    } else {
        json_t *body = json_object();
        if (a->record) json_object_set_new(body, "record", api_hex32(id.bytes));
        if (a->name != NULL) json_object_set_new(body, a->name, a->id != NULL ? a->id : api_hex32(id.bytes));
        http_answer(a->reply, 200, body);
    }
    free(a);
}

static void command(struct daemon *d, struct http_reply *r, const struct command *c, const char *name,
                    json_t *id, bool record)
{
    struct answer_to *a = malloc(sizeof *a);
    if (a == NULL) {
        json_decref(id);
        http_problem(r, 503, "no-memory", "out of memory; try again later");
        return;
    }
    *a = (struct answer_to){d, r, name, id, record};
    daemon_command(d, c, on_answer, a);
}

void api_author(struct daemon *d, struct http_reply *r, enum kind kind, const void *body, uint64_t expires_ms,
                const char *name, json_t *id)
{
    uint8_t *bytes = malloc(CAP_BODY_BYTES);
    struct buffer b = buffer_make(bytes, bytes != NULL ? CAP_BODY_BYTES : 0);
    if (bytes != NULL) body_encode(&b, kind, body);
    if (bytes == NULL || buffer_done(&b) != OK) {
        json_decref(id);
        http_problem(r, 400, "too-large",
                     "expected texts without control characters, none longer than its kind may be, and a "
                     "body that fits "
                     "%d bytes",
                     CAP_BODY_BYTES);
    } else {
        struct command c = {
            .type = COMMAND_AUTHOR, .kind = kind, .body = buffer_span(&b), .expires_ms = expires_ms};
        command(d, r, &c, name, id, true);
    }
    free(bytes);
}

void api_command(struct daemon *d, struct http_reply *r, const struct command *c)
{
    bool run = c->type == COMMAND_RUN;
    command(d, r, c, run ? "run" : NULL, NULL, false);
}
