/* csv: any bytes as a table, whole and in pieces: the same verdict, count and words. */
#include "node/csv.h"
#include "proto/base/panic.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

struct verdict {
    enum err err;
    uint64_t row_count;
    char fault[320];
};

static struct verdict judge(struct span input, size_t piece, bool header)
{
    static struct csv reader;
    const struct meta meta = {META_CSV, header, ',', "?"};
    struct verdict v = {OK, 0, ""};
    struct schema schema = {.column_count = 3};
    schema.column[0] = (struct column){SPAN_LITERAL("id"), COLUMN_TEXT};
    schema.column[1] = (struct column){SPAN_LITERAL("x"), COLUMN_DECIMAL};
    schema.column[2] = (struct column){SPAN_LITERAL("n"), COLUMN_INTEGER};
    csv_begin(&reader, &schema, &meta);
    for (size_t at = 0; at < input.len && v.err == OK; at += piece)
        v.err = csv_add(&reader, span_make(input.data + at, input.len - at < piece ? input.len - at : piece));
    if (v.err == OK) v.err = csv_end(&reader, &v.row_count);
    if (v.err != OK) csv_fault(&reader, v.fault, sizeof v.fault);
    return v;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    const struct span input = span_make(bytes, len);
    for (int header = 0; header < 2; header++) {
        const struct verdict whole = judge(input, len + 1, header), parts = judge(input, 1, header);
        ASSERT(whole.err == parts.err && whole.row_count == parts.row_count);
        ASSERT(strcmp(whole.fault, parts.fault) == 0);
        ASSERT((whole.err == OK) == (whole.fault[0] == 0));
        for (const char *at = whole.fault; *at != 0; at++) ASSERT((uint8_t)*at >= 0x20 && *at != 0x7f);
    }
    return 0;
}
