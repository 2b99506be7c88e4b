#include "node/study.h"

#include "node/cohort.h"
#include "node/fault.h"
#include "node/study_state.h"
#include "node/yaml_file.h"
#include "proto/base/panic.h"
#include "proto/field.h"

#include <stdio.h>
#include <string.h>

/* --- The file's schema -------------------------------------------------------------------------------------------- */

enum {
    STUDY_TEXT_MAX = CAP_TEXT,
    STUDY_DECIMAL_MAX = 24,
    STUDY_OUTPUT_BYTES = 16384,
    STUDY_SLOT_COUNT_MAX = 1000
};

#define TEXT(key, flags, type, member, min, max)                                                             \
    CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | (flags), struct type, member, min, max)
#define LIST(key, flags, type, member, value, min, max)                                                      \
    CYAML_FIELD_SEQUENCE(key, CYAML_FLAG_POINTER | (flags), struct type, member, &(value), min, max)
#define NEEDED   CYAML_FLAG_DEFAULT
#define OPTIONAL CYAML_FLAG_OPTIONAL
#define RECORD(type, fields)                                                                                 \
    {                                                                                                        \
        CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct type, fields)                                         \
    }

static const cyaml_strval_t type_names[] = {{"text", COLUMN_TEXT},
                                            {"integer", COLUMN_INTEGER},
                                            {"decimal", COLUMN_DECIMAL},
                                            {"boolean", COLUMN_BOOLEAN},
                                            {"date", COLUMN_DATE}};
static const cyaml_strval_t kind_names[] = {{"count", STATISTIC_COUNT}, {"sum", STATISTIC_SUM}};
static const cyaml_strval_t parameter_names[] = {{"integer", PARAMETER_INTEGER}, {"text", PARAMETER_TEXT}};
static const cyaml_strval_t scope_names[] = {{"per-owner", SCOPE_PER_OWNER}, {"global", SCOPE_GLOBAL}};
static const cyaml_strval_t format_names[] = {{"csv", META_CSV}, {"parquet", META_PARQUET}};

static const cyaml_schema_value_t word_value = {CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, CAP_NAME)};

static const cyaml_schema_field_t column_fields[] = {
    TEXT("name", NEEDED, study_column, name, 1, CAP_NAME),
    CYAML_FIELD_ENUM("type", CYAML_FLAG_STRICT, struct study_column, type, type_names, 5), CYAML_FIELD_END};
static const cyaml_schema_value_t column_value = RECORD(study_column, column_fields);

static const cyaml_schema_field_t party_fields[] = {
    TEXT("organisation", NEEDED, study_party, organisation, 1, CAP_NAME),
    TEXT("jurisdiction", NEEDED, study_party, jurisdiction, 1, 6), CYAML_FIELD_END};
static const cyaml_schema_value_t party_value = RECORD(study_party, party_fields);

static const cyaml_schema_field_t silo_fields[] = {
    TEXT("name", NEEDED, study_silo, name, 1, CAP_NAME),
    TEXT("organisation", NEEDED, study_silo, organisation, 1, CAP_NAME),
    TEXT("jurisdiction", NEEDED, study_silo, jurisdiction, 1, 6),
    TEXT("file", OPTIONAL, study_silo, file, 1, 255),
    CYAML_FIELD_UINT("rows", OPTIONAL, struct study_silo, rows),
    CYAML_FIELD_END};
static const cyaml_schema_value_t silo_value = RECORD(study_silo, silo_fields);

static const cyaml_schema_field_t synthetic_fields[] = {
    CYAML_FIELD_UINT("seed", NEEDED, struct study_synthetic, seed),
    CYAML_FIELD_UINT("rows", NEEDED, struct study_synthetic, rows), CYAML_FIELD_END};

static const cyaml_schema_field_t op_fields[] = {
    TEXT("name", NEEDED, study_op, name, 1, CAP_NAME),
    TEXT("description", NEEDED, study_op, description, 0, STUDY_TEXT_MAX),
    TEXT("template", NEEDED, study_op, template_name, 1, CAP_NAME), CYAML_FIELD_END};
