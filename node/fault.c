#include "node/fault.h"

#include <stdarg.h>
#include <stdio.h>

/* It often repeats what came, which may be anything: a terminal and a log see one line of it. */
static void keep_line(char *fault)
{
    for (; *fault != 0; fault++)
        if ((unsigned char)*fault < 0x20 || *fault == 0x7f) *fault = '?';
}

enum err fault_set(char *fault, size_t cap, enum err err, const char *format, ...)
{
    va_list arguments;
    if (cap == 0) return err;
    va_start(arguments, format);
    if (vsnprintf(fault, cap, format, arguments) < 0) fault[0] = 0;
    va_end(arguments);
    keep_line(fault);
    return err;
}
