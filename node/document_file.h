/* document_file: a document for the node from a file somebody wrote. A file that begins with '{' is taken to be canonical
 * already and stays byte for byte, because its hash is its name; anything else is YAML and becomes canonical JSON.
 * The node checks the schema and says what is wrong with path and expectation. Threads: any. */
#ifndef PERIGEE_NODE_DOCUMENT_FILE_H
#define PERIGEE_NODE_DOCUMENT_FILE_H

#include "node/client.h"

/* *out: text from malloc. A YAML file without "perigee" gets `version`, e.g. "op/1". Said on stderr; an exit code. */
int document_file_read(char **out, const struct client *c, const char *path, const char *version);

#endif