static const cyaml_schema_value_t op_value = RECORD(study_op, op_fields);

static const cyaml_schema_field_t group_fields[] = {
    TEXT("name", NEEDED, study_group, name, 1, CAP_NAME),
    LIST("domain", NEEDED, study_group, domain, word_value, 1, CAP_DOMAIN), CYAML_FIELD_END};
static const cyaml_schema_value_t group_value = RECORD(study_group, group_fields);

static const cyaml_schema_field_t statistic_fields[] = {
    TEXT("name", NEEDED, study_statistic, name, 1, CAP_NAME),
    CYAML_FIELD_ENUM("kind", CYAML_FLAG_STRICT, struct study_statistic, kind, kind_names, 2),
    TEXT("column", OPTIONAL, study_statistic, column, 1, CAP_NAME),
    TEXT("lower", OPTIONAL, study_statistic, lower, 1, STUDY_DECIMAL_MAX),
    TEXT("upper", OPTIONAL, study_statistic, upper, 1, STUDY_DECIMAL_MAX),
    TEXT("epsilon", NEEDED, study_statistic, epsilon, 1, STUDY_DECIMAL_MAX),
    CYAML_FIELD_UINT("places", OPTIONAL, struct study_statistic, places),
    CYAML_FIELD_END};
static const cyaml_schema_value_t statistic_value = RECORD(study_statistic, statistic_fields);

static const cyaml_schema_field_t derived_fields[] = {
    TEXT("name", NEEDED, study_derived, name, 1, CAP_NAME),
    TEXT("numerator", NEEDED, study_derived, numerator, 1, CAP_NAME),
    TEXT("denominator", NEEDED, study_derived, denominator, 1, CAP_NAME), CYAML_FIELD_END};
static const cyaml_schema_value_t derived_value = RECORD(study_derived, derived_fields);

static const cyaml_schema_field_t parameter_fields[] = {
    TEXT("name", NEEDED, study_parameter, name, 1, CAP_NAME),
    CYAML_FIELD_ENUM("type", CYAML_FLAG_STRICT, struct study_parameter, type, parameter_names, 2),
    TEXT("lower", OPTIONAL, study_parameter, lower, 1, STUDY_DECIMAL_MAX),
    TEXT("upper", OPTIONAL, study_parameter, upper, 1, STUDY_DECIMAL_MAX),
    LIST("domain", OPTIONAL, study_parameter, domain, word_value, 1, CAP_DOMAIN),
    TEXT("value", NEEDED, study_parameter, value, 1, CAP_NAME),
    CYAML_FIELD_END};
static const cyaml_schema_value_t parameter_value = RECORD(study_parameter, parameter_fields);

static const cyaml_schema_field_t step_fields[] = {
    TEXT("op", NEEDED, study_step, op, 1, CAP_NAME),
    TEXT("select", NEEDED, study_step, select, 1, WORKFLOW_SELECT_BYTES_MAX),
    CYAML_FIELD_UINT("rows_per_unit", OPTIONAL, struct study_step, rows_per_unit),
    LIST("groups", OPTIONAL, study_step, groups, group_value, 0, CAP_GROUPS),
    LIST("statistics", NEEDED, study_step, statistics, statistic_value, 1, CAP_STATISTICS),
    LIST("derived", OPTIONAL, study_step, derived, derived_value, 0, CAP_STATISTICS),
    CYAML_FIELD_END};
static const cyaml_schema_value_t step_value = RECORD(study_step, step_fields);

