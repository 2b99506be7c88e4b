#include "node/study_state.h"

#include "crypto/hash.h"
#include "node/fault.h"
#include "proto/base/panic.h"

#include <stdlib.h>
#include <string.h>

/* Of epsilons, as documents count them. */
enum { STUDY_EPSILON_PLACES = 9, STUDY_ARENA_BYTES = 48 * CAP_DOCUMENT_BYTES };

static struct span text_or_empty(const char *text)
{
    return text == NULL ? SPAN_NONE : span_text(text);
}

/* --- op/1 and policy/1 -------------------------------------------------------------------------------------------- */

enum err study_code_write(struct buffer *out, const struct study *s, uint32_t op)
{
    ASSERT(op < s->ops_count);
    const struct template_shipped *t = template_shipped_find(span_text(s->ops[op].template_name));
    ASSERT(t != NULL); /* looked for when the file is read */
    return template_shipped_write(out, t);
}

enum err study_op_write(struct buffer *out, const struct study *s, uint32_t op)
{
    ASSERT(op < s->ops_count);
    uint8_t code_bytes[CAP_CODE_BYTES];
    struct buffer code = BUFFER_OF(code_bytes);
    const struct study_op *of = &s->ops[op];
    TRY(study_code_write(&code, s, op));
    const struct op document = {
        .name = span_text(of->name),
        .description = span_text(of->description),
        .runtime = RUNTIME_SELECT,
        .code = sha256(buffer_span(&code)),
        .output = SPAN_LITERAL("aggregate"),
    };
    return op_write(out, &document);
}

struct hash32 study_op_hash(const struct study *s, uint32_t op)
{
    uint8_t bytes[2048];
    struct buffer out = BUFFER_OF(bytes);
    enum err err = study_op_write(&out, s, op);
    ASSERT(err == OK); /* name and description are bounded when the file is read */
    return sha256(buffer_span(&out));
}

enum err study_policy_write(struct buffer *out, const struct study *s)
{
    struct policy p = {.export_to = EXPORT_TO_ENCLAVE, .jurisdiction_count = s->workflow->residency_count};
    for (unsigned i = 0; i < s->workflow->residency_count; i++)
        p.jurisdiction[i] = span_text(s->workflow->residency[i]);
    return policy_write(out, &p);
}

/* --- ddo/1 -------------------------------------------------------------------------------------------------------- */

enum err study_dataset_write(struct buffer *out, const struct study *s, uint32_t silo, struct dt dt)
{
    ASSERT(silo < s->silos_count);
    struct service service = {.type = SPAN_LITERAL("aggregate"), .op_count = s->ops_count};
    struct ddo d;
    int64_t budget = 0;
    memset(&d, 0, sizeof d);
    for (unsigned i = 0; i < s->ops_count; i++) service.op[i] = study_op_hash(s, i);
    TRY(study_decimal(&budget, s->budget, STUDY_EPSILON_PLACES));
    if (budget < 0) return ERR_RANGE;
    d.dt = dt;
    d.type = ASSET_DATASET;
    d.name = span_text(s->silos[silo].name);
    d.description = span_text(s->description);
    d.jurisdiction = span_text(s->silos[silo].jurisdiction);
    d.service = &service;
    d.service_count = 1;
    study_schema(&d.schema, s);
    d.unit_column = text_or_empty(s->unit);
    d.currency = CURRENCY_EPSILON;
    d.budget = (uint64_t)budget;
    d.row_count = study_rows(s, silo);
    d.row_count_exact = true;
    return ddo_write(out, &d);
}

enum err study_algorithm_write(struct buffer *out, const struct study *s, const struct study_parties *p)
{
    struct service service = {.type = SPAN_LITERAL("study"), .child_count = s->silos_count};
    struct ddo d;
    memset(&d, 0, sizeof d);
    _Static_assert((int)CAP_INPUTS <= (int)CAP_CHILDREN, "every silo is a child");
    for (unsigned i = 0; i < s->silos_count; i++) service.child[i] = p->dataset[i];
    d.dt = p->app;
    d.type = ASSET_ALGORITHM;
    d.name = span_text(s->name);
    d.description = span_text(s->description);
    d.jurisdiction = span_text(s->provider->jurisdiction);
    d.service = &service;
    d.service_count = 1;
    return ddo_write(out, &d);
}

/* --- workflow/1 --------------------------------------------------------------------------------------------------- */

static enum err fill_statistic(struct statistic *out, const struct study_statistic *of)
{
    int64_t epsilon = 0;
    TRY(study_decimal(&epsilon, of->epsilon, STUDY_EPSILON_PLACES));
    if (epsilon <= 0) return ERR_RANGE;
    out->name = span_text(of->name);
    out->kind = of->kind;
    out->column = text_or_empty(of->column);
    out->epsilon_nano = (uint64_t)epsilon;
    if (of->kind == STATISTIC_COUNT) return OK;
    ASSERT(of->lower != NULL && of->upper != NULL); /* checked when the file was read, as are places */
    out->places = of->places;
    TRY(study_decimal(&out->lower, of->lower, of->places));
    return study_decimal(&out->upper, of->upper, of->places);
}

