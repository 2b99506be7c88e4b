/* sweep_file: a sweep, and the scenario it names, read from YAML files into canonical texts.
 * Rules: the scenario's path is meant from where the sweep's file is. What the texts say is checked by whoever opens them (simulator.h
 * sweep_open). Ownership: sweep_file_free. Errors come with one line for people. Threads: any. */
#ifndef PERIGEE_NODE_SWEEP_FILE_H
#define PERIGEE_NODE_SWEEP_FILE_H

#include "proto/base/span.h"

struct sweep_file {
    char *sweep, *scenario; /* scenario: NULL when the sweep holds it itself */
};

MUST_USE enum err sweep_file_load(struct sweep_file *f, const char *path, char *fault, size_t cap);
void sweep_file_free(struct sweep_file *f);
struct span sweep_file_scenario(const struct sweep_file *f); /* nothing, when there is none */

#endif
