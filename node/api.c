#include "node/api.h"

#include "node/api_common.h"
#include "proto/charter.h"

#include <stdlib.h>
#include <string.h>

const struct http_route api_routes[] = {
    {"GET", "/v1/status", api_status, "what this node is, whom it sees and what it waits for"},
    {"GET", "/v1/consortium", api_consortium, "charter and committee"},
    {"POST", "/v1/consortium/sign", api_consortium_sign, "as a steward, sign the charter"},
    {"POST", "/v1/consortium/keygen", api_keygen, "as a custodian, start key generation"},
    {"GET", "/v1/members", api_members, "members and waiting requests"},
    {"POST", "/v1/members/request", api_member_request, "ask to be admitted"},
    {"POST", "/v1/members", api_member_admit, "as a steward, admit an applicant"},
    {"GET", "/v1/ops", api_ops, "ops"},
    {"POST", "/v1/ops", api_op_register, "as a steward, register an op with its code"},
    {"GET", "/v1/ops/{hash}/code", api_op_code, "the code of an op, by the hash of either"},
    {"GET", "/v1/workers", api_workers, "accepted worker measurements, and those proposed"},
    {"POST", "/v1/workers", api_workers_register, "as a steward, accept worker measurements"},
    {"GET", "/v1/assets", api_assets, "assets"},
    {"POST", "/v1/assets", api_asset_register, "register an asset"},
    {"POST", "/v1/assets/{dt}/content", api_asset_bind, "bind sealed content for a workflow"},
    {"GET", "/v1/workflows", api_workflows, "workflows"},
    {"POST", "/v1/workflows", api_workflow_publish, "publish a workflow"},
    {"GET", "/v1/workflows/{compose}", api_workflow, "one workflow: document, plain words, approvals"},
    {"POST", "/v1/grants", api_grant, "grant a dataset to an algorithm"},
    {"GET", "/v1/approvals", api_approvals, "approvals"},
    {"POST", "/v1/approvals", api_approve, "approve a workflow for a dataset"},
    {"GET", "/v1/jobs", api_jobs, "jobs on the task market"},
    {"POST", "/v1/jobs", api_job_post, "post a job"},
    {"POST", "/v1/jobs/{id}/endorse", api_job_endorse, "as a steward, endorse a job"},
    {"GET", "/v1/runs", api_runs, "runs"},
    {"POST", "/v1/runs", api_run_request, "request a run"},
    {"GET", "/v1/runs/{id}", api_run, "state, phases and output of a run"},
    {"GET", "/v1/runs/{id}/receipt", api_run_receipt, "the self-contained receipt"},
    {NULL, NULL, NULL, NULL},
};

/* --- Reading requests ------------------------------------------------------------------------------------------------- */

static const json_t *member(const struct http_request *q, struct http_reply *r, const char *name,
                            const char *expected)
{
    const json_t *value = q->body != NULL ? json_object_get(q->body, name) : NULL;
    if (value == NULL)
        http_problem(r, 400, "missing-field", "expected member \"%s\" (%s) in the body; it is absent", name,
                     expected);
    return value;
}

static bool listed(const char *members, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = members; (at = strstr(at, name)) != NULL; at += len) {
        bool starts = at == members || at[-1] == ' ', ends = at[len] == ' ' || at[len] == 0;
        if (len > 0 && starts && ends) return true;
    }
    return false;
}

bool api_only(const struct http_request *q, struct http_reply *r, const char *members)
{
    const char *name;
    json_t *value;
    if (q->body == NULL) return true;
    json_object_foreach(q->body, name, value)
    {
        if (listed(members, name)) continue;
        http_problem(r, 400, "unknown-field", "\"%.80s\" is not a member of this call; it takes: %s", name,
                     members[0] != 0 ? members : "nothing");
        return false;
    }
    return true;
}

bool api_text(const struct http_request *q, struct http_reply *r, const char *name, struct span *out)
{
    const json_t *value = member(q, r, name, "text");
    if (value == NULL) return false;
    if (!json_is_string(value)) {
        http_problem(r, 400, "wrong-type", "\"%s\" must be text", name);
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
    http_problem(r, 400, "syntax", "\"%s\" must be 64 lower-case hex digits", name);
    return false;
}

bool api_uint(const struct http_request *q, struct http_reply *r, const char *name, uint64_t max,
              uint64_t *out)
{
    const json_t *value = member(q, r, name, "number");
    if (value == NULL) return false;
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        (uint64_t)json_integer_value(value) > max) {
        http_problem(r, 400, "out-of-range", "\"%s\" must be a whole number from 0 to %llu", name,
                     (unsigned long long)max);
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
    http_problem(r, 400, "syntax", "\"%s\" must be a token \"dt:perigee:<64 lower-case hex digits>\"", name);
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
    if (!good) http_problem(r, 400, "syntax", "\"%s\" must be a list of 1 to %u %s", name, max, what);
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
    return list_of(q, r, name, max, out, count, api_parse_dt,
                   "tokens \"dt:perigee:<64 lower-case hex digits>\"");
}

bool api_param_hash(const struct http_request *q, struct http_reply *r, int index, uint8_t out[32])
{
    if (hex_decode(out, 32, span_text(q->param[index])) == OK) return true;
    http_problem(r, 400, "syntax", "expected 64 lower-case hex digits in the path; came \"%.80s\"",
                 q->param[index]);
    return false;
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
    bool passes =
        r == REFUSAL_CONSORTIUM_FORMING || r == REFUSAL_ISOLATED || r == REFUSAL_FULL || r == REFUSAL_TIMEOUT;
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
