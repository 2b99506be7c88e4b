#include "node/client.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { HEAR_SECONDS = 30, HEAR_POLL_MS = 100 };

struct revoke_words {
    const char *asset, *workflow, *approval;
    bool all;
};

static int check(const struct client *c, const struct revoke_words *w)
{
    const int said = (w->asset != NULL) + (w->workflow != NULL) + (w->approval != NULL) + w->all;
    if (said != 1)
        return client_fail(c, EXIT_USAGE,
                           "expected exactly one of --asset DT, --workflow HASH, --approval RECORD, --all");
    if (w->asset != NULL) return client_check_token(c, "--asset", w->asset);
    if (w->workflow != NULL) return client_check_hash(c, "--workflow", w->workflow);
    return w->approval != NULL ? client_check_hash(c, "--approval", w->approval) : EXIT_OK;
}

static json_t *body_of(const struct revoke_words *w)
{
    if (w->asset != NULL) return json_pack("{s:s, s:s}", "target", "dataset", "subject", w->asset);
    if (w->workflow != NULL) return json_pack("{s:s, s:s}", "target", "workflow", "subject", w->workflow);
    if (w->approval != NULL) return json_pack("{s:s, s:s}", "target", "approval", "subject", w->approval);
    return json_pack("{s:s}", "target", "all");
}

/* Enough custodians have heard for both: no keys can be completed, no output can leave. */
static bool is_final(const json_t *state)
{
    const json_int_t heard = client_number(state, "heard");
    return heard >= client_number(state, "no_keys_from") && heard >= client_number(state, "no_output_from");
}

static bool all_linked_heard(const json_t *state)
{
    size_t i;
    json_t *custodian;
    json_array_foreach(json_object_get(state, "custodians"), i, custodian)
    {
        if (json_is_true(json_object_get(custodian, "linked")) &&
            !json_is_true(json_object_get(custodian, "heard")))
            return false;
    }
    return true;
}

/* Until both are so, or for a while. *state is the caller's. */
static int wait_until_heard(const struct client *c, const char *record, json_t **state)
{
    const struct timespec pause = {0, HEAR_POLL_MS * 1000000};
    for (int i = 0; i < HEAR_SECONDS * 1000 / HEAR_POLL_MS; i++) {
        json_decref(*state);
        *state = NULL;
        int code = client_get(c, state, "/v1/revocations/%s", record);
        if (code != EXIT_OK || (is_final(*state) && all_linked_heard(*state))) return code;
        (void)nanosleep(&pause, NULL);
    }
    return EXIT_OK;
}

static void show(const json_t *state)
{
    size_t i;
    json_t *custodian;
    json_array_foreach(json_object_get(state, "custodians"), i, custodian)(void)
        printf("  %-32s %s\n", client_text(custodian, "organisation"),
               json_is_true(json_object_get(custodian, "heard"))    ? "has it"
               : json_is_true(json_object_get(custodian, "linked")) ? "not yet"
                                                                    : "not known: it is not linked");
    if (is_final(state)) {
        (void)puts("Final, unless more than f custodians lie: no run over this that was not keyed yet can "
                   "be, and no "
                   "output\n"
                   "that is not committed yet can leave. `perigee run list` shows those that are further.");
        return;
    }
    (void)puts(
        "Not known to be final. It is in force wherever it is held. A custodian that is not linked may have "
        "it "
        "through\n"
        "others, which is seen here once it is linked. One that is linked shows it once it has stored it, "
        "and\n"
        "all that this node signed before: until then it may hold it without being counted. `perigee doctor` "
        "there.");
}

int command_revoke(int argc, char **argv)
{
    struct client c;
    struct revoke_words w = {NULL, NULL, NULL, false};
    const struct argument option[] = {{"--asset", &w.asset, NULL},
                                      {"--workflow", &w.workflow, NULL},
                                      {"--approval", &w.approval, NULL},
                                      {"--all", NULL, &w.all}};
    struct arguments a = {option, sizeof option / sizeof option[0], 0, 0, 0, NULL};
    json_t *answer = NULL, *state = NULL;
    int code = client_begin(&c, "revoke", &a, argc, argv);
    if (code == EXIT_OK) code = check(&c, &w);
    if (code == EXIT_OK) code = client_post(&c, &answer, body_of(&w), "/v1/revocations");
    if (code != EXIT_OK) return code;
    const char *record = client_text(answer, "record");
    char made[160];
    (void)snprintf(made, sizeof made, "; the revocation was made, record %s: who has it is not known",
                   record);
    c.remedy = made;
    if (!c.json) (void)printf("revoked, record %s; held by\n", record);
    (void)fflush(stdout); /* whoever waits for it may give up */
    code = wait_until_heard(&c, record, &state);
    json_decref(answer);
    if (code != EXIT_OK) return code;
    if (c.json)
        client_print(state);
    else
        show(state);
    code = is_final(state) ? EXIT_OK : EXIT_TRY_LATER;
    json_decref(state);
    return code;
}
