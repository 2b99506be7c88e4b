/* memory_file: bytes as a file without a name, for readers that take a path. The path is good until memory_file_close. */
#ifndef PERIGEE_TESTS_MEMORY_FILE_H
#define PERIGEE_TESTS_MEMORY_FILE_H

#include "proto/base/span.h"

enum { MEMORY_FILE_PATH = 64 };

int memory_file_open(char path[MEMORY_FILE_PATH], struct span bytes);
void memory_file_close(int file);

#endif
