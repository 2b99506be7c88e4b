#include "proto/workflow.h"

#include "crypto/hash.h"
#include "proto/base/divisor.h"
#include "proto/base/panic.h"
#include "proto/field.h"

#include <string.h>

const char *const privacy_scope_names[2] = {"per-owner", "global"};
const char *const statistic_kind_names[2] = {"count", "sum"};

static const char *const gpu_names[2] = {"none", "required"};
static const char *const mode_names[3] = {"enclave", "federated", "mpc"};
static const char *const reserved_names[3] = {"federated", "model", "mpc"};
static const char *const currency_names[2] = {"epsilon", "zcdp"};
static const char *const mechanism_names[2] = {"discrete-laplace", "discrete-gaussian"};
static const char engine_name[] = "int-gate/1";

enum { EPSILON_PLACES = 9 };
#define SCALE_MAX (UINT64_C(1) << 56)
/* Within DECIMAL(18, places), with a digit to spare for the centre between two bounds. */
#define BOUND_MAX INT64_C(99999999999999999)

/* --- Sensitivity --------------------------------------------------------------------------------------- */

uint64_t statistic_sensitivity(const struct statistic *s, uint32_t rows_per_unit)
{
    uint64_t per_row = 1, sensitivity = 0;
    ASSERT(rows_per_unit <= WORKFLOW_ROWS_PER_UNIT_MAX);
    if (s->kind == STATISTIC_SUM) {
        ASSERT(s->lower < s->upper && s->lower >= -BOUND_MAX && s->upper <= BOUND_MAX);
        per_row = (uint64_t)(s->upper - s->lower);
    }
    if (__builtin_mul_overflow(per_row, 2 * (uint64_t)rows_per_unit, &sensitivity)) return UINT64_MAX;
    return sensitivity;
}

enum err statistic_scale(const struct statistic *s, uint32_t rows_per_unit, uint64_t *numerator,
                         uint64_t *denominator)
{
    const uint64_t nano = 1000000000, sensitivity = statistic_sensitivity(s, rows_per_unit);
    if (s->epsilon_nano == 0 || sensitivity == UINT64_MAX) return ERR_RANGE;
    /* Reduce each factor before multiplying, so that only a true excess overflows. */
    uint64_t a = divisor_common(sensitivity, s->epsilon_nano);
    uint64_t left = s->epsilon_nano / a, b = divisor_common(nano, left);
    uint64_t top = 0;
    if (__builtin_mul_overflow(sensitivity / a, nano / b, &top)) return ERR_RANGE;
    if (top > SCALE_MAX || left / b > SCALE_MAX) return ERR_RANGE;
    *numerator = top;
    *denominator = left / b;
    return OK;
}

int step_statistic(const struct step *s, struct span name)
{
    for (uint32_t i = 0; i < s->statistic_count; i++) {
        if (span_equal(s->statistic[i].name, name)) return (int)i;
    }
    return -1;
}

/* --- Steps
 * ----------------------------------------------------------------------------------------------------------
 */

/* Columns and results of a step share one space of names, so that the output is unambiguous. */
static bool name_taken(const struct step *s, struct span name)
{
    for (uint32_t i = 0; i < s->group_count; i++) {
        if (span_equal(s->group[i].name, name)) return true;
    }
    for (uint32_t i = 0; i < s->derived_count; i++) {
        if (span_equal(s->derived[i].name, name)) return true;
    }
    return step_statistic(s, name) >= 0;
}

static void take_name(struct json_reader *r, const struct step *s, struct span *name)
{
    field_name(r, "name", name);
    if (name_taken(s, *name)) json_refuse(r, "name", ERR_DUPLICATE, "a name used once in its step");
}

static enum err group_read(struct step *s, struct json_reader *r)
{
    struct group_column *g = &s->group[s->group_count];
    take_name(r, s, &g->name);
    field_list(r, "domain", 1, CAP_DOMAIN, field_is_label, "visible text of 1 to 64 bytes", g->domain,
               sizeof g->domain[0], &g->domain_count);
    TRY(json_reader_done(r));
    s->group_count++;
    s->cell_count *= g->domain_count;
    if (s->cell_count > CAP_CELLS) {
        json_refuse(r, "domain", ERR_TOO_LARGE, "at most 4096 groups: the product of the domains");
    }
    return r->err;
}

