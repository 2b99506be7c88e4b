/* Sections 3 and 4: assets, the workflow, its job, sealing and grants; approvals one by one. */
#include "node/demo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PUBLISH_SECONDS = 30 };

/* --- 3: assets ------------------------------------------------------------------------------------------------------ */

static bool register_asset(struct demo *d, struct demo_node *n, const char *path, char token[DEMO_WORD_BYTES])
{
    json_t *answer = NULL;
    if (!demo_call(d, n, &answer, "asset register", path, NULL)) return false;
    (void)snprintf(token, DEMO_WORD_BYTES, "%s", demo_text(answer, "dt"));
    json_decref(answer);
    return true;
}

static bool has_assets(const struct demo *d, const json_t *answer, const void *context)
{
    (void)context;
    return json_array_size(json_object_get(answer, "assets")) >= d->silo_count + 1;
}

static bool register_assets(struct demo *d)
{
    demo_begin(d, "assets", "every hospital registers its dataset's description, without content");
    char path[PATH_MAX];
    for (uint32_t i = 0; i < d->silo_count; i++)
        if (!demo_study_write_dataset(d, i, path) || !register_asset(d, &d->node[i], path, d->node[i].asset))
            return false;
    if (!demo_study_write_algorithm(d, path) || !register_asset(d, demo_algorithm(d), path, d->app))
        return false;
    if (!demo_await_all(d, "/v1/assets", has_assets, NULL, PUBLISH_SECONDS)) return false;
    return demo_good(d, "%u datasets and 1 algorithm known to everybody: schemas and row counts, no rows",
                     d->silo_count);
}

/* --- 3: the recipe -------------------------------------------------------------------------------------------------- */

static bool knows_workflow(const struct demo *d, const json_t *answer, const void *context)
{
    (void)d;
    return demo_row(json_object_get(answer, "workflows"), "compose", context) != NULL;
}

static bool publish(struct demo *d)
{
    char path[PATH_MAX];
    json_t *answer = NULL;
    demo_begin(d, "workflow", "the algorithm provider publishes the recipe; its hash is the compose hash");
    if (!demo_study_write_workflow(d, path)) return false;
    if (!demo_call(d, demo_algorithm(d), &answer, "workflow publish", "--app", d->app, path, NULL))
        return false;
    (void)snprintf(d->compose, sizeof d->compose, "%s", demo_text(answer, "compose"));
    json_decref(answer);
    if (!demo_await_all(d, "/v1/workflows", knows_workflow, d->compose, PUBLISH_SECONDS)) return false;
    return demo_good(d, "compose hash %.16s, epsilon %s a run", d->compose, d->study->workflow->epsilon);
}

static bool endorsed(const struct demo *d, const json_t *answer, const void *context)
{
    const json_t *row = demo_row(json_object_get(answer, "jobs"), "job", context);
    (void)d;
    return row != NULL && json_integer_value(json_object_get(row, "endorsements")) >=
                              json_integer_value(json_object_get(row, "needed"));
}

static bool knows_job(const struct demo *d, const json_t *answer, const void *context)
{
    (void)d;
    return demo_row(json_object_get(answer, "jobs"), "job", context) != NULL;
}

bool demo_post_job(struct demo *d, const char *compose, char job[65])
{
    json_t *answer = NULL;
    if (!demo_call(d, demo_algorithm(d), &answer, "job post", "--workflow", compose, "--task",
                   "a joint table of the cohort", NULL))
        return false;
    (void)snprintf(job, 65, "%s", demo_text(answer, "record"));
    json_decref(answer);
    for (uint32_t i = 0; i < demo_majority(d); i++) {
        if (!demo_await(d, &d->node[i], "/v1/jobs", knows_job, job, PUBLISH_SECONDS)) return false;
        if (!demo_call(d, &d->node[i], NULL, "job endorse", job, NULL)) return false;
    }
    return demo_await_all(d, "/v1/jobs", endorsed, job, PUBLISH_SECONDS);
}