static const cyaml_schema_field_t workflow_fields[] = {
    TEXT("name", NEEDED, study_workflow, name, 1, CAP_NAME),
    TEXT("description", NEEDED, study_workflow, description, 0, STUDY_TEXT_MAX),
    TEXT("epsilon", NEEDED, study_workflow, epsilon, 1, STUDY_DECIMAL_MAX),
    CYAML_FIELD_ENUM("scope", CYAML_FLAG_STRICT, struct study_workflow, scope, scope_names, 2),
    CYAML_FIELD_UINT("owners", OPTIONAL, struct study_workflow, owners),
    CYAML_FIELD_UINT("max_bytes", OPTIONAL, struct study_workflow, max_bytes),
    LIST("residency", OPTIONAL, study_workflow, residency, word_value, 0, CAP_JURISDICTIONS),
    LIST("parameters", OPTIONAL, study_workflow, parameters, parameter_value, 0, CAP_PARAMETERS),
    LIST("steps", NEEDED, study_workflow, steps, step_value, 1, CAP_STEPS),
    CYAML_FIELD_END};

static const cyaml_schema_field_t study_fields[] = {
    TEXT("perigee", NEEDED, study, perigee, 1, CAP_NAME),
    TEXT("name", NEEDED, study, name, 1, CAP_NAME),
    TEXT("description", NEEDED, study, description, 0, STUDY_TEXT_MAX),
    CYAML_FIELD_ENUM("format", CYAML_FLAG_STRICT, struct study, format, format_names, 2),
    CYAML_FIELD_BOOL("header", OPTIONAL, struct study, header),
    TEXT("delimiter", OPTIONAL, study, delimiter, 1, 3),
    TEXT("missing", OPTIONAL, study, missing, 0, CAP_NAME),
    LIST("columns", NEEDED, study, columns, column_value, 1, CAP_COLUMNS),
    TEXT("unit", OPTIONAL, study, unit, 1, CAP_NAME),
    TEXT("budget", NEEDED, study, budget, 1, STUDY_DECIMAL_MAX),
    CYAML_FIELD_UINT_PTR("slots", OPTIONAL, struct study, slots_written),
    CYAML_FIELD_MAPPING_PTR("synthetic", CYAML_FLAG_POINTER | OPTIONAL, struct study, synthetic,
                            synthetic_fields),
    LIST("silos", NEEDED, study, silos, silo_value, 1, CAP_INPUTS),
    LIST("compute", NEEDED, study, compute, party_value, 1, STUDY_COMPUTE_MAX),
    CYAML_FIELD_MAPPING_PTR("provider", CYAML_FLAG_POINTER, struct study, provider, party_fields),
    LIST("ops", NEEDED, study, ops, op_value, 1, STUDY_OP_MAX),
    CYAML_FIELD_MAPPING_PTR("workflow", CYAML_FLAG_POINTER, struct study, workflow, workflow_fields),
    CYAML_FIELD_END};
static const cyaml_schema_value_t study_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct study, study_fields)};

/* --- Decimals ----------------------------------------------------------------------------------------------------- */

/* One more digit behind `value`, or ERR_RANGE. */
static enum err add_digit(int64_t *value, int digit)
{
    if (__builtin_mul_overflow(*value, 10, value) || __builtin_add_overflow(*value, digit, value))
        return ERR_RANGE;
    return OK;
}

enum err study_decimal(int64_t *out, const char *text, uint32_t places)
{
    const bool negative = *text == '-';
    int64_t value = 0;
    uint32_t behind = 0, digits = 0;
    bool point = false;
    for (const char *at = text + (negative ? 1 : 0); *at != 0; at++) {
        if (*at == '.' && !point && digits > 0) {
            point = true;
            continue;
        }
        if (*at < '0' || *at > '9') return ERR_SYNTAX;
        TRY(add_digit(&value, *at - '0'));
        digits++;
        behind += point;
    }
    if (digits == 0 || (point && behind == 0)) return ERR_SYNTAX;
    if (behind > places) return ERR_RANGE;
    for (; behind < places; behind++) TRY(add_digit(&value, 0));
    *out = negative ? -value : value;
    return OK;
}

/* --- Rules that no document has ----------------------------------------------------------------------------------- */

