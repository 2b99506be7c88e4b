/* approval_file: an approval on its way to a machine without a node, where its owner keeps the key that signs it, and back
 * (approval-request/1, PROTOCOL.md "Approval files").
 * The file carries the recipe itself and the ops' code, so whoever signs reads what the recipe says and not what a node says
 * of it: text, cost and every hash are computed from these bytes on that machine. Rules: everything in it is hostile; unknown
 * members are refused. Ownership: approval_file_close frees all. Threads: one. Errors: one line for people in `fault`. */
#ifndef PERIGEE_NODE_APPROVAL_FILE_H
#define PERIGEE_NODE_APPROVAL_FILE_H

#include "proto/registry.h"

#include <jansson.h>

struct approval_file {
    json_t *json;
    void *memory;
    struct consortium_id consortium;
    struct node_id owner;
    struct body_APPROVAL body; /* all but the signature */
    const struct workflow *workflow;
    char *text; /* what its owner is shown; its hash is body.text */
    bool signed_already;
};

/* A request: takes nothing; `ops` is [{document, code}] in the order of the recipe's steps. NULL: out of memory. */
json_t *approval_file_make(const char *consortium, const char *owner, const char *dataset,
                           uint64_t slot_first, uint64_t slot_last, const char *workflow, json_t *ops);
/* Read, and check every hash: the ops must be those the steps name, with the code they name. */
MUST_USE enum err approval_file_open(struct approval_file *out, const char *path, char *fault, size_t cap);
/* Does the signature in it hold under this key? */
MUST_USE enum err approval_file_check(const struct approval_file *f, struct node_id key);
/* Sign it, in place. */
MUST_USE enum err approval_file_sign(struct approval_file *f, const struct identity_secret *key);
MUST_USE enum err approval_file_write(const struct approval_file *f, const char *path, char *fault,
                                      size_t cap);
/* Step `i`'s op, as its document says; false: the recipe has no such step. Spans live as long as the file is open. */
bool approval_file_op(const struct approval_file *f, uint32_t i, struct span *document, struct span *code);
/* The question, on a terminal, once the text was shown: here and where a node is. */
bool approval_file_ask(void);
void approval_file_close(struct approval_file *f);

#endif
