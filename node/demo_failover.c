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

/* What was seen of the run when it was at work. */
struct sight {
    char *state, *organisation; /* DEMO_WORD_BYTES each */
};

/* Elected, and its enclave up: from attested on. Or too late already. */
static bool at_work(const struct demo *d, const json_t *run, const void *context)
{
    const struct sight *sight = context;
    (void)d;
    if (!state_is(run, "attested") && !state_is(run, "keyed") && !state_is(run, "computing") &&
        !state_is(run, "settled"))
        return false;
    (void)snprintf(sight->state, DEMO_WORD_BYTES, "%s", demo_text(run, "state"));
    (void)snprintf(sight->organisation, DEMO_WORD_BYTES, "%s", demo_text(run, "organisation"));
    return true;
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

static struct demo_node *node_of(struct demo *d, const char *organisation)
{
    for (uint32_t i = 0; i < d->node_count; i++)
        if (strcmp(d->node[i].name, organisation) == 0) return &d->node[i];
    return NULL;
}

struct trial {
    uint32_t slot;
    char run[65], path[96];
    struct demo_node *victim; /* NULL: the run was faster */
};

static bool request(struct demo *d, struct trial *t)
{
    char slot[16];
    json_t *answer = NULL;
    (void)snprintf(slot, sizeof slot, "%u", t->slot);
    if (!demo_call(d, demo_algorithm(d), &answer, "run request", "--workflow", d->compose, "--slot", slot,
                   NULL))
        return false;
    (void)snprintf(t->run, sizeof t->run, "%s", demo_text(answer, "run"));
    (void)snprintf(t->path, sizeof t->path, "/v1/runs/%s", t->run);
    json_decref(answer);
    return true;
}

/* Killed in the moment in which it is seen at work. */
static bool kill_elected(struct demo *d, struct trial *t)
{
    char state[DEMO_WORD_BYTES], organisation[DEMO_WORD_BYTES];
    const struct sight sight = {state, organisation};
    int code;
    if (!demo_await(d, demo_algorithm(d), t->path, at_work, &sight, AT_WORK_SECONDS)) return false;
    if (strcmp(state, "settled") == 0) return true;
    t->victim = node_of(d, organisation);
    if (t->victim == NULL)
        return demo_bad(d, demo_algorithm(d), "the run is %s at %s, which is none of the nodes", state,
                        organisation);
    (void)kill(t->victim->pid, SIGKILL);
    (void)demo_process_stop(t->victim->pid, 1, &code);
    t->victim->pid = 0;
    return demo_good(d, "%s, while the run was %s", organisation, state);
}

/* A run may settle before its node is killed: then the next slot's. */
static bool kill_at_work(struct demo *d, struct trial *t)
{
    for (t->slot = d->slot_next; t->slot <= d->study->slots; t->slot++) {
        d->slot_next = t->slot + 1;
        demo_begin(d, "second run", "the next slot of the same approvals");
        if (!request(d, t)) return false;
        demo_good(d, "requested in slot %u", t->slot);
        demo_begin(d, "killed", "the elected provider's node is killed while its enclave works (kill -9)");
        if (!kill_elected(d, t)) return false;
        if (t->victim != NULL) return true;
        demo_note(d, "slot %u settled before its node could be killed", t->slot);
    }
    return demo_bad(d, demo_algorithm(d), "every run settled before its node could be killed");
}

static bool settle(struct demo *d, const struct trial *t)
{
    json_t *run = NULL;
    demo_begin(d, "failover",
               "no custodian votes before the lease has ended; then another provider finishes");
    if (!demo_await(d, demo_algorithm(d), t->path, settled, NULL, SETTLE_SECONDS) ||
        !demo_call(d, demo_algorithm(d), &run, "run show", t->run, NULL))
        return false;
    const json_int_t term = json_integer_value(json_object_get(run, "term"));
    bool other = strcmp(demo_text(run, "organisation"), t->victim->name) != 0 && term >= 2;
    bool good = other ? demo_good(d, "computed by %s in term %lld: slot %u is spent once",
                                  demo_text(run, "organisation"), (long long)term, t->slot)
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

static uint32_t provider_count(const struct study *s)
{
    uint32_t count = 0;
    for (unsigned i = 0; i < s->compute_count; i++) count += study_may_compute(s, s->compute[i].jurisdiction);
    return count;
}

bool demo_failover(struct demo *d)
{
    struct trial t = {0};
    demo_section(d, 8, "The elected node is killed");
    d->slot_next = 2; /* the first run had slot 1 */
    demo_begin(d, "second run", "a slot and a provider to spare");
    if (d->study->slots < 2 || provider_count(d->study) < 2)
        return demo_good(d, "left out: the study has %u slots and %u providers where its data may go",
                         d->study->slots, provider_count(d->study));
    return kill_at_work(d, &t) && settle(d, &t) && start_again(d, t.victim);
}
