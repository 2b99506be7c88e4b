#include "node/http_head.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { HEAD_SHOWN = 40, HEAD_METHOD_MAX = 20 };

static enum http_head_state bad(struct http_fault *why, int status, const char *reason,
                                const char *detail_format, ...) __attribute__((format(printf, 4, 5)));

static enum http_head_state bad(struct http_fault *why, int status, const char *reason,
                                const char *detail_format, ...)
{
    va_list arguments;
    why->status = status;
    why->reason = reason;
    va_start(arguments, detail_format);
    (void)vsnprintf(why->detail, sizeof why->detail, detail_format, arguments);
    va_end(arguments);
    return HTTP_HEAD_BAD;
}

/* The beginning of what came, in characters that can be shown. */
static const char *shown(char out[HEAD_SHOWN + 1], struct span text)
{
    size_t len = text.len < HEAD_SHOWN ? text.len : HEAD_SHOWN;
    for (size_t i = 0; i < len; i++) {
        const uint8_t c = text.data[i];
        out[i] = c < 0x20 || c >= 0x7f || c == '"' ? '?' : (char)c;
    }
    out[len] = 0;
    return out;
}

static bool is_token(struct span text)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < text.len; i++) {
        const uint8_t c = text.data[i];
        const bool alphanumeric = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alphanumeric && (c == 0 || strchr(marks, c) == NULL)) return false;
    }
    return text.len > 0;
}

/* The part of *rest before `mark`, which goes too. False without one. */
static bool cut(struct span *out, struct span *rest, uint8_t mark)
{
    const uint8_t *at = rest->len == 0 ? NULL : memchr(rest->data, mark, rest->len);
    if (at == NULL) return false;
    *out = span_make(rest->data, (size_t)(at - rest->data));
    *rest = span_make(at + 1, rest->len - out->len - 1);
    return true;
}

/* What libwebsockets can parse; which of them a path has is the table of routes' to say. */
static bool is_known_method(struct span method)
{
    static const char *const names[] = {"GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (span_equal_text(method, names[i])) return true;
    return false;
}

static bool is_hex_digit(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* A path, its escapes whole and none of them a zero byte. */
static bool is_target(struct span target)
{
    for (size_t i = 0; i < target.len; i++) {
        if (target.data[i] != '%') continue;
        if (target.len - i < 3 || !is_hex_digit(target.data[i + 1]) || !is_hex_digit(target.data[i + 2]))
            return false;
        if (target.data[i + 1] == '0' && target.data[i + 2] == '0') return false;
    }
    return target.len > 0 && target.data[0] == '/';
}

static enum http_head_state check_request_line(struct span line, struct http_fault *why)
{
    char came[HEAD_SHOWN + 1];
    struct span method, target, rest = line;
    if (!cut(&method, &rest, ' ') || !cut(&target, &rest, ' ') || !is_token(method) ||
        method.len > HEAD_METHOD_MAX)
        return bad(why, 400, "bad-head", "expected a line such as \"GET /v1/status HTTP/1.1\"; came \"%s\"",
                   shown(came, line));
    if (!span_equal_text(rest, "HTTP/1.1") && !span_equal_text(rest, "HTTP/1.0"))
        return bad(why, 505, "version", "expected HTTP/1.1; came \"%s\"", shown(came, rest));
    if (!is_known_method(method))
        return bad(why, 501, "method", "expected GET or POST; came %s, which no path here has",
                   shown(came, method));
    if (is_target(target)) return HTTP_HEAD_WHOLE;
    return bad(
        why, 400, "bad-target",
        "expected a path that begins with /, with escapes such as %%20 and none of them %%00; came \"%s\"",
        shown(came, target));
}

static bool is_named(struct span name, const char *text)
{
    return name.len == strlen(text) && strncasecmp((const char *)name.data, text, name.len) == 0;
}

/* Two Host fields are two opinions of what is asked (RFC 9112 section 3.2). */
static enum http_head_state check_field(struct span line, uint32_t *hosts, struct http_fault *why)
{
    char came[HEAD_SHOWN + 1];
    struct span name, value = line;
    if (!cut(&name, &value, ':') || !is_token(name))
        return bad(why, 400, "bad-head", "expected a field such as \"Content-Length: 2\"; came \"%s\"",
                   shown(came, line));
    if (is_named(name, "host") && (*hosts)++ > 0)
        return bad(why, 400, "bad-head", "expected one Host field; came another: \"%s\"", shown(came, line));
    if (!is_named(name, "upgrade")) return HTTP_HEAD_WHOLE;
    return bad(why, 400, "upgrade", "expected a request of HTTP/1.1 and no Upgrade; came \"%s\"",
               shown(came, line));
}

/* A line without its end. Only tabs and what can be seen; bytes beyond ASCII only in the values of fields. */
static enum http_head_state check_line(struct span line, bool first, struct http_fault *why)
{
    for (size_t i = 0; i < line.len; i++) {
        const uint8_t c = line.data[i];
        if ((c >= 0x20 && c < 0x7f) || (!first && (c == '\t' || c >= 0x80))) continue;
        return bad(why, 400, "bad-head", "expected text in the head; came byte 0x%02x", c);
    }
    return HTTP_HEAD_WHOLE;
}

/* The next whole line of `bytes` at *at, without its end; MORE when there is none yet. */
static enum http_head_state next_line(struct span *line, struct span bytes, size_t *at,
                                      struct http_fault *why)
{
    const bool first = *at == 0;
    const struct span left = span_make(bytes.data + *at, bytes.len - *at);
    const uint8_t *end = left.len == 0 ? NULL : memchr(left.data, '\n', left.len);
    *line = end == NULL ? left : span_make(left.data, (size_t)(end - left.data));
    const bool returned = line->len > 0 && line->data[line->len - 1] == '\r';
    if (returned) line->len--;
    enum http_head_state state = check_line(*line, first, why);
    if (state == HTTP_HEAD_BAD) return state;
    if (end == NULL) return HTTP_HEAD_MORE;
    *at += (size_t)(end - left.data) + 1;
    return returned ? HTTP_HEAD_WHOLE
                    : bad(why, 400, "bad-head", "expected lines that end in CR LF; came LF alone");
}

enum http_head_state http_head_read(struct span bytes, struct http_fault *why)
{
    struct span line;
    size_t at = 0;
    uint32_t hosts = 0;
    const struct span within = span_make(bytes.data, bytes.len < HTTP_HEAD_MAX ? bytes.len : HTTP_HEAD_MAX);
    enum http_head_state state = next_line(&line, within, &at, why);
    if (state == HTTP_HEAD_WHOLE) state = check_request_line(line, why);
    while (state == HTTP_HEAD_WHOLE) {
        state = next_line(&line, within, &at, why);
        if (state == HTTP_HEAD_WHOLE && line.len == 0) return state;
        if (state == HTTP_HEAD_WHOLE) state = check_field(line, &hosts, why);
    }
    if (state == HTTP_HEAD_MORE && within.len == HTTP_HEAD_MAX)
        return bad(why, 431, "head-too-large",
                   "expected a request line and fields of at most %d bytes; more came", HTTP_HEAD_MAX);
    return state;
}
