/* scenario_parts: what the parts of a scenario's document share (scenario.h): its parties (scenario_parties.c), what goes wrong
 * (scenario_faults.c), and the rest of it (scenario.c). Each part is read and written in one file. Errors stay in the reader. */
#ifndef PERIGEE_SIM_SCENARIO_PARTS_H
#define PERIGEE_SIM_SCENARIO_PARTS_H

#include "sim/scenario.h"

enum { SCENARIO_FOR_MS_MAX = 24 * 3600 * 1000, SCENARIO_LOSS_PPM_MAX = 500000 };

extern const char scenario_region_expected[]; /* what a refused `region` is told */

/* A number that may be missing, which is `out` then; one of -most to most; one that is written unless it is 0. */
void scenario_read_optional(struct json_reader *r, const char *key, uint32_t min, uint32_t max,
                            uint32_t *out);
void scenario_read_signed(struct json_reader *r, const char *key, int32_t most, int32_t *out);
void scenario_put_if(struct json_writer *w, const char *key, uint32_t value);
/* `key` is not LEAST to MOST, there being COUNT OF them. */
void scenario_refuse_range(struct json_reader *r, const char *key, uint32_t least, uint32_t most,
                           const char *of, uint32_t count);

/* scenario_parties.c. The place of a party, of the first of a kind; party_count: there is none. */
uint32_t scenario_find_party(const struct scenario *s, struct span name);
uint32_t scenario_find_kind(const struct scenario *s, struct span name);
MUST_USE enum err scenario_read_parties(struct scenario *s, struct arena *arena, struct json_reader *r);
void scenario_check_parties(struct scenario *s, struct json_reader *r);
void scenario_put_parties(struct json_writer *w, const struct scenario *s);

/* scenario_faults.c. When all else was read. */
MUST_USE enum err scenario_read_faults(struct scenario *s, struct arena *arena, struct json_reader *r);
void scenario_put_faults(struct json_writer *w, const struct scenario *s);

#endif
