#include "node/http_state.h"

#include "crypto/secret.h"
#include "node/problem.h"
#include "proto/base/panic.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- Life ----------------------------------------------------------------------------------------------- */

struct http_reply *http_reply_new(struct http *h)
{
    struct http_reply *r = calloc(1, sizeof *r);
    if (r == NULL) return NULL;
    r->http = h;
    r->since_ms = uv_now(h->loop);
    r->next = h->replies;
    r->link = &h->replies;
    if (r->next != NULL) r->next->link = &r->next;
    h->replies = r;
    return r;
}

void http_reply_free(struct http_reply *r)
{
    *r->link = r->next;
    if (r->next != NULL) r->next->link = r->link;
    if (r->wsi != NULL && !r->cut) r->http->open_count--;
    if (r->stage == HTTP_STREAMING) r->stream.gone(r->stream.context);
    json_decref(r->query);
    free(r->path);
    free(r->body);
    if (r->once && r->answer != NULL) secret_wipe(r->answer, r->answer_cap); /* a token stands in it */
    free(r->answer);
    free(r);
}

void http_reply_lost(struct http_reply *r)
{
    if (!r->cut) r->http->open_count--;
    r->wsi = NULL;
    if (r->stage != HTTP_PENDING) http_reply_free(r);
}

void http_reply_orphan(struct http_reply *r)
{
    *r->link = r->next;
    if (r->next != NULL) r->next->link = r->link;
    r->http = NULL;
    r->wsi = NULL;
    r->next = NULL;
    r->link = &r->next;
}

/* --- Answers ---------------------------------------------------------------------------------------- */

/* jansson gives the text in pieces. LWS_PRE bytes before it and one behind it are kept free. */
static int render_piece(const char *piece, size_t len, void *context)
{
    struct http_reply *r = context;
    if (LWS_PRE + r->answer_len + len + 1 > r->answer_cap) {
        const size_t cap = 2 * (LWS_PRE + r->answer_len + len + 1);
        uint8_t *grown = malloc(cap);
        if (grown == NULL) return -1;
        if (r->answer != NULL) memcpy(grown, r->answer, LWS_PRE + r->answer_len);
        if (r->once && r->answer != NULL) secret_wipe(r->answer, r->answer_cap);
        free(r->answer);
        r->answer = grown;
        r->answer_cap = cap;
    }
    memcpy(r->answer + LWS_PRE + r->answer_len, piece, len);
    r->answer_len += len;
    return 0;
}

static bool reply_render(struct http_reply *r, const json_t *body)
{
    if (body == NULL) return true;
    if (json_dump_callback(body, render_piece, r, JSON_COMPACT | JSON_ENCODE_ANY) != 0 ||
        r->answer_len == 0) {
        r->answer_len = 0;
        return false;
    }
    r->answer[LWS_PRE + r->answer_len++] = '\n';
    return true;
}

static void answer_begin(struct http_reply *r, int status)
{
    ASSERT(r->stage == HTTP_PENDING && status >= 200 && status < 600);
    r->stage = HTTP_SENDING;
    r->status = status;
    if (r->http != NULL) r->http->answered[status / 100]++;
}

/* Nobody may be there any more: the reply is gone then. */
static void answer_send(struct http_reply *r)
{
    if (r->wsi == NULL) {
        http_reply_free(r);
        return;
    }
    r->since_ms = uv_now(r->http->loop);
    (void)lws_rx_flow_control(r->wsi, 1); /* libwebsockets writes nothing while it may not read */
    (void)lws_callback_on_writable(r->wsi);
}

void http_once(struct http_reply *r)
{
    r->once = true;
}

/* Whether or not the client is still there: it may come again. */
static void keep_answer(struct http_reply *r)
{
    if (r->replay == NULL || r->http == NULL) return;
    const bool kept = r->answer_len > 0 && !r->once;
    replay_answered(r->replay, r->status, kept ? span_make(r->answer + LWS_PRE, r->answer_len) : SPAN_NONE);
    r->replay = NULL;
}

void http_answer(struct http_reply *r, int status, json_t *body)
{
    answer_begin(r, status);
    if (!reply_render(r, body)) r->status = HTTP_STATUS_INTERNAL_SERVER_ERROR;
    json_decref(body);
    keep_answer(r);
    answer_send(r);
}

void http_answer_text(struct http_reply *r, int status, const char *content_type, struct span text)
{
    answer_begin(r, status);
    r->type = content_type;
    if (render_piece((const char *)text.data, text.len, r) != 0)
        r->status = HTTP_STATUS_INTERNAL_SERVER_ERROR;
    answer_send(r);
}

/* Room for one piece, which is asked for again and again. */
void http_stream_begin(struct http_reply *r, const char *content_type, const struct http_stream *stream)
{
    uint8_t *memory = r->wsi != NULL ? malloc(LWS_PRE + HTTP_STREAM_PIECE) : NULL;
    if (memory == NULL) {
        stream->gone(stream->context);
        http_problem(r, 503, "no-memory", "out of memory; try again later");
        return;
    }
    answer_begin(r, 200);
    r->stage = HTTP_STREAMING;
    r->type = content_type;
    r->answer = memory;
    r->stream = *stream;
    http_stream_wake(r);
}