static void fill_groups(struct step *out, const struct study_step *of)
{
    out->group_count = of->groups_count;
    for (unsigned i = 0; i < of->groups_count; i++) {
        out->group[i].name = span_text(of->groups[i].name);
        out->group[i].domain_count = of->groups[i].domain_count;
        for (unsigned j = 0; j < of->groups[i].domain_count; j++)
            out->group[i].domain[j] = span_text(of->groups[i].domain[j]);
    }
}

static struct hash32 op_named(const struct study *s, const char *name)
{
    uint32_t op = 0;
    while (op < s->ops_count && strcmp(s->ops[op].name, name) != 0) op++;
    ASSERT(op < s->ops_count); /* checked when the file was read */
    return study_op_hash(s, op);
}

/* Documents hold no control characters: a line feed and the indentation after it become one space. */
static enum err fill_select(struct span *out, char *copy, const char *text)
{
    size_t len = 0;
    if (strlen(text) > WORKFLOW_SELECT_BYTES_MAX) return ERR_TOO_LARGE;
    for (const char *at = text; *at != 0; at++) {
        const bool blank = *at == '\n' || *at == '\t';
        if (!blank) copy[len++] = *at;
        if (blank && len > 0 && copy[len - 1] != ' ') copy[len++] = ' ';
        while (blank && at[1] == ' ') at++;
    }
    while (len > 0 && copy[len - 1] == ' ') len--;
    *out = span_make(copy, len);
    return OK;
}

static enum err fill_step(struct step *out, char *select, const struct study *s, const struct study_step *of)
{
    out->op = op_named(s, of->op);
    out->runtime = RUNTIME_SELECT;
    out->rows_per_unit = of->rows_per_unit;
    out->statistic_count = of->statistics_count;
    out->derived_count = of->derived_count;
    fill_groups(out, of);
    TRY(fill_select(&out->select, select, of->select));
    for (unsigned i = 0; i < of->statistics_count; i++)
        TRY(fill_statistic(&out->statistic[i], &of->statistics[i]));
    for (unsigned i = 0; i < of->derived_count; i++) {
        out->derived[i] =
            (struct derived){span_text(of->derived[i].name), span_text(of->derived[i].numerator),
                             span_text(of->derived[i].denominator)};
    }
    return OK;
}

static enum err fill_parameter(struct parameter *out, const struct study_parameter *of)
{
    out->name = span_text(of->name);
    out->type = of->type;
    out->domain_count = of->domain_count;
    for (unsigned i = 0; i < of->domain_count; i++) out->domain[i] = span_text(of->domain[i]);
    if (of->type == PARAMETER_TEXT) return OK;
    ASSERT(of->lower != NULL && of->upper != NULL); /* checked when the file was read */
    TRY(study_decimal(&out->lower, of->lower, 0));
    return study_decimal(&out->upper, of->upper, 0);
}

static void fill_parties(struct workflow *w, const struct study *s, const struct study_parties *p)
{
    struct schema schema;
    study_schema(&schema, s);
    w->app_id = p->app;
    w->input_count = s->silos_count;
    for (unsigned i = 0; i < s->silos_count; i++)
        w->input[i] =
            (struct workflow_input){span_text(s->silos[i].name), p->owner[i], p->dataset[i], schema.hash};
    ASSERT(p->requester_count <= CAP_REQUESTERS && p->reader_count <= CAP_REQUESTERS);
    w->requester_count = p->requester_count;
    w->reader_count = p->reader_count;
    memcpy(w->requester, p->requester, sizeof w->requester);
    memcpy(w->reader, p->reader, sizeof w->reader);
}

static enum err fill_terms(struct workflow *w, const struct study *s)
{
    const struct study_workflow *of = s->workflow;
    int64_t epsilon = 0;
    TRY(study_decimal(&epsilon, of->epsilon, STUDY_EPSILON_PLACES));
    if (epsilon <= 0) return ERR_RANGE;
    w->name = span_text(of->name);
    w->description = span_text(of->description);
    w->engine = SPAN_LITERAL("int-gate/1");
    w->workers = SPAN_LITERAL("default");
    w->output = OUTPUT_AGGREGATE;
    w->output_bytes_max = of->max_bytes;
    w->scope = of->scope;
    w->unit_column = text_or_empty(s->unit);
    w->epsilon_nano = (uint64_t)epsilon;
    w->owners_min = of->owners;
    w->accept_simulated = true;
    w->jurisdiction_count = of->residency_count;
    for (unsigned i = 0; i < of->residency_count; i++) w->jurisdiction[i] = span_text(of->residency[i]);
    return OK;
}

/* The structures are large: they live in one allocation. */
struct study_recipe {
    struct workflow workflow;
    struct step step[CAP_STEPS];
    struct parameter parameter[CAP_PARAMETERS];
    char select[CAP_STEPS][WORKFLOW_SELECT_BYTES_MAX];
};

