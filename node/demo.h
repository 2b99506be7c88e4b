/* demo: a joint study with seven processes on this machine, driven only through the command line and API a user has.
 * Four hospitals (owner, custodian, steward), two compute providers, one algorithm provider (which also requests and reads).
 * Rules: every action is a `perigee` command in a process of its own; what is awaited is read from the nodes' API sockets;
 * on a failure the step, what was expected, what came and the end of the node's log are shown; children never outlive it.
 * Shared by the demo*.c files and the benchmark of a whole run. Threads: one. */
#ifndef PERIGEE_NODE_DEMO_H
#define PERIGEE_NODE_DEMO_H

#include "node/demo_process.h"
#include "node/study.h"

#include <jansson.h>
#include <limits.h>
#include <stdint.h>

enum { DEMO_NODE_MAX = CAP_INPUTS + STUDY_COMPUTE_MAX + 1, DEMO_WORD_BYTES = 96 };

struct demo_node {
    const char *name, *jurisdiction, *roles; /* name: of the organisation and of the directory */
    char dir[PATH_MAX], log[PATH_MAX], socket[PATH_MAX];
    char id[65];
    unsigned port;
    pid_t pid; /* 0: not running */
    /* owners */
    char asset[DEMO_WORD_BYTES], manifest[65], data[PATH_MAX];
};

struct demo_options {
    const char *study, *data, *keep;
    uint64_t rows;  /* per silo of a synthetic study; 0: as the study says */
    uint32_t slots; /* each approval allows, and the budget covers: 0: as the study says */
    bool stay, json, quiet;
};

struct demo {
    struct demo_options options;
    struct study *study;
    char dir[PATH_MAX];
    char program[PATH_MAX]; /* this executable, for commands that people copy */
    uint32_t silo_count, node_count;
    struct demo_node node[DEMO_NODE_MAX]; /* silos, compute providers, the algorithm provider */
    char consortium[65], measurement[65], app[DEMO_WORD_BYTES], compose[65], job[65], run[65];
    char op[STUDY_OP_MAX][65];
    char set[CAP_PARAMETERS][2 * CAP_NAME + 2]; /* NAME=VALUE of the study's parameters */
    uint32_t slot_next; /* the first of the approvals' slots that no section has used */
    /* the step going on */
    const char *section, *step, *expectation;
    long step_ms;
    uint32_t section_number;
    bool failed;   /* said, and once */
    bool keep_all; /* what the demonstration made stays to be looked at */
};

