#include "proto/refusal.h"

#include <string.h>

#define NAME(symbol, code, name, text) [code] = name,
#define TEXT(symbol, code, name, text) [code] = text,
static const char *const names[REFUSAL_COUNT] = {REFUSAL_TABLE(NAME)};
static const char *const texts[REFUSAL_COUNT] = {REFUSAL_TABLE(TEXT)};

const char *refusal_name(enum refusal r)
{
    return (unsigned)r < REFUSAL_COUNT ? names[r] : "unknown";
}

const char *refusal_text(enum refusal r)
{
    return (unsigned)r < REFUSAL_COUNT ? texts[r] : "unknown reason";
}

enum refusal refusal_from(uint64_t code)
{
    return code < REFUSAL_COUNT ? (enum refusal)code : REFUSAL_MALFORMED;
}

struct verdict verdict_refuse(enum refusal r, const uint8_t subject32[32])
{
    struct verdict v = {r, {{0}}};
    if (subject32 != NULL) memcpy(v.subject.bytes, subject32, sizeof v.subject.bytes);
    return v;
}
