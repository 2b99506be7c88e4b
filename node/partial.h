/* partial: what a long piece of work has done so far, in a file that is only ever added to, so that the same work goes on where it was
 * stopped.
 * Rules: the first line names the work; a file that names another work is refused, and stays. Every other line is one result: sixteen
 * digits of its SHA-256, a space, its text. A line that is torn, or is not what its digits say, is no result: that work is done again.
 * Lines are not synced one by one; a machine that loses power loses work, and nothing else. A lock, which ends with the process, keeps
 * two from writing to one file.
 * Ownership: partial_close or partial_done. Errors come with one line for people. Threads: one. */
#ifndef PERIGEE_NODE_PARTIAL_H
#define PERIGEE_NODE_PARTIAL_H

#include "proto/base/span.h"

enum { PARTIAL_LINE_MAX = 4096 };

struct partial {
    int fd; /* below 0: none */
    const char *path;
    uint64_t len; /* of whole lines */
};

/* Called for each result that is there; the text is valid during the call. */
typedef void partial_take(void *context, struct span text);

/* `work` is one line of text. ERR_BUSY: another process writes to it; ERR_CONFLICT: it is of another work. */
MUST_USE enum err partial_open(struct partial *p, const char *path, const char *work, partial_take *take,
                               void *context, char *fault, size_t cap);
/* At most PARTIAL_LINE_MAX bytes without a line's end. On error it is as it was. */
MUST_USE enum err partial_append(struct partial *p, struct span text);
void partial_close(struct partial *p); /* for another time */
void partial_done(struct partial *p);  /* all of the work is: remove it */

#endif