/* --- Steps (demo.c). A step that ends badly ends the demonstration. -------------------------------------------------- */
void demo_section(struct demo *d, uint32_t number, const char *title);
void demo_begin(struct demo *d, const char *step, const char *expectation);
bool demo_good(struct demo *d, const char *format, ...) __attribute__((format(printf, 2, 3))); /* true */
/* `node` is whose log is shown: NULL for none. False, and only the first one speaks. */
bool demo_bad(struct demo *d, const struct demo_node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* More about the step, for people only. */
void demo_note(const struct demo *d, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* --- Doing things (demo_call.c) -------------------------------------------------------------------------------------- */
/* Run a command; with a node, its --data; always --json. *answer (may be NULL) is the last line of stdout. Words are split
 * from `words` at spaces; the rest, NULL-terminated, are taken as they are; a run is requested with the study's values for
 * its parameters. Ends the step badly unless it exits 0. */
bool demo_call(struct demo *d, struct demo_node *node, json_t **answer, const char *words, ...)
    __attribute__((sentinel));
/* The same, but the command must be refused (exit 1) with this reason; *detail (may be NULL) is freed by the caller. */
bool demo_refused(struct demo *d, struct demo_node *node, const char *reason, char **detail,
                  const char *words, ...) __attribute__((sentinel));
/* Start one and go on: the caller waits for it (demo_process_ended), and what it prints goes to `log`. */
bool demo_call_start(struct demo *d, struct demo_node *node, pid_t *pid, const char *log, const char *words,
                     ...) __attribute__((sentinel));
/* Ask the node's API until the predicate holds. Ends the step badly after `seconds`. */
typedef bool demo_predicate(const struct demo *d, const json_t *answer, const void *context);
bool demo_await(struct demo *d, struct demo_node *node, const char *path, demo_predicate *predicate,
                const void *context, int seconds);
bool demo_await_all(struct demo *d, const char *path, demo_predicate *predicate, const void *context,
                    int seconds);
/* "text" of an object, or "". */
const char *demo_text(const json_t *object, const char *key);
/* The first object of a list in which `key` has this text, or NULL. */
const json_t *demo_row(const json_t *list, const char *key, const char *text);
long demo_now_ms(void);
bool demo_interrupted(void);

/* --- What is studied (demo_study.c) ---------------------------------------------------------------------------------- */
bool demo_study_open(struct demo *d); /* the study file, or the built-in synthetic one with fresh files */
/* Documents as files for the commands. `path` has PATH_MAX bytes. */
bool demo_study_write_dataset(struct demo *d, uint32_t silo, char *path);
bool demo_study_write_algorithm(struct demo *d, char *path);
bool demo_study_write_op(struct demo *d, uint32_t op, char *path, char *code_path);
bool demo_study_write_workflow(struct demo *d, char *path);
/* "CH,EU", or "" for anywhere: where the owners let the enclave run. */
void demo_study_residency(const struct demo *d, char *out, size_t cap);
bool demo_write(struct demo *d, char *path, const char *name,
                struct span bytes); /* a file in the work directory */

/* --- The seven nodes (demo_nodes.c) ---------------------------------------------------------------------------------- */
void demo_nodes_name(struct demo *d);
bool demo_nodes_make(struct demo *d);  /* directories, keys, cards, configuration */
bool demo_nodes_start(struct demo *d); /* and until each answers and sees all others */
/* One that has ended without being asked to, and how; each is told once. NULL: none. */
struct demo_node *demo_nodes_ended(struct demo *d, int *code);
bool demo_nodes_stop(struct demo *d); /* each must end by itself */
void demo_nodes_kill(struct demo *d); /* on every path out */

/* --- The story (demo_found.c, demo_run.c, demo_refuse.c) ------------------------------------------------------------- */
bool demo_found(struct demo *d);    /* 1, 2: data, consortium, keys, ops */
bool demo_publish(struct demo *d);  /* 3: assets, workflow, job, sealing, grants */
bool demo_approve(struct demo *d);  /* 4 */
bool demo_run(struct demo *d);      /* 5 */
bool demo_clear(struct demo *d);    /* 5: whatever moved was sealed */
bool demo_receipt(struct demo *d);  /* 6, ends with every node stopped */
bool demo_refuse(struct demo *d);   /* 7, begins with starting them again */
bool demo_failover(struct demo *d); /* 8 */
bool demo_race(struct demo *d);     /* 9 */
bool demo_revoke(struct demo *d);   /* 10 */
/* What the silos do for one workflow, also for the changed one of step 7. */
bool demo_post_job(struct demo *d, const char *compose, char job[65]);
demo_predicate demo_all_bound; /* of /v1/workflows/{compose}: by every silo */
/* `text_hash` (may be NULL) receives what the owner signed that it was shown. */
bool demo_approve_by(struct demo *d, struct demo_node *owner, const char *compose, uint32_t slots,
                     char text_hash[65]);
uint32_t demo_majority(const struct demo *d); /* stewards needed */
struct demo_node *demo_algorithm(struct demo *d);

/* All of it: makes the directory, runs the story up to `last` (1..10), and always cleans up: what is left is what people can
 * verify, everything after a failure, and nothing when it was interrupted or quiet. An exit code. */
int demo_perform(struct demo *d, uint32_t last);
/* Chapters up to the approvals (4), then `last`, then cleaning up. For benchmarks. An exit code. */
int demo_perform_with(struct demo *d, bool (*last)(struct demo *d, void *context), void *context);

#endif
