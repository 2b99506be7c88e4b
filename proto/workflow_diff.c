/* The changes between two recipes, for the approval screen. A workflow is taken apart into facts, each a key and a
 * value in words; two workflows are compared fact by fact. Facts are visited, not stored: no memory is needed. */
#include "proto/base/panic.h"
#include "proto/field.h"
#include "proto/workflow.h"

enum { EPSILON_PLACES = 9, KEY_BYTES = 192, VALUE_BYTES = WORKFLOW_SELECT_BYTES_MAX + 512 };

/* Is called with every fact of a workflow, in the order of the document. */
struct visitor {
    void (*visit)(struct visitor *self, struct span key, struct span value);
};

/* A fact under construction. */
struct fact {
    uint8_t key_bytes[KEY_BYTES], value_bytes[VALUE_BYTES];
    struct buffer key, value;
};

static void fact_begin(struct fact *f, const char *key)
{
    f->key = BUFFER_OF(f->key_bytes);
    f->value = BUFFER_OF(f->value_bytes);
    buffer_put_text(&f->key, key);
}

static void fact_end(struct fact *f, struct visitor *v)
{
    ASSERT(!f->key.overflow && !f->value.overflow);
    v->visit(v, buffer_span(&f->key), buffer_span(&f->value));
}

static void fact_text(struct visitor *v, const char *key, struct span value)
{
    v->visit(v, span_text(key), value);
}

static void fact_word(struct visitor *v, const char *key, const char *word)
{
    fact_text(v, key, span_text(word));
}

static void fact_number(struct visitor *v, const char *key, uint64_t number)
{
    struct fact f;
    fact_begin(&f, key);
    buffer_put_decimal(&f.value, (int64_t)number);
    fact_end(&f, v);
}

static void facts_of_nodes(struct visitor *v, const char *key, const struct node_id *nodes, uint32_t count)
{
    struct fact f;
    for (uint32_t i = 0; i < count; i++) {
        fact_begin(&f, key);
        buffer_put_hex(&f.key, ID_SPAN(nodes[i]));
        fact_end(&f, v);
    }
}

static void facts_of_inputs(struct visitor *v, const struct workflow *w)
{
    struct fact f;
    for (uint32_t i = 0; i < w->input_count; i++) {
        fact_begin(&f, "input ");
        buffer_put(&f.key, w->input[i].name);
        field_dt_text(&f.value, w->input[i].dt);
        buffer_put_text(&f.value, " of owner ");
        buffer_put_hex(&f.value, ID_SPAN(w->input[i].owner));
        buffer_put_text(&f.value, ", schema ");
        buffer_put_hex(&f.value, ID_SPAN(w->input[i].schema));
        fact_end(&f, v);
    }
}

static void facts_of_parameters(struct visitor *v, const struct parameters *p)
{
    struct fact f;
    for (uint32_t i = 0; i < p->count; i++) {
        const struct parameter *x = &p->parameter[i];
        fact_begin(&f, "chosen for each run: ");
        buffer_put(&f.key, x->name);
        if (x->type == PARAMETER_INTEGER) {
            buffer_put_text(&f.value, "a whole number from ");
            buffer_put_decimal(&f.value, x->lower);
            buffer_put_text(&f.value, " to ");
            buffer_put_decimal(&f.value, x->upper);
        }
        for (uint32_t j = 0; j < x->domain_count; j++) {
            buffer_put_text(&f.value, j == 0 ? "one of \"" : ", \"");
            buffer_put(&f.value, x->domain[j]);
            buffer_put_u8(&f.value, '"');
        }
        fact_end(&f, v);
    }
}

/* "step 2 <what><name>" */
static void fact_begin_step(struct fact *f, uint32_t index, const char *what, struct span name)
{
    fact_begin(f, "step ");
    buffer_put_decimal(&f->key, index + 1);
    buffer_put_u8(&f->key, ' ');
    buffer_put_text(&f->key, what);
    buffer_put(&f->key, name);
}