static void bounds_read(struct statistic *s, struct json_reader *r)
{
    field_u32(r, "places", 0, WORKFLOW_PLACES_MAX, &s->places);
    field_decimal(r, "lower", s->places, -BOUND_MAX, BOUND_MAX, &s->lower);
    field_decimal(r, "upper", s->places, -BOUND_MAX, BOUND_MAX, &s->upper);
    if (s->lower >= s->upper) json_refuse(r, "upper", ERR_RANGE, "a bound above lower");
    if (s->column.len == 0) json_refuse(r, "column", ERR_RANGE, "the column to sum");
}

static enum err statistic_read(struct step *s, bool privacy_none, struct json_reader *r)
{
    struct statistic *x = &s->statistic[s->statistic_count];
    uint32_t kind = 0;
    int64_t epsilon = 0;
    uint64_t numerator, denominator;
    take_name(r, s, &x->name);
    json_read_enum(r, "kind", statistic_kind_names, 2, &kind);
    x->kind = (enum statistic_kind)kind;
    field_column(r, "column", &x->column);
    if (x->kind == STATISTIC_SUM) bounds_read(x, r);
    if (privacy_none && json_has(r, "epsilon"))
        json_refuse(r, "epsilon", ERR_REFUSED, "nothing: privacy is none");
    else if (!privacy_none)
        field_decimal(r, "epsilon", EPSILON_PLACES, 1, WORKFLOW_EPSILON_NANO_MAX, &epsilon);
    x->epsilon_nano = (uint64_t)epsilon;
    TRY(json_reader_done(r));
    if (!privacy_none && statistic_scale(x, s->rows_per_unit, &numerator, &denominator) != OK) {
        json_refuse(r, "epsilon", ERR_RANGE, "a noise scale (sensitivity / epsilon) of terms below 2^56");
    }
    s->statistic_count++;
    return r->err;
}

static enum err derived_read(struct step *s, struct json_reader *r)
{
    struct derived *d = &s->derived[s->derived_count];
    take_name(r, s, &d->name);
    field_name(r, "numerator", &d->numerator);
    field_name(r, "denominator", &d->denominator);
    int below = step_statistic(s, d->denominator);
    if (step_statistic(s, d->numerator) < 0) {
        json_refuse(r, "numerator", ERR_NOT_FOUND, "a statistic of this step");
    }
    if (below < 0 || s->statistic[below].kind != STATISTIC_COUNT) {
        json_refuse(r, "denominator", ERR_NOT_FOUND, "a count of this step");
    }
    s->derived_count++;
    return json_reader_done(r);
}

static enum err groups_read(struct step *s, struct json_reader *r)
{
    const struct json *array = json_read_array(r, "groups", 0, CAP_GROUPS);
    if (array == NULL) return r->err;
    for (uint32_t i = 0; i < array->count; i++) {
        struct json_reader item;
        field_item(&item, r, "groups", i, &array->items[i]);
        TRY(group_read(s, &item));
    }
    return OK;
}

static enum err statistics_read(struct step *s, bool privacy_none, struct json_reader *r)
{
    const struct json *array = json_read_array(r, "statistics", 1, CAP_STATISTICS);
    if (array == NULL) return r->err;
    for (uint32_t i = 0; i < array->count; i++) {
        struct json_reader item;
        field_item(&item, r, "statistics", i, &array->items[i]);
        TRY(statistic_read(s, privacy_none, &item));
    }
    return OK;
}

static enum err deriveds_read(struct step *s, struct json_reader *r)
{
    const struct json *array = json_read_array(r, "derived", 0, CAP_STATISTICS);
    if (array == NULL) return r->err;
    for (uint32_t i = 0; i < array->count; i++) {
        struct json_reader item;
        field_item(&item, r, "derived", i, &array->items[i]);
        TRY(derived_read(s, &item));
    }
    return OK;
}

/* The gate's half of a step: what it counts and sums of the rows that the SELECT yields. */
static enum err gate_read(struct step *s, const struct workflow *w, struct json_reader *r)
{
    field_u32(r, "rows_per_unit", 1, WORKFLOW_ROWS_PER_UNIT_MAX, &s->rows_per_unit);
    if (w->unit_column.len == 0 && s->rows_per_unit != 1) {
        json_refuse(r, "rows_per_unit", ERR_RANGE, "1, because a row is a unit here");
    }
    if (s->runtime != RUNTIME_SELECT) {
        json_refuse(r, "runtime", ERR_REFUSED, "select: only output rows, with privacy none, can use sql");
    }
    TRY(groups_read(s, r));
    TRY(statistics_read(s, w->privacy_none, r));
    return deriveds_read(s, r);
}

