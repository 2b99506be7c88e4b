/* sample: one valid document of each kind, for tests and as seeds of the fuzz corpora, and the two things tests do with
 * documents: replace a part of one and see it refused, and read it back from what its writer makes.
 * Text is one line of canonical JSON, broken here into C strings for the eye. */
#ifndef PERIGEE_TESTS_SAMPLE_H
#define PERIGEE_TESTS_SAMPLE_H

#include "proto/base/arena.h"
#include "proto/base/json.h"

/* 32 bytes of hex, told apart by the first. */
#define SAMPLE_ID(digits) digits "00112233445566778899aabbccddeeff0123456789abcdef0123456789abcd"

extern const char sample_charter[];
extern const char sample_ddo[];       /* a dataset */
extern const char sample_algorithm[]; /* a ddo with children */
extern const char sample_composite[]; /* a ddo that combines two others */
extern const char sample_policy[];
extern const char sample_op[];
extern const char sample_template[]; /* the shipped `table` */
extern const char sample_workflow[]; /* the heart study: groups, counts, a sum, derived means, parameters */
extern const char sample_workflow_rows[]; /* privacy none */
extern const char sample_manifest[];

/* Parses and forgets; what the refusal tests need. */
typedef enum err sample_parse(struct arena *arena, struct span bytes, struct json_fault *fault);

/* `find` occurs in the sample; with `replace` in its place the document is refused like this. */
struct sample_refusal {
    const char *find, *replace;
    enum err err;
    const char *path;
    const char *expected; /* begins with */
};
void sample_refused(const char *sample, sample_parse *parse, const struct sample_refusal *refusals,
                    size_t count);

/* The sample with the first `find` replaced; the text lives until the next call. */
struct span sample_with(const char *sample, const char *find, const char *replace);

/* An arena that reads as zero, the same memory at each call. */
struct arena *sample_arena(void);
/* Every arena too small for the sample is an error, and none is a crash. */
void sample_starved(const char *sample, sample_parse *parse);

#endif
