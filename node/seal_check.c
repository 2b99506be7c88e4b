#include "node/seal_check.h"

#include "node/csv.h"
#include "node/fault.h"
#include "node/tables.h"
#include "proto/base/panic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* DuckDB's limit; it streams, so this bounds it and no file needs more. */
#define CHECK_MEMORY_BYTES (UINT64_C(1) << 30)
enum { CHECK_READ_BYTES = 1 << 16, CHECK_THREAD_COUNT = 2 };

/* --- Our own reader ----------------------------------------------------------------------------------------------- */

static enum err read_rows(struct csv *c, uint64_t *row_count, int fd, bool header_only, const char *path,
                          char *fault, size_t cap)
{
    uint8_t bytes[CHECK_READ_BYTES];
    enum err err = OK;
    off_t at = 0;
    ssize_t got = 1;
    while (err == OK && got > 0 && !(header_only && c->record > 0)) {
        got = pread(fd, bytes, header_only ? 1 : sizeof bytes, at);
        if (got < 0 && errno != EINTR) return fault_set(fault, cap, ERR_IO, "%s: %s", path, strerror(errno));
        if (got < 0) {
            got = 1; /* interrupted: once more */
            continue;
        }
        at += got;
        err = csv_add(c, span_make(bytes, (size_t)got));
    }
    if (err == OK && !(header_only && c->record > 0)) err = csv_end(c, row_count);
    if (err == OK) return OK;
    char what[320];
    csv_fault(c, what, sizeof what);
    return fault_set(fault, cap, err, "%s: %s", path, what);
}

static enum err check_csv(uint64_t *row_count, const struct seal_options *o, int fd, bool header_only,
                          char *fault, size_t cap)
{
    struct csv *c = malloc(sizeof *c);
    if (c == NULL) return ERR_NO_MEMORY;
    csv_begin(c, o->schema, &o->meta);
    enum err err = read_rows(c, row_count, fd, header_only, o->path, fault, cap);
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
    uint64_t unused = 0;
    if (o->meta.format == META_CSV && o->meta.header) TRY(check_csv(&unused, o, fd, true, fault, cap));
    enum err err = check_tables(t, &out->row_count, o, fd, why, sizeof why);
    out->checked_by_duckdb = err == OK;
    if (err == OK) return OK;
    /* Our reader says line and column; only what it finds nothing wrong with is told in DuckDB's words. */
    if (o->meta.format == META_CSV) TRY(check_csv(&unused, o, fd, false, fault, cap));
    first_line(why);
    return fault_set(fault, cap, err == ERR_SQL ? ERR_SYNTAX : err, "%s: %s", o->path,
                     why[0] == 0 ? err_text(err) : why);
}

enum err seal_check(struct seal_result *out, const struct seal_options *o, int fd, char *fault, size_t cap)
{
    char why[512] = "";
    struct tables *t = NULL;
    if (o->meta.format == META_BYTES) return OK;
    if (o->meta.format == META_CSV && !meta_delimiter_fits(o->meta.delimiter))
        return fault_set(fault, cap, ERR_RANGE, "delimiter: expected one punctuation character or a tab");
    enum err err = tables_open(&t, CHECK_THREAD_COUNT, CHECK_MEMORY_BYTES, why, sizeof why);
    if (err == ERR_UNAVAILABLE && o->meta.format == META_CSV)
        return check_csv(&out->row_count, o, fd, false, fault, cap);
    if (err == ERR_UNAVAILABLE)
        return fault_set(fault, cap, err, "%s: Parquet needs DuckDB, which is not here: %s", o->path, why);
    if (err == OK) err = check_duckdb(out, o, t, fd, fault, cap);
    tables_close(t);
    return err;
}