static void facts_of_groups(struct visitor *v, const struct step *s, uint32_t index)
{
    struct fact f;
    for (uint32_t i = 0; i < s->group_count; i++) {
        fact_begin_step(&f, index, "group ", s->group[i].name);
        for (uint32_t j = 0; j < s->group[i].domain_count; j++) {
            buffer_put_text(&f.value, j > 0 ? ", \"" : "\"");
            buffer_put(&f.value, s->group[i].domain[j]);
            buffer_put_u8(&f.value, '"');
        }
        fact_end(&f, v);
    }
}

/* Without privacy there is no epsilon to name: it is zero. */
static void put_statistic(struct buffer *out, const struct statistic *x)
{
    buffer_put_text(out, statistic_kind_names[x->kind]);
    buffer_put_text(out, x->column.len > 0 ? " of " : " of rows");
    buffer_put(out, x->column);
    if (x->kind == STATISTIC_SUM) {
        buffer_put_text(out, ", limited to ");
        field_decimal_text(out, x->lower, x->places);
        buffer_put_text(out, " to ");
        field_decimal_text(out, x->upper, x->places);
        buffer_put_text(out, ", decimal places ");
        buffer_put_decimal(out, x->places);
    }
    if (x->epsilon_nano == 0) return;
    buffer_put_text(out, ", epsilon ");
    field_decimal_text(out, (int64_t)x->epsilon_nano, EPSILON_PLACES);
}

static void facts_of_results(struct visitor *v, const struct step *s, uint32_t index)
{
    struct fact f;
    for (uint32_t i = 0; i < s->statistic_count; i++) {
        fact_begin_step(&f, index, "result ", s->statistic[i].name);
        put_statistic(&f.value, &s->statistic[i]);
        fact_end(&f, v);
    }
    for (uint32_t i = 0; i < s->derived_count; i++) {
        fact_begin_step(&f, index, "derived result ", s->derived[i].name);
        buffer_put(&f.value, s->derived[i].numerator);
        buffer_put_text(&f.value, " / ");
        buffer_put(&f.value, s->derived[i].denominator);
        fact_end(&f, v);
    }
}

static void facts_of_step(struct visitor *v, const struct step *s, uint32_t index)
{
    struct fact f;
    fact_begin_step(&f, index, "op", SPAN_NONE);
    buffer_put_hex(&f.value, ID_SPAN(s->op));
    fact_end(&f, v);
    fact_begin_step(&f, index, "runtime", SPAN_NONE);
    buffer_put_text(&f.value, op_runtime_names[s->runtime]);
    fact_end(&f, v);
    fact_begin_step(&f, index, "query", SPAN_NONE);
    buffer_put(&f.value, s->select);
    fact_end(&f, v);
    if (s->rows_per_unit == 0) return; /* output rows: no gate */
    fact_begin_step(&f, index, "rows used of each unit", SPAN_NONE);
    buffer_put_decimal(&f.value, s->rows_per_unit);
    fact_end(&f, v);
    facts_of_groups(v, s, index);
    facts_of_results(v, s, index);
}

static void facts_of_privacy(struct visitor *v, const struct workflow *w)
{
    struct fact f;
    fact_word(v, "privacy", w->privacy_none ? "NONE" : "differential privacy, discrete Laplace noise");
    if (w->privacy_none) return;
    fact_begin(&f, "cost of a run to each dataset");
    buffer_put_text(&f.value, "epsilon ");
    field_decimal_text(&f.value, (int64_t)w->epsilon_nano, EPSILON_PLACES);
    fact_end(&f, v);
    fact_word(v, "privacy scope", privacy_scope_names[w->scope]);
    fact_text(v, "privacy unit", w->unit_column.len > 0 ? w->unit_column : SPAN_LITERAL("row"));
}

