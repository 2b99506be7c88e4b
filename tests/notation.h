/* notation: does a JSON value have the shape that node/api.h writes down? {a:T, b?:T}, {*:T}, [T], T|null; T is text, int,
 * bool, any, id or token. What is not written down may not be there. */
#ifndef PERIGEE_TESTS_NOTATION_H
#define PERIGEE_TESTS_NOTATION_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* `why` receives where they differ. */
bool notation_fits(const json_t *value, const char *shape, char *why, size_t cap);
/* A value of this shape, in which ids and tokens name nothing; the caller's. */
json_t *notation_example(const char *shape);
/* Calls `each` with every member of an object's notation. */
void notation_members(const char *object,
                      void (*each)(void *context, const char *name, bool optional, const char *shape),
                      void *context);

#endif
