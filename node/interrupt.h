/* interrupt: Ctrl-C, for commands that take long and end well. The first is noted, and the command looks for it where it can stop; the
 * second one ends the process at once.
 * Threads: one. */
#ifndef PERIGEE_NODE_INTERRUPT_H
#define PERIGEE_NODE_INTERRUPT_H

#include <stdbool.h>

void interrupt_listen(void); /* from here on */
bool interrupt_came(void);

#endif
