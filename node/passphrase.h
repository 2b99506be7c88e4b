/* passphrase: what protects the key files of a home, as it comes from its owner: the first line of a file (mode 0600, or a
 * pipe such as /dev/fd/3), or with "-" from the terminal, unseen, or from standard input where there is no terminal.
 * Rules: 1 to PASSPHRASE_MAX bytes; it is never a word of a command line and never in a message. Threads: one.
 * Ownership: the caller's, in secret memory; passphrase_free wipes it. */
#ifndef PERIGEE_NODE_PASSPHRASE_H
#define PERIGEE_NODE_PASSPHRASE_H

#include "proto/base/span.h"

enum { PASSPHRASE_MAX = 1024 };

struct passphrase {
    size_t len;
    uint8_t bytes[PASSPHRASE_MAX + 1];
};

/* `file` NULL: none, *out NULL. `twice`: on a terminal it is asked for again. Errors are said in `fault`. */
MUST_USE enum err passphrase_read(struct passphrase **out, const char *file, bool twice, char *fault,
                                  size_t cap);
struct span passphrase_span(const struct passphrase *p); /* NULL: SPAN_NONE */
void passphrase_free(struct passphrase *p);

#endif