static enum err step_read(struct step *s, const struct workflow *w, struct json_reader *r)
{
    s->cell_count = 1;
    field_reserved(r, reserved_names, 3);
    field_hash(r, "op", &s->op);
    op_read_runtime(r, "runtime", &s->runtime);
    field_text(r, "select", 1, WORKFLOW_SELECT_BYTES_MAX, &s->select);
    if (w->output == OUTPUT_AGGREGATE) TRY(gate_read(s, w, r));
    return json_reader_done(r);
}

/* Whole and parts agree to the last digit, or an approval could state a cost that the run exceeds. */
static void check_epsilon(const struct workflow *w, struct json_reader *r)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < w->step_count; i++) {
        for (uint32_t j = 0; j < w->step[i].statistic_count; j++) {
            sum += w->step[i].statistic[j].epsilon_nano; /* at most 64 times 10^12 */
        }
    }
    if (sum != w->epsilon_nano) {
        json_refuse(r, "privacy.epsilon", ERR_CONFLICT, "exactly the sum of the statistics' epsilons");
    }
}

static enum err steps_read(struct workflow *w, struct arena *arena, struct json_reader *r)
{
    const struct json *array = json_read_array(r, "steps", 1, CAP_STEPS);
    if (array == NULL) return r->err;
    w->step = ARENA_ARRAY(arena, struct step, array->count);
    if (w->step == NULL) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < array->count; i++) {
        struct json_reader item;
        field_item(&item, r, "steps", i, &array->items[i]);
        TRY(step_read(&w->step[i], w, &item));
        w->step_count = i + 1;
    }
    check_epsilon(w, r);
    return r->err;
}

/* --- The rest of the document -------------------------------------------------------------------------- */

static enum err input_read(struct workflow *w, struct json_reader *r)
{
    struct workflow_input *input = &w->input[w->input_count];
    field_name(r, "name", &input->name);
    field_node(r, "owner", &input->owner);
    field_dt(r, "dt", &input->dt);
    field_hash(r, "schema", &input->schema);
    for (uint32_t i = 0; i < w->input_count; i++) {
        if (span_equal(w->input[i].name, input->name)) {
            json_refuse(r, "name", ERR_DUPLICATE, "a name no other input has");
        }
        if (ID_EQUAL(w->input[i].dt, input->dt)) {
            json_refuse(r, "dt", ERR_DUPLICATE, "a dataset no other input has");
        }
    }
    if (ID_EQUAL(input->dt, w->app_id)) json_refuse(r, "dt", ERR_REFUSED, "a dataset, not the app itself");
    w->input_count++;
    return json_reader_done(r);
}

static enum err inputs_read(struct workflow *w, struct json_reader *r)
{
    const struct json *array = json_read_array(r, "inputs", 1, CAP_INPUTS);
    if (array == NULL) return r->err;
    for (uint32_t i = 0; i < array->count; i++) {
        struct json_reader item;
        field_item(&item, r, "inputs", i, &array->items[i]);
        TRY(input_read(w, &item));
    }
    return OK;
}

uint32_t workflow_owner_count(const struct workflow *w)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < w->input_count; i++) {
        uint32_t first = 0;
        while (!ID_EQUAL(w->input[first].owner, w->input[i].owner)) first++;
        count += first == i;
    }
    return count;
}

static enum err quorum_read(struct workflow *w, struct json_reader *parent)
{
    struct json_reader r;
    field_object(&r, parent, "quorum");
    field_u32(&r, "owners", 1, CAP_INPUTS, &w->owners_min);
    if (w->owners_min > workflow_owner_count(w)) {
        json_refuse(&r, "owners", ERR_RANGE, "at most the number of distinct owners of the inputs");
    }
    return json_reader_done(&r);
}

static bool is_evidence(struct span name, void *out)
{
    *(struct span *)out = name;
    return span_equal_text(name, "simulated") || span_equal_text(name, "snp") || span_equal_text(name, "tdx");
}

