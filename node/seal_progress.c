#include "node/seal.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { BAR_CELLS = 30 };

void seal_progress_bar(void *context, const char *what, uint64_t done_bytes, uint64_t total_bytes)
{
    char bar[BAR_CELLS + 1];
    (void)context;
    if (isatty(STDERR_FILENO) != 1) return;
    const uint64_t percent = total_bytes == 0 ? 100 : done_bytes * 100 / total_bytes;
    for (uint32_t i = 0; i < BAR_CELLS; i++) bar[i] = i * 100 < percent * BAR_CELLS ? '#' : '.';
    bar[BAR_CELLS] = 0;
    (void)fprintf(stderr, "\r%s [%s] %3" PRIu64 " %%  %" PRIu64 " / %" PRIu64 " MiB%s", what, bar, percent,
                  done_bytes >> 20, total_bytes >> 20, done_bytes == total_bytes ? "\n" : "");
    (void)fflush(stderr);
}
