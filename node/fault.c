#include "node/fault.h"

#include <stdarg.h>
#include <stdio.h>

enum err fault_set(char *fault, size_t cap, enum err err, const char *format, ...)
{
    va_list arguments;
    if (cap == 0) return err;
    va_start(arguments, format);
    if (vsnprintf(fault, cap, format, arguments) < 0) fault[0] = 0;
    va_end(arguments);
    return err;
}
