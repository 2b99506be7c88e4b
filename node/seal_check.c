#include "node/seal_check.h"

#include "node/csv.h"
#include "node/fault.h"
#include "node/tables.h"
#include "proto/base/panic.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* DuckDB's limit; it streams, so this bounds it and no file needs more. */
#define CHECK_MEMORY_BYTES (UINT64_C(1) << 30)
enum { CHECK_READ_BYTES = 1 << 16, CHECK_TELL_BYTES = 16 << 20, CHECK_THREAD_COUNT = 2 };

/* --- Our own reader ----------------------------------------------------------------------------------------------- */

static void tell(const struct seal_options *o, uint64_t done_bytes, uint64_t file_bytes)
{
    if (o->progress != NULL) o->progress(o->progress_context, "checking", done_bytes, file_bytes);
}

static enum err read_rows(struct csv *c, uint64_t *row_count, const struct seal_options *o, int fd,
                          uint64_t file_bytes, char *fault, size_t cap)
{
    uint8_t bytes[CHECK_READ_BYTES];
    enum err err = OK;
    uint64_t at = 0;
    for (ssize_t got = 1; err == OK && got != 0;) {
        got = pread(fd, bytes, sizeof bytes, (off_t)at);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fault_set(fault, cap, ERR_IO, "%s: %s", o->path, strerror(errno));
        if (at % CHECK_TELL_BYTES == 0 && at < file_bytes) tell(o, at, file_bytes);
        at += (uint64_t)got;
        err = csv_add(c, span_make(bytes, (size_t)got));
    }
    if (err == OK) err = csv_end(c, row_count);
    if (err != OK) {
        char what[320];
        csv_fault(c, what, sizeof what);
        return fault_set(fault, cap, err, "%s: %s", o->path, what);
    }
    tell(o, file_bytes, file_bytes);
    return OK;
}

static enum err check_csv(uint64_t *row_count, const struct seal_options *o, int fd, uint64_t file_bytes,
                          char *fault, size_t cap)
{
    struct csv *c = malloc(sizeof *c);
    if (c == NULL) return ERR_NO_MEMORY;
    csv_begin(c, o->schema, &o->meta);
    enum err err = read_rows(c, row_count, o, fd, file_bytes, fault, cap);
    free(c);
    return err;
}

/* --- DuckDB ------------------------------------------------------------------------------------------------------- */

static enum err check_tables(struct tables *t, uint64_t *row_count, const struct seal_options *o, int fd,
                             char *why, size_t why_len)
{
    const struct tables_source source = {
        .fd = fd,
        .format = o->meta.format == META_CSV ? TABLES_CSV : TABLES_PARQUET,
        .header = o->meta.header,
        .delimiter = o->meta.delimiter,
        .missing = span_text(o->meta.missing),
        .schema = o->schema,
    };
    TRY(tables_add(t, &source));
    TRY(tables_lock(t, why, why_len));
    return tables_check(t, 0, row_count, why, why_len);
}

/* DuckDB's words are many lines; one is for people. */
static void first_line(char *text)
{
    text[strcspn(text, "\r\n")] = 0;
}

static enum err check_duckdb(struct seal_result *out, const struct seal_options *o, struct tables *t, int fd,
                             char *fault, size_t cap)
{
    char why[1024] = "";
    uint64_t row_count = 0;
    enum err err = check_tables(t, &row_count, o, fd, why, sizeof why);
    first_line(why);
    if (err != OK)
        return fault_set(fault, cap, err == ERR_SQL ? ERR_SYNTAX : err, "%s: %s", o->path,
                         why[0] == 0 ? err_text(err) : why);
    if (o->meta.format == META_CSV && row_count != out->row_count)
        return fault_set(fault, cap, ERR_SYNTAX,
                         "%s: expected the same rows for every reader: %" PRIu64 " here, %" PRIu64
                         " for DuckDB",
                         o->path, out->row_count, row_count);
    out->row_count = row_count;
    out->checked_by_duckdb = true;
    return OK;
}

enum err seal_check(struct seal_result *out, const struct seal_options *o, int fd, uint64_t file_bytes,
                    char *fault, size_t cap)
{
    char why[512] = "";
    struct tables *t = NULL;
    const bool csv = o->meta.format == META_CSV;
    if (o->meta.format == META_BYTES) return OK;
    if (csv && !meta_delimiter_fits(o->meta.delimiter))
        return fault_set(fault, cap, ERR_RANGE, "delimiter: expected one punctuation character or a tab");
    if (csv) TRY(check_csv(&out->row_count, o, fd, file_bytes, fault, cap));
    enum err err = tables_open(&t, CHECK_THREAD_COUNT, CHECK_MEMORY_BYTES, why, sizeof why);
    if (err == ERR_UNAVAILABLE && csv) return OK;
    if (err == ERR_UNAVAILABLE)
        return fault_set(fault, cap, err, "%s: Parquet needs DuckDB, which is not here: %s", o->path, why);
    if (err == OK) err = check_duckdb(out, o, t, fd, fault, cap);
    tables_close(t);
    return err;
}
