/* The program's panic. A file of its own: tests link theirs in its place. */
#include "proto/base/panic.h"
#include "node/defect.h"

void panic(const char *file, int line, const char *what)
{
    defect_end(file, line, what);
}
