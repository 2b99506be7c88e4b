/* cohort: a synthetic cardio-renal cohort, for trying and testing. NOT REAL: every patient is drawn from a seed; no number
 * is a finding about anybody or any hospital. The same seed gives the same bytes on every machine: integers only.
 *
 * What it imitates, so that a joint study meets what real ones meet:
 * - four hospitals (profiles 0..3) that differ in age, sex, diabetes, blood pressure and kidney function;
 * - about a fifth of patients with two or three visits (rows with one patient_id, one after the other);
 * - about three in a hundred patients known to two hospitals under one patient_id: the same person in both;
 * - missing values (COHORT_MISSING), more in some hospitals than in others; eGFR is missing where creatinine is.
 * eGFR follows CKD-EPI 2021 (Inker et al., N Engl J Med 385:1737) in fixed point. The outcome, "a major cardio-renal event
 * within the follow-up", is made more likely by age, pressure, kidney function, diabetes and sex; it is per person.
 * Threads: any. Errors: file errors. */
#ifndef PERIGEE_NODE_COHORT_H
#define PERIGEE_NODE_COHORT_H

#include "proto/base/span.h"
#include "proto/ddo.h"

enum { COHORT_COLUMN_COUNT = 8, COHORT_LINE_BYTES_MAX = 96, COHORT_PROFILE_COUNT = 4 };
#define COHORT_MISSING "NA"

struct cohort_column {
    const char *name;
    enum column_type type;
};
extern const struct cohort_column cohort_columns[COHORT_COLUMN_COUNT];
/* What a reader must know first; written beside every file. */
extern const char cohort_notice[];

struct cohort {
    uint64_t seed;
    uint32_t silo; /* its profile is silo % COHORT_PROFILE_COUNT */
    uint64_t patient;
    uint32_t visit; /* the next row's patient and visit */
};

void cohort_begin(struct cohort *c, uint64_t seed, uint32_t silo);
/* The next row as a CSV line with its line feed; the cohort has no end. */
void cohort_next(struct cohort *c, struct buffer *out);
/* Header and row_count rows into a new file `path`, and the notice into `path`.txt. ERR_CONFLICT: one of them exists. */
MUST_USE enum err cohort_write(const char *path, uint64_t seed, uint32_t silo, uint64_t row_count);

#endif
