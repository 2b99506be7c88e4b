/* scene_change: one change to a good scene, and the refusal that it must give.
 * Tables of changes that several decisions refuse alike are here, once; a test adds its own and runs them all through its
 * decision. Changes of an owner are of the second where they can be, so that the first must have passed. */
#ifndef PERIGEE_TESTS_SCENE_CHANGE_H
#define PERIGEE_TESTS_SCENE_CHANGE_H

#include "tests/scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define REFUSED(expression, why)                                                                             \
    do {                                                                                                     \
        struct verdict refused_v = (expression);                                                             \
        assert_string_equal(refusal_name(refused_v.refusal), refusal_name(why));                             \
    } while (0)
#define ACCEPTED(expression) REFUSED(expression, REFUSAL_NONE)

/* Of all tests of the program, between these two. */
extern struct world *world;
int change_set_up(void **state);
int change_tear_down(void **state);

enum change_subject { SUBJECT_ANY, SUBJECT_OWNER_0, SUBJECT_OWNER_1, SUBJECT_DATASET_0 };
struct change {
    const char *name;
    enum refusal refusal;
    uint32_t left_out;               /* enum scene_part bits */
    void (*before)(struct scene *s); /* before the records are made */
    void (*after)(struct scene *s);  /* after the registry is built */
    enum change_subject subject;     /* whom the refusal must name */
};

/* What registry_check_run refuses, and so everything that asks it. */
enum { CHANGES_OF_RUN = 38, CHANGES_OF_CUSTODIAN = 20, REFUSALS_OF_RUN = 33, REFUSALS_OF_CUSTODIAN = 10 };
extern const struct change changes_of_run[CHANGES_OF_RUN];
/* What a custodian refuses besides, whatever it is asked: a vote, a release, a commit. */
extern const struct change changes_of_custodian[CHANGES_OF_CUSTODIAN];
/* All that registry_run.c, and election.c and release.c beside it, can say together; whoever adds a refusal there adds it
 * here, with a case. */
extern const enum refusal refusals_of_run[REFUSALS_OF_RUN], refusals_of_custodian[REFUSALS_OF_CUSTODIAN];

/* The scene of this world, built with this done to it, or as it is when nothing is. */
struct scene *change_scene(uint32_t left_out, void (*before)(struct scene *s));
struct scene *change_none(void);
/* Make it, `prepare` if not NULL, decide, compare; seen[refusal] is set. */
void change_run(const struct change *c, void (*prepare)(struct scene *s),
                struct verdict (*decide)(struct scene *s), bool seen[REFUSAL_COUNT]);
void change_all_seen(const bool seen[REFUSAL_COUNT], const enum refusal *list, size_t count, const char *by);

/* One test a change, in the order added; then `rest`. */
void change_add(const struct change *c, size_t count, CMUnitTestFunction function);
int change_main(const char *group, const struct CMUnitTest *rest, size_t count);

/* --- Said in a scene ---------------------------------------------------------------------------------------------------- */

/* Preview and apply: they must agree. */
struct verdict change_offer(struct scene *s, uint32_t node, enum kind kind, const union body *body);
/* The same, of owner 0's dataset for the scene's workflow. */
struct verdict change_approve(struct scene *s, uint64_t first, uint64_t last, uint64_t cost);
uint64_t change_allotted(const struct scene *s); /* of that dataset */
/* `subject` has 32 bytes, or is NULL for none. */
void change_revoke(struct scene *s, uint32_t owner, enum revocation_target target, const uint8_t *subject);
/* By three stewards. */
void change_remove(struct scene *s, uint32_t node, uint64_t last_seq);
/* As if it had been admitted without it. */
void change_role(struct scene *s, uint32_t node, enum role role);
struct verdict change_check(struct scene *s); /* registry_check_run of the scene's run */

/* Of the run's inputs. */
void change_unnamed_input(struct scene *s);
void change_repeated_input(struct scene *s);

#endif
