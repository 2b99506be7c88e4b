/* Section 9: many ask for one slot at once, and an owner for more than its budget: a slot is spent by one run at most, and what
 * is allotted never exceeds the budget. */
#include "node/demo.h"

#include "node/command.h"
#include "node/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RACERS = 4, RACE_SECONDS = 60, SETTLE_SECONDS = 120, ANSWER_BYTES_MAX = 1 << 16, FAR_SLOT = 1000 };

struct racer {
    pid_t pid;
    int code;
    char log[PATH_MAX + 32];
};

static bool all_ended(struct racer racer[RACERS])
{
    bool all = true;
    for (uint32_t i = 0; i < RACERS; i++) {
        if (racer[i].pid != 0 && demo_process_ended(racer[i].pid, &racer[i].code)) racer[i].pid = 0;
        all &= racer[i].pid == 0;
    }
    return all;
}

/* What it printed: the answer, or the refusal. */
static json_t *answer_of(const struct racer *r)
{
    char *text = NULL;
    size_t len = 0;
    if (file_read(&text, &len, r->log, ANSWER_BYTES_MAX) != OK) return NULL;
    json_t *answer = json_loadb(text, len, 0, NULL);
    free(text);
    return answer;
}

/* One has the slot, and everybody else is told who. */
static bool judge(struct demo *d, const struct racer racer[RACERS], uint32_t slot, char run[65])
{
    uint32_t won = 0, lost = 0;
    for (uint32_t i = 0; i < RACERS; i++) {
        json_t *answer = answer_of(&racer[i]);
        if (racer[i].code == EXIT_OK) (void)snprintf(run, 65, "%s", demo_text(answer, "run"));
        won += racer[i].code == EXIT_OK;
        lost += racer[i].code == EXIT_REFUSED && strcmp(demo_text(answer, "reason"), "slot-spent") == 0;
        json_decref(answer);
    }
    if (won == 1 && lost == RACERS - 1)
        return demo_good(d, "slot %u went to one of %d; %u refused, slot-spent", slot, RACERS, lost);
    return demo_bad(d, demo_algorithm(d), "slot %u: %u accepted, %u refused as spent, of %d", slot, won, lost,
                    RACERS);
}

static bool race(struct demo *d, uint32_t slot, char run[65])
{
    struct racer racer[RACERS] = {{0}};
    char number[16];
    (void)snprintf(number, sizeof number, "%u", slot);
    demo_begin(d, "race", "several requests for one slot, at once");
    for (uint32_t i = 0; i < RACERS; i++) {
        (void)snprintf(racer[i].log, sizeof racer[i].log, "%s/race-%u.log", d->dir, i + 1);
        if (!demo_call_start(d, demo_algorithm(d), &racer[i].pid, racer[i].log, "run request", "--workflow",
                             d->compose, "--slot", number, NULL))
            return false;
    }
    const long end_ms = demo_now_ms() + RACE_SECONDS * 1000;
    bool ended = false;
    while (!(ended = all_ended(racer)) && demo_now_ms() < end_ms && !demo_interrupted()) (void)usleep(20000);
    for (uint32_t i = 0; i < RACERS; i++)
        if (racer[i].pid != 0) (void)demo_process_stop(racer[i].pid, 1, &racer[i].code);
    return ended ? judge(d, racer, slot, run)
                 : demo_bad(d, demo_algorithm(d), "not all requests were answered in %d s", RACE_SECONDS);
}

static bool settled(const struct demo *d, const json_t *run, const void *context)
{
    (void)d, (void)context;
    return strcmp(demo_text(run, "state"), "settled") == 0;
}

static bool settle(struct demo *d, const char *run)
{
    char path[96];
    (void)snprintf(path, sizeof path, "/v1/runs/%s", run);
    demo_begin(d, "its run", "the one that has the slot settles");
    return demo_await(d, demo_algorithm(d), path, settled, NULL, SETTLE_SECONDS) && demo_good(d, "settled");
}

/* An owner's own node will not sign beyond the budget, and no other would count it. */
static bool overspend(struct demo *d)
{
    char slots[48], *detail = NULL;
    struct demo_node *n = &d->node[0];
    (void)snprintf(slots, sizeof slots, "%d-%d", FAR_SLOT, FAR_SLOT + 999);
    demo_begin(d, "over budget", "an owner that would allot more than its budget cannot");
    if (!demo_refused(d, n, "budget", &detail, "approve --yes", "--asset", n->asset, "--workflow", d->compose,
                      "--slots", slots, NULL))
        return false;
    bool good = demo_good(d, "refused, budget: %s", detail);
    free(detail);
    return good;
}

static uint32_t spent_slots(const json_t *budget)
{
    const json_t *allotment, *run;
    size_t i, k;
    uint32_t count = 0;
    json_array_foreach(json_object_get(budget, "allotments"), i, allotment)
    {
        json_array_foreach(json_object_get(allotment, "runs"), k, run) count +=
            json_is_true(json_object_get(run, "receipt"));
    }
    return count;
}

static bool show_budget(struct demo *d)
{
    struct demo_node *n = &d->node[0];
    json_t *budget = NULL;
    demo_begin(d, "budget", "what an owner has left, and what became of each slot");
    if (!demo_call(d, n, &budget, "budget", "--asset", n->asset, NULL)) return false;
    bool good =
        demo_good(d, "%s: %s of epsilon %s allotted, %u runs with a receipt, each in a slot of its own",
                  n->name, demo_text(budget, "allotted"), demo_text(budget, "budget"), spent_slots(budget));
    json_decref(budget);
    return good;
}

bool demo_race(struct demo *d)
{
    char run[65] = "";
    demo_section(d, 9, "A raced budget");
    if (d->slot_next > d->study->slots) {
        demo_begin(d, "race", "a slot to spare");
        return demo_good(d, "left out: all %u slots of the study are used", d->study->slots) && overspend(d);
    }
    return race(d, d->slot_next++, run) && settle(d, run) && overspend(d) && show_budget(d);
}
