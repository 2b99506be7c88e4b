#include "node/problem.h"

#include "node/command.h"

#include <stdio.h>
#include <string.h>

enum { PROBLEM_DETAIL_MAX = 4096 };

/* What the process was asked to do: said once, before anything can fail. */
static const char *running = "", *usage = "";
static bool as_json;

/* --- The object ----------------------------------------------------------------------------------------------------- */

const char *problem_title(int status)
{
    switch (status) {
    case 400: return "Bad request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not found";
    case 405: return "Method not allowed";
    case 408: return "Request timeout";
    case 409: return "Conflict";
    case 411: return "Length required";
    case 413: return "Content too large";
    case 422: return "Unprocessable content";
    case 429: return "Too many requests";
    case 431: return "Request header fields too large";
    case 501: return "Not implemented";
    case 503: return "Service unavailable";
    case 504: return "No answer";
    case 505: return "HTTP version not supported";
    }
    return status < 500 ? "Refused" : "Internal error";
}

/* Text that may have been cut inside a character, or come from outside. */
static json_t *text_value(const char *text)
{
    char plain[PROBLEM_DETAIL_MAX];
    json_t *value = json_string(text);
    if (value != NULL) return value;
    (void)snprintf(plain, sizeof plain, "%s", text);
    for (char *at = plain; *at != 0; at++)
        if ((*at & 0x80) != 0) *at = '?';
    return json_string(plain);
}

json_t *problem_json(int status, const char *reason, const char *detail)
{
    char type[96];
    json_t *body = json_object();
    (void)snprintf(type, sizeof type, "urn:perigee:%s", reason);
    (void)json_object_set_new(body, "type", json_string(type));
    (void)json_object_set_new(body, "title", json_string(problem_title(status)));
    (void)json_object_set_new(body, "status", json_integer(status));
    (void)json_object_set_new(body, "detail", text_value(detail));
    (void)json_object_set_new(body, "reason", json_string(reason));
    return body;
}

/* --- The command line ----------------------------------------------------------------------------------------------- */

void problem_begin(const char *command, bool json)
{
    running = command;
    as_json = json;
}

void problem_begin_usage(const char *arguments)
{
    usage = arguments;
}

const char *problem_usage(void)
{
    return usage;
}

const char *problem_command(void)
{
    return running;
}

static void print_object(const json_t *problem)
{
    (void)json_dumpf(problem, stderr, JSON_COMPACT | JSON_SORT_KEYS);
    (void)fputc('\n', stderr);
}

static json_t *local_problem(int code, const char *detail)
{
    switch ((enum exit_code)code) {
    case EXIT_UNREACHABLE: return problem_json(504, "unreachable", detail);
    case EXIT_USAGE: return problem_json(400, "usage", detail);
    case EXIT_NOT_VERIFIED: return problem_json(422, "not-verified", detail);
    case EXIT_TRY_LATER: return problem_json(503, "try-later", detail);
    case EXIT_OK:
    case EXIT_REFUSED:
    case EXIT_NOT_OVER:
    case EXIT_INTERRUPTED: break;
    }
    return problem_json(409, "failed", detail);
}

static void say_usage(char *detail, size_t cap)
{
    const size_t len = strlen(detail);
    if (running[0] != 0) (void)snprintf(detail + len, cap - len, "; see `perigee %s --help`", running);
}

int problem_say_list(int code, const char *format, va_list arguments)
{
    char detail[PROBLEM_DETAIL_MAX];
    (void)vsnprintf(detail, sizeof detail, format, arguments);
    if (code == EXIT_USAGE) say_usage(detail, sizeof detail);
    (void)fflush(stdout); /* a pipe of both shows them in the order they were said */
    if (as_json) {
        json_t *problem = local_problem(code, detail);
        print_object(problem);
        json_decref(problem);
    } else {
        (void)fprintf(stderr, "perigee%s%s: %s\n", running[0] != 0 ? " " : "", running, detail);
    }
    return code;
}

int problem_say(int code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    code = problem_say_list(code, format, arguments);
    va_end(arguments);
    return code;
}

static const char *member(const json_t *problem, const char *key)
{
    const char *text = json_string_value(json_object_get(problem, key));
    return text == NULL ? "" : text;
}

int problem_pass_on(int code, const json_t *problem)
{
    const char *reason = member(problem, "reason"), *detail = member(problem, "detail");
    (void)fflush(stdout);
    if (as_json && json_is_object(problem))
        print_object(problem);
    else
        (void)fprintf(stderr, "perigee %s: %s: %s%s%s\n", running,
                      code == EXIT_TRY_LATER ? "try later" : "refused", reason,
                      reason[0] != 0 && detail[0] != 0 ? ": " : "", detail);
    return code;
}