struct study_fault {
    const char *path;
    char *text;
    size_t cap;
};

static enum err refuse(const struct study_fault *f, const char *key, const char *expected)
{
    return fault_set(f->text, f->cap, ERR_RANGE, "%s: %s: expected %s", f->path, key, expected);
}

/* Inside the folder: no path that climbs or begins elsewhere. */
static bool is_file_name(const char *name)
{
    return name[0] != '/' && strcmp(name, "..") != 0 && strncmp(name, "../", 3) != 0 &&
           strstr(name, "/../") == NULL && (strlen(name) < 3 || strcmp(name + strlen(name) - 3, "/..") != 0);
}

static enum err check_silos(const struct study *s, const struct study_fault *f)
{
    for (unsigned i = 0; i < s->silos_count; i++) {
        const struct study_silo *silo = &s->silos[i];
        if (silo->file != NULL && !is_file_name(silo->file))
            return refuse(f, "silos.file", "a name inside the data folder");
        if (s->synthetic == NULL && silo->file == NULL)
            return refuse(f, "silos.file", "the silo's file, or `synthetic`");
        if (s->synthetic == NULL && silo->rows == 0)
            return refuse(f, "silos.rows", "the public number of rows");
        if (s->synthetic != NULL && silo->rows != 0)
            return refuse(f, "silos.rows", "nothing: `synthetic` has the rows");
        for (unsigned j = 0; j < i; j++) {
            if (strcmp(s->silos[j].name, silo->name) == 0) return refuse(f, "silos.name", "each name once");
        }
    }
    return OK;
}

/* --- Who takes part ----------------------------------------------------------------------------------------------- */

static unsigned party_count(const struct study *s)
{
    return s->silos_count + s->compute_count + 1;
}

/* The silos, the compute providers, the algorithm provider. Writes where the party stands in the file. */
static struct study_party party_at(char path[32], const struct study *s, unsigned index)
{
    const unsigned compute = index - s->silos_count;
    if (index < s->silos_count) {
        (void)snprintf(path, 32, "silos[%u]", index);
        return (struct study_party){s->silos[index].organisation, s->silos[index].jurisdiction};
    }
    (void)snprintf(path, 32, compute < s->compute_count ? "compute[%u]" : "provider", compute);
    return compute < s->compute_count ? s->compute[compute] : *s->provider;
}

static enum err refuse_party(const struct study_fault *f, const char *path, const char *key,
                             const char *expected, const char *came)
{
    return fault_set(f->text, f->cap, ERR_SYNTAX, "%s: %s.%s: expected %s, got \"%s\"", f->path, path, key,
                     expected, came);
}

static enum err check_parties(const struct study *s, const struct study_fault *f)
{
    char path[32], other[32];
    struct span text;
    for (unsigned i = 0; i < party_count(s); i++) {
        const struct study_party p = party_at(path, s, i);
        if (!field_is_name(span_text(p.organisation), &text))
            return refuse_party(f, path, "organisation", "1 to 64 of a-z 0-9 . _ -", p.organisation);
        if (!field_is_jurisdiction(span_text(p.jurisdiction), &text))
            return refuse_party(f, path, "jurisdiction", "a code such as CH, EU or US-CA", p.jurisdiction);
        for (unsigned j = 0; j < i; j++)
            if (strcmp(party_at(other, s, j).organisation, p.organisation) == 0)
                return refuse_party(f, path, "organisation", "each organisation once", p.organisation);
    }
    return OK;
}

