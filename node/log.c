#include "node/log.h"

#include "proto/base/text.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LOG_TEXT_MAX = 700 };

static const struct {
    enum log_level level;
    const char *name, *begins;
} rows[LOG_EVENT_COUNT] = {
#define LOG_ROW(symbol, level, name, begins) {level, name, begins},
    LOG_TABLE(LOG_ROW)
#undef LOG_ROW
};
static const char *const level_names[LOG_LEVEL_COUNT] = {"error", "warn", "info", "debug"};

static struct {
    pthread_mutex_t lock;
    enum log_level most;
    bool json;
    char node[17];
    struct {
        int64_t at_ms; /* when `left` was last filled */
        uint32_t left, left_out;
    } event[LOG_EVENT_COUNT];
    uint64_t lines[LOG_LEVEL_COUNT], left_out;
} process = {.lock = PTHREAD_MUTEX_INITIALIZER, .most = LOG_INFO};

void log_begin(enum log_level most, bool json, struct node_id node)
{
    process.most = most;
    process.json = json;
    hex_encode(process.node, node.bytes, 8);
}

/* --- Names ---------------------------------------------------------------------------------------------------------- */

const char *log_event_name(enum log_event event)
{
    return rows[event].name;
}

enum log_event log_event_of(struct span line, enum log_event otherwise)
{
    for (uint32_t i = 0; i < LOG_EVENT_COUNT; i++) {
        const size_t len = strlen(rows[i].begins);
        if (len > 0 && line.len >= len && memcmp(line.data, rows[i].begins, len) == 0)
            return (enum log_event)i;
    }
    return otherwise;
}

bool log_level_parse(enum log_level *out, const char *text)
{
    for (uint32_t i = 0; i < LOG_LEVEL_COUNT; i++) {
        if (strcmp(level_names[i], text) != 0) continue;
        *out = (enum log_level)i;
        return true;
    }
    return false;
}

/* --- Lines ---------------------------------------------------------------------------------------------------------- */

/* As both formats quote it: a backslash before quotes and backslashes; of what is no text, '?'. */
static void put_quoted(struct buffer *out, struct span text)
{
    const uint8_t *end = text.data + text.len;
    for (const uint8_t *at = text.data; at < end;) {
        const size_t len = text_character(at, end);
        if (len == 0) {
            buffer_put_u8(out, '?');
            at++;
            continue;
        }
        if (*at == '"' || *at == '\\') buffer_put_u8(out, '\\');
        buffer_put(out, span_make(at, len));
        at += len;
    }
}

static void put_field(struct buffer *out, const char *name, const char *value)
{
    if (process.json) {
        buffer_put_text(out, out->len == 0 ? "{\"" : ",\"");
        buffer_put_text(out, name);
        buffer_put_text(out, "\":\"");
        buffer_put_text(out, value);
        buffer_put_u8(out, '"');
    } else {
        if (out->len > 0) buffer_put_u8(out, ' ');
        buffer_put_text(out, name);
        buffer_put_u8(out, '=');
        buffer_put_text(out, value);
    }
}

static void put_time(struct buffer *out, const struct timespec *t)
{
    char text[40];
    struct tm utc;
    (void)gmtime_r(&t->tv_sec, &utc);
    const size_t len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(text + len, sizeof text - len, ".%03ldZ", t->tv_nsec / 1000000);
    put_field(out, "time", text);
}

static void put_line(enum log_event event, struct span text, uint32_t left_out)
{
    char line[LOG_LINE_MAX * 2], number[16];
    struct buffer out = BUFFER_OF(line);
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    put_time(&out, &now);
    put_field(&out, "level", level_names[rows[event].level]);
    put_field(&out, "event", rows[event].name);
    put_field(&out, "node", process.node);
    (void)snprintf(number, sizeof number, "%u", left_out);
    if (left_out > 0) put_field(&out, "left_out", number);
    buffer_put_text(&out, process.json ? ",\"msg\":\"" : " msg=\"");
    put_quoted(&out, text);
    buffer_put_text(&out, process.json ? "\"}\n" : "\"\n");
    if (buffer_done(&out) == OK) (void)!write(STDERR_FILENO, line, out.len);
}

/* Places fill up with time. True: it may be written; *left_out: so many of its name were not. */
static bool take_turn(enum log_event event, uint32_t *left_out)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_BOOTTIME, &t);
    const int64_t now_ms = (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
    const int64_t came =
        process.event[event].at_ms == 0 ? LOG_BURST : (now_ms - process.event[event].at_ms) * LOG_RATE / 1000;
    if (came > 0) {
        const int64_t left = process.event[event].left + came;
        process.event[event].left = left < LOG_BURST ? (uint32_t)left : LOG_BURST;
        process.event[event].at_ms = now_ms;
    }
    if (process.event[event].left == 0) {
        process.event[event].left_out++;
        process.left_out++;
        return false;
    }
    process.event[event].left--;
    *left_out = process.event[event].left_out;
    process.event[event].left_out = 0;
    return true;
}

static void say(enum log_event event, struct span text)
{
    uint32_t left_out = 0;
    if (rows[event].level > process.most) return;
    if (text.len > LOG_TEXT_MAX) text.len = LOG_TEXT_MAX;
    (void)pthread_mutex_lock(&process.lock);
    if (take_turn(event, &left_out)) {
        process.lines[rows[event].level]++;
        put_line(event, text, left_out);
    }
    (void)pthread_mutex_unlock(&process.lock);
}

void log_say(enum log_event event, const char *format, ...)
{
    char text[LOG_TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    say(event, span_text(text));
}

void log_pass_on(enum log_event otherwise, struct span line)
{
    say(log_event_of(line, otherwise), line);
}

void log_counts(uint64_t lines[LOG_LEVEL_COUNT], uint64_t *left_out)
{
    (void)pthread_mutex_lock(&process.lock);
    memcpy(lines, process.lines, sizeof process.lines);
    *left_out = process.left_out;
    (void)pthread_mutex_unlock(&process.lock);
}