void http_stream_wake(struct http_reply *r)
{
    ASSERT(r->stage == HTTP_STREAMING);
    if (r->cut || r->stream_waits) return;
    r->stream_waits = true;
    answer_send(r);
}

void http_problem(struct http_reply *r, int status, const char *reason, const char *detail_format, ...)
{
    char detail[HTTP_DETAIL_MAX];
    va_list arguments;
    va_start(arguments, detail_format);
    (void)vsnprintf(detail, sizeof detail, detail_format, arguments);
    va_end(arguments);
    http_answer(r, status, problem_json(status, reason, detail));
}

void http_reply_again(struct http_reply *r, const struct replay *p)
{
    if (p->answer_len == 0) {
        http_problem(
            r, 409, "answered",
            "expected a new Idempotency-Key; came one whose request was answered with status %d, and that "
            "answer is not kept",
            p->status);
        return;
    }
    answer_begin(r, p->status);
    if (render_piece((const char *)p->answer, p->answer_len, r) != 0)
        r->status = HTTP_STATUS_INTERNAL_SERVER_ERROR;
    answer_send(r);
}

/* --- Writing an answer ---------------------------------------------------------------------------------- */

/* Room for the longest list of methods and the longest title. */
int http_reply_head(char *out, size_t cap, int status, const char *type, size_t body_len, const char *allow)
{
    const bool is_problem = status >= 400;
    if (type == NULL) type = is_problem ? "application/problem+json" : "application/json";
    return snprintf(out, cap,
                    "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                    "%s%s%s%sCache-Control: no-store\r\nConnection: close\r\n\r\n",
                    status, is_problem ? problem_title(status) : "OK", type, body_len,
                    status == 401 ? "WWW-Authenticate: Bearer realm=\"perigee\"\r\n" : "",
                    allow == NULL ? "" : "Allow: ", allow == NULL ? "" : allow, allow == NULL ? "" : "\r\n");
}

static int stream_head(char *out, size_t cap, const char *type)
{
    return snprintf(out, cap,
                    "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nCache-Control: no-store\r\n"
                    "X-Accel-Buffering: no\r\nConnection: close\r\n\r\n",
                    type);
}

static int send_head(struct http_reply *r)
{
    char head[LWS_PRE + 512];
    const int len = r->stage == HTTP_STREAMING
                        ? stream_head(head + LWS_PRE, sizeof head - LWS_PRE, r->type)
                        : http_reply_head(head + LWS_PRE, sizeof head - LWS_PRE, r->status, r->type,
                                          r->answer_len, r->status == 405 ? r->allow : NULL);
    r->head_sent = true;
    if (strcmp(r->method, "HEAD") == 0) r->answer_sent = r->answer_len;
    return lws_write(r->wsi, (unsigned char *)head + LWS_PRE, (size_t)len, LWS_WRITE_HTTP_HEADERS) < len ? -1
                                                                                                         : 0;
}

/* libwebsockets calls this again only when all bytes of the last piece have left it. */
static int stream_more(struct http_reply *r)
{
    r->since_ms = uv_now(r->http->loop);
    if (!r->head_sent) return send_head(r) != 0 || lws_callback_on_writable(r->wsi) < 0 ? -1 : 0;
    const size_t len = r->stream.more(r->stream.context, r->answer + LWS_PRE, HTTP_STREAM_PIECE);
    if (len > 0) {
        if (lws_write(r->wsi, r->answer + LWS_PRE, len, LWS_WRITE_HTTP) < (int)len) return -1;
        return lws_callback_on_writable(r->wsi) < 0 ? -1 : 0;
    }
    r->stream_waits = false;
    (void)lws_rx_flow_control(r->wsi, 0); /* nothing is read from it, as while a handler works */
    return r->stream.lost(r->stream.context) ? -1 : 0;
}

int http_reply_more(struct http_reply *r)
{
    if (r->stage == HTTP_STREAMING) return stream_more(r);
    if (r->stage != HTTP_SENDING) return 0;
    r->since_ms = uv_now(r->http->loop);
    if (!r->head_sent) {
        if (send_head(r) != 0) return -1;
    } else if (r->answer_sent == r->answer_len) {
        return -1; /* complete: close */
    } else {
        size_t len = r->answer_len - r->answer_sent;
        if (len > HTTP_PIECE_BYTES) len = HTTP_PIECE_BYTES;
        if (lws_write(r->wsi, r->answer + LWS_PRE + r->answer_sent, len, LWS_WRITE_HTTP) < (int)len)
            return -1;
        r->answer_sent += len;
    }
    return lws_callback_on_writable(r->wsi) < 0 ? -1 : 0;
}
