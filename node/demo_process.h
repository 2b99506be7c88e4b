/* demo_process: children of the demonstration. Rules: a child dies with its parent, however that ends; what a short command
 * prints is kept up to DEMO_OUTPUT_MAX; a command that takes too long is killed. Every child is waited for.
 * Threads: one. Ownership: outputs are freed by demo_output_free. */
#ifndef PERIGEE_NODE_DEMO_PROCESS_H
#define PERIGEE_NODE_DEMO_PROCESS_H

#include "proto/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { DEMO_OUTPUT_MAX = 8 << 20, DEMO_WORD_MAX = 80 };

struct demo_output {
    int code;  /* exit code; 128 + signal when killed by one */
    char *out; /* with a zero behind; never NULL after demo_process_run returned OK */
    char *err;
    size_t out_len, err_len;
};

/* Run this program's own executable with these words (NULL-terminated, without the program) until it ends. ERR_NOT_READY: it
 * was killed after `seconds`; ERR_CANCELLED: `*stop` became non-zero; ERR_IO, ERR_NO_MEMORY. */
MUST_USE enum err demo_process_run(struct demo_output *out, const char *const *words, int seconds,
                                   const volatile int *stop);
void demo_output_free(struct demo_output *o);

/* Start a long one; stdout and stderr are appended to `log_path`. It gets a process group of its own, so that a terminal's
 * Ctrl-C reaches only the parent, which then stops it in order. */
MUST_USE enum err demo_process_start(pid_t *out, const char *const *words, const char *log_path);
/* SIGTERM, and SIGKILL after `seconds`. *code as above. False when it had to be killed. */
bool demo_process_stop(pid_t pid, int seconds, int *code);
/* Has it ended by itself? Then it is waited for and *code is set. */
bool demo_process_ended(pid_t pid, int *code);

#endif