static bool post_job(struct demo *d)
{
    demo_begin(d, "job", "posted on the task market and endorsed by a majority of stewards");
    return demo_post_job(d, d->compose, d->job) &&
           demo_good(d, "endorsed by %u of %u stewards", demo_majority(d), d->silo_count);
}

/* --- 3: sealing ----------------------------------------------------------------------------------------------------- */

static bool seal(struct demo *d, struct demo_node *n)
{
    const struct study *s = d->study;
    const char *more[7] = {NULL};
    char residency[256];
    json_t *answer = NULL;
    int count = 0;
    demo_study_residency(d, residency, sizeof residency);
    if (residency[0] != 0) {
        more[count++] = "--jurisdiction";
        more[count++] = residency;
    }
    if (s->missing != NULL) {
        more[count++] = "--missing";
        more[count++] = s->missing;
    }
    if (s->delimiter != NULL) {
        more[count++] = "--delimiter";
        more[count++] = s->delimiter;
    }
    if (s->format == META_CSV && !s->header) more[count++] = "--no-header";
    if (!demo_call(d, n, &answer, "seal", "--asset", n->asset, "--in", n->data, "--workflow", d->compose,
                   "--format", meta_format_names[s->format], more[0], more[1], more[2], more[3], more[4],
                   more[5], more[6], NULL))
        return false;
    (void)snprintf(n->manifest, sizeof n->manifest, "%s", demo_text(answer, "manifest"));
    demo_note(d, "%-20s %6lld rows sealed, content %.16s", n->name,
              (long long)json_integer_value(json_object_get(answer, "rows")), demo_text(answer, "content"));
    json_decref(answer);
    return true;
}

bool demo_all_bound(const struct demo *d, const json_t *answer, const void *context)
{
    size_t i;
    json_t *approval;
    uint32_t bound = 0;
    (void)context;
    json_array_foreach(json_object_get(answer, "approvals"), i, approval)
    {
        bound += json_is_true(json_object_get(approval, "bound"));
    }
    return bound >= d->silo_count;
}

static bool seal_all(struct demo *d)
{
    char path[128];
    demo_begin(d, "seal", "every hospital seals its rows for exactly this recipe; they stay where they are");
    for (uint32_t i = 0; i < d->silo_count; i++)
        if (!seal(d, &d->node[i])) return false;
    (void)snprintf(path, sizeof path, "/v1/workflows/%s", d->compose);
    if (!demo_await_all(d, path, demo_all_bound, NULL, PUBLISH_SECONDS)) return false;
    return demo_good(d, "%u sealed contents, one envelope each, bound in the registry", d->silo_count);
}

static bool grant_all(struct demo *d)
{
    demo_begin(d, "grants", "every hospital lets the algorithm use its dataset through the registered op");
    char slots[16];
    const unsigned spare = 10; /* what bounds use is the approval */
    (void)snprintf(slots, sizeof slots, "%u", d->study->slots + spare);
    for (uint32_t i = 0; i < d->silo_count; i++)
        if (!demo_call(d, &d->node[i], NULL, "grant", "--asset", d->node[i].asset, "--workflow", d->compose,
                       "--slots", slots, NULL))
            return false;
    return demo_good(d, "%u grants to %s: the recipe's ops, %s slots, epsilon %s a run", d->silo_count,
                     demo_algorithm(d)->name, slots, d->study->workflow->epsilon);
}

bool demo_publish(struct demo *d)
{
    demo_section(d, 3, "Datasets, the recipe, and sealing");
    return register_assets(d) && publish(d) && post_job(d) && seal_all(d) && grant_all(d);
}

/* --- 4 -------------------------------------------------------------------------------------------------------------- */

struct approvals {
    uint32_t count;
};

static bool approved_count(const struct demo *d, const json_t *answer, const void *context)
{
    const struct approvals *a = context;
    (void)d;
    return json_integer_value(json_object_get(answer, "approved")) >= (json_int_t)a->count;
}

