#include "node/scope.h"

#include <string.h>

static const struct {
    uint32_t scope;
    const char *name;
} rows[] = {
#define SCOPE_ROW(symbol, bit, name, what) {symbol, name},
    SCOPE_TABLE(SCOPE_ROW)
#undef SCOPE_ROW
};
enum { ROW_COUNT = sizeof rows / sizeof rows[0] };

const char *scope_name(uint32_t scope)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (rows[i].scope == scope) return rows[i].name;
    return "none";
}

static uint32_t scope_of(struct span name)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (span_equal_text(name, rows[i].name)) return rows[i].scope;
    return 0;
}

enum err scope_parse(uint32_t *out, struct span text)
{
    *out = 0;
    for (size_t at = 0; at <= text.len;) {
        const uint8_t *comma = at < text.len ? memchr(text.data + at, ',', text.len - at) : NULL;
        const size_t end = comma != NULL ? (size_t)(comma - text.data) : text.len;
        const uint32_t scope = scope_of(span_make(text.data + at, end - at));
        if (scope == 0 || (*out & scope) != 0) return ERR_SYNTAX;
        *out |= scope;
        at = end + 1;
    }
    return OK;
}
