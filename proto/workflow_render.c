/* The text that an owner reads before signing an approval; the signature covers its hash (DESIGN §5 "Approval").
 * Changing a byte here changes what the hash of an approval is over: the text belongs to workflow/1, and another
 * wording needs another version. */
#include "proto/base/panic.h"
#include "proto/field.h"
#include "proto/workflow.h"

enum { EPSILON_PLACES = 9 };

static void put_number(struct buffer *out, uint64_t value)
{
    buffer_put_decimal(out, (int64_t)value);
}

static void put_epsilon(struct buffer *out, uint64_t nano)
{
    buffer_put_text(out, "epsilon ");
    field_decimal_text(out, (int64_t)nano, EPSILON_PLACES);
}

static void put_quoted(struct buffer *out, struct span text)
{
    buffer_put_u8(out, '"');
    buffer_put(out, text);
    buffer_put_u8(out, '"');
}

/* "1 row", "2 rows" */
static void put_count(struct buffer *out, uint64_t count, const char *noun)
{
    put_number(out, count);
    buffer_put_u8(out, ' ');
    buffer_put_text(out, noun);
    if (count != 1) buffer_put_u8(out, 's');
}

static void put_unit(struct buffer *out, const struct workflow *w)
{
    if (w->unit_column.len == 0)
        buffer_put_text(out, "row");
    else
        put_quoted(out, w->unit_column);
}

/* --- Steps ---------------------------------------------------------------------------------------------------------- */

static void render_group(struct buffer *out, const struct group_column *g)
{
    buffer_put_text(out, "    ");
    buffer_put(out, g->name);
    buffer_put_text(out, ": ");
    for (uint32_t i = 0; i < g->domain_count; i++) {
        if (i > 0) buffer_put_text(out, ", ");
        put_quoted(out, g->domain[i]);
    }
    buffer_put_u8(out, '\n');
}

static void render_groups(struct buffer *out, const struct step *s)
{
    if (s->group_count == 0) {
        buffer_put_text(out, "  Results are given once, over all rows.\n");
        return;
    }
    buffer_put_text(out, "  Results are given for each of ");
    put_count(out, s->cell_count, "group");
    buffer_put_text(out, ", whether or not anyone is in it; rows outside these values are left out:\n");
    for (uint32_t i = 0; i < s->group_count; i++) {
        render_group(out, &s->group[i]);
    }
}

static void render_contribution(struct buffer *out, const struct workflow *w, const struct step *s)
{
    if (w->unit_column.len == 0) {
        buffer_put_text(out,
                        "  Each row counts as a person of its own: rows are not linked to each other.\n");
        return;
    }
    buffer_put_text(out, "  At most ");
    put_count(out, s->rows_per_unit, "row");
    buffer_put_text(out, " of each ");
    put_unit(out, w);
    buffer_put_text(out, w->scope == SCOPE_GLOBAL && !w->privacy_none
                             ? " over all datasets together are used.\n"
                             : " are used.\n");
}

/* What the noise is expected to be off by, rounded up: the scale of the distribution, in the unit of the result. */
static void render_noise(struct buffer *out, const struct statistic *x, uint32_t rows_per_unit)
{
    uint64_t top = 0, bottom = 1;
    enum err err = statistic_scale(x, rows_per_unit, &top, &bottom);
    ASSERT(err == OK && bottom > 0);           /* the parser refuses others */
    if (x->kind == STATISTIC_SUM) bottom *= 2; /* sums are released on the half grid */
    uint64_t typical = top / bottom + (top % bottom != 0);
    buffer_put_text(out, "; random noise of typical size ");
    field_decimal_text(out, (int64_t)typical, x->places);
    buffer_put_text(out, " is added; ");
    put_epsilon(out, x->epsilon_nano);
}

/* Half of lower + upper: the two times five and one more decimal place keep it exact. */
static void put_centre(struct buffer *out, const struct statistic *x)
{
    field_decimal_text(out, (x->lower + x->upper) * 5, x->places + 1);
}

static void put_range(struct buffer *out, const struct statistic *x)
{
    field_decimal_text(out, x->lower, x->places);
    buffer_put_text(out, " to ");
    field_decimal_text(out, x->upper, x->places);
}