/* A run that no provider may compute would wait for ever. */
static enum err check_residency(const struct study *s, const struct study_fault *f)
{
    char here[STUDY_COMPUTE_MAX * 8] = "", wanted[CAP_JURISDICTIONS * 8] = "";
    struct buffer providers = BUFFER_OF(here), residency = BUFFER_OF(wanted);
    for (unsigned i = 0; i < s->compute_count; i++) {
        if (study_may_compute(s, s->compute[i].jurisdiction)) return OK;
        if (i > 0) buffer_put_text(&providers, ", ");
        buffer_put_text(&providers, s->compute[i].jurisdiction);
    }
    for (unsigned i = 0; i < s->workflow->residency_count; i++) {
        if (i > 0) buffer_put_text(&residency, ", ");
        buffer_put_text(&residency, s->workflow->residency[i]);
    }
    return fault_set(f->text, f->cap, ERR_RANGE,
                     "%s: workflow.residency: expected one where a compute provider is (%.*s), got %.*s",
                     f->path, (int)providers.len, here, (int)residency.len, wanted);
}

/* --- Runs --------------------------------------------------------------------------------------------------------- */

/* Slots are allotted with their cost in advance, and one more for the changed recipe that the demonstration tries. */
static enum err check_budget(const struct study *s, const struct study_fault *f)
{
    int64_t budget = 0, cost = 0, needed = 0;
    TRY(study_decimal(&budget, s->budget, 9));
    TRY(study_decimal(&cost, s->workflow->epsilon, 9));
    if (!__builtin_mul_overflow(cost, (int64_t)s->slots + 1, &needed) && needed <= budget) return OK;
    return fault_set(
        f->text, f->cap, ERR_RANGE,
        "%s: budget: expected at least workflow.epsilon %s for each of %u slots and once more for the "
        "changed recipe of the demonstration, got \"%s\"",
        f->path, s->workflow->epsilon, s->slots, s->budget);
}

static bool is_cohort(const struct study *s)
{
    if (s->columns_count != COHORT_COLUMN_COUNT || s->format != META_CSV || !s->header) return false;
    if (strcmp(s->delimiter, ",") != 0 || strcmp(s->missing, COHORT_MISSING) != 0) return false;
    for (unsigned i = 0; i < COHORT_COLUMN_COUNT; i++) {
        if (strcmp(s->columns[i].name, cohort_columns[i].name) != 0) return false;
        if (s->columns[i].type != cohort_columns[i].type) return false;
    }
    return true;
}

static enum err check_steps(const struct study *s, const struct study_fault *f)
{
    for (unsigned i = 0; i < s->workflow->steps_count; i++) {
        unsigned op = 0;
        while (op < s->ops_count && strcmp(s->ops[op].name, s->workflow->steps[i].op) != 0) op++;
        if (op == s->ops_count) return refuse(f, "workflow.steps.op", "the name of one of the study's ops");
        /* Lines are joined: a comment would swallow what follows it. */
        if (strstr(s->workflow->steps[i].select, "--") != NULL)
            return refuse(f, "workflow.steps.select", "SQL without --");
    }
    for (unsigned i = 0; i < s->ops_count; i++)
        if (template_shipped_find(span_text(s->ops[i].template_name)) == NULL)
            return refuse(f, "ops.template", "a template of `perigee op templates`");
    for (unsigned i = 0; i < s->ops_count; i++)
        for (unsigned j = 0; j < i; j++)
            if (strcmp(s->ops[i].name, s->ops[j].name) == 0) return refuse(f, "ops.name", "each name once");
    return OK;
}

static enum err check_reader(const struct study *s, const struct study_fault *f)
{
    const bool tab = strcmp(s->delimiter, "tab") == 0;
    if (s->format == META_CSV && !tab && (s->delimiter[1] != 0 || !meta_delimiter_fits(s->delimiter[0])))
        return refuse(f, "delimiter", "one punctuation character or \"tab\"");
    if (s->synthetic != NULL && !is_cohort(s))
        return refuse(f, "synthetic",
                      "format csv, a header, delimiter \",\", missing NA and the cohort's columns");
    if (s->synthetic != NULL && s->synthetic->rows == 0) return refuse(f, "synthetic.rows", "at least 1");
    if (s->slots < 1 || s->slots > STUDY_SLOT_COUNT_MAX)
        return fault_set(f->text, f->cap, ERR_RANGE, "%s: slots: expected 1 to %d, got %u", f->path,
                         STUDY_SLOT_COUNT_MAX, s->slots);
    return OK;
}

