/* arguments: the words after a command's name. Rules: options may stand anywhere and are given once, or as often as
 * they have rows; `--name VALUE` or `--name=VALUE`; `--` ends them; what is not an option is kept in order. An unknown
 * option, a missing value or a word too many is ERR_USAGE, said on stderr. argv[0] is the last word of the command's name.
 * Ownership: everything borrows from argv. */
#ifndef PERIGEE_NODE_ARGUMENTS_H
#define PERIGEE_NODE_ARGUMENTS_H

#include "proto/base/span.h"

struct argument {
    const char *name;   /* "--data" */
    const char **value; /* receives the option's value; NULL for a flag */
    bool *flag;         /* set when the option is given; may be NULL when value is not */
};

struct arguments {
    const struct argument *option;
    uint32_t option_count;
    uint32_t word_min, word_max; /* words that are no options */
    uint32_t word_count;         /* out */
    const char **word;           /* out: word_max entries of the caller's, NULL when word_max is 0 */
};

MUST_USE enum err arguments_parse(struct arguments *a, int argc, char **argv);
/* A whole number in base ten within [min, max]; otherwise ERR_USAGE, said on stderr. */
MUST_USE enum err arguments_number(uint64_t *out, const char *name, const char *text, uint64_t min,
                                   uint64_t max);

#endif
