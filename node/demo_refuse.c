/* Section 7: what must not work, each with its reason. Begins with starting the stopped nodes again. */
#include "node/demo.h"

#include "node/file.h"
#include "proto/base/caps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REFUSE_SECONDS = 30 };

/* --- Changed recipes ------------------------------------------------------------------------------------------------ */

static json_t *read_workflow(struct demo *d)
{
    char path[PATH_MAX + 32], *text = NULL;
    size_t len = 0;
    (void)snprintf(path, sizeof path, "%s/workflow.json", d->dir);
    if (file_read(&text, &len, path, CAP_DOCUMENT_BYTES) != OK) return NULL;
    json_t *workflow = json_loadb(text, len, 0, NULL);
    free(text);
    return workflow;
}

/* Takes `workflow`. */
static bool write_workflow(struct demo *d, char path[PATH_MAX], const char *name, json_t *workflow)
{
    char *text = workflow == NULL ? NULL : json_dumps(workflow, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(workflow);
    bool good = text != NULL && demo_write(d, path, name, span_text(text));
    free(text);
    return good;
}

/* --- One changed byte ----------------------------------------------------------------------------------------------- */

/* The last letter of the description: nothing that is computed changes, and yet it is another recipe. */
static json_t *change_one_byte(struct demo *d)
{
    char text[512];
    json_t *workflow = read_workflow(d);
    (void)snprintf(text, sizeof text, "%s", demo_text(workflow, "description"));
    size_t len = strlen(text);
    if (len == 0) return workflow;
    text[len - 1] = text[len - 1] == 'x' ? 'y' : 'x';
    (void)json_object_set_new(workflow, "description", json_string(text));
    return workflow;
}

static bool knows_workflow(const struct demo *d, const json_t *answer, const void *context)
{
    (void)d;
    return strcmp(demo_text(answer, "compose"), context) == 0;
}

static bool all_approved(const struct demo *d, const json_t *answer, const void *context)
{
    (void)context;
    return json_integer_value(json_object_get(answer, "approved")) >= (json_int_t)d->silo_count;
}

/* Everything that people decide is done for the changed recipe too: what stops it is the key that does not exist. */
static bool carry_over(struct demo *d, const char *compose)
{
    char path[128], job[65];
    (void)snprintf(path, sizeof path, "/v1/workflows/%s", compose);
    if (!demo_await_all(d, path, knows_workflow, compose, REFUSE_SECONDS) || !demo_post_job(d, compose, job))
        return false;
    for (uint32_t i = 0; i < d->silo_count; i++) {
        struct demo_node *n = &d->node[i];
        if (!demo_approve_by(d, n, compose, 1, NULL)) return false;
        if (!demo_call(d, n, NULL, "asset bind", "--asset", n->asset, "--workflow", compose, "--manifest",
                       n->manifest, NULL))
            return false;
    }
    return demo_await_all(d, path, all_approved, NULL, REFUSE_SECONDS) &&
           demo_await_all(d, path, demo_all_bound, NULL, REFUSE_SECONDS);
}

static bool publish_changed(struct demo *d, char compose[65])
{
    char path[PATH_MAX];
    json_t *answer = NULL;
    if (!write_workflow(d, path, "workflow-changed.json", change_one_byte(d))) return false;
    if (!demo_call(d, demo_algorithm(d), &answer, "workflow publish", "--app", d->app, path, NULL))
        return false;
    (void)snprintf(compose, 65, "%s", demo_text(answer, "compose"));
    json_decref(answer);
    return strcmp(compose, d->compose) != 0 ||
           demo_bad(d, NULL, "the changed workflow has the same compose hash");
}

static bool ended(const struct demo *d, const json_t *answer, const void *context)
{
    const char *state = demo_text(answer, "state");
    (void)d;
    (void)context;
    return strcmp(state, "refused") == 0 || strcmp(state, "failed") == 0 || strcmp(state, "settled") == 0;
}

static bool is_keys_gone(const struct demo *d, const json_t *answer, const void *context)
{
    (void)d;
    (void)context;
    return strcmp(demo_text(answer, "state"), "refused") == 0 &&
           strcmp(demo_text(answer, "reason"), "recipe-lock") == 0;
}

static bool refuse_changed_byte(struct demo *d)
{
    char compose[65], path[128];
    json_t *answer = NULL;
    demo_begin(d, "one changed byte",
               "same data, approved again, but no custodian can make a key for it: recipe-lock");
    if (!publish_changed(d, compose) || !carry_over(d, compose)) return false;
    if (!demo_call(d, demo_algorithm(d), &answer, "run request", "--workflow", compose, NULL)) return false;
    (void)snprintf(path, sizeof path, "/v1/runs/%.64s", demo_text(answer, "run"));
    json_decref(answer);
    if (!demo_await(d, demo_algorithm(d), path, ended, NULL, REFUSE_SECONDS) ||
        !demo_await(d, demo_algorithm(d), path, is_keys_gone, NULL, 1))
        return false;
    return demo_good(d, "refused, recipe-lock: keys gone. The envelopes open for %.16s and not for %.16s",
                     d->compose, compose);
}

/* --- Rows without saying so ----------------------------------------------------------------------------------------- */

static bool refuse_rows(struct demo *d)
{
    char path[PATH_MAX], *detail = NULL;
    json_t *workflow = read_workflow(d);
    demo_begin(d, "rows",
               "a recipe whose output type is rows, without \"privacy\":\"none\", is not even published");
    (void)json_object_set_new(json_object_get(workflow, "output"), "type", json_string("rows"));
    if (!write_workflow(d, path, "workflow-rows.json", workflow)) return false;
    if (!demo_refused(d, demo_algorithm(d), "refused", &detail, "workflow publish", "--app", d->app, path,
                      NULL))
        return false;
    if (detail == NULL || strstr(detail, "output rows needs privacy") == NULL) {
        free(detail);
        return demo_bad(d, demo_algorithm(d), "refused for another reason");
    }
    bool good = demo_good(d, "refused at publication: %s", detail != NULL ? detail : "");
    free(detail);
    return good;
}

/* --- A spent slot --------------------------------------------------------------------------------------------------- */

static bool refuse_spent_slot(struct demo *d)
{
    char *detail = NULL;
    demo_begin(d, "spent slot", "slot 1 is spent for ever: slot-spent");
    if (!demo_refused(d, demo_algorithm(d), "slot-spent", &detail, "run request", "--workflow", d->compose,
                      "--slot", "1", NULL))
        return false;
    bool good = demo_good(d, "refused, slot-spent: %s", detail != NULL ? detail : "");
    free(detail);
    return good;
}

bool demo_refuse(struct demo *d)
{
    demo_section(d, 7, "Refused, each with its reason");
    demo_begin(d, "start again", "the stopped nodes come back with everything they knew");
    if (!demo_nodes_start(d)) return false;
    demo_good(d, "%u processes", d->node_count);
    return refuse_changed_byte(d) && refuse_rows(d) && refuse_spent_slot(d);
}
