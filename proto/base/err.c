#include "proto/base/err.h"

#include <stddef.h>

#define ERR_NAME(symbol, name, text) name,
#define ERR_TEXT(symbol, name, text) text,
static const char *const names[ERR_COUNT] = {ERR_TABLE(ERR_NAME)};
static const char *const texts[ERR_COUNT] = {ERR_TABLE(ERR_TEXT)};

const char *err_name(enum err err)
{
    return (size_t)err < ERR_COUNT ? names[err] : "unknown";
}

const char *err_text(enum err err)
{
    return (size_t)err < ERR_COUNT ? texts[err] : "unknown error";
}
