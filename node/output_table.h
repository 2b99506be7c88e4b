/* output_table: output/1 for people: a row per group, statistics and derived values with the error bars of their noise.
 * The rows of output rows as they are. A sum is shown as the document releases it only through what is derived from it: its centred integer says nothing to a
 * reader. Threads: one. Ownership: borrows. */
#ifndef PERIGEE_NODE_OUTPUT_TABLE_H
#define PERIGEE_NODE_OUTPUT_TABLE_H

#include <jansson.h>

void output_table_print(const json_t *output);

#endif