static void render_measure(struct buffer *out, const struct statistic *x)
{
    switch (x->kind) {
    case STATISTIC_COUNT:
        buffer_put_text(out, "the number of rows");
        if (x->column.len == 0) return;
        buffer_put_text(out, " in which ");
        put_quoted(out, x->column);
        buffer_put_text(out, " has a value");
        return;
    case STATISTIC_SUM:
        buffer_put_text(out, "the sum of ");
        put_quoted(out, x->column);
        buffer_put_text(out, ", each value first limited to ");
        put_range(out, x);
        buffer_put_text(out, ", rounded to ");
        put_count(out, x->places, "decimal place");
        buffer_put_text(out, " and taken relative to ");
        put_centre(out, x);
        return;
    }
    UNREACHABLE();
}

static void render_derived(struct buffer *out, const struct step *s, const struct derived *d)
{
    int numerator = step_statistic(s, d->numerator);
    ASSERT(numerator >= 0);
    buffer_put_text(out, "    ");
    buffer_put(out, d->name);
    buffer_put_text(out, " = ");
    if (s->statistic[numerator].kind == STATISTIC_SUM) {
        put_centre(out, &s->statistic[numerator]);
        buffer_put_text(out, " + ");
    }
    buffer_put(out, d->numerator);
    buffer_put_text(out, " / ");
    buffer_put(out, d->denominator);
    buffer_put_u8(out, '\n');
}

static void render_results(struct buffer *out, const struct workflow *w, const struct step *s)
{
    buffer_put_text(out, "  Results:\n");
    for (uint32_t i = 0; i < s->statistic_count; i++) {
        const struct statistic *x = &s->statistic[i];
        buffer_put_text(out, "    ");
        buffer_put(out, x->name);
        buffer_put_text(out, ": ");
        render_measure(out, x);
        if (w->privacy_none)
            buffer_put_text(out, "; EXACT, no noise");
        else
            render_noise(out, x, s->rows_per_unit);
        buffer_put_u8(out, '\n');
    }
    if (s->derived_count == 0) return;
    buffer_put_text(out, "  Worked out from these results, at no further cost:\n");
    for (uint32_t i = 0; i < s->derived_count; i++) {
        render_derived(out, s, &s->derived[i]);
    }
}

static void render_step(struct buffer *out, const struct workflow *w, uint32_t index)
{
    const struct step *s = &w->step[index];
    buffer_put_text(out, "Step ");
    put_number(out, index + 1);
    buffer_put_text(out, " of ");
    put_number(out, w->step_count);
    buffer_put_text(out, ", by op ");
    buffer_put_hex(out, ID_SPAN(s->op));
    buffer_put_text(out, " (");
    buffer_put_text(out, op_runtime_names[s->runtime]);
    buffer_put_text(
        out, s->runtime == RUNTIME_SQL
                 ? ")\n  This exact query runs over all datasets of the run together, each a table by its "
                   "name, inside\n  the enclave:\n    "
                 : ")\n  This exact query runs on each dataset by itself, inside the enclave:\n    ");
    buffer_put(out, s->select);
    buffer_put_u8(out, '\n');
    if (w->output == OUTPUT_ROWS) {
        buffer_put_text(out, "  THE ROWS THIS QUERY YIELDS ARE THE OUTPUT.\n");
        return;
    }
    buffer_put_text(
        out, "  The rows it yields stay in the enclave. Only the results below leave it, taken over all\n"
             "  datasets of the run together.\n");
    render_groups(out, s);
    render_contribution(out, w, s);
    render_results(out, w, s);
}

/* --- Sections ------------------------------------------------------------------------------------------------------- */

static void render_heading(struct buffer *out, const struct workflow *w)
{
    buffer_put_text(out, "RECIPE ");
    buffer_put(out, w->name);
    buffer_put_text(out, "\nIts author says: ");
    put_quoted(out, w->description);
    buffer_put_text(out, "\nCompose hash ");
    buffer_put_hex(out, ID_SPAN(w->hash));
    buffer_put_text(out, "\nApp ");
    field_dt_text(out, w->app_id);
    buffer_put_text(out, "\nEngine ");
    buffer_put(out, w->engine);
    if (w->privacy_none) buffer_put_text(out, "\n\nPRIVACY: NONE");
    if (w->accept_simulated) buffer_put_text(out, "\n\nEVIDENCE: SIMULATED IS ACCEPTED");
    if (w->has_extra) buffer_put_text(out, "\nFree data is attached (extra). It has no effect on the run.");
    buffer_put_u8(out, '\n');
}