static enum err attestation_read(struct workflow *w, struct json_reader *parent)
{
    struct json_reader r;
    struct span kind[3] = {SPAN_NONE, SPAN_NONE, SPAN_NONE};
    uint32_t count = 0, gpu = 0;
    field_object(&r, parent, "attestation");
    field_list(&r, "evidence", 1, 3, is_evidence, "simulated, snp or tdx", kind, sizeof kind[0], &count);
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0 && span_compare(kind[i - 1], kind[i]) >= 0) {
            json_refuse(&r, "evidence", ERR_NOT_CANONICAL, "kinds in the order of their names");
        }
        if (span_equal_text(kind[i], "simulated")) w->accept_simulated = true;
        if (span_equal_text(kind[i], "snp")) w->accept_snp = true;
        if (span_equal_text(kind[i], "tdx")) w->accept_tdx = true;
    }
    json_read_enum(&r, "gpu", gpu_names, 2, &gpu);
    w->need_gpu = gpu == 1;
    field_name(&r, "workers", &w->workers);
    return json_reader_done(&r);
}

static enum err output_read(struct workflow *w, struct json_reader *parent)
{
    struct json_reader r;
    uint32_t type = 0;
    field_object(&r, parent, "output");
    field_u32(&r, "max_bytes", WORKFLOW_OUTPUT_BYTES_MIN, WORKFLOW_OUTPUT_BYTES_MAX, &w->output_bytes_max);
    field_list(&r, "readers", 0, CAP_REQUESTERS, field_is_node, "a node id: 64 lower-case hex digits",
               w->reader, sizeof w->reader[0], &w->reader_count);
    json_read_enum(&r, "type", output_type_names, 2, &type);
    w->output = (enum output_type)type;
    if (w->output == OUTPUT_ROWS && !w->privacy_none) {
        json_refuse(&r, "type", ERR_REFUSED, "aggregate: output rows needs privacy \"none\"");
    }
    return json_reader_done(&r);
}

/* A name of which this version knows only the first. */
static void first_only(struct json_reader *r, const char *key, const char *const *names, uint32_t count,
                       const char *expected)
{
    uint32_t index = 0;
    json_read_enum(r, key, names, count, &index);
    if (index != 0) json_refuse(r, key, ERR_REFUSED, expected);
}

static enum err privacy_read(struct workflow *w, struct json_reader *parent)
{
    const struct json *value = json_read_any(parent, "privacy");
    struct json_reader r;
    uint32_t scope = 0;
    int64_t delta = 0, epsilon = 0;
    if (value == NULL) return parent->err;
    w->privacy_none = value->type == JSON_TYPE_STRING && span_equal_text(value->string, "none");
    if (w->privacy_none) return OK;
    field_object(&r, parent, "privacy");
    first_only(&r, "currency", currency_names, 2, "epsilon: zcdp is reserved");
    field_decimal(&r, "delta", EPSILON_PLACES, 0, 0, &delta);
    field_decimal(&r, "epsilon", EPSILON_PLACES, 1, WORKFLOW_EPSILON_NANO_MAX, &epsilon);
    first_only(&r, "mechanism", mechanism_names, 2, "discrete-laplace: discrete-gaussian is reserved");
    json_read_enum(&r, "scope", privacy_scope_names, 2, &scope);
    field_column(&r, "unit", &w->unit_column);
    w->epsilon_nano = (uint64_t)epsilon;
    w->scope = (enum privacy_scope)scope;
    return json_reader_done(&r);
}

static enum err residency_read(struct workflow *w, struct json_reader *parent)
{
    struct json_reader r;
    field_object(&r, parent, "residency");
    field_list(&r, "allow", 0, CAP_JURISDICTIONS, field_is_jurisdiction, "a jurisdiction such as CH or EU",
               w->jurisdiction, sizeof w->jurisdiction[0], &w->jurisdiction_count);
    return json_reader_done(&r);
}

static void heading_read(struct workflow *w, struct json_reader *r)
{
    field_reserved(r, reserved_names, 3);
    field_name(r, "name", &w->name);
    field_text(r, "description", 0, CAP_TEXT, &w->description);
    field_dt(r, "app_id", &w->app_id);
    first_only(r, "mode", mode_names, 3, "enclave: federated and mpc are reserved");
    json_read_text(r, "engine", CAP_NAME, &w->engine);
    if (!span_equal_text(w->engine, engine_name)) json_refuse(r, "engine", ERR_VERSION, engine_name);
    field_list(r, "requesters", 1, CAP_REQUESTERS, field_is_node, "a node id: 64 lower-case hex digits",
               w->requester, sizeof w->requester[0], &w->requester_count);
    field_extra(r, &w->extra);
    w->has_extra = w->extra != NULL;
}

