/* After the run: does any row of a hospital stand in clear in what another node wrote? Samples of each file are looked for
 * in every other node's directory and log. Finding none proves no absence; finding one would prove a leak. */
#include "node/demo.h"

#include "node/file.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLEAR_SAMPLES = 64, CLEAR_FILE_MAX = 256 << 20, CLEAR_LINE_MIN = 16, CLEAR_PIECE = 32 };

static struct {
    struct span sample[CLEAR_SAMPLES];
    uint32_t sample_count, file_count;
    char found[PATH_MAX];
} search; /* nftw hands no context to its visitor */

/* Lines spread over the file; short ones could stand anywhere by chance. */
static void take_lines(const char *text, size_t len)
{
    search.sample_count = 0;
    for (uint32_t i = 0; i < CLEAR_SAMPLES; i++) {
        const char *at = text + len / CLEAR_SAMPLES * i, *end = text + len;
        const char *begin = memchr(at, '\n', (size_t)(end - at));
        if (begin == NULL || ++begin == end) continue;
        const char *stop = memchr(begin, '\n', (size_t)(end - begin));
        if (stop == NULL || stop - begin < CLEAR_LINE_MIN) continue;
        search.sample[search.sample_count++] = span_make(begin, (size_t)(stop - begin));
    }
}

/* Bytes that repeat could stand anywhere by chance. */
static bool is_varied(const char *piece)
{
    bool seen[256] = {false};
    uint32_t count = 0;
    for (uint32_t i = 0; i < CLEAR_PIECE; i++) {
        uint8_t byte = (uint8_t)piece[i];
        count += !seen[byte];
        seen[byte] = true;
    }
    return count >= CLEAR_PIECE / 2;
}

/* A Parquet file has no lines: pieces spread over it. */
static void take_pieces(const char *text, size_t len)
{
    search.sample_count = 0;
    for (uint32_t i = 0; i < CLEAR_SAMPLES && len >= CLEAR_PIECE; i++) {
        const char *at = text + (len - CLEAR_PIECE) / CLEAR_SAMPLES * i;
        if (is_varied(at)) search.sample[search.sample_count++] = span_make(at, CLEAR_PIECE);
    }
}

static int visit(const char *path, const struct stat *status, int type, struct FTW *place)
{
    char *text = NULL;
    size_t len = 0;
    (void)status;
    (void)place;
    if (type != FTW_F || file_read(&text, &len, path, CLEAR_FILE_MAX) != OK) return 0;
    search.file_count++;
    for (uint32_t i = 0; i < search.sample_count && search.found[0] == 0; i++)
        if (memmem(text, len, search.sample[i].data, search.sample[i].len) != NULL)
            (void)snprintf(search.found, sizeof search.found, "%s", path);
    free(text);
    return search.found[0] != 0;
}

static bool search_others(struct demo *d, const struct demo_node *owner)
{
    for (uint32_t i = 0; i < d->node_count; i++) {
        if (&d->node[i] == owner) continue;
        (void)nftw(d->node[i].dir, visit, 16, FTW_PHYS);
        (void)nftw(d->node[i].log, visit, 16, FTW_PHYS);
    }
    return search.found[0] == 0 ||
           demo_bad(d, NULL, "rows of %s stand in clear in %s", owner->name, search.found);
}

bool demo_clear(struct demo *d)
{
    const bool has_lines = d->study->format == META_CSV;
    uint32_t samples = 0;
    demo_begin(d, "in clear", "no row of a hospital is found in what the other six nodes wrote");
    search.file_count = 0;
    search.found[0] = 0;
    for (uint32_t i = 0; i < d->silo_count; i++) {
        char *text = NULL;
        size_t len = 0;
        enum err err = file_read(&text, &len, d->node[i].data, CLEAR_FILE_MAX);
        if (err != OK) return demo_bad(d, NULL, "%s: %s", d->node[i].data, err_text(err));
        if (has_lines)
            take_lines(text, len);
        else
            take_pieces(text, len);
        samples += search.sample_count;
        bool good = search_others(d, &d->node[i]);
        free(text);
        if (!good) return false;
    }
    return demo_good(d, "%u %s looked for in %u files, none found", samples,
                     has_lines ? "rows" : "pieces of rows", search.file_count);
}
