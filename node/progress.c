#include "node/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BAR_EVERY_MS = 200, LINE_EVERY_MS = 5000, BAR_CHARS = 24, SURE_PPM = 10000 };

static uint64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t every_ms(const struct progress *p)
{
    return p->terminal ? BAR_EVERY_MS : LINE_EVERY_MS;
}

struct progress progress_begin(bool json)
{
    struct progress p = {.terminal = isatty(STDERR_FILENO) == 1, .begun_ms = now_ms()};
    p.silent = json && !p.terminal;
    p.next_ms = p.begun_ms + every_ms(&p);
    return p;
}

bool progress_due(struct progress *p)
{
    if (p->silent) return false;
    const uint64_t now = now_ms();
    if (now < p->next_ms) return false;
    p->next_ms = now + every_ms(p);
    return true;
}

void progress_words(char *out, size_t cap, const struct progress_at *at, uint64_t took_ms, bool bar)
{
    char drawn[BAR_CHARS + 1] = "", left[56] = "";
    const uint32_t done = at->done_ppm < 1000000 ? at->done_ppm : 1000000,
                   full = done / (1000000 / BAR_CHARS);
    const uint64_t rate = took_ms > 0 ? at->events * 1000 / took_ms : 0;
    memset(drawn, '.', BAR_CHARS);
    memset(drawn, '#', full < BAR_CHARS ? full : BAR_CHARS);
    if (done >= SURE_PPM) /* before that nobody knows */
        (void)snprintf(left, sizeof left, ", about %" PRIu64 " s left",
                       (took_ms * (1000000 - done) / done + 999) / 1000);
    (void)snprintf(out, cap, "%s%s%s%3u %%: %" PRIu64 ".%u s of virtual time, %" PRIu64 " events a second%s",
                   bar ? "[" : "", bar ? drawn : "", bar ? "] " : "", done / 10000, at->virtual_ms / 1000,
                   (unsigned)(at->virtual_ms % 1000 / 100), rate, left);
}

void progress_show(struct progress *p, const struct progress_at *at)
{
    char words[160];
    progress_words(words, sizeof words, at, now_ms() - p->begun_ms, p->terminal);
    (void)fprintf(stderr, p->terminal ? "\r\033[K%s" : "%s\n", words);
    (void)fflush(stderr);
    p->shown = p->terminal;
}

void progress_end(struct progress *p)
{
    if (p->shown) (void)fputs("\r\033[K", stderr);
    p->shown = false;
}