static void render_parameter(struct buffer *out, const struct parameter *x)
{
    buffer_put_text(out, "    $");
    buffer_put(out, x->name);
    if (x->type == PARAMETER_INTEGER) {
        buffer_put_text(out, ": a whole number from ");
        buffer_put_decimal(out, x->lower);
        buffer_put_text(out, " to ");
        buffer_put_decimal(out, x->upper);
    }
    for (uint32_t i = 0; i < x->domain_count; i++) {
        buffer_put_text(out, i == 0 ? ": one of " : ", ");
        put_quoted(out, x->domain[i]);
    }
    buffer_put_u8(out, '\n');
}

static void render_parameters(struct buffer *out, const struct workflow *w)
{
    if (w->parameters.count == 0) return;
    buffer_put_text(
        out, "\nWHAT THE REQUESTER CHOOSES FOR EACH RUN\n"
             "  The value chosen stands in the queries above in place of its name. It can be no other than\n"
             "  these; you approve all of them");
    buffer_put_text(out, w->privacy_none ? ".\n" : ", and noise and cost are the same for each.\n");
    for (uint32_t i = 0; i < w->parameters.count; i++) render_parameter(out, &w->parameters.parameter[i]);
}

static void render_inputs(struct buffer *out, const struct workflow *w, struct dt own_dataset)
{
    bool found = false;
    buffer_put_text(out, "\nFROM WHICH DATASETS\n");
    for (uint32_t i = 0; i < w->input_count; i++) {
        const struct workflow_input *input = &w->input[i];
        bool own = ID_EQUAL(input->dt, own_dataset);
        found = found || own;
        buffer_put_text(out, "  ");
        buffer_put(out, input->name);
        if (own) buffer_put_text(out, "  <-- YOUR DATASET");
        buffer_put_text(out, "\n    dataset ");
        field_dt_text(out, input->dt);
        buffer_put_text(out, "\n    owner   ");
        buffer_put_hex(out, ID_SPAN(input->owner));
        buffer_put_text(out, "\n    schema  ");
        buffer_put_hex(out, ID_SPAN(input->schema));
        buffer_put_u8(out, '\n');
    }
    if (!found && !ID_IS_ZERO(own_dataset)) {
        buffer_put_text(out, "  YOUR DATASET IS NOT AMONG THEM.\n");
    }
    buffer_put_text(out, "  It can run when at least ");
    put_count(out, w->owners_min, "different owner");
    buffer_put_text(out, " approved; a dataset is used only if its own owner approved.\n");
}

static void render_scope(struct buffer *out, const struct workflow *w)
{
    const uint32_t owners = workflow_owner_count(w);
    switch (w->scope) {
    case SCOPE_GLOBAL:
        buffer_put_text(out, "  Scope: global. One ");
        put_unit(out, w);
        buffer_put_text(out, " is protected over all datasets together: it loses at most ");
        put_epsilon(out, w->epsilon_nano);
        buffer_put_text(out, " by one run.\n");
        return;
    case SCOPE_PER_OWNER:
        buffer_put_text(out, "  Scope: per owner. One ");
        put_unit(out, w);
        buffer_put_text(
            out, " is protected within each owner's data. A person present at m owners loses up to m x ");
        put_epsilon(out, w->epsilon_nano);
        buffer_put_text(out, " by one run; present at all ");
        put_count(out, owners, "owner");
        buffer_put_text(out, ", up to ");
        put_epsilon(out, owners * w->epsilon_nano);
        buffer_put_text(out, ".\n");
        return;
    }
    UNREACHABLE();
}

