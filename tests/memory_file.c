#include "tests/memory_file.h"

#include "proto/base/panic.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int memory_file_open(char path[MEMORY_FILE_PATH], struct span bytes)
{
    int file = memfd_create("test", MFD_CLOEXEC);
    ASSERT(file >= 0 && fchmod(file, 0600) == 0);
    ASSERT(write(file, bytes.data, bytes.len) == (ssize_t)bytes.len);
    (void)snprintf(path, MEMORY_FILE_PATH, "/proc/self/fd/%d", file);
    return file;
}

void memory_file_close(int file)
{
    ASSERT(close(file) == 0);
}
