/* vector_text: hex fields out of published JSON vectors. The files are trusted and keep one order, so looking for the
 * next key is enough; anything unexpected fails the test. */
#ifndef PERIGEE_TESTS_VECTOR_TEXT_H
#define PERIGEE_TESTS_VECTOR_TEXT_H

#include "proto/base/span.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Past the next "key". */
static inline const char *text_seek(const char *at, const char *key)
{
    char quoted[64];
    (void)snprintf(quoted, sizeof quoted, "\"%s\"", key);
    at = strstr(at, quoted);
    assert_non_null(at);
    return at + strlen(quoted);
}

/* The next string, as hex; its length in bytes comes back. */
static inline const char *text_next(const char *at, void *out, size_t max, size_t *len)
{
    const char *begin = strchr(at, '"');
    assert_non_null(begin);
    const char *end = strchr(begin + 1, '"');
    assert_non_null(end);
    *len = (size_t)(end - begin - 1) / 2;
    assert_true(*len <= max);
    assert_int_equal(hex_decode(out, *len, span_make(begin + 1, (size_t)(end - begin - 1))), OK);
    return end + 1;
}

static inline const char *text_exact(const char *at, void *out, size_t expected)
{
    size_t len;
    at = text_next(at, out, expected, &len);
    assert_int_equal(len, expected);
    return at;
}

/* A whole file, terminated; false when it is absent. */
static inline bool text_load(char *out, size_t cap, const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) return false;
    size_t len = fread(out, 1, cap - 1, file);
    (void)fclose(file);
    assert_in_range(len, 1, cap - 2);
    out[len] = 0;
    return true;
}

#endif