bool demo_approve_by(struct demo *d, struct demo_node *owner, const char *compose, uint32_t slots,
                     char text_hash[65])
{
    char range[32];
    json_t *answer = NULL;
    (void)snprintf(range, sizeof range, "1-%u", slots);
    if (!demo_call(d, owner, &answer, "approve --yes", "--asset", owner->asset, "--workflow", compose,
                   "--slots", range, NULL))
        return false;
    if (text_hash != NULL) (void)snprintf(text_hash, 65, "%s", demo_text(answer, "text_hash"));
    json_decref(answer);
    return true;
}

/* Is this line, `len` bytes, one of the text's? */
static bool has_line(const char *text, const char *line, size_t len)
{
    for (const char *at = text; *at != 0;) {
        const size_t here = strcspn(at, "\n");
        if (here == len && memcmp(at, line, len) == 0) return true;
        at += here + (at[here] == '\n');
    }
    return false;
}

/* The lines of a text that the first owner's has not; all of them for the first. */
static void show_lines(const char *text, const char *first)
{
    for (const char *at = text; *at != 0;) {
        const size_t len = strcspn(at, "\n");
        if (first == NULL || !has_line(first, at, len)) (void)printf("      | %.*s\n", (int)len, at);
        at += len + (at[len] == '\n');
    }
}

/* What an owner is shown, whole, is kept beside its data; on the screen only what differs stands again. */
static bool show_recipe(struct demo *d, struct demo_node *owner, char **first)
{
    char path[PATH_MAX], name[128];
    json_t *answer = NULL;
    if (!demo_call(d, owner, &answer, "workflow show", d->compose, "--asset", owner->asset, NULL))
        return false;
    const char *text = demo_text(answer, "text");
    (void)snprintf(name, sizeof name, "approval-%s.txt", owner->name);
    const bool good = demo_write(d, path, name, span_text(text));
    if (good && !d->options.json) {
        (void)printf("      What %s is shown before it signs%s:\n", owner->name,
                     *first == NULL ? "" : ", where it differs");
        show_lines(text, *first);
        (void)fflush(stdout);
    }
    if (good && *first == NULL) *first = strdup(text);
    json_decref(answer);
    return good;
}

static bool approve_one(struct demo *d, uint32_t index, char **first)
{
    char path[128], step[32], text_hash[65] = "";
    struct demo_node *owner = &d->node[index];
    const struct approvals wanted = {index + 1};
    if (!d->options.quiet && !show_recipe(d, owner, first)) return false;
    (void)snprintf(step, sizeof step, "approval %u/%u", index + 1, d->silo_count);
    demo_begin(d, step,
               "the owner is shown the recipe in plain words and approves its hash for the study's slots");
    if (!demo_approve_by(d, owner, d->compose, d->study->slots, text_hash)) return false;
    (void)snprintf(path, sizeof path, "/v1/workflows/%s", d->compose);
    if (!demo_await_all(d, path, approved_count, &wanted, PUBLISH_SECONDS)) return false;
    return demo_good(d, "%s approves, having read text %.*s%s", owner->name, d->options.json ? 64 : 16,
                     text_hash, index + 1 < d->silo_count ? "; the others are waited for" : "");
}

static bool refuse_early_run(struct demo *d)
{
    char *detail = NULL;
    demo_begin(d, "run too early", "refused with no-approval: one owner has not approved");
    if (!demo_refused(d, demo_algorithm(d), "no-approval", &detail, "run request", "--workflow", d->compose,
                      NULL))
        return false;
    bool good = demo_good(d, "refused, no-approval: %s", detail != NULL ? detail : "");
    free(detail);
    return good;
}

bool demo_approve(struct demo *d)
{
    char *first = NULL;
    bool good = true;
    demo_section(d, 4, "Owners approve the recipe");
    for (uint32_t i = 0; i < d->silo_count && good; i++)
        good = (i + 1 < d->silo_count || refuse_early_run(d)) && approve_one(d, i, &first);
    free(first);
    return good;
}
