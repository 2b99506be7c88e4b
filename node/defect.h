/* defect: what a program does at a programmer's error. panic() (proto/base/panic.h) ends here, in the product and in tests: one line
 * on stderr, then what one part of the program asked to do before it ends, then a core for whoever looks.
 * Rules: the line comes first, whatever the rest does. What is done before the end may not allocate, waits for nothing without an
 * end, and is done once: an error within it, or in another thread meanwhile, ends the program at once.
 * Threads: any; it is done in the thread that stops, while the others run on. Ownership: a last act is its maker's, until it was
 * forgotten. */
#ifndef PERIGEE_NODE_DEFECT_H
#define PERIGEE_NODE_DEFECT_H

struct defect_last_act {
    void (*act)(void *context);
    void *context;
};

/* In place of what was to be done so far; NULL: nothing. */
void defect_before_end(struct defect_last_act *last);
__attribute__((noreturn)) void defect_end(const char *file, int line, const char *what);

#endif
