/* panic: the end of the line for a programmer's error.
 * ASSERT stays on in production. Bytes from outside (peer, file, API, config) must never be able to reach one.
 * `panic` itself is supplied by the program (node/panic.c, tests/panic.c), so proto/ stays pure. */
#ifndef PERIGEE_PROTO_BASE_PANIC_H
#define PERIGEE_PROTO_BASE_PANIC_H

#ifdef __cplusplus
extern "C" [[noreturn]] void panic(const char *file, int line, const char *what);
#else
_Noreturn void panic(const char *file, int line, const char *what);
#endif

#define ASSERT(condition) ((condition) ? (void)0 : panic(__FILE__, __LINE__, #condition))
#define UNREACHABLE()     panic(__FILE__, __LINE__, "unreachable")

#endif
