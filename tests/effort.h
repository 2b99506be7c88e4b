/* effort: how often a test that draws its cases draws one. A sanitizer makes a case three to ten times slower and sees what it is
 * for in the first of them, so that its builds take a third; `./dev soak` goes on from fresh seeds. */
#ifndef PERIGEE_TESTS_EFFORT_H
#define PERIGEE_TESTS_EFFORT_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define EFFORT(cases) ((cases) / 3)
#else
#define EFFORT(cases) (cases)
#endif

#endif
