/* study: a study file, study/1 (PROTOCOL.md "Study files"): what a joint study looks at, on whose data and at what cost, in
 * YAML that a person writes. From it come the documents that the commands and records take, all canonical.
 *
 * Rules: unknown keys are errors; whatever the documents' parsers would refuse is refused when the study is loaded, with the
 * document, path and expectation; so is what the demonstration would come to later: nobody to compute, a budget that does
 * not last. File names stay inside the data folder. A synthetic study has the cohort's columns.
 * Ownership: study_close frees everything; documents go into the caller's buffer. Errors: one line for people.
 * Threads: any, one at a time per study. */
#ifndef PERIGEE_NODE_STUDY_H
#define PERIGEE_NODE_STUDY_H

#include "node/meta.h"
#include "proto/document.h"

#include <limits.h>

enum { STUDY_OP_MAX = 4, STUDY_COMPUTE_MAX = 8 };

/* As written in the file. Decimals are text. */
struct study_column {
    char *name;
    enum column_type type;
};
struct study_party { /* compute and algorithm providers */
    char *organisation, *jurisdiction;
};
struct study_silo {
    char *name, *organisation, *jurisdiction;
    char *file;    /* inside the data folder; NULL: name.csv */
    uint64_t rows; /* public row count; synthetic: 0, the generator's */
};
struct study_synthetic {
    uint64_t seed, rows; /* rows of each silo; may be changed before anything is made */
};
struct study_op {
    char *name, *description, *template_name;
};
struct study_group {
    char *name;
    char **domain;
    unsigned domain_count;
};
struct study_statistic {
    char *name;
    enum statistic_kind kind;
    char *column, *lower, *upper, *epsilon;
    unsigned places;
};
struct study_derived {
    char *name, *numerator, *denominator;
};
struct study_parameter {
    char *name;
    enum parameter_type type;
    char *lower, *upper; /* integer */
    char **domain;       /* text */
    unsigned domain_count;
    char *value; /* what the demonstration's runs choose */
};
struct study_step {
    char *op, *select;
    unsigned rows_per_unit;
    struct study_group *groups;
    unsigned groups_count;
    struct study_statistic *statistics;
    unsigned statistics_count;
    struct study_derived *derived;
    unsigned derived_count;
};
struct study_workflow {
    char *name, *description, *epsilon;
    enum privacy_scope scope;
    unsigned owners; /* quorum; 0: every silo's */
    unsigned max_bytes;
    char **residency; /* where the enclave may run; none: anywhere */
    unsigned residency_count;
    struct study_parameter *parameters;
    unsigned parameters_count;
    struct study_step *steps;
    unsigned steps_count;
};

struct study {
    char *perigee, *name, *description;
    enum meta_format format;
    bool header;
    char *delimiter, *missing;
    struct study_column *columns;
    unsigned columns_count;
    char *unit;              /* NULL: a row is a unit */
    char *budget;            /* epsilon of each dataset */
    unsigned *slots_written; /* NULL: 1 */
    unsigned slots;          /* of each approval; filled in when the study is loaded */
    struct study_synthetic *synthetic;
    struct study_silo *silos;
    unsigned silos_count;
    struct study_party *compute;
    unsigned compute_count;
    struct study_party *provider;
    struct study_op *ops;
    unsigned ops_count;
    struct study_workflow *workflow;
};

MUST_USE enum err study_load(struct study **out, const char *path, char *fault, size_t cap);
void study_close(struct study *s); /* NULL is fine */

/* --- Facts -------------------------------------------------------------------------------------------------------- */
bool study_may_compute(const struct study *s, const char *jurisdiction); /* as `residency` allows */
uint64_t study_rows(const struct study *s, uint32_t silo);
void study_schema(struct schema *out, const struct study *s); /* spans borrow from the study */
void study_meta(struct meta *out, const struct study *s);
/* The silo's file in `folder`. ERR_RANGE: the path is too long. */
MUST_USE enum err study_file(char out[PATH_MAX], const struct study *s, uint32_t silo, const char *folder);
/* Writes a synthetic study's files (cohort.h) into `folder`. ERR_USAGE: the study has real files. */
MUST_USE enum err study_make_files(const struct study *s, const char *folder, char *fault, size_t cap);

/* --- Documents. ERR_TOO_LARGE: the buffer; at most CAP_DOCUMENT_BYTES are needed. ------------------------------------ */
struct study_parties { /* who takes part, known once assets exist */
    struct dt app;
    struct dt dataset[CAP_INPUTS];    /* by silo */
    struct node_id owner[CAP_INPUTS]; /* by silo */
    struct node_id requester[CAP_REQUESTERS], reader[CAP_REQUESTERS];
    uint32_t requester_count, reader_count;
};
struct hash32 study_op_hash(const struct study *s, uint32_t op); /* the op's name */
MUST_USE enum err study_code_write(struct buffer *out, const struct study *s, uint32_t op); /* template/1 */
MUST_USE enum err study_op_write(struct buffer *out, const struct study *s, uint32_t op);   /* op/1 */
MUST_USE enum err study_policy_write(struct buffer *out, const struct study *s); /* policy/1 of every owner */
MUST_USE enum err study_dataset_write(struct buffer *out, const struct study *s, uint32_t silo,
                                      struct dt dt); /* ddo/1 */
MUST_USE enum err study_algorithm_write(struct buffer *out, const struct study *s,
                                        const struct study_parties *p); /* ddo/1 */
MUST_USE enum err study_workflow_write(struct buffer *out, const struct study *s,
                                       const struct study_parties *p);

#endif