static enum err check_decimal(const struct study_fault *f, const char *key, const char *text, uint32_t places)
{
    int64_t value = 0;
    if (text == NULL || study_decimal(&value, text, places) == OK) return OK;
    return fault_set(f->text, f->cap, ERR_SYNTAX,
                     "%s: %s: expected a decimal with at most %u places, got \"%s\"", f->path, key, places,
                     text);
}

static enum err check_statistic(const struct study_statistic *of, const struct study_fault *f)
{
    const bool bounds = of->lower != NULL && of->upper != NULL, none = of->lower == NULL && of->upper == NULL;
    if (of->places > WORKFLOW_PLACES_MAX) return refuse(f, "statistics.places", "0 to 9");
    if (of->kind == STATISTIC_SUM && !bounds) return refuse(f, "statistics", "lower and upper for a sum");
    if (of->kind == STATISTIC_COUNT && (!none || of->places != 0))
        return refuse(f, "statistics", "no lower, upper or places for a count");
    TRY(check_decimal(f, "statistics.epsilon", of->epsilon, 9));
    TRY(check_decimal(f, "statistics.lower", of->lower, of->places));
    return check_decimal(f, "statistics.upper", of->upper, of->places);
}

static enum err check_value(const struct study_parameter *of, const struct study_fault *f)
{
    int64_t lower = 0, upper = 0, value = 0;
    for (unsigned i = 0; i < of->domain_count; i++)
        if (strcmp(of->domain[i], of->value) == 0) return OK;
    bool inside = of->type == PARAMETER_INTEGER && study_decimal(&lower, of->lower, 0) == OK &&
                  study_decimal(&upper, of->upper, 0) == OK && study_decimal(&value, of->value, 0) == OK &&
                  lower <= value && value <= upper;
    return inside ? OK
                  : refuse(f, "workflow.parameters.value", "one of the values that the parameter allows");
}

static enum err check_parameter(const struct study_parameter *of, const struct study_fault *f)
{
    const bool bounds = of->lower != NULL && of->upper != NULL, none = of->lower == NULL && of->upper == NULL;
    const bool whole = of->type == PARAMETER_INTEGER && bounds && of->domain_count == 0,
               text = of->type == PARAMETER_TEXT && none && of->domain_count > 0;
    if (!whole && !text)
        return refuse(f, "workflow.parameters", "lower and upper for an integer, domain for a text");
    TRY(check_decimal(f, "workflow.parameters.lower", of->lower, 0));
    TRY(check_decimal(f, "workflow.parameters.upper", of->upper, 0));
    return check_value(of, f);
}

static enum err check_numbers(const struct study *s, const struct study_fault *f)
{
    TRY(check_decimal(f, "budget", s->budget, 9));
    TRY(check_decimal(f, "workflow.epsilon", s->workflow->epsilon, 9));
    for (unsigned i = 0; i < s->workflow->parameters_count; i++)
        TRY(check_parameter(&s->workflow->parameters[i], f));
    for (unsigned i = 0; i < s->workflow->steps_count; i++) {
        const struct study_step *step = &s->workflow->steps[i];
        for (unsigned j = 0; j < step->statistics_count; j++) TRY(check_statistic(&step->statistics[j], f));
    }
    return OK;
}

static enum err check(const struct study *s, const struct study_fault *f)
{
    char what[400];
    if (strcmp(s->perigee, "study/1") != 0) return refuse(f, "perigee", "study/1");
    TRY(check_reader(s, f));
    TRY(check_silos(s, f));
    TRY(check_parties(s, f));
    TRY(check_steps(s, f));
    TRY(check_numbers(s, f));
    enum err err = study_check_documents(s, what, sizeof what);
    if (err != OK) return fault_set(f->text, f->cap, err, "%s: %s", f->path, what);
    TRY(check_residency(s, f));
    return check_budget(s, f);
}