static void facts_of_place(struct visitor *v, const struct workflow *w)
{
    struct fact f;
    for (uint32_t i = 0; i < w->jurisdiction_count; i++) {
        fact_begin(&f, "may run in ");
        buffer_put(&f.key, w->jurisdiction[i]);
        fact_end(&f, v);
    }
    if (w->jurisdiction_count == 0) fact_word(v, "may run anywhere", "");
    fact_text(v, "programs (workers)", w->workers);
    fact_word(v, "confidential GPU", w->need_gpu ? "required" : "not required");
    if (w->accept_simulated) fact_word(v, "SIMULATED evidence accepted", "");
    if (w->accept_snp) fact_word(v, "AMD SEV-SNP evidence accepted", "");
    if (w->accept_tdx) fact_word(v, "Intel TDX evidence accepted", "");
}

static void facts(struct visitor *v, const struct workflow *w)
{
    struct fact f;
    fact_text(v, "name", w->name);
    fact_text(v, "description", w->description);
    fact_begin(&f, "app");
    field_dt_text(&f.value, w->app_id);
    fact_end(&f, v);
    fact_text(v, "engine", w->engine);
    facts_of_inputs(v, w);
    fact_number(v, "owners who must approve", w->owners_min);
    fact_number(v, "number of steps", w->step_count);
    for (uint32_t i = 0; i < w->step_count; i++) {
        facts_of_step(v, &w->step[i], i);
    }
    facts_of_parameters(v, &w->parameters);
    facts_of_privacy(v, w);
    fact_word(v, "output type", w->output == OUTPUT_ROWS ? "ROWS" : "aggregate");
    fact_number(v, "output bytes at most", w->output_bytes_max);
    facts_of_nodes(v, "may ask and read: ", w->requester, w->requester_count);
    facts_of_nodes(v, "may read: ", w->reader, w->reader_count);
    facts_of_place(v, w);
}

/* --- Comparing ------------------------------------------------------------------------------------------------------ */

struct finder {
    struct visitor visitor; /* first: a visitor is a finder */
    struct span key;
    struct fact *found;
    bool is_found;
};

static void find(struct visitor *self, struct span key, struct span value)
{
    struct finder *f = (struct finder *)self;
    if (f->is_found || !span_equal(f->key, key)) return;
    f->is_found = true;
    f->found->value = BUFFER_OF(f->found->value_bytes);
    buffer_put(&f->found->value, value);
}

struct reporter {
    struct visitor visitor; /* first */
    struct buffer *out;
    const struct workflow *other;
    bool removals; /* report only what the other lacks */
    uint32_t count;
};

static void put_fact(struct buffer *out, const char *what, struct span key, struct span value)
{
    buffer_put_text(out, what);
    buffer_put(out, key);
    if (value.len > 0) buffer_put_text(out, ": ");
    buffer_put(out, value);
    buffer_put_u8(out, '\n');
}

static void report(struct visitor *self, struct span key, struct span value)
{
    struct reporter *r = (struct reporter *)self;
    struct fact other;
    struct finder finder = {{find}, key, &other, false};
    facts(&finder.visitor, r->other);
    if (finder.is_found && (r->removals || span_equal(buffer_span(&other.value), value))) return;
    r->count++;
    if (!finder.is_found) {
        put_fact(r->out, r->removals ? "removed: " : "added:   ", key, value);
        return;
    }
    put_fact(r->out, "changed: ", key, SPAN_NONE);
    put_fact(r->out, "    was: ", buffer_span(&other.value), SPAN_NONE);
    put_fact(r->out, "    now: ", value, SPAN_NONE);
}

void workflow_diff(struct buffer *out, const struct workflow *old, const struct workflow *new_one)
{
    if (old == NULL) {
        buffer_put_text(out, "No recipe was approved before this one.\n");
        return;
    }
    struct reporter additions = {{report}, out, old, false, 0}, removals = {{report}, out, new_one, true, 0};
    facts(&additions.visitor, new_one);
    facts(&removals.visitor, old);
    if (additions.count + removals.count > 0) return;
    buffer_put_text(out, ID_EQUAL(old->hash, new_one->hash) ? "Nothing changed.\n"
                                                            : "Only the order or the extra data changed.\n");
}
