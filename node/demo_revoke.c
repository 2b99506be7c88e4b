/* Section 10: an owner takes back its approval while a run is at work: the run ends without an output, and there is no other. */
#include "node/demo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AT_WORK_SECONDS = 60, END_SECONDS = 60 };

static bool is_one_of(const char *state, const char *const *names)
{
    for (; *names != NULL; names++)
        if (strcmp(state, *names) == 0) return true;
    return false;
}

/* From the moment it has an enclave. */
static bool at_work(const struct demo *d, const json_t *run, const void *context)
{
    static const char *const names[] = {"attested", "keyed", "computing", "committed", "settled", NULL};
    char *state = (char *)(uintptr_t)context; /* DEMO_WORD_BYTES */
    (void)d;
    (void)snprintf(state, DEMO_WORD_BYTES, "%s", demo_text(run, "state"));
    return is_one_of(state, names);
}

static bool has_ended(const struct demo *d, const json_t *run, const void *context)
{
    static const char *const names[] = {"settled", "revoked", "refused", "failed", "expired", NULL};
    char *state = (char *)(uintptr_t)context;
    (void)d;
    (void)snprintf(state, DEMO_WORD_BYTES, "%s", demo_text(run, "state"));
    return is_one_of(state, names);
}

static bool request(struct demo *d, uint32_t slot, char path[96])
{
    char number[16];
    json_t *answer = NULL;
    (void)snprintf(number, sizeof number, "%u", slot);
    if (!demo_call(d, demo_algorithm(d), &answer, "run request", "--workflow", d->compose, "--slot", number,
                   NULL))
        return false;
    (void)snprintf(path, 96, "/v1/runs/%s", demo_text(answer, "run"));
    json_decref(answer);
    return true;
}

static bool revoke(struct demo *d, struct demo_node *owner, const char *state)
{
    json_t *answer = NULL;
    demo_begin(d, "revoked", "one owner alone, with one command");
    if (!demo_call(d, owner, &answer, "revoke", "--workflow", d->compose, NULL)) return false;
    bool good =
        demo_good(d, "by %s, while the run was %s; %lld of %u custodians have heard", owner->name, state,
                  (long long)json_integer_value(json_object_get(answer, "heard")), d->silo_count);
    json_decref(answer);
    return good;
}

/* What had been committed before the custodians heard is out, and the demonstration says so. */
static bool end(struct demo *d, const char *path)
{
    char state[DEMO_WORD_BYTES] = "";
    demo_begin(d, "its run", "without keys or commit there is no output");
    if (!demo_await(d, demo_algorithm(d), path, has_ended, state, END_SECONDS)) return false;
    if (strcmp(state, "settled") == 0)
        return demo_good(d, "settled: q custodians had committed to its output before they heard");
    if (strcmp(state, "revoked") == 0) return demo_good(d, "ended revoked: no output, no receipt");
    return demo_bad(d, demo_algorithm(d), "the run ended %s", state);
}

static bool no_other(struct demo *d, uint32_t slot)
{
    char number[16], *detail = NULL;
    (void)snprintf(number, sizeof number, "%u", slot);
    demo_begin(d, "another run", "the recipe has no approval of that owner any more");
    if (!demo_refused(d, demo_algorithm(d), "revoked", &detail, "run request", "--workflow", d->compose,
                      "--slot", number, NULL))
        return false;
    bool good = demo_good(d, "refused, revoked: %s", detail);
    free(detail);
    return good;
}

bool demo_revoke(struct demo *d)
{
    char path[96], state[DEMO_WORD_BYTES] = "";
    demo_section(d, 10, "A revocation in flight");
    demo_begin(d, "run", "another slot of the same approvals");
    if (d->options.stay)
        return demo_good(d, "left out: with --stay the recipe remains approved, for you to revoke");
    if (d->slot_next > d->study->slots)
        return demo_good(d, "left out: all %u slots of the study are used", d->study->slots);
    const uint32_t slot = d->slot_next++;
    if (!request(d, slot, path)) return false;
    if (!demo_await(d, demo_algorithm(d), path, at_work, state, AT_WORK_SECONDS)) return false;
    if (!demo_good(d, "in slot %u, %s", slot, state)) return false;
    return revoke(d, &d->node[d->silo_count - 1], state) && end(d, path) && no_other(d, slot);
}