/* --- Loading ------------------------------------------------------------------------------------------------------ */

static enum err set_text(char **text, const char *otherwise)
{
    if (*text == NULL) *text = yaml_file_text(otherwise);
    return *text == NULL ? ERR_NO_MEMORY : OK;
}

static enum err fill(struct study *s)
{
    TRY(set_text(&s->delimiter, ","));
    TRY(set_text(&s->missing, ""));
    s->slots = s->slots_written != NULL ? *s->slots_written : 1;
    if (s->workflow->owners == 0) s->workflow->owners = s->silos_count;
    if (s->workflow->max_bytes == 0) s->workflow->max_bytes = STUDY_OUTPUT_BYTES;
    for (unsigned i = 0; i < s->workflow->steps_count; i++)
        if (s->workflow->steps[i].rows_per_unit == 0) s->workflow->steps[i].rows_per_unit = 1;
    return OK;
}

enum err study_load(struct study **out, const char *path, char *fault, size_t cap)
{
    const struct study_fault f = {path, fault, cap};
    void *loaded = NULL;
    *out = NULL;
    TRY(yaml_file_load(&loaded, &study_value, path, fault, cap));
    if (loaded == NULL) return refuse(&f, "perigee", "study/1, got an empty file");
    enum err err = fill(loaded);
    if (err == OK) err = check(loaded, &f);
    if (err == OK)
        *out = loaded;
    else
        study_close(loaded);
    return err;
}

void study_close(struct study *s)
{
    yaml_file_free(s, &study_value);
}

/* --- Facts -------------------------------------------------------------------------------------------------------- */

bool study_may_compute(const struct study *s, const char *jurisdiction)
{
    for (unsigned i = 0; i < s->workflow->residency_count; i++)
        if (strcmp(s->workflow->residency[i], jurisdiction) == 0) return true;
    return s->workflow->residency_count == 0;
}

uint64_t study_rows(const struct study *s, uint32_t silo)
{
    ASSERT(silo < s->silos_count);
    return s->synthetic != NULL ? s->synthetic->rows : s->silos[silo].rows;
}

void study_schema(struct schema *out, const struct study *s)
{
    memset(out, 0, sizeof *out);
    for (unsigned i = 0; i < s->columns_count; i++)
        out->column[i] = (struct column){span_text(s->columns[i].name), s->columns[i].type};
    out->column_count = s->columns_count;
    schema_hash(out);
}

void study_meta(struct meta *out, const struct study *s)
{
    memset(out, 0, sizeof *out);
    out->format = s->format;
    if (s->format != META_CSV) return;
    out->header = s->header;
    out->delimiter = strcmp(s->delimiter, "tab") == 0 ? '\t' : s->delimiter[0];
    ASSERT(strlen(s->missing) <= CAP_NAME);
    (void)snprintf(out->missing, sizeof out->missing, "%s", s->missing);
}

enum err study_file(char out[PATH_MAX], const struct study *s, uint32_t silo, const char *folder)
{
    ASSERT(silo < s->silos_count);
    const struct study_silo *of = &s->silos[silo];
    int len = of->file != NULL ? snprintf(out, PATH_MAX, "%s/%s", folder, of->file)
                               : snprintf(out, PATH_MAX, "%s/%s.csv", folder, of->name);
    return len >= 0 && len < PATH_MAX ? OK : ERR_RANGE;
}

enum err study_make_files(const struct study *s, const char *folder, char *fault, size_t cap)
{
    if (s->synthetic == NULL)
        return fault_set(fault, cap, ERR_USAGE, "this study has files of its own: name their folder");
    for (uint32_t i = 0; i < s->silos_count; i++) {
        char path[PATH_MAX];
        TRY(study_file(path, s, i, folder));
        enum err err = cohort_write(path, s->synthetic->seed, i, s->synthetic->rows);
        if (err != OK) return fault_set(fault, cap, err, "%s: %s", path, err_text(err));
    }
    return OK;
}
