/* Section 8: the elected node is killed at work; another one settles the run, in a later term and the same slot. */
#include "node/demo.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { AT_WORK_SECONDS = 60, SETTLE_SECONDS = 120, AGAIN_SECONDS = 30 };

static bool state_is(const json_t *run, const char *state)
{
    return strcmp(demo_text(run, "state"), state) == 0;
}

/* Elected, and its enclave up: from attested on. Or too late already. */
static bool at_work(const struct demo *d, const json_t *run, const void *context)
{
    (void)d, (void)context;
    return state_is(run, "attested") || state_is(run, "keyed") || state_is(run, "computing") ||
           state_is(run, "settled");
}

static bool settled(const struct demo *d, const json_t *run, const void *context)
{
    (void)d, (void)context;
    return state_is(run, "settled");
}

static bool is_member(const struct demo *d, const json_t *status, const void *context)
{
    (void)d, (void)context;
    return json_is_true(json_object_get(status, "member"));
}

static struct demo_node *elected(struct demo *d, const json_t *run)
{
    for (uint32_t i = 0; i < d->node_count; i++)
        if (strcmp(d->node[i].name, demo_text(run, "organisation")) == 0) return &d->node[i];
    return NULL;
}

static bool show_run(struct demo *d, const char *id, json_t **run)
{
    return demo_call(d, demo_algorithm(d), run, "run show", id, NULL);
}

static struct demo_node *kill_elected(struct demo *d, const char *id, const char *path)
{
    json_t *run = NULL;
    int code;
    demo_begin(d, "killed", "the elected provider's node is killed while its enclave works (kill -9)");
    if (!demo_await(d, demo_algorithm(d), path, at_work, NULL, AT_WORK_SECONDS) || !show_run(d, id, &run))
        return NULL;
    struct demo_node *victim = state_is(run, "settled") ? NULL : elected(d, run);
    if (victim == NULL) {
        (void)demo_bad(d, demo_algorithm(d), "the run is %s before its node could be killed",
                       demo_text(run, "state"));
    } else {
        (void)kill(victim->pid, SIGKILL);
        (void)demo_process_stop(victim->pid, 1, &code);
        victim->pid = 0;
        demo_good(d, "%s, while the run was %s", victim->name, demo_text(run, "state"));
    }
    json_decref(run);
    return victim;
}

static bool settle(struct demo *d, const struct demo_node *victim, const char *id, const char *path)
{
    json_t *run = NULL;
    demo_begin(d, "failover",
               "no custodian votes before the lease has ended; then another provider finishes");
    if (!demo_await(d, demo_algorithm(d), path, settled, NULL, SETTLE_SECONDS) || !show_run(d, id, &run))
        return false;
    const json_int_t term = json_integer_value(json_object_get(run, "term"));
    bool other = strcmp(demo_text(run, "organisation"), victim->name) != 0 && term >= 2;
    bool good = other ? demo_good(d, "computed by %s in term %lld: slot 2 is spent once",
                                  demo_text(run, "organisation"), (long long)term)
                      : demo_bad(d, demo_algorithm(d), "term %lld by %s", (long long)term,
                                 demo_text(run, "organisation"));
    json_decref(run);
    return good;
}

static bool start_again(struct demo *d, struct demo_node *victim)
{
    const char *const words[] = {"node", "--data", victim->dir, NULL};
    demo_begin(d, "back", "the killed node comes back, with everything that it had acknowledged");
    enum err err = demo_process_start(&victim->pid, words, victim->log);
    if (err != OK) return demo_bad(d, NULL, "`perigee node` could not be started: %s", err_text(err));
    return demo_await(d, victim, "/v1/status", is_member, NULL, AGAIN_SECONDS) &&
           demo_good(d, "%s is a member again", victim->name);
}

bool demo_failover(struct demo *d)
{
    char id[65], path[96];
    json_t *answer = NULL;
    demo_section(d, 8, "The elected node is killed");
    demo_begin(d, "second run", "slot 2 of the same approvals");
    if (!demo_call(d, demo_algorithm(d), &answer, "run request", "--workflow", d->compose, "--slot", "2",
                   NULL))
        return false;
    (void)snprintf(id, sizeof id, "%s", demo_text(answer, "run"));
    (void)snprintf(path, sizeof path, "/v1/runs/%s", id);
    json_decref(answer);
    if (!demo_good(d, "requested")) return false;
    struct demo_node *victim = kill_elected(d, id, path);
    return victim != NULL && settle(d, victim, id, path) && start_again(d, victim);
}