static enum err write_recipe(struct buffer *out, struct study_recipe *r, const struct study *s,
                             const struct study_parties *p)
{
    r->workflow.step = r->step;
    r->workflow.step_count = s->workflow->steps_count;
    fill_parties(&r->workflow, s, p);
    TRY(fill_terms(&r->workflow, s));
    r->workflow.parameters = (struct parameters){s->workflow->parameters_count, r->parameter};
    for (unsigned i = 0; i < s->workflow->parameters_count; i++)
        TRY(fill_parameter(&r->parameter[i], &s->workflow->parameters[i]));
    for (unsigned i = 0; i < s->workflow->steps_count; i++)
        TRY(fill_step(&r->step[i], r->select[i], s, &s->workflow->steps[i]));
    return workflow_write(out, &r->workflow);
}

enum err study_workflow_write(struct buffer *out, const struct study *s, const struct study_parties *p)
{
    struct study_recipe *r = calloc(1, sizeof *r);
    if (r == NULL) return ERR_NO_MEMORY;
    enum err err = write_recipe(out, r, s, p);
    free(r);
    return err;
}

/* --- Checking ----------------------------------------------------------------------------------------------------- */

static struct study_parties stand_ins(const struct study *s)
{
    struct study_parties p;
    memset(&p, 0, sizeof p);
    memset(p.app.bytes, 0xff, sizeof p.app.bytes);
    for (unsigned i = 0; i < s->silos_count; i++) {
        memset(p.dataset[i].bytes, (int)i + 1, sizeof p.dataset[i].bytes);
        memset(p.owner[i].bytes, (int)i + 1, sizeof p.owner[i].bytes);
    }
    memset(p.requester[0].bytes, 0xfe, sizeof p.requester[0].bytes);
    p.requester_count = 1;
    return p;
}

struct study_checking {
    const struct study *study;
    struct study_parties parties;
    struct arena arena;
    size_t mark;
    struct buffer out;
    struct json_fault why;
};

typedef enum err check_one(struct study_checking *c, uint32_t index);

static enum err check_op(struct study_checking *c, uint32_t index)
{
    struct op *op = NULL;
    TRY(study_op_write(&c->out, c->study, index));
    return op_parse(&op, &c->arena, buffer_span(&c->out), &c->why);
}

static enum err check_policy(struct study_checking *c, uint32_t index)
{
    struct policy *policy = NULL;
    (void)index;
    TRY(study_policy_write(&c->out, c->study));
    return policy_parse(&policy, &c->arena, buffer_span(&c->out), &c->why);
}

static enum err check_dataset(struct study_checking *c, uint32_t index)
{
    struct ddo *ddo = NULL;
    TRY(study_dataset_write(&c->out, c->study, index, c->parties.dataset[index]));
    return ddo_parse(&ddo, &c->arena, buffer_span(&c->out), &c->why);
}

static enum err check_algorithm(struct study_checking *c, uint32_t index)
{
    struct ddo *ddo = NULL;
    (void)index;
    TRY(study_algorithm_write(&c->out, c->study, &c->parties));
    return ddo_parse(&ddo, &c->arena, buffer_span(&c->out), &c->why);
}

static enum err check_workflow(struct study_checking *c, uint32_t index)
{
    struct workflow *workflow = NULL;
    (void)index;
    TRY(study_workflow_write(&c->out, c->study, &c->parties));
    return workflow_parse(&workflow, &c->arena, buffer_span(&c->out), &c->why);
}

static enum err check_each(struct study_checking *c, const char *what, check_one *one, uint32_t count,
                           char *fault, size_t cap)
{
    for (uint32_t i = 0; i < count; i++) {
        memset(&c->why, 0, sizeof c->why);
        c->out.len = 0;
        c->out.overflow = false;
        enum err err = one(c, i);
        arena_release(&c->arena, c->mark);
        if (err != OK && c->why.path[0] != 0)
            return fault_set(fault, cap, err, "%s: %s: expected %s", what, c->why.path, c->why.expected);
        if (err != OK) return fault_set(fault, cap, err, "%s: a number in it: %s", what, err_text(err));
    }
    return OK;
}

static enum err check_all(struct study_checking *c, char *fault, size_t cap)
{
    TRY(check_each(c, "ops", check_op, c->study->ops_count, fault, cap));
    TRY(check_each(c, "workflow.residency", check_policy, 1, fault, cap));
    TRY(check_each(c, "silos", check_dataset, c->study->silos_count, fault, cap));
    TRY(check_each(c, "provider", check_algorithm, 1, fault, cap));
    return check_each(c, "workflow", check_workflow, 1, fault, cap);
}

enum err study_check_documents(const struct study *s, char *fault, size_t cap)
{
    struct study_checking c = {.study = s, .parties = stand_ins(s)};
    uint8_t *bytes = malloc(CAP_DOCUMENT_BYTES);
    void *memory = calloc(1, STUDY_ARENA_BYTES);
    enum err err = ERR_NO_MEMORY;
    if (cap > 0) fault[0] = 0;
    if (bytes != NULL && memory != NULL) {
        c.arena = arena_make(memory, STUDY_ARENA_BYTES);
        c.out = buffer_make(bytes, CAP_DOCUMENT_BYTES);
        err = check_all(&c, fault, cap);
    }
    free(memory);
    free(bytes);
    return err;
}