static enum err workflow_read(struct workflow *w, struct arena *arena, struct json_reader *r)
{
    heading_read(w, r);
    TRY(inputs_read(w, r));
    TRY(quorum_read(w, r));
    TRY(attestation_read(w, r));
    TRY(residency_read(w, r));
    TRY(privacy_read(w, r));
    TRY(output_read(w, r)); /* after privacy: its type depends on it */
    TRY(parameters_read(&w->parameters, arena, r));
    TRY(steps_read(w, arena, r));
    return json_reader_done(r);
}

static enum err parse(struct workflow **out, struct json_room room, struct span bytes,
                      struct json_fault *fault)
{
    struct json_reader r;
    struct workflow *w = ARENA_NEW(room.kept, struct workflow);
    if (w == NULL) return ERR_NO_MEMORY;
    TRY(field_document(&r, &w->bytes, room, bytes, "workflow/1", fault));
    TRY(workflow_read(w, room.kept, &r));
    struct hash32 hash = sha256(w->bytes);
    memcpy(w->hash.bytes, hash.bytes, sizeof hash.bytes);
    *out = w;
    return OK;
}

enum err workflow_parse(struct workflow **out, struct arena *arena, struct span bytes,
                        struct json_fault *fault)
{
    size_t mark = arena_mark(arena);
    enum err err = parse(out, JSON_ROOM_ONE(arena), bytes, fault);
    if (err != OK) arena_release(arena, mark);
    return err;
}

enum err workflow_keep(const struct workflow **out, struct json_room room, struct span bytes)
{
    size_t mark = arena_mark(room.kept), scratch = arena_mark(room.scratch);
    struct workflow *w = NULL;
    enum err err = parse(&w, room, bytes, NULL);
    arena_release(room.scratch, scratch);
    if (err != OK) {
        arena_release(room.kept, mark);
        return err;
    }
    w->extra = NULL;
    *out = w;
    return OK;
}

enum { COST_WORKFLOW = 4096, COST_STEP = 8192, COST_PARAMETER = 1280 };
_Static_assert(ARENA_BYTES(1, sizeof(struct workflow)) <= COST_WORKFLOW, "a workflow's cost");
_Static_assert(ARENA_BYTES(1, sizeof(struct step)) <= COST_STEP, "a step's cost");
_Static_assert(ARENA_BYTES(1, sizeof(struct parameter)) <= COST_PARAMETER, "a parameter's cost");

size_t workflow_cost(const struct workflow *w)
{
    return COST_WORKFLOW + (size_t)w->step_count * COST_STEP + (size_t)w->parameters.count * COST_PARAMETER +
           json_borrow_bytes(w->bytes);
}

/* --- Writing ------------------------------------------------------------------------------------------- */

static void attestation_write(struct json_writer *out, const struct workflow *w)
{
    json_key(out, "attestation");
    json_begin_object(out);
    json_key(out, "evidence");
    json_begin_array(out);
    if (w->accept_simulated) json_put_text(out, SPAN_LITERAL("simulated"));
    if (w->accept_snp) json_put_text(out, SPAN_LITERAL("snp"));
    if (w->accept_tdx) json_put_text(out, SPAN_LITERAL("tdx"));
    json_end_array(out);
    field_put_word(out, "gpu", gpu_names[w->need_gpu]);
    field_put_text(out, "workers", w->workers);
    json_end_object(out);
}

static void inputs_write(struct json_writer *out, const struct workflow *w)
{
    json_key(out, "inputs");
    json_begin_array(out);
    for (uint32_t i = 0; i < w->input_count; i++) {
        json_begin_object(out);
        field_put_dt(out, "dt", w->input[i].dt);
        field_put_text(out, "name", w->input[i].name);
        field_put_hex(out, "owner", ID_SPAN(w->input[i].owner));
        field_put_hex(out, "schema", ID_SPAN(w->input[i].schema));
        json_end_object(out);
    }
    json_end_array(out);
}

static void output_write(struct json_writer *out, const struct workflow *w)
{
    json_key(out, "output");
    json_begin_object(out);
    field_put_int(out, "max_bytes", w->output_bytes_max);
    field_put_nodes(out, "readers", w->reader, w->reader_count);
    field_put_word(out, "type", output_type_names[w->output]);
    json_end_object(out);
}

