/* study_state: what the study*.c files share. */
#ifndef PERIGEE_NODE_STUDY_STATE_H
#define PERIGEE_NODE_STUDY_STATE_H

#include "node/study.h"

/* "1.5" with at most `places` places as an integer of 10^-places. ERR_SYNTAX, ERR_RANGE. */
MUST_USE enum err study_decimal(int64_t *out, const char *text, uint32_t places);
/* Every document with stand-in ids, written and parsed: the parsers hold the rules. */
MUST_USE enum err study_check_documents(const struct study *s, char *fault, size_t cap);

#endif