static void render_privacy(struct buffer *out, const struct workflow *w, struct dt own_dataset)
{
    buffer_put_text(out, "\nWHAT IT COSTS IN PRIVACY\n");
    if (w->privacy_none) {
        buffer_put_text(out,
                        "  PRIVACY: NONE. No noise is added and no budget is charged. The output can reveal\n"
                        "  individual people.\n");
        return;
    }
    buffer_put_text(out, "  Each run charges every dataset it uses, in full: ");
    put_epsilon(out, w->epsilon_nano);
    buffer_put_text(out, ", delta 0.\n");
    for (uint32_t i = 0; i < w->input_count; i++) {
        buffer_put_text(out, "    ");
        buffer_put(out, w->input[i].name);
        buffer_put_text(out, ": ");
        put_epsilon(out, w->epsilon_nano);
        buffer_put_text(out, ID_EQUAL(w->input[i].dt, own_dataset) ? "  <-- YOUR DATASET\n" : "\n");
    }
    render_scope(out, w);
    buffer_put_text(out,
                    "  Noise: exact discrete Laplace, drawn in the enclave.\n"
                    "  What is promised: take the data as it is, and the same data with the rows of one ");
    put_unit(out, w);
    buffer_put_text(
        out,
        " replaced by\n  any others, the number of rows being the same and public. No output is more than "
        "e^epsilon times as likely\n  with the one as with the other.\n");
}

static void render_nodes(struct buffer *out, const struct node_id *nodes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        buffer_put_text(out, "    ");
        buffer_put_hex(out, ID_SPAN(nodes[i]));
        buffer_put_u8(out, '\n');
    }
}

static void render_output(struct buffer *out, const struct workflow *w)
{
    buffer_put_text(out, "\nWHAT LEAVES THE ENCLAVE, AND WHO READS IT\n  One output of type ");
    buffer_put_text(out, w->output == OUTPUT_ROWS ? "ROWS" : output_type_names[w->output]);
    buffer_put_text(out, ", of at most ");
    put_count(out, w->output_bytes_max, "byte");
    buffer_put_text(out, ", for each run.\n  Who may ask for a run, and reads its output:\n");
    render_nodes(out, w->requester, w->requester_count);
    if (w->reader_count == 0) {
        buffer_put_text(out, "  Nobody else reads it.\n");
        return;
    }
    buffer_put_text(out, "  Who reads it besides:\n");
    render_nodes(out, w->reader, w->reader_count);
}

static void put_jurisdictions(struct buffer *out, const struct workflow *w)
{
    if (w->jurisdiction_count == 0) buffer_put_text(out, "anywhere");
    for (uint32_t i = 0; i < w->jurisdiction_count; i++) {
        if (i > 0) buffer_put_text(out, ", ");
        buffer_put(out, w->jurisdiction[i]);
    }
}

static void put_evidence(struct buffer *out, const struct workflow *w)
{
    const char *separator = "";
    if (w->accept_simulated) {
        buffer_put_text(out, "SIMULATED");
        separator = " or ";
    }
    if (w->accept_snp) {
        buffer_put_text(out, separator);
        buffer_put_text(out, "AMD SEV-SNP");
        separator = " or ";
    }
    if (w->accept_tdx) {
        buffer_put_text(out, separator);
        buffer_put_text(out, "Intel TDX");
    }
}

static void render_place(struct buffer *out, const struct workflow *w)
{
    buffer_put_text(out, "\nWHERE IT MAY RUN\n  Jurisdictions: ");
    put_jurisdictions(out, w);
    buffer_put_text(out, "\n  Confidential GPU: ");
    buffer_put_text(out, w->need_gpu ? "required" : "not required");
    buffer_put_text(out, "\n  Programs: the set ");
    put_quoted(out, w->workers);
    buffer_put_text(out, " that the stewards registered\n  The machine must show evidence: ");
    put_evidence(out, w);
    buffer_put_u8(out, '\n');
    if (w->accept_simulated) {
        buffer_put_text(
            out,
            "  SIMULATED evidence proves nothing about the machine: whoever runs it can read the data.\n");
    }
}

void workflow_render(struct buffer *out, const struct workflow *w, struct dt own_dataset)
{
    ASSERT(w->step_count > 0 && w->input_count > 0);
    render_heading(out, w);
    buffer_put_text(out, "\nWHAT IS COMPUTED\n");
    for (uint32_t i = 0; i < w->step_count; i++) {
        render_step(out, w, i);
    }
    render_parameters(out, w);
    render_inputs(out, w, own_dataset);
    render_privacy(out, w, own_dataset);
    render_output(out, w);
    render_place(out, w);
}
