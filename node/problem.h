/* problem: what went wrong, as an object for programs (problem+json, RFC 9457: type, title, status, detail, reason) and as
 * one line for people. The API answers with it; the command line says with it what fails before a node is asked, or
 * without one.
 * Rules: the process says once which command runs and whether --json stands among its words (command.c); from then on every
 * error of the command line goes to stderr once, as "perigee COMMAND: ..." or as one object on one line. A problem that no
 * node answered has the status a node would have given, by its exit code. Threads: one, except problem_json (any). */
#ifndef PERIGEE_NODE_PROBLEM_H
#define PERIGEE_NODE_PROBLEM_H

#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>

/* The words of an HTTP status. */
const char *problem_title(int status);
/* The caller's. What is no UTF-8 in `detail` becomes '?'. */
json_t *problem_json(int status, const char *reason, const char *detail);

/* `command` is "run request", or "" before one is known; borrowed for ever. */
void problem_begin(const char *command, bool json);
/* What the running command takes, as its help says it: "--data DIR RUN". "" before; borrowed for ever. */
void problem_begin_usage(const char *arguments);
const char *problem_usage(void);
const char *problem_command(void);
/* Returns `code`, which is one of command.h. EXIT_USAGE says where the usage is. */
int problem_say(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
int problem_say_list(int code, const char *format, va_list arguments);
/* A problem that a node answered with. Returns `code`. Borrows. */
int problem_pass_on(int code, const json_t *problem);

#endif