static void privacy_write(struct json_writer *out, const struct workflow *w)
{
    if (w->privacy_none) {
        field_put_word(out, "privacy", "none");
        return;
    }
    json_key(out, "privacy");
    json_begin_object(out);
    field_put_word(out, "currency", currency_names[0]);
    field_put_word(out, "delta", "0");
    field_put_decimal(out, "epsilon", (int64_t)w->epsilon_nano, EPSILON_PLACES);
    field_put_word(out, "mechanism", mechanism_names[0]);
    field_put_word(out, "scope", privacy_scope_names[w->scope]);
    field_put_text(out, "unit", w->unit_column);
    json_end_object(out);
}

static void statistic_write(struct json_writer *out, const struct statistic *s, bool privacy_none)
{
    const bool is_sum = s->kind == STATISTIC_SUM;
    json_begin_object(out);
    field_put_text(out, "column", s->column);
    if (!privacy_none) field_put_decimal(out, "epsilon", (int64_t)s->epsilon_nano, EPSILON_PLACES);
    field_put_word(out, "kind", statistic_kind_names[s->kind]);
    if (is_sum) field_put_decimal(out, "lower", s->lower, s->places);
    field_put_text(out, "name", s->name);
    if (is_sum) field_put_int(out, "places", s->places);
    if (is_sum) field_put_decimal(out, "upper", s->upper, s->places);
    json_end_object(out);
}

static void deriveds_write(struct json_writer *out, const struct step *s)
{
    json_key(out, "derived");
    json_begin_array(out);
    for (uint32_t i = 0; i < s->derived_count; i++) {
        json_begin_object(out);
        field_put_text(out, "denominator", s->derived[i].denominator);
        field_put_text(out, "name", s->derived[i].name);
        field_put_text(out, "numerator", s->derived[i].numerator);
        json_end_object(out);
    }
    json_end_array(out);
}

static void groups_write(struct json_writer *out, const struct step *s)
{
    json_key(out, "groups");
    json_begin_array(out);
    for (uint32_t i = 0; i < s->group_count; i++) {
        json_begin_object(out);
        field_put_texts(out, "domain", s->group[i].domain, s->group[i].domain_count);
        field_put_text(out, "name", s->group[i].name);
        json_end_object(out);
    }
    json_end_array(out);
}

static void step_write(struct json_writer *out, const struct step *s, const struct workflow *w)
{
    const bool gated = w->output == OUTPUT_AGGREGATE;
    json_begin_object(out);
    if (gated) deriveds_write(out, s);
    if (gated) groups_write(out, s);
    field_put_hex(out, "op", ID_SPAN(s->op));
    if (gated) field_put_int(out, "rows_per_unit", s->rows_per_unit);
    field_put_word(out, "runtime", op_runtime_names[s->runtime]);
    field_put_text(out, "select", s->select);
    if (gated) {
        json_key(out, "statistics");
        json_begin_array(out);
        for (uint32_t i = 0; i < s->statistic_count; i++) {
            statistic_write(out, &s->statistic[i], w->privacy_none);
        }
        json_end_array(out);
    }
    json_end_object(out);
}

static void tail_write(struct json_writer *out, const struct workflow *w)
{
    json_key(out, "quorum");
    json_begin_object(out);
    field_put_int(out, "owners", w->owners_min);
    json_end_object(out);
    field_put_nodes(out, "requesters", w->requester, w->requester_count);
    json_key(out, "residency");
    json_begin_object(out);
    field_put_texts(out, "allow", w->jurisdiction, w->jurisdiction_count);
    json_end_object(out);
    json_key(out, "steps");
    json_begin_array(out);
    for (uint32_t i = 0; i < w->step_count; i++) {
        step_write(out, &w->step[i], w);
    }
    json_end_array(out);
}

enum err workflow_write(struct buffer *out, const struct workflow *w)
{
    struct json_writer writer;
    json_writer_init(&writer, out);
    json_begin_object(&writer);
    field_put_dt(&writer, "app_id", w->app_id);
    attestation_write(&writer, w);
    field_put_text(&writer, "description", w->description);
    field_put_text(&writer, "engine", w->engine);
    field_put_extra(&writer, w->extra);
    inputs_write(&writer, w);
    field_put_word(&writer, "mode", mode_names[0]);
    field_put_text(&writer, "name", w->name);
    output_write(&writer, w);
    parameters_write(&writer, &w->parameters);
    field_put_word(&writer, "perigee", "workflow/1");
    privacy_write(&writer, w);
    tail_write(&writer, w);
    json_end_object(&writer);
    return buffer_done(out);
}
